// SPDX-License-Identifier: Apache-2.0
/*
 * The per-thread variants: for them stream 0 is the calling thread's own stream.
 *
 * Another stream is held up by a gate, a word of host memory that it waits for.  The
 * legacy default stream waits for that stream, the thread's own does not: so what a
 * variant has done with stream 0 while the gate is closed was in the thread's own.
 */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "driver_test.h"

#define N 64			/* words of each buffer */
#define IN_A 0xau		/* what is in each before a call */
#define IN_B 0xbu
#define IN_X 0x11u
#define IN_Y 0x22u
#define IN_HOST 7u

enum place { A, B, X, Y, HOST };

static CUdeviceptr a, b;
static CUarray x, y;
static unsigned int *host;	/* pinned; the gate is its last word */
static unsigned int pageable[N];
static CUstream held, side;	/* the one behind the gate; one to look and prepare with */
static CUevent event;
static CUgraphExec graph;
static volatile sig_atomic_t late;

#define GATE host[N]

static void too_late(int signal)
{
	(void)signal;
	late = 1;
	__atomic_store_n(&GATE, 1, __ATOMIC_SEQ_CST);
}

static void gate_close(void)
{
	late = 0;
	__atomic_store_n(&GATE, 0, __ATOMIC_SEQ_CST);
	OK(cuStreamWaitValue32_v2(held, (uintptr_t)&GATE, 1, CU_STREAM_WAIT_VALUE_EQ));
	alarm(200);
}

static void gate_open(void)
{
	alarm(0);
	TRUE(!late);
	IS(cuStreamQuery(held), CUDA_ERROR_NOT_READY);
	__atomic_store_n(&GATE, 1, __ATOMIC_SEQ_CST);
	OK(cuStreamSynchronize(held));
}

static void fill(void)
{
	static unsigned int in_x[N], in_y[N];

	OK(cuMemsetD32Async(a, IN_A, N, side));
	OK(cuMemsetD32Async(b, IN_B, N, side));
	for (int i = 0; i < N; i++) {
		in_x[i] = IN_X;
		in_y[i] = IN_Y;
		host[i] = IN_HOST;
		pageable[i] = IN_HOST;
	}
	if (x) {
		OK(cuMemcpyHtoAAsync_v2(x, 0, in_x, sizeof(in_x), side));
		OK(cuMemcpyHtoAAsync_v2(y, 0, in_y, sizeof(in_y), side));
	}
	OK(cuStreamSynchronize(side));
}

static unsigned int found(enum place at)
{
	static unsigned int out[N];

	if (at == HOST)
		return __atomic_load_n(&host[0], __ATOMIC_SEQ_CST);
	if (at == A || at == B)
		OK(cuMemcpyDtoHAsync_v2(out, at == A ? a : b, sizeof(out), side));
	else
		OK(cuMemcpyAtoHAsync_v2(out, at == X ? x : y, 0, sizeof(out), side));
	OK(cuStreamSynchronize(side));
	return out[0];
}

/* -- one call of each */

static CUDA_MEMCPY2D flat(void)
{
	return (CUDA_MEMCPY2D){ .srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcDevice = b,
				.dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstDevice = a,
				.srcPitch = 32, .dstPitch = 32, .WidthInBytes = 32, .Height = 8 };
}

static CUDA_MEMCPY3D deep(void)
{
	return (CUDA_MEMCPY3D){ .srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcDevice = b,
				.dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstDevice = a,
				.srcPitch = 32, .dstPitch = 32, .srcHeight = 4, .dstHeight = 4,
				.WidthInBytes = 32, .Height = 4, .Depth = 2 };
}

static CUDA_MEMCPY3D_PEER peers(void)
{
	return (CUDA_MEMCPY3D_PEER){ .srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcDevice = b,
				     .srcContext = ctx, .dstMemoryType = CU_MEMORYTYPE_DEVICE,
				     .dstDevice = a, .dstContext = ctx, .srcPitch = 32,
				     .dstPitch = 32, .srcHeight = 4, .dstHeight = 4,
				     .WidthInBytes = 32, .Height = 4, .Depth = 2 };
}

static CUDA_MEMCPY3D_BATCH_OP box(void)
{
	CUDA_MEMCPY3D_BATCH_OP op;

	memset(&op, 0, sizeof(op));
	op.src.type = op.dst.type = CU_MEMCPY_OPERAND_TYPE_POINTER;
	op.src.op.ptr.ptr = b;
	op.dst.op.ptr.ptr = a;
	op.extent = (CUextent3D){ 4 * N, 1, 1 };
	op.srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM;
	return op;
}

