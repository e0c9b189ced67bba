// SPDX-License-Identifier: Apache-2.0
/*
 * What is in graphs.  Nodes that capture made, and the graph under capture, have no id of
 * the guest's: the executor chooses one when the guest first asks for them (vg_x_mint()).
 */
#include <stdlib.h>
#include <string.h>

#include "budget.h"
#include "calls.h"
#include "vg_cuda.h"

#define NODES_MAX	(1u << 20)		/* of one graph, when the guest asks for them */

bool vg_x_mint_nodes(struct vg_exec *x, const CUgraphNode *nodes, size_t n, uint32_t owner,
		     uint32_t *ids)
{
	for (size_t i = 0; i < n; i++) {
		ids[i] = vg_x_mint(x, VG_GRAPH_NODE, (uintptr_t)nodes[i], owner);
		if (!ids[i])
			return false;
		ids[i] = vg_x_told(x, VG_GRAPH_NODE, ids[i]);
	}
	return true;
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
	if (!r && !vg_x_mint_nodes(x, nodes + first, room, q->graph, ids))
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
	if (!r && (!vg_x_mint_nodes(x, from + first, room, q->graph, from_ids) ||
		   !vg_x_mint_nodes(x, to + first, room, q->graph, to_ids)))
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
	uint32_t owner = 0;
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
	vg_handle_get_owner(vg_exec_handles(x), q->node, VG_GRAPH_NODE, &owner);
	return vg_x_mint_nodes(x, nodes, room, owner, ids) ? CUDA_SUCCESS :
							      CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult vge_cuGraphAddDependencies_v2(struct vg_exec *x, const struct vg_req *rq, CUgraph graph,
				       const CUgraphNode *from, const CUgraphNode *to,
				       const CUgraphEdgeData *data, size_t count)
{
	const struct vg_rq_cuGraphAddDependencies_v2 *q = rq->payload;
	uint64_t bytes = count * VG_EDGE_BYTES;
	CUresult r;

	if (!cu.cuGraphAddDependencies_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	/*
	 * Until the graph goes, also if the edges are removed: which edges a node was made with,
	 * and took of the budget itself, is not kept.
	 */
	if (!vg_handle_weigh(vg_exec_handles(x), q->hGraph, VG_GRAPH, bytes))
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = cu.cuGraphAddDependencies_v2(graph, from, to, data, count);
	if (r)
		vg_handle_lighten(vg_exec_handles(x), q->hGraph, VG_GRAPH, bytes);
	return r;
}

/* -- nodes that the driver names, which may lie in graphs that the guest has not asked for */

#define DEPTH_MAX 64

/* A graph on the way to a node, from the one with an id on. */
struct level {
	const struct level *above;
	CUgraphNode holder;		/* of this graph, in the one above */
	CUgraph graph;
	uint32_t id;			/* of the first */
};

static uint32_t id_of_level(struct vg_exec *x, const struct level *l)
{
	uint32_t holder;

	if (!l->above)
		return l->id;
	holder = id_of_level(x, l->above);
	if (holder)
		holder = vg_x_mint(x, VG_GRAPH_NODE, (uintptr_t)l->holder, holder);
	return holder ? vg_x_mint(x, VG_GRAPH, (uintptr_t)l->graph, holder) : 0;
}

/* The id of a node in there, as a part of the graph that holds it; 0: it is not found. */
static uint32_t mint_within(struct vg_exec *x, const struct level *l, CUgraphNode node, int depth)
{
	CUgraphNode *nodes;
	CUgraphNodeType type;
	uint32_t id = 0;
	size_t n = 0;

	if (depth == DEPTH_MAX || cu.cuGraphGetNodes(l->graph, NULL, &n) || !n || n > NODES_MAX)
		return 0;
	nodes = calloc(n, sizeof(*nodes));
	if (!nodes || cu.cuGraphGetNodes(l->graph, nodes, &n))
		n = 0;
	for (size_t i = 0; i < n && !id; i++) {
		uint32_t graph = nodes[i] == node ? id_of_level(x, l) : 0;

		if (graph)
			id = vg_x_mint(x, VG_GRAPH_NODE, (uintptr_t)node, graph);
	}
	for (size_t i = 0; i < n && !id; i++) {
		struct level below = { .above = l, .holder = nodes[i] };

		if (!cu.cuGraphNodeGetType(nodes[i], &type) && type == CU_GRAPH_NODE_TYPE_GRAPH &&
		    !cu.cuGraphChildGraphNodeGetGraph(nodes[i], &below.graph))
			id = mint_within(x, &below, node, depth + 1);
	}
	free(nodes);
	return id;
}

/* CUDA does not say whether the node may lie in a graph within the clone. */
CUresult vge_vgpu_graph_node_in_clone(struct vg_exec *x, const struct vg_req *rq, CUgraphNode node,
				      CUgraph clone, unsigned int *found)
{
	const struct vg_rq_vgpu_graph_node_in_clone *q = rq->payload;
	const struct level top = { .graph = clone, .id = q->clone };
	CUgraphNode n = NULL;
	uint32_t id;
	CUresult r;

	if (!cu.cuGraphNodeFindInClone || !cu.cuGraphGetNodes || !cu.cuGraphNodeGetType ||
	    !cu.cuGraphChildGraphNodeGetGraph)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = cu.cuGraphNodeFindInClone(&n, node, clone);
	if (r)
		return r;
	if (!vg_handle_id_of(vg_exec_handles(x), VG_GRAPH_NODE, (uintptr_t)n, &id))
		id = mint_within(x, &top, n, 0);
	*found = vg_x_told(x, VG_GRAPH_NODE, id);
	return id ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult vge_vgpu_graph_update(struct vg_exec *x, const struct vg_req *rq, CUgraphExec exec,
			       CUgraph graph, unsigned int *status, unsigned int *result,
			       unsigned int *node, unsigned int *from)
{
	const struct vg_rq_vgpu_graph_update *q = rq->payload;
	const struct level top = { .graph = graph, .id = q->graph };
	CUgraphExecUpdateResultInfo info = { 0 };

	/* While this thread reads it, launches into the capture would change it. */
	if (!cu.cuGraphExecUpdate_v2 || vg_x_captures_within(x, q->graph))
		return CUDA_ERROR_NOT_SUPPORTED;
	vg_x_launched_not(q->exec, false);
	/* Both come back whether or not it worked. */
	*status = cu.cuGraphExecUpdate_v2(exec, graph, &info);
	*result = info.result;
	if (*status != CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE)
		return CUDA_SUCCESS;
	if (!cu.cuGraphGetNodes || !cu.cuGraphNodeGetType || !cu.cuGraphChildGraphNodeGetGraph)
		return CUDA_SUCCESS;
	if (info.errorNode)
		*node = vg_x_told(x, VG_GRAPH_NODE, mint_within(x, &top, info.errorNode, 0));
	if (info.errorFromNode)
		*from = vg_x_told(x, VG_GRAPH_NODE, mint_within(x, &top, info.errorFromNode, 0));
	return CUDA_SUCCESS;
}
