// SPDX-License-Identifier: Apache-2.0
/*
 * When the device runs what records bring (timing.h).
 *
 * The driver says how long after another an event happened, in a float of milliseconds, of which
 * a nanosecond is a part only up to some 16 ms.  So each context has a line of time, with an event
 * on it, the base, from which others are measured, and which is replaced by a later one as soon
 * as it is REBASE_NS old.  How long a span is, is measured from its own start.
 *
 * Where a line lies on the executor's clock is found by an event in a stream of ours in which
 * nothing else is: it happens between the call that records it and the query that finds it
 * done.  The shortest of some tries counts.  This is done when the line begins, and again
 * when spans are taken; between two such anchors the clocks are taken to run evenly.
 *
 * Nothing here may block the thread that serves the ring, so events are asked, not waited for.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "budget.h"
#include "calls.h"
#include "common/clock.h"
#include "common/ops_internal.h"
#include "exec_internal.h"
#include "timing.h"
#include "vg_cuda.h"

#define REBASE_NS	50e6
#define ANCHOR_TRIES	4
#define ANCHOR_WAIT_NS	1000000u	/* for one event, which on an idle device takes 10 us */
#define ANCHOR_FIRST_NS	50000000u	/* the same, while nothing is known of the line */
#define ANCHOR_GOOD_NS	15000u
#define ANCHOR_AGE_NS	20000000u	/* an anchor is not replaced before */
#define LAST_WAIT_NS	5000000u	/* for what is about to end, when a program flushes */
#define LAST_MOST_NS	50000000u
#define DRIFT		10000		/* clocks go apart by less than their time divided by it */
#define SLOPE_NS	10e6		/* anchors that far apart tell how the clocks differ */
#define SLOPE_MOST	1e-3		/* which is not more than this */
#define BUDGET_BYTES	(VG_TIMING_PAIRS * (uint64_t)(2 * VG_OBJECT_BYTES))

struct anchor {
	double device;			/* ns on the line */
	uint64_t host;			/* ns of CLOCK_MONOTONIC */
	uint64_t width;			/* that the event certainly happened in */
};

struct line {
	uint32_t ctx;			/* the guest's id; 0: free */
	CUcontext context;
	CUstream stream;		/* where anchors are recorded */
	CUevent base, mark;
	double base_at;			/* ns on the line */
	bool based;			/* the base has happened */
	uint32_t serial;		/* a context's id may come again */
	uint32_t open;			/* records that run and have begun in it */
	struct anchor before, now;
	uint32_t idle;			/* head of the list of pairs that are not in use, or NONE */
};

#define NONE UINT32_MAX

struct pair {
	CUevent start, end;
	uint32_t next;			/* in the list of a line's that are not in use */
};

/* A record whose end has been recorded and has not been seen. */
struct pending {
	uint32_t tag, pair;
	uint32_t line;
	CUstream stream;		/* to tell it from others; it may have gone */
};

struct span {
	double start;			/* ns on the line; of no line: of CLOCK_MONOTONIC */
	uint64_t nanoseconds;
	uint32_t tag;
	uint16_t flags;
	uint16_t line;			/* or NO_LINE */
};

#define NO_LINE UINT16_MAX

static struct timing {
	bool on;
	struct line lines[VG_TIMING_LINES];
	struct pair *pairs;
	uint32_t made;			/* of the pairs; those of a context that went stay as holes */
	uint32_t holes;			/* head of the list of those */
	struct pending *pending;	/* oldest first */
	uint32_t waiting;		/* of those */
	struct span *spans;		/* a ring */
	uint32_t first, count;
	uint64_t lost;			/* spans that are not to be had, and not yet told */
	uint32_t open;			/* records that run, of all lines */
} t;

static uint32_t serials;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* all above */

/* What runs on this thread between two events. */
static __thread struct {
	bool open, marked;
	uint32_t tag, flags, pair, line, serial;
	CUstream stream;
} now;

/* -- the driver, in whatever context and whatever is under capture */

