# SPDX-License-Identifier: Apache-2.0
"""Reads specification files.  README.md describes the language."""

import os
import re

from model import (Alias, Callback, CType, Define, Enum, Function, Handle, Member, Model, Param, SpecError,
                   Struct)

BASE = r"(?:unsigned\s+|signed\s+)?(?:long\s+long|long|int|short|char)|unsigned|\w+"
DECL = re.compile(rf"^(const\s+)?({BASE})(\s+const)?\s*((?:\*\s*(?:const\b\s*)?)*)"
                  r"(\w+)?\s*((?:\[\w+\]|\[\])*)$")
NAME = r"[A-Za-z_]\w*"
MODES = ("sync", "async", "either", "blocking")


def declaration(text, where, need_name=True):
    m = DECL.match(text.strip())
    if not m:
        raise SpecError(where, f"cannot read the declaration '{text.strip()}'")
    const, base, const2, stars, name, dims = m.groups()
    if need_name and not name:
        raise SpecError(where, f"'{text.strip()}' names nothing")
    stars = re.sub(r"\s+", "", stars).replace("*const", "*const ")
    dims = tuple(re.findall(r"\[(\w*)\]", dims))
    if dims == ("",):		# as a parameter, T x[] is T *x
        dims, stars = (), stars + "*"
    return name or "", CType(re.sub(r"\s+", " ", base), stars, bool(const or const2), dims)


def split_top(text):
    """Split at commas that are in no bracket."""
    out, depth, cur = [], 0, ""
    for ch in text:
        depth += ch in "([" and 1 or ch in ")]" and -1 or 0
        if ch == "," and depth == 0:
            out.append(cur)
            cur = ""
        else:
            cur += ch
    out.append(cur)
    return [s.strip() for s in out if s.strip()]


def bound(text, where):
    """'count <= max' or 'max'."""
    if "<=" in text:
        count, top = (s.strip() for s in text.split("<=", 1))
    else:
        count, top = "", text.strip()
    if not re.fullmatch(r"\d+|0x[0-9a-fA-F]+", top):
        raise SpecError(where, f"a maximum is a number, not '{top}'")
    if count and not re.fullmatch(rf"{NAME}(\s*\*\s*\d+)?", count):
        raise SpecError(where, f"a length is NAME or NAME * NUMBER, not '{count}'")
    return count, int(top, 0)


def parameter(text, where):
    direction, null, count, maximum = "", False, "", 0
    rest = text
    while True:
        m = re.match(r"(in|out|inout|new|destroy|null|str|blob|arena)\b\s*(\[[^\]]*\])?\s*", rest)
        if not m:
            break
        word, bracket = m.group(1), m.group(2)
        if word == "null":
            null = True
            if bracket:
                raise SpecError(where, "null takes no bracket")
        else:
            if direction:
                raise SpecError(where, f"'{direction}' and '{word}' on one parameter")
            direction = word
            if bracket:
                if word in ("new", "destroy", "arena", "inout"):
                    raise SpecError(where, f"'{word}' takes no bracket")
                count, maximum = bound(bracket[1:-1], where)
            elif word in ("str", "blob"):
                raise SpecError(where, f"'{word}' needs a maximum, as {word}[...]")
        rest = rest[m.end():]
    name, ctype = declaration(rest, where)
    return Param(name, ctype, where, direction, null, count, maximum)


class Lines:
    """The logical lines of one file: (indent, text, where)."""

    def __init__(self, path):
        self.path = path
        self.items = []
        open_text, open_where = "", None
        with open(path, encoding="utf-8") as f:
            for number, raw in enumerate(f, 1):
                where = (path, number)
                text = raw.rstrip("\n")
                stripped = text.strip()
                if not open_text and (not stripped or stripped.startswith("#")):
                    continue
                if open_text:
                    open_text += " " + stripped
                else:
                    body = text.lstrip("\t")
                    if body[:1] == " ":
                        raise SpecError(where, "indent with tabs")
                    indent = len(text) - len(body)
                    open_text, open_where = body.rstrip(), where
                    self.indent = indent
                if open_text.startswith(("fn ", "op ", "callback ")) and \
                        open_text.count("(") > open_text.count(")"):
                    continue
                self.items.append((self.indent, open_text, open_where))
                open_text = ""
        if open_text:
            raise SpecError(open_where, "the bracket is never closed")


