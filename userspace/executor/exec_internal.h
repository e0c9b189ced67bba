/* SPDX-License-Identifier: Apache-2.0 */
/* What the executor's own files share; handlers of calls need only exec.h. */
#ifndef VG_EXEC_INTERNAL_H
#define VG_EXEC_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/account.h"
#include "common/ops_internal.h"
#include "common/socket_proto.h"
#include "common/vfiouser_proto.h"
#include "exec.h"

#include <linux/vgpu_ring.h>

/* The socket by which the mediator started us. */
#define VG_CONTROL_FD 3
/*
 * The channel of a VM, reserved before the driver opens its first file.  An ending
 * process releases the highest descriptor first: close_files() goes upwards, but
 * fput() only puts the file at the head of the task's work, which then runs from the
 * head on.  So the driver's descriptors are released before this one, and the host
 * module hears of the end after the driver has let go of the guest's memory.
 */
#define VG_CHANNEL_FD 4

/* channel.c: the executor's end of a channel, by VM or by socket. */
struct vg_channel {
	uint32_t kind;			/* enum vg_assign_kind */
	struct vgpu_layout layout;	/* from the mediator or the kernel, trusted */
	int fd;				/* channel descriptor; -1 with a socket */
	int doorbell;			/* eventfd */
	int shares;			/* where memfds come from, with a socket */
	int raise;			/* eventfd for the guest's interrupt, with a vfio-user server */
	struct vgpu_ring *ring;
	uint8_t *sq;
	struct vgpu_slot *slots;
	uint8_t *arena;
};

int vg_channel_reserve(void);	/* before the driver is loaded: take VG_CHANNEL_FD */
int vg_channel_keep(int fd);	/* move a channel there; the descriptor, or -errno */
int vg_channel_open(struct vg_channel *ch, const struct vg_assign *assign, const int *fds);
/* Wake whoever sleeps on `word`; the word itself was written before. */
void vg_channel_wake(struct vg_channel *ch, const uint32_t *word);

/*
 * pages.c: memory of a VM without a host module, as runs of pages in files that its vfio-user
 * server sends.  0 or a negative errno.
 */
struct vg_pages {
	uint64_t va, bytes;
	uint32_t runs;
	int list;			/* a file of struct vg_vfu_run */
	int doorbell, raise;		/* with VG_VFU_ASK_MEMORY; the caller's */
	unsigned int files;
	int file[VG_VFU_FILES];
};

int vg_pages_ask(const struct vg_channel *ch, uint32_t op, uint32_t region, struct vg_pages *p);
/* In place of what is mapped at `base`, all p->bytes.  After an error a part may be. */
int vg_pages_map(const struct vg_pages *p, uint8_t *base);
void vg_pages_close(struct vg_pages *p);
void vg_pages_unmapped(const struct vg_channel *ch, uint32_t region);

struct vg_role;
struct vg_blobs;
struct vg_shares;

struct vg_exec {
	struct vg_channel ch;
	struct vg_handles *handles;
	struct vg_blobs *blobs;
	struct vg_shares *shares;
	struct vg_role *role;
	_Atomic uint64_t head;		/* of the ring; stored by whoever has the role */
	struct vg_account *account;
	struct vg_account_entry *entry;	/* ours */
	uint32_t *slot_done;		/* answers given, by slot; by the slot's answerer */
	uint32_t driver_version;
	unsigned int spin_us;
	int turn_bell;			/* eventfd, the mediator's */
	bool folders;			/* Landlock says where folders may be made */

	pthread_mutex_t context_lock;	/* contexts, and the entry's `devices` */
	unsigned int contexts[64];	/* by device */

	/*
	 * held.c: what the driver says this process holds of all devices, bytes (false: nobody
	 * knows); and have what is charged for pools and graphs follow the driver.  NULL: none.
	 */
	bool (*held)(uint64_t *bytes);
	void (*settle)(struct vg_exec *x);
	pthread_mutex_t held_lock;	/* the two below */
	uint64_t beyond;		/* of the entry's memory, what no call was charged for */
	uint64_t asked_ns;		/* when that was told last; and how long it takes to ask, */
	uint64_t ask_ns;		/* at least */
	_Atomic bool unsettled;		/* the driver may give back memory by itself */

	bool progress;			/* progress.c has something to look after */
	_Atomic uint32_t context_epoch;	/* counts vg_exec_contexts_changed() */

	/* The first failure of a call without an answer, until one has told it. */
	_Atomic uint64_t deferred;	/* op in the high half, CUresult in the low */
};

/* What a thread believes to be its current context. */
struct vg_current {
	uint32_t id;
	uint32_t epoch;
};

/* loop.c: what each of the executor's threads does */
void vg_loop_run(struct vg_exec *x) __attribute__((noreturn));

/* role.c: which of the threads consumes the ring */
struct vg_role *vg_role_new(unsigned int max);
void vg_role_watch(struct vg_exec *x);	/* stand by until the role is this thread's */
void vg_role_lend(struct vg_exec *x);	/* before a call that may block */
bool vg_role_return(struct vg_exec *x);	/* after it: is the role this thread's again? */
bool vg_role_idle(struct vg_exec *x);	/* the ring is empty: wait; false: role laid down */

/*
 * underway.c: what calls on other threads use; begun by who has the role.  An error: the call
 * names what is not there, and is not to run.  A context that is not there is taken out of rq
 * if the call needs none.
 */
CUresult vg_underway_begin(struct vg_exec *x, const struct vg_op *op, struct vg_req *rq);
void vg_underway_end(void);

/* calls_capture.c: whether a capture is under way */
extern _Atomic bool vg_capture_any;
/*
 * Before a call, if one is: count what the call adds to the capture that its stream is in.  An
 * error: the call is not to run, as CUDA_ERROR_OUT_OF_MEMORY if there is no room.
 */
