# SPDX-License-Identifier: Apache-2.0
"""The executor: a decoder for each operation, the dispatch table, the loaded driver."""

from model import HELD_BY, INLINE_MAX, INTERNAL_OPS, OF_CONTEXT, CType
from wire import Wire

from . import NOTICE, names, prototype, wrap


class Decoder:
    """The text of one run_<name>()."""

    def __init__(self, model, f):
        self.model, self.f, self.w = model, f, Wire(model, f)
        self.decl, self.sizes, self.get, self.args, self.after = [], [], [], [], []
        self.drops, self.early, self.gone = [], [], []
        self.reserve, self.made = [], []
        self.null_bit = {p.name: 1 << i for i, p in enumerate(self.w.nulls)}

    def param(self, p):
        getattr(self, {"": "value", "in": "data", "str": "string"}.get(p.dir, p.dir))(p)

    def lookup(self, p, h, expr, into, own=False, null=False):
        """`own`: of this kind and no other, nor one of the driver's own streams."""
        if h.kind == "STREAM" and not own:
            call = f"vg_x_stream(x, {expr}, &{into})"
        elif h.kind == "FUNCTION" and not own:
            call = f"vg_x_function(x, {expr}, &{into})"
        else:
            call = f"vg_handle_get(vg_exec_handles(x), {expr}, {names.kind(h)}, &v)"
        error = f"vg_wrong_handle({names.kind(h)})"
        out = []
        if "&v)" in call:
            self.need_v = True
            if null:
                out += ["v = 0;", f"if ({expr} && !{call})"]
            else:
                out.append(f"if (!{call})")
            out.append(f"\treturn {error};" if not self.drops else f"\t{{ r = {error}; goto drop; }}")
            cast = f"({h.name})(uintptr_t)" if h.tag else f"({h.name})"
            out.append(f"{into} = {cast}v;")
        else:
            out += [f"if (!{call})",
                    f"\treturn {error};" if not self.drops else f"\t{{ r = {error}; goto drop; }}"]
        return out

    def value(self, p):
        h = self.model.handle(p.ctype)
        if h:
            self.decl.append(f"{h.name} {p.name} = 0;" if not h.tag else f"{h.name} {p.name} = NULL;")
            self.get += self.lookup(p, h, f"q->{p.name}", p.name, null=p.null)
            self.args.append(p.name)
        else:
            size, _ = self.model.size_align(p.ctype, p.where)
            self.args.append(f"q->{p.name}" if size >= 4 else f"({p.ctype.text()})q->{p.name}")

    def destroy(self, p):
        h = self.model.handle(p.ctype)
        self.decl.append(f"{h.name} {p.name};")
        self.late.append(f"vg_exec_settle(x, q->{p.name});")
        if h.kind in {"GRAPH", "CONTEXT", "STREAM"} | set(HELD_BY):
            self.late += [f"r = vg_x_may_destroy(x, {names.kind(h)}, q->{p.name});",
                          "if (r)", "\treturn r;"]
        # The id goes when the object has: the driver may refuse.  Nothing else uses it meanwhile,
        # for only this thread begins calls and destroys.
        self.late += self.lookup(p, h, f"q->{p.name}", p.name, own=True)
        self.gone.append(f"r = vg_x_destroyed(x, r, q->{p.name}, {names.kind(h)});")
        self.args.append(p.name)

    def new(self, p):
        """Its id is reserved before the driver makes it, so that it is counted and found."""
        h = self.model.handle(CType(p.ctype.base))
        base = p.ctype.base
        self.decl.append(f"{base} {p.name} = 0;" if not h.tag else f"{base} {p.name} = NULL;")
        self.args.append(f"&{p.name}")
        value = f"(uintptr_t){p.name}" if h.tag else p.name
        owner = self.model.owner(self.f, h.kind)
        held = [f"q->{owner.name}" if owner else "0", self.context(h)]
        serial = f"serial_{p.name}"
        self.decl.append(f"uint64_t {serial};")
        self.reserve.append(wrap("r = vg_x_reserve(x,", [f"q->{p.name}", names.kind(h), *held,
                                 self.more(h), f"&{serial}"], ");", 88).replace("\n", "\n\t"))
        end = "return r;" if not self.drops else "goto drop;"
        # What it made ahead of this one is given up.
        undo = list(self.made)
        self.reserve += ["if (r) {", *("\t" + m for m in undo), "\t" + end, "}"] if undo else \
                        ["if (r)", "\t" + end]
        self.made.append(f"r = vg_x_made(x, r, q->{p.name}, {serial}, {names.kind(h)}, {value});")

    def context(self, h):
        """The id of the context that takes it along."""
        if h.kind not in OF_CONTEXT:
            return "0"
        green = [g.name for g in self.f.params
                 if not g.dir and (k := self.model.handle(g.ctype)) and k.kind == "GREEN_CTX"]
        return f"vg_x_green_home({green[0]})" if green else "rq->ctx"

    def more(self, h):
        """Host memory that it takes beyond what each of its kind does (budget.h)."""
        graphs = [g.name for g in self.f.params
                  if not g.dir and (k := self.model.handle(g.ctype)) and k.kind == "GRAPH"]
        if h.kind == "GRAPH_NODE":
            # what the call brings, its edges, and a graph that is copied into it
            edges = [p.name for p in self.f.params if p.dir == "in" and p.maximum
                     and (k := self.model.handle(CType(p.ctype.base))) and k.kind == h.kind]
            copied = graphs[1:]		# the first is the one that gets the node
            return " + ".join(["rq->bytes"] + [f"n_{e} * VG_EDGE_BYTES" for e in edges]
                              + [f"vg_x_weight(x, q->{g})" for g in copied])
        if h.kind in GRAPHS and graphs:
            return f"vg_x_weight(x, q->{graphs[0]})"
        blobs = [b.name for b in self.f.params if b.dir == "blob"]
        return f"{blobs[0]}_bytes" if blobs else "0"

    def tail(self, p, bytes_expr, ctype):
        self.sizes.append(f"{p.name} = vg_x_tail(rq, &at, {bytes_expr});")
        self.sizes += [f"if (!{p.name})", "\treturn CUDA_ERROR_INVALID_VALUE;"]

    def count(self, p):
        """Declare n_<name>, checked against the maximum."""
        self.decl.append(f"uint64_t n_{p.name} = {self.w.elements(p, 'q->')};")
        if p.count:
            self.sizes += [f"if (n_{p.name} > {p.maximum})", "\treturn CUDA_ERROR_INVALID_VALUE;"]
        if p.null:
            self.sizes += [f"if (!(q->present & {self.null_bit[p.name]}))", f"\tn_{p.name} = 0;"]

    def data(self, p):
        target = self.model.handle(CType(p.ctype.base))
        null = self.null_bit.get(p.name)
        if p.maximum:
            tail = next(t for t in self.w.tails if t.param is p)
            self.count(p)
            name = p.name
            if target:
                self.decl.append(f"const uint32_t *ids_{name};")
                self.decl.append(f"{target.name} {name}[{p.maximum}];")
                self.sizes.append(f"ids_{name} = vg_x_tail(rq, &at, n_{name} * 4);")
                self.sizes += [f"if (!ids_{name})", "\treturn CUDA_ERROR_INVALID_VALUE;"]
                self.get.append(f"for (uint64_t i = 0; i < n_{name}; i++) {{")
                self.get += ["\t" + g for g in self.lookup(p, target, f"ids_{name}[i]", f"{name}[i]")]
                self.get.append("}")
            else:
                self.decl.append(f"const {p.ctype.base} *{name};")
                self.tail(p, f"n_{name} * {tail.size}", tail.elem)
            if not (p.ctype.const or target or self.f.hand_exec):
                name = f"({p.ctype.base} *){name}"	# the driver's own prototype is not const
            self.args.append(f"q->present & {null} ? {name} : NULL" if null else name)
            return
        if target:
            self.decl.append(f"{target.name} {p.name} = 0;" if not target.tag
                             else f"{target.name} {p.name} = NULL;")
            self.get += self.lookup(p, target, f"q->{p.name}", p.name)
            self.args.append(f"&{p.name}")
            return
        # a private copy: the driver may want more alignment than the wire has
        self.decl.append(f"{p.ctype.base} {p.name};")
        self.get.append(f"{p.name} = ({p.ctype.base})q->{p.name};"
                        if self.model.size_align(CType(p.ctype.base), p.where)[0] < 4
                        else f"memcpy(&{p.name}, &q->{p.name}, sizeof({p.name}));")
        s = self.model.struct(p.ctype.base)
        for path, h in self.model.handle_members(s) if s else []:
            self.get += self.lookup(p, h, f"(uint32_t)(uintptr_t){p.name}.{path}",
                                    f"{p.name}.{path}", null=True)
        self.args.append(f"q->present & {null} ? &{p.name} : NULL" if null else f"&{p.name}")

    def string(self, p):
        null = self.null_bit.get(p.name)
        self.decl.append(f"const char *{p.name};")
        empty = f"(!q->{p.name}_len && (q->present & {null}))" if null else f"!q->{p.name}_len"
        self.sizes += [f"if (q->{p.name}_len > {p.maximum} || {empty})",
                       "\treturn CUDA_ERROR_INVALID_VALUE;"]
        self.tail(p, f"q->{p.name}_len", "char")
        self.sizes += [f"if (q->{p.name}_len && {p.name}[q->{p.name}_len - 1])",
                       "\treturn CUDA_ERROR_INVALID_VALUE;"]
        self.args.append(f"q->present & {null} ? {p.name} : NULL" if null else p.name)

    def blob(self, p):
        self.decl += [f"const void *{p.name};", f"size_t {p.name}_bytes = 0;"]
        self.drops.append(f"vg_exec_blob_free(x, {p.name}, {p.name}_bytes);")
        self.blobs.append(f"{p.name} = vg_exec_blob_take(x, q->{p.name}, &{p.name}_bytes);")
        self.blobs += [f"if (!{p.name})", "\treturn CUDA_ERROR_INVALID_VALUE;",
                       f"if ({p.name}_bytes > {p.maximum}u) {{", "\tr = CUDA_ERROR_INVALID_VALUE;",
                       "\tgoto drop;", "}"]
        self.args += [p.name, f"{p.name}_bytes"]

    def arena(self, p):
        self.decl.append(f"void *{p.name};")
        self.get.append(f"{p.name} = vg_exec_arena(x, q->{p.name}_off, q->{p.name}_bytes);")
        self.get += [f"if (!{p.name})", "\treturn CUDA_ERROR_INVALID_VALUE;"]
        self.args += [p.name, f"q->{p.name}_bytes"]

    def inout(self, p):
        self.out(p)
        self.get.append(f"memcpy(&{p.name}, &q->{p.name}, sizeof({p.name}));")

    def out(self, p):
        null = self.null_bit.get(p.name)
        if p.maximum:
            tail = next(t for t in self.w.rtails if t.param is p)
            self.count(p)
            elem = "uint8_t" if p.ctype.base == "void" else p.ctype.base
            self.decl.append(f"{elem} *{p.name};")
            self.get.append(f"{p.name} = (void *)((uint8_t *)p + left);")
            self.get.append(f"left += VG_UP8(n_{p.name} * {tail.size});")
            self.args.append(f"q->present & {null} ? {p.name} : NULL" if null else p.name)
            return
        base = p.ctype.base
        self.decl.append(f"{base} {p.name};")
        self.early.append(f"memset(&{p.name}, 0, sizeof({p.name}));")
        self.args.append(f"q->present & {null} ? &{p.name} : NULL" if null else f"&{p.name}")
        if self.model.size_align(CType(base), p.where)[0] < 4:
            self.after.append(f"p->{p.name} = {p.name};")
        else:
            self.after.append(f"memcpy(&p->{p.name}, &{p.name}, sizeof({p.name}));")

    def text(self):
        f, w = self.f, self.w
        self.need_v, self.late, self.blobs = False, [], []
        for p in sorted(f.params, key=lambda p: p.dir != "blob"):	# drops are known first
            if p.dir == "blob":
                self.blob(p)
        self.args = []
        for p in f.params:
            if p.dir == "blob":
                self.args += [p.name, f"{p.name}_bytes"]
            else:
                self.param(p)
        o = [f"static CUresult run_{f.name}(struct vg_exec *x, const struct vg_req *rq,"
             " struct vg_reply *rp)", "{"]
        if w.fields:
            o.append(f"\tconst {names.request(f)} *q = rq->payload;")
        if w.rfields:
            o.append(f"\t{names.reply(f)} *p = rp->payload;")
        o += ["\t" + d for d in self.decl]
        if self.need_v:
            o.append("\tuint64_t v;")
        if w.rtails:
            o.append("\tuint64_t left = sizeof(*p);")
        o.append(f"\tuint64_t at = {w.fixed};")
        o.append("\tCUresult r;")
        o.append("")
        o += ["\t(void)x;", "\t(void)rp;"]
        if not f.hand_exec:
            o += [f"\tif (!cu.{f.name})", "\t\treturn CUDA_ERROR_NOT_SUPPORTED;"]
        o += ["\t" + s for s in self.sizes]
        o += ["\tif (!vg_x_end(rq, at))", "\t\treturn CUDA_ERROR_INVALID_VALUE;"]
        if uses_graphs(self.model, f) and f.mode != "blocking":
            o.append("\tvg_x_settle_graphs(x);")
        o += ["\t" + s for s in self.early + self.blobs + self.get + self.late + self.reserve]
        if f.hand_exec:
            o.append(wrap(f"\tr = vge_{f.name}(", ["x", "rq"] + self.args, ");"))
        else:
            o.append(wrap(f"\tr = cu.{f.name}(", self.args, ");"))
        o += ["\t" + g for g in self.made + self.gone]
        if self.after or w.rfields:
            o += ["\tif (r)", "\t\tgoto drop;" if self.drops else "\t\treturn r;"]
            o += ["\t" + (a.replace("return r;", "goto drop;") if self.drops else a)
                  for a in self.after]
        if w.rfields:
            o.append("\tp->ok = 1;")
            o.append("\trp->bytes = left;" if w.rtails else "\trp->bytes = sizeof(*p);")
        if self.drops:
            o.append("drop:")
            o += ["\t" + d for d in self.drops]
        o += ["\treturn r;", "}\n"]
        return "\n".join(o)


