// SPDX-License-Identifier: Apache-2.0
/*
 * Nodes of graphs: making them, changing them there or in an executable graph,
 * and what the driver says of them, with the guest's ids in place of its handles.
 */
#include <string.h>

#include "calls.h"
#include "vg_cuda.h"

/* exec_id 0 means the graph itself. */
CUresult vg_x_graph_exec(struct vg_exec *x, uint32_t id, CUgraphExec *exec)
{
	uint64_t v = 0;

	if (id && !vg_handle_get(vg_exec_handles(x), id, VG_GRAPH_EXEC, &v))
		return CUDA_ERROR_INVALID_VALUE;
	*exec = (CUgraphExec)(uintptr_t)v;
	return CUDA_SUCCESS;
}

/* A node of a graph keeps what it is given; one of an executable graph was counted with that. */
static CUresult set_counts(struct vg_exec *x, uint32_t exec_id, uint32_t node, uint64_t bytes)
{
	return exec_id || vg_handle_weigh_at_least(vg_exec_handles(x), node, VG_GRAPH_NODE, bytes) ?
		       CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

struct kernel {
	CUDA_KERNEL_NODE_PARAMS node;
	size_t bytes;
	void *extra[5];
};

/* A kernel that names its context goes as what it is, any other as a function. */
static CUresult kernel_node(struct vg_exec *x, struct kernel *k, uint32_t id, CUfunction f,
			    const vgpu_kernel_node *l, unsigned int bytes, const void *params)
{
	uint64_t ctx, kernel;

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
	if (!l->ctx || !vg_handle_get(vg_exec_handles(x), id, VG_KERNEL, &kernel))
		return CUDA_SUCCESS;
	if (!vg_handle_get(vg_exec_handles(x), l->ctx, VG_CONTEXT, &ctx))
		return vg_wrong_handle(VG_CONTEXT);
	k->node.func = NULL;
	k->node.kern = (CUkernel)(uintptr_t)kernel;
	k->node.ctx = (CUcontext)(uintptr_t)ctx;
	return CUDA_SUCCESS;
}

CUresult vge_vgpu_graph_kernel_node(struct vg_exec *x, const struct vg_req *rq, CUgraphNode *node,
				    CUgraph graph, const CUgraphNode *deps, uint64_t count,
				    CUfunction f, const vgpu_kernel_node *launch,
				    unsigned int bytes, const void *params)
{
	const struct vg_rq_vgpu_graph_kernel_node *q = rq->payload;
	struct kernel k;
	CUresult r;

	if (!cu.cuGraphAddKernelNode_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = kernel_node(x, &k, q->f, f, launch, bytes, params);
	if (!r && !vg_x_stacks_fit(x, q->f, f))
		r = CUDA_ERROR_OUT_OF_MEMORY;
	return r ? r : cu.cuGraphAddKernelNode_v2(node, graph, deps, count, &k.node);
}

CUresult vge_vgpu_graph_kernel_set(struct vg_exec *x, const struct vg_req *rq, unsigned int exec_id,
				   CUgraphNode node, CUfunction f, const vgpu_kernel_node *launch,
				   unsigned int bytes, const void *params)
{
	const struct vg_rq_vgpu_graph_kernel_set *q = rq->payload;
	CUgraphExec exec;
	struct kernel k;
	CUresult r = vg_x_graph_exec(x, exec_id, &exec);

	if (!r)
		r = kernel_node(x, &k, q->f, f, launch, bytes, params);
	if (!r)
		r = set_counts(x, exec_id, q->node, rq->bytes);
	if (!r && !vg_x_stacks_fit(x, q->f, f))
		r = CUDA_ERROR_OUT_OF_MEMORY;
	if (r)
		return r;
	vg_x_launched_not(exec_id, false);
	if (!cu.cuGraphExecKernelNodeSetParams_v2 || !cu.cuGraphKernelNodeSetParams_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
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
	CUresult r = vg_x_graph_exec(x, exec_id, &exec);

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
	CUresult r = vg_x_graph_exec(x, exec_id, &exec);

	(void)rq;
	if (r)
		return r;
	if (!cu.cuGraphExecMemcpyNodeSetParams || !cu.cuGraphMemcpyNodeSetParams)
		return CUDA_ERROR_NOT_SUPPORTED;
	return exec ? cu.cuGraphExecMemcpyNodeSetParams(exec, node, &p, ctx) :
		      cu.cuGraphMemcpyNodeSetParams(node, &p);
}

/* -- child graphs */

CUresult vge_vgpu_graph_child(struct vg_exec *x, const struct vg_req *rq, CUgraphNode node,
			      unsigned int *id)
{
	const struct vg_rq_vgpu_graph_child *q = rq->payload;
	CUgraph child = NULL;
	CUresult r;

	if (!cu.cuGraphChildGraphNodeGetGraph)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = cu.cuGraphChildGraphNodeGetGraph(node, &child);
	if (r)
		return r;
	*id = vg_x_told(x, VG_GRAPH, vg_x_mint(x, VG_GRAPH, (uintptr_t)child, q->node));
	return *id ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

/* The child is the node's from here on: it goes with it. */
CUresult vge_vgpu_graph_child_move(struct vg_exec *x, const struct vg_req *rq, CUgraphNode *node,
				   CUgraph graph, const CUgraphNode *deps, uint64_t count,
				   unsigned int child)
{
	const struct vg_rq_vgpu_graph_child_move *q = rq->payload;
	CUgraphNodeParams p = { .type = CU_GRAPH_NODE_TYPE_GRAPH };
	struct vg_handles *h = vg_exec_handles(x);
	uint32_t owner = 0;
	uint64_t v;
	CUresult r;

	if (!cu.cuGraphAddNode_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!vg_handle_get(h, child, VG_GRAPH, &v))
		return CUDA_ERROR_INVALID_VALUE;
	/* While it is captured, the capture has it. */
	if (vg_x_captures_within(x, child))
		return CUDA_ERROR_ILLEGAL_STATE;
	/* What is a part already stays one; nor can a graph hold what holds it. */
	vg_handle_get_owner(h, child, VG_GRAPH, &owner);
	if (owner || !vg_handle_set_owner(h, child, VG_GRAPH, q->node))
		return CUDA_ERROR_INVALID_VALUE;
	p.graph.graph = (CUgraph)(uintptr_t)v;
	p.graph.ownership = CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE;
	r = cu.cuGraphAddNode_v2(node, graph, deps, NULL, count, &p);
	if (r)
		vg_handle_set_owner(h, child, VG_GRAPH, 0);
	return r;
}

/* -- batches of memory operations */

CUresult vge_vgpu_graph_values_node(struct vg_exec *x, const struct vg_req *rq, CUgraphNode *node,
				    CUgraph graph, const CUgraphNode *deps, uint64_t count,
				    CUcontext ctx, unsigned int flags, unsigned int n,
				    const CUstreamBatchMemOpParams *ops)
{
	CUDA_BATCH_MEM_OP_NODE_PARAMS p = { ctx, n, (CUstreamBatchMemOpParams *)ops, flags };

	(void)x;
	(void)rq;
	if (!cu.cuGraphAddBatchMemOpNode)
		return CUDA_ERROR_NOT_SUPPORTED;
	return cu.cuGraphAddBatchMemOpNode(node, graph, deps, count, &p);
}

CUresult vge_vgpu_graph_values_set(struct vg_exec *x, const struct vg_req *rq, unsigned int exec_id,
				   CUgraphNode node, CUcontext ctx, unsigned int flags,
				   unsigned int n, const CUstreamBatchMemOpParams *ops)
{
	CUDA_BATCH_MEM_OP_NODE_PARAMS p = { ctx, n, (CUstreamBatchMemOpParams *)ops, flags };
	const struct vg_rq_vgpu_graph_values_set *q = rq->payload;
	CUgraphExec exec;
	CUresult r = vg_x_graph_exec(x, exec_id, &exec);

	if (!r)
		r = set_counts(x, exec_id, q->node, rq->bytes);
	if (r)
		return r;
	if (!cu.cuGraphExecBatchMemOpNodeSetParams || !cu.cuGraphBatchMemOpNodeSetParams)
		return CUDA_ERROR_NOT_SUPPORTED;
	return exec ? cu.cuGraphExecBatchMemOpNodeSetParams(exec, node, &p) :
		      cu.cuGraphBatchMemOpNodeSetParams(node, &p);
}
