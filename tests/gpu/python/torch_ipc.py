# SPDX-License-Identifier: Apache-2.0
# needs: torch
"""A tensor in the device's memory, in two processes: each sees what the other writes."""
import torch
import torch.multiprocessing as mp


def second(there, back):
    x = there.get()
    print("second:", x.sum().item(), tuple(x.shape), x.device, flush=True)
    x += 1
    torch.cuda.synchronize()
    back.put("written")
    there.get()             # the first keeps what it has sent until the second has let go
    del x
    back.put("gone")


if __name__ == "__main__":
    mp.set_start_method("spawn")
    there, back = mp.Queue(), mp.Queue()
    process = mp.Process(target=second, args=(there, back))
    process.start()
    x = torch.arange(1 << 20, device="cuda", dtype=torch.float32)
    there.put(x)
    print(back.get())
    print("first:", x[0].item(), x[-1].item())
    there.put(None)
    print(back.get())
    process.join()
    print("the second ended with", process.exitcode)
