# SPDX-License-Identifier: Apache-2.0
"""The kernels of the rig: Debian's, unpacked, and the ones that are built.

A kernel has a short name and answers these questions:

    release   what `uname -r` says in it
    image     what boots: an ELF for PVH, a bzImage, or the UML program
    modules   the folder of its own modules (vfio and the like, uncompressed)
    build     the tree to give to make as KDIR
    arch      the ARCH= that the tree wants
"""
import glob
import lzma
import os
import re
import shutil
import struct
import subprocess
from . import cache, debs, toolchain
from .cache import Failure, say

# Debian's. Generic ones are hosts: the cloud flavour has no mdev. Cloud ones
# are guests: they boot three times faster under emulation.
DEBIAN = {
    "6.1": r"6\.1\.0-\d+",
    "6.12": r"6\.12\.\d+\+deb12",
    "7": r"7\.\d+\.\d+\+deb13",
}
SOURCE = r"linux-source-(7\.\d+)"
FOLLOW = r"linux-(image|binary|modules|base|headers|kbuild)-\d"
# Of the kernel's own modules only these are of use here.
MODULES = ["*/kernel/drivers/vfio", "*/kernel/virt/lib",
           "*/kernel/drivers/iommu/iommufd",
           "*/kernel/arch/x86/kvm", "*/kernel/drivers/crypto/ccp",
           "*/kernel/drivers/virtio", "*/kernel/drivers/block/virtio_blk.ko*",
           "*/kernel/fs/squashfs", "*/kernel/drivers/pci/pci-stub.ko*",
           "*/kernel/fs/9p", "*/kernel/net/9p", "*/kernel/fs/netfs", "*/kernel/fs/fscache"]
BUILT = ("uml", "uml-systemd", "debug", "kcsan")
NAMES = [n + s for n in DEBIAN for s in ("", "-cloud")] + [*BUILT]


class Kernel:
    """Where the parts of a kernel are; made by get()."""

    def __init__(self, name, release, image, modules, build, arch="x86"):
        self.name, self.release, self.image = name, release, image
        self.modules, self.build, self.arch = modules, build, arch

    @property
    def folder(self):
        """A name for what is built for it; those that are built have the same release."""
        return f"{self.name}-{self.release}"

    def module(self, name):
        """The file of one of its modules, or None if it has it built in."""
        wanted = {name.replace("_", "-") + ".ko", name.replace("-", "_") + ".ko"}
        for folder, _, files in os.walk(self.modules):
            for file in wanted.intersection(files):
                return os.path.join(folder, file)
        return None


def builtin(kernel):
    """Names of the modules that this kernel has built in."""
    file = os.path.join(kernel.modules, "modules.builtin")
    if not os.path.exists(file):
        return set()
    with open(file) as handle:
        return {os.path.basename(line.strip())[:-3].replace("-", "_")
                for line in handle}


_known = {}


def get(name):
    """Make a kernel present and return it."""
    if name not in NAMES:
        raise Failure(f"no kernel {name}; there are {', '.join(NAMES)}")
    if name not in _known:
        if name in BUILT:
            _known[name] = _built(name)
        else:
            _known[name] = _debian(name)
    return _known[name]


def resolved(name):
    """What this name stands for, as an earlier run has found; None if it has not."""
    path = cache.path("resolved", name)
    if not os.path.exists(path):
        return None
    with open(path) as handle:
        return handle.read().strip()


def _remember(name, text):
    os.makedirs(cache.path("resolved"), exist_ok=True)
    with open(cache.path("resolved", name), "w") as handle:
        handle.write(text + "\n")


def forget():
    """Let names be resolved anew."""
    shutil.rmtree(cache.path("resolved"), ignore_errors=True)


def _missing(what, why):
    return Failure(f"{what} cannot be had: {why}. Try again when the archive is whole, "
                   "or name another mirror in VGPU_MIRROR and VGPU_MIRROR_SECURITY")


def _from_archive(what, candidates, fetch, cached):
    """The newest that the archive delivers, else the newest of the cache."""
    try:
        found = debs.newest_whole(candidates, fetch, what)
        why = "the archive has no whole one"
    except debs.Unreachable as unreachable:
        found, why = None, str(unreachable)
    if not found:
        kept = cached()
        if not kept:
            raise _missing(what, why)
        found = kept[0]
        say(f"{what}: {why}; using {found}, which the cache has")
    return found


# --- Debian's kernels ------------------------------------------------------

