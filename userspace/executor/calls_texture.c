// SPDX-License-Identifier: Apache-2.0
/*
 * Arrays, textures and surfaces.  An array's memory is charged by what its
 * elements take; a kernel knows a texture or surface by the driver's own number,
 * so that crosses, and is looked up here when it comes back.
 */
#include "calls.h"
#include "vg_cuda.h"

/* Numbers in the table of allocations that no address has. */
#define TEXTURE (1ull << 62)
#define SURFACE (1ull << 61)

#define FLAGS (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_SURFACE_LDST | CUDA_ARRAY3D_CUBEMAP | \
	       CUDA_ARRAY3D_TEXTURE_GATHER | CUDA_ARRAY3D_DEPTH_TEXTURE | \
	       CUDA_ARRAY3D_COLOR_ATTACHMENT)

static uint64_t element_bytes(CUarray_format f)
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
		return 8;	/* no other takes more */
	}
}

static bool array_bytes(const CUDA_ARRAY3D_DESCRIPTOR *d, uint64_t *bytes)
{
	*bytes = element_bytes(d->Format) * (d->NumChannels ? d->NumChannels : 1);
	return d->NumChannels <= 4 && !__builtin_mul_overflow(*bytes, d->Width, bytes) &&
	       !__builtin_mul_overflow(*bytes, d->Height ? d->Height : 1, bytes) &&
	       !__builtin_mul_overflow(*bytes, d->Depth ? d->Depth : 1, bytes) &&
	       *bytes < 1ull << 50;
}

static CUresult keep(struct vg_exec *x, CUresult r, uint64_t handle, uint64_t bytes, uint32_t ctx)
{
	if (!r && !vg_x_allocated(handle, bytes, bytes, ctx))
		r = CUDA_ERROR_OUT_OF_MEMORY;	/* it goes with the context */
	else if (r)
		vg_exec_uncharge(x, bytes);
	return r;
}

