// SPDX-License-Identifier: Apache-2.0
/*
 * Matrices whose elements lie in the registers of a warp's lanes (PTX ISA, Matrix Fragments).
 *
 * Whole numbers are exact. Products of floats and their sums are kept in double and rounded once;
 * PTX leaves the order and the rounding of the sums open, and hardware cuts off more.
 */
#include <math.h>
#include <string.h>

#include "ops.h"

#define M_MAX 16
#define N_MAX 8
#define K_MAX 64

static const uint8_t element_bits[] = {
	[EL_F16] = 16, [EL_BF16] = 16, [EL_TF32] = 32, [EL_E4M3] = 8, [EL_E5M2] = 8, [EL_F32] = 32,
	[EL_F64] = 64, [EL_S8] = 8, [EL_U8] = 8, [EL_S4] = 4, [EL_U4] = 4, [EL_B1] = 1,
	[EL_S32] = 32,
};

double sg_as_number(uint64_t raw, enum sg_element t)
{
	uint32_t w = raw;
	double d;
	float f;

	switch (t) {
	case EL_F16:
		return sg_f16_to_f64(raw);
	case EL_BF16:
		return sg_bf16_to_f64(raw);
	case EL_E4M3:
		return sg_e4m3_to_f64(raw);
	case EL_E5M2:
		return sg_e5m2_to_f64(raw);
	case EL_TF32:
	case EL_F32:
		w &= t == EL_TF32 ? ~0x1fffu : ~0u;
		memcpy(&f, &w, 4);
		return f;
	case EL_F64:
		memcpy(&d, &raw, 8);
		return d;
	case EL_S8:
		return (int8_t)raw;
	case EL_S4:
		return (int)(raw & 15) - (raw & 8 ? 16 : 0);
	case EL_S32:
		return (int32_t)raw;
	default:	/* u8, u4 and b1 */
		return raw;
	}
}

static uint64_t from_number(double v, enum sg_element t)
{
	uint64_t u = 0;
	float f = v;

	switch (t) {
	case EL_F16:
		return sg_f64_to_f16(v, RND_N);
	case EL_F64:
		memcpy(&u, &v, 8);
		return u;
	default:
		memcpy(&u, &f, 4);
		return isnan(f) ? 0x7fffffff : u;
	}
}

static uint64_t element(struct sg_exec *x, int32_t slot, int l, enum sg_element t, int e)
{
	int bits = element_bits[t];
	uint32_t word;

	if (bits == 64)
		return ((const uint64_t *)sg_slot(x, slot))[l];
	word = ((const uint32_t *)sg_slot(x, slot))[l];
	return bits == 32 ? word : word >> e * bits & ((1u << bits) - 1);
}

/* Lane l is thread t of group g. Each 32-bit register holds neighbours of a row of A. */
static void load_a(struct sg_exec *x, const struct sg_mma *p, double a[M_MAX][K_MAX])
{
	int each = element_bits[p->a] == 64 ? 1 : 32 / element_bits[p->a];
	const int32_t *slot = p->slot + p->nd;

	for (int r = 0; r < p->na; r++) {
		int down = p->m == 16 ? r & 1 : 0, right = p->m == 16 ? r >> 1 : r;

		for (int l = 0; l < SG_LANES; l++)
			for (int e = 0; e < each; e++)
				a[l / 4 + 8 * down][(l % 4 + 4 * right) * each + e] =
					sg_as_number(element(x, slot[r], l, p->a, e), p->a);
	}
}

/* And neighbours of a column of B. */
static void load_b(struct sg_exec *x, const struct sg_mma *p, double b[N_MAX][K_MAX])
{
	int each = element_bits[p->b] == 64 ? 1 : 32 / element_bits[p->b];
	const int32_t *slot = p->slot + p->nd + p->na;

	for (int r = 0; r < p->nb; r++)
		for (int l = 0; l < SG_LANES; l++)
			for (int e = 0; e < each; e++)
				b[l / 4][(l % 4 + 4 * r) * each + e] =
					sg_as_number(element(x, slot[r], l, p->b, e), p->b);
}

/* Element i of a lane's part of C or D: two neighbours in each of one or two rows. */
#define C_ROW(l, i) ((l) / 4 + 8 * ((i) / 2))
#define C_COLUMN(l, i) ((l) % 4 * 2 + (i) % 2)

static uint64_t c_element(struct sg_exec *x, const struct sg_mma *p, int l, int i)
{
	const int32_t *slot = p->slot + p->nd + p->na + p->nb;

	return p->c == EL_F16 ? element(x, slot[i / 2], l, p->c, i % 2) :
	       element(x, slot[i], l, p->c, 0);
}

static void put_d(struct sg_exec *x, const struct sg_mma *p, int l, int i, uint64_t v)
{
	if (p->d == EL_F64)
		((uint64_t *)sg_slot(x, p->slot[i]))[l] = v;
	else if (p->d == EL_F16)
		((uint16_t *)sg_slot(x, p->slot[i / 2]))[2 * l + i % 2] = v;
	else
		((uint32_t *)sg_slot(x, p->slot[i]))[l] = v;
}

