// SPDX-License-Identifier: Apache-2.0
/*
 * Graphs of a hostile program: what the driver holds for them is counted, whatever ids the
 * records name, and no id outlives its graph.  Needs a mediator at VGPU_TRANSPORT=unix:PATH,
 * whose executors load softgpu.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/ops_internal.h"
#include "executor/budget.h"
#include "executor/handles.h"
#include "peer.h"
#include "vg_wire.h"

enum { CTX = 1, STREAM = 2, OTHER_STREAM, EVENT, FULL = 40, GRAPH = 50, CHILD, EXEC, NODE = 100,
       CLONE = 200000 };

static void stream(struct channel *ch, uint32_t id)
{
	struct vg_rq_cuStreamCreate s = { .phStream = id, .Flags = 1 };

	assert_int_equal(call_in(ch, VG_OP_cuStreamCreate, CTX, &s, sizeof(s), NULL, 0), 0);
}

static struct channel open_with_streams(void)
{
	struct channel ch = channel_open();
	struct vg_rq_vgpu_primary_retain q = { .dev = 0, .id = CTX };
	struct vg_rq_cuEventCreate e = { .phEvent = EVENT };

	assert_int_equal(call(&ch, VG_OP_vgpu_primary_retain, &q, sizeof(q)), CUDA_SUCCESS);
	stream(&ch, STREAM);
	stream(&ch, OTHER_STREAM);
	assert_int_equal(call_in(&ch, VG_OP_cuEventCreate, CTX, &e, sizeof(e), NULL, 0), 0);
	return ch;
}

static int32_t graph_create(struct channel *ch, uint32_t id)
{
	struct vg_rq_cuGraphCreate q = { .phGraph = id };

	return call_in(ch, VG_OP_cuGraphCreate, CTX, &q, sizeof(q), NULL, 0);
}

static int32_t graph_destroy(struct channel *ch, uint32_t id)
{
	struct vg_rq_cuGraphDestroy q = { .hGraph = id };

	return call_in(ch, VG_OP_cuGraphDestroy, CTX, &q, sizeof(q), NULL, 0);
}

static int32_t clone(struct channel *ch, uint32_t of, uint32_t id)
{
	struct vg_rq_cuGraphClone q = { .phGraphClone = id, .originalGraph = of };

	return call_in(ch, VG_OP_cuGraphClone, CTX, &q, sizeof(q), NULL, 0);
}

static int32_t node_add(struct channel *ch, uint32_t graph, uint32_t id)
{
	struct vg_rq_cuGraphAddEmptyNode q = { .phGraphNode = id, .hGraph = graph };

	return call_in(ch, VG_OP_cuGraphAddEmptyNode, CTX, &q, sizeof(q), NULL, 0);
}

/* Without an answer: nodes with these ids and the following ones. */
static void nodes_add(struct channel *ch, uint32_t graph, uint32_t id, int n)
{
	struct vg_rq_cuGraphAddEmptyNode q = { .hGraph = graph };

	for (int i = 0; i < n; i++) {
		q.phGraphNode = id + i;
		put(ch, VG_OP_cuGraphAddEmptyNode, CTX, -1, &q, sizeof(q));
	}
}

static int32_t graph_nodes(struct channel *ch, uint32_t graph, uint64_t *count)
{
	struct vg_rq_vgpu_graph_nodes q = { .graph = graph };
	struct vg_rp_vgpu_graph_nodes p = { 0 };
	int32_t r = call_in(ch, VG_OP_vgpu_graph_nodes, CTX, &q, sizeof(q), &p, sizeof(p));

	*count = p.count;
	return r;
}

static void has_nodes(struct channel *ch, uint32_t graph, uint64_t n)
{
	uint64_t count;

	assert_int_equal(graph_nodes(ch, graph, &count), CUDA_SUCCESS);
	assert_int_equal(count, n);
}

static int32_t instantiate(struct channel *ch, uint32_t graph, uint32_t exec)
{
	struct vg_rq_cuGraphInstantiateWithFlags q = { .phGraphExec = exec, .hGraph = graph };

	return call_in(ch, VG_OP_cuGraphInstantiateWithFlags, CTX, &q, sizeof(q), NULL, 0);
}

static int32_t condition(struct channel *ch, uint32_t graph, uint64_t *handle)
{
	struct vg_rq_cuGraphConditionalHandleCreate q = { .hGraph = graph, .ctx = CTX };
	struct vg_rp_cuGraphConditionalHandleCreate p = { 0 };
	int32_t r = call_in(ch, VG_OP_cuGraphConditionalHandleCreate, CTX, &q, sizeof(q), &p,
			    sizeof(p));

	*handle = p.pHandle_out;
	return r;
}

static int32_t conditional(struct channel *ch, uint32_t graph, uint64_t handle, uint32_t id,
			   uint32_t *body)
{
	struct vg_rq_vgpu_graph_conditional q = {
		.node = id, .graph = graph, .handle = handle, .ctx = CTX, .size = 1,
	};
	struct {
		struct vg_rp_vgpu_graph_conditional p;
		uint32_t body[2];
	} p = { 0 };
	int32_t r = call_in(ch, VG_OP_vgpu_graph_conditional, CTX, &q, sizeof(q), &p, sizeof(p));

	*body = VG_TOLD_ID(p.body[0]);
	return r;
}

static int32_t child_move(struct channel *ch, uint32_t graph, uint32_t child, uint32_t id)
{
	struct vg_rq_vgpu_graph_child_move q = { .node = id, .graph = graph, .child_id = child };

	return call_in(ch, VG_OP_vgpu_graph_child_move, CTX, &q, sizeof(q), NULL, 0);
}

static int32_t capture_in_to(struct channel *ch, uint32_t s, uint32_t graph)
{
	struct vg_rq_cuStreamBeginCaptureToGraph q = { .hStream = s, .hGraph = graph };

	return call_in(ch, VG_OP_cuStreamBeginCaptureToGraph, CTX, &q, sizeof(q), NULL, 0);
}

static int32_t capture_to(struct channel *ch, uint32_t graph)
{
	return capture_in_to(ch, STREAM, graph);
}

