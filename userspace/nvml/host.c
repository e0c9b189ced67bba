// SPDX-License-Identifier: Apache-2.0
/*
 * The library has a channel of its own: a program may ask NVML, fork, and use
 * CUDA in the child, which the CUDA library's channel would not allow.  It may
 * go on asking in the child, too: all that is known here is the host's, so a new
 * channel is as good as the old one.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "host.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* start and stop */
static _Atomic unsigned int starts;
static struct nvmlDevice_st devices[DEVICES_MAX];
static bool watched;
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
	pthread_mutex_init(&lock, NULL);
}

/* As vg_begin(), on a new channel in a child that has but its parent's. */
static CUresult begin(struct vg_call *c, uint16_t op, size_t bytes)
{
	CUresult r = vg_begin(c, op, bytes);

	if (r != CUDA_ERROR_NOT_INITIALIZED)
		return r;
	pthread_mutex_lock(&lock);
	vg_channel_renew();
	r = vg_connect();
	pthread_mutex_unlock(&lock);
	return r ? r : vg_begin(c, op, bytes);
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

nvmlReturn_t host_memory(nvmlDevice_t d, vgpu_memory *now)
{
	struct vg_rq_vgpu_memory *q;
	struct vg_rp_vgpu_memory p;
	struct vg_call c;
	CUresult r = begin(&c, VG_OP_vgpu_memory, sizeof(*q));

	if (r)
		return error_of(r);
	q = c.req;
	memset(q, 0, sizeof(*q));
	q->ordinal = d->index;
	r = vg_wait(&c, &p, sizeof(p));
	if (!r)
		*now = p.now;
	return error_of(r);
}

nvmlReturn_t host_processes(nvmlDevice_t d, vgpu_processes *list)
{
	struct vg_rq_vgpu_processes *q;
	struct vg_rp_vgpu_processes p;
	struct vg_call c;
	CUresult r = begin(&c, VG_OP_vgpu_processes, sizeof(*q));

	if (r)
		return error_of(r);
	q = c.req;
	memset(q, 0, sizeof(*q));
	q->ordinal = d->index;
	r = vg_wait(&c, &p, sizeof(p));
	if (r)
		return error_of(r);
	*list = p.list;
	if (list->count > VG_PROCESSES_MAX)
		list->count = VG_PROCESSES_MAX;
	return NVML_SUCCESS;
}

static nvmlReturn_t ask_access(nvmlDevice_t a, nvmlDevice_t b, int *can)
{
	struct vg_rq_cuDeviceCanAccessPeer *q;
	struct vg_rp_cuDeviceCanAccessPeer p;
	struct vg_call c;
	CUresult r = begin(&c, VG_OP_cuDeviceCanAccessPeer, sizeof(*q));

	if (r)
		return error_of(r);
	q = c.req;
	memset(q, 0, sizeof(*q));
	q->dev = a->index;
	q->peerDev = b->index;
	r = vg_wait(&c, &p, sizeof(p));
	if (!r)
		*can = p.canAccessPeer;
	return error_of(r);
}

static nvmlReturn_t ask_atomics(nvmlDevice_t a, nvmlDevice_t b, int *can)
{
	struct vg_rq_cuDeviceGetP2PAttribute *q;
	struct vg_rp_cuDeviceGetP2PAttribute p;
	struct vg_call c;
	CUresult r = begin(&c, VG_OP_cuDeviceGetP2PAttribute, sizeof(*q));

	if (r)
		return error_of(r);
	q = c.req;
	memset(q, 0, sizeof(*q));
	q->attrib = CU_DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED;
	q->srcDevice = a->index;
	q->dstDevice = b->index;
	r = vg_wait(&c, &p, sizeof(p));
	if (!r)
		*can = p.value;
	return error_of(r);
}

nvmlReturn_t host_peer(nvmlDevice_t a, nvmlDevice_t b, bool atomics, bool *can)
{
	int yes = 0;
	nvmlReturn_t r = atomics ? ask_atomics(a, b, &yes) : ask_access(a, b, &yes);

	*can = yes;
	return r;
}

nvmlReturn_t host_ask(nvmlDevice_t d, unsigned int question, unsigned int first,
		      unsigned int second, unsigned int third, vgpu_answer *answer)
{
	struct vg_rq_vgpu_ask *q;
	struct vg_rp_vgpu_ask p;
	struct vg_call c;
	CUresult r = begin(&c, VG_OP_vgpu_ask, sizeof(*q));

	if (r)
		return error_of(r);
	q = c.req;
	memset(q, 0, sizeof(*q));
	q->ordinal = d->index;
	q->question = question;
	q->first = first;
	q->second = second;
	q->third = third;
	r = vg_wait(&c, &p, sizeof(p));
	if (r)
		return error_of(r);
	*answer = p.said;
	answer->text[sizeof(answer->text) - 1] = '\0';
	return (nvmlReturn_t)answer->result;
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

	pthread_mutex_lock(&lock);
	if (!starts) {
		if (!watched)
			pthread_atfork(NULL, NULL, after_fork);
		watched = true;
		vg_channel_small();
		vg_channel_renew();
		r = vg_connect() ? NVML_ERROR_DRIVER_NOT_LOADED : fetch();
	}
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
