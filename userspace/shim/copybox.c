// SPDX-License-Identifier: Apache-2.0
/*
 * Copies of boxes: two and three dimensions, arrays.  A side in pageable memory of
 * the guest is packed in the arena, in as many parts as that takes; the executor
 * unpacks.  What the device reaches it reads or writes itself.
 */
#include "client.h"
#include "graph_stage.h"
#include "shim.h"
#include "shim_calls.h"

#define PART_MAX (4u << 20)

/* One side of a copy, as CUDA_MEMCPY3D gives it. */
struct side {
	bool host;
	uint8_t *base;			/* host */
	CUdeviceptr device;
	CUarray array;
	uint64_t x, y, z, lod, pitch, height;
};

static CUresult side_of(struct side *s, CUmemorytype type, const void *host, CUdeviceptr device,
			CUarray array)
{
	struct vg_range r;

	s->base = (uint8_t *)(uintptr_t)host;
	s->device = device;
	switch (type) {
	case CU_MEMORYTYPE_HOST:
		s->host = true;
		return CUDA_SUCCESS;
	case CU_MEMORYTYPE_DEVICE:
		return CUDA_SUCCESS;
	case CU_MEMORYTYPE_ARRAY:
		s->array = array;
		s->device = 0;
		return vg_object_get(array, VG_ARRAY) ? CUDA_SUCCESS :
							vg_object_wrong(array, VG_ARRAY);
	case CU_MEMORYTYPE_UNIFIED:
		s->host = !vg_range_find(device, &r) || !vg_range_on_device(&r);
		s->base = (uint8_t *)(uintptr_t)device;
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

/* Whether pitch and height leave room for the box. */
static bool roomy(struct side *s, uint64_t width, uint64_t height, uint64_t depth)
{
	uint64_t row, rows;

	if (s->array)
		return true;
	if (__builtin_add_overflow(s->x, width, &row) || __builtin_add_overflow(s->y, height, &rows))
		return false;
	if (!s->pitch && height == 1 && depth == 1)
		s->pitch = row;
	if (!s->height && depth == 1)
		s->height = rows;
	return s->pitch >= row && (depth == 1 || s->height >= rows);
}

/* Whether a side of this process is all mapped for the device, and so is one of its own. */
static bool reach(struct side *s, uint64_t width, uint64_t height, uint64_t depth)
{
	uint64_t last, end;

	if (!s->host || __builtin_add_overflow(s->z, depth - 1, &last) ||
	    __builtin_mul_overflow(last, s->height, &last) ||
	    __builtin_add_overflow(last, s->y + height - 1, &last) ||
	    __builtin_mul_overflow(last, s->pitch, &last) ||
	    __builtin_add_overflow(last, s->x + width, &end) ||
	    !vg_range_shared((uintptr_t)s->base, end))
		return false;
	s->device = (uintptr_t)s->base;
	s->host = false;
	return true;
}

static uint8_t *host_row(const struct side *s, uint64_t y, uint64_t z)
{
	return s->base + ((s->z + z) * s->height + s->y + y) * s->pitch + s->x;
}

/* The part at (x, y, z) of the box, for the executor. */
static void fill(vgpu_copy3d *c, const struct side *src, const struct side *dst, uint64_t x,
		 uint64_t y, uint64_t z, uint64_t width, uint64_t height, uint64_t depth)
{
	*c = (vgpu_copy3d){
		.src = src->device, .src_array = src->array, .src_x = src->x + x,
		.src_y = src->y + y, .src_z = src->z + z, .src_lod = src->lod,
		.src_pitch = src->pitch, .src_height = src->height,
		.dst = dst->device, .dst_array = dst->array, .dst_x = dst->x + x,
		.dst_y = dst->y + y, .dst_z = dst->z + z, .dst_lod = dst->lod,
		.dst_pitch = dst->pitch, .dst_height = dst->height,
		.width = width, .height = height, .depth = depth,
	};
}

/* Rows y.. of slices z.., from column x on, between the guest's side and the arena. */
static void pack(const struct side *host, uint8_t *arena, bool in, uint64_t x, uint64_t y,
		 uint64_t z, uint64_t width, uint64_t height, uint64_t depth)
{
	for (uint64_t k = 0; k < depth; k++) {
		for (uint64_t j = 0; j < height; j++, arena += width) {
			uint8_t *row = host_row(host, y + j, z + k) + x;

			if (in)
				memcpy(arena, row, width);
			else
				memcpy(row, arena, width);
		}
	}
}

static CUresult part(const struct side *src, const struct side *dst, CUstream s, uint64_t x,
		     uint64_t y, uint64_t z, uint64_t width, uint64_t height, uint64_t depth)
{
	struct vg_block block;
	vgpu_copy3d c;
	CUresult r;

	fill(&c, src, dst, x, y, z, width, height, depth);
	/* The executor sees nothing of the guest's own addresses. */
	if (src->host)
		c.src = 0;
	if (dst->host)
		c.dst = 0;
	r = vg_arena_alloc(&block, width * height * depth);
	if (r)
		return r;
	if (src->host) {
		pack(src, block.ptr, true, x, y, z, width, height, depth);
		r = vgw_vgpu_write3d(true, &c, s, &block);
	} else {
		r = vgw_vgpu_read3d(&c, s, &block);
		if (!r)
			pack(dst, block.ptr, false, x, y, z, width, height, depth);
	}
	vg_arena_free(&block);
	return r;
}

static CUresult parts(const struct side *src, const struct side *dst, CUstream s, uint64_t width,
		      uint64_t height, uint64_t depth)
{
	uint64_t most = vg_arena_max() / 4, columns, rows, slices;
	CUresult r;

	if (most > PART_MAX)
		most = PART_MAX;
	columns = width < most ? width : most;
	rows = columns < width ? 1 : most / width;
	rows = rows < height ? rows : height;
	slices = rows < height ? 1 : most / (width * height);
	slices = slices < depth ? slices : depth;
	for (uint64_t z = 0; z < depth; z += slices) {
		uint64_t nz = depth - z < slices ? depth - z : slices;

		for (uint64_t y = 0; y < height; y += rows) {
			uint64_t ny = height - y < rows ? height - y : rows;

			for (uint64_t x = 0; x < width; x += columns) {
				uint64_t nx = width - x < columns ? width - x : columns;

				r = part(src, dst, s, x, y, z, nx, ny, nz);
				if (r)
					return r;
			}
		}
	}
	return CUDA_SUCCESS;
}

static CUresult check(struct side *src, struct side *dst, uint64_t width, uint64_t height,
		      uint64_t depth)
{
	if (width > (1ull << 40) || height > (1ull << 32) || depth > (1ull << 32) ||
	    !roomy(src, width, height, depth) || !roomy(dst, width, height, depth))
		return CUDA_ERROR_INVALID_VALUE;
	if ((src->host && !src->base) || (dst->host && !dst->base))
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

static CUDA_MEMCPY3D whole_box(const struct side *src, const struct side *dst, uint64_t width,
			       uint64_t height, uint64_t depth)
{
	return (CUDA_MEMCPY3D){
		.srcMemoryType = src->host ? CU_MEMORYTYPE_HOST :
				 src->array ? CU_MEMORYTYPE_ARRAY : CU_MEMORYTYPE_DEVICE,
		.srcHost = src->host ? src->base : NULL,
		.srcDevice = src->host ? 0 : src->device, .srcArray = src->array,
		.srcXInBytes = src->x, .srcY = src->y, .srcZ = src->z, .srcLOD = src->lod,
		.srcPitch = src->pitch, .srcHeight = src->height,
		.dstMemoryType = dst->host ? CU_MEMORYTYPE_HOST :
				 dst->array ? CU_MEMORYTYPE_ARRAY : CU_MEMORYTYPE_DEVICE,
		.dstHost = dst->host ? dst->base : NULL,
		.dstDevice = dst->host ? 0 : dst->device, .dstArray = dst->array,
		.dstXInBytes = dst->x, .dstY = dst->y, .dstZ = dst->z, .dstLOD = dst->lod,
		.dstPitch = dst->pitch, .dstHeight = dst->height,
		.WidthInBytes = width, .Height = height, .Depth = depth,
	};
}

/* `wait`: also where the device itself reads or writes memory of this process. */
static CUresult copy(struct side *src, struct side *dst, CUstream s, uint64_t width,
		     uint64_t height, uint64_t depth, bool wait)
{
	CUresult r = vg_context_ready();
	vgpu_copy3d c;
	bool reached;

	if (r)
		return r;
	if (!width || !height || !depth)
		return CUDA_SUCCESS;
	r = check(src, dst, width, height, depth);
	if (r)
		return r;
	/* In a capture the memory is read, or written, when the graph runs. */
	if (!wait && (src->host || dst->host) && vg_staged_captures(s)) {
		CUDA_MEMCPY3D p;

		reach(src, width, height, depth);
		reach(dst, width, height, depth);
		p = whole_box(src, dst, width, height, depth);
		if (src->host || dst->host)
			return vg_staged_capture(s, &p);
	}
	if (src->host && dst->host) {
		r = vgw_cuStreamSynchronize(s);
		for (uint64_t z = 0; !r && z < depth; z++)
			for (uint64_t y = 0; y < height; y++)
				memmove(host_row(dst, y, z), host_row(src, y, z), width);
		return r;
	}
	reached = reach(src, width, height, depth) || reach(dst, width, height, depth);
	/* What the device reaches in part it may still be writing, for all that is in the stream. */
	if (src->host && !vg_capturing() && vg_range_shared((uintptr_t)src->base, 1))
		r = vgw_cuStreamSynchronize(s);
	if (r || src->host || dst->host)
		return r ? r : parts(src, dst, s, width, height, depth);
	fill(&c, src, dst, 0, 0, 0, width, height, depth);
	r = vgw_vgpu_copy3d_device(true, &c, s);
	return r || !reached || !wait ? r : vgw_cuStreamSynchronize(s);
}

static CUresult sides(const CUDA_MEMCPY3D *p, struct side *src, struct side *dst)
{
	CUresult r;

	*src = (struct side){
		.x = p->srcXInBytes, .y = p->srcY, .z = p->srcZ, .lod = p->srcLOD,
		.pitch = p->srcPitch, .height = p->srcHeight,
	};
	*dst = (struct side){
		.x = p->dstXInBytes, .y = p->dstY, .z = p->dstZ, .lod = p->dstLOD,
		.pitch = p->dstPitch, .height = p->dstHeight,
	};
	r = side_of(src, p->srcMemoryType, p->srcHost, p->srcDevice, p->srcArray);
	return r ? r : side_of(dst, p->dstMemoryType, p->dstHost, p->dstDevice, p->dstArray);
}

static CUresult copy3d(const CUDA_MEMCPY3D *p, CUstream s, bool wait)
{
	struct side src, dst;
	CUresult r;

	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	r = sides(p, &src, &dst);
	return r ? r : copy(&src, &dst, s, p->WidthInBytes, p->Height, p->Depth, wait);
}

CUresult vg_box(const CUDA_MEMCPY3D *p, vgpu_copy3d *c, bool *host)
{
	struct side src, dst;
	CUresult r = sides(p, &src, &dst);

	if (r)
		return r;
	*host = src.host || dst.host;
	fill(c, &src, &dst, 0, 0, 0, p->WidthInBytes, p->Height, p->Depth);
	return CUDA_SUCCESS;
}

CUresult vg_box_whole(const CUDA_MEMCPY3D *p, CUDA_MEMCPY3D *whole)
{
	uint64_t width = p->WidthInBytes, height = p->Height, depth = p->Depth;
	struct side src, dst;
	CUresult r = sides(p, &src, &dst);

	if (!r)
		r = check(&src, &dst, width, height, depth);
	if (r)
		return r;
	if (width && height && depth) {
		reach(&src, width, height, depth);
		reach(&dst, width, height, depth);
	}
	*whole = whole_box(&src, &dst, width, height, depth);
	return CUDA_SUCCESS;
}

/* A synchronous copy's sides, as far as they have addresses. */
#define DONE(r, p, none) \
	vg_memop_done(r, none, p ? (p)->dstDevice : 0, p ? (p)->srcDevice : 0)

/* Between contexts; which one is the device's side's matters only where both are devices'. */
static CUresult copy3d_peer(const CUDA_MEMCPY3D_PEER *p, CUstream s, bool wait)
{
	struct side src, dst;
	CUDA_MEMCPY3D q;
	vgpu_copy3d c;
	CUresult r;

	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	q = (CUDA_MEMCPY3D){
		.srcXInBytes = p->srcXInBytes, .srcY = p->srcY, .srcZ = p->srcZ,
		.srcLOD = p->srcLOD, .srcMemoryType = p->srcMemoryType, .srcHost = p->srcHost,
		.srcDevice = p->srcDevice, .srcArray = p->srcArray, .srcPitch = p->srcPitch,
		.srcHeight = p->srcHeight, .dstXInBytes = p->dstXInBytes, .dstY = p->dstY,
		.dstZ = p->dstZ, .dstLOD = p->dstLOD, .dstMemoryType = p->dstMemoryType,
		.dstHost = p->dstHost, .dstDevice = p->dstDevice, .dstArray = p->dstArray,
		.dstPitch = p->dstPitch, .dstHeight = p->dstHeight,
		.WidthInBytes = p->WidthInBytes, .Height = p->Height, .Depth = p->Depth,
	};
	r = sides(&q, &src, &dst);
	if (r)
		return r;
	if (src.host || dst.host)
		return copy(&src, &dst, s, p->WidthInBytes, p->Height, p->Depth, wait);
	r = vg_context_ready();
	if (r || !p->WidthInBytes || !p->Height || !p->Depth)
		return r;
	if (!roomy(&src, p->WidthInBytes, p->Height, p->Depth) ||
	    !roomy(&dst, p->WidthInBytes, p->Height, p->Depth))
		return CUDA_ERROR_INVALID_VALUE;
	fill(&c, &src, &dst, 0, 0, 0, p->WidthInBytes, p->Height, p->Depth);
	return vgw_vgpu_copy3d_peer(true, &c, p->dstContext, p->srcContext, s);
}

CUresult vgh_cuMemcpy3DPeer(CUstream none, const CUDA_MEMCPY3D_PEER *p)
{
	return DONE(copy3d_peer(p, none, true), p, none);
}

CUresult vgh_cuMemcpy3DPeerAsync(const CUDA_MEMCPY3D_PEER *p, CUstream s)
{
	return copy3d_peer(p, s, false);
}

static CUresult copy2d(const CUDA_MEMCPY2D *p, CUstream s, bool wait)
{
	CUDA_MEMCPY3D q;

	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	q = (CUDA_MEMCPY3D){
		.srcXInBytes = p->srcXInBytes, .srcY = p->srcY, .srcMemoryType = p->srcMemoryType,
		.srcHost = p->srcHost, .srcDevice = p->srcDevice, .srcArray = p->srcArray,
		.srcPitch = p->srcPitch, .dstXInBytes = p->dstXInBytes, .dstY = p->dstY,
		.dstMemoryType = p->dstMemoryType, .dstHost = p->dstHost,
		.dstDevice = p->dstDevice, .dstArray = p->dstArray, .dstPitch = p->dstPitch,
		.WidthInBytes = p->WidthInBytes, .Height = p->Height, .Depth = 1,
	};
	return copy3d(&q, s, wait);
}

CUresult vgh_cuMemcpy3D_v2(CUstream none, const CUDA_MEMCPY3D *p)
{
	return DONE(copy3d(p, none, true), p, none);
}

CUresult vgh_cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D *p, CUstream s)
{
	return copy3d(p, s, false);
}

CUresult vgh_cuMemcpy2D_v2(CUstream none, const CUDA_MEMCPY2D *p)
{
	return DONE(copy2d(p, none, true), p, none);
}

CUresult vgh_cuMemcpy2DUnaligned_v2(CUstream none, const CUDA_MEMCPY2D *p)
{
	return DONE(copy2d(p, none, true), p, none);
}

CUresult vgh_cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *p, CUstream s)
{
	return copy2d(p, s, false);
}

/* -- one dimension, with an array on a side; offsets are in bytes */

static struct side array_side(CUarray array, size_t offset)
{
	return (struct side){ .array = array, .x = offset };
}

static CUresult linear(struct side src, struct side dst, size_t bytes, CUstream s, bool wait)
{
	if ((src.array && !vg_object_get(src.array, VG_ARRAY)) ||
	    (dst.array && !vg_object_get(dst.array, VG_ARRAY)))
		return vg_wrong_handle(VG_ARRAY);
	return copy(&src, &dst, s, bytes, 1, 1, wait);
}

CUresult vgh_cuMemcpyDtoA_v2(CUstream none, CUarray dst, size_t offset, CUdeviceptr src, size_t n)
{
	return linear((struct side){ .device = src }, array_side(dst, offset), n, none,
		      true);
}

CUresult vgh_cuMemcpyAtoD_v2(CUstream none, CUdeviceptr dst, CUarray src, size_t offset, size_t n)
{
	return linear(array_side(src, offset), (struct side){ .device = dst }, n, none,
		      true);
}

CUresult vgh_cuMemcpyAtoA_v2(CUstream none, CUarray dst, size_t dst_offset, CUarray src,
			     size_t src_offset, size_t n)
{
	return linear(array_side(src, src_offset), array_side(dst, dst_offset), n, none, true);
}

static CUresult to_array(CUarray dst, size_t offset, const void *src, size_t n, CUstream s,
			 bool wait)
{
	return linear((struct side){ .host = true, .base = (uint8_t *)(uintptr_t)src },
		      array_side(dst, offset), n, s, wait);
}

static CUresult from_array(void *dst, CUarray src, size_t offset, size_t n, CUstream s, bool wait)
{
	return linear(array_side(src, offset), (struct side){ .host = true, .base = dst }, n, s,
		      wait);
}

CUresult vgh_cuMemcpyHtoAAsync_v2(CUarray dst, size_t offset, const void *src, size_t n, CUstream s)
{
	return to_array(dst, offset, src, n, s, false);
}

CUresult vgh_cuMemcpyAtoHAsync_v2(void *dst, CUarray src, size_t offset, size_t n, CUstream s)
{
	return from_array(dst, src, offset, n, s, false);
}

CUresult vgh_cuMemcpyHtoA_v2(CUstream none, CUarray dst, size_t offset, const void *src, size_t n)
{
	return to_array(dst, offset, src, n, none, true);
}

CUresult vgh_cuMemcpyAtoH_v2(CUstream none, void *dst, CUarray src, size_t offset, size_t n)
{
	return from_array(dst, src, offset, n, none, true);
}