HELP = """
#define VG_UP8(n) (((uint64_t)(n) + 7) & ~(uint64_t)7)

/* The next part of the payload, or NULL if it is not there in full. */
static inline const void *vg_x_tail(const struct vg_req *rq, uint64_t *at, uint64_t bytes)
{
	const uint8_t *p = (const uint8_t *)rq->payload + *at;

	if (bytes > rq->bytes || *at > rq->bytes || VG_UP8(bytes) > rq->bytes - *at)
		return NULL;
	*at += VG_UP8(bytes);
	return p;
}

/* Nothing may follow but what rounds the record up. */
static inline bool vg_x_end(const struct vg_req *rq, uint64_t at)
{
	return at <= rq->bytes && rq->bytes - at < 16;
}
"""


GRAPHS = {"GRAPH", "GRAPH_NODE", "GRAPH_EXEC"}


def uses_graphs(model, f):
    """Of handles among its parameters, or (those that are plain ids) by its group."""
    handles = (model.handle(CType(p.ctype.base)) for p in f.params)
    return f.group == "graph" or any(h and h.kind in GRAPHS for h in handles)


def reads_in_stream(model, f):
    """Whether it copies out of the device, in a stream, into memory of the executor's."""
    handles = (model.handle(p.ctype) for p in f.params if not p.dir)
    room = any(p.dir == "arena" or (p.dir == "out" and p.maximum) for p in f.params)
    return room and any(h and h.kind == "STREAM" for h in handles)


