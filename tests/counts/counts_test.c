// SPDX-License-Identifier: Apache-2.0
/*
 * What calls cost, in things that can be counted: records in the ring, system calls,
 * bytes that a CPU has copied.  Times depend on the machine and what else it does;
 * these do not, so they are held to fixed numbers.
 *
 * Run on the shim, with VGPU_TEST_CONTROL naming the mediator's control socket, where
 * this process's executor is the only one that serves.  The executor has to spin for
 * longer than a busy machine may take the CPU away from this process (spin_us), because
 * each sleep of it costs a doorbell, which says nothing about the calls.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "../proto/status.h"
#include "cuda_abi.h"
#include "syscalls.h"

#define ROUNDS 5
/*
 * This process sleeps where the ring is full, because the executor has lost its CPU.  One
 * round without that shows that the calls themselves do not sleep.
 */
#define ROUNDS_MAX 60
#define N 1000

/*
 * cuInit() and a first context ask about the driver, about its one device, and for the
 * context.  Each is a round trip before the program's first useful call.
 */
#define FIRST_CONTEXT_MAX 3
#define ok(call) assert_int_equal(call, CUDA_SUCCESS)

static const char ptx[] = ".version 6.0\n.target sm_50\n.address_size 64\n"
			  ".visible .entry empty(.param .u64 p)\n{\n\tret;\n}\n";

static CUcontext context;
static CUfunction function;
static CUdeviceptr device;
static CUstream stream;

/* -- what the mediator has counted */

struct counts {
	uint64_t records, in, out, direct_in, direct_out;
};

static struct counts counts(void)
{
	const char *status = status_text();

	return (struct counts){
		.records = status_number(status, "calls"),
		.in = status_number(status, "bytes_to_device"),
		.out = status_number(status, "bytes_from_device"),
		.direct_in = status_number(status, "direct_to_device"),
		.direct_out = status_number(status, "direct_from_device"),
	};
}

/* -- a stretch of calls */

static struct counts before, spent;
static unsigned long doorbells, others, sleeps;

static void begin(void)
{
	/* A record is counted when it is taken, so all are when a later one is answered. */
	ok(cuCtxSynchronize());
	before = counts();
	/* The executor has slept meanwhile: that is not what is measured. */
	ok(cuCtxSynchronize());
	assert_true(syscalls_begin());
}

static void end(void)
{
	struct counts now;

	syscalls_end();
	/* Over the socket a doorbell is a write, and the only one. */
	doorbells = syscalls_of(SYS_write);
	/* An answer that takes longer than the spinning is slept for. */
	sleeps = syscalls_of(SYS_futex) + syscalls_of(SYS_poll);
	others = syscalls_all() - doorbells - sleeps;
	ok(cuCtxSynchronize());
	now = counts();
	spent = (struct counts){
		.records = now.records - before.records - 2,
		.in = now.in - before.in, .out = now.out - before.out,
		.direct_in = now.direct_in - before.direct_in,
		.direct_out = now.direct_out - before.direct_out,
	};
}

enum kind {
	POSTED,		/* never rings a doorbell */
	LENDING,	/* the executor lends its thread for a moment: rings only if that comes late */
	ANSWERED,	/* whether anyone sleeps meanwhile is the device's business */
};

/* N calls, and what each costs. */
static void expect(const char *what, void (*call)(void), unsigned long records, enum kind kind)
{
	unsigned long least = ~0ul, least_sleeps = ~0ul;

	for (int round = 0; round < ROUNDS || (round < ROUNDS_MAX && kind != ANSWERED &&
					       (least || least_sleeps)); round++) {
		begin();
		for (int i = 0; i < N; i++)
			call();
		end();
		if (spent.records != records * N)
			fail_msg("%s: %d calls took %" PRIu64 " records, not %lu", what, N,
				 spent.records, records * N);
		if (others)
			fail_msg("%s: %d calls made %lu system calls that ring no bell", what, N,
				 others);
		if (kind == POSTED && doorbells)
			fail_msg("%s: %d calls rang %lu doorbells", what, N, doorbells);
		least = doorbells < least ? doorbells : least;
		least_sleeps = sleeps < least_sleeps ? sleeps : least_sleeps;
	}
	print_message("%-26s %lu records, %lu doorbells, %lu sleeps for %d calls\n", what,
		      records * N, least, least_sleeps, N);
	if (kind != ANSWERED && least)
		fail_msg("%s: %d calls rang %lu doorbells", what, N, least);
	if (kind != ANSWERED && least_sleeps)
		fail_msg("%s: %d calls slept %lu times", what, N, least_sleeps);
}

/* -- the instruments themselves */

static void get_pid(void)
{
	syscall(SYS_getppid);
}

