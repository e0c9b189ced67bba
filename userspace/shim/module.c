// SPDX-License-Identifier: Apache-2.0
/* Modules, libraries and what is found in them by name. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client.h"
#include "common/old_glibc.h"
#include "jit.h"
#include "shim.h"
#include "shim_calls.h"

/* The lists of functions, and the fetching of what is known of one. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* What a module or a library holds: functions asked for so far. */
struct holder {
	struct vg_object *first;
};

static void holder_release(struct vg_object *o)
{
	vg_range_forget(o->id);
	free(o->data);
	o->data = NULL;
}

static CUresult holder_init(struct vg_object *o)
{
	o->data = calloc(1, sizeof(struct holder));
	o->release = holder_release;
	return o->data ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static void function_release(struct vg_object *o)
{
	struct vg_function *f = o->data;

	if (!f)
		return;
	free(f->name);
	free(f->layout.offset);
	free(f->layout.size);
	vg_old_launch_free(f->old);
	free(f);
	o->data = NULL;
}

/* -- loading */

static CUresult load(CUmodule *module, const void *image, struct vg_jit *jit)
{
	struct vg_image i;
	CUresult r;

	if (!module)
		return CUDA_ERROR_INVALID_VALUE;
	r = vg_image_take(&i, image);
	if (r)
		return r;
	r = vgw_vgpu_module_load(module, jit->log, jit->options, jit->values, jit->count, i.start,
				 i.bytes);
	vg_image_drop(&i);
	vg_jit_finish(jit);
	if (!r)
		r = holder_init((struct vg_object *)*module);
	return r;
}

CUresult vgh_cuModuleLoadData(CUmodule *module, const void *image)
{
	struct vg_jit jit = { 0 };

	return load(module, image, &jit);
}

CUresult vgh_cuModuleLoadFatBinary(CUmodule *module, const void *image)
{
	return vgh_cuModuleLoadData(module, image);
}

CUresult vgh_cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned int count,
				CUjit_option *options, void **values)
{
	struct vg_jit jit;
	CUresult r = vg_jit_start(&jit, count, options, values);

	return r ? r : load(module, image, &jit);
}

