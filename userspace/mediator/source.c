// SPDX-License-Identifier: Apache-2.0
/* What the loop waits for: descriptors, and those that are left alone for a while. */
#include <errno.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "mediator.h"

#define BATCH 32

static int epoll_fd = -1;
static LIST_HEAD(, vg_source) paused = LIST_HEAD_INITIALIZER(paused);

/*
 * A batch of events may hold one of a source that an earlier event of the
 * batch has removed: it is crossed out here.
 */
static struct epoll_event batch[BATCH];
static int batch_count;

int64_t vg_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int vg_sources_open(void)
{
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return epoll_fd < 0 ? -errno : 0;
}

int vg_source_add(struct vg_source *s, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = s };

	s->events = events;
	s->resume_at = 0;
	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->fd, &event) ? -errno : 0;
}

void vg_source_pause(struct vg_source *s, int64_t ms)
{
	struct epoll_event event = { .events = 0, .data.ptr = s };

	/* The end of the other side is told all the same. */
	epoll_ctl(epoll_fd, EPOLL_CTL_MOD, s->fd, &event);
	if (!s->resume_at)
		LIST_INSERT_HEAD(&paused, s, paused);
	s->resume_at = vg_now_ms() + (ms > 0 ? ms : 1);
}

static void resume(struct vg_source *s)
{
	struct epoll_event event = { .events = s->events, .data.ptr = s };

	LIST_REMOVE(s, paused);
	s->resume_at = 0;
	epoll_ctl(epoll_fd, EPOLL_CTL_MOD, s->fd, &event);
}

int vg_source_take(struct vg_source *s)
{
	int fd = s->fd;

	if (s->resume_at) {
		LIST_REMOVE(s, paused);
		s->resume_at = 0;
	}
	epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	s->fd = -1;
	for (int i = 0; i < batch_count; i++)
		if (batch[i].data.ptr == s)
			batch[i].data.ptr = NULL;
	return fd;
}

void vg_source_remove(struct vg_source *s)
{
	if (s->fd < 0)
		return;
	if (s->closer)
		vg_closer_hang_up(s->closer, vg_source_take(s), vg_closer_full(s->closer));
	else
		close(vg_source_take(s));
}

static int resume_due(void)
{
	int64_t now = vg_now_ms(), next = -1;
	struct vg_source *s, *after;

	for (s = LIST_FIRST(&paused); s; s = after) {
		after = LIST_NEXT(s, paused);
		if (s->resume_at <= now)
			resume(s);
		else if (next < 0 || s->resume_at - now < next)
			next = s->resume_at - now;
	}
	return next;
}

void vg_sources_wait(int ms)
{
	int due = resume_due();

	if (due >= 0 && (ms < 0 || due < ms))
		ms = due;
	batch_count = epoll_wait(epoll_fd, batch, BATCH, ms);
	for (int i = 0; i < batch_count; i++) {
		struct vg_source *s = batch[i].data.ptr;

		if (s)
			s->ready(s, batch[i].events);
	}
	batch_count = 0;
}
