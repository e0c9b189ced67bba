// SPDX-License-Identifier: Apache-2.0
/* The guest's channel: by which way to get one, how large, what if there is none. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "client_internal.h"
#include "ring_sync.h"
#include "settings.h"
#include "socket_proto.h"

#define SQ_BYTES	(1u << 20)
#define SLOT_COUNT	128u
#define ARENA_BYTES	(32u << 20)
/*
 * Longer than most answered calls take (an allocation on an H200: 45 us), for a
 * sleeper costs its waker and itself some 20 us more.  VGPU_SPIN_US overrides.
 */
#define SPIN_US		100
/*
 * While the device works CUDA spins without an end, and a sleeper's waking takes up
 * to 200 us where the CPU is virtual: 1 % of this.  VGPU_SYNC_SPIN_US overrides.
 */
#define LONG_SPIN_US	20000
#define LONG_SPIN_CPUS	4	/* with fewer it would take them from others */

static pthread_mutex_t connect_lock = PTHREAD_MUTEX_INITIALIZER;
static bool fork_watched;
static bool small;
static uint64_t devices;	/* what the driver is to see of them (settings.h); connect_lock */
static atomic_bool kept;	/* the executor has what this process has made */

static CUresult connect_error(int err, const char *path)
{
	CUresult result;

	switch (err) {
	case -ENOENT:
	case -ENXIO:
	case -ENODEV:
		/* A program that only looks whether there is a GPU is to hear nothing. */
		if (getenv("VGPU_TRANSPORT") && path)
			fprintf(stderr, "vgpu: %s: %s (VGPU_TRANSPORT names it)\n", path,
				strerror(-err));
		return CUDA_ERROR_NO_DEVICE;
	case -ENOMEM:
		result = CUDA_ERROR_OUT_OF_MEMORY;
		break;
	case -EACCES:
	case -EPERM:
		result = CUDA_ERROR_NOT_PERMITTED;
		break;
	case -EHOSTDOWN:
		fprintf(stderr, "vgpu: %s: the host cannot run CUDA: its driver or its executor "
			"does not start\n", path);
		return CUDA_ERROR_SYSTEM_NOT_READY;
	case -ENOSPC:
		fprintf(stderr, "vgpu: %s: the guest driver has no channel free, or its limit on "
			"pinned memory is reached (user_limit and pin_limit of vgpu_guest)\n", path);
		return CUDA_ERROR_OUT_OF_MEMORY;
	case -EKEYREVOKED:
		fprintf(stderr, "vgpu: %s: the host gives this user or vGPU no new programs, because too "
			"many have ended by faults, until its operator lets it (vgpuctl release)\n", path);
		return CUDA_ERROR_SYSTEM_NOT_READY;
	case -ESHUTDOWN:
		fprintf(stderr, "vgpu: %s: the host's operator lets no new programs begin for now, because the "
			"host is to be updated or started again (vgpuctl drain)\n", path);
		return CUDA_ERROR_SYSTEM_NOT_READY;
	case -EUSERS:
		fprintf(stderr, "vgpu: %s: the host lets no further program of this user or vGPU start "
			"now: its limits are [limits] programs, connections and [executor] uids of "
			"vgpu.conf\n", path);
		return CUDA_ERROR_SYSTEM_NOT_READY;
	default:
		result = CUDA_ERROR_SYSTEM_NOT_READY;
		break;
	}
	fprintf(stderr, "vgpu: %s: %s\n", path, strerror(-err));
	return result;
}

/* A small guest gets a small arena: it is memory that nothing else can use. */
static uint32_t arena_bytes(void)
{
	struct sysinfo info;
	uint64_t ram;
	uint32_t bytes = ARENA_BYTES;

	if (sysinfo(&info))
		return bytes;
	ram = (uint64_t)info.totalram * info.mem_unit;
	while (bytes > ram / 16 && bytes > (1u << 20))
		bytes /= 2;
	return bytes;
}

static int transport_open(struct vg_client *c, const char **path)
{
	struct vgpu_layout want = {
		.sq_bytes = SQ_BYTES, .slot_count = SLOT_COUNT, .arena_bytes = arena_bytes(),
	};
	const char *choice = getenv("VGPU_TRANSPORT");

	if (small)
		want = (struct vgpu_layout){ .sq_bytes = VGPU_SQ_MIN, .slot_count = 16,
					     .arena_bytes = VGPU_RING_PAGE };
	if (choice && !strncmp(choice, "unix:", 5)) {
		c->t.ops = &vg_transport_socket;
		*path = choice + 5;
	} else if (choice && !strncmp(choice, "dev:", 4)) {
		c->t.ops = &vg_transport_dev;
		*path = choice + 4;
	} else if (choice) {
		fprintf(stderr, "vgpu: VGPU_TRANSPORT=%s is neither dev:PATH nor unix:PATH\n",
			choice);
		return -ENODEV;
	} else if (!access("/dev/vgpu0", F_OK)) {
		c->t.ops = &vg_transport_dev;
		*path = "/dev/vgpu0";
	} else {
		c->t.ops = &vg_transport_socket;
		*path = VG_SOCK_DEFAULT;
	}
	/* Who only monitors runs nothing that the driver could be told about. */
	return c->t.ops->open(&c->t, *path, &want, small ? 0 : vg_settings_read() | devices);
}

