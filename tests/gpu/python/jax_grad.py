# SPDX-License-Identifier: Apache-2.0
# needs: jax
"""A function, jitted, and its gradient."""
import os
os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
import jax
import jax.numpy as jnp

f = jax.jit(lambda x: jnp.sum(jnp.sin(x) @ x.T))
x = jnp.arange(256.).reshape(16, 16) / 256
print(f(x))
print(jax.grad(f)(x).sum())
