// SPDX-License-Identifier: Apache-2.0
// nvcc: -rdc=true -arch=native
// Separately compiled device code, which the device linker has put together; printf
// and assert of a kernel.
#include <cstdio>

extern __device__ int twice(int x);
__device__ int seen;

__global__ void run(int *x)
{
	x[threadIdx.x] = twice(x[threadIdx.x]);
	atomicAdd(&seen, 1);
	if (threadIdx.x == 7)
		printf("thread %d has %d\n", threadIdx.x, x[threadIdx.x]);
}

__device__ int twice(int x)
{
	return 2 * x;
}

int main()
{
	int x[32], count = 0, *d;

	for (int i = 0; i < 32; i++)
		x[i] = i;
	cudaMalloc(&d, sizeof(x));
	cudaMemcpy(d, x, sizeof(x), cudaMemcpyHostToDevice);
	run<<<1, 32>>>(d);
	cudaMemcpy(x, d, sizeof(x), cudaMemcpyDeviceToHost);
	cudaMemcpyFromSymbol(&count, seen, sizeof(count));
	for (int i = 0; i < 32; i++)
		if (x[i] != 2 * i)
			count = -1;
	printf("%s separate: %d threads: %s\n", count == 32 ? "PASS" : "FAIL", count,
	       cudaGetErrorString(cudaDeviceSynchronize()));
	return count != 32;
}
