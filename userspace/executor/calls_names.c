// SPDX-License-Identifier: Apache-2.0
/* The names of what is in a module or a library, one after the other, each with its NUL. */
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "vg_cuda.h"

#define COUNT_MAX	(1u << 16)
#define BYTES_MAX	(64u << 20)

struct names {
	unsigned int offset, room;	/* what of the text is asked for */
	uint8_t *text;
	size_t bytes;
};

static CUresult add(struct names *n, const char *name)
{
	size_t bytes = strlen(name) + 1;
	size_t from = n->offset > n->bytes ? n->offset - n->bytes : 0;
	size_t at = n->bytes > n->offset ? n->bytes - n->offset : 0;

	if (n->bytes + bytes > BYTES_MAX)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (from < bytes && at < n->room)
		memcpy(n->text + at, name + from,
		       bytes - from < n->room - at ? bytes - from : n->room - at);
	n->bytes += bytes;
	return CUDA_SUCCESS;
}

CUresult vge_vgpu_module_names(struct vg_exec *x, const struct vg_req *rq, CUmodule module,
			       unsigned int offset, unsigned int room, unsigned int *count,
			       unsigned int *bytes, void *text)
{
	struct names n = { .offset = offset, .room = room, .text = text };
	CUfunction *functions;
	const char *name;
	CUresult r;

	(void)x;
	(void)rq;
	if (!cu.cuModuleGetFunctionCount || !cu.cuModuleEnumerateFunctions || !cu.cuFuncGetName)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = cu.cuModuleGetFunctionCount(count, module);
	if (r || !*count)
		return r;
	if (*count > COUNT_MAX)
		return CUDA_ERROR_NOT_SUPPORTED;
	functions = calloc(*count, sizeof(*functions));
	if (!functions)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = cu.cuModuleEnumerateFunctions(functions, *count, module);
	for (unsigned int i = 0; !r && i < *count; i++) {
		r = cu.cuFuncGetName(&name, functions[i]);
		if (!r)
			r = add(&n, name);
	}
	free(functions);
	*bytes = n.bytes;
	return r;
}

CUresult vge_vgpu_library_names(struct vg_exec *x, const struct vg_req *rq, CUlibrary library,
				unsigned int offset, unsigned int room, unsigned int *count,
				unsigned int *bytes, void *text)
{
	struct names n = { .offset = offset, .room = room, .text = text };
	CUkernel *kernels;
	const char *name;
	CUresult r;

	(void)x;
	(void)rq;
	if (!cu.cuLibraryGetKernelCount || !cu.cuLibraryEnumerateKernels || !cu.cuKernelGetName)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = cu.cuLibraryGetKernelCount(count, library);
	if (r || !*count)
		return r;
	if (*count > COUNT_MAX)
		return CUDA_ERROR_NOT_SUPPORTED;
	kernels = calloc(*count, sizeof(*kernels));
	if (!kernels)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = cu.cuLibraryEnumerateKernels(kernels, *count, library);
	for (unsigned int i = 0; !r && i < *count; i++) {
		r = cu.cuKernelGetName(&name, kernels[i]);
		if (!r)
			r = add(&n, name);
	}
	free(kernels);
	*bytes = n.bytes;
	return r;
}
