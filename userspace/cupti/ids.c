// SPDX-License-Identifier: Apache-2.0
/* What records call contexts, streams and devices; and what is there. */
#include "cupti_internal.h"

static CUptiResult context_of(CUcontext ctx, uint32_t *id, int *device)
{
	CUptiResult r = CUPTI_SUCCESS;
	const struct vg_profile_table *t = vg_driver(&r);

	if (t && !t->ready())
		r = CUPTI_ERROR_NOT_INITIALIZED;
	else if (t && !t->context(ctx, NULL, id, device))
		r = CUPTI_ERROR_INVALID_CONTEXT;
	return r;
}

VG_EXPORT CUptiResult cuptiGetContextId(CUcontext ctx, uint32_t *id)
{
	int device;

	if (!id)
		return vg_cupti_said(CUPTI_ERROR_INVALID_PARAMETER);
	return vg_cupti_said(ctx ? context_of(ctx, id, &device) : CUPTI_ERROR_INVALID_CONTEXT);
}

VG_EXPORT CUptiResult cuptiGetDeviceId(CUcontext ctx, uint32_t *id)
{
	uint32_t context;
	CUptiResult r;
	int device;

	if (!id)
		return vg_cupti_said(CUPTI_ERROR_INVALID_PARAMETER);
	r = context_of(ctx, &context, &device);
	if (!r)
		*id = device;
	return vg_cupti_said(r);
}

VG_EXPORT CUptiResult cuptiGetStreamIdEx(CUcontext ctx, CUstream stream, uint8_t per_thread,
					 uint32_t *id)
{
	uint32_t context;
	CUptiResult r;
	int device;

	if (!id)
		return vg_cupti_said(CUPTI_ERROR_INVALID_PARAMETER);
	r = context_of(ctx, &context, &device);
	if (!r && !vg_driver(NULL)->stream(stream, per_thread, id))
		r = CUPTI_ERROR_INVALID_STREAM;
	return vg_cupti_said(r);
}

VG_EXPORT CUptiResult cuptiGetStreamId(CUcontext ctx, CUstream stream, uint32_t *id)
{
	return cuptiGetStreamIdEx(ctx, stream, 0, id);
}

VG_EXPORT CUptiResult cuptiDeviceSupported(CUdevice dev, int *support)
{
	const struct vg_profile_table *t;
	CUptiResult r = CUPTI_SUCCESS;

	(void)dev;
	if (!support)
		return vg_cupti_said(CUPTI_ERROR_INVALID_PARAMETER);
	t = vg_driver(&r);
	if (t)
		*support = 1;
	return vg_cupti_said(r);
}

VG_EXPORT CUptiResult cuptiDeviceVirtualizationMode(CUdevice dev, uint32_t *mode)
{
	(void)dev;
	if (!mode)
		return vg_cupti_said(CUPTI_ERROR_INVALID_PARAMETER);
	*mode = 2;	/* CUPTI_DEVICE_VIRTUALIZATION_MODE_VIRTUAL_GPU */
	return CUPTI_SUCCESS;
}
