// SPDX-License-Identifier: Apache-2.0
/*
 * Memory of the guest process as the driver knows it: registered, so that the
 * device reaches it at the address that it has in the guest.  Only what is
 * mapped here on the guest's behalf is ever given to the driver.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "vg_cuda.h"

/*
 * What the driver has registered.  Memory that is only mapped here it would stage by a
 * CPU, so only copies of this count as the device's own.
 */
static struct {
	pthread_mutex_t lock;
	struct range {
		uint64_t va, bytes;
		uint64_t serial;	/* which registration: an address may have several */
	} *range;			/* by va; none overlap */
	size_t count, room;
	uint64_t serials;		/* given so far */
} pinned = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* The first that ends beyond va; the lock is held. */
static size_t after(uint64_t va)
{
	size_t lo = 0, hi = pinned.count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (pinned.range[mid].va + pinned.range[mid].bytes <= va)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool vg_x_registered(uint64_t va, uint64_t bytes)
{
	const struct range *p;
	bool yes = false;
	size_t i;

	pthread_mutex_lock(&pinned.lock);
	i = after(va);
	if (i < pinned.count) {
		p = &pinned.range[i];
		yes = p->va <= va && bytes <= p->va + p->bytes - va;
	}
	pthread_mutex_unlock(&pinned.lock);
	return yes;
}

static bool remember(uint64_t va, uint64_t bytes)
{
	bool ok = true;
	size_t i;

	pthread_mutex_lock(&pinned.lock);
	if (pinned.count == pinned.room) {
		size_t room = pinned.room ? pinned.room * 2 : 64;
		struct range *more = realloc(pinned.range, room * sizeof(*more));

		ok = more;
		if (ok) {
			pinned.range = more;
			pinned.room = room;
		}
	}
	if (ok) {
		size_t end;

		/* Any that it overlaps went with their context, or the driver had refused. */
		for (end = i = after(va); end < pinned.count && pinned.range[end].va < va + bytes;)
			end++;
		memmove(pinned.range + i + 1, pinned.range + end,
			(pinned.count - end) * sizeof(*pinned.range));
		pinned.count -= end - i;
		pinned.range[i] = (struct range){ va, bytes, ++pinned.serials };
		pinned.count++;
	}
	pthread_mutex_unlock(&pinned.lock);
	return ok;
}

/* The serial of the registration that begins at va; 0: there is none. */
static uint64_t serial_of(uint64_t va)
{
	uint64_t serial = 0;
	size_t i;

	pthread_mutex_lock(&pinned.lock);
	i = after(va);
	if (i < pinned.count && pinned.range[i].va == va)
		serial = pinned.range[i].serial;
	pthread_mutex_unlock(&pinned.lock);
	return serial;
}

/* This registration only: since it ended, the ring's thread may have made another there. */
static void forget(uint64_t va, uint64_t serial)
{
	size_t i;

	pthread_mutex_lock(&pinned.lock);
	i = after(va);
	if (i < pinned.count && pinned.range[i].va == va && pinned.range[i].serial == serial) {
		pinned.count--;
		memmove(pinned.range + i, pinned.range + i + 1,
			(pinned.count - i) * sizeof(*pinned.range));
	}
	pthread_mutex_unlock(&pinned.lock);
}

CUresult vge_vgpu_host_register(struct vg_exec *x, const struct vg_req *rq, uint64_t va,
				uint64_t bytes, unsigned int flags, CUdeviceptr *dptr)
{
	const unsigned int known = CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP |
				   CU_MEMHOSTREGISTER_READ_ONLY;
	CUresult r;

	(void)rq;
	if (!cu.cuMemHostRegister_v2 || !cu.cuMemHostUnregister || !cu.cuMemHostGetDevicePointer_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!bytes || flags & ~known || !vg_exec_shared(x, va, bytes))
		return CUDA_ERROR_INVALID_VALUE;
	r = cu.cuMemHostRegister_v2((void *)(uintptr_t)va, bytes, flags);
	if (r)
		return r;
	/* Unified addressing promises the same address: without it, no sharing. */
	r = cu.cuMemHostGetDevicePointer_v2(dptr, (void *)(uintptr_t)va, 0);
	if (!r && *dptr != va)
		r = CUDA_ERROR_NOT_SUPPORTED;
	if (!r && !remember(va, bytes))
		r = CUDA_ERROR_OUT_OF_MEMORY;
	if (r)
		cu.cuMemHostUnregister((void *)(uintptr_t)va);
	return r;
}

/* It may block, so it runs on a thread of its own while the ring's registers memory. */
CUresult vge_vgpu_host_unregister(struct vg_exec *x, const struct vg_req *rq, uint64_t va)
{
	uint64_t serial;
	CUresult r;

	(void)rq;
	if (!cu.cuMemHostUnregister)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!vg_exec_shared(x, va, 1))
		return CUDA_ERROR_INVALID_VALUE;
	serial = serial_of(va);
	r = cu.cuMemHostUnregister((void *)(uintptr_t)va);
	if (!r)
		forget(va, serial);
	return r;
}

