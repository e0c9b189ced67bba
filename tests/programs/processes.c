// SPDX-License-Identifier: Apache-2.0
/*
 * What NVML says of who uses the first device: how many processes have a context on it,
 * whether this one is among them, and how much of its memory is in use.
 */
#include <dlfcn.h>
#include <unistd.h>

#include "prog.h"

const char *prog_name = "processes";

/* nvmlProcessInfo_t and nvmlMemory_t of nvml.h. */
struct process {
	unsigned int pid;
	unsigned long long memory;
	unsigned int instance[2];
};

struct memory {
	unsigned long long total, free, used;
};

#define MOST 64

int main(void)
{
	void *nvml = dlopen("libnvidia-ml.so.1", RTLD_NOW), *device;
	int (*init)(void) = nvml ? dlsym(nvml, "nvmlInit_v2") : NULL;
	int (*shutdown)(void) = nvml ? dlsym(nvml, "nvmlShutdown") : NULL;
	int (*get)(unsigned int, void **) =
		nvml ? dlsym(nvml, "nvmlDeviceGetHandleByIndex_v2") : NULL;
	int (*usage)(void *, struct memory *) =
		nvml ? dlsym(nvml, "nvmlDeviceGetMemoryInfo") : NULL;
	int (*list)(void *, unsigned int *, struct process *) =
		nvml ? dlsym(nvml, "nvmlDeviceGetComputeRunningProcesses_v3") : NULL;
	struct process process[MOST];
	unsigned int count = MOST, own = 0;
	struct memory memory;

	if (!init || !shutdown || !get || !usage || !list)
		prog_fail("no NVML: %s", dlerror());
	if (init() || get(0, &device) || usage(device, &memory) || list(device, &count, process))
		prog_fail("NVML does not answer");
	for (unsigned int i = 0; i < count; i++)
		own += process[i].pid == (unsigned int)getpid();
	printf("PASS processes: %u with a context, %u of them this one, %llu MiB in use of %llu\n",
	       count, own, memory.used >> 20, memory.total >> 20);
	return shutdown() != 0;
}
