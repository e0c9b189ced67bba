// SPDX-License-Identifier: Apache-2.0
/* What a guest learns of the driver and of each device, in one answer. */
#include <string.h>

#include "calls.h"
#include "vg_cuda.h"

CUresult vge_vgpu_driver(struct vg_exec *x, const struct vg_req *rq, vgpu_driver_info *info)
{
	CUresult r;

	(void)x;
	(void)rq;
	if (!cu.cuDriverGetVersion || !cu.cuDeviceGetCount)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = cu.cuDriverGetVersion(&info->version);
	return r ? r : cu.cuDeviceGetCount(&info->devices);
}

CUresult vge_vgpu_device(struct vg_exec *x, const struct vg_req *rq, int ordinal,
			 vgpu_device_info *info)
{
	uint64_t used, limit;
	size_t total = 0;
	CUdevice dev;
	CUresult r;

	(void)rq;
	if (!cu.cuDeviceGet || !cu.cuDeviceGetName || !cu.cuDeviceTotalMem_v2 ||
	    !cu.cuDeviceGetAttribute)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = cu.cuDeviceGet(&dev, ordinal);
	if (!r)
		r = cu.cuDeviceGetName(info->name, sizeof(info->name), dev);
	if (!r)
		r = cu.cuDeviceTotalMem_v2(&total, dev);
	if (!r && cu.cuDeviceGetUuid_v2)
		r = cu.cuDeviceGetUuid_v2(&info->uuid, dev);
	else if (!r && cu.cuDeviceGetUuid)
		r = cu.cuDeviceGetUuid(&info->uuid, dev);
	if (r)
		return r;
	vg_exec_memory(x, &used, &limit);
	info->total = limit && limit < total ? limit : total;
	/* The driver refuses the numbers that it does not know. */
	for (int a = 1; a < VG_ATTRIBUTES; a++)
		info->known[a] = !cu.cuDeviceGetAttribute(&info->attribute[a], a, dev);
	info->pci_domain = info->attribute[CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID];
	info->pci_bus = info->attribute[CU_DEVICE_ATTRIBUTE_PCI_BUS_ID];
	info->pci_device = info->attribute[CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID];
	return CUDA_SUCCESS;
}
