#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every function that works has a test of its behaviour, and docs/coverage.md says so.

    test_tested.py PROGRAM...

A function counts as tested if one of the programs calls it: if the program asks the
linker for it.  So a name in a comment or in code that nothing reaches does not count.
"""

import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
APIGEN = os.path.join(ROOT, "tools", "apigen")
sys.path.insert(0, APIGEN)
sys.dont_write_bytecode = True

import apigen			# noqa: E402
import tested			# noqa: E402
from parse import load		# noqa: E402

# name: why it can have none
WITHOUT = {}


def main():
    programs = sys.argv[1:]
    working = [n for _, n in tested.working(load(apigen.specs(os.path.join(APIGEN, "spec"))))]
    called = tested.called(programs)
    missing = [n for n in working if n not in called and n not in WITHOUT]
    needless = [n for n in WITHOUT if n in called or n not in working]
    for name in missing:
        print(f"no test: {name}")
    for name in needless:
        print(f"said to have no test, and has one or is refused: {name}")
    with tempfile.TemporaryDirectory() as d:
        made = os.path.join(d, "coverage.md")
        subprocess.run([sys.executable, os.path.join(APIGEN, "apigen.py"), "--coverage", made,
                        "--tests", *programs], check=True)
        with open(os.path.join(ROOT, "docs", "coverage.md"), encoding="utf-8") as f, \
                open(made, encoding="utf-8") as g:
            stale = f.read() != g.read()
    if stale:
        print("docs/coverage.md is out of date: make coverage")
    passed = len(working) - len(missing) + (not stale)
    print(f"tested: {len(working) - len(missing)} of {len(working)} working functions have a test,"
          f" {len(WITHOUT)} with a reason for none")
    print(f"tested: {passed} checks passed, {len(missing) + len(needless) + stale} failed")
    return bool(missing or needless or stale)


if __name__ == "__main__":
    sys.exit(main())
