// SPDX-License-Identifier: Apache-2.0
/* Single and double precision, comparisons and predicates. */
#include <fenv.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops.h"

#define UN(name, T, expr) \
	static void name(struct sg_exec *x, const struct sg_insn *in, uint32_t m) \
	{ \
		const T *a = sg_slot(x, in->a); \
		T *d = sg_slot(x, in->d); \
		SG_EACH(m, T va = a[l]; d[l] = (expr)); \
	}

#define BIN(name, T, expr) \
	static void name(struct sg_exec *x, const struct sg_insn *in, uint32_t m) \
	{ \
		const T *a = sg_slot(x, in->a); \
		const T *b = sg_slot(x, in->b); \
		T *d = sg_slot(x, in->d); \
		SG_EACH(m, T va = a[l]; T vb = b[l]; d[l] = (expr)); \
	}

#define TER(name, T, expr) \
	SG_WITH("fma") \
	static void name(struct sg_exec *x, const struct sg_insn *in, uint32_t m) \
	{ \
		const T *a = sg_slot(x, in->a); \
		const T *b = sg_slot(x, in->b); \
		const T *c = sg_slot(x, in->c); \
		T *d = sg_slot(x, in->d); \
		SG_EACH(m, T va = a[l]; T vb = b[l]; T vc = c[l]; d[l] = (expr)); \
	}

/* min and max: the other operand when one is a NaN, and -0 is below +0. */
#define MIN(a, b) (isnan(a) ? (b) : isnan(b) ? (a) : (a) == (b) ? (signbit(a) ? (a) : (b)) : \
		   (a) < (b) ? (a) : (b))
#define MAX(a, b) (isnan(a) ? (b) : isnan(b) ? (a) : (a) == (b) ? (signbit(a) ? (b) : (a)) : \
		   (a) > (b) ? (a) : (b))
#define EITHER_NAN(a, b) (isnan(a) || isnan(b))

BIN(add_f32, float, va + vb)
BIN(sub_f32, float, va - vb)
BIN(mul_f32, float, va * vb)
BIN(div_f32, float, va / vb)
TER(fma_f32, float, __builtin_fmaf(va, vb, vc))
UN(neg_f32, float, -va)
UN(abs_f32, float, fabsf(va))
BIN(min_f32, float, MIN(va, vb))
BIN(max_f32, float, MAX(va, vb))
BIN(min_nan_f32, float, EITHER_NAN(va, vb) ? NAN : MIN(va, vb))
BIN(max_nan_f32, float, EITHER_NAN(va, vb) ? NAN : MAX(va, vb))
UN(rcp_f32, float, 1.0f / va)
UN(sqrt_f32, float, __builtin_sqrtf(va))
UN(rsqrt_f32, float, (float)(1.0 / sqrt((double)va)))
UN(sin_f32, float, sinf(va))
UN(cos_f32, float, cosf(va))
UN(lg2_f32, float, log2f(va))
UN(ex2_f32, float, exp2f(va))
UN(tanh_f32, float, tanhf(va))
BIN(copysign_f32, float, copysignf(vb, va))
UN(ftz_f32, float, fabsf(va) < 0x1p-126f ? copysignf(0, va) : va)
UN(sat_f32, float, !(va > 0) ? 0 : va > 1 ? 1 : va)

/* The sign is the product's, the size the smaller or the larger. */
static float xorsign(float v, float a, float b)
{
	return isnan(v) ? v : copysignf(v, signbit(a) != signbit(b) ? -1.0f : 1.0f);
}

BIN(min_xor_f32, float, xorsign(MIN(fabsf(va), fabsf(vb)), va, vb))
BIN(max_xor_f32, float, xorsign(MAX(fabsf(va), fabsf(vb)), va, vb))
BIN(min_nan_xor_f32, float, EITHER_NAN(va, vb) ? NAN : xorsign(MIN(fabsf(va), fabsf(vb)), va, vb))
BIN(max_nan_xor_f32, float, EITHER_NAN(va, vb) ? NAN : xorsign(MAX(fabsf(va), fabsf(vb)), va, vb))

BIN(add_f64, double, va + vb)
BIN(sub_f64, double, va - vb)
BIN(mul_f64, double, va * vb)
BIN(div_f64, double, va / vb)
TER(fma_f64, double, __builtin_fma(va, vb, vc))
UN(neg_f64, double, -va)
UN(abs_f64, double, fabs(va))
BIN(min_f64, double, MIN(va, vb))
BIN(max_f64, double, MAX(va, vb))
UN(rcp_f64, double, 1.0 / va)
UN(sqrt_f64, double, __builtin_sqrt(va))
UN(rsqrt_f64, double, 1.0 / sqrt(va))
BIN(copysign_f64, double, copysign(vb, va))
UN(sat_f64, double, !(va > 0) ? 0 : va > 1 ? 1 : va)

