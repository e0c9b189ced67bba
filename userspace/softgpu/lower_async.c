// SPDX-License-Identifier: Apache-2.0
/* Lowering of asynchronous copies and mbarriers. */
#include <string.h>

#include "lower.h"

int32_t low_whole_address(struct low *L, struct ptx_operand *o, enum sg_space space)
{
	struct sg_insn tmp = { .vec = 1, .size = 1 }, *in;
	int32_t wide, sum;

	if (!low_address(L, o, space, &tmp))
		return SG_NOSLOT;
	if (tmp.space != space) {
		low_unsupported(L);
		return SG_NOSLOT;
	}
	if (tmp.atype == T_U32) {
		struct sg_insn c = { .dtype = T_U64, .atype = T_U32, .size = 8, .vec = 4 };

		wide = low_temp(L, 8);
		in = low_emit(L, sg_cvt_op(&c), K_PLAIN);
		in->a = tmp.a;
		in->d = wide;
		in->dtype = T_U64;
		in->atype = T_U32;
		in->size = 8;
		in->vec = 4;
		tmp.a = wide;
	}
	if (!tmp.imm && space != SP_SHARED)
		return tmp.a;
	sum = low_temp(L, 8);
	in = low_emit(L, low_find_op("add", T_U64)->fn, K_PLAIN);
	in->a = tmp.a;
	in->b = low_const(L, 8, tmp.imm);
	in->d = sum;
	if (space == SP_SHARED) {
		/* these have 32 bits, as anywhere */
		in = low_emit(L, low_find_op("and", T_B64)->fn, K_PLAIN);
		in->a = in->d = sum;
		in->b = low_const(L, 8, UINT32_MAX);
	}
	return sum;
}

/* cp.async.ca.shared.global [dst], [src], bytes {, used or skip} {, policy} */
static bool lower_cp_async(struct low *L)
{
	struct sg_insn dst = { .vec = 1 }, *in;
	struct ptx_operand *ops = L->s->ops;
	int32_t n = SG_NOSLOT, skip = SG_NOSLOT, from;
	struct sg_vslot r;
	bool policy;

	if (!low_mod(L, "shared") && !low_mod(L, "shared::cta"))
		return low_unsupported(L);
	if (!low_mod(L, "global"))
		return low_unsupported(L);
	policy = low_cache(L);
	if (!low_want(L, 3, 4 + policy) || ops[2].kind != OP_INT)
		return low_unsupported(L);
	if (ops[2].bits != 4 && ops[2].bits != 8 && ops[2].bits != 16)
		return low_fail(L, "a copy of another size than 4, 8 or 16 bytes");
	dst.size = ops[2].bits;
	if (!low_address(L, &ops[0], SP_SHARED, &dst))
		return false;
	from = low_whole_address(L, &ops[1], SP_GLOBAL);
	if (from == SG_NOSLOT)
		return false;
	if (L->s->nops == 4 + policy) {
		bool pred = ops[3].kind == OP_NOT || (low_reg(L, &ops[3], &r) && !r.size);
		int32_t slot = low_src(L, &ops[3], pred ? T_PRED : T_U32);

		if (slot == SG_NOSLOT)
			return false;
		if (pred)
			skip = slot;
		else
			n = slot;
	}
	in = low_emit(L, sg_op_cp_async, K_MEM);
	in->a = dst.a;
	in->imm = dst.imm;
	in->atype = dst.atype;
	in->space = dst.space;
	in->size = dst.size;
	in->b = from;
	in->c = n;
	in->e = skip;
	return true;
}

static bool mbarrier_op(struct low *L, enum sg_mbar what, struct ptx_operand *address,
			struct sg_insn *args)
{
	struct sg_insn tmp = { .vec = 1, .size = 8 }, *in;
	enum sg_space space;

	low_space(L, &space);
	if (!low_address(L, address, space, &tmp))
		return false;
	in = low_emit(L, sg_op_mbarrier, K_MEM);
	in->a = tmp.a;
	in->imm = tmp.imm;
	in->atype = tmp.atype;
	in->space = tmp.space;
	in->sub = what;
	in->b = args->b;
	in->c = args->c;
	in->d = args->d;
	return true;
}

