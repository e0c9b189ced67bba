// SPDX-License-Identifier: Apache-2.0
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "event.h"
#include "ipc.h"

#define PAGE 4096

/*
 * An event that other processes know, in a page that all of them map.  Whoever completes a record
 * changes `news` afterwards and wakes who sleeps on it; who waits reads `news` before `completed`.
 */
struct sg_shared_event {
	_Atomic uint64_t recorded, completed;
	_Atomic uint32_t news;
};

static bool share(CUevent e, int fd)
{
	void *p;

	if (fd < 0)
		fd = e->fd = sg_ipc_file(PAGE);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return false;
	e->shared = p;
	return true;
}

CUevent sg_event_new(CUcontext ctx, unsigned int flags, int fd)
{
	CUevent e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->magic = MAGIC_EVENT;
	e->ctx = ctx;
	e->flags = flags;
	e->refs = 1;
	e->fd = -1;
	if (flags & CU_EVENT_INTERPROCESS && !share(e, fd)) {
		if (e->fd >= 0)
			close(e->fd);
		free(e);
		return NULL;
	}
	return e;
}

void sg_event_put(CUevent e)
{
	CUcontext ctx = e->ctx;
	bool last;

	pthread_mutex_lock(&ctx->lock);
	last = !--e->refs;
	pthread_mutex_unlock(&ctx->lock);
	if (!last)
		return;
	sg_point_clear(&e->at);
	if (e->shared)
		munmap(e->shared, PAGE);
	if (e->fd >= 0)
		close(e->fd);
	free(e);
}

uint64_t sg_event_record(CUevent e)
{
	return e->shared ? atomic_fetch_add(&e->shared->recorded, 1) + 1 : ++e->recorded;
}

uint64_t sg_event_recorded(CUevent e)
{
	return e->shared ? atomic_load(&e->shared->recorded) : e->recorded;
}

bool sg_event_done(CUevent e, uint64_t count)
{
	return (e->shared ? atomic_load(&e->shared->completed) : e->completed) >= count;
}

void sg_event_complete(CUevent e, uint64_t count)
{
	struct sg_shared_event *s = e->shared;
	uint64_t old;

	if (!s) {
		if (e->completed < count)
			e->completed = count;
		return;
	}
	old = atomic_load(&s->completed);
	while (old < count && !atomic_compare_exchange_weak(&s->completed, &old, count))
		;
	atomic_fetch_add(&s->news, 1);
	syscall(SYS_futex, &s->news, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

void sg_event_await(CUevent e, uint64_t count)
{
	struct sg_shared_event *s = e->shared;
	uint32_t news;

	if (!s) {
		while (e->completed < count)
			pthread_cond_wait(&e->ctx->done, &e->ctx->lock);
		return;
	}
	pthread_mutex_unlock(&e->ctx->lock);
	while (news = atomic_load(&s->news), atomic_load(&s->completed) < count)
		syscall(SYS_futex, &s->news, FUTEX_WAIT, news, NULL, NULL, 0);
	pthread_mutex_lock(&e->ctx->lock);
}
