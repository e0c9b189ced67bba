/* SPDX-License-Identifier: Apache-2.0 */
/* Large copies of pageable memory; stage.c. */
#ifndef VG_STAGE_H
#define VG_STAGE_H

#include "shim.h"

/* Up to here a copy into the device is sooner done through the arena, and never waits. */
#define VG_STAGE_IN_MIN (64u << 10)

/*
 * False if nothing can be staged here.  Otherwise *result: the data has been
 * taken, and has arrived if `wait` (in), or has arrived (out).
 */
bool vg_stage_in(CUdeviceptr dst, const void *src, size_t bytes, CUstream stream, bool wait,
		 CUresult *result);
bool vg_stage_out(void *dst, CUdeviceptr src, size_t bytes, CUstream stream, CUresult *result);

/*
 * Make the buffers of the current context now: they take some milliseconds, and who allocates
 * so much of the device will copy to it.
 */
#define VG_STAGE_AHEAD_MIN (4u << 20)
void vg_stage_ahead(void);

#endif /* VG_STAGE_H */
