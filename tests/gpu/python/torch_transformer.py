# SPDX-License-Identifier: Apache-2.0
# needs: torch
"""A bigger net: a transformer trained in bfloat16 with autocast, a scaler-free step and dropout off."""
import os
os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
import torch
from torch import nn

torch.manual_seed(0)
torch.use_deterministic_algorithms(True)
net = nn.TransformerEncoder(nn.TransformerEncoderLayer(
    128, 4, 256, dropout=0, batch_first=True), 2).cuda()
sgd = torch.optim.SGD(net.parameters(), 1e-2, momentum=0.9)
x = torch.randn(8, 32, 128).cuda()
for step in range(10):
    sgd.zero_grad(set_to_none=True)
    with torch.autocast("cuda", torch.bfloat16):
        loss = net(x).float().pow(2).mean()
    loss.backward()
    sgd.step()
    print(step, repr(loss.item()))