/* A context of this process's, where the caller's does not do: any may unregister. */
static CUresult unregister(struct vg_exec *x, uint64_t va)
{
	CUresult r = cu.cuMemHostUnregister((void *)(uintptr_t)va);
	CUcontext top;
	uint32_t id = 0;
	uint64_t ctx;

	if ((r != CUDA_ERROR_INVALID_CONTEXT && r != CUDA_ERROR_CONTEXT_IS_DESTROYED) ||
	    !cu.cuCtxPushCurrent_v2 || !cu.cuCtxPopCurrent_v2)
		return r;
	while ((r == CUDA_ERROR_INVALID_CONTEXT || r == CUDA_ERROR_CONTEXT_IS_DESTROYED) &&
	       vg_x_next(x, VG_CONTEXT, &id, &ctx)) {
		if (cu.cuCtxPushCurrent_v2((CUcontext)(uintptr_t)ctx))
			continue;
		r = cu.cuMemHostUnregister((void *)(uintptr_t)va);
		cu.cuCtxPopCurrent_v2(&top);
	}
	return r;
}

static bool registered_in(uint64_t va, uint64_t end, struct range *first)
{
	bool yes;
	size_t i;

	pthread_mutex_lock(&pinned.lock);
	i = after(va);
	yes = i < pinned.count && pinned.range[i].va < end;
	if (yes)
		*first = pinned.range[i];
	pthread_mutex_unlock(&pinned.lock);
	return yes;
}

CUresult vg_x_registrations_end(struct vg_exec *x, uint64_t va, uint64_t bytes)
{
	struct range first;
	CUresult r;

	/* What went with its context the driver does not know any more. */
	while (registered_in(va, va + bytes, &first)) {
		r = unregister(x, first.va);
		if (r && r != CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED)
			return r;
		forget(first.va, first.serial);
	}
	return CUDA_SUCCESS;
}

/*
 * The driver has read or written pageable memory when its call returns, except in a
 * capture, where the graph keeps the address alone for any time to come.
 */
static CUresult may_copy(struct vg_exec *x, uint64_t va, uint64_t bytes, CUstream s, bool *direct)
{
	if (!vg_exec_shared(x, va, bytes))
		return CUDA_ERROR_INVALID_VALUE;
	vg_exec_before_move(x);
	*direct = vg_x_registered(va, bytes);
	return *direct ? CUDA_SUCCESS : vg_x_may_copy_pageable(s);
}

static CUresult copy_in(struct vg_exec *x, CUdeviceptr dst, uint64_t va, uint64_t bytes,
			CUstream s, bool *direct)
{
	CUresult r;

	if (!cu.cuMemcpyHtoDAsync_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = may_copy(x, va, bytes, s, direct);
	if (!r)
		r = cu.cuMemcpyHtoDAsync_v2(dst, (const void *)(uintptr_t)va, bytes, s);
	if (!r)
		vg_exec_moved(x, bytes, 0);
	return r;
}

static CUresult copy_out(struct vg_exec *x, uint64_t va, CUdeviceptr src, uint64_t bytes,
			 CUstream s, bool *direct)
{
	CUresult r;

	if (!cu.cuMemcpyDtoHAsync_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = may_copy(x, va, bytes, s, direct);
	if (!r)
		r = cu.cuMemcpyDtoHAsync_v2((void *)(uintptr_t)va, src, bytes, s);
	if (!r)
		vg_exec_moved(x, 0, bytes);
	return r;
}

CUresult vge_vgpu_copy_in(struct vg_exec *x, const struct vg_req *rq, CUdeviceptr dst, uint64_t va,
			  uint64_t bytes, CUstream s)
{
	bool direct;
	CUresult r;

	(void)rq;
	vg_x_pace_copy(bytes);
	r = copy_in(x, dst, va, bytes, s, &direct);
	if (!r)
		vg_x_pace_copied(bytes);
	if (!r && direct)
		vg_exec_moved_direct(x, bytes, 0);
	return r;
}

CUresult vge_vgpu_copy_out(struct vg_exec *x, const struct vg_req *rq, uint64_t va, CUdeviceptr src,
			   uint64_t bytes, CUstream s)
{
	bool direct;
	CUresult r = copy_out(x, va, src, bytes, s, &direct);

	(void)rq;
	if (!r && direct)
		vg_exec_moved_direct(x, 0, bytes);
	return r;
}

/* The guest's CPUs have copied it, or will. */
CUresult vge_vgpu_stage_in(struct vg_exec *x, const struct vg_req *rq, CUdeviceptr dst, uint64_t va,
			   uint64_t bytes, CUstream s)
{
	bool direct;

	(void)rq;
	return copy_in(x, dst, va, bytes, s, &direct);
}

CUresult vge_vgpu_stage_out(struct vg_exec *x, const struct vg_req *rq, uint64_t va,
			    CUdeviceptr src, uint64_t bytes, CUstream s)
{
	bool direct;

	(void)rq;
	return copy_out(x, va, src, bytes, s, &direct);
}
