#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""vfio-user messages to a server, a group for each, malformed ones first.

    test_messages.py [NAME...]      groups whose names contain one of these

The server is a real one, of a mediator; this is a client that no VM stands behind.
"""
import errno
import os
import re
import shutil
import signal
import socket
import struct
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import client as c                                                      # noqa: E402
from client import Client, Gone, Memory, create, head, layout, region   # noqa: E402
from mediator import BUILD, MEMORY, UUID, Mediator, until               # noqa: E402

UUID2 = "00000000-8f8e-4a45-9d0e-53b7d0a1c2e4"

E = errno
PAGE = 4096
passed, failed = 0, 0
groups = []


def group(function):
    groups.append(function)
    return function


def check(what, got, want=True):
    global passed, failed
    if got == want:
        passed += 1
        return
    failed += 1
    print(f"not ok - {what}: {got!r} instead of {want!r}", flush=True)


def ends(what, talk):
    """The server is to end the connection."""
    try:
        got = talk()
    except Gone:
        got = Gone
    check(f"{what} ends the connection", got, Gone)


class Vm:
    """A client with memory, for one group. The one before may still be about to end."""

    def __init__(self, mediator, version=True):
        self.client = Client(mediator.socket, version)
        self.memory = None

    def with_memory(self):
        self.memory = Memory()
        check("the VM's memory is mapped", self.client.map(0, Memory.SIZE, self.memory.fd), 0)
        return self.client, self.memory

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()
        if self.memory:
            self.memory.close()


def server_of(mediator):
    """The pid of the server, found among the mediator's children."""
    for task in os.listdir(f"/proc/{mediator.process.pid}/task"):
        with open(f"/proc/{mediator.process.pid}/task/{task}/children") as text:
            for pid in text.read().split():
                with open(f"/proc/{pid}/comm") as name:
                    if name.read().strip() == "vgpu-vfio-user":
                        return int(pid)
    return None


