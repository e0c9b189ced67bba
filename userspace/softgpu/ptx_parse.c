// SPDX-License-Identifier: Apache-2.0
/* PTX text to a syntax tree: functions and statements. Declarations are in ptx_decl.c. */
#include <stdlib.h>
#include <string.h>

#include "cuda_abi.h"
#include "ptx_parser.h"

const char *ptx_keep(struct ptx_parser *p, const char *word)
{
	return sg_arena_strndup(p->arena, word, strlen(word));
}

void ptx_fail(struct ptx_parser *p, const char *what)
{
	const struct ptx_token *t = &p->tk;
	char one[2] = { t->punct, 0 };

	sg_error_set(p->err, CUDA_ERROR_INVALID_PTX, t->line, "syntax error at '%s': expected %s",
		     t->kind == TK_EOF ? "end of text" : t->kind == TK_PUNCT ? one :
		     t->str ? t->str : "number", what);
}

bool ptx_next(struct ptx_parser *p)
{
	p->tk = p->ahead;
	return ptx_lex(&p->lx, &p->ahead);
}

bool ptx_is(struct ptx_parser *p, char c)
{
	return p->tk.kind == TK_PUNCT && p->tk.punct == c;
}

bool ptx_accept(struct ptx_parser *p, char c)
{
	return ptx_is(p, c) && ptx_next(p);
}

bool ptx_expect(struct ptx_parser *p, char c)
{
	char what[4] = { '\'', c, '\'', 0 };

	if (ptx_is(p, c))
		return ptx_next(p);
	ptx_fail(p, what);
	return false;
}

bool ptx_is_dot(struct ptx_parser *p, const char *word)
{
	return p->tk.kind == TK_DOT && !strcmp(p->tk.str, word);
}

bool ptx_accept_dot(struct ptx_parser *p, const char *word)
{
	return ptx_is_dot(p, word) && ptx_next(p);
}

/* A plain number with an optional sign: sizes are no expressions. */
bool ptx_const_int(struct ptx_parser *p, uint64_t *out)
{
	bool neg = false;

	while (ptx_is(p, '-') || ptx_is(p, '+')) {
		neg ^= ptx_is(p, '-');
		if (!ptx_next(p))
			return false;
	}
	if (p->tk.kind != TK_INT) {
		ptx_fail(p, "an integer");
		return false;
	}
	*out = neg ? -p->tk.bits : p->tk.bits;
	return ptx_next(p);
}

static bool operand(struct ptx_parser *p, struct ptx_operand *o);

/* The longest are the registers of a wgmma. */
#define LIST_MAX 256

static bool operand_list(struct ptx_parser *p, struct ptx_operand *o, char close)
{
	struct ptx_operand tmp[LIST_MAX];

	o->n = 0;
	while (!ptx_is(p, close)) {
		if (o->n == LIST_MAX) {
			ptx_fail(p, "fewer list elements");
			return false;
		}
		if (!operand(p, &tmp[o->n++]))
			return false;
		if (!ptx_accept(p, ',') && !ptx_is(p, close)) {
			ptx_fail(p, "',' or end of list");
			return false;
		}
	}
	o->sub = sg_arena_alloc(p->bodies, sizeof(tmp[0]) * (o->n + 1));
	memcpy(o->sub, tmp, sizeof(tmp[0]) * o->n);
	return ptx_next(p);
}

static bool name_operand(struct ptx_parser *p, struct ptx_operand *o)
{
	o->kind = OP_NAME;
	o->name = p->tk.str;
	if (!ptx_next(p))
		return false;
	if (p->tk.kind == TK_DOT && !p->tk.spaced) {
		o->kind = OP_SREG;
		o->suffix = p->tk.str;
		if (!ptx_next(p))
			return false;
	}
	return (!ptx_is(p, '+') && !ptx_is(p, '-')) || ptx_offset(p, &o->bits);
}

static bool const_operand(struct ptx_parser *p, struct ptx_operand *o)
{
	struct ptx_value v;

	if (!ptx_const(p, &v))
		return false;
	o->kind = v.is_float ? OP_FLOAT : OP_INT;
	o->is_double = v.is_float && !v.is_single;
	o->bits = v.bits;
	return true;
}

