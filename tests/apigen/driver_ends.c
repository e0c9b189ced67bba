// SPDX-License-Identifier: Apache-2.0
/* Ranges that end beyond the allocation in which they begin: NVIDIA's driver refuses each (580.159). */
#include <stdlib.h>
#include <string.h>

#include "driver_test.h"

#define MOST (8u << 20)

/* What a copy into the allocation at p answers, one out of it, and a set. */
static void range(CUdeviceptr p, size_t bytes, void *host, CUresult want)
{
	IS(cuMemcpyHtoD_v2(p, host, bytes), want);
	IS(cuMemcpyDtoH_v2(host, p, bytes), want);
	IS(cuMemsetD8_v2(p, 0, bytes), want);
}

void range_ends(void)
{
	static const size_t sizes[] = { 1000, 4096, 1 << 20, (2 << 20) - 512, (2 << 20) + 512,
					3 << 20 };
	static const size_t beyond[] = { 1, 256, 512, 4096, 65536, 1 << 20, 2 << 20, MOST };
	void *host = malloc(MOST + (3 << 20));
	CUdeviceptr p;

	TRUE(host);
	memset(host, 0xff, MOST + (3 << 20));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		OK(cuMemAlloc_v2(&p, sizes[i]));
		range(p, sizes[i], host, CUDA_SUCCESS);
		range(p + sizes[i] - 1, 1, host, CUDA_SUCCESS);
		TRUE(!value_at(p, 0));
		for (size_t k = 0; k < sizeof(beyond) / sizeof(beyond[0]); k++)
			range(p, sizes[i] + beyond[k], host, CUDA_ERROR_INVALID_VALUE);
		/* Nothing has been copied, and no later call hears of it. */
		OK(cuCtxSynchronize());
		TRUE(!value_at(p, 0));
		OK(cuMemFree_v2(p));
	}
	/* Of the last allocation, which is no more, nothing is known. */
	range(p, MOST, host, CUDA_ERROR_INVALID_VALUE);
	OK(cuCtxSynchronize());
	free(host);
}
