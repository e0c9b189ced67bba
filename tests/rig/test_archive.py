#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `tools/vm/kernels` does with archives that are not whole, and debs.fetch_from().

Each case makes a small Debian archive with made-up kernels in a temporary folder, takes
something away from it, and runs `tools/vm/kernels fetch` on it with a cache of its own.
Either the right release is fetched, or one line says what is missing.
"""
import gzip
import hashlib
import os
import shutil
import struct
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
KERNELS = os.path.join(TOP, "tools", "vm", "kernels")
SUITES = ["bookworm", "bookworm-security", "bookworm-backports", "trixie", "trixie-backports"]


def image():
    """A bzImage, as far as the rig looks: a boot header and a packed ELF file."""
    elf = b"\x7fELF" + bytes(60)
    packed = gzip.compress(elf) + struct.pack("<I", len(elf))
    head = bytearray(1024)
    head[0x1f1] = 1
    head[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", head, 0x248, 0, len(packed))
    return bytes(head) + packed


def headers(release):
    tree = f"usr/src/linux-headers-{release}"
    return {f"{tree}/Makefile": "", f"{tree}/.kernelvariables": "CC = $(CROSS_COMPILE)gcc-12\n",
            f"{tree}/include/config/auto.conf": "", f"{tree}/scripts/none": "",
            f"{tree}/tools/none": ""}


def kernel(abi, flavours=("amd64", "cloud-amd64"), version="1"):
    """Packages of one kernel: {name: (version, depends, files)}."""
    common = f"linux-headers-{abi}-common"
    # It asks a script that the package lacks, as Debian's 7.x do.
    found = {common: (version, "", {f"usr/src/{common}/Makefile": "# checker-valid.sh\n"})}
    for flavour in flavours:
        release = f"{abi}-{flavour}"
        found[f"linux-image-{release}"] = (version, "kmod", {
            f"boot/vmlinuz-{release}": image(),
            f"lib/modules/{release}/kernel/arch/x86/kvm/kvm-amd.ko": "",
            f"lib/modules/{release}/modules.builtin": ""})
        found[f"linux-headers-{release}"] = (
            version, f"{common} (= {version}), gcc-12", headers(release))
    return found


def build(folder, name, version, depends, files):
    """One package in the archive's pool; its paragraph of the package list."""
    tree = os.path.join(folder, "tree")
    shutil.rmtree(tree, ignore_errors=True)
    for path, text in {**files, "DEBIAN/control": (
            f"Package: {name}\nVersion: {version}\nArchitecture: amd64\n"
            "Maintainer: nobody <nobody@localhost>\nDescription: made up\n" +
            (f"Depends: {depends}\n" if depends else ""))}.items():
        os.makedirs(os.path.dirname(os.path.join(tree, path)), exist_ok=True)
        with open(os.path.join(tree, path), "wb") as out:
            out.write(text if isinstance(text, bytes) else text.encode())
    place = os.path.join("pool", f"{name}_{version}_amd64.deb")
    os.makedirs(os.path.join(folder, "pool"), exist_ok=True)
    subprocess.run(["dpkg-deb", "-Zgzip", "--build", "--root-owner-group", tree,
                    os.path.join(folder, place)], check=True, stdout=subprocess.DEVNULL)
    with open(os.path.join(folder, place), "rb") as deb:
        data = deb.read()
    with open(os.path.join(tree, "DEBIAN", "control")) as control:
        return (control.read() + f"Filename: {place}\nSize: {len(data)}\n"
                f"SHA256: {hashlib.sha256(data).hexdigest()}\n\n")


