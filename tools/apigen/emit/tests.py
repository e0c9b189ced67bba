# SPDX-License-Identifier: Apache-2.0
"""decoder_cases.c: of each operation, where lengths, handles and blobs lie in its request."""

from model import CType
from wire import Wire

from . import NOTICE, names


def emit(model):
    o = [NOTICE, '#include <stddef.h>\n\n#include "decoder_cases.h"\n#include "vg_wire.h"\n']
    table = []
    for f in model.wired():
        w = Wire(model, f)
        rows = []
        for p in f.params:
            rows += fields(model, f, p)
        for tail in w.tails + w.rtails:
            p = tail.param
            if p.dir != "str" and p.count:
                base = p.count.split("*")[0].strip()
                scale = int(p.count.split("*")[1]) if "*" in p.count else 1
                size = tail.size * scale if tail in w.tails else 0
                rows.append(f"\t{{ FIELD_COUNT, {at(f, base)}, {p.maximum // scale}, {size} }},")
        if w.nulls:
            rows.append(f"\t{{ FIELD_PRESENT, {at(f, 'present')}, {(1 << len(w.nulls)) - 1}, 0 }},")
        o.append(f"static const struct decoder_field fields_{f.name}[] = {{")
        o += rows + ["\t{ FIELD_END, 0, 0, 0 },", "};\n"]
        fixed = sum(t.param.maximum * t.size for t in w.tails if t.param.dir != "str"
                    and not t.param.count)
        table.append(f"\t{{ {f.op}, \"{f.name}\", {w.fixed}, {fixed}, fields_{f.name} }},")
    o.append("const struct decoder_case decoder_cases[] = {")
    o += table
    o.append("};\n\nconst unsigned int decoder_case_count ="
             " sizeof(decoder_cases) / sizeof(decoder_cases[0]);\n")
    return "\n".join(o)


def at(f, name):
    return f"offsetof({names.request(f)}, {name})"


def fields(model, f, p):
    h = model.handle(p.ctype)
    target = model.handle(CType(p.ctype.base))
    if p.dir in ("", "destroy") and h:
        null = " | FIELD_NULLABLE" if p.null or (h.kind == "STREAM" and not p.dir) else ""
        return [f"\t{{ FIELD_HANDLE{null}, {at(f, p.name)}, 0, 0 }},"]
    if p.dir == "in" and target and not p.maximum:
        return [f"\t{{ FIELD_HANDLE, {at(f, p.name)}, 0, 0 }},"]
    if p.dir == "str":
        null = " | FIELD_NULLABLE" if p.null else ""
        return [f"\t{{ FIELD_STRING{null}, {at(f, p.name + '_len')}, {p.maximum}, 1 }},"]
    if p.dir == "blob":
        return [f"\t{{ FIELD_BLOB, {at(f, p.name)}, 0, 0 }},"]
    if p.dir == "arena":
        return [f"\t{{ FIELD_ARENA, {at(f, p.name + '_off')}, 0, 0 }},"]
    return []
