// SPDX-License-Identifier: Apache-2.0
/*
 * Pageable memory of the program in graphs: it is read, or written, when the node runs.  To the
 * program each copy is one memcpy node with the program's own pointers.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "driver_test.h"

#define WORDS	5000u
#define BYTES	(4 * WORDS)

static unsigned int *in, *out;		/* pageable */
static CUdeviceptr p;
static CUstream s;

static void fill(unsigned int *at, unsigned int first)
{
	for (unsigned int i = 0; i < WORDS; i++)
		at[i] = first + i;
}

/* Whether they are first, first + 1 and so on; what else there is is told once. */
static int counts_from(const unsigned int *at, unsigned int first)
{
	for (unsigned int i = 0; i < WORDS; i++)
		if (at[i] != first + i) {
			printf("%s: word %u is %u, not %u\n", group, i, at[i], first + i);
			return 0;
		}
	return 1;
}

static void begin(void)
{
	in = malloc(BYTES);
	out = malloc(BYTES);
	OK(cuMemAlloc_v2(&p, BYTES));
	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
}

static void finish(void)
{
	OK(cuStreamDestroy_v2(s));
	OK(cuMemFree_v2(p));
	free(in);
	free(out);
}

/* Add `by` to each word of p, in the stream. */
static void add_all(unsigned int by)
{
	unsigned int n = WORDS;
	void *params[] = { &p, &n, &by };

	OK(cuLaunchKernel(add, (WORDS + 127) / 128, 1, 1, 128, 1, 1, 0, s, params, NULL));
}

/* What the one copy node of a graph says of itself. */
static CUDA_MEMCPY3D copy_of(CUgraph g, CUmemorytype from, CUgraphNode *node)
{
	CUDA_MEMCPY3D got = { 0 };
	CUgraphNode list[8];
	CUgraphNodeType type;
	size_t count = 8;

	*node = NULL;
	OK(cuGraphGetNodes(g, list, &count));
	for (size_t i = 0; i < count; i++) {
		OK(cuGraphNodeGetType(list[i], &type));
		if (type != CU_GRAPH_NODE_TYPE_MEMCPY)
			continue;
		OK(cuGraphMemcpyNodeGetParams(list[i], &got));
		if (got.srcMemoryType == from) {
			*node = list[i];
			break;
		}
	}
	TRUE(*node != NULL);
	return got;
}

/* To the device, a kernel, and back; between two launches the program changes its memory. */
static void captured(void)
{
	CUgraphNode list[8], node, back;
	CUDA_MEMCPY3D got;
	CUgraphExec exec;
	CUgraph g, child;
	size_t count;

	OK(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
	fill(in, 1);
	OK(cuMemcpyHtoDAsync_v2(p, in, BYTES, s));
	add_all(1000);
	OK(cuMemcpyDtoHAsync_v2(out, p, BYTES, s));
	OK(cuStreamEndCapture(s, &g));
	OK(cuGraphGetNodes(g, NULL, &count));
	IS(count, 3);
	OK(cuGraphGetEdges(g, NULL, NULL, &count));
	IS(count, 2);
	count = 8;
	OK(cuGraphGetRootNodes(g, list, &count));
	IS(count, 1);
	got = copy_of(g, CU_MEMORYTYPE_HOST, &node);
	TRUE(list[0] == node && got.srcHost == in && got.dstDevice == p);
	TRUE(got.dstMemoryType == CU_MEMORYTYPE_DEVICE && got.WidthInBytes == BYTES);
	TRUE(got.Height == 1 && got.Depth == 1);
	got = copy_of(g, CU_MEMORYTYPE_DEVICE, &back);
	TRUE(got.dstMemoryType == CU_MEMORYTYPE_HOST && got.dstHost == out && got.srcDevice == p);
	count = 8;
	OK(cuGraphNodeGetDependencies(back, list, &count));
	IS(count, 1);
	count = 8;
	OK(cuGraphNodeGetDependencies(node, list, &count));
	IS(count, 0);
	IS(cuGraphChildGraphNodeGetGraph(node, &child), CUDA_ERROR_INVALID_VALUE);
	OK(cuGraphInstantiateWithFlags(&exec, g, 0));
	for (unsigned int i = 1; i <= 3; i++) {
		fill(in, 100 * i);
		memset(out, 0, BYTES);
		OK(cuGraphLaunch(exec, s));
		OK(cuStreamSynchronize(s));
		TRUE(counts_from(out, 100 * i + 1000));
	}
	/* One after the other in a stream, with no wait in between. */
	OK(cuGraphLaunch(exec, s));
	OK(cuGraphLaunch(exec, s));
	OK(cuStreamSynchronize(s));
	TRUE(counts_from(out, 1300));
	/* What a graph is made of may go before its executions. */
	OK(cuGraphDestroy(g));
	fill(in, 7);
	OK(cuGraphLaunch(exec, s));
	OK(cuGraphExecDestroy(exec));
	OK(cuStreamSynchronize(s));
	TRUE(counts_from(out, 1007));
}

/* Nodes that are added one by one. */
static void explicit(void)
{
	CUDA_MEMCPY3D to = { .srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = in,
			     .dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstDevice = p,
			     .WidthInBytes = BYTES, .Height = 1, .Depth = 1 };
	CUDA_MEMCPY3D from = { .srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcDevice = p,
			       .dstMemoryType = CU_MEMORYTYPE_HOST, .dstHost = out,
			       .WidthInBytes = BYTES, .Height = 1, .Depth = 1 };
	CUgraphNode a, b, list[8];
	CUgraphNodeType type;
	CUDA_MEMCPY3D got;
	CUgraphExec exec;
	unsigned int on;
	size_t count = 8;
	CUgraph g;

	OK(cuGraphCreate(&g, 0));
	OK(cuGraphAddMemcpyNode(&a, g, NULL, 0, &to, ctx));
	OK(cuGraphAddMemcpyNode(&b, g, &a, 1, &from, ctx));
	OK(cuGraphGetNodes(g, list, &count));
	TRUE(count == 2 && list[0] == a && list[1] == b);
	OK(cuGraphNodeGetType(a, &type));
	TRUE(type == CU_GRAPH_NODE_TYPE_MEMCPY);
	OK(cuGraphMemcpyNodeGetParams(a, &got));
	TRUE(got.srcMemoryType == CU_MEMORYTYPE_HOST && got.srcHost == in && got.dstDevice == p);
	/* An answer can be given back. */
	OK(cuGraphMemcpyNodeSetParams(a, &got));
	OK(cuGraphInstantiateWithFlags(&exec, g, 0));
	OK(cuGraphNodeGetEnabled(exec, a, &on));
	IS(on, 1);
	for (unsigned int i = 1; i <= 2; i++) {
		fill(in, 10 * i);
		OK(cuGraphLaunch(exec, s));
		OK(cuStreamSynchronize(s));
		TRUE(counts_from(out, 10 * i));
	}
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphDestroyNode(a));
	OK(cuGraphGetNodes(g, NULL, &count));
	IS(count, 1);
	OK(cuGraphDestroy(g));
}

