// SPDX-License-Identifier: Apache-2.0
/* Arena, error text and the tokens of PTX. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_abi.h"
#include "ptx.h"

struct sg_chunk {
	struct sg_chunk *next;
	size_t used, size;
	_Alignas(16) char data[];
};

void *sg_arena_alloc(struct sg_arena *a, size_t size)
{
	struct sg_chunk *c = a->head;
	void *p;

	size = (size + 15) & ~(size_t)15;
	if (!c || c->size - c->used < size) {
		size_t want = size > 65536 ? size : 65536;

		c = calloc(1, sizeof(*c) + want);
		if (!c)
			abort();	/* nothing sensible is left to do, as in any allocator */
		c->size = want;
		c->next = a->head;
		a->head = c;
	}
	p = c->data + c->used;
	c->used += size;
	return p;
}

char *sg_arena_strndup(struct sg_arena *a, const char *s, size_t n)
{
	char *p = sg_arena_alloc(a, n + 1);

	memcpy(p, s, n);
	p[n] = 0;
	return p;
}

void sg_arena_free(struct sg_arena *a)
{
	struct sg_chunk *c = a->head, *next;

	for (; c; c = next) {
		next = c->next;
		free(c);
	}
	a->head = NULL;
}

void sg_error_set(struct sg_error *e, int code, int line, const char *fmt, ...)
{
	va_list ap;

	if (e->code)
		return;
	e->code = code;
	e->line = line;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
}

static bool ident_start(int c)
{
	return isalpha(c) || c == '_' || c == '$' || c == '%';
}

static bool ident_char(int c)
{
	return isalnum(c) || c == '_' || c == '$';
}

static void skip_blanks(struct ptx_lexer *lx)
{
	while (lx->p < lx->end) {
		if (*lx->p == '\n') {
			lx->line++;
			lx->p++;
		} else if (isspace((unsigned char)*lx->p)) {
			lx->p++;
		} else if (lx->p + 1 < lx->end && lx->p[0] == '/' && lx->p[1] == '/') {
			while (lx->p < lx->end && *lx->p != '\n')
				lx->p++;
		} else if (lx->p + 1 < lx->end && lx->p[0] == '/' && lx->p[1] == '*') {
			lx->p += 2;
			while (lx->p + 1 < lx->end && !(lx->p[0] == '*' && lx->p[1] == '/')) {
				if (*lx->p == '\n')
					lx->line++;
				lx->p++;
			}
			if (lx->p + 1 >= lx->end) {
				sg_error_set(lx->err, CUDA_ERROR_INVALID_PTX, lx->line,
					     "a comment without an end");
				lx->p = lx->end;
				return;
			}
			lx->p += 2;
		} else {
			break;
		}
	}
}

static bool lex_number(struct ptx_lexer *lx, struct ptx_token *tk)
{
	char buf[64];
	size_t n = 0;
	const char *p = lx->p;
	bool real = false;
	char *stop;

	if (lx->end - p > 2 && p[0] == '0' && (p[1] == 'f' || p[1] == 'F' || p[1] == 'd' ||
					       p[1] == 'D')) {
		unsigned int want = (p[1] | 32) == 'f' ? 8 : 16;

		tk->kind = TK_FLOAT;
		tk->is_double = want == 16;
		p += 2;
		tk->bits = 0;
		for (n = 0; n < want && p < lx->end && isxdigit((unsigned char)*p); n++, p++)
			tk->bits = tk->bits * 16 + (isdigit((unsigned char)*p) ? *p - '0' :
						    (*p | 32) - 'a' + 10);
		lx->p = p;
		return n == want;
	}
	while (p < lx->end && n < sizeof(buf) - 1) {
		int c = (unsigned char)*p;
		bool hex = n > 1 && (buf[1] == 'x' || buf[1] == 'X');

		if (c == '.' && p + 1 < lx->end && !hex &&
		    (isdigit((unsigned char)p[1]) || !ident_start(p[1])))
			real = true;
		else if (!hex && (c == '+' || c == '-') && n && (buf[n - 1] | 32) == 'e')
			real = true;
		else if (!isalnum(c))
			break;
		buf[n++] = c;
		p++;
	}
	buf[n] = 0;
	lx->p = p;
	if (real) {
		double d = strtod(buf, &stop);

		tk->kind = TK_FLOAT;
		tk->is_double = true;
		memcpy(&tk->bits, &d, 8);
		return !*stop;
	}
	if (n && buf[n - 1] == 'U') {
		buf[--n] = 0;
		tk->is_unsigned = true;
	}
	tk->kind = TK_INT;
	if (n > 2 && buf[0] == '0' && (buf[1] == 'b' || buf[1] == 'B'))
		tk->bits = strtoull(buf + 2, &stop, 2);
	else
		tk->bits = strtoull(buf, &stop, 0);
	tk->is_unsigned |= tk->bits >> 63;
	return n && !*stop;
}

