// SPDX-License-Identifier: Apache-2.0
/* Lowering of mma.sync and of the loads, stores and moves of matrices. */
#include <stdio.h>
#include <string.h>

#include "lower.h"

static const struct {
	const char *word;
	enum sg_element element;
} elements[] = {
	{ "f16", EL_F16 }, { "bf16", EL_BF16 }, { "tf32", EL_TF32 }, { "e4m3", EL_E4M3 },
	{ "e5m2", EL_E5M2 }, { "f32", EL_F32 }, { "f64", EL_F64 }, { "s8", EL_S8 }, { "u8", EL_U8 },
	{ "s4", EL_S4 }, { "u4", EL_U4 }, { "b1", EL_B1 }, { "s32", EL_S32 },
};

/* The next type among the modifiers. */
enum sg_element low_element(struct low *L)
{
	for (int i = 0; i < L->s->nmods; i++) {
		if (L->s->used >> i & 1)
			continue;
		for (size_t k = 0; k < sizeof(elements) / sizeof(elements[0]); k++) {
			if (!strcmp(elements[k].word, L->s->mods[i])) {
				L->s->used |= 1u << i;
				return elements[k].element;
			}
		}
	}
	return EL_NONE;
}

/* The shapes that exist, by the type of A and B: one stands for those of its size (kind_of). */
static const struct {
	uint16_t m, n, k;
	enum sg_element kind;
} shapes[] = {
	{ 16, 8, 8, EL_F16 }, { 16, 8, 16, EL_F16 }, { 16, 8, 8, EL_BF16 }, { 16, 8, 16, EL_BF16 },
	{ 16, 8, 4, EL_TF32 }, { 16, 8, 8, EL_TF32 },
	{ 16, 8, 16, EL_E4M3 }, { 16, 8, 32, EL_E4M3 },
	{ 8, 8, 4, EL_F64 }, { 16, 8, 4, EL_F64 }, { 16, 8, 8, EL_F64 }, { 16, 8, 16, EL_F64 },
	{ 8, 8, 16, EL_S8 }, { 16, 8, 16, EL_S8 }, { 16, 8, 32, EL_S8 },
	{ 8, 8, 32, EL_S4 }, { 16, 8, 32, EL_S4 }, { 16, 8, 64, EL_S4 },
	{ 8, 8, 128, EL_B1 }, { 16, 8, 128, EL_B1 }, { 16, 8, 256, EL_B1 },
};

static enum sg_element kind_of(enum sg_element t)
{
	return t == EL_E5M2 ? EL_E4M3 : t == EL_U8 ? EL_S8 : t == EL_U4 ? EL_S4 : t;
}

static int width(enum sg_element t)
{
	switch (kind_of(t)) {
	case EL_F64:
		return 64;
	case EL_F16:
	case EL_BF16:
		return 16;
	case EL_E4M3:
	case EL_S8:
		return 8;
	case EL_S4:
		return 4;
	case EL_B1:
		return 1;
	default:
		return 32;
	}
}

/* Registers of a lane that hold its part of so many elements. */
static int registers(int count, enum sg_element t)
{
	return width(t) == 64 ? count / 32 : count * width(t) / 1024;
}

bool low_shape(struct low *L, struct sg_mma *p)
{
	const char *word = NULL;
	int end = 0;

	for (int i = 0; i < L->s->nmods && !word; i++) {
		const char *w = L->s->mods[i];

		if (sscanf(w, "m%dn%dk%d%n", &p->m, &p->n, &p->k, &end) == 3 && !w[end])
			word = w;
	}
	return word && low_mod(L, word);
}

static bool known_types(const struct sg_mma *p, enum sg_element kind)
{
	switch (kind) {
	case EL_F64:
		return p->c == EL_F64 && p->d == EL_F64 && p->a == p->b;
	case EL_S8:
	case EL_S4:
	case EL_B1:
		return p->c == EL_S32 && p->d == EL_S32;
	case EL_F16:
	case EL_E4M3:
		return (p->c == EL_F32 || p->c == EL_F16) && (p->d == EL_F32 || p->d == EL_F16);
	default:
		return p->c == EL_F32 && p->d == EL_F32 && p->a == p->b;
	}
}

