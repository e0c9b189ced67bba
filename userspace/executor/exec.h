/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The executor's side of a call: what the generated decoders and the
 * hand-written handlers see.
 *
 * A handler gets a private copy of the record's payload, already known to be
 * at least the size of its fixed part; everything in it is guest data that
 * must be validated before use.  It returns the call's CUresult; the reply
 * payload it filled is sent when the record asked for an answer.
 */
#ifndef VG_EXEC_H
#define VG_EXEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/socket_proto.h"
#include "cuda_abi.h"
#include "handles.h"
#include "vg_wire.h"

struct vg_exec;

struct vg_req {
	uint16_t op;
	uint16_t flags;		/* of struct vgpu_rec */
	uint32_t ctx;		/* handle id of the caller's current context, 0 = none */
	uint32_t slot;
	uint32_t bytes;		/* of the payload */
	uint32_t timed;		/* with VGPU_REC_TIMED: the tag */
	const void *payload;	/* private copy */
};

struct vg_reply {
	uint32_t bytes;		/* set by the handler, at most VG_REPLY_MAX */
	void *payload;		/* private buffer of VG_REPLY_MAX bytes, zeroed */
};

/* How the loop runs a call. */
enum vg_mode {
	VG_INORDER,		/* on the ring's own thread */
	VG_BLOCKING,		/* may block: on a waiter thread, answered out of order */
};

/* A handle that a request names: where, and of which kind. */
struct vg_name {
	uint16_t at;
	uint16_t kind;		/* VG_NONE after the last */
};

/* What a call in a stream may add to the graph of the stream's capture, beside a node. */
struct vg_adds {
	uint32_t bytes;		/* at most, of what is sent ahead of the record */
	uint16_t stream_at;	/* where the record names the stream */
	uint16_t graph_at;	/* where the record names a graph that is copied, if there is one */
	bool graph;
	bool edges;		/* the record names nodes that have edges to the next one */
};

struct vg_op {
	const char *name;
	CUresult (*run)(struct vg_exec *x, const struct vg_req *rq, struct vg_reply *rp);
	uint32_t min_bytes;	/* shortest payload that reaches run() */
	uint32_t max_bytes;
	uint8_t mode;		/* enum vg_mode */
	bool needs_ctx;		/* not run if rq->ctx cannot be made current */
	bool graphs;		/* may block, and works with graphs */
	bool reads;		/* may block, and copies out of the device, in a stream */
	const struct vg_name *names;	/* of one that may block; NULL: none */
	const struct vg_adds *adds;	/* NULL: nothing */
};

/* By opcode; generated.  Unknown opcodes have a NULL run. */
extern const struct vg_op vg_ops[];
extern const unsigned int vg_ops_count;

/* The loaded CUDA driver; generated, with one typed pointer per function. */
extern struct vg_cuda cu;

/* A window of the data arena, or NULL if [off, off + bytes) is not in it. */
void *vg_exec_arena(struct vg_exec *x, uint32_t off, uint64_t bytes);

/*
 * Take a blob that was sent ahead of this call: its bytes, or NULL if there is none of
 * this id.  It is the call's alone from then on; the call gives it to vg_exec_blob_free().
 */
const void *vg_exec_blob_take(struct vg_exec *x, uint32_t id, size_t *bytes);
void vg_exec_blob_free(struct vg_exec *x, const void *data, size_t bytes);

/* Whether all of [va, va + bytes) is memory of the guest process, mapped here. */
bool vg_exec_shared(struct vg_exec *x, uint64_t va, uint64_t bytes);

/*
 * underway.c: wait until no call on another thread uses what an id names; until none
 * works with graphs.  On the ring's thread only, before the driver destroys or is given it.
 */
void vg_exec_settle(struct vg_exec *x, uint32_t id);
void vg_exec_settle_graphs(struct vg_exec *x);
/*
 * Wait until no call on another thread copies out of the device in the stream of this id.
 * On the ring's thread only, before the stream comes under capture.
 */
void vg_exec_settle_reads(struct vg_exec *x, uint32_t stream);

/* The handles of this guest process; see handles.h. */
struct vg_handles *vg_exec_handles(struct vg_exec *x);

/*
 * Device memory against the vGPU's limit: charge before allocating (false:
 * over the limit, answer CUDA_ERROR_OUT_OF_MEMORY), uncharge after freeing or
 * when the allocation failed.  Bytes.
 */
