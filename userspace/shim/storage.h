/* SPDX-License-Identifier: Apache-2.0 */
/* Context-local storage; storage.c. */
#ifndef VG_STORAGE_H
#define VG_STORAGE_H

#include "shim.h"

typedef void (*vg_storage_destructor)(CUcontext context, void *key, void *value);

CUresult vg_storage_put(const struct vg_context *context, void *key, void *value,
			vg_storage_destructor destructor);
/* CUDA_ERROR_INVALID_HANDLE if there is nothing of this key. */
CUresult vg_storage_get(const struct vg_context *context, const void *key, void **value);
CUresult vg_storage_delete(const struct vg_context *context, const void *key);

/* The context is being destroyed or reset: run the destructors. */
void vg_storage_end(const struct vg_context *context);

#endif /* VG_STORAGE_H */
