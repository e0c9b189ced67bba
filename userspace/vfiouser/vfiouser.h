/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vgpu-vfio-user: the device of one VM, over vfio-user (docs/vfio-user.md).  One thread.
 *
 *   struct vfu           the device: configuration space, registers, interrupts, channels
 *   struct vfu_file      a file of the client's that memory lies in
 *   struct vfu_map       a range of bus addresses, as DMA_MAP made it
 *   struct vfu_memory    memory that a channel shares with its executor: runs in files
 *   struct vfu_channel   from the guest's CREATE to the later of its DESTROY (or reset) and
 *                        the end of its executor
 *
 * Whoever speaks is hostile: the client (message.c), the guest (device.c, memory.c) and
 * executors (channel.c).  Each message is copied, checked, and then used.
 */
#ifndef VFU_H
#define VFU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <linux/vgpu_dev.h>

#include "common/vfiouser_proto.h"

struct vfu;
struct vfu_channel;

#define VFU_CONFIG_BYTES	256u
#define VFU_FILES		16u	/* of the client, at a time */
#define VFU_MAPS		1024u
#define VFU_RUNS		(1u << 20)	/* of all memory of a VM: 24 MiB of ours */
#define VFU_NO_FILE		UINT32_MAX

struct vfu_file {
	int fd;				/* -1: no file */
	uint64_t dev, ino;
	unsigned int refs;		/* maps in it */
};

struct vfu_map {
	uint64_t iova, bytes;
	uint64_t offset;
	uint32_t file;			/* or VFU_NO_FILE */
};

struct vfu_memory {
	LIST_ENTRY(vfu_memory) node;	/* a region, in its channel */
	uint32_t region;
	bool mapped;			/* an executor has it, as far as it says */
	uint64_t va, bytes;
	uint32_t runs;
	int list;			/* memfd with the runs; files as in `file` */
	unsigned int file_count;
	int file[VG_VFU_FILES];		/* descriptors of its own */
	unsigned int part_count;
	struct vfu_part { uint64_t iova, bytes; } *part;	/* bus addresses */
};

enum vfu_state {
	VFU_WAITING,	/* the mediator has not been told yet */
	VFU_ATTACHED,	/* it has been given the executor's end */
	VFU_CLOSING,	/* the guest is done, the executor not yet */
	VFU_LOST,	/* the executor is done, the guest not yet */
	VFU_DEAD,	/* out of the table: reset, or its memory was unmapped */
};

struct vfu_channel {
	LIST_ENTRY(vfu_channel) dying;
	enum vfu_state state;
	bool ending, told;		/* its executor is to go, and the mediator knows */
	bool broken;			/* its executor broke the protocol, or will say no more */
	uint32_t id, vector, pid;
	uint64_t cookie, settings;
	char comm[16];
	struct vgpu_layout layout;
	struct vfu_memory *memory;
	LIST_HEAD(, vfu_memory) regions;
	int sock, peer;			/* ours; the executor's, until the mediator has it */
	int life, alive;		/* of a pipe: ours; the mediator's, until it has it */
	int bell, raise;		/* eventfds */
	bool served;			/* it has been asked for its memory */
	uint32_t why;			/* it is refused: VGPU_WHY_* */
};

/* What is outside: descriptors that a loop watches, and the mediator. */
struct vfu_ops {
	int (*watch)(struct vfu *v, int fd, struct vfu_channel *ch);	/* 0 or a negative errno */
	void (*forget)(struct vfu *v, int fd);
	/* 0, -EAGAIN (again later), or another negative errno: the mediator has gone. */
	int (*tell)(struct vfu *v, const struct vg_vfu_event *event, int fd);
	/* What it has said goes to vfu_channel_refused(). */
	void (*hear)(struct vfu *v);
};

struct vfu {
	const struct vfu_ops *ops;
	uint64_t mem_bytes;
	uint8_t uuid[16];
	struct vg_vfu_counters *counters;

	bool spoken;			/* VERSION is done */
	uint8_t config[VFU_CONFIG_BYTES], writable[VFU_CONFIG_BYTES];
	uint64_t admin_addr;
	uint32_t admin_result;
	int msix[VGPU_VECTORS];		/* eventfds of the client's, -1: none */
	uint8_t lost[VGPU_CHANNELS / 8], released[VGPU_CHANNELS / 8];
	uint8_t why[VGPU_CHANNELS];	/* with lost */

	struct vfu_file file[VFU_FILES];
	struct vfu_map map[VFU_MAPS];	/* by address, none overlap */
	unsigned int map_count;
	uint32_t run_count;		/* of all memory */

	struct vfu_channel *channel[VGPU_CHANNELS];
	LIST_HEAD(, vfu_channel) dying;	/* DEAD, and an executor still has them */
	uint64_t next_cookie;
	bool untold;			/* the mediator is to hear something */
};

