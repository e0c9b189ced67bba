#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of tools/apigen: what it emits for a small specification, and what it refuses where.

With --accept, the outputs of the small specification become the expected ones.
"""

import glob
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
APIGEN = os.path.join(ROOT, "tools", "apigen", "apigen.py")
SPEC = os.path.join(HERE, "golden", "spec")
GOLDEN = os.path.join(HERE, "golden", "expected")
OUTPUTS = ["cuda_abi.h", "vg_wire.h", "shim_calls.h", "shim_wire.c", "shim_exports.c",
           "shim_tables.c", "libcuda.map", "vg_cuda.h", "exec_calls.h", "executor_decode.c",
           "decoder_cases.c", "conform.c"]

passed = failed = 0


def check(ok, what):
    global passed, failed
    passed += bool(ok)
    failed += not ok
    if not ok:
        print(what)


def apigen(*args):
    return subprocess.run([sys.executable, APIGEN, *args], capture_output=True, text=True,
                          check=False)


def golden(accept):
    out = GOLDEN if accept else tempfile.mkdtemp()
    r = apigen("-s", SPEC, "-o", out, *OUTPUTS)
    check(r.returncode == 0, f"golden: {r.stderr}")
    for name in OUTPUTS:
        with open(os.path.join(GOLDEN, name), encoding="utf-8") as f:
            want = f.read()
        with open(os.path.join(out, name), encoding="utf-8") as f:
            got = f.read()
        check(got == want, f"golden: {name} differs: diff {GOLDEN}/{name} {out}/{name}")


def bad():
    """Each file's first line says at which line the mistake is, and a part of the message."""
    for path in sorted(glob.glob(os.path.join(HERE, "bad", "*.api"))):
        with open(path, encoding="utf-8") as f:
            line, message = re.match(r"# line (\d+): (.*)", f.readline()).groups()
        with tempfile.TemporaryDirectory() as d:
            os.mkdir(os.path.join(d, "types"))
            with open(os.path.join(SPEC, "types", "base.api"), encoding="utf-8") as f:
                types = f.read().replace(" cuStreamDestroy", "")	# which is not there
            with open(os.path.join(d, "types", "base.api"), "w", encoding="utf-8") as f:
                f.write(types)
            os.symlink(path, os.path.join(d, os.path.basename(path)))
            r = apigen("-s", d)
        where = f"{os.path.basename(path)}:{line}: "
        check(r.returncode == 1 and where in r.stderr and message in r.stderr,
              f"bad: {where}{message}: it says {r.stderr.strip() or 'nothing'}")
        check("Traceback" not in r.stderr, f"bad: {where}a traceback")


def one_entry():
    """A function is added by one entry, and nothing else."""
    with tempfile.TemporaryDirectory() as d:
        os.symlink(os.path.join(ROOT, "tools/apigen/spec/types"), os.path.join(d, "types"))
        for path in glob.glob(os.path.join(ROOT, "tools/apigen/spec/*.api")):
            os.symlink(path, os.path.join(d, os.path.basename(path)))
        with open(os.path.join(d, "made_up.api"), "w", encoding="utf-8") as f:
            f.write("fn cuMadeUp(CUstream stream, out int *result, in[n <= 9] const int *list,"
                    " int n)\n\tget cuMadeUp 13000\n\top 4000 sync\n")
        out = os.path.join(d, "out")
        r = apigen("-s", d, "-o", out)
        check(r.returncode == 0, f"one entry: {r.stderr}")
        for name, text in (("libcuda.map", "cuMadeUp;"), ("shim_exports.c", "cuMadeUp("),
                           ("executor_decode.c", "run_cuMadeUp"), ("decoder_cases.c", "\"cuMadeUp\""),
                           ("shim_tables.c", "\"cuMadeUp\", 13000"), ("cuda_abi.h", "cuMadeUp(")):
            with open(os.path.join(out, name), encoding="utf-8") as f:
                check(text in f.read(), f"one entry: no {text} in {name}")


def exports():
    """All 637 of CUDA 13.0, by their count and a list where the toolkit's stub library is found."""
    with tempfile.TemporaryDirectory() as d:
        apigen("-o", d, "libcuda.map")
        with open(os.path.join(d, "libcuda.map"), encoding="utf-8") as f:
            have = set(re.findall(r"\t(\w+);", f.read()))
    graphics = {n for n in have if re.search("GL|EGL|Egl|VDPAU", n)}
    check(len(have - graphics) == 637, f"exports: {len(have - graphics)}, not 637")
    home = os.environ.get("CUDA_HOME", "/usr/local/cuda")
    stub = os.path.join(home, "lib64/stubs/libcuda.so")
    if os.path.exists(stub):
        r = subprocess.run(["nm", "-D", "--defined-only", stub], capture_output=True, text=True,
                           check=True)
        want = set(re.findall(r" T (\w+)", r.stdout))
        check(not want - have, f"exports: not there: {sorted(want - have)}")


def main():
    golden("--accept" in sys.argv)
    bad()
    one_entry()
    exports()
    print(f"apigen: {passed} checks passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
