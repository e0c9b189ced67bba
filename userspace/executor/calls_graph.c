// SPDX-License-Identifier: Apache-2.0
/*
 * Graphs and capture.  Nodes that capture made, and the graph under capture,
 * have no id of the guest's: one is minted here, from the half of the numbers
 * that the guest does not use, when the guest first asks for them.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "vg_cuda.h"

#define HOST_FIRST	(VG_HANDLE_MAX / 2)
#define NODES_MAX	(1u << 20)		/* of one graph, when the guest asks for them */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* minting */
static uint32_t minted = HOST_FIRST;

/* The id of a graph or a node, minted if there is none; 0 if no id is left. */
static uint32_t id_of(struct vg_exec *x, enum vg_kind kind, uint64_t value, uint32_t owner)
{
	uint32_t id;

	if (vg_x_id_of(x, kind, value, &id))
		return id;
	pthread_mutex_lock(&lock);
	id = minted < VG_HANDLE_MAX ? minted++ : 0;
	pthread_mutex_unlock(&lock);
	return id && vg_x_put(x, id, kind, value, owner) ? id : 0;
}

static bool ids_of(struct vg_exec *x, const CUgraphNode *nodes, size_t n, uint32_t owner,
		   uint32_t *ids)
{
	for (size_t i = 0; i < n; i++) {
		ids[i] = id_of(x, VG_GRAPH_NODE, (uintptr_t)nodes[i], owner);
		if (!ids[i])
			return false;
	}
	return true;
}

/* -- capture */

CUresult vge_cuStreamBeginCapture_v2(struct vg_exec *x, const struct vg_req *rq, CUstream s,
				     CUstreamCaptureMode mode)
{
	(void)x;
	(void)rq;
	(void)mode;
	if (!cu.cuStreamBeginCapture_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	/* The modes look at threads, and these are not the guest's. */
	return cu.cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED);
}

CUresult vge_cuStreamBeginCaptureToGraph(struct vg_exec *x, const struct vg_req *rq, CUstream s,
					 CUgraph graph, const CUgraphNode *deps,
					 const CUgraphEdgeData *edges, size_t count,
					 CUstreamCaptureMode mode)
{
	(void)x;
	(void)rq;
	(void)mode;
	if (!cu.cuStreamBeginCaptureToGraph)
		return CUDA_ERROR_NOT_SUPPORTED;
	return cu.cuStreamBeginCaptureToGraph(s, graph, deps, edges, count,
					      CU_STREAM_CAPTURE_MODE_RELAXED);
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
	info->graph = id_of(x, VG_GRAPH, (uintptr_t)graph, 0);
	if (!info->graph || !ids_of(x, nodes, n, info->graph, info->node))
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (size_t i = 0; data && i < n; i++)
		memcpy(&info->edge[i], &data[i], sizeof(info->edge[i]));
	return CUDA_SUCCESS;
}