static bool known_shape(const struct sg_mma *p)
{
	enum sg_element kind = kind_of(p->a);

	if (kind != kind_of(p->b))
		return false;
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		if (shapes[i].m == p->m && shapes[i].n == p->n && shapes[i].k == p->k &&
		    shapes[i].kind == kind)
			break;
		else if (i + 1 == sizeof(shapes) / sizeof(shapes[0]))
			return false;
	return known_types(p, kind);
}

bool low_fragment(struct low *L, struct ptx_operand *o, enum sg_element t, int n, bool dst,
		  int32_t *slot)
{
	enum sg_type type = t == EL_F64 ? T_F64 : t == EL_F32 ? T_F32 : T_B32;
	struct ptx_operand *list = o->kind == OP_VEC ? o->sub : o;

	if ((o->kind == OP_VEC ? o->n : 1) != n)
		return low_fail(L, "a matrix has %d registers here", n);
	for (int i = 0; i < n; i++) {
		slot[i] = dst ? low_dst(L, &list[i], type) : low_src(L, &list[i], type);
		if (slot[i] == SG_NOSLOT)
			return false;
	}
	return true;
}

/* D, A, B and C */
static bool fragments(struct low *L, struct ptx_operand *ops, struct sg_mma *p)
{
	p->slot = sg_arena_alloc(L->arena, (p->nd + p->na + p->nb + p->nc) * sizeof(*p->slot));
	return low_fragment(L, &ops[0], p->d, p->nd, true, p->slot) &&
	       low_fragment(L, &ops[1], p->a, p->na, false, p->slot + p->nd) &&
	       low_fragment(L, &ops[2], p->b, p->nb, false, p->slot + p->nd + p->na) &&
	       low_fragment(L, &ops[3], p->c, p->nc, false, p->slot + p->nd + p->na + p->nb);
}

/* All lanes of the warp take part. */
struct sg_insn *low_warp(struct low *L, sg_op fn)
{
	int32_t all = low_const(L, 4, SG_FULL);
	struct sg_insn *in = low_emit(L, fn, K_SYNC);

	in->c = all;
	return in;
}

/* mma.sync.aligned.shape.row.col.dtype.atype.btype.ctype d, a, b, c */
static bool lower_mma(struct low *L)
{
	struct sg_mma *p = sg_arena_alloc(L->arena, sizeof(*p));
	struct ptx_operand *ops = L->s->ops;

	if (!low_mod(L, "sync") || !low_mod(L, "aligned") || !low_shape(L, p) ||
	    !low_mod(L, "row") || !low_mod(L, "col"))
		return low_unsupported(L);
	p->saturate = low_mod(L, "satfinite");
	p->d = low_element(L);
	p->a = low_element(L);
	p->b = low_element(L);
	p->c = low_element(L);
	if (!known_shape(p) || (p->a == EL_B1 && !low_mod(L, "popc")))
		return low_unsupported(L);
	if (p->a == EL_B1) {
		p->is_and = low_mod(L, "and");
		if (!p->is_and && !low_mod(L, "xor"))
			return low_unsupported(L);
	}
	if (p->saturate && p->d != EL_S32)
		return low_unsupported(L);
	if (!low_want(L, 4, 4))
		return false;
	p->nd = registers(p->m * p->n, p->d);
	p->na = registers(p->m * p->k, p->a);
	p->nb = registers(p->k * p->n, p->b);
	p->nc = registers(p->m * p->n, p->c);
	return fragments(L, ops, p) && (low_warp(L, sg_op_mma)->extra = p);
}

