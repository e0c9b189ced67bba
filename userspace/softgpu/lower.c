// SPDX-License-Identifier: Apache-2.0
/* Lowering: operands, constants, and the operations that come straight out of a table. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_abi.h"
#include "lower.h"

static void failed(struct low *L, int code, const char *fmt, va_list ap)
{
	char what[300], op[128];
	size_t n = 0;

	vsnprintf(what, sizeof(what), fmt, ap);
	n = snprintf(op, sizeof(op), "%s", L->s && L->s->op ? L->s->op : "");
	for (int i = 0; L->s && i < L->s->nmods && n < sizeof(op); i++)
		n += snprintf(op + n, sizeof(op) - n, ".%s", L->s->mods[i]);
	sg_error_set(L->err, code, L->s ? L->s->line : L->f->line, "%s: '%s' in function %s", what,
		     op, L->f->name);
}

bool low_fail(struct low *L, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	failed(L, CUDA_ERROR_INVALID_PTX, fmt, ap);
	va_end(ap);
	return false;
}

bool low_lack(struct low *L, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	failed(L, CUDA_ERROR_NOT_SUPPORTED, fmt, ap);
	va_end(ap);
	return false;
}

bool low_unsupported(struct low *L)
{
	return low_lack(L, "unsupported instruction");
}

bool low_mod(struct low *L, const char *word)
{
	for (int i = 0; i < L->s->nmods; i++) {
		if (!(L->s->used >> i & 1) && !strcmp(L->s->mods[i], word)) {
			L->s->used |= 1u << i;
			return true;
		}
	}
	return false;
}

bool low_mod_prefix(struct low *L, const char *prefix)
{
	for (int i = 0; i < L->s->nmods; i++) {
		if (!(L->s->used >> i & 1) && !strncmp(L->s->mods[i], prefix, strlen(prefix))) {
			L->s->used |= 1u << i;
			return true;
		}
	}
	return false;
}

enum sg_type low_last_type(struct low *L)
{
	for (int i = L->s->nmods - 1; i >= 0; i--) {
		if (!(L->s->used >> i & 1) && ptx_type(L->s->mods[i]) != T_NONE) {
			L->s->used |= 1u << i;
			return ptx_type(L->s->mods[i]);
		}
	}
	return T_NONE;
}

struct sg_insn *low_emit(struct low *L, sg_op fn, enum sg_kind kind)
{
	struct sg_insn *in;

	if (L->n == L->cap) {
		int cap = L->cap ? 2 * L->cap : 16;
		struct sg_insn *bigger = realloc(L->code, cap * sizeof(*bigger));

		if (!bigger)
			abort();
		L->code = bigger;
		L->cap = cap;
	}
	in = &L->code[L->n++];
	*in = (struct sg_insn){
		.fn = fn, .kind = kind, .d = SG_NOSLOT, .e = SG_NOSLOT, .a = SG_NOSLOT,
		.b = SG_NOSLOT, .c = SG_NOSLOT, .guard = L->guard,
		.guard_not = L->s && L->s->guard_not, .line = L->s ? L->s->line : 0,
	};
	return in;
}

/* Where a hash table has the constant, or has room for it. */
static struct low_const *known_const(struct low *L, int key, uint64_t bits)
{
	uint64_t i = (bits ^ (uint64_t)key << 60) * 0x9e3779b97f4a7c15ull >> 32;

	for (;; i++) {
		struct low_const *k = &L->known[i & (L->known_cap - 1)];

		if (k->slot == SG_NOSLOT || (k->size == key && k->bits == bits))
			return k;
	}
}

static void more_known(struct low *L)
{
	struct low_const *old = L->known;
	int n = L->known_cap;

	L->known_cap = n ? 2 * n : 64;
	L->known = malloc(L->known_cap * sizeof(*L->known));
	if (!L->known)
		abort();
	for (int i = 0; i < L->known_cap; i++)
		L->known[i].slot = SG_NOSLOT;
	for (int i = 0; i < n; i++)
		if (old[i].slot != SG_NOSLOT)
			*known_const(L, old[i].size, old[i].bits) = old[i];
	free(old);
}

