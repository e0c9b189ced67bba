// SPDX-License-Identifier: Apache-2.0
/*
 * The thread that gives vGPUs their turns on the GPU (fair.c decides, docs/sharing.md explains).
 *
 * A vGPU's executors read in its account page when its turn ends, and write there whether they
 * have work on the device or wait for a turn; they ring when that changes.  So the thread needs
 * nothing of the loop's, which may wait for a disk or a log, but the list of vGPUs.
 *
 * It runs once the first pool has a share.
 */
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/clock.h"
#include "fair.h"
#include "mediator.h"

#define MAX_VGPUS	1024
#define EVENTS		32
#define SECOND_NS	1000000000u
#define STEPS		64	/* before it waits in any case, so that nobody can keep it busy */

struct vg_turns {
	struct vg_fair fair;
	struct vg_account *account;
	const char *devices;	/* as in struct vg_tenant */
	char pool[16];
	int bell;
	uint64_t told_until;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* all below */
static struct vg_fair *all[MAX_VGPUS];
static size_t count;
static bool on;			/* a pool has a share */
static int epoll = -1, own_bell = -1;

static struct vg_turns *of(struct vg_fair *f)
{
	return (struct vg_turns *)f;
}

static bool in_list(const char *list, const char *name, size_t bytes)
{
	size_t part;

	for (; *list; list += part + (list[part] == ',')) {
		part = strcspn(list, ",");
		if (part == bytes && !strncmp(list, name, bytes))
			return true;
	}
	return false;
}

/* Who sees all devices may use each. */
static bool apart(const struct vg_fair *a, const struct vg_fair *b)
{
	const char *one = ((const struct vg_turns *)a)->devices;
	const char *two = ((const struct vg_turns *)b)->devices;
	size_t part;

	if (!one || !two)
		return false;
	for (; *one; one += part + (one[part] == ',')) {
		part = strcspn(one, ",");
		if (in_list(two, one, part))
			return false;
	}
	return true;
}

/* What its executors do now; another executor of its may have written nonsense. */
static void look(struct vg_turns *t)
{
	unsigned int n = vg_account_entries(t->account);
	uint64_t state = 0;

	for (unsigned int i = 0; i < n; i++)
		state |= atomic_load(&t->account->entry[i].turn);
	t->fair.wants = state & VG_TURN_WANTS;
	t->fair.busy = state & VG_TURN_BUSY;
}

static void wake(struct vg_turns *t)
{
	atomic_fetch_add(&t->account->turn_seq, 1);
	syscall(SYS_futex, &t->account->turn_seq, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

static void tell(struct vg_turns *t, bool others)
{
	uint64_t until = t->fair.has_turn ? t->fair.until : 0;

	atomic_store(&t->account->turn_others, others);
	/* One of its executors may have written there. */
	if (until == t->told_until && atomic_load(&t->account->turn_until) == until)
		return;
	t->told_until = until;
	atomic_store(&t->account->turn_until, until);
	if (until)
		wake(t);
}

/* Returns when to come back at the latest, ns. */
static uint64_t steps(void)
{
	uint64_t next = UINT64_MAX, now;
	bool changed = true;

	for (int i = 0; i < STEPS && changed; i++) {
		unsigned int active = 0;

		now = vg_now_ns();
		for (size_t k = 0; k < count; k++)
			look(of(all[k]));
		changed = vg_fair_step(all, count, now, apart, &next);
		for (size_t k = 0; k < count; k++)
			active += all[k]->active;
		for (size_t k = 0; k < count; k++)
			tell(of(all[k]), active > all[k]->active);
	}
	return changed ? 0 : next;
}

/* Until somebody rings, or `next`. */
static void rest(uint64_t next)
{
	struct pollfd p = { .fd = epoll, .events = POLLIN };
	struct epoll_event events[EVENTS];
	uint64_t now = vg_now_ns(), ns = next > now ? next - now : 0;
	struct timespec limit = { .tv_sec = ns / SECOND_NS, .tv_nsec = ns % SECOND_NS };

	if (ppoll(&p, 1, next == UINT64_MAX ? NULL : &limit, NULL) > 0)
		/* The bells are edges, so nothing has to be read. */
		epoll_wait(epoll, events, EVENTS, 0);
}

static void *serve(void *arg)
{
	uint64_t next;

	(void)arg;
	for (;;) {
		pthread_mutex_lock(&lock);
		next = on ? steps() : UINT64_MAX;
		pthread_mutex_unlock(&lock);
		rest(next);
	}
	return NULL;
}

/* 0 or an errno. */
static int watch(int fd)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLET };

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) ? errno : 0;
}