struct within {
	CUstreamCaptureMode mode;
	bool pushed;
};

/* A capture of the program's must not be hurt by what we ask meanwhile. */
static bool enter(struct within *w, CUcontext ctx)
{
	*w = (struct within){ .mode = CU_STREAM_CAPTURE_MODE_RELAXED };
	if (ctx && cu.cuCtxPushCurrent_v2(ctx))
		return false;
	w->pushed = ctx;
	if (cu.cuThreadExchangeStreamCaptureMode)
		cu.cuThreadExchangeStreamCaptureMode(&w->mode);
	return true;
}

static void leave(struct within *w)
{
	CUcontext top;

	if (cu.cuThreadExchangeStreamCaptureMode)
		cu.cuThreadExchangeStreamCaptureMode(&w->mode);
	if (w->pushed)
		cu.cuCtxPopCurrent_v2(&top);
}

static bool driver_can(void)
{
	return cu.cuEventCreate && cu.cuEventRecord && cu.cuEventQuery && cu.cuEventDestroy_v2 &&
	       (cu.cuEventElapsedTime_v2 || cu.cuEventElapsedTime) && cu.cuStreamCreate &&
	       cu.cuStreamDestroy_v2 && cu.cuStreamIsCapturing && cu.cuCtxPushCurrent_v2 &&
	       cu.cuCtxPopCurrent_v2;
}

/* From a to b in nanoseconds, both of which have happened. */
static bool elapsed(CUevent a, CUevent b, double *ns)
{
	float ms = 0;
	CUresult r = cu.cuEventElapsedTime_v2 ? cu.cuEventElapsedTime_v2(&ms, a, b) :
						cu.cuEventElapsedTime(&ms, a, b);

	*ns = (double)ms * 1e6;
	return !r;
}

/* -- spans */

static void put_span(const struct span *s)
{
	if (!t.spans)
		return;
	if (t.count == VG_TIMING_SPANS) {
		t.first = (t.first + 1) % VG_TIMING_SPANS;
		t.count--;
		t.lost++;
	}
	t.spans[(t.first + t.count++) % VG_TIMING_SPANS] = *s;
}

static void put_none(uint32_t tag, uint32_t flags)
{
	put_span(&(struct span){ .tag = tag, .flags = flags, .line = NO_LINE });
}

/* A point of the line on the executor's clock. */
static uint64_t on_host(const struct line *l, double device)
{
	const struct anchor *a = &l->now;
	double apart = l->now.device - l->before.device, slope = 1;
	double at;

	if (apart > SLOPE_NS) {
		slope = (double)(int64_t)(l->now.host - l->before.host) / apart;
		if (slope > 1 + SLOPE_MOST || slope < 1 - SLOPE_MOST)
			slope = 1;
	}
	at = (double)a->host + (device - a->device) * slope;
	return at > 0 ? (uint64_t)at : 0;
}

/* -- lines */

/* Record an event in the line's own stream, and ask for it for at most `wait` ns. */
static bool happened(struct line *l, CUevent e, uint64_t wait, struct anchor *a)
{
	uint64_t before = vg_now_ns(), after;
	CUresult r = cu.cuEventRecord(e, l->stream);

	do {
		if (!r)
			r = cu.cuEventQuery(e);
		after = vg_now_ns();
		if (r != CUDA_ERROR_NOT_READY || after - before > wait)
			break;
		r = CUDA_SUCCESS;
	} while (true);
	a->host = before + (after - before) / 2;
	a->width = after - before;
	return !r;
}

