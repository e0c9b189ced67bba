// SPDX-License-Identifier: Apache-2.0
/* Lowering of wgmma: products of matrices by the four warps of a group. */
#include <string.h>

#include "lower.h"

static const struct {
	enum sg_element a;
	int k;
	bool mixed;			/* B may be the other type of the pair */
	enum sg_element b;
	enum sg_element d[2];
} kinds[] = {
	{ EL_F16, 16, false, EL_F16, { EL_F32, EL_F16 } },
	{ EL_BF16, 16, false, EL_BF16, { EL_F32 } },
	{ EL_TF32, 8, false, EL_TF32, { EL_F32 } },
	{ EL_E4M3, 32, true, EL_E5M2, { EL_F32, EL_F16 } },
	{ EL_E5M2, 32, true, EL_E4M3, { EL_F32, EL_F16 } },
	{ EL_S8, 32, true, EL_U8, { EL_S32 } },
	{ EL_U8, 32, true, EL_S8, { EL_S32 } },
};

static bool known_kind(const struct sg_mma *p)
{
	int step = p->d == EL_S32 && p->n > 32 ? 16 : 8;

	if (p->m != 64 || p->n < 8 || p->n > 256 || (p->n % step && p->n != 24))
		return false;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].a == p->a && kinds[i].k == p->k &&
		    (p->b == p->a || (kinds[i].mixed && p->b == kinds[i].b)))
			return p->d && (p->d == kinds[i].d[0] || p->d == kinds[i].d[1]);
	return false;
}

/* 1 or -1; 0 or 1 */
static bool immediate(struct low *L, struct ptx_operand *o, int64_t zero, int64_t one, bool *out)
{
	if (o->kind != OP_INT || ((int64_t)o->bits != zero && (int64_t)o->bits != one))
		return low_fail(L, "an operand is neither %d nor %d", (int)zero, (int)one);
	*out = (int64_t)o->bits == one;
	return true;
}

/*
 * wgmma.mma_async.sync.aligned.shape.dtype.atype.btype d, a, b, scale-d {, scale-a, scale-b
 * {, trans-a} {, trans-b}}: scales of floats, transpositions of 16-bit ones in shared memory
 */
static bool multiply(struct low *L)
{
	struct sg_wgmma *w = sg_arena_alloc(L->arena, sizeof(*w));
	struct ptx_operand *ops = L->s->ops;
	struct sg_mma *p = &w->mma;
	bool in_registers, half, whole;
	int at = 4;

	if (!low_mod(L, "sync") || !low_mod(L, "aligned") || !low_shape(L, p))
		return low_unsupported(L);
	p->saturate = low_mod(L, "satfinite");
	p->c = p->d = low_element(L);
	p->a = low_element(L);
	p->b = low_element(L);
	if (!known_kind(p))
		return low_unsupported(L);
	half = p->a == EL_F16 || p->a == EL_BF16;
	whole = p->d == EL_S32;
	if (p->saturate && !whole)
		return low_unsupported(L);
	if (L->s->nops < 4)
		return low_fail(L, "wrong number of operands");
	in_registers = ops[1].kind == OP_VEC;
	if (!low_want(L, 4 + 2 * !whole + half * (2 - in_registers),
		      4 + 2 * !whole + half * (2 - in_registers)))
		return false;
	p->nd = p->d == EL_F16 ? p->n / 4 : p->n / 2;
	p->na = in_registers ? 4 : 0;
	p->slot = sg_arena_alloc(L->arena, (p->nd + p->na) * sizeof(*p->slot));
	if (!low_fragment(L, &ops[0], p->d, p->nd, true, p->slot) ||
	    (in_registers && !low_fragment(L, &ops[1], EL_F16, 4, false, p->slot + p->nd)))
		return false;
	w->a = in_registers ? SG_NOSLOT : low_src(L, &ops[1], T_B64);
	w->b = low_src(L, &ops[2], T_B64);
	w->scale_d = low_src(L, &ops[3], T_PRED);
	if ((!in_registers && w->a == SG_NOSLOT) || w->b == SG_NOSLOT || w->scale_d == SG_NOSLOT)
		return false;
	if (!whole && (!immediate(L, &ops[at++], 1, -1, &w->negate_a) ||
		       !immediate(L, &ops[at++], 1, -1, &w->negate_b)))
		return false;
	if (half && !in_registers && !immediate(L, &ops[at++], 0, 1, &w->a_by_m))
		return false;
	if (half && !immediate(L, &ops[at++], 0, 1, &w->b_by_n))
		return false;
	low_warp(L, sg_op_wgmma)->extra = w;
	return true;
}

bool low_wgmma(struct low *L, bool *known)
{
	*known = !strcmp(L->s->op, "wgmma");
	if (!*known)
		return true;
	if (low_mod(L, "mma_async"))
		return multiply(L);
	/* it is done at once, so that nothing has to be waited for */
	if (low_mod(L, "fence") || low_mod(L, "commit_group"))
		return low_mod(L, "sync") && low_mod(L, "aligned") ? low_want(L, 0, 0) :
								    low_unsupported(L);
	if (low_mod(L, "wait_group"))
		return low_mod(L, "sync") && low_mod(L, "aligned") ? low_want(L, 1, 1) :
								    low_unsupported(L);
	return low_unsupported(L);
}