static int open_bells(void)
{
	epoll = epoll_create1(EPOLL_CLOEXEC);
	own_bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return epoll < 0 || own_bell < 0 ? errno : watch(own_bell);
}

static int start(void)
{
	sigset_t all_signals, was;
	pthread_t thread;
	int ret;

	/* Signals are the loop's. */
	sigfillset(&all_signals);
	pthread_sigmask(SIG_SETMASK, &all_signals, &was);
	ret = pthread_create(&thread, NULL, serve, NULL);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	if (!ret)
		pthread_detach(thread);
	return ret;
}

static void ring(void)
{
	uint64_t one = 1;

	(void)!write(own_bell, &one, sizeof(one));
}

/* -- called by the loop */

void vg_turns_look(void)
{
	if (own_bell >= 0)
		ring();
}

/* 0 or a negative errno. */
int vg_turns_join(struct vg_tenant *t)
{
	struct vg_turns *s;
	int ret = 0;

	if (epoll < 0)
		ret = open_bells();
	s = ret ? NULL : calloc(1, sizeof(*s));
	if (!s) {
		vg_err("no turns on the GPU: %s", strerror(ret ? ret : ENOMEM));
		return -(ret ? ret : ENOMEM);
	}
	s->account = t->account;
	s->devices = t->devices;
	memcpy(s->pool, t->pool, sizeof(s->pool));
	s->fair.pool = s->pool;
	s->fair.share = s->fair.weight = VG_SHARE_USUAL;
	s->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ret = s->bell < 0 ? errno : watch(s->bell);
	pthread_mutex_lock(&lock);
	if (!ret && count == MAX_VGPUS)
		ret = ENOSPC;
	if (!ret)
		all[count++] = &s->fair;
	pthread_mutex_unlock(&lock);
	if (ret) {
		vg_err("%s: no turns on the GPU: %s", t->uuid, strerror(ret));
		if (s->bell >= 0)
			close(s->bell);
		free(s);
		return -ret;
	}
	t->turns = s;
	return 0;
}

void vg_turns_leave(struct vg_tenant *t)
{
	struct vg_turns *s = t->turns;

	if (!s)
		return;
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < count; i++)
		if (all[i] == &s->fair)
			all[i--] = all[--count];
	pthread_mutex_unlock(&lock);
	close(s->bell);
	free(s);
	t->turns = NULL;
	ring();
}

int vg_turns_bell(const struct vg_tenant *t)
{
	return t->turns->bell;
}

void vg_turns_set(struct vg_tenant *t)
{
	uint64_t share = t->quota[VG_QUOTA_SHARE];

	pthread_mutex_lock(&lock);
	t->turns->fair.share = share ? share : VG_SHARE_USUAL;
	t->turns->fair.weight = t->quota[VG_QUOTA_WEIGHT];
	t->turns->fair.latency = t->quota[VG_QUOTA_LATENCY];
	pthread_mutex_unlock(&lock);
}

void vg_turns_switch(void)
{
	static bool runs;
	struct vg_tenant *t;
	bool any = false;
	int ret;

	LIST_FOREACH(t, &vg_tenants, node)
		any |= t->quota[VG_QUOTA_SHARE] != 0;
	if (any && !runs) {
		ret = start();
		runs = any = !ret;
		if (ret)
			vg_err("shares of GPU time are not kept: cannot start a thread: %s",
			       strerror(ret));
	}
	pthread_mutex_lock(&lock);
	on = any;
	pthread_mutex_unlock(&lock);
	LIST_FOREACH(t, &vg_tenants, node) {
		if (atomic_exchange(&t->account->turns, any) && !any) {
			pthread_mutex_lock(&lock);
			wake(t->turns);
			pthread_mutex_unlock(&lock);
		}
	}
	ring();
}

void vg_turns_tell(struct vg_tenant *t)
{
	pthread_mutex_lock(&lock);
	atomic_store(&t->account->turns, on);
	pthread_mutex_unlock(&lock);
}

double vg_turns_due(const struct vg_tenant *t)
{
	double due;

	pthread_mutex_lock(&lock);
	due = on ? vg_fair_part(all, count, &t->turns->fair, apart) : 0;
	pthread_mutex_unlock(&lock);
	return due;
}

uint64_t vg_turns_used_ns(const struct vg_tenant *t)
{
	uint64_t ns;

	pthread_mutex_lock(&lock);
	ns = t->turns->fair.used_ns;
	pthread_mutex_unlock(&lock);
	return ns;
}
