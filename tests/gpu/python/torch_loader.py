# SPDX-License-Identifier: Apache-2.0
# needs: torch
"""Worker processes of a DataLoader with pinned batches; what the allocator says of memory."""
import torch
from torch.utils.data import DataLoader, TensorDataset


def main():
    torch.zeros(1, device="cuda")   # the workers fork from a process that uses the device
    data = TensorDataset(torch.arange(4096, dtype=torch.float32).reshape(256, 16))
    total = torch.zeros((), dtype=torch.float64, device="cuda")
    for (batch,) in DataLoader(data, batch_size=32, num_workers=2, pin_memory=True):
        total += batch.cuda(non_blocking=True).double().sum()
    print(total.item())
    keep = [torch.empty(1 << 20, dtype=torch.uint8, device="cuda") for _ in range(10)]
    print(torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated(),
          torch.cuda.memory_reserved())
    del keep
    torch.cuda.empty_cache()
    free, whole = torch.cuda.mem_get_info()
    print(torch.cuda.memory_allocated(), torch.cuda.memory_reserved(), 0 < free < whole)


if __name__ == "__main__":
    main()