static int32_t capture_end_in(struct channel *ch, uint32_t s, uint32_t *graph)
{
	struct vg_rq_vgpu_capture_end q = { .stream = s };
	struct vg_rp_vgpu_capture_end p = { 0 };
	int32_t r = call_in(ch, VG_OP_vgpu_capture_end, CTX, &q, sizeof(q), &p, sizeof(p));

	*graph = VG_TOLD_ID(p.graph);
	return r;
}

static int32_t capture_end(struct channel *ch, uint32_t *graph)
{
	return capture_end_in(ch, STREAM, graph);
}

static uint64_t memory(struct channel *ch)
{
	struct vg_rq_cuMemAlloc_v2 q = { .bytesize = 4096 };
	struct vg_rp_cuMemAlloc_v2 p = { 0 };

	assert_int_equal(call_in(ch, VG_OP_cuMemAlloc_v2, CTX, &q, sizeof(q), &p, sizeof(p)),
			 CUDA_SUCCESS);
	return p.dptr;
}

static int32_t write_in(struct channel *ch, uint64_t dev, uint32_t s)
{
	struct vg_rq_cuMemsetD8Async q = { .dstDevice = dev, .N = 64, .hStream = s };

	return call_in(ch, VG_OP_cuMemsetD8Async, CTX, &q, sizeof(q), NULL, 0);
}

static int32_t write_bytes(struct channel *ch, uint64_t dev)
{
	return write_in(ch, dev, STREAM);
}

static int32_t stream_destroy(struct channel *ch, uint32_t s)
{
	struct vg_rq_cuStreamDestroy_v2 q = { .hStream = s };

	return call_in(ch, VG_OP_cuStreamDestroy_v2, CTX, &q, sizeof(q), NULL, 0);
}

static void record_event(struct channel *ch)
{
	struct vg_rq_cuEventRecord q = { .hEvent = EVENT, .hStream = STREAM };

	assert_int_equal(call_in(ch, VG_OP_cuEventRecord, CTX, &q, sizeof(q), NULL, 0),
			 CUDA_SUCCESS);
}

/* By this a stream joins the capture in which the event was recorded. */
static void wait_for_event(struct channel *ch, uint32_t s)
{
	struct vg_rq_cuStreamWaitEvent q = { .hStream = s, .hEvent = EVENT };

	assert_int_equal(call_in(ch, VG_OP_cuStreamWaitEvent, CTX, &q, sizeof(q), NULL, 0),
			 CUDA_SUCCESS);
}

/* CUDA does not allow this in a capture, and makes the capture of no use. */
static void break_capture_in(struct channel *ch, uint32_t s)
{
	struct vg_rq_cuStreamQuery q = { .hStream = s };

	assert_int_equal(call_in(ch, VG_OP_cuStreamQuery, CTX, &q, sizeof(q), NULL, 0),
			 CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
}

static void break_capture(struct channel *ch)
{
	break_capture_in(ch, STREAM);
}

/*
 * Use up the budget for objects, with clones of a graph FULL of nodes, then with smaller ones.
 * How many clones in all, and, if `big` is not NULL, of FULL.
 */
static int fill(struct channel *ch, int *big)
{
	int n = 0;

	/* The tables of ids stay, and count: none is to be made in the middle of this. */
	for (uint32_t id = CLONE; id <= CLONE + 4000; id += 4000) {
		assert_int_equal(graph_create(ch, id), CUDA_SUCCESS);
		assert_int_equal(graph_destroy(ch, id), CUDA_SUCCESS);
	}
	assert_int_equal(graph_create(ch, FULL), CUDA_SUCCESS);
	nodes_add(ch, FULL, 100000, 30000);
	while (!clone(ch, FULL, CLONE + n))
		n++;
	if (big)
		*big = n;
	assert_int_equal(graph_create(ch, FULL + 1), CUDA_SUCCESS);
	nodes_add(ch, FULL + 1, 150000, 500);
	while (!clone(ch, FULL + 1, CLONE + n))
		n++;
	while (!graph_create(ch, CLONE + n))
		n++;
	return n;
}

static void empty(struct channel *ch, int n)
{
	while (n--)
		assert_int_equal(graph_destroy(ch, CLONE + n), CUDA_SUCCESS);
	assert_int_equal(graph_destroy(ch, FULL), CUDA_SUCCESS);
	assert_int_equal(graph_destroy(ch, FULL + 1), CUDA_SUCCESS);
}

/* What the executor could not count, because the id is taken or is none, is not made. */
static void node_without_an_id(void **state)
{
	static const uint32_t ids[] = { 0, CTX, GRAPH, NODE, VG_HANDLE_MAX };
	struct channel ch = open_with_streams();
	uint32_t body;
	uint64_t handle;

	(void)state;
	assert_int_equal(graph_create(&ch, GRAPH), CUDA_SUCCESS);
	assert_int_equal(graph_create(&ch, CHILD), CUDA_SUCCESS);
	assert_int_equal(condition(&ch, GRAPH, &handle), CUDA_SUCCESS);
	assert_int_equal(node_add(&ch, GRAPH, NODE), CUDA_SUCCESS);
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		assert_int_equal(node_add(&ch, GRAPH, ids[i]), CUDA_ERROR_INVALID_HANDLE);
		assert_int_equal(conditional(&ch, GRAPH, handle, ids[i], &body),
				 CUDA_ERROR_INVALID_HANDLE);
		assert_int_equal(child_move(&ch, GRAPH, CHILD, ids[i]), CUDA_ERROR_INVALID_HANDLE);
	}
	has_nodes(&ch, GRAPH, 1);
	/* The child is still the program's own. */
	assert_int_equal(graph_destroy(&ch, CHILD), CUDA_SUCCESS);
	channel_close(&ch);
}

