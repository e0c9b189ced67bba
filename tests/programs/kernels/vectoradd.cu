// SPDX-License-Identifier: Apache-2.0
#include "cuda_min.h"

extern "C" __global__ void vectoradd(const float *a, const float *b, float *c, int n)
{
	int i = BID * BDIM + TID;

	if (i < n)
		c[i] = a[i] + b[i];
}
