// SPDX-License-Identifier: Apache-2.0
/* Streams, events and host functions. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api.h"
#include "event.h"

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static int run_nothing(struct sg_work *w)
{
	(void)w;
	return 0;
}

SG_API CUresult cuStreamCreateWithPriority(CUstream *stream, unsigned int flags, int priority)
{
	CUstream s;

	SG_ENTER(ctx);
	if (!stream || flags & ~CU_STREAM_NON_BLOCKING)
		return CUDA_ERROR_INVALID_VALUE;
	(void)priority;		/* clamped to the range, which is the single value 0 */
	s = sg_stream_new(ctx, flags, 0);
	if (!s)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*stream = s;
	return CUDA_SUCCESS;
}

SG_API CUresult cuStreamCreate(CUstream *stream, unsigned int flags)
{
	return cuStreamCreateWithPriority(stream, flags, 0);
}

SG_API CUresult cuStreamDestroy_v2(CUstream stream)
{
	SG_ENTER(ctx);
	(void)ctx;
	if (!stream || stream == CU_STREAM_LEGACY || stream == CU_STREAM_PER_THREAD ||
	    stream->magic != MAGIC_STREAM || stream == stream->ctx->legacy || stream->dying)
		return CUDA_ERROR_INVALID_HANDLE;
	sg_stream_retire(stream);
	return CUDA_SUCCESS;
}

SG_API CUresult cuStreamQuery(CUstream stream)
{
	CUstream s;
	CUresult rc;
	bool busy;

	SG_ENTER(ctx);
	if (sg_capturing(ctx, stream))
		return sg_capture_break(ctx, stream);
	rc = sg_stream_get(ctx, stream, &s);
	if (rc)
		return rc;
	pthread_mutex_lock(&s->ctx->lock);
	busy = s->completed < s->submitted;
	pthread_mutex_unlock(&s->ctx->lock);
	rc = atomic_load(&s->ctx->dev->error);
	sg_stream_put(s);
	return rc ? rc : busy ? CUDA_ERROR_NOT_READY : CUDA_SUCCESS;
}

SG_API CUresult cuStreamSynchronize(CUstream stream)
{
	CUstream s;
	CUresult rc;

	SG_ENTER(ctx);
	if (sg_capturing(ctx, stream))
		return sg_capture_break(ctx, stream);
	rc = sg_stream_get(ctx, stream, &s);
	if (rc)
		return rc;
	if (s == s->ctx->legacy) {
		/* its place in the order is after the blocking streams, too */
		struct sg_work *w = sg_work_new(sizeof(*w), run_nothing);

		if (w)
			w->always = true;
		rc = sg_run_sync(s, w);
		if (!rc)
			rc = atomic_load(&s->ctx->dev->error);
	} else {
		rc = sg_stream_wait(s, 0);
	}
	sg_stream_put(s);
	return rc;
}

#define STREAM_FIELD(out, expr) do { \
		CUstream s_; \
		CUresult rc_; \
		SG_ENTER(ctx); \
		if (!(out)) \
			return CUDA_ERROR_INVALID_VALUE; \
		rc_ = sg_stream_get(ctx, stream, &s_); \
		if (rc_) \
			return rc_; \
		*(out) = (expr); \
		sg_stream_put(s_); \
		return CUDA_SUCCESS; \
	} while (0)

SG_API CUresult cuStreamGetFlags(CUstream stream, unsigned int *flags)
{
	STREAM_FIELD(flags, s_->flags);
}

SG_API CUresult cuStreamGetPriority(CUstream stream, int *priority)
{
	STREAM_FIELD(priority, s_->priority);
}

SG_API CUresult cuStreamGetId(CUstream stream, unsigned long long *id)
{
	STREAM_FIELD(id, s_->id);
}

SG_API CUresult cuStreamGetCtx(CUstream stream, CUcontext *out)
{
	STREAM_FIELD(out, s_->ctx);
}

SG_API CUresult cuStreamGetCtx_v2(CUstream stream, CUcontext *out, CUgreenCtx *green)
{
	CUresult rc = green ? cuStreamGetCtx(stream, out) : CUDA_ERROR_INVALID_VALUE;

	if (!rc)
		*green = NULL;
	return rc;
}

SG_API CUresult cuStreamGetDevice(CUstream stream, CUdevice *device)
{
	STREAM_FIELD(device, s_->ctx->dev->index);
}

static _Thread_local CUstreamCaptureMode capture_mode;

SG_API CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode)
{
	CUstreamCaptureMode old = capture_mode;

	SG_NEED_INIT();
	if (!mode || (unsigned int)*mode > CU_STREAM_CAPTURE_MODE_RELAXED)
		return CUDA_ERROR_INVALID_VALUE;
	capture_mode = *mode;
	*mode = old;
	return CUDA_SUCCESS;
}

