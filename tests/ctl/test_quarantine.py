#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who has too many faults gets no new programs until the operator says so.

    test_quarantine.py BUILD
"""
import errno
import json
import mmap
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from mediator import Mediator, Program, check, finish     # noqa: E402
from test_kernels import PTX                              # noqa: E402

BUILD = os.path.abspath(sys.argv[1])
NOT_READY = 802
ME = f"local:{os.getuid()}"


def gone(m):
    m.wait(lambda: not m.vgpu()["processes"])


def crashed(m):
    p = Program(m)
    os.kill(m.vgpu()["processes"][0]["executor"], signal.SIGSEGV)
    p.ask("info()")
    p.end()
    gone(m)


def broke_the_ring(m):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(f"{m.folder}/sock")
    s.sendall(struct.pack("<6I16sQ", 48, 1, 65536, 4, 65536, 0, b"hostile", 0))
    data, fds, _, _ = socket.recv_fds(s, 4096, 3)
    with mmap.mmap(fds[0], 4096) as ring:
        ring[64:72] = struct.pack("<Q", 8)      # a tail that is between records
    os.write(fds[1], struct.pack("<Q", 1))
    s.recv(1)                                   # the end
    for fd in fds:
        os.close(fd)
    s.close()
    gone(m)
    return struct.unpack_from("<2I", data)[1]


def lost_its_context(m):
    subprocess.run([f"{m.build}/programs/illegal_address"], env=m.env(), stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, timeout=60)
    gone(m)


def never_ended(m):
    m.ctl("set", "local", "kernel_seconds=1")
    p = Program(m)
    p.ask(f"load({PTX!r}, 'rounds')")
    p.ask("(launch(0), c.cuCtxSynchronize())")
    p.end()
    gone(m)


def killed(m):
    p = Program(m)
    p.end()
    gone(m)


def served(m):
    p = Program(m)
    said = p.end()
    gone(m)
    return p.started, said


def kinds(folder):
    m = Mediator(BUILD, folder, "[limits]\nfaults = 4\nfault_seconds = 3600\nstarts = 1000\n")
    for _ in range(5):
        killed(m)
    check("a program that is killed is no fault", not m.vgpu()["quarantined"], m.vgpu())
    for what in (crashed, lost_its_context, never_ended):
        what(m)
        check(f"{what.__name__}: is one, and there may be more",
              served(m) == (0, "") and not m.vgpu()["quarantined"], m.vgpu())
    broke_the_ring(m)
    m.wait(lambda: m.vgpu()["quarantined"])
    code, said = served(m)
    check("the fourth is one too many", code == NOT_READY and "vgpuctl release" in said, (code, said))
    served(m)
    events = m.events("quarantine")
    check("one event says so, and why", len(events) == 1 and events[0]["vgpu"] == "local" and
          events[0]["uid"] == os.getuid() and
          events[0]["why"].startswith("4 faults in 3600 s; the last: malformed"), events)
    check("refused programs are counted, and no events", m.vgpu()["quarantine_refused"] == 2 and
          m.events("refuse") == [], m.vgpu())
    check("vgpuctl status says it", f"QUARANTINE: {ME} gets no new programs: 4 faults" in
          m.ctl("status")[1], m.ctl("status"))
    check("and top", "\n! local" in m.ctl("top", "--once", "--interval", "0.1")[1] and
          json.loads(m.ctl("top", "--once", "--json", "--interval", "0.1")[1])["vgpus"][0]
          ["quarantined"] is True)
    if not os.getuid():
        done = subprocess.run([f"{m.build}/programs/vectoradd"], env=m.env(), user=65534,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        check("another user is served", done.returncode == 0, done)
        os.chmod(f"{folder}/control", 0o666)
        code, said = m.ctl("release", ME, user=65534)
        check("who is not the operator releases nobody", code == 1 and "only root" in said and
              m.vgpu()["quarantined"] == 1, said)
    m.end("kill")
    os.unlink(f"{folder}/control")
    m = Mediator(BUILD, folder, "[limits]\nfaults = 2\nfault_seconds = 3600\n")
    check("another mediator knows it", served(m)[0] == NOT_READY and m.vgpu()["quarantined"] == 1,
          m.vgpu())
    code, said = m.ctl("release", "local:77")
    check("nobody is released who is free", code == 1 and "local:77 is not in quarantine" in said,
          said)
    check("the operator releases", m.ctl("release", ME) == (0, "") and not m.vgpu()["quarantined"])
    check("and programs are served", served(m) == (0, ""))
    check("an event says it", [e.get("uid") for e in m.events("release")] == [os.getuid()],
          m.events("release"))
    crashed(m)
    check("what was before does not count any more", served(m) == (0, ""), m.vgpu())
    m.end()


def settings(folder):
    m = Mediator(BUILD, folder, "[limits]\nfaults = 2\nfault_seconds = 1\n")
    crashed(m)
    time.sleep(1.2)
    crashed(m)
    check("two faults with more than the time between them are not too many",
          not m.vgpu()["quarantined"], m.vgpu())
    m.ctl("set", "local", "faults=0", "fault_seconds=3600")
    for _ in range(4):
        crashed(m)
    check("with 0 there is no quarantine", not m.vgpu()["quarantined"], m.vgpu())
    m.ctl("set", "local", "faults=1")
    os.mkdir(m.state + ".new")
    crashed(m)
    check("it counts also if it cannot be kept, and the log says so",
          m.vgpu()["quarantined"] == 1 and "until the mediator ends" in m.text(), m.text())
    code, said = m.ctl("release", ME)
    check("a release that cannot be kept does not count", code == 1 and "nothing is changed" in said
          and m.vgpu()["quarantined"] == 1, said)
    os.rmdir(m.state + ".new")
    check("and does when it can", m.ctl("release", ME) == (0, "") and served(m) == (0, ""))
    m.end()


def started_as(uid, path):
    """The mediator's answer to a program of this user, an errno, and its connection."""
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if uid:
        os.seteuid(uid)
    try:
        s.connect(path)
    finally:
        if uid:
            os.seteuid(0)
    s.sendall(struct.pack("<6I16sQ", 48, 1, 65536, 4, 65536, 0, b"container", 0))
    data, fds, _, _ = socket.recv_fds(s, 4096, 3)
    for fd in fds:
        os.close(fd)
    return struct.unpack_from("<2I", data)[1], s


