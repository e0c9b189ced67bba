// SPDX-License-Identifier: Apache-2.0
/*
 * Objects of the stand-in that have parts: libraries with a module and kernels, mipmapped
 * arrays with levels, arrays with planes; and links.  A part is one object, however often
 * it is asked for, and whoever asks may destroy it: here nobody guards against that.
 */
#include <stdlib.h>

#include "double.h"

#define LINKS 4			/* that there may be at one time */

struct whole {
	struct double_object o;
	struct double_object *part;
};

static unsigned int links;

static void *whole(unsigned int magic, unsigned int part)
{
	struct whole *w = calloc(1, sizeof(*w));

	w->o.magic = magic;
	w->part = part == ARRAY ? calloc(1, sizeof(struct whole)) : double_make(part);
	w->part->magic = part;
	return w;
}

static CUresult part(void *out, void *of, unsigned int magic)
{
	if (!double_is(of, magic))
		return CUDA_ERROR_INVALID_HANDLE;
	*(void **)out = ((struct whole *)of)->part;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuLibraryLoadData(CUlibrary *l, const void *code, CUjit_option *options,
				  void **values, unsigned int n, CUlibraryOption *more,
				  void **more_values, unsigned int more_n)
{
	(void)code;
	(void)options;
	(void)values;
	(void)n;
	(void)more;
	(void)more_values;
	(void)more_n;
	*l = whole(LIBRARY, MODULE);
	return CUDA_SUCCESS;
}

EXPORT CUresult cuLibraryUnload(CUlibrary l)
{
	return double_destroy(l, LIBRARY);
}

EXPORT CUresult cuLibraryGetModule(CUmodule *m, CUlibrary l)
{
	return part(m, l, LIBRARY);
}

EXPORT CUresult cuLibraryGetKernel(CUkernel *k, CUlibrary l, const char *name)
{
	CUfunction f;
	CUmodule m;
	CUresult r = part(&m, l, LIBRARY);

	if (!r)
		r = cuModuleGetFunction(&f, m, name);
	if (!r)
		*k = (CUkernel)f;
	return r;
}

EXPORT CUresult cuKernelGetFunction(CUfunction *f, CUkernel k)
{
	*f = (CUfunction)k;
	return double_is(k, FUNCTION) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

EXPORT CUresult cuArray3DCreate_v2(CUarray *a, const CUDA_ARRAY3D_DESCRIPTOR *d)
{
	(void)d;
	*a = whole(ARRAY, ARRAY);
	return CUDA_SUCCESS;
}

EXPORT CUresult cuArrayGetPlane(CUarray *plane, CUarray a, unsigned int index)
{
	(void)index;
	return part(plane, a, ARRAY);
}

EXPORT CUresult cuArray3DGetDescriptor_v2(CUDA_ARRAY3D_DESCRIPTOR *d, CUarray a)
{
	*d = (CUDA_ARRAY3D_DESCRIPTOR){ .Width = 1 };
	return double_is(a, ARRAY) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

EXPORT CUresult cuArrayDestroy(CUarray a)
{
	return double_destroy(a, ARRAY);
}

EXPORT CUresult cuMipmappedArrayCreate(CUmipmappedArray *m, const CUDA_ARRAY3D_DESCRIPTOR *d,
				       unsigned int levels)
{
	struct whole *w = whole(MIPMAP, ARRAY);

	(void)d;
	(void)levels;
	((struct whole *)w->part)->part = double_make(ARRAY);
	*m = (CUmipmappedArray)w;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuMipmappedArrayGetLevel(CUarray *level, CUmipmappedArray m, unsigned int index)
{
	(void)index;
	return part(level, m, MIPMAP);
}

EXPORT CUresult cuMipmappedArrayDestroy(CUmipmappedArray m)
{
	return double_destroy(m, MIPMAP);
}

EXPORT CUresult cuLinkCreate_v2(unsigned int n, CUjit_option *options, void **values,
				CUlinkState *state)
{
	(void)n;
	(void)options;
	(void)values;
	/* Links are made on a second thread, to which a driver may refuse a green context. */
	if (double_in_green())
		return CUDA_ERROR_INVALID_CONTEXT;
	if (links == LINKS)
		return CUDA_ERROR_UNKNOWN;
	links++;
	*state = (CUlinkState)double_make(LINK);
	return CUDA_SUCCESS;
}

EXPORT CUresult cuLinkAddData_v2(CUlinkState state, CUjitInputType type, void *data, size_t bytes,
				 const char *name, unsigned int n, CUjit_option *options,
				 void **values)
{
	(void)type;
	(void)data;
	(void)bytes;
	(void)name;
	(void)n;
	(void)options;
	(void)values;
	return double_is(state, LINK) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

EXPORT CUresult cuLinkComplete(CUlinkState state, void **cubin, size_t *bytes)
{
	*cubin = (void *)"cubin";
	*bytes = sizeof("cubin");
	return double_is(state, LINK) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

EXPORT CUresult cuLinkDestroy(CUlinkState state)
{
	CUresult r = double_destroy(state, LINK);

	links -= !r;
	return r;
}
