// SPDX-License-Identifier: Apache-2.0
/* Atomic read-modify-write, with the host's own atomics. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops.h"

typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;

/* in->b: operand; in->c: second operand of cas; in->d: old value, or SG_NOSLOT for red. */
#define ATOM(name, T, ...) \
	static void name(struct sg_exec *x, const struct sg_insn *in, uint32_t m) \
	{ \
		char *host[SG_LANES]; \
		const T *b = sg_slot(x, in->b); \
		T *d = in->d == SG_NOSLOT ? NULL : sg_slot(x, in->d); \
		\
		if (!sg_mem_resolve(x, in, m, sizeof(T), host)) \
			return; \
		for (; m; m &= m - 1) { \
			int l = __builtin_ctz(m); \
			T *p = (T *)host[l], v = b[l], old; \
			\
			(void)v; \
			__VA_ARGS__; \
			if (d) \
				d[l] = old; \
		} \
	}

#define FETCH(name, T, fn) ATOM(name, T, old = __atomic_##fn(p, v, __ATOMIC_SEQ_CST))

/* What the host has no instruction for is a compare-and-swap loop over the new value. */
#define LOOP(name, T, V, expr) \
	ATOM(name, T, { \
		T new; \
		old = __atomic_load_n(p, __ATOMIC_RELAXED); \
		do { \
			V cur, arg, res; \
			memcpy(&cur, &old, sizeof(cur)); \
			memcpy(&arg, &v, sizeof(arg)); \
			res = (expr); \
			memcpy(&new, &res, sizeof(new)); \
		} while (!__atomic_compare_exchange_n(p, &old, new, false, __ATOMIC_SEQ_CST, \
						      __ATOMIC_RELAXED)); \
	})

#define CAS(name, T) \
	ATOM(name, T, { \
		T want = v, put = ((const T *)sg_slot(x, in->c))[l]; \
		__atomic_compare_exchange_n(p, &want, put, false, __ATOMIC_SEQ_CST, \
					    __ATOMIC_SEQ_CST); \
		old = want; \
	})

#define BOTH(W) \
	FETCH(add_##W, u##W, fetch_add) FETCH(and_##W, u##W, fetch_and) \
	FETCH(or_##W, u##W, fetch_or) FETCH(xor_##W, u##W, fetch_xor) \
	FETCH(exch_##W, u##W, exchange_n) CAS(cas_##W, u##W) \
	LOOP(min_u##W, u##W, u##W, cur < arg ? cur : arg) \
	LOOP(max_u##W, u##W, u##W, cur > arg ? cur : arg) \
	LOOP(min_s##W, u##W, s##W, cur < arg ? cur : arg) \
	LOOP(max_s##W, u##W, s##W, cur > arg ? cur : arg)

BOTH(32)
BOTH(64)
LOOP(inc_u32, u32, u32, cur >= arg ? 0 : cur + 1)
LOOP(dec_u32, u32, u32, !cur || cur > arg ? arg : cur - 1)
LOOP(inc_u64, u64, u64, cur >= arg ? 0 : cur + 1)
LOOP(dec_u64, u64, u64, !cur || cur > arg ? arg : cur - 1)
LOOP(add_f32, u32, float, cur + arg)
LOOP(add_f64, u64, double, cur + arg)
LOOP(min_f32, u32, float, fminf(cur, arg))
LOOP(max_f32, u32, float, fmaxf(cur, arg))
CAS(cas_16, u16)
FETCH(exch_16, u16, exchange_n)

static u16 add_half(u16 a, u16 b)
{
	return sg_f64_to_f16(sg_f16_to_f64(a) + sg_f16_to_f64(b), RND_N);
}

static u16 add_bhalf(u16 a, u16 b)
{
	return sg_f64_to_bf16(sg_bf16_to_f64(a) + sg_bf16_to_f64(b), RND_N);
}

LOOP(add_f16, u16, u16, add_half(cur, arg))
LOOP(add_bf16, u16, u16, add_bhalf(cur, arg))
LOOP(add_f16x2, u32, u32, add_half(cur, arg) | (u32)add_half(cur >> 16, arg >> 16) << 16)
LOOP(add_bf16x2, u32, u32, add_bhalf(cur, arg) | (u32)add_bhalf(cur >> 16, arg >> 16) << 16)

static const struct {
	const char *name;
	enum sg_type type;
	sg_op fn;
} atoms[] = {
	{ "add", T_U32, add_32 }, { "add", T_S32, add_32 }, { "add", T_U64, add_64 },
	{ "add", T_S64, add_64 }, { "add", T_F32, add_f32 }, { "add", T_F64, add_f64 },
	{ "add", T_F16, add_f16 }, { "add", T_F16X2, add_f16x2 },
	{ "add", T_BF16, add_bf16 }, { "add", T_BF16X2, add_bf16x2 },
	{ "and", T_B32, and_32 }, { "or", T_B32, or_32 }, { "xor", T_B32, xor_32 },
	{ "and", T_B64, and_64 }, { "or", T_B64, or_64 }, { "xor", T_B64, xor_64 },
	{ "exch", T_B16, exch_16 }, { "exch", T_B32, exch_32 }, { "exch", T_B64, exch_64 },
	{ "cas", T_B16, cas_16 }, { "cas", T_B32, cas_32 }, { "cas", T_B64, cas_64 },
	{ "min", T_U32, min_u32 }, { "min", T_S32, min_s32 }, { "min", T_U64, min_u64 },
	{ "min", T_S64, min_s64 }, { "max", T_U32, max_u32 }, { "max", T_S32, max_s32 },
	{ "max", T_U64, max_u64 }, { "max", T_S64, max_s64 },
	{ "min", T_F32, min_f32 }, { "max", T_F32, max_f32 },
	{ "inc", T_U32, inc_u32 }, { "dec", T_U32, dec_u32 },
	{ "inc", T_U64, inc_u64 }, { "dec", T_U64, dec_u64 },
	/* exch and cas are also spelt with the sign of their operands */
	{ "exch", T_U32, exch_32 }, { "exch", T_S32, exch_32 }, { "exch", T_U64, exch_64 },
	{ "exch", T_S64, exch_64 }, { "exch", T_F32, exch_32 }, { "exch", T_F64, exch_64 },
	{ "cas", T_U32, cas_32 }, { "cas", T_S32, cas_32 }, { "cas", T_U64, cas_64 },
	{ "cas", T_S64, cas_64 }, { "cas", T_U16, cas_16 }, { "cas", T_S16, cas_16 },
};

sg_op sg_atom_op(const char *name, enum sg_type type)
{
	for (size_t i = 0; i < sizeof(atoms) / sizeof(atoms[0]); i++)
		if (atoms[i].type == type && !strcmp(atoms[i].name, name))
			return atoms[i].fn;
	return NULL;
}
