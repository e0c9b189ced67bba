// SPDX-License-Identifier: Apache-2.0
/* Modules and functions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "log.h"

#define SHARED_DEFAULT 49152
#define SHARED_OPTIN 232448

/* Only the logs matter: the other options tune a compiler that is not here. */
void sg_jit_options(struct sg_jit_log *log, unsigned int n, CUjit_option *opts, void **values)
{
	memset(log, 0, sizeof(*log));
	for (unsigned int i = 0; opts && values && i < n; i++) {
		switch (opts[i]) {
		case CU_JIT_INFO_LOG_BUFFER:
			log->info = values[i];
			break;
		case CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES:
			log->info_room = (unsigned int)(uintptr_t)values[i];
			log->info_size = &values[i];
			break;
		case CU_JIT_ERROR_LOG_BUFFER:
			log->error = values[i];
			break;
		case CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES:
			log->error_room = (unsigned int)(uintptr_t)values[i];
			log->error_size = &values[i];
			break;
		default:
			break;
		}
	}
}

void sg_jit_fill(struct sg_jit_log *log, const struct sg_image *img, const struct sg_error *err)
{
	int n = 0;

	if (log->error && log->error_room) {
		log->error[0] = 0;
		if (err->code)
			n = snprintf(log->error, log->error_room, "ptx input, line %d; error: %s\n",
				     err->line, err->text);
		if ((size_t)n >= log->error_room)
			n = log->error_room - 1;
	}
	/* the sizes come back as the length of what was written */
	if (log->error_size)
		*log->error_size = (void *)(uintptr_t)n;
	n = 0;
	if (log->info && log->info_room) {
		log->info[0] = 0;
		for (int i = 0; img && i < img->nfuncs && (size_t)n < log->info_room; i++) {
			const struct sg_func *f = img->funcs[i];

			if (f->is_entry && f->lacks)
				n += snprintf(log->info + n, log->info_room - n,
					      "ptx input, line %d; warning: "
					      "kernel %s cannot run: %s\n",
					      f->lacks->line, f->name, f->lacks->text);
		}
		if ((size_t)n >= log->info_room)
			n = log->info_room - 1;
	}
	if (log->info_size)
		*log->info_size = (void *)(uintptr_t)n;
}

CUresult sg_module_load(CUcontext ctx, const void *image, size_t most, unsigned int nopts,
			CUjit_option *opts, void **values, CUmodule *out)
{
	struct sg_error err = { 0 };
	struct sg_jit_log log;
	char *text;
	size_t len;
	CUmodule m;
	CUresult rc;

	sg_jit_options(&log, nopts, opts, values);
	rc = sg_image_text(image, most, &text, &len);
	if (rc) {
		sg_error_set(&err, rc, 0, rc == CUDA_ERROR_NO_BINARY_FOR_GPU ?
			     "the image holds no PTX for compute capability 9.0, and machine code "
			     "cannot run here" : "the image is neither PTX nor a fat binary");
		sg_jit_fill(&log, NULL, &err);
		sg_log("cannot load a module: %s", err.text);
		return rc;
	}
	m = calloc(1, sizeof(*m));
	if (m)
		m->image = sg_image_load(text, len, &ctx->dev->heap, ctx, &err);
	free(text);
	sg_jit_fill(&log, m ? m->image : NULL, &err);
	if (!m || !m->image) {
		free(m);
		if (err.code)
			sg_log("cannot load a module: PTX line %d: %s", err.line, err.text);
		return err.code ? err.code : CUDA_ERROR_OUT_OF_MEMORY;
	}
	m->magic = MAGIC_MODULE;
	m->ctx = ctx;
	pthread_mutex_lock(&ctx->lock);
	m->next = ctx->modules;
	ctx->modules = m;
	pthread_mutex_unlock(&ctx->lock);
	*out = m;
	return CUDA_SUCCESS;
}

