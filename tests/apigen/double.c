// SPDX-License-Identifier: Apache-2.0
/*
 * A stand-in for the CUDA driver, for tests of the wire alone: its device memory
 * is host memory, it works at once, and its kernels are the C functions below.
 * It runs no GPU code; softgpu does that.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "double.h"

#define TOTAL (1ull << 30)

static struct double_object primary = { .magic = CONTEXT };
static unsigned int primary_flags, retained;
static __thread struct double_object *current;
static _Atomic int sticky;

struct double_object *double_make(unsigned int magic)
{
	struct double_object *o = calloc(1, sizeof(*o));

	if (o)
		o->magic = magic;
	return o;
}

bool double_is(const void *p, unsigned int magic)
{
	return p && ((const struct double_object *)p)->magic == magic;
}

CUresult double_destroy(void *p, unsigned int magic)
{
	if (!double_is(p, magic))
		return CUDA_ERROR_INVALID_HANDLE;
	((struct double_object *)p)->magic = 0;
	free(p);
	return CUDA_SUCCESS;
}

#define NEED_CONTEXT() do { \
	if (!current) \
		return CUDA_ERROR_INVALID_CONTEXT; \
	if (sticky) \
		return sticky; \
} while (0)

/* -- memory: a list of blocks */

static struct block {
	struct block *next;
	char *at;
	size_t bytes;
} *blocks;

static size_t in_use;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* the list */

static struct block *find(CUdeviceptr p, size_t n)
{
	struct block *b;

	pthread_mutex_lock(&lock);
	for (b = blocks; b; b = b->next)
		if (p >= (CUdeviceptr)b->at && n <= b->bytes && p - (CUdeviceptr)b->at <= b->bytes - n)
			break;
	pthread_mutex_unlock(&lock);
	return b;
}

EXPORT CUresult cuMemAlloc_v2(CUdeviceptr *p, size_t n)
{
	struct block *b;

	NEED_CONTEXT();
	if (!n)
		return CUDA_ERROR_INVALID_VALUE;
	if (n > TOTAL - in_use)
		return CUDA_ERROR_OUT_OF_MEMORY;
	b = malloc(sizeof(*b));
	b->at = aligned_alloc(512, (n + 511) & ~511ul);
	b->bytes = n;
	pthread_mutex_lock(&lock);
	b->next = blocks;
	blocks = b;
	in_use += n;
	pthread_mutex_unlock(&lock);
	*p = (CUdeviceptr)b->at;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuMemFree_v2(CUdeviceptr p)
{
	struct block **at, *b;

	NEED_CONTEXT();
	pthread_mutex_lock(&lock);
	for (at = &blocks; *at && (CUdeviceptr)(*at)->at != p; at = &(*at)->next)
		;
	b = *at;
	if (b) {
		*at = b->next;
		in_use -= b->bytes;
		free(b->at);
		free(b);
	}
	pthread_mutex_unlock(&lock);
	return b ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

EXPORT CUresult cuMemGetInfo_v2(size_t *left, size_t *total)
{
	NEED_CONTEXT();
	*left = TOTAL - in_use;
	*total = TOTAL;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr d, const void *s, size_t n, CUstream stream)
{
	NEED_CONTEXT();
	if ((stream && !double_is(stream, STREAM)) || !find(d, n))
		return CUDA_ERROR_INVALID_VALUE;
	memcpy((void *)d, s, n);
	return CUDA_SUCCESS;
}

EXPORT CUresult cuMemcpyDtoHAsync_v2(void *d, CUdeviceptr s, size_t n, CUstream stream)
{
	NEED_CONTEXT();
	if ((stream && !double_is(stream, STREAM)) || !find(s, n))
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(d, (void *)s, n);
	return CUDA_SUCCESS;
}

EXPORT CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr d, CUdeviceptr s, size_t n, CUstream stream)
{
	NEED_CONTEXT();
	if ((stream && !double_is(stream, STREAM)) || !find(s, n) || !find(d, n))
		return CUDA_ERROR_INVALID_VALUE;
	memmove((void *)d, (void *)s, n);
	return CUDA_SUCCESS;
}

EXPORT CUresult cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D *p, CUstream stream)
{
	NEED_CONTEXT();
	if (stream && !double_is(stream, STREAM))
		return CUDA_ERROR_INVALID_HANDLE;
	for (size_t z = 0; z < p->Depth; z++) {
		for (size_t y = 0; y < p->Height; y++) {
			const char *s = p->srcMemoryType == CU_MEMORYTYPE_HOST ?
					p->srcHost : (const char *)p->srcDevice;
			char *d = p->dstMemoryType == CU_MEMORYTYPE_HOST ?
				  p->dstHost : (char *)p->dstDevice;

			s += ((p->srcZ + z) * p->srcHeight + p->srcY + y) * p->srcPitch +
			     p->srcXInBytes;
			d += ((p->dstZ + z) * p->dstHeight + p->dstY + y) * p->dstPitch +
			     p->dstXInBytes;
			if ((p->srcMemoryType == CU_MEMORYTYPE_DEVICE &&
			     !find((CUdeviceptr)s, p->WidthInBytes)) ||
			    (p->dstMemoryType == CU_MEMORYTYPE_DEVICE &&
			     !find((CUdeviceptr)d, p->WidthInBytes)))
				return CUDA_ERROR_INVALID_VALUE;
			memcpy(d, s, p->WidthInBytes);
		}
	}
	return CUDA_SUCCESS;
}

