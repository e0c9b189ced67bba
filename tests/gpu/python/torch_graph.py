# SPDX-License-Identifier: Apache-2.0
# needs: torch
"""A CUDA graph, captured once and replayed on new data."""
import torch

source = torch.ones(1024, device="cuda")
graph = torch.cuda.CUDAGraph()
side = torch.cuda.Stream()
side.wait_stream(torch.cuda.current_stream())
with torch.cuda.stream(side):
    for _ in range(3):
        result = source * 2 + 1
torch.cuda.current_stream().wait_stream(side)
with torch.cuda.graph(graph):
    result = source * 2 + 1
for i in range(5):
    source.fill_(i)
    graph.replay()
    print(result.sum().item())
