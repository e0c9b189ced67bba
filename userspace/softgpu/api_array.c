// SPDX-License-Identifier: Apache-2.0
/*
 * Arrays and their mipmaps: device memory in rows, which copies reach by element, and kernels by
 * textures and surfaces (api_texture.c).
 */
#include <stdlib.h>

#include "api.h"

#define FLAGS (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_SURFACE_LDST | CUDA_ARRAY3D_CUBEMAP | \
	       CUDA_ARRAY3D_TEXTURE_GATHER)

struct CUmipmappedArray_st {
	uint32_t magic;
	CUcontext ctx;
	CUmipmappedArray next;
	unsigned int levels;
	CUarray level[SG_LEVELS_MAX];
};

CUarray sg_array_of(CUarray a)
{
	return a && a->magic == MAGIC_ARRAY ? a : NULL;
}

static CUmipmappedArray mipmap_of(CUmipmappedArray m)
{
	return m && m->magic == MAGIC_MIPMAP ? m : NULL;
}

CUarray sg_mipmap_level(CUmipmappedArray m, unsigned int level)
{
	return mipmap_of(m) && level < m->levels ? m->level[level] : NULL;
}

size_t sg_format_bytes(CUarray_format f)
{
	switch (f) {
	case CU_AD_FORMAT_UNSIGNED_INT8:
	case CU_AD_FORMAT_SIGNED_INT8:
		return 1;
	case CU_AD_FORMAT_UNSIGNED_INT16:
	case CU_AD_FORMAT_SIGNED_INT16:
	case CU_AD_FORMAT_HALF:
		return 2;
	case CU_AD_FORMAT_UNSIGNED_INT32:
	case CU_AD_FORMAT_SIGNED_INT32:
	case CU_AD_FORMAT_FLOAT:
		return 4;
	default:
		return 0;
	}
}

/* A cube map has six square faces; with layers, six for each. */
static bool cube_faces(const CUDA_ARRAY3D_DESCRIPTOR *d)
{
	return d->Width == d->Height && (d->Flags & CUDA_ARRAY3D_LAYERED ?
					 d->Depth && d->Depth % 6 == 0 : d->Depth == 6);
}

static CUresult array_new(CUcontext ctx, const CUDA_ARRAY3D_DESCRIPTOR *d, CUarray *out)
{
	size_t bytes = sg_format_bytes(d->Format);
	CUarray a;
	CUresult rc;

	if (d->Flags & ~FLAGS || !bytes)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!d->Width || (d->NumChannels != 1 && d->NumChannels != 2 && d->NumChannels != 4) ||
	    (d->Depth && !d->Height && !(d->Flags & CUDA_ARRAY3D_LAYERED)) ||
	    (d->Flags & CUDA_ARRAY3D_CUBEMAP && !cube_faces(d)))
		return CUDA_ERROR_INVALID_VALUE;
	a = calloc(1, sizeof(*a));
	if (!a)
		return CUDA_ERROR_OUT_OF_MEMORY;
	a->rows = d->Height ? d->Height : 1;
	a->layers = d->Depth ? d->Depth : 1;
	if (__builtin_mul_overflow(bytes * d->NumChannels, d->Width, &a->pitch) ||
	    __builtin_mul_overflow(a->pitch, a->rows, &bytes) ||
	    __builtin_mul_overflow(bytes, a->layers, &bytes)) {
		free(a);
		return CUDA_ERROR_INVALID_VALUE;
	}
	rc = sg_heap_alloc(&ctx->dev->heap, bytes, 512, RG_INTERNAL, ctx, &a->base);
	if (rc) {
		free(a);
		return rc;
	}
	a->magic = MAGIC_ARRAY;
	a->ctx = ctx;
	a->d = *d;
	*out = a;
	return CUDA_SUCCESS;
}

/* Work that uses it is waited for, as for any memory. */
static void array_free(CUarray a)
{
	sg_context_wait(a->ctx);
	sg_heap_free(&a->ctx->dev->heap, a->base);
	a->magic = 0;
	free(a);
}

static void mipmap_free(CUmipmappedArray m)
{
	for (unsigned int i = 0; i < m->levels; i++)
		array_free(m->level[i]);
	m->magic = 0;
	free(m);
}

/* A context goes, and its memory with it by itself. */
void sg_arrays_gone(CUcontext ctx)
{
	while (ctx->mipmaps) {
		CUmipmappedArray m = ctx->mipmaps;

		ctx->mipmaps = m->next;
		mipmap_free(m);
	}
	while (ctx->arrays) {
		CUarray a = ctx->arrays;

		ctx->arrays = a->next;
		array_free(a);
	}
}

SG_API CUresult cuArray3DCreate_v2(CUarray *out, const CUDA_ARRAY3D_DESCRIPTOR *d)
{
	CUresult rc;

	SG_ENTER(ctx);
	if (!out || !d)
		return CUDA_ERROR_INVALID_VALUE;
	rc = array_new(ctx, d, out);
	if (rc)
		return rc;
	pthread_mutex_lock(&ctx->lock);
	(*out)->next = ctx->arrays;
	ctx->arrays = *out;
	pthread_mutex_unlock(&ctx->lock);
	return CUDA_SUCCESS;
}

