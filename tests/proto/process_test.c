// SPDX-License-Identifier: Apache-2.0
/*
 * A process before, between and after CUDA: an environment that hides devices, a cuInit()
 * that fails and is tried again, fork(), and calls while the process ends.  What is expected
 * is what NVIDIA's driver 580.159 answers on an H200.  Each case runs in a child of its own,
 * because a process has one cuInit().
 */
#include "../unit/unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cuda_abi.h"

#define CHILD_SECONDS 120

/* In a child: its exit status is the line where something was wrong, or 0. */
#define is(call, result)                                                               \
	do {                                                                           \
		CUresult is_ = (call);                                                 \
		if (is_ != (result)) {                                                 \
			fprintf(stderr, "line %d: %s gave %d\n", __LINE__, #call, is_); \
			_exit(1);                                                      \
		}                                                                      \
	} while (0)

static bool passes(void (*body)(void))
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		alarm(CHILD_SECONDS);
		body();
		exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status == 0;
}

static CUresult count_of(int *n)
{
	*n = -1;
	return cuDeviceGetCount(n);
}

/* -- CUDA_VISIBLE_DEVICES; its rules are in tests/unit/visible_test.c */

static void hidden(void)
{
	int n;

	setenv("CUDA_VISIBLE_DEVICES", "-1", 1);
	is(cuInit(0), CUDA_ERROR_NO_DEVICE);
	is(count_of(&n), CUDA_ERROR_NOT_INITIALIZED);
	setenv("CUDA_VISIBLE_DEVICES", "0,0", 1);
	is(cuInit(0), CUDA_ERROR_INVALID_DEVICE);
	/* The cause has gone: now it succeeds. */
	setenv("CUDA_VISIBLE_DEVICES", "0", 1);
	is(cuInit(0), CUDA_SUCCESS);
	is(count_of(&n), CUDA_SUCCESS);
	if (n != 1)
		_exit(1);
}

static void environment(void **state)
{
	(void)state;
	assert_true(passes(hidden));
}

/* -- a mediator that comes later */

static void comes_later(void)
{
	char *transport = strdup(getenv("VGPU_TRANSPORT"));

	setenv("VGPU_TRANSPORT", "unix:/nonexistent/vgpu.sock", 1);
	is(cuInit(0), CUDA_ERROR_NO_DEVICE);
	is(cuInit(0), CUDA_ERROR_NO_DEVICE);
	setenv("VGPU_TRANSPORT", transport, 1);
	is(cuInit(0), CUDA_SUCCESS);
}

static void mediator_comes_later(void **state)
{
	(void)state;
	assert_true(passes(comes_later));
}

/* -- fork() */

static void starts_cuda(void)
{
	CUcontext context;
	CUdevice device;

	is(cuInit(0), CUDA_SUCCESS);
	is(cuDeviceGet(&device, 0), CUDA_SUCCESS);
	is(cuDevicePrimaryCtxRetain(&context, device), CUDA_SUCCESS);
}

static void has_no_cuda(void)
{
	int n, version = 0;

	is(cuInit(0), CUDA_ERROR_NOT_INITIALIZED);
	is(count_of(&n), CUDA_ERROR_NOT_INITIALIZED);
	is(cuDriverGetVersion(&version), CUDA_SUCCESS);
	if (!version)
		_exit(1);
}

static void only_asks(void)
{
	CUcontext context;
	int n, version;

	is(cuDriverGetVersion(&version), CUDA_SUCCESS);
	is(count_of(&n), CUDA_ERROR_NOT_INITIALIZED);
	is(cuCtxGetCurrent(&context), CUDA_ERROR_NOT_INITIALIZED);
	is(cuCtxDestroy_v2(NULL), CUDA_ERROR_INVALID_VALUE);
	is(cuCtxDestroy_v2((CUcontext)&context), CUDA_ERROR_NOT_INITIALIZED);
	is(cuInit(1), CUDA_ERROR_INVALID_VALUE);
	if (!passes(starts_cuda))
		_exit(1);
	/* The parent's own way is still open, and the child's end has not closed it. */
	starts_cuda();
	if (!passes(has_no_cuda))
		_exit(1);
	is(cuCtxGetCurrent(&context), CUDA_SUCCESS);
}

static void child_of_one_that_asked(void **state)
{
	(void)state;
	assert_true(passes(only_asks));
}

/* -- the end */

static CUdeviceptr memory;
static CUresult expected;
static bool in_destructor;

/* These cases end with 1 unless this is reached. */
static void last_calls(void)
{
	int n;

	is(count_of(&n), expected);
	is(cuCtxSynchronize(), expected);
	is(cuMemFree_v2(memory), expected);
	_exit(0);
}

