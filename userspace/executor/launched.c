// SPDX-License-Identifier: Apache-2.0
/* Which functions, kernels and executable graphs were launched in the context they are now. */
#include <stdatomic.h>

#include "calls.h"

/*
 * By id: the context in which this function, kernel or graph was launched last, and above its
 * bits how many contexts had been made by then, because ids are used again; 0: in none.
 */
static _Atomic uint32_t launched_in[VG_HANDLE_MAX];
static _Atomic uint32_t contexts;

static uint32_t mark(uint32_t ctx)
{
	return ctx | atomic_load_explicit(&contexts, memory_order_relaxed) << VG_HANDLE_BITS;
}

bool vg_x_launched(uint32_t id, uint32_t ctx)
{
	return id < VG_HANDLE_MAX &&
	       atomic_load_explicit(&launched_in[id], memory_order_relaxed) == mark(ctx);
}

void vg_x_launched_now(uint32_t id, uint32_t ctx)
{
	if (id < VG_HANDLE_MAX)
		atomic_store_explicit(&launched_in[id], mark(ctx), memory_order_relaxed);
}

void vg_x_launched_not(uint32_t id, bool context)
{
	/* A page of the table is taken from the host once something was launched there. */
	if (id < VG_HANDLE_MAX && atomic_load_explicit(&launched_in[id], memory_order_relaxed))
		atomic_store_explicit(&launched_in[id], 0, memory_order_relaxed);
	if (context)
		atomic_fetch_add_explicit(&contexts, 1, memory_order_relaxed);
}
