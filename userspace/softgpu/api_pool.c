// SPDX-License-Identifier: Apache-2.0
/*
 * Stream-ordered allocation. Memory is taken at once and goes back in the stream's order. Until the
 * stream comes to a free, the block may be allocated again in that stream.
 */
#include <stdlib.h>

#include "api.h"

static CUmemoryPool pool_of(CUmemoryPool p)
{
	return p && p->magic == MAGIC_POOL ? p : NULL;
}

/* Of all pools; with it held, a block that is found has not let go of its pool. */
static pthread_mutex_t refs_lock = PTHREAD_MUTEX_INITIALIZER;

static void get(CUmemoryPool pool)
{
	pthread_mutex_lock(&refs_lock);
	pool->refs++;
	pthread_mutex_unlock(&refs_lock);
}

/* The pool of the block at this address, with a reference; NULL if there is no such block. */
static CUmemoryPool get_of_block(CUdeviceptr at, struct sg_range *r)
{
	CUmemoryPool pool = NULL;

	pthread_mutex_lock(&refs_lock);
	if (sg_range_find(at, r) && r->addr == at && r->kind == RG_POOL) {
		pool = r->owner;
		pool->refs++;
	}
	pthread_mutex_unlock(&refs_lock);
	return pool;
}

void sg_pool_put(CUmemoryPool pool)
{
	bool last;

	pthread_mutex_lock(&refs_lock);
	last = !--pool->refs;
	pthread_mutex_unlock(&refs_lock);
	if (last)
		free(pool);
}

/* A block that the pool has back, but for work that is queued before its free. */
struct sg_freed {
	struct sg_freed *next;
	CUdeviceptr at;
	size_t size;
	CUstream stream;
	uint64_t number;	/* never again of another; not 0 */
};

/* With dev->lock held: the place of a block, or of one of this size in this stream. */
static struct sg_freed **find_freed(CUmemoryPool pool, CUdeviceptr at, size_t size, CUstream stream)
{
	struct sg_freed **f;

	for (f = &pool->freed; *f; f = &(*f)->next)
		if (at ? (*f)->at == at : (*f)->size == size && (*f)->stream == stream)
			break;
	return f;
}

/* Take it out of the list; 0 if it is not there. */
static CUdeviceptr take_freed(CUmemoryPool pool, CUdeviceptr at, size_t size, CUstream stream)
{
	struct sg_freed **place, *f;

	pthread_mutex_lock(&pool->dev->lock);
	place = find_freed(pool, at, size, stream);
	f = *place;
	if (f) {
		*place = f->next;
		pool->used += f->size;
		at = f->at;
	}
	pthread_mutex_unlock(&pool->dev->lock);
	if (!f)
		return 0;
	free(f);
	return at;
}

bool sg_pool_freed(CUdeviceptr at)
{
	struct sg_range r;
	CUmemoryPool pool = get_of_block(at, &r);
	bool freed;

	if (!pool)
		return false;
	pthread_mutex_lock(&pool->dev->lock);
	freed = *find_freed(pool, at, 0, NULL);
	pthread_mutex_unlock(&pool->dev->lock);
	sg_pool_put(pool);
	return freed;
}

