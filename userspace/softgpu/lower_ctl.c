// SPDX-License-Identifier: Apache-2.0
/* Lowering of branches, calls, barriers and warp collectives. */
#include <string.h>

#include "lower.h"

static bool lower_bra(struct low *L)
{
	struct ptx_label *l;

	low_mod(L, "uni");
	if (!low_want(L, 1, 1) || L->s->ops[0].kind != OP_NAME)
		return low_unsupported(L);
	l = ptx_find_label(L->s->scope, L->s->ops[0].name);
	if (!l || l->is_table)
		return low_fail(L, "no label %s", L->s->ops[0].name);
	low_emit(L, NULL, K_BRA)->extra = l;
	return true;
}

static bool lower_brx(struct low *L)
{
	struct ptx_label *l;
	struct sg_insn *in;
	int32_t a;

	low_mod(L, "uni");
	if (!low_mod(L, "idx") || !low_want(L, 2, 2) || L->s->ops[1].kind != OP_NAME)
		return low_unsupported(L);
	l = ptx_find_label(L->s->scope, L->s->ops[1].name);
	if (!l || !l->is_table)
		return low_fail(L, "no branch targets %s", L->s->ops[1].name);
	a = low_src(L, &L->s->ops[0], T_U32);
	if (a == SG_NOSLOT)
		return false;
	in = low_emit(L, NULL, K_BRX);
	in->a = a;
	in->extra = l;
	in->imm = (intptr_t)L->s->scope;
	return true;
}

/* Places of one argument or result in the parameter memory, of the caller or of the callee. */
struct call_list {
	struct sg_param *params;
	int n;
};

/* A place for an argument that the caller has in a register or as a constant. */
static struct sg_param call_place(struct low *L, uint64_t *at, int bytes)
{
	struct sg_param p = { *at, bytes, bytes };

	*at += bytes < 8 ? 8 : bytes;
	if (L->f->frame_bytes < *at)
		L->f->frame_bytes = *at;
	return p;
}

/* A vector register: its elements lie one after the other, as in memory. */
static bool vector_argument(struct low *L, struct ptx_operand *o, const struct sg_param *formal,
			    bool result, uint64_t *at, struct sg_param *out)
{
	int bytes;
	struct sg_vslot r;

	if (!formal)
		return low_lack(L, "a vector as the argument of a call through a register");
	if (!o->n || !formal->size || formal->size % o->n)
		return low_fail(L, "a vector of %d elements for a parameter of %u bytes", o->n,
				(unsigned int)formal->size);
	bytes = formal->size / o->n;
	*at = (*at + 15) & ~15ull;
	*out = call_place(L, at, formal->size);
	for (int i = 0; i < o->n; i++) {
		if (!low_reg(L, &o->sub[i], &r) || r.size != bytes)
			return low_fail(L, "a vector's element is no register of %d bytes", bytes);
		if (!result)
			low_frame_access(L, true, out->offset + i * bytes, bytes, r);
	}
	return true;
}

/*
 * Arguments and results of a call are .param variables of the caller, registers, or constants.
 * The latter two are kept in places of their own during the call.
 */
