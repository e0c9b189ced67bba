// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_abi.h"
#include "image.h"

#define CODE_STEP 16

/* Every function of the process has an address; guards the table of them. */
static pthread_mutex_t code_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sg_func **code_table;
static size_t code_count, code_cap;

/* Parsing and layout share no state but ptx_layout's, which is for one module at a time. */
static pthread_mutex_t load_lock = PTHREAD_MUTEX_INITIALIZER;

static bool register_code(struct sg_func *f)
{
	bool ok = true;

	pthread_mutex_lock(&code_lock);
	if (code_count == code_cap) {
		size_t cap = code_cap ? 2 * code_cap : 256;
		struct sg_func **bigger = NULL;

		if (cap * CODE_STEP < SG_WINDOW)
			bigger = realloc(code_table, cap * sizeof(*bigger));
		ok = bigger != NULL;
		if (ok) {
			code_table = bigger;
			code_cap = cap;
		}
	}
	if (ok) {
		f->address = sg_win_code + CODE_STEP * (code_count + 1);
		code_table[code_count++] = f;
	}
	pthread_mutex_unlock(&code_lock);
	return ok;
}

struct sg_func *sg_func_at(uint64_t addr)
{
	struct sg_func *f = NULL;
	uint64_t i = (addr - sg_win_code) / CODE_STEP - 1;

	pthread_mutex_lock(&code_lock);
	if (addr > sg_win_code && addr % CODE_STEP == 0 && i < code_count)
		f = code_table[i];
	pthread_mutex_unlock(&code_lock);
	return f;
}

static void unregister_code(struct sg_func *f)
{
	pthread_mutex_lock(&code_lock);
	if (f->address)
		code_table[(f->address - sg_win_code) / CODE_STEP - 1] = NULL;
	pthread_mutex_unlock(&code_lock);
}

static enum sg_builtin builtin(const char *name)
{
	return !strcmp(name, "vprintf") ? FN_VPRINTF : !strcmp(name, "malloc") ? FN_MALLOC :
	       !strcmp(name, "free") ? FN_FREE : !strcmp(name, "__assertfail") ? FN_ASSERTFAIL :
	       !strcmp(name, "cudaGraphSetConditional") ? FN_SET_CONDITIONAL : FN_NONE;
}

static struct sg_param *param_list(struct ptx_module *m, struct ptx_var *v, int n)
{
	struct sg_param *p = sg_arena_alloc(&m->arena, (n + 1) * sizeof(*p));

	for (int i = 0; v; v = v->next, i++)
		p[i] = (struct sg_param){ v->offset, v->size, v->align };
	return p;
}

static struct sg_func *new_func(struct sg_image *img, struct ptx_func *p)
{
	struct sg_func *f = calloc(1, sizeof(*f));

	if (!f || !register_code(f)) {
		free(f);
		return NULL;
	}
	f->name = p->name;
	f->image = img;
	f->is_entry = p->is_entry;
	f->builtin = p->defined ? FN_NONE : builtin(p->name);
	f->nparams = p->nparams;
	f->nrets = p->nrets;
	f->params = param_list(img->ptx, p->params, p->nparams);
	f->rets = param_list(img->ptx, p->rets, p->nrets);
	f->frame_bytes = p->frame_bytes;
	f->local_bytes = p->local_bytes;
	f->shared_bytes = p->shared_bytes;
	f->param_bytes = p->param_bytes;
	memcpy(f->maxntid, p->maxntid, sizeof(f->maxntid));
	memcpy(f->reqntid, p->reqntid, sizeof(f->reqntid));
	f->nregs = 16;
	p->address = f->address;
	p->code = f;
	return f;
}

static bool add_symbol(struct sg_image *img, struct ptx_var *v)
{
	struct sg_symbol *s = realloc(img->symbols, (img->nsymbols + 1) * sizeof(*s));

	if (!s)
		return false;
	img->symbols = s;
	s[img->nsymbols++] = (struct sg_symbol){ v->name, v->offset, v->size };
	return true;
}

