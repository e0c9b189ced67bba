// SPDX-License-Identifier: Apache-2.0
/*
 * Fuzz target: an image that a guest sends, from the executor's check of its lengths to
 * softgpu's loader (bundles, fat binaries, compressed PTX, PTX).  The input is the blob without
 * its last byte, which is 0.
 */
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "fuzz.h"
#include "vg_cuda.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	CUcontext ctx;
	CUdevice dev;

	(void)argc;
	(void)argv;
	setenv("VGPU_SOFTGPU_LOG", "0", 1);
	setenv("VGPU_SOFTGPU_MEM", "64M", 1);
	if (cuInit(0) || cuDeviceGet(&dev, 0) || cuDevicePrimaryCtxRetain(&ctx, dev) ||
	    cuCtxSetCurrent(ctx))
		abort();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	/* A copy of its own, so that the sanitizer sees a read past its end; text ends in NUL. */
	uint8_t *blob = malloc(bytes + 1);
	struct vg_x_image image;
	CUmodule module;

	if (!blob)
		return 0;
	memcpy(blob, data, bytes);
	blob[bytes] = 0;
	if (!vg_x_image_take(&image, blob, bytes + 1)) {
		if (!cuModuleLoadData(&module, image.start))
			cuModuleUnload(module);
		vg_x_image_drop(&image);
	}
	free(blob);
	return 0;
}
