// SPDX-License-Identifier: Apache-2.0
/*
 * What calls cost at the caller, in microseconds, as "name value" lines:
 *
 *   empty       cuMemGetInfo, which the executor has to answer
 *   launch      one of 1,000 pipelined empty launches, the last synchronise
 *               not counted
 *   sustained   the same with the synchronise counted
 *   sync        a launch and a synchronise
 *   event       an event recorded, of as many pipelined
 *   copy_in     8 bytes of pageable memory into the device
 *   copy_out    and out of it
 *   query       a stream asked whether it has done its work, when it has
 *   alloc       1 MiB allocated and freed while other 1 MiB are held
 *   live        16 bytes allocated and freed while 20,000 other allocations are held
 *   pooled      1 MiB allocated and freed in a stream
 *
 * With each go NAME_switches, the calling thread's context switches, and, where the
 * kernel can count them, NAME_syscalls, its system calls; both for one operation.  The
 * latter are counted in a loop of its own, which is not timed.
 *
 * Any libcuda will do: natively, over the socket, in a guest.
 *
 *   calls [ROUNDS [N]]            the above
 *   calls launches ROUNDS N       only launches, a synchronise after each N
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "../counts/syscalls.h"
#include "cuda_abi.h"

static const char ptx[] = ".version 6.0\n.target sm_50\n.address_size 64\n"
			  ".visible .entry empty()\n{\n\tret;\n}\n";

#define CHECK(call)                                                                  \
	do {                                                                         \
		CUresult r_ = (call);                                                \
		if (r_) {                                                            \
			fprintf(stderr, "%s: error %d\n", #call, r_);                \
			exit(EXIT_FAILURE);                                          \
		}                                                                    \
	} while (0)

#define SETTLE_US 1e6

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e6 + ts.tv_nsec / 1e3;
}

static CUfunction setup(CUcontext *ctx)
{
	CUfunction function;
	CUmodule module;
	CUdevice device;

	CHECK(cuInit(0));
	CHECK(cuDeviceGet(&device, 0));
	CHECK(cuDevicePrimaryCtxRetain(ctx, device));
	CHECK(cuCtxSetCurrent(*ctx));
	CHECK(cuModuleLoadData(&module, ptx));
	CHECK(cuModuleGetFunction(&function, module, "empty"));
	return function;
}

static void launch(CUfunction f)
{
	CHECK(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL));
}

static int launches(int rounds, int n)
{
	CUcontext ctx;
	CUfunction f = setup(&ctx);

	for (int r = 0; r < rounds; r++) {
		for (int i = 0; i < n; i++)
			launch(f);
		CHECK(cuCtxSynchronize());
	}
	return EXIT_SUCCESS;
}

static CUfunction function;
static CUdeviceptr memory;
static CUevent event;

static void op_empty(void)
{
	size_t left, total;

	CHECK(cuMemGetInfo_v2(&left, &total));
}

static void op_launch(void)
{
	launch(function);
}

static void op_sync(void)
{
	launch(function);
	CHECK(cuCtxSynchronize());
}

static void op_event(void)
{
	CHECK(cuEventRecord(event, NULL));
}

static void op_copy_in(void)
{
	static const uint64_t word = 42;

	CHECK(cuMemcpyHtoD_v2(memory, &word, sizeof(word)));
}

static void op_copy_out(void)
{
	static uint64_t word;

	CHECK(cuMemcpyDtoH_v2(&word, memory, sizeof(word)));
}

static void op_query(void)
{
	CHECK(cuStreamQuery(NULL));
}

static void alloc(size_t bytes)
{
	CUdeviceptr p;

	CHECK(cuMemAlloc_v2(&p, bytes));
	CHECK(cuMemFree_v2(p));
}

static void op_alloc(void)
{
	alloc(1 << 20);
}

static void op_live(void)
{
	alloc(16);
}

static void op_pooled(void)
{
	CUdeviceptr p;

	CHECK(cuMemAllocAsync(&p, 1 << 20, NULL));
	CHECK(cuMemFreeAsync(p, NULL));
}

static long switches(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw + usage.ru_nivcsw;
}

/* n times; `with`: what it costs with the synchronise after the last, or NULL. */
static void measure(const char *name, void (*op)(void), int n, const char *with)
{
	long before = switches();
	double t = now(), end;
	unsigned long own;

	for (int i = 0; i < n; i++)
		op();
	end = now();
	printf("%s %.3f\n%s_switches %.4f\n", name, (end - t) / n, name,
	       (double)(switches() - before) / n);
	CHECK(cuCtxSynchronize());
	if (with)
		printf("%s %.3f\n%s_switches %.4f\n", with, (now() - t) / n, with,
		       (double)(switches() - before) / n);

	if (!syscalls_begin())
		return;
	for (int i = 0; i < n; i++)
		op();
	own = syscalls_all();
	CHECK(cuCtxSynchronize());
	syscalls_end();
	printf("%s_syscalls %.4f\n", name, (double)own / n);
	if (with)
		printf("%s_syscalls %.4f\n", with, (double)syscalls_all() / n);
}

/*
 * A program's start is not what is measured here: through vgpu the next program's
 * executor starts meanwhile, and its driver takes turns with ours in the kernel's.
 */
static void settle(void)
{
	double end = now() + SETTLE_US;

	while (now() < end)
		op_sync();
}

/* Memory, with other memory held. */
static void measure_memory(int n)
{
	enum { LIVE = 20000 };
	static CUdeviceptr live[LIVE];
	CUdeviceptr held;

	CHECK(cuMemAlloc_v2(&held, 1 << 20));
	measure("alloc", op_alloc, n, NULL);
	measure("pooled", op_pooled, n, NULL);
	for (int i = 0; i < LIVE; i++)
		CHECK(cuMemAlloc_v2(&live[i], 16));
	measure("live", op_live, n, NULL);
	for (int i = 0; i < LIVE; i++)
		CHECK(cuMemFree_v2(live[i]));
	CHECK(cuMemFree_v2(held));
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 5, n = argc > 2 ? atoi(argv[2]) : 1000;
	CUcontext ctx;
	double t;

	if (argc == 4 && !strcmp(argv[1], "launches"))
		return launches(atoi(argv[2]), atoi(argv[3]));
	t = now();
	function = setup(&ctx);
	printf("start %.1f\n", now() - t);
	/* The first of everything is slower, everywhere. */
	CHECK(cuMemAlloc_v2(&memory, 4096));
	CHECK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
	op_sync();
	op_event();
	op_copy_in();
	op_copy_out();
	settle();

	for (int r = 0; r < rounds; r++) {
		measure("empty", op_empty, n, NULL);
		measure("launch", op_launch, n, "sustained");
		measure("sync", op_sync, (n + 9) / 10, NULL);
		measure("event", op_event, n, NULL);
		measure("copy_in", op_copy_in, n, NULL);
		measure("copy_out", op_copy_out, (n + 9) / 10, NULL);
		measure("query", op_query, n, NULL);
		measure_memory((n + 9) / 10);
		fflush(stdout);
	}
	return EXIT_SUCCESS;
}
