// SPDX-License-Identifier: Apache-2.0
/*
 * Batches of copies.  Those of one batch may run in any order, so they are put into
 * the stream one after the other; what is wrong in a batch is found before the first.
 */
#include "client.h"
#include "graph_stage.h"
#include "shim.h"
#include "shim_calls.h"

/* The program's own word for which copy failed; SIZE_MAX: none in particular. */
static CUresult fail(size_t *index, size_t i, CUresult r)
{
	if (index)
		*index = i;
	return r;
}

static bool order_valid(CUmemcpySrcAccessOrder order)
{
	return order == CU_MEMCPY_SRC_ACCESS_ORDER_STREAM ||
	       order == CU_MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL ||
	       order == CU_MEMCPY_SRC_ACCESS_ORDER_ANY;
}

/* Batches go to streams that have an order of their own. */
static CUresult stream_ready(CUstream s)
{
	uint32_t id;
	CUresult r = vg_context_ready();

	if (r)
		return r;
	if (!s || s == CU_STREAM_LEGACY)
		return CUDA_ERROR_INVALID_VALUE;
	return vg_stream_id(s, &id);
}

/* Whether the device reads p itself, after the call that asked for it has returned. */
static bool read_later(CUdeviceptr p)
{
	struct vg_range r;

	return vg_range_find(p, &r) && (vg_range_on_device(&r) || r.shared);
}

/*
 * CUDA captures no batch at all.  Of one without pageable memory each copy is captured; pageable
 * memory may be gone when the graph runs, as the order of access allows.
 */
static CUresult pageable_captured(void)
{
	return vg_refuse("a captured batch with pageable memory",
			 "the memory may be read during the call alone");
}

/* first[k] is the first of `count` copies that set k of `sets` is for. */
static bool sets_valid(const size_t *first, size_t sets, size_t count)
{
	if (!first || !sets || sets > count || first[0])
		return false;
	for (size_t k = 1; k < sets; k++)
		if (first[k] <= first[k - 1] || first[k] >= count)
			return false;
	return true;
}

static CUresult batch(CUdeviceptr *dsts, CUdeviceptr *srcs, size_t *sizes, size_t count,
		      CUmemcpyAttributes *attrs, size_t *first, size_t sets, size_t *failed,
		      CUstream s)
{
	bool wait = false, captured;
	CUresult r = stream_ready(s);
	size_t set;

	if (r)
		return r == CUDA_ERROR_INVALID_VALUE ? r : fail(failed, SIZE_MAX, r);
	if (!dsts || !srcs || !sizes || !attrs || !count || !sets_valid(first, sets, count))
		return fail(failed, SIZE_MAX, CUDA_ERROR_INVALID_VALUE);
	for (set = 0; set < sets; set++)
		if (!order_valid(attrs[set].srcAccessOrder) ||
		    attrs[set].flags & ~CU_MEMCPY_FLAG_PREFER_OVERLAP_WITH_COMPUTE)
			return fail(failed, first[set], CUDA_ERROR_INVALID_VALUE);
	set = 0;
	captured = vg_staged_captures(s);
	for (size_t i = 0; i < count; i++) {
		if (set + 1 < sets && i == first[set + 1])
			set++;
		if (!dsts[i] || !srcs[i])
			return fail(failed, i, CUDA_ERROR_INVALID_VALUE);
		if (captured && !(read_later(srcs[i]) && read_later(dsts[i])))
			return fail(failed, i, pageable_captured());
		wait |= attrs[set].srcAccessOrder == CU_MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL &&
			read_later(srcs[i]);
	}
	for (size_t i = 0; i < count; i++) {
		r = sizes[i] ? vgh_cuMemcpyAsync(dsts[i], srcs[i], sizes[i], s) : CUDA_SUCCESS;
		if (r)
			return fail(failed, i, r);
	}
	return fail(failed, SIZE_MAX, wait ? vgw_cuStreamSynchronize(s) : CUDA_SUCCESS);
}

