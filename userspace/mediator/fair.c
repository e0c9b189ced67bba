// SPDX-License-Identifier: Apache-2.0
/*
 * Turns by weighted fair queueing (fair.h).
 *
 * Each vGPU has a clock that runs while it has its turn, the slower the larger the part of the GPU
 * that it is due; of those that wait, the one whose clock shows least comes next.  So the clocks
 * stay together, and the turns are as the parts, whatever the programs' kernels are like: one that
 * overruns its turn pays for it with the next.  The part that is due is its pool's share among the
 * pools that want something now, divided by weight among the vGPUs of the pool that do.
 */
#include <string.h>

#include "fair.h"

static bool waits(const struct vg_fair *f)
{
	return f->wants && !f->has_turn;
}

/* Of the GPU that it uses, those that want something there. */
static bool counts(const struct vg_fair *a, const struct vg_fair *f, vg_fair_apart *apart)
{
	return a == f || (a->active && !apart(a, f));
}

double vg_fair_part(struct vg_fair *const *all, size_t n, const struct vg_fair *f,
		    vg_fair_apart *apart)
{
	double in_pool = 0, pools = 0;

	for (size_t i = 0; i < n; i++) {
		bool first = true;

		if (!counts(all[i], f, apart))
			continue;
		if (!strcmp(all[i]->pool, f->pool))
			in_pool += all[i]->weight;
		for (size_t k = 0; k < i && first; k++)
			first = !counts(all[k], f, apart) ||
				strcmp(all[k]->pool, all[i]->pool);
		if (first)
			pools += all[i]->share;
	}
	return f->share / pools * (f->weight / in_pool);
}

/* What the clock of the others shows that are active there, at least; below 0: there are none. */
static double least_of_others(struct vg_fair *const *all, size_t n, const struct vg_fair *f,
			      vg_fair_apart *apart)
{
	double least = -1;

	for (size_t i = 0; i < n; i++)
		if (all[i] != f && counts(all[i], f, apart) &&
		    (least < 0 || all[i]->served < least))
			least = all[i]->served;
	return least;
}

/* Also for what it runs after its turn, because that did not drain. */
static void charge(struct vg_fair *const *all, size_t n, struct vg_fair *f, uint64_t now,
		   vg_fair_apart *apart)
{
	uint64_t ns = now > f->last ? now - f->last : 0;
	double least;

	f->last = now;
	if (!f->busy && !(f->has_turn && f->until != VG_FAIR_ALONE))
		return;
	f->used_ns += ns;
	f->served += ns / vg_fair_part(all, n, f, apart);
	/* Whatever it has run beside others' turns, it waits for no longer than that. */
	least = least_of_others(all, n, f, apart);
	if (least >= 0 && f->served > least + VG_FAIR_LEAD_NS)
		f->served = least + VG_FAIR_LEAD_NS;
}

/*
 * Others have gone on while it wanted nothing, so whoever comes back starts where they are, but
 * for one turn. If none of them wants something now, that is where the last of them stopped, or
 * else whoever had much while it was alone would wait until all others have had as much.
 */
static void wake(struct vg_fair *const *all, size_t n, struct vg_fair *f, vg_fair_apart *apart)
{
	double at = least_of_others(all, n, f, apart), most = -1;

	for (size_t i = 0; i < n && at < 0; i++)
		if (all[i] != f && !apart(all[i], f) && all[i]->served > most)
			most = all[i]->served;
	at = (at < 0 ? most : at) - VG_FAIR_TURN_NS;
	if (f->served < at)
		f->served = at;
}

static void look(struct vg_fair *const *all, size_t n, uint64_t now, vg_fair_apart *apart)
{
	for (size_t i = 0; i < n; i++)
		if (all[i]->active)
			charge(all, n, all[i], now, apart);
	for (size_t i = 0; i < n; i++) {
		struct vg_fair *f = all[i];

		if (f->wants || f->busy) {
			f->seen = now;
			if (!f->awake)
				wake(all, n, f, apart);
			if (!f->active)
				f->last = now;
			f->active = true;
			f->awake = true;
		} else {
			f->awake = false;
			f->active = f->active && now - f->seen <= VG_FAIR_ACTIVE_NS;
		}
	}
}

