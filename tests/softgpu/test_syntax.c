// SPDX-License-Identifier: Apache-2.0
/* What PTX may be written like: constant expressions, names, vectors, register parameters. */
#include "harness.h"

#define ENTRY(before, body) \
	PTX_HEADER before ".visible .entry k(.param .u64 p)\n{\n.reg .b16 %h<9>;\n" \
	".reg .b32 %r<9>;\n.reg .b64 %a, %d<9>;\n.reg .f32 %f<9>;\n.reg .f64 %e<5>;\n" \
	".reg .pred %p<9>;\nld.param.u64 %a, [p];\n" body "\nret;\n}\n"

/* One thread writes words. */
static void writes(const char *ptx, const uint32_t *want, size_t n)
{
	uint32_t got[64] = { 0 };
	CUmodule m = load(ptx);
	CUdeviceptr p;

	ok(cuMemAlloc_v2(&p, sizeof(got)));
	ok(cuMemsetD32_v2(p, 0xdeadbeef, sizeof(got) / 4));
	launch(function(m, "k"), 1, 1, 0, &p, NULL);
	ok(cuMemcpyDtoH_v2(got, p, sizeof(got)));
	for (size_t i = 0; i < n; i++)
		if (got[i] != want[i])
			fail_msg("word %zu is %#x, not %#x", i, got[i], want[i]);
	ok(cuMemFree_v2(p));
	ok(cuModuleUnload(m));
}

#define WRITES(ptx, ...) do { \
		static const uint32_t want_[] = { __VA_ARGS__ }; \
		writes((ptx), want_, sizeof(want_) / sizeof(want_[0])); \
	} while (0)

/* The values are those of ptxas 13.0. */
static void constants(void **state)
{
	static const struct {
		const char *text;
		int64_t value;
	} list[] = {
		{ "1+2*3", 7 }, { "(1+2)*3", 9 }, { "-5/2", -2 }, { "-7/2", -3 }, { "(7)", 7 },
		/* remainders are those of unsigned numbers */
		{ "5 % 3", 2 }, { "-5 % 3", 2 }, { "-7 % 2", 1 }, { "7 % -2", 7 },
		{ "~1", -2 }, { "!0", 1 }, { "!5", 0 }, { "-(3)", -3 }, { "- -3", 3 }, { "+3", 3 },
		{ "1<<4", 16 }, { "-1>>1", -1 }, { "~0>>1", INT64_MAX },
		{ "0xffffffffffffffff>>1", INT64_MAX }, { "1+2<<3", 24 },
		/* and distances have six bits */
		{ "1<<64", 1 }, { "1<<65", 2 }, { "-1>>64", -1 }, { "-1>>63", -1 },
		{ "1>2", 0 }, { "2>=2", 1 }, { "2<=1", 0 }, { "1<2", 1 }, { "3==3", 1 }, { "3!=3", 0 },
		{ "-1<1U", 0 }, { "-1<1", 1 }, { "1.5<2.5", 1 },
		{ "1?2:3", 2 }, { "0?2:3", 3 }, { "0?1:0?4:5", 5 }, { "1?2:0?4:5", 2 },
		{ "5&3|8^1", 9 }, { "1&&0||1", 1 }, { "0||0", 0 }, { "6&3", 2 }, { "6^3", 5 },
		{ "(.s64)5U-6", -1 }, { "(.u64)-1>>60", 15 }, { "0-5 / 2U", -2 }, { "~0U", -1 },
		{ "5-3-1", 1 }, { "100/10/5", 2 }, { "WARP_SZ-1", 31 }, { "WARP_SZ", 32 },
		{ "07+0x10+0b11", 26 },
	};
	static char ptx[16384];
	int64_t got[sizeof(list) / sizeof(list[0])];
	const size_t n = sizeof(list) / sizeof(list[0]);
	CUdeviceptr p, g;
	CUmodule m;
	size_t bytes;
	char *at;

	(void)state;
	at = ptx + sprintf(ptx, PTX_HEADER ".global .s64 v[%zu] = {", n);
	for (size_t i = 0; i < n; i++)
		at += sprintf(at, "%s%s", i ? ", " : "", list[i].text);
	at += sprintf(at, "};\n.visible .entry k(.param .u64 p)\n{\n.reg .b64 %%a, %%b;\n"
		      "ld.param.u64 %%a, [p];\n");
	for (size_t i = 0; i < n; i++)
		at += sprintf(at, "mov.u64 %%b, %s;\nst.global.u64 [%%a+%zu*8], %%b;\n", list[i].text,
			      i);
	sprintf(at, "ret;\n}\n");
	m = load(ptx);
	ok(cuMemAlloc_v2(&p, sizeof(got)));
	launch(function(m, "k"), 1, 1, 0, &p, NULL);
	ok(cuModuleGetGlobal_v2(&g, &bytes, m, "v"));
	for (int k = 0; k < 2; k++) {
		ok(cuMemcpyDtoH_v2(got, k ? g : p, sizeof(got)));
		for (size_t i = 0; i < n; i++)
			if (got[i] != list[i].value)
				fail_msg("%s is %lld, not %lld", list[i].text, (long long)got[i],
					 (long long)list[i].value);
	}
	ok(cuMemFree_v2(p));
	ok(cuModuleUnload(m));

	/* wherever a constant may stand */
	WRITES(ENTRY(".global .u32 g[4] = {1, 2, 3, 4};\n.global .u64 ga = generic(g)+4*2;\n"
		     ".global .f32 gf = 1.0/4.0;\n.global .f32 gh = -0f3f800000;\n",
		     "ld.global.u32 %r0, [g+1<<2];\nst.global.u32 [%a], %r0;\n"
		     "ld.global.u64 %d0, [ga];\nld.u32 %r0, [%d0+-4+8];\nst.global.u32 [%a+(2*2)], %r0;\n"
		     "ld.global.u32 %r0, [gf];\nst.global.u32 [%a+8], %r0;\n"
		     "ld.global.u32 %r0, [gh];\nst.global.u32 [%a+12], %r0;\n"
		     "mov.f32 %f0, 1.0+2.0;\nst.global.f32 [%a+16], %f0;\n"
		     "mov.u32 %r1, 2;\nshl.b32 %r0, %r1, 1?3:4;\nst.global.u32 [%a+20], %r0;\n"
		     "selp.u32 %r0, 1, 2, !1;\nst.global.u32 [%a+24], %r0;\n"
		     "setp.eq.u32 %p0|%p1, %r1, 1<<1;\nselp.u32 %r0, 1, 2, %p0;\n"
		     "st.global.u32 [%a+28], %r0;\nst.global.v2.u32 [%a+32], {1|6, ~0};\n"),
	       2, 4, 0x3e800000, 0xbf800000, 0x40400000, 16, 2, 1, 7, 0xffffffff);
}

