// SPDX-License-Identifier: Apache-2.0
/* Copies and fills, of one to three dimensions. */
#include <stdlib.h>
#include <string.h>

#include "api.h"

/* Mappings side by side in one reservation are one memory. */
static bool crosses(struct sg_range r, uint64_t p, uint64_t n)
{
	int64_t delta = r.delta;

	while (r.kind == RG_MAPPED && r.delta == delta) {
		if (n <= r.addr + r.size - p)
			return true;
		n -= r.addr + r.size - p;
		p = r.addr + r.size;
		if (!sg_range_find(p, &r))
			return false;
	}
	return false;
}

/* Where the bytes of [p, p + n) are. Plain host memory is taken as it is. */
CUresult sg_copy_pointer(uint64_t p, uint64_t n, bool device, void **out)
{
	struct sg_range r;

	if (sg_range_find(p, &r)) {
		/* host memory may reach past the part that is registered */
		bool host = r.kind == RG_HOST || r.kind == RG_REGISTERED;

		if (n > r.size - (p - r.addr) && (device || !host) && !crosses(r, p, n))
			return CUDA_ERROR_INVALID_VALUE;
		*out = (void *)(uintptr_t)(p + r.delta);
		return CUDA_SUCCESS;
	}
	if (device || !p)
		return CUDA_ERROR_INVALID_VALUE;
	for (int i = 0; i < sg_device_count(); i++) {
		struct sg_heap *h = &sg_device(i)->heap;

		if (p - h->base < 2 * h->total)
			return CUDA_ERROR_INVALID_VALUE;
	}
	*out = (void *)(uintptr_t)p;
	return CUDA_SUCCESS;
}

static bool pageable(const void *p)
{
	struct sg_range r;

	return !sg_range_find((uint64_t)(uintptr_t)p, &r);
}

/*
 * Bytes from the first of a box of rows to behind its last: `width` bytes a row, rows of
 * a slice `pitch` apart, slices `rows` rows apart.  False: no address space has as many.
 */
static bool span_of(uint64_t width, uint64_t height, uint64_t depth, uint64_t pitch,
		    uint64_t rows, uint64_t *span)
{
	return !__builtin_mul_overflow(depth - 1, rows, span) &&
	       !__builtin_add_overflow(*span, height - 1, span) &&
	       !__builtin_mul_overflow(*span, pitch, span) &&
	       !__builtin_add_overflow(*span, width, span);
}

/* A box of rows: width bytes, height rows, depth slices. */
struct copy_work {
	struct sg_work w;
	char *dst;
	const char *src;
	size_t width, height, depth;
	size_t dst_pitch, src_pitch, dst_slice, src_slice;
	char *staged;
};

static int run_copy(struct sg_work *w)
{
	struct copy_work *c = (struct copy_work *)w;

	for (size_t z = 0; z < c->depth; z++)
		for (size_t y = 0; y < c->height; y++)
			memmove(c->dst + z * c->dst_slice + y * c->dst_pitch,
				c->src + z * c->src_slice + y * c->src_pitch, c->width);
	return 0;
}

static void release_copy(struct sg_work *w)
{
	free(((struct copy_work *)w)->staged);
}

static CUresult finish(CUcontext ctx, CUstream stream, bool async, struct sg_work *w)
{
	CUstream s;
	CUresult rc;

	if (!w)
		return CUDA_ERROR_OUT_OF_MEMORY;
	rc = sg_stream_get(ctx, stream, &s);
	if (rc) {
		if (w->release)
			w->release(w);
		free(w);
		return rc;
	}
	rc = async ? sg_submit(s, w) : sg_run_sync(s, w);
	sg_stream_put(s);
	return rc;
}

/*
 * One dimension. An asynchronous copy from pageable memory has read its source when the call
 * returns, and one to pageable memory has completed, as on the hardware.
 */
