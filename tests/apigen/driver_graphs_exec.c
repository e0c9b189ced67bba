// SPDX-License-Identifier: Apache-2.0
/* Executable graphs, made and changed by the functions of each type of node. */
#include <string.h>

#include "driver_test.h"

#define WORDS 64u

static CUdeviceptr a, b;
static CUgraph g;

static unsigned int launched(CUgraphExec exec, CUdeviceptr p)
{
	OK(cuGraphLaunch(exec, NULL));
	OK(cuStreamSynchronize(NULL));
	return value_at(p, WORDS - 1);
}

static CUDA_MEMSET_NODE_PARAMS set_to(CUdeviceptr p, unsigned int v)
{
	return (CUDA_MEMSET_NODE_PARAMS){ .dst = p, .value = v, .elementSize = 4, .width = WORDS,
					  .height = 1 };
}

static CUDA_MEMCPY3D copy_of(CUdeviceptr to, CUdeviceptr from)
{
	return (CUDA_MEMCPY3D){ .srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcDevice = from,
				.dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstDevice = to,
				.srcPitch = 4 * WORDS, .dstPitch = 4 * WORDS, .srcHeight = 1,
				.dstHeight = 1, .WidthInBytes = 4 * WORDS, .Height = 1,
				.Depth = 1 };
}

static void begin(void)
{
	OK(cuMemAlloc_v2(&a, 4 * WORDS));
	OK(cuMemAlloc_v2(&b, 4 * WORDS));
	OK(cuMemsetD32_v2(b, 0, WORDS));
	OK(cuGraphCreate(&g, 0));
}

static void end(void)
{
	OK(cuGraphDestroy(g));
	OK(cuMemFree_v2(a));
	OK(cuMemFree_v2(b));
}

void instantiation(void)
{
	CUDA_MEMSET_NODE_PARAMS set;
	CUDA_GRAPH_INSTANTIATE_PARAMS how = { .flags = CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD };
	CUgraphNode node, bad = NULL;
	CUgraphExec exec;
	cuuint64_t flags = 77;
	char log[256] = "";

	begin();
	set = set_to(a, 11);
	OK(cuGraphAddMemsetNode(&node, g, NULL, 0, &set, ctx));
	OK(cuGraphInstantiate(&exec, g, &bad, log, sizeof(log)));
	TRUE(launched(exec, a) == 11);
	OK(cuGraphExecDestroy(exec));
	OK(cuMemsetD32_v2(a, 0, WORDS));
	OK(cuGraphInstantiate_v2(&exec, g, NULL, NULL, 0));
	TRUE(launched(exec, a) == 11);
	OK(cuGraphExecGetFlags(exec, &flags));
	TRUE(flags == 0);
	OK(cuGraphExecDestroy(exec));
	OK(cuMemsetD32_v2(a, 0, WORDS));
	OK(cuGraphInstantiateWithParams(&exec, g, &how));
	TRUE(how.result_out == CUDA_GRAPH_INSTANTIATE_SUCCESS && !how.hErrNode_out);
	TRUE(launched(exec, a) == 11);
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphInstantiateWithFlags(&exec, g, CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH));
	OK(cuGraphExecGetFlags(exec, &flags));
	TRUE(flags & CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH);
	IS(cuGraphExecGetFlags(exec, NULL), CUDA_ERROR_INVALID_VALUE);
	OK(cuGraphExecDestroy(exec));
	IS(cuGraphInstantiate_v2(NULL, g, NULL, NULL, 0), CUDA_ERROR_INVALID_VALUE);
	TRUE(cuGraphInstantiate(&exec, NULL, NULL, NULL, 0) != CUDA_SUCCESS);
	IS(cuGraphInstantiateWithParams(&exec, g, NULL), CUDA_ERROR_INVALID_VALUE);
	end();
}

