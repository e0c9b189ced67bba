// SPDX-License-Identifier: Apache-2.0
/*
 * The library has a channel of its own, from nvmlInit() to nvmlShutdown(): a program
 * may ask NVML, fork, and use CUDA in the child, which the CUDA library's channel would
 * not allow.  It may go on asking in the child, too: all that is known here is the
 * host's, so a new channel is as good as the old one.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "host.h"

/* Held to write by what makes and ends the channel, to read by each call. */
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static _Atomic unsigned int starts;
static bool watched;
static struct nvmlDevice_st devices[DEVICES_MAX];
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

static void after_fork(void)
{
	pthread_rwlock_init(&lock, NULL);
}

/* A call and its answer; the lock is held. */
static CUresult ask(uint16_t op, const void *request, size_t bytes, void *answer, size_t max)
{
	struct vg_call c;
	CUresult r = vg_begin(&c, op, bytes);

	if (r)
		return r;
	if (bytes)
		memcpy(c.req, request, bytes);
	return vg_wait(&c, answer, max);
}

/* In a child, whose channel is its parent's: one of its own. */
static CUresult reconnect(void)
{
	CUresult r;

	pthread_rwlock_wrlock(&lock);
	r = vg_connect();
	if (r == CUDA_ERROR_NOT_INITIALIZED) {
		vg_channel_close();
		r = vg_connect();
	}
	pthread_rwlock_unlock(&lock);
	return r;
}

static nvmlReturn_t call(uint16_t op, const void *request, size_t bytes, void *answer, size_t max)
{
	bool again = true;
	CUresult r;

	do {
		pthread_rwlock_rdlock(&lock);
		if (!starts) {
			pthread_rwlock_unlock(&lock);
			return NVML_ERROR_UNINITIALIZED;
		}
		r = ask(op, request, bytes, answer, max);
		pthread_rwlock_unlock(&lock);
		if (r != CUDA_ERROR_NOT_INITIALIZED || !again)
			break;
		again = false;
		r = reconnect();
	} while (!r);
	return error_of(r);
}

nvmlReturn_t host_memory(nvmlDevice_t d, vgpu_memory *now)
{
	struct vg_rq_vgpu_memory q = { .ordinal = d->index };
	struct vg_rp_vgpu_memory p;
	nvmlReturn_t r = call(VG_OP_vgpu_memory, &q, sizeof(q), &p, sizeof(p));

	if (!r)
		*now = p.now;
	return r;
}

nvmlReturn_t host_processes(nvmlDevice_t d, vgpu_processes *list)
{
	struct vg_rq_vgpu_processes q = { .ordinal = d->index };
	struct vg_rp_vgpu_processes p;
	nvmlReturn_t r = call(VG_OP_vgpu_processes, &q, sizeof(q), &p, sizeof(p));

	if (r)
		return r;
	*list = p.list;
	if (list->count > VG_PROCESSES_MAX)
		list->count = VG_PROCESSES_MAX;
	return NVML_SUCCESS;
}

nvmlReturn_t host_access(nvmlDevice_t a, nvmlDevice_t b, bool *can)
{
	struct vg_rq_cuDeviceCanAccessPeer q = { .dev = a->index, .peerDev = b->index };
	struct vg_rp_cuDeviceCanAccessPeer p;
	nvmlReturn_t r = call(VG_OP_cuDeviceCanAccessPeer, &q, sizeof(q), &p, sizeof(p));

	*can = !r && p.canAccessPeer;
	return r;
}

nvmlReturn_t host_atomics(nvmlDevice_t a, nvmlDevice_t b, bool *can)
{
	struct vg_rq_cuDeviceGetP2PAttribute q = {
		.attrib = CU_DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED,
		.srcDevice = a->index, .dstDevice = b->index,
	};
	struct vg_rp_cuDeviceGetP2PAttribute p;
	nvmlReturn_t r = call(VG_OP_cuDeviceGetP2PAttribute, &q, sizeof(q), &p, sizeof(p));

	*can = !r && p.value;
	return r;
}

nvmlReturn_t host_ask(nvmlDevice_t d, unsigned int question, unsigned int first,
		      unsigned int second, unsigned int third, vgpu_answer *answer)
{
	struct vg_rq_vgpu_ask q = {
		.ordinal = d->index, .question = question,
		.first = first, .second = second, .third = third,
	};
	struct vg_rp_vgpu_ask p;
	nvmlReturn_t r = call(VG_OP_vgpu_ask, &q, sizeof(q), &p, sizeof(p));

	if (r)
		return r;
	*answer = p.said;
	answer->text[sizeof(answer->text) - 1] = '\0';
	return (nvmlReturn_t)answer->result;
}

/* -- what there is */

static nvmlReturn_t ask_driver(vgpu_driver_info *info)
{
	struct vg_rp_vgpu_driver p;
	CUresult r = ask(VG_OP_vgpu_driver, NULL, 0, &p, sizeof(p));

	if (!r)
		*info = p.info;
	return error_of(r);
}

static nvmlReturn_t ask_device(int ordinal, vgpu_device_info *info)
{
	struct vg_rq_vgpu_device q = { .ordinal = ordinal };
	struct vg_rp_vgpu_device p;
	CUresult r = ask(VG_OP_vgpu_device, &q, sizeof(q), &p, sizeof(p));

	if (!r)
		*info = p.info;
	return error_of(r);
}

static void name(nvmlDevice_t d)
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

	pthread_rwlock_wrlock(&lock);
	if (!starts) {
		if (!watched)
			pthread_atfork(NULL, NULL, after_fork);
		watched = true;
		vg_channel_small();
		r = vg_connect() ? NVML_ERROR_DRIVER_NOT_LOADED : fetch();
		/* Another time there may be a mediator. */
		if (r)
			vg_channel_close();
	}
	if (!r)
		starts++;
	pthread_rwlock_unlock(&lock);
	return r;
}

nvmlReturn_t host_stop(void)
{
	nvmlReturn_t r = NVML_SUCCESS;

	pthread_rwlock_wrlock(&lock);
	if (!starts)
		r = NVML_ERROR_UNINITIALIZED;
	else if (!--starts)
		vg_channel_close();
	pthread_rwlock_unlock(&lock);
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

nvmlDevice_t host_device(unsigned int index)
{
	return index < count ? &devices[index] : NULL;
}

nvmlDevice_t host_check(nvmlDevice_t device)
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
