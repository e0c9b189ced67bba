// SPDX-License-Identifier: Apache-2.0
/*
 * Capture of streams into graphs.  The driver makes the graph when a capture begins, and frees
 * it if the capture fails.  The guest may have asked for an id of the graph by then, and that
 * id must not lead to freed memory.  So the executor keeps a list of the captures under way:
 * the id of the stream in which each one began, and its graph.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "budget.h"
#include "calls.h"
#include "exec_internal.h"
#include "vg_cuda.h"

struct capture {
	struct capture *next;
	uint32_t stream;		/* id */
	CUgraph graph;
	bool own;			/* the program's graph: a capture that fails leaves it */
	struct vg_x_tally tally;
};

/* Only the ring's thread changes the list; other threads look at it, with the lock held. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* all below */
static struct capture *captures;

_Atomic bool vg_capture_any;

static bool remember(uint32_t stream, CUgraph graph, bool own)
{
	struct capture *c = malloc(sizeof(*c));

	if (!c)
		return false;
	*c = (struct capture){ .stream = stream, .graph = graph, .own = own };
	pthread_mutex_lock(&lock);
	vg_x_tally_begin(&c->tally);
	c->next = captures;
	captures = c;
	atomic_store(&vg_capture_any, true);
	pthread_mutex_unlock(&lock);
	return true;
}

/* Whether the graph of this id is `c`'s, or `c`'s lies in it; or in the node of this id. */
static bool is_around(struct vg_exec *x, uint32_t id, const struct capture *c)
{
	struct vg_handles *h = vg_exec_handles(x);
	enum vg_kind kind = VG_GRAPH;
	uint32_t at;

	if (!vg_handle_id_of(h, VG_GRAPH, (uintptr_t)c->graph, &at))
		return false;
	while (at != id && vg_handle_get_owner(h, at, kind, &at) && at)
		kind = kind == VG_GRAPH ? VG_GRAPH_NODE : VG_GRAPH;
	return at == id;
}

bool vg_x_captures_within(struct vg_exec *x, uint32_t id)
{
	struct capture *c;

	pthread_mutex_lock(&lock);
	for (c = captures; c && !is_around(x, id, c); c = c->next)
		;
	pthread_mutex_unlock(&lock);
	return c;
}

uint64_t vg_x_captures_weight(struct vg_exec *x, uint32_t graph)
{
	uint64_t sum = 0;

	pthread_mutex_lock(&lock);
	for (const struct capture *c = captures; c; c = c->next)
		if (is_around(x, graph, c))
			sum += vg_x_tally_so_far(&c->tally);
	pthread_mutex_unlock(&lock);
	return sum;
}

/*
 * Remove the capture that began in this stream, into *out; false if there is none.  *share is
 * what was counted for it, in bytes; the caller has it from here on.
 */
static bool forget(uint32_t stream, struct capture *out, uint64_t *share)
{
	struct capture **at, *c;

	pthread_mutex_lock(&lock);
	for (at = &captures; *at && (*at)->stream != stream; at = &(*at)->next)
		;
	c = *at;
	if (c) {
		*at = c->next;
		*out = *c;
		*share = vg_x_tally_end(&c->tally);
		atomic_store(&vg_capture_any, captures != NULL);
	}
	pthread_mutex_unlock(&lock);
	free(c);
	return c;
}

static bool capturing(CUgraph graph)
{
	struct capture *c;

	pthread_mutex_lock(&lock);
	for (c = captures; c && c->graph != graph; c = c->next)
		;
	pthread_mutex_unlock(&lock);
	return c;
}

/*
 * Whether `inner` is `outer` or lies in it: a child graph, or the body of a conditional node,
 * lies in the graph that the node is part of.
 */
static bool lies_in(struct vg_exec *x, CUgraph inner, CUgraph outer)
{
	enum vg_kind kind = VG_GRAPH;
	uint64_t v = (uintptr_t)inner;
	uint32_t id, owner;

	if (inner == outer)
		return true;
	if (!vg_handle_id_of(vg_exec_handles(x), VG_GRAPH, v, &id))
		return false;
	while (vg_handle_get(vg_exec_handles(x), id, kind, &v)) {
		if (kind == VG_GRAPH && v == (uintptr_t)outer)
			return true;
		if (!vg_handle_get_owner(vg_exec_handles(x), id, kind, &owner) || !owner)
			return false;
		kind = kind == VG_GRAPH ? VG_GRAPH_NODE : VG_GRAPH;
		id = owner;
	}
	return false;
}

bool vg_x_capturing_in(struct vg_exec *x, CUgraph graph)
{
	struct capture *c;

	pthread_mutex_lock(&lock);
	for (c = captures; c && !lies_in(x, c->graph, graph); c = c->next)
		;
	pthread_mutex_unlock(&lock);
	return c;
}