static CUresult copy1(CUdeviceptr dst, bool dst_dev, CUdeviceptr src, bool src_dev, size_t n,
		      CUstream stream, bool async)
{
	struct copy_work *c;
	void *d, *s;
	CUresult rc;

	SG_ENTER(ctx);
	if (!n)
		return CUDA_SUCCESS;
	rc = sg_copy_pointer(dst, n, dst_dev, &d);
	if (!rc)
		rc = sg_copy_pointer(src, n, src_dev, &s);
	if (rc)
		return rc;
	if (sg_capturing(ctx, stream)) {
		const CUDA_MEMCPY3D p = {
			.srcMemoryType = src_dev ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_UNIFIED,
			.dstMemoryType = dst_dev ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_UNIFIED,
			.srcDevice = src, .dstDevice = dst, .WidthInBytes = n, .Height = 1,
			.Depth = 1,
		};

		return async ? SG_CAPTURE(ctx, stream, cuGraphAddMemcpyNode, &p, ctx) :
			       sg_capture_break(ctx, stream);
	}
	c = sg_work_new(sizeof(*c), run_copy);
	if (!c)
		return CUDA_ERROR_OUT_OF_MEMORY;
	c->dst = d;
	c->src = s;
	c->width = n;
	c->height = c->depth = 1;
	if (async && !dst_dev && pageable(d))
		async = false;
	if (async && !src_dev && pageable(s)) {
		c->staged = malloc(n);
		if (c->staged) {
			memcpy(c->staged, s, n);
			c->src = c->staged;
			c->w.release = release_copy;
			c->w.staged = n;
		} else {
			async = false;
		}
	}
	return finish(ctx, stream, async, &c->w);
}

#define HOST(p) ((CUdeviceptr)(uintptr_t)(p))

SG_API CUresult cuMemcpyHtoD_v2(CUdeviceptr dst, const void *src, size_t n)
{
	return copy1(dst, true, HOST(src), false, n, NULL, false);
}

SG_API CUresult cuMemcpyDtoH_v2(void *dst, CUdeviceptr src, size_t n)
{
	return copy1(HOST(dst), false, src, true, n, NULL, false);
}

SG_API CUresult cuMemcpyDtoD_v2(CUdeviceptr dst, CUdeviceptr src, size_t n)
{
	return copy1(dst, true, src, true, n, NULL, false);
}

SG_API CUresult cuMemcpy(CUdeviceptr dst, CUdeviceptr src, size_t n)
{
	return copy1(dst, false, src, false, n, NULL, false);
}

SG_API CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr dst, const void *src, size_t n, CUstream stream)
{
	return copy1(dst, true, HOST(src), false, n, stream, true);
}

SG_API CUresult cuMemcpyDtoHAsync_v2(void *dst, CUdeviceptr src, size_t n, CUstream stream)
{
	return copy1(HOST(dst), false, src, true, n, stream, true);
}

SG_API CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr dst, CUdeviceptr src, size_t n, CUstream stream)
{
	return copy1(dst, true, src, true, n, stream, true);
}

SG_API CUresult cuMemcpyAsync(CUdeviceptr dst, CUdeviceptr src, size_t n, CUstream stream)
{
	return copy1(dst, false, src, false, n, stream, true);
}

/* None stands for the context of the call, as on a GPU (580.159). */
static bool peer_ok(CUcontext c)
{
	return !c || sg_context_check(c);
}

SG_API CUresult cuMemcpyPeer(CUdeviceptr dst, CUcontext dst_ctx, CUdeviceptr src, CUcontext src_ctx,
			     size_t n)
{
	SG_NEED_INIT();
	if (!peer_ok(dst_ctx) || !peer_ok(src_ctx))
		return CUDA_ERROR_INVALID_CONTEXT;
	return copy1(dst, true, src, true, n, NULL, false);
}

SG_API CUresult cuMemcpyPeerAsync(CUdeviceptr dst, CUcontext dst_ctx, CUdeviceptr src,
				  CUcontext src_ctx, size_t n, CUstream stream)
{
	SG_NEED_INIT();
	if (!peer_ok(dst_ctx) || !peer_ok(src_ctx))
		return CUDA_ERROR_INVALID_CONTEXT;
	return copy1(dst, true, src, true, n, stream, true);
}

/* One side of a copy of two or three dimensions. */
struct side {
	CUmemorytype type;
	CUdeviceptr base;
	size_t x, y, z, pitch, height;
	CUarray array;
};

