// SPDX-License-Identifier: Apache-2.0
/* Code from files and fat binaries; kernels' settings; how many blocks fit. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "driver_test.h"

/* A file of `bytes`; its name is good until the next. */
static const char *file_of(const void *data, size_t bytes)
{
	static char path[64];
	int fd;

	strcpy(path, "/tmp/vgpu-code-XXXXXX");
	fd = mkstemp(path);
	TRUE(fd >= 0 && write(fd, data, bytes) == (ssize_t)bytes);
	close(fd);
	return path;
}

/* `add` of such a module does add. */
static void adds(CUfunction f)
{
	unsigned int n = 64, by = 9;
	CUdeviceptr p;
	void *params[] = { &p, &n, &by };

	OK(cuMemAlloc_v2(&p, 256));
	OK(cuMemsetD32_v2(p, 1, n));
	OK(cuLaunchKernel(f, 1, 1, 1, n, 1, 1, 0, NULL, params, NULL));
	TRUE(value_at(p, n - 1) == 10);
	OK(cuMemFree_v2(p));
}

/* What NVIDIA's `fatbinary` makes of the same text for sm_50, without compression. */
static void *fat_binary(void)
{
	static const uint64_t head[12] = {
		0x00100001ba55ed50, 0, 0x0000005001010001, 0, 0x0000004000000000,
		0x0000003200060000, 0, 0x11, 0, 0, 0x48, 0,
	};
	size_t bytes = (strlen(ptx) + 8) & ~7ul;
	uint64_t *fat = calloc(1, sizeof(head) + bytes);

	memcpy(fat, head, sizeof(head));
	fat[1] = sizeof(head) - 16 + bytes;
	fat[3] = bytes;
	memcpy(fat + 12, ptx, strlen(ptx));
	return fat;
}

void code_files(void)
{
	const char *path = file_of(ptx, strlen(ptx) + 1);
	CUmoduleLoadingMode mode = 77;
	void *fat = fat_binary();
	CUfunction f;
	CUlibrary l;
	CUkernel k;
	CUmodule m;

	OK(cuModuleLoad(&m, path));
	OK(cuModuleGetFunction(&f, m, "add"));
	adds(f);
	OK(cuModuleUnload(m));
	OK(cuLibraryLoadFromFile(&l, path, NULL, NULL, 0, NULL, NULL, 0));
	OK(cuLibraryGetKernel(&k, l, "add"));
	adds((CUfunction)k);
	OK(cuLibraryGetModule(&m, l));
	/* It is the library's to unload, and stays a module when the program tries. */
	if (through_vgpu)
		IS(cuModuleUnload(m), CUDA_ERROR_INVALID_HANDLE);
	OK(cuModuleGetFunction(&f, m, "add"));
	adds(f);
	if (through_vgpu)
		IS(cuLibraryGetModule(NULL, l), CUDA_ERROR_INVALID_VALUE);
	OK(cuLibraryUnload(l));
	unlink(path);
	IS(cuModuleLoad(&m, path), CUDA_ERROR_FILE_NOT_FOUND);
	IS(cuLibraryLoadFromFile(&l, path, NULL, NULL, 0, NULL, NULL, 0),
	   CUDA_ERROR_FILE_NOT_FOUND);
	if (through_vgpu)
		TRUE(cuModuleLoad(&m, NULL) != CUDA_SUCCESS);

	OK(cuModuleLoadFatBinary(&m, fat));
	OK(cuModuleGetFunction(&f, m, "add"));
	adds(f);
	OK(cuModuleUnload(m));
	if (through_vgpu)
		IS(cuModuleLoadFatBinary(&m, NULL), CUDA_ERROR_INVALID_VALUE);
	free(fat);
	OK(cuModuleGetLoadingMode(&mode));
	TRUE(mode == CU_MODULE_LAZY_LOADING || mode == CU_MODULE_EAGER_LOADING);
	if (through_vgpu)
		IS(cuModuleGetLoadingMode(NULL), CUDA_ERROR_INVALID_VALUE);
}

/* As nvlink leaves it on a machine whose device this one is not: code for sm_20 alone. */
static void *linked_for_another(void)
{
	static const uint64_t head[12] = {
		0x00100001ba55ed50, 0x50 + 64, 0x0000005001010002, 64, 0, 0x0000001400000000,
		0, 0x11, 0, 0, 0, 0,
	};
	uint64_t *fat = calloc(1, sizeof(head) + 64);

	memcpy(fat, head, sizeof(head));
	memcpy(fat + 12, "\177ELF", 4);
	return fat;
}