static bool operand_inside(struct ptx_parser *p, struct ptx_operand *o)
{
	memset(o, 0, sizeof(*o));
	if (ptx_accept(p, '[')) {
		o->kind = OP_ADDR;
		if (!operand_list(p, o, ']'))
			return false;
		if (!o->n)
			ptx_fail(p, "an address");
		return o->n;
	}
	if (ptx_accept(p, '{')) {
		o->kind = OP_VEC;
		return operand_list(p, o, '}');
	}
	if (p->in_call && p->depth == 1 && ptx_accept(p, '(')) {
		o->kind = OP_LIST;
		return operand_list(p, o, ')');
	}
	if (ptx_starts_const(p))
		return const_operand(p, o);
	if (ptx_accept(p, '!')) {
		o->kind = OP_NOT;
		o->n = 1;
		o->sub = sg_arena_alloc(p->bodies, sizeof(*o));
		return operand(p, o->sub);
	}
	if (p->tk.kind != TK_IDENT) {
		ptx_fail(p, "an operand");
		return false;
	}
	if (!name_operand(p, o))
		return false;
	if (ptx_accept(p, '|')) {
		struct ptx_operand *sub = sg_arena_alloc(p->bodies, 2 * sizeof(*o));

		sub[0] = *o;
		memset(o, 0, sizeof(*o));
		o->kind = OP_PAIR;
		o->n = 2;
		o->sub = sub;
		return operand(p, &sub[1]);
	}
	return true;
}

/* No instruction nests them deeper than a list of vectors of names. */
#define DEPTH_MAX 8

static bool operand(struct ptx_parser *p, struct ptx_operand *o)
{
	bool ok;

	if (p->depth == DEPTH_MAX) {
		ptx_fail(p, "operands that are nested less deeply");
		return false;
	}
	p->depth++;
	ok = operand_inside(p, o);
	p->depth--;
	return ok;
}

/* Valid until the next one: the statements of a function get their place when all are known. */
static struct ptx_stmt *new_stmt(struct ptx_parser *p)
{
	struct ptx_stmt *s;

	if (p->nstmts == p->cap) {
		int cap = p->cap ? 2 * p->cap : 256;
		struct ptx_stmt *bigger = realloc(p->stmts, cap * sizeof(*bigger));

		if (!bigger)
			abort();	/* as sg_arena_alloc() does */
		p->stmts = bigger;
		p->cap = cap;
	}
	s = &p->stmts[p->nstmts++];
	memset(s, 0, sizeof(*s));
	s->line = p->tk.line;
	s->scope = p->scope;
	return s;
}

static void place_stmts(struct ptx_parser *p, struct ptx_func *f)
{
	f->nstmts = p->nstmts;
	f->stmts = sg_arena_alloc(p->bodies, f->nstmts * sizeof(*f->stmts));
	if (f->nstmts)
		memcpy(f->stmts, p->stmts, f->nstmts * sizeof(*f->stmts));
	p->nstmts = 0;
}

static bool instruction(struct ptx_parser *p)
{
	struct ptx_operand ops[PTX_MAX_OPS];
	const char *mods[PTX_MAX_MODS];
	struct ptx_stmt *s = new_stmt(p);

	if (ptx_accept(p, '@')) {
		s->guard_not = ptx_accept(p, '!');
		if (p->tk.kind != TK_IDENT) {
			ptx_fail(p, "a predicate");
			return false;
		}
		s->guard = p->tk.str;
		if (!ptx_next(p))
			return false;
	}
	if (p->tk.kind != TK_IDENT) {
		ptx_fail(p, "an instruction");
		return false;
	}
	s->line = p->tk.line;
	s->op = p->tk.str;
	if (!ptx_next(p))
		return false;
	while (p->tk.kind == TK_DOT) {
		if (s->nmods == PTX_MAX_MODS) {
			ptx_fail(p, "fewer modifiers");
			return false;
		}
		mods[s->nmods++] = p->tk.str;
		if (!ptx_next(p))
			return false;
	}
	s->mods = sg_arena_alloc(p->bodies, s->nmods * sizeof(mods[0]));
	memcpy(s->mods, mods, s->nmods * sizeof(mods[0]));
	p->in_call = !strcmp(s->op, "call");
	while (!ptx_is(p, ';')) {
		if (s->nops == PTX_MAX_OPS) {
			ptx_fail(p, "fewer operands");
			return false;
		}
		if (!operand(p, &ops[s->nops++]))
			return false;
		if (ptx_accept(p, ',') ? ptx_is(p, ';') : !ptx_is(p, ';')) {
			ptx_fail(p, "',' or ';'");
			return false;
		}
	}
	s->ops = sg_arena_alloc(p->bodies, s->nops * sizeof(ops[0]));
	memcpy(s->ops, ops, s->nops * sizeof(ops[0]));
	return ptx_next(p);
}

