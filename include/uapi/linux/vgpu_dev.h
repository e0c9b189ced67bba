/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The vgpu PCI device as the guest driver sees it: BAR0, MSI-X, admin commands.
 *
 * Everything here traps, so all of it is control path.  Data and submissions
 * travel in guest memory (vgpu_ring.h), which the device reaches once the
 * guest has handed over page lists with the commands below.
 *
 * Trust: the host takes one copy of a command and of its page list, checks
 * it, and only then acts.  The guest driver takes nothing from the device but
 * register values, which it bounds.
 */
#ifndef _UAPI_LINUX_VGPU_DEV_H
#define _UAPI_LINUX_VGPU_DEV_H

#include <linux/types.h>

#ifndef VGPU_ABI_ASSERT
#ifdef __cplusplus
#define VGPU_ABI_ASSERT(e) static_assert(e, #e)
#else
#define VGPU_ABI_ASSERT(e) _Static_assert(e, #e)
#endif
#endif

/*
 * Identity.  1af4:10f0 is from the range 1af4:10f0-10ff that QEMU's
 * docs/specs/pci-ids sets aside for devices without a number of their own.
 */
#define VGPU_PCI_VENDOR		0x1af4
#define VGPU_PCI_DEVICE		0x10f0
#define VGPU_PCI_SUBSYSTEM	0x7667		/* "vg" */
#define VGPU_PCI_CLASS		0x120000	/* processing accelerator */
#define VGPU_PCI_REVISION	0x01

#define VGPU_DEV_ABI		1u		/* VGPU_REG_ABI */

/* BAR0, 32-bit, non-prefetchable: 16 KiB. */
#define VGPU_BAR0_BYTES		0x4000u
#define VGPU_BAR0_MSIX_TABLE	0x2000u
#define VGPU_BAR0_MSIX_PBA	0x3000u

/*
 * MSI-X.  Vector 0 says that VGPU_REG_EVENT has something to read.  The
 * others carry channels' interrupts; a channel names its own at creation, and
 * channels may share one.
 */
#define VGPU_VECTORS		32u
#define VGPU_VECTOR_EVENT	0u

/* Channel ids, chosen by the guest driver, are below this. */
#define VGPU_CHANNELS		1024u

/* Registers: 32 bits wide, aligned access only; anything else reads as ~0. */
#define VGPU_REG_MAGIC		0x00	/* R   VGPU_DEV_MAGIC */
#define VGPU_REG_ABI		0x04	/* R   VGPU_DEV_ABI */
#define VGPU_REG_FEATURES	0x08	/* R   VGPU_FEATURE_* */
#define VGPU_REG_CHANNELS	0x0c	/* R   number of channel ids */
#define VGPU_REG_VECTORS	0x10	/* R   number of MSI-X vectors */
#define VGPU_REG_STATUS		0x14	/* R   VGPU_STATUS_* */
#define VGPU_REG_CTRL		0x18	/* RW  VGPU_CTRL_* */
#define VGPU_REG_EVENT		0x1c	/* R   takes the next event, 0 = none */
#define VGPU_REG_ADMIN_LO	0x20	/* RW  bus address of a command */
#define VGPU_REG_ADMIN_HI	0x24	/* RW */
#define VGPU_REG_ADMIN_KICK	0x28	/* W   run it; done when the write is */
#define VGPU_REG_ADMIN_RESULT	0x2c	/* R   0 or a positive errno, see below */
#define VGPU_REG_MEM_LO		0x30	/* R   device memory, bytes */
#define VGPU_REG_MEM_HI		0x34	/* R */
#define VGPU_REG_UUID		0x40	/* R   16 bytes, the mdev's UUID */
#define VGPU_REG_DOORBELL	0x1000	/* W   + 4 * channel; value ignored */

#define VGPU_DEV_MAGIC		0x75706776u	/* "vgpu" */

#define VGPU_STATUS_MEDIATOR	(1u << 0)	/* a mediator serves this device */

/*
 * A device without this bit reads VGPU_REG_CTRL as ~0; its reset is done when
 * the write is, or after five seconds whether done or not.
 */
#define VGPU_FEATURE_RESET_BUSY	(1u << 0)	/* VGPU_REG_CTRL can be read */

/*
 * Written, RESET drops all channels and memory.  It reads as set until nobody on
 * the host can reach memory of the dropped channels any more, which lasts as long
 * as an executor takes to end.  Until then the driver must keep that memory from
 * any other use.  The write itself waits one second for it at most, so that
 * drivers that do not read it are right nearly always.
 */
#define VGPU_CTRL_RESET		(1u << 0)

/*
 * VGPU_REG_EVENT: bit 31 set, why in bits 24-30, kind in bits 16-23, channel in
 * bits 0-15.
 * Events are states, not a queue: each is reported at least once, and
 * reading cannot overflow.
 */
#define VGPU_EVENT_VALID	(1u << 31)
#define VGPU_EVENT_KIND(e)	(((e) >> 16) & 0xff)
#define VGPU_EVENT_WHY(e)	(((e) >> 24) & 0x7f)
#define VGPU_EVENT_CHANNEL(e)	((e) & 0xffff)
#define VGPU_EVENT_LOST		1u	/* the executor has gone, for good */
#define VGPU_EVENT_RELEASED	2u	/* after DESTROY: no one on the host can
					 * reach the channel's memory any more */

