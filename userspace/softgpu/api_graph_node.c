// SPDX-License-Identifier: Apache-2.0
/* Nodes of graphs, type by type. */
#include <stdlib.h>
#include <string.h>

#include "graph.h"

/* -- types whose parameters are a plain struct */

CUresult sg_node_set_copy(CUgraphNode n, const CUDA_MEMCPY3D *p)
{
	if (p->srcMemoryType == CU_MEMORYTYPE_ARRAY || p->dstMemoryType == CU_MEMORYTYPE_ARRAY)
		return CUDA_ERROR_NOT_SUPPORTED;
	n->copy = *p;
	return CUDA_SUCCESS;
}

CUresult sg_node_set_memset(CUgraphNode n, const CUDA_MEMSET_NODE_PARAMS *p)
{
	void *at;

	if ((p->elementSize != 1 && p->elementSize != 2 && p->elementSize != 4) || !p->width ||
	    !p->height || p->width > SIZE_MAX / p->elementSize ||
	    (p->height > 1 && p->pitch < p->width * p->elementSize) ||
	    sg_copy_pointer(p->dst, p->width * p->elementSize, true, &at))
		return CUDA_ERROR_INVALID_VALUE;
	n->set = *p;
	return CUDA_SUCCESS;
}

CUresult sg_node_set_host(CUgraphNode n, const CUDA_HOST_NODE_PARAMS *p)
{
	if (!p->fn)
		return CUDA_ERROR_INVALID_VALUE;
	n->host = *p;
	return CUDA_SUCCESS;
}

CUresult sg_node_set_ops(CUgraphNode n, const CUDA_BATCH_MEM_OP_NODE_PARAMS *p)
{
	CUstreamBatchMemOpParams *ops;

	if (!p->count || p->count > 256 || !p->paramArray)
		return CUDA_ERROR_INVALID_VALUE;
	ops = calloc(p->count, sizeof(*ops));
	if (!ops)
		return CUDA_ERROR_OUT_OF_MEMORY;
	memcpy(ops, p->paramArray, p->count * sizeof(*ops));
	free(n->ops.paramArray);
	n->ops = *p;
	n->ops.paramArray = ops;
	return CUDA_SUCCESS;
}

/* Add, ask and set of such a type; `extra` are more parameters of the first. */
#define PLAIN(Name, TYPE, Params, member, setter, extra) \
SG_API CUresult cuGraphAdd##Name##Node(CUgraphNode *out, CUgraph g, const CUgraphNode *deps, \
				       size_t ndeps, const Params *p extra) \
{ \
	CUresult rc = p ? sg_node_new(g, deps, ndeps, TYPE, out) : CUDA_ERROR_INVALID_VALUE; \
	if (rc) \
		return rc; \
	rc = setter(*out, p); \
	if (rc) \
		sg_node_remove(*out); \
	return rc; \
} \
SG_API CUresult cuGraph##Name##NodeGetParams(CUgraphNode n, Params *p) \
{ \
	if (!sg_node_of(n, TYPE) || !p) \
		return CUDA_ERROR_INVALID_VALUE; \
	*p = n->member; \
	return CUDA_SUCCESS; \
} \
SG_API CUresult cuGraph##Name##NodeSetParams(CUgraphNode n, const Params *p) \
{ \
	return sg_node_of(n, TYPE) && p ? setter(n, p) : CUDA_ERROR_INVALID_VALUE; \
}

#define NONE
#define CONTEXT , CUcontext ctx __attribute__((unused))

PLAIN(Memcpy, CU_GRAPH_NODE_TYPE_MEMCPY, CUDA_MEMCPY3D, copy, sg_node_set_copy, CONTEXT)
PLAIN(Memset, CU_GRAPH_NODE_TYPE_MEMSET, CUDA_MEMSET_NODE_PARAMS, set, sg_node_set_memset, CONTEXT)
PLAIN(Host, CU_GRAPH_NODE_TYPE_HOST, CUDA_HOST_NODE_PARAMS, host, sg_node_set_host, NONE)
PLAIN(BatchMemOp, CU_GRAPH_NODE_TYPE_BATCH_MEM_OP, CUDA_BATCH_MEM_OP_NODE_PARAMS, ops,
      sg_node_set_ops, NONE)