static int32_t add_const(struct low *L, int size, uint64_t bits, bool splat)
{
	uint32_t bytes = splat ? size * SG_LANES : 64;
	int key = splat ? size : 0;
	struct low_const *k;
	int32_t slot;

	if (2 * (L->nknown + 1) > L->known_cap)
		more_known(L);
	k = known_const(L, key, bits);
	if (k->slot != SG_NOSLOT)
		return k->slot;
	if (L->consts_used + bytes > L->consts_cap) {
		uint32_t cap = L->consts_cap ? 2 * L->consts_cap : 4096;
		char *bigger = aligned_alloc(64, cap);

		if (!bigger)
			abort();
		if (L->consts)
			memcpy(bigger, L->consts, L->consts_used);
		free(L->consts);
		L->consts = bigger;
		L->consts_cap = cap;
	}
	for (int l = 0; splat && l < SG_LANES; l++)
		memcpy(L->consts + L->consts_used + l * size, &bits, size);
	if (!splat)
		memcpy(L->consts + L->consts_used, &bits, 4);
	slot = ~(int32_t)L->consts_used;
	*k = (struct low_const){ bits, key, slot };
	L->nknown++;
	L->consts_used += bytes;
	return slot;
}

int32_t low_const(struct low *L, int size, uint64_t bits)
{
	if (size == 1) {
		size = 2;
		bits &= 0xff;
	}
	if (size < 8)
		bits &= (1ull << 8 * size) - 1;
	return add_const(L, size, bits, true);
}

int32_t low_pred_const(struct low *L, bool v)
{
	return add_const(L, 4, v ? SG_FULL : 0, false);
}

static int32_t new_register(struct low *L, int size)
{
	int32_t slot;

	if (!size) {
		if (!L->pred_left) {
			L->pred_line = L->regs;
			L->pred_left = 16;
			L->regs += 64;
		}
		return L->pred_line + 4 * (16 - L->pred_left--);
	}
	slot = L->regs;
	L->regs += (size < 2 ? 2 : size) * SG_LANES;
	return slot;
}

int32_t low_temp(struct low *L, int size)
{
	int k = size == 0 ? 0 : size <= 2 ? 1 : size == 4 ? 2 : 3;

	if (L->used[k] == 8)
		return new_register(L, size);
	if (L->used[k] == L->ntemps[k])
		L->temps[k][L->ntemps[k]++] = new_register(L, size);
	return L->temps[k][L->used[k]++];
}

/* The slot of one register; its place is chosen when it is first seen. */
static int32_t register_slot(struct low *L, struct ptx_var *v, int index)
{
	if (v->is_array || v->type == T_B128) {
		low_lack(L, "register %s of an unsupported shape", v->name);
		return SG_NOSLOT;
	}
	if (!v->slots) {
		int n = (v->count ? v->count : 1) * v->vec;

		v->slots = sg_arena_alloc(L->arena, n * sizeof(*v->slots));
		for (int i = 0; i < n; i++)
			v->slots[i] = SG_NOSLOT;
	}
	if (v->slots[index] == SG_NOSLOT)
		v->slots[index] = new_register(L, v->type == T_PRED ? 0 : sg_type_size(v->type));
	return v->slots[index];
}

static int register_size(const struct ptx_var *v)
{
	int size = sg_type_size(v->type);

	return v->type == T_PRED ? 0 : size < 2 ? 2 : size;
}

bool low_is_sink(const struct ptx_operand *o)
{
	return o->kind == OP_NAME && !strcmp(o->name, "_");
}

static int element(const char *suffix)
{
	const char *names = "xyzwrgba", *at = NULL;

	if (suffix[0] && !suffix[1])
		at = strchr(names, suffix[0]);

	return at ? (at - names) % 4 : 4;
}

/* The register that an operand names, or of which it names an element. */
static struct ptx_var *find_register(struct low *L, const struct ptx_operand *o, int *index)
{
	struct ptx_var *v;

	if (o->kind != OP_NAME && o->kind != OP_SREG)
		return NULL;
	v = ptx_find_var(L->s->scope, o->name, index);
	if (!v || v->space != SP_REG)
		return NULL;
	if (o->kind == OP_NAME)
		return v->vec == 1 ? v : NULL;
	if (element(o->suffix) >= v->vec || v->vec == 1)
		return NULL;
	*index = *index * v->vec + element(o->suffix);
	return v;
}

