// SPDX-License-Identifier: Apache-2.0
/*
 * How long a short copy into the device and what follows it take until both are waited
 * for, as "name value" lines in microseconds:
 *
 *   copied_launch	96 KiB of page-locked memory, then a kernel that does nothing
 *   copied_graph	then a graph of 20 such kernels
 *   copied_write	then 64 bytes of page-locked memory
 *   copied_read	then 4 bytes back into page-locked memory
 *
 * The device's engines wait for each other, and how long depends on when the second one
 * is told: with "delays", each line has a column for each half of a microsecond between
 * the calls, from none to 10. Any libcuda will do.
 *
 *   followers [ROUNDS [delays]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cuda_abi.h"

#define CHECK(call)                                                                  \
	do {                                                                         \
		CUresult r_ = (call);                                                \
		if (r_) {                                                            \
			fprintf(stderr, "%s: error %d\n", #call, r_);                \
			exit(EXIT_FAILURE);                                          \
		}                                                                    \
	} while (0)

#define INPUT_BYTES	(96u << 10)
#define LABEL_BYTES	64u
#define RESULT_BYTES	4u
#define NODES		20
#define DELAYS		21		/* half microseconds, and one for none */

static const char ptx[] =
	".version 6.0\n.target sm_50\n.address_size 64\n.visible .entry nothing() { ret; }\n";

static CUfunction nothing;
static CUgraphExec graph;
static CUdeviceptr device;
static uint8_t *input, *label, *result;
static CUstream stream;

static void launch(void)
{
	CHECK(cuLaunchKernel(nothing, 1, 1, 1, 32, 1, 1, 0, stream, NULL, NULL));
}

static void launch_graph(void)
{
	CHECK(cuGraphLaunch(graph, stream));
}

static void write_more(void)
{
	CHECK(cuMemcpyHtoDAsync_v2(device + INPUT_BYTES, label, LABEL_BYTES, stream));
}

static void read_back(void)
{
	CHECK(cuMemcpyDtoHAsync_v2(result, device, RESULT_BYTES, stream));
}

static const struct {
	const char *name;
	void (*call)(void);
} followers[] = {
	{ "copied_launch", launch },
	{ "copied_graph", launch_graph },
	{ "copied_write", write_more },
	{ "copied_read", read_back },
};
#define FOLLOWERS (sizeof(followers) / sizeof(followers[0]))

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e6 + ts.tv_nsec / 1e3;
}

static double once_us(void (*call)(void), double delay)
{
	double began = now_us(), end;

	CHECK(cuMemcpyHtoDAsync_v2(device, input, INPUT_BYTES, stream));
	end = now_us() + delay;
	while (delay > 0 && now_us() < end)
		;
	call();
	CHECK(cuStreamSynchronize(stream));
	return now_us() - began;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median_us(void (*call)(void), double delay, int rounds)
{
	double *us = calloc(rounds, sizeof(*us)), median;

	if (!us)
		exit(EXIT_FAILURE);
	once_us(call, delay);
	for (int i = 0; i < rounds; i++)
		us[i] = once_us(call, delay);
	qsort(us, rounds, sizeof(*us), ascending);
	median = us[rounds / 2];
	free(us);
	return median;
}

static void prepare(void)
{
	CUmodule module;
	CUgraph captured;

	CHECK(cuMemAlloc_v2(&device, INPUT_BYTES + LABEL_BYTES));
	CHECK(cuMemHostAlloc((void **)&input, INPUT_BYTES, 0));
	CHECK(cuMemHostAlloc((void **)&label, LABEL_BYTES, 0));
	CHECK(cuMemHostAlloc((void **)&result, RESULT_BYTES, 0));
	CHECK(cuModuleLoadData(&module, ptx));
	CHECK(cuModuleGetFunction(&nothing, module, "nothing"));
	CHECK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	CHECK(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	for (int i = 0; i < NODES; i++)
		launch();
	CHECK(cuStreamEndCapture(stream, &captured));
	CHECK(cuGraphInstantiateWithFlags(&graph, captured, 0));
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 1000;
	int delays = argc > 2 && !strcmp(argv[2], "delays") ? DELAYS : 1;
	CUdevice dev;
	CUcontext ctx;

	if (rounds < 1) {
		fprintf(stderr, "usage: followers [ROUNDS [delays]]\n");
		return EXIT_FAILURE;
	}
	CHECK(cuInit(0));
	CHECK(cuDeviceGet(&dev, 0));
	CHECK(cuDevicePrimaryCtxRetain(&ctx, dev));
	CHECK(cuCtxSetCurrent(ctx));
	prepare();
	for (size_t i = 0; i < FOLLOWERS; i++) {
		printf("%s", followers[i].name);
		for (int d = 0; d < delays; d++)
			printf(" %.2f", median_us(followers[i].call, d / 2.0, rounds));
		printf("\n");
	}
	CHECK(cuDevicePrimaryCtxRelease_v2(dev));
	return EXIT_SUCCESS;
}
