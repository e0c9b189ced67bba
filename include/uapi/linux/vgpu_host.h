/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * /dev/vgpu-host: what the host module offers to the mediator.
 *
 * Three kinds of descriptor, each obtained from the one before it:
 *
 *   the host     open("/dev/vgpu-host"), one opener at a time, root only
 *   a vGPU       VGPU_HOST_IOC_OPEN_VGPU on the host
 *   a channel    VGPU_HOST_IOC_OPEN_CHANNEL on a vGPU; passed to an executor,
 *                which maps the guest's memory through it
 *
 * read() on the first two returns struct vgpu_host_event; poll() says when
 * (POLLIN).  Events are states, not a queue: after a mediator dies, its
 * successor is told anew of all that exists.  What a read() or an ioctl could
 * not copy out (EFAULT) has not happened: the event is still to be read, and no
 * descriptor was made.  Two reads at a time may both return an event.  No call
 * waits for a VM, however long the VM's page lists take to pin.  A vGPU polls POLLHUP once it has
 * been removed.  A channel polls POLLHUP once the guest has closed it, been
 * reset, or died; its executor is to let go of it then.  After a reset, or
 * when the VM gives up the memory, what is mapped through it is taken away at
 * once (SIGBUS); after a mere close it stays until the descriptor and the
 * mappings are gone, and only then does the guest reuse the pages.
 *
 * When the guest gets its memory back.  A GPU driver goes on writing to memory
 * that was registered with it and then unmapped, so munmap() proves nothing.
 * The module unpins a channel's memory, and tells the guest LOST or RELEASED,
 * when the last copy of the channel's descriptor and the last mapping have gone,
 * that is at the release of its file, and never earlier.  For this to mean that
 * the device has let go:
 *
 *   - the mediator keeps a copy of the descriptor until waitpid() has returned
 *     the executor, because an exiting process releases its files in no useful
 *     order, and the GPU driver's are closed for certain only then;
 *   - the executor has its copy at a descriptor lower than any of the GPU
 *     driver's (reserved before the driver is initialised), because Linux runs
 *     the releases of an exiting process from the highest descriptor down; this
 *     is what counts if the mediator has died.
 *
 * A region that the guest takes back alone (UNMAP in vgpu_dev.h) is unpinned
 * once nothing maps it; so an executor must unregister a range with the GPU
 * driver before it unmaps it.
 *
 * Size rules and errors as in vgpu.h, and:
 *
 *   EBUSY      the host or channel is open already
 *   ENOENT     no vGPU or channel of that id (and cookie)
 *   ENODEV     the vGPU has been removed
 *   EPIPE      the channel is dead
 *   EAGAIN     read() with nothing to read, on an O_NONBLOCK descriptor
 */
#ifndef _UAPI_LINUX_VGPU_HOST_H
#define _UAPI_LINUX_VGPU_HOST_H

#include <linux/ioctl.h>
#include <linux/types.h>
#include <linux/vgpu_dev.h>

#define VGPU_HOST_IOC_TYPE	0xd8
#define VGPU_HOST_ABI		1u

/* On the host descriptor. */
#define VGPU_HOST_EV_ADDED	1u	/* id: a vGPU to open */
/* On a vGPU descriptor. */
#define VGPU_HOST_EV_CHANNEL	2u	/* id, cookie: a channel wants an executor */
#define VGPU_HOST_EV_CLOSED	3u	/* id, cookie: the guest has done with a
					 * channel that an executor still holds */

struct vgpu_host_event {
	__u32 kind;
	__u32 id;
	__u64 cookie;		/* tells two channels of one id apart */
};

struct vgpu_host_info {
	__u32 size;
	__u32 flags;		/* 0 */
	__u32 out_abi;
	__u32 out_vgpus;
};

struct vgpu_host_open_vgpu {
	__u32 size;
	__u32 flags;		/* 0 */
	__u32 id;
	__s32 out_fd;		/* O_CLOEXEC */
};

struct vgpu_host_vgpu_info {
	__u32 size;
	__u32 flags;		/* 0 */
	__u8 out_uuid[16];
	__u64 out_mem_bytes;	/* device memory limit, from the mdev type */
	char out_pool[16];	/* from the mdev type */
	char out_type[32];	/* the mdev type's name in sysfs */
	__u32 out_in_use;	/* a VM has it open */
	__u32 out_channels;
	__u64 out_traps;	/* BAR0 accesses that trapped, since creation */
	__u64 out_doorbells;	/* of these, doorbells */
	__u64 out_interrupts;	/* raised, all vectors */
	__u64 out_pinned_bytes;	/* guest memory pinned now */
	__u64 out_read_bytes;	/* of guest memory that the module itself has copied */
	char out_parent[24];	/* the PCI address of its GPU (0000:3b:00.0), or "virtual" */
};

