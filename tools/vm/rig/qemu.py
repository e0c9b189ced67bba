# SPDX-License-Identifier: Apache-2.0
"""A QEMU that has vfio-user-pci, from Debian's archive, unpacked and run where it lies.

The machine's own QEMU may be older (bookworm has 7.2). This one brings its libraries and its
loader, so that it runs on any release."""
import os
import re
import shutil
import subprocess
from . import cache, debs
from .cache import say

SUITES = ["trixie", "trixie-backports"]     # the oldest release with 11.1
PACKAGE = "qemu-system-x86"
ROOT = cache.path("qemu")


def _unpacked():
    """The folder with the unpacked packages, which is made once for each cache."""
    with cache.lock("qemu"):
        if not os.path.isdir(ROOT):
            say(f"fetching {PACKAGE} of {SUITES[-1]}, for vfio-user-pci")
            new = ROOT + ".new"
            shutil.rmtree(new, ignore_errors=True)
            for file in debs.fetch_with_needs(SUITES, PACKAGE):
                debs.unpack(file, new)
                os.unlink(file)
            cache.replace_tree(new, ROOT)
    return ROOT


def command():
    """The first words of a command line, and its environment."""
    root = _unpacked()
    libraries = [os.path.join(root, p, "x86_64-linux-gnu") for p in ("usr/lib", "lib")]
    loader = next(p for p in (os.path.join(root, d, "ld-linux-x86-64.so.2")
                              for d in ("usr/lib64", "lib64"))
                  if os.path.exists(p))
    words = [loader, "--library-path", ":".join(libraries),
             os.path.join(root, "usr/bin/qemu-system-x86_64"),
             "-L", os.path.join(root, "usr/share/qemu"),
             "-L", os.path.join(root, "usr/share/seabios")]
    return words, dict(os.environ, QEMU_MODULE_DIR=os.path.join(libraries[0], "qemu"))


# What a VM without a display needs besides programs and libraries.
FIRMWARE = ("bios-256k.bin", "kvmvapic.bin", "linuxboot_dma.bin", "multiboot_dma.bin", "pvh.bin")


def needed():
    """(name, file) of what runs it elsewhere: ld.so, lib/, modules/ and firmware/ beside it."""
    words, _ = command()
    program, loader, found = words[3], words[0], {}
    modules = glob.glob(os.path.join(words[2].split(":")[0], "qemu", "accel-tcg-*.so"))
    for name in [program] + modules:
        listed = subprocess.run(words[:3] + ["--list", name], text=True, stdout=subprocess.PIPE,
                                check=True)
        for library, file in re.findall(r"^\s+(\S+) => (\S+) \(0x", listed.stdout, re.M):
            found["lib/" + os.path.basename(library)] = file
    yield "qemu-system-x86_64", program
    yield "ld.so", loader
    yield from sorted(found.items())
    for name in modules:
        yield "modules/" + os.path.basename(name), name
    for name in FIRMWARE:
        for folder in words[5::2]:
            if os.path.exists(os.path.join(folder, name)):
                yield "firmware/" + name, os.path.join(folder, name)
                break


def version():
    words, env = command()
    done = subprocess.run(words[:4] + ["--version"], env=env, text=True, stdout=subprocess.PIPE)
    found = re.search(r"version (\S+)", done.stdout)
    return found.group(1) if found else "unknown"
