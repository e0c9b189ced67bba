# SPDX-License-Identifier: Apache-2.0
"""Trouble in a kernel's log."""
import re

TROUBLE = re.compile("|".join([
    r"\bWARNING:", r"\bBUG:", r"\bBUG\b.* at ", r"kernel BUG", r"\bOops\b",
    r"[Gg]eneral protection fault", r"Kernel panic", r"Call Trace:",
    r"possible (circular|recursive|irq) lock", r"inconsistent lock state",
    r"INFO: task .* blocked", r"INFO: (possible|trying|suspicious|rcu)",
    r"suspicious RCU usage", r"rcu.*(stall|detected stalls)",
    r"soft lockup", r"hard LOCKUP", r"lockup detected",
    r"sleeping function called from invalid", r"scheduling while atomic",
    r"KASAN", r"KCSAN", r"UBSAN", r"KFENCE", r"KMSAN",
    r"unreferenced object 0x", r"kmemleak: \d+ new suspected",
    r"use-after-free", r"refcount_t:", r"list_(add|del) corruption",
    r"unchecked MSR", r"segfault at", r"traps: .* trap",
    r"ODEBUG", r"DEBUG_LOCKS_WARN", r"Bad page", r"nobody cared",
    r"Modules linked in:", r"Out of memory", r"oom-kill",
    r"Unknown symbol", r"disagrees about version", r"detected buffer overflow",
    r"sysfs: cannot create duplicate", r"kobject.*tried to init",
    r"DMAR: .*[Ff]ault", r"page allocation failure", r"DEADLOCK",
]))

# Lines that look like trouble and are not, each with what it is.
HARMLESS = re.compile("|".join([
    r"kmemleak: (Kernel memory leak detector|Automatic)",   # its start
    r"kfence: initialized", r"kcsan: (strict|non-strict|enabled)",
    r"rcu: .*(Hierarchical|RCU .*(enabled|calculated)|debug)",
    r"RCU (lockdep|calculated|event tracing|debug|CPU stall warnings)",
    r"rcu_.*stall_.*=", r"\b(UBSAN|KASAN).*(enabled|initialized)",
    r"ommand line:", r"KernelAddressSanitizer initialized",
    # a UML program whose kernel was killed ends itself by its stub's trap
    r"traps: uml-userspace\[\d+\] trap int3",
    # no microcode and no mitigation under emulation, and programs that ask
    r"Spectre|RETBleed|MDS|TAA|MMIO Stale Data|SRSO|L1TF|Speculative",
]))


# VFIO notifies mdev drivers of an unmap with its list of devices locked, and they have
# to unpin then, which takes the iommu's lock; when VFIO adds a device it takes the two
# the other way round. No driver can avoid that, and none but VFIO has that list's lock.
LOCK_REPORT = "possible circular locking dependency"
VFIOS_OWN = "&iommu->device_list_lock"


def vfios_own(lines):
    """Numbers of the lines of a lock report that is about VFIO's own order of locks."""
    numbers = set()
    for first, line in enumerate(lines, 1):
        if LOCK_REPORT not in line:
            continue
        end = next((n for n in range(first, len(lines) + 1) if "</TASK>" in lines[n - 1]), first)
        if any(VFIOS_OWN in l for l in lines[first - 1:end]):
            numbers.update(range(first, end + 1))
    return numbers


def trouble(lines):
    """The lines of a log that tell of trouble, with their numbers."""
    found, own = [], vfios_own(lines)
    for number, line in enumerate(lines, 1):
        if number not in own and TROUBLE.search(line) and not HARMLESS.search(line):
            found.append((number, line.rstrip()))
    return found


def quote(lines, found, context=12, limit=80):
    """The trouble with the lines that follow it, as text for a person."""
    text, last = [], 0
    for number, _ in found:
        first = max(number, last + 1)
        for i in range(first, min(number + context, len(lines)) + 1):
            text.append(f"    {i:6} {lines[i - 1].rstrip()}")
            last = i
        if len(text) > limit:
            text.append("    ...")
            break
    return "\n".join(text)
