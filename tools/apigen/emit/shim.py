# SPDX-License-Identifier: Apache-2.0
"""The shim: an encoder for each operation, an export for each function."""

from model import CType
from wire import Wire, up

from . import NOTICE, names, prototype, wrap


class Encoder:
    """The text of one vgw_<name>()."""

    def __init__(self, model, f):
        self.model, self.f, self.w = model, f, Wire(model, f)
        self.decl, self.check, self.fill, self.fail, self.done = [], [], [], [], []
        self.null_bit = {p.name: 1 << i for i, p in enumerate(self.w.nulls)}
        self.sizes = []			# C expressions of the tails' bytes

    def param(self, p):
        getattr(self, {"": "value", "in": "data", "str": "string"}.get(p.dir, p.dir))(p)

    def value(self, p):
        h = self.model.handle(p.ctype)
        if not h:
            self.fill.append(f"q->{p.name} = {p.name};")
            return
        self.decl.append(f"uint32_t id_{p.name};")
        self.identify(p, h, p.name, f"id_{p.name}", self.check, "\t")
        self.fill.append(f"q->{p.name} = id_{p.name};")

    def identify(self, p, h, expr, into, out, tab):
        """Code that turns a handle into its id, or returns."""
        if h.kind == "STREAM":
            out.append(f"r = vg_stream_id({expr}, &{into});")
        elif p.null:
            out.append(f"r = {expr} ? vg_object_id({self.cast(h, expr)}, {names.kind(h)}, &{into}) :")
            out.append(f"\t({into} = 0, CUDA_SUCCESS);")
        else:
            out.append(f"r = vg_object_id({self.cast(h, expr)}, {names.kind(h)}, &{into});")
        out += ["if (r)", f"\treturn {self.model.error_of_wrong(self.f, h) or 'r'};"]

    @staticmethod
    def cast(h, expr):
        return expr if h.tag else f"(const void *)(uintptr_t){expr}"

    def destroy(self, p):
        h = self.model.handle(p.ctype)
        self.decl.append(f"struct vg_object *o_{p.name};")
        self.late.append(f"r = vg_object_take({self.cast(h, p.name)}, {names.kind(h)}, &o_{p.name});")
        self.late += ["if (r)", "\tgoto out;" if self.undo_needed else "\treturn r;"]
        self.fill.append(f"q->{p.name} = vg_object_wire(o_{p.name});")
        self.unbegun.append(f"vg_object_untake(o_{p.name}, {names.kind(h)});")
        if self.f.mode == "async":
            self.always.append(f"vg_object_drop(o_{p.name});")
        else:			# the driver may keep it
            self.always += ["if (r)", f"\tvg_object_untake(o_{p.name}, {names.kind(h)});", "else",
                            f"\tvg_object_drop(o_{p.name});"]

    def new(self, p):
        h = self.model.handle(CType(p.ctype.base))
        self.not_null(p)
        self.decl.append(f"struct vg_object *o_{p.name};")
        self.late.append(f"r = vg_object_new({names.kind(h)}, &o_{p.name});")
        self.late += ["if (r)", "\treturn r;"]
        owner = self.model.owner(self.f, h.kind)
        if owner:
            self.late.append(f"vg_object_own(o_{p.name}, id_{owner.name});")
        self.fill.append(f"q->{p.name} = vg_object_wire(o_{p.name});")
        self.fail.append(f"vg_object_drop(o_{p.name});")
        cast = f"({p.ctype.base})" if h.tag else f"({p.ctype.base})(uintptr_t)"
        self.done.append(f"*{p.name} = {cast}o_{p.name};")

    def not_null(self, p):
        self.check += [f"if (!{p.name})", "\treturn CUDA_ERROR_INVALID_VALUE;"]

    def data(self, p):
        if p.maximum:
            self.array(p)
            return
        target = self.model.handle(CType(p.ctype.base))
        if target:
            self.not_null(p)
            self.decl.append(f"uint32_t id_{p.name};")
            self.identify(p, target, f"*{p.name}", f"id_{p.name}", self.check, "\t")
            self.fill.append(f"q->{p.name} = id_{p.name};")
            return
        tab = ""
        if p.null:
            self.fill.append(f"if ({p.name}) {{")
            self.fill.append(f"\tq->present |= {self.null_bit[p.name]};")
            tab = "\t"
        else:
            self.not_null(p)
        s = self.model.struct(p.ctype.base)
        members = self.model.handle_members(s) if s else []
        for i, (path, h) in enumerate(members):
            name = f"id_{p.name}_{i}"
            self.decl.append(f"uint32_t {name} = 0;")
            guard = f"if ({p.name}) {{" if p.null else "{"
            self.check.append(guard)
            body = []
            self.identify(type(p)(p.name, p.ctype, p.where, null=True), h, f"{p.name}->{path}", name,
                          body, "")
            self.check += ["\t" + b for b in body] + ["}"]
        self.fill.append(f"{tab}q->{p.name} = *{p.name};")
        for i, (path, h) in enumerate(members):
            cast = f"({h.name})(uintptr_t)" if h.tag else ""
            self.fill.append(f"{tab}q->{p.name}.{path} = {cast}id_{p.name}_{i};")
        if p.null:
            self.fill.append("}")

    def bounded(self, p, elements):
        self.decl.append(f"uint64_t n_{p.name};")
        self.check.append(f"n_{p.name} = {elements};")
        if p.count:
            self.check += [f"if (n_{p.name} > {p.maximum})", "\treturn CUDA_ERROR_INVALID_VALUE;"]
        if p.null:
            self.check += [f"if (!{p.name})", f"\tn_{p.name} = 0;"]
            self.fill += [f"if ({p.name})", f"\tq->present |= {self.null_bit[p.name]};"]
        else:
            self.check += [f"if (n_{p.name} && !{p.name})", "\treturn CUDA_ERROR_INVALID_VALUE;"]

    def array(self, p):
        h = self.model.handle(CType(p.ctype.base))
        self.bounded(p, self.w.elements(p))
        tail = next(t for t in self.w.tails if t.param is p)
        self.sizes.append(f"VG_UP8(n_{p.name} * {tail.size})")
        if h:
            self.decl.append(f"uint32_t ids_{p.name}[{p.maximum}];")
            self.check.append(f"for (uint64_t i = 0; i < n_{p.name}; i++) {{")
            body = []
            self.identify(type(p)(p.name, p.ctype, p.where), h, f"{p.name}[i]",
                          f"ids_{p.name}[i]", body, "")
            self.check += ["\t" + b for b in body] + ["}"]
            self.fill.append(f"tail = vg_put(tail, ids_{p.name}, n_{p.name} * 4);")
        else:
            self.fill.append(f"tail = vg_put(tail, {p.name}, n_{p.name} * {tail.size});")

    def string(self, p):
        self.decl.append(f"uint64_t n_{p.name} = 0;")
        if p.null:
            self.check.append(f"if ({p.name})")
            self.check.append(f"\tn_{p.name} = strnlen({p.name}, {p.maximum}) + 1;")
            self.fill += [f"if ({p.name})", f"\tq->present |= {self.null_bit[p.name]};"]
        else:
            self.not_null(p)
            self.check.append(f"n_{p.name} = strnlen({p.name}, {p.maximum}) + 1;")
        self.check += [f"if (n_{p.name} > {p.maximum})", "\treturn CUDA_ERROR_INVALID_VALUE;"]
        self.sizes.append(f"VG_UP8(n_{p.name})")
        self.fill.append(f"q->{p.name}_len = n_{p.name};")
        self.fill.append(f"tail = vg_put(tail, {p.name}, n_{p.name});")

    def blob(self, p):
        self.decl.append(f"uint32_t id_{p.name};")
        self.check += [f"if (!{p.name} || !{p.name}_bytes || {p.name}_bytes > {p.maximum}u)",
                       "\treturn CUDA_ERROR_INVALID_VALUE;"]
        self.blobs.append(f"r = vg_blob_send({p.name}, {p.name}_bytes, &id_{p.name});")
        self.blobs += ["if (r)", "\treturn r;"]
        self.fill.append(f"q->{p.name} = id_{p.name};")

    def arena(self, p):
        self.fill.append(f"q->{p.name}_off = {p.name}->off;")
        self.fill.append(f"q->{p.name}_bytes = {p.name}->bytes;")
        self.posted.append(f"vg_arena_free_after({p.name}, &c);")

    def inout(self, p):
        self.fill_ptr(p)
        self.out(p)

    def fill_ptr(self, p):
        if p.null:
            self.fill += [f"if ({p.name})", f"\tq->{p.name} = *{p.name};"]
        else:
            self.fill.append(f"q->{p.name} = *{p.name};")

    def out(self, p):
        if p.maximum:
            self.bounded(p, self.w.elements(p))
            tail = next(t for t in self.w.rtails if t.param is p)
            size = tail.size
            self.done += [f"if (n_{p.name})",
                          f"\tmemcpy({p.name}, rt, n_{p.name} * {size});"]
            if tail is not self.w.rtails[-1]:
                self.done.append(f"rt += VG_UP8(n_{p.name} * {size});")
            return
        if p.null:
            self.fill += [f"if ({p.name})", f"\tq->present |= {self.null_bit[p.name]};"]
            self.done += [f"if ({p.name})", f"\t*{p.name} = rp->{p.name};"]
        else:
            self.not_null(p)
            self.done.append(f"*{p.name} = rp->{p.name};")

    def text(self):
        f, w = self.f, self.w
        self.late, self.unbegun, self.always, self.blobs, self.posted = [], [], [], [], []
        self.undo_needed = bool(w.news)
        for p in sorted(f.params, key=lambda p: p.dir == "destroy"):
            self.param(p)
        o = [wrap(f"CUresult vgw_{f.name}(", names.shim_params(f) or ["void"], ")"), "{"]
        o.append("\tstruct vg_call c;")
        if w.fields:
            o.append(f"\t{names.request(f)} *q;")
        o += ["\t" + d for d in self.decl]
        if w.tails:
            o.append("\tuint8_t *tail;")
        if w.rfields:
            size = f"VG_REPLY_MAX" if w.rtails else f"sizeof({names.reply(f)})"
            o.append(f"\tuint64_t answer[({size} + 7) / 8];")
            o.append(f"\t{names.reply(f)} *rp = (void *)answer;")
        if w.rtails:
            o.append("\tconst uint8_t *rt = (const uint8_t *)(rp + 1);")
        o.append("\tCUresult r;")
        o.append("")
        if not f.noctx:
            o += ["\tr = vg_context_ready();", "\tif (r)", "\t\treturn r;"]
        o += ["\t" + c for c in self.check + self.blobs + self.late]
        size = " + ".join([str(w.fixed)] + self.sizes)
        o.append(f"\tr = vg_begin(&c, {names.opcode(f)}, {size});")
        if self.fail or self.unbegun:
            o.append("\tif (r) {")
            o += ["\t\t" + c for c in self.unbegun]
            o += ["\t\tgoto out;" if self.fail else "\t\treturn r;", "\t}"]
        else:
            o += ["\tif (r)", "\t\treturn r;"]
        if w.fields:
            o.append("\tq = c.req;")
            if w.nulls or w.fixed != sum(x.size for x in w.fields):
                o.append("\tmemset(q, 0, sizeof(*q));")
        if w.tails:
            o.append("\ttail = (uint8_t *)(q + 1);")
        o += ["\t" + c for c in self.fill]
        self.finish(o)
        o.append("}\n")
        return "\n".join(o)

    def finish(self, o):
        f, w = self.f, self.w
        always = ["\t" + c for c in self.always]
        if f.mode in ("async", "either"):
            tab = "\t"
            if f.mode == "either":
                o.append("\tif (!wait) {")
                tab = "\t\t"
            o.append(f"{tab}r = vg_post(&c);")
            o += [tab + c for c in self.posted + self.always]
            if self.fail:
                o += [f"{tab}if (r)", f"{tab}\tgoto out;"]
                o += [tab + c for c in self.done if "o_" in c]
            o.append(f"{tab}return r;")
            if f.mode == "either":
                o.append("\t}")
        if f.mode != "async":
            if f.mode == "blocking":
                o.append("\tc.blocks = true;")
            if f.waits:
                o.append("\tc.waits = true;")
            if f.poll:
                o.append("\tc.polls = true;")
            if w.rfields:
                size = "sizeof(answer)"
                o.append(f"\tr = vg_wait(&c, answer, {size});")
                o += always
                if self.fail:
                    o += ["\tif (!rp->ok) {", "\t\tr = vg_failed(r);", "\t\tgoto out;", "\t}"]
                else:
                    o += ["\tif (!rp->ok)", "\t\treturn vg_failed(r);"]
                o += ["\t" + c for c in self.done]
                o.append("\treturn vg_succeeded(r);")
            else:
                o.append("\tr = vg_wait(&c, NULL, 0);")
                o += always
                if f.poll:
                    o += ["\tif (unlikely(r == VG_WAITS_FULL)) {", "\t\tvg_poll_begin();",
                          f"\t\twhile ((r = vgw_{f.poll}({', '.join(p.name for p in f.params)}))"
                          " == CUDA_ERROR_NOT_READY)",
                          "\t\t\tvg_poll_nap();", "\t\tvg_poll_end();", "\t\treturn r;", "\t}"]
                o.append("\treturn vg_answered(r);")
        if self.fail:
            o.append("out:")
            o += ["\t" + c for c in self.fail]
            o.append("\treturn r;")


