// SPDX-License-Identifier: Apache-2.0
/*
 * What calls cost at the caller, in microseconds, as "name value" lines:
 *
 *   empty       cuMemGetInfo, which the executor has to answer
 *   launch      one of 1,000 pipelined empty launches, the last synchronise
 *               not counted
 *   sustained   the same with the synchronise counted
 *   sync        a launch and a synchronise
 *
 * Any libcuda will do: natively, over the socket, in a guest.
 *
 *   calls [ROUNDS [N]]            the above
 *   calls launches ROUNDS N       only launches, a synchronise after each N
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

static void launch(CUfunction function)
{
	CHECK(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL));
}

static int launches(int rounds, int n)
{
	CUfunction function;
	CUcontext ctx;
	int r, i;

	function = setup(&ctx);
	for (r = 0; r < rounds; r++) {
		for (i = 0; i < n; i++)
			launch(function);
		CHECK(cuCtxSynchronize());
	}
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 5, n = argc > 2 ? atoi(argv[2]) : 1000, i, r;
	CUfunction function;
	size_t free_bytes, total;
	CUcontext ctx;
	double t, t2;

	if (argc == 4 && !strcmp(argv[1], "launches"))
		return launches(atoi(argv[2]), atoi(argv[3]));
	t = now();
	function = setup(&ctx);
	printf("start %.1f\n", now() - t);
	/* The first of everything is slower, everywhere. */
	launch(function);
	CHECK(cuCtxSynchronize());

	for (r = 0; r < rounds; r++) {
		t = now();
		for (i = 0; i < n; i++)
			CHECK(cuMemGetInfo_v2(&free_bytes, &total));
		printf("empty %.3f\n", (now() - t) / n);

		t = now();
		for (i = 0; i < n; i++)
			launch(function);
		t2 = now();
		CHECK(cuCtxSynchronize());
		printf("launch %.3f\n", (t2 - t) / n);
		printf("sustained %.3f\n", (now() - t) / n);

		t = now();
		for (i = 0; i < n / 10; i++) {
			launch(function);
			CHECK(cuCtxSynchronize());
		}
		printf("sync %.3f\n", (now() - t) / (n / 10));
		fflush(stdout);
	}
	return EXIT_SUCCESS;
}
