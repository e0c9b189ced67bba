#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the mediator does with a configuration, files and folders that are not as it needs.

    startup.py OUT      of what lies in OUT; the parts that need root are left out without it
"""
import os
import re
import shutil
import signal
import socket
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
        self.wrapper = []       # a command before it
        self.env = {}
        self.more = ""          # of the configuration

    def start(self):
        with open(f"{self.dir}/conf", "w") as f:
            f.write("[executor]\n")
            f.writelines(f"{k} = {v}\n" for k, v in self.settings.items())
            f.write(f"[socket]\npath = {self.socket}\n[control]\npath = {self.control}\n"
                    f"[host]\ndevice = {self.dir}/none\n{self.more}")
        self.log = open(f"{self.dir}/log", "w+")
        self.process = subprocess.Popen([*self.wrapper, f"{OUT}/bin/vgpu-mediatord", "--config",
                                         f"{self.dir}/conf"], stderr=self.log,
                                        env=os.environ | self.env)
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

    def run(self, code, **variables):
        """A program that has loaded the library as `c`, with more in its environment."""
        return subprocess.run([sys.executable, "-c", "import ctypes\n"
                               "c = ctypes.CDLL('libcuda.so.1')\n" + code],
                              env=os.environ | {"VGPU_TRANSPORT": f"unix:{self.socket}",
                                                "LD_LIBRARY_PATH": f"{OUT}/lib"} | variables,
                              capture_output=True, text=True, timeout=90)

    def program(self):
        """What cuInit() says to a program, and what stands on its standard error."""
        done = self.run("print(c.cuInit(0))")
        return int(done.stdout), done.stderr

    def executor_environment(self, **variables):
        """The CUDA variables of the executor that serves a program with these variables."""
        code = ("import json, subprocess\n"
                "if c.cuInit(0): exit(1)\n"
                f"ctl = ['{OUT}/bin/vgpuctl', '--socket', '{self.control}', 'status', '--json']\n"
                "found = json.loads(subprocess.run(ctl, capture_output=True).stdout)\n"
                "with open(f\"/proc/{found['vgpus'][0]['processes'][0]['executor']}/environ\") as f:\n"
                "    print(f.read().replace('\\0', '\\n'))\n")
        done = self.run(code, **variables)
        true(f"a program with {variables} runs: {done.stderr}", done.returncode == 0)
        return {line for line in done.stdout.splitlines() if line.startswith("CUDA_")}

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
    true(f"a {which} path that names a file is refused", place.status() == 2)
    with open(path) as f:
        true("and the file is as it was", f.read() == "precious")
    place.end()


def refused(what, words, more="", **settings):
    """A configuration with which the mediator ends with status 2, and a line with these words."""
    place = Place(**settings)
    place.more = more.replace("DIR", place.dir)
    place.start()
    status = place.status()
    words = words.replace("CONF", f"{place.dir}/conf").replace("DIR", place.dir)
    true(f"{what}: status {status}, {place.lines()}", status == 2 and
         sum(words in line for line in place.lines()) == 1)
    place.end()


def wrong_settings():
    refused("an executor that is missing is named with its line",
            "CONF:2: [executor] path = /none/executor: No such file or directory",
            path="/none/executor")
    refused("an executor that may not be run", "CONF:2: [executor] path = /etc/passwd: ",
            path="/etc/passwd")
    if not os.geteuid():
        refused("a user that is missing", "CONF:5: [executor] user = no-such-user: there is no "
                "such user", user="no-such-user")
        refused("uids without a user", "[executor] uids = 2000000-2000010: this needs a user",
                user="", uids="2000000-2000010")
    refused("a socket whose folder is missing",
            "CONF:12: [socket team] path = DIR/a/b/sock: cannot make its folder DIR/a/b: "
            "No such file or directory", "[socket team]\npath = DIR/a/b/sock\n")
    refused("a socket whose folder is a file",
            "[socket team] path = DIR/conf/sock: cannot make its folder DIR/conf: Not a directory",
            "[socket team]\npath = DIR/conf/sock\n")
    refused("a socket whose path is too long",
            ": longer than the 107 bytes that a socket's path may have",
            "[socket team]\npath = /tmp/" + "x" * 110 + "\n")
    refused("two sockets with one path", "CONF:14: [socket team] path = DIR/one: [socket other] has "
            "this path already", "[socket other]\npath = DIR/one\n[socket team]\npath = DIR/one\n")
    refused("a socket with the path of vgpuctl's",
            "[socket team] path = DIR/c.sock: [control] has this path already",
            "[socket team]\npath = DIR/c.sock\n")
    for line in ("programs = 4 # of one user", "programs = 4\t# of one user"):
        refused("a comment behind a value",
                "CONF:12: [limits] programs: a comment must have a line of its own",
                f"[limits]\n{line}\n")
    refused("a comment behind a path", "[socket] mode: a comment must have a line of its own",
            "[socket]\nmode = 0666 # all\n")


def missing_paths():
    """What may come later is no reason to end."""
    place = Place(libcuda="/none/libcuda.so.1")
    place.more = "[sandbox]\nread = /usr:/none/read\nwrite = /none/write\n" \
                 f"[history]\npath = {place.dir}/none/history.db\n" \
                 f"[state]\npath = {place.dir}/none/state.json\n"
    place.start()
    said = "\n".join(place.lines())
    for words in ("conf:4: [executor] libcuda = /none/libcuda.so.1: No such file or directory",
                  "conf:12: [sandbox] read = /none/read: No such file or directory",
                  "conf:13: [sandbox] write = /none/write: No such file or directory",
                  f"conf:15: [history] path = {place.dir}/none/history.db: its folder",
                  f"conf:17: [state] path = {place.dir}/none/state.json: its folder"):
        true(f"the log has {words}: {said}", said.count(words) == 1)
    true("and the mediator runs", place.process.poll() is None)
    place.end()


def spare_killed():
    place = Place().start()
    until("the driver works", lambda: any("ready:" in line for line in place.lines()))
    pid = next(iter(children(place)))
    os.kill(int(pid), signal.SIGTERM)
    until("the log says that a spare executor has ended", lambda: any(
        f"executor {pid}, which served no program yet, ended by signal 15 (Terminated)" in line
        for line in place.lines()))
    place.end()


def reasons():
    """What a program that is refused is told, and the operator."""
    place = Place()
    place.more = "[limits]\nprograms = 1\n"
    place.start()
    done = place.run("import subprocess, sys\n"
                     "if c.cuInit(0): exit(1)\n"
                     "print(subprocess.run([sys.executable, '-c', 'import ctypes; "
                     "print(ctypes.CDLL(\"libcuda.so.1\").cuInit(0))'], capture_output=True, "
                     "text=True).stderr)")
    true(f"the program is told which limit: {done.stdout}", "the host lets no further program of "
         "this user or vGPU start now: its limits are [limits] programs, connections and "
         "[executor] uids of vgpu.conf" in done.stdout)
    true(f"and the log says it: {place.lines()}", any(
        'event=refuse' in line and 'why="1 programs of this user run, as many as may"' in line
        for line in place.lines()))
    done = place.run("print(c.cuInit(0))", VGPU_TRANSPORT=f"unix:{place.dir}/none")
    true(f"a program hears that the socket is missing: {done}", done.stdout.strip() == "100" and
         f"vgpu: {place.dir}/none: No such file or directory (VGPU_TRANSPORT names it)" in
         done.stderr)
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
    true("a folder is no executor", place.status() == 2)
    place.end()


def until(what, check):
    for _ in range(1200):
        if check():
            return
        time.sleep(0.05)
    true(what, False)


def children(place):
    """Of any of its threads."""
    found = set()
    for task in os.scandir(f"/proc/{place.process.pid}/task"):
        with open(f"{task.path}/children") as f:
            found |= set(f.read().split())
    return found


def ready():
    """systemd hears that the mediator is ready when a driver has worked, and not before."""
    for spares in ("1", "0"):
        place = Place(spares=spares)
        driver = place.settings["libcuda"] = f"{place.dir}/driver.so"
        told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        told.bind(f"{place.dir}/notify")
        told.setblocking(False)
        place.env["NOTIFY_SOCKET"] = f"{place.dir}/notify"
        words = []

        def hears():
            try:
                words.append(told.recv(4096).decode())
            except BlockingIOError:
                pass
            return any("READY=1" in w for w in words)
        place.start()
        until("the log says that the driver does not work, more than once",
              lambda: sum("does not work" in line for line in place.lines()) >= 2)
        hears()
        true(f"it is not ready without a driver: {words}", words and not hears())
        shutil.copy(f"{OUT}/lib/libvgpu-softgpu.so", f"{driver}.new")
        os.rename(f"{driver}.new", driver)
        until("it is ready when the driver works", hears)
        if spares == "0":
            until("no spare is kept", lambda: not children(place))
        result, said = place.program()
        true(f"and a program runs: {result} {said} {place.lines()}", result == 0)
        place.end()
        told.close()


def own_client():
    """A driver that is the guest's library would make executors clients of their mediator."""
    place = Place(libcuda=f"{OUT}/lib/libcuda.so.1")
    place.env["VGPU_TRANSPORT"] = f"unix:{place.socket}"
    place.start()
    true("a mediator whose driver is the guest's library ends", place.process.wait(60) == 2)
    lines = [line for line in place.lines() if "vgpu's own library" in line]
    true(f"and one line says why: {place.lines()}", len(lines) == 1)
    place.end()
    # Once programs are served, they go on when that library comes.
    place = Place()
    driver = place.settings["libcuda"] = f"{place.dir}/driver.so"
    place.env["VGPU_TRANSPORT"] = f"unix:{place.socket}"
    shutil.copy(f"{OUT}/lib/libvgpu-softgpu.so", driver)
    place.start()
    until("the driver works", lambda: any("ready:" in line for line in place.lines()))
    done = place.run("import os, shutil, subprocess, sys, time\n"
                     "first = c.cuInit(0)\n"
                     f"shutil.copy('{OUT}/lib/libcuda.so.1', '{driver}.new')\n"
                     f"os.rename('{driver}.new', '{driver}')\n"
                     "x, p = ctypes.c_void_p(), ctypes.c_uint64()\n"
                     "second = subprocess.run([sys.executable, '-c', 'import ctypes; "
                     "print(ctypes.CDLL(\"libcuda.so.1\").cuInit(0))'], capture_output=True, text=True)\n"
                     "for _ in range(600):\n"
                     f"    with open('{place.dir}/log') as f:\n"
                     "        if 'own library' in f.read(): break\n"
                     "    time.sleep(0.05)\n"
                     "print(first, c.cuDevicePrimaryCtxRetain(ctypes.byref(x), 0) or "
                     "c.cuCtxSetCurrent(x) or c.cuMemAlloc_v2(ctypes.byref(p), 4096))")
    true(f"a program goes on: {done.stdout}{done.stderr}{place.lines()}",
         done.stdout.strip() == "0 0" and place.process.poll() is None)
    lines = [line for line in place.lines() if "vgpu's own library" in line]
    true(f"and the log names the library: {place.lines()}", 1 <= len(lines) <= 6)
    place.end()