CUresult vge_vgpu_capture_end(struct vg_exec *x, const struct vg_req *rq, CUstream s,
			      unsigned int *id)
{
	CUgraph graph = NULL;
	CUresult r;

	(void)rq;
	if (!cu.cuStreamEndCapture || !cu.cuGraphDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = cu.cuStreamEndCapture(s, &graph);
	if (r)
		return r;
	*id = id_of(x, VG_GRAPH, (uintptr_t)graph, 0);
	if (!*id) {
		cu.cuGraphDestroy(graph);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	return CUDA_SUCCESS;
}

/* -- what is in a graph */

CUresult vge_vgpu_graph_nodes(struct vg_exec *x, const struct vg_req *rq, CUgraph graph,
			      unsigned int roots, unsigned int first, unsigned int room,
			      uint64_t *count, uint32_t *ids)
{
	const struct vg_rq_vgpu_graph_nodes *q = rq->payload;
	CUresult (*get)(CUgraph, CUgraphNode *, size_t *);
	CUgraphNode *nodes;
	size_t n = 0;
	CUresult r;

	get = roots ? cu.cuGraphGetRootNodes : cu.cuGraphGetNodes;
	if (!get)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = get(graph, NULL, &n);
	if (r)
		return r;
	*count = n;
	if (!room || first >= n)
		return CUDA_SUCCESS;
	if (n > NODES_MAX)
		return CUDA_ERROR_NOT_SUPPORTED;
	nodes = calloc(n, sizeof(*nodes));
	if (!nodes)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = get(graph, nodes, &n);
	if (room > n - first)
		room = n - first;
	if (!r && !ids_of(x, nodes + first, room, q->graph, ids))
		r = CUDA_ERROR_OUT_OF_MEMORY;
	free(nodes);
	return r;
}

static CUresult get_edges(CUgraph graph, CUgraphNode *from, CUgraphNode *to, CUgraphEdgeData *data,
			  size_t *n)
{
	if (cu.cuGraphGetEdges_v2)
		return cu.cuGraphGetEdges_v2(graph, from, to, data, n);
	return cu.cuGraphGetEdges ? cu.cuGraphGetEdges(graph, from, to, n) :
				    CUDA_ERROR_NOT_SUPPORTED;
}

CUresult vge_vgpu_graph_edges(struct vg_exec *x, const struct vg_req *rq, CUgraph graph,
			      unsigned int first, unsigned int room, uint64_t *count,
			      uint32_t *from_ids, uint32_t *to_ids, CUgraphEdgeData *data)
{
	const struct vg_rq_vgpu_graph_edges *q = rq->payload;
	CUgraphNode *from, *to;
	CUgraphEdgeData *all;
	size_t n = 0;
	CUresult r = get_edges(graph, NULL, NULL, NULL, &n);

	if (r)
		return r;
	*count = n;
	if (!room || first >= n)
		return CUDA_SUCCESS;
	if (n > NODES_MAX)
		return CUDA_ERROR_NOT_SUPPORTED;
	from = calloc(n, sizeof(*from));
	to = calloc(n, sizeof(*to));
	all = calloc(n, sizeof(*all));
	r = from && to && all ? get_edges(graph, from, to, all, &n) : CUDA_ERROR_OUT_OF_MEMORY;
	if (room > n - first)
		room = n - first;
	if (!r && (!ids_of(x, from + first, room, q->graph, from_ids) ||
		   !ids_of(x, to + first, room, q->graph, to_ids)))
		r = CUDA_ERROR_OUT_OF_MEMORY;
	if (!r)
		memcpy(data, all + first, room * sizeof(*data));
	free(from);
	free(to);
	free(all);
	return r;
}

static CUresult get_links(CUgraphNode node, bool dependents, CUgraphNode *nodes,
			  CUgraphEdgeData *data, size_t *n)
{
	if (dependents && cu.cuGraphNodeGetDependentNodes_v2)
		return cu.cuGraphNodeGetDependentNodes_v2(node, nodes, data, n);
	if (!dependents && cu.cuGraphNodeGetDependencies_v2)
		return cu.cuGraphNodeGetDependencies_v2(node, nodes, data, n);
	if (dependents && cu.cuGraphNodeGetDependentNodes)
		return cu.cuGraphNodeGetDependentNodes(node, nodes, n);
	if (!dependents && cu.cuGraphNodeGetDependencies)
		return cu.cuGraphNodeGetDependencies(node, nodes, n);
	return CUDA_ERROR_NOT_SUPPORTED;
}

CUresult vge_vgpu_graph_node_links(struct vg_exec *x, const struct vg_req *rq, CUgraphNode node,
				   unsigned int dependents, unsigned int room, uint64_t *count,
				   uint32_t *ids, CUgraphEdgeData *data)
{
	const struct vg_rq_vgpu_graph_node_links *q = rq->payload;
	CUgraphNode nodes[VG_DEPENDENCIES_MAX];
	uint64_t owner = 0;
	size_t n = 0;
	CUresult r = get_links(node, dependents, NULL, NULL, &n);

	if (r)
		return r;
	*count = n;
	if (!room || !n)
		return CUDA_SUCCESS;
	if (n > VG_DEPENDENCIES_MAX)
		return CUDA_SUCCESS;	/* the guest sees the count, and refuses */
	if (room < n) {
		CUgraphEdgeData all[VG_DEPENDENCIES_MAX] = { 0 };

		r = get_links(node, dependents, nodes, all, &n);
		memcpy(data, all, room * sizeof(*data));
	} else {
		room = n;
		r = get_links(node, dependents, nodes, data, &n);
	}
	if (r)
		return r;
	vg_handle_get_aux(vg_exec_handles(x), q->node, VG_GRAPH_NODE, &owner);
	return ids_of(x, nodes, room, (uint32_t)owner, ids) ? CUDA_SUCCESS :
							      CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult vge_vgpu_graph_update(struct vg_exec *x, const struct vg_req *rq, CUgraphExec exec,
			       CUgraph graph, unsigned int *status, unsigned int *result)
{
	CUgraphExecUpdateResultInfo info = { 0 };

	(void)x;
	(void)rq;
	if (!cu.cuGraphExecUpdate_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	/* Both come back whether or not it worked. */
	*status = cu.cuGraphExecUpdate_v2(exec, graph, &info);
	*result = info.result;
	return CUDA_SUCCESS;
}

/* -- nodes; exec_id 0 means the graph itself */

static CUresult exec_of(struct vg_exec *x, uint32_t id, CUgraphExec *exec)
{
	uint64_t v = 0;

	if (id && !vg_handle_get(vg_exec_handles(x), id, VG_GRAPH_EXEC, &v))
		return CUDA_ERROR_INVALID_HANDLE;
	*exec = (CUgraphExec)(uintptr_t)v;
	return CUDA_SUCCESS;
}

struct kernel {
	CUDA_KERNEL_NODE_PARAMS node;
	size_t bytes;
	void *extra[5];
};

static void kernel_node(struct kernel *k, CUfunction f, const vgpu_kernel_node *l,
			unsigned int bytes, const void *params)
{
	*k = (struct kernel){
		.node = {
			.func = f, .gridDimX = l->grid[0], .gridDimY = l->grid[1],
			.gridDimZ = l->grid[2], .blockDimX = l->block[0], .blockDimY = l->block[1],
			.blockDimZ = l->block[2], .sharedMemBytes = l->shared,
		},
		.bytes = bytes,
	};
	k->extra[0] = CU_LAUNCH_PARAM_BUFFER_POINTER;
	k->extra[1] = (void *)params;
	k->extra[2] = CU_LAUNCH_PARAM_BUFFER_SIZE;
	k->extra[3] = &k->bytes;
	k->extra[4] = CU_LAUNCH_PARAM_END;
	k->node.extra = bytes ? k->extra : NULL;
}

CUresult vge_vgpu_graph_kernel_node(struct vg_exec *x, const struct vg_req *rq, CUgraphNode *node,
				    CUgraph graph, const CUgraphNode *deps, uint64_t count,
				    CUfunction f, const vgpu_kernel_node *launch,
				    unsigned int bytes, const void *params)
{
	struct kernel k;

	(void)x;
	(void)rq;
	if (!cu.cuGraphAddKernelNode_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	kernel_node(&k, f, launch, bytes, params);
	return cu.cuGraphAddKernelNode_v2(node, graph, deps, count, &k.node);
}

CUresult vge_vgpu_graph_kernel_set(struct vg_exec *x, const struct vg_req *rq, unsigned int exec_id,
				   CUgraphNode node, CUfunction f, const vgpu_kernel_node *launch,
				   unsigned int bytes, const void *params)
{
	CUgraphExec exec;
	struct kernel k;
	CUresult r = exec_of(x, exec_id, &exec);

	(void)rq;
	if (r)
		return r;
	if (!cu.cuGraphExecKernelNodeSetParams_v2 || !cu.cuGraphKernelNodeSetParams_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	kernel_node(&k, f, launch, bytes, params);
	return exec ? cu.cuGraphExecKernelNodeSetParams_v2(exec, node, &k.node) :
		      cu.cuGraphKernelNodeSetParams_v2(node, &k.node);
}

static CUDA_MEMSET_NODE_PARAMS memset_node(const vgpu_memset_node *m)
{
	return (CUDA_MEMSET_NODE_PARAMS){
		.dst = m->dst, .pitch = m->pitch, .value = m->value, .elementSize = m->element,
		.width = m->width, .height = m->height,
	};
}

CUresult vge_vgpu_graph_memset_node(struct vg_exec *x, const struct vg_req *rq, CUgraphNode *node,
				    CUgraph graph, const CUgraphNode *deps, uint64_t count,
				    const vgpu_memset_node *set, CUcontext ctx)
{
	CUDA_MEMSET_NODE_PARAMS m = memset_node(set);

	(void)x;
	(void)rq;
	if (!cu.cuGraphAddMemsetNode)
		return CUDA_ERROR_NOT_SUPPORTED;
	return cu.cuGraphAddMemsetNode(node, graph, deps, count, &m, ctx);
}

CUresult vge_vgpu_graph_memset_set(struct vg_exec *x, const struct vg_req *rq, unsigned int exec_id,
				   CUgraphNode node, const vgpu_memset_node *set, CUcontext ctx)
{
	CUDA_MEMSET_NODE_PARAMS m = memset_node(set);
	CUgraphExec exec;
	CUresult r = exec_of(x, exec_id, &exec);

	(void)rq;
	if (r)
		return r;
	if (!cu.cuGraphExecMemsetNodeSetParams || !cu.cuGraphMemsetNodeSetParams)
		return CUDA_ERROR_NOT_SUPPORTED;
	return exec ? cu.cuGraphExecMemsetNodeSetParams(exec, node, &m, ctx) :
		      cu.cuGraphMemsetNodeSetParams(node, &m);
}

CUresult vge_vgpu_graph_copy_node(struct vg_exec *x, const struct vg_req *rq, CUgraphNode *node,
				  CUgraph graph, const CUgraphNode *deps, uint64_t count,
				  const vgpu_copy3d *copy, CUcontext ctx)
{
	CUDA_MEMCPY3D p = vg_x_device_copy(copy);

	(void)x;
	(void)rq;
	if (!cu.cuGraphAddMemcpyNode)
		return CUDA_ERROR_NOT_SUPPORTED;
	return cu.cuGraphAddMemcpyNode(node, graph, deps, count, &p, ctx);
}

CUresult vge_vgpu_graph_copy_set(struct vg_exec *x, const struct vg_req *rq, unsigned int exec_id,
				 CUgraphNode node, const vgpu_copy3d *copy, CUcontext ctx)
{
	CUDA_MEMCPY3D p = vg_x_device_copy(copy);
	CUgraphExec exec;
	CUresult r = exec_of(x, exec_id, &exec);

	(void)rq;
	if (r)
		return r;
	if (!cu.cuGraphExecMemcpyNodeSetParams || !cu.cuGraphMemcpyNodeSetParams)
		return CUDA_ERROR_NOT_SUPPORTED;
	return exec ? cu.cuGraphExecMemcpyNodeSetParams(exec, node, &p, ctx) :
		      cu.cuGraphMemcpyNodeSetParams(node, &p);
}
