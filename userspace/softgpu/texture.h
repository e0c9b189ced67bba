/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texture and surface objects: what the driver API makes (api_texture.c) and kernels read
 * (exec_texture.c).
 */
#ifndef SG_TEXTURE_H
#define SG_TEXTURE_H

#include "api.h"

/* One level of a mipmap, or all that there is. Its rows and slices lie in device memory. */
struct sg_texture_level {
	uint64_t base;				/* device address */
	size_t width, height, depth;		/* elements; depth: slices or layers */
	size_t pitch, slice;			/* bytes from a row, a slice to the next */
};

struct sg_texture {
	bool surface, has_view;
	CUcontext ctx;
	CUDA_RESOURCE_DESC res;
	CUDA_TEXTURE_DESC desc;			/* textures only */
	CUDA_RESOURCE_VIEW_DESC view;		/* if has_view */
	CUarray_format format;			/* as it is read */
	unsigned int channels, bytes;		/* bytes: of an element with all its channels */
	bool layered, cube;			/* the slices are layers, or faces of cubes */
	unsigned int levels;
	struct sg_texture_level level[SG_LEVELS_MAX];
};

/* Whether kernels see its elements as the whole numbers that they are, and not as floats. */
bool sg_texture_whole(const struct sg_texture *t);

/* Between the two, no object goes. */
void sg_textures_lock(void);
void sg_textures_unlock(void);
/* With the lock held: the object that a kernel's or a program's number means, or NULL. */
const struct sg_texture *sg_texture_find(uint64_t number, bool surface);

#endif
