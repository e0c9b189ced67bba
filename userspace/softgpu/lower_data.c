// SPDX-License-Identifier: Apache-2.0
/* Lowering of moves, conversions, comparisons and selections. */
#include <string.h>

#include "lower.h"

/* Parts of a vector as registers or constants of part_size bytes. */
static struct sg_vslot *vector_slots(struct low *L, struct ptx_operand *o, int part, bool dst)
{
	struct sg_vslot *v = sg_arena_alloc(L->arena, o->n * sizeof(*v));

	for (int i = 0; i < o->n; i++) {
		struct ptx_operand *p = &o->sub[i];

		if (low_reg(L, p, &v[i])) {
			if (v[i].size != (part == 1 ? 2 : part)) {
				low_fail(L, "register %s has the wrong size", p->name);
				return NULL;
			}
		} else if (dst && low_is_sink(p)) {
			v[i].slot = SG_NOSLOT;
		} else if (!dst && p->kind == OP_INT) {
			v[i].slot = low_const(L, part, p->bits);
			v[i].size = part == 1 ? 2 : part;
		} else if (!dst && p->kind == OP_FLOAT && part >= 4) {
			v[i].slot = low_src(L, p, part == 4 ? T_F32 : T_F64);
			v[i].size = part;
		} else {
			low_lack(L, "unsupported vector element");
			return NULL;
		}
	}
	return v;
}

/* mov.v4.f32 d, {a, b, c, e}: all sources are read before one destination is written. */
static bool mov_vector(struct low *L, enum sg_type t)
{
	struct ptx_operand *d = &L->s->ops[0], *a = &L->s->ops[1];
	int size = sg_type_size(t);
	struct sg_insn *in;
	int32_t tmp[4];

	if (d->kind != OP_VEC || a->kind != OP_VEC || d->n != a->n || d->n > 4 || size < 2 ||
	    size > 8)
		return low_fail(L, "the operands are no vectors of one size");
	for (int i = 0; i < d->n; i++) {
		int32_t from = low_src(L, &a->sub[i], t);

		if (from == SG_NOSLOT)
			return false;
		in = low_emit(L, sg_op_mov, K_PLAIN);
		in->a = from;
		in->size = size;
		in->d = tmp[i] = low_temp(L, size);
	}
	for (int i = 0; i < d->n; i++) {
		int32_t to = low_dst(L, &d->sub[i], t);

		if (to == SG_NOSLOT)
			return false;
		in = low_emit(L, sg_op_mov, K_PLAIN);
		in->a = tmp[i];
		in->size = size;
		in->d = to;
	}
	return true;
}

static bool lower_mov(struct low *L)
{
	enum sg_type t = low_last_type(L);
	struct ptx_operand *d = &L->s->ops[0], *a = &L->s->ops[1];
	int size = sg_type_size(t);
	struct sg_insn *in;
	int32_t slot;

	if (!low_want(L, 2, 2))
		return false;
	if (low_mod(L, "v2") || low_mod(L, "v4"))
		return mov_vector(L, t);
	if (t == T_PRED) {
		int32_t to = low_dst(L, d, t);

		slot = low_src(L, a, t);
		if (to == SG_NOSLOT || slot == SG_NOSLOT)
			return false;
		in = low_emit(L, sg_op_mov_pred, K_PLAIN);
		in->a = slot;
		in->d = to;
		return true;
	}
	if (size < 2 || size > 8)
		return low_unsupported(L);
	if (d->kind == OP_VEC || a->kind == OP_VEC) {
		struct ptx_operand *v = d->kind == OP_VEC ? d : a;
		bool unpack = d->kind == OP_VEC;
		int32_t whole = unpack ? low_src(L, a, t) : low_dst(L, d, t);
		struct sg_vslot *parts;

		if (v->n < 2 || size % v->n || (unpack && a->kind == OP_VEC))
			return low_unsupported(L);
		parts = vector_slots(L, v, size / v->n, unpack);
		if (!parts || whole == SG_NOSLOT)
			return false;
		in = low_emit(L, unpack ? sg_op_unpack : sg_op_pack, K_PLAIN);
		in->extra = parts;
		in->vec = v->n;
		in->size = size;
		if (unpack)
			in->a = whole;
		else
			in->d = whole;
		return true;
	}
	slot = low_src(L, a, t);
	if (slot == SG_NOSLOT)
		return false;
	in = low_emit(L, sg_op_mov, K_PLAIN);
	in->a = slot;
	in->size = size;
	return (in->d = low_dst(L, d, t)) != SG_NOSLOT;
}

