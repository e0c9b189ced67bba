#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Install into a folder, and look at what is there: files, modes, owners and links, and what
the documentation and the files themselves name; then remove all of it.

    test_install.py OUT     of what lies in OUT
"""
import glob
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OUT = os.path.abspath(sys.argv[1])
with open(f"{TOP}/VERSION") as version:
    VERSION = version.read().strip()
checks = failed = 0

HOST = {
    "usr/sbin/vgpu-mediatord": 0o755,
    "usr/bin/vgpuctl": 0o755,
    "usr/bin/vgpu-exporter": 0o755,
    "usr/libexec/vgpu/vgpu-executor": 0o755,
    "usr/libexec/vgpu/nvidia-nodes": 0o755,
    "usr/lib/vgpu-host/libvgpu-softgpu.so": 0o644,
    "usr/share/man/man8/vgpu-mediatord.8": 0o644,
    "usr/share/man/man8/vgpu-exporter.8": 0o644,
    "usr/share/man/man5/vgpu.conf.5": 0o644,
    "usr/share/man/man1/vgpuctl.1": 0o644,
    "usr/lib/systemd/system/vgpu-mediatord.service": 0o644,
    "usr/lib/systemd/system/vgpu-exporter.service": 0o644,
    "usr/lib/udev/rules.d/60-vgpu-host.rules": 0o644,
    "usr/lib/modprobe.d/vgpu-host.conf": 0o644,
    "usr/lib/modules-load.d/vgpu-host.conf": 0o644,
    "usr/lib/sysusers.d/vgpu-host.conf": 0o644,
    "usr/lib/tmpfiles.d/vgpu-host.conf": 0o644,
    "etc/vgpu/vgpu.conf": 0o644,
    "etc/apparmor.d/vgpu-mediatord": 0o644,
}
GUEST = {
    "usr/lib/vgpu/libcuda.so.1": 0o644,
    "usr/lib/vgpu/libnvidia-ml.so.1": 0o644,
    "usr/lib/vgpu/libcupti.so.12": 0o644,
    "usr/lib/vgpu/libcupti.so.13": 0o644,
    "usr/lib/vgpu/libcuda.so": "libcuda.so.1",
    "usr/lib/vgpu/libnvidia-ml.so": "libnvidia-ml.so.1",
    "usr/bin/vgpuctl": 0o755,
    "usr/share/man/man1/vgpuctl.1": 0o644,
    "usr/lib/udev/rules.d/60-vgpu-guest.rules": 0o644,
    "etc/ld.so.conf.d/00-vgpu.conf": 0o644,
}


def true(what, good):
    global checks, failed
    checks += 1
    if not good:
        failed += 1
        print(f"FAIL install: {what}")


def make(root, *targets, prefix="/usr"):
    done = subprocess.run(["make", "-s", "-C", TOP, f"O={OUT}", f"DESTDIR={root}",
                           f"PREFIX={prefix}", *targets], capture_output=True, text=True)
    true(f"make {' '.join(targets)}: {done.stderr}", done.returncode == 0)
    return done.stdout


def found(root):
    """Mode of each file, target of each link, below `root`."""
    files = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            st = os.lstat(path)
            files[os.path.relpath(path, root)] = \
                os.readlink(path) if stat.S_ISLNK(st.st_mode) else stat.S_IMODE(st.st_mode)
            true(f"{path} is whoever's installed it", st.st_uid == os.geteuid())
    return files


def same(what, is_there, wanted):
    for name in sorted(wanted.keys() | is_there.keys()):
        true(f"{what}: {name} is {is_there.get(name)}, not {wanted.get(name)}",
             is_there.get(name) == wanted.get(name))


def folders(root):
    for folder, _, _ in os.walk(root):
        true(f"{folder} can be entered by all", os.stat(folder).st_mode & 0o555 == 0o555 or
             folder == root)


def text(*path):
    with open(os.path.join(*path)) as f:
        return f.read()


def parts(root):
    for part, wanted in (("host", HOST), ("guest", GUEST)):
        make(root, f"install-{part}")
        same(f"install-{part}", found(root), wanted)
        folders(root)
        make(root, f"uninstall-{part}")
        true(f"uninstall-{part} leaves no file: {found(root)}", not found(root))
    for folder in ("etc/vgpu", "usr/libexec/vgpu", "usr/lib/vgpu-host", "usr/lib/vgpu"):
        true(f"uninstall leaves no folder {folder}", not os.path.exists(f"{root}/{folder}"))


def other_prefix(root):
    """Files name each other where they are, and the configuration stays in /etc."""
    make(root, "install", prefix="/opt/v")
    wanted = {name.replace("usr/", "opt/v/", 1) if name.startswith("usr/") else name: what
              for name, what in (HOST | GUEST).items()}
    same("with PREFIX=/opt/v", found(root), wanted)
    for name in ("opt/v/lib/systemd/system/vgpu-mediatord.service",
                 "opt/v/lib/systemd/system/vgpu-exporter.service",
                 "etc/ld.so.conf.d/00-vgpu.conf"):
        words = text(root, name)
        true(f"{name} names /opt/v, not /usr", "/opt/v/" in words and "/usr/" not in words)
    make(root, "uninstall", prefix="/opt/v")
    true("uninstall removes from there", not found(root))


def named(root):
    """What files and pages name is there."""
    make(root, "install", "install-host-dkms", "install-guest-dkms")
    for name in ("usr/lib/systemd/system/vgpu-mediatord.service",
                 "usr/lib/systemd/system/vgpu-exporter.service",
                 "etc/ld.so.conf.d/00-vgpu.conf"):
        for path in re.findall(r"(?<![\w/])/(?:usr|etc)/[\w./-]*\w", text(root, name)):
            true(f"{name} names {path}", os.path.exists(root + path))
    pages = {"docs/install.md": text(TOP, "docs/install.md"),
             "docs/operations.md": text(TOP, "docs/operations.md")}
    for page in glob.glob(f"{TOP}/userspace/man/*.[1-9]"):
        pages[os.path.relpath(page, TOP)] = text(page)
    count = 0
    for page, words in pages.items():
        for path in re.findall(r"(?<![\w/.*])/(?:usr/(?:s?bin|lib|libexec|src)/|etc/vgpu/|"
                               r"etc/ld\.so\.conf\.d/)[\w./-]*\w", words):
            # The host's other programs are not ours.
            if "vgpu" not in path or "/systemd/system/vgpu-mediatord.service.d" in path:
                continue
            count += 1
            true(f"{page} names {path}", os.path.lexists(root + path.replace("VERSION", VERSION)))
    true(f"pages name installed files ({count})", count >= 5)
    for line in text(root, "usr/lib/sysusers.d/vgpu-host.conf").splitlines():
        if line.startswith("u "):
            user = line.split()[1]
            true("the configuration and tmpfiles.d name the user of sysusers.d",
                 f"\nuser = {user}\n" in text(root, "etc/vgpu/vgpu.conf") and
                 f" {user} {user} " in text(root, "usr/lib/tmpfiles.d/vgpu-host.conf"))


def dkms(root):
    """What DKMS is given is complete: each file that the modules' Kbuild and sources name."""
    for part in ("host", "guest"):
        base = f"{root}/usr/src/vgpu-{part}-{VERSION}"
        conf = text(base, "dkms.conf")
        true(f"{part}: the version", f'PACKAGE_VERSION="{VERSION}"' in conf)
        true(f"{part}: no tests", not glob.glob(f"{base}/**/tests", recursive=True))
        true(f"{part}: only its own module", not os.path.exists(
            f"{base}/{'guest' if part == 'host' else 'host'}-kmod"))
        kbuild = text(base, f"{part}-kmod/Kbuild")
        for name in re.findall(r"\b([\w/]+)\.o\b", kbuild):
            true(f"{part}: {name}.c", name == f"vgpu_{part}" or
                 os.path.exists(f"{base}/{part}-kmod/{name}.c"))
        same_files = subprocess.run(["diff", "-rq", "-x", "tests", f"{TOP}/{part}-kmod",
                                     f"{base}/{part}-kmod"], capture_output=True, text=True)
        true(f"{part}: {same_files.stdout}", same_files.returncode == 0)


