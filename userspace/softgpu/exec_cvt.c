// SPDX-License-Identifier: Apache-2.0
/*
 * Conversions. Common pairs have a loop of their own; the others go through a 64-bit integer or a
 * double, both of which hold every value of the narrower types exactly.
 */
#include <fenv.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops.h"

#define DIRECT(name, D, A) \
	static void name(struct sg_exec *x, const struct sg_insn *in, uint32_t m) \
	{ \
		const A *a = sg_slot(x, in->a); \
		D *d = sg_slot(x, in->d); \
		SG_EACH(m, d[l] = (D)a[l]); \
	}

DIRECT(u64_u32, uint64_t, uint32_t)
DIRECT(s64_s32, int64_t, int32_t)
DIRECT(b32_b64, uint32_t, uint64_t)
DIRECT(u32_u16, uint32_t, uint16_t)
DIRECT(s32_s16, int32_t, int16_t)
DIRECT(b16_b32, uint16_t, uint32_t)
DIRECT(f32_s32, float, int32_t)
DIRECT(f32_u32, float, uint32_t)
DIRECT(f64_s32, double, int32_t)
DIRECT(f64_u32, double, uint32_t)
DIRECT(f64_f32, double, float)
DIRECT(f32_f64, float, double)

static const struct {
	enum sg_type d, a;
	sg_op fn;
} direct[] = {
	{ T_U64, T_U32, u64_u32 }, { T_S64, T_U32, u64_u32 }, { T_S64, T_S32, s64_s32 },
	{ T_U64, T_S32, s64_s32 }, { T_U32, T_U64, b32_b64 }, { T_U32, T_S64, b32_b64 },
	{ T_S32, T_U64, b32_b64 }, { T_S32, T_S64, b32_b64 }, { T_U32, T_U16, u32_u16 },
	{ T_S32, T_U16, u32_u16 }, { T_S32, T_S16, s32_s16 }, { T_U32, T_S16, s32_s16 },
	{ T_U16, T_U32, b16_b32 }, { T_U16, T_S32, b16_b32 }, { T_S16, T_U32, b16_b32 },
	{ T_S16, T_S32, b16_b32 }, { T_F32, T_S32, f32_s32 }, { T_F32, T_U32, f32_u32 },
	{ T_F64, T_S32, f64_s32 }, { T_F64, T_U32, f64_u32 }, { T_F64, T_F32, f64_f32 },
	{ T_F32, T_F64, f32_f64 },
};

static uint64_t read_bits(const void *p, int bytes, int l)
{
	switch (bytes) {
	case 2:
		return ((const uint16_t *)p)[l];
	case 4:
		return ((const uint32_t *)p)[l];
	default:
		return ((const uint64_t *)p)[l];
	}
}

static void write_bits(void *p, int bytes, int l, uint64_t v)
{
	switch (bytes) {
	case 2:
		((uint16_t *)p)[l] = v;
		break;
	case 4:
		((uint32_t *)p)[l] = v;
		break;
	default:
		((uint64_t *)p)[l] = v;
		break;
	}
}

static uint64_t as_type(uint64_t v, enum sg_type t)
{
	switch (t) {
	case T_U8:
	case T_B8:
		return (uint8_t)v;
	case T_S8:
		return (int64_t)(int8_t)v;
	case T_U16:
	case T_B16:
		return (uint16_t)v;
	case T_S16:
		return (int64_t)(int16_t)v;
	case T_U32:
	case T_B32:
		return (uint32_t)v;
	case T_S32:
		return (int64_t)(int32_t)v;
	default:
		return v;
	}
}

static double to_double(uint64_t v, enum sg_type t)
{
	uint32_t w = v;
	float f;
	double d;

	switch (t) {
	case T_F16:
		return sg_f16_to_f64(v);
	case T_BF16:
		return sg_bf16_to_f64(v);
	case T_F32:
		memcpy(&f, &w, 4);
		return f;
	default:
		memcpy(&d, &v, 8);
		return d;
	}
}

