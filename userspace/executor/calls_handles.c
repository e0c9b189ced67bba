// SPDX-License-Identifier: Apache-2.0
/* How ids of the guest become the driver's handles, and which ids go when an object goes. */
#include <pthread.h>
#include <stdatomic.h>

#include "calls.h"

/*
 * The guest's shim chooses ids below HALF; the executor mints ids from HALF on (vg_x_mint()).
 * For each half, end[] has the number after the highest id that was ever bound, at which a
 * search through all ids stops.
 */
#define HALF (VG_HANDLE_MAX / 2)
static _Atomic uint32_t end[2] = { 1, HALF };

bool vg_x_stream(struct vg_exec *x, uint32_t id, CUstream *s)
{
	uint64_t v;

	if (id <= 1) {
		*s = (CUstream)(uintptr_t)id;
		return true;
	}
	if (!vg_handle_get(vg_exec_handles(x), id, VG_STREAM, &v))
		return false;
	*s = (CUstream)(uintptr_t)v;
	return true;
}

bool vg_x_function(struct vg_exec *x, uint32_t id, CUfunction *f)
{
	uint64_t v;

	if (!vg_handle_get(vg_exec_handles(x), id, VG_FUNCTION, &v) &&
	    !vg_handle_get(vg_exec_handles(x), id, VG_KERNEL, &v))
		return false;
	*f = (CUfunction)(uintptr_t)v;
	return true;
}

static enum vg_reserved reserve(struct vg_exec *x, uint32_t id, enum vg_kind kind, uint32_t owner,
				uint32_t ctx, uint64_t more, uint64_t *serial)
{
	enum vg_reserved got = vg_handle_reserve(vg_exec_handles(x), id, kind, owner, ctx, more,
						 serial);
	_Atomic uint32_t *mark = &end[id >= HALF];
	uint32_t seen = atomic_load(mark);

	if (got == VG_RESERVED_OK)
		vg_x_launched_not(id, kind == VG_CONTEXT);
	while (got == VG_RESERVED_OK && seen <= id &&
	       !atomic_compare_exchange_weak(mark, &seen, id + 1))
		;
	return got;
}

CUresult vg_x_reserve(struct vg_exec *x, uint32_t id, enum vg_kind kind, uint32_t owner,
		      uint32_t ctx, uint64_t more, uint64_t *serial)
{
	uint64_t v;

	/* A green context may go before what was made in it, which the primary one takes along. */
	if (ctx)
		ctx = vg_x_home(ctx);
	/* Some parts can be asked for without a context, and live as long as their owner. */
	if (ctx && !vg_handle_get(vg_exec_handles(x), ctx, VG_CONTEXT, &v)) {
		if (!owner)
			return vg_wrong_handle(VG_CONTEXT);
		ctx = 0;
	}
	switch (reserve(x, id, kind, owner, ctx, more, serial)) {
	case VG_RESERVED_OK:
		return CUDA_SUCCESS;
	case VG_RESERVED_FULL:
		return CUDA_ERROR_OUT_OF_MEMORY;
	default:
		return CUDA_ERROR_INVALID_HANDLE;
	}
}

CUresult vg_x_made(struct vg_exec *x, CUresult r, uint32_t id, uint64_t serial, enum vg_kind kind,
		   uint64_t value)
{
	if (r)
		vg_handle_give_up(vg_exec_handles(x), id, serial);
	else if (!vg_handle_bind(vg_exec_handles(x), id, serial, kind, value))
		r = CUDA_ERROR_INVALID_HANDLE;
	return r;
}

bool vg_x_refused(CUresult r)
{
	switch (r) {
	case CUDA_ERROR_INVALID_VALUE:
	case CUDA_ERROR_NOT_INITIALIZED:
	case CUDA_ERROR_DEINITIALIZED:
	case CUDA_ERROR_INVALID_DEVICE:
	case CUDA_ERROR_INVALID_CONTEXT:
	case CUDA_ERROR_INVALID_HANDLE:
	case CUDA_ERROR_ILLEGAL_STATE:
	case CUDA_ERROR_CONTEXT_IS_DESTROYED:
	case CUDA_ERROR_NOT_PERMITTED:
	case CUDA_ERROR_NOT_SUPPORTED:
	case CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED:
	case CUDA_ERROR_STREAM_CAPTURE_INVALIDATED:
	case CUDA_ERROR_STREAM_CAPTURE_MERGE:
	case CUDA_ERROR_STREAM_CAPTURE_UNMATCHED:
	case CUDA_ERROR_STREAM_CAPTURE_UNJOINED:
	case CUDA_ERROR_STREAM_CAPTURE_ISOLATION:
	case CUDA_ERROR_STREAM_CAPTURE_IMPLICIT:
	case CUDA_ERROR_CAPTURED_EVENT:
	case CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD:
		return true;
	default:
		return false;
	}
}