static CUresult alloc(CUmemoryPool pool, CUdeviceptr *dptr, size_t size)
{
	uint64_t addr;
	CUresult rc;

	get(pool);	/* for the block, before anybody can find it */
	rc = sg_heap_alloc(&pool->dev->heap, size, 512, RG_POOL, pool, &addr);
	if (rc) {
		sg_pool_put(pool);
		return rc;
	}
	pthread_mutex_lock(&pool->dev->lock);
	pool->used += size;
	pool->reserved += size;
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
	*dptr = take_freed(pool, 0, size, s);
	rc = *dptr ? CUDA_SUCCESS : alloc(pool, dptr, size);
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

/* The block is free for work that this stream gets from now on.  Its number; 0: no memory. */
static uint64_t give_back(CUmemoryPool pool, CUdeviceptr at, size_t size, CUstream stream)
{
	struct sg_freed *f = malloc(sizeof(*f));
	static uint64_t last;
	uint64_t number;

	if (!f)
		return 0;
	pthread_mutex_lock(&pool->dev->lock);
	number = __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
	*f = (struct sg_freed){ pool->freed, at, size, stream, number };
	pool->freed = f;
	pool->used -= size;
	pthread_mutex_unlock(&pool->dev->lock);
	return number;
}

/* The stream has come to this very free: whether the block has not been allocated again. */
static bool take_this(CUmemoryPool pool, uint64_t number)
{
	struct sg_freed **place, *f;

	pthread_mutex_lock(&pool->dev->lock);
	for (place = &pool->freed; *place && (*place)->number != number; place = &(*place)->next)
		;
	f = *place;
	if (f) {
		*place = f->next;
		pool->used += f->size;
	}
	pthread_mutex_unlock(&pool->dev->lock);
	free(f);
	return f;
}

struct free_work {
	struct sg_work w;
	CUcontext ctx;
	CUdeviceptr ptr;
	CUmemoryPool pool;	/* with a reference; NULL: in none */
	uint64_t freed;		/* its number in the pool's list; 0: it is in none */
};

static int run_free(struct sg_work *w)
{
	struct free_work *f = (struct free_work *)w;

	if (f->freed && !take_this(f->pool, f->freed))
		return 0;	/* it was allocated again */
	return sg_free_device(f->ctx, f->ptr);
}

static void release_free(struct sg_work *w)
{
	struct free_work *f = (struct free_work *)w;

	if (f->pool)
		sg_pool_put(f->pool);
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
	if (r.kind == RG_POOL && sg_pool_freed(dptr))
		return CUDA_ERROR_INVALID_VALUE;
	rc = sg_stream_get(ctx, stream, &s);
	if (rc)
		return rc;
	f = sg_work_new(sizeof(*f), run_free);
	if (f) {
		f->ctx = ctx;
		f->ptr = dptr;
		f->w.always = true;
		f->w.release = release_free;
		f->pool = get_of_block(dptr, &r);
		if (f->pool)
			f->freed = give_back(f->pool, dptr, r.size, s);
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
	p->refs = 1;
	for (int k = 0; k < 3; k++)
		p->reuse[k] = 1;
	*out = p;
	return CUDA_SUCCESS;
}

SG_API CUresult cuMemPoolDestroy(CUmemoryPool p)
{
	struct sg_device *d;

	SG_NEED_INIT();
	if (!pool_of(p) || p->is_default)
		return CUDA_ERROR_INVALID_VALUE;
	d = p->dev;
	pthread_mutex_lock(&d->lock);
	if (d->pool == p)
		d->pool = &d->default_pool;
	pthread_mutex_unlock(&d->lock);
	/* What is still allocated, and frees that streams have not come to, still lead to it. */
	p->magic = 0;
	sg_pool_put(p);
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
		*(uint64_t *)value = p->reserved;
		break;
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

/*
 * A pool's own device always has all of it. Other devices have all of it or nothing, by what the
 * program is told; kernels of every device reach it in any case, as they reach all memory.
 */
SG_API CUresult cuMemPoolSetAccess(CUmemoryPool p, const CUmemAccessDesc *map, size_t n)
{
	SG_NEED_INIT();
	if (!pool_of(p) || !map || !n)
		return CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; i < n; i++) {
		if (map[i].location.type != CU_MEM_LOCATION_TYPE_DEVICE ||
		    !sg_device(map[i].location.id))
			return CUDA_ERROR_INVALID_VALUE;
		if (map[i].flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE &&
		    (map[i].flags != CU_MEM_ACCESS_FLAGS_PROT_NONE ||
		     sg_device(map[i].location.id) == p->dev))
			return CUDA_ERROR_INVALID_VALUE;
	}
	for (size_t i = 0; i < n; i++) {
		uint32_t bit = 1u << sg_device(map[i].location.id)->index;

		if (map[i].flags)
			p->reach |= bit;
		else
			p->reach &= ~bit;
	}
	return CUDA_SUCCESS;
}

SG_API CUresult cuMemPoolGetAccess(CUmemAccess_flags *flags, CUmemoryPool p, CUmemLocation *where)
{
	SG_NEED_INIT();
	if (!flags || !pool_of(p) || !where || where->type != CU_MEM_LOCATION_TYPE_DEVICE ||
	    !sg_device(where->id))
		return CUDA_ERROR_INVALID_VALUE;
	*flags = sg_device(where->id) == p->dev || p->reach >> sg_device(where->id)->index & 1 ?
		 CU_MEM_ACCESS_FLAGS_PROT_READWRITE : CU_MEM_ACCESS_FLAGS_PROT_NONE;
	return CUDA_SUCCESS;
}
