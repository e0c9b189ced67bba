// SPDX-License-Identifier: Apache-2.0
/* Loading: what is refused and with which words, fat binaries, libraries. */
#include <lz4.h>
#include <malloc.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

#include "harness.h"

#define ENTRY(body) PTX_HEADER ".visible .entry k(.param .u64 p)\n{\n.reg .b32 %r<4>;\n" \
	".reg .b64 %d<4>;\n.reg .f32 %f<4>;\n.reg .pred %p<4>;\n" body "\nret;\n}\n"

/* The load fails, and its log has all of the words. */
static void refused(const char *ptx, CUresult code, const char *word, const char *line)
{
	char log[1024] = "";
	CUjit_option opts[] = { CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES };
	void *values[] = { log, (void *)sizeof(log) };
	CUmodule m;

	gives(code, cuModuleLoadDataEx(&m, ptx, 2, opts, values));
	if (!strstr(log, word) || !strstr(log, line))
		fail_msg("the log says: %s", log);
	assert_int_equal((size_t)values[1], strlen(log));
}

/* Others know more instructions, and forgive more. */
static void only_softgpu(void)
{
	if (!is_softgpu())
		skip();
}

/*
 * The module loads with a warning, its kernel k is refused with CUDA_ERROR_NOT_SUPPORTED, and its
 * kernel fine runs.
 */
static void kernel_refused(const char *ptx, const char *word, const char *line)
{
	static const char fine[] = ".visible .entry fine(.param .u64 p)\n{\n.reg .b64 %d;\n"
		"ld.param.u64 %d, [p];\nst.global.u32 [%d], 99;\nret;\n}\n";
	char log[1024] = "", text[8192];
	CUjit_option opts[] = { CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES };
	void *values[] = { log, (void *)sizeof(log) };
	CUfunction f, list[2];
	unsigned int n;
	uint32_t v = 0;
	CUdeviceptr p;
	CUmodule m;

	snprintf(text, sizeof(text), "%s%s", ptx, fine);
	ok(cuModuleLoadDataEx(&m, text, 2, opts, values));
	if (!strstr(log, word) || !strstr(log, line))
		fail_msg("the log says: %s", log);
	assert_int_equal((size_t)values[1], strlen(log));
	gives(CUDA_ERROR_NOT_SUPPORTED, cuModuleGetFunction(&f, m, "k"));
	/* those that ask for all kernels learn it when they launch one */
	ok(cuModuleGetFunctionCount(&n, m));
	assert_int_equal(n, 2);
	ok(cuModuleEnumerateFunctions(list, 2, m));
	ok(cuMemAlloc_v2(&p, 4));
	gives(CUDA_ERROR_NOT_SUPPORTED, cuFuncLoad(list[0]));
	gives(CUDA_ERROR_NOT_SUPPORTED, cuLaunchKernel(list[0], 1, 1, 1, 1, 1, 1, 0, NULL,
						       (void *[]){ &p }, NULL));
	launch(function(m, "fine"), 1, 1, 0, &p, NULL);
	ok(cuMemcpyDtoH_v2(&v, p, 4));
	assert_int_equal(v, 99);
	ok(cuMemFree_v2(p));
	ok(cuModuleUnload(m));
}

static void unknown(void **state)
{
	(void)state;
	only_softgpu();
	kernel_refused(ENTRY("frobnicate.u32 %r0, %r1;"), "frobnicate", "line 10");
	kernel_refused(ENTRY("\n\nadd.u32.twice %r0, %r1, %r2;"), "twice", "line 12");
	kernel_refused(ENTRY("mul.u32 %r0, %r1, %r2;"), "mul.u32", "line 10");
	kernel_refused(ENTRY("add.f33 %r0, %r1, %r2;"), "add.f33", "line 10");
	kernel_refused(ENTRY("ld.global.shiny.u32 %r0, [%d0];"), "shiny", "line 10");
	kernel_refused(ENTRY("st.async.shared::cluster.mbarrier::complete_tx::bytes.u32 [%r0], %r1, [%r2];"),
		       "st.async", "line 10");
	kernel_refused(ENTRY("red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes.add.u32 "
			     "[%r0], %r1, [%r2];"), "red.async", "line 10");
	kernel_refused(ENTRY("tcgen05.wait::ld.sync.aligned;"), "tcgen05.wait", "line 10");
	kernel_refused(PTX_HEADER ".global .texref t;\n.visible .entry k(.param .u64 p)\n{\n"
		       ".reg .f32 %f<4>;\n.reg .b32 %r<2>;\n"
		       "tex.2d.v4.f32.s32 {%f0, %f1, %f2, %f3}, [t, {%r0, %r1}];\nret;\n}\n",
		       "tex.2d", "line 9");
	kernel_refused(ENTRY("mov.u32 %r0, %pm0;"), "%pm0", "line 10");
	kernel_refused(PTX_HEADER ".visible .entry k()\n.reqnctapercluster 2, 1, 1\n{\nret;\n}\n",
		       "cluster", "line 4");
	kernel_refused(PTX_HEADER ".extern .func (.param .b32 r) __cudaCDP2GetLastError();\n"
		       ".visible .entry k()\n{\n.param .b32 q;\n"
		       "call (q), __cudaCDP2GetLastError, ();\nret;\n}\n",
		       "starts work itself", "line 8");
	/* what a function lacks, all that reach it lack: by a call, or by its address */
	kernel_refused(PTX_HEADER ".func g();\n.func f() { call g; ret; }\n"
		       ".func g() { frobnicate; ret; }\n.visible .entry k() { call f; ret; }\n",
		       "frobnicate", "line 6");
	kernel_refused(PTX_HEADER ".func f() { frobnicate; ret; }\n"
		       ".visible .entry k() { .reg .b64 %d; mov.u64 %d, f; ret; }\n",
		       "frobnicate", "line 4");
	refused(".version 9.1\n.target sm_70\n", CUDA_ERROR_UNSUPPORTED_PTX_VERSION, "9.1", "line 1");
	refused(".version 99999999999999999999.0\n", CUDA_ERROR_UNSUPPORTED_PTX_VERSION, "newer",
		"line 1");
}