static bool label(struct ptx_parser *p)
{
	struct ptx_label *l = sg_arena_alloc(p->arena, sizeof(*l));

	l->name = p->tk.str;
	ptx_add_label(p->arena, p->scope, l);
	if (!ptx_next(p) || !ptx_expect(p, ':'))
		return false;
	if (ptx_accept_dot(p, "branchtargets")) {
		const char *tmp[4096];

		do {
			if (p->tk.kind != TK_IDENT || l->n == 4096) {
				ptx_fail(p, "a label");
				return false;
			}
			tmp[l->n++] = p->tk.str;
			if (!ptx_next(p))
				return false;
		} while (ptx_accept(p, ','));
		l->is_table = true;
		l->targets = sg_arena_alloc(p->arena, l->n * sizeof(*tmp));
		memcpy(l->targets, tmp, l->n * sizeof(*tmp));
		return ptx_expect(p, ';');
	}
	if (ptx_is_dot(p, "callprototype") || ptx_is_dot(p, "calltargets")) {
		/* the callee's own parameter list is what a call checks against */
		while (!ptx_is(p, ';') && p->tk.kind != TK_EOF)
			if (!ptx_next(p))
				return false;
		return ptx_expect(p, ';');
	}
	new_stmt(p)->label = l;
	return true;
}

/* A name is looked up in each block around it; compilers nest two or three. */
#define BLOCKS_MAX 256

/* Between the braces of a function or of a nested block. */
static bool block(struct ptx_parser *p)
{
	int depth = 0;

	for (;;) {
		if (p->tk.kind == TK_EOF) {
			ptx_fail(p, "'}'");
			return false;
		}
		if (ptx_is(p, '{')) {
			struct ptx_scope *s = sg_arena_alloc(p->arena, sizeof(*s));

			if (depth == BLOCKS_MAX) {
				ptx_fail(p, "blocks that are nested less deeply");
				return false;
			}
			s->parent = p->scope;
			s->next = p->func->scope->next;
			p->func->scope->next = s;
			p->scope = s;
			depth++;
			if (!ptx_next(p))
				return false;
		} else if (ptx_is(p, '}')) {
			if (!ptx_next(p))
				return false;
			if (!depth--)
				return true;
			p->scope = p->scope->parent;
		} else if (ptx_is(p, ';')) {
			if (!ptx_next(p))
				return false;
		} else if (p->tk.kind == TK_DOT) {
			if (!ptx_declaration(p))
				return false;
		} else if (p->tk.kind == TK_IDENT && p->ahead.kind == TK_PUNCT &&
			   p->ahead.punct == ':') {
			if (!label(p))
				return false;
		} else if (!instruction(p)) {
			return false;
		}
	}
}

static bool tuning_directive(struct ptx_parser *p, struct ptx_func *f)
{
	uint32_t *dims = NULL, one[3];
	uint64_t v;

	if (ptx_accept_dot(p, "maxntid")) {
		dims = f->maxntid;
	} else if (ptx_accept_dot(p, "reqntid")) {
		dims = f->reqntid;
	} else if (ptx_accept_dot(p, "minnctapersm")) {
		dims = one;
	} else if (ptx_accept_dot(p, "maxnreg")) {
		return ptx_const_int(p, &v) && ((f->maxnreg = v), true);
	} else if (ptx_accept_dot(p, "reqnctapercluster")) {
		dims = f->cluster;
	} else if (ptx_accept_dot(p, "maxclusterrank")) {
		return ptx_const_int(p, &v);
	} else if (ptx_accept_dot(p, "noreturn") || ptx_accept_dot(p, "explicitcluster")) {
		return true;
	} else if (ptx_accept_dot(p, "pragma")) {
		return ptx_next(p) && ptx_expect(p, ';');
	} else {
		ptx_fail(p, "a known function directive");
		return false;
	}
	dims[0] = dims[1] = dims[2] = 1;
	for (int i = 0; i < 3; i++) {
		if (!ptx_const_int(p, &v))
			return false;
		if (dims != one && (!v || v > UINT32_MAX)) {
			ptx_fail(p, "a size of at least one");
			return false;
		}
		dims[i] = v;
		if (!ptx_accept(p, ','))
			break;
	}
	if (dims == one)
		f->minctas = one[0];
	return true;
}

