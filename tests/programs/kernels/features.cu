// SPDX-License-Identifier: Apache-2.0
/* What ordinary programs use besides arithmetic: one kernel for each. */
#include "cuda_min.h"

extern "C" {

struct params {
	int a;
	float list[5];
	double d;
};

__constant__ int primes[8] = { 2, 3, 5, 7, 11, 13, 17, 19 };
__device__ int counter = 5;
__device__ int *counter_pointer = &counter;

__device__ __attribute__((noinline)) int fib(int n)
{
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

__device__ int plus_one(int x)
{
	return x + 1;
}

__device__ int times_two(int x)
{
	return x * 2;
}

__device__ int (*const table[2])(int) = { plus_one, times_two };

/* recursion, with lanes that go different ways */
__global__ void recurse(int *out)
{
	out[TID] = fib(TID % 13);
}

/* calls through pointers */
__global__ void indirect(int *out)
{
	out[TID] = table[TID & 1](TID);
}

/* a structure by value, indexed at run time, which forces its address to be taken */
__global__ void structure(struct params p, int i, float *out)
{
	out[0] = p.a;
	out[1] = p.list[i];
	out[2] = (float)p.d;
}

/* constants and a global variable */
__global__ void globals(int *out)
{
	out[TID] = primes[TID & 7] + counter;
}

/* a variable that holds the address of another */
__global__ void bump(void)
{
	*counter_pointer += 100;
}

/* a local array that cannot live in registers */
__global__ void locals(int *out, int n)
{
	int a[32];

	for (int i = 0; i < 32; i++)
		a[i] = i * i + TID;
	for (int i = 0; i < n; i++) {
		int t = a[i & 31];

		a[i & 31] = a[(i * 7 + TID) & 31];
		a[(i * 7 + TID) & 31] = t;
	}
	out[TID] = a[TID & 31];
}

/* many ways through one switch */
__global__ void branches(int *out)
{
	int v = TID;

	for (int i = 0; i < TID % 7; i++) {
		switch ((v + i) % 6) {
		case 0: v = v * 3 + 1; break;
		case 1: v -= 7; break;
		case 2: v ^= 0x55; break;
		case 3: v += i; continue;
		case 4: v = v / 2 + 9; break;
		default: v = -v; break;
		}
		v &= 0xffff;
	}
	out[TID] = v;
}

/* dynamic shared memory */
extern __shared__ int dynamic[];

__global__ void reverse(int *data, int n)
{
	dynamic[TID] = data[TID];
	__syncthreads();
	data[TID] = dynamic[n - 1 - TID];
}

/* double precision and conversions */
__global__ void doubles(const double *in, double *out, long long *rounded)
{
	double x = in[TID];

	out[TID] = (x * x + 1.0) / (x - 0.5);
	rounded[TID] = (long long)x;
}

}
