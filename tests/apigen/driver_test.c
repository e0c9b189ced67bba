// SPDX-License-Identifier: Apache-2.0
/*
 * Behaviour of the driver's functions, group by group.  It is meant to pass on
 * NVIDIA's own driver and, without a change, through the shim.  Groups are named
 * on the command line; all are run if none is.  --list names them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "driver_test.h"

const char ptx[] =
	".version 6.0\n.target sm_50\n.address_size 64\n"
	".visible .global .align 4 .u32 counter = 5;\n"
	/* out[i] += by, for i < n */
	".visible .entry add(.param .u64 out, .param .u32 n, .param .u32 by)\n{\n"
	".reg .pred %p;\n.reg .b32 %r<8>;\n.reg .b64 %d<4>;\n"
	"ld.param.u64 %d1, [out];\nld.param.u32 %r1, [n];\nld.param.u32 %r2, [by];\n"
	"cvta.to.global.u64 %d1, %d1;\n"
	"mov.u32 %r3, %ctaid.x;\nmov.u32 %r4, %ntid.x;\nmov.u32 %r5, %tid.x;\n"
	"mad.lo.s32 %r3, %r3, %r4, %r5;\nsetp.ge.u32 %p, %r3, %r1;\n@%p bra DONE;\n"
	"mul.wide.u32 %d2, %r3, 4;\nadd.s64 %d1, %d1, %d2;\n"
	"ld.global.u32 %r6, [%d1];\nadd.s32 %r6, %r6, %r2;\nst.global.u32 [%d1], %r6;\n"
	"DONE:\nret;\n}\n"
	".visible .entry wide(.param .u8 a, .param .u64 b, .param .align 16 .b8 c[48], .param .u16 d)\n"
	"{\nret;\n}\n";

int failed, passed;
const char *group;
CUdevice dev;
CUcontext ctx;
CUmodule module;
CUfunction add;

unsigned int value_at(CUdeviceptr p, size_t i)
{
	unsigned int v = 0xdead;

	OK(cuMemcpyDtoH_v2(&v, p + 4 * i, 4));
	return v;
}

static void functions(void)
{
	int v, blocks, size, grid;
	size_t offset, bytes;
	CUfunction f, wide;
	const char *name;
	CUmodule m;

	OK(cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, add));
	TRUE(v >= 32);
	OK(cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_NUM_REGS, add));
	OK(cuFuncGetModule(&m, add));
	TRUE(m == module);
	OK(cuFuncGetName(&name, add));
	TRUE(!strcmp(name, "add"));
	OK(cuModuleGetFunction(&f, module, "add"));
	OK(cuModuleGetFunction(&wide, module, "wide"));
	IS(cuModuleGetFunction(&f, module, "nothing"), CUDA_ERROR_NOT_FOUND);
	OK(cuFuncGetParamInfo(wide, 1, &offset, &bytes));
	TRUE(offset == 8 && bytes == 8);
	OK(cuFuncGetParamInfo(wide, 2, &offset, &bytes));
	TRUE(offset == 16 && bytes == 48);
	OK(cuFuncGetParamInfo(wide, 3, &offset, &bytes));
	TRUE(offset == 64 && bytes == 2);
	IS(cuFuncGetParamInfo(wide, 4, &offset, &bytes), CUDA_ERROR_INVALID_VALUE);
	OK(cuFuncSetAttribute(add, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 1024));
	OK(cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, add));
	TRUE(v >= 1024);
	OK(cuFuncSetCacheConfig(add, CU_FUNC_CACHE_PREFER_L1));
	OK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, add, 256, 0));
	TRUE(blocks > 0);
	OK(cuOccupancyMaxPotentialBlockSize(&grid, &size, add, NULL, 0, 0));
	TRUE(grid > 0 && size > 0);
	OK(cuOccupancyAvailableDynamicSMemPerBlock(&bytes, add, 1, 256));
}

