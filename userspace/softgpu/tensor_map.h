/* SPDX-License-Identifier: Apache-2.0 */
/* What softgpu keeps in a CUtensorMap, whose layout is each driver's own. */
#ifndef SG_TENSOR_MAP_H
#define SG_TENSOR_MAP_H

#include <stdbool.h>
#include <stdint.h>

#define SG_TENSOR_MAGIC 0x70616d726f736e74ull
#define SG_TENSOR_RANK 5

struct sg_tensor_map {
	uint64_t magic;
	uint64_t address;
	uint64_t stride[SG_TENSOR_RANK];	/* bytes from one element to the next, by dimension */
	uint64_t dim[SG_TENSOR_RANK];		/* elements */
	uint16_t box[SG_TENSOR_RANK];		/* elements that one copy has, without the skipped */
	uint8_t step[SG_TENSOR_RANK];		/* every so many-th element is copied */
	uint8_t rank, bytes;			/* of one element */
	uint8_t swizzle;			/* bytes of a swizzled row; 0: none */
	uint8_t fill_nan;			/* what is outside is a NaN, and not 0 */
};

/*
 * Whether it keeps the limits that cuda.h gives for cuTensorMapEncodeTiled.  Kernels read maps from memory that programs
 * write, so this is asked of a copy before each use.
 */
static inline bool sg_tensor_map_valid(const struct sg_tensor_map *m)
{
	uint32_t row = m->box[0] * m->bytes;

	if (m->magic != SG_TENSOR_MAGIC || !m->rank || m->rank > SG_TENSOR_RANK ||
	    m->address % 16)
		return false;
	if (m->bytes != 1 && m->bytes != 2 && m->bytes != 4 && m->bytes != 8)
		return false;
	if (m->swizzle && m->swizzle != 32 && m->swizzle != 64 && m->swizzle != 128)
		return false;
	if (row % 16 || (m->swizzle && row > m->swizzle))
		return false;
	for (int d = 0; d < m->rank; d++) {
		if (!m->dim[d] || m->dim[d] > 1ull << 32 || !m->box[d] || m->box[d] > 256 ||
		    !m->step[d] || m->step[d] > 8)
			return false;
		if (d && (m->stride[d] % 16 || m->stride[d] >= 1ull << 40))
			return false;
	}
	return true;
}

/* Bytes of a box of a valid map: 2^43 at most. */
static inline uint64_t sg_tensor_box_bytes(const struct sg_tensor_map *m)
{
	uint64_t bytes = m->bytes;

	for (int d = 0; d < m->rank; d++)
		bytes *= m->box[d];
	return bytes;
}

#endif