/* A vector register is short for the list of its elements. */
static void expand_vectors(struct low *L, struct ptx_operand *o)
{
	static const char *const suffixes[] = { "x", "y", "z", "w" };
	struct ptx_var *v;

	for (int i = 0; i < o->n; i++)
		expand_vectors(L, &o->sub[i]);
	if (o->kind != OP_NAME)
		return;
	v = ptx_find_var(L->s->scope, o->name, NULL);
	if (!v || v->space != SP_REG || v->vec == 1)
		return;
	o->kind = OP_VEC;
	o->n = v->vec;
	o->sub = sg_arena_alloc(L->arena, v->vec * sizeof(*o->sub));
	for (int i = 0; i < v->vec; i++)
		o->sub[i] = (struct ptx_operand){ .kind = OP_SREG, .name = o->name,
						  .suffix = suffixes[i] };
}

static bool named_reg(struct low *L, struct ptx_operand *o, struct sg_vslot *out)
{
	struct ptx_var *v;
	int index;

	v = find_register(L, o, &index);
	if (!v)
		return false;
	out->slot = register_slot(L, v, index);
	out->size = register_size(v);
	return out->slot != SG_NOSLOT;
}

/* The sum of a register and a constant, as an operand may be: `%r1+4`. */
static int32_t plus_constant(struct low *L, struct sg_vslot v, uint64_t bits)
{
	static const enum sg_type types[] = { [2] = T_U16, [4] = T_U32, [8] = T_U64 };
	struct sg_insn *in;

	if (!bits)
		return v.slot;
	if (v.size != 2 && v.size != 4 && v.size != 8) {
		low_fail(L, "a constant is added to what is no number");
		return SG_NOSLOT;
	}
	in = low_emit(L, low_find_op("add", types[v.size])->fn, K_PLAIN);
	in->a = v.slot;
	in->b = low_const(L, v.size, bits);
	return in->d = low_temp(L, v.size);
}

bool low_reg(struct low *L, struct ptx_operand *o, struct sg_vslot *out)
{
	if (!named_reg(L, o, out))
		return false;
	out->slot = plus_constant(L, *out, o->bits);
	return out->slot != SG_NOSLOT;
}

static const struct {
	const char *name;
	enum sg_sreg sreg;
	bool dims;
	uint8_t size;
} sregs[] = {
	{ "%tid", SR_TID, true, 4 }, { "%ntid", SR_NTID, true, 4 },
	{ "%ctaid", SR_CTAID, true, 4 }, { "%nctaid", SR_NCTAID, true, 4 },
	/* a cluster is one block */
	{ "%clusterid", SR_CTAID, true, 4 }, { "%nclusterid", SR_NCTAID, true, 4 },
	{ "%laneid", SR_LANEID, false, 4 }, { "%warpid", SR_WARPID, false, 4 },
	{ "%nwarpid", SR_NWARPID, false, 4 }, { "%smid", SR_SMID, false, 4 },
	{ "%nsmid", SR_NSMID, false, 4 }, { "%gridid", SR_GRIDID, false, 8 },
	{ "%lanemask_eq", SR_LANEMASK_EQ, false, 4 }, { "%lanemask_le", SR_LANEMASK_LE, false, 4 },
	{ "%lanemask_lt", SR_LANEMASK_LT, false, 4 }, { "%lanemask_ge", SR_LANEMASK_GE, false, 4 },
	{ "%lanemask_gt", SR_LANEMASK_GT, false, 4 }, { "%clock", SR_CLOCK, false, 4 },
	{ "%clock_hi", SR_CLOCK_HI, false, 4 }, { "%clock64", SR_CLOCK64, false, 8 },
	{ "%globaltimer", SR_GLOBALTIMER, false, 8 },
	{ "%globaltimer_lo", SR_GLOBALTIMER_LO, false, 4 },
	{ "%globaltimer_hi", SR_GLOBALTIMER_HI, false, 4 },
	{ "%dynamic_smem_size", SR_DYN_SMEM, false, 4 },
	{ "%total_smem_size", SR_TOTAL_SMEM, false, 4 },
	{ "%aggr_smem_size", SR_TOTAL_SMEM, false, 4 },
	{ "%envreg1", SR_ENVREG1, false, 4 }, { "%envreg2", SR_ENVREG2, false, 4 },
	{ "%is_explicit_cluster", SR_ZERO, false, 0 },
	{ "%reserved_smem_offset_begin", SR_RESERVED, false, 4 },
	{ "%reserved_smem_offset_end", SR_RESERVED_END, false, 4 },
	{ "%reserved_smem_offset_cap", SR_RESERVED_CAP, false, 4 },
	{ "%reserved_smem_offset_0", SR_RESERVED, false, 4 },
	{ "%reserved_smem_offset_1", SR_RESERVED, false, 4 },
	{ "%cluster_ctarank", SR_ZERO, false, 4 }, { "%cluster_nctarank", SR_ONE, false, 4 },
	{ "%cluster_ctaid", SR_CLUSTER_CTAID, true, 4 },
	{ "%cluster_nctaid", SR_CLUSTER_NCTAID, true, 4 },
};