static void library(void)
{
	unsigned int n = 256, by = 3, count;
	CUlibrary l, back;
	CUkernel k;
	CUfunction f;
	CUdeviceptr p, global;
	void *params[] = { &p, &n, &by };
	const char *name;
	size_t bytes;
	int v;

	OK(cuLibraryLoadData(&l, ptx, NULL, NULL, 0, NULL, NULL, 0));
	OK(cuLibraryGetKernelCount(&count, l));
	TRUE(count == 2);
	OK(cuLibraryGetKernel(&k, l, "add"));
	IS(cuLibraryGetKernel(&k, l, "nothing"), CUDA_ERROR_NOT_FOUND);
	OK(cuKernelGetName(&name, k));
	TRUE(!strcmp(name, "add"));
	OK(cuKernelGetLibrary(&back, k));
	TRUE(back == l);
	OK(cuKernelGetFunction(&f, k));
	OK(cuKernelGetAttribute(&v, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, k, dev));
	TRUE(v >= 256);
	OK(cuLibraryGetGlobal(&global, &bytes, l, "counter"));
	TRUE(bytes == 4 && value_at(global, 0) == 5);
	OK(cuMemAlloc_v2(&p, 1024));
	OK(cuMemsetD32_v2(p, 10, 256));
	OK(cuLaunchKernel((CUfunction)k, 1, 1, 1, 256, 1, 1, 0, NULL, params, NULL));
	OK(cuLaunchKernel(f, 1, 1, 1, 256, 1, 1, 0, NULL, params, NULL));
	TRUE(value_at(p, 255) == 16);
	OK(cuMemFree_v2(p));
	OK(cuLibraryUnload(l));
}

static void launches(void)
{
	unsigned int n = 100, by = 7;
	CUdeviceptr p;
	void *params[] = { &p, &n, &by };
	struct { CUdeviceptr p; unsigned int n, by; } block;
	size_t bytes = sizeof(block);
	void *extra[] = { CU_LAUNCH_PARAM_BUFFER_POINTER, &block, CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes,
			  CU_LAUNCH_PARAM_END };
	CUlaunchConfig config = { .gridDimX = 1, .gridDimY = 1, .gridDimZ = 1, .blockDimX = 128,
				  .blockDimY = 1, .blockDimZ = 1 };
	CUlaunchAttribute attr = { .id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION,
				   .value.programmaticStreamSerializationAllowed = 1 };

	OK(cuMemAlloc_v2(&p, 400));
	OK(cuMemsetD32_v2(p, 0, 100));
	OK(cuLaunchKernel(add, 1, 1, 1, 128, 1, 1, 0, NULL, params, NULL));
	block.p = p;
	block.n = n;
	block.by = 1000;
	OK(cuLaunchKernel(add, 1, 1, 1, 128, 1, 1, 0, NULL, NULL, extra));
	OK(cuLaunchKernelEx(&config, add, params, NULL));
	config.attrs = &attr;
	config.numAttrs = 1;
	OK(cuLaunchKernelEx(&config, add, params, NULL));
	OK(cuLaunchCooperativeKernel(add, 1, 1, 1, 128, 1, 1, 0, NULL, params));
	TRUE(value_at(p, 99) == 1028);
	IS(cuLaunchKernel(add, 1, 1, 1, 4096, 1, 1, 0, NULL, params, NULL), CUDA_ERROR_INVALID_VALUE);
	IS(cuLaunchKernel(add, 0, 1, 1, 32, 1, 1, 0, NULL, params, NULL), CUDA_ERROR_INVALID_VALUE);
	IS(cuLaunchKernel(add, 1, 1, 1, 32, 1, 1, 0, NULL, NULL, NULL), CUDA_ERROR_INVALID_VALUE);
	IS(cuLaunchKernel(add, 1, 1, 1, 32, 1, 1, 1 << 24, NULL, params, NULL),
	   CUDA_ERROR_INVALID_VALUE);
	OK(cuCtxSynchronize());
	OK(cuMemFree_v2(p));
}

