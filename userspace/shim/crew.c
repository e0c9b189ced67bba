// SPDX-License-Identifier: Apache-2.0
/*
 * A few threads that share work on large pieces of memory.  One thread copies
 * 6 to 10 GB/s, and allocates pages at 2 GB/s; eight do five times as much.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "clock.h"
#include "crew.h"
#include "ring_sync.h"

#define THREADS_MAX 8		/* the calling one included */
#define SHARE_MIN (256u << 10)	/* below it one thread is as fast */
#define STREAM_MIN (4u << 20)	/* from here on past the caches */
#define PIECES 32u		/* of a job; enough for all to end at about the same time */
#define PIECE_MIN (64u << 10)

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23	/* Linux 5.14 */
#endif

struct job {
	void (*run)(const struct job *job, size_t at, size_t bytes);
	uint8_t *to;
	const uint8_t *from;
	size_t bytes, piece;
};

/* Jobs of one copy come one after the other, sooner than a sleeper would wake. */
#define SPIN_US 200

static struct {
	pthread_mutex_t lock;		/* of those that sleep */
	pthread_cond_t more;
	unsigned int threads;
	bool started;
	struct job job;			/* constant while a piece of it is not done */
	_Atomic uint64_t next;		/* job number << 32 | pieces << 16 | the next to take */
	_Atomic unsigned int done;	/* pieces of this job */
} crew = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.more = PTHREAD_COND_INITIALIZER,
};

/*
 * Do pieces until there are none left to take; returns `next` as it is then.  Whoever has
 * slept takes what is left, if anything: nobody waits for a sleeper.
 */
static uint64_t help(void)
{
	uint64_t next = atomic_load_explicit(&crew.next, memory_order_acquire);

	while ((next & 0xffff) < (next >> 16 & 0xffff)) {
		const struct job *job = &crew.job;
		size_t at;

		if (!atomic_compare_exchange_weak(&crew.next, &next, next + 1))
			continue;
		at = (next & 0xffff) * job->piece;
		job->run(job, at, job->bytes - at < job->piece ? job->bytes - at : job->piece);
		atomic_fetch_add_explicit(&crew.done, 1, memory_order_release);
		next = atomic_load_explicit(&crew.next, memory_order_acquire);
	}
	return next;
}

static void wait_for_more(uint64_t seen)
{
	uint64_t end = vg_now_us() + SPIN_US;

	do {
		for (int i = 0; i < 64; i++) {
			if (atomic_load_explicit(&crew.next, memory_order_relaxed) != seen)
				return;
			vg_cpu_relax();
		}
	} while (vg_now_us() < end);
	pthread_mutex_lock(&crew.lock);
	while (atomic_load_explicit(&crew.next, memory_order_relaxed) == seen)
		pthread_cond_wait(&crew.more, &crew.lock);
	pthread_mutex_unlock(&crew.lock);
}

static void *member(void *arg)
{
	for (;;)
		wait_for_more(help());
	return arg;
}

/* As many as half of the CPUs; the calling thread is one of them. */
static void start(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned int want = cpus < 4 ? 0 : cpus / 2 - 1;
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 64 << 10);
	while (crew.threads < want && crew.threads < THREADS_MAX - 1 &&
	       !pthread_create(&thread, &attr, member, NULL))
		crew.threads++;
	pthread_attr_destroy(&attr);
}

/* One job at a time has the crew. */
static void work(struct job *job)
{
	static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
	static uint64_t number;
	uint64_t pieces;

	if (job->bytes < SHARE_MIN) {
		job->run(job, 0, job->bytes);
		return;
	}
	job->piece = (job->bytes / PIECES + 4095) & ~(size_t)4095;
	if (job->piece < PIECE_MIN)
		job->piece = PIECE_MIN;
	pieces = (job->bytes + job->piece - 1) / job->piece;

	pthread_mutex_lock(&turn);
	if (!crew.started) {
		crew.started = true;
		start();
	}
	crew.job = *job;
	atomic_store_explicit(&crew.done, 0, memory_order_relaxed);
	pthread_mutex_lock(&crew.lock);
	atomic_store_explicit(&crew.next, ++number << 32 | pieces << 16, memory_order_release);
	pthread_cond_broadcast(&crew.more);
	pthread_mutex_unlock(&crew.lock);

	help();

	/* What the others have taken is as small: it is done soon. */
	for (int i = 1; atomic_load_explicit(&crew.done, memory_order_acquire) < pieces; i++) {
		vg_cpu_relax();
		if (i % 1024 == 0)
			sched_yield();
	}
	pthread_mutex_unlock(&turn);
}

#ifdef __SSE2__
static void stream(uint8_t *to, const uint8_t *from, size_t bytes)
{
	size_t head = -(uintptr_t)to & 15, i;

	memcpy(to, from, head);
	for (i = head; i + 64 <= bytes; i += 64) {
		__m128i a = _mm_loadu_si128((const __m128i *)(from + i));
		__m128i b = _mm_loadu_si128((const __m128i *)(from + i + 16));
		__m128i c = _mm_loadu_si128((const __m128i *)(from + i + 32));
		__m128i d = _mm_loadu_si128((const __m128i *)(from + i + 48));

		_mm_stream_si128((__m128i *)(to + i), a);
		_mm_stream_si128((__m128i *)(to + i + 16), b);
		_mm_stream_si128((__m128i *)(to + i + 32), c);
		_mm_stream_si128((__m128i *)(to + i + 48), d);
	}
	_mm_sfence();
	memcpy(to + i, from + i, bytes - i);
}
#else
#define stream memcpy
#endif

static void copy_part(const struct job *job, size_t at, size_t bytes)
{
	if (job->bytes >= STREAM_MIN && bytes >= 64)
		stream(job->to + at, job->from + at, bytes);
	else
		memcpy(job->to + at, job->from + at, bytes);
}

void vg_crew_copy(void *to, const void *from, size_t bytes)
{
	work(&(struct job){ .run = copy_part, .to = to, .from = from, .bytes = bytes });
}

static void touch_part(const struct job *job, size_t at, size_t bytes)
{
	volatile uint8_t *p = job->to + at;

	if (!madvise(job->to + at, bytes, MADV_POPULATE_WRITE))
		return;
	/* The memory is fresh: it is all zero. */
	for (size_t i = 0; i < bytes; i += 4096)
		p[i] = 0;
}

void vg_crew_touch(void *p, size_t bytes)
{
	work(&(struct job){ .run = touch_part, .to = p, .bytes = bytes });
}
