#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kernels that never end: what may be queued behind one, and the time limit.

    test_kernels.py BUILD
"""
import os
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from mediator import Mediator, Program, check, finish     # noqa: E402

BUILD = os.path.abspath(sys.argv[1])
LAUNCH_TIMEOUT = 702
# Counts down its argument; 0 for ever.
PTX = """.version 7.0
.target sm_70
.address_size 64
.visible .entry rounds(.param .u64 n)
{
	.reg .u64 %n;
	.reg .pred %p;
	ld.param.u64 %n, [n];
again:
	add.u64 %n, %n, -1;
	setp.ne.u64 %p, %n, 0;
	@%p bra again;
	ret;
}
"""


def ready(m):
    p = Program(m)
    check("a program has its kernel", (p.started, p.ask(f"load({PTX!r}, 'rounds')"),
                                       p.ask("new_stream(stream)"), p.ask("new_stream(other)"))
          == (0, 0, 0, 0))
    return p


def ended(m, p, what):
    """It is told so, and again."""
    check(f"{what}: its program gets a timeout", p.ask("c.cuCtxSynchronize()") == LAUNCH_TIMEOUT)
    check(f"{what}: and from then on", (p.ask("info()[0]"), p.ask("alloc(64)"), p.ask("launch(1)"))
          == (LAUNCH_TIMEOUT,) * 3)
    said = p.end()
    check(f"{what}: and says why", "a kernel ran for longer than the host allows" in said, said)


def limit(folder):
    m = Mediator(BUILD, folder)
    bystander = ready(m)
    check("a limit of a second", m.ctl("set", "local", "kernel_seconds=1") == (0, ""))
    p = ready(m)
    check("one that never ends", p.ask("launch(0)") == 0)
    ended(m, p, "alone")
    m.wait(lambda: m.events("end"))
    event, end = m.events("kernel-timeout"), m.events("end")
    check("an event says it", len(event) == 1 and event[0]["vgpu"] == "local" and
          event[0]["pid"] == p.process.pid and
          event[0]["why"].endswith("kernel_seconds is 1"), event)
    check("and so does the program's end", end and
          end[0]["why"] == "a launch ran for longer than kernel_seconds", end)
    check("it was not ended before", float(event[0]["why"].split()[5]) >= 1, event)
    check("the other program goes on", bystander.ask("(launch(1000), c.cuCtxSynchronize())")
          == (0, 0))
    # Behind many that end, in a stream, with others behind it; and where the stream has gone.
    p = ready(m)
    check("one among many", p.ask("[launch(9, s=stream) for _ in range(300)] + "
                                  "[launch(0, s=stream)] + "
                                  "[launch(9, s=stream) for _ in range(300)]") == [0] * 601)
    ended(m, p, "among many")
    p = ready(m)
    check("one whose stream is destroyed", p.ask("(launch(0, s=stream), "
                                                 "c.cuStreamDestroy_v2(stream), "
                                                 "new_stream(stream))") == (0, 0, 0))
    p.ask("[launch(9, s=stream) for _ in range(20)]")
    ended(m, p, "without its stream")
    p = ready(m)
    p.ask("context = ctypes.c_void_p()")
    rounds = [p.ask(f"(c.cuCtxCreate_v2(ctypes.byref(context), 0, 0), load({PTX!r}, 'rounds'), "
                    "launch(9), c.cuCtxSynchronize(), c.cuCtxDestroy_v2(context))")
              for _ in range(4)]
    check("contexts come and go", rounds == [(0,) * 5] * 4, rounds)
    rounds = [p.ask(f"(c.cuDevicePrimaryCtxReset_v2(0), init(), load({PTX!r}, 'rounds'), launch(9), "
                    "c.cuCtxSynchronize())") for _ in range(4)]
    check("and so does the primary one", rounds == [(0,) * 5] * 4, rounds)
    seen = p.ask(f"(c.cuCtxSetCurrent(ctx), load({PTX!r}, 'rounds'), launch(0), "
                 "c.cuDevicePrimaryCtxReset_v2(0))")
    check("one whose context is to go", seen == (0, 0, 0, LAUNCH_TIMEOUT), seen)
    p.end()
    m.wait(lambda: len(m.events("kernel-timeout")) == 4)
    check("each is an event", len(m.events("kernel-timeout")) == 4, m.events())
    bystander.end()
    m.end()
    check("each launch could be marked", "does not hold for a launch" not in m.text(), m.text())


def many_short(folder):
    """More than a second of launches, none of which takes that long."""
    m = Mediator(BUILD, folder, "[limits]\nkernel_seconds = 1\n")
    p = ready(m)
    # The device is never without one: the program waits when its queue is full.
    p.ask("until = time.monotonic() + 2.5")
    results = p.ask("[launch(20000) for _ in iter(lambda: time.monotonic() < until, False)] + "
                    "[c.cuCtxSynchronize()]")
    check("launches one behind the other for 2.5 s are no long one",
          results and set(results) == {0}, set(results or []))
    check("an idle program is none, either", m.events("kernel-timeout") == [], m.events())
    # A captured launch is none, and its graph has no marks.
    p.ask("g, n = ctypes.c_void_p(), ctypes.c_size_t()")
    nodes = p.ask("(c.cuStreamBeginCapture_v2(stream, 0), launch(9, s=stream), "
                  "c.cuStreamEndCapture(stream, ctypes.byref(g)), "
                  "c.cuGraphGetNodes(g, None, ctypes.byref(n)), n.value)")
    check("a capture is as it was", nodes == (0, 0, 0, 0, 1), nodes)
    m.ctl("set", "local", "kernel_seconds=0")
    p.ask("launch(0)")
    time.sleep(2.5)
    check("without a limit one may go on", m.vgpu()["processes"] and
          m.events("kernel-timeout") == [], m.events())
    p.end()
    m.end()


def queued(folder):
    """What a program has in the queues of the device and of the ring is bounded."""
    m = Mediator(BUILD, folder)
    p = ready(m)
    p.ask("launch(0, s=stream)")
    before = m.vgpu()["calls"]
    p.tell("[launch(9, s=stream) for _ in range(100000)]")
    seen = [0]

    def settled():
        time.sleep(0.2)
        seen.append(m.vgpu()["calls"] - before)
        return seen[-1] == seen[-2] > 0
    m.wait(settled)
    check("the executor takes some thousand launches, and then waits", 900 <= seen[-1] <= 1100,
          seen)
    q = ready(m)
    check("another program is served", q.ask("(launch(9), c.cuCtxSynchronize())") == (0, 0))
    q.end()
    p.end()
    m.wait(lambda: not m.vgpu()["processes"])
    check("it ends when its program does", not m.vgpu()["processes"], m.vgpu())
    m.end()


if __name__ == "__main__":
    for test in (queued, limit, many_short):
        with tempfile.TemporaryDirectory() as place:
            os.chmod(place, 0o711)
            test(place)
    finish()