static int32_t sreg_src(struct low *L, struct ptx_operand *o, int size)
{
	static const char *const missing[] = {
		"%pm", "%envreg", "%cluster_", "%current_graph_exec", "%is_",
	};
	const char *s = o->suffix;
	struct sg_insn *in;
	int32_t t;

	for (size_t i = 0; i < sizeof(sregs) / sizeof(sregs[0]); i++) {
		int dim = s && s[0] && !s[1] && s[0] >= 'x' && s[0] <= 'z' ? s[0] - 'x' : -1;

		if (strcmp(sregs[i].name, o->name) || sregs[i].dims != (dim >= 0) || (s && dim < 0))
			continue;
		if (!sregs[i].size && !size)
			return low_pred_const(L, false);
		if (!size || !sregs[i].size)
			break;
		t = low_temp(L, size);
		in = low_emit(L, sg_op_sreg, K_PLAIN);
		in->d = t;
		in->size = size;
		in->sub = sregs[i].sreg + (dim > 0 ? dim : 0);
		L->img->reserved_smem |= in->sub >= SR_RESERVED && in->sub <= SR_RESERVED_CAP;
		return t;
	}
	for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
		if (!strncmp(missing[i], o->name, strlen(missing[i]))) {
			low_lack(L, "unsupported special register %s%s%s", o->name, s ? "." : "",
				 s ? s : "");
			return SG_NOSLOT;
		}
	}
	low_fail(L, "undefined name %s%s%s", o->name, s ? "." : "", s ? s : "");
	return SG_NOSLOT;
}

static uint64_t float_bits(const struct ptx_operand *o, int size)
{
	uint64_t u = o->bits;
	uint32_t w = o->bits;
	double d;
	float f;

	if (o->is_double == (size == 8))
		return u;
	if (o->is_double) {
		memcpy(&d, &u, 8);
		f = d;
		memcpy(&w, &f, 4);
		return w;
	}
	memcpy(&f, &w, 4);
	d = f;
	memcpy(&u, &d, 8);
	return u;
}

/* The address of a variable or function, as a value. */
static int32_t address_src(struct low *L, struct ptx_operand *o, struct ptx_var *v, int size)
{
	struct ptx_func *fn;
	struct sg_insn *in;
	int32_t t;

	if (v && v->is_opaque) {
		low_unsupported(L);
		return SG_NOSLOT;
	}
	if (size != 4 && size != 8) {
		low_fail(L, "the address of %s does not fit", o->name);
		return SG_NOSLOT;
	}
	if (!v) {
		fn = ptx_find_func(L->s->scope, o->name);
		if (!fn || !fn->code) {
			low_fail(L, "undefined name %s", o->name);
			return SG_NOSLOT;
		}
		return low_const(L, size, fn->address);
	}
	if (v->space != SP_LOCAL)
		return low_const(L, size, v->offset + o->bits);
	t = low_temp(L, size);
	in = low_emit(L, sg_op_local_addr, K_PLAIN);
	in->d = t;
	in->size = size;
	in->imm = v->offset + o->bits;
	return t;
}

