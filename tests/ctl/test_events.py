#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the mediator writes down of programs and refusals, and vgpuctl events shows later.

    test_events.py BUILD
"""
import errno
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time

BUILD = os.path.abspath(sys.argv[1])
VGPUCTL = os.path.join(BUILD, "bin/vgpuctl")
passed = failed = 0


def check(what, fine, seen=""):
    global passed, failed
    passed, failed = passed + bool(fine), failed + (not fine)
    print(f"{'ok' if fine else 'not ok'} - {what}" + ("" if fine else f": {seen}"))


class Mediator:
    def __init__(self, folder, history, more=""):
        self.folder, self.history = folder, history
        with open(f"{folder}/conf", "w") as conf:
            conf.write(f"[executor]\npath = {BUILD}/bin/vgpu-executor\n"
                       f"libcuda = {BUILD}/lib/libvgpu-softgpu.so\nuser = nobody\ncache =\n"
                       f"[socket]\npath = {folder}/sock\nmemory = 256M\n"
                       f"[control]\npath = {folder}/control\n[host]\ndevice = {folder}/none\n"
                       f"[history]\npath = {history}\n{more}")
        self.log = open(f"{folder}/log", "w")
        self.process = subprocess.Popen([f"{BUILD}/bin/vgpu-mediatord", "--config",
                                         f"{folder}/conf"], stderr=self.log)
        self.wait(lambda: os.path.exists(f"{folder}/sock"))

    def wait(self, until):
        end = time.monotonic() + 60
        while not until() and time.monotonic() < end and self.process.poll() is None:
            time.sleep(0.02)

    def run(self, program, **more):
        env = {**os.environ, "VGPU_TRANSPORT": f"unix:{self.folder}/sock",
               "LD_LIBRARY_PATH": f"{BUILD}/lib"}
        return subprocess.Popen([os.path.join(BUILD, "programs", program)], env=env,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)

    def events(self, *words):
        done = subprocess.run([VGPUCTL, "--socket", f"{self.folder}/control", "events", "--json",
                               *words], stdout=subprocess.PIPE, text=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def kinds(self):
        return [e["event"] for e in self.events()]

    def status(self):
        return json.loads(subprocess.run(
            [VGPUCTL, "--socket", f"{self.folder}/control", "status", "--json"],
            stdout=subprocess.PIPE).stdout)

    def wait_for(self, kind, number=1):
        self.wait(lambda: self.kinds().count(kind) >= number)

    def text(self):
        with open(f"{self.folder}/log") as log:
            return log.read()

    def end(self):
        self.process.terminate()
        self.process.wait(60)
        self.log.close()


def one(events, kind):
    found = [e for e in events if e["event"] == kind]
    return found[0] if found else {}


def ordinary(folder):
    history = f"{folder}/history.db"
    m = Mediator(folder, history)
    program = m.run("vectoradd")
    program.wait(60)
    m.wait_for("end")
    events = m.events()
    begin, end = one(events, "begin"), one(events, "end")
    check("the mediator's start stands first", m.kinds()[0] == "start", events)
    check("a program's begin says which it was", (begin.get("vgpu"), begin.get("pid"),
          begin.get("name"), begin.get("uid")) == ("local", program.pid, "vectoradd", os.getuid()),
          events)
    check("its end says why, how long and how much",
          end.get("why") == "the program ended" and end.get("calls", 0) > 0 and
          0 <= end.get("duration_ms", -1) <= end["time_ms"] - begin["time_ms"] + 1000 and
          end.get("bytes_to_device", 0) > 0 and end.get("bytes_from_device", 0) > 0, end)
    check("and the most memory that it held", 0 < end.get("memory_peak", 0) < 256 << 20, end)
    check("the log has a line with the same fields", re.search(
          rf'event=end vgpu=local executor=\d+ pid={program.pid} uid=\d+ name="vectoradd" '
          rf'why="the program ended" duration_ms={end.get("duration_ms")} '
          rf'calls={end.get("calls")} ', m.text()), m.text())
    hello(m, b"no hello")
    m.wait_for("refuse")
    check("a refusal says why and of which user",
          one(m.events(), "refuse").get("why") == os.strerror(errno.EBADMSG) and
          one(m.events(), "refuse").get("uid") == os.getuid(), m.events())
    victim = m.run("spin")
    m.wait_for("begin", 2)
    os.kill([e for e in m.events() if e["event"] == "begin"][-1]["executor"], signal.SIGSEGV)
    m.wait_for("end", 2)
    victim.kill()
    victim.wait()
    check("an executor that crashed is why its program ended",
          [e for e in m.events() if e["event"] == "end"][-1]["why"] ==
          "its executor ended by signal 11", m.events())
    # A name that would end its field and colour a terminal.
    odd = f'{folder}/a" \x1b]x'
    shutil.copy(f"{BUILD}/programs/vectoradd", odd)
    m.run(odd).wait(60)
    m.wait_for("end", 3)
    check("an odd name is escaped in the history",
          [e for e in m.events() if e["event"] == "end"][-1]["name"] == 'a" \\x1b]x', m.events())
    check("and in the log, where it cannot end its field",
          'name="a\\" \\\\x1b]x" why=' in m.text(), m.text())
    check("another vGPU has none of this", not one(m.events("--vgpu", "x"), "begin"),
          m.events("--vgpu", "x"))
    check("nothing is younger than the future", m.events("--since", "2100-01-01") == [])
    check("but all is younger than an hour", m.events("--since", "1h") == m.events())
    check("none was dropped", m.status()["history_dropped"] == 0, m.status())
    check("the file is root's alone", os.stat(history).st_mode & 0o777 == 0o600,
          oct(os.stat(history).st_mode))
    m.end()
    left = subprocess.run([VGPUCTL, "--socket", "/nowhere", "events", "--history", history],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    check("without a mediator the file still says it",
          "vectoradd" in left and left.splitlines()[-1].split()[3] == "stop", left)
    m = Mediator(folder, history)
    m.wait_for("start", 2)
    check("another mediator goes on in the same file", m.kinds().count("start") == 2, m.kinds())
    m.end()


def hello(m, words):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(f"{m.folder}/sock")
    s.sendall(words)
    try:
        s.recv(4096)
    except OSError:
        pass
    s.close()


def bound(folder):
    """Somebody who is refused all the time pushes out his own rows, and nobody else's."""
    history = f"{folder}/small.db"
    m = Mediator(folder, history, "rows = 100\n")
    m.wait_for("start")
    with sqlite3.connect(history, timeout=60) as db:
        db.executemany("INSERT INTO events(time_ms, event, vgpu) VALUES(1, 'begin', ?)",
                       [("other",)] * 40)
    db.close()
    for _ in range(100):
        hello(m, b"x")
    m.wait(lambda: len(m.events()) <= 100 and m.kinds().count("refuse") > 0)
    m.end()
    kinds = m.events("--history", history)
    of = [e.get("vgpu") for e in kinds]
    check("there are no more rows than the bound", len(of) <= 100, len(of))
    check("the other vGPU's are all there", of.count("other") == 40, of)
    check("and the refused one's newest", 20 <= of.count("local") <= 60, of)