/* ldmatrix.sync.aligned.m8n8.x4{.trans}{.shared}.b16 d, [address], and stmatrix */
static bool lower_matrix(struct low *L)
{
	bool store = !strcmp(L->s->op, "stmatrix"), transposed;
	struct ptx_operand *ops = L->s->ops;
	struct sg_insn tmp = { .vec = 1, .size = 16 }, *in;
	enum sg_space space;
	int32_t *slot;
	int n;

	if (!low_mod(L, "sync") || !low_mod(L, "aligned") || !low_mod(L, "m8n8"))
		return low_unsupported(L);
	n = low_mod(L, "x1") ? 1 : low_mod(L, "x2") ? 2 : low_mod(L, "x4") ? 4 : 0;
	transposed = low_mod(L, "trans");
	low_space(L, &space);
	if (!n || low_last_type(L) != T_B16 || (space != SP_SHARED && space != SP_GENERIC))
		return low_unsupported(L);
	slot = sg_arena_alloc(L->arena, n * sizeof(*slot));
	if (!low_want(L, 2, 2) || !low_address(L, &ops[!store], space, &tmp) ||
	    !low_fragment(L, &ops[store], EL_F16, n, !store, slot))
		return false;
	in = low_warp(L, store ? sg_op_stmatrix : sg_op_ldmatrix);
	in->a = tmp.a;
	in->imm = tmp.imm;
	in->atype = tmp.atype;
	in->space = tmp.space;
	in->vec = n;
	in->sub = transposed;
	in->extra = slot;
	return true;
}

static bool lower_movmatrix(struct low *L)
{
	int32_t a, d;
	struct sg_insn *in;

	if (!low_mod(L, "sync") || !low_mod(L, "aligned") || !low_mod(L, "m8n8") ||
	    !low_mod(L, "trans") || low_last_type(L) != T_B16)
		return low_unsupported(L);
	if (!low_want(L, 2, 2))
		return false;
	a = low_src(L, &L->s->ops[1], T_B32);
	d = low_dst(L, &L->s->ops[0], T_B32);
	if (a == SG_NOSLOT || d == SG_NOSLOT)
		return false;
	in = low_warp(L, sg_op_movmatrix);
	in->a = a;
	in->d = d;
	return true;
}

static const struct {
	uint16_t m, n, k;
	enum sg_element kind;
} wmma_shapes[] = {
	{ 16, 16, 16, EL_F16 }, { 32, 8, 16, EL_F16 }, { 8, 32, 16, EL_F16 },
	{ 16, 16, 16, EL_BF16 }, { 32, 8, 16, EL_BF16 }, { 8, 32, 16, EL_BF16 },
	{ 16, 16, 16, EL_S8 }, { 32, 8, 16, EL_S8 }, { 8, 32, 16, EL_S8 },
	{ 16, 16, 8, EL_TF32 }, { 8, 8, 4, EL_F64 }, { 8, 8, 32, EL_S4 }, { 8, 8, 128, EL_B1 },
};

static bool known_wmma(const struct sg_mma *p, enum sg_element kind)
{
	for (size_t i = 0; i < sizeof(wmma_shapes) / sizeof(wmma_shapes[0]); i++)
		if (wmma_shapes[i].m == p->m && wmma_shapes[i].n == p->n &&
		    wmma_shapes[i].k == p->k && (!kind || wmma_shapes[i].kind == kind))
			return true;
	return false;
}

/* Of halves a fragment of A or B has eight registers, whether it needs them or not. */
static int wmma_registers(int count, enum sg_element t, bool is_c)
{
	return t == EL_F16 && !is_c ? 8 : registers(count, t);
}

/*
 * wmma.load.a.sync.aligned.layout.shape{.space}.type d, [address] {, stride} and
 * wmma.store.d.sync.aligned.layout.shape{.space}.type [address], a {, stride}
 */
