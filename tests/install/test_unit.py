#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The mediator's unit: how much it lets the mediator do, and that this is enough.

    test_unit.py OUT UNIT

The system calls and capabilities of the unit are applied to a mediator and its executors without
systemd, and a program computes through them. Name spaces and mounts are not tried here.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, f"{TOP}/tests/proto")
OUT, UNIT = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
# As issue reports of systemd-analyze give it, in tenths.
EXPOSURE = 25
checks = 0
places = []     # with a mediator each, while it runs


def true(what, good):
    global checks
    checks += 1
    if not good:
        for place in places:
            place.end()
        sys.exit(f"FAIL unit: {what}")


def setting(name):
    with open(UNIT) as f:
        return re.findall(rf"^{name}=(.*)$", f.read(), re.M)


def analyze(*words):
    return subprocess.run(["systemd-analyze", "--no-pager", *words], capture_output=True,
                          text=True)


def group(name, known={}):
    """The system calls of a group of systemd's, and of the groups in it."""
    if name not in known:
        done = analyze("syscall-filter", name)
        true(f"systemd knows {name}: {done.stderr}", done.returncode == 0)
        known[name] = set()
        for word in re.findall(r"^ +(\S+)$", done.stdout, re.M):
            known[name] |= group(word) if word.startswith("@") else {word}
    return known[name]


def calls():
    allowed = set()
    for line in setting("SystemCallFilter"):
        words = line.lstrip("~").split()
        named = set().union(*(group(w) if w.startswith("@") else {w} for w in words))
        allowed = allowed - named if line.startswith("~") else allowed | named
    return allowed


def executors_calls():
    """What stands on the executors' own list, and what puts it into force."""
    with open(f"{TOP}/userspace/executor/filter.c") as f:
        text = f.read()
    lists = text[text.index("int allowed[]"):text.index("int unknown[]")]
    return set(re.findall(r"SCMP_SYS\((\w+)\)", lists)) | {
        "seccomp", "prctl", "personality", "landlock_create_ruleset", "landlock_add_rule",
        "landlock_restrict_self", "setresuid", "setresgid", "setgroups", "capset", "execve"}


def exposure():
    done = analyze("security", "--offline=true", f"--threshold={EXPOSURE}", UNIT)
    level = re.search(r"Overall exposure level .*: ([\d.]+)", done.stdout)
    true(f"the exposure is at most {EXPOSURE / 10}: {done.stdout[-200:]}", done.returncode == 0)
    done = analyze("verify", UNIT)
    said = [line for line in done.stderr.splitlines()
            if "not executable" not in line and "Command 'man " not in line]
    true(f"systemd understands each line: {said}", not said)
    return level[1]


def computes(allowed):
    """A mediator with these calls and capabilities, and executors of another user."""
    import startup
    startup.OUT = OUT
    caps = [word[4:].lower() for word in setting("CapabilityBoundingSet")[0].split()]
    cache = tempfile.mkdtemp(prefix="vgpu-unit-")
    os.chmod(cache, 0o755)
    place = startup.Place(cache=f"{cache}/cache", uids="200000-200009")
    place.wrapper = ["setpriv", "--no-new-privs", "--inh-caps=-all",
                     "--bounding-set=-all," + ",".join(f"+{c}" for c in caps),
                     f"{OUT}/tests/install/confine", ",".join(sorted(allowed))]
    places.append(place)
    place.start()
    code = """
p, x, data, back = ctypes.c_uint64(), ctypes.c_void_p(), b"x" * 65536, ctypes.create_string_buffer(65536)
r = c.cuInit(0) or c.cuDevicePrimaryCtxRetain(ctypes.byref(x), 0) or c.cuCtxSetCurrent(x)
r = r or c.cuMemAlloc_v2(ctypes.byref(p), 65536) or c.cuMemcpyHtoD_v2(p, data, 65536)
r = r or c.cuMemcpyDtoH_v2(back, p, 65536)
print(r, back.raw == data)
"""
    done = place.run(code)
    true(f"a program computes: {done.stdout}{done.stderr}{place.lines()}",
         done.stdout.strip() == "0 True")
    # Of a program's end the log says how often memory was refused: never, here.
    lines = [line.replace(" memory_refused=0 ", " ") for line in place.lines()]
    wrong = [line for line in lines if re.search(r"cannot|not permitted|refused", line)]
    true(f"and the log has no complaint: {wrong}", not wrong)
    places.pop().end()
    # The cache is another user's, and its folder only that user's to read.
    for _ in range(2):
        place = startup.Place(cache=f"{cache}/cache")
        place.wrapper = ["setpriv", "--no-new-privs", "--inh-caps=-all",
                         "--bounding-set=-all," + ",".join(f"+{c}" for c in caps)]
        places.append(place)
        place.start()
        true(f"the cache can be made, and used again: {place.lines()}",
             place.program()[0] == 0 and not any("not kept" in line for line in place.lines()))
        places.pop().end()
    shutil.rmtree(cache)


def main():
    if not shutil.which("systemd-analyze"):
        print("unit: not run, there is no systemd-analyze")
        return
    allowed = calls()
    missing = executors_calls() - allowed
    true(f"the unit allows what executors are allowed; it lacks {sorted(missing)}", not missing)
    level = exposure()
    if not os.geteuid():
        computes(allowed)
    print(f"unit: {checks} checks passed, 0 failed (exposure {level})")


if __name__ == "__main__":
    main()
