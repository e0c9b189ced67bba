// SPDX-License-Identifier: Apache-2.0
/* State spaces, vectors, widths, atomics, variables and their initialisers. */
#include "harness.h"

static void run(const char *ptx, CUdeviceptr p, unsigned int blocks, unsigned int threads,
		unsigned int shared)
{
	CUmodule m = load(ptx);

	launch(function(m, "k"), blocks, threads, shared, &p, NULL);
	ok(cuModuleUnload(m));
}

#define ENTRY(vars, body) \
	PTX_HEADER vars ".visible .entry k(.param .u64 p)\n{\n.reg .b16 %h<9>;\n" \
	".reg .b32 %r<9>;\n.reg .b64 %a, %d<9>;\n.reg .f32 %f<9>;\n.reg .f64 %e<5>;\n" \
	".reg .pred %p<9>;\n" \
	"ld.param.u64 %a, [p];\n" body "\nret;\n}\n"

static void widths(void **state)
{
	uint64_t v[8] = { 0x8899aabbccddeeff, 0x0123456789abcdef };
	CUdeviceptr p;

	(void)state;
	ok(cuMemAlloc_v2(&p, 4096));
	ok(cuMemcpyHtoD_v2(p, v, sizeof(v)));
	run(ENTRY("", "ld.global.u8 %r0, [%a];\nld.global.s8 %r1, [%a+1];\nld.s16 %d0, [%a+2];\n"
		  "st.global.u32 [%a+64], %r0;\nst.global.u32 [%a+68], %r1;\nst.u64 [%a+72], %d0;\n"
		  "ld.global.v2.u32 {%r2, %r3}, [%a];\nst.global.v2.u32 [%a+80], {%r3, %r2};\n"
		  "ld.global.v4.u16 {%h0, %h1, %h2, %h3}, [%a+8];\n"
		  "st.global.v4.u16 [%a+88], {%h3, %h2, %h1, %h0};\n"
		  "ld.global.v2.u64 {%d1, _}, [%a];\nst.global.u8 [%a+96], %d1;\n"
		  "st.global.u16 [%a+98], 4660;\nld.global.u64 %d2, [%a+8];\n"
		  "st.global.u32 [%a+100], %d2;\n"),
	    p, 1, 1, 0);
	ok(cuMemcpyDtoH_v2(v, p + 64, 40));
	assert_int_equal((uint32_t)v[0], 0xff);
	assert_int_equal(v[0] >> 32, 0xffffffee);
	assert_int_equal(v[1], 0xffffffffffffccdd);
	assert_int_equal(v[2], 0xccddeeff8899aabb);
	assert_int_equal(v[3], 0xcdef89ab45670123);
	assert_int_equal(v[4] & 0xff, 0xff);
	assert_int_equal(v[4] >> 16 & 0xffff, 4660);
	assert_int_equal(v[4] >> 32, 0x89abcdef);
	ok(cuMemFree_v2(p));
}

