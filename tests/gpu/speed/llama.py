# SPDX-License-Identifier: Apache-2.0
# needs: torch transformers
"""A token of a small Llama with random weights, eager; its forward pass as a CUDA graph."""
import time
import torch
from transformers import LlamaConfig, LlamaForCausalLM

torch.manual_seed(0)
model = LlamaForCausalLM(LlamaConfig(
    vocab_size=1000, hidden_size=512, intermediate_size=1024, num_hidden_layers=8,
    num_attention_heads=8)).cuda().half().eval()
ids = torch.arange(8).reshape(1, 8).cuda()
TOKENS = 32


def generate():
    return model.generate(ids, max_new_tokens=TOKENS, min_new_tokens=TOKENS, do_sample=False,
                          pad_token_id=0)


generate()
for _ in range(6):
    torch.cuda.synchronize()
    began = time.perf_counter()
    generate()
    torch.cuda.synchronize()
    print("llama_token", (time.perf_counter() - began) / TOKENS * 1e6)

with torch.no_grad():
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(3):
            model(ids, use_cache=False)
    side.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = model(ids, use_cache=False).logits
    for _ in range(30):
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(20):
            graph.replay()
            out[0, -1].argmax().item()
        print("llama_graph", (time.perf_counter() - began) / 20 * 1e6)
