// SPDX-License-Identifier: Apache-2.0
/* Lowering of loads, stores, atomics, address conversions and fences. */
#include <string.h>

#include "lower.h"

bool low_space(struct low *L, enum sg_space *space)
{
	static const struct {
		const char *word;
		enum sg_space space;
	} words[] = {
		{ "global", SP_GLOBAL }, { "const", SP_CONST }, { "shared", SP_SHARED },
		{ "local", SP_LOCAL }, { "param", SP_PARAM }, { "shared::cta", SP_SHARED },
		/* a cluster is one block: its shared memory is the block's */
		{ "shared::cluster", SP_SHARED }, { "param::entry", SP_PARAM },
		{ "param::func", SP_PARAM },
	};

	*space = SP_GENERIC;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (low_mod(L, words[i].word)) {
			*space = words[i].space;
			return true;
		}
	}
	return false;
}

/* Ordering and scope. On the host every access is at least as strong as a relaxed one. */
uint8_t low_order(struct low *L)
{
	static const char *const scopes[] = { "cta", "cluster", "gpu", "sys" };
	uint8_t order = 0;

	if (low_mod(L, "acquire"))
		order = SG_ACQUIRE;
	else if (low_mod(L, "release"))
		order = SG_RELEASE;
	else if (low_mod(L, "acq_rel") || low_mod(L, "volatile"))
		order = SG_ACQUIRE | SG_RELEASE;
	else if (low_mod(L, "mmio") && low_mod(L, "relaxed"))
		order = SG_ACQUIRE | SG_RELEASE;
	else if (!low_mod(L, "relaxed"))
		low_mod(L, "weak");
	for (size_t i = 0; i < sizeof(scopes) / sizeof(scopes[0]); i++)
		if (low_mod(L, scopes[i]))
			break;
	return order;
}

/* Where a value should be cached is advice. Returns whether a policy operand follows. */
bool low_cache(struct low *L)
{
	static const char *const words[] = { "ca", "cg", "cs", "lu", "cv", "nc", "wb", "wt" };
	bool policy;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		low_mod(L, words[i]);
	policy = low_mod(L, "L2::cache_hint");
	while (low_mod_prefix(L, "L1::") || low_mod_prefix(L, "L2::"))
		;
	return policy;
}

static int take_vec(struct low *L)
{
	return low_mod(L, "v2") ? 2 : low_mod(L, "v4") ? 4 : low_mod(L, "v8") ? 8 : 1;
}

/* The registers or constants that a load fills or a store reads. */
static struct sg_vslot *data_slots(struct low *L, struct ptx_operand *o, int vec, enum sg_type t,
				   bool dst)
{
	struct ptx_operand *list = o->kind == OP_VEC ? o->sub : o;
	struct sg_vslot *v = sg_arena_alloc(L->arena, vec * sizeof(*v));
	int size = sg_type_size(t);

	if ((o->kind == OP_VEC ? o->n : 1) != vec) {
		low_fail(L, "the vector has another size than the instruction says");
		return NULL;
	}
	for (int i = 0; i < vec; i++) {
		if (low_reg(L, &list[i], &v[i])) {
			if (v[i].size < size) {
				low_fail(L, "register %s is too small", list[i].name);
				return NULL;
			}
		} else if (dst && low_is_sink(&list[i])) {
			v[i].slot = SG_NOSLOT;
		} else if (!dst) {
			v[i].slot = low_src(L, &list[i], t);
			v[i].size = size < 2 ? 2 : size;
			if (v[i].slot == SG_NOSLOT)
				return NULL;
		} else {
			low_fail(L, "the destination is no register");
			return NULL;
		}
	}
	return v;
}

static bool lower_ld_st(struct low *L)
{
	bool store = !strcmp(L->s->op, "st");
	struct sg_insn tmp = { 0 }, *in;
	enum sg_space space;
	enum sg_type t;
	struct sg_vslot *v;
	bool policy;

	/* st.async is another instruction, with an operand more */
	if (low_mod(L, "async"))
		return low_unsupported(L);
	low_space(L, &space);
	tmp.order = low_order(L);
	policy = low_cache(L);
	low_mod(L, "unified");
	tmp.vec = take_vec(L);
	t = low_last_type(L);
	tmp.size = sg_type_size(t);
	tmp.dtype = t;
	if (!tmp.size || tmp.size > 8 || t == T_F16X2 || t == T_BF16X2)
		return low_unsupported(L);
	if (!low_want(L, 2, policy ? 3 : 2))
		return false;
	if (!low_address(L, &L->s->ops[store ? 0 : 1], space, &tmp))
		return false;
	v = data_slots(L, &L->s->ops[store ? 1 : 0], tmp.vec, t, !store);
	if (!v)
		return false;
	if (store && (space == SP_CONST || tmp.space == SP_PARAM))
		return low_fail(L, "this memory cannot be written");
	in = low_emit(L, store ? sg_op_st : sg_op_ld, K_MEM);
	in->a = tmp.a;
	in->imm = tmp.imm;
	in->atype = tmp.atype;
	in->space = tmp.space;
	in->size = tmp.size;
	in->vec = tmp.vec;
	in->dtype = tmp.dtype;
	in->order = tmp.order;
	in->extra = v;
	if (tmp.space == SP_PARAM && tmp.a < 0 && !store) {
		/* checked against the parameter block already */
		in->fn = sg_op_ld_param;
		in->kind = K_PLAIN;
		in->imm += *(uint64_t *)(L->consts + ~tmp.a);
	}
	return true;
}

