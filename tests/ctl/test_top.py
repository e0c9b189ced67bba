#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What vgpuctl top shows: of a mediator that the test plays, and of a real one.

    test_top.py BUILD       with-mediator runs it
"""
import copy
import fcntl
import json
import os
import pty
import select
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time

BUILD = sys.argv[1]
CONTROL = os.environ["VGPU_TEST_CONTROL"]
VGPUCTL = os.path.join(BUILD, "bin/vgpuctl")
passed = failed = 0


def check(what, fine, seen=""):
    global passed, failed
    passed, failed = passed + bool(fine), failed + (not fine)
    print(f"{'ok' if fine else 'not ok'} - {what}" + ("" if fine else f": {seen}"))


def process(pid, name, calls, memory, **more):
    return {"pid": pid, "name": name, "executor": pid + 1000, "since_ms": 5, "calls": calls,
            "bytes_to_device": 0, "bytes_from_device": 0, "memory": memory, "contexts": 0,
            "faults": 0, **more}


def vgpu(uuid, calls, memory, processes, **more):
    return {"vgpu": uuid, "calls": calls, "bytes_to_device": 0, "bytes_from_device": 0,
            "memory": memory, "contexts": 0, "faults": 0, "processes": processes, **more}


BEFORE = {"monotonic_us": 10_000_000, "vgpus": [
    vgpu("11111111-aaaa-bbbb-cccc-000000000001", 1000, 2 << 30,
         [process(7, "small", 10, 1 << 20), process(8, "large", 500, 3 << 29)],
         memory_limit=16 << 30, since_ms=1_000),
    vgpu("22222222-aaaa-bbbb-cccc-000000000002", 50, 1 << 20, [], bytes_from_device=77)]}
AFTER = copy.deepcopy(BEFORE)
AFTER["monotonic_us"] += 2_000_000          # whatever the wall says, two seconds
AFTER["vgpus"][0].update(calls=1500, bytes_to_device=8 << 20)
AFTER["vgpus"][0]["processes"][1].update(calls=900)
AFTER["vgpus"][0]["processes"].append(process(9, "n\u00e4w", 40, 0))
AFTER["vgpus"][1].update(calls=6)           # it was removed and made again
AFTER["vgpus"][1].update(bytes_from_device=10_077, faults=3)


class Mediator:
    """Gives these answers in turn, and then the last one again and again."""
    def __init__(self, *answers):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "control.sock")
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(self.path)
        self.server.listen()
        self.answers = [json.dumps(a).encode() for a in answers]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            client = self.server.accept()[0]
            client.recv(4096)
            client.sendall(self.answers[0])
            client.close()
            if len(self.answers) > 1:
                self.answers.pop(0)


def top(path, *words, **more):
    return subprocess.run([VGPUCTL, "--socket", path, "top", *words], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, **more)


def rates():
    done = top(Mediator(BEFORE, AFTER).path, "--once", "--json", "--interval", "0.1")
    seen = json.loads(done.stdout)
    first, second = seen["vgpus"]
    small = {p["name"]: p for p in first["processes"]}
    check("calls a second are the difference by the mediator's clock",
          first["calls_per_s"] == 250 and small["large"]["calls_per_s"] == 200, seen)
    check("so are bytes", first["bytes_to_device_per_s"] == 4 << 20 and
          second["bytes_from_device_per_s"] == 5000, seen)
    before, after = copy.deepcopy(BEFORE), copy.deepcopy(AFTER)
    seconds = (after["monotonic_us"] - before["monotonic_us"]) / 1e6
    before["vgpus"][0].update(call_waited_us=1000, byte_waited_us=0)
    after["vgpus"][0].update(call_waited_us=3000, byte_waited_us=6000, quarantined=1)
    waited = json.loads(top(Mediator(before, after).path, "--once", "--json", "--interval",
                            "0.1").stdout)["vgpus"][0]
    check("and waits, for calls and bytes together", waited["waited_us_per_s"] == 8000 / seconds and
          waited["quarantined"] is True, waited)
    check("who is new counts from nothing", small["n\u00e4w"]["calls_per_s"] == 20, seen)
    check("a counter that went back counts from nothing", second["calls_per_s"] == 3, seen)
    check("memory, limit, faults and since are the last answer's",
          (first["memory"], first["memory_limit"], second["faults"], first["since_ms"]) ==
          (2 << 30, 16 << 30, 3, 1000), seen)
    check("no limit is no number", "memory_limit" not in second, seen)
    again = copy.deepcopy(AFTER)
    again["monotonic_us"] = 5
    seen = json.loads(top(Mediator(BEFORE, again).path, "--once", "--json", "--interval",
                          "0.1").stdout)
    check("across a restart of the host there is no rate", seen["vgpus"][0]["calls_per_s"] == 0,
          seen)


def order():
    def names(by):
        text = top(Mediator(BEFORE, AFTER).path, "--once", "--interval", "0.1", "--sort",
                   by).stdout
        return [line.split()[0][:8] if line[0] != " " else line.split()[1]
                for line in text.splitlines()[1:]]
    check("by memory, processes below their vGPU",
          names("memory") == ["11111111", "large", "small", "n\u00e4w", "22222222"],
          names("memory"))
    check("by faults", names("faults")[0] == "22222222", names("faults"))
    check("by name", names("name")[:4] == ["11111111", "large", "n\u00e4w", "small"],
          names("name"))
    none = top(CONTROL, "--sort", "beauty")
    check("an order that there is not is refused, and those that there are named",
          none.returncode == 2 and
          "memory, calls, to, from, gpu, faults, since or name" in none.stderr, none)
    for words, said in ((["set", "local"], "set needs UUID KEY=VALUE..."),
                        (["unset"], "unset needs UUID KEY..."), (["release"], "release needs UUID"),
                        (["shine"], "there is no command shine"),
                        (["status", "local"], "status takes no local")):
        done = subprocess.run([VGPUCTL, *words], capture_output=True, text=True)
        check(f"{words} is refused with what is missing",
              done.returncode == 2 and done.stderr.startswith(f"vgpuctl: {said}\n"), done)
    check("so is no interval", top(CONTROL, "--interval", "0").returncode == 2)


def of_the_gpu():
    """With shares, what each gets of the GPU's time, and what it is due."""
    before, after = copy.deepcopy(BEFORE), copy.deepcopy(AFTER)
    for v, ns, due in zip(after["vgpus"], (600_000_000, 1_380_000_000), (0.3, 0.7)):
        v.update(device_ns=ns, gpu_due=due)
    after["vgpus"][0]["processes"][1].update(device_ns=600_000_000)
    lines = top(Mediator(before, after).path, "--once", "--interval", "0.1", "--sort",
                "gpu").stdout.splitlines()
    check("the columns are there", ["GPU", "DUE"] == lines[0].split()[3:5], lines[0])
    check("sorted by it", lines[1].split()[1:3] == ["69%", "70%"] and
          lines[2].split()[1:3] == ["30%", "30%"], lines)
    check("also of a process", lines[3].split()[2:4] == ["30%", "-"], lines)
    check("in 80 columns", all(len(l) <= 80 for l in lines), lines)
    seen = json.loads(top(Mediator(before, after).path, "--once", "--json", "--interval",
                          "0.1").stdout)
    one = {v["vgpu"][0]: v for v in seen["vgpus"]}["1"]
    check("and for programs", abs(one["gpu"] - 0.3) < 1e-9 and one["gpu_due"] == 0.3, one)
    check("without shares there are none",
          "GPU" not in top(Mediator(BEFORE, AFTER).path, "--once", "--interval", "0.1")
          .stdout.splitlines()[0].split())