/* Gives a variable its memory; its initial bytes follow when all addresses are known. */
static bool place_var(struct sg_image *img, struct ptx_var *v, void *owner, struct sg_error *err)
{
	int rc;

	if (v->space != SP_GLOBAL && v->space != SP_CONST)
		return true;
	if (v->is_extern && img->partial)
		return true;
	if (v->is_extern) {
		sg_error_set(err, CUDA_ERROR_INVALID_PTX, v->line,
			     "the external variable %s is defined nowhere", v->name);
		return false;
	}
	rc = sg_heap_alloc(img->heap, v->size ? v->size : 1, v->align, RG_MODULE, owner,
			   &v->offset);
	if (rc) {
		sg_error_set(err, rc, v->line, "no memory for the variable %s of %llu bytes",
			     v->name, (unsigned long long)v->size);
		return false;
	}
	if (v->space == SP_CONST)
		img->const_base = v->offset;
	if (!add_symbol(img, v)) {
		sg_error_set(err, CUDA_ERROR_OUT_OF_MEMORY, v->line, "out of memory");
		return false;
	}
	return true;
}

static bool reloc_value(struct ptx_reloc *r, struct ptx_scope *scope, uint64_t *out,
			struct sg_error *err)
{
	struct ptx_var *v = ptx_find_var(scope, r->name, NULL);
	struct ptx_func *f = v ? NULL : ptx_find_func(scope, r->name);

	if (v && (v->space == SP_GLOBAL || v->space == SP_CONST)) {
		*out = v->offset + r->addend;
	} else if (v && v->space == SP_SHARED) {
		*out = v->offset + r->addend + (r->generic ? sg_win_shared : 0);
	} else if (f && f->code) {
		*out = f->address + r->addend;
	} else {
		sg_error_set(err, CUDA_ERROR_INVALID_PTX, r->line,
			     "undefined name %s in an initialiser", r->name);
		return false;
	}
	return true;
}

static bool fill_var(struct sg_image *img, struct ptx_var *v, struct ptx_scope *scope,
		     struct sg_error *err)
{
	char *to;

	if ((v->space != SP_GLOBAL && v->space != SP_CONST) || !v->init)
		return true;
	to = img->heap->backing + (v->offset - img->heap->base);
	memcpy(to, v->init, v->size);
	for (struct ptx_reloc *r = v->relocs; r; r = r->next) {
		uint64_t value;

		if (!reloc_value(r, scope, &value, err))
			return false;
		value >>= r->shift;
		memcpy(to + r->offset, &value, r->width);
	}
	return true;
}

/* Runs fn on the module's variables and on those inside functions. */
static bool each_var(struct sg_image *img, void *owner, struct sg_error *err, bool fill)
{
	struct ptx_module *m = img->ptx;

	for (struct ptx_scope *s = &m->scope; s; s = s->next)
		for (struct ptx_var *v = s->vars; v; v = v->next)
			if (!(fill ? fill_var(img, v, s, err) : place_var(img, v, owner, err)))
				return false;
	for (struct ptx_func *f = m->funcs; f; f = f->next)
		for (struct ptx_scope *s = f->scope; s; s = s->next)
			for (struct ptx_var *v = s->vars; v; v = v->next)
				if (!(fill ? fill_var(img, v, s, err) :
				      place_var(img, v, owner, err)))
					return false;
	return true;
}

/*
 * Local memory of the deepest chain of calls; recursion makes it unbounded. What is known of a
 * function is kept in it, so that each is walked once.
 */
static uint64_t chain_local(struct sg_func *f, int depth, bool *unbounded)
{
	uint64_t deepest = 0, own = f->local_bytes > 16 ? f->local_bytes : 16;

	if (depth > 64) {
		*unbounded = true;
		return own;
	}
	if (f->local_total)
		return f->local_total;
	*unbounded |= f->calls_unbounded;
	for (int i = 0; i < f->ncode && !(*unbounded && depth); i++) {
		const struct sg_call *c = f->code[i].extra;
		uint64_t d;

		if (f->code[i].kind != K_CALL || !c->callee || c->callee->builtin)
			continue;
		d = chain_local(c->callee, depth + 1, unbounded);
		if (d > deepest)
			deepest = d;
	}
	if (!*unbounded)
		f->local_total = own + deepest;
	return own + deepest;
}

/*
 * What is wrong in a function refuses the module, as a driver does. What is missing here, but
 * not in a GPU, is noted: it refuses the kernels that need it.
 */
static bool lower_or_note(struct sg_image *img, struct ptx_func *f, struct sg_error *err)
{
	struct sg_error own = { 0 }, *kept;

	if (sg_lower(img, f, f->code, &own))
		return true;
	if (own.code != CUDA_ERROR_NOT_SUPPORTED) {
		*err = own;
		return false;
	}
	kept = sg_arena_alloc(&img->ptx->arena, sizeof(*kept));
	*kept = own;
	f->code->lacks = kept;
	return true;
}

