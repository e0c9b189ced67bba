# SPDX-License-Identifier: Apache-2.0
"""Root file systems of Debian's releases, and the packages that ours need there.

debootstrap makes a base, and apt, in the base, fetches what our packages depend on. Both are
kept in the rig's cache: a base is as new as the day on which it was made.
"""
import glob
import os
import re
import shutil
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tools", "vm"))
from rig import cache, debs    # noqa: E402

SUITES = ("bookworm", "trixie")
# What a server of Debian's has, and debootstrap's smallest variant lacks.
BASE = ["systemd-sysv", "udev", "dbus", "kmod", "init-system-helpers"]
# What docs/host.md works with, besides what our packages ask for.
TOOLS = ["mdevctl"]
# The series of each release whose newest kernel is taken: its own, and its backports'.
KERNELS = {"bookworm": [r"6\.1\.0-\d+", r"6\.12\.\d+\+deb12"],
           "trixie": [r"6\.12\.\d+\+deb13", r"7\.\d+\.\d+\+deb13"]}
NEXT = "+next"      # added to our version, it makes the one to which tests upgrade
# What this machine needs besides what tools/vm/deps installs.
TOOLS_HERE = [("dh", "debhelper"), ("dh_dkms", "dh-dkms"),
              ("dh_apparmor", "dh-apparmor"), ("lintian", "lintian"), ("debootstrap", "debootstrap")]
# So that nothing asks, and nothing of this machine is seen.
ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "HOME": "/root",
       "DEBIAN_FRONTEND": "noninteractive"}


def chroot(root, *words, what=None):
    """Run a command in a root file system, with a /proc of its own."""
    inner = ('mount -t proc proc "$1/proc" && root=$1 && shift && exec chroot "$root" "$@"')
    return cache.quiet(["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c",
                        inner, "sh", root, *words],
                       what or f"{words[0]} in {os.path.basename(root)}", env=ENV)


def base(suite):
    """The archive of a clean root file system of this release."""
    archive = cache.path("debian", f"{suite}-{cache.digest(debs.MIRROR, *BASE)}.tar")
    with cache.lock(f"debian-{suite}"):
        if os.path.exists(archive):
            return archive
        new = archive + ".root"
        shutil.rmtree(new, ignore_errors=True)
        os.makedirs(os.path.dirname(archive), exist_ok=True)
        cache.say(f"{suite}: making a root file system with debootstrap, some two minutes")
        options = ["--keyring=" + debs.KEYRING] if debs.KEYRING else ["--no-check-gpg"]
        cache.quiet(["debootstrap", "--variant=minbase", "--include=" + ",".join(BASE),
                     *options, suite, new, debs.MIRROR], f"debootstrap {suite}")
        for pattern in ("var/cache/apt/archives/*.deb", "var/cache/apt/*.bin"):
            for file in glob.glob(os.path.join(new, pattern)):
                os.remove(file)
        cache.quiet(["tar", "-C", new, "-cf", archive + ".new", "."], "tar")
        os.rename(archive + ".new", archive)
        shutil.rmtree(new)
    return archive


def unpack(suite, into, archive=None):
    shutil.rmtree(into, ignore_errors=True)
    os.makedirs(into)
    cache.quiet(["tar", "-C", into, "-xpf", archive or base(suite)], "tar")
    with open(os.path.join(into, "etc/hostname"), "w") as out:
        out.write("clean\n")
    return into


def field(deb, name):
    return subprocess.run(["dpkg-deb", "-f", deb, name], text=True, check=True,
                          stdout=subprocess.PIPE).stdout.strip()


def pool(suite, groups, scratch):
    """The folder with the packages of this release that ours need.

    groups are lists of our packages which are installed together, as files."""
    key = cache.digest(suite, base(suite), *TOOLS, *[field(deb, "Depends") for g in groups for deb in g])
    into = cache.path("debian", f"{suite}-pool-{key}")
    if os.path.exists(into):
        return into
    root = unpack(suite, os.path.join(scratch, "pool"))
    with cache.lock(f"debian-{suite}"):
        shutil.copy("/etc/resolv.conf", os.path.join(root, "etc"))
        cache.say(f"{suite}: fetching what the packages depend on")
        chroot(root, "apt-get", "update", "-q")
        for group in groups:
            names = []
            for file in group:
                shutil.copy(file, os.path.join(root, "srv"))
                names.append("/srv/" + os.path.basename(file))
            chroot(root, "apt-get", "install", "-y", "-q", "--download-only",
                   "--no-install-recommends", *names, *TOOLS)
        new = into + ".new"
        shutil.rmtree(new, ignore_errors=True)
        os.makedirs(new)
        for file in glob.glob(os.path.join(root, "var/cache/apt/archives/*.deb")):
            shutil.copy(file, new)
        shutil.rmtree(into, ignore_errors=True)
        os.rename(new, into)
    shutil.rmtree(root)
    return into


def repository(into, files):
    """A repository of these packages, for `deb [trusted=yes] file:/srv/NAME ./`."""
    os.makedirs(into)
    for file in files:
        shutil.copy(file, into)
    text = cache.quiet(["dpkg-scanpackages", "--multiversion", "."], "dpkg-scanpackages",
                       cwd=into)
    with open(os.path.join(into, "Packages"), "w") as out:
        out.write("".join(line for line in text.splitlines(True)
                          if not line.startswith("dpkg-scanpackages: ")))


