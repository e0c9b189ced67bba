// SPDX-License-Identifier: Apache-2.0
/* Floating point: arithmetic in all roundings, comparisons, halves and conversions. */
#include <fenv.h>

#include "harness.h"

#define F(name, expr) \
	static uint64_t name(uint64_t a, uint64_t b, uint64_t c) \
	{ \
		volatile float f = f32(a), g = f32(b), k = f32(c); \
		(void)f; (void)g; (void)k; \
		return (expr); \
	}
#define D(name, expr) \
	static uint64_t name(uint64_t a, uint64_t b, uint64_t c) \
	{ \
		volatile double d = f64(a), e = f64(b), m = f64(c); \
		(void)d; (void)e; (void)m; \
		return (expr); \
	}
/* The same with another rounding; called so that nothing moves out from between. */
#define IN(mode, name, wrapped) \
	static uint64_t name(uint64_t a, uint64_t b, uint64_t c) \
	{ \
		uint64_t (*volatile fn)(uint64_t, uint64_t, uint64_t) = wrapped; \
		uint64_t r; \
		fesetround(mode); \
		r = fn(a, b, c); \
		fesetround(FE_TONEAREST); \
		return r; \
	}

static float ftz(float f)
{
	return fabsf(f) < 0x1p-126f ? copysignf(0, f) : f;
}

static float least(float a, float b)
{
	return isnan(a) ? b : isnan(b) ? a : a == b ? (signbit(a) ? a : b) : a < b ? a : b;
}

static float saturate(float v)
{
	return !(v > 0) ? 0 : v > 1 ? 1 : v;
}

F(add_f32, u32_of(f + g))
F(sub_f32, u32_of(f - g))
F(mul_f32, u32_of(f * g))
F(div_f32, u32_of(f / g))
F(fma_f32, u32_of(fmaf(f, g, k)))
F(sqrt_f32, u32_of(sqrtf(f)))
F(rcp_f32, u32_of(1 / f))
F(neg_f32, u32_of(-f))
F(abs_f32, u32_of(fabsf(f)))
F(min_f32, u32_of(least(f, g)))
F(max_f32, u32_of(isnan(f) || isnan(g) ? (isnan(f) ? g : f) : -least(-f, -g)))
F(min_xorsign, u32_of(copysignf(least(fabsf(f), fabsf(g)), signbit(f) != signbit(g) ? -1 : 1)))
F(max_nan_xorsign, u32_of(isnan(f) || isnan(g) ? NAN : copysignf(fmaxf(fabsf(f), fabsf(g)),
								 signbit(f) != signbit(g) ? -1 : 1)))
F(add_ftz, u32_of(ftz(ftz(f) + ftz(g))))
F(mul_sat, u32_of(saturate(f * g)))
F(copysign_f32, u32_of(copysignf(g, f)))
IN(FE_TOWARDZERO, add_rz, add_f32)
IN(FE_UPWARD, mul_rp, mul_f32)
IN(FE_DOWNWARD, div_rm, div_f32)
IN(FE_UPWARD, fma_rp, fma_f32)
IN(FE_TOWARDZERO, sqrt_rz, sqrt_f32)
D(add_f64, u64_of(d + e))
D(mul_f64, u64_of(d * e))
D(div_f64, u64_of(d / e))
D(fma_f64, u64_of(fma(d, e, m)))
D(sqrt_f64, u64_of(sqrt(d)))
IN(FE_DOWNWARD, add_rm64, add_f64)
IN(FE_UPWARD, div_rp64, div_f64)

/* comparisons: one bit for each of the fourteen */
static uint64_t compare(double a, double b)
{
	bool un = isnan(a) || isnan(b);
	bool r[14] = { a == b, !un && a != b, a < b, a <= b, a > b, a >= b,
		       un || a == b, a != b, un || a < b, un || a <= b, un || a > b, un || a >= b,
		       !un, un };
	uint64_t out = 0;

	for (int i = 0; i < 14; i++)
		out |= (uint64_t)r[i] << i;
	return out;
}

F(compare_f32, compare(f, g))
D(compare_f64, compare(d, e))
#define C1(op, bit, t, a, b) \
	"setp." #op "." t " %p0, " a ", " b "; @%p0 or.b64 %o, %o, " #bit ";"
