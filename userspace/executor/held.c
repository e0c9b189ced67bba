// SPDX-License-Identifier: Apache-2.0
/*
 * What this process holds of the devices' memory, as the driver's own bookkeeping has it:
 * everything, also what no call was charged for (modules, buffers for what kernels print, what
 * an allocator rounds up to).  A driver that has vgpu_process_memory() tells it, as softgpu
 * does; otherwise NVML does, by this process's id.  In a container with pids of its own NVML
 * finds no such process.  Then nobody knows, and what calls were charged for is all that counts.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exec_internal.h"
#include "vg_cuda.h"

#include "nvml/nvml.h"

#define DEVICES_MAX	64
#define PROCESSES_MAX	1024	/* of one device */

static CUresult (*by_driver)(CUdevice dev, uint64_t *bytes);
static nvmlReturn_t (*by_nvml)(nvmlDevice_t device, unsigned int *count, nvmlProcessInfo_t *list);
static nvmlDevice_t device[DEVICES_MAX];
static int devices;

static void *find(void *library, const char *name)
{
	return library ? dlsym(library, name) : NULL;
}

/* NVML numbers devices in another way than CUDA. */
static bool find_devices(void *library)
{
	nvmlReturn_t (*by_uuid)(const char *uuid, nvmlDevice_t *device);
	void *p = find(library, "nvmlDeviceGetHandleByUUID");

	memcpy(&by_uuid, &p, sizeof(p));
	for (int i = 0; i < devices; i++) {
		char text[64] = "GPU-";
		char *to = text + 4;
		CUdevice dev;
		CUuuid uuid;

		if (!by_uuid || !cu.cuDeviceGetUuid_v2 || cu.cuDeviceGet(&dev, i) ||
		    cu.cuDeviceGetUuid_v2(&uuid, dev))
			return false;
		for (int k = 0; k < 16; k++)
			to += sprintf(to, "%s%02x", k == 4 || k == 6 || k == 8 || k == 10 ? "-" : "",
				      (unsigned char)uuid.bytes[k]);
		if (by_uuid(text, &device[i]))
			return false;
	}
	return true;
}

bool vg_held_start(void *library)
{
	nvmlReturn_t (*init)(void);
	void *nvml, *p = find(library, "vgpu_process_memory");

	memcpy(&by_driver, &p, sizeof(p));
	if (!cu.cuDeviceGetCount || !cu.cuDeviceGet || cu.cuDeviceGetCount(&devices) ||
	    devices > DEVICES_MAX)
		return false;
	if (by_driver)
		return true;
	nvml = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
	p = find(nvml, "nvmlInit_v2");
	memcpy(&init, &p, sizeof(p));
	p = find(nvml, "nvmlDeviceGetComputeRunningProcesses_v3");
	memcpy(&by_nvml, &p, sizeof(p));
	return init && by_nvml && !init() && find_devices(nvml);
}

/* 0 for a process that has none of this device; false if that cannot be told. */
static bool of_device(nvmlDevice_t d, uint64_t *bytes)
{
	static nvmlProcessInfo_t list[PROCESSES_MAX];	/* with the lock below */
	unsigned int count = PROCESSES_MAX;

	*bytes = 0;
	if (by_nvml(d, &count, list))
		return false;
	for (unsigned int i = 0; i < count; i++) {
		if (list[i].pid != (unsigned int)getpid())
			continue;
		*bytes = list[i].usedGpuMemory;
		return *bytes != (unsigned long long)NVML_VALUE_NOT_AVAILABLE;
	}
	return true;
}

bool vg_held(uint64_t *bytes)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	bool known = true;

	*bytes = 0;
	pthread_mutex_lock(&lock);
	for (int i = 0; i < devices && known; i++) {
		uint64_t one = 0;
		CUdevice dev;

		if (by_driver)
			known = !cu.cuDeviceGet(&dev, i) && !by_driver(dev, &one);
		else
			known = of_device(device[i], &one);
		*bytes += one;
	}
	pthread_mutex_unlock(&lock);
	return known;
}
