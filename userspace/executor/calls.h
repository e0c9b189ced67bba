/* SPDX-License-Identifier: Apache-2.0 */
/* What the hand-written calls share among themselves. */
#ifndef VG_CALLS_H
#define VG_CALLS_H

#include "common/account.h"
#include "exec_calls.h"

/* calls_link.c: the driver has destroyed a link with its context. */
void vg_x_link_gone(CUlinkState state);

/* calls_green.c: the primary context of one that stands for a green one; else the same. */
uint32_t vg_x_home(uint32_t ctx);
/* The green contexts of a primary context that is about to go; their contexts' ids stay. */
void vg_x_greens_gone(struct vg_exec *x, uint32_t primary);

/* calls_memory.c: allocations by address; `ctx` is the id of the context that holds one. */
bool vg_x_allocated(uint64_t ptr, uint64_t bytes, uint64_t charged, uint32_t ctx);
/*
 * What the driver takes for `bytes`, if that has pieces of its own; 0 if it shares one with others.
 * The pieces are charged then.
 */
#define VG_X_PIECE	VG_DEVICE_PIECE
uint64_t vg_x_pieces(uint64_t bytes);
/*
 * Before the driver frees one: it is forgotten, so that no other thread frees it, too.  After
 * it, r being what the driver has answered: known again, if it was refused.
 */
struct vg_x_freed {
	uint64_t ptr, bytes, charged, pool;
	uint32_t ctx;
	bool of_graph, shares;	/* `shares`: pieces with others */
};

bool vg_x_freed(uint64_t ptr, struct vg_x_freed *a);
CUresult vg_x_freed_or_not(CUresult r, const struct vg_x_freed *a);
/* The driver has freed it: it counts no more. */
void vg_x_uncharge(struct vg_exec *x, const struct vg_x_freed *a);
/* By a node of a graph: it may be freed any number of times, and is charged elsewhere. */
bool vg_x_allocated_by_graph(uint64_t ptr, uint32_t ctx);
/* What is known of the one that begins at ptr. */
bool vg_x_allocation(uint64_t ptr, uint64_t *bytes, uint32_t *ctx);
/* A context takes its memory along, and what it shares; `freed`: its memory counts no more. */
void vg_x_allocations_gone(struct vg_exec *x, uint32_t ctx, bool freed);

/*
 * calls_taken.c: around a call that may take memory of the current context's device without
 * saying how much. vg_x_taken() sets the charge right; false: the vGPU is beyond its limit.
 */
bool vg_x_stream_captured(CUstream s);	/* what is given to it now makes nodes of a graph */

struct vg_x_taking {
	size_t free;	/* on the device, bytes; 0: not known */
	bool surely;	/* the driver loads variables now */
};

void vg_x_taking(struct vg_x_taking *t);	/* and `surely` is false */
bool vg_x_taken(struct vg_exec *x, const struct vg_x_taking *before);
/*
 * And around a launch of this id (a function, kernel, or executable graph with f NULL) that was not launched
 * in this context yet.  begin() false: what its threads need on their stacks does not fit.
 */
struct vg_x_launch {
	struct vg_x_taking before;
	uint64_t charged, local;
	bool large;
};

bool vg_x_launched(uint32_t id, uint32_t ctx);		/* launched.c */
void vg_x_launched_now(uint32_t id, uint32_t ctx);
/* The id is another object's now.  `context`: it is a context's, in which nothing was launched. */
void vg_x_launched_not(uint32_t id, bool context);
bool vg_x_launch_begin(struct vg_exec *x, uint32_t id, uint32_t ctx, CUfunction f,
		       struct vg_x_launch *l);
/* `s`: if that is under capture, nothing was launched but a node made. */
void vg_x_launch_end(struct vg_exec *x, uint32_t id, uint32_t ctx, CUstream s, CUresult r,
		     const struct vg_x_launch *l);
