// SPDX-License-Identifier: Apache-2.0
/*
 * Who consumes the ring.
 *
 * One thread has the role at a time.  Before it runs a call that may block it
 * gives the role away, and answers the call itself: nothing is handed over but
 * the ring, so a call that does not take long costs no more than one that cannot
 * block.  Afterwards the thread stands by for the role.
 *
 * There are as many threads as calls can be waiting for an answer (one a
 * completion slot) and one more, so the ring never stands still because all of
 * them are blocked.
 */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/ring_sync.h"
#include "exec_internal.h"

struct vg_role {
	pthread_mutex_t lock;		/* held by whoever has the role */
	_Atomic unsigned int standby;	/* threads that want it */
	_Atomic bool spinning;		/* one of them does not sleep */
	unsigned int threads, max;	/* under the lock */
};

struct vg_role *vg_role_new(unsigned int max)
{
	struct vg_role *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	pthread_mutex_init(&r->lock, NULL);
	r->threads = 1;
	r->max = max;
	return r;
}

/* Waking a sleeper takes longer than a launch and its synchronise together. */
static bool spin(struct vg_role *r, unsigned int spin_us)
{
	uint64_t end;

	if (!spin_us || atomic_exchange(&r->spinning, true))
		return false;
	end = vg_now_us() + spin_us;
	while (pthread_mutex_trylock(&r->lock)) {
		for (int i = 0; i < 32; i++)
			vg_cpu_relax();
		if (vg_now_us() >= end) {
			atomic_store(&r->spinning, false);
			return false;
		}
	}
	atomic_store(&r->spinning, false);
	return true;
}

void vg_role_take(struct vg_exec *x)
{
	struct vg_role *r = x->role;

	atomic_fetch_add(&r->standby, 1);
	if (pthread_mutex_trylock(&r->lock) && !spin(r, x->spin_us))
		pthread_mutex_lock(&r->lock);
	atomic_fetch_sub(&r->standby, 1);
}

static void *thread_main(void *arg)
{
	vg_loop_run(arg);
}

void vg_role_give(struct vg_exec *x)
{
	struct vg_role *r = x->role;
	pthread_attr_t attr;
	pthread_t thread;

	if (!atomic_load(&r->standby) && r->threads < r->max) {
		pthread_attr_init(&attr);
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		if (pthread_create(&thread, &attr, thread_main, x)) {
			/* Nobody would consume the ring while this thread is blocked. */
			vg_err("cannot start a thread");
			_exit(EXIT_FAILURE);
		}
		pthread_attr_destroy(&attr);
		r->threads++;
	}
	pthread_mutex_unlock(&r->lock);
}
