/* SPDX-License-Identifier: Apache-2.0 */
/* Small pieces of memory that is shared with the executor. */
#ifndef VG_SLAB_H
#define VG_SLAB_H

#include "shim.h"

#define VG_SLAB_BYTES	(2u << 20)	/* a huge page */
#define VG_SLAB_MOST	(VG_SLAB_BYTES / 2)	/* of one piece */

struct vg_slab;

/* Whole pages for `bytes`, of whatever content; of an error nothing is left. */
CUresult vg_slab_take(size_t bytes, struct vg_slab **slab, void **p);
/* As many as were taken; neither the program nor the driver may have them still. */
void vg_slab_give(struct vg_slab *slab, void *p, size_t bytes);

#endif /* VG_SLAB_H */
