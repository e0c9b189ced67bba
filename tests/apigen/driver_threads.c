// SPDX-License-Identifier: Apache-2.0
/*
 * What works on a thread that has no context, as the driver has it: what names a stream,
 * an event, a function or a module uses that one's context; what needs to be told which
 * context is CUDA_ERROR_INVALID_CONTEXT.
 */
#include <pthread.h>

#include "driver_test.h"

static CUstream s;
static CUevent e, end;
static CUdeviceptr p;
static void *host;

static void *without(void *arg)
{
	CUpointer_attribute which = CU_POINTER_ATTRIBUTE_MEMORY_TYPE;
	CUstreamCaptureStatus status;
	CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
	unsigned int type = 7, n = 1, by = 1, flags, words[4] = { 5, 6, 7, 8 };
	void *data[1] = { &type }, *params[] = { &p, &n, &by };
	unsigned long long id;
	CUdeviceptr q;
	CUcontext c;
	size_t a, b;
	CUdevice d;
	int i;

	(void)arg;
	OK(cuCtxGetCurrent(&c));
	TRUE(!c);
	IS(cuCtxGetDevice(&d), CUDA_ERROR_INVALID_CONTEXT);
	IS(cuCtxSynchronize(), CUDA_ERROR_INVALID_CONTEXT);
	OK(cuPointerGetAttributes(1, &which, data, p));
	TRUE(type == CU_MEMORYTYPE_DEVICE);
	OK(cuPointerGetAttributes(1, &which, data, (CUdeviceptr)words));
	TRUE(type == 0);
	OK(cuPointerGetAttribute(&type, which, p));
	IS(cuPointerGetAttribute(&type, which, (CUdeviceptr)words), CUDA_ERROR_INVALID_VALUE);
	OK(cuThreadExchangeStreamCaptureMode(&mode));
	IS(cuMemGetInfo_v2(&a, &b), CUDA_ERROR_INVALID_CONTEXT);
	IS(cuMemAlloc_v2(&q, 64), CUDA_ERROR_INVALID_CONTEXT);
	IS(cuMemHostAlloc(&host, 64, 0), CUDA_ERROR_INVALID_CONTEXT);

	IS(cuStreamQuery(NULL), CUDA_ERROR_INVALID_CONTEXT);
	IS(cuStreamSynchronize(NULL), CUDA_ERROR_INVALID_CONTEXT);
	OK(cuStreamSynchronize(s));
	OK(cuStreamQuery(s));
	OK(cuStreamGetFlags(s, &flags));
	OK(cuStreamGetId(s, &id));
	OK(cuStreamGetCtx(s, &c));
	TRUE(c == ctx);
	OK(cuStreamIsCapturing(s, &status));
	OK(cuEventQuery(e));
	OK(cuEventRecord(e, s));
	IS(cuEventRecord(e, NULL), CUDA_ERROR_INVALID_CONTEXT);
	OK(cuEventSynchronize(e));
	OK(cuStreamWaitEvent(s, e, 0));
	IS(cuStreamCreate(&(CUstream){ 0 }, 0), CUDA_ERROR_INVALID_CONTEXT);

	OK(cuMemcpyHtoDAsync_v2(p, words, sizeof(words), s));
	OK(cuLaunchKernel(add, 1, 1, 1, 1, 1, 1, 0, s, params, NULL));
	IS(cuLaunchKernel(add, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL),
	   CUDA_ERROR_INVALID_CONTEXT);
	OK(cuMemcpyDtoHAsync_v2(words, p, sizeof(words), s));
	OK(cuEventRecord(end, s));
	OK(cuEventSynchronize(end));
	TRUE(words[0] == 6 && words[1] == 6 && words[3] == 8);
	IS(cuMemcpyHtoD_v2(p, words, 4), CUDA_ERROR_INVALID_CONTEXT);
	OK(cuMemsetD8Async(p, 0, 16, s));
	IS(cuMemsetD8_v2(p, 0, 16), CUDA_ERROR_INVALID_CONTEXT);

	OK(cuFuncGetAttribute(&i, CU_FUNC_ATTRIBUTE_NUM_REGS, add));
	OK(cuModuleGetFunction(&(CUfunction){ 0 }, module, "add"));
	IS(cuOccupancyMaxActiveBlocksPerMultiprocessor(&i, add, 32, 0), CUDA_ERROR_INVALID_CONTEXT);
	IS(cuModuleLoadData(&(CUmodule){ 0 }, ptx), CUDA_ERROR_INVALID_CONTEXT);
	OK(cuStreamSynchronize(s));
	OK(cuMemFree_v2(p));
	IS(cuMemFree_v2(p), CUDA_ERROR_INVALID_VALUE);
	IS(cuMemFreeHost(words), CUDA_ERROR_INVALID_VALUE);
	OK(cuCtxGetCurrent(&c));
	TRUE(!c);
	return NULL;
}

void threads(void)
{
	pthread_t thread;

	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	OK(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING));
	OK(cuEventCreate(&end, CU_EVENT_DISABLE_TIMING));
	OK(cuMemAlloc_v2(&p, 4096));
	TRUE(!pthread_create(&thread, NULL, without, NULL) && !pthread_join(thread, NULL));
	OK(cuStreamDestroy_v2(s));
	OK(cuEventDestroy_v2(e));
	OK(cuEventDestroy_v2(end));
}