def emit_wire(model):
    o = [NOTICE, '#include <string.h>\n\n#include "client.h"\n#include "shim/shim.h"\n'
         '#include "shim_calls.h"\n#include "vg_wire.h"\n']
    o += [Encoder(model, f).text() for f in model.wired()]
    return "\n".join(o)


def emit_header(model):
    o = [NOTICE, "/* vgw_: send one call.  vgh_: written by hand. */\n"
         "#ifndef VG_SHIM_CALLS_H\n#define VG_SHIM_CALLS_H\n\n#include <stdbool.h>\n\n"
         '#include "client.h"\n#include "cuda_abi.h"\n']
    for f in model.wired():
        o.append(wrap(f"CUresult vgw_{f.name}(", names.shim_params(f) or ["void"], ");"))
    o.append("")
    for f in model.exported():
        if f.hand_shim:
            o.append(wrap(f"CUresult vgh_{f.name}(", names.hand_params(f) or ["void"], ");"))
    o.append("\n#endif /* VG_SHIM_CALLS_H */\n")
    return "\n".join(o)


def args(f, per_thread):
    out = []
    if f.takes_default and f.hand_shim:
        out.append("CU_STREAM_PER_THREAD" if per_thread else "NULL")
    for p in f.params:
        if per_thread and p in f.streams:
            out.append(f"{p.name} ? {p.name} : CU_STREAM_PER_THREAD")
        else:
            out.append(p.name)
    return out


