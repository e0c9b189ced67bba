// SPDX-License-Identifier: Apache-2.0
/* Memory pools.  Their memory is charged when it is handed out, so they keep none of it. */
#include "calls.h"
#include "vg_cuda.h"

/* In a capture nothing is allocated but a node is made, whose launches are charged. */
static bool captured(CUstream s)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;

	return s && cu.cuStreamIsCapturing && !cu.cuStreamIsCapturing(s, &status) &&
	       status != CU_STREAM_CAPTURE_STATUS_NONE;
}

static CUresult keep_node(CUresult r, CUdeviceptr p, uint32_t ctx)
{
	if (!r && !vg_x_allocated_by_graph(p, ctx))
		r = CUDA_ERROR_OUT_OF_MEMORY;
	return r;
}

static CUresult keep(struct vg_exec *x, CUresult r, CUdeviceptr p, uint64_t bytes, uint32_t ctx,
		     CUstream s)
{
	if (!r && !vg_x_allocated(p, bytes, ctx)) {
		cu.cuMemFreeAsync(p, s);
		r = CUDA_ERROR_OUT_OF_MEMORY;
	}
	if (r)
		vg_exec_uncharge(x, bytes);
	return r;
}

CUresult vge_cuMemAllocAsync(struct vg_exec *x, const struct vg_req *rq, CUdeviceptr *dptr,
			     size_t bytes, CUstream s)
{
	CUresult r;

	if (!cu.cuMemAllocAsync || !cu.cuMemFreeAsync)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (captured(s)) {
		vg_x_graph_memory();
		r = cu.cuMemAllocAsync(dptr, bytes, s);
		return keep_node(r, *dptr, rq->ctx);
	}
	if (!vg_exec_charge(x, bytes))
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = cu.cuMemAllocAsync(dptr, bytes, s);
	return keep(x, r, *dptr, bytes, rq->ctx, s);
}

CUresult vge_cuMemAllocFromPoolAsync(struct vg_exec *x, const struct vg_req *rq, CUdeviceptr *dptr,
				     size_t bytes, CUmemoryPool pool, CUstream s)
{
	CUresult r;

	if (!cu.cuMemAllocFromPoolAsync || !cu.cuMemFreeAsync)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (captured(s)) {
		vg_x_graph_memory();
		r = cu.cuMemAllocFromPoolAsync(dptr, bytes, pool, s);
		return keep_node(r, *dptr, rq->ctx);
	}
	if (!vg_exec_charge(x, bytes))
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = cu.cuMemAllocFromPoolAsync(dptr, bytes, pool, s);
	return keep(x, r, *dptr, bytes, rq->ctx, s);
}

CUresult vge_cuMemFreeAsync(struct vg_exec *x, const struct vg_req *rq, CUdeviceptr dptr, CUstream s)
{
	struct vg_x_freed a;
	CUresult r;

	(void)rq;
	if (!cu.cuMemFreeAsync)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!vg_x_freed(dptr, &a))
		return CUDA_ERROR_INVALID_VALUE;
	r = vg_x_freed_or_not(cu.cuMemFreeAsync(dptr, s), &a);
	if (!r) {
		vg_x_unshare(x, VG_TOKEN_MEMORY, dptr);
		vg_x_unshare(x, VG_TOKEN_POINTER, dptr);
		vg_exec_uncharge(x, a.bytes);
	}
	return r;
}

CUresult vge_vgpu_pool_create(struct vg_exec *x, const struct vg_req *rq, CUmemoryPool *pool,
			      CUdevice dev, size_t most, unsigned int usage, unsigned int types)
{
	CUmemPoolProps props = {
		.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
		.location = { .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = dev },
		.maxSize = most, .usage = usage, .handleTypes = types,
	};

	(void)x;
	(void)rq;
	if (types & ~CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
		return CUDA_ERROR_NOT_SUPPORTED;
	return cu.cuMemPoolCreate ? cu.cuMemPoolCreate(pool, &props) : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult vge_vgpu_pool_default(struct vg_exec *x, const struct vg_req *rq, CUdevice dev,
			       CUmemoryPool *pool)
{
	(void)x;
	(void)rq;
	if (!cu.cuDeviceGetDefaultMemPool)
		return CUDA_ERROR_NOT_SUPPORTED;
	return cu.cuDeviceGetDefaultMemPool(pool, dev);
}

static bool is_int(CUmemPool_attribute a)
{
	return a == CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES ||
	       a == CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC ||
	       a == CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES;
}

static bool is_counter(CUmemPool_attribute a)
{
	return a == CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT || a == CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH ||
	       a == CU_MEMPOOL_ATTR_USED_MEM_CURRENT || a == CU_MEMPOOL_ATTR_USED_MEM_HIGH;
}

CUresult vge_vgpu_pool_set(struct vg_exec *x, const struct vg_req *rq, CUmemoryPool pool,
			   CUmemPool_attribute a, uint64_t value)
{
	cuuint64_t wide = value;
	int narrow = (int)value;

	(void)x;
	(void)rq;
	if (!cu.cuMemPoolSetAttribute)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (is_int(a))
		return cu.cuMemPoolSetAttribute(pool, a, &narrow);
	if (is_counter(a))
		return cu.cuMemPoolSetAttribute(pool, a, &wide);
	return CUDA_ERROR_INVALID_VALUE;
}

CUresult vge_vgpu_pool_get(struct vg_exec *x, const struct vg_req *rq, CUmemoryPool pool,
			   CUmemPool_attribute a, uint64_t *value)
{
	cuuint64_t wide = 0;
	int narrow = 0;
	CUresult r;

	(void)x;
	(void)rq;
	if (!cu.cuMemPoolGetAttribute)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!is_int(a) && !is_counter(a))
		return CUDA_ERROR_INVALID_VALUE;
	r = cu.cuMemPoolGetAttribute(pool, a, is_int(a) ? (void *)&narrow : (void *)&wide);
	*value = is_int(a) ? (uint64_t)narrow : wide;
	return r;
}
