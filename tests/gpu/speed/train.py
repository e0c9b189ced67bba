# SPDX-License-Identifier: Apache-2.0
# needs: torch
"""A step of training with a small batch, eager and as a CUDA graph."""
import time
import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
                    nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(),
                    nn.MaxPool2d(2), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(),
                    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)).cuda()
adam = torch.optim.Adam(net.parameters(), 1e-3, capturable=True)
x = torch.randn(8, 3, 32, 32).pin_memory()
y = torch.randint(0, 10, (8,)).pin_memory()
dx, dy = x.cuda(), y.cuda()


def compute():
    adam.zero_grad(set_to_none=True)
    loss = nn.functional.cross_entropy(net(dx), dy)
    loss.backward()
    adam.step()
    return loss


def step():
    dx.copy_(x, non_blocking=True)
    dy.copy_(y, non_blocking=True)
    return compute().item()


def timed(name, run, n):
    run()
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(n):
        run()
    torch.cuda.synchronize()
    print(name, (time.perf_counter() - began) / n * 1e6)


side = torch.cuda.Stream()
with torch.cuda.stream(side):
    for _ in range(20):
        step()
side.synchronize()
for _ in range(20):
    step()
# Many short series, so that the median is not of those in which something else had the CPU.
for _ in range(12):
    timed("train_step", step, 25)
graph = torch.cuda.CUDAGraph()
adam.zero_grad(set_to_none=True)
with torch.cuda.graph(graph):
    loss = compute()


def replay():
    dx.copy_(x, non_blocking=True)
    dy.copy_(y, non_blocking=True)
    graph.replay()
    return loss.item()


for _ in range(30):
    timed("train_graph", replay, 30)
