# SPDX-License-Identifier: Apache-2.0
# needs: torch
"""Device asserts, out of memory, timing, and pinned memory."""
import os
import sys
import torch

try:
    torch.empty(1 << 50, dtype=torch.uint8, device="cuda")
except torch.cuda.OutOfMemoryError:
    print("out of memory")
pinned = torch.arange(1 << 20, dtype=torch.float32).pin_memory()
print(pinned.is_pinned(), pinned.cuda(non_blocking=True).double().sum().item())
start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
start.record()
x = torch.randn(1000, 1000, device="cuda")
end.record()
end.synchronize()
print(start.elapsed_time(end) > 0)
print(torch.cuda.get_device_properties(0).multi_processor_count)
try:
    torch.zeros(10, device="cuda")[torch.tensor([100], device="cuda")].sum().item()
except RuntimeError as error:
    print(str(error).splitlines()[0])
try:
    torch.zeros(10, device="cuda").sum().item()
except RuntimeError as error:
    print(str(error).splitlines()[0])
sys.stdout.flush()
os._exit(0)     # PyTorch's own end fails with the context
