#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A program that only watches the device is served without a context, and takes none away.

    test_spares.py LIBNVIDIA-ML LIBCUDA

Under with-mediator, with one spare. A child of the mediator with --warm has a context.
"""
import glob
import os
import socket
import struct
import subprocess
import sys
import time

WATCH = """
import ctypes, sys
nvml = ctypes.CDLL(sys.argv[1])
result = nvml.nvmlInit_v2()
print(result, flush=True)
sys.stdin.readline()
"""
COMPUTE = """
import ctypes, sys
cuda, ctx = ctypes.CDLL(sys.argv[1]), ctypes.c_void_p()
result = cuda.cuInit(0) or cuda.cuDevicePrimaryCtxRetain(ctypes.byref(ctx), 0)
print(result, flush=True)
sys.stdin.readline()
"""
checks = 0


def true(what, good):
    global checks
    checks += 1
    if not good:
        sys.exit(f"FAIL spares: {what}")


def mediator():
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.connect(os.environ["VGPU_TEST_CONTROL"])
        return struct.unpack("iII", s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]


def executors(pid):
    """The mediator's children: those with a context, and those without."""
    warm, cold = set(), set()
    # A thread of the mediator's starts them.
    for path in glob.glob(f"/proc/{pid}/task/*/children"):
        with open(path) as children:
            found = children.read().split()
        for child in found:
            try:
                with open(f"/proc/{child}/cmdline", "rb") as f:
                    words = f.read().split(b"\0")
            except OSError:
                continue
            if words[0]:
                (warm if b"--warm" in words else cold).add(child)
    return warm, cold


def wait_for(pid, what, good):
    for _ in range(400):
        now = executors(pid)
        if good(*now):
            true(what, True)
            return now
        time.sleep(0.05)
    sys.exit(f"FAIL spares: {what}: with a context {now[0]}, without {now[1]}")


class Program:
    def __init__(self, text, library):
        self.p = subprocess.Popen([sys.executable, "-c", text, library], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        true("it starts", self.p.stdout.readline().strip() == "0")

    def end(self):
        self.p.communicate("\n", timeout=200)


def main():
    nvml, cuda = map(os.path.abspath, sys.argv[1:])
    pid = mediator()
    spare, _ = wait_for(pid, "one spare, with a context, and no other",
                        lambda warm, cold: len(warm) == 1 and not cold)
    watcher = Program(WATCH, nvml)
    warm, cold = wait_for(pid, "one that serves, and one for the next, without contexts",
                          lambda warm, cold: len(cold) == 2)
    true("the spare with a context is still there", warm == spare)
    watcher.end()
    _, left = wait_for(pid, "the next one's stays", lambda warm, cold: len(cold) == 1)
    true("it is one of the two", left < cold)
    watcher = Program(WATCH, nvml)
    _, now = wait_for(pid, "and serves the next", lambda warm, cold: len(cold) == 2)
    true("it is the same", left < now)
    computer = Program(COMPUTE, cuda)
    wait_for(pid, "a program that computes takes the one with a context",
             lambda warm, cold: len(warm) == 2 and spare < warm and cold == now)
    computer.end()
    watcher.end()
    wait_for(pid, "one of each is left", lambda warm, cold: (len(warm), len(cold)) == (1, 1))
    print(f"spares: {checks} checks passed, 0 failed")


if __name__ == "__main__":
    main()