struct vgpu_host_open_channel {
	__u32 size;
	__u32 flags;		/* 0 */
	__u32 id;
	__s32 out_fd;		/* O_CLOEXEC */
	__u64 cookie;
};

/*
 * mmap() at offset 0 is channel memory, layout.total_bytes long; MAP_SHARED, and
 * never executable (EPERM).
 */
struct vgpu_host_channel_info {
	__u32 size;
	__u32 flags;		/* 0 */
	struct vgpu_layout out_layout;
	__u32 out_pid;		/* what the guest says of itself */
	__u32 out_reserved;
	char out_comm[16];
	__u64 out_settings;	/* as in struct vgpu_setup: any bits */
};

/*
 * The eventfd that a doorbell signals.  fd -1 takes it away.  One that rang
 * before it was there is signalled at once.
 */
struct vgpu_host_doorbell {
	__u32 size;
	__u32 flags;		/* 0 */
	__s32 fd;
	__u32 reserved;
};

/* Raise the channel's interrupt in the guest. */
struct vgpu_host_raise {
	__u32 size;
	__u32 flags;		/* 0 */
};

/*
 * Say why no executor is going to serve the channel: VGPU_WHY_*, but not UNSAID.  The guest hears
 * it with LOST, when the last copy of the descriptor has been closed.
 */
struct vgpu_host_refuse {
	__u32 size;
	__u32 flags;		/* 0 */
	__u32 why;
	__u32 reserved;		/* 0 */
};

/*
 * A region that the guest has registered: mmap() at out_offset, `out_bytes`
 * long.  VGPU_REGION_GUP: get_user_pages() works on the mapping, so a device
 * driver can pin it; without it the guest's memory is anonymous, and only the
 * CPU can use the mapping.
 */
#define VGPU_REGION_GUP		(1u << 0)

struct vgpu_host_region {
	__u32 size;
	__u32 flags;		/* 0 */
	__u32 region;
	__u32 out_flags;
	__u64 out_va;
	__u64 out_bytes;
	__u64 out_offset;
};

#define VGPU_HOST_IOC_INFO		_IO(VGPU_HOST_IOC_TYPE, 0x00)
#define VGPU_HOST_IOC_OPEN_VGPU		_IO(VGPU_HOST_IOC_TYPE, 0x01)
#define VGPU_HOST_IOC_VGPU_INFO		_IO(VGPU_HOST_IOC_TYPE, 0x10)
#define VGPU_HOST_IOC_OPEN_CHANNEL	_IO(VGPU_HOST_IOC_TYPE, 0x11)
#define VGPU_HOST_IOC_CHANNEL_INFO	_IO(VGPU_HOST_IOC_TYPE, 0x20)
#define VGPU_HOST_IOC_DOORBELL		_IO(VGPU_HOST_IOC_TYPE, 0x21)
#define VGPU_HOST_IOC_RAISE		_IO(VGPU_HOST_IOC_TYPE, 0x22)
#define VGPU_HOST_IOC_REGION		_IO(VGPU_HOST_IOC_TYPE, 0x23)
#define VGPU_HOST_IOC_REFUSE		_IO(VGPU_HOST_IOC_TYPE, 0x24)

VGPU_ABI_ASSERT(sizeof(struct vgpu_host_event) == 16);
VGPU_ABI_ASSERT(sizeof(struct vgpu_host_info) == 16);
VGPU_ABI_ASSERT(sizeof(struct vgpu_host_open_vgpu) == 16);
VGPU_ABI_ASSERT(sizeof(struct vgpu_host_vgpu_info) == 152);
VGPU_ABI_ASSERT(sizeof(struct vgpu_host_open_channel) == 24);
VGPU_ABI_ASSERT(sizeof(struct vgpu_host_channel_info) == 72);
VGPU_ABI_ASSERT(sizeof(struct vgpu_host_doorbell) == 16);
VGPU_ABI_ASSERT(sizeof(struct vgpu_host_raise) == 8);
VGPU_ABI_ASSERT(sizeof(struct vgpu_host_region) == 40);
VGPU_ABI_ASSERT(sizeof(struct vgpu_host_refuse) == 16);

#endif /* _UAPI_LINUX_VGPU_HOST_H */