def older(folder):
    """A file that an older mediator has written: one column is missing."""
    history = f"{folder}/older.db"
    columns = ("time_ms, event, vgpu, executor, pid, uid, name, why, duration_ms, calls, "
               "bytes_to_device, bytes_from_device, memory_peak, memory_refused, faults, count")
    with sqlite3.connect(history) as db:
        db.execute(f"CREATE TABLE events(id INTEGER PRIMARY KEY AUTOINCREMENT, {columns})")
        db.execute("INSERT INTO events(time_ms, event) VALUES(1, 'stop')")
        db.execute("PRAGMA user_version = 1")
    db.close()
    left = subprocess.run([VGPUCTL, "--socket", "/nowhere", "events", "--history", history],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    check("vgpuctl reads it as it is", left.split()[-1:] == ["stop"], left)
    m = Mediator(folder, history)
    check("a program runs", m.run("vectoradd").wait(60) == 0)
    m.wait_for("end")
    check("and the mediator goes on in it", m.kinds() == ["stop", "start", "begin", "end"], m.kinds())
    m.end()


def broken(folder):
    """A file that is none, and a disk that does not answer, stop nobody."""
    history = f"{folder}/not.db"
    with open(history, "w") as f:
        f.write("this is no database, and it is long enough to be taken for one" * 40)
    m = Mediator(folder, history)
    check("a program runs beside a broken history", m.run("vectoradd").wait(60) == 0)
    m.wait(lambda: m.status()["history_dropped"] > 0)
    check("what was not written is counted", m.status()["history_dropped"] > 0, m.status())
    check("and the log says why", "history: " + history in m.text(), m.text())
    m.end()
    history = f"{folder}/locked.db"
    m = Mediator(folder, history)
    m.wait_for("start")
    db = sqlite3.connect(history, timeout=60, isolation_level=None)
    db.execute("BEGIN EXCLUSIVE")
    check("a program runs while the file is locked", m.run("vectoradd").wait(60) == 0)
    db.execute("COMMIT")
    db.close()
    m.wait_for("end")
    kinds = m.kinds()
    check("what came meanwhile is written, or counted as lost", "end" in kinds or "lost" in kinds,
          kinds)
    m.end()


def none(folder):
    m = Mediator(folder, "")
    done = subprocess.run([VGPUCTL, "--socket", f"{folder}/control", "events"],
                          stderr=subprocess.PIPE, text=True)
    check("with an empty path there is none, and vgpuctl says so",
          done.returncode == 1 and "[history] path is empty" in done.stderr, done)
    m.end()
    for words in (["--since", "soon"], ["--since", "3x"], ["--since", "-1h"]):
        done = subprocess.run([VGPUCTL, "events", *words], stderr=subprocess.PIPE, text=True)
        check(f"{' '.join(words)} is refused", done.returncode == 2, done)


for test in (ordinary, bound, older, broken, none):
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o711)
        test(place)
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