static void seven(void *data)
{
	*(volatile unsigned int *)data = 77;
}

static void seven_with(CUstream s, CUresult status, void *data)
{
	(void)s;
	*(volatile unsigned int *)data = status ? 1 : 77;
}

#define BATCH \
	CUmemcpyAttributes attr = { .srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM }; \
	size_t bytes = 4 * N, first = 0
#define LAUNCH \
	unsigned int n = N, by = 5; \
	void *params[] = { &a, &n, &by }
#define VALUES(op) \
	CUstreamBatchMemOpParams v = { 0 }; \
	v.operation = op; \
	v.writeValue.address = a; \
	v.writeValue.value = 99

/* NAME, where the effect shows, what is there then, the call, what it needs. */
#define CALLS(F) \
	F(cuMemcpyHtoD_v2_ptds, A, IN_HOST, (a, pageable, 4 * N), ) \
	F(cuMemcpyDtoH_v2_ptds, HOST, IN_A, (host, a, 4 * N), ) \
	F(cuMemcpyDtoD_v2_ptds, A, IN_B, (a, b, 4 * N), ) \
	F(cuMemcpyHtoDAsync_v2_ptsz, A, IN_HOST, (a, host, 4 * N, NULL), ) \
	F(cuMemcpyDtoHAsync_v2_ptsz, HOST, IN_A, (host, a, 4 * N, NULL), ) \
	F(cuMemcpyDtoDAsync_v2_ptsz, A, IN_B, (a, b, 4 * N, NULL), ) \
	F(cuMemcpy_ptds, A, IN_B, (a, b, 4 * N), ) \
	F(cuMemcpyAsync_ptsz, A, IN_B, (a, b, 4 * N, NULL), ) \
	F(cuMemcpyPeer_ptds, A, IN_B, (a, ctx, b, ctx, 4 * N), ) \
	F(cuMemcpyPeerAsync_ptsz, A, IN_B, (a, ctx, b, ctx, 4 * N, NULL), ) \
	F(cuMemcpy2D_v2_ptds, A, IN_B, (&c), CUDA_MEMCPY2D c = flat()) \
	F(cuMemcpy2DUnaligned_v2_ptds, A, IN_B, (&c), CUDA_MEMCPY2D c = flat()) \
	F(cuMemcpy2DAsync_v2_ptsz, A, IN_B, (&c, NULL), CUDA_MEMCPY2D c = flat()) \
	F(cuMemcpy3D_v2_ptds, A, IN_B, (&c), CUDA_MEMCPY3D c = deep()) \
	F(cuMemcpy3DAsync_v2_ptsz, A, IN_B, (&c, NULL), CUDA_MEMCPY3D c = deep()) \
	F(cuMemcpy3DPeer_ptds, A, IN_B, (&c), CUDA_MEMCPY3D_PEER c = peers()) \
	F(cuMemcpy3DPeerAsync_ptsz, A, IN_B, (&c, NULL), CUDA_MEMCPY3D_PEER c = peers()) \
	F(cuMemcpyBatchAsync_ptsz, A, IN_B, \
	  (&a, &b, &bytes, 1, &attr, &first, 1, &failing, NULL), BATCH; size_t failing) \
	F(cuMemcpyBatchAsync_v2_ptsz, A, IN_B, \
	  (&a, &b, &bytes, 1, &attr, &first, 1, NULL), BATCH) \
	F(cuMemcpy3DBatchAsync_ptsz, A, IN_B, (1, &c, &failing, 0, NULL), \
	  CUDA_MEMCPY3D_BATCH_OP c = box(); size_t failing) \
	F(cuMemcpy3DBatchAsync_v2_ptsz, A, IN_B, (1, &c, 0, NULL), \
	  CUDA_MEMCPY3D_BATCH_OP c = box()) \
	F(cuMemsetD8_v2_ptds, A, 0x03030303, (a, 3, 4 * N), ) \
	F(cuMemsetD16_v2_ptds, A, 0x00030003, (a, 3, 2 * N), ) \
	F(cuMemsetD32_v2_ptds, A, 3, (a, 3, N), ) \
	F(cuMemsetD2D8_v2_ptds, A, 0x04040404, (a, 32, 4, 16, 8), ) \
	F(cuMemsetD2D16_v2_ptds, A, 0x00040004, (a, 32, 4, 8, 8), ) \
	F(cuMemsetD2D32_v2_ptds, A, 4, (a, 32, 4, 4, 8), ) \
	F(cuMemsetD8Async_ptsz, A, 0x05050505, (a, 5, 4 * N, NULL), ) \
	F(cuMemsetD16Async_ptsz, A, 0x00050005, (a, 5, 2 * N, NULL), ) \
	F(cuMemsetD32Async_ptsz, A, 5, (a, 5, N, NULL), ) \
	F(cuMemsetD2D8Async_ptsz, A, 0x06060606, (a, 32, 6, 16, 8, NULL), ) \
	F(cuMemsetD2D16Async_ptsz, A, 0x00060006, (a, 32, 6, 8, 8, NULL), ) \
	F(cuMemsetD2D32Async_ptsz, A, 6, (a, 32, 6, 4, 8, NULL), ) \
	F(cuLaunchKernel_ptsz, A, IN_A + 5, \
	  (add, 1, 1, 1, N, 1, 1, 0, NULL, params, NULL), LAUNCH) \
	F(cuLaunchKernelEx_ptsz, A, IN_A + 5, (&c, add, params, NULL), LAUNCH; \
	  CUlaunchConfig c = ((CUlaunchConfig){ .gridDimX = 1, .gridDimY = 1, .gridDimZ = 1, \
						.blockDimX = N, .blockDimY = 1, .blockDimZ = 1 })) \
	F(cuLaunchCooperativeKernel_ptsz, A, IN_A + 5, \
	  (add, 1, 1, 1, N, 1, 1, 0, NULL, params), LAUNCH) \
	F(cuLaunchHostFunc_ptsz, HOST, 77, (NULL, seven, host), ) \
	F(cuStreamAddCallback_ptsz, HOST, 77, (NULL, seven_with, host, 0), ) \
	F(cuStreamWriteValue32_v2_ptsz, A, 91, (NULL, a, 91, 0), ) \
	F(cuStreamWriteValue64_v2_ptsz, A, 92, (NULL, a, 0x10000005cull, 0), ) \
	F(cuStreamBatchMemOp_v2_ptsz, A, 99, (NULL, 1, &v, 0), \
	  VALUES(CU_STREAM_MEM_OP_WRITE_VALUE_32)) \
	F(cuGraphLaunch_ptsz, A, 1234, (graph, NULL), )

