// SPDX-License-Identifier: Apache-2.0
/* The shim's objects of ids that the executor has chosen. */
#include "unit.h"

#include "shim/shim.h"

/* What objects.c needs of others. */
struct vg_context *vg_current(void)
{
	return NULL;
}

static unsigned int released;

static void count_release(struct vg_object *o)
{
	(void)o;
	released++;
}

static void earlier_life_goes(void **state)
{
	const uint32_t id = VG_HANDLE_MAX / 2 + 5;
	struct vg_object *graph = vg_object_adopt(VG_TOLD(id, 1), VG_GRAPH, 0), *node;

	(void)state;
	assert_non_null(graph);
	assert_int_equal(graph->id, id);
	assert_ptr_equal(vg_object_adopt(VG_TOLD(id, 1), VG_GRAPH, 0), graph);
	assert_null(vg_object_adopt(VG_TOLD(id, 1), VG_GRAPH_NODE, 0));
	node = vg_object_adopt(VG_TOLD(id + 1, 7), VG_GRAPH_NODE, id);
	node->release = count_release;
	/* The id is another object's now, of whatever kind; its parts have gone, too. */
	graph->release = count_release;
	node = vg_object_adopt(VG_TOLD(id, 2), VG_GRAPH_NODE, 0);
	assert_ptr_equal(node, graph);
	assert_int_equal(released, 2);
	assert_null(vg_object_get(node, VG_GRAPH));
	assert_non_null(vg_object_get(node, VG_GRAPH_NODE));
	assert_null(node->release);
	assert_null(vg_object_adopt(VG_TOLD(VG_HANDLE_MAX - 1, 1), VG_GRAPH, 0));
}

/* What an object owns goes with it, at whatever depth, and nothing else does. */
static void parts_go_with_their_owner(void **state)
{
	enum { PARTS = 5000 };
	struct vg_object *graph, *other, *o, *deep;

	(void)state;
	released = 0;
	assert_int_equal(vg_object_new(VG_GRAPH, &graph), CUDA_SUCCESS);
	assert_int_equal(vg_object_new(VG_GRAPH, &other), CUDA_SUCCESS);
	deep = graph;
	for (int i = 0; i < PARTS; i++) {
		assert_int_equal(vg_object_new(VG_GRAPH, &o), CUDA_SUCCESS);
		o->release = count_release;
		vg_object_own(o, i % 2 ? deep->id : graph->id);
		if (i % 50 == 1)
			deep = o;
		if (i % 10 == 0)
			vg_object_own(o, other->id);
	}
	/* One that has gone already is not dropped again. */
	assert_int_equal(vg_object_new(VG_EVENT, &o), CUDA_SUCCESS);
	vg_object_own(o, graph->id);
	assert_int_equal(vg_object_take(o, VG_EVENT, &o), CUDA_SUCCESS);
	vg_object_drop(o);
	assert_int_equal(vg_object_take(graph, VG_GRAPH, &o), CUDA_SUCCESS);
	vg_object_drop(graph);
	assert_int_equal(released, PARTS * 9 / 10);
	assert_non_null(vg_object_get(other, VG_GRAPH));
	vg_object_orphans(other);
	assert_int_equal(released, PARTS);
	assert_non_null(vg_object_get(other, VG_GRAPH));
	vg_object_drop(other);
	assert_int_equal(released, PARTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(earlier_life_goes),
		cmocka_unit_test(parts_go_with_their_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
