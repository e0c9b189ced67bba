// SPDX-License-Identifier: Apache-2.0
/*
 * When an engine of the device has to wait for another it looks again only some 8 us
 * later (H100): work that reaches the device a moment before the copy ends which it waits
 * for starts as late as work that comes 8 us after.  A native program hardly notices,
 * since its CPU takes microseconds from call to call.  Here the next call is in the ring
 * already, and followed at once.  So what comes behind a short copy into an idle device
 * is held until the copy should be over.
 *
 * How long a copy takes, and whether a hold is of any use, is measured ahead of time.
 * tests/bench/followers shows both; docs/performance.md has the figures.
 */
#include <stdatomic.h>
#include <stdio.h>

#include "calls.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/ring_sync.h"
#include "exec_internal.h"
#include "vg_cuda.h"

#define SHORTEST	(32u << 10)	/* bytes; with less the driver has it done otherwise */
#define LONGEST		(512u << 10)
#define TYPICAL		(96u << 10)
#define LAUNCH_NS	1000		/* that the driver takes longer with a kernel */
#define HOLD_NS_MAX	12000		/* behind longer copies there is too little to gain */
#define START_NS_MIN	1000		/* before the copy's first byte */
#define START_NS_MAX	3000
#define STEP_NS		500
#define MARGIN_NS	1000		/* a moment too little costs far more than too much */
#define GAIN_NS		2000		/* for less it is not worth it */
#define ALONE_NS	40000		/* with more somebody else has work for the device */
#define NS_PER_MIB_MAX	200000		/* 5 GB/s: slower is no bus that we know */
#define TRIES		10

static struct vg_copy_time known;	/* without: nothing is held */

/* The program has waited for the device, and has enqueued nothing since but copies. */
static atomic_bool idle;
static uint64_t until;			/* when the last of these is over, or 0; the role's */

static uint64_t over_after(size_t bytes, struct vg_copy_time p)
{
	return p.start_ns + (uint64_t)bytes / 1024 * p.ns_per_mib / 1024;
}

bool vg_pace_parse(const char *text)
{
	char end;

	return sscanf(text, "%u,%u%c", &known.start_ns, &known.ns_per_mib, &end) == 2 &&
	       known.start_ns <= START_NS_MAX + MARGIN_NS && known.ns_per_mib <= NS_PER_MIB_MAX;
}

struct vg_copy_time vg_pace_copy_time(void)
{
	return known;
}

static void hold(uint64_t end)
{
	while (vg_now_ns() < end)
		vg_cpu_relax();
}

void vg_pace_waited(void)
{
	if (known.ns_per_mib)
		atomic_store_explicit(&idle, true, memory_order_relaxed);
}

void vg_pace_call(uint32_t op)
{
	if (!atomic_load_explicit(&idle, memory_order_relaxed))
		return;
	atomic_store_explicit(&idle, false, memory_order_relaxed);
	if (until)
		hold(op == VG_OP_vgpu_launch ? until - LAUNCH_NS : until);
	until = 0;
}

/* One such copy behind another is the same engine's, and waits for nothing. */
void vg_x_pace_copy(size_t bytes)
{
	if (bytes < SHORTEST)
		vg_pace_call(VG_OP_vgpu_copy_in);
}

void vg_x_pace_copied(size_t bytes)
{
	uint64_t ns = over_after(bytes, known);

	if (atomic_load_explicit(&idle, memory_order_relaxed))
		until = ns <= HOLD_NS_MAX ? vg_now_ns() + ns : 0;
}

/* -- ahead of time */

struct trial {
	void *host;
	CUdeviceptr device;
};

/* Of a copy, of what follows it after so many ns (none: ~0), and of the wait: ns, 0: failed. */
static uint64_t once(const struct trial *t, size_t bytes, uint64_t after)
{
	uint64_t began = vg_now_ns();

	if (cu.cuMemcpyHtoDAsync_v2(t->device, t->host, bytes, NULL))
		return 0;
	if (after != ~0ull) {
		hold(vg_now_ns() + after);
		if (cu.cuMemsetD8Async(t->device, 0, 1, NULL))
			return 0;
	}
	return cu.cuStreamSynchronize(NULL) ? 0 : vg_now_ns() - began;
}

static uint64_t best(const struct trial *t, size_t bytes, uint64_t after)
{
	uint64_t least = ~0ull, ns;

	for (int i = 0; i < TRIES; i++) {
		ns = once(t, bytes, after);
		if (ns < least)
			least = ns;
	}
	return least;
}

/* What follows a copy is over sooner if it is held so long. */
static bool gains(const struct trial *t, struct vg_copy_time p)
{
	uint64_t held = best(t, TYPICAL, over_after(TYPICAL, p)), at_once = best(t, TYPICAL, 0);

	vg_debug("a copy takes %u ns and %u per MiB: its follower %llu, at once %llu", p.start_ns,
		 p.ns_per_mib, (unsigned long long)held, (unsigned long long)at_once);
	return held && held + GAIN_NS < at_once && at_once < ALONE_NS;
}

static struct vg_copy_time measure(const struct trial *t)
{
	uint64_t shortest = best(t, SHORTEST, ~0ull), longest = best(t, LONGEST, ~0ull);
	struct vg_copy_time p = { .start_ns = START_NS_MIN }, none = { 0 };

	if (!shortest || longest <= shortest)
		return none;
	p.ns_per_mib = ((longest - shortest) << 20) / (LONGEST - SHORTEST);
	if (p.ns_per_mib > NS_PER_MIB_MAX)
		return none;
	for (; p.start_ns <= START_NS_MAX; p.start_ns += STEP_NS) {
		if (gains(t, p)) {
			p.start_ns += MARGIN_NS;
			return p;
		}
	}
	return none;
}

static void measure_here(void)
{
	struct trial t;

	if (cu.cuMemAlloc_v2(&t.device, LONGEST))
		return;
	if (!cu.cuMemHostAlloc(&t.host, LONGEST, 0)) {
		known = measure(&t);
		cu.cuMemFreeHost(t.host);
	}
	cu.cuMemFree_v2(t.device);
}

void vg_x_pace_measure(CUcontext ctx)
{
	if (known.ns_per_mib || !cu.cuMemcpyHtoDAsync_v2 || !cu.cuMemsetD8Async ||
	    !cu.cuStreamSynchronize || !cu.cuMemAlloc_v2 || !cu.cuMemFree_v2 ||
	    !cu.cuMemHostAlloc || !cu.cuMemFreeHost || !cu.cuCtxPushCurrent_v2 ||
	    !cu.cuCtxPopCurrent_v2 || cu.cuCtxPushCurrent_v2(ctx))
		return;
	measure_here();
	cu.cuCtxPopCurrent_v2(&ctx);
}
