// SPDX-License-Identifier: Apache-2.0
/* The video instructions (PTX ISA, Scalar and SIMD Video Instructions). */
#include "ops.h"

typedef __int128 wide;

/* So many bits of a word, by their sign or without. */
static int64_t part(uint32_t word, int shift, int bits, bool is_signed)
{
	uint32_t top = word << (32 - shift - bits);

	return is_signed ? (int64_t)((int32_t)top >> (32 - bits)) : (int64_t)(top >> (32 - bits));
}

static wide clamp(wide v, int bits, bool is_signed)
{
	wide least = is_signed ? -((wide)1 << (bits - 1)) : 0;
	wide most = ((wide)1 << (bits - is_signed)) - 1;

	return v < least ? least : v > most ? most : v;
}

static bool compare(enum sg_cmp cmp, int64_t a, int64_t b)
{
	switch (cmp) {
	case CMP_EQ:
		return a == b;
	case CMP_NE:
		return a != b;
	case CMP_LT:
		return a < b;
	case CMP_LE:
		return a <= b;
	case CMP_GT:
		return a > b;
	default:
		return a >= b;
	}
}

static wide combine(const struct sg_video *v, int64_t a, int64_t b)
{
	switch (v->op) {
	case VI_ADD:
		return a + b;
	case VI_SUB:
		return a - b;
	case VI_ABSDIFF:
		return a > b ? a - b : b - a;
	case VI_MIN:
		return a < b ? a : b;
	case VI_MAX:
		return a > b ? a : b;
	case VI_AVRG:		/* to the nearest; half away from zero */
		return a + b >= 0 ? (a + b + 1) >> 1 : (a + b) >> 1;
	case VI_SHL:
	case VI_SHR:
		b = v->wrap ? b & 31 : b > 32 ? 32 : b;
		return v->op == VI_SHL ? (wide)a * ((wide)1 << b) : (wide)a >> b;
	default:
		return compare(v->compare, a, b);
	}
}

static uint32_t multiply(const struct sg_video *v, int64_t a, int64_t b, uint32_t c)
{
	bool is_signed = v->a_signed || v->b_signed;
	wide sum = (wide)a * b + (is_signed ? (wide)(int32_t)c : (wide)c) + v->plus_one;

	sum >>= v->scale;
	return v->saturate ? clamp(sum, 32, is_signed) : sum;
}

static uint32_t scalar(const struct sg_video *v, uint32_t wa, uint32_t wb, uint32_t c)
{
	int64_t a = part(wa, v->a.shift, v->a.bits, v->a_signed);
	int64_t b = part(wb, v->b.shift, v->b.bits, v->b_signed);
	uint32_t keep = v->d.bits == 32 ? 0 : ~(((1u << v->d.bits) - 1) << v->d.shift);
	int64_t x, y;
	wide t;

	if (v->op == VI_MAD)
		return multiply(v, a, b, c);
	t = combine(v, a, b);
	if (v->saturate)
		t = clamp(t, v->d.bits, v->d_signed);
	x = v->d_signed ? (int64_t)(int32_t)t : (int64_t)(uint32_t)t;
	y = v->d_signed ? (int64_t)(int32_t)c : (int64_t)c;
	switch (v->second) {
	case VI_ADD:
		return x + y;
	case VI_MIN:
		return x < y ? x : y;
	case VI_MAX:
		return x > y ? x : y;
	default:
		return v->merge ? (c & keep) | ((uint32_t)t << v->d.shift & ~keep) : (uint32_t)t;
	}
}

static uint32_t by_parts(const struct sg_video *v, uint32_t a, uint32_t b, uint32_t c)
{
	int n = v->parts, bits = 32 / n;
	uint32_t out = c, ones = (1u << bits) - 1;

	for (int i = 0; i < n; i++) {
		int fa = v->a_from[i], fb = v->b_from[i];
		wide t;

		if (!(v->mask >> i & 1))
			continue;
		t = combine(v, part(fa < n ? a : b, fa % n * bits, bits, v->a_signed),
			    part(fb < n ? a : b, fb % n * bits, bits, v->b_signed));
		if (v->saturate)
			t = clamp(t, bits, v->d_signed);
		if (v->second)
			out += t;
		else
			out = (out & ~(ones << i * bits)) | ((uint32_t)t & ones) << i * bits;
	}
	return out;
}

void sg_op_video(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	const struct sg_video *v = in->extra;
	const uint32_t *a = sg_slot(x, in->a), *b = sg_slot(x, in->b), *c = sg_slot(x, in->c);
	uint32_t *d = sg_slot(x, in->d);

	SG_EACH(m, d[l] = v->parts == 1 ? scalar(v, a[l], b[l], c[l]) :
			  by_parts(v, a[l], b[l], c[l]));
}