def emit_exports(model):
    o = [NOTICE, '#include "shim/shim.h"\n#include "shim/profile.h"\n#include "shim_calls.h"\n']
    for f in model.exported():
        for suffix in [""] + ["_" + s for s, _ in f.variants]:
            body = ["{"] + ["\t" + line for line in export_body(model, f, suffix)] + ["}\n"]
            if f.refuse or f.same:
                o += ["VG_EXPORT " + prototype(f.name + suffix, f.params, tail="")] + body
            else:
                o += profiled(f, suffix, body)
    o.append("/* Not in cuda.h: graphics interoperation, which the driver exports too. */")
    for name, _, reason, _ in model.extras:
        o.append(f"VG_EXPORT CUresult {name}(void);")
        o.append(f"VG_EXPORT CUresult {name}(void)\n{{")
        o.append(f"\treturn vg_refuse(\"{name}\", \"{reason}\");\n}}\n")
    return "\n".join(o)


def profiled(f, suffix, body):
    """The export, and around its body what is done while a profiler's hooks are attached."""
    name = f.name + suffix
    given = [p.name for p in f.params]
    o = [prototype("do_" + name, f.params, ret="static __always_inline CUresult", tail="")] + body
    o += [prototype("profiled_" + name, f.params, ret="static __attribute__((cold, noinline)) CUresult",
                    tail="")]
    o += ["{", f"\tstatic struct vg_api api = {{ .name = \"{name}\" }};"]
    if f.params:
        o += ["\tconst struct {"] + [f"\t\t{p.ctype.text(p.name)};" for p in f.params] + ["\t} params = {"]
        o += [f"\t\t.{p} = {p}," for p in given] + ["\t};"]
    params = ", .params = &params" if f.params else ""
    o += [f"\tstruct vg_api_call call = {{ .api = &api{params} }};",
          "\tconst struct vg_profile_hooks *hooks = vg_api_enter(&call);", "",
          wrap(f"\treturn vg_api_exit(hooks, &call, do_{name}(", given, "));"), "}\n"]
    return o + ["VG_EXPORT " + prototype(name, f.params, tail=""), "{", "\tif (vg_profiled())",
                wrap(f"\t\treturn profiled_{name}(", given, ");"),
                wrap(f"\treturn do_{name}(", given, ");"), "}\n"]


