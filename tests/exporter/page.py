# SPDX-License-Identifier: Apache-2.0
"""An exporter of a test's own, and the page that it serves."""
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
