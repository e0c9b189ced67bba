/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How code that nvcc has put together of several files (-rdc=true) crosses. A wrapper of
 * version 2 leads to the fat binary that nvlink made, for the devices named then, and to
 * a list of those that it was made of. For another device the driver links these again,
 * from their PTX, so it has to have them all. Pointers mean nothing to the executor:
 *
 *   struct vg_bundle, `count` times uint64_t (bytes of each), padding to VG_BUNDLE_ALIGN,
 *   the linked fat binary and then those of the list, each padded to VG_BUNDLE_ALIGN
 */
#ifndef VG_BUNDLE_H
#define VG_BUNDLE_H

#include <stdint.h>

/* What nvcc leaves in .nvFatBinSegment, and fat binaries: fatbinary_section.h of CUDA. */
#define VG_WRAPPER_MAGIC	0x466243b1u
#define VG_FATBIN_MAGIC		0xba55ed50u

struct vg_wrapper {
	uint32_t magic, version;
	const void *data;
	const void *const *list;	/* version 2: ends with NULL; NULL if there is none */
};

#define VG_BUNDLE_MAGIC		0x62677600u	/* begins with a NUL: no text does */
#define VG_BUNDLE_ALIGN		16u
#define VG_BUNDLE_COUNT_MAX	65536u

struct vg_bundle {
	uint32_t magic;
	uint32_t count;			/* of fat binaries, 2 to VG_BUNDLE_COUNT_MAX */
	uint64_t bytes[];
};

static inline uint64_t vg_bundle_round(uint64_t bytes)
{
	return (bytes + VG_BUNDLE_ALIGN - 1) & ~(uint64_t)(VG_BUNDLE_ALIGN - 1);
}

/* Where the first of them is. */
static inline uint64_t vg_bundle_head(uint32_t count)
{
	return vg_bundle_round(sizeof(struct vg_bundle) + count * sizeof(uint64_t));
}

#endif /* VG_BUNDLE_H */
