/* SPDX-License-Identifier: Apache-2.0 */
/* What NVRTC has compiled before, on disk. */
#ifndef VG_COMPILE_CACHE_H
#define VG_COMPILE_CACHE_H

#include "shim.h"

/* All that the result depends on. */
struct vg_compiled {
	uint32_t kind, arch;		/* 1 a cubin, 2 PTX; 90 for sm_90 */
	const void *source;		/* what was compiled: NVVM's bitcode */
	size_t bytes;
	const char *options, *host, *built;	/* of the compiler; NULL is none */
};

struct vg_cache_key;

/* NULL: no memory. To be freed with free(). */
struct vg_cache_key *vg_cache_key(const struct vg_compiled *c);

/* CUDA_ERROR_NOT_FOUND, or *data is to be freed with free(). */
CUresult vg_cache_find(const struct vg_cache_key *key, void **data, uint32_t *bytes);
CUresult vg_cache_add(const struct vg_cache_key *key, const void *data, uint32_t bytes);

#endif /* VG_COMPILE_CACHE_H */
