// SPDX-License-Identifier: Apache-2.0
/* Integer and bit instructions against plain C. */
#include "harness.h"

typedef uint32_t u32;
typedef int32_t s32;
typedef int64_t s64;
typedef uint64_t u64;
typedef __int128 s128;
typedef unsigned __int128 u128;

#define R(name, expr) \
	static u64 name(u64 a, u64 b, u64 c) \
	{ \
		u32 x = (u32)a, y = (u32)b, z = (u32)c; \
		(void)a; (void)b; (void)c; (void)x; (void)y; (void)z; \
		return (u64)(expr); \
	}
/* a 32-bit result, widened */
#define W(i) i "\ncvt.u64.u32 %o, %t0;"

R(add32, (u32)(x + y))
R(sub32, (u32)(x - y))
R(mul_lo32, (u32)(x * y))
R(mul_hi_u32, (u64)x * y >> 32)
R(mul_hi_s32, (u32)(((s64)(s32)x * (s32)y) >> 32))
R(mul_wide_u32, (u64)x * y)
R(mul_wide_s32, (s64)(s32)x * (s32)y)
R(mad_lo32, (u32)(x * y + z))
R(mad_wide_s32, (s64)(s32)x * (s32)y + (s64)c)
R(mad_hi_u32, (u32)(((u64)x * y >> 32) + z))
R(mul_hi_u64, (u64)((u128)a * b >> 64))
R(mul_hi_s64, (u64)(((s128)(s64)a * (s64)b) >> 64))
R(add64, a + b)
R(mul_lo64, a * b)
R(neg32, (u32)-x)
R(abs32, (s32)x < 0 ? (u32)-x : x)
R(min_s32, (u32)((s32)x < (s32)y ? x : y))
R(max_u32, x > y ? x : y)
R(min_u64, a < b ? a : b)
R(max_s64, (s64)a > (s64)b ? a : b)
R(div_u32, x / (y | 1))
R(div_s32, (u32)((s64)(s32)x / (s32)(y | 1)))
R(rem_s32, (u32)((s64)(s32)x % (s32)(y | 1)))
R(rem_u64, a % (b | 1))
R(div_s64, b == 0 ? a : (b | 1) == ~0ull ? -a : (u64)((s64)a / (s64)(b | 1)))
R(sad_s32, (u32)(z + ((s32)x > (s32)y ? x - y : y - x)))
R(mul_wide_s16, (u32)((s32)(int16_t)a * (int16_t)b))
R(add16, (uint16_t)(a + b))
R(shr_s16, (uint16_t)((int16_t)a >> (y > 15 ? 15 : y)))
R(add_sat, (s64)(s32)x + (s32)y > INT32_MAX ? (u32)INT32_MAX :
	   (s64)(s32)x + (s32)y < INT32_MIN ? (u32)INT32_MIN : (u32)(x + y))
R(mul24, (u32)((u64)(x & 0xffffff) * (y & 0xffffff)))
R(shl32, y > 31 ? 0 : (u32)(x << y))
R(shr_u32, y > 31 ? 0 : x >> y)
R(shr_s32, (u32)((s32)x >> (y > 31 ? 31 : y)))
R(shl64, y > 63 ? 0 : a << y)
R(shr_s64, (s64)a >> (y > 63 ? 63 : y))
R(and64, a & b)
R(not32, (u32)~x)
R(cnot32, !x)
R(popc64, __builtin_popcountll(a))
R(clz32, x ? __builtin_clz(x) : 32)
R(clz64, a ? __builtin_clzll(a) : 64)

/* the rest as the ISA describes it, bit by bit */
static u64 brev32(u64 a, u64 b, u64 c)
{
	u32 r = 0;

	(void)b; (void)c;
	for (int i = 0; i < 32; i++)
		r |= ((u32)a >> i & 1) << (31 - i);
	return r;
}

static u64 bfind(u64 v, int top, bool is_signed)
{
	if (is_signed && v >> top & 1)
		v = ~v;
	for (int i = top; i >= 0; i--)
		if (v >> i & 1)
			return i;
	return 0xffffffff;
}

/* as the ISA has it */
static u64 fns(u32 mask, int base, int offset)
{
	int count = abs(offset) - 1;

	if (!offset)
		return mask >> base & 1 ? (u32)base : 0xffffffff;
	for (int pos = base; pos >= 0 && pos < 32; pos += offset > 0 ? 1 : -1)
		if (mask >> pos & 1 && !count--)
			return pos;
	return 0xffffffff;
}

