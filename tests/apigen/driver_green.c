// SPDX-License-Identifier: Apache-2.0
/* Green contexts: a part of the multiprocessors, as a context. */
#include <stdlib.h>
#include <string.h>

#include "driver_test.h"

#define SM CU_DEV_RESOURCE_TYPE_SM

/* Two groups of a device's multiprocessors, and what is left. */
static void split(CUdevResource part[2], CUdevResource *rest)
{
	CUdevResource all, of_ctx, bad;
	unsigned int n = 0, least;
	int count;

	OK(cuDeviceGetDevResource(dev, &all, SM));
	OK(cuDeviceGetAttribute(&count, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, dev));
	TRUE(all.type == SM && all.sm.smCount && all.sm.smCount <= (unsigned int)count);
	OK(cuCtxGetDevResource(ctx, &of_ctx, SM));
	TRUE(of_ctx.sm.smCount == all.sm.smCount);
	TRUE(cuDeviceGetDevResource(dev, &bad, CU_DEV_RESOURCE_TYPE_INVALID) != CUDA_SUCCESS);
	IS(cuDeviceGetDevResource(99, &bad, SM), CUDA_ERROR_INVALID_DEVICE);
	IS(cuDeviceGetDevResource(dev, NULL, SM), CUDA_ERROR_INVALID_VALUE);
	least = all.sm.smCount / 4;
	OK(cuDevSmResourceSplitByCount(NULL, &n, &all, NULL, 0, least));
	TRUE(n >= 2);
	n = 2;
	OK(cuDevSmResourceSplitByCount(part, &n, &all, rest, 0, least));
	TRUE(n == 2 && part[0].type == SM && part[0].sm.smCount >= least);
	TRUE(part[0].sm.smCount == part[1].sm.smCount);
	TRUE(rest->type != SM ||
	     2 * part[0].sm.smCount + rest->sm.smCount == all.sm.smCount);
	n = 1;
	IS(cuDevSmResourceSplitByCount(part, NULL, &all, NULL, 0, least), CUDA_ERROR_INVALID_VALUE);
	TRUE(cuDevSmResourceSplitByCount(&bad, &n, &all, NULL, 0, all.sm.smCount + 1) !=
	     CUDA_SUCCESS);
	memset(&bad, 0, sizeof(bad));
	TRUE(cuDevSmResourceSplitByCount(&all, &n, &bad, NULL, 0, 8) != CUDA_SUCCESS);
}

static CUgreenCtx make(CUdevResource *part, unsigned int n)
{
	CUdevResourceDesc desc;
	CUgreenCtx g = NULL;

	OK(cuDevResourceGenerateDesc(&desc, part, n));
	IS(cuGreenCtxCreate(&g, desc, dev, 0), CUDA_ERROR_INVALID_VALUE);
	OK(cuGreenCtxCreate(&g, desc, dev, CU_GREEN_CTX_DEFAULT_STREAM));
	return g;
}

static void streams_of(CUgreenCtx g, CUcontext c, CUdeviceptr p)
{
	unsigned int flags;
	CUstream s, t;
	CUcontext of;
	CUgreenCtx green;
	CUevent e;

	OK(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING));
	IS(cuGreenCtxStreamCreate(&s, g, 0, 0), CUDA_ERROR_INVALID_VALUE);
	OK(cuGreenCtxStreamCreate(&s, g, CU_STREAM_NON_BLOCKING, 0));
	OK(cuStreamGetFlags(s, &flags));
	TRUE(flags == CU_STREAM_NON_BLOCKING);
	OK(cuStreamGetGreenCtx(s, &green));
	TRUE(green == g);
	OK(cuStreamGetCtx(s, &of));
	TRUE(of == c);
	OK(cuStreamGetCtx_v2(s, &of, &green));
	TRUE(of == ctx && green == g);
	OK(cuStreamCreate(&t, CU_STREAM_NON_BLOCKING));
	OK(cuStreamGetGreenCtx(t, &green));
	TRUE(!green);
	OK(cuMemsetD32Async(p, 41, 64, s));
	OK(cuGreenCtxRecordEvent(g, e));
	OK(cuStreamWaitEvent(t, e, 0));
	OK(cuMemsetD32Async(p, 42, 32, t));
	OK(cuEventRecord(e, t));
	OK(cuGreenCtxWaitEvent(g, e));
	OK(cuMemsetD32Async(p, 43, 16, s));
	OK(cuCtxRecordEvent(ctx, e));
	OK(cuCtxWaitEvent(ctx, e));
	OK(cuStreamSynchronize(s));
	TRUE(value_at(p, 15) == 43 && value_at(p, 31) == 42 && value_at(p, 63) == 41);
	OK(cuStreamDestroy_v2(t));
	OK(cuStreamDestroy_v2(s));
	OK(cuEventDestroy_v2(e));
}

