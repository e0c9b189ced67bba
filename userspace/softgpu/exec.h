/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine that runs decoded PTX.
 *
 * A warp holds 32 lanes with a program counter each. A step picks the lanes that stand deepest in
 * the call chain and, among them, at the lowest program counter, and runs one instruction for all
 * of them; so lanes that took different branches meet again where the paths join. Registers are
 * stored lane by lane next to each other: one instruction is one loop over 32 elements.
 */
#ifndef SG_EXEC_H
#define SG_EXEC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heap.h"

#define SG_LANES 32
#define SG_FULL 0xffffffffu
#define SG_NOSLOT INT32_MIN
#define SG_BARRIERS 17		/* the last is the cluster's */
#define SG_RCACHE 8
#define SG_RESERVED_SMEM 1024

struct sg_error;
struct sg_exec;
struct sg_insn;
struct sg_func;

typedef void (*sg_op)(struct sg_exec *x, const struct sg_insn *in, uint32_t m);

enum sg_kind {
	K_PLAIN,		/* registers only */
	K_MEM,			/* may fault */
	K_BRA, K_BRX, K_CALL, K_RET, K_EXIT, K_TRAP, K_YIELD,
	K_BAR,			/* waits for the block */
	K_SYNC,			/* waits for the lanes of its mask, then runs fn */
};

enum sg_bar_op { BAR_SYNC, BAR_ARRIVE, BAR_POPC, BAR_AND, BAR_OR };

/*
 * A slot is a byte offset into the frame's registers, or, when negative, its complement is an
 * offset into the function's constants, each stored 32 times over. Predicates are one bit a lane.
 */
struct sg_insn {
	sg_op fn;
	sg_op inner;		/* the operation that a wrapping fn runs */
	int32_t d, e;		/* destinations */
	int32_t a, b, c;	/* sources */
	int32_t guard;
	uint8_t kind;
	bool guard_not;
	uint8_t size;		/* memory: bytes of one element; conversions: source type */
	uint8_t vec;		/* memory: elements */
	uint8_t space;
	uint8_t sub;		/* variant of the operation */
	uint8_t dtype, atype;
	int64_t imm;		/* address offset, branch target, table */
	void *extra;		/* slots of a vector, call descriptor, branch table */
	int line;
	uint8_t order;		/* memory: SG_ACQUIRE, SG_RELEASE */
};

#define SG_ACQUIRE 1
#define SG_RELEASE 2

enum sg_builtin {
	FN_NONE, FN_VPRINTF, FN_MALLOC, FN_FREE, FN_ASSERTFAIL, FN_SET_CONDITIONAL,
};

struct sg_param {
	uint32_t offset, size, align;
};

/* A decoded function. */
struct sg_func {
	const char *name;
	struct sg_image *image;
	struct sg_insn *code;
	int ncode;
	char *consts;
	uint32_t reg_bytes;
	uint32_t frame_bytes;	/* parameter memory of a thread: results, own parameters, calls */
	uint32_t local_bytes;
	uint32_t shared_bytes;	/* entries: static shared memory */
	uint32_t param_bytes;	/* entries: launch parameters */
	int nregs;		/* 32-bit registers a thread uses, as attributes report it */
	bool is_entry;
	enum sg_builtin builtin;
	uint64_t address;	/* in the code window */
	int nparams, nrets;
	struct sg_param *params, *rets;
	uint32_t maxntid[3], reqntid[3];
	uint32_t local_total;	/* entries: local memory of the deepest call chain */
	bool calls_unbounded;	/* recursion or calls through pointers */
	const struct sg_error *lacks;	/* why it cannot run; it has no code then */
};

struct sg_call {
	struct sg_func *callee;	/* NULL: through the register in insn->a */
	int nargs, nrets;
	struct sg_param *args, *rets;	/* in the caller's parameter memory */
};

struct sg_brx {
	int n;
	int *targets;
};

struct sg_frame {
	struct sg_frame *parent;
	struct sg_func *fn;
	const struct sg_call *call;
	uint32_t mask;		/* lanes that have not returned */
	uint32_t depth;
	uint32_t ret_pc;
	uint64_t local_base;
	char *regs;
	char *params;
};

struct sg_warp {
	uint32_t index;
	uint32_t live;		/* not exited */
	uint32_t ready;		/* live and not waiting */
	uint32_t bar_wait;	/* waiting at a block barrier */
	uint32_t sync_wait;	/* waiting for other lanes of the warp */
	uint32_t steps;		/* since the lanes last stood together */
	bool force;		/* run collectives with whoever is there */
	uint32_t pc[SG_LANES];
	struct sg_frame *frame[SG_LANES];
	struct sg_frame *root;
	char *local;
	uint8_t bar_id[SG_LANES];
	uint32_t tid[3][SG_LANES];
};

