// SPDX-License-Identifier: Apache-2.0
/* Advice on managed memory, and memory of the host under its older names. */
#include <stdlib.h>
#include <string.h>

#include "driver_test.h"

#define BYTES (1ul << 20)

static CUdeviceptr p;

static int said(CUmem_range_attribute which)
{
	int v = 77;

	OK(cuMemRangeGetAttribute(&v, sizeof(v), which, p, BYTES));
	return v;
}

void advice(void)
{
	CUmemLocation here = { CU_MEM_LOCATION_TYPE_DEVICE, dev };
	CUmemLocation cpu = { CU_MEM_LOCATION_TYPE_HOST, 0 };
	CUmem_range_attribute which[2] = { CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY,
					   CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION };
	int mostly = 77, preferred = 77, can;
	void *data[2] = { &mostly, &preferred };
	size_t sizes[2] = { sizeof(int), sizeof(int) };
	CUdeviceptr plain;
	CUstream s;

	OK(cuDeviceGetAttribute(&can, CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS, dev));
	if (!can)
		return;
	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	OK(cuMemAllocManaged(&p, BYTES, CU_MEM_ATTACH_GLOBAL));
	TRUE(said(CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY) == 0);
	TRUE(said(CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION) == CU_DEVICE_INVALID);
	OK(cuMemAdvise(p, BYTES, CU_MEM_ADVISE_SET_READ_MOSTLY, dev));
	TRUE(said(CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY) == 1);
	OK(cuMemAdvise_v2(p, BYTES, CU_MEM_ADVISE_UNSET_READ_MOSTLY, here));
	TRUE(said(CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY) == 0);
	OK(cuMemAdvise_v2(p, BYTES, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, here));
	TRUE(said(CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION) == dev);
	OK(cuMemAdvise_v2(p, BYTES, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, cpu));
	TRUE(said(CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION) == CU_DEVICE_CPU);
	OK(cuMemAdvise(p, BYTES, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, dev));
	OK(cuMemAdvise(p, BYTES, CU_MEM_ADVISE_SET_READ_MOSTLY, dev));
	OK(cuMemRangeGetAttributes(data, sizes, which, 2, p, BYTES));
	TRUE(mostly == 1 && preferred == dev);
	OK(cuMemAdvise(p, BYTES, CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION, dev));
	OK(cuMemAdvise(p, BYTES, CU_MEM_ADVISE_UNSET_READ_MOSTLY, dev));
	OK(cuMemRangeGetAttributes(data, sizes, which, 2, p, BYTES));
	TRUE(mostly == 0 && preferred == CU_DEVICE_INVALID);
	memset((void *)(uintptr_t)p, 6, BYTES);
	OK(cuMemPrefetchAsync_v2(p, BYTES, here, 0, s));
	OK(cuStreamSynchronize(s));
	TRUE(said(CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION) == dev);
	OK(cuMemPrefetchAsync_v2(p, BYTES, cpu, 0, s));
	OK(cuStreamSynchronize(s));
	TRUE(said(CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION) == CU_DEVICE_CPU);
	TRUE(((unsigned char *)(uintptr_t)p)[BYTES - 1] == 6);

	IS(cuMemAdvise(p, BYTES, 99, dev), CUDA_ERROR_INVALID_VALUE);
	IS(cuMemAdvise_v2(p, BYTES, 99, here), CUDA_ERROR_INVALID_VALUE);
	IS(cuMemAdvise(p, 0, CU_MEM_ADVISE_SET_READ_MOSTLY, dev), CUDA_ERROR_INVALID_VALUE);
	IS(cuMemPrefetchAsync_v2(p, BYTES, here, 1, s), CUDA_ERROR_INVALID_VALUE);
	which[1] = 99;
	TRUE(cuMemRangeGetAttributes(data, sizes, which, 2, p, BYTES) != CUDA_SUCCESS);
	OK(cuMemAlloc_v2(&plain, BYTES));
	IS(cuMemPrefetchAsync_v2(plain, BYTES, here, 0, s), CUDA_ERROR_INVALID_VALUE);
	IS(cuMemAdvise(plain, BYTES, CU_MEM_ADVISE_SET_READ_MOSTLY, dev), CUDA_ERROR_INVALID_VALUE);
	OK(cuMemFree_v2(plain));
	OK(cuMemFree_v2(p));
	OK(cuStreamDestroy_v2(s));
}

/* A page that the device reaches, whichever function has seen to it. */
static void reached(void *host, unsigned int by)
{
	volatile unsigned int *word = host;
	unsigned int n = 64;
	CUdeviceptr at;
	void *params[] = { &at, &n, &by };

	OK(cuMemHostGetDevicePointer_v2(&at, host, 0));
	word[63] = 5;
	OK(cuLaunchKernel(add, 1, 1, 1, 64, 1, 1, 0, NULL, params, NULL));
	OK(cuCtxSynchronize());
	TRUE(word[63] == 5 + by);
}

void old_host_memory(void)
{
	void *host = NULL;

	if (!through_vgpu)
		return;
	OK(cuMemAllocHost(&host, 8192));
	reached(host, 3);
	OK(cuMemFreeHost(host));
	IS(cuMemAllocHost(NULL, 64), CUDA_ERROR_INVALID_VALUE);
	IS(cuMemHostRegister(NULL, 4096, 0), CUDA_ERROR_INVALID_VALUE);
}

/* The program's own memory: known as the host's while it is registered. */
void old_registered(void)
{
	unsigned int *host = aligned_alloc(4096, 8192), type = 0;
	CUdeviceptr at;

	IS(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, (uintptr_t)host),
	   CUDA_ERROR_INVALID_VALUE);
	OK(cuMemHostRegister(host, 8192, 0));
	OK(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, (uintptr_t)host + 8000));
	TRUE(type == CU_MEMORYTYPE_HOST);
	host[2047] = 9;
	OK(cuMemAlloc_v2(&at, 8192));
	OK(cuMemcpyHtoDAsync_v2(at, host, 8192, NULL));
	TRUE(value_at(at, 2047) == 9);
	OK(cuMemFree_v2(at));
	IS(cuMemHostRegister(host, 8192, 0), CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
	OK(cuMemHostUnregister(host));
	IS(cuMemHostUnregister(host), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
	free(host);
}