/* Code that is loaded lazily is missed only when it is asked for. */
static CUresult first_kernel(const void *image)
{
	CUlibrary l;
	CUkernel k;
	CUresult r = cuLibraryLoadData(&l, image, NULL, NULL, 0, NULL, NULL, 0);

	if (r)
		return r;
	r = cuLibraryGetKernel(&k, l, "add");
	cuLibraryUnload(l);
	return r;
}

void linked_again(void)
{
	void *linked = linked_for_another(), *fat = fat_binary();
	const void *list[] = { fat, NULL };
	struct {
		uint32_t magic, version;
		const void *data, *list;
	} wrapper = { 0x466243b1, 2, linked, list };
	CUlibrary l;
	CUkernel k;
	CUmodule m;

	OK(cuLibraryLoadData(&l, &wrapper, NULL, NULL, 0, NULL, NULL, 0));
	OK(cuLibraryGetKernel(&k, l, "add"));
	adds((CUfunction)k);
	OK(cuLibraryUnload(l));

	/* Of what is in the first nothing runs here. */
	wrapper.version = 1;
	TRUE(first_kernel(&wrapper) != CUDA_SUCCESS);
	wrapper.version = 2;
	list[0] = NULL;
	TRUE(first_kernel(&wrapper) != CUDA_SUCCESS);
	if (through_vgpu) {
		static const char no_fatbin[64] __attribute__((aligned(8))) = "\177ELF";

		list[0] = no_fatbin;
		TRUE(cuModuleLoadData(&m, &wrapper) != CUDA_SUCCESS);
		list[0] = &wrapper;
		IS(cuModuleLoadData(&m, &wrapper), CUDA_ERROR_INVALID_IMAGE);
	}
	free(linked);
	free(fat);
}

void kernel_settings(void)
{
	size_t offset, size;
	CUfunctionLoadingState state = 77;
	CUfunction wide;
	CUlibrary l;
	CUkernel k;
	int v;

	OK(cuLibraryLoadData(&l, ptx, NULL, NULL, 0, NULL, NULL, 0));
	OK(cuLibraryGetKernel(&k, l, "wide"));
	OK(cuKernelGetParamInfo(k, 2, &offset, &size));
	TRUE(offset == 16 && size == 48);
	OK(cuKernelGetParamInfo(k, 0, &offset, NULL));
	TRUE(offset == 0);
	IS(cuKernelGetParamInfo(k, 4, &offset, &size), CUDA_ERROR_INVALID_VALUE);
	OK(cuKernelSetAttribute(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 2048, k, dev));
	OK(cuKernelGetAttribute(&v, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, k, dev));
	TRUE(v == 2048);
	TRUE(cuKernelSetAttribute(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 1 << 30, k,
				  dev) != CUDA_SUCCESS);
	TRUE(cuKernelSetAttribute(CU_FUNC_ATTRIBUTE_NUM_REGS, 1, k, dev) != CUDA_SUCCESS);
	IS(cuKernelSetAttribute(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 64, k, 99),
	   CUDA_ERROR_INVALID_DEVICE);
	/* A preference: it works on with it. */
	OK(cuLibraryGetKernel(&k, l, "add"));
	OK(cuKernelSetCacheConfig(k, CU_FUNC_CACHE_PREFER_SHARED, dev));
	adds((CUfunction)k);
	IS(cuKernelSetCacheConfig(k, 99, dev), CUDA_ERROR_INVALID_VALUE);
	IS(cuKernelSetCacheConfig(k, CU_FUNC_CACHE_PREFER_L1, 99), CUDA_ERROR_INVALID_DEVICE);
	OK(cuLibraryUnload(l));

	OK(cuModuleGetFunction(&wide, module, "wide"));
	OK(cuFuncIsLoaded(&state, wide));
	TRUE(state == CU_FUNCTION_LOADING_STATE_UNLOADED ||
	     state == CU_FUNCTION_LOADING_STATE_LOADED);
	OK(cuFuncLoad(wide));
	OK(cuFuncLoad(wide));
	OK(cuFuncIsLoaded(&state, wide));
	TRUE(state == CU_FUNCTION_LOADING_STATE_LOADED);
	TRUE(cuFuncIsLoaded(NULL, wide) != CUDA_SUCCESS);
	TRUE(cuFuncLoad(NULL) != CUDA_SUCCESS);
	OK(cuFuncSetSharedMemConfig(add, CU_SHARED_MEM_CONFIG_FOUR_BYTE_BANK_SIZE));
	adds(add);
	TRUE(cuFuncSetSharedMemConfig(add, 99) != CUDA_SUCCESS);
}

static size_t no_shared(int block)
{
	(void)block;
	return 0;
}