int32_t low_src(struct low *L, struct ptx_operand *o, enum sg_type t)
{
	int size = sg_type_size(t), index;
	struct ptx_var *v;
	struct sg_insn *in;
	int32_t slot;

	if (!size && t != T_PRED) {
		low_unsupported(L);
		return SG_NOSLOT;
	}
	switch (o->kind) {
	case OP_INT:
		if (t == T_PRED)
			return low_pred_const(L, o->bits);
		if (t == T_F32 || t == T_F64)
			break;
		return low_const(L, size, o->bits);
	case OP_FLOAT:
		if (size != 4 && size != 8)
			break;
		return low_const(L, size, float_bits(o, size));
	case OP_NOT:
		if (t != T_PRED)
			break;
		slot = low_src(L, &o->sub[0], T_PRED);
		if (slot == SG_NOSLOT)
			return SG_NOSLOT;
		in = low_emit(L, sg_op_pred_logic, K_PLAIN);
		in->sub = PL_NOT;
		in->a = slot;
		return in->d = low_temp(L, 0);
	case OP_SREG:
	case OP_NAME:
		v = find_register(L, o, &index);
		if (!v && o->kind == OP_SREG)
			return sreg_src(L, o, size);
		if (!v) {
			v = ptx_find_var(L->s->scope, o->name, &index);
			if (!v && o->name[0] == '%')
				return sreg_src(L, o, size);
			return address_src(L, o, v, size);
		}
		if (register_size(v) != (size == 1 ? 2 : size)) {
			low_fail(L, "register %s has the wrong size", o->name);
			return SG_NOSLOT;
		}
		slot = register_slot(L, v, index);
		return slot == SG_NOSLOT ? slot : plus_constant(L, (struct sg_vslot){
								slot, register_size(v) }, o->bits);
	default:
		low_lack(L, "unsupported operand");
		return SG_NOSLOT;
	}
	low_fail(L, "an operand of another type");
	return SG_NOSLOT;
}

int32_t low_dst(struct low *L, struct ptx_operand *o, enum sg_type t)
{
	int size = sg_type_size(t), index;
	struct ptx_var *v;

	if (!size && t != T_PRED) {
		low_unsupported(L);
		return SG_NOSLOT;
	}
	if (low_is_sink(o))
		return low_temp(L, size);
	if (o->kind != OP_NAME && o->kind != OP_SREG) {
		low_fail(L, "the destination is no register");
		return SG_NOSLOT;
	}
	if (o->bits) {
		low_fail(L, "the destination is a sum");
		return SG_NOSLOT;
	}
	v = find_register(L, o, &index);
	if (!v || register_size(v) != (size == 1 ? 2 : size)) {
		low_fail(L, "the destination %s is no register of this size", o->name);
		return SG_NOSLOT;
	}
	return register_slot(L, v, index);
}

/*
 * A 32-bit register holds the lower half of the address of a .const variable. Those of a module
 * lie less than 2 GiB apart, so that one of them tells the upper half.
 */
static void const_address(struct low *L, struct sg_insn *tmp)
{
	uint64_t near = L->img->const_base;
	struct sg_insn *in = low_emit(L, sg_op_near, K_PLAIN);

	in->a = tmp->a;
	in->imm = near;
	in->d = tmp->a = low_temp(L, 8);
	tmp->atype = T_U64;
}

