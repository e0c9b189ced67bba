// SPDX-License-Identifier: Apache-2.0
/* What a node was given, asked again: nodes made by hand, by a clone, by a capture. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "driver_test.h"

#define WORDS 256u

static CUdeviceptr p, q;
static unsigned int n = WORDS, by = 4;
static void *params[] = { &p, &n, &by };

static CUDA_KERNEL_NODE_PARAMS kernel_params(void)
{
	return (CUDA_KERNEL_NODE_PARAMS){
		.func = add, .gridDimX = 2, .gridDimY = 1, .gridDimZ = 1, .blockDimX = 128,
		.blockDimY = 1, .blockDimZ = 1, .sharedMemBytes = 256, .kernelParams = params,
	};
}

static void is_kernel(const CUDA_KERNEL_NODE_PARAMS *k, unsigned int want)
{
	TRUE(k->gridDimX == 2 && k->gridDimY == 1 && k->gridDimZ == 1);
	TRUE(k->blockDimX == 128 && k->blockDimY == 1 && k->sharedMemBytes == 256);
	TRUE(k->kernelParams && !k->extra);
	if (!k->kernelParams)
		return;
	TRUE(*(CUdeviceptr *)k->kernelParams[0] == p);
	TRUE(*(unsigned int *)k->kernelParams[1] == n && *(unsigned int *)k->kernelParams[2] == want);
}

static void kernels(CUgraph graph)
{
	struct { CUdeviceptr p; unsigned int n, by; } block = { p, n, 9 };
	size_t bytes = sizeof(block);
	void *extra[] = { CU_LAUNCH_PARAM_BUFFER_POINTER, &block, CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes,
			  CU_LAUNCH_PARAM_END };
	CUDA_KERNEL_NODE_PARAMS k = kernel_params(), got;
	CUDA_KERNEL_NODE_PARAMS_v1 old, old_got;
	CUkernelNodeAttrValue value, back;
	CUgraphNode node, other, last;
	CUgraphExec exec;
	int least, greatest;
	void *array;

	OK(cuGraphAddKernelNode_v2(&node, graph, NULL, 0, &k));
	OK(cuGraphKernelNodeGetParams_v2(node, &got));
	TRUE(got.func == add);
	is_kernel(&got, 4);
	/* What an answer points to is the node's, and stays while its parameters do. */
	array = got.kernelParams;
	OK(cuGraphKernelNodeGetParams_v2(node, &got));
	TRUE(got.kernelParams == array);
	by = 5;
	OK(cuGraphKernelNodeSetParams_v2(node, &k));
	OK(cuGraphKernelNodeGetParams_v2(node, &got));
	is_kernel(&got, 5);
	/* An answer can be given back as it is. */
	OK(cuGraphKernelNodeSetParams_v2(node, &got));
	OK(cuGraphAddKernelNode_v2(&other, graph, &node, 1, &got));
	OK(cuGraphKernelNodeGetParams_v2(other, &got));
	is_kernel(&got, 5);
	memset(&old, 0, sizeof(old));
	old.func = add;
	old.gridDimX = 2;
	old.gridDimY = old.gridDimZ = old.blockDimY = old.blockDimZ = 1;
	old.blockDimX = 128;
	old.sharedMemBytes = 256;
	old.kernelParams = params;
	by = 6;
	OK(cuGraphKernelNodeSetParams(node, &old));
	OK(cuGraphKernelNodeGetParams(node, &old_got));
	TRUE(old_got.func == add && old_got.gridDimX == 2 && old_got.kernelParams);
	TRUE(*(unsigned int *)old_got.kernelParams[2] == 6);
	/* One after the other, because each adds to the same words. */
	OK(cuGraphAddKernelNode(&last, graph, &other, 1, &old));
	OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
	by = 1000;
	OK(cuGraphExecKernelNodeSetParams(exec, last, &old));
	OK(cuMemsetD32_v2(p, 0, WORDS));
	OK(cuGraphLaunch(exec, NULL));
	TRUE(value_at(p, WORDS - 1) == 6 + 5 + 1000);
	OK(cuGraphExecDestroy(exec));
	k.kernelParams = NULL;
	k.extra = extra;
	OK(cuGraphKernelNodeSetParams_v2(node, &k));
	OK(cuGraphKernelNodeGetParams_v2(node, &got));
	TRUE(got.extra && !got.kernelParams);
	for (int i = 0; got.extra && got.extra[i] != CU_LAUNCH_PARAM_END; i += 2) {
		if (got.extra[i] == CU_LAUNCH_PARAM_BUFFER_POINTER)
			TRUE(!memcmp(got.extra[i + 1], &block, sizeof(block)));
		else
			TRUE(*(size_t *)got.extra[i + 1] == sizeof(block));
	}
	OK(cuCtxGetStreamPriorityRange(&least, &greatest));
	memset(&value, 0, sizeof(value));
	value.priority = greatest;
	OK(cuGraphKernelNodeSetAttribute(node, CU_LAUNCH_ATTRIBUTE_PRIORITY, &value));
	memset(&back, 0xff, sizeof(back));
	OK(cuGraphKernelNodeGetAttribute(node, CU_LAUNCH_ATTRIBUTE_PRIORITY, &back));
	TRUE(back.priority == greatest);
	OK(cuGraphKernelNodeCopyAttributes(other, node));
	memset(&back, 0xff, sizeof(back));
	OK(cuGraphKernelNodeGetAttribute(other, CU_LAUNCH_ATTRIBUTE_PRIORITY, &back));
	TRUE(back.priority == greatest);
	IS(cuGraphKernelNodeGetParams_v2(node, NULL), CUDA_ERROR_INVALID_VALUE);
}