R(fns_b32, fns(x, y & 31, (int)(z & 15) - 7))
R(bfind_u32, bfind(x, 31, false))
R(bfind_s32, bfind(x, 31, true))
R(bfind_s64, bfind(a, 63, true))
R(bfind_shift, bfind(x, 31, false) == 0xffffffff ? 0xffffffff : 31 - bfind(x, 31, false))

static u64 bfe(u64 a, u32 pos, u32 len, int msb, bool is_signed)
{
	u64 r = 0;
	bool sign;

	pos &= 255;
	len &= 255;
	sign = is_signed && len && a >> (pos + len - 1 < (u32)msb ? pos + len - 1 : (u32)msb) & 1;
	for (u32 i = 0; i <= (u32)msb; i++)
		r |= (u64)(i < len && pos + i <= (u32)msb ? a >> (pos + i) & 1 : sign) << i;
	return r;
}

R(bfe_u32, bfe(x, y, z, 31, false))
R(bfe_s32, bfe(x, y, z, 31, true))
/* the hardware's wide forms want position and length in range, as the ISA does */
R(bfe_u64, bfe(a, y & 255, z & 255, 63, false))
R(bfe_s64, bfe(a, y & 255, z & 255, 63, true))

static u64 bfi(u64 a, u64 b, u32 pos, u32 len, int msb)
{
	pos &= 255;
	len &= 255;
	for (u32 i = 0; i < len && pos + i <= (u32)msb; i++)
		b = (b & ~(1ull << (pos + i))) | (a >> i & 1) << (pos + i);
	return b;
}

R(bfi32, bfi(x, y, z, 7, 31))
R(bfi64, bfi(a, b, z & 255, 13, 63))

static u64 prmt(u64 a, u64 b, u64 c)
{
	u64 from = (b & 0xffffffff) << 32 | (a & 0xffffffff);
	u32 r = 0;

	for (int i = 0; i < 4; i++) {
		u32 s = c >> 4 * i & 15;
		uint8_t v = from >> 8 * (s & 7);

		r |= (u32)(s & 8 ? (v & 0x80 ? 0xff : 0) : v) << 8 * i;
	}
	return r;
}

R(prmt_f4e, prmt(a, b, (u32[]){ 0x3210, 0x4321, 0x5432, 0x6543 }[c & 3]))
R(prmt_rc16, prmt(a, b, (u32[]){ 0x1010, 0x3232, 0x1010, 0x3232 }[c & 3]))

R(lop3_e8, (u32)((x & y) | (y & z) | (x & z)))
R(lop3_96, (u32)(x ^ y ^ z))
R(lop3_ca, (u32)((x & y) | (~x & z)))
R(shf_l_wrap, (u32)(((u64)y << 32 | x) << (z & 31) >> 32))
R(shf_l_clamp, z >= 32 ? x : (u32)(((u64)y << 32 | x) << z >> 32))
R(shf_r_wrap, (u32)(((u64)y << 32 | x) >> (z & 31)))
R(shf_r_clamp, z >= 32 ? y : (u32)(((u64)y << 32 | x) >> z))
R(dp4a, (u32)(z + (u32)((int8_t)x * (int8_t)y + (int8_t)(x >> 8) * (int8_t)(y >> 8) +
			(int8_t)(x >> 16) * (int8_t)(y >> 16) + (int8_t)(x >> 24) * (int8_t)(y >> 24))))
R(dp2a_lo, (u32)(z + (u32)((uint16_t)x * (uint8_t)y + (x >> 16) * (uint8_t)(y >> 8))))

/* extended precision: a 128-bit sum, difference and product by 32- and 64-bit pieces */
R(addc, (u64)(((u128)a + ((u128)b << 64 | b) + ((u128)c << 64)) >> 64))
/* the flag between them is the carry of a + ~b + 1 */
R(sub_addc, c + (a >= b))
R(add_subc, c - !(a + b < a))
R(subc, (u64)((((u128)c << 64 | a) - ((u128)a << 64 | b)) >> 64))
R(madc, (u64)x * y + ((u64)z << 32 | x))