/* memory.c; 0 or a negative errno */
int vfu_map_add(struct vfu *v, uint64_t iova, uint64_t bytes, uint64_t offset, bool usable, int *fd);
int vfu_map_remove(struct vfu *v, uint64_t iova, uint64_t bytes);
void vfu_maps_clear(struct vfu *v);
int vfu_guest_read(struct vfu *v, uint64_t addr, void *to, size_t bytes);
int vfu_list_check(const struct vgpu_adm_list *list, uint64_t *bytes_left);
int vfu_memory_new(struct vfu *v, uint64_t list, uint64_t bytes, uint64_t va,
		   struct vfu_memory **out);
void vfu_memory_free(struct vfu *v, struct vfu_memory *m);
bool vfu_memory_overlaps(const struct vfu_memory *m, uint64_t iova, uint64_t bytes);

/* channel.c; 0 or a negative errno */
int vfu_channel_create(struct vfu *v, const struct vgpu_adm_create *cmd);
int vfu_channel_destroy(struct vfu *v, uint32_t id);
int vfu_channel_map(struct vfu *v, const struct vgpu_adm_map *cmd);
int vfu_channel_unmap(struct vfu *v, uint32_t id, uint32_t region);
void vfu_channel_doorbell(struct vfu *v, uint32_t id);
void vfu_channels_drop(struct vfu *v);
void vfu_channels_dma_unmap(struct vfu *v, uint64_t iova, uint64_t bytes);
void vfu_channels_tell(struct vfu *v);	/* the mediator, what it does not know yet */
void vfu_channel_refused(struct vfu *v, const struct vg_vfu_refusal *r);
bool vfu_channels_dying(const struct vfu *v);
/* Its socket, eventfd or pipe has something, or has ended; it may be freed by this. */
void vfu_channel_ready(struct vfu *v, struct vfu_channel *ch, int fd);

/* device.c */
void vfu_init(struct vfu *v, const struct vfu_ops *ops);
void vfu_config_init(struct vfu *v);
void vfu_reset(struct vfu *v);
/* Whole ranges are checked by the caller. */
void vfu_config_access(struct vfu *v, uint32_t off, uint8_t *buf, uint32_t len, bool write);
void vfu_bar_access(struct vfu *v, uint32_t off, uint8_t *buf, uint32_t len, bool write);
void vfu_irq_raise(struct vfu *v, uint32_t vector);
void vfu_event_post(struct vfu *v, uint32_t channel, uint32_t kind, uint32_t why);

/*
 * message.c: what the client sends.  The header of each message, and its body.
 */
struct vfu_header {
	uint16_t id, command;
	uint32_t size;			/* with the header */
	uint32_t flags;
	uint32_t error;
};

#define VFU_FLAG_TYPE		0xfu	/* 0: command, 1: reply */
#define VFU_FLAG_REPLY		0x1u
#define VFU_FLAG_NO_REPLY	0x10u
#define VFU_FLAG_ERROR		0x20u

#define VFU_BODY_MAX		(VGPU_BAR0_BYTES + 64u)
#define VFU_FDS_MAX		16u	/* with one message */

struct vfu_message {
	struct vfu_header head;
	uint8_t body[VFU_BODY_MAX];	/* head.size - sizeof(head) bytes */
	int fd[VFU_FDS_MAX];		/* -1 once it is taken */
	unsigned int fd_count;
};

struct vfu_answer {
	struct vfu_header head;
	uint8_t body[VFU_BODY_MAX];
};

enum vfu_next {
	VFU_NEXT,		/* the next message, and if answer->head.size, this answer */
	VFU_WAIT,		/* send the answer when no channel is dying, or after a time */
	VFU_END,		/* the client broke the protocol: end the connection */
};

/* Is this a header with which anything may follow? */
bool vfu_header_ok(const struct vfu_header *head);
/* Serve a message; its descriptors are taken or closed. */
enum vfu_next vfu_serve(struct vfu *v, struct vfu_message *m, struct vfu_answer *a);

/*
 * wire.c: a connection.  A fuzzer has messages from elsewhere and does without.
 */
struct vfu_wire {
	int fd;
	uint32_t have;			/* bytes of the message to come */
	struct vfu_message m;
};

/* 1: there is a message, 0: not yet, or a negative errno (-EPIPE: the client has gone). */
int vfu_wire_receive(struct vfu_wire *w);
void vfu_wire_next(struct vfu_wire *w);		/* done with the message */
int vfu_wire_send(struct vfu_wire *w, const struct vfu_answer *a);

/* sandbox.c */
int vfu_sandbox_become(uint32_t uid, uint32_t gid);
int vfu_sandbox_enter(void);

#endif /* VFU_H */