static void spaces(void **state)
{
	uint32_t v[8];
	CUdeviceptr p;

	(void)state;
	ok(cuMemAlloc_v2(&p, 64));
	ok(cuMemsetD32_v2(p, 0, 16));
	/* one word in each space, reached by its own and by its generic address */
	run(ENTRY(".shared .align 4 .u32 s;\n.global .align 4 .u32 g = 11;\n"
		  ".const .align 4 .u32 c = 22;\n",
		  ".local .align 4 .b8 l[16];\nst.shared.u32 [s], 33;\nst.local.u32 [l+4], 44;\n"
		  "mov.u64 %d0, s;\ncvta.shared.u64 %d1, %d0;\nld.u32 %r0, [%d1];\n"
		  "mov.u64 %d2, l;\ncvta.local.u64 %d3, %d2;\nld.u32 %r1, [%d3+4];\n"
		  "mov.u64 %d4, g;\ncvta.global.u64 %d4, %d4;\nld.u32 %r2, [%d4];\n"
		  "ld.const.u32 %r3, [c];\nld.global.u32 %r4, [g];\n"
		  "st.global.v4.u32 [%a], {%r0, %r1, %r2, %r3};\n"
		  "isspacep.shared %p0, %d1;\nisspacep.local %p1, %d3;\nisspacep.global %p2, %d4;\n"
		  "isspacep.shared %p3, %d4;\nisspacep.global %p4, %d1;\nselp.u32 %r5, 1, 0, %p0;\n"
		  "@%p1 add.u32 %r5, %r5, 2;\n@%p2 add.u32 %r5, %r5, 4;\n"
		  "@%p3 add.u32 %r5, %r5, 8;\n"
		  "@%p4 add.u32 %r5, %r5, 16;\nst.global.u32 [%a+16], %r5;\n"
		  "cvta.to.shared.u64 %d5, %d1;\nld.shared.u32 %r6, [%d5];\n"
		  "st.global.u32 [%a+20], %r6;\n"), p, 1, 1, 0);
	ok(cuMemcpyDtoH_v2(v, p, sizeof(v)));
	assert_int_equal(v[0], 33);
	assert_int_equal(v[1], 44);
	assert_int_equal(v[2], 11);
	assert_int_equal(v[3], 22);
	assert_int_equal(v[4], 7);
	assert_int_equal(v[5], 33);
	ok(cuMemFree_v2(p));
}

static void initialisers(void **state)
{
	static const char vars[] =
		".global .align 4 .u32 a[4] = {1, 0x10, 010, -1};\n"
		".global .align 8 .u64 pa = generic(a)+8;\n"
		".global .align 8 .u64 pb[2] = {a, pa};\n"
		".global .align 4 .f32 f[2] = {0f3F800000, 2.5};\n"
		".global .align 8 .f64 d = 0d4008000000000000;\n"
		".global .align 1 .b8 t[3] = {104, 105, 0};\n"
		".global .align 8 .u8 m[8] = {0xff(a), 0xff00(a), 0xff0000(a), 0xff000000(a),"
		"0xff00000000(a), 0xff0000000000(a), 0xff000000000000(a), 0xff00000000000000(a)};\n";
	CUmodule m = load(ENTRY(".global .align 4 .u32 a[4] = {1, 0x10, 010, -1};\n", ""));
	char ptx[4096];
	uint32_t a[4];
	uint64_t pa, pb[2], mm;
	float f[2];
	double d;
	char t[3];
	CUdeviceptr p, q;
	size_t n;

	(void)state;
	ok(cuModuleUnload(m));
	snprintf(ptx, sizeof(ptx), "%s%s.visible .entry k()\n{\nret;\n}\n", PTX_HEADER, vars);
	m = load(ptx);
	ok(cuModuleGetGlobal_v2(&p, &n, m, "a"));
	assert_int_equal(n, 16);
	ok(cuMemcpyDtoH_v2(a, p, n));
	assert_int_equal(a[0], 1);
	assert_int_equal(a[1], 16);
	assert_int_equal(a[2], 8);
	assert_int_equal(a[3], 0xffffffff);
	ok(cuModuleGetGlobal_v2(&q, &n, m, "pa"));
	ok(cuMemcpyDtoH_v2(&pa, q, n));
	assert_int_equal(pa, p + 8);
	ok(cuModuleGetGlobal_v2(&q, &n, m, "pb"));
	ok(cuMemcpyDtoH_v2(pb, q, n));
	assert_int_equal(pb[0], p);
	ok(cuModuleGetGlobal_v2(&q, &n, m, "pa"));
	assert_int_equal(pb[1], q);
	ok(cuModuleGetGlobal_v2(&q, &n, m, "f"));
	ok(cuMemcpyDtoH_v2(f, q, n));
	assert_true(f[0] == 1 && f[1] == 2.5f);
	ok(cuModuleGetGlobal_v2(&q, &n, m, "d"));
	ok(cuMemcpyDtoH_v2(&d, q, n));
	assert_true(d == 3);
	ok(cuModuleGetGlobal_v2(&q, &n, m, "t"));
	assert_int_equal(n, 3);
	ok(cuMemcpyDtoH_v2(t, q, n));
	assert_string_equal(t, "hi");
	ok(cuModuleGetGlobal_v2(&q, &n, m, "m"));
	ok(cuMemcpyDtoH_v2(&mm, q, n));
	assert_int_equal(mm, p);
	ok(cuModuleUnload(m));
}