EXPORT CUresult cuMemsetD8Async(CUdeviceptr d, unsigned char v, size_t n, CUstream stream)
{
	NEED_CONTEXT();
	if ((stream && !double_is(stream, STREAM)) || !find(d, n))
		return CUDA_ERROR_INVALID_VALUE;
	memset((void *)d, v, n);
	return CUDA_SUCCESS;
}

EXPORT CUresult cuMemsetD32Async(CUdeviceptr d, unsigned int v, size_t n, CUstream stream)
{
	NEED_CONTEXT();
	if ((stream && !double_is(stream, STREAM)) || !find(d, n * 4))
		return CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; i < n; i++)
		((unsigned int *)d)[i] = v;
	return CUDA_SUCCESS;
}

/* -- kernels */

static CUresult add(const void *params, unsigned int threads)
{
	const struct { const float *a, *b; float *c; unsigned int n; } *p = params;

	for (unsigned int i = 0; i < p->n && i < threads; i++)
		p->c[i] = p->a[i] + p->b[i];
	return CUDA_SUCCESS;
}

static CUresult trap(const void *params, unsigned int threads)
{
	(void)params;
	(void)threads;
	sticky = CUDA_ERROR_ILLEGAL_ADDRESS;
	return CUDA_SUCCESS;
}

static CUresult big(const void *params, unsigned int threads)
{
	const struct { unsigned int *out; unsigned int data[4096]; } *p = params;

	(void)threads;
	*p->out = 0;
	for (int i = 0; i < 4096; i++)
		*p->out += p->data[i];
	return CUDA_SUCCESS;
}

static const struct kernel {
	const char *name;
	CUresult (*run)(const void *params, unsigned int threads);
	size_t size[5];
} kernels[] = {
	{ "add", add, { 8, 8, 8, 4 } },
	{ "trap", trap, { 0 } },
	{ "big", big, { 8, 16384 } },
};

