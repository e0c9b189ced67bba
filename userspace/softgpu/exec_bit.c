// SPDX-License-Identifier: Apache-2.0
/* Logic, shifts, bit fields, permutes and selections. */
#include <stdlib.h>

#include "ops.h"

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
		(void)in; \
		SG_EACH(m, A va = a[l]; B vb = b[l]; C vc = c[l]; d[l] = (expr)); \
	}

typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

/* A shift by the width or more leaves nothing, or the sign. */
#define LOGIC(W) \
	BIN(and_##W, u##W, u##W, u##W, va & vb) \
	BIN(or_##W, u##W, u##W, u##W, va | vb) \
	BIN(xor_##W, u##W, u##W, u##W, va ^ vb) \
	UN(not_##W, u##W, u##W, ~va) \
	UN(cnot_##W, u##W, u##W, !va) \
	BIN(shl_##W, u##W, u##W, u32, vb < W ? (u##W)((u64)va << vb) : 0) \
	BIN(shr_u##W, u##W, u##W, u32, vb < W ? va >> vb : 0) \
	BIN(shr_s##W, s##W, s##W, u32, va >> (vb < W ? vb : W - 1))

LOGIC(16)
LOGIC(32)
LOGIC(64)

static u64 reverse64(u64 v)
{
	v = (v >> 1 & 0x5555555555555555) | (v & 0x5555555555555555) << 1;
	v = (v >> 2 & 0x3333333333333333) | (v & 0x3333333333333333) << 2;
	v = (v >> 4 & 0x0f0f0f0f0f0f0f0f) | (v & 0x0f0f0f0f0f0f0f0f) << 4;
	return __builtin_bswap64(v);
}

UN(popc_32, u32, u32, __builtin_popcount(va))
UN(popc_64, u32, u64, __builtin_popcountll(va))
UN(clz_32, u32, u32, va ? __builtin_clz(va) : 32)
UN(clz_64, u32, u64, va ? __builtin_clzll(va) : 64)
UN(brev_32, u32, u32, reverse64(va) >> 32)
UN(brev_64, u64, u64, reverse64(va))

/* The position of the highest bit that is not the sign; all ones when there is none. */
static u32 find64(u64 v)
{
	return v ? (u32)(63 - __builtin_clzll(v)) : UINT32_MAX;
}

static u32 shift_amount(u64 v, u32 top)
{
	u32 p = find64(v);

	return p == UINT32_MAX ? p : top - p;
}

UN(bfind_u32, u32, u32, find64(va))
UN(bfind_u64, u32, u64, find64(va))
UN(bfind_s32, u32, s32, find64((u32)(va < 0 ? ~va : va)))
UN(bfind_s64, u32, s64, find64(va < 0 ? ~va : va))
UN(bfind_sh_u32, u32, u32, shift_amount(va, 31))
UN(bfind_sh_u64, u32, u64, shift_amount(va, 63))
UN(bfind_sh_s32, u32, s32, shift_amount((u32)(va < 0 ? ~va : va), 31))
UN(bfind_sh_s64, u32, s64, shift_amount(va < 0 ? ~va : va, 63))

/* PTX ISA, bfe: position and length count to 255; what lies past the top is the sign. */
static u64 extract(u64 a, u32 pos, u32 len, u32 width, bool is_signed)
{
	u32 room, last;
	u64 mask, sign = 0, field;

	pos &= 255;
	len &= 255;
	if (!len)
		return 0;
	last = pos + len - 1 < width - 1 ? pos + len - 1 : width - 1;
	if (is_signed && a >> last & 1)
		sign = ~0ull;
	room = pos < width ? width - pos : 0;
	if (len > room)
		len = room;
	mask = len >= 64 ? ~0ull : (1ull << len) - 1;
	field = pos < width ? a >> pos : 0;
	return (field & mask) | (sign & ~mask);
}

static u64 insert(u64 a, u64 b, u32 pos, u32 len, int width)
{
	u64 mask;

	pos &= 255;
	len &= 255;
	if (pos >= (u32)width || !len)
		return b;
	mask = (len >= 64 ? ~0ull : (1ull << len) - 1) << pos;
	return (b & ~mask) | (a << pos & mask);
}

TER(bfe_u32, u32, u32, u32, u32, extract(va, vb, vc, 32, false))
TER(bfe_s32, u32, s32, u32, u32, extract((u32)va, vb, vc, 32, true))
TER(bfe_u64, u64, u64, u32, u32, extract(va, vb, vc, 64, false))
TER(bfe_s64, u64, s64, u32, u32, extract(va, vb, vc, 64, true))

#define BFI(W) \
	void sg_op_bfi##W(struct sg_exec *x, const struct sg_insn *in, uint32_t m) \
	{ \
		const u##W *a = sg_slot(x, in->a), *b = sg_slot(x, in->b); \
		const u32 *c = sg_slot(x, in->c), *e = sg_slot(x, in->e); \
		u##W *d = sg_slot(x, in->d); \
		SG_EACH(m, d[l] = insert(a[l], b[l], c[l], e[l], W)); \
	}
BFI(32)
BFI(64)

TER(shf_l_clamp, u32, u32, u32, u32,
    vc >= 32 ? va : ((u64)vb << 32 | va) << vc >> 32)
TER(shf_l_wrap, u32, u32, u32, u32, ((u64)vb << 32 | va) << (vc & 31) >> 32)
TER(shf_r_clamp, u32, u32, u32, u32,
    vc >= 32 ? vb : (u32)(((u64)vb << 32 | va) >> vc))
TER(shf_r_wrap, u32, u32, u32, u32, ((u64)vb << 32 | va) >> (vc & 31))

static u32 field_mask(u32 pos, u32 len)
{
	u64 m = len >= 32 ? 0xffffffff : (1ull << len) - 1;

	return pos >= 32 ? 0 : m << pos;
}

BIN(bmsk_clamp, u32, u32, u32, field_mask(va, vb))
BIN(bmsk_wrap, u32, u32, u32, field_mask(va & 31, vb & 31))

/* The position of the set bit that is number `nth` from `at`, upwards or downwards. */
static u32 nth_set(u32 mask, u32 at, s32 nth)
{
	u32 left = nth < 0 ? -(u32)nth : (u32)nth;

	if (!nth)
		return at < 32 && mask >> at & 1 ? at : UINT32_MAX;
	for (; at < 32; at += nth < 0 ? -1 : 1)
		if (mask >> at & 1 && !--left)
			return at;
	return UINT32_MAX;
}

TER(fns, u32, u32, u32, s32, nth_set(va, vb, vc))

static u32 extend(u32 a, u32 n, bool is_signed)
{
	if (n >= 32)
		return a;
	if (!n)
		return 0;
	return is_signed ? (u32)((s32)(a << (32 - n)) >> (32 - n)) : a & ((1u << n) - 1);
}

BIN(szext_clamp_u32, u32, u32, u32, extend(va, vb, false))
BIN(szext_clamp_s32, u32, u32, u32, extend(va, vb, true))
BIN(szext_wrap_u32, u32, u32, u32, extend(va, vb & 31, false))
BIN(szext_wrap_s32, u32, u32, u32, extend(va, vb & 31, true))

static u32 permute(u32 a, u32 b, u32 sel)
{
	u64 from = (u64)b << 32 | a;
	u32 out = 0;

	for (int i = 0; i < 4; i++) {
		u32 s = sel >> 4 * i & 15;
		uint8_t v = from >> 8 * (s & 7);

		if (s & 8)
			v = v & 0x80 ? 0xff : 0;
		out |= (u32)v << 8 * i;
	}
	return out;
}

/* PTX ISA, table of prmt modes: the selectors each mode stands for. */
static u32 mode_permute(u32 a, u32 b, u32 c, const u32 sel[4])
{
	return permute(a, b, sel[c & 3]);
}

static const u32 sel_f4e[4] = { 0x3210, 0x4321, 0x5432, 0x6543 };
static const u32 sel_b4e[4] = { 0x5670, 0x6701, 0x7012, 0x0123 };
static const u32 sel_rc8[4] = { 0x0000, 0x1111, 0x2222, 0x3333 };
static const u32 sel_ecl[4] = { 0x3210, 0x3211, 0x3222, 0x3333 };
static const u32 sel_ecr[4] = { 0x0000, 0x1110, 0x2210, 0x3210 };
static const u32 sel_rc16[4] = { 0x1010, 0x3232, 0x1010, 0x3232 };

TER(prmt_any, u32, u32, u32, u32, permute(va, vb, vc))
TER(prmt_f4e, u32, u32, u32, u32, mode_permute(va, vb, vc, sel_f4e))
TER(prmt_b4e, u32, u32, u32, u32, mode_permute(va, vb, vc, sel_b4e))
TER(prmt_rc8, u32, u32, u32, u32, mode_permute(va, vb, vc, sel_rc8))
TER(prmt_ecl, u32, u32, u32, u32, mode_permute(va, vb, vc, sel_ecl))
TER(prmt_ecr, u32, u32, u32, u32, mode_permute(va, vb, vc, sel_ecr))
TER(prmt_rc16, u32, u32, u32, u32, mode_permute(va, vb, vc, sel_rc16))

/* lop3: bit i of the table is the result for the input bits a, b, c = i. */
void sg_op_lop3(struct sg_exec *x, const struct sg_insn *in, uint32_t m)
{
	const u32 *a = sg_slot(x, in->a), *b = sg_slot(x, in->b), *c = sg_slot(x, in->c);
	u32 *d = sg_slot(x, in->d);
	u32 t[8];

	for (int i = 0; i < 8; i++)
		t[i] = in->imm >> i & 1 ? ~0u : 0;
	SG_EACH(m, u32 va = a[l]; u32 vb = b[l]; u32 vc = c[l];
		d[l] = (~va & ~vb & ~vc & t[0]) | (~va & ~vb & vc & t[1]) |
		       (~va & vb & ~vc & t[2]) | (~va & vb & vc & t[3]) |
		       (va & ~vb & ~vc & t[4]) | (va & ~vb & vc & t[5]) |
		       (va & vb & ~vc & t[6]) | (va & vb & vc & t[7]));
}

TER(slct_16_s32, u16, u16, u16, s32, vc >= 0 ? va : vb)
TER(slct_32_s32, u32, u32, u32, s32, vc >= 0 ? va : vb)
TER(slct_64_s32, u64, u64, u64, s32, vc >= 0 ? va : vb)
TER(slct_16_f32, u16, u16, u16, float, vc >= 0 ? va : vb)
TER(slct_32_f32, u32, u32, u32, float, vc >= 0 ? va : vb)
TER(slct_64_f32, u64, u64, u64, float, vc >= 0 ? va : vb)

#define ROWS(B, U, S, W) \
	{ "and", B, and_##W, B, { B, B } }, { "or", B, or_##W, B, { B, B } }, \
	{ "xor", B, xor_##W, B, { B, B } }, { "not", B, not_##W, B, { B } }, \
	{ "cnot", B, cnot_##W, B, { B } }, { "shl", B, shl_##W, B, { B, T_U32 } }, \
	{ "shr", B, shr_u##W, B, { B, T_U32 } }, { "shr", U, shr_u##W, U, { U, T_U32 } }, \
	{ "shr", S, shr_s##W, S, { S, T_U32 } }

const struct sg_opdef sg_bit_ops[] = {
	ROWS(T_B16, T_U16, T_S16, 16),
	ROWS(T_B32, T_U32, T_S32, 32),
	ROWS(T_B64, T_U64, T_S64, 64),
	{ "popc", T_B32, popc_32, T_U32, { T_B32 } },
	{ "popc", T_B64, popc_64, T_U32, { T_B64 } },
	{ "clz", T_B32, clz_32, T_U32, { T_B32 } },
	{ "clz", T_B64, clz_64, T_U32, { T_B64 } },
	{ "brev", T_B32, brev_32, T_B32, { T_B32 } },
	{ "brev", T_B64, brev_64, T_B64, { T_B64 } },
	{ "bfind", T_U32, bfind_u32, T_U32, { T_U32 } },
	{ "bfind", T_U64, bfind_u64, T_U32, { T_U64 } },
	{ "bfind", T_S32, bfind_s32, T_U32, { T_S32 } },
	{ "bfind", T_S64, bfind_s64, T_U32, { T_S64 } },
	{ "bfind.shiftamt", T_U32, bfind_sh_u32, T_U32, { T_U32 } },
	{ "bfind.shiftamt", T_U64, bfind_sh_u64, T_U32, { T_U64 } },
	{ "bfind.shiftamt", T_S32, bfind_sh_s32, T_U32, { T_S32 } },
	{ "bfind.shiftamt", T_S64, bfind_sh_s64, T_U32, { T_S64 } },
	{ "bfe", T_U32, bfe_u32, T_U32, { T_U32, T_U32, T_U32 } },
	{ "bfe", T_S32, bfe_s32, T_S32, { T_S32, T_U32, T_U32 } },
	{ "bfe", T_U64, bfe_u64, T_U64, { T_U64, T_U32, T_U32 } },
	{ "bfe", T_S64, bfe_s64, T_S64, { T_S64, T_U32, T_U32 } },
	{ "shf.l.clamp", T_B32, shf_l_clamp, T_B32, { T_B32, T_B32, T_U32 } },
	{ "shf.l.wrap", T_B32, shf_l_wrap, T_B32, { T_B32, T_B32, T_U32 } },
	{ "shf.r.clamp", T_B32, shf_r_clamp, T_B32, { T_B32, T_B32, T_U32 } },
	{ "shf.r.wrap", T_B32, shf_r_wrap, T_B32, { T_B32, T_B32, T_U32 } },
	{ "fns", T_B32, fns, T_B32, { T_B32, T_B32, T_S32 } },
	{ "bmsk.clamp", T_B32, bmsk_clamp, T_B32, { T_U32, T_U32 } },
	{ "bmsk.wrap", T_B32, bmsk_wrap, T_B32, { T_U32, T_U32 } },
	{ "szext.clamp", T_U32, szext_clamp_u32, T_U32, { T_U32, T_U32 } },
	{ "szext.clamp", T_S32, szext_clamp_s32, T_S32, { T_S32, T_U32 } },
	{ "szext.wrap", T_U32, szext_wrap_u32, T_U32, { T_U32, T_U32 } },
	{ "szext.wrap", T_S32, szext_wrap_s32, T_S32, { T_S32, T_U32 } },
	{ "prmt", T_B32, prmt_any, T_B32, { T_B32, T_B32, T_B32 } },
	{ "prmt.f4e", T_B32, prmt_f4e, T_B32, { T_B32, T_B32, T_B32 } },
	{ "prmt.b4e", T_B32, prmt_b4e, T_B32, { T_B32, T_B32, T_B32 } },
	{ "prmt.rc8", T_B32, prmt_rc8, T_B32, { T_B32, T_B32, T_B32 } },
	{ "prmt.ecl", T_B32, prmt_ecl, T_B32, { T_B32, T_B32, T_B32 } },
	{ "prmt.ecr", T_B32, prmt_ecr, T_B32, { T_B32, T_B32, T_B32 } },
	{ "prmt.rc16", T_B32, prmt_rc16, T_B32, { T_B32, T_B32, T_B32 } },
	{ 0 },
};

sg_op sg_slct_op(int size, bool by_float)
{
	switch (size) {
	case 2:
		return by_float ? slct_16_f32 : slct_16_s32;
	case 4:
		return by_float ? slct_32_f32 : slct_32_s32;
	default:
		return by_float ? slct_64_f32 : slct_64_s32;
	}
}
