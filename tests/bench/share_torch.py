#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""PyTorch programs that want the GPU for as long as they are let, and say how far they come.

    share_torch.py train|decode SECONDS

"train" trains a transformer; it launches a step while the device is at the one before. "decode"
generates tokens as a language model does for one user: a CUDA graph for each token, and the token is
read before the next step. A line for each step says, in milliseconds of CLOCK_MONOTONIC and in
steps, how far the program is, as tests/bench/share does.
"""
import collections
import sys
import time

import torch
from torch import nn


def train():
    """Yields when a step has ended. Its batch is so large that the device is what it waits for."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(1024, 16, 4096, batch_first=True, device="cuda",
                                       dtype=torch.bfloat16)
    net = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
    adam = torch.optim.AdamW(net.parameters(), 1e-4)
    x = torch.randn(64, 256, 1024, device="cuda", dtype=torch.bfloat16)
    under_way = collections.deque()
    while True:
        adam.zero_grad()
        net(x).square().mean().backward()
        adam.step()
        event = torch.cuda.Event()
        event.record()
        under_way.append(event)
        if len(under_way) > 1:
            under_way.popleft().synchronize()
            yield


WIDTH = 4096


class Block(nn.Module):
    """What a layer of a Llama of 7B parameters computes for one token, with 512 tokens before."""
    def __init__(self, width=WIDTH, heads=32, inner=11008, before=512):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.gate = nn.Linear(width, inner, bias=False)
        self.up = nn.Linear(width, inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)
        self.register_buffer("keys", torch.randn(1, heads, before, width // heads))
        self.register_buffer("values", torch.randn(1, heads, before, width // heads))

    def forward(self, x):
        q, k, v = self.qkv(x).view(3, 1, self.heads, 1, -1)
        k, v = torch.cat((self.keys, k), 2), torch.cat((self.values, v), 2)
        x = x + self.out(nn.functional.scaled_dot_product_attention(q, k, v).view(1, -1))
        return x + self.down(nn.functional.silu(self.gate(x)) * self.up(x))


def decode():
    """Yields when a token is there: half the layers of such a model, 6 GiB, are read for each."""
    torch.manual_seed(0)
    words = 32000
    with torch.no_grad(), torch.device("cuda"):
        net = nn.Sequential(nn.Embedding(words, WIDTH), *(Block() for _ in range(16)),
                            nn.LayerNorm(WIDTH), nn.Linear(WIDTH, words, bias=False)).half()
        token = torch.zeros(1, dtype=torch.long)
        side = torch.cuda.Stream()
        with torch.cuda.stream(side):
            for _ in range(3):
                net(token).argmax(1)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            token.copy_(net(token).argmax(1))
        while True:
            graph.replay()
            token.item()
            yield


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("train", "decode"):
        sys.exit(__doc__.strip())
    steps = {"train": train, "decode": decode}[sys.argv[1]]()
    for _ in range(5):      # compiling, loading, the allocator's first blocks
        next(steps)
    end = time.monotonic() + float(sys.argv[2])
    done = 0
    while time.monotonic() < end:
        print(f"{time.monotonic() * 1e3:.3f} {done}")
        next(steps)
        done += 1
    print(f"{time.monotonic() * 1e3:.3f} {done}")


main()