SG_API CUresult cuGraphAddEmptyNode(CUgraphNode *out, CUgraph g, const CUgraphNode *deps,
				    size_t ndeps)
{
	return sg_node_new(g, deps, ndeps, CU_GRAPH_NODE_TYPE_EMPTY, out);
}

/* -- events */

#define EVENTS(Name, TYPE) \
SG_API CUresult cuGraphAddEvent##Name##Node(CUgraphNode *out, CUgraph g, const CUgraphNode *deps, \
					    size_t ndeps, CUevent event) \
{ \
	CUresult rc = event && event->magic == MAGIC_EVENT ? \
		sg_node_new(g, deps, ndeps, TYPE, out) : CUDA_ERROR_INVALID_HANDLE; \
	if (!rc) \
		(*out)->event = event; \
	return rc; \
} \
SG_API CUresult cuGraphEvent##Name##NodeGetEvent(CUgraphNode n, CUevent *event) \
{ \
	if (!sg_node_of(n, TYPE) || !event) \
		return CUDA_ERROR_INVALID_VALUE; \
	*event = n->event; \
	return CUDA_SUCCESS; \
} \
SG_API CUresult cuGraphEvent##Name##NodeSetEvent(CUgraphNode n, CUevent event) \
{ \
	if (!sg_node_of(n, TYPE) || !event || event->magic != MAGIC_EVENT) \
		return CUDA_ERROR_INVALID_VALUE; \
	n->event = event; \
	return CUDA_SUCCESS; \
}

EVENTS(Record, CU_GRAPH_NODE_TYPE_EVENT_RECORD)
EVENTS(Wait, CU_GRAPH_NODE_TYPE_WAIT_EVENT)

/* -- child graphs and conditionals */

static bool allocates(CUgraph g)
{
	for (CUgraphNode n = g->nodes; n; n = n->next)
		if (n->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC ||
		    n->type == CU_GRAPH_NODE_TYPE_MEM_FREE ||
		    (n->type == CU_GRAPH_NODE_TYPE_GRAPH && allocates(n->child)))
			return true;
	return false;
}

static CUresult add_child(CUgraphNode *out, CUgraph g, const CUgraphNode *deps, size_t ndeps,
			  CUgraph child, bool move)
{
	CUgraph copy = child;
	CUresult rc;

	if (!sg_graph_of(child) || child == g || (move && child->holder) ||
	    (!move && allocates(child)))
		return CUDA_ERROR_INVALID_VALUE;
	rc = sg_node_new(g, deps, ndeps, CU_GRAPH_NODE_TYPE_GRAPH, out);
	if (!rc && !move)
		rc = sg_graph_clone(child, &copy);
	if (rc) {
		if (sg_node_of(*out, -1))
			sg_node_remove(*out);
		return rc;
	}
	(*out)->child = copy;
	copy->holder = *out;
	return CUDA_SUCCESS;
}

SG_API CUresult cuGraphAddChildGraphNode(CUgraphNode *out, CUgraph g, const CUgraphNode *deps,
					 size_t ndeps, CUgraph child)
{
	return add_child(out, g, deps, ndeps, child, false);
}

SG_API CUresult cuGraphChildGraphNodeGetGraph(CUgraphNode n, CUgraph *child)
{
	if (!sg_node_of(n, CU_GRAPH_NODE_TYPE_GRAPH) || !child)
		return CUDA_ERROR_INVALID_VALUE;
	*child = n->child;
	return CUDA_SUCCESS;
}

