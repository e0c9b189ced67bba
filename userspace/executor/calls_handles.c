// SPDX-License-Identifier: Apache-2.0
/* How ids of the guest become the driver's handles, and which ids go when an object goes. */
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

bool vg_x_put(struct vg_exec *x, uint32_t id, enum vg_kind kind, uint64_t value, uint32_t owner)
{
	_Atomic uint32_t *mark = &end[id >= HALF];
	uint32_t seen = atomic_load(mark);

	if (!vg_handle_put(vg_exec_handles(x), id, kind, value))
		return false;
	vg_handle_set_owner(vg_exec_handles(x), id, kind, owner);
	while (seen <= id && !atomic_compare_exchange_weak(mark, &seen, id + 1))
		;
	return true;
}

CUresult vg_x_bind(struct vg_exec *x, uint32_t id, enum vg_kind kind, uint64_t value,
		   uint32_t owner, uint32_t ctx, uint64_t more)
{
	uint64_t v;

	if (!vg_x_put(x, id, kind, value, owner))
		return id && id < VG_HANDLE_MAX && vg_x_unbound(x, id) ? CUDA_ERROR_OUT_OF_MEMORY :
									 CUDA_ERROR_INVALID_HANDLE;
	/* A green context may go before what was made in it, which the primary one takes along. */
	vg_handle_set_context(vg_exec_handles(x), id, kind, ctx ? vg_x_home(ctx) : 0);
	if (!more || vg_handle_weigh(vg_exec_handles(x), id, kind, more))
		return CUDA_SUCCESS;
	vg_handle_take(vg_exec_handles(x), id, kind, &v);
	return CUDA_ERROR_OUT_OF_MEMORY;
}

/* The driver has destroyed what this id stands for: take the id away. */
static bool lose(struct vg_exec *x, uint32_t id, enum vg_kind kind)
{
	uint64_t v;

	if (!vg_handle_take(vg_exec_handles(x), id, kind, &v))
		return false;
	if (kind == VG_STREAM)
		vg_x_capture_gone(x, id);
	if (kind == VG_LINK_STATE)
		vg_x_link_gone((CUlinkState)(uintptr_t)v);
	return true;
}

/*
 * The driver has destroyed the object of the id `gone`, and with it all objects of which it was
 * the owner or the context.  Take their ids away, because they would lead to freed memory.
 * This happens seldom, so it searches all ids.
 */
void vg_x_orphans(struct vg_exec *x, uint32_t gone)
{
	struct vg_handles *h = vg_exec_handles(x);
	uint32_t owner, ctx;

	for (int half = 0; half < 2; half++) {
		for (uint32_t id = half ? HALF : 1; gone && id < atomic_load(&end[half]); id++) {
			for (enum vg_kind kind = VG_NONE + 1; kind < VG_KIND_COUNT; kind++) {
				if (!vg_handle_get_owner(h, id, kind, &owner) ||
				    !vg_handle_get_context(h, id, kind, &ctx))
					continue;
				if ((owner == gone || ctx == gone) && id != gone &&
				    lose(x, id, kind))
					vg_x_orphans(x, id);
				break;
			}
		}
	}
}

bool vg_x_id_of(struct vg_exec *x, enum vg_kind kind, uint64_t value, uint32_t *id)
{
	uint64_t v;

	for (int half = 0; half < 2; half++) {
		for (*id = half ? HALF : 1; *id < atomic_load(&end[half]); ++*id)
			if (vg_handle_get(vg_exec_handles(x), *id, kind, &v) && v == value)
				return true;
	}
	return false;
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
								 CUDA_SUCCESS;
	/* CUDA does not say what happens if the graph under a capture is destroyed. */
	if ((kind == VG_GRAPH || kind == VG_GRAPH_NODE) && vg_x_captured(x, kind, id))
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

bool vg_x_unbound(struct vg_exec *x, uint32_t id)
{
	uint64_t v;

	for (enum vg_kind kind = VG_NONE + 1; kind < VG_KIND_COUNT; kind++)
		if (vg_handle_get(vg_exec_handles(x), id, kind, &v))
			return false;
	return true;
}