/* Bits are combined and counted by the word. */
static void multiply_bits(struct sg_exec *x, const struct sg_mma *p)
{
	const int32_t *sa = p->slot + p->nd, *sb = sa + p->na;
	uint32_t a[M_MAX][8], b[N_MAX][8], out[4][SG_LANES];

	for (int r = 0; r < p->na; r++) {
		int down = p->m == 16 ? r & 1 : 0, right = p->m == 16 ? r >> 1 : r;

		for (int l = 0; l < SG_LANES; l++)
			a[l / 4 + 8 * down][l % 4 + 4 * right] =
				((const uint32_t *)sg_slot(x, sa[r]))[l];
	}
	for (int r = 0; r < p->nb; r++)
		for (int l = 0; l < SG_LANES; l++)
			b[l / 4][l % 4 + 4 * r] = ((const uint32_t *)sg_slot(x, sb[r]))[l];
	for (int l = 0; l < SG_LANES; l++) {
		for (int i = 0; i < p->m / 4; i++) {
			const uint32_t *row = a[C_ROW(l, i)], *column = b[C_COLUMN(l, i)];

			out[i][l] = c_element(x, p, l, i);
			for (int k = 0; k < p->k / 32; k++)
				out[i][l] += __builtin_popcount(p->is_and ? row[k] & column[k] :
								row[k] ^ column[k]);
		}
	}
	for (int i = 0; i < p->m / 4; i++)
		for (int l = 0; l < SG_LANES; l++)
			put_d(x, p, l, i, out[i][l]);
}

uint64_t sg_dot(const struct sg_mma *p, const double *a, const double *b, uint64_t c)
{
	double sum = p->c == EL_S32 ? 0 : sg_as_number(c, p->c);

	if (p->d == EL_F64) {
		for (int k = 0; k < p->k; k++)
			sum = fma(a[k], b[k], sum);
		return from_number(sum, p->d);
	}
	for (int k = 0; k < p->k; k++)
		sum += p->a == EL_B1 && !p->is_and ? a[k] != b[k] : a[k] * b[k];
	if (p->d == EL_S32) {
		int64_t whole = (int64_t)sum + (int32_t)c;

		if (p->saturate)
			whole = whole > INT32_MAX ? INT32_MAX :
				whole < INT32_MIN ? INT32_MIN : whole;
		return (uint32_t)whole;
	}
	return from_number(sum, p->d);
}

void sg_op_mma(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	const struct sg_mma *p = in->extra;
	double a[M_MAX][K_MAX], b[N_MAX][K_MAX];
	uint64_t out[4][SG_LANES];

	(void)m;
	if (p->a == EL_B1) {
		multiply_bits(x, p);
		return;
	}
	load_a(x, p, a);
	load_b(x, p, b);
	/* D may be in the registers of C */
	for (int i = 0; i < p->m / 4; i++)
		for (int l = 0; l < SG_LANES; l++)
			out[i][l] = sg_dot(p, a[C_ROW(l, i)], b[C_COLUMN(l, i)],
					c_element(x, p, l, i));
	for (int i = 0; i < p->m / 4; i++)
		for (int l = 0; l < SG_LANES; l++)
			put_d(x, p, l, i, out[i][l]);
}

/*
 * Matrices of 8 rows of 16 bytes. Lane l has two neighbours in row l / 4, or in a column when the
 * matrix is transposed; lane 8 m + r has the address of row r of matrix m. in->vec: matrices;
 * in->sub: transposed.
 */
static uint16_t *cell(uint16_t rows[8][8], int l, int e, bool transposed)
{
	return transposed ? &rows[l % 4 * 2 + e][l / 4] : &rows[l / 4][l % 4 * 2 + e];
}

void sg_op_ldmatrix(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	const int32_t *slot = in->extra;
	uint32_t givers = in->vec == 4 ? SG_FULL : (1u << 8 * in->vec) - 1;
	uint16_t rows[8][8];
	char *host[SG_LANES];

	if (!sg_mem_resolve(x, in, m & givers, 16, host))
		return;
	for (int i = 0; i < in->vec; i++) {
		uint16_t *d = sg_slot(x, slot[i]);

		memset(rows, 0, sizeof(rows));
		for (int r = 0; r < 8; r++)
			if (m >> (8 * i + r) & 1)
				memcpy(rows[r], host[8 * i + r], 16);
		for (uint32_t r = m; r; r &= r - 1) {
			int l = __builtin_ctz(r);

			d[2 * l] = *cell(rows, l, 0, in->sub);
			d[2 * l + 1] = *cell(rows, l, 1, in->sub);
		}
	}
}

void sg_op_stmatrix(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	const int32_t *slot = in->extra;
	uint32_t givers = in->vec == 4 ? SG_FULL : (1u << 8 * in->vec) - 1;
	uint16_t rows[8][8];
	char *host[SG_LANES];

	if (!sg_mem_resolve(x, in, m & givers, 16, host))
		return;
	for (int i = 0; i < in->vec; i++) {
		const uint16_t *a = sg_slot(x, slot[i]);

		for (int l = 0; l < SG_LANES; l++)
			for (int e = 0; e < 2; e++)
				*cell(rows, l, e, in->sub) = a[2 * l + e];
		for (int r = 0; r < 8; r++)
			if (m >> (8 * i + r) & 1)
				memcpy(host[8 * i + r], rows[r], 16);
	}
}

