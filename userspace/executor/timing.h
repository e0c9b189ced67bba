/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the device runs what records bring, for profilers in the guest (docs/profiling.md).
 *
 * After vgpu_timing a record that asks for it (VGPU_REC_TIMED) runs between two events in its
 * stream.  What they say is kept as a span until the guest takes it.  The guest chooses the
 * tags, which mean nothing here.  What is held is bounded, whatever the guest sends: at most
 * VG_TIMING_PAIRS pairs of events, VG_TIMING_SPANS spans, and VG_TIMING_LINES contexts at a
 * time.  Beyond that the oldest go, and are counted.
 */
#ifndef VG_TIMING_H
#define VG_TIMING_H

#include "exec.h"

#define VG_TIMING_PAIRS 8192u
#define VG_TIMING_SPANS 65536u
#define VG_TIMING_LINES 16u

/* Around the run of a record that asks for it; of a thread's records one at a time. */
void vg_timing_begin(struct vg_exec *x, const struct vg_op *op, const struct vg_req *rq);
void vg_timing_end(CUresult r);
/*
 * It has done its work in the stream: the span ends here, before the wait that is to follow.
 * False: there is none, so nothing new is to be waited for.
 */
bool vg_timing_mark(void);
/* A record that does not run: its span says why. */
void vg_timing_none(uint32_t tag, uint32_t flags);
/* Before the driver destroys the context with this id: the events that are in it go first. */
void vg_timing_context_gone(uint32_t ctx);

/* Tests only: what is held. */
struct vg_timing_held {
	unsigned int pairs, pending, spans, lines;
	uint64_t lost;
};

void vg_timing_held(struct vg_timing_held *held);

#endif /* VG_TIMING_H */
