// SPDX-License-Identifier: Apache-2.0
/* Nodes of any type, their edges, and graphs within graphs. */
#include <stdatomic.h>
#include <string.h>

#include "driver_test.h"

#define WORDS 256u

static _Atomic int ran;

static void count_up(void *by)
{
	atomic_fetch_add(&ran, (int)(long)by);
}

/* A graph in which every node does something that shows. */
struct work {
	CUdeviceptr p, q;
	unsigned int n, by;
	void *params[3];
	CUevent a, b;
	CUstreamBatchMemOpParams op;
	CUgraph graph;
	CUgraphNode set, kernel, copy, host, record, wait, empty, values;
};

static CUgraphNodeParams of_type(CUgraphNodeType type)
{
	CUgraphNodeParams p;

	memset(&p, 0, sizeof(p));
	p.type = type;
	return p;
}

static CUgraphNodeParams set_params(struct work *w, unsigned int value)
{
	CUgraphNodeParams p = of_type(CU_GRAPH_NODE_TYPE_MEMSET);

	p.memset.dst = w->p;
	p.memset.value = value;
	p.memset.elementSize = 4;
	p.memset.width = WORDS;
	p.memset.height = 1;
	p.memset.ctx = ctx;
	return p;
}

static CUgraphNodeParams kernel_params(struct work *w)
{
	CUgraphNodeParams p = of_type(CU_GRAPH_NODE_TYPE_KERNEL);

	w->params[0] = &w->p;
	w->params[1] = &w->n;
	w->params[2] = &w->by;
	p.kernel.func = add;
	p.kernel.gridDimX = p.kernel.gridDimY = p.kernel.gridDimZ = 1;
	p.kernel.blockDimX = WORDS;
	p.kernel.blockDimY = p.kernel.blockDimZ = 1;
	p.kernel.kernelParams = w->params;
	return p;
}

static CUgraphNodeParams copy_params(CUdeviceptr to, CUdeviceptr from)
{
	CUgraphNodeParams p = of_type(CU_GRAPH_NODE_TYPE_MEMCPY);
	CUDA_MEMCPY3D *c = &p.memcpy.copyParams;

	p.memcpy.copyCtx = ctx;
	c->srcMemoryType = c->dstMemoryType = CU_MEMORYTYPE_DEVICE;
	c->srcDevice = from;
	c->dstDevice = to;
	c->srcPitch = c->dstPitch = c->WidthInBytes = 4 * WORDS;
	c->srcHeight = c->dstHeight = c->Height = c->Depth = 1;
	return p;
}

static CUgraphNodeParams host_params(long by)
{
	CUgraphNodeParams p = of_type(CU_GRAPH_NODE_TYPE_HOST);

	p.host.fn = count_up;
	p.host.userData = (void *)by;
	return p;
}

static CUgraphNodeParams value_params(struct work *w, unsigned int value)
{
	CUgraphNodeParams p = of_type(CU_GRAPH_NODE_TYPE_BATCH_MEM_OP);

	memset(&w->op, 0, sizeof(w->op));
	w->op.writeValue.operation = CU_STREAM_MEM_OP_WRITE_VALUE_32;
	w->op.writeValue.address = w->q + 4 * WORDS;
	w->op.writeValue.value = value;
	p.memOp.ctx = ctx;
	p.memOp.count = 1;
	p.memOp.paramArray = &w->op;
	return p;
}

static void begin(struct work *w)
{
	memset(w, 0, sizeof(*w));
	w->n = WORDS;
	w->by = 4;
	OK(cuMemAlloc_v2(&w->p, 4 * WORDS));
	OK(cuMemAlloc_v2(&w->q, 4 * WORDS + 64));
	OK(cuMemsetD32_v2(w->q, 0, WORDS + 16));
	OK(cuEventCreate(&w->a, 0));
	OK(cuEventCreate(&w->b, 0));
	OK(cuGraphCreate(&w->graph, 0));
}

static void end(struct work *w)
{
	OK(cuGraphDestroy(w->graph));
	OK(cuEventDestroy_v2(w->a));
	OK(cuEventDestroy_v2(w->b));
	OK(cuMemFree_v2(w->p));
	OK(cuMemFree_v2(w->q));
}

static void build(struct work *w)
{
	CUgraphNodeParams p = set_params(w, 100);
	CUgraphNode both[2];

	OK(cuGraphAddNode_v2(&w->set, w->graph, NULL, NULL, 0, &p));
	p = kernel_params(w);
	OK(cuGraphAddNode_v2(&w->kernel, w->graph, &w->set, NULL, 1, &p));
	p = copy_params(w->q, w->p);
	OK(cuGraphAddNode_v2(&w->copy, w->graph, &w->kernel, NULL, 1, &p));
	p = host_params(1);
	OK(cuGraphAddNode(&w->host, w->graph, &w->kernel, 1, &p));
	p = of_type(CU_GRAPH_NODE_TYPE_EVENT_RECORD);
	p.eventRecord.event = w->a;
	OK(cuGraphAddNode_v2(&w->record, w->graph, &w->copy, NULL, 1, &p));
	p = of_type(CU_GRAPH_NODE_TYPE_WAIT_EVENT);
	p.eventWait.event = w->a;
	OK(cuGraphAddNode_v2(&w->wait, w->graph, &w->record, NULL, 1, &p));
	p = of_type(CU_GRAPH_NODE_TYPE_EMPTY);
	both[0] = w->host;
	both[1] = w->wait;
	OK(cuGraphAddNode_v2(&w->empty, w->graph, both, NULL, 2, &p));
	p = value_params(w, 77);
	OK(cuGraphAddNode_v2(&w->values, w->graph, &w->empty, NULL, 1, &p));
}