static enum sg_round take_round(struct low *L, bool *whole)
{
	static const struct {
		const char *word;
		enum sg_round round;
		bool whole;
	} words[] = {
		{ "rni", RND_N, true }, { "rzi", RND_Z, true }, { "rmi", RND_M, true },
		{ "rpi", RND_P, true }, { "rn", RND_N, false }, { "rz", RND_Z, false },
		{ "rm", RND_M, false }, { "rp", RND_P, false }, { "rna", RND_NA, false },
	};

	*whole = false;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (low_mod(L, words[i].word)) {
			*whole = words[i].whole;
			return words[i].round;
		}
	}
	return RND_NONE;
}

static bool cvt_plain(struct low *L)
{
	enum sg_type a = low_last_type(L), d = low_last_type(L);
	struct sg_vslot from, to;
	struct sg_insn *in, c = { 0 };
	bool whole;

	c.sub = take_round(L, &whole);
	c.imm = (low_mod(L, "sat") ? CVT_SAT : 0) | (low_mod(L, "ftz") ? CVT_FTZ : 0) |
		(low_mod(L, "relu") ? CVT_RELU : 0);
	c.dtype = d;
	c.atype = a;
	if (a == T_NONE || d == T_NONE || a == T_PRED || d == T_PRED)
		return low_unsupported(L);
	if (d == T_F16X2 || d == T_BF16X2) {
		int32_t hi, lo, out;

		if (a != T_F32 || !low_want(L, 3, 3))
			return low_unsupported(L);
		hi = low_src(L, &L->s->ops[1], a);
		lo = low_src(L, &L->s->ops[2], a);
		out = low_dst(L, &L->s->ops[0], d);
		if (hi == SG_NOSLOT || lo == SG_NOSLOT || out == SG_NOSLOT)
			return false;
		in = low_emit(L, sg_op_cvt_pack, K_PLAIN);
		in->a = hi;
		in->b = lo;
		in->d = out;
		in->dtype = d;
		in->sub = c.sub;
		in->imm = c.imm;
		return true;
	}
	/* where rounding can change the value the text has to say how */
	if (sg_type_float(a) && !sg_type_float(d) && !whole)
		return low_fail(L, "a float to integer conversion needs an integer rounding");
	if (a == T_F16X2 || a == T_BF16X2 || (sg_type_float(d) && d != a && whole) ||
	    (c.sub == RND_NA && d != T_BF16))
		return low_unsupported(L);
	if (!low_want(L, 2, 2))
		return false;
	if (low_reg(L, &L->s->ops[1], &from)) {
		if (from.size < sg_type_size(a))
			return low_fail(L, "the source register is too small");
	} else {
		from.slot = low_src(L, &L->s->ops[1], a);
		from.size = sg_type_size(a) < 2 ? 2 : sg_type_size(a);
		if (from.slot == SG_NOSLOT)
			return false;
	}
	if (!low_reg(L, &L->s->ops[0], &to) || to.size < sg_type_size(d))
		return low_fail(L, "the destination is no register that fits");
	c.size = to.size;
	c.vec = from.size;
	in = low_emit(L, sg_cvt_op(&c), K_PLAIN);
	in->a = from.slot;
	in->d = to.slot;
	in->size = c.size;
	in->vec = c.vec;
	in->sub = c.sub;
	in->imm = c.imm;
	in->dtype = d;
	in->atype = a;
	return true;
}

/* A type of two 8-bit floats, or tf32, among the modifiers. */
static enum sg_narrow take_narrow(struct low *L)
{
	return low_mod(L, "e4m3x2") ? NR_E4M3X2 : low_mod(L, "e5m2x2") ? NR_E5M2X2 :
	       low_mod(L, "tf32") ? NR_TF32 : NR_NONE;
}