class Parser:
    def __init__(self, model):
        self.model = model

    def add_type(self, t):
        if t.name in self.model.types:
            other = self.model.types[t.name].where
            raise SpecError(t.where, f"'{t.name}' is already defined at {other[0]}:{other[1]}")
        self.model.types[t.name] = t

    def file(self, path):
        group = os.path.splitext(os.path.basename(path))[0]
        current, stack = None, []
        for indent, text, where in Lines(path).items:
            if indent == 0:
                current = self.top(text, where, group)
                stack = [current]
            elif current is None:
                raise SpecError(where, "nothing to indent under")
            elif isinstance(current, Enum):
                self.enum_item(current, indent, text, where)
            elif isinstance(current, Struct):
                del stack[indent:]
                if len(stack) < indent or not isinstance(stack[-1], Struct):
                    raise SpecError(where, "indented too far")
                stack.append(self.member(stack[-1], text, where))
            else:
                if indent != 1:
                    raise SpecError(where, "indented too far")
                for word in [text] if text.startswith(("refuse ", "note ")) else split_top(text):
                    self.attribute(current, word, where)

    def top(self, text, where, group):
        word, _, rest = text.partition(" ")
        rest = rest.strip()
        if word in ("struct", "union", "enum"):
            if not re.fullmatch(NAME, rest):
                raise SpecError(where, f"'{rest}' is no name")
            t = Enum(rest, where) if word == "enum" else Struct(rest, where, word == "union")
            self.add_type(t)
            return t
        if word == "alias":
            m = re.fullmatch(rf"({NAME})\s*=\s*(.+)", rest)
            if not m:
                raise SpecError(where, "write: alias NAME = TYPE")
            self.add_type(Alias(m.group(1), declaration(m.group(2), where, False)[1], where))
            return None
        if word == "handle":
            parts = rest.split()
            if len(parts) not in (2, 3):
                raise SpecError(where, "write: handle NAME TAG [KIND]")
            tag = "" if parts[1] == "-" else parts[1]
            self.add_type(Handle(parts[0], tag, "".join(parts[2:]), where))
            return None
        if word == "callback":
            m = re.fullmatch(rf"({NAME})\s+(\w+)\s*\((.*)\)", rest)
            if not m:
                raise SpecError(where, "write: callback NAME RETURN(PARAMETERS)")
            self.add_type(Callback(m.group(1), m.group(2), m.group(3), where))
            return None
        if word == "define":
            name, _, value = rest.partition(" ")
            self.model.defines.append(Define(name, value.strip(), where))
            return None
        if word == "retired":
            for n in rest.split():
                if not n.isdigit():
                    raise SpecError(where, f"'{n}' is no opcode")
                self.model.retired[int(n)] = where
            return None
        if word == "extra":
            m = re.fullmatch(rf"({NAME})\s+(\d+)\s+(.+)", rest)
            if not m:
                raise SpecError(where, "write: extra NAME VERSION REASON")
            self.model.extras.append((m.group(1), int(m.group(2)), m.group(3), where))
            return None
        if word in ("fn", "op"):
            m = re.fullmatch(rf"({NAME})\s*\((.*)\)", rest)
            if not m:
                raise SpecError(where, f"write: {word} NAME(PARAMETERS)")
            params = [parameter(p, where) for p in split_top(m.group(2))]
            f = Function(m.group(1), params, where, group, wire_only=word == "op")
            if f.name in self.model.functions:
                other = self.model.functions[f.name].where
                raise SpecError(where, f"'{f.name}' is already defined at {other[0]}:{other[1]}")
            if len({p.name for p in params}) != len(params):
                raise SpecError(where, f"two parameters of '{f.name}' have one name")
            self.model.functions[f.name] = f
            return f
        raise SpecError(where, f"unknown entry '{word}'")

    @staticmethod
    def enum_item(enum, indent, text, where):
        m = re.fullmatch(rf'({NAME})\s+(-?\w+)(?:\s+"([^"]*)")?', text)
        if indent != 1 or not m:
            raise SpecError(where, 'write: NAME VALUE ["TEXT"]')
        try:
            value = int(m.group(2), 0)
        except ValueError:
            raise SpecError(where, f"'{m.group(2)}' is not a number") from None
        if any(name == m.group(1) for name, _, _ in enum.items):
            raise SpecError(where, f"'{m.group(1)}' is already in {enum.name}")
        enum.items.append((m.group(1), value, m.group(3)))

    @staticmethod
    def member(struct, text, where):
        m = re.fullmatch(rf"(struct|union)(?:\s+({NAME}))?\s*((?:\[\w+\])*)", text)
        if m:
            nested = Struct(m.group(2) or "", where, m.group(1) == "union")
            dims = tuple(re.findall(r"\[(\w+)\]", m.group(3)))
            struct.members.append(Member(m.group(2) or "", CType(m.group(1), dims=dims), where,
                                         nested=nested))
            return nested
        align = 0
        m = re.fullmatch(r"(.*\S)\s+align\s+(\d+)", text)
        if m:
            text, align = m.group(1), int(m.group(2))
        name, ctype = declaration(text, where)
        struct.members.append(Member(name, ctype, where, align))
        return None

    @staticmethod
    def attribute(f, text, where):
        words = text.split()
        if f is None:
            raise SpecError(where, "nothing to indent under")
        key = words[0]
        if key == "get" and len(words) == 3 and words[2].isdigit():
            f.get.append((words[1], int(words[2])))
        elif key in ("ptsz", "ptds") and len(words) == 2 and words[1].isdigit():
            f.variants.append((key, int(words[1])))
        elif key == "op" and len(words) >= 3 and words[1].isdigit():
            if f.op:
                raise SpecError(where, f"'{f.name}' already has opcode {f.op}")
            f.op = int(words[1])
            for w in words[2:]:
                if w in MODES and not f.mode:
                    f.mode = w
                elif w == "noctx":
                    f.noctx = True
                elif w == "waits" and f.mode == "blocking":
                    f.waits = True
                elif w == "hand-shim":
                    f.hand_shim = True
                elif w == "hand-exec":
                    f.hand_exec = True
                else:
                    raise SpecError(where, f"unknown word '{w}' after op")
            if not f.mode:
                raise SpecError(where, f"an op is one of {', '.join(MODES)}")
        elif text == "early":
            f.early = True
        elif text == "adds nothing":
            f.adds_nothing = True
        elif text == "local":
            f.local = f.hand_shim = True
        elif key == "via" and len(words) >= 2:
            f.via = tuple(words[1:])
            f.hand_shim = True
        elif key == "same" and len(words) == 2:
            f.same = words[1]
        elif key == "poll" and len(words) == 2:
            f.poll = words[1]
        elif key == "clears" and len(words) >= 2:
            f.clears = tuple(words[1:])
        elif key == "none" and len(words) == 3:
            f.none[words[1]] = words[2]
        elif key == "refuse" and len(words) >= 2:
            f.refuse = text[len("refuse "):].strip()
        elif key == "note" and len(words) >= 2:
            f.note = text[len("note "):].strip()
        else:
            raise SpecError(where, f"cannot read '{text}'")


def load(paths):
    model = Model()
    parser = Parser(model)
    for path in paths:
        parser.file(path)
    from check import check
    check(model)
    return model
