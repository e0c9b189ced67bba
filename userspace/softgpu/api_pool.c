// SPDX-License-Identifier: Apache-2.0
/* Stream-ordered allocation. Memory is taken at once and goes back in the stream's order. */
#include <stdlib.h>

#include "api.h"

static CUmemoryPool pool_of(CUmemoryPool p)
{
	return p && p->magic == MAGIC_POOL ? p : NULL;
}

static CUresult alloc(CUmemoryPool pool, CUdeviceptr *dptr, size_t size)
{
	uint64_t addr;
	CUresult rc = sg_heap_alloc(&pool->dev->heap, size, 512, RG_POOL, pool, &addr);

	if (rc)
		return rc;
	pthread_mutex_lock(&pool->dev->lock);
	pool->used += size;
	if (pool->used > pool->high)
		pool->high = pool->used;
	pthread_mutex_unlock(&pool->dev->lock);
	*dptr = addr;
	return CUDA_SUCCESS;
}

SG_API CUresult cuMemAllocFromPoolAsync(CUdeviceptr *dptr, size_t size, CUmemoryPool pool,
					CUstream stream)
{
	CUstream s;
	CUresult rc;

	SG_ENTER(ctx);
	if (!dptr || !size || !pool_of(pool))
		return CUDA_ERROR_INVALID_VALUE;
	if (sg_capturing(ctx, stream)) {
		CUDA_MEM_ALLOC_NODE_PARAMS p = {
			.poolProps = {
				.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
				.location = { CU_MEM_LOCATION_TYPE_DEVICE, pool->dev->index },
			},
			.bytesize = size,
		};

		rc = SG_CAPTURE(ctx, stream, cuGraphAddMemAllocNode, &p);
		*dptr = p.dptr;
		return rc;
	}
	rc = sg_stream_get(ctx, stream, &s);
	if (rc)
		return rc;
	rc = alloc(pool, dptr, size);
	if (rc == CUDA_ERROR_OUT_OF_MEMORY) {
		/* frees that are still queued may make room */
		sg_context_wait(ctx);
		rc = alloc(pool, dptr, size);
	}
	sg_stream_put(s);
	return rc;
}

SG_API CUresult cuMemAllocAsync(CUdeviceptr *dptr, size_t size, CUstream stream)
{
	CUmemoryPool pool;

	SG_ENTER(ctx);
	pthread_mutex_lock(&ctx->dev->lock);
	pool = ctx->dev->pool;
	pthread_mutex_unlock(&ctx->dev->lock);
	return cuMemAllocFromPoolAsync(dptr, size, pool, stream);
}

struct free_work {
	struct sg_work w;
	CUcontext ctx;
	CUdeviceptr ptr;
};

static int run_free(struct sg_work *w)
{
	struct free_work *f = (struct free_work *)w;

	return sg_free_device(f->ctx, f->ptr);
}

SG_API CUresult cuMemFreeAsync(CUdeviceptr dptr, CUstream stream)
{
	struct free_work *f;
	struct sg_range r;
	CUstream s;
	CUresult rc;

	SG_ENTER(ctx);
	if (!sg_range_find(dptr, &r) || r.addr != dptr ||
	    (r.kind != RG_POOL && r.kind != RG_DEVICE && r.kind != RG_GRAPH))
		return CUDA_ERROR_INVALID_VALUE;
	if (sg_capturing(ctx, stream))
		return SG_CAPTURE(ctx, stream, cuGraphAddMemFreeNode, dptr);
	/* The graph may be launched again before the stream gets here. */
	if (sg_graph_alloc_held(dptr))
		return sg_graph_alloc_free(dptr);
	rc = sg_stream_get(ctx, stream, &s);
	if (rc)
		return rc;
	f = sg_work_new(sizeof(*f), run_free);
	if (f) {
		f->ctx = ctx;
		f->ptr = dptr;
		f->w.always = true;
	}
	rc = sg_submit(s, (struct sg_work *)f);
	sg_stream_put(s);
	return rc;
}

