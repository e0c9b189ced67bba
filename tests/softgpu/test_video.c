// SPDX-License-Identifier: Apache-2.0
/* Video instructions, each against a line of C. */
#include "harness.h"

typedef uint32_t u32;
typedef int64_t s64;

#define R(name, expr) \
	static uint64_t name(uint64_t a, uint64_t b, uint64_t c) \
	{ \
		u32 x = (u32)a, y = (u32)b, z = (u32)c; \
		(void)x; \
		(void)y; \
		(void)z; \
		return (u32)(expr); \
	}
#define W(text) text " cvt.u64.u32 %o, %t0;"

#define UB(v, i) ((s64)((v) >> 8 * (i) & 255))
#define SB(v, i) ((s64)(int8_t)((v) >> 8 * (i)))
#define UH(v, i) ((s64)((v) >> 16 * (i) & 65535))
#define SH(v, i) ((s64)(int16_t)((v) >> 16 * (i)))
#define U(v) ((s64)(v))
#define S(v) ((s64)(int32_t)(v))

static s64 least(s64 a, s64 b)
{
	return a < b ? a : b;
}

static s64 most(s64 a, s64 b)
{
	return a > b ? a : b;
}

static s64 within(s64 v, s64 lo, s64 hi)
{
	return most(lo, least(v, hi));
}

/* Byte or half i of `into` replaced. */
static u32 put8(u32 into, int i, s64 v)
{
	return (into & ~(255u << 8 * i)) | ((u32)v & 255) << 8 * i;
}

static u32 put16(u32 into, int i, s64 v)
{
	return (into & ~(65535u << 16 * i)) | ((u32)v & 65535) << 16 * i;
}

static s64 rounded(s64 sum)
{
	return sum >= 0 ? (sum + 1) / 2 : -((1 - sum) / 2);
}

R(vadd, UB(x, 0) + SH(y, 1))
R(vadd_sat, within(UB(x, 1) + S(y), INT32_MIN, INT32_MAX))
R(vsub_byte, put8(z, 2, within(SB(x, 3) - UB(y, 1), -128, 127)))
R(vabsdiff_max, most(U((u32)llabs(S(x) - U(y))), U(z)))
R(vmin_add, most(0, 0) + least(SH(x, 0), SH(y, 1)) + S(z))
R(vmax_half, put16(z, 1, most(U(x), U(y))))
R(vset_lt, U(x) < SB(y, 3))
R(vset_add, (S(x) >= S(y)) + z)
R(vshl_wrap, within((s64)((uint64_t)SH(x, 1) << (y & 31)), INT32_MIN, INT32_MAX) + S(z))
R(vshr_clamp, (y > 31 ? (S(x) < 0 ? -1 : 0) : S(x) >> y))
R(vshr_byte, UB(x, 1) >> least(UB(y, 0), 32))
R(vshr_merge, put8(z, 1, y > 31 ? 0 : U(x) >> y))
R(vmad, within(SB(x, 0) * UB(y, 1) + S(z), INT32_MIN, INT32_MAX))
R(vmad_scaled, (unsigned __int128)((unsigned __int128)x * y + z + 1) >> 7)
R(vadd2, put16(put16(z, 0, SH(x, 0) + UH(y, 0)), 1, SH(x, 1) + UH(y, 1)))
R(vadd2_sat, put16(put16(0, 0, within(SH(x, 0) + SH(y, 0), -32768, 32767)), 1,
		   within(SH(x, 1) + SH(y, 1), -32768, 32767)))
R(vsub4_chosen, put8(put8(z, 3, UB(y, 0) - UB(x, 3)), 0, UB(x, 1) - UB(y, 2)))
R(vavrg4, put8(put8(put8(put8(0, 0, rounded(SB(x, 0) + SB(y, 0))), 1, rounded(SB(x, 1) + SB(y, 1))),
		    2, rounded(SB(x, 2) + SB(y, 2))), 3, rounded(SB(x, 3) + SB(y, 3))))
R(vabsdiff4_add, z + llabs(UB(x, 0) - UB(y, 0)) + llabs(UB(x, 1) - UB(y, 1)) +
		 llabs(UB(x, 2) - UB(y, 2)) + llabs(UB(x, 3) - UB(y, 3)))