/* selections */
R(setp_and, ((s32)x < (s32)y && (z & 1)) ? 5 : 9)
R(setp_pair, x == y ? 1 : 2)
R(set_u32, (u32)(x <= y ? -1 : 0))
R(slct, (s32)z >= 0 ? x : y)
R(selp64, x > y ? a : b)
R(pred_logic, ((x & 1) ^ !(y & 1)) ? 1 : 0)
R(pack, (a & 0xffff) | (b & 0xffff) << 16 | (u64)(u32)x << 32)
R(unpack, (a >> 32) + (a & 0xffff) * 3 + (a >> 16 & 0xffff) * 5)
R(s16x2, (u32)(((int16_t)x < (int16_t)y ? x : y) & 0xffff) |
	 (u32)((int16_t)(x >> 16) < (int16_t)(y >> 16) ? x : y) >> 16 << 16)
R(vabsdiff, z + abs((int)(x & 255) - (int)(y & 255)) +
	    abs((int)(x >> 8 & 255) - (int)(y >> 8 & 255)) +
	    abs((int)(x >> 16 & 255) - (int)(y >> 16 & 255)) +
	    abs((int)(x >> 24) - (int)(y >> 24)))

#define RANGE "and.b32 %t1, %y, 255; and.b32 %t2, %z, 255;"

