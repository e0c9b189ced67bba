// SPDX-License-Identifier: Apache-2.0
/*
 * Capture of streams into graphs.  The driver makes the graph when a capture begins, or is given
 * one of the program's; and it may free the graph when the capture fails.  The guest may have an
 * id of the graph by then, and that id must not lead to freed memory.  So the executor keeps a
 * list of the captures under way: the id of the stream in which each one began, and its graph.
 * A capture goes on in the streams that have joined it, so it stays on the list as long as any
 * stream is in it, and longer where it cannot be known (rest()).
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
	uint32_t stream;		/* id of the one in which it began; 0: that has gone */
	bool idle;			/* that has gone, and no other stream is in it */
	cuuint64_t number;		/* the driver's */
	CUgraph graph;			/* NULL: its id has been taken, because it may be freed */
	uint32_t own;			/* id of the program's graph; 0: the driver has made it */
	struct vg_x_tally tally;	/* unless it is idle */
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

	if (!id && c->graph)
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

uint64_t vg_x_captures_weight(struct vg_exec *x, uint32_t graph)
{
	uint64_t sum = 0;

	pthread_mutex_lock(&lock);
	for (const struct capture *c = captures; c; c = c->next)
		if (!c->idle && is_within(x, c, graph))
			sum += vg_x_tally_so_far(&c->tally);
	pthread_mutex_unlock(&lock);
	return sum;
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

/* With the lock held. */
static void look_for_any(void)
{
	struct capture *c;

	for (c = captures; c && c->idle; c = c->next)
		;
	atomic_store(&vg_capture_any, c != NULL);
}

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
	vg_x_tally_begin(&c->tally);
	pthread_mutex_lock(&lock);
	c->next = captures;
	captures = c;
	look_for_any();
	pthread_mutex_unlock(&lock);
}

/* Remove the one that began in this stream; NULL if there is none. */
static struct capture *forget(uint32_t stream)
{
	struct capture **at, *c;

	pthread_mutex_lock(&lock);
	for (at = &captures; *at && (*at)->stream != stream; at = &(*at)->next)
		;
	c = *at;
	if (c) {
		*at = c->next;
		look_for_any();
	}
	pthread_mutex_unlock(&lock);
	return c;
}

/*
 * The driver has freed its graph, or may free it at any time.  CUDA says that it frees the one
 * that it has made when a capture fails, and perhaps before the end.  It does not say what
 * becomes of the program's own.  So the id of either leads nowhere from here on; the program's
 * own goes on to count.
 */
static void lose(struct vg_exec *x, struct capture *c)
{
	uint32_t id = id_of(x, c);
	uint64_t v;

	pthread_mutex_lock(&lock);
	c->graph = NULL;
	pthread_mutex_unlock(&lock);
	if (c->own ? vg_handle_lose(vg_exec_handles(x), id, VG_GRAPH) :
		     vg_handle_take(vg_exec_handles(x), id, VG_GRAPH, &v))
		vg_x_orphans(x, id);
}

/* What was captured into a graph of the program's stays in it, also if the capture fails. */
static void give_share(struct vg_exec *x, const struct capture *c, uint64_t share)
{
	struct vg_handles *h = vg_exec_handles(x);

	if (!c->own || (!vg_handle_weigh_held(h, c->own, VG_GRAPH, share) &&
			!vg_handle_weigh_held(h, c->own, VG_RESERVED, share)))
		vg_budget_give(VG_BUDGET_OBJECTS, share);
}

/* -- those whose streams go */

/* Whether one of the streams is in it. */
static enum { NONE, PERHAPS, ONE } in_others(struct vg_exec *x, const struct capture *c)
{
	bool perhaps = false;
	struct answer a;
	uint32_t id = 0;
	uint64_t v;

	while (vg_x_next(x, VG_STREAM, &id, &v)) {
		CUresult r = ask_in_its_context(x, id, (CUstream)(uintptr_t)v, &a);

		if (!r && a.status == CU_STREAM_CAPTURE_STATUS_ACTIVE && a.number == c->number)
			return ONE;
		/* Of one that has failed the driver tells no number. */
		perhaps |= r || a.status == CU_STREAM_CAPTURE_STATUS_INVALIDATED;
	}
	return perhaps ? PERHAPS : NONE;
}

/*
 * What the driver does with a capture whose streams have all gone it does not say, and an event
 * may bring another stream into it.  So it stays on the list, what it has added goes on to
 * count, and its graph has no id any more.
 */