static void instruments(void **state)
{
	static uint8_t bytes[4 << 20];

	(void)state;
	/* What is staged is not direct, and a system call is seen. */
	begin();
	get_pid();
	ok(cuMemcpyHtoD_v2(device, bytes, sizeof(bytes)));
	ok(cuMemcpyDtoH_v2(bytes, device, sizeof(bytes)));
	end();
	assert_true(syscalls_of(SYS_getppid) == 1 && others >= 1);
	assert_true(spent.records >= 2);
	assert_int_equal(spent.in, sizeof(bytes));
	assert_int_equal(spent.out, sizeof(bytes));
	assert_int_equal(spent.direct_in + spent.direct_out, 0);
}

/* -- the promises */

static void first_context(void **state)
{
	struct counts c;
	CUmodule module;
	CUdevice dev;

	(void)state;
	ok(cuInit(0));
	ok(cuDeviceGet(&dev, 0));
	ok(cuDevicePrimaryCtxRetain(&context, dev));
	ok(cuCtxSetCurrent(context));
	ok(cuCtxSynchronize());
	c = counts();
	print_message("cuInit and a first context: %" PRIu64 " records\n", c.records - 1);
	assert_in_range(c.records - 1, 1, FIRST_CONTEXT_MAX);

	ok(cuModuleLoadData(&module, ptx));
	ok(cuModuleGetFunction(&function, module, "empty"));
	ok(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	ok(cuMemAlloc_v2(&device, 4 << 20));
}

static void launch(void)
{
	void *params[] = { &device };

	ok(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, stream, params, NULL));
}

static void launches(void **state)
{
	(void)state;
	launch();
	expect("cuLaunchKernel", launch, 1, POSTED);
}

static CUevent event;

static void record(void)
{
	ok(cuEventRecord(event, stream));
}

static void wait_event(void)
{
	ok(cuStreamWaitEvent(stream, event, 0));
}

static void memset_async(void)
{
	ok(cuMemsetD8Async(device, 1, 64, stream));
}

static void write_small(void)
{
	static const uint8_t bytes[512];

	ok(cuMemcpyHtoD_v2(device, bytes, sizeof(bytes)));
}

static void read_small(void)
{
	uint8_t bytes[8];

	ok(cuMemcpyDtoH_v2(bytes, device, sizeof(bytes)));
}

static void launch_and_synchronize(void)
{
	launch();
	ok(cuStreamSynchronize(stream));
}

/* As PyTorch's item() and cpu() do: the copy has waited already. */
static void read_and_synchronize(void)
{
	uint8_t bytes[8];

	ok(cuMemcpyDtoHAsync_v2(bytes, device, sizeof(bytes), stream));
	ok(cuStreamSynchronize(stream));
	ok(cuStreamSynchronize(stream));
}

static void memory_info(void)
{
	size_t left, all;

	ok(cuMemGetInfo_v2(&left, &all));
}

static void others_posted(void **state)
{
	(void)state;
	ok(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
	record();
	expect("cuEventRecord", record, 1, POSTED);
	expect("cuStreamWaitEvent", wait_event, 1, POSTED);
	expect("cuMemsetD8Async", memset_async, 1, POSTED);
	expect("cuMemcpyHtoD, 512 B", write_small, 1, POSTED);
}

/* One record each. */
static void answered(void **state)
{
	(void)state;
	expect("cuMemcpyDtoH, 8 B", read_small, 1, ANSWERED);
	expect("launch, synchronise", launch_and_synchronize, 2, ANSWERED);
	expect("cuMemcpyDtoHAsync and it", read_and_synchronize, 1, ANSWERED);
	expect("cuMemGetInfo", memory_info, 1, ANSWERED);
}

static CUgraphExec graph;

static void launch_graph(void)
{
	ok(cuGraphLaunch(graph, stream));
}

static void graphs(void **state)
{
	CUgraph g;

	(void)state;
	ok(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
	for (int i = 0; i < 20; i++)
		launch();
	ok(cuStreamEndCapture(stream, &g));
	ok(cuGraphInstantiateWithFlags(&graph, g, 0));
	launch_graph();
	expect("cuGraphLaunch", launch_graph, 1, POSTED);
}

/* Answered in the process: what is current, and what does not change. */
static void local(void)
{
	unsigned int flags, api;
	CUcontext c, of_stream;
	char name[64];
	CUdevice dev;
	size_t bytes;
	int value;

	ok(cuCtxGetCurrent(&c));
	ok(cuCtxGetDevice(&dev));
	ok(cuCtxGetFlags(&flags));
	ok(cuCtxGetApiVersion(c, &api));
	ok(cuCtxSetCurrent(c));
	ok(cuCtxPushCurrent_v2(c));
	ok(cuCtxPopCurrent_v2(&c));
	ok(cuDeviceGet(&dev, 0));
	ok(cuDeviceGetCount(&value));
	ok(cuDeviceGetName(name, sizeof(name), dev));
	ok(cuDeviceTotalMem_v2(&bytes, dev));
	ok(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, dev));
	ok(cuDevicePrimaryCtxGetState(dev, &flags, &value));
	ok(cuDriverGetVersion(&value));
	ok(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_NUM_REGS, function));
	ok(cuPointerGetAttribute(&value, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, device));
	ok(cuStreamGetCtx(stream, &of_stream));
	ok(cuStreamGetFlags(stream, &flags));
}