/*
 * cvt.rn.satfinite.e4m3x2.f32 d, a, b; cvt.rn.satfinite.e4m3x2.f16x2 d, a;
 * cvt.rn.f16x2.e4m3x2 d, a; cvt.rna.tf32.f32 d, a
 */
static bool cvt_narrow(struct low *L, enum sg_narrow narrow)
{
	struct ptx_operand *ops = L->s->ops;
	enum sg_type other = low_last_type(L);
	bool whole, tf32 = narrow == NR_TF32, two = !tf32 && other == T_F32;
	/* the type that is written first is the destination's */
	bool widens = !tf32 && !strncmp(L->s->mods[L->s->nmods - 1], "e", 1);
	struct sg_insn *in, c = { 0 };

	c.sub = take_round(L, &whole);
	c.imm = (low_mod(L, "relu") ? CVT_RELU : 0) | (low_mod(L, "satfinite") ? CVT_SAT : 0);
	if (whole || (tf32 ? other != T_F32 || c.sub == RND_NONE || c.sub == RND_M ||
			     c.sub == RND_P :
		      c.sub != RND_N || (other != T_F16X2 && (other != T_F32 || widens)) ||
		      !(c.imm & CVT_SAT) != widens))
		return low_unsupported(L);
	if (!low_want(L, 2 + two, 2 + two))
		return false;
	c.a = low_src(L, &ops[1], tf32 ? T_F32 : widens ? T_B16 : other == T_F32 ? T_F32 : T_B32);
	c.b = two ? low_src(L, &ops[2], T_F32) : c.a;
	c.d = low_dst(L, &ops[0], tf32 || widens ? T_B32 : T_B16);
	if (c.a == SG_NOSLOT || c.b == SG_NOSLOT || c.d == SG_NOSLOT)
		return false;
	in = low_emit(L, tf32 ? sg_op_cvt_tf32 : widens ? sg_op_cvt_from_8 : sg_op_cvt_to_8,
		      K_PLAIN);
	in->a = c.a;
	in->b = c.b;
	in->d = c.d;
	in->sub = c.sub;
	in->imm = c.imm;
	in->vec = narrow;
	in->atype = other;
	return true;
}

/* cvt.pack.sat.u16.s32 d, a, b and cvt.pack.sat.s8.s32.b32 d, a, b, c */
static bool cvt_pack_int(struct low *L)
{
	struct ptx_operand *ops = L->s->ops;
	enum sg_type c = low_last_type(L), a = c == T_B32 ? low_last_type(L) : c;
	enum sg_type d = low_last_type(L);
	struct sg_insn *in, s = { .c = SG_NOSLOT };
	bool more = c == T_B32;

	if (!low_mod(L, "sat") || a != T_S32 ||
	    (more ? d != T_S8 && d != T_U8 : d != T_S16 && d != T_U16))
		return low_unsupported(L);
	if (!low_want(L, 3 + more, 3 + more))
		return false;
	s.a = low_src(L, &ops[1], T_S32);
	s.b = low_src(L, &ops[2], T_S32);
	if (more)
		s.c = low_src(L, &ops[3], T_B32);
	s.d = low_dst(L, &ops[0], T_B32);
	if (s.a == SG_NOSLOT || s.b == SG_NOSLOT || s.d == SG_NOSLOT || (more && s.c == SG_NOSLOT))
		return false;
	in = low_emit(L, sg_op_cvt_pack_int, K_PLAIN);
	in->a = s.a;
	in->b = s.b;
	in->c = s.c;
	in->d = s.d;
	in->dtype = d;
	return true;
}

static bool lower_cvt(struct low *L)
{
	enum sg_narrow narrow = take_narrow(L);

	if (low_mod(L, "pack"))
		return cvt_pack_int(L);
	return narrow ? cvt_narrow(L, narrow) : cvt_plain(L);
}

