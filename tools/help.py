#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Print the targets that people use, in groups: each `name: ... ## what it does` of the makefiles.

    help.py MAKEFILE...
"""
import re
import sys

# The first group whose pattern matches has the target.
GROUPS = (("Begin here", "demo|check|all|help|deps"),
          ("On a machine with an NVIDIA GPU", "gpu-.*"),
          ("Install, and make packages", "install.*|uninstall|deb"),
          ("Parts of the check, and longer ones", "check-.*|fuzz|kunit|modules-check"),
          ("Others", ".*"))


def main():
    found = {}
    for path in sys.argv[1:]:
        with open(path) as makefile:
            for name, what in re.findall(r"^([a-z-]+):(?:[^#\n]|\\\n)*## *(.*)", makefile.read(), re.M):
                found[name] = what
    for title, pattern in GROUPS:
        names = [n for n in found if re.fullmatch(pattern, n)]
        if pattern.replace("|", "").replace("-", "").isalpha():
            names.sort(key=pattern.split("|").index)
        else:
            names.sort()
        print(f"{title}:")
        for name in names:
            print(f"  make {name:<22}{found.pop(name)}")
        print()


main()
