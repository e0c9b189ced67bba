// SPDX-License-Identifier: Apache-2.0
/* Which function uses which, and where each variable lies in its space. */
#include <limits.h>
#include <stdlib.h>
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

static void add_user(struct ptx_module *m, struct ptx_user **users, struct ptx_func *f)
{
	struct ptx_user *u = *users;

	if (u && u->func == f)
		return;
	u = sg_arena_alloc(&m->arena, sizeof(*u));
	*u = (struct ptx_user){ *users, f };
	*users = u;
}

/* A function's own shared variables are module-wide: several kernels may call it. */
static bool module_wide(const struct ptx_var *v)
{
	return v->space == SP_SHARED && v->size && (!v->owner || !v->owner->is_entry);
}

/* Notes the function with all functions and module-wide shared variables that an operand names. */
static void see_operand(struct ptx_module *m, struct ptx_func *f, struct ptx_stmt *s,
			struct ptx_operand *o)
{
	struct ptx_func *callee;
	struct ptx_var *v;

	for (int i = 0; i < o->n; i++)
		see_operand(m, f, s, &o->sub[i]);
	if (o->kind != OP_NAME)
		return;
	v = ptx_find_var(s->scope, o->name, NULL);
	if (v) {
		if (module_wide(v))
			add_user(m, &v->users, f);
	} else if (strcmp(s->op ? s->op : "", "bra")) {
		callee = ptx_find_func(s->scope, o->name);
		if (callee)
			add_user(m, &callee->callers, f);
	}
}

/* call (results), target, (arguments) */
static bool calls_pointer(const struct ptx_stmt *s)
{
	int target = s->nops && s->ops[0].kind == OP_LIST;

	return s->op && !strcmp(s->op, "call") && target < s->nops &&
	       s->ops[target].kind == OP_NAME && !ptx_find_func(s->scope, s->ops[target].name);
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
		for (struct ptx_user *c = f->callers; c; c = c->next) {
			if (!tell(c->func, f) || c->func->waits)
				continue;
			c->func->waiting = waiting;
			waiting = c->func;
			c->func->waits = true;
		}
	}
}

static bool tell_indirect(struct ptx_func *caller, struct ptx_func *callee)
{
	if (caller->indirect || !callee->indirect)
		return false;
	caller->indirect = true;
	return true;
}