CUresult vgh_cuMemcpyBatchAsync(CUdeviceptr *dsts, CUdeviceptr *srcs, size_t *sizes, size_t count,
				CUmemcpyAttributes *attrs, size_t *first, size_t sets,
				size_t *failed, CUstream s)
{
	return batch(dsts, srcs, sizes, count, attrs, first, sets, failed, s);
}

CUresult vgh_cuMemcpyBatchAsync_v2(CUdeviceptr *dsts, CUdeviceptr *srcs, size_t *sizes,
				   size_t count, CUmemcpyAttributes *attrs, size_t *first,
				   size_t sets, CUstream s)
{
	return batch(dsts, srcs, sizes, count, attrs, first, sets, NULL, s);
}

/* -- boxes */

static uint64_t channel_bytes(CUarray_format f)
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

/* The bytes of an array's element. */
static CUresult element_of(CUarray a, uint64_t *bytes)
{
	CUDA_ARRAY3D_DESCRIPTOR d;
	CUresult r = vgw_cuArray3DGetDescriptor_v2(&d, a);

	if (r)
		return r;
	*bytes = channel_bytes(d.Format) * d.NumChannels;
	return *bytes ? CUDA_SUCCESS : vg_refuse("cuMemcpy3DBatchAsync of an array",
						 "its format is not known here");
}

