// SPDX-License-Identifier: Apache-2.0
/*
 * Device memory.  Every allocation is charged to the vGPU before it is made
 * and remembered by its address, so that a free is known to be of one, and
 * uncharges what was charged.
 */
#include <pthread.h>
#include <stdlib.h>

#include "calls.h"
#include "vg_cuda.h"

struct allocation {
	uint64_t ptr;		/* 0: never used; 1: was used */
	uint64_t bytes;
	uint32_t ctx;
	bool of_graph;		/* freed and allocated again at each launch; not charged here */
};

#define GONE 1ull

/* Open addressing; the lock covers all. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct allocation *table;
static size_t room, used_slots, live;

static size_t slot_of(uint64_t ptr)
{
	return (ptr >> 8) * 0x9e3779b97f4a7c15ull >> 20 & (room - 1);
}

static bool grow(void)
{
	size_t old = room, n = live * 2 < room / 2 && room ? room : room ? room * 2 : 1024;
	struct allocation *from = table, *to = calloc(n, sizeof(*to));

	if (!to)
		return false;
	table = to;
	room = n;
	used_slots = live;
	for (size_t i = 0; i < old; i++) {
		size_t at;

		if (from[i].ptr <= GONE)
			continue;
		for (at = slot_of(from[i].ptr); table[at].ptr; at = (at + 1) & (room - 1))
			;
		table[at] = from[i];
	}
	free(from);
	return true;
}

static struct allocation *find(uint64_t ptr)
{
	if (!room || ptr <= GONE)
		return NULL;
	for (size_t at = slot_of(ptr); table[at].ptr; at = (at + 1) & (room - 1))
		if (table[at].ptr == ptr)
			return &table[at];
	return NULL;
}

static bool put(struct allocation a)
{
	struct allocation *old;
	size_t at;
	bool ok;

	pthread_mutex_lock(&lock);
	/* The address of a graph that is no more may come again. */
	old = find(a.ptr);
	ok = old || used_slots * 4 < room * 3 || grow();
	if (old) {
		*old = a;
	} else if (ok) {
		for (at = slot_of(a.ptr); table[at].ptr > GONE; at = (at + 1) & (room - 1))
			;
		used_slots += !table[at].ptr;
		live++;
		table[at] = a;
	}
	pthread_mutex_unlock(&lock);
	return ok;
}

bool vg_x_allocated(uint64_t ptr, uint64_t bytes, uint32_t ctx)
{
	return put((struct allocation){ .ptr = ptr, .bytes = bytes, .ctx = vg_x_home(ctx) });
}

bool vg_x_allocated_by_graph(uint64_t ptr, uint32_t ctx)
{
	return put((struct allocation){ .ptr = ptr, .ctx = vg_x_home(ctx), .of_graph = true });
}

bool vg_x_freed(uint64_t ptr, struct vg_x_freed *was)
{
	struct allocation *a;

	pthread_mutex_lock(&lock);
	a = find(ptr);
	if (a) {
		*was = (struct vg_x_freed){ ptr, a->bytes, a->ctx, a->of_graph };
		/* Whether it is allocated at the moment is for the driver to say. */
		if (!a->of_graph) {
			a->ptr = GONE;
			live--;
		}
	}
	pthread_mutex_unlock(&lock);
	return a;
}

/* Where that fails, for want of memory, it stays charged, and can only go with its context. */
CUresult vg_x_freed_or_not(CUresult r, const struct vg_x_freed *a)
{
	if (vg_x_refused(r) && !a->of_graph)
		put((struct allocation){ .ptr = a->ptr, .bytes = a->bytes, .ctx = a->ctx });
	return r;
}

bool vg_x_allocation(uint64_t ptr, uint64_t *bytes, uint32_t *ctx)
{
	struct allocation *a;

	pthread_mutex_lock(&lock);
	a = find(ptr);
	if (a) {
		*bytes = a->bytes;
		*ctx = a->ctx;
	}
	pthread_mutex_unlock(&lock);
	return a;
}