/* Compare the clocks; what is current is the line's. */
static void anchor(struct line *l)
{
	struct anchor a, best = { .width = UINT64_MAX };
	/* Of a line of which nothing is known yet it is worth some patience. */
	bool guess = l->now.width >= ANCHOR_WAIT_NS;
	CUevent base;
	double at;

	if (vg_now_ns() - l->now.host < ANCHOR_AGE_NS && !guess)
		return;
	if (!l->based)
		l->based = !cu.cuEventQuery(l->base);
	for (int i = 0; l->based && i < ANCHOR_TRIES && best.width > ANCHOR_GOOD_NS; i++) {
		if (!happened(l, l->mark, guess ? ANCHOR_FIRST_NS : ANCHOR_WAIT_NS, &a))
			break;
		if (!elapsed(l->base, l->mark, &at))
			break;
		a.device = l->base_at + at;
		if (a.width < best.width)
			best = a;
		if (at > REBASE_NS) {
			base = l->base;
			l->base = l->mark;
			l->mark = base;
			l->base_at += at;
		}
	}
	/* On a busy machine it may be so poor that the last one says more even now. */
	if (best.width == UINT64_MAX ||
	    best.width > l->now.width + (best.host - l->now.host) / DRIFT)
		return;
	/* The first one may have been a guess, for the device was busy. */
	l->before = guess ? best : l->now;
	l->now = best;
}

/* Make it, in the context that is current. */
static bool begin_line(struct line *l, uint32_t ctx, CUcontext context)
{
	*l = (struct line){ .context = context, .idle = NONE };
	if (cu.cuStreamCreate(&l->stream, CU_STREAM_NON_BLOCKING))
		return false;
	if (cu.cuEventCreate(&l->base, CU_EVENT_DEFAULT))
		goto stream;
	if (cu.cuEventCreate(&l->mark, CU_EVENT_DEFAULT))
		goto base;
	l->based = happened(l, l->base, ANCHOR_WAIT_NS, &l->now);
	if (!l->based)
		l->now.width = ANCHOR_WAIT_NS;
	l->before = l->now;
	l->ctx = ctx;
	l->serial = ++serials;
	return true;
base:
	cu.cuEventDestroy_v2(l->base);
stream:
	cu.cuStreamDestroy_v2(l->stream);
	return false;
}

/* The line of a context that is current; NULL: it can have none. */
static struct line *line_of(struct vg_exec *x, uint32_t ctx)
{
	struct line *empty = NULL;
	uint64_t context;

	for (unsigned int i = 0; i < VG_TIMING_LINES; i++) {
		if (ctx && t.lines[i].ctx == ctx)
			return &t.lines[i];
		if (!t.lines[i].ctx)
			empty = &t.lines[i];
	}
	if (!ctx || !empty || !vg_handle_get(vg_exec_handles(x), ctx, VG_CONTEXT, &context))
		return NULL;
	return begin_line(empty, ctx, (CUcontext)(uintptr_t)context) ? empty : NULL;
}

/* -- pairs of events */

static void free_pair(struct line *l, uint32_t i)
{
	t.pairs[i].next = l->idle;
	l->idle = i;
}

static uint32_t new_pair(struct line *l)
{
	uint32_t i = l->idle;
	struct pair *p;

	if (i != NONE) {
		l->idle = t.pairs[i].next;
		return i;
	}
	i = t.holes;
	if (i == NONE && t.made == VG_TIMING_PAIRS)
		return NONE;
	p = &t.pairs[i == NONE ? t.made : i];
	if (cu.cuEventCreate(&p->start, CU_EVENT_DEFAULT))
		return NONE;
	if (cu.cuEventCreate(&p->end, CU_EVENT_DEFAULT)) {
		cu.cuEventDestroy_v2(p->start);
		return NONE;
	}
	if (i == NONE)
		return t.made++;
	t.holes = p->next;
	return i;
}

/* Whether it has ended: then its span is put, or it is found to have failed. */
static bool ended(const struct pending *e)
{
	struct line *l = &t.lines[e->line];
	struct pair *p = &t.pairs[e->pair];
	double at, took;
	CUevent base;
	CUresult r = cu.cuEventQuery(p->end);

	if (!r && !l->based) {
		r = cu.cuEventQuery(l->base);
		l->based = !r;
	}
	if (r == CUDA_ERROR_NOT_READY)
		return false;
	if (r || !elapsed(l->base, p->start, &at) ||
	    !elapsed(p->start, p->end, &took)) {
		put_none(e->tag, VG_SPAN_FAILED);
		free_pair(l, e->pair);
		return true;
	}
	put_span(&(struct span){ .tag = e->tag, .line = e->line, .start = l->base_at + at,
				 .nanoseconds = took > 0 ? (uint64_t)took : 0 });
	if (at > REBASE_NS) {
		base = l->base;
		l->base = p->start;
		p->start = base;
		l->base_at += at;
	}
	free_pair(l, e->pair);
	return true;
}

