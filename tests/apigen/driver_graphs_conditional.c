// SPDX-License-Identifier: Apache-2.0
/* Conditional nodes: their bodies are graphs, and what the condition starts as decides. */
#include <string.h>

#include "driver_test.h"

#define WORDS 256u

static CUdeviceptr p;
static unsigned int n = WORDS;

/* The node, whose body i adds 10^i. */
static CUgraphNode conditional(CUgraph graph, const CUgraphNode *after,
			       CUgraphConditionalNodeType type, unsigned int size,
			       unsigned int value)
{
	CUgraphConditionalHandle handle = 0;
	CUgraphNodeParams c;
	CUgraphNode node, inner;
	size_t count;

	OK(cuGraphConditionalHandleCreate(&handle, graph, ctx, value, CU_GRAPH_COND_ASSIGN_DEFAULT));
	memset(&c, 0, sizeof(c));
	c.type = CU_GRAPH_NODE_TYPE_CONDITIONAL;
	c.conditional.handle = handle;
	c.conditional.type = type;
	c.conditional.size = size;
	c.conditional.ctx = ctx;
	OK(cuGraphAddNode_v2(&node, graph, after, NULL, after != NULL, &c));
	TRUE(c.conditional.phGraph_out);
	for (unsigned int i = 0, by = 1; c.conditional.phGraph_out && i < size; i++, by *= 10) {
		void *params[] = { &p, &n, &by };
		CUDA_KERNEL_NODE_PARAMS k = {
			.func = add, .gridDimX = 1, .gridDimY = 1, .gridDimZ = 1,
			.blockDimX = WORDS, .blockDimY = 1, .blockDimZ = 1, .kernelParams = params,
		};

		TRUE(c.conditional.phGraph_out[i]);
		OK(cuGraphAddKernelNode_v2(&inner, c.conditional.phGraph_out[i], NULL, 0, &k));
		OK(cuGraphGetNodes(c.conditional.phGraph_out[i], NULL, &count));
		TRUE(count == 1);
	}
	return node;
}

/* What a launch of one such node adds. */
static unsigned int outcome(CUgraphConditionalNodeType type, unsigned int size, unsigned int value)
{
	unsigned int sum;
	CUgraphExec exec;
	CUgraph graph;

	OK(cuMemsetD32_v2(p, 0, WORDS));
	OK(cuGraphCreate(&graph, 0));
	conditional(graph, NULL, type, size, value);
	OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
	OK(cuGraphDestroy(graph));
	OK(cuGraphLaunch(exec, NULL));
	OK(cuStreamSynchronize(NULL));
	sum = value_at(p, WORDS - 1);
	OK(cuGraphExecDestroy(exec));
	return sum;
}

void conditionals(void)
{
	CUgraphNodeParams c;
	CUgraphNodeType type;
	CUgraphNode a, b, bad;
	CUgraphExec exec;
	CUgraph graph;

	OK(cuMemAlloc_v2(&p, 4 * WORDS));
	TRUE(outcome(CU_GRAPH_COND_TYPE_IF, 1, 1) == 1);
	TRUE(outcome(CU_GRAPH_COND_TYPE_IF, 1, 0) == 0);
	TRUE(outcome(CU_GRAPH_COND_TYPE_IF, 2, 0) == 10);
	TRUE(outcome(CU_GRAPH_COND_TYPE_WHILE, 1, 0) == 0);
	TRUE(outcome(CU_GRAPH_COND_TYPE_SWITCH, 3, 2) == 100);
	TRUE(outcome(CU_GRAPH_COND_TYPE_SWITCH, 3, 3) == 0);
	/* Two in one graph, one after the other. */
	OK(cuMemsetD32_v2(p, 0, WORDS));
	OK(cuGraphCreate(&graph, 0));
	a = conditional(graph, NULL, CU_GRAPH_COND_TYPE_IF, 1, 1);
	b = conditional(graph, &a, CU_GRAPH_COND_TYPE_SWITCH, 2, 1);
	OK(cuGraphNodeGetType(b, &type));
	TRUE(type == CU_GRAPH_NODE_TYPE_CONDITIONAL);
	OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
	OK(cuGraphLaunch(exec, NULL));
	OK(cuGraphLaunch(exec, NULL));
	OK(cuStreamSynchronize(NULL));
	TRUE(value_at(p, 0) == 22);
	OK(cuGraphExecDestroy(exec));
	memset(&c, 0, sizeof(c));
	c.type = CU_GRAPH_NODE_TYPE_CONDITIONAL;
	c.conditional.size = 1;
	c.conditional.ctx = ctx;
	IS(cuGraphAddNode_v2(&bad, graph, NULL, NULL, 0, &c), CUDA_ERROR_INVALID_VALUE);
	OK(cuGraphDestroy(graph));
	OK(cuMemFree_v2(p));
}
