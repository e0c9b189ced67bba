// SPDX-License-Identifier: Apache-2.0
/*
 * What a node was given.  The host's driver is asked each time, for it knows of
 * nodes that a capture or a clone made, too; ids become handles, and what the
 * answer points to is kept with the node.
 */
#include <stdlib.h>

#include "client.h"
#include "graph.h"
#include "graph_stage.h"
#include "shim_calls.h"

#define PART 2048u			/* of vgpu_graph_kernel_get */
#define OPS 64u				/* of vgpu_graph_values_get */
#define DESCS 64u			/* of vgpu_graph_alloc_get */
#define PARAMS_MAX 65536u

static void *by_id(uint32_t id, enum vg_kind kind)
{
	return id ? vg_object_by_id(id, kind) : NULL;
}

/* -- kernels */

static CUresult fetch(CUgraphNode node, struct vgpu_kernel_got *got, uint8_t **block)
{
	struct vgpu_kernel_got part;
	CUresult r;

	*block = NULL;
	r = vgw_vgpu_graph_kernel_get(node, 0, 0, got, NULL);
	if (r || !got->bytes)
		return r;
	if (got->bytes > PARAMS_MAX)
		return CUDA_ERROR_UNKNOWN;
	*block = malloc(got->bytes + PART);
	if (!*block)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (uint32_t at = 0; at < got->bytes && !r; at += PART)
		r = vgw_vgpu_graph_kernel_get(node, at, PART, &part, *block + at);
	return r;
}

static CUresult functions(const struct vgpu_kernel_got *got, CUDA_KERNEL_NODE_PARAMS *p)
{
	p->kern = by_id(got->kernel, VG_KERNEL);
	p->func = NULL;
	if (got->of_kernel)
		return vgh_cuKernelGetFunction(&p->func, by_id(got->function, VG_KERNEL));
	p->func = by_id(got->function, VG_FUNCTION);
	return p->func || p->kern ? CUDA_SUCCESS : CUDA_ERROR_UNKNOWN;
}

/* Parameters in the form in which they were set, in memory that is the node's. */
static CUresult parameters(CUgraphNode node, const uint8_t *block, size_t bytes,
			   CUDA_KERNEL_NODE_PARAMS *p)
{
	CUfunction function = p->func ? p->func : (CUfunction)p->kern;
	struct vg_object *o = vg_function_get(function);
	struct vg_node *n = vg_node(node);
	const struct vg_layout *l;
	struct vg_function *f;
	size_t pointers, total;
	uint8_t *from, *kept;
	CUresult r;

	p->kernelParams = p->extra = NULL;
	if (!bytes)
		return CUDA_SUCCESS;
	if (!o || !n)
		return CUDA_ERROR_UNKNOWN;
	r = vg_function_fetch(o, vg_current()->device, &f);
	if (r)
		return r;
	l = &f->layout;
	/* The function first, so that what is kept is told apart by it, then the block. */
	pointers = 16 + (bytes + 7) / 8 * 8;
	total = pointers + (l->params + 6) * sizeof(void *);
	from = calloc(1, total);
	if (!from)
		return CUDA_ERROR_OUT_OF_MEMORY;
	memcpy(from, &function, sizeof(function));
	memcpy(from + 8, &bytes, sizeof(bytes));
	memcpy(from + 16, block, bytes);
	/* The pointers are filled in below, and are the same each time. */
	if (n->got && n->got_bytes == total && !memcmp(n->got, from, pointers)) {
		kept = n->got;
	} else {
		free(n->got);
		n->got = kept = from;
		n->got_bytes = total;
		from = NULL;
	}
	free(from);
	if (n->by_extra || !l->known) {
		void **extra = (void **)(void *)(kept + pointers);

		extra[0] = CU_LAUNCH_PARAM_BUFFER_POINTER;
		extra[1] = kept + 16;
		extra[2] = CU_LAUNCH_PARAM_BUFFER_SIZE;
		extra[3] = kept + 8;
		extra[4] = CU_LAUNCH_PARAM_END;
		p->extra = extra;
		return CUDA_SUCCESS;
	}
	p->kernelParams = (void **)(void *)(kept + pointers);
	for (unsigned int i = 0; i < l->params; i++) {
		if ((size_t)l->offset[i] + l->size[i] > bytes)
			return CUDA_ERROR_UNKNOWN;
		p->kernelParams[i] = kept + 16 + l->offset[i];
	}
	return CUDA_SUCCESS;
}