R(vmax2_masked, put16(z, 1, most(SH(x, 1), SH(y, 1))))
R(vset4_ne, put8(put8(put8(put8(0, 0, UB(x, 0) != UB(y, 0)), 1, UB(x, 1) != UB(y, 1)),
		      2, UB(x, 2) != UB(y, 2)), 3, UB(x, 3) != UB(y, 3)))
R(vset2_add, z + (SH(x, 0) > SH(y, 0)) + (SH(x, 1) > SH(y, 1)))

#define SMALL_SHIFT "and.b32 %y, %y, 63; "

static uint64_t vshr_clamp63(uint64_t a, uint64_t b, uint64_t c)
{
	return vshr_clamp(a, b & 63, c);
}

static const struct op_case cases[] = {
	{ "vadd", W("vadd.s32.u32.s32 %t0, %x.b0, %y.h1;"), vadd, INTS, 0 },
	{ "vadd.sat", W("vadd.s32.u32.s32.sat %t0, %x.b1, %y;"), vadd_sat, INTS, 0 },
	{ "vsub.sat d.b2", W("vsub.s32.s32.u32.sat %t0.b2, %x.b3, %y.b1, %z;"), vsub_byte, INTS, 0 },
	{ "vabsdiff.max", W("vabsdiff.u32.s32.u32.max %t0, %x, %y, %z;"), vabsdiff_max, INTS, 0 },
	{ "vmin.add", W("vmin.s32.s32.s32.add %t0, %x.h0, %y.h1, %z;"), vmin_add, INTS, 0 },
	{ "vmax d.h1", W("vmax.u32.u32.u32 %t0.h1, %x, %y, %z;"), vmax_half, INTS, 0 },
	{ "vset.lt", W("vset.u32.s32.lt %t0, %x, %y.b3;"), vset_lt, INTS, 0 },
	{ "vset.ge.add", W("vset.s32.s32.ge.add %t0, %x, %y, %z;"), vset_add, INTS, 0 },
	{ "vshl.sat.wrap.add", W("vshl.s32.s32.u32.sat.wrap.add %t0, %x.h1, %y, %z;"), vshl_wrap,
	  INTS, 0 },
	{ "vshr.clamp", W("vshr.s32.s32.u32.clamp %t0, %x, %y;"), vshr_clamp, INTS, 0 },
	{ "vshr.clamp, short", W(SMALL_SHIFT "vshr.s32.s32.u32.clamp %t0, %x, %y;"), vshr_clamp63,
	  INTS, 0 },
	{ "vshr a.b1", W("vshr.u32.u32.u32.clamp %t0, %x.b1, %y.b0;"), vshr_byte, INTS, 0 },
	{ "vshr d.b1", W("vshr.u32.u32.u32.clamp %t0.b1, %x, %y, %z;"), vshr_merge, INTS, 0 },
	{ "vmad.sat", W("vmad.s32.s32.u32.sat %t0, %x.b0, %y.b1, %z;"), vmad, INTS, 0 },
	{ "vmad.po.shr7", W("vmad.u32.u32.u32.po.shr7 %t0, %x, %y, %z;"), vmad_scaled, INTS, 0 },
	{ "vadd2", W("vadd2.s32.s32.u32 %t0, %x, %y, %z;"), vadd2, INTS, 0 },
	{ "vadd2.sat", W("vadd2.s32.s32.s32.sat %t0, %x, %y, %z;"), vadd2_sat, INTS, 0 },
	{ "vsub4 chosen", W("vsub4.u32.u32.u32 %t0.b30, %x.b4001, %y.b3006, %z;"), vsub4_chosen,
	  INTS, 0 },
	{ "vavrg4", W("vavrg4.s32.s32.s32 %t0, %x, %y, %z;"), vavrg4, INTS, 0 },
	{ "vabsdiff4.add", W("vabsdiff4.u32.u32.u32.add %t0, %x, %y, %z;"), vabsdiff4_add, INTS, 0 },
	{ "vmax2 masked", W("vmax2.s32.s32.s32 %t0.h1, %x, %y, %z;"), vmax2_masked, INTS, 0 },
	{ "vset4.ne", W("vset4.u32.u32.ne %t0, %x, %y, %z;"), vset4_ne, INTS, 0 },
	{ "vset2.gt.add", W("vset2.s32.s32.gt.add %t0, %x, %y, %z;"), vset2_add, INTS, 0 },
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
	return cmocka_run_group_tests_name("video instructions", tests, NULL, NULL);
}