/* A kernel that is no function: what comes back can be launched. */
static void library_kernel(CUgraph graph)
{
	CUDA_KERNEL_NODE_PARAMS k = kernel_params(), got;
	CUgraphNode node, again;
	CUlibrary l;
	CUkernel kernel;

	OK(cuLibraryLoadData(&l, ptx, NULL, NULL, 0, NULL, NULL, 0));
	OK(cuLibraryGetKernel(&kernel, l, "add"));
	by = 4;
	k.func = NULL;
	k.kern = kernel;
	k.ctx = ctx;
	OK(cuGraphAddKernelNode_v2(&node, graph, NULL, 0, &k));
	memset(&got, 0, sizeof(got));
	OK(cuGraphKernelNodeGetParams_v2(node, &got));
	TRUE(got.func || got.kern == kernel);
	is_kernel(&got, 4);
	OK(cuGraphAddKernelNode_v2(&again, graph, &node, 1, &got));
	OK(cuGraphDestroyNode(again));
	OK(cuGraphDestroyNode(node));
	OK(cuLibraryUnload(l));
}

static void others(CUgraph graph)
{
	CUDA_MEMSET_NODE_PARAMS set = { .dst = p, .value = 3, .elementSize = 4, .width = WORDS,
					.height = 1 };
	CUDA_MEMCPY3D copy = { .srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcDevice = p,
			       .dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstDevice = q,
			       .srcPitch = 4 * WORDS, .dstPitch = 4 * WORDS, .srcHeight = 1,
			       .dstHeight = 1, .WidthInBytes = 4 * WORDS, .Height = 1, .Depth = 1 };
	CUstreamBatchMemOpParams op[2];
	CUDA_BATCH_MEM_OP_NODE_PARAMS ops = { .ctx = ctx, .count = 2, .paramArray = op }, ops_got;
	CUDA_MEMSET_NODE_PARAMS set_got;
	CUDA_MEMCPY3D copy_got;
	CUgraphNode node, first;
	CUevent a, b, got;

	memset(op, 0, sizeof(op));
	op[0].writeValue.operation = op[1].writeValue.operation = CU_STREAM_MEM_OP_WRITE_VALUE_32;
	op[0].writeValue.address = p;
	op[1].writeValue.address = p + 4;
	op[1].writeValue.value = 5;
	OK(cuEventCreate(&a, 0));
	OK(cuEventCreate(&b, 0));
	OK(cuGraphAddMemsetNode(&first, graph, NULL, 0, &set, ctx));
	OK(cuGraphMemsetNodeGetParams(first, &set_got));
	TRUE(set_got.dst == p && set_got.value == 3 && set_got.elementSize == 4);
	TRUE(set_got.width == WORDS && set_got.height == 1);
	OK(cuGraphAddMemcpyNode(&node, graph, &first, 1, &copy, ctx));
	OK(cuGraphMemcpyNodeGetParams(node, &copy_got));
	TRUE(copy_got.srcDevice == p && copy_got.dstDevice == q);
	TRUE(copy_got.srcMemoryType == CU_MEMORYTYPE_DEVICE && copy_got.WidthInBytes == 4 * WORDS);
	OK(cuGraphAddEventRecordNode(&node, graph, &first, 1, a));
	OK(cuGraphEventRecordNodeGetEvent(node, &got));
	TRUE(got == a);
	OK(cuGraphEventRecordNodeSetEvent(node, b));
	OK(cuGraphEventRecordNodeGetEvent(node, &got));
	TRUE(got == b);
	IS(cuGraphMemsetNodeGetParams(node, &set_got), CUDA_ERROR_INVALID_VALUE);
	OK(cuGraphAddEventWaitNode(&node, graph, &first, 1, b));
	OK(cuGraphEventWaitNodeGetEvent(node, &got));
	TRUE(got == b);
	OK(cuGraphAddBatchMemOpNode(&node, graph, &first, 1, &ops));
	OK(cuGraphBatchMemOpNodeGetParams(node, &ops_got));
	TRUE(ops_got.count == 2 && ops_got.ctx == ctx && ops_got.paramArray);
	TRUE(ops_got.paramArray[1].writeValue.address == p + 4 &&
	     ops_got.paramArray[1].writeValue.value == 5);
	ops.count = 1;
	OK(cuGraphBatchMemOpNodeSetParams(node, &ops));
	OK(cuGraphBatchMemOpNodeGetParams(node, &ops_got));
	TRUE(ops_got.count == 1);
	OK(cuEventDestroy_v2(a));
	OK(cuEventDestroy_v2(b));
}