/* The bodies of a conditional and a child that was moved go with their node, and its graph. */
static void bodies_go_with_their_node(void **state)
{
	struct channel ch = open_with_streams();
	uint64_t handle, count;
	uint32_t body;

	(void)state;
	assert_int_equal(graph_create(&ch, GRAPH), CUDA_SUCCESS);
	assert_int_equal(graph_create(&ch, CHILD), CUDA_SUCCESS);
	assert_int_equal(condition(&ch, GRAPH, &handle), CUDA_SUCCESS);
	assert_int_equal(conditional(&ch, GRAPH, handle, NODE, &body), CUDA_SUCCESS);
	has_nodes(&ch, body, 0);
	/* A body stays where it is, and a graph does not go into itself. */
	assert_int_equal(child_move(&ch, GRAPH, body, NODE + 1), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(child_move(&ch, body, GRAPH, NODE + 1), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(child_move(&ch, GRAPH, CHILD, NODE + 1), CUDA_SUCCESS);
	assert_int_equal(child_move(&ch, GRAPH, CHILD, NODE + 2), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(graph_destroy(&ch, CHILD), CUDA_ERROR_INVALID_VALUE);
	has_nodes(&ch, GRAPH, 2);
	assert_int_equal(graph_destroy(&ch, GRAPH), CUDA_SUCCESS);
	assert_int_equal(graph_nodes(&ch, body, &count), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(graph_nodes(&ch, CHILD, &count), CUDA_ERROR_INVALID_VALUE);
	channel_close(&ch);
}

/* A node that the driver does not give up keeps its id, and stays counted. */
static void refused_node_keeps_its_id(void **state)
{
	struct channel ch = open_with_streams();
	struct vg_rq_vgpu_graph_alloc_node alloc = {
		.node = NODE, .graph = GRAPH, .bytes = 4096,
	};
	struct vg_rq_cuGraphDestroyNode destroy = { .hNode = NODE };

	(void)state;
	assert_int_equal(graph_create(&ch, GRAPH), CUDA_SUCCESS);
	assert_int_equal(call_in(&ch, VG_OP_vgpu_graph_alloc_node, CTX, &alloc, sizeof(alloc), NULL,
				 0), CUDA_SUCCESS);
	for (int i = 0; i < 2; i++)
		assert_int_equal(call_in(&ch, VG_OP_cuGraphDestroyNode, CTX, &destroy,
					 sizeof(destroy), NULL, 0), CUDA_ERROR_NOT_SUPPORTED);
	assert_int_equal(node_add(&ch, GRAPH, NODE), CUDA_ERROR_INVALID_HANDLE);
	channel_close(&ch);
}

/* An execution takes what is in the bodies of its conditionals, too. */
static void bodies_are_counted(void **state)
{
	enum { NODES = 20000 };
	const int most = VG_OBJECTS_MAX / VG_NODE_BYTES / NODES;
	struct channel ch = open_with_streams();
	uint64_t handle;
	uint32_t body;
	int32_t r;
	int n = 0;

	(void)state;
	assert_int_equal(graph_create(&ch, GRAPH), CUDA_SUCCESS);
	assert_int_equal(condition(&ch, GRAPH, &handle), CUDA_SUCCESS);
	assert_int_equal(conditional(&ch, GRAPH, handle, NODE, &body), CUDA_SUCCESS);
	nodes_add(&ch, body, NODE + 1, NODES);
	has_nodes(&ch, body, NODES);
	while (!(r = instantiate(&ch, GRAPH, CLONE + n)) && n <= most)
		n++;
	assert_int_equal(r, CUDA_ERROR_OUT_OF_MEMORY);
	assert_in_range(n, most / 2, most);
	channel_close(&ch);
}

/* With the budget used up nothing more is made, and a capture loses no graph of the program's. */
static void nothing_beyond_the_budget(void **state)
{
	struct vg_rq_cuGraphAddDependencies_v2 q = { .hGraph = GRAPH, .numDependencies = 1 };
	struct {
		struct vg_rq_cuGraphAddDependencies_v2 q;
		uint32_t from[2], to[2];
	} edge = { q, { NODE }, { NODE + 1 } };
	struct channel ch = open_with_streams();
	uint64_t dev = memory(&ch);
	uint32_t body, graph;
	uint64_t handle;
	int n;

	(void)state;
	assert_int_equal(graph_create(&ch, GRAPH), CUDA_SUCCESS);
	assert_int_equal(node_add(&ch, GRAPH, NODE), CUDA_SUCCESS);
	assert_int_equal(node_add(&ch, GRAPH, NODE + 1), CUDA_SUCCESS);
	assert_int_equal(graph_create(&ch, CHILD), CUDA_SUCCESS);
	assert_int_equal(capture_to(&ch, CHILD), CUDA_SUCCESS);
	assert_int_equal(write_bytes(&ch, dev), CUDA_SUCCESS);
	n = fill(&ch, NULL);
	assert_int_equal(condition(&ch, GRAPH, &handle), CUDA_ERROR_OUT_OF_MEMORY);
	assert_int_equal(node_add(&ch, GRAPH, NODE + 2), CUDA_ERROR_OUT_OF_MEMORY);
	/* What remains is less than an object. */
	for (int i = 0; i < (int)(VG_OBJECT_BYTES / VG_EDGE_BYTES); i++) {
		struct vg_rq_cuGraphRemoveDependencies_v2 same;
		int32_t r = call_in(&ch, VG_OP_cuGraphAddDependencies_v2, CTX, &edge, sizeof(edge),
				    NULL, 0);

		_Static_assert(sizeof(same) == sizeof(edge.q), "as cuGraphAddDependencies");
		if (r == CUDA_ERROR_OUT_OF_MEMORY)
			break;
		assert_int_equal(r, CUDA_SUCCESS);
		assert_int_equal(call_in(&ch, VG_OP_cuGraphRemoveDependencies_v2, CTX, &edge,
					 sizeof(edge), NULL, 0), CUDA_SUCCESS);
	}
	assert_int_equal(call_in(&ch, VG_OP_cuGraphAddDependencies_v2, CTX, &edge, sizeof(edge),
				 NULL, 0), CUDA_ERROR_OUT_OF_MEMORY);
	assert_int_equal(write_bytes(&ch, dev), CUDA_ERROR_OUT_OF_MEMORY);
	assert_int_equal(capture_end(&ch, &graph), CUDA_SUCCESS);
	assert_int_equal(graph, CHILD);
	has_nodes(&ch, CHILD, 1);
	empty(&ch, n);
	assert_int_equal(condition(&ch, GRAPH, &handle), CUDA_SUCCESS);
	assert_int_equal(conditional(&ch, GRAPH, handle, NODE + 2, &body), CUDA_SUCCESS);
	assert_int_equal(call_in(&ch, VG_OP_cuGraphAddDependencies_v2, CTX, &edge, sizeof(edge),
				 NULL, 0), CUDA_SUCCESS);
	assert_int_equal(capture_to(&ch, CHILD), CUDA_SUCCESS);
	assert_int_equal(capture_end(&ch, &graph), CUDA_SUCCESS);
	assert_int_equal(graph, CHILD);
	channel_close(&ch);
}

static void capture_writes(struct channel *ch, uint64_t dev, int n)
{
	struct vg_rq_cuStreamBeginCapture_v2 begin = { .hStream = STREAM };
	struct vg_rq_cuMemsetD8Async q = { .N = 64, .hStream = STREAM };

	assert_int_equal(call_in(ch, VG_OP_cuStreamBeginCapture_v2, CTX, &begin, sizeof(begin),
				 NULL, 0), CUDA_SUCCESS);
	for (q.dstDevice = dev; n; n--)
		put(ch, VG_OP_cuMemsetD8Async, CTX, -1, &q, sizeof(q));
}

/* A stream's calls are counted while they are captured, and given back with the graph. */
static void captures_are_counted(void **state)
{
	enum { WRITES = 60000 };
	struct channel ch = open_with_streams();
	uint64_t dev = memory(&ch);
	int n, big, most;
	uint32_t graph;

	(void)state;
	empty(&ch, fill(&ch, NULL));	/* the tables of ids stay, and count */
	empty(&ch, fill(&ch, &most));
	/* One that ends when there is no room for its graph's id leaves nothing. */
	capture_writes(&ch, dev, WRITES);
	n = fill(&ch, &big);
	assert_in_range(big, most - 6, most - 2);
	assert_int_equal(write_bytes(&ch, dev), CUDA_ERROR_OUT_OF_MEMORY);
	assert_int_equal(capture_end(&ch, &graph), CUDA_ERROR_OUT_OF_MEMORY);
	empty(&ch, n);

	capture_writes(&ch, dev, WRITES);
	assert_int_equal(capture_end(&ch, &graph), CUDA_SUCCESS);
	has_nodes(&ch, graph, WRITES);
	empty(&ch, fill(&ch, &big));
	assert_in_range(big, most - 6, most - 2);
	assert_int_equal(graph_destroy(&ch, graph), CUDA_SUCCESS);
	empty(&ch, fill(&ch, &big));
	assert_int_equal(big, most);
	channel_close(&ch);
}

static int32_t begin(struct channel *ch)
{
	struct vg_rq_cuStreamBeginCapture_v2 q = { .hStream = STREAM };

	return call_in(ch, VG_OP_cuStreamBeginCapture_v2, CTX, &q, sizeof(q), NULL, 0);
}

static uint32_t captured_graph(struct channel *ch)
{
	struct vg_rq_vgpu_capture_info q = { .stream = STREAM };
	struct vg_rp_vgpu_capture_info p;

	assert_int_equal(call_in(ch, VG_OP_vgpu_capture_info, CTX, &q, sizeof(q), &p, sizeof(p)),
			 CUDA_SUCCESS);
	return VG_TOLD_ID(p.info.graph);
}

/* What is under capture stays, whatever is done to what is around it, or without a context. */
static void captured_graph_stays(void **state)
{
	struct vg_rq_vgpu_capture_end without = { .stream = STREAM };
	struct vg_rq_cuGraphDestroyNode node = { .hNode = NODE };
	struct channel ch = open_with_streams();
	uint64_t dev = memory(&ch), handle;
	uint32_t body, graph, ended;

	(void)state;
	assert_int_equal(graph_create(&ch, GRAPH), CUDA_SUCCESS);
	assert_int_equal(condition(&ch, GRAPH, &handle), CUDA_SUCCESS);
	assert_int_equal(conditional(&ch, GRAPH, handle, NODE, &body), CUDA_SUCCESS);
	assert_int_equal(capture_to(&ch, body), CUDA_SUCCESS);
	assert_int_equal(graph_destroy(&ch, GRAPH), CUDA_ERROR_ILLEGAL_STATE);
	assert_int_equal(call_in(&ch, VG_OP_cuGraphDestroyNode, CTX, &node, sizeof(node), NULL, 0),
			 CUDA_ERROR_ILLEGAL_STATE);
	assert_int_equal(write_bytes(&ch, dev), CUDA_SUCCESS);
	assert_int_equal(capture_end(&ch, &ended), CUDA_SUCCESS);
	assert_int_equal(ended, body);
	has_nodes(&ch, body, 1);
	assert_int_equal(graph_destroy(&ch, GRAPH), CUDA_SUCCESS);

	assert_int_equal(begin(&ch), CUDA_SUCCESS);
	graph = captured_graph(&ch);
	assert_int_equal(graph_create(&ch, GRAPH), CUDA_SUCCESS);
	assert_int_equal(child_move(&ch, GRAPH, graph, NODE), CUDA_ERROR_ILLEGAL_STATE);
	/* The driver refuses this call, and the capture goes on. */
	assert_int_not_equal(call_in(&ch, VG_OP_vgpu_capture_end, 0, &without, sizeof(without),
				     NULL, 0), CUDA_SUCCESS);
	assert_int_equal(graph_destroy(&ch, graph), CUDA_ERROR_ILLEGAL_STATE);
	assert_int_equal(write_bytes(&ch, dev), CUDA_SUCCESS);
	assert_int_equal(capture_end(&ch, &ended), CUDA_SUCCESS);
	assert_int_equal(ended, graph);
	assert_int_equal(graph_destroy(&ch, graph), CUDA_SUCCESS);
	channel_close(&ch);
}

/* A copy of a graph under capture takes what has been captured so far. */
static void copies_of_a_capture_are_counted(void **state)
{
	enum { WRITES = 4000 };		/* softgpu's clones are quadratic in edges */
	const int most = VG_OBJECTS_MAX / VG_NODE_BYTES / WRITES;
	struct channel ch = open_with_streams();
	uint64_t dev = memory(&ch);
	uint32_t graph, ended;
	int32_t r;
	int n = 0;

	(void)state;
	capture_writes(&ch, dev, WRITES);
	graph = captured_graph(&ch);
	while (!(r = clone(&ch, graph, CLONE + n)) && n <= most)
		n++;
	assert_int_equal(r, CUDA_ERROR_OUT_OF_MEMORY);
	assert_in_range(n, most / 2, most);
	while (n--)
		assert_int_equal(graph_destroy(&ch, CLONE + n), CUDA_SUCCESS);
	assert_int_equal(capture_end(&ch, &ended), CUDA_SUCCESS);
	channel_close(&ch);
}

/* A capture ends with the stream in which it began, in those that have joined it, too. */
static void capture_ends_with_its_stream(void **state)
{
	struct channel ch = open_with_streams();
	uint64_t dev = memory(&ch), count;
	uint32_t graph;
	int n, big, most;

	(void)state;
	empty(&ch, fill(&ch, NULL));	/* the tables of ids stay, and count */
	empty(&ch, fill(&ch, &most));
	capture_writes(&ch, dev, 60000);
	graph = captured_graph(&ch);
	record_event(&ch);
	wait_for_event(&ch, OTHER_STREAM);
	assert_int_equal(write_in(&ch, dev, OTHER_STREAM), CUDA_SUCCESS);
	assert_int_equal(graph_destroy(&ch, graph), CUDA_ERROR_ILLEGAL_STATE);
	n = fill(&ch, NULL);
	assert_int_equal(write_in(&ch, dev, OTHER_STREAM), CUDA_ERROR_OUT_OF_MEMORY);
	empty(&ch, n);
	assert_int_equal(stream_destroy(&ch, STREAM), CUDA_SUCCESS);
	assert_int_equal(graph_nodes(&ch, graph, &count), CUDA_ERROR_INVALID_VALUE);
	n = fill(&ch, &big);
	assert_in_range(big, most - 1, most);
	assert_int_equal(write_in(&ch, dev, OTHER_STREAM), CUDA_SUCCESS);
	assert_int_equal(capture_end_in(&ch, OTHER_STREAM, &graph), CUDA_ERROR_ILLEGAL_STATE);
	empty(&ch, n);
	channel_close(&ch);
}

/* The driver frees the graph of a capture that fails at its end, also one of the program's. */
static void broken_capture_loses_its_graph(void **state)
{
	struct channel ch = open_with_streams();
	uint64_t dev = memory(&ch), count;
	uint32_t graph, ended;

	(void)state;
	assert_int_equal(begin(&ch), CUDA_SUCCESS);
	graph = captured_graph(&ch);
	has_nodes(&ch, graph, 0);
	break_capture(&ch);
	assert_int_equal(graph_nodes(&ch, graph, &count), CUDA_ERROR_INVALID_VALUE);
	assert_int_not_equal(capture_end(&ch, &ended), CUDA_SUCCESS);

	assert_int_equal(graph_create(&ch, CHILD), CUDA_SUCCESS);
	assert_int_equal(node_add(&ch, CHILD, NODE), CUDA_SUCCESS);
	assert_int_equal(capture_to(&ch, CHILD), CUDA_SUCCESS);
	assert_int_equal(write_bytes(&ch, dev), CUDA_SUCCESS);
	break_capture(&ch);
	has_nodes(&ch, CHILD, 2);
	assert_int_equal(graph_destroy(&ch, CHILD), CUDA_ERROR_ILLEGAL_STATE);
	assert_int_not_equal(capture_end(&ch, &ended), CUDA_SUCCESS);
	assert_int_equal(graph_nodes(&ch, CHILD, &count), CUDA_ERROR_INVALID_VALUE);
	/* Both ids are free again. */
	assert_int_equal(graph_create(&ch, CHILD), CUDA_SUCCESS);
	assert_int_equal(node_add(&ch, CHILD, NODE), CUDA_SUCCESS);
	channel_close(&ch);
}

/* -- captures to a part of a graph, which the driver frees although the graph points to it */

/* A conditional in the graph, with this id; its body. */
static uint32_t body_in(struct channel *ch, uint32_t graph, uint32_t node)
{
	uint64_t handle;
	uint32_t body;

	assert_int_equal(condition(ch, graph, &handle), CUDA_SUCCESS);
	assert_int_equal(conditional(ch, graph, handle, node, &body), CUDA_SUCCESS);
	return body;
}

static uint32_t body_new(struct channel *ch)
{
	assert_int_equal(graph_create(ch, GRAPH), CUDA_SUCCESS);
	return body_in(ch, GRAPH, NODE);
}

/* GRAPH with a child graph of an empty one, and that child. */
static uint32_t child_new(struct channel *ch)
{
	struct vg_rq_vgpu_graph_child q = { .node = NODE };
	struct vg_rq_cuGraphAddChildGraphNode add = {
		.phGraphNode = NODE, .hGraph = GRAPH, .childGraph = CHILD,
	};
	struct vg_rp_vgpu_graph_child p = { 0 };

	assert_int_equal(graph_create(ch, GRAPH), CUDA_SUCCESS);
	assert_int_equal(graph_create(ch, CHILD), CUDA_SUCCESS);
	assert_int_equal(call_in(ch, VG_OP_cuGraphAddChildGraphNode, CTX, &add, sizeof(add), NULL,
				 0), CUDA_SUCCESS);
	assert_int_equal(call_in(ch, VG_OP_vgpu_graph_child, CTX, &q, sizeof(q), &p, sizeof(p)),
			 CUDA_SUCCESS);
	return VG_TOLD_ID(p.graph);
}

static void breaks_and_ends(struct channel *ch)
{
	uint32_t ended;

	break_capture(ch);
	assert_int_equal(capture_end(ch, &ended), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
}

static void stream_goes(struct channel *ch)
{
	assert_int_equal(stream_destroy(ch, STREAM), CUDA_SUCCESS);
}

static int32_t primary_release(struct channel *ch)
{
	struct vg_rq_vgpu_primary_release q = { .dev = 0, .id = CTX };

	return call_in(ch, VG_OP_vgpu_primary_release, CTX, &q, sizeof(q), NULL, 0);
}

static void context_goes(struct channel *ch)
{
	struct vg_rq_vgpu_primary_retain q = { .dev = 0, .id = CTX };

	assert_int_equal(primary_release(ch), CUDA_SUCCESS);
	assert_int_equal(call(ch, VG_OP_vgpu_primary_retain, &q, sizeof(q)), CUDA_SUCCESS);
}

/* No record reaches what is around it any more, and it goes on to count. */
static void around_a_freed_graph_stays(void **state)
{
	static uint32_t (*const part_new[])(struct channel *) = { body_new, child_new };
	static void (*const goes[])(struct channel *) = {
		breaks_and_ends, stream_goes, context_goes,
	};
	struct vg_rq_cuGraphDestroyNode destroy = { .hNode = NODE };
	uint64_t dev, count;
	uint32_t part;

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		struct channel ch = open_with_streams();

		dev = memory(&ch);
		part = part_new[i % 2](&ch);
		assert_int_equal(capture_to(&ch, part), CUDA_SUCCESS);
		assert_int_equal(write_bytes(&ch, dev), CUDA_SUCCESS);
		assert_int_equal(graph_destroy(&ch, GRAPH), CUDA_ERROR_ILLEGAL_STATE);
		assert_int_equal(call_in(&ch, VG_OP_cuGraphDestroyNode, CTX, &destroy,
					 sizeof(destroy), NULL, 0), CUDA_ERROR_ILLEGAL_STATE);
		goes[i / 2](&ch);
		assert_int_equal(graph_nodes(&ch, part, &count), CUDA_ERROR_INVALID_VALUE);
		assert_int_equal(graph_nodes(&ch, GRAPH, &count), CUDA_ERROR_INVALID_VALUE);
		assert_int_equal(instantiate(&ch, GRAPH, EXEC), CUDA_ERROR_INVALID_VALUE);
		assert_int_equal(clone(&ch, GRAPH, CLONE), CUDA_ERROR_INVALID_VALUE);
		assert_int_equal(graph_destroy(&ch, GRAPH), CUDA_ERROR_INVALID_VALUE);
		assert_int_equal(call_in(&ch, VG_OP_cuGraphDestroyNode, CTX, &destroy,
					 sizeof(destroy), NULL, 0), CUDA_ERROR_INVALID_VALUE);
		assert_int_equal(graph_create(&ch, GRAPH), CUDA_ERROR_INVALID_HANDLE);
		channel_close(&ch);
	}
}

/* So many graphs with a body of nodes and captured writes cannot be left for ever. */
static void around_freed_graphs_counts(void **state)
{
	enum { NODES = 4000, WRITES = 4000 };
	const int most = VG_OBJECTS_MAX / VG_NODE_BYTES / (NODES + WRITES);
	struct vg_rq_cuMemsetD8Async q = { .N = 64, .hStream = STREAM };
	struct channel ch = open_with_streams();
	uint64_t handle, count;
	uint32_t body, ended;
	int n;

	(void)state;
	q.dstDevice = memory(&ch);
	for (n = 0; n <= most; n++) {
		if (graph_create(&ch, CLONE + n) || condition(&ch, CLONE + n, &handle) ||
		    conditional(&ch, CLONE + n, handle, NODE, &body))
			break;
		nodes_add(&ch, body, NODE + 1, NODES);
		if (graph_nodes(&ch, body, &count) || count < NODES || capture_to(&ch, body))
			break;
		for (int i = 0; i < WRITES; i++)
			put(&ch, VG_OP_cuMemsetD8Async, CTX, -1, &q, sizeof(q));
		if (write_bytes(&ch, q.dstDevice))
			break;
		break_capture(&ch);
		assert_int_not_equal(capture_end(&ch, &ended), CUDA_SUCCESS);
	}
	assert_in_range(n, most / 2, most);
	channel_close(&ch);
}

/* Whether the driver frees the graphs of captures with their context is not known. */
static void captures_of_contexts_count(void **state)
{
	enum { WRITES = 20000 };
	const int most = VG_OBJECTS_MAX / VG_NODE_BYTES / WRITES;
	struct vg_rq_cuMemsetD8Async q = { .N = 64, .hStream = STREAM };
	struct channel ch = open_with_streams();
	uint64_t count;
	uint32_t graph;
	int n;

	(void)state;
	for (n = 0; n <= most; n++) {
		assert_int_equal(begin(&ch), CUDA_SUCCESS);
		graph = n % 2 ? captured_graph(&ch) : 0;
		q.dstDevice = memory(&ch);
		for (int i = 0; i < WRITES; i++)
			put(&ch, VG_OP_cuMemsetD8Async, CTX, -1, &q, sizeof(q));
		if (write_bytes(&ch, q.dstDevice))
			break;
		context_goes(&ch);
		if (graph)
			assert_int_equal(graph_nodes(&ch, graph, &count),
					 CUDA_ERROR_INVALID_VALUE);
		stream(&ch, STREAM);
	}
	assert_in_range(n, most / 2, most);
	channel_close(&ch);
}

/* While a capture is broken but not ended, what is around its graph stays. */
static void around_a_broken_capture_stays(void **state)
{
	struct channel ch = open_with_streams();
	uint32_t body = body_new(&ch), ended;

	(void)state;
	assert_int_equal(capture_to(&ch, body), CUDA_SUCCESS);
	break_capture(&ch);
	for (int i = 0; i < 2; i++)
		assert_int_equal(graph_destroy(&ch, GRAPH), CUDA_ERROR_ILLEGAL_STATE);
	has_nodes(&ch, GRAPH, 1);
	has_nodes(&ch, body, 0);
	assert_int_not_equal(capture_end(&ch, &ended), CUDA_SUCCESS);
	assert_int_equal(graph_destroy(&ch, GRAPH), CUDA_ERROR_INVALID_VALUE);
	channel_close(&ch);
}

/* A capture whose graph holds that of another ends after it, for the driver may free both. */
static void captures_within_captures(void **state)
{
	struct vg_rq_vgpu_capture_info q = { .stream = STREAM };
	struct vg_rp_vgpu_capture_info p;
	struct channel ch = open_with_streams();
	uint64_t dev = memory(&ch), count;
	uint32_t graph, body, ended;

	(void)state;
	for (int works = 1; works >= 0; works--) {
		assert_int_equal(begin(&ch), CUDA_SUCCESS);
		graph = captured_graph(&ch);
		body = body_in(&ch, graph, NODE);
		assert_int_equal(capture_in_to(&ch, OTHER_STREAM, body), CUDA_SUCCESS);
		assert_int_equal(write_in(&ch, dev, OTHER_STREAM), CUDA_SUCCESS);
		if (!works)
			break_capture(&ch);
		assert_int_equal(capture_end(&ch, &ended), CUDA_ERROR_ILLEGAL_STATE);
		assert_int_equal(stream_destroy(&ch, STREAM), CUDA_ERROR_ILLEGAL_STATE);
		assert_int_equal(primary_release(&ch), CUDA_ERROR_ILLEGAL_STATE);
		if (!works)
			break;
		assert_int_equal(capture_end_in(&ch, OTHER_STREAM, &ended), CUDA_SUCCESS);
		assert_int_equal(ended, body);
		assert_int_equal(capture_end(&ch, &ended), CUDA_SUCCESS);
		assert_int_equal(ended, graph);
		has_nodes(&ch, body, 1);
		assert_int_equal(graph_destroy(&ch, graph), CUDA_SUCCESS);
	}
	/* After a call for graphs that of the outer one has no id any more. */
	assert_int_equal(graph_create(&ch, GRAPH), CUDA_SUCCESS);
	assert_int_equal(graph_nodes(&ch, body, &count), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(capture_end_in(&ch, OTHER_STREAM, &ended),
			 CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	assert_int_equal(capture_end(&ch, &ended), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	assert_int_equal(stream_destroy(&ch, STREAM), CUDA_ERROR_ILLEGAL_STATE);

	/* The inner one fails: the outer one never ends, so that the driver frees nothing. */
	stream(&ch, STREAM + 8);
	assert_int_equal(graph_create(&ch, CHILD), CUDA_SUCCESS);
	assert_int_equal(capture_in_to(&ch, STREAM + 8, CHILD), CUDA_SUCCESS);
	assert_int_equal(write_in(&ch, dev, STREAM + 8), CUDA_SUCCESS);
	body = body_in(&ch, CHILD, NODE + 1);
	assert_int_equal(capture_in_to(&ch, OTHER_STREAM, body), CUDA_SUCCESS);
	assert_int_equal(stream_destroy(&ch, OTHER_STREAM), CUDA_SUCCESS);
	q.stream = STREAM + 8;
	assert_int_equal(call_in(&ch, VG_OP_vgpu_capture_info, CTX, &q, sizeof(q), &p, sizeof(p)),
			 CUDA_SUCCESS);
	assert_int_equal(p.info.status, CU_STREAM_CAPTURE_STATUS_INVALIDATED);
	assert_int_equal(write_in(&ch, dev, STREAM + 8), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	assert_int_equal(capture_end_in(&ch, STREAM + 8, &ended),
			 CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
	assert_int_equal(stream_destroy(&ch, STREAM + 8), CUDA_ERROR_ILLEGAL_STATE);
	assert_int_equal(graph_destroy(&ch, CHILD), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(primary_release(&ch), CUDA_ERROR_ILLEGAL_STATE);
	channel_close(&ch);
}

/* -- what is counted for a capture, and what is not */

static int32_t launch(struct channel *ch, uint32_t exec, uint32_t s)
{
	struct vg_rq_cuGraphLaunch q = { .hGraph = exec, .hStream = s };

	return call_in(ch, VG_OP_cuGraphLaunch, CTX, &q, sizeof(q), NULL, 0);
}

/* Only what is captured counts, and only for the capture that it goes into. */
static void beside_a_capture_nothing_counts(void **state)
{
	enum { NODES = 30000, LAUNCHES = 60 };
	struct vg_rq_cuStreamBeginCapture_v2 other = { .hStream = OTHER_STREAM };
	struct channel ch = open_with_streams();
	uint64_t dev = memory(&ch);
	uint32_t graph[2];
	int big, most;

	_Static_assert((uint64_t)LAUNCHES * NODES * VG_NODE_BYTES > VG_OBJECTS_MAX, "too much");
	(void)state;
	empty(&ch, fill(&ch, NULL));	/* the tables of ids stay, and count */
	empty(&ch, fill(&ch, &most));
	assert_int_equal(graph_create(&ch, GRAPH), CUDA_SUCCESS);
	nodes_add(&ch, GRAPH, NODE, NODES);
	assert_int_equal(instantiate(&ch, GRAPH, EXEC), CUDA_SUCCESS);
	capture_writes(&ch, dev, 1);
	for (int i = 0; i < LAUNCHES; i++)
		assert_int_equal(launch(&ch, EXEC, i % 2 ? OTHER_STREAM : 0), CUDA_SUCCESS);
	/* Two captures in turn: each has its own share. */
	assert_int_equal(call_in(&ch, VG_OP_cuStreamBeginCapture_v2, CTX, &other, sizeof(other),
				 NULL, 0), CUDA_SUCCESS);
	for (int i = 0; i < 60000; i++)
		assert_int_equal(write_in(&ch, dev, STREAM), CUDA_SUCCESS);
	assert_int_equal(capture_end_in(&ch, OTHER_STREAM, &graph[1]), CUDA_SUCCESS);
	assert_int_equal(capture_end(&ch, &graph[0]), CUDA_SUCCESS);
	has_nodes(&ch, graph[0], 60001);
	assert_int_equal(graph_destroy(&ch, graph[0]), CUDA_SUCCESS);
	empty(&ch, fill(&ch, &big));
	assert_in_range(big, most - 3, most - 1);
	channel_close(&ch);
}

/* -- edges that calls in a stream bring into the graph */

enum { MANY = 256 };			/* dependencies of one call */

struct many {
	struct vg_rq_cuStreamBeginCaptureToGraph q;
	uint32_t node[MANY];
};

/* GRAPH with so many nodes, and room in the budget where a clone of FULL has been. */
static struct many prepare_edges(struct channel *ch)
{
	struct many q = {
		.q = { .numDependencies = MANY, .hStream = STREAM, .hGraph = GRAPH, .present = 1 },
	};

	assert_int_equal(graph_create(ch, GRAPH), CUDA_SUCCESS);
	nodes_add(ch, GRAPH, NODE, MANY);
	has_nodes(ch, GRAPH, MANY);
	for (int i = 0; i < MANY; i++)
		q.node[i] = NODE + i;
	fill(ch, NULL);
	assert_int_equal(graph_destroy(ch, CLONE), CUDA_SUCCESS);
	return q;
}

/* So much fits where a clone of FULL has been, if each takes MANY edges and not much more. */
static void took_many_edges(int n)
{
	const int room = 30000 * VG_NODE_BYTES, each = MANY * VG_EDGE_BYTES;

	assert_in_range(n, room / each * 2 / 3, room / each + 100);
}

/* Each wait of a stream for what it depends on may give the next node all these edges. */
static void waits_count_their_edges(void **state)
{
	struct channel ch = open_with_streams();
	struct vg_rq_cuStreamWaitEvent wait = { .hStream = STREAM, .hEvent = EVENT };
	struct many q;
	int n = 0;

	(void)state;
	q = prepare_edges(&ch);
	assert_int_equal(call_in(&ch, VG_OP_cuStreamBeginCaptureToGraph, CTX, &q, sizeof(q), NULL,
				 0), CUDA_SUCCESS);
	record_event(&ch);
	while (n < 30000 && !call_in(&ch, VG_OP_cuStreamWaitEvent, CTX, &wait, sizeof(wait), NULL,
				     0))
		n++;
	took_many_edges(n);
	channel_close(&ch);
}

/* So may the first node in a stream that joins the capture. */
static void joins_count_their_edges(void **state)
{
	struct channel ch = open_with_streams();
	struct vg_rq_cuStreamWaitEvent wait = { .hStream = STREAM + 8, .hEvent = EVENT };
	struct vg_rq_cuStreamCreate s = { .phStream = STREAM + 8, .Flags = 1 };
	struct many q;
	int n;

	(void)state;
	q = prepare_edges(&ch);
	assert_int_equal(call_in(&ch, VG_OP_cuStreamBeginCaptureToGraph, CTX, &q, sizeof(q), NULL,
				 0), CUDA_SUCCESS);
	record_event(&ch);
	for (n = 0; n < 30000; n++) {
		if (call_in(&ch, VG_OP_cuStreamCreate, CTX, &s, sizeof(s), NULL, 0))
			break;
		assert_int_equal(call_in(&ch, VG_OP_cuStreamWaitEvent, CTX, &wait, sizeof(wait),
					 NULL, 0), CUDA_SUCCESS);
		assert_int_equal(stream_destroy(&ch, STREAM + 8), CUDA_SUCCESS);
	}
	took_many_edges(n);
	channel_close(&ch);
}

/* So may the first node after a capture has begun. */
static void captures_to_graphs_count_their_edges(void **state)
{
	struct channel ch = open_with_streams();
	uint64_t dev = memory(&ch);
	struct many q;
	uint32_t ended;
	int n;

	(void)state;
	q = prepare_edges(&ch);
	for (n = 0; n < 30000; n++) {
		if (call_in(&ch, VG_OP_cuStreamBeginCaptureToGraph, CTX, &q, sizeof(q), NULL, 0) ||
		    write_bytes(&ch, dev))
			break;
		assert_int_equal(capture_end(&ch, &ended), CUDA_SUCCESS);
	}
	took_many_edges(n);
	channel_close(&ch);
}

static int32_t child(struct channel *ch, uint32_t graph, struct vg_rp_vgpu_capture_child *p)
{
	struct vg_rq_vgpu_capture_child q = { .stream = STREAM, .child = graph };

	return call_in(ch, VG_OP_vgpu_capture_child, CTX, &q, sizeof(q), p, sizeof(*p));
}

/* A graph that is put into a capture is copied there, and counted with all that it has. */
static void children_of_a_capture_are_counted(void **state)
{
	enum { WRITES = 4000 };
	const int most = VG_OBJECTS_MAX / VG_NODE_BYTES / WRITES;
	struct vg_rp_vgpu_capture_child p, again;
	struct channel ch = open_with_streams();
	uint64_t dev = memory(&ch);
	uint32_t graph, ended;
	int32_t r;
	int n = 0;

	(void)state;
	capture_writes(&ch, dev, WRITES);
	assert_int_equal(capture_end(&ch, &graph), CUDA_SUCCESS);
	assert_int_equal(child(&ch, graph, &p), CUDA_ERROR_ILLEGAL_STATE);
	assert_int_equal(begin(&ch), CUDA_SUCCESS);
	assert_int_equal(child(&ch, graph, &p), CUDA_SUCCESS);
	assert_int_equal(child(&ch, graph, &again), CUDA_SUCCESS);
	assert_int_equal(VG_TOLD_ID(p.graph), captured_graph(&ch));
	assert_int_equal(p.graph, again.graph);
	assert_int_not_equal(p.node, again.node);
	assert_int_not_equal(p.within, again.within);
	has_nodes(&ch, VG_TOLD_ID(p.within), WRITES);
	/* What is within goes with its graph alone, which is captured. */
	assert_int_equal(graph_destroy(&ch, VG_TOLD_ID(p.within)), CUDA_ERROR_ILLEGAL_STATE);
	for (n = 2; !(r = child(&ch, graph, &again)) && n <= most;)
		n++;
	assert_int_equal(r, CUDA_ERROR_OUT_OF_MEMORY);
	assert_in_range(n, most / 2, most);
	assert_int_equal(capture_end(&ch, &ended), CUDA_SUCCESS);
	has_nodes(&ch, ended, n);
	assert_int_equal(graph_destroy(&ch, ended), CUDA_SUCCESS);
	assert_int_equal(begin(&ch), CUDA_SUCCESS);
	assert_int_equal(child(&ch, graph, &p), CUDA_SUCCESS);
	channel_close(&ch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(node_without_an_id),
		cmocka_unit_test(bodies_go_with_their_node),
		cmocka_unit_test(refused_node_keeps_its_id),
		cmocka_unit_test(bodies_are_counted),
		cmocka_unit_test(nothing_beyond_the_budget),
		cmocka_unit_test(captures_are_counted),
		cmocka_unit_test(captured_graph_stays),
		cmocka_unit_test(copies_of_a_capture_are_counted),
		cmocka_unit_test(waits_count_their_edges),
		cmocka_unit_test(joins_count_their_edges),
		cmocka_unit_test(captures_to_graphs_count_their_edges),
		cmocka_unit_test(beside_a_capture_nothing_counts),
		cmocka_unit_test(capture_ends_with_its_stream),
		cmocka_unit_test(broken_capture_loses_its_graph),
		cmocka_unit_test(around_a_freed_graph_stays),
		cmocka_unit_test(around_freed_graphs_counts),
		cmocka_unit_test(captures_of_contexts_count),
		cmocka_unit_test(captures_within_captures),
		cmocka_unit_test(around_a_broken_capture_stays),
		cmocka_unit_test(children_of_a_capture_are_counted),
	};

	if (!peer_path())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