def files_of(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


@group
def framing(m):
    for what, size in (("a length below the header's", 15), ("a length of 0", 0),
                       ("a length of 4 GiB", 0xffffffff), ("a length of 17 KiB", 17 << 10)):
        with Vm(m) as vm:
            ends(what, lambda: vm.client.ask(c.GET_INFO, b"\0" * 16, size=size))
    with Vm(m) as vm:
        def an_answer():
            vm.client.post(c.GET_INFO, b"\0" * 16, flags=c.REPLY)
            vm.client.answer()
        ends("an answer to nothing", an_answer)
    with Vm(m) as vm:
        for command in (0, c.GET_REGION_IO_FDS, c.DMA_READ, c.DMA_WRITE, 14, 15, 16, 17, 0xffff):
            check(f"command {command}", vm.client.ask(command, b"\0" * 64)[0], E.EOPNOTSUPP)
        vm.client.post(99)
        check("a posted one has no answer", vm.client.get(c.REG_MAGIC), 0x75706776)
    with Vm(m) as vm:
        whole = c.HEAD.pack(1, c.GET_INFO, 32, 0, 0) + struct.pack("<IIII", 16, 0, 0, 0)
        for byte in whole:
            vm.client.send(bytes([byte]))
            time.sleep(0.001)
        vm.client.number = 1
        check("a message in single bytes", vm.client.answer()[0], 0)
        ask = c.HEAD.pack(2, c.GET_INFO, 32, 0, 0) + whole[16:]
        vm.client.send(ask + c.HEAD.pack(3, c.GET_INFO, 32, 0, 0) + whole[16:])
        for vm.client.number in (2, 3):
            check("two messages at once", vm.client.answer()[0], 0)


@group
def descriptors(m):
    null = os.open("/dev/null", os.O_RDWR)
    with Vm(m) as vm:
        pid = server_of(m)
        before = files_of(pid)
        for command in (c.GET_INFO, c.REGION_READ, c.RESET, 99):
            check(f"descriptors with command {command}",
                  vm.client.ask(command, b"\0" * 16, [null] * 3)[0] in (E.EINVAL, E.EOPNOTSUPP))
        check("two descriptors with DMA_MAP", vm.client.ask(
            c.DMA_MAP, struct.pack("<IIQQQ", 32, 3, 0, 0, PAGE), [null] * 2)[0], E.EINVAL)
        check("nine descriptors with SET_IRQS", vm.client.irqs(0, 9, c.TRIGGER | c.EVENTFD,
                                                               [null] * 9), E.EINVAL)
        check("none of them is kept", files_of(pid), before)
        ends("17 descriptors", lambda: vm.client.ask(c.GET_INFO, b"\0" * 16, [null] * 17))
    with Vm(m) as vm:
        def late():
            vm.client.send(c.HEAD.pack(1, c.GET_INFO, 32, 0, 0), [null] * 9)
            vm.client.send(b"\0" * 8, [null] * 9)
            vm.client.receive(16)
        ends("18 descriptors with two parts of a message", late)
    os.close(null)


@group
def version(m):
    good = struct.pack("<HH", 0, 1)
    for what, body in (("nothing", b""), ("half of it", b"\0\0"),
                       ("another major version", struct.pack("<HH", 1, 0)),
                       ("text without an end", good + b'{"capabilities":{}}'),
                       ("5 KiB of text", good + b"x" * 5000 + b"\0")):
        with Vm(m, version=False) as vm:
            ends(f"VERSION with {what}", lambda: vm.client.ask(c.VERSION, body))
    with Vm(m, version=False) as vm:
        ends("a message before VERSION", lambda: vm.client.ask(c.GET_INFO, b"\0" * 16))
    with Vm(m, version=False) as vm:
        check("VERSION without text", vm.client.ask(c.VERSION, good), (0, struct.pack("<HH", 0, 0)))
    with Vm(m, version=False) as vm:
        error, body = vm.client.ask(c.VERSION, good + b"{}" + b"\0" * 60)
        check("VERSION with text", (error, body[:4], body[-1:]), (0, b"\0\0\0\0", b"\0"))
        check("the answer fits", len(body) <= 66)
        check("VERSION again", vm.client.ask(c.VERSION, good)[0], E.EINVAL)


@group
def dma_map(m):
    top = 1 << 64
    with Vm(m) as vm:
        client = vm.client
        fd = c.memfd(16 * PAGE)
        for what, arguments, want in (
                ("no bytes", (0, 0, fd), E.EINVAL),
                ("an address between pages", (1, PAGE, fd), E.EINVAL),
                ("half a page", (0, 2048, fd), E.EINVAL),
                ("an offset between pages", (0, PAGE, fd, 8), E.EINVAL),
                ("a range around the end", (top - PAGE, 2 * PAGE, fd), E.EINVAL),
                ("an offset around the end", (0, 2 * PAGE, fd, top - PAGE), E.EINVAL),
                ("all addresses but a page", (0, top - PAGE, None), 0),
                ("what is mapped", (PAGE, PAGE, fd), E.EEXIST),
                ("across the end of what is mapped", (top - 2 * PAGE, 2 * PAGE, fd), E.EEXIST),
                ("the last page", (top - PAGE, PAGE, fd), 0),
                ("flags that there are not", (0, PAGE, fd, 0, 4), E.EINVAL),
                ("a short size", (0, PAGE, fd, 0, 3, 31), E.EINVAL)):
            check(f"DMA_MAP: {what}", client.map(*arguments), want)
        check("DMA_MAP: a short message", client.ask(c.DMA_MAP, b"\0" * 31)[0], E.EINVAL)
        check("DMA_MAP: a long message", client.ask(c.DMA_MAP, b"\0" * 33)[0], E.EINVAL)
        check("unmap all", client.unmap(0, 0, 2), 0)
        pid, before = server_of(m), None
        for i in range(1024):
            if client.map(i * PAGE, PAGE, fd, (i % 16) * PAGE):
                check("1,024 maps fit", i, 1024)
                break
            before = before or files_of(pid)
        check("one more does not", client.map(1 << 40, PAGE, fd), E.ENOSPC)
        check("one file is one descriptor", files_of(pid), before)
        os.close(fd)
        check("unmap all", client.unmap(0, 0, 2), 0)
        check("and it is closed", files_of(pid), before - 1)
        many = [c.memfd(PAGE) for _ in range(17)]
        got = [client.map(i * PAGE, PAGE, f) for i, f in enumerate(many)]
        check("16 files, and one too many", got, [0] * 16 + [E.ENOSPC])
        for f in many:
            os.close(f)


@group
def dma_unmap(m):
    with Vm(m) as vm:
        client = vm.client
        fd = c.memfd(16 * PAGE)
        for i in (1, 2, 4):
            check("a map", client.map(i * 2 * PAGE, 2 * PAGE, fd), 0)
        os.close(fd)
        for what, arguments, want in (
                ("nothing there", (0, PAGE), E.ENOENT),
                ("no bytes", (2 * PAGE, 0), E.EINVAL),
                ("a part", (2 * PAGE, PAGE), E.EINVAL),
                ("one and a half", (2 * PAGE, 3 * PAGE), E.EINVAL),
                ("a range around the end", (2 * PAGE, (1 << 64) - PAGE), E.EINVAL),
                ("flags that there are not", (2 * PAGE, 2 * PAGE, 1), E.EINVAL),
                ("all, with an address", (2 * PAGE, 0, 2), E.EINVAL),
                ("a short size", (2 * PAGE, 2 * PAGE, 0, 23), E.EINVAL),
                ("two maps", (2 * PAGE, 4 * PAGE), 0),
                ("again", (2 * PAGE, 4 * PAGE), E.ENOENT),
                ("a range with the last", (0, 1 << 20), 0),
                ("all of nothing", (0, 0, 2), 0)):
            check(f"DMA_UNMAP: {what}", client.unmap(*arguments), want)


@group
def information(m):
    with Vm(m) as vm:
        ask = vm.client.ask
        for command, size in ((c.GET_INFO, 16), (c.GET_REGION_INFO, 32), (c.GET_IRQ_INFO, 16)):
            check(f"command {command}, short", ask(command, b"\xff" * (size - 1))[0], E.EINVAL)
            check(f"command {command}, argsz", ask(command, b"\0" * size)[0], E.EINVAL)
            check(f"command {command}, no such index", ask(
                command, struct.pack("<III", size, 0, 99) + b"\0" * (size - 12))[0],
                0 if command == c.GET_INFO else E.EINVAL)
        check("GET_INFO", ask(c.GET_INFO, struct.pack("<IIII", 16, 0, 0, 0)),
              (0, struct.pack("<IIII", 16, 3, 9, 5)))
        sizes = {c.BAR0: 0x4000, c.CONFIG: 256}
        for i in range(9):
            error, body = ask(c.GET_REGION_INFO, struct.pack("<IIIIQQ", 32, 0, i, 0, 0, 0))
            size = sizes.get(i, 0)
            check(f"region {i}", (error, body), (0, struct.pack("<IIIIQQ", 32, 3 if size else 0, i,
                                                                 0, size, 0)))
        for i in range(5):
            error, body = ask(c.GET_IRQ_INFO, struct.pack("<IIII", 16, 0, i, 0))
            check(f"interrupt {i}", (error, body[4:]), (0, struct.pack(
                "<III", 1 if i == c.MSIX else 0, i, 32 if i == c.MSIX else 0)))


def rang(fd):
    try:
        return struct.unpack("<Q", os.read(fd, 8))[0]
    except BlockingIOError:
        return 0


@group
def set_irqs(m):
    event = c.TRIGGER | c.EVENTFD
    with Vm(m) as vm:
        irqs = vm.client.irqs
        fds = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(8)]
        for what, arguments, want in (
                ("another index", (0, 1, event, fds[:1], b"", 0), E.EINVAL),
                ("an index beyond", (0, 1, event, fds[:1], b"", 99), E.EINVAL),
                ("a start beyond", (33, 0, event), E.EINVAL),
                ("one vector beyond", (32, 1, event, fds[:1]), E.EINVAL),
                ("a count around the end", (1, 0xffffffff, event), E.EINVAL),
                ("fewer descriptors", (0, 3, event, fds[:2]), E.EINVAL),
                ("more descriptors", (0, 1, event, fds[:2]), E.EINVAL),
                ("no kind of data", (0, 1, c.TRIGGER), E.EINVAL),
                ("two kinds of data", (0, 1, c.TRIGGER | c.NONE | c.EVENTFD), E.EINVAL),
                ("another action", (0, 1, 1 << 3 | c.EVENTFD, fds[:1]), E.ENOTSUP),
                ("flags that there are not", (0, 1, event | 1 << 9, fds[:1]), E.EINVAL),
                ("descriptors with no data", (0, 1, c.TRIGGER | c.NONE, fds[:1]), E.EINVAL),
                ("too few bools", (0, 2, c.TRIGGER | c.BOOL, (), b"\1"), E.EINVAL),
                ("too many bools", (0, 2, c.TRIGGER | c.BOOL, (), b"\1\1\1"), E.EINVAL),
                ("a short size", (0, 1, event, fds[:1], b"", c.MSIX, 19), E.EINVAL),
                ("eight", (0, 8, event, fds), 0),
                ("to ring two of them", (1, 2, c.TRIGGER | c.NONE), 0),
                ("to ring one of three", (4, 3, c.TRIGGER | c.BOOL, (), b"\0\1\0"), 0),
                ("to take one away", (2, 1, event), 0),
                ("to ring where nothing is", (2, 1, c.TRIGGER | c.NONE), 0),
                ("to ring vectors without one", (8, 24, c.TRIGGER | c.NONE), 0)):
            check(f"SET_IRQS: {what}", irqs(*arguments), want)
        check("who was rung", [rang(f) for f in fds], [0, 1, 1, 0, 0, 1, 0, 0])
        check("another in its place", irqs(0, 1, event, fds[7:]), 0)
        check("is rung", irqs(0, 1, c.TRIGGER | c.NONE), 0)
        check("and not the one before", [rang(fds[0]), rang(fds[7])], [0, 1])
        check("to take all away", irqs(0, 0, c.TRIGGER | c.NONE), 0)
        check("rings nobody", irqs(0, 32, c.TRIGGER | c.NONE), 0)
        check("none", [rang(f) for f in fds], [0] * 8)
        pipe = os.pipe()
        check("what is no eventfd", irqs(0, 1, event, pipe[:1]), 0)
        check("does no harm", (irqs(0, 1, c.TRIGGER | c.NONE), vm.client.get(c.REG_MAGIC)),
              (0, 0x75706776))
        for f in fds + list(pipe):
            os.close(f)