static void locals(void **state)
{
	(void)state;
	local();
	expect("questions", local, 0, POSTED);
}

static void small_pinned(void)
{
	void *p;

	ok(cuMemHostAlloc(&p, 5000, 0));
	ok(cuMemFreeHost(p));
}

/* The driver is told of each, and the executor has the memory already. */
static void allocated(void **state)
{
	void *p;

	(void)state;
	ok(cuMemHostAlloc(&p, 5000, 0));
	expect("cuMemHostAlloc, cuMemFreeHost", small_pinned, 2, LENDING);
	ok(cuMemFreeHost(p));
}

/*
 * A few bytes are taken at once where the stream has been waited for and only such copies
 * have followed; behind anything else the device reads them in their turn.
 */
static void taken(void **state)
{
	const size_t large = 64 << 10, few = 64;
	uint8_t *p;

	(void)state;
	ok(cuMemHostAlloc((void **)&p, large, 0));
	begin();
	syscalls_end();
	ok(cuStreamSynchronize(stream));
	ok(cuMemcpyHtoDAsync_v2(device, p, few, stream));
	ok(cuMemcpyHtoDAsync_v2(device, p, large, stream));
	ok(cuMemcpyHtoDAsync_v2(device, p, few, stream));
	ok(cuStreamSynchronize(stream));
	end();
	assert_int_equal(spent.in, large + 2 * few);
	assert_int_equal(spent.direct_in, large);

	begin();
	syscalls_end();
	launch();
	ok(cuMemcpyHtoDAsync_v2(device, p, few, stream));
	ok(cuStreamSynchronize(stream));
	end();
	assert_int_equal(spent.direct_in, few);
	ok(cuMemFreeHost(p));
}

/* Nobody in this process can have copied it: it cannot touch the memory. */
static void pinned(void **state)
{
	const size_t bytes = 4 << 20;
	CUDA_MEMCPY2D box, back;
	uint32_t *p;

	(void)state;
	ok(cuMemHostAlloc((void **)&p, bytes, 0));
	for (size_t i = 0; i < bytes / sizeof(*p); i++)
		p[i] = i ^ 0x5a5a5a5a;

	begin();
	syscalls_end();
	mprotect(p, bytes, PROT_NONE);
	ok(cuMemcpyHtoD_v2(device, p, bytes));
	ok(cuMemcpyDtoHAsync_v2(p, device, bytes, stream));
	ok(cuStreamSynchronize(stream));
	mprotect(p, bytes, PROT_READ | PROT_WRITE);
	end();
	assert_int_equal(spent.in, bytes);
	assert_int_equal(spent.direct_in, bytes);
	assert_int_equal(spent.out, bytes);
	assert_int_equal(spent.direct_out, bytes);
	for (size_t i = 0; i < bytes / sizeof(*p); i++)
		if (p[i] != (uint32_t)(i ^ 0x5a5a5a5a))
			fail_msg("word %zu came back as %#x", i, p[i]);

	/* The same as boxes: every other 256 bytes of the host's, back to back in the device. */
	box = (CUDA_MEMCPY2D){
		.srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = p, .srcPitch = 512,
		.dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstDevice = device, .dstPitch = 256,
		.WidthInBytes = 256, .Height = bytes / 512,
	};
	back = (CUDA_MEMCPY2D){
		.srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcDevice = device, .srcPitch = 256,
		.dstMemoryType = CU_MEMORYTYPE_HOST, .dstHost = p, .dstXInBytes = 256,
		.dstPitch = 512, .WidthInBytes = 256, .Height = bytes / 512,
	};
	begin();
	syscalls_end();
	mprotect(p, bytes, PROT_NONE);
	ok(cuMemcpy2D_v2(&box));
	ok(cuMemcpy2DAsync_v2(&back, stream));
	ok(cuStreamSynchronize(stream));
	mprotect(p, bytes, PROT_READ | PROT_WRITE);
	end();
	assert_int_equal(spent.in, bytes / 2);
	assert_int_equal(spent.direct_in, bytes / 2);
	assert_int_equal(spent.out, bytes / 2);
	assert_int_equal(spent.direct_out, bytes / 2);
	for (size_t i = 0; i < bytes / sizeof(*p); i++)
		if (p[i] != (uint32_t)((i & ~(size_t)64) ^ 0x5a5a5a5a))
			fail_msg("word %zu of the boxes is %#x", i, p[i]);
	ok(cuMemFreeHost(p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_context),	/* first: it sets up */
		cmocka_unit_test(instruments),
		cmocka_unit_test(launches),
		cmocka_unit_test(others_posted),
		cmocka_unit_test(answered),
		cmocka_unit_test(graphs),
		cmocka_unit_test(locals),
		cmocka_unit_test(allocated),
		cmocka_unit_test(taken),
		cmocka_unit_test(pinned),
	};

	if (!getenv("VGPU_TEST_CONTROL")) {
		fprintf(stderr, "VGPU_TEST_CONTROL is to name the mediator's control socket\n");
		return 2;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