/* Streams of which something has not ended: what comes later in them has not, either. */
struct busy {
	struct { uint32_t line; CUstream stream; } of[32];
	unsigned int count;
};

static bool is_busy(const struct busy *b, const struct pending *e)
{
	for (unsigned int i = 0; i < b->count; i++)
		if (b->of[i].line == e->line && b->of[i].stream == e->stream)
			return true;
	return false;
}

static void note_busy(struct busy *b, const struct pending *e)
{
	if (b->count == sizeof(b->of) / sizeof(b->of[0]))
		return;
	b->of[b->count].line = e->line;
	b->of[b->count++].stream = e->stream;
}

/*
 * Look what has ended; of all contexts, or of the one with this line.  A stream's spans come in
 * its order, although the device goes on meanwhile.
 */
static void harvest(const struct line *only)
{
	struct line *current = NULL, *l;
	struct busy busy = { .count = 0 };
	uint32_t kept = 0;
	struct within w;

	for (uint32_t i = 0; i < t.waiting; i++) {
		struct pending e = t.pending[i];

		l = &t.lines[e.line];
		if ((only && l != only) || is_busy(&busy, &e)) {
			t.pending[kept++] = e;
			continue;
		}
		if (l != current) {
			if (current)
				leave(&w);
			current = enter(&w, l->context) ? l : NULL;
		}
		if (current && ended(&e))
			continue;
		t.pending[kept++] = e;
		note_busy(&busy, &e);
	}
	if (current)
		leave(&w);
	t.waiting = kept;
}

/* There is no more room: those that have waited longest are given up. */
static void give_up_oldest(void)
{
	uint32_t n = t.waiting < 8 ? t.waiting : t.waiting / 8;

	for (uint32_t i = 0; i < n; i++) {
		put_none(t.pending[i].tag, VG_SPAN_LOST);
		free_pair(&t.lines[t.pending[i].line], t.pending[i].pair);
	}
	t.waiting -= n;
	memmove(t.pending, t.pending + n, t.waiting * sizeof(*t.pending));
}

/* -- around a record */

static bool open_span(struct vg_exec *x, uint32_t ctx)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
	struct line *l;
	struct within w;
	bool ok = false;

	if (atomic_load_explicit(&vg_capture_any, memory_order_relaxed) &&
	    (cu.cuStreamIsCapturing(now.stream, &status) ||
	     status != CU_STREAM_CAPTURE_STATUS_NONE)) {
		now.flags = VG_SPAN_CAPTURED;
		return false;
	}
	now.flags = VG_SPAN_FAILED;
	if (!enter(&w, NULL))
		return false;
	if (t.waiting == VG_TIMING_PAIRS) {
		harvest(NULL);
		if (t.waiting == VG_TIMING_PAIRS)
			give_up_oldest();
	}
	l = line_of(x, ctx);
	now.pair = l ? new_pair(l) : NONE;
	if (now.pair != NONE) {
		now.line = l - t.lines;
		now.serial = l->serial;
		ok = !cu.cuEventRecord(t.pairs[now.pair].start, now.stream);
		if (!ok)
			free_pair(l, now.pair);
		l->open += ok;
		t.open += ok;
	}
	leave(&w);
	return ok;
}

void vg_timing_begin(struct vg_exec *x, const struct vg_op *op, const struct vg_req *rq)
{
	uint32_t id;

	now.open = now.marked = false;
	now.tag = rq->timed;
	now.flags = VG_SPAN_NOTHING;
	if (!op->adds)
		return;
	memcpy(&id, (const uint8_t *)rq->payload + op->adds->stream_at, sizeof(id));
	now.flags = VG_SPAN_FAILED;
	if (!vg_x_stream(x, id, &now.stream))
		return;
	pthread_mutex_lock(&lock);
	if (t.on)
		now.open = open_span(x, rq->ctx);
	pthread_mutex_unlock(&lock);
}

