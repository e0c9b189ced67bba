// SPDX-License-Identifier: Apache-2.0
/*
 * Large copies of pageable memory, staged through memory that the device reaches.
 *
 * Natively the driver stages such a copy by one thread.  Here several threads
 * of this process copy into (or out of) a few pinned buffers, and the device
 * moves those at the speed of its copy engine meanwhile.  An event for each
 * buffer says when it may be used again, so an asynchronous copy into the device
 * returns with the data taken and the transfer under way.
 */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "client.h"
#include "shim.h"
#include "shim_calls.h"
#include "stage.h"
#include "storage.h"

#define BUFFERS 4
#define BUFFER_MAX (8u << 20)
#define THREADS_MAX 6

struct buffer {
	void *p;
	CUevent event;		/* recorded after the last copy that names it */
	bool busy;
};

/* Of one context, for events belong to one. */
struct stage {
	pthread_mutex_t lock;
	size_t bytes;		/* of each buffer */
	struct buffer buffer[BUFFERS];
	unsigned int next;
};

/* -- copying by several threads */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t more, done;
	unsigned int threads, generation, left;
	uint8_t *to;
	const uint8_t *from;
	size_t bytes;
	pid_t pid;
} crew = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.more = PTHREAD_COND_INITIALIZER,
	.done = PTHREAD_COND_INITIALIZER,
};

/* The part of `i` of `n`, in whole pages but for the last. */
static void part(unsigned int i, unsigned int n, size_t bytes, size_t *at, size_t *len)
{
	size_t each = (bytes / n + 4095) & ~(size_t)4095;

	*at = i * each < bytes ? i * each : bytes;
	*len = bytes - *at < each || i == n - 1 ? bytes - *at : each;
}

static void *copier(void *arg)
{
	unsigned int me = (uintptr_t)arg, seen = 0;
	size_t at, len;

	pthread_mutex_lock(&crew.lock);
	for (;;) {
		while (crew.generation == seen)
			pthread_cond_wait(&crew.more, &crew.lock);
		seen = crew.generation;
		part(me, crew.threads + 1, crew.bytes, &at, &len);
		pthread_mutex_unlock(&crew.lock);
		memcpy(crew.to + at, crew.from + at, len);
		pthread_mutex_lock(&crew.lock);
		if (!--crew.left)
			pthread_cond_signal(&crew.done);
	}
	return NULL;
}

/* One copier fewer than CPUs that can be spared; this thread is one more. */
static void crew_start(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned int want = cpus < 4 ? 0 : cpus / 2 - 1;
	pthread_attr_t attr;
	pthread_t thread;

	crew.pid = getpid();
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 64 << 10);
	while (crew.threads < want && crew.threads < THREADS_MAX - 1 &&
	       !pthread_create(&thread, &attr, copier, (void *)(uintptr_t)crew.threads))
		crew.threads++;
	pthread_attr_destroy(&attr);
}

/* One at a time; the caller holds some stage's lock, and this one besides. */
static void copy(void *to, const void *from, size_t bytes)
{
	static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
	size_t at, len;

	pthread_mutex_lock(&turn);
	if (!crew.pid)
		crew_start();
	if (!crew.threads || bytes < 256 << 10) {
		memcpy(to, from, bytes);
		pthread_mutex_unlock(&turn);
		return;
	}
	pthread_mutex_lock(&crew.lock);
	crew.to = to;
	crew.from = from;
	crew.bytes = bytes;
	crew.left = crew.threads;
	crew.generation++;
	pthread_cond_broadcast(&crew.more);
	pthread_mutex_unlock(&crew.lock);

	part(crew.threads, crew.threads + 1, bytes, &at, &len);
	memcpy((uint8_t *)to + at, (const uint8_t *)from + at, len);

	pthread_mutex_lock(&crew.lock);
	while (crew.left)
		pthread_cond_wait(&crew.done, &crew.lock);
	pthread_mutex_unlock(&crew.lock);
	pthread_mutex_unlock(&turn);
}

/* -- buffers */

static char storage_key;

