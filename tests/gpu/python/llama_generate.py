# SPDX-License-Identifier: Apache-2.0
# needs: torch transformers
"""A small Llama with random weights; the tokens that it generates."""
import torch
from transformers import LlamaConfig, LlamaForCausalLM

torch.manual_seed(0)
model = LlamaForCausalLM(LlamaConfig(
    vocab_size=1000, hidden_size=256, intermediate_size=512, num_hidden_layers=4,
    num_attention_heads=4)).cuda().half().eval()
ids = torch.arange(8).reshape(1, 8).cuda()
print(model.generate(ids, max_new_tokens=32, do_sample=False, pad_token_id=0).tolist())
