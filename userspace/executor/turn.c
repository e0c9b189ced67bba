// SPDX-License-Identifier: Apache-2.0
/*
 * Turns on the GPU: this process's side (docs/sharing.md; mediator/turns.c is the other).
 *
 * While a vGPU's pool has a share, work goes to the device only in the vGPU's turn, and only so
 * much of it at a time that the device is done soon after the turn's end. The driver tells how much
 * is left by events: after some work one is recorded in each stream that got work, and such a batch
 * is over when all of its events have happened. How long one launch or copy takes is known from the
 * batches before.
 *
 * The account page has the turn's end, by the mediator, and what this process does, by this file:
 * VG_TURN_BUSY is written before the turn's end is read, and the mediator writes a turn's end before
 * it reads that, so one of the two sees the other.
 *
 * Only work that goes to a stream is counted. In a stream that is under capture nothing goes to
 * the device. An event that cannot be recorded or asked is taken to have happened.
 */
#include <linux/futex.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "calls.h"
#include "common/clock.h"
#include "common/ring_sync.h"
#include "exec_internal.h"
#include "vg_cuda.h"

#define BATCHES		32u	/* that are not over; a power of two */
#define STREAMS		8u	/* of one batch */
#define FREE_EVENTS	64u
/* A batch is closed when it has so much work, or so many launches. */
#define BATCH_NS	100000u
#define BATCH_ALONE_NS	2000000u
#define BATCH_MOST	256u
/*
 * An executor gives the device no more work than for this time: while other vGPUs want the device, and
 * while none does. It estimates a launch's time by the launches before it. Where short launches follow
 * long ones the estimate is too high, and the device gets less work than it should, so that it may be idle.
 */
#define AHEAD_NS	1000000u
#define AHEAD_ALONE_NS	20000000u
/* What is known of a launch before the first batch is over; it may take that long. */
#define FIRST_NS	1000000u
/*
 * Work may wait for what the program has yet to do. After this time more work is let through all the
 * same, and a batch that the device has not begun, because its streams wait, counts no more. Whether
 * it has begun is told by an event before its work, in processes whose streams ever wait for the host
 * or for another process. What the device has begun counts to its end.
 */
#define STUCK_NS	20000000u
/* A program that waits for the device and goes on at once keeps its turn. */
#define KEEP_NS		60000u
#define NAP_NS		50000
#define WAIT_NS		50000000	/* for a turn, before the next look */

