// SPDX-License-Identifier: Apache-2.0
/*
 * Constant expressions (PTX ISA, Constant Expressions). Whole numbers are signed or unsigned and
 * have 64 bits, others are doubles. Precedence is that of C.
 */
#include <string.h>

#include "cuda_abi.h"
#include "ptx_parser.h"

/* Parentheses, signs and choices in each other. */
#define NESTED_MAX 64

static struct ptx_value integer(uint64_t bits, bool is_unsigned)
{
	return (struct ptx_value){ .bits = bits, .is_unsigned = is_unsigned };
}

static double number(const struct ptx_value *v)
{
	uint32_t w = v->bits;
	double d;
	float f;

	if (!v->is_float)
		return v->is_unsigned ? (double)v->bits : (double)(int64_t)v->bits;
	if (v->is_single) {
		memcpy(&f, &w, 4);
		return f;
	}
	memcpy(&d, &v->bits, 8);
	return d;
}

static struct ptx_value real(double d)
{
	struct ptx_value v = { .is_float = true };

	memcpy(&v.bits, &d, 8);
	return v;
}

static bool truth(const struct ptx_value *v)
{
	return v->is_float ? number(v) != 0 : v->bits != 0;
}

static bool misused(struct ptx_parser *p, const char *what)
{
	sg_error_set(p->err, CUDA_ERROR_INVALID_PTX, p->tk.line, "constant expression: %s", what);
	return false;
}

/* Operators of two characters are two tokens with nothing between them. */
enum op {
	NONE, OR_OR, AND_AND, OR, XOR, AND, EQ, NE, LT, LE, GT, GE, SHL, SHR, ADD, SUB, MUL, DIV,
	MOD,
};

static const struct {
	char text[3];
	uint8_t level;
} ops[] = {
	[OR_OR] = { "||", 1 }, [AND_AND] = { "&&", 2 }, [OR] = { "|", 3 }, [XOR] = { "^", 4 },
	[AND] = { "&", 5 }, [EQ] = { "==", 6 }, [NE] = { "!=", 6 }, [LT] = { "<", 7 },
	[LE] = { "<=", 7 }, [GT] = { ">", 7 }, [GE] = { ">=", 7 }, [SHL] = { "<<", 8 },
	[SHR] = { ">>", 8 }, [ADD] = { "+", 9 }, [SUB] = { "-", 9 }, [MUL] = { "*", 10 },
	[DIV] = { "/", 10 }, [MOD] = { "%", 10 },
};

static enum op operator(struct ptx_parser *p)
{
	bool two = p->ahead.kind == TK_PUNCT && !p->ahead.spaced;
	enum op found = NONE;

	for (size_t i = 1; p->tk.kind == TK_PUNCT && i < sizeof(ops) / sizeof(ops[0]); i++) {
		if (ops[i].text[0] != p->tk.punct)
			continue;
		if (ops[i].text[1] ? two && ops[i].text[1] == p->ahead.punct : !found)
			found = i;
	}
	return found;
}

static bool calculate_real(struct ptx_parser *p, enum op op, double a, double b,
			   struct ptx_value *out)
{
	switch (op) {
	case ADD: *out = real(a + b); return true;
	case SUB: *out = real(a - b); return true;
	case MUL: *out = real(a * b); return true;
	case DIV: *out = real(a / b); return true;
	case EQ: *out = integer(a == b, false); return true;
	case NE: *out = integer(a != b, false); return true;
	case LT: *out = integer(a < b, false); return true;
	case LE: *out = integer(a <= b, false); return true;
	case GT: *out = integer(a > b, false); return true;
	case GE: *out = integer(a >= b, false); return true;
	default:
		return misused(p, "an operator of whole numbers with another number");
	}
}

/* A remainder is that of unsigned numbers, always. */
static bool divide(struct ptx_parser *p, enum op op, uint64_t a, uint64_t b, bool is_unsigned,
		   struct ptx_value *out)
{
	if (!b)
		return misused(p, "a division by zero");
	if (op == MOD)
		*out = integer(a % b, is_unsigned);
	else if (is_unsigned)
		*out = integer(a / b, true);
	else
		*out = integer(b == UINT64_MAX ? -a : (uint64_t)((int64_t)a / (int64_t)b), false);
	return true;
}

/* As ptxas has it, six bits of the distance count. */
static uint64_t shift(enum op op, const struct ptx_value *v, uint64_t by)
{
	by &= 63;
	return op == SHL ? v->bits << by : v->is_unsigned ? v->bits >> by :
	       (uint64_t)((int64_t)v->bits >> by);
}