/* Each operation from every thread of several blocks, on one place. */
static void atomics(void **state)
{
	static const char ptx[] = ENTRY("",
		"mov.u32 %r0, %tid.x;\nmov.u32 %r1, %ctaid.x;\nmad.lo.u32 %r0, %r1, 64, %r0;\n"
		"cvt.u64.u32 %d0, %r0;\ncvt.rn.f32.u32 %f0, %r0;\ncvt.rn.f64.u32 %e0, %r0;\n"
		"red.global.add.u32 [%a], %r0;\nred.add.u64 [%a+8], %d0;\n"
		"atom.global.add.f32 %f1, [%a+16], 0f3f800000;\nred.add.f64 [%a+24], %e0;\n"
		"red.global.min.s32 [%a+32], %r0;\nred.global.max.u32 [%a+36], %r0;\n"
		"shl.b32 %r2, 1, %r0;\nand.b32 %r3, %r0, 31;\nshl.b32 %r2, 1, %r3;\n"
		"red.global.or.b32 [%a+40], %r2;\nred.global.xor.b32 [%a+44], %r2;\n"
		"not.b32 %r4, %r2;\nred.global.and.b32 [%a+48], %r4;\n"
		"atom.global.inc.u32 %r5, [%a+52], 6;\natom.global.dec.u32 %r5, [%a+56], 6;\n"
		"AGAIN:\nld.volatile.global.u32 %r6, [%a+60];\nadd.u32 %r7, %r6, 2;\n"
		"atom.global.cas.b32 %r5, [%a+60], %r6, %r7;\nsetp.ne.u32 %p0, %r5, %r6;\n"
		"@%p0 bra AGAIN;\nAGAIN16:\nld.volatile.global.u16 %h0, [%a+64];\n"
		"add.u16 %h1, %h0, 1;\n"
		"atom.global.cas.b16 %h2, [%a+64], %h0, %h1;\nsetp.ne.u16 %p0, %h2, %h0;\n"
		"@%p0 bra AGAIN16;\nmov.b16 %h3, 0x3c00;\nred.global.add.noftz.f16 [%a+66], %h3;\n"
		"atom.global.exch.b64 %d1, [%a+72], %d0;\nred.global.max.s64 [%a+80], %d0;\n");
	const uint32_t n = 16 * 64, sum = n * (n - 1) / 2;
	uint32_t v[24] = { 0 };
	CUdeviceptr p;
	float f;
	double d;

	(void)state;
	v[8] = 5;
	v[12] = 0xffffffff;
	v[20] = 0xffffff00;	/* -256 */
	v[21] = 0xffffffff;
	ok(cuMemAlloc_v2(&p, sizeof(v)));
	ok(cuMemcpyHtoD_v2(p, v, sizeof(v)));
	run(ptx, p, 16, 64, 0);
	ok(cuMemcpyDtoH_v2(v, p, sizeof(v)));
	assert_int_equal(v[0], sum);
	assert_int_equal(v[2] | (uint64_t)v[3] << 32, sum);
	memcpy(&f, &v[4], 4);
	assert_true(f == n);
	memcpy(&d, &v[6], 8);
	assert_true(d == sum);
	assert_int_equal(v[8], 0);
	assert_int_equal(v[9], n - 1);
	assert_int_equal(v[10], 0xffffffff);
	assert_int_equal(v[11], 0);	/* each bit an even number of times */
	assert_int_equal(v[12], 0);
	assert_int_equal(v[13], n % 7);
	assert_int_equal(v[14], (7 - n % 7) % 7);
	assert_int_equal(v[15], 2 * n);
	assert_int_equal(v[16] & 0xffff, n);
	assert_int_equal(v[16] >> 16, 0x6400);	/* 1024 as a half */
	assert_true(v[18] < n);
	assert_int_equal(v[20], n - 1);
	assert_int_equal(v[21], 0);
	ok(cuMemFree_v2(p));
}

