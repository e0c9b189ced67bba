// SPDX-License-Identifier: Apache-2.0
/*
 * Memory pools.  A pool is charged for what it has of the device, by the driver's own count
 * (CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), which goes down some time after memory has been freed:
 * when the stream gets there, and more is kept than the pool's threshold.
 *
 * So memory that has been freed still counts, and an allocation that the driver will serve from
 * it needs no charge.  The driver surely does so for a block that is large enough and was freed in
 * the same stream, and from what has been free since before.  What it serves otherwise is charged
 * before; if that does not fit, the pools first give back what they do not use.  Afterwards the
 * charge is set to the count.  If the driver took more than was foreseen, and that does not fit,
 * the memory is freed again; it counts until it has gone, so no other such call comes through.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "common/clock.h"
#include "vg_cuda.h"

#define DEVICES_MAX	64
#define GIVE_BACK_US	1000
#define FREED_MAX	256	/* blocks of a pool that are remembered each for itself */

/* A block that may not have gone back yet. */
struct freed {
	CUstream stream;
	uint64_t bytes;
};

struct pool {
	struct pool *next;
	CUmemoryPool pool;
	uint64_t charged;
	struct freed freed[FREED_MAX];
	unsigned int count;
	uint64_t pending;	/* bytes of all that has been freed, also of what is not in the list */
};

/* Memory of cuMemAlloc() that has been freed in a stream, which reaches the event after that. */
struct late {
	struct late *next;
	CUevent event;
	uint32_t ctx;		/* of the event */
	struct vg_x_freed was;
};

/* All below.  To charge is to settle, if the limit is reached, so a thread may come twice. */
static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static struct pool *pools;
static struct late *late;
static uint64_t chunk = VG_X_PIECE;	/* by whole ones of these a pool grows */

static uint64_t count_of(CUmemoryPool pool, CUmemPool_attribute what, bool *known)
{
	cuuint64_t n = 0;

	if (!cu.cuMemPoolGetAttribute || cu.cuMemPoolGetAttribute(pool, what, &n))
		*known = false;
	return n;
}

/* What the driver takes from the device for `bytes` that a pool does not have. */
uint64_t vg_x_pool_grows_by(uint64_t bytes)
{
	return bytes > UINT64_MAX - chunk ? UINT64_MAX : (bytes + chunk - 1) / chunk * chunk;
}

/* With the lock held: false if what the driver has taken does not fit. */
static bool settle(struct vg_exec *x, struct pool *p)
{
	bool known = true, fits = true;
	uint64_t held = count_of(p->pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &known);

	if (!known)
		return true;
	if (held > p->charged)
		fits = vg_exec_owe(x, held - p->charged);
	else if (held < p->charged)
		vg_exec_uncharge(x, p->charged - held);
	p->charged = held;
	return fits;
}

static void settle_late(struct vg_exec *x)
{
	struct late **at = &late;

	while (*at) {
		struct late *l = *at;

		if (cu.cuEventQuery(l->event) == CUDA_ERROR_NOT_READY) {
			vg_exec_unsettled(x);
			at = &l->next;
			continue;
		}
		*at = l->next;
		cu.cuEventDestroy_v2(l->event);
		vg_x_uncharge(x, &l->was);
		free(l);
	}
}

void vg_x_settle(struct vg_exec *x)
{
	static __thread bool inside;

	/* Whoever has the lock settles, too, and might wait for a lock of this thread's. */
	if (inside || pthread_mutex_trylock(&lock)) {
		vg_exec_unsettled(x);
		return;
	}
	inside = true;
	for (struct pool *p = pools; p; p = p->next)
		settle(x, p);
	settle_late(x);
	pthread_mutex_unlock(&lock);
	vg_x_graph_memory_settle(x);
	inside = false;
}

/* Uncharge it when this stream has come so far; without an event it counts until the end. */
static void uncharge_later(struct vg_exec *x, const struct vg_x_freed *a, CUstream s, uint32_t ctx)
{
	struct late *l = calloc(1, sizeof(*l));

	if (!l || !cu.cuEventCreate || !cu.cuEventRecord || !cu.cuEventQuery ||
	    !cu.cuEventDestroy_v2 || cu.cuEventCreate(&l->event, CU_EVENT_DISABLE_TIMING)) {
		free(l);
		return;
	}
	if (cu.cuEventRecord(l->event, s)) {
		cu.cuEventDestroy_v2(l->event);
		free(l);
		return;
	}
	l->was = *a;
	l->ctx = vg_x_home(ctx);
	pthread_mutex_lock(&lock);
	l->next = late;
	late = l;
	pthread_mutex_unlock(&lock);
	vg_exec_unsettled(x);
}

