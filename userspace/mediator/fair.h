/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has the GPU when: turns of vGPUs, by the shares of their pools and their weights in them.
 * docs/sharing.md has the design.  Nothing here waits or asks for the time, so tests can.
 */
#ifndef VG_FAIR_H
#define VG_FAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A turn is so long where others wait.  On an H200 it takes some 50 us to pass it on, which is
 * less than one part in a hundred.
 */
#define VG_FAIR_TURN_NS		6000000u
/* So long before its end is decided whether it goes on, because then nothing has to drain. */
#define VG_FAIR_AHEAD_NS	400000u
/* What does not drain in this time after the end of its turn runs on beside the next one. */
#define VG_FAIR_GRACE_NS	1000000000u
/* Whoever wanted nothing for so long leaves its part to the others. */
#define VG_FAIR_ACTIVE_NS	50000000u
/* A clock is ahead of the others by no more. */
#define VG_FAIR_LEAD_NS		10000000000.0
/* Where nobody waits, a turn goes on without end, and is cut when somebody does. */
#define VG_FAIR_ALONE		UINT64_MAX

struct vg_fair {
	/* What it is; by the caller. */
	const char *pool;
	unsigned int share;	/* of its pool, 1 to VG_SHARE_MAX */
	unsigned int weight;	/* of the vGPU in the pool, 1 to VG_SHARE_MAX */
	bool latency;		/* it cuts others' turns, while it has used less than its due */

	/* What it does now; by the caller before each step. */
	bool wants;		/* a program of its is stopped, because it has no turn */
	bool busy;		/* the device has work of its */

	/* What has been decided. */
	bool has_turn;
	uint64_t until;		/* then its turn ends; once past it submits no more */

	uint64_t began, last;	/* of this turn; when it was charged last */
	uint64_t seen;		/* when it last wanted or did something */
	bool awake;		/* it wants something now */
	bool active;		/* it has wanted something lately, so others' parts are without its */
	double served;		/* time of turns, each divided by the part that was due, ns */
	uint64_t used_ns;	/* time of turns where others waited, or the device was busy */
};

/* Whether two may have turns at the same time, because they use different GPUs. */
typedef bool vg_fair_apart(const struct vg_fair *a, const struct vg_fair *b);

/*
 * Decide, at time `now` (ns, monotonic).  True: something was decided, so the caller tells the
 * vGPUs, looks again at what they do, and calls again.  *next: when to call at the latest, or
 * UINT64_MAX.
 */
bool vg_fair_step(struct vg_fair *const *all, size_t n, uint64_t now, vg_fair_apart *apart,
		  uint64_t *next);

/* The part of its GPU that is due to it beside all that are active there: 0 to 1. */
double vg_fair_part(struct vg_fair *const *all, size_t n, const struct vg_fair *f,
		    vg_fair_apart *apart);

#endif /* VG_FAIR_H */