static struct sg_insn *emit_atom(struct low *L, sg_op fn, const struct sg_insn *where, int32_t b)
{
	struct sg_insn *in = low_emit(L, fn, K_MEM);

	in->a = where->a;
	in->imm = where->imm;
	in->atype = where->atype;
	in->space = where->space;
	in->size = where->size;
	in->b = b;
	in->c = SG_NOSLOT;
	in->d = SG_NOSLOT;
	return in;
}

/* Each element is atomic by itself. All are read before one of the results is written. */
static bool vector_atom(struct low *L, sg_op fn, struct sg_insn *where, enum sg_type t, int n,
			struct ptx_operand *d, struct ptx_operand *b)
{
	int32_t src[8], old[8], to;
	struct sg_insn *in;

	if (b->kind != OP_VEC || b->n != n || (d && (d->kind != OP_VEC || d->n != n)))
		return low_fail(L, "not %d elements", n);
	for (int i = 0; i < n; i++)
		if ((src[i] = low_src(L, &b->sub[i], t)) == SG_NOSLOT)
			return false;
	for (int i = 0; i < n; i++, where->imm += where->size) {
		in = emit_atom(L, fn, where, src[i]);
		if (d)
			old[i] = in->d = low_temp(L, where->size);
	}
	for (int i = 0; d && i < n; i++) {
		if (low_is_sink(&d->sub[i]))
			continue;
		if ((to = low_dst(L, &d->sub[i], t)) == SG_NOSLOT)
			return false;
		in = low_emit(L, sg_op_mov, K_PLAIN);
		in->size = where->size;
		in->a = old[i];
		in->d = to;
	}
	return true;
}

/* atom.op{.vec}.type d, [a], b {, c} and red.op{.vec}.type [a], b */
static bool lower_atom(struct low *L)
{
	static const char *const ops[] = {
		"add", "min", "max", "and", "or", "xor", "exch", "cas", "inc", "dec",
	};
	bool red = !strcmp(L->s->op, "red");
	struct sg_insn tmp = { .vec = 1 }, *in;
	const char *name = NULL;
	enum sg_space space;
	enum sg_type t;
	int at = red ? 0 : 1, n, vec;
	sg_op fn;
	int32_t b, c = SG_NOSLOT, d = SG_NOSLOT;
	bool policy;

	if (low_mod(L, "async"))
		return low_unsupported(L);
	low_space(L, &space);
	low_order(L);		/* all are sequentially consistent */
	policy = low_cache(L);
	vec = low_mod(L, "v2") ? 2 : low_mod(L, "v4") ? 4 : low_mod(L, "v8") ? 8 : 1;
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]) && !name; i++)
		if (low_mod(L, ops[i]))
			name = ops[i];
	t = low_last_type(L);
	low_mod(L, "noftz");
	fn = name ? sg_atom_op(name, t) : NULL;
	if (vec > 1 && (!sg_type_float(t) || sg_type_size(t) * vec > 16))
		return low_unsupported(L);
	if (!fn || space == SP_LOCAL || space == SP_PARAM || space == SP_CONST)
		return low_unsupported(L);
	n = at + 2 + !strcmp(name, "cas");
	if (!low_want(L, n, n + policy))
		return false;
	tmp.size = sg_type_size(t);
	if (!low_address(L, &L->s->ops[at], space, &tmp))
		return false;
	if (vec > 1)
		return vector_atom(L, fn, &tmp, t, vec, red || low_is_sink(&L->s->ops[0]) ? NULL :
				   &L->s->ops[0], &L->s->ops[at + 1]);
	b = low_src(L, &L->s->ops[at + 1], t);
	if (b == SG_NOSLOT)
		return false;
	if (!strcmp(name, "cas")) {
		c = low_src(L, &L->s->ops[at + 2], t);
		if (c == SG_NOSLOT)
			return false;
	}
	if (!red && !low_is_sink(&L->s->ops[0])) {
		d = low_dst(L, &L->s->ops[0], t);
		if (d == SG_NOSLOT)
			return false;
	}
	in = emit_atom(L, fn, &tmp, b);
	in->c = c;
	in->d = d;
	return true;
}

static uint64_t window_of(enum sg_space space)
{
	return space == SP_SHARED ? sg_win_shared : space == SP_LOCAL ? sg_win_local :
	       space == SP_PARAM ? sg_win_param : 0;
}