/* Why, with LOST: the host has refused the program.  All are about this device alone. */
#define VGPU_WHY_UNSAID		0u	/* it has not, or does not say why */
#define VGPU_WHY_DRAINED	1u	/* the operator lets it have no new programs for now */
#define VGPU_WHY_QUARANTINED	2u	/* it gets none, because too many ended by faults */
#define VGPU_WHY_LIMIT		3u	/* as many of its programs run as may */

/*
 * Admin commands.  The guest driver writes the bus address of one page that
 * holds a command, then VGPU_REG_ADMIN_KICK, then reads VGPU_REG_ADMIN_RESULT:
 *
 *   0          done
 *   EINVAL     a field out of range, size too small, reserved bits not zero
 *   E2BIG      size larger than known, and the excess is not zero
 *   EOPNOTSUPP unknown command
 *   EEXIST     channel or region id in use
 *   ENOENT     no such channel or region
 *   EBUSY      UNMAP: the executor still has the region mapped
 *   EFAULT     a bus address is not (all) guest memory
 *   ENOSPC     more memory than the host lets this device pin
 *   ENOMEM     the host has no memory for it
 *   EINTR      the VM is being killed
 *   EINPROGRESS  DESTROY only: wait for VGPU_EVENT_RELEASED
 *
 * After each of these errors but EINPROGRESS the host is as it was before the command.  A
 * number that is not in the list says nothing: the host may have the memory that the
 * command named.
 */
#define VGPU_ADM_CREATE		1u
#define VGPU_ADM_DESTROY	2u
#define VGPU_ADM_MAP		3u
#define VGPU_ADM_UNMAP		4u

#define VGPU_ADM_BYTES_MAX	4096u

struct vgpu_adm_head {
	__u32 size;		/* bytes of the whole command */
	__u32 op;		/* VGPU_ADM_* */
	__u32 channel;
	__u32 flags;		/* none defined: 0 */
};

/*
 * A run of guest memory, page-aligned (4 KiB) in address and length.  Lists
 * of runs are chained through pages of this form; every page but the last has
 * VGPU_ADM_RUNS runs (EINVAL otherwise).
 */
struct vgpu_adm_run {
	__u64 addr;		/* bus address */
	__u64 bytes;
};

#define VGPU_ADM_RUNS		255u

struct vgpu_adm_list {
	__u64 next;		/* bus address of the next page, 0 = last */
	__u32 count;		/* runs here: VGPU_ADM_RUNS, in the last page 1 or more */
	__u32 reserved;		/* 0 */
	struct vgpu_adm_run run[VGPU_ADM_RUNS];
};

/* The parts of channel memory; see vgpu_ring.h.  All in bytes but slots. */
struct vgpu_layout {
	__u32 sq_off;
	__u32 sq_bytes;
	__u32 slot_off;
	__u32 slot_count;
	__u32 arena_off;
	__u32 arena_bytes;
	__u64 total_bytes;
};

/* CREATE: a channel and its memory, whose runs add up to layout.total_bytes. */
struct vgpu_adm_create {
	struct vgpu_adm_head head;
	__u32 vector;		/* 1 to VGPU_VECTORS - 1 */
	__u32 pid;		/* of the opener in the guest, for people to read */
	char comm[16];		/* its name, NUL-terminated, likewise */
	struct vgpu_layout layout;
	__u64 list;		/* bus address of a struct vgpu_adm_list */
	__u64 settings;		/* as in struct vgpu_setup */
};

/* DESTROY: struct vgpu_adm_head alone. */

/*
 * MAP: more memory for a channel, which its executor may map at `va`.
 * UNMAP takes it back, once the executor has unmapped it (EBUSY before): its
 * device might still write there.
 */
struct vgpu_adm_map {
	struct vgpu_adm_head head;
	__u32 region;		/* chosen by the guest, below VGPU_REGIONS */
	__u32 reserved;		/* 0 */
	__u64 va;		/* where the guest process has it, page-aligned */
	__u64 bytes;
	__u64 list;
};

struct vgpu_adm_unmap {
	struct vgpu_adm_head head;
	__u32 region;
	__u32 reserved;		/* 0 */
};

#define VGPU_REGIONS		65536u
#define VGPU_REGION_BYTES_MAX	(256ull << 20)	/* one MAP */

VGPU_ABI_ASSERT(sizeof(struct vgpu_adm_head) == 16);
VGPU_ABI_ASSERT(sizeof(struct vgpu_adm_run) == 16);
VGPU_ABI_ASSERT(sizeof(struct vgpu_adm_list) == 4096);
VGPU_ABI_ASSERT(sizeof(struct vgpu_layout) == 32);
VGPU_ABI_ASSERT(sizeof(struct vgpu_adm_create) == 88);
VGPU_ABI_ASSERT(__builtin_offsetof(struct vgpu_adm_create, layout) == 40);
VGPU_ABI_ASSERT(__builtin_offsetof(struct vgpu_adm_create, list) == 72);
VGPU_ABI_ASSERT(sizeof(struct vgpu_adm_map) == 48);
VGPU_ABI_ASSERT(sizeof(struct vgpu_adm_unmap) == 24);

#endif /* _UAPI_LINUX_VGPU_DEV_H */
