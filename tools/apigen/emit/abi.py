# SPDX-License-Identifier: Apache-2.0
"""cuda_abi.h: the driver's types and prototypes, under their exported names."""

from model import Alias, Callback, Enum, Handle, Struct

from . import NOTICE, prototype


def struct_body(s, indent):
    tab = "\t" * indent
    out = []
    for m in s.members:
        if m.nested:
            out.append(f"{tab}{'union' if m.nested.union else 'struct'} {{")
            out += struct_body(m.nested, indent + 1)
            dims = "".join(f"[{d}]" for d in m.ctype.dims)
            out.append(f"{tab}}}{' ' if m.name else ''}{m.name}{dims};")
        else:
            align = f" __attribute__((aligned({m.align})))" if m.align else ""
            out.append(f"{tab}{m.ctype.text(m.name)}{align};")
    return out


def depends(model, t):
    """Names that must be defined (not merely declared) before t."""
    if isinstance(t, Alias):
        return [t.ctype.base]
    if isinstance(t, Callback):
        return [w for w in t.params.replace("*", " ").replace(",", " ").split()
                if w in model.types]
    if isinstance(t, Struct):
        out = []
        for m in t.members:
            out += depends(model, m.nested) if m.nested else [m.ctype.base]
        return out
    return []


def ordered(model):
    done, out = set(), []

    def visit(name):
        if name in done or name not in model.types:
            return
        done.add(name)
        for d in depends(model, model.types[name]):
            visit(d)
        out.append(model.types[name])

    for name in model.types:
        visit(name)
    return out


def emit(model):
    o = [NOTICE]
    o.append("""/*
 * The CUDA driver's interface as its library exports it: cuMemAlloc_v2 is named
 * so here, and no macro renames anything.
 */
#ifndef VG_CUDA_ABI_H
#define VG_CUDA_ABI_H

#include <stddef.h>
#include <stdint.h>
""")
    o += [f"#define {d.name} {d.value}" for d in model.defines if not model.ours(d)]
    o.append("")
    o += definitions(model, [t for t in ordered(model) if not model.ours(t)])
    o.append("\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n")
    for f in model.exported():
        o.append(prototype(f.name, f.params))
        o += [prototype(f"{f.name}_{s}", f.params) for s, _ in f.variants]
    o.append("\n#ifdef __cplusplus\n}\n#endif\n")
    o.append("/* Layouts, as tools/apigen computes them; tests/apigen checks them against cuda.h. */")
    o.append("#ifdef __cplusplus\n#define VG_LAYOUT(e) static_assert(e, #e)\n#else\n"
             "#define VG_LAYOUT(e) _Static_assert(e, #e)\n#endif")
    o += layouts(model, [t for t in model.types.values() if not model.ours(t)])
    o.append("\n#endif /* VG_CUDA_ABI_H */\n")
    return "\n".join(o)


def layouts(model, types):
    return [f"VG_LAYOUT(sizeof({t.name}) == {model.layout(t)[0]});" for t in types
            if isinstance(t, Struct)]


def definitions(model, types):
    o = []
    for t in types:
        if isinstance(t, Handle):
            if t.tag:
                o.append(f"typedef struct {t.tag} *{t.name};")
            else:
                o.append(f"typedef unsigned long long {t.name};")
        elif isinstance(t, Alias):
            o.append(f"typedef {t.ctype.text(t.name)};")
        elif isinstance(t, Callback):
            o.append(f"typedef {t.ret} (*{t.name})({t.params});")
        elif isinstance(t, Enum):
            o.append(f"\ntypedef enum {t.name} {{")
            o += [f"\t{n} = {v:#x}," if v > 255 and n.endswith("_MAX") else f"\t{n} = {v},"
                  for n, v, _ in t.items]
            o.append(f"}} {t.name};\n")
        elif isinstance(t, Struct):
            kw = "union" if t.union else "struct"
            o.append(f"\ntypedef {kw} {t.name} {{")
            o += struct_body(t, 1)
            o.append(f"}} {t.name};\n")
    return o
