// SPDX-License-Identifier: Apache-2.0
/* What lanes and threads do together: shuffles, votes, barriers, divergence, calls. */
#include "harness.h"

#define N 256

static CUdeviceptr out;
static uint32_t got[N];

/* A kernel of one parameter, the address where each thread leaves a word in %r. */
#define HEAD \
	PTX_HEADER ".visible .entry k(.param .u64 p)\n{\n" \
	".reg .b32 %r, %x, %y, %z, %t<9>;\n.reg .b64 %a, %o, %w<9>;\n.reg .pred %p<9>;\n" \
	"ld.param.u64 %a, [p];\nmov.u32 %x, %tid.x;\nmul.wide.u32 %o, %x, 4;\n" \
	"add.u64 %a, %a, %o;\n" \
	"mov.u32 %y, %laneid;\n"
#define TAIL "\nst.global.u32 [%a], %r;\nret;\n}\n"
#define KERNEL(body) HEAD body TAIL

static void run(const char *ptx, unsigned int threads, unsigned int shared)
{
	CUmodule m = load(ptx);

	ok(cuMemsetD32_v2(out, 0xdeadbeef, N));
	launch(function(m, "k"), 1, threads, shared, &out, NULL);
	ok(cuMemcpyDtoH_v2(got, out, sizeof(got)));
	ok(cuModuleUnload(m));
}

static void expect(int i, uint32_t want)
{
	if (got[i] != want)
		fail_msg("thread %d: %#x, not %#x", i, got[i], want);
}

/* Straight from the ISA's pseudo code. */
static uint32_t shfl(int mode, int lane, int b, int c, bool *valid)
{
	int seg = c >> 8 & 31, clamp = c & 31, max = (lane & seg) | (clamp & ~seg), j;

	b &= 31;
	switch (mode) {
	case 0: j = lane - b; *valid = j >= max; break;
	case 1: j = lane + b; *valid = j <= max; break;
	case 2: j = lane ^ b; *valid = j <= max; break;
	default: j = ((lane & seg)) | (b & ~seg); *valid = j <= max; break;
	}
	return *valid ? j : lane;
}

static void shuffles(void **state)
{
	static const char *const modes[] = { "up", "down", "bfly", "idx" };
	static const int controls[] = { 0, 31, 0x181f, 0x1800, 0x1c1f, 0x1e07 };

	(void)state;
	for (int mode = 0; mode < 4; mode++) {
		for (size_t c = 0; c < sizeof(controls) / sizeof(controls[0]); c++) {
			for (int b = 0; b < 32; b += 5) {
				char ptx[2048];

				snprintf(ptx, sizeof(ptx), "%smul.lo.u32 %%t0, %%x, 1000;\n"
					 "shfl.sync.%s.b32 %%t1|%%p0, %%t0, %d, %d, 0xffffffff;\n"
					 "selp.u32 %%t2, 1, 0, %%p0;\nadd.u32 %%r, %%t1, %%t2;\n%s",
					 HEAD, modes[mode], b, controls[c], TAIL);
				run(ptx, 64, 0);
				for (int i = 0; i < 64; i++) {
					bool valid;
					int from = shfl(mode, i % 32, b, controls[c], &valid);

					expect(i, (i / 32 * 32 + from) * 1000 + valid);
				}
			}
		}
	}
}

