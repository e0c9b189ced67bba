/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What travels over Unix sockets: between a program and the mediator (the way
 * in with no VM), and between the mediator and an executor.  All sockets are
 * SOCK_SEQPACKET; each message is one struct, whole or not at all.
 *
 * Threat: the mediator trusts nothing from either peer but the credentials
 * that the kernel attests (SO_PEERCRED); an executor trusts the mediator.
 */
#ifndef VG_SOCKET_PROTO_H
#define VG_SOCKET_PROTO_H

#include <stdint.h>

#include <linux/vgpu_dev.h>

#define VG_SOCK_ABI		1u
#define VG_SOCK_DEFAULT		"/run/vgpu/vgpu.sock"

/* Program to mediator, first and only message. */
struct vg_sock_hello {
	uint32_t size;
	uint32_t abi;		/* VG_SOCK_ABI */
	uint32_t sq_bytes;	/* bounds as in struct vgpu_setup */
	uint32_t slot_count;
	uint32_t arena_bytes;
	uint32_t reserved;
	char comm[16];
	uint64_t settings;	/* settings.h */
};

/*
 * The mediator's answer.  With status 0 come three descriptors: channel memory
 * (a memfd that cannot change its size), the doorbell (an eventfd), and a
 * socket to the executor, over which memory to be shared is sent.  The
 * connection then stays open for as long as the channel lives; either side's
 * end closes it.
 */
struct vg_sock_welcome {
	uint32_t size;
	uint32_t status;	/* 0 or a positive errno */
	struct vgpu_layout layout;
};

/* Program to executor, with one file of memory: that of a VG_OP_SHARE to come, from `offset`. */
struct vg_sock_share {
	uint32_t size;
	uint32_t token;
	uint64_t offset;	/* bytes, whole pages */
};

/* Mediator to executor: what to serve.  Sent once. */
enum vg_assign_kind {
	/* Descriptors, the last one being the bell of the vGPU's turns, an eventfd: */
	VG_ASSIGN_VM = 1,	/* channel, account, bell */
	VG_ASSIGN_SOCKET = 2,	/* memfd, doorbell, shares, account, bell */
	VG_ASSIGN_VFIO_USER = 3,	/* the channel's socket (vfiouser_proto.h), account, bell */
};

struct vg_assign {
	uint32_t size;
	uint32_t kind;
	uint32_t account;	/* index into the vGPU's account page */
	uint32_t uid;		/* user and group to become; 0: stay who you are */
	struct vgpu_layout layout;
};

/*
 * Executor to mediator while it serves: what one process of a vGPU lets the others
 * have.  Each request is answered, in order.  A descriptor comes with an offer, and
 * with the answer to a taking or a withdrawal, where the kind has one.
 */
enum vg_token_op {
	VG_TOKEN_OFFER = 1,	/* keep this; answered with its token */
	VG_TOKEN_TAKE,		/* what the token stands for; with bytes, one more holder */
	VG_TOKEN_LEAVE,		/* one holder less */
	VG_TOKEN_WITHDRAW,	/* by who offered it: it has been freed; its descriptor comes back */
	/*
	 * Of no kind, once, before any other: the descriptor that comes with it is the
	 * listener of the executor's system-call filter.  The mediator answers the calls
	 * that the filter does not allow, and logs their names.
	 */
	VG_TOKEN_LISTENER,
};

enum vg_token_kind {
	VG_TOKEN_MEMORY = 1,	/* cuIpcGetMemHandle */
	VG_TOKEN_EVENT,		/* cuIpcGetEventHandle */
	VG_TOKEN_ALLOCATION,	/* cuMemExportToShareableHandle; a descriptor */
	VG_TOKEN_POOL,		/* cuMemPoolExportToShareableHandle; a descriptor */
	VG_TOKEN_POINTER,	/* cuMemPoolExportPointer */
	VG_TOKEN_SOFT_MEMORY,	/* as the first two, by softgpu, whose handles stand for */
	VG_TOKEN_SOFT_EVENT,	/* a descriptor (softgpu_ipc.h), which comes with them */
	VG_TOKEN_KINDS
};

#define VG_TOKEN_BYTES	16
#define VG_TOKEN_DATA	64

struct vg_token_request {
	uint32_t size;
	uint32_t op;
	uint32_t kind;
	uint32_t reserved;
	uint64_t bytes;		/* OFFER: of device memory, as it is charged */
	uint8_t token[VG_TOKEN_BYTES];	/* the others */
	uint8_t data[VG_TOKEN_DATA];	/* OFFER */
};

struct vg_token_answer {
	uint32_t size;
	uint32_t status;	/* 0 or a positive errno */
	uint64_t bytes;		/* TAKE */
	uint8_t token[VG_TOKEN_BYTES];	/* OFFER */
	uint8_t data[VG_TOKEN_DATA];	/* TAKE */
};

static inline int vg_token_has_fd(uint32_t kind)
{
	return kind == VG_TOKEN_ALLOCATION || kind == VG_TOKEN_POOL ||
	       kind == VG_TOKEN_SOFT_MEMORY || kind == VG_TOKEN_SOFT_EVENT;
}

/*
 * When a short copy into the device is over, in ns after the driver has taken it.  An
 * executor measures it while nobody has work for the device, and the mediator tells it to
 * those that start later.
 */
struct vg_copy_time {
	uint32_t start_ns;
	uint32_t ns_per_mib;	/* 0: not known */
};

/* Executor to mediator: once, when its CUDA driver is up or has failed. */
struct vg_exec_ready {
	uint32_t size;
	int32_t result;		/* CUresult of cuInit, or -1: no library */
	uint32_t version;	/* of the driver, as cuDriverGetVersion says */
	uint32_t devices;
	struct vg_copy_time copy;
	uint32_t pageable;	/* kernels reach all memory of their process */
	uint32_t reserved;
};

_Static_assert(sizeof(struct vg_sock_hello) == 48, "ABI");
_Static_assert(sizeof(struct vg_sock_welcome) == 40, "ABI");
_Static_assert(sizeof(struct vg_assign) == 48, "ABI");
_Static_assert(sizeof(struct vg_exec_ready) == 32, "ABI");
_Static_assert(sizeof(struct vg_token_request) == 104, "ABI");
_Static_assert(sizeof(struct vg_token_answer) == 96, "ABI");

#endif /* VG_SOCKET_PROTO_H */