static void memory(void)
{
	CUdeviceptr p, base, q;
	size_t bytes, pitch, left, total;
	unsigned int type, v[64];
	int ordinal;
	void *host;
	CUcontext c;
	CUDA_MEMCPY2D box = { 0 };

	OK(cuMemGetInfo_v2(&left, &total));
	TRUE(left <= total && total);
	OK(cuMemAlloc_v2(&p, 5000));
	OK(cuMemGetAddressRange_v2(&base, &bytes, p + 4999));
	TRUE(base == p && bytes == 5000);
	OK(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, p + 5));
	TRUE(type == CU_MEMORYTYPE_DEVICE);
	OK(cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, p));
	TRUE(ordinal == dev);
	OK(cuPointerGetAttribute(&c, CU_POINTER_ATTRIBUTE_CONTEXT, p));
	TRUE(c == ctx);
	OK(cuPointerGetAttribute(&base, CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, p + 100));
	TRUE(base == p);
	IS(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, (CUdeviceptr)&type),
	   CUDA_ERROR_INVALID_VALUE);
	OK(cuMemAllocHost_v2(&host, 4096));
	OK(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, (CUdeviceptr)host));
	TRUE(type == CU_MEMORYTYPE_HOST);
	memset(host, 3, 4096);
	OK(cuMemcpyHtoDAsync_v2(p, host, 4096, NULL));
	OK(cuMemsetD16_v2(p + 64, 0x0405, 32));
	OK(cuMemcpyDtoH_v2(v, p, sizeof(v)));
	TRUE(v[0] == 0x03030303 && v[16] == 0x04050405 && v[31] == 0x04050405 && v[32] == 0x03030303);
	OK(cuMemFreeHost(host));
	IS(cuMemFreeHost(host), CUDA_ERROR_INVALID_VALUE);
	OK(cuMemAllocPitch_v2(&q, &pitch, 100, 10, 4));
	TRUE(pitch >= 100);
	OK(cuMemsetD2D32_v2(q, pitch, 9, 25, 10));
	box.srcMemoryType = CU_MEMORYTYPE_DEVICE;
	box.srcDevice = q;
	box.srcPitch = pitch;
	box.dstMemoryType = CU_MEMORYTYPE_HOST;
	box.dstHost = v;
	box.dstPitch = 20;
	box.WidthInBytes = 20;
	box.Height = 10;
	OK(cuMemcpy2D_v2(&box));
	TRUE(v[0] == 9 && v[49] == 9);
	box.dstMemoryType = CU_MEMORYTYPE_DEVICE;
	box.dstDevice = p;
	box.dstPitch = 24;
	OK(cuMemcpy2D_v2(&box));
	TRUE(value_at(p, 4) == 9 && value_at(p, 5) == 0x03030303 && value_at(p, 6) == 9);
	OK(cuMemcpy(p + 400, q, 8));
	TRUE(value_at(p, 100) == 9);
	OK(cuMemFree_v2(q));
	OK(cuMemFree_v2(p));
	IS(cuMemFree_v2(p), CUDA_ERROR_INVALID_VALUE);
	IS(cuMemAlloc_v2(&p, 0), CUDA_ERROR_INVALID_VALUE);
	IS(cuMemAlloc_v2(&p, 1ull << 50), CUDA_ERROR_OUT_OF_MEMORY);
	IS(cuMemcpyDtoH_v2(v, 0x1000, 4), CUDA_ERROR_INVALID_VALUE);
}

