// SPDX-License-Identifier: Apache-2.0
/*
 * Streams: queues with a thread each.
 *
 * Every piece of work has the next ticket of its stream and completes in that order. The legacy
 * stream waits for what blocking streams had submitted before, and they for what it had: such
 * dependencies are noted, as stream and ticket, when the work is submitted.
 *
 * ctx->lock guards all of it; the only lock taken within it is that of the captures.
 */
#include <stdlib.h>
#include <string.h>

#include "api.h"

static _Thread_local struct per_thread {
	CUcontext ctx;
	unsigned long long ctx_id;
	CUstream stream;
} per_thread[8];

/* This thread submits the parts of a launch. */
static _Thread_local bool in_launch;

void *sg_work_new(size_t size, sg_work_fn run)
{
	struct sg_work *w = calloc(1, size);

	if (w)
		w->run = run;
	return w;
}

static void stream_free_locked(CUstream s)
{
	CUcontext ctx = s->ctx;

	for (CUstream *pp = &ctx->streams; *pp; pp = &(*pp)->next) {
		if (*pp == s) {
			*pp = s->next;
			break;
		}
	}
	pthread_cond_destroy(&s->wake);
	sg_point_clear(&s->at);
	s->magic = 0;
	free(s);
}

/* A reference each for the program, for the thread, and for whoever waits. */
static void stream_put_locked(CUstream s)
{
	if (!--s->refs)
		stream_free_locked(s);
}

void sg_stream_put(CUstream s)
{
	CUcontext ctx = s->ctx;

	pthread_mutex_lock(&ctx->lock);
	stream_put_locked(s);
	pthread_mutex_unlock(&ctx->lock);
}

static bool ready_locked(const struct sg_work *w)
{
	if (w->stream->completed + 1 != w->ticket)
		return false;
	for (int i = 0; i < w->ndeps; i++)
		if (w->deps[i].stream->completed < w->deps[i].ticket)
			return false;
	return true;
}

static int execute(struct sg_work *w)
{
	struct sg_device *dev = w->stream->ctx->dev;
	int rc = atomic_load(&dev->error);

	if (rc && !w->always)
		return rc;
	return w->run(w);
}

static void complete_locked(struct sg_work *w)
{
	CUstream s = w->stream;

	s->completed = w->ticket;
	s->entries -= w->queued;
	s->pushes -= w->push;
	s->staged -= w->queued ? w->staged : 0;
	if (w->finish)
		w->finish(w);
	for (int i = 0; i < w->ndeps; i++)
		stream_put_locked(w->deps[i].stream);
	w->ndeps = 0;
	pthread_cond_broadcast(&s->ctx->done);
}

static void work_free(struct sg_work *w)
{
	if (w->release)
		w->release(w);
	free(w->deps);
	free(w);
}

static void *stream_main(void *arg)
{
	CUstream s = arg;
	CUcontext ctx = s->ctx;

	pthread_mutex_lock(&ctx->lock);
	for (;;) {
		struct sg_work *w = s->head;

		if (!w) {
			if (s->dying)
				break;
			pthread_cond_wait(&s->wake, &ctx->lock);
			continue;
		}
		s->head = w->next;
		if (!s->head)
			s->tail = &s->head;
		while (!ready_locked(w))
			pthread_cond_wait(&ctx->done, &ctx->lock);
		pthread_mutex_unlock(&ctx->lock);
		execute(w);
		pthread_mutex_lock(&ctx->lock);
		complete_locked(w);
		pthread_mutex_unlock(&ctx->lock);
		work_free(w);
		pthread_mutex_lock(&ctx->lock);
	}
	s->started = false;
	pthread_cond_broadcast(&ctx->done);
	stream_put_locked(s);
	pthread_mutex_unlock(&ctx->lock);
	return NULL;
}

static bool start_locked(CUstream s)
{
	pthread_attr_t attr;
	int rc;

	if (s->started)
		return true;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 512 << 10);
	s->refs++;
	rc = pthread_create(&s->thread, &attr, stream_main, s);
	pthread_attr_destroy(&attr);
	if (rc) {
		s->refs--;
		return false;
	}
	s->started = true;
	return true;
}

