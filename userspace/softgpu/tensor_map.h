/* SPDX-License-Identifier: Apache-2.0 */
/* What softgpu keeps in a CUtensorMap, whose layout is each driver's own. */
#ifndef SG_TENSOR_MAP_H
#define SG_TENSOR_MAP_H

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

#endif
