// SPDX-License-Identifier: Apache-2.0
/* Start-up and devices: everything about a device is fetched once, at cuInit(). */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "settings.h"
#include "launch.h"
#include "shim.h"
#include "shim_calls.h"
#include "visible.h"

struct vg_device vg_devices[VG_DEVICES_MAX];
int vg_device_count;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* cuInit() */
static int host_version;

/* Abilities that the hardware has and this driver does not offer. */
static const CUdevice_attribute withheld[] = {
	CU_DEVICE_ATTRIBUTE_DIRECT_MANAGED_MEM_ACCESS_FROM_HOST,
	CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS,
	CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS_USES_HOST_PAGE_TABLES,
	CU_DEVICE_ATTRIBUTE_HOST_NATIVE_ATOMIC_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_READ_ONLY_HOST_REGISTER_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WITH_CUDA_VMM_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_DMA_BUF_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_COOPERATIVE_MULTI_DEVICE_LAUNCH,
	CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_FABRIC_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_MULTICAST_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_SPARSE_CUDA_ARRAY_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_DEFERRED_MAPPING_CUDA_ARRAY_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_TIMELINE_SEMAPHORE_INTEROP_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_MEM_DECOMPRESS_ALGORITHM_MASK,
	CU_DEVICE_ATTRIBUTE_HOST_NUMA_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_HOST_NUMA_MEMORY_POOLS_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_HOST_NUMA_MULTINODE_IPC_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_HOST_MEMORY_POOLS_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_HOST_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_HOST_ALLOC_DMA_BUF_SUPPORTED,
};

int vg_driver_version(void)
{
	return host_version && host_version < CUDA_VERSION ? host_version : CUDA_VERSION;
}

struct vg_device *vg_device(CUdevice dev)
{
	return dev >= 0 && dev < vg_device_count ? &vg_devices[dev] : NULL;
}

/* Ask the executor for its devices. */
static CUresult find(void)
{
	struct vgpu_driver_info info;
	CUresult r = vgw_vgpu_driver(&info);

	if (r)
		return r;
	if (info.devices < 1)
		return CUDA_ERROR_NO_DEVICE;
	host_version = info.version;
	vg_device_count = info.devices < VG_DEVICES_MAX ? info.devices : VG_DEVICES_MAX;
	for (int i = 0; i < vg_device_count && !r; i++)
		r = vgw_vgpu_device(i, &vg_devices[i].info);
	return r;
}

/* Whether the devices are these, in this order. */
static bool are(const CUuuid *uuids, const int *which, int count)
{
	if (vg_device_count != count)
		return false;
	for (int i = 0; i < count; i++)
		if (memcmp(&vg_devices[i].info.uuid, &uuids[which[i]], sizeof(CUuuid)))
			return false;
	return true;
}

/*
 * What CUDA_VISIBLE_DEVICES makes of the devices.  The executor numbers them as its driver
 * does, and every call names them by that number.  So a list that does not begin as the
 * driver's own goes to an executor that is started with it.
 */
static CUresult choose(void)
{
	const char *value = getenv("CUDA_VISIBLE_DEVICES");
	CUuuid uuids[VG_DEVICES_MAX];
	int seen[VG_DEVICES_MAX], count;
	bool as_it_is = true;
	uint64_t settings;
	CUresult r;

	for (int i = 0; i < vg_device_count; i++)
		uuids[i] = vg_devices[i].info.uuid;
	r = vg_visible(value, uuids, vg_device_count, seen, &count);
	if (r)
		return r;
	for (int i = 0; i < count; i++)
		as_it_is &= seen[i] == i;
	if (as_it_is) {
		vg_device_count = count;
		return CUDA_SUCCESS;
	}
	settings = vg_settings_devices(seen, count);
	if (!settings) {
		fprintf(stderr, "vgpu: CUDA_VISIBLE_DEVICES=%s: in another order than the "
			"driver's, %d devices up to number 14 can be had\n", value,
			VG_SETTINGS_DEVICES);
		return CUDA_ERROR_NOT_SUPPORTED;
	}
	r = vg_channel_choose(settings);
	if (!r)
		r = find();
	if (!r && !are(uuids, seen, count)) {
		fprintf(stderr, "vgpu: CUDA_VISIBLE_DEVICES=%s: the host's driver shows other "
			"devices\n", value);
		r = CUDA_ERROR_NOT_SUPPORTED;
	}
	/* The next cuInit() asks for all of them again. */
	if (r)
		vg_channel_close();
	return r;
}

