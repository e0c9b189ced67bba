# SPDX-License-Identifier: Apache-2.0
# needs: torch
"""NCCL between as many processes as there are devices."""
import os
import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def rank_main(rank, world, port):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.cuda.set_device(rank)
    dist.init_process_group("nccl", rank=rank, world_size=world)
    x = torch.arange(1 << 16, dtype=torch.float32, device="cuda") * (rank + 1)
    dist.all_reduce(x)
    gathered = [torch.empty_like(x) for _ in range(world)]
    dist.all_gather(gathered, x)
    dist.broadcast(x, 0)
    if not rank:
        print(world, x.double().sum().item(), sum(g.double().sum().item() for g in gathered))
    dist.destroy_process_group()


if __name__ == "__main__":
    world = torch.cuda.device_count()
    mp.spawn(rank_main, (world, 29500 + os.getpid() % 1000), nprocs=world)
