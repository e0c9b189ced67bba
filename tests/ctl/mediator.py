# SPDX-License-Identifier: Apache-2.0
"""A mediator of a test's own, with softgpu, and programs over its socket."""
import atexit
import json
import os
import subprocess
import sys
import time

passed = failed = 0

# A program that does what it is told, a line each: a Python expression, whose value it prints.
OBEDIENT = """
import ctypes, os, sys, time
c = ctypes.CDLL("libcuda.so.1")
def init():
    global ctx
    ctx = ctypes.c_void_p()
    return (c.cuInit(0) or c.cuDevicePrimaryCtxRetain(ctypes.byref(ctx), 0) or
            c.cuCtxSetCurrent(ctx))
held = []
def alloc(n):
    p = ctypes.c_uint64()
    r = c.cuMemAlloc_v2(ctypes.byref(p), ctypes.c_size_t(n))
    if not r: held.append(p)
    return r
def free(): return c.cuMemFree_v2(held.pop())
def copy(n):
    return c.cuMemcpyHtoD_v2(held[-1], b"x" * n, ctypes.c_size_t(n))
def info():
    f, t = ctypes.c_size_t(), ctypes.c_size_t()
    r = c.cuMemGetInfo_v2(ctypes.byref(f), ctypes.byref(t))
    return r, f.value, t.value
stream, other = ctypes.c_void_p(), ctypes.c_void_p()
def load(ptx, name):
    global f
    m, f = ctypes.c_void_p(), ctypes.c_void_p()
    return (c.cuModuleLoadData(ctypes.byref(m), ptx.encode()) or
            c.cuModuleGetFunction(ctypes.byref(f), m, name.encode()))
def new_stream(s): return c.cuStreamCreate(ctypes.byref(s), 1)
def launch(*args, s=None):
    cells = [ctypes.c_uint64(a) for a in args]
    params = (ctypes.c_void_p * (len(cells) + 1))(*[ctypes.addressof(x) for x in cells], None)
    return c.cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, s, params, None)
for line in sys.stdin:
    try:
        print(repr(eval(line)), flush=True)
    except SyntaxError:
        exec(line)
        print(None, flush=True)
    except Exception as e:
        print(repr(str(e)), flush=True)
"""


def check(what, fine, seen=""):
    global passed, failed
    passed, failed = passed + bool(fine), failed + (not fine)
    print(f"{'ok' if fine else 'not ok'} - {what}" + ("" if fine else f": {seen}"), flush=True)


def finish():
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


class Program:
    """An obedient one; its connection ends with it."""
    def __init__(self, mediator, start=True):
        self.process = subprocess.Popen([sys.executable, "-c", OBEDIENT], env=mediator.env(),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        atexit.register(self.process.kill)
        self.started = self.ask("init()") if start else None

    def ask(self, expression):
        self.tell(expression)
        return self.answer()

    def tell(self, expression):
        try:
            self.process.stdin.write(expression + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass

    def answer(self):
        line = self.process.stdout.readline()
        return eval(line) if line else None

    def end(self):
        self.process.kill()
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        said = self.process.stderr.read()
        self.process.wait()
        return said


class Mediator:
    def __init__(self, build, folder, more="", state="state.json", wait=True):
        self.build, self.folder = build, folder
        self.state = state and f"{folder}/{state}"
        self.configure(more)
        self.log = open(f"{folder}/log", "a")
        self.process = subprocess.Popen([f"{build}/bin/vgpu-mediatord", "--config",
                                         f"{folder}/conf"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=self.log)
        # A test that fails in the middle is to leave none behind.
        atexit.register(self.process.kill)
        if wait:
            self.wait(lambda: os.path.exists(f"{folder}/control"))

    def configure(self, more):
        with open(f"{self.folder}/conf", "w") as conf:
            conf.write(f"[executor]\npath = {self.build}/bin/vgpu-executor\n"
                       f"libcuda = {self.build}/lib/libvgpu-softgpu.so\nuser = nobody\ncache =\n"
                       f"[socket]\npath = {self.folder}/sock\nmemory = 256M\n"
                       f"[control]\npath = {self.folder}/control\n"
                       f"[host]\ndevice = {self.folder}/none\n"
                       f"[history]\npath = {self.folder}/history.db\n"
                       f"[state]\npath = {self.state}\n{more}")

    def wait(self, until, seconds=60):
        end = time.monotonic() + seconds
        while not (good := until()) and time.monotonic() < end and self.process.poll() is None:
            time.sleep(0.02)
        return good

    def env(self):
        return {**os.environ, "VGPU_TRANSPORT": f"unix:{self.folder}/sock",
                "LD_LIBRARY_PATH": f"{self.build}/lib"}

    def ctl(self, *words, user=None):
        done = subprocess.run([f"{self.build}/bin/vgpuctl", "--socket", f"{self.folder}/control",
                               *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, user=user)
        return done.returncode, done.stdout.strip()

    def status(self):
        return json.loads(self.ctl("status", "--json")[1])

    def vgpu(self, name="local"):
        return [v for v in self.status()["vgpus"] if v["vgpu"] == name][0]

    def setting(self, key):
        s = self.vgpu()["settings"][key]
        return s["value"], s["from"]

    def events(self, kind=None):
        lines = self.ctl("events", "--json")[1].splitlines()
        events = [json.loads(line) for line in lines if line.startswith("{")]
        return [e for e in events if kind in (None, e["event"])]

    def text(self):
        with open(f"{self.folder}/log") as log:
            return log.read()

    def end(self, how="terminate"):
        getattr(self.process, how)()
        self.process.wait(60)
        self.log.close()
