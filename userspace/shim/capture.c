// SPDX-License-Identifier: Apache-2.0
/*
 * Stream capture.  The host captures in relaxed mode: its threads are not the
 * program's, so the modes that look at threads would forbid the wrong calls.
 */
#include <stdlib.h>

#include "client.h"
#include "shim.h"
#include "shim_calls.h"

/* Captures begun and not ended; while there is none, no stream need be asked. */
static _Atomic int captures;

bool vg_capturing(void)
{
	return unlikely(atomic_load_explicit(&captures, memory_order_relaxed));
}

/* The release() of a stream in which a capture has begun: the capture goes with it. */
static void ended(struct vg_object *stream)
{
	stream->release = NULL;
	atomic_fetch_sub(&captures, 1);
}

static void begun(CUstream s)
{
	struct vg_object *o;

	if (vg_stream_object(s, &o) || !o || o->release == ended)
		return;
	o->release = ended;
	atomic_fetch_add(&captures, 1);
}

CUresult vgh_cuStreamBeginCapture_v2(CUstream s, CUstreamCaptureMode mode)
{
	CUresult r;

	if (mode > CU_STREAM_CAPTURE_MODE_RELAXED)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgw_cuStreamBeginCapture_v2(s, mode);
	if (!r)
		begun(s);
	return r;
}

/* In value[0] of a graph that was captured into: without a place for it, it stays. */
#define THE_PROGRAMS 1

CUresult vgh_cuStreamBeginCaptureToGraph(CUstream s, CUgraph graph, const CUgraphNode *deps,
					 const CUgraphEdgeData *edges, size_t count,
					 CUstreamCaptureMode mode)
{
	CUresult r;

	if (mode > CU_STREAM_CAPTURE_MODE_RELAXED || (count && !deps))
		return CUDA_ERROR_INVALID_VALUE;
	r = vgw_cuStreamBeginCaptureToGraph(s, graph, deps, edges, count, mode);
	if (!r) {
		begun(s);
		vg_object_get(graph, VG_GRAPH)->value[0] = THE_PROGRAMS;
	}
	return r;
}

CUresult vgh_cuStreamBeginCapture(CUstream s)
{
	return vgh_cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_GLOBAL);
}

CUresult vgh_cuStreamEndCapture(CUstream s, CUgraph *graph)
{
	CUstreamCaptureStatus status;
	unsigned int id = 0;
	CUresult r = vg_context_ready();
	struct vg_object *o;
	CUgraph made;

	if (r)
		return r;
	r = vgw_vgpu_capture_end(s, &id);
	/* A capture that had gone wrong ends too; the call may have been refused. */
	if (!vg_stream_object(s, &o) && o && o->release == ended &&
	    (!r || (!vgw_cuStreamIsCapturing(s, &status) &&
		    status == CU_STREAM_CAPTURE_STATUS_NONE)))
		ended(o);
	/* The graph may have been seen during its capture: its id is the host's. */
	made = r ? NULL : (CUgraph)vg_object_adopt(id, VG_GRAPH, 0);
	if (!graph && made && vg_object_get(made, VG_GRAPH)->value[0] != THE_PROGRAMS)
		return vgh_cuGraphDestroy(made);
	if (!graph)
		return r;
	*graph = made;
	return r || made ? r : CUDA_ERROR_UNKNOWN;
}

CUresult vgh_cuStreamIsCapturing(CUstream s, CUstreamCaptureStatus *status)
{
	struct vg_object *o;
	CUresult r = vg_context_ready();

	if (r)
		return r;
	if (!status)
		return CUDA_ERROR_INVALID_VALUE;
	if (vg_capturing())
		return vgw_cuStreamIsCapturing(s, status);
	r = vg_stream_object(s, &o);
	if (!r)
		*status = CU_STREAM_CAPTURE_STATUS_NONE;
	return r;
}

CUresult vgh_cuStreamGetCaptureInfo_v3(CUstream s, CUstreamCaptureStatus *status, cuuint64_t *id,
				       CUgraph *graph, const CUgraphNode **nodes,
				       const CUgraphEdgeData **edges, size_t *count)
{
	/* What the program is given stays valid until it asks again, as CUDA says. */
	static __thread CUgraphNode node[VG_DEPENDENCIES_MAX];
	static __thread CUgraphEdgeData edge[VG_DEPENDENCIES_MAX];
	vgpu_capture info;
	struct vg_object *g, *o;
	CUresult r;

	if (!status)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgw_vgpu_capture_info(s, edges != NULL, &info);
	if (r)
		return r;
	*status = info.status;
	if (info.status != CU_STREAM_CAPTURE_STATUS_ACTIVE)
		return CUDA_SUCCESS;
	if (edges && !nodes)
		return CUDA_ERROR_INVALID_VALUE;
	g = vg_object_adopt(info.graph, VG_GRAPH, 0);
	if (!g || info.count > VG_DEPENDENCIES_MAX)
		return CUDA_ERROR_UNKNOWN;
	for (unsigned int i = 0; i < info.count; i++) {
		o = vg_object_adopt(info.node[i], VG_GRAPH_NODE, g->id);
		if (!o)
			return CUDA_ERROR_UNKNOWN;
		node[i] = (CUgraphNode)o;
		memcpy(&edge[i], &info.edge[i], sizeof(edge[i]));
	}
	if (id)
		*id = info.id;
	if (graph)
		*graph = (CUgraph)g;
	if (nodes)
		*nodes = node;
	if (edges)
		*edges = edge;
	if (count)
		*count = info.count;
	return CUDA_SUCCESS;
}

CUresult vgh_cuStreamGetCaptureInfo_v2(CUstream s, CUstreamCaptureStatus *status, cuuint64_t *id,
				       CUgraph *graph, const CUgraphNode **nodes, size_t *count)
{
	return vgh_cuStreamGetCaptureInfo_v3(s, status, id, graph, nodes, NULL, count);
}

CUresult vgh_cuStreamGetCaptureInfo(CUstream s, CUstreamCaptureStatus *status, cuuint64_t *id)
{
	return vgh_cuStreamGetCaptureInfo_v3(s, status, id, NULL, NULL, NULL, NULL);
}

CUresult vgh_cuStreamUpdateCaptureDependencies_v2(CUstream s, CUgraphNode *nodes,
						  const CUgraphEdgeData *edges, size_t count,
						  unsigned int flags)
{
	CUstreamCaptureStatus status;
	CUresult r;

	/* More than can be are wrong only where there is a capture. */
	if (count > VG_DEPENDENCIES_MAX) {
		r = vgh_cuStreamIsCapturing(s, &status);
		if (r || status == CU_STREAM_CAPTURE_STATUS_NONE)
			return r ? r : CUDA_ERROR_ILLEGAL_STATE;
	}
	return vgw_cuStreamUpdateCaptureDependencies_v2(s, nodes, edges, count, flags);
}

CUresult vgh_cuStreamUpdateCaptureDependencies(CUstream s, CUgraphNode *nodes, size_t count,
					       unsigned int flags)
{
	return vgh_cuStreamUpdateCaptureDependencies_v2(s, nodes, NULL, count, flags);
}