static bool wmma_move(struct low *L, bool store)
{
	struct sg_wmma_move *p = sg_arena_alloc(L->arena, sizeof(*p));
	struct ptx_operand *ops = L->s->ops;
	struct sg_insn tmp = { .vec = 1, .size = 1 }, *in;
	bool is_a = !store && low_mod(L, "a");
	struct sg_mma shape = { 0 };
	enum sg_space space;
	bool is_c;

	p->store = store;
	p->is_b = !store && !is_a && low_mod(L, "b");
	is_c = !is_a && !p->is_b;
	if ((is_c && !low_mod(L, store ? "d" : "c")) || !low_mod(L, "sync") ||
	    !low_mod(L, "aligned") || !low_shape(L, &shape))
		return low_unsupported(L);
	p->by_column = low_mod(L, "col");
	if (!p->by_column && !low_mod(L, "row"))
		return low_unsupported(L);
	low_space(L, &space);
	p->type = low_element(L);
	if (!known_wmma(&shape, is_c ? EL_NONE : kind_of(p->type)) ||
	    (is_c && p->type != EL_F16 && p->type != EL_F32 && p->type != EL_S32 &&
	     p->type != EL_F64))
		return low_unsupported(L);
	if (width(p->type) < 8 && p->by_column != p->is_b)
		return low_unsupported(L);
	p->rows = p->is_b ? shape.k : shape.m;
	p->columns = is_a ? shape.k : shape.n;
	p->registers = wmma_registers(p->rows * p->columns, p->type, is_c);
	p->slot = sg_arena_alloc(L->arena, p->registers * sizeof(*p->slot));
	p->stride = SG_NOSLOT;
	if (!low_want(L, 2, 3) || !low_address(L, &ops[!store], space, &tmp) ||
	    !low_fragment(L, &ops[store], p->type, p->registers, !store, p->slot))
		return false;
	if (L->s->nops == 3 && (p->stride = low_src(L, &ops[2], T_U32)) == SG_NOSLOT)
		return false;
	in = low_warp(L, sg_op_wmma_move);
	in->a = tmp.a;
	in->imm = tmp.imm;
	in->atype = tmp.atype;
	in->space = tmp.space;
	in->extra = p;
	return true;
}

/* wmma.mma.sync.aligned.layout.layout.shape.dtype{.atype.btype}.ctype d, a, b, c */
static bool wmma_multiply(struct low *L)
{
	struct sg_mma *p = sg_arena_alloc(L->arena, sizeof(*p));
	struct ptx_operand *ops = L->s->ops;
	enum sg_element second, kind;

	if (!low_mod(L, "sync") || !low_mod(L, "aligned") || !low_shape(L, p))
		return low_unsupported(L);
	/* how A and B lay in memory counts no more */
	for (int i = 0; i < 2; i++)
		if (!low_mod(L, "row") && !low_mod(L, "col"))
			return low_unsupported(L);
	if (low_mod(L, "popc")) {
		p->is_and = low_mod(L, "and");
		if (!p->is_and && !low_mod(L, "xor"))
			return low_unsupported(L);
	}
	p->saturate = low_mod(L, "satfinite");
	p->d = low_element(L);
	second = low_element(L);
	p->b = low_element(L);
	p->c = p->b ? low_element(L) : second;
	p->a = p->b ? second : EL_F16;
	p->b = p->b ? p->b : EL_F16;
	kind = kind_of(p->a);
	/* the rounding of doubles, which is to nearest anyway */
	if (kind == EL_F64)
		low_mod(L, "rn");
	if (kind != kind_of(p->b) || !known_wmma(p, kind) || !known_types(p, kind) ||
	    (p->saturate && p->d != EL_S32))
		return low_unsupported(L);
	if (!low_want(L, 4, 4))
		return false;
	p->nd = registers(p->m * p->n, p->d);
	p->na = wmma_registers(p->m * p->k, p->a, false);
	p->nb = wmma_registers(p->k * p->n, p->b, false);
	p->nc = registers(p->m * p->n, p->c);
	return fragments(L, ops, p) && (low_warp(L, sg_op_wmma)->extra = p);
}

static bool lower_wmma(struct low *L)
{
	if (low_mod(L, "load"))
		return wmma_move(L, false);
	if (low_mod(L, "store"))
		return wmma_move(L, true);
	return low_mod(L, "mma") ? wmma_multiply(L) : low_unsupported(L);
}

bool low_tensor(struct low *L, bool *known)
{
	static const struct {
		const char *op;
		bool (*fn)(struct low *);
	} list[] = {
		{ "mma", lower_mma }, { "ldmatrix", lower_matrix }, { "stmatrix", lower_matrix },
		{ "movmatrix", lower_movmatrix }, { "wmma", lower_wmma },
	};

	*known = true;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (!strcmp(list[i].op, L->s->op))
			return list[i].fn(L);
	*known = false;
	return true;
}
