// SPDX-License-Identifier: Apache-2.0
/*
 * Executable graphs: clones that are launched.  A launch puts the nodes into the
 * stream one after the other, in an order that their edges allow.
 */
#include <stdlib.h>
#include <string.h>

#include "graph.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* references */

static CUgraphExec exec_of(CUgraphExec x)
{
	return x && x->magic == MAGIC_EXEC ? x : NULL;
}

/* Without launches under way, nothing needs what was replaced. */
static struct sg_hold *replaced_locked(CUgraphExec x)
{
	struct sg_hold *old = x->refs <= 1 ? x->old : NULL;

	if (old)
		x->old = NULL;
	return old;
}

void sg_exec_get(CUgraphExec x)
{
	pthread_mutex_lock(&lock);
	x->refs++;
	pthread_mutex_unlock(&lock);
}

void sg_exec_put(CUgraphExec x)
{
	struct sg_hold *old;
	bool last;

	pthread_mutex_lock(&lock);
	last = !--x->refs;
	old = replaced_locked(x);
	pthread_mutex_unlock(&lock);
	sg_holds_put(old);
	if (!last)
		return;
	sg_graph_free(x->graph);
	free(x);
}

static bool may_be_in_a_body(CUgraphNodeType type)
{
	return type == CU_GRAPH_NODE_TYPE_KERNEL || type == CU_GRAPH_NODE_TYPE_MEMCPY ||
	       type == CU_GRAPH_NODE_TYPE_MEMSET || type == CU_GRAPH_NODE_TYPE_GRAPH ||
	       type == CU_GRAPH_NODE_TYPE_EMPTY || type == CU_GRAPH_NODE_TYPE_CONDITIONAL;
}

/*
 * Whether it can run.  The nodes are sorted here, once, because later several threads may come to
 * the same body, each of a stream that the graph was launched in.
 */
static CUresult prepare(CUgraph g, bool body)
{
	CUresult rc = sg_graph_sort(g, &g->sorted, &g->count);

	for (size_t i = 0; !rc && i < g->count; i++) {
		CUgraphNode n = g->sorted[i];

		if (body && !may_be_in_a_body(n->type))
			rc = CUDA_ERROR_NOT_SUPPORTED;
		if (!rc && n->type == CU_GRAPH_NODE_TYPE_GRAPH)
			rc = prepare(n->child, body);
		if (n->type != CU_GRAPH_NODE_TYPE_CONDITIONAL)
			continue;
		for (unsigned int k = 0; !rc && k < n->cond.params.size; k++)
			rc = prepare(n->cond.params.phGraph_out[k], true);
	}
	return rc;
}

SG_API CUresult cuGraphInstantiateWithFlags(CUgraphExec *out, CUgraph g, unsigned long long flags)
{
	CUgraphExec x;
	CUresult rc;

	SG_ENTER(ctx);
	(void)ctx;
	if (!out || !sg_graph_of(g) || flags & ~(CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH |
						 CUDA_GRAPH_INSTANTIATE_FLAG_USE_NODE_PRIORITY))
		return CUDA_ERROR_INVALID_VALUE;
	x = calloc(1, sizeof(*x));
	if (!x)
		return CUDA_ERROR_OUT_OF_MEMORY;
	rc = sg_graph_clone(g, &x->graph);
	if (!rc)
		rc = prepare(x->graph, false);
	if (rc) {
		if (x->graph)
			sg_graph_free(x->graph);
		free(x);
		return rc;
	}
	x->magic = MAGIC_EXEC;
	x->flags = flags;
	x->refs = 1;
	*out = x;
	return CUDA_SUCCESS;
}

SG_API CUresult cuGraphExecDestroy(CUgraphExec x)
{
	if (!exec_of(x))
		return CUDA_ERROR_INVALID_VALUE;
	x->magic = 0;
	sg_exec_put(x);
	return CUDA_SUCCESS;
}

SG_API CUresult cuGraphExecGetFlags(CUgraphExec x, cuuint64_t *flags)
{
	if (!exec_of(x) || !flags)
		return CUDA_ERROR_INVALID_VALUE;
	*flags = x->flags;
	return CUDA_SUCCESS;
}