static void types(struct work *w)
{
	CUgraphNodeType type;
	size_t count;

	OK(cuGraphNodeGetType(w->set, &type));
	TRUE(type == CU_GRAPH_NODE_TYPE_MEMSET);
	OK(cuGraphNodeGetType(w->kernel, &type));
	TRUE(type == CU_GRAPH_NODE_TYPE_KERNEL);
	OK(cuGraphNodeGetType(w->wait, &type));
	TRUE(type == CU_GRAPH_NODE_TYPE_WAIT_EVENT);
	OK(cuGraphNodeGetType(w->values, &type));
	TRUE(type == CU_GRAPH_NODE_TYPE_BATCH_MEM_OP);
	OK(cuGraphGetNodes(w->graph, NULL, &count));
	TRUE(count == 8);
	OK(cuGraphGetEdges_v2(w->graph, NULL, NULL, NULL, &count));
	TRUE(count == 8);
}

void graph_nodes(void)
{
	CUgraphNodeParams p;
	CUgraphExec exec;
	struct work w;
	CUgraphNode bad;

	begin(&w);
	build(&w);
	types(&w);
	OK(cuGraphInstantiateWithFlags(&exec, w.graph, 0));
	atomic_store(&ran, 0);
	OK(cuGraphLaunch(exec, NULL));
	OK(cuStreamSynchronize(NULL));
	TRUE(value_at(w.q, WORDS - 1) == 104 && value_at(w.q, WORDS) == 77);
	TRUE(atomic_load(&ran) == 1);
	OK(cuEventQuery(w.a));
	/* In the executable graph: the graph itself stays as it was. */
	p = set_params(&w, 10);
	OK(cuGraphExecNodeSetParams(exec, w.set, &p));
	w.by = 50;
	p = kernel_params(&w);
	OK(cuGraphExecNodeSetParams(exec, w.kernel, &p));
	p = host_params(10);
	OK(cuGraphExecNodeSetParams(exec, w.host, &p));
	p = of_type(CU_GRAPH_NODE_TYPE_EVENT_RECORD);
	p.eventRecord.event = w.b;
	OK(cuGraphExecNodeSetParams(exec, w.record, &p));
	p = value_params(&w, 78);
	OK(cuGraphExecNodeSetParams(exec, w.values, &p));
	OK(cuGraphLaunch(exec, NULL));
	OK(cuStreamSynchronize(NULL));
	TRUE(value_at(w.q, WORDS - 1) == 60 && value_at(w.q, WORDS) == 78);
	TRUE(atomic_load(&ran) == 11);
	OK(cuGraphExecDestroy(exec));
	/* In the graph: the next executable graph has it. */
	w.by = 7;
	p = kernel_params(&w);
	OK(cuGraphNodeSetParams(w.kernel, &p));
	p = set_params(&w, 20);
	OK(cuGraphNodeSetParams(w.set, &p));
	p = host_params(100);
	OK(cuGraphNodeSetParams(w.host, &p));
	p = value_params(&w, 79);
	OK(cuGraphNodeSetParams(w.values, &p));
	IS(cuGraphNodeSetParams(w.kernel, &p), CUDA_ERROR_INVALID_VALUE);
	OK(cuGraphInstantiateWithFlags(&exec, w.graph, 0));
	OK(cuGraphLaunch(exec, NULL));
	OK(cuStreamSynchronize(NULL));
	TRUE(value_at(w.q, 0) == 27 && value_at(w.q, WORDS) == 79);
	TRUE(atomic_load(&ran) == 111);
	OK(cuGraphExecDestroy(exec));
	p = of_type((CUgraphNodeType)99);
	IS(cuGraphAddNode_v2(&bad, w.graph, NULL, NULL, 0, &p), CUDA_ERROR_INVALID_VALUE);
	IS(cuGraphAddNode_v2(&bad, w.graph, NULL, NULL, 0, NULL), CUDA_ERROR_INVALID_VALUE);
	end(&w);
}

