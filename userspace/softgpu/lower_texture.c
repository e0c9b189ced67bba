// SPDX-License-Identifier: Apache-2.0
/* Lowering of texture fetches, and of loads and stores of surfaces. */
#include <string.h>

#include "lower.h"

/* The shape that an instruction names, and how many coordinates it wants. */
static const struct shape {
	const char *word;
	uint8_t dims;
	bool layered, cube;
	uint8_t coordinates;
} shapes[] = {
	{ "1d", 1, false, false, 1 }, { "2d", 2, false, false, 2 }, { "3d", 3, false, false, 3 },
	{ "a1d", 1, true, false, 2 }, { "a2d", 2, true, false, 3 },
	{ "cube", 2, false, true, 3 }, { "acube", 2, true, true, 4 },
};

static const struct shape *take_shape(struct low *L, struct sg_tex *p)
{
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		if (!low_mod(L, shapes[i].word))
			continue;
		p->dims = shapes[i].dims;
		p->layered = shapes[i].layered;
		p->cube = shapes[i].cube;
		return &shapes[i];
	}
	return NULL;
}

/* The parts of {a, b, …}, or of one operand alone. Those after the first n are not looked at. */
static bool sources(struct low *L, struct ptx_operand *o, int n, enum sg_type first,
		    enum sg_type rest, int32_t *slot)
{
	struct ptx_operand *list = o->kind == OP_VEC ? o->sub : o;

	if ((o->kind == OP_VEC ? o->n : 1) < n)
		return low_fail(L, "%d numbers are expected here", n);
	for (int i = 0; i < n; i++) {
		slot[i] = low_src(L, &list[i], i ? rest : first);
		if (slot[i] == SG_NOSLOT)
			return false;
	}
	return true;
}

/* [object, coordinates]: a register with its number; names in the module are of old programs. */
static int32_t object(struct low *L, struct ptx_operand *o, int parts)
{
	struct ptx_var *v;

	if (o->kind != OP_ADDR || o->n != parts) {
		low_fail(L, "[object%s] is expected", parts > 1 ? ", coordinates" : "");
		return SG_NOSLOT;
	}
	v = o->sub[0].kind == OP_NAME ? ptx_find_var(L->s->scope, o->sub[0].name, NULL) : NULL;
	if (v && v->space != SP_REG) {
		low_lack(L, "%s is a texture reference, of which there are none here", v->name);
		return SG_NOSLOT;
	}
	return low_src(L, &o->sub[0], T_B64);
}

static bool results(struct low *L, struct ptx_operand *o, int n, int bytes, bool store,
		    struct sg_tex *p)
{
	struct ptx_operand *list = o->kind == OP_VEC ? o->sub : o;

	if ((o->kind == OP_VEC ? o->n : 1) != n)
		return low_fail(L, "%d registers are expected here", n);
	for (int i = 0; i < n; i++) {
		struct sg_vslot *v = &p->value[i];

		if (!store && low_is_sink(&list[i])) {
			*v = (struct sg_vslot){ low_temp(L, bytes), bytes };
		} else if (store && list[i].kind != OP_NAME) {
			*v = (struct sg_vslot){ low_src(L, &list[i], bytes == 8 ? T_B64 : T_B32),
						bytes == 8 ? 8 : 4 };
		} else if (!low_reg(L, &list[i], v)) {
			return low_fail(L, "a register is expected here");
		}
		if (v->slot == SG_NOSLOT)
			return false;
		if (v->size < bytes)
			return low_fail(L, "a register of %d bytes is expected here", bytes);
	}
	return true;
}

static struct sg_tex *new_tex(struct low *L)
{
	struct sg_tex *p = sg_arena_alloc(L->arena, sizeof(*p));

	p->gather = -1;
	p->lod = SG_NOSLOT;
	for (int i = 0; i < 3; i++)
		p->offset[i] = p->gradient[0][i] = p->gradient[1][i] = SG_NOSLOT;
	return p;
}

/* The last modifier, which is the type of the coordinates. */
static const char *take_last(struct low *L)
{
	if (!L->s->nmods)
		return "";
	L->s->used |= 1u << (L->s->nmods - 1);
	return L->s->mods[L->s->nmods - 1];
}

static bool take_word(struct low *L)
{
	return low_mod(L, "f32") || low_mod(L, "s32") || low_mod(L, "u32");
}

/*
 * tex{.level, .grad}.shape.v4.dtype.ctype d, [object, coordinates] {, level, or two gradients}
 * {, offsets}, and tld4.channel
 */
