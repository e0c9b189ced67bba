# SPDX-License-Identifier: Apache-2.0
"""The C names that a function has on each side, and its parameters there."""

from model import CType


def opcode(f):
    return f"VG_OP_{f.name}"


def request(f):
    return f"struct vg_rq_{f.name}"


def reply(f):
    return f"struct vg_rp_{f.name}"


def kind(h):
    return f"VG_{h.kind}"


def shim_params(f):
    """Of the encoder vgw_<name>: as the call's own, and `wait` first for `either`."""
    out = ["bool wait"] if f.mode == "either" else []
    for p in f.params:
        if p.dir == "arena":
            out.append(f"struct vg_block *{p.name}")
        elif p.dir == "blob":
            out += [f"const void *{p.name}", f"size_t {p.name}_bytes"]
        else:
            out.append(p.ctype.text(p.name))
    return out


def hand_params(f):
    """Of the hand-written body vgh_<name> in the shim."""
    out = ["CUstream none"] if f.takes_default else []
    return out + [p.ctype.text(p.name) for p in f.params]


def exec_params(f):
    """Of the hand-written body vge_<name> in the executor."""
    out = ["struct vg_exec *x", "const struct vg_req *rq"]
    for p in f.params:
        if p.dir == "arena":
            out += [f"void *{p.name}", f"uint32_t {p.name}_bytes"]
        elif p.dir == "blob":
            out += [f"const void *{p.name}", f"size_t {p.name}_bytes"]
        elif p.dir == "in":
            out.append(CType(p.ctype.base, p.ctype.stars, True).text(p.name))
        else:
            out.append(p.ctype.text(p.name))
    return out
