// SPDX-License-Identifier: Apache-2.0
/*
 * Virtual memory management.  Memory counts against the vGPU until it has been
 * released and nothing maps it any more, so what maps what is remembered here.
 * What comes from another process has been charged there.
 * All of this runs on the ring's own thread.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "calls.h"
#include "vg_cuda.h"

/* What an id of this kind leads to, in place of the driver's handle. */
struct allocation {
	CUmemGenericAllocationHandle handle;
	uint64_t bytes;
	uint64_t maps;
	bool released;
	bool offered, taken;		/* to or from another process */
	vgpu_token token;
	vgpu_allocation props;
};

struct mapping {
	uint64_t va, bytes;
	struct allocation *allocation;
};

static struct mapping *mappings;	/* by va; none overlap */
static size_t count, room;

static struct allocation *allocation_of(CUmemGenericAllocationHandle h)
{
	return (struct allocation *)(uintptr_t)h;
}

static CUmemAllocationProp props(CUdevice dev, unsigned int compression, unsigned int usage,
				 unsigned int types)
{
	return (CUmemAllocationProp){
		.type = CU_MEM_ALLOCATION_TYPE_PINNED,
		.location = { .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = dev },
		.allocFlags = { .compressionType = compression, .usage = usage },
		.requestedHandleTypes = types,
	};
}

CUresult vge_vgpu_mem_granularity(struct vg_exec *x, const struct vg_req *rq, CUdevice dev,
				  unsigned int compression, unsigned int usage,
				  unsigned int option, size_t *granularity)
{
	CUmemAllocationProp p = props(dev, compression, usage, 0);

	(void)x;
	(void)rq;
	if (!cu.cuMemGetAllocationGranularity)
		return CUDA_ERROR_NOT_SUPPORTED;
	return cu.cuMemGetAllocationGranularity(granularity, &p, option);
}

CUresult vge_vgpu_mem_granularity_host(struct vg_exec *x, const struct vg_req *rq,
				       unsigned int location, int node, unsigned int types,
				       unsigned int option, size_t *granularity)
{
	CUmemAllocationProp p = {
		.type = CU_MEM_ALLOCATION_TYPE_PINNED,
		.location = { .type = location, .id = node },
		.requestedHandleTypes = types,
	};

	(void)x;
	(void)rq;
	if (!cu.cuMemGetAllocationGranularity)
		return CUDA_ERROR_NOT_SUPPORTED;
	return cu.cuMemGetAllocationGranularity(granularity, &p, option);
}

CUresult vge_vgpu_mem_create(struct vg_exec *x, const struct vg_req *rq,
			     CUmemGenericAllocationHandle *handle, size_t bytes, CUdevice dev,
			     unsigned int compression, unsigned int usage, unsigned int types)
{
	CUmemAllocationProp p = props(dev, compression, usage, types);
	struct allocation *a;
	CUresult r;

	(void)rq;
	if (!cu.cuMemCreate || !cu.cuMemRelease ||
	    (types & ~CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR))
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!vg_exec_charge(x, bytes))
		return CUDA_ERROR_OUT_OF_MEMORY;
	a = calloc(1, sizeof(*a));
	r = a ? cu.cuMemCreate(&a->handle, bytes, &p, 0) : CUDA_ERROR_OUT_OF_MEMORY;
	if (r) {
		free(a);
		vg_exec_uncharge(x, bytes);
		return r;
	}
	a->bytes = bytes;
	a->props = (vgpu_allocation){ bytes, dev, compression, usage, types };
	*handle = (uintptr_t)a;
	return CUDA_SUCCESS;
}

CUresult vge_vgpu_allocation_export(struct vg_exec *x, const struct vg_req *rq,
				    CUmemGenericAllocationHandle handle, vgpu_token *token)
{
	struct allocation *a = allocation_of(handle);
	CUresult r = CUDA_SUCCESS;
	int fd = -1;

	(void)rq;
	if (!cu.cuMemExportToShareableHandle)
		return CUDA_ERROR_NOT_SUPPORTED;
	/* What came from another process goes on under the token that it has. */
	if (!a->offered && !a->taken) {
		r = cu.cuMemExportToShareableHandle(
			&fd, a->handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0);
		if (!r) {
			r = vg_exec_offer(x, VG_TOKEN_ALLOCATION, a->bytes, &a->props,
					  sizeof(a->props), fd, &a->token);
			close(fd);
		}
		a->offered = !r;
	}
	*token = a->token;
	return r;
}