EXPORT CUresult cuModuleLoadDataEx(CUmodule *m, const void *image, unsigned int n, CUjit_option *o,
				   void **v)
{
	NEED_CONTEXT();
	for (unsigned int i = 0; i < n; i++) {
		if (o[i] == CU_JIT_ERROR_LOG_BUFFER && strstr(image, "bad"))
			strcpy(v[i], "line 1: bad");
		if (o[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES)
			v[i] = (void *)(strstr(image, "bad") ? 12ul : 0ul);
	}
	if (strstr(image, "bad"))
		return CUDA_ERROR_INVALID_PTX;
	*m = (CUmodule)double_make(MODULE);
	return CUDA_SUCCESS;
}

EXPORT CUresult cuModuleUnload(CUmodule m)
{
	return double_destroy(m, MODULE);
}

EXPORT CUresult cuModuleGetFunction(CUfunction *f, CUmodule m, const char *name)
{
	NEED_CONTEXT();
	if (!double_is(m, MODULE))
		return CUDA_ERROR_INVALID_HANDLE;
	for (size_t i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++) {
		struct double_object *o;

		if (strcmp(kernels[i].name, name))
			continue;
		o = double_make(FUNCTION);
		o->kernel = &kernels[i];
		*f = (CUfunction)o;
		return CUDA_SUCCESS;
	}
	return CUDA_ERROR_NOT_FOUND;
}

EXPORT CUresult cuFuncGetAttribute(int *v, CUfunction_attribute a, CUfunction f)
{
	if (!double_is(f, FUNCTION))
		return CUDA_ERROR_INVALID_HANDLE;
	*v = a == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK ? 1024 :
	     a == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES ? 49152 : 0;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuFuncGetParamInfo(CUfunction f, size_t i, size_t *offset, size_t *size)
{
	const struct kernel *k = ((struct double_object *)f)->kernel;

	if (i > 4 || !k->size[i])
		return CUDA_ERROR_INVALID_VALUE;
	*offset = 0;
	for (size_t j = 0; j < i; j++)
		*offset += k->size[j];
	*size = k->size[i];
	return CUDA_SUCCESS;
}

EXPORT CUresult cuLaunchKernel(CUfunction f, unsigned int gx, unsigned int gy, unsigned int gz,
			       unsigned int bx, unsigned int by, unsigned int bz,
			       unsigned int shared, CUstream stream, void **params, void **extra)
{
	const void *block = NULL;

	NEED_CONTEXT();
	(void)shared;
	(void)params;
	if (!double_is(f, FUNCTION) || (stream && !double_is(stream, STREAM)))
		return CUDA_ERROR_INVALID_HANDLE;
	if (!gx || !gy || !gz || !bx || !by || !bz || bx * by * bz > 1024)
		return CUDA_ERROR_INVALID_VALUE;
	for (int i = 0; extra && extra[i]; i += 2)
		if (extra[i] == CU_LAUNCH_PARAM_BUFFER_POINTER)
			block = extra[i + 1];
	return ((struct double_object *)f)->kernel->run(block, gx * bx);
}

/* -- devices and contexts */

EXPORT CUresult cuInit(unsigned int flags)
{
	return flags ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

EXPORT CUresult cuDriverGetVersion(int *v)
{
	*v = 13000;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetCount(int *n)
{
	*n = 1;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGet(CUdevice *d, int i)
{
	*d = i;
	return i ? CUDA_ERROR_INVALID_DEVICE : CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetName(char *name, int n, CUdevice d)
{
	snprintf(name, n, "a stand-in");
	return d ? CUDA_ERROR_INVALID_DEVICE : CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceTotalMem_v2(size_t *n, CUdevice d)
{
	*n = TOTAL;
	return d ? CUDA_ERROR_INVALID_DEVICE : CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetAttribute(int *v, CUdevice_attribute a, CUdevice d)
{
	if (d || a > 150)
		return CUDA_ERROR_INVALID_VALUE;
	*v = a == CU_DEVICE_ATTRIBUTE_WARP_SIZE ? 32 : 1024;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext *c, CUdevice d)
{
	retained++;
	*c = (CUcontext)&primary;
	return d ? CUDA_ERROR_INVALID_DEVICE : CUDA_SUCCESS;
}

EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice d)
{
	(void)d;
	return retained-- ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

EXPORT CUresult cuDevicePrimaryCtxReset_v2(CUdevice d)
{
	(void)d;
	sticky = 0;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice d, unsigned int flags)
{
	(void)d;
	primary_flags = flags;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxCreate_v2(CUcontext *c, unsigned int flags, CUdevice d)
{
	(void)flags;
	(void)d;
	current = double_make(CONTEXT);
	*c = (CUcontext)current;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxDestroy_v2(CUcontext c)
{
	if (!double_is(c, CONTEXT) || c == (CUcontext)&primary)
		return CUDA_ERROR_INVALID_CONTEXT;
	return double_destroy(c, CONTEXT);
}

CUcontext double_current(void)
{
	return (CUcontext)current;
}

EXPORT CUresult cuCtxGetCurrent(CUcontext *c)
{
	*c = (CUcontext)current;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxSetCurrent(CUcontext c)
{
	if (c && !double_is(c, CONTEXT))
		return CUDA_ERROR_INVALID_CONTEXT;
	current = (struct double_object *)c;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxPopCurrent_v2(CUcontext *c)
{
	*c = (CUcontext)current;
	current = NULL;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxSynchronize(void)
{
	NEED_CONTEXT();
	return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxGetStreamPriorityRange(int *least, int *greatest)
{
	NEED_CONTEXT();
	*least = 0;
	*greatest = -5;
	return CUDA_SUCCESS;
}

/* -- streams and events */

EXPORT CUresult cuStreamCreate(CUstream *s, unsigned int flags)
{
	NEED_CONTEXT();
	*s = (CUstream)double_make(STREAM);
	((struct double_object *)*s)->flags = flags;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamCreateWithPriority(CUstream *s, unsigned int flags, int priority)
{
	(void)priority;
	return cuStreamCreate(s, flags);
}

EXPORT CUresult cuStreamDestroy_v2(CUstream s)
{
	return double_destroy(s, STREAM);
}

EXPORT CUresult cuStreamSynchronize(CUstream s)
{
	NEED_CONTEXT();
	return !s || double_is(s, STREAM) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

EXPORT CUresult cuStreamQuery(CUstream s)
{
	return cuStreamSynchronize(s);
}

EXPORT CUresult cuStreamWaitEvent(CUstream s, CUevent e, unsigned int flags)
{
	(void)flags;
	return (!s || double_is(s, STREAM)) && double_is(e, EVENT) ? CUDA_SUCCESS :
								     CUDA_ERROR_INVALID_HANDLE;
}

EXPORT CUresult cuEventCreate(CUevent *e, unsigned int flags)
{
	NEED_CONTEXT();
	*e = (CUevent)double_make(EVENT);
	((struct double_object *)*e)->flags = flags;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuEventDestroy_v2(CUevent e)
{
	return double_destroy(e, EVENT);
}

EXPORT CUresult cuEventRecord(CUevent e, CUstream s)
{
	return (!s || double_is(s, STREAM)) && double_is(e, EVENT) ? CUDA_SUCCESS :
								     CUDA_ERROR_INVALID_HANDLE;
}

EXPORT CUresult cuEventQuery(CUevent e)
{
	return double_is(e, EVENT) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

EXPORT CUresult cuEventSynchronize(CUevent e)
{
	return cuEventQuery(e);
}

EXPORT CUresult cuEventElapsedTime(float *ms, CUevent a, CUevent b)
{
	*ms = 1.5f;
	return double_is(a, EVENT) && double_is(b, EVENT) ? CUDA_SUCCESS :
							    CUDA_ERROR_INVALID_HANDLE;
}
