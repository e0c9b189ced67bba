/* SPDX-License-Identifier: Apache-2.0 */
/* Context-local storage; storage.c. The owner is what a library has of a context. */
#ifndef VG_STORAGE_H
#define VG_STORAGE_H

#include "cuda_abi.h"

typedef void (*vg_storage_destructor)(CUcontext context, void *key, void *value);

CUresult vg_storage_put(const void *owner, void *key, void *value,
			vg_storage_destructor destructor);
/* CUDA_ERROR_INVALID_HANDLE if there is nothing of this key. */
CUresult vg_storage_get(const void *owner, const void *key, void **value);
CUresult vg_storage_delete(const void *owner, const void *key);

/* The context is being destroyed or reset: run the destructors, with its handle. */
void vg_storage_end(const void *owner, CUcontext handle);

#endif /* VG_STORAGE_H */