static void wrong_constants(void **state)
{
	static const char *const list[] = {
		"5/0", "5 % 0", "1 < < 4", "(1", "1?2", "1.5 & 1", "~1.5", "1.5 << 1", "()", "1 +", "(.u32)1",
	};
	char ptx[1024];
	CUmodule m;

	(void)state;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		snprintf(ptx, sizeof(ptx), PTX_HEADER ".entry k()\n{\n.reg .b32 %%r;\nmov.b32 %%r, %s;\n"
			 "ret;\n}\n", list[i]);
		if (cuModuleLoadData(&m, ptx) != CUDA_ERROR_INVALID_PTX)
			fail_msg("%s was taken", list[i]);
	}
	/* sizes are plain numbers, and a variable's constants are of its kind */
	gives(CUDA_ERROR_INVALID_PTX, cuModuleLoadData(&m, PTX_HEADER ".global .u32 g[2*2];\n"));
	gives(CUDA_ERROR_INVALID_PTX, cuModuleLoadData(&m, PTX_HEADER ".global .f32 g = 1;\n"));
	gives(CUDA_ERROR_INVALID_PTX, cuModuleLoadData(&m, PTX_HEADER ".global .s32 g = 1.5;\n"));
}

static void names(void **state)
{
	(void)state;
	/* without its space a variable's name leads to it all the same */
	WRITES(ENTRY(".global .u32 g = 3;\n", ".shared .u32 s[4];\n.local .u32 l[4];\n"
		     "st.u32 [s+4], 5;\nst.u32 [l+8], 6;\nld.shared.u32 %r0, [s+4];\n"
		     "ld.local.u32 %r1, [l+8];\nld.u32 %r2, [s+4];\nld.u32 %r3, [l+8];\nld.u32 %r4, [g];\n"
		     "st.global.v4.u32 [%a], {%r0, %r1, %r2, %r3};\nst.global.u32 [%a+16], %r4;\n"
		     "atom.add.u32 %r0, [s+4], 2;\nld.u32 %r0, [s+4];\nst.global.u32 [%a+20], %r0;\n"),
	       5, 6, 5, 6, 3, 7);
	/* numbers at the end of names of registers, and of sets of them */
	WRITES(ENTRY("", ".reg .b32 q1, q, x<3>;\nmov.b32 q1, 1;\nmov.b32 q, 2;\nmov.b32 x0, 3;\n"
		     "mov.b32 x2, 4;\n{ .reg .b32 x2;\nmov.b32 x2, 9; }\n"
		     "st.global.v4.u32 [%a], {q1, q, x0, x2};\n"), 1, 2, 3, 4);
	WRITES(ENTRY(".visible .func f() { ret; }\n", "mov.u32 %r0, %reserved_smem_offset_begin;\n"
		     "mov.u32 %r1, %reserved_smem_offset_end;\nsetp.lt.u32 %p0, %r0, %r1;\n"
		     "selp.u32 %r2, 1, 0, %p0;\nmov.u32 %r3, %reserved_smem_offset_cap;\n"
		     "mov.u32 %r0, %reserved_smem_offset_1;\nld.shared.u32 %r4, [%r0];\n"
		     "st.shared.u32 [%r0], 8;\nld.shared.u32 %r4, [%r0];\n"
		     "st.global.v4.u32 [%a], {%r2, %r3, %r4, %r4};\n"), 1, 1024, 8, 8);
}

