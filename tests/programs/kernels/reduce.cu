// SPDX-License-Identifier: Apache-2.0
#include "cuda_min.h"

/* The sum and a histogram of the low four bits: a tree in each block, atomics between them. */
extern "C" __global__ void reduce(const unsigned int *in, unsigned int *sum, unsigned int *hist,
				  float *fsum, int n)
{
	__shared__ unsigned int part[256];
	__shared__ unsigned int bins[16];
	unsigned int mine = 0;

	if (TID < 16)
		bins[TID] = 0;
	__syncthreads();
	for (int i = BID * BDIM + TID; i < n; i += GDIM * BDIM) {
		mine += in[i];
		ATOMIC_ADD_U(&bins[in[i] & 15], 1);
	}
	part[TID] = mine;
	__syncthreads();
	for (int half = BDIM / 2; half > 0; half /= 2) {
		if (TID < half)
			part[TID] += part[TID + half];
		__syncthreads();
	}
	if (TID == 0) {
		ATOMIC_ADD_U(sum, part[0]);
		ATOMIC_ADD_F(fsum, 1.0f);
	}
	if (TID < 16)
		ATOMIC_ADD_U(&hist[TID], bins[TID]);
}