def adds(model, f):
    """What it may add to the graph under capture in a stream that it names; None: nothing."""
    if not f.may_capture(model):
        return None
    values = [(p, model.handle(p.ctype)) for p in f.params if not p.dir]
    lists = [model.handle(CType(p.ctype.base)) for p in f.params if p.dir == "in" and p.maximum]
    graph = next((p.name for p, h in values if h and h.kind in ("GRAPH_EXEC", "GRAPH")), None)
    stream, = (p.name for p, h in values if h and h.kind == "STREAM")
    out = {"stream_at": f"offsetof({names.request(f)}, {stream})", "bytes": str(sum(p.maximum for p in f.params if p.dir == "blob")),
           "edges": "true" if any(h and h.kind == "GRAPH_NODE" for h in lists) else "false"}
    if graph:
        out |= {"graph": "true", "graph_at": f"offsetof({names.request(f)}, {graph})"}
    return {k: v for k, v in out.items() if v not in ("0", "false")}


def handle_names(model, f):
    """Where a call that may block names handles: what it uses while the ring goes on."""
    out = []
    for p in f.params:
        h = model.handle(p.ctype) if not p.dir else None
        s = model.struct(p.ctype.base) if p.dir == "in" and not p.maximum else None
        if h:
            out.append((p.name, names.kind(h)))
        for path, member in model.handle_members(s) if s else []:
            out.append((f"{p.name}.{path}", names.kind(member)))
    return out


