// SPDX-License-Identifier: Apache-2.0
/*
 * Linear copies.  Into the device, the data is taken before the call returns,
 * inline in the record, through the arena, or (large ones) through buffers that
 * the device reads itself.  As CUDA has it, up to 64 KiB of pageable memory may be
 * still on their way then, also in a synchronous copy.  Out of the device, the call
 * waits: the memory may not be read before it is written.
 */
#include "client.h"
#include "graph_stage.h"
#include "shim.h"
#include "shim_calls.h"
#include "stage.h"

#define WRITE_INLINE	8192u		/* of vgpu_write */
#define READ_INLINE	3968u		/* of vgpu_read */
#define PIECE_MAX	(4u << 20)
#define SYNC_MIN	(64u << 10)	/* synchronous copies in of more are waited for */

/* A part of the arena that leaves room for the next while this one is copied. */
static size_t piece(size_t left)
{
	size_t most = vg_arena_max() / 4;

	if (most > PIECE_MAX)
		most = PIECE_MAX;
	return left < most ? left : most;
}

/*
 * Memory that the executor has mapped: the device reads and writes it itself,
 * so an asynchronous copy is one record, also in a capture.
 *
 * A few bytes the driver puts between its commands instead, where it may: an H100 has 8
 * pageable bytes 2 us sooner than 8 page-locked ones.  The program has to leave them alone
 * from now on only if the copy might run now, so that is when they are taken.
 */
static CUresult shared_in(CUdeviceptr dst, uint64_t va, size_t bytes, CUstream s, bool wait)
{
	CUresult r = vgw_vgpu_copy_in(!vg_range_known(dst, bytes), dst, va, bytes, s);

	return r || !wait ? r : vgh_cuStreamSynchronize(s);
}

static CUresult shared_out(uint64_t va, CUdeviceptr src, size_t bytes, CUstream s, bool wait)
{
	CUresult r = vgw_vgpu_copy_out(!vg_range_known(src, bytes), va, src, bytes, s);

	return r || !wait ? r : vgh_cuStreamSynchronize(s);
}

/* A copy that is captured: the memory is read, or written, when the graph runs. */
static CUresult captured(CUmemorytype to, uint64_t dst, CUmemorytype from, uint64_t src,
			 size_t bytes, CUstream s)
{
	CUDA_MEMCPY3D p = {
		.srcMemoryType = from, .dstMemoryType = to, .srcPitch = bytes, .dstPitch = bytes,
		.srcHeight = 1, .dstHeight = 1, .WidthInBytes = bytes, .Height = 1, .Depth = 1,
	};

	if (from == CU_MEMORYTYPE_HOST)
		p.srcHost = (const void *)(uintptr_t)src;
	else
		p.srcDevice = src;
	if (to == CU_MEMORYTYPE_HOST)
		p.dstHost = (void *)(uintptr_t)dst;
	else
		p.dstDevice = dst;
	return vg_staged_capture(s, &p);
}

/*
 * The driver knows what cuMemAlloc() gave by the byte (580.159).  It takes other memory in pieces
 * of this size, so the limit of what it refuses may be there.
 */
#define DRIVER_PIECE	(2ull << 20)

/*
 * Whether a copy, of whose bytes on the device not all are known, certainly ends beyond the
 * memory in which it starts.  The driver finds that before it reads the program's memory, of
 * which there may be less.
 */
static bool ends_beyond(CUdeviceptr p, size_t bytes)
{
	struct vg_range r;
	uint64_t end;

	if (!vg_range_find(p, &r) || !vg_range_on_device(&r))
		return false;
	end = r.base + r.bytes;
	if (r.kind != VG_RANGE_DEVICE)
		end = (end + DRIVER_PIECE - 1) & ~(DRIVER_PIECE - 1);
	return bytes > end - p;
}