/* -- launches */

static CUresult submit_kernel(CUgraphNode n, CUstream s)
{
	const CUDA_KERNEL_NODE_PARAMS *p = &n->kernel.params;
	CUlaunchAttribute attrs[CU_LAUNCH_ATTRIBUTE_MAX];
	CUlaunchConfig c = {
		.gridDimX = p->gridDimX, .gridDimY = p->gridDimY, .gridDimZ = p->gridDimZ,
		.blockDimX = p->blockDimX, .blockDimY = p->blockDimY, .blockDimZ = p->blockDimZ,
		.sharedMemBytes = p->sharedMemBytes, .hStream = s, .attrs = attrs,
	};

	for (unsigned int id = 0; id < CU_LAUNCH_ATTRIBUTE_MAX; id++) {
		if (!(n->kernel.attrs & 1u << id))
			continue;
		attrs[c.numAttrs].id = id;
		attrs[c.numAttrs++].value = n->kernel.attr[id];
	}
	return cuLaunchKernelEx(&c, p->func ? p->func : (CUfunction)p->kern, p->kernelParams,
				p->extra);
}

static CUresult submit_memset(const CUDA_MEMSET_NODE_PARAMS *p, CUstream s)
{
	if (p->elementSize == 1)
		return cuMemsetD2D8Async(p->dst, p->pitch, p->value, p->width, p->height, s);
	if (p->elementSize == 2)
		return cuMemsetD2D16Async(p->dst, p->pitch, p->value, p->width, p->height, s);
	return cuMemsetD2D32Async(p->dst, p->pitch, p->value, p->width, p->height, s);
}

static CUresult submit_node(CUgraphExec x, CUgraphNode n, CUstream s)
{
	CUresult rc;

	if (n->disabled)
		return CUDA_SUCCESS;
	switch (n->type) {
	case CU_GRAPH_NODE_TYPE_KERNEL:
		return submit_kernel(n, s);
	case CU_GRAPH_NODE_TYPE_MEMCPY:
		return cuMemcpy3DAsync_v2(&n->copy, s);
	case CU_GRAPH_NODE_TYPE_MEMSET:
		return submit_memset(&n->set, s);
	case CU_GRAPH_NODE_TYPE_HOST:
		return cuLaunchHostFunc(s, n->host.fn, n->host.userData);
	case CU_GRAPH_NODE_TYPE_GRAPH:
		return sg_graph_submit(x, n->child, s);
	case CU_GRAPH_NODE_TYPE_EMPTY:
		return CUDA_SUCCESS;
	case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
		return cuStreamWaitEvent(s, n->event, 0);
	case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
		return cuEventRecord(n->event, s);
	case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
		return cuStreamBatchMemOp_v2(s, n->ops.count, n->ops.paramArray, n->ops.flags);
	case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
		rc = sg_graph_alloc_take(n->alloc);
		if (rc && x->flags & CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH) {
			sg_graph_alloc_free(n->alloc->at);
			rc = sg_graph_alloc_take(n->alloc);
		}
		return rc;
	case CU_GRAPH_NODE_TYPE_MEM_FREE:
		return sg_graph_alloc_free(n->freed);
	case CU_GRAPH_NODE_TYPE_CONDITIONAL:
		return sg_conditional_submit(x, n, s);
	default:
		return CUDA_ERROR_NOT_SUPPORTED;
	}
}

CUresult sg_graph_submit(CUgraphExec x, CUgraph g, CUstream s)
{
	CUresult rc = CUDA_SUCCESS;

	for (size_t i = 0; !rc && i < g->count; i++)
		rc = submit_node(x, g->sorted[i], s);
	return rc;
}

struct end_work {
	struct sg_work w;
	CUgraphExec exec;
};

static int run_end(struct sg_work *w)
{
	(void)w;
	return 0;
}

static void release_end(struct sg_work *w)
{
	sg_exec_put(((struct end_work *)w)->exec);
}