/* ptxas takes the sum of a register and a constant wherever it takes a register that is read. */
static void sums(void **state)
{
	(void)state;
	use_device();
	WRITES(ENTRY("", "mov.u32 %r0, 7;\nst.global.u32 [%a], %r0+4;\n"
		     "add.u32 %r1, %r0+4, %r0+2;\nst.global.u32 [%a+4], %r1;\n"
		     "mov.u32 %r2, %r0+8;\nst.global.u32 [%a+8], %r2;\n"
		     "mov.b64 %d0, 0xffffffff;\nst.global.u64 [%a+16], %d0+1;\n"
		     "mov.b64 %d1, %d0+2;\nst.global.u64 [%a+24], %d1;\n"
		     "mov.b16 %h0, 0xffff;\nst.global.u16 [%a+12], %h0+1;\n"
		     "st.global.u16 [%a+14], %h0;"),
	       11, 20, 15, 0xffff0000, 0, 1, 1, 1);
}

/* Not where one is written. */
static void no_sums(void **state)
{
	CUmodule m;
	CUfunction f;

	(void)state;
	use_device();
	if (!cuModuleLoadData(&m, ENTRY("", "mov.u32 %r0+1, 7;")))
		assert_int_not_equal(cuModuleGetFunction(&f, m, "k"), CUDA_SUCCESS);
}

static void vectors(void **state)
{
	WRITES(ENTRY("", ".reg .v4 .f32 v;\n.reg .v2 .b32 w<3>;\n.reg .v4 .b16 u;\n"
		     "mov.f32 v.x, 0f3f800000;\nmov.f32 v.g, 0f40000000;\nmov.f32 v.z, 0f40400000;\n"
		     "mov.f32 v.a, 0f40800000;\nst.global.v4.f32 [%a], v;\n"
		     "ld.global.v2.b32 w2, [%a+8];\nmov.v2.b32 w2, {w2.y, w2.x};\n"
		     "st.global.v2.b32 [%a+16], w2;\nmov.v2.b32 w0, w2;\nadd.f32 %f0, v.r, v.w;\n"
		     "st.global.f32 [%a+24], %f0;\nmov.b64 %d0, w0;\nst.global.b64 [%a+32], %d0;\n"
		     "mov.b64 w1, %d0;\nmov.v4.f32 v, {v.w, v.x, v.y, v.z};\nst.global.f32 [%a+28], v.x;\n"
		     "st.global.b32 [%a+40], w1.y;\nmov.b64 u, 0x0004000300020001;\n"
		     "cvt.u32.u16 %r0, u.z;\nst.global.b32 [%a+44], %r0;\n"),
	       0x3f800000, 0x40000000, 0x40400000, 0x40800000, 0x40800000, 0x40400000, 0x40a00000,
	       0x40800000, 0x40800000, 0x40400000, 0x40400000, 3);
	(void)state;
}

