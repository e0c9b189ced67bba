// SPDX-License-Identifier: Apache-2.0
/*
 * Half precision, f16 and bf16, single and packed in pairs. Each operation is done in double and
 * rounded once: sums and products of halves are exact in double; a fused multiply-add is rounded
 * to odd on the way, which keeps the second rounding correct.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops.h"

static uint64_t bits_of(double v)
{
	uint64_t u;

	memcpy(&u, &v, 8);
	return u;
}

static double of_bits(uint64_t u)
{
	double v;

	memcpy(&v, &u, 8);
	return v;
}

/* Rounds to a format of `mant` fraction bits and exponents from 1 - bias to bias. */
static uint16_t narrow(double v, enum sg_round r, int mant, int bias)
{
	uint64_t u = bits_of(v), frac, rest, half, q;
	uint32_t inf = (uint32_t)(2 * bias + 1) << mant, sign = u >> 63 << 15, out;
	int e = (int)(u >> 52 & 2047) - 1023, drop;
	bool up;

	if (isnan(v))
		return 0x7fff;
	if (isinf(v))
		return sign | inf;
	if (v == 0 || e == -1023)
		return sign | (v != 0 && (r == RND_P ? !sign : r == RND_M && sign));
	frac = (u & ((1ull << 52) - 1)) | 1ull << 52;
	drop = 52 - mant;
	if (e < 1 - bias)
		drop += 1 - bias - e;
	if (drop > 62)
		drop = 62;
	q = frac >> drop;
	rest = frac & ((1ull << drop) - 1);
	half = 1ull << (drop - 1);
	switch (r) {
	case RND_Z:
		up = false;
		break;
	case RND_M:
		up = sign && rest;
		break;
	case RND_P:
		up = !sign && rest;
		break;
	case RND_NA:
		up = rest >= half;
		break;
	default:
		up = rest > half || (rest == half && q & 1);
		break;
	}
	q += up;
	/* the hidden bit adds one to the exponent field, as does a carry out of the fraction */
	if (e < 1 - bias)
		out = q;
	else if (e > bias)
		out = inf;
	else
		out = ((uint32_t)(e + bias - 1) << mant) + q;
	if (out >= inf && (r == RND_Z || (r == RND_M && !sign) || (r == RND_P && sign)))
		out = inf - 1;
	else if (out > inf)
		out = inf;
	return sign | out;
}

double sg_f16_to_f64(uint16_t h)
{
	double v;

	if ((h & 0x7c00) == 0x7c00)
		v = h & 0x3ff ? NAN : INFINITY;
	else	/* the fields in their places, and the exponent's bias made up for */
		v = of_bits((uint64_t)(h & 0x7fff) << 42) * 0x1p1008;
	return h & 0x8000 ? -v : v;
}

uint16_t sg_f64_to_f16(double v, enum sg_round r)
{
	return narrow(v, r, 10, 15);
}

double sg_bf16_to_f64(uint16_t h)
{
	uint32_t u = (uint32_t)h << 16;
	float f;

	memcpy(&f, &u, 4);
	return f;
}

uint16_t sg_f64_to_bf16(double v, enum sg_round r)
{
	return narrow(v, r, 7, 127);
}

/*
 * 8-bit floats. e5m2 is the upper byte of a half. e4m3 has no infinities: its largest exponent has
 * numbers too, and 0x7f is NaN. Conversions to either saturate (PTX ISA, cvt).
 */
double sg_e5m2_to_f64(uint8_t v)
{
	return sg_f16_to_f64((uint16_t)v << 8);
}

double sg_e4m3_to_f64(uint8_t v)
{
	double d = (v & 0x7f) == 0x7f ? NAN : of_bits((uint64_t)(v & 0x7f) << 49) * 0x1p1016;

	return v & 0x80 ? -d : d;
}

static uint8_t narrow8(double v, int mant, int bias, double most, uint8_t nan)
{
	uint8_t sign = signbit(v) ? 0x80 : 0;
	double a = fabs(v), unit;
	int e;

	if (isnan(v))
		return nan;
	if (a >= most)
		a = most;
	if (a == 0)
		return sign;
	e = (int)(bits_of(a) >> 52) - 1023;
	if (e < 1 - bias)
		e = 1 - bias;
	/* a whole number of the last places of its exponent; a carry moves to the next exponent */
	unit = nearbyint(a * of_bits((uint64_t)(1023 + mant - e) << 52));
	a = ((e + bias - 1) << mant) + unit;
	return sign | (uint8_t)a;
}

uint8_t sg_f64_to_e4m3(double v)
{
	return narrow8(v, 3, 7, 448, 0x7f);
}

uint8_t sg_f64_to_e5m2(double v)
{
	return narrow8(v, 2, 15, 57344, 0x7f);
}

