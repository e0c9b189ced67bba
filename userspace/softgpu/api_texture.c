// SPDX-License-Identifier: Apache-2.0
/*
 * Texture and surface objects. A program and its kernels know one by a number: its place in a
 * table and how often the place was used before, so that the number of an object that has gone
 * means none.
 */
#include <stdlib.h>

#include "texture.h"

struct place {
	uint32_t use;
	struct sg_texture *object;
};

#define PLACES_MAX (1u << 20)
#define USE_BITS 32

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static struct place *places;
static uint32_t place_count;

void sg_textures_lock(void)
{
	pthread_rwlock_rdlock(&lock);
}

void sg_textures_unlock(void)
{
	pthread_rwlock_unlock(&lock);
}

/* The place of a number, if there is an object. Numbers begin at 1. */
static struct place *place_of(uint64_t number, bool surface)
{
	uint64_t i = (number & (PLACES_MAX - 1)) - 1;
	struct place *p;

	if (i >= place_count)
		return NULL;
	p = &places[i];
	return p->object && p->use == number >> USE_BITS && p->object->surface == surface ? p : NULL;
}

const struct sg_texture *sg_texture_find(uint64_t number, bool surface)
{
	struct place *p = place_of(number, surface);

	return p ? p->object : NULL;
}

/* With the lock held for writing: a place that is free, or NULL. */
static struct place *free_place(void)
{
	uint32_t bigger = place_count ? 2 * place_count : 64;
	struct place *p;

	for (uint32_t i = 0; i < place_count; i++)
		if (!places[i].object)
			return &places[i];
	if (bigger >= PLACES_MAX)
		return NULL;
	p = realloc(places, bigger * sizeof(*p));
	if (!p)
		return NULL;
	places = p;
	p += place_count;
	for (; place_count < bigger; place_count++)
		places[place_count] = (struct place){ 0 };
	return p;
}

