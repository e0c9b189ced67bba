/* SPDX-License-Identifier: Apache-2.0 */
/* Syntax tree to machine operations: what the parts of the lowering share. */
#ifndef SG_LOWER_H
#define SG_LOWER_H

#include "image.h"
#include "ops.h"

struct low_const {
	uint64_t bits;
	int size;
	int32_t slot;
};

struct low {
	struct sg_image *img;
	struct ptx_func *f;
	struct sg_func *out;
	struct sg_error *err;
	struct sg_arena *arena;
	struct ptx_stmt *s;
	int32_t guard;
	struct sg_insn *code;
	int n, cap;
	char *consts;
	uint32_t consts_used, consts_cap;
	struct low_const *known;	/* a hash table */
	int nknown, known_cap;
	uint32_t regs;		/* bytes of the frame's registers */
	uint32_t pred_line, pred_left;
	uint64_t call_frame;	/* where a call keeps arguments that it has in registers */
	int32_t temps[4][8];	/* by size: predicate, 2, 4, 8 bytes; reused by each statement */
	int ntemps[4], used[4];
};

/* All of these record an error and return false, NULL or SG_NOSLOT on failure. */
bool low_fail(struct low *L, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* For what is right PTX and missing here. */
bool low_lack(struct low *L, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool low_unsupported(struct low *L);

/* Modifiers: taking one marks it understood; those left over make the load fail. */
bool low_mod(struct low *L, const char *word);
bool low_mod_prefix(struct low *L, const char *prefix);
enum sg_type low_last_type(struct low *L);

struct sg_insn *low_emit(struct low *L, sg_op fn, enum sg_kind kind);
int32_t low_const(struct low *L, int size, uint64_t bits);
int32_t low_pred_const(struct low *L, bool v);
int32_t low_temp(struct low *L, int size);	/* size 0: a predicate */
int32_t low_src(struct low *L, struct ptx_operand *o, enum sg_type t);
int32_t low_dst(struct low *L, struct ptx_operand *o, enum sg_type t);
bool low_is_sink(const struct ptx_operand *o);
/* A register of any size; false for anything else. */
bool low_reg(struct low *L, struct ptx_operand *o, struct sg_vslot *out);
/* A register's place in the parameter memory of the thread: loads it, or stores it there. */
void low_frame_access(struct low *L, bool store, uint64_t offset, int bytes, struct sg_vslot v);
/* The results that a function has in registers, on its way out. */
bool low_results(struct low *L);
bool low_address(struct low *L, struct ptx_operand *o, enum sg_space space, struct sg_insn *tmp);

bool low_want(struct low *L, int min, int max);	/* number of operands */

bool low_simple(struct low *L);
bool low_fixup(struct low *L, const char *name, enum sg_type t, int32_t slot);
const struct sg_opdef *low_find_op(const char *name, enum sg_type t);

/* The address of an operand with its offset, as 64 bits in a register. */
int32_t low_whole_address(struct low *L, struct ptx_operand *o, enum sg_space space);
/* The rest of cp.async.bulk.tensor, or of cp.async.bulk.prefetch.tensor. */
bool low_cp_tensor(struct low *L, bool prefetch);

/* Matrices: the next type, the shape; registers of a lane; an operation of all lanes. */
enum sg_element low_element(struct low *L);
bool low_shape(struct low *L, struct sg_mma *p);
bool low_fragment(struct low *L, struct ptx_operand *o, enum sg_element t, int n, bool dst,
		  int32_t *slot);
struct sg_insn *low_warp(struct low *L, sg_op fn);

/* Modifiers of instructions that reach memory. */
bool low_space(struct low *L, enum sg_space *space);
uint8_t low_order(struct low *L);
bool low_cache(struct low *L);		/* whether a cache policy is one more operand */

bool low_async(struct low *L, bool *known);	/* asynchronous copies, mbarrier */
bool low_tensor(struct low *L, bool *known);	/* matrices */
bool low_video(struct low *L, bool *known);	/* video instructions */
bool low_wgmma(struct low *L, bool *known);	/* matrices of four warps */
bool low_texture(struct low *L, bool *known);	/* textures and surfaces */
bool low_data(struct low *L, bool *known);	/* mov, cvt, setp, selp, … */
bool low_memory(struct low *L, bool *known);	/* ld, st, atom, fences */
bool low_control(struct low *L, bool *known);	/* branches, calls, barriers, collectives */

#endif
