// SPDX-License-Identifier: Apache-2.0
/* Instructions in which the lanes of a warp see each other. in->c holds each lane's member mask. */
#include <string.h>

#include "ops.h"

/* Lanes of m may carry different member masks: the tiles of a partition. */
#define FOR_TILES(m, masks, tile) \
	for (uint32_t rest_ = (m), tile; \
	     rest_ && ((tile = (masks)[__builtin_ctz(rest_)] & (m)) | 1); \
	     rest_ &= ~(tile | (rest_ & -rest_)))

/* PTX ISA, shfl.sync: b is the lane or distance, the slot in imm has clamp and segment mask. */
void sg_op_shfl(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	const uint32_t *a = sg_slot(x, in->a), *b = sg_slot(x, in->b);
	const uint32_t *seg = sg_slot(x, in->imm);
	uint32_t *d = sg_slot(x, in->d);
	uint32_t from[SG_LANES], valid = 0;

	memcpy(from, a, sizeof(from));
	for (uint32_t r = m; r; r &= r - 1) {
		int l = __builtin_ctz(r);
		uint32_t bval = b[l] & 31, cval = seg[l] & 31, mask = seg[l] >> 8 & 31;
		int max = (l & mask) | (cval & ~mask), min = l & mask, j;
		bool ok;

		switch (in->sub) {
		case SHFL_UP:
			j = l - (int)bval;
			ok = j >= max;
			break;
		case SHFL_DOWN:
			j = l + bval;
			ok = j <= max;
			break;
		case SHFL_BFLY:
			j = l ^ bval;
			ok = j <= max;
			break;
		default:
			j = min | (bval & ~mask);
			ok = j <= max;
			break;
		}
		if (!ok)
			j = l;
		d[l] = from[j & 31];
		valid |= (uint32_t)ok << l;
	}
	if (in->e != SG_NOSLOT)
		sg_pred_write(x, in->e, m, valid);
}

void sg_op_vote(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	uint32_t p = *(uint32_t *)sg_slot(x, in->a);
	const uint32_t *masks = sg_slot(x, in->c);

	FOR_TILES(m, masks, tile) {
		uint32_t yes = p & tile, out;

		switch (in->sub) {
		case VOTE_ALL:
			out = yes == tile;
			break;
		case VOTE_ANY:
			out = yes != 0;
			break;
		case VOTE_UNI:
			out = yes == tile || !yes;
			break;
		default: {
			uint32_t *d = sg_slot(x, in->d);

			SG_EACH(tile, d[l] = yes);
			continue;
		}
		}
		sg_pred_write(x, in->d, tile, out ? SG_FULL : 0);
	}
}

static uint64_t value(const void *a, int size, int l)
{
	return size == 8 ? ((const uint64_t *)a)[l] : ((const uint32_t *)a)[l];
}

void sg_op_match_any(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	const void *a = sg_slot(x, in->a);
	const uint32_t *masks = sg_slot(x, in->c);
	uint32_t *d = sg_slot(x, in->d), out[SG_LANES];

	for (uint32_t r = m; r; r &= r - 1) {
		int l = __builtin_ctz(r);

		out[l] = 0;
		for (uint32_t s = m & masks[l]; s; s &= s - 1)
			if (value(a, in->size, __builtin_ctz(s)) == value(a, in->size, l))
				out[l] |= s & -s;
	}
	SG_EACH(m, d[l] = out[l]);
}

void sg_op_match_all(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	const void *a = sg_slot(x, in->a);
	const uint32_t *masks = sg_slot(x, in->c);
	uint32_t *d = sg_slot(x, in->d), all = 0, out[SG_LANES];

	for (uint32_t r = m; r; r &= r - 1) {
		int l = __builtin_ctz(r);
		bool same = true;

		for (uint32_t s = m & masks[l]; s; s &= s - 1)
			same &= value(a, in->size, __builtin_ctz(s)) == value(a, in->size, l);
		out[l] = same ? masks[l] & m : 0;
		all |= (uint32_t)same << l;
	}
	SG_EACH(m, d[l] = out[l]);
	if (in->e != SG_NOSLOT)
		sg_pred_write(x, in->e, m, all);
}

void sg_op_redux(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	const uint32_t *masks = sg_slot(x, in->c);
	uint32_t *d = sg_slot(x, in->d), a[SG_LANES];
	bool is_signed = sg_type_signed(in->dtype);

	memcpy(a, sg_slot(x, in->a), sizeof(a));
	FOR_TILES(m, masks, tile) {
		uint32_t acc, first = __builtin_ctz(tile);

		if (!tile)
			continue;
		acc = a[first];
		for (uint32_t r = tile & (tile - 1); r; r &= r - 1) {
			uint32_t v = a[__builtin_ctz(r)];
			bool less = is_signed ? (int32_t)v < (int32_t)acc : v < acc;

			switch (in->sub) {
			case RX_ADD:
				acc += v;
				break;
			case RX_MIN:
				acc = less ? v : acc;
				break;
			case RX_MAX:
				acc = less ? acc : v;
				break;
			case RX_AND:
				acc &= v;
				break;
			case RX_OR:
				acc |= v;
				break;
			default:
				acc ^= v;
				break;
			}
		}
		SG_EACH(tile, d[l] = acc);
	}
}

void sg_op_elect(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	const uint32_t *masks = sg_slot(x, in->c);

	FOR_TILES(m, masks, tile) {
		uint32_t leader = tile ? __builtin_ctz(tile) : 0;

		if (in->d != SG_NOSLOT) {
			uint32_t *d = sg_slot(x, in->d);

			SG_EACH(tile, d[l] = leader);
		}
		sg_pred_write(x, in->e, tile, 1u << leader);
	}
}

void sg_op_activemask(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	uint32_t *d = sg_slot(x, in->d);

	SG_EACH(m, d[l] = m);
}
