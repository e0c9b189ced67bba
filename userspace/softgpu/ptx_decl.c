// SPDX-License-Identifier: Apache-2.0
/* Variable declarations with their initialisers, and directives that carry no code. */
#include <stdlib.h>
#include <string.h>

#include "cuda_abi.h"
#include "ptx_parser.h"

#define MAX_VAR_BYTES (1ull << 32)
#define MAX_INIT_BYTES (1ull << 30)	/* its initial bytes are kept beside it */

bool ptx_linkage(struct ptx_parser *p, struct ptx_linkage *lk)
{
	for (;;) {
		if (ptx_accept_dot(p, "extern"))
			lk->is_extern = true;
		else if (ptx_accept_dot(p, "visible"))
			lk->is_visible = true;
		else if (ptx_accept_dot(p, "weak") || ptx_accept_dot(p, "common"))
			lk->is_weak = true;
		else
			return true;
	}
}

bool ptx_linked(const struct ptx_linkage *lk)
{
	return lk->is_extern || lk->is_visible || lk->is_weak;
}

static bool skip_to(struct ptx_parser *p, char c)
{
	while (!ptx_is(p, c)) {
		if (p->tk.kind == TK_EOF || !ptx_next(p)) {
			ptx_fail(p, "end of directive");
			return false;
		}
	}
	return ptx_next(p);
}

/* .loc, .file and .section carry debugging information only. */
static bool skip_debug(struct ptx_parser *p, bool *done)
{
	*done = true;
	if (ptx_is_dot(p, "loc") || ptx_is_dot(p, "file")) {
		int line = p->tk.line;

		while (p->tk.kind != TK_EOF && p->tk.line == line)
			if (!ptx_next(p))
				return false;
		return true;
	}
	if (ptx_accept_dot(p, "section")) {
		/* DWARF has its own .b8 lists between the braces */
		while (!ptx_is(p, '{'))
			if (p->tk.kind == TK_EOF || !ptx_next(p))
				return false;
		return skip_to(p, '}');
	}
	if (ptx_accept_dot(p, "pragma"))
		return skip_to(p, ';');
	*done = false;
	return true;
}

/* .attribute(.managed): such a variable lives in memory that host and device share anyway. */
static bool attribute(struct ptx_parser *p)
{
	if (!ptx_expect(p, '('))
		return false;
	while (!ptx_accept(p, ')')) {
		if (!ptx_is_dot(p, "managed") && !ptx_is(p, ',')) {
			ptx_fail(p, "a known attribute");
			return false;
		}
		if (!ptx_next(p))
			return false;
	}
	return true;
}

struct declaration {
	enum sg_space space;
	enum sg_type type;
	uint32_t align;
	int vec;
	bool is_opaque;
};

static bool specifiers(struct ptx_parser *p, struct declaration *d)
{
	uint64_t v;

	while (p->tk.kind == TK_DOT) {
		const char *w = p->tk.str;

		if (!ptx_next(p))
			return false;
		if (!strcmp(w, "align")) {
			if (!ptx_const_int(p, &v))
				return false;
			if (!v || v & (v - 1) || v > 4096) {
				sg_error_set(p->err, CUDA_ERROR_INVALID_PTX, p->tk.line,
					     "alignment must be a power of two");
				return false;
			}
			d->align = v;
		} else if (!strcmp(w, "v2")) {
			d->vec = 2;
		} else if (!strcmp(w, "v4")) {
			d->vec = 4;
		} else if (!strcmp(w, "attribute")) {
			if (!attribute(p))
				return false;
		} else if (!strcmp(w, "ptr")) {
			/* a hint about the pointer parameter: .ptr .space .align n */
			while (ptx_accept_dot(p, "global") || ptx_accept_dot(p, "const") ||
			       ptx_accept_dot(p, "shared") || ptx_accept_dot(p, "local"))
				;
			if (ptx_accept_dot(p, "align") && !ptx_const_int(p, &v))
				return false;
		} else if (!strcmp(w, "texref") || !strcmp(w, "samplerref") ||
			   !strcmp(w, "surfref")) {
			d->type = T_B64;
			d->is_opaque = true;
		} else if (ptx_type(w) != T_NONE) {
			d->type = ptx_type(w);
		} else {
			sg_error_set(p->err, CUDA_ERROR_INVALID_PTX, p->tk.line,
				     "unsupported declaration .%s", w);
			return false;
		}
	}
	if (d->type == T_NONE) {
		ptx_fail(p, "a type");
		return false;
	}
	return true;
}

