#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No line of docs/host.md is left out in silence by the test that types them (tests/libvirt/run).

    test_document.py
"""
import collections
import os
import re
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from document import RELEASES, Document, PROMPT     # noqa: E402

TOP = os.path.dirname(os.path.dirname(HERE))
PAGE = os.path.join(TOP, "docs", "host.md")
# The blocks that are no commands, by their sections and first lines; tests/libvirt/run takes them.
TAKEN = {("Types and memory", "options vgpu_host "), ("libvirt", "<memoryBacking>")}
passed = failed = 0


def check(what, fine, seen=""):
    global passed, failed
    passed, failed = passed + bool(fine), failed + (not fine)
    print(f"{'ok' if fine else 'not ok'} - {what}" + ("" if fine else f": {seen}"))


def text(path):
    with open(path) as handle:
        return handle.read()


def table(page):
    """{mark: lines} as the page counts them."""
    part = page.split("## Lines that no test types\n")[1].split("\n## ")[0]
    return {mark: int(n) for mark, n in re.findall(r"^\| ([^|]+?) \| .* \| (\d+) \|$", part, re.M)}


def main():
    page, document = text(PAGE), Document(PAGE)
    blocks = [(title, block) for title, part in document.sections.items() for _, block in part]
    check("every block is in a section that the test reads", len(blocks) * 2 == len(
        re.findall(r"^\s*(?:```|~~~)", page, re.M)), len(blocks))
    other = {(title, block) for title, block in blocks if not PROMPT.match(block)}
    unknown = [b for b in other if not any(b[0] == t and b[1].startswith(f) for t, f in TAKEN)]
    check("every block is commands, or is taken by the test", len(other) == len(TAKEN) and
          not unknown, unknown)
    lines = document.lines()
    odd = [line.command for line in lines if line.command.endswith("\\") or not line.command]
    check("every command is one line", not odd, odd)
    loose = len(re.findall(r"\b(?:host|guest)(?:, [^#$\n`]+)? [#$] \w", page))
    check("no command is outside a block", loose == len(lines), (loose, len(lines)))
    left = collections.Counter(line.mark for line in lines
                               if not any(line.typed(suite) for suite in RELEASES.values()))
    check("of the lines that no test types each names what it needs", None not in left,
          [line.command for line in lines if line.machine != "host" and not line.mark])
    check("the page counts them", left == table(page), (dict(left), table(page)))
    host = text(os.path.join(HERE, "host.sh"))
    sourced = re.findall(r"^\. /rig/document/(\S+)$", host, re.M)
    for suite in RELEASES.values():
        made = set(document.scripts(suite))
        check(f"{suite}: host.sh runs every block, and once", made <= set(sourced) and
              len(sourced) == len(set(sourced)), made - set(sourced))
    made = set().union(*(document.scripts(suite) for suite in RELEASES.values()))
    check("and no other", set(sourced) == made, made ^ set(sourced))
    typed = sum(line.typed("bookworm") for line in lines)
    check("most lines are typed", typed > 25, typed)
    states = page.split("## State of the recipes\n")[1]
    rows = {row: state for row, state in re.findall(r"^\| ([^|]+?) \| ([^|]+?) \| [^|]+ \|$", states, re.M)}
    wanted = ["libvirt", "virt-manager", "Proxmox", "OpenStack Nova", "KubeVirt", "Incus", "QEMU alone",
              "Debian 12, as host and guest", "Debian 13, as host and guest", "Ubuntu 24.04", "RHEL 9",
              "podman", "containerd", "Kubernetes"]
    check("each recipe has a state", all(rows.get(w) in ("run", "read", "in part", "not tried")
                                         for w in wanted), rows)
    # A suite that somebody renames would leave a claim behind.
    names = set(re.findall(r"`((?:vm|packages)/[^`]+)`", states))
    sys.path.insert(0, os.path.join(TOP, "tests"))
    source = text(os.path.join(TOP, "tests", "run"))
    gone = [n for n in names if not re.search(
        "packages/" if n.startswith("packages/") else r"libvirt-|scenario\(\"" +
        re.escape(n[3:].split("-")[0]), source)]
    check("and the suites that it names exist", not gone, gone)
    print(f"{typed} lines are typed on Debian 12, {sum(left.values())} are not: " +
          ", ".join(f"{n} of {mark}" for mark, n in sorted(left.items(), key=str)))
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
