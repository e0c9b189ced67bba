// SPDX-License-Identifier: Apache-2.0
/*
 * What NVML tells of a device.  Memory is the vGPU's own; the rest is asked of
 * the host's NVML, if there is one and it knows a device of the same UUID.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "calls.h"
#include "vg_cuda.h"

struct utilisation {
	unsigned int gpu, memory;
};

static struct {
	void *library;
	int (*init)(void);
	int (*by_uuid)(const char *uuid, void **device);
	int (*driver)(char *text, unsigned int room);
	int (*utilisation)(void *device, struct utilisation *u);
	int (*temperature)(void *device, int sensor, unsigned int *celsius);
	int (*power)(void *device, unsigned int *milliwatts);
	int (*power_limit)(void *device, unsigned int *milliwatts);
	int (*state)(void *device, int *state);
	int (*clock)(void *device, int which, unsigned int *mhz);
	int (*max_clock)(void *device, int which, unsigned int *mhz);
} nvml;

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void)
{
	static const struct {
		const char *name;
		void *at;
	} names[] = {
		{ "nvmlInit_v2", &nvml.init },
		{ "nvmlDeviceGetHandleByUUID", &nvml.by_uuid },
		{ "nvmlSystemGetDriverVersion", &nvml.driver },
		{ "nvmlDeviceGetUtilizationRates", &nvml.utilisation },
		{ "nvmlDeviceGetTemperature", &nvml.temperature },
		{ "nvmlDeviceGetPowerUsage", &nvml.power },
		{ "nvmlDeviceGetEnforcedPowerLimit", &nvml.power_limit },
		{ "nvmlDeviceGetPerformanceState", &nvml.state },
		{ "nvmlDeviceGetClockInfo", &nvml.clock },
		{ "nvmlDeviceGetMaxClockInfo", &nvml.max_clock },
	};

	nvml.library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!nvml.library)
		return;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		void *p = dlsym(nvml.library, names[i].name);

		memcpy(names[i].at, &p, sizeof(p));
	}
	if (!nvml.init || !nvml.by_uuid || nvml.init())
		nvml.by_uuid = NULL;
}

/* The device of NVML's that is CUDA's, or NULL. */
static void *find(CUdevice dev)
{
	void *device = NULL;
	char text[64] = "GPU-";
	CUuuid uuid;
	char *p = text + 4;

	pthread_once(&once, load);
	if (!nvml.by_uuid || !cu.cuDeviceGetUuid_v2 || cu.cuDeviceGetUuid_v2(&uuid, dev))
		return NULL;
	for (int i = 0; i < 16; i++)
		p += sprintf(p, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
			     (unsigned char)uuid.bytes[i]);
	return nvml.by_uuid(text, &device) ? NULL : device;
}

static void look(void *d, vgpu_monitor *now)
{
	struct utilisation u;
	unsigned int all = 0;

	if (nvml.driver && !nvml.driver(now->driver, sizeof(now->driver)))
		now->known |= VG_MONITOR_DRIVER;
	if (nvml.utilisation && !nvml.utilisation(d, &u)) {
		now->gpu_percent = u.gpu;
		now->memory_percent = u.memory;
		now->known |= VG_MONITOR_UTILISATION;
	}
	if (nvml.temperature && !nvml.temperature(d, 0, &now->temperature))
		now->known |= VG_MONITOR_TEMPERATURE;
	if (nvml.power && !nvml.power(d, &now->milliwatts))
		now->known |= VG_MONITOR_POWER;
	if (nvml.power_limit && !nvml.power_limit(d, &now->milliwatts_limit))
		now->known |= VG_MONITOR_POWER_LIMIT;
	if (nvml.state && !nvml.state(d, (int *)&now->state))
		now->known |= VG_MONITOR_STATE;
	for (int i = 0; nvml.clock && i < 4; i++)
		all += !nvml.clock(d, i, &now->clock[i]);
	if (all == 4)
		now->known |= VG_MONITOR_CLOCKS;
	all = 0;
	for (int i = 0; nvml.max_clock && i < 4; i++)
		all += !nvml.max_clock(d, i, &now->max_clock[i]);
	if (all == 4)
		now->known |= VG_MONITOR_MAX_CLOCKS;
}

CUresult vge_vgpu_monitor(struct vg_exec *x, const struct vg_req *rq, int ordinal,
			  vgpu_monitor *now)
{
	uint64_t limit;
	size_t total = 0;
	CUdevice dev;
	CUresult r;
	void *d;

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
	d = find(dev);
	if (d)
		look(d, now);
	return CUDA_SUCCESS;
}
