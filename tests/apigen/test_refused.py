#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each function that is refused says so, and what it stands for is not offered.

    test_refused.py LIBCUDA     (through a mediator)
"""

import ctypes
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
APIGEN = os.path.join(os.path.dirname(os.path.dirname(HERE)), "tools", "apigen")
sys.path.insert(0, APIGEN)
sys.dont_write_bytecode = True

import apigen			# noqa: E402
from parse import load		# noqa: E402

NOT_INITIALIZED, NOT_SUPPORTED = 3, 801
# Device attributes of what is refused: a program that asks first is told.
WITHHELD = (
    "GPU_DIRECT_RDMA_SUPPORTED", "DMA_BUF_SUPPORTED", "MULTICAST_SUPPORTED",
    "SPARSE_CUDA_ARRAY_SUPPORTED", "DEFERRED_MAPPING_CUDA_ARRAY_SUPPORTED",
    "TIMELINE_SEMAPHORE_INTEROP_SUPPORTED", "MEM_DECOMPRESS_ALGORITHM_MASK",
    "COOPERATIVE_MULTI_DEVICE_LAUNCH",
)

passed = failed = 0


def check(ok, what):
    global passed, failed
    passed += bool(ok)
    failed += not ok
    if not ok:
        print(what)


def main():
    model = load(apigen.specs(os.path.join(APIGEN, "spec")))
    values = {n: v for n, v, _ in model.types["CUdevice_attribute"].items}
    names = [n for f in model.exported() if model.disposition(f) == "refused"
             for n in [f.name] + [f"{f.name}_{s}" for s, _ in f.variants]]
    names += [e[0] for e in model.extras]
    cuda = ctypes.CDLL(sys.argv[1])
    for name in names:
        r = getattr(cuda, name)(*[None] * 12)
        check(r in (NOT_INITIALIZED, NOT_SUPPORTED), f"{name} before cuInit: {r}")
    check(cuda.cuInit(0) == 0, "cuInit")
    for name in names:
        r = getattr(cuda, name)(*[None] * 12)
        check(r == NOT_SUPPORTED, f"{name}: {r}, not {NOT_SUPPORTED}")
    for name in WITHHELD:
        v = ctypes.c_int(77)
        r = cuda.cuDeviceGetAttribute(ctypes.byref(v), values["CU_DEVICE_ATTRIBUTE_" + name], 0)
        # A driver of before it was thought of does not know it.
        check(r or v.value == 0, f"{name}: {v.value}, not 0")
    print(f"refused: {len(names)} functions; {passed} checks passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
