// SPDX-License-Identifier: Apache-2.0
/*
 * For the guest's libcupti (common/profile.h): calls are told to its hooks, and records of the
 * calls that it chooses are timed by the executor.  Without hooks an exported function looks at
 * one pointer more, and nothing else.
 */
#include "client.h"
#include "shim.h"
#include "profile.h"
#include "shim_calls.h"

const struct vg_profile_hooks *_Atomic vg_profile_hooks;
static _Atomic(vg_profile_context_hook) context_hook;

const struct vg_profile_hooks *vg_api_enter(struct vg_api_call *call)
{
	const struct vg_profile_hooks *hooks = atomic_load(&vg_profile_hooks);

	if (!hooks)
		return NULL;
	hooks->enter(call);
	if (call->tag)
		vg_thread_timed = (struct vg_thread_timed){ .tag = call->tag };
	return hooks;
}

CUresult vg_api_exit(const struct vg_profile_hooks *hooks, struct vg_api_call *call, CUresult r)
{
	if (!hooks)
		return r;
	if (call->tag) {
		call->records = vg_thread_timed.records;
		vg_thread_timed.tag = 0;
	}
	hooks->exit(call, r);
	return r;
}

void vg_profile_context(struct vg_object *context, bool made)
{
	vg_profile_context_hook hook = atomic_load(&context_hook);

	if (hook)
		hook((CUcontext)context, made);
}

/* -- what libcupti calls */

static bool ready(void)
{
	return !vg_ready();
}

static void attach(const struct vg_profile_hooks *hooks, vg_profile_context_hook context)
{
	atomic_store(&context_hook, context);
	atomic_store(&vg_profile_hooks, hooks);
}

/* Our own records are not to be timed, also if a hook sends them. */
static struct vg_thread_timed untimed(void)
{
	struct vg_thread_timed before = vg_thread_timed;

	vg_thread_timed.tag = 0;
	return before;
}

static CUresult timing(bool on)
{
	struct vg_thread_timed before = untimed();
	CUresult r = vg_ready();

	if (!r)
		r = vgw_vgpu_timing(on);
	vg_thread_timed = before;
	return r;
}

static CUresult clock_of_executor(uint64_t *ns)
{
	struct vg_thread_timed before = untimed();
	CUresult r = vg_ready();

	if (!r)
		r = vgw_vgpu_timing_clock(ns);
	vg_thread_timed = before;
	return r;
}

static CUresult take(unsigned int fresh, unsigned int most, unsigned int *count, uint64_t *lost,
		     vgpu_span *spans)
{
	struct vg_thread_timed before = untimed();
	CUresult r = vg_ready();

	if (!r)
		r = vgw_vgpu_timing_take(fresh, most, count, lost, spans);
	vg_thread_timed = before;
	return r;
}

static bool context(CUcontext ctx, CUcontext *which, uint32_t *id, int *device)
{
	struct vg_object *o = ctx ? vg_object_get(ctx, VG_CONTEXT) : NULL;
	struct vg_context *c = ctx ? (o ? vg_context_of(o) : NULL) : vg_current();

	if (!c)
		return false;
	if (which)
		*which = (CUcontext)c->object;
	*id = (uint32_t)c->unique;
	*device = c->device;
	return true;
}

/* NVIDIA's CUPTI has 7 for the default stream, and larger numbers for others. */
#define DEFAULT_STREAM 7u

static bool stream(CUstream s, bool per_thread, uint32_t *id)
{
	struct vg_object *o;

	if (vg_stream_object(!s && per_thread ? CU_STREAM_PER_THREAD : s, &o))
		return false;
	*id = DEFAULT_STREAM + (o ? o->id : 0);
	return true;
}

static bool kernel(CUfunction function, struct vg_profile_kernel *k)
{
	struct vg_object *o = vg_function_get(function);
	struct vg_context *c = vg_current();
	struct vg_function *f;

	if (!o || !c || vg_function_fetch(o, c->device, &f))
		return false;
	*k = (struct vg_profile_kernel){
		.name = f->name,
		.registers = f->attribute[CU_FUNC_ATTRIBUTE_NUM_REGS],
		.shared = f->attribute[CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES],
		.local = f->attribute[CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES],
	};
	return true;
}

static enum vg_profile_memory memory(uint64_t p)
{
	struct vg_range r;

	if (!vg_range_find(p, &r))
		return VG_MEMORY_PAGEABLE;
	if (r.kind == VG_RANGE_MANAGED)
		return VG_MEMORY_MANAGED;
	return vg_range_on_device(&r) ? VG_MEMORY_DEVICE : VG_MEMORY_PINNED;
}

const struct vg_profile_table vg_profile_table = {
	.version = VG_PROFILE_VERSION, .ready = ready, .attach = attach, .timing = timing,
	.clock = clock_of_executor, .take = take, .context = context, .stream = stream,
	.kernel = kernel, .memory = memory,
};
