#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What vgpu-exporter serves: Prometheus' format, the mediator's numbers, and no more.

    test_exporter.py BUILD      with-mediator runs it
"""
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request

BUILD = sys.argv[1]
CONTROL = os.environ["VGPU_TEST_CONTROL"]
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"^({NAME})(\{{{LABEL}(?:,{LABEL})*\}})? ([0-9]+(?:\.[0-9]{{6}})?)$")
passed = failed = 0


def check(what, fine, seen=""):
    global passed, failed
    passed, failed = passed + bool(fine), failed + (not fine)
    print(f"{'ok' if fine else 'not ok'} - {what}" + ("" if fine else f": {seen}"))


class Exporter:
    def __init__(self, control):
        self.process = subprocess.Popen(
            [os.path.join(BUILD, "bin/vgpu-exporter"), "--listen", "127.0.0.1:0",
             "--socket", control], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.base = "http://" + self.process.stdout.readline().split()[-1]

    def get(self, path="/metrics", method="GET", data=None):
        request = urllib.request.Request(self.base + path, method=method, data=data)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def end(self):
        self.process.terminate()
        return self.process.wait(60), self.process.stderr.read()


def parse(text):
    """{name: [(labels, value)]}, or a sentence that says what is wrong with the text."""
    found, types, current = {}, {}, None
    if not text.endswith("\n"):
        return "the last line has no end"
    for line in text.splitlines():
        words = line.split(" ", 3)
        if line.startswith("# HELP "):
            current = words[2]
            if current in types or len(words) < 4:
                return f"a second or an empty help: {line}"
        elif line.startswith("# TYPE "):
            if words[2] != current or words[3] not in ("counter", "gauge"):
                return f"a type without help: {line}"
            if (words[3] == "counter") != current.endswith("_total"):
                return f"a counter is called _total, and nothing else is: {line}"
            types[current] = words[3]
        else:
            match = SAMPLE.match(line)
            if not match or match[1] != current or current not in types:
                return f"not a sample of {current}: {line}"
            labels = dict(re.findall(r'([a-zA-Z_]+)="((?:[^"\\]|\\.)*)"', match[2] or ""))
            found.setdefault(match[1], []).append((labels, float(match[3]) if "." in match[3] else int(match[3])))
    return found


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


def answered_with(text):
    """What the exporter makes of an answer of the mediator's."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "control.sock")
        server = socket.socket(socket.AF_UNIX)
        server.bind(path)
        server.listen()

        def answer():
            client = server.accept()[0]
            client.recv(4096)
            client.sendall(text.encode())
            client.close()

        thread = threading.Thread(target=answer)
        thread.start()
        exporter = Exporter(path)
        page = exporter.get()[1]
        thread.join()
        server.close()
        again = exporter.get()[1]
        return page, again, exporter.end()[1]


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