/*
 * cp.async.bulk.shared.global.mbarrier::complete_tx::bytes [dst], [src], bytes, [mbarrier] and
 * cp.async.bulk.global.shared.bulk_group [dst], [src], bytes
 */
static bool lower_cp_bulk(struct low *L)
{
	struct ptx_operand *ops = L->s->ops;
	int32_t to, from, n, barrier = SG_NOSLOT;
	struct sg_insn *in;
	bool in_shared, policy;

	if (low_mod(L, "commit_group"))
		return low_want(L, 0, 0);
	if (low_mod(L, "wait_group")) {
		low_mod(L, "read");
		return low_want(L, 1, 1);
	}
	if (low_mod(L, "tensor"))
		return low_cp_tensor(L, low_mod(L, "prefetch"));
	/* advice: [address], size */
	if (low_mod(L, "prefetch")) {
		if (!low_mod(L, "L2") || !low_mod(L, "global"))
			return low_unsupported(L);
		policy = low_cache(L);
		return low_want(L, 2, 2 + policy);
	}
	if (L->s->nmods < 4)
		return low_unsupported(L);
	in_shared = strcmp(L->s->mods[2], "global") != 0;
	if ((!low_mod(L, "shared::cluster") && !low_mod(L, "shared::cta")) ||
	    !low_mod(L, "global") ||
	    !low_mod(L, in_shared ? "mbarrier::complete_tx::bytes" : "bulk_group"))
		return low_unsupported(L);
	policy = low_cache(L);
	if (!low_want(L, 3 + in_shared, 3 + in_shared + policy))
		return false;
	to = low_whole_address(L, &ops[0], in_shared ? SP_SHARED : SP_GLOBAL);
	from = low_whole_address(L, &ops[1], in_shared ? SP_GLOBAL : SP_SHARED);
	n = low_src(L, &ops[2], T_U32);
	if (in_shared)
		barrier = low_whole_address(L, &ops[3], SP_SHARED);
	if (to == SG_NOSLOT || from == SG_NOSLOT || n == SG_NOSLOT ||
	    (in_shared && barrier == SG_NOSLOT))
		return false;
	in = low_emit(L, sg_op_cp_bulk, K_MEM);
	in->a = to;
	in->b = from;
	in->c = n;
	in->e = barrier;
	in->space = in_shared ? SP_SHARED : SP_GLOBAL;
	in->sub = in_shared ? SP_GLOBAL : SP_SHARED;
	return true;
}

static bool lower_cp(struct low *L)
{
	struct sg_insn none = { .b = SG_NOSLOT, .c = SG_NOSLOT, .d = SG_NOSLOT };

	if (!low_mod(L, "async"))
		return low_unsupported(L);
	if (low_mod(L, "bulk"))
		return lower_cp_bulk(L);
	if (low_mod(L, "commit_group") || low_mod(L, "wait_all"))
		return low_want(L, 0, 0);	/* the copy itself was synchronous */
	if (low_mod(L, "wait_group"))
		return low_want(L, 1, 1);
	if (low_mod(L, "mbarrier")) {
		if (!low_mod(L, "arrive") || low_last_type(L) != T_B64 || !low_want(L, 1, 1))
			return low_unsupported(L);
		if (low_mod(L, "noinc"))
			return mbarrier_op(L, MB_ARRIVE, &L->s->ops[0], &none);
		/* one arrival more is awaited, and that one is here already */
		return mbarrier_op(L, MB_EXPECT, &L->s->ops[0],
				   &(struct sg_insn){ .b = low_const(L, 4, 0), .c = SG_NOSLOT,
						      .d = SG_NOSLOT });
	}
	return lower_cp_async(L);
}

/* A waiting warp lets others run: what it waits for is their work. */
static void yield_unless(struct low *L, int32_t pred)
{
	struct sg_insn *in;

	if (L->guard != SG_NOSLOT)
		return;
	in = low_emit(L, NULL, K_YIELD);
	in->guard = pred;
	in->guard_not = true;
}