/* Events */

static CUevent event_of(CUevent e)
{
	return e && e->magic == MAGIC_EVENT ? e : NULL;
}

SG_API CUresult cuEventCreate(CUevent *event, unsigned int flags)
{
	CUevent e;

	SG_ENTER(ctx);
	if (!event || flags & ~(CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING |
				CU_EVENT_INTERPROCESS))
		return CUDA_ERROR_INVALID_VALUE;
	if (flags & CU_EVENT_INTERPROCESS && !(flags & CU_EVENT_DISABLE_TIMING))
		return CUDA_ERROR_INVALID_VALUE;
	e = sg_event_new(ctx, flags, -1);
	if (!e)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*event = e;
	return CUDA_SUCCESS;
}

SG_API CUresult cuEventDestroy_v2(CUevent event)
{
	SG_NEED_INIT();
	if (!event_of(event))
		return CUDA_ERROR_INVALID_HANDLE;
	event->magic = 0;
	sg_event_put(event);
	return CUDA_SUCCESS;
}

struct event_work {
	struct sg_work w;
	CUevent event;
	uint64_t count;
};

static void release_event(struct sg_work *w)
{
	sg_event_put(((struct event_work *)w)->event);
}

/* The event and the stream's progress change together, so no query sees one without the other. */
static void finish_record(struct sg_work *w)
{
	struct event_work *r = (struct event_work *)w;
	CUevent e = r->event;

	e->time_ns = now_ns();
	sg_event_complete(e, r->count);
}

SG_API CUresult cuEventRecord(CUevent event, CUstream stream)
{
	struct event_work *r;
	CUstream s;
	CUresult rc;

	SG_ENTER(ctx);
	if (!event_of(event))
		return CUDA_ERROR_INVALID_HANDLE;
	if (sg_capturing(ctx, stream))
		return sg_capture_record(ctx, stream, &event->at);
	sg_point_clear(&event->at);
	rc = sg_stream_get(ctx, stream, &s);
	if (rc)
		return rc;
	if (s->ctx != event->ctx) {
		sg_stream_put(s);
		return CUDA_ERROR_INVALID_HANDLE;
	}
	r = sg_work_new(sizeof(*r), run_nothing);
	if (r) {
		r->w.finish = finish_record;
		r->w.release = release_event;
		r->event = event;
		pthread_mutex_lock(&event->ctx->lock);
		r->count = sg_event_record(event);
		event->refs++;
		pthread_mutex_unlock(&event->ctx->lock);
	}
	rc = sg_submit(s, (struct sg_work *)r);
	sg_stream_put(s);
	return rc;
}

SG_API CUresult cuEventRecordWithFlags(CUevent event, CUstream stream, unsigned int flags)
{
	SG_ENTER(ctx);
	if (flags & ~CU_EVENT_RECORD_EXTERNAL)
		return CUDA_ERROR_INVALID_VALUE;
	/* an external record differs from a plain one only while capturing */
	if (flags && sg_capturing(ctx, stream))
		return SG_CAPTURE(ctx, stream, cuGraphAddEventRecordNode, event);
	return cuEventRecord(event, stream);
}

SG_API CUresult cuEventQuery(CUevent event)
{
	bool busy;
	CUresult rc;

	SG_NEED_INIT();
	if (!event_of(event))
		return CUDA_ERROR_INVALID_HANDLE;
	rc = sg_capture_asked(&event->at);
	if (rc)
		return rc;
	pthread_mutex_lock(&event->ctx->lock);
	busy = !sg_event_done(event, sg_event_recorded(event));
	pthread_mutex_unlock(&event->ctx->lock);
	rc = atomic_load(&event->ctx->dev->error);
	return rc ? rc : busy ? CUDA_ERROR_NOT_READY : CUDA_SUCCESS;
}

SG_API CUresult cuEventSynchronize(CUevent event)
{
	CUcontext ctx;
	CUresult rc;

	SG_NEED_INIT();
	if (!event_of(event))
		return CUDA_ERROR_INVALID_HANDLE;
	rc = sg_capture_asked(&event->at);
	if (rc)
		return rc;
	ctx = event->ctx;
	pthread_mutex_lock(&ctx->lock);
	event->refs++;
	sg_event_await(event, sg_event_recorded(event));
	pthread_mutex_unlock(&ctx->lock);
	sg_event_put(event);
	return atomic_load(&ctx->dev->error);
}

