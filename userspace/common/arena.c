// SPDX-License-Identifier: Apache-2.0
/*
 * The data arena: blocks of 4 KiB pages, first fit, so that pages which both sides
 * have touched are used again before others.  A block of a posted call comes back
 * once the ring's head has passed that call's record.
 */
#include <stdlib.h>
#include <string.h>

#include "client_internal.h"
#include "ops_internal.h"

#define PAGE 4096u

struct pending {
	struct pending *next;
	uint32_t first, count;	/* pages */
	uint64_t end;		/* free once the head is here */
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t freed;
	uint32_t pages;
	uint8_t *used;		/* one byte a page */
	struct pending *oldest, **newest;
} arena = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.freed = PTHREAD_COND_INITIALIZER,
};

void vg_arena_init(uint32_t bytes)
{
	arena.pages = bytes / PAGE;
	free(arena.used);
	arena.used = calloc(arena.pages, 1);
	arena.newest = &arena.oldest;
	if (!arena.used)
		arena.pages = 0;
}

/* A quarter, so that one block can be filled while others are emptied. */
size_t vg_arena_max(void)
{
	return vg_connect() ? 0 : (size_t)arena.pages / 4 * PAGE;
}

static uint32_t pages_of(size_t bytes)
{
	return (bytes + PAGE - 1) / PAGE;
}

static bool find(uint32_t count, uint32_t *out)
{
	uint8_t *at = arena.used, *end = arena.used + arena.pages, *taken;

	while ((at = memchr(at, 0, end - at)) && count <= end - at) {
		taken = memchr(at, 1, count);
		if (!taken) {
			*out = at - arena.used;
			return true;
		}
		at = taken;
	}
	return false;
}

static void reap(void)
{
	uint64_t head = vg_client_head();

	while (arena.oldest && arena.oldest->end <= head) {
		struct pending *p = arena.oldest;

		memset(arena.used + p->first, 0, p->count);
		arena.oldest = p->next;
		if (!arena.oldest)
			arena.newest = &arena.oldest;
		free(p);
	}
}

CUresult vg_arena_alloc(struct vg_block *b, size_t bytes)
{
	uint32_t count = pages_of(bytes);
	CUresult result = vg_connect();
	uint32_t first;

	if (result)
		return result;
	if (!count || bytes > vg_arena_max())
		return CUDA_ERROR_INVALID_VALUE;

	pthread_mutex_lock(&arena.lock);
	for (;;) {
		reap();
		if (find(count, &first))
			break;
		if (arena.oldest) {
			uint64_t end = arena.oldest->end;

			pthread_mutex_unlock(&arena.lock);
			result = vg_client_wait_head(end);
			pthread_mutex_lock(&arena.lock);
		} else {
			pthread_cond_wait(&arena.freed, &arena.lock);
			result = vg_connect();
		}
		if (result)
			goto out;
	}
	memset(arena.used + first, 1, count);
	b->off = first * PAGE;
	b->bytes = bytes;
	b->ptr = vg_client.arena + b->off;
out:
	pthread_mutex_unlock(&arena.lock);
	return result;
}

void vg_arena_free(struct vg_block *b)
{
	pthread_mutex_lock(&arena.lock);
	memset(arena.used + b->off / PAGE, 0, pages_of(b->bytes));
	pthread_cond_broadcast(&arena.freed);
	pthread_mutex_unlock(&arena.lock);
}

void vg_arena_free_after(struct vg_block *b, const struct vg_call *c)
{
	struct pending *p = malloc(sizeof(*p));

	if (!p) {
		/* No memory to remember it by: wait for it here. */
		vg_client_wait_head(c->end);
		vg_arena_free(b);
		return;
	}
	*p = (struct pending){ .first = b->off / PAGE, .count = pages_of(b->bytes), .end = c->end };
	pthread_mutex_lock(&arena.lock);
	*arena.newest = p;
	arena.newest = &p->next;
	/* Whoever waited for a free block can wait for this one now. */
	pthread_cond_broadcast(&arena.freed);
	pthread_mutex_unlock(&arena.lock);
}

CUresult vg_blob_send(const void *data, size_t bytes, uint32_t *blob)
{
	static _Atomic uint32_t next_id;
	uint32_t id;
	size_t at = 0;

	do
		id = atomic_fetch_add(&next_id, 1) + 1;
	while (!id);

	do {
		struct vg_blob_append *rq;
		struct vg_block block;
		struct vg_call call;
		CUresult result;
		size_t n = bytes - at;

		result = vg_connect();
		if (result)
			return result;
		if (n > vg_arena_max())
			n = vg_arena_max();
		result = vg_arena_alloc(&block, n ? n : 1);
		if (result)
			return result;
		memcpy(block.ptr, (const uint8_t *)data + at, n);
		result = vg_begin(&call, VG_OP_BLOB_APPEND, sizeof(*rq));
		if (result) {
			vg_arena_free(&block);
			return result;
		}
		rq = call.req;
		*rq = (struct vg_blob_append){
			.blob = id, .off = block.off, .bytes = n, .at = at, .total = bytes,
		};
		vg_post(&call);
		vg_arena_free_after(&block, &call);
		at += n;
	} while (at < bytes);
	*blob = id;
	return CUDA_SUCCESS;
}
