#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rates of a vGPU: who is too fast waits, and gets no error.

    test_rates.py BUILD

Times are checked from below alone: a slow machine takes longer.
"""
import os
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from mediator import Mediator, Program, check, finish     # noqa: E402

BUILD = os.path.abspath(sys.argv[1])
KIB = 1 << 10


def took(work):
    began = time.monotonic()
    result = work()
    return time.monotonic() - began, result


def calls(m):
    p, q = Program(m), Program(m)
    for program in (p, q):
        program.ask("alloc(4096)")
    check("without a rate nobody waits", m.vgpu()["call_waits"] == 0, m.vgpu())
    check("a rate", m.ctl("set", "local", "calls=200", "calls_burst=10") == (0, ""))

    def both():
        for program in (p, q):
            program.tell("[info()[0] for _ in range(40)]")
        return p.answer() + q.answer()
    seconds, results = took(both)
    check("two programs together are no faster than it", seconds >= (80 - 10) / 200, seconds)
    check("and get no error", results == [0] * 80, results)
    v = m.vgpu()
    check("waits are counted, with their time",
          v["call_waits"] >= 20 and v["call_waited_us"] >= 150000 and v["byte_waits"] == 0, v)
    check("for each process, too", all(x["call_waits"] > 0 for x in v["processes"]), v)
    check("and vgpuctl status says it", "waited for its rates: calls" in m.ctl("status")[1])
    q.end()
    before = m.vgpu()["call_waits"]
    m.wait(lambda: len(m.vgpu()["processes"]) == 1)
    check("they stay when a process has ended", m.vgpu()["call_waits"] >= before, m.vgpu())
    p.end()
    m.wait(lambda: len(m.events("end")) == 2)
    waited = [e.get("waited_ms", 0) for e in m.events("end")]
    check("the history says how long each has waited", len(waited) == 2 and min(waited) > 50, waited)
    check("and the log", f" waited_ms={waited[0]}" in m.text())
    check("and vgpuctl events", "s for its rates" in m.ctl("events")[1])
    m.ctl("unset", "local", "calls", "calls_burst")


def copied(m):
    p = Program(m)
    p.ask(f"alloc({1024 * KIB})")
    check("a rate of bytes", m.ctl("set", "local", "bytes=256K", "bytes_burst=64K") == (0, ""))
    seconds, results = took(lambda: p.ask(
        f"[copy({64 * KIB}) for _ in range(4)] + [info()[0]]"))
    check("copies are no faster than it", seconds >= (4 * 64 - 64) / 256, seconds)
    check("and right", results == [0] * 5, results)
    v = m.vgpu()
    check("these waits are counted apart", v["byte_waits"] > 0 and v["byte_waited_us"] > 500000, v)
    m.ctl("set", "local", "bytes=1K", "bytes_burst=1K")
    p.tell(f"copy({1024 * KIB}) or info()[0]")
    m.wait(lambda: m.vgpu()["bytes_to_device"] > 256 * KIB)
    check("who would wait for a quarter of an hour goes on when the rate goes",
          m.ctl("unset", "local", "bytes", "bytes_burst") == (0, "") and p.answer() == 0)
    p.end()


def ended(m):
    """Who ends after one copy, and begins again, is no faster."""
    check("a rate of few bytes", m.ctl("set", "local", "bytes=1K", "bytes_burst=1K") == (0, ""))
    p = Program(m)
    p.ask(f"alloc({1024 * KIB})")
    p.tell(f"copy({1024 * KIB})")
    m.wait(lambda: m.vgpu()["processes"][0]["bytes_to_device"] >= 1024 * KIB)
    p.end()
    m.wait(lambda: not m.vgpu()["processes"])
    p = Program(m)
    p.ask(f"alloc({1024 * KIB})")
    p.tell(f"copy({1024 * KIB})")
    # The copy is under way, or waits.
    moved = m.wait(lambda: m.vgpu()["processes"][0]["bytes_to_device"], 3)
    check("a program pays for those before it first", not moved, moved)
    check("and goes on when the rate goes",
          m.ctl("unset", "local", "bytes", "bytes_burst") == (0, "") and p.answer() == 0)
    p.end()


def starts(m):
    m.ctl("set", "local", "starts=4", "starts_burst=1")
    programs = []
    seconds, _ = took(lambda: programs.extend(Program(m) for _ in range(4)))
    check("programs start no faster than their rate", seconds >= 3 / 4 - 0.01, seconds)
    check("and all start", [p.started for p in programs] == [0] * 4)
    check("those that waited are counted", m.vgpu()["start_waits"] >= 3, m.vgpu())
    for p in programs:
        p.end()


with tempfile.TemporaryDirectory() as place:
    os.chmod(place, 0o711)
    mediator = Mediator(BUILD, place)
    for test in (calls, copied, ended, starts):
        test(mediator)
    mediator.end()
finish()
