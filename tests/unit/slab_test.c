// SPDX-License-Identifier: Apache-2.0
/* Pieces of slabs: apart from each other, given out again, and nothing left at the end. */
#include "unit.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/client.h"
#include "shim/slab.h"

#define PAGE 4096u
#define SLAB_PAGES (VG_SLAB_BYTES / PAGE)

/* -- shares, which are plain memory here */

static _Atomic int shares;
static _Atomic bool refuse;

CUresult vg_share_new(struct vg_share *s, size_t bytes)
{
	if (refuse)
		return CUDA_ERROR_OUT_OF_MEMORY;
	s->bytes = bytes;
	s->p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(s->p, MAP_FAILED);
	shares++;
	return CUDA_SUCCESS;
}

void vg_share_end(struct vg_share *s)
{
	(void)s;
	shares--;
}

struct piece {
	struct vg_slab *slab;
	uint8_t *p;
	size_t bytes;
};

static void take(struct piece *piece, size_t bytes)
{
	piece->bytes = bytes;
	assert_int_equal(vg_slab_take(bytes, &piece->slab, (void **)&piece->p), CUDA_SUCCESS);
	assert_int_equal((uintptr_t)piece->p % PAGE, 0);
}

static void give(struct piece *piece)
{
	vg_slab_give(piece->slab, piece->p, piece->bytes);
}

static void one_for_all(void **state)
{
	struct piece p[4];

	(void)state;
	take(&p[0], 1);
	take(&p[1], PAGE + 1);
	take(&p[2], VG_SLAB_MOST);
	assert_int_equal(shares, 1);
	assert_ptr_equal(p[1].p, p[0].p + PAGE);
	assert_ptr_equal(p[2].p, p[0].p + 3 * PAGE);
	/* The first place that is wide enough, not just free. */
	give(&p[0]);
	take(&p[3], 2 * PAGE);
	assert_ptr_equal(p[3].p, p[2].p + VG_SLAB_MOST);
	take(&p[0], PAGE);
	assert_ptr_equal(p[0].p, p[1].p - PAGE);
	for (int i = 0; i < 4; i++)
		give(&p[i]);
	/* One stays, for the next. */
	assert_int_equal(shares, 1);
	take(&p[0], PAGE);
	give(&p[0]);
	assert_int_equal(shares, 1);
}

static void full(void **state)
{
	static struct piece p[2 * SLAB_PAGES + 1], more;

	(void)state;
	for (unsigned int i = 0; i <= 2 * SLAB_PAGES; i++)
		take(&p[i], PAGE);
	assert_int_equal(shares, 3);
	/* Of the third one page is taken, so there is room for this once. */
	refuse = true;
	take(&more, VG_SLAB_MOST);
	assert_int_equal(vg_slab_take(VG_SLAB_MOST, &more.slab, (void **)&more.p),
			 CUDA_ERROR_OUT_OF_MEMORY);
	refuse = false;
	give(&more);
	for (unsigned int i = 0; i <= 2 * SLAB_PAGES; i++)
		give(&p[i]);
	assert_int_equal(shares, 1);
}

#define ROUNDS 3000
#define HELD 12

static void *at_random(void *arg)
{
	unsigned int seed = (uintptr_t)arg;
	struct piece p[HELD] = { 0 };

	for (int i = 0; i < ROUNDS; i++) {
		struct piece *one = &p[rand_r(&seed) % HELD];
		size_t n = 1u << rand_r(&seed) % 19;

		if (one->p) {
			for (size_t b = 0; b < one->bytes; b++)
				if (one->p[b] != (uint8_t)(uintptr_t)arg)
					fail_msg("a piece was another's too");
			give(one);
			one->p = NULL;
		} else {
			take(one, n);
			memset(one->p, (uint8_t)(uintptr_t)arg, n);
		}
	}
	for (int i = 0; i < HELD; i++)
		if (p[i].p)
			give(&p[i]);
	return NULL;
}

static void apart(void **state)
{
	int before = shares;
	pthread_t thread[4];

	(void)state;
	for (uintptr_t i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, at_random, (void *)(i + 1));
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(shares, before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_for_all),
		cmocka_unit_test(full),
		cmocka_unit_test(apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
