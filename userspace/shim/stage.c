// SPDX-License-Identifier: Apache-2.0
/*
 * Large copies of pageable memory, staged through memory that the device reaches.
 *
 * Natively the driver stages such a copy by one thread.  Here several threads
 * of this process copy into (or out of) a few pinned buffers, and the device
 * moves those at the speed of its copy engine meanwhile.  An event for each
 * buffer says when it may be used again, so an asynchronous copy into the device
 * returns with the data taken and the transfer under way.
 *
 *	in:   program -> crew -> buffer -> device	a piece is sent when all of it is there
 *	out:  program <- crew <- buffer <- device	a buffer is asked for again when it is empty
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "crew.h"
#include "ring_sync.h"
#include "shim.h"
#include "shim_calls.h"
#include "stage.h"
#include "storage.h"

#define BUFFER_MAX (2u << 20)
#define BUFFERS_IN 4
/*
 * On the way out the device writes where CPUs have just read.  With 8 MiB of buffers the
 * lines are still in the caches of several CPUs, and it comes to 21 GB/s; with 20 MiB, 50.
 */
#define BUFFERS 10
#define PAST_CACHES_MIN (4u << 20)	/* copies of which the caches would hold little */

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
	/* In a small guest, whose arena is small, less than that in all. */
	s->bytes = vg_arena_max() / 4 < BUFFER_MAX ? vg_arena_max() / 4 : BUFFER_MAX;
	if (s->bytes < VG_CREW_CHUNK)
		s->bytes = VG_CREW_CHUNK;
	if (stage_grow(s, BUFFERS_IN))
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
 * One copy, or a part of a very large one.  Piece k of it goes through buffer k % count,
 * in chunks of VG_CREW_CHUNK.
 */
struct flow {
	struct vg_crew_job job;		/* first */
	struct stage *stage;
	CUstream stream;
	CUdeviceptr device;
	uint8_t *host;			/* the program's memory */
	size_t bytes;
	unsigned int pieces, count;
	struct buffer *buffer[BUFFERS];
	_Atomic unsigned int done[BUFFERS];	/* chunks of the piece that is in it */
	bool past_caches;
	bool wait;			/* for the stream, when all of it has been sent */
	bool begun;			/* the crew is at it */
};

/* Of one flow, so that the number of its chunks has room in a job. */
#define FLOW_MAX ((size_t)1 << 30)

/* As many buffers as are free, but at least one; those first that were used longest ago. */
static void take_buffers(struct flow *f, unsigned int most)
{
	struct stage *s = f->stage;
	unsigned int first;

	pthread_mutex_lock(&s->lock);
	if (most > s->count && f->pieces > s->count && !s->memory[1])
		stage_grow(s, most);
	while (!f->count) {
		first = s->next;
		for (unsigned int i = 0; i < s->count && f->count < most && f->count < f->pieces;
		     i++) {
			struct buffer *b = &s->buffer[(first + i) % s->count];

			if (b->taken)
				continue;
			b->taken = true;
			f->buffer[f->count++] = b;
			s->next = (first + i + 1) % s->count;
		}
		if (!f->count)
			pthread_cond_wait(&s->given, &s->lock);
	}
	pthread_mutex_unlock(&s->lock);
}

static void give_buffers(struct flow *f)
{
	struct stage *s = f->stage;

	pthread_mutex_lock(&s->lock);
	for (unsigned int i = 0; i < f->count; i++)
		f->buffer[i]->taken = false;
	pthread_cond_broadcast(&s->given);
	pthread_mutex_unlock(&s->lock);
}

static unsigned int chunks_of(size_t bytes)
{
	return (bytes + VG_CREW_CHUNK - 1) / VG_CREW_CHUNK;
}

static struct buffer *buffer_of(const struct flow *f, unsigned int piece)
{
	return f->buffer[piece % f->count];
}

static size_t piece_bytes(const struct flow *f, unsigned int piece)
{
	size_t at = piece * f->stage->bytes;

	return f->bytes - at < f->stage->bytes ? f->bytes - at : f->stage->bytes;
}

/* The crew may copy it.  It is not called for before: the device may take its time. */
static void piece_allow(struct flow *f, unsigned int piece)
{
	if (!f->begun)
		vg_crew_begin(&f->job, f->bytes);
	f->begun = true;
	atomic_store_explicit(&f->done[piece % f->count], 0, memory_order_relaxed);
	vg_crew_allow(&f->job, chunks_of(piece_bytes(f, piece)));
}

static bool piece_copied(struct flow *f, unsigned int piece)
{
	return atomic_load_explicit(&f->done[piece % f->count], memory_order_acquire) ==
	       chunks_of(piece_bytes(f, piece));
}

static void chunk(struct flow *f, unsigned int i, bool in)
{
	unsigned int each = chunks_of(f->stage->bytes), piece = i / each;
	size_t at = i % each * VG_CREW_CHUNK, left = piece_bytes(f, piece) - at;
	uint8_t *host = f->host + piece * f->stage->bytes + at;
	uint8_t *staged = buffer_of(f, piece)->p + at;
	size_t n = left < VG_CREW_CHUNK ? left : VG_CREW_CHUNK;

	if (f->past_caches)
		vg_copy_past_caches(in ? staged : host, in ? host : staged, n);
	else
		memcpy(in ? staged : host, in ? host : staged, n);
	atomic_fetch_add_explicit(&f->done[piece % f->count], 1, memory_order_release);
}

