// SPDX-License-Identifier: Apache-2.0
/*
 * Green contexts.  What the driver keeps inside a CUdevResource never leaves this
 * process: the guest has an id, and would have its own copy to change.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "timing.h"
#include "vg_cuda.h"

#define RESOURCES_MAX	4096u
#define GROUPS_MAX	128u

/* Neither is ever given back by its interface, so both are only bounded.  Ids are from 1 on. */
static CUdevResource *resources;
static CUdevResourceDesc *descs;
static unsigned int resource_count, desc_count;

struct green {
	CUgreenCtx green;
	uint32_t context, primary;	/* ids */
};

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;	/* both below */
static struct green *greens;
static size_t count;

uint32_t vg_x_home(uint32_t ctx)
{
	uint32_t home = ctx;

	pthread_rwlock_rdlock(&lock);
	for (size_t i = 0; i < count; i++)
		if (greens[i].context == ctx)
			home = greens[i].primary;
	pthread_rwlock_unlock(&lock);
	return home;
}

uint32_t vg_x_green_home(CUgreenCtx green)
{
	uint32_t home = 0;

	pthread_rwlock_rdlock(&lock);
	for (size_t i = 0; i < count; i++)
		if (greens[i].green == green)
			home = greens[i].primary;
	pthread_rwlock_unlock(&lock);
	return home;
}

/* Room for one more of something that there may be RESOURCES_MAX of. */
static bool room(void *list, unsigned int have, size_t bytes)
{
	void **at = list, *p;

	if (have >= RESOURCES_MAX)
		return false;
	if (have & (have - 1) || (have && have < 16))
		return true;
	p = realloc(*at, (have ? have * 2 : 16) * bytes);
	if (p)
		*at = p;
	return p;
}

static CUresult keep(const CUdevResource *r, vgpu_sm_resource *out)
{
	unsigned int i;

	*out = (vgpu_sm_resource){ 0 };
	if (r->type == CU_DEV_RESOURCE_TYPE_INVALID)
		return CUDA_SUCCESS;
	/* The same asked for again is the same. */
	for (i = 0; i < resource_count; i++)
		if (!memcmp(&resources[i], r, sizeof(*r)))
			break;
	if (i == resource_count) {
		if (!room(&resources, resource_count, sizeof(*resources)))
			return CUDA_ERROR_OUT_OF_MEMORY;
		resources[resource_count++] = *r;
	}
	*out = (vgpu_sm_resource){ i + 1, r->type, r->sm.smCount, r->sm.minSmPartitionSize,
				   r->sm.smCoscheduledAlignment };
	return CUDA_SUCCESS;
}

static const CUdevResource *resource_of(unsigned int id)
{
	return id && id <= resource_count ? &resources[id - 1] : NULL;
}

CUresult vge_vgpu_device_resource(struct vg_exec *x, const struct vg_req *rq, CUdevice dev,
				  unsigned int type, vgpu_sm_resource *out)
{
	CUdevResource res;
	CUresult r;

	(void)x;
	(void)rq;
	if (!cu.cuDeviceGetDevResource)
		return CUDA_ERROR_NOT_SUPPORTED;
	memset(&res, 0, sizeof(res));
	r = cu.cuDeviceGetDevResource(dev, &res, type);
	return r ? r : keep(&res, out);
}

CUresult vge_vgpu_context_resource(struct vg_exec *x, const struct vg_req *rq, CUcontext ctx,
				   unsigned int type, vgpu_sm_resource *out)
{
	CUdevResource res;
	CUresult r;

	(void)x;
	(void)rq;
	if (!cu.cuCtxGetDevResource)
		return CUDA_ERROR_NOT_SUPPORTED;
	memset(&res, 0, sizeof(res));
	r = cu.cuCtxGetDevResource(ctx, &res, type);
	return r ? r : keep(&res, out);
}

CUresult vge_vgpu_green_resource(struct vg_exec *x, const struct vg_req *rq, CUgreenCtx green,
				 unsigned int type, vgpu_sm_resource *out)
{
	CUdevResource res;
	CUresult r;

	(void)x;
	(void)rq;
	if (!cu.cuGreenCtxGetDevResource)
		return CUDA_ERROR_NOT_SUPPORTED;
	memset(&res, 0, sizeof(res));
	r = cu.cuGreenCtxGetDevResource(green, &res, type);
	return r ? r : keep(&res, out);
}

CUresult vge_vgpu_resource_split(struct vg_exec *x, const struct vg_req *rq, unsigned int input,
				 unsigned int flags, unsigned int least, unsigned int groups,
				 unsigned int *made, vgpu_sm_resource *rest,
				 vgpu_sm_resource *result)
{
	CUdevResource out[GROUPS_MAX], remaining;
	const CUdevResource *in = resource_of(input);
	CUresult r;

	(void)x;
	(void)rq;
	if (!cu.cuDevSmResourceSplitByCount)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!in || groups > GROUPS_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	memset(out, 0, sizeof(out));
	memset(&remaining, 0, sizeof(remaining));
	*made = groups;
	r = cu.cuDevSmResourceSplitByCount(groups ? out : NULL, made, in, &remaining, flags, least);
	if (r || !groups)
		return r;
	if (*made > groups)
		return CUDA_ERROR_UNKNOWN;
	for (unsigned int i = 0; i < *made && !r; i++)
		r = keep(&out[i], &result[i]);
	return r ? r : keep(&remaining, rest);
}

