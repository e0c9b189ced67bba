/* SPDX-License-Identifier: Apache-2.0 */
/* PTX front end: source text to a syntax tree. The lowering to machine operations is lower.h. */
#ifndef SG_PTX_H
#define SG_PTX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sg_type {
	T_NONE,
	T_PRED,
	T_B8, T_B16, T_B32, T_B64, T_B128,
	T_U8, T_U16, T_U32, T_U64,
	T_S8, T_S16, T_S32, T_S64,
	T_F16, T_F16X2, T_BF16, T_BF16X2, T_F32, T_F64,
	T_U16X2, T_S16X2,
	T_COUNT,
};

enum sg_space {
	SP_GENERIC, SP_REG, SP_PARAM, SP_GLOBAL, SP_CONST, SP_SHARED, SP_LOCAL,
	SP_FRAME,		/* parameters of functions and calls: a thread's own memory */
};

/* Memory that lives as long as its owner and is freed as a whole. */
struct sg_arena {
	struct sg_chunk *head;
};

void *sg_arena_alloc(struct sg_arena *a, size_t size);
char *sg_arena_strndup(struct sg_arena *a, const char *s, size_t n);
void sg_arena_free(struct sg_arena *a);

/* A hash table from names to what they name, in an arena. */
struct sg_map {
	struct sg_map_slot *slots;
	uint32_t used, room;
};

void *sg_map_get(const struct sg_map *m, const char *key, size_t len);
void sg_map_put(struct sg_map *m, struct sg_arena *a, const char *key, void *value);

/* The text a failed load hands to the program; the first error wins. */
struct sg_error {
	char text[512];
	int line;
	int code;		/* a CUresult, 0 while there is no error */
};