/* The same for values as they were before CUDA 12, which a driver may have switched off. */
#define OLD_VALUES(F) \
	F(cuStreamWriteValue32_ptsz, A, 91, (NULL, a, 91, 0), ) \
	F(cuStreamWriteValue64_ptsz, A, 92, (NULL, a, 0x10000005cull, 0), ) \
	F(cuStreamBatchMemOp_ptsz, A, 99, (NULL, 1, &v, 0), \
	  VALUES(CU_STREAM_MEM_OP_WRITE_VALUE_32))

#define ARRAY_CALLS(F) \
	F(cuMemcpyDtoA_v2_ptds, X, IN_A, (x, 0, a, 4 * N), ) \
	F(cuMemcpyAtoD_v2_ptds, A, IN_X, (a, x, 0, 4 * N), ) \
	F(cuMemcpyHtoA_v2_ptds, X, IN_HOST, (x, 0, pageable, 4 * N), ) \
	F(cuMemcpyAtoH_v2_ptds, HOST, IN_X, (host, x, 0, 4 * N), ) \
	F(cuMemcpyAtoA_v2_ptds, X, IN_Y, (x, 0, y, 0, 4 * N), ) \
	F(cuMemcpyHtoAAsync_v2_ptsz, X, IN_HOST, (x, 0, host, 4 * N, NULL), ) \
	F(cuMemcpyAtoHAsync_v2_ptsz, HOST, IN_X, (host, x, 0, 4 * N, NULL), )

struct call {
	const char *name;
	CUresult (*run)(void);
	enum place at;
	unsigned int want;
};

#define BODY(name, at, want, args, needs) \
	static CUresult call_##name(void) { needs; return name args; }
#define ROW(name, at, want, args, needs) { #name, call_##name, at, want },

CALLS(BODY)
OLD_VALUES(BODY)
ARRAY_CALLS(BODY)
static const struct call calls[] = { CALLS(ROW) };
static const struct call old_values[] = { OLD_VALUES(ROW) };
static const struct call array_calls[] = { ARRAY_CALLS(ROW) };