SG_API CUresult cuGraphLaunch(CUgraphExec x, CUstream stream)
{
	struct end_work *end;
	CUresult rc, ended;
	CUstream s;

	SG_ENTER(ctx);
	if (!exec_of(x))
		return CUDA_ERROR_INVALID_VALUE;
	if (sg_capturing(ctx, stream))
		return sg_capture_break(ctx, stream);
	rc = sg_stream_get(ctx, stream, &s);
	if (rc)
		return rc;
	end = sg_work_new(sizeof(*end), run_end);
	if (!end) {
		sg_stream_put(s);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	/*
	 * What the graph holds, it holds until this launch has run, and also until the nodes have
	 * run that are in the stream already when a later one fails.
	 */
	sg_exec_get(x);
	end->exec = x;
	end->w.always = true;
	end->w.release = release_end;
	sg_launch_begin(s);
	rc = sg_conditions_assign(x->graph, s);
	if (!rc)
		rc = sg_graph_submit(x, x->graph, stream);
	ended = sg_launch_end(s, &end->w);
	sg_stream_put(s);
	return rc ? rc : ended;
}

SG_API CUresult cuGraphUpload(CUgraphExec x, CUstream stream)
{
	CUstream s;
	CUresult rc;

	SG_ENTER(ctx);
	rc = exec_of(x) ? sg_stream_get(ctx, stream, &s) : CUDA_ERROR_INVALID_VALUE;
	if (!rc)
		sg_stream_put(s);	/* there is nowhere to load it to */
	return rc;
}

/* -- changes: a node is named by the one that it was cloned of */

static CUgraphNode twin(CUgraphExec x, CUgraphNode n, int type)
{
	CUgraphNode t;

	if (!exec_of(x) || !sg_node_of(n, type))
		return NULL;
	for (t = x->graph->nodes; t && t->origin != n; t = t->next)
		;
	return t;
}

#define SET(Name, TYPE, Params, setter, extra) \
SG_API CUresult cuGraphExec##Name(CUgraphExec x, CUgraphNode n, const Params *p extra) \
{ \
	CUgraphNode t = twin(x, n, TYPE); \
	return t && p ? setter(t, p) : CUDA_ERROR_INVALID_VALUE; \
}

#define NONE
#define CONTEXT , CUcontext ctx __attribute__((unused))

SET(KernelNodeSetParams_v2, CU_GRAPH_NODE_TYPE_KERNEL, CUDA_KERNEL_NODE_PARAMS,
    sg_node_set_kernel, NONE)
SET(MemcpyNodeSetParams, CU_GRAPH_NODE_TYPE_MEMCPY, CUDA_MEMCPY3D, sg_node_set_copy, CONTEXT)
SET(MemsetNodeSetParams, CU_GRAPH_NODE_TYPE_MEMSET, CUDA_MEMSET_NODE_PARAMS, sg_node_set_memset,
    CONTEXT)
SET(HostNodeSetParams, CU_GRAPH_NODE_TYPE_HOST, CUDA_HOST_NODE_PARAMS, sg_node_set_host, NONE)
SET(BatchMemOpNodeSetParams, CU_GRAPH_NODE_TYPE_BATCH_MEM_OP, CUDA_BATCH_MEM_OP_NODE_PARAMS,
    sg_node_set_ops, NONE)

static CUresult set_event(CUgraphExec x, CUgraphNode n, CUgraphNodeType type, CUevent event)
{
	CUgraphNode t = twin(x, n, type);

	if (!t || !event || event->magic != MAGIC_EVENT)
		return CUDA_ERROR_INVALID_VALUE;
	t->event = event;
	return CUDA_SUCCESS;
}

SG_API CUresult cuGraphExecEventRecordNodeSetEvent(CUgraphExec x, CUgraphNode n, CUevent event)
{
	return set_event(x, n, CU_GRAPH_NODE_TYPE_EVENT_RECORD, event);
}

SG_API CUresult cuGraphExecEventWaitNodeSetEvent(CUgraphExec x, CUgraphNode n, CUevent event)
{
	return set_event(x, n, CU_GRAPH_NODE_TYPE_WAIT_EVENT, event);
}

SG_API CUresult cuGraphNodeSetEnabled(CUgraphExec x, CUgraphNode n, unsigned int on)
{
	CUgraphNode t = twin(x, n, -1);

	if (!t || (t->type != CU_GRAPH_NODE_TYPE_KERNEL && t->type != CU_GRAPH_NODE_TYPE_MEMSET &&
		   t->type != CU_GRAPH_NODE_TYPE_MEMCPY))
		return CUDA_ERROR_INVALID_VALUE;
	t->disabled = !on;
	return CUDA_SUCCESS;
}

SG_API CUresult cuGraphNodeGetEnabled(CUgraphExec x, CUgraphNode n, unsigned int *on)
{
	CUgraphNode t = twin(x, n, -1);

	if (!t || !on)
		return CUDA_ERROR_INVALID_VALUE;
	*on = !t->disabled;
	return CUDA_SUCCESS;
}

/*
 * Whether two graphs have the same nodes and edges, in the order of their making;
 * if a node of b's is at fault, which.
 */
static CUgraphExecUpdateResult compare(CUgraph a, CUgraph b, CUgraphNode *fault)
{
	unsigned int i = 0;
	CUgraphNode n, m;

	for (n = a->nodes, m = b->nodes; n && m; n = n->next, m = m->next)
		n->order = m->order = ++i;
	*fault = NULL;
	if (n || m)
		return CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
	for (n = a->nodes, m = b->nodes; n; n = n->next, m = m->next) {
		CUgraphExecUpdateResult r;

		*fault = m;
		if (n->type != m->type)
			return CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED;
		if (n->ndeps != m->ndeps)
			return CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
		for (size_t k = 0; k < n->ndeps; k++) {
			size_t j;

			for (j = 0; j < m->ndeps; j++)
				if (m->deps[j].from->order == n->deps[k].from->order)
					break;
			if (j == m->ndeps)
				return CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
		}
		if (n->type == CU_GRAPH_NODE_TYPE_CONDITIONAL ||
		    n->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC ||
		    n->type == CU_GRAPH_NODE_TYPE_MEM_FREE)
			return CU_GRAPH_EXEC_UPDATE_ERROR_NOT_SUPPORTED;
		if (n->type != CU_GRAPH_NODE_TYPE_GRAPH)
			continue;
		r = compare(n->child, m->child, fault);
		if (r)
			return r;
	}
	*fault = NULL;
	return CU_GRAPH_EXEC_UPDATE_SUCCESS;
}

static CUresult refill_locked(CUgraphExec x, CUgraph to, CUgraph from)
{
	CUresult rc = CUDA_SUCCESS;

	sg_hold_instead(to, from, &x->old);
	for (CUgraphNode n = to->nodes, m = from->nodes; n && !rc; n = n->next, m = m->next) {
		if (n->type == CU_GRAPH_NODE_TYPE_GRAPH)
			rc = refill_locked(x, n->child, m->child);
		else
			rc = sg_node_copy(n, m);
	}
	return rc;
}

/* Give the nodes of `to` what those of `from` have, and the graph what that holds. */
static CUresult refill(CUgraphExec x, CUgraph to, CUgraph from)
{
	struct sg_hold *old;
	CUresult rc;

	pthread_mutex_lock(&lock);
	rc = refill_locked(x, to, from);
	old = replaced_locked(x);
	pthread_mutex_unlock(&lock);
	sg_holds_put(old);
	return rc;
}

SG_API CUresult cuGraphExecUpdate_v2(CUgraphExec x, CUgraph g, CUgraphExecUpdateResultInfo *info)
{
	if (!exec_of(x) || !sg_graph_of(g) || !info)
		return CUDA_ERROR_INVALID_VALUE;
	*info = (CUgraphExecUpdateResultInfo){ 0 };
	info->result = compare(x->graph, g, &info->errorNode);
	if (info->result)
		return CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE;
	return refill(x, x->graph, g);
}

SG_API CUresult cuGraphExecChildGraphNodeSetParams(CUgraphExec x, CUgraphNode n, CUgraph child)
{
	CUgraphNode t = twin(x, n, CU_GRAPH_NODE_TYPE_GRAPH), fault;

	if (!t || !sg_graph_of(child) || compare(t->child, child, &fault))
		return CUDA_ERROR_INVALID_VALUE;
	return refill(x, t->child, child);
}
