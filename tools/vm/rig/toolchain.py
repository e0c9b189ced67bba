# SPDX-License-Identifier: Apache-2.0
"""The compiler and the build programs that a Debian kernel's headers ask for.

A kernel's recorded options fit the compiler it was built with (7.x: gcc-14,
whose -fmin-function-alignment gcc-12 does not know), so a module for it wants
the same one; and the programs that come with its headers (modpost, objtool)
want that Debian's C library. Where the machine is older than that, they are
unpacked and started through their own loader and libraries.
"""
import os
import shutil
import subprocess
from . import cache, debs

TRIPLE = "x86_64-linux-gnu"
GCC = "14"
LIBRARIES = r"libc6|libmpc\d|libmpfr\d|libgmp\d+|libisl\d+|zlib1g|libzstd1"


def compiler(name):
    """A command that is the compiler of this name, e.g. gcc-14."""
    for candidate in (f"{TRIPLE}-{name}", name):
        if shutil.which(candidate):
            return candidate
    if name != f"gcc-{GCC}":
        raise cache.Failure(f"{name} is needed: tools/vm/deps installs it")
    return os.path.join(_root(), "bin", f"{TRIPLE}-{name}")


def make_runnable(folder):
    """Wrap the programs in a folder that this machine's C library is too old for."""
    for parent, _, files in os.walk(folder):
        for file in files:
            program = os.path.join(parent, file)
            if not os.path.islink(program) and not file.endswith(".elf") \
                    and _too_new(program):
                os.rename(program, program + ".elf")
                _wrap(program, _root(), program + ".elf")


def _too_new(program):
    with open(program, "rb") as handle:
        head = handle.read(4)
    if head != b"\x7fELF" or not os.access(program, os.X_OK):
        return False
    done = subprocess.run(["ldd", program], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    return "version `GLIBC_" in done.stdout


def _root():
    """gcc and the libraries of trixie, unpacked."""
    final = cache.path("toolchain", f"gcc-{GCC}")
    with cache.lock("toolchain"):
        if not os.path.exists(final):
            _unpack(final)
    return final


def _unpack(final):
    new = final + ".new"
    machine = TRIPLE.replace("_", "-")

    def fetch(_):
        shutil.rmtree(new, ignore_errors=True)
        packages = debs.closure(
            [f"gcc-{GCC}-{machine}", "libelf1t64"],
            rf"(cpp-{GCC}-{machine}|libgcc-{GCC}-dev|{LIBRARIES})$")
        return debs.download(packages, os.path.join(new, "debs"))

    cache.say(f"unpacking gcc-{GCC} with its own C library")
    fetched = debs.newest_whole(lambda: [f"gcc-{GCC}"], fetch, "the compiler")
    if not fetched:
        raise cache.Failure(f"gcc-{GCC}, which builds modules for kernel 7, cannot be had; "
                            "try again when the archive is whole")
    for deb in fetched:
        debs.unpack(deb, new)
    shutil.rmtree(os.path.join(new, "debs"))
    # gcc finds cc1 relative to its own name and starts it: both are wrapped.
    cc1 = os.path.join("usr", "libexec", "gcc", TRIPLE, GCC, "cc1")
    gcc = f"{TRIPLE}-gcc-{GCC}"
    os.rename(os.path.join(new, cc1), os.path.join(new, cc1 + ".elf"))
    _wrap(os.path.join(new, cc1), final, os.path.join(final, cc1 + ".elf"))
    os.makedirs(os.path.join(new, "bin"))
    _wrap(os.path.join(new, "bin", gcc), final, os.path.join(final, "usr/bin", gcc))
    cache.replace_tree(new, final)
    cache.quiet([os.path.join(final, "bin", gcc), "--version"],
                f"trying gcc-{GCC}")


def _wrap(script, root, elf):
    libraries = os.path.join(root, "usr", "lib", TRIPLE)
    loader = os.path.join(libraries, "ld-linux-x86-64.so.2")
    with open(script, "w") as out:
        out.write(f'#!/bin/sh\nexec {loader} --library-path {libraries} '
                  f'--argv0 {elf} {elf} "$@"\n')
    os.chmod(script, 0o755)
