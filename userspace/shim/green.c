// SPDX-License-Identifier: Apache-2.0
/*
 * Green contexts.  Each has a context that stands for it, which is made with it; all
 * but streams that is made while that is current belongs to the primary context.
 */
#include <stdlib.h>

#include "client.h"
#include "shim.h"
#include "shim_calls.h"
#include "common/storage.h"

/* The program's copy of a resource: CUDA's visible part, and in the hidden one its id. */
static const char magic[8] = "vgpu-res";

static void fill(CUdevResource *out, const vgpu_sm_resource *in)
{
	memset(out, 0, sizeof(*out));
	out->type = in->type;
	memcpy(out->_internal_padding, magic, sizeof(magic));
	memcpy(out->_internal_padding + sizeof(magic), &in->id, sizeof(in->id));
	out->sm = (CUdevSmResource){ in->count, in->least, in->alignment };
}

static CUresult id_of(const CUdevResource *in, unsigned int *id)
{
	if (in->type != CU_DEV_RESOURCE_TYPE_SM)
		return CUDA_ERROR_INVALID_RESOURCE_TYPE;
	if (memcmp(in->_internal_padding, magic, sizeof(magic)))
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(id, in->_internal_padding + sizeof(magic), sizeof(*id));
	return CUDA_SUCCESS;
}

