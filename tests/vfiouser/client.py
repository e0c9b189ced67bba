# SPDX-License-Identifier: Apache-2.0
"""A vfio-user client that says whatever a test wants, and a VM's memory to go with it."""
import array
import fcntl
import mmap
import os
import socket
import struct

(VERSION, DMA_MAP, DMA_UNMAP, GET_INFO, GET_REGION_INFO, GET_REGION_IO_FDS, GET_IRQ_INFO, SET_IRQS,
 REGION_READ, REGION_WRITE, DMA_READ, DMA_WRITE, RESET) = range(1, 14)
HEAD = struct.Struct("<HHIII")
REPLY, NO_REPLY, ERROR = 1, 0x10, 0x20
CONFIG, BAR0, MSIX = 7, 0, 2
TRIGGER, NONE, BOOL, EVENTFD = 1 << 5, 1, 2, 4
# fcntl(2); older Pythons have no names for them
F_ADD_SEALS, SEAL_SHRINK, SEAL_GROW, SEAL_WRITE = 1033, 2, 4, 8

# vgpu_dev.h
(REG_MAGIC, REG_STATUS, REG_CTRL, REG_EVENT, REG_ADMIN_LO, REG_ADMIN_HI, REG_KICK, REG_RESULT,
 REG_MEM_LO, REG_UUID, REG_DOORBELL) = (0, 0x14, 0x18, 0x1c, 0x20, 0x24, 0x28, 0x2c, 0x30, 0x40,
                                        0x1000)
CREATE, DESTROY, MAP, UNMAP = 1, 2, 3, 4
LOST, RELEASED = 1, 2


class Gone(Exception):
    """The server has ended the connection."""


class Client:
    def __init__(self, path, version=True):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(path)
        self.number = 0
        if version:
            error, _ = self.ask(VERSION, struct.pack("<HH", 0, 1) + b'{"capabilities":{}}' +
                                b"\0" * 64)
            assert not error, error

    def close(self):
        self.socket.close()

    def send(self, data, fds=()):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self.socket.sendmsg([data], rights)
        except (BrokenPipeError, ConnectionResetError):
            raise Gone from None

    def receive(self, count):
        data = b""
        while len(data) < count:
            try:
                more = self.socket.recv(count - len(data))
            except ConnectionResetError:
                raise Gone from None
            if not more:
                raise Gone
            data += more
        return data

    def answer(self):
        """(errno, body) of the answer to the last message."""
        number, command, size, flags, error = HEAD.unpack(self.receive(HEAD.size))
        body = self.receive(size - HEAD.size)
        assert number == self.number & 0xffff and flags & 15 == REPLY, (number, flags)
        assert bool(flags & ERROR) == bool(error) and not (error and body)
        self.command = command
        return error, body

    def post(self, command, body=b"", fds=(), flags=NO_REPLY, size=None):
        self.number += 1
        size = HEAD.size + len(body) if size is None else size
        self.send(HEAD.pack(self.number & 0xffff, command, size, flags, 0) + body, fds)

    def ask(self, command, body=b"", fds=(), size=None):
        self.post(command, body, fds, 0, size)
        return self.answer()

    # --- with right arguments

    def map(self, iova, size, fd=None, offset=0, flags=3, argsz=32):
        return self.ask(DMA_MAP, struct.pack("<IIQQQ", argsz, flags, offset, iova, size),
                        () if fd is None else (fd,))[0]

    def unmap(self, iova, size, flags=0, argsz=24):
        return self.ask(DMA_UNMAP, struct.pack("<IIQQ", argsz, flags, iova, size))[0]

    def irqs(self, start, count, flags, fds=(), data=b"", index=MSIX, argsz=None):
        body = struct.pack("<IIIII", 20 + len(data) if argsz is None else argsz, flags, index,
                           start, count)
        return self.ask(SET_IRQS, body + data, fds)[0]

    def read(self, offset, count, region=BAR0):
        error, body = self.ask(REGION_READ, struct.pack("<QII", offset, region, count))
        return error or body[16:]

    def write(self, offset, data, region=BAR0, posted=False):
        body = struct.pack("<QII", offset, region, len(data)) + data
        if posted:
            self.post(REGION_WRITE, body)
            return 0
        return self.ask(REGION_WRITE, body)[0]

    def get(self, register):
        return struct.unpack("<I", self.read(register, 4))[0]

    def put(self, register, value):
        self.write(register, struct.pack("<I", value), posted=True)

    def admin(self, address, count):
        """What a command at a bus address is answered with."""
        self.put(REG_ADMIN_LO, address & 0xffffffff)
        self.put(REG_ADMIN_HI, address >> 32)
        self.put(REG_KICK, count)
        return self.get(REG_RESULT)


def memfd(size, seals=SEAL_SHRINK | SEAL_GROW):
    fd = os.memfd_create("vm", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    if seals:
        fcntl.fcntl(fd, F_ADD_SEALS, seals)
    return fd


class Memory:
    """A VM's memory at bus address 0: a command page, a list page, and pages for channels."""
    SIZE = 64 << 20
    COMMAND, LIST, CHANNEL, REGION = 0x1000, 0x2000, 1 << 20, 32 << 20

    def __init__(self):
        self.fd = memfd(self.SIZE)
        self.map = mmap.mmap(self.fd, self.SIZE)

    def close(self):
        self.map.close()
        os.close(self.fd)

    def list(self, runs, at=None, following=0, count=None):
        at = at or self.LIST
        self.map[at:at + 4096] = b"\0" * 4096
        struct.pack_into("<QII", self.map, at, following,
                         len(runs) if count is None else count, 0)
        for i, run in enumerate(runs):
            struct.pack_into("<QQ", self.map, at + 16 + 16 * i, *run)
        return at

    def command(self, data):
        self.map[self.COMMAND:self.COMMAND + 4096] = data.ljust(4096, b"\0")
        return self.COMMAND


def head(op, channel, size, flags=0):
    return struct.pack("<IIII", size, op, channel, flags)


def layout(sq=64 << 10, slots=1, arena=4096):
    sq_off, slot_off = 4096, 4096 + sq
    arena_off = slot_off + 4096 * slots
    return (sq_off, sq, slot_off, slots, arena_off, arena, arena_off + arena)


def create(channel, list_at, shape=None, vector=1, size=88, op=CREATE, flags=0):
    return (head(op, channel, size, flags) + struct.pack("<II16s", vector, 77, b"a program") +
            struct.pack("<IIIIIIQ", *(shape or layout())) + struct.pack("<QQ", list_at, 0))


def region(channel, number, va, count, list_at, op=MAP, reserved=0):
    return head(op, channel, 48) + struct.pack("<IIQQQ", number, reserved, va, count, list_at)
