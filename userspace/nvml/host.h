/* SPDX-License-Identifier: Apache-2.0 */
/* What the executor tells of each device. */
#ifndef VG_NVML_HOST_H
#define VG_NVML_HOST_H

#include <stdbool.h>

#include "cuda_abi.h"
#include "nvml.h"
#include "vg_wire.h"

#define DEVICES_MAX 64

struct nvml_device {
	int index;
	vgpu_device_info info;
	char uuid[48];			/* GPU-… */
	char bus_id[32];
};

/* Connect, and learn of the devices; counted, as NVML does it. */
nvmlReturn_t host_start(void);
nvmlReturn_t host_stop(void);
/* NVML_SUCCESS between the two. */
nvmlReturn_t host_ready(void);

unsigned int host_count(void);
struct nvml_device *host_device(unsigned int index);
/* The device if the handle is one of ours, or NULL. */
struct nvml_device *host_check(nvmlDevice_t device);
/* As cuDriverGetVersion() of the host. */
int host_cuda_version(void);

/* How the device is now. */
nvmlReturn_t host_monitor(const struct nvml_device *d, vgpu_monitor *now);

#endif /* VG_NVML_HOST_H */