static void run(const struct call *c, unsigned int count, int optional)
{
	for (unsigned int i = 0; i < count; i++, c++) {
		CUresult r;
		unsigned int got;

		fill();
		r = c->run();
		if (optional && r == CUDA_ERROR_NOT_SUPPORTED)
			continue;
		/* The driver wants a stream that is named for a batch, in these too. */
		if (!through_vgpu && r == CUDA_ERROR_INVALID_VALUE && strstr(c->name, "BatchAsync"))
			continue;
		if (r)
			printf("%s: %d\n", c->name, r);
		OK(r);
		OK(cuStreamSynchronize(CU_STREAM_PER_THREAD));
		if (late == 1) {
			printf("%s: waits for the gate\n", c->name);
			late = 2;
		}
		got = found(c->at);
		if (got != c->want)
			printf("%s: %#x, not %#x\n", c->name, got, c->want);
		TRUE(got == c->want);
	}
}

#define COUNT(list) (sizeof(list) / sizeof(list[0]))

/* Once with the gate open, for what the driver does at a first use may need all of the device. */
static void all(const struct call *c, unsigned int count, int optional)
{
	run(c, count, optional);
	gate_close();
	run(c, count, optional);
	gate_open();
}

static void begin(void)
{
	int least, greatest;

	signal(SIGALRM, too_late);
	OK(cuMemAlloc_v2(&a, 4 * N));
	OK(cuMemAlloc_v2(&b, 4 * N));
	OK(cuMemHostAlloc((void **)&host, 4 * N + 4, 0));
	/* Of another priority, so that the device does not put it into a queue with others. */
	OK(cuCtxGetStreamPriorityRange(&least, &greatest));
	OK(cuStreamCreateWithPriority(&held, CU_STREAM_DEFAULT, greatest));
	OK(cuStreamCreate(&side, CU_STREAM_NON_BLOCKING));
	OK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
}

static void end(void)
{
	OK(cuCtxSynchronize());
	OK(cuEventDestroy_v2(event));
	OK(cuStreamDestroy_v2(held));
	OK(cuStreamDestroy_v2(side));
	OK(cuMemFreeHost(host));
	OK(cuMemFree_v2(a));
	OK(cuMemFree_v2(b));
}

/* A graph of one node, which sets a; instantiated and uploaded by way of stream 0. */
static void graph_new(void)
{
	CUDA_MEMSET_NODE_PARAMS set = { .dst = a, .value = 1234, .elementSize = 4, .width = N,
					.height = 1 };
	CUDA_GRAPH_INSTANTIATE_PARAMS p = { .flags = CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD };
	CUgraphNode node;
	CUgraph g;

	OK(cuGraphCreate(&g, 0));
	OK(cuGraphAddMemsetNode(&node, g, NULL, 0, &set, ctx));
	OK(cuGraphInstantiateWithParams_ptsz(&graph, g, &p));
	TRUE(p.result_out == CUDA_GRAPH_INSTANTIATE_SUCCESS);
	OK(cuGraphUpload_ptsz(graph, NULL));
	OK(cuStreamSynchronize_ptsz(NULL));
	if (through_vgpu)
		IS(cuGraphInstantiateWithParams_ptsz(&graph, g, NULL), CUDA_ERROR_INVALID_VALUE);
	OK(cuGraphDestroy(g));
}

/* What waits for something, or asks whether something is over. */
static void waiting(void)
{
	static CUresult (*const wait32[])(CUstream, CUdeviceptr, cuuint32_t, unsigned int) = {
		cuStreamWaitValue32_v2_ptsz, cuStreamWaitValue32_ptsz,
	};
	static CUresult (*const wait64[])(CUstream, CUdeviceptr, cuuint64_t, unsigned int) = {
		cuStreamWaitValue64_v2_ptsz, cuStreamWaitValue64_ptsz,
	};
	CUdeviceptr word = (uintptr_t)host;

	for (int i = 0; i < 4; i++) {
		CUresult r;

		fill();
		host[0] = host[1] = 0;
		gate_close();
		if (i < 2)
			r = wait32[i](NULL, word, 41, CU_STREAM_WAIT_VALUE_EQ);
		else
			r = wait64[i - 2](NULL, word, 41, CU_STREAM_WAIT_VALUE_EQ);
		if (!(i & 1) || r != CUDA_ERROR_NOT_SUPPORTED) {
			OK(r);
			IS(cuStreamQuery_ptsz(NULL), CUDA_ERROR_NOT_READY);
			__atomic_store_n(&host[0], 41, __ATOMIC_SEQ_CST);
		}
		OK(cuStreamSynchronize_ptsz(NULL));
		OK(cuStreamQuery_ptsz(NULL));
		gate_open();
	}
	gate_close();
	OK(cuEventRecord_ptsz(event, NULL));
	OK(cuStreamSynchronize_ptsz(NULL));
	OK(cuEventQuery(event));
	OK(cuEventRecordWithFlags_ptsz(event, NULL, CU_EVENT_RECORD_DEFAULT));
	OK(cuEventSynchronize(event));
	OK(cuEventRecord(event, held));
	OK(cuStreamWaitEvent_ptsz(NULL, event, 0));
	IS(cuStreamQuery_ptsz(NULL), CUDA_ERROR_NOT_READY);
	gate_open();
	OK(cuStreamSynchronize_ptsz(NULL));
	TRUE(cuEventRecordWithFlags_ptsz(event, NULL, 0x40) != CUDA_SUCCESS);
	TRUE(cuStreamWaitEvent_ptsz(NULL, event, 0x40) != CUDA_SUCCESS);
}

