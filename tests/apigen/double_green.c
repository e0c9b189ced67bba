// SPDX-License-Identifier: Apache-2.0
/*
 * Green contexts of the stand-in for the driver: a GPU of 132 multiprocessors, split
 * by eights.  What a resource holds inside must come back as it was.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "double.h"

#define ALL 132u
#define EIGHT 8u

struct green {
	CUdevResource has;
	CUcontext ctx;
};

static struct green *greens[16];
static unsigned int made;

static void fill(CUdevResource *r, unsigned int count)
{
	memset(r, 0, sizeof(*r));
	r->type = CU_DEV_RESOURCE_TYPE_SM;
	memset(r->_internal_padding, 0xd1, sizeof(r->_internal_padding));
	r->sm = (CUdevSmResource){ count, EIGHT, EIGHT };
}

static bool sound(const CUdevResource *r)
{
	for (size_t i = 0; i < sizeof(r->_internal_padding); i++)
		if (r->_internal_padding[i] != 0xd1)
			return false;
	return r->type == CU_DEV_RESOURCE_TYPE_SM && r->sm.smCount <= ALL;
}

EXPORT CUresult cuDeviceGetDevResource(CUdevice dev, CUdevResource *r, CUdevResourceType type)
{
	if (type != CU_DEV_RESOURCE_TYPE_SM)
		return CUDA_ERROR_INVALID_RESOURCE_TYPE;
	fill(r, ALL);
	return dev ? CUDA_ERROR_INVALID_DEVICE : CUDA_SUCCESS;
}

EXPORT CUresult cuCtxGetDevResource(CUcontext ctx, CUdevResource *r, CUdevResourceType type)
{
	for (unsigned int i = 0; i < made; i++) {
		if (greens[i]->ctx == ctx) {
			*r = greens[i]->has;
			return CUDA_SUCCESS;
		}
	}
	return ctx ? cuDeviceGetDevResource(0, r, type) : CUDA_ERROR_INVALID_CONTEXT;
}

EXPORT CUresult cuGreenCtxGetDevResource(CUgreenCtx g, CUdevResource *r, CUdevResourceType type)
{
	if (type != CU_DEV_RESOURCE_TYPE_SM)
		return CUDA_ERROR_INVALID_RESOURCE_TYPE;
	*r = ((struct green *)g)->has;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuDevSmResourceSplitByCount(CUdevResource *result, unsigned int *groups,
					    const CUdevResource *input, CUdevResource *remaining,
					    unsigned int flags, unsigned int least)
{
	unsigned int each = (least + EIGHT - 1) / EIGHT * EIGHT, most;

	(void)flags;
	if (!sound(input) || least > input->sm.smCount)
		return CUDA_ERROR_INVALID_VALUE;
	each = each ? each : EIGHT;
	most = input->sm.smCount / each;
	if (!result || *groups > most)
		*groups = most;
	if (!result)
		return CUDA_SUCCESS;
	for (unsigned int i = 0; i < *groups; i++)
		fill(&result[i], each);
	if (remaining) {
		memset(remaining, 0, sizeof(*remaining));
		if (*groups * each < input->sm.smCount)
			fill(remaining, input->sm.smCount - *groups * each);
	}
	return CUDA_SUCCESS;
}

EXPORT CUresult cuDevResourceGenerateDesc(CUdevResourceDesc *desc, CUdevResource *r, unsigned int n)
{
	CUdevResource *sum = calloc(1, sizeof(*sum));

	fill(sum, 0);
	for (unsigned int i = 0; i < n; i++) {
		if (!sound(&r[i]))
			return CUDA_ERROR_INVALID_VALUE;
		sum->sm.smCount += r[i].sm.smCount;
	}
	*desc = (CUdevResourceDesc)sum;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuGreenCtxCreate(CUgreenCtx *out, CUdevResourceDesc desc, CUdevice dev,
				 unsigned int flags)
{
	struct green *g;
	CUcontext before;

	if (flags != CU_GREEN_CTX_DEFAULT_STREAM || made == 16)
		return CUDA_ERROR_INVALID_VALUE;
	g = greens[made++] = calloc(1, sizeof(*g));
	g->has = *(CUdevResource *)desc;
	cuCtxPopCurrent_v2(&before);
	cuCtxCreate_v2(&g->ctx, 0, dev);
	cuCtxSetCurrent(before);
	*out = (CUgreenCtx)g;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuGreenCtxDestroy(CUgreenCtx g)
{
	CUcontext ctx = ((struct green *)g)->ctx;

	/* An ordinary context may be made at its address. */
	((struct green *)g)->ctx = NULL;
	return cuCtxDestroy_v2(ctx);
}

bool double_in_green(void)
{
	for (unsigned int i = 0; i < made; i++)
		if (greens[i]->ctx && greens[i]->ctx == double_current())
			return true;
	return false;
}

EXPORT CUresult cuCtxFromGreenCtx(CUcontext *ctx, CUgreenCtx g)
{
	*ctx = ((struct green *)g)->ctx;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuGreenCtxStreamCreate(CUstream *s, CUgreenCtx g, unsigned int flags, int priority)
{
	CUcontext before;
	CUresult r;

	cuCtxPopCurrent_v2(&before);
	cuCtxSetCurrent(((struct green *)g)->ctx);
	r = cuStreamCreateWithPriority(s, flags, priority);
	cuCtxSetCurrent(before);
	return r;
}

EXPORT CUresult cuCtxRecordEvent(CUcontext ctx, CUevent e)
{
	(void)ctx;
	return cuEventQuery(e);
}

EXPORT CUresult cuCtxWaitEvent(CUcontext ctx, CUevent e)
{
	(void)ctx;
	return cuEventQuery(e);
}

EXPORT CUresult cuGreenCtxRecordEvent(CUgreenCtx g, CUevent e)
{
	(void)g;
	return cuEventQuery(e);
}

EXPORT CUresult cuGreenCtxWaitEvent(CUgreenCtx g, CUevent e)
{
	(void)g;
	return cuEventQuery(e);
}
