// SPDX-License-Identifier: Apache-2.0
/* Tensor maps: what a program says of a tensor, for bulk copies of boxes of it. */
#include <string.h>

#include "api.h"
#include "tensor_map.h"

#define SHARED_MAX 232448	/* bytes of shared memory that a block may have */

_Static_assert(sizeof(struct sg_tensor_map) <= sizeof(CUtensorMap), "CUDA's size");

static const struct {
	uint8_t bytes;
	bool is_float;
} types[] = {
	[CU_TENSOR_MAP_DATA_TYPE_UINT8] = { 1, false },
	[CU_TENSOR_MAP_DATA_TYPE_UINT16] = { 2, false },
	[CU_TENSOR_MAP_DATA_TYPE_UINT32] = { 4, false },
	[CU_TENSOR_MAP_DATA_TYPE_INT32] = { 4, false },
	[CU_TENSOR_MAP_DATA_TYPE_UINT64] = { 8, false },
	[CU_TENSOR_MAP_DATA_TYPE_INT64] = { 8, false },
	[CU_TENSOR_MAP_DATA_TYPE_FLOAT16] = { 2, true },
	[CU_TENSOR_MAP_DATA_TYPE_FLOAT32] = { 4, true },
	[CU_TENSOR_MAP_DATA_TYPE_FLOAT64] = { 8, true },
	[CU_TENSOR_MAP_DATA_TYPE_BFLOAT16] = { 2, true },
	[CU_TENSOR_MAP_DATA_TYPE_FLOAT32_FTZ] = { 4, true },
	[CU_TENSOR_MAP_DATA_TYPE_TFLOAT32] = { 4, true },
	[CU_TENSOR_MAP_DATA_TYPE_TFLOAT32_FTZ] = { 4, true },
};

/* The limits are those that cuda.h gives for cuTensorMapEncodeTiled. */
SG_API CUresult cuTensorMapEncodeTiled(CUtensorMap *map, CUtensorMapDataType type,
				       cuuint32_t rank, void *address, const cuuint64_t *dim,
				       const cuuint64_t *stride, const cuuint32_t *box,
				       const cuuint32_t *step, CUtensorMapInterleave interleave,
				       CUtensorMapSwizzle swizzle,
				       CUtensorMapL2promotion promotion,
				       CUtensorMapFloatOOBfill fill)
{
	struct sg_tensor_map m = { .magic = SG_TENSOR_MAGIC, .rank = rank,
				   .address = (uint64_t)(uintptr_t)address };
	uint32_t row;

	SG_ENTER(ctx);
	(void)ctx;
	if (!map || (uintptr_t)map % 64 || !dim || !box || !step || !rank ||
	    rank > SG_TENSOR_RANK || (rank > 1 && !stride))
		return CUDA_ERROR_INVALID_VALUE;
	/* From here on NVIDIA's driver writes to the map, also where it refuses (580.159). */
	memset(map, 0, sizeof(*map));
	if ((unsigned int)type > CU_TENSOR_MAP_DATA_TYPE_16U6_ALIGN16B || m.address % 16 ||
	    (unsigned int)interleave > CU_TENSOR_MAP_INTERLEAVE_32B ||
	    (unsigned int)swizzle > CU_TENSOR_MAP_SWIZZLE_128B_ATOM_64B ||
	    (unsigned int)promotion > CU_TENSOR_MAP_L2_PROMOTION_L2_256B ||
	    (unsigned int)fill > CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA)
		return CUDA_ERROR_INVALID_VALUE;
	if ((size_t)type >= sizeof(types) / sizeof(types[0]) ||
	    interleave != CU_TENSOR_MAP_INTERLEAVE_NONE || swizzle > CU_TENSOR_MAP_SWIZZLE_128B)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (fill && !types[type].is_float)
		return CUDA_ERROR_INVALID_VALUE;
	m.bytes = m.stride[0] = types[type].bytes;
	m.fill_nan = fill;
	m.swizzle = swizzle ? 16 << swizzle : 0;
	row = box[0] * m.bytes;
	if (row % 16 || (m.swizzle && row > m.swizzle))
		return CUDA_ERROR_INVALID_VALUE;
	for (cuuint32_t i = 0; i < rank; i++) {
		if (!dim[i] || dim[i] > 1ull << 32 || !box[i] || box[i] > 256 || !step[i] ||
		    step[i] > 8)
			return CUDA_ERROR_INVALID_VALUE;
		if (i && (stride[i - 1] % 16 || stride[i - 1] >= 1ull << 40))
			return CUDA_ERROR_INVALID_VALUE;
		m.dim[i] = dim[i];
		m.step[i] = i ? step[i] : 1;	/* the first is ignored where nothing interleaves */
		m.box[i] = (box[i] + m.step[i] - 1) / m.step[i];
		if (i)
			m.stride[i] = stride[i - 1];
	}
	if (sg_tensor_box_bytes(&m) > SHARED_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(map, &m, sizeof(m));
	return CUDA_SUCCESS;
}

SG_API CUresult cuTensorMapReplaceAddress(CUtensorMap *map, void *address)
{
	struct sg_tensor_map m;

	SG_ENTER(ctx);
	(void)ctx;
	if (!map || !address || (uintptr_t)address % 16)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(&m, map, sizeof(m));
	if (m.magic != SG_TENSOR_MAGIC)
		return CUDA_ERROR_INVALID_VALUE;
	m.address = (uint64_t)(uintptr_t)address;
	memcpy(map, &m, sizeof(m));
	return CUDA_SUCCESS;
}
