/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest process's end of a channel: what the generated stubs call.
 *
 * One channel per process.  A call is begun (which reserves its record in the
 * submission ring and takes the submission lock), filled in place, then either
 * posted (no answer) or sent and waited for.  Program order over all threads
 * is the order of vg_begin().
 *
 *	struct vg_call c;
 *	r = vg_begin(&c, OP, sizeof(*rq));
 *	if (r)
 *		return r;
 *	rq = c.req;
 *	rq->... = ...;
 *	return vg_post(&c);                     // asynchronous
 *	return vg_wait(&c, &reply, sizeof(reply)); // answered
 *
 * Between vg_begin() and vg_post()/vg_wait() nothing may block or call vg_*.
 */
#ifndef VG_CLIENT_H
#define VG_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda_abi.h"
#include "ops_internal.h"

struct vg_call {
	void *req;		/* payload in the ring, to be filled by the caller */
	uint32_t bytes;		/* of the payload */
	bool blocks;		/* set by the caller: the answer may take as long as the device does */
	bool waits;		/* likewise: and it does nothing else */
	bool polls;		/* likewise: and it can ask instead (VG_WAITS_FULL) */
	uint32_t *got;		/* set by the caller, or NULL: bytes that the answer has */
	/* private to client.c */
	struct vgpu_rec *rec;
	uint64_t begin, end;
};

/*
 * Connect on first use.  Returns CUDA_SUCCESS, or why there is no device:
 * CUDA_ERROR_NO_DEVICE (no /dev/vgpu*, no socket), CUDA_ERROR_SYSTEM_NOT_READY
 * (no mediator, or it refused), CUDA_ERROR_NOT_INITIALIZED in a child after
 * fork.  Once lost, every call gives CUDA_ERROR_DEVICE_UNAVAILABLE; after another failure
 * the next vg_connect() tries again.
 */
CUresult vg_connect(void);

/*
 * To be called once the executor has what this process has made.  From then on a child of
 * fork() gets CUDA_ERROR_NOT_INITIALIZED; until then it may connect for itself.
 */
void vg_channel_keep(void);

/*
 * For a library that needs no more than to ask: before the first vg_connect(), a
 * channel of some hundred KiB rather than tens of MiB.  And the end of a channel, or
 * of the failure to get one, or of the thought of the parent's in a child: the next
 * vg_connect() makes another.  No thread may be in a call, and all that the executor
 * had is gone.
 */
void vg_channel_small(void);
void vg_channel_close(void);

/* Likewise, and make another at once, whose driver sees these devices (vg_settings_devices()). */
CUresult vg_channel_choose(uint64_t devices);

/* The context id that this thread's records carry in vgpu_rec.tag. */
extern __thread uint32_t vg_thread_tag;

/*
 * If not 0, this thread's records ask to be timed under this tag (struct vg_timed), and are
 * counted here.  Only once the executor has answered vgpu_timing, for before it knows them not.
 */
struct vg_thread_timed {
	uint32_t tag;
	uint32_t records;
};

extern __thread struct vg_thread_timed vg_thread_timed;

/* Where the record ends to which this thread has last had an answer. */
extern __thread uint64_t vg_thread_answered;
/* No record has been published, by any thread, after the one that ends there. */
bool vg_quiet_since(uint64_t end);
/*
 * To be asked after this thread has published one, at `end` or later: where it ends, if it
 * began right there and no other has been published since; else 0.
 */
uint64_t vg_followed(uint64_t end);

/* Reserve a record with `bytes` (at most VG_INLINE_MAX) of payload. */
CUresult vg_begin(struct vg_call *c, uint16_t op, size_t bytes);

/* Publish; no answer will come.  A failure surfaces at a later answer. */
CUresult vg_post(struct vg_call *c);

/*
 * Publish and wait for the answer; copy at most `max` bytes of its payload to
 * `reply` (zero-filled up to `max` when the payload is shorter).  The result
 * is the call's own.  The first failure of an earlier posted record comes with
 * an answer too, and is given to vg_on_deferred (if set) before this returns.
 */
CUresult vg_wait(struct vg_call *c, void *reply, size_t max);

/*
 * There are 128 places for calls that wait for an answer.  So that threads which wait for the
 * device never keep another from the call that lets it go on, calls that block leave
 * VG_PLACES_SPARE of them to the others, and those that do nothing but wait have at most half
 * of them.  A call without a place waits for one, but for one that can poll: that is not sent,
 * and its result is VG_WAITS_FULL.
 */
#define VG_PLACES_SPARE	8u		/* a quarter, if there are fewer than 32 places */
#define VG_WAITS_FULL	((CUresult)0x7fff0001)

/* Around such polling, by any number of threads: the more there are, the longer each sleeps. */
void vg_poll_begin(void);
void vg_poll_nap(void);
void vg_poll_end(void);
extern void (*vg_on_deferred)(CUresult failure);

/*
 * Kernels have printed something: called (if set) before the vg_wait() that learns of
 * it returns.  The next bytes of it, at most VG_REPLY_MAX; none when it has all been taken.
 */
extern void (*vg_on_output)(void);
CUresult vg_output_next(unsigned int which, void *text, uint32_t *bytes);

/* Whether to spin for long while the device works (`blocks`), as CUDA does unless told not to. */
void vg_client_spin_long(bool yes);

/*
 * The data arena.  A block for a call that is waited for is freed by the
 * caller afterwards; one for a posted call is handed over with
 * vg_arena_free_after(), and comes back once the executor has consumed it.
 * vg_arena_alloc() blocks until `bytes` (at most vg_arena_max()) are free.
 */
struct vg_block {
	void *ptr;
	uint32_t off;		/* what goes on the wire */
	uint32_t bytes;		/* as asked for */
};

size_t vg_arena_max(void);
CUresult vg_arena_alloc(struct vg_block *b, size_t bytes);
void vg_arena_free(struct vg_block *b);
void vg_arena_free_after(struct vg_block *b, const struct vg_call *c);

/*
 * Send `bytes` of any length to the executor ahead of a call that names them
 * by the blob id returned (never 0).  The executor drops the blob when that
 * call has run.
 */
CUresult vg_blob_send(const void *data, size_t bytes, uint32_t *blob);

/*
 * Memory of this process that the executor maps at the same address: new
 * memory, or a range that exists (rounded to whole pages).  The latter is
 * CUDA_ERROR_NOT_SUPPORTED over the socket, where only memfds can be shared.
 * vg_share_end() takes it back from the executor, which must not have it
 * registered with the driver any more; unmapping it here is the caller's.
 */
struct vg_share {
	void *p;
	size_t bytes;		/* whole pages */
	uint32_t pieces;
	uint32_t *token;
};

CUresult vg_share_new(struct vg_share *s, size_t bytes);
/* Bytes of memory that this machine has. */
uint64_t vg_memory_here(void);
CUresult vg_share_range(struct vg_share *s, void *p, size_t bytes);
void vg_share_end(struct vg_share *s);

#endif /* VG_CLIENT_H */
