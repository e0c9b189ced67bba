// SPDX-License-Identifier: Apache-2.0
/*
 * A child graph in a capture, after all that its stream has come to, as a launch would be.
 * The driver captures no such thing itself; it has calls to add nodes beside the capture.
 */
#include <string.h>

#include "calls.h"
#include "vg_cuda.h"

struct point {
	CUgraph graph;
	const CUgraphNode *nodes;
	const CUgraphEdgeData *edges;	/* NULL: all are plain */
	size_t count;
};

static CUresult where(CUstream s, struct point *p)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
	static const CUgraphEdgeData plain;
	bool special = false;
	cuuint64_t id;
	CUresult r;

	*p = (struct point){ 0 };
	if (cu.cuStreamGetCaptureInfo_v3)
		r = cu.cuStreamGetCaptureInfo_v3(s, &status, &id, &p->graph, &p->nodes, &p->edges,
						 &p->count);
	else if (cu.cuStreamGetCaptureInfo_v2)
		r = cu.cuStreamGetCaptureInfo_v2(s, &status, &id, &p->graph, &p->nodes, &p->count);
	else
		return CUDA_ERROR_NOT_SUPPORTED;
	if (r)
		return r;
	if (status == CU_STREAM_CAPTURE_STATUS_INVALIDATED)
		return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	if (status != CU_STREAM_CAPTURE_STATUS_ACTIVE)
		return CUDA_ERROR_ILLEGAL_STATE;
	for (size_t i = 0; p->edges && i < p->count; i++)
		special |= memcmp(&p->edges[i], &plain, sizeof(plain)) != 0;
	if (!special)
		p->edges = NULL;
	return CUDA_SUCCESS;
}

static CUresult add(const struct point *p, CUgraph child, CUgraphNode *made)
{
	CUgraphNodeParams q = { .type = CU_GRAPH_NODE_TYPE_GRAPH, .graph.graph = child };

	if (!p->edges)
		return cu.cuGraphAddChildGraphNode(made, p->graph, p->nodes, p->count, child);
	return cu.cuGraphAddNode_v2 ?
		       cu.cuGraphAddNode_v2(made, p->graph, p->nodes, p->edges, p->count, &q) :
		       CUDA_ERROR_NOT_SUPPORTED;
}

static CUresult go_on_from(CUstream s, CUgraphNode node)
{
	const unsigned int how = CU_STREAM_SET_CAPTURE_DEPENDENCIES;

	if (cu.cuStreamUpdateCaptureDependencies_v2)
		return cu.cuStreamUpdateCaptureDependencies_v2(s, &node, NULL, 1, how);
	return cu.cuStreamUpdateCaptureDependencies(s, &node, 1, how);
}

/* The child is cloned, as by cuGraphAddChildGraphNode(); `within` is the clone. */
CUresult vge_vgpu_capture_child(struct vg_exec *x, const struct vg_req *rq, CUstream s,
				CUgraph child, unsigned int *graph, unsigned int *node,
				unsigned int *within)
{
	struct vg_handles *h = vg_exec_handles(x);
	uint32_t in, made_id = 0, inner_id = 0;
	CUgraph inner = NULL;
	CUgraphNode made;
	struct point p;
	uint64_t v;
	CUresult r;

	(void)rq;
	if (!cu.cuGraphAddChildGraphNode || !cu.cuGraphChildGraphNodeGetGraph ||
	    !cu.cuGraphDestroyNode || (!cu.cuStreamUpdateCaptureDependencies_v2 &&
				       !cu.cuStreamUpdateCaptureDependencies))
		return CUDA_ERROR_NOT_SUPPORTED;
	r = where(s, &p);
	if (!r)
		r = add(&p, child, &made);
	if (r)
		return r;
	r = cu.cuGraphChildGraphNodeGetGraph(made, &inner);
	in = r ? 0 : vg_x_mint(x, VG_GRAPH, (uintptr_t)p.graph, 0);
	if (in)
		made_id = vg_x_mint(x, VG_GRAPH_NODE, (uintptr_t)made, in);
	if (made_id)
		inner_id = vg_x_mint(x, VG_GRAPH, (uintptr_t)inner, made_id);
	if (!r && !inner_id)
		r = CUDA_ERROR_OUT_OF_MEMORY;
	if (!r)
		r = go_on_from(s, made);
	if (r) {
		/* A node that the driver keeps goes with the graph, and so does its id. */
		if (!cu.cuGraphDestroyNode(made) && made_id && vg_handle_take(h, made_id, VG_GRAPH_NODE, &v))
			vg_x_orphans(x, made_id);
		return r;
	}
	*graph = vg_x_told(x, VG_GRAPH, in);
	*node = vg_x_told(x, VG_GRAPH_NODE, made_id);
	*within = vg_x_told(x, VG_GRAPH, inner_id);
	return CUDA_SUCCESS;
}