static void register_parameters(void **state)
{
	static const char funcs[] =
		".func (.reg .b32 r) sum(.reg .b32 a, .reg .b64 b, .reg .f64 c, .reg .b16 h)\n{\n"
		".reg .b32 t;\n.reg .pred p;\ncvt.u32.u64 t, b;\nadd.u32 r, a, t;\ncvt.rzi.u32.f64 t, c;\n"
		"add.u32 r, r, t;\ncvt.u32.u16 t, h;\nadd.u32 r, r, t;\nsetp.gt.u32 p, r, 100;\n"
		"@p ret;\nadd.u32 r, r, 1000;\n}\n"
		".func (.reg .b32 r, .reg .b32 s) two(.reg .b32 a)\n{\n"
		"add.u32 r, a, 1;\nadd.u32 s, a, 2;\nret;\n}\n"
		".func (.param .b32 r) memory(.param .b32 a)\n{\n.reg .b32 t;\nld.param.b32 t, [a];\n"
		"add.u32 t, t, 1;\nst.param.b32 [r], t;\nret;\n}\n"
		".func (.reg .b32 r) fib(.reg .b32 n)\n{\n.reg .b32 a, b;\n.reg .pred p;\n"
		"mov.b32 r, n;\nsetp.lt.u32 p, n, 2;\n@p ret;\nsub.u32 a, n, 1;\ncall (a), fib, (a);\n"
		"sub.u32 b, n, 2;\ncall (b), fib, (b);\nadd.u32 r, a, b;\nret;\n}\n"
		".func (.reg .v2 .b32 r) turn(.reg .v4 .b32 a, .reg .b32 n)\n{\n"
		"add.u32 r.x, a.w, n;\nadd.u32 r.y, a.y, a.z;\nret;\n}\n"
		".func (.reg .pred q, .reg .b32 r) odd(.reg .b32 a, .reg .pred n)\n{\n.reg .b32 t;\n"
		".reg .pred o;\nand.b32 t, a, 1;\nsetp.eq.u32 o, t, 1;\nxor.pred q, o, n;\n"
		"selp.b32 r, 3, 4, n;\nret;\n}\n";
	char ptx[8192];
	static const uint32_t want[] = { 1017, 102, 1010, 6, 7, 6, 6, 10, 55, 8, 1, 45, 50,
					80, 3, 70, 4, 70, 4 };

	(void)state;
	snprintf(ptx, sizeof(ptx), "%s%s%s", PTX_HEADER, funcs,
		 ".visible .entry k(.param .u64 p)\n{\n.reg .b16 %h<9>;\n.reg .b32 %r<9>;\n"
		 ".reg .b64 %a, %d<9>;\n.reg .f64 %e<5>;\n.param .b32 q;\nld.param.u64 %a, [p];\n"
		 "mov.b32 %r0, 5;\nmov.b64 %d0, 7;\nmov.f64 %e0, 3.0;\nmov.b16 %h0, 2;\n"
		 "call (%r1), sum, (%r0, %d0, %e0, %h0);\nst.global.u32 [%a], %r1;\n"
		 "call (%r1), sum, (90+3, 4, 3.0, 2);\nst.global.u32 [%a+4], %r1;\n"
		 "call (%r1), sum, (1+2, 2, 3.0, 2);\nst.global.u32 [%a+8], %r1;\n"
		 "call (%r1, %r2), two, (%r0);\nst.global.u32 [%a+12], %r1;\nst.global.u32 [%a+16], %r2;\n"
		 "call (%r1, _), two, (%r0);\nst.global.u32 [%a+20], %r1;\n"
		 "call (%r3), memory, (%r0);\nst.global.u32 [%a+24], %r3;\n"
		 "call (%r3), memory, (9);\nst.global.u32 [%a+28], %r3;\n"
		 "call (%r3), fib, (10);\nst.global.u32 [%a+32], %r3;\n"
		 "st.param.b32 [q], 7;\ncall (q), memory, (q);\nld.param.b32 %r3, [q];\n"
		 "st.global.u32 [%a+36], %r3;\nmov.u64 %d1, fib;\n"
		 "P: .callprototype (.reg .b32 _) _ (.reg .b32 _);\nmov.b32 %r0, 1;\n"
		 "call (%r3), %d1, (%r0), P;\nst.global.u32 [%a+40], %r3;\n"
		 ".reg .v4 .b32 %v;\n.reg .v2 .b32 %u;\nmov.b32 %v.x, 10;\nmov.b32 %v.y, 20;\n"
		 "mov.b32 %v.z, 30;\nmov.b32 %v.w, 40;\ncall (%u), turn, (%v, 5);\n"
		 "st.global.u32 [%a+44], %u.x;\nst.global.u32 [%a+48], %u.y;\n"
		 ".reg .pred %p<3>;\nsetp.eq.u32 %p0, %r0, 1;\n"
		 "call (%p1, %r3), odd, (%r0, %p0);\nselp.b32 %r4, 70, 80, %p1;\n"
		 "st.global.u32 [%a+52], %r4;\nst.global.u32 [%a+56], %r3;\n"
		 "setp.ne.u32 %p0, %r0, 1;\ncall (%p1, %r3), odd, (%r0, %p0);\n"
		 "selp.b32 %r4, 70, 80, %p1;\nst.global.u32 [%a+60], %r4;\n"
		 "st.global.u32 [%a+64], %r3;\nmov.u64 %d1, odd;\n"
		 "Q: .callprototype (.reg .pred _, .reg .b32 _) _ (.reg .b32 _, .reg .pred _);\n"
		 "call (%p2, %r5), %d1, (%r0, %p0), Q;\nselp.b32 %r4, 70, 80, %p2;\n"
		 "st.global.u32 [%a+68], %r4;\nst.global.u32 [%a+72], %r5;\nret;\n}\n");
	writes(ptx, want, sizeof(want) / sizeof(want[0]));
}

