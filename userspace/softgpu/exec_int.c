// SPDX-License-Identifier: Apache-2.0
/* Integer arithmetic. Semantics: PTX ISA, "Integer Arithmetic Instructions". */
#include <stdlib.h>

#include "ops.h"

typedef __int128 i128;
typedef unsigned __int128 u128;

#define UN(name, D, A, expr) \
	static void name(struct sg_exec *x, const struct sg_insn *in, uint32_t m) \
	{ \
		const A *a = sg_slot(x, in->a); \
		D *d = sg_slot(x, in->d); \
		SG_EACH(m, A va = a[l]; d[l] = (expr)); \
	}

#define BIN(name, D, A, B, expr) \
	static void name(struct sg_exec *x, const struct sg_insn *in, uint32_t m) \
	{ \
		const A *a = sg_slot(x, in->a); \
		const B *b = sg_slot(x, in->b); \
		D *d = sg_slot(x, in->d); \
		SG_EACH(m, A va = a[l]; B vb = b[l]; d[l] = (expr)); \
	}

#define TER(name, D, A, B, C, expr) \
	static void name(struct sg_exec *x, const struct sg_insn *in, uint32_t m) \
	{ \
		const A *a = sg_slot(x, in->a); \
		const B *b = sg_slot(x, in->b); \
		const C *c = sg_slot(x, in->c); \
		D *d = sg_slot(x, in->d); \
		SG_EACH(m, A va = a[l]; B vb = b[l]; C vc = c[l]; d[l] = (expr)); \
	}

