#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The dashboard queries what vgpu-exporter serves, and has what Grafana requires of one.

    test_dashboard.py BUILD     with-mediator runs it

No Grafana reads it here, because Debian has none. A real Prometheus evaluates its queries in
test_prometheus.py.
"""
import json
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import dashboard                                                    # noqa: E402
from page import BUILD, CONTROL, Exporter, answered_with, parse     # noqa: E402

# What Prometheus itself adds to a scraped series.
OF_PROMETHEUS = {"instance", "job"}
# What the mediator counts of a VM's vGPU, and not of the socket's programs.
OF_VMS = ("traps", "doorbells", "interrupts", "pinned", "in_use")
passed = failed = 0


def check(what, fine, seen=""):
    global passed, failed
    passed, failed = passed + bool(fine), failed + (not fine)
    print(f"{'ok' if fine else 'not ok'} - {what}" + ("" if fine else f": {seen}"))


def served():
    """{metric: (type, {label: values})}. The numbers of the socket are a real mediator's; of a VM the
    exporter is told some more."""
    exporter = Exporter(CONTROL)
    subprocess.run([os.path.join(BUILD, "programs/vectoradd")], check=True, stdout=subprocess.DEVNULL)
    text = exporter.get()[1]
    exporter.end()
    status = json.loads(subprocess.run([os.path.join(BUILD, "bin/vgpuctl"), "--socket", CONTROL, "status",
                                        "--json"], stdout=subprocess.PIPE, check=True).stdout)
    status["vgpus"][0].update({key: 1 for key in OF_VMS})
    pages = [text, answered_with(json.dumps(status))[0]]
    found = {}
    for page in pages:
        kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", page, re.M))
        for name, samples in parse(page).items():
            labels = found.setdefault(name, (kinds[name], {}))[1]
            for of_one, _ in samples:
                for label, value in of_one.items():
                    labels.setdefault(label, set()).add(value)
    return found


def have(found, names):
    """The labels that all of these metrics have."""
    return set.intersection(*(set(found[n][1]) for n in names)) | OF_PROMETHEUS


def queries(found, board):
    for where, query in dashboard.queries(board):
        names = dashboard.metrics(query)
        check(f"{where}: its metrics are there", names and names <= set(found), names - set(found))
        if not names <= set(found):
            continue
        used = dashboard.labels(query)
        check(f"{where}: so are their labels", used <= have(found, names), used - have(found, names))
        for label, value in dashboard.compared(query):
            if not value.startswith("$"):
                check(f"{where}: {label} can be {value}",
                      all(value in found[n][1][label] for n in names), value)
        rated = dashboard.rated(query)
        check(f"{where}: a rate is of counters, and counters are seen as rates",
              rated == {n for n in names if found[n][0] == "counter"}, (rated, names))


def legends(found, board):
    for where, query, legend in dashboard.legends(board):
        left = dashboard.grouped(query)
        if left is None:
            left = have(found, dashboard.metrics(query))
        wanted = set(re.findall(r"\{\{ *(\w+) *\}\}", legend))
        check(f"{where}: its legend's labels are in what it shows", wanted <= left, wanted - left)


def shown(found, board):
    names = set().union(*(dashboard.metrics(q) for _, q in dashboard.queries(board)))
    check("every metric is shown", set(found) <= names, set(found) - names)


def model(board):
    wanted = {"title": str, "uid": str, "schemaVersion": int, "panels": list, "templating": dict, "time": dict,
              "refresh": str, "tags": list, "annotations": dict}
    wrong = [k for k, kind in wanted.items() if not isinstance(board.get(k), kind)]
    check("the dashboard has what Grafana requires", not wrong, wrong)
    # A dashboard with an id is another Grafana's.
    check("no id of a database is in it", board.get("id") is None)
    check("its uid is one that Grafana takes", re.fullmatch(r"[\w-]{1,40}", board["uid"]), board["uid"])
    panels = board["panels"]
    ids = [p["id"] for p in panels]
    check("each panel has an id of its own", len(set(ids)) == len(ids), ids)
    names = {v["name"] for v in board["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]\w*)", json.dumps(board)))
    check("its variables are those that it uses", used == names, (used, names))
    for p in panels:
        where = p["title"]
        g = p["gridPos"]
        check(f"{where}: it lies in the grid", g["x"] >= 0 and g["w"] > 0 and g["h"] > 0 and
              g["x"] + g["w"] <= 24, g)
        if p["type"] == "row":
            continue
        refs = [t["refId"] for t in p["targets"]]
        check(f"{where}: its queries have names of their own", refs and len(set(refs)) == len(refs), refs)
        sources = [t["datasource"] for t in p["targets"]] + [p["datasource"]]
        check(f"{where}: it asks the chosen Prometheus", all(s == dashboard.SOURCE for s in sources), sources)
        check(f"{where}: its kind is one of Grafana's own", p["type"] in ("stat", "timeseries"), p["type"])
        check(f"{where}: it has a unit", p["fieldConfig"]["defaults"].get("unit"), p)
    check("no two panels overlap", not overlaps(panels), overlaps(panels))


def overlaps(panels):
    cells, twice = {}, []
    for p in panels:
        g = p["gridPos"]
        for x in range(g["x"], g["x"] + g["w"]):
            for y in range(g["y"], g["y"] + g["h"]):
                if (x, y) in cells:
                    twice.append((cells[x, y], p["title"]))
                cells[x, y] = p["title"]
    return sorted(set(twice))


def main():
    board, found = dashboard.load(), served()
    model(board)
    queries(found, board)
    if not failed:
        legends(found, board)
    shown(found, board)
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
