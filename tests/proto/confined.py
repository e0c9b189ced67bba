#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an executor that serves may do, as the kernel says.

    confined.py LIBCUDA [UIDS]      UIDS: the mediator has `uids = UIDS` (FIRST-LAST)

Under with-mediator.  The mediator's child that serves a program is looked at in /proc.
"""
import glob
import os
import socket
import struct
import subprocess
import sys
import time

PROGRAM = """
import ctypes, os, sys
if int(sys.argv[2]):
    os.setuid(int(sys.argv[2]))
cuda, ctx = ctypes.CDLL(sys.argv[1]), ctypes.c_void_p()
print(cuda.cuInit(0) or cuda.cuDevicePrimaryCtxRetain(ctypes.byref(ctx), 0), flush=True)
sys.stdin.readline()
"""
checks = 0


def true(what, good):
    global checks
    checks += 1
    if not good:
        sys.exit(f"FAIL confined: {what}")


def children():
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.connect(os.environ["VGPU_TEST_CONTROL"])
        pid = struct.unpack("iII", s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    found = set()
    # A thread of the mediator's starts them.
    for path in glob.glob(f"/proc/{pid}/task/*/children"):
        with open(path) as f:
            found |= set(f.read().split())
    return found


def status(path):
    with open(f"{path}/status") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


class Program:
    """A program, of a user if it is not 0, and the executor that serves it."""

    def __init__(self, library, user=0):
        self.p = subprocess.Popen([sys.executable, "-c", PROGRAM, library, str(user)],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        true("it is served", self.p.stdout.readline().strip() == "0")
        self.executor = next(c for c in children() if status(f"/proc/{c}")["Seccomp"] == "2"
                             and c not in Program.known)
        Program.known.add(self.executor)

    known = set()

    def threads(self):
        tasks = f"/proc/{self.executor}/task"
        return [status(f"{tasks}/{t}") for t in os.listdir(tasks)]

    def users(self):
        return {n for t in self.threads() for n in t["Uid"].split() + t["Gid"].split()}

    def end(self):
        self.p.communicate("\n", timeout=20)


def limits(pid):
    names = ("Max core file size", "Max open files", "Max locked memory", "Max data size",
             "Max file size")
    with open(f"/proc/{pid}/limits") as f:
        return {n: line[26:].split()[1] for line in f for n in names if line.startswith(n)}


def main():
    library, uids = os.path.abspath(sys.argv[1]), sys.argv[2:]
    root = not os.geteuid()
    one = Program(library)
    for t in one.threads():
        true("no thread gets new privileges", t["NoNewPrivs"] == "1")
        true("each thread has the filter", t["Seccomp"] == "2")
        true("no thread has a capability", {t["CapPrm"], t["CapEff"], t["CapInh"]} == {"0" * 16})
    now = limits(one.executor)
    true(f"its limits are set: {now}",
         now["Max core file size"] == "0" and int(now["Max open files"]) <= 65536 and
         int(now["Max locked memory"]) <= 8 << 20 and int(now["Max data size"]) <= 16 << 30 and
         int(now["Max file size"]) <= 16 << 30)
    if root:
        first, last = map(int, uids[0].split("-")) if uids else (1, 2 ** 32)
        mine = one.users()
        true(f"it is nobody's that matters: {mine}", "0" not in mine)
    if root and uids:
        true(f"its user is one of the range: {mine}",
             len(mine) == 1 and first <= int(next(iter(mine))) <= last)
        true("it has no other groups", not one.threads()[0]["Groups"].strip())
        again = Program(library)
        true("another of the same user has the same", again.users() == mine)
        other = Program(library, 12345)
        true("one of another user has another", other.users() != mine)
        for p in again, other:
            p.end()
    one.end()
    time.sleep(0.2)
    print(f"confined: {checks} checks passed, 0 failed")


if __name__ == "__main__":
    main()
