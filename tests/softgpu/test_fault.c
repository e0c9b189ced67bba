// SPDX-License-Identifier: Apache-2.0
/*
 * Errors of kernels: each in a process of its own, since they last as long as the process. Every
 * case gives its code at the next synchronisation and from then on.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "../../userspace/softgpu/tensor_map.h"

#define BODY(vars, body) \
	PTX_HEADER vars ".visible .entry k(.param .u64 p)\n{\n.reg .b32 %r<9>;\n" \
		  ".reg .b64 %a, %d<9>;\n" \
	".reg .pred %p<3>;\nld.param.u64 %a, [p];\n" body "\nret;\n}\n"

/* The exit status of a child that runs the kernel on 4096 bytes: 0 when all is as expected. */
static int child(const char *ptx, int code, CUdeviceptr offset, bool strict)
{
	CUdevice dev;
	CUcontext ctx, other;
	CUmodule m;
	CUfunction f;
	CUdeviceptr p, at, q;
	void *args[] = { &at };

	if (cuInit(0) || cuDeviceGet(&dev, 0) || cuDevicePrimaryCtxRetain(&ctx, dev) ||
	    cuCtxSetCurrent(ctx) || cuMemAlloc_v2(&p, 4096) || cuModuleLoadData(&m, ptx) ||
	    cuModuleGetFunction(&f, m, "k"))
		return 2;
	at = offset == 1 ? 0 : p + offset;
	/* others round allocations up, so that a near miss is none */
	if (strict && !is_softgpu())
		return 0;
	if (cuLaunchKernel(f, 4, 1, 1, 64, 1, 1, 0, NULL, args, NULL))
		return 3;
	if ((int)cuCtxSynchronize() != code)
		return 4;
	if (!code)
		return cuMemFree_v2(p) ? 5 : 0;
	if ((int)cuMemAlloc_v2(&q, 16) != code || (int)cuCtxSynchronize() != code ||
	    (int)cuMemcpyHtoD_v2(p, &q, 8) != code || (int)cuStreamQuery(NULL) != code)
		return 6;
	/* a new context on the device does not help */
	if ((int)cuCtxCreate_v2(&other, 0, dev) != code)
		return 7;
	return 0;
}

static void expect(const char *ptx, int code, CUdeviceptr offset, bool strict)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(child(ptx, code, offset, strict));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void kernel_gives(const char *ptx, int code, CUdeviceptr offset)
{
	expect(ptx, code, offset, false);
}

static void near_miss(const char *ptx)
{
	expect(ptx, CUDA_ERROR_ILLEGAL_ADDRESS, 0, true);
}

/* A load by a tensor map that the program has made up, of softgpu's own layout. */
struct forged {
	const char *name;
	int code;		/* what the next synchronisation gives */
	uint8_t rank, swizzle, after;	/* after: the rank in the map that the load writes over it */
	uint16_t box[SG_TENSOR_RANK];
	int at, bytes;		/* where the box begins in shared memory, which has so many bytes: at
				   least the 128 of the map */
};

static const struct forged forgeries[] = {
	{ "a good one", 0, 2, 0, 0, { 128, 2 }, 1024, 1280 },
	{ "sides over 256, of 2^32 + 128 bytes", CUDA_ERROR_ILLEGAL_INSTRUCTION, 3, 0, 0,
	  { 128, 8283, 4051 }, 0, 1280 },
	{ "2^40 bytes", CUDA_ERROR_ILLEGAL_ADDRESS, 5, 0, 0, { 256, 256, 256, 256, 256 }, 0, 1280 },
	{ "a swizzle of 8", CUDA_ERROR_ILLEGAL_INSTRUCTION, 1, 8, 0, { 16 }, 1024, 1280 },
	{ "swizzled past the end", CUDA_ERROR_ILLEGAL_ADDRESS, 1, 128, 0, { 16 }, 128, 144 },
	{ "overwritten by its own load", 0, 2, 0, 255, { 128, 2 }, 0, 1280 },
};

