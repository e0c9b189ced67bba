/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The one way to lay out channel memory (vgpu_ring.h) from its three sizes.
 * The guest driver and the socket transport make layouts with this; the host
 * module accepts a guest's only if this makes the same.
 */
#ifndef VGPU_LAYOUT_H
#define VGPU_LAYOUT_H

#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/types.h>
#else
#include <errno.h>
#endif
#include <linux/vgpu_dev.h>
#include <linux/vgpu_ring.h>

static inline int vgpu_layout_make(__u32 sq_bytes, __u32 slot_count, __u32 arena_bytes,
				   struct vgpu_layout *out)
{
	if (sq_bytes < VGPU_SQ_MIN || sq_bytes > VGPU_SQ_MAX || (sq_bytes & (sq_bytes - 1)))
		return -EINVAL;
	if (!slot_count || slot_count > VGPU_SLOTS_MAX)
		return -EINVAL;
	if (!arena_bytes || arena_bytes > VGPU_ARENA_MAX || arena_bytes % VGPU_RING_PAGE)
		return -EINVAL;

	out->sq_off = VGPU_RING_PAGE;
	out->sq_bytes = sq_bytes;
	out->slot_off = out->sq_off + sq_bytes;
	out->slot_count = slot_count;
	out->arena_off = out->slot_off + slot_count * VGPU_SLOT_BYTES;
	out->arena_bytes = arena_bytes;
	out->total_bytes = (__u64)out->arena_off + arena_bytes;
	return 0;
}

#endif /* VGPU_LAYOUT_H */
