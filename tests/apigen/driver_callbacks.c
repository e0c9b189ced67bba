// SPDX-License-Identifier: Apache-2.0
/* Functions of the program's own in a stream: in its order, in this process. */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "driver_test.h"

#define WORDS (1u << 16)

static _Atomic int ran;
static _Atomic int order_wrong;
static pid_t self;
static CUresult inside;

static void nap(long ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

static void in_turn(void *data)
{
	if (atomic_fetch_add(&ran, 1) != (int)(long)data || getpid() != self)
		atomic_store(&order_wrong, 1);
}

static void slow(void *data)
{
	nap((long)data);
	atomic_fetch_add(&ran, 1);
}

static void calls_cuda(void *data)
{
	CUdeviceptr p;

	(void)data;
	inside = cuMemAlloc_v2(&p, 16);
}

static void with_status(CUstream s, CUresult status, void *data)
{
	atomic_fetch_add(&ran, 1);
	if (status || s != *(CUstream *)data)
		atomic_store(&order_wrong, 1);
}

/* A host function between two kernels sees the first's result, and the second waits for it. */
static unsigned int *seen;

static void look(void *data)
{
	(void)data;
	nap(20);
	*seen = seen[1];
}

static void between_kernels(CUstream s)
{
	unsigned int n = WORDS, by = 1, one;
	CUdeviceptr p;
	void *params[] = { &p, &n, &by };
	unsigned int host[2] = { 0, 0 };

	seen = host;
	OK(cuMemAlloc_v2(&p, 4 * WORDS));
	OK(cuMemsetD32Async(p, 0, n, s));
	OK(cuLaunchKernel(add, n / 256, 1, 1, 256, 1, 1, 0, s, params, NULL));
	OK(cuMemcpyDtoHAsync_v2(&host[1], p, 4, s));
	OK(cuLaunchHostFunc(s, look, NULL));
	OK(cuLaunchKernel(add, n / 256, 1, 1, 256, 1, 1, 0, s, params, NULL));
	IS(cuStreamQuery(s), CUDA_ERROR_NOT_READY);
	OK(cuStreamSynchronize(s));
	TRUE(host[0] == 1);
	OK(cuMemcpyDtoH_v2(&one, p, 4));
	TRUE(one == 2);
	OK(cuMemFree_v2(p));
}

/* More launches than a queue holds, and a call that waits for the device, behind a function. */
static void behind(CUstream s)
{
	unsigned int n = 32, by = 1;
	CUdeviceptr p, q;
	void *params[] = { &p, &n, &by };

	OK(cuMemAlloc_v2(&p, 128));
	OK(cuMemAlloc_v2(&q, 1 << 20));
	OK(cuMemsetD32Async(p, 0, n, s));
	atomic_store(&ran, 0);
	OK(cuLaunchHostFunc(s, slow, (void *)100L));
	for (int i = 0; i < 3000; i++)
		OK(cuLaunchKernel(add, 1, 1, 1, 32, 1, 1, 0, s, params, NULL));
	OK(cuLaunchHostFunc(s, slow, (void *)50L));
	OK(cuMemFree_v2(q));
	OK(cuStreamSynchronize(s));
	TRUE(atomic_load(&ran) == 2);
	TRUE(value_at(p, 31) == 3000);
	OK(cuMemFree_v2(p));
}

/* What a copy has waited for need not be waited for again, but whatever has come since. */
static void *one_more(void *stream)
{
	OK(cuCtxSetCurrent(ctx));
	OK(cuLaunchHostFunc(stream, slow, (void *)50L));
	return NULL;
}

static void since_a_copy(CUstream s, CUstream t)
{
	CUstreamCaptureStatus status;
	pthread_t thread;
	CUdeviceptr p;
	unsigned int one;
	CUgraph g;

	OK(cuMemAlloc_v2(&p, 4));
	OK(cuMemsetD32Async(p, 5, 1, s));
	for (int i = 0; i < 3; i++) {
		atomic_store(&ran, 0);
		OK(cuLaunchHostFunc(s, slow, (void *)10L));
		one = 0;
		OK(cuMemcpyDtoHAsync_v2(&one, p, 4, s));
		TRUE(atomic_load(&ran) == 1 && one == 5);
		OK(cuStreamSynchronize(s));
		OK(cuStreamSynchronize(s));
		/* From another thread, from this one, in another stream. */
		if (!i && !pthread_create(&thread, NULL, one_more, s))
			pthread_join(thread, NULL);
		else
			OK(cuLaunchHostFunc(i == 2 ? t : s, slow, (void *)50L));
		OK(cuStreamSynchronize(i == 2 ? t : s));
		TRUE(atomic_load(&ran) == 2);
	}
	OK(cuMemcpyDtoHAsync_v2(&one, p, 4, s));
	OK(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
	IS(cuStreamSynchronize(s), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	OK(cuStreamIsCapturing(s, &status));
	TRUE(status == CU_STREAM_CAPTURE_STATUS_INVALIDATED);
	IS(cuStreamEndCapture(s, &g), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	OK(cuMemFree_v2(p));
}

void callbacks(void)
{
	CUstream s, t;

	self = getpid();
	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	OK(cuStreamCreate(&t, CU_STREAM_NON_BLOCKING));
	atomic_store(&ran, 0);
	for (long i = 0; i < 200; i++)
		OK(cuLaunchHostFunc(s, in_turn, (void *)i));
	OK(cuStreamSynchronize(s));
	TRUE(atomic_load(&ran) == 200 && !atomic_load(&order_wrong));
	atomic_store(&ran, 0);
	OK(cuStreamAddCallback(s, with_status, &s, 0));
	OK(cuStreamAddCallback(t, with_status, &t, 0));
	OK(cuCtxSynchronize());
	TRUE(atomic_load(&ran) == 2 && !atomic_load(&order_wrong));
	IS(cuStreamAddCallback(s, with_status, &s, 1), CUDA_ERROR_INVALID_VALUE);
	IS(cuLaunchHostFunc(s, NULL, NULL), CUDA_ERROR_INVALID_VALUE);
	OK(cuLaunchHostFunc(s, calls_cuda, NULL));
	OK(cuStreamSynchronize(s));
	IS(inside, CUDA_ERROR_NOT_PERMITTED);
	between_kernels(s);
	behind(s);
	since_a_copy(s, t);
	OK(cuStreamDestroy_v2(s));
	OK(cuStreamDestroy_v2(t));
}

/* In a graph, captured or made by hand, a function runs at each launch. */
void host_nodes(void)
{
	CUDA_HOST_NODE_PARAMS p = { .fn = slow, .userData = (void *)1L }, back;
	CUgraphNode node, list[2];
	CUgraphExec exec;
	CUgraph graph;
	CUstream s;
	size_t count = 2;

	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	OK(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
	IS(cuStreamAddCallback(s, with_status, &s, 0), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	IS(cuStreamEndCapture(s, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	OK(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
	OK(cuLaunchHostFunc(s, slow, (void *)2L));
	OK(cuStreamEndCapture(s, &graph));
	OK(cuGraphGetNodes(graph, list, &count));
	TRUE(count == 1);
	OK(cuGraphHostNodeGetParams(list[0], &back));
	TRUE(back.fn == slow && back.userData == (void *)2L);
	OK(cuGraphAddHostNode(&node, graph, list, 1, &p));
	p.fn = calls_cuda;
	OK(cuGraphHostNodeSetParams(node, &p));
	p.fn = slow;
	OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
	atomic_store(&ran, 0);
	inside = CUDA_SUCCESS;
	for (int i = 0; i < 3; i++)
		OK(cuGraphLaunch(exec, s));
	OK(cuStreamSynchronize(s));
	TRUE(atomic_load(&ran) == 3);
	IS(inside, CUDA_ERROR_NOT_PERMITTED);
	OK(cuGraphExecHostNodeSetParams(exec, node, &p));
	OK(cuGraphLaunch(exec, s));
	OK(cuStreamSynchronize(s));
	TRUE(atomic_load(&ran) == 5);
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphDestroy(graph));
	OK(cuStreamDestroy_v2(s));
}