void sg_module_free(CUmodule m)
{
	CUcontext ctx = m->ctx;

	pthread_mutex_lock(&ctx->lock);
	for (CUmodule *pp = &ctx->modules; *pp; pp = &(*pp)->next) {
		if (*pp == m) {
			*pp = m->next;
			break;
		}
	}
	pthread_mutex_unlock(&ctx->lock);
	while (m->funcs) {
		CUfunction f = m->funcs;

		m->funcs = f->next;
		f->magic = 0;
		free(f);
	}
	sg_image_free(m->image);
	m->magic = 0;
	free(m);
}

static CUmodule module_of(CUmodule m)
{
	return m && m->magic == MAGIC_MODULE ? m : NULL;
}

SG_API CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned int n,
				   CUjit_option *options, void **values)
{
	SG_ENTER(ctx);
	if (!module || !image)
		return CUDA_ERROR_INVALID_VALUE;
	return sg_module_load(ctx, image, SIZE_MAX, n, options, values, module);
}

SG_API CUresult cuModuleLoadData(CUmodule *module, const void *image)
{
	return cuModuleLoadDataEx(module, image, 0, NULL, NULL);
}

SG_API CUresult cuModuleLoadFatBinary(CUmodule *module, const void *image)
{
	return cuModuleLoadDataEx(module, image, 0, NULL, NULL);
}

SG_API CUresult cuModuleLoad(CUmodule *module, const char *name)
{
	size_t bytes;
	void *data;
	CUresult rc;

	SG_ENTER(ctx);
	if (!module || !name)
		return CUDA_ERROR_INVALID_VALUE;
	rc = sg_read_file(name, &data, &bytes);
	if (rc)
		return rc;
	rc = sg_module_load(ctx, data, bytes, 0, NULL, NULL, module);
	free(data);
	return rc;
}

SG_API CUresult cuModuleUnload(CUmodule m)
{
	SG_ENTER(ctx);
	(void)ctx;
	if (!module_of(m) || m->library)
		return CUDA_ERROR_INVALID_HANDLE;
	sg_context_wait(m->ctx);
	sg_module_free(m);
	return CUDA_SUCCESS;
}

SG_API CUresult cuModuleGetLoadingMode(CUmoduleLoadingMode *mode)
{
	SG_NEED_INIT();
	if (!mode)
		return CUDA_ERROR_INVALID_VALUE;
	*mode = CU_MODULE_EAGER_LOADING;
	return CUDA_SUCCESS;
}

static CUfunction function_handle(CUmodule m, struct sg_func *fn)
{
	CUfunction f;

	pthread_mutex_lock(&m->ctx->lock);
	for (f = m->funcs; f && f->fn != fn; f = f->next)
		;
	if (!f) {
		f = calloc(1, sizeof(*f));
		if (f) {
			f->magic = MAGIC_FUNC;
			f->fn = fn;
			f->module = m;
			f->max_dynamic = SHARED_DEFAULT - (int)fn->shared_bytes;
			f->carveout = -1;
			f->next = m->funcs;
			m->funcs = f;
		}
	}
	pthread_mutex_unlock(&m->ctx->lock);
	return f;
}

bool sg_func_runs(const struct sg_func *fn)
{
	if (fn->lacks)
		sg_log("kernel %s cannot run: PTX line %d: %s", fn->name, fn->lacks->line,
		       fn->lacks->text);
	return !fn->lacks;
}

CUresult sg_module_function(CUmodule m, const char *name, CUfunction *out)
{
	struct sg_func *fn = sg_image_entry(m->image, name);
	CUfunction f;

	if (!fn)
		return CUDA_ERROR_NOT_FOUND;
	if (!sg_func_runs(fn))
		return CUDA_ERROR_NOT_SUPPORTED;
	f = function_handle(m, fn);
	if (!f)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*out = f;
	return CUDA_SUCCESS;
}