/* Of an array it says what its rows are. */
static CUresult in_array(struct side *s, size_t width, size_t height, size_t depth)
{
	CUarray a = sg_array_of(s->array);

	if (!a)
		return CUDA_ERROR_INVALID_HANDLE;
	if (width > a->pitch || s->x > a->pitch - width || height > a->rows ||
	    s->y > a->rows - height || depth > a->layers || s->z > a->layers - depth)
		return CUDA_ERROR_INVALID_VALUE;
	s->type = CU_MEMORYTYPE_DEVICE;
	s->base = a->base;
	s->pitch = a->pitch;
	s->height = a->rows;
	return CUDA_SUCCESS;
}

static CUresult locate(struct side *s, size_t width, size_t height, size_t depth,
		       char **out)
{
	uint64_t start, span, row, slice;
	void *p;
	CUresult rc;

	if (s->type == CU_MEMORYTYPE_ARRAY) {
		rc = in_array(s, width, height, depth);
		if (rc)
			return rc;
	}
	if (s->type != CU_MEMORYTYPE_HOST && s->type != CU_MEMORYTYPE_DEVICE &&
	    s->type != CU_MEMORYTYPE_UNIFIED)
		return CUDA_ERROR_INVALID_VALUE;
	if (__builtin_add_overflow(s->x, width, &row) || __builtin_add_overflow(s->y, height, &slice))
		return CUDA_ERROR_INVALID_VALUE;
	if (!s->pitch)
		s->pitch = row;
	if (!s->height)
		s->height = slice;
	if (s->pitch < row || (depth > 1 && s->height < slice) || s->pitch > 2147483647)
		return CUDA_ERROR_INVALID_VALUE;
	/* The way to the box is that of a box with one byte, in row y + 1 of slice z + 1. */
	if (s->y == UINT64_MAX || s->z == UINT64_MAX ||
	    !span_of(s->x, s->y + 1, s->z + 1, s->pitch, s->height, &start) ||
	    __builtin_add_overflow(start, s->base, &start) ||
	    !span_of(width, height, depth, s->pitch, s->height, &span))
		return CUDA_ERROR_INVALID_VALUE;
	rc = sg_copy_pointer(start, span, s->type == CU_MEMORYTYPE_DEVICE, &p);
	*out = p;
	return rc;
}

static CUresult copy3(struct side *dst, struct side *src, size_t width, size_t height, size_t depth,
		      CUstream stream, bool async)
{
	struct copy_work *c;
	char *d, *s;
	CUresult rc;

	SG_ENTER(ctx);
	if (!width || !height || !depth)
		return CUDA_SUCCESS;
	rc = locate(dst, width, height, depth, &d);
	if (!rc)
		rc = locate(src, width, height, depth, &s);
	if (rc)
		return rc;
	c = sg_work_new(sizeof(*c), run_copy);
	if (!c)
		return CUDA_ERROR_OUT_OF_MEMORY;
	c->dst = d;
	c->src = s;
	c->width = width;
	c->height = height;
	c->depth = depth;
	c->dst_pitch = dst->pitch;
	c->src_pitch = src->pitch;
	c->dst_slice = dst->pitch * dst->height;
	c->src_slice = src->pitch * src->height;
	/* pageable memory on either side: completed on return */
	if (async && (pageable(d) || pageable(s)))
		async = dst->type == CU_MEMORYTYPE_DEVICE && src->type == CU_MEMORYTYPE_DEVICE;
	return finish(ctx, stream, async, &c->w);
}

static CUresult copy2d(const CUDA_MEMCPY2D *c, CUstream stream, bool async)
{
	struct side dst, src;

	SG_ENTER(ctx);
	if (!c)
		return CUDA_ERROR_INVALID_VALUE;
	if (async && sg_capturing(ctx, stream))
		return sg_capture_break(ctx, stream);
	dst = (struct side){ .type = c->dstMemoryType, .x = c->dstXInBytes, .y = c->dstY,
			     .pitch = c->dstPitch, .array = c->dstArray, .base = c->dstMemoryType == CU_MEMORYTYPE_HOST ?
			     HOST(c->dstHost) : c->dstDevice };
	src = (struct side){ .type = c->srcMemoryType, .x = c->srcXInBytes, .y = c->srcY,
			     .pitch = c->srcPitch, .array = c->srcArray, .base = c->srcMemoryType == CU_MEMORYTYPE_HOST ?
			     HOST(c->srcHost) : c->srcDevice };
	return copy3(&dst, &src, c->WidthInBytes, c->Height, 1, stream, async);
}