bool low_address(struct low *L, struct ptx_operand *o, enum sg_space space, struct sg_insn *tmp)
{
	struct ptx_operand *base;
	struct sg_vslot r;
	struct ptx_var *v;

	if (o->kind != OP_ADDR)
		return low_fail(L, "an address is expected");
	if (o->n != 1)
		return low_lack(L, "unsupported address");
	base = &o->sub[0];
	tmp->space = space;
	tmp->atype = T_U64;
	if (base->kind == OP_INT) {
		tmp->a = low_const(L, 8, base->bits);
		return true;
	}
	if (named_reg(L, base, &r)) {
		if (r.size != 4 && r.size != 8)
			return low_fail(L, "an address has 32 or 64 bits");
		tmp->a = r.slot;
		tmp->atype = r.size == 4 ? T_U32 : T_U64;
		tmp->imm = base->bits;
		if (space == SP_PARAM && !L->f->is_entry)
			tmp->space = SP_FRAME;
		if (space == SP_CONST && r.size == 4)
			const_address(L, tmp);
		return true;
	}
	if (base->kind != OP_NAME)
		return low_lack(L, "unsupported address");
	v = ptx_find_var(L->s->scope, base->name, NULL);
	if (!v)
		return low_fail(L, "undefined name %s", base->name);
	if (v->is_opaque)
		return low_unsupported(L);
	if (space == SP_PARAM) {
		bool own = L->f->is_entry && v->param && v->space == SP_PARAM;

		if (v->space != SP_PARAM)
			return low_fail(L, "%s is not in this state space", base->name);
		/* an entry's own parameters are the launch's, all others lie in the frame */
		tmp->space = own ? SP_PARAM : SP_FRAME;
		tmp->a = low_const(L, 8, v->offset);
		tmp->imm = base->bits;
		if (own && v->offset + base->bits + tmp->size * tmp->vec > L->f->param_bytes)
			return low_fail(L, "access outside the parameters");
		return true;
	}
	/* by its name a variable is reached where it is, also without the word for its space */
	if (space == SP_GENERIC ? v->space != SP_GLOBAL && v->space != SP_CONST &&
				  v->space != SP_SHARED && v->space != SP_LOCAL :
				  v->space != space)
		return low_fail(L, "%s is not in this state space", base->name);
	tmp->space = v->space;
	if (v->space == SP_LOCAL) {
		tmp->a = address_src(L, base, v, 8);
		return tmp->a != SG_NOSLOT;
	}
	tmp->a = low_const(L, 8, v->offset);
	tmp->imm = base->bits;
	return true;
}

bool low_want(struct low *L, int min, int max)
{
	if (L->s->nops < min || L->s->nops > max)
		return low_fail(L, "wrong number of operands");
	return true;
}

const struct sg_opdef *low_find_op(const char *name, enum sg_type t)
{
	static const struct sg_opdef *const tables[] = {
		sg_int_ops, sg_bit_ops, sg_float_ops, sg_half_ops, sg_carry_ops,
	};

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		for (const struct sg_opdef *d = tables[i]; d->name; d++)
			if (d->type == t && !strcmp(d->name, name))
				return d;
	return NULL;
}

/* Changes a value in place: flush to zero, saturate, clamp below. */
bool low_fixup(struct low *L, const char *name, enum sg_type t, int32_t slot)
{
	const struct sg_opdef *def = low_find_op(name, t);
	struct sg_insn *in;

	if (!def)
		return low_unsupported(L);
	in = low_emit(L, def->fn, K_PLAIN);
	in->a = in->d = slot;
	return true;
}

struct float_mods {
	enum sg_round round;
	bool ftz, sat, relu, approx;
};

/* Takes what modifies the arithmetic of a float; the rest belongs to the operation's name. */
static void take_float_mods(struct low *L, enum sg_type t, struct float_mods *fm)
{
	if (low_mod(L, "rn"))
		fm->round = RND_N;
	else if (low_mod(L, "rz"))
		fm->round = RND_Z;
	else if (low_mod(L, "rm"))
		fm->round = RND_M;
	else if (low_mod(L, "rp"))
		fm->round = RND_P;
	if (t != T_F64)
		fm->ftz = low_mod(L, "ftz");
	fm->sat = low_mod(L, "sat");
	fm->relu = low_mod(L, "relu");
	fm->approx = low_mod(L, "approx") || low_mod(L, "full");
	/* double rcp and rsqrt: approx.ftz works on upper halves alone, approx is nearly exact */
	if (t == T_F64)
		fm->approx &= low_mod(L, "ftz");
}

static int32_t flushed(struct low *L, int32_t slot, enum sg_type t)
{
	int32_t tmp = low_temp(L, sg_type_size(t));
	const struct sg_opdef *def = low_find_op("+ftz", t);
	struct sg_insn *in;

	if (!def) {
		low_unsupported(L);
		return SG_NOSLOT;
	}
	in = low_emit(L, def->fn, K_PLAIN);
	in->a = slot;
	in->d = tmp;
	return tmp;
}

