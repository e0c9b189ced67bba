/* SPDX-License-Identifier: Apache-2.0 */
/* Large copies of pageable memory; stage.c. */
#ifndef VG_STAGE_H
#define VG_STAGE_H

#include "shim.h"

/* From this size on staging is worth its events. */
#define VG_STAGE_MIN (512u << 10)

/*
 * False if nothing can be staged here.  Otherwise *result: the data has been
 * taken (in), or has arrived (out); what the device does may still be under way.
 */
bool vg_stage_in(CUdeviceptr dst, const void *src, size_t bytes, CUstream stream, CUresult *result);
bool vg_stage_out(void *dst, CUdeviceptr src, size_t bytes, CUstream stream, CUresult *result);

#endif /* VG_STAGE_H */