/* The context goes, and its events with it. */
static void stage_end(CUcontext ctx, void *key, void *value)
{
	struct stage *s = value;
	bool pushed = ctx && !cuCtxPushCurrent_v2(ctx);

	(void)key;
	for (unsigned int i = 0; i < BUFFERS; i++)
		if (s->buffer[i].p)
			cuMemFreeHost(s->buffer[i].p);
	if (pushed)
		cuCtxPopCurrent_v2(&ctx);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static struct stage *stage_new(void)
{
	struct stage *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	pthread_mutex_init(&s->lock, NULL);
	s->bytes = vg_arena_max() < BUFFER_MAX ? vg_arena_max() : BUFFER_MAX;
	for (unsigned int i = 0; i < BUFFERS; i++) {
		struct buffer *b = &s->buffer[i];

		if (cuMemHostAlloc(&b->p, s->bytes, 0) || !vg_range_shared((uintptr_t)b->p, 1) ||
		    cuEventCreate(&b->event, CU_EVENT_DISABLE_TIMING)) {
			stage_end(NULL, NULL, s);
			return NULL;
		}
	}
	return s;
}

/* The current context's, or NULL where memory cannot be shared. */
static struct stage *stage_of(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static bool cannot;
	struct vg_context *c = vg_current();
	void *value = NULL;

	pthread_mutex_lock(&lock);
	if (!cannot && vg_storage_get(c, &storage_key, &value)) {
		value = stage_new();
		cannot = !value;
		if (value && vg_storage_put(c, &storage_key, value, stage_end)) {
			stage_end(NULL, NULL, value);
			value = NULL;
		}
	}
	pthread_mutex_unlock(&lock);
	return value;
}

static CUresult buffer_ready(struct buffer *b)
{
	CUresult r = b->busy ? cuEventSynchronize(b->event) : CUDA_SUCCESS;

	b->busy = false;
	return r;
}

static CUresult buffer_used(struct buffer *b, CUstream s)
{
	CUresult r = cuEventRecord(b->event, s);

	b->busy = !r;
	return r;
}

bool vg_stage_in(CUdeviceptr dst, const void *src, size_t bytes, CUstream stream, CUresult *result)
{
	struct stage *s = stage_of();
	const uint8_t *from = src;
	CUresult r = CUDA_SUCCESS;

	if (!s)
		return false;
	pthread_mutex_lock(&s->lock);
	while (bytes && !r) {
		struct buffer *b = &s->buffer[s->next++ % BUFFERS];
		size_t n = bytes < s->bytes ? bytes : s->bytes;

		r = buffer_ready(b);
		if (r)
			break;
		copy(b->p, from, n);
		r = vgw_vgpu_copy_in(false, dst, (uintptr_t)b->p, n, stream);
		if (!r)
			r = buffer_used(b, stream);
		from += n;
		dst += n;
		bytes -= n;
	}
	pthread_mutex_unlock(&s->lock);
	*result = r;
	return true;
}

/* All buffers are on their way at once; each is emptied as it comes in. */
bool vg_stage_out(void *dst, CUdeviceptr src, size_t bytes, CUstream stream, CUresult *result)
{
	struct stage *s = stage_of();
	size_t asked = 0, taken = 0;
	uint8_t *to = dst;
	CUresult r = CUDA_SUCCESS;
	unsigned int first;

	if (!s)
		return false;
	pthread_mutex_lock(&s->lock);
	first = s->next;
	while (taken < bytes && !r) {
		struct buffer *b;
		size_t n;

		while (asked < bytes && s->next - first < BUFFERS && !r) {
			b = &s->buffer[s->next % BUFFERS];
			n = bytes - asked < s->bytes ? bytes - asked : s->bytes;
			r = buffer_ready(b);
			if (!r)
				r = vgw_vgpu_copy_out(false, (uintptr_t)b->p, src + asked, n, stream);
			if (!r)
				r = buffer_used(b, stream);
			asked += n;
			s->next++;
		}
		if (r)
			break;
		b = &s->buffer[first++ % BUFFERS];
		n = bytes - taken < s->bytes ? bytes - taken : s->bytes;
		r = buffer_ready(b);
		if (!r)
			copy(to + taken, b->p, n);
		taken += n;
	}
	pthread_mutex_unlock(&s->lock);
	*result = r;
	return true;
}