/* Record the end. */
static void close_span(bool failed)
{
	struct line *l = &t.lines[now.line];

	t.open--;
	/* If its context has gone meanwhile its events have, too, and their place is not used again. */
	if (!l->ctx || l->serial != now.serial) {
		put_none(now.tag, VG_SPAN_FAILED);
		return;
	}
	l->open--;
	if (failed || cu.cuEventRecord(t.pairs[now.pair].end, now.stream)) {
		put_none(now.tag, VG_SPAN_FAILED);
		free_pair(l, now.pair);
		return;
	}
	if (t.waiting == VG_TIMING_PAIRS)
		give_up_oldest();
	t.pending[t.waiting++] = (struct pending){ now.tag, now.pair, now.line, now.stream };
}

bool vg_timing_mark(void)
{
	if (!now.open || now.marked)
		return false;
	now.marked = true;
	pthread_mutex_lock(&lock);
	close_span(false);
	pthread_mutex_unlock(&lock);
	return true;
}

void vg_timing_end(CUresult r)
{
	pthread_mutex_lock(&lock);
	if (!now.open)
		put_none(now.tag, now.flags);
	else if (!now.marked)
		close_span(r);
	pthread_mutex_unlock(&lock);
	now.open = false;
}

void vg_timing_none(uint32_t tag, uint32_t flags)
{
	pthread_mutex_lock(&lock);
	put_none(tag, flags);
	pthread_mutex_unlock(&lock);
}

/* -- the end of a context, and of all */

/* What is known of its spans is put on the executor's clock, and nothing else stays. */
static void end_line(struct line *l)
{
	uint32_t kept = 0, next;
	struct within w;
	bool reached;

	harvest(l);
	for (uint32_t i = 0; i < t.count; i++) {
		struct span *s = &t.spans[(t.first + i) % VG_TIMING_SPANS];

		if (s->line != NO_LINE && &t.lines[s->line] == l) {
			s->start = (double)on_host(l, s->start);
			s->line = NO_LINE;
		}
	}
	for (uint32_t i = 0; i < t.waiting; i++) {
		struct pending e = t.pending[i];

		if (&t.lines[e.line] != l) {
			t.pending[kept++] = e;
			continue;
		}
		put_none(e.tag, VG_SPAN_FAILED);
		free_pair(l, e.pair);
	}
	t.waiting = kept;
	/* If the context cannot be entered any more, its events go with it. */
	reached = enter(&w, l->context);
	for (uint32_t i = l->idle; i != NONE; i = next) {
		next = t.pairs[i].next;
		if (reached) {
			cu.cuEventDestroy_v2(t.pairs[i].start);
			cu.cuEventDestroy_v2(t.pairs[i].end);
		}
		t.pairs[i].next = t.holes;
		t.holes = i;
	}
	if (reached) {
		cu.cuEventDestroy_v2(l->base);
		cu.cuEventDestroy_v2(l->mark);
		cu.cuStreamDestroy_v2(l->stream);
		leave(&w);
	}
	l->ctx = 0;
}

void vg_timing_context_gone(uint32_t ctx)
{
	pthread_mutex_lock(&lock);
	for (unsigned int i = 0; t.on && i < VG_TIMING_LINES; i++)
		if (ctx && t.lines[i].ctx == ctx)
			end_line(&t.lines[i]);
	pthread_mutex_unlock(&lock);
}

static void stop(void)
{
	for (unsigned int i = 0; i < VG_TIMING_LINES; i++)
		if (t.lines[i].ctx)
			end_line(&t.lines[i]);
	free(t.pairs);
	free(t.pending);
	free(t.spans);
	memset(&t, 0, sizeof(t));
	vg_budget_give(VG_BUDGET_OBJECTS, BUDGET_BYTES);
}