SG_API CUresult cuGraphConditionalHandleCreate(CUgraphConditionalHandle *handle, CUgraph g,
					       CUcontext ctx, unsigned int value,
					       unsigned int flags)
{
	struct sg_condition *c;

	(void)ctx;
	if (!handle || !sg_graph_of(g) || flags & ~CU_GRAPH_COND_ASSIGN_DEFAULT)
		return CUDA_ERROR_INVALID_VALUE;
	c = sg_condition_new(value, flags & CU_GRAPH_COND_ASSIGN_DEFAULT);
	if (!c)
		return CUDA_ERROR_OUT_OF_MEMORY;
	c->next = g->conditions;
	g->conditions = c;
	*handle = (uintptr_t)c;
	return CUDA_SUCCESS;
}

/* A condition of this graph, or of one that it is in. */
static struct sg_condition *condition_of(CUgraph g, CUgraphConditionalHandle handle)
{
	for (; g; g = g->holder ? g->holder->graph : NULL)
		for (struct sg_condition *c = g->conditions; c; c = c->next)
			if ((uintptr_t)c == handle)
				return c;
	return NULL;
}

static CUresult add_conditional(CUgraphNode *out, CUgraph g, const CUgraphNode *deps, size_t ndeps,
				CUDA_CONDITIONAL_NODE_PARAMS *p)
{
	struct sg_condition *c;
	CUresult rc;

	if (!sg_graph_of(g) || !p->size || p->size > 256 ||
	    (p->type == CU_GRAPH_COND_TYPE_IF && p->size > 2) ||
	    (p->type == CU_GRAPH_COND_TYPE_WHILE && p->size > 1) ||
	    (unsigned int)p->type > CU_GRAPH_COND_TYPE_SWITCH)
		return CUDA_ERROR_INVALID_VALUE;
	c = condition_of(g, p->handle);
	if (!c)
		return CUDA_ERROR_INVALID_VALUE;
	rc = sg_node_new(g, deps, ndeps, CU_GRAPH_NODE_TYPE_CONDITIONAL, out);
	if (rc)
		return rc;
	(*out)->cond.params = *p;
	(*out)->cond.condition = sg_condition_get(c);
	(*out)->cond.params.phGraph_out = calloc(p->size, sizeof(CUgraph));
	if (!(*out)->cond.params.phGraph_out)
		rc = CUDA_ERROR_OUT_OF_MEMORY;
	for (unsigned int i = 0; !rc && i < p->size; i++) {
		CUgraph body = sg_graph_new();

		(*out)->cond.params.phGraph_out[i] = body;
		if (body)
			body->holder = *out;
		else
			rc = CUDA_ERROR_OUT_OF_MEMORY;
	}
	if (rc)
		sg_node_remove(*out);
	else
		p->phGraph_out = (*out)->cond.params.phGraph_out;
	return rc;
}

/* -- allocations */

SG_API CUresult cuGraphAddMemAllocNode(CUgraphNode *out, CUgraph g, const CUgraphNode *deps,
				       size_t ndeps, CUDA_MEM_ALLOC_NODE_PARAMS *p)
{
	CUresult rc;

	if (!p || !p->bytesize || !sg_graph_of(g) || g->holder ||
	    p->poolProps.allocType != CU_MEM_ALLOCATION_TYPE_PINNED ||
	    p->poolProps.location.type != CU_MEM_LOCATION_TYPE_DEVICE ||
	    (p->accessDescCount && !p->accessDescs))
		return CUDA_ERROR_INVALID_VALUE;
	rc = sg_node_new(g, deps, ndeps, CU_GRAPH_NODE_TYPE_MEM_ALLOC, out);
	if (rc)
		return rc;
	rc = sg_graph_alloc_new(p->poolProps.location.id, p->bytesize, &(*out)->alloc);
	if (rc)
		sg_node_remove(*out);
	else
		p->dptr = (*out)->alloc->at;
	return rc;
}

