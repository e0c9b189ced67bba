# SPDX-License-Identifier: Apache-2.0
"""vg_wire.h: opcodes, and the fixed part of each request and answer."""

from wire import Wire

from . import NOTICE, names
from .abi import definitions, layouts


def body(fields, total):
    out = [f"\t{x.ctype} {x.name};" for x in fields]
    used = sum(x.size for x in fields)
    if total > used:
        out.append(f"\tuint8_t pad_[{total - used}];")
    return out


def emit(model):
    o = [NOTICE, "#ifndef VG_WIRE_H\n#define VG_WIRE_H\n\n#include \"cuda_abi.h\"\n"]
    ours = [t for t in model.types.values() if model.ours(t)]
    o += [f"#define {d.name} {d.value}" for d in model.defines if model.ours(d)]
    o += definitions(model, ours) + layouts(model, ours) + [""]
    for f in model.wired():
        o.append(f"#define {names.opcode(f)} {f.op}u")
    o.append("")
    for f in model.wired():
        w = Wire(model, f)
        for name, fields, total in ((names.request(f), w.fields, w.fixed),
                                    (names.reply(f), w.rfields, w.rfixed)):
            if not fields:
                continue
            o.append(f"{name} {{")
            o += body(fields, total)
            o.append("} __attribute__((packed, aligned(8)));")
            o.append(f"_Static_assert(sizeof({name}) == {total}, \"{name}\");\n")
    o.append("#endif /* VG_WIRE_H */\n")
    return "\n".join(o)
