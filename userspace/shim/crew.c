// SPDX-License-Identifier: Apache-2.0
/*
 * Threads that share work.  One thread copies 6 to 10 GB/s, and allocates pages at
 * 2 GB/s; eight do five times as much.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
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
#include "thread.h"

#define THREADS_MAX 8		/* the owner of the job included */
#define SHARE_MIN (256u << 10)	/* below it one thread is as fast */

/* Of a thread; its part of the program's thread-local variables is in there too. */
#define STACK (256u << 10)

/* More comes sooner than a sleeper would wake. */
#define SPIN_US 200

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23	/* Linux 5.14 */
#endif

/*
 * A job in one word: its number << 32 | chunks allowed << 16 | chunks taken.  Whoever
 * adds one to it has taken a chunk of just that job, which does not end before it is done.
 */
static struct {
	pthread_mutex_t turn;		/* of the owner of the job */
	pthread_mutex_t lock;		/* of those that sleep */
	pthread_cond_t more;
	bool started;
	_Atomic(struct vg_crew_job *) job;
	_Atomic uint64_t word;
	_Atomic unsigned int done;	/* chunks of this job */
} crew = {
	.turn = PTHREAD_MUTEX_INITIALIZER,
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.more = PTHREAD_COND_INITIALIZER,
};

static unsigned int word_taken(uint64_t word)
{
	return word & 0xffff;
}

static unsigned int word_allowed(uint64_t word)
{
	return word >> 16 & 0xffff;
}

/* Take a chunk and do it, or leave in *word what there is when there is none. */
static bool do_one(uint64_t *word)
{
	struct vg_crew_job *job;

	*word = atomic_load_explicit(&crew.word, memory_order_acquire);
	do {
		if (word_taken(*word) == word_allowed(*word))
			return false;
	} while (!atomic_compare_exchange_weak(&crew.word, word, *word + 1));
	job = atomic_load_explicit(&crew.job, memory_order_relaxed);
	job->run(job, word_taken(*word));
	atomic_fetch_add_explicit(&crew.done, 1, memory_order_release);
	return true;
}

static void wait_for_more(uint64_t seen)
{
	uint64_t end = vg_now_us() + SPIN_US;

	do {
		for (int i = 0; i < 64; i++) {
			if (atomic_load_explicit(&crew.word, memory_order_relaxed) != seen)
				return;
			vg_cpu_relax();
		}
	} while (vg_now_us() < end);
	pthread_mutex_lock(&crew.lock);
	while (atomic_load_explicit(&crew.word, memory_order_relaxed) == seen)
		pthread_cond_wait(&crew.more, &crew.lock);
	pthread_mutex_unlock(&crew.lock);
}

static void *member(void *arg)
{
	uint64_t word;

	for (;;) {
		while (do_one(&word))
			;
		wait_for_more(word);
	}
	return arg;
}

/* With the owner as many as half of the CPUs. */
static void start(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int want = cpus < 4 ? 0 : cpus / 2 - 1;

	for (int i = 0; i < want && i < THREADS_MAX - 1; i++)
		if (!vg_thread_start(member, STACK))
			break;
}

void vg_crew_begin(struct vg_crew_job *job, size_t bytes)
{
	static uint64_t number;

	job->allowed = job->taken = 0;
	job->alone = bytes < SHARE_MIN || pthread_mutex_trylock(&crew.turn);
	if (job->alone)
		return;
	if (!crew.started) {
		crew.started = true;
		start();
	}
	atomic_store_explicit(&crew.job, job, memory_order_relaxed);
	atomic_store_explicit(&crew.done, 0, memory_order_relaxed);
	atomic_store_explicit(&crew.word, ++number << 32, memory_order_release);
}

void vg_crew_allow(struct vg_crew_job *job, unsigned int chunks)
{
	job->allowed += chunks;
	if (job->alone)
		return;
	pthread_mutex_lock(&crew.lock);
	atomic_fetch_add(&crew.word, (uint64_t)chunks << 16);
	pthread_cond_broadcast(&crew.more);
	pthread_mutex_unlock(&crew.lock);
}

bool vg_crew_help(struct vg_crew_job *job)
{
	uint64_t word;

	if (!job->alone)
		return do_one(&word);
	if (job->taken == job->allowed)
		return false;
	job->run(job, job->taken++);
	return true;
}

void vg_crew_end(struct vg_crew_job *job)
{
	while (vg_crew_help(job))
		;
	if (job->alone)
		return;
	/* What the others have taken is as small: it is done soon. */
	for (int i = 1; atomic_load_explicit(&crew.done, memory_order_acquire) < job->allowed; i++) {
		vg_cpu_relax();
		if (i % 1024 == 0)
			sched_yield();
	}
	pthread_mutex_unlock(&crew.turn);
}

#ifdef __SSE2__
void vg_copy_past_caches(void *to, const void *from, size_t bytes)
{
	const uint8_t *src = from;
	uint8_t *dst = to;
	size_t head = -(uintptr_t)to & 15, i;

	if (bytes < 64) {
		memcpy(to, from, bytes);
		return;
	}
	memcpy(dst, src, head);
	for (i = head; i + 64 <= bytes; i += 64) {
		__m128i a = _mm_loadu_si128((const __m128i *)(src + i));
		__m128i b = _mm_loadu_si128((const __m128i *)(src + i + 16));
		__m128i c = _mm_loadu_si128((const __m128i *)(src + i + 32));
		__m128i d = _mm_loadu_si128((const __m128i *)(src + i + 48));

		_mm_stream_si128((__m128i *)(dst + i), a);
		_mm_stream_si128((__m128i *)(dst + i + 16), b);
		_mm_stream_si128((__m128i *)(dst + i + 32), c);
		_mm_stream_si128((__m128i *)(dst + i + 48), d);
	}
	_mm_sfence();
	memcpy(dst + i, src + i, bytes - i);
}
#else
void vg_copy_past_caches(void *to, const void *from, size_t bytes)
{
	memcpy(to, from, bytes);
}
#endif

struct touch {
	struct vg_crew_job job;
	uint8_t *p;
	size_t bytes, chunk;
};

static void touch_chunk(struct vg_crew_job *job, unsigned int i)
{
	struct touch *t = (struct touch *)job;
	size_t at = i * t->chunk;
	size_t n = t->bytes - at < t->chunk ? t->bytes - at : t->chunk;
	volatile uint8_t *p = t->p + at;

	if (!madvise(t->p + at, n, MADV_POPULATE_WRITE))
		return;
	/* The memory is fresh: it is all zero. */
	for (size_t b = 0; b < n; b += 4096)
		p[b] = 0;
}

void vg_crew_touch(void *p, size_t bytes)
{
	struct touch t = { .job.run = touch_chunk, .p = p, .bytes = bytes, .chunk = VG_CREW_CHUNK };

	while (bytes / t.chunk >= VG_CREW_CHUNKS_MAX)
		t.chunk *= 2;
	vg_crew_begin(&t.job, bytes);
	vg_crew_allow(&t.job, (bytes + t.chunk - 1) / t.chunk);
	vg_crew_end(&t.job);
}