bool vg_x_captured(struct vg_exec *x, enum vg_kind kind, uint32_t id)
{
	uint32_t owner;
	uint64_t v;

	/* A node's owner is its graph, and a child graph's owner is a node. */
	while (vg_handle_get(vg_exec_handles(x), id, kind, &v)) {
		if (kind == VG_GRAPH && capturing((CUgraph)(uintptr_t)v))
			return true;
		if (!vg_handle_get_owner(vg_exec_handles(x), id, kind, &owner) || !owner)
			return false;
		kind = kind == VG_GRAPH ? VG_GRAPH_NODE : VG_GRAPH;
		id = owner;
	}
	return false;
}

/* The driver has freed the graph of this capture, or is about to: take its id away. */
static void lose(struct vg_exec *x, const struct capture *c)
{
	uint32_t id;
	uint64_t v;

	if (c->own || !vg_handle_id_of(vg_exec_handles(x), VG_GRAPH, (uintptr_t)c->graph, &id))
		return;
	if (vg_handle_take(vg_exec_handles(x), id, VG_GRAPH, &v))
		vg_x_orphans(x, id);
}

/* What was captured into a graph of the program's stays in it, also if the capture fails. */
static void give_share(struct vg_exec *x, const struct capture *c, uint64_t share)
{
	struct vg_handles *h = vg_exec_handles(x);
	uint32_t id;

	if (!c->own || !vg_handle_id_of(h, VG_GRAPH, (uintptr_t)c->graph, &id) ||
	    !vg_handle_weigh_held(h, id, VG_GRAPH, share))
		vg_budget_give(VG_BUDGET_OBJECTS, share);
}

void vg_x_capture_gone(struct vg_exec *x, uint32_t stream)
{
	struct capture c;
	uint64_t share;

	/* A call on another thread may have found the graph not to be captured. */
	if (captures)
		vg_exec_settle_graphs(x);
	if (!forget(stream, &c, &share))
		return;
	lose(x, &c);
	give_share(x, &c, share);
}

static CUresult graph_of(CUstream s, CUgraph *graph)
{
	CUstreamCaptureStatus status;
	cuuint64_t id;

	if (cu.cuStreamGetCaptureInfo_v3)
		return cu.cuStreamGetCaptureInfo_v3(s, &status, &id, graph, NULL, NULL, NULL);
	if (cu.cuStreamGetCaptureInfo_v2)
		return cu.cuStreamGetCaptureInfo_v2(s, &status, &id, graph, NULL, NULL);
	return CUDA_ERROR_NOT_SUPPORTED;
}

/* Put a capture that has just begun on the list; if that fails, end it again. */
static CUresult began(struct vg_exec *x, CUstream s, uint32_t stream, CUgraph graph, bool own)
{
	CUresult r = graph ? CUDA_SUCCESS : graph_of(s, &graph);

	vg_x_capture_gone(x, stream);
	if (!r && !remember(stream, graph, own))
		r = CUDA_ERROR_OUT_OF_MEMORY;
	if (r) {
		CUgraph made = NULL;

		if (!cu.cuStreamEndCapture(s, &made) && !own)
			cu.cuGraphDestroy(made);
	}
	return r;
}

CUresult vge_cuStreamBeginCapture_v2(struct vg_exec *x, const struct vg_req *rq, CUstream s,
				     CUstreamCaptureMode mode)
{
	const struct vg_rq_cuStreamBeginCapture_v2 *q = rq->payload;
	CUresult r;

	(void)mode;
	if (!cu.cuStreamBeginCapture_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!cu.cuStreamEndCapture || !cu.cuGraphDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	vg_exec_settle_reads(x, q->hStream);
	/*
	 * The other modes make calls of some threads fail during a capture.  The driver sees
	 * the executor's threads, not the guest's, so it would choose the wrong ones.
	 */
	r = cu.cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED);
	return r ? r : began(x, s, q->hStream, NULL, false);
}

CUresult vge_cuStreamBeginCaptureToGraph(struct vg_exec *x, const struct vg_req *rq, CUstream s,
					 CUgraph graph, const CUgraphNode *deps,
					 const CUgraphEdgeData *edges, size_t count,
					 CUstreamCaptureMode mode)
{
	const struct vg_rq_cuStreamBeginCaptureToGraph *q = rq->payload;
	CUresult r;

	(void)mode;
	if (!cu.cuStreamBeginCaptureToGraph || !cu.cuStreamEndCapture)
		return CUDA_ERROR_NOT_SUPPORTED;
	vg_exec_settle_reads(x, q->hStream);
	r = cu.cuStreamBeginCaptureToGraph(s, graph, deps, edges, count,
					   CU_STREAM_CAPTURE_MODE_RELAXED);
	if (!r)
		r = began(x, s, q->hStream, graph, true);
	if (!r)
		vg_x_tally_owe(count * VG_EDGE_BYTES);
	return r;
}

