// SPDX-License-Identifier: Apache-2.0
/*
 * Device memory.  Every allocation is charged to the vGPU and remembered by its address, so that
 * a free is known to be of one, and uncharges what was charged.
 *
 * The driver takes memory from the device in pieces of 2 MiB.  What needs more than 1 MiB gets
 * pieces of its own, and they are charged before.  Smaller blocks share pieces.  A piece is charged
 * when the first block is seen to lie in it and until the last has been freed; so for a moment the
 * driver may hold one piece that nobody has been charged for.
 */
#include <pthread.h>
#include <stdlib.h>

#include "calls.h"
#include "vg_cuda.h"

struct allocation {
	uint64_t ptr;		/* 0: never used; 1: was used */
	uint64_t bytes;		/* as it was asked for */
	uint64_t charged;	/* for itself, beside pieces */
	uint64_t pool;		/* that it is in, and which is charged; 0: none */
	uint32_t ctx;
	bool shares;		/* pieces, with other blocks */
	bool of_graph;		/* freed and allocated again at each launch; not charged here */
};

#define GONE 1ull

#define SHARED_MAX	(VG_X_PIECE / 2)
/* A piece's place in the table, which no address has; `bytes` there counts its blocks. */
#define PIECE_AT(n)	((n) * VG_X_PIECE + 2)
#define NOBODY		UINT32_MAX	/* no context's */

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

static bool put_locked(struct allocation a)
{
	struct allocation *old;
	size_t at;
	bool ok;

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
	return ok;
}

static bool put(struct allocation a)
{
	bool ok;

	pthread_mutex_lock(&lock);
	ok = put_locked(a);
	pthread_mutex_unlock(&lock);
	return ok;
}

uint64_t vg_x_pieces(uint64_t bytes)
{
	if (bytes <= SHARED_MAX)
		return 0;
	return bytes > UINT64_MAX - VG_X_PIECE ? UINT64_MAX :
						 (bytes + VG_X_PIECE - 1) & ~(VG_X_PIECE - 1);
}

static uint64_t last_piece(uint64_t ptr, uint64_t bytes)
{
	return (ptr + (bytes ? bytes - 1 : 0)) / VG_X_PIECE;
}

/* With the lock held: a block less in each of its pieces, up to `end`.  Bytes of empty ones. */
static uint64_t leave_pieces(uint64_t ptr, uint64_t end)
{
	uint64_t empty = 0;

	for (uint64_t n = ptr / VG_X_PIECE; n < end; n++) {
		struct allocation *piece = find(PIECE_AT(n));

		if (!piece || --piece->bytes)
			continue;
		piece->ptr = GONE;
		live--;
		empty += VG_X_PIECE;
	}
	return empty;
}

/* With the lock held: a block more there.  Bytes of pieces that had none; false: no memory. */
static bool enter_pieces(uint64_t ptr, uint64_t bytes, uint64_t *new)
{
	*new = 0;
	for (uint64_t n = ptr / VG_X_PIECE; n <= last_piece(ptr, bytes); n++) {
		struct allocation *piece = find(PIECE_AT(n));

		if (piece) {
			piece->bytes++;
		} else if (put_locked((struct allocation){ .ptr = PIECE_AT(n), .bytes = 1,
							   .ctx = NOBODY })) {
			*new += VG_X_PIECE;
		} else {
			leave_pieces(ptr, n);
			return false;
		}
	}
	return true;
}

/*
 * A block that the driver has made in pieces which it may share. It is in the table when it is charged
 * and not before, because the program may guess its address, and free it by a call on another thread.
 */
static bool allocated_small(struct vg_exec *x, uint64_t ptr, uint64_t bytes, uint32_t ctx)
{
	struct allocation a = { .ptr = ptr, .bytes = bytes, .ctx = vg_x_home(ctx), .shares = true };
	uint64_t new, end = last_piece(ptr, bytes) + 1;
	bool charged, ok;

	pthread_mutex_lock(&lock);
	ok = enter_pieces(ptr, bytes, &new);
	pthread_mutex_unlock(&lock);
	if (!ok)
		return false;
	charged = !new || vg_exec_charge(x, new);
	pthread_mutex_lock(&lock);
	ok = charged && put_locked(a);
	if (!ok)
		leave_pieces(ptr, end);
	pthread_mutex_unlock(&lock);
	if (!ok && charged)
		vg_exec_uncharge(x, new);
	return ok;
}

bool vg_x_allocated(uint64_t ptr, uint64_t bytes, uint64_t charged, uint32_t ctx)
{
	return put((struct allocation){ .ptr = ptr, .bytes = bytes, .charged = charged,
					.ctx = vg_x_home(ctx) });
}

