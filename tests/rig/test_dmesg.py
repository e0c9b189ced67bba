#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What of a kernel's log the rig takes for trouble."""
import os
import sys

sys.dont_write_bytecode = True
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tools", "vm"))
from rig import dmesg    # noqa: E402

checks = failures = 0


def check(what, good):
    global checks, failures
    checks += 1
    failures += not good
    print(f"{'ok      ' if good else 'FAILED  '}{what}")


def lock_report(held):
    return ["WARNING: possible circular locking dependency detected",
            "races/76 is trying to acquire lock:",
            f"ffff888002f47120 ({held}){{+.+.}}-{{4:4}}, at: some_function+0x1/0x2",
            " *** DEADLOCK ***", "Call Trace:", " <TASK>", " </TASK>"]


def numbers(lines):
    return [n for n, _ in dmesg.trouble(lines)]


def main():
    check("a quiet log has no trouble", not numbers(["Linux version 7.3", "vgpu_host: loaded"]))
    check("a lock report of ours is trouble", numbers(lock_report("&vgpu->admin_lock")))
    vfio = lock_report("&iommu->device_list_lock")
    check("one of VFIO's own is none", not numbers(vfio))
    check("trouble after it is seen", numbers(vfio + ["BUG: KASAN: use-after-free"]) == [8])
    check("and so is another lock report",
          1 + len(vfio) in numbers(vfio + lock_report("&vgpu->admin_lock")))
    cut = vfio[:-1] + ["BUG: unable to handle page fault"]
    check("one that does not come to its end hides nothing", len(cut) in numbers(cut))
    check("a data race is trouble", numbers(["BUG: KCSAN: data-race in a / b"]))
    check("KCSAN's start is none", not numbers(["kcsan: non-strict mode configured - use "
                                                "CONFIG_KCSAN_STRICT=y"]))
    print(f"dmesg: {checks - failures} checks passed, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
