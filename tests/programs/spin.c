// SPDX-License-Identifier: Apache-2.0
/*
 * Launches and copies until it is killed, checking each result. Prints "running" once the first
 * round was right. SIGTERM lets it end as if it had no more to do, and so do as many seconds as its
 * argument says. If it loses its device, the calls after that have to give the same error.
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

#define GOES(call) do { \
		CUresult rc_ = (call); \
		if (rc_ != CUDA_SUCCESS) \
			lost(#call, rc_); \
	} while (0)

static CUdeviceptr da, db, dc;

static _Noreturn void lost(const char *call, CUresult error)
{
	const char *name = NULL;
	CUdeviceptr p;
	CUresult after[4];
	int v = 0;

	after[0] = cuCtxSynchronize();
	after[1] = cuMemAlloc_v2(&p, sizeof(v));
	after[2] = cuMemcpyHtoD_v2(da, &v, sizeof(v));
	after[3] = cuCtxSynchronize();
	for (int i = 0; i < 4; i++)
		if (after[i] != error)
			prog_fail("%s gave %d, but call %d after it %d", call, (int)error, i + 1,
				  (int)after[i]);
	cuGetErrorName(error, &name);
	prog_fail("%s gave %d (%s), and so did the calls after it", call, (int)error,
		  name ? name : "?");
}

int main(int argc, char **argv)
{
	double end = argc > 1 ? prog_seconds() + prog_size(argc, argv, 0, 1) : 0;
	int n = 8192;
	size_t bytes = n * sizeof(float);
	float *a, *b, *c;
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
		GOES(cuMemcpyHtoD_v2(da, a, bytes));
		GOES(cuMemcpyHtoD_v2(db, b, bytes));
		for (int k = 0; k < 8; k++)
			GOES(cuLaunchKernel(f, n / 256, 1, 1, 256, 1, 1, 0, NULL, args, NULL));
		GOES(cuMemcpyDtoH_v2(c, dc, bytes));
		for (int i = 0; i < n; i++)
			if (c[i] != a[i] + b[i])
				prog_fail("round %ld, element %d is %g, not %g", rounds, i, c[i],
					  a[i] + b[i]);
		if (!rounds++) {
			printf("running\n");
			fflush(stdout);
		}
	} while (!asked && !(end && prog_seconds() >= end));
	prog_done();
	return prog_pass("%ld rounds", rounds);
}
