#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The device plugin between a mediator with softgpu and a stand-in for the kubelet.

    test_plugin.py BUILD

Without Go and what the plugin is made of nothing is tried, and a line says so.
"""
import atexit
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "ctl"))
from mediator import Mediator, Program, check, finish     # noqa: E402

BUILD = os.path.abspath(sys.argv[1])
PLUGIN = os.path.join(BUILD, "kubernetes/bin/vgpu-device-plugin")
SILENCE_S = 120
# The device has more than either tenant.
os.environ["VGPU_SOFTGPU_MEM"] = "8G"
A, B = "vgpu/A-1024M", "vgpu/A-2048M"
HEALTHY = {A: {"team-a": "Healthy"}, B: {"team-b": "Healthy"}}
UNHEALTHY = {A: {"team-a": "Unhealthy"}, B: {"team-b": "Unhealthy"}}


class Talker:
    """A process whose lines are collected."""
    def __init__(self, *command, lines="stdout"):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True,
                                        **{lines: subprocess.PIPE})
        atexit.register(self.process.kill)
        self.lines = []
        self.reader = threading.Thread(target=self.read, args=(getattr(self.process, lines),),
                                       daemon=True)
        self.reader.start()

    def read(self, stream):
        for line in stream:
            self.lines.append(line.rstrip("\n"))

    def wait(self, until):
        """Until it holds, or there is no further line for SILENCE_S, or the process has ended."""
        seen, end = 0, time.monotonic() + SILENCE_S
        while not (good := until()) and time.monotonic() < end and self.process.poll() is None:
            if len(self.lines) > seen:
                seen, end = len(self.lines), time.monotonic() + SILENCE_S
            time.sleep(0.05)
        return good or until()

    def said(self, word):
        return [line for line in self.lines if word in line]

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        code = self.process.wait(SILENCE_S)
        self.reader.join(SILENCE_S)
        return code


class Kubelet(Talker):
    def __init__(self, folder, *refusal):
        super().__init__(os.path.join(BUILD, "tests/kubernetes/kubelet"), folder, *refusal)

    def events(self, kind):
        return [e for e in map(json.loads, list(self.lines)) if kind in e]

    def registered(self):
        return sorted((e["registers"], e["version"]) for e in self.events("registers"))

    def devices(self):
        """What each resource has listed last."""
        return {e["lists"]: e["devices"] for e in self.events("lists")}

    def allocate(self, resource, *devices):
        def answers():
            return [e for e in map(json.loads, list(self.lines))
                    if "allocated" in e or "refused" in e]
        before = len(answers())
        self.process.stdin.write(" ".join((resource,) + devices) + "\n")
        self.process.stdin.flush()
        self.wait(lambda: len(answers()) > before)
        return answers()[-1]


def in_container(folder, env, mounts, words):
    """WORDS in a root folder with a program, the C library, and these mounts alone."""
    root = tempfile.mkdtemp(dir=folder)
    program = os.path.join(BUILD, "programs/devinfo")
    needs = subprocess.run(["ldd", program, os.path.join(BUILD, "lib/libcuda.so.1"), "/bin/dash"],
                           stdout=subprocess.PIPE, text=True,
                           env={**os.environ, "LD_LIBRARY_PATH": ""}).stdout
    libraries = re.findall(r"(/\S+\.so\S*) \(", needs) + ["/lib64/ld-linux-x86-64.so.2"]
    for path, to in [(p, p) for p in libraries] + [(program, "/devinfo"), ("/bin/dash", "/sh")]:
        os.makedirs(root + os.path.dirname(to), exist_ok=True)
        shutil.copy(path, root + to)
    os.makedirs(root + "/proc")
    script = ["set -e", f"mount --bind /proc {root}/proc"]
    for m in mounts:
        os.makedirs(root + m["to"], exist_ok=True)
        script.append(f"mount --bind {m['from']} {root}{m['to']}")
        if m["ro"]:
            script.append(f"mount -o remount,bind,ro {root}{m['to']}")
    script += [f"find {root} -path {root}/proc -prune -o -type s -printf 'socket /%P\\n'",
               "exec env -i " + " ".join(f"{k}={v}" for k, v in env.items()) +
               f" {shutil.which('chroot')} {root} {words}"]
    done = subprocess.run(["unshare", "--mount", "sh", "-c", "\n".join(script)],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def computes(what, folder, env, mounts, m, name, mib):
    code, text = in_container(folder, env, mounts, "/devinfo")
    check(f"{what}: a program sees {mib} MiB", code == 0 and
          re.search(rf"PASS devinfo: .*, {mib} MiB", text), text)
    check(f"{what}: of all sockets it has its tenant's alone",
          re.findall(r"^socket (\S+)$", text, re.M) == [f"{m.folder}/{name}/vgpu.sock"], text)
    for to in [place["to"] for place in mounts]:
        code, text = in_container(folder, env, mounts, f"/sh -c '>{to}/x'")
        check(f"{what}: it cannot write into {os.path.basename(to)}",
              code and "Read-only" in text, text)


def allocation(kubelet, m, folder, cdi, resource, name, mib):
    got = kubelet.allocate(resource, name)
    check(f"{name} is allocated", len(got.get("allocated", [])) == 1, got)
    one = got["allocated"][0]
    places = [{"from": p["host_path"], "to": p["container_path"], "ro": p.get("read_only")}
              for p in one["mounts"]]
    with open(os.path.join(cdi, "vgpu-tenant.json")) as f:
        spec = json.load(f)
    named = {f"{spec['kind']}={d['name']}": d["containerEdits"] for d in spec["devices"]}
    check("the CDI specification has both tenants", sorted(named) ==
          ["vgpu/tenant=team-a", "vgpu/tenant=team-b"], named)
    device = [d["name"] for d in one["cdi_devices"]]
    check("the answer names the CDI device", device == [f"vgpu/tenant={name}"], one)
    edits = named.get(f"vgpu/tenant={name}", {"env": [], "mounts": []})
    if subprocess.run(["unshare", "--mount", "true"], stderr=subprocess.DEVNULL).returncode:
        print("skipped - mounts are not allowed here")
        return
    computes(f"{name}, by mounts and environment", folder, one["envs"], places, m, name, mib)
    computes(f"{name}, by CDI", folder, dict(e.split("=", 1) for e in edits["env"] or []),
             [{"from": p["hostPath"], "to": p["containerPath"], "ro": "ro" in p["options"]}
              for p in edits["mounts"]], m, name, mib)


def refusals(kubelet):
    for resource, devices, why in (
            (A, ["team-a", "team-b"], "one vgpu/A-1024M, and not 2"),
            (A, ["team-b"], "no tenant team-b with vgpu/A-1024M"),
            (B, ["loose"], "no tenant loose with vgpu/A-2048M")):
        got = kubelet.allocate(resource, *devices)
        check(f"{' and '.join(devices)} of {resource} is refused",
              why in got.get("refused", ""), got)


def quarantine(kubelet, m):
    class Of:
        build = BUILD

        @staticmethod
        def env():
            return {**m.env(), "VGPU_TRANSPORT": f"unix:{m.folder}/team-b/vgpu.sock"}
    p = Program(Of)
    check("a program of the other tenant runs", p.started == 0, p.started)
    os.kill(m.vgpu("team-b")["processes"][0]["executor"], signal.SIGSEGV)
    check("a tenant in quarantine is unhealthy, and no other", kubelet.wait(
        lambda: kubelet.devices() == {**HEALTHY, B: UNHEALTHY[B]}), kubelet.lines)
    p.end()
    check("it is released", m.ctl("release", "team-b") == (0, ""))
    check("and healthy", kubelet.wait(lambda: kubelet.devices() == HEALTHY), kubelet.lines)


def test(folder):
    kubelets, cdi, machine = f"{folder}/kubelet", f"{folder}/cdi", f"{folder}/run"
    for path in (kubelets, machine):
        os.mkdir(path)
        os.chmod(path, 0o711)
    tenants = (f"[socket team-a]\npath = {machine}/team-a/vgpu.sock\nmemory = 1G\n"
               f"[socket team-b]\npath = {machine}/team-b/vgpu.sock\nmemory = 2G\n"
               f"[socket loose]\npath = {machine}/loose.sock\nmemory = 2G\n"
               "[vgpu team-b]\nfaults = 1\n")
    options = ["-control", f"{machine}/control", "-kubelet", kubelets, "-libraries", f"{BUILD}/lib"]
    plugin = Talker(PLUGIN, *options, "-cdi", cdi, lines="stderr")
    check("without a mediator it says so", plugin.wait(
        lambda: plugin.said(f"mediator: dial unix {machine}/control")), plugin.lines)
    m = Mediator(BUILD, machine, tenants)
    check("without a kubelet, too", plugin.wait(
        lambda: len(plugin.said(f"{kubelets}/kubelet.sock: no such file")) == 2), plugin.lines)
    kubelet = Kubelet(kubelets)
    check("it registers a resource for each size", kubelet.wait(
        lambda: kubelet.registered() == [(A, "v1beta1"), (B, "v1beta1")]), kubelet.lines)
    check("each has its tenant", kubelet.wait(lambda: kubelet.devices() == HEALTHY), kubelet.lines)
    check("a tenant whose folder has other sockets is not offered",
          [f"its folder {machine}/ also has {machine}/" in line
           for line in plugin.said("loose: not offered")] == [True], plugin.lines)
    allocation(kubelet, m, folder, cdi, A, "team-a", 1024)
    allocation(kubelet, m, folder, cdi, B, "team-b", 2048)
    refusals(kubelet)
    quarantine(kubelet, m)
    m.end()
    check("without the mediator both are unhealthy",
          kubelet.wait(lambda: kubelet.devices() == UNHEALTHY), kubelet.lines)
    m = Mediator(BUILD, machine, tenants)
    check("and healthy with the next", kubelet.wait(lambda: kubelet.devices() == HEALTHY),
          kubelet.lines)
    check("for which nothing registers again", len(kubelet.registered()) == 2, kubelet.lines)
    kubelet.end(signal.SIGKILL)
    kubelet = Kubelet(kubelets)
    check("with a new kubelet both register again", kubelet.wait(
        lambda: kubelet.registered() == [(A, "v1beta1"), (B, "v1beta1")]), kubelet.lines)
    check("and list their tenants", kubelet.wait(lambda: kubelet.devices() == HEALTHY),
          kubelet.lines)
    kubelet.end(signal.SIGKILL)
    before = len(plugin.lines)
    kubelet = Kubelet(kubelets, "not today")
    check("a kubelet that refuses is asked again", kubelet.wait(
        lambda: len(kubelet.registered()) >= 6), kubelet.lines)
    refused = [line for line in plugin.lines[before:] if "not today" in line]
    check("with a line for each resource, and not for each time", len(refused) == 2 and
          all(x in "\n".join(refused) for x in (A, B)), plugin.lines)
    kubelet.end(signal.SIGKILL)
    kubelet = Kubelet(kubelets)
    check("one that does not is used", kubelet.wait(lambda: kubelet.devices() == HEALTHY),
          kubelet.lines)
    code = plugin.end()
    check("told to end, it ends well", code == 0, code)
    check("and its connections", kubelet.wait(lambda: len(kubelet.events("ended")) == 2),
          kubelet.lines)
    check("it leaves no socket of its own", os.listdir(kubelets) == ["kubelet.sock"],
          os.listdir(kubelets))
    check("it said that the mediator was gone twice, as it was", len(plugin.said("mediator:")) == 2,
          plugin.lines)
    m.end()
    m = Mediator(BUILD, machine, f"[socket team-a]\npath = {machine}/team-a/vgpu.sock\n"
                 f"memory = 1G\n[socket rest]\npath = {machine}/rest/vgpu.sock\npool = B\n"
                 f"[socket odd-]\npath = {machine}/odd/vgpu.sock\n"
                 f"[socket pool]\npath = {machine}/pool/vgpu.sock\npool = A/B\n")
    kubelet = Kubelet(kubelets)
    plugin = Talker(PLUGIN, *options, "-cdi", f"{m.folder}/control/cdi", lines="stderr")
    check("a tenant without a limit has its pool's resource", kubelet.wait(
        lambda: kubelet.devices() == {A: HEALTHY[A], "vgpu/B": {"rest": "Healthy"}}), kubelet.lines)
    check("those whose names Kubernetes cannot have are not offered", sorted(
        line.split()[1] for line in plugin.said("is no name for Kubernetes")) == ["odd-:", "pool:"],
        plugin.lines)
    check("where no specification can be written, it says so",
          len(plugin.said("CDI: mkdir")) == 1, plugin.lines)
    got = kubelet.allocate(A, "team-a")
    check("and names no CDI device", [sorted(one) for one in got.get("allocated", [])] ==
          [["envs", "mounts"]], got)
    m.end()
    m = Mediator(BUILD, machine, tenants)
    check("a mediator with other tenants has others offered", kubelet.wait(
        lambda: kubelet.devices() == {**HEALTHY, "vgpu/B": {}}), kubelet.lines)
    check("also this one ends well", plugin.end() == 0)
    m.end()


def daemonset():
    """The daemonset gives the plugin the folders that it looks into by default."""
    defaults = re.findall(r'default "(.*?)"', subprocess.run(
        [PLUGIN, "-help"], stderr=subprocess.PIPE, text=True).stderr)
    with open(os.path.join(HERE, "../../kubernetes/daemonset.yaml")) as f:
        text = f.read()
    inside = sorted(re.findall(r"mountPath: (\S+)", text))
    check("the daemonset mounts each folder at its place",
          inside == sorted(re.findall(r" path: (\S+)", text)), text)
    check("which are those of the plugin's options",
          inside == sorted({os.path.dirname(d) if d.endswith(".sock") else d for d in defaults}
                           - {"/usr/lib/vgpu"}), (inside, defaults))


def made():
    for what in ("go", "protoc", "protoc-gen-go", "protoc-gen-go-grpc"):
        if not shutil.which(what):
            return f"skipped - {what} is not here; docs/kubernetes.md names the packages"
    if not os.path.exists("/usr/share/gocode/src/google.golang.org/grpc"):
        return "skipped - gRPC for Go is not here; docs/kubernetes.md names the packages"
    subprocess.run(["make", "-s", f"O={BUILD}", PLUGIN, f"{BUILD}/tests/kubernetes/kubelet"],
                   cwd=os.path.join(HERE, "..", ".."), check=True)
    return None


missing = made()
if missing:
    print(missing)
    print("0 passed, 0 failed")
    sys.exit(0)
daemonset()
with tempfile.TemporaryDirectory() as place:
    os.chmod(place, 0o711)
    test(place)
finish()