LENDERS = {"ARRAY": "cuArray", "EVENT": "cuEvent", "FUNCTION": "cuFunc", "LINK_STATE": "cuLink",
           "MIPMAP": "cuMipmappedArray", "MODULE": "cuModule", "STREAM": "cuStream",
           "TEXREF": "cuTexRef"}
UNLENT = {"cuFuncSetBlockShape", "cuFuncSetSharedSize"}	# of before functions had a context


def lender(model, f):
    """
    The object whose context a call uses on a thread that has none, as the driver has it: the
    stream if one is named, else what the function is named after.
    """
    if f.streams:
        return f.streams[0], "STREAM"
    for p in f.params:
        h = model.handle(p.ctype) if p.dir in ("", "destroy") else None
        if h and f.name.startswith(LENDERS.get(h.kind, "-")) and f.name not in UNLENT:
            return p, h.kind
    return None


def export_body(model, f, suffix):
    if f.refuse:
        unused = [f"(void){p.name};" for p in f.params]
        return unused + [f"return vg_refuse(\"{f.name}{suffix}\", \"{f.refuse}\");"]
    if f.same:
        return [wrap(f"return {f.same}{suffix}(", [p.name for p in f.params], ");")]
    name = f"vgh_{f.name}(" if f.hand_shim else f"vgw_{f.name}("
    given = ["false"] if f.mode == "either" and not f.hand_shim else []
    given += args(f, bool(suffix))
    lent = not f.early and lender(model, f)
    call = ["lent = vg_lend({}, VG_{});".format(lent[0].name, lent[1])] if lent else []
    call += [wrap("r = " + name, given, ");")]
    call += ["if (unlikely(lent))", "\tvg_lend_end();"] if lent else []
    nones = {}
    for p in f.params:
        error = model.error_of_none(f, p)
        if error:
            nones.setdefault(error, []).append(f"!{p.name}")
    for error, params in nones.items():
        test = params[0] if len(params) == 1 else f"({' || '.join(params)})"
        call += [f"if (unlikely(r == CUDA_ERROR_INVALID_HANDLE) && {test})", f"\tr = {error};"]
    clears = [line for p in f.clears for line in (f"\tif ({p})", f"\t\t*{p} = 0;")]
    clears = ["if (unlikely(r)) {"] + clears + ["}"] if clears else []
    logged = f"return vg_logged(\"{f.name}\", "
    if f.clears:
        return ["bool lent;"] * bool(lent) + ["CUresult r = vg_ready();", "", "if (!r) {"] + \
            ["\t" + c.replace("\n", "\n\t") for c in call] + ["}"] + clears + [logged + "r);"]
    o = ["bool lent;"] * bool(lent)
    if not f.early:
        o += ["CUresult r = vg_ready();", "", "if (r)", "\treturn r;"]
    if not lent and not nones:
        return o + [wrap(logged + name, given, "));")]
    if f.early:
        o += ["CUresult r;", ""]
    return o + call + [logged + "r);"]


