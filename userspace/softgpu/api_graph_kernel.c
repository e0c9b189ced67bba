// SPDX-License-Identifier: Apache-2.0
/* Kernel nodes of graphs. */
#include <stdlib.h>
#include <string.h>

#include "graph.h"

/* A node's own copy of its parameters: room for a block, and for pointers into it. */
static bool own_params(CUgraphNode n, const CUDA_KERNEL_NODE_PARAMS *p, void *block, size_t bytes,
		       void **pointers, int npointers)
{
	if (!block || !pointers) {
		free(block);
		free(pointers);
		return false;
	}
	free(n->kernel.block);
	free(n->kernel.pointers);
	n->kernel.params = *p;
	n->kernel.block = block;
	n->kernel.bytes = bytes;
	n->kernel.pointers = pointers;
	n->kernel.npointers = npointers;
	n->kernel.extra[0] = CU_LAUNCH_PARAM_BUFFER_POINTER;
	n->kernel.extra[1] = block;
	n->kernel.extra[2] = CU_LAUNCH_PARAM_BUFFER_SIZE;
	n->kernel.extra[3] = &n->kernel.bytes;
	n->kernel.extra[4] = CU_LAUNCH_PARAM_END;
	n->kernel.params.kernelParams = p->extra ? NULL : pointers;
	n->kernel.params.extra = p->extra ? n->kernel.extra : NULL;
	return true;
}

