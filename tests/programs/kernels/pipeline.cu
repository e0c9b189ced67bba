// SPDX-License-Identifier: Apache-2.0
#include "cuda_min.h"

/* First stage: x = 3x + 1. Second stage: adds the other buffer's element of the same place. */
extern "C" __global__ void stage1(int *x, int n)
{
	int i = BID * BDIM + TID;

	if (i < n)
		x[i] = 3 * x[i] + 1;
}

extern "C" __global__ void stage2(int *x, const int *y, int n)
{
	int i = BID * BDIM + TID;

	if (i < n)
		x[i] += y[i];
}
