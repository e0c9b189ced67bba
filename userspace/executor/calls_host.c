// SPDX-License-Identifier: Apache-2.0
/*
 * Memory of the guest process as the driver knows it: registered, so that the
 * device reaches it at the address that it has in the guest.  Only what is
 * mapped here on the guest's behalf is ever given to the driver.
 */
#include "calls.h"
#include "vg_cuda.h"

CUresult vge_vgpu_host_register(struct vg_exec *x, const struct vg_req *rq, uint64_t va,
				uint64_t bytes, unsigned int flags, CUdeviceptr *dptr)
{
	const unsigned int known = CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP |
				   CU_MEMHOSTREGISTER_READ_ONLY;

	CUresult r;

	(void)rq;
	if (!cu.cuMemHostRegister_v2 || !cu.cuMemHostUnregister || !cu.cuMemHostGetDevicePointer_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!bytes || flags & ~known || !vg_exec_shared(x, va, bytes))
		return CUDA_ERROR_INVALID_VALUE;
	r = cu.cuMemHostRegister_v2((void *)(uintptr_t)va, bytes, flags);
	if (r)
		return r;
	/* Unified addressing promises the same address: without it, no sharing. */
	r = cu.cuMemHostGetDevicePointer_v2(dptr, (void *)(uintptr_t)va, 0);
	if (!r && *dptr != va)
		r = CUDA_ERROR_NOT_SUPPORTED;
	if (r)
		cu.cuMemHostUnregister((void *)(uintptr_t)va);
	return r;
}

CUresult vge_vgpu_host_unregister(struct vg_exec *x, const struct vg_req *rq, uint64_t va)
{
	(void)rq;
	if (!cu.cuMemHostUnregister)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!vg_exec_shared(x, va, 1))
		return CUDA_ERROR_INVALID_VALUE;
	return cu.cuMemHostUnregister((void *)(uintptr_t)va);
}

CUresult vge_vgpu_copy_in(struct vg_exec *x, const struct vg_req *rq, CUdeviceptr dst, uint64_t va,
			  uint64_t bytes, CUstream s)
{
	CUresult r;

	(void)rq;
	if (!cu.cuMemcpyHtoDAsync_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!vg_exec_shared(x, va, bytes))
		return CUDA_ERROR_INVALID_VALUE;
	r = cu.cuMemcpyHtoDAsync_v2(dst, (const void *)(uintptr_t)va, bytes, s);
	if (!r)
		vg_exec_moved(x, bytes, 0);
	return r;
}

CUresult vge_vgpu_copy_out(struct vg_exec *x, const struct vg_req *rq, uint64_t va, CUdeviceptr src,
			   uint64_t bytes, CUstream s)
{
	CUresult r;

	(void)rq;
	if (!cu.cuMemcpyDtoHAsync_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!vg_exec_shared(x, va, bytes))
		return CUDA_ERROR_INVALID_VALUE;
	r = cu.cuMemcpyDtoHAsync_v2((void *)(uintptr_t)va, src, bytes, s);
	if (!r)
		vg_exec_moved(x, 0, bytes);
	return r;
}