static CUresult keep_params(CUgraphNode n, const CUDA_KERNEL_NODE_PARAMS *p, struct sg_func *fn)
{
	char *block = calloc(1, fn->param_bytes + 16);
	void **pointers = calloc(fn->nparams + 1, sizeof(*pointers));
	CUresult rc = block ? sg_gather(fn, block, p->kernelParams, p->extra) :
			      CUDA_ERROR_OUT_OF_MEMORY;

	if (rc) {
		free(block);
		free(pointers);
		return rc;
	}
	for (int i = 0; pointers && i < fn->nparams; i++)
		pointers[i] = block + fn->params[i].offset;
	return own_params(n, p, block, fn->param_bytes, pointers, fn->nparams) ?
		CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult copy_params(CUgraphNode to, CUgraphNode from)
{
	char *block = malloc(from->kernel.bytes + 16), *old = from->kernel.block;
	void **pointers = calloc(from->kernel.npointers + 1, sizeof(*pointers));

	if (block)
		memcpy(block, old, from->kernel.bytes + 16);
	for (int i = 0; pointers && block && i < from->kernel.npointers; i++)
		pointers[i] = block + ((char *)from->kernel.pointers[i] - old);
	return own_params(to, &from->kernel.params, block, from->kernel.bytes, pointers,
			  from->kernel.npointers) ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult sg_node_set_kernel(CUgraphNode n, const CUDA_KERNEL_NODE_PARAMS *p)
{
	const unsigned int grid[3] = { p->gridDimX, p->gridDimY, p->gridDimZ };
	const unsigned int block[3] = { p->blockDimX, p->blockDimY, p->blockDimZ };
	CUfunction f;
	CUresult rc;

	SG_ENTER(ctx);
	rc = sg_function_get(ctx, p->func ? p->func : (CUfunction)p->kern, &f);
	if (!rc)
		rc = sg_check_shape(f, grid, block, p->sharedMemBytes);
	return rc ? rc : keep_params(n, p, f->fn);
}

SG_API CUresult cuGraphAddKernelNode_v2(CUgraphNode *out, CUgraph g, const CUgraphNode *deps,
					size_t ndeps, const CUDA_KERNEL_NODE_PARAMS *p)
{
	CUresult rc = p ? sg_node_new(g, deps, ndeps, CU_GRAPH_NODE_TYPE_KERNEL, out) :
			  CUDA_ERROR_INVALID_VALUE;

	if (rc)
		return rc;
	rc = sg_node_set_kernel(*out, p);
	if (rc)
		sg_node_remove(*out);
	return rc;
}

SG_API CUresult cuGraphKernelNodeGetParams_v2(CUgraphNode n, CUDA_KERNEL_NODE_PARAMS *p)
{
	if (!sg_node_of(n, CU_GRAPH_NODE_TYPE_KERNEL) || !p)
		return CUDA_ERROR_INVALID_VALUE;
	*p = n->kernel.params;
	return CUDA_SUCCESS;
}

SG_API CUresult cuGraphKernelNodeSetParams_v2(CUgraphNode n, const CUDA_KERNEL_NODE_PARAMS *p)
{
	if (!sg_node_of(n, CU_GRAPH_NODE_TYPE_KERNEL) || !p)
		return CUDA_ERROR_INVALID_VALUE;
	return sg_node_set_kernel(n, p);
}

/* Attributes of a node that was given none have the values that a launch has. */
SG_API CUresult cuGraphKernelNodeGetAttribute(CUgraphNode n, CUkernelNodeAttrID id,
					      CUkernelNodeAttrValue *value)
{
	if (!sg_node_of(n, CU_GRAPH_NODE_TYPE_KERNEL) || !value ||
	    (unsigned int)id >= CU_LAUNCH_ATTRIBUTE_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	memset(value, 0, sizeof(*value));
	if (n->kernel.attrs & 1u << id)
		*value = n->kernel.attr[id];
	return CUDA_SUCCESS;
}

SG_API CUresult cuGraphKernelNodeSetAttribute(CUgraphNode n, CUkernelNodeAttrID id,
					      const CUkernelNodeAttrValue *value)
{
	if (!sg_node_of(n, CU_GRAPH_NODE_TYPE_KERNEL) || !value)
		return CUDA_ERROR_INVALID_VALUE;
	switch (id) {
	case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
	case CU_LAUNCH_ATTRIBUTE_COOPERATIVE:
	case CU_LAUNCH_ATTRIBUTE_PRIORITY:
	case CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
	case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
	case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
	case CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
		break;
	default:
		return CUDA_ERROR_NOT_SUPPORTED;
	}
	if (!n->kernel.attr)
		n->kernel.attr = calloc(CU_LAUNCH_ATTRIBUTE_MAX, sizeof(*n->kernel.attr));
	if (!n->kernel.attr)
		return CUDA_ERROR_OUT_OF_MEMORY;
	n->kernel.attr[id] = *value;
	n->kernel.attrs |= 1u << id;
	return CUDA_SUCCESS;
}

static CUresult copy_attributes(CUgraphNode to, CUgraphNode from)
{
	if (!from->kernel.attrs)
		return CUDA_SUCCESS;
	if (!to->kernel.attr)
		to->kernel.attr = calloc(CU_LAUNCH_ATTRIBUTE_MAX, sizeof(*to->kernel.attr));
	if (!to->kernel.attr)
		return CUDA_ERROR_OUT_OF_MEMORY;
	memcpy(to->kernel.attr, from->kernel.attr,
	       CU_LAUNCH_ATTRIBUTE_MAX * sizeof(*to->kernel.attr));
	to->kernel.attrs = from->kernel.attrs;
	return CUDA_SUCCESS;
}

SG_API CUresult cuGraphKernelNodeCopyAttributes(CUgraphNode to, CUgraphNode from)
{
	if (!sg_node_of(to, CU_GRAPH_NODE_TYPE_KERNEL) ||
	    !sg_node_of(from, CU_GRAPH_NODE_TYPE_KERNEL))
		return CUDA_ERROR_INVALID_VALUE;
	return copy_attributes(to, from);
}

/* Of a clone or an update, which need no context. */
CUresult sg_node_copy_kernel(CUgraphNode to, CUgraphNode from)
{
	CUresult rc = copy_params(to, from);

	return rc ? rc : copy_attributes(to, from);
}