CUresult vge_vgpu_resource_describe(struct vg_exec *x, const struct vg_req *rq,
				    const unsigned int *ids, unsigned int n, unsigned int *desc)
{
	CUdevResource in[GROUPS_MAX];
	CUresult r;

	(void)x;
	(void)rq;
	if (!cu.cuDevResourceGenerateDesc)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!n || n > GROUPS_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned int i = 0; i < n; i++) {
		const CUdevResource *one = resource_of(ids[i]);

		if (!one)
			return CUDA_ERROR_INVALID_VALUE;
		in[i] = *one;
	}
	if (!room(&descs, desc_count, sizeof(*descs)))
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = cu.cuDevResourceGenerateDesc(&descs[desc_count], in, n);
	if (!r)
		*desc = ++desc_count;
	return r;
}

CUresult vge_vgpu_green_create(struct vg_exec *x, const struct vg_req *rq, CUgreenCtx *green,
			       unsigned int context, unsigned int primary, unsigned int desc,
			       CUdevice dev, unsigned int flags)
{
	CUcontext ctx = NULL;
	struct green *more;
	uint64_t serial;
	CUresult r;

	(void)rq;
	if (!cu.cuGreenCtxCreate || !cu.cuGreenCtxDestroy || !cu.cuCtxFromGreenCtx)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!desc || desc > desc_count)
		return CUDA_ERROR_INVALID_VALUE;
	/* It goes with its device's primary context, and so does its id: by no other's. */
	if (!vg_x_primary_of(dev, primary))
		return CUDA_ERROR_INVALID_CONTEXT;
	pthread_rwlock_wrlock(&lock);
	more = realloc(greens, (count + 1) * sizeof(*more));
	if (more)
		greens = more;
	pthread_rwlock_unlock(&lock);
	if (!more)
		return CUDA_ERROR_OUT_OF_MEMORY;
	/* The primary context takes along what was made in it. */
	r = vg_x_reserve(x, context, VG_CONTEXT, primary, 0, 0, &serial);
	if (r)
		return r;
	r = cu.cuGreenCtxCreate(green, descs[desc - 1], dev, flags);
	if (!r) {
		r = cu.cuCtxFromGreenCtx(&ctx, *green);
		if (r)
			cu.cuGreenCtxDestroy(*green);
	}
	r = vg_x_made(x, r, context, serial, VG_CONTEXT, (uintptr_t)ctx);
	if (r)
		return r;
	pthread_rwlock_wrlock(&lock);
	greens[count++] = (struct green){ *green, context, primary };
	pthread_rwlock_unlock(&lock);
	return CUDA_SUCCESS;
}

/* What this forgets is not to be found again when the driver's handle comes again. */
void vg_x_greens_gone(struct vg_exec *x, uint32_t primary)
{
	uint32_t id, context;
	CUgreenCtx green;
	uint64_t v;

	for (size_t i = count; i-- > 0;) {
		if (greens[i].primary != primary)
			continue;
		green = greens[i].green;
		pthread_rwlock_wrlock(&lock);
		context = greens[i].context;
		greens[i] = greens[--count];
		pthread_rwlock_unlock(&lock);
		if (vg_handle_id_of(vg_exec_handles(x), VG_GREEN_CTX, (uintptr_t)green, &id))
			vg_handle_take(vg_exec_handles(x), id, VG_GREEN_CTX, &v);
		vg_timing_context_gone(context);
		vg_handle_take(vg_exec_handles(x), context, VG_CONTEXT, &v);
		cu.cuGreenCtxDestroy(green);
	}
}

CUresult vge_cuGreenCtxDestroy(struct vg_exec *x, const struct vg_req *rq, CUgreenCtx green)
{
	uint32_t context = 0;
	CUresult r;
	uint64_t v;
	size_t i;

	(void)rq;
	if (!cu.cuGreenCtxDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	/* Only this thread, the ring's, changes the list. */
	for (i = 0; i < count && greens[i].green != green; i++)
		;
	if (i < count)
		context = greens[i].context;
	/* Which of its home's streams go with it, and so which captures, is not kept. */
	if (i < count && vg_x_captures_in(x, greens[i].primary))
		return CUDA_ERROR_ILLEGAL_STATE;
	vg_exec_settle(x, context);
	vg_timing_context_gone(context);
	r = cu.cuGreenCtxDestroy(green);
	vg_exec_contexts_changed(x);
	if (vg_x_refused(r) || i == count)
		return r;
	pthread_rwlock_wrlock(&lock);
	greens[i] = greens[--count];
	pthread_rwlock_unlock(&lock);
	/* Streams stay, for the driver to say that their context has gone. */
	vg_handle_take(vg_exec_handles(x), context, VG_CONTEXT, &v);
	return r;
}