static bool take_cmp(struct low *L, enum sg_cmp *cmp)
{
	static const struct {
		const char *word;
		enum sg_cmp cmp;
	} words[] = {
		{ "eq", CMP_EQ }, { "ne", CMP_NE }, { "lt", CMP_LT }, { "le", CMP_LE },
		{ "gt", CMP_GT }, { "ge", CMP_GE }, { "lo", CMP_LT }, { "ls", CMP_LE },
		{ "hi", CMP_GT }, { "hs", CMP_GE }, { "equ", CMP_EQU }, { "neu", CMP_NEU },
		{ "ltu", CMP_LTU }, { "leu", CMP_LEU }, { "gtu", CMP_GTU }, { "geu", CMP_GEU },
		{ "num", CMP_NUM }, { "nan", CMP_NAN },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (low_mod(L, words[i].word)) {
			*cmp = words[i].cmp;
			return true;
		}
	}
	return low_unsupported(L);
}

/* A half, or a float to be flushed, as a plain float in a temporary; size is its register's. */
static int32_t half_as_float(struct low *L, int32_t slot, enum sg_type t, int size, bool ftz)
{
	struct sg_insn c = { .dtype = T_F32, .atype = t, .size = 4, .vec = size,
			     .imm = ftz ? CVT_FTZ : 0 };
	struct sg_insn *in;
	int32_t tmp = low_temp(L, 4);

	in = low_emit(L, sg_cvt_op(&c), K_PLAIN);
	in->a = slot;
	in->d = tmp;
	in->dtype = T_F32;
	in->atype = t;
	in->size = 4;
	in->vec = size;
	in->imm = c.imm;
	return tmp;
}

/* Emits the comparison of operands 1 and 2 into a new predicate. */
static int32_t compare(struct low *L, enum sg_type t)
{
	enum sg_cmp cmp = CMP_EQ;
	bool ftz = low_mod(L, "ftz");
	int32_t a, b;
	struct sg_insn *in;
	sg_op fn;

	if (!take_cmp(L, &cmp))
		return SG_NOSLOT;
	a = low_src(L, &L->s->ops[1], t);
	b = low_src(L, &L->s->ops[2], t);
	if (a == SG_NOSLOT || b == SG_NOSLOT)
		return SG_NOSLOT;
	if (t == T_F16 || t == T_BF16 || (t == T_F32 && ftz)) {
		a = half_as_float(L, a, t, sg_type_size(t), ftz);
		b = half_as_float(L, b, t, sg_type_size(t), ftz);
		t = T_F32;
	}
	fn = sg_compare_op(cmp, t);
	if (!fn) {
		low_unsupported(L);
		return SG_NOSLOT;
	}
	in = low_emit(L, fn, K_PLAIN);
	in->a = a;
	in->b = b;
	return in->d = low_temp(L, 0);
}

/* Emits the comparison of one half of operands 1 and 2, packed pairs, into a new predicate. */
static int32_t compare_half(struct low *L, enum sg_type t, enum sg_cmp cmp, bool ftz,
			    const int32_t src[2], bool upper)
{
	enum sg_type half = t == T_F16X2 ? T_F16 : T_BF16;
	int32_t f[2];
	struct sg_insn *in;

	for (int i = 0; i < 2; i++) {
		int32_t tmp = low_temp(L, 4);

		in = low_emit(L, low_find_op("shr", T_U32)->fn, K_PLAIN);
		in->a = src[i];
		in->b = low_const(L, 4, upper ? 16 : 0);
		in->d = tmp;
		f[i] = half_as_float(L, tmp, half, 4, ftz);
	}
	in = low_emit(L, sg_compare_op(cmp, T_F32), K_PLAIN);
	in->a = f[0];
	in->b = f[1];
	return in->d = low_temp(L, 0);
}

/* Both halves; out[0] is the lower one's. */
static bool compare_pair(struct low *L, enum sg_type t, int32_t out[2])
{
	enum sg_cmp cmp = CMP_EQ;
	bool ftz = low_mod(L, "ftz");
	int32_t src[2];

	if (!take_cmp(L, &cmp))
		return false;
	for (int i = 0; i < 2; i++) {
		src[i] = low_src(L, &L->s->ops[i + 1], t);
		if (src[i] == SG_NOSLOT)
			return false;
	}
	out[0] = compare_half(L, t, cmp, ftz, src, false);
	out[1] = compare_half(L, t, cmp, ftz, src, true);
	return true;
}

