// SPDX-License-Identifier: Apache-2.0
/*
 * Threads that close what came from others.
 *
 * Whoever closes a file last may wait: while the kernel frees the pages of a memfd, while a
 * driver frees what a process had, or for as long as the owner of a file system or of a
 * connection likes. So the loop closes no descriptor that a program or an executor has sent,
 * and no socket, because messages that nobody has read may hold such descriptors. Each user of
 * the socket and each vGPU has a closer of its own, so that nobody waits for another's files.
 *
 * A closer closes in the order in which it was asked. A channel depends on that: it is given
 * up after all that its executor had of the GPU driver.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/fdpass.h"
#include "mediator.h"

struct waiting {
	STAILQ_ENTRY(waiting) node;
	int fd;
};

struct vg_closer {
	pthread_mutex_t lock;			/* the three below */
	STAILQ_HEAD(, waiting) queue;
	unsigned int refs;			/* a thread that runs has one */
	bool runs;
	atomic_uint open;			/* in the queue, or being closed */
};

static atomic_uint all_open;

struct vg_closer *vg_closer_new(void)
{
	struct vg_closer *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	pthread_mutex_init(&c->lock, NULL);
	STAILQ_INIT(&c->queue);
	c->refs = 1;
	return c;
}

struct vg_closer *vg_closer_get(struct vg_closer *c)
{
	if (!c)
		return NULL;
	pthread_mutex_lock(&c->lock);
	c->refs++;
	pthread_mutex_unlock(&c->lock);
	return c;
}

void vg_closer_put(struct vg_closer *c)
{
	bool last;

	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	last = !--c->refs;
	pthread_mutex_unlock(&c->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&c->lock);
	free(c);
}

unsigned int vg_closer_open(const struct vg_closer *c)
{
	return c ? atomic_load(&c->open) : 0;
}

unsigned int vg_closers_open(void)
{
	return atomic_load(&all_open);
}

static void *drain(void *arg)
{
	struct vg_closer *c = arg;
	struct waiting *w;

	pthread_mutex_lock(&c->lock);
	while ((w = STAILQ_FIRST(&c->queue))) {
		STAILQ_REMOVE_HEAD(&c->queue, node);
		pthread_mutex_unlock(&c->lock);
		close(w->fd);
		free(w);
		atomic_fetch_sub(&c->open, 1);
		atomic_fetch_sub(&all_open, 1);
		pthread_mutex_lock(&c->lock);
	}
	c->runs = false;
	pthread_mutex_unlock(&c->lock);
	vg_closer_put(c);
	return NULL;
}

/* Signals are the loop's. */
static bool start(struct vg_closer *c)
{
	sigset_t all, was;
	pthread_attr_t attr;
	pthread_t thread;
	int ret;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, PTHREAD_STACK_MIN + (16 << 10));
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	ret = pthread_create(&thread, &attr, drain, c);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	pthread_attr_destroy(&attr);
	return !ret;
}

void vg_closer_close(struct vg_closer *c, int fd)
{
	struct waiting *w;
	bool starts;

	if (fd < 0)
		return;
	w = c ? malloc(sizeof(*w)) : NULL;
	if (!w) {
		close(fd);
		return;
	}
	w->fd = fd;
	atomic_fetch_add(&c->open, 1);
	atomic_fetch_add(&all_open, 1);
	pthread_mutex_lock(&c->lock);
	STAILQ_INSERT_TAIL(&c->queue, w, node);
	starts = !c->runs;
	if (starts) {
		c->runs = true;
		c->refs++;
	}
	pthread_mutex_unlock(&c->lock);
	/* Without a thread it is done here: late is worse, because channels are given up so. */
	if (starts && !start(c))
		drain(c);
}

int vg_closer_recv(struct vg_closer *c, int sock, void *msg, size_t len, int *fds, int max)
{
	int all[VG_FDS_ALL], count, ret = vg_recv_all_fds(sock, msg, len, all, &count);

	if (!ret && count > max)
		ret = -EBADMSG;
	for (int i = 0; i < count; i++) {
		if (ret)
			vg_closer_close(c, all[i]);
		else
			fds[i] = all[i];
	}
	return ret ? ret : count;
}
