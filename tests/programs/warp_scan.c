// SPDX-License-Identifier: Apache-2.0
/* Prefix sums of blocks by warp shuffles. Argument: number of elements. */
#include "prog.h"

const char *prog_name = "warp_scan";
PROG_KERNELS("scan");

int main(int argc, char **argv)
{
	int n = prog_size(argc, argv, 100000, 1), blocks = (n + 255) / 256, sum = 0;
	int *in, *out, *totals;
	uint32_t seed = 11;
	CUdeviceptr din, dout, dtotals;
	CUfunction f;
	void *args[] = { &din, &dout, &dtotals, &n };

	prog_context();
	f = prog_function(prog_ptx, "scan");
	in = prog_host(n * sizeof(int));
	out = prog_host(n * sizeof(int));
	totals = prog_host(blocks * sizeof(int));
	for (int i = 0; i < n; i++)
		in[i] = (int)(prog_random(&seed) % 2001) - 1000;
	din = prog_alloc(n * sizeof(int));
	dout = prog_alloc(n * sizeof(int));
	dtotals = prog_alloc(blocks * sizeof(int));
	CHECK(cuMemcpyHtoD_v2(din, in, n * sizeof(int)));
	CHECK(cuMemsetD8_v2(dout, 0xee, n * sizeof(int)));
	CHECK(cuLaunchKernel(f, blocks, 1, 1, 256, 1, 1, 0, NULL, args, NULL));
	CHECK(cuMemcpyDtoH_v2(out, dout, n * sizeof(int)));
	CHECK(cuMemcpyDtoH_v2(totals, dtotals, blocks * sizeof(int)));
	for (int i = 0; i < n; i++) {
		sum = (i % 256 ? sum : 0) + in[i];
		if (out[i] != sum)
			prog_fail("element %d is %d, not %d", i, out[i], sum);
		if ((i % 256 == 255 || i == n - 1) && totals[i / 256] != sum)
			prog_fail("the total of block %d is %d, not %d", i / 256, totals[i / 256],
				  sum);
	}
	prog_done();
	return prog_pass("%d elements", n);
}
