/* SPDX-License-Identifier: Apache-2.0 */
/* What the executor tells of each device, and what the parts of the library share. */
#ifndef VG_NVML_HOST_H
#define VG_NVML_HOST_H

#include <stdbool.h>

#include "cuda_abi.h"
#include "nvml.h"
#include "vg_wire.h"

#define DEVICES_MAX 64

struct nvmlDevice_st {
	int index;
	vgpu_device_info info;
	char uuid[48];			/* GPU-… */
	char bus_id[32];
};

/* The numbers of questions.def: ASK_nvmlDeviceGetName and so on. */
enum {
#define QUESTION(id, name, ...) ASK_##name = id,
#include "questions.def"
};

/* Connect, and learn of the devices; counted, as NVML does it. */
nvmlReturn_t host_start(void);
nvmlReturn_t host_stop(void);
/* NVML_SUCCESS between the two. */
nvmlReturn_t host_ready(void);

unsigned int host_count(void);
nvmlDevice_t host_device(unsigned int index);
/* The device if the handle is one of ours, or NULL. */
nvmlDevice_t host_check(nvmlDevice_t device);
/* As cuDriverGetVersion() of the host. */
int host_cuda_version(void);

/* What the vGPU has of the device's memory, and its processes on the device. */
nvmlReturn_t host_memory(nvmlDevice_t device, vgpu_memory *now);
nvmlReturn_t host_processes(nvmlDevice_t device, vgpu_processes *list);
/* Whether one device reaches the other's memory, and with atomics. */
nvmlReturn_t host_access(nvmlDevice_t a, nvmlDevice_t b, bool *can);
nvmlReturn_t host_atomics(nvmlDevice_t a, nvmlDevice_t b, bool *can);

/* A question of questions.def; what comes back may be the host's NVML's own failure. */
nvmlReturn_t host_ask(nvmlDevice_t device, unsigned int question, unsigned int first,
		      unsigned int second, unsigned int third, vgpu_answer *answer);

/* -- nvml.c: what most functions begin with */

/* A question to a device with somewhere to put the answer. */
nvmlReturn_t nvml_asked(nvmlDevice_t device, const void *out);
/* Hand out a string, if there is room for it. */
nvmlReturn_t nvml_text(char *out, unsigned int room, const char *in);

/* How a process was started; false if there is none. */
bool nvml_process_name(unsigned int pid, char *out, size_t room);

/* -- refused.c */

/* NVML_ERROR_NOT_SUPPORTED, said once for each `said` with VGPU_DEBUG. */
nvmlReturn_t nvml_refuse(const char *name, _Atomic bool *said);

#endif /* VG_NVML_HOST_H */