void green(void)
{
	CUdevResource part[2], rest, got;
	unsigned long long id, other;
	CUgreenCtx g, h, seen;
	CUcontext c, now;
	CUdeviceptr p, q;
	CUdevice d;

	split(part, &rest);
	g = make(part, 1);
	h = make(part + 1, 1);
	if (!g || !h)
		return;
	OK(cuGreenCtxGetDevResource(g, &got, SM));
	TRUE(got.sm.smCount == part[0].sm.smCount);
	OK(cuGreenCtxGetId(g, &id));
	OK(cuGreenCtxGetId(h, &other));
	TRUE(id != other);
	OK(cuCtxFromGreenCtx(&c, g));
	OK(cuCtxFromGreenCtx(&now, g));
	TRUE(c == now && c != ctx);
	IS(cuCtxFromGreenCtx(NULL, g), CUDA_ERROR_INVALID_VALUE);
	OK(cuMemAlloc_v2(&p, 4096));
	streams_of(g, c, p);
	OK(cuCtxPushCurrent_v2(c));
	OK(cuCtxGetDevice(&d));
	TRUE(d == dev);
	OK(cuGreenCtxGetId(NULL, &other));
	TRUE(other == id);
	OK(cuStreamGetGreenCtx(NULL, &seen));
	TRUE(seen == g);
	OK(cuCtxGetDevResource(c, &got, SM));
	TRUE(got.sm.smCount == part[0].sm.smCount);
	/* What is made in it is the primary context's, and outlives it. */
	OK(cuMemAlloc_v2(&q, 4096));
	OK(cuMemsetD32_v2(q, 7, 64));
	OK(cuCtxSynchronize());
	OK(cuCtxPopCurrent_v2(&now));
	TRUE(now == c);
	OK(cuGreenCtxDestroy(g));
	OK(cuGreenCtxDestroy(h));
	TRUE(value_at(q, 63) == 7);
	OK(cuMemFree_v2(q));
	OK(cuMemFree_v2(p));
	OK(cuCtxGetCurrent(&now));
	TRUE(now == ctx);
}

/* Kernels in a part of the device. */
void green_launches(void)
{
	unsigned int n = 4096, by = 3;
	CUdevResource part[2], rest;
	CUdeviceptr p;
	void *params[] = { &p, &n, &by };
	CUgreenCtx g;
	CUcontext c, now;
	CUstream s;

	split(part, &rest);
	g = make(part, 2);		/* both together */
	if (!g)
		return;
	OK(cuCtxFromGreenCtx(&c, g));
	OK(cuGreenCtxStreamCreate(&s, g, CU_STREAM_NON_BLOCKING, 0));
	OK(cuMemAlloc_v2(&p, 4 * n));
	OK(cuMemsetD32Async(p, 100, n, s));
	for (int i = 0; i < 50; i++)
		OK(cuLaunchKernel(add, n / 256, 1, 1, 256, 1, 1, 0, s, params, NULL));
	OK(cuStreamSynchronize(s));
	TRUE(value_at(p, 0) == 250 && value_at(p, n - 1) == 250);
	OK(cuCtxPushCurrent_v2(c));
	OK(cuLaunchKernel(add, n / 256, 1, 1, 256, 1, 1, 0, NULL, params, NULL));
	OK(cuCtxSynchronize());
	TRUE(value_at(p, n - 1) == 253);
	OK(cuCtxPopCurrent_v2(&now));
	OK(cuStreamDestroy_v2(s));
	OK(cuGreenCtxDestroy(g));
	OK(cuMemFree_v2(p));
}