@group
def regions(m):
    with Vm(m) as vm:
        client = vm.client
        for what, arguments, want in (
                ("another region", (0, 4, 1), E.EINVAL),
                ("a region beyond", (0, 4, 0xffffffff), E.EINVAL),
                ("one byte beyond BAR0", (0x3ffd, 4, c.BAR0), E.EINVAL),
                ("an offset beyond", (0x4001, 0, c.BAR0), E.EINVAL),
                ("an offset around the end", ((1 << 64) - 4, 8, c.BAR0), E.EINVAL),
                ("4 GiB", (0, 0xffffffff, c.BAR0), E.EINVAL),
                ("beyond configuration space", (252, 8, c.CONFIG), E.EINVAL),
                ("nothing", (0x4000, 0, c.BAR0), b""),
                ("ids", (0, 4, c.CONFIG), b"\xf4\x1a\xf0\x10"),
                ("the magic", (0, 4, c.BAR0), b"vgpu"),
                ("a part of it", (0, 2, c.BAR0), b"\xff\xff"),
                ("an odd address", (1, 4, c.BAR0), b"\xff" * 4),
                ("no register", (0x38, 4, c.BAR0), b"\xff" * 4)):
            check(f"REGION_READ: {what}", client.read(*arguments), want)
        check("all of BAR0 at once", len(client.read(0, 0x4000)), 0x4000)
        check("REGION_READ with data", client.ask(
            c.REGION_READ, struct.pack("<QII", 0, 0, 4) + b"\0" * 4)[0], E.EINVAL)
        for what, body, want in (
                ("less than it says", struct.pack("<QII", 0, 0, 8) + b"\0" * 4, E.EINVAL),
                ("more than it says", struct.pack("<QII", 0, 0, 4) + b"\0" * 8, E.EINVAL),
                ("beyond", struct.pack("<QII", 0x4000, 0, 4) + b"\0" * 4, E.EINVAL),
                ("another region", struct.pack("<QII", 0, 6, 4) + b"\0" * 4, E.EINVAL),
                ("nothing", struct.pack("<QII", 0, 0, 0), 0),
                ("all of BAR0", struct.pack("<QII", 0, 0, 0x4000) + b"\xff" * 0x4000, 0)):
            check(f"REGION_WRITE: {what}", client.ask(c.REGION_WRITE, body)[0], want)
        client.write(0, b"\xff" * 256, c.CONFIG)
        check("only writable bits of configuration space change",
              [client.read(o, n, c.CONFIG).hex() for o, n in ((0, 8), (0x10, 4), (0x52, 2))],
              ["f41af01006041000", "00c0ffff", "1fc0"])
        uuid = UUID.replace("-", "")
        order = (3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15)
        check("the UUID", client.read(c.REG_UUID, 16).hex(),
              "".join(uuid[2 * i:2 * i + 2] for i in order))
        check("its memory", client.get(c.REG_MEM_LO), MEMORY)
        check("it is served", client.get(c.REG_STATUS), 1)


