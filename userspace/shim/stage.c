// SPDX-License-Identifier: Apache-2.0
/* The pinned buffers of a context, for large copies of pageable memory. */
#include <stdlib.h>

#include "client.h"
#include "crew.h"
#include "shim.h"
#include "shim_calls.h"
#include "stage.h"
#include "stage_internal.h"
#include "common/storage.h"

static char storage_key;

/* The context goes, and its events with it. */
static void stage_end(CUcontext ctx, void *key, void *value)
{
	struct vg_stage *s = value;
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
static bool stage_grow(struct vg_stage *s, unsigned int count)
{
	void **memory = &s->memory[s->count ? 1 : 0];
	unsigned int more = count - s->count;

	if (cuMemHostAlloc(memory, more * s->bytes, 0))
		return false;
	if (!vg_range_shared((uintptr_t)*memory, 1))
		return false;
	for (unsigned int i = 0; i < more; i++) {
		struct vg_buffer *b = &s->buffer[s->count];

		b->p = (uint8_t *)*memory + i * s->bytes;
		if (cuEventCreate(&b->event, CU_EVENT_DISABLE_TIMING))
			return false;
		s->count++;
	}
	return true;
}

static struct vg_stage *stage_new(void)
{
	struct vg_stage *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->given, NULL);
	/* In a small guest, whose arena is small, less than that in all. */
	s->bytes = vg_arena_max() / 4 < VG_BUFFER_MAX ? vg_arena_max() / 4 : VG_BUFFER_MAX;
	if (s->bytes < VG_CREW_CHUNK)
		s->bytes = VG_CREW_CHUNK;
	if (stage_grow(s, VG_BUFFERS_IN))
		return s;
	stage_end(NULL, NULL, s);
	return NULL;
}

struct vg_stage *vg_stage_get(void)
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

unsigned int vg_stage_take(struct vg_stage *s, unsigned int most, struct vg_buffer **out)
{
	unsigned int first, n = 0;

	pthread_mutex_lock(&s->lock);
	if (most > s->count && !s->memory[1])
		stage_grow(s, VG_BUFFERS);
	while (!n) {
		first = s->next;
		for (unsigned int i = 0; i < s->count && n < most; i++) {
			struct vg_buffer *b = &s->buffer[(first + i) % s->count];

			if (b->taken)
				continue;
			b->taken = true;
			out[n++] = b;
			s->next = (first + i + 1) % s->count;
		}
		if (!n)
			pthread_cond_wait(&s->given, &s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return n;
}

void vg_stage_give(struct vg_stage *s, struct vg_buffer *const *buffer, unsigned int count)
{
	pthread_mutex_lock(&s->lock);
	for (unsigned int i = 0; i < count; i++)
		buffer[i]->taken = false;
	pthread_cond_broadcast(&s->given);
	pthread_mutex_unlock(&s->lock);
}

CUresult vg_buffer_mark(struct vg_buffer *b, CUstream stream)
{
	CUresult r = cuEventRecord(b->event, stream);

	b->busy = !r;
	return r;
}

CUresult vg_buffer_settle(struct vg_buffer *b)
{
	CUresult r = b->busy ? cuEventSynchronize(b->event) : CUDA_SUCCESS;

	b->busy = false;
	return r;
}

bool vg_buffer_settled(struct vg_buffer *b)
{
	if (b->busy && !cuEventQuery(b->event))
		b->busy = false;
	return !b->busy;
}

void vg_stage_ahead(void)
{
	if (!vg_capturing())
		vg_stage_get();
}
