// SPDX-License-Identifier: Apache-2.0
/* Memory pools and stream-ordered allocation. */
#include <pthread.h>

#include "client.h"
#include "shim.h"
#include "shim_calls.h"

/*
 * Memory that a pool keeps after a free counts against nobody, so the host's
 * pools keep none, and the threshold that a program sets stays here: value[0]
 * of a pool.
 */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* both below */
static CUmemoryPool defaults[VG_DEVICES_MAX], chosen[VG_DEVICES_MAX];

static CUresult default_pool(CUdevice dev, CUmemoryPool *pool)
{
	CUresult r = CUDA_SUCCESS;

	pthread_mutex_lock(&lock);
	if (!defaults[dev])
		r = vgw_vgpu_pool_default(dev, &defaults[dev]);
	*pool = defaults[dev];
	pthread_mutex_unlock(&lock);
	return r;
}

CUresult vgh_cuDeviceGetDefaultMemPool(CUmemoryPool *pool, CUdevice dev)
{
	if (!vg_device(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	return pool ? default_pool(dev, pool) : CUDA_ERROR_INVALID_VALUE;
}

CUresult vgh_cuDeviceGetMemPool(CUmemoryPool *pool, CUdevice dev)
{
	if (!pool || !vg_device(dev))
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&lock);
	*pool = chosen[dev];
	pthread_mutex_unlock(&lock);
	return *pool ? CUDA_SUCCESS : default_pool(dev, pool);
}

CUresult vgh_cuDeviceSetMemPool(CUdevice dev, CUmemoryPool pool)
{
	CUresult r;

	if (!vg_device(dev))
		return CUDA_ERROR_INVALID_VALUE;
	r = vgw_cuDeviceSetMemPool(dev, pool);
	if (!r) {
		pthread_mutex_lock(&lock);
		chosen[dev] = pool;
		pthread_mutex_unlock(&lock);
	}
	return r;
}

/* Pools by location: those of devices are the devices' own. */
static CUresult located(const CUmemLocation *location, CUmemAllocationType type, CUdevice *dev)
{
	*dev = -1;
	if (!location || (type != CU_MEM_ALLOCATION_TYPE_PINNED &&
			  type != CU_MEM_ALLOCATION_TYPE_MANAGED))
		return CUDA_ERROR_INVALID_VALUE;
	if (location->type != CU_MEM_LOCATION_TYPE_DEVICE ||
	    type != CU_MEM_ALLOCATION_TYPE_PINNED)
		return vg_refuse("a memory pool of the host or of managed memory",
				 "not implemented");
	*dev = location->id;
	return vg_device(*dev) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult vgh_cuMemGetDefaultMemPool(CUmemoryPool *pool, CUmemLocation *location,
				    CUmemAllocationType type)
{
	CUdevice dev;
	CUresult r = located(location, type, &dev);

	return r ? r : vgh_cuDeviceGetDefaultMemPool(pool, dev);
}

CUresult vgh_cuMemGetMemPool(CUmemoryPool *pool, CUmemLocation *location, CUmemAllocationType type)
{
	CUdevice dev;
	CUresult r = located(location, type, &dev);

	return r ? r : vgh_cuDeviceGetMemPool(pool, dev);
}

CUresult vgh_cuMemSetMemPool(CUmemLocation *location, CUmemAllocationType type, CUmemoryPool pool)
{
	CUdevice dev;
	CUresult r = located(location, type, &dev);

	return r ? r : vgh_cuDeviceSetMemPool(dev, pool);
}

CUresult vgh_cuMemPoolCreate(CUmemoryPool *pool, const CUmemPoolProps *props)
{
	CUresult r;

	if (!pool || !props)
		return CUDA_ERROR_INVALID_VALUE;
	if (props->handleTypes & ~CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
		return vg_refuse("cuMemPoolCreate with a handle type",
				 "sharing memory with other machines is not implemented");
	if (props->location.type != CU_MEM_LOCATION_TYPE_DEVICE ||
	    props->allocType != CU_MEM_ALLOCATION_TYPE_PINNED)
		return vg_refuse("a memory pool of the host or of managed memory",
				 "not implemented");
	if (!vg_device(props->location.id))
		return CUDA_ERROR_INVALID_DEVICE;
	r = vgw_vgpu_pool_create(pool, props->location.id, props->maxSize, props->usage,
				 props->handleTypes);
	if (!r)
		((struct vg_object *)*pool)->flags = props->handleTypes;
	return r;
}

CUresult vgh_cuMemPoolDestroy(CUmemoryPool pool)
{
	bool is_default = false;

	pthread_mutex_lock(&lock);
	for (int i = 0; i < vg_device_count; i++) {
		is_default |= defaults[i] == pool;
		if (chosen[i] == pool && !is_default)
			chosen[i] = NULL;	/* CUDA falls back to the default too */
	}
	pthread_mutex_unlock(&lock);
	return is_default ? CUDA_ERROR_INVALID_VALUE : vgw_cuMemPoolDestroy(pool);
}

/* The first attributes are ints, the others 64 bits. */
static bool is_int(CUmemPool_attribute a)
{
	return a == CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES ||
	       a == CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC ||
	       a == CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES;
}

CUresult vgh_cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute a, void *value)
{
	struct vg_object *o = vg_object_get(pool, VG_MEMPOOL);

	if (!o)
		return CUDA_ERROR_INVALID_VALUE;
	if (!value)
		return CUDA_ERROR_INVALID_VALUE;
	if (a == CU_MEMPOOL_ATTR_RELEASE_THRESHOLD) {
		o->value[0] = *(cuuint64_t *)value;
		return CUDA_SUCCESS;
	}
	return vgw_vgpu_pool_set(pool, a, is_int(a) ? (uint64_t)*(int *)value :
						      *(cuuint64_t *)value);
}

CUresult vgh_cuMemPoolGetAttribute(CUmemoryPool pool, CUmemPool_attribute a, void *value)
{
	struct vg_object *o = vg_object_get(pool, VG_MEMPOOL);
	uint64_t v;
	CUresult r;

	if (!o || !value)
		return CUDA_ERROR_INVALID_VALUE;
	if (a == CU_MEMPOOL_ATTR_RELEASE_THRESHOLD) {
		*(cuuint64_t *)value = o->value[0];
		return CUDA_SUCCESS;
	}
	r = vgw_vgpu_pool_get(pool, a, &v);
	if (r)
		return r;
	if (is_int(a))
		*(int *)value = (int)v;
	else
		*(cuuint64_t *)value = v;
	return CUDA_SUCCESS;
}

CUresult vgh_cuDeviceGetGraphMemAttribute(CUdevice dev, CUgraphMem_attribute a, void *value)
{
	uint64_t v;
	CUresult r;

	if (!value || (unsigned int)a > CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgw_vgpu_graph_memory_get(dev, a, &v);
	if (!r)
		*(cuuint64_t *)value = v;
	return r;
}

CUresult vgh_cuDeviceSetGraphMemAttribute(CUdevice dev, CUgraphMem_attribute a, void *value)
{
	if (!value || (unsigned int)a > CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH)
		return CUDA_ERROR_INVALID_VALUE;
	return vgw_vgpu_graph_memory_set(dev, a, *(cuuint64_t *)value);
}

/* -- allocation */

static bool captured(CUstream s)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;

	return vg_capturing() && !vgw_cuStreamIsCapturing(s, &status) &&
	       status != CU_STREAM_CAPTURE_STATUS_NONE;
}

static CUresult keep(CUresult r, CUdeviceptr p, size_t bytes, CUstream s, unsigned int types,
		     CUdeviceptr *out)
{
	if (r)
		return r;
	if (captured(s)) {
		*out = p;
		return vg_range_add_graph(p, bytes, vg_current()->device);
	}
	r = vg_range_add(p, bytes, VG_RANGE_POOL, types);
	if (r) {
		vgw_cuMemFreeAsync(true, p, s);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	*out = p;
	return CUDA_SUCCESS;
}

/* The driver has no objection to an allocation of no bytes. */
static CUresult nothing(CUdeviceptr *dptr)
{
	*dptr = 0;
	return vg_context_ready();
}

CUresult vgh_cuMemAllocAsync(CUdeviceptr *dptr, size_t bytes, CUstream s)
{
	struct vg_context *c = vg_current();
	struct vg_object *pool;
	CUdeviceptr p = 0;
	CUresult r;

	if (!dptr)
		return CUDA_ERROR_INVALID_VALUE;
	if (!bytes)
		return nothing(dptr);
	r = vgw_cuMemAllocAsync(&p, bytes, s);
	pthread_mutex_lock(&lock);
	pool = c ? vg_object_get(chosen[c->device], VG_MEMPOOL) : NULL;
	pthread_mutex_unlock(&lock);
	return keep(r, p, bytes, s, pool ? pool->flags : 0, dptr);
}

CUresult vgh_cuMemAllocFromPoolAsync(CUdeviceptr *dptr, size_t bytes, CUmemoryPool pool, CUstream s)
{
	struct vg_object *o;
	CUdeviceptr p = 0;
	CUresult r;

	if (!dptr)
		return CUDA_ERROR_INVALID_VALUE;
	if (!bytes)
		return nothing(dptr);
	r = vgw_cuMemAllocFromPoolAsync(&p, bytes, pool, s);
	o = vg_object_get(pool, VG_MEMPOOL);
	return keep(r, p, bytes, s, o ? o->flags : 0, dptr);
}

CUresult vgh_cuMemFreeAsync(CUdeviceptr dptr, CUstream s)
{
	struct vg_range range;
	CUresult r = vg_context_ready();

	if (r || !dptr)
		return r;
	if (vg_range_find(dptr, &range) && range.kind == VG_RANGE_GRAPH && range.base == dptr)
		return vgw_cuMemFreeAsync(true, dptr, s);
	if (!vg_range_remove(dptr, 1u << VG_RANGE_POOL | 1u << VG_RANGE_DEVICE, &range))
		return CUDA_ERROR_INVALID_VALUE;
	return vgw_cuMemFreeAsync(false, dptr, s);
}