SG_API CUresult cuArrayCreate_v2(CUarray *out, const CUDA_ARRAY_DESCRIPTOR *d)
{
	CUDA_ARRAY3D_DESCRIPTOR d3;

	if (!d)
		return CUDA_ERROR_INVALID_VALUE;
	d3 = (CUDA_ARRAY3D_DESCRIPTOR){ .Width = d->Width, .Height = d->Height,
					.Format = d->Format, .NumChannels = d->NumChannels };
	return cuArray3DCreate_v2(out, &d3);
}

SG_API CUresult cuArrayDestroy(CUarray a)
{
	CUarray *at;

	SG_ENTER(ctx);
	if (!sg_array_of(a))
		return CUDA_ERROR_INVALID_HANDLE;
	ctx = a->ctx;
	pthread_mutex_lock(&ctx->lock);
	for (at = &ctx->arrays; *at && *at != a; at = &(*at)->next)
		;
	if (*at)
		*at = a->next;
	else
		a = NULL;		/* a level, which goes with its mipmap */
	pthread_mutex_unlock(&ctx->lock);
	if (!a)
		return CUDA_ERROR_INVALID_HANDLE;
	array_free(a);
	return CUDA_SUCCESS;
}

SG_API CUresult cuArray3DGetDescriptor_v2(CUDA_ARRAY3D_DESCRIPTOR *d, CUarray a)
{
	SG_ENTER(ctx);
	(void)ctx;
	if (!sg_array_of(a))
		return CUDA_ERROR_INVALID_HANDLE;
	if (!d)
		return CUDA_ERROR_INVALID_VALUE;
	*d = a->d;
	return CUDA_SUCCESS;
}

SG_API CUresult cuArrayGetDescriptor_v2(CUDA_ARRAY_DESCRIPTOR *d, CUarray a)
{
	SG_ENTER(ctx);
	(void)ctx;
	if (!sg_array_of(a))
		return CUDA_ERROR_INVALID_HANDLE;
	if (!d || a->d.Depth)
		return CUDA_ERROR_INVALID_VALUE;
	*d = (CUDA_ARRAY_DESCRIPTOR){ .Width = a->d.Width, .Height = a->d.Height,
				      .Format = a->d.Format, .NumChannels = a->d.NumChannels };
	return CUDA_SUCCESS;
}

/* -- mipmaps: each level is an array of half the size */

static size_t halved(size_t n, unsigned int level)
{
	return !n ? 0 : n >> level ? n >> level : 1;
}

