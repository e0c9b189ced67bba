// SPDX-License-Identifier: Apache-2.0
/* Recursion, pointers to functions, structures, variables, local memory, branches, doubles. */
#include "prog.h"

#define N 64

const char *prog_name = "features";
PROG_KERNELS("features");

struct params {
	int a;
	float list[5];
	double d;
};

static CUmodule module;
static CUdeviceptr out;

static void launch(const char *name, unsigned int threads, unsigned int shared, void **args)
{
	CUfunction f;

	CHECK(cuModuleGetFunction(&f, module, name));
	CHECK(cuLaunchKernel(f, 1, 1, 1, threads, 1, 1, shared, NULL, args, NULL));
	CHECK(cuCtxSynchronize());
}

static void expect(const char *name, const int *want)
{
	int got[N];

	CHECK(cuMemcpyDtoH_v2(got, out, sizeof(got)));
	for (int i = 0; i < N; i++)
		if (got[i] != want[i])
			prog_fail("%s: thread %d gave %d, not %d", name, i, got[i], want[i]);
}

static int fib(int n)
{
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static int branches(int t)
{
	int v = t;

	for (int i = 0; i < t % 7; i++) {
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
	return v;
}

static int locals(int t, int n)
{
	int a[32];

	for (int i = 0; i < 32; i++)
		a[i] = i * i + t;
	for (int i = 0; i < n; i++) {
		int x = a[i & 31];

		a[i & 31] = a[(i * 7 + t) & 31];
		a[(i * 7 + t) & 31] = x;
	}
	return a[t & 31];
}

static void structures(void)
{
	struct params p = { 17, { 1, 2, 3.5f, 4, 5 }, 2.25 };
	int i = 2;
	float got[3];
	void *args[] = { &p, &i, &out };

	launch("structure", 1, 0, args);
	CHECK(cuMemcpyDtoH_v2(got, out, sizeof(got)));
	if (got[0] != 17 || got[1] != 3.5f || got[2] != 2.25f)
		prog_fail("structure: %g %g %g", got[0], got[1], got[2]);
}

static void variables(void)
{
	static const int primes[8] = { 2, 3, 5, 7, 11, 13, 17, 19 };
	int want[N], v = 0, seven = 7;
	CUdeviceptr p;
	size_t size;
	void *args[] = { &out };

	for (int i = 0; i < N; i++)
		want[i] = primes[i & 7] + 5;
	launch("globals", N, 0, args);
	expect("globals", want);
	launch("bump", 1, 0, NULL);
	CHECK(cuModuleGetGlobal_v2(&p, &size, module, "counter"));
	CHECK(cuMemcpyDtoH_v2(&v, p, 4));
	if (size != 4 || v != 105)
		prog_fail("globals: the counter has %zu bytes and is %d", size, v);
	CHECK(cuMemcpyHtoD_v2(p, &seven, 4));
	launch("globals", N, 0, args);
	for (int i = 0; i < N; i++)
		want[i] = primes[i & 7] + 7;
	expect("globals", want);
	if (cuModuleGetGlobal_v2(&p, &size, module, "nothing") != CUDA_ERROR_NOT_FOUND)
		prog_fail("a variable that does not exist was found");
}

static void doubles(void)
{
	double in[N], got[N];
	long long rounded[N];
	CUdeviceptr din = prog_alloc(sizeof(in)), dout = prog_alloc(sizeof(in));
	CUdeviceptr dr = prog_alloc(sizeof(rounded));
	void *args[] = { &din, &dout, &dr };

	for (int i = 0; i < N; i++)
		in[i] = (i - 30) * 12345.678 + 0.25;
	CHECK(cuMemcpyHtoD_v2(din, in, sizeof(in)));
	launch("doubles", N, 0, args);
	CHECK(cuMemcpyDtoH_v2(got, dout, sizeof(got)));
	CHECK(cuMemcpyDtoH_v2(rounded, dr, sizeof(rounded)));
	for (int i = 0; i < N; i++) {
		/* the compiler may fuse the product and the sum */
		double x = in[i], want = (x * x + 1.0) / (x - 0.5), err = got[i] - want;

		if (err < 0 ? -err > 1e-12 * (want < 0 ? -want : want) :
		    err > 1e-12 * (want < 0 ? -want : want))
			prog_fail("doubles: %d is %.17g, not %.17g", i, got[i], want);
		if (rounded[i] != (long long)x)
			prog_fail("doubles: %.17g became %lld", x, rounded[i]);
	}
}

int main(void)
{
	int want[N], n = N, swaps = 1000;
	void *one[] = { &out }, *two[] = { &out, &swaps }, *rev[] = { &out, &n };

	prog_context();
	CHECK(cuModuleLoadData(&module, prog_ptx));
	out = prog_alloc(sizeof(want));

	launch("recurse", N, 0, one);
	for (int i = 0; i < N; i++)
		want[i] = fib(i % 13);
	expect("recurse", want);

	launch("indirect", N, 0, one);
	for (int i = 0; i < N; i++)
		want[i] = i & 1 ? i * 2 : i + 1;
	expect("indirect", want);

	launch("locals", N, 0, two);
	for (int i = 0; i < N; i++)
		want[i] = locals(i, swaps);
	expect("locals", want);

	launch("branches", N, 0, one);
	for (int i = 0; i < N; i++)
		want[i] = branches(i);
	expect("branches", want);

	for (int i = 0; i < N; i++)
		want[i] = i * 3;
	CHECK(cuMemcpyHtoD_v2(out, want, sizeof(want)));
	launch("reverse", N, N * sizeof(int), rev);
	for (int i = 0; i < N; i++)
		want[i] = (N - 1 - i) * 3;
	expect("reverse", want);

	structures();
	variables();
	doubles();
	prog_done();
	return prog_pass("recursion, calls, structures, variables, branches, doubles");
}