void exec_nodes(void)
{
	CUstreamBatchMemOpParams op = { 0 };
	CUDA_BATCH_MEM_OP_NODE_PARAMS ops = { .count = 1, .paramArray = &op };
	CUDA_MEMSET_NODE_PARAMS set;
	CUDA_MEMCPY3D copy;
	CUgraphNode setter, copier, values;
	CUgraphExec exec;

	begin();
	set = set_to(a, 11);
	OK(cuGraphAddMemsetNode(&setter, g, NULL, 0, &set, ctx));
	copy = copy_of(b, a);
	OK(cuGraphAddMemcpyNode(&copier, g, &setter, 1, &copy, ctx));
	op.writeValue.operation = CU_STREAM_MEM_OP_WRITE_VALUE_32;
	op.writeValue.address = a;
	op.writeValue.value = 5;
	ops.ctx = ctx;
	OK(cuGraphAddBatchMemOpNode(&values, g, &copier, 1, &ops));
	/* In the graph. */
	set = set_to(a, 12);
	OK(cuGraphMemsetNodeSetParams(setter, &set));
	OK(cuGraphInstantiateWithFlags(&exec, g, 0));
	TRUE(launched(exec, b) == 12 && value_at(a, 0) == 5);
	/* In the executable graph: the other half, to another place. */
	copy = copy_of(b, a);
	copy.WidthInBytes = 2 * WORDS;
	OK(cuGraphMemcpyNodeSetParams(copier, &copy));
	copy.dstXInBytes = 2 * WORDS;
	copy.srcXInBytes = 0;
	OK(cuGraphExecMemcpyNodeSetParams(exec, copier, &copy, ctx));
	op.writeValue.value = 6;
	OK(cuGraphExecBatchMemOpNodeSetParams(exec, values, &ops));
	set = set_to(a, 13);
	OK(cuGraphExecMemsetNodeSetParams(exec, setter, &set, ctx));
	OK(cuMemsetD32_v2(b, 0, WORDS));
	TRUE(launched(exec, b) == 13 && value_at(b, 0) == 0 && value_at(a, 0) == 6);
	OK(cuGraphExecDestroy(exec));
	/* The graph has what was set in it: the first half alone. */
	OK(cuGraphInstantiateWithFlags(&exec, g, 0));
	OK(cuMemsetD32_v2(b, 0, WORDS));
	TRUE(launched(exec, b) == 0 && value_at(b, 0) == 12);
	TRUE(cuGraphMemcpyNodeSetParams(setter, &copy) != CUDA_SUCCESS);
	TRUE(cuGraphMemsetNodeSetParams(copier, &set) != CUDA_SUCCESS);
	IS(cuGraphMemsetNodeSetParams(setter, NULL), CUDA_ERROR_INVALID_VALUE);
	IS(cuGraphMemcpyNodeSetParams(copier, NULL), CUDA_ERROR_INVALID_VALUE);
	TRUE(cuGraphExecMemcpyNodeSetParams(exec, setter, &copy, ctx) != CUDA_SUCCESS);
	TRUE(cuGraphExecBatchMemOpNodeSetParams(exec, setter, &ops) != CUDA_SUCCESS);
	OK(cuGraphExecDestroy(exec));
	end();
}

/* A graph within one; another like it takes its place in the executable graph. */
void exec_children(void)
{
	CUDA_MEMSET_NODE_PARAMS set;
	CUgraphNode node, child, list[4];
	CUgraph small, other;
	CUgraphExec exec;
	size_t count = 4;

	begin();
	OK(cuGraphCreate(&small, 0));
	set = set_to(a, 21);
	OK(cuGraphAddMemsetNode(&node, small, NULL, 0, &set, ctx));
	OK(cuGraphAddChildGraphNode(&child, g, NULL, 0, small));
	OK(cuGraphClone(&other, small));
	OK(cuGraphInstantiateWithFlags(&exec, g, 0));
	TRUE(launched(exec, a) == 21);
	OK(cuGraphGetNodes(other, list, &count));
	TRUE(count == 1);
	set = set_to(a, 22);
	OK(cuGraphMemsetNodeSetParams(list[0], &set));
	OK(cuGraphExecChildGraphNodeSetParams(exec, child, other));
	TRUE(launched(exec, a) == 22);
	OK(cuGraphAddEmptyNode(&node, other, list, 1));
	TRUE(cuGraphExecChildGraphNodeSetParams(exec, child, other) != CUDA_SUCCESS);
	TRUE(cuGraphAddChildGraphNode(&node, g, NULL, 0, NULL) != CUDA_SUCCESS);
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphDestroy(other));
	OK(cuGraphDestroy(small));
	end();
}

