#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""In place of vgpu-vfio-user: what one that a VM has taken over may say to the mediator.

The file `mode` beside it says what. It ends when it has seen what it is to see, and otherwise
lives on until it is killed."""
import os
import select
import socket
import struct
import sys
import time

HERE = os.path.dirname(os.path.abspath(sys.argv[0]))
CHANNEL, CLOSED, LIFE = 1, 2, 3
EVENT = struct.Struct("<IIIIQ32s16sQ")       # struct vg_vfu_event
GOOD = struct.pack("<IIIIIIQ", 0, 64 << 10, 0, 1, 0, 4096, 0)


def event(kind, layout=GOOD, size=EVENT.size):
    return EVENT.pack(size, kind, 1, 77, 1, layout, b"a program", 0)


def tell(control, data, *fds):
    try:
        socket.send_fds(control, [data], fds)
    except BrokenPipeError:
        time.sleep(60)      # its end is the mediator's to see to


def refused(control, *fds, layout=GOOD):
    """The mediator gives a channel up that nobody can serve."""
    life, alive = os.pipe()
    tell(control, event(LIFE), alive)
    os.close(alive)
    tell(control, event(CHANNEL, layout), *fds)
    watch = select.poll()
    watch.register(life, 0)
    if not watch.poll(5000):
        time.sleep(60)
    sys.exit()


def main():
    control = socket.socket(fileno=3)
    socket.recv_fds(control, 64, 2)
    with open(os.path.join(HERE, "mode")) as text:
        mode = text.read()
    one, other = socket.socketpair()
    pair = [one.fileno(), other.fileno()]
    if mode == "size":
        tell(control, event(CLOSED, size=8))
    elif mode == "short":
        tell(control, event(CLOSED)[:-1])
    elif mode == "long":
        tell(control, event(CLOSED) + b"\0")
    elif mode == "kind":
        tell(control, event(99))
    elif mode == "no life":
        tell(control, event(CHANNEL), pair[0])
    elif mode == "no pipe":
        tell(control, event(LIFE))
    elif mode == "two descriptors":
        tell(control, event(LIFE), *pair)
    elif mode == "no socket":
        refused(control)
    elif mode == "layout":
        refused(control, pair[0], layout=struct.pack("<IIIIIIQ", 0, 3, 0, 1, 0, 4096, 0))
    elif mode == "many lives":
        for _ in range(500):
            tell(control, event(LIFE), pair[0])
        refused(control)
    elif mode == "closed":
        for _ in range(500):
            tell(control, event(CLOSED))
        refused(control)
    time.sleep(60)


main()
