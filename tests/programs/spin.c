// SPDX-License-Identifier: Apache-2.0
/*
 * Launches and copies until it is killed, checking each result. Prints "running" once the first
 * round was right. SIGTERM lets it end as if it had no more to do.
 */
#include <signal.h>

#include "prog.h"

const char *prog_name = "spin";
PROG_KERNELS("vectoradd");

static volatile sig_atomic_t asked;

static void on_term(int signum)
{
	(void)signum;
	asked = 1;
}

int main(void)
{
	int n = 8192;
	size_t bytes = n * sizeof(float);
	float *a, *b, *c;
	CUdeviceptr da, db, dc;
	CUfunction f;
	long rounds = 0;
	void *args[] = { &da, &db, &dc, &n };

	signal(SIGTERM, on_term);
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
	} while (!asked);
	prog_done();
	return prog_pass("%ld rounds", rounds);
}
