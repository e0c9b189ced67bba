// SPDX-License-Identifier: Apache-2.0
/* Ids that the executor chooses are used again, and told apart by their life. */
#include "unit.h"

#include "calls.h"
#include "exec_internal.h"

/* What calls_handles.c needs of others. */
struct vg_handles *vg_exec_handles(struct vg_exec *x)
{
	return x->handles;
}

uint32_t vg_x_home(uint32_t ctx)
{
	return ctx;
}

bool vg_x_primary(uint32_t id)
{
	(void)id;
	return false;
}

bool vg_x_captured(struct vg_exec *x, uint32_t id)
{
	(void)x;
	(void)id;
	return false;
}

bool vg_x_captures_within(struct vg_exec *x, uint32_t id)
{
	(void)x;
	(void)id;
	return false;
}

void vg_x_capture_gone(struct vg_exec *x, uint32_t stream, bool surely)
{
	(void)x;
	(void)stream;
	(void)surely;
}

CUresult vg_x_may_end_captures(struct vg_exec *x, enum vg_kind kind, uint32_t id)
{
	(void)x;
	(void)kind;
	(void)id;
	return CUDA_SUCCESS;
}

void vg_x_link_gone(CUlinkState state)
{
	(void)state;
}

static struct vg_exec executor;

/* More ids than there are, one after the other: never one that is in use. */
static void ids_are_used_again(void **state)
{
	uint32_t kept, id;
	uint64_t v;

	(void)state;
	executor.handles = vg_handles_new();
	kept = vg_x_mint(&executor, VG_GRAPH, 1, 0);
	assert_int_not_equal(kept, 0);
	assert_int_equal(vg_x_mint(&executor, VG_GRAPH, 1, 0), kept);
	for (uint64_t i = 2; i < VG_HANDLE_MAX / 2 + 100; i++) {
		id = vg_x_mint(&executor, VG_GRAPH, i, 0);
		assert_in_range(id, VG_HANDLE_MAX / 2, VG_HANDLE_MAX - 1);
		assert_int_not_equal(id, kept);
		assert_true(vg_handle_take(executor.handles, id, VG_GRAPH, &v));
		assert_int_equal(v, i);
	}
	/* Told with another life than the first time. */
	assert_int_equal(vg_x_told(&executor, VG_GRAPH, kept), VG_TOLD(kept, 1));
	assert_true(vg_handle_take(executor.handles, kept, VG_GRAPH, &v));
	assert_true(vg_handle_put(executor.handles, kept, VG_GRAPH, 1));
	assert_int_equal(vg_x_told(&executor, VG_GRAPH, kept), VG_TOLD(kept, 2));
	/* A part of nothing is none. */
	assert_int_equal(vg_x_mint(&executor, VG_GRAPH_NODE, 5, 77), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_are_used_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