/* Page-locked memory, which the device reaches when the graph runs. */
static void pinned(CUgraph graph)
{
	CUDA_MEMCPY3D copy = { .srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcDevice = p,
			       .dstMemoryType = CU_MEMORYTYPE_HOST, .srcPitch = 4 * WORDS,
			       .dstPitch = 4 * WORDS, .srcHeight = 1, .dstHeight = 1,
			       .WidthInBytes = 4 * WORDS, .Height = 1, .Depth = 1 }, got;
	unsigned int *host = NULL;
	CUgraphExec exec;
	CUgraphNode node;

	OK(cuMemHostAlloc((void **)&host, 4 * WORDS, CU_MEMHOSTALLOC_DEVICEMAP));
	if (!host)
		return;
	copy.dstHost = host;
	OK(cuGraphAddMemcpyNode(&node, graph, NULL, 0, &copy, ctx));
	OK(cuGraphMemcpyNodeGetParams(node, &got));
	TRUE(got.dstMemoryType == CU_MEMORYTYPE_HOST && got.dstHost == host);
	TRUE(got.srcMemoryType == CU_MEMORYTYPE_DEVICE && got.srcDevice == p);
	OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
	for (unsigned int i = 1; i <= 2; i++) {
		OK(cuMemsetD32_v2(p, i, WORDS));
		OK(cuGraphLaunch(exec, NULL));
		OK(cuStreamSynchronize(NULL));
		TRUE(host[0] == i && host[WORDS - 1] == i);
	}
	OK(cuGraphExecDestroy(exec));
	OK(cuMemFreeHost(host));
}

void graph_params(void)
{
	CUgraph graph;

	OK(cuMemAlloc_v2(&p, 4 * WORDS));
	OK(cuMemAlloc_v2(&q, 4 * WORDS));
	OK(cuGraphCreate(&graph, 0));
	by = 4;
	kernels(graph);
	OK(cuGraphDestroy(graph));
	OK(cuGraphCreate(&graph, 0));
	library_kernel(graph);
	others(graph);
	OK(cuGraphDestroy(graph));
	OK(cuGraphCreate(&graph, 0));
	pinned(graph);
	OK(cuGraphDestroy(graph));
	OK(cuMemFree_v2(p));
	OK(cuMemFree_v2(q));
}

