// SPDX-License-Identifier: Apache-2.0
/*
 * Two streams, each with its own buffers and copies. In every round the second stage of a stream
 * needs the first stage of the other, which an event says; the default stream is not involved.
 * Argument: number of elements.
 */
#include "prog.h"

#define ROUNDS 4

const char *prog_name = "stream_pipeline";
PROG_KERNELS("pipeline");

int main(int argc, char **argv)
{
	int n = prog_size(argc, argv, 1 << 16, 1);
	size_t bytes = n * sizeof(int);
	CUstream s[2];
	CUevent first[2], second[2], begin, end;
	CUdeviceptr d[2], copy[2];
	int *h[2], *want[2];
	CUmodule module;
	CUfunction stage1, stage2;
	uint32_t seed = 5;
	float ms = -1, none;
	double t0;

	prog_context();
	CHECK(cuModuleLoadData(&module, prog_ptx));
	CHECK(cuModuleGetFunction(&stage1, module, "stage1"));
	CHECK(cuModuleGetFunction(&stage2, module, "stage2"));
	for (int k = 0; k < 2; k++) {
		CHECK(cuStreamCreate(&s[k], CU_STREAM_NON_BLOCKING));
		CHECK(cuEventCreate(&first[k], CU_EVENT_DISABLE_TIMING));
		CHECK(cuEventCreate(&second[k], CU_EVENT_DISABLE_TIMING));
		CHECK(cuMemAllocHost_v2((void **)&h[k], bytes));
		want[k] = prog_host(bytes);
		d[k] = prog_alloc(bytes);
		copy[k] = prog_alloc(bytes);
		for (int i = 0; i < n; i++)
			want[k][i] = h[k][i] = prog_random(&seed) % 1000;
	}
	CHECK(cuEventCreate(&begin, CU_EVENT_DEFAULT));
	CHECK(cuEventCreate(&end, CU_EVENT_DEFAULT));
	t0 = prog_seconds();
	CHECK(cuEventRecord(begin, s[0]));
	for (int k = 0; k < 2; k++)
		CHECK(cuMemcpyHtoDAsync_v2(d[k], h[k], bytes, s[k]));
	for (int r = 0; r < ROUNDS; r++) {
		for (int k = 0; k < 2; k++) {
			void *args[] = { &d[k], &n };

			/* the other stream has read the copy of the round before */
			if (r)
				CHECK(cuStreamWaitEvent(s[k], second[1 - k], 0));
			CHECK(cuLaunchKernel(stage1, (n + 127) / 128, 1, 1, 128, 1, 1, 0, s[k],
					     args, NULL));
			CHECK(cuMemcpyDtoDAsync_v2(copy[k], d[k], bytes, s[k]));
			CHECK(cuEventRecord(first[k], s[k]));
		}
		for (int k = 0; k < 2; k++) {
			void *args[] = { &d[k], &copy[1 - k], &n };

			CHECK(cuStreamWaitEvent(s[k], first[1 - k], 0));
			CHECK(cuLaunchKernel(stage2, (n + 127) / 128, 1, 1, 128, 1, 1, 0, s[k],
					     args, NULL));
			CHECK(cuEventRecord(second[k], s[k]));
		}
	}
	for (int k = 0; k < 2; k++)
		CHECK(cuMemcpyDtoHAsync_v2(h[k], d[k], bytes, s[k]));
	CHECK(cuEventRecord(second[1], s[1]));
	CHECK(cuStreamWaitEvent(s[0], second[1], 0));
	CHECK(cuEventRecord(end, s[0]));
	CHECK(cuEventSynchronize(end));
	t0 = prog_seconds() - t0;
	CHECK(cuEventElapsedTime_v2(&ms, begin, end));
	if (!(ms > 0) || ms > t0 * 1e3 + 1)
		prog_fail("the events lie %g ms apart, the clock says %g ms", ms, t0 * 1e3);
	if (cuEventElapsedTime_v2(&none, first[0], end) != CUDA_ERROR_INVALID_HANDLE)
		prog_fail("an event without timing gave a time");
	for (int k = 0; k < 2; k++) {
		CHECK(cuEventQuery(first[k]));
		CHECK(cuStreamQuery(s[k]));
	}

	for (int r = 0; r < ROUNDS; r++) {
		for (int i = 0; i < n; i++) {
			unsigned int x = 3u * want[0][i] + 1, y = 3u * want[1][i] + 1;

			want[0][i] = want[1][i] = x + y;
		}
	}
	for (int k = 0; k < 2; k++)
		for (int i = 0; i < n; i++)
			if (h[k][i] != want[k][i])
				prog_fail("stream %d, element %d is %d, not %d", k, i, h[k][i],
					  want[k][i]);
	for (int k = 0; k < 2; k++) {
		CHECK(cuStreamDestroy_v2(s[k]));
		CHECK(cuEventDestroy_v2(first[k]));
		CHECK(cuEventDestroy_v2(second[k]));
		CHECK(cuMemFreeHost(h[k]));
	}
	prog_done();
	return prog_pass("%d elements, %d rounds, %.2f ms by events", n, ROUNDS, ms);
}