def ready(memory, at=Memory.CHANNEL):
    """Whether an executor says in the ring that it serves the channel."""
    return lambda: struct.unpack_from("<I", memory.map, at + 192)[0] == 1


def make(client, memory, number, at=Memory.CHANNEL, shape=None):
    """A channel whose pages lie in one run; what CREATE is answered with."""
    shape = shape or layout()
    memory.map[at:at + PAGE] = b"\0" * PAGE
    memory.list([(at, shape[-1])])
    return client.admin(memory.command(create(number, Memory.LIST, shape)), 88)


def event(client):
    """The next event as (kind, channel), within 10 s; it is not for the server to hurry."""
    found = []

    def look():
        value = client.get(c.REG_EVENT)
        if value:
            found.append((value >> 16 & 0xff, value & 0xffff))
        return bool(found)
    until(10, look)
    return found[0] if found else None


@group
def commands(m):
    with Vm(m) as vm:
        client, memory = vm.with_memory()
        total = layout()[-1]
        one = [(Memory.CHANNEL, total)]
        memory.list(one)
        wrong = list(layout())
        wrong[4] += 4096
        for what, command, size, want in (
                ("no bytes", b"", 0, E.EINVAL),
                ("less than a head", b"\0" * 16, 15, E.EINVAL),
                ("more than a page", b"\0" * 16, 4097, E.EINVAL),
                ("another size", create(1, Memory.LIST), 96, E.EINVAL),
                ("a flag", create(1, Memory.LIST, flags=1), 88, E.EINVAL),
                ("no command", head(0, 1, 16), 16, E.EOPNOTSUPP),
                ("command 5", head(5, 1, 16), 16, E.EOPNOTSUPP),
                ("command 4 billion", head(0xffffffff, 1, 16), 16, E.EOPNOTSUPP),
                ("a short CREATE", create(1, Memory.LIST, size=80), 80, E.EINVAL),
                ("a long CREATE", create(1, Memory.LIST, size=96) + b"\1", 96, E.E2BIG),
                ("channel 1,024", create(1024, Memory.LIST), 88, E.EINVAL),
                ("vector 0", create(1, Memory.LIST, vector=0), 88, E.EINVAL),
                ("vector 32", create(1, Memory.LIST, vector=32), 88, E.EINVAL),
                ("another layout", create(1, Memory.LIST, wrong), 88, E.EINVAL),
                ("no list", create(1, 0), 88, E.EINVAL),
                ("a list between pages", create(1, Memory.LIST + 8), 88, E.EINVAL),
                ("a list beyond memory", create(1, Memory.SIZE), 88, E.EFAULT),
                ("to destroy nothing", head(c.DESTROY, 1, 16), 16, E.ENOENT),
                ("to destroy beyond", head(c.DESTROY, 0xffffffff, 16), 16, E.ENOENT),
                ("to map for nothing", region(1, 0, 1 << 30, PAGE, Memory.LIST), 48, E.ENOENT),
                ("to unmap of nothing", head(c.UNMAP, 1, 24) + b"\0" * 8, 24, E.ENOENT)):
            check(f"a command: {what}", client.admin(memory.command(command), size), want)
        check("a command beyond memory", client.admin(Memory.SIZE, 16), E.EFAULT)
        check("a command across the end", client.admin(Memory.SIZE - 8, 16), E.EFAULT)
        check("a command at the end of addresses", client.admin((1 << 64) - 8, 16), E.EFAULT)
        good = create(1, Memory.LIST)
        full = [(Memory.CHANNEL + i * PAGE, PAGE) for i in range(255)]
        for what, runs, kwargs in (
                ("no run", [], {}),
                ("256 runs", one, {"count": 256}),
                ("too few bytes", [(Memory.CHANNEL, total - PAGE)], {}),
                ("too many bytes", [(Memory.CHANNEL, total + PAGE)], {}),
                ("no bytes", [(Memory.CHANNEL, 0)] + one, {}),
                ("between pages", [(Memory.CHANNEL + 8, total)], {}),
                ("a part of a page", [(Memory.CHANNEL, total - 8)], {}),
                ("around the end", [((1 << 64) - PAGE, total)], {}),
                ("more to come", one, {"following": Memory.LIST}),
                ("itself after a part", [(Memory.CHANNEL, PAGE)], {"following": Memory.LIST}),
                ("itself", full, {"following": Memory.LIST})):
            memory.list(runs, **kwargs)
            check(f"a list with {what}", client.admin(memory.command(good), 88), E.EINVAL)
        memory.list([(Memory.SIZE, total)])
        check("a run beyond memory", client.admin(memory.command(good), 88), E.EFAULT)
        memory.list([(Memory.SIZE - PAGE, total)])
        check("a run across the end", client.admin(memory.command(good), 88), E.EFAULT)
        check("nothing came of all that", (m.status().get("pinned"), m.status()["processes"]),
              (0, []))


