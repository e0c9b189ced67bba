# SPDX-License-Identifier: Apache-2.0
# needs: torch
"""cuBLAS: sgemm, half precision, batched; and what the allocator says of memory."""
import torch

torch.manual_seed(0)
a = torch.randn(512, 512, device="cuda")
b = torch.randn(512, 512, device="cuda")
print((a @ b).double().sum().item())
print((a.half() @ b.half()).float().sum().item())
print(torch.bmm(torch.randn(16, 64, 64, device="cuda").half(),
                torch.randn(16, 64, 64, device="cuda").half()).float().sum().item())
print(torch.cuda.memory_allocated(), torch.cuda.get_device_name(0))
