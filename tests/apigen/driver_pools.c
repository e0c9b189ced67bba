// SPDX-License-Identifier: Apache-2.0
/* Which pool a device allocates from. */
#include "driver_test.h"

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
	IS(cuDeviceSetMemPool(99, first), CUDA_ERROR_INVALID_DEVICE);
	TRUE(cuMemSetMemPool(&nowhere, CU_MEM_ALLOCATION_TYPE_PINNED, first) != CUDA_SUCCESS);
	TRUE(cuMemGetDefaultMemPool(&got, &nowhere, CU_MEM_ALLOCATION_TYPE_PINNED) !=
	     CUDA_SUCCESS);
	IS(cuMemGetDefaultMemPool(NULL, &here, CU_MEM_ALLOCATION_TYPE_PINNED),
	   CUDA_ERROR_INVALID_VALUE);
}