static void wrong(void **state)
{
	(void)state;
	only_softgpu();
	refused(ENTRY("add.u32 %r0, %r1;"), CUDA_ERROR_INVALID_PTX, "operands", "line 10");
	refused(ENTRY("add.u32 %r0, %r1, %r9;"), CUDA_ERROR_INVALID_PTX, "%r9", "line 10");
	refused(ENTRY("add.u32 %d0, %r1, %r2;"), CUDA_ERROR_INVALID_PTX, "%d0", "line 10");
	refused(ENTRY("add.u64 %d0, %r1, %d2;"), CUDA_ERROR_INVALID_PTX, "%r1", "line 10");
	refused(ENTRY("bra NOWHERE;"), CUDA_ERROR_INVALID_PTX, "NOWHERE", "line 10");
	refused(ENTRY("call nothing;"), CUDA_ERROR_INVALID_PTX, "nothing", "line 10");
	/* a vector's elements fill the parameter, and are registers of their share of it */
	refused(PTX_HEADER ".func f(.reg .v2 .b32 a) { ret; }\n.visible .entry k() { call f, ({}); ret; }\n",
		CUDA_ERROR_INVALID_PTX, "0 elements", "line 5");
	refused(PTX_HEADER ".func (.reg .v2 .b32 r) f() { ret; }\n"
		".visible .entry k() { call ({}), f; ret; }\n",
		CUDA_ERROR_INVALID_PTX, "0 elements", "line 5");
	refused(PTX_HEADER ".func f(.param .b8 a) { ret; }\n.visible .entry k() { .reg .pred %q<4>;\n"
		"call f, ({%q0, %q1, %q2, %q3}); ret; }\n",
		CUDA_ERROR_INVALID_PTX, "4 elements", "line 6");
	refused(PTX_HEADER ".func f(.param .align 4 .b8 a[6]) { ret; }\n"
		".visible .entry k() { .reg .b16 %h<4>;\ncall f, ({%h0, %h1, %h2, %h3}); ret; }\n",
		CUDA_ERROR_INVALID_PTX, "4 elements", "line 6");
	refused(PTX_HEADER ".func f(.reg .v2 .b32 a) { ret; }\n.visible .entry k() { .reg .pred %q<2>;\n"
		"call f, ({%q0, %q1}); ret; }\n",
		CUDA_ERROR_INVALID_PTX, "register of 4 bytes", "line 6");
	refused(PTX_HEADER ".func f(.reg .b32 a) { ret; }\n.visible .entry k() { .reg .pred %q;\n"
		"call f, (%q); ret; }\n",
		CUDA_ERROR_INVALID_PTX, "another size", "line 6");
	refused(ENTRY("ld.param.u64 %d0, [p+8];"), CUDA_ERROR_INVALID_PTX, "parameters", "line 10");
	refused(ENTRY("ld.param.u64 %d0, [q];"), CUDA_ERROR_INVALID_PTX, "q", "line 10");
	refused(ENTRY("cvt.s32.f32 %r0, %f0;"), CUDA_ERROR_INVALID_PTX, "rounding", "line 10");
	refused(ENTRY("add.u32 %r0 %r1 %r2;"), CUDA_ERROR_INVALID_PTX, "syntax", "line 10");
	refused(ENTRY("add.u32 %r0, %r1, ;"), CUDA_ERROR_INVALID_PTX, "syntax", "line 10");
	refused(PTX_HEADER ".visible .entry k()\n{\n", CUDA_ERROR_INVALID_PTX, "end of text",
		"line 6");
	refused(ENTRY("/* to be continued"), CUDA_ERROR_INVALID_PTX, "comment", "line");
	refused(PTX_HEADER ".pragma \"nounroll;\n", CUDA_ERROR_INVALID_PTX, "string", "line 4");
	refused(PTX_HEADER ".visible .entry k()\n.reqntid 0\n{\nret;\n}\n", CUDA_ERROR_INVALID_PTX,
		"at least one", "line");
	refused(PTX_HEADER ".visible .entry k()\n{\n.shared .b8 s[49153];\nret;\n}\n",
		CUDA_ERROR_INVALID_PTX, "48 KiB", "line 4");
	refused(PTX_HEADER ".global .u32 x = y;\n", CUDA_ERROR_INVALID_PTX, "y", "line 4");
	refused(PTX_HEADER ".extern .global .u32 x;\n.entry k()\n{\n.reg .b32 %r;\n"
		"ld.global.u32 %r, [x];\nret;\n}\n", CUDA_ERROR_INVALID_PTX, "x", "line 4");
}

