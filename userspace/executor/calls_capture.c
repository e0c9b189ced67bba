// SPDX-License-Identifier: Apache-2.0
/*
 * Capture of streams into graphs.  The driver makes the graph when a capture begins, or is given
 * one of the program's.  A capture goes on in the streams that have joined it, and ends with the
 * stream in which it began.  If it fails, or that stream goes, the driver frees the graph, the
 * program's own too.  If the graph is a part of another, as the body of a conditional node, the
 * driver leaves a pointer to freed memory there, and follows it when what is around is cloned,
 * instantiated or freed (seen with NVIDIA's driver 580).  So all that is around such a graph
 * loses its ids then and is left as it is, for good.
 *
 * The executor keeps a list of the captures under way: the stream in which each one began, its
 * graph, and what it has added so far, which has no id and is counted here before the driver
 * gets the call (budget.h).
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
	uint32_t stream;		/* id of the one in which it began */
	uint32_t own;			/* id of the program's graph; 0: the driver has made it */
	cuuint64_t number;		/* the driver's */
	CUgraph graph;
	uint64_t weight;		/* of what it has added, in bytes of VG_BUDGET_OBJECTS */
	bool lost;			/* nobody may be told its graph, nor add to it any more */
	bool spoilt;			/* nor may the driver free its graph, and so it never ends */
};

/* Only the ring's thread changes the list; other threads look at it, with the lock held. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* all below */
static struct capture *captures;

_Atomic bool vg_capture_any;

/* -- which graphs they are in */

/* The id of its graph, or 0. */
static uint32_t id_of(struct vg_exec *x, const struct capture *c)
{
	uint32_t id = c->own;

	if (c->lost)
		return 0;
	if (!id)
		vg_handle_id_of(vg_exec_handles(x), VG_GRAPH, (uintptr_t)c->graph, &id);
	return id;
}

static bool is_within(struct vg_exec *x, const struct capture *c, uint32_t id)
{
	return vg_handle_owns(vg_exec_handles(x), id, id_of(x, c));
}

bool vg_x_captures_within(struct vg_exec *x, uint32_t id)
{
	struct capture *c;

	pthread_mutex_lock(&lock);
	for (c = captures; c && !is_within(x, c, id); c = c->next)
		;
	pthread_mutex_unlock(&lock);
	return c;
}

bool vg_x_captured(struct vg_exec *x, uint32_t id)
{
	struct capture *c;

	pthread_mutex_lock(&lock);
	for (c = captures; c && !vg_handle_owns(vg_exec_handles(x), id_of(x, c), id); c = c->next)
		;
	pthread_mutex_unlock(&lock);
	return c;
}

/* Whether the graph of another lies in its own, which the driver must not free then. */
static bool holds_another(struct vg_exec *x, const struct capture *c)
{
	uint32_t id = id_of(x, c);
	const struct capture *o;

	for (o = captures; o && (o == c || !is_within(x, o, id)); o = o->next)
		;
	return o;
}

/* -- what the driver says of them */

struct answer {
	CUstreamCaptureStatus status;
	cuuint64_t number;
	CUgraph graph;
	const CUgraphNode *nodes;
	const CUgraphEdgeData *edges;	/* NULL, if the driver tells none */
	size_t count;
};

/* Without `edges` the driver refuses if they have data. */
static CUresult ask(CUstream s, struct answer *a, bool edges)
{
	*a = (struct answer){ .status = CU_STREAM_CAPTURE_STATUS_NONE };
	if (cu.cuStreamGetCaptureInfo_v3)
		return cu.cuStreamGetCaptureInfo_v3(s, &a->status, &a->number, &a->graph, &a->nodes,
						    edges ? &a->edges : NULL, &a->count);
	if (cu.cuStreamGetCaptureInfo_v2)
		return cu.cuStreamGetCaptureInfo_v2(s, &a->status, &a->number, &a->graph, &a->nodes,
						    &a->count);
	return CUDA_ERROR_NOT_SUPPORTED;
}

