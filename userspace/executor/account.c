// SPDX-License-Identifier: Apache-2.0
/* This process's entry in the account page (common/account.h). */
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/log.h"
#include "exec_internal.h"

/*
 * How long after its end a program's memory is waited for. The mediator kills an executor that
 * does not end within 2 s (GRACE_MS in its proc.c). One that cannot be killed, because it
 * waits in the kernel, holds nobody up for longer than this.
 */
#define ENDING_US	3000000u
#define ENDING_NAP_NS	1000000

/* Whether it holds memory, and its program went before `began` and not long before now. */
static bool is_ending(const struct vg_account_entry *e, uint64_t began, uint64_t now)
{
	uint64_t gone = atomic_load(&e->gone_us);

	return gone && gone <= began && now < gone + ENDING_US &&
	       (atomic_load(&e->memory) || atomic_load(&e->contexts));
}

static bool any_ends(const struct vg_exec *x, uint64_t began)
{
	uint64_t now = vg_now_us();

	for (unsigned int i = 0; i < vg_account_entries(x->account); i++)
		if (is_ending(&x->account->entry[i], began, now))
			return true;
	return false;
}

bool vg_exec_wait_for_ending(struct vg_exec *x)
{
	uint64_t began = vg_now_us();

	if (!any_ends(x, began))
		return false;
	do
		nanosleep(&(struct timespec){ .tv_nsec = ENDING_NAP_NS }, NULL);
	while (any_ends(x, began));
	return true;
}

static uint64_t total(struct vg_exec *x)
{
	uint64_t sum = atomic_load(&x->account->orphaned);
	unsigned int n = vg_account_entries(x->account);

	for (unsigned int i = 0; i < n; i++)
		sum += atomic_load(&x->account->entry[i].memory);
	return sum;
}

/* The mediator says it in the history when the program has ended. */
static void note_peak(struct vg_exec *x)
{
	uint64_t now = atomic_load(&x->entry->memory), peak = atomic_load(&x->entry->memory_peak);

	while (now > peak &&
	       !atomic_compare_exchange_weak(&x->entry->memory_peak, &peak, now))
		;
}

/*
 * Add first, then look: of two that race past the limit at least one sees the
 * other, so the sum never stays above it.
 */
static bool charge(struct vg_exec *x, uint64_t bytes, uint64_t limit)
{
	atomic_fetch_add(&x->entry->memory, bytes);
	if (total(x) <= limit) {
		note_peak(x);
		return true;
	}
	atomic_fetch_sub(&x->entry->memory, bytes);
	return false;
}

bool vg_exec_charge_quickly(struct vg_exec *x, uint64_t bytes)
{
	uint64_t limit = atomic_load(&x->account->limit);

	return bytes <= limit && charge(x, bytes, limit);
}

bool vg_exec_owe(struct vg_exec *x, uint64_t bytes)
{
	atomic_fetch_add(&x->entry->memory, bytes);
	note_peak(x);
	return total(x) <= atomic_load(&x->account->limit);
}

bool vg_exec_tells(struct vg_exec *x)
{
	return x->held;
}

uint64_t vg_exec_held(struct vg_exec *x)
{
	uint64_t bytes;

	return x->held && x->held(&bytes) ? bytes : 0;
}

/*
 * What is asked of the driver's bookkeeping takes time there, so no more than a small part of a
 * program's time goes into it: one part in so many. And it takes long while another process makes
 * a context, as the next spare executor does when a program begins (20 to 60 ms on an H200 instead
 * of 0.1), so a program that did nothing which has to be asked about is not held up for it in
 * that time.
 */
#define ASKING_PART 32
#define ASKING_REST_NS 100000000u
#define ASKING_QUICK_NS 5000u

void vg_exec_ask_first(struct vg_exec *x)
{
	uint64_t began = vg_now_ns(), bytes;

	if (x->held && x->held(&bytes))
		x->ask_ns = vg_now_ns() - began;
}

/* softgpu tells it at once, also at such times. */
static uint64_t rest(const struct vg_exec *x)
{
	uint64_t ns = ASKING_PART * x->ask_ns;

	if (x->ask_ns && x->ask_ns < ASKING_QUICK_NS)
		return ns;
	return ns > ASKING_REST_NS ? ns : ASKING_REST_NS;
}