void sg_error_set(struct sg_error *e, int code, int line, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Lexer */
enum ptx_tok {
	TK_EOF, TK_IDENT, TK_DOT, TK_INT, TK_FLOAT, TK_STRING, TK_PUNCT,
};

struct ptx_token {
	enum ptx_tok kind;
	char punct;
	bool is_double;		/* TK_FLOAT: bits hold a double, else a float */
	bool is_unsigned;	/* TK_INT */
	bool spaced;		/* white space stood before it */
	int line;
	const char *str;	/* identifier, or word after the dot */
	uint64_t bits;
};

struct ptx_lexer {
	const char *p, *end;
	int line;
	struct sg_arena *arena;
	struct sg_error *err;
};

bool ptx_lex(struct ptx_lexer *lx, struct ptx_token *tk);

/* Syntax tree */
struct ptx_var {
	const char *name;
	struct ptx_var *next;
	enum sg_space space;
	enum sg_type type;
	int count;		/* of a parametrised name, %r<count>; 0: a plain name */
	int vec;		/* 1, 2 or 4 elements */
	bool is_extern, is_array, is_weak;
	bool is_opaque;		/* .texref and its like: no memory */
	bool is_reg;		/* a parameter that the body has in a register */
	uint32_t align;
	uint64_t size;		/* bytes, all elements; 0 for an unsized extern array */
	uint64_t offset;	/* in its space, set by layout */
	struct ptx_func *owner;	/* function whose body declares it */
	uint8_t *init;
	struct ptx_reloc *relocs;
	int line;
	struct ptx_var *param;	/* the parameter of the function that this name stands for */
	struct ptx_user *users;	/* layout, of module-wide shared variables */
	int32_t *slots;		/* registers, set by lowering */
};

/* An address inside an initialiser: filled in when the module is placed in memory. */
struct ptx_reloc {
	struct ptx_reloc *next;
	const char *name;
	uint64_t offset;	/* in the variable */
	int64_t addend;
	uint8_t width, shift;
	bool generic;
	int line;
};

enum ptx_opkind {
	OP_NAME,		/* register, variable, function, label */
	OP_SREG,		/* special register: name and .x/.y/.z */
	OP_INT,
	OP_FLOAT,
	OP_VEC,			/* {a, b, …} */
	OP_LIST,		/* (a, b, …) of a call */
	OP_ADDR,		/* [base + imm], and [base + imm, coordinates …] */
	OP_NOT,			/* !p */
	OP_PAIR,		/* p|q */
};

struct ptx_operand {
	enum ptx_opkind kind;
	const char *name;
	const char *suffix;
	bool is_double;
	uint64_t bits;		/* constant, or the offset added to a name */
	int n;
	struct ptx_operand *sub;
};

struct ptx_label {
	struct ptx_label *next;
	const char *name;
	int stmt;
	int pc;
	bool is_table;		/* .branchtargets */
	int n;
	const char **targets;
};

/*
 * A block of a function, a text, or the module.  A name that is neither .extern, .visible nor .weak
 * is its text's own, as where several texts are linked.
 */
struct ptx_scope {
	struct ptx_scope *parent;
	struct ptx_scope *next;	/* of the same function; the module's: of its texts */
	struct ptx_var *vars;
	struct ptx_label *labels;
	struct sg_map names, sets, label_names;	/* sets: %r<count> */
	struct sg_map func_names;
};

#define PTX_MAX_MODS 16
#define PTX_MAX_OPS 16

struct ptx_stmt {
	const char *op;		/* mnemonic; NULL: a label */
	const char **mods;
	uint16_t used;		/* modifiers that lowering understood */
	uint8_t nmods, nops;
	bool guard_not;
	const char *guard;
	int line;
	struct ptx_scope *scope;
	struct ptx_label *label;
	struct ptx_operand *ops;
};

/* One of the functions whose bodies name a thing. */
struct ptx_user {
	struct ptx_user *next;
	struct ptx_func *func;
};

struct ptx_func {
	const char *name;
	struct ptx_func *next;
	bool is_entry, is_extern, is_weak, defined;
	struct ptx_var *rets, *params;
	int nrets, nparams;
	struct ptx_scope *scope;	/* the outermost; the first of all that the body has */
	struct ptx_stmt *stmts;
	int nstmts;
	uint32_t maxntid[3], reqntid[3];
	uint32_t minctas, maxnreg;
	uint32_t cluster[3];	/* required blocks in a cluster; 0: any */
	uint64_t param_bytes;	/* entry: size of the launch parameter block */
	uint64_t local_bytes;	/* of .local variables in the body */
	uint64_t shared_bytes;	/* entry: static shared memory it can reach */
	uint64_t frame_bytes;	/* function: parameter memory per thread */
	int line;
	bool indirect;		/* layout: calls through pointers, itself or what it calls */
	struct ptx_user *callers;	/* layout */
	struct ptx_var *seen;	/* layout: the last variable that it was found to reach */
	struct ptx_func *waiting;	/* ptx_tell_callers */
	bool waits;
	uint64_t address;	/* in the code window, set when the module is placed */
	struct sg_func *code;
};

struct ptx_module {
	struct sg_arena arena;
	struct sg_arena bodies;	/* what functions consist of, and the words of the text */
	int version;		/* 10 * major + minor */
	int target;		/* sm number */
	struct ptx_scope scope;
	struct ptx_func *funcs, **funcs_tail;
	bool has_vectors;	/* vector registers */
	bool maps_f64;		/* .target map_f64_to_f32: doubles are to be computed as floats */
	uint64_t dyn_shared;	/* offset at which dynamic shared memory begins */
};

struct ptx_module *ptx_parse(const char *text, size_t len, struct sg_error *err);
void ptx_module_free(struct ptx_module *m);
/* Frees the bodies, which are most of a module: lowering is over. Labels lose their names. */
void ptx_forget_bodies(struct ptx_module *m);
void ptx_add_var(struct sg_arena *a, struct ptx_scope *s, struct ptx_var *v);
void ptx_add_label(struct sg_arena *a, struct ptx_scope *s, struct ptx_label *l);
struct ptx_var *ptx_find_var(struct ptx_scope *scope, const char *name, int *index);
struct ptx_label *ptx_find_label(struct ptx_scope *scope, const char *name);
struct ptx_func *ptx_find_func(struct ptx_scope *scope, const char *name);
void ptx_tell_callers(struct ptx_module *m, bool (*tell)(struct ptx_func *caller,
							 struct ptx_func *callee));
bool ptx_layout(struct ptx_module *m, struct sg_error *err);

enum sg_type ptx_type(const char *word);
int sg_type_size(enum sg_type t);
bool sg_type_signed(enum sg_type t);
bool sg_type_float(enum sg_type t);
const char *sg_type_name(enum sg_type t);

#endif