static bool tell_lack(struct ptx_func *caller, struct ptx_func *callee)
{
	if (!caller->code || caller->code->lacks || !callee->code || !callee->code->lacks)
		return false;
	caller->code->lacks = callee->code->lacks;
	return true;
}

static bool load(struct sg_image *img, void *owner, struct sg_error *err)
{
	struct ptx_module *m = img->ptx;
	int n = 0;

	if (!ptx_layout(m, err))
		return false;
	for (struct ptx_func *f = m->funcs; f; f = f->next)
		n++;
	img->funcs = calloc(n + 1, sizeof(*img->funcs));
	for (struct ptx_func *f = m->funcs; img->funcs && f; f = f->next) {
		if (!f->defined && builtin(f->name) == FN_NONE)
			continue;	/* an error only where it is called */
		img->funcs[img->nfuncs] = new_func(img, f);
		if (!img->funcs[img->nfuncs])
			break;
		img->nfuncs++;
	}
	if (!each_var(img, owner, err, false) || !each_var(img, owner, err, true))
		return false;
	for (struct ptx_func *f = m->funcs; f; f = f->next) {
		if (f->defined && (!f->code || !lower_or_note(img, f, err))) {
			sg_error_set(err, CUDA_ERROR_OUT_OF_MEMORY, f->line, "out of memory");
			return false;
		}
	}
	ptx_tell_callers(m, tell_lack);
	for (int i = 0; i < img->nfuncs; i++) {
		struct sg_func *f = img->funcs[i];
		bool unbounded = false;

		if (f->is_entry) {
			f->local_total = (chain_local(f, 0, &unbounded) + 15) & ~15u;
			f->calls_unbounded = unbounded;
		}
	}
	return true;
}

static struct sg_image *image_new(const char *text, size_t len, struct sg_heap *heap, void *owner,
				  bool partial, struct sg_error *err)
{
	struct sg_image *img = calloc(1, sizeof(*img));
	bool ok = false;

	if (!img) {
		sg_error_set(err, CUDA_ERROR_OUT_OF_MEMORY, 0, "out of memory");
		return NULL;
	}
	img->heap = heap;
	img->partial = partial;
	pthread_mutex_lock(&load_lock);
	img->ptx = ptx_parse(text, len, err);
	if (img->ptx)
		ok = load(img, owner, err);
	pthread_mutex_unlock(&load_lock);
	if (!ok) {
		sg_image_free(img);
		return NULL;
	}
	ptx_forget_bodies(img->ptx);
	return img;
}

struct sg_image *sg_image_load(const char *text, size_t len, struct sg_heap *heap, void *owner,
			       struct sg_error *err)
{
	return image_new(text, len, heap, owner, false, err);
}

int sg_image_check(const char *text, size_t len, struct sg_heap *heap, void *owner, bool partial,
		   struct sg_error *err)
{
	struct sg_image *img = image_new(text, len, heap, owner, partial, err);

	if (!img)
		return err->code ? err->code : CUDA_ERROR_OUT_OF_MEMORY;
	sg_image_free(img);
	return 0;
}

void sg_image_free(struct sg_image *img)
{
	if (!img)
		return;
	for (int i = 0; i < img->nfuncs; i++) {
		unregister_code(img->funcs[i]);
		free(img->funcs[i]->code);
		free(img->funcs[i]->consts);
		free(img->funcs[i]);
	}
	free(img->funcs);
	/* from the highest address, so that the table of ranges loses its end and not its middle */
	for (int i = img->nsymbols - 1; i >= 0; i--)
		sg_heap_free(img->heap, img->symbols[i].addr);
	free(img->symbols);
	ptx_module_free(img->ptx);
	free(img);
}

struct sg_func *sg_image_entry(struct sg_image *img, const char *name)
{
	for (int i = 0; i < img->nfuncs; i++)
		if (img->funcs[i]->is_entry && !strcmp(img->funcs[i]->name, name))
			return img->funcs[i];
	return NULL;
}

struct sg_symbol *sg_image_symbol(struct sg_image *img, const char *name)
{
	for (int i = 0; i < img->nsymbols; i++)
		if (!strcmp(img->symbols[i].name, name))
			return &img->symbols[i];
	return NULL;
}
