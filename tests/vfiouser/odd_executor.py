#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""In place of an executor: what one that a guest has taken over may say to a vfio-user server.

The file `mode` beside it says what to do with the channel that it is given. It never ends by
itself, and a device may still write to memory that such a process has registered."""
import os
import socket
import struct
import sys
import time

HERE = os.path.dirname(os.path.abspath(sys.argv[0]))
MEMORY, REGION, UNMAPPED = 1, 2, 3
ASK, ANSWER = struct.Struct("<IIII"), struct.Struct("<IIIIQQ")      # vfiouser_proto.h


def ask(channel, op, number=0, size=ASK.size, reserved=0, fds=()):
    socket.send_fds(channel, [ASK.pack(size, op, number, reserved)], fds)


def answer(channel):
    data, fds, _, _ = socket.recv_fds(channel, 64, 5)
    return ANSWER.unpack(data)[1], len(fds)


def serve(mode, channel, fds):
    if mode == "lets go":
        for fd in fds:
            os.close(fd)
    elif mode == "size":
        ask(channel, MEMORY, size=12)
    elif mode == "short":
        channel.send(b"\0" * 8)
    elif mode == "long":
        channel.send(b"\0" * 64)
    elif mode == "op":
        ask(channel, 99)
    elif mode == "reserved":
        ask(channel, MEMORY, reserved=1)
    elif mode == "descriptors":
        ask(channel, MEMORY, fds=[0])
    elif mode == "twice":
        ask(channel, MEMORY)
        ask(channel, MEMORY)
    elif mode == "half":        # no more is heard of it, as if it had ended
        channel.shutdown(socket.SHUT_RDWR)
    elif mode == "flood":       # without a look at the answers
        while True:
            ask(channel, REGION, 9)
    elif mode == "region":
        ask(channel, REGION, 9)
        while answer(channel)[0]:
            time.sleep(0.05)
            ask(channel, REGION, 9)
        open_for_all("mapped")
        while not os.path.exists(os.path.join(HERE, "unmap")):
            time.sleep(0.05)
        ask(channel, UNMAPPED, 9)
        ask(channel, UNMAPPED, 12345)       # of which there is none


def open_for_all(name):
    """The test sees it by the time of a file that both may write."""
    os.utime(os.path.join(HERE, name))


def main():
    control = socket.socket(fileno=3)
    control.send(struct.pack("<IiIIIIII", 32, 0, 12000, 1, 0, 0, 0, 0))  # struct vg_exec_ready
    _, fds, _, _ = socket.recv_fds(control, 64, 5)
    if not fds:
        return
    with open(os.path.join(HERE, "mode")) as text:
        mode = text.read()
    channel = None
    if mode != "lets go":
        channel = socket.socket(fileno=os.dup(fds[0]))
        channel.setblocking(True)
        os.close(fds[0])
    try:
        serve(mode, channel, fds)
    except OSError:
        pass
    time.sleep(60)


main()
