#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shares of GPU time, and tenants by sockets of their own (docs/sharing.md).

    test_shares.py BUILD

How well shares hold is measured on a GPU (tests/gpu/shares), for here kernels run on the CPUs that
other tests use, too. Here only the time of turns is compared, by the mediator's own clock.
"""
import os
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from mediator import Mediator, Program, check, finish     # noqa: E402

BUILD = os.path.abspath(sys.argv[1])
MIB = 1 << 20
TENANTS = """[socket]
mode = 0640
[socket team-a]
path = {0}/a.sock
pool = A
memory = 64M
[socket team-b]
path = {0}/b.sock
pool = B
mode = 0600
"""
SHARES = "[pool A]\nshare = 20\n[pool B]\nshare = 80\n"
# A kernel that waits until a word is not 0 any more would never end without the next call.
WAIT = """.version 6.0
.target sm_50
.address_size 64
.visible .entry k(.param .u64 p) { .reg .b64 %p; .reg .b32 %r;
ld.param.u64 %p, [p]; ld.global.u32 %r, [%p]; add.u32 %r, %r, 1; st.global.u32 [%p], %r; ret; }
"""


class Of:
    """A mediator as a tenant's program sees it."""
    def __init__(self, mediator, name):
        self.mediator, self.name = mediator, name

    def env(self):
        return {**self.mediator.env(),
                "VGPU_TRANSPORT": f"unix:{self.mediator.folder}/{self.name}.sock"}