static CUresult take(int i)
{
	struct vg_device *d = &vg_devices[i];

	d->info.name[sizeof(d->info.name) - 1] = '\0';
	for (size_t k = 0; k < sizeof(withheld) / sizeof(withheld[0]); k++)
		d->info.attribute[withheld[k]] = 0;
	/* A node of the host's is none of the guest's. */
	d->info.attribute[CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID] = -1;
	d->info.attribute[CU_DEVICE_ATTRIBUTE_MEMPOOL_SUPPORTED_HANDLE_TYPES] &=
		CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
	return vg_context_new(i, 0, true, &d->primary);
}

CUresult vgh_cuInit(unsigned int flags)
{
	CUresult r;

	if (flags)
		return CUDA_ERROR_INVALID_VALUE;
	r = vg_ready();
	if (r != CUDA_ERROR_NOT_INITIALIZED)
		return r;
	if (vg_forked())
		return CUDA_ERROR_NOT_INITIALIZED;
	pthread_mutex_lock(&lock);
	r = vg_ready() ? vg_connect() : CUDA_SUCCESS;
	if (r || !vg_ready())
		goto out;
	r = find();
	if (!r)
		r = choose();
	for (int i = 0; i < vg_device_count && !r; i++)
		r = take(i);
	if (!r) {
		vg_launch_environment();
		vg_log_environment();
		vg_set_ready();
	}
out:
	pthread_mutex_unlock(&lock);
	return r;
}

CUresult vgh_cuDriverGetVersion(int *version)
{
	struct vgpu_driver_info info;

	if (!version)
		return CUDA_ERROR_INVALID_VALUE;
	/* Asked before cuInit(): the answer is the host's if a host can be reached. */
	pthread_mutex_lock(&lock);
	if (!host_version && !vg_forked() && !vg_connect() && !vgw_vgpu_driver(&info))
		host_version = info.version;
	pthread_mutex_unlock(&lock);
	*version = vg_driver_version();
	return CUDA_SUCCESS;
}

CUresult vgh_cuDeviceGet(CUdevice *device, int ordinal)
{
	if (!device)
		return CUDA_ERROR_INVALID_VALUE;
	if (!vg_device(ordinal))
		return CUDA_ERROR_INVALID_DEVICE;
	*device = ordinal;
	return CUDA_SUCCESS;
}

CUresult vgh_cuDeviceGetCount(int *count)
{
	if (!count)
		return CUDA_ERROR_INVALID_VALUE;
	*count = vg_device_count;
	return CUDA_SUCCESS;
}

CUresult vgh_cuDeviceGetName(char *name, int len, CUdevice dev)
{
	struct vg_device *d = vg_device(dev);

	if (!d)
		return CUDA_ERROR_INVALID_DEVICE;
	if (!name || len <= 0)
		return CUDA_ERROR_INVALID_VALUE;
	snprintf(name, len, "%s", d->info.name);
	return CUDA_SUCCESS;
}

CUresult vgh_cuDeviceGetUuid(CUuuid *uuid, CUdevice dev)
{
	struct vg_device *d = vg_device(dev);

	if (!d)
		return CUDA_ERROR_INVALID_DEVICE;
	if (!uuid)
		return CUDA_ERROR_INVALID_VALUE;
	*uuid = d->info.uuid;
	return CUDA_SUCCESS;
}

CUresult vgh_cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice dev)
{
	return vgh_cuDeviceGetUuid(uuid, dev);
}

CUresult vgh_cuDeviceTotalMem_v2(size_t *bytes, CUdevice dev)
{
	struct vg_device *d = vg_device(dev);

	if (!d)
		return CUDA_ERROR_INVALID_DEVICE;
	if (!bytes)
		return CUDA_ERROR_INVALID_VALUE;
	*bytes = d->info.total;
	return CUDA_SUCCESS;
}

