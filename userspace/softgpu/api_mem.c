// SPDX-License-Identifier: Apache-2.0
/* Memory: device, host, managed, and what a pointer is. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "api.h"

SG_API CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *total)
{
	SG_ENTER(ctx);
	if (!free_bytes || !total)
		return CUDA_ERROR_INVALID_VALUE;
	*total = ctx->dev->heap.total;
	*free_bytes = *total - sg_heap_used(&ctx->dev->heap);
	return CUDA_SUCCESS;
}

SG_API CUresult cuMemAlloc_v2(CUdeviceptr *dptr, size_t size)
{
	uint64_t addr;
	CUresult rc;

	SG_ENTER(ctx);
	if (!dptr || !size)
		return CUDA_ERROR_INVALID_VALUE;
	rc = sg_heap_alloc(&ctx->dev->heap, size, 512, RG_DEVICE, ctx, &addr);
	if (!rc)
		*dptr = addr;
	return rc;
}

SG_API CUresult cuMemAllocPitch_v2(CUdeviceptr *dptr, size_t *pitch, size_t width, size_t height,
				   unsigned int element)
{
	size_t p;

	if (!dptr || !pitch || !width || !height)
		return CUDA_ERROR_INVALID_VALUE;
	if (element != 4 && element != 8 && element != 16)
		return CUDA_ERROR_INVALID_VALUE;
	p = (width + 511) & ~(size_t)511;
	if (p < width || height > SIZE_MAX / p)
		return CUDA_ERROR_INVALID_VALUE;
	*pitch = p;
	return cuMemAlloc_v2(dptr, p * height);
}

CUresult sg_free_device(CUcontext ctx, CUdeviceptr p)
{
	struct sg_range r;
	struct sg_device *dev;
	CUresult rc;

	if (!sg_range_find(p, &r) || r.addr != p)
		return CUDA_ERROR_INVALID_VALUE;
	if (r.kind == RG_MANAGED) {
		if (!sg_range_remove(p, &r))
			return CUDA_ERROR_INVALID_VALUE;
		sg_host_free(&r);
		return CUDA_SUCCESS;
	}
	if (r.kind == RG_GRAPH)
		return sg_graph_alloc_free(p);
	if (r.kind != RG_DEVICE && r.kind != RG_POOL)
		return CUDA_ERROR_INVALID_VALUE;
	dev = sg_device(r.device);
	rc = sg_heap_free(&dev->heap, p);
	/* Only who has freed the block knows that it held its pool until now. */
	if (!rc && r.kind == RG_POOL) {
		CUmemoryPool pool = r.owner;

		pthread_mutex_lock(&dev->lock);
		pool->used -= r.size;
		pool->reserved -= r.size;
		pthread_mutex_unlock(&dev->lock);
		sg_pool_put(pool);
	}
	(void)ctx;
	return rc;
}

/* Frees only when nothing in flight can still use the memory. */
SG_API CUresult cuMemFree_v2(CUdeviceptr dptr)
{
	struct sg_range r;

	SG_ENTER(ctx);
	if (!dptr)
		return CUDA_SUCCESS;
	if (!sg_range_find(dptr, &r) || r.addr != dptr ||
	    (r.kind == RG_POOL && sg_pool_freed(dptr)))
		return CUDA_ERROR_INVALID_VALUE;
	sg_context_wait(ctx);
	if (r.owner != ctx && r.kind != RG_POOL && r.kind != RG_GRAPH && sg_context_check(r.owner))
		sg_context_wait(r.owner);
	if (ctx->dev->error)
		return atomic_load(&ctx->dev->error);
	return sg_free_device(ctx, dptr);
}

SG_API CUresult cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *size, CUdeviceptr dptr)
{
	struct sg_range r;

	SG_ENTER(ctx);
	(void)ctx;
	if (!sg_range_find(dptr, &r) || r.kind == RG_INTERNAL || r.kind == RG_MALLOC)
		return CUDA_ERROR_NOT_FOUND;
	if (base)
		*base = r.addr;
	if (size)
		*size = r.size;
	return CUDA_SUCCESS;
}