/* The next node in the stream gets an edge from each of these. */
static void owe_edges(CUstream s)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
	cuuint64_t id;
	size_t n = 0;
	CUresult r = CUDA_ERROR_NOT_SUPPORTED;

	if (cu.cuStreamGetCaptureInfo_v3)
		r = cu.cuStreamGetCaptureInfo_v3(s, &status, &id, NULL, NULL, NULL, &n);
	else if (cu.cuStreamGetCaptureInfo_v2)
		r = cu.cuStreamGetCaptureInfo_v2(s, &status, &id, NULL, NULL, &n);
	if (!r && status == CU_STREAM_CAPTURE_STATUS_ACTIVE)
		vg_x_tally_owe(n * VG_EDGE_BYTES);
}

/* A stream joins a capture when it waits for an event that was recorded in the capture. */
CUresult vge_cuStreamWaitEvent(struct vg_exec *x, const struct vg_req *rq, CUstream s,
			       CUevent event, unsigned int flags)
{
	const struct vg_rq_cuStreamWaitEvent *q = rq->payload;
	CUresult r;

	if (!cu.cuStreamWaitEvent)
		return CUDA_ERROR_NOT_SUPPORTED;
	/* Captures begin and end on this thread, the ring's, so no lock is needed to look. */
	if (!captures)
		return cu.cuStreamWaitEvent(s, event, flags);
	vg_exec_settle_reads(x, q->hStream);
	r = cu.cuStreamWaitEvent(s, event, flags);
	if (!r)
		owe_edges(s);
	return r;
}

CUresult vge_vgpu_capture_info(struct vg_exec *x, const struct vg_req *rq, CUstream s,
			       unsigned int edges, vgpu_capture *info)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
	const CUgraphNode *nodes = NULL;
	const CUgraphEdgeData *data = NULL;
	CUgraph graph = NULL;
	cuuint64_t id = 0;
	size_t n = 0;
	uint32_t in;
	CUresult r;

	(void)rq;
	if (cu.cuStreamGetCaptureInfo_v3)
		r = cu.cuStreamGetCaptureInfo_v3(s, &status, &id, &graph, &nodes,
						 edges ? &data : NULL, &n);
	else if (cu.cuStreamGetCaptureInfo_v2 && !edges)
		r = cu.cuStreamGetCaptureInfo_v2(s, &status, &id, &graph, &nodes, &n);
	else
		return CUDA_ERROR_NOT_SUPPORTED;
	info->status = status;
	if (r || status != CU_STREAM_CAPTURE_STATUS_ACTIVE)
		return r;
	if (n > VG_DEPENDENCIES_MAX)
		return CUDA_ERROR_NOT_SUPPORTED;
	info->id = id;
	info->count = n;
	in = vg_x_mint(x, VG_GRAPH, (uintptr_t)graph, 0);
	if (!in || !vg_x_mint_nodes(x, nodes, n, in, info->node))
		return CUDA_ERROR_OUT_OF_MEMORY;
	info->graph = vg_x_told(x, VG_GRAPH, in);
	for (size_t i = 0; data && i < n; i++)
		memcpy(&info->edge[i], &data[i], sizeof(info->edge[i]));
	return CUDA_SUCCESS;
}

/* Whether the driver says that no capture is under way in the stream. */
static bool has_ended(CUstream s)
{
	CUstreamCaptureStatus status;

	return cu.cuStreamIsCapturing && !cu.cuStreamIsCapturing(s, &status) &&
	       status == CU_STREAM_CAPTURE_STATUS_NONE;
}

CUresult vge_vgpu_capture_end(struct vg_exec *x, const struct vg_req *rq, CUstream s,
			      unsigned int *id)
{
	const struct vg_rq_vgpu_capture_end *q = rq->payload;
	struct vg_handles *h = vg_exec_handles(x);
	struct capture c = { 0 };
	uint64_t share = 0;
	CUgraph graph = NULL;
	uint32_t made;
	CUresult r;

	if (!cu.cuStreamEndCapture || !cu.cuGraphDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	vg_exec_settle_graphs(x);
	r = cu.cuStreamEndCapture(s, &graph);
	/* The driver may have refused the call itself, as without a context. */
	if (r && !has_ended(s))
		return r;
	if (forget(q->stream, &c, &share) && r)
		lose(x, &c);
	if (!r) {
		made = vg_x_mint(x, VG_GRAPH, (uintptr_t)graph, 0);
		*id = vg_x_told(x, VG_GRAPH, made);
		if (vg_handle_weigh_held(h, made, VG_GRAPH, share))
			return CUDA_SUCCESS;
		/* Nobody has heard of it; a graph of the program's own has its id already. */
		if (!c.own)
			cu.cuGraphDestroy(graph);
		r = CUDA_ERROR_OUT_OF_MEMORY;
	}
	give_share(x, &c, share);
	return r;
}
