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

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23	/* Linux 5.14 */
#endif

struct job {
	void (*run)(const struct job *job, size_t at, size_t bytes);
	uint8_t *to;
	const uint8_t *from;
	size_t bytes;
};

/* Jobs of one copy come one after the other, sooner than a sleeper would wake. */
#define SPIN_US 200

static struct {
	pthread_mutex_t lock;		/* of those that sleep */
	pthread_cond_t more;
	unsigned int threads;
	struct job job;
	_Atomic unsigned int generation;	/* of the job; published with it */
	_Atomic unsigned int left;		/* members that have not done their part */
	bool started;
} crew = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.more = PTHREAD_COND_INITIALIZER,
};

/* The part of `i` of `n`, in whole pages but for the last. */
static void part(unsigned int i, unsigned int n, const struct job *job)
{
	size_t each = (job->bytes / n + 4095) & ~(size_t)4095;
	size_t at = i * each < job->bytes ? i * each : job->bytes;
	size_t len = job->bytes - at < each || i == n - 1 ? job->bytes - at : each;

	if (len)
		job->run(job, at, len);
}

static void next(unsigned int seen)
{
	uint64_t end = vg_now_us() + SPIN_US;

	do {
		for (int i = 0; i < 64; i++) {
			if (atomic_load_explicit(&crew.generation, memory_order_acquire) != seen)
				return;
			vg_cpu_relax();
		}
	} while (vg_now_us() < end);
	pthread_mutex_lock(&crew.lock);
	while (atomic_load_explicit(&crew.generation, memory_order_acquire) == seen)
		pthread_cond_wait(&crew.more, &crew.lock);
	pthread_mutex_unlock(&crew.lock);
}

static void *member(void *arg)
{
	for (unsigned int me = (uintptr_t)arg, seen = 0;; seen++) {
		next(seen);
		part(me, crew.threads + 1, &crew.job);
		atomic_fetch_sub_explicit(&crew.left, 1, memory_order_release);
	}
	return NULL;
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
	       !pthread_create(&thread, &attr, member, (void *)(uintptr_t)crew.threads))
		crew.threads++;
	pthread_attr_destroy(&attr);
}

/* One job at a time has the crew. */
static void work(const struct job *job)
{
	static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

	if (job->bytes < SHARE_MIN) {
		job->run(job, 0, job->bytes);
		return;
	}
	pthread_mutex_lock(&turn);
	if (!crew.started) {
		crew.started = true;
		start();
	}
	crew.job = *job;
	atomic_store_explicit(&crew.left, crew.threads, memory_order_relaxed);
	pthread_mutex_lock(&crew.lock);
	atomic_fetch_add_explicit(&crew.generation, 1, memory_order_release);
	pthread_cond_broadcast(&crew.more);
	pthread_mutex_unlock(&crew.lock);

	part(crew.threads, crew.threads + 1, job);

	/* Their parts are as large: they are done now, or were not run yet. */
	for (int i = 1; atomic_load_explicit(&crew.left, memory_order_acquire); i++) {
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
	work(&(struct job){ copy_part, to, from, bytes });
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
	work(&(struct job){ touch_part, p, NULL, bytes });
}
