// SPDX-License-Identifier: Apache-2.0
/*
 * Captures that fail, whose stream goes, or that are refused; the answers are those of NVIDIA's
 * driver 580.  A graph that was captured to goes with a capture that fails, also the program's.
 */
#include "driver_test.h"

#define RELAXED CU_STREAM_CAPTURE_MODE_RELAXED
#define ACTIVE	CU_STREAM_CAPTURE_STATUS_ACTIVE
#define BROKEN	CU_STREAM_CAPTURE_STATUS_INVALIDATED
#define NO	CU_STREAM_CAPTURE_STATUS_NONE

static CUdeviceptr p;

static CUstream stream(void)
{
	CUstream s;

	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	return s;
}

static void write_in(CUstream s)
{
	OK(cuMemsetD32Async(p, 7, 16, s));
}

static CUgraph begun_to_graph(CUstream s)
{
	CUgraph g;

	OK(cuGraphCreate(&g, 0));
	OK(cuStreamBeginCaptureToGraph(s, g, NULL, NULL, 0, RELAXED));
	write_in(s);
	return g;
}

static CUstreamCaptureStatus status_of(CUstream s)
{
	CUstreamCaptureStatus status = 99;

	OK(cuStreamIsCapturing(s, &status));
	return status;
}

static size_t nodes_of(CUgraph g)
{
	size_t n = 0;

	OK(cuGraphGetNodes(g, NULL, &n));
	return n;
}

static void has_gone(CUgraph g)
{
	CUgraphExec exec;
	CUgraphNode node;
	size_t n;

	IS(cuGraphGetNodes(g, NULL, &n), CUDA_ERROR_INVALID_VALUE);
	IS(cuGraphAddEmptyNode(&node, g, NULL, 0), CUDA_ERROR_INVALID_VALUE);
	IS(cuGraphInstantiateWithFlags(&exec, g, 0), CUDA_ERROR_INVALID_VALUE);
	IS(cuGraphDestroy(g), CUDA_ERROR_INVALID_VALUE);
}

static void ends_with(CUstream s, CUgraph want, size_t nodes)
{
	CUgraph g = NULL;

	OK(cuStreamEndCapture(s, &g));
	TRUE(g && (!want || g == want));
	TRUE(nodes_of(g) == nodes);
	OK(cuGraphDestroy(g));
}

static void joins(CUstream t, CUstream s)
{
	CUevent e;

	OK(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING));
	OK(cuEventRecord(e, s));
	OK(cuStreamWaitEvent(t, e, 0));
	OK(cuEventDestroy_v2(e));
	TRUE(status_of(t) == ACTIVE);
	write_in(t);
}

