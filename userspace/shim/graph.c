// SPDX-License-Identifier: Apache-2.0
/* Graphs: instantiation, and what is in one. */
#include <stdlib.h>

#include "client.h"
#include "graph_stage.h"
#include "shim.h"
#include "shim_calls.h"

/* A graph within another goes with it, or with its node. */
CUresult vgh_cuGraphDestroy(CUgraph graph)
{
	struct vg_object *g = vg_object_get(graph, VG_GRAPH);

	return g && g->owner ? CUDA_ERROR_INVALID_VALUE : vgw_cuGraphDestroy(graph);
}

/* Nodes that the host made get their handles when they are first seen. */
static CUgraphNode adopt(uint32_t id, uint32_t graph)
{
	return (CUgraphNode)vg_object_adopt(id, VG_GRAPH_NODE, graph);
}

/* -- instantiation and update */

CUresult vgh_cuGraphInstantiate_v2(CUgraphExec *exec, CUgraph graph, CUgraphNode *error, char *log,
				   size_t bytes)
{
	if (error)
		*error = NULL;
	if (log && bytes)
		*log = '\0';
	return vgw_cuGraphInstantiateWithFlags(exec, graph, 0);
}

CUresult vgh_cuGraphInstantiate(CUgraphExec *exec, CUgraph graph, CUgraphNode *error, char *log,
				size_t bytes)
{
	return vgh_cuGraphInstantiate_v2(exec, graph, error, log, bytes);
}

CUresult vgh_cuGraphInstantiateWithParams(CUstream none, CUgraphExec *exec, CUgraph graph,
					  CUDA_GRAPH_INSTANTIATE_PARAMS *p)
{
	CUresult r;

	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	p->hErrNode_out = NULL;
	p->result_out = CUDA_GRAPH_INSTANTIATE_ERROR;
	r = vgw_cuGraphInstantiateWithFlags(exec, graph,
					    p->flags & ~(cuuint64_t)CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD);
	if (r)
		return r;
	p->result_out = CUDA_GRAPH_INSTANTIATE_SUCCESS;
	if (p->flags & CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD)
		r = vgw_cuGraphUpload(*exec, p->hUploadStream ? p->hUploadStream : none);
	return r;
}

CUresult vgh_cuGraphExecUpdate_v2(CUgraphExec exec, CUgraph graph, CUgraphExecUpdateResultInfo *info)
{
	unsigned int status, result, node, from;
	CUresult r;

	r = vgw_vgpu_graph_update(exec, graph, &status, &result, &node, &from);
	if (r)
		return r;
	if (!info)
		return status;
	*info = (CUgraphExecUpdateResultInfo){
		.result = result,
		.errorNode = node ? vg_staged_around(graph, adopt, node) : NULL,
		.errorFromNode = from ? vg_staged_around(graph, adopt, from) : NULL,
	};
	return status;
}

CUresult vgh_cuGraphExecUpdate(CUgraphExec exec, CUgraph graph, CUgraphNode *error,
			       CUgraphExecUpdateResult *result)
{
	CUgraphExecUpdateResultInfo info = { 0 };
	CUresult r;

	r = vgh_cuGraphExecUpdate_v2(exec, graph, &info);
	if (result)
		*result = info.result;
	if (error)
		*error = info.errorNode;
	return r;
}

/* -- what is in a graph */

#define NODES 900u	/* of vgpu_graph_nodes */
#define EDGES 200u
#define LINKS 256u

static CUresult nodes(CUgraph graph, unsigned int roots, CUgraphNode *out, size_t *count)
{
	struct vg_object *g = vg_object_get(graph, VG_GRAPH);
	uint32_t ids[NODES];
	uint64_t total;
	size_t room, done = 0;
	CUresult r;

	if (!g || !count)
		return CUDA_ERROR_INVALID_VALUE;
	room = out ? *count : 0;
	do {
		unsigned int n = room - done < NODES ? room - done : NODES;

		r = vgw_vgpu_graph_nodes(graph, roots, done, n, &total, ids);
		if (r)
			return r;
		for (unsigned int i = 0; i < n && done < total; i++) {
			out[done] = adopt(ids[i], g->id);
			if (!out[done++])
				return CUDA_ERROR_UNKNOWN;
		}
	} while (done < room && done < total);
	for (size_t i = done; i < room; i++)
		out[i] = NULL;
	*count = out ? done : total;
	return CUDA_SUCCESS;
}

CUresult vgh_cuGraphGetNodes(CUgraph graph, CUgraphNode *out, size_t *count)
{
	return nodes(graph, 0, out, count);
}

CUresult vgh_cuGraphGetRootNodes(CUgraph graph, CUgraphNode *out, size_t *count)
{
	return nodes(graph, 1, out, count);
}