CUresult vgh_cuDeviceTotalMem(unsigned int *bytes, CUdevice dev)
{
	struct vg_device *d = vg_device(dev);

	if (!d)
		return CUDA_ERROR_INVALID_DEVICE;
	if (!bytes)
		return CUDA_ERROR_INVALID_VALUE;
	*bytes = d->info.total > UINT32_MAX ? UINT32_MAX : d->info.total;
	return CUDA_SUCCESS;
}

CUresult vgh_cuDeviceGetAttribute(int *pi, CUdevice_attribute attrib, CUdevice dev)
{
	struct vg_device *d = vg_device(dev);

	if (!d)
		return CUDA_ERROR_INVALID_DEVICE;
	if (!pi || (unsigned int)attrib >= VG_ATTRIBUTES || !d->info.known[attrib])
		return CUDA_ERROR_INVALID_VALUE;
	*pi = d->info.attribute[attrib];
	return CUDA_SUCCESS;
}

CUresult vgh_cuDeviceComputeCapability(int *major, int *minor, CUdevice dev)
{
	if (!vg_device(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	if (!major || !minor)
		return CUDA_ERROR_INVALID_VALUE;
	*major = vg_attribute(dev, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
	*minor = vg_attribute(dev, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
	return CUDA_SUCCESS;
}

CUresult vgh_cuDeviceGetProperties(CUdevprop *p, CUdevice dev)
{
	if (!vg_device(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	*p = (CUdevprop){
		.maxThreadsPerBlock = vg_attribute(dev, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK),
		.sharedMemPerBlock =
			vg_attribute(dev, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK),
		.totalConstantMemory = vg_attribute(dev, CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY),
		.SIMDWidth = vg_attribute(dev, CU_DEVICE_ATTRIBUTE_WARP_SIZE),
		.memPitch = vg_attribute(dev, CU_DEVICE_ATTRIBUTE_MAX_PITCH),
		.regsPerBlock = vg_attribute(dev, CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK),
		.clockRate = vg_attribute(dev, CU_DEVICE_ATTRIBUTE_CLOCK_RATE),
		.textureAlign = vg_attribute(dev, CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT),
	};
	for (int i = 0; i < 3; i++) {
		p->maxThreadsDim[i] = vg_attribute(dev, CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X + i);
		p->maxGridSize[i] = vg_attribute(dev, CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X + i);
	}
	return CUDA_SUCCESS;
}

CUresult vgh_cuDeviceGetPCIBusId(char *id, int len, CUdevice dev)
{
	struct vg_device *d = vg_device(dev);
	char text[32];

	if (!d)
		return CUDA_ERROR_INVALID_DEVICE;
	if (!id || len < (int)sizeof("0000:00:00.0"))
		return CUDA_ERROR_INVALID_VALUE;
	snprintf(text, sizeof(text), "%04X:%02X:%02X.0", (unsigned int)d->info.pci_domain & 0xffff,
		 (unsigned int)d->info.pci_bus & 0xff, (unsigned int)d->info.pci_device & 0xff);
	snprintf(id, len, "%s", text);
	return CUDA_SUCCESS;
}

CUresult vgh_cuDeviceGetByPCIBusId(CUdevice *dev, const char *id)
{
	unsigned int domain = 0, bus, slot, function = 0;

	if (!dev || !id)
		return CUDA_ERROR_INVALID_VALUE;
	if (sscanf(id, "%x:%x:%x.%x", &domain, &bus, &slot, &function) < 3) {
		domain = 0;
		if (sscanf(id, "%x:%x.%x", &bus, &slot, &function) < 2)
			return CUDA_ERROR_INVALID_VALUE;
	}
	for (int i = 0; i < vg_device_count; i++) {
		struct vgpu_device_info *d = &vg_devices[i].info;

		if (d->pci_domain == (int)domain && d->pci_bus == (int)bus &&
		    d->pci_device == (int)slot && !function) {
			*dev = i;
			return CUDA_SUCCESS;
		}
	}
	return CUDA_ERROR_INVALID_DEVICE;
}
