// SPDX-License-Identifier: Apache-2.0
/* A tiled matrix product with shared memory and barriers. Argument: order, a multiple of 16. */
#include <math.h>

#include "prog.h"

const char *prog_name = "matmul_tiled";
PROG_KERNELS("matmul");

int main(int argc, char **argv)
{
	int n = prog_size(argc, argv, 128, 16);
	size_t bytes = (size_t)n * n * sizeof(float);
	float *a, *b, *c;
	CUdeviceptr da, db, dc;
	CUfunction f;
	uint32_t seed = 7;
	void *args[] = { &da, &db, &dc, &n };

	if (n % 16)
		prog_fail("the order must be a multiple of 16");
	prog_context();
	f = prog_function(prog_ptx, "matmul");
	a = prog_host(bytes);
	b = prog_host(bytes);
	c = prog_host(bytes);
	/* small whole numbers: the sums are exact in any order */
	for (int i = 0; i < n * n; i++) {
		a[i] = (int)(prog_random(&seed) % 17) - 8;
		b[i] = (int)(prog_random(&seed) % 17) - 8;
	}
	da = prog_alloc(bytes);
	db = prog_alloc(bytes);
	dc = prog_alloc(bytes);
	CHECK(cuMemcpyHtoD_v2(da, a, bytes));
	CHECK(cuMemcpyHtoD_v2(db, b, bytes));
	CHECK(cuLaunchKernel(f, n / 16, n / 16, 1, 16, 16, 1, 0, NULL, args, NULL));
	CHECK(cuMemcpyDtoH_v2(c, dc, bytes));
	for (int i = 0; i < n; i++) {
		for (int j = 0; j < n; j++) {
			float want = 0;

			for (int k = 0; k < n; k++)
				want += a[i * n + k] * b[k * n + j];
			if (c[i * n + j] != want)
				prog_fail("element %d,%d is %g, not %g", i, j, c[i * n + j], want);
		}
	}
	CHECK(cuMemFree_v2(da));
	CHECK(cuMemFree_v2(db));
	CHECK(cuMemFree_v2(dc));
	prog_done();
	return prog_pass("%d x %d", n, n);
}
