#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Settings of a vGPU that change while its programs run, and outlive the mediator.

    test_set.py BUILD
"""
import json
import os
import signal
import socket
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from mediator import Mediator, Program, check, finish     # noqa: E402

BUILD = os.path.abspath(sys.argv[1])
MIB = 1 << 20
OUT_OF_MEMORY, NOT_READY = 2, 802


def live(folder):
    m = Mediator(BUILD, folder)
    check("before anything is set the file counts", m.setting("memory") == ("256M", "[socket]"),
          m.vgpu()["settings"])
    p = Program(m)
    check("a program begins", p.started == 0, p.started)
    check("and takes 64 MiB", p.ask(f"alloc({64 * MIB})") == 0)
    check("a limit is set below what is in use", m.ctl("set", "local", "memory=32M") == (0, ""))
    check("it gets no more", p.ask(f"alloc({2 * MIB})") == OUT_OF_MEMORY)
    check("what it has it keeps, and nothing is free", p.ask("info()") == (0, 0, 32 * MIB),
          p.ask("info()"))
    check("below the limit", p.ask("free()") == 0)
    check("it gets memory again", p.ask(f"alloc({2 * MIB})") == 0)
    check("up to the limit", p.ask(f"alloc({32 * MIB})") == OUT_OF_MEMORY)
    check("a higher one", m.ctl("set", "local", "memory=1G", "starts=7") == (0, ""))
    check("counts at once", p.ask(f"alloc({512 * MIB})") == 0)
    check("vgpuctl show says what is set",
          [line.split() for line in m.ctl("show", "local")[1].splitlines()][1] ==
          ["memory", "1G", "set"], m.ctl("show", "local"))
    check("and status says it", m.setting("starts") == ("7", "set"), m.vgpu()["settings"])
    check("one is taken back", m.ctl("unset", "local", "memory") == (0, "") and
          m.setting("memory") == ("256M", "[socket]"), m.vgpu()["settings"])
    check("and the other", m.ctl("set", "local", "starts=default") == (0, "") and
          m.setting("starts") == ("20", "[limits]"), m.vgpu()["settings"])
    p.end()
    check("programs at a time", m.ctl("set", "local", "programs=1")[0] == 0)
    m.wait(lambda: not m.vgpu()["processes"])
    p = Program(m)
    second = Program(m)
    check("the second is refused", (p.started, second.started) == (0, NOT_READY),
          (p.started, second.started))
    p.end()
    second.end()
    m.end()


def wrong(folder):
    m = Mediator(BUILD, folder)
    for words, said in (
            (["memory=0"], "memory=0: not a value for it; allowed: a number of more than 0"),
            (["memory=lots"], "memory=lots: not a value for it"),
            (["memory=-1"], "memory=-1: not a value for it"),
            (["starts=0"], "starts=0: not a value for it; allowed: 1 to 100000"),
            (["starts=4x"], "starts=4x: not a value for it"),
            (["memory=1G", "starts=0"], "starts=0: not a value"),
            (["colour=blue"], "there is no setting colour; allowed: memory, contexts")):
        code, text = m.ctl("set", "local", *words)
        check(f"{' '.join(words)} is refused with the cause", code == 1 and said in text, text)
    for words in (["memory"], ["=4"], ["memory=1G", "memory=2G"]):
        check(f"{' '.join(words)} is no setting", m.ctl("set", "local", *words)[0] == 2)
    check("all or nothing", m.setting("memory") == ("256M", "[socket]"), m.vgpu()["settings"])
    code, text = m.ctl("set", "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001", "memory=1G")
    check("a vGPU that is not there is named", code == 1 and
          "there is no vGPU 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001" in text, text)
    if not os.getuid():
        os.chmod(f"{folder}/control", 0o666)
        code, text = m.ctl("set", "local", "memory=1G", user=65534)
        check("another user may not", code == 1 and "only root" in text and
              m.setting("memory") == ("256M", "[socket]"), text)
        check("though he may look", m.ctl("show", user=65534)[0] == 0)
    check("no file was made", not os.path.exists(m.state))
    os.mkdir(m.state + ".new")
    code, text = m.ctl("set", "local", "memory=1G")
    check("what cannot be kept is not in force", code == 1 and "nothing is changed" in text and
          m.setting("memory") == ("256M", "[socket]"), text)
    os.rmdir(m.state + ".new")
    m.end()


def kept(folder):
    m = Mediator(BUILD, folder)
    check("two are set", m.ctl("set", "local", "memory=64M", "contexts=none") == (0, ""))
    m.end("kill")
    os.unlink(f"{folder}/control")
    # As if the vGPU of a VM had been set, which is not there yet.
    with open(m.state) as f:
        state = json.load(f)
    other = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"
    state["vgpus"][other] = {"set": {"memory": "2G"}}
    with open(m.state, "w") as f:
        json.dump(state, f)
    m = Mediator(BUILD, folder)
    check("they are there after a mediator that was killed",
          (m.setting("memory"), m.setting("contexts")) == (("64M", "set"), ("none", "set")),
          m.vgpu()["settings"])
    p = Program(m)
    check("and in force", p.ask(f"alloc({80 * MIB})") == OUT_OF_MEMORY and
          p.ask(f"alloc({40 * MIB})") == 0)
    p.end()
    check("what is kept of one that is not there is named",
          f"{other}  is not there" in m.ctl("show")[1], m.ctl("show"))
    check("and can be taken back", m.ctl("unset", other, "memory") == (0, "") and
          other not in m.ctl("show")[1], m.ctl("show"))
    check("the file is root's alone", os.stat(m.state).st_mode & 0o777 == 0o600)
    check("and no other is beside it", not os.path.exists(m.state + ".new"))
    check("with all taken back", m.ctl("unset", "local", "memory", "contexts") == (0, ""))
    with open(m.state) as f:
        check("nothing is kept", json.load(f)["vgpus"] == {})
    m.end()
    for text, said in (("{", "not a file of vgpu-mediatord's state"),
                       ('{"version": 1, "vgpus": {"local": {"set": []}}}', "vgpus.local.set is no"),
                       ('{"version": 1, "vgpus": {"local": {"set": null}}}', "vgpus.local.set is no"),
                       ('{"version": 1, "vgpus": {"local": {"quarantine": 7}}}', "no since_ms or no"),
                       ('{"version": 1, "vgpus": {"local:5": {"quarantine": {"since_ms": 1, '
                        '"why": null}}}}', "no since_ms or no"),
                       ('{"version": 7, "vgpus": {}}', "another version"),
                       ('{"version": 1, "vgpus": {"local": {"set": {"memory": "x"}}}}',
                        "vgpus.local.set.memory"),
                       ('{"version": 1, "vgpus": {"Me": {}}}', "vgpus.Me")):
        with open(m.state, "w") as f:
            f.write(text)
        bad = Mediator(BUILD, folder, wait=False)
        code = bad.process.wait(60)
        last = bad.text().splitlines()[-1]
        check(f"with {text} the mediator does not start, and says why",
              code == 2 and said in last and m.state in last, (code, last))
        bad.log.close()


def of_the_file(folder):
    m = Mediator(BUILD, folder, "[pool A]\nmemory = 200M\nstarts = 9\n[type socket]\nmemory = 100M\n"
                 "programs = 3\n[vgpu local]\nprograms = 2\n")
    check("a pool's, a type's and a vGPU's section count in this order",
          (m.setting("starts"), m.setting("memory"), m.setting("programs")) ==
          (("9", "[pool A]"), ("100M", "[type socket]"), ("2", "[vgpu local]")),
          m.vgpu()["settings"])
    check("what is set counts before them", m.ctl("set", "local", "programs=5")[0] == 0 and
          m.setting("programs") == ("5", "set"), m.vgpu()["settings"])
    p = Program(m)
    m.configure("[type socket]\nmemory = 16M\n")
    m.process.send_signal(signal.SIGHUP)
    m.wait(lambda: "read again" in m.text())
    check("a file that is read again counts for what is there",
          (m.setting("memory"), m.setting("starts"), m.setting("programs")) ==
          (("16M", "[type socket]"), ("20", "[limits]"), ("5", "set")), m.vgpu()["settings"])
    check("also for the program that runs", p.ask(f"alloc({32 * MIB})") == OUT_OF_MEMORY and
          p.ask(f"alloc({8 * MIB})") == 0)
    check("and the log says what was taken over", "[type socket] memory = 16M: taken over" in m.text()
          and "[pool A] starts = the default: taken over" in m.text(), m.text())
    p.end()
    m.end()


def not_kept(folder):
    m = Mediator(BUILD, folder, state="")
    code, text = m.ctl("set", "local", "memory=64M")
    check("without a file it is in force, and vgpuctl says until when",
          code == 0 and "until the mediator ends" in text and
          m.setting("memory") == ("64M", "set"), text)
    m.end()


def tenant(folder):
    m = Mediator(BUILD, folder, f"[socket team-a]\npath = {folder}/a/sock\nmemory = 1G\n"
                 f"[socket team-b]\npath = {folder}/b/sock\n")
    check("status has a tenant's socket and its size",
          [m.vgpu("team-a")[k] for k in ("socket", "size")] == [f"{folder}/a/sock", 1 << 30],
          m.vgpu("team-a"))
    check("a tenant without a limit has no size", "size" not in m.vgpu("team-b"), m.vgpu("team-b"))
    check("what is set", m.ctl("set", "team-a", "memory=2G") == (0, ""))
    check("is the limit, and not the size",
          [m.vgpu("team-a")[k] for k in ("memory_limit", "size")] == [2 << 30, 1 << 30],
          m.vgpu("team-a"))
    m.end()


def slow_reader(folder):
    """One that reads a long answer slowly gets its beginning, because the mediator waits meanwhile."""
    m = Mediator(BUILD, folder, "".join(f"[socket t{i}]\npath = {folder}/t{i}.sock\n"
                                        for i in range(250)))
    whole = len(m.ctl("status", "--json")[1])
    read = 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.connect(f"{folder}/control")
        s.sendall(b'{"request":"status"}\n')
        # Each piece makes room for the next one.
        while some := s.recv(36000):
            read += len(some)
            time.sleep(0.4)
    check("who reads slowly is not waited for", 0 < read < whole, (read, whole))
    check("and others are answered", m.setting("memory") == ("256M", "[socket]"))
    m.end()


for test in (live, wrong, kept, of_the_file, not_kept, tenant, slow_reader):
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o711)
        test(place)
finish()