static bool call_params(struct low *L, struct ptx_operand *list, const struct sg_param *formal,
			bool results, uint64_t *at, struct call_list *out)
{
	out->n = list->n;
	out->params = sg_arena_alloc(L->arena, (list->n + 1) * sizeof(*out->params));
	for (int i = 0; i < list->n; i++) {
		struct ptx_operand *o = &list->sub[i];
		struct ptx_var *v = NULL;
		struct sg_vslot r;
		bool reg;
		int bytes;

		if (o->kind == OP_VEC) {
			if (!vector_argument(L, o, formal ? &formal[i] : NULL, results, at,
					     &out->params[i]))
				return false;
			continue;
		}
		if (o->kind == OP_NAME)
			v = ptx_find_var(L->s->scope, o->name, NULL);
		if (v && v->space == SP_PARAM && !(L->f->is_entry && v->param)) {
			out->params[i] = (struct sg_param){ v->offset, v->size, v->align };
			continue;
		}
		reg = low_reg(L, o, &r);
		if (!reg)
			r = (struct sg_vslot){ SG_NOSLOT, 0 };
		if (!formal && !reg)
			return low_lack(L, "an argument of unknown size");
		/* a predicate is a byte while it is passed */
		bytes = formal ? (int)formal[i].size : r.size ? r.size : 1;
		if ((bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8) ||
		    (reg && (r.size ? r.size : 1) < bytes))
			return low_fail(L, "argument %d of a call has another size", i);
		out->params[i] = call_place(L, at, bytes);
		if (results && !reg && !low_is_sink(o))
			return low_fail(L,
					"a call's result is no register and no .param variable");
		if (results)
			continue;
		if (!reg) {
			r.slot = low_src(L, o, o->kind != OP_FLOAT ? bytes == 1 ? T_B8 :
					 bytes == 2 ? T_B16 : bytes == 4 ? T_B32 : T_B64 :
					 bytes == 4 ? T_F32 : T_F64);
			r.size = bytes < 2 ? 2 : bytes;
		}
		if (r.slot == SG_NOSLOT)
			return false;
		low_frame_access(L, true, out->params[i].offset, bytes, r);
	}
	return true;
}

/* After the call: the results that go into registers. */
static void fetch_results(struct low *L, struct ptx_operand *list, const struct call_list *rets)
{
	struct sg_vslot r;

	for (int i = 0; i < list->n; i++) {
		struct ptx_operand *o = &list->sub[i];
		int n = o->kind == OP_VEC ? o->n : 1, bytes = rets->params[i].size / n;

		for (int k = 0; k < n; k++)
			if (low_reg(L, o->kind == OP_VEC ? &o->sub[k] : o, &r))
				low_frame_access(L, false, rets->params[i].offset + k * bytes, bytes,
						 r);
	}
}

static bool lower_call(struct low *L)
{
	struct ptx_operand empty = { .kind = OP_LIST }, *rets = &empty, *args = &empty;
	struct ptx_operand *ops = L->s->ops;
	struct sg_call *c = sg_arena_alloc(L->arena, sizeof(*c));
	struct sg_vslot target = { .slot = SG_NOSLOT };
	struct call_list given, wanted;
	uint64_t at = L->call_frame;
	struct sg_insn *in;
	int i = 0;

	low_mod(L, "uni");
	if (i < L->s->nops && ops[i].kind == OP_LIST)
		rets = &ops[i++];
	if (i >= L->s->nops || ops[i].kind != OP_NAME)
		return low_unsupported(L);
	if (low_reg(L, &ops[i], &target)) {
		if (target.size != 8)
			return low_fail(L, "a call through a register of the wrong size");
	} else {
		struct ptx_func *f = ptx_find_func(L->s->scope, ops[i].name);

		if (!f || f->is_entry)
			return low_fail(L, "call of %s, which is no function", ops[i].name);
		c->callee = f->code;
		/* NVIDIA's library of the device's runtime, which is linked as machine code */
		if (!c->callee && !strncmp(ops[i].name, "__cudaCDP", 9))
			return low_lack(L, "a kernel that starts work itself (%s)", ops[i].name);
		if (!c->callee && !L->img->partial)
			return low_fail(L, "call of the external function %s", ops[i].name);
	}
	if (++i < L->s->nops && ops[i].kind == OP_LIST)
		args = &ops[i++];
	if (i < L->s->nops && ops[i].kind == OP_NAME)
		i++;		/* the prototype: the callee's own list is checked instead */
	if (i != L->s->nops)
		return low_unsupported(L);
	if (c->callee && (args->n != c->callee->nparams || rets->n != c->callee->nrets))
		return low_fail(L, "%s has other parameters", c->callee->name);
	if (!call_params(L, rets, c->callee ? c->callee->rets : NULL, true, &at, &wanted) ||
	    !call_params(L, args, c->callee ? c->callee->params : NULL, false, &at, &given))
		return false;
	for (int k = 0; c->callee && k < given.n; k++)
		if (given.params[k].size != c->callee->params[k].size)
			return low_fail(L, "argument %d of %s has another size", k,
					c->callee->name);
	c->args = given.params;
	c->nargs = given.n;
	c->rets = wanted.params;
	c->nrets = wanted.n;
	L->out->calls_unbounded |= !c->callee;
	in = low_emit(L, NULL, K_CALL);
	in->extra = c;
	in->a = target.slot;
	fetch_results(L, rets, &wanted);
	return true;
}

