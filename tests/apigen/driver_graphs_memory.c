// SPDX-License-Identifier: Apache-2.0
/* Memory that a graph allocates. */
#include <string.h>

#include "driver_test.h"

#define BYTES (1u << 20)

static CUDA_MEM_ALLOC_NODE_PARAMS alloc_params(size_t bytes)
{
	return (CUDA_MEM_ALLOC_NODE_PARAMS){
		.poolProps = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
			       .location = { CU_MEM_LOCATION_TYPE_DEVICE, dev } },
		.bytesize = bytes,
	};
}

static cuuint64_t attribute(CUgraphMem_attribute a)
{
	cuuint64_t v = 12345;

	OK(cuDeviceGetGraphMemAttribute(dev, a, &v));
	return v;
}

/* Allocated, written, copied out and freed, all in the graph. */
static void within(CUstream s)
{
	CUDA_MEM_ALLOC_NODE_PARAMS a = alloc_params(BYTES), got;
	CUDA_MEMSET_NODE_PARAMS set = { .value = 7, .elementSize = 4, .width = BYTES / 4,
					.height = 1 };
	CUDA_MEMCPY3D copy = { .srcMemoryType = CU_MEMORYTYPE_DEVICE,
			       .dstMemoryType = CU_MEMORYTYPE_DEVICE, .srcPitch = BYTES,
			       .dstPitch = BYTES, .srcHeight = 1, .dstHeight = 1,
			       .WidthInBytes = BYTES, .Height = 1, .Depth = 1 };
	CUgraphNode alloc, fill, out, done;
	cuuint64_t before, v;
	CUgraph graph, clone;
	CUgraphExec exec;
	CUdeviceptr q, freed;

	OK(cuMemAlloc_v2(&q, BYTES));
	OK(cuGraphCreate(&graph, 0));
	OK(cuGraphAddMemAllocNode(&alloc, graph, NULL, 0, &a));
	TRUE(a.dptr);
	OK(cuGraphMemAllocNodeGetParams(alloc, &got));
	TRUE(got.dptr == a.dptr && got.bytesize == BYTES && got.poolProps.location.id == dev);
	set.dst = copy.srcDevice = a.dptr;
	copy.dstDevice = q;
	OK(cuGraphAddMemsetNode(&fill, graph, &alloc, 1, &set, ctx));
	OK(cuGraphAddMemcpyNode(&out, graph, &fill, 1, &copy, ctx));
	OK(cuGraphAddMemFreeNode(&done, graph, &out, 1, a.dptr));
	OK(cuGraphMemFreeNodeGetParams(done, &freed));
	TRUE(freed == a.dptr);
	IS(cuGraphClone(&clone, graph), CUDA_ERROR_NOT_SUPPORTED);
	OK(cuDeviceGraphMemTrim(dev));
	before = attribute(CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT);
	OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
	for (int i = 0; i < 3; i++)
		OK(cuGraphLaunch(exec, s));
	OK(cuStreamSynchronize(s));
	TRUE(value_at(q, BYTES / 4 - 1) == 7);
	TRUE(attribute(CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT) >= before + BYTES);
	TRUE(attribute(CU_GRAPH_MEM_ATTR_USED_MEM_HIGH) >= BYTES);
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphDestroy(graph));
	OK(cuDeviceGraphMemTrim(dev));
	TRUE(attribute(CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT) <= before);
	v = 0;
	OK(cuDeviceSetGraphMemAttribute(dev, CU_GRAPH_MEM_ATTR_USED_MEM_HIGH, &v));
	OK(cuMemFree_v2(q));
}

