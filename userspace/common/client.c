// SPDX-License-Identifier: Apache-2.0
/*
 * The guest's end of the ring: connect, begin, post, wait.  The barriers are
 * those of linux/vgpu_ring.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "client_internal.h"
#include "clock.h"
#include "ring_sync.h"
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
/*
 * With this much in the ring before a call, its answer is at least 250 us off (800
 * records of the smallest, 0.3 us each at best), and nobody need spin for all of it.
 */
#define DOZE_BYTES	(64u << 10)
#define DOZE_US		100	/* the first time */
#define DOZE_LEFT_US	500	/* with less to wait for, a late waking would be felt */
#define DOZE_MAX_US	10000

struct vg_client vg_client = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.slot_freed = PTHREAD_COND_INITIALIZER,
};

__thread uint32_t vg_thread_tag;
__thread uint64_t vg_thread_answered;
void (*vg_on_deferred)(CUresult failure);
void (*vg_on_output)(void);

static pthread_mutex_t connect_lock = PTHREAD_MUTEX_INITIALIZER;
static bool fork_watched;
static bool small;

static CUresult connect_error(int err, const char *path)
{
	CUresult result;

	switch (err) {
	case -ENOENT:
	case -ENXIO:
	case -ENODEV:
		return CUDA_ERROR_NO_DEVICE;
	case -ENOMEM:
		result = CUDA_ERROR_OUT_OF_MEMORY;
		break;
	case -EACCES:
	case -EPERM:
		result = CUDA_ERROR_NOT_PERMITTED;
		break;
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
	return c->t.ops->open(&c->t, *path, &want);
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
		if (err || time(NULL) > deadline) {
			fprintf(stderr, "vgpu: %s: no mediator served this process (%s)\n", path,
				err ? strerror(-err) : "timed out");
			return CUDA_ERROR_SYSTEM_NOT_READY;
		}
	}
}

