// SPDX-License-Identifier: Apache-2.0
/* What the driver says of a graph's nodes, with the guest's ids in place of its handles. */
#include <string.h>

#include "calls.h"
#include "vg_cuda.h"

/* The id of a handle of the driver's, or 0: of what the guest has never seen, it can have none. */
static uint32_t known(struct vg_exec *x, enum vg_kind kind, const void *handle)
{
	uint32_t id;

	return handle && vg_handle_id_of(vg_exec_handles(x), kind, (uintptr_t)handle, &id) ? id : 0;
}

/* -- kernels */

/*
 * A node made of a CUkernel may have the CUfunction that the driver made of it
 * for a context, which the guest need not have asked for.  To ask a kernel for its
 * function loads it, so names are compared first.
 */
static void name_function(struct vg_exec *x, const CUDA_KERNEL_NODE_PARAMS *p, vgpu_kernel_got *got)
{
	const char *name = NULL, *other;
	CUfunction f;
	uint64_t v;

	got->kernel = known(x, VG_KERNEL, p->kern);
	got->function = known(x, VG_FUNCTION, p->func);
	if (got->function || !p->func)
		return;
	got->function = known(x, VG_KERNEL, p->func);
	if (got->function || !cu.cuKernelGetFunction || !cu.cuFuncGetName || !cu.cuKernelGetName ||
	    cu.cuFuncGetName(&name, p->func))
		return;
	for (uint32_t id = 0; !got->function && vg_x_next(x, VG_KERNEL, &id, &v);) {
		if (cu.cuKernelGetName(&other, (CUkernel)(uintptr_t)v) || strcmp(name, other))
			continue;
		if (cu.cuKernelGetFunction(&f, (CUkernel)(uintptr_t)v) || f != p->func)
			continue;
		got->function = id;
		got->of_kernel = 1;
	}
}

static bool parameter(const CUDA_KERNEL_NODE_PARAMS *p, size_t i, size_t *offset, size_t *size)
{
	if (p->func && !cu.cuFuncGetParamInfo(p->func, i, offset, size))
		return true;
	return p->kern && !cu.cuKernelGetParamInfo(p->kern, i, offset, size);
}

/* Copy to `out` what of [at, at + n) lies in [first, first + room). */
static void window(uint8_t *out, size_t first, size_t room, const void *from, size_t at, size_t n)
{
	size_t lo = at > first ? at : first;
	size_t hi = at + n < first + room ? at + n : first + room;

	if (lo < hi)
		memcpy(out + (lo - first), (const uint8_t *)from + (lo - at), hi - lo);
}

/* Parameters as one block, however the node has them; its length. */
static CUresult gather(const CUDA_KERNEL_NODE_PARAMS *p, size_t first, size_t room, uint8_t *out,
		       unsigned int *bytes)
{
	const void *block = NULL;
	size_t n = 0, offset, size;

	if (p->extra) {
		for (unsigned int i = 0; i < 8 && p->extra[i] != CU_LAUNCH_PARAM_END; i += 2) {
			if (p->extra[i] == CU_LAUNCH_PARAM_BUFFER_POINTER)
				block = p->extra[i + 1];
			else if (p->extra[i] == CU_LAUNCH_PARAM_BUFFER_SIZE)
				n = *(size_t *)p->extra[i + 1];
		}
		if (n && !block)
			return CUDA_ERROR_UNKNOWN;
		window(out, first, room, block, 0, n);
	} else if (p->kernelParams) {
		if (!cu.cuFuncGetParamInfo || !cu.cuKernelGetParamInfo)
			return CUDA_ERROR_NOT_SUPPORTED;
		for (size_t i = 0; parameter(p, i, &offset, &size); i++) {
			window(out, first, room, p->kernelParams[i], offset, size);
			if (offset + size > n)
				n = offset + size;
		}
	}
	*bytes = n;
	return CUDA_SUCCESS;
}

