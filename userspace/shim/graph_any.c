// SPDX-License-Identifier: Apache-2.0
/*
 * Nodes of any type: each goes the way of its type's own functions.  An edge
 * with data is added after its node, which nobody else has seen by then.
 */
#include <stdio.h>

#include "client.h"
#include "graph.h"
#include "shim_calls.h"

_Static_assert(sizeof(CUDA_KERNEL_NODE_PARAMS_v3) == sizeof(CUDA_KERNEL_NODE_PARAMS) &&
	       offsetof(CUDA_KERNEL_NODE_PARAMS_v3, ctx) == offsetof(CUDA_KERNEL_NODE_PARAMS, ctx),
	       "the same");
_Static_assert(offsetof(CUDA_MEMSET_NODE_PARAMS_v2, ctx) == sizeof(CUDA_MEMSET_NODE_PARAMS),
	       "the same, and a context");
_Static_assert(sizeof(CUDA_HOST_NODE_PARAMS_v2) == sizeof(CUDA_HOST_NODE_PARAMS), "the same");
_Static_assert(sizeof(CUDA_BATCH_MEM_OP_NODE_PARAMS_v2) == sizeof(CUDA_BATCH_MEM_OP_NODE_PARAMS),
	       "the same");
_Static_assert(sizeof(CUDA_MEM_ALLOC_NODE_PARAMS_v2) == sizeof(CUDA_MEM_ALLOC_NODE_PARAMS),
	       "the same");

/* A node's context, NULL meaning the current one. */
static CUcontext context(CUcontext ctx)
{
	struct vg_context *c = vg_current();

	return ctx || !c ? ctx : (CUcontext)c->object;
}

static CUresult external(void)
{
	return vg_refuse("a graph node of external semaphores", "not implemented");
}