static bool lower_mbarrier_wait(struct low *L, bool may_block)
{
	struct ptx_operand *ops = L->s->ops;
	bool parity = low_mod(L, "parity");
	struct sg_insn args = { .c = SG_NOSLOT };

	low_order(L);
	if (low_last_type(L) != T_B64 || !low_want(L, 3, may_block ? 4 : 3))
		return low_unsupported(L);
	args.d = low_dst(L, &ops[0], T_PRED);
	args.b = low_src(L, &ops[2], parity ? T_B32 : T_B64);
	if (args.d == SG_NOSLOT || args.b == SG_NOSLOT ||
	    !mbarrier_op(L, parity ? MB_PARITY : MB_TEST, &ops[1], &args))
		return false;
	if (may_block)
		yield_unless(L, args.d);
	return true;
}

/* mbarrier.arrive{.expect_tx} {state,} [address] {, count or bytes} */
static bool lower_mbarrier_arrive(struct low *L, enum sg_mbar what)
{
	struct ptx_operand *ops = L->s->ops;
	bool expect = low_mod(L, "expect_tx");
	struct sg_insn args = { .b = SG_NOSLOT, .c = SG_NOSLOT, .d = SG_NOSLOT };
	int i = 0;

	low_mod(L, "noComplete");
	low_order(L);
	if (low_last_type(L) != T_B64 || !low_want(L, 1, 3))
		return low_unsupported(L);
	if (ops[0].kind != OP_ADDR && low_is_sink(&ops[i]))
		i++;
	else if (ops[0].kind != OP_ADDR && (args.d = low_dst(L, &ops[i++], T_B64)) == SG_NOSLOT)
		return false;
	if (i >= L->s->nops)
		return low_fail(L, "an address is expected");
	if (i + 1 < L->s->nops) {
		int32_t n = low_src(L, &ops[i + 1], T_U32);

		if (n == SG_NOSLOT)
			return false;
		if (expect)
			args.c = n;
		else
			args.b = n;
	}
	return mbarrier_op(L, what, &ops[i], &args);
}

static bool lower_mbarrier(struct low *L)
{
	struct sg_insn args = { .b = SG_NOSLOT, .c = SG_NOSLOT, .d = SG_NOSLOT }, *in;
	struct ptx_operand *ops = L->s->ops;
	enum sg_mbar what;

	if (low_mod(L, "test_wait"))
		return lower_mbarrier_wait(L, false);
	if (low_mod(L, "try_wait"))
		return lower_mbarrier_wait(L, true);
	if (low_mod(L, "arrive_drop"))
		return lower_mbarrier_arrive(L, MB_DROP);
	if (low_mod(L, "arrive"))
		return lower_mbarrier_arrive(L, MB_ARRIVE);
	if (low_mod(L, "pending_count")) {
		if (low_last_type(L) != T_B64 || !low_want(L, 2, 2))
			return low_unsupported(L);
		args.a = low_src(L, &ops[1], T_B64);
		args.d = low_dst(L, &ops[0], T_B32);
		if (args.a == SG_NOSLOT || args.d == SG_NOSLOT)
			return false;
		in = low_emit(L, sg_op_pending_count, K_PLAIN);
		in->a = args.a;
		in->d = args.d;
		return true;
	}
	what = low_mod(L, "init") ? MB_INIT : low_mod(L, "inval") ? MB_INVAL :
	       low_mod(L, "expect_tx") ? MB_EXPECT :
	       low_mod(L, "complete_tx") ? MB_COMPLETE : MB_TEST;
	low_order(L);
	if (what == MB_TEST || (low_last_type(L) != T_B64 && what < MB_EXPECT))
		return low_unsupported(L);
	if (!low_want(L, what == MB_INVAL ? 1 : 2, what == MB_INVAL ? 1 : 2))
		return false;
	if (what != MB_INVAL && (args.b = low_src(L, &ops[1], T_U32)) == SG_NOSLOT)
		return false;
	return mbarrier_op(L, what, &ops[0], &args);
}

bool low_async(struct low *L, bool *known)
{
	static const struct {
		const char *op;
		bool (*fn)(struct low *);
	} list[] = {
		{ "cp", lower_cp }, { "mbarrier", lower_mbarrier },
	};

	*known = true;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (!strcmp(list[i].op, L->s->op))
			return list[i].fn(L);
	*known = false;
	return true;
}