static double round_whole(double v, enum sg_round r)
{
	switch (r) {
	case RND_Z:
		return trunc(v);
	case RND_M:
		return floor(v);
	case RND_P:
		return ceil(v);
	case RND_N:
		return nearbyint(v);
	default:
		return v;
	}
}

static int64_t limit(enum sg_type t, bool high)
{
	switch (t) {
	case T_S8:
		return high ? INT8_MAX : INT8_MIN;
	case T_U8:
		return high ? UINT8_MAX : 0;
	case T_S16:
		return high ? INT16_MAX : INT16_MIN;
	case T_U16:
		return high ? UINT16_MAX : 0;
	case T_S32:
		return high ? INT32_MAX : INT32_MIN;
	case T_U32:
		return high ? UINT32_MAX : 0;
	case T_S64:
		return high ? INT64_MAX : INT64_MIN;
	default:
		return high ? INT64_MAX : 0;	/* u64 is treated apart */
	}
}

/* Out of range clamps. A NaN is 0, or the top bit where 64 bits are involved (PTX ISA, cvt). */
static uint64_t float_to_int(double v, enum sg_type d, enum sg_type a)
{
	if (isnan(v)) {
		if (a != T_F64 && d != T_S64 && d != T_U64)
			return 0;
		return 1ull << (8 * sg_type_size(d) - 1);
	}
	if (d == T_U64)
		return v <= 0 ? 0 : v >= 0x1p64 ? UINT64_MAX : (uint64_t)v;
	if (d == T_S64)
		return v < -0x1p63 ? INT64_MIN : v >= 0x1p63 ? INT64_MAX : (int64_t)v;
	if (v < limit(d, false))
		return limit(d, false);
	if (v > limit(d, true))
		return limit(d, true);
	return (int64_t)v;
}

static uint64_t from_double(double v, enum sg_type t, enum sg_round r)
{
	uint64_t u = 0;
	float f;

	switch (t) {
	case T_F16:
		return sg_f64_to_f16(v, r);
	case T_BF16:
		return sg_f64_to_bf16(v, r);
	case T_F32:
		f = v;
		if (isnan(v))
			u = 0x7fffffff;
		else
			memcpy(&u, &f, 4);
		return u;
	default:
		memcpy(&u, &v, 8);
		return u;
	}
}

static uint64_t int_to_float(uint64_t v, enum sg_type a, enum sg_type d, enum sg_round r)
{
	bool s = sg_type_signed(a);
	uint64_t u = 0;
	double w;
	float f;

	switch (d) {
	case T_F32:
		f = s ? (float)(int64_t)v : (float)v;
		memcpy(&u, &f, 4);
		return u;
	case T_F64:
		w = s ? (double)(int64_t)v : (double)v;
		memcpy(&u, &w, 8);
		return u;
	default:
		/* beyond 53 bits a half is infinite, or bf16 loses bits that odd rounding keeps */
		w = s ? (double)(int64_t)v : (double)v;
		if ((s ? (uint64_t)(int64_t)w : (uint64_t)w) != v) {
			uint64_t high = v >> 10 | ((v & 1023) != 0);

			if (s)
				high = (uint64_t)((int64_t)v >> 10) | ((v & 1023) != 0);
			w = ldexp(s ? (double)(int64_t)high : (double)high, 10);
		}
		return from_double(w, d, r);
	}
}

static uint64_t saturate_int(uint64_t v, enum sg_type a, enum sg_type d)
{
	if (sg_type_signed(a)) {
		int64_t s = v;

		if (s < limit(d, false))
			return limit(d, false);
		if (d != T_U64 && s > limit(d, true))
			return limit(d, true);
		return v;
	}
	if (d != T_U64 && v > (uint64_t)limit(d, true))
		return limit(d, true);
	return v;
}