# What was unpacked when other modules were of use is unpacked again.
STAMPS = cache.path("root", "stamps-" + cache.digest(*MODULES))


def _stamp(release):
    return os.path.join(STAMPS, release)


def _debian(name):
    release = resolved(name)
    if not release or not os.path.exists(_stamp(release)):
        with cache.lock("root"):
            release = _fetch_debian(name)
            _remember(name, release)
    root = debs.UNPACKED
    return Kernel(name, release, cache.path("vmlinux", release),
                  os.path.join(root, "usr/lib/modules", release),
                  os.path.join(root, "usr/src", f"linux-headers-{release}"))


def _fetch_debian(name):
    """Unpack the newest release of this name that the archive has whole."""
    flavour = "cloud-amd64" if name.endswith("-cloud") else "amd64"
    pattern = DEBIAN[name.removesuffix("-cloud")]

    def fetch(abi):
        release = f"{abi}-{flavour}"
        if not os.path.exists(_stamp(release)):
            _unpack_debian(release)
            open(_stamp(release), "w").close()
        return release

    def cached():
        stamps = [os.path.basename(s) for s in glob.glob(_stamp("*"))]
        return sorted((s for s in stamps if re.fullmatch(f"{pattern}-{flavour}", s)),
                      key=debs.version_key, reverse=True)

    return _from_archive(f"kernel {name}", lambda: debs.releases(
        f"linux-headers-({pattern})-{flavour}"), fetch, cached)


def _unpack_debian(release):
    """Headers and kbuild tools whole; of the image the kernel and a few modules."""
    root = debs.UNPACKED
    os.makedirs(STAMPS, exist_ok=True)
    # One root for all: usr-merged, whichever layout a package has.
    os.makedirs(os.path.join(root, "usr", "lib"), exist_ok=True)
    if not os.path.islink(os.path.join(root, "lib")):
        os.symlink("usr/lib", os.path.join(root, "lib"))
    wanted = debs.closure([f"linux-image-{release}", f"linux-headers-{release}"],
                          FOLLOW)
    missing = [n for n, v in wanted.items() if not os.path.exists(_stamp(f"{n}_{v}"))]
    say(f"kernel {release}: fetching {len(missing)} packages")
    into = cache.path("downloads", release)
    shutil.rmtree(into, ignore_errors=True)
    for deb in debs.download(missing, into):
        name = os.path.basename(deb).split("_")[0]
        whole = re.match(r"linux-(headers|kbuild)-", name)
        debs.unpack(deb, root, () if whole else
                    MODULES + ["*/vmlinuz*", "*/modules.builtin*"])
    shutil.rmtree(into)
    modules = os.path.join(root, "usr/lib/modules", release)
    _uncompress_modules(modules)
    images = [os.path.join(modules, "vmlinuz"),
              os.path.join(root, "boot", f"vmlinuz-{release}")]
    image = next((i for i in images if os.path.exists(i)), None)
    if not image:
        raise Failure(f"the packages of {release} hold no vmlinuz")
    extract_vmlinux(image, cache.path("vmlinux", release))
    os.remove(image)
    _fix_headers(root, release)
    for package, version in wanted.items():
        open(_stamp(f"{package}_{version}"), "w").close()


def _uncompress_modules(folder):
    for parent, _, files in os.walk(folder):
        for file in files:
            if file.endswith(".ko.xz"):
                packed = os.path.join(parent, file)
                with lzma.open(packed) as data, open(packed[:-3], "wb") as out:
                    shutil.copyfileobj(data, out)
                os.remove(packed)


def _fix_headers(root, release):
    """Make a header tree work from where it was unpacked."""
    tree = os.path.join(root, "usr/src", f"linux-headers-{release}")
    # Its makefile names its own folders from the root of the file system.
    _edit(os.path.join(tree, "Makefile"), r"(?m)(^|[\s=])/usr/src/",
          lambda m: f"{m.group(1)}{root}/usr/src/")
    variables = os.path.join(tree, ".kernelvariables")
    with open(variables) as handle:
        found = re.search(r"^CC = .*\$\(CROSS_COMPILE\)(gcc-\d+)\s*$",
                          handle.read(), re.M)
    if not found:
        raise Failure(f"{variables} names no compiler")
    _edit(variables, r"(?m)^CC = .*$",
          lambda m: f"CC = {toolchain.compiler(found.group(1))}")
    # BTF of modules needs the pahole of that Debian; nothing here reads it.
    # Only make's side changes: struct module keeps its layout.
    _edit(os.path.join(tree, "include/config/auto.conf"),
          r"(?m)^CONFIG_DEBUG_INFO_BTF_MODULES=y\n", lambda m: "")
    _edit(os.path.join(tree, "include/config/auto.conf"),
          r"(?m)^CONFIG_PAHOLE_VERSION=.*$",
          lambda m: "CONFIG_PAHOLE_VERSION=$(PAHOLE_VERSION)")
    _fix_sparse(tree, variables)
    for part in ("scripts", "tools"):
        toolchain.make_runnable(os.path.realpath(os.path.join(tree, part)))


