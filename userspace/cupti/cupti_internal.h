/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcupti of the guest: what its parts share.  docs/profiling.md draws the whole.
 *
 *   attach.c    finds the guest's libcuda, and attaches the hooks
 *   hooks.c     what happens around each call of the driver's interface
 *   describe.c  which calls are launches, copies and memsets, and of what
 *   work.c      such calls, until the executor has told when the device ran them
 *   clock.c     the executor's clock and the one of the records
 *   buffer.c    the program's buffers
 *   activity.c, callback.c, external.c, ids.c, results.c, refused.c   the interface
 *
 * Locks: work.c's before buffer.c's.  None of those is held while a callback of the program runs,
 * but who flushes waits until another thread, which may be in a callback, has flushed.
 */
#ifndef VG_CUPTI_INTERNAL_H
#define VG_CUPTI_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>

#include "common/profile.h"
#include "cupti_abi.h"

#define VG_EXPORT __attribute__((visibility("default")))

/* results.c: remember it for cuptiGetLastError(). */
CUptiResult vg_cupti_said(CUptiResult r);

/* -- attach.c */

/* libcuda's table; NULL: there is none, and *why says so. */
const struct vg_profile_table *vg_driver(CUptiResult *why);
/* Attach or detach hooks, as kinds and callbacks that are enabled now need them. */
CUptiResult vg_reattach(void);

/* -- activity.c: which kinds are enabled */

extern _Atomic uint64_t vg_kinds;	/* 1 << kind */

static inline bool vg_kind_on(unsigned int kind)
{
	return atomic_load_explicit(&vg_kinds, memory_order_relaxed) >> kind & 1;
}

#define VG_TIMED_KINDS (1ull << CUPTI_ACTIVITY_KIND_MEMCPY | 1ull << CUPTI_ACTIVITY_KIND_MEMSET | \
			1ull << CUPTI_ACTIVITY_KIND_KERNEL | \
			1ull << CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL | \
			1ull << CUPTI_ACTIVITY_KIND_MEMCPY2 | \
			1ull << CUPTI_ACTIVITY_KIND_GRAPH_TRACE)

bool vg_driver_api_wanted(unsigned int cbid);

/* -- hooks.c */

extern const struct vg_profile_hooks vg_hooks;
void vg_context_hook(CUcontext ctx, bool made);
/* The callback id of an exported function, and its name. */
unsigned int vg_cbid_of(const char *name);
const char *vg_cbid_name(unsigned int cbid);
unsigned int vg_cbid_end(void);
uint32_t vg_thread_id(void);

/* -- describe.c */

/* A record but for its times. */
union vg_record {
	uint32_t kind;
	struct cupti_kernel kernel;
	struct cupti_memcpy memcpy;
	struct cupti_memcpy2 memcpy2;
	struct cupti_memset memset;
	struct cupti_graph graph;
};

size_t vg_record_bytes(uint32_t kind);

/* Which description a function has; 0: it is no work for the device. */
unsigned int vg_described(const char *name);
/* Whether a function waits for the device; then, whether this call of it has a place. */
bool vg_waits(const char *name);
bool vg_waited_for(const struct vg_api_call *call, uint32_t *context, uint32_t *stream);
/* Fill the record of a call; false: no kind is enabled that it would be of. */
bool vg_describe(unsigned int which, const struct vg_api_call *call, union vg_record *r);

/* -- work.c */

/* Before such a call: the tag under which its records are timed, or 0. */
uint32_t vg_work_begin(const union vg_record *r, uint64_t called);
/* After it, `records` having been sent. */
void vg_work_end(uint32_t tag, uint32_t records);
/* The program has waited for a context (stream 0) or a stream, after the call with this tag. */
uint32_t vg_work_last(void);
void vg_work_waited(uint32_t tag, uint32_t context, uint32_t stream);
/*
 * Fetch what has ended, and write it into the program's buffers.  `wait`: what the program has
 * waited for is certainly among that.
 */
CUptiResult vg_work_drain(bool wait);
/* Nothing is enabled any more: if all is told, the executor may stop. */
void vg_work_rest(void);
void vg_work_forget(void);

/* -- clock.c */

uint64_t vg_clock_now(void);
/* Profiling begins: compare the clocks anew.  And again, so that what lies in between is known. */
void vg_clock_begin(const struct vg_profile_table *t);
bool vg_clock_known(void);	/* false: begin anew, since the program has registered another */
void vg_clock_compare(const struct vg_profile_table *t);
/* A time of the executor's on the records' clock. */
uint64_t vg_clock_of(uint64_t executor_ns);

/* -- buffer.c */

void vg_buffer_ensure(void);	/* have one, so that the program knows that there will be records */
void vg_buffer_put(const void *record, size_t bytes);
void vg_buffer_flush(bool forced);
void vg_dropped(uint64_t n);

/* -- external.c: one record for each of the thread's ids. */

void vg_external_put(uint32_t correlation);

/* -- callback.c */

extern _Atomic bool vg_callbacks_driver, vg_callbacks_context;
void vg_callback_driver(struct vg_api_call *call, unsigned int cbid, unsigned int site,
			CUresult *result);
void vg_callback_context(CUcontext ctx, bool made);
void vg_callback_forget(void);

#endif /* VG_CUPTI_INTERNAL_H */