static int take_bool_op(struct low *L)
{
	return low_mod(L, "and") ? PL_AND : low_mod(L, "or") ? PL_OR :
	       low_mod(L, "xor") ? PL_XOR : -1;
}

static int32_t pred_op(struct low *L, enum sg_plogic op, int32_t a, int32_t b, int32_t d)
{
	struct sg_insn *in = low_emit(L, sg_op_pred_logic, K_PLAIN);

	in->sub = op;
	in->a = a;
	in->b = b;
	return in->d = d;
}

/* setp.cmp.f16x2 p|q, a, b: p is of the lower halves, q of the upper ones */
static bool setp_pair(struct low *L, enum sg_type t)
{
	struct ptx_operand *d = L->s->ops[0].sub;
	int32_t cmp[2], to[2];

	if (!compare_pair(L, t, cmp))
		return false;
	for (int i = 0; i < 2; i++) {
		to[i] = low_dst(L, &d[i], T_PRED);
		if (to[i] == SG_NOSLOT)
			return false;
	}
	for (int i = 0; i < 2; i++)
		pred_op(L, PL_OR, cmp[i], cmp[i], to[i]);
	return true;
}

/* setp.cmp.bool.type p|q, a, b, c: p = cmp bool c, q = !cmp bool c */
static bool lower_setp(struct low *L)
{
	enum sg_type t = low_last_type(L);
	int logic = take_bool_op(L);
	struct ptx_operand *d = &L->s->ops[0];
	bool pair = d->kind == OP_PAIR;
	int32_t cmp, c = SG_NOSLOT, p, q = SG_NOSLOT, not;
	struct sg_insn *in;

	if (!low_want(L, logic < 0 ? 3 : 4, logic < 0 ? 3 : 4))
		return false;
	if (t == T_F16X2 || t == T_BF16X2)
		return pair && logic < 0 ? setp_pair(L, t) : low_unsupported(L);
	cmp = compare(L, t);
	p = low_dst(L, pair ? &d->sub[0] : d, T_PRED);
	if (pair)
		q = low_dst(L, &d->sub[1], T_PRED);
	if (logic >= 0)
		c = low_src(L, &L->s->ops[3], T_PRED);
	if (cmp == SG_NOSLOT || p == SG_NOSLOT || (pair && q == SG_NOSLOT) ||
	    (logic >= 0 && c == SG_NOSLOT))
		return false;
	if (logic < 0 && !pair) {
		L->code[L->n - 1].d = p;	/* straight into its place */
		return true;
	}
	if (pair) {
		not = pred_op(L, PL_NOT, cmp, SG_NOSLOT, low_temp(L, 0));
		if (logic >= 0)
			not = pred_op(L, logic, not, c, low_temp(L, 0));
		if (logic >= 0)
			pred_op(L, logic, cmp, c, p);
		else
			pred_op(L, PL_OR, cmp, cmp, p);
		in = low_emit(L, sg_op_mov_pred, K_PLAIN);
		in->a = not;
		in->d = q;
		return true;
	}
	pred_op(L, logic, cmp, c, p);
	return true;
}

static int32_t emit_set(struct low *L, int32_t pred, int32_t d, int size, uint32_t yes)
{
	struct sg_insn *in = low_emit(L, sg_op_set, K_PLAIN);

	in->a = pred;
	in->size = size;
	in->imm = yes;
	return in->d = d;
}

/* set.cmp.dtype.f16x2 d, a, b: each half of d by itself */
static bool set_pair(struct low *L, enum sg_type dt, enum sg_type st)
{
	uint32_t yes = dt == T_F16X2 ? 0x3c00 : dt == T_BF16X2 ? 0x3f80 : 0xffff;
	int32_t cmp[2], half[2], d;
	struct sg_insn *in;

	if ((dt != st && dt != T_U32 && dt != T_S32) || !low_want(L, 3, 3))
		return low_unsupported(L);
	d = low_dst(L, &L->s->ops[0], dt);
	if (d == SG_NOSLOT || !compare_pair(L, st, cmp))
		return false;
	half[0] = emit_set(L, cmp[0], low_temp(L, 4), 4, yes);
	half[1] = emit_set(L, cmp[1], low_temp(L, 4), 4, yes << 16);
	in = low_emit(L, low_find_op("or", T_B32)->fn, K_PLAIN);
	in->a = half[0];
	in->b = half[1];
	in->d = d;
	return true;
}

