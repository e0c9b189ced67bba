// SPDX-License-Identifier: Apache-2.0
/*
 * Times.  A span of the executor's is on its machine's monotonic clock; records are on
 * CLOCK_REALTIME, or on whatever clock the program has registered, in that clock's unit.  The
 * guest's monotonic clock lies between: the executor is asked for its time, which is then within
 * the call; and the guest's two clocks are read one after the other.  Of some tries the shortest
 * counts.  Both are done when profiling begins, and again when records are fetched, and between
 * the two the clocks are taken to run evenly.
 */
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "cupti_internal.h"

#define TRIES		8
#define DRIFT		10000		/* clocks go apart by less than their time divided by it */
#define APART_NS	100000000	/* before that two clocks of nanoseconds run alike */
#define APART_OTHER_NS	2000000		/* two readings of a clock of an unknown unit, at least */

/* That `from` and `to` are the same moment, but for half of `width`. */
struct pair {
	uint64_t from, to, width;
};

struct relation {
	struct pair first, last;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* all below */
static struct relation executor_here;	/* from the executor's clock to ours */
static struct relation here_record;	/* from ours to the records' */
static bool known;

static _Atomic(vg_timestamp) timestamp;

static uint64_t realtime(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

uint64_t vg_clock_now(void)
{
	vg_timestamp f = atomic_load_explicit(&timestamp, memory_order_relaxed);

	return f ? f() : realtime();
}

static struct pair ask_executor(const struct vg_profile_table *t)
{
	struct pair best = { .width = UINT64_MAX };

	for (int i = 0; i < TRIES; i++) {
		uint64_t there, before = vg_now_ns(), after;

		if (t->clock(&there))
			break;
		after = vg_now_ns();
		if (after - before < best.width)
			best = (struct pair){ there, before + (after - before) / 2, after - before };
	}
	return best;
}

static struct pair read_both(void)
{
	struct pair best = { .width = UINT64_MAX };

	for (int i = 0; i < TRIES; i++) {
		uint64_t before = vg_now_ns(), now = vg_clock_now(), after = vg_now_ns();

		if (after - before < best.width)
			best = (struct pair){ before + (after - before) / 2, now, after - before };
	}
	return best;
}

static uint64_t map(const struct relation *r, uint64_t from, uint64_t apart)
{
	const struct pair *p = &r->last;
	int64_t distance = (int64_t)(r->last.from - r->first.from);
	double slope = 1;

	if (distance >= (int64_t)apart)
		slope = (double)(int64_t)(r->last.to - r->first.to) / (double)distance;
	else if (r->first.width < r->last.width)
		p = &r->first;
	return p->to + (int64_t)((double)(int64_t)(from - p->from) * slope);
}

void vg_clock_begin(const struct vg_profile_table *t)
{
	struct pair e = ask_executor(t), h = read_both();

	if (e.width == UINT64_MAX)
		return;
	pthread_mutex_lock(&lock);
	executor_here = (struct relation){ e, e };
	here_record = (struct relation){ h, h };
	known = true;
	pthread_mutex_unlock(&lock);
}

bool vg_clock_known(void)
{
	bool yes;

	pthread_mutex_lock(&lock);
	yes = known;
	pthread_mutex_unlock(&lock);
	return yes;
}

void vg_clock_compare(const struct vg_profile_table *t)
{
	struct pair e, h;

	if (!vg_clock_known())
		vg_clock_begin(t);
	pthread_mutex_lock(&lock);
	h = here_record.first;
	pthread_mutex_unlock(&lock);
	if (atomic_load(&timestamp) && vg_now_ns() - h.from < APART_OTHER_NS)
		usleep(APART_OTHER_NS / 1000);
	e = ask_executor(t);
	h = read_both();
	if (e.width == UINT64_MAX)
		return;
	pthread_mutex_lock(&lock);
	/* On a busy machine a comparison may be so poor that the last one says more even now. */
	if (e.width < executor_here.last.width + (e.from - executor_here.last.from) / DRIFT)
		executor_here.last = e;
	here_record.last = h;
	pthread_mutex_unlock(&lock);
}

uint64_t vg_clock_of(uint64_t executor_ns)
{
	uint64_t here, apart = atomic_load(&timestamp) ? 1000 : APART_NS;

	pthread_mutex_lock(&lock);
	here = map(&executor_here, executor_ns, APART_NS);
	here = map(&here_record, here, apart);
	pthread_mutex_unlock(&lock);
	return here;
}

VG_EXPORT CUptiResult cuptiActivityRegisterTimestampCallback(vg_timestamp f)
{
	if (!f)
		return vg_cupti_said(CUPTI_ERROR_INVALID_PARAMETER);
	pthread_mutex_lock(&lock);
	/* Profilers register the same one for each session, of which others may be under way. */
	if (atomic_exchange(&timestamp, f) != f)
		known = false;
	pthread_mutex_unlock(&lock);
	return CUPTI_SUCCESS;
}

VG_EXPORT CUptiResult cuptiGetTimestamp(uint64_t *now)
{
	if (!now)
		return vg_cupti_said(CUPTI_ERROR_INVALID_PARAMETER);
	*now = vg_clock_now();
	return CUPTI_SUCCESS;
}