static void streams(void)
{
	unsigned int n = 1 << 16, by = 1, flags;
	CUstream s, t;
	CUevent a, b;
	CUdeviceptr p;
	void *params[] = { &p, &n, &by };
	unsigned long long id, other;
	CUcontext c;
	CUdevice v;
	float ms;
	int priority, least, greatest;

	OK(cuCtxGetStreamPriorityRange(&least, &greatest));
	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	OK(cuStreamCreateWithPriority(&t, CU_STREAM_NON_BLOCKING, -1));
	OK(cuStreamGetPriority(t, &priority));
	TRUE(priority == (greatest < 0 ? -1 : 0));
	OK(cuStreamGetFlags(s, &flags));
	TRUE(flags == CU_STREAM_NON_BLOCKING);
	OK(cuStreamGetCtx(s, &c));
	TRUE(c == ctx);
	OK(cuStreamGetDevice(s, &v));
	TRUE(v == dev);
	OK(cuStreamGetId(s, &id));
	OK(cuStreamGetId(t, &other));
	TRUE(id != other);
	OK(cuEventCreate(&a, 0));
	OK(cuEventCreate(&b, 0));
	OK(cuEventQuery(a));
	OK(cuMemAlloc_v2(&p, 4 * n));
	OK(cuMemsetD32Async(p, 0, n, s));
	OK(cuEventRecord(a, s));
	for (int i = 0; i < 50; i++)
		OK(cuLaunchKernel(add, n / 256, 1, 1, 256, 1, 1, 0, s, params, NULL));
	OK(cuEventRecord(b, s));
	OK(cuStreamWaitEvent(t, b, 0));
	OK(cuLaunchKernel(add, n / 256, 1, 1, 256, 1, 1, 0, t, params, NULL));
	OK(cuStreamSynchronize(t));
	OK(cuStreamQuery(s));
	OK(cuEventElapsedTime_v2(&ms, a, b));
	TRUE(ms > 0 && ms < 60000);
	TRUE(value_at(p, n - 1) == 51);
	OK(cuLaunchKernel(add, 1, 1, 1, 256, 1, 1, 0, CU_STREAM_PER_THREAD, params, NULL));
	OK(cuLaunchKernel(add, 1, 1, 1, 256, 1, 1, 0, CU_STREAM_LEGACY, params, NULL));
	OK(cuStreamSynchronize(CU_STREAM_PER_THREAD));
	TRUE(value_at(p, 0) == 53);
	IS(cuEventCreate(&a, 0x40), CUDA_ERROR_INVALID_VALUE);
	OK(cuEventDestroy_v2(a));
	OK(cuEventDestroy_v2(b));
	OK(cuStreamDestroy_v2(s));
	OK(cuStreamDestroy_v2(t));
	OK(cuMemFree_v2(p));
}

static void values(void)
{
	CUstreamBatchMemOpParams ops[2] = { 0 };
	CUdeviceptr p;
	CUstream s;

	OK(cuStreamCreate(&s, 0));
	OK(cuMemAlloc_v2(&p, 64));
	OK(cuMemsetD32_v2(p, 0, 16));
	OK(cuStreamWriteValue32_v2(s, p, 77, 0));
	OK(cuStreamWaitValue32_v2(s, p, 77, CU_STREAM_WAIT_VALUE_EQ));
	OK(cuStreamWriteValue64_v2(s, p + 8, 0x100000002, 0));
	ops[0].operation = CU_STREAM_MEM_OP_WRITE_VALUE_32;
	ops[0].writeValue.address = p + 16;
	ops[0].writeValue.value = 5;
	ops[1] = ops[0];
	ops[1].writeValue.address = p + 20;
	OK(cuStreamBatchMemOp_v2(s, 2, ops, 0));
	OK(cuStreamSynchronize(s));
	TRUE(value_at(p, 0) == 77 && value_at(p, 2) == 2 && value_at(p, 3) == 1);
	TRUE(value_at(p, 4) == 5 && value_at(p, 5) == 5);
	OK(cuStreamDestroy_v2(s));
	OK(cuMemFree_v2(p));
}