CUresult vg_copy_in(CUdeviceptr dst, const void *src, size_t bytes, CUstream s, bool wait)
{
	const uint8_t *from = src;
	struct vg_block block;
	CUresult r = vg_context_ready();
	bool sure;

	if (r)
		return r;
	sure = vg_range_known(dst, bytes);
	if (bytes && (!src || !dst || (!sure && ends_beyond(dst, bytes))))
		return CUDA_ERROR_INVALID_VALUE;
	/* Ask the driver about what may be wrong: the destination, or a capture. */
	sure = sure && !vg_capturing();
	if (bytes && vg_range_shared((uintptr_t)src, bytes)) {
		if (!sure || wait)
			return shared_in(dst, (uintptr_t)src, bytes, s, wait);
		r = bytes <= WRITE_INLINE && vg_stream_free(s) ?
		    vgw_vgpu_write(false, dst, s, bytes, from) :
		    shared_in(dst, (uintptr_t)src, bytes, s, false);
		if (!r)
			vg_stream_copied(s);
		return r;
	}
	if (!sure && bytes && !wait && vg_staged_captures(s))
		return captured(CU_MEMORYTYPE_DEVICE, dst, CU_MEMORYTYPE_HOST, (uintptr_t)src,
				bytes, s);
	wait = !sure || (wait && bytes > SYNC_MIN);
	if (bytes && bytes <= WRITE_INLINE)
		return vgw_vgpu_write(wait, dst, s, bytes, from);
	if (bytes > VG_STAGE_IN_MIN && sure && vg_stage_in(dst, src, bytes, s, wait, &r))
		return r;
	while (bytes && !r) {
		size_t n = piece(bytes);
		/* If one may be refused, its answer is this call's, and not a later one's. */
		bool answered = !sure || (wait && n == bytes);

		r = vg_arena_alloc(&block, n);
		if (r)
			return r;
		memcpy(block.ptr, from, n);
		r = vgw_vgpu_write_arena(answered, dst, s, &block);
		/* A call that was posted gives it back. */
		if (r || answered)
			vg_arena_free(&block);
		from += n;
		dst += n;
		bytes -= n;
	}
	return r;
}

CUresult vg_copy_out(void *dst, CUdeviceptr src, size_t bytes, CUstream s, bool wait)
{
	uint8_t *to = dst;
	struct vg_block block;
	CUresult r = vg_context_ready();

	if (r)
		return r;
	if (bytes && (!src || !dst || (!vg_range_known(src, bytes) && ends_beyond(src, bytes))))
		return CUDA_ERROR_INVALID_VALUE;
	if (bytes && vg_range_shared((uintptr_t)dst, bytes))
		return shared_out((uintptr_t)dst, src, bytes, s, wait);
	if (bytes && !wait && vg_staged_captures(s))
		return captured(CU_MEMORYTYPE_HOST, (uintptr_t)dst, CU_MEMORYTYPE_DEVICE, src,
				bytes, s);
	if (bytes && bytes <= READ_INLINE) {
		r = vgw_vgpu_read(src, s, bytes, to);
		if (!r)
			vg_stream_settled(s);
		return r;
	}
	if (vg_range_known(src, bytes) && !vg_capturing() &&
	    vg_stage_out(dst, src, bytes, s, &r))
		return r;
	while (bytes && !r) {
		size_t n = piece(bytes);

		r = vg_arena_alloc(&block, n);
		if (r)
			return r;
		r = vgw_vgpu_read_arena(src, s, &block);
		if (!r)
			memcpy(to, block.ptr, n);
		vg_arena_free(&block);
		to += n;
		src += n;
		bytes -= n;
	}
	return r;
}

CUresult vgh_cuMemcpyHtoD_v2(CUstream none, CUdeviceptr dst, const void *src, size_t bytes)
{
	return vg_memop_done(vg_copy_in(dst, src, bytes, none, true), none, dst, 0);
}

CUresult vgh_cuMemcpyHtoDAsync_v2(CUdeviceptr dst, const void *src, size_t bytes, CUstream s)
{
	return vg_copy_in(dst, src, bytes, s, false);
}

