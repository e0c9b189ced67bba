/* SPDX-License-Identifier: Apache-2.0 */
/* The operations that lowering chooses from. */
#ifndef SG_OPS_H
#define SG_OPS_H

#include "exec.h"
#include "ptx.h"

/* A slot and the bytes of the register there. */
struct sg_vslot {
	int32_t slot;
	int32_t size;
};

/*
 * Plain operations, by canonical name and type: "mul.wide" and T_S32. The types of the operands
 * follow; T_NONE ends them. A predicate operand is T_PRED.
 */
struct sg_opdef {
	const char *name;
	enum sg_type type;
	sg_op fn;
	enum sg_type d;
	enum sg_type src[3];
};

extern const struct sg_opdef sg_int_ops[], sg_bit_ops[], sg_float_ops[], sg_half_ops[],
	sg_carry_ops[];

enum sg_cmp {
	CMP_EQ, CMP_NE, CMP_LT, CMP_LE, CMP_GT, CMP_GE,
	CMP_EQU, CMP_NEU, CMP_LTU, CMP_LEU, CMP_GTU, CMP_GEU, CMP_NUM, CMP_NAN,
};

/* Those with four sources, the last in insn->e or insn->imm. */
void sg_op_bfi32(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
void sg_op_bfi64(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
void sg_op_lop3(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
sg_op sg_slct_op(int size, bool by_float);

/* The comparison of two values of a type, into a predicate; NULL when there is none. */
sg_op sg_compare_op(enum sg_cmp cmp, enum sg_type type);

/*
 * Conversions: dtype, atype, sub = enum sg_round, size and vec = register bytes of d and a,
 * imm = flags.
 */
enum sg_round { RND_NONE, RND_N, RND_Z, RND_M, RND_P, RND_NA };
enum { CVT_SAT = 1, CVT_FTZ = 2, CVT_RELU = 4 };
sg_op sg_cvt_op(const struct sg_insn *in);
/* Conversions of pairs of 8-bit floats and to tf32: vec = enum sg_narrow, atype = the other type */
enum sg_narrow { NR_NONE, NR_E4M3X2, NR_E5M2X2, NR_TF32 };
void sg_op_cvt_to_8(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
void sg_op_cvt_from_8(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
void sg_op_cvt_tf32(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
void sg_op_cvt_pack_int(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
void sg_op_cvt_pack(struct sg_exec *x, const struct sg_insn *in, uint32_t m);

/* Runs in->inner with the rounding mode in->sub. */
void sg_op_rounded(struct sg_exec *x, const struct sg_insn *in, uint32_t m);

/* Register moves */
void sg_op_mov(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
void sg_op_mov_pred(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
void sg_op_pack(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
void sg_op_unpack(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
void sg_op_near(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
void sg_op_selp(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
void sg_op_set(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
void sg_op_pred_logic(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
enum sg_plogic { PL_AND, PL_OR, PL_XOR, PL_NOT };

/* Special registers: sub = enum sg_sreg */
enum sg_sreg {
	SR_TID, SR_NTID = SR_TID + 3, SR_CTAID = SR_NTID + 3, SR_NCTAID = SR_CTAID + 3,
	SR_LANEID = SR_NCTAID + 3, SR_WARPID, SR_NWARPID, SR_SMID, SR_NSMID, SR_GRIDID,
	SR_LANEMASK_EQ, SR_LANEMASK_LE, SR_LANEMASK_LT, SR_LANEMASK_GE, SR_LANEMASK_GT,
	SR_CLOCK, SR_CLOCK_HI, SR_CLOCK64, SR_GLOBALTIMER, SR_GLOBALTIMER_LO, SR_GLOBALTIMER_HI,
	SR_DYN_SMEM, SR_TOTAL_SMEM, SR_ENVREG1, SR_ENVREG2, SR_ZERO, SR_ONE,
	SR_RESERVED, SR_RESERVED_END, SR_RESERVED_CAP,
	SR_CLUSTER_CTAID, SR_CLUSTER_NCTAID = SR_CLUSTER_CTAID + 3,
	SR_END = SR_CLUSTER_NCTAID + 3,
};
void sg_op_sreg(struct sg_exec *x, const struct sg_insn *in, uint32_t m);

/* Memory */
void sg_op_ld(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
void sg_op_ld_param(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
void sg_op_st(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
void sg_op_fence(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
void sg_op_isspacep(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
void sg_op_local_addr(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
bool sg_mem_resolve(struct sg_exec *x, const struct sg_insn *in, uint32_t m, uint32_t bytes,
		    char **host);

/* Asynchronous copies, which are done at once here, and the barriers that wait for them */
enum sg_mbar { MB_INIT, MB_INVAL, MB_ARRIVE, MB_DROP, MB_EXPECT, MB_COMPLETE, MB_TEST, MB_PARITY };
void sg_op_cp_async(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
void sg_op_cp_bulk(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
/* So many bytes have come: the mbarrier at a shared address hears of it. */
bool sg_mbarrier_complete(struct sg_exec *x, uint64_t addr, uint32_t bytes, int lane);
/* A box of a tensor: coordinates, the innermost first */
struct sg_cp_tensor {
	int rank;
	int32_t at[5];
	bool store;
};
void sg_op_cp_tensor(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
void sg_op_mbarrier(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
void sg_op_pending_count(struct sg_exec *x, const struct sg_insn *in, uint32_t m);

/* Video instructions: a part of each operand, or two halves or four bytes of all */
enum sg_video_op {
	VI_NONE, VI_ADD, VI_SUB, VI_ABSDIFF, VI_MIN, VI_MAX, VI_AVRG, VI_SET, VI_SHL, VI_SHR, VI_MAD,
};
struct sg_video_part {
	uint8_t shift, bits;
};
struct sg_video {
	enum sg_video_op op;
	enum sg_video_op second;	/* what is done with the result and c */
	enum sg_cmp compare;
	bool d_signed, a_signed, b_signed;
	bool saturate, wrap, plus_one;
	uint8_t scale;			/* vmad: bits shifted out */
	uint8_t parts;			/* 1, 2 or 4 */
	struct sg_video_part d, a, b;	/* of one part */
	bool merge;			/* the rest of d is that of c */
	uint8_t mask;			/* of more parts: those that are written; the rest is c's */
	uint8_t a_from[4], b_from[4];	/* of a's, then b's */
};
void sg_op_video(struct sg_exec *x, const struct sg_insn *in, uint32_t m);

/* Matrices: the fragments that the lanes of a warp hold in registers */
enum sg_element {
	EL_NONE, EL_F16, EL_BF16, EL_TF32, EL_E4M3, EL_E5M2, EL_F32, EL_F64,
	EL_S8, EL_U8, EL_S4, EL_U4, EL_B1, EL_S32,
};
struct sg_mma {
	int m, n, k;
	enum sg_element a, b, c, d;
	int na, nb, nc, nd;		/* registers of each */
	int32_t *slot;			/* of d, a, b and c, one after the other */
	bool saturate, is_and;
};
/* wmma.load and wmma.store: one matrix; its elements are numbered along rows, or columns for b. */
struct sg_wmma_move {
	int rows, columns, registers;
	enum sg_element type;
	bool is_b, by_column, store;	/* by_column: in memory */
	int32_t *slot, stride;		/* stride: SG_NOSLOT if dense */
};
double sg_as_number(uint64_t raw, enum sg_element t);
/* An element of D: the products of k elements of a and b, and the element of C. */
uint64_t sg_dot(const struct sg_mma *p, const double *a, const double *b, uint64_t c);

/* wgmma: the matrix of a warp group, of which each warp has 16 of the 64 rows */
struct sg_wgmma {
	struct sg_mma mma;		/* slot: D, then A, if that is in registers */
	int32_t a, b;			/* descriptors of what lies in shared memory */
	int32_t scale_d;		/* a predicate: whether the old D is added */
	bool negate_a, negate_b;
	bool a_by_m, b_by_n;		/* neighbours in memory differ in m or n, and not in k */
};
void sg_op_wgmma(struct sg_exec *x, const struct sg_insn *in, uint32_t m);

void sg_op_wmma(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
void sg_op_wmma_move(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
void sg_op_mma(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
void sg_op_ldmatrix(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
void sg_op_stmatrix(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
void sg_op_movmatrix(struct sg_exec *x, const struct sg_insn *in, uint32_t m);

/* Textures and surfaces: a = the object's number */
enum sg_edge { SG_EDGE_TRAP, SG_EDGE_CLAMP, SG_EDGE_ZERO };
struct sg_tex {
	uint8_t dims;			/* 1 to 3, without layer; 2 of a cube, with 3 coordinates */
	bool layered, cube;
	bool whole;			/* coordinates are whole numbers; always so of surfaces */
	bool store;			/* surfaces */
	enum sg_edge edge;		/* surfaces: what is outside */
	int8_t gather;			/* tld4: the channel; else -1 */
	int32_t at[4];			/* coordinates, the layer first */
	int32_t offset[3];		/* in elements; SG_NOSLOT without */
	int32_t lod;			/* SG_NOSLOT without */
	int32_t gradient[2][3];		/* SG_NOSLOT without */
	struct sg_vslot value[4];
};
void sg_op_tex(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
/* size and vec = bytes and number of what is loaded or stored */
void sg_op_surface(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
/* sub = enum sg_tex_query, vec = whether it is a surface */
enum sg_tex_query { TQ_WIDTH, TQ_HEIGHT, TQ_DEPTH, TQ_LAYERS, TQ_LEVELS };
void sg_op_tex_query(struct sg_exec *x, const struct sg_insn *in, uint32_t m);

/* 8-bit floats; 0 to 255 */
double sg_e4m3_to_f64(uint8_t v);
double sg_e5m2_to_f64(uint8_t v);
uint8_t sg_f64_to_e4m3(double v);
uint8_t sg_f64_to_e5m2(double v);

/* Atomics; NULL when the machine has no such one. */
sg_op sg_atom_op(const char *name, enum sg_type type);

/* Warp collectives */
enum sg_shfl { SHFL_UP, SHFL_DOWN, SHFL_BFLY, SHFL_IDX };
void sg_op_shfl(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
enum sg_vote { VOTE_ALL, VOTE_ANY, VOTE_UNI, VOTE_BALLOT };
void sg_op_vote(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
void sg_op_match_any(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
void sg_op_match_all(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
enum sg_redux { RX_ADD, RX_MIN, RX_MAX, RX_AND, RX_OR, RX_XOR };
void sg_op_redux(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
void sg_op_elect(struct sg_exec *x, const struct sg_insn *in, uint32_t m);
void sg_op_activemask(struct sg_exec *x, const struct sg_insn *in, uint32_t m);

/* Half precision, shared with the conversions */
double sg_f16_to_f64(uint16_t h);
uint16_t sg_f64_to_f16(double v, enum sg_round r);
double sg_bf16_to_f64(uint16_t h);
uint16_t sg_f64_to_bf16(double v, enum sg_round r);

#endif