/* Whether a kernel of any graph needs more: then no launch of a graph is like the last one. */
bool vg_x_graphs_have_stacks(void);
/* Whether the stacks that this function or kernel needs fit, for a node that is to launch it. */
bool vg_x_stacks_fit(struct vg_exec *x, uint32_t id, CUfunction f);
/* calls_context.c: what the driver sets aside for a limit beyond what contexts come with, bytes. */
uint64_t vg_x_set_aside(CUlimit limit, uint64_t value);

/*
 * calls_pool.c: what pools take of the device at a time, measured in a new context; and how much
 * one takes for `bytes` that it does not have.  Graphs' own memory comes by the same sizes.
 */
void vg_x_pool_measure(CUcontext ctx);
uint64_t vg_x_pool_grows_by(uint64_t bytes);

/* pace.c: how long a copy takes, ahead of time; before and after one from registered memory. */
void vg_x_pace_measure(CUcontext ctx);
void vg_x_pace_copy(size_t bytes);
void vg_x_pace_copied(size_t bytes);

/*
 * calls_warm.c: the context that was made ahead for device `dev`, and how many bytes of the device's
 * memory it has taken; or NULL, and then none is kept.
 */
CUcontext vg_x_warm_take(CUdevice dev, unsigned int flags, uint64_t *bytes);
/* Release it on another thread, because the program does not use it. */
void vg_x_warm_drop(void);
/* Wait until vg_x_warm_drop() has released it. */
void vg_x_warm_gone(void);
/* What each new context gets. */
void vg_x_anchor(CUcontext ctx);

/*
 * calls_context.c: before a context is made, count what one takes (false: the vGPU may have no
 * more); after it what it has taken: `bytes`, or 0, and then the driver is asked.  `ctx` is NULL if
 * it was not made.  False: it may not be, so it is to go.  And when it has gone.
 */
struct vg_x_context {
	uint64_t expected, held;
};

bool vg_x_context_begin(struct vg_exec *x, struct vg_x_context *c);
bool vg_x_context_made(struct vg_exec *x, struct vg_x_context *c, CUcontext ctx, uint64_t bytes);
void vg_x_context_gone(struct vg_exec *x, CUcontext ctx);

/* calls_warm.c: this thread's page for small copies out of the device, or NULL. */
#define VG_X_SCRATCH 4096
void *vg_x_scratch(void);

/*
 * calls_sharing.c: what was offered to other processes or taken from them is no more.
 * Before its memory is uncharged: the mediator may have to take the charge over.
 */
void vg_x_unshare(struct vg_exec *x, enum vg_token_kind kind, uint64_t key);
void vg_x_unshare_context(struct vg_exec *x, uint32_t ctx);

/*
 * soft_ipc.c: softgpu's handles of memory and events go with a descriptor.  With any other
 * driver the kind stays as it is, and there is no descriptor (-1).
 */
enum vg_token_kind vg_soft_ipc_kind(enum vg_token_kind kind);
int vg_soft_ipc_fd(const void *handle);	/* stays the driver's */
/* Around the opening of a handle on this thread; the end closes the descriptor. */
void vg_soft_ipc_begin(int fd);
void vg_soft_ipc_end(int fd);

/* calls_handles.c: what the driver answers when it has done nothing, so that what was to go stays as it was. */
bool vg_x_refused(CUresult r);

/* The next id of a kind after *id, which starts as 0; false after the last. */
bool vg_x_next(struct vg_exec *x, enum vg_kind kind, uint32_t *id, uint64_t *value);

/*
 * The id of a driver handle, chosen here if it has none; 0 if no id is left, the budget is used
 * up, or there is no such owner.  And one that is only reserved, for what is to be made.
 */
uint32_t vg_x_mint(struct vg_exec *x, enum vg_kind kind, uint64_t value, uint32_t owner);
uint32_t vg_x_mint_reserve(struct vg_exec *x, enum vg_kind kind, uint32_t owner, uint64_t *serial);
/* The id as the guest is told it (VG_TOLD), once it is bound; 0 for 0. */
uint32_t vg_x_told(struct vg_exec *x, enum vg_kind kind, uint32_t id);