static CUresult start(void)
{
	if (!driver_can())
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!vg_budget_take(VG_BUDGET_OBJECTS, BUDGET_BYTES))
		return CUDA_ERROR_OUT_OF_MEMORY;
	t.pairs = calloc(VG_TIMING_PAIRS, sizeof(*t.pairs));
	t.pending = calloc(VG_TIMING_PAIRS, sizeof(*t.pending));
	t.spans = calloc(VG_TIMING_SPANS, sizeof(*t.spans));
	t.holes = NONE;
	if (t.pairs && t.pending && t.spans) {
		t.on = true;
		return CUDA_SUCCESS;
	}
	stop();
	return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult vge_vgpu_timing(struct vg_exec *x, const struct vg_req *rq, unsigned int on)
{
	CUresult r = CUDA_SUCCESS;

	(void)x;
	(void)rq;
	if (on > 1)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&lock);
	if (on && !t.on)
		r = start();
	else if (!on && t.open)
		r = CUDA_ERROR_NOT_READY;
	else if (!on && t.on)
		stop();
	pthread_mutex_unlock(&lock);
	return r;
}

CUresult vge_vgpu_timing_clock(struct vg_exec *x, const struct vg_req *rq, uint64_t *ns)
{
	(void)x;
	(void)rq;
	*ns = vg_now_ns();
	return CUDA_SUCCESS;
}

/*
 * What the program has waited for has ended, but the event behind it may take a moment more.  As
 * long as something ends now and then, wait for the rest.
 */
static void await_last(void)
{
	uint64_t since = vg_now_ns(), progress = since, now_ns;
	uint32_t before = UINT32_MAX, left;

	do {
		pthread_mutex_lock(&lock);
		harvest(NULL);
		left = t.waiting;
		pthread_mutex_unlock(&lock);
		now_ns = vg_now_ns();
		if (left < before)
			progress = now_ns;
		before = left;
	} while (left && now_ns - progress < LAST_WAIT_NS && now_ns - since < LAST_MOST_NS);
}

CUresult vge_vgpu_timing_take(struct vg_exec *x, const struct vg_req *rq, unsigned int fresh,
			      unsigned int most, unsigned int *count, uint64_t *lost,
			      vgpu_span *spans)
{
	struct within w;
	unsigned int n;

	(void)x;
	(void)rq;
	if (fresh > VG_TIMING_WAIT)
		return CUDA_ERROR_INVALID_VALUE;
	if (fresh == VG_TIMING_WAIT)
		await_last();
	pthread_mutex_lock(&lock);
	if (fresh && t.on) {
		harvest(NULL);
		for (unsigned int i = 0; i < VG_TIMING_LINES; i++) {
			if (!t.lines[i].ctx || !enter(&w, t.lines[i].context))
				continue;
			anchor(&t.lines[i]);
			leave(&w);
		}
	}
	for (n = 0; n < most && t.count; n++, t.count--) {
		struct span *s = &t.spans[t.first];

		t.first = (t.first + 1) % VG_TIMING_SPANS;
		spans[n] = (vgpu_span){
			.start = s->flags ? 0 : s->line == NO_LINE ? (uint64_t)s->start :
					    on_host(&t.lines[s->line], s->start),
			.nanoseconds = s->nanoseconds, .tag = s->tag, .flags = s->flags,
		};
	}
	*count = n;
	*lost = t.lost;
	t.lost = 0;
	pthread_mutex_unlock(&lock);
	return CUDA_SUCCESS;
}

void vg_timing_held(struct vg_timing_held *held)
{
	pthread_mutex_lock(&lock);
	*held = (struct vg_timing_held){ .pairs = t.made, .pending = t.waiting, .spans = t.count,
					 .lost = t.lost };
	for (unsigned int i = 0; i < VG_TIMING_LINES; i++)
		held->lines += t.lines[i].ctx != 0;
	pthread_mutex_unlock(&lock);
}
