// SPDX-License-Identifier: Apache-2.0
/*
 * The per-thread variants that begin, end and ask about captures, and those that show best
 * in one.  The legacy default stream cannot be captured; stream 0 of a variant can.
 */
#include <string.h>

#include "driver_test.h"

/* The types of the nodes of a graph, by how many of each; then the graph goes. */
static void holds(CUgraph g, CUgraphNodeType type, size_t want)
{
	CUgraphNode list[8];
	CUgraphNodeType t;
	size_t count = 8, of = 0;

	OK(cuGraphGetNodes(g, list, &count));
	for (size_t i = 0; i < count && i < 8; i++) {
		OK(cuGraphNodeGetType(list[i], &t));
		of += t == type;
	}
	TRUE(of == want);
	OK(cuGraphDestroy(g));
}

static void begun_and_ended(CUdeviceptr p)
{
	CUstreamCaptureStatus status;
	CUgraph g, into;

	TRUE(cuStreamBeginCapture_v2(NULL, CU_STREAM_CAPTURE_MODE_RELAXED) != CUDA_SUCCESS);
	OK(cuStreamBeginCapture_v2_ptsz(NULL, CU_STREAM_CAPTURE_MODE_RELAXED));
	OK(cuStreamIsCapturing_ptsz(NULL, &status));
	TRUE(status == CU_STREAM_CAPTURE_STATUS_ACTIVE);
	OK(cuStreamIsCapturing(CU_STREAM_PER_THREAD, &status));
	TRUE(status == CU_STREAM_CAPTURE_STATUS_ACTIVE);
	OK(cuMemsetD32Async(p, 1, 16, CU_STREAM_PER_THREAD));
	OK(cuStreamEndCapture_ptsz(NULL, &g));
	OK(cuStreamIsCapturing_ptsz(NULL, &status));
	TRUE(status == CU_STREAM_CAPTURE_STATUS_NONE);
	holds(g, CU_GRAPH_NODE_TYPE_MEMSET, 1);
	TRUE(cuStreamEndCapture_ptsz(NULL, &g) != CUDA_SUCCESS);

	/* As it was before CUDA 10.1: in the mode that is now called global. */
	OK(cuStreamBeginCapture_ptsz(NULL));
	OK(cuMemsetD32Async_ptsz(p, 1, 16, NULL));
	OK(cuMemsetD32Async_ptsz(p, 2, 16, NULL));
	OK(cuStreamEndCapture_ptsz(NULL, &g));
	holds(g, CU_GRAPH_NODE_TYPE_MEMSET, 2);

	OK(cuGraphCreate(&into, 0));
	OK(cuStreamBeginCaptureToGraph_ptsz(NULL, into, NULL, NULL, 0,
					    CU_STREAM_CAPTURE_MODE_RELAXED));
	OK(cuMemsetD32Async_ptsz(p, 1, 16, NULL));
	OK(cuStreamEndCapture_ptsz(NULL, &g));
	TRUE(g == into);
	holds(into, CU_GRAPH_NODE_TYPE_MEMSET, 1);
	IS(cuStreamBeginCapture_v2_ptsz(NULL, 99), CUDA_ERROR_INVALID_VALUE);
}

/* Three nodes, of which the last follows none: asked by each version, moved by each. */
static void asked(CUdeviceptr p)
{
	CUstreamCaptureStatus status;
	const CUgraphEdgeData *edges;
	const CUgraphNode *deps;
	CUgraphNode first, list[8];
	cuuint64_t id[3] = { 0 };
	CUgraph g[3];
	size_t count;

	OK(cuStreamGetCaptureInfo_ptsz(NULL, &status, &id[0]));
	TRUE(status == CU_STREAM_CAPTURE_STATUS_NONE);
	OK(cuStreamBeginCapture_v2_ptsz(NULL, CU_STREAM_CAPTURE_MODE_RELAXED));
	OK(cuMemsetD32Async_ptsz(p, 1, 16, NULL));
	OK(cuStreamGetCaptureInfo_ptsz(NULL, &status, &id[0]));
	TRUE(status == CU_STREAM_CAPTURE_STATUS_ACTIVE && id[0]);
	deps = NULL;
	OK(cuStreamGetCaptureInfo_v2_ptsz(NULL, &status, &id[1], &g[0], &deps, &count));
	TRUE(id[1] == id[0] && count == 1 && deps);
	first = deps ? deps[0] : NULL;
	OK(cuMemsetD32Async_ptsz(p, 2, 16, NULL));
	OK(cuStreamGetCaptureInfo_v3_ptsz(NULL, &status, &id[2], &g[1], &deps, &edges, &count));
	TRUE(id[2] == id[0] && g[1] == g[0] && count == 1 && deps[0] != first);
	/* Back behind the first: then on from both; and then from none. */
	OK(cuStreamUpdateCaptureDependencies_ptsz(NULL, &first, 1,
						  CU_STREAM_SET_CAPTURE_DEPENDENCIES));
	OK(cuStreamGetCaptureInfo_v3_ptsz(NULL, &status, NULL, NULL, &deps, NULL, &count));
	TRUE(count == 1 && deps[0] == first);
	OK(cuMemsetD32Async_ptsz(p, 3, 16, NULL));
	OK(cuStreamUpdateCaptureDependencies_v2_ptsz(NULL, &first, NULL, 1,
						     CU_STREAM_ADD_CAPTURE_DEPENDENCIES));
	OK(cuStreamGetCaptureInfo_v3_ptsz(NULL, &status, NULL, NULL, &deps, NULL, &count));
	TRUE(count == 2);
	OK(cuStreamUpdateCaptureDependencies_v2_ptsz(NULL, NULL, NULL, 0,
						     CU_STREAM_SET_CAPTURE_DEPENDENCIES));
	OK(cuMemsetD32Async_ptsz(p, 4, 16, NULL));
	TRUE(cuStreamUpdateCaptureDependencies_ptsz(NULL, &first, 1, 99) != CUDA_SUCCESS);
	(void)list;
	/* What follows nothing need not be joined: both ends are the origin's. */
	OK(cuStreamEndCapture_ptsz(NULL, &g[2]));
	TRUE(g[2] == g[0]);
	holds(g[2], CU_GRAPH_NODE_TYPE_MEMSET, 4);
}