CUresult vg_x_destroyed(struct vg_exec *x, CUresult r, uint32_t id, enum vg_kind kind)
{
	uint64_t v;

	if (vg_x_refused(r) ||
	    !(r ? vg_handle_lose(vg_exec_handles(x), id, kind) :
		  vg_handle_take(vg_exec_handles(x), id, kind, &v)))
		return r;
	vg_x_orphans(x, id);
	if (kind == VG_STREAM)
		vg_x_capture_gone(x, id, !r);
	return r;
}

uint32_t vg_x_mint_reserve(struct vg_exec *x, enum vg_kind kind, uint32_t owner, uint64_t *serial)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static uint32_t last = VG_HANDLE_MAX - 1;
	enum vg_reserved got = VG_RESERVED_NOT;
	uint32_t id = 0;

	/* Those that were free the longest come first. */
	pthread_mutex_lock(&lock);
	for (uint32_t i = 0; i < HALF && got == VG_RESERVED_NOT; i++) {
		last = last + 1 < VG_HANDLE_MAX ? last + 1 : HALF;
		id = last;
		got = reserve(x, id, kind, owner, 0, 0, serial);
	}
	pthread_mutex_unlock(&lock);
	return got == VG_RESERVED_OK ? id : 0;
}

uint32_t vg_x_mint(struct vg_exec *x, enum vg_kind kind, uint64_t value, uint32_t owner)
{
	uint64_t serial;
	uint32_t id;

	if (vg_handle_id_of(vg_exec_handles(x), kind, value, &id))
		return id;
	id = vg_x_mint_reserve(x, kind, owner, &serial);
	return id && vg_handle_bind(vg_exec_handles(x), id, serial, kind, value) ? id : 0;
}

uint32_t vg_x_told(struct vg_exec *x, enum vg_kind kind, uint32_t id)
{
	uint64_t life;

	if (id < HALF || !vg_handle_serial(vg_exec_handles(x), id, kind, &life))
		return id;
	return VG_TOLD(id, (uint32_t)life);
}

void vg_x_orphans(struct vg_exec *x, uint32_t gone)
{
	struct vg_orphan o;

	while (vg_handle_orphan(vg_exec_handles(x), gone, &o)) {
		if (o.kind == VG_STREAM)
			vg_x_capture_gone(x, o.id, false);
		if (o.kind == VG_LINK_STATE)
			vg_x_link_gone((CUlinkState)(uintptr_t)o.value);
	}
}

bool vg_x_next(struct vg_exec *x, enum vg_kind kind, uint32_t *id, uint64_t *value)
{
	for (++*id; *id < atomic_load(&end[1]); ++*id) {
		if (*id < HALF && *id >= atomic_load(&end[0]))
			*id = HALF;
		if (vg_handle_get(vg_exec_handles(x), *id, kind, value))
			return true;
	}
	return false;
}

CUresult vg_x_may_destroy(struct vg_exec *x, enum vg_kind kind, uint32_t id)
{
	uint32_t owner;

	/*
	 * The primary context and the context of a green one are ended by calls of their own
	 * (vgpu_primary_release, cuGreenCtxDestroy).  cuCtxDestroy is not for them.
	 */
	if (kind == VG_CONTEXT)
		return vg_x_primary(id) || vg_x_home(id) != id ? CUDA_ERROR_INVALID_CONTEXT :
			       vg_x_may_end_captures(x, kind, id);
	if (kind == VG_STREAM)
		return vg_x_may_end_captures(x, kind, id);
	/*
	 * While a graph is captured to, the driver refuses to destroy it and its nodes.  It lets
	 * what is around be destroyed, but then the capture goes on in freed memory.
	 */
	if ((kind == VG_GRAPH || kind == VG_GRAPH_NODE) &&
	    (vg_x_captured(x, id) || vg_x_captures_within(x, id)))
		return CUDA_ERROR_ILLEGAL_STATE;
	/*
	 * A part is its owner's to free.  If the driver freed it for this call, other ids of
	 * the same part would lead to what is no more.  Nodes have one id each, and are the
	 * program's to destroy.
	 */
	if (kind != VG_GRAPH_NODE && vg_handle_get_owner(vg_exec_handles(x), id, kind, &owner) &&
	    owner)
		return kind == VG_GRAPH ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_INVALID_HANDLE;
	return CUDA_SUCCESS;
}