bool ptx_lex(struct ptx_lexer *lx, struct ptx_token *tk)
{
	const char *from = lx->p, *s;

	skip_blanks(lx);
	if (lx->err->code)
		return false;
	memset(tk, 0, sizeof(*tk));
	tk->line = lx->line;
	tk->spaced = lx->p != from;
	if (lx->p >= lx->end || !*lx->p)
		return true;
	s = lx->p;
	/* a % alone is the operator */
	if (ident_start((unsigned char)*s) &&
	    (*s != '%' || (s + 1 < lx->end && ident_char((unsigned char)s[1])))) {
		lx->p++;
		while (lx->p < lx->end && ident_char((unsigned char)*lx->p))
			lx->p++;
		tk->kind = TK_IDENT;
		tk->str = sg_arena_strndup(lx->arena, s, lx->p - s);
		return true;
	}
	if (*s == '.' && lx->p + 1 < lx->end && ident_char((unsigned char)s[1])) {
		lx->p++;
		while (lx->p < lx->end && (ident_char((unsigned char)*lx->p) ||
					   (lx->p + 2 < lx->end && lx->p[0] == ':' &&
					    lx->p[1] == ':' &&
					    ident_char((unsigned char)lx->p[2]))))
			lx->p += *lx->p == ':' ? 2 : 1;
		tk->kind = TK_DOT;
		tk->str = sg_arena_strndup(lx->arena, s + 1, lx->p - s - 1);
		return true;
	}
	if (isdigit((unsigned char)*s)) {
		if (lex_number(lx, tk))
			return true;
		sg_error_set(lx->err, CUDA_ERROR_INVALID_PTX, lx->line, "malformed number");
		return false;
	}
	if (*s == '"') {
		lx->p++;
		while (lx->p < lx->end && *lx->p != '"' && *lx->p != '\n')
			lx->p++;
		tk->kind = TK_STRING;
		tk->str = sg_arena_strndup(lx->arena, s + 1, lx->p - s - 1);
		if (lx->p == lx->end || *lx->p != '"') {
			sg_error_set(lx->err, CUDA_ERROR_INVALID_PTX, lx->line,
				     "a string without an end");
			return false;
		}
		lx->p++;
		return true;
	}
	tk->kind = TK_PUNCT;
	tk->punct = *lx->p++;
	return true;
}

static const struct {
	const char *name;
	uint8_t size;
	bool is_signed, is_float;
} types[T_COUNT] = {
	[T_NONE] = { "none", 0, 0, 0 }, [T_PRED] = { "pred", 0, 0, 0 },
	[T_B8] = { "b8", 1, 0, 0 }, [T_B16] = { "b16", 2, 0, 0 },
	[T_B32] = { "b32", 4, 0, 0 }, [T_B64] = { "b64", 8, 0, 0 },
	[T_B128] = { "b128", 16, 0, 0 },
	[T_U8] = { "u8", 1, 0, 0 }, [T_U16] = { "u16", 2, 0, 0 },
	[T_U32] = { "u32", 4, 0, 0 }, [T_U64] = { "u64", 8, 0, 0 },
	[T_S8] = { "s8", 1, 1, 0 }, [T_S16] = { "s16", 2, 1, 0 },
	[T_S32] = { "s32", 4, 1, 0 }, [T_S64] = { "s64", 8, 1, 0 },
	[T_F16] = { "f16", 2, 0, 1 }, [T_F16X2] = { "f16x2", 4, 0, 1 },
	[T_BF16] = { "bf16", 2, 0, 1 }, [T_BF16X2] = { "bf16x2", 4, 0, 1 },
	[T_F32] = { "f32", 4, 0, 1 }, [T_F64] = { "f64", 8, 0, 1 },
	[T_U16X2] = { "u16x2", 4, 0, 0 }, [T_S16X2] = { "s16x2", 4, 1, 0 },
};

enum sg_type ptx_type(const char *word)
{
	for (int t = T_PRED; t < T_COUNT; t++)
		if (!strcmp(types[t].name, word))
			return t;
	return T_NONE;
}

int sg_type_size(enum sg_type t)
{
	return types[t].size;
}

bool sg_type_signed(enum sg_type t)
{
	return types[t].is_signed;
}

bool sg_type_float(enum sg_type t)
{
	return types[t].is_float;
}

const char *sg_type_name(enum sg_type t)
{
	return types[t].name;
}