void graph_host_memory(void)
{
	begin();
	captured();
	explicit();
	finish();
}

static CUDA_MEMCPY3D to_device(const void *from)
{
	return (CUDA_MEMCPY3D){
		.srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = from,
		.dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstDevice = p,
		.WidthInBytes = BYTES, .Height = 1, .Depth = 1,
	};
}

static CUDA_MEMCPY3D to_host(void *to)
{
	return (CUDA_MEMCPY3D){
		.srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcDevice = p,
		.dstMemoryType = CU_MEMORYTYPE_HOST, .dstHost = to,
		.WidthInBytes = BYTES, .Height = 1, .Depth = 1,
	};
}

/* In and out again; the nodes in *a and *b. */
static CUgraph in_and_out(const void *from, void *to, CUgraphNode *a, CUgraphNode *b)
{
	CUDA_MEMCPY3D x = to_device(from), y = to_host(to);
	CUgraph g;

	OK(cuGraphCreate(&g, 0));
	OK(cuGraphAddMemcpyNode(a, g, NULL, 0, &x, ctx));
	OK(cuGraphAddMemcpyNode(b, g, a, 1, &y, ctx));
	return g;
}

static void run(CUgraphExec exec)
{
	OK(cuGraphLaunch(exec, s));
	OK(cuStreamSynchronize(s));
}

/* Other pointers, in the graph and in an executable one. */
void graph_host_params(void)
{
	unsigned int *other_in = malloc(BYTES), *other_out = malloc(BYTES), *locked;
	CUgraphNodeParams any = { .type = CU_GRAPH_NODE_TYPE_MEMCPY };
	CUDA_MEMCPY3D x, got;
	CUgraphExec exec, before;
	CUgraphNode a, b, c;
	CUgraphNodeType type;
	CUgraph g;

	begin();
	OK(cuMemAllocHost_v2((void **)&locked, BYTES));
	g = in_and_out(in, out, &a, &b);
	fill(in, 1);
	fill(other_in, 100);
	OK(cuGraphInstantiateWithFlags(&before, g, 0));
	/* In the graph: what has been instantiated stays as it was. */
	x = to_device(other_in);
	OK(cuGraphMemcpyNodeSetParams(a, &x));
	OK(cuGraphMemcpyNodeGetParams(a, &got));
	TRUE(got.srcHost == other_in && got.dstDevice == p);
	OK(cuGraphNodeGetType(a, &type));
	TRUE(type == CU_GRAPH_NODE_TYPE_MEMCPY);
	x = to_host(other_out);
	any.memcpy.copyParams = x;
	any.memcpy.copyCtx = ctx;
	OK(cuGraphNodeSetParams(b, &any));
	OK(cuGraphInstantiateWithFlags(&exec, g, 0));
	memset(out, 0, BYTES);
	memset(other_out, 0, BYTES);
	run(exec);
	TRUE(counts_from(other_out, 100) && !out[0] && !out[WORDS - 1]);
	run(before);
	TRUE(counts_from(out, 1) && counts_from(other_out, 100));
	/* In an executable one: the graph stays as it was. */
	x = to_device(in);
	OK(cuGraphExecMemcpyNodeSetParams(exec, a, &x, ctx));
	x = to_host(out);
	any.memcpy.copyParams = x;
	OK(cuGraphExecNodeSetParams(exec, b, &any));
	memset(out, 0, BYTES);
	memset(other_out, 0, BYTES);
	run(exec);
	TRUE(counts_from(out, 1) && !other_out[0]);
	OK(cuGraphMemcpyNodeGetParams(a, &got));
	TRUE(got.srcHost == other_in);
	/* Also in one of before the graph was changed. */
	x = to_device(other_in);
	OK(cuGraphExecMemcpyNodeSetParams(before, a, &x, ctx));
	run(before);
	TRUE(counts_from(out, 100));
	/* Page-locked memory in place of pageable, and pageable again. */
	fill(locked, 1000);
	x = to_device(locked);
	if (through_vgpu) {
		/* Of NVIDIA's driver it is not known whether that counts as another mapping. */
		OK(cuGraphExecMemcpyNodeSetParams(exec, a, &x, ctx));
		run(exec);
		TRUE(counts_from(out, 1000));
	}
	x = to_device(other_in);
	OK(cuGraphExecMemcpyNodeSetParams(exec, a, &x, ctx));
	run(exec);
	TRUE(counts_from(out, 100));
	x = to_host(locked);
	OK(cuGraphMemcpyNodeSetParams(b, &x));
	OK(cuGraphMemcpyNodeGetParams(b, &got));
	TRUE(got.dstMemoryType == CU_MEMORYTYPE_HOST && got.dstHost == locked);
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphInstantiateWithFlags(&exec, g, 0));
	run(exec);
	TRUE(counts_from(locked, 100));
	/* A node of any type is added in the same way. */
	any.memcpy.copyParams = to_host(out);
	OK(cuGraphAddNode_v2(&c, g, &b, NULL, 1, &any));
	OK(cuGraphNodeGetType(c, &type));
	TRUE(type == CU_GRAPH_NODE_TYPE_MEMCPY);
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphInstantiateWithFlags(&exec, g, 0));
	run(exec);
	TRUE(counts_from(out, 100));
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphExecDestroy(before));
	OK(cuGraphDestroy(g));
	OK(cuMemFreeHost(locked));
	free(other_in);
	free(other_out);
	finish();
}

