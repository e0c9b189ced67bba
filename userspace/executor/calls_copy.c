// SPDX-License-Identifier: Apache-2.0
/*
 * Copies between the guest and the device.  The record and the arena are
 * pageable memory to the driver, which has taken the data when the call
 * returns; a stream that is being captured would keep only the address, so
 * there such a copy is refused.
 */
#include <string.h>

#include "calls.h"
#include "timing.h"
#include "vg_cuda.h"

CUresult vg_x_may_copy_pageable(CUstream s)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;

	if (s && cu.cuStreamIsCapturing && !cu.cuStreamIsCapturing(s, &status) &&
	    status != CU_STREAM_CAPTURE_STATUS_NONE)
		return CUDA_ERROR_NOT_SUPPORTED;
	return CUDA_SUCCESS;
}

static CUresult write(struct vg_exec *x, CUdeviceptr dst, CUstream s, const void *data,
		      size_t bytes)
{
	CUresult r;

	if (!cu.cuMemcpyHtoDAsync_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	vg_exec_before_move(x);
	r = vg_x_may_copy_pageable(s);
	if (!r)
		r = cu.cuMemcpyHtoDAsync_v2(dst, data, bytes, s);
	if (!r)
		vg_exec_moved(x, bytes, 0);
	return r;
}

static CUresult read(struct vg_exec *x, CUdeviceptr src, CUstream s, void *data, size_t bytes)
{
	void *page = bytes <= VG_X_SCRATCH ? vg_x_scratch() : NULL;
	CUresult r;

	if (!cu.cuMemcpyDtoHAsync_v2 || !cu.cuStreamSynchronize)
		return CUDA_ERROR_NOT_SUPPORTED;
	vg_exec_before_move(x);
	r = vg_x_may_copy_pageable(s);
	/* Into pageable memory it returns when the copy is complete. */
	if (!r)
		r = cu.cuMemcpyDtoHAsync_v2(page ? page : data, src, bytes, s);
	if (!r && (vg_timing_mark() || page))
		r = cu.cuStreamSynchronize(s);
	if (!r && page)
		memcpy(data, page, bytes);
	if (!r)
		vg_exec_moved(x, 0, bytes);
	return r;
}

CUresult vge_vgpu_write(struct vg_exec *x, const struct vg_req *rq, CUdeviceptr dst, CUstream s,
			unsigned int bytes, const void *data)
{
	(void)rq;
	return write(x, dst, s, data, bytes);
}

CUresult vge_vgpu_write_arena(struct vg_exec *x, const struct vg_req *rq, CUdeviceptr dst,
			      CUstream s, void *block, uint32_t bytes)
{
	(void)rq;
	return write(x, dst, s, block, bytes);
}

CUresult vge_vgpu_read(struct vg_exec *x, const struct vg_req *rq, CUdeviceptr src, CUstream s,
		       unsigned int bytes, void *data)
{
	(void)rq;
	return read(x, src, s, data, bytes);
}

CUresult vge_vgpu_read_arena(struct vg_exec *x, const struct vg_req *rq, CUdeviceptr src,
			     CUstream s, void *block, uint32_t bytes)
{
	(void)rq;
	return read(x, src, s, block, bytes);
}

/* -- boxes: two and three dimensions, arrays */

static bool product(uint64_t a, uint64_t b, uint64_t *out)
{
	return !__builtin_mul_overflow(a, b, out);
}

/* The guest's side of a box is packed in the arena: it must fit there. */
static bool box_fits(const vgpu_copy3d *c, uint32_t bytes)
{
	uint64_t n;

	return product(c->width, c->height, &n) && product(n, c->depth, &n) && n <= bytes;
}

static void device_source(CUDA_MEMCPY3D *p, const vgpu_copy3d *c)
{
	p->srcMemoryType = c->src_array ? CU_MEMORYTYPE_ARRAY : CU_MEMORYTYPE_DEVICE;
	p->srcDevice = c->src;
	p->srcArray = c->src_array;
	p->srcXInBytes = c->src_x;
	p->srcY = c->src_y;
	p->srcZ = c->src_z;
	p->srcLOD = c->src_lod;
	p->srcPitch = c->src_pitch;
	p->srcHeight = c->src_height;
}

static void device_target(CUDA_MEMCPY3D *p, const vgpu_copy3d *c)
{
	p->dstMemoryType = c->dst_array ? CU_MEMORYTYPE_ARRAY : CU_MEMORYTYPE_DEVICE;
	p->dstDevice = c->dst;
	p->dstArray = c->dst_array;
	p->dstXInBytes = c->dst_x;
	p->dstY = c->dst_y;
	p->dstZ = c->dst_z;
	p->dstLOD = c->dst_lod;
	p->dstPitch = c->dst_pitch;
	p->dstHeight = c->dst_height;
}

CUresult vge_vgpu_write3d(struct vg_exec *x, const struct vg_req *rq, const vgpu_copy3d *c,
			  CUstream s, void *block, uint32_t bytes)
{
	CUDA_MEMCPY3D p = {
		.srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = block, .srcPitch = c->width,
		.srcHeight = c->height, .WidthInBytes = c->width, .Height = c->height,
		.Depth = c->depth,
	};
	CUresult r;

	(void)rq;
	if (!cu.cuMemcpy3DAsync_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!box_fits(c, bytes))
		return CUDA_ERROR_INVALID_VALUE;
	device_target(&p, c);
	vg_exec_before_move(x);
	r = vg_x_may_copy_pageable(s);
	if (!r)
		r = cu.cuMemcpy3DAsync_v2(&p, s);
	if (!r)
		vg_exec_moved(x, c->width * c->height * c->depth, 0);
	return r;
}

CUresult vge_vgpu_read3d(struct vg_exec *x, const struct vg_req *rq, const vgpu_copy3d *c,
			 CUstream s, void *block, uint32_t bytes)
{
	CUDA_MEMCPY3D p = {
		.dstMemoryType = CU_MEMORYTYPE_HOST, .dstHost = block, .dstPitch = c->width,
		.dstHeight = c->height, .WidthInBytes = c->width, .Height = c->height,
		.Depth = c->depth,
	};
	CUresult r;

	(void)rq;
	if (!cu.cuMemcpy3DAsync_v2 || !cu.cuStreamSynchronize)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!box_fits(c, bytes))
		return CUDA_ERROR_INVALID_VALUE;
	device_source(&p, c);
	vg_exec_before_move(x);
	r = vg_x_may_copy_pageable(s);
	if (!r)
		r = cu.cuMemcpy3DAsync_v2(&p, s);
	if (!r) {
		vg_timing_mark();
		r = cu.cuStreamSynchronize(s);
	}
	if (!r)
		vg_exec_moved(x, 0, c->width * c->height * c->depth);
	return r;
}

