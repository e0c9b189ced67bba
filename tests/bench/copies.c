// SPDX-License-Identifier: Apache-2.0
/*
 * What copies and allocations cost, as "name value" lines: GB/s for large
 * copies, microseconds for small ones and for an allocation with its free.
 * What was copied is compared.  Any libcuda will do.
 *
 *   copies [ROUNDS [MIB]]
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

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void compare(const char *what, const uint8_t *from, const uint8_t *to, size_t bytes)
{
	if (memcmp(from, to, bytes)) {
		fprintf(stderr, "%s: what came back is not what was sent\n", what);
		exit(EXIT_FAILURE);
	}
}

static void in(const char *what, CUdeviceptr device, const uint8_t *from, size_t bytes)
{
	double t = now();

	CHECK(cuMemcpyHtoD_v2(device, from, bytes));
	printf("%s_in %.3f\n", what, bytes / (now() - t) / 1e9);
}

static void out(const char *what, CUdeviceptr device, uint8_t *to, size_t bytes)
{
	double t = now();

	CHECK(cuMemcpyDtoH_v2(to, device, bytes));
	printf("%s_out %.3f\n", what, bytes / (now() - t) / 1e9);
}

static void pageable(const char *what, CUdeviceptr device, uint8_t *from, uint8_t *to, size_t bytes)
{
	in(what, device, from, bytes);
	out(what, device, to, bytes);
	compare(what, from, to, bytes);
}

/* Several in a row each way, the first of them after the CPU has been busy for long. */
static void pinned(CUdeviceptr device, uint8_t *from, uint8_t *to, size_t bytes)
{
	memset(to, 0, bytes);
	in("paused", device, from, bytes);
	for (int i = 0; i < 3; i++)
		in("pinned", device, from, bytes);
	memset(to, 0xff, bytes);
	out("paused", device, to, bytes);
	for (int i = 0; i < 3; i++)
		out("pinned", device, to, bytes);
	compare("pinned", from, to, bytes);
}

/*
 * One after the other.  A copy in of so little may be on its way still when the call returns,
 * so the device is waited for: it is neither left out nor counted to what comes next.
 */
static void small(CUdeviceptr device, uint8_t *host, size_t bytes)
{
	const int n = 500;
	double t = now();

	for (int i = 0; i < n; i++)
		CHECK(cuMemcpyHtoD_v2(device, host, bytes));
	CHECK(cuCtxSynchronize());
	printf("in_%zu %.3f\n", bytes, (now() - t) / n * 1e6);
	t = now();
	for (int i = 0; i < n; i++)
		CHECK(cuMemcpyDtoH_v2(host, device, bytes));
	printf("out_%zu %.3f\n", bytes, (now() - t) / n * 1e6);
}

static void allocations(void)
{
	const int n = 200;
	double t = now();

	for (int i = 0; i < n; i++) {
		CUdeviceptr p;

		CHECK(cuMemAlloc_v2(&p, 1 << 20));
		CHECK(cuMemFree_v2(p));
	}
	printf("alloc_free %.3f\n", (now() - t) / n * 1e6);
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 3;
	size_t bytes = (size_t)(argc > 2 ? atoi(argv[2]) : 256) << 20;
	uint8_t *from, *to, *locked[2];
	CUdeviceptr memory;
	CUdevice device;
	CUcontext ctx;
	double t = now();

	CHECK(cuInit(0));
	CHECK(cuDeviceGet(&device, 0));
	CHECK(cuDevicePrimaryCtxRetain(&ctx, device));
	CHECK(cuCtxSetCurrent(ctx));
	CHECK(cuMemAlloc_v2(&memory, bytes));
	printf("first_context %.3f\n", (now() - t) * 1e6);
	from = malloc(bytes);
	/* Its pages are made when the first copy comes out. */
	to = calloc(1, bytes);
	if (!from || !to)
		return EXIT_FAILURE;
	for (size_t i = 0; i < bytes; i += sizeof(uint64_t))
		*(uint64_t *)(from + i) = i * 0x9e3779b97f4a7c15ull;
	pageable("first_pageable", memory, from, to, bytes);
	CHECK(cuMemHostAlloc((void **)&locked[0], bytes, 0));
	CHECK(cuMemHostAlloc((void **)&locked[1], bytes, 0));
	memcpy(locked[0], from, bytes);

	for (int r = 0; r < rounds; r++) {
		memset(to, 0, bytes);
		pageable("pageable", memory, from, to, bytes);
		pinned(memory, locked[0], locked[1], bytes);
		small(memory, from, 8);
		small(memory, from, 4096);
		small(memory, from, 16384);
		small(memory, from, 65536);
		allocations();
	}
	CHECK(cuDevicePrimaryCtxRelease_v2(device));
	return EXIT_SUCCESS;
}