struct batch {
	CUcontext ctx;
	CUevent event[STREAMS], start[STREAMS];	/* behind and before its work; start: NULL: none */
	unsigned int events, works;
	uint64_t expected_ns;		/* of the device's time */
	uint64_t began, closed;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* all below */
static struct batch batches[BATCHES];
static unsigned int first, number;
static struct {
	CUcontext ctx;
	CUstream stream[STREAMS];
	CUevent start[STREAMS];
	unsigned int streams, works;
	uint64_t expected_ns, began;
} open;
static CUevent idle_event[FREE_EVENTS];
static unsigned int idle_events;
static CUcontext events_of;		/* these */
static uint64_t each_ns = FIRST_NS;
static uint64_t last_over;		/* when the last batch was seen to be over */
/* Work of this process may wait for what the host or another process does; from then on. */
static bool may_be_stuck;
static uint64_t idle_since;		/* the device, and the program; 0: it is not */
/* What the account page has of this process. Others can write there, so it is not read. */
static _Atomic uint64_t said;

static void ring(struct vg_exec *x)
{
	uint64_t one = 1;

	(void)!write(x->turn_bell, &one, sizeof(one));
}

static bool on(const struct vg_exec *x)
{
	return atomic_load_explicit(&x->account->turns, memory_order_relaxed);
}

static bool others(const struct vg_exec *x)
{
	return atomic_load_explicit(&x->account->turn_others, memory_order_relaxed);
}

/* Say what this process does; the mediator has to hear of it at once if somebody waits. */
static void become(struct vg_exec *x, uint64_t now)
{
	uint64_t was = atomic_load_explicit(&said, memory_order_relaxed);

	if (was == now)
		return;
	atomic_store_explicit(&said, now, memory_order_relaxed);
	atomic_store(&x->entry->turn, now);
	if ((now & ~was & VG_TURN_WANTS) || (was & ~now & VG_TURN_BUSY && (others(x) || now)))
		ring(x);
}

/* -- batches; the lock is held */

static void keep(CUevent e, CUcontext ctx)
{
	if (!e)
		return;
	if (ctx == events_of && idle_events < FREE_EVENTS)
		idle_event[idle_events++] = e;
	else
		cu.cuEventDestroy_v2(e);
}

static CUevent take_event(CUcontext ctx)
{
	CUevent e;

	if (ctx != events_of) {
		while (idle_events)
			cu.cuEventDestroy_v2(idle_event[--idle_events]);
		events_of = ctx;
	}
	if (idle_events)
		return idle_event[--idle_events];
	return cu.cuEventCreate(&e, CU_EVENT_DISABLE_TIMING) ? NULL : e;
}

static bool over(struct batch *b)
{
	while (b->events) {
		if (cu.cuEventQuery(b->event[b->events - 1]) == CUDA_ERROR_NOT_READY)
			return false;
		b->events--;
		keep(b->event[b->events], b->ctx);
		keep(b->start[b->events], b->ctx);
	}
	return true;
}

/* Whether the device is at it, in one stream at least; without an event before it, it may be. */
static bool runs(const struct batch *b)
{
	for (unsigned int i = 0; i < b->events; i++)
		if (!b->start[i] || cu.cuEventQuery(b->start[i]) != CUDA_ERROR_NOT_READY)
			return true;
	return false;
}

static void learn(struct vg_exec *x, const struct batch *b, uint64_t now)
{
	uint64_t from = b->began > last_over ? b->began : last_over;
	uint64_t ns = now > from ? now - from : 0;

	each_ns = (3 * each_ns + ns / b->works) / 4 + 1;
	atomic_fetch_add_explicit(&x->entry->device_ns, ns, memory_order_relaxed);
	last_over = now;
}

static void drop_first(void)
{
	struct batch *b = &batches[first];

	while (b->events) {
		b->events--;
		keep(b->event[b->events], b->ctx);
		keep(b->start[b->events], b->ctx);
	}
	first = (first + 1) % BATCHES;
	number--;
}

/* In order, for what one waits for is what the next ones are behind, too, nearly always. */
static void reap(struct vg_exec *x, uint64_t now)
{
	while (number) {
		struct batch *b = &batches[first];

		if (over(b))
			learn(x, b, now);
		else if (now - b->closed < STUCK_NS + 2 * b->expected_ns || runs(b))
			return;
		drop_first();
	}
}

/* Needs a place for one more. */
static void close_open(uint64_t now)
{
	struct batch *b = &batches[(first + number) % BATCHES];
	CUcontext top;

	if (!open.works)
		return;
	*b = (struct batch){
		.ctx = open.ctx, .works = open.works, .expected_ns = open.expected_ns,
		.began = open.began, .closed = now,
	};
	if (!cu.cuCtxPushCurrent_v2(open.ctx)) {
		for (unsigned int i = 0; i < open.streams; i++) {
			CUevent e = take_event(open.ctx);

			if (e && !cu.cuEventRecord(e, open.stream[i])) {
				b->start[b->events] = open.start[i];
				b->event[b->events++] = e;
			} else {
				keep(e, open.ctx);
				keep(open.start[i], open.ctx);
			}
		}
		cu.cuCtxPopCurrent_v2(&top);
	}
	memset(&open, 0, sizeof(open));
	number++;
}

static unsigned int place_of(CUstream s)
{
	unsigned int i;

	for (i = 0; i < open.streams && open.stream[i] != s; i++)
		;
	return i;
}

/* Before work in a stream that the open batch has none in; NULL: none, or none is needed. */
static CUevent mark_start(const struct vg_work *w)
{
	CUevent e;

	if (!may_be_stuck || (open.works && open.ctx == w->ctx && place_of(w->stream) < open.streams))
		return NULL;
	e = take_event(w->ctx);
	if (e && cu.cuEventRecord(e, w->stream)) {
		keep(e, w->ctx);
		e = NULL;
	}
	return e;
}

static uint64_t ahead(void)
{
	uint64_t ns = open.expected_ns;

	for (unsigned int i = 0; i < number; i++)
		ns += batches[(first + i) % BATCHES].expected_ns;
	return ns;
}

static void add(const struct vg_work *w, uint64_t now)
{
	unsigned int i = place_of(w->stream);

	if (i == open.streams) {
		open.start[i] = w->start;
		open.stream[open.streams++] = w->stream;
	} else {
		keep(w->start, w->ctx);
	}
	if (!open.works)
		open.began = now;
	open.ctx = w->ctx;
	open.works++;
	open.expected_ns += each_ns;
}

/* -- what a thread does before and after it gives the device work */

static bool can(void)
{
	return cu.cuCtxGetCurrent && cu.cuEventCreate && cu.cuEventRecord && cu.cuEventQuery &&
	       cu.cuEventDestroy_v2 && cu.cuCtxPushCurrent_v2 && cu.cuCtxPopCurrent_v2;
}

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = NAP_NS }, NULL);
}