/* Nodes that a capture made are asked like any other. */
void graph_captured(void)
{
	CUDA_KERNEL_NODE_PARAMS k;
	CUDA_MEMSET_NODE_PARAMS set;
	CUgraphNode nodes[4], copy_node;
	CUgraph graph, clone;
	CUgraphNodeType type;
	CUDA_MEMCPY3D copy;
	CUgraphExec exec;
	CUstream s;
	size_t count = 4;

	OK(cuMemAlloc_v2(&p, 4 * WORDS));
	OK(cuMemAlloc_v2(&q, 4 * WORDS));
	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	by = 4;
	OK(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
	OK(cuMemsetD32Async(p, 1, WORDS, s));
	OK(cuLaunchKernel(add, 2, 1, 1, 128, 1, 1, 256, s, params, NULL));
	OK(cuMemcpyDtoDAsync_v2(q, p, 4 * WORDS, s));
	OK(cuStreamEndCapture(s, &graph));
	OK(cuGraphGetNodes(graph, nodes, &count));
	TRUE(count == 3);
	for (size_t i = 0; i < count; i++) {
		OK(cuGraphNodeGetType(nodes[i], &type));
		if (type == CU_GRAPH_NODE_TYPE_MEMSET) {
			OK(cuGraphMemsetNodeGetParams(nodes[i], &set));
			TRUE(set.dst == p && set.value == 1 && set.elementSize == 4);
		} else if (type == CU_GRAPH_NODE_TYPE_KERNEL) {
			OK(cuGraphKernelNodeGetParams_v2(nodes[i], &k));
			TRUE(k.func == add);
			is_kernel(&k, 4);
			/* And changed. */
			by = 8;
			k.kernelParams = params;
			OK(cuGraphKernelNodeSetParams_v2(nodes[i], &k));
			OK(cuGraphClone(&clone, graph));
			OK(cuGraphNodeFindInClone(&copy_node, nodes[i], clone));
			OK(cuGraphKernelNodeGetParams_v2(copy_node, &k));
			is_kernel(&k, 8);
			OK(cuGraphDestroy(clone));
		} else {
			TRUE(type == CU_GRAPH_NODE_TYPE_MEMCPY);
			OK(cuGraphMemcpyNodeGetParams(nodes[i], &copy));
			TRUE(copy.srcDevice == p && copy.dstDevice == q);
			TRUE(copy.WidthInBytes == 4 * WORDS);
		}
	}
	OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
	OK(cuGraphDestroy(graph));
	OK(cuGraphLaunch(exec, s));
	OK(cuStreamSynchronize(s));
	TRUE(value_at(q, WORDS - 1) == 9);
	/* A launch cannot be captured. */
	OK(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
	IS(cuGraphLaunch(exec, s), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	IS(cuStreamEndCapture(s, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	OK(cuGraphExecDestroy(exec));
	OK(cuStreamDestroy_v2(s));
	OK(cuMemFree_v2(p));
	OK(cuMemFree_v2(q));
}

/* A capture that adds to a graph that is there. */
void capture_to_graph(void)
{
	CUDA_MEMSET_NODE_PARAMS set = { .value = 3, .elementSize = 4, .width = WORDS, .height = 1 };
	CUgraphNode first, list[4];
	CUgraph graph, same;
	CUgraphExec exec;
	CUstream s;
	size_t count = 4;

	OK(cuMemAlloc_v2(&p, 4 * WORDS));
	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	OK(cuGraphCreate(&graph, 0));
	set.dst = p;
	by = 4;
	OK(cuGraphAddMemsetNode(&first, graph, NULL, 0, &set, ctx));
	OK(cuStreamBeginCaptureToGraph(s, graph, &first, NULL, 1, CU_STREAM_CAPTURE_MODE_RELAXED));
	OK(cuLaunchKernel(add, 2, 1, 1, 128, 1, 1, 0, s, params, NULL));
	OK(cuStreamEndCapture(s, &same));
	TRUE(same == graph);
	OK(cuGraphNodeGetDependentNodes(first, list, &count));
	TRUE(count == 1);
	OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
	OK(cuGraphLaunch(exec, s));
	OK(cuStreamSynchronize(s));
	TRUE(value_at(p, WORDS - 1) == 7);
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphDestroy(graph));
	OK(cuStreamDestroy_v2(s));
	OK(cuMemFree_v2(p));
}

void graph_dot(void)
{
	char path[] = "/tmp/driver-test-XXXXXX", text[4096] = "";
	CUDA_KERNEL_NODE_PARAMS k = kernel_params();
	CUgraphNode a, b;
	CUgraph graph;
	FILE *f;

	OK(cuMemAlloc_v2(&p, 4 * WORDS));
	OK(cuGraphCreate(&graph, 0));
	OK(cuGraphAddEmptyNode(&a, graph, NULL, 0));
	OK(cuGraphAddKernelNode_v2(&b, graph, &a, 1, &k));
	close(mkstemp(path));
	OK(cuGraphDebugDotPrint(graph, path, 0));
	f = fopen(path, "r");
	TRUE(f && fread(text, 1, sizeof(text) - 1, f) > 0);
	if (f)
		fclose(f);
	unlink(path);
	TRUE(strstr(text, "digraph") && strstr(text, "->") && strstr(text, "add"));
	IS(cuGraphDebugDotPrint(graph, "/nowhere/at/all", 0), CUDA_ERROR_OPERATING_SYSTEM);
	OK(cuGraphDestroy(graph));
	OK(cuMemFree_v2(p));
}