static bool lower_bar(struct low *L)
{
	struct ptx_operand *ops = L->s->ops;
	bool arrive = false, red = false, pop = false, all = false;
	struct sg_insn tmp = { .d = SG_NOSLOT, .b = SG_NOSLOT, .c = SG_NOSLOT }, *in;
	int i = 0;

	if (low_mod(L, "warp")) {
		if (!low_mod(L, "sync") || !low_want(L, 1, 1))
			return low_unsupported(L);
		tmp.c = low_src(L, &ops[0], T_B32);
		if (tmp.c == SG_NOSLOT)
			return false;
		low_emit(L, NULL, K_SYNC)->c = tmp.c;
		return true;
	}
	low_mod(L, "cta");
	if (low_mod(L, "cluster")) {
		low_mod(L, "aligned");
		low_mod(L, "release");
		low_mod(L, "relaxed");
		low_mod(L, "acquire");
		if (low_mod(L, "arrive"))
			return low_want(L, 0, 0);
		if (!low_mod(L, "wait") || !low_want(L, 0, 0))
			return low_unsupported(L);
		/* one block is the cluster, so waiting for all of it is a block barrier */
		in = low_emit(L, NULL, K_BAR);
		in->a = low_const(L, 4, SG_BARRIERS - 1);
		return true;
	}
	if (low_mod(L, "arrive"))
		arrive = true;
	else if (low_mod(L, "red"))
		red = true;
	else if (!low_mod(L, "sync"))
		return low_unsupported(L);
	low_mod(L, "aligned");
	if (red) {
		pop = low_mod(L, "popc");
		all = !pop && low_mod(L, "and");
		if (!pop && !all && !low_mod(L, "or"))
			return low_unsupported(L);
		if (low_last_type(L) != (pop ? T_U32 : T_PRED) || !low_want(L, 3, 4))
			return low_unsupported(L);
		tmp.d = low_dst(L, &ops[i++], pop ? T_U32 : T_PRED);
		tmp.c = low_src(L, &ops[L->s->nops - 1], T_PRED);
		if (tmp.d == SG_NOSLOT || tmp.c == SG_NOSLOT)
			return false;
	} else if (!low_want(L, arrive ? 2 : 1, 2)) {
		return false;
	}
	tmp.a = low_src(L, &ops[i++], T_U32);
	if (i < L->s->nops - red) {
		tmp.b = low_src(L, &ops[i], T_U32);
		if (tmp.b == SG_NOSLOT)
			return false;
	}
	if (tmp.a == SG_NOSLOT)
		return false;
	in = low_emit(L, NULL, K_BAR);
	in->a = tmp.a;
	in->b = tmp.b;
	in->c = tmp.c;
	in->d = tmp.d;
	in->sub = arrive ? BAR_ARRIVE : pop ? BAR_POPC : all ? BAR_AND : red ? BAR_OR : BAR_SYNC;
	return true;
}

/* d, or d|p where the operation tells more */
static bool pair_dst(struct low *L, enum sg_type t, struct sg_insn *tmp)
{
	struct ptx_operand *o = &L->s->ops[0];

	tmp->e = SG_NOSLOT;
	if (o->kind == OP_PAIR) {
		tmp->e = low_dst(L, &o->sub[1], T_PRED);
		if (tmp->e == SG_NOSLOT)
			return false;
		o = &o->sub[0];
	}
	tmp->d = low_dst(L, o, t);
	return tmp->d != SG_NOSLOT;
}

