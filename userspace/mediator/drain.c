// SPDX-License-Identifier: Apache-2.0
/*
 * Drain: the operator lets a vGPU, or all of them, have no new programs, and those that run go on to
 * their ends, because the mediator, the driver or the host is to be updated or started again.
 *
 * It is kept in memory alone, so it ends with the mediator, and the next one serves programs at once.
 * If a file kept it, a host would serve nobody after an update until somebody thought of the drain.
 */
#include <stdio.h>

#include "common/clock.h"
#include "mediator.h"

static uint64_t all_ms;		/* since when all are drained, also those that come later; 0: they are not */

uint64_t vg_drained_all(void)
{
	return all_ms;
}

uint64_t vg_drained(const struct vg_tenant *t)
{
	return t->drained_ms ? t->drained_ms : all_ms;
}

/* Whoever is what he is to be already is no event. */
static void change(uint64_t *since, const struct vg_tenant *t, bool on)
{
	struct vg_event e = { .kind = on ? VG_EVENT_DRAIN : VG_EVENT_UNDRAIN, .uid = -1 };

	if (!*since == !on)
		return;
	*since = on ? vg_wall_ms() : 0;
	snprintf(e.vgpu, sizeof(e.vgpu), "%s", t ? t->uuid : "");
	snprintf(e.why, sizeof(e.why), "%s", t ? "" : "all vGPUs");
	vg_event(&e);
}

void vg_drain(struct vg_tenant *t, bool on)
{
	if (t) {
		change(&t->drained_ms, t, on);
		return;
	}
	change(&all_ms, NULL, on);
	if (on)
		return;
	LIST_FOREACH(t, &vg_tenants, node)
		change(&t->drained_ms, t, false);
}
