// SPDX-License-Identifier: Apache-2.0
/*
 * Who consumes the ring.
 *
 * One thread at a time has the role.  Before it runs a call that may block it
 * lays the role down, and takes it up again afterwards if nobody has needed it
 * meanwhile: a program of one thread is served by one thread, whatever it calls.
 *
 * Of the others one is the sentinel.  It sleeps on the doorbell, and takes the
 * role when there is something in the ring and nobody has it.  Whoever lays the
 * role down says so in host_parked, so the guest rings.
 *
 *   lay down:  host_parked = SLEEPS; held = 0; fence; if (ring not empty) ring
 *   guest:     sq_tail = t; fence; if (host_parked) ring
 *   sentinel:  wait for the bell; if (!held && ring not empty) held = 1
 *
 * There are as many threads as calls can be waiting for an answer (one a
 * completion slot) and one more, so the ring never stands still because all of
 * them are blocked.
 */
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/ring_sync.h"
#include "exec_internal.h"

/* How long naps go on before the role is laid down for good, in naps. */
#define NAPS 40
#define NAP_NS 200000L

#define THREAD_WAIT_S 10u
#define THREAD_RETRY_US 10000u

_Static_assert(NAP_NS / 1000 <= VGPU_NAP_US, "a nap is no longer than was said");

struct vg_role {
	_Atomic bool held;
	pthread_mutex_t sentinel;	/* held by whoever is it */
	_Atomic unsigned int standby;	/* the sentinel, and who waits to be it */
	unsigned int threads, max;	/* of whoever has the role */
};

struct vg_role *vg_role_new(unsigned int max)
{
	struct vg_role *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	pthread_mutex_init(&r->sentinel, NULL);
	r->threads = 1;
	r->max = max;
	return r;
}

static bool ready(struct vg_exec *x)
{
	return vg_load_acquire64(&x->ch.ring->sq_tail) != atomic_load(&x->head);
}

static bool take(struct vg_exec *x)
{
	bool no = false;

	if (!atomic_compare_exchange_strong(&x->role->held, &no, true))
		return false;
	vg_store(&x->ch.ring->host_parked, VGPU_HOST_AWAKE);
	return true;
}

/* Returns true if the ring is not empty all the same. */
static bool lay_down(struct vg_exec *x, uint32_t parked)
{
	uint64_t head = atomic_load(&x->head);

	vg_store(&x->ch.ring->host_parked, parked);
	atomic_store(&x->role->held, false);
	vg_full_fence();	/* parked before the look; pairs with the guest's */
	return vg_load_acquire64(&x->ch.ring->sq_tail) != head;
}

static bool bell(struct vg_exec *x, const struct timespec *limit)
{
	struct pollfd p = { .fd = x->ch.doorbell, .events = POLLIN };
	uint64_t count;

	if (ppoll(&p, 1, limit, NULL) <= 0)
		return false;
	return read(x->ch.doorbell, &count, sizeof(count)) == sizeof(count);
}

void vg_role_watch(struct vg_exec *x)
{
	struct vg_role *r = x->role;

	atomic_fetch_add(&r->standby, 1);
	pthread_mutex_lock(&r->sentinel);
	for (;;) {
		if (!atomic_load(&r->held)) {
			vg_store(&x->ch.ring->host_parked, VGPU_HOST_SLEEPS);
			vg_full_fence();	/* as in lay_down() */
			if (ready(x) && take(x))
				break;
		}
		atomic_fetch_add_explicit(&x->entry->parks, 1, memory_order_relaxed);
		bell(x, NULL);
	}
	pthread_mutex_unlock(&r->sentinel);
	atomic_fetch_sub(&r->standby, 1);
}

static void *thread_main(void *arg)
{
	vg_loop_run(arg);
}

static void need_sentinel(struct vg_exec *x)
{
	struct vg_role *r = x->role;
	unsigned int tries = 0;
	pthread_attr_t attr;
	pthread_t thread;

	if (atomic_load(&r->standby) || r->threads == r->max)
		return;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	/* The host may be short of threads for a while, because of others. */
	while (pthread_create(&thread, &attr, thread_main, x)) {
		if (!tries)
			vg_warn("cannot start a thread; trying again for %u s", THREAD_WAIT_S);
		if (tries++ == THREAD_WAIT_S * 1000000 / THREAD_RETRY_US) {
			/* Nobody would consume the ring while this thread is blocked. */
			vg_err("cannot start a thread");
			_exit(EXIT_FAILURE);
		}
		usleep(THREAD_RETRY_US);
	}
	pthread_attr_destroy(&attr);
	r->threads++;
}

void vg_role_lend(struct vg_exec *x)
{
	uint64_t one = 1;

	need_sentinel(x);
	if (lay_down(x, VGPU_HOST_SLEEPS))
		(void)!write(x->ch.doorbell, &one, sizeof(one));
}

bool vg_role_return(struct vg_exec *x)
{
	return take(x);
}

bool vg_role_idle(struct vg_exec *x)
{
	const struct timespec nap = { .tv_nsec = NAP_NS };
	uint64_t end = x->spin_us ? vg_now_us() + x->spin_us : 0;
	unsigned int i;

	while (end) {
		for (i = 0; i < 64; i++) {
			if (ready(x))
				return true;
			vg_cpu_relax();
		}
		vg_turn_idle(x);
		if (vg_now_us() >= end)
			end = 0;
	}
	for (i = 0; i < NAPS; i++) {
		if (lay_down(x, VGPU_HOST_NAPS) || bell(x, &nap) || ready(x)) {
			if (take(x))
				return true;
			if (atomic_load(&x->role->held))
				return false;
		}
		/* Nobody but this thread naps: the role is there, or another has it. */
		if (!take(x))
			return false;
		/* What the device still does is to be seen when it is over. */
		if (vg_turn_idle(x))
			i = 0;
	}
	vg_exec_settle_idle(x);
	if (lay_down(x, VGPU_HOST_SLEEPS) && take(x))
		return true;
	return false;
}
