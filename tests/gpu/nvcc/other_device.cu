// SPDX-License-Identifier: Apache-2.0
// nvcc: -gencode arch=compute_75,code=sm_75
// Machine code for one device alone, and what a program is told on another.
#include <cstdio>

__device__ int seen;

__global__ void run()
{
	seen = 1;
}

int main()
{
	cudaFuncAttributes attributes;
	int value = 0;

	run<<<1, 1>>>();
	printf("launch: %s\n", cudaGetErrorString(cudaGetLastError()));
	printf("synchronise: %s\n", cudaGetErrorString(cudaDeviceSynchronize()));
	printf("attributes: %s\n", cudaGetErrorString(cudaFuncGetAttributes(&attributes, run)));
	printf("symbol: %s\n", cudaGetErrorString(cudaMemcpyFromSymbol(&value, seen, sizeof(value))));
	printf("PASS other_device: %d\n", value);
	return 0;
}
