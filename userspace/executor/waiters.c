// SPDX-License-Identifier: Apache-2.0
/*
 * Threads for calls that may block.  There are as many as calls can be
 * waiting for an answer (one a completion slot), so none waits for a thread
 * while the call that would let it go on is behind it.
 *
 * The last thread to become idle spins for a while before it sleeps: waking a
 * sleeper costs more than a launch and its synchronise take together.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/ring_sync.h"
#include "exec_internal.h"

struct job {
	struct job *next;
	const struct vg_op *op;
	struct vg_req rq;
	uint8_t payload[];
};

struct vg_waiters {
	struct vg_exec *x;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct job *first, **last;
	unsigned int idle, threads, max;
	_Atomic unsigned int queued;
	bool spinning;		/* one of the idle ones; it needs no signal */
};

/* Look for a job for a while, without the lock. */
static void spin(struct vg_waiters *w)
{
	uint64_t end = vg_now_us() + w->x->spin_us;

	w->spinning = true;
	pthread_mutex_unlock(&w->lock);
	while (!atomic_load_explicit(&w->queued, memory_order_relaxed) && vg_now_us() < end)
		for (int i = 0; i < 32; i++)
			vg_cpu_relax();
	pthread_mutex_lock(&w->lock);
	w->spinning = false;
}

static void *waiter(void *arg)
{
	struct vg_waiters *w = arg;
	bool spun = false;
	struct vg_current current = { 0 };

	pthread_mutex_lock(&w->lock);
	for (;;) {
		struct job *job = w->first;

		if (!job) {
			w->idle++;
			if (w->x->spin_us && !w->spinning && !spun)
				spin(w);
			else
				pthread_cond_wait(&w->more, &w->lock);
			w->idle--;
			spun = true;
			continue;
		}
		spun = false;
		w->first = job->next;
		if (!w->first)
			w->last = &w->first;
		w->queued--;
		pthread_mutex_unlock(&w->lock);
		vg_loop_execute(w->x, job->op, &job->rq, &current);
		free(job);
		pthread_mutex_lock(&w->lock);
	}
	return NULL;
}

struct vg_waiters *vg_waiters_new(struct vg_exec *x, unsigned int max)
{
	struct vg_waiters *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->x = x;
	w->max = max;
	w->last = &w->first;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->more, NULL);
	return w;
}

static void start_thread(struct vg_waiters *w)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (!pthread_create(&thread, &attr, waiter, w))
		w->threads++;
	pthread_attr_destroy(&attr);
}

void vg_waiters_give(struct vg_waiters *w, const struct vg_op *op, const struct vg_req *rq)
{
	struct job *job = malloc(sizeof(*job) + rq->bytes);

	if (!job) {
		vg_err("no memory for a blocking call");
		exit(EXIT_FAILURE);
	}
	*job = (struct job){ .op = op, .rq = *rq };
	memcpy(job->payload, rq->payload, rq->bytes);
	job->rq.payload = job->payload;

	pthread_mutex_lock(&w->lock);
	*w->last = job;
	w->last = &job->next;
	w->queued++;
	if (w->queued > w->idle && w->threads < w->max)
		start_thread(w);
	if (!w->spinning || w->queued > 1)
		pthread_cond_signal(&w->more);
	pthread_mutex_unlock(&w->lock);
}
