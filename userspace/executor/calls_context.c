// SPDX-License-Identifier: Apache-2.0
/* Contexts.  Which one is current is the loop's business, call by call. */
#include "calls.h"
#include "timing.h"
#include "vg_cuda.h"

/*
 * The id by which the guest has each device's primary context.  There is one, because what
 * belongs to a context is known by its id, and goes when the driver's context does.
 */
#define DEVICES_MAX 64
static uint32_t primary[DEVICES_MAX];	/* the ring's thread's */

bool vg_x_primary_of(CUdevice dev, uint32_t id)
{
	return id && dev >= 0 && dev < DEVICES_MAX && primary[dev] == id;
}

bool vg_x_primary(uint32_t id)
{
	for (CUdevice dev = 0; dev < DEVICES_MAX; dev++)
		if (vg_x_primary_of(dev, id))
			return true;
	return false;
}

CUresult vge_vgpu_primary_retain(struct vg_exec *x, const struct vg_req *rq, CUdevice dev,
				 unsigned int id, unsigned int flags)
{
	uint64_t serial;
	CUcontext ctx;
	CUresult r;

	(void)rq;
	if (!cu.cuDevicePrimaryCtxRetain || !cu.cuDevicePrimaryCtxRelease_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (dev < 0 || dev >= DEVICES_MAX)
		return CUDA_ERROR_INVALID_DEVICE;
	if (primary[dev])
		return CUDA_ERROR_INVALID_CONTEXT;
	r = vg_x_reserve(x, id, VG_CONTEXT, 0, 0, 0, &serial);
	if (r)
		return r;
	ctx = vg_x_warm_take(dev, flags);
	if (!ctx) {
		r = flags && cu.cuDevicePrimaryCtxSetFlags_v2 ?
			    cu.cuDevicePrimaryCtxSetFlags_v2(dev, flags) : CUDA_SUCCESS;
		if (!r)
			r = cu.cuDevicePrimaryCtxRetain(&ctx, dev);
		if (!r)
			vg_x_anchor(ctx);
	}
	r = vg_x_made(x, r, id, serial, VG_CONTEXT, (uintptr_t)ctx);
	if (r)
		return r;
	primary[dev] = id;
	vg_exec_context(x, dev, 1);
	return CUDA_SUCCESS;
}

/*
 * End a device's primary context as `how` does, and take its id.  Its green contexts go first,
 * because the driver takes them along without a word.
 */
static CUresult end(struct vg_exec *x, CUdevice dev, uint32_t id, CUresult (*how)(CUdevice))
{
	CUresult r;

	if (!vg_x_primary_of(dev, id))
		return CUDA_ERROR_INVALID_CONTEXT;
	vg_exec_settle(x, id);
	r = vg_x_may_end_captures(x, VG_CONTEXT, id);
	if (r)
		return r;
	vg_x_greens_gone(x, id);
	vg_timing_context_gone(id);
	r = how(dev);
	vg_exec_contexts_changed(x);
	if (vg_x_refused(r))
		return r;
	primary[dev] = 0;
	vg_x_destroyed(x, r, id, VG_CONTEXT);
	vg_x_allocations_gone(x, id, !r);
	vg_exec_context(x, dev, -1);
	return r;
}

CUresult vge_vgpu_primary_release(struct vg_exec *x, const struct vg_req *rq, CUdevice dev,
				  unsigned int id)
{
	(void)rq;
	if (!cu.cuDevicePrimaryCtxRelease_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	return end(x, dev, id, cu.cuDevicePrimaryCtxRelease_v2);
}

/* The reference that was retained is given back, too. */
static CUresult reset(CUdevice dev)
{
	CUresult r = cu.cuDevicePrimaryCtxReset_v2(dev);

	if (!vg_x_refused(r))
		cu.cuDevicePrimaryCtxRelease_v2(dev);
	return r;
}

CUresult vge_vgpu_primary_reset(struct vg_exec *x, const struct vg_req *rq, CUdevice dev,
				unsigned int id)
{
	(void)rq;
	if (!cu.cuDevicePrimaryCtxReset_v2 || !cu.cuDevicePrimaryCtxRelease_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	return end(x, dev, id, reset);
}

CUresult vge_vgpu_primary_flags(struct vg_exec *x, const struct vg_req *rq, CUdevice dev,
				unsigned int flags)
{
	(void)x;
	(void)rq;
	if (!cu.cuDevicePrimaryCtxSetFlags_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	return cu.cuDevicePrimaryCtxSetFlags_v2(dev, flags);
}

CUresult vge_vgpu_context_create(struct vg_exec *x, const struct vg_req *rq, CUcontext *ctx,
				 unsigned int flags, CUdevice dev)
{
	CUcontext top;
	CUresult r;

	(void)rq;
	if (!cu.cuCtxCreate_v2 || !cu.cuCtxPopCurrent_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	vg_x_warm_drop();
	r = cu.cuCtxCreate_v2(ctx, flags, dev);
	if (r)
		return r;
	/* It is pushed onto this thread, where the loop has another. */
	cu.cuCtxPopCurrent_v2(&top);
	vg_x_anchor(*ctx);
	vg_exec_context(x, dev, 1);
	return CUDA_SUCCESS;
}

/* Of a context, or -1: one that an error has ended may not say. */
static int device_of(CUcontext ctx)
{
	CUcontext top;
	CUdevice dev = -1;

	if (!cu.cuCtxPushCurrent_v2 || !cu.cuCtxPopCurrent_v2 || !cu.cuCtxGetDevice ||
	    cu.cuCtxPushCurrent_v2(ctx))
		return -1;
	if (cu.cuCtxGetDevice(&dev))
		dev = -1;
	cu.cuCtxPopCurrent_v2(&top);
	return dev;
}

CUresult vge_vgpu_context_destroy(struct vg_exec *x, const struct vg_req *rq, CUcontext ctx)
{
	const struct vg_rq_vgpu_context_destroy *q = rq->payload;
	CUresult r;
	int dev;

	if (!cu.cuCtxDestroy_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	dev = device_of(ctx);
	vg_timing_context_gone(q->ctx);
	r = cu.cuCtxDestroy_v2(ctx);
	vg_exec_contexts_changed(x);
	if (vg_x_refused(r))
		return r;
	vg_x_allocations_gone(x, q->ctx, !r);
	vg_exec_context(x, dev, -1);
	return r;
}

CUresult vge_vgpu_context_synchronize(struct vg_exec *x, const struct vg_req *rq, CUcontext ctx)
{
	CUcontext before;
	CUresult r;

	(void)x;
	(void)rq;
	if (cu.cuCtxSynchronize_v2)
		return cu.cuCtxSynchronize_v2(ctx);
	if (!cu.cuCtxSynchronize || !cu.cuCtxPushCurrent_v2 || !cu.cuCtxPopCurrent_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = cu.cuCtxPushCurrent_v2(ctx);
	if (r)
		return r;
	r = cu.cuCtxSynchronize();
	cu.cuCtxPopCurrent_v2(&before);
	return r;
}
