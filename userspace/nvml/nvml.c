// SPDX-License-Identifier: Apache-2.0
/*
 * libnvidia-ml.so.1 of the guest: the library, the system, and what each device is.
 * What is not known is NVML_ERROR_NOT_SUPPORTED.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "host.h"

nvmlReturn_t nvml_text(char *out, unsigned int room, const char *in)
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

nvmlReturn_t nvml_asked(nvmlDevice_t device, const void *out)
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
		"GPU access blocked by the operating system",
		"Driver/library version mismatch",
		"In use by another client", "Insufficient Memory", "No data",
		"vGPU ECC not supported", "Insufficient Resources", "Invalid Frequency",
		"Argument version mismatch", "Requested functionality has been deprecated",
		"System is not in ready state", "No supported GPUs were found",
		"Resource not in correct state to perform requested operation",
		"Reset type is not supported for given device",
	};

	if ((unsigned int)r < sizeof(strings) / sizeof(strings[0]))
		return strings[r];
	return "Unknown Error";
}

/* Of the host's driver, where the host's NVML tells it. */
static nvmlReturn_t driver_version(vgpu_answer *a)
{
	nvmlReturn_t r = host_ready();

	if (r)
		return r;
	return host_count() ? host_ask(host_device(0), ASK_nvmlSystemGetDriverVersion, 0, 0, 0, a) :
			      NVML_ERROR_NOT_SUPPORTED;
}

FN(nvmlSystemGetDriverVersion, char *version, unsigned int length)
{
	vgpu_answer a;
	nvmlReturn_t r = driver_version(&a);

	return r ? r : nvml_text(version, length, a.text);
}

