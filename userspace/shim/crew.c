// SPDX-License-Identifier: Apache-2.0
/*
 * A few threads that share work on large pieces of memory.  One thread copies
 * 6 to 10 GB/s, and allocates pages at 2 GB/s; eight do five times as much.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "crew.h"

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

static struct {
	pthread_mutex_t lock;
	pthread_cond_t more, done;
	unsigned int threads, generation, left;
	struct job job;
	bool started;
} crew = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.more = PTHREAD_COND_INITIALIZER,
	.done = PTHREAD_COND_INITIALIZER,
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

static void *member(void *arg)
{
	unsigned int me = (uintptr_t)arg, seen = 0;
	struct job job;

	pthread_mutex_lock(&crew.lock);
	for (;;) {
		while (crew.generation == seen)
			pthread_cond_wait(&crew.more, &crew.lock);
		seen = crew.generation;
		job = crew.job;
		pthread_mutex_unlock(&crew.lock);
		part(me, crew.threads + 1, &job);
		pthread_mutex_lock(&crew.lock);
		if (!--crew.left)
			pthread_cond_signal(&crew.done);
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
	pthread_mutex_lock(&crew.lock);
	crew.job = *job;
	crew.left = crew.threads;
	crew.generation++;
	pthread_cond_broadcast(&crew.more);
	pthread_mutex_unlock(&crew.lock);

	part(crew.threads, crew.threads + 1, job);

	pthread_mutex_lock(&crew.lock);
	while (crew.left)
		pthread_cond_wait(&crew.done, &crew.lock);
	pthread_mutex_unlock(&crew.lock);
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