static CUresult operand_valid(const CUmemcpy3DOperand *o, const CUextent3D *e, uint64_t *element)
{
	*element = 0;
	if (o->type == CU_MEMCPY_OPERAND_TYPE_ARRAY)
		return element_of(o->op.array.array, element);
	if (o->type != CU_MEMCPY_OPERAND_TYPE_POINTER || !o->op.ptr.ptr ||
	    (o->op.ptr.rowLength && o->op.ptr.rowLength < e->width) ||
	    (o->op.ptr.layerHeight && o->op.ptr.layerHeight < e->height))
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

/* The copy that an entry asks for. */
static CUresult box_of(const CUDA_MEMCPY3D_BATCH_OP *op, CUDA_MEMCPY3D *c)
{
	const CUmemcpy3DOperand *src = &op->src, *dst = &op->dst;
	const CUextent3D *e = &op->extent;
	uint64_t from, to, element;
	CUresult r;

	if (!e->width || !e->height || !e->depth || !order_valid(op->srcAccessOrder) ||
	    op->flags & ~CU_MEMCPY_FLAG_PREFER_OVERLAP_WITH_COMPUTE)
		return CUDA_ERROR_INVALID_VALUE;
	r = operand_valid(src, e, &from);
	if (!r)
		r = operand_valid(dst, e, &to);
	if (r)
		return r;
	if (from && to && from != to)
		return CUDA_ERROR_INVALID_VALUE;
	element = from ? from : to ? to : 1;
	if (e->width > (1ull << 40))
		return CUDA_ERROR_INVALID_VALUE;
	*c = (CUDA_MEMCPY3D){ .WidthInBytes = e->width * element, .Height = e->height,
			      .Depth = e->depth };
	if (from) {
		c->srcMemoryType = CU_MEMORYTYPE_ARRAY;
		c->srcArray = src->op.array.array;
		c->srcXInBytes = src->op.array.offset.x * element;
		c->srcY = src->op.array.offset.y;
		c->srcZ = src->op.array.offset.z;
	} else {
		c->srcMemoryType = CU_MEMORYTYPE_UNIFIED;
		c->srcDevice = src->op.ptr.ptr;
		c->srcPitch = (src->op.ptr.rowLength ? src->op.ptr.rowLength : e->width) * element;
		c->srcHeight = src->op.ptr.layerHeight ? src->op.ptr.layerHeight : e->height;
	}
	if (to) {
		c->dstMemoryType = CU_MEMORYTYPE_ARRAY;
		c->dstArray = dst->op.array.array;
		c->dstXInBytes = dst->op.array.offset.x * element;
		c->dstY = dst->op.array.offset.y;
		c->dstZ = dst->op.array.offset.z;
	} else {
		c->dstMemoryType = CU_MEMORYTYPE_UNIFIED;
		c->dstDevice = dst->op.ptr.ptr;
		c->dstPitch = (dst->op.ptr.rowLength ? dst->op.ptr.rowLength : e->width) * element;
		c->dstHeight = dst->op.ptr.layerHeight ? dst->op.ptr.layerHeight : e->height;
	}
	return CUDA_SUCCESS;
}

static CUresult boxes(size_t count, CUDA_MEMCPY3D_BATCH_OP *ops, size_t *failed,
		      unsigned long long flags, CUstream s)
{
	bool wait = false, captured;
	CUDA_MEMCPY3D c;
	CUresult r = stream_ready(s);

	if (r)
		return r == CUDA_ERROR_INVALID_VALUE ? r : fail(failed, SIZE_MAX, r);
	if (!count || !ops || flags)
		return fail(failed, SIZE_MAX, CUDA_ERROR_INVALID_VALUE);
	captured = vg_staged_captures(s);
	for (size_t i = 0; i < count; i++) {
		r = box_of(&ops[i], &c);
		if (r)
			return fail(failed, i, r);
		if (captured && !((c.srcArray || read_later(c.srcDevice)) &&
				  (c.dstArray || read_later(c.dstDevice))))
			return fail(failed, i, pageable_captured());
		wait |= ops[i].srcAccessOrder == CU_MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL &&
			(c.srcArray || read_later(c.srcDevice));
	}
	for (size_t i = 0; i < count; i++) {
		r = box_of(&ops[i], &c);
		if (!r)
			r = vgh_cuMemcpy3DAsync_v2(&c, s);
		if (r)
			return fail(failed, i, r);
	}
	return fail(failed, SIZE_MAX, wait ? vgw_cuStreamSynchronize(s) : CUDA_SUCCESS);
}

CUresult vgh_cuMemcpy3DBatchAsync(size_t count, CUDA_MEMCPY3D_BATCH_OP *ops, size_t *failed,
				  unsigned long long flags, CUstream s)
{
	return boxes(count, ops, failed, flags, s);
}

CUresult vgh_cuMemcpy3DBatchAsync_v2(size_t count, CUDA_MEMCPY3D_BATCH_OP *ops,
				     unsigned long long flags, CUstream s)
{
	return boxes(count, ops, NULL, flags, s);
}

/* -- managed memory, which stays where it is: what is said of it is kept and answered */

static CUresult ranges_valid(const CUdeviceptr *p, const size_t *sizes, size_t count)
{
	struct vg_range r;

	if (!p || !sizes || !count)
		return CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; i < count; i++)
		if (!sizes[i] || !vg_range_find(p[i], &r) || r.kind != VG_RANGE_MANAGED ||
		    sizes[i] > r.base + r.bytes - p[i])
			return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

CUresult vgh_cuMemPrefetchBatchAsync(CUdeviceptr *p, size_t *sizes, size_t count,
				     CUmemLocation *to, size_t *first, size_t sets,
				     unsigned long long flags, CUstream s)
{
	CUresult r = stream_ready(s);
	size_t set = 0;

	if (!r && (flags || !to || !sets_valid(first, sets, count)))
		r = CUDA_ERROR_INVALID_VALUE;
	if (!r)
		r = ranges_valid(p, sizes, count);
	for (size_t i = 0; i < count && !r; i++) {
		if (set + 1 < sets && i == first[set + 1])
			set++;
		r = vgh_cuMemPrefetchAsync_v2(p[i], sizes[i], to[set], 0, s);
	}
	return r;
}

/* What a discarded range reads as is undefined; here it reads as before. */
CUresult vgh_cuMemDiscardBatchAsync(CUdeviceptr *p, size_t *sizes, size_t count,
				    unsigned long long flags, CUstream s)
{
	CUresult r = stream_ready(s);

	if (!r && flags)
		r = CUDA_ERROR_INVALID_VALUE;
	return r ? r : ranges_valid(p, sizes, count);
}

CUresult vgh_cuMemDiscardAndPrefetchBatchAsync(CUdeviceptr *p, size_t *sizes, size_t count,
					       CUmemLocation *to, size_t *first, size_t sets,
					       unsigned long long flags, CUstream s)
{
	return vgh_cuMemPrefetchBatchAsync(p, sizes, count, to, first, sets, flags, s);
}