bool low_simple(struct low *L)
{
	struct float_mods fm = { 0 };
	enum sg_type t = low_last_type(L);
	const struct sg_opdef *def;
	struct sg_insn *in;
	int32_t src[3] = { SG_NOSLOT, SG_NOSLOT, SG_NOSLOT }, d;
	char name[64];
	size_t n;
	int nsrc = 0;

	if (sg_type_float(t))
		take_float_mods(L, t, &fm);
	n = snprintf(name, sizeof(name), "%s%s", L->s->op, t == T_F64 && fm.approx ? ".approx" :
		     "");
	for (int i = 0; i < L->s->nmods && n < sizeof(name); i++) {
		if (L->s->used >> i & 1)
			continue;
		n += snprintf(name + n, sizeof(name) - n, ".%s", L->s->mods[i]);
		L->s->used |= 1u << i;
	}
	def = low_find_op(name, t);
	if (!def || n >= sizeof(name))
		return low_unsupported(L);
	while (nsrc < 3 && def->src[nsrc])
		nsrc++;
	if (!low_want(L, nsrc + 1, nsrc + 1))
		return false;
	for (int i = 0; i < nsrc; i++) {
		src[i] = low_src(L, &L->s->ops[i + 1], def->src[i]);
		if (src[i] != SG_NOSLOT && fm.ftz && def->src[i] == t)
			src[i] = flushed(L, src[i], t);
		if (src[i] == SG_NOSLOT)
			return false;
	}
	d = low_dst(L, &L->s->ops[0], def->d);
	if (d == SG_NOSLOT)
		return false;
	in = low_emit(L, def->fn, K_PLAIN);
	in->d = d;
	in->a = src[0];
	in->b = src[1];
	in->c = src[2];
	if (fm.round > RND_N) {
		if (t != T_F32 && t != T_F64)
			return low_unsupported(L);
		in->inner = in->fn;
		in->fn = sg_op_rounded;
		in->sub = fm.round;
	}
	if (fm.ftz && def->d == t && !low_fixup(L, "+ftz", t, d))
		return false;
	if (fm.sat && !low_fixup(L, "+sat", t, d))
		return false;
	return !fm.relu || low_fixup(L, "+relu", t, d);
}

static bool statement(struct low *L)
{
	struct ptx_stmt *s = L->s;
	struct ptx_operand g = { .kind = OP_NAME, .name = s->guard };
	bool known = false;

	memset(L->used, 0, sizeof(L->used));
	L->guard = SG_NOSLOT;
	if (!s->op) {
		s->label->pc = L->n;
		return true;
	}
	for (int i = 0; L->img->ptx->has_vectors && i < s->nops; i++)
		expand_vectors(L, &s->ops[i]);
	if (s->guard) {
		L->guard = low_dst(L, &g, T_PRED);
		if (L->guard == SG_NOSLOT)
			return false;
	}
	for (int i = 0; L->img->ptx->maps_f64 && i < s->nmods; i++)
		if (!strcmp(s->mods[i], "f64"))
			return low_lack(L, "a double that is to be computed as a float");
	if (!low_data(L, &known) || (!known && !low_memory(L, &known)) ||
	    (!known && !low_control(L, &known)) || (!known && !low_async(L, &known)) ||
	    (!known && !low_tensor(L, &known)) || (!known && !low_texture(L, &known)) ||
	    (!known && !low_wgmma(L, &known)) || (!known && !low_video(L, &known)) || (!known && !low_simple(L)))
		return false;
	for (int i = 0; i < s->nmods; i++)
		if (!(s->used >> i & 1))
			return low_lack(L, "unsupported modifier .%s", s->mods[i]);
	return true;
}

void low_frame_access(struct low *L, bool store, uint64_t offset, int bytes, struct sg_vslot v)
{
	struct sg_vslot *kept = sg_arena_alloc(L->arena, sizeof(*kept));
	int32_t base = low_const(L, 8, offset);
	struct sg_insn *in;

	/* a predicate is 1 or 0 in memory */
	*kept = v.size ? v : (struct sg_vslot){ low_temp(L, 2), 2 };
	if (!v.size && store) {
		in = low_emit(L, sg_op_selp, K_PLAIN);
		in->a = low_const(L, 2, 1);
		in->b = low_const(L, 2, 0);
		in->c = v.slot;
		in->d = kept->slot;
		in->size = 2;
	}
	in = low_emit(L, store ? sg_op_st : sg_op_ld, K_MEM);
	in->a = base;
	in->atype = T_U64;
	in->space = SP_FRAME;
	in->size = bytes;
	in->vec = 1;
	in->dtype = bytes == 1 ? T_B8 : bytes == 2 ? T_B16 : bytes == 4 ? T_B32 : T_B64;
	in->extra = kept;
	if (!v.size && !store) {
		in = low_emit(L, sg_compare_op(CMP_NE, T_U16), K_PLAIN);
		in->a = kept->slot;
		in->b = low_const(L, 2, 0);
		in->d = v.slot;
	}
}

