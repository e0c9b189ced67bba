// SPDX-License-Identifier: Apache-2.0
/*
 * A program that wants the GPU for as long as it is let, and says how far it comes.
 *
 *   share HOW ITERATIONS BLOCKS SECONDS
 *
 * Each kernel has so many blocks of 128 threads, each of which counts so far. HOW is how they are
 * launched: "stream" (one after the other, as fast as they are taken), "graph" (ten a launch),
 * "sync" (wait for each), "mixed" (one in ten is a hundred times as long), "pause" (wait for each,
 * then sleep 2 ms), or "copies" (beside 8 MiB to the device and back).
 *
 * Every 10 ms a line says, in milliseconds of CLOCK_MONOTONIC and in kernels, how far it is; with
 * "sync" and "pause" the last lines have the median and the 99th percentile of launch and wait, us.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cuda_abi.h"

#define CHECK(call) check(call, #call)
#define NODES	10
#define LONG	100
#define BYTES	(8u << 20)
#define SAMPLES	2000000

/* Block 0 tells the host its number when it ends. */
static const char ptx[] =
	".version 6.0\n.target sm_50\n.address_size 64\n"
	".visible .entry count(.param .u64 done, .param .u32 ticket, .param .u32 times,\n"
	"	.param .u64 sink)\n{\n"
	".reg .b64 %d<4>;\n.reg .b32 %r<8>;\n.reg .pred %p<4>;\n"
	"ld.param.u32 %r1, [times];\n"
	"mov.u32 %r2, %tid.x;\n"
	"LOOP:\n"
	"mad.lo.u32 %r2, %r2, 1664525, 1013904223;\n"
	"sub.u32 %r1, %r1, 1;\n"
	"setp.ne.u32 %p1, %r1, 0;\n"
	"@%p1 bra LOOP;\n"
	"setp.eq.u32 %p2, %r2, 77777;\n"
	"ld.param.u64 %d1, [sink];\n"
	"@%p2 st.global.u32 [%d1], %r2;\n"
	"mov.u32 %r3, %ctaid.x;\nmov.u32 %r4, %tid.x;\nor.b32 %r3, %r3, %r4;\n"
	"setp.ne.u32 %p3, %r3, 0;\n"
	"@%p3 bra END;\n"
	"ld.param.u64 %d2, [done];\nld.param.u32 %r5, [ticket];\n"
	"setp.eq.u32 %p2, %r5, 0;\n"
	"@%p2 atom.global.add.u32 %r5, [%d2], 1;\n"
	"@%p2 bra END;\n"
	"st.volatile.global.u32 [%d2], %r5;\n"
	"END:\nret;\n}\n";

static volatile uint32_t *done;		/* page-locked: the number of the last kernel */
static uint32_t *counter;
static _Atomic bool ended;
static float *took;
static unsigned int taken;

static void check(CUresult r, const char *what)
{
	if (!r)
		return;
	fprintf(stderr, "share: %s: %d\n", what, r);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void *sample(void *arg)
{
	const struct timespec nap = { .tv_nsec = 10000000 };

	(void)arg;
	while (!ended) {
		printf("%.3f %u\n", now(), *done);
		nanosleep(&nap, NULL);
	}
	return NULL;
}

static int ascending(const void *a, const void *b)
{
	float d = *(const float *)a - *(const float *)b;

	return d < 0 ? -1 : d > 0;
}

int main(int argc, char **argv)
{
	const char *how = argc == 5 ? argv[1] : "";
	unsigned int times = argc == 5 ? atoi(argv[2]) : 0, blocks = argc == 5 ? atoi(argv[3]) : 0;
	double seconds = argc == 5 ? atof(argv[4]) : 0, end;
	bool waits = !strcmp(how, "sync") || !strcmp(how, "pause");
	CUdeviceptr at, sink, buffer;
	uint32_t ticket = 0, much;
	CUgraphExec exec = NULL;
	pthread_t sampler;
	CUcontext ctx;
	CUmodule m;
	CUfunction f;
	CUstream s;
	void *host, *args[] = { &at, &ticket, &times, &sink };

	if (!times || !blocks || seconds <= 0) {
		fprintf(stderr, "usage: share stream|graph|sync|mixed|pause|copies ITERATIONS BLOCKS SECONDS\n");
		return 2;
	}
	CHECK(cuInit(0));
	CHECK(cuDevicePrimaryCtxRetain(&ctx, 0));
	CHECK(cuCtxSetCurrent(ctx));
	CHECK(cuMemHostAlloc((void **)&counter, 4096, CU_MEMHOSTALLOC_DEVICEMAP));
	CHECK(cuMemHostAlloc(&host, BYTES, 0));
	*counter = 0;
	done = counter;
	CHECK(cuMemHostGetDevicePointer_v2(&at, counter, 0));
	CHECK(cuMemAlloc_v2(&sink, 4096));
	CHECK(cuMemAlloc_v2(&buffer, BYTES));
	CHECK(cuModuleLoadData(&m, ptx));
	CHECK(cuModuleGetFunction(&f, m, "count"));
	CHECK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	if (!strcmp(how, "graph")) {
		CUgraph g;

		CHECK(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
		for (int i = 0; i < NODES; i++)
			CHECK(cuLaunchKernel(f, blocks, 1, 1, 128, 1, 1, 0, s, args, NULL));
		CHECK(cuStreamEndCapture(s, &g));
		CHECK(cuGraphInstantiateWithFlags(&exec, g, 0));
	}
	took = malloc(SAMPLES * sizeof(*took));
	if (pthread_create(&sampler, NULL, sample, NULL))
		return 1;
	much = times;
	for (end = now() + seconds * 1e3; now() < end;) {
		double began = now();

		ticket++;
		times = !strcmp(how, "mixed") && ticket % 10 == 0 ? much * LONG : much;
		if (exec)
			CHECK(cuGraphLaunch(exec, s));
		else
			CHECK(cuLaunchKernel(f, blocks, 1, 1, 128, 1, 1, 0, s, args, NULL));
		if (!strcmp(how, "copies")) {
			CHECK(cuMemcpyHtoDAsync_v2(buffer, host, BYTES, s));
			CHECK(cuMemcpyDtoHAsync_v2(host, buffer, BYTES, s));
		}
		/* It does not run ahead by more than programs do. */
		while (!waits && ticket * (exec ? NODES : 1) - *done > 2000 && now() < end)
			nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
		if (!waits)
			continue;
		CHECK(cuStreamSynchronize(s));
		if (taken < SAMPLES)
			took[taken++] = (now() - began) * 1e3;
		if (!strcmp(how, "pause"))
			nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
	}
	ended = true;
	pthread_join(sampler, NULL);
	if (waits && taken) {
		qsort(took, taken, sizeof(*took), ascending);
		printf("median %.1f\np99 %.1f\n", took[taken / 2], took[taken * 99ull / 100]);
	}
	fflush(stdout);
	_exit(0);	/* What is queued is of no use any more. */
}