/* set.cmp.bool.dtype.stype d, a, b, c */
static bool lower_set(struct low *L)
{
	enum sg_type st = low_last_type(L), dt = low_last_type(L);
	int logic = take_bool_op(L);
	int32_t cmp, c, d;
	uint32_t yes;

	if (st == T_F16X2 || st == T_BF16X2)
		return logic < 0 ? set_pair(L, dt, st) : low_unsupported(L);
	switch (dt) {
	case T_U16:
	case T_S16:
	case T_U32:
	case T_S32:
		yes = 0xffffffff;
		break;
	case T_F16:
		yes = 0x3c00;
		break;
	case T_BF16:
		yes = 0x3f80;
		break;
	case T_F32:
		yes = 0x3f800000;
		break;
	default:
		return low_unsupported(L);
	}
	if (!low_want(L, logic < 0 ? 3 : 4, logic < 0 ? 3 : 4))
		return false;
	cmp = compare(L, st);
	d = low_dst(L, &L->s->ops[0], dt);
	if (cmp == SG_NOSLOT || d == SG_NOSLOT)
		return false;
	if (logic >= 0) {
		c = low_src(L, &L->s->ops[3], T_PRED);
		if (c == SG_NOSLOT)
			return false;
		cmp = pred_op(L, logic, cmp, c, low_temp(L, 0));
	}
	emit_set(L, cmp, d, sg_type_size(dt), yes);
	return true;
}

static bool lower_selp(struct low *L)
{
	enum sg_type t = low_last_type(L);
	int size = sg_type_size(t);
	struct sg_insn *in;
	int32_t a, b, c, d;

	if (size < 2 || size > 8)
		return low_unsupported(L);
	if (!low_want(L, 4, 4))
		return false;
	a = low_src(L, &L->s->ops[1], t);
	b = low_src(L, &L->s->ops[2], t);
	c = low_src(L, &L->s->ops[3], T_PRED);
	d = low_dst(L, &L->s->ops[0], t);
	if (a == SG_NOSLOT || b == SG_NOSLOT || c == SG_NOSLOT || d == SG_NOSLOT)
		return false;
	in = low_emit(L, sg_op_selp, K_PLAIN);
	in->a = a;
	in->b = b;
	in->c = c;
	in->d = d;
	in->size = size;
	return true;
}

static bool lower_slct(struct low *L)
{
	enum sg_type ct = low_last_type(L), t = low_last_type(L);
	bool ftz = low_mod(L, "ftz");
	int size = sg_type_size(t);
	struct sg_insn *in;
	int32_t a, b, c, d;

	if (size < 2 || size > 8 || (ct != T_S32 && ct != T_F32))
		return low_unsupported(L);
	if (!low_want(L, 4, 4))
		return false;
	a = low_src(L, &L->s->ops[1], t);
	b = low_src(L, &L->s->ops[2], t);
	c = low_src(L, &L->s->ops[3], ct);
	d = low_dst(L, &L->s->ops[0], t);
	if (a == SG_NOSLOT || b == SG_NOSLOT || c == SG_NOSLOT || d == SG_NOSLOT)
		return false;
	if (ftz && ct == T_F32)
		c = half_as_float(L, c, T_F32, 4, true);
	in = low_emit(L, sg_slct_op(size, ct == T_F32), K_PLAIN);
	in->a = a;
	in->b = b;
	in->c = c;
	in->d = d;
	return true;
}