/* Parameters or results that the body has in registers. */
static bool register_params(struct low *L, struct ptx_var *list, bool store)
{
	for (struct ptx_var *v = list; v; v = v->next) {
		struct ptx_var *r = v->is_reg ? ptx_find_var(L->f->scope, v->name, NULL) : NULL;
		int bytes = v->type == T_PRED ? 1 : sg_type_size(v->type);

		if (!v->is_reg)
			continue;
		if (!r || r->param != v)
			return low_fail(L, "%s is declared twice", v->name);
		for (int i = 0; i < v->vec; i++) {
			struct sg_vslot slot = { register_slot(L, r, i), register_size(r) };

			if (slot.slot == SG_NOSLOT)
				return false;
			low_frame_access(L, store, v->offset + i * bytes, bytes, slot);
		}
	}
	return true;
}

bool low_results(struct low *L)
{
	return register_params(L, L->f->rets, true);
}

/* Branches carried their label so far: now that all positions are known, make them numbers. */
static bool resolve_labels(struct low *L)
{
	for (int i = 0; i < L->n; i++) {
		struct sg_insn *in = &L->code[i];
		struct ptx_label *l = in->extra;

		if (in->kind == K_BRA) {
			if (l->pc < 0)
				return low_fail(L, "branch to %s, which is no label", l->name);
			in->imm = l->pc;
			in->extra = NULL;
		} else if (in->kind == K_BRX) {
			struct sg_brx *t = sg_arena_alloc(L->arena, sizeof(*t));
			struct ptx_scope *scope = (struct ptx_scope *)(uintptr_t)in->imm;

			t->n = l->n;
			t->targets = sg_arena_alloc(L->arena, l->n * sizeof(int));
			for (int k = 0; k < l->n; k++) {
				struct ptx_label *to = ptx_find_label(scope, l->targets[k]);

				if (!to || to->pc < 0)
					return low_fail(L, "no label %s", l->targets[k]);
				t->targets[k] = to->pc;
			}
			in->extra = t;
		}
	}
	return true;
}

bool sg_lower(struct sg_image *img, struct ptx_func *f, struct sg_func *out, struct sg_error *err)
{
	struct low L = { .img = img, .f = f, .out = out, .err = err, .arena = &img->ptx->arena,
			 .guard = SG_NOSLOT };
	bool ok = true;

	if (f->cluster[0] > 1 || f->cluster[1] > 1 || f->cluster[2] > 1)
		return low_lack(&L, "a cluster of more than one block");
	/* the carry flag has the first slot */
	L.regs = 64;
	for (struct ptx_scope *s = f->scope; s; s = s->next)
		for (struct ptx_label *l = s->labels; l; l = l->next)
			l->pc = -1;
	L.call_frame = (f->frame_bytes + 7) & ~7ull;
	ok = register_params(&L, f->params, false);
	for (int i = 0; ok && i < f->nstmts; i++) {
		L.s = &f->stmts[i];
		ok = statement(&L);
	}
	L.guard = SG_NOSLOT;
	L.s = NULL;
	ok = ok && low_results(&L);
	if (ok) {
		low_emit(&L, NULL, K_RET);
		ok = resolve_labels(&L);
	}
	free(L.known);
	if (!ok) {
		free(L.code);
		free(L.consts);
		return false;
	}
	out->code = realloc(L.code, L.n * sizeof(*L.code));
	if (!out->code)
		out->code = L.code;
	out->ncode = L.n;
	out->consts = L.consts;
	out->reg_bytes = L.regs;
	out->frame_bytes = (f->frame_bytes + 15) & ~15ull;
	out->nregs = L.regs / 128 < 16 ? 16 : L.regs / 128 > 64 ? 64 : L.regs / 128;
	return true;
}
