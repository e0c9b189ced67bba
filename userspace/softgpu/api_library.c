// SPDX-License-Identifier: Apache-2.0
/* Libraries: modules that belong to no context, and are loaded into each when it first asks. */
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "log.h"

struct CUkern_st {
	uint32_t magic;
	CUlibrary library;
	char *name;
	struct sg_param *params;
	size_t nparams;
	struct CUkern_st *next;
};

struct CUlib_st {
	uint32_t magic;
	char *text;
	struct CUkern_st *kernels;
	unsigned int nkernels;
};

/* Guards against two threads loading the same library into the same context. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static CUlibrary library_of(CUlibrary l)
{
	return l && l->magic == MAGIC_LIB ? l : NULL;
}

static CUkernel kernel_of(CUkernel k)
{
	return k && k->magic == MAGIC_KERNEL ? k : NULL;
}

static void library_free(CUlibrary l)
{
	while (l->kernels) {
		struct CUkern_st *k = l->kernels;

		l->kernels = k->next;
		k->magic = 0;
		free(k->name);
		free(k->params);
		free(k);
	}
	l->magic = 0;
	free(l->text);
	free(l);
}

/* The parameters lie one after the other, each at its alignment. */
static bool keep_params(CUkernel k, const struct ptx_func *f)
{
	uint64_t at = 0;

	k->params = calloc(f->nparams + 1, sizeof(*k->params));
	if (!k->params)
		return false;
	for (struct ptx_var *v = f->params; v; v = v->next) {
		uint64_t align = v->align ? v->align : 1;

		at = (at + align - 1) & ~(align - 1);
		k->params[k->nparams++] = (struct sg_param){ at, v->size, v->align };
		at += v->size;
	}
	return true;
}

static bool list_kernels(CUlibrary l, struct ptx_module *m)
{
	struct CUkern_st **tail = &l->kernels;

	for (struct ptx_func *f = m->funcs; f; f = f->next) {
		struct CUkern_st *k;

		if (!f->is_entry || !f->defined)
			continue;
		k = calloc(1, sizeof(*k));
		if (!k)
			return false;
		k->magic = MAGIC_KERNEL;
		k->library = l;
		k->name = strdup(f->name);
		*tail = k;
		tail = &k->next;
		l->nkernels++;
		if (!k->name || !keep_params(k, f))
			return false;
	}
	return true;
}

static CUresult library_load(CUlibrary *library, const void *code, size_t most,
			     CUlibraryOption *options, unsigned int n)
{
	struct sg_error err = { 0 };
	struct ptx_module *m;
	CUlibrary l;
	size_t len;
	CUresult rc;

	SG_NEED_INIT();
	if (!library || !code || (n && !options))
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned int i = 0; i < n; i++)
		if (options[i] != CU_LIBRARY_BINARY_IS_PRESERVED)
			return CUDA_ERROR_NOT_SUPPORTED;
	l = calloc(1, sizeof(*l));
	if (!l)
		return CUDA_ERROR_OUT_OF_MEMORY;
	rc = sg_image_text(code, most, &l->text, &len);
	if (rc) {
		sg_log("cannot load a library: the image holds no PTX that can run here");
		free(l);
		return rc;
	}
	l->magic = MAGIC_LIB;
	m = ptx_parse(l->text, len, &err);
	if (!m) {
		sg_log("cannot load a library: PTX line %d: %s", err.line, err.text);
		library_free(l);
		return err.code;
	}
	rc = list_kernels(l, m) ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
	ptx_module_free(m);
	if (rc)
		library_free(l);
	else
		*library = l;
	return rc;
}

SG_API CUresult cuLibraryLoadData(CUlibrary *library, const void *code, CUjit_option *jit,
				  void **jit_values, unsigned int njit, CUlibraryOption *options,
				  void **values, unsigned int n)
{
	(void)jit;
	(void)jit_values;
	(void)njit;
	(void)values;
	return library_load(library, code, SIZE_MAX, options, n);
}