def _fix_sparse(tree, variables):
    """Let C=1 and C=2 work where the package forgot the script that they ask.

    It would ask whether sparse knows __typeof_unqual__: 0.6.4 does not, and
    is told that it is __typeof__."""
    script = os.path.join(tree, "scripts", "checker-valid.sh")
    common = os.path.join(os.path.dirname(tree), "linux-headers-" + re.sub(
        r"-(cloud-)?amd64$", "-common", os.path.basename(tree)[14:]), "Makefile")
    with open(common) as handle:
        if "checker-valid.sh" not in handle.read():
            return
    ours = "#!/bin/sh\necho 1\n"
    # Packages that are unpacked again over an older copy find our script there.
    if os.path.exists(script):
        with open(script) as handle:
            if handle.read() != ours:
                return
    with open(script, "w") as out:
        out.write(ours)
    os.chmod(script, 0o755)
    with open(variables, "a") as out:
        out.write("override CHECK = sparse -D__typeof_unqual__=__typeof__\n")


def _edit(file, pattern, change):
    with open(file) as handle:
        text = handle.read()
    with open(file, "w") as handle:
        handle.write(re.sub(pattern, change, text))


UNPACKERS = [(b"\xfd7zXZ\0", ["xz", "-dc", "--single-stream"]),
             (b"\x28\xb5\x2f\xfd", ["zstd", "-dcq"]),
             (b"\x02\x21\x4c\x18", ["lz4", "-dcq"]),
             (b"\x1f\x8b\x08", ["gzip", "-dcq"])]


def extract_vmlinux(image, into):
    """Take the ELF out of a bzImage, by the offsets in its boot header."""
    with open(image, "rb") as handle:
        data = handle.read()
    if data[0x202:0x206] != b"HdrS":
        raise Failure(f"{image} is no bzImage")
    setup = (data[0x1f1] or 4) + 1
    offset, length = struct.unpack_from("<II", data, 0x248)
    payload = data[setup * 512 + offset:][:length]
    command = next((c for magic, c in UNPACKERS if payload.startswith(magic)), None)
    if not command:
        raise Failure(f"{image}: unknown compression {payload[:6].hex()}")
    # The last four bytes are the size of what was packed, which some of the
    # unpackers complain about: the size is what decides.
    size, = struct.unpack("<I", payload[-4:])
    done = subprocess.run(command, input=payload, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL)
    if not done.stdout.startswith(b"\x7fELF") or len(done.stdout) != size:
        raise Failure(f"{image}: {' '.join(command)} gave no whole ELF file")
    os.makedirs(os.path.dirname(into), exist_ok=True)
    with open(into + ".new", "wb") as out:
        out.write(done.stdout)
    os.rename(into + ".new", into)


# --- kernels that are built ------------------------------------------------

def _patches(arch=None):
    """Ours to the kernel; those named um-* matter to user-mode Linux only."""
    return [p for p in sorted(glob.glob(os.path.join(cache.HERE, "patches", "*.patch")))
            if arch in (None, "um") or not os.path.basename(p).startswith("um-")]


def _patch_digest(patches):
    return cache.digest(b"".join(open(p, "rb").read() for p in patches))


def _source():
    """The newest 7.x source with Debian's patches and ours; its version and its tree."""
    patches = _patches()
    suffix = _patch_digest(patches)[:6]

    def tree_of(package, version):
        return cache.path("src", f"{package}_{version}_{suffix}")

    def fetch(series):
        package = f"linux-source-{series}"
        version = debs.version(package)
        if not os.path.exists(tree_of(package, version)):
            _unpack_source(package, version, tree_of(package, version), patches)
        return f"{package} {version}"

    def cached():
        trees = [os.path.basename(t).split("_") for t in glob.glob(tree_of("linux-source-*", "*"))]
        return [f"{t[0]} {t[1]}" for t in sorted(
            (t for t in trees if len(t) == 3), key=lambda t: debs.version_key(t[1]), reverse=True)]

    with cache.lock("source"):
        found = resolved("source")
        if not found or not os.path.exists(tree_of(*found.split())):
            found = _from_archive("kernel source", lambda: debs.releases(SOURCE), fetch, cached)
            _remember("source", found)
    package, version = found.split()
    return version, tree_of(package, version)


