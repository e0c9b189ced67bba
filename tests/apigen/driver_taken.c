// SPDX-License-Identifier: Apache-2.0
/*
 * When a copy reads page-locked memory: in its turn, whatever comes before it and wherever
 * that runs. Each case begins with a stream that has been waited for, after which a copy
 * might run at once.
 */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "driver_test.h"

#define LATER_US 20000

static uint32_t *source;		/* page-locked */
static CUdeviceptr target;

static void write_later(void *value)
{
	usleep(LATER_US);
	*source = (uint32_t)(uintptr_t)value;
}

static uint32_t arrived(void)
{
	uint32_t word = 0;

	OK(cuCtxSynchronize());
	OK(cuMemcpyDtoH_v2(&word, target, sizeof(word)));
	return word;
}

/* Nothing is under way, and the stream has been waited for by this thread. */
static void settle(CUstream s, uint32_t value)
{
	OK(cuMemsetD32_v2(target, 0, 1));
	OK(cuCtxSynchronize());
	*source = value;
	OK(cuStreamSynchronize(s));
}

static void copy(CUstream s)
{
	OK(cuMemcpyHtoDAsync_v2(target, source, sizeof(*source), s));
}

static void *launch_elsewhere(void *s)
{
	OK(cuCtxSetCurrent(ctx));
	OK(cuLaunchHostFunc(s, write_later, (void *)7));
	return NULL;
}

static void on(CUstream s)
{
	unsigned int n = 1, by = 5;
	CUdeviceptr where = (uintptr_t)source, other;
	void *params[] = { &where, &n, &by };
	uint32_t *large;
	pthread_t thread;
	CUstream t;
	CUevent e;

	/* At once, and once more behind copies. */
	settle(s, 11);
	copy(s);
	TRUE(arrived() == 11);
	OK(cuMemHostAlloc((void **)&large, 1 << 20, 0));
	OK(cuMemAlloc_v2(&other, 1 << 20));
	settle(s, 12);
	OK(cuMemcpyHtoDAsync_v2(other, large, 1 << 20, s));
	copy(s);
	OK(cuLaunchHostFunc(s, write_later, (void *)13));
	TRUE(arrived() == 12);
	OK(cuMemFree_v2(other));
	OK(cuMemFreeHost(large));

	/* Behind a function of the program's on the same stream, and a kernel. */
	settle(s, 21);
	OK(cuLaunchHostFunc(s, write_later, (void *)22));
	copy(s);
	TRUE(arrived() == 22);
	settle(s, 31);
	OK(cuLaunchKernel(add, 1, 1, 1, 1, 1, 1, 0, s, params, NULL));
	copy(s);
	TRUE(arrived() == 36);

	/* Behind what another thread has put there meanwhile, if it is the same stream there. */
	if (s != CU_STREAM_PER_THREAD) {
		settle(s, 41);
		pthread_create(&thread, NULL, launch_elsewhere, s);
		pthread_join(thread, NULL);
		copy(s);
		TRUE(arrived() == 7);
	}

	/* Behind another stream, by an event. */
	OK(cuStreamCreate(&t, CU_STREAM_NON_BLOCKING));
	OK(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING));
	settle(s, 51);
	OK(cuLaunchHostFunc(t, write_later, (void *)52));
	OK(cuEventRecord(e, t));
	OK(cuStreamWaitEvent(s, e, 0));
	copy(s);
	TRUE(arrived() == 52);
	OK(cuEventDestroy_v2(e));
	OK(cuStreamDestroy_v2(t));

	/* Behind a copy that writes where it reads. */
	OK(cuMemsetD32_v2(target + 4, 62, 1));
	settle(s, 61);
	OK(cuMemcpyAsync((uintptr_t)source, target + 4, 4, s));
	copy(s);
	TRUE(arrived() == 62);
}

/* A graph's copy reads when the graph runs. */
static void captured(CUstream s)
{
	CUgraphExec exec;
	CUgraph graph;

	settle(s, 71);
	OK(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
	copy(s);
	OK(cuStreamEndCapture(s, &graph));
	*source = 72;
	OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
	OK(cuGraphLaunch(exec, s));
	TRUE(arrived() == 72);
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphDestroy(graph));
}

void copies_in_turn(void)
{
	CUstream apart, blocking;

	OK(cuMemHostAlloc((void **)&source, 4096, 0));
	OK(cuMemAlloc_v2(&target, 4096));
	OK(cuStreamCreate(&apart, CU_STREAM_NON_BLOCKING));
	on(NULL);
	on(apart);
	captured(apart);

	/*
	 * One that the legacy stream waits for.  How it does is CUDA's: a copy of up to 16 KiB
	 * on the one has been read before what the other still has to do.
	 */
	OK(cuStreamCreate(&blocking, CU_STREAM_DEFAULT));
	on(blocking);
	captured(blocking);
	settle(NULL, 83);
	OK(cuLaunchHostFunc(blocking, write_later, (void *)84));
	OK(cuStreamSynchronize(NULL));
	copy(NULL);
	TRUE(arrived() == 84);
	on(NULL);
	on(CU_STREAM_PER_THREAD);
	OK(cuStreamDestroy_v2(blocking));
	OK(cuStreamDestroy_v2(apart));
	OK(cuMemFree_v2(target));
	OK(cuMemFreeHost(source));
}