/* A cluster has one block, and advice to caches changes nothing. */
static void clusters_and_advice(void **state)
{
	(void)state;
	WRITES(ENTRY("", ".shared .u32 s[4];\nst.shared.u32 [s], 9;\nmov.u32 %r0, s;\n"
		     "mapa.shared::cluster.u32 %r1, %r0, 0;\nld.shared::cluster.u32 %r2, [%r1];\n"
		     "getctarank.shared::cluster.u32 %r3, %r1;\nmov.u64 %d0, s;\ncvta.shared.u64 %d0, %d0;\n"
		     "mapa.u64 %d1, %d0, 0;\nld.u32 %r4, [%d1];\nmov.u32 %r5, %cluster_ctaid.y;\n"
		     "mov.u32 %r6, %cluster_nctaid.z;\nmov.u32 %r7, %cluster_ctarank;\n"
		     "st.global.v4.u32 [%a], {%r2, %r3, %r4, %r5};\n"
		     "st.global.v2.u32 [%a+16], {%r6, %r7};\n"), 9, 0, 9, 0, 1, 0);
	WRITES(ENTRY("", "createpolicy.fractional.L2::evict_last.b64 %d0, 1.0;\n"
		     "createpolicy.range.global.L2::evict_last.L2::evict_first.b64 %d1, [%a], 64, 128;\n"
		     "mov.u32 %r0, 5;\nst.global.L2::cache_hint.u32 [%a], %r0, %d0;\n"
		     "cp.async.bulk.prefetch.L2.global [%a], 16;\n"
		     "cp.async.bulk.prefetch.L2.global.L2::cache_hint [%a], 16, %d1;\n"
		     "ld.mmio.relaxed.sys.global.u32 %r1, [%a];\nadd.u32 %r0, %r1, -5;\n"
		     "ld.global.L2::cache_hint.u32 %r1, [%a], %d1;\nadd.u32 %r1, %r1, %r0;\n"
		     "st.global.u32 [%a+4], %r1;\n"
		     "applypriority.global.L2::evict_normal [%a], 128;\n"), 5, 5);
}

static int set_up(void **state)
{
	(void)state;
	use_device();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(constants), cmocka_unit_test(wrong_constants), cmocka_unit_test(names),
		cmocka_unit_test(sums),
		cmocka_unit_test(no_sums),
		cmocka_unit_test(vectors), cmocka_unit_test(register_parameters),
		cmocka_unit_test(clusters_and_advice),
	};

	return cmocka_run_group_tests_name("syntax", tests, set_up, NULL);
}