def emit_decode(model):
    o = [NOTICE, '#include <string.h>\n\n#include "budget.h"\n#include "exec.h"\n#include "exec_calls.h"\n'
         '#include "exec_internal.h"\n#include "vg_cuda.h"\n#include "vg_wire.h"', HELP]
    o += [Decoder(model, f).text() for f in model.wired()]
    blocking = [(f, handle_names(model, f)) for f in model.wired() if f.mode == "blocking"]
    named = {f.name for f, found in blocking if found}
    for f, found in blocking:
        if not found:
            continue
        o.append(f"static const struct vg_name names_{f.name}[] = {{")
        o += [f"\t{{ offsetof({names.request(f)}, {at}), {kind} }}," for at, kind in found]
        o.append("\t{ 0 },\n};\n")
    # One for each of the few different ones.
    added = {f.name: adds(model, f) for f in model.wired()}
    added = {name: ", ".join(f".{k} = {v}" for k, v in a.items()) or "0"
             for name, a in added.items() if a is not None}
    which = {text: f"adds_{i}" for i, text in enumerate(dict.fromkeys(added.values()))}
    o += [f"static const struct vg_adds {name} = {{ {text} }};" for text, name in which.items()]
    o.append("\nconst struct vg_op vg_ops[] = {")
    for op, (name, least) in INTERNAL_OPS.items():
        o.append(f"\t[{op}] = {{ \"{name}\", vg_internal_{name}, {least}, {INLINE_MAX}, VG_INORDER,"
                 " false, false, false, NULL, NULL },")
    for f in model.wired():
        w = Wire(model, f)
        mode = "VG_BLOCKING" if f.mode == "blocking" else "VG_INORDER"
        ctx = "false" if f.noctx else "true"
        graphs = "true" if f.mode == "blocking" and uses_graphs(model, f) else "false"
        reads = "true" if f.mode == "blocking" and reads_in_stream(model, f) else "false"
        adding = f"&{which[added[f.name]]}" if f.name in added else "NULL"
        called = f"names_{f.name}" if f.name in named else "NULL"
        o.append(wrap(f"\t[{f.op}] = {{ \"{f.name}\",", [f"run_{f.name}", f"{w.fixed}",
                      f"{w.max_bytes}", mode, ctx, graphs, reads, called, adding],
                      " },"))
    o.append("};\n\nconst unsigned int vg_ops_count = sizeof(vg_ops) / sizeof(vg_ops[0]);\n")
    return "\n".join(o)