static struct ptx_var *reverse(struct ptx_var *v, int *n)
{
	struct ptx_var *out = NULL, *next;

	for (*n = 0; v; v = next, ++*n) {
		next = v->next;
		v->next = out;
		out = v;
	}
	return out;
}

/* The parameters keep a list of their own, and copies of them are found by name in the body. */
static bool parameters(struct ptx_parser *p, struct ptx_func *f, struct ptx_var **out, int *n)
{
	struct ptx_scope list = { 0 }, *outer = p->scope;

	p->scope = &list;
	while (!ptx_accept(p, ')')) {
		if (!ptx_is_dot(p, "param") && !ptx_is_dot(p, "reg")) {
			ptx_fail(p, ".param or .reg");
			return false;
		}
		if (!ptx_parameter(p))
			return false;
		if (!ptx_accept(p, ',') && !ptx_is(p, ')')) {
			ptx_fail(p, "',' or ')'");
			return false;
		}
	}
	p->scope = outer;
	*out = reverse(list.vars, n);
	for (struct ptx_var *v = *out; v; v = v->next)
		v->owner = f;
	return true;
}

/* Chains the parameters in front of the body's own names. */
static void bind_parameters(struct ptx_parser *p, struct ptx_func *f, struct ptx_var *list)
{
	for (struct ptx_var *v = list; v; v = v->next) {
		struct ptx_var *alias = sg_arena_alloc(p->arena, sizeof(*alias));

		*alias = *v;
		alias->param = v;
		alias->space = v->is_reg ? SP_REG : SP_PARAM;
		ptx_add_var(p->arena, f->scope, alias);
	}
}

/* A function may be declared before it is defined. Of several weak definitions the first holds. */
static bool add_function(struct ptx_parser *p, struct ptx_func *f, bool linked)
{
	struct ptx_scope *scope = linked ? &p->mod->scope : p->file;
	struct ptx_func *old = sg_map_get(&scope->func_names, f->name, strlen(f->name)), *next;

	if (!old) {
		*p->mod->funcs_tail = f;
		p->mod->funcs_tail = &f->next;
		sg_map_put(&scope->func_names, p->arena, f->name, f);
	} else if (f->defined && old->defined && !f->is_weak && !old->is_weak) {
		sg_error_set(p->err, CUDA_ERROR_INVALID_PTX, f->line, "%s is defined twice",
			     f->name);
		return false;
	} else if (f->defined && (!old->defined || !f->is_weak)) {
		next = old->next;
		*old = *f;
		old->next = next;
	}
	return true;
}

static bool function(struct ptx_parser *p, bool is_entry, const struct ptx_linkage *lk)
{
	struct ptx_func *f = sg_arena_alloc(p->arena, sizeof(*f));

	f->is_entry = is_entry;
	f->is_extern = lk->is_extern;
	f->is_weak = lk->is_weak;
	f->line = p->tk.line;
	f->scope = sg_arena_alloc(p->arena, sizeof(*f->scope));
	f->scope->parent = p->file;
	p->func = f;
	if (!is_entry && ptx_accept(p, '(') && !parameters(p, f, &f->rets, &f->nrets))
		return false;
	if (p->tk.kind != TK_IDENT) {
		ptx_fail(p, "a function name");
		return false;
	}
	f->name = ptx_keep(p, p->tk.str);
	if (!ptx_next(p))
		return false;
	if (ptx_accept(p, '(') && !parameters(p, f, &f->params, &f->nparams))
		return false;
	while (p->tk.kind == TK_DOT)
		if (!tuning_directive(p, f))
			return false;
	if (ptx_is(p, '{')) {
		bind_parameters(p, f, f->rets);
		bind_parameters(p, f, f->params);
		p->scope = f->scope;
		f->defined = true;
		if (!ptx_next(p) || !block(p))
			return false;
		place_stmts(p, f);
		p->scope = p->file;
	} else if (!ptx_expect(p, ';')) {
		return false;
	}
	p->func = NULL;
	return add_function(p, f, ptx_linked(lk));
}