/* An executor has to be there before the first call: it may say no. */
static CUresult wait_ready(struct vg_client *c, const char *path)
{
	time_t deadline = time(NULL) + 60;

	for (;;) {
		uint32_t state = vg_load_acquire(&c->ring->host_state);
		int err;

		if (state == VGPU_HOST_READY)
			return CUDA_SUCCESS;
		if (state == VGPU_HOST_REFUSED)
			return connect_error(-(int)vg_load_acquire(&c->ring->host_error), path);
		err = c->t.ops->wait(&c->t, &c->ring->host_state, state);
		/* The device says why the mediator has refused; a socket has said it before. */
		if (err == -ESHUTDOWN || err == -EKEYREVOKED || err == -EUSERS)
			return connect_error(err, path);
		if (err || time(NULL) > deadline) {
			fprintf(stderr, "vgpu: %s: no mediator served this process (%s)\n", path,
				err ? strerror(-err) : "timed out");
			return CUDA_ERROR_SYSTEM_NOT_READY;
		}
	}
}

/* As before the first vg_connect(). */
static void forget(struct vg_client *c)
{
	int state = atomic_load(&c->state);

	/* The parent's is not mapped here, and its descriptors may be others by now. */
	if (state == VG_CLIENT_UP || state == VG_CLIENT_LOST)
		c->t.ops->close(&c->t);
	memset(&c->t, 0, sizeof(c->t));
	memset(c->slot_done, 0, sizeof(c->slot_done));
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->slot_freed, NULL);
	c->tail = c->head = 0;
	c->free_count = 0;
	atomic_store(&c->state, VG_CLIENT_NEW);
}

/*
 * A child has no channel.  If its parent has only asked something, the child may make one of
 * its own; right after fork() the parent's descriptors are still the channel's.
 */
static void after_fork_in_child(void)
{
	if (!atomic_load(&kept))
		forget(&vg_client);
	else if (atomic_load(&vg_client.state) != VG_CLIENT_NEW)
		atomic_store(&vg_client.state, VG_CLIENT_FORKED);
	pthread_mutex_init(&connect_lock, NULL);
}

void vg_channel_keep(void)
{
	atomic_store(&kept, true);
}

static CUresult client_connect(struct vg_client *c)
{
	const char *spin = getenv("VGPU_SPIN_US"), *long_spin = getenv("VGPU_SYNC_SPIN_US");
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	const char *path = NULL;
	CUresult result;
	uint32_t i;
	int err;

	err = transport_open(c, &path);
	if (err)
		return connect_error(err, path);

	c->ring = c->t.base;
	c->sq = (uint8_t *)c->t.base + c->t.layout.sq_off;
	c->slots = (void *)((uint8_t *)c->t.base + c->t.layout.slot_off);
	c->arena = (uint8_t *)c->t.base + c->t.layout.arena_off;
	result = wait_ready(c, path);
	if (result) {
		c->t.ops->close(&c->t);
		return result;
	}
	for (i = 0; i < c->t.layout.slot_count; i++)
		c->free_slots[c->free_count++] = i;
	vg_arena_init(c->t.layout.arena_bytes);
	/* With one CPU, spinning keeps the other side from running. */
	c->spin_us = spin ? (unsigned int)atoi(spin) : cpus > 1 ? SPIN_US : 0;
	c->long_spin_us = long_spin ? (unsigned int)atoi(long_spin) :
			  cpus >= LONG_SPIN_CPUS && !spin ? LONG_SPIN_US : c->spin_us;
	return CUDA_SUCCESS;
}

CUresult vg_connect(void)
{
	struct vg_client *c = &vg_client;
	CUresult result;

	if (atomic_load_explicit(&c->state, memory_order_acquire) == VG_CLIENT_UP)
		return CUDA_SUCCESS;

	pthread_mutex_lock(&connect_lock);
	switch (atomic_load(&c->state)) {
	case VG_CLIENT_NEW:
	case VG_CLIENT_FAILED:		/* the mediator may be there now */
		if (!fork_watched)
			pthread_atfork(NULL, NULL, after_fork_in_child);
		fork_watched = true;
		c->error = client_connect(c);
		result = c->error;
		atomic_store_explicit(&c->state, result ? VG_CLIENT_FAILED : VG_CLIENT_UP,
				      memory_order_release);
		break;
	case VG_CLIENT_UP:
		result = CUDA_SUCCESS;
		break;
	case VG_CLIENT_FORKED:
		result = CUDA_ERROR_NOT_INITIALIZED;
		break;
	default:
		result = c->error;
		break;
	}
	pthread_mutex_unlock(&connect_lock);
	return result;
}

void vg_channel_small(void)
{
	small = true;
}

static void give_up(uint64_t next)
{
	pthread_mutex_lock(&connect_lock);
	forget(&vg_client);
	devices = next;
	pthread_mutex_unlock(&connect_lock);
}

void vg_channel_close(void)
{
	give_up(0);
}

CUresult vg_channel_choose(uint64_t settings)
{
	give_up(settings);
	return vg_connect();
}

CUresult vg_client_lost(int err)
{
	CUresult result = CUDA_ERROR_DEVICE_UNAVAILABLE;
	int up = VG_CLIENT_UP;

	/* The executor says it before it ends, and the pages are ours. */
	if (vg_load_acquire(&vg_client.ring->host_state) == VGPU_HOST_ENDED &&
	    vg_load(&vg_client.ring->host_error) == CUDA_ERROR_LAUNCH_TIMEOUT)
		result = CUDA_ERROR_LAUNCH_TIMEOUT;
	vg_client.error = result;
	if (atomic_compare_exchange_strong(&vg_client.state, &up, VG_CLIENT_LOST))
		fprintf(stderr, "vgpu: the executor of this process has gone (%s)\n",
			result == CUDA_ERROR_LAUNCH_TIMEOUT ?
				"a kernel ran for longer than the host allows" : strerror(-err));
	return result;
}