#define ALL14(t, a, b) \
	C1(eq, 1, t, a, b) C1(ne, 2, t, a, b) C1(lt, 4, t, a, b) C1(le, 8, t, a, b) \
	C1(gt, 16, t, a, b) C1(ge, 32, t, a, b) C1(equ, 64, t, a, b) C1(neu, 128, t, a, b) \
	C1(ltu, 256, t, a, b) C1(leu, 512, t, a, b) C1(gtu, 1024, t, a, b) C1(geu, 2048, t, a, b) \
	C1(num, 4096, t, a, b) C1(nan, 8192, t, a, b)

F(classes, (isfinite(f) ? 1u : 0) + (isinf(f) ? 2 : 0) + (isnan(f) ? 8 : 4) +
	   (isnormal(f) || f == 0 ? 16 : 0) + (fpclassify(f) == FP_SUBNORMAL ? 32 : 0))
#define T1(op, bit) "testp." #op ".f32 %p0, %f; @%p0 or.b64 %o, %o, " #bit ";"

/* conversions */
static uint64_t clamp(double v, double lo, double hi, bool wide)
{
	if (isnan(v))
		return wide ? 1ull << 63 : 0;
	return v <= lo ? (uint64_t)(int64_t)lo : v >= hi ? (hi > 1e19 ? ~0ull : hi > 9e18 ?
		INT64_MAX : (uint64_t)(int64_t)hi) : v > 9e18 ? (uint64_t)v : (uint64_t)(int64_t)v;
}

F(s32_rzi, (uint32_t)clamp(truncf(f), -2147483648.0, 2147483647.0, false))
F(u32_rni, (uint32_t)clamp(nearbyintf(f), 0, 4294967295.0, false))
F(s32_rmi, (uint32_t)clamp(floorf(f), -2147483648.0, 2147483647.0, false))
F(u16_rpi, (uint16_t)clamp(ceilf(f), 0, 65535, false))
D(s64_rzi, clamp(trunc(d), -0x1p63, 0x1p63, true))
D(u64_rzi, clamp(trunc(d), 0, 0x1p64, true))
F(f32_rmi, u32_of(floorf(f)))
F(f32_sat, u32_of(saturate(f)))
D(f32_f64, u32_of((float)d))
IN(FE_UPWARD, f32_rp_f64, f32_f64)

#define I(name, expr) \
	static uint64_t name(uint64_t a, uint64_t b, uint64_t c) \
	{ \
		(void)b; (void)c; \
		return (expr); \
	}
I(f32_s32, u32_of((float)(int32_t)a))
I(f32_u32, u32_of((float)(uint32_t)a))
I(f32_u64, u32_of((float)a))
I(f64_s64, u64_of((double)(int64_t)a))
I(f64_u64, u64_of((double)a))
IN(FE_TOWARDZERO, f32_rz_u64, f32_u64)
I(s64_s8, (uint64_t)(int64_t)(int8_t)a)
I(u64_s16, (uint64_t)(int64_t)(int16_t)a)
I(u16_sat_s32, (int32_t)a < 0 ? 0 : (int32_t)a > 65535 ? 65535 : (uint16_t)a)
I(s8_sat_s64, (uint32_t)((int64_t)a < -128 ? -128 : (int64_t)a > 127 ? 127 : (int8_t)a))

/* halves, by way of the compiler's own type */
static float half(uint64_t h)
{
	int e = h >> 10 & 31;
	double v = e ? ldexp((h & 1023) | 1024, e - 25) : ldexp(h & 1023, -24);

	if (e == 31)
		v = h & 1023 ? NAN : INFINITY;
	return (float)(h & 0x8000 ? -v : v);
}

/* The nearest half by search over all of them; ties go to the even one. */
static uint64_t to_half(double v)
{
	static double value[0x7c01];
	uint64_t sign = signbit(v) ? 0x8000 : 0;
	int lo = 0, hi = 0x7c00;

	if (isnan(v))
		return 0x7fff;
	if (!value[1])
		for (int i = 0; i <= 0x7c00; i++)
			value[i] = i == 0x7c00 ? 65536 : half(i);
	v = fabs(v);
	if (v >= 65536)
		return sign | 0x7c00;
	while (hi - lo > 1) {
		int mid = (lo + hi) / 2;

		if (value[mid] <= v)
			lo = mid;
		else
			hi = mid;
	}
	if (v - value[lo] > value[hi] - v || (v - value[lo] == value[hi] - v && lo & 1))
		lo = hi;
	return sign | lo;
}