static void rest(struct vg_exec *x, struct capture *c)
{
	vg_x_tally_end(&c->tally);
	pthread_mutex_lock(&lock);
	c->idle = true;
	look_for_any();
	pthread_mutex_unlock(&lock);
	lose(x, c);
}

/*
 * The capture in which a stream is, as the driver says; NULL: it is not on the list.  All of its
 * streams may have been gone before; and its graph is there.
 */
static const struct capture *is_active(const struct answer *a)
{
	struct capture *c;

	for (c = captures; c && c->number != a->number; c = c->next)
		;
	if (!c)
		return NULL;
	if (c->idle)
		vg_x_tally_begin(&c->tally);
	pthread_mutex_lock(&lock);
	c->graph = a->graph;
	c->idle = false;
	look_for_any();
	pthread_mutex_unlock(&lock);
	return c;
}

void vg_x_capture_gone(struct vg_exec *x, uint32_t stream)
{
	(void)x;
	pthread_mutex_lock(&lock);
	for (struct capture *c = captures; c; c = c->next)
		if (c->stream == stream)
			c->stream = 0;
	pthread_mutex_unlock(&lock);
}

void vg_x_captures_left(struct vg_exec *x)
{
	if (!captures)
		return;
	/* A call on another thread may have found the graph not to be captured. */
	vg_exec_settle_graphs(x);
	for (struct capture *c = captures; c; c = c->next)
		if (!c->stream && !c->idle && in_others(x, c) == NONE)
			rest(x, c);
}

/* Whether the driver says that it has not failed so far. */
static bool is_well(struct vg_exec *x, const struct capture *c)
{
	struct answer a;
	uint64_t v;

	if (!c->stream)
		return in_others(x, c) == ONE;
	return vg_handle_get(vg_exec_handles(x), c->stream, VG_STREAM, &v) &&
	       !ask_in_its_context(x, c->stream, (CUstream)(uintptr_t)v, &a) &&
	       a.status == CU_STREAM_CAPTURE_STATUS_ACTIVE;
}

void vg_x_settle_graphs(struct vg_exec *x)
{
	vg_exec_settle_graphs(x);
	for (struct capture *c = captures; c; c = c->next)
		if (c->graph && !is_well(x, c))
			lose(x, c);
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
	vg_x_capture_gone(x, c->stream);
	vg_x_captures_left(x);
	r = ask(s, &a, true);
	c->number = a.number;
	c->graph = a.graph;
	if (!r) {
		remember(c);
		return CUDA_SUCCESS;
	}
	if (cu.cuStreamEndCapture(s, &made))
		lose(x, c);
	else if (!c->own)
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
		vg_x_tally_owe(count * VG_EDGE_BYTES);
	return r;
}

/* A stream joins a capture when it waits for an event that was recorded in the capture. */
CUresult vge_cuStreamWaitEvent(struct vg_exec *x, const struct vg_req *rq, CUstream s,
			       CUevent event, unsigned int flags)
{
	const struct vg_rq_cuStreamWaitEvent *q = rq->payload;
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
		is_active(&a);
		vg_x_tally_owe(a.count * VG_EDGE_BYTES);
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
	if (a.count > VG_DEPENDENCIES_MAX)
		return CUDA_ERROR_NOT_SUPPORTED;
	info->id = a.number;
	info->count = a.count;
	c = is_active(&a);
	in = mint(x, a.graph, c && c->own);
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
	uint64_t share = 0;
	CUgraph graph = NULL;
	struct capture *c;
	uint32_t made;
	CUresult r;

	if (!cu.cuStreamEndCapture || !cu.cuGraphDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	vg_exec_settle_graphs(x);
	r = cu.cuStreamEndCapture(s, &graph);
	/* The driver may have refused the call itself, as without a context. */
	if (r && !has_ended(s))
		return r;
	c = forget(q->stream);
	if (c)
		share = vg_x_tally_end(&c->tally);
	if (c && r)
		lose(x, c);
	made = r ? 0 : mint(x, graph, c && c->own);
	*id = vg_x_told(x, VG_GRAPH, made);
	if (!r && !vg_handle_weigh_held(vg_exec_handles(x), made, VG_GRAPH, share)) {
		/* Nobody has heard of it; a graph of the program's own is not ours to destroy. */
		if (!c || !c->own)
			cu.cuGraphDestroy(graph);
		r = CUDA_ERROR_OUT_OF_MEMORY;
	}
	if (c && r)
		give_share(x, c, share);
	if (c)
		discard(c);
	/* In a stream that had only joined it, the end may have been that of another. */
	vg_x_captures_left(x);
	return r;
}