static bool name_and_dims(struct ptx_parser *p, const struct declaration *d, struct ptx_var *v)
{
	uint64_t n, elems = 1;
	bool unsized = false;

	if (p->tk.kind != TK_IDENT) {
		ptx_fail(p, "a name");
		return false;
	}
	v->name = ptx_keep(p, p->tk.str);
	v->line = p->tk.line;
	v->space = d->space;
	v->type = d->type;
	v->vec = d->vec ? d->vec : 1;
	v->owner = p->func;
	v->is_opaque = d->is_opaque;
	if (!ptx_next(p))
		return false;
	if (d->space == SP_REG && ptx_accept(p, '<')) {
		if (!ptx_const_int(p, &n) || !ptx_expect(p, '>'))
			return false;
		if (n < 1 || n > 1 << 20) {
			ptx_fail(p, "a sensible number of registers");
			return false;
		}
		v->count = n;
	}
	while (ptx_accept(p, '[')) {
		v->is_array = true;
		if (ptx_accept(p, ']')) {
			unsized = true;
			continue;
		}
		if (!ptx_const_int(p, &n) || !ptx_expect(p, ']'))
			return false;
		if (n > MAX_VAR_BYTES || elems > MAX_VAR_BYTES / (n ? n : 1)) {
			ptx_fail(p, "a smaller array");
			return false;
		}
		elems *= n;
	}
	v->size = unsized ? 0 : elems * v->vec * sg_type_size(v->type);
	v->align = sg_type_size(v->type) * v->vec;
	if (d->align > v->align || (d->align && v->is_array))
		v->align = d->align;
	return true;
}

/* The bytes of a constant in a variable, which has to be of its kind. */
static bool init_value(struct ptx_parser *p, const struct ptx_var *v, const struct ptx_value *c,
		       uint8_t *to)
{
	uint64_t bits = c->bits;
	double d;
	float f;

	if (c->is_float != (v->type == T_F32 || v->type == T_F64) &&
	    (!c->is_float || sg_type_float(v->type) || sg_type_signed(v->type))) {
		sg_error_set(p->err, CUDA_ERROR_INVALID_PTX, p->tk.line,
			     "the initialiser of %s is of another type", v->name);
		return false;
	}
	if (c->is_float && !c->is_single && sg_type_size(v->type) == 4) {
		memcpy(&d, &bits, 8);
		f = d;
		memcpy(&bits, &f, 4);
	} else if (c->is_float && c->is_single && v->type == T_F64) {
		memcpy(&f, &bits, 4);
		d = f;
		memcpy(&bits, &d, 8);
	}
	memcpy(to, &bits, sg_type_size(v->type));
	return true;
}

static bool init_element(struct ptx_parser *p, struct ptx_var *v, uint64_t at)
{
	uint32_t width = sg_type_size(v->type);
	struct ptx_reloc *r;
	struct ptx_value c;
	uint64_t bits = 0;

	/* Constants have 64 bits at most. */
	if (width > 8) {
		sg_error_set(p->err, CUDA_ERROR_INVALID_PTX, p->tk.line,
			     "variables of 128 bits have no initialisers");
		return false;
	}
	if (p->tk.kind == TK_INT && p->ahead.kind == TK_PUNCT && p->ahead.punct == '(') {
		if (!ptx_const_int(p, &bits))
			return false;
	} else if (ptx_starts_const(p)) {
		return ptx_const(p, &c) && init_value(p, v, &c, v->init + at);
	}
	/* sym, sym+n, generic(sym), and mask(sym) for one byte of an address */
	r = sg_arena_alloc(p->arena, sizeof(*r));
	r->offset = at;
	r->width = width;
	r->line = p->tk.line;
	if (bits) {
		r->shift = __builtin_ctzll(bits);
		r->width = 1;
		if (bits >> r->shift != 0xff || !ptx_next(p)) {
			ptx_fail(p, "a byte mask");
			return false;
		}
	}
	if (p->tk.kind == TK_IDENT && !strcmp(p->tk.str, "generic")) {
		r->generic = true;
		if (!ptx_next(p) || !ptx_expect(p, '('))
			return false;
	}
	if (p->tk.kind != TK_IDENT) {
		ptx_fail(p, "an initialiser");
		return false;
	}
	r->name = ptx_keep(p, p->tk.str);
	if (!ptx_next(p))
		return false;
	for (int closing = r->generic + !!bits; ; ) {
		if (ptx_is(p, '+') || ptx_is(p, '-')) {
			uint64_t n = 0;

			if (!ptx_offset(p, &n))
				return false;
			r->addend += n;
		} else if (closing && ptx_accept(p, ')')) {
			closing--;
		} else if (closing) {
			ptx_fail(p, "')'");
			return false;
		} else {
			break;
		}
	}
	r->next = v->relocs;
	v->relocs = r;
	return true;
}