void occupancy(void)
{
	CUlaunchAttribute attr = { .id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION,
				   .value.clusterDim = { 2, 1, 1 } };
	CUlaunchConfig config = { .gridDimX = 16, .gridDimY = 1, .gridDimZ = 1, .blockDimX = 128,
				  .blockDimY = 1, .blockDimZ = 1 };
	int blocks, same, grid, size, limited, can, n = -1;

	OK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, add, 128, 0));
	OK(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(&same, add, 128, 0,
								CU_OCCUPANCY_DEFAULT));
	TRUE(blocks > 0 && blocks == same);
	OK(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
		&same, add, 128, 0, CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE));
	TRUE(same >= 0 && same <= blocks);
	IS(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(&same, add, 128, 0, 99),
	   CUDA_ERROR_INVALID_VALUE);
	IS(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(&same, add, 0, 0, 0),
	   CUDA_ERROR_INVALID_VALUE);
	OK(cuOccupancyMaxPotentialBlockSizeWithFlags(&grid, &size, add, NULL, 0, 0, 0));
	TRUE(grid > 0 && size >= 32 && size % 32 == 0);
	OK(cuOccupancyMaxPotentialBlockSizeWithFlags(&grid, &limited, add, no_shared, 0, 64, 0));
	TRUE(grid > 0 && limited > 0 && limited <= 64);
	TRUE(cuOccupancyMaxPotentialBlockSizeWithFlags(&grid, &size, add, NULL, 0, 0, 99) !=
	     CUDA_SUCCESS);
	OK(cuDeviceGetAttribute(&can, CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH, dev));
	if (can) {
		OK(cuOccupancyMaxPotentialClusterSize(&n, add, &config));
		TRUE(n >= 1 && n <= 16);
		config.attrs = &attr;
		config.numAttrs = 1;
		OK(cuOccupancyMaxActiveClusters(&n, add, &config));
		TRUE(n >= 1);
	} else {
		TRUE(cuOccupancyMaxPotentialClusterSize(&n, add, &config) != CUDA_SUCCESS);
		TRUE(cuOccupancyMaxActiveClusters(&n, add, &config) != CUDA_SUCCESS);
	}
	TRUE(cuOccupancyMaxActiveClusters(&n, add, NULL) != CUDA_SUCCESS);
	TRUE(cuOccupancyMaxPotentialClusterSize(NULL, add, &config) != CUDA_SUCCESS);
}

/* Linked of a file and a text, under the names of now and of before CUDA 6.5. */
void linking_files(void)
{
	static const char second[] =
		".version 6.0\n.target sm_50\n.address_size 64\n"
		".visible .entry other()\n{\nret;\n}\n";
	const char *path = file_of(ptx, strlen(ptx) + 1);
	CUlinkState state;
	CUfunction f;
	CUmodule m;
	void *cubin;
	size_t bytes;

	for (int old = 0; old < 2; old++) {
		if (old) {
			OK(cuLinkCreate(0, NULL, NULL, &state));
			OK(cuLinkAddFile(state, CU_JIT_INPUT_PTX, path, 0, NULL, NULL));
			OK(cuLinkAddData(state, CU_JIT_INPUT_PTX, (void *)second, sizeof(second),
					 "second", 0, NULL, NULL));
		} else {
			OK(cuLinkCreate_v2(0, NULL, NULL, &state));
			OK(cuLinkAddFile_v2(state, CU_JIT_INPUT_PTX, path, 0, NULL, NULL));
			OK(cuLinkAddData_v2(state, CU_JIT_INPUT_PTX, (void *)second,
					    sizeof(second), "second", 0, NULL, NULL));
		}
		OK(cuLinkComplete(state, &cubin, &bytes));
		OK(cuModuleLoadData(&m, cubin));
		OK(cuLinkDestroy(state));
		OK(cuModuleGetFunction(&f, m, "other"));
		OK(cuModuleGetFunction(&f, m, "add"));
		adds(f);
		OK(cuModuleUnload(m));
	}
	unlink(path);
	OK(cuLinkCreate(0, NULL, NULL, &state));
	IS(cuLinkAddFile(state, CU_JIT_INPUT_PTX, path, 0, NULL, NULL), CUDA_ERROR_FILE_NOT_FOUND);
	IS(cuLinkAddFile_v2(state, CU_JIT_INPUT_PTX, path, 0, NULL, NULL),
	   CUDA_ERROR_FILE_NOT_FOUND);
	TRUE(cuLinkAddData(state, CU_JIT_INPUT_PTX, NULL, 0, NULL, 0, NULL, NULL) != CUDA_SUCCESS);
	OK(cuLinkDestroy(state));
	IS(cuLinkCreate(0, NULL, NULL, NULL), CUDA_ERROR_INVALID_VALUE);
}
