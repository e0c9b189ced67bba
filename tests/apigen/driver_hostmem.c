// SPDX-License-Identifier: Apache-2.0
/*
 * Page-locked memory of all sizes; registering memory that is a mapping of a file, as NCCL
 * does with /dev/shm.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "driver_test.h"

#define BYTES (64u << 10)

/* Kernels and copies read and write the part that is registered, in place. */
static void through(uint32_t *part)
{
	unsigned int n = 1024, by = 3, words[4];
	CUdeviceptr p, device;
	void *params[] = { &device, &n, &by };

	for (unsigned int i = 0; i < n; i++)
		part[i] = i;
	OK(cuMemHostRegister_v2(part, 4 * n, CU_MEMHOSTREGISTER_PORTABLE |
						     CU_MEMHOSTREGISTER_DEVICEMAP));
	IS(cuMemHostRegister_v2(part, 4 * n, 0), CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
	OK(cuMemHostGetDevicePointer_v2(&device, part, 0));
	TRUE(device == (uintptr_t)part);
	OK(cuLaunchKernel(add, n / 256, 1, 1, 256, 1, 1, 0, NULL, params, NULL));
	OK(cuCtxSynchronize());
	TRUE(part[0] == 3 && part[1] == 4 && part[n - 1] == n + 2);
	OK(cuMemAlloc_v2(&p, 4 * n));
	OK(cuMemcpyHtoDAsync_v2(p, part, 4 * n, NULL));
	OK(cuMemcpyDtoH_v2(words, p, sizeof(words)));
	TRUE(words[0] == 3 && words[3] == 6);
	OK(cuMemFree_v2(p));
	OK(cuMemHostUnregister(part));
	IS(cuMemHostUnregister(part), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
}

void mapped_files(void)
{
	char name[64];
	uint8_t *memory;
	int fd;

	snprintf(name, sizeof(name), "/dev/shm/vgpu-test-%d", (int)getpid());
	fd = open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0) {	/* a small guest has no /dev/shm */
		snprintf(name, sizeof(name), "/tmp/vgpu-test-%d", (int)getpid());
		fd = open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
	}
	TRUE(fd >= 0 && !ftruncate(fd, BYTES));
	memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	TRUE(memory != MAP_FAILED);
	through((uint32_t *)memory);
	through((uint32_t *)(memory + 8192));
	close(fd);
	unlink(name);
	munmap(memory, BYTES);
	/* A file that has no name. */
	fd = memfd_create("test", MFD_CLOEXEC);
	TRUE(fd >= 0 && !ftruncate(fd, BYTES));
	memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	through((uint32_t *)(memory + 4096));
	munmap(memory, BYTES);
}

static const size_t sizes[] = {
	1, 100, 4096, 5000, 96 << 10, 1 << 20, (1 << 20) + 1, 2 << 20, (3 << 20) + 5, 17 << 20,
};

#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

/* What is written at the begin and the end of each stays there, whatever its neighbours do. */
static void mark(uint8_t *p, size_t bytes, uint8_t with)
{
	p[0] = with;
	p[bytes - 1] = with;
}

static bool marked(const uint8_t *p, size_t bytes, uint8_t with)
{
	return p[0] == with && p[bytes - 1] == with;
}

void pinned_sizes(void)
{
	static uint8_t back[17 << 20];
	uint8_t *host[SIZES];
	CUdeviceptr p, base;
	size_t bytes;
	void *none;

	OK(cuMemAlloc_v2(&p, sizeof(back)));
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < SIZES; i++) {
			OK(cuMemHostAlloc((void **)&host[i], sizes[i], 0));
			memset(host[i], 0x80 + i, sizes[i]);
			mark(host[i], sizes[i], i);
		}
		for (size_t i = 0; i < SIZES; i++) {
			OK(cuMemsetD8_v2(p, 0xff, sizeof(back)));
			OK(cuMemcpyHtoDAsync_v2(p, host[i], sizes[i], NULL));
			OK(cuMemcpyDtoH_v2(back, p, sizes[i]));
			TRUE(marked(back, sizes[i], i));
			TRUE(sizes[i] < 3 || back[sizes[i] / 2] == 0x80 + i);
			/* Out of the device too, and into no neighbour. */
			OK(cuMemsetD8_v2(p, 0x40 + i, sizes[i]));
			OK(cuMemcpyDtoHAsync_v2(host[i], p, sizes[i], NULL));
			OK(cuCtxSynchronize());
			TRUE(marked(host[i], sizes[i], 0x40 + i));
			OK(cuPointerGetAttribute(&base, CU_POINTER_ATTRIBUTE_DEVICE_POINTER,
						 (uintptr_t)host[i] + sizes[i] / 2));
			TRUE(base == (uintptr_t)host[i] + sizes[i] / 2);
			if (!through_vgpu)
				continue;
			OK(cuPointerGetAttribute(&base, CU_POINTER_ATTRIBUTE_RANGE_START_ADDR,
						 (uintptr_t)host[i] + sizes[i] / 2));
			OK(cuPointerGetAttribute(&bytes, CU_POINTER_ATTRIBUTE_RANGE_SIZE,
						 (uintptr_t)host[i]));
			TRUE(base == (uintptr_t)host[i] && bytes == sizes[i]);
		}
		for (size_t i = 0; i < SIZES; i++)
			TRUE(marked(host[i], sizes[i], 0x40 + i));
		/* Those between others first. */
		for (size_t i = round; i < SIZES; i += 2)
			OK(cuMemFreeHost(host[i]));
		for (size_t i = 1 - round; i < SIZES; i += 2)
			OK(cuMemFreeHost(host[i]));
		TRUE(cuMemFreeHost(host[0]) != CUDA_SUCCESS);
	}
	OK(cuMemFree_v2(p));
	/* More than any machine has. */
	TRUE(cuMemHostAlloc(&none, 1ull << 46, 0) != CUDA_SUCCESS);
	OK(cuMemHostAlloc(&none, 4096, 0));
	OK(cuMemFreeHost(none));
}
