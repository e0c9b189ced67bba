// SPDX-License-Identifier: Apache-2.0
/* Work shared among threads: all of it done, once, whoever else wants some done. */
#include "unit.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shim/crew.h"

#define CHUNKS 41u
#define SIZE 8192u
#define MUCH ((size_t)8 << 20)	/* what a job says that it is: shared */
#define LITTLE ((size_t)1)	/* or not */
#define GUARD 64

long __real_sysconf(int name);
long __wrap_sysconf(int name);

/* With two CPUs there would be nobody to share with. */
long __wrap_sysconf(int name)
{
	return name == _SC_NPROCESSORS_ONLN ? 12 : __real_sysconf(name);
}

static void fill(uint8_t *p, size_t bytes, unsigned int seed)
{
	for (size_t i = 0; i < bytes; i++)
		p[i] = (seed = seed * 1103515245 + 12345) >> 16;
}

struct sum {
	struct vg_crew_job job;
	const uint8_t *from;
	uint8_t *to;
	_Atomic unsigned int chunks[CHUNKS];	/* how often each has been done */
};

static void run(struct vg_crew_job *job, unsigned int i)
{
	struct sum *s = (struct sum *)job;

	atomic_fetch_add(&s->chunks[i], 1);
	memcpy(s->to + i * SIZE, s->from + i * SIZE, SIZE);
}

/* Allowed by fours, and waited for at the end: all done, once. */
static bool all_done(struct sum *s, unsigned int n, size_t bytes)
{
	memset(s->chunks, 0, sizeof(s->chunks));
	memset(s->to, 0, CHUNKS * SIZE);
	s->job.run = run;
	vg_crew_begin(&s->job, bytes);
	for (unsigned int i = 0; i < n; i += 4) {
		vg_crew_allow(&s->job, n - i < 4 ? n - i : 4);
		vg_crew_help(&s->job);
	}
	vg_crew_end(&s->job);
	for (unsigned int i = 0; i < CHUNKS; i++)
		if (s->chunks[i] != (i < n))
			return false;
	return !memcmp(s->to, s->from, n * SIZE);
}

static void *several_jobs(void *arg)
{
	struct sum s = { .from = malloc(CHUNKS * SIZE), .to = malloc(CHUNKS * SIZE) };
	bool ok = s.from && s.to;

	if (ok)
		fill((uint8_t *)s.from, CHUNKS * SIZE, (uintptr_t)arg);
	for (int i = 0; i < 300 && ok; i++) {
		ok = all_done(&s, i % (CHUNKS + 1), i % 3 ? MUCH : LITTLE);
		/* Now and then for so long that the crew goes to sleep. */
		if (i % 32 == 0)
			usleep(1000);
	}
	free((void *)s.from);
	free(s.to);
	return ok ? arg : NULL;
}

static void one_owner(void **state)
{
	(void)state;
	assert_non_null(several_jobs((void *)1));
}

static void several_owners(void **state)
{
	pthread_t thread[4];
	void *ok;

	(void)state;
	for (uintptr_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, several_jobs, (void *)(i + 1)), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(thread[i], &ok);
		assert_non_null(ok);
	}
}

/* Who has a job does not keep another from doing his. */
static void inside(struct vg_crew_job *job, unsigned int i)
{
	static struct sum s;
	static uint8_t from[CHUNKS * SIZE], to[CHUNKS * SIZE];

	(void)job;
	if (i)
		return;
	s.from = from;
	s.to = to;
	fill(from, sizeof(from), 3);
	assert_true(all_done(&s, CHUNKS, MUCH));
}

static void job_in_a_job(void **state)
{
	struct vg_crew_job job = { .run = inside };

	(void)state;
	vg_crew_begin(&job, MUCH);
	vg_crew_allow(&job, 3);
	vg_crew_end(&job);
}

/* The program's signals are not for the crew, but for those that a chunk itself raises. */
static _Atomic unsigned int looked, wrong;
static pthread_t owner;

static void look(struct vg_crew_job *job, unsigned int i)
{
	sigset_t mask;

	(void)job;
	(void)i;
	usleep(100);
	if (pthread_equal(pthread_self(), owner))
		return;
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	atomic_fetch_add(&looked, 1);
	if (!sigismember(&mask, SIGINT) || !sigismember(&mask, SIGUSR1) ||
	    sigismember(&mask, SIGSEGV) || sigismember(&mask, SIGBUS))
		atomic_fetch_add(&wrong, 1);
}

static void signals(void **state)
{
	struct vg_crew_job job = { .run = look };

	(void)state;
	owner = pthread_self();
	for (int i = 0; i < 1000 && !atomic_load(&looked); i++) {
		vg_crew_begin(&job, MUCH);
		vg_crew_allow(&job, CHUNKS);
		vg_crew_end(&job);
	}
	assert_true(atomic_load(&looked));
	assert_int_equal(atomic_load(&wrong), 0);
}

/* At all odds of alignment, nothing beside it. */
static void past_caches(void **state)
{
	static uint8_t from[1024], to[1024 + 2 * GUARD], same[1024 + 2 * GUARD];

	(void)state;
	fill(from, sizeof(from), 5);
	for (size_t bytes = 0; bytes < 300; bytes += bytes < 140 ? 1 : 37)
		for (int off = 0; off < 16 * 16; off += 7) {
			memset(to, 0x5a, sizeof(to));
			memset(same, 0x5a, sizeof(same));
			vg_copy_past_caches(to + GUARD + off % 16, from + off / 16, bytes);
			memcpy(same + GUARD + off % 16, from + off / 16, bytes);
			assert_memory_equal(to, same, sizeof(to));
		}
}

static void touched(void **state)
{
	size_t bytes = 24u << 20, page = sysconf(_SC_PAGESIZE);
	uint8_t *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char *there = calloc(bytes / page, 1);
	size_t n = 0;

	(void)state;
	assert_ptr_not_equal(p, MAP_FAILED);
	assert_non_null(there);
	vg_crew_touch(p, bytes);
	assert_int_equal(mincore(p, bytes, there), 0);
	for (size_t i = 0; i < bytes / page; i++)
		n += there[i] & 1;
	assert_int_equal(n, bytes / page);
	free(there);
	munmap(p, bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_owner),
		cmocka_unit_test(several_owners),
		cmocka_unit_test(job_in_a_job),
		cmocka_unit_test(signals),
		cmocka_unit_test(past_caches),
		cmocka_unit_test(touched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
