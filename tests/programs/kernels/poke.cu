// SPDX-License-Identifier: Apache-2.0
#include "cuda_min.h"

extern "C" __global__ void poke(int *p)
{
	*p = 42;
}