enum when {
	WHEN_RESTED,	/* not lately */
	WHEN_IDLE,	/* the program has nothing to do; not so lately, all the same */
	WHEN_NOW,
};

static bool reconcile(struct vg_exec *x, enum when when)
{
	uint64_t held, known, beyond, began, ended;

	if (!x->held)
		return total(x) <= atomic_load(&x->account->limit);
	pthread_mutex_lock(&x->held_lock);
	began = vg_now_ns();
	if (when != WHEN_NOW &&
	    began < x->asked_ns + (when == WHEN_IDLE ? ASKING_PART * x->ask_ns : rest(x))) {
		vg_exec_unsettled(x);
	} else if (x->held(&held)) {
		ended = vg_now_ns();
		/* The shortest, for others' work may have come between. */
		if (!x->ask_ns || ended - began < x->ask_ns)
			x->ask_ns = ended - began;
		x->asked_ns = ended;
		known = atomic_load(&x->entry->memory) - x->beyond +
			atomic_load(&x->entry->contexts);
		beyond = held > known ? held - known : 0;
		atomic_fetch_add(&x->entry->memory, beyond - x->beyond);
		x->beyond = beyond;
		note_peak(x);
	}
	pthread_mutex_unlock(&x->held_lock);
	return total(x) <= atomic_load(&x->account->limit);
}

uint64_t vg_exec_beyond(struct vg_exec *x)
{
	uint64_t bytes;

	pthread_mutex_lock(&x->held_lock);
	bytes = x->beyond;
	pthread_mutex_unlock(&x->held_lock);
	return bytes;
}

void vg_exec_unsettled(struct vg_exec *x)
{
	atomic_store_explicit(&x->unsettled, true, memory_order_relaxed);
}

static void settle(struct vg_exec *x, enum when when)
{
	/* Before the look, so that what comes meanwhile is looked at later. */
	atomic_store(&x->unsettled, false);
	if (x->settle)
		x->settle(x);
	reconcile(x, when);
}

void vg_exec_settle_memory(struct vg_exec *x, bool at_once)
{
	if (atomic_load_explicit(&x->unsettled, memory_order_relaxed))
		settle(x, at_once ? WHEN_NOW : WHEN_RESTED);
}

void vg_exec_settle_idle(struct vg_exec *x)
{
	/*
	 * What no call was charged for may go without one that tells, as a module does. The program
	 * may come back at any moment, so it is not to wait each time that it does.
	 */
	if (atomic_load_explicit(&x->unsettled, memory_order_relaxed) || vg_exec_beyond(x))
		settle(x, WHEN_IDLE);
}

/* One line, for the operator. */
static void refused(struct vg_exec *x, const char *what, uint64_t bytes, uint64_t held,
		    uint64_t limit)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct vg_log_rate rate;
	char name[sizeof(x->account->name)];

	atomic_fetch_add(&x->entry->memory_refused, 1);
	/* Another executor may have written to the page. */
	memcpy(name, x->account->name, sizeof(name));
	name[sizeof(name) - 1] = '\0';
	for (char *c = name; *c; c++)
		if (*c < '!' || *c > '~')
			*c = '?';
	pthread_mutex_lock(&lock);
	vg_log_some(&rate, VG_WARNING,
		    "vGPU %s, process %llu: refused %llu bytes of device memory for %s: %llu held of %llu",
		    name, (unsigned long long)atomic_load(&x->entry->pid),
		    (unsigned long long)bytes, what, (unsigned long long)held,
		    (unsigned long long)limit);
	pthread_mutex_unlock(&lock);
}

bool vg_exec_reconcile(struct vg_exec *x, bool at_once)
{
	uint64_t limit = atomic_load(&x->account->limit), held;

	if (reconcile(x, at_once ? WHEN_NOW : WHEN_RESTED))
		return true;
	held = total(x);
	if (held > limit)
		refused(x, "what the driver has taken", held - limit, held, limit);
	return false;
}

/* The sum stays as it is until the driver has been asked, so nobody else finds room meanwhile. */
void vg_exec_leave_to_driver(struct vg_exec *x, uint64_t bytes)
{
	pthread_mutex_lock(&x->held_lock);
	x->beyond += bytes;
	pthread_mutex_unlock(&x->held_lock);
	reconcile(x, WHEN_NOW);
}