struct sg_barrier {
	uint32_t arrived;
	uint32_t expected;	/* 0: all threads of the block */
	uint32_t pop, any, all;
};

/* One kernel launch. */
struct sg_launch {
	struct sg_func *fn;
	uint32_t grid[3], block[3];
	uint32_t dyn_shared;
	uint32_t shared_total;
	uint32_t reserved_smem;	/* where the SG_RESERVED_SMEM bytes for libraries begin */
	uint32_t local_cap;	/* bytes of local memory of a thread */
	uint64_t stack_limit;
	uint64_t malloc_limit;
	uint64_t coop_workspace;
	uint64_t grid_id;
	bool cooperative;
	char *params;
	struct sg_heap *heap;
	int nsm;
	_Atomic int error;	/* a CUresult */
};

struct sg_block {
	struct sg_launch *launch;
	uint32_t ctaid[3];
	uint32_t nwarps, nthreads;
	uint32_t live_threads;
	struct sg_warp *warps;
	char *shared;
	char *local;
	char *regs;
	struct sg_barrier bar[SG_BARRIERS];
	uint32_t next_warp;
	int worker;
};

struct sg_rcache {
	uint64_t lo, span;	/* first address, bytes */
	int64_t delta;		/* host = address + delta */
	uint64_t generation;
};

/* What one worker thread needs to run blocks. */
struct sg_exec {
	char *regs;
	char *consts;
	struct sg_frame *frame;
	struct sg_warp *warp;
	struct sg_block *block;
	struct sg_launch *launch;
	uint32_t pc;
	int fault;		/* a CUresult */
	int worker;
	bool regroup;		/* a barrier released lanes of the running warp */
	struct sg_rcache cache[SG_RCACHE];
	void *scratch[2];
};

enum sg_run { RUN_DONE, RUN_YIELD, RUN_FAULT };

struct sg_block *sg_block_new(struct sg_launch *l, uint64_t index);
void sg_block_free(struct sg_block *b);
/* Makes a finished block ready for another index of the same launch. */
void sg_block_reset(struct sg_block *b, uint64_t index);
enum sg_run sg_block_run(struct sg_exec *x, struct sg_block *b, uint64_t budget);

void sg_barrier_arrive(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
void sg_barrier_recheck(struct sg_block *b);
void sg_call_builtin(struct sg_exec *x, const struct sg_call *c, struct sg_func *f, uint32_t m);

/* condition.c: gives a graph's condition its value; false if there is none of this handle. */
bool sg_condition_set(uint64_t handle, uint32_t value);

/* The function whose address is in the code window, or NULL. */
struct sg_func *sg_func_at(uint64_t addr);

/* Frames */
bool sg_frame_push(struct sg_exec *x, const struct sg_call *c, struct sg_func *f, uint32_t m,
		   uint32_t ret_pc);
void sg_frame_return(struct sg_exec *x, struct sg_frame *f, uint32_t m);
void sg_frame_drop(struct sg_exec *x, struct sg_frame *f, uint32_t m);

/* Memory: the host address of one access, or NULL with x->fault set. */
void *sg_mem_lane(struct sg_exec *x, uint64_t addr, uint32_t bytes, uint32_t align, int space,
		  int lane);
/* Copies a device string; NULL with x->fault set. The caller frees it. */
char *sg_mem_string(struct sg_exec *x, uint64_t addr, int lane);
void sg_fault(struct sg_exec *x, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static inline void *sg_slot(struct sg_exec *x, int32_t s)
{
	return s >= 0 ? x->regs + s : x->consts + ~s;
}

/*
 * Before a static function: it is compiled a second time for CPUs that have the feature, and the
 * one that fits is chosen when the library is loaded. Results are the same. A name like
 * arch=haswell would stand for that one model of CPU. clang makes no such function under its own
 * name unless it is static, and the thread sanitizer cannot start with the resolvers that choose.
 */
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define SG_WITH(feature) __attribute__((target_clones(feature, "default")))
#else
#define SG_WITH(feature)
#endif

/* Runs the statement for each lane of m, l being the lane. */
#define SG_EACH(m, ...) do { \
		if ((m) == SG_FULL) { \
			_Pragma("GCC ivdep") \
			for (int l = 0; l < SG_LANES; l++) { \
				__VA_ARGS__; \
			} \
		} else { \
			for (uint32_t left_ = (m); left_; left_ &= left_ - 1) { \
				int l = __builtin_ctz(left_); \
				__VA_ARGS__; \
			} \
		} \
	} while (0)

static inline void sg_pred_write(struct sg_exec *x, int32_t slot, uint32_t m, uint32_t v)
{
	uint32_t *p = sg_slot(x, slot);

	*p = (*p & ~m) | (v & m);
}

#endif
