// SPDX-License-Identifier: Apache-2.0
/*
 * Memory that host and kernels share: pinned and mapped, managed, registered.
 * Argument: number of integers.
 */
#include <time.h>

#include "prog.h"

const char *prog_name = "hostmem";
PROG_KERNELS("hostmem");

static CUfunction add_one;
static int n;

static void launch(CUdeviceptr p)
{
	void *args[] = { &p, &n };

	CHECK(cuLaunchKernel(add_one, (n + 127) / 128, 1, 1, 128, 1, 1, 0, NULL, args, NULL));
}

static void expect(const int *p, int add, const char *what)
{
	for (int i = 0; i < n; i++)
		if (p[i] != i + add)
			prog_fail("%s: element %d is %d, not %d", what, i, p[i], i + add);
}

static void fill(int *p)
{
	for (int i = 0; i < n; i++)
		p[i] = i;
}

static void pinned(void)
{
	size_t bytes = n * sizeof(int);
	unsigned int flags;
	CUdeviceptr device, copy;
	int *p;

	CHECK(cuMemHostAlloc((void **)&p, bytes, CU_MEMHOSTALLOC_DEVICEMAP |
							 CU_MEMHOSTALLOC_PORTABLE));
	CHECK(cuMemHostGetDevicePointer_v2(&device, p, 0));
	if (device != (uintptr_t)p)
		prog_fail("the device has it at another address");
	CHECK(cuMemHostGetFlags(&flags, p));
	if (!(flags & CU_MEMHOSTALLOC_DEVICEMAP))
		prog_fail("flags are %#x", flags);
	fill(p);
	launch(device);
	CHECK(cuCtxSynchronize());
	expect(p, 1, "mapped");

	/* And as the source and the target of copies that the device does itself. */
	copy = prog_alloc(bytes);
	CHECK(cuMemcpyHtoDAsync_v2(copy, p, bytes, NULL));
	launch(copy);
	CHECK(cuMemcpyDtoHAsync_v2(p, copy, bytes, NULL));
	CHECK(cuCtxSynchronize());
	expect(p, 2, "copied");
	CHECK(cuMemFree_v2(copy));
	CHECK(cuMemFreeHost(p));
	if (cuMemFreeHost(p) != CUDA_ERROR_INVALID_VALUE)
		prog_fail("freed twice");
}

static void managed(void)
{
	size_t bytes = n * sizeof(int);
	unsigned int is_managed = 0;
	CUdeviceptr d;
	int *p;

	CHECK(cuMemAllocManaged(&d, bytes, CU_MEM_ATTACH_GLOBAL));
	CHECK(cuPointerGetAttribute(&is_managed, CU_POINTER_ATTRIBUTE_IS_MANAGED, d));
	if (!is_managed)
		prog_fail("managed memory says it is not");
	p = (int *)(uintptr_t)d;
	for (int round = 0; round < 5; round++) {
		fill(p);
		if (round % 2)
			CHECK(cuMemPrefetchAsync(d, bytes, 0, NULL));
		launch(d);
		launch(d);
		CHECK(cuCtxSynchronize());
		expect(p, 2, "managed");
	}
	CHECK(cuMemFree_v2(d));
}

/* Heap memory, registered and freed and used again. */
static void registered(void)
{
	size_t bytes = n * sizeof(int);
	CUdeviceptr device, copy = prog_alloc(bytes);

	for (int round = 0; round < 3; round++) {
		int *p = prog_host(bytes);
		CUresult r;

		fill(p);
		CHECK(cuMemHostRegister_v2(p, bytes, 0));
		r = cuMemHostGetDevicePointer_v2(&device, p, 0);
		if (!r) {
			launch(device);
			CHECK(cuCtxSynchronize());
			expect(p, 1, "registered");
			fill(p);
		} else if (r != CUDA_ERROR_NOT_SUPPORTED) {
			prog_fail("the registered memory's address: error %d", (int)r);
		}
		CHECK(cuMemcpyHtoD_v2(copy, p, bytes));
		launch(copy);
		CHECK(cuMemcpyDtoH_v2(p, copy, bytes));
		expect(p, 1, "from registered");
		CHECK(cuMemHostUnregister(p));
		if (cuMemHostUnregister(p) != CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED)
			prog_fail("unregistered twice");
		free(p);
	}
	CHECK(cuMemFree_v2(copy));
}

/* A kernel that runs while the host writes what it waits for. */
static void polled(void)
{
	struct timespec pause = { .tv_nsec = 20000000 };
	CUfunction wait = prog_function(prog_ptx, "wait_for_host");
	CUdeviceptr go, answer;
	volatile int *p;
	void *args[] = { &go, &answer };

	CHECK(cuMemHostAlloc((void **)&p, 4096, CU_MEMHOSTALLOC_DEVICEMAP));
	p[0] = p[1] = p[64] = 0;
	CHECK(cuMemHostGetDevicePointer_v2(&go, (void *)p, 0));
	answer = go + 64 * sizeof(int);
	CHECK(cuLaunchKernel(wait, 1, 1, 1, 1, 1, 1, 0, NULL, args, NULL));
	nanosleep(&pause, NULL);
	if (p[64])
		prog_fail("the kernel did not wait");
	p[1] = 41;
	__sync_synchronize();
	p[0] = 1;
	CHECK(cuCtxSynchronize());
	if (p[64] != 42)
		prog_fail("the kernel answered %d", p[64]);
	CHECK(cuMemFreeHost((void *)p));
}

int main(int argc, char **argv)
{
	n = prog_size(argc, argv, 100000, 1);
	prog_context();
	add_one = prog_function(prog_ptx, "add_one");
	pinned();
	managed();
	registered();
	polled();
	prog_done();
	return prog_pass("%d integers: pinned, managed, registered, polled", n);
}
