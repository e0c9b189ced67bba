/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of cuGetExportTable() that do not depend on what is behind the library: they call
 * the driver API of the library that they are in, and the three functions below, which that
 * library has.
 */
#ifndef VG_EXPORT_TABLES_H
#define VG_EXPORT_TABLES_H

#include "cuda_abi.h"

/* The table of an id, or NULL. */
const void *vg_export_table(const CUuuid *id);

/* -- the library's */

/* Says once that a function is refused, and returns CUDA_ERROR_NOT_SUPPORTED. */
CUresult vg_export_refuse(const char *name, const char *why);
/* The handle of a device's primary context, which this does not make active. */
CUresult vg_export_primary(CUcontext *ctx, CUdevice dev);
/* Whom storage belongs to (storage.h): a context, or with NULL the current one.  NULL: none. */
const void *vg_export_owner(CUcontext ctx);

#endif /* VG_EXPORT_TABLES_H */
