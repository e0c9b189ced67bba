# SPDX-License-Identifier: Apache-2.0
"""What a specification says, checked: types with their layout, functions, operations."""

import os
from dataclasses import dataclass, field


class SpecError(Exception):
    """A mistake in a specification, at a file and a line."""

    def __init__(self, where, message):
        super().__init__(f"{where[0]}:{where[1]}: {message}")
        self.where = where


# The sizes that the wire and the ABI checks assume: LP64, as on x86-64 and arm64.
SCALARS = {
    "void": (0, 1), "char": (1, 1), "signed char": (1, 1), "unsigned char": (1, 1),
    "short": (2, 2), "unsigned short": (2, 2), "int": (4, 4), "unsigned int": (4, 4),
    "unsigned": (4, 4), "long": (8, 8), "unsigned long": (8, 8), "long long": (8, 8),
    "unsigned long long": (8, 8), "float": (4, 4), "double": (8, 8), "size_t": (8, 8),
    "uint8_t": (1, 1), "uint16_t": (2, 2), "uint32_t": (4, 4), "uint64_t": (8, 8),
    "int32_t": (4, 4), "int64_t": (8, 8), "uintptr_t": (8, 8), "bool": (1, 1),
}

INLINE_MAX = 16 << 10		# VG_INLINE_MAX of userspace/common/client.h
REPLY_MAX = 4032		# VG_REPLY_MAX
REC_ALIGN = 16			# VGPU_REC_ALIGN of include/uapi/linux/vgpu_ring.h
INTERNAL_OPS = {1: ("hello", 8), 2: ("blob_append", 32), 3: ("nop", 0), 4: ("exit", 0),
                5: ("share", 32), 6: ("unshare", 16), 7: ("output", 8)}
# What goes when another goes.  HELD_BY are parts of another object: the driver frees a part with
# its owner, so a part's id goes with the owner's, however many ids the part has, and no call
# destroys a part alone (but a node of a graph).  OF_CONTEXT are kinds that go with the context in
# which they were made, a part too, for its owner may outlive that.
HELD_BY = {"FUNCTION": {"MODULE", "KERNEL"}, "KERNEL": {"LIBRARY"}, "MODULE": {"LIBRARY"},
           "TEXREF": {"MODULE"}, "SURFREF": {"MODULE"}, "GRAPH_NODE": {"GRAPH"},
           "ARRAY": {"MIPMAP", "ARRAY"}}
OF_CONTEXT = {"STREAM", "EVENT", "MODULE", "FUNCTION", "ARRAY", "MIPMAP", "TEXREF", "LINK_STATE"}
FIRST_OP, LAST_OP = 16, 4095


@dataclass
class CType:
    """A C type as a declaration writes it: [const] base stars [array]."""
    base: str
    stars: str = ""
    const: bool = False
    dims: tuple = ()

    @property
    def pointer(self):
        return self.stars.count("*")

    def text(self, name=""):
        s = ("const " if self.const else "") + self.base
        if self.stars:
            s += " " + self.stars + name
        elif name:
            s += " " + name
        return s + "".join(f"[{d}]" for d in self.dims)


@dataclass
class Member:
    name: str			# "" for an anonymous struct or union
    ctype: CType
    where: tuple
    align: int = 0
    nested: object = None	# Struct, for one declared in place


@dataclass
class Struct:
    name: str
    where: tuple
    union: bool = False
    members: list = field(default_factory=list)


@dataclass
class Enum:
    name: str
    where: tuple
    items: list = field(default_factory=list)	# (name, value, text or None)


@dataclass
class Alias:
    name: str
    ctype: CType
    where: tuple


@dataclass
class Define:
    name: str
    value: str
    where: tuple


@dataclass
class Handle:
    name: str
    tag: str			# struct tag, or "" for a 64-bit number
    kind: str			# VG_<kind>, or "" if it never crosses the wire
    where: tuple


@dataclass
class Callback:
    name: str
    ret: str
    params: str
    where: tuple


@dataclass
class Param:
    name: str
    ctype: CType
    where: tuple
    dir: str = ""		# "" by value, in, out, inout, new, destroy, str, blob, arena
    null: bool = False
    count: str = ""		# expression over other parameters: elements, or bytes of void
    maximum: int = 0		# of count, or of a string with its end


@dataclass
class Function:
    name: str
    params: list
    where: tuple
    group: str
    wire_only: bool = False	# an `op`: no exported symbol
    get: list = field(default_factory=list)	# (base name, version)
    variants: list = field(default_factory=list)	# (suffix, version)
    op: int = 0
    mode: str = ""		# sync, async, either, blocking
    hand_shim: bool = False
    hand_exec: bool = False
    noctx: bool = False
    early: bool = False		# works before cuInit()
    local: bool = False
    via: tuple = ()
    same: str = ""
    waits: bool = False		# does nothing but wait for the device
    poll: str = ""		# what asks whether such a wait would end
    adds_nothing: bool = False	# to the capture of a stream that it names
    clears: tuple = ()		# what these point at is 0 after a failure
    none: dict = field(default_factory=dict)	# parameter -> the error for none there
    refuse: str = ""
    note: str = ""

    @property
    def streams(self):
        return [p for p in self.params if not p.dir and p.ctype.text() == "CUstream"]

    def may_capture(self, model):
        """Whether it names a stream, to whose capture it may add."""
        handles = (model.handle(p.ctype) for p in self.params if not p.dir)
        return not self.adds_nothing and any(h and h.kind == "STREAM" for h in handles)

    @property
    def takes_default(self):
        """Its hand-written body is told which stream stands for none."""
        return bool(self.variants) and not self.streams


