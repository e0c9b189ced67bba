/* SPDX-License-Identifier: Apache-2.0 */
/* What the two halves of the parser share. */
#ifndef SG_PTX_PARSER_H
#define SG_PTX_PARSER_H

#include "ptx.h"

struct ptx_parser {
	struct ptx_lexer lx;
	struct ptx_token tk, ahead;
	struct sg_arena *arena;
	struct sg_arena *bodies;
	struct ptx_stmt *stmts;		/* of the function that is being read */
	int nstmts, cap;
	struct sg_error *err;
	struct ptx_module *mod;
	struct ptx_func *func;
	struct ptx_scope *scope;
	struct ptx_scope *file;		/* of the text */
	int depth;			/* of operands in operands */
	int nested;			/* of constants in constants */
	bool in_call;			/* parentheses hold arguments */
};

struct ptx_linkage {
	bool is_extern, is_weak, is_visible;
};

/* Words live as long as the bodies, so what lives longer needs a name of its own. */
const char *ptx_keep(struct ptx_parser *p, const char *word);
void ptx_fail(struct ptx_parser *p, const char *what);
bool ptx_next(struct ptx_parser *p);
bool ptx_is(struct ptx_parser *p, char c);
bool ptx_accept(struct ptx_parser *p, char c);
bool ptx_expect(struct ptx_parser *p, char c);
bool ptx_is_dot(struct ptx_parser *p, const char *word);
bool ptx_accept_dot(struct ptx_parser *p, const char *word);
bool ptx_const_int(struct ptx_parser *p, uint64_t *out);

/* A constant: a whole number, or a double, or the bits of a float as they stand in the text. */
struct ptx_value {
	uint64_t bits;
	bool is_float, is_single, is_unsigned;
};

bool ptx_const(struct ptx_parser *p, struct ptx_value *v);
bool ptx_const_unary(struct ptx_parser *p, struct ptx_value *v);
bool ptx_starts_const(struct ptx_parser *p);
bool ptx_offset(struct ptx_parser *p, uint64_t *out);

bool ptx_linkage(struct ptx_parser *p, struct ptx_linkage *lk);
/* Whether other texts of the module know the name. */
bool ptx_linked(const struct ptx_linkage *lk);
bool ptx_declaration(struct ptx_parser *p);
bool ptx_declaration_linked(struct ptx_parser *p, const struct ptx_linkage *lk);
bool ptx_parameter(struct ptx_parser *p);

#endif
