// SPDX-License-Identifier: Apache-2.0
/* Asynchronous copies and mbarriers. */
#include "harness.h"

#define ENTRY(body) \
	PTX_HEADER ".visible .entry k(.param .u64 p)\n{\n.reg .b32 %t, %r<9>;\n.reg .b64 %a, %d<9>;\n" \
	".reg .pred %p<9>;\n.shared .align 128 .b8 s[1024];\n.shared .align 8 .b64 bar;\n" \
	"ld.param.u64 %a, [p];\nmov.u32 %t, %tid.x;\n" body "\nret;\n}\n"

static void run(const char *ptx, unsigned int threads, uint32_t *words, size_t n)
{
	CUmodule m = load(ptx);
	CUdeviceptr p;

	ok(cuMemAlloc_v2(&p, n * 4));
	ok(cuMemcpyHtoD_v2(p, words, n * 4));
	launch(function(m, "k"), 1, threads, 0, &p, NULL);
	ok(cuMemcpyDtoH_v2(words, p, n * 4));
	ok(cuMemFree_v2(p));
	ok(cuModuleUnload(m));
}

static void same(const uint32_t *got, const uint32_t *want, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (got[i] != want[i])
			fail_msg("word %zu is %#x, not %#x", i, got[i], want[i]);
}

static void copies(void **state)
{
	uint32_t v[32] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	static const uint32_t want[] = { 1, 2, 3, 4, 3, 4, 0, 0, 5, 0, 0, 5 };

	(void)state;
	run(ENTRY("mov.u32 %r0, s;\nadd.u32 %r1, %r0, 0xffffffc0;\nadd.u64 %d0, %a, 8;\n"
		  "mov.u32 %r2, 0;\nmov.u32 %r3, 6;\nsetp.eq.u32 %p0, %t, %t;\n"
		  "st.shared.u32 [s+32], -1;\nst.shared.u32 [s+36], -1;\nst.shared.u32 [s+40], -1;\n"
		  "cp.async.cg.shared.global [%r0], [%a], 16;\n"
		  "cp.async.ca.shared.global.L2::128B [%r1+80], [%d0], 8;\n"
		  "cp.async.ca.shared.global [%r0+24], [%a], 8, %r2;\n"
		  "cp.async.ca.shared.global [%r0+32], [%d0+8], 8, 4;\n"
		  "cp.async.ca.shared.global [%r0+40], [%a], 4, %p0;\n"
		  "cp.async.ca.shared::cta.global [%r0+44], [%a+16], 4, !%p0;\n"
		  "cp.async.commit_group;\ncp.async.wait_group 0;\ncp.async.wait_all;\n"
		  "ld.shared.v4.u32 {%r4, %r5, %r6, %r7}, [s];\n"
		  "st.global.v4.u32 [%a+32], {%r4, %r5, %r6, %r7};\n"
		  "ld.shared.v4.u32 {%r4, %r5, %r6, %r7}, [s+16];\n"
		  "st.global.v4.u32 [%a+48], {%r4, %r5, %r6, %r7};\n"
		  "ld.shared.v4.u32 {%r4, %r5, %r6, %r7}, [s+32];\n"
		  "st.global.v4.u32 [%a+64], {%r4, %r5, %r6, %r7};\n"), 1, v, 32);
	same(v + 8, want, 12);
}

/* Two phases of three arrivals, as one thread sees them. */
static void phases(void **state)
{
	uint32_t v[32] = { 0 };
	static const uint32_t want[] = {
		3, 2, 0, 0,	/* awaited before the first and the second arrival; not over */
		1, 1,		/* over: by state, by parity */
		0,		/* the next is not, by parity */
		1,		/* over: two arrivals at once, and one that leaves for good */
		2,		/* the third awaits two */
	};

	(void)state;
	run(ENTRY("mov.u32 %r0, bar;\nmbarrier.init.shared.b64 [%r0], 3;\n"
		  "mbarrier.arrive.shared.b64 %d0, [%r0];\nmbarrier.arrive.release.cta.shared::cta.b64 %d1, [%r0];\n"
		  "mbarrier.pending_count.b64 %r1, %d0;\nst.global.u32 [%a], %r1;\n"
		  "mbarrier.pending_count.b64 %r1, %d1;\nst.global.u32 [%a+4], %r1;\n"
		  "mbarrier.test_wait.shared.b64 %p0, [%r0], %d0;\nselp.u32 %r1, 1, 0, %p0;\n"
		  "st.global.u32 [%a+8], %r1;\n"
		  "mbarrier.test_wait.parity.shared.b64 %p0, [%r0], 0;\nselp.u32 %r1, 1, 0, %p0;\n"
		  "st.global.u32 [%a+12], %r1;\nmbarrier.arrive.shared.b64 _, [%r0];\n"
		  "mbarrier.test_wait.acquire.cta.shared.b64 %p0, [%r0], %d0;\nselp.u32 %r1, 1, 0, %p0;\n"
		  "st.global.u32 [%a+16], %r1;\n"
		  "mbarrier.try_wait.parity.shared.b64 %p0, [%r0], 0;\nselp.u32 %r1, 1, 0, %p0;\n"
		  "st.global.u32 [%a+20], %r1;\n"
		  "mbarrier.try_wait.parity.shared.b64 %p0, [%r0], 1, 100;\nselp.u32 %r1, 1, 0, %p0;\n"
		  "st.global.u32 [%a+24], %r1;\n"
		  "mbarrier.arrive.noComplete.shared.b64 %d0, [%r0], 2;\n"
		  "mbarrier.arrive_drop.shared.b64 %d1, [%r0];\n"
		  "mbarrier.test_wait.parity.shared.b64 %p0, [%r0], 1;\nselp.u32 %r1, 1, 0, %p0;\n"
		  "st.global.u32 [%a+28], %r1;\nmbarrier.arrive.shared.b64 %d0, [%r0];\n"
		  "mbarrier.pending_count.b64 %r1, %d0;\nst.global.u32 [%a+32], %r1;\n"
		  "mbarrier.inval.shared.b64 [%r0];\n"), 1, v, 32);
	same(v, want, sizeof(want) / sizeof(want[0]));
}