/* Clones, child graphs, updates by a graph, and two executions at a time. */
void graph_host_copies(void)
{
	unsigned int *other_in = malloc(BYTES), *other_out = malloc(BYTES);
	CUgraphExecUpdateResultInfo info;
	CUgraph g, clone, outer, child, found;
	CUgraphNode a, b, node, list[4];
	CUDA_MEMCPY3D x, got;
	CUgraphExec exec, second;
	CUgraphNodeType type;
	CUdeviceptr own = p;
	size_t count = 4;
	CUstream t;

	begin();
	fill(in, 1);
	fill(other_in, 100);
	g = in_and_out(in, out, &a, &b);
	/* A clone's nodes are its own. */
	OK(cuGraphClone(&clone, g));
	OK(cuGraphNodeFindInClone(&node, b, clone));
	OK(cuGraphNodeGetType(node, &type));
	TRUE(type == CU_GRAPH_NODE_TYPE_MEMCPY);
	OK(cuGraphMemcpyNodeGetParams(node, &got));
	TRUE(got.dstHost == out && got.srcDevice == p);
	x = to_host(other_out);
	OK(cuGraphMemcpyNodeSetParams(node, &x));
	OK(cuGraphMemcpyNodeGetParams(b, &got));
	TRUE(got.dstHost == out);
	OK(cuGraphInstantiateWithFlags(&exec, clone, 0));
	OK(cuGraphDestroy(clone));
	memset(out, 0, BYTES);
	run(exec);
	TRUE(counts_from(other_out, 1) && !out[0]);
	/* A graph that another is updated by may go. */
	OK(cuGraphExecUpdate_v2(exec, g, &info));
	TRUE(info.result == CU_GRAPH_EXEC_UPDATE_SUCCESS);
	OK(cuGraphDestroy(g));
	fill(in, 5);
	run(exec);
	TRUE(counts_from(out, 5));
	g = in_and_out(other_in, other_out, &a, &b);
	OK(cuGraphExecUpdate_v2(exec, g, &info));
	run(exec);
	TRUE(counts_from(other_out, 100));
	OK(cuGraphExecDestroy(exec));
	/* One whose copy goes the other way is refused, and its node is named. */
	{
		CUgraph there, back;

		OK(cuGraphCreate(&there, 0));
		x = to_device(in);
		OK(cuGraphAddMemcpyNode(&node, there, NULL, 0, &x, ctx));
		OK(cuGraphInstantiateWithFlags(&exec, there, 0));
		OK(cuGraphCreate(&back, 0));
		x = to_host(out);
		OK(cuGraphAddMemcpyNode(&node, back, NULL, 0, &x, ctx));
		OK(cuGraphClone(&clone, back));
		IS(cuGraphExecUpdate_v2(exec, back, &info),
		   CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
		TRUE(info.errorNode == node);
		IS(cuGraphExecUpdate_v2(exec, clone, &info),
		   CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
		OK(cuGraphNodeFindInClone(&node, node, clone));
		TRUE(info.errorNode == node);
		IS(cuGraphExecMemcpyNodeSetParams(exec, node, &x, ctx), CUDA_ERROR_INVALID_VALUE);
		fill(in, 9);
		run(exec);
		TRUE(value_at(p, 1) == 10);
		/* In a graph the direction may change. */
		x = to_device(in);
		OK(cuGraphMemcpyNodeSetParams(node, &x));
		OK(cuGraphExecUpdate_v2(exec, clone, &info));
		fill(in, 11);
		run(exec);
		TRUE(value_at(p, 1) == 12);
		OK(cuGraphExecDestroy(exec));
		OK(cuGraphDestroy(there));
		OK(cuGraphDestroy(back));
		OK(cuGraphDestroy(clone));
	}
	/* In a graph that is part of another. */
	OK(cuGraphCreate(&outer, 0));
	OK(cuGraphAddChildGraphNode(&node, outer, NULL, 0, g));
	OK(cuGraphNodeGetType(node, &type));
	TRUE(type == CU_GRAPH_NODE_TYPE_GRAPH);
	OK(cuGraphChildGraphNodeGetGraph(node, &found));
	OK(cuGraphGetNodes(found, list, &count));
	IS(count, 2);
	OK(cuGraphNodeGetType(list[0], &type));
	TRUE(type == CU_GRAPH_NODE_TYPE_MEMCPY);
	OK(cuGraphMemcpyNodeGetParams(list[0], &got));
	TRUE(got.srcHost == other_in);
	IS(cuGraphChildGraphNodeGetGraph(list[0], &child), CUDA_ERROR_INVALID_VALUE);
	OK(cuGraphInstantiateWithFlags(&exec, outer, 0));
	fill(other_in, 50);
	run(exec);
	TRUE(counts_from(other_out, 50));
	/* Which is given another's parameters, that goes then. */
	{
		CUgraph other = in_and_out(in, out, &a, &b);

		OK(cuGraphExecChildGraphNodeSetParams(exec, node, other));
		OK(cuGraphDestroy(other));
		a = b = NULL;
		fill(in, 60);
		run(exec);
		TRUE(counts_from(out, 60));
		count = 2;
		OK(cuGraphGetNodes(g, list, &count));
		a = list[0];
		b = list[1];
	}
	IS(cuGraphExecChildGraphNodeSetParams(exec, a, g), CUDA_ERROR_INVALID_VALUE);
	OK(cuGraphDestroy(outer));
	OK(cuGraphExecDestroy(exec));
	/* Two executions of one graph at a time, one of them with other memory. */
	OK(cuStreamCreate(&t, CU_STREAM_NON_BLOCKING));
	OK(cuMemAlloc_v2(&own, BYTES));
	OK(cuGraphInstantiateWithFlags(&exec, g, 0));
	OK(cuGraphInstantiateWithFlags(&second, g, 0));
	x = to_device(in);
	x.dstDevice = own;
	OK(cuGraphExecMemcpyNodeSetParams(second, a, &x, ctx));
	x = to_host(out);
	x.srcDevice = own;
	OK(cuGraphExecMemcpyNodeSetParams(second, b, &x, ctx));
	OK(cuGraphDestroy(g));
	for (unsigned int i = 1; i <= 20; i++) {
		fill(in, i);
		fill(other_in, 1000 + i);
		OK(cuGraphLaunch(exec, s));
		OK(cuGraphLaunch(second, t));
		OK(cuStreamSynchronize(t));
		TRUE(counts_from(out, i));
		OK(cuStreamSynchronize(s));
		TRUE(counts_from(other_out, 1000 + i));
	}
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphExecDestroy(second));
	OK(cuMemFree_v2(own));
	OK(cuStreamDestroy_v2(t));
	free(other_in);
	free(other_out);
	finish();
}

static void write_in(void *first)
{
	fill(in, *(unsigned int *)first);
}

static void move_on(void *unused)
{
	(void)unused;
	memcpy(in, out, BYTES);
	memset(out, 0, BYTES);
}

/* A drawing of the graph has so many copies, and no child graph. */
static void is_drawn(CUgraph g, int copies)
{
	char path[] = "/tmp/vgpu-dot-XXXXXX", line[256];
	int fd = mkstemp(path), seen = 0, children = 0;
	FILE *f;

	TRUE(fd >= 0);
	close(fd);
	OK(cuGraphDebugDotPrint(g, path, 0));
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f)) {
		seen += strstr(line, "MEMCPY") != NULL;
		children += strstr(line, "cluster_1") != NULL;
	}
	/* NVIDIA's driver 580.159 draws some. */
	TRUE(f && (!children || !through_vgpu));
	TRUE(seen >= copies);
	if (f)
		fclose(f);
	unlink(path);
}

