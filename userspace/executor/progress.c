// SPDX-License-Identifier: Apache-2.0
/*
 * How long the device has been at one launch, for the limit on kernels that never end.
 *
 * Each stream in which something is launched has a word in this process's memory. The device itself
 * writes an odd number there when the stream has come to a launch, and an even one when the launch
 * has ended (cuStreamWriteValue64), each larger than the last. A thread looks at the words now and then. One that is
 * odd and stays what it is says that the device has been at this launch since then. So a queue of many
 * short launches, which change the word, is never taken for a long one. The thread calls no driver, so
 * it cannot be kept waiting by what it watches. What it finds goes to the account page, and the
 * mediator decides.
 *
 * The words of a context lie in pages that are registered with the driver in that context, so the
 * device cannot write to them any more when the context has gone. A page is used again then. A
 * stream that has been destroyed keeps its word until what was launched in it has ended.
 *
 * Without a limit none of this is done.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <time.h>

#include "calls.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/ops_internal.h"
#include "exec_internal.h"
#include "vg_cuda.h"
#include "vg_wire.h"

#define PAGE_BYTES	4096u
#define WORDS		(PAGE_BYTES / sizeof(uint64_t))
#define LOOKS		8		/* in the time of the limit */
#define LOOK_MIN_MS	20u
#define LOOK_MAX_MS	250u
#define BUCKETS		256u

struct page {
	SLIST_ENTRY(page) node;
	CUcontext context;		/* NULL: none, it may be registered anew */
	bool lost;			/* the driver refused to write there; it is left alone */
	uint64_t *words;
	CUdeviceptr device;
	unsigned int used;
	uint16_t idle[WORDS];		/* those that are not in use: the first WORDS - used */
};

struct slot {
	LIST_ENTRY(slot) node;
	struct page *page;
	uint16_t word;
	bool orphan;			/* its stream has been destroyed */
	bool busy;			/* a launch is being marked with it, without the lock */
	CUstream stream;
	uint64_t written;		/* the last number that the device has been told to write */
	/* The thread's: what it saw, and since when. */
	uint64_t seen, since_us;
};

LIST_HEAD(bucket, slot);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* all of these */
static SLIST_HEAD(, page) pages = SLIST_HEAD_INITIALIZER(pages);
static struct bucket slots[BUCKETS];
static bool runs;

static bool can(void)
{
	return cu.cuStreamWriteValue64_v2 && cu.cuMemHostRegister_v2 &&
	       cu.cuMemHostUnregister && cu.cuMemHostGetDevicePointer_v2 && cu.cuCtxGetCurrent && cu.cuStreamIsCapturing;
}

static void told_not(CUresult r)
{
	static struct vg_log_rate rate;

	vg_log_some(&rate, VG_WARNING,
		    "the time limit on kernels does not hold for a launch: the driver cannot mark it "
		    "(error %d)", r);
}

/* -- words */

static struct bucket *bucket_of(CUstream stream)
{
	return &slots[((uintptr_t)stream >> 4) % BUCKETS];
}

static struct slot *find(CUcontext context, CUstream stream)
{
	struct slot *s;

	LIST_FOREACH(s, bucket_of(stream), node)
		if (s->stream == stream && !s->orphan && s->page->context == context)
			return s;
	return NULL;
}

static void drop(struct slot *s)
{
	struct page *p = s->page;

	p->idle[WORDS - p->used] = s->word;
	p->used--;
	LIST_REMOVE(s, node);
	free(s);
}

/* Register it in the context that is current. */
static CUresult attach(struct page *p, CUcontext context)
{
	CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
	CUresult r;

	/* A capture of the program's must not be hurt by it. */
	if (cu.cuThreadExchangeStreamCaptureMode)
		cu.cuThreadExchangeStreamCaptureMode(&mode);
	r = cu.cuMemHostRegister_v2(p->words, PAGE_BYTES, CU_MEMHOSTREGISTER_DEVICEMAP);
	if (!r) {
		r = cu.cuMemHostGetDevicePointer_v2(&p->device, p->words, 0);
		if (r)
			cu.cuMemHostUnregister(p->words);
	}
	if (cu.cuThreadExchangeStreamCaptureMode)
		cu.cuThreadExchangeStreamCaptureMode(&mode);
	if (!r)
		p->context = context;
	return r;
}

