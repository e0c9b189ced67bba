// SPDX-License-Identifier: Apache-2.0
/* Bulk copies of boxes of a tensor: rows with nothing between them in shared memory. */
#include <string.h>

#include "cuda_abi.h"
#include "ops.h"
#include "tensor_map.h"

struct box {
	const struct sg_tensor_map *map;
	char *shared;		/* the bytes at the address `at` */
	uint32_t at, end;	/* no address is at `end` or above */
	int32_t first[SG_TENSOR_RANK];	/* coordinates */
	bool store;
	int lane;
};

/*
 * Pieces of 16 bytes of a swizzled row are exchanged by the bits of the address above 7.  They stay
 * within the same 128 bytes, but shared memory may end before those do: NULL then.
 */
static char *in_shared(const struct box *b, uint32_t offset)
{
	uint32_t at = b->at + offset;

	if (b->map->swizzle)
		at ^= (at >> 7 & (b->map->swizzle / 16 - 1)) << 4;
	if (at < b->at || at > b->end || b->end - at < b->map->bytes)
		return NULL;
	return b->shared + (at - b->at);
}

static bool outside(struct sg_exec *x, uint32_t at)
{
	sg_fault(x, CUDA_ERROR_ILLEGAL_ADDRESS,
		 "the swizzled box of a tensor map at 0x%x in shared memory reaches past its end", at);
	return false;
}

/* One row, whose other coordinates are in the tensor if `inside`. */
static bool copy_row(struct sg_exec *x, const struct box *b, uint64_t addr, uint32_t offset,
		     bool inside)
{
	const struct sg_tensor_map *m = b->map;
	int64_t from = b->first[0] < 0 ? -(int64_t)b->first[0] : 0, to = m->box[0];
	char *global = NULL;

	if (to > (int64_t)m->dim[0] - b->first[0])
		to = (int64_t)m->dim[0] - b->first[0];
	if (!inside || to < from)
		from = to = 0;
	addr += ((int64_t)b->first[0] + from) * m->bytes;
	if (to > from) {
		global = sg_mem_lane(x, addr, (to - from) * m->bytes, m->bytes, SP_GLOBAL, b->lane);
		if (!global)
			return false;
	}
	for (int64_t i = 0; i < m->box[0]; i++) {
		char *s = in_shared(b, offset + i * m->bytes);

		if (!s)
			return outside(x, b->at);
		if (i >= from && i < to) {
			char *g = global + (i - from) * m->bytes;

			memcpy(b->store ? g : s, b->store ? s : g, m->bytes);
		} else if (!b->store) {
			/* a NaN of each width: all bits */
			memset(s, m->fill_nan ? 0xff : 0, m->bytes);
		}
	}
	return true;
}

static bool copy(struct sg_exec *x, const struct box *b)
{
	const struct sg_tensor_map *m = b->map;
	uint32_t i[SG_TENSOR_RANK] = { 0 }, offset = 0;
	int d;

	do {
		uint64_t addr = m->address;
		bool inside = true;

		for (d = 1; d < m->rank; d++) {
			int64_t c = b->first[d] + (int64_t)i[d] * m->step[d];

			inside &= c >= 0 && c < (int64_t)m->dim[d];
			addr += c * m->stride[d];
		}
		if (!copy_row(x, b, addr, offset, inside))
			return false;
		offset += m->box[0] * m->bytes;
		for (d = 1; d < m->rank && ++i[d] == m->box[d]; d++)
			i[d] = 0;
	} while (d < m->rank);
	return true;
}

/*
 * A copy of the map at this address: what the program does to it meanwhile, be it by the very load,
 * must not change what has been checked.
 */
static bool take_map(struct sg_exec *x, uint64_t addr, int rank, int lane,
		     struct sg_tensor_map *out)
{
	const void *at = sg_mem_lane(x, addr, sizeof(CUtensorMap), 64, SP_GENERIC, lane);

	if (!at)
		return false;
	memcpy(out, at, sizeof(*out));
	if (sg_tensor_map_valid(out) && out->rank == rank)
		return true;
	sg_fault(x, CUDA_ERROR_ILLEGAL_INSTRUCTION, "no tensor map of %d dimensions at 0x%llx",
		 rank, (unsigned long long)addr);
	return false;
}

/*
 * in->a: the address of the map; in->b: that in shared memory; in->e: that of the mbarrier that
 * hears of a load.
 */
void sg_op_cp_tensor(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	const uint64_t *maps = sg_slot(x, in->a), *shared = sg_slot(x, in->b);
	const uint64_t *barrier = in->e == SG_NOSLOT ? NULL : sg_slot(x, in->e);
	const struct sg_cp_tensor *p = in->extra;

	for (uint32_t r = m; r; r &= r - 1) {
		int l = __builtin_ctz(r);
		struct sg_tensor_map map;
		struct box b = { .map = &map, .store = p->store, .lane = l, .at = shared[l],
				 .end = x->launch->shared_total };
		uint64_t bytes;

		if (!take_map(x, maps[l], p->rank, l, &map))
			return;
		bytes = sg_tensor_box_bytes(&map);
		if (bytes > b.end) {
			sg_fault(x, CUDA_ERROR_ILLEGAL_ADDRESS,
				 "the box of a tensor map has %llu bytes, shared memory has %u",
				 (unsigned long long)bytes, b.end);
			return;
		}
		for (int d = 0; d < p->rank; d++)
			b.first[d] = ((const int32_t *)sg_slot(x, p->at[d]))[l];
		b.shared = sg_mem_lane(x, shared[l], bytes, 128, SP_SHARED, l);
		if (!b.shared || !copy(x, &b))
			return;
		if (barrier && !sg_mbarrier_complete(x, barrier[l], bytes, l))
			return;
	}
}
