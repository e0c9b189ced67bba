// SPDX-License-Identifier: Apache-2.0
/* Lowering of bulk copies by tensor maps. */
#include <string.h>

#include "lower.h"

/* [map, {c0, c1}]: the coordinates into p, and the address of the map. */
static int32_t tensor(struct low *L, struct ptx_operand *o, struct sg_cp_tensor *p)
{
	struct ptx_operand base = *o;

	if (o->kind != OP_ADDR || o->n != 2 || o->sub[1].kind != OP_VEC ||
	    o->sub[1].n != p->rank) {
		low_fail(L, "a tensor map and %d coordinates are expected", p->rank);
		return SG_NOSLOT;
	}
	for (int d = 0; d < p->rank; d++) {
		p->at[d] = low_src(L, &o->sub[1].sub[d], T_S32);
		if (p->at[d] == SG_NOSLOT)
			return SG_NOSLOT;
	}
	base.n = 1;
	return low_whole_address(L, &base, SP_GENERIC);
}

/*
 * cp.async.bulk.tensor.2d.shared::cluster.global{.tile}.mbarrier::complete_tx::bytes
 * [dst], [map, {c0, c1}], [mbarrier] and
 * cp.async.bulk.tensor.2d.global.shared::cta{.tile}.bulk_group [map, {c0, c1}], [src]
 */
bool low_cp_tensor(struct low *L, bool prefetch)
{
	static const char *const ranks[] = { "1d", "2d", "3d", "4d", "5d" };
	struct sg_cp_tensor *p = sg_arena_alloc(L->arena, sizeof(*p));
	struct ptx_operand *ops = L->s->ops;
	int32_t map, shared, barrier = SG_NOSLOT;
	bool load, policy, multicast;
	struct sg_insn *in;

	for (int i = 0; i < 5 && !p->rank; i++)
		if (low_mod(L, ranks[i]))
			p->rank = i + 1;
	if (!p->rank)
		return low_unsupported(L);
	if (prefetch) {
		low_mod(L, "L2");
		if (!low_mod(L, "global"))
			return low_unsupported(L);
		low_mod(L, "tile");
		policy = low_cache(L);
		return low_want(L, 1, 1 + policy) && tensor(L, &ops[0], p) != SG_NOSLOT;
	}
	load = low_mod(L, "mbarrier::complete_tx::bytes");
	if ((!low_mod(L, "shared::cluster") && !low_mod(L, "shared::cta")) ||
	    !low_mod(L, "global") || (!load && !low_mod(L, "bulk_group")))
		return low_unsupported(L);
	p->store = !load;
	low_mod(L, "tile");
	/* one block is the cluster, so whom the mask names is known */
	multicast = load && low_mod(L, "multicast::cluster");
	policy = low_cache(L);
	if (!low_want(L, 2 + load + multicast, 2 + load + multicast + policy))
		return false;
	map = tensor(L, &ops[load], p);
	shared = low_whole_address(L, &ops[!load], SP_SHARED);
	if (load)
		barrier = low_whole_address(L, &ops[2], SP_SHARED);
	if (map == SG_NOSLOT || shared == SG_NOSLOT || (load && barrier == SG_NOSLOT))
		return false;
	in = low_emit(L, sg_op_cp_tensor, K_MEM);
	in->a = map;
	in->b = shared;
	in->e = barrier;
	in->extra = p;
	return true;
}