def sources(suite):
    trust = f"signed-by={debs.KEYRING}" if debs.KEYRING else "trusted=yes"
    parts = [(debs.MIRROR, suite), (debs.MIRROR, f"{suite}-backports"),
             (debs.SECURITY, f"{suite}-security")]
    return "".join(f"deb [{trust}] {url} {name} main\n" for url, name in parts)


def install_headers(root, pattern):
    """The newest of a series that the archive has whole; an archive can lack a half of it."""
    names = chroot(root, "apt-cache", "pkgnames", "linux-headers-").split()
    found = [n for n in names if re.fullmatch(f"linux-headers-{pattern}-amd64", n)]
    for name in sorted(found, key=debs.version_key, reverse=True):
        try:
            chroot(root, "apt-get", "install", "-y", "-q", "--no-install-recommends", name)
            return
        except cache.Failure as failure:
            cache.say(f"{name} is left out: {failure}")
    raise cache.Failure(f"the archive has no headers {pattern}")


def with_packages(suite, name, key, install):
    """The archive of a root file system in which install(root) has used apt; key is what else
    decides what that gives."""
    archive = cache.path("debian", f"{suite}-{name}-{cache.digest(base(suite), *key)}.tar")
    with cache.lock(f"debian-{suite}-{name}"):
        if os.path.exists(archive):
            return archive
        root = unpack(suite, archive + ".root")
        with open(f"{root}/etc/apt/sources.list", "w") as out:
            out.write(sources(suite))
        if debs.KEYRING:
            shutil.copy(debs.KEYRING, f"{root}/usr/share/keyrings")
        shutil.copy("/etc/resolv.conf", f"{root}/etc")
        chroot(root, "apt-get", "update", "-q")
        install(root)
        chroot(root, "apt-get", "clean")
        shutil.rmtree(f"{root}/var/lib/apt/lists")
        cache.quiet(["tar", "-C", root, "-cf", archive + ".new", "."], "tar")
        os.rename(archive + ".new", archive)
        shutil.rmtree(root)
    return archive


def with_dkms(suite):
    """The archive of a root file system with DKMS and the headers of its kernels."""
    def install(root):
        cache.say(f"{suite}: installing dkms, and headers of {len(KERNELS[suite])} kernels")
        chroot(root, "apt-get", "install", "-y", "-q", "--no-install-recommends", "dkms")
        for pattern in KERNELS[suite]:
            install_headers(root, pattern)
        for kernel in os.listdir(f"{root}/lib/modules"):
            chroot(root, "depmod", kernel)

    return with_packages(suite, "dkms", KERNELS[suite], install)


def by_dkms(root, kernel, part):
    """The file of a module that DKMS has installed."""
    found = glob.glob(f"{root}/lib/modules/{kernel}/updates/dkms/vgpu_{part}.ko*")
    if len(found) != 1:
        raise cache.Failure(f"of DKMS's vgpu_{part} for {kernel} there are {found}")
    return found[0]


def module(suite, kernel, part, deb, into):
    """The module that DKMS builds from this package for a kernel; None if no headers of the
    kernel are among the release's newest."""
    root = os.path.join(into, "dkms")
    os.makedirs(root)
    cache.quiet(["tar", "-C", root, "-xpf", with_dkms(suite)], "tar")
    others = [k for k in os.listdir(f"{root}/lib/modules") if k != kernel]
    made = None
    if os.path.exists(f"{root}/lib/modules/{kernel}"):
        for other in others:
            shutil.rmtree(f"{root}/lib/modules/{other}")
        shutil.copy(deb, f"{root}/srv")
        chroot(root, "dpkg", "-i", "/srv/" + os.path.basename(deb))
        made = shutil.copy(by_dkms(root, kernel, part), into)
    shutil.rmtree(root)
    return made


def next_version(deb, into, version):
    """Make the same package with a higher version; its file."""
    tree = os.path.join(into, "tree")
    cache.quiet(["dpkg-deb", "-R", deb, tree], "dpkg-deb")
    old = field(deb, "Version")
    # DKMS has the version in names and scripts, too.
    for folder in glob.glob(f"{tree}/usr/src/*-{old}"):
        os.rename(folder, folder.removesuffix(old) + version)
    for file in glob.glob(f"{tree}/DEBIAN/*") + glob.glob(f"{tree}/usr/src/*/dkms.conf"):
        with open(file) as handle:
            text = handle.read()
        with open(file, "w") as out:
            out.write(re.sub(rf"\b{re.escape(old)}\b", version, text))
    os.remove(f"{tree}/DEBIAN/md5sums")
    made = f"{into}/{os.path.basename(deb).replace(old, version)}"
    cache.quiet(["dpkg-deb", "--root-owner-group", "-b", tree, made], "dpkg-deb")
    shutil.rmtree(tree)
    return made


def packages(names, scratch):
    """Our packages from what is built, and those of the version after, by name; the version."""
    out, later = os.path.join(scratch, "debs"), os.path.join(scratch, "next")
    cache.quiet([os.path.join(TOP, "packaging", "make-deb"), "--built", cache.BUILD, out],
                "make-deb")
    os.makedirs(later)
    ours = {name: glob.glob(f"{out}/{name}_*.deb")[0] for name in names}
    version = field(ours[names[0]], "Version")
    return ours, {name: next_version(file, later, version + NEXT)
                  for name, file in ours.items()}, version


def missing():
    """What these tests lack on this machine, as a text."""
    lacks = [package for tool, package in TOOLS_HERE if not shutil.which(tool)]
    lacks += [] if not os.geteuid() else ["root"]
    return f"{' and '.join(lacks)} is missing" if lacks else None
