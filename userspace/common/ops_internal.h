/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The opcodes that belong to the channel itself, 1 to 15; all others are
 * CUDA's and come from the specification.
 */
#ifndef VG_OPS_INTERNAL_H
#define VG_OPS_INTERNAL_H

#include <stdint.h>

#include <linux/vgpu_ring.h>

enum {
	VG_OP_HELLO = 1,	/* versions; answered */
	VG_OP_BLOB_APPEND = 2,
	VG_OP_NOP = 3,		/* nothing; answered if asked */
	VG_OP_EXIT = 4,		/* the process ends in order */
	VG_OP_SHARE = 5,	/* map memory of the guest process; answered */
	VG_OP_UNSHARE = 6,	/* unmap it again; answered */
	VG_OP_OUTPUT = 7,	/* what kernels have printed; answered by the next bytes of it */
};

#define VG_WIRE_VERSION 1u

/* Bytes of payload that fit in one record (below VGPU_REC_MAX). */
#define VG_INLINE_MAX	(16u << 10)

/* Bytes of payload of an answer that fit in a completion slot. */
#define VG_REPLY_MAX	4032u

struct vg_hello {
	uint32_t version;	/* VG_WIRE_VERSION */
	uint32_t reserved;
};

struct vg_hello_reply {
	uint32_t version;
	uint32_t driver;	/* cuDriverGetVersion of the host */
};

/* One piece of a blob; pieces come in order, the first with at = 0. */
struct vg_blob_append {
	uint32_t blob;
	uint32_t off;		/* in the data arena */
	uint32_t bytes;
	uint32_t reserved;
	uint64_t at;
	uint64_t total;
};

/*
 * Map [va, va + bytes) of the guest process at the same address here.  What is
 * mapped: a region of the channel, or, over the socket, the memfd that was sent
 * with the same token beforehand.
 */
struct vg_share_map {
	uint64_t va;
	uint64_t bytes;
	uint32_t token;
	uint32_t reserved[3];
};

/* Unmap all that was mapped in [va, va + bytes). */
struct vg_share_unmap {
	uint64_t va;
	uint64_t bytes;
};

/* Kernels' standard output and standard error. */
#define VG_OUTPUTS 2

struct vg_output_take {
	uint32_t which;		/* below VG_OUTPUTS */
	uint32_t reserved;
};

/*
 * The end of a record with VGPU_REC_TIMED: once vgpu_timing has been answered, the executor
 * measures when the device runs it, and tells that under this tag (vgpu_timing_take).
 */
struct vg_timed {
	uint32_t tag;
	uint32_t reserved[3];
};

/* vgpu_span.flags: the record has no times, because ... */
#define VG_SPAN_NOTHING		(1u << 0)	/* it does nothing in a stream */
#define VG_SPAN_CAPTURED	(1u << 1)	/* its stream was under capture */
#define VG_SPAN_FAILED		(1u << 2)	/* it failed, or its events did */
#define VG_SPAN_LOST		(1u << 3)	/* too many were under way at once */

/* vgpu_timing_take, `fresh`. */
enum { VG_TIMING_KNOWN, VG_TIMING_LOOK, VG_TIMING_WAIT };

/* Bits of vgpu_slot.notice. */
#define VG_NOTICE_OUTPUT (1u << 0)	/* there is something for VG_OP_OUTPUT to fetch */

_Static_assert(sizeof(struct vg_timed) == VGPU_REC_ALIGN, "a record stays aligned");
_Static_assert(sizeof(struct vg_output_take) == 8, "wire");
_Static_assert(sizeof(struct vg_share_map) == 32, "wire");
_Static_assert(sizeof(struct vg_share_unmap) == 16, "wire");
_Static_assert(VG_REPLY_MAX == VGPU_SLOT_PAYLOAD, "wire");
_Static_assert(sizeof(struct vg_hello) == 8, "wire");
_Static_assert(sizeof(struct vg_hello_reply) == 8, "wire");
_Static_assert(sizeof(struct vg_blob_append) == 32, "wire");

#endif /* VG_OPS_INTERNAL_H */
