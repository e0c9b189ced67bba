# SPDX-License-Identifier: Apache-2.0
"""Rules that hold across a whole specification."""

import re

from model import (FIRST_OP, INLINE_MAX, LAST_OP, REPLY_MAX, Alias, SpecError, Struct)

KINDS = """CONTEXT MODULE FUNCTION STREAM EVENT LIBRARY KERNEL MEMPOOL GRAPH GRAPH_NODE GRAPH_EXEC
ARRAY MIPMAP TEXREF SURFREF MEM_ALLOC LINK_STATE USER_OBJECT GREEN_CTX EXTERNAL_MEMORY
EXTERNAL_SEMAPHORE TEXOBJECT SURFOBJECT""".split()		# of userspace/executor/handles.h


def check(model):
    for t in model.types.values():
        check_type(model, t)
    ops = {}
    for f in model.functions.values():
        check_function(model, f)
        if f.op:
            if f.op in ops:
                raise SpecError(f.where, f"opcode {f.op} of '{f.name}' belongs to '{ops[f.op].name}'")
            if f.op in model.retired:
                raise SpecError(f.where, f"opcode {f.op} of '{f.name}' is retired")
            ops[f.op] = f
    check_lookup(model)


def check_type(model, t):
    if isinstance(t, Struct):
        seen = set()
        for path, _, _ in model.layout(t)[2]:
            if path in seen:
                raise SpecError(t.where, f"'{path}' is twice in '{t.name}'")
            seen.add(path)
        check_members(model, t)
    elif isinstance(t, Alias) and not model.known(t.ctype.base):
        raise SpecError(t.where, f"unknown type '{t.ctype.base}'")
    elif getattr(t, "kind", "") and t.kind not in KINDS:
        raise SpecError(t.where, f"unknown handle kind '{t.kind}'")


def check_members(model, s):
    for m in s.members:
        if m.nested:
            check_members(model, m.nested)
        elif not model.known(m.ctype.base):
            raise SpecError(m.where, f"unknown type '{m.ctype.base}'")


def check_function(model, f):
    for p in f.params:
        if not model.known(p.ctype.base) and p.dir != "arena":
            raise SpecError(p.where, f"'{f.name}': unknown type '{p.ctype.base}'")
    ways = [bool(f.op or f.via), f.local, bool(f.same), bool(f.refuse)]
    if f.wire_only:
        if not f.op:
            raise SpecError(f.where, f"'{f.name}' needs an opcode")
        if f.get or f.variants or any(ways[1:]):
            raise SpecError(f.where, f"'{f.name}' is on the wire only")
    elif sum(ways) != 1:
        raise SpecError(f.where, f"'{f.name}' needs exactly one of op, via, local, same, refuse")
    elif not f.get:
        raise SpecError(f.where, f"'{f.name}' needs a get line")
    if f.poll:
        g = model.functions.get(f.poll)
        if not f.waits or not g or g.mode != "sync" or \
                [(p.dir, p.ctype.text()) for p in g.params] != \
                [(p.dir, p.ctype.text()) for p in f.params]:
            raise SpecError(f.where, f"'{f.name}' cannot be polled by '{f.poll}'")
    if f.adds_nothing:
        f.adds_nothing = False
        if not f.op or not f.may_capture(model):
            raise SpecError(f.where, f"'{f.name}' adds nothing in any case")
        f.adds_nothing = True
    if f.same:
        g = model.functions.get(f.same)
        if not g or g.wire_only:
            raise SpecError(f.where, f"'{f.name}' is the same as '{f.same}', which does not exist")
        if len(g.params) != len(f.params):
            raise SpecError(f.where, f"'{f.name}' and '{f.same}' differ in their parameters")
        model.disposition(f)
    for v in f.via:
        if v not in model.functions or not model.functions[v].op:
            raise SpecError(f.where, f"'{f.name}' goes via '{v}', which has no opcode")
    if f.op:
        if not FIRST_OP <= f.op <= LAST_OP:
            raise SpecError(f.where, f"opcode {f.op} is not in {FIRST_OP}..{LAST_OP}")
        check_wire(model, f)
    check_answers(model, f)


# What the generated code calls its own variables.
RESERVED = {"c", "q", "r", "p", "v", "x", "i", "at", "rp", "rq", "rt", "left", "tail", "wait",
            "answer", "none"}