/* What a graph records shows in the event that it was given last. */
void exec_events(void)
{
	CUgraphNode record, wait;
	CUgraphExec exec;
	CUevent e[3], got;
	CUstream s;

	begin();
	for (int i = 0; i < 3; i++)
		OK(cuEventCreate(&e[i], CU_EVENT_DEFAULT));
	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	OK(cuGraphAddEventRecordNode(&record, g, NULL, 0, e[0]));
	OK(cuGraphAddEventWaitNode(&wait, g, &record, 1, e[0]));
	OK(cuGraphEventWaitNodeSetEvent(wait, e[1]));
	OK(cuGraphEventWaitNodeGetEvent(wait, &got));
	TRUE(got == e[1]);
	OK(cuGraphInstantiateWithFlags(&exec, g, 0));
	OK(cuGraphExecEventRecordNodeSetEvent(exec, record, e[2]));
	OK(cuGraphExecEventWaitNodeSetEvent(exec, wait, e[2]));
	OK(cuEventRecord(e[0], s));
	OK(cuGraphLaunch(exec, s));
	OK(cuEventRecord(e[1], s));
	OK(cuStreamSynchronize(s));
	/* Recorded between the two others, so it has times to both. */
	{
		float before = -1, after = -1;

		OK(cuEventElapsedTime_v2(&before, e[0], e[2]));
		OK(cuEventElapsedTime_v2(&after, e[2], e[1]));
		TRUE(before >= 0 && after >= 0);
	}
	OK(cuGraphEventRecordNodeGetEvent(record, &got));
	TRUE(got == e[0]);
	TRUE(cuGraphEventWaitNodeSetEvent(record, e[1]) != CUDA_SUCCESS);
	TRUE(cuGraphEventWaitNodeSetEvent(wait, NULL) != CUDA_SUCCESS);
	TRUE(cuGraphExecEventRecordNodeSetEvent(exec, wait, e[1]) != CUDA_SUCCESS);
	TRUE(cuGraphExecEventWaitNodeSetEvent(exec, record, e[1]) != CUDA_SUCCESS);
	OK(cuGraphExecDestroy(exec));
	for (int i = 0; i < 3; i++)
		OK(cuEventDestroy_v2(e[i]));
	OK(cuStreamDestroy_v2(s));
	end();
}

void dependencies(void)
{
	CUgraphEdgeData data[4];
	CUgraphNode n[3], list[4];
	size_t count = 4;

	begin();
	for (int i = 0; i < 3; i++)
		OK(cuGraphAddEmptyNode(&n[i], g, NULL, 0));
	OK(cuGraphAddDependencies_v2(g, (CUgraphNode[]){ n[0], n[0] },
				     (CUgraphNode[]){ n[1], n[2] }, NULL, 2));
	memset(data, 0xff, sizeof(data));
	OK(cuGraphNodeGetDependentNodes_v2(n[0], list, data, &count));
	TRUE(count == 2 && list[0] != list[1] && (list[0] == n[1] || list[0] == n[2]));
	TRUE(data[0].type == 0 && data[1].from_port == 0);
	OK(cuGraphRemoveDependencies(g, &n[0], &n[2], 1));
	count = 4;
	OK(cuGraphNodeGetDependentNodes_v2(n[0], list, NULL, &count));
	TRUE(count == 1 && list[0] == n[1]);
	IS(cuGraphAddDependencies_v2(g, &n[0], &n[1], NULL, 1), CUDA_ERROR_INVALID_VALUE);
	IS(cuGraphRemoveDependencies(g, &n[0], &n[2], 1), CUDA_ERROR_INVALID_VALUE);
	TRUE(cuGraphAddDependencies_v2(g, &n[1], &n[1], NULL, 1) != CUDA_SUCCESS);
	IS(cuGraphNodeGetDependentNodes_v2(n[0], list, NULL, NULL), CUDA_ERROR_INVALID_VALUE);
	end();
}
