// SPDX-License-Identifier: Apache-2.0
/*
 * The guest's end of the ring: begin, post, wait for the answer.  The barriers are
 * those of linux/vgpu_ring.h.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "client_internal.h"
#include "ops_internal.h"
#include "ring_sync.h"

struct vg_client vg_client = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.slot_freed = PTHREAD_COND_INITIALIZER,
};

__thread uint32_t vg_thread_tag;
__thread uint64_t vg_thread_answered;
__thread struct vg_thread_timed vg_thread_timed;
void (*vg_on_deferred)(CUresult failure);
void (*vg_on_output)(void);

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

static __attribute__((noinline, cold)) void ask_for_time(struct vg_call *call, uint32_t size)
{
	struct vg_timed *t = (void *)((uint8_t *)call->rec + size - sizeof(*t));

	*t = (struct vg_timed){ .tag = vg_thread_timed.tag };
	call->rec->flags = VGPU_REC_TIMED;
	vg_thread_timed.records++;
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

	if (__builtin_expect(!!vg_thread_timed.tag, 0))
		size += sizeof(struct vg_timed);

	pthread_mutex_lock(&c->lock);
	/* Another thread may have found the executor gone meanwhile. */
	result = vg_connect();
	call->begin = c->tail;
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
	call->blocks = call->waits = call->polls = false;
	call->got = NULL;
	*call->rec = (struct vgpu_rec){ .size = size, .op = op, .tag = vg_thread_tag };
	if (__builtin_expect(!!vg_thread_timed.tag, 0))
		ask_for_time(call, size);
	return CUDA_SUCCESS;
}

/* The record is complete: let the executor see it, and wake it if need be. */
static void publish(struct vg_client *c, struct vg_call *call, uint32_t rings_at)
{
	uint32_t parked;

	c->tail = call->end;
	atomic_store_explicit(&c->last_begin, call->begin, memory_order_relaxed);
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

bool vg_quiet_since(uint64_t end)
{
	return atomic_load_explicit(&vg_client.state, memory_order_acquire) == VG_CLIENT_UP &&
	       vg_load_acquire64(&vg_client.ring->sq_tail) == end;
}

uint64_t vg_followed(uint64_t end)
{
	/* In this order: of a record published in between only its beginning is seen. */
	uint64_t tail = vg_load_acquire64(&vg_client.ring->sq_tail);

	return atomic_load_explicit(&vg_client.last_begin, memory_order_relaxed) == end ? tail : 0;
}

/* Whether there is a place for it (VG_PLACES_SPARE); the lock is held. */
static bool has_place(const struct vg_client *c, const struct vg_call *call)
{
	uint32_t all = c->t.layout.slot_count;
	uint32_t spare = all < 4 * VG_PLACES_SPARE ? all / 4 : VG_PLACES_SPARE;

	if (call->waits && c->waits >= all / 2)
		return false;
	return c->free_count > (call->blocks ? spare : 0);
}

/* Put the record aside until there is a place, and then at the end again; the lock is held. */
static __attribute__((noinline)) CUresult wait_for_place(struct vg_client *c, struct vg_call *call)
{
	uint8_t record[VGPU_REC_MAX];
	uint32_t size = call->rec->size;
	CUresult result;

	memcpy(record, call->rec, size);
	c->waiters++;
	while (!has_place(c, call))
		pthread_cond_wait(&c->slot_freed, &c->lock);
	c->waiters--;
	result = vg_connect();
	call->begin = c->tail;
	if (!result)
		result = make_room(c, size);
	if (result)
		return result;
	call->rec = (void *)(c->sq + (c->tail & (c->t.layout.sq_bytes - 1)));
	call->end = c->tail + size;
	memcpy(call->rec, record, size);
	return CUDA_SUCCESS;
}

CUresult vg_wait(struct vg_call *call, void *reply, size_t max)
{
	struct vg_client *c = &vg_client;
	struct vgpu_slot *slot;
	uint32_t index, last;
	unsigned int spin_us = call->blocks && !atomic_load(&c->no_long_spin) ? c->long_spin_us :
									    c->spin_us;
	bool behind = vg_client_far_behind(c);
	uint32_t notice = 0;
	int32_t deferred = 0;
	CUresult result;
	uint32_t len;

	if (!has_place(c, call)) {
		result = call->polls ? VG_WAITS_FULL : wait_for_place(c, call);
		if (result) {
			pthread_mutex_unlock(&c->lock);
			return result;
		}
	}
	index = c->free_slots[--c->free_count];
	slot = &c->slots[index];
	last = c->slot_done[index];
	c->waits += call->waits;
	call->rec->flags |= VGPU_REC_REPLY;
	call->rec->slot = index;
	publish(c, call, VGPU_HOST_NAPS);

	if (behind)
		vg_client_doze(call->end);
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
	/* A slot whose answer may still come is not used again: calls fail at once from now on. */
	if (atomic_load(&c->state) == VG_CLIENT_UP)
		c->slot_done[index] = last + 1;
	c->free_slots[c->free_count++] = index;
	c->waits -= call->waits;
	/* It may be a place for one of them and not for another. */
	if (c->waiters)
		pthread_cond_broadcast(&c->slot_freed);
	pthread_mutex_unlock(&c->lock);
	if (deferred && vg_on_deferred)
		vg_on_deferred((CUresult)deferred);
	if (notice & VG_NOTICE_OUTPUT && vg_on_output)
		vg_on_output();
	return result;
}

static _Atomic uint32_t pollers;

#define POLL_NS		20000L		/* for each thread that polls: some 50,000 questions a second */
#define POLL_MOST_NS	100000000L

void vg_poll_begin(void)
{
	atomic_fetch_add(&pollers, 1);
}

void vg_poll_nap(void)
{
	struct timespec nap = { .tv_nsec = POLL_NS * (long)atomic_load(&pollers) };

	if (nap.tv_nsec > POLL_MOST_NS)
		nap.tv_nsec = POLL_MOST_NS;
	nanosleep(&nap, NULL);
}

void vg_poll_end(void)
{
	atomic_fetch_sub(&pollers, 1);
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