def check_wire(model, f):
    from wire import Wire			# late: it reads a checked model
    names = {p.name: p for p in f.params}
    for p in f.params:
        if p.name in RESERVED:
            raise SpecError(p.where, f"'{p.name}' is a name of the generator's own")
        t = p.ctype
        h = model.handle(t)
        if not p.dir:
            if t.stars:
                raise SpecError(p.where, f"'{f.name}': say which way '{p.name}' goes")
            if h and not h.kind:
                raise SpecError(p.where, f"'{f.name}': '{t.base}' has no handle kind")
            if model.struct(t.base):
                raise SpecError(p.where, f"'{f.name}': '{p.name}' is a struct by value")
            continue
        if p.dir == "destroy":
            if not h or not h.kind:
                raise SpecError(p.where, f"'{f.name}': '{p.name}' is no handle to destroy")
            continue
        if p.dir == "arena":
            if t.base != "vg_block":
                raise SpecError(p.where, f"'{f.name}': an arena parameter is a vg_block *")
            continue
        if not t.pointer:
            raise SpecError(p.where, f"'{f.name}': '{p.name}' is '{p.dir}' but no pointer")
        if t.pointer > 1:
            raise SpecError(p.where, f"'{f.name}': '{p.name}' is a pointer to a pointer")
        target = model.handle(type(t)(t.base))
        if p.dir == "new":
            if not target or not target.kind:
                raise SpecError(p.where, f"'{f.name}': '{p.name}' is no new handle")
        s = model.struct(t.base)
        if s and p.dir in ("in", "out", "inout", "str"):
            if model.has_pointer(s):
                raise SpecError(p.where, f"'{f.name}': '{t.base}' holds pointers; write it by hand")
            if model.handle_members(s) and (p.dir != "in" or p.count):
                raise SpecError(p.where, f"'{f.name}': '{t.base}' holds handles; write it by hand")
        if target and p.dir in ("out", "inout"):
            raise SpecError(p.where, f"'{f.name}': a handle comes back in '{p.name}'; write it by hand")
        if target and p.dir == "in" and p.count and f.mode == "blocking":
            raise SpecError(p.where, f"'{f.name}' may block, so it cannot name the many handles of"
                            f" '{p.name}'")
        if t.base == "void" and p.dir in ("in", "out") and not p.maximum:
            raise SpecError(p.where, f"'{f.name}': how long is '{p.name}'?")
        for word in re.findall(r"[A-Za-z_]\w*", p.count):
            q = names.get(word)
            if not q or q.dir or q.ctype.stars or model.handle(q.ctype):
                raise SpecError(p.where, f"'{f.name}': the length of '{p.name}' needs '{word}',"
                                " which is no number passed by value")
        if f.mode in ("async", "either") and p.dir in ("out", "inout"):
            raise SpecError(p.where, f"'{f.name}' has no answer, so '{p.name}' cannot come back")
    w = Wire(model, f)
    if w.max_request > INLINE_MAX:
        raise SpecError(f.where, f"'{f.name}': a request of up to {w.max_request} bytes"
                        f" is over {INLINE_MAX}; use blob")
    if w.max_reply > REPLY_MAX:
        raise SpecError(f.where, f"'{f.name}': an answer of up to {w.max_reply} bytes"
                        f" is over {REPLY_MAX}")


def check_answers(model, f):
    names = {p.name: p for p in f.params}
    for name in f.clears:
        p = names.get(name)
        if not p or p.ctype.pointer < 1 or p.ctype.const or \
                (p.ctype.pointer == 1 and (p.ctype.base == "void" or model.struct(p.ctype.base))):
            raise SpecError(f.where, f"'{f.name}' cannot clear '{name}'")
    errors = {n for n, _, _ in model.types["CUresult"].items} if f.none else ()
    for name, error in f.none.items():
        if name not in names or error not in errors:
            raise SpecError(f.where, f"'{f.name}': write: none PARAMETER ERROR")


def check_lookup(model):
    seen = {}
    for f in model.exported():
        entries = [(b, v, 0) for b, v in f.get]
        entries += [(f.get[0][0], v, s) for s, v in f.variants]
        for e in entries:
            if e in seen:
                raise SpecError(f.where, f"'{f.name}' and '{seen[e]}' both answer to {e[0]} {e[1]}")
            seen[e] = f.name
