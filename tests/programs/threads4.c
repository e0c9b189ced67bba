// SPDX-License-Identifier: Apache-2.0
/* Four threads of one process launch at the same time. Argument: launches of each. */
#include <pthread.h>

#include "prog.h"

#define THREADS 4
#define ELEMENTS 4096

const char *prog_name = "threads4";
PROG_KERNELS("vectoradd");

static CUcontext ctx;
static CUfunction f;
static long rounds;
static pthread_barrier_t start;

static void *run(void *arg)
{
	int id = (int)(intptr_t)arg, n = ELEMENTS;
	size_t bytes = n * sizeof(float);
	float *a = prog_host(bytes), *b = prog_host(bytes), *c = prog_host(bytes);
	CUdeviceptr da, db, dc;
	CUstream s;
	void *args[] = { &da, &db, &dc, &n };

	CHECK(cuCtxSetCurrent(ctx));
	/* two use the default stream, two have their own */
	s = NULL;
	if (id & 1)
		CHECK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	da = prog_alloc(bytes);
	db = prog_alloc(bytes);
	dc = prog_alloc(bytes);
	pthread_barrier_wait(&start);
	for (long r = 0; r < rounds; r++) {
		for (int i = 0; i < n; i++) {
			a[i] = i + 10000.0f * id;
			b[i] = (float)r;
		}
		CHECK(cuMemcpyHtoDAsync_v2(da, a, bytes, s));
		CHECK(cuMemcpyHtoDAsync_v2(db, b, bytes, s));
		CHECK(cuLaunchKernel(f, n / 128, 1, 1, 128, 1, 1, 0, s, args, NULL));
		CHECK(cuMemcpyDtoHAsync_v2(c, dc, bytes, s));
		CHECK(cuStreamSynchronize(s));
		for (int i = 0; i < n; i++)
			if (c[i] != a[i] + b[i])
				prog_fail("thread %d, round %ld, element %d is %g, not %g", id, r,
					  i,
					  c[i], a[i] + b[i]);
	}
	CHECK(cuMemFree_v2(da));
	CHECK(cuMemFree_v2(db));
	CHECK(cuMemFree_v2(dc));
	if (s)
		CHECK(cuStreamDestroy_v2(s));
	free(a);
	free(b);
	free(c);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t t[THREADS];

	rounds = prog_size(argc, argv, 25, 1);
	ctx = prog_context();
	f = prog_function(prog_ptx, "vectoradd");
	pthread_barrier_init(&start, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&t[i], NULL, run, (void *)(intptr_t)i))
			prog_fail("no thread");
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	prog_done();
	return prog_pass("%d threads, %ld launches each", THREADS, rounds);
}