/* A sum of halves is exact in double; of a product and a half, exact in long double at worst. */
#define H(name, expr) \
	static uint64_t name(uint64_t a, uint64_t b, uint64_t c) \
	{ \
		double h = half(a), i = half(b), j = half(c); \
		(void)h; (void)i; (void)j; \
		return (expr); \
	}
H(add_f16, to_half(h + i))
H(mul_f16, to_half(h * i))
H(neg_f16, isnan(h) ? 0x7fff : (a ^ 0x8000) & 0xffff)
H(max_f16, isnan(h) && isnan(i) ? 0x7fff : isnan(h) ? b : isnan(i) ? a :
	   h == i ? (signbit(h) ? b : a) & 0xffff : h > i ? a : b)
H(f32_f16, isnan(h) ? 0x7fffffff : u32_of((float)h))
F(f16_f32, to_half(f))
H(lt_f16, h < i)
H(add_f16x2, (to_half(h + i) | to_half(i + h) << 16))
F(pack_f16x2, to_half(f) << 16 | to_half(g))
static uint64_t to_bhalf(double v)
{
	float f = (float)v;
	uint64_t u = u32_of(f), r;

	if (isnan(v))
		return 0x7fff;
	/* exact inputs only come here as floats: round their upper half to nearest even */
	r = u + 0x7fff + (u >> 16 & 1);
	return r >> 16;
}

F(bf16_f32, to_bhalf(f))
static uint64_t f32_bf16(uint64_t a, uint64_t b, uint64_t c)
{
	(void)b; (void)c;
	return (a & 0xffff) << 16;
}

#define FO(i) i "\nmov.b32 %t7, %u0; cvt.u64.u32 %o, %t7;"
#define DO(i) i "\nmov.b64 %o, %v0;"
#define W(i) i "\ncvt.u64.u32 %o, %t0;"
#define S(i) i "\ncvt.u64.u16 %o, %s0;"