/* and, or, xor and not of predicates */
static bool lower_pred_logic(struct low *L)
{
	const char *op = L->s->op;
	bool not = !strcmp(op, "not");
	int32_t a, b = SG_NOSLOT, d;

	low_mod(L, "pred");
	if (!low_want(L, not ? 2 : 3, not ? 2 : 3))
		return false;
	a = low_src(L, &L->s->ops[1], T_PRED);
	if (!not)
		b = low_src(L, &L->s->ops[2], T_PRED);
	d = low_dst(L, &L->s->ops[0], T_PRED);
	if (a == SG_NOSLOT || d == SG_NOSLOT || (!not && b == SG_NOSLOT))
		return false;
	pred_op(L, not ? PL_NOT : !strcmp(op, "and") ? PL_AND : !strcmp(op, "or") ? PL_OR :
		PL_XOR, a, b, d);
	return true;
}

/* lop3.b32 d, a, b, c, table and lop3.or.b32 d|p, a, b, c, table, q */
static bool lower_lop3(struct low *L)
{
	int logic = take_bool_op(L);
	struct ptx_operand *d = &L->s->ops[0];
	struct sg_insn *in;
	int32_t s[3], to, p, q, t;

	if (low_last_type(L) != T_B32 || logic == PL_XOR)
		return low_unsupported(L);
	if (!low_want(L, logic < 0 ? 5 : 6, logic < 0 ? 5 : 6))
		return false;
	if (L->s->ops[4].kind != OP_INT || (logic >= 0) != (d->kind == OP_PAIR))
		return low_lack(L, "unsupported operand");
	for (int i = 0; i < 3; i++) {
		s[i] = low_src(L, &L->s->ops[i + 1], T_B32);
		if (s[i] == SG_NOSLOT)
			return false;
	}
	to = low_dst(L, logic < 0 ? d : &d->sub[0], T_B32);
	if (to == SG_NOSLOT)
		return false;
	in = low_emit(L, sg_op_lop3, K_PLAIN);
	in->a = s[0];
	in->b = s[1];
	in->c = s[2];
	in->d = to;
	in->imm = L->s->ops[4].bits;
	if (logic < 0)
		return true;
	p = low_dst(L, &d->sub[1], T_PRED);
	q = low_src(L, &L->s->ops[5], T_PRED);
	if (p == SG_NOSLOT || q == SG_NOSLOT)
		return false;
	t = low_temp(L, 0);
	in = low_emit(L, sg_compare_op(CMP_NE, T_U32), K_PLAIN);
	in->a = to;
	in->b = low_const(L, 4, 0);
	in->d = t;
	pred_op(L, logic, t, q, p);
	return true;
}

static bool lower_bfi(struct low *L)
{
	enum sg_type t = low_last_type(L);
	struct sg_insn *in;
	int32_t s[4], d;

	if (t != T_B32 && t != T_B64)
		return low_unsupported(L);
	if (!low_want(L, 5, 5))
		return false;
	for (int i = 0; i < 4; i++) {
		s[i] = low_src(L, &L->s->ops[i + 1], i < 2 ? t : T_U32);
		if (s[i] == SG_NOSLOT)
			return false;
	}
	d = low_dst(L, &L->s->ops[0], t);
	if (d == SG_NOSLOT)
		return false;
	in = low_emit(L, t == T_B32 ? sg_op_bfi32 : sg_op_bfi64, K_PLAIN);
	in->a = s[0];
	in->b = s[1];
	in->c = s[2];
	in->e = s[3];
	in->d = d;
	return true;
}

bool low_data(struct low *L, bool *known)
{
	static const struct {
		const char *op;
		bool (*fn)(struct low *);
	} list[] = {
		{ "mov", lower_mov }, { "cvt", lower_cvt }, { "setp", lower_setp },
		{ "set", lower_set }, { "selp", lower_selp }, { "slct", lower_slct },
		{ "lop3", lower_lop3 }, { "bfi", lower_bfi },
	};
	const char *op = L->s->op;

	*known = true;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (!strcmp(list[i].op, op))
			return list[i].fn(L);
	if (L->s->nmods == 1 && !strcmp(L->s->mods[0], "pred") &&
	    (!strcmp(op, "and") || !strcmp(op, "or") || !strcmp(op, "xor") || !strcmp(op, "not")))
		return lower_pred_logic(L);
	*known = false;
	return true;
}
