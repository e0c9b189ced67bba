// SPDX-License-Identifier: Apache-2.0
/* Contexts.  Which one is current is the loop's business, call by call. */
#include <stdlib.h>

#include "calls.h"
#include "timing.h"
#include "vg_cuda.h"

/*
 * The id by which the guest has each device's primary context.  There is one, because what
 * belongs to a context is known by its id, and goes when the driver's context does.
 */
#define DEVICES_MAX 64
static uint32_t primary[DEVICES_MAX];	/* the ring's thread's */
static CUcontext primary_context[DEVICES_MAX];

/*
 * What a context takes of the device for itself, where nobody tells what a process holds: bytes,
 * measured with an H200 and driver 580.159 (524 MiB, of which 264 are its threads' stacks).
 */
#define CONTEXT_BYTES	(524ull << 20)

/* What each context has taken; the ring's thread's, and before it main's. */
struct taken {
	struct taken *next;
	CUcontext ctx;
	uint64_t bytes;
};

static struct taken *all_taken;
static uint64_t first_taken;	/* what the first one took */
static bool measured;

bool vg_x_context_begin(struct vg_exec *x, struct vg_x_context *c)
{
	/*
	 * A context is measured by how much more the driver holds afterwards. If the context that was made
	 * ahead were released meanwhile, this one would seem to take nothing.
	 */
	vg_x_warm_gone();
	c->expected = !vg_exec_tells(x) ? CONTEXT_BYTES : measured ? first_taken : 0;
	c->held = vg_exec_held(x);
	return vg_exec_context_take(x, c->expected);
}

bool vg_x_context_made(struct vg_exec *x, struct vg_x_context *c, CUcontext ctx, uint64_t bytes)
{
	struct taken *t = ctx ? malloc(sizeof(*t)) : NULL;
	uint64_t now;

	vg_exec_context_give(x, c->expected);
	if (!t)
		return false;
	/*
	 * Ask only where nobody measured it before, because the answer takes 20 ms and more while the next
	 * spare executor makes its context, as it does when a program begins.
	 */
	if (!bytes) {
		now = vg_exec_held(x);
		bytes = !vg_exec_tells(x) ? CONTEXT_BYTES : now > c->held ? now - c->held : 0;
	}
	/*
	 * Another thread may have taken memory meanwhile, which is none of the context's. The first
	 * context was made when there was nothing to take memory for; what a later one takes beyond
	 * that counts as the program's memory.
	 */
	if (measured && bytes > first_taken)
		bytes = first_taken;
	if (!vg_exec_context_take(x, bytes)) {
		free(t);
		return false;
	}
	*t = (struct taken){ all_taken, ctx, bytes };
	all_taken = t;
	if (!measured)
		first_taken = bytes;
	measured = true;
	return true;
}

void vg_x_context_gone(struct vg_exec *x, CUcontext ctx)
{
	for (struct taken **at = &all_taken; *at; at = &(*at)->next) {
		struct taken *t = *at;

		if (t->ctx != ctx)
			continue;
		*at = t->next;
		vg_exec_context_give(x, t->bytes);
		free(t);
		return;
	}
}

bool vg_x_primary_of(CUdevice dev, uint32_t id)
{
	return id && dev >= 0 && dev < DEVICES_MAX && primary[dev] == id;
}

bool vg_x_primary(uint32_t id)
{
	for (CUdevice dev = 0; dev < DEVICES_MAX; dev++)
		if (vg_x_primary_of(dev, id))
			return true;
	return false;
}