static bool lower_tex(struct low *L)
{
	static const char *const channels[] = { "r", "g", "b", "a" };
	struct ptx_operand *ops = L->s->ops;
	struct sg_tex *p = new_tex(L);
	bool tld4 = !strcmp(L->s->op, "tld4"), level, gradient, floats;
	const struct shape *shape;
	const char *last = take_last(L);
	struct sg_insn *in;
	int32_t number;
	int next = 2;

	level = !tld4 && low_mod(L, "level");
	gradient = !tld4 && low_mod(L, "grad");
	low_mod(L, "base");
	for (int i = 0; tld4 && i < 4; i++)
		if (low_mod(L, channels[i]))
			p->gather = i;
	shape = take_shape(L, p);
	floats = !strcmp(last, "f32");
	p->whole = !strcmp(last, "s32");
	if (!shape || !low_mod(L, "v4") || !take_word(L) || (!floats && !p->whole) ||
	    (tld4 && (p->dims != 2 || p->gather < 0)))
		return low_unsupported(L);
	if (!low_want(L, 2 + level + 2 * gradient, 3 + level + 2 * gradient))
		return false;
	number = object(L, &ops[1], 2);
	if (number == SG_NOSLOT ||
	    !sources(L, &ops[1].sub[1], shape->coordinates, p->layered ? T_B32 : floats ? T_F32 :
		     T_S32, floats ? T_F32 : T_S32, p->at))
		return false;
	if (level && !sources(L, &ops[next++], 1, floats ? T_F32 : T_S32, T_F32, &p->lod))
		return false;
	if (level && !floats)
		return low_unsupported(L);
	for (int i = 0; gradient && i < 2; i++)
		if (!sources(L, &ops[next++], p->dims, T_F32, T_F32, p->gradient[i]))
			return false;
	if (next < L->s->nops && !sources(L, &ops[next], p->dims, T_S32, T_S32, p->offset))
		return false;
	if (!results(L, &ops[0], 4, 4, false, p))
		return false;
	in = low_emit(L, sg_op_tex, K_MEM);
	in->a = number;
	in->extra = p;
	return true;
}

/* suld.b.shape{.vec}.type.edge d, [object, coordinates] and sust.b … [object, coordinates], v */
static bool lower_surface(struct low *L)
{
	static const struct {
		const char *word;
		int bytes;
	} types[] = { { "b8", 1 }, { "b16", 2 }, { "b32", 4 }, { "b64", 8 } };
	struct ptx_operand *ops = L->s->ops, *place;
	struct sg_tex *p = new_tex(L);
	const struct shape *shape;
	int bytes = 0, n;
	struct sg_insn *in;
	int32_t number;

	p->store = !strcmp(L->s->op, "sust");
	p->whole = true;
	if (!low_mod(L, "b"))
		return low_unsupported(L);
	shape = take_shape(L, p);
	low_cache(L);
	n = low_mod(L, "v2") ? 2 : low_mod(L, "v4") ? 4 : 1;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]) && !bytes; i++)
		if (low_mod(L, types[i].word))
			bytes = types[i].bytes;
	p->edge = low_mod(L, "clamp") ? SG_EDGE_CLAMP : low_mod(L, "zero") ? SG_EDGE_ZERO :
		  SG_EDGE_TRAP;
	low_mod(L, "trap");
	if (!shape || shape->cube || !bytes || n * bytes > 16)
		return low_unsupported(L);
	if (!low_want(L, 2, 2))
		return false;
	place = &ops[!p->store];
	number = object(L, place, 2);
	if (number == SG_NOSLOT ||
	    !sources(L, &place->sub[1], shape->coordinates, T_B32, T_B32, p->at) ||
	    !results(L, &ops[p->store], n, bytes, p->store, p))
		return false;
	in = low_emit(L, sg_op_surface, K_MEM);
	in->a = number;
	in->size = bytes;
	in->vec = n;
	in->extra = p;
	return true;
}

/* txq.width.b32 d, [object], and suq */
static bool lower_query(struct low *L)
{
	static const char *const words[] = {
		[TQ_WIDTH] = "width", [TQ_HEIGHT] = "height", [TQ_DEPTH] = "depth",
		[TQ_LAYERS] = "array_size", [TQ_LEVELS] = "num_mipmap_levels",
	};
	struct sg_insn *in;
	int32_t number, d;
	int what = -1;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (low_mod(L, words[i]))
			what = i;
	if (what < 0 || low_last_type(L) != T_B32)
		return low_unsupported(L);
	if (!low_want(L, 2, 2))
		return false;
	number = object(L, &L->s->ops[1], 1);
	d = low_dst(L, &L->s->ops[0], T_B32);
	if (number == SG_NOSLOT || d == SG_NOSLOT)
		return false;
	in = low_emit(L, sg_op_tex_query, K_MEM);
	in->a = number;
	in->d = d;
	in->sub = what;
	in->vec = !strcmp(L->s->op, "suq");
	return true;
}

bool low_texture(struct low *L, bool *known)
{
	static const struct {
		const char *op;
		bool (*fn)(struct low *);
	} list[] = {
		{ "tex", lower_tex }, { "tld4", lower_tex }, { "suld", lower_surface },
		{ "sust", lower_surface }, { "txq", lower_query }, { "suq", lower_query },
	};

	*known = true;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (!strcmp(list[i].op, L->s->op))
			return list[i].fn(L);
	*known = false;
	return true;
}
