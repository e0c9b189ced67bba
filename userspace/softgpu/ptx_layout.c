// SPDX-License-Identifier: Apache-2.0
/* Which function uses which, and where each variable lies in its space. */
#include <string.h>

#include "cuda_abi.h"
#include "ptx.h"

static uint64_t place(uint64_t *at, const struct ptx_var *v)
{
	uint64_t align = v->align ? v->align : 1;
	uint64_t offset = (*at + align - 1) & ~(align - 1);

	*at = offset + v->size;
	return offset;
}

static void add_caller(struct ptx_module *m, struct ptx_func *callee, struct ptx_func *caller)
{
	struct ptx_caller *c = callee->callers;

	if (c && c->func == caller)
		return;
	c = sg_arena_alloc(&m->arena, sizeof(*c));
	*c = (struct ptx_caller){ callee->callers, caller };
	callee->callers = c;
}

/* Notes the functions that an operand names, and whether it names a module-wide shared variable. */
static void see_operand(struct ptx_module *m, struct ptx_func *f, struct ptx_stmt *s,
			struct ptx_operand *o)
{
	struct ptx_func *callee;
	struct ptx_var *v;

	for (int i = 0; i < o->n; i++)
		see_operand(m, f, s, &o->sub[i]);
	if (o->kind != OP_NAME)
		return;
	/* a callee's own shared variables are module-wide: several kernels may call it */
	v = ptx_find_var(s->scope, o->name, NULL);
	if (v) {
		if (v->space == SP_SHARED && (!v->owner || !v->owner->is_entry) && v->size)
			f->module_shared = true;
	} else if (strcmp(s->op ? s->op : "", "bra")) {
		callee = ptx_find_func(m, o->name);
		if (callee)
			add_caller(m, callee, f);
	}
}

/* What is true of a function becomes true of all that call it, themselves or through others. */
void ptx_tell_callers(struct ptx_module *m, bool (*tell)(struct ptx_func *caller,
							 struct ptx_func *callee))
{
	struct ptx_func *waiting = NULL;

	for (struct ptx_func *f = m->funcs; f; f = f->next) {
		f->waiting = waiting;
		waiting = f;
		f->waits = true;
	}
	while (waiting) {
		struct ptx_func *f = waiting;

		waiting = f->waiting;
		f->waits = false;
		for (struct ptx_caller *c = f->callers; c; c = c->next) {
			if (!tell(c->func, f) || c->func->waits)
				continue;
			c->func->waiting = waiting;
			waiting = c->func;
			c->func->waits = true;
		}
	}
}

static bool tell_shared(struct ptx_func *caller, struct ptx_func *callee)
{
	if (caller->module_shared || !callee->module_shared)
		return false;
	caller->module_shared = true;
	return true;
}

static void mark_shared(struct ptx_module *m)
{
	for (struct ptx_func *f = m->funcs; f; f = f->next)
		for (int i = 0; i < f->nstmts; i++)
			for (int k = 0; k < f->stmts[i].nops; k++)
				see_operand(m, f, &f->stmts[i], &f->stmts[i].ops[k]);
	ptx_tell_callers(m, tell_shared);
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
	for (struct ptx_scope *s = f->scope; s; s = s->next)
		fn(f, s);
}

#define UNPLACED UINT64_MAX
#define SHARED_MAX 49152	/* more has to be dynamic */

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
			v->offset = v->param ? v->param->offset : place(&f->frame_bytes, v);
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
		if (f->shared_bytes > SHARED_MAX) {
			sg_error_set(err, CUDA_ERROR_INVALID_PTX, f->line,
				     "%s: more than 48 KiB of shared variables", f->name);
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