static bool lower_shfl(struct low *L)
{
	struct sg_insn tmp = { 0 }, *in;
	enum sg_shfl mode;
	int32_t seg;

	if (!low_mod(L, "sync"))
		return low_unsupported(L);
	if (low_mod(L, "up"))
		mode = SHFL_UP;
	else if (low_mod(L, "down"))
		mode = SHFL_DOWN;
	else if (low_mod(L, "bfly"))
		mode = SHFL_BFLY;
	else if (low_mod(L, "idx"))
		mode = SHFL_IDX;
	else
		return low_unsupported(L);
	if (low_last_type(L) != T_B32)
		return low_unsupported(L);
	if (!low_want(L, 5, 5) || !pair_dst(L, T_B32, &tmp))
		return false;
	tmp.a = low_src(L, &L->s->ops[1], T_B32);
	tmp.b = low_src(L, &L->s->ops[2], T_B32);
	seg = low_src(L, &L->s->ops[3], T_B32);
	tmp.c = low_src(L, &L->s->ops[4], T_B32);
	if (tmp.a == SG_NOSLOT || tmp.b == SG_NOSLOT || seg == SG_NOSLOT || tmp.c == SG_NOSLOT)
		return false;
	in = low_emit(L, sg_op_shfl, K_SYNC);
	in->a = tmp.a;
	in->b = tmp.b;
	in->c = tmp.c;
	in->d = tmp.d;
	in->e = tmp.e;
	in->imm = seg;
	in->sub = mode;
	return true;
}

static bool lower_vote(struct low *L)
{
	struct sg_insn tmp = { 0 }, *in;
	enum sg_type t;

	if (!low_mod(L, "sync"))
		return low_unsupported(L);
	if (low_mod(L, "all"))
		tmp.sub = VOTE_ALL;
	else if (low_mod(L, "any"))
		tmp.sub = VOTE_ANY;
	else if (low_mod(L, "uni"))
		tmp.sub = VOTE_UNI;
	else if (low_mod(L, "ballot"))
		tmp.sub = VOTE_BALLOT;
	else
		return low_unsupported(L);
	t = low_last_type(L);
	if (t != (tmp.sub == VOTE_BALLOT ? T_B32 : T_PRED))
		return low_unsupported(L);
	if (!low_want(L, 3, 3))
		return false;
	tmp.d = low_dst(L, &L->s->ops[0], t);
	tmp.a = low_src(L, &L->s->ops[1], T_PRED);
	tmp.c = low_src(L, &L->s->ops[2], T_B32);
	if (tmp.d == SG_NOSLOT || tmp.a == SG_NOSLOT || tmp.c == SG_NOSLOT)
		return false;
	in = low_emit(L, sg_op_vote, K_SYNC);
	in->a = tmp.a;
	in->c = tmp.c;
	in->d = tmp.d;
	in->sub = tmp.sub;
	return true;
}

static bool lower_match(struct low *L)
{
	struct sg_insn tmp = { 0 }, *in;
	enum sg_type t;
	bool all;

	all = low_mod(L, "all");
	if ((!all && !low_mod(L, "any")) || !low_mod(L, "sync"))
		return low_unsupported(L);
	t = low_last_type(L);
	if (t != T_B32 && t != T_B64)
		return low_unsupported(L);
	if (!low_want(L, 3, 3) || !pair_dst(L, T_B32, &tmp))
		return false;
	tmp.a = low_src(L, &L->s->ops[1], t);
	tmp.c = low_src(L, &L->s->ops[2], T_B32);
	if (tmp.a == SG_NOSLOT || tmp.c == SG_NOSLOT)
		return false;
	in = low_emit(L, all ? sg_op_match_all : sg_op_match_any, K_SYNC);
	in->a = tmp.a;
	in->c = tmp.c;
	in->d = tmp.d;
	in->e = tmp.e;
	in->size = sg_type_size(t);
	return true;
}

static bool lower_redux(struct low *L)
{
	static const char *const ops[] = { "add", "min", "max", "and", "or", "xor" };
	struct sg_insn tmp = { 0 }, *in;
	enum sg_type t;
	size_t op;

	if (!low_mod(L, "sync"))
		return low_unsupported(L);
	for (op = 0; op < sizeof(ops) / sizeof(ops[0]); op++)
		if (low_mod(L, ops[op]))
			break;
	t = low_last_type(L);
	if (op > RX_XOR || (op <= RX_MAX ? t != T_U32 && t != T_S32 : t != T_B32))
		return low_unsupported(L);
	if (!low_want(L, 3, 3))
		return false;
	tmp.d = low_dst(L, &L->s->ops[0], t);
	tmp.a = low_src(L, &L->s->ops[1], t);
	tmp.c = low_src(L, &L->s->ops[2], T_B32);
	if (tmp.d == SG_NOSLOT || tmp.a == SG_NOSLOT || tmp.c == SG_NOSLOT)
		return false;
	in = low_emit(L, sg_op_redux, K_SYNC);
	in->a = tmp.a;
	in->c = tmp.c;
	in->d = tmp.d;
	in->sub = op;
	in->dtype = t;
	return true;
}

