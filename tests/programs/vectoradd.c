// SPDX-License-Identifier: Apache-2.0
/* c = a + b, checked element by element. Argument: number of elements. */
#include "prog.h"

const char *prog_name = "vectoradd";
PROG_KERNELS("vectoradd");

int main(int argc, char **argv)
{
	int n = prog_size(argc, argv, 1 << 20, 1);
	size_t bytes = n * sizeof(float);
	float *a, *b, *c;
	CUdeviceptr da, db, dc;
	CUfunction f;
	uint32_t seed = 1;
	void *args[] = { &da, &db, &dc, &n };

	prog_context();
	f = prog_function(prog_ptx, "vectoradd");
	a = prog_host(bytes);
	b = prog_host(bytes);
	c = prog_host(bytes);
	for (int i = 0; i < n; i++) {
		a[i] = (int)prog_random(&seed) / 256.0f;
		b[i] = -(int)prog_random(&seed) / 1024.0f;
		c[i] = -1;
	}
	da = prog_alloc(bytes);
	db = prog_alloc(bytes);
	dc = prog_alloc(bytes);
	CHECK(cuMemcpyHtoD_v2(da, a, bytes));
	CHECK(cuMemcpyHtoD_v2(db, b, bytes));
	CHECK(cuMemsetD8_v2(dc, 0xff, bytes));
	CHECK(cuLaunchKernel(f, (n + 255) / 256, 1, 1, 256, 1, 1, 0, NULL, args, NULL));
	CHECK(cuCtxSynchronize());
	CHECK(cuMemcpyDtoH_v2(c, dc, bytes));
	for (int i = 0; i < n; i++)
		if (c[i] != a[i] + b[i])
			prog_fail("element %d is %g, not %g", i, c[i], a[i] + b[i]);
	CHECK(cuMemFree_v2(da));
	CHECK(cuMemFree_v2(db));
	CHECK(cuMemFree_v2(dc));
	prog_done();
	return prog_pass("%d elements", n);
}
