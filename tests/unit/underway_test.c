// SPDX-License-Identifier: Apache-2.0
/* A call that may block names what it works with when it begins, and nothing comes later. */
#include "unit.h"

#include <string.h>

#include "calls.h"
#include "exec_internal.h"

uint32_t vg_x_home(uint32_t ctx)
{
	return ctx;
}

enum { CTX = 1, STREAM = 5, KERNEL, LATER };

static struct vg_exec executor;

static const struct vg_name names[] = { { 0, VG_STREAM }, { 4, VG_FUNCTION }, { 8, VG_CONTEXT },
					{ 0 } };
static const struct vg_op op = { .name = "test", .needs_ctx = true, .names = names };
static const struct vg_op without = { .name = "without", .names = names };

static CUresult begin(const struct vg_op *o, uint32_t ctx, uint32_t stream, uint32_t function,
		      uint32_t named)
{
	uint32_t payload[3] = { stream, function, named };
	struct vg_req rq = { .ctx = ctx, .bytes = sizeof(payload), .payload = payload };
	CUresult r = vg_underway_begin(&executor, o, &rq);

	if (!r) {
		assert_true(!rq.ctx || rq.ctx == CTX);
		vg_underway_end();
	}
	return r;
}

static int set_up(void **state)
{
	(void)state;
	executor.handles = vg_handles_new();
	assert_true(vg_handle_put(executor.handles, CTX, VG_CONTEXT, 1));
	assert_true(vg_handle_put(executor.handles, STREAM, VG_STREAM, 1));
	assert_true(vg_handle_put(executor.handles, KERNEL, VG_KERNEL, 1));
	return 0;
}

static void call_names_what_is_there(void **state)
{
	(void)state;
	assert_int_equal(begin(&op, CTX, STREAM, KERNEL, CTX), CUDA_SUCCESS);
	/* None, and the streams that are always there. */
	assert_int_equal(begin(&op, 0, 0, 0, 0), CUDA_SUCCESS);
	assert_int_equal(begin(&op, CTX, 1, KERNEL, 0), CUDA_SUCCESS);
	assert_int_equal(begin(&op, CTX, KERNEL, KERNEL, CTX), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	assert_int_equal(begin(&op, CTX, STREAM, STREAM, CTX), CUDA_ERROR_INVALID_HANDLE);
}

/* What is not bound yet could be, before the call looks for it. */
static void call_names_nothing_that_comes_later(void **state)
{
	uint64_t serial;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(begin(&op, CTX, LATER, KERNEL, CTX),
				 CUDA_ERROR_CONTEXT_IS_DESTROYED);
		assert_int_equal(begin(&op, CTX, STREAM, LATER, CTX), CUDA_ERROR_INVALID_HANDLE);
		assert_int_equal(begin(&op, CTX, STREAM, KERNEL, LATER),
				 CUDA_ERROR_CONTEXT_IS_DESTROYED);
		assert_int_equal(begin(&op, LATER, STREAM, KERNEL, CTX),
				 CUDA_ERROR_CONTEXT_IS_DESTROYED);
		assert_int_equal(begin(&without, LATER, STREAM, KERNEL, CTX), CUDA_SUCCESS);
		/* And what is being made. */
		assert_int_equal(vg_handle_reserve(executor.handles, LATER, VG_STREAM, 0, 0, 0,
						   &serial), i ? VG_RESERVED_NOT : VG_RESERVED_OK);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(call_names_what_is_there),
		cmocka_unit_test(call_names_nothing_that_comes_later),
	};

	return cmocka_run_group_tests_name("underway", tests, set_up, NULL);
}
