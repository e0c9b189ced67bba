// SPDX-License-Identifier: Apache-2.0
/*
 * The program's buffers.  One is asked for with the first record that will be, since a program
 * may flush only if it has given one.  It is given back when it is full, or by a flush.
 */
#include <pthread.h>
#include <string.h>

#include "cupti_internal.h"

struct buffer {
	uint8_t *p;
	size_t bytes, used, records, max;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* all below */
static vg_buffer_requested requested;
static vg_buffer_completed completed;
static struct buffer current;
static uint64_t dropped;

void vg_dropped(uint64_t n)
{
	pthread_mutex_lock(&lock);
	dropped += n;
	pthread_mutex_unlock(&lock);
}

static bool fits(const struct buffer *b, size_t bytes)
{
	return b->p && b->bytes - b->used >= bytes && (!b->max || b->records < b->max);
}

/* Give one back; the lock is not held. */
static void complete(const struct buffer *b)
{
	if (b->p && completed)
		completed(NULL, 0, b->p, b->bytes, b->used);
}

static struct buffer request(void)
{
	struct buffer b = { 0 };

	if (requested)
		requested(&b.p, &b.bytes, &b.max);
	/* Records start on 8 bytes, and so must the buffer. */
	if (!b.p || !b.bytes || (uintptr_t)b.p % 8) {
		complete(&b);
		b = (struct buffer){ 0 };
	}
	return b;
}

static void write_record(struct buffer *b, const void *record, size_t bytes)
{
	memcpy(b->p + b->used, record, bytes);
	b->used += bytes;
	b->records++;
}

void vg_buffer_ensure(void)
{
	struct buffer fresh, extra = { 0 };
	bool there;

	pthread_mutex_lock(&lock);
	there = current.p;
	pthread_mutex_unlock(&lock);
	if (there)
		return;
	fresh = request();
	pthread_mutex_lock(&lock);
	if (current.p)
		extra = fresh;
	else
		current = fresh;
	pthread_mutex_unlock(&lock);
	complete(&extra);
}

void vg_buffer_put(const void *record, size_t bytes)
{
	struct buffer full = { 0 }, fresh;

	pthread_mutex_lock(&lock);
	if (fits(&current, bytes)) {
		write_record(&current, record, bytes);
		pthread_mutex_unlock(&lock);
		return;
	}
	full = current;
	current = (struct buffer){ 0 };
	pthread_mutex_unlock(&lock);
	complete(&full);
	fresh = request();
	pthread_mutex_lock(&lock);
	full = current;		/* another thread's, that came meanwhile */
	if (fits(&fresh, bytes))
		write_record(&fresh, record, bytes);
	else
		dropped++;
	current = fresh;
	pthread_mutex_unlock(&lock);
	complete(&full);
}

void vg_buffer_flush(bool forced)
{
	struct buffer b;

	pthread_mutex_lock(&lock);
	b = current;
	if (b.used || forced)
		current = (struct buffer){ 0 };
	else
		b = (struct buffer){ 0 };
	pthread_mutex_unlock(&lock);
	complete(&b);
}

VG_EXPORT CUptiResult cuptiActivityRegisterCallbacks(vg_buffer_requested r, vg_buffer_completed c)
{
	if (!r || !c)
		return vg_cupti_said(CUPTI_ERROR_INVALID_PARAMETER);
	pthread_mutex_lock(&lock);
	requested = r;
	completed = c;
	pthread_mutex_unlock(&lock);
	return CUPTI_SUCCESS;
}

VG_EXPORT CUptiResult cuptiActivityGetNumDroppedRecords(CUcontext ctx, uint32_t stream, size_t *n)
{
	(void)ctx;
	(void)stream;	/* all are counted together */
	if (!n)
		return vg_cupti_said(CUPTI_ERROR_INVALID_PARAMETER);
	pthread_mutex_lock(&lock);
	*n = dropped;
	dropped = 0;
	pthread_mutex_unlock(&lock);
	return CUPTI_SUCCESS;
}

VG_EXPORT CUptiResult cuptiActivityGetNextRecord(uint8_t *buffer, size_t valid, void **record)
{
	uint8_t *at;
	size_t left, bytes;

	if (!buffer || !record)
		return vg_cupti_said(CUPTI_ERROR_INVALID_PARAMETER);
	at = *record;
	if (!at) {
		at = buffer;
	} else {
		if (at < buffer || at - buffer >= (ptrdiff_t)valid)
			return vg_cupti_said(CUPTI_ERROR_INVALID_PARAMETER);
		bytes = vg_record_bytes(*(uint32_t *)at);
		if (!bytes)
			return vg_cupti_said(CUPTI_ERROR_INVALID_KIND);
		at += bytes;
	}
	left = valid - (at - buffer);
	if (at - buffer >= (ptrdiff_t)valid || left < sizeof(uint32_t))
		return CUPTI_ERROR_MAX_LIMIT_REACHED;
	bytes = vg_record_bytes(*(uint32_t *)at);
	if (!bytes || bytes > left)
		return vg_cupti_said(CUPTI_ERROR_INVALID_KIND);
	*record = at;
	return CUPTI_SUCCESS;
}
