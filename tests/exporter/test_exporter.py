#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What vgpu-exporter serves: Prometheus' format, the mediator's numbers, and no more.

    test_exporter.py BUILD      with-mediator runs it
"""
import json
import os
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from page import BUILD, CONTROL, Exporter, answered_with, parse     # noqa: E402

passed = failed = 0


def check(what, fine, seen=""):
    global passed, failed
    passed, failed = passed + bool(fine), failed + (not fine)
    print(f"{'ok' if fine else 'not ok'} - {what}" + ("" if fine else f": {seen}"))


def value(metrics, name, **wanted):
    values = [v for labels, v in metrics.get(name, [])
              if all(labels.get(k) == w for k, w in wanted.items())]
    return values[0] if len(values) == 1 else values


def status():
    out = subprocess.run([os.path.join(BUILD, "bin/vgpuctl"), "--socket", CONTROL, "status",
                          "--json"], stdout=subprocess.PIPE, check=True).stdout
    return json.loads(out)["vgpus"][0]


def real():
    exporter = Exporter(CONTROL)
    subprocess.run([os.path.join(BUILD, "programs/vectoradd")], check=True,
                   stdout=subprocess.DEVNULL)
    code, text = exporter.get()
    metrics = parse(text)
    check("the page is in Prometheus' format", isinstance(metrics, dict), metrics)
    if not isinstance(metrics, dict):
        return
    vgpu = status()
    check("the mediator is up", (code, value(metrics, "vgpu_up")) == (200, 1), text)
    check("calls are counted", value(metrics, "vgpu_calls_total", UUID="local", pool="A")
          == vgpu["calls"] > 0, text)
    moved = {by: value(metrics, "vgpu_copied_bytes_total", direction="to_device", by=by)
             for by in ("device", "cpu")}
    check("bytes are those of the status, once",
          moved["device"] + moved["cpu"] == vgpu["bytes_to_device"] > 0, moved)
    check("so is the limit", value(metrics, "vgpu_fb_limit_bytes") == vgpu["memory_limit"], text)
    check("and the memory of contexts", value(metrics, "vgpu_context_limit_bytes")
          == vgpu["contexts_limit"] > 0, text)
    check("the socket's programs have no traps", "vgpu_traps_total" not in metrics, text)
    check("what is not there is not found", exporter.get("/x")[0] == 404)
    check("nothing can be posted", exporter.get(method="POST", data=b"x" * 70000)[0] == 405)
    check("the first page leads to the metrics", 'href="/metrics"' in exporter.get("/")[1])
    code, errors = exporter.end()
    check("it ends when it is told to, in silence", (code, errors) == (0, ""), (code, errors))


def odd_answers():
    odd = 'a "quoted" \\ name\nof two lines'
    page, after, errors = answered_with(json.dumps({
        "libcuda": odd, "vgpus": [{"vgpu": "u", "pool": odd, "in_use": True, "memory": 2**63}]}))
    metrics = parse(page)
    check("odd names are escaped", isinstance(metrics, dict), metrics)
    if isinstance(metrics, dict):
        check("a truth is 1", value(metrics, "vgpu_in_use") == 1, page)
        check("a number may have 64 bits", value(metrics, "vgpu_fb_used_bytes") == 2**63, page)
    check("a mediator that has gone is not up", value(parse(after), "vgpu_up") == 0, after)
    check("and the log says it", "is vgpu-mediatord running?" in errors, errors)
    page, _, errors = answered_with('{"vgpus": [{"vg')
    check("an answer cut short is none", value(parse(page), "vgpu_up") == 0, page)
    check("and the log says why, once", errors.count("cut short") == 1, errors)


def usage():
    for words in (["--listen", "nowhere"], ["--listen", "127.0.0.1:70000"], ["more"], ["--no"]):
        done = subprocess.run([os.path.join(BUILD, "bin/vgpu-exporter"), *words],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        check(f"{' '.join(words)} is refused", done.returncode == 2 and done.stderr, done)


real()
odd_answers()
usage()
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
