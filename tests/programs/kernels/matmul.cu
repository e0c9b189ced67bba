// SPDX-License-Identifier: Apache-2.0
#include "cuda_min.h"

#define TILE 16

/* c = a * b, all n by n; n is a multiple of the tile. */
extern "C" __global__ void matmul(const float *a, const float *b, float *c, int n)
{
	__shared__ float ta[TILE][TILE], tb[TILE][TILE];
	int row = BID_Y * TILE + TID_Y, col = BID * TILE + TID;
	float sum = 0;

	for (int t = 0; t < n / TILE; t++) {
		ta[TID_Y][TID] = a[row * n + t * TILE + TID];
		tb[TID_Y][TID] = b[(t * TILE + TID_Y) * n + col];
		__syncthreads();
		for (int k = 0; k < TILE; k++)
			sum += ta[TID_Y][k] * tb[k][TID];
		__syncthreads();
	}
	c[row * n + col] = sum;
}