SG_API CUresult cuMipmappedArrayCreate(CUmipmappedArray *out, const CUDA_ARRAY3D_DESCRIPTOR *d,
				       unsigned int levels)
{
	CUmipmappedArray m;
	CUresult rc = CUDA_SUCCESS;
	size_t most;

	SG_ENTER(ctx);
	if (!out || !d || !levels || levels > SG_LEVELS_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	most = d->Width > d->Height ? d->Width : d->Height;
	if (!(d->Flags & (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_CUBEMAP)) && d->Depth > most)
		most = d->Depth;
	if (!most || !(most >> (levels - 1)))
		return CUDA_ERROR_INVALID_VALUE;
	m = calloc(1, sizeof(*m));
	if (!m)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (unsigned int i = 0; i < levels && !rc; i++) {
		CUDA_ARRAY3D_DESCRIPTOR at = *d;

		at.Width = halved(d->Width, i);
		at.Height = halved(d->Height, i);
		if (!(d->Flags & (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_CUBEMAP)))
			at.Depth = halved(d->Depth, i);
		rc = array_new(ctx, &at, &m->level[i]);
		m->levels += !rc;
	}
	if (rc) {
		mipmap_free(m);
		return rc;
	}
	m->magic = MAGIC_MIPMAP;
	m->ctx = ctx;
	pthread_mutex_lock(&ctx->lock);
	m->next = ctx->mipmaps;
	ctx->mipmaps = m;
	pthread_mutex_unlock(&ctx->lock);
	*out = m;
	return CUDA_SUCCESS;
}

SG_API CUresult cuMipmappedArrayGetLevel(CUarray *out, CUmipmappedArray m, unsigned int level)
{
	SG_ENTER(ctx);
	(void)ctx;
	if (!mipmap_of(m))
		return CUDA_ERROR_INVALID_HANDLE;
	if (!out || level >= m->levels)
		return CUDA_ERROR_INVALID_VALUE;
	*out = m->level[level];
	return CUDA_SUCCESS;
}

SG_API CUresult cuMipmappedArrayDestroy(CUmipmappedArray m)
{
	SG_ENTER(ctx);
	if (!mipmap_of(m))
		return CUDA_ERROR_INVALID_HANDLE;
	ctx = m->ctx;
	pthread_mutex_lock(&ctx->lock);
	for (CUmipmappedArray *at = &ctx->mipmaps; *at; at = &(*at)->next) {
		if (*at == m) {
			*at = m->next;
			break;
		}
	}
	pthread_mutex_unlock(&ctx->lock);
	mipmap_free(m);
	return CUDA_SUCCESS;
}

/* -- what only arrays have that cannot be made here: of several planes, deferred, sparse */

static CUresult not_so(bool handle)
{
	SG_ENTER(ctx);
	(void)ctx;
	return handle ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_INVALID_HANDLE;
}

SG_API CUresult cuArrayGetPlane(CUarray *out, CUarray a, unsigned int plane)
{
	(void)out;
	(void)plane;
	return not_so(sg_array_of(a));
}

SG_API CUresult cuArrayGetMemoryRequirements(CUDA_ARRAY_MEMORY_REQUIREMENTS *out, CUarray a,
					     CUdevice dev)
{
	(void)out;
	(void)dev;
	return not_so(sg_array_of(a));
}

SG_API CUresult cuMipmappedArrayGetMemoryRequirements(CUDA_ARRAY_MEMORY_REQUIREMENTS *out,
						      CUmipmappedArray m, CUdevice dev)
{
	(void)out;
	(void)dev;
	return not_so(mipmap_of(m));
}

SG_API CUresult cuArrayGetSparseProperties(CUDA_ARRAY_SPARSE_PROPERTIES *out, CUarray a)
{
	(void)out;
	return not_so(sg_array_of(a));
}

SG_API CUresult cuMipmappedArrayGetSparseProperties(CUDA_ARRAY_SPARSE_PROPERTIES *out,
						    CUmipmappedArray m)
{
	(void)out;
	return not_so(mipmap_of(m));
}

/* -- copies of a line; offsets are in bytes */

static CUDA_MEMCPY3D line(CUarray to, size_t to_at, CUarray from, size_t from_at, size_t n)
{
	return (CUDA_MEMCPY3D){ .dstMemoryType = CU_MEMORYTYPE_ARRAY, .dstArray = to,
				.dstXInBytes = to_at, .srcMemoryType = CU_MEMORYTYPE_ARRAY,
				.srcArray = from, .srcXInBytes = from_at, .WidthInBytes = n,
				.Height = 1, .Depth = 1 };
}

static void from_memory(CUDA_MEMCPY3D *c, CUmemorytype type, CUdeviceptr device, const void *host)
{
	c->srcMemoryType = type;
	c->srcDevice = device;
	c->srcHost = host;
}

static void to_memory(CUDA_MEMCPY3D *c, CUmemorytype type, CUdeviceptr device, void *host)
{
	c->dstMemoryType = type;
	c->dstDevice = device;
	c->dstHost = host;
}

SG_API CUresult cuMemcpyDtoA_v2(CUarray to, size_t at, CUdeviceptr from, size_t n)
{
	CUDA_MEMCPY3D c = line(to, at, NULL, 0, n);

	from_memory(&c, CU_MEMORYTYPE_DEVICE, from, NULL);
	return cuMemcpy3D_v2(&c);
}

SG_API CUresult cuMemcpyAtoD_v2(CUdeviceptr to, CUarray from, size_t at, size_t n)
{
	CUDA_MEMCPY3D c = line(NULL, 0, from, at, n);

	to_memory(&c, CU_MEMORYTYPE_DEVICE, to, NULL);
	return cuMemcpy3D_v2(&c);
}

SG_API CUresult cuMemcpyAtoA_v2(CUarray to, size_t to_at, CUarray from, size_t from_at, size_t n)
{
	CUDA_MEMCPY3D c = line(to, to_at, from, from_at, n);

	return cuMemcpy3D_v2(&c);
}

SG_API CUresult cuMemcpyHtoA_v2(CUarray to, size_t at, const void *from, size_t n)
{
	CUDA_MEMCPY3D c = line(to, at, NULL, 0, n);

	from_memory(&c, CU_MEMORYTYPE_HOST, 0, from);
	return cuMemcpy3D_v2(&c);
}

SG_API CUresult cuMemcpyAtoH_v2(void *to, CUarray from, size_t at, size_t n)
{
	CUDA_MEMCPY3D c = line(NULL, 0, from, at, n);

	to_memory(&c, CU_MEMORYTYPE_HOST, 0, to);
	return cuMemcpy3D_v2(&c);
}

SG_API CUresult cuMemcpyHtoAAsync_v2(CUarray to, size_t at, const void *from, size_t n, CUstream s)
{
	CUDA_MEMCPY3D c = line(to, at, NULL, 0, n);

	from_memory(&c, CU_MEMORYTYPE_HOST, 0, from);
	return cuMemcpy3DAsync_v2(&c, s);
}

SG_API CUresult cuMemcpyAtoHAsync_v2(void *to, CUarray from, size_t at, size_t n, CUstream s)
{
	CUDA_MEMCPY3D c = line(NULL, 0, from, at, n);

	to_memory(&c, CU_MEMORYTYPE_HOST, 0, to);
	return cuMemcpy3DAsync_v2(&c, s);
}
