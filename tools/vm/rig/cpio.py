# SPDX-License-Identifier: Apache-2.0
"""Write initramfs images: uncompressed cpio archives in the newc format.

Uncompressed, because under emulation unpacking costs more than reading. Files
may come from this machine's file system or be given as text; programs bring
the libraries that ldd finds for them.
"""
import os
import re
import stat
import subprocess
from . import cache


class Image:
    def __init__(self):
        self.entries = {}
        self.inodes = {}        # hard links are stored once as symbolic ones
        self.folder("/")

    def folder(self, name, mode=0o755):
        name = name.strip("/")
        if name:
            self._parents(name)
        self.entries.setdefault(name or ".", (stat.S_IFDIR | mode, None))

    def _parents(self, name):
        parts = name.split("/")[:-1]
        for i in range(len(parts)):
            self.entries.setdefault("/".join(parts[:i + 1]),
                                    (stat.S_IFDIR | 0o755, None))

    def text(self, name, text, mode=0o644):
        self._put(name, stat.S_IFREG | mode, text.encode())

    def link(self, name, target):
        self._put(name, stat.S_IFLNK | 0o777, target.encode())

    def device(self, name, kind, major, minor):
        flag = stat.S_IFCHR if kind == "c" else stat.S_IFBLK
        self._put(name, flag | 0o600, (major, minor))

    def file(self, name, source, mode=None):
        """A file of this machine; a symbolic link is followed."""
        if mode is None:
            mode = 0o755 if os.access(source, os.X_OK) else 0o644
        self._put(name, stat.S_IFREG | mode, os.path.realpath(source))

    def program(self, name, source):
        """A program or library, and what it needs to run."""
        self.file(name, source, 0o755)
        for wanted, found in needs(source):
            target = wanted if wanted.startswith("/") else "/lib/" + wanted
            self.file(target, found, 0o755)

    def _put(self, name, mode, content):
        name = name.strip("/")
        self._parents(name)
        self.entries[name] = (mode, content)

    def write(self, into):
        """Write the archive, in the order of names so that it is reproducible."""
        with open(into + ".new", "wb") as out:
            for number, name in enumerate(sorted(self.entries), 1):
                mode, content = self.entries[name]
                if stat.S_ISREG(mode) and isinstance(content, str):
                    with open(content, "rb") as handle:
                        content = handle.read()
                _entry(out, number, name, mode, content)
            _entry(out, 0, "TRAILER!!!", 0, None)
        os.rename(into + ".new", into)

    def inputs(self):
        """Everything that decides the archive's content, for a cache's key."""
        for name in sorted(self.entries):
            mode, content = self.entries[name]
            if stat.S_ISREG(mode) and isinstance(content, str):
                state = os.stat(content)
                content = (content, state.st_size, state.st_mtime_ns)
            yield repr((name, mode, content))


def _entry(out, number, name, mode, content):
    device = (0, 0)
    data = b""
    if isinstance(content, tuple):
        device = content
    elif content:
        data = content
    raw = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(raw), 0)
    head = b"070701" + b"".join(b"%08X" % f for f in fields)
    out.write(head + raw + b"\0" * (-(len(head) + len(raw)) % 4))
    out.write(data + b"\0" * (-len(data) % 4))


def needs(program):
    """(name to find it by, file) of each library that a program loads.

    Our own libraries have their place in an image; only what is of this
    machine is answered."""
    ours = os.path.join(cache.BUILD, "lib")
    done = subprocess.run(["ldd", program], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT,
                          env=dict(os.environ, LD_LIBRARY_PATH=ours))
    if "not a dynamic executable" in done.stdout or "statically" in done.stdout:
        return []
    if "not found" in done.stdout or done.returncode:
        raise FileNotFoundError(f"{program} misses a library:\n{done.stdout}")
    found = []
    for line in done.stdout.splitlines():
        match = re.match(r"\s+(\S+)(?: => (\S+))? \(0x", line)
        if match and "linux-vdso" not in line and ours not in line:
            found.append((match.group(1), match.group(2) or match.group(1)))
    return found
