// SPDX-License-Identifier: Apache-2.0
/* How a thread of the guest waits for the executor: by spinning, then by sleeping. */
#include <time.h>

#include "client_internal.h"
#include "clock.h"
#include "ring_sync.h"

/*
 * With this much in the ring before a call, its answer is at least 250 us off (800
 * records of the smallest, 0.3 us each at best), and nobody need spin for all of it.
 */
#define DOZE_BYTES	(64u << 10)
#define DOZE_US		100	/* the first time */
#define DOZE_LEFT_US	500	/* with less to wait for, a late waking would be felt */
#define DOZE_MAX_US	10000

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

/* The executor's head, whose cache line is not here, is looked at once for each DOZE_BYTES. */
bool vg_client_far_behind(struct vg_client *c)
{
	uint64_t head;

	if (c->tail - c->head < DOZE_BYTES)
		return false;
	head = vg_client_head();
	if (head >= c->head && head <= c->tail)
		c->head = head;
	return c->tail - c->head >= DOZE_BYTES;
}

/* Half of what is left, by the executor's pace so far, so as to be back in time. */
void vg_client_doze(uint64_t end)
{
	uint64_t first = vg_client_head(), began = vg_now_us(), us = DOZE_US, last = first, head, left;

	/* Where other threads call too, the head may be past it by now. */
	if (first > end || end - first < DOZE_BYTES)
		return;
	do {
		nanosleep(&(struct timespec){ .tv_nsec = us * 1000 }, NULL);
		head = vg_client_head();
		/*
		 * If the executor has done nothing since the last look, it may have ended. Only the
		 * transport's wait tells that, and the caller goes there next.
		 */
		if (head <= last || head >= end)
			return;
		last = head;
		left = (end - head) * (vg_now_us() - began) / (head - first);
		us = left / 2 < DOZE_MAX_US ? left / 2 : DOZE_MAX_US;
	} while (left > DOZE_LEFT_US);
}