/* Any truncation of a good text is refused or loads: it never brings the process down. */
static void truncated(void **state)
{
	static const char whole[] = PTX_HEADER
		".global .align 8 .u64 g[2] = {1, generic(g)+8};\n"
		".func (.param .b32 r) f(.param .align 8 .b8 s[16])\n{\n.reg .b32 %r<3>;\n"
		"ld.param.v2.u32 {%r0, %r1}, [s+8];\nst.param.b32 [r], %r0;\nret;\n}\n"
		".visible .entry k(.param .u64 p)\n{\n.reg .b64 %d<3>;\n.reg .b32 %r<3>;\n"
		".reg .pred %p;\nL: setp.lt.and.s32 %p, %r0, -5, !%p;\n@!%p bra L;\n{\n"
		".param .align 8 .b8 a[16];\n.param .b32 b;\n"
		"st.param.v2.b32 [a+8], {%r0, 0f3f800000};\n"
		"call.uni (b), f, (a);\nld.param.b32 %r1, [b];\n}\nmov.b64 {%r0, _}, %d0;\nret;\n"
		"}\n";
	char cut[sizeof(whole)];
	CUmodule m;
	int loaded = 0;

	(void)state;
	for (size_t n = 0; n < sizeof(whole); n++) {
		memcpy(cut, whole, n);
		cut[n] = 0;
		if (!cuModuleLoadData(&m, cut)) {
			loaded++;
			ok(cuModuleUnload(m));
		}
	}
	assert_true(loaded > 0);
	/* and any single character turned into another */
	for (size_t n = 0; n < sizeof(whole) - 1; n++) {
		static const char swap[] = { '(', '}', '%', '0', '.', ';', '"', '\n', 'Z', -1 };

		for (size_t k = 0; k < sizeof(swap); k++) {
			memcpy(cut, whole, sizeof(whole));
			cut[n] = swap[k];
			if (!cuModuleLoadData(&m, cut))
				ok(cuModuleUnload(m));
		}
	}
}

static const char plain[] = ENTRY("ld.param.u64 %d0, [p];\nst.global.u32 [%d0], 1234;");

static void check_runs(CUmodule m)
{
	CUdeviceptr p;
	uint32_t v = 0;

	ok(cuMemAlloc_v2(&p, 4));
	launch(function(m, "k"), 1, 1, 0, &p, NULL);
	ok(cuMemcpyDtoH_v2(&v, p, 4));
	assert_int_equal(v, 1234);
	ok(cuMemFree_v2(p));
	ok(cuModuleUnload(m));
}

/* What else a target may name. Doubles that are to be computed as floats are not offered. */
static void targets(void **state)
{
	static const char old[] = ".version 1.4\n.target sm_20, map_f64_to_f32, texmode_independent\n"
		".entry k(.param .u64 p)\n{\n.reg .u64 %d;\n"
		"ld.param.u64 %d, [p];\nst.global.u32 [%d], 1234;\nexit;\n}\n";
	CUmodule m;

	(void)state;
	only_softgpu();
	ok(cuModuleLoadData(&m, old));
	check_runs(m);
	kernel_refused(".version 1.4\n.target sm_20, map_f64_to_f32\n.visible .entry k()\n{\n"
		       ".reg .f64 %e<2>;\nadd.rn.f64 %e0, %e1, %e1;\nret;\n}\n",
		       "computed as a float", "line 6");
	refused(".version 1.4\n.target sm_20, map_f32_to_f64\n", CUDA_ERROR_INVALID_PTX, "sm_NN",
		"line 2");
}