/*
 * A host function before a copy has written what is copied, one after it sees what has come.
 * Natively that is not so (driver 580.159): a graph's copies of pageable memory and its host
 * functions are not in order.
 */
void graph_host_order(void)
{
	unsigned int first = 1;
	CUDA_MEMCPY3D x;
	CUgraphNode node;
	CUgraphExec exec;
	CUgraph g;
	size_t count;

	begin();
	OK(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
	OK(cuMemsetD32Async(p, 0, WORDS, s));
	OK(cuLaunchHostFunc(s, write_in, &first));
	OK(cuMemcpyHtoDAsync_v2(p, in, BYTES, s));
	OK(cuMemsetD32Async(p, 1, 1, s));
	add_all(10);
	OK(cuMemcpyDtoHAsync_v2(out, p, BYTES, s));
	OK(cuLaunchHostFunc(s, move_on, NULL));
	OK(cuMemcpyHtoDAsync_v2(p, in, BYTES, s));
	OK(cuMemsetD32Async(p + 4, 3, 1, s));
	OK(cuMemcpyAsync((CUdeviceptr)(uintptr_t)out, p, BYTES, s));
	OK(cuStreamEndCapture(s, &g));
	OK(cuGraphGetNodes(g, NULL, &count));
	IS(count, 10);
	OK(cuGraphGetEdges(g, NULL, NULL, &count));
	IS(count, 9);
	is_drawn(g, 4);
	OK(cuGraphInstantiateWithFlags(&exec, g, 0));
	for (first = 1; first < 4; first++) {
		run(exec);
		if (!through_vgpu)
			continue;
		TRUE(out[0] == 11 && out[1] == 3 && out[2] == first + 12);
		TRUE(out[WORDS - 1] == first + WORDS - 1 + 10);
	}
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphDestroy(g));
	/* From memory of the program's to memory of the program's. */
	OK(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
	OK(cuMemcpyAsync((CUdeviceptr)(uintptr_t)out, (CUdeviceptr)(uintptr_t)in, BYTES, s));
	OK(cuStreamEndCapture(s, &g));
	if (through_vgpu) {
		x = copy_of(g, CU_MEMORYTYPE_HOST, &node);
		TRUE(x.srcHost == in && x.dstHost == out);
		TRUE(x.dstMemoryType == CU_MEMORYTYPE_HOST);
	}
	OK(cuGraphInstantiateWithFlags(&exec, g, 0));
	for (unsigned int i = 1; i < 3; i++) {
		fill(in, i);
		run(exec);
		TRUE(counts_from(out, i));
	}
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphDestroy(g));
	/* A copy that the driver refuses leaves the capture as it was. */
	{
		CUDA_ARRAY_DESCRIPTOR d = { .Width = 8, .NumChannels = 1,
					    .Format = CU_AD_FORMAT_UNSIGNED_INT32 };
		CUarray array;

		OK(cuArrayCreate_v2(&array, &d));
		OK(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
		OK(cuMemcpyHtoDAsync_v2(p, in, BYTES, s));
		cuMemcpyHtoAAsync_v2(array, 0, in, 32, s);
		OK(cuMemcpyDtoHAsync_v2(out, p, BYTES, s));
		OK(cuStreamEndCapture(s, &g));
		OK(cuGraphInstantiateWithFlags(&exec, g, 0));
		fill(in, 5);
		run(exec);
		TRUE(counts_from(out, 5));
		OK(cuGraphExecDestroy(exec));
		OK(cuGraphDestroy(g));
		OK(cuArrayDestroy(array));
	}
	/* No batch is captured; of one it may not be that its memory is read later. */
	{
		CUmemcpyAttributes during = {
			.srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL,
		};
		CUdeviceptr from = (CUdeviceptr)(uintptr_t)in;
		size_t bytes = BYTES, zero = 0;

		OK(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
		TRUE(cuMemcpyBatchAsync_v2(&p, &from, &bytes, 1, &during, &zero, 1, s) !=
		     CUDA_SUCCESS);
		if (!cuStreamEndCapture(s, &g) && g)
			OK(cuGraphDestroy(g));
	}
	finish();
}

#define W 12u			/* of a box, in words */
#define H 9u
#define D 5u
#define PITCH 20u		/* of host memory, in words */
#define ROWS 11u

/* The box of host memory at (2, 1, 3), in words, and as a row after the other on the device. */
static CUDA_MEMCPY3D box(int inwards)
{
	CUDA_MEMCPY3D b = { .WidthInBytes = 4 * W, .Height = H, .Depth = D };

	if (inwards) {
		b.srcMemoryType = CU_MEMORYTYPE_HOST;
		b.srcHost = in;
		b.srcXInBytes = 8;
		b.srcY = 1;
		b.srcZ = 3;
		b.srcPitch = 4 * PITCH;
		b.srcHeight = ROWS;
		b.dstMemoryType = CU_MEMORYTYPE_DEVICE;
		b.dstDevice = p;
		b.dstPitch = 4 * W;
		b.dstHeight = H;
	} else {
		b.srcMemoryType = CU_MEMORYTYPE_DEVICE;
		b.srcDevice = p;
		b.srcPitch = 4 * W;
		b.srcHeight = H;
		b.dstMemoryType = CU_MEMORYTYPE_HOST;
		b.dstHost = out;
		b.dstXInBytes = 8;
		b.dstY = 1;
		b.dstZ = 3;
		b.dstPitch = 4 * PITCH;
		b.dstHeight = ROWS;
	}
	return b;
}

/* `out` has the box of `in`, by more, and nothing else. */
static int has_box(unsigned int by, unsigned int depth)
{
	for (unsigned int i = 0; i < PITCH * ROWS * (D + 3); i++) {
		unsigned int x = i % PITCH, y = i / PITCH % ROWS, z = i / PITCH / ROWS;
		int inside = x >= 2 && x < 2 + W && y >= 1 && y < 1 + H && z >= 3 && z < 3 + depth;

		if (out[i] != (inside ? in[i] + by : 0xffffffff)) {
			printf("%s: (%u, %u, %u) is %u\n", group, x, y, z, out[i]);
			return 0;
		}
	}
	return 1;
}

void graph_host_boxes(void)
{
	CUDA_MEMCPY3D x, y, got;
	CUDA_MEMCPY2D f, r;
	CUgraphNode a, b;
	CUgraphExec exec;
	CUgraph g;

	begin();
	x = box(1);
	y = box(0);
	OK(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
	OK(cuMemcpy3DAsync_v2(&x, s));
	add_all(3);
	OK(cuMemcpy3DAsync_v2(&y, s));
	OK(cuStreamEndCapture(s, &g));
	got = copy_of(g, CU_MEMORYTYPE_HOST, &a);
	TRUE(got.srcHost == in && got.srcXInBytes == 8 && got.srcY == 1 && got.srcZ == 3);
	TRUE(got.srcPitch == 4 * PITCH && got.srcHeight == ROWS && got.dstPitch == 4 * W);
	TRUE(got.WidthInBytes == 4 * W && got.Height == H && got.Depth == D);
	OK(cuGraphInstantiateWithFlags(&exec, g, 0));
	for (unsigned int i = 1; i < 3; i++) {
		fill(in, 1000 * i);
		memset(out, 0xff, BYTES);
		run(exec);
		TRUE(has_box(3, D));
	}
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphDestroy(g));
	/* Added one by one. */
	OK(cuGraphCreate(&g, 0));
	OK(cuGraphAddMemcpyNode(&a, g, NULL, 0, &x, ctx));
	OK(cuGraphAddMemcpyNode(&b, g, &a, 1, &y, ctx));
	OK(cuGraphInstantiateWithFlags(&exec, g, 0));
	memset(out, 0xff, BYTES);
	run(exec);
	TRUE(has_box(0, D));
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphDestroy(g));
	/* Rows without a gap between them, and slices of one row. */
	for (unsigned int rows = 1; rows <= 10; rows += 9) {
		x = to_device(in);
		x.WidthInBytes = x.srcPitch = x.dstPitch = BYTES / 100;
		x.Height = x.srcHeight = x.dstHeight = rows;
		x.Depth = 5;
		y = x;
		y.srcMemoryType = CU_MEMORYTYPE_DEVICE;
		y.dstMemoryType = CU_MEMORYTYPE_HOST;
		y.srcDevice = p;
		y.dstHost = out;
		y.dstHeight = rows + 1;
		OK(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
		OK(cuMemcpy3DAsync_v2(&x, s));
		OK(cuMemcpy3DAsync_v2(&y, s));
		OK(cuStreamEndCapture(s, &g));
		OK(cuGraphInstantiateWithFlags(&exec, g, 0));
		fill(in, 1);
		memset(out, 0, BYTES);
		run(exec);
		for (unsigned int z = 0; z < 5; z++) {
			unsigned int slice = WORDS / 100;

			TRUE(!memcmp(out + z * slice * (rows + 1), in + z * slice * rows,
				     4 * slice * rows));
			TRUE(!out[z * slice * (rows + 1) + slice * rows]);
		}
		OK(cuGraphExecDestroy(exec));
		OK(cuGraphDestroy(g));
	}
	/* In two dimensions, of the slice 3. */
	f = (CUDA_MEMCPY2D){
		.srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = in + 3 * PITCH * ROWS,
		.srcXInBytes = 8, .srcY = 1, .srcPitch = 4 * PITCH,
		.dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstDevice = p, .dstPitch = 4 * W,
		.WidthInBytes = 4 * W, .Height = H,
	};
	r = (CUDA_MEMCPY2D){
		.srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcDevice = p, .srcPitch = 4 * W,
		.dstMemoryType = CU_MEMORYTYPE_HOST, .dstHost = out + 3 * PITCH * ROWS,
		.dstXInBytes = 8, .dstY = 1, .dstPitch = 4 * PITCH,
		.WidthInBytes = 4 * W, .Height = H,
	};
	OK(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
	OK(cuMemcpy2DAsync_v2(&f, s));
	add_all(4);
	OK(cuMemcpy2DAsync_v2(&r, s));
	OK(cuStreamEndCapture(s, &g));
	OK(cuGraphInstantiateWithFlags(&exec, g, 0));
	memset(out, 0xff, BYTES);
	run(exec);
	TRUE(has_box(4, 1));
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphDestroy(g));
	finish();
}

/* The graph keeps an address, whatever is mapped there when it runs. */
static void unmapped(void)
{
	size_t bytes = (BYTES + 4095) / 4096 * 4096;
	CUgraphExec from, to;
	CUgraph g;
	char *at;

	begin();
	at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TRUE(at != MAP_FAILED);
	OK(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
	OK(cuMemcpyHtoDAsync_v2(p, at, BYTES, s));
	OK(cuStreamEndCapture(s, &g));
	OK(cuGraphInstantiateWithFlags(&from, g, 0));
	OK(cuGraphDestroy(g));
	OK(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
	OK(cuMemcpyDtoHAsync_v2(at, p, BYTES, s));
	OK(cuStreamEndCapture(s, &g));
	OK(cuGraphInstantiateWithFlags(&to, g, 0));
	OK(cuGraphDestroy(g));
	TRUE(!munmap(at, bytes));
	/* NVIDIA's driver may end the program here. */
	if (through_vgpu) {
		OK(cuGraphLaunch(from, s));
		IS(cuStreamSynchronize(s), CUDA_ERROR_ILLEGAL_ADDRESS);
		OK(cuGraphLaunch(to, s));
		IS(cuStreamSynchronize(s), CUDA_ERROR_ILLEGAL_ADDRESS);
		OK(cuStreamSynchronize(s));
	}
	TRUE(mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		  0) == at);
	fill((unsigned int *)(void *)at, 4);
	run(from);
	memset(at, 0, BYTES);
	run(to);
	TRUE(counts_from((unsigned int *)(void *)at, 4));
	if (through_vgpu) {
		/* It may be read, but not written. */
		TRUE(!mprotect(at, bytes, PROT_READ));
		OK(cuGraphLaunch(from, s));
		OK(cuStreamSynchronize(s));
		OK(cuGraphLaunch(to, s));
		IS(cuStreamSynchronize(s), CUDA_ERROR_ILLEGAL_ADDRESS);
	}
	OK(cuGraphExecDestroy(from));
	OK(cuGraphExecDestroy(to));
	TRUE(!munmap(at, bytes));
	finish();
}

/* As in a container whose filter knows only system calls that it needs; in all threads. */
static int no_process_vm(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_process_vm_readv, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_process_vm_writev, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { sizeof(code) / sizeof(code[0]), code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter);
}

void graph_host_unmapped(void)
{
	unmapped();
	if (!through_vgpu)
		return;
	TRUE(!no_process_vm());
	unmapped();
}

/* What is in the body of a conditional node, which runs. */
static CUgraph body_of(CUgraph g)
{
	CUgraphConditionalHandle handle = 0;
	CUgraphNodeParams c;
	CUgraphNode node;

	OK(cuGraphConditionalHandleCreate(&handle, g, ctx, 1, CU_GRAPH_COND_ASSIGN_DEFAULT));
	memset(&c, 0, sizeof(c));
	c.type = CU_GRAPH_NODE_TYPE_CONDITIONAL;
	c.conditional.handle = handle;
	c.conditional.type = CU_GRAPH_COND_TYPE_IF;
	c.conditional.size = 1;
	c.conditional.ctx = ctx;
	OK(cuGraphAddNode_v2(&node, g, NULL, NULL, 0, &c));
	return c.conditional.phGraph_out ? c.conditional.phGraph_out[0] : NULL;
}

/* In the body of a conditional node a copy may be from page-locked memory, not from pageable. */
void graph_host_bodies(void)
{
	unsigned int *locked;
	CUDA_MEMCPY3D x;
	CUgraphExec exec = NULL;
	CUgraphNode a;
	CUgraph g;
	CUresult r;

	begin();
	OK(cuMemHostAlloc((void **)&locked, BYTES, CU_MEMHOSTALLOC_DEVICEMAP));
	OK(cuGraphCreate(&g, 0));
	x = to_device(locked);
	OK(cuGraphAddMemcpyNode(&a, body_of(g), NULL, 0, &x, ctx));
	OK(cuGraphInstantiateWithFlags(&exec, g, 0));
	for (unsigned int i = 1; i < 3; i++) {
		fill(locked, i);
		run(exec);
		TRUE(value_at(p, 7) == 7 + i);
	}
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphDestroy(g));
	OK(cuGraphCreate(&g, 0));
	x = to_device(in);
	r = cuGraphAddMemcpyNode(&a, body_of(g), NULL, 0, &x, ctx);
	if (!r)
		r = cuGraphInstantiateWithFlags(&exec, g, 0);
	TRUE(r != CUDA_SUCCESS);
	OK(cuGraphDestroy(g));
	OK(cuMemFreeHost(locked));
	finish();
}

/* Streams that part and meet in a capture, and a capture into a graph that is there. */
void graph_host_streams(void)
{
	CUgraphNode list[8], to[8], first, joined;
	CUgraphExec exec;
	CUgraph g, same;
	CUevent parted, met;
	size_t count, edges = 8;
	CUdeviceptr q;
	CUstream t;

	begin();
	OK(cuMemAlloc_v2(&q, BYTES));
	OK(cuStreamCreate(&t, CU_STREAM_NON_BLOCKING));
	OK(cuEventCreate(&parted, CU_EVENT_DISABLE_TIMING));
	OK(cuEventCreate(&met, CU_EVENT_DISABLE_TIMING));
	/* Two copies in, side by side, and one out after both. */
	OK(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
	OK(cuEventRecord(parted, s));
	OK(cuStreamWaitEvent(t, parted, 0));
	OK(cuMemcpyHtoDAsync_v2(p, in, BYTES / 2, s));
	OK(cuMemcpyHtoDAsync_v2(p + BYTES / 2, (char *)in + BYTES / 2, BYTES / 2, t));
	OK(cuEventRecord(met, t));
	OK(cuStreamWaitEvent(s, met, 0));
	OK(cuMemcpyDtoHAsync_v2(out, p, BYTES, s));
	OK(cuStreamEndCapture(s, &g));
	OK(cuGraphGetNodes(g, NULL, &count));
	IS(count, 3);
	count = 8;
	OK(cuGraphGetRootNodes(g, list, &count));
	IS(count, 2);
	OK(cuGraphGetEdges(g, list, to, &edges));
	TRUE(edges == 2 && to[0] == to[1] && list[0] != list[1]);
	copy_of(g, CU_MEMORYTYPE_DEVICE, &joined);
	TRUE(to[0] == joined);
	OK(cuGraphInstantiateWithFlags(&exec, g, 0));
	for (unsigned int i = 1; i < 4; i++) {
		fill(in, 10 * i);
		run(exec);
		TRUE(counts_from(out, 10 * i));
	}
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphDestroy(g));
	/* What is under capture can be looked at. */
	OK(cuGraphCreate(&g, 0));
	OK(cuGraphAddEmptyNode(&first, g, NULL, 0));
	OK(cuStreamBeginCaptureToGraph(s, g, &first, NULL, 1, CU_STREAM_CAPTURE_MODE_RELAXED));
	OK(cuMemcpyHtoDAsync_v2(q, in, BYTES, s));
	{
		CUstreamCaptureStatus status;
		const CUgraphNode *deps = NULL;
		CUgraphNodeType type;
		cuuint64_t id;

		OK(cuStreamGetCaptureInfo_v2(s, &status, &id, &same, &deps, &count));
		TRUE(same == g && count == 1);
		OK(cuGraphNodeGetType(deps[0], &type));
		TRUE(type == CU_GRAPH_NODE_TYPE_MEMCPY);
		count = 8;
		OK(cuGraphNodeGetDependencies(deps[0], list, &count));
		TRUE(count == 1 && list[0] == first);
	}
	OK(cuMemcpyDtoHAsync_v2(out, q, BYTES, s));
	OK(cuStreamEndCapture(s, &same));
	TRUE(same == g);
	OK(cuGraphInstantiateWithFlags(&exec, g, 0));
	fill(in, 77);
	run(exec);
	TRUE(counts_from(out, 77));
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphDestroy(g));
	OK(cuEventDestroy_v2(parted));
	OK(cuEventDestroy_v2(met));
	OK(cuStreamDestroy_v2(t));
	OK(cuMemFree_v2(q));
	finish();
}

/* KiB of this process that are in memory. */
static long resident(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[128];
	long kib = 0;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "VmRSS:", 6))
			kib = atol(line + 6);
	if (f)
		fclose(f);
	return kib;
}