CUDA_MEMCPY3D vg_x_device_copy(const vgpu_copy3d *c)
{
	CUDA_MEMCPY3D p = {
		.WidthInBytes = c->width, .Height = c->height, .Depth = c->depth,
	};

	device_source(&p, c);
	device_target(&p, c);
	return p;
}

CUresult vge_vgpu_copy3d_peer(struct vg_exec *x, const struct vg_req *rq, const vgpu_copy3d *c,
			      CUcontext to, CUcontext from, CUstream s)
{
	CUDA_MEMCPY3D p = vg_x_device_copy(c);
	CUDA_MEMCPY3D_PEER q = {
		.srcXInBytes = p.srcXInBytes, .srcY = p.srcY, .srcZ = p.srcZ, .srcLOD = p.srcLOD,
		.srcMemoryType = p.srcMemoryType, .srcDevice = p.srcDevice, .srcArray = p.srcArray,
		.srcContext = from, .srcPitch = p.srcPitch, .srcHeight = p.srcHeight,
		.dstXInBytes = p.dstXInBytes, .dstY = p.dstY, .dstZ = p.dstZ, .dstLOD = p.dstLOD,
		.dstMemoryType = p.dstMemoryType, .dstDevice = p.dstDevice, .dstArray = p.dstArray,
		.dstContext = to, .dstPitch = p.dstPitch, .dstHeight = p.dstHeight,
		.WidthInBytes = p.WidthInBytes, .Height = p.Height, .Depth = p.Depth,
	};

	(void)x;
	(void)rq;
	if (!cu.cuMemcpy3DPeerAsync)
		return CUDA_ERROR_NOT_SUPPORTED;
	return cu.cuMemcpy3DPeerAsync(&q, s);
}

/* Whether a side is memory of the guest's: by its start, since the driver has seen to the rest. */
static bool of_guest(CUarray array, uint64_t base)
{
	return !array && vg_x_registered(base, 1);
}

CUresult vge_vgpu_copy3d_device(struct vg_exec *x, const struct vg_req *rq, const vgpu_copy3d *c,
				CUstream s)
{
	CUDA_MEMCPY3D p = vg_x_device_copy(c);
	uint64_t bytes = c->width * c->height * c->depth;
	bool from = of_guest(c->src_array, c->src), to = of_guest(c->dst_array, c->dst);
	CUresult r;

	(void)rq;
	if (!cu.cuMemcpy3DAsync_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (from != to)
		vg_exec_before_move(x);
	r = cu.cuMemcpy3DAsync_v2(&p, s);
	if (!r && from != to) {
		vg_exec_moved(x, from ? bytes : 0, to ? bytes : 0);
		vg_exec_moved_direct(x, from ? bytes : 0, to ? bytes : 0);
	}
	return r;
}