SG_API CUresult cuMemcpy2D_v2(const CUDA_MEMCPY2D *c)
{
	return copy2d(c, NULL, false);
}

SG_API CUresult cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D *c)
{
	return copy2d(c, NULL, false);
}

SG_API CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *c, CUstream stream)
{
	return copy2d(c, stream, true);
}

static CUresult copy3d(const CUDA_MEMCPY3D *c, CUstream stream, bool async)
{
	struct side dst, src;

	SG_ENTER(ctx);
	if (!c || c->srcLOD || c->dstLOD)
		return CUDA_ERROR_INVALID_VALUE;
	if (async && sg_capturing(ctx, stream))
		return SG_CAPTURE(ctx, stream, cuGraphAddMemcpyNode, c, ctx);
	dst = (struct side){ .type = c->dstMemoryType, .x = c->dstXInBytes, .y = c->dstY,
			     .z = c->dstZ, .pitch = c->dstPitch, .height = c->dstHeight,
			     .array = c->dstArray,
			     .base = c->dstMemoryType == CU_MEMORYTYPE_HOST ? HOST(c->dstHost) :
			     c->dstDevice };
	src = (struct side){ .type = c->srcMemoryType, .x = c->srcXInBytes, .y = c->srcY,
			     .z = c->srcZ, .pitch = c->srcPitch, .height = c->srcHeight,
			     .array = c->srcArray,
			     .base = c->srcMemoryType == CU_MEMORYTYPE_HOST ? HOST(c->srcHost) :
			     c->srcDevice };
	return copy3(&dst, &src, c->WidthInBytes, c->Height, c->Depth, stream, async);
}

SG_API CUresult cuMemcpy3D_v2(const CUDA_MEMCPY3D *c)
{
	return copy3d(c, NULL, false);
}

SG_API CUresult cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D *c, CUstream stream)
{
	return copy3d(c, stream, true);
}

static CUresult copy3d_peer(const CUDA_MEMCPY3D_PEER *c, CUstream stream, bool async)
{
	CUDA_MEMCPY3D plain;

	if (!c || !sg_context_check(c->srcContext) || !sg_context_check(c->dstContext))
		return c ? CUDA_ERROR_INVALID_CONTEXT : CUDA_ERROR_INVALID_VALUE;
	plain = (CUDA_MEMCPY3D){
		.srcXInBytes = c->srcXInBytes, .srcY = c->srcY, .srcZ = c->srcZ,
		.srcLOD = c->srcLOD, .srcMemoryType = c->srcMemoryType, .srcHost = c->srcHost,
		.srcDevice = c->srcDevice, .srcArray = c->srcArray, .srcPitch = c->srcPitch,
		.srcHeight = c->srcHeight,
		.dstXInBytes = c->dstXInBytes, .dstY = c->dstY, .dstZ = c->dstZ,
		.dstLOD = c->dstLOD, .dstMemoryType = c->dstMemoryType, .dstHost = c->dstHost,
		.dstDevice = c->dstDevice, .dstArray = c->dstArray, .dstPitch = c->dstPitch,
		.dstHeight = c->dstHeight,
		.WidthInBytes = c->WidthInBytes, .Height = c->Height, .Depth = c->Depth,
	};
	return copy3d(&plain, stream, async);
}

SG_API CUresult cuMemcpy3DPeer(const CUDA_MEMCPY3D_PEER *c)
{
	return copy3d_peer(c, NULL, false);
}

SG_API CUresult cuMemcpy3DPeerAsync(const CUDA_MEMCPY3D_PEER *c, CUstream stream)
{
	return copy3d_peer(c, stream, true);
}

/* Fills */

struct fill_work {
	struct sg_work w;
	char *dst;
	size_t pitch, width, height;	/* width in elements */
	unsigned int value, size;
};

static int run_fill(struct sg_work *w)
{
	struct fill_work *f = (struct fill_work *)w;

	for (size_t y = 0; y < f->height; y++) {
		char *row = f->dst + y * f->pitch;

		if (f->size == 1) {
			memset(row, f->value, f->width);
		} else if (f->size == 2) {
			for (size_t i = 0; i < f->width; i++)
				((uint16_t *)row)[i] = f->value;
		} else {
			for (size_t i = 0; i < f->width; i++)
				((uint32_t *)row)[i] = f->value;
		}
	}
	return 0;
}

