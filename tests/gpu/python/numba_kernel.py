# SPDX-License-Identifier: Apache-2.0
# needs: numba
"""A kernel compiled by Numba."""
import numpy
from numba import cuda


@cuda.jit
def scale(x, y):
    i = cuda.grid(1)
    if i < x.size:
        y[i] = x[i] * 3 + 1


x = numpy.arange(1000, dtype=numpy.float32)
y = cuda.device_array_like(x)
scale[4, 256](cuda.to_device(x), y)
print(y.copy_to_host().sum())