CUresult vgh_cuGraphKernelNodeGetParams_v2(CUgraphNode node, CUDA_KERNEL_NODE_PARAMS *p)
{
	struct vgpu_kernel_got got;
	uint8_t *block;
	CUresult r;

	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	r = fetch(node, &got, &block);
	if (!r) {
		*p = (CUDA_KERNEL_NODE_PARAMS){
			.gridDimX = got.node.grid[0], .gridDimY = got.node.grid[1],
			.gridDimZ = got.node.grid[2], .blockDimX = got.node.block[0],
			.blockDimY = got.node.block[1], .blockDimZ = got.node.block[2],
			.sharedMemBytes = got.node.shared, .ctx = by_id(got.node.ctx, VG_CONTEXT),
		};
		r = functions(&got, p);
	}
	if (!r)
		r = parameters(node, block, got.bytes, p);
	free(block);
	return r;
}

CUresult vgh_cuGraphKernelNodeGetParams(CUgraphNode node, CUDA_KERNEL_NODE_PARAMS_v1 *p)
{
	CUDA_KERNEL_NODE_PARAMS q;
	CUresult r;

	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgh_cuGraphKernelNodeGetParams_v2(node, &q);
	if (!r && !q.func)
		r = vgh_cuKernelGetFunction(&q.func, q.kern);
	if (r)
		return r;
	*p = (CUDA_KERNEL_NODE_PARAMS_v1){
		.func = q.func, .gridDimX = q.gridDimX, .gridDimY = q.gridDimY,
		.gridDimZ = q.gridDimZ, .blockDimX = q.blockDimX, .blockDimY = q.blockDimY,
		.blockDimZ = q.blockDimZ, .sharedMemBytes = q.sharedMemBytes,
		.kernelParams = q.kernelParams, .extra = q.extra,
	};
	return CUDA_SUCCESS;
}

/* -- the other types */

CUresult vgh_cuGraphMemsetNodeGetParams(CUgraphNode node, CUDA_MEMSET_NODE_PARAMS *p)
{
	vgpu_memset_node m;
	CUresult r;

	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgw_vgpu_graph_memset_get(node, &m);
	if (!r)
		*p = (CUDA_MEMSET_NODE_PARAMS){
			.dst = m.dst, .pitch = m.pitch, .value = m.value,
			.elementSize = m.element, .width = m.width, .height = m.height,
		};
	return r;
}

/* Page-locked memory of this process went to the driver by its device address. */
static bool is_host(unsigned int type, uint64_t address)
{
	struct vg_range range;

	return type == CU_MEMORYTYPE_HOST ||
	       (type == CU_MEMORYTYPE_DEVICE && vg_range_find(address, &range) &&
		!vg_range_on_device(&range) && range.kind != VG_RANGE_MANAGED);
}

static CUresult staged(CUgraphNode node, CUDA_MEMCPY3D *p)
{
	CUresult r = vg_staged_get(node, p);

	if (r)
		return r;
	if (p->srcMemoryType != CU_MEMORYTYPE_HOST && is_host(p->srcMemoryType, p->srcDevice)) {
		p->srcMemoryType = CU_MEMORYTYPE_HOST;
		p->srcHost = (const void *)(uintptr_t)p->srcDevice;
		p->srcDevice = 0;
	}
	if (p->dstMemoryType != CU_MEMORYTYPE_HOST && is_host(p->dstMemoryType, p->dstDevice)) {
		p->dstMemoryType = CU_MEMORYTYPE_HOST;
		p->dstHost = (void *)(uintptr_t)p->dstDevice;
		p->dstDevice = 0;
	}
	return CUDA_SUCCESS;
}