/* The approximate double forms work on the upper half of the operand alone. */
static double upper_half(double v)
{
	uint64_t u;

	memcpy(&u, &v, 8);
	u &= 0xffffffff00000000ull;
	memcpy(&v, &u, 8);
	return fabs(v) < 0x1p-1022 ? copysign(0, v) : v;
}

UN(rcp_approx_f64, double, upper_half(1.0 / upper_half(va)))
UN(rsqrt_approx_f64, double, upper_half(1.0 / sqrt(upper_half(va))))

/* testp: which kind of number it is, as a predicate. To the hardware zero is normal. */
#define TEST(name, T, expr) \
	static void name(struct sg_exec *x, const struct sg_insn *in, uint32_t m) \
	{ \
		const T *a = sg_slot(x, in->a); \
		uint32_t out = 0; \
		SG_EACH(m, T va = a[l]; out |= (uint32_t)!!(expr) << l); \
		sg_pred_write(x, in->d, m, out); \
	}

#define TESTS(T) \
	TEST(finite_##T, T, isfinite(va)) TEST(infinite_##T, T, isinf(va)) \
	TEST(number_##T, T, !isnan(va)) TEST(notanumber_##T, T, isnan(va)) \
	TEST(normal_##T, T, isnormal(va) || va == 0) \
	TEST(subnormal_##T, T, fpclassify(va) == FP_SUBNORMAL)
TESTS(float)
TESTS(double)

#define TEST_ROWS(T, C) \
	{ "testp.finite", T, finite_##C, T_PRED, { T } }, \
	{ "testp.infinite", T, infinite_##C, T_PRED, { T } }, \
	{ "testp.number", T, number_##C, T_PRED, { T } }, \
	{ "testp.notanumber", T, notanumber_##C, T_PRED, { T } }, \
	{ "testp.normal", T, normal_##C, T_PRED, { T } }, \
	{ "testp.subnormal", T, subnormal_##C, T_PRED, { T } }

#define SAME1(n, T, f) { n, T, f, T, { T } }
#define SAME2(n, T, f) { n, T, f, T, { T, T } }
#define SAME3(n, T, f) { n, T, f, T, { T, T, T } }

const struct sg_opdef sg_float_ops[] = {
	SAME2("add", T_F32, add_f32), SAME2("sub", T_F32, sub_f32), SAME2("mul", T_F32, mul_f32),
	SAME2("div", T_F32, div_f32), SAME3("fma", T_F32, fma_f32), SAME3("mad", T_F32, fma_f32),
	SAME1("neg", T_F32, neg_f32), SAME1("abs", T_F32, abs_f32),
	SAME2("min", T_F32, min_f32), SAME2("max", T_F32, max_f32),
	SAME2("min.NaN", T_F32, min_nan_f32), SAME2("max.NaN", T_F32, max_nan_f32),
	SAME2("min.xorsign.abs", T_F32, min_xor_f32), SAME2("max.xorsign.abs", T_F32, max_xor_f32),
	SAME2("min.NaN.xorsign.abs", T_F32, min_nan_xor_f32),
	SAME2("max.NaN.xorsign.abs", T_F32, max_nan_xor_f32),
	SAME1("rcp", T_F32, rcp_f32), SAME1("sqrt", T_F32, sqrt_f32),
	SAME1("rsqrt", T_F32, rsqrt_f32), SAME1("sin", T_F32, sin_f32),
	SAME1("cos", T_F32, cos_f32), SAME1("lg2", T_F32, lg2_f32), SAME1("ex2", T_F32, ex2_f32),
	SAME1("tanh", T_F32, tanh_f32), SAME2("copysign", T_F32, copysign_f32),
	SAME1("+ftz", T_F32, ftz_f32), SAME1("+sat", T_F32, sat_f32),
	SAME2("add", T_F64, add_f64), SAME2("sub", T_F64, sub_f64), SAME2("mul", T_F64, mul_f64),
	SAME2("div", T_F64, div_f64), SAME3("fma", T_F64, fma_f64), SAME3("mad", T_F64, fma_f64),
	SAME1("neg", T_F64, neg_f64), SAME1("abs", T_F64, abs_f64),
	SAME2("min", T_F64, min_f64), SAME2("max", T_F64, max_f64),
	SAME1("rcp", T_F64, rcp_f64), SAME1("sqrt", T_F64, sqrt_f64),
	SAME1("rsqrt", T_F64, rsqrt_f64), SAME2("copysign", T_F64, copysign_f64),
	SAME1("rcp.approx", T_F64, rcp_approx_f64), SAME1("rsqrt.approx", T_F64, rsqrt_approx_f64),
	SAME1("+sat", T_F64, sat_f64),
	TEST_ROWS(T_F32, float), TEST_ROWS(T_F64, double),
	{ 0 },
};

/* The inner operation is called through a pointer: the compiler moves nothing across. */
void sg_op_rounded(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	static const int modes[] = {
		[RND_NONE] = FE_TONEAREST, [RND_N] = FE_TONEAREST, [RND_Z] = FE_TOWARDZERO,
		[RND_M] = FE_DOWNWARD, [RND_P] = FE_UPWARD, [RND_NA] = FE_TONEAREST,
	};

	fesetround(modes[in->sub]);
	in->inner(x, in, m);
	fesetround(FE_TONEAREST);
}

/*
 * Comparisons write bits. The loop over all lanes has no branch, so it stays short; lanes outside
 * m are masked at the end.
 */
#define CMP(name, T, expr) \
	SG_WITH("avx2") \
	static void name(struct sg_exec *x, const struct sg_insn *in, uint32_t m) \
	{ \
		const T *a = sg_slot(x, in->a); \
		const T *b = sg_slot(x, in->b); \
		uint32_t out = 0; \
		for (int l = 0; l < SG_LANES; l++) { \
			T va = a[l], vb = b[l]; \
			out |= (uint32_t)(expr) << l; \
		} \
		sg_pred_write(x, in->d, m, out); \
	}

#define CMP_ORDER(T) \
	CMP(eq_##T, T, va == vb) CMP(lt_##T, T, va < vb) \
	CMP(le_##T, T, va <= vb) CMP(gt_##T, T, va > vb) CMP(ge_##T, T, va >= vb)
#define CMP_INT(T) \
	CMP_ORDER(T) CMP(ne_##T, T, va != vb)
/* ne is ordered: true of numbers only */
#define CMP_FLOAT(T) \
	CMP_ORDER(T) CMP(ne_##T, T, va < vb || va > vb) \
	CMP(equ_##T, T, !(va < vb || va > vb)) CMP(neu_##T, T, !(va == vb)) \
	CMP(ltu_##T, T, !(va >= vb)) CMP(leu_##T, T, !(va > vb)) \
	CMP(gtu_##T, T, !(va <= vb)) CMP(geu_##T, T, !(va < vb)) \
	CMP(num_##T, T, !isunordered(va, vb)) CMP(nan_##T, T, isunordered(va, vb))
#define LIST_INT(T) \
	[CMP_EQ] = eq_##T, [CMP_NE] = ne_##T, [CMP_LT] = lt_##T, [CMP_LE] = le_##T, \
	[CMP_GT] = gt_##T, [CMP_GE] = ge_##T
#define LIST_FLOAT(T) \
	[CMP_EQU] = equ_##T, [CMP_NEU] = neu_##T, [CMP_LTU] = ltu_##T, [CMP_LEU] = leu_##T, \
	[CMP_GTU] = gtu_##T, [CMP_GEU] = geu_##T, [CMP_NUM] = num_##T, [CMP_NAN] = nan_##T

CMP_INT(uint16_t)
CMP_INT(int16_t)
CMP_INT(uint32_t)
CMP_INT(int32_t)
CMP_INT(uint64_t)
CMP_INT(int64_t)
CMP_FLOAT(float)
CMP_FLOAT(double)

static const sg_op cmp_u16[CMP_NAN + 1] = { LIST_INT(uint16_t) };
static const sg_op cmp_s16[CMP_NAN + 1] = { LIST_INT(int16_t) };
static const sg_op cmp_u32[CMP_NAN + 1] = { LIST_INT(uint32_t) };
static const sg_op cmp_s32[CMP_NAN + 1] = { LIST_INT(int32_t) };
static const sg_op cmp_u64[CMP_NAN + 1] = { LIST_INT(uint64_t) };
static const sg_op cmp_s64[CMP_NAN + 1] = { LIST_INT(int64_t) };
static const sg_op cmp_f32[CMP_NAN + 1] = { LIST_INT(float), LIST_FLOAT(float) };
static const sg_op cmp_f64[CMP_NAN + 1] = { LIST_INT(double), LIST_FLOAT(double) };

sg_op sg_compare_op(enum sg_cmp cmp, enum sg_type type)
{
	switch (type) {
	case T_B16:
	case T_U16:
		return cmp_u16[cmp];
	case T_S16:
		return cmp_s16[cmp];
	case T_B32:
	case T_U32:
		return cmp_u32[cmp];
	case T_S32:
		return cmp_s32[cmp];
	case T_B64:
	case T_U64:
		return cmp_u64[cmp];
	case T_S64:
		return cmp_s64[cmp];
	case T_F32:
		return cmp_f32[cmp];
	case T_F64:
		return cmp_f64[cmp];
	default:
		return NULL;
	}
}