static _Atomic int gate;

static void wait_for_gate(void *unused)
{
	struct timespec ms = { .tv_nsec = 1000000 };

	(void)unused;
	while (!atomic_load(&gate))
		nanosleep(&ms, NULL);
}

static void nothing(void *unused)
{
	(void)unused;
}

/* Graphs that have gone leave more page-locked memory behind than is kept. */
static void leave_much(void)
{
	enum { GRAPHS = 3, LARGE = 24 << 20 };
	unsigned char *host = calloc(1, LARGE);
	CUDA_MEMCPY3D x = to_device(host);
	CUgraph g[GRAPHS];
	CUgraphNode node;

	OK(cuMemAlloc_v2(&x.dstDevice, LARGE));
	x.WidthInBytes = LARGE;
	for (int i = 0; i < GRAPHS; i++) {
		OK(cuGraphCreate(&g[i], 0));
		OK(cuGraphAddMemcpyNode(&node, g[i], NULL, 0, &x, ctx));
	}
	for (int i = 0; i < GRAPHS; i++)
		OK(cuGraphDestroy(g[i]));
	/* One thread tells of ends and runs host functions. */
	OK(cuLaunchHostFunc(s, nothing, NULL));
	OK(cuStreamSynchronize(s));
	OK(cuMemFree_v2(x.dstDevice));
	free(host);
}