def columns():
    long = copy.deepcopy(AFTER)
    long["vgpus"][0].update(calls=1 << 62, bytes_to_device=1 << 62, memory=1023 << 20,
                            bytes_from_device=1 << 62, faults=1 << 62, contexts=(1 << 62) - 1)
    long["vgpus"][0]["processes"][0]["name"] = "\u4e2d\u6587" * 15
    lines = top(Mediator(BEFORE, long).path, "--once", "--interval", "0.1").stdout.splitlines()
    wide = [len(s) + sum(c > "\u2e80" for c in s) for s in lines]
    check("without a terminal lines have 80 columns, whatever stands in them",
          len(lines) == 6 and all(w == 80 for w in wide), (wide, lines))


def screen(width, keys):
    """What a terminal of this width gets; the text after each key."""
    main, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    kept = termios.tcgetattr(other)
    running = subprocess.Popen([VGPUCTL, "--socket", Mediator(BEFORE, AFTER).path, "top",
                                "--interval", "60"], stdin=other, stdout=other, stderr=other)
    shown = []
    for key in [""] + keys:
        os.write(main, key.encode())
        text, end = b"", time.monotonic() + 30
        while not (b"22222222" in text and text.endswith(b"\n")) and time.monotonic() < end and running.poll() is None:
            if select.select([main], [], [], 0.05)[0]:
                text += os.read(main, 65536)
        shown.append(text.decode())
    code = running.wait(30) if keys[-1] == "q" else None
    same = termios.tcgetattr(other) == kept
    os.close(main)
    os.close(other)
    return shown, code, same


def keys():
    shown, code, same = screen(120, ["x", "q"])
    check("a terminal shows the table at once", "11111111" in shown[0], shown)
    check("with the whole UUID and the date where there is room",
          BEFORE["vgpus"][0]["vgpu"] in shown[0] and "1970-01-01" in shown[0], shown)
    check("a key changes the order", "by faults" in shown[1], shown)
    check("q ends it, and the terminal is as before", (code, same) == (0, True), (code, same))
    shown, _, _ = screen(80, ["q"])
    lines = shown[0].replace("\033[H\033[2J", "").split("\r\n")
    check("80 columns are enough", max(map(len, lines)) == 80, lines)


def real():
    running = subprocess.Popen([os.path.join(BUILD, "programs/processes")],
                               stdout=subprocess.DEVNULL)
    running.wait()
    done = top(CONTROL, "--once", "--json", "--interval", "0.1")
    seen = json.loads(done.stdout)
    check("a real mediator is asked", seen["vgpus"][0]["vgpu"] == "local", done)
    done = top("/nowhere/x", "--once")
    check("without one the reason is said", done.returncode == 1 and
          "is vgpu-mediatord running?" in done.stderr, done)


rates()
order()
columns()
of_the_gpu()
keys()
real()
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