/* In a capture, what allocates and frees in stream 0 makes nodes of it. */
static void allocated(void)
{
	CUmemPoolProps props = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
				 .location = { CU_MEM_LOCATION_TYPE_DEVICE, dev } };
	CUmemoryPool pool;
	CUdeviceptr p, q;
	CUgraph g;

	/* Outside one they simply work. */
	OK(cuMemPoolCreate(&pool, &props));
	OK(cuMemAllocAsync_ptsz(&p, 4096, NULL));
	OK(cuMemAllocFromPoolAsync_ptsz(&q, 4096, pool, NULL));
	TRUE(p != q);
	OK(cuMemsetD32Async_ptsz(p, 8, 1024, NULL));
	OK(cuMemcpyDtoDAsync_v2_ptsz(q, p, 4096, NULL));
	TRUE(value_at(q, 1023) == 8);
	OK(cuMemFreeAsync_ptsz(p, NULL));
	OK(cuMemFreeAsync_ptsz(q, NULL));
	OK(cuStreamSynchronize_ptsz(NULL));
	IS(cuMemFreeAsync_ptsz(p, NULL), CUDA_ERROR_INVALID_VALUE);
	OK(cuMemAllocAsync_ptsz(&p, 0, NULL));
	OK(cuMemAllocFromPoolAsync_ptsz(&p, 0, pool, NULL));
	OK(cuMemPoolDestroy(pool));

	OK(cuStreamBeginCapture_v2_ptsz(NULL, CU_STREAM_CAPTURE_MODE_RELAXED));
	OK(cuMemAllocAsync_ptsz(&p, 4096, NULL));
	OK(cuMemFreeAsync_ptsz(p, NULL));
	OK(cuStreamEndCapture_ptsz(NULL, &g));
	holds(g, CU_GRAPH_NODE_TYPE_MEM_ALLOC, 1);
}

/* Managed memory; where it is, and that it is good. */
static void managed(void)
{
	CUmemLocation here = { CU_MEM_LOCATION_TYPE_DEVICE, dev };
	CUmemLocation cpu = { CU_MEM_LOCATION_TYPE_HOST, 0 };
	size_t bytes = 1 << 20, first = 0;
	int can, where = 77;
	CUdeviceptr p;
	volatile unsigned int *word;

	OK(cuDeviceGetAttribute(&can, CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS, dev));
	OK(cuMemAllocManaged(&p, bytes, CU_MEM_ATTACH_GLOBAL));
	word = (unsigned int *)(uintptr_t)p;
	*word = 5;
	OK(cuStreamAttachMemAsync_ptsz(NULL, p, 0, CU_MEM_ATTACH_HOST));
	OK(cuStreamSynchronize_ptsz(NULL));
	TRUE(*word == 5);
	OK(cuStreamAttachMemAsync_ptsz(NULL, p, 0, CU_MEM_ATTACH_GLOBAL));
	IS(cuStreamAttachMemAsync_ptsz(NULL, p, 0, 99), CUDA_ERROR_INVALID_VALUE);
	OK(cuStreamSynchronize_ptsz(NULL));
	if (can) {
#define LAST(call, want) do { \
		OK(call); \
		OK(cuStreamSynchronize_ptsz(NULL)); \
		OK(cuMemRangeGetAttribute(&where, sizeof(where), \
					  CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION, p, \
					  bytes)); \
		TRUE(where == (want)); \
	} while (0)
		LAST(cuMemPrefetchAsync_ptsz(p, bytes, dev, NULL), dev);
		LAST(cuMemPrefetchAsync_v2_ptsz(p, bytes, cpu, 0, NULL), CU_DEVICE_CPU);
		TRUE(*word == 5);
		LAST(cuMemPrefetchBatchAsync_ptsz(&p, &bytes, 1, &here, &first, 1, 0, NULL), dev);
		OK(cuMemDiscardBatchAsync_ptsz(&p, &bytes, 1, 0, NULL));
		OK(cuMemsetD32Async_ptsz(p, 9, 4, NULL));
		OK(cuStreamSynchronize_ptsz(NULL));
		TRUE(*word == 9);
		OK(cuMemDiscardAndPrefetchBatchAsync_ptsz(&p, &bytes, 1, &here, &first, 1, 0,
							  NULL));
		OK(cuMemsetD32Async_ptsz(p, 10, 4, NULL));
		OK(cuStreamSynchronize_ptsz(NULL));
		TRUE(*word == 10);
		IS(cuMemPrefetchAsync_v2_ptsz(p, bytes, cpu, 1, NULL), CUDA_ERROR_INVALID_VALUE);
		IS(cuMemDiscardBatchAsync_ptsz(&p, &bytes, 1, 1, NULL), CUDA_ERROR_INVALID_VALUE);
		TRUE(cuMemPrefetchAsync_ptsz(p, bytes, 99, NULL) != CUDA_SUCCESS);
	}
	OK(cuMemFree_v2(p));
}

void per_thread_captures(void)
{
	CUdeviceptr p;

	OK(cuMemAlloc_v2(&p, 64));
	begun_and_ended(p);
	asked(p);
	allocated();
	managed();
	OK(cuMemFree_v2(p));
}