static struct page *new_page(void)
{
	struct page *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->words = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			0);
	if (p->words == MAP_FAILED) {
		free(p);
		return NULL;
	}
	for (unsigned int i = 0; i < WORDS; i++)
		p->idle[i] = WORDS - 1 - i;
	SLIST_INSERT_HEAD(&pages, p, node);
	return p;
}

static CUresult page_of(CUcontext context, struct page **page)
{
	CUresult r;
	struct page *p;

	SLIST_FOREACH(p, &pages, node)
		if (!p->lost && p->context == context && p->used < WORDS)
			break;
	*page = p;
	if (p)
		return CUDA_SUCCESS;
	SLIST_FOREACH(p, &pages, node)
		if (!p->lost && !p->context)
			break;
	if (!p)
		p = new_page();
	r = p ? attach(p, context) : CUDA_ERROR_OUT_OF_MEMORY;
	/* Somebody else holds a primary context that has been released, so it is there still. */
	if (r == CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED) {
		p->lost = true;
		p = new_page();
		r = p ? attach(p, context) : CUDA_ERROR_OUT_OF_MEMORY;
	}
	*page = p;
	return r;
}

static CUresult get(CUcontext context, CUstream stream, struct slot **slot)
{
	struct page *p;
	CUresult r;

	*slot = find(context, stream);
	if (*slot)
		return CUDA_SUCCESS;
	r = page_of(context, &p);
	if (r)
		return r;
	*slot = calloc(1, sizeof(**slot));
	if (!*slot)
		return CUDA_ERROR_OUT_OF_MEMORY;
	p->used++;
	**slot = (struct slot){ .page = p, .word = p->idle[WORDS - p->used], .stream = stream };
	__atomic_store_n(&p->words[(*slot)->word], 0, __ATOMIC_RELAXED);
	LIST_INSERT_HEAD(bucket_of(stream), *slot, node);
	return CUDA_SUCCESS;
}

/* -- the thread */

/* Since when the device has been at one launch, CLOCK_MONOTONIC, us; the longest. 0: at none. */
static uint64_t look(void)
{
	uint64_t now = vg_now_us(), oldest = 0;
	struct slot *s, *next;

	for (unsigned int i = 0; i < BUCKETS; i++) {
		for (s = LIST_FIRST(&slots[i]); s; s = next) {
			uint64_t word = __atomic_load_n(&s->page->words[s->word], __ATOMIC_ACQUIRE);

			next = LIST_NEXT(s, node);
			if (s->orphan && !s->busy && (word == s->written || s->page->lost)) {
				drop(s);
				continue;
			}
			if (word != s->seen) {
				s->seen = word;
				s->since_us = now;
			}
			if (word & 1 && (!oldest || s->since_us < oldest))
				oldest = s->since_us;
		}
	}
	return oldest;
}

static void *watch(void *arg)
{
	struct vg_exec *x = arg;
	struct vg_account_launch *l = &x->account->launch[x->entry - x->account->entry];

	for (;;) {
		uint64_t limit = atomic_load(&x->account->kernel_ms), ms = limit / LOOKS, since;

		ms = ms < LOOK_MIN_MS ? LOOK_MIN_MS : ms > LOOK_MAX_MS ? LOOK_MAX_MS : ms;
		nanosleep(&(struct timespec){ .tv_nsec = (limit ? ms : LOOK_MAX_MS) * 1000000 }, NULL);
		pthread_mutex_lock(&lock);
		since = look();
		pthread_mutex_unlock(&lock);
		atomic_store(&l->since_us, limit ? since : 0);
	}
	return NULL;
}

static bool start(struct vg_exec *x)
{
	pthread_attr_t attr;
	pthread_t thread;

	if (runs)
		return true;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	runs = !pthread_create(&thread, &attr, watch, x);
	pthread_attr_destroy(&attr);
	return runs;
}

