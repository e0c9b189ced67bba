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
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "clock.h"
#include "crew.h"
#include "ring_sync.h"
#include "shim.h"
#include "shim_calls.h"
#include "stage.h"
#include "stage_internal.h"

#define PAST_CACHES_MIN (4u << 20)	/* copies of which the caches would hold little */

/*
 * One copy, or a part of a very large one, in pieces as large as a buffer, and these in chunks
 * of VG_CREW_CHUNK.  Pieces are begun in order.  A thread that loses its CPU in the middle of a
 * chunk keeps a piece, and its buffer, for long; the others go through the other buffers.
 */
#define PIECES_MAX 512u

struct flow {
	struct vg_crew_job job;		/* first */
	struct vg_stage *stage;
	CUstream stream;
	CUdeviceptr device;
	uint8_t *host;			/* the program's memory */
	size_t bytes;
	unsigned int pieces, count;
	struct vg_buffer *buffer[VG_BUFFERS];
	unsigned int piece[VG_BUFFERS];		/* that is in it */
	_Atomic unsigned int done[VG_BUFFERS];	/* chunks of that */
	uint8_t at[PIECES_MAX];			/* the buffer that a piece is in */
	uint32_t crews;				/* buffers that the crew is at, a bit each */
	/* Those that the device is at or has been at, in its order. */
	uint8_t queue[VG_BUFFERS];
	unsigned int first, queued;
	uint64_t look_at;		/* when to ask again whether the device is done, us */
	bool past_caches;
	bool wait;			/* for the stream, when all of it has been sent */
	bool begun;			/* the crew is at it */
};

static unsigned int chunks_of(size_t bytes)
{
	return (bytes + VG_CREW_CHUNK - 1) / VG_CREW_CHUNK;
}

static size_t piece_bytes(const struct flow *f, unsigned int piece)
{
	size_t at = piece * f->stage->bytes;

	return f->bytes - at < f->stage->bytes ? f->bytes - at : f->stage->bytes;
}

static void push(struct flow *f, unsigned int i)
{
	f->queue[(f->first + f->queued++) % VG_BUFFERS] = i;
}

static unsigned int pop(struct flow *f)
{
	unsigned int i = f->queue[f->first];

	f->first = (f->first + 1) % VG_BUFFERS;
	f->queued--;
	return i;
}

/* The crew may copy it.  It is not called for before: the device may take its time. */
static void allow(struct flow *f, unsigned int piece, unsigned int i)
{
	if (!f->begun)
		vg_crew_begin(&f->job, f->bytes);
	f->begun = true;
	f->piece[i] = piece;
	f->at[piece] = i;
	f->crews |= 1u << i;
	atomic_store_explicit(&f->done[i], 0, memory_order_relaxed);
	vg_crew_allow(&f->job, chunks_of(piece_bytes(f, piece)));
}

/* A buffer that the crew has done with; no longer the crew's. */
static bool take_done(struct flow *f, unsigned int *i)
{
	for (*i = 0; *i < f->count; ++*i) {
		if (!(f->crews & 1u << *i) ||
		    atomic_load_explicit(&f->done[*i], memory_order_acquire) <
			    chunks_of(piece_bytes(f, f->piece[*i])))
			continue;
		f->crews &= ~(1u << *i);
		return true;
	}
	return false;
}

static void chunk(struct flow *f, unsigned int n, bool in)
{
	unsigned int each = chunks_of(f->stage->bytes), piece = n / each, i = f->at[piece];
	size_t at = n % each * VG_CREW_CHUNK, left = piece_bytes(f, piece) - at;
	uint8_t *host = f->host + piece * f->stage->bytes + at;
	uint8_t *staged = f->buffer[i]->p + at;
	size_t bytes = left < VG_CREW_CHUNK ? left : VG_CREW_CHUNK;

	if (f->past_caches)
		vg_copy_past_caches(in ? staged : host, in ? host : staged, bytes);
	else
		memcpy(in ? staged : host, in ? host : staged, bytes);
	atomic_fetch_add_explicit(&f->done[i], 1, memory_order_release);
}

static void chunk_in(struct vg_crew_job *job, unsigned int n)
{
	chunk((struct flow *)job, n, true);
}

static void chunk_out(struct vg_crew_job *job, unsigned int n)
{
	chunk((struct flow *)job, n, false);
}

static void help(struct flow *f, unsigned int *idle)
{
	if (vg_crew_help(&f->job))
		return;
	vg_cpu_relax();
	if (++*idle % 1024 == 0)
		sched_yield();
}

