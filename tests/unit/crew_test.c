// SPDX-License-Identifier: Apache-2.0
/* Work shared among threads: all of it done, once, whoever else wants some done. */
#include "unit.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shim/crew.h"

#define MOST (9u << 20)
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

/* All of `bytes` at odd addresses, and nothing beside them. */
static bool copied(uint8_t *to, const uint8_t *from, size_t bytes)
{
	memset(to, 0x5a, bytes + 2 * GUARD);
	vg_crew_copy(to + GUARD, from, bytes);
	for (int i = 0; i < GUARD; i++)
		if (to[i] != 0x5a || to[GUARD + bytes + i] != 0x5a)
			return false;
	return !memcmp(to + GUARD, from, bytes);
}

static void sizes(void **state)
{
	static const size_t bytes[] = {
		0, 1, 4095, (256 << 10) - 1, 256 << 10, (256 << 10) + 1, 1000003, 1 << 20,
		(4 << 20) - 1, 4 << 20, (4 << 20) + 1, MOST - 1,
	};
	uint8_t *from = malloc(MOST), *to = malloc(MOST + 2 * GUARD);

	(void)state;
	assert_non_null(from);
	assert_non_null(to);
	fill(from, MOST, 1);
	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++)
		for (int off = 0; off < 3; off++)
			assert_true(copied(to + off, from + (off ? 1 : 0), bytes[i] - (bytes[i] > 0)));
	free(from);
	free(to);
}

static void *one_of_several(void *arg)
{
	size_t most = 5u << 20;
	uint8_t *from = malloc(most), *to = malloc(most + 2 * GUARD);
	unsigned int seed = (uintptr_t)arg;
	bool ok = from && to;

	fill(from, most, seed);
	for (int i = 0; i < 60 && ok; i++) {
		ok = copied(to, from, most - (seed * 7919 + i * 104729) % (4u << 20));
		/* Now and then for so long that the crew goes to sleep. */
		if (i % 8 == 0)
			usleep(1000);
	}
	free(from);
	free(to);
	return ok ? arg : NULL;
}

static void several_at_once(void **state)
{
	pthread_t thread[4];
	void *ok;

	(void)state;
	for (uintptr_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, one_of_several, (void *)(i + 1)), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(thread[i], &ok);
		assert_non_null(ok);
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
		cmocka_unit_test(sizes),
		cmocka_unit_test(several_at_once),
		cmocka_unit_test(touched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