SG_API CUresult cuGraphMemAllocNodeGetParams(CUgraphNode n, CUDA_MEM_ALLOC_NODE_PARAMS *p)
{
	if (!sg_node_of(n, CU_GRAPH_NODE_TYPE_MEM_ALLOC) || !p)
		return CUDA_ERROR_INVALID_VALUE;
	*p = (CUDA_MEM_ALLOC_NODE_PARAMS){
		.poolProps = {
			.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
			.location = { CU_MEM_LOCATION_TYPE_DEVICE, n->alloc->dev->index },
		},
		.bytesize = n->alloc->bytes, .dptr = n->alloc->at,
	};
	return CUDA_SUCCESS;
}

SG_API CUresult cuGraphAddMemFreeNode(CUgraphNode *out, CUgraph g, const CUgraphNode *deps,
				      size_t ndeps, CUdeviceptr at)
{
	CUresult rc = sg_graph_alloc_at(at) ?
		sg_node_new(g, deps, ndeps, CU_GRAPH_NODE_TYPE_MEM_FREE, out) :
		CUDA_ERROR_INVALID_VALUE;

	if (!rc)
		(*out)->freed = at;
	return rc;
}

SG_API CUresult cuGraphMemFreeNodeGetParams(CUgraphNode n, CUdeviceptr *at)
{
	if (!sg_node_of(n, CU_GRAPH_NODE_TYPE_MEM_FREE) || !at)
		return CUDA_ERROR_INVALID_VALUE;
	*at = n->freed;
	return CUDA_SUCCESS;
}

/* -- any type */

