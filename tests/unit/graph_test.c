// SPDX-License-Identifier: Apache-2.0
/* Ids of nodes that the driver names, in graphs within graphs. */
#include "unit.h"

#include "calls.h"
#include "exec_internal.h"
#include "vg_cuda.h"

struct vg_cuda cu;

/* What the executor's other files are to these calls. */
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

/* The clone has one node, which holds a graph of one node; a driver may find either. */
#define CLONE	((CUgraph)0x10)
#define WITHIN	((CUgraph)0x20)
#define HOLDER	((CUgraphNode)0x11)
#define INNER	((CUgraphNode)0x21)

static CUgraphNode found;

static CUresult find(CUgraphNode *out, CUgraphNode node, CUgraph clone)
{
	(void)node;
	assert_ptr_equal(clone, CLONE);
	*out = found;
	return CUDA_SUCCESS;
}

static CUresult nodes_of(CUgraph graph, CUgraphNode *nodes, size_t *n)
{
	if (nodes)
		nodes[0] = graph == CLONE ? HOLDER : INNER;
	*n = 1;
	return CUDA_SUCCESS;
}

static CUresult type_of(CUgraphNode node, CUgraphNodeType *type)
{
	*type = node == HOLDER ? CU_GRAPH_NODE_TYPE_GRAPH : CU_GRAPH_NODE_TYPE_EMPTY;
	return CUDA_SUCCESS;
}

static CUresult graph_in(CUgraphNode node, CUgraph *graph)
{
	assert_ptr_equal(node, HOLDER);
	*graph = WITHIN;
	return CUDA_SUCCESS;
}

static CUresult in_clone(struct vg_exec *x, uint32_t clone, uint32_t *id)
{
	struct vg_rq_vgpu_graph_node_in_clone q = { .clone = clone };
	struct vg_req rq = { .payload = &q, .bytes = sizeof(q) };
	unsigned int told = 0;
	CUresult r = vge_vgpu_graph_node_in_clone(x, &rq, NULL, CLONE, &told);

	*id = VG_TOLD_ID(told);
	return r;
}

/* An id goes with the graph that holds the node, and so with that one's node. */
static void node_in_clone_is_of_its_graph(void **state)
{
	struct vg_exec x = { .handles = vg_handles_new() };
	uint32_t holder, inner, owner, again;
	uint64_t v;

	(void)state;
	cu.cuGraphNodeFindInClone = find;
	cu.cuGraphGetNodes = nodes_of;
	cu.cuGraphNodeGetType = type_of;
	cu.cuGraphChildGraphNodeGetGraph = graph_in;
	assert_true(vg_handle_put(x.handles, 5, VG_GRAPH, (uintptr_t)CLONE));
	found = HOLDER;
	assert_int_equal(in_clone(&x, 5, &holder), CUDA_SUCCESS);
	assert_true(vg_handle_get_owner(x.handles, holder, VG_GRAPH_NODE, &owner));
	assert_int_equal(owner, 5);
	found = INNER;
	assert_int_equal(in_clone(&x, 5, &inner), CUDA_SUCCESS);
	assert_int_equal(in_clone(&x, 5, &again), CUDA_SUCCESS);
	assert_int_equal(again, inner);
	assert_true(vg_handle_get(x.handles, inner, VG_GRAPH_NODE, &v));
	assert_int_equal(v, (uintptr_t)INNER);
	/* The driver destroys the holder, and all that is in it. */
	assert_int_equal(vg_x_destroyed(&x, CUDA_SUCCESS, holder, VG_GRAPH_NODE), CUDA_SUCCESS);
	assert_false(vg_handle_get(x.handles, inner, VG_GRAPH_NODE, &v));
	/* What lies where the executor does not see it has no id. */
	found = (CUgraphNode)0x99;
	assert_int_equal(in_clone(&x, 5, &inner), CUDA_ERROR_NOT_SUPPORTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(node_in_clone_is_of_its_graph),
	};

	return cmocka_run_group_tests_name("graph", tests, NULL, NULL);
}
