// SPDX-License-Identifier: Apache-2.0
/*
 * Asynchronous copies and mbarriers. A copy is done at once, which its wait instructions allow;
 * an mbarrier that it reports to sees it completed. A block runs on one thread, so that nothing
 * here needs atomics.
 */
#include <string.h>

#include "cuda_abi.h"
#include "ops.h"

void sg_op_cp_async(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	const uint64_t *from = sg_slot(x, in->b);
	const uint32_t *n = in->c == SG_NOSLOT ? NULL : sg_slot(x, in->c);
	uint32_t skip = in->e == SG_NOSLOT ? 0 : *(uint32_t *)sg_slot(x, in->e);
	char *host[SG_LANES];

	if (!sg_mem_resolve(x, in, m, in->size, host))
		return;
	for (uint32_t r = m; r; r &= r - 1) {
		int l = __builtin_ctz(r);
		uint32_t bytes = n && n[l] < in->size ? n[l] : in->size;
		const void *src = NULL;

		if (skip >> l & 1)
			bytes = 0;
		if (bytes)
			src = sg_mem_lane(x, from[l], bytes, in->size, SP_GLOBAL, l);
		if (bytes && !src)
			return;
		memset(host[l], 0, in->size);
		if (bytes)
			memcpy(host[l], src, bytes);
	}
}

/*
 * An mbarrier object, whose layout is its implementation's own: arrivals that a phase expects,
 * those that it still waits for, its parity, and the bytes that are on their way.
 */
#define COUNT_BITS 20
#define COUNT_MASK ((1u << COUNT_BITS) - 1)
#define PHASE_BIT 40
#define BYTES_BIT 41

struct mbarrier {
	uint32_t expected, pending, phase;
	int32_t bytes;
};

static struct mbarrier unpack(uint64_t v)
{
	return (struct mbarrier){ v & COUNT_MASK, v >> COUNT_BITS & COUNT_MASK, v >> PHASE_BIT & 1,
				  (int64_t)v >> BYTES_BIT };
}

static uint64_t pack(const struct mbarrier *b)
{
	return (b->expected & COUNT_MASK) | (uint64_t)(b->pending & COUNT_MASK) << COUNT_BITS |
	       (uint64_t)b->phase << PHASE_BIT | (uint64_t)b->bytes << BYTES_BIT;
}

static void end_phase(struct mbarrier *b)
{
	if (b->pending || b->bytes)
		return;
	b->phase ^= 1;
	b->pending = b->expected;
}

/* False: the lane's arrival is none that the barrier can take. */
static bool change(struct mbarrier *b, enum sg_mbar what, uint32_t arg, uint32_t bytes)
{
	switch (what) {
	case MB_INIT:
		*b = (struct mbarrier){ arg, arg, 0, 0 };
		return arg && arg <= COUNT_MASK;
	case MB_INVAL:
		*b = (struct mbarrier){ 0 };
		return true;
	case MB_EXPECT:
		b->bytes += arg;
		return true;
	case MB_COMPLETE:
		b->bytes -= arg;
		break;
	case MB_DROP:
	case MB_ARRIVE:
		if (!arg || arg > b->pending || (what == MB_DROP && arg > b->expected))
			return false;
		if (what == MB_DROP)
			b->expected -= arg;
		b->bytes += bytes;
		b->pending -= arg;
		break;
	default:
		return true;
	}
	end_phase(b);
	return true;
}

/*
 * in->sub: what is done; in->b: a count, bytes, a state or a parity; in->c: bytes that an arrival
 * expects; in->d: the state before it, or the predicate of a test.
 */
void sg_op_mbarrier(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	const uint32_t *arg = in->b == SG_NOSLOT ? NULL : sg_slot(x, in->b);
	const uint32_t *bytes = in->c == SG_NOSLOT ? NULL : sg_slot(x, in->c);
	uint64_t *state = in->d == SG_NOSLOT || in->sub >= MB_TEST ? NULL : sg_slot(x, in->d);
	char *host[SG_LANES];
	uint32_t done = 0;

	if (!sg_mem_resolve(x, in, m, 8, host))
		return;
	for (uint32_t r = m; r; r &= r - 1) {
		int l = __builtin_ctz(r);
		uint64_t *at = (uint64_t *)host[l];
		struct mbarrier b = unpack(*at);

		if (in->sub == MB_TEST) {
			struct mbarrier then = unpack(((const uint64_t *)arg)[l]);

			done |= (b.phase ^ then.phase) << l;
			continue;
		}
		if (in->sub == MB_PARITY) {
			done |= (b.phase ^ (arg[l] & 1)) << l;
			continue;
		}
		if (state)
			state[l] = *at;
		if (!change(&b, in->sub, arg ? arg[l] : 1, bytes ? bytes[l] : 0)) {
			sg_fault(x, CUDA_ERROR_ILLEGAL_INSTRUCTION,
				 "an mbarrier that waits for %u arrivals cannot take %u", b.pending,
				 arg ? arg[l] : 1);
			return;
		}
		*at = pack(&b);
	}
	if (in->sub >= MB_TEST)
		sg_pred_write(x, in->d, m, done);
}

void sg_op_pending_count(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	const uint64_t *a = sg_slot(x, in->a);
	uint32_t *d = sg_slot(x, in->d);

	SG_EACH(m, d[l] = unpack(a[l]).pending);
}

bool sg_mbarrier_complete(struct sg_exec *x, uint64_t addr, uint32_t bytes, int lane)
{
	uint64_t *at = sg_mem_lane(x, addr, 8, 8, SP_SHARED, lane);
	struct mbarrier b;

	if (!at)
		return false;
	b = unpack(*at);
	change(&b, MB_COMPLETE, bytes, 0);
	*at = pack(&b);
	return true;
}

/*
 * A bulk copy: in->a is the destination in in->space, in->b the source in space in->sub, in->c the
 * number of bytes, in->e the address of the mbarrier that hears of it.
 */
void sg_op_cp_bulk(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	const uint64_t *to = sg_slot(x, in->a), *from = sg_slot(x, in->b);
	const uint64_t *barrier = in->e == SG_NOSLOT ? NULL : sg_slot(x, in->e);
	const uint32_t *bytes = sg_slot(x, in->c);

	for (uint32_t r = m; r; r &= r - 1) {
		int l = __builtin_ctz(r);
		void *dst, *src;

		if (bytes[l] % 16) {
			sg_fault(x, CUDA_ERROR_ILLEGAL_INSTRUCTION, "a bulk copy of %u bytes",
				 bytes[l]);
			return;
		}
		if (bytes[l]) {
			dst = sg_mem_lane(x, to[l], bytes[l], 16, in->space, l);
			src = dst ? sg_mem_lane(x, from[l], bytes[l], 16, in->sub, l) : NULL;
			if (!src)
				return;
			memmove(dst, src, bytes[l]);
		}
		if (barrier && !sg_mbarrier_complete(x, barrier[l], bytes[l], l))
			return;
	}
}
