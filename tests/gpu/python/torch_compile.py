# SPDX-License-Identifier: Apache-2.0
# needs: torch triton
"""torch.compile, and so Triton and its own loader of kernels."""
import torch


@torch.compile
def f(x):
    return torch.nn.functional.gelu(x * 2) + 1


torch.manual_seed(0)
print(f(torch.randn(4096, device="cuda")).double().sum().item())
