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

#include "client.h"
#include "crew.h"
#include "shim.h"
#include "shim_calls.h"
#include "stage.h"
#include "storage.h"

#define BUFFERS 4
#define BUFFERS_FIRST 2		/* enough for copies in; making them is what a first copy waits for */
#define BUFFER_MAX (4u << 20)

struct buffer {
	uint8_t *p;
	CUevent event;		/* recorded after the last copy that names it, if busy */
	bool busy;
	bool taken;		/* by a thread; it alone looks at the others */
};

/* Of one context, for events belong to one. */
struct stage {
	pthread_mutex_t lock;	/* `taken` of all, and `count` */
	pthread_cond_t given;
	void *memory[2];	/* of the first buffers, and of the others */
	size_t bytes;		/* of each buffer */
	struct buffer buffer[BUFFERS];
	unsigned int count;	/* of those that there are */
	unsigned int next;
};

static char storage_key;

/* The context goes, and its events with it. */
static void stage_end(CUcontext ctx, void *key, void *value)
{
	struct stage *s = value;
	bool pushed = ctx && !cuCtxPushCurrent_v2(ctx);

	(void)key;
	for (int i = 0; i < 2; i++)
		if (s->memory[i])
			cuMemFreeHost(s->memory[i]);
	if (pushed)
		cuCtxPopCurrent_v2(&ctx);
	pthread_cond_destroy(&s->given);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* Up to `count` buffers; false if there are no more to be had. */
static bool stage_grow(struct stage *s, unsigned int count)
{
	void **memory = &s->memory[s->count ? 1 : 0];
	unsigned int more = count - s->count;

	if (cuMemHostAlloc(memory, more * s->bytes, 0))
		return false;
	if (!vg_range_shared((uintptr_t)*memory, 1))
		return false;
	for (unsigned int i = 0; i < more; i++) {
		struct buffer *b = &s->buffer[s->count];

		b->p = (uint8_t *)*memory + i * s->bytes;
		if (cuEventCreate(&b->event, CU_EVENT_DISABLE_TIMING))
			return false;
		s->count++;
	}
	return true;
}

static struct stage *stage_new(void)
{
	struct stage *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->given, NULL);
	s->bytes = vg_arena_max() < BUFFER_MAX ? vg_arena_max() : BUFFER_MAX;
	if (stage_grow(s, BUFFERS_FIRST))
		return s;
	stage_end(NULL, NULL, s);
	return NULL;
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

/*
 * A buffer for this thread, the one that was used longest ago if possible.
 * *out is NULL if none is free now and the thread, having one, must not wait.
 */
static CUresult take(struct stage *s, bool have_one, struct buffer **out)
{
	struct buffer *b = NULL;
	CUresult r;

	pthread_mutex_lock(&s->lock);
	while (!b) {
		for (unsigned int i = 0; i < s->count && !b; i++) {
			struct buffer *try = &s->buffer[(s->next + i) % s->count];

			if (!try->taken)
				b = try;
		}
		if (!b && have_one)
			break;
		if (!b)
			pthread_cond_wait(&s->given, &s->lock);
	}
	if (!b) {
		pthread_mutex_unlock(&s->lock);
		*out = NULL;
		return CUDA_SUCCESS;
	}
	b->taken = true;
	s->next = (b - s->buffer + 1) % s->count;
	pthread_mutex_unlock(&s->lock);

	r = b->busy ? cuEventSynchronize(b->event) : CUDA_SUCCESS;
	b->busy = false;
	*out = b;
	return r;
}

static void give(struct stage *s, struct buffer *b)
{
	pthread_mutex_lock(&s->lock);
	b->taken = false;
	pthread_cond_signal(&s->given);
	pthread_mutex_unlock(&s->lock);
}

/* The device still has to read it: whoever takes it next waits for that. */
static CUresult mark(struct buffer *b, CUstream stream)
{
	CUresult r = cuEventRecord(b->event, stream);

	b->busy = !r;
	return r;
}

bool vg_stage_in(CUdeviceptr dst, const void *src, size_t bytes, CUstream stream, bool wait,
		 CUresult *result)
{
	struct stage *s = stage_of();
	const uint8_t *from = src;
	CUresult r = CUDA_SUCCESS;

	if (!s)
		return false;
	while (bytes && !r) {
		size_t n = bytes < s->bytes ? bytes : s->bytes;
		struct buffer *b;

		r = take(s, false, &b);
		if (!r) {
			vg_crew_copy(b->p, from, n);
			r = vgw_vgpu_stage_in(false, dst, (uintptr_t)b->p, n, stream);
		}
		/* The last of a call that waits is done when the stream is. */
		if (!r)
			r = wait && n == bytes ? vgw_cuStreamSynchronize(stream) : mark(b, stream);
		give(s, b);
		from += n;
		dst += n;
		bytes -= n;
	}
	*result = r;
	return true;
}

/* Up to all buffers are on their way at once; each is emptied as it comes in. */
bool vg_stage_out(void *dst, CUdeviceptr src, size_t bytes, CUstream stream, CUresult *result)
{
	struct buffer *b[BUFFERS];
	struct stage *s = stage_of();
	size_t asked = 0, taken = 0;
	unsigned int first = 0, last = 0;
	uint8_t *to = dst;
	CUresult r = CUDA_SUCCESS;

	if (!s)
		return false;
	if (bytes > BUFFERS_FIRST * s->bytes) {
		pthread_mutex_lock(&s->lock);
		if (s->count == BUFFERS_FIRST && !s->memory[1])
			stage_grow(s, BUFFERS);
		pthread_mutex_unlock(&s->lock);
	}
	while (taken < bytes && !r) {
		size_t n;

		while (asked < bytes && last - first < BUFFERS && !r) {
			struct buffer *out;

			n = bytes - asked < s->bytes ? bytes - asked : s->bytes;
			r = take(s, last > first, &out);
			if (!out)
				break;
			b[last++ % BUFFERS] = out;
			if (!r)
				r = vgw_vgpu_stage_out(false, (uintptr_t)out->p, src + asked, n,
						       stream);
			if (!r && n < bytes)
				r = mark(out, stream);
			asked += n;
		}
		if (!r) {
			struct buffer *in = b[first % BUFFERS];

			n = bytes - taken < s->bytes ? bytes - taken : s->bytes;
			r = in->busy ? cuEventSynchronize(in->event) :
				       vgw_cuStreamSynchronize(stream);
			in->busy = false;
			if (!r)
				vg_crew_copy(to + taken, in->p, n);
			give(s, in);
			first++;
			taken += n;
		}
	}
	while (first < last)
		give(s, b[first++ % BUFFERS]);
	*result = r;
	return true;
}