CUresult vge_vgpu_allocation_import(struct vg_exec *x, const struct vg_req *rq,
				    CUmemGenericAllocationHandle *handle, const vgpu_token *token,
				    vgpu_allocation *info)
{
	struct allocation *a;
	uint64_t bytes;
	CUresult r;
	int fd;

	(void)rq;
	if (!cu.cuMemImportFromShareableHandle || !cu.cuMemRelease)
		return CUDA_ERROR_NOT_SUPPORTED;
	a = calloc(1, sizeof(*a));
	if (!a)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = vg_exec_take(x, VG_TOKEN_ALLOCATION, token, &bytes, &a->props, sizeof(a->props), &fd);
	if (r) {
		free(a);
		return r;
	}
	r = cu.cuMemImportFromShareableHandle(&a->handle, (void *)(uintptr_t)fd,
					      CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR);
	close(fd);
	if (r) {
		vg_exec_leave(x, token);
		free(a);
		return r;
	}
	a->taken = true;
	a->token = *token;
	*info = a->props;
	*handle = (uintptr_t)a;
	return CUDA_SUCCESS;
}

static void put(struct vg_exec *x, struct allocation *a)
{
	if (!a->released || a->maps)
		return;
	if (a->taken)
		vg_exec_leave(x, &a->token);
	if (a->offered)
		vg_exec_withdraw(x, &a->token);
	vg_exec_uncharge(x, a->bytes);
	free(a);
}

CUresult vge_vgpu_mem_release(struct vg_exec *x, const struct vg_req *rq,
			      CUmemGenericAllocationHandle handle)
{
	struct allocation *a = allocation_of(handle);
	CUresult r;

	(void)rq;
	if (!cu.cuMemRelease)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = cu.cuMemRelease(a->handle);
	/* The id is gone, and with it any way to try again: what failed stays charged. */
	if (r)
		return r;
	a->released = true;
	put(x, a);
	return CUDA_SUCCESS;
}

/* The first mapping that ends beyond va. */
static size_t after(uint64_t va)
{
	size_t lo = 0, hi = count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (mappings[mid].va + mappings[mid].bytes <= va)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool make_room(void)
{
	size_t more = room ? room * 2 : 256;
	struct mapping *p;

	if (count < room)
		return true;
	p = realloc(mappings, more * sizeof(*p));
	if (!p)
		return false;
	mappings = p;
	room = more;
	return true;
}

CUresult vge_cuMemMap(struct vg_exec *x, const struct vg_req *rq, CUdeviceptr ptr, size_t size,
		      size_t offset, CUmemGenericAllocationHandle handle, unsigned long long flags)
{
	struct allocation *a = allocation_of(handle);
	uint64_t end;
	CUresult r;
	size_t i;

	(void)x;
	(void)rq;
	if (!cu.cuMemMap || !cu.cuMemUnmap)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!size || __builtin_add_overflow(ptr, size, &end))
		return CUDA_ERROR_INVALID_VALUE;
	if (!make_room())
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = cu.cuMemMap(ptr, size, offset, a->handle, flags);
	if (r)
		return r;
	i = after(ptr);
	memmove(mappings + i + 1, mappings + i, (count - i) * sizeof(*mappings));
	mappings[i] = (struct mapping){ ptr, size, a };
	count++;
	a->maps++;
	return CUDA_SUCCESS;
}

CUresult vge_cuMemUnmap(struct vg_exec *x, const struct vg_req *rq, CUdeviceptr ptr, size_t size)
{
	size_t first = after(ptr), n = 0;
	uint64_t at = ptr, end;
	CUresult r;

	(void)rq;
	if (!cu.cuMemUnmap)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!size || __builtin_add_overflow(ptr, size, &end))
		return CUDA_ERROR_INVALID_VALUE;
	/* Whole mappings, one after the other without a gap. */
	while (at < end && first + n < count && mappings[first + n].va == at)
		at += mappings[first + n++].bytes;
	if (at != end)
		return CUDA_ERROR_INVALID_VALUE;
	r = cu.cuMemUnmap(ptr, size);
	if (r)
		return r;
	for (size_t i = first; i < first + n; i++) {
		mappings[i].allocation->maps--;
		put(x, mappings[i].allocation);
	}
	memmove(mappings + first, mappings + first + n, (count - first - n) * sizeof(*mappings));
	count -= n;
	return CUDA_SUCCESS;
}

CUresult vge_cuMemSetAccess(struct vg_exec *x, const struct vg_req *rq, CUdeviceptr ptr,
			    size_t size, const CUmemAccessDesc *desc, size_t n)
{
	(void)x;
	(void)rq;
	if (!cu.cuMemSetAccess)
		return CUDA_ERROR_NOT_SUPPORTED;
	/* The guest's processors cannot reach it, and this process need not. */
	for (size_t i = 0; i < n; i++)
		if (desc[i].location.type != CU_MEM_LOCATION_TYPE_DEVICE)
			return CUDA_ERROR_NOT_SUPPORTED;
	return cu.cuMemSetAccess(ptr, size, desc, n);
}