CUresult vg_capture_count(struct vg_exec *x, const struct vg_adds *adds, const struct vg_req *rq);

/* blobs.c */
struct vg_blobs *vg_blobs_new(void);
CUresult vg_blobs_append(struct vg_blobs *b, const struct vg_blob_append *piece, const void *data);

/* shares.c: memory of the guest process, mapped at its own address */
struct vg_shares *vg_shares_new(struct vg_exec *x);
CUresult vg_internal_share(struct vg_exec *x, const struct vg_req *rq, struct vg_reply *rp);
CUresult vg_internal_unshare(struct vg_exec *x, const struct vg_req *rq, struct vg_reply *rp);

/*
 * bucket.c: take so many from one of the vGPU's buckets, and wait until they have been earned. Without
 * a rate, which is the default, that is one load of a line that nobody writes.
 */
void vg_bucket_spend(struct vg_exec *x, enum vg_bucket which, uint64_t n);

static inline void vg_exec_spend(struct vg_exec *x, enum vg_bucket which, uint64_t n)
{
	if (__builtin_expect(!!atomic_load_explicit(&x->account->bucket[which].rate,
						    memory_order_relaxed), 0))
		vg_bucket_spend(x, which, n);
}

/*
 * turn.c: work goes to the device in the vGPU's turn. Around a call: take() waits for the turn;
 * true: it gives the device work, so taken() has to follow. Without shares, which is the default,
 * nothing of this is called. idle(): the ring is empty; true: the device is not done, so come back
 * soon. before_end(): of the stream or context of this id. before_capture(): no event of ours is
 * recorded after it where work was before.
 */
struct vg_work {
	CUcontext ctx;
	CUstream stream;
	CUevent start;			/* recorded before it; NULL: none */
};

bool vg_turn_take(struct vg_exec *x, const struct vg_op *op, const struct vg_req *rq,
		  struct vg_work *w);
void vg_turn_taken(struct vg_exec *x, const struct vg_work *w);
bool vg_turn_idle(struct vg_exec *x);
void vg_turn_before_end(struct vg_exec *x, uint32_t id);
void vg_turn_before_capture(void);

static inline bool vg_turns_on(const struct vg_exec *x)
{
	return __builtin_expect(!!atomic_load_explicit(&x->account->turns, memory_order_relaxed), 0);
}

/*
 * progress.c: how long the device has been at one launch, while the vGPU has a limit on that. Around a
 * record that is run; what _begin() returns, if anything, is for _end().
 */
void *vg_progress_begin(struct vg_exec *x, const struct vg_op *op, const struct vg_req *rq);
void vg_progress_end(void *launch);

/* output.c: what kernels print */
int vg_output_start(void);
uint32_t vg_output_notice(void);	/* VG_NOTICE_OUTPUT if there is some to fetch */
CUresult vg_internal_output(struct vg_exec *x, const struct vg_req *rq, struct vg_reply *rp);

/* calls_warm.c: a context ahead of time; from its program on it counts */
void vg_warm_up(struct vg_exec *x);
void vg_warm_count(struct vg_exec *x);

/* account.c: measure how long it takes to ask the driver's bookkeeping */
void vg_exec_ask_first(struct vg_exec *x);

/* held.c */
bool vg_held_start(void *library);	/* whether this driver, or NVML, tells what a process holds */
bool vg_held(uint64_t *bytes);

/* pace.c: no call's work comes a moment too early for the device */
bool vg_pace_parse(const char *text);	/* "START_NS,NS_PER_MIB", as the mediator has them */
struct vg_copy_time vg_pace_copy_time(void);
void vg_pace_waited(void);	/* a call that may block has succeeded */
/* Before any call but vgpu_copy_in, by who has the role. */
void vg_pace_call(uint32_t op);

/* handles.c */
struct vg_handles *vg_handles_new(void);

/*
 * What an executor may do once it has its channel: compute.
 *
 * A guest that finds a hole in the driver, or in us, gets a process of a user who owns
 * nothing, that can start no program, reach no network, trace or signal no other
 * process, and open the driver's files alone.
 */
/* sandbox.c */
/* Be this user, for good, or (`late`) until vg_sandbox_become(). */
int vg_sandbox_user(const char *name, bool late);
int vg_sandbox_become(uint32_t uid);	/* and the group of that number, for good */

/*
 * filter.c: allow the system calls that computing needs, and those of `names`, separated
 * by commas.  `folders`: making folders too.  Other calls are refused with EPERM; if
 * there is a `listener`, by whoever reads from it.
 */
int vg_filter_enter(const char *names, bool folders, int *listener);

/*
 * files.c: the files that the driver of `library` needs, and those of two lists as in
 * PATH.  A descriptor for vg_files_confine(), or a negative errno.
 */
int vg_files_prepare(void *library, const char *read, const char *write);
int vg_files_confine(int rules);	/* from here on no others, for this thread's threads */

/* internal.c: the operations of ops_internal.h, as vg_op.run */
CUresult vg_internal_hello(struct vg_exec *x, const struct vg_req *rq, struct vg_reply *rp);
CUresult vg_internal_blob_append(struct vg_exec *x, const struct vg_req *rq, struct vg_reply *rp);
CUresult vg_internal_nop(struct vg_exec *x, const struct vg_req *rq, struct vg_reply *rp);
CUresult vg_internal_exit(struct vg_exec *x, const struct vg_req *rq, struct vg_reply *rp);

/* soft_ipc.c: what of the driver's library carries softgpu's IPC handles, if it has that. */
void vg_soft_ipc_load(void *library);

#endif /* VG_EXEC_INTERNAL_H */
