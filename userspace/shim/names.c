// SPDX-License-Identifier: Apache-2.0
/*
 * What is in a module or a library.  The host tells the names, and each is then
 * looked up as the program would do it, so that there is one handle for each.
 */
#include <stdlib.h>

#include "client.h"
#include "shim.h"
#include "shim_calls.h"

#define PART 3900u		/* of vgpu_module_names */

static CUresult part(CUmodule module, CUlibrary library, unsigned int offset, unsigned int *count,
		     unsigned int *bytes, void *text)
{
	return module ? vgw_vgpu_module_names(module, offset, PART, count, bytes, text) :
			vgw_vgpu_library_names(library, offset, PART, count, bytes, text);
}

/* All names, to be freed. */
static CUresult fetch(CUmodule module, CUlibrary library, char **out, unsigned int *count,
		      unsigned int *bytes)
{
	unsigned int total, n;
	char text[PART], *all = NULL;
	CUresult r;

	r = part(module, library, 0, count, &total, text);
	if (r)
		return r;
	all = calloc(1, (size_t)total + PART);
	if (!all)
		return CUDA_ERROR_OUT_OF_MEMORY;
	memcpy(all, text, PART);
	for (unsigned int at = PART; !r && at < total; at += PART) {
		r = part(module, library, at, &n, bytes, all + at);
		/* It was not loaded anew: an answer that differs is none. */
		if (!r && (n != *count || *bytes != total))
			r = CUDA_ERROR_UNKNOWN;
	}
	if (r) {
		free(all);
		return r;
	}
	*bytes = total;
	*out = all;
	return CUDA_SUCCESS;
}

static CUresult enumerate(CUmodule module, CUlibrary library, CUfunction *functions,
			  CUkernel *kernels, unsigned int room)
{
	unsigned int count, bytes, at = 0;
	char *names;
	CUresult r;

	r = fetch(module, library, &names, &count, &bytes);
	if (r)
		return r;
	for (unsigned int i = 0; !r && i < count && i < room && at < bytes; i++) {
		r = module ? vgh_cuModuleGetFunction(&functions[i], module, names + at) :
			     vgh_cuLibraryGetKernel(&kernels[i], library, names + at);
		at += strlen(names + at) + 1;
	}
	free(names);
	return r;
}

CUresult vgh_cuModuleEnumerateFunctions(CUfunction *functions, unsigned int n, CUmodule module)
{
	if (!functions)
		return CUDA_ERROR_INVALID_VALUE;
	if (!vg_object_get(module, VG_MODULE))
		return CUDA_ERROR_INVALID_HANDLE;
	return enumerate(module, NULL, functions, NULL, n);
}

CUresult vgh_cuLibraryEnumerateKernels(CUkernel *kernels, unsigned int n, CUlibrary library)
{
	if (!kernels)
		return CUDA_ERROR_INVALID_VALUE;
	if (!vg_object_get(library, VG_LIBRARY))
		return CUDA_ERROR_INVALID_HANDLE;
	return enumerate(NULL, library, NULL, kernels, n);
}