static void votes(void **state)
{
	(void)state;
	run(KERNEL("setp.lt.u32 %p0, %y, 5; vote.sync.ballot.b32 %r, %p0, 0xffffffff;"), 64, 0);
	for (int i = 0; i < 64; i++)
		expect(i, 31);
	run(KERNEL("setp.lt.u32 %p0, %x, 40; vote.sync.all.pred %p1, %p0, -1;"
		   "vote.sync.any.pred %p2, %p0, -1; vote.sync.uni.pred %p3, %p0, -1;"
		   "selp.u32 %r, 1, 0, %p1; @%p2 add.u32 %r, %r, 2; @%p3 add.u32 %r, %r, 4;"), 96,
		   0);
	for (int i = 0; i < 96; i++)
		expect(i, i < 32 ? 7 : i < 64 ? 2 : 4);
	run(KERNEL("shr.u32 %t0, %y, 3; match.any.sync.b32 %r, %t0, 0xffffffff;"), 32, 0);
	for (int i = 0; i < 32; i++)
		expect(i, 0xffu << i / 8 * 8);
	run(KERNEL("shr.u32 %t0, %x, 5; match.all.sync.b32 %r|%p0, %t0, 0xffffffff;"
		   "@!%p0 mov.u32 %r, 99;"), 64, 0);
	for (int i = 0; i < 64; i++)
		expect(i, 0xffffffff);
	run(KERNEL("redux.sync.add.u32 %t0, %x, -1; redux.sync.max.s32 %t1, %x, -1;"
		   "mad.lo.u32 %r, %t1, 10000, %t0;"), 64, 0);
	for (int i = 0; i < 64; i++)
		expect(i, i < 32 ? 31 * 10000 + 496 : 63 * 10000 + 1520);
}

/* The two halves of a warp shuffle among themselves, each with its own mask, in its own branch. */
static void masks(void **state)
{
	(void)state;
	run(KERNEL("setp.lt.u32 %p0, %y, 16;\n@%p0 bra LOW;\n"
		   "shfl.sync.idx.b32 %r, %x, 20, 31, 0xffff0000;\nbra.uni END;\n"
		   "LOW:\nshfl.sync.idx.b32 %r, %x, 3, 31, 0x0000ffff;\nEND:\n"), 64, 0);
	for (int i = 0; i < 64; i++)
		expect(i, i / 32 * 32 + (i % 32 < 16 ? 3 : 20));
	/* and at one instruction */
	run(KERNEL("setp.lt.u32 %p0, %y, 16; selp.b32 %t0, 0xffff, 0xffff0000, %p0;"
		   "redux.sync.add.u32 %r, %y, %t0;"), 32, 0);
	for (int i = 0; i < 32; i++)
		expect(i, i < 16 ? 120 : 376);
	/* lanes that come late */
	run(KERNEL("mov.u32 %t0, 0;\nLOOP:\nadd.u32 %t0, %t0, 1;\nsetp.lt.u32 %p0, %t0, %y;\n"
		   "@%p0 bra LOOP;\nshfl.sync.bfly.b32 %r, %t0, 31, 31, -1;\n"), 32, 0);
	for (int i = 0; i < 32; i++)
		expect(i, 31 - i ? 31 - i : 1);
	/* lanes that have left are not waited for */
	run(KERNEL("mov.u32 %r, 7;\nsetp.gt.u32 %p0, %y, 7;\n@%p0 exit;\n"
		   "bar.warp.sync 0xffffffff;\nactivemask.b32 %r;\n"), 32, 0);
	for (int i = 0; i < 8; i++)
		expect(i, 0xff);
	expect(8, 0xdeadbeef);
}

#define SHARED ".shared .align 4 .b8 s[1024];\n"