/* A fat binary with entries of machine code and of PTX, packed in each way. */
static size_t fatbin_of(const char *text, char *to, int packing, unsigned int arch, bool with_ptx)
{
	size_t raw = strlen(text) + 1, at = 16;
	uint64_t size;

	memset(to, 0, 8192);
	for (int i = 0; i < 1 + with_ptx; i++) {
		char *e = to + at;
		uint32_t head = 64, used = 0;
		uint64_t full = 0, flags = 0x11;

		*(uint16_t *)e = i ? 1 : 2;
		*(uint16_t *)(e + 2) = 0x101;
		*(uint32_t *)(e + 4) = head;
		*(uint32_t *)(e + 28) = arch;
		if (!i) {
			memcpy(e + head, "\177ELF nothing..", 14);
			size = 16;
		} else if (packing == 0) {
			memcpy(e + head, text, raw);
			size = raw;
		} else {
			used = packing == 1 ? (uint32_t)LZ4_compress_default(text, e + head, raw,
									     4096) :
			       (uint32_t)ZSTD_compress(e + head, 4096, text, raw, 3);
			flags |= packing == 1 ? 0x2000 : 0x8000;
			full = raw;
			size = used;
		}
		size = (size + 7) & ~7ull;
		*(uint64_t *)(e + 8) = size;
		*(uint32_t *)(e + 16) = used;
		*(uint64_t *)(e + 40) = flags;
		*(uint64_t *)(e + 56) = full;
		at += head + size;
	}
	*(uint32_t *)to = 0xba55ed50;
	*(uint16_t *)(to + 4) = 1;
	*(uint16_t *)(to + 6) = 16;
	*(uint64_t *)(to + 8) = at - 16;
	return at;
}

static size_t fatbin(char *to, int packing, unsigned int arch, bool with_ptx)
{
	return fatbin_of(plain, to, packing, arch, with_ptx);
}

static void fat_binaries(void **state)
{
	static _Alignas(8) char fat[8192];
	struct {
		uint32_t magic, version;
		const void *data, *more;
	} wrapper = { 0x466243b1, 1, fat, NULL };
	CUmodule m;

	(void)state;
	/* its machine code is none, which only softgpu does not look into */
	only_softgpu();
	for (int packing = 0; packing < 3; packing++) {
		fatbin(fat, packing, 75, true);
		ok(cuModuleLoadData(&m, fat));
		check_runs(m);
		ok(cuModuleLoadFatBinary(&m, &wrapper));
		check_runs(m);
	}
	fatbin(fat, 0, 75, false);
	gives(CUDA_ERROR_NO_BINARY_FOR_GPU, cuModuleLoadData(&m, fat));
	fatbin(fat, 0, 100, true);
	gives(CUDA_ERROR_NO_BINARY_FOR_GPU, cuModuleLoadData(&m, fat));
	fatbin(fat, 2, 75, true);
	*(uint64_t *)(fat + 16 + 8) = 1 << 20;	/* an entry past the end */
	gives(CUDA_ERROR_INVALID_IMAGE, cuModuleLoadData(&m, fat));
	gives(CUDA_ERROR_INVALID_IMAGE, cuModuleLoadData(&m, "no module"));
	gives(CUDA_ERROR_NO_BINARY_FOR_GPU, cuModuleLoadData(&m, "\177ELF____________"));
	gives(CUDA_ERROR_FILE_NOT_FOUND, cuModuleLoad(&m, "/nonexistent/file.ptx"));
}

static void libraries(void **state)
{
	CUlibrary lib;
	CUkernel k;
	CUfunction f;
	CUmodule m;
	CUdeviceptr p;
	const char *name;
	unsigned int n;
	size_t offset, size;
	uint32_t v = 0;
	void *args[] = { &p };

	(void)state;
	ok(cuLibraryLoadData(&lib, plain, NULL, NULL, 0, NULL, NULL, 0));
	ok(cuLibraryGetKernelCount(&n, lib));
	assert_int_equal(n, 1);
	ok(cuLibraryGetKernel(&k, lib, "k"));
	gives(CUDA_ERROR_NOT_FOUND, cuLibraryGetKernel(&k, lib, "nothing"));
	ok(cuKernelGetName(&name, k));
	assert_string_equal(name, "k");
	ok(cuKernelGetParamInfo(k, 0, &offset, &size));
	assert_int_equal(offset, 0);
	assert_int_equal(size, 8);
	gives(CUDA_ERROR_INVALID_VALUE, cuKernelGetParamInfo(k, 1, &offset, &size));
	ok(cuKernelGetFunction(&f, k));
	ok(cuLibraryGetModule(&m, lib));
	ok(cuMemAlloc_v2(&p, 4));
	/* a kernel may stand for its function */
	ok(cuLaunchKernel((CUfunction)k, 1, 1, 1, 1, 1, 1, 0, NULL, args, NULL));
	ok(cuMemcpyDtoH_v2(&v, p, 4));
	assert_int_equal(v, 1234);
	ok(cuMemFree_v2(p));
	ok(cuLibraryUnload(lib));
}