def emit_header(model):
    o = [NOTICE, "/* vge_: an operation's body, written by hand; its arguments are checked. */\n"
         "#ifndef VG_EXEC_CALLS_H\n#define VG_EXEC_CALLS_H\n\n#include \"exec.h\"\n"
         "#include \"vg_wire.h\"\n\n"
         "/* Ids 0 and 1 are the default stream and CU_STREAM_LEGACY. */\n"
         "bool vg_x_stream(struct vg_exec *x, uint32_t id, CUstream *s);\n"
         "/* A CUfunction, or a CUkernel that stands for one. */\n"
         "bool vg_x_function(struct vg_exec *x, uint32_t id, CUfunction *f);\n"
         "/*\n"
         " * Reserve an id for what the driver is to make: of a part of the object `owner` (0: of\n"
         " * none), in the context `ctx` (0: in none), which takes `more` of the budget than others\n"
         " * of its kind (handles.h).  Afterwards, r being what the driver has answered: the id\n"
         " * leads to it, or is given up.\n"
         " */\n"
         "CUresult vg_x_reserve(struct vg_exec *x, uint32_t id, enum vg_kind kind, uint32_t owner,\n"
         "\t\t      uint32_t ctx, uint64_t more, uint64_t *serial);\n"
         "CUresult vg_x_made(struct vg_exec *x, CUresult r, uint32_t id, uint64_t serial,\n"
         "\t\t   enum vg_kind kind, uint64_t value);\n"
         "/*\n"
         " * After the driver was to destroy what this id stands for, r being what it has answered: the\n"
         " * id goes, with the ids of all that went along; or stays, if the driver has refused.  After an\n"
         " * error that leaves that open, the id leads nowhere and goes on to count.  Returns r.\n"
         " */\n"
         "CUresult vg_x_destroyed(struct vg_exec *x, CUresult r, uint32_t id, enum vg_kind kind);\n"
         "/* What a copy of the graph with this id would take of the budget, in bytes. */\n"
         "uint64_t vg_x_weight(struct vg_exec *x, uint32_t graph);\n"
         "/* The driver has destroyed what this id stood for: take the ids of all that went along. */\n"
         "void vg_x_orphans(struct vg_exec *x, uint32_t gone);\n"
         "/* calls_green.c: the id of the primary context that a green context is part of. */\n"
         "uint32_t vg_x_green_home(CUgreenCtx green);\n"
         "/* Wait until no other call works with graphs; one that may be freed loses its id. */\n"
         "void vg_x_settle_graphs(struct vg_exec *x);\n"
         "/* Whether the driver would keep what the id stands for, or should. */\n"
         "CUresult vg_x_may_destroy(struct vg_exec *x, enum vg_kind kind, uint32_t id);\n"]
    for f in model.wired():
        if f.hand_exec:
            o.append(wrap(f"CUresult vge_{f.name}(", names.exec_params(f), ");"))
    o.append("\n#endif /* VG_EXEC_CALLS_H */\n")
    return "\n".join(o)


