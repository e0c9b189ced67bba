#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""userspace/nvml against NVIDIA's nvml.h, where there is one.

test_nvml_header.py NVML_H LIBRARY: what the header declares is exported; what nvml.h of ours has
as a struct or a value is there the same; what FN() and questions.def define has the header's
prototype.  A header older than ours lacks some of it, which is counted and left out.
"""

import os
import re
import subprocess
import sys
import tempfile

OURS = os.path.join(os.path.dirname(__file__), "..", "..", "userspace", "nvml")
SHAPES = {
    "TEXT": "char *, unsigned int",
    "U32": "unsigned int *",
    "U32_U32": "unsigned int *, unsigned int *",
    "U64": "unsigned long long *",
    "IN_U32": "unsigned int, unsigned int *",
    "IN_IN_U32": "unsigned int, unsigned int, unsigned int *",
    "IN_IN_U64": "unsigned int, unsigned int, unsigned long long *",
    "IN_IN_IN_U64": "unsigned int, unsigned int, unsigned int, unsigned long long *",
}
# Of the header of 12.x and 13.x these are longer than what programs of the time had.
OLD = {"nvmlDeviceGetPciInfo", "nvmlDeviceGetPciInfo_v2"}


def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        text = f.read()
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    return re.sub(r"//[^\n]*", "", text)


def facts(text):
    """C expressions that ours and theirs must agree on."""
    out = []
    for body, name in re.findall(r"typedef (?:struct|union) \{([^}]*)\} (\w+);", text):
        out.append(f"sizeof({name})")
        for line in body.split(";"):
            words = re.findall(r"[*\s](\w+)(?:\[\w+\])?\s*(?:,|$)", line)
            out += [f"offsetof({name}, {m})" for m in words]
    for body in re.findall(r"enum \{([^}]*)\}", text):
        out += re.findall(r"(\w+) =", body)
    out += re.findall(r"#define ((?:NVML|nvml)\w+)[\t ]+[(\w]", text)
    return [f for f in out if not f.startswith(("NVML_API", "nvmlReturn"))]


def compiles(source, include):
    with tempfile.NamedTemporaryFile("w", suffix=".c") as f:
        f.write(source)
        f.flush()
        return subprocess.run(["cc", "-fsyntax-only", "-Wno-deprecated-declarations", "-w",
                               "-Werror=incompatible-pointer-types", *include, f.name],
                              capture_output=True, text=True)


def values(expressions, head, include):
    """Each one's value, or None where the header does not know it."""
    known = []
    for e in expressions:
        test = f"{head}\nunsigned long long x(void) {{ return (unsigned long long)({e}); }}\n"
        known.append(compiles(test, include).returncode == 0)
    with tempfile.TemporaryDirectory() as d:
        source, program = os.path.join(d, "v.c"), os.path.join(d, "v")
        with open(source, "w", encoding="utf-8") as f:
            f.write(f"{head}\n#include <stdio.h>\nint main(void) {{\n")
            for e, ok in zip(expressions, known):
                f.write(f'\tprintf("%llu\\n", (unsigned long long)({e}));\n' if ok else
                        '\tprintf("-\\n");\n')
            f.write("\treturn 0;\n}\n")
        subprocess.run(["cc", "-w", *include, "-o", program, source], check=True)
        out = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    return [None if v == "-" else int(v) for v in out.split()]


def prototypes():
    """Of what is defined by hand, and of what questions.def defines by shape."""
    found = {}
    for name in sorted(os.listdir(OURS)):
        if name.endswith(".c"):
            text = read(os.path.join(OURS, name))
            found.update(re.findall(r"^FN\((nvml\w+), ([^)]*)\)", text, flags=re.M))
            for other, args in re.findall(r"^SAME\((\w+), \w+,\s+([^)]*)\)", text, flags=re.M):
                found[other] = args
            for f, kind in re.findall(r"^NONE\((\w+), (\w+)\)", text, flags=re.M):
                found[f] = f"nvmlDevice_t, unsigned int *, {kind} *"
            for f, kind in re.findall(r"^ALWAYS\((\w+), ([\w ]+),", text, flags=re.M):
                found[f] = f"nvmlDevice_t, {kind} *"
    for f, shape in re.findall(r"^QUESTION\(\d+, (\w+), (\w+),", read(f"{OURS}/questions.def"),
                               flags=re.M):
        found[f] = "nvmlDevice_t, " + SHAPES[shape]
    found.pop("nvmlInternalGetExportTable")
    return found


def main():
    header, library = sys.argv[1:]
    failed = []
    theirs = read(header)
    declared = {}
    for name, args in re.findall(r"DECLDIR[\s*]+(?:char\s*\*\s*)?(nvml\w+)\s*\(([^)]*)\)", theirs):
        declared[name] = " ".join(args.split())
    exported = set(subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True,
                                  text=True, check=True).stdout.split()[2::3])
    failed += [f"{n} is not exported" for n in sorted(set(declared) - exported)]

    # A refusal looks at its first parameter where that is a device, and only there.
    refused = read(f"{OURS}/refused.def")
    for macro, name in re.findall(r"^(REFUSED(?:_DEVICE)?)\((\w+)\)", refused, flags=re.M):
        device = re.match(r"nvmlDevice_t \w+(,|$)", declared.get(name, ""))
        if name in declared and bool(device) != (macro == "REFUSED_DEVICE"):
            failed.append(f"{name}({declared[name]}) is {macro}")

    ours_h = f'#include <stddef.h>\n#include "{os.path.abspath(OURS)}/nvml.h"'
    theirs_h = "#include <stddef.h>\n#define NVML_NO_UNVERSIONED_FUNC_DEFS\n" \
        f'#include "{os.path.abspath(header)}"'
    expressions = facts(read(f"{OURS}/nvml.h"))
    a, b = values(expressions, ours_h, []), values(expressions, theirs_h, [])
    for e, x, y in zip(expressions, a, b):
        if x is None or y is not None and x != y:
            failed.append(f"{e} is {x}, in {header} {y}")

    checked = 0
    for name, args in sorted(prototypes().items()):
        if name not in declared or name in OLD or name == "nvmlErrorString":
            continue
        checked += 1
        r = compiles(f"{theirs_h}\nnvmlReturn_t {name}({args});\n", [])
        if r.returncode:
            failed.append(f"{name}({args}) is not that of {header}")

    for f in failed:
        print("nvml.h:", f)
    print(f"nvml.h: {len(declared)} functions exported, {len(b) - b.count(None)} facts and"
          f" {checked} prototypes agree, {b.count(None)} facts not in it, {len(failed)} failed")
    return bool(failed) or len(declared) < 300 or checked < 60


if __name__ == "__main__":
    sys.exit(main())