static void functions(void **state)
{
	static const char ptx[] = PTX_HEADER
		".visible .entry a(.param .u8 x, .param .u64 y, .param .align 4 .b8 z[12], .param .f64 w)\n"
		".maxntid 128, 2, 1\n{\n.shared .align 4 .b8 s[100];\n.reg .b32 %r;\n"
		"mov.u32 %r, s;\nret;\n}\n"
		".visible .entry b()\n{\nret;\n}\n";
	static const size_t want[4][2] = { { 0, 1 }, { 8, 8 }, { 16, 12 }, { 32, 8 } };
	CUmodule m = load(ptx);
	CUfunction f = function(m, "a"), list[4];
	size_t offset, size;
	unsigned int n;
	int v;

	(void)state;
	for (int i = 0; i < 4; i++) {
		ok(cuFuncGetParamInfo(f, i, &offset, &size));
		assert_int_equal(offset, want[i][0]);
		assert_int_equal(size, want[i][1]);
	}
	gives(CUDA_ERROR_INVALID_VALUE, cuFuncGetParamInfo(f, 4, &offset, &size));
	ok(cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, f));
	assert_int_equal(v, 256);
	ok(cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, f));
	assert_int_equal(v, 100);
	ok(cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 100000));
	ok(cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, f));
	assert_int_equal(v, 100000);
	ok(cuModuleGetFunctionCount(&n, m));
	assert_int_equal(n, 2);
	ok(cuModuleEnumerateFunctions(list, 4, m));
	gives(CUDA_ERROR_INVALID_VALUE, cuLaunchKernel(function(m, "b"), 0, 1, 1, 1, 1, 1, 0,
						       NULL, NULL, NULL));
	gives(CUDA_ERROR_INVALID_VALUE, cuLaunchKernel(function(m, "b"), 1, 1, 1, 2048, 1, 1, 0,
						       NULL, NULL, NULL));
	gives(CUDA_ERROR_INVALID_VALUE, cuLaunchKernel(function(m, "b"), 1, 1, 1, 1, 1, 1, 60000,
						       NULL, NULL, NULL));
	gives(CUDA_ERROR_NOT_FOUND, cuModuleGetFunction(&f, m, "c"));
	ok(cuModuleUnload(m));
}

/* Sizes that lead past the end of an image, behind which nothing is mapped. */
static void image_sizes(void **state)
{
	const size_t page = 4096, room = 4 * page;
	char fat[8192], name[] = "/tmp/softgpu-XXXXXX", *end;
	CUlibrary library;
	uint32_t used;
	size_t bytes;
	CUmodule m;
	int fd;

	(void)state;
	only_softgpu();
	end = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(end, MAP_FAILED);
	end += room;
	assert_int_equal(mprotect(end, page, PROT_NONE), 0);
	for (int packing = 1; packing < 3; packing++) {
		bytes = fatbin(fat, packing, 75, true);
		memcpy(end - bytes, fat, bytes);
		ok(cuModuleLoadData(&m, end - bytes));
		check_runs(m);
		/* The packed bytes of the second entry: more than it has. */
		memcpy(&used, fat + 16 + 80 + 16, sizeof(used));
		for (uint32_t more = 16; more; more <<= 3) {
			uint32_t n = used + more;

			memcpy(end - bytes + 16 + 80 + 16, &n, sizeof(n));
			gives(CUDA_ERROR_INVALID_IMAGE, cuModuleLoadData(&m, end - bytes));
		}
	}
	munmap(end - room, room + page);
	/* A file is as long as it is, whatever it says of itself. */
	bytes = fatbin(fat, 0, 75, true);
	*(uint64_t *)(fat + 8) = 1 << 30;
	fd = mkstemp(name);
	assert_int_equal(write(fd, fat, bytes), bytes);
	close(fd);
	gives(CUDA_ERROR_INVALID_IMAGE, cuModuleLoad(&m, name));
	gives(CUDA_ERROR_INVALID_IMAGE, cuLibraryLoadFromFile(&library, name, NULL, NULL, 0, NULL,
							      NULL, 0));
	unlink(name);
	*(uint64_t *)(fat + 8) = UINT64_MAX;
	gives(CUDA_ERROR_INVALID_IMAGE, cuModuleLoadData(&m, fat));
	fatbin(fat, 0, 75, true);
	*(uint16_t *)(fat + 6) = 0;
	gives(CUDA_ERROR_INVALID_IMAGE, cuModuleLoadData(&m, fat));
}