static uint64_t convert(uint64_t v, const struct sg_insn *in)
{
	enum sg_type d = in->dtype, a = in->atype;
	enum sg_round r = in->sub;
	int flags = in->imm;
	double w;

	v = as_type(v, a);
	if (!sg_type_float(a)) {
		if (sg_type_float(d)) {
			v = int_to_float(v, a, d, r);
			if (flags & CVT_SAT) {
				w = to_double(v, d);
				v = from_double(!(w > 0) ? 0 : w > 1 ? 1 : w, d, r);
			}
			return v;
		}
		if (flags & CVT_SAT)
			v = saturate_int(v, a, d);
		return as_type(v, d);
	}
	w = to_double(v, a);
	if (flags & CVT_FTZ && a == T_F32 && fabs(w) < 0x1p-126)
		w = copysign(0, w);
	if (!sg_type_float(d))
		return float_to_int(round_whole(w, r), d, a);
	if (a == d && r != RND_NONE)
		w = round_whole(w, r);
	if (flags & CVT_SAT)
		w = !(w > 0) ? 0 : w > 1 ? 1 : w;
	if (flags & CVT_RELU)
		w = w > 0 || isnan(w) ? w : 0;
	/* a NaN keeps its payload where the bits are only moved */
	if (isnan(w) && ((a == d && a != T_F32) || (a == T_BF16 && d == T_F32)))
		return a == d ? v : v << 16;
	v = from_double(w, d, r);
	if (flags & CVT_FTZ && d == T_F32 && fabs(to_double(v, d)) < 0x1p-126)
		v &= 0x80000000;
	return v;
}

/* in->size and in->vec: bytes of the destination and source registers; in->imm: flags. */
static void any_to_any(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	static const int modes[] = {
		[RND_NONE] = FE_TONEAREST, [RND_N] = FE_TONEAREST, [RND_Z] = FE_TOWARDZERO,
		[RND_M] = FE_DOWNWARD, [RND_P] = FE_UPWARD, [RND_NA] = FE_TONEAREST,
	};
	const void *a = sg_slot(x, in->a);
	void *d = sg_slot(x, in->d);
	/* between equal types the rounding is to a whole number, which needs no mode */
	bool hard = sg_type_float(in->dtype) && in->atype != in->dtype && in->sub != RND_N &&
		    in->sub != RND_NONE;

	if (hard)
		fesetround(modes[in->sub]);
	for (; m; m &= m - 1) {
		int l = __builtin_ctz(m);

		write_bits(d, in->size, l, convert(read_bits(a, in->vec, l), in));
	}
	if (hard)
		fesetround(FE_TONEAREST);
}

/* Truncation of a float in range is one machine instruction; the rest takes the long way. */
static void s32_rzi_f32(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	const float *a = sg_slot(x, in->a);
	int32_t *d = sg_slot(x, in->d);

	SG_EACH(m, float v = a[l];
		d[l] = v > -0x1p31f && v < 0x1p31f ? (int32_t)v :
		       (int32_t)float_to_int(v, T_S32, T_F32));
}

sg_op sg_cvt_op(const struct sg_insn *in)
{
	bool exact = in->size == sg_type_size(in->dtype) && in->vec == sg_type_size(in->atype);
	bool plain = in->sub == RND_NONE || (in->sub == RND_N && sg_type_float(in->dtype));

	if (!exact || in->imm)
		return any_to_any;
	if (in->dtype == T_S32 && in->atype == T_F32 && in->sub == RND_Z)
		return s32_rzi_f32;
	for (size_t i = 0; plain && i < sizeof(direct) / sizeof(direct[0]); i++)
		if (direct[i].d == in->dtype && direct[i].a == in->atype)
			return direct[i].fn;
	return any_to_any;
}

/* cvt.f16x2.f32 d, a, b: a goes to the upper half. */
void sg_op_cvt_pack(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	const float *a = sg_slot(x, in->a), *b = sg_slot(x, in->b);
	uint32_t *d = sg_slot(x, in->d);
	bool bf = in->dtype == T_BF16X2;

	SG_EACH(m, {
		double hi = a[l];
		double lo = b[l];

		if (in->imm & CVT_RELU) {
			hi = hi > 0 || isnan(hi) ? hi : 0;
			lo = lo > 0 || isnan(lo) ? lo : 0;
		}
		if (in->imm & CVT_SAT) {
			hi = !(hi > 0) ? 0 : hi > 1 ? 1 : hi;
			lo = !(lo > 0) ? 0 : lo > 1 ? 1 : lo;
		}
		d[l] = bf ? (uint32_t)sg_f64_to_bf16(hi, in->sub) << 16 |
			    sg_f64_to_bf16(lo, in->sub) :
			    (uint32_t)sg_f64_to_f16(hi, in->sub) << 16 | sg_f64_to_f16(lo, in->sub);
	});
}