CUresult vgh_cuDeviceGetDevResource(CUdevice dev, CUdevResource *out, CUdevResourceType type)
{
	vgpu_sm_resource res;
	CUresult r;

	if (!vg_device(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	r = out ? vgw_vgpu_device_resource(dev, type, &res) : CUDA_ERROR_INVALID_VALUE;
	if (!r)
		fill(out, &res);
	return r;
}

CUresult vgh_cuCtxGetDevResource(CUcontext ctx, CUdevResource *out, CUdevResourceType type)
{
	vgpu_sm_resource res;
	CUresult r = out ? vgw_vgpu_context_resource(ctx, type, &res) : CUDA_ERROR_INVALID_VALUE;

	if (!r)
		fill(out, &res);
	return r;
}

CUresult vgh_cuGreenCtxGetDevResource(CUgreenCtx green, CUdevResource *out, CUdevResourceType type)
{
	vgpu_sm_resource res;
	CUresult r;

	if (!vg_object_get(green, VG_GREEN_CTX))
		return vg_object_wrong(green, VG_GREEN_CTX);
	r = out ? vgw_vgpu_green_resource(green, type, &res) : CUDA_ERROR_INVALID_VALUE;
	if (!r)
		fill(out, &res);
	return r;
}

#define GROUPS_MAX 128u		/* of vgpu_resource_split; the largest GPUs have 160 SMs */

CUresult vgh_cuDevSmResourceSplitByCount(CUdevResource *result, unsigned int *groups,
					 const CUdevResource *input, CUdevResource *remaining,
					 unsigned int flags, unsigned int least)
{
	vgpu_sm_resource out[GROUPS_MAX], rest;
	unsigned int id, n = 0, made = 0;
	CUresult r;

	if (!groups || !input)
		return CUDA_ERROR_INVALID_VALUE;
	r = id_of(input, &id);
	if (r)
		return r;
	if (result) {
		n = *groups < GROUPS_MAX ? *groups : GROUPS_MAX;
		if (!n)
			return CUDA_ERROR_INVALID_VALUE;
	}
	r = vgw_vgpu_resource_split(id, flags, least, n, &made, &rest, out);
	if (r)
		return r;
	*groups = made;
	if (!result)
		return CUDA_SUCCESS;
	for (unsigned int i = 0; i < made && i < n; i++)
		fill(&result[i], &out[i]);
	if (remaining)
		fill(remaining, &rest);
	return CUDA_SUCCESS;
}

CUresult vgh_cuDevResourceGenerateDesc(CUdevResourceDesc *desc, CUdevResource *in, unsigned int n)
{
	unsigned int ids[GROUPS_MAX], made;
	CUresult r = desc && in && n && n <= GROUPS_MAX ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;

	for (unsigned int i = 0; i < n && !r; i++)
		r = id_of(&in[i], &ids[i]);
	if (!r)
		r = vgw_vgpu_resource_describe(ids, n, &made);
	if (!r)
		*desc = (CUdevResourceDesc)(uintptr_t)made;
	return r;
}

/* -- contexts; an object's data is the context that stands for it */

CUresult vgh_cuGreenCtxCreate(CUgreenCtx *green, CUdevResourceDesc desc, CUdevice dev,
			      unsigned int flags)
{
	struct vg_device *d = vg_device(dev);
	struct vg_object *o, *g;
	struct vg_context *c;
	CUcontext primary;
	CUgreenCtx made;
	CUresult r;

	if (!d)
		return CUDA_ERROR_INVALID_DEVICE;
	if (!green || (uintptr_t)desc > UINT32_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgh_cuDevicePrimaryCtxRetain(&primary, dev);
	if (r)
		return r;
	r = vg_context_new(dev, vg_context_of(d->primary)->flags, true, &o);
	if (r)
		goto release;
	r = vgw_vgpu_green_create(&made, o->id, d->primary->id, (uint32_t)(uintptr_t)desc, dev,
				  flags);
	if (r)
		goto drop;
	g = (struct vg_object *)made;
	g->data = o;
	c = vg_context_of(o);
	c->green = g;
	c->home = d->primary;
	atomic_store(&c->active, true);
	*green = made;
	return CUDA_SUCCESS;

drop:
	free(o->data);
	o->data = NULL;
	vg_object_drop(o);
release:
	vgh_cuDevicePrimaryCtxRelease_v2(dev);
	return r;
}

static struct vg_context *standing_for(CUgreenCtx green)
{
	struct vg_object *g = vg_object_get(green, VG_GREEN_CTX);

	return g ? vg_context_of(g->data) : NULL;
}

CUresult vgh_cuGreenCtxDestroy(CUgreenCtx green)
{
	struct vg_context *c = standing_for(green);
	struct vg_object *top;
	CUresult r;

	if (!c)
		return vg_object_wrong(green, VG_GREEN_CTX);
	vg_storage_end(c, (CUcontext)c->object);
	if (vg_current() == c)
		vg_context_pop(&top);
	/* Its object stays: threads and streams may still name it, and hear that it has gone. */
	atomic_store(&c->active, false);
	r = vgw_cuGreenCtxDestroy(green);
	vgh_cuDevicePrimaryCtxRelease_v2(c->device);
	return r;
}

CUresult vgh_cuCtxFromGreenCtx(CUcontext *ctx, CUgreenCtx green)
{
	struct vg_context *c = standing_for(green);

	if (!c)
		return vg_object_wrong(green, VG_GREEN_CTX);
	if (!ctx)
		return CUDA_ERROR_INVALID_VALUE;
	*ctx = (CUcontext)c->object;
	return CUDA_SUCCESS;
}

CUresult vgh_cuGreenCtxGetId(CUgreenCtx green, unsigned long long *id)
{
	struct vg_context *c = green ? standing_for(green) : vg_current();

	if (!c || !c->green)
		return vg_object_wrong(green, VG_GREEN_CTX);
	if (!id)
		return CUDA_ERROR_INVALID_VALUE;
	*id = c->unique;
	return CUDA_SUCCESS;
}

CUresult vgh_cuGreenCtxStreamCreate(CUstream *stream, CUgreenCtx green, unsigned int flags,
				    int priority)
{
	struct vg_context *c = standing_for(green);
	int least, greatest;
	struct vg_object *o;
	CUresult r;

	if (!c)
		return vg_object_wrong(green, VG_GREEN_CTX);
	if (!stream || flags != CU_STREAM_NON_BLOCKING)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgw_cuGreenCtxStreamCreate(stream, green, flags, priority);
	if (r)
		return r;
	/* What it says of itself is in CUDA's range; without a current context, as given. */
	if (priority && vg_current() && !vgh_cuCtxGetStreamPriorityRange(&least, &greatest)) {
		priority = priority > least ? least : priority;
		priority = priority < greatest ? greatest : priority;
	}
	o = (struct vg_object *)*stream;
	vg_object_own(o, c->object->id);
	o->flags = flags;
	o->value[0] = (uint64_t)(int64_t)priority;
	return CUDA_SUCCESS;
}
