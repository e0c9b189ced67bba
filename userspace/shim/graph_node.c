// SPDX-License-Identifier: Apache-2.0
/* Nodes of graphs, type by type: making them, and changing them there or in an executable graph. */
#include <stdlib.h>

#include "client.h"
#include "graph.h"
#include "graph_stage.h"
#include "launch.h"
#include "shim_calls.h"

/* -- what is kept of a node */

static void release(struct vg_object *o)
{
	struct vg_node *n = o->data;

	if (n->holds)
		vg_object_orphans(o);
	free(n->got);
	free(n->bodies);
	free(n);
}

struct vg_node *vg_node(CUgraphNode node)
{
	struct vg_object *o = vg_object_get(node, VG_GRAPH_NODE);

	if (o && !o->data) {
		o->data = calloc(1, sizeof(struct vg_node));
		o->release = o->data ? release : NULL;
	}
	return o ? o->data : NULL;
}

void *vg_node_keep(CUgraphNode node, const void *data, size_t bytes)
{
	struct vg_node *n = vg_node(node);
	void *copy;

	if (!n)
		return NULL;
	if (n->got && n->got_bytes == bytes && !memcmp(n->got, data, bytes))
		return n->got;
	copy = malloc(bytes + !bytes);
	if (!copy)
		return NULL;
	if (bytes)
		memcpy(copy, data, bytes);
	free(n->got);
	n->got = copy;
	n->got_bytes = bytes;
	return copy;
}

/* -- kernels.  exec_id 0 means the graph itself. */

static CUresult exec_id(CUgraphExec exec, uint32_t *id)
{
	return vg_object_id(exec, VG_GRAPH_EXEC, id);
}

struct kernel {
	CUfunction function;
	vgpu_kernel_node launch;
	struct vg_params params;
};

static CUresult kernel_start(struct kernel *k, const CUDA_KERNEL_NODE_PARAMS *p)
{
	struct vg_function *f;
	struct vg_object *o;
	uint32_t ctx = 0;
	CUresult r;

	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	r = vg_context_ready();
	/* A CUfunction has a context of its own. */
	if (!r && !p->func && p->ctx)
		r = vg_object_id(p->ctx, VG_CONTEXT, &ctx);
	if (r)
		return r;
	k->function = p->func ? p->func : (CUfunction)p->kern;
	k->launch = (vgpu_kernel_node){
		.grid = { p->gridDimX, p->gridDimY, p->gridDimZ },
		.block = { p->blockDimX, p->blockDimY, p->blockDimZ },
		.shared = p->sharedMemBytes, .ctx = ctx,
	};
	o = vg_function_get(k->function);
	if (!o)
		return CUDA_ERROR_INVALID_HANDLE;
	r = vg_function_fetch(o, vg_current()->device, &f);
	if (!r)
		r = vg_params_pack(&k->params, &f->layout, p->kernelParams, p->extra);
	if (!r && k->params.bytes > 8192) {
		vg_params_free(&k->params);
		return vg_refuse("a kernel node with more than 8 KiB of parameters",
				 "not implemented");
	}
	return r;
}

CUresult vgh_cuGraphAddKernelNode_v2(CUgraphNode *node, CUgraph graph, const CUgraphNode *deps,
				     size_t count, const CUDA_KERNEL_NODE_PARAMS *p)
{
	struct kernel k;
	CUresult r = kernel_start(&k, p);

	if (r)
		return r;
	r = vgw_vgpu_graph_kernel_node(node, graph, deps, count, k.function, &k.launch,
				       k.params.bytes, k.params.block);
	vg_params_free(&k.params);
	if (!r && p->extra && vg_node(*node))
		vg_node(*node)->by_extra = true;
	return r;
}

static CUresult kernel_set(uint32_t id, CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS *p)
{
	struct kernel k;
	CUresult r = kernel_start(&k, p);

	if (r)
		return r;
	r = vgw_vgpu_graph_kernel_set(id, node, k.function, &k.launch, k.params.bytes,
				      k.params.block);
	vg_params_free(&k.params);
	if (!r && !id && vg_node(node))
		vg_node(node)->by_extra = p->extra != NULL;
	return r;
}

