// SPDX-License-Identifier: Apache-2.0
/*
 * Stream capture: what would be put into a stream becomes a node of a graph,
 * after those that the stream had come to.  A stream joins by waiting for an
 * event that was recorded in the capture.  All captures are as relaxed as the
 * relaxed mode: no thread is kept from anything.
 *
 * A capture ends with the stream in which it began, in all streams.  One that fails, or whose
 * stream goes, takes its graph along, also one of the program's.
 */
#include <stdlib.h>
#include <string.h>

#include "graph.h"

struct sg_capture {
	CUgraph graph;
	CUstream origin;
	unsigned long long id;
	bool broken;
	bool given;			/* the graph is the program's own */
	int refs;			/* streams in it, events recorded in it */
	int streams;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* all captures */
static _Atomic int active;		/* streams in a capture */
static unsigned long long next_id = 1;

static void put_locked(struct sg_capture *c)
{
	if (!--c->refs)
		free(c);
}

void sg_point_clear(struct sg_point *p)
{
	pthread_mutex_lock(&lock);
	if (p->capture)
		put_locked(p->capture);
	pthread_mutex_unlock(&lock);
	free(p->nodes);
	*p = (struct sg_point){ 0 };
}

static CUresult set_point(struct sg_point *p, struct sg_capture *c, const CUgraphNode *nodes,
			  size_t n)
{
	CUgraphNode *copy = malloc(n * sizeof(*copy) + 1);

	if (!copy)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (n)
		memcpy(copy, nodes, n * sizeof(*copy));
	free(p->nodes);
	p->nodes = copy;
	p->count = n;
	if (p->capture != c) {
		if (p->capture)
			put_locked(p->capture);
		p->capture = c;
		c->refs++;
	}
	return CUDA_SUCCESS;
}

/* The stream, if it is in a capture; it stays a stream while the caller uses it. */
static CUstream capturing(CUcontext ctx, CUstream handle)
{
	CUstream s;

	if (!active || !handle || handle == CU_STREAM_LEGACY || sg_stream_get(ctx, handle, &s))
		return NULL;
	sg_stream_put(s);
	return s->at.capture && s->at.capture->streams ? s : NULL;
}

bool sg_capturing(CUcontext ctx, CUstream handle)
{
	return capturing(ctx, handle);
}

/* For what cannot be captured: the capture is of no use from here on. */
CUresult sg_capture_break(CUcontext ctx, CUstream handle)
{
	CUstream s = capturing(ctx, handle);

	if (s)
		s->at.capture->broken = true;
	return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
}

CUresult sg_capture_here(CUcontext ctx, CUstream handle, CUgraph *g, const CUgraphNode **deps,
			 size_t *count)
{
	CUstream s = capturing(ctx, handle);

	if (!s || s->at.capture->broken)
		return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	*g = s->at.capture->graph;
	*deps = s->at.nodes;
	*count = s->at.count;
	return CUDA_SUCCESS;
}

CUresult sg_capture_done(CUcontext ctx, CUstream handle, CUresult rc, CUgraphNode node)
{
	CUstream s = capturing(ctx, handle);

	if (!s)
		return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	pthread_mutex_lock(&lock);
	if (!rc)
		rc = set_point(&s->at, s->at.capture, &node, 1);
	if (rc)
		s->at.capture->broken = true;
	pthread_mutex_unlock(&lock);
	return rc;
}

/* With the lock held: the other streams and events are out of it, too. */
static CUgraph end_locked(struct sg_capture *c)
{
	active -= c->streams;
	c->streams = 0;
	c->graph->capture = NULL;
	return c->graph;
}

void sg_capture_gone(CUstream s)
{
	struct sg_capture *c;
	CUgraph g = NULL;

	pthread_mutex_lock(&lock);
	c = s->at.capture;
	if (c && c->streams && c->origin == s)
		g = end_locked(c);
	pthread_mutex_unlock(&lock);
	if (g)
		sg_graph_free_captured(g);
}

static CUresult begin(CUstream handle, CUgraph g, const CUgraphNode *deps, size_t n,
		      CUstreamCaptureMode mode)
{
	struct sg_capture *c;
	CUstream s;
	CUresult rc;

	SG_ENTER(ctx);
	if ((unsigned int)mode > CU_STREAM_CAPTURE_MODE_RELAXED)
		return CUDA_ERROR_INVALID_VALUE;
	if (!handle || handle == CU_STREAM_LEGACY)
		return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	if (capturing(ctx, handle) || (g && g->capture))
		return CUDA_ERROR_ILLEGAL_STATE;
	rc = sg_stream_get(ctx, handle, &s);
	if (rc)
		return rc;
	c = calloc(1, sizeof(*c));
	if (c)
		c->graph = g ? g : sg_graph_new();
	if (!c || !c->graph) {
		free(c);
		sg_stream_put(s);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	sg_point_clear(&s->at);
	pthread_mutex_lock(&lock);
	c->origin = s;
	c->given = g;
	c->id = next_id++;
	rc = set_point(&s->at, c, deps, n);
	if (!rc) {
		c->streams = 1;
		c->graph->capture = c;
		active++;
	}
	pthread_mutex_unlock(&lock);
	if (rc && !g)
		sg_graph_free(c->graph);
	if (rc)
		free(c);
	sg_stream_put(s);
	return rc;
}

SG_API CUresult cuStreamBeginCapture_v2(CUstream s, CUstreamCaptureMode mode)
{
	return begin(s, NULL, NULL, 0, mode);
}

SG_API CUresult cuStreamBeginCaptureToGraph(CUstream s, CUgraph g, const CUgraphNode *deps,
					    const CUgraphEdgeData *data, size_t n,
					    CUstreamCaptureMode mode)
{
	if (!sg_graph_of(g) || (n && !deps))
		return CUDA_ERROR_INVALID_VALUE;
	if (data)
		return CUDA_ERROR_NOT_SUPPORTED;
	for (size_t i = 0; i < n; i++)
		if (!sg_node_of(deps[i], -1) || deps[i]->graph != g)
			return CUDA_ERROR_INVALID_VALUE;
	return begin(s, g, deps, n, mode);
}

SG_API CUresult cuStreamEndCapture(CUstream handle, CUgraph *g)
{
	struct sg_capture *c;
	CUstream s;
	CUgraph graph;
	CUresult rc = CUDA_SUCCESS;

	SG_ENTER(ctx);
	s = capturing(ctx, handle);
	if (!s)
		return CUDA_ERROR_ILLEGAL_STATE;
	c = s->at.capture;
	if (c->origin != s)
		return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
	/* What other streams added last, the origin must have waited for. */
	for (CUgraphNode n = c->graph->nodes; n && c->streams > 1 && !c->broken; n = n->next) {
		bool last = true, seen = false;

		for (CUgraphNode o = c->graph->nodes; o && last; o = o->next)
			for (size_t i = 0; i < o->ndeps; i++)
				last &= o->deps[i].from != n;
		for (size_t i = 0; i < s->at.count; i++)
			seen |= s->at.nodes[i] == n;
		if (last && !seen)
			rc = CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
	}
	if (c->broken)
		rc = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	pthread_mutex_lock(&lock);
	graph = end_locked(c);
	pthread_mutex_unlock(&lock);
	if (rc)
		sg_graph_free_captured(graph);
	else if (!g && !c->given)
		sg_graph_free(graph);
	if (g)
		*g = rc ? NULL : graph;
	sg_point_clear(&s->at);
	return rc;
}

SG_API CUresult cuStreamGetCaptureInfo_v3(CUstream handle, CUstreamCaptureStatus *status,
					  cuuint64_t *id, CUgraph *graph, const CUgraphNode **deps,
					  const CUgraphEdgeData **edges, size_t *ndeps)
{
	static const CUgraphEdgeData plain[256];
	CUstream s;
	CUresult rc;

	SG_ENTER(ctx);
	if (!status)
		return CUDA_ERROR_INVALID_VALUE;
	rc = sg_stream_get(ctx, handle, &s);
	if (rc)
		return rc;
	sg_stream_put(s);
	s = capturing(ctx, handle);
	*status = !s ? CU_STREAM_CAPTURE_STATUS_NONE :
		  s->at.capture->broken ? CU_STREAM_CAPTURE_STATUS_INVALIDATED :
					  CU_STREAM_CAPTURE_STATUS_ACTIVE;
	/* the other results are defined only while capturing; empty is safe */
	if (s && (s->at.capture->broken || (edges && s->at.count > 256)))
		s = NULL;
	if (id)
		*id = s ? s->at.capture->id : 0;
	if (graph)
		*graph = s ? s->at.capture->graph : NULL;
	if (deps)
		*deps = s ? s->at.nodes : NULL;
	if (edges)
		*edges = s ? plain : NULL;
	if (ndeps)
		*ndeps = s ? s->at.count : 0;
	return CUDA_SUCCESS;
}

SG_API CUresult cuStreamGetCaptureInfo_v2(CUstream s, CUstreamCaptureStatus *status, cuuint64_t *id,
					  CUgraph *graph, const CUgraphNode **deps, size_t *ndeps)
{
	return cuStreamGetCaptureInfo_v3(s, status, id, graph, deps, NULL, ndeps);
}

SG_API CUresult cuStreamGetCaptureInfo(CUstream s, CUstreamCaptureStatus *status, cuuint64_t *id)
{
	return cuStreamGetCaptureInfo_v3(s, status, id, NULL, NULL, NULL, NULL);
}

SG_API CUresult cuStreamIsCapturing(CUstream s, CUstreamCaptureStatus *status)
{
	return cuStreamGetCaptureInfo_v3(s, status, NULL, NULL, NULL, NULL, NULL);
}

SG_API CUresult cuStreamUpdateCaptureDependencies_v2(CUstream handle, CUgraphNode *nodes,
						     const CUgraphEdgeData *data, size_t n,
						     unsigned int flags)
{
	CUgraphNode all[512];
	size_t count = 0;
	CUstream s;
	CUresult rc;

	SG_ENTER(ctx);
	s = capturing(ctx, handle);
	if (!s)
		return CUDA_ERROR_ILLEGAL_STATE;
	if (data)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (flags > CU_STREAM_SET_CAPTURE_DEPENDENCIES || (n && !nodes) || n > 256 ||
	    s->at.count > 256)
		return CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; flags == CU_STREAM_ADD_CAPTURE_DEPENDENCIES && i < s->at.count; i++)
		all[count++] = s->at.nodes[i];
	for (size_t i = 0; i < n; i++) {
		if (!sg_node_of(nodes[i], -1) || nodes[i]->graph != s->at.capture->graph)
			return CUDA_ERROR_INVALID_VALUE;
		all[count++] = nodes[i];
	}
	pthread_mutex_lock(&lock);
	rc = set_point(&s->at, s->at.capture, all, count);
	pthread_mutex_unlock(&lock);
	return rc;
}

/* -- events carry a point of a capture from one stream to another */

CUresult sg_capture_record(CUcontext ctx, CUstream handle, struct sg_point *event)
{
	CUstream s = capturing(ctx, handle);
	CUresult rc;

	if (!s)
		return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	pthread_mutex_lock(&lock);
	rc = set_point(event, s->at.capture, s->at.nodes, s->at.count);
	pthread_mutex_unlock(&lock);
	return rc;
}

bool sg_captured(const struct sg_point *p)
{
	return p->capture && p->capture->streams;
}

CUresult sg_capture_asked(const struct sg_point *event)
{
	if (!sg_captured(event))
		return CUDA_SUCCESS;
	event->capture->broken = true;
	return CUDA_ERROR_CAPTURED_EVENT;
}

CUresult sg_capture_wait(CUcontext ctx, CUstream handle, const struct sg_point *event)
{
	CUgraphNode all[512];
	size_t count = 0;
	CUstream s;
	CUresult rc = sg_stream_get(ctx, handle, &s);

	if (rc)
		return rc;
	if (!handle || handle == CU_STREAM_LEGACY) {
		sg_stream_put(s);
		return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
	}
	pthread_mutex_lock(&lock);
	if (!s->at.capture || !s->at.capture->streams) {
		rc = set_point(&s->at, event->capture, event->nodes, event->count);
		if (!rc) {
			event->capture->streams++;
			active++;
		}
	} else if (s->at.capture != event->capture) {
		s->at.capture->broken = event->capture->broken = true;
		rc = CUDA_ERROR_STREAM_CAPTURE_MERGE;
	} else if (s->at.count + event->count > 512) {
		rc = CUDA_ERROR_NOT_SUPPORTED;
	} else {
		for (size_t i = 0; i < s->at.count; i++)
			all[count++] = s->at.nodes[i];
		for (size_t i = 0; i < event->count; i++) {
			bool there = false;

			for (size_t k = 0; k < s->at.count; k++)
				there |= s->at.nodes[k] == event->nodes[i];
			if (!there)
				all[count++] = event->nodes[i];
		}
		rc = set_point(&s->at, s->at.capture, all, count);
	}
	pthread_mutex_unlock(&lock);
	sg_stream_put(s);
	return rc;
}