/* What cannot be captured makes the capture fail at its end. */
static void fails(void)
{
	CUstream s = stream(), t = stream();
	CUgraph g = begun_to_graph(s), out = (CUgraph)&out;

	IS(cuStreamSynchronize(s), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	TRUE(status_of(s) == BROKEN);
	nodes_of(g);
	IS(cuStreamEndCapture(s, &out), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	TRUE(!out);
	TRUE(status_of(s) == NO);
	has_gone(g);

	g = begun_to_graph(s);
	joins(t, s);
	IS(cuStreamEndCapture(s, &out), CUDA_ERROR_STREAM_CAPTURE_UNJOINED);
	TRUE(status_of(s) == NO && status_of(t) == NO);
	has_gone(g);
	OK(cuStreamDestroy_v2(s));
	OK(cuStreamDestroy_v2(t));
}

/* A capture ends with the stream in which it began, in all streams. */
static void stream_goes(void)
{
	CUstream s = stream(), t = stream();
	CUgraph g = begun_to_graph(s);

	OK(cuStreamDestroy_v2(s));
	has_gone(g);

	s = stream();
	OK(cuStreamBeginCapture_v2(s, RELAXED));
	write_in(s);
	joins(t, s);
	OK(cuStreamDestroy_v2(s));
	TRUE(status_of(t) == NO);
	OK(cuMemsetD32_v2(p, 0, 16));
	TRUE(value_at(p, 15) == 0);
	write_in(t);
	OK(cuStreamSynchronize(t));
	TRUE(value_at(p, 15) == 7);
	IS(cuStreamEndCapture(t, &g), CUDA_ERROR_ILLEGAL_STATE);
	OK(cuStreamDestroy_v2(t));
}

/* A graph that is captured to stays, with its nodes; it can be copied. */
static void is_captured(void)
{
	CUgraph g, other, clone, under;
	CUgraphNode first, node, list[4];
	CUstreamCaptureStatus status;
	CUstream s = stream();
	CUgraphExec exec;
	size_t count = 4;
	cuuint64_t id;

	OK(cuGraphCreate(&g, 0));
	OK(cuGraphAddEmptyNode(&first, g, NULL, 0));
	OK(cuStreamBeginCaptureToGraph(s, g, &first, NULL, 1, RELAXED));
	IS(cuGraphDestroy(g), CUDA_ERROR_ILLEGAL_STATE);
	IS(cuGraphDestroyNode(first), CUDA_ERROR_ILLEGAL_STATE);
	write_in(s);
	OK(cuGraphGetNodes(g, list, &count));
	TRUE(count == 2);
	for (size_t i = 0; i < count && i < 4; i++)
		if (list[i] != first)
			IS(cuGraphDestroyNode(list[i]), CUDA_ERROR_ILLEGAL_STATE);
	OK(cuGraphCreate(&other, 0));
	OK(cuGraphAddChildGraphNode(&node, other, NULL, 0, g));
	OK(cuGraphClone(&clone, g));
	TRUE(nodes_of(clone) == 2);
	/* The guest's library refuses that, for a launch into the capture could come between. */
	if (!through_vgpu) {
		OK(cuGraphInstantiateWithFlags(&exec, g, 0));
		OK(cuGraphExecDestroy(exec));
	}
	TRUE(status_of(s) == ACTIVE);
	ends_with(s, g, 2);
	TRUE(nodes_of(clone) == 2 && nodes_of(other) == 1);
	OK(cuGraphDestroy(clone));
	OK(cuGraphDestroy(other));

	OK(cuStreamBeginCapture_v2(s, RELAXED));
	OK(cuStreamGetCaptureInfo_v2(s, &status, &id, &under, NULL, NULL));
	IS(cuGraphDestroy(under), CUDA_ERROR_ILLEGAL_STATE);
	write_in(s);
	ends_with(s, under, 1);
	OK(cuStreamDestroy_v2(s));
}

/* A capture that does not begin leaves its stream, its graph and others as they are. */
static void refused(void)
{
	CUstream s = stream(), t = stream();
	CUgraph g = begun_to_graph(s), other;
	CUgraphNode node;

	OK(cuGraphCreate(&other, 0));
	OK(cuGraphAddEmptyNode(&node, other, NULL, 0));
	IS(cuStreamBeginCaptureToGraph(t, g, NULL, NULL, 0, RELAXED), CUDA_ERROR_ILLEGAL_STATE);
	TRUE(status_of(t) == NO);
	IS(cuStreamBeginCaptureToGraph(s, other, NULL, NULL, 0, RELAXED),
	   CUDA_ERROR_ILLEGAL_STATE);
	IS(cuStreamBeginCapture_v2(s, RELAXED), CUDA_ERROR_ILLEGAL_STATE);
	TRUE(status_of(s) == ACTIVE);
	write_in(s);
	ends_with(s, g, 2);

	OK(cuGraphCreate(&g, 0));
	IS(cuStreamBeginCaptureToGraph(t, g, &node, NULL, 1, RELAXED), CUDA_ERROR_INVALID_VALUE);
	TRUE(status_of(t) == NO);
	IS(cuStreamBeginCaptureToGraph(t, g, NULL, NULL, 1, RELAXED), CUDA_ERROR_INVALID_VALUE);
	IS(cuStreamBeginCaptureToGraph(t, g, NULL, NULL, 0, 99), CUDA_ERROR_INVALID_VALUE);
	TRUE(status_of(t) == NO);
	OK(cuGraphDestroy(g));
	TRUE(nodes_of(other) == 1);
	OK(cuGraphDestroy(other));
	OK(cuStreamDestroy_v2(s));
	OK(cuStreamDestroy_v2(t));
}

void failed_captures(void)
{
	OK(cuMemAlloc_v2(&p, 4096));
	fails();
	stream_goes();
	is_captured();
	refused();
	OK(cuMemFree_v2(p));
}
