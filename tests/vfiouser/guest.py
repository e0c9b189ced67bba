# SPDX-License-Identifier: Apache-2.0
"""A guest of stock QEMU on a vGPU without a host module, and its agent (tools/vm/agent.sh)."""
import base64
import json
import os
import socket
import subprocess
import time


class Guest:
    """qemu is QEMU's first words and its environment; device the socket of the mediator's; more
    what QEMU gets besides."""

    def __init__(self, folder, logs, qemu, kernel, image, device, memory="512M",
                 more=()):
        agent = os.path.join(folder, "agent.sock")
        words, env = qemu
        server = socket.socket(socket.AF_UNIX)
        server.bind(agent)
        server.listen(1)
        self.console = os.path.join(logs, "guest.log")
        with open(os.path.join(logs, "qemu.log"), "w") as log:
            self.process = subprocess.Popen(
                words + ["-M", "pc,graphics=off,hpet=off,memory-backend=ram",
                         "-accel", "tcg,thread=multi", "-cpu", "max,la57=off",
                         "-nodefaults", "-no-user-config", "-nographic", "-no-reboot",
                         "-m", memory, "-object",
                         f"memory-backend-memfd,id=ram,size={memory},share=on",
                         "-kernel", kernel, "-initrd", image, "-append",
                         "console=ttyS0 loglevel=8 panic=-1 no_timer_check tsc=reliable "
                         "mitigations=off cryptomgr.notests lsm=none audit=0 "
                         "printk.devkmsg=on rig.agent=ttyS1 rig.end=reboot",
                         "-serial", f"file:{self.console}",
                         "-chardev", f"socket,id=agent,path={agent}", "-serial", "chardev:agent",
                         "-qmp", f"unix:{folder}/qmp.sock,server=on,wait=off",
                         "-device", json.dumps({"driver": "vfio-user-pci",
                                                "socket": {"type": "unix", "path": device}}),
                         *more],
                env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        server.settimeout(30)
        self.line, _ = server.accept()
        server.close()
        self.line.settimeout(1)
        self.qmp = os.path.join(folder, "qmp.sock")
        self.text, self.number = b"", 0

    def _read(self, until):
        """The next line of the agent's, or None after a time or the guest's end."""
        while b"\n" not in self.text:
            if time.time() > until:
                return None
            try:
                more = self.line.recv(65536)
            except TimeoutError:
                continue
            if not more:
                return None
            self.text += more
        line, self.text = self.text.split(b"\n", 1)
        return line.decode(errors="replace").rstrip("\r")

    def wait(self, seconds):
        until = time.time() + seconds
        line = ""
        while line is not None and line != "READY":
            line = self._read(until)
        return line == "READY"

    def run(self, command, seconds=120):
        """(status, output); status is None if it did not end in time."""
        self.number += 1
        words = base64.b64encode(command.encode()).decode()
        self.line.sendall(f"{self.number} {words}\n".encode())
        until, output = time.time() + seconds, []
        while (line := self._read(until)) is not None:
            head, _, rest = line.partition(" ")
            if head == f"O{self.number}":
                output.append(rest)
            elif head == f"R{self.number}":
                return int(rest), "\n".join(output)
        return None, "\n".join(output)

    def reset(self):
        """What a reset button does. The agent answers anew after it."""
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(self.qmp)
            stream = line.makefile("rw")
            for name, arguments in (("qmp_capabilities", {}),
                                    ("set-action", {"reboot": "reset"}), ("system_reset", {}),
                                    ("set-action", {"reboot": "shutdown"})):
                stream.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
                stream.flush()
                while "return" not in (answer := json.loads(stream.readline())):
                    assert "error" not in answer, answer
                if name == "system_reset":
                    time.sleep(1)

    def stop(self, seconds=60):
        try:
            self.line.sendall(b"0 stop\n")
            return self.process.wait(seconds)
        except (OSError, subprocess.TimeoutExpired):
            return None

    def kill(self):
        self.process.kill()
        self.process.wait()
