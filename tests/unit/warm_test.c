// SPDX-License-Identifier: Apache-2.0
/* The context that is made before a program asks, with a driver and an account of the test's own. */
#include "unit.h"

#include <unistd.h>

#include "calls.h"
#include "exec_internal.h"
#include "vg_cuda.h"

struct vg_cuda cu;

#define CONTEXT	((CUcontext)0x1000)
#define BYTES	(32ull << 20)

static uint64_t held, counted, limit;	/* by the driver; in the account; there */

/* -- what calls_warm.c needs of the others */

uint64_t vg_exec_held(struct vg_exec *x)
{
	(void)x;
	return held;
}

bool vg_exec_context_take(struct vg_exec *x, uint64_t bytes)
{
	(void)x;
	if (counted + bytes > limit)
		return false;
	counted += bytes;
	return true;
}

void vg_exec_context_give(struct vg_exec *x, uint64_t bytes)
{
	(void)x;
	assert_true(bytes <= counted);
	counted -= bytes;
}

void vg_x_pace_measure(CUcontext ctx)
{
	(void)ctx;
}

void vg_x_pool_measure(CUcontext ctx)
{
	(void)ctx;
}


/* -- the driver */

static CUresult retain(CUcontext *ctx, CUdevice dev)
{
	(void)dev;
	*ctx = CONTEXT;
	held += BYTES;
	return CUDA_SUCCESS;
}

/* It takes longer than a program takes to ask for a context of its own. */
static CUresult release(CUdevice dev)
{
	(void)dev;
	usleep(50000);
	held -= BYTES;
	return CUDA_SUCCESS;
}

static struct vg_exec *const x = (struct vg_exec *)&held;

static int begin(void **state)
{
	(void)state;
	cu.cuDevicePrimaryCtxRetain = retain;
	cu.cuDevicePrimaryCtxRelease_v2 = release;
	held = counted = 0;
	limit = BYTES;
	vg_warm_up(x);
	assert_int_equal(held, BYTES);
	return 0;
}

static void a_program_takes_it(void **state)
{
	uint64_t bytes = 0;

	(void)state;
	vg_warm_count(x);
	assert_int_equal(counted, BYTES);
	assert_ptr_equal(vg_x_warm_take(0, 0, &bytes), CONTEXT);
	assert_int_equal(bytes, BYTES);
	assert_int_equal(counted, 0);
	/* It is the program's, and nothing is to be waited for. */
	vg_x_warm_drop();
	vg_x_warm_gone();
	assert_int_equal(held, BYTES);
}

/* Otherwise the program's own would seem to take less than it does. */
static void it_has_gone_before_another_is_measured(void **state)
{
	uint64_t bytes;

	(void)state;
	vg_warm_count(x);
	assert_null(vg_x_warm_take(1, 0, &bytes));
	vg_x_warm_gone();
	assert_int_equal(held, 0);
	assert_int_equal(counted, 0);
}

static void also_where_it_may_not_be(void **state)
{
	(void)state;
	limit = 0;
	vg_warm_count(x);
	vg_x_warm_gone();
	assert_int_equal(held, 0);
	assert_int_equal(counted, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_program_takes_it, begin),
		cmocka_unit_test_setup(it_has_gone_before_another_is_measured, begin),
		cmocka_unit_test_setup(also_where_it_may_not_be, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