static CUresult add(CUgraphNode *node, CUgraph graph, const CUgraphNode *deps, size_t n,
		    CUgraphNodeParams *p)
{
	CUDA_KERNEL_NODE_PARAMS kernel;
	CUDA_MEMSET_NODE_PARAMS set;
	CUDA_HOST_NODE_PARAMS host;
	CUDA_BATCH_MEM_OP_NODE_PARAMS ops;
	CUDA_MEM_ALLOC_NODE_PARAMS alloc;
	CUresult r;

	switch (p->type) {
	case CU_GRAPH_NODE_TYPE_KERNEL:
		memcpy(&kernel, &p->kernel, sizeof(kernel));
		return vgh_cuGraphAddKernelNode_v2(node, graph, deps, n, &kernel);
	case CU_GRAPH_NODE_TYPE_MEMCPY:
		return vgh_cuGraphAddMemcpyNode(node, graph, deps, n, &p->memcpy.copyParams,
						context(p->memcpy.copyCtx));
	case CU_GRAPH_NODE_TYPE_MEMSET:
		memcpy(&set, &p->memset, sizeof(set));
		return vgh_cuGraphAddMemsetNode(node, graph, deps, n, &set, context(p->memset.ctx));
	case CU_GRAPH_NODE_TYPE_HOST:
		memcpy(&host, &p->host, sizeof(host));
		return vgh_cuGraphAddHostNode(node, graph, deps, n, &host);
	case CU_GRAPH_NODE_TYPE_GRAPH:
		return vg_node_add_child(node, graph, deps, n, &p->graph);
	case CU_GRAPH_NODE_TYPE_EMPTY:
		return vgw_cuGraphAddEmptyNode(node, graph, deps, n);
	case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
		return vgw_cuGraphAddEventWaitNode(node, graph, deps, n, p->eventWait.event);
	case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
		return vgw_cuGraphAddEventRecordNode(node, graph, deps, n, p->eventRecord.event);
	case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
		memcpy(&alloc, &p->alloc, sizeof(alloc));
		r = vgh_cuGraphAddMemAllocNode(node, graph, deps, n, &alloc);
		if (!r)
			p->alloc.dptr = alloc.dptr;
		return r;
	case CU_GRAPH_NODE_TYPE_MEM_FREE:
		return vgw_cuGraphAddMemFreeNode(node, graph, deps, n, p->free.dptr);
	case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
		memcpy(&ops, &p->memOp, sizeof(ops));
		return vgh_cuGraphAddBatchMemOpNode(node, graph, deps, n, &ops);
	case CU_GRAPH_NODE_TYPE_CONDITIONAL:
		return vg_node_add_conditional(node, graph, deps, n, &p->conditional);
	case CU_GRAPH_NODE_TYPE_EXT_SEMAS_SIGNAL:
	case CU_GRAPH_NODE_TYPE_EXT_SEMAS_WAIT:
		return external();
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

/* Whether any edge is other than a plain one. */
static bool special(const CUgraphEdgeData *edges, size_t n)
{
	static const CUgraphEdgeData plain;

	for (size_t i = 0; edges && i < n; i++)
		if (memcmp(&edges[i], &plain, sizeof(plain)))
			return true;
	return false;
}

CUresult vgh_cuGraphAddNode_v2(CUgraphNode *node, CUgraph graph, const CUgraphNode *deps,
			       const CUgraphEdgeData *edges, size_t n, CUgraphNodeParams *p)
{
	CUgraphNode to[VG_DEPENDENCIES_MAX];
	CUresult r;

	if (!node || !p || (n && !deps) || n > VG_DEPENDENCIES_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	if (!special(edges, n))
		return add(node, graph, deps, n, p);
	r = add(node, graph, NULL, 0, p);
	if (r)
		return r;
	for (size_t i = 0; i < n; i++)
		to[i] = *node;
	r = vgw_cuGraphAddDependencies_v2(graph, deps, to, edges, n);
	if (r) {
		vgw_cuGraphDestroyNode(*node);
		*node = NULL;
	}
	return r;
}

CUresult vgh_cuGraphAddNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *deps, size_t n,
			    CUgraphNodeParams *p)
{
	return vgh_cuGraphAddNode_v2(node, graph, deps, NULL, n, p);
}

/* `exec`: in the executable graph; NULL: in the graph. */
static CUresult set(CUgraphExec exec, CUgraphNode node, CUgraphNodeParams *p)
{
	CUDA_KERNEL_NODE_PARAMS kernel;
	CUDA_MEMSET_NODE_PARAMS memset_params;
	CUDA_HOST_NODE_PARAMS host;
	CUDA_BATCH_MEM_OP_NODE_PARAMS ops;
	CUgraphNodeType type;
	CUresult r = vgh_cuGraphNodeGetType(node, &type);

	if (r)
		return r;
	if (type != p->type)
		return CUDA_ERROR_INVALID_VALUE;
	switch (type) {
	case CU_GRAPH_NODE_TYPE_KERNEL:
		memcpy(&kernel, &p->kernel, sizeof(kernel));
		return exec ? vgh_cuGraphExecKernelNodeSetParams_v2(exec, node, &kernel) :
			      vgh_cuGraphKernelNodeSetParams_v2(node, &kernel);
	case CU_GRAPH_NODE_TYPE_MEMCPY:
		return exec ? vgh_cuGraphExecMemcpyNodeSetParams(exec, node, &p->memcpy.copyParams,
								 context(p->memcpy.copyCtx)) :
			      vgh_cuGraphMemcpyNodeSetParams(node, &p->memcpy.copyParams);
	case CU_GRAPH_NODE_TYPE_MEMSET:
		memcpy(&memset_params, &p->memset, sizeof(memset_params));
		return exec ? vgh_cuGraphExecMemsetNodeSetParams(exec, node, &memset_params,
								 context(p->memset.ctx)) :
			      vgh_cuGraphMemsetNodeSetParams(node, &memset_params);
	case CU_GRAPH_NODE_TYPE_HOST:
		memcpy(&host, &p->host, sizeof(host));
		return exec ? vgh_cuGraphExecHostNodeSetParams(exec, node, &host) :
			      vgh_cuGraphHostNodeSetParams(node, &host);
	case CU_GRAPH_NODE_TYPE_GRAPH:
		return exec ? vgh_cuGraphExecChildGraphNodeSetParams(exec, node, p->graph.graph) :
			      CUDA_ERROR_NOT_SUPPORTED;
	case CU_GRAPH_NODE_TYPE_EMPTY:
		return CUDA_SUCCESS;	/* there is nothing to set */
	case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
		return exec ? vgw_cuGraphExecEventWaitNodeSetEvent(exec, node, p->eventWait.event) :
			      vgw_cuGraphEventWaitNodeSetEvent(node, p->eventWait.event);
	case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
		return exec ? vgw_cuGraphExecEventRecordNodeSetEvent(exec, node,
								     p->eventRecord.event) :
			      vgw_cuGraphEventRecordNodeSetEvent(node, p->eventRecord.event);
	case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
		memcpy(&ops, &p->memOp, sizeof(ops));
		return exec ? vgh_cuGraphExecBatchMemOpNodeSetParams(exec, node, &ops) :
			      vgh_cuGraphBatchMemOpNodeSetParams(node, &ops);
	case CU_GRAPH_NODE_TYPE_EXT_SEMAS_SIGNAL:
	case CU_GRAPH_NODE_TYPE_EXT_SEMAS_WAIT:
		return external();
	default:
		/* Allocations, frees and conditionals stay as they were made. */
		return CUDA_ERROR_NOT_SUPPORTED;
	}
}

CUresult vgh_cuGraphNodeSetParams(CUgraphNode node, CUgraphNodeParams *p)
{
	return p ? set(NULL, node, p) : CUDA_ERROR_INVALID_VALUE;
}

CUresult vgh_cuGraphExecNodeSetParams(CUgraphExec exec, CUgraphNode node, CUgraphNodeParams *p)
{
	if (!p || !vg_object_get(exec, VG_GRAPH_EXEC))
		return CUDA_ERROR_INVALID_VALUE;
	return set(exec, node, p);
}