bool vg_x_allocated_in_pool(uint64_t ptr, uint64_t bytes, CUmemoryPool pool, uint32_t ctx)
{
	return put((struct allocation){ .ptr = ptr, .bytes = bytes, .pool = (uintptr_t)pool,
					.ctx = vg_x_home(ctx) });
}

uint64_t vg_x_allocations_of_pool(uint64_t pool)
{
	uint64_t bytes = 0;

	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < room; i++) {
		if (table[i].ptr <= GONE || !pool || table[i].pool != pool)
			continue;
		table[i].pool = 0;
		table[i].charged = vg_x_pieces(table[i].bytes) ? vg_x_pieces(table[i].bytes) :
								 table[i].bytes;
		bytes += table[i].charged;
	}
	pthread_mutex_unlock(&lock);
	return bytes;
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
		*was = (struct vg_x_freed){ ptr, a->bytes, a->charged, a->pool, a->ctx,
					    a->of_graph, a->shares };
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
		put((struct allocation){ .ptr = a->ptr, .bytes = a->bytes, .charged = a->charged,
					 .pool = a->pool, .ctx = a->ctx, .shares = a->shares });
	return r;
}

void vg_x_uncharge(struct vg_exec *x, const struct vg_x_freed *a)
{
	uint64_t bytes = a->charged;

	if (a->shares) {
		pthread_mutex_lock(&lock);
		bytes += leave_pieces(a->ptr, last_piece(a->ptr, a->bytes) + 1);
		pthread_mutex_unlock(&lock);
	}
	vg_exec_uncharge(x, bytes);
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
	vg_x_late_gone(x, ctx);
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < room; i++) {
		if (table[i].ptr <= GONE || table[i].ctx != ctx)
			continue;
		bytes += table[i].charged;
		if (table[i].shares && freed)
			bytes += leave_pieces(table[i].ptr,
					      last_piece(table[i].ptr, table[i].bytes) + 1);
		table[i].ptr = GONE;
		live--;
	}
	pthread_mutex_unlock(&lock);
	if (freed)
		vg_exec_uncharge(x, bytes);
}

/* After an allocation for which `charged` was charged: keep it, or undo both. */
static CUresult keep(struct vg_exec *x, CUresult r, CUdeviceptr p, uint64_t bytes, uint64_t charged,
		     uint32_t ctx)
{
	if (!r && !(charged ? vg_x_allocated(p, bytes, charged, ctx) :
			      allocated_small(x, p, bytes, ctx))) {
		cu.cuMemFree_v2(p);
		r = CUDA_ERROR_OUT_OF_MEMORY;
	}
	if (r && charged)
		vg_exec_uncharge(x, charged);
	return r;
}

CUresult vge_cuMemAlloc_v2(struct vg_exec *x, const struct vg_req *rq, CUdeviceptr *dptr,
			   size_t bytes)
{
	uint64_t pieces = vg_x_pieces(bytes);
	CUresult r;

	if (!cu.cuMemAlloc_v2 || !cu.cuMemFree_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (pieces && !vg_exec_charge(x, pieces))
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = cu.cuMemAlloc_v2(dptr, bytes);
	return keep(x, r, *dptr, bytes, pieces, rq->ctx);
}

CUresult vge_cuMemAllocPitch_v2(struct vg_exec *x, const struct vg_req *rq, CUdeviceptr *dptr,
				size_t *pitch, size_t width, size_t height, unsigned int element)
{
	uint64_t bytes, pieces, more;
	CUresult r;

	if (!cu.cuMemAllocPitch_v2 || !cu.cuMemFree_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!height || width > (1ull << 48) / height)
		return CUDA_ERROR_INVALID_VALUE;
	/* A pitch is a multiple of 512 bytes with the drivers that are known. */
	bytes = ((width + 511) & ~511ull) * height;
	pieces = vg_x_pieces(bytes);
	if (pieces && !vg_exec_charge(x, pieces))
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = cu.cuMemAllocPitch_v2(dptr, pitch, width, height, element);
	if (!r) {
		bytes = *pitch * height;
		more = vg_x_pieces(bytes) > pieces ? vg_x_pieces(bytes) - pieces : 0;
		if (more && !vg_exec_charge(x, more)) {
			cu.cuMemFree_v2(*dptr);
			r = CUDA_ERROR_OUT_OF_MEMORY;
		} else {
			pieces += more;
		}
	}
	return keep(x, r, *dptr, bytes, pieces, rq->ctx);
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
		vg_x_uncharge(x, &a);
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
	vg_exec_unsettled(x);
	vg_exec_settle_memory(x, false);
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