/* An edge between kernels that says when the second may start. */
void graph_edges(void)
{
	CUgraphEdgeData programmatic = { .from_port = CU_GRAPH_KERNEL_NODE_PORT_PROGRAMMATIC,
					 .type = CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC };
	CUgraphEdgeData data[4];
	CUgraphNode first, second, from[4], to[4];
	CUgraphNodeParams p;
	struct work w;
	size_t count = 4;

	begin(&w);
	p = kernel_params(&w);
	OK(cuGraphAddNode_v2(&first, w.graph, NULL, NULL, 0, &p));
	OK(cuGraphAddNode_v2(&second, w.graph, &first, &programmatic, 1, &p));
	memset(data, 0xff, sizeof(data));
	OK(cuGraphGetEdges_v2(w.graph, from, to, data, &count));
	TRUE(count == 1 && from[0] == first && to[0] == second);
	TRUE(!memcmp(&data[0], &programmatic, sizeof(programmatic)));
	count = 4;
	IS(cuGraphGetEdges(w.graph, from, to, &count), CUDA_ERROR_LOSSY_QUERY);
	count = 4;
	OK(cuGraphNodeGetDependencies_v2(second, from, data, &count));
	TRUE(count == 1 && data[0].type == CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC);
	OK(cuGraphRemoveDependencies_v2(w.graph, &first, &second, &programmatic, 1));
	OK(cuGraphGetEdges_v2(w.graph, NULL, NULL, NULL, &count));
	TRUE(count == 0);
	end(&w);
}

/* An update that does not fit names the node that is in its way. */
void graph_update(void)
{
	CUgraphExecUpdateResultInfo info;
	CUgraphExecUpdateResult result;
	CUgraphNodeParams p;
	CUgraphNode node, at = NULL;
	CUgraphExec exec;
	CUgraph other;
	struct work w;

	begin(&w);
	p = set_params(&w, 1);
	OK(cuGraphAddNode_v2(&node, w.graph, NULL, NULL, 0, &p));
	OK(cuGraphInstantiateWithFlags(&exec, w.graph, 0));
	OK(cuGraphCreate(&other, 0));
	p = kernel_params(&w);
	OK(cuGraphAddNode_v2(&node, other, NULL, NULL, 0, &p));
	memset(&info, 0, sizeof(info));
	IS(cuGraphExecUpdate_v2(exec, other, &info), CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
	TRUE(info.result == CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED);
	TRUE(info.errorNode == node);
	IS(cuGraphExecUpdate(exec, other, &at, &result), CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
	TRUE(result == CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED && at == node);
	OK(cuGraphExecUpdate_v2(exec, w.graph, &info));
	TRUE(info.result == CU_GRAPH_EXEC_UPDATE_SUCCESS && !info.errorNode);
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphDestroy(other));
	end(&w);
}

void graph_children(void)
{
	CUgraphNodeParams p = of_type(CU_GRAPH_NODE_TYPE_GRAPH);
	CUgraph parent, inner, clone;
	CUgraphNode node, moved, found;
	CUgraphNode list[8];
	CUgraphExec exec;
	struct work w;
	size_t count;

	begin(&w);
	build(&w);
	OK(cuGraphClone(&clone, w.graph));
	OK(cuGraphNodeFindInClone(&found, w.kernel, clone));
	TRUE(found != w.kernel);
	IS(cuGraphNodeFindInClone(&found, w.kernel, w.graph), CUDA_ERROR_INVALID_VALUE);
	OK(cuGraphCreate(&parent, 0));
	p.graph.graph = w.graph;
	OK(cuGraphAddNode_v2(&node, parent, NULL, NULL, 0, &p));
	OK(cuGraphChildGraphNodeGetGraph(node, &inner));
	TRUE(inner != w.graph);
	OK(cuGraphGetNodes(inner, NULL, &count));
	TRUE(count == 8);
	OK(cuGraphInstantiateWithFlags(&exec, parent, 0));
	OK(cuGraphLaunch(exec, NULL));
	TRUE(value_at(w.q, 3) == 104);
	/* Of the same shape, with another kernel parameter. */
	w.by = 9;
	p = kernel_params(&w);
	OK(cuGraphNodeFindInClone(&found, w.kernel, clone));
	OK(cuGraphNodeSetParams(found, &p));
	p = of_type(CU_GRAPH_NODE_TYPE_GRAPH);
	p.graph.graph = clone;
	OK(cuGraphExecNodeSetParams(exec, node, &p));
	OK(cuGraphLaunch(exec, NULL));
	TRUE(value_at(w.q, 3) == 109);
	OK(cuGraphExecDestroy(exec));
	/* Moved, it is the parent's, and its handle goes on naming it. */
	p.graph.ownership = CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE;
	OK(cuGraphAddNode_v2(&moved, parent, &node, NULL, 1, &p));
	OK(cuGraphChildGraphNodeGetGraph(moved, &inner));
	TRUE(inner == clone);
	count = 8;
	OK(cuGraphGetNodes(inner, list, &count));
	TRUE(count == 8);
	OK(cuGraphInstantiateWithFlags(&exec, parent, 0));
	OK(cuGraphLaunch(exec, NULL));
	TRUE(value_at(w.q, 3) == 109);
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphDestroy(parent));
	end(&w);
}