CUstream sg_stream_new(CUcontext ctx, unsigned int flags, int priority)
{
	CUstream s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->magic = MAGIC_STREAM;
	s->ctx = ctx;
	s->flags = flags;
	s->priority = priority;
	s->refs = 1;
	s->tail = &s->head;
	pthread_cond_init(&s->wake, NULL);
	pthread_mutex_lock(&ctx->lock);
	s->id = ++ctx->next_stream_id;
	s->next = ctx->streams;
	ctx->streams = s;
	pthread_mutex_unlock(&ctx->lock);
	return s;
}

/* Each thread has a default stream of its own in each context. */
static CUstream thread_stream(CUcontext ctx)
{
	size_t n = sizeof(per_thread) / sizeof(per_thread[0]), at = n - 1;

	for (size_t i = 0; i < n; i++) {
		if (per_thread[i].ctx == ctx && per_thread[i].ctx_id == ctx->id)
			return per_thread[i].stream;
		if (!per_thread[i].ctx && at == n - 1)
			at = i;
	}
	per_thread[at].stream = sg_stream_new(ctx, CU_STREAM_DEFAULT, 0);
	if (!per_thread[at].stream)
		return NULL;
	per_thread[at].stream->per_thread = true;
	per_thread[at].ctx = ctx;
	per_thread[at].ctx_id = ctx->id;
	return per_thread[at].stream;
}

CUresult sg_stream_get(CUcontext ctx, CUstream handle, CUstream *out)
{
	CUstream s = handle;

	if (!handle || handle == CU_STREAM_LEGACY)
		s = ctx->legacy;
	else if (handle == CU_STREAM_PER_THREAD)
		s = thread_stream(ctx);
	if (!s)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (s->magic != MAGIC_STREAM)
		return CUDA_ERROR_INVALID_HANDLE;
	if (s->ctx->dev->error)
		return atomic_load(&s->ctx->dev->error);
	pthread_mutex_lock(&s->ctx->lock);
	s->refs++;
	pthread_mutex_unlock(&s->ctx->lock);
	*out = s;
	return CUDA_SUCCESS;
}

/* The program lets go of a stream: what is queued still runs. */
void sg_stream_retire(CUstream s)
{
	CUcontext ctx = s->ctx;

	sg_capture_gone(s);
	pthread_mutex_lock(&ctx->lock);
	s->dying = true;
	pthread_cond_broadcast(&s->wake);
	stream_put_locked(s);
	pthread_mutex_unlock(&ctx->lock);
}

static bool depend_locked(struct sg_work *w, CUstream on)
{
	struct sg_dep *d;

	if (on->completed >= on->submitted)
		return true;
	d = realloc(w->deps, (w->ndeps + 1) * sizeof(*d));
	if (!d)
		return false;
	w->deps = d;
	on->refs++;
	d[w->ndeps++] = (struct sg_dep){ on, on->submitted };
	return true;
}

/* Gives work its place in the order. */
static bool admit_locked(CUstream s, struct sg_work *w)
{
	CUcontext ctx = s->ctx;
	bool ok = true;

	w->stream = s;
	if (s == ctx->legacy) {
		for (CUstream o = ctx->streams; o; o = o->next)
			if (o != s && !(o->flags & CU_STREAM_NON_BLOCKING))
				ok &= depend_locked(w, o);
	} else if (!(s->flags & CU_STREAM_NON_BLOCKING)) {
		ok = depend_locked(w, ctx->legacy);
	}
	if (!ok) {
		for (int i = 0; i < w->ndeps; i++)
			stream_put_locked(w->deps[i].stream);
		w->ndeps = 0;
		return false;
	}
	w->ticket = ++s->submitted;
	return true;
}

static bool full_locked(const struct CUstream_st *s, bool light, size_t staged)
{
	return s->entries >= SG_ENTRIES_MAX || (!light && s->pushes >= SG_PUSHES_MAX) ||
	       (staged && s->staged && s->staged + staged > SG_STAGED_MAX);
}

static void wait_for_room_locked(CUstream s, bool light, size_t staged)
{
	while (!in_launch && full_locked(s, light, staged))
		pthread_cond_wait(&s->ctx->done, &s->ctx->lock);
}

void sg_launch_begin(CUstream s)
{
	pthread_mutex_lock(&s->ctx->lock);
	wait_for_room_locked(s, false, 0);
	pthread_mutex_unlock(&s->ctx->lock);
	in_launch = true;
}

