// SPDX-License-Identifier: Apache-2.0
// The runtime API as nvcc emits it; built with cudart static and shared.
#include <cstdio>
#include <vector>

__global__ void add(const float *a, const float *b, float *c, int n)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;

	if (i < n)
		c[i] = a[i] + b[i];
}

#define CHECK(call)                                                                    \
	do {                                                                           \
		cudaError_t e_ = (call);                                               \
		if (e_) {                                                              \
			printf("FAIL runtime: %s: %s\n", #call, cudaGetErrorString(e_)); \
			return 1;                                                      \
		}                                                                      \
	} while (0)

int main()
{
	const int n = 1 << 20;
	std::vector<float> a(n), b(n), c(n);
	float *x, *y, *z;
	cudaDeviceProp p;

	for (int i = 0; i < n; i++) {
		a[i] = i;
		b[i] = 2 * i;
	}
	CHECK(cudaMalloc(&x, n * sizeof(float)));
	CHECK(cudaMalloc(&y, n * sizeof(float)));
	CHECK(cudaMalloc(&z, n * sizeof(float)));
	CHECK(cudaMemcpy(x, a.data(), n * sizeof(float), cudaMemcpyHostToDevice));
	CHECK(cudaMemcpy(y, b.data(), n * sizeof(float), cudaMemcpyHostToDevice));
	add<<<(n + 255) / 256, 256>>>(x, y, z, n);
	CHECK(cudaGetLastError());
	CHECK(cudaMemcpy(c.data(), z, n * sizeof(float), cudaMemcpyDeviceToHost));
	for (int i = 0; i < n; i++) {
		if (c[i] != a[i] + b[i]) {
			printf("FAIL runtime: element %d is %g\n", i, c[i]);
			return 1;
		}
	}
	CHECK(cudaGetDeviceProperties(&p, 0));
	CHECK(cudaDeviceSynchronize());
	printf("PASS runtime: %d elements on %s\n", n, p.name);
	return 0;
}