static void starts_and_allocates(void)
{
	CUcontext context;

	is(cuInit(0), CUDA_SUCCESS);
	is(cuDevicePrimaryCtxRetain(&context, 0), CUDA_SUCCESS);
	is(cuCtxSetCurrent(context), CUDA_SUCCESS);
	is(cuMemAlloc_v2(&memory, 4096), CUDA_SUCCESS);
}

/* Handlers run in the reverse order: this one after all that came later. */
static void handler_before(void)
{
	expected = CUDA_ERROR_DEINITIALIZED;
	atexit(last_calls);
	starts_and_allocates();
	exit(1);
}

static void handler_after(void)
{
	expected = CUDA_SUCCESS;
	starts_and_allocates();
	atexit(last_calls);
	exit(1);
}

__attribute__((destructor)) static void destructor(void)
{
	if (in_destructor)
		last_calls();
}

static void in_a_destructor(void)
{
	expected = CUDA_ERROR_DEINITIALIZED;
	in_destructor = true;
	starts_and_allocates();
	exit(1);
}

static void while_it_ends(void **state)
{
	(void)state;
	assert_true(passes(handler_before));
	assert_true(passes(handler_after));
	assert_true(passes(in_a_destructor));
}

/* -- CUDA_LAUNCH_BLOCKING */

static const char ptx[] =
	".version 6.0\n.target sm_50\n.address_size 64\n"
	".visible .entry bad()\n{\n"
	"	.reg .b64 %rd<2>;\n	mov.b64 %rd1, 16;\n	st.global.b32 [%rd1], 1;\n	ret;\n}\n";

static void launches_badly(void)
{
	CUfunction bad;
	CUmodule module;

	starts_and_allocates();
	is(cuModuleLoadData(&module, ptx), CUDA_SUCCESS);
	is(cuModuleGetFunction(&bad, module, "bad"), CUDA_SUCCESS);
	is(cuLaunchKernel(bad, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL), expected);
	is(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
}

static void told_at_once(void)
{
	setenv("CUDA_LAUNCH_BLOCKING", "1", 1);
	expected = CUDA_ERROR_ILLEGAL_ADDRESS;
	launches_badly();
}

static void told_later(void)
{
	setenv("CUDA_LAUNCH_BLOCKING", "0", 1);
	expected = CUDA_SUCCESS;
	launches_badly();
}

/* A launch under capture has nothing to wait for. */
static void captured(void)
{
	CUgraph graph;
	CUfunction bad;
	CUmodule module;
	CUstream stream;

	setenv("CUDA_LAUNCH_BLOCKING", "1", 1);
	starts_and_allocates();
	is(cuModuleLoadData(&module, ptx), CUDA_SUCCESS);
	is(cuModuleGetFunction(&bad, module, "bad"), CUDA_SUCCESS);
	is(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
	is(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL), CUDA_SUCCESS);
	is(cuLaunchKernel(bad, 1, 1, 1, 1, 1, 1, 0, stream, NULL, NULL), CUDA_SUCCESS);
	is(cuStreamEndCapture(stream, &graph), CUDA_SUCCESS);
}

static void launch_blocking(void **state)
{
	(void)state;
	assert_true(passes(told_at_once));
	assert_true(passes(told_later));
	assert_true(passes(captured));
}

/* -- a limit on the length of files, as batch systems set it */

static void short_files(void)
{
	struct rlimit few = { 1 << 20, 1 << 20 };
	const size_t bytes = 4 << 20;
	CUdeviceptr device;
	char *host, *back;

	if (setrlimit(RLIMIT_FSIZE, &few))
		_exit(1);
	starts_and_allocates();
	is(cuMemAllocHost_v2((void **)&host, bytes), CUDA_SUCCESS);
	is(cuMemAlloc_v2(&device, bytes), CUDA_SUCCESS);
	back = malloc(bytes);
	memset(host, 7, bytes);
	is(cuMemcpyHtoD_v2(device, host, bytes), CUDA_SUCCESS);
	is(cuMemcpyDtoH_v2(back, device, bytes), CUDA_SUCCESS);
	if (memcmp(host, back, bytes))
		_exit(1);
	is(cuMemFreeHost(host), CUDA_SUCCESS);
	/* What must be shared is refused. */
	is(cuMemAllocManaged(&device, bytes, CU_MEM_ATTACH_GLOBAL), CUDA_ERROR_OUT_OF_MEMORY);
}

static void limit_of_files(void **state)
{
	(void)state;
	assert_true(passes(short_files));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(environment),
		cmocka_unit_test(mediator_comes_later),
		cmocka_unit_test(child_of_one_that_asked),
		cmocka_unit_test(while_it_ends),
		cmocka_unit_test(launch_blocking),
		cmocka_unit_test(limit_of_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