static void after_fork_in_child(void)
{
	if (atomic_load(&vg_client.state) != VG_CLIENT_NEW)
		atomic_store(&vg_client.state, VG_CLIENT_FORKED);
	pthread_mutex_init(&connect_lock, NULL);
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

void vg_channel_close(void)
{
	struct vg_client *c = &vg_client;
	int state;

	pthread_mutex_lock(&connect_lock);
	state = atomic_load(&c->state);
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
	pthread_mutex_unlock(&connect_lock);
}

CUresult vg_client_lost(int err)
{
	int up = VG_CLIENT_UP;

	vg_client.error = CUDA_ERROR_DEVICE_UNAVAILABLE;
	if (atomic_compare_exchange_strong(&vg_client.state, &up, VG_CLIENT_LOST))
		fprintf(stderr, "vgpu: the executor of this process has gone (%s)\n",
			strerror(-err));
	return CUDA_ERROR_DEVICE_UNAVAILABLE;
}

static bool spin(const uint32_t *word, uint32_t value, unsigned int spin_us)
{
	uint64_t end = 0;
	unsigned int i;

	if (vg_load_acquire(word) != value)
		return true;
	if (!spin_us)
		return false;
	for (i = 1;; i++) {
		if (vg_load_acquire(word) != value)
			return true;
		vg_cpu_relax();
		if (i % 64)
			continue;
		if (!end)
			end = vg_now_us() + spin_us;
		else if (vg_now_us() >= end)
			return false;
	}
}

CUresult vg_client_sleep(const uint32_t *word, uint32_t value, uint32_t *parked,
			 unsigned int spin_us)
{
	struct vg_client *c = &vg_client;
	CUresult result = CUDA_SUCCESS;
	int err;

	if (spin(word, value, spin_us))
		return CUDA_SUCCESS;
	vg_store(parked, 1);
	vg_full_fence();	/* parked before the look; pairs with the executor's */
	while (vg_load_acquire(word) == value) {
		err = c->t.ops->wait(&c->t, word, value);
		if (err) {
			result = vg_client_lost(err);
			break;
		}
	}
	vg_store(parked, 0);
	return result;
}

uint64_t vg_client_head(void)
{
	return vg_load_acquire64(&vg_client.ring->sq_head);
}

CUresult vg_client_wait_head(uint64_t wanted)
{
	/* One thread at a time has space_wanted. */
	static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
	struct vg_client *c = &vg_client;
	struct vgpu_ring *ring = c->ring;
	uint64_t end = vg_now_us() + c->spin_us, head;
	CUresult result = CUDA_SUCCESS;
	int err;

	do {
		for (int i = 0; i < 64; i++) {
			if (vg_client_head() >= wanted)
				return CUDA_SUCCESS;
			vg_cpu_relax();
		}
	} while (vg_now_us() < end);

	pthread_mutex_lock(&turn);
	vg_store(&ring->space_wanted, (uint32_t)wanted + 1);
	vg_full_fence();	/* wanted before the look; pairs with the executor's */
	while (!result && (head = vg_client_head()) < wanted) {
		/* The low half is enough to see a change, and is what a futex takes. */
		err = c->t.ops->wait(&c->t, (const uint32_t *)&ring->sq_head, (uint32_t)head);
		if (err)
			result = vg_client_lost(err);
	}
	vg_store(&ring->space_wanted, 0);
	pthread_mutex_unlock(&turn);
	return result;
}

void vg_client_spin_long(bool yes)
{
	atomic_store(&vg_client.no_long_spin, !yes);
}

/* Make room for `bytes` in one piece at the tail; the lock is held. */
static CUresult make_room(struct vg_client *c, uint32_t bytes)
{
	uint32_t sq_bytes = c->t.layout.sq_bytes;
	uint32_t at = c->tail & (sq_bytes - 1);
	uint32_t pad = sq_bytes - at < bytes ? sq_bytes - at : 0;
	CUresult result;

	while (c->tail + pad + bytes - c->head > sq_bytes) {
		uint64_t head = vg_client_head(), wanted;

		/* A head that is not between is not one that we follow. */
		if (head < c->head || head > c->tail)
			return vg_client_lost(-EPROTO);
		c->head = head;
		if (c->tail + pad + bytes - head <= sq_bytes)
			break;
		/* For some room at once: not to wait again for each record. */
		wanted = c->tail + pad + bytes + sq_bytes / 4 - sq_bytes;
		result = vg_client_wait_head(wanted < c->tail ? wanted : c->tail);
		if (result)
			return result;
	}
	if (pad) {
		struct vgpu_rec *rec = (void *)(c->sq + at);

		*rec = (struct vgpu_rec){ .size = pad, .op = VGPU_OP_PAD };
		c->tail += pad;
	}
	return CUDA_SUCCESS;
}

CUresult vg_begin(struct vg_call *call, uint16_t op, size_t bytes)
{
	struct vg_client *c = &vg_client;
	uint32_t size;
	CUresult result;

	if (bytes > VG_INLINE_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	result = vg_connect();
	if (result)
		return result;
	size = (sizeof(struct vgpu_rec) + bytes + VGPU_REC_ALIGN - 1) & ~(VGPU_REC_ALIGN - 1);

	pthread_mutex_lock(&c->lock);
	while (!c->free_count)
		pthread_cond_wait(&c->slot_freed, &c->lock);
	/* Another thread may have found the executor gone meanwhile. */
	result = vg_connect();
	if (!result)
		result = make_room(c, size);
	if (result) {
		pthread_mutex_unlock(&c->lock);
		return result;
	}
	call->rec = (void *)(c->sq + (c->tail & (c->t.layout.sq_bytes - 1)));
	call->end = c->tail + size;
	call->req = call->rec + 1;
	call->bytes = bytes;
	call->blocks = false;
	call->got = NULL;
	*call->rec = (struct vgpu_rec){ .size = size, .op = op, .tag = vg_thread_tag };
	return CUDA_SUCCESS;
}

/* The record is complete: let the executor see it, and wake it if need be. */
static void publish(struct vg_client *c, struct vg_call *call, uint32_t rings_at)
{
	uint32_t parked;

	c->tail = call->end;
	vg_store_release64(&c->ring->sq_tail, c->tail);
	vg_full_fence();	/* tail before the look; pairs with the executor's */
	parked = vg_load(&c->ring->host_parked);
	pthread_mutex_unlock(&c->lock);
	if (parked >= rings_at)
		c->t.ops->doorbell(&c->t);
}

CUresult vg_post(struct vg_call *call)
{
	publish(&vg_client, call, VGPU_HOST_SLEEPS);
	return CUDA_SUCCESS;
}

/*
 * Whether there is much in the ring; the lock is held.  The executor's head, whose cache
 * line is not here, is looked at once for each DOZE_BYTES.
 */
static bool far_behind(struct vg_client *c)
{
	uint64_t head;

	if (c->tail - c->head < DOZE_BYTES)
		return false;
	head = vg_client_head();
	if (head >= c->head && head <= c->tail)
		c->head = head;
	return c->tail - c->head >= DOZE_BYTES;
}

/*
 * Sleep while the executor has much to do before the record that ends here: half of what
 * is left, by its pace so far, so as to be back in time.
 */
static void doze(uint64_t end)
{
	uint64_t first = vg_client_head(), began = vg_now_us(), us = DOZE_US, head, left;

	/* Where other threads call too, the head may be past it by now. */
	if (first > end || end - first < DOZE_BYTES)
		return;
	do {
		nanosleep(&(struct timespec){ .tv_nsec = us * 1000 }, NULL);
		head = vg_client_head();
		if (head <= first || head >= end)
			return;
		left = (end - head) * (vg_now_us() - began) / (head - first);
		us = left / 2 < DOZE_MAX_US ? left / 2 : DOZE_MAX_US;
	} while (left > DOZE_LEFT_US);
}

bool vg_quiet_since(uint64_t end)
{
	return atomic_load_explicit(&vg_client.state, memory_order_acquire) == VG_CLIENT_UP &&
	       vg_load_acquire64(&vg_client.ring->sq_tail) == end;
}

CUresult vg_wait(struct vg_call *call, void *reply, size_t max)
{
	struct vg_client *c = &vg_client;
	uint32_t index = c->free_slots[--c->free_count];
	struct vgpu_slot *slot = &c->slots[index];
	uint32_t last = c->slot_done[index];
	unsigned int spin_us = call->blocks && !atomic_load(&c->no_long_spin) ? c->long_spin_us :
									    c->spin_us;
	bool behind = far_behind(c);
	uint32_t notice = 0;
	int32_t deferred = 0;
	CUresult result;
	uint32_t len;

	call->rec->flags = VGPU_REC_REPLY;
	call->rec->slot = index;
	publish(c, call, VGPU_HOST_NAPS);

	if (behind)
		doze(call->end);
	result = vg_client_sleep(&slot->done, last, &slot->parked, spin_us);
	if (!result) {
		vg_thread_answered = call->end;
		result = (CUresult)slot->status;
		deferred = slot->deferred;
		notice = slot->notice;
		len = slot->len;
		if (len > max)
			len = max;
		if (len > VG_REPLY_MAX)
			len = VG_REPLY_MAX;
		if (call->got)
			*call->got = len;
		if (max) {
			memcpy(reply, slot->payload, len);
			memset((uint8_t *)reply + len, 0, max - len);
		}
	}

	pthread_mutex_lock(&c->lock);
	/* A slot whose answer may still come is not used again. */
	if (atomic_load(&c->state) == VG_CLIENT_UP) {
		c->slot_done[index] = last + 1;
		c->free_slots[c->free_count++] = index;
		pthread_cond_signal(&c->slot_freed);
	} else {
		/* Nor need anyone wait for one: calls fail at once from now on. */
		c->free_slots[c->free_count++] = index;
		pthread_cond_broadcast(&c->slot_freed);
	}
	pthread_mutex_unlock(&c->lock);
	if (deferred && vg_on_deferred)
		vg_on_deferred((CUresult)deferred);
	if (notice & VG_NOTICE_OUTPUT && vg_on_output)
		vg_on_output();
	return result;
}

CUresult vg_output_next(unsigned int which, void *text, uint32_t *bytes)
{
	struct vg_output_take *rq;
	struct vg_call call;
	CUresult r = vg_begin(&call, VG_OP_OUTPUT, sizeof(*rq));

	*bytes = 0;
	if (r)
		return r;
	rq = call.req;
	*rq = (struct vg_output_take){ .which = which };
	call.got = bytes;
	return vg_wait(&call, text, VG_REPLY_MAX);
}
