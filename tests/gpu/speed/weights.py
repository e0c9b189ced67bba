# SPDX-License-Identifier: Apache-2.0
# needs: torch
"""Weights from a file in the page cache to the device, tensor by tensor, GB/s."""
import os
import tempfile
import time
import torch

GIB, TENSORS = 8, 64
size = (GIB << 30) // TENSORS // 2
with tempfile.NamedTemporaryFile(dir=os.environ.get("VGPU_BENCH_DIR")) as file:
    block = os.urandom(1 << 20) * 64
    for _ in range(GIB * 16):
        file.write(block)
    file.flush()
    whole = torch.from_file(file.name, shared=False, size=size * TENSORS, dtype=torch.int16)
    torch.zeros(1, device="cuda")
    torch.cuda.synchronize()
    began = time.perf_counter()
    weights = [part.cuda() for part in whole.split(size)]
    torch.cuda.synchronize()
    took = time.perf_counter() - began
    assert torch.equal(weights[7][:1000].cpu(), whole[7 * size:7 * size + 1000])
    print("weights", (GIB << 30) / took / 1e9)