static bool lower_cvta(struct low *L)
{
	bool to = low_mod(L, "to");
	enum sg_space space;
	struct sg_insn *in;
	uint64_t window;
	int32_t a, d;

	if (!low_space(L, &space) || low_last_type(L) != T_U64)
		return low_unsupported(L);
	if (space == SP_PARAM && !L->f->is_entry)
		return low_lack(L, "only an entry's parameters have a generic address");
	if (!low_want(L, 2, 2))
		return false;
	a = low_src(L, &L->s->ops[1], T_U64);
	d = low_dst(L, &L->s->ops[0], T_U64);
	if (a == SG_NOSLOT || d == SG_NOSLOT)
		return false;
	window = window_of(space);
	if (!window) {
		in = low_emit(L, sg_op_mov, K_PLAIN);
		in->size = 8;
	} else {
		in = low_emit(L, low_find_op(to ? "sub" : "add", T_U64)->fn, K_PLAIN);
		in->b = low_const(L, 8, window);
	}
	in->a = a;
	in->d = d;
	return true;
}

static bool lower_isspacep(struct low *L)
{
	enum sg_space space;
	struct sg_insn *in;
	int32_t a, d;

	if (!low_space(L, &space))
		return low_unsupported(L);
	if (!low_want(L, 2, 2))
		return false;
	a = low_src(L, &L->s->ops[1], T_U64);
	d = low_dst(L, &L->s->ops[0], T_PRED);
	if (a == SG_NOSLOT || d == SG_NOSLOT)
		return false;
	in = low_emit(L, sg_op_isspacep, K_PLAIN);
	in->a = a;
	in->d = d;
	in->space = space;
	return true;
}

/* A policy for the cache is a number that only the cache understands. */
static bool lower_createpolicy(struct low *L)
{
	struct sg_insn *in;
	int32_t d;

	if (!low_mod(L, "fractional") && !low_mod(L, "range") && !low_mod(L, "cvt"))
		return low_unsupported(L);
	low_mod(L, "global");
	low_mod(L, "L2");
	low_cache(L);
	if (low_last_type(L) != T_B64 || !low_want(L, 1, 4))
		return low_unsupported(L);
	d = low_dst(L, &L->s->ops[0], T_B64);
	if (d == SG_NOSLOT)
		return false;
	in = low_emit(L, sg_op_mov, K_PLAIN);
	in->a = low_const(L, 8, 0);
	in->size = 8;
	in->d = d;
	return true;
}

/* A cluster is one block, whose rank is 0: an address there is the address itself. */
static bool lower_cluster_address(struct low *L)
{
	bool rank = !strcmp(L->s->op, "getctarank");
	enum sg_space space;
	enum sg_type t;
	struct sg_insn *in;
	int32_t a, d;

	low_space(L, &space);
	t = low_last_type(L);
	if ((t != T_U32 && t != T_U64) || (space != SP_SHARED && space != SP_GENERIC))
		return low_unsupported(L);
	if (!low_want(L, rank ? 2 : 3, rank ? 2 : 3))
		return false;
	a = low_src(L, &L->s->ops[1], t);
	d = low_dst(L, &L->s->ops[0], rank ? T_U32 : t);
	if (a == SG_NOSLOT || d == SG_NOSLOT)
		return false;
	in = low_emit(L, sg_op_mov, K_PLAIN);
	in->size = rank ? 4 : sg_type_size(t);
	in->a = rank ? low_const(L, 4, 0) : a;
	in->d = d;
	return true;
}

static bool lower_fence(struct low *L)
{
	static const char *const words[] = {
		"sc", "acq_rel", "acquire", "release", "cta", "cluster", "gpu", "gl", "sys",
		"sync_restrict::shared::cta", "sync_restrict::shared::cluster",
		"proxy", "async", "global", "shared::cta", "shared::cluster", "alias",
		"mbarrier_init",
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		low_mod(L, words[i]);
	/* of a proxy for tensor maps: an address and a size */
	if (!low_want(L, 0, low_mod_prefix(L, "tensormap") ? 2 : 0))
		return false;
	low_emit(L, sg_op_fence, K_PLAIN);
	return true;
}

/* Advice that a machine without caches is free to ignore. */
static bool lower_prefetch(struct low *L)
{
	enum sg_space space;

	low_space(L, &space);
	low_mod(L, "L1");
	low_mod(L, "L2");
	low_cache(L);
	low_mod(L, "tensormap");
	if (!strcmp(L->s->op, "discard") || !strcmp(L->s->op, "applypriority"))
		return low_want(L, 2, 2);
	return low_want(L, 1, 2);
}

bool low_memory(struct low *L, bool *known)
{
	static const struct {
		const char *op;
		bool (*fn)(struct low *);
	} list[] = {
		{ "ld", lower_ld_st }, { "ldu", lower_ld_st }, { "st", lower_ld_st },
		{ "atom", lower_atom }, { "red", lower_atom }, { "cvta", lower_cvta },
		{ "isspacep", lower_isspacep }, { "membar", lower_fence },
		{ "fence", lower_fence }, { "prefetch", lower_prefetch },
		{ "prefetchu", lower_prefetch }, { "discard", lower_prefetch },
		{ "applypriority", lower_prefetch }, { "createpolicy", lower_createpolicy },
		{ "mapa", lower_cluster_address }, { "getctarank", lower_cluster_address },
	};

	*known = true;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (!strcmp(list[i].op, L->s->op))
			return list[i].fn(L);
	*known = false;
	return true;
}
