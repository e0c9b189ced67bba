// SPDX-License-Identifier: Apache-2.0
/*
 * Rates of a vGPU: calls and bytes copied in a second, by all of its programs together.
 *
 * A bucket is one word in the account page, the time at which all that was taken will have been
 * earned. Whoever takes something moves that time on and waits until it has come, less what may be
 * saved up, which is the burst. So executors need no lock, and whoever takes first goes first. Who
 * waits for calls has the role (role.c), so the guest's ring waits with it; calls that other threads
 * run meanwhile are answered.
 */
#include <time.h>

#include "common/clock.h"
#include "exec_internal.h"

#define SECOND_NS	1000000000u
#define LONG_NS		(UINT64_C(1) << 62)
#define SLICE_NS	20000000	/* before the next look at whether the rate is another */

/* How long `n` take to be earned, rounded up. */
static uint64_t earned_in(uint64_t n, uint64_t rate)
{
	unsigned __int128 ns = ((unsigned __int128)n * SECOND_NS + rate - 1) / rate;

	return ns < LONG_NS ? (uint64_t)ns : LONG_NS;
}

/* When the caller may go on. */
static uint64_t take(struct vg_account_bucket *b, uint64_t n, uint64_t rate)
{
	uint64_t burst = earned_in(atomic_load(&b->burst), rate), cost = earned_in(n, rate);
	uint64_t was = atomic_load(&b->earned_ns), from, until, now = vg_now_ns();

	do {
		/* No more is saved up than the burst. */
		from = was;
		if (now > burst && from < now - burst)
			from = now - burst;
		/* Another executor of this vGPU may have written nonsense. */
		until = from < LONG_NS ? from + cost : LONG_NS;
	} while (!atomic_compare_exchange_weak(&b->earned_ns, &was, until));
	return until;
}

/* Until then, or until the operator has changed the bucket. */
static void wait_until(struct vg_account_bucket *b, uint64_t until)
{
	uint32_t change = atomic_load(&b->change);
	uint64_t now;

	while ((now = vg_now_ns()) < until && atomic_load(&b->change) == change) {
		uint64_t ns = until - now < SLICE_NS ? until - now : SLICE_NS;

		nanosleep(&(struct timespec){ .tv_nsec = ns }, NULL);
	}
}

void vg_bucket_spend(struct vg_exec *x, enum vg_bucket which, uint64_t n)
{
	struct vg_account_bucket *b = &x->account->bucket[which];
	struct vg_account_waits *w = &x->account->waits[x->entry - x->account->entry];
	uint64_t rate = atomic_load(&b->rate), until, began;

	if (!rate)
		return;
	until = take(b, n, rate);
	began = vg_now_ns();
	if (until <= began)
		return;
	wait_until(b, until);
	atomic_fetch_add_explicit(&w->waits[which], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&w->waited_us[which], (vg_now_ns() - began) / 1000,
				  memory_order_relaxed);
}