static void begin_text(struct ptx_parser *p)
{
	struct ptx_scope *s = sg_arena_alloc(p->arena, sizeof(*s));

	s->parent = &p->mod->scope;
	s->next = p->mod->scope.next;
	p->mod->scope.next = s;
	p->file = s;
	p->scope = s;
}

/* Above 9.0, which is that of CUDA 13.0; a driver answers newer PTX with error 222. */
#define VERSION_NEXT 9.05

static bool header(struct ptx_parser *p)
{
	uint64_t v;

	if (ptx_accept_dot(p, "version")) {
		/* "9.0" arrives as one number */
		double d;

		if (p->tk.kind != TK_FLOAT) {
			ptx_fail(p, "a version");
			return false;
		}
		memcpy(&d, &p->tk.bits, 8);
		if (!(d >= 1 && d < VERSION_NEXT)) {
			sg_error_set(p->err, CUDA_ERROR_UNSUPPORTED_PTX_VERSION, p->tk.line,
				     ".version %g is newer than 9.0", d);
			return false;
		}
		p->mod->version = d * 10 + 0.5;
		begin_text(p);
		return ptx_next(p);
	}
	if (ptx_accept_dot(p, "target")) {
		do {
			if (p->tk.kind == TK_IDENT && !strncmp(p->tk.str, "sm_", 3))
				p->mod->target = atoi(p->tk.str + 3);
			else if (p->tk.kind == TK_IDENT && !strcmp(p->tk.str, "map_f64_to_f32"))
				p->mod->maps_f64 = true;
			else if (p->tk.kind != TK_IDENT ||
				 (strcmp(p->tk.str, "debug") && strncmp(p->tk.str, "texmode_", 8))) {
				ptx_fail(p, "sm_NN");
				return false;
			}
			if (!ptx_next(p))
				return false;
		} while (ptx_accept(p, ','));
		return true;
	}
	if (!ptx_accept_dot(p, "address_size") || !ptx_const_int(p, &v))
		return false;
	if (v != 64) {
		sg_error_set(p->err, CUDA_ERROR_INVALID_PTX, p->tk.line,
			     "only 64-bit addresses are supported");
		return false;
	}
	return true;
}

static bool top_level(struct ptx_parser *p)
{
	struct ptx_linkage lk = { 0 };

	if (ptx_accept(p, ';'))
		return true;
	if (ptx_is_dot(p, "version") || ptx_is_dot(p, "target") || ptx_is_dot(p, "address_size"))
		return header(p);
	if (!ptx_linkage(p, &lk))
		return false;
	if (ptx_accept_dot(p, "entry"))
		return function(p, true, &lk);
	if (ptx_accept_dot(p, "func"))
		return function(p, false, &lk);
	return ptx_declaration_linked(p, &lk);
}

struct ptx_module *ptx_parse(const char *text, size_t len, struct sg_error *err)
{
	struct ptx_module *m = calloc(1, sizeof(*m));
	struct ptx_parser p = { .mod = m, .err = err };
	bool ok;

	if (!m) {
		sg_error_set(err, CUDA_ERROR_OUT_OF_MEMORY, 0, "out of memory");
		return NULL;
	}
	m->funcs_tail = &m->funcs;
	p.arena = &m->arena;
	p.bodies = &m->bodies;
	begin_text(&p);
	p.lx = (struct ptx_lexer){ .p = text, .end = text + len, .line = 1, .arena = &m->bodies,
				   .err = err };
	ok = ptx_lex(&p.lx, &p.ahead) && ptx_next(&p);
	while (ok && p.tk.kind != TK_EOF)
		ok = top_level(&p);
	free(p.stmts);
	if (ok && !m->version)
		sg_error_set(err, CUDA_ERROR_INVALID_PTX, 1, "no .version directive");
	else if (ok)
		return m;
	if (!err->code)
		sg_error_set(err, CUDA_ERROR_INVALID_PTX, p.tk.line, "syntax error");
	ptx_module_free(m);
	return NULL;
}

void ptx_module_free(struct ptx_module *m)
{
	if (!m)
		return;
	sg_arena_free(&m->bodies);
	sg_arena_free(&m->arena);
	free(m);
}

void ptx_forget_bodies(struct ptx_module *m)
{
	for (struct ptx_func *f = m->funcs; f; f = f->next) {
		f->stmts = NULL;
		f->nstmts = 0;
		f->scope = NULL;
	}
	sg_arena_free(&m->bodies);
}
