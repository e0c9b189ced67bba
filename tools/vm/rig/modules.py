# SPDX-License-Identifier: Apache-2.0
"""Our modules, built for a kernel of the rig by the top Makefile."""
import os
from . import cache, kernels


def folder(kernel):
    return os.path.join(cache.BUILD, "kmod", kernel.folder)


def build(kernel, which, extra=""):
    """Build host, guest or kunit modules for a kernel; returns the folder.

    Warnings are errors here, wherever they come from."""
    out = folder(kernel)
    with cache.lock("kmod-" + cache.digest(out)):
        done = cache.quiet(
            ["make", "-s", "-C", cache.TOP, "modules", f"KDIR={kernel.build}",
             f"KMOD_OUT={out}", f"VGPU_MODULES={which}",
             f"KMAKEFLAGS=ARCH={kernel.arch} -j{cache.jobs()} {extra}".strip()],
            f"building vgpu modules ({which}) for {kernel.release}")
    if "warning" in done.lower():
        raise cache.Failure(f"modules for {kernel.release}:\n{done}")
    return out


def find(kernel, name):
    for parent, _, files in os.walk(folder(kernel)):
        if name in files:
            return os.path.join(parent, name)
    return None


def order(kernel, wanted):
    """Files of the kernel's own modules, dependencies first; "a|b" is a, or b if it has no a."""
    done, files = [], []

    def take(name, needed):
        if name in done:
            return
        done.append(name)
        file = kernel.module(name)
        if not file:
            if needed and name not in kernels.builtin(kernel):
                raise cache.Failure(f"kernel {kernel.release} has no module {name}")
            return
        text = cache.quiet(["modinfo", "-F", "depends", file], "modinfo")
        for dependency in text.strip().split(","):
            if dependency:
                take(dependency, True)
        files.append(file)

    for name in wanted:
        names = name.split("|")
        take(next((n for n in names if kernel.module(n)), names[0]), True)
    return files
