// SPDX-License-Identifier: Apache-2.0
/*
 * Launches and copies until it is killed, checking each result. Prints "running" once the first
 * round was right. Argument: seconds after which it ends by itself, 0 meaning never.
 */
#include "prog.h"

const char *prog_name = "spin";
PROG_KERNELS("vectoradd");

int main(int argc, char **argv)
{
	double limit = prog_size(argc, argv, 0, 0), t0 = prog_seconds();
	int n = 8192;
	size_t bytes = n * sizeof(float);
	float *a, *b, *c;
	CUdeviceptr da, db, dc;
	CUfunction f;
	long rounds = 0;
	void *args[] = { &da, &db, &dc, &n };

	prog_context();
	f = prog_function(prog_ptx, "vectoradd");
	a = prog_host(bytes);
	b = prog_host(bytes);
	c = prog_host(bytes);
	da = prog_alloc(bytes);
	db = prog_alloc(bytes);
	dc = prog_alloc(bytes);
	do {
		for (int i = 0; i < n; i++) {
			a[i] = i;
			b[i] = rounds % 1000;
		}
		CHECK(cuMemcpyHtoD_v2(da, a, bytes));
		CHECK(cuMemcpyHtoD_v2(db, b, bytes));
		for (int k = 0; k < 8; k++)
			CHECK(cuLaunchKernel(f, n / 256, 1, 1, 256, 1, 1, 0, NULL, args, NULL));
		CHECK(cuMemcpyDtoH_v2(c, dc, bytes));
		for (int i = 0; i < n; i++)
			if (c[i] != a[i] + b[i])
				prog_fail("round %ld, element %d is %g, not %g", rounds, i, c[i],
					  a[i] + b[i]);
		if (!rounds++) {
			printf("running\n");
			fflush(stdout);
		}
	} while (!limit || prog_seconds() - t0 < limit);
	prog_done();
	return prog_pass("%ld rounds", rounds);
}