static void chunk_in(struct vg_crew_job *job, unsigned int i)
{
	chunk((struct flow *)job, i, true);
}

static void chunk_out(struct vg_crew_job *job, unsigned int i)
{
	chunk((struct flow *)job, i, false);
}

static void help(struct flow *f, unsigned int *idle)
{
	if (vg_crew_help(&f->job))
		return;
	vg_cpu_relax();
	if (++*idle % 1024 == 0)
		sched_yield();
}

/* Wait until the device has done with it. */
static CUresult settle(struct buffer *b)
{
	CUresult r = b->busy ? cuEventSynchronize(b->event) : CUDA_SUCCESS;

	b->busy = false;
	return r;
}

/* The device has done with it already. */
static bool settled(struct buffer *b)
{
	if (b->busy && !cuEventQuery(b->event))
		b->busy = false;
	return !b->busy;
}

/* The device has to read or write it still: whoever looks at it next waits for that. */
static CUresult mark(struct buffer *b, CUstream stream)
{
	CUresult r = cuEventRecord(b->event, stream);

	b->busy = !r;
	return r;
}

static CUresult send(struct flow *f, unsigned int piece)
{
	struct buffer *b = buffer_of(f, piece);
	CUresult r = vgw_vgpu_stage_in(false, f->device + piece * f->stage->bytes,
				       (uintptr_t)b->p, piece_bytes(f, piece), f->stream);

	/* Nobody takes the last buffer before the stream has been waited for. */
	return r || (f->wait && piece + 1 == f->pieces) ? r : mark(b, f->stream);
}

static CUresult flow_in(struct flow *f)
{
	unsigned int allowed = 0, sent = 0, idle = 0;
	CUresult r = CUDA_SUCCESS;

	while (sent < f->pieces && !r) {
		if (sent < allowed && piece_copied(f, sent)) {
			r = send(f, sent++);
		} else if (allowed < f->pieces && allowed - sent < f->count &&
			   (allowed == sent || settled(buffer_of(f, allowed)))) {
			/* With nothing else to do, wait. */
			r = settle(buffer_of(f, allowed));
			if (!r)
				piece_allow(f, allowed++);
		} else {
			help(f, &idle);
		}
	}
	return r;
}

static CUresult ask(struct flow *f, unsigned int piece)
{
	struct buffer *b = buffer_of(f, piece);
	CUresult r = settle(b);

	if (!r)
		r = vgw_vgpu_stage_out(false, (uintptr_t)b->p,
				       f->device + piece * f->stage->bytes,
				       piece_bytes(f, piece), f->stream);
	return r || f->pieces == 1 ? r : mark(b, f->stream);
}

/* It is in its buffer, or the device has failed. */
static CUresult arrive(struct flow *f, unsigned int piece)
{
	return f->pieces == 1 ? vgw_cuStreamSynchronize(f->stream) : settle(buffer_of(f, piece));
}

static CUresult flow_out(struct flow *f)
{
	unsigned int asked = 0, came = 0, emptied = 0, idle = 0;
	CUresult r = CUDA_SUCCESS;

	while (emptied < f->pieces && !r) {
		if (emptied < came && piece_copied(f, emptied)) {
			emptied++;
		} else if (asked < f->pieces && asked - emptied < f->count) {
			r = ask(f, asked++);
		} else if (came < asked && (came == emptied || settled(buffer_of(f, came)))) {
			r = arrive(f, came);
			if (!r)
				piece_allow(f, came++);
		} else {
			help(f, &idle);
		}
	}
	return r;
}

static CUresult flow(struct stage *s, bool in, CUdeviceptr device, uint8_t *host, size_t bytes,
		     CUstream stream, bool wait)
{
	struct flow f = {
		.job.run = in ? chunk_in : chunk_out, .stage = s, .stream = stream,
		.device = device, .host = host, .bytes = bytes,
		.pieces = (bytes + s->bytes - 1) / s->bytes,
		.past_caches = bytes >= PAST_CACHES_MIN, .wait = wait,
	};
	CUresult r;

	take_buffers(&f, in ? BUFFERS_IN : BUFFERS);
	r = in ? flow_in(&f) : flow_out(&f);
	if (f.begun)
		vg_crew_end(&f.job);
	if (!r && wait)
		r = vgw_cuStreamSynchronize(stream);
	give_buffers(&f);
	return r;
}

static bool staged(bool in, CUdeviceptr device, uint8_t *host, size_t bytes, CUstream stream,
		   bool wait, CUresult *result)
{
	struct stage *s = stage_of();
	CUresult r = CUDA_SUCCESS;

	if (!s)
		return false;
	while (bytes && !r) {
		size_t n = bytes < FLOW_MAX ? bytes : FLOW_MAX;

		r = flow(s, in, device, host, n, stream, wait && n == bytes);
		device += n;
		host += n;
		bytes -= n;
	}
	*result = r;
	return true;
}

bool vg_stage_in(CUdeviceptr dst, const void *src, size_t bytes, CUstream stream, bool wait,
		 CUresult *result)
{
	return staged(true, dst, (uint8_t *)src, bytes, stream, wait, result);
}

bool vg_stage_out(void *dst, CUdeviceptr src, size_t bytes, CUstream stream, CUresult *result)
{
	return staged(false, src, dst, bytes, stream, false, result);
}

void vg_stage_ahead(void)
{
	if (!vg_capturing())
		stage_of();
}
