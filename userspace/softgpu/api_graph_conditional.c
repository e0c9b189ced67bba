// SPDX-License-Identifier: Apache-2.0
/*
 * How conditional nodes run.  Whether a body runs is known only when the stream comes to the
 * node, so the stream's thread then puts the body into a stream of its own and waits for that.
 */
#include <stdlib.h>

#include "graph.h"

struct conditional_work {
	struct sg_work w;
	CUgraphExec exec;	/* with a reference */
	CUgraphNode node;	/* of the above */
};

/* The body that runs next, or NULL. */
static CUgraph chosen(CUgraphNode n)
{
	const CUDA_CONDITIONAL_NODE_PARAMS *p = &n->cond.params;
	unsigned int v = sg_condition_value(n->cond.condition), body = v;

	if (p->type != CU_GRAPH_COND_TYPE_SWITCH)
		body = v ? 0 : p->type == CU_GRAPH_COND_TYPE_IF ? 1 : p->size;
	return body < p->size ? p->phGraph_out[body] : NULL;
}

static int run_conditional(struct sg_work *w)
{
	struct conditional_work *c = (struct conditional_work *)w;
	CUcontext ctx = w->stream->ctx, old;
	CUgraph body = chosen(c->node);
	CUresult rc = CUDA_SUCCESS;
	CUstream side;

	if (!body)
		return CUDA_SUCCESS;
	side = sg_stream_new(ctx, CU_STREAM_NON_BLOCKING, 0);
	if (!side)
		return CUDA_ERROR_OUT_OF_MEMORY;
	rc = cuCtxPushCurrent_v2(ctx);
	while (!rc && body) {
		rc = sg_graph_submit(c->exec, body, side);
		if (!rc)
			rc = sg_stream_wait(side, 0);
		body = c->node->cond.params.type == CU_GRAPH_COND_TYPE_WHILE ?
			chosen(c->node) : NULL;
	}
	if (rc)
		sg_stream_wait(side, 0);	/* what was submitted before the error */
	cuCtxPopCurrent_v2(&old);
	sg_stream_retire(side);
	return rc;
}

static void release_conditional(struct sg_work *w)
{
	sg_exec_put(((struct conditional_work *)w)->exec);
}

CUresult sg_conditional_submit(CUgraphExec x, CUgraphNode n, CUstream stream)
{
	struct conditional_work *c;
	CUstream s;
	CUresult rc;

	SG_ENTER(ctx);
	rc = sg_stream_get(ctx, stream, &s);
	if (rc)
		return rc;
	c = sg_work_new(sizeof(*c), run_conditional);
	if (c) {
		sg_exec_get(x);
		c->w.release = release_conditional;
		c->exec = x;
		c->node = n;
	}
	rc = sg_submit(s, (struct sg_work *)c);
	sg_stream_put(s);
	return rc;
}

/* -- what conditions are as a launch begins */

struct assign_work {
	struct sg_work w;
	struct sg_condition *condition;
};

static int run_assign(struct sg_work *w)
{
	struct sg_condition *c = ((struct assign_work *)w)->condition;

	sg_condition_set((uintptr_t)c, c->initial);
	return CUDA_SUCCESS;
}

static void release_assign(struct sg_work *w)
{
	sg_condition_put(((struct assign_work *)w)->condition);
}

static CUresult assign(struct sg_condition *c, CUstream s)
{
	struct assign_work *a = sg_work_new(sizeof(*a), run_assign);

	if (!a)
		return CUDA_ERROR_OUT_OF_MEMORY;
	a->condition = sg_condition_get(c);
	a->w.release = release_assign;
	return sg_submit(s, &a->w);
}

CUresult sg_conditions_assign(CUgraph g, CUstream s)
{
	CUresult rc = CUDA_SUCCESS;

	for (CUgraphNode n = g->nodes; n && !rc; n = n->next) {
		if (n->type == CU_GRAPH_NODE_TYPE_GRAPH)
			rc = sg_conditions_assign(n->child, s);
		if (n->type != CU_GRAPH_NODE_TYPE_CONDITIONAL)
			continue;
		if (n->cond.condition->assign)
			rc = assign(n->cond.condition, s);
		for (unsigned int i = 0; i < n->cond.params.size && !rc; i++)
			rc = sg_conditions_assign(n->cond.params.phGraph_out[i], s);
	}
	return rc;
}
