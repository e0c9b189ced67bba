// SPDX-License-Identifier: Apache-2.0
/* Name lookup, and where each variable lies in its space. */
#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_abi.h"
#include "ptx.h"

/*
 * Register sets are declared once as %r<174> and used as %r0 to %r173.  A number of more
 * digits than any set has is none's: INT_MAX.
 */
struct ptx_var *ptx_find_var(struct ptx_scope *scope, const char *name, int *index)
{
	size_t stem = strlen(name);
	int number = 0;

	while (stem > 1 && isdigit((unsigned char)name[stem - 1]))
		stem--;
	if (name[stem])
		number = strlen(name + stem) > 9 ? INT_MAX : atoi(name + stem);
	if (index)
		*index = 0;
	for (; scope; scope = scope->parent) {
		for (struct ptx_var *v = scope->vars; v; v = v->next) {
			if (!v->count) {
				if (!strcmp(v->name, name))
					return v;
			} else if (name[stem] && number < v->count && !strncmp(v->name, name,
									       stem) &&
				   !v->name[stem]) {
				if (index)
					*index = number;
				return v;
			}
		}
	}
	return NULL;
}

struct ptx_label *ptx_find_label(struct ptx_scope *scope, const char *name)
{
	for (; scope; scope = scope->parent)
		for (struct ptx_label *l = scope->labels; l; l = l->next)
			if (!strcmp(l->name, name))
				return l;
	return NULL;
}

struct ptx_func *ptx_find_func(struct ptx_module *m, const char *name)
{
	for (struct ptx_func *f = m->funcs; f; f = f->next)
		if (!strcmp(f->name, name))
			return f;
	return NULL;
}

static uint64_t place(uint64_t *at, const struct ptx_var *v)
{
	uint64_t align = v->align ? v->align : 1;
	uint64_t offset = (*at + align - 1) & ~(align - 1);

	*at = offset + v->size;
	return offset;
}

/* Sees what one operand names; true if the function is found to reach such a variable. */
static bool mark_operand(struct ptx_module *m, struct ptx_func *f, struct ptx_stmt *s,
			 struct ptx_operand *o)
{
	bool was = f->module_shared;
	struct ptx_func *callee;
	struct ptx_var *v;

	for (int i = 0; i < o->n; i++)
		mark_operand(m, f, s, &o->sub[i]);
	if (o->kind != OP_NAME)
		return f->module_shared && !was;
	/* a callee's own shared variables are module-wide: several kernels may call it */
	v = ptx_find_var(s->scope, o->name, NULL);
	if (v) {
		if (v->space == SP_SHARED && (!v->owner || !v->owner->is_entry) && v->size)
			f->module_shared = true;
	} else if (strcmp(s->op ? s->op : "", "bra")) {
		callee = ptx_find_func(m, o->name);
		if (callee && callee->module_shared)
			f->module_shared = true;
	}
	return f->module_shared && !was;
}

/*
 * Which functions reach module-wide shared variables, themselves or through calls.  Callers
 * learn it from their callees until none learns anything more, and not by recursion: the
 * program decides how deeply its calls are nested.
 */
static void mark_shared(struct ptx_module *m)
{
	bool more = true;

	while (more) {
		more = false;
		for (struct ptx_func *f = m->funcs; f; f = f->next)
			for (int i = 0; i < f->nstmts && !f->module_shared; i++)
				for (int k = 0; k < f->stmts[i].nops; k++)
					more |= mark_operand(m, f, &f->stmts[i], &f->stmts[i].ops[k]);
	}
}

static bool any_shared(struct ptx_module *m)
{
	for (struct ptx_func *f = m->funcs; f; f = f->next)
		if (f->module_shared)
			return true;
	return false;
}

