# SPDX-License-Identifier: Apache-2.0
"""packaging/grafana/vgpu.json, and what its queries name.

The queries are of few forms, so words are looked for, and PromQL is not parsed.
"""
import json
import os
import re

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "packaging", "grafana", "vgpu.json")
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def load():
    with open(FILE) as handle:
        return json.load(handle)


def queries(board):
    """(where, query) of all panels and variables; label_values(METRIC, LABEL) is Grafana's own."""
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            yield f"{panel['title']} {target['refId']}", target["expr"]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            yield f"variable {variable['name']}", variable["query"]["query"]


def legends(board):
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            yield f"{panel['title']} {target['refId']}", target["expr"], target["legendFormat"]


def _bare(query):
    """Without what stands in quotation marks."""
    return re.sub(r'"[^"]*"', '""', query)


def metrics(query):
    return set(re.findall(r"\bvgpu_\w+", _bare(query)))


def compared(query):
    """(label, value) of what a query compares."""
    return re.findall(r'(\w+)(?:=~|!~|!=|=)"([^"]*)"', query)


def grouped(query):
    """The labels that an aggregation leaves; None if nothing is aggregated."""
    parts = re.findall(r"\bby \(([^)]*)\)", query)
    if not parts:
        return set() if re.search(r"\b(sum|min|max|count)\(", query) else None
    return set.intersection(*(set(re.findall(r"\w+", p)) for p in parts))


def labels(query):
    of_variable = re.fullmatch(r"label_values\(.*, (\w+)\)", query)
    return ({label for label, _ in compared(query)} | (grouped(query) or set()) |
            ({of_variable.group(1)} if of_variable else set()))


def rated(query):
    """The metrics of which a query takes a rate."""
    return set(re.findall(r"\b(?:rate|increase)\((vgpu_\w+)", query))