def reload():
    place = Place().start()
    until("it starts", lambda: any("ready:" in line for line in place.lines()))

    def read_again():
        return sum("read again" in line or "nothing of it" in line for line in place.lines())

    def again(more):
        count = read_again()
        with open(f"{place.dir}/conf", "a") as f:
            f.write(more)
        place.process.send_signal(signal.SIGHUP)
        until("the log says that it was read again", lambda: read_again() > count)
        return "\n".join(place.lines())
    said = again("[limits]\nprograms = 1\n[log]\nlevel = debug\n")
    true(f"limits are taken over: {said}", "[limits] programs = 1: taken over" in said and
         "[log] level = debug: taken over" in said)
    done = place.run("import subprocess, sys\n"
                     "if c.cuInit(0): exit(1)\n"
                     "print(subprocess.run([sys.executable, '-c', 'import ctypes; "
                     "print(ctypes.CDLL(\"libcuda.so.1\").cuInit(0))'], capture_output=True, "
                     "text=True).stdout)")
    true(f"and in force: {done.stdout}{done.stderr}", done.stdout.strip() == "802")
    until("executors know the new level", lambda: any(
        re.search(r"executor \d+ started", line) for line in place.lines()))
    said = again("[socket]\nmode = 600\n")
    true(f"what cannot change is named: {said}", "[socket] mode = 600: needs a restart" in said)
    said = again("[limits]\nprogrammes = 1\n")
    true(f"a wrong file changes nothing: {said}", "nothing of it is taken over" in said and
         place.process.poll() is None)
    place.end()