static const struct op_case cases[] = {
	{ "add.f32", FO("add.f32 %u0, %f, %g;"), add_f32, FLOATS, 0 },
	{ "sub.rn.f32", FO("sub.rn.f32 %u0, %f, %g;"), sub_f32, FLOATS, 0 },
	{ "mul.f32", FO("mul.rn.f32 %u0, %f, %g;"), mul_f32, FLOATS, 0 },
	{ "div.rn.f32", FO("div.rn.f32 %u0, %f, %g;"), div_f32, FLOATS, 0 },
	{ "fma.rn.f32", FO("fma.rn.f32 %u0, %f, %g, %k;"), fma_f32, FLOATS, 0 },
	{ "sqrt.rn.f32", FO("sqrt.rn.f32 %u0, %f;"), sqrt_f32, FLOATS, 0 },
	{ "rcp.rn.f32", FO("rcp.rn.f32 %u0, %f;"), rcp_f32, FLOATS, 0 },
	{ "neg.f32", FO("neg.f32 %u0, %f;"), neg_f32, FLOATS, 0 },
	{ "abs.f32", FO("abs.f32 %u0, %f;"), abs_f32, FLOATS, 0 },
	{ "min.f32", FO("min.f32 %u0, %f, %g;"), min_f32, FLOATS, 0 },
	{ "min.xorsign.abs.f32", FO("min.xorsign.abs.f32 %u0, %f, %g;"), min_xorsign, FLOATS, 0 },
	{ "max.NaN.xorsign.abs.f32", FO("max.NaN.xorsign.abs.f32 %u0, %f, %g;"), max_nan_xorsign, FLOATS,
	  0 },
	{ "max.f32", FO("max.f32 %u0, %f, %g;"), max_f32, FLOATS, 0 },
	{ "add.ftz.f32", FO("add.ftz.f32 %u0, %f, %g;"), add_ftz, FLOATS, 0 },
	{ "mul.sat.f32", FO("mul.rn.sat.f32 %u0, %f, %g;"), mul_sat, FLOATS, 0 },
	{ "copysign.f32", FO("copysign.f32 %u0, %f, %g;"), copysign_f32, FLOATS, 0 },
	{ "add.rz.f32", FO("add.rz.f32 %u0, %f, %g;"), add_rz, FLOATS, 0 },
	{ "mul.rp.f32", FO("mul.rp.f32 %u0, %f, %g;"), mul_rp, FLOATS, 0 },
	{ "div.rm.f32", FO("div.rm.f32 %u0, %f, %g;"), div_rm, FLOATS, 0 },
	{ "fma.rp.f32", FO("fma.rp.f32 %u0, %f, %g, %k;"), fma_rp, FLOATS, 0 },
	{ "sqrt.rz.f32", FO("sqrt.rz.f32 %u0, %f;"), sqrt_rz, FLOATS, 0 },
	{ "add.f64", DO("add.f64 %v0, %d, %e;"), add_f64, DOUBLES, 0 },
	{ "mul.f64", DO("mul.rn.f64 %v0, %d, %e;"), mul_f64, DOUBLES, 0 },
	{ "div.rn.f64", DO("div.rn.f64 %v0, %d, %e;"), div_f64, DOUBLES, 0 },
	{ "fma.rn.f64", DO("fma.rn.f64 %v0, %d, %e, %m;"), fma_f64, DOUBLES, 0 },
	{ "sqrt.rn.f64", DO("sqrt.rn.f64 %v0, %d;"), sqrt_f64, DOUBLES, 0 },
	{ "add.rm.f64", DO("add.rm.f64 %v0, %d, %e;"), add_rm64, DOUBLES, 0 },
	{ "div.rp.f64", DO("div.rp.f64 %v0, %d, %e;"), div_rp64, DOUBLES, 0 },
	{ "setp f32", ALL14("f32", "%f", "%g"), compare_f32, FLOATS, 0 },
	{ "setp f64", ALL14("f64", "%d", "%e"), compare_f64, DOUBLES, 0 },
	{ "testp", T1(finite, 1) T1(infinite, 2) T1(number, 4) T1(notanumber, 8) T1(normal, 16)
	  T1(subnormal, 32), classes, FLOATS, 0 },
	{ "cvt.rzi.s32.f32", W("cvt.rzi.s32.f32 %t0, %f;"), s32_rzi, FLOATS, 0 },
	{ "cvt.rni.u32.f32", W("cvt.rni.u32.f32 %t0, %f;"), u32_rni, FLOATS, 0 },
	{ "cvt.rmi.s32.f32", W("cvt.rmi.s32.f32 %t0, %f;"), s32_rmi, FLOATS, 0 },
	{ "cvt.rpi.u16.f32", S("cvt.rpi.u16.f32 %s0, %f;"), u16_rpi, FLOATS, 0 },
	{ "cvt.rzi.s64.f64", "cvt.rzi.s64.f64 %o, %d;", s64_rzi, DOUBLES, 0 },
	{ "cvt.rzi.u64.f64", "cvt.rzi.u64.f64 %o, %d;", u64_rzi, DOUBLES, 0 },
	{ "cvt.rmi.f32.f32", FO("cvt.rmi.f32.f32 %u0, %f;"), f32_rmi, FLOATS, 0 },
	{ "cvt.sat.f32.f32", FO("cvt.sat.f32.f32 %u0, %f;"), f32_sat, FLOATS, 0 },
	{ "cvt.rn.f32.f64", "cvt.rn.f32.f64 %u0, %d; setp.nan.f32 %p0, %u0, %u0;"
	  "@%p0 mov.b32 %u0, 0f7fc00000; mov.b32 %t7, %u0; cvt.u64.u32 %o, %t7;", f32_f64,
	  DOUBLES, 0 },
	{ "cvt.rp.f32.f64", "cvt.rp.f32.f64 %u0, %d; setp.nan.f32 %p0, %u0, %u0;"
	  "@%p0 mov.b32 %u0, 0f7fc00000; mov.b32 %t7, %u0; cvt.u64.u32 %o, %t7;", f32_rp_f64,
	  DOUBLES, 0 },
	{ "cvt.rn.f32.s32", FO("cvt.rn.f32.s32 %u0, %x;"), f32_s32, INTS, 0 },
	{ "cvt.rn.f32.u32", FO("cvt.rn.f32.u32 %u0, %x;"), f32_u32, INTS, 0 },
	{ "cvt.rn.f32.u64", FO("cvt.rn.f32.u64 %u0, %a;"), f32_u64, INTS, 0 },
	{ "cvt.rz.f32.u64", FO("cvt.rz.f32.u64 %u0, %a;"), f32_rz_u64, INTS, 0 },
	{ "cvt.rn.f64.s64", DO("cvt.rn.f64.s64 %v0, %a;"), f64_s64, INTS, 0 },
	{ "cvt.rn.f64.u64", DO("cvt.rn.f64.u64 %v0, %a;"), f64_u64, INTS, 0 },
	{ "cvt.s64.s8", "cvt.s64.s8 %o, %a;", s64_s8, INTS, 0 },
	{ "cvt.s64.s16", "cvt.s64.s16 %o, %h;", u64_s16, INTS, 0 },
	{ "cvt.sat.u16.s32", S("cvt.sat.u16.s32 %s0, %x;"), u16_sat_s32, INTS, 0 },
	{ "cvt.sat.s8.s64", W("cvt.sat.s8.s64 %t0, %a;"), s8_sat_s64, INTS, 0 },
	{ "add.f16", S("add.rn.f16 %s0, %h, %i;"), add_f16, HALVES, 0 },
	{ "mul.f16", S("mul.f16 %s0, %h, %i;"), mul_f16, HALVES, 0 },
	{ "neg.f16", S("neg.f16 %s0, %h;"), neg_f16, HALVES, 0 },
	{ "max.f16", S("max.f16 %s0, %h, %i;"), max_f16, HALVES, 0 },
	{ "cvt.f32.f16", FO("cvt.f32.f16 %u0, %h;"), f32_f16, HALVES, 0 },
	{ "cvt.rn.f16.f32", S("cvt.rn.f16.f32 %s0, %f;"), f16_f32, FLOATS, 0 },
	{ "setp.lt.f16", "setp.lt.f16 %p0, %h, %i; selp.u64 %o, 1, 0, %p0;", lt_f16, HALVES, 0 },
	{ "add.f16x2", W("mov.b32 %t1, {%h, %i}; mov.b32 %t2, {%i, %h};"
	  "add.rn.f16x2 %t0, %t1, %t2;"), add_f16x2, HALVES, 0 },
	{ "cvt.rn.f16x2.f32", W("cvt.rn.f16x2.f32 %t0, %f, %g;"), pack_f16x2, FLOATS, 0 },
	{ "cvt.rn.bf16.f32", S("cvt.rn.bf16.f32 %s0, %f;"), bf16_f32, FLOATS, 0 },
	{ "cvt.f32.bf16", FO("cvt.f32.bf16 %u0, %h;"), f32_bf16, BHALVES, 0 },
};