def configuration_stays(root):
    path = f"{root}/etc/vgpu/vgpu.conf"
    with open(path, "a") as f:
        f.write("# mine\n")
    make(root, "install")
    true("an operator's configuration is not replaced", text(path).endswith("# mine\n"))
    said = make(root, "uninstall")
    true("it stays, and make says so", os.path.exists(path) and "stays" in said)
    true(f"nothing else stays: {found(root)}", list(found(root)) == ["etc/vgpu/vgpu.conf"])


def configuration_is_valid(root):
    """The mediator takes the installed configuration, as far as users of this machine go."""
    words = text(root, "etc/vgpu/vgpu.conf")
    path = f"{root}/try.conf"
    with open(path, "w") as f:
        # All of what stands in comments is valid too, and is the default.
        f.write(re.sub(r"(?m)^#(\w+ =.+)$", r"\1", words.replace("user = vgpu",
                                                                "user = no-such-user")))
    done = subprocess.run([f"{root}/usr/sbin/vgpu-mediatord", "--config", path],
                          capture_output=True, text=True, timeout=30)
    os.unlink(path)
    true(f"the configuration is valid: {done.stderr}",
         "no-such-user: there is no such user" in done.stderr if not os.geteuid() else True)


def found_first(root):
    """The dynamic linker finds our libraries before others of the same names, by ldconfig."""
    if os.geteuid():
        return
    other = f"{root}/usr/lib/x86_64-linux-gnu"
    os.makedirs(other)
    for name in ("libcuda.so.1", "libnvidia-ml.so.1"):
        shutil.copy(f"{root}/usr/lib/vgpu/{name}", f"{other}/{name}")
    with open(f"{root}/etc/ld.so.conf.d/x86_64-linux-gnu.conf", "w") as f:
        f.write("/usr/lib/x86_64-linux-gnu\n")
    with open(f"{root}/etc/ld.so.conf", "w") as f:
        f.write("include /etc/ld.so.conf.d/*.conf\n")
    done = subprocess.run(["/sbin/ldconfig", "-r", root], capture_output=True, text=True)
    true(f"ldconfig: {done.stderr}", done.returncode == 0)
    cache = subprocess.run(["/sbin/ldconfig", "-r", root, "-p"], capture_output=True,
                           text=True).stdout
    for name in ("libcuda.so.1", "libcuda.so", "libnvidia-ml.so.1", "libnvidia-ml.so"):
        places = re.findall(rf"^\s{re.escape(name)} .*=> (\S+)", cache, re.M)
        true(f"{name} is found in our folder first: {places}",
             places and places[0] == f"/usr/lib/vgpu/{name}")
    # Whoever had a libcuda.so.1 has it again when ours has gone.
    shutil.rmtree(other)
    os.unlink(f"{root}/etc/ld.so.conf.d/x86_64-linux-gnu.conf")
    os.unlink(f"{root}/etc/ld.so.conf")
    os.unlink(f"{root}/etc/ld.so.cache")
    shutil.rmtree(f"{root}/var", ignore_errors=True)


