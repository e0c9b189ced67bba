// SPDX-License-Identifier: Apache-2.0
/*
 * What it takes to bring a module's image to the driver, in milliseconds, as
 * "image value" lines: a fat binary of 64 MiB whose only entry is for a GPU of
 * 2010, so that the driver looks at its headers and refuses it.  Natively
 * nothing is brought anywhere.
 *
 *   image [ROUNDS]
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cuda_abi.h"

#define BYTES (64u << 20)

/* What nvcc writes, as userspace/softgpu/image_file.c reads it. */
struct image {
	uint32_t magic;
	uint16_t version, header_bytes;
	uint64_t payload_bytes;
	struct {
		uint16_t kind, attributes;
		uint32_t header_bytes;
		uint64_t bytes;
		uint32_t packed_bytes, unknown;
		uint16_t minor, major;
		uint32_t arch;
		uint8_t rest[32];
	} entry;
};

#define FATBIN_MAGIC	0xba55ed50u
#define KIND_ELF	2
#define SM_20		20

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 3;
	struct image *image = malloc(BYTES);
	CUmodule module;
	CUdevice device;
	CUresult result;
	CUcontext ctx;
	double t;

	if (!image || cuInit(0) || cuDeviceGet(&device, 0) ||
	    cuDevicePrimaryCtxRetain(&ctx, device) || cuCtxSetCurrent(ctx)) {
		fprintf(stderr, "image: no memory or no device\n");
		return EXIT_FAILURE;
	}
	memset(image, 1, BYTES);
	memset(image, 0, sizeof(*image));
	image->magic = FATBIN_MAGIC;
	image->version = 1;
	image->header_bytes = offsetof(struct image, entry);
	image->payload_bytes = BYTES - image->header_bytes;
	image->entry.kind = KIND_ELF;
	image->entry.attributes = 0x101;
	image->entry.header_bytes = sizeof(image->entry);
	image->entry.bytes = BYTES - sizeof(*image);
	image->entry.arch = SM_20;
	for (int i = 0; i < rounds; i++) {
		t = now();
		result = cuModuleLoadData(&module, image);
		t = now() - t;
		if (result != CUDA_ERROR_NO_BINARY_FOR_GPU && result != CUDA_ERROR_INVALID_IMAGE) {
			fprintf(stderr, "image: error %d\n", result);
			return EXIT_FAILURE;
		}
		printf("image %.3f\n", t);
	}
	return EXIT_SUCCESS;
}
