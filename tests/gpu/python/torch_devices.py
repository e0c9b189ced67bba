# SPDX-License-Identifier: Apache-2.0
# needs: torch
"""Every device: its own memory and work, copies between them, a current one per thread."""
import threading
import torch

count = torch.cuda.device_count()
print(count, [torch.cuda.get_device_name(i) for i in range(count)])
print([[torch.cuda.can_device_access_peer(a, b) for b in range(count) if b != a]
       for a in range(count)])
parts = [torch.arange(1 << 20, dtype=torch.float32, device=f"cuda:{i}") * (i + 1)
         for i in range(count)]
print([p.double().sum().item() for p in parts])
moved = parts[-1].to("cuda:0", non_blocking=True)
print(moved.device, (moved + parts[0]).double().sum().item())
back = moved.to(f"cuda:{count - 1}") * 2
print(back.device, back.double().sum().item())
results = [None] * count


def work(i):
    torch.cuda.set_device(i)
    x = torch.ones(512, 512, device="cuda")
    for _ in range(20):
        x = x @ x / 512
    results[i] = (torch.cuda.current_device(), x.sum().item())


threads = [threading.Thread(target=work, args=(i,)) for i in range(count)]
for t in threads:
    t.start()
for t in threads:
    t.join()
print(results, torch.cuda.current_device())