CUresult vgh_cuGraphKernelNodeSetParams_v2(CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS *p)
{
	return kernel_set(0, node, p);
}

CUresult vgh_cuGraphExecKernelNodeSetParams_v2(CUgraphExec exec, CUgraphNode node,
					       const CUDA_KERNEL_NODE_PARAMS *p)
{
	uint32_t id;
	CUresult r = exec_id(exec, &id);

	return r ? r : kernel_set(id, node, p);
}

static CUDA_KERNEL_NODE_PARAMS from_v1(const CUDA_KERNEL_NODE_PARAMS_v1 *p)
{
	return (CUDA_KERNEL_NODE_PARAMS){
		.func = p->func, .gridDimX = p->gridDimX, .gridDimY = p->gridDimY,
		.gridDimZ = p->gridDimZ, .blockDimX = p->blockDimX, .blockDimY = p->blockDimY,
		.blockDimZ = p->blockDimZ, .sharedMemBytes = p->sharedMemBytes,
		.kernelParams = p->kernelParams, .extra = p->extra,
	};
}

CUresult vgh_cuGraphAddKernelNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *deps,
				  size_t count, const CUDA_KERNEL_NODE_PARAMS_v1 *p)
{
	CUDA_KERNEL_NODE_PARAMS q;

	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	q = from_v1(p);
	return vgh_cuGraphAddKernelNode_v2(node, graph, deps, count, &q);
}

CUresult vgh_cuGraphKernelNodeSetParams(CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS_v1 *p)
{
	CUDA_KERNEL_NODE_PARAMS q;

	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	q = from_v1(p);
	return vgh_cuGraphKernelNodeSetParams_v2(node, &q);
}

CUresult vgh_cuGraphExecKernelNodeSetParams(CUgraphExec exec, CUgraphNode node,
					    const CUDA_KERNEL_NODE_PARAMS_v1 *p)
{
	CUDA_KERNEL_NODE_PARAMS q;

	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	q = from_v1(p);
	return vgh_cuGraphExecKernelNodeSetParams_v2(exec, node, &q);
}

static CUresult attribute(CUkernelNodeAttrID id, const void *value)
{
	if (!value || (unsigned int)id >= CU_LAUNCH_ATTRIBUTE_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	if (id == CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE)
		return vg_refuse("a kernel node that the device may update", "not implemented");
	return CUDA_SUCCESS;
}

CUresult vgh_cuGraphKernelNodeSetAttribute(CUgraphNode node, CUkernelNodeAttrID id,
					   const CUkernelNodeAttrValue *value)
{
	struct vgpu_attribute a = { .id = id };
	CUresult r = attribute(id, value);

	if (r)
		return r;
	memcpy(a.value, value, sizeof(a.value));
	return vgw_vgpu_graph_attribute_set(node, &a);
}

CUresult vgh_cuGraphKernelNodeGetAttribute(CUgraphNode node, CUkernelNodeAttrID id,
					   CUkernelNodeAttrValue *value)
{
	struct vgpu_attribute a;
	CUresult r = attribute(id, value);

	if (!r)
		r = vgw_vgpu_graph_attribute_get(node, id, &a);
	if (!r)
		memcpy(value, a.value, sizeof(*value));
	return r;
}

/* -- sets and copies */

static CUresult memset_start(vgpu_memset_node *m, const CUDA_MEMSET_NODE_PARAMS *p)
{
	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	*m = (vgpu_memset_node){
		.dst = p->dst, .pitch = p->pitch, .width = p->width, .height = p->height,
		.value = p->value, .element = p->elementSize,
	};
	return CUDA_SUCCESS;
}

CUresult vgh_cuGraphAddMemsetNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *deps,
				  size_t count, const CUDA_MEMSET_NODE_PARAMS *p, CUcontext ctx)
{
	vgpu_memset_node m;
	CUresult r = memset_start(&m, p);

	return r ? r : vgw_vgpu_graph_memset_node(node, graph, deps, count, &m, ctx);
}