class Model:
    def __init__(self):
        self.types = {}		# name -> Struct, Enum, Alias, Handle, Callback, in order
        self.defines = []	# Define
        self.functions = {}	# name -> Function
        self.extras = []	# (name, version, reason, where): exported, refused, no prototype
        self.retired = {}	# opcode -> where

    # -- types

    def resolve(self, ctype, where):
        """Follow aliases to a CType whose base is no alias."""
        seen = set()
        while not ctype.stars:
            t = self.types.get(ctype.base)
            if not isinstance(t, Alias) or ctype.base in seen:
                break
            seen.add(ctype.base)
            inner = t.ctype
            ctype = CType(inner.base, inner.stars, inner.const, ctype.dims + inner.dims)
        return ctype

    def known(self, base):
        return base in SCALARS or base in self.types

    def handle(self, ctype):
        """The Handle that a by-value type is, or None."""
        if ctype.stars or ctype.dims:
            return None
        base = ctype.base
        while True:
            t = self.types.get(base)
            if isinstance(t, Handle):
                return t
            if not isinstance(t, Alias) or t.ctype.stars:
                return None
            base = t.ctype.base

    def struct(self, base, where=None):
        t = self.types.get(base)
        while isinstance(t, Alias) and not t.ctype.stars:
            t = self.types.get(t.ctype.base)
        return t if isinstance(t, Struct) else None

    def size_align(self, ctype, where):
        if ctype.stars:
            size, align = 8, 8
        else:
            t = self.resolve(ctype, where)
            if t.stars:
                size, align = 8, 8
            elif t.base in SCALARS:
                size, align = SCALARS[t.base]
            else:
                d = self.types.get(t.base)
                if isinstance(d, Struct):
                    size, align, _ = self.layout(d)
                elif isinstance(d, Enum):
                    size, align = 4, 4
                elif isinstance(d, (Handle, Callback)):
                    size, align = 8, 8
                else:
                    raise SpecError(where, f"unknown type '{t.base}'")
        for d in ctype.dims:
            size *= self.number(d, where)
        return size, align

    def number(self, text, where):
        try:
            return int(text, 0)
        except ValueError:
            pass
        for d in self.defines:
            if d.name == text:
                return self.number(d.value, where)
        raise SpecError(where, f"'{text}' is not a number")

    def layout(self, struct):
        """(size, align, [(path, offset, size)]) by the System V rules."""
        at, align, paths, largest = 0, 1, [], 0
        for m in struct.members:
            if m.nested:
                size, a, inner = self.layout(m.nested)
                for d in m.ctype.dims:
                    size *= self.number(d, m.where)
            else:
                (size, a), inner = self.size_align(m.ctype, m.where), []
            a = max(a, m.align)
            off = 0 if struct.union else -(-at // a) * a
            if m.name:
                paths.append((m.name, off, size))
            if not m.ctype.dims:
                prefix = m.name + "." if m.name else ""
                paths += [(prefix + p, off + o, s) for p, o, s in inner]
            at = off + size
            largest = max(largest, at)
            align = max(align, a)
        return -(-largest // align) * align, align, paths

    def has_pointer(self, struct):
        for m in struct.members:
            if m.nested:
                if self.has_pointer(m.nested):
                    return True
                continue
            t = self.resolve(m.ctype, m.where)
            if t.stars or isinstance(self.types.get(t.base), Callback):
                return True
            s = self.struct(t.base)
            if s and self.has_pointer(s):
                return True
        return False

    def handle_members(self, struct):
        """[(path, Handle)] of the handles directly in a struct, [] if none."""
        out = []
        for m in struct.members:
            s = m.nested or (None if m.ctype.stars else self.struct(m.ctype.base))
            if s:
                sub = self.handle_members(s)
                if sub and (struct.union or m.ctype.dims):
                    raise SpecError(m.where, f"a handle inside a union or an array of '{struct.name}'"
                                    " needs a hand-written call")
                out += [((m.name + "." if m.name else "") + p, h) for p, h in sub]
                continue
            h = self.handle(m.ctype)
            if h:
                if struct.union:
                    raise SpecError(m.where, f"a handle inside a union of '{struct.name}'"
                                    " needs a hand-written call")
                out.append((m.name, h))
        return out

    # -- functions

    def error_of_none(self, f, p):
        """What the driver answers to none in place of this handle, if no wrong handle; or ""."""
        return f.none.get(p.name, "")

    @staticmethod
    def error_of_wrong(f, h):
        """
        What the driver answers to a handle that leads to no `h`, where that does not follow from
        the kind (vg_object_wrong() of the shim); or "".  An event is a value to a graph.
        """
        return "CUDA_ERROR_INVALID_VALUE" if h.kind == "EVENT" and f.group == "graph" else ""

    @staticmethod
    def ours(entry):
        """Whether an entry is of the wire (types/wire.api) and not of the driver's interface."""
        return os.path.basename(entry.where[0]) == "wire.api"

    def owner(self, f, kind):
        """The parameter whose object holds the handle of `kind` that f makes, or None."""
        for p in f.params:
            h = self.handle(p.ctype)
            if h and not p.dir and h.kind in HELD_BY.get(kind, ()):
                return p
        return None

    def wired(self):
        """Functions and operations with an opcode, by opcode."""
        return sorted((f for f in self.functions.values() if f.op), key=lambda f: f.op)

    def exported(self):
        return [f for f in self.functions.values() if not f.wire_only]

    def disposition(self, f):
        """forwarded, local or refused."""
        seen = set()
        while f.same:
            if f.same in seen:
                raise SpecError(f.where, f"'{f.name}' is the same as itself")
            seen.add(f.same)
            f = self.functions[f.same]
        if f.refuse:
            return "refused"
        return "local" if f.local else "forwarded"
