# SPDX-License-Identifier: Apache-2.0
# needs: torch
"""cuSOLVER, cuSPARSE, cuFFT, cuDNN's attention and recurrent nets, as PyTorch calls them."""
import torch

torch.manual_seed(0)
a = torch.randn(64, 64, dtype=torch.float64)
s = (a @ a.T + 64 * torch.eye(64, dtype=torch.float64)).cuda()
print(torch.linalg.solve(s, torch.ones(64, dtype=torch.float64).cuda()).sum().item())
print(torch.linalg.cholesky(s).sum().item(), torch.linalg.svdvals(s)[0].item())
print(torch.linalg.eigvalsh(s)[-1].item())
sparse = torch.eye(64, dtype=torch.float64).cuda().to_sparse_csr()
print((sparse @ s).sum().item())
print(torch.fft.rfft2(s).abs().sum().item())
q = torch.randn(2, 4, 128, 64).cuda().half()
print(torch.nn.functional.scaled_dot_product_attention(q, q, q).float().sum().item())
lstm = torch.nn.LSTM(32, 64, 2).cuda()
print(lstm(torch.randn(16, 4, 32).cuda())[0].sum().item())
print(torch.sort(torch.randn(100000).cuda())[0][::1000].sum().item())