@group
def files(m):
    """Memory in files that an executor is not to have."""
    with Vm(m) as vm:
        client, memory = vm.with_memory()
        total = layout()[-1]
        at = 1 << 32
        plain = tempfile.TemporaryFile()
        plain.truncate(total)
        sealed = c.memfd(total)
        for what, fd, flags in (
                ("no file", None, 3), ("a plain file", plain.fileno(), 3),
                ("a memfd that can shrink", c.memfd(total, 0), 3),
                ("a memfd that cannot be written", c.memfd(total, c.SEAL_SHRINK | c.SEAL_WRITE), 3),
                ("a memfd that is open for reading",
                 os.open(f"/proc/self/fd/{sealed}", os.O_RDONLY), 3),
                ("a memfd that is too short", c.memfd(total - PAGE), 3),
                ("memory that may only be read", sealed, 1),
                ("a pipe", os.pipe()[0], 3)):
            check(f"{what} is mapped", client.map(at, total, fd, 0, flags), 0)
            memory.list([(at, total)])
            check(f"no channel in {what}",
                  client.admin(memory.command(create(1, Memory.LIST)), 88), E.EFAULT)
            check(f"{what} is unmapped", client.unmap(at, total), 0)
        check("memory without a file", client.map(at, 16 << 20), 0)
        with open(m.log) as text:
            check("the operator reads why no program is served",
                  "memory of the VM at 0x100000000 is in no memfd" in text.read())
        check("is unmapped", client.unmap(at, 16 << 20), 0)
        # What can shrink does so, under the server's eyes.
        short = c.memfd(PAGE, 0)
        check("a command's page that can shrink", client.map(at, PAGE, short), 0)
        os.ftruncate(short, 0)
        check("is no command", client.admin(at, 16), E.EFAULT)


@group
def channels(m):
    with Vm(m) as vm:
        client, memory = vm.with_memory()
        bell = os.eventfd(0, os.EFD_NONBLOCK)
        check("the event's interrupt", client.irqs(0, 1, c.TRIGGER | c.EVENTFD, [bell]), 0)
        check("CREATE", make(client, memory, 5), 0)
        check("the same id again", make(client, memory, 5, Memory.CHANNEL + (8 << 20)), E.EEXIST)
        check("an executor serves it", until(10, ready(memory)))
        found = m.status()["processes"]
        check("as the guest's program", [(p["pid"], p["name"]) for p in found], [(77, "a program")])
        # Regions: the executor has mapped none, because no record has told it to.
        memory.list([(Memory.REGION, 4 * PAGE)])
        good = region(5, 9, 1 << 40, 4 * PAGE, Memory.LIST)
        for what, command, want in (
                ("no bytes", region(5, 9, 1 << 40, 0, Memory.LIST), E.EINVAL),
                ("256 MiB and a page", region(5, 9, 1 << 40, (256 << 20) + PAGE, Memory.LIST),
                 E.EINVAL),
                ("a part of a page", region(5, 9, 1 << 40, 100, Memory.LIST), E.EINVAL),
                ("an address between pages", region(5, 9, 8, 4 * PAGE, Memory.LIST), E.EINVAL),
                ("region 65,536", region(5, 65536, 1 << 40, 4 * PAGE, Memory.LIST), E.EINVAL),
                ("reserved bits", region(5, 9, 1 << 40, 4 * PAGE, Memory.LIST, reserved=1),
                 E.EINVAL),
                ("a list of more", region(5, 9, 1 << 40, 3 * PAGE, Memory.LIST), E.EINVAL),
                ("four pages", good, 0),
                ("them again", good, E.EEXIST)):
            check(f"MAP: {what}", client.admin(memory.command(command), 48), want)
        check("shared memory is counted", m.status()["pinned"], layout()[-1] + 4 * PAGE)
        for what, body, want in (("reserved bits", struct.pack("<II", 9, 1), E.EINVAL),
                                 ("another region", struct.pack("<II", 8, 0), E.ENOENT),
                                 ("region 4 billion", struct.pack("<II", 0xffffffff, 0), E.ENOENT),
                                 ("it", struct.pack("<II", 9, 0), 0),
                                 ("it again", struct.pack("<II", 9, 0), E.ENOENT)):
            check(f"UNMAP: {what}", client.admin(memory.command(head(c.UNMAP, 5, 24) + body), 24),
                  want)
        check("DESTROY", client.admin(memory.command(head(c.DESTROY, 5, 16)), 16), E.EINPROGRESS)
        check("it is released", event(client), (c.RELEASED, 5))
        check("and no executor has it", m.status()["processes"], [])
        check("by an interrupt", rang(bell) > 0)
        check("nothing is left", (client.get(c.REG_EVENT), m.status()["pinned"]), (0, 0))
        check("the id is free", make(client, memory, 5), 0)
        check("an executor serves it", until(10, ready(memory)))
        os.kill(m.status()["processes"][0]["executor"], signal.SIGKILL)
        check("an executor that is killed loses it", event(client), (c.LOST, 5))
        check("DESTROY of what is lost", client.admin(
            memory.command(head(c.DESTROY, 5, 16)), 16), 0)
        os.close(bell)