/* Whole pages, so that none of it holds what the process has freed: as on a GPU, it reads as zero. */
static void *host_pages(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

void sg_host_free(const struct sg_range *r)
{
	munmap((void *)(uintptr_t)r->addr, r->size);
}

static CUresult host_alloc(CUcontext ctx, size_t size, enum sg_range_kind kind, unsigned int flags,
			   void **out)
{
	struct sg_range r = { .size = size, .kind = kind, .flags = flags, .owner = ctx,
			      .device = ctx->dev->index };
	void *p;
	CUresult rc;

	if (!size)
		return CUDA_ERROR_INVALID_VALUE;
	p = host_pages(size);
	if (!p)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r.addr = (uint64_t)(uintptr_t)p;
	rc = sg_range_add(&r);
	if (rc) {
		sg_host_free(&r);
		return rc;
	}
	*out = p;
	return CUDA_SUCCESS;
}

SG_API CUresult cuMemHostAlloc(void **pp, size_t size, unsigned int flags)
{
	SG_ENTER(ctx);
	if (!pp || flags & ~(CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP |
			     CU_MEMHOSTALLOC_WRITECOMBINED))
		return CUDA_ERROR_INVALID_VALUE;
	/* with unified addressing all of it is mapped and portable */
	return host_alloc(ctx, size, RG_HOST, flags | CU_MEMHOSTALLOC_DEVICEMAP |
			  CU_MEMHOSTALLOC_PORTABLE, pp);
}

SG_API CUresult cuMemAllocHost_v2(void **pp, size_t size)
{
	return cuMemHostAlloc(pp, size, 0);
}

SG_API CUresult cuMemFreeHost(void *p)
{
	struct sg_range r;

	SG_ENTER(ctx);
	if (!p)
		return CUDA_SUCCESS;
	if (!sg_range_find((uint64_t)(uintptr_t)p, &r) || r.addr != (uint64_t)(uintptr_t)p ||
	    r.kind != RG_HOST)
		return CUDA_ERROR_INVALID_VALUE;
	sg_context_wait(ctx);
	if (!sg_range_remove(r.addr, &r))
		return CUDA_ERROR_INVALID_VALUE;
	sg_host_free(&r);
	return CUDA_SUCCESS;
}

SG_API CUresult cuMemAllocManaged(CUdeviceptr *dptr, size_t size, unsigned int flags)
{
	void *p;
	CUresult rc;

	SG_ENTER(ctx);
	if (!dptr || (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST))
		return CUDA_ERROR_INVALID_VALUE;
	rc = host_alloc(ctx, size, RG_MANAGED, flags, &p);
	if (!rc)
		*dptr = (CUdeviceptr)(uintptr_t)p;
	return rc;
}

SG_API CUresult cuMemHostRegister_v2(void *p, size_t size, unsigned int flags)
{
	struct sg_range r = { .addr = (uint64_t)(uintptr_t)p, .size = size, .kind = RG_REGISTERED,
			      .flags = flags };

	SG_ENTER(ctx);
	if (!p || !size || flags & ~(CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP |
				     CU_MEMHOSTREGISTER_IOMEMORY | CU_MEMHOSTREGISTER_READ_ONLY))
		return CUDA_ERROR_INVALID_VALUE;
	if (flags & CU_MEMHOSTREGISTER_IOMEMORY)
		return CUDA_ERROR_NOT_SUPPORTED;
	r.owner = ctx;
	r.device = ctx->dev->index;
	r.read_only = flags & CU_MEMHOSTREGISTER_READ_ONLY;
	return sg_range_add(&r);
}

SG_API CUresult cuMemHostUnregister(void *p)
{
	struct sg_range r;

	SG_ENTER(ctx);
	if (!sg_range_find((uint64_t)(uintptr_t)p, &r) || r.addr != (uint64_t)(uintptr_t)p ||
	    r.kind != RG_REGISTERED)
		return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
	sg_context_wait(ctx);
	return sg_range_remove(r.addr, &r) ? CUDA_SUCCESS : CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
}

static bool host_range(const void *p, struct sg_range *r)
{
	return sg_range_find((uint64_t)(uintptr_t)p, r) &&
	       (r->kind == RG_HOST || r->kind == RG_REGISTERED || r->kind == RG_MANAGED);
}

SG_API CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr *dptr, void *p, unsigned int flags)
{
	struct sg_range r;

	SG_ENTER(ctx);
	(void)ctx;
	if (!dptr || flags || !host_range(p, &r))
		return CUDA_ERROR_INVALID_VALUE;
	*dptr = (CUdeviceptr)(uintptr_t)p;
	return CUDA_SUCCESS;
}