static CUresult add(const struct sg_texture *t, unsigned long long *number)
{
	struct sg_texture *kept = malloc(sizeof(*kept));
	struct place *p;

	if (!kept)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*kept = *t;
	pthread_rwlock_wrlock(&lock);
	p = free_place();
	if (p) {
		p->object = kept;
		*number = (unsigned long long)p->use << USE_BITS | (p - places + 1);
	}
	pthread_rwlock_unlock(&lock);
	if (p)
		return CUDA_SUCCESS;
	free(kept);
	return CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult drop(uint64_t number, bool surface)
{
	struct place *p;

	SG_ENTER(ctx);
	/* kernels that were launched with it may run still */
	sg_context_wait(ctx);
	pthread_rwlock_wrlock(&lock);
	p = place_of(number, surface);
	if (p) {
		free(p->object);
		p->object = NULL;
		p->use++;
	}
	pthread_rwlock_unlock(&lock);
	return p ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

void sg_textures_gone(CUcontext ctx)
{
	pthread_rwlock_wrlock(&lock);
	for (uint32_t i = 0; i < place_count; i++) {
		if (places[i].object && places[i].object->ctx == ctx) {
			free(places[i].object);
			places[i].object = NULL;
			places[i].use++;
		}
	}
	pthread_rwlock_unlock(&lock);
}

/* -- what an object reads */

static CUresult take_format(struct sg_texture *t, CUarray_format format, unsigned int channels)
{
	size_t one = sg_format_bytes(format);

	if (!one || (channels != 1 && channels != 2 && channels != 4))
		return CUDA_ERROR_INVALID_VALUE;
	t->format = format;
	t->channels = channels;
	t->bytes = one * channels;
	return CUDA_SUCCESS;
}

static struct sg_texture_level level_of(CUarray a)
{
	return (struct sg_texture_level){ a->base, a->d.Width, a->rows, a->layers, a->pitch,
					  a->pitch * a->rows };
}

static CUresult take_array(struct sg_texture *t, CUarray a)
{
	if (!sg_array_of(a))
		return CUDA_ERROR_INVALID_HANDLE;
	t->layered = a->d.Flags & CUDA_ARRAY3D_LAYERED;
	t->cube = a->d.Flags & CUDA_ARRAY3D_CUBEMAP;
	t->levels = 1;
	t->level[0] = level_of(a);
	return take_format(t, a->d.Format, a->d.NumChannels);
}

static CUresult take_mipmap(struct sg_texture *t, CUmipmappedArray m)
{
	CUresult rc = CUDA_SUCCESS;
	CUarray a;

	for (unsigned int i = 0; !rc && (a = sg_mipmap_level(m, i)) != NULL; i++) {
		struct sg_texture_level before = t->level[0];

		rc = take_array(t, a);
		t->level[i] = t->level[0];
		if (i)
			t->level[0] = before;
		t->levels = i + 1;
	}
	return t->levels ? rc : CUDA_ERROR_INVALID_HANDLE;
}

/* Device memory: the program says what lies there, and kernels check it at each access. */
static CUresult take_memory(struct sg_texture *t, const CUDA_RESOURCE_DESC *r)
{
	bool linear = r->resType == CU_RESOURCE_TYPE_LINEAR;
	struct sg_texture_level *at = &t->level[0];
	CUresult rc = linear ? take_format(t, r->res.linear.format, r->res.linear.numChannels) :
			       take_format(t, r->res.pitch2D.format, r->res.pitch2D.numChannels);
	void *host;

	if (rc)
		return rc;
	t->levels = 1;
	if (linear)
		*at = (struct sg_texture_level){ r->res.linear.devPtr,
						 r->res.linear.sizeInBytes / t->bytes, 1, 1,
						 r->res.linear.sizeInBytes,
						 r->res.linear.sizeInBytes };
	else
		*at = (struct sg_texture_level){ r->res.pitch2D.devPtr, r->res.pitch2D.width,
						 r->res.pitch2D.height, 1,
						 r->res.pitch2D.pitchInBytes, 0 };
	if (!at->width || !at->height || at->width > UINT32_MAX || at->height > UINT32_MAX ||
	    at->width > SIZE_MAX / t->bytes ||
	    (!linear && at->height > 1 && at->pitch < at->width * t->bytes))
		return CUDA_ERROR_INVALID_VALUE;
	/* programs name more than they have allocated, and the driver takes it */
	return sg_copy_pointer(at->base, linear ? t->bytes :
			       (at->height - 1) * at->pitch + at->width * t->bytes, true, &host);
}

static CUresult take_resource(struct sg_texture *t, const CUDA_RESOURCE_DESC *r)
{
	if (r->flags)
		return CUDA_ERROR_INVALID_VALUE;
	t->res = *r;
	switch (r->resType) {
	case CU_RESOURCE_TYPE_ARRAY:
		return take_array(t, r->res.array.hArray);
	case CU_RESOURCE_TYPE_MIPMAPPED_ARRAY:
		return take_mipmap(t, r->res.mipmap.hMipmappedArray);
	case CU_RESOURCE_TYPE_LINEAR:
	case CU_RESOURCE_TYPE_PITCH2D:
		return take_memory(t, r);
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

/* -- views: other formats of the same size, some of the levels and layers */

static CUresult view_format(CUresourceViewFormat f, CUarray_format *format, unsigned int *channels)
{
	static const struct {
		CUresourceViewFormat first;
		CUarray_format format;
	} kinds[] = {
		{ CU_RES_VIEW_FORMAT_UINT_1X8, CU_AD_FORMAT_UNSIGNED_INT8 },
		{ CU_RES_VIEW_FORMAT_SINT_1X8, CU_AD_FORMAT_SIGNED_INT8 },
		{ CU_RES_VIEW_FORMAT_UINT_1X16, CU_AD_FORMAT_UNSIGNED_INT16 },
		{ CU_RES_VIEW_FORMAT_SINT_1X16, CU_AD_FORMAT_SIGNED_INT16 },
		{ CU_RES_VIEW_FORMAT_UINT_1X32, CU_AD_FORMAT_UNSIGNED_INT32 },
		{ CU_RES_VIEW_FORMAT_SINT_1X32, CU_AD_FORMAT_SIGNED_INT32 },
		{ CU_RES_VIEW_FORMAT_FLOAT_1X16, CU_AD_FORMAT_HALF },
		{ CU_RES_VIEW_FORMAT_FLOAT_1X32, CU_AD_FORMAT_FLOAT },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (f >= kinds[i].first && f < kinds[i].first + 3) {
			*format = kinds[i].format;
			*channels = 1u << (f - kinds[i].first);
			return CUDA_SUCCESS;
		}
	}
	/* the compressed ones */
	return f > CU_RES_VIEW_FORMAT_FLOAT_4X32 ? CUDA_ERROR_NOT_SUPPORTED :
						   CUDA_ERROR_INVALID_VALUE;
}

static CUresult take_view(struct sg_texture *t, const CUDA_RESOURCE_VIEW_DESC *v)
{
	unsigned int channels, bytes = t->bytes, n;
	CUarray_format format;
	CUresult rc;

	if (t->res.resType != CU_RESOURCE_TYPE_ARRAY &&
	    t->res.resType != CU_RESOURCE_TYPE_MIPMAPPED_ARRAY)
		return CUDA_ERROR_INVALID_VALUE;
	t->has_view = true;
	t->view = *v;
	if (v->format != CU_RES_VIEW_FORMAT_NONE) {
		rc = view_format(v->format, &format, &channels);
		if (!rc)
			rc = take_format(t, format, channels);
		if (rc)
			return rc;
		if (t->bytes != bytes)
			return CUDA_ERROR_INVALID_VALUE;
	}
	if (v->firstMipmapLevel > v->lastMipmapLevel || v->lastMipmapLevel >= t->levels ||
	    v->firstLayer > v->lastLayer || (v->lastLayer && v->lastLayer >= t->level[0].depth))
		return CUDA_ERROR_INVALID_VALUE;
	n = v->lastMipmapLevel - v->firstMipmapLevel + 1;
	for (unsigned int i = 0; i < n; i++) {
		struct sg_texture_level *at = &t->level[i];

		*at = t->level[i + v->firstMipmapLevel];
		if (v->lastLayer) {
			at->base += v->firstLayer * at->slice;
			at->depth = v->lastLayer - v->firstLayer + 1;
		}
	}
	t->levels = n;
	return CUDA_SUCCESS;
}

bool sg_texture_whole(const struct sg_texture *t)
{
	switch (t->format) {
	case CU_AD_FORMAT_HALF:
	case CU_AD_FORMAT_FLOAT:
		return false;
	case CU_AD_FORMAT_UNSIGNED_INT32:
	case CU_AD_FORMAT_SIGNED_INT32:
		return true;
	default:
		return t->desc.flags & CU_TRSF_READ_AS_INTEGER;
	}
}

/* -- the driver API */

#define TEXTURE_FLAGS (CU_TRSF_READ_AS_INTEGER | CU_TRSF_NORMALIZED_COORDINATES | CU_TRSF_SRGB | \
		       CU_TRSF_DISABLE_TRILINEAR_OPTIMIZATION | CU_TRSF_SEAMLESS_CUBEMAP)

SG_API CUresult cuTexObjectCreate(CUtexObject *out, const CUDA_RESOURCE_DESC *r,
				  const CUDA_TEXTURE_DESC *d, const CUDA_RESOURCE_VIEW_DESC *v)
{
	struct sg_texture t = { 0 };
	CUresult rc;

	SG_ENTER(ctx);
	if (!out || !r || !d || d->flags & ~TEXTURE_FLAGS ||
	    d->filterMode > CU_TR_FILTER_MODE_LINEAR ||
	    d->mipmapFilterMode > CU_TR_FILTER_MODE_LINEAR)
		return CUDA_ERROR_INVALID_VALUE;
	for (int i = 0; i < 3; i++)
		if (d->addressMode[i] > CU_TR_ADDRESS_MODE_BORDER)
			return CUDA_ERROR_INVALID_VALUE;
	t.ctx = ctx;
	t.desc = *d;
	rc = take_resource(&t, r);
	if (!rc && v)
		rc = take_view(&t, v);
	/* whole numbers cannot be weighed against each other */
	if (!rc && d->filterMode == CU_TR_FILTER_MODE_LINEAR &&
	    r->resType != CU_RESOURCE_TYPE_LINEAR && sg_texture_whole(&t))
		rc = CUDA_ERROR_INVALID_VALUE;
	return rc ? rc : add(&t, out);
}

SG_API CUresult cuTexObjectDestroy(CUtexObject number)
{
	return drop(number, false);
}

/* A copy of what an object was made of, as the program may ask for. */
static CUresult look_up(uint64_t number, bool surface, bool wanted, struct sg_texture *out)
{
	const struct sg_texture *t;

	SG_ENTER(ctx);
	(void)ctx;
	if (!wanted)
		return CUDA_ERROR_INVALID_VALUE;
	sg_textures_lock();
	t = sg_texture_find(number, surface);
	if (t)
		*out = *t;
	sg_textures_unlock();
	return t ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

SG_API CUresult cuTexObjectGetResourceDesc(CUDA_RESOURCE_DESC *out, CUtexObject number)
{
	struct sg_texture t;
	CUresult rc = look_up(number, false, out, &t);

	if (!rc)
		*out = t.res;
	return rc;
}

SG_API CUresult cuTexObjectGetTextureDesc(CUDA_TEXTURE_DESC *out, CUtexObject number)
{
	struct sg_texture t;
	CUresult rc = look_up(number, false, out, &t);

	if (!rc)
		*out = t.desc;
	return rc;
}

SG_API CUresult cuTexObjectGetResourceViewDesc(CUDA_RESOURCE_VIEW_DESC *out, CUtexObject number)
{
	struct sg_texture t;
	CUresult rc = look_up(number, false, out, &t);

	if (rc)
		return rc;
	if (!t.has_view)
		return CUDA_ERROR_INVALID_VALUE;
	*out = t.view;
	return CUDA_SUCCESS;
}

/* An H200's limit: so many elements, of 4 GiB at most. */
SG_API CUresult cuDeviceGetTexture1DLinearMaxWidth(size_t *out, CUarray_format format,
						   unsigned int channels, CUdevice dev)
{
	size_t bytes = sg_format_bytes(format) * channels;

	SG_NEED_INIT();
	if (!out || !bytes || (channels != 1 && channels != 2 && channels != 4))
		return CUDA_ERROR_INVALID_VALUE;
	if (!sg_device(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	*out = bytes < 4 ? 1u << 30 : (1ull << 32) / bytes;
	return CUDA_SUCCESS;
}

SG_API CUresult cuSurfObjectCreate(CUsurfObject *out, const CUDA_RESOURCE_DESC *r)
{
	struct sg_texture t = { .surface = true };
	CUresult rc;

	SG_ENTER(ctx);
	if (!out || !r || r->resType != CU_RESOURCE_TYPE_ARRAY)
		return CUDA_ERROR_INVALID_VALUE;
	t.ctx = ctx;
	rc = take_resource(&t, r);
	return rc ? rc : add(&t, out);
}

SG_API CUresult cuSurfObjectDestroy(CUsurfObject number)
{
	return drop(number, true);
}

SG_API CUresult cuSurfObjectGetResourceDesc(CUDA_RESOURCE_DESC *out, CUsurfObject number)
{
	struct sg_texture t;
	CUresult rc = look_up(number, true, out, &t);

	if (!rc)
		*out = t.res;
	return rc;
}
