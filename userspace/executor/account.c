// SPDX-License-Identifier: Apache-2.0
/* This process's entry in the account page (common/account.h). */
#include "exec_internal.h"

static uint64_t total(struct vg_exec *x)
{
	uint64_t sum = atomic_load(&x->account->orphaned);

	for (unsigned int i = 0; i < VG_ACCOUNT_ENTRIES; i++)
		sum += atomic_load(&x->account->entry[i].memory);
	return sum;
}

/*
 * Add first, then look: of two that race past the limit at least one sees the
 * other, so the sum never stays above it.
 */
bool vg_exec_charge(struct vg_exec *x, uint64_t bytes)
{
	uint64_t limit = atomic_load(&x->account->limit);

	if (bytes > limit)
		return false;
	atomic_fetch_add(&x->entry->memory, bytes);
	if (total(x) <= limit)
		return true;
	atomic_fetch_sub(&x->entry->memory, bytes);
	return false;
}

void vg_exec_uncharge(struct vg_exec *x, uint64_t bytes)
{
	atomic_fetch_sub(&x->entry->memory, bytes);
}

void vg_exec_memory(struct vg_exec *x, uint64_t *used, uint64_t *limit)
{
	*used = total(x);
	*limit = atomic_load(&x->account->limit);
}

void vg_exec_moved(struct vg_exec *x, uint64_t in, uint64_t out)
{
	if (in)
		atomic_fetch_add_explicit(&x->entry->bytes_in, in, memory_order_relaxed);
	if (out)
		atomic_fetch_add_explicit(&x->entry->bytes_out, out, memory_order_relaxed);
}