/* a * b + c to odd: the last bit says that something was lost. */
static double fma_odd(double a, double b, double c)
{
	double p = a * b, s = p + c, t = s - p;		/* the product of two halves is exact */
	double err = (p - (s - t)) + (c - t);
	uint64_t u = bits_of(s);

	if (!isfinite(s) || err == 0 || u & 1)
		return s;
	return of_bits((err > 0) == (s > 0) ? u + 1 : u - 1);
}

static double min_num(double a, double b)
{
	if (isnan(a) || isnan(b))
		return isnan(a) ? b : a;
	return a == b ? (signbit(a) ? a : b) : a < b ? a : b;
}

static double max_num(double a, double b)
{
	if (isnan(a) || isnan(b))
		return isnan(a) ? b : a;
	return a == b ? (signbit(a) ? b : a) : a > b ? a : b;
}

static double nan_or(double a, double b, double v)
{
	return isnan(a) || isnan(b) ? NAN : v;
}

static double saturate(double v)
{
	return !(v > 0) ? 0 : v > 1 ? 1 : v;
}

static double relu(double v)
{
	return v > 0 || isnan(v) ? v : 0;
}

/* One expression over va, vb, vc makes the scalar and the packed operation of a format. */
#define HALF(name, F, expr) \
	static uint16_t name##_##F##_1(uint16_t ha, uint16_t hb, uint16_t hc) \
	{ \
		double va = sg_##F##_to_f64(ha), vb = sg_##F##_to_f64(hb), \
			vc = sg_##F##_to_f64(hc); \
		(void)va; \
		(void)vb; \
		(void)vc; \
		return sg_f64_to_##F((expr), RND_N); \
	} \
	WIDTHS(name, F)

#define WIDTHS(name, F) \
	static void name##_##F(struct sg_exec *x, const struct sg_insn *in, uint32_t m) \
	{ \
		const uint16_t *a = sg_slot(x, in->a); \
		const uint16_t *b = in->b == SG_NOSLOT ? a : sg_slot(x, in->b); \
		const uint16_t *c = in->c == SG_NOSLOT ? a : sg_slot(x, in->c); \
		uint16_t *d = sg_slot(x, in->d); \
		SG_EACH(m, d[l] = name##_##F##_1(a[l], b[l], c[l])); \
	} \
	static void name##_##F##x2(struct sg_exec *x, const struct sg_insn *in, uint32_t m) \
	{ \
		const uint32_t *a = sg_slot(x, in->a); \
		const uint32_t *b = in->b == SG_NOSLOT ? a : sg_slot(x, in->b); \
		const uint32_t *c = in->c == SG_NOSLOT ? a : sg_slot(x, in->c); \
		uint32_t *d = sg_slot(x, in->d); \
		SG_EACH(m, uint32_t lo = name##_##F##_1(a[l], b[l], c[l]); \
			d[l] = lo | (uint32_t)name##_##F##_1(a[l] >> 16, b[l] >> 16, \
							     c[l] >> 16) << 16); \
	}

#define FORMAT(F, tiny) \
	HALF(add, F, va + vb) \
	HALF(sub, F, va - vb) \
	HALF(mul, F, va * vb) \
	HALF(fma, F, fma_odd(va, vb, vc)) \
	HALF(min, F, min_num(va, vb)) \
	HALF(max, F, max_num(va, vb)) \
	HALF(min_nan, F, nan_or(va, vb, min_num(va, vb))) \
	HALF(max_nan, F, nan_or(va, vb, max_num(va, vb))) \
	HALF(tanh, F, tanh(va)) \
	HALF(ex2, F, exp2(va)) \
	HALF(sat, F, saturate(va)) \
	HALF(relu, F, relu(va)) \
	HALF(ftz, F, fabs(va) < tiny ? copysign(0, va) : va) \
	HALF(neg, F, -va) \
	HALF(abs, F, fabs(va))

FORMAT(f16, 0x1p-14)
FORMAT(bf16, 0x1p-126)

#define SAME1(n, T, f) { n, T, f, T, { T } }
#define SAME2(n, T, f) { n, T, f, T, { T, T } }
#define SAME3(n, T, f) { n, T, f, T, { T, T, T } }

#define ROWS(T, S) \
	SAME2("add", T, add_##S), SAME2("sub", T, sub_##S), SAME2("mul", T, mul_##S), \
	SAME3("fma", T, fma_##S), SAME2("min", T, min_##S), SAME2("max", T, max_##S), \
	SAME2("min.NaN", T, min_nan_##S), SAME2("max.NaN", T, max_nan_##S), \
	SAME1("tanh", T, tanh_##S), SAME1("ex2", T, ex2_##S), \
	SAME1("neg", T, neg_##S), SAME1("abs", T, abs_##S), \
	SAME1("+sat", T, sat_##S), SAME1("+relu", T, relu_##S), SAME1("+ftz", T, ftz_##S)

const struct sg_opdef sg_half_ops[] = {
	ROWS(T_F16, f16), ROWS(T_F16X2, f16x2), ROWS(T_BF16, bf16), ROWS(T_BF16X2, bf16x2),
	{ 0 },
};
