/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * vgpu channel memory: the layout that a guest process and its executor share.
 *
 * A channel is one contiguous offset space of guest memory (or of a memfd,
 * when there is no VM), mapped by exactly two processes:
 *
 *   0          struct vgpu_ring       one page, head and tail and flags
 *   sq_off     submission ring        sq_bytes, a power of two
 *   slot_off   completion slots       slot_count * VGPU_SLOT_BYTES
 *   arena_off  data arena             arena_bytes, allocated by the guest
 *
 * The guest submits records into the submission ring; the executor consumes
 * them in order.  A record that wants an answer names a completion slot, and
 * its submitter waits on that slot alone, so answers may come in any order.
 *
 * Neither side trusts the other.  The layout that counts is the one that the
 * kernel (or the mediator) hands to each side at set-up, never a copy in this
 * memory; every shared value is read once, validated, then used.
 *
 * Barriers, each with its pair (G = guest, H = executor):
 *
 *   G: write record; store-release sq_tail  | H: load-acquire sq_tail; read
 *   H: finish record; store-release sq_head | G: load-acquire sq_head; reuse
 *   H: write slot; store-release slot.done  | G: load-acquire slot.done; read
 *
 *   Parking, a store then a load on both sides, with a full fence between:
 *   G: sq_tail = t;   fence; if (host_parked) ring the doorbell
 *   H: host_parked=n; fence; if (sq_tail == head) sleep on the doorbell
 *
 *   An executor first naps (VGPU_HOST_NAPS): it looks again by itself within
 *   VGPU_NAP_US, so only a record that wants an answer rings.  Then it sleeps
 *   (VGPU_HOST_SLEEPS), and any record rings.
 *
 *   H: slot.done++;     fence; if (slot.parked) raise the interrupt
 *   G: slot.parked = 1; fence; if (slot.done unchanged) sleep
 *
 *   H: sq_head = h;     fence; if (space_wanted reached) raise the interrupt
 *   G: space_wanted=w;  fence; if (still full) sleep
 */
#ifndef _UAPI_LINUX_VGPU_RING_H
#define _UAPI_LINUX_VGPU_RING_H

#include <linux/types.h>

#define VGPU_RING_MAGIC		0x76477230u	/* "vGr0" */
#define VGPU_RING_PAGE		4096u		/* bytes of struct vgpu_ring's page */

#define VGPU_SQ_MIN		(64u << 10)	/* bytes */
#define VGPU_SQ_MAX		(16u << 20)
#define VGPU_SLOTS_MAX		1024u
#define VGPU_SLOT_BYTES		4096u
#define VGPU_ARENA_MAX		(1u << 30)	/* bytes */

#define VGPU_REC_ALIGN		16u		/* records start and end on this */
#define VGPU_REC_MAX		(32u << 10)	/* bytes, header included */

/* Values of vgpu_ring.host_state. */
#define VGPU_HOST_ABSENT	0u	/* no executor has attached yet */
#define VGPU_HOST_READY		1u	/* an executor consumes records */
#define VGPU_HOST_REFUSED	2u	/* none will: host_error says why */
#define VGPU_HOST_ENDED		3u	/* it was ended for what host_error says */

/* Values of vgpu_ring.host_parked. */
#define VGPU_HOST_AWAKE		0u
#define VGPU_HOST_NAPS		1u
#define VGPU_HOST_SLEEPS	2u

#define VGPU_NAP_US		500u	/* longest nap, microseconds */

/*
 * The first page.  Each group has a cache line, and one writer, to itself.
 * sq_tail and sq_head count bytes since set-up and never wrap in practice.
 */
struct vgpu_ring {
	/* writer: whoever set the channel up, before either side runs */
	__u32 magic;
	__u32 reserved0[15];

	/* writer: guest */
	__u64 sq_tail;			/* offset 64 */
	__u32 space_wanted;	/* 0, or the low half of the sq_head that is waited for, plus 1 */
	__u32 reserved1[13];

	/* writer: executor */
	__u64 sq_head;			/* offset 128 */
	__u32 host_parked;
	__u32 reserved2[13];

	/* writer: executor, before it is ready and when it ends */
	__u32 host_state;		/* offset 192 */
	__u32 host_error;		/* an errno, with VGPU_HOST_REFUSED; a CUresult, with _ENDED */
	__u32 reserved3[14];
};

/* Flags of struct vgpu_rec. */
#define VGPU_REC_REPLY		(1u << 0)	/* slot names a completion slot */
#define VGPU_REC_TIMED		(1u << 1)	/* the layer above's: struct vg_timed ends the record */

/* Opcode of the filler that brings the next record to the ring's start. */
#define VGPU_OP_PAD		0u

/*
 * The head of every record.  Writer: guest.  A size or slot that cannot be ends the
 * executor: where the next record begins, or who waits for the answer, is unknown then.
 */
struct vgpu_rec {
	__u32 size;	/* bytes, header included, a multiple of VGPU_REC_ALIGN */
	__u16 op;	/* 0 is padding; all others belong to the layer above */
	__u16 flags;
	__u32 tag;	/* belongs to the layer above */
	__u32 slot;	/* with VGPU_REC_REPLY: index of a completion slot, below slot_count */
};

#define VGPU_SLOT_HEAD		64u
#define VGPU_SLOT_PAYLOAD	(VGPU_SLOT_BYTES - VGPU_SLOT_HEAD)

struct vgpu_slot {
	/* writer: executor */
	__u32 done;	/* incremented once for each answer */
	__s32 status;	/* the layer above's result */
	__u32 len;	/* bytes of payload */
	__s32 deferred;	/* first failure of an earlier record that had no answer */
	__u32 deferred_op;
	__u32 notice;	/* belongs to the layer above */
	__u32 reserved0[2];
	/* writer: guest */
	__u32 parked;
	__u32 reserved1[7];
	/* writer: executor */
	__u8 payload[VGPU_SLOT_PAYLOAD];
};

#ifdef __cplusplus
#define VGPU_ABI_ASSERT(e) static_assert(e, #e)
#else
#define VGPU_ABI_ASSERT(e) _Static_assert(e, #e)
#endif

VGPU_ABI_ASSERT(sizeof(struct vgpu_ring) == 256);
VGPU_ABI_ASSERT(__builtin_offsetof(struct vgpu_ring, sq_tail) == 64);
VGPU_ABI_ASSERT(__builtin_offsetof(struct vgpu_ring, sq_head) == 128);
VGPU_ABI_ASSERT(__builtin_offsetof(struct vgpu_ring, host_state) == 192);
VGPU_ABI_ASSERT(sizeof(struct vgpu_rec) == 16);
VGPU_ABI_ASSERT(__builtin_offsetof(struct vgpu_rec, tag) == 8);
VGPU_ABI_ASSERT(sizeof(struct vgpu_slot) == VGPU_SLOT_BYTES);
VGPU_ABI_ASSERT(__builtin_offsetof(struct vgpu_slot, parked) == 32);
VGPU_ABI_ASSERT(__builtin_offsetof(struct vgpu_slot, payload) == VGPU_SLOT_HEAD);

#endif /* _UAPI_LINUX_VGPU_RING_H */
