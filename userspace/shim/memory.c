// SPDX-License-Identifier: Apache-2.0
/* Plain device memory. */
#include "client.h"
#include "shim.h"
#include "shim_calls.h"
#include "stage.h"

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