def profile(root):
    """AppArmor's parser takes the profile, in which there are the programs that are installed."""
    words = text(root, "etc/apparmor.d/vgpu-mediatord")
    for path in ("usr/sbin/vgpu-mediatord", "usr/libexec/vgpu/vgpu-executor"):
        true(f"the profile names {path}", f"  /{path} m" in words and os.path.exists(f"{root}/{path}"))
    true("the unit asks for it", "\nAppArmorProfile=-vgpu-mediatord\n" in
         text(root, "usr/lib/systemd/system/vgpu-mediatord.service"))
    # It neither looks at the kernel nor keeps what it has made.
    if shutil.which("apparmor_parser"):
        done = subprocess.run(["apparmor_parser", "-Q", "-K",
                               f"{root}/etc/apparmor.d/vgpu-mediatord"], capture_output=True,
                              text=True)
        true(f"the profile is valid: {done.stderr}", done.returncode == 0)


def nodes(root):
    """nvidia-nodes asks for the nodes of every GPU."""
    bin_ = f"{root}/stub"
    os.makedirs(bin_)
    with open(f"{bin_}/nvidia-modprobe", "w") as f:
        f.write('#!/bin/sh\necho "$*" >>"$0.log"\n')
    os.chmod(f"{bin_}/nvidia-modprobe", 0o755)
    for i, bdf in enumerate(("0000:01:00.0", "0000:81:00.0", "0000:c1:00.0")):
        os.makedirs(f"{root}/proc/driver/nvidia/gpus/{bdf}")
        with open(f"{root}/proc/driver/nvidia/gpus/{bdf}/information", "w") as f:
            f.write(f"Model: \t\t NVIDIA H200\nIRQ:   \t\t 7\nDevice Minor: \t {i}\n")
    run = subprocess.run([f"{root}/usr/libexec/vgpu/nvidia-nodes", f"{root}/proc"],
                         env={"PATH": f"{bin_}:{os.environ['PATH']}"})
    asked = text(f"{bin_}/nvidia-modprobe.log").splitlines()
    true(f"each GPU's node, and UVM's: {asked}", run.returncode == 0 and
         asked == ["", "-c 0", "-c 1", "-c 2", "-u -c 0"])
    shutil.rmtree(bin_)
    shutil.rmtree(f"{root}/proc")


def main():
    root = tempfile.mkdtemp(prefix="vgpu-install-")
    os.chmod(root, 0o755)
    try:
        parts(root)
        other_prefix(root)
        named(root)
        dkms(root)
        found_first(root)
        nodes(root)
        profile(root)
        configuration_is_valid(root)
        configuration_stays(root)
    finally:
        shutil.rmtree(root)
    if failed:
        sys.exit(f"install: {checks - failed} checks passed, {failed} failed")
    print(f"install: {checks} checks passed, 0 failed")


if __name__ == "__main__":
    main()
