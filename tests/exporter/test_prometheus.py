#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus scrapes vgpu-exporter, with the lines of docs/metrics.md, and evaluates the
queries of the dashboard.

    test_prometheus.py BUILD      with-mediator runs it

Debian's package is fetched with apt-get and unpacked into a folder, not installed, unless
prometheus is there. Without both nothing is tried, and the last line says so.
"""
import glob
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import dashboard    # noqa: E402

BUILD = sys.argv[1]
CONTROL = os.environ["VGPU_TEST_CONTROL"]
HERE = os.path.dirname(os.path.abspath(__file__))
passed = failed = 0


def check(what, fine, seen=""):
    global passed, failed
    passed, failed = passed + bool(fine), failed + (not fine)
    print(f"{'ok' if fine else 'not ok'} - {what}" + ("" if fine else f": {seen}"), flush=True)


def prometheus(folder):
    """The folder with prometheus and promtool, or None."""
    found = shutil.which("prometheus")
    if found and shutil.which("promtool"):
        return os.path.dirname(found)
    done = subprocess.run(["apt-get", "download", "prometheus"], cwd=folder,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for package in glob.glob(os.path.join(folder, "prometheus_*.deb")):
        subprocess.run(["dpkg", "-x", package, os.path.join(folder, "unpacked")], check=True)
        return os.path.join(folder, "unpacked", "usr", "bin")
    print(f"prometheus cannot be had: {done.stdout.strip()[-200:]}")
    return None


def documented():
    """The configuration that docs/metrics.md shows."""
    with open(os.path.join(HERE, "..", "..", "docs", "metrics.md")) as page:
        return re.search(r"^(scrape_configs:\n.*?)^```", page.read(), re.M | re.S).group(1)


def query(port, text):
    url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": text})
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json.load(answer)["data"]["result"]


def until(what, seconds=120):
    """Its first answer that is true, or the last one."""
    end, answer = time.monotonic() + seconds, None
    while time.monotonic() < end:
        try:
            answer = what()
        except OSError as error:
            answer = None
            last = error
        if answer:
            return answer
        time.sleep(0.2)
    return answer or locals().get("last")


def scrape(tools, folder, address):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    config = os.path.join(folder, "prometheus.yml")
    with open(config, "w") as out:
        out.write("global:\n  scrape_interval: 1s\n" +
                  documented().replace("127.0.0.1:9836", address))
    done = subprocess.run([f"{tools}/promtool", "check", "config", config],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    check("promtool takes the documented configuration", done.returncode == 0, done.stdout)
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=60) as answer:
        text = answer.read()
    done = subprocess.run([f"{tools}/promtool", "check", "metrics"], input=text,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    check("promtool finds no mistake in the metrics", done.returncode == 0, done.stdout.decode())
    server = subprocess.Popen(
        [f"{tools}/prometheus", f"--config.file={config}",
         f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}"],
        stdout=subprocess.DEVNULL, stderr=open(f"{folder}/log", "w"))
    try:
        up = until(lambda: query(port, 'up{job="vgpu"} == 1'))
        check("Prometheus scrapes it", isinstance(up, list) and len(up) == 1, up)
        up = until(lambda: query(port, "vgpu_up == 1"))
        check("and knows that the mediator answers", isinstance(up, list) and len(up) == 1, up)
        calls = until(lambda: query(port, 'vgpu_calls_total{UUID="local"} > 0'))
        check("and a program's calls", isinstance(calls, list) and len(calls) == 1 and
              calls[0]["metric"]["type"] == "socket", calls)
        rate = until(lambda: query(port, 'rate(vgpu_calls_total[30s])'))
        check("and their rate", isinstance(rate, list) and len(rate) == 1, rate)
        evaluate(port)
    finally:
        server.terminate()
        server.wait(60)


def evaluate(port):
    """Prometheus takes each query of the dashboard; what Grafana puts in is put in here."""
    for where, text in dashboard.queries(dashboard.load()):
        if text.startswith("label_values("):
            text = text.removeprefix("label_values(").rsplit(",", 1)[0]
        text = re.sub(r'"\$\w+"', '".*"', text).replace("$__rate_interval", "30s")
        try:
            found = query(port, text)
        except OSError as error:
            check(f"the dashboard: {where}", False, f"{text}: {error}")
            continue
        # These have numbers in this test; the others are a VM's, or of limits that it does not reach.
        if "> 0" not in text and re.search(r"vgpu_(up|driver_info|devices|executors_ready|calls|"
                                           r"processes|fb_used|copied)", text):
            check(f"the dashboard: {where}", found, text)
        else:
            check(f"the dashboard: {where}", isinstance(found, list), text)


with tempfile.TemporaryDirectory() as place:
    os.chmod(place, 0o755)
    binaries = prometheus(place)
    if binaries:
        subprocess.run([os.path.join(BUILD, "programs/vectoradd")], check=True,
                       stdout=subprocess.DEVNULL)
        exporter = subprocess.Popen(
            [os.path.join(BUILD, "bin/vgpu-exporter"), "--listen", "127.0.0.1:0", "--socket",
             CONTROL], stdout=subprocess.PIPE, text=True)
        scrape(binaries, place, exporter.stdout.readline().split()[-1])
        exporter.terminate()
        exporter.wait(60)
        print(f"{passed} passed, {failed} failed")
    else:
        print("0 passed, 0 failed, 1 skipped")
sys.exit(failed > 0)
