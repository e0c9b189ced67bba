# SPDX-License-Identifier: Apache-2.0
# needs: torch
# preload: libcupti.so.12 libcupti.so.13
"""PyTorch's profiler: which kernels and copies ran under which operators, and for how long.

Times differ from run to run, so what is printed is whether they are plausible beside those of
CUDA events. On standard error are the times themselves.
"""
import collections
import sys

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

N, ROUNDS, MIB = 4096, 10, 64

torch.manual_seed(0)
a = torch.randn(N, N, device="cuda", dtype=torch.half)
b = torch.randn(N, N, device="cuda", dtype=torch.half)
host = torch.zeros(MIB << 20, dtype=torch.uint8).pin_memory()
there = torch.empty_like(host, device="cuda")


def work():
    for _ in range(ROUNDS):
        torch.mm(a, b)
    there.copy_(host, non_blocking=True)
    host.copy_(there, non_blocking=True)
    torch.relu(a)


def measured(f):
    """Milliseconds by CUDA events."""
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    begin.record()
    f()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end)


work()
mm_ms = measured(lambda: [torch.mm(a, b) for _ in range(ROUNDS)])
copy_ms = measured(lambda: there.copy_(host, non_blocking=True))

for session in range(2):
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as prof:
        work()
        torch.cuda.synchronize()
    events = prof.events()
    device = [e for e in events if e.device_type == DeviceType.CUDA]
    print("session", session)
    for name, count in sorted(collections.Counter(e.name for e in device).items()):
        print(f"  {count} {name}")

    # Under their operators.
    for op in ("aten::mm", "aten::copy_", "aten::relu", "aten::clamp_min"):
        mine = [e for e in events if e.name == op and e.device_type == DeviceType.CPU]
        print(" ", op, len(mine), sorted(collections.Counter(
            k.name for e in mine for k in e.kernels).items()))
    averages = {e.key: e for e in prof.key_averages()}
    print("  mm has time of the device:", averages["aten::mm"].device_time_total > 0)

    # Plausible beside CUDA events.
    gemm = [e for e in device if e.name == next(
        k.name for e in events if e.name == "aten::mm" for k in e.kernels)]
    took = sum(e.time_range.elapsed_us() for e in gemm) / 1000
    print("  all positive:", all(e.time_range.elapsed_us() > 0 for e in device))
    print("  matmuls like events:", 0.5 < took / mm_ms < 1.3)
    in_ms = sum(e.time_range.elapsed_us() for e in device if "HtoD" in e.name) / 1000
    print("  copy like events:", 0.5 < in_ms / copy_ms < 1.5)

    # One stream: one after the other, and none before the call that has brought it.
    device.sort(key=lambda e: e.time_range.start)
    overlap = max(x.time_range.end - y.time_range.start for x, y in zip(device, device[1:]))
    print("  one after the other:", overlap < 5)
    first = min(e.time_range.start for e in events if e.name == "aten::mm")
    last = max(e.time_range.end for e in events if "Synchronize" in e.name) \
        if any("Synchronize" in e.name for e in events) else float("inf")
    print("  within the calls:", device[0].time_range.start >= first - 5 and
          device[-1].time_range.end <= last + 5)
    print(f"matmuls {took:.3f} ms, by events {mm_ms:.3f}; copy {in_ms:.3f} ms, by events "
          f"{copy_ms:.3f}; overlap at most {overlap:.1f} us", file=sys.stderr)
    print(sorted({e.name for e in events if e.name.startswith("cu")}), file=sys.stderr)