void vg_x_late_gone(struct vg_exec *x, uint32_t ctx)
{
	struct late **at = &late;

	pthread_mutex_lock(&lock);
	while (*at) {
		struct late *l = *at;

		if (l->ctx != ctx) {
			at = &l->next;
			continue;
		}
		*at = l->next;
		vg_x_uncharge(x, &l->was);
		free(l);
	}
	pthread_mutex_unlock(&lock);
}

static struct pool *find(CUmemoryPool pool)
{
	struct pool *p;

	for (p = pools; p && p->pool != pool; p = p->next)
		;
	return p;
}

/*
 * Of the device's memory NVIDIA's driver 580 gives a pool 32 MiB at least, also for one byte; by
 * that the pool of its first allocation tells by how much pools grow.  In a new context.
 */
void vg_x_pool_measure(CUcontext ctx)
{
	CUmemPoolProps props = {
		.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
		.location = { .type = CU_MEM_LOCATION_TYPE_DEVICE },
	};
	CUmemoryPool pool;
	bool known = true;
	uint64_t bytes;
	CUdeviceptr p;
	CUcontext top;

	if (!cu.cuCtxPushCurrent_v2 || !cu.cuCtxPopCurrent_v2 || !cu.cuMemPoolCreate ||
	    !cu.cuMemPoolDestroy || !cu.cuMemAllocFromPoolAsync || !cu.cuMemFreeAsync ||
	    !cu.cuStreamSynchronize || cu.cuCtxPushCurrent_v2(ctx))
		return;
	if (cu.cuMemPoolCreate(&pool, &props)) {
		cu.cuCtxPopCurrent_v2(&top);
		return;
	}
	if (!cu.cuMemAllocFromPoolAsync(&p, 1, pool, NULL)) {
		bytes = count_of(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &known);
		if (known && bytes > chunk)
			chunk = bytes;
		cu.cuMemFreeAsync(p, NULL);
		cu.cuStreamSynchronize(NULL);
	}
	cu.cuMemPoolDestroy(pool);
	cu.cuCtxPopCurrent_v2(&top);
}

static struct pool *find_or_add(CUmemoryPool pool)
{
	struct pool *p = find(pool);

	if (p)
		return p;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->pool = pool;
	p->next = pools;
	pools = p;
	return p;
}

/* A block that was freed in this stream and has room, in part or whole; the smallest. */
static bool take_freed(struct pool *p, CUstream s, uint64_t bytes)
{
	struct freed *best = NULL;

	for (unsigned int i = 0; i < p->count; i++)
		if (p->freed[i].stream == s && p->freed[i].bytes >= bytes &&
		    (!best || p->freed[i].bytes < best->bytes))
			best = &p->freed[i];
	if (!best)
		return false;
	best->bytes -= bytes;
	p->pending -= bytes;
	if (!best->bytes)
		*best = p->freed[--p->count];
	return true;
}

/*
 * What is free in the pool, and was before anything that may still be under way was freed. If the
 * driver has given back some of what is remembered as freed, nobody knows which blocks these were,
 * and so none of them serves an allocation any more.
 */
static uint64_t surely_free(struct pool *p)
{
	bool known = true;
	uint64_t held = count_of(p->pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &known);
	uint64_t used = count_of(p->pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &known);
	uint64_t free = known && held > used ? held - used : 0;

	if (p->pending > free) {
		p->count = 0;
		p->pending = free;
	}
	return free - p->pending;
}

/* Charge for what the driver may take from the device beyond what the pool has: *ahead bytes. */
static bool admit(struct vg_exec *x, struct pool *p, CUstream s, uint64_t bytes, uint64_t *ahead)
{
	uint64_t pieces = vg_x_pool_grows_by(bytes), free;

	/* Far from the limit: to ask for what is free in the pool takes longer than to allocate. */
	*ahead = pieces;
	if (vg_exec_charge_quickly(x, pieces)) {
		take_freed(p, s, bytes);
		return true;
	}
	free = surely_free(p);
	*ahead = 0;
	/* Beyond the limit already, nothing more is had, not even again. */
	if (vg_exec_owe(x, 0) && (bytes <= free || take_freed(p, s, bytes)))
		return true;
	*ahead = pieces;
	if (vg_exec_charge(x, pieces))
		return true;
	/* Charging has settled this pool's charge, too, if it could. */
	for (struct pool *each = pools; each; each = each->next)
		if (cu.cuMemPoolTrimTo && !cu.cuMemPoolTrimTo(each->pool, 0))
			settle(x, each);
	return vg_exec_charge(x, pieces);
}