def publish(folder, packages):
    """Write the archive: all packages are in bookworm, the other suites are empty."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    listed = "".join(build(folder, name, *what) for name, what in packages.items())
    for suite in SUITES:
        text = (listed if suite == "bookworm" else "").encode()
        place = os.path.join(folder, "dists", suite)
        os.makedirs(os.path.join(place, "main/binary-amd64"))
        with open(os.path.join(place, "main/binary-amd64/Packages"), "wb") as out:
            out.write(text)
        with open(os.path.join(place, "Release"), "w") as out:
            out.write(f"Origin: made up\nSuite: {suite}\nCodename: {suite}\n"
                      "Architectures: amd64\nComponents: main\nSHA256:\n"
                      f" {hashlib.sha256(text).hexdigest()} {len(text)}"
                      " main/binary-amd64/Packages\n")


def publish_component(folder, suite, component, packages):
    """Write a suite anew, with one component that is not main."""
    text = "".join(build(folder, name, *what) for name, what in packages.items()).encode()
    place = os.path.join(folder, "dists", suite)
    shutil.rmtree(place)
    os.makedirs(os.path.join(place, component, "binary-amd64"))
    with open(os.path.join(place, component, "binary-amd64/Packages"), "wb") as out:
        out.write(text)
    with open(os.path.join(place, "Release"), "w") as out:
        out.write(f"Origin: made up\nSuite: {suite}\nCodename: {suite}\n"
                  f"Architectures: amd64\nComponents: {component}\nSHA256:\n"
                  f" {hashlib.sha256(text).hexdigest()} {len(text)}"
                  f" {component}/binary-amd64/Packages\n")


class Case:
    """An archive and a cache of its own."""

    def __init__(self, scratch):
        self.archive = os.path.join(scratch, "archive")
        self.env = dict(os.environ, VGPU_CACHE=os.path.join(scratch, "cache"), VGPU_KEYRING="",
                        VGPU_MIRROR="file:" + self.archive,
                        VGPU_MIRROR_SECURITY="file:" + self.archive)

    def publish(self, *kernels, without=(), **packages):
        every = {name: what for k in kernels for name, what in k.items()}
        every.update(packages.get("other", {}))
        publish(self.archive, {n: w for n, w in every.items() if n not in without})

    def fetch(self, name="6.1", **env):
        """(exit status, what it printed, lines on stderr)"""
        done = subprocess.run([KERNELS, "fetch", name], env=dict(self.env, **env), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return done.returncode, done.stdout.split()[-1:], done.stderr.splitlines()

    def fetch_from(self, *words, **env):
        """(what debs.fetch_from() returns or raises, as text)"""
        into = os.path.join(self.env["VGPU_CACHE"], "into")
        shutil.rmtree(into, ignore_errors=True)
        done = subprocess.run(
            [sys.executable, "-B", "-c", "import sys; from rig import cache, debs\n"
             "try: print(debs.fetch_from(*sys.argv[1:]))\n"
             "except cache.Failure as failure: print(type(failure).__name__, failure)",
             *words, into], env=dict(self.env, **env), cwd=os.path.dirname(KERNELS), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.stdout.strip()

    def drop(self, package):
        for file in os.listdir(os.path.join(self.archive, "pool")):
            if file.startswith(package + "_"):
                os.remove(os.path.join(self.archive, "pool", file))


checks = failures = 0


def expect(what, condition, outcome):
    global checks, failures
    checks += 1
    if not condition:
        failures += 1
        print(f"FAILED {what}: {outcome}")


def gives(what, case, release, said="", name="6.1", **env):
    status, out, err = case.fetch(name, **env)
    expect(what, status == 0 and out == [release] and any(said in l for l in err),
           (status, out, err))


def refuses(what, case, said, name="6.1", **env):
    """One line beyond the progress, which has two spaces before it."""
    status, _, err = case.fetch(name, **env)
    ends = [l for l in err if not l.startswith("  ")]
    expect(what, status == 2 and len(ends) == 1 and said in ends[0], (status, err))


OLD, NEW = kernel("6.1.0-56"), kernel("6.1.0-57")


def whole(case):
    case.publish(OLD, NEW)
    gives("the newest of a whole archive", case, "6.1.0-57-amd64")
    gives("and its cloud flavour", case, "6.1.0-57-cloud-amd64", name="6.1-cloud")


def image_missing(case):
    case.publish(OLD, NEW, without=["linux-image-6.1.0-57-amd64"])
    gives("the release before, where the newest has no image", case, "6.1.0-56-amd64",
          "6.1.0-57 is left out: the archive has no linux-image-6.1.0-57-amd64")


def headers_missing(case):
    case.publish(OLD, NEW, without=["linux-headers-6.1.0-57-common"])
    gives("the release before, where the newest lacks half of its headers", case,
          "6.1.0-56-amd64", "no linux-headers-6.1.0-57-common, which "
          "linux-headers-6.1.0-57-amd64 needs")


def another_version(case):
    case.publish(OLD, NEW, other={"linux-headers-6.1.0-57-common": (
        "2", "", {"usr/src/linux-headers-6.1.0-57-common/Makefile": ""})})
    gives("the release before, where the newest is half rebuilt", case, "6.1.0-56-amd64",
          "has linux-headers-6.1.0-57-common 2, and linux-headers-6.1.0-57-amd64 needs = 1")


def flavour_missing(case):
    case.publish(OLD, kernel("6.1.0-57", flavours=["amd64"]))
    gives("the newest, whose other flavour is missing", case, "6.1.0-57-amd64")
    gives("that flavour's release before", case, "6.1.0-56-cloud-amd64", name="6.1-cloud")


def pool_behind(case):
    case.publish(OLD, NEW)
    case.drop("linux-image-6.1.0-57-amd64")
    gives("the release before, where the newest is listed and not there", case,
          "6.1.0-56-amd64", "the archive does not deliver")


def lists_old(case):
    case.publish(OLD)
    gives("a first release", case, "6.1.0-56-cloud-amd64", name="6.1-cloud")
    case.publish(NEW)
    gives("the newest, where the cache's lists are older than the archive", case,
          "6.1.0-57-amd64", "reading the package lists")


def nothing_whole(case):
    case.publish(OLD, NEW, without=["linux-image-6.1.0-56-amd64", "linux-image-6.1.0-57-amd64"])
    refuses("no whole kernel at all", case,
            "kernel 6.1 cannot be had: the archive has no whole one")


def no_such_series(case):
    case.publish(OLD)
    refuses("a series that the archive has not", case, "kernel 6.12 cannot be had", name="6.12")


def unreachable(case):
    nowhere = {"VGPU_MIRROR": "http://127.0.0.1:9/debian",
               "VGPU_MIRROR_SECURITY": "http://127.0.0.1:9/debian-security"}
    refuses("nothing reachable and nothing kept", case,
            "the package lists of http://127.0.0.1:9/debian cannot be read (Could not connect",
            **nowhere)
    case.publish(OLD)
    gives("a kernel while the archive can be reached", case, "6.1.0-56-amd64")
    os.remove(os.path.join(case.env["VGPU_CACHE"], "resolved", "6.1"))
    os.remove(os.path.join(case.env["VGPU_CACHE"], "apt", "refreshed"))
    gives("what the cache has, where nothing can be reached", case, "6.1.0-56-amd64",
          "using 6.1.0-56-amd64, which the cache has", **nowhere)
    refuses("nothing reachable, and another kernel kept", case, "kernel 6.1-cloud cannot be had",
            name="6.1-cloud", **nowhere)


def other_modules_kept(case):
    """A cache of a time when the rig wanted other modules of a kernel."""
    case.publish(OLD)
    root = os.path.join(case.env["VGPU_CACHE"], "root")
    module = os.path.join(root, "usr/lib/modules/6.1.0-56-amd64/kernel/arch/x86/kvm/kvm-amd.ko")
    variables = os.path.join(root, "usr/src/linux-headers-6.1.0-56-amd64/.kernelvariables")
    gives("a kernel", case, "6.1.0-56-amd64")
    expect("with KVM's module", os.path.exists(module), "it is not there")
    expect("and its sparse", "CHECK = sparse" in open(variables).read(), "CHECK is not set")
    os.remove(module)
    stamps = next(f for f in os.listdir(root) if f.startswith("stamps"))
    os.rename(os.path.join(root, stamps), os.path.join(root, "stamps"))
    gives("the same kernel", case, "6.1.0-56-amd64")
    expect("which is unpacked again for its module", os.path.exists(module), "it is not there")
    expect("again with its sparse", "CHECK = sparse" in open(variables).read(), "CHECK is not set")


def one_suite_unreachable(case):
    case.publish(OLD)
    shutil.rmtree(os.path.join(case.archive, "dists", "trixie-backports"))
    gives("a kernel, where a suite that does not have it cannot be read", case,
          "6.1.0-56-amd64", "trixie-backports cannot be read")


def another_component(case):
    case.publish(OLD)
    publish_component(case.archive, "trixie", "non-free",
                      {"libmade12": ("1", "", {"usr/lib/libmade.so.12": "made"})})
    words = ("trixie", "non-free", "libmade12")
    found = case.fetch_from(*words)
    expect("a package of another component is fetched", found.endswith("/libmade12_1_amd64.deb") and
           os.path.exists(found), found)
    gives("and kernels come from main, as before", case, "6.1.0-56-amd64")
    found = case.fetch_from("trixie", "non-free", "libmade13")
    expect("a package that it does not have", found.startswith("Incomplete the archive does not "
                                                              "deliver libmade13"), found)
    case.drop("libmade12")
    found = case.fetch_from(*words)
    expect("a package that is gone", found.startswith("Incomplete the archive does not deliver"),
           found)
    found = case.fetch_from(*words, VGPU_MIRROR="file:/nowhere")
    expect("an archive that cannot be read", found.startswith("Unreachable the package list of "
                                                             "file:/nowhere trixie non-free"),
           found)


def main():
    for case in (whole, image_missing, headers_missing, another_version, flavour_missing,
                 pool_behind, lists_old, nothing_whole, no_such_series, unreachable,
                 other_modules_kept, one_suite_unreachable, another_component):
        with tempfile.TemporaryDirectory() as scratch:
            case(Case(scratch))
    print(f"archive: {checks - failures} checks passed, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