/* -- around a record */

static bool launches(uint32_t op)
{
	return op == VG_OP_vgpu_launch || op == VG_OP_vgpu_launch_big || op == VG_OP_cuGraphLaunch;
}

static CUresult mark(struct slot *s, uint64_t number)
{
	CUresult r = cu.cuStreamWriteValue64_v2(
		s->stream, s->page->device + s->word * sizeof(uint64_t), number, 0);

	if (!r)
		s->written = number;
	return r;
}

static bool captures(CUstream stream)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;

	return atomic_load_explicit(&vg_capture_any, memory_order_relaxed) &&
	       (cu.cuStreamIsCapturing(stream, &status) ||
		status != CU_STREAM_CAPTURE_STATUS_NONE);
}

static CUresult get_busy(CUcontext context, CUstream stream, struct slot **s)
{
	CUresult r;

	pthread_mutex_lock(&lock);
	r = get(context, stream, s);
	if (!r)
		(*s)->busy = true;
	pthread_mutex_unlock(&lock);
	return r;
}

static void put_busy(struct slot *s, bool lost)
{
	pthread_mutex_lock(&lock);
	s->busy = false;
	s->page->lost |= lost;
	s->orphan |= lost;
	pthread_mutex_unlock(&lock);
}

/* While its queue is full the driver makes this wait, and so without the lock. */
static struct slot *begin_launch(struct vg_exec *x, CUstream stream)
{
	CUcontext context;
	struct slot *s;
	bool again = true;
	CUresult r = CUDA_ERROR_NOT_SUPPORTED;

	if (!can() || cu.cuCtxGetCurrent(&context) || !start(x)) {
		told_not(r);
		return NULL;
	}
	/* What is captured is no launch yet, and its graph is not to have our marks. */
	if (captures(stream))
		return NULL;
	/* That the page's context has gone without a word is found out by the first mark. */
	while (again && !(r = get_busy(context, stream, &s))) {
		r = mark(s, s->written + 1 + (s->written & 1));
		if (!r)
			return s;
		again = s->written;
		put_busy(s, again);
	}
	told_not(r);
	return NULL;
}

void *vg_progress_begin(struct vg_exec *x, const struct vg_op *op, const struct vg_req *rq)
{
	struct slot *s = NULL, *next;
	CUstream stream;
	uint32_t id;

	if (rq->op == VG_OP_cuStreamDestroy_v2) {
		memcpy(&id, rq->payload, sizeof(id));
		if (id <= 1 || !vg_x_stream(x, id, &stream))
			return NULL;
		pthread_mutex_lock(&lock);
		for (s = LIST_FIRST(bucket_of(stream)); s; s = next) {
			next = LIST_NEXT(s, node);
			s->orphan |= s->stream == stream;
		}
		pthread_mutex_unlock(&lock);
		return NULL;
	}
	if (!launches(rq->op) || !atomic_load(&x->account->kernel_ms))
		return NULL;
	memcpy(&id, (const uint8_t *)rq->payload + op->adds->stream_at, sizeof(id));
	if (!vg_x_stream(x, id, &stream))
		return NULL;
	x->progress = true;
	return begin_launch(x, stream);
}

void vg_progress_end(void *launch)
{
	struct slot *s = launch;
	CUresult r = mark(s, s->written + 1);

	if (r)
		told_not(r);
	put_busy(s, false);
}

void vg_progress_context_gone(CUcontext context)
{
	struct slot *s, *next;
	struct page *p;

	pthread_mutex_lock(&lock);
	for (unsigned int i = 0; i < BUCKETS; i++)
		for (s = LIST_FIRST(&slots[i]); s; s = next) {
			next = LIST_NEXT(s, node);
			if (s->page->context != context)
				continue;
			if (s->busy)
				s->orphan = s->page->lost = true;
			else
				drop(s);
		}
	SLIST_FOREACH(p, &pages, node)
		if (p->context == context)
			p->context = NULL;
	pthread_mutex_unlock(&lock);
}