static bool initialiser(struct ptx_parser *p, struct ptx_var *v)
{
	uint32_t width = sg_type_size(v->type);
	uint64_t at = 0, cap = v->size;
	int depth = 0;

	if (v->space != SP_GLOBAL && v->space != SP_CONST) {
		sg_error_set(p->err, CUDA_ERROR_INVALID_PTX, p->tk.line,
			     "only .global and .const variables have initialisers");
		return false;
	}
	if (!cap) {
		/* name[] = { … }: the list gives the size, so count its commas first */
		const char *q = p->lx.p;

		for (cap = 2; q < p->lx.end && *q != ';'; q++)
			cap += *q == ',';
		cap *= width;
	}
	if (cap > MAX_INIT_BYTES) {
		ptx_fail(p, "a smaller variable with an initialiser");
		return false;
	}
	v->init = sg_arena_alloc(p->arena, cap + 8);
	do {
		while (ptx_accept(p, '{'))
			depth++;
		if (!ptx_is(p, '}')) {
			if (at + width > cap) {
				ptx_fail(p, "fewer initialisers");
				return false;
			}
			if (!init_element(p, v, at))
				return false;
			at += width;
		}
		while (depth && ptx_accept(p, '}'))
			depth--;
	} while (depth && ptx_accept(p, ','));
	if (!v->size)
		v->size = at;
	if (depth) {
		ptx_fail(p, "'}'");
		return false;
	}
	return true;
}

/* A variable that other texts of the module know: one thing, however many of them declare it. */
static void declare_linked(struct ptx_parser *p, struct ptx_var *v)
{
	struct ptx_scope *scope = &p->mod->scope;
	struct ptx_var *old = sg_map_get(&scope->names, v->name, strlen(v->name)), *next;

	if (!old || old->space != v->space ||
	    (!v->is_extern && !old->is_extern && !v->is_weak && !old->is_weak)) {
		ptx_add_var(p->arena, scope, v);
	} else if (old->is_extern || (old->is_weak && !v->is_extern && !v->is_weak)) {
		next = old->next;
		*old = *v;
		old->next = next;
	}
}

bool ptx_parameter(struct ptx_parser *p)
{
	struct declaration d = { .space = SP_PARAM };
	struct ptx_var *v = sg_arena_alloc(p->arena, sizeof(*v));

	v->is_reg = !p->func->is_entry && ptx_accept_dot(p, "reg");
	if ((!v->is_reg && !ptx_accept_dot(p, "param")) || !specifiers(p, &d) ||
	    !name_and_dims(p, &d, v))
		return false;
	/* a byte while it is passed */
	if (v->is_reg && v->type == T_PRED && v->vec == 1 && !v->is_array)
		v->size = v->align = 1;
	if (v->is_reg && (!v->size || v->is_array)) {
		ptx_fail(p, "a register parameter that is a predicate, a number or a vector of numbers");
		return false;
	}
	p->mod->has_vectors |= v->is_reg && v->vec > 1;
	ptx_add_var(p->arena, p->scope, v);
	return true;
}

bool ptx_declaration_linked(struct ptx_parser *p, const struct ptx_linkage *lk)
{
	static const struct {
		const char *word;
		enum sg_space space;
	} spaces[] = {
		{ "reg", SP_REG }, { "param", SP_PARAM }, { "global", SP_GLOBAL },
		{ "const", SP_CONST }, { "shared", SP_SHARED }, { "local", SP_LOCAL },
	};
	struct declaration d = { 0 };
	bool done;

	if (!skip_debug(p, &done))
		return false;
	if (done)
		return true;
	for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++) {
		if (ptx_accept_dot(p, spaces[i].word)) {
			d.space = spaces[i].space;
			break;
		}
	}
	if (d.space == SP_GENERIC) {
		sg_error_set(p->err, CUDA_ERROR_INVALID_PTX, p->tk.line,
			     "unsupported directive %s%s", p->tk.kind == TK_DOT ? "." : "",
			     p->tk.str ? p->tk.str : "");
		return false;
	}
	if (!p->func && (d.space == SP_REG || d.space == SP_PARAM || d.space == SP_LOCAL)) {
		sg_error_set(p->err, CUDA_ERROR_INVALID_PTX, p->tk.line,
			     "this variable is only supported inside a function");
		return false;
	}
	if (!specifiers(p, &d))
		return false;
	do {
		struct ptx_var *v = sg_arena_alloc(p->arena, sizeof(*v));

		if (!name_and_dims(p, &d, v))
			return false;
		p->mod->has_vectors |= d.space == SP_REG && v->vec > 1;
		v->is_extern = lk->is_extern;
		v->is_weak = lk->is_weak;
		if (ptx_accept(p, '=') && !initialiser(p, v))
			return false;
		if (!p->func && ptx_linked(lk))
			declare_linked(p, v);
		else
			ptx_add_var(p->arena, p->scope, v);
	} while (ptx_accept(p, ','));
	return ptx_expect(p, ';');
}

bool ptx_declaration(struct ptx_parser *p)
{
	struct ptx_linkage lk = { 0 };

	return ptx_linkage(p, &lk) && ptx_declaration_linked(p, &lk);
}
