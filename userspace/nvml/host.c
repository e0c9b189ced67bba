// SPDX-License-Identifier: Apache-2.0
/*
 * The library has a channel of its own: a program may ask NVML, fork, and use
 * CUDA in the child, which the CUDA library's channel would not allow.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "host.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* start and stop */
static _Atomic unsigned int starts;
static struct nvml_device devices[DEVICES_MAX];
static unsigned int count;
static int cuda_version;

static nvmlReturn_t error_of(CUresult r)
{
	switch (r) {
	case CUDA_SUCCESS:
		return NVML_SUCCESS;
	case CUDA_ERROR_INVALID_VALUE:
	case CUDA_ERROR_INVALID_DEVICE:
		return NVML_ERROR_INVALID_ARGUMENT;
	case CUDA_ERROR_NOT_SUPPORTED:
		return NVML_ERROR_NOT_SUPPORTED;
	case CUDA_ERROR_NOT_PERMITTED:
		return NVML_ERROR_NO_PERMISSION;
	case CUDA_ERROR_OUT_OF_MEMORY:
		return NVML_ERROR_MEMORY;
	case CUDA_ERROR_DEVICE_UNAVAILABLE:
		return NVML_ERROR_GPU_IS_LOST;
	default:
		return NVML_ERROR_UNKNOWN;
	}
}

static nvmlReturn_t ask_driver(vgpu_driver_info *info)
{
	struct vg_rp_vgpu_driver p;
	struct vg_call c;
	CUresult r = vg_begin(&c, VG_OP_vgpu_driver, 0);

	if (!r)
		r = vg_wait(&c, &p, sizeof(p));
	if (!r)
		*info = p.info;
	return error_of(r);
}

static nvmlReturn_t ask_device(int ordinal, vgpu_device_info *info)
{
	struct vg_rq_vgpu_device *q;
	struct vg_rp_vgpu_device p;
	struct vg_call c;
	CUresult r = vg_begin(&c, VG_OP_vgpu_device, sizeof(*q));

	if (r)
		return error_of(r);
	q = c.req;
	memset(q, 0, sizeof(*q));
	q->ordinal = ordinal;
	r = vg_wait(&c, &p, sizeof(p));
	if (!r)
		*info = p.info;
	return error_of(r);
}

nvmlReturn_t host_monitor(const struct nvml_device *d, vgpu_monitor *now)
{
	struct vg_rq_vgpu_monitor *q;
	struct vg_rp_vgpu_monitor p;
	struct vg_call c;
	CUresult r = vg_begin(&c, VG_OP_vgpu_monitor, sizeof(*q));

	if (r)
		return error_of(r);
	q = c.req;
	memset(q, 0, sizeof(*q));
	q->ordinal = d->index;
	r = vg_wait(&c, &p, sizeof(p));
	if (!r) {
		*now = p.now;
		now->driver[sizeof(now->driver) - 1] = '\0';
	}
	return error_of(r);
}

static void name(struct nvml_device *d)
{
	char *p = d->uuid + sprintf(d->uuid, "GPU-");

	for (int i = 0; i < 16; i++)
		p += sprintf(p, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
			     (unsigned char)d->info.uuid.bytes[i]);
	snprintf(d->bus_id, sizeof(d->bus_id), "%08X:%02X:%02X.0", (unsigned int)d->info.pci_domain,
		 (unsigned int)d->info.pci_bus & 0xff, (unsigned int)d->info.pci_device & 0xff);
	d->info.name[sizeof(d->info.name) - 1] = '\0';
}

static nvmlReturn_t fetch(void)
{
	vgpu_driver_info info;
	nvmlReturn_t r = ask_driver(&info);

	if (r)
		return r;
	cuda_version = info.version;
	count = info.devices < 0 ? 0 : info.devices > DEVICES_MAX ? DEVICES_MAX : info.devices;
	for (unsigned int i = 0; i < count && !r; i++) {
		devices[i].index = i;
		r = ask_device(i, &devices[i].info);
		if (!r)
			name(&devices[i]);
	}
	return r;
}

nvmlReturn_t host_start(void)
{
	nvmlReturn_t r = NVML_SUCCESS;

	pthread_mutex_lock(&lock);
	if (!starts)
		r = vg_connect() ? NVML_ERROR_DRIVER_NOT_LOADED : fetch();
	if (!r)
		starts++;
	pthread_mutex_unlock(&lock);
	return r;
}

nvmlReturn_t host_stop(void)
{
	nvmlReturn_t r = NVML_SUCCESS;

	pthread_mutex_lock(&lock);
	if (starts)
		starts--;
	else
		r = NVML_ERROR_UNINITIALIZED;
	pthread_mutex_unlock(&lock);
	return r;
}

nvmlReturn_t host_ready(void)
{
	return starts ? NVML_SUCCESS : NVML_ERROR_UNINITIALIZED;
}

unsigned int host_count(void)
{
	return count;
}

struct nvml_device *host_device(unsigned int index)
{
	return index < count ? &devices[index] : NULL;
}

struct nvml_device *host_check(nvmlDevice_t device)
{
	for (unsigned int i = 0; i < count; i++)
		if (device == &devices[i])
			return device;
	return NULL;
}

int host_cuda_version(void)
{
	return cuda_version < CUDA_VERSION ? cuda_version : CUDA_VERSION;
}