static CUresult start(struct vg_exec *x, const CUDA_ARRAY3D_DESCRIPTOR *d, uint64_t *bytes)
{
	if (d->Flags & ~FLAGS)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!array_bytes(d, bytes))
		return CUDA_ERROR_INVALID_VALUE;
	if (vg_x_pieces(*bytes))
		*bytes = vg_x_pieces(*bytes);
	return vg_exec_charge(x, *bytes) ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult vge_cuArrayCreate_v2(struct vg_exec *x, const struct vg_req *rq, CUarray *array,
			      const CUDA_ARRAY_DESCRIPTOR *d)
{
	const CUDA_ARRAY3D_DESCRIPTOR whole = {
		.Width = d->Width, .Height = d->Height, .Format = d->Format,
		.NumChannels = d->NumChannels,
	};
	uint64_t bytes;
	CUresult r;

	if (!cu.cuArrayCreate_v2 || !cu.cuArrayDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = start(x, &whole, &bytes);
	if (r)
		return r;
	r = cu.cuArrayCreate_v2(array, d);
	return keep(x, r, (uintptr_t)*array, bytes, rq->ctx);
}

CUresult vge_cuArray3DCreate_v2(struct vg_exec *x, const struct vg_req *rq, CUarray *array,
				const CUDA_ARRAY3D_DESCRIPTOR *d)
{
	uint64_t bytes;
	CUresult r;

	if (!cu.cuArray3DCreate_v2 || !cu.cuArrayDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = start(x, d, &bytes);
	if (r)
		return r;
	r = cu.cuArray3DCreate_v2(array, d);
	return keep(x, r, (uintptr_t)*array, bytes, rq->ctx);
}

CUresult vge_cuMipmappedArrayCreate(struct vg_exec *x, const struct vg_req *rq,
				    CUmipmappedArray *mipmap, const CUDA_ARRAY3D_DESCRIPTOR *d,
				    unsigned int levels)
{
	uint64_t bytes;
	CUresult r;

	if (!cu.cuMipmappedArrayCreate || !cu.cuMipmappedArrayDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = start(x, d, &bytes);
	if (r)
		return r;
	/* In one dimension, where they shrink slowest, the levels below take as much again. */
	if (!vg_exec_charge(x, bytes)) {
		vg_exec_uncharge(x, bytes);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	r = cu.cuMipmappedArrayCreate(mipmap, d, levels);
	return keep(x, r, (uintptr_t)*mipmap, 2 * bytes, rq->ctx);
}

static CUresult gone(struct vg_exec *x, CUresult r, uint64_t handle)
{
	struct vg_x_freed a;

	if (!r && vg_x_freed(handle, &a))
		vg_x_uncharge(x, &a);
	return r;
}

CUresult vge_cuArrayDestroy(struct vg_exec *x, const struct vg_req *rq, CUarray array)
{
	(void)rq;
	if (!cu.cuArrayDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	return gone(x, cu.cuArrayDestroy(array), (uintptr_t)array);
}

CUresult vge_cuMipmappedArrayDestroy(struct vg_exec *x, const struct vg_req *rq,
				     CUmipmappedArray mipmap)
{
	(void)rq;
	if (!cu.cuMipmappedArrayDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	return gone(x, cu.cuMipmappedArrayDestroy(mipmap), (uintptr_t)mipmap);
}

/* -- objects */

static CUresult resource(const vgpu_resource *in, CUDA_RESOURCE_DESC *out)
{
	*out = (CUDA_RESOURCE_DESC){ .resType = in->type, .flags = in->flags };
	switch (in->type) {
	case CU_RESOURCE_TYPE_ARRAY:
		out->res.array.hArray = in->array;
		return in->array ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
	case CU_RESOURCE_TYPE_MIPMAPPED_ARRAY:
		out->res.mipmap.hMipmappedArray = in->mipmap;
		return in->mipmap ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
	case CU_RESOURCE_TYPE_LINEAR:
		out->res.linear.devPtr = in->address;
		out->res.linear.format = in->format;
		out->res.linear.numChannels = in->channels;
		out->res.linear.sizeInBytes = in->bytes;
		return CUDA_SUCCESS;
	case CU_RESOURCE_TYPE_PITCH2D:
		out->res.pitch2D.devPtr = in->address;
		out->res.pitch2D.format = in->format;
		out->res.pitch2D.numChannels = in->channels;
		out->res.pitch2D.width = in->width;
		out->res.pitch2D.height = in->height;
		out->res.pitch2D.pitchInBytes = in->pitch;
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

CUresult vge_vgpu_texture(struct vg_exec *x, const struct vg_req *rq, const vgpu_resource *in,
			  const CUDA_TEXTURE_DESC *texture, const CUDA_RESOURCE_VIEW_DESC *view,
			  uint64_t *object)
{
	CUDA_RESOURCE_DESC desc;
	CUtexObject made = 0;
	CUresult r = resource(in, &desc);

	(void)x;
	if (!cu.cuTexObjectCreate || !cu.cuTexObjectDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!r)
		r = cu.cuTexObjectCreate(&made, &desc, texture, view);
	if (!r && !vg_x_allocated(TEXTURE | made, 0, 0, rq->ctx)) {
		cu.cuTexObjectDestroy(made);
		r = CUDA_ERROR_OUT_OF_MEMORY;
	}
	*object = made;
	return r;
}

CUresult vge_vgpu_texture_end(struct vg_exec *x, const struct vg_req *rq, uint64_t object)
{
	struct vg_x_freed a;

	(void)x;
	(void)rq;
	if (!cu.cuTexObjectDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!vg_x_freed(TEXTURE | object, &a))
		return CUDA_ERROR_INVALID_VALUE;
	return vg_x_freed_or_not(cu.cuTexObjectDestroy(object), &a);
}

CUresult vge_vgpu_surface(struct vg_exec *x, const struct vg_req *rq, const vgpu_resource *in,
			  uint64_t *object)
{
	CUDA_RESOURCE_DESC desc;
	CUsurfObject made = 0;
	CUresult r = resource(in, &desc);

	(void)x;
	if (!cu.cuSurfObjectCreate || !cu.cuSurfObjectDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!r)
		r = cu.cuSurfObjectCreate(&made, &desc);
	if (!r && !vg_x_allocated(SURFACE | made, 0, 0, rq->ctx)) {
		cu.cuSurfObjectDestroy(made);
		r = CUDA_ERROR_OUT_OF_MEMORY;
	}
	*object = made;
	return r;
}

CUresult vge_vgpu_surface_end(struct vg_exec *x, const struct vg_req *rq, uint64_t object)
{
	struct vg_x_freed a;

	(void)x;
	(void)rq;
	if (!cu.cuSurfObjectDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!vg_x_freed(SURFACE | object, &a))
		return CUDA_ERROR_INVALID_VALUE;
	return vg_x_freed_or_not(cu.cuSurfObjectDestroy(object), &a);
}
