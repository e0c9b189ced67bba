// SPDX-License-Identifier: Apache-2.0
/*
 * Sharing, as the stand-in for the driver has it.  No memory crosses: what is opened
 * begins with the handle by which it was, so that a test sees that the right one came.
 */
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cuda_abi.h"
#include "double_sharing.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT CUresult cuIpcGetMemHandle(CUipcMemHandle *out, CUdeviceptr p)
{
	struct double_handle h = { .magic = DOUBLE_MEMORY, .pid = getpid(), .value = p };
	CUdeviceptr probe;

	/* Whether there is memory at p. */
	if (cuMemcpyDtoHAsync_v2(&probe, p, 8, NULL))
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(out, &h, sizeof(h));
	return CUDA_SUCCESS;
}

#define OPENED_BYTES (8u << 20)		/* no test shares more at once */

static CUresult open_as(CUdeviceptr *p, const void *handle, const char *magic)
{
	struct double_handle h;
	CUresult r;

	memcpy(&h, handle, sizeof(h));
	if (memcmp(h.magic, magic, sizeof(h.magic)) || h.pid == getpid())
		return CUDA_ERROR_INVALID_CONTEXT;
	r = cuMemAlloc_v2(p, OPENED_BYTES);
	return r ? r : cuMemcpyHtoDAsync_v2(*p, &h, sizeof(h), NULL);
}

/* As the driver has it, a handle that is opened again gives the same address. */
static struct opened {
	CUipcMemHandle handle;
	CUdeviceptr p;
	unsigned int times;
} opened[16];

EXPORT CUresult cuIpcOpenMemHandle_v2(CUdeviceptr *p, CUipcMemHandle handle, unsigned int flags)
{
	struct opened *o, *none = NULL;
	CUresult r = CUDA_SUCCESS;

	if (flags != CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS)
		return CUDA_ERROR_INVALID_VALUE;
	for (o = opened; o < opened + 16; o++) {
		if (o->times && !memcmp(&o->handle, &handle, sizeof(handle)))
			break;
		if (!o->times)
			none = o;
	}
	if (o == opened + 16) {
		r = none ? open_as(p, &handle, DOUBLE_MEMORY) : CUDA_ERROR_OUT_OF_MEMORY;
		if (r)
			return r;
		o = none;
		*o = (struct opened){ handle, *p, 0 };
	}
	o->times++;
	*p = o->p;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuIpcCloseMemHandle(CUdeviceptr p)
{
	for (struct opened *o = opened; o < opened + 16; o++)
		if (o->times && o->p == p)
			return --o->times ? CUDA_SUCCESS : cuMemFree_v2(p);
	return CUDA_ERROR_INVALID_VALUE;
}

EXPORT CUresult cuIpcGetEventHandle(CUipcEventHandle *out, CUevent e)
{
	struct double_handle h = { .magic = DOUBLE_EVENT, .pid = getpid(), .value = (uintptr_t)e };

	memcpy(out, &h, sizeof(h));
	return cuEventQuery(e);
}

EXPORT CUresult cuIpcOpenEventHandle(CUevent *e, CUipcEventHandle handle)
{
	struct double_handle h;

	memcpy(&h, &handle, sizeof(h));
	if (memcmp(h.magic, DOUBLE_EVENT, sizeof(h.magic)))
		return CUDA_ERROR_INVALID_VALUE;
	return cuEventCreate(e, CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS);
}

/* -- pools: an exported one is a memfd that says whose it is */

EXPORT CUresult cuMemPoolCreate(CUmemoryPool *pool, const CUmemPoolProps *props)
{
	static char pools[64];
	static unsigned int next;

	if (next == sizeof(pools))
		return CUDA_ERROR_OUT_OF_MEMORY;
	pools[next] = props->handleTypes == CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
	*pool = (CUmemoryPool)&pools[next++];
	return CUDA_SUCCESS;
}

EXPORT CUresult cuMemPoolDestroy(CUmemoryPool pool)
{
	(void)pool;
	return CUDA_SUCCESS;
}

/* What is in pools; what is freed goes back at once. */
static struct {
	CUdeviceptr at;
	CUmemoryPool pool;
	size_t bytes;
} pooled[64];

#define POOLED (sizeof(pooled) / sizeof(pooled[0]))

EXPORT CUresult cuMemAllocFromPoolAsync(CUdeviceptr *p, size_t bytes, CUmemoryPool pool, CUstream s)
{
	CUresult r;
	size_t i;

	(void)s;
	for (i = 0; i < POOLED && pooled[i].at; i++)
		;
	if (i == POOLED)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = cuMemAlloc_v2(p, bytes);
	if (r)
		return r;
	pooled[i].at = *p;
	pooled[i].pool = pool;
	pooled[i].bytes = bytes;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuMemFreeAsync(CUdeviceptr p, CUstream s)
{
	(void)s;
	for (size_t i = 0; i < POOLED; i++)
		if (pooled[i].at == p)
			pooled[i].at = 0;
	return cuMemFree_v2(p);
}

EXPORT CUresult cuMemPoolGetAttribute(CUmemoryPool pool, CUmemPool_attribute a, void *value)
{
	cuuint64_t bytes = 0;

	if (a != CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT && a != CU_MEMPOOL_ATTR_USED_MEM_CURRENT)
		return CUDA_ERROR_NOT_SUPPORTED;
	for (size_t i = 0; i < POOLED; i++)
		if (pooled[i].at && pooled[i].pool == pool)
			bytes += pooled[i].bytes;
	*(cuuint64_t *)value = bytes;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuMemPoolExportToShareableHandle(void *out, CUmemoryPool pool,
						 CUmemAllocationHandleType type,
						 unsigned long long flags)
{
	struct double_handle h = { .magic = DOUBLE_POOL, .pid = getpid(),
				   .value = (uintptr_t)pool };

	if (!*(const char *)pool || flags || type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
		return CUDA_ERROR_INVALID_VALUE;
	*(int *)out = memfd_create("double", MFD_CLOEXEC);
	if (write(*(int *)out, &h, sizeof(h)) != sizeof(h))
		return CUDA_ERROR_OPERATING_SYSTEM;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuMemPoolImportFromShareableHandle(CUmemoryPool *pool, void *fd,
						   CUmemAllocationHandleType type,
						   unsigned long long flags)
{
	CUmemPoolProps props = { .handleTypes = type };
	struct double_handle h;

	if (flags || pread((int)(uintptr_t)fd, &h, sizeof(h), 0) != sizeof(h) ||
	    memcmp(h.magic, DOUBLE_POOL, sizeof(h.magic)) || h.pid == getpid())
		return CUDA_ERROR_INVALID_VALUE;
	return cuMemPoolCreate(pool, &props);
}

EXPORT CUresult cuMemPoolExportPointer(CUmemPoolPtrExportData *out, CUdeviceptr p)
{
	struct double_handle h = { .magic = DOUBLE_POINTER, .pid = getpid(), .value = p };

	memcpy(out, &h, sizeof(h));
	return CUDA_SUCCESS;
}

EXPORT CUresult cuMemPoolImportPointer(CUdeviceptr *p, CUmemoryPool pool,
				       CUmemPoolPtrExportData *data)
{
	(void)pool;
	return open_as(p, data, DOUBLE_POINTER);
}
