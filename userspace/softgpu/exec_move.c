// SPDX-License-Identifier: Apache-2.0
/* Moves, packing, selection, predicates and special registers. */
#include <string.h>
#include <time.h>

#include "ops.h"

#define COPY(T) do { \
		const T *a = sg_slot(x, in->a); \
		T *d = sg_slot(x, in->d); \
		SG_EACH(m, d[l] = a[l]); \
	} while (0)

void sg_op_mov(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	if (in->size == 4)
		COPY(uint32_t);
	else if (in->size == 8)
		COPY(uint64_t);
	else
		COPY(uint16_t);
}

void sg_op_mov_pred(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	sg_pred_write(x, in->d, m, *(uint32_t *)sg_slot(x, in->a));
}

static uint64_t get(const void *p, int bytes, int l)
{
	return bytes == 2 ? ((const uint16_t *)p)[l] : bytes == 4 ? ((const uint32_t *)p)[l] :
	       ((const uint64_t *)p)[l];
}

static void put(void *p, int bytes, int l, uint64_t v)
{
	if (bytes == 2)
		((uint16_t *)p)[l] = v;
	else if (bytes == 4)
		((uint32_t *)p)[l] = v;
	else
		((uint64_t *)p)[l] = v;
}

/* mov.b64 d, {a, b}: in->vec parts of in->size / in->vec bytes each; the first is the lowest. */
void sg_op_pack(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	const struct sg_vslot *v = in->extra;
	int part = in->size / in->vec;
	uint64_t out[SG_LANES] = { 0 };

	for (int i = 0; i < in->vec; i++) {
		const void *a = sg_slot(x, v[i].slot);

		SG_EACH(m, uint64_t w = get(a, v[i].size, l);
			out[l] |= (part == 1 ? w & 255 : w) << 8 * part * i);
	}
	SG_EACH(m, put(sg_slot(x, in->d), in->size, l, out[l]));
}

void sg_op_unpack(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	const struct sg_vslot *v = in->extra;
	int part = in->size / in->vec;
	uint64_t from[SG_LANES];
	uint64_t mask = part == 8 ? ~0ull : (1ull << 8 * part) - 1;

	SG_EACH(m, from[l] = get(sg_slot(x, in->a), in->size, l));
	for (int i = 0; i < in->vec; i++)
		if (v[i].slot != SG_NOSLOT)
			SG_EACH(m, put(sg_slot(x, v[i].slot), v[i].size, l,
				       from[l] >> 8 * part * i & mask));
}

/* The address next to in->imm whose lower half is given. */
void sg_op_near(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	const uint32_t *a = sg_slot(x, in->a);
	uint64_t *d = sg_slot(x, in->d);

	SG_EACH(m, d[l] = in->imm + (int32_t)(a[l] - (uint32_t)in->imm));
}

#define SELECT(T) do { \
		const T *a = sg_slot(x, in->a), *b = sg_slot(x, in->b); \
		T *d = sg_slot(x, in->d); \
		SG_EACH(m, d[l] = p >> l & 1 ? a[l] : b[l]); \
	} while (0)

void sg_op_selp(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	uint32_t p = *(uint32_t *)sg_slot(x, in->c);

	if (in->size == 4)
		SELECT(uint32_t);
	else if (in->size == 8)
		SELECT(uint64_t);
	else
		SELECT(uint16_t);
}

/* set: all ones or 1.0 where the predicate in->a holds. */
void sg_op_set(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	uint32_t p = *(uint32_t *)sg_slot(x, in->a);
	uint32_t yes = in->imm;

	if (in->size == 2) {
		uint16_t *d = sg_slot(x, in->d);

		SG_EACH(m, d[l] = p >> l & 1 ? yes : 0);
	} else {
		uint32_t *d = sg_slot(x, in->d);

		SG_EACH(m, d[l] = p >> l & 1 ? yes : 0);
	}
}

void sg_op_pred_logic(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	uint32_t a = *(uint32_t *)sg_slot(x, in->a);
	uint32_t b = in->b == SG_NOSLOT ? 0 : *(uint32_t *)sg_slot(x, in->b);

	switch (in->sub) {
	case PL_AND:
		a &= b;
		break;
	case PL_OR:
		a |= b;
		break;
	case PL_XOR:
		a ^= b;
		break;
	default:
		a = ~a;
		break;
	}
	sg_pred_write(x, in->d, m, a);
}

static uint64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static uint64_t uniform_sreg(struct sg_exec *x, int r)
{
	const struct sg_launch *l = x->launch;
	const struct sg_block *b = x->block;

	if (r >= SR_NTID && r < SR_NTID + 3)
		return l->block[r - SR_NTID];
	if (r >= SR_CTAID && r < SR_CTAID + 3)
		return b->ctaid[r - SR_CTAID];
	if (r >= SR_NCTAID && r < SR_NCTAID + 3)
		return l->grid[r - SR_NCTAID];
	if (r >= SR_CLUSTER_NCTAID && r < SR_END)
		return 1;
	switch (r) {
	case SR_WARPID:
		return x->warp->index;
	case SR_NWARPID:
		return 64;
	case SR_SMID:
		return (uint32_t)x->worker % (uint32_t)l->nsm;
	case SR_NSMID:
		return l->nsm;
	case SR_GRIDID:
		return l->grid_id;
	case SR_CLOCK:
	case SR_CLOCK64:
		return now_ns(CLOCK_MONOTONIC);
	case SR_CLOCK_HI:
		return now_ns(CLOCK_MONOTONIC) >> 32;
	case SR_GLOBALTIMER:
	case SR_GLOBALTIMER_LO:
		return now_ns(CLOCK_REALTIME);
	case SR_GLOBALTIMER_HI:
		return now_ns(CLOCK_REALTIME) >> 32;
	case SR_DYN_SMEM:
		return l->dyn_shared;
	case SR_TOTAL_SMEM:
		return l->fn->shared_bytes + l->dyn_shared;
	case SR_ENVREG1:
		return l->coop_workspace >> 32;
	case SR_ENVREG2:
		return (uint32_t)l->coop_workspace;
	case SR_ONE:
		return 1;
	case SR_RESERVED:
		return l->reserved_smem;
	case SR_RESERVED_END:
		return l->reserved_smem + SG_RESERVED_SMEM;
	case SR_RESERVED_CAP:
		return SG_RESERVED_SMEM;
	default:
		return 0;
	}
}

void sg_op_sreg(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	void *d = sg_slot(x, in->d);
	uint64_t v;

	if (in->sub < SR_NTID) {
		const uint32_t *t = x->warp->tid[in->sub - SR_TID];

		SG_EACH(m, put(d, in->size, l, t[l]));
		return;
	}
	switch (in->sub) {
	case SR_LANEID:
		SG_EACH(m, put(d, in->size, l, l));
		return;
	case SR_LANEMASK_EQ:
		SG_EACH(m, put(d, in->size, l, 1u << l));
		return;
	case SR_LANEMASK_LT:
		SG_EACH(m, put(d, in->size, l, (1u << l) - 1));
		return;
	case SR_LANEMASK_LE:
		SG_EACH(m, put(d, in->size, l, (2ull << l) - 1));
		return;
	case SR_LANEMASK_GE:
		SG_EACH(m, put(d, in->size, l, ~((1u << l) - 1)));
		return;
	case SR_LANEMASK_GT:
		SG_EACH(m, put(d, in->size, l, ~(uint32_t)((2ull << l) - 1)));
		return;
	}
	v = uniform_sreg(x, in->sub);
	SG_EACH(m, put(d, in->size, l, v));
}