CUresult vgh_cuGraphMemsetNodeSetParams(CUgraphNode node, const CUDA_MEMSET_NODE_PARAMS *p)
{
	vgpu_memset_node m;
	CUresult r = memset_start(&m, p);

	return r ? r : vgw_vgpu_graph_memset_set(0, node, &m, NULL);
}

CUresult vgh_cuGraphExecMemsetNodeSetParams(CUgraphExec exec, CUgraphNode node,
					    const CUDA_MEMSET_NODE_PARAMS *p, CUcontext ctx)
{
	vgpu_memset_node m;
	uint32_t id;
	CUresult r = memset_start(&m, p);

	if (!r)
		r = exec_id(exec, &id);
	return r ? r : vgw_vgpu_graph_memset_set(id, node, &m, ctx);
}

/* Whether a box of host memory is all mapped for the device, where its address is the same. */
static bool reached(const void *base, size_t x, size_t y, size_t z, size_t pitch, size_t rows,
		    const CUDA_MEMCPY3D *p)
{
	uint64_t last = 0, end;

	if (!base || !p->Height || !p->Depth)
		return false;
	if ((__builtin_mul_overflow(z + p->Depth - 1, rows, &last) ||
	     __builtin_add_overflow(last, y + p->Height - 1, &last) ||
	     __builtin_mul_overflow(last, pitch, &last)) ||
	    __builtin_add_overflow(x, p->WidthInBytes, &end) ||
	    __builtin_add_overflow(last, end, &end))
		return false;
	return vg_range_shared((uintptr_t)base, end);
}

/*
 * A node reads its host memory when the graph runs.  What the device reaches crosses as *c;
 * `staged`: what it does not is in *whole.
 */
static CUresult copy_start(vgpu_copy3d *c, const CUDA_MEMCPY3D *p, CUDA_MEMCPY3D *whole,
			   bool *staged)
{
	CUDA_MEMCPY3D q;
	CUresult r;

	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	q = *p;
	if (q.srcMemoryType == CU_MEMORYTYPE_UNIFIED)
		q.srcHost = (const void *)(uintptr_t)q.srcDevice;
	if (q.dstMemoryType == CU_MEMORYTYPE_UNIFIED)
		q.dstHost = (void *)(uintptr_t)q.dstDevice;
	if ((q.srcMemoryType == CU_MEMORYTYPE_HOST || q.srcMemoryType == CU_MEMORYTYPE_UNIFIED) &&
	    reached(q.srcHost, q.srcXInBytes, q.srcY, q.srcZ, q.srcPitch, q.srcHeight, p)) {
		q.srcMemoryType = CU_MEMORYTYPE_DEVICE;
		q.srcDevice = (uintptr_t)q.srcHost;
	}
	if ((q.dstMemoryType == CU_MEMORYTYPE_HOST || q.dstMemoryType == CU_MEMORYTYPE_UNIFIED) &&
	    reached(q.dstHost, q.dstXInBytes, q.dstY, q.dstZ, q.dstPitch, q.dstHeight, p)) {
		q.dstMemoryType = CU_MEMORYTYPE_DEVICE;
		q.dstDevice = (uintptr_t)q.dstHost;
	}
	r = vg_box(&q, c, staged);
	if (!r && *staged)
		r = vg_box_whole(&q, whole);
	if (!r && *staged)
		r = vg_box(whole, c, staged);
	return r;
}

CUresult vgh_cuGraphAddMemcpyNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *deps,
				  size_t count, const CUDA_MEMCPY3D *p, CUcontext ctx)
{
	CUDA_MEMCPY3D whole;
	vgpu_copy3d c;
	bool staged;
	CUresult r = copy_start(&c, p, &whole, &staged);

	if (r)
		return r;
	if (staged)
		return node ? vg_staged_add(node, graph, deps, count, &whole, ctx) :
			      CUDA_ERROR_INVALID_VALUE;
	return vgw_vgpu_graph_copy_node(node, graph, deps, count, &c, ctx);
}