static void barriers(void **state)
{
	(void)state;
	run(KERNEL(".shared .align 4 .b8 s[1024];\nmul.lo.u32 %t0, %x, 4; mov.u32 %t1, s;"
		   "add.u32 %t0, %t0, %t1; st.shared.u32 [%t0], %x; bar.sync 0;"
		   "sub.u32 %t2, 255, %x; mul.lo.u32 %t2, %t2, 4; add.u32 %t2, %t2, %t1;"
		   "ld.shared.u32 %r, [%t2];"), 256, 0);
	for (int i = 0; i < 256; i++)
		expect(i, 255 - i);
	run(KERNEL("setp.lt.u32 %p0, %x, 100; bar.red.popc.u32 %t0, 1, %p0;"
		   "bar.red.and.pred %p1, 2, %p0; bar.red.or.pred %p2, 3, %p0;"
		   "mov.u32 %r, %t0; @%p1 add.u32 %r, %r, 1000; @%p2 add.u32 %r, %r, 2000;"), 160,
		   0);
	for (int i = 0; i < 160; i++)
		expect(i, 2100);
	/* half of the block leaves, the other half still meets */
	run(KERNEL("mov.u32 %r, 1;\nsetp.ge.u32 %p0, %x, 128;\n@%p0 ret;\nbar.sync 0;\n"
		   "mov.u32 %r, 2;\n"), 256, 0);
	for (int i = 0; i < 256; i++)
		expect(i, i < 128 ? 2 : 0xdeadbeef);
	/* two groups of warps with a barrier each, then producer and consumer */
	run(KERNEL("setp.lt.u32 %p0, %x, 64;\n@%p0 bra A;\nbar.sync 2, 64;\nmov.u32 %r, 20;\n"
		   "bra.uni E;\nA:\nbar.sync 1, 64;\nmov.u32 %r, 10;\nE:\n"), 128, 0);
	for (int i = 0; i < 128; i++)
		expect(i, i < 64 ? 10 : 20);
	run(KERNEL(SHARED "setp.lt.u32 %p0, %x, 32;\n@%p0 bra PRODUCE;\nbar.sync 1, 64;\n"
		   "ld.shared.u32 %r, [s];\nbra.uni E;\nPRODUCE:\nst.shared.u32 [s], 77;\n"
		   "bar.arrive 1, 64;\nmov.u32 %r, 5;\nE:\n"), 64, 0);
	for (int i = 0; i < 64; i++)
		expect(i, i < 32 ? 5 : 77);
}

/* Without progress for the lane that holds the lock, its neighbours would spin for ever. */
static void locks(void **state)
{
	(void)state;
	run(KERNEL(SHARED "setp.eq.u32 %p0, %x, 0;\n@%p0 st.shared.u32 [s], 0;\n"
		   "@%p0 st.shared.u32 [s+4], 0;\nbar.sync 0;\n"
		   "SPIN:\natom.shared.cas.b32 %t0, [s], 0, 1;\nsetp.ne.u32 %p1, %t0, 0;\n"
		   "@%p1 bra SPIN;\nld.volatile.shared.u32 %r, [s+4];\nadd.u32 %t1, %r, 1;\n"
		   "st.volatile.shared.u32 [s+4], %t1;\nmembar.cta;\n"
		   "atom.shared.exch.b32 %t0, [s], 0;\n"), 64, 0);
	{
		bool seen[64] = { false };

		for (int i = 0; i < 64; i++) {
			assert_true(got[i] < 64 && !seen[got[i]]);
			seen[got[i]] = true;
		}
	}
}

static void branches(void **state)
{
	(void)state;
	run(KERNEL("and.b32 %t0, %x, 3;\nT: .branchtargets L0, L1, L2, L3;\nbrx.idx %t0, T;\n"
		   "L0:\nmov.u32 %r, 100;\nbra E;\nL1:\nmov.u32 %r, 200;\nL2:\nmov.u32 %r, 300;\n"
		   "bra E;\n"
		   "L3:\nmov.u32 %r, 400;\nE:\nadd.u32 %r, %r, %x;\n"), 64, 0);
	for (int i = 0; i < 64; i++)
		expect(i, (uint32_t[]){ 100, 300, 300, 400 }[i % 4] + i);
	/* nested loops of different length, the lanes must come together again */
	run(KERNEL("mov.u32 %t0, 0;\nmov.u32 %r, 0;\nOUTER:\nmov.u32 %t1, 0;\nINNER:\n"
		   "add.u32 %r, %r, 1;\nadd.u32 %t1, %t1, 1;\nsetp.le.u32 %p0, %t1, %t0;\n"
		   "@%p0 bra INNER;\nadd.u32 %t0, %t0, 1;\nsetp.le.u32 %p1, %t0, %y;\n"
		   "@%p1 bra OUTER;\nactivemask.b32 %t3;\nsetp.ne.u32 %p2, %t3, -1;\n"
		   "@%p2 add.u32 %r, %r, 100000;\n"), 32, 0);
	for (int i = 0; i < 32; i++)
		expect(i, (i + 1) * (i + 2) / 2);
}

