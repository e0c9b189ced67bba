// SPDX-License-Identifier: Apache-2.0
#include <stdatomic.h>

#include "budget.h"

static const uint64_t limit[VG_BUDGETS] = {
	[VG_BUDGET_BLOBS] = VG_BLOBS_MAX,
	[VG_BUDGET_OBJECTS] = VG_OBJECTS_MAX,
	[VG_BUDGET_IMAGES] = VG_IMAGES_MAX,
	[VG_BUDGET_CALLBACKS] = VG_CALLBACKS_MAX,
};

static _Atomic uint64_t held[VG_BUDGETS], all;

/* Add first, then look: of two that race past the limit at least one sees the other. */
static bool add(_Atomic uint64_t *sum, uint64_t bytes, uint64_t most)
{
	if (bytes > most)
		return false;
	if (atomic_fetch_add(sum, bytes) + bytes <= most)
		return true;
	atomic_fetch_sub(sum, bytes);
	return false;
}

bool vg_budget_take(enum vg_budget kind, uint64_t bytes)
{
	if (!add(&held[kind], bytes, limit[kind]))
		return false;
	if (add(&all, bytes, VG_HOST_MAX))
		return true;
	atomic_fetch_sub(&held[kind], bytes);
	return false;
}

void vg_budget_owe(enum vg_budget kind, uint64_t bytes)
{
	atomic_fetch_add(&held[kind], bytes);
	atomic_fetch_add(&all, bytes);
}

void vg_budget_give(enum vg_budget kind, uint64_t bytes)
{
	atomic_fetch_sub(&held[kind], bytes);
	atomic_fetch_sub(&all, bytes);
}

uint64_t vg_budget_held(enum vg_budget kind)
{
	return atomic_load(&held[kind]);
}