static void capture(void)
{
	unsigned int n = 256, by = 2;
	CUstreamCaptureStatus status;
	const CUgraphNode *deps;
	CUgraphNode nodes[8], from[8], to[8];
	CUgraphNodeType type;
	CUgraphExec exec;
	CUgraph graph, under;
	CUstream s;
	CUdeviceptr p;
	void *params[] = { &p, &n, &by };
	cuuint64_t id;
	size_t count;

	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	OK(cuMemAlloc_v2(&p, 1024));
	OK(cuStreamIsCapturing(s, &status));
	TRUE(status == CU_STREAM_CAPTURE_STATUS_NONE);
	IS(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED), CUDA_SUCCESS);
	OK(cuStreamIsCapturing(s, &status));
	if (status != CU_STREAM_CAPTURE_STATUS_ACTIVE)
		return;		/* the rest would follow pointers that are not there */
	OK(cuStreamIsCapturing(s, &status));
	TRUE(status == CU_STREAM_CAPTURE_STATUS_ACTIVE);
	OK(cuMemsetD32Async(p, 1, 256, s));
	OK(cuLaunchKernel(add, 1, 1, 1, 256, 1, 1, 0, s, params, NULL));
	OK(cuStreamGetCaptureInfo_v3(s, &status, &id, &under, &deps, NULL, &count));
	TRUE(status == CU_STREAM_CAPTURE_STATUS_ACTIVE && count == 1);
	OK(cuGraphNodeGetType(deps[0], &type));
	TRUE(type == CU_GRAPH_NODE_TYPE_KERNEL);
	OK(cuStreamEndCapture(s, &graph));
	TRUE(graph == under);
	OK(cuStreamIsCapturing(s, &status));
	TRUE(status == CU_STREAM_CAPTURE_STATUS_NONE);
	OK(cuGraphGetNodes(graph, NULL, &count));
	TRUE(count == 2);
	count = 8;
	OK(cuGraphGetNodes(graph, nodes, &count));
	TRUE(count == 2 && nodes[0] && nodes[1] && !nodes[2]);
	count = 8;
	OK(cuGraphGetRootNodes(graph, nodes, &count));
	TRUE(count == 1);
	OK(cuGraphNodeGetType(nodes[0], &type));
	TRUE(type == CU_GRAPH_NODE_TYPE_MEMSET);
	count = 8;
	OK(cuGraphGetEdges_v2(graph, from, to, NULL, &count));
	TRUE(count == 1 && from[0] == nodes[0]);
	OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
	OK(cuGraphUpload(exec, s));
	for (int i = 0; i < 5; i++)
		OK(cuGraphLaunch(exec, s));
	OK(cuStreamSynchronize(s));
	TRUE(value_at(p, 255) == 3);
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphDestroy(graph));
	IS(cuStreamEndCapture(s, &graph), CUDA_ERROR_ILLEGAL_STATE);
	OK(cuStreamDestroy_v2(s));
	OK(cuMemFree_v2(p));
}

static void graphs(void)
{
	unsigned int n = 256, by = 4;
	CUdeviceptr p, q;
	void *params[] = { &p, &n, &by };
	CUDA_KERNEL_NODE_PARAMS kernel = { .func = add, .gridDimX = 1, .gridDimY = 1, .gridDimZ = 1,
					   .blockDimX = 256, .blockDimY = 1, .blockDimZ = 1,
					   .kernelParams = params };
	CUDA_MEMSET_NODE_PARAMS set = { .value = 100, .elementSize = 4, .width = 256, .height = 1 };
	CUDA_MEMCPY3D copy = { .srcMemoryType = CU_MEMORYTYPE_DEVICE,
			       .dstMemoryType = CU_MEMORYTYPE_DEVICE, .srcPitch = 1024,
			       .dstPitch = 1024, .srcHeight = 1, .dstHeight = 1,
			       .WidthInBytes = 1024, .Height = 1, .Depth = 1 };
	CUgraphExecUpdateResultInfo info;
	CUgraphNode a, b, c, d, list[4];
	CUgraph graph, clone;
	CUgraphExec exec;
	CUevent event;
	size_t count;
	unsigned int on;

	OK(cuMemAlloc_v2(&p, 1024));
	OK(cuMemAlloc_v2(&q, 1024));
	OK(cuEventCreate(&event, 0));
	OK(cuGraphCreate(&graph, 0));
	set.dst = p;
	OK(cuGraphAddMemsetNode(&a, graph, NULL, 0, &set, ctx));
	OK(cuGraphAddKernelNode_v2(&b, graph, &a, 1, &kernel));
	copy.srcDevice = p;
	copy.dstDevice = q;
	OK(cuGraphAddMemcpyNode(&c, graph, &b, 1, &copy, ctx));
	OK(cuGraphAddEmptyNode(&d, graph, NULL, 0));
	OK(cuGraphAddDependencies(graph, &c, &d, 1));
	count = 4;
	OK(cuGraphNodeGetDependencies(d, list, &count));
	TRUE(count == 1 && list[0] == c);
	count = 4;
	OK(cuGraphNodeGetDependentNodes(a, list, &count));
	TRUE(count == 1 && list[0] == b);
	OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
	OK(cuGraphLaunch(exec, NULL));
	TRUE(value_at(q, 255) == 104);
	by = 50;
	OK(cuGraphExecKernelNodeSetParams_v2(exec, b, &kernel));
	set.value = 1;
	OK(cuGraphExecMemsetNodeSetParams(exec, a, &set, ctx));
	OK(cuGraphLaunch(exec, NULL));
	TRUE(value_at(q, 255) == 51);
	OK(cuGraphNodeSetEnabled(exec, b, 0));
	OK(cuGraphNodeGetEnabled(exec, b, &on));
	TRUE(!on);
	OK(cuGraphLaunch(exec, NULL));
	TRUE(value_at(q, 255) == 1);
	OK(cuGraphNodeSetEnabled(exec, b, 1));
	OK(cuGraphExecUpdate_v2(exec, graph, &info));
	TRUE(info.result == CU_GRAPH_EXEC_UPDATE_SUCCESS);
	OK(cuGraphLaunch(exec, NULL));
	TRUE(value_at(q, 255) == 104);
	OK(cuGraphClone(&clone, graph));
	OK(cuGraphDestroyNode(d));
	IS(cuGraphExecUpdate_v2(exec, graph, &info), CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
	TRUE(info.result == CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED);
	OK(cuGraphGetNodes(clone, NULL, &count));
	TRUE(count == 4);
	OK(cuGraphDestroy(clone));
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphDestroy(graph));
	OK(cuEventDestroy_v2(event));
	OK(cuMemFree_v2(p));
	OK(cuMemFree_v2(q));
}