/* The whole file, with a NUL after it for PTX. */
CUresult vg_file(const char *name, void **out, size_t *bytes)
{
	struct stat st;
	size_t got = 0;
	char *p;
	int fd;

	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return CUDA_ERROR_FILE_NOT_FOUND;
	if (vg_fstat(fd, &st) || st.st_size > (512 << 20)) {
		close(fd);
		return CUDA_ERROR_INVALID_VALUE;
	}
	p = calloc(1, st.st_size + 8);
	while (p && got < (size_t)st.st_size) {
		ssize_t n = read(fd, p + got, st.st_size - got);

		if (n <= 0)
			break;
		got += n;
	}
	close(fd);
	*out = p;
	*bytes = got;
	return p ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult vgh_cuModuleLoad(CUmodule *module, const char *name)
{
	void *image;
	size_t bytes;
	CUresult r;

	if (!name)
		return CUDA_ERROR_INVALID_VALUE;
	r = vg_file(name, &image, &bytes);
	if (r)
		return r;
	r = vgh_cuModuleLoadData(module, image);
	free(image);
	return r;
}

CUresult vgh_cuLibraryLoadData(CUlibrary *library, const void *code, CUjit_option *options,
			       void **values, unsigned int count, CUlibraryOption *library_options,
			       void **library_values, unsigned int library_count)
{
	struct vg_image image;
	struct vg_jit jit;
	CUresult r;

	(void)library_values;
	if (!library || (library_count && !library_options))
		return CUDA_ERROR_INVALID_VALUE;
	/*
	 * CU_LIBRARY_BINARY_IS_PRESERVED only promises that the program keeps the
	 * image: the executor has a copy of its own.
	 */
	for (unsigned int i = 0; i < library_count; i++)
		if (library_options[i] != CU_LIBRARY_BINARY_IS_PRESERVED)
			return vg_refuse("cuLibraryLoadData with a library option",
					 "only CU_LIBRARY_BINARY_IS_PRESERVED is implemented");
	r = vg_image_take(&image, code);
	if (r)
		return r;
	r = vg_jit_start(&jit, count, options, values);
	if (!r) {
		r = vgw_vgpu_library_load(library, jit.log, jit.options, jit.values, jit.count,
					  image.start, image.bytes);
		vg_jit_finish(&jit);
	}
	vg_image_drop(&image);
	if (!r)
		r = holder_init((struct vg_object *)*library);
	return r;
}

CUresult vgh_cuLibraryLoadFromFile(CUlibrary *library, const char *name, CUjit_option *options,
				   void **values, unsigned int count,
				   CUlibraryOption *library_options, void **library_values,
				   unsigned int library_count)
{
	void *image;
	size_t bytes;
	CUresult r;

	if (!name)
		return CUDA_ERROR_INVALID_VALUE;
	r = vg_file(name, &image, &bytes);
	if (r)
		return r;
	r = vgh_cuLibraryLoadData(library, image, options, values, count, library_options,
				  library_values, library_count);
	free(image);
	return r;
}

CUresult vgh_cuModuleUnload(CUmodule module)
{
	return vgw_cuModuleUnload(module);
}

CUresult vgh_cuLibraryUnload(CUlibrary library)
{
	return vgw_cuLibraryUnload(library);
}

/* -- functions and kernels, one handle for each name */

static struct vg_object *known(struct vg_object *owner, const char *name)
{
	struct holder *h = owner->data;

	for (struct vg_object *o = h ? h->first : NULL; o; o = ((struct vg_function *)o->data)->next)
		if (!strcmp(((struct vg_function *)o->data)->name, name))
			return o;
	return NULL;
}

static CUresult add(struct vg_object *owner, struct vg_object *o, const char *name,
		    struct vg_object *kernel)
{
	struct vg_function *f = calloc(1, sizeof(*f));

	if (!f)
		return CUDA_ERROR_OUT_OF_MEMORY;
	f->name = strdup(name);
	f->owner = owner;
	f->kernel = kernel;
	o->data = f;
	o->release = function_release;
	if (!f->name)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (!kernel) {
		struct holder *h = owner->data;

		f->next = h->first;
		h->first = o;
	}
	return CUDA_SUCCESS;
}

CUresult vgh_cuModuleGetFunction(CUfunction *out, CUmodule module, const char *name)
{
	struct vg_object *m = vg_object_get(module, VG_MODULE), *o;
	CUresult r = CUDA_SUCCESS;

	if (!out || !name || !*name)
		return CUDA_ERROR_INVALID_VALUE;
	if (!m)
		return CUDA_ERROR_INVALID_HANDLE;
	pthread_mutex_lock(&lock);
	o = known(m, name);
	if (o) {
		*out = (CUfunction)o;
	} else {
		r = vgw_cuModuleGetFunction(out, module, name);
		if (!r)
			r = add(m, (struct vg_object *)*out, name, NULL);
	}
	pthread_mutex_unlock(&lock);
	return r;
}

CUresult vgh_cuLibraryGetKernel(CUkernel *out, CUlibrary library, const char *name)
{
	struct vg_object *l = vg_object_get(library, VG_LIBRARY), *o;
	CUresult r = CUDA_SUCCESS;

	if (!out || !name)
		return CUDA_ERROR_INVALID_VALUE;
	if (!l)
		return CUDA_ERROR_INVALID_HANDLE;
	pthread_mutex_lock(&lock);
	o = known(l, name);
	if (o) {
		*out = (CUkernel)o;
	} else {
		r = vgw_cuLibraryGetKernel(out, library, name);
		if (!r)
			r = add(l, (struct vg_object *)*out, name, NULL);
	}
	pthread_mutex_unlock(&lock);
	return r;
}

/* One CUfunction for each kernel and context. */
CUresult vgh_cuKernelGetFunction(CUfunction *out, CUkernel kernel)
{
	struct vg_object *k = vg_object_get(kernel, VG_KERNEL), *o;
	struct vg_context *c;
	CUresult r;

	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	if (!k)
		return CUDA_ERROR_INVALID_HANDLE;
	r = vg_context_ready();
	if (r)
		return r;
	c = vg_current();
	pthread_mutex_lock(&lock);
	/* value[0]: the last function made of it; value[1] of that: the one before. */
	for (o = (void *)(uintptr_t)k->value[0]; o; o = (void *)(uintptr_t)o->value[1])
		if (o->value[0] == c->unique)
			break;
	if (o) {
		*out = (CUfunction)o;
	} else {
		r = vgw_cuKernelGetFunction(out, kernel);
		if (!r) {
			struct vg_function *f = k->data;

			o = (struct vg_object *)*out;
			o->value[0] = c->unique;
			o->value[1] = k->value[0];
			k->value[0] = (uintptr_t)o;
			r = add(f->owner, o, f->name, k);
		}
	}
	pthread_mutex_unlock(&lock);
	return r;
}

CUresult vgh_cuLibraryGetModule(CUmodule *out, CUlibrary library)
{
	CUresult r = vgw_cuLibraryGetModule(out, library);

	return r ? r : holder_init((struct vg_object *)*out);
}

static struct vg_function *kernel_of(CUkernel kernel)
{
	struct vg_object *o = vg_object_get(kernel, VG_KERNEL);

	return o ? o->data : NULL;
}

CUresult vgh_cuKernelGetLibrary(CUlibrary *library, CUkernel kernel)
{
	struct vg_function *f = kernel_of(kernel);

	if (!library)
		return CUDA_ERROR_INVALID_VALUE;
	if (!f)
		return CUDA_ERROR_INVALID_HANDLE;
	*library = (CUlibrary)f->owner;
	return CUDA_SUCCESS;
}

CUresult vgh_cuKernelGetName(const char **name, CUkernel kernel)
{
	struct vg_function *f = kernel_of(kernel);

	if (!name || !kernel)
		return CUDA_ERROR_INVALID_VALUE;
	if (!f)
		return CUDA_ERROR_INVALID_HANDLE;
	*name = f->name;
	return CUDA_SUCCESS;
}

CUresult vgh_cuFuncGetName(const char **name, CUfunction function)
{
	struct vg_object *o = vg_function_get(function);

	if (!name || !function)
		return CUDA_ERROR_INVALID_VALUE;
	if (!o)
		return CUDA_ERROR_INVALID_HANDLE;
	*name = ((struct vg_function *)o->data)->name;
	return CUDA_SUCCESS;
}

CUresult vgh_cuFuncGetModule(CUmodule *module, CUfunction function)
{
	struct vg_object *o = vg_function_get(function);
	struct vg_function *f;

	if (!module || !function)
		return CUDA_ERROR_INVALID_VALUE;
	if (!o)
		return CUDA_ERROR_INVALID_HANDLE;
	f = o->data;
	if (f->owner->born == VG_MODULE) {
		*module = (CUmodule)f->owner;
		return CUDA_SUCCESS;
	}
	return vgh_cuLibraryGetModule(module, (CUlibrary)f->owner);
}

/* -- globals */

static CUresult global(CUresult r, const void *holder, CUdeviceptr found, size_t size,
		       CUdeviceptr *dptr, size_t *bytes)
{
	struct vg_range range;

	if (r)
		return r;
	if (!vg_range_find(found, &range))
		vg_range_add_global(found, size, ((const struct vg_object *)holder)->id);
	if (dptr)
		*dptr = found;
	if (bytes)
		*bytes = size;
	return CUDA_SUCCESS;
}

CUresult vgh_cuModuleGetGlobal_v2(CUdeviceptr *dptr, size_t *bytes, CUmodule module,
				  const char *name)
{
	CUdeviceptr found = 0;
	size_t size = 0;
	CUresult r;

	if (!dptr && !bytes)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgw_cuModuleGetGlobal_v2(&found, &size, module, name);
	return global(r, module, found, size, dptr, bytes);
}

CUresult vgh_cuLibraryGetGlobal(CUdeviceptr *dptr, size_t *bytes, CUlibrary library,
				const char *name)
{
	CUdeviceptr found = 0;
	size_t size = 0;
	CUresult r;

	r = vgw_cuLibraryGetGlobal(&found, &size, library, name);
	return global(r, library, found, size, dptr, bytes);
}

struct vg_object *vg_function_get(CUfunction f)
{
	struct vg_object *o = vg_object_get(f, VG_FUNCTION);

	return o && o->data ? o : NULL;
}
