// SPDX-License-Identifier: Apache-2.0
/* Contexts.  Which one is current, and a device's primary one, are known here alone. */
#include <pthread.h>
#include <stdlib.h>

#include "client.h"
#include "shim.h"
#include "profile.h"
#include "common/storage.h"
#include "shim_calls.h"

/* The `retains` and `primary_flags` of each device. */
static pthread_mutex_t primary_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic uint64_t unique = 1;

#define FLAGS_ALL (CU_CTX_FLAGS_MASK)

/* A program that asks for threads that sleep while the device works gets them, for good. */
static void heed_flags(unsigned int flags)
{
	if (flags & CU_CTX_SCHED_BLOCKING_SYNC)
		vg_client_spin_long(false);
}

static struct vg_context *context_data(CUdevice dev, unsigned int flags, bool primary)
{
	struct vg_context *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->device = dev;
	c->flags = flags;
	c->primary = primary;
	c->api = 3020;
	c->unique = atomic_fetch_add(&unique, 1);
	heed_flags(flags);
	return c;
}

/* A thread may look at a context while another destroys it, so its data stays: it is small. */
static void adopt(struct vg_object *o, struct vg_context *c)
{
	c->object = c->home = o;
	o->data = c;
}

CUresult vg_context_new(CUdevice dev, unsigned int flags, bool primary, struct vg_object **out)
{
	struct vg_context *c = context_data(dev, flags, primary);
	CUresult r;

	if (!c)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = vg_object_new(VG_CONTEXT, out);
	if (r) {
		free(c);
		return r;
	}
	adopt(*out, c);
	return CUDA_SUCCESS;
}

struct vg_context *vg_context_by_id(uint32_t id)
{
	struct vg_object *o = vg_object_by_id(id, VG_CONTEXT);

	return o ? vg_context_of(o) : NULL;
}

/* -- primary contexts */

CUresult vgh_cuDevicePrimaryCtxRetain(CUcontext *pctx, CUdevice dev)
{
	struct vg_device *d = vg_device(dev);
	struct vg_context *c;
	CUresult r = CUDA_SUCCESS;
	bool made = false;

	if (!d)
		return CUDA_ERROR_INVALID_DEVICE;
	if (!pctx)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&primary_lock);
	c = vg_context_of(d->primary);
	if (!d->retains) {
		r = vgw_vgpu_primary_retain(dev, d->primary->id, d->primary_flags);
		if (!r) {
			c->flags = d->primary_flags;
			heed_flags(c->flags);
			atomic_store(&c->poison, 0);
			atomic_store(&c->active, true);
			made = true;
		}
	}
	if (!r) {
		d->retains++;
		*pctx = (CUcontext)d->primary;
	}
	pthread_mutex_unlock(&primary_lock);
	if (made)
		vg_profile_context(d->primary, true);
	return r;
}

static bool last_retain(struct vg_device *d)
{
	bool last;

	pthread_mutex_lock(&primary_lock);
	last = d->retains == 1;
	pthread_mutex_unlock(&primary_lock);
	return last;
}

CUresult vgh_cuDevicePrimaryCtxRelease_v2(CUdevice dev)
{
	struct vg_device *d = vg_device(dev);
	CUresult r = CUDA_SUCCESS;

	if (!d)
		return CUDA_ERROR_INVALID_DEVICE;
	/* Destructors call the driver, so they run before and without the lock. */
	if (last_retain(d)) {
		vg_profile_context(d->primary, false);
		vg_storage_end(vg_context_of(d->primary), (CUcontext)d->primary);
	}
	pthread_mutex_lock(&primary_lock);
	if (!d->retains) {
		r = CUDA_ERROR_INVALID_CONTEXT;
	} else if (!--d->retains) {
		atomic_store(&vg_context_of(d->primary)->active, false);
		vg_range_forget(d->primary->id);
		r = vgw_vgpu_primary_release(dev, d->primary->id);
		vg_object_orphans(d->primary);
	}
	pthread_mutex_unlock(&primary_lock);
	return r;
}