static CUresult add_any(CUgraphNode *out, CUgraph g, const CUgraphNode *deps, size_t n,
			CUgraphNodeParams *p)
{
	CUDA_KERNEL_NODE_PARAMS kernel;
	CUDA_MEMSET_NODE_PARAMS set;
	CUDA_HOST_NODE_PARAMS host;
	CUDA_BATCH_MEM_OP_NODE_PARAMS ops;
	CUDA_MEM_ALLOC_NODE_PARAMS alloc;
	CUresult rc;

	switch (p->type) {
	case CU_GRAPH_NODE_TYPE_KERNEL:
		memcpy(&kernel, &p->kernel, sizeof(kernel));
		return cuGraphAddKernelNode_v2(out, g, deps, n, &kernel);
	case CU_GRAPH_NODE_TYPE_MEMCPY:
		return cuGraphAddMemcpyNode(out, g, deps, n, &p->memcpy.copyParams,
					    p->memcpy.copyCtx);
	case CU_GRAPH_NODE_TYPE_MEMSET:
		memcpy(&set, &p->memset, sizeof(set));
		return cuGraphAddMemsetNode(out, g, deps, n, &set, p->memset.ctx);
	case CU_GRAPH_NODE_TYPE_HOST:
		memcpy(&host, &p->host, sizeof(host));
		return cuGraphAddHostNode(out, g, deps, n, &host);
	case CU_GRAPH_NODE_TYPE_GRAPH:
		return add_child(out, g, deps, n, p->graph.graph,
				 p->graph.ownership == CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE);
	case CU_GRAPH_NODE_TYPE_EMPTY:
		return cuGraphAddEmptyNode(out, g, deps, n);
	case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
		return cuGraphAddEventWaitNode(out, g, deps, n, p->eventWait.event);
	case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
		return cuGraphAddEventRecordNode(out, g, deps, n, p->eventRecord.event);
	case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
		memcpy(&alloc, &p->alloc, sizeof(alloc));
		rc = cuGraphAddMemAllocNode(out, g, deps, n, &alloc);
		p->alloc.dptr = alloc.dptr;
		return rc;
	case CU_GRAPH_NODE_TYPE_MEM_FREE:
		return cuGraphAddMemFreeNode(out, g, deps, n, p->free.dptr);
	case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
		memcpy(&ops, &p->memOp, sizeof(ops));
		return cuGraphAddBatchMemOpNode(out, g, deps, n, &ops);
	case CU_GRAPH_NODE_TYPE_CONDITIONAL:
		return add_conditional(out, g, deps, n, &p->conditional);
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

SG_API CUresult cuGraphAddNode_v2(CUgraphNode *out, CUgraph g, const CUgraphNode *deps,
				  const CUgraphEdgeData *data, size_t n, CUgraphNodeParams *p)
{
	CUresult rc = p ? add_any(out, g, deps, n, p) : CUDA_ERROR_INVALID_VALUE;

	for (size_t i = 0; !rc && data && i < n; i++)
		(*out)->deps[i].data = data[i];
	return rc;
}

/* -- clones and the end */

static CUresult copy_bodies(CUgraphNode to, CUgraphNode from)
{
	CUresult rc = CUDA_SUCCESS;

	to->cond = from->cond;
	sg_condition_get(to->cond.condition);
	to->cond.params.phGraph_out = calloc(from->cond.params.size, sizeof(CUgraph));
	if (!to->cond.params.phGraph_out)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (unsigned int i = 0; i < from->cond.params.size && !rc; i++) {
		rc = sg_graph_clone(from->cond.params.phGraph_out[i],
				    &to->cond.params.phGraph_out[i]);
		if (!rc)
			to->cond.params.phGraph_out[i]->holder = to;
	}
	return rc;
}

CUresult sg_node_copy(CUgraphNode to, CUgraphNode from)
{
	CUresult rc;

	switch (from->type) {
	case CU_GRAPH_NODE_TYPE_KERNEL:
		return sg_node_copy_kernel(to, from);
	case CU_GRAPH_NODE_TYPE_MEMCPY:
		to->copy = from->copy;
		return CUDA_SUCCESS;
	case CU_GRAPH_NODE_TYPE_MEMSET:
		to->set = from->set;
		return CUDA_SUCCESS;
	case CU_GRAPH_NODE_TYPE_HOST:
		to->host = from->host;
		return CUDA_SUCCESS;
	case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
	case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
		to->event = from->event;
		return CUDA_SUCCESS;
	case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
		return sg_node_set_ops(to, &from->ops);
	case CU_GRAPH_NODE_TYPE_GRAPH:
		rc = sg_graph_clone(from->child, &to->child);
		if (!rc)
			to->child->holder = to;
		return rc;
	case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
		to->alloc = from->alloc;
		sg_graph_alloc_get(to->alloc);
		return CUDA_SUCCESS;
	case CU_GRAPH_NODE_TYPE_MEM_FREE:
		to->freed = from->freed;
		return CUDA_SUCCESS;
	case CU_GRAPH_NODE_TYPE_CONDITIONAL:
		return copy_bodies(to, from);
	default:
		return CUDA_SUCCESS;
	}
}

void sg_node_clear(CUgraphNode n)
{
	switch (n->type) {
	case CU_GRAPH_NODE_TYPE_KERNEL:
		free(n->kernel.block);
		free(n->kernel.pointers);
		free(n->kernel.attr);
		break;
	case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
		free(n->ops.paramArray);
		break;
	case CU_GRAPH_NODE_TYPE_GRAPH:
		if (n->child)
			sg_graph_free(n->child);
		break;
	case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
		if (n->alloc)
			sg_graph_alloc_put(n->alloc);
		break;
	case CU_GRAPH_NODE_TYPE_CONDITIONAL:
		for (unsigned int i = 0; n->cond.params.phGraph_out && i < n->cond.params.size; i++)
			if (n->cond.params.phGraph_out[i])
				sg_graph_free(n->cond.params.phGraph_out[i]);
		free(n->cond.params.phGraph_out);
		if (n->cond.condition)
			sg_condition_put(n->cond.condition);
		break;
	default:
		break;
	}
}