static bool calculate(struct ptx_parser *p, enum op op, const struct ptx_value *va,
		      const struct ptx_value *vb, struct ptx_value *out)
{
	bool u = va->is_unsigned || vb->is_unsigned;
	uint64_t a = va->bits, b = vb->bits;
	bool less = u ? a < b : (int64_t)a < (int64_t)b;

	if (op == OR_OR || op == AND_AND) {
		*out = integer(op == OR_OR ? truth(va) || truth(vb) : truth(va) && truth(vb),
			       false);
		return true;
	}
	if (va->is_float || vb->is_float)
		return calculate_real(p, op, number(va), number(vb), out);
	switch (op) {
	case ADD: *out = integer(a + b, u); return true;
	case SUB: *out = integer(a - b, u); return true;
	case MUL: *out = integer(a * b, u); return true;
	case DIV:
	case MOD: return divide(p, op, a, b, u, out);
	case SHL:
	case SHR: *out = integer(shift(op, va, b), va->is_unsigned); return true;
	case AND: *out = integer(a & b, true); return true;
	case OR: *out = integer(a | b, true); return true;
	case XOR: *out = integer(a ^ b, true); return true;
	case EQ: *out = integer(a == b, false); return true;
	case NE: *out = integer(a != b, false); return true;
	case LT: *out = integer(less, false); return true;
	case GE: *out = integer(!less, false); return true;
	case GT: *out = integer(!less && a != b, false); return true;
	default: *out = integer(less || a == b, false); return true;
	}
}

/* ( expression ), or the cast (.s64) or (.u64) of what follows */
static bool parenthesis(struct ptx_parser *p, struct ptx_value *v)
{
	bool is_unsigned = ptx_is_dot(p, "u64");

	if (!is_unsigned && !ptx_is_dot(p, "s64"))
		return ptx_const(p, v) && ptx_expect(p, ')');
	if (!ptx_next(p) || !ptx_expect(p, ')') || !ptx_const_unary(p, v))
		return false;
	if (v->is_float)
		return misused(p, "a cast of a number that is not whole");
	v->is_unsigned = is_unsigned;
	return true;
}

static bool unary_inside(struct ptx_parser *p, struct ptx_value *v)
{
	if (ptx_accept(p, '+'))
		return ptx_const_unary(p, v);
	if (ptx_accept(p, '-')) {
		if (!ptx_const_unary(p, v))
			return false;
		if (v->is_float)
			v->bits ^= v->is_single ? 1ull << 31 : 1ull << 63;
		else
			v->bits = -v->bits;
		return true;
	}
	if (ptx_accept(p, '!')) {
		if (!ptx_const_unary(p, v))
			return false;
		*v = integer(!truth(v), false);
		return true;
	}
	if (ptx_accept(p, '~')) {
		if (!ptx_const_unary(p, v))
			return false;
		if (v->is_float)
			return misused(p, "an operator of whole numbers with another number");
		*v = integer(~v->bits, true);
		return true;
	}
	if (ptx_accept(p, '('))
		return parenthesis(p, v);
	if (p->tk.kind == TK_INT)
		*v = integer(p->tk.bits, p->tk.is_unsigned);
	else if (p->tk.kind == TK_FLOAT)
		*v = (struct ptx_value){ .bits = p->tk.bits, .is_float = true,
					 .is_single = !p->tk.is_double };
	else if (p->tk.kind == TK_IDENT && !strcmp(p->tk.str, "WARP_SZ"))
		*v = integer(32, false);
	else
		return ptx_fail(p, "a constant"), false;
	return ptx_next(p);
}

bool ptx_const_unary(struct ptx_parser *p, struct ptx_value *v)
{
	bool ok;

	if (p->nested == NESTED_MAX) {
		ptx_fail(p, "a constant that is nested less deeply");
		return false;
	}
	p->nested++;
	ok = unary_inside(p, v);
	p->nested--;
	return ok;
}

/* Operators of the level and above it. */
static bool binary(struct ptx_parser *p, int level, struct ptx_value *v)
{
	enum op op;

	if (!ptx_const_unary(p, v))
		return false;
	while ((op = operator(p)) && ops[op].level >= level) {
		struct ptx_value right;

		if (!ptx_next(p) || (ops[op].text[1] && !ptx_next(p)) ||
		    !binary(p, ops[op].level + 1, &right) || !calculate(p, op, v, &right, v))
			return false;
	}
	return true;
}

bool ptx_const(struct ptx_parser *p, struct ptx_value *v)
{
	struct ptx_value yes, no;
	bool ok;

	if (!binary(p, 1, v) || !ptx_is(p, '?'))
		return !p->err->code;
	if (p->nested == NESTED_MAX) {
		ptx_fail(p, "a constant that is nested less deeply");
		return false;
	}
	p->nested++;
	ok = ptx_next(p) && ptx_const(p, &yes) && ptx_expect(p, ':') && ptx_const(p, &no);
	p->nested--;
	if (!ok)
		return false;
	*v = truth(v) ? yes : no;
	return true;
}

bool ptx_starts_const(struct ptx_parser *p)
{
	switch (p->tk.kind) {
	case TK_INT:
	case TK_FLOAT:
		return true;
	case TK_IDENT:
		return !strcmp(p->tk.str, "WARP_SZ");
	case TK_PUNCT:
		/* !p is a predicate */
		return strchr("+-~(", p->tk.punct) ||
		       (p->tk.punct == '!' && p->ahead.kind != TK_IDENT);
	default:
		return false;
	}
}

/* What is added to a name: "+ expression", or an expression that begins with a minus. */
bool ptx_offset(struct ptx_parser *p, uint64_t *out)
{
	struct ptx_value v;

	ptx_accept(p, '+');
	if (!ptx_const(p, &v))
		return false;
	if (v.is_float)
		return misused(p, "an offset that is not whole");
	*out += v.bits;
	return true;
}
