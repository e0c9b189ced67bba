// SPDX-License-Identifier: Apache-2.0
/* Streams and events: creation gets no answer, and what they are is known here. */
#include "client.h"
#include "shim.h"
#include "shim_calls.h"

/* value[0] of a stream: its priority. */

CUresult vgh_cuStreamCreateWithPriority(CUstream *out, unsigned int flags, int priority)
{
	int least, greatest;
	struct vg_object *o;
	CUresult r;

	if (!out || flags & ~CU_STREAM_NON_BLOCKING)
		return vg_context_ready() ? vg_context_ready() : CUDA_ERROR_INVALID_VALUE;
	/* A priority out of range is brought into it, as CUDA does. */
	r = vgh_cuCtxGetStreamPriorityRange(&least, &greatest);
	if (r)
		return r;
	if (priority > least)
		priority = least;
	if (priority < greatest)
		priority = greatest;
	r = priority ? vgw_cuStreamCreateWithPriority(false, out, flags, priority) :
		       vgw_cuStreamCreate(false, out, flags);
	if (r)
		return r;
	o = (struct vg_object *)*out;
	o->flags = flags;
	o->value[0] = (uint64_t)(int64_t)priority;
	return CUDA_SUCCESS;
}

CUresult vgh_cuStreamCreate(CUstream *out, unsigned int flags)
{
	return vgh_cuStreamCreateWithPriority(out, flags, 0);
}

CUresult vgh_cuStreamDestroy_v2(CUstream s)
{
	if (!s || s == CU_STREAM_LEGACY || s == CU_STREAM_PER_THREAD)
		return CUDA_ERROR_INVALID_HANDLE;
	return vgw_cuStreamDestroy_v2(s);
}

/* -- what has been waited for already: programs do so after each copy that waits itself */

/*
 * Of this thread's last wait for a stream: where its answer was, and up to where nothing but
 * copies into the device have been published since, which need nobody to end.
 */
static __thread struct {
	uint64_t end, copies_end;
	CUstream stream;
	uint32_t context;
} settled;

void vg_stream_settled(CUstream s)
{
	settled.end = settled.copies_end = vg_thread_answered;
	settled.stream = s;
	settled.context = vg_thread_tag;
}

static bool settled_for(CUstream s)
{
	return settled.end && settled.stream == s && settled.context == vg_thread_tag;
}

bool vg_stream_free(CUstream s)
{
	return settled_for(s) && vg_quiet_since(settled.copies_end);
}

void vg_stream_copied(CUstream s)
{
	uint64_t end = settled_for(s) ? vg_followed(settled.copies_end) : 0;

	if (end)
		settled.copies_end = end;
}

CUresult vgh_cuStreamSynchronize(CUstream s)
{
	CUresult r;

	if (settled_for(s) && vg_quiet_since(settled.end))
		return CUDA_SUCCESS;
	r = vgw_cuStreamSynchronize(s);
	if (!r)
		vg_stream_settled(s);
	return r;
}

CUresult vgh_cuStreamQuery(CUstream s)
{
	CUresult r;

	if (settled_for(s) && vg_quiet_since(settled.end))
		return CUDA_SUCCESS;
	r = vgw_cuStreamQuery(s);
	if (!r)
		vg_stream_settled(s);
	return r;
}

CUresult vgh_cuStreamGetPriority(CUstream s, int *priority)
{
	struct vg_object *o;
	CUresult r = vg_context_ready();

	if (!r)
		r = vg_stream_object(s, &o);
	if (r)
		return r;
	if (!priority)
		return CUDA_ERROR_INVALID_VALUE;
	*priority = o ? (int)(int64_t)o->value[0] : 0;
	return CUDA_SUCCESS;
}

CUresult vgh_cuStreamGetFlags(CUstream s, unsigned int *flags)
{
	struct vg_object *o;
	CUresult r = vg_context_ready();

	if (!r)
		r = vg_stream_object(s, &o);
	if (r)
		return r;
	if (!flags)
		return CUDA_ERROR_INVALID_VALUE;
	*flags = o ? o->flags : CU_STREAM_DEFAULT;
	return CUDA_SUCCESS;
}

/* The context in which a stream was made: the current one for those that follow it. */
static CUresult context_of(CUstream s, struct vg_context **c)
{
	struct vg_object *o;
	CUresult r = vg_context_ready();

	if (!r)
		r = vg_stream_object(s, &o);
	if (r)
		return r;
	*c = vg_current();
	if (o && o->owner != (*c)->object->id) {
		*c = vg_context_by_id(o->owner);
		if (!*c || !atomic_load(&(*c)->active))
			return CUDA_ERROR_CONTEXT_IS_DESTROYED;
	}
	return CUDA_SUCCESS;
}

CUresult vgh_cuStreamGetCtx(CUstream s, CUcontext *ctx)
{
	struct vg_context *c;
	CUresult r = context_of(s, &c);

	if (r)
		return r;
	if (!ctx)
		return CUDA_ERROR_INVALID_VALUE;
	*ctx = (CUcontext)c->object;
	return CUDA_SUCCESS;
}