static void mark_users(struct ptx_module *m)
{
	for (struct ptx_func *f = m->funcs; f; f = f->next) {
		for (int i = 0; i < f->nstmts; i++) {
			struct ptx_stmt *s = &f->stmts[i];

			f->indirect |= calls_pointer(s);
			for (int k = 0; k < s->nops; k++)
				see_operand(m, f, s, &s->ops[k]);
		}
	}
	ptx_tell_callers(m, tell_indirect);
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

/* A variable and the kernels that reach it. */
struct shared_var {
	struct ptx_var *var;
	struct ptx_user *kernels;
	int nkernels, number;
};

struct shared_list {
	struct shared_var *vars;
	int n, room;
};

static void list_scope(struct shared_list *l, struct ptx_scope *s)
{
	for (struct ptx_var *v = s->vars; v; v = v->next) {
		if (!module_wide(v) || v->offset != UNPLACED)
			continue;
		if (l->n == l->room) {
			struct shared_var *more;

			l->room = 2 * l->room + 64;
			more = sg_arena_alloc(&placing->arena, l->room * sizeof(*more));
			if (l->n)
				memcpy(more, l->vars, l->n * sizeof(*more));
			l->vars = more;
		}
		v->offset = 0;
		l->vars[l->n] = (struct shared_var){ .var = v, .number = l->n };
		l->n++;
	}
}

static void wait_once(struct ptx_func *f, struct ptx_var *v, struct ptx_func **waiting)
{
	if (f->seen == v)
		return;
	f->seen = v;
	f->waiting = *waiting;
	*waiting = f;
}

/* How many functions may be looked at for all variables of a module together. */
#define LOOKS_MAX (1 << 22)

/*
 * The kernels that reach a variable: those that name it, and those that call who does. False if
 * that would take too many looks.
 */
static bool find_kernels(struct ptx_module *m, struct shared_var *s, int *looks)
{
	struct ptx_func *waiting = NULL;
	bool in_function = false;

	for (struct ptx_user *u = s->var->users; u; u = u->next) {
		in_function |= !u->func->is_entry;
		wait_once(u->func, s->var, &waiting);
	}
	/* a call through a pointer may reach any function */
	for (struct ptx_func *f = m->funcs; in_function && f; f = f->next) {
		if (--*looks < 0)
			return false;
		if (f->is_entry && f->indirect)
			wait_once(f, s->var, &waiting);
	}
	while (waiting) {
		struct ptx_func *f = waiting;

		if (--*looks < 0)
			return false;
		waiting = f->waiting;
		if (f->is_entry) {
			add_user(m, &s->kernels, f);
			s->nkernels++;
		}
		for (struct ptx_user *u = f->callers; u; u = u->next)
			wait_once(u->func, s->var, &waiting);
	}
	return true;
}

/* Where there are too many of both, each kernel that reaches one of the variables has them all. */
static void place_as_one(struct ptx_module *m, struct shared_list *l)
{
	struct ptx_var all = { 0 };
	struct shared_var one = { .var = &all };
	int looks = INT_MAX;
	uint64_t at = 0;

	for (int i = 0; i < l->n; i++) {
		for (struct ptx_user *u = l->vars[i].var->users; u; u = u->next)
			add_user(m, &all.users, u->func);
		l->vars[i].var->offset = place(&at, l->vars[i].var);
	}
	find_kernels(m, &one, &looks);
	for (struct ptx_user *u = one.kernels; u; u = u->next)
		u->func->shared_bytes = at;
}

/* Those of many kernels first: behind them each kernel's others leave no gaps. */
static int by_kernels(const void *a, const void *b)
{
	const struct shared_var *x = a, *y = b;

	if (x->nkernels != y->nkernels)
		return x->nkernels > y->nkernels ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

/*
 * A module-wide shared variable has one offset for all kernels, since functions that several of
 * them call have it in their code. Variables that no kernel reaches together may overlap, so a
 * kernel takes little more than its own: nvcc puts the variables of all kernels into the module.
 */
static void place_module_shared(struct ptx_module *m)
{
	struct shared_list l = { 0 };
	int looks = LOOKS_MAX;

	for (struct ptx_scope *s = &m->scope; s; s = s->next)
		list_scope(&l, s);
	for (struct ptx_func *f = m->funcs; f; f = f->next)
		for (struct ptx_scope *s = f->is_entry ? NULL : f->scope; s; s = s->next)
			list_scope(&l, s);
	for (int i = 0; i < l.n; i++) {
		if (!find_kernels(m, &l.vars[i], &looks)) {
			place_as_one(m, &l);
			return;
		}
	}
	if (l.n)
		qsort(l.vars, l.n, sizeof(*l.vars), by_kernels);
	for (int i = 0; i < l.n; i++) {
		struct shared_var *s = &l.vars[i];
		uint64_t at = 0;

		for (struct ptx_user *u = s->kernels; u; u = u->next)
			if (at < u->func->shared_bytes)
				at = u->func->shared_bytes;
		s->var->offset = place(&at, s->var);
		for (struct ptx_user *u = s->kernels; u; u = u->next)
			u->func->shared_bytes = at;
	}
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
	uint64_t top = 0;

	for (struct ptx_func *f = m->funcs; f; f = f->next)
		each_scope(f, unplace);
	for (struct ptx_scope *s = &m->scope; s; s = s->next)
		unplace(NULL, s);

	placing = m;
	mark_users(m);
	place_module_shared(m);
	for (struct ptx_func *f = m->funcs; f; f = f->next) {
		uint64_t at = 0;

		for (struct ptx_var *v = f->rets; v; v = v->next)
			v->offset = place(&at, v);
		for (struct ptx_var *v = f->params; v; v = v->next)
			v->offset = place(&at, v);
		f->param_bytes = at;
		f->frame_bytes = f->is_entry ? 0 : at;
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
	for (struct ptx_scope *s = &m->scope; s; s = s->next)
		place_dynamic(NULL, s);
	for (struct ptx_func *f = m->funcs; f; f = f->next)
		each_scope(f, place_dynamic);
	return true;
}
