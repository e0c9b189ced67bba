// SPDX-License-Identifier: Apache-2.0
/* Memory as the vGPU has it, and the guest's processes that hold it. */
#include <stddef.h>
#include <string.h>

#include "host.h"

#define NO_INSTANCE 0xffffffffu		/* of MIG */

FN(nvmlDeviceGetMemoryInfo, nvmlDevice_t device, nvmlMemory_t *memory)
{
	vgpu_memory now;
	nvmlReturn_t r = nvml_asked(device, memory);

	if (!r)
		r = host_memory(device, &now);
	if (!r)
		*memory = (nvmlMemory_t){ now.total, now.total - now.used, now.used };
	return r;
}

FN(nvmlDeviceGetMemoryInfo_v2, nvmlDevice_t device, nvmlMemory_v2_t *memory)
{
	vgpu_memory now;
	nvmlReturn_t r = nvml_asked(device, memory);

	if (r)
		return r;
	/* The first version is a function of its own. */
	if (memory->version != nvmlMemory_v2)
		return NVML_ERROR_FUNCTION_NOT_FOUND;
	r = host_memory(device, &now);
	if (!r)
		*memory = (nvmlMemory_v2_t){ .version = nvmlMemory_v2, .total = now.total,
					     .free = now.total - now.used, .used = now.used };
	return r;
}

/* -- processes.  The three forms of a list differ in what one entry is. */

static void entry_v1(void *out, unsigned int pid, uint64_t memory)
{
	*(nvmlProcessInfo_v1_t *)out = (nvmlProcessInfo_v1_t){ pid, memory };
}

static void entry_v2(void *out, unsigned int pid, uint64_t memory)
{
	*(nvmlProcessInfo_v2_t *)out = (nvmlProcessInfo_v2_t){ pid, memory, NO_INSTANCE,
							       NO_INSTANCE };
}

static void entry_detail(void *out, unsigned int pid, uint64_t memory)
{
	*(nvmlProcessDetail_v1_t *)out = (nvmlProcessDetail_v1_t){
		pid, memory, NO_INSTANCE, NO_INSTANCE, (unsigned long long)NVML_VALUE_NOT_AVAILABLE,
	};
}

static nvmlReturn_t fill(const vgpu_processes *list, unsigned int *count, void *out, size_t bytes,
			 void (*entry)(void *out, unsigned int pid, uint64_t memory))
{
	unsigned int room = *count;

	*count = list->count;
	if (list->count > room)
		return NVML_ERROR_INSUFFICIENT_SIZE;
	if (list->count && !out)
		return NVML_ERROR_INVALID_ARGUMENT;
	for (unsigned int i = 0; i < list->count; i++)
		entry((char *)out + i * bytes, list->pid[i], list->memory[i]);
	return NVML_SUCCESS;
}

static nvmlReturn_t compute(nvmlDevice_t device, unsigned int *count, void *out, size_t bytes,
			    void (*entry)(void *out, unsigned int pid, uint64_t memory))
{
	vgpu_processes list;
	nvmlReturn_t r = nvml_asked(device, count);

	if (!r)
		r = host_processes(device, &list);
	return r ? r : fill(&list, count, out, bytes, entry);
}

FN(nvmlDeviceGetComputeRunningProcesses, nvmlDevice_t device, unsigned int *count,
   nvmlProcessInfo_v1_t *infos)
{
	return compute(device, count, infos, sizeof(*infos), entry_v1);
}

FN(nvmlDeviceGetComputeRunningProcesses_v2, nvmlDevice_t device, unsigned int *count,
   nvmlProcessInfo_v2_t *infos)
{
	return compute(device, count, infos, sizeof(*infos), entry_v2);
}
SAME(nvmlDeviceGetComputeRunningProcesses_v3, nvmlDeviceGetComputeRunningProcesses_v2,
     nvmlDevice_t device, unsigned int *count, nvmlProcessInfo_t *infos)

/* A vGPU draws nothing and has no MPS: of these there are none. */
static nvmlReturn_t none(nvmlDevice_t device, unsigned int *count)
{
	nvmlReturn_t r = nvml_asked(device, count);

	if (!r)
		*count = 0;
	return r;
}

#define NONE(name, type) \
	FN(name, nvmlDevice_t device, unsigned int *count, type *infos) \
	{ (void)infos; return none(device, count); }

NONE(nvmlDeviceGetGraphicsRunningProcesses, nvmlProcessInfo_v1_t)
NONE(nvmlDeviceGetGraphicsRunningProcesses_v2, nvmlProcessInfo_v2_t)
NONE(nvmlDeviceGetGraphicsRunningProcesses_v3, nvmlProcessInfo_t)
NONE(nvmlDeviceGetMPSComputeRunningProcesses, nvmlProcessInfo_v1_t)
NONE(nvmlDeviceGetMPSComputeRunningProcesses_v2, nvmlProcessInfo_v2_t)
NONE(nvmlDeviceGetMPSComputeRunningProcesses_v3, nvmlProcessInfo_t)

/* `mode`: 0 compute, 1 graphics, 2 MPS, 3 all. */
FN(nvmlDeviceGetRunningProcessDetailList, nvmlDevice_t device, nvmlProcessDetailList_t *plist)
{
	nvmlReturn_t r = nvml_asked(device, plist);

	if (r)
		return r;
	if (plist->version != nvmlProcessDetailList_v1)
		return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
	if (plist->mode > 3)
		return NVML_ERROR_INVALID_ARGUMENT;
	if (plist->mode == 1 || plist->mode == 2)
		return none(device, &plist->numProcArrayEntries);
	return compute(device, &plist->numProcArrayEntries, plist->procArray,
		       sizeof(*plist->procArray), entry_detail);
}