/* And those of nodes of the graph `owner`, as they are told; false if no id is left. */
bool vg_x_mint_nodes(struct vg_exec *x, const CUgraphNode *nodes, size_t n, uint32_t owner,
		     uint32_t *ids);

/*
 * calls_capture.c: whether a graph that is under capture, so that any launch may change it, is
 * that of this id, or lies in that graph or node; whether that one is, or lies in one.
 */
bool vg_x_captures_within(struct vg_exec *x, uint32_t id);
bool vg_x_captured(struct vg_exec *x, uint32_t id);
/*
 * Before this stream goes, or this context with its streams: whether the captures that began
 * there may end, because the driver frees their graphs then.  And after a stream has gone:
 * `surely` by a call of its own, for what the driver does otherwise is not known.
 */
CUresult vg_x_may_end_captures(struct vg_exec *x, enum vg_kind kind, uint32_t id);
void vg_x_capture_gone(struct vg_exec *x, uint32_t stream, bool surely);
/* Whether one is under way that began in a stream of this context. */
bool vg_x_captures_in(struct vg_exec *x, uint32_t ctx);

/* calls_context.c: whether an id stands for a device's primary context, or for this one's. */
bool vg_x_primary(uint32_t id);
bool vg_x_primary_of(CUdevice dev, uint32_t id);

/* calls_memory.c: in a pool, which is charged; and what is allocated in one counts by itself: bytes. */
bool vg_x_allocated_in_pool(uint64_t ptr, uint64_t bytes, CUmemoryPool pool, uint32_t ctx);
uint64_t vg_x_allocations_of_pool(uint64_t pool);

/* calls_pool.c: the driver has destroyed this pool; this context, with its events. */
void vg_x_pool_gone(struct vg_exec *x, CUmemoryPool pool);
void vg_x_late_gone(struct vg_exec *x, uint32_t ctx);

/* calls_pool.c: pools and graphs count as the driver has them now. */
void vg_x_settle(struct vg_exec *x);
void vg_x_graph_memory_settle(struct vg_exec *x);

/* calls_graph_memory.c: a node that allocates is about to be made. */
void vg_x_graph_memory(void);

/* calls_graph_node.c: an executable graph by its id; NULL for 0. */
CUresult vg_x_graph_exec(struct vg_exec *x, uint32_t id, CUgraphExec *exec);

/* calls_launch.c: whether an attribute's value holds no handle, and its meaning is known. */
bool vg_x_attribute_plain(unsigned int id);

/* calls_callback.c: run a function of the program's in the guest, and wait until it has run. */
void vg_x_run_in_guest(uint32_t cookie, CUresult status);
bool vg_x_callbacks_ready(void);

/* calls_host.c: whether the driver has registered all of [va, va + bytes). */
bool vg_x_registered(uint64_t va, uint64_t bytes);
/* Have the driver let go of all that is registered in there, in part or whole. */
CUresult vg_x_registrations_end(struct vg_exec *x, uint64_t va, uint64_t bytes);

/*
 * calls_copy.c: whether the driver may be given pageable memory: not in a capture, since
 * the graph would keep the address.
 */
CUresult vg_x_may_copy_pageable(CUstream s);

/* calls_copy.c: a copy with no side in the guest, or in memory that the device reaches there. */
CUDA_MEMCPY3D vg_x_device_copy(const vgpu_copy3d *c);

/* calls_image.c */
bool vg_x_image_whole(const void *image, size_t bytes);

/* What cuModuleLoadData() takes, of an image as it crosses. */
struct vg_x_image {
	const void *start;	/* the image itself, or a wrapper */
	void *own;
};

/* After success vg_x_image_drop(); `image` has to stay as it is until then. */
CUresult vg_x_image_take(struct vg_x_image *out, const void *image, size_t bytes);
void vg_x_image_drop(struct vg_x_image *image);

/* progress.c: the driver has destroyed a context */
void vg_progress_context_gone(CUcontext context);

#endif /* VG_CALLS_H */
