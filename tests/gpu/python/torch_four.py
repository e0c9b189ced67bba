# SPDX-License-Identifier: Apache-2.0
# needs: torch
"""Four processes that compute at once."""
import torch
import torch.multiprocessing as mp


def work(rank, results):
    torch.manual_seed(rank)
    x = torch.randn(256, 256).cuda()
    for _ in range(50):
        x = torch.tanh(x @ x)
    results.put((rank, x.double().sum().item()))


if __name__ == "__main__":
    context = mp.get_context("spawn")
    results = context.Queue()
    processes = [context.Process(target=work, args=(r, results)) for r in range(4)]
    for p in processes:
        p.start()
    for rank, value in sorted(results.get() for _ in processes):
        print(rank, value)
    for p in processes:
        p.join()
        print(p.exitcode)
