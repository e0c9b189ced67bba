// SPDX-License-Identifier: Apache-2.0
/*
 * Texture and surface objects.  A kernel is given the driver's own number, so
 * that is what the program has; what it was made of is remembered here.
 */
#include <pthread.h>
#include <stdlib.h>

#include "client.h"
#include "shim.h"
#include "shim_calls.h"

struct object {
	struct object *next;
	bool surface, has_view;
	uint64_t number;
	CUDA_RESOURCE_DESC resource;
	CUDA_TEXTURE_DESC texture;
	CUDA_RESOURCE_VIEW_DESC view;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct object *objects;

static CUresult resource(const CUDA_RESOURCE_DESC *in, vgpu_resource *out)
{
	if (!in)
		return CUDA_ERROR_INVALID_VALUE;
	*out = (vgpu_resource){ .type = in->resType, .flags = in->flags };
	switch (in->resType) {
	case CU_RESOURCE_TYPE_ARRAY:
		out->array = in->res.array.hArray;
		return CUDA_SUCCESS;
	case CU_RESOURCE_TYPE_MIPMAPPED_ARRAY:
		out->mipmap = in->res.mipmap.hMipmappedArray;
		return CUDA_SUCCESS;
	case CU_RESOURCE_TYPE_LINEAR:
		out->address = in->res.linear.devPtr;
		out->format = in->res.linear.format;
		out->channels = in->res.linear.numChannels;
		out->bytes = in->res.linear.sizeInBytes;
		return CUDA_SUCCESS;
	case CU_RESOURCE_TYPE_PITCH2D:
		out->address = in->res.pitch2D.devPtr;
		out->format = in->res.pitch2D.format;
		out->channels = in->res.pitch2D.numChannels;
		out->width = in->res.pitch2D.width;
		out->height = in->res.pitch2D.height;
		out->pitch = in->res.pitch2D.pitchInBytes;
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

static void keep(struct object *o)
{
	pthread_mutex_lock(&lock);
	o->next = objects;
	objects = o;
	pthread_mutex_unlock(&lock);
}

/* The place of an object in the list; the lock is held. */
static struct object **find(uint64_t number, bool surface)
{
	struct object **p = &objects;

	while (*p && ((*p)->number != number || (*p)->surface != surface))
		p = &(*p)->next;
	return *p ? p : NULL;
}

/* Whether there was such an object. */
static bool forget(uint64_t number, bool surface)
{
	struct object **p, *o = NULL;

	pthread_mutex_lock(&lock);
	p = find(number, surface);
	if (p) {
		o = *p;
		*p = o->next;
	}
	pthread_mutex_unlock(&lock);
	free(o);
	return o;
}

CUresult vgh_cuTexObjectCreate(CUtexObject *out, const CUDA_RESOURCE_DESC *r,
			       const CUDA_TEXTURE_DESC *texture,
			       const CUDA_RESOURCE_VIEW_DESC *view)
{
	struct object *o;
	vgpu_resource wire;
	CUresult e = resource(r, &wire);

	if (e || !out || !texture)
		return e ? e : CUDA_ERROR_INVALID_VALUE;
	o = calloc(1, sizeof(*o));
	if (!o)
		return CUDA_ERROR_OUT_OF_MEMORY;
	o->resource = *r;
	o->texture = *texture;
	o->has_view = view;
	if (view)
		o->view = *view;
	e = vgw_vgpu_texture(&wire, texture, view, &o->number);
	if (e) {
		free(o);
		return e;
	}
	*out = o->number;
	keep(o);
	return CUDA_SUCCESS;
}

/* The driver has no objection to the end of an object that there is not. */
CUresult vgh_cuTexObjectDestroy(CUtexObject object)
{
	CUresult r = vg_context_ready();

	return !r && forget(object, false) ? vgw_vgpu_texture_end(object) : r;
}

CUresult vgh_cuSurfObjectCreate(CUsurfObject *out, const CUDA_RESOURCE_DESC *r)
{
	struct object *o;
	vgpu_resource wire;
	CUresult e = resource(r, &wire);

	if (e || !out)
		return e ? e : CUDA_ERROR_INVALID_VALUE;
	o = calloc(1, sizeof(*o));
	if (!o)
		return CUDA_ERROR_OUT_OF_MEMORY;
	o->surface = true;
	o->resource = *r;
	e = vgw_vgpu_surface(&wire, &o->number);
	if (e) {
		free(o);
		return e;
	}
	*out = o->number;
	keep(o);
	return CUDA_SUCCESS;
}

CUresult vgh_cuSurfObjectDestroy(CUsurfObject object)
{
	CUresult r = vg_context_ready();

	return !r && forget(object, true) ? vgw_vgpu_surface_end(object) : r;
}

/* A copy of one that there is. */
static CUresult look(uint64_t number, bool surface, struct object *copy)
{
	CUresult r = vg_context_ready();
	struct object **p;

	if (r)
		return r;
	pthread_mutex_lock(&lock);
	p = find(number, surface);
	if (p)
		*copy = **p;
	pthread_mutex_unlock(&lock);
	return p ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult vgh_cuTexObjectGetResourceDesc(CUDA_RESOURCE_DESC *d, CUtexObject object)
{
	struct object o;
	CUresult r = d ? look(object, false, &o) : CUDA_ERROR_INVALID_VALUE;

	if (!r)
		*d = o.resource;
	return r;
}

CUresult vgh_cuTexObjectGetTextureDesc(CUDA_TEXTURE_DESC *d, CUtexObject object)
{
	struct object o;
	CUresult r = d ? look(object, false, &o) : CUDA_ERROR_INVALID_VALUE;

	if (!r)
		*d = o.texture;
	return r;
}

CUresult vgh_cuTexObjectGetResourceViewDesc(CUDA_RESOURCE_VIEW_DESC *d, CUtexObject object)
{
	struct object o;
	CUresult r = d ? look(object, false, &o) : CUDA_ERROR_INVALID_VALUE;

	/* The driver says nothing of a view that was not given. */
	if (!r && o.has_view)
		*d = o.view;
	return r;
}

CUresult vgh_cuSurfObjectGetResourceDesc(CUDA_RESOURCE_DESC *d, CUsurfObject object)
{
	struct object o;
	CUresult r = d ? look(object, true, &o) : CUDA_ERROR_INVALID_VALUE;

	if (!r)
		*d = o.resource;
	return r;
}
