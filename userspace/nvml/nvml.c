// SPDX-License-Identifier: Apache-2.0
/*
 * libnvidia-ml.so.1 of the guest: what programs ask about their device.  Its
 * memory is the vGPU's.  What is not known is NVML_ERROR_NOT_SUPPORTED.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "host.h"

#define VERSION "13.0.0-vgpu"

/* Declared as they are defined; programs have NVIDIA's header. */
#define FN(name, ...) \
	NVML_API nvmlReturn_t name(__VA_ARGS__); \
	NVML_API nvmlReturn_t name(__VA_ARGS__)
#define SAME(other, name, ...) \
	NVML_API nvmlReturn_t other(__VA_ARGS__) __attribute__((alias(#name)));

static nvmlReturn_t text(char *out, unsigned int room, const char *in)
{
	nvmlReturn_t r = host_ready();

	if (r)
		return r;
	if (!out)
		return NVML_ERROR_INVALID_ARGUMENT;
	if (strlen(in) >= room)
		return NVML_ERROR_INSUFFICIENT_SIZE;
	strcpy(out, in);
	return NVML_SUCCESS;
}

/* A question to a device with somewhere to put the answer. */
static nvmlReturn_t asked(nvmlDevice_t device, const void *out)
{
	nvmlReturn_t r = host_ready();

	return r ? r : host_check(device) && out ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}

/* -- the library and the system */

FN(nvmlInitWithFlags, unsigned int flags)
{
	(void)flags;
	return host_start();
}

FN(nvmlInit_v2, void)
{
	return host_start();
}
SAME(nvmlInit, nvmlInit_v2, void)

FN(nvmlShutdown, void)
{
	return host_stop();
}

NVML_API const char *nvmlErrorString(nvmlReturn_t r);
NVML_API const char *nvmlErrorString(nvmlReturn_t r)
{
	static const char *const strings[] = {
		"Success", "Uninitialized", "Invalid Argument", "Not Supported",
		"Insufficient Permissions", "Already Initialized", "Not Found",
		"Insufficient Size", "Insufficient External Power", "Driver Not Loaded", "Timeout",
		"Interrupt Request Issue", "NVML Shared Library Not Found", "Function Not Found",
		"Corrupted infoROM", "GPU is lost", "GPU requires reset",
		"The operating system has blocked the request.", "RM has detected an NVML/RM version mismatch.",
		"In use by another client", "Insufficient Memory", "No data",
	};

	if (r >= 0 && r < (int)(sizeof(strings) / sizeof(strings[0])))
		return strings[r];
	return r == NVML_ERROR_ARGUMENT_VERSION_MISMATCH ? "Argument version mismatch" :
							   "Unknown Error";
}

FN(nvmlSystemGetDriverVersion, char *out, unsigned int room)
{
	struct nvml_device *d;
	vgpu_monitor now;
	nvmlReturn_t r = host_ready();

	if (r)
		return r;
	d = host_device(0);
	r = d ? host_monitor(d, &now) : NVML_ERROR_NOT_SUPPORTED;
	if (r)
		return r;
	return now.known & VG_MONITOR_DRIVER ? text(out, room, now.driver) :
					       NVML_ERROR_NOT_SUPPORTED;
}

FN(nvmlSystemGetNVMLVersion, char *out, unsigned int room)
{
	return text(out, room, VERSION);
}

FN(nvmlSystemGetCudaDriverVersion_v2, int *version)
{
	nvmlReturn_t r = host_ready();

	if (r || !version)
		return r ? r : NVML_ERROR_INVALID_ARGUMENT;
	*version = host_cuda_version();
	return NVML_SUCCESS;
}
SAME(nvmlSystemGetCudaDriverVersion, nvmlSystemGetCudaDriverVersion_v2, int *version)

FN(nvmlSystemGetProcessName, unsigned int pid, char *out, unsigned int room)
{
	char path[64], name[1024];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%u/cmdline", pid);
	f = fopen(path, "re");
	if (!f)
		return NVML_ERROR_NOT_FOUND;
	n = fread(name, 1, sizeof(name) - 1, f);
	fclose(f);
	name[n] = '\0';
	return text(out, room, name);
}

/* -- which devices there are */

FN(nvmlDeviceGetCount_v2, unsigned int *count)
{
	nvmlReturn_t r = host_ready();

	if (r || !count)
		return r ? r : NVML_ERROR_INVALID_ARGUMENT;
	*count = host_count();
	return NVML_SUCCESS;
}
SAME(nvmlDeviceGetCount, nvmlDeviceGetCount_v2, unsigned int *count)

FN(nvmlDeviceGetHandleByIndex_v2, unsigned int index, nvmlDevice_t *device)
{
	nvmlReturn_t r = host_ready();

	if (r || !device || !host_device(index))
		return r ? r : NVML_ERROR_INVALID_ARGUMENT;
	*device = host_device(index);
	return NVML_SUCCESS;
}
SAME(nvmlDeviceGetHandleByIndex, nvmlDeviceGetHandleByIndex_v2, unsigned int index,
     nvmlDevice_t *device)

FN(nvmlDeviceGetHandleByUUID, const char *uuid, nvmlDevice_t *device)
{
	nvmlReturn_t r = host_ready();

	if (r || !uuid || !device)
		return r ? r : NVML_ERROR_INVALID_ARGUMENT;
	for (unsigned int i = 0; i < host_count(); i++) {
		if (!strcasecmp(host_device(i)->uuid, uuid)) {
			*device = host_device(i);
			return NVML_SUCCESS;
		}
	}
	return NVML_ERROR_NOT_FOUND;
}

FN(nvmlDeviceGetHandleByPciBusId_v2, const char *id, nvmlDevice_t *device)
{
	unsigned int domain, bus, slot;
	nvmlReturn_t r = host_ready();

	if (r || !id || !device)
		return r ? r : NVML_ERROR_INVALID_ARGUMENT;
	if (sscanf(id, "%x:%x:%x", &domain, &bus, &slot) != 3) {
		domain = 0;
		if (sscanf(id, "%x:%x", &bus, &slot) != 2)
			return NVML_ERROR_INVALID_ARGUMENT;
	}
	for (unsigned int i = 0; i < host_count(); i++) {
		const vgpu_device_info *d = &host_device(i)->info;

		if ((unsigned int)d->pci_domain == domain && (unsigned int)d->pci_bus == bus &&
		    (unsigned int)d->pci_device == slot) {
			*device = host_device(i);
			return NVML_SUCCESS;
		}
	}
	return NVML_ERROR_NOT_FOUND;
}
SAME(nvmlDeviceGetHandleByPciBusId, nvmlDeviceGetHandleByPciBusId_v2, const char *id,
     nvmlDevice_t *device)

/* -- what a device is */

FN(nvmlDeviceGetName, nvmlDevice_t device, char *out, unsigned int room)
{
	nvmlReturn_t r = asked(device, out);

	return r ? r : text(out, room, device->info.name);
}

FN(nvmlDeviceGetUUID, nvmlDevice_t device, char *out, unsigned int room)
{
	nvmlReturn_t r = asked(device, out);

	return r ? r : text(out, room, device->uuid);
}

FN(nvmlDeviceGetIndex, nvmlDevice_t device, unsigned int *index)
{
	nvmlReturn_t r = asked(device, index);

	if (!r)
		*index = device->index;
	return r;
}

FN(nvmlDeviceGetPciInfo_v3, nvmlDevice_t device, nvmlPciInfo_t *pci)
{
	nvmlReturn_t r = asked(device, pci);

	if (r)
		return r;
	*pci = (nvmlPciInfo_t){
		.domain = device->info.pci_domain, .bus = device->info.pci_bus,
		.device = device->info.pci_device,
	};
	snprintf(pci->busId, sizeof(pci->busId), "%s", device->bus_id);
	/* The old form has four digits of the domain. */
	snprintf(pci->busIdLegacy, sizeof(pci->busIdLegacy), "%s", device->bus_id + 4);
	return NVML_SUCCESS;
}

FN(nvmlDeviceGetPciInfo_v2, nvmlDevice_t device, nvmlPciInfo_v2_t *pci)
{
	nvmlReturn_t r = asked(device, pci);

	if (r)
		return r;
	*pci = (nvmlPciInfo_v2_t){
		.domain = device->info.pci_domain, .bus = device->info.pci_bus,
		.device = device->info.pci_device,
	};
	snprintf(pci->busId, sizeof(pci->busId), "%s", device->bus_id + 4);
	return NVML_SUCCESS;
}

FN(nvmlDeviceGetCudaComputeCapability, nvmlDevice_t device, int *major, int *minor)
{
	nvmlReturn_t r = asked(device, major);

	if (r || !minor)
		return r ? r : NVML_ERROR_INVALID_ARGUMENT;
	*major = device->info.attribute[CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR];
	*minor = device->info.attribute[CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR];
	return NVML_SUCCESS;
}

/* NVML_COMPUTEMODE_DEFAULT: any number of this guest's processes. */
FN(nvmlDeviceGetComputeMode, nvmlDevice_t device, int *mode)
{
	nvmlReturn_t r = asked(device, mode);

	if (!r)
		*mode = 0;
	return r;
}

/* -- how it is now */

static nvmlReturn_t now_of(nvmlDevice_t device, const void *out, unsigned int what,
			   vgpu_monitor *now)
{
	nvmlReturn_t r = asked(device, out);

	if (!r)
		r = host_monitor(device, now);
	if (!r && (now->known & what) != what)
		r = NVML_ERROR_NOT_SUPPORTED;
	return r;
}

FN(nvmlDeviceGetMemoryInfo, nvmlDevice_t device, nvmlMemory_t *memory)
{
	vgpu_monitor now;
	nvmlReturn_t r = now_of(device, memory, 0, &now);

	if (!r)
		*memory = (nvmlMemory_t){ now.total, now.total - now.used, now.used };
	return r;
}

FN(nvmlDeviceGetMemoryInfo_v2, nvmlDevice_t device, nvmlMemory_v2_t *memory)
{
	vgpu_monitor now;
	nvmlReturn_t r = asked(device, memory);

	if (r)
		return r;
	if (memory->version != NVML_MEMORY_V2)
		return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
	r = now_of(device, memory, 0, &now);
	if (!r)
		*memory = (nvmlMemory_v2_t){ .version = NVML_MEMORY_V2, .total = now.total,
					     .free = now.total - now.used, .used = now.used };
	return r;
}

FN(nvmlDeviceGetUtilizationRates, nvmlDevice_t device, nvmlUtilization_t *u)
{
	vgpu_monitor now;
	nvmlReturn_t r = now_of(device, u, VG_MONITOR_UTILISATION, &now);

	if (!r)
		*u = (nvmlUtilization_t){ now.gpu_percent, now.memory_percent };
	return r;
}

FN(nvmlDeviceGetTemperature, nvmlDevice_t device, int sensor, unsigned int *celsius)
{
	vgpu_monitor now;
	nvmlReturn_t r = now_of(device, celsius, VG_MONITOR_TEMPERATURE, &now);

	if (!r && sensor)
		r = NVML_ERROR_INVALID_ARGUMENT;
	if (!r)
		*celsius = now.temperature;
	return r;
}

FN(nvmlDeviceGetPowerUsage, nvmlDevice_t device, unsigned int *milliwatts)
{
	vgpu_monitor now;
	nvmlReturn_t r = now_of(device, milliwatts, VG_MONITOR_POWER, &now);

	if (!r)
		*milliwatts = now.milliwatts;
	return r;
}

FN(nvmlDeviceGetEnforcedPowerLimit, nvmlDevice_t device, unsigned int *milliwatts)
{
	vgpu_monitor now;
	nvmlReturn_t r = now_of(device, milliwatts, VG_MONITOR_POWER_LIMIT, &now);

	if (!r)
		*milliwatts = now.milliwatts_limit;
	return r;
}
SAME(nvmlDeviceGetPowerManagementLimit, nvmlDeviceGetEnforcedPowerLimit, nvmlDevice_t device,
     unsigned int *milliwatts)

FN(nvmlDeviceGetPerformanceState, nvmlDevice_t device, int *state)
{
	vgpu_monitor now;
	nvmlReturn_t r = now_of(device, state, VG_MONITOR_STATE, &now);

	if (!r)
		*state = (int)now.state;
	return r;
}
SAME(nvmlDeviceGetPowerState, nvmlDeviceGetPerformanceState, nvmlDevice_t device, int *state)

FN(nvmlDeviceGetClockInfo, nvmlDevice_t device, unsigned int which, unsigned int *mhz)
{
	vgpu_monitor now;
	nvmlReturn_t r = now_of(device, mhz, VG_MONITOR_CLOCKS, &now);

	if (!r && which > 3)
		r = NVML_ERROR_INVALID_ARGUMENT;
	if (!r)
		*mhz = now.clock[which];
	return r;
}

FN(nvmlDeviceGetMaxClockInfo, nvmlDevice_t device, unsigned int which, unsigned int *mhz)
{
	vgpu_monitor now;
	nvmlReturn_t r = now_of(device, mhz, VG_MONITOR_MAX_CLOCKS, &now);

	if (!r && which > 3)
		r = NVML_ERROR_INVALID_ARGUMENT;
	if (!r)
		*mhz = now.max_clock[which];
	return r;
}

/* -- what nothing is known of: which of the guest's processes use the device, its hardware */

#define UNKNOWN(name) FN(name, nvmlDevice_t device) \
{ \
	nvmlReturn_t r = host_ready(); \
	return r ? r : host_check(device) ? NVML_ERROR_NOT_SUPPORTED : NVML_ERROR_INVALID_ARGUMENT; \
}

UNKNOWN(nvmlDeviceGetComputeRunningProcesses)
UNKNOWN(nvmlDeviceGetComputeRunningProcesses_v2)
UNKNOWN(nvmlDeviceGetComputeRunningProcesses_v3)
UNKNOWN(nvmlDeviceGetGraphicsRunningProcesses)
UNKNOWN(nvmlDeviceGetGraphicsRunningProcesses_v2)
UNKNOWN(nvmlDeviceGetGraphicsRunningProcesses_v3)
UNKNOWN(nvmlDeviceGetMPSComputeRunningProcesses_v3)
UNKNOWN(nvmlDeviceGetMinorNumber)
UNKNOWN(nvmlDeviceGetSerial)
UNKNOWN(nvmlDeviceGetBoardId)
UNKNOWN(nvmlDeviceGetBrand)
UNKNOWN(nvmlDeviceGetFanSpeed)
UNKNOWN(nvmlDeviceGetFanSpeed_v2)
UNKNOWN(nvmlDeviceGetEccMode)
UNKNOWN(nvmlDeviceGetTotalEccErrors)
UNKNOWN(nvmlDeviceGetMemoryErrorCounter)
UNKNOWN(nvmlDeviceGetMigMode)
UNKNOWN(nvmlDeviceGetPersistenceMode)
UNKNOWN(nvmlDeviceGetDisplayMode)
UNKNOWN(nvmlDeviceGetDisplayActive)
UNKNOWN(nvmlDeviceGetEncoderUtilization)
UNKNOWN(nvmlDeviceGetDecoderUtilization)
UNKNOWN(nvmlDeviceGetPcieThroughput)
UNKNOWN(nvmlDeviceGetCurrPcieLinkGeneration)
UNKNOWN(nvmlDeviceGetCurrPcieLinkWidth)
UNKNOWN(nvmlDeviceGetMaxPcieLinkGeneration)
UNKNOWN(nvmlDeviceGetMaxPcieLinkWidth)
UNKNOWN(nvmlDeviceGetNvLinkState)
UNKNOWN(nvmlDeviceGetNvLinkRemotePciInfo_v2)
UNKNOWN(nvmlDeviceGetNvLinkCapability)
UNKNOWN(nvmlDeviceGetP2PStatus)
UNKNOWN(nvmlDeviceGetTopologyCommonAncestor)
UNKNOWN(nvmlDeviceGetTotalEnergyConsumption)
UNKNOWN(nvmlDeviceGetVirtualizationMode)
UNKNOWN(nvmlDeviceGetBAR1MemoryInfo)
UNKNOWN(nvmlDeviceGetVbiosVersion)
UNKNOWN(nvmlDeviceGetFieldValues)
UNKNOWN(nvmlDeviceGetSupportedClocksThrottleReasons)
UNKNOWN(nvmlDeviceGetCurrentClocksThrottleReasons)
UNKNOWN(nvmlDeviceGetCpuAffinity)
UNKNOWN(nvmlDeviceSetCpuAffinity)
UNKNOWN(nvmlDeviceGetGpuFabricInfo)
UNKNOWN(nvmlDeviceGetGpuFabricInfoV)
