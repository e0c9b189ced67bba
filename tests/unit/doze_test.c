// SPDX-License-Identifier: Apache-2.0
/* How a thread waits for an executor that has much to do, with a ring of the test's own. */
#include "unit.h"

#include <pthread.h>
#include <unistd.h>

#include "client_internal.h"
#include "clock.h"
#include "ring_sync.h"

#define STEP	(64u << 10)	/* in some 10 us */
#define ALL	20000ull

struct vg_client vg_client;
static struct vgpu_ring ring;

CUresult vg_client_lost(int err)
{
	(void)err;
	return CUDA_ERROR_DEVICE_UNAVAILABLE;
}

static void pause_10_us(void)
{
	uint64_t end = vg_now_us() + 10;

	while (vg_now_us() < end)
		;
}

/* The executor: so many steps, and then nothing any more. */
static void *executor(void *arg)
{
	for (uint64_t i = *(uint64_t *)arg; i; i--) {
		pause_10_us();
		vg_store_release64(&ring.sq_head, ring.sq_head + STEP);
	}
	return NULL;
}

static void doze_beside(uint64_t steps)
{
	pthread_t thread;

	ring.sq_head = 0;
	vg_client.ring = &ring;
	assert_int_equal(pthread_create(&thread, NULL, executor, &steps), 0);
	while (steps && !vg_client_head())
		;
	vg_client_doze(ALL * STEP);
	pthread_join(thread, NULL);
}

static void it_ends_with_the_work(void **state)
{
	(void)state;
	doze_beside(ALL);
}

/* Otherwise it would sleep for ever, because the end is never reached. */
static void it_ends_where_nothing_moves(void **state)
{
	(void)state;
	doze_beside(0);
	doze_beside(1);
	doze_beside(ALL / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_ends_with_the_work),
		cmocka_unit_test(it_ends_where_nothing_moves),
	};

	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