def emit_cuda_header(model):
    o = [NOTICE, "#ifndef VG_CUDA_H\n#define VG_CUDA_H\n\n#include \"cuda_abi.h\"\n",
         "/* The loaded driver; what it lacks is NULL. */", "struct vg_cuda {"]
    for f in model.exported():
        args = [p.ctype.text(p.name) for p in f.params] or ["void"]
        o.append("\t" + wrap(f"CUresult (*{f.name})(", args, ");").replace("\n", "\n\t"))
    o += ["};\n", "extern struct vg_cuda cu;\n",
          "/* Fill `cu` from a dlopen()ed library; the number of functions found. */",
          "unsigned int vg_cuda_load(void *library);\n", "#endif /* VG_CUDA_H */\n"]
    return "\n".join(o)


def emit_cuda(model):
    o = [NOTICE, "#include <dlfcn.h>\n#include <stddef.h>\n#include <string.h>\n",
         '#include "vg_cuda.h"\n', "struct vg_cuda cu;\n",
         "static const struct {\n\tconst char *name;\n\tsize_t at;\n} entries[] = {"]
    o += [f"\t{{ \"{f.name}\", offsetof(struct vg_cuda, {f.name}) }}," for f in model.exported()]
    o.append("""};

unsigned int vg_cuda_load(void *library)
{
	unsigned int found = 0;

	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		void *p = dlsym(library, entries[i].name);

		memcpy((char *)&cu + entries[i].at, &p, sizeof(p));
		found += p != NULL;
	}
	return found;
}
""")
    return "\n".join(o)
