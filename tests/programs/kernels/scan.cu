// SPDX-License-Identifier: Apache-2.0
#include "cuda_min.h"

/* Inclusive prefix sums of each block of 256: shuffles in the warps, one warp over their totals. */
extern "C" __global__ void scan(const int *in, int *out, int *totals, int n)
{
	__shared__ int warps[32];
	int i = BID * BDIM + TID, lane = TID & 31, warp = TID >> 5;
	int v = i < n ? in[i] : 0;

	for (int d = 1; d < 32; d *= 2) {
		int other = SHFL_UP(v, d);

		if (lane >= d)
			v += other;
	}
	if (lane == 31)
		warps[warp] = v;
	__syncthreads();
	if (warp == 0) {
		int w = lane < BDIM / 32 ? warps[lane] : 0;

		for (int d = 1; d < 32; d *= 2) {
			int other = SHFL_UP(w, d);

			if (lane >= d)
				w += other;
		}
		warps[lane] = w;
	}
	__syncthreads();
	if (warp > 0)
		v += warps[warp - 1];
	if (i < n)
		out[i] = v;
	if (TID == BDIM - 1)
		totals[BID] = v;
}