/* Numbers and depths that no compiler makes. */
static const char puts_it[] = PTX_HEADER
	".extern .func (.param .b32 r) twice(.param .b32 a);\n"
	".extern .global .align 4 .u32 more;\n"
	".visible .entry put(.param .u64 out)\n{\n.reg .b32 %r<4>;\n.reg .b64 %d<3>;\n"
	"ld.param.u64 %d1, [out];\nld.global.u32 %r1, [more];\n"
	"{\n.param .b32 a;\n.param .b32 r;\nst.param.b32 [a], %r1;\n"
	"call (r), twice, (a);\nld.param.b32 %r2, [r];\n}\nst.global.u32 [%d1], %r2;\nret;\n}\n";
static const char doubles[] = PTX_HEADER
	".visible .global .align 4 .u32 more = 21;\n"
	".visible .func (.param .b32 r) twice(.param .b32 a)\n{\n.reg .b32 %r<3>;\n"
	"ld.param.b32 %r1, [a];\nadd.s32 %r2, %r1, %r1;\nst.param.b32 [r], %r2;\nret;\n}\n";

static CUlinkState link_of(const char *one, const char *two)
{
	CUlinkState l;

	ok(cuLinkCreate_v2(0, NULL, NULL, &l));
	ok(cuLinkAddData_v2(l, CU_JIT_INPUT_PTX, (void *)one, strlen(one), "one", 0, NULL, NULL));
	if (two)
		ok(cuLinkAddData_v2(l, CU_JIT_INPUT_PTX, (void *)two, strlen(two), "two", 0, NULL,
				    NULL));
	return l;
}

/* What one text uses and another defines, in whatever order they come. */
static void linked(void **state)
{
	CUdeviceptr p;
	uint32_t v = 0;
	CUlinkState l;
	size_t bytes;
	CUmodule m;
	char *cubin;

	(void)state;
	ok(cuMemAlloc_v2(&p, 4));
	for (int turn = 0; turn < 2; turn++) {
		l = link_of(turn ? doubles : puts_it, turn ? puts_it : doubles);
		ok(cuLinkComplete(l, (void **)&cubin, &bytes));
		ok(cuModuleLoadData(&m, cubin));
		ok(cuLinkDestroy(l));
		launch(function(m, "put"), 1, 1, 0, &p, NULL);
		ok(cuMemcpyDtoH_v2(&v, p, 4));
		assert_int_equal(v, 42);
		ok(cuModuleUnload(m));
	}
	ok(cuMemFree_v2(p));
}

/*
 * A text of several has names of its own, which others may have too, and weak ones, of which the
 * first text's hold.
 */
#define NAMES(kernel, number, later) PTX_HEADER \
	".global .align 4 .u32 mine = " number ";\n.global .align 8 .u64 at = generic(mine);\n" \
	".weak .global .align 4 .u32 common = " number "00;\n" \
	".weak .shared .align 4 .b8 room[40000];\n" \
	".weak .func (.reg .b32 r) any()\n{\nmov.b32 r, " number "0000;\nret;\n}\n" \
	".func (.reg .b32 r) own();\n.func (.reg .b32 r) own()\n{\n.reg .b32 t;\n" \
	"ld.global.b32 t, [mine];\nmul.lo.u32 r, t, 1000000;\nret;\n}\n" \
	later ".visible .entry " kernel "(.param .u64 out)\n{\n" \
	".reg .b32 %r<9>;\n.reg .b64 %d<4>;\nld.param.u64 %d0, [out];\n" \
	"st.shared.b32 [room+39996], 3;\nld.global.b64 %d1, [at];\nld.b32 %r0, [%d1];\n" \
	"ld.global.b32 %r1, [common];\ncall (%r2), any, ();\ncall (%r3), own, ();\n" \
	"add.u32 %r0, %r0, %r1;\nadd.u32 %r2, %r2, %r3;\nadd.u32 %r0, %r0, %r2;\n" \
	"call (%r3), later, ();\nadd.u32 %r0, %r0, %r3;\nst.global.b32 [%d0], %r0;\nret;\n}\n"