SG_API CUresult cuModuleGetFunction(CUfunction *func, CUmodule m, const char *name)
{
	SG_ENTER(ctx);
	(void)ctx;
	if (!func || !name)
		return CUDA_ERROR_INVALID_VALUE;
	if (!module_of(m))
		return CUDA_ERROR_INVALID_HANDLE;
	return sg_module_function(m, name, func);
}

SG_API CUresult cuModuleGetFunctionCount(unsigned int *count, CUmodule m)
{
	SG_NEED_INIT();
	if (!count)
		return CUDA_ERROR_INVALID_VALUE;
	if (!module_of(m))
		return CUDA_ERROR_INVALID_HANDLE;
	*count = 0;
	for (int i = 0; i < m->image->nfuncs; i++)
		*count += m->image->funcs[i]->is_entry;
	return CUDA_SUCCESS;
}

SG_API CUresult cuModuleEnumerateFunctions(CUfunction *funcs, unsigned int n, CUmodule m)
{
	unsigned int at = 0;

	SG_NEED_INIT();
	if (!funcs || !n)
		return CUDA_ERROR_INVALID_VALUE;
	if (!module_of(m))
		return CUDA_ERROR_INVALID_HANDLE;
	for (int i = 0; i < m->image->nfuncs && at < n; i++) {
		if (!m->image->funcs[i]->is_entry)
			continue;
		funcs[at] = function_handle(m, m->image->funcs[i]);
		if (!funcs[at++])
			return CUDA_ERROR_OUT_OF_MEMORY;
	}
	return CUDA_SUCCESS;
}

SG_API CUresult cuModuleGetGlobal_v2(CUdeviceptr *dptr, size_t *bytes, CUmodule m, const char *name)
{
	struct sg_symbol *s;

	SG_ENTER(ctx);
	(void)ctx;
	if (!name || (!dptr && !bytes))
		return CUDA_ERROR_INVALID_VALUE;
	if (!module_of(m))
		return CUDA_ERROR_INVALID_HANDLE;
	s = sg_image_symbol(m->image, name);
	if (!s)
		return CUDA_ERROR_NOT_FOUND;
	if (dptr)
		*dptr = s->addr;
	if (bytes)
		*bytes = s->size;
	return CUDA_SUCCESS;
}

/* Functions */