CUresult vgh_cuGraphMemcpyNodeGetParams(CUgraphNode node, CUDA_MEMCPY3D *p)
{
	vgpu_copy_got g;
	CUresult r;

	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgw_vgpu_graph_copy_get(node, &g);
	if (r == CUDA_ERROR_INVALID_VALUE && vg_staged(node))
		return staged(node, p);
	if (r)
		return r;
	*p = (CUDA_MEMCPY3D){
		.srcXInBytes = g.src_x, .srcY = g.src_y, .srcZ = g.src_z, .srcLOD = g.src_lod,
		.srcMemoryType = g.src_type, .srcDevice = g.src,
		.srcArray = by_id(g.src_array, VG_ARRAY), .srcPitch = g.src_pitch,
		.srcHeight = g.src_height,
		.dstXInBytes = g.dst_x, .dstY = g.dst_y, .dstZ = g.dst_z, .dstLOD = g.dst_lod,
		.dstMemoryType = g.dst_type, .dstDevice = g.dst,
		.dstArray = by_id(g.dst_array, VG_ARRAY), .dstPitch = g.dst_pitch,
		.dstHeight = g.dst_height,
		.WidthInBytes = g.width, .Height = g.height, .Depth = g.depth,
	};
	if (is_host(g.src_type, g.src)) {
		p->srcMemoryType = CU_MEMORYTYPE_HOST;
		p->srcHost = (const void *)(uintptr_t)g.src;
		p->srcDevice = 0;
	}
	if (is_host(g.dst_type, g.dst)) {
		p->dstMemoryType = CU_MEMORYTYPE_HOST;
		p->dstHost = (void *)(uintptr_t)g.dst;
		p->dstDevice = 0;
	}
	return CUDA_SUCCESS;
}

static CUresult event(CUgraphNode node, unsigned int waits, CUevent *out)
{
	unsigned int id;
	CUresult r;

	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgw_vgpu_graph_event_get(node, waits, &id);
	if (!r)
		*out = by_id(id, VG_EVENT);
	return r;
}

CUresult vgh_cuGraphEventRecordNodeGetEvent(CUgraphNode node, CUevent *out)
{
	return event(node, 0, out);
}

CUresult vgh_cuGraphEventWaitNodeGetEvent(CUgraphNode node, CUevent *out)
{
	return event(node, 1, out);
}

CUresult vgh_cuGraphBatchMemOpNodeGetParams(CUgraphNode node, CUDA_BATCH_MEM_OP_NODE_PARAMS *p)
{
	CUstreamBatchMemOpParams ops[256 + OPS];
	unsigned int ctx, flags, n = 0, more;
	CUresult r;

	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgw_vgpu_graph_values_get(node, 0, OPS, &ctx, &flags, &n, ops);
	if (r)
		return r;
	if (n > 256)
		return CUDA_ERROR_UNKNOWN;
	for (unsigned int at = OPS; at < n && !r; at += OPS)
		r = vgw_vgpu_graph_values_get(node, at, OPS, &ctx, &flags, &more, ops + at);
	if (r)
		return r;
	*p = (CUDA_BATCH_MEM_OP_NODE_PARAMS){
		.ctx = by_id(ctx, VG_CONTEXT), .count = n, .flags = flags,
		.paramArray = vg_node_keep(node, ops, n * sizeof(*ops)),
	};
	return p->paramArray ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult vgh_cuGraphMemAllocNodeGetParams(CUgraphNode node, CUDA_MEM_ALLOC_NODE_PARAMS *p)
{
	CUmemAccessDesc access[DESCS];
	unsigned int n;
	uint64_t bytes;
	CUdeviceptr dptr;
	CUdevice dev;
	CUresult r;

	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgw_vgpu_graph_alloc_get(node, &dev, &bytes, &dptr, &n, DESCS, access);
	if (r)
		return r;
	if (n > DESCS)
		return CUDA_ERROR_UNKNOWN;
	*p = (CUDA_MEM_ALLOC_NODE_PARAMS){
		.poolProps = {
			.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
			.location = { .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = dev },
		},
		.accessDescCount = n, .bytesize = bytes, .dptr = dptr,
	};
	if (n) {
		p->accessDescs = vg_node_keep(node, access, n * sizeof(*access));
		if (!p->accessDescs)
			return CUDA_ERROR_OUT_OF_MEMORY;
	}
	return CUDA_SUCCESS;
}