static bool lower_elect(struct low *L)
{
	struct ptx_operand *o = &L->s->ops[0];
	struct sg_insn tmp = { .d = SG_NOSLOT }, *in;

	if (!low_mod(L, "sync") || !low_want(L, 2, 2) || o->kind != OP_PAIR)
		return low_unsupported(L);
	if (!low_is_sink(&o->sub[0])) {
		tmp.d = low_dst(L, &o->sub[0], T_B32);
		if (tmp.d == SG_NOSLOT)
			return false;
	}
	tmp.e = low_dst(L, &o->sub[1], T_PRED);
	tmp.c = low_src(L, &L->s->ops[1], T_B32);
	if (tmp.e == SG_NOSLOT || tmp.c == SG_NOSLOT)
		return false;
	in = low_emit(L, sg_op_elect, K_SYNC);
	in->c = tmp.c;
	in->d = tmp.d;
	in->e = tmp.e;
	return true;
}

static bool lower_activemask(struct low *L)
{
	int32_t d;

	if (low_last_type(L) != T_B32 || !low_want(L, 1, 1))
		return low_unsupported(L);
	d = low_dst(L, &L->s->ops[0], T_B32);
	if (d == SG_NOSLOT)
		return false;
	low_emit(L, sg_op_activemask, K_PLAIN)->d = d;
	return true;
}

static bool lower_ret(struct low *L)
{
	low_mod(L, "uni");
	if (!low_results(L))
		return false;
	low_emit(L, NULL, K_RET);
	return low_want(L, 0, 0);
}

static bool lower_exit(struct low *L)
{
	low_emit(L, NULL, K_EXIT);
	return low_want(L, 0, 0);
}

static bool lower_trap(struct low *L)
{
	low_emit(L, NULL, K_TRAP);
	return low_want(L, 0, 0);
}

static bool lower_nanosleep(struct low *L)
{
	if (low_last_type(L) != T_U32 || !low_want(L, 1, 1))
		return low_unsupported(L);
	low_emit(L, NULL, K_YIELD);
	return true;
}

/* Signals to a profiler, to the next kernel in line, and to who shares out the registers. */
static bool lower_signal(struct low *L)
{
	low_mod(L, "mask");
	if (!strcmp(L->s->op, "setmaxnreg")) {
		if ((!low_mod(L, "inc") && !low_mod(L, "dec")) || !low_mod(L, "sync") ||
		    !low_mod(L, "aligned") || low_last_type(L) != T_U32)
			return low_unsupported(L);
		return low_want(L, 1, 1);
	}
	if (!strcmp(L->s->op, "griddepcontrol") && !low_mod(L, "launch_dependents"))
		low_mod(L, "wait");
	return low_want(L, 0, 1);
}

bool low_control(struct low *L, bool *known)
{
	static const struct {
		const char *op;
		bool (*fn)(struct low *);
	} list[] = {
		{ "bra", lower_bra }, { "brx", lower_brx }, { "call", lower_call },
		{ "ret", lower_ret }, { "exit", lower_exit }, { "trap", lower_trap },
		{ "bar", lower_bar }, { "barrier", lower_bar }, { "shfl", lower_shfl },
		{ "vote", lower_vote }, { "match", lower_match }, { "redux", lower_redux },
		{ "elect", lower_elect }, { "activemask", lower_activemask },
		{ "nanosleep", lower_nanosleep }, { "pmevent", lower_signal },
		{ "griddepcontrol", lower_signal }, { "setmaxnreg", lower_signal },
	};

	*known = true;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (!strcmp(list[i].op, L->s->op))
			return list[i].fn(L);
	*known = false;
	return true;
}
