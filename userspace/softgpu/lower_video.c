// SPDX-License-Identifier: Apache-2.0
/*
 * Lowering of the video instructions: scalar ones (vadd d.b1, a.h0, b, c), and those of two halves
 * or four bytes (vadd2, vadd4), which have another form of selectors and masks.
 */
#include <string.h>

#include "lower.h"

static const struct {
	const char *op;
	enum sg_video_op what;
	bool parts;		/* also as vop2 and vop4 */
	bool whole;		/* also as vop */
} list[] = {
	{ "vadd", VI_ADD, true, true }, { "vsub", VI_SUB, true, true },
	{ "vabsdiff", VI_ABSDIFF, true, true }, { "vmin", VI_MIN, true, true },
	{ "vmax", VI_MAX, true, true }, { "vset", VI_SET, true, true },
	{ "vavrg", VI_AVRG, true, false }, { "vshl", VI_SHL, false, true },
	{ "vshr", VI_SHR, false, true }, { "vmad", VI_MAD, false, true },
};

static bool take_sign(struct low *L, bool *is_signed)
{
	for (int i = 0; i < L->s->nmods; i++) {
		if (L->s->used >> i & 1)
			continue;
		*is_signed = !strcmp(L->s->mods[i], "s32");
		if (!*is_signed && strcmp(L->s->mods[i], "u32"))
			return false;
		L->s->used |= 1u << i;
		return true;
	}
	return false;
}

static bool take_compare(struct low *L, struct sg_video *v)
{
	static const char *const words[] = { "eq", "ne", "lt", "le", "gt", "ge" };

	for (unsigned int i = 0; i < 6; i++) {
		if (low_mod(L, words[i])) {
			v->compare = CMP_EQ + i;
			return true;
		}
	}
	return false;
}

/* Splits the selector off a register; NULL if it has none. */
static const char *split(struct ptx_operand *o)
{
	const char *suffix = o->kind == OP_SREG ? o->suffix : NULL;

	if (suffix)
		o->kind = OP_NAME;
	return suffix;
}

/* .b0 to .b3, .h0 and .h1 */
static bool one_part(const char *word, struct sg_video_part *p)
{
	*p = (struct sg_video_part){ 0, 32 };
	if (!word)
		return true;
	if ((word[0] != 'b' && word[0] != 'h') || !word[1] || word[2])
		return false;
	p->bits = word[0] == 'b' ? 8 : 16;
	p->shift = (word[1] - '0') * p->bits;
	return word[1] >= '0' && p->shift < 32;
}

/*
 * .hxy or .bxyzw: for each part, from the highest to the lowest, the number of one of a's and
 * b's, those of b being behind those of a.
 */
static bool choice(const char *word, struct sg_video *v, uint8_t *from, int first)
{
	int n = v->parts;

	for (int i = 0; i < n; i++)
		from[i] = first + i;
	if (!word)
		return true;
	if (word[0] != (n == 2 ? 'h' : 'b') || strlen(word) != (size_t)n + 1)
		return false;
	for (int i = 0; i < n; i++) {
		if (word[n - i] < '0' || word[n - i] >= '0' + 2 * n)
			return false;
		from[i] = word[n - i] - '0';
	}
	return true;
}

/* .h10, .b310 and so on: which parts of the destination are written. */
static bool mask(const char *word, struct sg_video *v)
{
	v->mask = (1u << v->parts) - 1;
	if (!word)
		return true;
	if (word[0] != (v->parts == 2 ? 'h' : 'b') || !word[1])
		return false;
	v->mask = 0;
	for (word++; *word; word++) {
		if (*word < '0' || *word >= '0' + v->parts)
			return false;
		v->mask |= 1u << (*word - '0');
	}
	return true;
}

static bool take_mods(struct low *L, struct sg_video *v)
{
	if (v->op != VI_SET && !take_sign(L, &v->d_signed))
		return false;
	if (!take_sign(L, &v->a_signed) || !take_sign(L, &v->b_signed))
		return false;
	if (v->op == VI_SET)
		return take_compare(L, v);
	if (v->op == VI_MAD)
		v->plus_one = low_mod(L, "po");
	v->saturate = low_mod(L, "sat");
	if (v->op == VI_MAD)
		v->scale = low_mod(L, "shr7") ? 7 : low_mod(L, "shr15") ? 15 : 0;
	if (v->op == VI_SHL || v->op == VI_SHR) {
		v->wrap = low_mod(L, "wrap");
		return !v->b_signed && (v->wrap || low_mod(L, "clamp"));
	}
	return true;
}

static bool lower(struct low *L, struct sg_video *v)
{
	struct ptx_operand ops[4];
	const char *d_part, *a_part, *b_part;
	struct sg_insn *in;
	int32_t slot[4];
	bool third;

	if (!take_mods(L, v))
		return low_unsupported(L);
	v->second = low_mod(L, "add") ? VI_ADD : v->parts > 1 ? VI_NONE :
		    low_mod(L, "min") ? VI_MIN : low_mod(L, "max") ? VI_MAX : VI_NONE;
	if (!low_want(L, 3, 4))
		return false;
	memcpy(ops, L->s->ops, L->s->nops * sizeof(*ops));
	d_part = split(&ops[0]);
	a_part = split(&ops[1]);
	b_part = split(&ops[2]);
	third = v->parts > 1 || v->second || d_part || v->op == VI_MAD;
	if (!low_want(L, 3 + third, 3 + third))
		return false;
	if (v->parts == 1 ? !one_part(d_part, &v->d) || !one_part(a_part, &v->a) ||
			    !one_part(b_part, &v->b) :
			    !mask(d_part, v) || !choice(a_part, v, v->a_from, 0) ||
			    !choice(b_part, v, v->b_from, v->parts))
		return low_fail(L, "a selector that does not exist");
	if (v->op == VI_MAD && (d_part || v->second))
		return low_unsupported(L);
	v->merge = d_part;
	for (int i = 1; i < 3 + third; i++) {
		slot[i] = low_src(L, &ops[i], T_B32);
		if (slot[i] == SG_NOSLOT)
			return false;
	}
	slot[0] = low_dst(L, &ops[0], T_B32);
	if (slot[0] == SG_NOSLOT)
		return false;
	in = low_emit(L, sg_op_video, K_PLAIN);
	in->d = slot[0];
	in->a = slot[1];
	in->b = slot[2];
	in->c = third ? slot[3] : slot[1];
	in->extra = v;
	return true;
}

bool low_video(struct low *L, bool *known)
{
	size_t n = strlen(L->s->op);
	char last = n ? L->s->op[n - 1] : 0;
	int parts = last == '2' ? 2 : last == '4' ? 4 : 1;

	n -= parts > 1;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		if (strncmp(list[i].op, L->s->op, n) || list[i].op[n] ||
		    !(parts > 1 ? list[i].parts : list[i].whole))
			continue;
		struct sg_video *v = sg_arena_alloc(L->arena, sizeof(*v));

		*v = (struct sg_video){ .op = list[i].what, .parts = parts };
		*known = true;
		return lower(L, v);
	}
	*known = false;
	return true;
}
