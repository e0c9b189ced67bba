// SPDX-License-Identifier: Apache-2.0
/*
 * Virtual memory management.  An allocation's references are counted here: the
 * host has one, which goes when the last of the program's and the last mapping
 * have gone, for until then cuMemRetainAllocationHandle() can ask for another.
 */
#include <pthread.h>
#include <stdlib.h>

#include "client.h"
#include "sharing.h"
#include "shim.h"
#include "shim_calls.h"

struct allocation {
	CUmemAllocationProp prop;	/* as the program gave it */
	bool imported;
	uint64_t references, maps;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* all counts */

#define HANDLE_TYPES CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR

static bool on_host(const CUmemAllocationProp *p)
{
	return p->location.type == CU_MEM_LOCATION_TYPE_HOST ||
	       p->location.type == CU_MEM_LOCATION_TYPE_HOST_NUMA ||
	       p->location.type == CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT;
}

static CUresult check(const CUmemAllocationProp *p)
{
	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	if (p->type != CU_MEM_ALLOCATION_TYPE_PINNED)
		return vg_refuse("cuMemCreate of managed memory", "not implemented");
	if (p->requestedHandleTypes & ~HANDLE_TYPES)
		return vg_refuse("cuMemCreate with a handle type",
				 "sharing memory with other machines is not implemented");
	if (p->allocFlags.gpuDirectRDMACapable)
		return vg_refuse("cuMemCreate for GPUDirect RDMA", "not implemented");
	if (on_host(p))
		return CUDA_SUCCESS;
	if (p->location.type != CU_MEM_LOCATION_TYPE_DEVICE)
		return CUDA_ERROR_INVALID_VALUE;
	return vg_device(p->location.id) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

/*
 * Memory of the host has a granularity even where cuMemCreate() refuses it: NCCL takes
 * the latter for "not here", and an error of the former for the end.
 */
CUresult vgh_cuMemGetAllocationGranularity(size_t *granularity, const CUmemAllocationProp *p,
					   CUmemAllocationGranularity_flags option)
{
	CUresult r = granularity ? check(p) : CUDA_ERROR_INVALID_VALUE;

	if (r)
		return r;
	if (on_host(p))
		return vgw_vgpu_mem_granularity_host(p->location.type, p->location.id,
						     p->requestedHandleTypes, option, granularity);
	return vgw_vgpu_mem_granularity(p->location.id, p->allocFlags.compressionType,
					p->allocFlags.usage, option, granularity);
}

static void release(struct vg_object *o)
{
	free(o->data);
	o->data = NULL;
}

CUresult vgh_cuMemCreate(CUmemGenericAllocationHandle *handle, size_t bytes,
			 const CUmemAllocationProp *p, unsigned long long flags)
{
	CUmemGenericAllocationHandle made;
	struct allocation *a;
	struct vg_object *o;
	CUresult r;

	if (!handle || !bytes || flags)
		return CUDA_ERROR_INVALID_VALUE;
	r = check(p);
	if (!r && on_host(p))
		r = vg_refuse("cuMemCreate of host memory", "not implemented");
	if (r)
		return r;
	a = calloc(1, sizeof(*a));
	if (!a)
		return CUDA_ERROR_OUT_OF_MEMORY;
	a->prop = *p;
	a->references = 1;
	r = vgw_vgpu_mem_create(&made, bytes, p->location.id, p->allocFlags.compressionType,
				p->allocFlags.usage, p->requestedHandleTypes);
	if (r) {
		free(a);
		return r;
	}
	o = (struct vg_object *)(uintptr_t)made;
	o->release = release;
	o->data = a;
	*handle = made;
	return CUDA_SUCCESS;
}

/* The allocation of a handle that the program still holds; the lock is held. */
static struct allocation *held(CUmemGenericAllocationHandle handle)
{
	struct vg_object *o = vg_object_get((const void *)(uintptr_t)handle, VG_MEM_ALLOC);
	struct allocation *a = o ? o->data : NULL;

	return a && a->references ? a : NULL;
}

static CUresult put(CUmemGenericAllocationHandle handle, const struct allocation *a)
{
	return a->references || a->maps ? CUDA_SUCCESS : vgw_vgpu_mem_release(handle);
}

CUresult vgh_cuMemRelease(CUmemGenericAllocationHandle handle)
{
	CUresult r = CUDA_ERROR_INVALID_VALUE;
	struct allocation *a;

	pthread_mutex_lock(&lock);
	a = held(handle);
	if (a) {
		a->references--;
		r = put(handle, a);
	}
	pthread_mutex_unlock(&lock);
	return r;
}

CUresult vgh_cuMemExportToShareableHandle(void *out, CUmemGenericAllocationHandle handle,
					  CUmemAllocationHandleType type, unsigned long long flags)
{
	CUresult r = out && !flags ? vg_parcel_type(type) : CUDA_ERROR_INVALID_VALUE;
	struct allocation *a;
	vgpu_token token;

	if (r)
		return r;
	pthread_mutex_lock(&lock);
	a = held(handle);
	r = a && (a->prop.requestedHandleTypes & type) ?
		    vgw_vgpu_allocation_export(handle, &token) : CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_unlock(&lock);
	return r ? r : vg_parcel_to_fd(VG_PARCEL_ALLOCATION, &token, out);
}

CUresult vgh_cuMemImportFromShareableHandle(CUmemGenericAllocationHandle *handle, void *os,
					    CUmemAllocationHandleType type)
{
	CUresult r = handle ? vg_parcel_type(type) : CUDA_ERROR_INVALID_VALUE;
	CUmemGenericAllocationHandle made;
	vgpu_allocation info;
	struct allocation *a;
	struct vg_object *o;
	vgpu_token token;

	if (!r)
		r = vg_parcel_from_fd(VG_PARCEL_ALLOCATION, (int)(uintptr_t)os, &token);
	if (r)
		return r;
	a = calloc(1, sizeof(*a));
	if (!a)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = vgw_vgpu_allocation_import(&made, &token, &info);
	if (r) {
		free(a);
		return r;
	}
	a->references = 1;
	a->imported = true;
	a->prop = (CUmemAllocationProp){
		.type = CU_MEM_ALLOCATION_TYPE_PINNED,
		.requestedHandleTypes = info.types,
		.location = { .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = info.dev },
		.allocFlags = { .compressionType = info.compression, .usage = info.usage },
	};
	o = (struct vg_object *)(uintptr_t)made;
	o->release = release;
	o->data = a;
	*handle = made;
	return CUDA_SUCCESS;
}

CUresult vgh_cuMemGetAllocationPropertiesFromHandle(CUmemAllocationProp *p,
						    CUmemGenericAllocationHandle handle)
{
	CUresult r = CUDA_ERROR_INVALID_VALUE;
	struct allocation *a;

	pthread_mutex_lock(&lock);
	a = held(handle);
	if (a && p) {
		*p = a->prop;
		/* The driver does not say of what came from elsewhere how it may go on. */
		if (a->imported)
			p->requestedHandleTypes = 0;
		r = CUDA_SUCCESS;
	}
	pthread_mutex_unlock(&lock);
	return r;
}

CUresult vgh_cuMemRetainAllocationHandle(CUmemGenericAllocationHandle *handle, void *addr)
{
	CUresult r = CUDA_ERROR_INVALID_VALUE;
	struct vg_object *o = NULL;
	struct vg_range range;

	if (!handle)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&lock);
	if (vg_range_find((uintptr_t)addr, &range) && range.kind == VG_RANGE_MAPPED)
		o = vg_object_by_id(range.owner, VG_MEM_ALLOC);
	if (o) {
		((struct allocation *)o->data)->references++;
		*handle = (uintptr_t)o;
		r = CUDA_SUCCESS;
	}
	pthread_mutex_unlock(&lock);
	return r;
}

CUresult vgh_cuMemMap(CUdeviceptr ptr, size_t size, size_t offset,
		      CUmemGenericAllocationHandle handle, unsigned long long flags)
{
	struct allocation *a;
	struct vg_object *o;
	CUresult r;

	pthread_mutex_lock(&lock);
	a = held(handle);
	r = a ? vgw_cuMemMap(ptr, size, offset, handle, flags) : CUDA_ERROR_INVALID_VALUE;
	if (!r) {
		o = (struct vg_object *)(uintptr_t)handle;
		r = vg_range_add_mapped(ptr, size, o->id, a->prop.location.id,
					a->prop.requestedHandleTypes);
		if (r)
			vgw_cuMemUnmap(ptr, size);
		else
			a->maps++;
	}
	pthread_mutex_unlock(&lock);
	return r;
}

CUresult vgh_cuMemUnmap(CUdeviceptr ptr, size_t size)
{
	struct vg_range range;
	uint64_t at = ptr;
	CUresult r;

	pthread_mutex_lock(&lock);
	r = vgw_cuMemUnmap(ptr, size);
	while (!r && at - ptr < size && vg_range_remove(at, 1u << VG_RANGE_MAPPED, &range)) {
		struct vg_object *o = vg_object_by_id(range.owner, VG_MEM_ALLOC);

		at += range.bytes;
		if (!o)
			continue;
		((struct allocation *)o->data)->maps--;
		put((uintptr_t)o, o->data);
	}
	pthread_mutex_unlock(&lock);
	return r;
}
