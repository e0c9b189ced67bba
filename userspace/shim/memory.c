// SPDX-License-Identifier: Apache-2.0
/*
 * Memory that the driver's interface knows, by address: what tells a device
 * pointer from a host pointer, and a second free from a first.
 */
#include <pthread.h>
#include <stdlib.h>

#include "client.h"
#include "shim.h"
#include "shim_calls.h"
#include "stage.h"

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;	/* all below */
static struct vg_range *ranges;			/* by base; none overlap */
static size_t count, room;
static uint64_t serial = 1;

/* The first range that ends beyond p. */
static size_t after(uint64_t p)
{
	size_t lo = 0, hi = count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (ranges[mid].base + ranges[mid].bytes <= p)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static CUresult add(uint64_t base, uint64_t bytes, enum vg_range_kind kind, unsigned int flags,
		    uint32_t owner, int device, struct vg_hostmem *shared)
{
	CUresult r = CUDA_SUCCESS;
	size_t i;

	pthread_rwlock_wrlock(&lock);
	if (count == room) {
		size_t n = room ? room * 2 : 256;
		struct vg_range *p = realloc(ranges, n * sizeof(*p));

		if (!p) {
			r = CUDA_ERROR_OUT_OF_MEMORY;
			goto out;
		}
		ranges = p;
		room = n;
	}
	i = after(base);
	/* The addresses of a graph that is no more come again. */
	while (i < count && ranges[i].base < base + bytes && ranges[i].kind == VG_RANGE_GRAPH)
		memmove(ranges + i, ranges + i + 1, (--count - i) * sizeof(*ranges));
	if (i < count && ranges[i].base < base + bytes) {
		r = CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
		goto out;
	}
	memmove(ranges + i + 1, ranges + i, (count - i) * sizeof(*ranges));
	ranges[i] = (struct vg_range){
		.base = base, .bytes = bytes, .kind = kind, .flags = flags, .serial = serial++,
		.owner = owner, .device = device, .shared = shared,
	};
	count++;
out:
	pthread_rwlock_unlock(&lock);
	return r;
}

CUresult vg_range_add(uint64_t base, uint64_t bytes, enum vg_range_kind kind, unsigned int flags)
{
	return vg_range_add_shared(base, bytes, kind, flags, NULL);
}

CUresult vg_range_add_shared(uint64_t base, uint64_t bytes, enum vg_range_kind kind,
			     unsigned int flags, struct vg_hostmem *shared)
{
	struct vg_context *c = vg_current();

	return add(base, bytes, kind, flags, c ? c->home->id : 0, c ? c->device : 0, shared);
}

CUresult vg_range_add_global(uint64_t base, uint64_t bytes, uint32_t holder)
{
	struct vg_context *c = vg_current();

	return add(base, bytes, VG_RANGE_GLOBAL, 0, holder, c ? c->device : 0, NULL);
}

CUresult vg_range_add_mapped(uint64_t base, uint64_t bytes, uint32_t holder, int device,
			     unsigned int flags)
{
	return add(base, bytes, VG_RANGE_MAPPED, flags, holder, device, NULL);
}

CUresult vg_range_add_graph(uint64_t base, uint64_t bytes, int device)
{
	struct vg_context *c = vg_current();

	return add(base, bytes, VG_RANGE_GRAPH, 0, c ? c->object->id : 0, device, NULL);
}

bool vg_range_find(uint64_t p, struct vg_range *r)
{
	bool found;
	size_t i;

	pthread_rwlock_rdlock(&lock);
	i = after(p);
	found = i < count && ranges[i].base <= p;
	if (found)
		*r = ranges[i];
	pthread_rwlock_unlock(&lock);
	return found;
}

bool vg_range_remove(uint64_t p, unsigned int kinds, struct vg_range *r)
{
	bool found;
	size_t i;

	pthread_rwlock_wrlock(&lock);
	i = after(p);
	found = i < count && ranges[i].base == p && (kinds & (1u << ranges[i].kind));
	if (found) {
		*r = ranges[i];
		memmove(ranges + i, ranges + i + 1, (--count - i) * sizeof(*ranges));
	}
	pthread_rwlock_unlock(&lock);
	return found;
}

void vg_range_forget(uint32_t owner)
{
	size_t kept = 0;

	pthread_rwlock_wrlock(&lock);
	for (size_t i = 0; i < count; i++)
		if (ranges[i].owner != owner || !vg_range_on_device(&ranges[i]))
			ranges[kept++] = ranges[i];
	count = kept;
	pthread_rwlock_unlock(&lock);
}

bool vg_range_known(uint64_t p, uint64_t bytes)
{
	struct vg_range r;

	/* Mappings lie side by side, and what is in them crosses from one to the next. */
	while (vg_range_find(p, &r) && vg_range_on_device(&r)) {
		uint64_t here = r.base + r.bytes - p;

		if (bytes <= here)
			return true;
		if (r.kind != VG_RANGE_MAPPED)
			return false;
		p += here;
		bytes -= here;
	}
	return false;
}

static _Atomic bool any_sync;	/* has been asked for, of some range */

bool vg_range_set_sync(uint64_t p, bool on)
{
	bool found;
	size_t i;

	pthread_rwlock_wrlock(&lock);
	i = after(p);
	found = i < count && ranges[i].base <= p;
	if (found)
		ranges[i].sync = on;
	pthread_rwlock_unlock(&lock);
	if (on)
		atomic_store(&any_sync, true);
	return found;
}

CUresult vg_memop_done(CUresult r, CUstream none, uint64_t dst, uint64_t src)
{
	struct vg_range range;

	if (likely(r || !atomic_load_explicit(&any_sync, memory_order_relaxed)))
		return r;
	if ((dst && vg_range_find(dst, &range) && range.sync) ||
	    (src && vg_range_find(src, &range) && range.sync))
		return vgw_cuStreamSynchronize(none);
	return r;
}

bool vg_range_shared(uint64_t p, uint64_t bytes)
{
	struct vg_range r;

	return vg_range_find(p, &r) && r.shared && bytes <= r.base + r.bytes - p;
}

/* -- allocation */

CUresult vgh_cuMemAlloc_v2(CUdeviceptr *dptr, size_t bytes)
{
	CUdeviceptr p;
	CUresult r;

	if (!dptr || !bytes)
		return vg_context_ready() ? vg_context_ready() : CUDA_ERROR_INVALID_VALUE;
	r = vgw_cuMemAlloc_v2(&p, bytes);
	if (r)
		return r;
	r = vg_range_add(p, bytes, VG_RANGE_DEVICE, 0);
	if (r) {
		vgw_cuMemFree_v2(p);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	*dptr = p;
	if (bytes >= VG_STAGE_AHEAD_MIN)
		vg_stage_ahead();
	return CUDA_SUCCESS;
}

CUresult vgh_cuMemAllocPitch_v2(CUdeviceptr *dptr, size_t *pitch, size_t width, size_t height,
				unsigned int element)
{
	CUdeviceptr p;
	CUresult r;

	if (!dptr || !pitch || !width || !height)
		return vg_context_ready() ? vg_context_ready() : CUDA_ERROR_INVALID_VALUE;
	r = vgw_cuMemAllocPitch_v2(&p, pitch, width, height, element);
	if (r)
		return r;
	r = vg_range_add(p, *pitch * height, VG_RANGE_DEVICE, 0);
	if (r) {
		vgw_cuMemFree_v2(p);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	*dptr = p;
	return CUDA_SUCCESS;
}

CUresult vg_range_lend(uint64_t p, bool *lent)
{
	struct vg_range range;

	*lent = false;
	if (likely(vg_thread_tag))
		return vg_context_ready();
	if (!vg_range_find(p, &range))
		return CUDA_ERROR_INVALID_VALUE;
	*lent = vg_lend_context(vg_context_by_id(range.owner));
	return vg_context_ready();
}

static CUresult mem_free(CUdeviceptr dptr)
{
	struct vg_range range;

	if (vg_range_find(dptr, &range) && range.kind == VG_RANGE_MANAGED)
		return vg_managed_free(dptr);
	/* What a graph allocates it will allocate again there. */
	if (vg_range_find(dptr, &range) && range.kind == VG_RANGE_GRAPH && range.base == dptr)
		return vgw_cuMemFree_v2(dptr);
	if (!vg_range_remove(dptr, 1u << VG_RANGE_DEVICE | 1u << VG_RANGE_POOL, &range))
		return CUDA_ERROR_INVALID_VALUE;
	return vgw_cuMemFree_v2(dptr);
}

CUresult vgh_cuMemFree_v2(CUdeviceptr dptr)
{
	bool lent;
	CUresult r;

	if (!dptr) {
		/* Nothing to free, and so no context needed. */
		r = vg_context_ready();
		return r == CUDA_ERROR_INVALID_CONTEXT ? CUDA_SUCCESS : r;
	}
	r = vg_range_lend(dptr, &lent);
	if (!r)
		r = mem_free(dptr);
	if (lent)
		vg_lend_end();
	return r;
}

CUresult vgh_cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *bytes, CUdeviceptr dptr)
{
	struct vg_range range;
	CUresult r = vg_context_ready();

	if (r)
		return r;
	if (!vg_range_find(dptr, &range) || !vg_range_on_device(&range))
		return CUDA_ERROR_NOT_FOUND;
	if (base)
		*base = range.base;
	if (bytes)
		*bytes = range.bytes;
	return CUDA_SUCCESS;
}