/* In a capture nothing is allocated but a node is made, whose launches are charged. */
static CUresult keep_node(CUresult r, CUdeviceptr p, uint32_t ctx)
{
	if (!r && !vg_x_allocated_by_graph(p, ctx))
		r = CUDA_ERROR_OUT_OF_MEMORY;
	return r;
}

/* The driver will use it again in this stream at once, and otherwise when the stream is there. */
static void freed(struct vg_exec *x, CUmemoryPool pool, CUstream s, uint64_t bytes)
{
	struct pool *p;

	pthread_mutex_lock(&lock);
	p = find(pool);
	if (p) {
		p->pending += bytes;
		if (p->count < FREED_MAX)
			p->freed[p->count++] = (struct freed){ s, bytes };
	}
	pthread_mutex_unlock(&lock);
	vg_exec_unsettled(x);
}

/* What has just been freed goes back to the device, if the stream gets there at once. */
static void give_back(struct vg_exec *x, struct pool *p, CUstream s)
{
	uint64_t end = vg_now_us() + GIVE_BACK_US;

	if (!cu.cuMemPoolTrimTo || !cu.cuStreamQuery)
		return;
	while (cu.cuStreamQuery(s) == CUDA_ERROR_NOT_READY && vg_now_us() < end)
		;
	if (!cu.cuMemPoolTrimTo(p->pool, 0))
		settle(x, p);
}

static CUresult allocate(struct vg_exec *x, CUdeviceptr *dptr, uint64_t bytes, CUmemoryPool pool,
			 CUstream s, uint32_t ctx)
{
	uint64_t ahead = 0;
	struct pool *p;
	CUresult r;
	bool fits;

	pthread_mutex_lock(&lock);
	p = find_or_add(pool);
	if (!p || !admit(x, p, s, bytes, &ahead)) {
		pthread_mutex_unlock(&lock);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	r = cu.cuMemAllocFromPoolAsync(dptr, bytes, pool, s);
	p->charged += ahead;
	fits = settle(x, p);
	/* The pool's count tells what this call took; the rest is asked when something was charged. */
	if (ahead)
		fits &= vg_exec_reconcile(x, false);
	if (!r && (!fits || !vg_x_allocated_in_pool(*dptr, bytes, pool, ctx))) {
		cu.cuMemFreeAsync(*dptr, s);
		freed(x, pool, s, bytes);
		give_back(x, p, s);
		r = CUDA_ERROR_OUT_OF_MEMORY;
	}
	pthread_mutex_unlock(&lock);
	return r;
}

/* The pool that cuMemAllocAsync() takes from, which is that of the stream's device. */
static CUresult current_pool(CUmemoryPool *pool)
{
	CUdevice dev;
	CUresult r = cu.cuCtxGetDevice(&dev);

	return r ? r : cu.cuDeviceGetMemPool(pool, dev);
}

CUresult vge_cuMemAllocAsync(struct vg_exec *x, const struct vg_req *rq, CUdeviceptr *dptr,
			     size_t bytes, CUstream s)
{
	CUmemoryPool pool;
	CUresult r;

	if (!cu.cuMemAllocAsync || !cu.cuMemAllocFromPoolAsync || !cu.cuMemFreeAsync ||
	    !cu.cuDeviceGetMemPool || !cu.cuCtxGetDevice || !cu.cuMemPoolGetAttribute)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (vg_x_stream_captured(s)) {
		vg_x_graph_memory();
		r = cu.cuMemAllocAsync(dptr, bytes, s);
		return keep_node(r, *dptr, rq->ctx);
	}
	r = current_pool(&pool);
	return r ? r : allocate(x, dptr, bytes, pool, s, rq->ctx);
}

CUresult vge_cuMemAllocFromPoolAsync(struct vg_exec *x, const struct vg_req *rq, CUdeviceptr *dptr,
				     size_t bytes, CUmemoryPool pool, CUstream s)
{
	CUresult r;

	if (!cu.cuMemAllocFromPoolAsync || !cu.cuMemFreeAsync || !cu.cuMemPoolGetAttribute)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (vg_x_stream_captured(s)) {
		vg_x_graph_memory();
		r = cu.cuMemAllocFromPoolAsync(dptr, bytes, pool, s);
		return keep_node(r, *dptr, rq->ctx);
	}
	return allocate(x, dptr, bytes, pool, s, rq->ctx);
}

CUresult vge_cuMemFreeAsync(struct vg_exec *x, const struct vg_req *rq, CUdeviceptr dptr, CUstream s)
{
	struct vg_x_freed a;
	CUresult r;

	if (!cu.cuMemFreeAsync)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!vg_x_freed(dptr, &a))
		return CUDA_ERROR_INVALID_VALUE;
	r = cu.cuMemFreeAsync(dptr, s);
	/* In a capture a node is made, which frees it when it is launched. */
	if (!r && vg_x_stream_captured(s)) {
		vg_x_freed_or_not(CUDA_ERROR_NOT_PERMITTED, &a);
		return r;
	}
	vg_x_freed_or_not(r, &a);
	if (r)
		return r;
	vg_x_unshare(x, VG_TOKEN_MEMORY, dptr);
	vg_x_unshare(x, VG_TOKEN_POINTER, dptr);
	if (a.pool)
		freed(x, (CUmemoryPool)(uintptr_t)a.pool, s, a.bytes);
	else if (a.charged || a.shares)
		uncharge_later(x, &a, s, rq->ctx);
	return r;
}