static void strings(void)
{
	const char *s;

	OK(cuGetErrorName(CUDA_ERROR_ILLEGAL_ADDRESS, &s));
	TRUE(!strcmp(s, "CUDA_ERROR_ILLEGAL_ADDRESS"));
	OK(cuGetErrorString(CUDA_ERROR_ILLEGAL_ADDRESS, &s));
	TRUE(!strcmp(s, "an illegal memory access was encountered"));
	IS(cuGetErrorName(12345, &s), CUDA_ERROR_INVALID_VALUE);
	TRUE(!s);
	if (getenv("PRINT_STRINGS"))
		for (int i = 0; i < 1000; i++)
			if (!cuGetErrorString(i, &s))
				printf("string %d %s\n", i, s);
}

int through_vgpu;

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} groups[] = {
		{ "device", device }, { "context", context }, { "functions", functions },
		{ "library", library }, { "launches", launches }, { "memory", memory },
		{ "streams", streams }, { "values", values }, { "pools", pools },
		{ "capture", capture }, { "graphs", graphs }, { "strings", strings },
		{ "enumerate", enumerate }, { "mapping", mapping }, { "pinned_boxes", pinned_boxes },
		{ "captured_boxes", captured_boxes }, { "array_boxes", array_boxes },
		{ "callbacks", callbacks },
		{ "host_nodes", host_nodes }, { "arrays", arrays },
		{ "textures", textures }, { "tensors", tensors },
		{ "answers", answers }, { "linking", linking }, { "link_options", link_options },
		{ "output", output },
		{ "threads", threads }, { "mapped_files", mapped_files },
		{ "pinned_sizes", pinned_sizes }, { "copies_in_turn", copies_in_turn },
		{ "odd_sizes", odd_sizes },
		{ "green", green }, { "green_launches", green_launches },
		{ "batches", batches }, { "array_batches", array_batches },
		{ "managed_batches", managed_batches },
		{ "sharing", sharing }, { "handles", handles },
		{ "texture_references", texture_references },
		{ "pointers", pointers }, { "logs", logs },
		{ "old_launches", old_launches },
		{ "multi_device_launches", multi_device_launches },
		{ "stream_attributes", stream_attributes }, { "attached", attached },
		{ "graph_nodes", graph_nodes }, { "graph_edges", graph_edges },
		{ "graph_update", graph_update },
		{ "graph_children", graph_children }, { "graph_params", graph_params },
		{ "graph_captured", graph_captured }, { "capture_to_graph", capture_to_graph },
		{ "graph_dot", graph_dot }, { "conditionals", conditionals },
		{ "graph_memory", graph_memory }, { "graph_limit", graph_limit },
		{ "user_objects", user_objects },
		{ "graph_host_memory", graph_host_memory },
		{ "graph_host_params", graph_host_params },
		{ "graph_host_copies", graph_host_copies },
		{ "graph_host_order", graph_host_order },
		{ "graph_host_boxes", graph_host_boxes },
		{ "graph_host_bodies", graph_host_bodies },
		{ "graph_host_streams", graph_host_streams },
		{ "graph_host_ends", graph_host_ends },
		{ "graph_host_destroyed", graph_host_destroyed },
		{ "graph_host_threads", graph_host_threads },
		{ "per_thread", per_thread }, { "per_thread_arrays", per_thread_arrays },
		{ "per_thread_captures", per_thread_captures },
		{ "contexts", contexts }, { "peer_devices", peer_devices },
		{ "device_limits", device_limits }, { "entry_points", entry_points },
		{ "profiler", profiler }, { "log_files", log_files },
		{ "shapes", shapes }, { "array_lines", array_lines },
		{ "advice", advice }, { "old_host_memory", old_host_memory },
		{ "old_registered", old_registered },
		{ "old_events", old_events }, { "awaited", awaited },
		{ "capture_moves", capture_moves }, { "failed_captures", failed_captures },
		{ "instantiation", instantiation }, { "exec_nodes", exec_nodes },
		{ "exec_children", exec_children }, { "exec_events", exec_events },
		{ "dependencies", dependencies },
		{ "code_files", code_files }, { "linked_again", linked_again },
		{ "kernel_settings", kernel_settings },
		{ "occupancy", occupancy }, { "linking_files", linking_files },
		{ "chosen_pools", chosen_pools },
		{ "tensors_of_pixels", tensors_of_pixels }, { "array_facts", array_facts },
		{ "texture_views", texture_views },
		{ "surface_references", surface_references },
		{ "outputs", outputs }, { "range_ends", range_ends },
		/* All that was made before is gone after it. */
		{ "primary_reset", primary_reset },
		/* The last, for it forbids system calls. */
		{ "graph_host_unmapped", graph_host_unmapped },
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 2 && !strcmp(argv[1], "--list")) {
		for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
			printf("%s\n", groups[i].name);
		return 0;
	}
	through_vgpu = getenv("VGPU_TRANSPORT") || !access("/dev/vgpu0", F_OK);
	for (int k = 1; k < argc; k++) {
		size_t i = 0;

		while (i < sizeof(groups) / sizeof(groups[0]) && strcmp(argv[k], groups[i].name))
			i++;
		if (i == sizeof(groups) / sizeof(groups[0])) {
			printf("driver: no group %s\n", argv[k]);
			return 2;
		}
	}
	group = "start";
	OK(cuInit(0));
	OK(cuDeviceGet(&dev, 0));
	OK(cuDevicePrimaryCtxRetain(&ctx, dev));
	OK(cuCtxSetCurrent(ctx));
	OK(cuModuleLoadData(&module, ptx));
	OK(cuModuleGetFunction(&add, module, "add"));
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		if (argc > 1) {
			int wanted = 0;

			for (int k = 1; k < argc; k++)
				wanted |= !strcmp(argv[k], groups[i].name);
			if (!wanted)
				continue;
		} else if (groups[i].run == graph_limit) {
			/* It takes most of what there is, so it is for a vGPU with a small limit. */
			printf("%s: only where it is named\n", groups[i].name);
			continue;
		}
		group = groups[i].name;
		if (getenv("PRINT_GROUPS"))
			printf("group %s\n", group);
		groups[i].run();
	}
	group = "end";
	OK(cuModuleUnload(module));
	OK(cuDevicePrimaryCtxRelease_v2(dev));
	printf("driver: %d checks passed, %d failed\n", passed, failed);
	return failed != 0;
}
