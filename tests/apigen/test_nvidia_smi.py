#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A stock nvidia-smi on our libnvidia-ml.so.1: test_nvidia_smi.py [PROGRAM].

The program is the argument's, or VGPU_NVIDIA_SMI's, or the PATH's; with none nothing is run.
It runs as it is in a guest, beside a CUDA program that holds memory.
"""

import os
import re
import shutil
import subprocess
import sys

from test_nvml import HOLDER

passed = failed = 0


def check(ok, what):
    global passed, failed
    passed += bool(ok)
    failed += not ok
    if not ok:
        print("nvidia-smi:", what)


def main():
    program = (sys.argv[1:] or [os.environ.get("VGPU_NVIDIA_SMI") or shutil.which("nvidia-smi")])[0]
    if not program:
        print("nvidia-smi: not run, for there is none on PATH and VGPU_NVIDIA_SMI names none")
        return 0
    limit = int(os.environ["VGPU_TEST_MEMORY"]) >> 20

    def smi(*args):
        r = subprocess.run([program, *args], capture_output=True, text=True, timeout=600,
                           check=False)
        check(r.returncode == 0, f"{args}: exit {r.returncode}: {r.stdout}{r.stderr}")
        return r.stdout

    listed = smi("-L")
    found = re.match(r"GPU 0: (.+) \(UUID: (GPU-[0-9a-f-]{36})\)$", listed, re.M)
    check(found, f"-L says {listed}")
    name, uuid = found.groups() if found else ("?", "?")
    check(smi().count("No running processes found") == 1, "no processes yet")

    with subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as p:
        p.stdout.readline()
        print(file=p.stdin, flush=True)
        p.stdout.readline()
        table = smi()
        check(re.search(rf"\| +0 +{re.escape(name)[:20]}", table), f"its name in\n{table}")
        check(re.search(rf" 48MiB */ *{limit}MiB ", table), f"the vGPU's memory in\n{table}")
        check(re.search(rf"\| +0 +N/A +N/A +{p.pid} +C .*python\S* +48MiB \|", table),
              f"the process in\n{table}")
        long = smi("-q")
        check(re.search(rf"Product Name +: {re.escape(name)}\n", long), "-q: its name")
        check(re.search(rf"Process ID +: {p.pid}\n +Type +: C\n +Name +: \S*python\S*\n"
                        r" +Used GPU Memory +: 48 MiB\n", long), f"-q: the process in\n{long}")
        check(re.search(r"MIG Mode\n +Current +: Disabled\n", long), "-q: no MIG")
        check(smi("--query-gpu=name,uuid,memory.total,memory.used",
                  "--format=csv,noheader,nounits") == f"{name}, {uuid}, {limit}, 48\n", "csv")
        check(smi("--query-gpu=utilization.gpu,driver_version,temperature.gpu,power.draw,"
                  "clocks.sm,pstate,fan.speed,ecc.mode.current,compute_mode", "--format=csv")
              .count(",") == 16, "csv of what the host may not know")
        check(smi("--query-compute-apps=pid,used_memory", "--format=csv,noheader") ==
              f"{p.pid}, 48 MiB\n", "csv of processes")
        check(re.search(rf"^ +0 +{p.pid} +C ", smi("pmon", "-c", "1"), re.M), "pmon")
        check(re.search(r"^ +0 +[\d-]", smi("dmon", "-c", "1"), re.M), "dmon")
        check(re.search(r"^\S*GPU0\S*\s+X\s", smi("topo", "-m"), re.M), "topo")
        check("<product_name>" + name in smi("-q", "-x"), "xml")
        p.kill()
    print(f"nvidia-smi: {passed} checks passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