def greedy(tenant):
    """It launches kernels for as long as it is let."""
    return subprocess.Popen([f"{BUILD}/tests/bench/share", "stream", "100", "1", "600"],
                            env={**tenant.env(), "VGPU_SOFTGPU_THREADS": "1"},
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def turns(m, *names):
    return [m.vgpu(name).get("turns_ns", 0) for name in names]


def tenants(m, a, b):
    p, q = Program(a), Program(b)
    check("tenants have their own memory", p.ask("info()[2]") == 64 * MIB and
          p.ask(f"alloc({80 * MIB})") == 2 and q.ask(f"alloc({80 * MIB})") == 0)
    names = {v["vgpu"]: v for v in m.status()["vgpus"]}
    check("and their own names and pools", set(names) == {"local", "team-a", "team-b"} and
          names["team-b"]["pool"] == "B" and len(names["team-a"]["processes"]) == 1, names)
    check("the file says who may use a socket",
          os.stat(f"{m.folder}/b.sock").st_mode & 0o777 == 0o600)
    check("or what counts for all does", os.stat(f"{m.folder}/a.sock").st_mode & 0o777 == 0o640,
          oct(os.stat(f"{m.folder}/a.sock").st_mode))
    check("a tenant can be set", m.ctl("set", "team-a", "memory=32M") == (0, "") and
          p.ask("info()[2]") == 32 * MIB)
    m.ctl("unset", "team-a", "memory")
    memory = m.vgpu("team-a")["settings"]["memory"]
    check("without it the tenant's section counts, and is named", memory ==
          {"value": "64M", "from": "[socket team-a]"}, memory)
    check("without shares there are no turns", "turns_ns" not in names["team-a"] and
          "gpu_due" not in names["team-a"], names["team-a"])
    for program in (p, q):
        program.end()


def shared(m, a, b):
    with open(f"{m.folder}/conf", "a") as conf:
        conf.write(SHARES)
    m.process.send_signal(signal.SIGHUP)
    check("shares are taken over while it runs",
          m.wait(lambda: "gpu_due" in m.vgpu("team-a")), m.text()[-500:])
    one, two = greedy(a), greedy(b)
    check("both are due their share", m.wait(
        lambda: (round(m.vgpu("team-a")["gpu_due"], 2),
                 round(m.vgpu("team-b")["gpu_due"], 2)) == (0.2, 0.8)), m.status())
    start = turns(m, "team-a", "team-b")
    m.wait(lambda: sum(turns(m, "team-a", "team-b")) - sum(start) > 2e9)
    got = [t - s for t, s in zip(turns(m, "team-a", "team-b"), start)]
    check("turns are as the shares", 0.1 < got[0] / sum(got) < 0.35, got)
    check("and top shows them", "GPU" in m.ctl("top", "--once", "--interval", "0.2")[1])

    p = Program(a)
    check("a third program works meanwhile", p.started == 0 and p.ask("alloc(4096)") == 0)
    p.ask(f"load({WAIT!r}, 'k')")
    p.ask("new_stream(stream)")
    p.ask("c.cuMemsetD8_v2(held[-1], 0, ctypes.c_size_t(4096))")
    p.ask("c.cuStreamWaitValue32_v2(stream, held[-1], 5, 0)")
    for _ in range(3):
        p.ask("launch(held[-1].value + 64, s=stream)")
    check("work that waits for the program does not stop it",
          p.ask("c.cuMemsetD32_v2(held[-1], 5, ctypes.c_size_t(1))") == 0 and
          p.ask("c.cuStreamSynchronize(stream)") == 0)
    p.ask("b = ctypes.c_uint32()")
    p.ask("c.cuMemcpyDtoH_v2(ctypes.byref(b), ctypes.c_uint64(held[-1].value + 64), "
          "ctypes.c_size_t(4))")
    check("and is right", p.ask("b.value") == 3, p.ask("b.value"))
    p.end()

    check("weights can be set", m.ctl("set", "team-a", "weight=300") == (0, "") and
          m.ctl("set", "team-a", "share=80") == (0, "") and
          m.wait(lambda: round(m.vgpu("team-a")["gpu_due"], 2) == 0.5), m.vgpu("team-a"))
    code, said = m.ctl("set", "team-a", "share=-1")
    check("and nonsense cannot", code != 0 and "0 to 10000" in said, said)
    two.send_signal(signal.SIGKILL)
    two.wait()
    check("whoever is alone is due all",
          m.wait(lambda: m.vgpu("team-a")["gpu_due"] == 1), m.vgpu("team-a"))
    calls = m.vgpu("team-a")["calls"]
    check("and goes on", m.wait(lambda: m.vgpu("team-a")["calls"] > calls + 1000))
    m.configure(TENANTS.format(m.folder))
    m.ctl("unset", "team-a", "share", "weight")
    m.process.send_signal(signal.SIGHUP)
    check("without shares it is as before", m.wait(lambda: "gpu_due" not in m.vgpu("team-a")))
    calls = m.vgpu("team-a")["calls"]
    check("and the program goes on", m.wait(lambda: m.vgpu("team-a")["calls"] > calls + 1000))
    one.kill()
    one.wait()


def programs(m, a, b):
    """Programs of many kinds are right in turns, too."""
    with open(f"{m.folder}/conf", "a") as conf:
        conf.write(SHARES)
    m.process.send_signal(signal.SIGHUP)
    m.wait(lambda: "gpu_due" in m.vgpu("team-a"))
    beside = greedy(b)
    for name, *words in (("vectoradd",), ("matmul_tiled",), ("reduce_atomic",), ("threads4",),
                         ("ipc", "1000"), ("features",)):
        done = subprocess.run([f"{BUILD}/programs/{name}", *words], env=a.env(), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
        check(f"{name} beside a greedy one", done.returncode == 0, done)
    beside.kill()
    beside.wait()


def wrong(folder):
    for text, said in (("[socket A]\npath = /x\n", "small letters"),
                       ("[socket a]\nmode = 0600\n", "[socket a] has no path"),
                       ("[socket a]\npath = x\n", "a path from the root"),
                       ("[socket a]\npath = /x\nmemory = 0\n", "more than 0"),
                       ("[socket local]\npath = /x\n", "not local"),
                       ("[pool A]\nshare = 10001\n", "0 to 10000"),
                       ("[pool A]\nweight = 0\n", "1 to 10000"),
                       ("[pool A]\nlatency = 2\n", "0 or 1")):
        bad = Mediator(BUILD, folder, text, wait=False)
        code = bad.process.wait(60)
        last = bad.text().splitlines()[-1]
        check(f"{text!r} is refused", code == 2 and said in last, (code, last))
        bad.log.close()


with tempfile.TemporaryDirectory() as place:
    os.chmod(place, 0o755)
    mediator = Mediator(BUILD, place, TENANTS.format(place))
    first, second = Of(mediator, "a"), Of(mediator, "b")
    tenants(mediator, first, second)
    shared(mediator, first, second)
    programs(mediator, first, second)
    mediator.end()
    check("its sockets go with it", not os.path.exists(f"{place}/a.sock"))
    wrong(place)
finish()