/* Several elements at once: each is added by itself, and what was there before comes back. */
static void vector_atomics(void **state)
{
	static const char ptx[] = ENTRY("",
		"mov.f32 %f1, 0f3f800000;\nmov.f32 %f2, 0f40000000;\nmov.f32 %f3, 0f40400000;\n"
		"mov.f32 %f4, 0f40800000;\nred.global.add.v4.f32 [%a], {%f1, %f2, %f3, %f4};\n"
		"mov.b32 %r0, 0x40003c00;\n"
		"red.global.add.noftz.v2.f16x2 [%a+16], {%r0, %r0};\n"
		"mov.u32 %r1, %tid.x;\nsetp.ne.u32 %p0, %r1, 0;\n@%p0 bra END;\n"
		"atom.global.add.v2.f32 {%f2, %f1}, [%a+24], {%f1, %f2};\n"
		"st.global.f32 [%a+32], %f1;\nst.global.f32 [%a+36], %f2;\n"
		"atom.global.add.v2.f32 {_, %f4}, [%a+40], {%f4, %f4};\nst.global.f32 [%a+48], %f4;\n"
		"END:\n");
	float v[13] = { [6] = 10, 20, [10] = 30, 40 };
	uint32_t halves[2];
	CUdeviceptr p;

	(void)state;
	ok(cuMemAlloc_v2(&p, sizeof(v)));
	ok(cuMemcpyHtoD_v2(p, v, sizeof(v)));
	run(ptx, p, 1, 64, 0);
	ok(cuMemcpyDtoH_v2(v, p, sizeof(v)));
	for (int i = 0; i < 4; i++)
		assert_true(v[i] == 64 * (i + 1));
	memcpy(halves, &v[4], 8);
	assert_int_equal(halves[0], 0x58005400);	/* 128 and 64 */
	assert_int_equal(halves[1], 0x58005400);
	assert_true(v[6] == 11 && v[7] == 22);
	assert_true(v[8] == 20 && v[9] == 10);
	assert_true(v[10] == 34 && v[11] == 44 && v[12] == 40);
	ok(cuMemFree_v2(p));
}

/* Kernels reach host memory at its own address. */
static void host_memory(void **state)
{
	static const char ptx[] = ENTRY("", "ld.u32 %r0, [%a];\nadd.u32 %r0, %r0, 5;\n"
		  "st.u32 [%a], %r0;");
	static uint32_t mine[1024];
	uint32_t *h;
	CUdeviceptr p;

	(void)state;
	ok(cuMemHostAlloc((void **)&h, 4096, 0));
	*h = 10;
	ok(cuMemHostGetDevicePointer_v2(&p, h, 0));
	run(ptx, p, 1, 1, 0);
	assert_int_equal(*h, 15);
	ok(cuMemFreeHost(h));

	ok(cuMemHostRegister_v2(mine, sizeof(mine), 0));
	mine[7] = 20;
	ok(cuMemHostGetDevicePointer_v2(&p, mine + 7, 0));
	run(ptx, p, 1, 1, 0);
	assert_int_equal(mine[7], 25);
	ok(cuMemHostUnregister(mine));

	ok(cuMemAllocManaged(&p, 4096, CU_MEM_ATTACH_GLOBAL));
	h = (uint32_t *)(uintptr_t)p;
	*h = 30;
	run(ptx, p, 1, 1, 0);
	assert_int_equal(*h, 35);
	ok(cuMemFree_v2(p));
}

