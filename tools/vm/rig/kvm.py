# SPDX-License-Identifier: Apache-2.0
"""Whether KVM is usable here, found out by starting a machine with it.

/dev/kvm being there says little: inside other virtual machines it may run a
few instructions and then hang or refuse registers. So a kernel is booted with
it until it finds that it has no root; what comes of that is remembered until
the machine restarts.
"""
import os
import subprocess
from . import cache

SECONDS = 10


def usable(vmlinux):
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    with open("/proc/sys/kernel/random/boot_id") as handle:
        boot = handle.read().strip()
    note = cache.path("kvm", boot)
    if os.path.exists(note):
        with open(note) as handle:
            return handle.read() == "yes"
    answer = _try(vmlinux)
    os.makedirs(os.path.dirname(note), exist_ok=True)
    with open(note, "w") as handle:
        handle.write("yes" if answer else "no")
    cache.say("KVM works: using it" if answer else
              "KVM boots no kernel here: using emulation (TCG)")
    return answer


def _try(vmlinux):
    command = ["qemu-system-x86_64", "-accel", "kvm", "-cpu", "host", "-M", "pc",
               "-m", "512", "-nodefaults", "-display", "none", "-no-reboot",
               "-serial", "stdio", "-kernel", vmlinux,
               "-append", "console=ttyS0 panic=-1"]
    try:
        done = subprocess.run(command, timeout=SECONDS, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except (subprocess.TimeoutExpired, OSError):
        return False
    return done.returncode == 0 and b"Unable to mount root" in done.stdout