/* The same of the stream with this id, whatever context is current. */
static CUresult ask_in_its_context(struct vg_exec *x, uint32_t id, CUstream s, struct answer *a)
{
	CUcontext top;
	uint64_t v = 0;
	uint32_t ctx;
	CUresult r;

	if (!cu.cuCtxPushCurrent_v2 || !cu.cuCtxPopCurrent_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (vg_handle_get_context(vg_exec_handles(x), id, VG_STREAM, &ctx))
		vg_handle_get(vg_exec_handles(x), ctx, VG_CONTEXT, &v);
	r = cu.cuCtxPushCurrent_v2((CUcontext)(uintptr_t)v);
	if (r)
		return r;
	r = ask(s, a, true);
	cu.cuCtxPopCurrent_v2(&top);
	return r;
}

/* -- the list */

/* Before it begins, so that it can be counted and remembered. */
static struct capture *prepare(uint32_t stream, uint32_t own)
{
	struct capture *c = malloc(sizeof(*c));

	if (c && !vg_budget_take(VG_BUDGET_OBJECTS, VG_OBJECT_BYTES)) {
		free(c);
		c = NULL;
	}
	if (c)
		*c = (struct capture){ .stream = stream, .own = own };
	return c;
}

static void discard(struct capture *c)
{
	vg_budget_give(VG_BUDGET_OBJECTS, VG_OBJECT_BYTES);
	free(c);
}

static void remember(struct capture *c)
{
	pthread_mutex_lock(&lock);
	c->next = captures;
	captures = c;
	atomic_store(&vg_capture_any, true);
	pthread_mutex_unlock(&lock);
}

/* The one that began in this stream, or NULL; it stays on the list, or is taken from it. */
static struct capture *began_in(uint32_t stream)
{
	struct capture *c;

	for (c = captures; c && c->stream != stream; c = c->next)
		;
	return c;
}

static struct capture *forget(uint32_t stream)
{
	struct capture **at, *c;

	pthread_mutex_lock(&lock);
	for (at = &captures; *at && (*at)->stream != stream; at = &(*at)->next)
		;
	c = *at;
	if (c)
		*at = c->next;
	atomic_store(&vg_capture_any, captures != NULL);
	pthread_mutex_unlock(&lock);
	return c;
}

static struct capture *of_number(cuuint64_t number)
{
	struct capture *c;

	for (c = captures; c && c->number != number; c = c->next)
		;
	return c;
}

static void add_to(struct capture *c, uint64_t bytes)
{
	pthread_mutex_lock(&lock);
	c->weight += bytes;
	pthread_mutex_unlock(&lock);
}

/* What is there already. */
static void owe(struct capture *c, uint64_t bytes)
{
	vg_budget_owe(VG_BUDGET_OBJECTS, bytes);
	add_to(c, bytes);
}

/* -- those that fail */

/*
 * All ids of what lies in the graph `root` are about to go; the graph `freed` in there is no
 * more, or 0.  The captures that go on in there cannot be told from then on.
 */
static void lose_within(struct vg_exec *x, uint32_t root, uint32_t freed)
{
	struct vg_handles *h = vg_exec_handles(x);

	pthread_mutex_lock(&lock);
	for (struct capture *c = captures; c; c = c->next)
		if (is_within(x, c, root))
			c->spoilt = holds_another(x, c) || vg_handle_owns(h, id_of(x, c), freed);
	for (struct capture *c = captures; c; c = c->next)
		if (is_within(x, c, root))
			c->lost = true;
	pthread_mutex_unlock(&lock);
}

/*
 * It has failed, or its stream has gone, so that the driver has freed its graph; unless `surely`
 * it may have done so or not.
 */
static void fail(struct vg_exec *x, struct capture *c, bool surely)
{
	struct vg_handles *h = vg_exec_handles(x);
	uint32_t id = id_of(x, c), root = vg_handle_root(h, id);
	/* If it is lost, and the program's, it is a part of a graph that goes on to count. */
	bool freed = surely && root == id && !(c->lost && c->own);
	uint64_t v;

	if (freed)
		vg_budget_give(VG_BUDGET_OBJECTS, c->weight);
	else
		vg_handle_weigh_held(h, root, VG_GRAPH, c->weight);
	if (root != id)
		lose_within(x, root, id);
	if (freed ? vg_handle_take(h, root, VG_GRAPH, &v) : vg_handle_lose(h, root, VG_GRAPH))
		vg_x_orphans(x, root);
	discard(c);
}

static bool is_in_context(struct vg_exec *x, const struct capture *c, uint32_t ctx)
{
	uint32_t in = 0;

	return vg_handle_get_context(vg_exec_handles(x), c->stream, VG_STREAM, &in) && in == ctx;
}

CUresult vg_x_may_end_captures(struct vg_exec *x, enum vg_kind kind, uint32_t id)
{
	bool some = false;

	for (const struct capture *c = captures; c; c = c->next) {
		if (kind == VG_STREAM ? c->stream != id : !is_in_context(x, c, id))
			continue;
		if (c->spoilt || holds_another(x, c))
			return CUDA_ERROR_ILLEGAL_STATE;
		some = true;
	}
	/* The driver is about to free their graphs. */
	if (some)
		vg_exec_settle_graphs(x);
	return CUDA_SUCCESS;
}

bool vg_x_captures_in(struct vg_exec *x, uint32_t ctx)
{
	const struct capture *c;

	for (c = captures; c && !is_in_context(x, c, ctx); c = c->next)
		;
	return c;
}

void vg_x_capture_gone(struct vg_exec *x, uint32_t stream, bool surely)
{
	struct capture *c = forget(stream);

	if (c)
		fail(x, c, surely);
}

/* Whether the driver says that it has not failed so far. */
static bool is_well(struct vg_exec *x, const struct capture *c)
{
	struct answer a;
	uint64_t v;

	return vg_handle_get(vg_exec_handles(x), c->stream, VG_STREAM, &v) &&
	       !ask_in_its_context(x, c->stream, (CUstream)(uintptr_t)v, &a) &&
	       a.status == CU_STREAM_CAPTURE_STATUS_ACTIVE;
}

/*
 * One of the program's stays until the capture ends.  Of one that the driver has made CUDA does
 * not say so, and no program has a use for it once the capture has failed.
 */
void vg_x_settle_graphs(struct vg_exec *x)
{
	uint32_t id;
	uint64_t v;

	vg_exec_settle_graphs(x);
	for (struct capture *c = captures; c; c = c->next) {
		id = c->own ? 0 : id_of(x, c);
		if (!id || is_well(x, c))
			continue;
		lose_within(x, id, 0);
		/* It counts until the capture ends. */
		owe(c, vg_handle_weight(vg_exec_handles(x), id));
		if (vg_handle_take(vg_exec_handles(x), id, VG_GRAPH, &v))
			vg_x_orphans(x, id);
	}
}

/* -- what they weigh */

uint64_t vg_x_weight(struct vg_exec *x, uint32_t graph)
{
	uint64_t sum = vg_handle_weight(vg_exec_handles(x), graph);

	pthread_mutex_lock(&lock);
	for (const struct capture *c = captures; c; c = c->next)
		if (is_within(x, c, graph))
			sum += c->weight;
	pthread_mutex_unlock(&lock);
	return sum;
}

CUresult vg_capture_count(struct vg_exec *x, const struct vg_adds *adds, const struct vg_req *rq)
{
	uint64_t v, bytes = VG_NODE_BYTES + rq->bytes + adds->bytes;
	struct capture *c;
	struct answer a;
	uint32_t id;
	CUresult r;

	memcpy(&id, (const uint8_t *)rq->payload + adds->stream_at, sizeof(id));
	/* The default stream cannot be captured. */
	if (id <= 1 || !vg_handle_get(vg_exec_handles(x), id, VG_STREAM, &v))
		return CUDA_SUCCESS;
	r = ask_in_its_context(x, id, (CUstream)(uintptr_t)v, &a);
	if (r || a.status != CU_STREAM_CAPTURE_STATUS_ACTIVE)
		return r;
	c = of_number(a.number);
	if (!c || c->lost)
		return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	if (adds->edges)
		bytes += rq->bytes / sizeof(id) * VG_EDGE_BYTES;
	if (adds->graph) {
		memcpy(&id, (const uint8_t *)rq->payload + adds->graph_at, sizeof(id));
		bytes += vg_x_weight(x, id);
	}
	if (!vg_budget_take(VG_BUDGET_OBJECTS, bytes))
		return CUDA_ERROR_OUT_OF_MEMORY;
	add_to(c, bytes);
	return CUDA_SUCCESS;
}

/* -- begin and end */

/* The driver has begun it, or refused (r). */
static CUresult began(struct vg_exec *x, CUresult r, CUstream s, struct capture *c)
{
	CUgraph made = NULL;
	struct answer a;

	if (r) {
		discard(c);
		return r;
	}
	/* One that the driver has ended by itself. */
	vg_x_capture_gone(x, c->stream, false);
	r = ask(s, &a, true);
	c->number = a.number;
	c->graph = a.graph;
	if (!r) {
		remember(c);
		return CUDA_SUCCESS;
	}
	if (cu.cuStreamEndCapture(s, &made)) {
		fail(x, c, true);
		return r;
	}
	if (!c->own)
		cu.cuGraphDestroy(made);
	discard(c);
	return r;
}

CUresult vge_cuStreamBeginCapture_v2(struct vg_exec *x, const struct vg_req *rq, CUstream s,
				     CUstreamCaptureMode mode)
{
	const struct vg_rq_cuStreamBeginCapture_v2 *q = rq->payload;
	struct capture *c;

	(void)mode;
	if (!cu.cuStreamBeginCapture_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!cu.cuStreamEndCapture || !cu.cuGraphDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	c = prepare(q->hStream, 0);
	if (!c)
		return CUDA_ERROR_OUT_OF_MEMORY;
	vg_exec_settle_reads(x, q->hStream);
	/*
	 * The other modes make calls of some threads fail during a capture.  The driver sees
	 * the executor's threads, not the guest's, so it would choose the wrong ones.
	 */
	return began(x, cu.cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED), s, c);
}

CUresult vge_cuStreamBeginCaptureToGraph(struct vg_exec *x, const struct vg_req *rq, CUstream s,
					 CUgraph graph, const CUgraphNode *deps,
					 const CUgraphEdgeData *edges, size_t count,
					 CUstreamCaptureMode mode)
{
	const struct vg_rq_cuStreamBeginCaptureToGraph *q = rq->payload;
	struct capture *c;
	CUresult r;

	(void)mode;
	if (!cu.cuStreamBeginCaptureToGraph || !cu.cuStreamEndCapture)
		return CUDA_ERROR_NOT_SUPPORTED;
	c = prepare(q->hStream, q->hGraph);
	if (!c)
		return CUDA_ERROR_OUT_OF_MEMORY;
	vg_exec_settle_reads(x, q->hStream);
	r = cu.cuStreamBeginCaptureToGraph(s, graph, deps, edges, count,
					   CU_STREAM_CAPTURE_MODE_RELAXED);
	r = began(x, r, s, c);
	if (!r)
		owe(c, count * VG_EDGE_BYTES);
	return r;
}

/* A stream joins a capture when it waits for an event that was recorded in the capture. */
CUresult vge_cuStreamWaitEvent(struct vg_exec *x, const struct vg_req *rq, CUstream s,
			       CUevent event, unsigned int flags)
{
	const struct vg_rq_cuStreamWaitEvent *q = rq->payload;
	struct capture *c;
	struct answer a;
	CUresult r;

	if (!cu.cuStreamWaitEvent)
		return CUDA_ERROR_NOT_SUPPORTED;
	/* Captures begin and end on this thread, the ring's, so no lock is needed to look. */
	if (!captures)
		return cu.cuStreamWaitEvent(s, event, flags);
	vg_exec_settle_reads(x, q->hStream);
	r = cu.cuStreamWaitEvent(s, event, flags);
	/* The next node in the stream gets an edge from each of these. */
	if (!r && !ask(s, &a, true) && a.status == CU_STREAM_CAPTURE_STATUS_ACTIVE) {
		c = of_number(a.number);
		if (c)
			owe(c, a.count * VG_EDGE_BYTES);
	}
	return r;
}

/*
 * The id of the graph of a capture, which the guest may not have asked for; 0: it cannot be had.
 * One of the program's own has an id, or has lost it.
 */
static uint32_t mint(struct vg_exec *x, CUgraph graph, bool own)
{
	uint32_t id;

	if (own)
		return vg_handle_id_of(vg_exec_handles(x), VG_GRAPH, (uintptr_t)graph, &id) ? id : 0;
	return vg_x_mint(x, VG_GRAPH, (uintptr_t)graph, 0);
}

CUresult vge_vgpu_capture_info(struct vg_exec *x, const struct vg_req *rq, CUstream s,
			       unsigned int edges, vgpu_capture *info)
{
	const struct capture *c;
	struct answer a;
	uint32_t in;
	CUresult r;

	(void)rq;
	if (edges && !cu.cuStreamGetCaptureInfo_v3)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = ask(s, &a, edges);
	info->status = a.status;
	if (r || a.status != CU_STREAM_CAPTURE_STATUS_ACTIVE)
		return r;
	c = of_number(a.number);
	if (!c || c->lost) {
		info->status = CU_STREAM_CAPTURE_STATUS_INVALIDATED;
		return CUDA_SUCCESS;
	}
	if (a.count > VG_DEPENDENCIES_MAX)
		return CUDA_ERROR_NOT_SUPPORTED;
	info->id = a.number;
	info->count = a.count;
	in = mint(x, a.graph, c->own);
	if (!in || !vg_x_mint_nodes(x, a.nodes, a.count, in, info->node))
		return CUDA_ERROR_OUT_OF_MEMORY;
	info->graph = vg_x_told(x, VG_GRAPH, in);
	for (size_t i = 0; a.edges && i < a.count; i++)
		memcpy(&info->edge[i], &a.edges[i], sizeof(info->edge[i]));
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
	struct capture *c = began_in(q->stream);
	CUgraph graph = NULL;
	uint32_t made = 0;
	CUresult r;

	if (!cu.cuStreamEndCapture || !cu.cuGraphDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	/* If it fails the driver frees the graph, with what lies in there. */
	if (c && c->spoilt)
		return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	if (c && holds_another(x, c))
		return CUDA_ERROR_ILLEGAL_STATE;
	vg_exec_settle_graphs(x);
	r = cu.cuStreamEndCapture(s, &graph);
	/* The driver may have refused the call itself, as without a context. */
	if (r && !has_ended(s))
		return r;
	c = forget(q->stream);
	if (r) {
		if (c)
			fail(x, c, true);
		return r;
	}
	if (!c || !c->lost)
		made = mint(x, graph, c && c->own);
	*id = vg_x_told(x, VG_GRAPH, made);
	if (!vg_handle_weigh_held(vg_exec_handles(x), made, VG_GRAPH, c ? c->weight : 0)) {
		r = c && c->lost ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : CUDA_ERROR_OUT_OF_MEMORY;
		/* Nobody has heard of it; a graph of the program's own is not ours to destroy. */
		if (!c || !c->own) {
			cu.cuGraphDestroy(graph);
			vg_budget_give(VG_BUDGET_OBJECTS, c ? c->weight : 0);
		}
	}
	if (c)
		discard(c);
	return r;
}
