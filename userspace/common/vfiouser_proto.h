/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a vfio-user server, which is the device of one VM, says to the mediator and to
 * executors (docs/vfio-user.md).  All sockets are SOCK_SEQPACKET; each message is one struct,
 * whole or not at all.
 *
 * Trust: a server is trusted no more than its VM.  The mediator and the executors bound what
 * it says; the server bounds what executors say, and believes the mediator.
 */
#ifndef VG_VFIOUSER_PROTO_H
#define VG_VFIOUSER_PROTO_H

#include <stdatomic.h>
#include <stdint.h>

#include <linux/vgpu_dev.h>

/*
 * Mediator to server, once, with two descriptors: the connection of the VM's client, and the
 * page of counters.
 */
struct vg_vfu_assign {
	uint32_t size;
	uint32_t uid, gid;	/* to become; uid 0: stay who you are */
	uint32_t reserved;
	uint64_t mem_bytes;	/* what the device says of its memory */
	uint8_t uuid[16];	/* in the order of VGPU_REG_UUID */
};

/* Server to mediator, as the events of a vGPU in linux/vgpu_host.h. */
enum vg_vfu_kind {
	/*
	 * A channel wants an executor.  With one descriptor, the executor's end of the channel's
	 * socket.  The last VG_VFU_LIFE before it is this channel's.
	 */
	VG_VFU_CHANNEL = 1,
	VG_VFU_CLOSED,		/* the guest has done with a channel: id, cookie */
	/*
	 * With one descriptor, the writing end of a pipe, which no executor gets.  The mediator
	 * closes it once the channel's executor has been reaped, or is refused: then nobody on
	 * the host reaches the channel's memory.  The end of the socket does not say that,
	 * because an executor that a guest has taken over can shut its end down and live on.
	 */
	VG_VFU_LIFE,
};

struct vg_vfu_event {
	uint32_t size;
	uint32_t kind;
	uint32_t id;
	uint32_t pid;		/* what the guest says of itself */
	uint64_t cookie;	/* tells two channels of one id apart */
	struct vgpu_layout layout;
	char comm[16];
	uint64_t settings;	/* as in struct vgpu_setup: any bits */
};

/* Mediator to server: no executor serves this channel, whose life ends next.  The guest hears why. */
struct vg_vfu_refusal {
	uint32_t size;
	uint32_t why;		/* VGPU_WHY_* */
	uint32_t id;
	uint32_t reserved;
	uint64_t cookie;
};

/* Executor to server, over the channel's socket.  The first two are answered. */
enum vg_vfu_ask_op {
	VG_VFU_ASK_MEMORY = 1,	/* the channel's own memory, and its two eventfds; once */
	VG_VFU_ASK_REGION,	/* a region of the guest's; it counts as mapped from here on */
	VG_VFU_UNMAPPED,	/* it is no longer mapped, and the driver knows it no longer */
};

struct vg_vfu_ask {
	uint32_t size;
	uint32_t op;
	uint32_t region;
	uint32_t reserved;	/* 0 */
};

/*
 * With status 0 come descriptors: a memfd with `runs` times struct vg_vfu_run; for the
 * channel's own memory the doorbell and the eventfd that raises its interrupt; then the files
 * that the runs are in, at most VG_VFU_FILES.
 */
struct vg_vfu_memory {
	uint32_t size;
	uint32_t status;	/* 0 or a positive errno */
	uint32_t runs;
	uint32_t reserved;
	uint64_t va;		/* of a region, in the guest process */
	uint64_t bytes;		/* of all runs together */
};

struct vg_vfu_run {
	uint64_t offset;	/* in its file; whole pages, as bytes */
	uint64_t bytes;
	uint32_t file;		/* which of those that come with the answer */
	uint32_t reserved;	/* 0 */
};

#define VG_VFU_FILES	2u
/*
 * Runs in one piece of memory.  Each becomes a mapping of the executor, which may have 65,530
 * (vm.max_map_count).  What programs share takes 49,152 at most (executor/shares.c), and the
 * channel's own memory so many.
 */
#define VG_VFU_RUNS_MAX	12288u

/* Written by the server, read by the mediator, which shows them and decides nothing by them. */
struct vg_vfu_counters {
	_Atomic uint64_t channels, traps, doorbells, interrupts, shared_bytes, read_bytes;
};

_Static_assert(sizeof(struct vg_vfu_assign) == 40, "ABI");
_Static_assert(sizeof(struct vg_vfu_event) == 80, "ABI");
_Static_assert(sizeof(struct vg_vfu_refusal) == 24, "ABI");
_Static_assert(sizeof(struct vg_vfu_ask) == 16, "ABI");
_Static_assert(sizeof(struct vg_vfu_memory) == 32, "ABI");
_Static_assert(sizeof(struct vg_vfu_run) == 24, "ABI");

#endif /* VG_VFIOUSER_PROTO_H */
