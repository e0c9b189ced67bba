/* SPDX-License-Identifier: Apache-2.0 */
/* What the hand-written calls share among themselves. */
#ifndef VG_CALLS_H
#define VG_CALLS_H

#include "exec_calls.h"

/* calls_memory.c: allocations by address; `ctx` is the id of the context that holds one. */
bool vg_x_allocated(uint64_t ptr, uint64_t bytes, uint32_t ctx);
bool vg_x_freed(uint64_t ptr, uint64_t *bytes);
/* A context takes its memory along. */
void vg_x_allocations_gone(struct vg_exec *x, uint32_t ctx);

/* calls_image.c */
bool vg_x_image_whole(const void *image, size_t bytes);

#endif /* VG_CALLS_H */
