// SPDX-License-Identifier: Apache-2.0
/*
 * Virtual memory management.  Memory counts against the vGPU until it has been
 * released and nothing maps it any more, so what maps what is remembered here.
 * What comes from another process has been charged there.  The budget for objects
 * (budget.h) bounds how many ranges are reserved or mapped.
 * All of this runs on the ring's own thread.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "budget.h"
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

struct range {
	uint64_t va, bytes;
	struct allocation *allocation;	/* of a mapping */
};

/* By va; none overlap. */
struct ranges {
	struct range *range;
	size_t count, room;
};

static struct ranges mappings, reservations;

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
	/* What failed stays charged, whether or not it can be tried again. */
	if (r)
		return r;
	a->released = true;
	put(x, a);
	return CUDA_SUCCESS;
}

/* The first range that ends beyond va. */
static size_t after(const struct ranges *all, uint64_t va)
{
	size_t lo = 0, hi = all->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (all->range[mid].va + all->range[mid].bytes <= va)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Room for one more, in the list and in the budget. */
static bool make_room(struct ranges *all)
{
	size_t more = all->room ? all->room * 2 : 256;
	struct range *p;

	if (all->count == all->room) {
		p = realloc(all->range, more * sizeof(*p));
		if (!p)
			return false;
		all->range = p;
		all->room = more;
	}
	return vg_budget_take(VG_BUDGET_OBJECTS, VG_RANGE_BYTES);
}

/* The driver has refused what there was room for. */
static void need_no_room(void)
{
	vg_budget_give(VG_BUDGET_OBJECTS, VG_RANGE_BYTES);
}

static void insert(struct ranges *all, struct range new)
{
	size_t i = after(all, new.va);

	memmove(all->range + i + 1, all->range + i, (all->count - i) * sizeof(new));
	all->range[i] = new;
	all->count++;
}

static void drop(struct ranges *all, size_t first, size_t n)
{
	memmove(all->range + first, all->range + first + n,
		(all->count - first - n) * sizeof(*all->range));
	all->count -= n;
	vg_budget_give(VG_BUDGET_OBJECTS, n * VG_RANGE_BYTES);
}

CUresult vge_cuMemAddressReserve(struct vg_exec *x, const struct vg_req *rq, CUdeviceptr *ptr,
				 size_t size, size_t alignment, CUdeviceptr addr,
				 unsigned long long flags)
{
	CUresult r;

	(void)x;
	(void)rq;
	if (!cu.cuMemAddressReserve || !cu.cuMemAddressFree)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!make_room(&reservations))
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = cu.cuMemAddressReserve(ptr, size, alignment, addr, flags);
	if (r)
		need_no_room();
	else
		insert(&reservations, (struct range){ .va = *ptr, .bytes = size });
	return r;
}

CUresult vge_cuMemAddressFree(struct vg_exec *x, const struct vg_req *rq, CUdeviceptr ptr,
			      size_t size)
{
	CUresult r;
	size_t i;

	(void)x;
	(void)rq;
	if (!cu.cuMemAddressFree)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = cu.cuMemAddressFree(ptr, size);
	i = after(&reservations, ptr);
	if (!r && i < reservations.count && reservations.range[i].va == ptr)
		drop(&reservations, i, 1);
	return r;
}

CUresult vge_cuMemMap(struct vg_exec *x, const struct vg_req *rq, CUdeviceptr ptr, size_t size,
		      size_t offset, CUmemGenericAllocationHandle handle, unsigned long long flags)
{
	struct allocation *a = allocation_of(handle);
	uint64_t end;
	CUresult r;

	(void)x;
	(void)rq;
	if (!cu.cuMemMap || !cu.cuMemUnmap)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!size)
		return CUDA_ERROR_INVALID_VALUE;
	/* What the driver answers to a wrong address, and to a size that is not the allocation's. */
	if (__builtin_add_overflow(ptr, size, &end))
		return size == a->bytes ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_NOT_SUPPORTED;
	if (!make_room(&mappings))
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = cu.cuMemMap(ptr, size, offset, a->handle, flags);
	if (r) {
		need_no_room();
		return r;
	}
	insert(&mappings, (struct range){ ptr, size, a });
	a->maps++;
	return CUDA_SUCCESS;
}

CUresult vge_cuMemUnmap(struct vg_exec *x, const struct vg_req *rq, CUdeviceptr ptr, size_t size)
{
	size_t first = after(&mappings, ptr), n = 0;
	struct range *range = mappings.range + first;
	uint64_t at = ptr, end;
	CUresult r;

	(void)rq;
	if (!cu.cuMemUnmap)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!size || __builtin_add_overflow(ptr, size, &end))
		return CUDA_ERROR_INVALID_VALUE;
	/* Whole mappings, one after the other without a gap. */
	while (at < end && first + n < mappings.count && range[n].va == at)
		at += range[n++].bytes;
	if (at != end)
		return CUDA_ERROR_INVALID_VALUE;
	r = cu.cuMemUnmap(ptr, size);
	if (r)
		return r;
	for (size_t i = 0; i < n; i++) {
		range[i].allocation->maps--;
		put(x, range[i].allocation);
	}
	drop(&mappings, first, n);
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
