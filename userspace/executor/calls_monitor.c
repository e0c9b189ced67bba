// SPDX-License-Identifier: Apache-2.0
/* What a vGPU has of a device, and who of it uses the device. */
#include "calls.h"
#include "vg_cuda.h"

CUresult vge_vgpu_memory(struct vg_exec *x, const struct vg_req *rq, int ordinal, vgpu_memory *now)
{
	uint64_t limit;
	size_t total = 0;
	CUdevice dev;
	CUresult r;

	(void)rq;
	if (!cu.cuDeviceGet || !cu.cuDeviceTotalMem_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = cu.cuDeviceGet(&dev, ordinal);
	if (!r)
		r = cu.cuDeviceTotalMem_v2(&total, dev);
	if (r)
		return r;
	vg_exec_memory(x, &now->used, &limit);
	now->total = limit && limit < total ? limit : total;
	if (now->used > now->total)
		now->used = now->total;
	return CUDA_SUCCESS;
}

CUresult vge_vgpu_processes(struct vg_exec *x, const struct vg_req *rq, int ordinal,
			    vgpu_processes *list)
{
	CUdevice dev;
	CUresult r;

	(void)rq;
	if (!cu.cuDeviceGet)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = cu.cuDeviceGet(&dev, ordinal);
	if (r)
		return r;
	list->count = vg_exec_processes(x, dev, list->pid, list->memory, VG_PROCESSES_MAX);
	return CUDA_SUCCESS;
}
