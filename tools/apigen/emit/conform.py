# SPDX-License-Identifier: Apache-2.0
"""conform.c: compiled against a toolkit's cuda.h, it compares the specification with it."""

from model import Alias, Enum, Struct

from . import NOTICE, prototype

HEAD = """
#define __CUDA_API_VERSION_INTERNAL	/* the exported names, unrenamed */
#include <stddef.h>
#include <cuda.h>
#include <cudaProfiler.h>

#define SIZE(t, n) _Static_assert(sizeof(t) == (n), "size of " #t)
#define OFFSET(t, m, n) _Static_assert(offsetof(t, m) == (n), "offset of " #t "." #m)
#define EXTENT(t, m, n) _Static_assert(sizeof(((t *)0)->m) == (n), "size of " #t "." #m)
#define VALUE(e, n) _Static_assert((long long)(e) == (n), "value of " #e)
"""


def emit(model):
    o = [NOTICE + HEAD]
    for t in model.types.values():
        if model.ours(t):
            continue
        if isinstance(t, Struct):
            size, _, paths = model.layout(t)
            o.append(f"SIZE({t.name}, {size});")
            for path, off, extent in paths:
                o.append(f"OFFSET({t.name}, {path}, {off});")
                o.append(f"EXTENT({t.name}, {path}, {extent});")
        elif isinstance(t, Enum):
            o.append(f"SIZE({t.name}, 4);")
            o += [f"VALUE({n}, {v});" for n, v, _ in t.items]
        elif isinstance(t, Alias):
            o.append(f"SIZE({t.name}, {model.size_align(t.ctype, t.where)[0]});")
    for d in model.defines:
        if d.value.lstrip("-")[:1].isdigit() and not model.ours(d):
            o.append(f"VALUE({d.name}, {d.value});")
    o.append("\n/* A prototype that differs from cuda.h's does not compile beside it. */")
    for f in model.exported():
        o.append(prototype(f.name, f.params))
        o += [prototype(f"{f.name}_{s}", f.params) for s, _ in f.variants]
    return "\n".join(o) + "\n"
