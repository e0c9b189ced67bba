# SPDX-License-Identifier: Apache-2.0
# needs: torch
"""After fork the child gets an error, and the parent goes on."""
import os
import sys
import ctypes
import torch

x = torch.ones(1000, device="cuda")
torch.cuda.synchronize()
sys.stdout.flush()
child = os.fork()
if not child:
    cuda = ctypes.CDLL("libcuda.so.1")
    count, p = ctypes.c_int(-1), ctypes.c_uint64()
    print("driver:", cuda.cuInit(0), cuda.cuDeviceGetCount(ctypes.byref(count)), count.value,
          cuda.cuMemAlloc_v2(ctypes.byref(p), 4096), cuda.cuCtxSynchronize())
    try:
        torch.ones(10, device="cuda").sum().item()
        print("torch: worked")
    except RuntimeError as error:
        print("torch:", str(error).splitlines()[0])
    sys.stdout.flush()
    os._exit(3)
print("child ended with", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print((x * 2).sum().item())