/* As fresh pages of the operating system: nothing is in them that the process has freed. */
static void fresh_host_memory(void **state)
{
	unsigned char *used[64], *h;
	CUdeviceptr p;

	(void)state;
	for (int i = 0; i < 64; i++) {
		used[i] = malloc(9000);
		assert_non_null(used[i]);
		memset(used[i], 0x5a, 9000);
	}
	for (int i = 0; i < 64; i++)
		free(used[i]);
	for (int i = 0; i < 64; i++) {
		ok(cuMemHostAlloc((void **)&h, 64, 0));
		for (int k = 0; k < 64; k++)
			assert_int_equal(h[k], 0);
		ok(cuMemAllocManaged(&p, 64, CU_MEM_ATTACH_GLOBAL));
		for (int k = 0; k < 64; k++)
			assert_int_equal(((unsigned char *)(uintptr_t)p)[k], 0);
		ok(cuMemFreeHost(h));
		ok(cuMemFree_v2(p));
	}
	assert_int_equal(cuMemHostAlloc((void **)&h, SIZE_MAX - 5, 0), CUDA_ERROR_OUT_OF_MEMORY);
}

/* Bytes of shared variables that the kernel reaches. */
static int shared_of(CUmodule m, const char *name)
{
	int n;

	ok(cuFuncGetAttribute(&n, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, function(m, name)));
	return n;
}

/* Variables of a module count for the kernels that reach them, and for these they lie apart. */
static void module_shared_memory(void **state)
{
	static const char ptx[] = PTX_HEADER
		".shared .align 4 .b8 x[40000];\n.shared .align 4 .b8 y[40000];\n"
		".shared .align 4 .b8 z[1000];\n.shared .align 4 .b8 w[2000];\n"
		".func set(.reg .b32 v)\n{\nst.shared.b32 [z], v;\nret;\n}\n"
		".func (.reg .b32 v) get()\n{\nld.shared.b32 v, [z];\nret;\n}\n"
		".func through(.reg .b32 v)\n{\ncall set, (v);\nret;\n}\n"
		".func none()\n{\nret;\n}\n"
		".visible .entry first(.param .u64 p)\n{\n.reg .b64 %a;\n.reg .b32 %r;\n"
		"ld.param.u64 %a, [p];\nst.shared.b32 [x], 5;\nst.shared.b32 [x+39996], 6;\n"
		"call set, (7);\nld.shared.b32 %r, [x];\nst.b32 [%a], %r;\n"
		"ld.shared.b32 %r, [x+39996];\nst.b32 [%a+4], %r;\ncall (%r), get, ();\n"
		"st.b32 [%a+8], %r;\nret;\n}\n"
		".visible .entry second(.param .u64 p)\n{\n.reg .b64 %a;\n.reg .b32 %r;\n"
		"ld.param.u64 %a, [p];\nst.shared.b32 [y], 1;\nst.shared.b32 [y+39996], 2;\n"
		"st.shared.b32 [w], 3;\nst.shared.b32 [w+1996], 4;\ncall through, (9);\n"
		"ld.shared.b32 %r, [y];\nst.b32 [%a], %r;\nld.shared.b32 %r, [y+39996];\n"
		"st.b32 [%a+4], %r;\ncall (%r), get, ();\nst.b32 [%a+8], %r;\n"
		"ld.shared.b32 %r, [w];\nst.b32 [%a+12], %r;\nld.shared.b32 %r, [w+1996];\n"
		"st.b32 [%a+16], %r;\nret;\n}\n"
		".visible .entry third()\n{\ncall none, ();\nret;\n}\n"
		".visible .entry fourth()\n{\n.reg .b64 %a;\nmov.u64 %a, none;\n"
		"P: .callprototype _ ();\ncall %a, (), P;\nret;\n}\n";
	CUmodule m = load(ptx);
	uint32_t v[5];
	CUdeviceptr p;

	(void)state;
	assert_int_equal(shared_of(m, "first"), 41000);
	assert_int_equal(shared_of(m, "second"), 43000);
	assert_int_equal(shared_of(m, "third"), 0);
	/* it may call any function, and one of them has z */
	assert_int_equal(shared_of(m, "fourth"), 1000);
	ok(cuMemAlloc_v2(&p, sizeof(v)));
	launch(function(m, "first"), 1, 1, 0, &p, NULL);
	ok(cuMemcpyDtoH_v2(v, p, sizeof(v)));
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(v[i], 5 + i);
	launch(function(m, "second"), 1, 1, 0, &p, NULL);
	ok(cuMemcpyDtoH_v2(v, p, sizeof(v)));
	assert_int_equal(v[0], 1);
	assert_int_equal(v[1], 2);
	assert_int_equal(v[2], 9);
	assert_int_equal(v[3], 3);
	assert_int_equal(v[4], 4);
	ok(cuMemFree_v2(p));
	ok(cuModuleUnload(m));
}

