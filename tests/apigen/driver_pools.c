// SPDX-License-Identifier: Apache-2.0
/* Memory pools, and which of them a device allocates from. */
#include "driver_test.h"

void pools(void)
{
	CUmemPoolProps props = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
				 .location = { CU_MEM_LOCATION_TYPE_DEVICE, dev } };
	CUmemAccessDesc access = { props.location, CU_MEM_ACCESS_FLAGS_PROT_READWRITE };
	CUmemoryPool pool, mine, got;
	CUmemAccess_flags flags;
	cuuint64_t v = 1 << 20, used;
	CUdeviceptr p, q;
	CUstream s;
	int on;

	OK(cuStreamCreate(&s, 0));
	OK(cuDeviceGetDefaultMemPool(&pool, dev));
	OK(cuDeviceGetMemPool(&got, dev));
	TRUE(pool == got);
	OK(cuMemAllocAsync(&p, 1 << 20, s));
	OK(cuMemsetD32Async(p, 6, 1 << 18, s));
	OK(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &used));
	TRUE(used >= 1 << 20);
	OK(cuStreamSynchronize(s));
	TRUE(value_at(p, 1000) == 6);
	OK(cuMemFreeAsync(p, s));
	OK(cuMemPoolCreate(&mine, &props));
	OK(cuMemPoolSetAttribute(mine, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &v));
	v = 0;
	OK(cuMemPoolGetAttribute(mine, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &v));
	TRUE(v == 1 << 20);
	OK(cuMemPoolGetAttribute(mine, CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC, &on));
	TRUE(on == 1);
	on = 0;
	OK(cuMemPoolSetAttribute(mine, CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC, &on));
	OK(cuMemPoolSetAccess(mine, &access, 1));
	OK(cuMemPoolGetAccess(&flags, mine, &access.location));
	TRUE(flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
	OK(cuMemAllocFromPoolAsync(&q, 4096, mine, s));
	OK(cuMemFreeAsync(q, s));
	OK(cuStreamSynchronize(s));
	OK(cuMemPoolTrimTo(mine, 0));
	OK(cuMemPoolDestroy(mine));
	OK(cuMemGetMemPool(&got, &props.location, CU_MEM_ALLOCATION_TYPE_PINNED));
	TRUE(got == pool);
	OK(cuStreamDestroy_v2(s));
}

static cuuint64_t used(CUmemoryPool pool)
{
	cuuint64_t v = 77;

	OK(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &v));
	return v;
}

static int comes_from(CUmemoryPool pool)
{
	cuuint64_t before = used(pool), during;
	CUdeviceptr p;

	OK(cuMemAllocAsync(&p, 1 << 20, NULL));
	during = used(pool);
	OK(cuMemFreeAsync(p, NULL));
	OK(cuStreamSynchronize(NULL));
	return during >= before + (1 << 20);
}

void chosen_pools(void)
{
	CUmemLocation here = { CU_MEM_LOCATION_TYPE_DEVICE, dev }, nowhere = { 99, 0 };
	CUmemPoolProps props = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED, .location = here };
	CUmemoryPool first, same, mine, got;

	OK(cuDeviceGetDefaultMemPool(&first, dev));
	OK(cuMemGetDefaultMemPool(&same, &here, CU_MEM_ALLOCATION_TYPE_PINNED));
	TRUE(first == same);
	TRUE(comes_from(first));
	OK(cuMemPoolCreate(&mine, &props));
	OK(cuDeviceSetMemPool(dev, mine));
	OK(cuDeviceGetMemPool(&got, dev));
	TRUE(got == mine && comes_from(mine) && !comes_from(first));
	OK(cuMemSetMemPool(&here, CU_MEM_ALLOCATION_TYPE_PINNED, first));
	OK(cuMemGetMemPool(&got, &here, CU_MEM_ALLOCATION_TYPE_PINNED));
	TRUE(got == first && comes_from(first) && !comes_from(mine));
	OK(cuMemSetMemPool(&here, CU_MEM_ALLOCATION_TYPE_PINNED, mine));
	TRUE(comes_from(mine));
	/* A pool that goes leaves the device with its default one. */
	OK(cuMemPoolDestroy(mine));
	OK(cuDeviceGetMemPool(&got, dev));
	TRUE(got == first && comes_from(first));
	TRUE(cuDeviceSetMemPool(dev, NULL) != CUDA_SUCCESS);
	TRUE(cuDeviceSetMemPool(99, first) != CUDA_SUCCESS);
	TRUE(cuMemSetMemPool(&nowhere, CU_MEM_ALLOCATION_TYPE_PINNED, first) != CUDA_SUCCESS);
	TRUE(cuMemGetDefaultMemPool(&got, &nowhere, CU_MEM_ALLOCATION_TYPE_PINNED) !=
	     CUDA_SUCCESS);
	IS(cuMemGetDefaultMemPool(NULL, &here, CU_MEM_ALLOCATION_TYPE_PINNED),
	   CUDA_ERROR_INVALID_VALUE);
}