def _unpack_source(package, version, tree, patches):
    say(f"{package} {version}: fetching and unpacking")
    into = tree + ".new"
    shutil.rmtree(into, ignore_errors=True)
    for deb in debs.download([package], into + "/debs"):
        debs.unpack(deb, into)
    archive = os.path.join(into, "usr/src", package + ".tar.xz")
    cache.quiet(["tar", "-xf", archive, "-C", into], "unpacking")
    for patch in patches:
        cache.quiet(["patch", "-p1", "-d", os.path.join(into, package),
                     "-i", patch], f"applying {os.path.basename(patch)}")
    cache.replace_tree(os.path.join(into, package), tree)
    shutil.rmtree(into)


def _config(*names):
    """The settings of these files, without what is said about them."""
    text = ""
    for name in names:
        with open(os.path.join(cache.HERE, "config", name)) as handle:
            text += "".join(l for l in handle if re.match(r"(# )?CONFIG_", l))
    return text


class Build:
    """How a kernel is made; lines is how many its build prints, for the progress."""

    def __init__(self, configs, arch, targets, image, lines, extra=()):
        self.configs, self.arch, self.targets = configs, arch, targets
        self.image, self.lines, self.extra = image, lines, list(extra)


PC = ("x86_64", ["bzImage", "modules"], "arch/x86/boot/bzImage")
BUILDS = {
    "uml": Build(["uml.config"], "um", ["linux", "modules"], "linux", 1211),
    "uml-systemd": Build(["uml-systemd.config"], "um", ["linux", "modules"], "linux", 1250),
    "debug": Build(["pc.config", "debug.config"], *PC, 2600),
    "kcsan": Build(["pc.config", "kcsan.config"], *PC, 2600, ["KCSAN_SANITIZE=n"]),
}


def _built(name):
    """A kernel built from source, kept by source version, our patches,
    configuration and compiler."""
    build = BUILDS[name]
    arch = build.arch
    version, source = _source()
    config = _config(*build.configs)
    compiler = subprocess.run(["gcc", "-dumpfullversion"], text=True,
                              stdout=subprocess.PIPE).stdout.strip()
    tree = cache.path("build", f"{name}-{version}-" +
                      cache.digest(config, arch, compiler,
                                   _patch_digest(_patches(arch)), *build.extra))
    done = os.path.join(tree, "complete")
    with cache.lock(f"build-{name}"):
        if not os.path.exists(done):
            _build(name, source, tree, config, build)
            open(done, "w").close()
    with open(os.path.join(tree, "include/config/kernel.release")) as handle:
        release = handle.read().strip()
    return Kernel(name, release, os.path.join(tree, build.image), tree, tree,
                  "um" if arch == "um" else "x86")


def _build(name, source, tree, config, build):
    shutil.rmtree(tree, ignore_errors=True)
    os.makedirs(tree)
    with open(os.path.join(tree, ".config"), "w") as out:
        out.write(config)
    make = ["make", "-C", source, f"ARCH={build.arch}", f"O={tree}",
            f"-j{cache.jobs()}", "KBUILD_BUILD_USER=vgpu", "KBUILD_BUILD_HOST=rig",
            *build.extra,
            "KCONFIG_ALLCONFIG=" + os.path.join(tree, "wanted.config")]
    with open(os.path.join(tree, "wanted.config"), "w") as out:
        out.write(config)
    cache.quiet(make + ["alldefconfig"], f"configuring {name}")
    _check_config(name, tree, config)
    cache.long_job(make + build.targets, f"kernel {name} ({os.path.basename(tree)})",
                   os.path.join(tree, "build.log"), build.lines)


def _check_config(name, tree, wanted):
    """A renamed option must not silently leave the kernel."""
    with open(os.path.join(tree, ".config")) as handle:
        got = set(handle.read().splitlines())
    lost = [l for l in wanted.splitlines()
            if l.startswith("CONFIG_") and l not in got]
    lost += [l for l in wanted.splitlines() if l.endswith(" is not set")
             and any(g.startswith(l.split()[1] + "=") for g in got)]
    if lost:
        raise Failure(f"the configuration of {name} did not take:\n" +
                      "\n".join(lost))