/* As NVML does: its interface's version, then the driver's. */
FN(nvmlSystemGetNVMLVersion, char *version, unsigned int length)
{
	char all[128];
	vgpu_answer a;
	nvmlReturn_t r = driver_version(&a);

	if (r == NVML_ERROR_UNINITIALIZED)
		return r;
	snprintf(all, sizeof(all), "13.%s", r ? "0" : a.text);
	return nvml_text(version, length, all);
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

bool nvml_process_name(unsigned int pid, char *out, size_t room)
{
	char path[64];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%u/cmdline", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	n = fread(out, 1, room - 1, f);
	fclose(f);
	out[n] = '\0';	/* the first of the arguments ends by itself */
	return true;
}

FN(nvmlSystemGetProcessName, unsigned int pid, char *name, unsigned int length)
{
	char all[1024];
	nvmlReturn_t r = host_ready();

	if (r || !name || !length)
		return r ? r : NVML_ERROR_INVALID_ARGUMENT;
	if (!nvml_process_name(pid, all, sizeof(all)))
		return NVML_ERROR_NOT_FOUND;
	return nvml_text(name, length, all);
}

/* Nothing of a guest's is confidential to its host. */
FN(nvmlSystemGetConfComputeState, nvmlConfComputeSystemState_t *state)
{
	nvmlReturn_t r = host_ready();

	if (r || !state)
		return r ? r : NVML_ERROR_INVALID_ARGUMENT;
	*state = (nvmlConfComputeSystemState_t){ 0 };
	return NVML_SUCCESS;
}

FN(nvmlSystemGetConfComputeSettings, nvmlSystemConfComputeSettings_t *settings)
{
	nvmlReturn_t r = host_ready();

	if (r || !settings)
		return r ? r : NVML_ERROR_INVALID_ARGUMENT;
	if (settings->version != nvmlSystemConfComputeSettings_v1)
		return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
	*settings = (nvmlSystemConfComputeSettings_t){ .version = settings->version };
	return NVML_SUCCESS;
}

static nvmlReturn_t zero(unsigned int *count)
{
	nvmlReturn_t r = host_ready();

	if (r || !count)
		return r ? r : NVML_ERROR_INVALID_ARGUMENT;
	*count = 0;
	return NVML_SUCCESS;
}

/* S-class systems, which hold GPUs of long ago. */
FN(nvmlUnitGetCount, unsigned int *unitCount)
{
	return zero(unitCount);
}

FN(nvmlGetExcludedDeviceCount, unsigned int *deviceCount)
{
	return zero(deviceCount);
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

FN(nvmlDeviceGetHandleByUUIDV, const nvmlUUID_t *uuid, nvmlDevice_t *device)
{
	nvmlReturn_t r = host_ready();

	if (r || !uuid || !device)
		return r ? r : NVML_ERROR_INVALID_ARGUMENT;
	if (uuid->version != nvmlUUID_v1)
		return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
	if (uuid->type == NVML_UUID_TYPE_ASCII) {
		char text[sizeof(uuid->value.str) + 1];

		snprintf(text, sizeof(text), "%.*s", (int)sizeof(uuid->value.str), uuid->value.str);
		return nvmlDeviceGetHandleByUUID(text, device);
	}
	if (uuid->type != NVML_UUID_TYPE_BINARY)
		return NVML_ERROR_INVALID_ARGUMENT;
	for (unsigned int i = 0; i < host_count(); i++) {
		if (!memcmp(&host_device(i)->info.uuid, uuid->value.bytes, 16)) {
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
	nvmlReturn_t r = nvml_asked(device, out);

	return r ? r : nvml_text(out, room, device->info.name);
}

FN(nvmlDeviceGetUUID, nvmlDevice_t device, char *out, unsigned int room)
{
	nvmlReturn_t r = nvml_asked(device, out);

	return r ? r : nvml_text(out, room, device->uuid);
}

FN(nvmlDeviceGetIndex, nvmlDevice_t device, unsigned int *index)
{
	nvmlReturn_t r = nvml_asked(device, index);

	if (!r)
		*index = device->index;
	return r;
}

/* The ids of what it is, 0 where the host's NVML does not tell them. */
static void pci_ids(nvmlDevice_t device, unsigned int *id, unsigned int *subsystem)
{
	vgpu_answer a;

	*id = *subsystem = 0;
	if (host_ask(device, ASK_nvmlDeviceGetPciInfo_v3, 0, 0, 0, &a))
		return;
	*id = (unsigned int)a.value[0];
	*subsystem = (unsigned int)a.value[1];
}

FN(nvmlDeviceGetPciInfo_v3, nvmlDevice_t device, nvmlPciInfo_t *pci)
{
	nvmlReturn_t r = nvml_asked(device, pci);

	if (r)
		return r;
	*pci = (nvmlPciInfo_t){
		.domain = device->info.pci_domain, .bus = device->info.pci_bus,
		.device = device->info.pci_device,
	};
	pci_ids(device, &pci->pciDeviceId, &pci->pciSubSystemId);
	snprintf(pci->busId, sizeof(pci->busId), "%s", device->bus_id);
	/* The old form has four digits of the domain. */
	snprintf(pci->busIdLegacy, sizeof(pci->busIdLegacy), "%s", device->bus_id + 4);
	return NVML_SUCCESS;
}

/* A struct that ended before busId had its long form. */
FN(nvmlDeviceGetPciInfo_v2, nvmlDevice_t device, nvmlPciInfo_t *pci)
{
	nvmlPciInfo_t all;
	nvmlReturn_t r = nvml_asked(device, pci);

	if (!r)
		r = nvmlDeviceGetPciInfo_v3(device, &all);
	if (!r)
		memcpy(pci, &all, offsetof(nvmlPciInfo_t, busId));
	return r;
}

/* One that ended before pciSubSystemId. */
FN(nvmlDeviceGetPciInfo, nvmlDevice_t device, nvmlPciInfo_t *pci)
{
	nvmlPciInfo_t all;
	nvmlReturn_t r = nvml_asked(device, pci);

	if (!r)
		r = nvmlDeviceGetPciInfo_v3(device, &all);
	if (!r)
		memcpy(pci, &all, offsetof(nvmlPciInfo_t, pciSubSystemId));
	return r;
}

FN(nvmlDeviceGetPciInfoExt, nvmlDevice_t device, nvmlPciInfoExt_t *pci)
{
	nvmlReturn_t r = nvml_asked(device, pci);

	if (r)
		return r;
	if (pci->version != nvmlPciInfoExt_v1)
		return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
	*pci = (nvmlPciInfoExt_t){
		.version = pci->version, .domain = device->info.pci_domain,
		.bus = device->info.pci_bus, .device = device->info.pci_device,
		.baseClass = 3, .subClass = 2,	/* a 3D controller, as without a display */
	};
	pci_ids(device, &pci->pciDeviceId, &pci->pciSubSystemId);
	snprintf(pci->busId, sizeof(pci->busId), "%s", device->bus_id);
	return NVML_SUCCESS;
}

FN(nvmlDeviceGetCudaComputeCapability, nvmlDevice_t device, int *major, int *minor)
{
	nvmlReturn_t r = nvml_asked(device, major);

	if (r || !minor)
		return r ? r : NVML_ERROR_INVALID_ARGUMENT;
	*major = device->info.attribute[CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR];
	*minor = device->info.attribute[CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR];
	return NVML_SUCCESS;
}

FN(nvmlDeviceGetArchitecture, nvmlDevice_t device, nvmlDeviceArchitecture_t *arch)
{
	static const struct {
		int major, minor;
		nvmlDeviceArchitecture_t arch;
	} since[] = {
		{ 10, 0, NVML_DEVICE_ARCH_BLACKWELL }, { 9, 0, NVML_DEVICE_ARCH_HOPPER },
		{ 8, 9, NVML_DEVICE_ARCH_ADA }, { 8, 0, NVML_DEVICE_ARCH_AMPERE },
		{ 7, 5, NVML_DEVICE_ARCH_TURING }, { 7, 0, NVML_DEVICE_ARCH_VOLTA },
		{ 6, 0, NVML_DEVICE_ARCH_PASCAL }, { 5, 0, NVML_DEVICE_ARCH_MAXWELL },
		{ 3, 0, NVML_DEVICE_ARCH_KEPLER },
	};
	int major, minor;
	nvmlReturn_t r = nvml_asked(device, arch);

	if (!r)
		r = nvmlDeviceGetCudaComputeCapability(device, &major, &minor);
	if (r)
		return r;
	*arch = NVML_DEVICE_ARCH_UNKNOWN;
	for (size_t i = 0; major <= 12 && i < sizeof(since) / sizeof(since[0]); i++) {
		if (major < since[i].major || (major == since[i].major && minor < since[i].minor))
			continue;
		*arch = since[i].arch;
		break;
	}
	return NVML_SUCCESS;
}

/* Facts that are the same for every vGPU. */
#define ALWAYS(name, type, value) \
	FN(name, nvmlDevice_t device, type *out) \
	{ \
		nvmlReturn_t r = nvml_asked(device, out); \
		if (!r) \
			*out = (value); \
		return r; \
	}

/* Any number of this guest's processes. */
ALWAYS(nvmlDeviceGetComputeMode, nvmlComputeMode_t, NVML_COMPUTEMODE_DEFAULT)
ALWAYS(nvmlDeviceGetVirtualizationMode, nvmlGpuVirtualizationMode_t,
       NVML_GPU_VIRTUALIZATION_MODE_VGPU)
/* As an H100 has it, which has no display either. */
ALWAYS(nvmlDeviceGetDisplayMode, nvmlEnableState_t, NVML_FEATURE_ENABLED)
ALWAYS(nvmlDeviceGetDisplayActive, nvmlEnableState_t, NVML_FEATURE_DISABLED)
ALWAYS(nvmlDeviceGetAccountingMode, nvmlEnableState_t, NVML_FEATURE_DISABLED)

/* -- MIG: a vGPU is one device, whatever its host's is divided into */

ALWAYS(nvmlDeviceIsMigDeviceHandle, unsigned int, 0)
ALWAYS(nvmlDeviceGetMaxMigDeviceCount, unsigned int, 0)

FN(nvmlDeviceGetMigMode, nvmlDevice_t device, unsigned int *currentMode, unsigned int *pendingMode)
{
	nvmlReturn_t r = nvml_asked(device, currentMode);

	if (r || !pendingMode)
		return r ? r : NVML_ERROR_INVALID_ARGUMENT;
	*currentMode = *pendingMode = 0;
	return NVML_SUCCESS;
}

FN(nvmlDeviceGetMigDeviceHandleByIndex, nvmlDevice_t device, unsigned int index,
   nvmlDevice_t *migDevice)
{
	nvmlReturn_t r = nvml_asked(device, migDevice);

	(void)index;
	return r ? r : NVML_ERROR_NOT_FOUND;
}
