#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The operator lets a vGPU, or all, have no new programs; those that run go on to their ends.

    test_drain.py BUILD
"""
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from mediator import Mediator, Program, check, finish     # noqa: E402

BUILD = os.path.abspath(sys.argv[1])
NOT_READY = 802
QUIET = (0, "")


class Of:
    """A mediator as a program of a tenant sees it, with this name and a socket of its own."""
    def __init__(self, mediator, name):
        self.name, self.m = name, mediator

    def env(self):
        return {**self.m.env(), "VGPU_TRANSPORT": f"unix:{self.m.folder}/{self.name}.sock"}


def begin(folder, wait=True):
    return Mediator(BUILD, folder, f"[limits]\nstarts = 1000\n"
                    f"[socket team-a]\npath = {folder}/team-a.sock\n", wait=wait)


def served(of):
    p = Program(of)
    return p.started, p.end()


def refused(of):
    code, said = served(of)
    return code == NOT_READY and "vgpuctl drain" in said


def waiter(m, *words):
    return subprocess.Popen([f"{BUILD}/bin/vgpuctl", "--socket", f"{m.folder}/control", "drain",
                             *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def ended(w):
    said = w.communicate(timeout=120)[0].strip()
    return w.returncode, said


def metrics(m):
    p = subprocess.Popen([f"{BUILD}/bin/vgpu-exporter", "--listen", "127.0.0.1:0", "--socket",
                          f"{m.folder}/control"], stdout=subprocess.PIPE, text=True)
    try:
        address = p.stdout.readline().split()[-1]
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=60) as page:
            return page.read().decode()
    finally:
        p.terminate()
        p.wait(60)


def doctor(m):
    said = m.ctl("doctor", "--host", "--json", "--root", m.folder)[1]
    checks = json.loads(said[said.index("{"):])["checks"]
    return [c for c in checks if c["check"] == "drain"]


def kinds(m):
    return [(e["event"], e.get("vgpu")) for e in m.events() if e["event"] in ("drain", "undrain")]


def told(m, *events):
    """These events and no others; a thread writes them."""
    return m.wait(lambda: len(kinds(m)) >= len(events)) and kinds(m) == list(events)


def one(folder):
    m = begin(folder)
    team = Of(m, "team-a")
    p = Program(m)
    check("without a drain nothing says one", not m.vgpu()["drained"] and doctor(m) == [] and
          "DRAINED" not in m.ctl("status")[1], m.vgpu())
    before = time.time() * 1000
    check("one is drained, without a word", m.ctl("drain", "local") == QUIET)
    check("a program that runs goes on", p.ask("alloc(1 << 20)") == 0)
    code, said = served(m)
    check("a new one is refused, and told why", code == NOT_READY and "operator" in said and
          "vgpuctl drain" in said, (code, said))
    m.wait(lambda: m.events("refuse"))
    refusals = m.events("refuse")
    check("that is one event", [(e["vgpu"], e["why"]) for e in refusals] ==
          [("local", "the operator has drained the vGPU")], refusals)
    check("another vGPU is served", served(team) == QUIET, m.status())
    v = m.vgpu()
    check("status has it as JSON, and since when", v["drained"] is True and
          before - 1 <= v["drained_since_ms"] <= time.time() * 1000 and
          m.vgpu("team-a")["drained"] is False and m.status()["drained_all"] is False, v)
    text = m.ctl("status")[1]
    check("and in words, once", text.count("DRAINED") == 1 and
          "DRAINED: it gets no new programs until vgpuctl undrain local" in text, text)
    text = m.ctl("top", "--once", "--interval", "0.1")[1]
    check("top marks its name alone", "\n- local" in text and "\nteam-a" in text, text)
    rows = json.loads(m.ctl("top", "--once", "--json", "--interval", "0.1")[1])["vgpus"]
    check("also for programs", {r["vgpu"]: r["drained"] for r in rows} ==
          {"local": True, "team-a": False}, rows)
    lines = [line for line in metrics(m).splitlines() if line.startswith("vgpu_drained{")]
    check("the exporter has a metric", sorted((line.split('"')[1], line[-2:]) for line in lines) ==
          [("local", " 1"), ("team-a", " 0")], lines)
    found = doctor(m)
    check("doctor warns, and says how it ends", [(c["state"], "local is drained" in c["found"],
          "vgpuctl undrain local" in c["do"]) for c in found] == [("warning", True, True)], found)
    check("who is drained is drained again without an event", m.ctl("drain", "local") == QUIET and
          told(m, ("drain", "local")), kinds(m))
    if not os.getuid():
        os.chmod(f"{folder}/control", 0o666)
        for word in ("drain", "undrain"):
            code, said = m.ctl(word, "local", user=65534)
            check(f"{word} is not for others than the operator", code == 1 and "only root" in said,
                  said)
    check("the operator takes it back", m.vgpu()["drained"] and m.ctl("undrain", "local") == QUIET
          and not m.vgpu()["drained"] and "drained_since_ms" not in m.vgpu(), m.vgpu())
    check("programs are served again", served(m) == QUIET)
    check("once more changes nothing", m.ctl("undrain", "local") == QUIET and
          told(m, ("drain", "local"), ("undrain", "local")), kinds(m))
    p.end()
    m.end()


def everyone(folder):
    m = begin(folder)
    team = Of(m, "team-a")
    m.ctl("drain", "team-a")
    check("all are drained", m.ctl("drain", "--all") == QUIET and refused(m) and refused(team) and
          m.status()["drained_all"] is True, m.status())
    text = m.ctl("status")[1]
    check("status says how that ends", text.count("until vgpuctl undrain --all") == 2, text)
    found = doctor(m)
    check("doctor says it once", len(found) == 1 and "all vGPUs" in found[0]["found"] and
          "undrain --all" in found[0]["do"], found)
    code, said = m.ctl("undrain", "local")
    check("none of them is served alone", code == 1 and "undrain --all" in said and refused(m), said)
    check("the end is for all, also for one that was drained before",
          m.ctl("undrain", "--all") == QUIET and served(m) == QUIET and served(team) == QUIET and
          not m.status()["drained_all"], m.status())
    check("events say it", told(m, ("drain", "team-a"), ("drain", None), ("undrain", None),
                                    ("undrain", "team-a")), kinds(m))
    m.end()


def waits(folder):
    m = begin(folder)
    team = Of(m, "team-a")
    check("with no program there is nothing to wait for", m.ctl("drain", "local", "--wait") == QUIET)
    m.ctl("undrain", "local")
    p, q, r = Program(m), Program(m), Program(team)
    code, said = m.ctl("drain", "local", "--wait", "0.1")
    check("the line says who still runs, and of that vGPU alone", code == 1 and
          said.startswith("vgpuctl: after 0.1 s 2 programs still run: local: ") and
          all(f"{x.process.pid} (python" in said for x in (p, q)) and
          "team-a" not in said and "\n" not in said, said)
    check("and the drain stays", m.vgpu()["drained"] and refused(m), m.vgpu())
    code, said = m.ctl("drain", "--all", "--wait=0")
    check("of all, each with its vGPU", code == 1 and "3 programs still run" in said and
          f"team-a: {r.process.pid} (python" in said and " local: " in said, said)
    w, of_one = waiter(m, "--all", "--wait"), waiter(m, "team-a", "--wait", "3600")
    r.end()
    check("who waits for one waits for no other", ended(of_one) == QUIET)
    p.end()
    m.wait(lambda: len(m.vgpu()["processes"]) == 1)
    time.sleep(1.5)
    check("who waits for all waits while one runs", w.poll() is None, w.poll())
    q.end()
    check("and is done with the last", ended(w) == QUIET)

    many = []
    m.ctl("undrain", "--all")
    for _ in range(12):
        many.append(Program(m))
    code, said = m.ctl("drain", "local", "--wait", "0")
    check("of many programs the line names ten", code == 1 and said.count("(python") == 10 and
          "12 programs" in said and said.endswith(" and 2 more"), said)
    for p in many[1:]:
        p.end()
    m.ctl("undrain", "--all")
    for what, end in (("one", "local"), ("all", "--all")):
        w = waiter(m, end, "--wait")
        m.wait(lambda: m.vgpu()["drained"])
        m.ctl("undrain", "--all")
        code, said = ended(w)
        check(f"a drain of {what} that is taken back ends the waiting", code == 1 and
              "was ended by vgpuctl undrain" in said and many[0].ask("alloc(1 << 20)") == 0, said)
    w = waiter(m, "local", "--wait")
    m.wait(lambda: m.vgpu()["drained"])
    m.end("kill")
    code, said = ended(w)
    # Connection refused, or an answer cut short.
    check("so does the end of the mediator", code == 1 and said.startswith(f"vgpuctl: {folder}/control: ") and
          "\n" not in said, said)
    many[0].end()
    os.unlink(f"{folder}/control")
    m = begin(folder)
    check("the next one serves programs", not m.vgpu()["drained"] and served(m) == QUIET, m.vgpu())
    m.end()


def wrong(folder):
    m = begin(folder)
    for words, code, line in (
            (["drain"], 2, "vgpuctl: drain needs one UUID, or --all"),
            (["undrain"], 2, "vgpuctl: undrain needs one UUID, or --all"),
            (["drain", "--wait"], 2, "vgpuctl: drain needs one UUID, or --all"),
            (["drain", "local", "--all"], 2, "vgpuctl: drain needs one UUID, or --all"),
            (["undrain", "local", "team-a"], 2, "vgpuctl: undrain needs one UUID, or --all"),
            (["undrain", "local", "--wait"], 2,
             "vgpuctl: undrain takes no --wait, because it ends at once"),
            (["drain", "local", "--wait=soon"], 2, "vgpuctl: --wait soon: not 0 to 31536000 seconds"),
            (["drain", "local", "--wait=-1"], 2, "vgpuctl: --wait -1: not 0 to 31536000 seconds"),
            (["drain", "local", "--wait="], 2, "vgpuctl: --wait : not 0 to 31536000 seconds"),
            (["drain", "local", "--wait=0x5"], 2, "vgpuctl: --wait 0x5: not 0 to 31536000 seconds"),
            (["drain", "local", "--wait", "1.2.3"], 2,
             "vgpuctl: --wait 1.2.3: not 0 to 31536000 seconds"),
            (["drain", "local", "--wait", "31536001"], 2,
             "vgpuctl: --wait 31536001: not 0 to 31536000 seconds"),
            (["status", "--all"], 2, "vgpuctl: --all is for drain and undrain"),
            (["release", "local", "--wait"], 2, "vgpuctl: --wait is for drain"),
            (["drain", "--wait", "nobody"], 1, "vgpuctl: the mediator says: there is no vGPU nobody"),
            (["drain", "local:0"], 1, "vgpuctl: the mediator says: there is no vGPU local:0"),
            (["undrain", "nobody"], 1, "vgpuctl: the mediator says: there is no vGPU nobody")):
        got, said = m.ctl(*words)
        check(f"{' '.join(words)}: one line says why", got == code and said.split("\n")[0] == line and
              (code == 2 or "\n" not in said), (got, said))
    check("nothing is drained by that", not m.status()["drained_all"] and kinds(m) == [] and
          served(m) == QUIET, m.status())
    m.end()


for test in (one, everyone, waits, wrong):
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o711)
        test(place)
finish()
