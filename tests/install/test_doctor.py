#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""vgpuctl doctor on machines that lack one thing each: folders that stand for /sys, /proc and
/dev, and a mediator with softgpu.

    test_doctor.py OUT
"""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from types import SimpleNamespace

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, f"{TOP}/tests/proto")
import startup  # noqa: E402
OUT = startup.OUT = os.path.abspath(sys.argv[1])
checks = 0
started = []

HOST = {"sys/module/vfio/x": "", "sys/module/mdev/x": "", "sys/module/vgpu_host/x": "",
        "dev/vgpu-host": "", "sys/class/mdev_bus/vgpu/mdev_supported_types/vgpu-A-1024M/name": "",
        "proc/driver/nvidia/version": "NVRM version: NVIDIA 580.159\n",
        "proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: X\nDevice Minor: \t 0\n",
        "proc/driver/nvidia/gpus/0000:81:00.0/information": "Model: X\nDevice Minor: \t 1\n",
        "dev/nvidiactl": "", "dev/nvidia-uvm": "", "dev/nvidia0": "", "dev/nvidia1": "",
        "sys/module/nvidia_uvm/parameters/uvm_disable_hmm": "Y\n"}
GUEST = {"sys/module/vgpu_guest/x": "", "dev/vgpu0": "",
         "sys/bus/pci/devices/0000:00:01.0/vendor": "0x8086\n",
         "sys/bus/pci/devices/0000:00:05.0/vendor": "0x1af4\n",
         "sys/bus/pci/devices/0000:00:05.0/device": "0x10f0\n",
         "sys/bus/pci/devices/0000:00:05.0/subsystem_device": "0x7667\n"}


def true(what, good):
    global checks
    checks += 1
    if not good:
        for place in started:
            place.end()
        sys.exit(f"FAIL doctor: {what}")


def machine(files):
    root = tempfile.mkdtemp(prefix="vgpu-doctor-")
    os.chmod(root, 0o755)
    for name, text in files.items():
        path = f"{root}/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, 0o666)
    return root


def ask(place, root, *options, **variables):
    """The exit status, and what each check that is not ok found and advises."""
    done = subprocess.run([f"{OUT}/bin/vgpuctl", "--socket", place.control, "--root", root, "doctor",
                           "--json", *options], capture_output=True, text=True, timeout=120,
                          env=os.environ | {"LD_LIBRARY_PATH": f"{OUT}/lib",
                                            "VGPU_TRANSPORT": f"unix:{place.socket}"} | variables)
    found = json.loads(done.stdout)
    true(f"`well` and the exit status agree: {done.stdout}",
         found["well"] == (done.returncode == 0) ==
         (not any(c["state"] == "wrong" for c in found["checks"])))
    for check in found["checks"]:
        true(f"whoever finds a fault says what to do: {check}",
             (check["state"] == "ok") == ("do" not in check) and check["found"])
    return done.returncode, [c for c in found["checks"] if c["state"] != "ok"], found["checks"]


def lacks(place, all_files, option, name, check, state, word):
    """Without one file, one check is not as it should be."""
    files = {n: t for n, t in all_files.items() if not n.startswith(name)}
    root = machine(files)
    rc, bad, _ = ask(place, root, option)
    shutil.rmtree(root)
    true(f"without {name}: {rc} {bad}",
         (rc == 0) == (state == "warning") and len(bad) == 1 and bad[0]["check"] == check and
         bad[0]["state"] == state and word in bad[0]["do"])


def another_version(place, root):
    """The answer of a mediator that was started before an upgrade."""
    path = f"{root}/control.sock"
    with open(f"{TOP}/VERSION") as f:
        installed = f.read().strip()
    for running, says in (("0.0.1", "0.0.1"), (None, "older"), (installed, None)):
        answer = {"version": running, "driver_version": 13000, "devices": 1}
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            once = threading.Thread(target=reply, args=(listener, answer), daemon=True)
            once.start()
            rc, bad, _ = ask(SimpleNamespace(control=path, socket=place.socket), root, "--host")
            once.join(20)
        os.unlink(path)
        true(f"a mediator of version {running}: {bad}", rc == 0 and
             (not bad if not says else len(bad) == 1 and says in bad[0]["found"] and
              installed in bad[0]["found"] and "restart vgpu-mediatord" in bad[0]["do"]))


def reply(listener, answer):
    connection, _ = listener.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(json.dumps({k: v for k, v in answer.items() if v}).encode())


def main():
    place = startup.Place()
    started.append(place)
    place.start()
    startup.until("a driver works", lambda: any("ready:" in line for line in place.lines()))

    for files, option in ((HOST, "--host"), (GUEST, "--guest")):
        root = machine(files)
        rc, bad, every = ask(place, root, option)
        true(f"all is well with {option}: {bad}", rc == 0 and not bad)
        true(f"the driver was tried: {every}", any(
            c["check"] == "driver" and "back is right" in c["found"] for c in every))
        if option == "--guest":
            rc, bad, again = ask(place, root)
            # The mediator's socket, which this machine has, makes it a host, too.
            true("a guest is known without being told", any(c["check"] == "device" for c in again))
        shutil.rmtree(root)

    for name, check, state, word in (
            ("sys/module/vgpu_host", "module", "wrong", "vgpu-host-dkms"),
            ("sys/module/mdev", "module", "wrong", "modprobe vgpu_host"),
            ("dev/vgpu-host", "node", "wrong", "load vgpu_host"),
            ("sys/class/mdev_bus", "types", "wrong", "types"),
            ("dev/nvidia1", "node", "wrong", "nvidia-modprobe"),
            ("dev/nvidia-uvm", "node", "wrong", "nvidia-modprobe"),
            ("proc/driver/nvidia", "nvidia", "warning", "softgpu"),
            ("sys/module/nvidia_uvm/parameters/uvm_disable_hmm", "hmm", "warning", "uvm_disable_hmm=1")):
        files = HOST | ({"sys/module/nvidia_uvm/x": ""} if "hmm" in name else {})
        lacks(place, files, "--host", name, check, state, word)
    for name, check, word in (("sys/bus/pci/devices/0000:00:05.0", "device", "vfio-pci"),
                              ("sys/module/vgpu_guest", "module", "vgpu-guest-dkms"),
                              ("dev/vgpu0", "node", "load vgpu_guest")):
        lacks(place, GUEST, "--guest", name, check, "wrong", word)

    root = machine(HOST)
    os.chmod(f"{root}/dev/nvidia0", 0o600)
    rc, bad, _ = ask(place, root, "--host")
    true(f"a node that not all may open: {bad}", rc == 0 and len(bad) == 1 and
         "0600" in bad[0]["found"])
    os.chmod(f"{root}/dev/nvidia0", 0o666)
    # A driver that is missing, and one that is the guest's library.
    empty = f"{root}/lib/vgpu"
    os.makedirs(empty)
    rc, bad, _ = ask(place, root, "--host", LD_LIBRARY_PATH=empty)
    true(f"without NVIDIA's driver, what executors load is tried: {bad}", rc == 0 and not bad)
    with open(f"{empty}/libcuda.so.1", "w") as f:
        f.write("no library")
    rc, bad, _ = ask(place, root, "--host", LD_LIBRARY_PATH=empty)
    true(f"a driver that is no library: {bad}", rc == 1 and [c["check"] for c in bad] == ["driver"])
    shutil.copy(f"{OUT}/lib/libcuda.so.1", empty)
    rc, bad, _ = ask(place, root, "--host", LD_LIBRARY_PATH=empty)
    true(f"the guest's library on a host: {bad}", rc == 1 and len(bad) == 1 and
         "vgpu-guest" in bad[0]["do"])
    another_version(place, root)
    place.process.terminate()
    place.process.wait(20)
    rc, bad, _ = ask(place, root, "--host")
    true(f"no mediator: {bad}", rc == 1 and {c["check"] for c in bad} == {"mediator", "driver"} and
         any("systemctl" in c["do"] for c in bad))
    shutil.rmtree(root)
    root = machine({})
    rc, bad, _ = ask(place, root)
    true(f"a machine with nothing: {bad}", rc == 1 and len(bad) == 1)
    shutil.rmtree(root)
    started.remove(place)
    place.end()
    print(f"doctor: {checks} checks passed, 0 failed")


if __name__ == "__main__":
    main()