void sg_op_movmatrix(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	const uint16_t *a = sg_slot(x, in->a);
	uint16_t *d = sg_slot(x, in->d), rows[8][8];

	for (int l = 0; l < SG_LANES; l++)
		for (int e = 0; e < 2; e++)
			*cell(rows, l, e, false) = a[2 * l + e];
	for (uint32_t r = m; r; r &= r - 1) {
		int l = __builtin_ctz(r);

		d[2 * l] = *cell(rows, l, 0, true);
		d[2 * l + 1] = *cell(rows, l, 1, true);
	}
}

/*
 * Fragments of wmma, whose layout is the machine's own: lane l has the elements from l * count / 32
 * on, the first in the lowest bits of its first register.
 */
static uint64_t wmma_element(struct sg_exec *x, const int32_t *slot, enum sg_element t, int count,
			     int e)
{
	int each = element_bits[t] == 64 ? 1 : 32 / element_bits[t], at = e % (count / SG_LANES);

	return element(x, slot[at / each], e / (count / SG_LANES), t, at % each);
}

static void wmma_put(struct sg_exec *x, const int32_t *slot, enum sg_element t, int count, int e,
		     uint64_t v)
{
	int bits = element_bits[t], each = bits == 64 ? 1 : 32 / bits, at = e % (count / SG_LANES);
	int l = e / (count / SG_LANES), shift = at % each * bits;
	uint32_t mask, *word;

	if (bits == 64) {
		((uint64_t *)sg_slot(x, slot[at]))[l] = v;
		return;
	}
	word = (uint32_t *)sg_slot(x, slot[at / each]) + l;
	mask = (bits == 32 ? ~0u : (1u << bits) - 1) << shift;
	*word = (*word & ~mask) | ((uint32_t)v << shift & mask);
}

#define WMMA_MAX 1024	/* elements; the most that A has is 8 * 128 */

void sg_op_wmma(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	const struct sg_mma *p = in->extra;
	const int32_t *sa = p->slot + p->nd, *sb = sa + p->na, *sc = sb + p->nb;
	int na = p->m * p->k, nb = p->k * p->n, nd = p->m * p->n;
	double a[WMMA_MAX], b[WMMA_MAX];
	uint64_t out[WMMA_MAX];

	(void)m;
	for (int e = 0; e < na; e++)
		a[e] = sg_as_number(wmma_element(x, sa, p->a, na, e), p->a);
	for (int e = 0; e < nb; e++)
		b[e] = sg_as_number(wmma_element(x, sb, p->b, nb, e), p->b);
	for (int e = 0; e < nd; e++)
		out[e] = sg_dot(p, a + e / p->n * p->k, b + e % p->n * p->k,
			     wmma_element(x, sc, p->c, nd, e));
	for (int e = 0; e < nd; e++)
		wmma_put(x, p->slot, p->d, nd, e, out[e]);
}

/* Memory of an element, whose address is a number of bits away from the lane's. */
static uint8_t *wmma_memory(struct sg_exec *x, const struct sg_insn *in, int l, uint64_t bit,
			    int bytes)
{
	uint64_t addr = in->atype == T_U32 ? ((const uint32_t *)sg_slot(x, in->a))[l] :
			((const uint64_t *)sg_slot(x, in->a))[l];

	addr += in->imm + bit / 8;
	if (in->space == SP_SHARED || in->atype == T_U32)
		addr = (uint32_t)addr;
	return sg_mem_lane(x, addr, bytes, bytes, in->space, l);
}

void sg_op_wmma_move(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	const struct sg_wmma_move *p = in->extra;
	int count = p->rows * p->columns, bits = element_bits[p->type], line = p->is_b ? p->rows :
		    p->columns;
	const uint32_t *strides = p->stride == SG_NOSLOT ? NULL : sg_slot(x, p->stride);

	for (int e = 0; e < count; e++) {
		int l = e / (count / SG_LANES), row = p->is_b ? e % line : e / line;
		int column = p->is_b ? e / line : e % line;
		int dense = p->by_column ? p->rows : p->columns;
		uint64_t stride = strides ? strides[l] : (uint64_t)dense;
		uint64_t bit = bits * (p->by_column ? column * stride + row :
				       row * stride + column);
		int bytes = bits < 8 ? 1 : bits / 8;
		uint64_t v = 0;
		uint8_t *at;

		if (!(m >> l & 1))
			continue;
		at = wmma_memory(x, in, l, bit, bytes);
		if (!at)
			return;
		if (p->store) {
			v = wmma_element(x, p->slot, p->type, count, e);
			memcpy(at, &v, bytes);
		} else {
			memcpy(&v, at, bytes);
			wmma_put(x, p->slot, p->type, count, e, bits < 8 ? v >> bit % 8 : v);
		}
	}
}