CUresult vge_vgpu_primary_retain(struct vg_exec *x, const struct vg_req *rq, CUdevice dev,
				 unsigned int id, unsigned int flags)
{
	struct vg_x_context c = { 0 };
	uint64_t serial, bytes = 0;
	CUcontext ctx;
	CUresult r;

	(void)rq;
	if (!cu.cuDevicePrimaryCtxRetain || !cu.cuDevicePrimaryCtxRelease_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (dev < 0 || dev >= DEVICES_MAX)
		return CUDA_ERROR_INVALID_DEVICE;
	if (primary[dev])
		return CUDA_ERROR_INVALID_CONTEXT;
	r = vg_x_reserve(x, id, VG_CONTEXT, 0, 0, 0, &serial);
	if (r)
		return r;
	ctx = vg_x_warm_take(dev, flags, &bytes);
	if (!ctx) {
		if (!vg_x_context_begin(x, &c))
			return vg_x_made(x, CUDA_ERROR_OUT_OF_MEMORY, id, serial, VG_CONTEXT, 0);
		r = flags && cu.cuDevicePrimaryCtxSetFlags_v2 ?
			    cu.cuDevicePrimaryCtxSetFlags_v2(dev, flags) : CUDA_SUCCESS;
		if (!r)
			r = cu.cuDevicePrimaryCtxRetain(&ctx, dev);
		if (!r)
			vg_x_anchor(ctx);
		else
			ctx = NULL;
		if (!vg_x_context_made(x, &c, ctx, 0) && !r) {
			cu.cuDevicePrimaryCtxRelease_v2(dev);
			r = CUDA_ERROR_OUT_OF_MEMORY;
		}
	} else if (!vg_x_context_made(x, &c, ctx, bytes)) {
		cu.cuDevicePrimaryCtxRelease_v2(dev);
		r = CUDA_ERROR_OUT_OF_MEMORY;
	}
	r = vg_x_made(x, r, id, serial, VG_CONTEXT, (uintptr_t)ctx);
	if (r)
		return r;
	primary[dev] = id;
	primary_context[dev] = ctx;
	vg_exec_context(x, dev, 1);
	return CUDA_SUCCESS;
}

/*
 * End a device's primary context as `how` does, and take its id.  Its green contexts go first,
 * because the driver takes them along without a word.
 */
static CUresult end(struct vg_exec *x, CUdevice dev, uint32_t id, CUresult (*how)(CUdevice))
{
	CUresult r;

	if (!vg_x_primary_of(dev, id))
		return CUDA_ERROR_INVALID_CONTEXT;
	vg_exec_settle(x, id);
	r = vg_x_may_end_captures(x, VG_CONTEXT, id);
	if (r)
		return r;
	vg_x_greens_gone(x, id);
	vg_timing_context_gone(id);
	r = how(dev);
	vg_exec_contexts_changed(x);
	if (vg_x_refused(r))
		return r;
	primary[dev] = 0;
	/* After another error nobody knows; it counts until the process ends. */
	if (!r) {
		vg_x_context_gone(x, primary_context[dev]);
		vg_progress_context_gone(primary_context[dev]);
	}
	vg_x_destroyed(x, r, id, VG_CONTEXT);
	vg_x_allocations_gone(x, id, !r);
	vg_exec_context(x, dev, -1);
	return r;
}

CUresult vge_vgpu_primary_release(struct vg_exec *x, const struct vg_req *rq, CUdevice dev,
				  unsigned int id)
{
	(void)rq;
	if (!cu.cuDevicePrimaryCtxRelease_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	return end(x, dev, id, cu.cuDevicePrimaryCtxRelease_v2);
}

/* The reference that was retained is given back, too. */
static CUresult reset(CUdevice dev)
{
	CUresult r = cu.cuDevicePrimaryCtxReset_v2(dev);

	if (!vg_x_refused(r))
		cu.cuDevicePrimaryCtxRelease_v2(dev);
	return r;
}

CUresult vge_vgpu_primary_reset(struct vg_exec *x, const struct vg_req *rq, CUdevice dev,
				unsigned int id)
{
	(void)rq;
	if (!cu.cuDevicePrimaryCtxReset_v2 || !cu.cuDevicePrimaryCtxRelease_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	return end(x, dev, id, reset);
}

CUresult vge_vgpu_primary_flags(struct vg_exec *x, const struct vg_req *rq, CUdevice dev,
				unsigned int flags)
{
	(void)x;
	(void)rq;
	if (!cu.cuDevicePrimaryCtxSetFlags_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	return cu.cuDevicePrimaryCtxSetFlags_v2(dev, flags);
}

CUresult vge_vgpu_context_create(struct vg_exec *x, const struct vg_req *rq, CUcontext *ctx,
				 unsigned int flags, CUdevice dev)
{
	struct vg_x_context c;
	CUcontext top;
	CUresult r;

	(void)rq;
	if (!cu.cuCtxCreate_v2 || !cu.cuCtxPopCurrent_v2 || !cu.cuCtxDestroy_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	vg_x_warm_drop();
	if (!vg_x_context_begin(x, &c))
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = cu.cuCtxCreate_v2(ctx, flags, dev);
	if (!r) {
		/* It is pushed onto this thread, where the loop has another. */
		cu.cuCtxPopCurrent_v2(&top);
		vg_x_anchor(*ctx);
	}
	if (!vg_x_context_made(x, &c, r ? NULL : *ctx, 0) && !r) {
		cu.cuCtxDestroy_v2(*ctx);
		r = CUDA_ERROR_OUT_OF_MEMORY;
	}
	if (r)
		return r;
	vg_exec_context(x, dev, 1);
	return CUDA_SUCCESS;
}

/* Of a context, or -1: one that an error has ended may not say. */
static int device_of(CUcontext ctx)
{
	CUcontext top;
	CUdevice dev = -1;

	if (!cu.cuCtxPushCurrent_v2 || !cu.cuCtxPopCurrent_v2 || !cu.cuCtxGetDevice ||
	    cu.cuCtxPushCurrent_v2(ctx))
		return -1;
	if (cu.cuCtxGetDevice(&dev))
		dev = -1;
	cu.cuCtxPopCurrent_v2(&top);
	return dev;
}

CUresult vge_vgpu_context_destroy(struct vg_exec *x, const struct vg_req *rq, CUcontext ctx)
{
	const struct vg_rq_vgpu_context_destroy *q = rq->payload;
	CUresult r;
	int dev;

	if (!cu.cuCtxDestroy_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	dev = device_of(ctx);
	vg_timing_context_gone(q->ctx);
	r = cu.cuCtxDestroy_v2(ctx);
	vg_exec_contexts_changed(x);
	if (vg_x_refused(r))
		return r;
	vg_x_allocations_gone(x, q->ctx, !r);
	if (!r) {
		vg_x_context_gone(x, ctx);
		vg_progress_context_gone(ctx);
	}
	vg_exec_context(x, dev, -1);
	return r;
}

CUresult vge_vgpu_context_synchronize(struct vg_exec *x, const struct vg_req *rq, CUcontext ctx)
{
	CUcontext before;
	CUresult r;

	(void)x;
	(void)rq;
	if (cu.cuCtxSynchronize_v2)
		return cu.cuCtxSynchronize_v2(ctx);
	if (!cu.cuCtxSynchronize || !cu.cuCtxPushCurrent_v2 || !cu.cuCtxPopCurrent_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = cu.cuCtxPushCurrent_v2(ctx);
	if (r)
		return r;
	r = cu.cuCtxSynchronize();
	cu.cuCtxPopCurrent_v2(&before);
	return r;
}

/* -- limits */

/* What a context comes with, in its own size: bytes, as NVIDIA's driver 580 has them. */
#define STACK_FIRST	(1ull << 10)
#define PRINTF_FIRST	(1ull << 20)
#define HEAP_FIRST	(8ull << 20)

static int attribute_of(CUdevice dev, CUdevice_attribute a)
{
	int value = 1;

	if (!cu.cuDeviceGetAttribute || cu.cuDeviceGetAttribute(&value, a, dev) || value < 1)
		return 1;
	return value;
}

/*
 * What the driver sets aside for a limit beyond the first: a stack for each thread that the device
 * can hold, or the buffer or the heap itself.  It may do so only when a kernel needs it.
 */
uint64_t vg_x_set_aside(CUlimit limit, uint64_t value)
{
	uint64_t first, each = 1, bytes;
	CUdevice dev;

	switch (limit) {
	case CU_LIMIT_STACK_SIZE:
		first = STACK_FIRST;
		if (!cu.cuCtxGetDevice || cu.cuCtxGetDevice(&dev))
			return 0;
		each = (uint64_t)attribute_of(dev, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT) *
		       attribute_of(dev, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR);
		break;
	case CU_LIMIT_PRINTF_FIFO_SIZE:
		first = PRINTF_FIRST;
		break;
	case CU_LIMIT_MALLOC_HEAP_SIZE:
		first = HEAP_FIRST;
		break;
	default:
		return 0;
	}
	if (value <= first)
		return 0;
	return __builtin_mul_overflow(value - first, each, &bytes) ? UINT64_MAX : bytes;
}

/* A limit's place in the table of allocations, so that it goes with its context. */
static uint64_t place(uint32_t ctx, CUlimit limit)
{
	return 1ull << 60 | (uint64_t)limit << 34 | (uint64_t)ctx << 2;
}

CUresult vge_cuCtxSetLimit(struct vg_exec *x, const struct vg_req *rq, CUlimit limit, size_t value)
{
	uint32_t home = vg_x_home(rq->ctx), ctx;
	uint64_t now = vg_x_set_aside(limit, value), at = place(home, limit), before = 0, more;
	struct vg_x_freed was;
	CUresult r;

	if (!cu.cuCtxSetLimit)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!vg_x_allocation(at, &before, &ctx))
		before = 0;
	more = now > before ? now - before : 0;
	if (!vg_exec_charge(x, more))
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = cu.cuCtxSetLimit(limit, value);
	if (!r && !vg_x_allocated(at, now, now, home))
		r = CUDA_ERROR_OUT_OF_MEMORY;
	if (r)
		vg_exec_uncharge(x, more);
	else if (before > now)
		vg_exec_uncharge(x, before - now);
	if (!r && !now)
		vg_x_freed(at, &was);
	return r;
}