def other_users(a):
    """Root of a container can be any user; who is not root can try as itself alone."""
    path = f"{a.m.folder}/{a.name}.sock"
    return [started_as(uid, path)[0] for uid in ((4000, 4001) if not os.getuid() else (0,))]


class Of:
    """A mediator as a program of a tenant sees it, with this name and a socket of its own."""
    def __init__(self, mediator, name):
        self.build, self.name, self.m = mediator.build, name, mediator

    def env(self):
        return {**self.m.env(), "VGPU_TRANSPORT": f"unix:{self.m.folder}/{self.name}.sock"}


def tenants(folder):
    """What a tenant's programs do costs no other's, were they of one user (root, in containers)."""
    m = Mediator(BUILD, folder, "[limits]\nfaults = 1\nfault_seconds = 3600\nprograms = 2\n"
                 f"[socket team-a]\npath = {folder}/team-a.sock\nmode = 0666\n"
                 f"[socket team-b]\npath = {folder}/team-b.sock\n")
    a, b = Of(m, "team-a"), Of(m, "team-b")
    p = [Program(a), Program(a)]
    check("a tenant's programs are counted", Program(a).started != 0)
    said = other_users(a)
    check("also those of its other users", set(said) == {errno.EUSERS}, said)
    q = Program(b)
    check("and not those of others", q.started == 0)
    os.kill(m.vgpu("team-a")["processes"][0]["executor"], signal.SIGSEGV)
    check("a tenant is in quarantine", m.wait(lambda: m.vgpu("team-a")["quarantined"]) and
          Program(a).started == NOT_READY, m.vgpu("team-a"))
    p[0].end()
    check("with all of its users", m.wait(lambda: set(other_users(a)) == {errno.EKEYREVOKED}),
          m.vgpu("team-a"))
    check("and not the same user of another", m.vgpu("team-b")["quarantined"] == 0 and
          m.vgpu()["quarantined"] == 0 and Program(b).started == 0 and served(m) == (0, ""),
          m.status())
    check("status has the name", m.vgpu("team-a")["quarantine"][0]["name"] == "team-a" and
          m.status()["set_for_absent"] == [], m.vgpu("team-a"))
    for x in (p[1], q):
        x.end()
    m.end("kill")
    os.unlink(f"{folder}/control")
    with open(m.state) as state:
        kept = json.load(state)
    # As mediators kept it that told a tenant's users apart.
    kept["vgpus"] = {f"team-a:{os.getuid()}": kept["vgpus"]["team-a"]}
    with open(m.state, "w") as state:
        json.dump(kept, state)
    m = Mediator(BUILD, folder, "[limits]\nfaults = 1\n"
                 f"[socket team-a]\npath = {folder}/team-a.sock\n")
    a = Of(m, "team-a")
    check("another mediator knows it", m.wait(lambda: os.path.exists(f"{folder}/team-a.sock")) and
          Program(a).started == NOT_READY, m.vgpu("team-a"))
    check("the operator releases", m.ctl("release", "team-a") == (0, "") and
          Program(a).started == 0)
    event = m.events("release")
    check("an event says whom", [(e["vgpu"], e.get("uid")) for e in event] ==
          [("team-a", None)], event)
    m.end()


for test in (kinds, settings, tenants):
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o711)
        test(place)
finish()
