// SPDX-License-Identifier: Apache-2.0
/*
 * Managed memory: page-locked memory by another name.  It stays in the host's RAM, where
 * the program and kernels reach it at all times; advice about where it should be is kept,
 * answered and not acted upon.
 */
#include "hostmem.h"
#include "shim_calls.h"

CUresult vg_managed_free(CUdeviceptr p)
{
	return vg_hostmem_free(p, VG_RANGE_MANAGED);
}

CUresult vgh_cuMemAllocManaged(CUdeviceptr *dptr, size_t bytes, unsigned int flags)
{
	CUresult r = vg_context_ready();
	void *p;

	if (r)
		return r;
	if (!dptr || !bytes || (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST))
		return CUDA_ERROR_INVALID_VALUE;
	r = vg_hostmem_new(bytes, VG_RANGE_MANAGED, flags, &p);
	if (r)
		vg_hostmem_staged(r);
	else
		*dptr = (uintptr_t)p;
	return r;
}

/* Managed memory that holds all of [p, p + bytes). */
static CUresult managed(CUdeviceptr p, size_t bytes, struct vg_hostmem **m)
{
	struct vg_range range;
	CUresult r = vg_context_ready();

	if (r)
		return r;
	if (!bytes || !vg_range_find(p, &range) || range.kind != VG_RANGE_MANAGED ||
	    bytes > range.base + range.bytes - p)
		return CUDA_ERROR_INVALID_VALUE;
	*m = range.shared;
	return CUDA_SUCCESS;
}

CUresult vgh_cuMemAdvise(CUdeviceptr p, size_t bytes, CUmem_advise advice, CUdevice device)
{
	struct vg_hostmem *m;
	CUresult r = managed(p, bytes, &m);

	if (r)
		return r;
	if (advice != CU_MEM_ADVISE_SET_READ_MOSTLY && advice != CU_MEM_ADVISE_UNSET_READ_MOSTLY &&
	    advice != CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION && device != CU_DEVICE_CPU &&
	    !vg_device(device))
		return CUDA_ERROR_INVALID_DEVICE;
	switch (advice) {
	case CU_MEM_ADVISE_SET_READ_MOSTLY:
		m->read_mostly = 1;
		return CUDA_SUCCESS;
	case CU_MEM_ADVISE_UNSET_READ_MOSTLY:
		m->read_mostly = 0;
		return CUDA_SUCCESS;
	case CU_MEM_ADVISE_SET_PREFERRED_LOCATION:
		m->preferred = device;
		return CUDA_SUCCESS;
	case CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION:
		m->preferred = CU_DEVICE_INVALID;
		return CUDA_SUCCESS;
	case CU_MEM_ADVISE_SET_ACCESSED_BY:
	case CU_MEM_ADVISE_UNSET_ACCESSED_BY:
		/* Every device has it mapped at all times. */
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

static CUresult device_of(CUmemLocation location, CUdevice *device)
{
	switch (location.type) {
	case CU_MEM_LOCATION_TYPE_DEVICE:
		*device = location.id;
		return CUDA_SUCCESS;
	case CU_MEM_LOCATION_TYPE_HOST:
	case CU_MEM_LOCATION_TYPE_HOST_NUMA:
	case CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT:
		*device = CU_DEVICE_CPU;
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

CUresult vgh_cuMemAdvise_v2(CUdeviceptr p, size_t bytes, CUmem_advise advice,
			    CUmemLocation location)
{
	CUdevice device;
	CUresult r = device_of(location, &device);

	/* The others do not look at which of its type it is. */
	if (advice != CU_MEM_ADVISE_SET_PREFERRED_LOCATION &&
	    advice != CU_MEM_ADVISE_SET_ACCESSED_BY && advice != CU_MEM_ADVISE_UNSET_ACCESSED_BY)
		device = CU_DEVICE_CPU;
	return r ? r : vgh_cuMemAdvise(p, bytes, advice, device);
}

/* Whom it is attached to decides who may touch it when; here all may at all times. */
CUresult vgh_cuStreamAttachMemAsync(CUstream s, CUdeviceptr p, size_t bytes, unsigned int flags)
{
	struct vg_range range;
	uint32_t stream;
	CUresult r = vg_context_ready();

	if (!r)
		r = vg_stream_id(s, &stream);
	if (r)
		return r;
	if (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST &&
	    flags != CU_MEM_ATTACH_SINGLE)
		return CUDA_ERROR_INVALID_VALUE;
	if (flags == CU_MEM_ATTACH_SINGLE && stream <= 1)
		return CUDA_ERROR_INVALID_VALUE;
	/* All of one allocation, or none. */
	if (!vg_range_find(p, &range) || range.kind != VG_RANGE_MANAGED || range.base != p ||
	    (bytes && bytes != range.bytes))
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

CUresult vgh_cuMemPrefetchAsync(CUdeviceptr p, size_t bytes, CUdevice device, CUstream s)
{
	struct vg_hostmem *m;
	uint32_t stream;
	CUresult r = managed(p, bytes, &m);

	if (!r)
		r = vg_stream_id(s, &stream);
	if (r)
		return r;
	if (device != CU_DEVICE_CPU && !vg_device(device))
		return CUDA_ERROR_INVALID_DEVICE;
	m->prefetched = device;
	return CUDA_SUCCESS;
}

CUresult vgh_cuMemPrefetchAsync_v2(CUdeviceptr p, size_t bytes, CUmemLocation location,
				   unsigned int flags, CUstream s)
{
	CUdevice device;
	CUresult r = device_of(location, &device);

	if (r || flags)
		return r ? r : CUDA_ERROR_INVALID_VALUE;
	return vgh_cuMemPrefetchAsync(p, bytes, device, s);
}

CUresult vgh_cuMemRangeGetAttribute(void *data, size_t size, CUmem_range_attribute attribute,
				    CUdeviceptr p, size_t bytes)
{
	struct vg_hostmem *m;
	CUresult r = managed(p, bytes, &m);
	int *out = data;

	if (r)
		return r;
	if (!data || size < sizeof(int))
		return CUDA_ERROR_INVALID_VALUE;
	switch (attribute) {
	case CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY:
		if (size != sizeof(int))
			return CUDA_ERROR_INVALID_VALUE;
		*out = m->read_mostly;
		return CUDA_SUCCESS;
	case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION:
		if (size != sizeof(int))
			return CUDA_ERROR_INVALID_VALUE;
		*out = m->preferred;
		return CUDA_SUCCESS;
	case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION:
		if (size != sizeof(int))
			return CUDA_ERROR_INVALID_VALUE;
		*out = m->prefetched;
		return CUDA_SUCCESS;
	case CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY:
		if (size % sizeof(int))
			return CUDA_ERROR_INVALID_VALUE;
		for (size_t i = 0; i < size / sizeof(int); i++)
			out[i] = i < (size_t)vg_device_count ? (int)i : CU_DEVICE_INVALID;
		return CUDA_SUCCESS;
	case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_TYPE:
	case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_ID:
	case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_TYPE:
	case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_ID:
		return vg_refuse("cuMemRangeGetAttribute", "this attribute is not kept");
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

CUresult vgh_cuMemRangeGetAttributes(void **data, size_t *sizes, CUmem_range_attribute *attributes,
				     size_t count, CUdeviceptr p, size_t bytes)
{
	CUresult r = count && data && sizes && attributes ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;

	for (size_t i = 0; i < count && !r; i++)
		r = vgh_cuMemRangeGetAttribute(data[i], sizes[i], attributes[i], p, bytes);
	return r;
}
