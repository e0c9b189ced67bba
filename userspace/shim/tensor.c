// SPDX-License-Identifier: Apache-2.0
/* Tensor maps.  What their bits mean only the driver knows, so it encodes them. */
#include "client.h"
#include "shim.h"
#include "shim_calls.h"

_Static_assert(sizeof(CUtensorMap) == sizeof(vgpu_tensor_map), "wire");

static CUresult shape(vgpu_tensor_shape *s, cuuint32_t rank, const void *map, void *address,
		      const cuuint64_t *dim, const cuuint64_t *stride,
		      const cuuint32_t *element_stride)
{
	if (!map || !dim || !element_stride || !rank || rank > VG_TENSOR_RANK ||
	    (rank > 1 && !stride))
		return CUDA_ERROR_INVALID_VALUE;
	s->rank = rank;
	s->address = (uintptr_t)address;
	memcpy(s->dim, dim, rank * sizeof(*dim));
	if (rank > 1)
		memcpy(s->stride, stride, (rank - 1) * sizeof(*stride));
	memcpy(s->element_stride, element_stride, rank * sizeof(*element_stride));
	return CUDA_SUCCESS;
}

static CUresult encode(CUtensorMap *map, const vgpu_tensor_shape *s)
{
	vgpu_tensor_map made;
	CUresult r = vgw_vgpu_tensor_map(s, &made);

	if (!r)
		memcpy(map, &made, sizeof(made));
	return r;
}

CUresult vgh_cuTensorMapEncodeTiled(CUtensorMap *map, CUtensorMapDataType type, cuuint32_t rank,
				    void *address, const cuuint64_t *dim, const cuuint64_t *stride,
				    const cuuint32_t *box, const cuuint32_t *element_stride,
				    CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
				    CUtensorMapL2promotion promotion, CUtensorMapFloatOOBfill fill)
{
	vgpu_tensor_shape s = {
		.kind = 0, .type = type, .interleave = interleave, .swizzle = swizzle,
		.promotion = promotion, .fill = fill,
	};
	CUresult r = shape(&s, rank, map, address, dim, stride, element_stride);

	if (r || !box)
		return r ? r : CUDA_ERROR_INVALID_VALUE;
	memcpy(s.box, box, rank * sizeof(*box));
	return encode(map, &s);
}

CUresult vgh_cuTensorMapEncodeIm2col(CUtensorMap *map, CUtensorMapDataType type, cuuint32_t rank,
				     void *address, const cuuint64_t *dim,
				     const cuuint64_t *stride, const int *lower, const int *upper,
				     cuuint32_t channels, cuuint32_t pixels,
				     const cuuint32_t *element_stride,
				     CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
				     CUtensorMapL2promotion promotion,
				     CUtensorMapFloatOOBfill fill)
{
	vgpu_tensor_shape s = {
		.kind = 1, .type = type, .channels = channels, .pixels = pixels,
		.interleave = interleave, .swizzle = swizzle, .promotion = promotion, .fill = fill,
	};
	CUresult r = shape(&s, rank, map, address, dim, stride, element_stride);

	if (r || rank < 3 || !lower || !upper)
		return r ? r : CUDA_ERROR_INVALID_VALUE;
	memcpy(s.lower, lower, (rank - 2) * sizeof(*lower));
	memcpy(s.upper, upper, (rank - 2) * sizeof(*upper));
	return encode(map, &s);
}

CUresult vgh_cuTensorMapEncodeIm2colWide(CUtensorMap *map, CUtensorMapDataType type,
					 cuuint32_t rank, void *address, const cuuint64_t *dim,
					 const cuuint64_t *stride, int lower, int upper,
					 cuuint32_t channels, cuuint32_t pixels,
					 const cuuint32_t *element_stride,
					 CUtensorMapInterleave interleave,
					 CUtensorMapIm2ColWideMode mode, CUtensorMapSwizzle swizzle,
					 CUtensorMapL2promotion promotion,
					 CUtensorMapFloatOOBfill fill)
{
	vgpu_tensor_shape s = {
		.kind = 2, .type = type, .channels = channels, .pixels = pixels,
		.interleave = interleave, .mode = mode, .swizzle = swizzle, .promotion = promotion,
		.fill = fill, .lower = { lower }, .upper = { upper },
	};
	CUresult r = shape(&s, rank, map, address, dim, stride, element_stride);

	return r ? r : encode(map, &s);
}

CUresult vgh_cuTensorMapReplaceAddress(CUtensorMap *map, void *address)
{
	vgpu_tensor_map was, made;
	CUresult r;

	if (!map)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(&was, map, sizeof(was));
	r = vgw_vgpu_tensor_map_move(&was, (uintptr_t)address, &made);
	if (!r)
		memcpy(map, &made, sizeof(made));
	return r;
}