static const struct op_case cases[] = {
	{ "add.u32", W("add.u32 %t0, %x, %y;"), add32, INTS, 0 },
	{ "sub.s32", W("sub.s32 %t0, %x, %y;"), sub32, INTS, 0 },
	{ "add.u64", "add.u64 %o, %a, %b;", add64, INTS, 0 },
	{ "add.u16", "add.u16 %s0, %h, %i; cvt.u64.u16 %o, %s0;", add16, INTS, 0 },
	{ "mul.lo.s32", W("mul.lo.s32 %t0, %x, %y;"), mul_lo32, INTS, 0 },
	{ "mul.hi.u32", W("mul.hi.u32 %t0, %x, %y;"), mul_hi_u32, INTS, 0 },
	{ "mul.hi.s32", W("mul.hi.s32 %t0, %x, %y;"), mul_hi_s32, INTS, 0 },
	{ "mul.wide.u32", "mul.wide.u32 %o, %x, %y;", mul_wide_u32, INTS, 0 },
	{ "mul.wide.s32", "mul.wide.s32 %o, %x, %y;", mul_wide_s32, INTS, 0 },
	{ "mul.wide.s16", W("mul.wide.s16 %t0, %h, %i;"), mul_wide_s16, INTS, 0 },
	{ "mad.lo.s32", W("mad.lo.s32 %t0, %x, %y, %z;"), mad_lo32, INTS, 0 },
	{ "mad.wide.s32", "mad.wide.s32 %o, %x, %y, %c;", mad_wide_s32, INTS, 0 },
	{ "mad.hi.u32", W("mad.hi.u32 %t0, %x, %y, %z;"), mad_hi_u32, INTS, 0 },
	{ "mul.lo.u64", "mul.lo.u64 %o, %a, %b;", mul_lo64, INTS, 0 },
	{ "mul.hi.u64", "mul.hi.u64 %o, %a, %b;", mul_hi_u64, INTS, 0 },
	{ "mul.hi.s64", "mul.hi.s64 %o, %a, %b;", mul_hi_s64, INTS, 0 },
	{ "neg.s32", W("neg.s32 %t0, %x;"), neg32, INTS, 0 },
	{ "abs.s32", W("abs.s32 %t0, %x;"), abs32, INTS, 0 },
	{ "min.s32", W("min.s32 %t0, %x, %y;"), min_s32, INTS, 0 },
	{ "max.u32", W("max.u32 %t0, %x, %y;"), max_u32, INTS, 0 },
	{ "min.u64", "min.u64 %o, %a, %b;", min_u64, INTS, 0 },
	{ "max.s64", "max.s64 %o, %a, %b;", max_s64, INTS, 0 },
	{ "div.u32", W("or.b32 %t1, %y, 1; div.u32 %t0, %x, %t1;"), div_u32, INTS, 0 },
	{ "div.s32", W("or.b32 %t1, %y, 1; div.s32 %t0, %x, %t1;"), div_s32, INTS, 0 },
	{ "rem.s32", W("or.b32 %t1, %y, 1; rem.s32 %t0, %x, %t1;"), rem_s32, INTS, 0 },
	{ "rem.u64", "or.b64 %w1, %b, 1; rem.u64 %o, %a, %w1;", rem_u64, INTS, 0 },
	{ "div.s64", "or.b64 %w1, %b, 1; div.s64 %o, %a, %w1;", div_s64, INTS, 0 },
	{ "sad.s32", W("sad.s32 %t0, %x, %y, %z;"), sad_s32, INTS, 0 },
	{ "add.sat.s32", W("add.sat.s32 %t0, %x, %y;"), add_sat, INTS, 0 },
	{ "mul24.lo.u32", W("mul24.lo.u32 %t0, %x, %y;"), mul24, INTS, 0 },
	{ "shl.b32", W("shl.b32 %t0, %x, %y;"), shl32, INTS, 0 },
	{ "shr.u32", W("shr.u32 %t0, %x, %y;"), shr_u32, INTS, 0 },
	{ "shr.s32", W("shr.s32 %t0, %x, %y;"), shr_s32, INTS, 0 },
	{ "shr.s16", "shr.s16 %s0, %h, %y; cvt.u64.u16 %o, %s0;", shr_s16, INTS, 0 },
	{ "shl.b64", "shl.b64 %o, %a, %y;", shl64, INTS, 0 },
	{ "shr.s64", "shr.s64 %o, %a, %y;", shr_s64, INTS, 0 },
	{ "and.b64", "and.b64 %o, %a, %b;", and64, INTS, 0 },
	{ "not.b32", W("not.b32 %t0, %x;"), not32, INTS, 0 },
	{ "cnot.b32", W("cnot.b32 %t0, %x;"), cnot32, INTS, 0 },
	{ "popc.b64", W("popc.b64 %t0, %a;"), popc64, INTS, 0 },
	{ "clz.b32", W("clz.b32 %t0, %x;"), clz32, INTS, 0 },
	{ "clz.b64", W("clz.b64 %t0, %a;"), clz64, INTS, 0 },
	{ "brev.b32", W("brev.b32 %t0, %x;"), brev32, INTS, 0 },
	{ "bfind.u32", W("bfind.u32 %t0, %x;"), bfind_u32, INTS, 0 },
	{ "bfind.s32", W("bfind.s32 %t0, %x;"), bfind_s32, INTS, 0 },
	{ "bfind.s64", W("bfind.s64 %t0, %a;"), bfind_s64, INTS, 0 },
	{ "bfind.shiftamt.u32", W("bfind.shiftamt.u32 %t0, %x;"), bfind_shift, INTS, 0 },
	{ "fns.b32", W("and.b32 %t1, %y, 31; and.b32 %t2, %z, 15; sub.s32 %t2, %t2, 7;"
		       "fns.b32 %t0, %x, %t1, %t2;"), fns_b32, INTS, 0 },
	{ "bfe.u32", W("bfe.u32 %t0, %x, %y, %z;"), bfe_u32, INTS, 0 },
	{ "bfe.s32", W("bfe.s32 %t0, %x, %y, %z;"), bfe_s32, INTS, 0 },
	{ "bfe.u64", RANGE "bfe.u64 %o, %a, %t1, %t2;", bfe_u64, INTS, 0 },
	{ "bfe.s64", RANGE "bfe.s64 %o, %a, %t1, %t2;", bfe_s64, INTS, 0 },
	{ "bfe.s32 small", W("bfe.s32 %t0, %x, %y, %z;"), bfe_s32, SMALL, 0 },
	{ "bfi.b32", W("bfi.b32 %t0, %x, %y, %z, 7;"), bfi32, INTS, 0 },
	{ "bfi.b64", RANGE "bfi.b64 %o, %a, %b, %t2, 13;", bfi64, INTS, 0 },
	{ "prmt.b32", W("prmt.b32 %t0, %x, %y, %z;"), prmt, INTS, 0 },
	{ "prmt.b32.f4e", W("prmt.b32.f4e %t0, %x, %y, %z;"), prmt_f4e, INTS, 0 },
	{ "prmt.b32.rc16", W("prmt.b32.rc16 %t0, %x, %y, %z;"), prmt_rc16, INTS, 0 },
	{ "lop3 0xe8", W("lop3.b32 %t0, %x, %y, %z, 0xe8;"), lop3_e8, INTS, 0 },
	{ "lop3 0x96", W("lop3.b32 %t0, %x, %y, %z, 0x96;"), lop3_96, INTS, 0 },
	{ "lop3 0xca", W("lop3.b32 %t0, %x, %y, %z, 0xca;"), lop3_ca, INTS, 0 },
	{ "shf.l.wrap", W("shf.l.wrap.b32 %t0, %x, %y, %z;"), shf_l_wrap, INTS, 0 },
	{ "shf.l.clamp", W("shf.l.clamp.b32 %t0, %x, %y, %z;"), shf_l_clamp, INTS, 0 },
	{ "shf.r.wrap", W("shf.r.wrap.b32 %t0, %x, %y, %z;"), shf_r_wrap, INTS, 0 },
	{ "shf.r.clamp", W("shf.r.clamp.b32 %t0, %x, %y, %z;"), shf_r_clamp, INTS, 0 },
	{ "dp4a.s32.s32", W("dp4a.s32.s32 %t0, %x, %y, %z;"), dp4a, INTS, 0 },
	{ "dp2a.lo.u32.u32", W("dp2a.lo.u32.u32 %t0, %x, %y, %z;"), dp2a_lo, INTS, 0 },
	{ "add.cc addc", "add.cc.u64 %w0, %a, %b; addc.u64 %o, %c, %b;", addc, INTS, 0 },
	{ "sub.cc addc", "sub.cc.u64 %w0, %a, %b; addc.u64 %o, %c, 0;", sub_addc, INTS, 0 },
	{ "add.cc subc", "add.cc.u64 %w0, %a, %b; subc.u64 %o, %c, 0;", add_subc, INTS, 0 },
	{ "sub.cc subc", "sub.cc.u64 %w0, %a, %b; subc.u64 %o, %c, %a;", subc, INTS, 0 },
	{ "mad.cc madc", "mad.lo.cc.u32 %t0, %x, %y, %x; madc.hi.u32 %t1, %x, %y, %z;"
	  "mov.b64 %o, {%t0, %t1};", madc, INTS, 0 },
	{ "setp.lt.and", "and.b32 %t0, %z, 1; setp.ne.u32 %p0, %t0, 0;"
	  "setp.lt.and.s32 %p1, %x, %y, %p0; selp.u64 %o, 5, 9, %p1;", setp_and, INTS, 0 },
	{ "setp p|q", "setp.eq.u32 %p0|%p1, %x, %y; @%p0 add.u64 %o, %o, 1;"
	  "@%p1 add.u64 %o, %o, 2;", setp_pair, INTS, 0 },
	{ "set.le.u32.u32", W("set.le.u32.u32 %t0, %x, %y;"), set_u32, INTS, 0 },
	{ "slct.u32.s32", W("slct.u32.s32 %t0, %x, %y, %z;"), slct, INTS, 0 },
	{ "selp.b64", "setp.gt.u32 %p0, %x, %y; selp.b64 %o, %a, %b, %p0;", selp64, INTS, 0 },
	{ "xor.pred", "and.b32 %t0, %x, 1; setp.ne.u32 %p0, %t0, 0; and.b32 %t1, %y, 1;"
	  "setp.eq.u32 %p1, %t1, 0; xor.pred %p2, %p0, %p1; selp.u64 %o, 1, 0, %p2;", pred_logic,
	  INTS, 0 },
	{ "mov pack", "mov.b32 %t0, {%h, %i}; mov.b64 %o, {%t0, %x};", pack, INTS, 0 },
	{ "mov unpack", "mov.b64 {%t0, %t1}, %a; mov.b32 {%s0, %s1}, %t0; cvt.u64.u32 %w0, %t1;"
	  "cvt.u64.u16 %w1, %s0; cvt.u64.u16 %w2, %s1; mad.lo.u64 %o, %w1, 3, %w0;"
	  "mad.lo.u64 %o, %w2, 5, %o;", unpack, INTS, 0 },
	{ "min.s16x2", W("min.s16x2 %t0, %x, %y;"), s16x2, INTS, 0 },
	{ "vabsdiff4.add", W("vabsdiff4.u32.u32.u32.add %t0, %x, %y, %z;"), vabsdiff, INTS, 0 },
};

static void instructions(void **state)
{
	(void)state;
	run_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(instructions) };

	use_device();
	return cmocka_run_group_tests_name("integer", tests, NULL, NULL);
}