CUresult vgh_cuStreamGetCtx_v2(CUstream s, CUcontext *ctx, CUgreenCtx *green)
{
	struct vg_context *c;
	CUresult r = context_of(s, &c);

	if (r)
		return r;
	if (ctx)
		*ctx = (CUcontext)c->home;
	if (green)
		*green = (CUgreenCtx)c->green;
	return CUDA_SUCCESS;
}

CUresult vgh_cuStreamGetGreenCtx(CUstream s, CUgreenCtx *green)
{
	struct vg_context *c;
	CUresult r = context_of(s, &c);

	if (r)
		return r;
	if (!green)
		return CUDA_ERROR_INVALID_VALUE;
	*green = (CUgreenCtx)c->green;
	return CUDA_SUCCESS;
}

CUresult vgh_cuStreamGetDevice(CUstream s, CUdevice *device)
{
	struct vg_context *c;
	CUresult r = context_of(s, &c);

	if (r)
		return r;
	if (!device)
		return CUDA_ERROR_INVALID_VALUE;
	*device = c->device;
	return CUDA_SUCCESS;
}

CUresult vgh_cuStreamWaitEvent(CUstream s, CUevent e, unsigned int flags)
{
	if (flags & ~CU_EVENT_WAIT_EXTERNAL)
		return CUDA_ERROR_INVALID_VALUE;
	return vgw_cuStreamWaitEvent(flags != 0, s, e, flags);
}

CUresult vgh_cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode)
{
	static __thread CUstreamCaptureMode mine = CU_STREAM_CAPTURE_MODE_GLOBAL;
	CUstreamCaptureMode old = mine;

	if (!mode || *mode > CU_STREAM_CAPTURE_MODE_RELAXED)
		return CUDA_ERROR_INVALID_VALUE;
	mine = *mode;
	*mode = old;
	return CUDA_SUCCESS;
}

#define EVENT_FLAGS (CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS)

CUresult vgh_cuEventCreate(CUevent *out, unsigned int flags)
{
	CUresult r;

	if (!out || flags & ~EVENT_FLAGS ||
	    ((flags & CU_EVENT_INTERPROCESS) && !(flags & CU_EVENT_DISABLE_TIMING)))
		return vg_context_ready() ? vg_context_ready() : CUDA_ERROR_INVALID_VALUE;
	r = vgw_cuEventCreate(flags & CU_EVENT_INTERPROCESS, out, flags);
	if (!r)
		((struct vg_object *)*out)->flags = flags;
	return r;
}

/*
 * Another process may hear of a record by ways of its own as soon as this one has
 * returned, and must not find the event as it was before.
 */
static bool shared(CUevent e)
{
	struct vg_object *o = vg_object_get(e, VG_EVENT);

	return o && (o->flags & CU_EVENT_INTERPROCESS);
}

/* The driver counts a time that nobody takes as a wrong event. */
CUresult vgh_cuEventElapsedTime_v2(float *ms, CUevent start, CUevent end)
{
	CUresult r = vg_context_ready();

	if (r)
		return r;
	return ms ? vgw_cuEventElapsedTime_v2(ms, start, end) : CUDA_ERROR_INVALID_HANDLE;
}

CUresult vgh_cuEventRecord(CUevent e, CUstream s)
{
	return vgw_cuEventRecord(shared(e), e, s);
}

CUresult vgh_cuEventRecordWithFlags(CUevent e, CUstream s, unsigned int flags)
{
	return vgw_cuEventRecordWithFlags(flags != 0 || shared(e), e, s, flags);
}

/* -- attributes */

CUresult vgh_cuStreamGetAttribute(CUstream s, CUstreamAttrID id, CUstreamAttrValue *value)
{
	struct vgpu_attribute a;
	CUresult r;

	if (!value || (unsigned int)id >= CU_LAUNCH_ATTRIBUTE_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgw_vgpu_stream_attribute_get(s, id, &a);
	if (!r)
		memcpy(value, a.value, sizeof(*value));
	return r;
}

CUresult vgh_cuStreamSetAttribute(CUstream s, CUstreamAttrID id, const CUstreamAttrValue *value)
{
	struct vgpu_attribute a = { .id = id };
	struct vg_object *o;
	CUresult r;

	if (!value || (unsigned int)id >= CU_LAUNCH_ATTRIBUTE_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(a.value, value, sizeof(a.value));
	r = vgw_vgpu_stream_attribute_set(s, &a);
	if (r || id != CU_LAUNCH_ATTRIBUTE_PRIORITY)
		return r;
	/* What cuStreamGetPriority() answers. */
	r = vgw_vgpu_stream_attribute_get(s, id, &a);
	if (!r && !vg_stream_object(s, &o) && o) {
		CUstreamAttrValue v;

		memcpy(&v, a.value, sizeof(v));
		o->value[0] = (uint64_t)(int64_t)v.priority;
	}
	return CUDA_SUCCESS;
}