/* What the hardware approximates: as close as the ISA promises, on its full range. */
F(rcp_approx, u32_of(ftz(1 / ftz(g))))
F(ex2_approx, u32_of(exp2f(fabsf(f) < 100 ? fabsf(f) : 100)))
F(lg2_approx, u32_of(log2f(2 + fabsf(f))))
F(rsqrt_approx, u32_of((float)(1 / sqrt(fabs(f) + 1))))
F(tanh_approx, u32_of(2 + tanhf(f)))

static const struct op_case close_cases[] = {
	{ "rcp.approx.ftz.f32", FO("rcp.approx.ftz.f32 %u0, %g;"), rcp_approx, FLOATS, 1e-6 },
	{ "ex2.approx.f32", FO("abs.f32 %u1, %f; min.f32 %u1, %u1, 0f42c80000;"
	  "ex2.approx.f32 %u0, %u1;"), ex2_approx, FLOATS, 1e-6 },
	{ "lg2.approx.f32", FO("abs.f32 %u1, %f; add.f32 %u1, %u1, 0f40000000;"
	  "lg2.approx.f32 %u0, %u1;"), lg2_approx, FLOATS, 1e-6 },
	{ "rsqrt.approx.f32", FO("abs.f32 %u1, %f; add.f32 %u1, %u1, 0f3f800000;"
	  "rsqrt.approx.f32 %u0, %u1;"), rsqrt_approx, FLOATS, 1e-6 },
	{ "tanh.approx.f32", FO("tanh.approx.f32 %u1, %f; add.f32 %u0, %u1, 0f40000000;"),
	  tanh_approx, FLOATS, 1e-3 },
};

static void exact(void **state)
{
	(void)state;
	run_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

static void approximate(void **state)
{
	(void)state;
	run_cases(close_cases, sizeof(close_cases) / sizeof(close_cases[0]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exact), cmocka_unit_test(approximate),
	};

	use_device();
	return cmocka_run_group_tests_name("float", tests, NULL, NULL);
}
