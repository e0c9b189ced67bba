// SPDX-License-Identifier: Apache-2.0
/* Tensor maps: 128 bytes that the driver encodes and a kernel is given. */
#include <string.h>

#include "calls.h"
#include "vg_cuda.h"

CUresult vge_vgpu_tensor_map(struct vg_exec *x, const struct vg_req *rq,
			     const vgpu_tensor_shape *s, vgpu_tensor_map *made)
{
	void *address = (void *)(uintptr_t)s->address;
	CUtensorMap map;
	cuuint64_t dim[VG_TENSOR_RANK], stride[VG_TENSOR_RANK];
	CUresult r;

	(void)x;
	(void)rq;
	if (!s->rank || s->rank > VG_TENSOR_RANK)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(dim, s->dim, sizeof(dim));
	memcpy(stride, s->stride, sizeof(stride));
	memset(&map, 0, sizeof(map));
	switch (s->kind) {
	case 0:
		if (!cu.cuTensorMapEncodeTiled)
			return CUDA_ERROR_NOT_SUPPORTED;
		r = cu.cuTensorMapEncodeTiled(&map, s->type, s->rank, address, dim, stride, s->box,
					      s->element_stride, s->interleave, s->swizzle,
					      s->promotion, s->fill);
		break;
	case 1:
		if (!cu.cuTensorMapEncodeIm2col)
			return CUDA_ERROR_NOT_SUPPORTED;
		r = cu.cuTensorMapEncodeIm2col(&map, s->type, s->rank, address, dim, stride,
					       s->lower, s->upper, s->channels, s->pixels,
					       s->element_stride, s->interleave, s->swizzle,
					       s->promotion, s->fill);
		break;
	case 2:
		if (!cu.cuTensorMapEncodeIm2colWide)
			return CUDA_ERROR_NOT_SUPPORTED;
		r = cu.cuTensorMapEncodeIm2colWide(&map, s->type, s->rank, address, dim, stride,
						   s->lower[0], s->upper[0], s->channels,
						   s->pixels, s->element_stride, s->interleave,
						   s->mode, s->swizzle, s->promotion, s->fill);
		break;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
	memcpy(made, &map, sizeof(*made));
	return r;
}

CUresult vge_vgpu_tensor_map_move(struct vg_exec *x, const struct vg_req *rq,
				  const vgpu_tensor_map *was, uint64_t address,
				  vgpu_tensor_map *made)
{
	CUtensorMap map;
	CUresult r;

	(void)x;
	(void)rq;
	if (!cu.cuTensorMapReplaceAddress)
		return CUDA_ERROR_NOT_SUPPORTED;
	memcpy(&map, was, sizeof(map));
	r = cu.cuTensorMapReplaceAddress(&map, (void *)(uintptr_t)address);
	memcpy(made, &map, sizeof(*made));
	return r;
}