CUresult vge_vgpu_graph_kernel_get(struct vg_exec *x, const struct vg_req *rq, CUgraphNode node,
				   unsigned int first, unsigned int room, vgpu_kernel_got *got,
				   void *params)
{
	CUDA_KERNEL_NODE_PARAMS p = { 0 };
	CUresult r;

	(void)rq;
	if (!cu.cuGraphKernelNodeGetParams_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = cu.cuGraphKernelNodeGetParams_v2(node, &p);
	if (r)
		return r;
	got->node = (vgpu_kernel_node){
		.grid = { p.gridDimX, p.gridDimY, p.gridDimZ },
		.block = { p.blockDimX, p.blockDimY, p.blockDimZ },
		.shared = p.sharedMemBytes, .ctx = known(x, VG_CONTEXT, p.ctx),
	};
	name_function(x, &p, got);
	return gather(&p, first, room, params, &got->bytes);
}

/* -- the other types */

CUresult vge_vgpu_graph_memset_get(struct vg_exec *x, const struct vg_req *rq, CUgraphNode node,
				   vgpu_memset_node *set)
{
	CUDA_MEMSET_NODE_PARAMS p = { 0 };
	CUresult r;

	(void)x;
	(void)rq;
	if (!cu.cuGraphMemsetNodeGetParams)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = cu.cuGraphMemsetNodeGetParams(node, &p);
	*set = (vgpu_memset_node){
		.dst = p.dst, .pitch = p.pitch, .width = p.width, .height = p.height,
		.value = p.value, .element = p.elementSize,
	};
	return r;
}

CUresult vge_vgpu_graph_copy_get(struct vg_exec *x, const struct vg_req *rq, CUgraphNode node,
				 vgpu_copy_got *got)
{
	CUDA_MEMCPY3D p = { 0 };
	CUresult r;

	(void)rq;
	if (!cu.cuGraphMemcpyNodeGetParams)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = cu.cuGraphMemcpyNodeGetParams(node, &p);
	if (r)
		return r;
	*got = (vgpu_copy_got){
		.src = p.srcDevice, .src_array = known(x, VG_ARRAY, p.srcArray),
		.src_type = p.srcMemoryType, .src_x = p.srcXInBytes, .src_y = p.srcY,
		.src_z = p.srcZ, .src_lod = p.srcLOD, .src_pitch = p.srcPitch,
		.src_height = p.srcHeight,
		.dst = p.dstDevice, .dst_array = known(x, VG_ARRAY, p.dstArray),
		.dst_type = p.dstMemoryType, .dst_x = p.dstXInBytes, .dst_y = p.dstY,
		.dst_z = p.dstZ, .dst_lod = p.dstLOD, .dst_pitch = p.dstPitch,
		.dst_height = p.dstHeight,
		.width = p.WidthInBytes, .height = p.Height, .depth = p.Depth,
	};
	/* Host memory that a node can have is the guest's, mapped here at the same address. */
	if (p.srcMemoryType == CU_MEMORYTYPE_HOST)
		got->src = (uintptr_t)p.srcHost;
	if (p.dstMemoryType == CU_MEMORYTYPE_HOST)
		got->dst = (uintptr_t)p.dstHost;
	return CUDA_SUCCESS;
}

CUresult vge_vgpu_graph_event_get(struct vg_exec *x, const struct vg_req *rq, CUgraphNode node,
				  unsigned int waits, unsigned int *id)
{
	CUresult (*get)(CUgraphNode, CUevent *);
	CUevent event = NULL;
	CUresult r;

	(void)rq;
	get = waits ? cu.cuGraphEventWaitNodeGetEvent : cu.cuGraphEventRecordNodeGetEvent;
	if (!get)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = get(node, &event);
	*id = r ? 0 : known(x, VG_EVENT, event);
	return r;
}

CUresult vge_vgpu_graph_values_get(struct vg_exec *x, const struct vg_req *rq, CUgraphNode node,
				   unsigned int first, unsigned int room, unsigned int *ctx,
				   unsigned int *flags, unsigned int *n,
				   CUstreamBatchMemOpParams *ops)
{
	CUDA_BATCH_MEM_OP_NODE_PARAMS p = { 0 };
	CUresult r;

	(void)rq;
	if (!cu.cuGraphBatchMemOpNodeGetParams)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = cu.cuGraphBatchMemOpNodeGetParams(node, &p);
	if (r)
		return r;
	*ctx = known(x, VG_CONTEXT, p.ctx);
	*flags = p.flags;
	*n = p.count;
	for (unsigned int i = 0; i < room && first < p.count && i < p.count - first; i++)
		ops[i] = p.paramArray[first + i];
	return CUDA_SUCCESS;
}

/* -- attributes of kernel nodes */

CUresult vge_vgpu_graph_attribute_get(struct vg_exec *x, const struct vg_req *rq, CUgraphNode node,
				      unsigned int id, vgpu_attribute *value)
{
	CUkernelNodeAttrValue v = { 0 };
	CUresult r;

	(void)x;
	(void)rq;
	if (!cu.cuGraphKernelNodeGetAttribute || !vg_x_attribute_plain(id))
		return CUDA_ERROR_NOT_SUPPORTED;
	r = cu.cuGraphKernelNodeGetAttribute(node, id, &v);
	value->id = id;
	memcpy(value->value, &v, sizeof(value->value));
	return r;
}

CUresult vge_vgpu_graph_attribute_set(struct vg_exec *x, const struct vg_req *rq, CUgraphNode node,
				      const vgpu_attribute *value)
{
	CUkernelNodeAttrValue v;

	(void)x;
	(void)rq;
	if (!cu.cuGraphKernelNodeSetAttribute || !vg_x_attribute_plain(value->id))
		return CUDA_ERROR_NOT_SUPPORTED;
	memcpy(&v, value->value, sizeof(v));
	return cu.cuGraphKernelNodeSetAttribute(node, value->id, &v);
}