SG_API CUresult cuLibraryLoadFromFile(CUlibrary *library, const char *name, CUjit_option *jit,
				      void **jit_values, unsigned int njit,
				      CUlibraryOption *options,
				      void **values, unsigned int n)
{
	size_t bytes;
	void *data;
	CUresult rc;

	(void)jit;
	(void)jit_values;
	(void)njit;
	(void)values;
	SG_NEED_INIT();
	if (!library || !name)
		return CUDA_ERROR_INVALID_VALUE;
	rc = sg_read_file(name, &data, &bytes);
	if (rc)
		return rc;
	rc = library_load(library, data, bytes, options, n);
	free(data);
	return rc;
}

static CUmodule loaded(CUcontext ctx, CUlibrary l)
{
	CUmodule m;

	pthread_mutex_lock(&ctx->lock);
	for (m = ctx->modules; m && m->library != l; m = m->next)
		;
	pthread_mutex_unlock(&ctx->lock);
	return m;
}

static CUresult module_in(CUcontext ctx, CUlibrary l, CUmodule *out)
{
	CUresult rc = CUDA_SUCCESS;

	pthread_mutex_lock(&lock);
	*out = loaded(ctx, l);
	if (!*out) {
		rc = sg_module_load(ctx, l->text, SIZE_MAX, 0, NULL, NULL, out);
		if (!rc)
			(*out)->library = l;
	}
	pthread_mutex_unlock(&lock);
	return rc;
}

SG_API CUresult cuLibraryUnload(CUlibrary l)
{
	CUcontext ctx;
	CUmodule m;

	SG_NEED_INIT();
	if (!library_of(l))
		return CUDA_ERROR_INVALID_HANDLE;
	pthread_mutex_lock(&lock);
	while ((ctx = sg_context_with_library(l))) {
		sg_context_wait(ctx);
		m = loaded(ctx, l);
		if (m)
			sg_module_free(m);
	}
	pthread_mutex_unlock(&lock);
	library_free(l);
	return CUDA_SUCCESS;
}

SG_API CUresult cuLibraryGetKernel(CUkernel *kernel, CUlibrary l, const char *name)
{
	SG_NEED_INIT();
	if (!kernel || !name)
		return CUDA_ERROR_INVALID_VALUE;
	if (!library_of(l))
		return CUDA_ERROR_INVALID_HANDLE;
	for (struct CUkern_st *k = l->kernels; k; k = k->next) {
		if (!strcmp(k->name, name)) {
			*kernel = k;
			return CUDA_SUCCESS;
		}
	}
	return CUDA_ERROR_NOT_FOUND;
}

SG_API CUresult cuLibraryGetKernelCount(unsigned int *count, CUlibrary l)
{
	SG_NEED_INIT();
	if (!count)
		return CUDA_ERROR_INVALID_VALUE;
	if (!library_of(l))
		return CUDA_ERROR_INVALID_HANDLE;
	*count = l->nkernels;
	return CUDA_SUCCESS;
}

SG_API CUresult cuLibraryEnumerateKernels(CUkernel *kernels, unsigned int n, CUlibrary l)
{
	unsigned int i = 0;

	SG_NEED_INIT();
	if (!kernels || !n)
		return CUDA_ERROR_INVALID_VALUE;
	if (!library_of(l))
		return CUDA_ERROR_INVALID_HANDLE;
	for (struct CUkern_st *k = l->kernels; k && i < n; k = k->next)
		kernels[i++] = k;
	return CUDA_SUCCESS;
}

SG_API CUresult cuLibraryGetModule(CUmodule *module, CUlibrary l)
{
	SG_ENTER(ctx);
	if (!module)
		return CUDA_ERROR_INVALID_VALUE;
	if (!library_of(l))
		return CUDA_ERROR_INVALID_HANDLE;
	return module_in(ctx, l, module);
}

SG_API CUresult cuLibraryGetGlobal(CUdeviceptr *dptr, size_t *bytes, CUlibrary l, const char *name)
{
	struct sg_symbol *s;
	CUmodule m;
	CUresult rc;

	SG_ENTER(ctx);
	if (!name || (!dptr && !bytes))
		return CUDA_ERROR_INVALID_VALUE;
	if (!library_of(l))
		return CUDA_ERROR_INVALID_HANDLE;
	rc = module_in(ctx, l, &m);
	if (rc)
		return rc;
	s = sg_image_symbol(m->image, name);
	if (!s)
		return CUDA_ERROR_NOT_FOUND;
	if (dptr)
		*dptr = s->addr;
	if (bytes)
		*bytes = s->size;
	return CUDA_SUCCESS;
}