/* What is told of it. */
static void known(void)
{
	unsigned long long id, own, legacy;
	CUstreamAttrValue v, back;
	unsigned int flags, same;
	CUgreenCtx green = (CUgreenCtx)&flags;
	int priority;
	CUcontext c;
	CUdevice d;

	OK(cuStreamGetId_ptsz(NULL, &id));
	OK(cuStreamGetId(CU_STREAM_PER_THREAD, &own));
	OK(cuStreamGetId(CU_STREAM_LEGACY, &legacy));
	TRUE(id == own && id != legacy);
	OK(cuStreamGetPriority_ptsz(NULL, &priority));
	TRUE(priority == 0);
	OK(cuStreamGetPriority_ptsz(held, &priority));
	TRUE(priority <= 0);
	OK(cuStreamGetFlags_ptsz(NULL, &flags));
	OK(cuStreamGetFlags(CU_STREAM_PER_THREAD, &same));
	TRUE(flags == same);
	OK(cuStreamGetFlags_ptsz(side, &flags));
	TRUE(flags == CU_STREAM_NON_BLOCKING);
	OK(cuStreamGetDevice_ptsz(NULL, &d));
	TRUE(d == dev);
	OK(cuStreamGetCtx_ptsz(NULL, &c));
	TRUE(c == ctx);
	c = NULL;
	OK(cuStreamGetCtx_v2_ptsz(NULL, &c, &green));
	TRUE(c == ctx && !green);
	memset(&v, 0, sizeof(v));
	v.syncPolicy = CU_SYNC_POLICY_YIELD;
	OK(cuStreamSetAttribute_ptsz(NULL, CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY, &v));
	memset(&back, 0, sizeof(back));
	OK(cuStreamGetAttribute(CU_STREAM_PER_THREAD, CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY,
				&back));
	TRUE(back.syncPolicy == CU_SYNC_POLICY_YIELD);
	OK(cuStreamCopyAttributes_ptsz(side, NULL));
	memset(&back, 0, sizeof(back));
	OK(cuStreamGetAttribute_ptsz(side, CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY, &back));
	TRUE(back.syncPolicy == CU_SYNC_POLICY_YIELD);
	v.syncPolicy = CU_SYNC_POLICY_AUTO;
	OK(cuStreamSetAttribute_ptsz(NULL, CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY, &v));
	if (through_vgpu)
		IS(cuStreamSetAttribute_ptsz(NULL, CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY,
					     NULL), CUDA_ERROR_INVALID_VALUE);
	if (through_vgpu)
		IS(cuStreamGetPriority_ptsz(NULL, NULL), CUDA_ERROR_INVALID_VALUE);
}

void per_thread(void)
{
	begin();
	graph_new();
	all(calls, COUNT(calls), 0);
	all(old_values, COUNT(old_values), 1);
	waiting();
	known();
	OK(cuGraphExecDestroy(graph));
	end();
}

void per_thread_arrays(void)
{
	CUDA_ARRAY_DESCRIPTOR d = { .Width = N, .NumChannels = 1,
				    .Format = CU_AD_FORMAT_UNSIGNED_INT32 };

	begin();
	OK(cuArrayCreate_v2(&x, &d));
	OK(cuArrayCreate_v2(&y, &d));
	all(array_calls, COUNT(array_calls), 0);
	IS(cuMemcpyHtoA_v2_ptds(x, 0, pageable, 8 * N), CUDA_ERROR_INVALID_VALUE);
	OK(cuArrayDestroy(x));
	OK(cuArrayDestroy(y));
	x = y = NULL;
	end();
}
