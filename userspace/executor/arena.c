// SPDX-License-Identifier: Apache-2.0
/* The data arena, as the executor reaches it: by offsets that are checked. */
#include "exec_internal.h"

void *vg_exec_arena(struct vg_exec *x, uint32_t off, uint64_t bytes)
{
	uint64_t size = x->ch.layout.arena_bytes;

	if (off > size || bytes > size - off)
		return NULL;
	return x->ch.arena + off;
}