/* Kernels */

static CUresult kernel_function(CUcontext ctx, CUkernel k, CUfunction *out)
{
	CUmodule m;
	CUresult rc;

	if (!ctx)
		return CUDA_ERROR_INVALID_CONTEXT;
	rc = module_in(ctx, k->library, &m);
	return rc ? rc : sg_module_function(m, k->name, out);
}

/* Where a function is asked for, a kernel may be given: it means that of the current context. */
CUresult sg_function_get(CUcontext ctx, CUfunction handle, CUfunction *out)
{
	CUkernel k = (CUkernel)(void *)handle;

	if (!handle)
		return CUDA_ERROR_INVALID_HANDLE;
	if (handle->magic == MAGIC_FUNC) {
		*out = handle;
		return CUDA_SUCCESS;
	}
	return kernel_of(k) ? kernel_function(ctx, k, out) : CUDA_ERROR_INVALID_HANDLE;
}

SG_API CUresult cuKernelGetFunction(CUfunction *func, CUkernel k)
{
	SG_ENTER(ctx);
	if (!func)
		return CUDA_ERROR_INVALID_VALUE;
	return kernel_of(k) ? kernel_function(ctx, k, func) : CUDA_ERROR_INVALID_HANDLE;
}

SG_API CUresult cuKernelGetLibrary(CUlibrary *library, CUkernel k)
{
	SG_NEED_INIT();
	if (!library)
		return CUDA_ERROR_INVALID_VALUE;
	if (!kernel_of(k))
		return CUDA_ERROR_INVALID_HANDLE;
	*library = k->library;
	return CUDA_SUCCESS;
}

SG_API CUresult cuKernelGetName(const char **name, CUkernel k)
{
	SG_NEED_INIT();
	if (!name || !k)
		return CUDA_ERROR_INVALID_VALUE;
	if (!kernel_of(k))
		return CUDA_ERROR_INVALID_HANDLE;
	*name = k->name;
	return CUDA_SUCCESS;
}

/* Attributes of a kernel are asked of a device: through its context, current or primary. */
static CUresult kernel_on(CUdevice dev, CUkernel k, CUfunction *f)
{
	struct sg_device *d;
	CUcontext ctx;

	SG_NEED_INIT();
	d = sg_device(dev);
	if (!d)
		return CUDA_ERROR_INVALID_DEVICE;
	if (!kernel_of(k))
		return CUDA_ERROR_INVALID_HANDLE;
	ctx = sg_current_or_null();
	if (!ctx || ctx->dev != d)
		ctx = d->primary;
	return kernel_function(ctx, k, f);
}

SG_API CUresult cuKernelGetAttribute(int *value, CUfunction_attribute attr, CUkernel k,
				     CUdevice dev)
{
	CUfunction f;
	CUresult rc = kernel_on(dev, k, &f);

	if (rc)
		return rc;
	return value ? sg_func_attribute(f, attr, value) : CUDA_ERROR_INVALID_VALUE;
}

SG_API CUresult cuKernelSetAttribute(CUfunction_attribute attr, int value, CUkernel k, CUdevice dev)
{
	CUfunction f;
	CUresult rc = kernel_on(dev, k, &f);

	return rc ? rc : sg_func_set_attribute(f, attr, value);
}

SG_API CUresult cuKernelSetCacheConfig(CUkernel k, CUfunc_cache config, CUdevice dev)
{
	CUfunction f;
	CUresult rc = kernel_on(dev, k, &f);

	if (!rc && (unsigned int)config > CU_FUNC_CACHE_PREFER_EQUAL)
		rc = CUDA_ERROR_INVALID_VALUE;
	return rc;
}

/* The layout is the same everywhere, so it is known without a context. */
SG_API CUresult cuKernelGetParamInfo(CUkernel k, size_t index, size_t *offset, size_t *size)
{
	SG_NEED_INIT();
	if (!kernel_of(k))
		return CUDA_ERROR_INVALID_HANDLE;
	if (!offset || index >= k->nparams)
		return CUDA_ERROR_INVALID_VALUE;
	*offset = k->params[index].offset;
	if (size)
		*size = k->params[index].size;
	return CUDA_SUCCESS;
}