/* What goes while its launch waits is there when the launch goes on; another's is another. */
void graph_host_destroyed(void)
{
	unsigned int *other = malloc(BYTES);
	CUgraphExec exec, second;
	CUgraphNode a, b;
	CUgraph g;

	/* Natively a launch with such copies returns when they are done: here, never. */
	if (!through_vgpu) {
		free(other);
		return;
	}
	begin();
	fill(in, 3);
	fill(other, 1000);
	for (int round = 0; round < 3; round++) {
		atomic_store(&gate, 0);
		memset(out, 0, BYTES);
		OK(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
		OK(cuLaunchHostFunc(s, wait_for_gate, NULL));
		OK(cuMemcpyHtoDAsync_v2(p, in, BYTES, s));
		OK(cuMemcpyDtoHAsync_v2(out, p, BYTES, s));
		OK(cuStreamEndCapture(s, &g));
		OK(cuGraphInstantiateWithFlags(&exec, g, 0));
		leave_much();
		OK(cuGraphLaunch(exec, s));
		OK(cuGraphExecDestroy(exec));
		OK(cuGraphDestroy(g));
		/* Of the same size, so it would be given what had been let go of. */
		g = in_and_out(other, other, &a, &b);
		OK(cuGraphInstantiateWithFlags(&second, g, 0));
		OK(cuGraphLaunch(second, s));
		OK(cuGraphExecDestroy(second));
		OK(cuGraphDestroy(g));
		atomic_store(&gate, 1);
		OK(cuStreamSynchronize(s));
		TRUE(counts_from(out, 3) && counts_from(other, 1000));
		TRUE(value_at(p, 1) == 1001);
	}
	free(other);
	finish();
}

/* What a copy needs to be staged goes, or is used again, when its graphs have gone. */
void graph_host_ends(void)
{
	enum { BIG = 16 << 20, ROUNDS = 40 };
	unsigned char *big = calloc(1, BIG);
	CUgraphNode node;
	CUDA_MEMCPY3D x;
	long before, after;
	CUgraphExec exec;
	CUdeviceptr q;
	CUgraph g;

	begin();
	OK(cuMemAlloc_v2(&q, BIG));
	before = resident();
	for (int i = 0; i < ROUNDS; i++) {
		memset(big, i, BIG);
		OK(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
		OK(cuMemcpyHtoDAsync_v2(q, big, BIG, s));
		OK(cuMemcpyDtoHAsync_v2(big, q, BIG, s));
		OK(cuStreamEndCapture(s, &g));
		OK(cuGraphInstantiateWithFlags(&exec, g, 0));
		OK(cuGraphDestroy(g));
		OK(cuGraphLaunch(exec, s));
		OK(cuGraphExecDestroy(exec));
		OK(cuStreamSynchronize(s));
		TRUE(big[0] == i && big[BIG - 1] == i);
		/* One whose capture fails. */
		OK(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
		OK(cuMemcpyHtoDAsync_v2(q, big, BIG, s));
		TRUE(cuStreamSynchronize(s) != CUDA_SUCCESS);
		IS(cuStreamEndCapture(s, &g), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
		/* And one whose node goes before its graph. */
		OK(cuGraphCreate(&g, 0));
		x = to_device(big);
		x.dstDevice = q;
		x.WidthInBytes = BIG;
		OK(cuGraphAddMemcpyNode(&node, g, NULL, 0, &x, ctx));
		OK(cuGraphMemcpyNodeSetParams(node, &x));
		OK(cuGraphDestroyNode(node));
		OK(cuGraphAddMemcpyNode(&node, g, NULL, 0, &x, ctx));
		OK(cuGraphDestroy(g));
	}
	after = resident();
	if (after - before > ROUNDS * (BIG >> 10) / 2) {
		printf("%s: %ld KiB have become %ld\n", group, before, after);
		TRUE(0);
	}
	OK(cuMemFree_v2(q));
	free(big);
	finish();
}

/* Threads that make graphs, launch and destroy them side by side, each with its own memory. */
struct worker {
	pthread_t thread;
	unsigned int first, wrong;
};

static void *work(void *arg)
{
	enum { N = 3000 };
	struct worker *w = arg;
	unsigned int *from = malloc(4 * N), *to = malloc(4 * N);
	CUDA_MEMCPY3D x = to_device(from), y = to_host(to);
	CUgraphNode a, b;
	CUgraphExec exec;
	CUgraph g;
	CUstream t;
	int r = cuCtxSetCurrent(ctx);

	r |= cuMemAlloc_v2(&x.dstDevice, 4 * N);
	r |= cuStreamCreate(&t, CU_STREAM_NON_BLOCKING);
	y.srcDevice = x.dstDevice;
	x.WidthInBytes = y.WidthInBytes = 4 * N;
	for (unsigned int round = 0; round < 20 && !r; round++) {
		r |= cuGraphCreate(&g, 0);
		r |= cuGraphAddMemcpyNode(&a, g, NULL, 0, &x, ctx);
		r |= cuGraphAddMemcpyNode(&b, g, &a, 1, &y, ctx);
		r |= cuGraphInstantiateWithFlags(&exec, g, 0);
		for (unsigned int k = 0; k < 3 && !r; k++) {
			for (unsigned int i = 0; i < N; i++)
				from[i] = w->first + 10 * round + k + i;
			r |= cuGraphLaunch(exec, t);
			r |= cuStreamSynchronize(t);
			w->wrong += memcmp(from, to, 4 * N) != 0;
		}
		r |= cuGraphDestroy(g);
		r |= cuGraphExecDestroy(exec);
	}
	if (r)
		w->wrong += 1000;
	r = cuStreamDestroy_v2(t);
	r |= cuMemFree_v2(x.dstDevice);
	w->wrong += r != CUDA_SUCCESS;
	free(from);
	free(to);
	return NULL;
}

void graph_host_threads(void)
{
	struct worker w[4] = { 0 };

	for (unsigned int i = 0; i < 4; i++) {
		w[i].first = 100000 * i;
		TRUE(!pthread_create(&w[i].thread, NULL, work, &w[i]));
	}
	for (unsigned int i = 0; i < 4; i++) {
		pthread_join(w[i].thread, NULL);
		IS(w[i].wrong, 0);
	}
}
