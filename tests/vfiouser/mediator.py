# SPDX-License-Identifier: Apache-2.0
"""A mediator with one vGPU for a VM by vfio-user, whose driver is softgpu."""
import json
import os
import signal
import subprocess
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(TOP, "build")
UUID = "2f6d1c3a-8f8e-4a45-9d0e-53b7d0a1c2e4"
MEMORY = 1 << 30
POOL = "B"


class Mediator:
    def __init__(self, folder, log, more="", executor="", path=f"{BUILD}/bin/vgpu-executor"):
        self.socket = os.path.join(folder, "vm.sock")
        self.control = os.path.join(folder, "control.sock")
        self.log = log
        conf = os.path.join(folder, "vgpu.conf")
        with open(conf, "w") as out:
            out.write(f"""[executor]
path = {path}
libcuda = {BUILD}/lib/libvgpu-softgpu.so
cache =
{executor}
[socket]
path =
[control]
path = {self.control}
[host]
device = {folder}/none
[state]
path =
[history]
path =
[log]
level = debug
[vfio-user {UUID}]
path = {self.socket}
pages = memfd
memory = {MEMORY}
pool = {POOL}
{more}
""")
        with open(log, "w") as text:
            self.process = subprocess.Popen([f"{BUILD}/bin/vgpu-mediatord", "--config", conf],
                                            stdin=subprocess.DEVNULL, stdout=text, stderr=text)
        until(10, lambda: os.path.exists(self.socket) or self.process.poll() is not None)

    def status(self, uuid=UUID):
        done = subprocess.run([f"{BUILD}/bin/vgpuctl", "--socket", self.control, "status",
                               "--json"], text=True, stdout=subprocess.PIPE)
        try:
            found = json.loads(done.stdout)
        except ValueError:
            return {}
        return next((v for v in found.get("vgpus", []) if v.get("vgpu") == uuid), {})

    def ctl(self, *words):
        """The exit status of a vgpuctl command."""
        return subprocess.run([f"{BUILD}/bin/vgpuctl", "--socket", self.control, *words],
                              stdout=subprocess.DEVNULL).returncode

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def until(seconds, test):
    end = time.time() + seconds
    while time.time() < end:
        if test():
            return True
        time.sleep(0.05)
    return False