CUresult vge_cuMemPoolTrimTo(struct vg_exec *x, const struct vg_req *rq, CUmemoryPool pool,
			     size_t keep)
{
	struct pool *p;
	CUresult r;

	(void)rq;
	if (!cu.cuMemPoolTrimTo)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = cu.cuMemPoolTrimTo(pool, keep);
	pthread_mutex_lock(&lock);
	p = find(pool);
	if (p)
		settle(x, p);
	pthread_mutex_unlock(&lock);
	vg_exec_reconcile(x, false);
	return r;
}

/*
 * The driver has destroyed a pool, and tells no more of it.  What is allocated there stays, and
 * counts by itself from now on.  What was freed and has not gone back yet counts as what the
 * driver says of this process, or, where nobody knows that, until the process ends.
 */
void vg_x_pool_gone(struct vg_exec *x, CUmemoryPool pool)
{
	struct pool **at, *p;
	uint64_t held;

	pthread_mutex_lock(&lock);
	for (at = &pools; *at && (*at)->pool != pool; at = &(*at)->next)
		;
	p = *at;
	if (p) {
		*at = p->next;
		held = vg_x_allocations_of_pool((uintptr_t)pool);
		if (held > p->charged)
			vg_exec_owe(x, held - p->charged);
		else
			vg_exec_leave_to_driver(x, p->charged - held);
		free(p);
	}
	pthread_mutex_unlock(&lock);
}

CUresult vge_vgpu_pool_create(struct vg_exec *x, const struct vg_req *rq, CUmemoryPool *pool,
			      CUdevice dev, size_t most, unsigned int usage, unsigned int types)
{
	CUmemPoolProps props = {
		.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
		.location = { .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = dev },
		.maxSize = most, .usage = usage, .handleTypes = types,
	};

	(void)x;
	(void)rq;
	if (types & ~CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
		return CUDA_ERROR_NOT_SUPPORTED;
	return cu.cuMemPoolCreate ? cu.cuMemPoolCreate(pool, &props) : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult vge_vgpu_pool_default(struct vg_exec *x, const struct vg_req *rq, CUdevice dev,
			       CUmemoryPool *pool)
{
	(void)x;
	(void)rq;
	if (!cu.cuDeviceGetDefaultMemPool)
		return CUDA_ERROR_NOT_SUPPORTED;
	return cu.cuDeviceGetDefaultMemPool(pool, dev);
}

static bool is_int(CUmemPool_attribute a)
{
	return a == CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES ||
	       a == CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC ||
	       a == CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES;
}

static bool is_counter(CUmemPool_attribute a)
{
	return a == CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT || a == CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH ||
	       a == CU_MEMPOOL_ATTR_USED_MEM_CURRENT || a == CU_MEMPOOL_ATTR_USED_MEM_HIGH;
}

CUresult vge_vgpu_pool_set(struct vg_exec *x, const struct vg_req *rq, CUmemoryPool pool,
			   CUmemPool_attribute a, uint64_t value)
{
	cuuint64_t wide = value;
	int narrow = (int)value;

	(void)x;
	(void)rq;
	if (!cu.cuMemPoolSetAttribute)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (is_int(a))
		return cu.cuMemPoolSetAttribute(pool, a, &narrow);
	if (is_counter(a))
		return cu.cuMemPoolSetAttribute(pool, a, &wide);
	return CUDA_ERROR_INVALID_VALUE;
}

CUresult vge_vgpu_pool_get(struct vg_exec *x, const struct vg_req *rq, CUmemoryPool pool,
			   CUmemPool_attribute a, uint64_t *value)
{
	cuuint64_t wide = 0;
	int narrow = 0;
	CUresult r;

	(void)x;
	(void)rq;
	if (!cu.cuMemPoolGetAttribute)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!is_int(a) && !is_counter(a))
		return CUDA_ERROR_INVALID_VALUE;
	r = cu.cuMemPoolGetAttribute(pool, a, is_int(a) ? (void *)&narrow : (void *)&wide);
	*value = is_int(a) ? (uint64_t)narrow : wide;
	return r;
}