static void calls(void **state)
{
	static const char fib[] = PTX_HEADER
		".visible .func (.param .b32 r) fib(.param .b32 n)\n{\n.reg .b32 %n, %a, %b;\n"
		".reg .pred %p;\nld.param.u32 %n, [n];\nsetp.lt.u32 %p, %n, 2;\n@%p bra DONE;\n"
		"sub.u32 %a, %n, 1;\n{\n.param .b32 q;\nst.param.b32 [q], %a;\n.param .b32 v;\n"
		"call.uni (v), fib, (q);\nld.param.b32 %b, [v];\n}\nsub.u32 %a, %n, 2;\n{\n"
		".param .b32 q;\nst.param.b32 [q], %a;\n.param .b32 v;\ncall (v), fib, (q);\n"
		"ld.param.b32 %a, [v];\n}\nadd.u32 %n, %a, %b;\nDONE:\nst.param.b32 [r], %n;\n"
		"ret;\n}\n"
		".visible .entry k(.param .u64 p)\n{\n.reg .b32 %x, %r;\n.reg .b64 %a, %o;\n"
		"ld.param.u64 %a, [p];\nmov.u32 %x, %tid.x;\nmul.wide.u32 %o, %x, 4;\n"
		"add.u64 %a, %a, %o;\nrem.u32 %x, %x, 15;\n{\n.param .b32 q;\n"
		"st.param.b32 [q], %x;\n"
		".param .b32 v;\ncall (v), fib, (q);\nld.param.b32 %r, [v];\n}\n"
		"st.global.u32 [%a], %r;\nret;\n}\n";
	uint32_t f[15] = { 0, 1 };

	(void)state;
	for (int i = 2; i < 15; i++)
		f[i] = f[i - 1] + f[i - 2];
	run(fib, 64, 0);
	for (int i = 0; i < 64; i++)
		expect(i, f[i % 15]);
}

/* The blocks of a cooperative launch meet: each counts itself and waits for all the others. */
static void cooperative(void **state)
{
	static const char ptx[] = PTX_HEADER
		".visible .entry k(.param .u64 p)\n{\n.reg .b32 %r, %x, %n, %v;\n.reg .b64 %a;\n"
		".reg .pred %p;\nld.param.u64 %a, [p];\nmov.u32 %x, %tid.x;\n"
		"mov.u32 %n, %nctaid.x;\nsetp.ne.u32 %p, %x, 0;\n@%p bra JOIN;\n"
		"atom.global.add.release.gpu.u32 %r, [%a], 1;\n"
		"WAIT:\nld.acquire.gpu.global.u32 %v, [%a];\nsetp.lt.u32 %p, %v, %n;\n"
		"@%p bra WAIT;\nJOIN:\nbar.sync 0;\nred.global.add.u32 [%a+4], 1;\nret;\n}\n";
	CUmodule m = load(ptx);
	unsigned int sms = 0, blocks;
	CUdevice dev;
	int per_sm;
	void *args[] = { &out };

	(void)state;
	ok(cuDeviceGet(&dev, 0));
	ok(cuDeviceGetAttribute((int *)&sms, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, dev));
	ok(cuOccupancyMaxActiveBlocksPerMultiprocessor(&per_sm, function(m, "k"), 64, 0));
	blocks = sms * per_sm;
	ok(cuMemsetD32_v2(out, 0, 2));
	gives(CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE,
	      cuLaunchCooperativeKernel(function(m, "k"), blocks + 1, 1, 1, 64, 1, 1, 0, NULL, args));
	ok(cuLaunchCooperativeKernel(function(m, "k"), blocks, 1, 1, 64, 1, 1, 0, NULL, args));
	ok(cuCtxSynchronize());
	ok(cuMemcpyDtoH_v2(got, out, 8));
	assert_int_equal(got[0], blocks);
	assert_int_equal(got[1], blocks * 64);
	ok(cuModuleUnload(m));
}

static int set_up(void **state)
{
	(void)state;
	use_device();
	return cuMemAlloc_v2(&out, sizeof(got));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shuffles), cmocka_unit_test(votes), cmocka_unit_test(masks),
		cmocka_unit_test(barriers), cmocka_unit_test(locks), cmocka_unit_test(branches),
		cmocka_unit_test(calls), cmocka_unit_test(cooperative),
	};

	return cmocka_run_group_tests_name("warp", tests, set_up, NULL);
}
