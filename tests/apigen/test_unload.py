#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A program that closes the library while a thread of the library's is there: it goes on.

    test_unload.py LIBCUDA
"""
import ctypes
import sys
import time
from _ctypes import dlclose

HOST_FN = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def main(path):
    cuda = ctypes.CDLL(path)
    context, ran = ctypes.c_void_p(), []
    say = HOST_FN(ran.append)

    def call(name, *words):
        result = getattr(cuda, name)(*words)
        if result:
            sys.exit(f"FAIL unload: {name}: {result}")

    call("cuInit", 0)
    call("cuDevicePrimaryCtxRetain", ctypes.byref(context), 0)
    call("cuCtxSetCurrent", context)
    call("cuLaunchHostFunc", None, say, ctypes.c_void_p(7))
    call("cuCtxSynchronize")
    if ran != [7]:
        sys.exit(f"FAIL unload: the host function was given {ran}")
    dlclose(cuda._handle)
    time.sleep(0.2)
    print("PASS unload: closed, with a thread in it")


main(*sys.argv[1:])
