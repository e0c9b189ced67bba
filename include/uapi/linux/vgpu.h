/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * /dev/vgpuN: what the guest driver offers to a program.
 *
 * An open file is a channel (once VGPU_IOC_SETUP has run): memory that the
 * program and its executor on the host share, laid out as in vgpu_ring.h.
 * The channel belongs to the address space that set it up; a child after
 * fork inherits the descriptor but neither the mapping nor the channel.
 *
 * Every ioctl takes a struct whose first member is its size.  A shorter one
 * from an older program is filled up with zeros; a longer one is accepted if
 * the excess is zero.  Reserved members must be zero.
 *
 *   EINVAL     size too small, a field out of range, reserved not zero
 *   E2BIG      size larger than known, and the excess is not zero
 *   EFAULT     a pointer is bad; if the answer of SETUP could not be written, the
 *              channel may be there, and closing the file ends it
 *   ENOTTY     unknown ioctl
 *   EBUSY      SETUP: this file has a channel already; UNREGISTER: the
 *              executor has not let go of the region yet
 *   ENXIO      no channel on this file yet
 *   EPERM      the channel belongs to another address space
 *   EPIPE      the executor has gone, or the device was reset or asleep; the
 *              channel is dead, close it
 *   ESHUTDOWN  as EPIPE, because the host has refused the program: its operator lets
 *              the device have no new programs for now
 *   EKEYREVOKED  likewise: too many programs of this device ended by faults
 *   EUSERS     likewise: as many programs of this device run as may
 *   ENODEV     the device has gone; close it
 *   EIO        SETUP, REGISTER: the host gave an answer that means nothing, so the
 *              memory stays in use until the file is closed and the host lets go of
 *              the channel; after SETUP the channel is dead
 *   ENOSPC     no free channel or region; or SETUP, REGISTER: over a limit on
 *              memory that the host may reach: of all users, of this user, on
 *              the host, or (REGISTER) RLIMIT_MEMLOCK of this user
 *   ENOMEM     no memory
 *   EINTR      a signal came; ETIMEDOUT, the time was up
 */
#ifndef _UAPI_LINUX_VGPU_H
#define _UAPI_LINUX_VGPU_H

#include <linux/ioctl.h>
#include <linux/types.h>
#include <linux/vgpu_dev.h>

#define VGPU_IOC_TYPE	0xd7	/* free in ioctl-number.rst, as is 0xd8 */

struct vgpu_info {
	__u32 size;
	__u32 flags;		/* 0 */
	__u32 out_abi;		/* VGPU_DEV_ABI of the device */
	__u32 out_status;	/* VGPU_STATUS_* */
	__u64 out_features;	/* VGPU_FEATURE_* of the device */
	__u64 out_mem_bytes;	/* device memory limit */
	__u8 out_uuid[16];
};

/*
 * Set up the channel.  `settings` is for whoever serves the channel, and no kernel looks at
 * it.  Sizes are in bytes; sq_bytes is a power of two from
 * VGPU_SQ_MIN to VGPU_SQ_MAX, slot_count 1 to VGPU_SLOTS_MAX, arena_bytes a
 * multiple of 4096 up to VGPU_ARENA_MAX.  Then mmap() the file at offset 0,
 * length out_layout.total_bytes (or less), MAP_SHARED, not executable (EPERM).
 */
struct vgpu_setup {
	__u32 size;
	__u32 flags;		/* 0 */
	__u32 sq_bytes;
	__u32 slot_count;
	__u32 arena_bytes;
	__u32 out_channel;
	struct vgpu_layout out_layout;
	__u64 settings;
};

/* Wake the executor after it has parked. */
struct vgpu_doorbell {
	__u32 size;
	__u32 flags;		/* 0 */
};

/*
 * Sleep until the channel has had an interrupt that `seen` does not count
 * yet, at most timeout_ns (0: no limit).  out_seen is the count now, to be
 * passed as `seen` next time; a channel starts at 0.
 */
struct vgpu_wait {
	__u32 size;
	__u32 flags;		/* 0 */
	__u32 seen;
	__u32 out_seen;
	__u64 timeout_ns;
};

/*
 * Give the executor [addr, addr + bytes) of this process, page-aligned, at
 * most VGPU_REGION_BYTES_MAX.  The pages stay pinned, and are counted in the
 * process's VmPin and against its user's limits, until UNREGISTER, close or exit.
 */
struct vgpu_register {
	__u32 size;
	__u32 flags;		/* 0 */
	__u64 addr;
	__u64 bytes;
	__u32 out_region;
	__u32 reserved;
};

struct vgpu_unregister {
	__u32 size;
	__u32 flags;		/* 0 */
	__u32 region;
	__u32 reserved;
};

/* Counters of this channel since set-up. */
struct vgpu_stats {
	__u32 size;
	__u32 flags;		/* 0 */
	__u64 out_doorbells;	/* trapping register writes */
	__u64 out_interrupts;	/* of its vector, which channels may share */
	__u64 out_waits;	/* VGPU_IOC_WAIT calls that slept */
	__u64 out_pinned_bytes;	/* by REGISTER, now */
};

#define VGPU_IOC_INFO		_IO(VGPU_IOC_TYPE, 0x00)
#define VGPU_IOC_SETUP		_IO(VGPU_IOC_TYPE, 0x01)
#define VGPU_IOC_DOORBELL	_IO(VGPU_IOC_TYPE, 0x02)
#define VGPU_IOC_WAIT		_IO(VGPU_IOC_TYPE, 0x03)
#define VGPU_IOC_REGISTER	_IO(VGPU_IOC_TYPE, 0x04)
#define VGPU_IOC_UNREGISTER	_IO(VGPU_IOC_TYPE, 0x05)
#define VGPU_IOC_STATS		_IO(VGPU_IOC_TYPE, 0x06)

VGPU_ABI_ASSERT(sizeof(struct vgpu_info) == 48);
VGPU_ABI_ASSERT(sizeof(struct vgpu_setup) == 64);
VGPU_ABI_ASSERT(__builtin_offsetof(struct vgpu_setup, out_layout) == 24);
VGPU_ABI_ASSERT(sizeof(struct vgpu_doorbell) == 8);
VGPU_ABI_ASSERT(sizeof(struct vgpu_wait) == 24);
VGPU_ABI_ASSERT(sizeof(struct vgpu_register) == 32);
VGPU_ABI_ASSERT(sizeof(struct vgpu_unregister) == 16);
VGPU_ABI_ASSERT(sizeof(struct vgpu_stats) == 40);

#endif /* _UAPI_LINUX_VGPU_H */