CUresult vgh_cuGraphGetEdges_v2(CUgraph graph, CUgraphNode *from, CUgraphNode *to,
				CUgraphEdgeData *data, size_t *count)
{
	struct vg_object *g = vg_object_get(graph, VG_GRAPH);
	uint32_t a[EDGES], b[EDGES];
	CUgraphEdgeData d[EDGES];
	uint64_t total;
	size_t room, done = 0;
	CUresult r;

	if (!g || !count || !from != !to)
		return CUDA_ERROR_INVALID_VALUE;
	room = from ? *count : 0;
	do {
		unsigned int n = room - done < EDGES ? room - done : EDGES;

		r = vgw_vgpu_graph_edges(graph, done, n, &total, a, b, d);
		if (r)
			return r;
		for (unsigned int i = 0; i < n && done < total; i++, done++) {
			static const CUgraphEdgeData plain;

			from[done] = adopt(a[i], g->id);
			to[done] = adopt(b[i], g->id);
			if (!from[done] || !to[done])
				return CUDA_ERROR_UNKNOWN;
			if (data)
				data[done] = d[i];
			else if (memcmp(&d[i], &plain, sizeof(plain)))
				return CUDA_ERROR_LOSSY_QUERY;
		}
	} while (done < room && done < total);
	for (size_t i = done; i < room; i++)
		from[i] = to[i] = NULL;
	*count = from ? done : total;
	return CUDA_SUCCESS;
}

CUresult vgh_cuGraphGetEdges(CUgraph graph, CUgraphNode *from, CUgraphNode *to, size_t *count)
{
	return vgh_cuGraphGetEdges_v2(graph, from, to, NULL, count);
}

static CUresult links(CUgraphNode node, unsigned int dependents, CUgraphNode *out,
		      CUgraphEdgeData *data, size_t *count)
{
	struct vg_object *o = vg_object_get(node, VG_GRAPH_NODE);
	uint32_t ids[LINKS];
	CUgraphEdgeData d[LINKS];
	uint64_t total;
	size_t room;
	CUresult r;

	if (!o || !count)
		return CUDA_ERROR_INVALID_VALUE;
	room = out ? *count : 0;
	r = vgw_vgpu_graph_node_links(node, dependents, room < LINKS ? room : LINKS, &total, ids, d);
	if (r)
		return r;
	if (room && total > LINKS)
		return vg_refuse("a graph node with more than 256 neighbours", "not implemented");
	for (size_t i = 0; i < room; i++) {
		static const CUgraphEdgeData plain;

		out[i] = i < total ? adopt(ids[i], o->owner) : NULL;
		if (i >= total)
			continue;
		if (!out[i])
			return CUDA_ERROR_UNKNOWN;
		if (data)
			data[i] = d[i];
		else if (memcmp(&d[i], &plain, sizeof(plain)))
			return CUDA_ERROR_LOSSY_QUERY;
	}
	*count = out && room < total ? room : total;
	return CUDA_SUCCESS;
}

CUresult vgh_cuGraphNodeGetDependencies_v2(CUgraphNode node, CUgraphNode *out,
					   CUgraphEdgeData *data, size_t *count)
{
	return links(node, 0, out, data, count);
}

CUresult vgh_cuGraphNodeGetDependencies(CUgraphNode node, CUgraphNode *out, size_t *count)
{
	return links(node, 0, out, NULL, count);
}

CUresult vgh_cuGraphNodeGetDependentNodes_v2(CUgraphNode node, CUgraphNode *out,
					     CUgraphEdgeData *data, size_t *count)
{
	return links(node, 1, out, data, count);
}

CUresult vgh_cuGraphNodeGetDependentNodes(CUgraphNode node, CUgraphNode *out, size_t *count)
{
	return links(node, 1, out, NULL, count);
}

CUresult vgh_cuGraphAddDependencies(CUgraph graph, const CUgraphNode *from, const CUgraphNode *to,
				    size_t count)
{
	return vgw_cuGraphAddDependencies_v2(graph, from, to, NULL, count);
}

CUresult vgh_cuGraphRemoveDependencies(CUgraph graph, const CUgraphNode *from,
				       const CUgraphNode *to, size_t count)
{
	return vgw_cuGraphRemoveDependencies_v2(graph, from, to, NULL, count);
}

CUresult vgh_cuGraphNodeFindInClone(CUgraphNode *out, CUgraphNode node, CUgraph clone)
{
	unsigned int id;
	CUresult r;

	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgw_vgpu_graph_node_in_clone(node, clone, &id);
	if (r)
		return r;
	*out = adopt(id, vg_object_get(clone, VG_GRAPH)->id);
	return *out ? CUDA_SUCCESS : CUDA_ERROR_UNKNOWN;
}

/* A launch cannot be captured: the driver says so at once, and has ended the capture. */
CUresult vgh_cuGraphLaunch(CUgraphExec exec, CUstream s)
{
	return vgw_cuGraphLaunch(vg_capturing(), exec, s);
}