/* exec: in the executable graph; NULL: in the graph. */
static CUresult copy_set(CUgraphExec exec, CUgraphNode node, const CUDA_MEMCPY3D *p, CUcontext ctx)
{
	CUDA_MEMCPY3D whole;
	vgpu_copy3d c;
	bool staged;
	uint32_t id = 0;
	CUresult r = copy_start(&c, p, &whole, &staged);

	if (!r && exec)
		r = exec_id(exec, &id);
	if (r)
		return r;
	if (!staged) {
		r = vgw_vgpu_graph_copy_set(id, node, &c, ctx);
		/* The driver refuses it of a node that is a child graph. */
		if (r != CUDA_ERROR_INVALID_VALUE || !vg_staged(node) || vg_box_whole(p, &whole))
			return r;
	}
	if (vg_staged(node))
		return vg_staged_set(exec, node, &whole, ctx);
	r = vgw_vgpu_graph_copy_get(node, &(vgpu_copy_got){ 0 });
	return r ? r : vg_refuse("to give a copy node pageable memory that had none",
				 "the driver's node cannot become one that stages");
}

CUresult vgh_cuGraphMemcpyNodeSetParams(CUgraphNode node, const CUDA_MEMCPY3D *p)
{
	return copy_set(NULL, node, p, NULL);
}

CUresult vgh_cuGraphExecMemcpyNodeSetParams(CUgraphExec exec, CUgraphNode node,
					    const CUDA_MEMCPY3D *p, CUcontext ctx)
{
	return exec ? copy_set(exec, node, p, ctx) : CUDA_ERROR_INVALID_VALUE;
}

CUresult vgh_cuGraphNodeGetType(CUgraphNode node, CUgraphNodeType *type)
{
	CUresult r = vgw_cuGraphNodeGetType(node, type);

	if (!r && *type == CU_GRAPH_NODE_TYPE_GRAPH && vg_staged(node))
		*type = CU_GRAPH_NODE_TYPE_MEMCPY;
	return r;
}

CUresult vgh_cuGraphNodeSetEnabled(CUgraphExec exec, CUgraphNode node, unsigned int on)
{
	CUresult r = vgw_cuGraphNodeSetEnabled(exec, node, on);

	if (r != CUDA_ERROR_INVALID_VALUE || !vg_staged(node))
		return r;
	return on ? CUDA_SUCCESS :
		    vg_refuse("cuGraphNodeSetEnabled of a copy of pageable memory",
			      "a child graph, which it is in the driver, cannot be disabled");
}

CUresult vgh_cuGraphNodeGetEnabled(CUgraphExec exec, CUgraphNode node, unsigned int *on)
{
	CUresult r = vgw_cuGraphNodeGetEnabled(exec, node, on);

	if (r != CUDA_ERROR_INVALID_VALUE || !on || !vg_object_get(exec, VG_GRAPH_EXEC) ||
	    !vg_staged(node))
		return r;
	*on = 1;
	return CUDA_SUCCESS;
}

/* -- graphs in graphs */

static CUgraph adopt_graph(uint32_t id, CUgraphNode node)
{
	struct vg_object *o = vg_object_get(node, VG_GRAPH_NODE);
	struct vg_node *n = vg_node(node);

	if (!n)
		return NULL;
	n->holds = true;
	return (CUgraph)vg_object_adopt(id, VG_GRAPH, o->id);
}

CUresult vgh_cuGraphChildGraphNodeGetGraph(CUgraphNode node, CUgraph *graph)
{
	unsigned int id;
	CUresult r;

	if (!graph || vg_staged(node))
		return CUDA_ERROR_INVALID_VALUE;
	r = vgw_vgpu_graph_child(node, &id);
	if (r)
		return r;
	*graph = adopt_graph(id, node);
	return *graph ? CUDA_SUCCESS : CUDA_ERROR_UNKNOWN;
}

CUresult vgh_cuGraphExecChildGraphNodeSetParams(CUgraphExec exec, CUgraphNode node, CUgraph child)
{
	return vg_staged(node) ? CUDA_ERROR_INVALID_VALUE :
				 vgw_cuGraphExecChildGraphNodeSetParams(exec, node, child);
}