bool vg_exec_charge(struct vg_exec *x, uint64_t bytes);
void vg_exec_uncharge(struct vg_exec *x, uint64_t bytes);
/* The same, but false at once, and without a line in the log, where more would have to be done. */
bool vg_exec_charge_quickly(struct vg_exec *x, uint64_t bytes);
/*
 * Charge beyond the limit if need be, for what is there already: nothing more can be had then.
 * False: it is beyond.
 */
bool vg_exec_owe(struct vg_exec *x, uint64_t bytes);
/*
 * Have the charge be no less than what the driver says that this process holds; to be called
 * after what may have taken more than it was charged for.  `at_once`: ask the driver although it
 * was asked lately.  False: the vGPU is beyond its limit.
 */
bool vg_exec_reconcile(struct vg_exec *x, bool at_once);
/* Of what was charged, so much counts from now on as the driver says; if nobody knows, on and on. */
void vg_exec_leave_to_driver(struct vg_exec *x, uint64_t bytes);
/* What is charged beside what calls were charged for, bytes. */
uint64_t vg_exec_beyond(struct vg_exec *x);
/* The driver may give memory back by itself from now on, so look when there is time. */
void vg_exec_unsettled(struct vg_exec *x);
/*
 * Look, if so; cheap if not. `at_once`: ask the driver's bookkeeping although it was asked lately.
 */
void vg_exec_settle_memory(struct vg_exec *x, bool at_once);
void vg_exec_settle_idle(struct vg_exec *x);	/* the same, when there is nothing else to do */
/*
 * A context's own memory, which no allocation can use, counts apart: take what it is expected to
 * need before it is made (false: beyond the limit of contexts), and tell afterwards how much it
 * was, by vg_exec_held() before and after.  0: nobody knows what the driver holds.
 */
bool vg_exec_context_take(struct vg_exec *x, uint64_t bytes);
void vg_exec_context_give(struct vg_exec *x, uint64_t bytes);
uint64_t vg_exec_held(struct vg_exec *x);
bool vg_exec_tells(struct vg_exec *x);	/* is there somebody to ask at all? */
/* The vGPU's limit and what all its processes hold, in bytes. */
void vg_exec_memory(struct vg_exec *x, uint64_t *used, uint64_t *limit);
/*
 * On bare metal the memory of a program is free again when its process has gone. Here its
 * executor ends a moment later, because it hears of that by a socket. So whoever asks what is
 * free, or finds too little, waits here for programs that went before: at most 3 s after the
 * end of each. False: there was none.
 */
bool vg_exec_wait_for_ending(struct vg_exec *x);

/*
 * tokens.c: what processes of one vGPU share, by the mediator.  Offer it the driver's
 * handle (data_bytes <= VG_TOKEN_DATA), with a descriptor where the kind has one, which
 * stays the caller's; take what a token of this kind stands for, with a descriptor that
 * becomes the caller's.  With bytes, taking makes this process a holder until it leaves.
 */
CUresult vg_exec_offer(struct vg_exec *x, enum vg_token_kind kind, uint64_t bytes, const void *data,
		       size_t data_bytes, int fd, vgpu_token *token);
CUresult vg_exec_take(struct vg_exec *x, enum vg_token_kind kind, const vgpu_token *token,
		      uint64_t *bytes, void *data, size_t data_bytes, int *fd);
void vg_exec_leave(struct vg_exec *x, const vgpu_token *token);
void vg_exec_withdraw(struct vg_exec *x, const vgpu_token *token);

/*
 * A context on a device has come (1) or gone (-1).  While a process has one it is
 * among those that use the device: their pids in the guest and the memory that each
 * holds, at most `max` of them (UINT64_MAX where it may hold that of several devices).
 */
void vg_exec_context(struct vg_exec *x, int device, int change);
unsigned int vg_exec_processes(struct vg_exec *x, int device, uint32_t *pid, uint64_t *memory,
			       unsigned int max);

/*
 * A context has been destroyed, reset or released: its id may come again for
 * another, so no thread may go on believing that it has it current.
 */
void vg_exec_contexts_changed(struct vg_exec *x);

/*
 * Call it before bytes are copied. It waits until the vGPU's rate of bytes has paid for earlier copies,
 * also those of programs that have ended. Otherwise a program that ends after each copy, and is started
 * again, would not be bound by the rate.
 */
void vg_exec_before_move(struct vg_exec *x);
/*
 * Count bytes moved to (in) and from (out) the device for the status page; and those
 * of them that the device itself has read from or written to the program's own memory,
 * so that no CPU has copied them, ours or the guest's.
 */
void vg_exec_moved(struct vg_exec *x, uint64_t in, uint64_t out);
void vg_exec_moved_direct(struct vg_exec *x, uint64_t in, uint64_t out);

#endif /* VG_EXEC_H */