static void names_of_texts(void **state)
{
	static const char
		one[] = NAMES("one", "1", ".visible .func (.reg .b32 r) later()\n"
					  "{\nmov.b32 r, 10;\nret;\n}\n"),
		two[] = NAMES("two", "2", ".extern .func (.reg .b32 r) later();\n");
	static _Alignas(8) char fats[4][8192];
	const void *list[] = { fats[0], fats[1], fats[2], NULL };
	struct {
		uint32_t magic, version;
		const void *data;
		const void *const *list;
	} wrapper = { 0x466243b1, 2, fats[3], list };
	CUdeviceptr p;
	uint32_t v = 0;
	CUmodule m;

	(void)state;
	only_softgpu();
	ok(cuMemAlloc_v2(&p, 4));
	/* a program of two files, linked for a device that is not this one */
	fatbin_of(one, fats[0], 2, 80, true);
	fatbin(fats[1], 0, 75, false);
	fatbin_of(two, fats[2], 1, 90, true);
	fatbin(fats[3], 0, 75, false);
	ok(cuModuleLoadFatBinary(&m, &wrapper));
	launch(function(m, "one"), 1, 1, 0, &p, NULL);
	ok(cuMemcpyDtoH_v2(&v, p, 4));
	assert_int_equal(v, 1 + 100 + 10000 + 1000000 + 10);
	launch(function(m, "two"), 1, 1, 0, &p, NULL);
	ok(cuMemcpyDtoH_v2(&v, p, 4));
	assert_int_equal(v, 2 + 100 + 10000 + 2000000 + 10);
	ok(cuModuleUnload(m));
	ok(cuMemFree_v2(p));
	*(uint64_t *)(fats[2] + 8) = UINT64_MAX;
	gives(CUDA_ERROR_INVALID_IMAGE, cuModuleLoadFatBinary(&m, &wrapper));
	list[0] = fats[1];
	list[1] = NULL;
	gives(CUDA_ERROR_NO_BINARY_FOR_GPU, cuModuleLoadFatBinary(&m, &wrapper));
}

static void links_that_fail(void **state)
{
	CUlinkState l;
	size_t bytes;
	CUmodule m;
	char *cubin, *copy;

	(void)state;
	only_softgpu();
	/* Nobody defines what it uses; two define the same. */
	l = link_of(puts_it, NULL);
	assert_int_not_equal(cuLinkComplete(l, (void **)&cubin, &bytes), CUDA_SUCCESS);
	ok(cuLinkDestroy(l));
	gives(CUDA_ERROR_INVALID_HANDLE, cuLinkDestroy(l = NULL));
	l = link_of(doubles, doubles);
	assert_int_not_equal(cuLinkComplete(l, (void **)&cubin, &bytes), CUDA_SUCCESS);
	gives(CUDA_ERROR_INVALID_PTX, cuLinkAddData_v2(l, CU_JIT_INPUT_PTX, "nothing", 7, NULL, 0,
						       NULL, NULL));
	ok(cuLinkDestroy(l));
	/* A header that is not as it was made is no image. */
	l = link_of(doubles, NULL);
	ok(cuLinkComplete(l, (void **)&cubin, &bytes));
	copy = malloc(bytes);
	for (size_t at = 16; at < 192; at++) {
		memcpy(copy, cubin, bytes);
		copy[at] ^= 0x40;
		if (!cuModuleLoadData(&m, copy))
			ok(cuModuleUnload(m));
	}
	memcpy(copy, cubin, bytes);
	copy[40] ^= 1;			/* where its sections are */
	gives(CUDA_ERROR_INVALID_IMAGE, cuModuleLoadData(&m, copy));
	free(copy);
	ok(cuLinkDestroy(l));
}

static void beyond_all_bounds(void **state)
{
	enum { DEEP = 3000, CALLS = 5000 };
	static char ptx[CALLS * 64 + 1024];
	char *at = ptx;
	CUmodule m;

	(void)state;
	only_softgpu();
	refused(ENTRY("mov.u32 %r0, %r4294967295;"), CUDA_ERROR_INVALID_PTX, "%r4294967295",
		"line 10");
	refused(ENTRY("mov.u32 %r0, %r4294967296;"), CUDA_ERROR_INVALID_PTX, "%r4294967296",
		"line 10");
	refused(ENTRY("mov.u32 %r0, %r18446744073709551615;"), CUDA_ERROR_INVALID_PTX,
		"%r18446744073709551615", "line 10");
	refused(PTX_HEADER ".visible .global .b128 v = 6;\n", CUDA_ERROR_INVALID_PTX, "128 bits",
		"line 4");
	refused(PTX_HEADER ".visible .global .b128 v = 0f3f800000;\n", CUDA_ERROR_INVALID_PTX,
		"128 bits", "line 4");
	refused(PTX_HEADER ".visible .global .b128 v[2] = {v, 6.0};\n", CUDA_ERROR_INVALID_PTX,
		"128 bits", "line 4");
	refused(PTX_HEADER ".global .b8 v[4294967296] = {1};\n", CUDA_ERROR_INVALID_PTX,
		"a smaller variable", "line 4");
	for (size_t i = 0; i < 4; i++) {
		at = ptx + sprintf(ptx, PTX_HEADER ".visible .entry k()\n{\n\tcall x, ");
		memset(at, "({[!"[i], DEEP);
		sprintf(at + DEEP, ";\n}\n");
		refused(ptx, CUDA_ERROR_INVALID_PTX, "nested", "line 6");
	}
	/* Each function calls the next. */
	at = ptx + sprintf(ptx, PTX_HEADER ".func f0() { ret; }\n");
	for (int i = 1; i < CALLS; i++)
		at += sprintf(at, ".func f%d() { call f%d; ret; }\n", i, i - 1);
	ok(cuModuleLoadData(&m, ptx));
	ok(cuModuleUnload(m));
}

