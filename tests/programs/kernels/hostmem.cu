// SPDX-License-Identifier: Apache-2.0
#include "cuda_min.h"

extern "C" __global__ void add_one(int *p, int n)
{
	int i = BID * BDIM + TID;

	if (i < n)
		p[i] += 1;
}

/* Waits for the host to write `go`, then answers with what it finds behind it. */
extern "C" __global__ void wait_for_host(volatile int *go, volatile int *answer)
{
	while (!go[0])
		;
	answer[0] = go[1] + 1;
}