CUresult vgh_cuMemcpyDtoH_v2(CUstream none, void *dst, CUdeviceptr src, size_t bytes)
{
	return vg_copy_out(dst, src, bytes, none, true);
}

CUresult vgh_cuMemcpyDtoHAsync_v2(void *dst, CUdeviceptr src, size_t bytes, CUstream s)
{
	return vg_copy_out(dst, src, bytes, s, false);
}

CUresult vgh_cuMemcpyDtoDAsync_v2(CUdeviceptr dst, CUdeviceptr src, size_t bytes, CUstream s)
{
	bool wait = !vg_range_known(dst, bytes) || !vg_range_known(src, bytes);

	return vgw_cuMemcpyDtoDAsync_v2(wait, dst, src, bytes, s);
}

CUresult vgh_cuMemcpyDtoD_v2(CUstream none, CUdeviceptr dst, CUdeviceptr src, size_t bytes)
{
	return vg_memop_done(vgh_cuMemcpyDtoDAsync_v2(dst, src, bytes, none), none, dst, src);
}

CUresult vgh_cuMemcpyPeerAsync(CUdeviceptr dst, CUcontext dst_ctx, CUdeviceptr src,
			       CUcontext src_ctx, size_t bytes, CUstream s)
{
	return vgw_cuMemcpyPeerAsync(true, dst, dst_ctx, src, src_ctx, bytes, s);
}

CUresult vgh_cuMemcpyPeer(CUstream none, CUdeviceptr dst, CUcontext dst_ctx, CUdeviceptr src,
			  CUcontext src_ctx, size_t bytes)
{
	CUresult r = vgw_cuMemcpyPeerAsync(true, dst, dst_ctx, src, src_ctx, bytes, none);

	return vg_memop_done(r, none, dst, src);
}

/* Unified addresses: which side each is on is known here. */
static CUresult unified(CUdeviceptr dst, CUdeviceptr src, size_t bytes, CUstream s, bool wait)
{
	struct vg_range r;
	bool to = vg_range_find(dst, &r) && vg_range_on_device(&r);
	bool from = vg_range_find(src, &r) && vg_range_on_device(&r);
	/* Managed memory is on both sides. */
	bool both = vg_range_shared(dst, bytes) && vg_range_shared(src, bytes);
	CUresult e;

	if ((to && from) || both) {
		bool known = vg_range_known(dst, bytes) && vg_range_known(src, bytes);

		e = vgw_cuMemcpyDtoDAsync_v2(!known, dst, src, bytes, s);
		return e || !both || !wait ? e : vgw_cuStreamSynchronize(s);
	}
	if (to)
		return vg_copy_in(dst, (const void *)(uintptr_t)src, bytes, s, wait);
	if (from)
		return vg_copy_out((void *)(uintptr_t)dst, src, bytes, s, wait);
	if (bytes && !wait && vg_staged_captures(s)) {
		bool in = vg_range_shared(src, bytes), out = vg_range_shared(dst, bytes);

		if (!dst || !src)
			return CUDA_ERROR_INVALID_VALUE;
		return captured(out ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST, dst,
				in ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST, src, bytes, s);
	}
	/* Host to host: in the stream's order, so after all that is in it. */
	e = vgw_cuStreamSynchronize(s);
	if (!e && bytes)
		memmove((void *)(uintptr_t)dst, (const void *)(uintptr_t)src, bytes);
	return e;
}

CUresult vgh_cuMemcpy(CUstream none, CUdeviceptr dst, CUdeviceptr src, size_t bytes)
{
	return vg_memop_done(unified(dst, src, bytes, none, true), none, dst, src);
}

CUresult vgh_cuMemcpyAsync(CUdeviceptr dst, CUdeviceptr src, size_t bytes, CUstream s)
{
	return unified(dst, src, bytes, s, false);
}