void vg_x_allocations_gone(struct vg_exec *x, uint32_t ctx, bool freed)
{
	uint64_t bytes = 0;

	vg_x_unshare_context(x, ctx);
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < room; i++) {
		if (table[i].ptr <= GONE || table[i].ctx != ctx)
			continue;
		bytes += table[i].bytes;
		table[i].ptr = GONE;
		live--;
	}
	pthread_mutex_unlock(&lock);
	if (freed)
		vg_exec_uncharge(x, bytes);
}

/* After an allocation that was charged: keep it, or undo both. */
static CUresult keep(struct vg_exec *x, CUresult r, CUdeviceptr p, uint64_t bytes, uint32_t ctx)
{
	if (!r && !vg_x_allocated(p, bytes, ctx)) {
		cu.cuMemFree_v2(p);
		r = CUDA_ERROR_OUT_OF_MEMORY;
	}
	if (r)
		vg_exec_uncharge(x, bytes);
	return r;
}

CUresult vge_cuMemAlloc_v2(struct vg_exec *x, const struct vg_req *rq, CUdeviceptr *dptr,
			   size_t bytes)
{
	CUresult r;

	if (!cu.cuMemAlloc_v2 || !cu.cuMemFree_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!vg_exec_charge(x, bytes))
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = cu.cuMemAlloc_v2(dptr, bytes);
	return keep(x, r, *dptr, bytes, rq->ctx);
}

CUresult vge_cuMemAllocPitch_v2(struct vg_exec *x, const struct vg_req *rq, CUdeviceptr *dptr,
				size_t *pitch, size_t width, size_t height, unsigned int element)
{
	uint64_t bytes, more;
	CUresult r;

	if (!cu.cuMemAllocPitch_v2 || !cu.cuMemFree_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!height || width > (1ull << 48) / height)
		return CUDA_ERROR_INVALID_VALUE;
	bytes = width * height;
	if (!vg_exec_charge(x, bytes))
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = cu.cuMemAllocPitch_v2(dptr, pitch, width, height, element);
	/* What the pitch adds is known only now. */
	more = r ? 0 : *pitch * height - bytes;
	if (!r && !vg_exec_charge(x, more)) {
		cu.cuMemFree_v2(*dptr);
		vg_exec_uncharge(x, bytes);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	return keep(x, r, *dptr, bytes + more, rq->ctx);
}

CUresult vge_cuMemFree_v2(struct vg_exec *x, const struct vg_req *rq, CUdeviceptr dptr)
{
	struct vg_x_freed a;
	CUresult r;

	(void)rq;
	if (!cu.cuMemFree_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!vg_x_freed(dptr, &a))
		return CUDA_ERROR_INVALID_VALUE;
	r = vg_x_freed_or_not(cu.cuMemFree_v2(dptr), &a);
	/* After a sticky error the memory goes with the process, and the charge with it. */
	if (!r) {
		vg_x_unshare(x, VG_TOKEN_MEMORY, dptr);
		vg_x_unshare(x, VG_TOKEN_POINTER, dptr);
		vg_exec_uncharge(x, a.bytes);
	}
	return r;
}

CUresult vge_cuMemGetInfo_v2(struct vg_exec *x, const struct vg_req *rq, size_t *free_out,
			     size_t *total_out)
{
	uint64_t used, limit;
	size_t free_real, total_real;
	CUresult r;

	(void)rq;
	if (!cu.cuMemGetInfo_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	vg_exec_wait_for_ending(x);
	r = cu.cuMemGetInfo_v2(&free_real, &total_real);
	if (r)
		return r;
	vg_exec_memory(x, &used, &limit);
	if (limit && limit < total_real)
		total_real = limit;
	if (free_real > total_real - (used < total_real ? used : total_real))
		free_real = total_real - (used < total_real ? used : total_real);
	if (total_out)
		*total_out = total_real;
	if (free_out)
		*free_out = free_real;
	return CUDA_SUCCESS;
}