static void each_scope(struct ptx_func *f, void (*fn)(struct ptx_func *, struct ptx_scope *))
{
	struct ptx_scope *last = NULL;

	fn(f, &f->scope);
	for (int i = 0; i < f->nstmts; i++) {
		for (struct ptx_scope *s = f->stmts[i].scope; s && s != &f->scope; s = s->parent) {
			if (s == last)
				break;
			fn(f, s);
		}
		last = f->stmts[i].scope;
	}
}

#define UNPLACED UINT64_MAX

static void unplace(struct ptx_func *f, struct ptx_scope *s)
{
	(void)f;
	for (struct ptx_var *v = s->vars; v; v = v->next)
		v->offset = UNPLACED;
}

static void place_locals(struct ptx_func *f, struct ptx_scope *s)
{
	for (struct ptx_var *v = s->vars; v; v = v->next) {
		if (v->offset != UNPLACED)
			continue;
		if (v->space == SP_PARAM) {
			/* the alias of a parameter: it lies where the parameter does */
			if (s == &f->scope && v->init)
				v->offset = ((struct ptx_var *)v->init)->offset;
			else
				v->offset = place(&f->frame_bytes, v);
		} else if (v->space == SP_LOCAL) {
			v->offset = place(&f->local_bytes, v);
		} else if (v->space == SP_SHARED && f->is_entry && v->size) {
			v->offset = place(&f->shared_bytes, v);
		}
	}
}

static struct ptx_module *placing;	/* only while ptx_layout holds the loader's lock */

static void place_module_shared(struct ptx_func *f, struct ptx_scope *s)
{
	(void)f;
	for (struct ptx_var *v = s->vars; v; v = v->next)
		if (v->space == SP_SHARED && v->size && v->offset == UNPLACED)
			v->offset = place(&placing->module_shared, v);
}

static void place_dynamic(struct ptx_func *f, struct ptx_scope *s)
{
	(void)f;
	for (struct ptx_var *v = s->vars; v; v = v->next)
		if (v->space == SP_SHARED && !v->size)
			v->offset = placing->dyn_shared;
}

bool ptx_layout(struct ptx_module *m, struct sg_error *err)
{
	bool indirect_shared;
	uint64_t top = 0;

	for (struct ptx_func *f = m->funcs; f; f = f->next)
		each_scope(f, unplace);
	unplace(NULL, &m->scope);

	mark_shared(m);
	indirect_shared = any_shared(m);

	placing = m;
	place_module_shared(NULL, &m->scope);
	for (struct ptx_func *f = m->funcs; f; f = f->next)
		if (!f->is_entry)
			each_scope(f, place_module_shared);
	for (struct ptx_func *f = m->funcs; f; f = f->next) {
		uint64_t at = 0;

		for (struct ptx_var *v = f->rets; v; v = v->next)
			v->offset = place(&at, v);
		for (struct ptx_var *v = f->params; v; v = v->next)
			v->offset = place(&at, v);
		f->param_bytes = at;
		f->frame_bytes = f->is_entry ? 0 : at;
		for (int i = 0; f->is_entry && indirect_shared && i < f->nstmts; i++) {
			/* a call through a pointer may reach any function */
			struct ptx_stmt *s = &f->stmts[i];

			if (s->op && !strcmp(s->op, "call"))
				f->module_shared = true;
		}
		if (f->is_entry && f->module_shared)
			f->shared_bytes = m->module_shared;
		each_scope(f, place_locals);
		f->frame_bytes = (f->frame_bytes + 15) & ~15ull;
		f->local_bytes = (f->local_bytes + 15) & ~15ull;
		if (f->is_entry && f->param_bytes > 32764) {
			sg_error_set(err, CUDA_ERROR_INVALID_PTX, f->line,
				     "%s: more than 32764 bytes of parameters", f->name);
			return false;
		}
		if (f->shared_bytes > top)
			top = f->shared_bytes;
	}
	m->dyn_shared = (top + 127) & ~127ull;
	place_dynamic(NULL, &m->scope);
	for (struct ptx_func *f = m->funcs; f; f = f->next)
		each_scope(f, place_dynamic);
	return true;
}
