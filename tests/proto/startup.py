#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the mediator does with a configuration, files and folders that are not as it needs.

    startup.py OUT      of what lies in OUT; the parts that need root are left out without it
"""
import os
import shutil
import subprocess
import sys
import tempfile
import time

OUT = os.path.abspath(sys.argv[1])
checks = 0


def true(what, good):
    global checks
    checks += 1
    if not good:
        sys.exit(f"FAIL startup: {what}")


class Place:
    """A folder with a configuration, and a mediator that reads it."""

    def __init__(self, **settings):
        self.dir = tempfile.mkdtemp(prefix="vgpu-startup-")
        os.chmod(self.dir, 0o755)
        self.socket, self.control = f"{self.dir}/v.sock", f"{self.dir}/c.sock"
        self.settings = {"path": f"{OUT}/bin/vgpu-executor", "cache": "",
                         "libcuda": f"{OUT}/lib/libvgpu-softgpu.so"} | settings
        self.process = None

    def start(self):
        with open(f"{self.dir}/conf", "w") as f:
            f.write("[executor]\n")
            f.writelines(f"{k} = {v}\n" for k, v in self.settings.items())
            f.write(f"[socket]\npath = {self.socket}\n[control]\npath = {self.control}\n"
                    f"[host]\ndevice = {self.dir}/none\n")
        self.log = open(f"{self.dir}/log", "w+")
        self.process = subprocess.Popen([f"{OUT}/bin/vgpu-mediatord", "--config",
                                         f"{self.dir}/conf"], stderr=self.log)
        for _ in range(100):
            if self.process.poll() is not None or os.path.exists(self.control):
                break
            time.sleep(0.05)
        return self

    def status(self):
        """Its exit status, if it ends by itself soon."""
        try:
            return self.process.wait(5)
        except subprocess.TimeoutExpired:
            return None

    def lines(self):
        with open(f"{self.dir}/log") as f:
            return f.read().splitlines()

    def program(self):
        """What cuInit() says to a program, and what stands on its standard error."""
        done = subprocess.run([sys.executable, "-c", "import ctypes\n"
                               "print(ctypes.CDLL('libcuda.so.1').cuInit(0))"],
                              env=os.environ | {"VGPU_TRANSPORT": f"unix:{self.socket}",
                                                "LD_LIBRARY_PATH": f"{OUT}/lib"},
                              capture_output=True, text=True, timeout=90)
        return int(done.stdout), done.stderr

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(20)
        self.log.close()
        shutil.rmtree(self.dir)


def socket_over_a_file(which):
    place = Place()
    path = f"{place.dir}/notes"
    with open(path, "w") as f:
        f.write("precious")
    setattr(place, which, path)
    place.start()
    true(f"a {which} path that names a file is refused", place.status() == 1)
    with open(path) as f:
        true("and the file is as it was", f.read() == "precious")
    place.end()


def cache_of_another():
    place = Place()
    cache = place.settings["cache"] = f"{place.dir}/home"
    os.mkdir(cache, 0o755)
    before = os.stat(cache)
    place.start()
    after = os.stat(cache)
    true("a folder that was there is not given away",
         (before.st_uid, before.st_mode) == (after.st_uid, after.st_mode))
    true("and the log says so", any("is not kept" in line for line in place.lines()))
    place.end()
    place = Place()
    cache = place.settings["cache"] = f"{place.dir}/made"
    place.start()
    true("one that the mediator makes is the executors'", os.stat(cache).st_uid != 0)
    place.end()


def executor_lost():
    place = Place()
    path = place.settings["path"] = f"{place.dir}/executor"
    shutil.copy(f"{OUT}/bin/vgpu-executor", path)
    place.start()
    time.sleep(1)
    os.unlink(path)
    place.program()     # takes the spare one
    time.sleep(3)
    true("a program hears that the host cannot", place.program()[0] == 802)
    result, said = place.program()
    true("and why", result == 802 and "executor does not start" in said)
    count = sum("cannot start" in line for line in place.lines())
    true(f"the log says it now and then ({count} lines)", 1 <= count <= 8)
    shutil.copy(f"{OUT}/bin/vgpu-executor", path)
    time.sleep(2.5)
    true("it goes on when the file is there again", place.program()[0] == 0)
    place.end()
    place = Place(path=tempfile.gettempdir()).start()
    true("a folder is no executor", place.status() == 1)
    place.end()


def driver_missing():
    place = Place(libcuda="libno-such-driver.so").start()
    result, said = place.program()
    true("without a driver the system is not ready", result == 802 and "driver" in said)
    place.end()


def pageable_access():
    # The mediator hands its environment to executors, and their driver is softgpu.
    os.environ["VGPU_SOFTGPU_PAGEABLE"] = "1"
    for allowed in ("no", "yes"):
        place = Place(pageable_access=allowed).start()
        true("a program of this machine is served although kernels reach pageable memory",
             place.program()[0] == 0 and place.program()[0] == 0)
        count = sum("uvm_disable_hmm=1" in line for line in place.lines())
        true(f"the log names the option once, or not if that is allowed ({count} lines)",
             count == (allowed == "no"))
        place.end()
    del os.environ["VGPU_SOFTGPU_PAGEABLE"]


def main():
    socket_over_a_file("socket")
    socket_over_a_file("control")
    if not os.geteuid():
        cache_of_another()
    executor_lost()
    driver_missing()
    pageable_access()
    print(f"startup: {checks} checks passed, 0 failed")


if __name__ == "__main__":
    main()
