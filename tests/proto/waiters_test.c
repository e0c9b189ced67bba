// SPDX-License-Identifier: Apache-2.0
/*
 * More threads wait for the device than there are places for answers, and one more call lets
 * them go on.  On the shim; needs a mediator at VGPU_TRANSPORT=unix:PATH.
 */
#include "../unit/unit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cuda_abi.h"

#define THREADS 4000
#define STACK_BYTES (128u << 10)

static CUcontext context;
static CUstream blocked, other;
static CUevent event;
static CUdeviceptr flag;
static _Atomic int waiting, failed;

static CUresult wait_for_stream(void)
{
	return cuStreamSynchronize(blocked);
}

static CUresult wait_for_event(void)
{
	return cuEventSynchronize(event);
}

static CUresult wait_for_context(void)
{
	return cuCtxSynchronize();
}

static CUresult (*const ways[])(void) = { wait_for_stream, wait_for_event, wait_for_context };

static void *waiter(void *way)
{
	CUresult r = cuCtxSetCurrent(context);

	waiting++;
	if (!r)
		r = (*(CUresult (*const *)(void))way)();
	failed += r != CUDA_SUCCESS;
	return NULL;
}

/* The stream stands still until the flag is 1. */
static void block(void)
{
	assert_int_equal(cuMemsetD32_v2(flag, 0, 1), CUDA_SUCCESS);
	assert_int_equal(cuCtxSynchronize(), CUDA_SUCCESS);
	assert_int_equal(cuStreamWaitValue32_v2(blocked, flag, 1, CU_STREAM_WAIT_VALUE_EQ),
			 CUDA_SUCCESS);
	assert_int_equal(cuEventRecord(event, blocked), CUDA_SUCCESS);
}

static void wait_in(int threads, int first_way, int count)
{
	static pthread_t thread[THREADS];
	const unsigned int one = 1;
	pthread_attr_t attr;

	waiting = failed = 0;
	block();
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	for (int i = 0; i < threads; i++)
		assert_int_equal(pthread_create(&thread[i], &attr, waiter,
						(void *)&ways[first_way + i % count]), 0);
	pthread_attr_destroy(&attr);
	while (waiting < threads)
		usleep(1000);
	usleep(200000);
	/* Each of these calls needs a place for its answer. */
	assert_int_equal(cuStreamQuery(blocked), CUDA_ERROR_NOT_READY);
	assert_int_equal(cuMemcpyHtoDAsync_v2(flag, &one, sizeof(one), other), CUDA_SUCCESS);
	for (int i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(failed, 0);
	assert_int_equal(cuStreamSynchronize(other), CUDA_SUCCESS);
}

static void few(void **state)
{
	(void)state;
	for (int way = 0; way < 3; way++)
		wait_in(3, way, 1);
}

static void thousands(void **state)
{
	(void)state;
	wait_in(THREADS, 0, 2);
}

static void hundreds_for_the_context(void **state)
{
	(void)state;
	wait_in(400, 0, 3);
	wait_in(400, 2, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(few),
		cmocka_unit_test(hundreds_for_the_context),
		cmocka_unit_test(thousands),
	};

	alarm(240);
	if (cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context) ||
	    cuStreamCreate(&blocked, CU_STREAM_NON_BLOCKING) ||
	    cuStreamCreate(&other, CU_STREAM_NON_BLOCKING) || cuEventCreate(&event, 0) ||
	    cuMemAlloc_v2(&flag, 4)) {
		fprintf(stderr, "no device\n");
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