/* The map is copied to the start of shared memory and used there. */
static const char forged_text[] = PTX_HEADER
	".visible .entry k(.param .u64 p)\n{\n.reg .b64 %%a, %%m, %%v, %%q;\n"
	".reg .b32 %%s, %%b, %%t, %%c, %%i;\n.reg .pred %%p;\n.shared .align 1024 .b8 mem[128];\n"
	"ld.param.u64 %%a, [p];\nmov.u32 %%s, mem;\nmov.u32 %%c, 0;\nmov.u32 %%i, 0;\n"
	"L: cvt.u64.u32 %%q, %%i;\nadd.u64 %%q, %%q, %%a;\nld.global.b64 %%v, [%%q];\n"
	"add.u32 %%t, %%s, %%i;\nst.shared.b64 [%%t], %%v;\nadd.u32 %%i, %%i, 8;\n"
	"setp.lt.u32 %%p, %%i, 128;\n@%%p bra L;\nmov.u64 %%m, mem;\ncvta.shared.u64 %%m, %%m;\n"
	"add.u32 %%b, %%s, 128;\nadd.u32 %%t, %%s, %d;\n"
	"cp.async.bulk.tensor.%dd.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
	"[%%t], [%%m, {%s}], [%%b];\nret;\n}\n";

static int forged_child(const struct forged *t)
{
	static const char *const zeros[] = { "%c", "%c, %c", "%c, %c, %c", "", "%c, %c, %c, %c, %c" };
	union {
		struct sg_tensor_map map;
		char bytes[128];
	} m[2] = { { .map = { .magic = SG_TENSOR_MAGIC, .rank = t->rank, .bytes = 1,
			      .swizzle = t->swizzle } } };
	char ptx[2048];
	CUmodule module;
	CUdeviceptr p;
	CUfunction f;

	use_device();
	if (cuMemAlloc_v2(&p, 4096))
		return 2;
	m[0].map.address = p + sizeof(m[0]);
	for (int d = 0; d < SG_TENSOR_RANK; d++) {
		m[0].map.box[d] = t->box[d];
		m[0].map.step[d] = 1;
		m[0].map.stride[d] = d ? 128 : 1;
		m[0].map.dim[d] = d ? 2 : 128;
	}
	m[1] = m[0];
	m[1].map.rank = t->after;
	snprintf(ptx, sizeof(ptx), forged_text, t->at, t->rank, zeros[t->rank - 1]);
	if (cuMemcpyHtoD_v2(p, m, sizeof(m)) || cuModuleLoadData(&module, ptx) ||
	    cuModuleGetFunction(&f, module, "k") ||
	    cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, t->bytes - 128, NULL, (void *[]){ &p }, NULL))
		return 3;
	return (int)cuCtxSynchronize() == t->code ? 0 : 4;
}

static void tensor_maps(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(forgeries) / sizeof(forgeries[0]); i++) {
		pid_t pid = fork();
		int status;

		if (!pid)
			_exit(forged_child(&forgeries[i]));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (status)
			fail_msg("%s: status %#x", forgeries[i].name, status);
	}
}

static void addresses(void **state)
{
	(void)state;
	/* the last word is inside, the next is not */
	kernel_gives(BODY("", "st.global.u32 [%a+4092], 1;"), 0, 0);
	near_miss(BODY("", "st.global.u32 [%a+4096], 1;"));
	near_miss(BODY("", "ld.global.u32 %r0, [%a+-4];"));
	near_miss(BODY("", "st.global.v4.u32 [%a+4096], {%r0, %r0, %r0, %r0};"));
	near_miss(BODY("", "atom.global.add.u32 %r0, [%a+8192], 1;"));
	/* one thread of many is enough */
	near_miss(BODY("", "mov.u32 %r0, %tid.x;\nmul.wide.u32 %d0, %r0, 4;\n"
		       "add.u64 %d0, %d0, %a;\nst.global.u32 [%d0+3844], %r0;"));
	kernel_gives(BODY("", "ld.u64 %d0, [%a];\nst.u64 [%a], %d0;"), CUDA_ERROR_ILLEGAL_ADDRESS, 1);
	kernel_gives(BODY("", "mov.u64 %d0, 0x7000000000000000;\nst.global.u32 [%d0], 1;"),
		     CUDA_ERROR_ILLEGAL_ADDRESS, 0);
	kernel_gives(BODY("", ".shared .align 4 .b8 s[64];\nmov.u32 %r0, s;\n"
		  "st.shared.u32 [%r0+1048576], 1;"),
		     CUDA_ERROR_ILLEGAL_ADDRESS, 0);
	kernel_gives(BODY("", "ld.global.u32 %r0, [%a];\nst.global.u32 [%a], %r0;"), CUDA_ERROR_MISALIGNED_ADDRESS, 2);
	kernel_gives(BODY("", "ld.global.v2.u32 {%r0, %r1}, [%a];\nst.global.v2.u32 [%a], {%r1, %r0};"),
		     CUDA_ERROR_MISALIGNED_ADDRESS, 4);
}