def log_lines():
    """Each has its time, or in the journal its level; and whoever reads them may end."""
    for stream, form in ((False, r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z vgpu-"),
                         (True, r"<\d>vgpu-")):
        place = Place()
        if stream:
            # Its inode does not change when it is opened again.
            with open(f"{place.dir}/log", "w") as f:
                st = os.fstat(f.fileno())
            place.env["JOURNAL_STREAM"] = f"{st.st_dev}:{st.st_ino}"
        place.start()
        lines = place.lines()
        true(f"lines begin with {form}: {lines}",
             lines and all(re.match(form, line) for line in lines))
        place.end()
    place = Place()
    place.wrapper = [sys.executable, "-c", "import os, signal, sys\n"
                     "signal.signal(signal.SIGPIPE, signal.SIG_DFL)\n"
                     "r, w = os.pipe(); os.dup2(w, 2); os.close(w); os.close(r)\n"
                     "os.execv(sys.argv[1], sys.argv[1:])"]
    place.start()
    true("a program is served though nobody reads the log",
         place.program()[0] == 0 and place.process.poll() is None)
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


def environment():
    os.environ |= {"CUDA_LAUNCH_BLOCKING": "1", "CUDA_MODULE_LOADING": "EAGER",
                   "CUDA_ENABLE_COREDUMP_ON_EXCEPTION": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    place = Place()
    place.start()
    for name in ("CUDA_LAUNCH_BLOCKING", "CUDA_MODULE_LOADING",
                 "CUDA_ENABLE_COREDUMP_ON_EXCEPTION", "CUDA_DEVICE_ORDER"):
        del os.environ[name]
    from_operator = {"CUDA_CACHE_DISABLE=1", "CUDA_DEVICE_ORDER=PCI_BUS_ID"}
    true("an executor inherits no more than the operator's choice of devices and cache",
         place.executor_environment() == from_operator)
    own = {"CUDA_DEVICE_MAX_CONNECTIONS": "4", "CUDA_FORCE_PTX_JIT": "1",
           "CUDA_MODULE_LOADING": "EAGER"}
    found = place.executor_environment(**own)
    true(f"a program's variables are its executor's: {found}",
         found == from_operator | {f"{k}={v}" for k, v in own.items()})
    true("and no other's", place.executor_environment() == from_operator)
    place.end()


def seen(place, wanted):
    """The last digits of the UUIDs of the devices that a program sees, or its error."""
    done = place.run("""
r, n, ids = c.cuInit(0), ctypes.c_int(), ""
if not r:
    c.cuDeviceGetCount(ctypes.byref(n))
for i in range(n.value):
    uuid, x, p = ctypes.create_string_buffer(16), ctypes.c_void_p(), ctypes.c_void_p()
    c.cuDeviceGetUuid_v2(uuid, i)
    r = r or c.cuDevicePrimaryCtxRetain(ctypes.byref(x), i) or c.cuCtxSetCurrent(x)
    r = r or c.cuMemAlloc_v2(ctypes.byref(p), 4096)
    ids += chr(uuid.raw[15])
print(r or ids)
""", **({"CUDA_VISIBLE_DEVICES": wanted} if wanted is not None else {}))
    return done.stdout.strip()


def devices():
    """softgpu's devices have UUIDs that end in their numbers."""
    uuid = "GPU-" + b"vgpu-softgpu-002".hex()
    uuid = "-".join([uuid[:12], uuid[12:16], uuid[16:20], uuid[20:24], uuid[24:]])
    os.environ["VGPU_SOFTGPU_DEVICES"] = "4"
    place = Place().start()
    for wanted, what in ((None, "0123"), ("0,1", "01"), ("1", "1"), ("3,0", "30"),
                         ("2,1,0,3", "2103"), (uuid, "2"), ("1,7,0", "1"), ("2,2", "101"),
                         ("", "100")):
        found = seen(place, wanted)
        true(f"CUDA_VISIBLE_DEVICES={wanted} shows {what}: {found}", found == what)
    place.end()
    # The operator hides one, and has another order.
    os.environ["CUDA_VISIBLE_DEVICES"] = "3,1,0"
    place = Place().start()
    del os.environ["CUDA_VISIBLE_DEVICES"]
    for wanted, what in ((None, "310"), ("2,0", "03"), ("1", "1"), ("3", "100")):
        found = seen(place, wanted)
        true(f"of 3,1,0 CUDA_VISIBLE_DEVICES={wanted} shows {what}: {found}", found == what)
    place.end()
    del os.environ["VGPU_SOFTGPU_DEVICES"]


def log_file():
    place = Place().start()
    path = f"{place.dir}/cuda.log"
    code = "c.cuInit(0); c.cuDeviceGet(None, 0); c.cuDeviceGetCount(ctypes.byref(ctypes.c_int()))"
    line = "] Returning 1 (CUDA_ERROR_INVALID_VALUE) from cuDeviceGet\n"
    for name in (path, "stderr"):
        done = place.run(code, CUDA_LOG_FILE=name)
        with open(path) as f:
            text = f.read() if name == path else done.stderr
        true(f"CUDA_LOG_FILE={name} has the call that failed, once: {text}",
             text.count(line) == 1 and text.count("Returning") == 1)
    place.end()


def main():
    socket_over_a_file("socket")
    socket_over_a_file("control")
    wrong_settings()
    missing_paths()
    spare_killed()
    reasons()
    if not os.geteuid():
        cache_of_another()
        environment()
    devices()
    log_file()
    executor_lost()
    driver_missing()
    ready()
    own_client()
    reload()
    log_lines()
    pageable_access()
    print(f"startup: {checks} checks passed, 0 failed")


if __name__ == "__main__":
    main()