static CUresult elapsed(float *ms, CUevent start, CUevent end)
{
	CUresult rc = CUDA_SUCCESS;

	SG_NEED_INIT();
	if (!ms || !event_of(start) || !event_of(end) || start->ctx != end->ctx ||
	    (start->flags | end->flags) & CU_EVENT_DISABLE_TIMING)
		return CUDA_ERROR_INVALID_HANDLE;
	if (start->ctx->dev->error)
		return atomic_load(&start->ctx->dev->error);
	pthread_mutex_lock(&start->ctx->lock);
	if (!start->recorded || !end->recorded)
		rc = CUDA_ERROR_INVALID_HANDLE;
	else if (start->completed < start->recorded || end->completed < end->recorded)
		rc = CUDA_ERROR_NOT_READY;
	else
		*ms = (float)((double)(int64_t)(end->time_ns - start->time_ns) / 1e6);
	pthread_mutex_unlock(&start->ctx->lock);
	return rc;
}

SG_API CUresult cuEventElapsedTime(float *ms, CUevent start, CUevent end)
{
	return elapsed(ms, start, end);
}

SG_API CUresult cuEventElapsedTime_v2(float *ms, CUevent start, CUevent end)
{
	return elapsed(ms, start, end);
}

static int run_wait_event(struct sg_work *w)
{
	struct event_work *r = (struct event_work *)w;
	CUevent e = r->event;

	pthread_mutex_lock(&e->ctx->lock);
	sg_event_await(e, r->count);
	pthread_mutex_unlock(&e->ctx->lock);
	return 0;
}

SG_API CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned int flags)
{
	struct event_work *r;
	CUstream s;
	CUresult rc;

	SG_ENTER(ctx);
	if (flags & ~CU_EVENT_WAIT_EXTERNAL)
		return CUDA_ERROR_INVALID_VALUE;
	if (!event_of(event))
		return CUDA_ERROR_INVALID_HANDLE;
	if (flags && sg_capturing(ctx, stream))
		return SG_CAPTURE(ctx, stream, cuGraphAddEventWaitNode, event);
	if (sg_captured(&event->at))
		return sg_capture_wait(ctx, stream, &event->at);
	if (sg_capturing(ctx, stream)) {
		sg_capture_break(ctx, stream);
		return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
	}
	rc = sg_stream_get(ctx, stream, &s);
	if (rc)
		return rc;
	r = sg_work_new(sizeof(*r), run_wait_event);
	if (r) {
		r->w.light = true;
		r->w.release = release_event;
		r->event = event;
		pthread_mutex_lock(&event->ctx->lock);
		r->count = sg_event_recorded(event);
		event->refs++;
		pthread_mutex_unlock(&event->ctx->lock);
	}
	rc = sg_submit(s, (struct sg_work *)r);
	sg_stream_put(s);
	return rc;
}

/* Host functions */

struct host_work {
	struct sg_work w;
	CUhostFn fn;
	CUstreamCallback callback;
	CUstream handle;
	void *data;
};

static int run_host(struct sg_work *w)
{
	struct host_work *h = (struct host_work *)w;

	/* a callback learns of an error, a host function is not called after one */
	if (h->callback)
		h->callback(h->handle, atomic_load(&w->stream->ctx->dev->error), h->data);
	else
		h->fn(h->data);
	return 0;
}

static CUresult submit_host(CUstream stream, CUhostFn fn, CUstreamCallback callback, void *data)
{
	struct host_work *h;
	CUstream s;
	CUresult rc;

	SG_ENTER(ctx);
	if (sg_capturing(ctx, stream)) {
		const CUDA_HOST_NODE_PARAMS p = { fn, data };

		return callback ? sg_capture_break(ctx, stream) :
				  SG_CAPTURE(ctx, stream, cuGraphAddHostNode, &p);
	}
	rc = sg_stream_get(ctx, stream, &s);
	if (rc)
		return rc;
	h = sg_work_new(sizeof(*h), run_host);
	if (h) {
		h->fn = fn;
		h->callback = callback;
		h->handle = stream;
		h->data = data;
		h->w.always = callback != NULL;
		h->w.light = true;
	}
	rc = sg_submit(s, (struct sg_work *)h);
	sg_stream_put(s);
	return rc;
}

SG_API CUresult cuLaunchHostFunc(CUstream stream, CUhostFn fn, void *data)
{
	return fn ? submit_host(stream, fn, NULL, data) : CUDA_ERROR_INVALID_VALUE;
}

SG_API CUresult cuStreamAddCallback(CUstream stream, CUstreamCallback callback, void *data,
				    unsigned int flags)
{
	if (!callback || flags)
		return CUDA_ERROR_INVALID_VALUE;
	return submit_host(stream, NULL, callback, data);
}
