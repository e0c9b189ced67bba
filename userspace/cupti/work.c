// SPDX-License-Identifier: Apache-2.0
/*
 * Calls that give the device work.  Each has a tag, under which the executor times the records
 * that the call sends; a copy in pieces sends several.  When all have been told the call's
 * record is written, from the start of the first to the end of the last.
 */
#include <pthread.h>
#include <stdlib.h>

#include "cupti_internal.h"

#define ROOM		(1u << 17)	/* calls that have not been told; of more the oldest is dropped */
#define DRAIN_AT	4096u		/* records after which they are fetched, unless the program does */
#define SPANS		160u		/* of one answer */

struct work {
	uint32_t tag;			/* 0: free */
	int32_t left;			/* records that were sent and not told; less, while sending */
	bool sent;
	bool lost;
	bool timed;
	uint64_t called, over;		/* on the records' clock; over 0: see over_by() */
	uint64_t start, end;		/* on the executor's */
	union vg_record record;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* all below */
static struct work *table;		/* by tag; never freed */
static uint32_t last_tag;
static uint32_t open;			/* works in the table */
static uint32_t undrained;		/* records since the last drain */
static uint64_t lost;			/* spans that the executor has dropped, of works in the table */
static bool timing;			/* the executor times */
/* One thread fetches at a time; the program's callbacks run meanwhile, and calls do not wait. */
static pthread_mutex_t draining = PTHREAD_MUTEX_INITIALIZER;

static void set_times(union vg_record *r, uint64_t start, uint64_t end)
{
	switch (r->kind) {
	case CUPTI_ACTIVITY_KIND_MEMCPY:
		r->memcpy.start = start;
		r->memcpy.end = end;
		break;
	case CUPTI_ACTIVITY_KIND_MEMCPY2:
		r->memcpy2.start = start;
		r->memcpy2.end = end;
		break;
	case CUPTI_ACTIVITY_KIND_MEMSET:
		r->memset.start = start;
		r->memset.end = end;
		break;
	case CUPTI_ACTIVITY_KIND_GRAPH_TRACE:
		r->graph.start = start;
		r->graph.end = end;
		break;
	default:
		r->kernel.start = start;
		r->kernel.end = end;
		r->kernel.completed = end;
	}
}

/* -- when the program has waited for what */

#define WAITS 4096u

static struct wait {
	uint32_t tag;			/* the last one before it */
	uint32_t context, stream;	/* stream 0: all of the context */
	uint64_t over;
} waits[WAITS];				/* a ring */
static uint32_t wait_count;		/* of all that ever were */

uint32_t vg_work_last(void)
{
	uint32_t tag;

	pthread_mutex_lock(&lock);
	tag = last_tag;
	pthread_mutex_unlock(&lock);
	return tag;
}

void vg_work_waited(uint32_t tag, uint32_t context, uint32_t stream)
{
	struct wait w = { tag, context, stream, vg_clock_now() };

	pthread_mutex_lock(&lock);
	if (open)
		waits[wait_count++ % WAITS] = w;
	pthread_mutex_unlock(&lock);
}

static void place_of(const union vg_record *r, uint32_t *context, uint32_t *stream)
{
	switch (r->kind) {
	case CUPTI_ACTIVITY_KIND_MEMCPY:
		*context = r->memcpy.contextId;
		*stream = r->memcpy.streamId;
		break;
	case CUPTI_ACTIVITY_KIND_MEMCPY2:
		*context = r->memcpy2.contextId;
		*stream = r->memcpy2.streamId;
		break;
	case CUPTI_ACTIVITY_KIND_MEMSET:
		*context = r->memset.contextId;
		*stream = r->memset.streamId;
		break;
	case CUPTI_ACTIVITY_KIND_GRAPH_TRACE:
		*context = r->graph.contextId;
		*stream = r->graph.streamId;
		break;
	default:
		*context = r->kernel.contextId;
		*stream = r->kernel.streamId;
	}
}

/* When the first wait for this work had ended; now, if there was none. */
static uint64_t over_by(const struct work *w)
{
	uint64_t over = w->over ? w->over : vg_clock_now();
	uint32_t context, stream, oldest;

	place_of(&w->record, &context, &stream);
	pthread_mutex_lock(&lock);
	oldest = wait_count > WAITS ? wait_count - WAITS : 0;
	/* Threads may have put them a little out of order. */
	for (uint32_t i = wait_count; i-- > oldest;) {
		const struct wait *v = &waits[i % WAITS];

		if (v->over < w->called)
			break;
		if ((int32_t)(v->tag - w->tag) >= 0 && v->context == context &&
		    (!v->stream || v->stream == stream) && v->over < over)
			over = v->over;
	}
	pthread_mutex_unlock(&lock);
	return over;
}

/*
 * Work begins after its call has begun, and has ended when the program has waited for it.  If
 * the comparison of clocks, which is right to some microseconds, says otherwise, then all that
 * was fetched together is moved by as much as makes it true, so that its order stays.
 */
static int64_t shift_of(struct work *done, size_t count)
{
	int64_t least = INT64_MIN, most = INT64_MAX;

	for (size_t i = 0; i < count; i++) {
		struct work *w = &done[i];
		int64_t later, earlier;

		w->start = vg_clock_of(w->start);
		w->end = vg_clock_of(w->end);
		w->over = over_by(w);
		later = (int64_t)(w->called - w->start);
		earlier = (int64_t)(w->over - w->end);
		least = later > least ? later : least;
		most = earlier < most ? earlier : most;
	}
	if (least > 0)
		return least;
	return most < 0 ? most : 0;
}

static void write_out(struct work *done, size_t count)
{
	int64_t shift = shift_of(done, count);

	for (size_t i = 0; i < count; i++) {
		struct work *w = &done[i];
		uint64_t start = w->start + shift, end = w->end + shift;

		/* If one shift does not do for all, the clocks have not run evenly. */
		if (end > w->over)
			end = w->over;
		if (start < w->called)
			start = w->called;
		if (end < start)
			end = start;
		set_times(&w->record, start, end);
		vg_buffer_put(&w->record, vg_record_bytes(w->record.kind));
	}
}

/* If all of it has been told: take it out of the table, for the caller to write. */
static bool take(struct work *w, struct work *out)
{
	if (!w->sent || w->left)
		return false;
	*out = *w;
	w->tag = 0;
	open--;
	return true;
}

/* Whether there is a record to write of it. */
static bool has_record(const struct work *w)
{
	if (w->lost)
		vg_dropped(1);
	return w->timed && !w->lost;
}

/* With the lock held; true once the executor times. */
static bool start_timing(void)
{
	const struct vg_profile_table *t = vg_driver(NULL);

	if (timing) {
		if (!vg_clock_known())
			vg_clock_begin(t);
		return true;
	}
	if (!t || !t->ready())
		return false;
	if (!table)
		table = calloc(ROOM, sizeof(*table));
	if (!table || t->timing(true))
		return false;
	timing = true;
	vg_clock_begin(t);
	return true;
}

uint32_t vg_work_begin(const union vg_record *r, uint64_t called)
{
	struct work *w;
	uint32_t tag = 0;

	pthread_mutex_lock(&lock);
	if (start_timing()) {
		if (!++last_tag)
			last_tag++;
		tag = last_tag;
		w = &table[tag % ROOM];
		if (w->tag) {
			open--;
			if (lost)
				lost--;
			else
				vg_dropped(1);
		}
		*w = (struct work){ .tag = tag, .called = called, .record = *r };
		open++;
	}
	pthread_mutex_unlock(&lock);
	return tag;
}

/* Whether the call has returned only after the device had done its work. */
static bool waits_itself(const union vg_record *r)
{
	return r->kind == CUPTI_ACTIVITY_KIND_MEMCPY &&
	       (r->memcpy.dstKind == VG_CUPTI_PAGEABLE ||
		(r->memcpy.dstKind == VG_CUPTI_PINNED && !(r->memcpy.flags & VG_CUPTI_FLAG_ASYNC)));
}

void vg_work_end(uint32_t tag, uint32_t records)
{
	struct work *w = &table[tag % ROOM], done;
	uint64_t now = vg_clock_now();
	bool all = false, drain;

	pthread_mutex_lock(&lock);
	if (w->tag == tag) {
		if (waits_itself(&w->record))
			w->over = now;
		w->left += records;
		w->sent = true;
		all = take(w, &done);
	}
	undrained += records;
	drain = undrained >= DRAIN_AT;
	pthread_mutex_unlock(&lock);
	if (all && has_record(&done))
		write_out(&done, 1);
	if (drain)
		vg_work_drain(false);
}

/* True: that was the last of its work, which is in *done. */
static bool told(const vgpu_span *s, struct work *done)
{
	struct work *w = &table[s->tag % ROOM];
	bool all;

	pthread_mutex_lock(&lock);
	if (!s->tag || w->tag != s->tag) {
		pthread_mutex_unlock(&lock);
		return false;
	}
	w->left--;
	if (s->flags & VG_SPAN_LOST)
		w->lost = true;
	if (!s->flags) {
		if (!w->timed || s->start < w->start)
			w->start = s->start;
		if (!w->timed || s->start + s->nanoseconds > w->end)
			w->end = s->start + s->nanoseconds;
		w->timed = true;
	}
	all = take(w, done);
	pthread_mutex_unlock(&lock);
	return all && has_record(done);
}

/* What is written together; a batch is small enough not to be in the way of others. */
#define BATCH 1024u

CUptiResult vg_work_drain(bool wait)
{
	static struct work batch[BATCH];	/* of who holds `draining` */
	static __thread bool here;
	const struct vg_profile_table *t = vg_driver(NULL);
	vgpu_span spans[SPANS];
	unsigned int count, fresh = wait ? VG_TIMING_WAIT : VG_TIMING_LOOK;
	size_t done = 0;
	uint64_t gone;
	bool on;
	CUresult r = CUDA_SUCCESS;

	/* A callback of the program's may come here again. */
	if (here)
		return CUPTI_SUCCESS;
	if (!wait && pthread_mutex_trylock(&draining))
		return CUPTI_SUCCESS;
	if (wait)
		pthread_mutex_lock(&draining);
	here = true;
	pthread_mutex_lock(&lock);
	on = timing;
	undrained = 0;
	pthread_mutex_unlock(&lock);
	if (on)
		vg_clock_compare(t);
	while (on) {
		r = t->take(fresh, SPANS, &count, &gone, spans);
		if (r || count > SPANS)
			break;
		fresh = VG_TIMING_KNOWN;
		for (unsigned int i = 0; i < count; i++) {
			done += told(&spans[i], &batch[done]);
			if (done == BATCH) {
				write_out(batch, done);
				done = 0;
			}
		}
		if (gone) {
			vg_dropped(gone);
			pthread_mutex_lock(&lock);
			lost += gone;
			pthread_mutex_unlock(&lock);
		}
		if (count < SPANS)
			break;
	}
	write_out(batch, done);
	here = false;
	pthread_mutex_unlock(&draining);
	return r ? CUPTI_ERROR_UNKNOWN : CUPTI_SUCCESS;
}

void vg_work_rest(void)
{
	const struct vg_profile_table *t = vg_driver(NULL);

	pthread_mutex_lock(&lock);
	if (timing && !open && !(atomic_load(&vg_kinds) & VG_TIMED_KINDS) && !t->timing(false))
		timing = false;
	pthread_mutex_unlock(&lock);
}

void vg_work_forget(void)
{
	const struct vg_profile_table *t = vg_driver(NULL);

	pthread_mutex_lock(&lock);
	for (uint32_t i = 0; table && i < ROOM; i++)
		table[i].tag = 0;
	open = 0;
	lost = 0;
	if (timing && !t->timing(false))
		timing = false;
	pthread_mutex_unlock(&lock);
}