CUresult vgh_cuDevicePrimaryCtxReset_v2(CUdevice dev)
{
	struct vg_device *d = vg_device(dev);
	CUresult r;

	if (!d)
		return CUDA_ERROR_INVALID_DEVICE;
	if (atomic_load(&vg_context_of(d->primary)->active))
		vg_profile_context(d->primary, false);
	vg_storage_end(vg_context_of(d->primary), (CUcontext)d->primary);
	pthread_mutex_lock(&primary_lock);
	/* The context is gone however often it was retained, and comes back when next used. */
	atomic_store(&vg_context_of(d->primary)->active, false);
	vg_range_forget(d->primary->id);
	r = d->retains ? vgw_vgpu_primary_reset(dev, d->primary->id) : CUDA_SUCCESS;
	d->retains = 0;
	vg_object_orphans(d->primary);
	pthread_mutex_unlock(&primary_lock);
	return r;
}

CUresult vgh_cuDevicePrimaryCtxSetFlags_v2(CUdevice dev, unsigned int flags)
{
	struct vg_device *d = vg_device(dev);
	CUresult r = CUDA_SUCCESS;

	if (!d)
		return CUDA_ERROR_INVALID_DEVICE;
	if (flags & ~FLAGS_ALL)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&primary_lock);
	if (d->retains)
		r = vgw_vgpu_primary_flags(dev, flags);
	if (!r) {
		d->primary_flags = flags;
		vg_context_of(d->primary)->flags = flags;
	}
	pthread_mutex_unlock(&primary_lock);
	return r;
}

/* As it was before CUDA 11: not while the context is there. */
CUresult vgh_cuDevicePrimaryCtxSetFlags(CUdevice dev, unsigned int flags)
{
	struct vg_device *d = vg_device(dev);
	bool there;

	if (!d || flags & ~FLAGS_ALL)
		return vgh_cuDevicePrimaryCtxSetFlags_v2(dev, flags);
	pthread_mutex_lock(&primary_lock);
	there = d->retains;
	pthread_mutex_unlock(&primary_lock);
	return there ? CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE :
		       vgh_cuDevicePrimaryCtxSetFlags_v2(dev, flags);
}

CUresult vgh_cuDevicePrimaryCtxGetState(CUdevice dev, unsigned int *flags, int *active)
{
	struct vg_device *d = vg_device(dev);

	if (!d)
		return CUDA_ERROR_INVALID_DEVICE;
	if (!flags || !active)
		return CUDA_ERROR_INVALID_VALUE;
	*flags = d->primary_flags;
	*active = atomic_load(&vg_context_of(d->primary)->active);
	return CUDA_SUCCESS;
}

/* -- contexts of the program's own */