/* One function for each width; the sign does not matter. */
#define SIGNLESS(W) \
	BIN(add_##W, uint##W##_t, uint##W##_t, uint##W##_t, va + vb) \
	BIN(sub_##W, uint##W##_t, uint##W##_t, uint##W##_t, va - vb) \
	BIN(mul_lo_##W, uint##W##_t, uint##W##_t, uint##W##_t, (uint64_t)va * vb) \
	TER(mad_lo_##W, uint##W##_t, uint##W##_t, uint##W##_t, uint##W##_t, \
	    (uint64_t)va * vb + vc) \
	UN(neg_##W, uint##W##_t, uint##W##_t, -va)

SIGNLESS(16)
SIGNLESS(32)
SIGNLESS(64)

/* Division by zero gives all ones on the hardware, and no trap. */
#define SIGNED(N, W) \
	BIN(div_##N, N, N, N, !vb ? (N)-1 : vb == (N)-1 && (N)-1 < 0 ? (N)(0 - va) : va / vb) \
	BIN(rem_##N, N, N, N, !vb ? va : vb == (N)-1 && (N)-1 < 0 ? 0 : va % vb) \
	BIN(min_##N, N, N, N, va < vb ? va : vb) \
	BIN(max_##N, N, N, N, va > vb ? va : vb) \
	TER(sad_##N, N, N, N, N, vc + (va > vb ? va - vb : vb - va)) \
	BIN(mul_hi_##N, N, N, N, ((WIDE_##N)va * (WIDE_##N)vb) >> W) \
	TER(mad_hi_##N, N, N, N, N, (N)(((WIDE_##N)va * (WIDE_##N)vb) >> W) + vc)

typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;
#define WIDE_u16 uint32_t
#define WIDE_s16 int32_t
#define WIDE_u32 uint64_t
#define WIDE_s32 int64_t
#define WIDE_u64 u128
#define WIDE_s64 i128
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtype-limits"
SIGNED(u16, 16)
SIGNED(s16, 16)
SIGNED(u32, 32)
SIGNED(s32, 32)
SIGNED(u64, 64)
SIGNED(s64, 64)
#pragma GCC diagnostic pop

UN(abs_s16, s16, s16, va < 0 ? -va : va)
UN(abs_s32, s32, s32, va < 0 ? -va : va)
UN(abs_s64, s64, s64, va < 0 ? -va : va)

BIN(mul_wide_u16, u32, u16, u16, (u32)va * vb)
BIN(mul_wide_s16, s32, s16, s16, (s32)va * vb)
BIN(mul_wide_u32, u64, u32, u32, (u64)va * vb)
BIN(mul_wide_s32, s64, s32, s32, (s64)va * vb)
TER(mad_wide_u16, u32, u16, u16, u32, (u32)va * vb + vc)
TER(mad_wide_s16, s32, s16, s16, s32, (s32)va * vb + vc)
TER(mad_wide_u32, u64, u32, u32, u64, (u64)va * vb + vc)
TER(mad_wide_s32, s64, s32, s32, s64, (s64)va * vb + vc)

static s32 saturate(s64 v)
{
	return v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : v;
}

BIN(add_sat_s32, s32, s32, s32, saturate((s64)va + vb))
BIN(sub_sat_s32, s32, s32, s32, saturate((s64)va - vb))
TER(mad_hi_sat_s32, s32, s32, s32, s32, saturate((((s64)va * vb) >> 32) + vc))

static s32 low24(s32 v)
{
	return (s32)((u32)v << 8) >> 8;
}

BIN(mul24_lo_u32, u32, u32, u32, (u64)(va & 0xffffff) * (vb & 0xffffff))
BIN(mul24_lo_s32, s32, s32, s32, (s64)low24(va) * low24(vb))
BIN(mul24_hi_u32, u32, u32, u32, ((u64)(va & 0xffffff) * (vb & 0xffffff)) >> 16)
BIN(mul24_hi_s32, s32, s32, s32, ((s64)low24(va) * low24(vb)) >> 16)
TER(mad24_lo_u32, u32, u32, u32, u32, (u64)(va & 0xffffff) * (vb & 0xffffff) + vc)
TER(mad24_lo_s32, s32, s32, s32, s32, (s64)low24(va) * low24(vb) + vc)
TER(mad24_hi_u32, u32, u32, u32, u32, (((u64)(va & 0xffffff) * (vb & 0xffffff)) >> 16) + vc)
TER(mad24_hi_s32, s32, s32, s32, s32, (((s64)low24(va) * low24(vb)) >> 16) + vc)

static s32 dot4(u32 a, bool sa, u32 b, bool sb)
{
	s32 sum = 0;

	for (int i = 0; i < 32; i += 8)
		sum += (sa ? (int8_t)(a >> i) : (uint8_t)(a >> i)) *
		       (sb ? (int8_t)(b >> i) : (uint8_t)(b >> i));
	return sum;
}

static s32 dot2(u32 a, bool sa, u32 b, bool sb, int half)
{
	s32 sum = 0;

	for (int i = 0; i < 2; i++) {
		u16 va = a >> 16 * i;
		uint8_t vb = b >> (8 * i + 16 * half);

		sum += (sa ? (s16)va : va) * (sb ? (int8_t)vb : vb);
	}
	return sum;
}

TER(dp4a_uu, u32, u32, u32, u32, vc + dot4(va, 0, vb, 0))
TER(dp4a_us, u32, u32, u32, u32, vc + dot4(va, 0, vb, 1))
TER(dp4a_su, u32, u32, u32, u32, vc + dot4(va, 1, vb, 0))
TER(dp4a_ss, u32, u32, u32, u32, vc + dot4(va, 1, vb, 1))
TER(dp2a_lo_uu, u32, u32, u32, u32, vc + dot2(va, 0, vb, 0, 0))
TER(dp2a_lo_us, u32, u32, u32, u32, vc + dot2(va, 0, vb, 1, 0))
TER(dp2a_lo_su, u32, u32, u32, u32, vc + dot2(va, 1, vb, 0, 0))
TER(dp2a_lo_ss, u32, u32, u32, u32, vc + dot2(va, 1, vb, 1, 0))
TER(dp2a_hi_uu, u32, u32, u32, u32, vc + dot2(va, 0, vb, 0, 1))
TER(dp2a_hi_us, u32, u32, u32, u32, vc + dot2(va, 0, vb, 1, 1))
TER(dp2a_hi_su, u32, u32, u32, u32, vc + dot2(va, 1, vb, 0, 1))
TER(dp2a_hi_ss, u32, u32, u32, u32, vc + dot2(va, 1, vb, 1, 1))

/* Two 16-bit values in one register. */
#define PAIRS(lo, hi) ((u32)(u16)(lo) | (u32)(hi) << 16)
#define LOW(v, T) ((T)(v))
#define HIGH(v, T) ((T)((v) >> 16))
#define LEAST(a, b) ((a) < (b) ? (a) : (b))
#define MOST(a, b) ((a) > (b) ? (a) : (b))
#define POSITIVE(v) ((v) > 0 ? (v) : 0)

#define BY_PAIRS(name, T, op) \
	BIN(name, u32, u32, u32, PAIRS(op(LOW(va, T), LOW(vb, T)), op(HIGH(va, T), HIGH(vb, T))))
#define SUM(a, b) ((a) + (b))
#define LEAST_RELU(a, b) POSITIVE(LEAST(a, b))
#define MOST_RELU(a, b) POSITIVE(MOST(a, b))
BY_PAIRS(add_16x2, u16, SUM)
BY_PAIRS(min_u16x2, u16, LEAST)
BY_PAIRS(max_u16x2, u16, MOST)
BY_PAIRS(min_s16x2, s16, LEAST)
BY_PAIRS(max_s16x2, s16, MOST)
BY_PAIRS(min_relu_s16x2, s16, LEAST_RELU)
BY_PAIRS(max_relu_s16x2, s16, MOST_RELU)
BIN(min_relu_s32, s32, s32, s32, LEAST_RELU(va, vb))
BIN(max_relu_s32, s32, s32, s32, MOST_RELU(va, vb))

#define SAME1(n, T, f) { n, T, f, T, { T } }
#define SAME2(n, T, f) { n, T, f, T, { T, T } }
#define SAME3(n, T, f) { n, T, f, T, { T, T, T } }

#define ROWS(U, S, W, un, sn) \
	SAME2("add", U, add_##W), SAME2("add", S, add_##W), \
	SAME2("sub", U, sub_##W), SAME2("sub", S, sub_##W), \
	SAME2("mul.lo", U, mul_lo_##W), SAME2("mul.lo", S, mul_lo_##W), \
	SAME3("mad.lo", U, mad_lo_##W), SAME3("mad.lo", S, mad_lo_##W), \
	SAME2("mul.hi", U, mul_hi_##un), SAME2("mul.hi", S, mul_hi_##sn), \
	SAME3("mad.hi", U, mad_hi_##un), SAME3("mad.hi", S, mad_hi_##sn), \
	SAME1("neg", S, neg_##W), SAME1("abs", S, abs_##sn), \
	SAME2("div", U, div_##un), SAME2("div", S, div_##sn), \
	SAME2("rem", U, rem_##un), SAME2("rem", S, rem_##sn), \
	SAME2("min", U, min_##un), SAME2("min", S, min_##sn), \
	SAME2("max", U, max_##un), SAME2("max", S, max_##sn), \
	SAME3("sad", U, sad_##un), SAME3("sad", S, sad_##sn)

const struct sg_opdef sg_int_ops[] = {
	ROWS(T_U16, T_S16, 16, u16, s16),
	ROWS(T_U32, T_S32, 32, u32, s32),
	ROWS(T_U64, T_S64, 64, u64, s64),
	{ "mul.wide", T_U16, mul_wide_u16, T_U32, { T_U16, T_U16 } },
	{ "mul.wide", T_S16, mul_wide_s16, T_S32, { T_S16, T_S16 } },
	{ "mul.wide", T_U32, mul_wide_u32, T_U64, { T_U32, T_U32 } },
	{ "mul.wide", T_S32, mul_wide_s32, T_S64, { T_S32, T_S32 } },
	{ "mad.wide", T_U16, mad_wide_u16, T_U32, { T_U16, T_U16, T_U32 } },
	{ "mad.wide", T_S16, mad_wide_s16, T_S32, { T_S16, T_S16, T_S32 } },
	{ "mad.wide", T_U32, mad_wide_u32, T_U64, { T_U32, T_U32, T_U64 } },
	{ "mad.wide", T_S32, mad_wide_s32, T_S64, { T_S32, T_S32, T_S64 } },
	SAME2("add.sat", T_S32, add_sat_s32),
	SAME2("sub.sat", T_S32, sub_sat_s32),
	SAME3("mad.hi.sat", T_S32, mad_hi_sat_s32),
	SAME2("mul24.lo", T_U32, mul24_lo_u32), SAME2("mul24.lo", T_S32, mul24_lo_s32),
	SAME2("mul24.hi", T_U32, mul24_hi_u32), SAME2("mul24.hi", T_S32, mul24_hi_s32),
	SAME3("mad24.lo", T_U32, mad24_lo_u32), SAME3("mad24.lo", T_S32, mad24_lo_s32),
	SAME3("mad24.hi", T_U32, mad24_hi_u32), SAME3("mad24.hi", T_S32, mad24_hi_s32),
	SAME2("add", T_U16X2, add_16x2), SAME2("add", T_S16X2, add_16x2),
	SAME2("min", T_U16X2, min_u16x2), SAME2("max", T_U16X2, max_u16x2),
	SAME2("min", T_S16X2, min_s16x2), SAME2("max", T_S16X2, max_s16x2),
	SAME2("min.relu", T_S16X2, min_relu_s16x2), SAME2("max.relu", T_S16X2, max_relu_s16x2),
	SAME2("min.relu", T_S32, min_relu_s32), SAME2("max.relu", T_S32, max_relu_s32),
	SAME3("dp4a.u32", T_U32, dp4a_uu), SAME3("dp4a.u32", T_S32, dp4a_us),
	SAME3("dp4a.s32", T_U32, dp4a_su), SAME3("dp4a.s32", T_S32, dp4a_ss),
	SAME3("dp2a.lo.u32", T_U32, dp2a_lo_uu), SAME3("dp2a.lo.u32", T_S32, dp2a_lo_us),
	SAME3("dp2a.lo.s32", T_U32, dp2a_lo_su), SAME3("dp2a.lo.s32", T_S32, dp2a_lo_ss),
	SAME3("dp2a.hi.u32", T_U32, dp2a_hi_uu), SAME3("dp2a.hi.u32", T_S32, dp2a_hi_us),
	SAME3("dp2a.hi.s32", T_U32, dp2a_hi_su), SAME3("dp2a.hi.s32", T_S32, dp2a_hi_ss),
	{ 0 },
};

/*
 * Extended precision. The carry of each lane is kept as a predicate in the frame's first slot.
 */
#define CARRY(name, U, W, lhs, rhs, cin, keep) \
	static void name(struct sg_exec *x, const struct sg_insn *in, uint32_t m) \
	{ \
		const U *a = sg_slot(x, in->a); \
		const U *b = sg_slot(x, in->b); \
		const U *c = in->c == SG_NOSLOT ? b : sg_slot(x, in->c); \
		U *d = sg_slot(x, in->d); \
		uint32_t cf = *(uint32_t *)sg_slot(x, 0), out = 0; \
		(void)c; \
		(void)cf; \
		SG_EACH(m, { \
			u128 t = (u128)(U)(lhs) + (u128)(U)(rhs) + ((cin) ? cf >> l & 1 : 0); \
			d[l] = t; \
			out |= (uint32_t)(t >> W & 1) << l; \
		}); \
		if (keep) \
			sg_pred_write(x, 0, m, out); \
	}

/*
 * A difference is a + ~b + 1, and its carry is what is kept: no borrow. An addc behind a sub.cc
 * and a subc behind an add.cc show it (seen on an H200).
 */
#define BORROW(name, U, W, cin, keep) \
	static void name(struct sg_exec *x, const struct sg_insn *in, uint32_t m) \
	{ \
		const U *a = sg_slot(x, in->a); \
		const U *b = sg_slot(x, in->b); \
		U *d = sg_slot(x, in->d); \
		uint32_t cf = *(uint32_t *)sg_slot(x, 0), out = 0; \
		(void)cf; \
		SG_EACH(m, { \
			u128 t = (u128)a[l] + (U)~b[l] + ((cin) ? cf >> l & 1 : 1); \
			d[l] = t; \
			out |= (uint32_t)(t >> W & 1) << l; \
		}); \
		if (keep) \
			sg_pred_write(x, 0, m, out); \
	}

#define EXTENDED(N, U, W, MUL) \
	CARRY(add_cc_##N, U, W, a[l], b[l], 0, 1) \
	CARRY(addc_##N, U, W, a[l], b[l], 1, 0) \
	CARRY(addc_cc_##N, U, W, a[l], b[l], 1, 1) \
	BORROW(sub_cc_##N, U, W, 0, 1) \
	BORROW(subc_##N, U, W, 1, 0) \
	BORROW(subc_cc_##N, U, W, 1, 1) \
	CARRY(mad_lo_cc_##N, U, W, a[l] * b[l], c[l], 0, 1) \
	CARRY(madc_lo_##N, U, W, a[l] * b[l], c[l], 1, 0) \
	CARRY(madc_lo_cc_##N, U, W, a[l] * b[l], c[l], 1, 1) \
	CARRY(mad_hi_cc_##N, U, W, (MUL)a[l] * (MUL)b[l] >> W, c[l], 0, 1) \
	CARRY(madc_hi_##N, U, W, (MUL)a[l] * (MUL)b[l] >> W, c[l], 1, 0) \
	CARRY(madc_hi_cc_##N, U, W, (MUL)a[l] * (MUL)b[l] >> W, c[l], 1, 1)

/* The signed forms differ in the high half of a product only. */
#define SIGNED_HIGH(N, U, S, W, MUL) \
	CARRY(mad_hi_cc_##N, U, W, ((MUL)(S)a[l] * (MUL)(S)b[l]) >> W, c[l], 0, 1) \
	CARRY(madc_hi_##N, U, W, ((MUL)(S)a[l] * (MUL)(S)b[l]) >> W, c[l], 1, 0) \
	CARRY(madc_hi_cc_##N, U, W, ((MUL)(S)a[l] * (MUL)(S)b[l]) >> W, c[l], 1, 1)

EXTENDED(u32, u32, 32, u64)
EXTENDED(u64, u64, 64, u128)
SIGNED_HIGH(s32, u32, s32, 32, s64)
SIGNED_HIGH(s64, u64, s64, 64, i128)

#define CARRY_ROWS(T, N, H) \
	SAME2("add.cc", T, add_cc_##N), SAME2("addc", T, addc_##N), \
	SAME2("addc.cc", T, addc_cc_##N), SAME2("sub.cc", T, sub_cc_##N), \
	SAME2("subc", T, subc_##N), SAME2("subc.cc", T, subc_cc_##N), \
	SAME3("mad.lo.cc", T, mad_lo_cc_##N), SAME3("madc.lo", T, madc_lo_##N), \
	SAME3("madc.lo.cc", T, madc_lo_cc_##N), SAME3("mad.hi.cc", T, mad_hi_cc_##H), \
	SAME3("madc.hi", T, madc_hi_##H), SAME3("madc.hi.cc", T, madc_hi_cc_##H)

const struct sg_opdef sg_carry_ops[] = {
	CARRY_ROWS(T_U32, u32, u32), CARRY_ROWS(T_S32, u32, s32),
	CARRY_ROWS(T_U64, u64, u64), CARRY_ROWS(T_S64, u64, s64),
	{ 0 },
};
