// SPDX-License-Identifier: Apache-2.0
/*
 * Where a device is: near to every CPU and all memory of the guest alike, and to another
 * device as far as the driver says that one reaches the other.
 */
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "host.h"

#define WORD_BITS (8 * sizeof(unsigned long))

/* Bits of a list as "0-3,8" says; those that there is no room for are left out. */
static nvmlReturn_t online(const char *path, unsigned long *bits, unsigned int words)
{
	unsigned int from, to;
	FILE *f = fopen(path, "re");

	if (!f)
		return NVML_ERROR_NOT_SUPPORTED;
	memset(bits, 0, words * sizeof(*bits));
	while (fscanf(f, "%u", &from) == 1) {
		int next = fgetc(f);

		to = from;
		if (next == '-' && fscanf(f, "%u", &to) == 1)
			next = fgetc(f);
		for (unsigned int i = from; i <= to && i / WORD_BITS < words; i++)
			bits[i / WORD_BITS] |= 1ul << i % WORD_BITS;
		if (next != ',')
			break;
	}
	fclose(f);
	return NVML_SUCCESS;
}

static nvmlReturn_t affinity(nvmlDevice_t device, const char *what, unsigned int words,
			     unsigned long *bits, nvmlAffinityScope_t scope)
{
	char path[64];
	nvmlReturn_t r = nvml_asked(device, bits);

	if (r || !words || scope > NVML_AFFINITY_SCOPE_SOCKET)
		return r ? r : NVML_ERROR_INVALID_ARGUMENT;
	snprintf(path, sizeof(path), "/sys/devices/system/%s/online", what);
	return online(path, bits, words);
}

FN(nvmlDeviceGetCpuAffinity, nvmlDevice_t device, unsigned int cpuSetSize, unsigned long *cpuSet)
{
	return affinity(device, "cpu", cpuSetSize, cpuSet, NVML_AFFINITY_SCOPE_NODE);
}

FN(nvmlDeviceGetCpuAffinityWithinScope, nvmlDevice_t device, unsigned int cpuSetSize,
   unsigned long *cpuSet, nvmlAffinityScope_t scope)
{
	return affinity(device, "cpu", cpuSetSize, cpuSet, scope);
}

FN(nvmlDeviceGetMemoryAffinity, nvmlDevice_t device, unsigned int nodeSetSize,
   unsigned long *nodeSet, nvmlAffinityScope_t scope)
{
	return affinity(device, "node", nodeSetSize, nodeSet, scope);
}

/* The calling thread onto the CPUs near to the device, which are all. */
FN(nvmlDeviceSetCpuAffinity, nvmlDevice_t device)
{
	unsigned long bits[CPU_SETSIZE / WORD_BITS];
	cpu_set_t set;
	nvmlReturn_t r = affinity(device, "cpu", CPU_SETSIZE / WORD_BITS, bits,
				  NVML_AFFINITY_SCOPE_NODE);

	if (r)
		return r;
	memcpy(&set, bits, sizeof(set));
	return sched_setaffinity(0, sizeof(set), &set) ? NVML_ERROR_UNKNOWN : NVML_SUCCESS;
}
SAME(nvmlDeviceClearCpuAffinity, nvmlDeviceSetCpuAffinity, nvmlDevice_t device)

/* NCCL asks it of all pairs, of a device and itself too, and gives up where it fails. */
FN(nvmlDeviceGetP2PStatus, nvmlDevice_t device1, nvmlDevice_t device2,
   nvmlGpuP2PCapsIndex_t p2pIndex, nvmlGpuP2PStatus_t *p2pStatus)
{
	bool can = false;
	nvmlReturn_t r = nvml_asked(device1, p2pStatus);
	vgpu_answer said;

	if (r || !host_check(device2) || p2pIndex > NVML_P2P_CAPS_INDEX_UNKNOWN)
		return r ? r : NVML_ERROR_INVALID_ARGUMENT;
	if (device1 == device2 &&
	    !host_ask(device1, ASK_nvmlDeviceGetP2PStatus, p2pIndex, 0, 0, &said)) {
		*p2pStatus = (nvmlGpuP2PStatus_t)said.value[0];
		return NVML_SUCCESS;
	}
	if (p2pIndex == NVML_P2P_CAPS_INDEX_UNKNOWN)
		can = true;
	else if (p2pIndex == NVML_P2P_CAPS_INDEX_NVLINK || device1 == device2)
		can = false;
	else if (p2pIndex == NVML_P2P_CAPS_INDEX_ATOMICS)
		r = host_atomics(device1, device2, &can);
	else
		r = host_access(device1, device2, &can);
	if (!r)
		*p2pStatus = can ? NVML_P2P_STATUS_OK : NVML_P2P_STATUS_NOT_SUPPORTED;
	return r;
}

FN(nvmlDeviceGetTopologyCommonAncestor, nvmlDevice_t device1, nvmlDevice_t device2,
   nvmlGpuTopologyLevel_t *pathInfo)
{
	static _Atomic bool said;
	nvmlReturn_t r = nvml_asked(device1, pathInfo);

	if (r || !host_check(device2))
		return r ? r : NVML_ERROR_INVALID_ARGUMENT;
	return nvml_refuse("nvmlDeviceGetTopologyCommonAncestor", &said);
}
