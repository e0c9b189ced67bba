# SPDX-License-Identifier: Apache-2.0
# needs: torch
"""A convolutional net trained for 50 steps with Adam; the loss of each step."""
import os
os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
import torch
from torch import nn

torch.manual_seed(0)
torch.use_deterministic_algorithms(True)
torch.backends.cudnn.benchmark = False
net = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                    nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                    nn.Flatten(), nn.Linear(32, 10)).cuda()
adam = torch.optim.Adam(net.parameters(), 1e-3)
x = torch.randn(64, 3, 32, 32).cuda()
y = torch.randint(0, 10, (64,)).cuda()
for step in range(50):
    adam.zero_grad()
    loss = nn.functional.cross_entropy(net(x), y)
    loss.backward()
    adam.step()
    print(step, repr(loss.item()))