/* The first source goes to the upper byte. */
void sg_op_cvt_to_8(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	uint8_t (*narrow)(double) = in->vec == NR_E4M3X2 ? sg_f64_to_e4m3 : sg_f64_to_e5m2;
	const void *a = sg_slot(x, in->a), *b = sg_slot(x, in->b);
	uint16_t *d = sg_slot(x, in->d);

	SG_EACH(m, {
		double hi, lo;

		if (in->atype == T_F32) {
			hi = ((const float *)a)[l];
			lo = ((const float *)b)[l];
		} else {
			hi = sg_f16_to_f64(((const uint32_t *)a)[l] >> 16);
			lo = sg_f16_to_f64(((const uint32_t *)a)[l]);
		}
		if (in->imm & CVT_RELU) {
			hi = hi > 0 || isnan(hi) ? hi : 0;
			lo = lo > 0 || isnan(lo) ? lo : 0;
		}
		d[l] = narrow(hi) << 8 | narrow(lo);
	});
}

void sg_op_cvt_from_8(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	double (*widen)(uint8_t) = in->vec == NR_E4M3X2 ? sg_e4m3_to_f64 : sg_e5m2_to_f64;
	const uint16_t *a = sg_slot(x, in->a);
	uint32_t *d = sg_slot(x, in->d);

	SG_EACH(m, {
		double hi = widen(a[l] >> 8);
		double lo = widen(a[l]);

		if (in->imm & CVT_RELU) {
			hi = hi > 0 || isnan(hi) ? hi : 0;
			lo = lo > 0 || isnan(lo) ? lo : 0;
		}
		d[l] = (uint32_t)sg_f64_to_f16(hi, RND_N) << 16 | sg_f64_to_f16(lo, RND_N);
	});
}

/* A float of which the upper 19 bits count; the others become 0. */
void sg_op_cvt_tf32(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	const uint32_t *a = sg_slot(x, in->a);
	uint32_t *d = sg_slot(x, in->d);

	SG_EACH(m, {
		uint32_t v = a[l];
		uint32_t size = v & 0x7fffffff;

		if (size > 0x7f800000) {
			/* not documented: rna cuts a NaN off like a number */
			v = in->sub == RND_NA ? v & ~0x1fffu : 0x7fffe000;
		} else if (size < 0x7f800000) {
			if (in->sub == RND_NA)
				v += 0x1000;
			else if (in->sub == RND_N)
				v += 0xfff + (v >> 13 & 1);
			v &= ~0x1fffu;
			if (in->imm & CVT_SAT && (v & 0x7fffffff) == 0x7f800000)
				v -= 0x2000;
		} else if (in->imm & CVT_SAT) {
			v -= 0x2000;
		}
		if (in->imm & CVT_RELU && v >> 31)
			v = 0;
		d[l] = v;
	});
}

/* The first source goes above the second, and both above what c had at the bottom. */
void sg_op_cvt_pack_int(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	const int32_t *a = sg_slot(x, in->a), *b = sg_slot(x, in->b);
	const uint32_t *c = in->c == SG_NOSLOT ? NULL : sg_slot(x, in->c);
	int64_t low = limit(in->dtype, false), high = limit(in->dtype, true);
	int bits = 8 * sg_type_size(in->dtype);
	uint32_t mask = (1u << bits) - 1, *d = sg_slot(x, in->d);

	SG_EACH(m, {
		uint32_t hi = a[l] < low ? low : a[l] > high ? high : a[l];
		uint32_t lo = b[l] < low ? low : b[l] > high ? high : b[l];

		d[l] = (c ? c[l] << 2 * bits : 0) | (hi & mask) << bits | (lo & mask);
	});
}