/* One warp makes, the others take, through a generic address; each waits for the other in turn. */
static void producer(void **state)
{
	static const char ptx[] = ENTRY(".shared .align 8 .b64 free;\nmov.u32 %r0, bar;\n"
		"mov.u64 %d0, free;\ncvta.shared.u64 %d0, %d0;\nsetp.ne.u32 %p0, %t, 0;\n"
		"@%p0 bra READY;\nmbarrier.init.shared.b64 [%r0], 32;\nmbarrier.init.b64 [%d0], 96;\n"
		"READY: bar.sync 0;\nmov.u32 %r1, 0;\nmov.u32 %r4, 0;\n"
		"LOOP: and.b32 %r2, %r1, 1;\nsetp.ge.u32 %p1, %t, 32;\n@%p1 bra TAKE;\n"
		"shl.b32 %r5, %t, 2;\nmov.u32 %r6, s;\nadd.u32 %r5, %r5, %r6;\n"
		"mad.lo.u32 %r6, %r1, 1000, %t;\nst.shared.u32 [%r5], %r6;\n"
		"mbarrier.arrive.shared.b64 _, [%r0];\n"
		"W1: mbarrier.try_wait.parity.b64 %p2, [%d0], %r2;\n@!%p2 bra W1;\nbra NEXT;\n"
		"TAKE:\nW2: mbarrier.test_wait.parity.shared.b64 %p2, [%r0], %r2;\n@!%p2 bra W2;\n"
		"and.b32 %r5, %t, 31;\nshl.b32 %r5, %r5, 2;\nmov.u32 %r6, s;\nadd.u32 %r5, %r5, %r6;\n"
		"ld.shared.u32 %r6, [%r5];\nadd.u32 %r4, %r4, %r6;\nmbarrier.arrive.b64 _, [%d0];\n"
		"NEXT: add.u32 %r1, %r1, 1;\nsetp.lt.u32 %p3, %r1, 10;\n@%p3 bra LOOP;\n"
		"mul.wide.u32 %d1, %t, 4;\nadd.u64 %d1, %d1, %a;\nst.global.u32 [%d1], %r4;\n");
	uint32_t v[128] = { 0 };

	(void)state;
	run(ptx, 128, v, 128);
	for (uint32_t i = 0; i < 128; i++)
		assert_int_equal(v[i], i < 32 ? 0 : 45000 + 10 * (i % 32));
}

/* A bulk copy to shared memory, whose bytes an mbarrier awaits, and one back. */
static void bulk(void **state)
{
	uint32_t v[64];

	(void)state;
	for (int i = 0; i < 64; i++)
		v[i] = i < 16 ? 100 + i : 0;
	run(ENTRY("mov.u32 %r0, bar;\nmov.u32 %r1, s;\nmov.u32 %r3, 64;\n"
		  "mbarrier.init.shared.b64 [%r0], 1;\n"
		  "mbarrier.arrive.expect_tx.shared.b64 _, [%r0], %r3;\n"
		  "mbarrier.test_wait.parity.shared.b64 %p0, [%r0], 0;\nselp.u32 %r2, 1, 0, %p0;\n"
		  "st.global.u32 [%a+192], %r2;\n"
		  "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r1+16], [%a], %r3, [%r0];\n"
		  "W: mbarrier.try_wait.parity.shared.b64 %p0, [%r0], 0;\n@!%p0 bra W;\n"
		  "ld.shared.u32 %r2, [s+20];\nadd.u32 %r2, %r2, 1;\nst.shared.u32 [s+20], %r2;\n"
		  "fence.proxy.async.shared::cta;\n"
		  "cp.async.bulk.global.shared::cta.bulk_group [%a+64], [%r1+16], %r3;\n"
		  "cp.async.bulk.commit_group;\ncp.async.bulk.wait_group 0;\n"
		  "mbarrier.expect_tx.relaxed.cta.shared.b64 [%r0], 16;\n"
		  "mbarrier.arrive.shared.b64 _, [%r0];\n"
		  "mbarrier.test_wait.parity.shared.b64 %p0, [%r0], 1;\nselp.u32 %r2, 1, 0, %p0;\n"
		  "st.global.u32 [%a+196], %r2;\n"
		  "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r1], [%a], 16, [%r0];\n"
		  "W2: mbarrier.try_wait.parity.shared.b64 %p0, [%r0], 1;\n@!%p0 bra W2;\n"
		  "cp.async.mbarrier.arrive.noinc.shared.b64 [%r0];\n"
		  "W3: mbarrier.try_wait.parity.shared.b64 %p0, [%r0], 0;\n@!%p0 bra W3;\n"
		  "st.global.u32 [%a+200], 7;\n"), 1, v, 64);
	for (int i = 0; i < 16; i++)
		assert_int_equal(v[16 + i], 100 + i + (i == 1));
	assert_int_equal(v[48], 0);
	assert_int_equal(v[49], 0);
	assert_int_equal(v[50], 7);
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
		cmocka_unit_test(copies), cmocka_unit_test(phases), cmocka_unit_test(producer),
		cmocka_unit_test(bulk),
	};

	return cmocka_run_group_tests_name("async", tests, set_up, NULL);
}