/* What a graph leaves allocated is the program's until it frees it, at each launch anew. */
static void beyond(CUstream s)
{
	CUgraphNodeParams p;
	CUmemAccessDesc access = { { CU_MEM_LOCATION_TYPE_DEVICE, dev },
				   CU_MEM_ACCESS_FLAGS_PROT_READWRITE };
	CUgraphExec exec;
	CUgraphNode node;
	CUgraph graph;
	unsigned int type;

	memset(&p, 0, sizeof(p));
	p.type = CU_GRAPH_NODE_TYPE_MEM_ALLOC;
	p.alloc.poolProps.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
	p.alloc.poolProps.location = access.location;
	p.alloc.accessDescs = &access;
	p.alloc.accessDescCount = 1;
	p.alloc.bytesize = BYTES;
	OK(cuGraphCreate(&graph, 0));
	OK(cuGraphAddNode_v2(&node, graph, NULL, NULL, 0, &p));
	TRUE(p.alloc.dptr);
	OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
	for (unsigned int i = 1; i <= 3; i++) {
		OK(cuGraphLaunch(exec, s));
		OK(cuMemsetD32Async(p.alloc.dptr, i, BYTES / 4, s));
		OK(cuStreamSynchronize(s));
		TRUE(value_at(p.alloc.dptr, BYTES / 4 - 1) == i);
		OK(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, p.alloc.dptr));
		TRUE(type == CU_MEMORYTYPE_DEVICE);
		if (i < 3)
			OK(cuMemFreeAsync(p.alloc.dptr, s));
		else
			OK(cuMemFree_v2(p.alloc.dptr));
	}
	IS(cuMemFree_v2(p.alloc.dptr), CUDA_ERROR_INVALID_VALUE);
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphInstantiateWithFlags(&exec, graph, CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH));
	for (unsigned int i = 0; i < 3; i++)
		OK(cuGraphLaunch(exec, s));
	OK(cuStreamSynchronize(s));
	OK(cuMemFreeAsync(p.alloc.dptr, s));
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphDestroy(graph));
	OK(cuStreamSynchronize(s));
	OK(cuDeviceGraphMemTrim(dev));
}

/* Stream-ordered allocation under capture becomes such nodes. */
static void captured(CUstream s)
{
	CUgraphNode nodes[4];
	CUgraphNodeType type;
	CUgraphExec exec;
	CUgraph graph;
	CUdeviceptr p, q;
	size_t count = 4;

	OK(cuMemAlloc_v2(&q, BYTES));
	OK(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
	OK(cuMemAllocAsync(&p, BYTES, s));
	OK(cuMemsetD32Async(p, 9, BYTES / 4, s));
	OK(cuMemcpyDtoDAsync_v2(q, p, BYTES, s));
	OK(cuMemFreeAsync(p, s));
	OK(cuStreamEndCapture(s, &graph));
	OK(cuGraphGetNodes(graph, nodes, &count));
	TRUE(count == 4);
	OK(cuGraphNodeGetType(nodes[0], &type));
	TRUE(type == CU_GRAPH_NODE_TYPE_MEM_ALLOC);
	OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
	OK(cuGraphLaunch(exec, s));
	OK(cuGraphLaunch(exec, s));
	OK(cuStreamSynchronize(s));
	TRUE(value_at(q, BYTES / 4 - 1) == 9);
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphDestroy(graph));
	OK(cuDeviceGraphMemTrim(dev));
	OK(cuMemFree_v2(q));
}

void graph_memory(void)
{
	CUstream s;

	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	within(s);
	beyond(s);
	captured(s);
	OK(cuStreamDestroy_v2(s));
}

/*
 * A graph and the program's own memory together are more than there is: some call
 * says so, and it is the launch, or one after it.
 */
void graph_limit(void)
{
	CUDA_MEM_ALLOC_NODE_PARAMS a;
	CUresult made, launched = CUDA_SUCCESS, ended = CUDA_SUCCESS;
	CUgraphExec exec = NULL;
	size_t left, now, total;
	CUgraphNode alloc, done;
	CUgraph graph;
	CUdeviceptr p;
	CUstream s;

	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	OK(cuDeviceGraphMemTrim(dev));
	OK(cuMemGetInfo_v2(&left, &total));
	OK(cuMemAlloc_v2(&p, left / 2));
	a = alloc_params(left / 4 * 3);
	OK(cuGraphCreate(&graph, 0));
	OK(cuGraphAddMemAllocNode(&alloc, graph, NULL, 0, &a));
	OK(cuGraphAddMemFreeNode(&done, graph, &alloc, 1, a.dptr));
	made = cuGraphInstantiateWithFlags(&exec, graph, 0);
	if (!made) {
		launched = cuGraphLaunch(exec, s);
		ended = cuStreamSynchronize(s);
	}
	TRUE(made == CUDA_ERROR_OUT_OF_MEMORY || launched == CUDA_ERROR_OUT_OF_MEMORY ||
	     ended == CUDA_ERROR_OUT_OF_MEMORY);
	OK(cuMemFree_v2(p));
	if (made)
		OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
	OK(cuGraphLaunch(exec, s));
	OK(cuStreamSynchronize(s));
	/* The graph has it now, until it is trimmed. */
	OK(cuMemGetInfo_v2(&now, &total));
	TRUE(now <= left - left / 4 * 3);
	OK(cuDeviceGraphMemTrim(dev));
	OK(cuMemGetInfo_v2(&now, &total));
	TRUE(now > left / 2);
	OK(cuMemAlloc_v2(&p, left / 2));
	OK(cuMemFree_v2(p));
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphDestroy(graph));
	OK(cuStreamDestroy_v2(s));
}