static CUresult fill(CUdeviceptr dst, size_t pitch, unsigned int value, unsigned int size,
		     size_t width, size_t height, CUstream stream, bool async)
{
	struct fill_work *f;
	uint64_t span;
	void *d;
	CUresult rc;

	SG_ENTER(ctx);
	if (width > SIZE_MAX / size || dst % size ||
	    (height > 1 && (pitch % size || pitch < width * size)))
		return CUDA_ERROR_INVALID_VALUE;
	if (!width || !height)
		return CUDA_SUCCESS;
	if (!span_of(width * size, height, 1, pitch, 0, &span))
		return CUDA_ERROR_INVALID_VALUE;
	rc = sg_copy_pointer(dst, span, true, &d);
	if (rc)
		return rc;
	if (async && sg_capturing(ctx, stream)) {
		const CUDA_MEMSET_NODE_PARAMS p = {
			.dst = dst, .pitch = pitch, .value = value, .elementSize = size,
			.width = width, .height = height,
		};

		return SG_CAPTURE(ctx, stream, cuGraphAddMemsetNode, &p, ctx);
	}
	f = sg_work_new(sizeof(*f), run_fill);
	if (!f)
		return CUDA_ERROR_OUT_OF_MEMORY;
	f->dst = d;
	f->pitch = pitch;
	f->width = width;
	f->height = height;
	f->value = value;
	f->size = size;
	return finish(ctx, stream, async, &f->w);
}

SG_API CUresult cuMemsetD8_v2(CUdeviceptr dst, unsigned char v, size_t n)
{
	return fill(dst, 0, v, 1, n, 1, NULL, false);
}

SG_API CUresult cuMemsetD16_v2(CUdeviceptr dst, unsigned short v, size_t n)
{
	return fill(dst, 0, v, 2, n, 1, NULL, false);
}

SG_API CUresult cuMemsetD32_v2(CUdeviceptr dst, unsigned int v, size_t n)
{
	return fill(dst, 0, v, 4, n, 1, NULL, false);
}

SG_API CUresult cuMemsetD2D8_v2(CUdeviceptr dst, size_t pitch, unsigned char v, size_t w, size_t h)
{
	return fill(dst, pitch, v, 1, w, h, NULL, false);
}

SG_API CUresult cuMemsetD2D16_v2(CUdeviceptr dst, size_t pitch, unsigned short v, size_t w,
				 size_t h)
{
	return fill(dst, pitch, v, 2, w, h, NULL, false);
}

SG_API CUresult cuMemsetD2D32_v2(CUdeviceptr dst, size_t pitch, unsigned int v, size_t w, size_t h)
{
	return fill(dst, pitch, v, 4, w, h, NULL, false);
}

SG_API CUresult cuMemsetD8Async(CUdeviceptr dst, unsigned char v, size_t n, CUstream stream)
{
	return fill(dst, 0, v, 1, n, 1, stream, true);
}

SG_API CUresult cuMemsetD16Async(CUdeviceptr dst, unsigned short v, size_t n, CUstream stream)
{
	return fill(dst, 0, v, 2, n, 1, stream, true);
}

SG_API CUresult cuMemsetD32Async(CUdeviceptr dst, unsigned int v, size_t n, CUstream stream)
{
	return fill(dst, 0, v, 4, n, 1, stream, true);
}

SG_API CUresult cuMemsetD2D8Async(CUdeviceptr dst, size_t pitch, unsigned char v, size_t w,
				  size_t h, CUstream stream)
{
	return fill(dst, pitch, v, 1, w, h, stream, true);
}

SG_API CUresult cuMemsetD2D16Async(CUdeviceptr dst, size_t pitch, unsigned short v, size_t w,
				   size_t h, CUstream stream)
{
	return fill(dst, pitch, v, 2, w, h, stream, true);
}

SG_API CUresult cuMemsetD2D32Async(CUdeviceptr dst, size_t pitch, unsigned int v, size_t w,
				   size_t h, CUstream stream)
{
	return fill(dst, pitch, v, 4, w, h, stream, true);
}