static CUresult create(CUcontext *pctx, unsigned int flags, CUdevice dev, unsigned int api)
{
	unsigned int sched = flags & CU_CTX_SCHED_MASK;	/* at most one way to wait */
	struct vg_context *c;
	struct vg_object *o;
	CUcontext made;
	CUresult r;

	if (!pctx || flags & ~FLAGS_ALL || sched & (sched - 1))
		return CUDA_ERROR_INVALID_VALUE;
	if (!vg_device(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	c = context_data(dev, flags, false);
	if (!c)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = vgw_vgpu_context_create(&made, flags, dev);
	if (r) {
		free(c);
		return r;
	}
	o = (struct vg_object *)made;
	c->api = api;
	adopt(o, c);
	atomic_store(&c->active, true);
	r = vg_context_push(o);
	if (r) {
		vgw_vgpu_context_destroy(made);
		return r;
	}
	*pctx = made;
	vg_profile_context(o, true);
	return CUDA_SUCCESS;
}

CUresult vgh_cuCtxCreate_v2(CUcontext *pctx, unsigned int flags, CUdevice dev)
{
	return create(pctx, flags, dev, 3020);
}

CUresult vgh_cuCtxCreate_v3(CUcontext *pctx, CUexecAffinityParam *params, int count,
			    unsigned int flags, CUdevice dev)
{
	if (!pctx)
		return CUDA_ERROR_INVALID_VALUE;
	if (!vg_device(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	if (count > 0)
		return params ? CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY : CUDA_ERROR_INVALID_VALUE;
	return create(pctx, flags, dev, 3020);
}

CUresult vgh_cuCtxCreate_v4(CUcontext *pctx, CUctxCreateParams *params, unsigned int flags,
			    CUdevice dev)
{
	if (params && (params->execAffinityParams || params->cigParams))
		return vg_refuse("cuCtxCreate_v4", "execution affinity is not implemented");
	return create(pctx, flags, dev, 3020);
}

CUresult vgh_cuCtxDestroy_v2(CUcontext ctx)
{
	struct vg_object *o, *top;
	struct vg_context *c;
	uint32_t id;
	CUresult r;

	/* The driver looks at this before it looks at whether it has been started. */
	if (!ctx)
		return CUDA_ERROR_INVALID_VALUE;
	r = vg_ready();
	if (r)
		return r;
	o = vg_object_get(ctx, VG_CONTEXT);
	if (!o)
		return vg_object_wrong(ctx, VG_CONTEXT);
	c = vg_context_of(o);
	if (c->primary)
		return CUDA_ERROR_INVALID_CONTEXT;
	vg_profile_context(o, false);
	vg_storage_end(c, (CUcontext)c->object);
	if (vg_current() == c)
		vg_context_pop(&top);
	id = o->id;
	atomic_store(&c->active, false);
	vg_range_forget(id);
	return vgw_vgpu_context_destroy(ctx);
}

/*
 * A count of users, as there was before CUDA 4: with the last of them the context goes.  A primary
 * context has a count of its own, so here it is given, and not counted.
 */
CUresult vgh_cuCtxAttach(CUcontext *pctx, unsigned int flags)
{
	struct vg_context *c = vg_current();

	if (!pctx || flags)
		return CUDA_ERROR_INVALID_VALUE;
	if (!c)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (!c->primary)
		atomic_fetch_add(&c->attached, 1);
	*pctx = (CUcontext)c->object;
	return CUDA_SUCCESS;
}

CUresult vgh_cuCtxDetach(CUcontext ctx)
{
	struct vg_object *o = vg_object_get(ctx, VG_CONTEXT);
	struct vg_context *c = o ? vg_context_of(o) : NULL;
	unsigned int n;

	if (!c || c != vg_current())
		return CUDA_ERROR_INVALID_CONTEXT;
	n = atomic_load(&c->attached);
	while (n)
		if (atomic_compare_exchange_weak(&c->attached, &n, n - 1))
			return CUDA_SUCCESS;
	return vgh_cuCtxDestroy_v2(ctx);
}

/* -- the current context */

static CUresult usable(CUcontext ctx, struct vg_object **o)
{
	*o = vg_object_get(ctx, VG_CONTEXT);
	return *o ? CUDA_SUCCESS : vg_object_wrong(ctx, VG_CONTEXT);
}

CUresult vgh_cuCtxPushCurrent_v2(CUcontext ctx)
{
	struct vg_object *o;
	CUresult r = ctx ? usable(ctx, &o) : CUDA_ERROR_INVALID_VALUE;

	return r ? r : vg_context_push(o);
}

CUresult vgh_cuCtxPopCurrent_v2(CUcontext *pctx)
{
	struct vg_object *o;
	CUresult r = vg_context_pop(&o);

	if (!r && pctx)
		*pctx = (CUcontext)o;
	return r;
}

CUresult vgh_cuCtxSetCurrent(CUcontext ctx)
{
	struct vg_object *o = NULL;
	CUresult r = ctx ? usable(ctx, &o) : CUDA_SUCCESS;

	return r ? r : vg_context_replace(o);
}

CUresult vgh_cuCtxGetCurrent(CUcontext *pctx)
{
	struct vg_context *c = vg_current();

	if (!pctx)
		return CUDA_ERROR_INVALID_VALUE;
	*pctx = c ? (CUcontext)c->object : NULL;
	return CUDA_SUCCESS;
}

/* The context of a handle, or the current one for NULL. */
static CUresult find(CUcontext ctx, struct vg_context **c)
{
	struct vg_object *o;

	if (!ctx) {
		*c = vg_current();
		return *c ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
	}
	o = vg_object_get(ctx, VG_CONTEXT);
	*c = o ? vg_context_of(o) : NULL;
	return o ? CUDA_SUCCESS : vg_object_wrong(ctx, VG_CONTEXT);
}

CUresult vgh_cuCtxGetDevice_v2(CUdevice *device, CUcontext ctx)
{
	struct vg_context *c;
	CUresult r = find(ctx, &c);

	if (r)
		return r;
	if (!device)
		return CUDA_ERROR_INVALID_VALUE;
	*device = c->device;
	return CUDA_SUCCESS;
}

CUresult vgh_cuCtxGetDevice(CUdevice *device)
{
	return vgh_cuCtxGetDevice_v2(device, NULL);
}

CUresult vgh_cuCtxGetFlags(unsigned int *flags)
{
	struct vg_context *c;
	CUresult r = find(NULL, &c);

	if (r)
		return r;
	if (!flags)
		return CUDA_ERROR_INVALID_VALUE;
	*flags = c->flags;
	return CUDA_SUCCESS;
}

CUresult vgh_cuCtxSetFlags(unsigned int flags)
{
	CUresult r = vgw_cuCtxSetFlags(flags);

	if (!r)
		vg_current()->flags = flags;
	return r;
}

CUresult vgh_cuCtxGetId(CUcontext ctx, unsigned long long *id)
{
	struct vg_context *c;
	CUresult r = find(ctx, &c);

	if (r)
		return r;
	if (!id)
		return CUDA_ERROR_INVALID_VALUE;
	*id = c->unique;
	return CUDA_SUCCESS;
}

CUresult vgh_cuCtxGetApiVersion(CUcontext ctx, unsigned int *version)
{
	struct vg_context *c;

	if (find(ctx, &c))
		return CUDA_ERROR_INVALID_CONTEXT;
	if (!version)
		return CUDA_ERROR_INVALID_VALUE;
	*version = c->api;
	return CUDA_SUCCESS;
}

CUresult vgh_cuCtxSynchronize_v2(CUcontext ctx)
{
	struct vg_context *c;
	CUresult r = find(ctx, &c);
	int poison;

	if (r)
		return r;
	poison = atomic_load(&c->poison);
	if (poison)
		return poison;
	return vgw_vgpu_context_synchronize((CUcontext)c->object);
}

CUresult vgh_cuCtxSetLimit(CUlimit limit, size_t value)
{
	return vgw_cuCtxSetLimit(limit, value);
}

CUresult vgh_cuCtxGetLimit(size_t *value, CUlimit limit)
{
	return vgw_cuCtxGetLimit(value, limit);
}

CUresult vgh_cuCtxGetStreamPriorityRange(int *least, int *greatest)
{
	struct vg_context *c;
	CUresult r = vg_context_ready();

	if (r)
		return r;
	c = vg_current();
	if (!c->priority_known) {
		r = vgw_cuCtxGetStreamPriorityRange(&c->priority_least, &c->priority_greatest);
		if (r)
			return r;
		c->priority_known = 1;
	}
	if (least)
		*least = c->priority_least;
	if (greatest)
		*greatest = c->priority_greatest;
	return CUDA_SUCCESS;
}
