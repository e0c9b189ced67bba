// SPDX-License-Identifier: Apache-2.0
/* A sum and a histogram: shared and global atomics. Argument: number of elements. */
#include "prog.h"

const char *prog_name = "reduce_atomic";
PROG_KERNELS("reduce");

int main(int argc, char **argv)
{
	int n = prog_size(argc, argv, 1 << 18, 1), blocks = 24;
	uint32_t *in, sum, hist[16], want_sum = 0, want_hist[16] = { 0 }, seed = 3;
	float fsum;
	CUdeviceptr din, dsum, dhist, dfsum;
	CUfunction f;
	void *args[] = { &din, &dsum, &dhist, &dfsum, &n };

	prog_context();
	f = prog_function(prog_ptx, "reduce");
	in = prog_host(n * sizeof(*in));
	for (int i = 0; i < n; i++) {
		in[i] = prog_random(&seed);
		want_sum += in[i];
		want_hist[in[i] & 15]++;
	}
	din = prog_alloc(n * sizeof(*in));
	dsum = prog_alloc(sizeof(sum));
	dhist = prog_alloc(sizeof(hist));
	dfsum = prog_alloc(sizeof(fsum));
	CHECK(cuMemcpyHtoD_v2(din, in, n * sizeof(*in)));
	CHECK(cuMemsetD32_v2(dsum, 0, 1));
	CHECK(cuMemsetD32_v2(dhist, 0, 16));
	CHECK(cuMemsetD32_v2(dfsum, 0, 1));
	CHECK(cuLaunchKernel(f, blocks, 1, 1, 256, 1, 1, 0, NULL, args, NULL));
	CHECK(cuMemcpyDtoH_v2(&sum, dsum, sizeof(sum)));
	CHECK(cuMemcpyDtoH_v2(hist, dhist, sizeof(hist)));
	CHECK(cuMemcpyDtoH_v2(&fsum, dfsum, sizeof(fsum)));
	if (sum != want_sum)
		prog_fail("the sum is %u, not %u", sum, want_sum);
	for (int i = 0; i < 16; i++)
		if (hist[i] != want_hist[i])
			prog_fail("bin %d is %u, not %u", i, hist[i], want_hist[i]);
	if (fsum != blocks)
		prog_fail("%g blocks were counted, not %d", fsum, blocks);
	prog_done();
	return prog_pass("%d elements, %d blocks", n, blocks);
}