SG_API CUresult cuMemHostGetFlags(unsigned int *flags, void *p)
{
	struct sg_range r;

	SG_ENTER(ctx);
	(void)ctx;
	if (!flags || !host_range(p, &r) || r.kind == RG_MANAGED)
		return CUDA_ERROR_INVALID_VALUE;
	*flags = r.flags;
	return CUDA_SUCCESS;
}

/* Managed memory is host memory that both sides use in place: there is nothing to move. */

static CUresult managed_range(CUdeviceptr p, size_t n)
{
	struct sg_range r;

	if (!sg_range_find(p, &r) || r.kind != RG_MANAGED || n > r.size - (p - r.addr))
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

SG_API CUresult cuMemAdvise_v2(CUdeviceptr p, size_t n, CUmem_advise advice, CUmemLocation where)
{
	SG_ENTER(ctx);
	(void)ctx;
	(void)where;
	if (advice < CU_MEM_ADVISE_SET_READ_MOSTLY || advice > CU_MEM_ADVISE_UNSET_ACCESSED_BY)
		return CUDA_ERROR_INVALID_VALUE;
	return managed_range(p, n);
}

SG_API CUresult cuMemAdvise(CUdeviceptr p, size_t n, CUmem_advise advice, CUdevice device)
{
	CUmemLocation where = { 0 };

	(void)device;
	return cuMemAdvise_v2(p, n, advice, where);
}

SG_API CUresult cuMemPrefetchAsync_v2(CUdeviceptr p, size_t n, CUmemLocation where,
				      unsigned int flags, CUstream stream)
{
	CUstream s;
	CUresult rc;

	SG_ENTER(ctx);
	(void)where;
	if (flags)
		return CUDA_ERROR_INVALID_VALUE;
	rc = sg_stream_get(ctx, stream, &s);
	if (rc)
		return rc;
	sg_stream_put(s);
	return managed_range(p, n);
}

SG_API CUresult cuMemPrefetchAsync(CUdeviceptr p, size_t n, CUdevice device, CUstream stream)
{
	CUmemLocation where = { 0 };

	(void)device;
	return cuMemPrefetchAsync_v2(p, n, where, 0, stream);
}

SG_API CUresult cuStreamAttachMemAsync(CUstream stream, CUdeviceptr p, size_t n, unsigned int flags)
{
	struct sg_range r;
	CUstream s;
	CUresult rc;

	SG_ENTER(ctx);
	if (!sg_range_find(p, &r) || r.kind != RG_MANAGED || r.addr != p || (n && n != r.size) ||
	    !(flags & (CU_MEM_ATTACH_GLOBAL | CU_MEM_ATTACH_HOST | CU_MEM_ATTACH_SINGLE)))
		return CUDA_ERROR_INVALID_VALUE;
	rc = sg_stream_get(ctx, stream, &s);
	if (!rc)
		sg_stream_put(s);
	return rc;
}

/* Pointer attributes */

#define PUT(T, v) (*(T *)data = (v))

static CUresult attribute(void *data, CUpointer_attribute attr, CUdeviceptr ptr,
			  const struct sg_range *r)
{
	bool host = r->kind == RG_HOST || r->kind == RG_REGISTERED || r->kind == RG_MANAGED;
	bool pool = r->kind == RG_POOL;

	switch (attr) {
	case CU_POINTER_ATTRIBUTE_CONTEXT:
		PUT(CUcontext, pool ? NULL : r->owner);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
		PUT(unsigned int, r->kind == RG_HOST || r->kind == RG_REGISTERED ?
		    CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
		PUT(CUdeviceptr, ptr);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_HOST_POINTER:
		if (!host)
			return CUDA_ERROR_INVALID_VALUE;
		PUT(void *, (void *)(uintptr_t)ptr);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
		PUT(unsigned int, 1);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_BUFFER_ID:
	case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
		PUT(unsigned long long, r->id);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_IS_MANAGED:
		PUT(unsigned int, r->kind == RG_MANAGED);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
		PUT(int, r->device);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
		PUT(unsigned char, r->kind == RG_DEVICE && sg_device(r->device)->heap.fd >= 0);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
	case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE:
		PUT(unsigned char, 0);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
	case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR:
		PUT(CUdeviceptr, r->addr);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
	case CU_POINTER_ATTRIBUTE_MAPPING_SIZE:
		PUT(size_t, r->size);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_MAPPED:
		PUT(unsigned char, 1);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
		PUT(unsigned long long, r->kind == RG_MAPPED ? r->flags : 0);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
		PUT(int, r->read_only ? CU_POINTER_ATTRIBUTE_ACCESS_FLAG_READ :
		    CU_POINTER_ATTRIBUTE_ACCESS_FLAG_READWRITE);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
		PUT(CUmemoryPool, pool ? r->owner : NULL);
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_NOT_SUPPORTED;
	}
}

static bool known_pointer(CUdeviceptr ptr, struct sg_range *r)
{
	return sg_range_find(ptr, r) && r->kind != RG_INTERNAL && r->kind != RG_MALLOC;
}

SG_API CUresult cuPointerGetAttribute(void *data, CUpointer_attribute attr, CUdeviceptr ptr)
{
	struct sg_range r;

	SG_NEED_INIT();
	if (!data)
		return CUDA_ERROR_INVALID_VALUE;
	if (!known_pointer(ptr, &r))
		return CUDA_ERROR_INVALID_VALUE;
	return attribute(data, attr, ptr, &r);
}

/* Of an unknown pointer every attribute is empty, which is no error here. */
static void attribute_of_nothing(void *data, CUpointer_attribute attr)
{
	switch (attr) {
	case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
	case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
	case CU_POINTER_ATTRIBUTE_IS_MANAGED:
	case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
		PUT(unsigned int, 0);
		break;
	case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
		PUT(int, -2);
		break;
	case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
	case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
	case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE:
	case CU_POINTER_ATTRIBUTE_MAPPED:
		PUT(unsigned char, 0);
		break;
	default:
		PUT(uint64_t, 0);
		break;
	}
}

SG_API CUresult cuPointerGetAttributes(unsigned int n, CUpointer_attribute *attrs, void **data,
				       CUdeviceptr ptr)
{
	struct sg_range r;
	bool known;

	SG_NEED_INIT();
	if (!n || !attrs || !data)
		return CUDA_ERROR_INVALID_VALUE;
	known = known_pointer(ptr, &r);
	for (unsigned int i = 0; i < n; i++) {
		CUresult rc = CUDA_ERROR_INVALID_VALUE;

		if (!data[i])
			return CUDA_ERROR_INVALID_VALUE;
		if (known)
			rc = attribute(data[i], attrs[i], ptr, &r);
		if (rc == CUDA_ERROR_NOT_SUPPORTED)
			return rc;
		if (rc)
			attribute_of_nothing(data[i], attrs[i]);
	}
	return CUDA_SUCCESS;
}
