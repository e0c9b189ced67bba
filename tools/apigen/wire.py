# SPDX-License-Identifier: Apache-2.0
"""How one call lies in a record: fixed fields first, largest alignment first, then the rest."""

from dataclasses import dataclass

from model import REC_ALIGN, CType


def up(n, a):
    return -(-n // a) * a


@dataclass
class Field:
    name: str
    ctype: str			# C type of the wire field
    size: int
    align: int


@dataclass
class Tail:
    """A part whose length a field gives: an array, a string."""
    param: object
    elem: str			# C type of one element on the wire
    size: int			# of one element


class Wire:
    def __init__(self, model, f):
        self.model, self.f = model, f
        self.fields, self.tails = [], []		# of the request
        self.rfields, self.rtails = [], []		# of the reply
        self.nulls = []					# parameters with a bit in `present`
        for p in f.params:
            self.place(p)
        if self.nulls:
            self.fields.append(Field("present", "uint32_t", 4, 4))
        if self.rfields or self.rtails or f.mode != "async" and (self.news or self.destroys):
            self.rfields.insert(0, Field("ok", "uint32_t", 4, 4))
        self.fields = sorted(self.fields, key=lambda x: -x.align)
        self.rfields = sorted(self.rfields, key=lambda x: -x.align)
        self.fixed = self.total(self.fields)
        self.rfixed = self.total(self.rfields)
        self.max_request = self.fixed + sum(up(t.size * t.param.maximum, 8) for t in self.tails)
        self.max_reply = self.rfixed + sum(up(t.size * t.param.maximum, 8) for t in self.rtails)
        self.max_bytes = up(self.max_request, REC_ALIGN)

    @staticmethod
    def elements(p, prefix=""):
        """The C expression for how many elements p has; `prefix` goes before a parameter."""
        return f"(uint64_t){prefix}{p.count}" if p.count else str(p.maximum)

    @property
    def news(self):
        return [p for p in self.f.params if p.dir == "new"]

    @property
    def destroys(self):
        return [p for p in self.f.params if p.dir == "destroy"]

    def total(self, fields):
        return up(sum(x.size for x in fields), 8)

    def place(self, p):
        model, t = self.model, p.ctype
        target = CType(t.base)			# what a pointer points at
        if p.dir in ("", "destroy"):
            if model.handle(t):
                self.fields.append(Field(p.name, "uint32_t", 4, 4))
            else:
                size, _ = model.size_align(t, p.where)
                wide = max(size, 4)
                self.fields.append(Field(p.name, t.text() if size >= 4 else "uint32_t", wide, wide))
            return
        if p.dir == "new":
            self.fields.append(Field(p.name, "uint32_t", 4, 4))
            return
        if p.dir == "arena":
            self.fields.append(Field(p.name + "_off", "uint32_t", 4, 4))
            self.fields.append(Field(p.name + "_bytes", "uint32_t", 4, 4))
            return
        if p.dir == "blob":
            self.fields.append(Field(p.name, "uint32_t", 4, 4))
            return
        if p.null:
            self.nulls.append(p)
        if p.dir == "str":
            self.fields.append(Field(p.name + "_len", "uint32_t", 4, 4))
            self.tails.append(Tail(p, "char", 1))
            return
        if p.maximum:
            h = model.handle(target)
            if h:
                tail = Tail(p, "uint32_t", 4)
            elif t.base == "void":
                tail = Tail(p, "uint8_t", 1)
            else:
                tail = Tail(p, t.base, model.size_align(target, p.where)[0])
            (self.tails if p.dir == "in" else self.rtails).append(tail)
            return
        if p.dir == "in" and model.handle(target):
            self.fields.append(Field(p.name, "uint32_t", 4, 4))
            return
        size, align = model.size_align(target, p.where)
        if size < 4:
            field = Field(p.name, "uint32_t", 4, 4)
        else:			# CUtensorMap asks for 128; the wire packs at 8
            field = Field(p.name, t.base, up(size, min(align, 8)), min(align, 8))
        if p.dir in ("in", "inout"):
            self.fields.append(field)
        if p.dir in ("out", "inout"):
            self.rfields.append(field)
