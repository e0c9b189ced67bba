// SPDX-License-Identifier: Apache-2.0
/* What is known of a function: attributes and the layout of its parameters, fetched once. */
#include <pthread.h>
#include <stdlib.h>

#include "client.h"
#include "shim.h"
#include "shim_calls.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* fetching */

static CUresult ask(struct vg_object *o, CUdevice dev, unsigned int first,
		    struct vgpu_function_info *info)
{
	if (atomic_load(&o->kind) == VG_KERNEL)
		return vgw_vgpu_kernel_info((CUkernel)o, dev, first, info);
	return vgw_vgpu_function_info((CUfunction)o, first, info);
}

static CUresult fetch(struct vg_object *o, CUdevice dev, struct vg_function *f)
{
	struct vgpu_function_info info;
	unsigned int total = 0, done = 0;
	CUresult r;

	do {
		unsigned int n;

		r = ask(o, dev, done, &info);
		if (r)
			return r;
		if (!done) {
			memcpy(f->attribute, info.attribute, sizeof(f->attribute));
			memcpy(f->known, info.known, sizeof(f->known));
			if (!info.layout_known)
				return CUDA_SUCCESS;
			total = info.params;
			if (total > 8192)
				return CUDA_ERROR_UNKNOWN;
			f->layout.offset = calloc(total + 1, sizeof(uint16_t));
			f->layout.size = calloc(total + 1, sizeof(uint16_t));
			if (!f->layout.offset || !f->layout.size)
				return CUDA_ERROR_OUT_OF_MEMORY;
		}
		n = total - done < VG_PARAMS_MAX ? total - done : VG_PARAMS_MAX;
		memcpy(f->layout.offset + done, info.offset, n * sizeof(uint16_t));
		memcpy(f->layout.size + done, info.size, n * sizeof(uint16_t));
		done += n;
	} while (done < total);
	for (unsigned int i = 0; i < total; i++) {
		uint32_t end = (uint32_t)f->layout.offset[i] + f->layout.size[i];

		if (end > f->layout.bytes)
			f->layout.bytes = end;
	}
	f->layout.params = total;
	f->layout.known = true;
	return CUDA_SUCCESS;
}

CUresult vg_function_fetch(struct vg_object *o, CUdevice dev, struct vg_function **out)
{
	struct vg_function *f = o->data;
	CUresult r = CUDA_SUCCESS;

	*out = f;
	if (likely(atomic_load_explicit(&f->fetched, memory_order_acquire)))
		return CUDA_SUCCESS;
	pthread_mutex_lock(&lock);
	if (!atomic_load(&f->fetched)) {
		free(f->layout.offset);
		free(f->layout.size);
		memset(&f->layout, 0, sizeof(f->layout));
		r = fetch(o, dev, f);
		if (!r)
			atomic_store_explicit(&f->fetched, true, memory_order_release);
	}
	pthread_mutex_unlock(&lock);
	return r;
}

/* A kernel's attributes are of one device; with several devices, ask for each anew. */
static CUresult find(struct vg_object *o, CUdevice dev, struct vg_function **f)
{
	if (!o)
		return CUDA_ERROR_INVALID_HANDLE;
	return vg_function_fetch(o, dev, f);
}

static CUresult attribute(const struct vg_function *f, int *pi, CUfunction_attribute a)
{
	if (!pi || (unsigned int)a >= 16 || !f->known[a])
		return CUDA_ERROR_INVALID_VALUE;
	*pi = f->attribute[a];
	return CUDA_SUCCESS;
}

static CUresult parameter(const struct vg_function *f, size_t i, size_t *offset, size_t *size)
{
	if (!f->layout.known)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!offset || i >= f->layout.params)
		return CUDA_ERROR_INVALID_VALUE;
	*offset = f->layout.offset[i];
	if (size)
		*size = f->layout.size[i];
	return CUDA_SUCCESS;
}

CUresult vgh_cuFuncGetAttribute(int *pi, CUfunction_attribute a, CUfunction function)
{
	struct vg_function *f;
	CUresult r = vg_context_ready();

	if (!r)
		r = find(vg_function_get(function), vg_current()->device, &f);
	return r ? r : attribute(f, pi, a);
}

CUresult vgh_cuFuncGetParamInfo(CUfunction function, size_t i, size_t *offset, size_t *size)
{
	struct vg_function *f;
	CUresult r = vg_context_ready();

	if (!r && !function)
		r = CUDA_ERROR_INVALID_VALUE;
	if (!r)
		r = find(vg_function_get(function), vg_current()->device, &f);
	return r ? r : parameter(f, i, offset, size);
}

static struct vg_object *kernel_get(CUkernel kernel)
{
	struct vg_object *o = vg_object_get(kernel, VG_KERNEL);

	return o && o->data ? o : NULL;
}

CUresult vgh_cuKernelGetAttribute(int *pi, CUfunction_attribute a, CUkernel kernel, CUdevice dev)
{
	struct vgpu_function_info info;
	struct vg_object *o = kernel_get(kernel);
	struct vg_function *f;
	CUresult r;

	if (!o)
		return CUDA_ERROR_INVALID_HANDLE;
	if (!vg_device(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	if (dev == 0) {
		r = vg_function_fetch(o, dev, &f);
		return r ? r : attribute(f, pi, a);
	}
	/* Only the first device's are kept. */
	if (!pi || (unsigned int)a >= 16)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgw_vgpu_kernel_info(kernel, dev, 0, &info);
	if (r)
		return r;
	if (!info.known[a])
		return CUDA_ERROR_INVALID_VALUE;
	*pi = info.attribute[a];
	return CUDA_SUCCESS;
}

CUresult vgh_cuKernelGetParamInfo(CUkernel kernel, size_t i, size_t *offset, size_t *size)
{
	struct vg_function *f;
	CUresult r = kernel ? find(kernel_get(kernel), 0, &f) : CUDA_ERROR_INVALID_VALUE;

	return r ? r : parameter(f, i, offset, size);
}

/* What the driver made of a value that was set is asked of it again. */
static void forget(struct vg_object *o)
{
	struct vg_function *f = o->data;
	struct vgpu_function_info info;

	pthread_mutex_lock(&lock);
	if (atomic_load(&f->fetched) && !ask(o, 0, 0, &info)) {
		memcpy(f->attribute, info.attribute, sizeof(f->attribute));
		memcpy(f->known, info.known, sizeof(f->known));
	}
	pthread_mutex_unlock(&lock);
}

CUresult vgh_cuFuncSetAttribute(CUfunction function, CUfunction_attribute a, int value)
{
	struct vg_object *o = vg_function_get(function);
	CUresult r;

	if (!o)
		return CUDA_ERROR_INVALID_HANDLE;
	r = vgw_cuFuncSetAttribute(function, a, value);
	if (!r)
		forget(o);
	return r;
}

CUresult vgh_cuKernelSetAttribute(CUfunction_attribute a, int value, CUkernel kernel, CUdevice dev)
{
	struct vg_object *o = kernel_get(kernel);
	CUresult r;

	if (!o)
		return CUDA_ERROR_INVALID_HANDLE;
	r = vgw_cuKernelSetAttribute(a, value, kernel, dev);
	if (!r && dev == 0)
		forget(o);
	return r;
}