CUresult sg_launch_end(CUstream s, struct sg_work *last)
{
	CUresult rc;

	last->push = true;
	rc = sg_submit(s, last);
	in_launch = false;
	return rc;
}

CUresult sg_submit(CUstream s, struct sg_work *w)
{
	CUcontext ctx = s->ctx;
	bool ok;

	if (!w)
		return CUDA_ERROR_OUT_OF_MEMORY;
	pthread_mutex_lock(&ctx->lock);
	wait_for_room_locked(s, w->light, w->staged);
	ok = start_locked(s) && admit_locked(s, w);
	if (ok) {
		w->queued = true;
		w->push |= !in_launch && !w->light;
		s->entries++;
		s->pushes += w->push;
		s->staged += w->staged;
		*s->tail = w;
		s->tail = &w->next;
		pthread_cond_signal(&s->wake);
	}
	pthread_mutex_unlock(&ctx->lock);
	if (!ok) {
		work_free(w);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	return CUDA_SUCCESS;
}

CUresult sg_run_sync(CUstream s, struct sg_work *w)
{
	CUcontext ctx = s->ctx;
	int rc;

	if (!w)
		return CUDA_ERROR_OUT_OF_MEMORY;
	pthread_mutex_lock(&ctx->lock);
	if (!admit_locked(s, w)) {
		pthread_mutex_unlock(&ctx->lock);
		work_free(w);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	while (!ready_locked(w))
		pthread_cond_wait(&ctx->done, &ctx->lock);
	pthread_mutex_unlock(&ctx->lock);
	rc = execute(w);
	pthread_mutex_lock(&ctx->lock);
	complete_locked(w);
	pthread_mutex_unlock(&ctx->lock);
	work_free(w);
	return rc;
}

/* Waits for a ticket of the stream, 0 meaning all that was submitted so far. */
CUresult sg_stream_wait(CUstream s, uint64_t ticket)
{
	CUcontext ctx = s->ctx;

	pthread_mutex_lock(&ctx->lock);
	if (!ticket)
		ticket = s->submitted;
	while (s->completed < ticket)
		pthread_cond_wait(&ctx->done, &ctx->lock);
	pthread_mutex_unlock(&ctx->lock);
	return atomic_load(&ctx->dev->error);
}

static bool idle_locked(CUcontext ctx, const uint64_t *goal, const unsigned long long *ids, int n)
{
	for (CUstream s = ctx->streams; s; s = s->next)
		for (int i = 0; i < n; i++)
			if (s->id == ids[i] && s->completed < goal[i])
				return false;
	return true;
}

/* Waits for all that was submitted to the context before the call. */
void sg_context_wait(CUcontext ctx)
{
	uint64_t *goal;
	unsigned long long *ids;
	int n = 0;

	pthread_mutex_lock(&ctx->lock);
	for (CUstream s = ctx->streams; s; s = s->next)
		n++;
	goal = malloc(n * sizeof(*goal) + 1);
	ids = malloc(n * sizeof(*ids) + 1);
	if (!goal || !ids)
		abort();
	n = 0;
	for (CUstream s = ctx->streams; s; s = s->next) {
		goal[n] = s->submitted;
		ids[n++] = s->id;
	}
	while (!idle_locked(ctx, goal, ids, n))
		pthread_cond_wait(&ctx->done, &ctx->lock);
	pthread_mutex_unlock(&ctx->lock);
	free(goal);
	free(ids);
}

/* Ends all threads of a context that goes away; its work has completed. */
void sg_streams_shutdown(CUcontext ctx)
{
	bool busy;

	pthread_mutex_lock(&ctx->lock);
	for (CUstream s = ctx->streams; s; s = s->next)
		sg_capture_gone(s);
	do {
		busy = false;
		for (CUstream s = ctx->streams; s; s = s->next) {
			s->dying = true;
			pthread_cond_broadcast(&s->wake);
			busy |= s->started;
		}
		if (busy)
			pthread_cond_wait(&ctx->done, &ctx->lock);
	} while (busy);
	while (ctx->streams)
		stream_free_locked(ctx->streams);
	pthread_mutex_unlock(&ctx->lock);
}