/* With the lock, which is let go meanwhile; also for the device to have done what it has. */
static void wait_for_turn(struct vg_exec *x)
{
	uint32_t seq = atomic_load(&x->account->turn_seq);
	struct timespec limit = { .tv_nsec = number ? NAP_NS : WAIT_NS };

	become(x, VG_TURN_WANTS | (number ? VG_TURN_BUSY : 0));
	pthread_mutex_unlock(&lock);
	if (vg_now_ns() >= atomic_load(&x->account->turn_until))
		syscall(SYS_futex, &x->account->turn_seq, FUTEX_WAIT, seq, &limit, NULL, 0);
	pthread_mutex_lock(&lock);
}

/* The same, for the device to have done some of what it has. */
static void wait_for_device(uint64_t too_much)
{
	pthread_mutex_unlock(&lock);
	/* A nap takes twice its time. */
	if (too_much > 3 * NAP_NS)
		nap();
	else
		vg_cpu_relax();
	pthread_mutex_lock(&lock);
}

static void admit(struct vg_exec *x)
{
	uint64_t began = 0, now, most, has;

	idle_since = 0;
	for (;;) {
		now = vg_now_ns();
		reap(x, now);
		if (!on(x)) {
			become(x, 0);
			return;
		}
		if (now >= atomic_load(&x->account->turn_until)) {
			if (open.works && number < BATCHES)
				close_open(now);
			else
				wait_for_turn(x);
			began = 0;
			continue;
		}
		become(x, VG_TURN_BUSY);
		/*
		 * The mediator may have ended the turn before it could see that, at a time that is
		 * later than the one above.
		 */
		if (vg_now_ns() >= atomic_load(&x->account->turn_until))
			continue;
		most = others(x) ? AHEAD_NS : AHEAD_ALONE_NS;
		has = ahead();
		if ((!has || has + each_ns <= most) && number < BATCHES)
			return;
		if (open.works && number < BATCHES) {
			close_open(now);
			continue;
		}
		began = began ? began : now;
		if (now - began > STUCK_NS && number < BATCHES)
			return;
		wait_for_device(has > most / 2 ? has - most / 2 : 0);
	}
}

/* Work that goes to the device by way of a stream. */
static bool is_work(uint32_t op)
{
	switch (op) {
	case VG_OP_vgpu_launch:
	case VG_OP_vgpu_launch_big:
	case VG_OP_cuGraphLaunch:
	case VG_OP_vgpu_write:
	case VG_OP_vgpu_write_arena:
	case VG_OP_vgpu_write3d:
	case VG_OP_vgpu_read:
	case VG_OP_vgpu_read_arena:
	case VG_OP_vgpu_read3d:
	case VG_OP_vgpu_copy_in:
	case VG_OP_vgpu_copy_out:
	case VG_OP_vgpu_copy3d_device:
	case VG_OP_vgpu_copy3d_peer:
	case VG_OP_vgpu_stage_in:
	case VG_OP_vgpu_stage_out:
	case VG_OP_cuMemcpyDtoDAsync_v2:
	case VG_OP_cuMemcpyPeerAsync:
	case VG_OP_cuMemsetD8Async:
	case VG_OP_cuMemsetD16Async:
	case VG_OP_cuMemsetD32Async:
	case VG_OP_cuMemsetD2D8Async:
	case VG_OP_cuMemsetD2D16Async:
	case VG_OP_cuMemsetD2D32Async:
		return true;
	default:
		return false;
	}
}

static bool captured(CUstream s)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;

	return s && atomic_load_explicit(&vg_capture_any, memory_order_relaxed) &&
	       cu.cuStreamIsCapturing && !cu.cuStreamIsCapturing(s, &status) &&
	       status != CU_STREAM_CAPTURE_STATUS_NONE;
}