@group
def fragments(m):
    """Memory in single pages: each is a mapping of the executor's, which has not any number."""
    with Vm(m) as vm:
        client, memory = vm.with_memory()
        for pages, want in ((12288, 0), (12289, E.ENOMEM)):
            fixed = 1 + 16 + 1      # the ring's page, 64 KiB, a slot
            shape = layout(arena=(pages - fixed) * PAGE)
            check("so many pages", shape[-1], pages * PAGE)
            memory.map[0:Memory.SIZE] = b"\0" * Memory.SIZE
            runs = [((pages + 255 - i) * PAGE, PAGE) for i in range(pages)]
            at = [Memory.SIZE - (i + 1) * PAGE for i in range((pages + 254) // 255)]
            for i, where in enumerate(at):
                memory.list(runs[255 * i:255 * i + 255], where,
                            at[i + 1] if i + 1 < len(at) else 0)
            check(f"a channel of {pages} runs",
                  client.admin(memory.command(create(1, at[0], shape)), 88), want)
            if not want:
                check("an executor serves it", until(10, ready(memory, runs[0][0])))
                check("it is destroyed", client.admin(
                    memory.command(head(c.DESTROY, 1, 16)), 16), E.EINPROGRESS)
                check("and released", event(client), (c.RELEASED, 1))


@group
def stopped(m):
    """An executor that does not end by itself: the mediator ends it, and nobody is told before."""
    with Vm(m) as vm:
        client, memory = vm.with_memory()
        for what in ("DESTROY", "RESET", "DMA_UNMAP"):
            check("CREATE", make(client, memory, 1), 0)
            check("an executor serves it", until(10, ready(memory)))
            pid = m.status()["processes"][0]["executor"]
            os.kill(pid, signal.SIGSTOP)
            check("it stops", until(10, lambda: all(
                status_of(f"{pid}/task/{t}")["State"][0] == "T"
                for t in os.listdir(f"/proc/{pid}/task"))))
            began = time.time()
            if what == "DESTROY":
                check("DESTROY", client.admin(memory.command(head(c.DESTROY, 1, 16)), 16),
                      E.EINPROGRESS)
                check("it is not released yet", client.get(c.REG_EVENT), 0)
                check("and then it is", event(client), (c.RELEASED, 1))
            elif what == "RESET":
                check("RESET", client.ask(c.RESET)[0], 0)
                check("has waited for it", client.get(c.REG_CTRL), 0)
            else:
                check("DMA_UNMAP", client.unmap(0, Memory.SIZE), 0)
                check("has waited for it", client.get(c.REG_CTRL), 0)
            took = time.time() - began
            check(f"{what} takes more than 1 s and less than 5, {took:.2f}", 1 < took < 5)
            check("the executor is gone", os.path.exists(f"/proc/{pid}"), False)


@group
def settings(m):
    """A channel that no executor can serve is refused, and its guest hears of it."""
    with Vm(m) as vm:
        client, memory = vm.with_memory()
        memory.list([(Memory.CHANNEL, layout()[-1])])
        command = bytearray(create(3, Memory.LIST))
        struct.pack_into("<Q", command, 80, (1 << 64) - 1)
        check("CREATE with settings that there are not",
              client.admin(memory.command(bytes(command)), 88), 0)
        check("is refused", event(client), (c.LOST, 3))
        check("DESTROY", client.admin(memory.command(head(c.DESTROY, 3, 16)), 16), 0)


@group
def refusals(m):
    """A channel that is refused is lost, and its guest hears why if it is about its own vGPU."""
    with Vm(m) as vm:
        client, memory = vm.with_memory()
        for what, on, off, want in (
                ("drained", ["drain", UUID], ["undrain", UUID], 1),
                ("at its limit", ["set", UUID, "programs=1"], ["unset", UUID, "programs"], 3)):
            if want == 3:
                check("a program runs", make(client, memory, 1), 0)
                check("an executor serves it", until(10, ready(memory)))
            check(f"{what}: vgpuctl", m.ctl(*on), 0)
            check("CREATE", make(client, memory, 2, Memory.CHANNEL + (8 << 20)), 0)
            found = []
            until(10, lambda: found.append(client.get(c.REG_EVENT)) or found[-1])
            check(f"{what}: it is lost, and why", found[-1],
                  1 << 31 | want << 24 | c.LOST << 16 | 2)
            check("DESTROY", client.admin(memory.command(head(c.DESTROY, 2, 16)), 16), 0)
            check(f"{what}: vgpuctl again", m.ctl(*off), 0)
            check("CREATE", make(client, memory, 2, Memory.CHANNEL + (8 << 20)), 0)
            check("is served again", until(10, ready(memory, Memory.CHANNEL + (8 << 20))))
            check("DESTROY", client.admin(memory.command(head(c.DESTROY, 2, 16)), 16),
                  E.EINPROGRESS)
            check("no reason comes with RELEASED", event(client), (c.RELEASED, 2))


@group
def reset(m):
    with Vm(m) as vm:
        client, memory = vm.with_memory()
        check("RESET with a body", client.ask(c.RESET, b"\0")[0], E.EINVAL)
        for name in ("by a register", "by a message"):
            check("CREATE", make(client, memory, 1), 0)
            check("an executor serves it", until(10, ready(memory)))
            began = time.time()
            if name == "by a register":
                client.put(c.REG_CTRL, 1)
                check("it is seen to go on, and to end",
                      until(10, lambda: client.get(c.REG_CTRL) == 0))
            else:
                client.write(4, b"\6\0", c.CONFIG)
                check("RESET", client.ask(c.RESET)[0], 0)
                check("configuration space is new", client.read(4, 2, c.CONFIG), b"\0\0")
                check("it is done", client.get(c.REG_CTRL), 0)
            check(f"a reset {name} within 5 s", time.time() - began < 5)
            check("no executor is left", m.status()["processes"], [])
            check("and no event", client.get(c.REG_EVENT), 0)
            check("nothing there", client.admin(memory.command(head(c.DESTROY, 1, 16)), 16),
                  E.ENOENT)


@group
def memory_goes(m):
    with Vm(m) as vm:
        client, memory = vm.with_memory()
        check("CREATE", make(client, memory, 1), 0)
        check("an executor serves it", until(10, ready(memory)))
        began = time.time()
        check("DMA_UNMAP under it", client.unmap(0, Memory.SIZE), 0)
        check("within 5 s", time.time() - began < 5)
        check("no executor is left", m.status()["processes"], [])
        check("the guest hears of it", event(client), (c.LOST, 1))
        check("its memory is counted no more", m.status()["pinned"], 0)


@group
def two_vms(m):
    """Each VM has a server and executors of its own, and one's end is not the other's."""
    with Vm(m) as one:
        second = Client(m.socket + "2")
        other = Memory()
        check("the second VM's memory", second.map(0, Memory.SIZE, other.fd), 0)
        client, memory = one.with_memory()
        check("CREATE in the first", make(client, memory, 1), 0)
        check("CREATE in the second", make(second, other, 1), 0)
        check("both are served", until(10, lambda: ready(memory)() and ready(other)()))
        check("each as its own", [len(m.status(u)["processes"]) for u in (UUID, UUID2)], [1, 1])
        user = [status_of(m.status(u)["processes"][0]["executor"])["Uid"] for u in (UUID, UUID2)]
        check("by different users, if there are any", user[0] == user[1], m.uids is None)
        os.kill(server_of(m), signal.SIGKILL)
        left = []
        for line in (client, second):
            try:
                left.append(line.get(c.REG_MAGIC))
            except Gone:
                left.append(None)
        check("one server's end leaves the other", sorted(map(str, left)),
              sorted(["None", str(0x75706776)]))
        check("and its executor", until(10, lambda: sorted(
            len(m.status(u)["processes"]) for u in (UUID, UUID2)) == [0, 1]))
        second.close()
        other.close()


@group
def ends_of_all(m):
    with Vm(m) as vm:
        client, memory = vm.with_memory()
        other = Client(m.socket, version=False)
        ends("a second VM", lambda: other.ask(c.VERSION, struct.pack("<HH", 0, 1)))
        other.close()
        check("the first one has it still", client.get(c.REG_MAGIC), 0x75706776)
        check("CREATE", make(client, memory, 1), 0)
        check("an executor serves it", until(10, ready(memory)))
    check("the VM's end is the executors' end",
          until(10, lambda: not m.status()["processes"] and not m.status()["in_use"]))
    with Vm(m) as vm:
        client, memory = vm.with_memory()
        check("CREATE", make(client, memory, 1), 0)
        check("an executor serves it", until(10, ready(memory)))
        os.kill(server_of(m), signal.SIGKILL)
        ends("a killed server", lambda: client.get(c.REG_MAGIC))
        check("its executors end", until(10, lambda: not m.status()["processes"]))
    with Vm(m) as vm:
        check("another VM is served", vm.client.get(c.REG_MAGIC), 0x75706776)
    with Vm(m) as vm:
        client, memory = vm.with_memory()
        for i in range(40):
            check("CREATE of many", make(client, memory, i, Memory.CHANNEL + i * (128 << 10)), 0)
    check("all of them end with the VM", until(20, lambda: not m.status()["processes"] and
                                               not m.status()["in_use"]))


def odd(m, name, text=""):
    with open(os.path.join(m.folder, name), "w") as out:
        out.write(text)


@group
def executors_words(m):
    """What breaks the protocol of a channel ends its executor, and nobody else."""
    for mode in ("size", "short", "long", "op", "reserved", "descriptors", "twice", "flood"):
        odd(m, "mode", mode)
        with Vm(m) as vm:
            client, memory = vm.with_memory()
            check("CREATE", make(client, memory, 1), 0)
            check("a region", (memory.list([(Memory.REGION, PAGE)]), client.admin(memory.command(
                region(1, 9, 1 << 40, PAGE, Memory.LIST)), 48))[1], 0)
            pid = (m.status()["processes"] or [{}])[0].get("executor")
            check(f"{mode}: the channel is lost", event(client), (c.LOST, 1))
            check(f"{mode}: the executor is ended", os.path.exists(f"/proc/{pid}"), False)
            check(f"{mode}: the server goes on", client.get(c.REG_MAGIC), 0x75706776)


@group
def mapped_region(m):
    """A region stays the host's until its executor says that it has let go."""
    odd(m, "mode", "region")
    odd(m, "mapped")
    os.chmod(os.path.join(m.folder, "mapped"), 0o666)
    os.utime(os.path.join(m.folder, "mapped"), (0, 0))
    with Vm(m) as vm:
        client, memory = vm.with_memory()
        unmap = memory.command(head(c.UNMAP, 1, 24) + struct.pack("<II", 9, 0))
        check("CREATE", make(client, memory, 1), 0)
        memory.list([(Memory.REGION, 4 * PAGE)])
        check("MAP", client.admin(memory.command(region(1, 9, 1 << 40, 4 * PAGE, Memory.LIST)), 48),
              0)
        check("an executor has it", until(10, lambda: os.path.getmtime(
            os.path.join(m.folder, "mapped")) > 0))
        memory.command(head(c.UNMAP, 1, 24) + struct.pack("<II", 9, 0))
        check("UNMAP meanwhile", client.admin(unmap, 24), E.EBUSY)
        odd(m, "unmap")
        check("UNMAP afterwards", until(10, lambda: client.admin(unmap, 24) == 0))
        check("nothing is shared but the channel", m.status()["pinned"], layout()[-1])


@group
def lets_go(m):
    """An executor that gives its channel up has to end before the guest has its memory back."""
    for mode in ("lets go", "half"):
        odd(m, "mode", mode)
        with Vm(m) as vm:
            client, memory = vm.with_memory()
            check("CREATE", make(client, memory, 1), 0)
            check("an executor has it", until(10, lambda: m.status()["processes"]))
            pid = m.status()["processes"][0]["executor"]
            if mode == "lets go":
                check("and closes it", until(10, lambda: files_of(pid) <= 4))
            time.sleep(0.5)
            check("it is not lost", client.get(c.REG_EVENT), 0)
            check("DESTROY", client.admin(memory.command(head(c.DESTROY, 1, 16)), 16),
                  E.EINPROGRESS)
            time.sleep(0.5)
            check(f"{mode}: it is not released", client.get(c.REG_EVENT), 0)
            check(f"{mode}: until", event(client), (c.RELEASED, 1))
            check(f"{mode}: the process has gone", os.path.exists(f"/proc/{pid}"), False)


def ends_in_time(client):
    try:
        return client.socket.recv(1) == b""
    except (TimeoutError, ConnectionResetError):
        return False


@group
def servers_words(m):
    """What a server breaks is its own connection; nothing that it sends stays with the mediator."""
    files = None
    for _ in range(2):      # the first round starts what the mediator keeps: threads, files
        for mode in ("size", "short", "long", "kind", "no life", "no pipe", "two descriptors",
                     "no socket", "layout", "many lives", "closed"):
            odd(m, "mode", mode)
            client = Client(m.socket, version=False)
            check(f"{mode}: its server ends", ends_in_time(client))
            client.close()
        files = files or files_of(m.process.pid)
    check("no descriptor is left", until(10, lambda: files_of(m.process.pid) <= files))
    with open(m.log) as text:
        check("the operator is told, of five at once", text.read().count("broke the protocol") >= 5)
    check("and no program", (m.status()["processes"], m.status()["processes_ended"]), ([], 0))


def status_of(pid):
    with open(f"/proc/{pid}/status") as text:
        return dict(re.findall(r"^(\w+):\t(.*)$", text.read(), re.M))


@group
def confined(m):
    with Vm(m) as vm:
        client, memory = vm.with_memory()
        status = status_of(server_of(m))
        check("a filter, and no new privileges", (status["Seccomp"], status["NoNewPrivs"]),
              ("2", "1"))
        if os.getuid():
            return
        check("no capabilities", (status["CapEff"], status["CapPrm"]), ("0" * 16, "0" * 16))
        user = "65534" if m.uids is None else str(m.uids)
        check("another user, and no groups", (status["Uid"], status["Gid"],
              status["Groups"].strip()), ("\t".join([user] * 4), "\t".join([user] * 4), ""))
        if m.uids is not None:
            check("CREATE", make(client, memory, 1), 0)
            check("an executor serves it", until(10, ready(memory)))
            own = status_of(m.status()["processes"][0]["executor"])["Uid"].split()[0]
            check("the executor is somebody else", own not in (user, "0"))


def run(some, executor="", uids=None, **kwargs):
    """Groups, with a mediator of their own."""
    with tempfile.TemporaryDirectory(prefix="vgpu-vfio-user-") as folder:
        os.chmod(folder, 0o711)
        log = os.path.join(folder, "log")
        mediator = Mediator(folder, log, f"""[vgpu {UUID}]
starts = 100
faults = 0
[vfio-user {UUID2}]
path = {folder}/vm.sock2
pages = memfd
memory = 1G
""", executor,
                            **kwargs)
        mediator.uids, mediator.folder = uids, os.path.dirname(kwargs.get("path", ""))
        try:
            for function in some:
                before = passed
                function(mediator)
                print(f"{function.__name__}: {passed - before} checks", flush=True)
        finally:
            check("the mediator ends", mediator.stop(), 0)
            if failed or sys.exc_info()[0]:
                with open(log) as text:
                    print(text.read()[-6000:])


def run_odd(some, executor, server):
    """With others in place of the executor and the server."""
    if not some:
        return
    with tempfile.TemporaryDirectory(prefix="vgpu-odd-") as folder:
        os.chmod(folder, 0o755)
        path = os.path.join(folder, "vgpu-executor")
        shutil.copy(executor, path)
        shutil.copy(server, os.path.join(folder, "vgpu-vfio-user"))
        run(some, path=path)


def main():
    names = sys.argv[1:]
    some = [g for g in groups if not names or any(n in g.__name__ for n in names)]
    run([g for g in some if g not in (executors_words, mapped_region, lets_go, servers_words)])
    run_odd([g for g in some if g in (executors_words, mapped_region, lets_go)],
            os.path.join(HERE, "odd_executor.py"), os.path.join(BUILD, "bin", "vgpu-vfio-user"))
    run_odd([g for g in some if g == servers_words],
            os.path.join(BUILD, "bin", "vgpu-executor"), os.path.join(HERE, "odd_server.py"))
    if os.getuid() == 0 and confined in some:
        run([confined, two_vms], "uids = 200000-200009", 200000)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