/* So many that it would take too long to find which kernel reaches which: they all lie apart. */
static void many_shared_variables(void **state)
{
	enum { MANY = 3000 };
	char *ptx = malloc(400 * MANY), *at = ptx;
	CUmodule m;

	(void)state;
	assert_non_null(ptx);
	at += sprintf(at, PTX_HEADER);
	for (int i = 0; i < MANY; i++)
		at += sprintf(at, ".shared .align 4 .u32 s%d;\n", i);
	at += sprintf(at, ".func all()\n{\n");
	for (int i = 0; i < MANY; i++)
		at += sprintf(at, "st.shared.u32 [s%d], %d;\n", i, i);
	at += sprintf(at, "ret;\n}\n.visible .entry none()\n{\nret;\n}\n"
		      ".visible .entry one()\n{\nst.shared.u32 [s0], 1;\nret;\n}\n");
	for (int i = 0; i < MANY; i++)
		at += sprintf(at, ".visible .entry k%d()\n{\ncall all, ();\nret;\n}\n", i);
	m = load(ptx);
	assert_int_equal(shared_of(m, "none"), 0);
	assert_int_equal(shared_of(m, "k7"), 4 * MANY);
	assert_int_equal(shared_of(m, "one"), is_softgpu() ? 4 * MANY : 4);
	ok(cuModuleUnload(m));
	free(ptx);
}

/* Static and dynamic shared memory do not overlap, and each block has its own. */
static void shared_memory(void **state)
{
	static const char ptx[] = ENTRY(".extern .shared .align 16 .b8 dyn[];\n",
		".shared .align 4 .b8 st[64];\nmov.u32 %r0, %tid.x;\nmov.u32 %r1, %ctaid.x;\n"
		"mul.lo.u32 %r2, %r0, 4;\nmov.u32 %r3, st;\nadd.u32 %r3, %r3, %r2;\n"
		"mov.u32 %r4, dyn;\nadd.u32 %r4, %r4, %r2;\nadd.u32 %r5, %r0, %r1;\n"
		"st.shared.u32 [%r3], %r5;\nst.shared.u32 [%r4], %r1;\nbar.sync 0;\n"
		"ld.shared.u32 %r5, [%r3];\nld.shared.u32 %r6, [%r4];\n"
		"mad.lo.u32 %r7, %r6, 100, %r5;\n"
		"mad.lo.u32 %r8, %r1, 16, %r0;\nmul.wide.u32 %d0, %r8, 4;\nadd.u64 %d1, %a, %d0;\n"
		"st.global.u32 [%d1], %r7;\n");
	uint32_t v[64];
	CUdeviceptr p;

	(void)state;
	ok(cuMemAlloc_v2(&p, sizeof(v)));
	run(ptx, p, 4, 16, 64);
	ok(cuMemcpyDtoH_v2(v, p, sizeof(v)));
	for (int i = 0; i < 64; i++)
		assert_int_equal(v[i], i / 16 * 100 + i % 16 + i / 16);
	ok(cuMemFree_v2(p));
}

