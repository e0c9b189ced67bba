// SPDX-License-Identifier: Apache-2.0
/* What a pointer is, from the table of known memory. */
#include "client.h"
#include "shim.h"
#include "shim_calls.h"

/* Store an attribute of its own size; CUDA_ERROR_INVALID_VALUE if the range has none such. */
static CUresult get(void *data, CUpointer_attribute attribute, const struct vg_range *r,
		    uint64_t ptr)
{
	bool device = vg_range_on_device(r);

	switch (attribute) {
	case CU_POINTER_ATTRIBUTE_CONTEXT: {
		struct vg_context *c = vg_context_by_id(r->owner);

		/* A variable's is that of its module; of a dead context nothing is known. */
		if (!c && r->kind == VG_RANGE_GLOBAL)
			c = vg_current();
		if (!c)
			return CUDA_ERROR_INVALID_VALUE;
		*(CUcontext *)data = (CUcontext)c->object;
		return CUDA_SUCCESS;
	}
	case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
		*(unsigned int *)data = device || r->kind == VG_RANGE_MANAGED ?
			CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
		if (!device && !r->shared)
			return CUDA_ERROR_INVALID_VALUE;
		*(CUdeviceptr *)data = ptr;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_HOST_POINTER:
		if (device)
			return CUDA_ERROR_INVALID_VALUE;
		*(void **)data = (void *)(uintptr_t)ptr;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_BUFFER_ID:
		*(unsigned long long *)data = r->serial;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
		*(int *)data = r->device;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
		*(CUdeviceptr *)data = r->base;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
		*(size_t *)data = r->bytes;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_MAPPED:
		*(int *)data = device || r->shared;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
		if (!device && !r->shared)
			return CUDA_ERROR_INVALID_VALUE;
		*(int *)data = CU_POINTER_ATTRIBUTE_ACCESS_FLAG_READWRITE;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_IS_MANAGED:
		*(int *)data = r->kind == VG_RANGE_MANAGED;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
		*(int *)data = r->kind == VG_RANGE_DEVICE;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
		*(int *)data = r->sync;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
	case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE:
		*(int *)data = 0;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
		*(unsigned long long *)data = r->kind == VG_RANGE_POOL ||
			r->kind == VG_RANGE_MAPPED ? r->flags : 0;
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

/* What cuPointerGetAttributes() gives where there is nothing to give. */
static void clear(void *data, CUpointer_attribute attribute)
{
	switch (attribute) {
	case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
		*(unsigned int *)data = 0;
		break;
	case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
		*(int *)data = -2;
		break;
	case CU_POINTER_ATTRIBUTE_IS_MANAGED:
	case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
	case CU_POINTER_ATTRIBUTE_MAPPED:
	case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
	case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
	case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
	case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE:
		*(int *)data = 0;
		break;
	default:
		memset(data, 0, 8);
	}
}

CUresult vgh_cuPointerGetAttribute(void *data, CUpointer_attribute attribute, CUdeviceptr ptr)
{
	struct vg_range range;

	if (!data || !vg_range_find(ptr, &range))
		return CUDA_ERROR_INVALID_VALUE;
	return get(data, attribute, &range, ptr);
}

CUresult vgh_cuPointerGetAttributes(unsigned int count, CUpointer_attribute *attributes,
				    void **data, CUdeviceptr ptr)
{
	struct vg_range range;
	bool found;

	if (!count || !attributes || !data)
		return CUDA_ERROR_INVALID_VALUE;
	found = vg_range_find(ptr, &range);
	for (unsigned int i = 0; i < count; i++) {
		if (!data[i])
			return CUDA_ERROR_INVALID_VALUE;
		if (!found || get(data[i], attributes[i], &range, ptr))
			clear(data[i], attributes[i]);
	}
	return CUDA_SUCCESS;
}

static CUresult set_attribute(const void *value, CUpointer_attribute attribute, CUdeviceptr ptr)
{
	if (!value || attribute != CU_POINTER_ATTRIBUTE_SYNC_MEMOPS ||
	    !vg_range_set_sync(ptr, *(const unsigned int *)value != 0))
		return CUDA_ERROR_INVALID_VALUE;
	/* What is under way is waited for too. */
	return *(const unsigned int *)value ? vgw_cuCtxSynchronize() : CUDA_SUCCESS;
}

CUresult vgh_cuPointerSetAttribute(const void *value, CUpointer_attribute attribute,
				   CUdeviceptr ptr)
{
	bool lent;
	CUresult r = vg_range_lend(ptr, &lent);

	if (!r)
		r = set_attribute(value, attribute, ptr);
	if (lent)
		vg_lend_end();
	return r;
}
