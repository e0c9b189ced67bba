/* SPDX-License-Identifier: Apache-2.0 */
/* A loaded module: decoded functions, and variables placed in device memory. */
#ifndef SG_IMAGE_H
#define SG_IMAGE_H

#include "exec.h"
#include "ptx.h"

struct sg_symbol {
	const char *name;
	uint64_t addr, size;
};

struct sg_image {
	struct ptx_module *ptx;
	struct sg_heap *heap;
	struct sg_func **funcs;
	int nfuncs;
	struct sg_symbol *symbols;
	int nsymbols;
	bool partial;		/* what it declares as external need not be defined */
	bool reserved_smem;	/* uses the shared memory that is reserved for libraries */
	uint64_t const_base;	/* the address of one of the .const variables */
};

struct sg_image *sg_image_load(const char *text, size_t len, struct sg_heap *heap, void *owner,
			       struct sg_error *err);
/* Whether it can be loaded, or (partial) can be a part of what can be.  0 or a CUresult. */
int sg_image_check(const char *text, size_t len, struct sg_heap *heap, void *owner, bool partial,
		   struct sg_error *err);
void sg_image_free(struct sg_image *img);
struct sg_func *sg_image_entry(struct sg_image *img, const char *name);
struct sg_symbol *sg_image_symbol(struct sg_image *img, const char *name);

/* Decodes one function; the addresses of variables and functions are known by now. */
bool sg_lower(struct sg_image *img, struct ptx_func *f, struct sg_func *out, struct sg_error *err);

#endif
