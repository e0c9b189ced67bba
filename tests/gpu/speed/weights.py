# SPDX-License-Identifier: Apache-2.0
# needs: torch
"""Weights from a file in the page cache to the device, tensor by tensor, GB/s.

    weights.py [FILE]

The file is made if it is not there; without a name it goes again.
"""
import os
import sys
import tempfile
import time
import torch

GIB, TENSORS = 8, 64


def fill(file):
    block = os.urandom(1 << 20) * 64
    for _ in range(GIB * 16):
        file.write(block)
    file.flush()


def load(name):
    size = (GIB << 30) // TENSORS // 2
    whole = torch.from_file(name, shared=False, size=size * TENSORS, dtype=torch.int16)
    torch.zeros(1, device="cuda")
    torch.cuda.synchronize()
    began = time.perf_counter()
    weights = [part.cuda() for part in whole.split(size)]
    torch.cuda.synchronize()
    took = time.perf_counter() - began
    assert torch.equal(weights[7][:1000].cpu(), whole[7 * size:7 * size + 1000])
    print("weights", (GIB << 30) / took / 1e9)


def main(name=None):
    if not name:
        with tempfile.NamedTemporaryFile() as file:
            fill(file)
            load(file.name)
        return
    if not os.path.exists(name):
        with open(name, "wb") as file:
            fill(file)
    load(name)


main(*sys.argv[1:])