static bool charge_or_look(struct vg_exec *x, uint64_t bytes, uint64_t limit)
{
	if (bytes > limit)
		return false;
	if (charge(x, bytes, limit))
		return true;
	/* What the driver has given back meanwhile may do. */
	if (x->settle)
		x->settle(x);
	reconcile(x, WHEN_NOW);
	return charge(x, bytes, limit) || (vg_exec_wait_for_ending(x) && charge(x, bytes, limit));
}

bool vg_exec_charge(struct vg_exec *x, uint64_t bytes)
{
	uint64_t limit = atomic_load(&x->account->limit);

	if (charge_or_look(x, bytes, limit))
		return true;
	refused(x, "allocations", bytes, total(x), limit);
	return false;
}

static uint64_t contexts(struct vg_exec *x)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < vg_account_entries(x->account); i++)
		sum += atomic_load(&x->account->entry[i].contexts);
	return sum;
}

static bool context_take(struct vg_exec *x, uint64_t bytes)
{
	atomic_fetch_add(&x->entry->contexts, bytes);
	if (contexts(x) <= atomic_load(&x->account->context_limit))
		return true;
	atomic_fetch_sub(&x->entry->contexts, bytes);
	return false;
}

bool vg_exec_context_take(struct vg_exec *x, uint64_t bytes)
{
	if (context_take(x, bytes) || (vg_exec_wait_for_ending(x) && context_take(x, bytes)))
		return true;
	refused(x, "a context", bytes, contexts(x), atomic_load(&x->account->context_limit));
	return false;
}

void vg_exec_context_give(struct vg_exec *x, uint64_t bytes)
{
	atomic_fetch_sub(&x->entry->contexts, bytes);
}

void vg_exec_uncharge(struct vg_exec *x, uint64_t bytes)
{
	atomic_fetch_sub(&x->entry->memory, bytes);
	vg_exec_unsettled(x);
}

void vg_exec_memory(struct vg_exec *x, uint64_t *used, uint64_t *limit)
{
	*used = total(x);
	*limit = atomic_load(&x->account->limit);
}

void vg_exec_context(struct vg_exec *x, int device, int change)
{
	uint64_t bit;

	if (device < 0 || device >= 64)
		return;
	bit = UINT64_C(1) << device;
	pthread_mutex_lock(&x->context_lock);
	if (change > 0 || x->contexts[device])
		x->contexts[device] += change;
	if (x->contexts[device])
		atomic_fetch_or(&x->entry->devices, bit);
	else
		atomic_fetch_and(&x->entry->devices, ~bit);
	pthread_mutex_unlock(&x->context_lock);
}

unsigned int vg_exec_processes(struct vg_exec *x, int device, uint32_t *pid, uint64_t *memory,
			       unsigned int max)
{
	unsigned int count = 0;

	if (device < 0 || device >= 64)
		return 0;
	for (unsigned int i = 0; i < vg_account_entries(x->account) && count < max; i++) {
		struct vg_account_entry *e = &x->account->entry[i];
		uint64_t devices = atomic_load(&e->devices);

		if (!(devices >> device & 1) || !atomic_load(&e->pid))
			continue;
		pid[count] = atomic_load(&e->pid);
		memory[count] = devices & (devices - 1) ? UINT64_MAX : atomic_load(&e->memory);
		count++;
	}
	return count;
}

void vg_exec_before_move(struct vg_exec *x)
{
	vg_exec_spend(x, VG_BUCKET_BYTES, 0);
}

void vg_exec_moved(struct vg_exec *x, uint64_t in, uint64_t out)
{
	if (in)
		atomic_fetch_add_explicit(&x->entry->bytes_in, in, memory_order_relaxed);
	if (out)
		atomic_fetch_add_explicit(&x->entry->bytes_out, out, memory_order_relaxed);
	vg_exec_spend(x, VG_BUCKET_BYTES, in + out);
}

void vg_exec_moved_direct(struct vg_exec *x, uint64_t in, uint64_t out)
{
	if (in)
		atomic_fetch_add_explicit(&x->entry->direct_in, in, memory_order_relaxed);
	if (out)
		atomic_fetch_add_explicit(&x->entry->direct_out, out, memory_order_relaxed);
}