/* One of the latency class comes a turn earlier than its clock says, and no more. */
static double key(const struct vg_fair *f)
{
	return f->served - (f->latency ? VG_FAIR_TURN_NS : 0);
}

/*
 * Who comes next of those that wait and cannot run beside `holder` (NULL: of all). One of the
 * latency class does not wait until the device has done what is left of a turn that was cut.
 */
static struct vg_fair *best(struct vg_fair *const *all, size_t n, const struct vg_fair *holder,
			    uint64_t now, vg_fair_apart *apart)
{
	struct vg_fair *b = NULL;

	for (size_t i = 0; i < n; i++) {
		struct vg_fair *f = all[i];
		bool free = true;

		if (!waits(f) || (holder && apart(holder, f)))
			continue;
		for (size_t k = 0; k < n && free && !holder; k++)
			free = !all[k]->has_turn || apart(all[k], f) ||
			       (f->latency && !all[k]->latency && now >= all[k]->until);
		if (free && (!b || key(f) < key(b)))
			b = f;
	}
	return b;
}

/* True: its turn ends, or ends at another time. */
static bool go_on(struct vg_fair *const *all, size_t n, struct vg_fair *f,
		  const struct vg_fair *next, uint64_t now, vg_fair_apart *apart)
{
	uint64_t until = f->until;

	if (!next) {
		f->until = VG_FAIR_ALONE;
		return f->until != until;
	}
	if (now < until && until == VG_FAIR_ALONE) {
		/* It may have had more than a turn already. */
		f->until = f->began + VG_FAIR_TURN_NS > now ? f->began + VG_FAIR_TURN_NS : now;
	}
	if (next->latency && !f->latency && next->served <= f->served && now < f->until)
		f->until = now;
	else if (now < f->until && now + VG_FAIR_AHEAD_NS >= f->until &&
		 f->served + (f->until - now) / vg_fair_part(all, n, f, apart) <= key(next))
		f->until += VG_FAIR_TURN_NS;
	/* Nothing to do for the moment. */
	if (now < f->until && !f->busy && !f->wants)
		f->until = now;
	if (now >= f->until && (!f->busy || now - f->until > VG_FAIR_GRACE_NS)) {
		f->has_turn = false;
		return true;
	}
	return f->until != until;
}

bool vg_fair_step(struct vg_fair *const *all, size_t n, uint64_t now, vg_fair_apart *apart,
		  uint64_t *next)
{
	bool changed = false;
	struct vg_fair *f;

	look(all, n, now, apart);
	for (size_t i = 0; i < n; i++)
		if (all[i]->has_turn)
			changed |= go_on(all, n, all[i], best(all, n, all[i], now, apart), now,
					 apart);
	while (!changed && (f = best(all, n, NULL, now, apart)) != NULL) {
		f->has_turn = true;
		f->began = f->last = now;
		f->until = now + VG_FAIR_TURN_NS;
		changed = true;
	}
	*next = UINT64_MAX;
	for (size_t i = 0; i < n; i++) {
		uint64_t at;

		f = all[i];
		/* The others have its part from then on. */
		if (f->active && !f->awake && f->seen + VG_FAIR_ACTIVE_NS + 1 < *next)
			*next = f->seen + VG_FAIR_ACTIVE_NS + 1;
		if (!f->has_turn || f->until == VG_FAIR_ALONE)
			continue;
		at = now + VG_FAIR_AHEAD_NS < f->until ? f->until - VG_FAIR_AHEAD_NS :
		     now < f->until ? f->until : f->until + VG_FAIR_GRACE_NS + 1;
		if (at < *next)
			*next = at;
	}
	return changed;
}
