// SPDX-License-Identifier: Apache-2.0
/*
 * wgmma: a warp multiplies its 16 rows of A by all of B and adds them to its rows of D.  What it
 * needs of the other warps lies in shared memory already, so it is done at once.
 */
#include <string.h>

#include "cuda_abi.h"
#include "ops.h"

#define ROWS 16			/* of a warp */
#define N_MAX 256
#define K_MAX 32

/* Where a matrix lies (PTX ISA, Matrix Descriptor Format). */
struct matrix {
	uint32_t start, leading, stride;
	uint32_t width;		/* bytes of a swizzled row; 16: no swizzle */
	bool by_k;		/* neighbours differ in k */
};

static bool describe(struct sg_exec *x, uint64_t bits, bool by_k, struct matrix *out)
{
	static const uint8_t widths[] = { 16, 128, 64, 32 };

	if (bits >> 49 & 7) {
		sg_fault(x, CUDA_ERROR_ILLEGAL_INSTRUCTION,
			 "a matrix with a base offset is not implemented");
		return false;
	}
	out->start = (bits & 0x3fff) << 4;
	out->leading = (bits >> 16 & 0x3fff) << 4;
	out->stride = (bits >> 32 & 0x3fff) << 4;
	out->width = widths[bits >> 62];
	out->by_k = by_k;
	return true;
}

/*
 * An element's address: `row` is a number of m or n.  Groups of eight lines of `width` bytes lie
 * together, and a line's pieces of 16 bytes are exchanged by the bits of the address above 7.
 */
static uint32_t place(const struct matrix *d, uint32_t row, uint32_t k, uint32_t bytes)
{
	uint32_t along = (d->by_k ? k : row) * bytes, across = d->by_k ? row : k;
	uint32_t at = d->start + across % 8 * d->width + along % d->width;

	if (d->by_k || d->width > 16)
		at += across / 8 * d->stride + along / d->width * d->leading;
	else
		at += across / 8 * d->leading + along / d->width * d->stride;
	return at ^ (at >> 7 & (d->width / 16 - 1)) << 4;
}

static bool load(struct sg_exec *x, const struct matrix *d, enum sg_element t, uint32_t bytes,
		 uint32_t row, int k, bool negate, double *out)
{
	for (int i = 0; i < k; i++) {
		const void *p = sg_mem_lane(x, place(d, row, i, bytes), bytes, bytes, SP_SHARED, 0);
		uint64_t raw = 0;

		if (!p)
			return false;
		memcpy(&raw, p, bytes);
		out[i] = sg_as_number(raw, t);
		if (negate)
			out[i] = -out[i];
	}
	return true;
}

/* Rows of A that the lanes have: each register holds neighbours of a row. */
static void load_registers(struct sg_exec *x, const struct sg_wgmma *w, uint32_t bytes,
			   double a[ROWS][K_MAX])
{
	int each = 4 / bytes;

	for (int r = 0; r < 4; r++) {
		const uint32_t *word = sg_slot(x, w->mma.slot[w->mma.nd + r]);

		for (int l = 0; l < SG_LANES; l++) {
			for (int e = 0; e < each; e++) {
				uint64_t raw = bytes == 4 ? word[l] :
					       word[l] >> 8 * bytes * e & ((1u << 8 * bytes) - 1);
				double v = sg_as_number(raw, w->mma.a);

				a[l / 4 + 8 * (r & 1)][(l % 4 + 4 * (r >> 1)) * each + e] =
					w->negate_a ? -v : v;
			}
		}
	}
}

void sg_op_wgmma(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	const struct sg_wgmma *w = in->extra;
	const struct sg_mma *p = &w->mma;
	uint32_t bytes = 32 / p->k, first = x->warp->index % 4 * ROWS;
	uint32_t add = *(const uint32_t *)sg_slot(x, w->scale_d);
	double a[ROWS][K_MAX], b[N_MAX][K_MAX];
	struct matrix d;

	(void)m;
	if (w->a == SG_NOSLOT) {
		load_registers(x, w, bytes, a);
	} else {
		if (!describe(x, *(const uint64_t *)sg_slot(x, w->a), !w->a_by_m, &d))
			return;
		for (int i = 0; i < ROWS; i++)
			if (!load(x, &d, p->a, bytes, first + i, p->k, w->negate_a, a[i]))
				return;
	}
	if (!describe(x, *(const uint64_t *)sg_slot(x, w->b), !w->b_by_n, &d))
		return;
	for (int i = 0; i < p->n; i++)
		if (!load(x, &d, p->b, bytes, i, p->k, w->negate_b, b[i]))
			return;
	/* element i of a lane: two neighbours in one row, two in the row 8 below, then the next 8 */
	for (int i = 0; i < p->n / 2; i++) {
		for (int l = 0; l < SG_LANES; l++) {
			const double *row = a[l / 4 + 8 * (i / 2 % 2)];
			const double *column = b[8 * (i / 4) + l % 4 * 2 + i % 2];

			if (p->d == EL_F16) {
				uint16_t *at = (uint16_t *)sg_slot(x, p->slot[i / 2]) + 2 * l + i % 2;

				*at = sg_dot(p, row, column, add >> l & 1 ? *at : 0);
			} else {
				uint32_t *at = (uint32_t *)sg_slot(x, p->slot[i]) + l;

				*at = sg_dot(p, row, column, add >> l & 1 ? *at : 0);
			}
		}
	}
}
