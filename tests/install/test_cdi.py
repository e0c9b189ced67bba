#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""vgpuctl cdi: what the specification says, and that a program in a container runs with it.

    test_cdi.py BUILD       with-mediator runs it
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

BUILD = os.path.abspath(sys.argv[1])
CTL = os.path.join(BUILD, "bin/vgpuctl")
SOCKET = "/run/vgpu/vgpu.sock"
passed = failed = 0


def check(what, fine, seen=""):
    global passed, failed
    passed, failed = passed + bool(fine), failed + (not fine)
    print(f"{'ok' if fine else 'not ok'} - {what}" + ("" if fine else f": {seen}"))


def touch(root, *paths):
    for path in paths:
        os.makedirs(os.path.dirname(root + path), exist_ok=True)
        open(root + path, "w").close()


def cdi(root, *words):
    done = subprocess.run([CTL, "cdi", "--root", root, *words], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def nodes(edits):
    return [n["path"] for n in edits.get("deviceNodes", [])]


def mounts(edits):
    return {m["containerPath"]: m["hostPath"] for m in edits.get("mounts", [])}


def guest():
    with tempfile.TemporaryDirectory() as root:
        code, spec, errors = cdi(root)
        check("a machine without vGPUs is told so", (code, spec) == (1, None) and
              "doctor" in errors, errors)
        touch(root, "/dev/vgpu0", "/dev/vgpu12", "/dev/vgpu-host")
        code, spec, errors = cdi(root)
        check("so is one without libraries", (code, spec) == (1, None) and
              "/usr/lib/vgpu/libcuda.so.1" in errors, errors)
        touch(root, "/usr/lib/vgpu/libcuda.so.1", "/usr/lib/vgpu/libnvidia-ml.so.1")
        code, spec, _ = cdi(root)
        check("a guest has a specification", code == 0, code)
        check("its kind is a vendor and a class", re.fullmatch(r"[A-Za-z][\w.-]*/[A-Za-z][\w.-]*",
                                                               spec["kind"]), spec["kind"])
        devices = {d["name"]: d["containerEdits"] for d in spec["devices"]}
        check("there is a device for each vGPU, and one for all", sorted(devices) ==
              ["0", "12", "all"], devices)
        check("each has its node", nodes(devices["12"]) == ["/dev/vgpu12"], devices)
        check("the last has all", nodes(devices["all"]) == ["/dev/vgpu0", "/dev/vgpu12"], devices)
        places = mounts(spec["containerEdits"])
        check("libraries lie where Debian's and Red Hat's linkers look", all(
            places.get(f"/usr/lib{more}/libcuda.so.1") == "/usr/lib/vgpu/libcuda.so.1"
            for more in ("64", "/x86_64-linux-gnu")), places)
        check("what is not installed is left out", not any("cupti" in p for p in places), places)


def host():
    with tempfile.TemporaryDirectory() as root:
        touch(root, SOCKET, "/run/vgpu/control.sock", "/opt/v/libcuda.so.1")
        code, spec, _ = cdi(root, "--libraries", "/opt/v")
        check("a host has a specification, too", code == 0, code)
        everything = mounts(spec["devices"][0]["containerEdits"])
        check("it gives the socket alone, and no folder", everything == {SOCKET: SOCKET},
              everything)


def contained():
    """A root folder with a program and the C library, and the mounts of the specification."""
    if subprocess.run(["unshare", "--mount", "true"], stderr=subprocess.DEVNULL).returncode:
        print("skipped - mounts are not allowed here")
        return
    real = os.environ["VGPU_TRANSPORT"].removeprefix("unix:")
    with tempfile.TemporaryDirectory() as root:
        # The mediator of this test has its socket elsewhere, so the specification is made for a
        # machine on which it stands at its place.
        with tempfile.TemporaryDirectory() as machine:
            touch(machine, SOCKET)
            os.makedirs(machine + BUILD)
            os.symlink(os.path.join(BUILD, "lib"), machine + os.path.join(BUILD, "lib"))
            code, spec, errors = cdi(machine, "--libraries", os.path.join(BUILD, "lib"))
        check("the specification of this build", code == 0, errors)
        program = os.path.join(BUILD, "programs/vectoradd")
        needs = subprocess.run(["ldd", program, os.path.join(BUILD, "lib/libcuda.so.1")],
                               stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "LD_LIBRARY_PATH": ""}).stdout
        for path in re.findall(r"(/\S+\.so\S*) \(", needs) + ["/lib64/ld-linux-x86-64.so.2"]:
            os.makedirs(root + os.path.dirname(path), exist_ok=True)
            if not os.path.exists(root + path):
                shutil.copy(path, root + path)
        shutil.copy(program, root + "/program")
        os.makedirs(root + "/proc")
        script = ["set -e", f"mount --bind /proc {root}/proc"]
        places = {**mounts(spec["containerEdits"]),
                  **mounts(spec["devices"][0]["containerEdits"])}
        for to, source in places.items():
            touch(root, to)
            source = real if source == SOCKET else source
            script.append(f"mount --bind {source} {root}{to}")
        script.append(f"exec chroot {root} /program")
        env = {"PATH": os.environ["PATH"]}
        done = subprocess.run(["unshare", "--mount", "sh", "-c", "\n".join(script)], env=env,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        check("a program in a container finds libcuda.so.1 and computes, without variables",
              done.returncode == 0 and "PASS vectoradd" in done.stdout, done.stdout)


guest()
host()
contained()
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