/*
 * A program may have many of anything. Loading takes time in proportion, where a search of all
 * of them for each would take half a minute.
 */
static void many(void **state)
{
	enum { MANY = 40000 };
	static const struct {
		const char *what, *before, *each, *after;
	} kinds[] = {
		{ "labels", ".entry k()\n{\n.reg .pred %p;\n", "L%d: @%%p bra L%d;\n", "ret;\n}\n" },
		{ "branches to the last of all labels", ".entry k()\n{\n.reg .pred %p;\n",
		  "L%d: @%%p bra END;\n", "END: ret;\n}\n" },
		{ "registers", ".entry k()\n{\n", ".reg .b32 r%d; mov.b32 r%d, 0;\n", "ret;\n}\n" },
		{ "constants", ".entry k()\n{\n.reg .b32 %r;\n", "mov.b32 %%r, %d;\n",
		  "ret;\n}\n" },
		{ "blocks", ".entry k()\n{\n", "{ .reg .b32 r%d; mov.b32 r%d, 0; }\n", "ret;\n}\n" },
		{ "variables", "", ".global .u32 v%d = 5;\n", "" },
		{ "functions", "", ".func f%d() { ret; }\n", ".entry k() { call f0; ret; }\n" },
	};
	char *ptx = malloc(MANY * 80), *at;
	CUmodule m;

	(void)state;
	only_softgpu();
	assert_non_null(ptx);
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		struct timespec from, to;
		double s;

		at = ptx + sprintf(ptx, PTX_HEADER "%s", kinds[k].before);
		for (int i = 0; i < MANY; i++)
			at += sprintf(at, kinds[k].each, i, i, i);
		strcpy(at, kinds[k].after);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
		ok(cuModuleLoadData(&m, ptx));
		ok(cuModuleUnload(m));
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
		s = to.tv_sec - from.tv_sec + (to.tv_nsec - from.tv_nsec) * 1e-9;
		if (s > 4)
			fail_msg("%d %s took %.1f s", MANY, kinds[k].what, s);
	}
	/* Each calls the next, and the last, which comes last, reaches shared memory. */
	at = ptx + sprintf(ptx, PTX_HEADER ".shared .u32 s;\n");
	for (int i = 0; i < MANY / 2; i++)
		at += sprintf(at, ".func f%d();\n", i);
	for (int i = 0; i < MANY / 2 - 1; i++)
		at += sprintf(at, ".func f%d() { call f%d; ret; }\n", i, i + 1);
	sprintf(at, ".func f%d() { .reg .b32 %%r; mov.b32 %%r, s; ret; }\n", MANY / 2 - 1);
	ok(cuModuleLoadData(&m, ptx));
	ok(cuModuleUnload(m));
	free(ptx);
}

static int set_up(void **state)
{
	(void)state;
	use_device();
	return 0;
}

/*
 * Of a function's text only what runs is kept: programs have modules of 10 MB and more, and load
 * dozens of them. A decoded instruction has 72 bytes, and as much again is allowed for the rest.
 */
static void memory(void **state)
{
	enum { COUNT = 50000, MOST = 2 * 72 };
	static const char line[] = "add.u32 %r1, %r2, 7;\n";
	char *text = malloc(COUNT * (sizeof(line) - 1) + 1000), *end = text;
	struct mallinfo2 before, after;
	CUmodule m;

	(void)state;
	only_softgpu();
	assert_non_null(text);
	end += sprintf(end, PTX_HEADER ".visible .entry k()\n{\n.reg .b32 %%r<4>;\n");
	for (int i = 0; i < COUNT; i++)
		end = stpcpy(end, line);
	strcpy(end, "ret;\n}\n");
	load(PTX_HEADER ".visible .entry k()\n{\nret;\n}\n");
	before = mallinfo2();
	ok(cuModuleLoadData(&m, text));
	after = mallinfo2();
	assert_in_range(after.uordblks + after.hblkhd - before.uordblks - before.hblkhd, 1,
			(size_t)COUNT * MOST);
	ok(cuModuleUnload(m));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unknown), cmocka_unit_test(targets),
		cmocka_unit_test(wrong), cmocka_unit_test(truncated),
		cmocka_unit_test(fat_binaries), cmocka_unit_test(libraries),
		cmocka_unit_test(functions), cmocka_unit_test(image_sizes),
		cmocka_unit_test(beyond_all_bounds), cmocka_unit_test(many), cmocka_unit_test(memory),
		cmocka_unit_test(linked), cmocka_unit_test(names_of_texts),
		cmocka_unit_test(links_that_fail),
	};

	return cmocka_run_group_tests_name("load", tests, set_up, NULL);
}
