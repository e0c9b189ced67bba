// SPDX-License-Identifier: Apache-2.0
/* Registering memory that is a mapping of a file, as NCCL does with /dev/shm. */
#include <fcntl.h>
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