CUresult vg_node_add_child(CUgraphNode *node, CUgraph graph, const CUgraphNode *deps, size_t count,
			   const CUDA_CHILD_GRAPH_NODE_PARAMS *p)
{
	struct vg_object *child = vg_object_get(p->graph, VG_GRAPH);
	struct vg_node *n;
	uint32_t id;
	CUresult r;

	if (p->ownership == CU_GRAPH_CHILD_GRAPH_OWNERSHIP_CLONE)
		return vgw_cuGraphAddChildGraphNode(node, graph, deps, count, p->graph);
	if (p->ownership != CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE || (child && child->owner))
		return CUDA_ERROR_INVALID_VALUE;
	r = vg_object_id(p->graph, VG_GRAPH, &id);
	if (!r)
		r = vgw_vgpu_graph_child_move(node, graph, deps, count, id);
	if (r)
		return r;
	vg_object_own(child, vg_object_get(*node, VG_GRAPH_NODE)->id);
	n = vg_node(*node);
	if (n)
		n->holds = true;
	return CUDA_SUCCESS;
}

CUresult vg_node_add_conditional(CUgraphNode *node, CUgraph graph, const CUgraphNode *deps,
				 size_t count, CUDA_CONDITIONAL_NODE_PARAMS *p)
{
	uint32_t ids[256];
	struct vg_node *n;
	CUresult r;

	if (!p->size)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgw_vgpu_graph_conditional(node, graph, deps, count, p->handle, p->type, p->ctx,
				       p->size, ids);
	if (r)
		return r;
	n = vg_node(*node);
	if (n)
		n->bodies = calloc(p->size, sizeof(*n->bodies));
	if (!n || !n->bodies)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (unsigned int i = 0; i < p->size; i++) {
		n->bodies[i] = adopt_graph(ids[i], *node);
		if (!n->bodies[i])
			return CUDA_ERROR_UNKNOWN;
	}
	p->phGraph_out = n->bodies;
	return CUDA_SUCCESS;
}

/* -- batches of memory operations */

CUresult vgh_cuGraphAddBatchMemOpNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *deps,
				      size_t count, const CUDA_BATCH_MEM_OP_NODE_PARAMS *p)
{
	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	return vgw_vgpu_graph_values_node(node, graph, deps, count, p->ctx, p->flags, p->count,
					  p->paramArray);
}

CUresult vgh_cuGraphBatchMemOpNodeSetParams(CUgraphNode node,
					    const CUDA_BATCH_MEM_OP_NODE_PARAMS *p)
{
	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	return vgw_vgpu_graph_values_set(0, node, p->ctx, p->flags, p->count, p->paramArray);
}

CUresult vgh_cuGraphExecBatchMemOpNodeSetParams(CUgraphExec exec, CUgraphNode node,
						const CUDA_BATCH_MEM_OP_NODE_PARAMS *p)
{
	uint32_t id;
	CUresult r = exec_id(exec, &id);

	if (r || !p)
		return r ? r : CUDA_ERROR_INVALID_VALUE;
	return vgw_vgpu_graph_values_set(id, node, p->ctx, p->flags, p->count, p->paramArray);
}

/* -- allocations */

CUresult vgh_cuGraphAddMemAllocNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *deps,
				    size_t count, CUDA_MEM_ALLOC_NODE_PARAMS *p)
{
	CUdeviceptr dptr;
	CUresult r;

	if (!p || !p->bytesize || p->accessDescCount > 64)
		return CUDA_ERROR_INVALID_VALUE;
	if (p->poolProps.location.type != CU_MEM_LOCATION_TYPE_DEVICE ||
	    p->poolProps.allocType != CU_MEM_ALLOCATION_TYPE_PINNED ||
	    p->poolProps.handleTypes != CU_MEM_HANDLE_TYPE_NONE)
		return vg_refuse("a graph's allocation of memory that is not one device's",
				 "not implemented");
	if (!vg_device(p->poolProps.location.id))
		return CUDA_ERROR_INVALID_VALUE;
	r = vgw_vgpu_graph_alloc_node(node, graph, deps, count, p->poolProps.location.id,
				      p->bytesize, p->accessDescCount, p->accessDescs, &dptr);
	if (r)
		return r;
	p->dptr = dptr;
	return vg_range_add_graph(dptr, p->bytesize, p->poolProps.location.id);
}
