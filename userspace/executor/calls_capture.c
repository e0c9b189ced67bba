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

#include "calls.h"
#include "vg_cuda.h"

struct capture {
	struct capture *next;
	uint32_t stream;		/* id */
	CUgraph graph;
	bool own;			/* the program's graph: a capture that fails leaves it */
};

/* Only the ring's thread changes the list; other threads look at it, with the lock held. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct capture *captures;

static bool remember(uint32_t stream, CUgraph graph, bool own)
{
	struct capture *c = malloc(sizeof(*c));

	if (!c)
		return false;
	*c = (struct capture){ .stream = stream, .graph = graph, .own = own };
	pthread_mutex_lock(&lock);
	c->next = captures;
	captures = c;
	pthread_mutex_unlock(&lock);
	return true;
}

/* Remove the capture that began in this stream, into *out; false if there is none. */
static bool forget(uint32_t stream, struct capture *out)
{
	struct capture **at, *c;

	pthread_mutex_lock(&lock);
	for (at = &captures; *at && (*at)->stream != stream; at = &(*at)->next)
		;
	c = *at;
	if (c) {
		*at = c->next;
		*out = *c;
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
	if (!vg_x_id_of(x, VG_GRAPH, v, &id))
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

	if (c->own || !vg_x_id_of(x, VG_GRAPH, (uintptr_t)c->graph, &id))
		return;
	if (vg_handle_take(vg_exec_handles(x), id, VG_GRAPH, &v))
		vg_x_orphans(x, id);
}

void vg_x_capture_gone(struct vg_exec *x, uint32_t stream)
{
	struct capture c;

	if (forget(stream, &c))
		lose(x, &c);
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
	return r ? r : began(x, s, q->hStream, graph, true);
}

/* A stream joins a capture when it waits for an event that was recorded in the capture. */
CUresult vge_cuStreamWaitEvent(struct vg_exec *x, const struct vg_req *rq, CUstream s,
			       CUevent event, unsigned int flags)
{
	const struct vg_rq_cuStreamWaitEvent *q = rq->payload;

	if (!cu.cuStreamWaitEvent)
		return CUDA_ERROR_NOT_SUPPORTED;
	/* Captures begin and end on this thread, the ring's, so no lock is needed to look. */
	if (captures)
		vg_exec_settle_reads(x, q->hStream);
	return cu.cuStreamWaitEvent(s, event, flags);
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
	info->graph = vg_x_mint(x, VG_GRAPH, (uintptr_t)graph, 0);
	if (!info->graph || !vg_x_mint_nodes(x, nodes, n, info->graph, info->node))
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (size_t i = 0; data && i < n; i++)
		memcpy(&info->edge[i], &data[i], sizeof(info->edge[i]));
	return CUDA_SUCCESS;
}

CUresult vge_vgpu_capture_end(struct vg_exec *x, const struct vg_req *rq, CUstream s,
			      unsigned int *id)
{
	const struct vg_rq_vgpu_capture_end *q = rq->payload;
	CUgraph graph = NULL;
	struct capture c;
	uint64_t v;
	CUresult r;

	if (!cu.cuStreamEndCapture || !cu.cuGraphDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = cu.cuStreamEndCapture(s, &graph);
	if (forget(q->stream, &c) && r)
		lose(x, &c);
	if (r)
		return r;
	*id = vg_x_mint(x, VG_GRAPH, (uintptr_t)graph, 0);
	if (!*id || !vg_handle_weigh(vg_exec_handles(x), *id, VG_GRAPH, vg_x_graph_bytes(graph))) {
		if (*id && vg_handle_take(vg_exec_handles(x), *id, VG_GRAPH, &v))
			vg_x_orphans(x, *id);
		*id = 0;
		cu.cuGraphDestroy(graph);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	return CUDA_SUCCESS;
}
