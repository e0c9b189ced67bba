// SPDX-License-Identifier: Apache-2.0
/*
 * External ids: a program says what it is doing, thread by thread, and each call that is
 * recorded gets a record with the topmost id of each kind.
 */
#include <pthread.h>
#include <stdlib.h>

#include "cupti_internal.h"

static __thread struct stack {
	uint64_t *ids;
	unsigned int count, room;
} stacks[VG_CUPTI_EXTERNAL_KINDS];

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void free_stacks(void *of_thread)
{
	struct stack *s = of_thread;

	for (unsigned int i = 0; i < VG_CUPTI_EXTERNAL_KINDS; i++) {
		free(s[i].ids);
		s[i] = (struct stack){ 0 };
	}
}

static void make_key(void)
{
	pthread_key_create(&key, free_stacks);
}

static struct stack *stack_of(uint32_t kind)
{
	return kind && kind < VG_CUPTI_EXTERNAL_KINDS ? &stacks[kind] : NULL;
}

VG_EXPORT CUptiResult cuptiActivityPushExternalCorrelationId(uint32_t kind, uint64_t id)
{
	struct stack *s = stack_of(kind);
	unsigned int room;
	uint64_t *ids;

	if (!s)
		return vg_cupti_said(CUPTI_ERROR_INVALID_PARAMETER);
	if (s->count == s->room) {
		pthread_once(&once, make_key);
		pthread_setspecific(key, stacks);
		room = s->room ? 2 * s->room : 16;
		ids = realloc(s->ids, room * sizeof(*ids));
		if (!ids)
			return vg_cupti_said(CUPTI_ERROR_OUT_OF_MEMORY);
		s->ids = ids;
		s->room = room;
	}
	s->ids[s->count++] = id;
	return CUPTI_SUCCESS;
}

VG_EXPORT CUptiResult cuptiActivityPopExternalCorrelationId(uint32_t kind, uint64_t *last)
{
	struct stack *s = stack_of(kind);

	if (!s)
		return vg_cupti_said(CUPTI_ERROR_INVALID_PARAMETER);
	if (!s->count)
		return vg_cupti_said(CUPTI_ERROR_QUEUE_EMPTY);
	s->count--;
	if (last)
		*last = s->ids[s->count];
	return CUPTI_SUCCESS;
}

void vg_external_put(uint32_t correlation)
{
	for (uint32_t kind = 1; kind < VG_CUPTI_EXTERNAL_KINDS; kind++) {
		const struct stack *s = &stacks[kind];
		struct cupti_external r = {
			.kind = CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION, .externalKind = kind,
			.correlationId = correlation,
		};

		if (!s->count)
			continue;
		r.externalId = s->ids[s->count - 1];
		vg_buffer_put(&r, sizeof(r));
	}
}