SG_API CUresult cuDeviceGetDefaultMemPool(CUmemoryPool *pool, CUdevice dev)
{
	SG_NEED_INIT();
	if (!pool)
		return CUDA_ERROR_INVALID_VALUE;
	if (!sg_device(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	*pool = &sg_device(dev)->default_pool;
	return CUDA_SUCCESS;
}

SG_API CUresult cuDeviceGetMemPool(CUmemoryPool *pool, CUdevice dev)
{
	SG_NEED_INIT();
	if (!pool)
		return CUDA_ERROR_INVALID_VALUE;
	if (!sg_device(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	*pool = sg_device(dev)->pool;
	return CUDA_SUCCESS;
}

SG_API CUresult cuDeviceSetMemPool(CUdevice dev, CUmemoryPool pool)
{
	struct sg_device *d;

	SG_NEED_INIT();
	d = sg_device(dev);
	if (!d)
		return CUDA_ERROR_INVALID_DEVICE;
	if (!pool_of(pool) || pool->dev != d)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&d->lock);
	d->pool = pool;
	pthread_mutex_unlock(&d->lock);
	return CUDA_SUCCESS;
}

SG_API CUresult cuMemPoolCreate(CUmemoryPool *out, const CUmemPoolProps *props)
{
	CUmemoryPool p;

	SG_NEED_INIT();
	if (!out || !props || props->allocType != CU_MEM_ALLOCATION_TYPE_PINNED)
		return CUDA_ERROR_INVALID_VALUE;
	if (props->location.type != CU_MEM_LOCATION_TYPE_DEVICE || props->handleTypes)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!sg_device(props->location.id))
		return CUDA_ERROR_INVALID_DEVICE;
	p = calloc(1, sizeof(*p));
	if (!p)
		return CUDA_ERROR_OUT_OF_MEMORY;
	p->magic = MAGIC_POOL;
	p->dev = sg_device(props->location.id);
	for (int k = 0; k < 3; k++)
		p->reuse[k] = 1;
	*out = p;
	return CUDA_SUCCESS;
}

SG_API CUresult cuMemPoolDestroy(CUmemoryPool p)
{
	struct sg_device *d;
	struct sg_range r;

	SG_NEED_INIT();
	if (!pool_of(p) || p->is_default)
		return CUDA_ERROR_INVALID_VALUE;
	d = p->dev;
	pthread_mutex_lock(&d->lock);
	if (d->pool == p)
		d->pool = &d->default_pool;
	pthread_mutex_unlock(&d->lock);
	/* what is still allocated outlives the pool and is counted with the default one */
	if (!sg_range_of_owner(0, p, &r)) {
		p->magic = 0;
		free(p);
	} else {
		p->magic = 0;
	}
	return CUDA_SUCCESS;
}

SG_API CUresult cuMemPoolTrimTo(CUmemoryPool p, size_t keep)
{
	SG_NEED_INIT();
	(void)keep;	/* nothing is held back: freed memory returns to the device at once */
	return pool_of(p) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

SG_API CUresult cuMemPoolSetAttribute(CUmemoryPool p, CUmemPool_attribute attr, void *value)
{
	CUresult rc = CUDA_SUCCESS;

	SG_NEED_INIT();
	if (!pool_of(p) || !value)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&p->dev->lock);
	switch (attr) {
	case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
	case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
	case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
		p->reuse[attr - CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES] = *(int *)value;
		break;
	case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
		p->threshold = *(uint64_t *)value;
		break;
	case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
	case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
		if (*(uint64_t *)value)
			rc = CUDA_ERROR_INVALID_VALUE;
		else
			p->high = p->used;
		break;
	default:
		rc = CUDA_ERROR_INVALID_VALUE;
		break;
	}
	pthread_mutex_unlock(&p->dev->lock);
	return rc;
}

SG_API CUresult cuMemPoolGetAttribute(CUmemoryPool p, CUmemPool_attribute attr, void *value)
{
	CUresult rc = CUDA_SUCCESS;

	SG_NEED_INIT();
	if (!pool_of(p) || !value)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&p->dev->lock);
	switch (attr) {
	case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
	case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
	case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
		*(int *)value = p->reuse[attr - CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES];
		break;
	case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
		*(uint64_t *)value = p->threshold;
		break;
	case CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT:
	case CU_MEMPOOL_ATTR_USED_MEM_CURRENT:
		*(uint64_t *)value = p->used;
		break;
	case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
	case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
		*(uint64_t *)value = p->high;
		break;
	default:
		rc = CUDA_ERROR_INVALID_VALUE;
		break;
	}
	pthread_mutex_unlock(&p->dev->lock);
	return rc;
}

/* Every device reaches every pool. */
/* Its own device always has all of it; others are not given some of it. */
SG_API CUresult cuMemPoolSetAccess(CUmemoryPool p, const CUmemAccessDesc *map, size_t n)
{
	SG_NEED_INIT();
	if (!pool_of(p) || !map || !n)
		return CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; i < n; i++) {
		if (map[i].location.type != CU_MEM_LOCATION_TYPE_DEVICE ||
		    !sg_device(map[i].location.id))
			return CUDA_ERROR_INVALID_VALUE;
		if (sg_device(map[i].location.id) != p->dev)
			return CUDA_ERROR_NOT_SUPPORTED;
		if (map[i].flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
			return CUDA_ERROR_INVALID_VALUE;
	}
	return CUDA_SUCCESS;
}

SG_API CUresult cuMemPoolGetAccess(CUmemAccess_flags *flags, CUmemoryPool p, CUmemLocation *where)
{
	SG_NEED_INIT();
	if (!flags || !pool_of(p) || !where || where->type != CU_MEM_LOCATION_TYPE_DEVICE ||
	    !sg_device(where->id))
		return CUDA_ERROR_INVALID_VALUE;
	*flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
	return CUDA_SUCCESS;
}