/* After it, what comes in a stream may wait for ever without being at fault. */
static bool may_stick(uint32_t op)
{
	switch (op) {
	case VG_OP_cuStreamWaitValue32_v2:
	case VG_OP_cuStreamWaitValue64_v2:
	case VG_OP_cuStreamBatchMemOp_v2:
	case VG_OP_vgpu_callback:
	case VG_OP_vgpu_event_export:
	case VG_OP_vgpu_event_import:
		return true;
	default:
		return false;
	}
}

bool vg_turn_take(struct vg_exec *x, const struct vg_op *op, const struct vg_req *rq,
		  struct vg_work *w)
{
	uint32_t id;

	if (may_stick(rq->op) || rq->op == VG_OP_cuStreamWaitEvent) {
		pthread_mutex_lock(&lock);
		may_be_stuck |= may_stick(rq->op);
		/* What comes behind the wait is of another batch than what is before it. */
		if (may_be_stuck && number < BATCHES)
			close_open(vg_now_ns());
		pthread_mutex_unlock(&lock);
	}
	if (!op->adds || !is_work(rq->op) || !can())
		return false;
	memcpy(&id, (const uint8_t *)rq->payload + op->adds->stream_at, sizeof(id));
	if (!vg_x_stream(x, id, &w->stream) || captured(w->stream) ||
	    cu.cuCtxGetCurrent(&w->ctx) || !w->ctx)
		return false;
	pthread_mutex_lock(&lock);
	if (open.works && (open.ctx != w->ctx || open.streams == STREAMS) && number < BATCHES)
		close_open(vg_now_ns());
	admit(x);
	w->start = mark_start(w);
	pthread_mutex_unlock(&lock);
	return true;
}

void vg_turn_taken(struct vg_exec *x, const struct vg_work *w)
{
	uint64_t now = vg_now_ns();
	bool shared = others(x);

	pthread_mutex_lock(&lock);
	if (open.works && open.ctx != w->ctx && number < BATCHES)
		close_open(now);
	/* Another thread may have filled it meanwhile. */
	if (open.streams < STREAMS && (!open.works || open.ctx == w->ctx))
		add(w, now);
	else
		keep(w->start, w->ctx);
	if ((open.expected_ns >= (shared ? BATCH_NS : BATCH_ALONE_NS) ||
	     open.works >= BATCH_MOST || open.streams == STREAMS) && number < BATCHES)
		close_open(now);
	pthread_mutex_unlock(&lock);
}

bool vg_turn_idle(struct vg_exec *x)
{
	uint64_t now;
	bool left;

	if (!atomic_load_explicit(&said, memory_order_relaxed))
		return false;
	pthread_mutex_lock(&lock);
	now = vg_now_ns();
	if (number < BATCHES)
		close_open(now);
	reap(x, now);
	left = number;
	if (!left && !idle_since)
		idle_since = now;
	if (!left && now - idle_since >= KEEP_NS)
		become(x, 0);
	pthread_mutex_unlock(&lock);
	return left || atomic_load_explicit(&said, memory_order_relaxed);
}

/* With the lock. */
static void forget_open(void)
{
	for (unsigned int i = 0; i < open.streams; i++)
		keep(open.start[i], open.ctx);
	memset(&open, 0, sizeof(open));
}

/* Nothing is recorded any more where there was work; with the lock. */
static void leave_streams(void)
{
	if (number < BATCHES)
		close_open(vg_now_ns());
	else
		forget_open();
}

/* With the lock. */
static void drop_all(void)
{
	forget_open();
	while (number)
		drop_first();
	while (idle_events)
		cu.cuEventDestroy_v2(idle_event[--idle_events]);
	events_of = NULL;
}

static bool is_none(void)
{
	return !atomic_load_explicit(&said, memory_order_relaxed) && !idle_events;
}

void vg_turn_before_end(struct vg_exec *x, uint32_t id)
{
	uint64_t v;

	if (is_none())
		return;
	pthread_mutex_lock(&lock);
	if (vg_handle_get(vg_exec_handles(x), id, VG_STREAM, &v))
		leave_streams();
	else if (vg_handle_get(vg_exec_handles(x), id, VG_CONTEXT, &v))
		/* Events go with their context, and with a primary one those of others, too. */
		drop_all();
	pthread_mutex_unlock(&lock);
}

void vg_turn_before_capture(void)
{
	if (is_none())
		return;
	pthread_mutex_lock(&lock);
	leave_streams();
	pthread_mutex_unlock(&lock);
}