/*
 * The device has done with the first in the queue.  To ask takes from 1 us to some ms, as both
 * sides spin or sleep: a fifth of the time at most.
 */
static bool device_done(struct flow *f)
{
	struct vg_buffer *b = f->buffer[f->queue[f->first]];
	uint64_t before, after;
	bool done;

	if (!b->busy)
		return true;
	before = vg_now_us();
	if (before < f->look_at)
		return false;
	done = vg_buffer_settled(b);
	after = vg_now_us();
	f->look_at = after + 4 * (after - before);
	return done;
}

static CUresult send(struct flow *f, unsigned int i, bool last)
{
	struct vg_buffer *b = f->buffer[i];
	CUresult r = vgw_vgpu_stage_in(false, f->device + f->piece[i] * f->stage->bytes,
				       (uintptr_t)b->p, piece_bytes(f, f->piece[i]), f->stream);

	/* Nobody takes the last one before the stream has been waited for. */
	return r || (f->wait && last) ? r : vg_buffer_mark(b, f->stream);
}

static CUresult flow_in(struct flow *f)
{
	unsigned int next = 0, sent = 0, idle = 0, i;
	CUresult r = CUDA_SUCCESS;

	for (i = 0; i < f->count; i++)
		push(f, i);
	while (sent < f->pieces && !r) {
		if (take_done(f, &i)) {
			r = send(f, i, ++sent == f->pieces);
			push(f, i);
		} else if (next < f->pieces && f->queued &&
			   (!f->crews || device_done(f))) {
			/* With nothing else to do, wait. */
			i = pop(f);
			r = vg_buffer_settle(f->buffer[i]);
			if (!r)
				allow(f, next++, i);
		} else {
			help(f, &idle);
		}
	}
	return r;
}

static CUresult ask(struct flow *f, unsigned int piece, unsigned int i)
{
	struct vg_buffer *b = f->buffer[i];
	CUresult r = vg_buffer_settle(b);

	if (!r)
		r = vgw_vgpu_stage_out(false, (uintptr_t)b->p,
				       f->device + piece * f->stage->bytes,
				       piece_bytes(f, piece), f->stream);
	if (!r && f->pieces > 1)
		r = vg_buffer_mark(b, f->stream);
	push(f, i);
	return r;
}

/* What was asked for first is in its buffer, or the device has failed. */
static CUresult arrive(struct flow *f, unsigned int i)
{
	return f->pieces == 1 ? vgh_cuStreamSynchronize(f->stream) : vg_buffer_settle(f->buffer[i]);
}

static CUresult flow_out(struct flow *f)
{
	unsigned int asked = 0, came = 0, emptied = 0, idle = 0, i;
	CUresult r = CUDA_SUCCESS;

	for (i = 0; i < f->count && !r; i++)
		r = ask(f, asked++, i);
	while (emptied < f->pieces && !r) {
		if (take_done(f, &i)) {
			emptied++;
			if (asked < f->pieces)
				r = ask(f, asked++, i);
		} else if (f->queued && (!f->crews || device_done(f))) {
			i = pop(f);
			r = arrive(f, i);
			if (!r)
				allow(f, came++, i);
		} else {
			help(f, &idle);
		}
	}
	return r;
}

static CUresult flow(struct vg_stage *s, bool in, CUdeviceptr device, uint8_t *host, size_t bytes,
		     CUstream stream, bool wait)
{
	struct flow f = {
		.job.run = in ? chunk_in : chunk_out, .stage = s, .stream = stream,
		.device = device, .host = host, .bytes = bytes,
		.pieces = (bytes + s->bytes - 1) / s->bytes,
		.past_caches = bytes >= PAST_CACHES_MIN, .wait = wait,
	};
	unsigned int most;
	CUresult r;

	most = in ? VG_BUFFERS_IN : VG_BUFFERS;
	f.count = vg_stage_take(s, f.pieces < most ? f.pieces : most, f.buffer);
	r = in ? flow_in(&f) : flow_out(&f);
	if (f.begun)
		vg_crew_end(&f.job);
	if (!r && wait)
		r = vgh_cuStreamSynchronize(stream);
	vg_stage_give(s, f.buffer, f.count);
	return r;
}

static bool staged(bool in, CUdeviceptr device, uint8_t *host, size_t bytes, CUstream stream,
		   bool wait, CUresult *result)
{
	struct vg_stage *s = vg_stage_get();
	CUresult r = CUDA_SUCCESS;

	if (!s)
		return false;
	while (bytes && !r) {
		size_t most = PIECES_MAX * s->bytes, n = bytes < most ? bytes : most;

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