CUresult sg_func_attribute(CUfunction f, CUfunction_attribute attr, int *out)
{
	const struct sg_func *fn = f->fn;
	const struct ptx_module *ptx = fn->image->ptx;
	uint64_t bound = (uint64_t)fn->maxntid[0] * fn->maxntid[1] * fn->maxntid[2];

	switch (attr) {
	case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
		if (fn->reqntid[0])
			bound = (uint64_t)fn->reqntid[0] * fn->reqntid[1] * fn->reqntid[2];
		*out = bound && bound < 1024 ? bound : 1024;
		break;
	case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
		*out = fn->shared_bytes;
		break;
	case CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES:
		*out = 0;
		for (const struct ptx_scope *s = &ptx->scope; s; s = s->next)
			for (struct ptx_var *v = s->vars; v; v = v->next)
				*out += v->space == SP_CONST ? v->size : 0;
		break;
	case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
		*out = fn->local_bytes;
		break;
	case CU_FUNC_ATTRIBUTE_NUM_REGS:
		*out = fn->nregs;
		break;
	case CU_FUNC_ATTRIBUTE_PTX_VERSION:
		*out = ptx->target;
		break;
	case CU_FUNC_ATTRIBUTE_BINARY_VERSION:
		*out = 90;
		break;
	case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
		*out = f->max_dynamic;
		break;
	case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
		*out = f->carveout;
		break;
	case CU_FUNC_ATTRIBUTE_CACHE_MODE_CA:
	case CU_FUNC_ATTRIBUTE_CLUSTER_SIZE_MUST_BE_SET:
	case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH:
	case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT:
	case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH:
	case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED:
	case CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
		*out = 0;
		break;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
	return CUDA_SUCCESS;
}

CUresult sg_func_set_attribute(CUfunction f, CUfunction_attribute attr, int value)
{
	switch (attr) {
	case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
		if (value < 0 || value > SHARED_OPTIN - (int)f->fn->shared_bytes)
			return CUDA_ERROR_INVALID_VALUE;
		f->max_dynamic = value;
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
		if (value < -1 || value > 100)
			return CUDA_ERROR_INVALID_VALUE;
		f->carveout = value;
		return CUDA_SUCCESS;
	default:
		/* clusters of more than one block are not offered */
		return CUDA_ERROR_INVALID_VALUE;
	}
}

CUresult sg_param_info(struct sg_func *f, size_t index, size_t *offset, size_t *size)
{
	if (!offset || index >= (size_t)f->nparams)
		return CUDA_ERROR_INVALID_VALUE;
	*offset = f->params[index].offset;
	if (size)
		*size = f->params[index].size;
	return CUDA_SUCCESS;
}

static CUresult function_of(CUfunction handle, CUfunction *f)
{
	SG_NEED_INIT();
	return sg_function_get(sg_current_or_null(), handle, f);
}

SG_API CUresult cuFuncGetAttribute(int *value, CUfunction_attribute attr, CUfunction handle)
{
	CUfunction f;
	CUresult rc = function_of(handle, &f);

	if (rc)
		return rc;
	return value ? sg_func_attribute(f, attr, value) : CUDA_ERROR_INVALID_VALUE;
}

SG_API CUresult cuFuncSetAttribute(CUfunction handle, CUfunction_attribute attr, int value)
{
	CUfunction f;
	CUresult rc = function_of(handle, &f);

	return rc ? rc : sg_func_set_attribute(f, attr, value);
}

/* A preference, as documented. */
SG_API CUresult cuFuncSetCacheConfig(CUfunction handle, CUfunc_cache config)
{
	CUfunction f;
	CUresult rc = function_of(handle, &f);

	if (!rc && (unsigned int)config > CU_FUNC_CACHE_PREFER_EQUAL)
		rc = CUDA_ERROR_INVALID_VALUE;
	return rc;
}

/* As of the context: the size of banks is fixed. */
SG_API CUresult cuFuncSetSharedMemConfig(CUfunction handle, CUsharedconfig config)
{
	CUfunction f;
	CUresult rc = function_of(handle, &f);

	if (!rc && (unsigned int)config > CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE)
		rc = CUDA_ERROR_INVALID_VALUE;
	return rc;
}

SG_API CUresult cuFuncGetModule(CUmodule *m, CUfunction handle)
{
	CUfunction f;
	CUresult rc = function_of(handle, &f);

	if (!rc && !m)
		rc = CUDA_ERROR_INVALID_VALUE;
	if (!rc)
		*m = f->module;
	return rc;
}

SG_API CUresult cuFuncGetName(const char **name, CUfunction handle)
{
	CUfunction f;
	CUresult rc = function_of(handle, &f);

	if (!rc && !name)
		rc = CUDA_ERROR_INVALID_VALUE;
	if (!rc)
		*name = f->fn->name;
	return rc;
}

SG_API CUresult cuFuncGetParamInfo(CUfunction handle, size_t index, size_t *offset, size_t *size)
{
	CUfunction f;
	CUresult rc = function_of(handle, &f);

	return rc ? rc : sg_param_info(f->fn, index, offset, size);
}

SG_API CUresult cuFuncIsLoaded(CUfunctionLoadingState *state, CUfunction handle)
{
	CUfunction f;
	CUresult rc = function_of(handle, &f);

	if (!rc && !state)
		rc = CUDA_ERROR_INVALID_VALUE;
	if (!rc)
		*state = CU_FUNCTION_LOADING_STATE_LOADED;
	return rc;
}

/* Everything is loaded with its module. */
SG_API CUresult cuFuncLoad(CUfunction handle)
{
	CUfunction f;
	CUresult rc = function_of(handle, &f);

	return rc || sg_func_runs(f->fn) ? rc : CUDA_ERROR_NOT_SUPPORTED;
}