static void instructions(void **state)
{
	(void)state;
	kernel_gives(BODY("", "trap;"), CUDA_ERROR_LAUNCH_FAILED, 0);
	kernel_gives(BODY("", "setp.eq.u64 %p0, %a, 0;\n@%p0 trap;"), 0, 0);
	/* a function with an instruction that softgpu does not know, reached through memory alone */
	expect(BODY(".func f() { frobnicate; ret; }\n.global .u64 table = f;\n",
		    "ld.global.u64 %d0, [table];\nP: .callprototype _ ();\ncall %d0, (), P;\n"),
	       CUDA_ERROR_ILLEGAL_INSTRUCTION, 0, true);
}

#define ASSERT ".extern .func __assertfail(.param .b64 m, .param .b64 f, .param .b32 l," \
	".param .b64 n, .param .b64 s);\n.global .align 1 .b8 t[2] = {120, 0};\n"

static void asserts(void **state)
{
	int saved = dup(2);

	(void)state;
	/* it writes a line for each thread, which is right and not of interest here */
	assert_non_null(freopen("/dev/null", "w", stderr));
	kernel_gives(BODY(ASSERT, "mov.u64 %d0, t;\ncvta.global.u64 %d0, %d0;\n{\n.param .b64 a;\n"
			  ".param .b64 b;\n.param .b32 c;\n.param .b64 d;\n.param .b64 e;\n"
			  "st.param.b64 [a], %d0;\nst.param.b64 [b], %d0;\nst.param.b32 [c], 7;\n"
			  "st.param.b64 [d], %d0;\nst.param.b64 [e], 1;\n"
			  "call.uni __assertfail, (a, b, c, d, e);\n}\n"), CUDA_ERROR_ASSERT, 0);
	dup2(saved, 2);
	close(saved);
}

/* Work queued behind the fault completes without running; events and streams do not hang. */
static int queued(void)
{
	CUdevice dev;
	CUcontext ctx;
	CUmodule m;
	CUfunction f;
	CUstream s;
	CUevent e;
	CUdeviceptr bad = 64;
	void *args[] = { &bad };

	if (cuInit(0) || cuDeviceGet(&dev, 0) || cuDevicePrimaryCtxRetain(&ctx, dev) ||
	    cuCtxSetCurrent(ctx) || cuStreamCreate(&s, 0) || cuEventCreate(&e, 0) ||
	    cuModuleLoadData(&m, BODY("", "st.global.u32 [%a], 1;")) ||
	    cuModuleGetFunction(&f, m, "k"))
		return 2;
	for (int i = 0; i < 20; i++)
		cuLaunchKernel(f, 1, 1, 1, 32, 1, 1, 0, s, args, NULL);
	cuEventRecord(e, s);
	if (cuEventSynchronize(e) != CUDA_ERROR_ILLEGAL_ADDRESS)
		return 3;
	if (cuStreamSynchronize(s) != CUDA_ERROR_ILLEGAL_ADDRESS)
		return 4;
	return 0;
}

static void queues(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (!pid)
		_exit(queued());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses), cmocka_unit_test(tensor_maps), cmocka_unit_test(instructions),
		cmocka_unit_test(asserts), cmocka_unit_test(queues),
	};

	return cmocka_run_group_tests_name("fault", tests, NULL, NULL);
}
