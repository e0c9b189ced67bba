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
 *
 * A descriptor that waits has its place in the table of descriptors, so each user and each vGPU
 * may have VG_CLOSING_MAX of them; the loop reads nothing more from whoever has more. The queue
 * takes no memory: it goes through an array with an entry for each descriptor. If the kernel
 * refuses a thread, descriptors wait, and the loop tries again (vg_closers_tick()).
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/fdpass.h"
#include "mediator.h"

#define RETRY_MS	100	/* before the next try to make a thread */

/* Of a descriptor that waits; under its closer's lock. */
struct waiting {
	atomic_int next;		/* the one after it, or -1 */
	atomic_bool connection;		/* whose other side is to read its answer */
};

struct vg_closer {
	pthread_mutex_t lock;		/* the four below */
	int first, last;		/* of the queue; first is -1 if it is empty */
	unsigned int refs;		/* a thread that runs, or is wanted, has one */
	bool runs;			/* a thread does, or is wanted */
	atomic_uint open;		/* in the queue, or being closed */
	LIST_ENTRY(vg_closer) stalled;
};

static struct waiting *waiting;	/* VG_OPEN_MAX of them */
static atomic_uint all_open;
static LIST_HEAD(, vg_closer) stalled = LIST_HEAD_INITIALIZER(stalled);	/* the loop's */
static int64_t retry_at;
static bool told;

struct vg_closer *vg_closer_new(void)
{
	struct vg_closer *c;

	if (!waiting) {
		/* The kernel gives pages to those that are used. */
		void *m = mmap(NULL, VG_OPEN_MAX * sizeof(*waiting), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (m == MAP_FAILED)
			return NULL;
		waiting = m;
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	pthread_mutex_init(&c->lock, NULL);
	c->first = -1;
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

bool vg_closer_full(const struct vg_closer *c)
{
	return vg_closer_open(c) >= VG_CLOSING_MAX;
}

unsigned int vg_closers_open(void)
{
	return atomic_load(&all_open);
}

/* The end of a connection with unread messages would overtake the answer on it. */
static void forget_unread(int sock)
{
	char bytes[1024];

	while (recv(sock, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

static void *drain(void *arg)
{
	struct vg_closer *c = arg;
	bool connection;
	int fd;

	pthread_mutex_lock(&c->lock);
	while ((fd = c->first) >= 0) {
		c->first = atomic_load(&waiting[fd].next);
		connection = atomic_load(&waiting[fd].connection);
		pthread_mutex_unlock(&c->lock);
		if (connection)
			forget_unread(fd);
		close(fd);
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
static int start(struct vg_closer *c)
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
	return ret;
}

int vg_closers_tick(void)
{
	struct vg_closer *c;
	int64_t now;

	if (LIST_EMPTY(&stalled))
		return -1;
	now = vg_now_ms();
	if (now < retry_at)
		return retry_at - now;
	while ((c = LIST_FIRST(&stalled))) {
		/* Its thread may free it as soon as it runs. */
		LIST_REMOVE(c, stalled);
		if (start(c)) {
			LIST_INSERT_HEAD(&stalled, c, stalled);
			retry_at = now + RETRY_MS;
			return RETRY_MS;
		}
	}
	told = false;
	return -1;
}

static void stall(struct vg_closer *c, int error)
{
	if (LIST_EMPTY(&stalled))
		retry_at = vg_now_ms() + RETRY_MS;
	LIST_INSERT_HEAD(&stalled, c, stalled);
	if (!told)
		vg_err("no thread to close what others have sent: %s; it waits", strerror(error));
	told = true;
}

static void enqueue(struct vg_closer *c, int fd, bool connection)
{
	bool starts;
	int error;

	atomic_store(&waiting[fd].next, -1);
	atomic_store(&waiting[fd].connection, connection);
	atomic_fetch_add(&c->open, 1);
	atomic_fetch_add(&all_open, 1);
	pthread_mutex_lock(&c->lock);
	if (c->first < 0)
		c->first = fd;
	else
		atomic_store(&waiting[c->last].next, fd);
	c->last = fd;
	starts = !c->runs;
	if (starts) {
		c->runs = true;
		c->refs++;
	}
	pthread_mutex_unlock(&c->lock);
	error = starts ? start(c) : 0;
	if (error)
		stall(c, error);
}

void vg_closer_close(struct vg_closer *c, int fd)
{
	if (fd < 0)
		return;
	if (c)
		enqueue(c, fd, false);
	else
		close(fd);
}

void vg_closer_hang_up(struct vg_closer *c, int sock, bool now)
{
	/* Nobody can send anything more, so what is seen to be empty stays so. */
	shutdown(sock, SHUT_RDWR);
	if (now && vg_recv_rest(sock))
		close(sock);
	else
		enqueue(c, sock, true);
}

int vg_closer_recv(struct vg_closer *c, int sock, void *msg, size_t len, int *fd)
{
	int ret = vg_recv_one_fd(sock, msg, len, fd);

	if (ret && fd) {
		vg_closer_close(c, *fd);
		*fd = -1;
	}
	return ret;
}