/*
 * Compilers count on the sum of an address of 32 bits and its offset to wrap: here 64 below the
 * variable, and 68 above that. The upper half of a 64-bit register counts for nothing.
 */
static void wrapping_addresses(void **state)
{
	static const char ptx[] = ENTRY(".const .align 4 .u32 c0 = 1;\n.const .align 4 .u32 c[4] = {5, 6};\n",
		".shared .align 4 .b8 s[128];\n.local .align 4 .b8 l[128];\n"
		"st.shared.u32 [s+4], 77;\nst.local.u32 [l+4], 78;\n"
		"mov.u32 %r1, s;\nadd.u32 %r1, %r1, 0xffffffc0;\nld.shared.u32 %r2, [%r1+68];\n"
		"st.global.u32 [%a], %r2;\n"
		"mov.u32 %r1, l;\nadd.u32 %r1, %r1, 0xffffffc0;\nld.local.u32 %r2, [%r1+68];\n"
		"st.global.u32 [%a+4], %r2;\n"
		"mov.u64 %d1, s;\nadd.u64 %d2, %d1, 0xffffffc0;\nld.shared.u32 %r2, [%d2+68];\n"
		"st.global.u32 [%a+8], %r2;\n"
		"mov.u64 %d1, l;\nadd.u64 %d2, %d1, 0xffffffc0;\nld.local.u32 %r2, [%d2+68];\n"
		"st.global.u32 [%a+12], %r2;\n"
		"mov.u64 %d1, s;\nadd.u64 %d2, %d1, 0x500000004;\nld.shared.u32 %r2, [%d2];\n"
		"st.global.u32 [%a+16], %r2;\n"
		"mov.u32 %r1, s;\nadd.u32 %r1, %r1, 72;\natom.shared.add.u32 %r2, [%r1+-68], 1;\n"
		"ld.shared.u32 %r2, [s+4];\nst.global.u32 [%a+20], %r2;\n"
		"mov.u32 %r1, s;\nadd.u32 %r1, %r1, 0xffffffc0;\n"
		"ld.shared.v2.u32 {%r2, %r3}, [%r1+64];\nst.global.u32 [%a+24], %r3;\n"
		"mov.u32 %r1, c;\nld.const.u32 %r2, [%r1+4];\nst.global.u32 [%a+28], %r2;\n"
		"mov.u32 %r1, p;\nadd.u32 %r1, %r1, 0xffffffc0;\nld.param.u64 %d1, [%r1+64];\n"
		"ld.global.u32 %r2, [%d1+28];\nst.global.u32 [%a+32], %r2;\n");
	static const uint32_t want[] = { 77, 78, 77, 78, 77, 78, 78, 6, 6 };
	uint32_t v[9] = { 0 };
	CUdeviceptr p;

	(void)state;
	ok(cuMemAlloc_v2(&p, sizeof(v)));
	run(ptx, p, 1, 1, 0);
	ok(cuMemcpyDtoH_v2(v, p, sizeof(v)));
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		if (v[i] != want[i])
			fail_msg("access %zu read %u, not %u", i, v[i], want[i]);
	ok(cuMemFree_v2(p));
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
		cmocka_unit_test(widths), cmocka_unit_test(spaces), cmocka_unit_test(initialisers),
		cmocka_unit_test(atomics), cmocka_unit_test(vector_atomics),
		cmocka_unit_test(host_memory),
		cmocka_unit_test(fresh_host_memory), cmocka_unit_test(module_shared_memory),
		cmocka_unit_test(many_shared_variables),
		cmocka_unit_test(shared_memory), cmocka_unit_test(wrapping_addresses),
	};

	return cmocka_run_group_tests_name("memory", tests, set_up, NULL);
}