def emit_map(model):
    o = ["# SPDX-License-Identifier: Apache-2.0", "# Generated by tools/apigen; do not edit.",
         "{", "global:"]
    found = []
    for f in model.exported():
        found += [f.name] + [f"{f.name}_{s}" for s, _ in f.variants]
    found += [e[0] for e in model.extras]
    o += [f"\t{n};" for n in sorted(found)]
    o += ["local:", "\t*;", "};", ""]
    return "\n".join(o)


def emit_tables(model):
    """procaddr.c: what cuGetProcAddress() answers, and the names of the result codes."""
    o = [NOTICE, '#include "shim/shim.h"\n', "const struct vg_symbol vg_symbols[] = {"]
    rows = []
    for f in model.exported():
        rows += [(b, v, 0, f.name) for b, v in f.get]
        rows += [(f.get[0][0], v, 2, f"{f.name}_{s}") for s, v in f.variants]
    rows += [(n, v, 0, n) for n, v, _, _ in model.extras]
    for base, version, flag, name in sorted(rows):
        fn = f"(void *){name}" if name in model.functions or "_pt" in name else f"(void *)vg_x_{name}"
        o.append(f"\t{{ \"{base}\", {version}, {flag}, {fn} }},")
    o.append("};\n\nconst unsigned int vg_symbol_count = sizeof(vg_symbols) / sizeof(vg_symbols[0]);\n")
    for n, _, _, _ in model.extras:
        o.insert(2, f"CUresult vg_x_{n}(void) __asm__(\"{n}\");")
    o.append("const struct vg_error vg_errors[] = {")
    for name, value, text in model.types["CUresult"].items:
        o.append(f"\t{{ {value}, \"{name}\", \"{text}\" }},")
    o.append("};\n\nconst unsigned int vg_error_count = sizeof(vg_errors) / sizeof(vg_errors[0]);\n")
    attrs = [v for n, v, _ in model.types["CUdevice_attribute"].items if not n.endswith("_MAX")]
    o.append(f"_Static_assert(VG_ATTRIBUTES > {max(attrs)}, \"shim.h\");\n")
    return "\n".join(o)
