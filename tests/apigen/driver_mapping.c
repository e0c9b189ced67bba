// SPDX-License-Identifier: Apache-2.0
/* Virtual memory management. */
#include "driver_test.h"

#define MB (1ull << 20)

static CUmemAllocationProp prop;

/* Two allocations side by side, in a range with room for more. */
static void side_by_side(CUdeviceptr p, size_t piece, CUmemGenericAllocationHandle *h)
{
	CUmemAccessDesc access = { .location = prop.location,
				   .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE };
	unsigned int n = 2 * piece / 4, by = 7, type;
	void *params[] = { &p, &n, &by };
	unsigned long long flags;
	CUdeviceptr base;
	int ordinal;
	size_t bytes;

	OK(cuMemMap(p, piece, 0, h[0], 0));
	OK(cuMemMap(p + piece, piece, 0, h[1], 0));
	OK(cuMemGetAccess(&flags, &prop.location, p));
	TRUE(flags == CU_MEM_ACCESS_FLAGS_PROT_NONE);
	OK(cuMemSetAccess(p, 2 * piece, &access, 1));
	OK(cuMemGetAccess(&flags, &prop.location, p + piece));
	TRUE(flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
	OK(cuMemsetD32_v2(p, 5, n));
	OK(cuLaunchKernel(add, n / 256, 1, 1, 256, 1, 1, 0, NULL, params, NULL));
	/* The last word of the first and the first of the second. */
	TRUE(value_at(p, n / 2 - 1) == 12 && value_at(p, n / 2) == 12);
	OK(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, p + 100));
	TRUE(type == CU_MEMORYTYPE_DEVICE);
	OK(cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, p));
	TRUE(ordinal == dev);
	OK(cuMemGetAddressRange_v2(&base, &bytes, p + piece + 4));
	TRUE(base == p + piece && bytes == piece);
	n = 77;
	OK(cuMemcpy(p + piece - 4, (CUdeviceptr)&n, 4));
	TRUE(value_at(p, piece / 4 - 1) == 77);
}

/* What is mapped elsewhere is the same memory. */
static void same_memory(CUdeviceptr p, size_t piece)
{
	CUmemAccessDesc access = { .location = prop.location,
				   .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE };
	CUmemGenericAllocationHandle again;
	CUmemAllocationProp back;
	CUdeviceptr q;

	OK(cuMemRetainAllocationHandle(&again, (void *)(uintptr_t)(p + 8)));
	OK(cuMemGetAllocationPropertiesFromHandle(&back, again));
	TRUE(back.type == CU_MEM_ALLOCATION_TYPE_PINNED && back.location.id == dev);
	OK(cuMemAddressReserve(&q, piece, 0, 0, 0));
	OK(cuMemMap(q, piece, 0, again, 0));
	OK(cuMemSetAccess(q, piece, &access, 1));
	OK(cuMemsetD32_v2(q, 99, 4));
	TRUE(value_at(p, 3) == 99 && value_at(p, 4) == 12);
	OK(cuMemUnmap(q, piece));
	OK(cuMemRelease(again));
	OK(cuMemAddressFree(q, piece));
}

/* NCCL asks for it before it tries to make some. */
static void granularity_of_host_memory(void)
{
	CUmemAllocationProp host = {
		.type = CU_MEM_ALLOCATION_TYPE_PINNED,
		.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
		.location = { .type = CU_MEM_LOCATION_TYPE_HOST_NUMA },
	};
	size_t piece = 0;

	OK(cuMemGetAllocationGranularity(&piece, &host, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
	TRUE(piece && !(piece & (piece - 1)));
}

void mapping(void)
{
	CUmemGenericAllocationHandle h[2];
	CUdeviceptr p, q;
	size_t piece, free_before, free_after, total;
	int can;

	OK(cuDeviceGetAttribute(&can, CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED,
				dev));
	TRUE(can);
	prop = (CUmemAllocationProp){
		.type = CU_MEM_ALLOCATION_TYPE_PINNED,
		.location = { .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = dev },
	};
	OK(cuMemGetAllocationGranularity(&piece, &prop, CU_MEM_ALLOC_GRANULARITY_RECOMMENDED));
	TRUE(piece && !(piece & (piece - 1)));
	granularity_of_host_memory();
	OK(cuMemGetInfo_v2(&free_before, &total));
	OK(cuMemAddressReserve(&p, 4 * piece, 0, 0, 0));
	TRUE(p && p % piece == 0);
	OK(cuMemCreate(&h[0], piece, &prop, 0));
	OK(cuMemCreate(&h[1], piece, &prop, 0));
	IS(cuMemCreate(&h[0], piece + 1, &prop, 0), CUDA_ERROR_INVALID_VALUE);
	IS(cuMemCreate(&h[0], 1ull << 50, &prop, 0), CUDA_ERROR_OUT_OF_MEMORY);
	side_by_side(p, piece, h);
	same_memory(p, piece);
	OK(cuMemRelease(h[0]));
	TRUE(value_at(p, 4) == 12);		/* it stays while it is mapped */
	IS(cuMemUnmap(p, piece / 2), CUDA_ERROR_INVALID_VALUE);
	OK(cuMemUnmap(p, 2 * piece));
	OK(cuMemRelease(h[1]));
	IS(cuMemRelease(h[1]), CUDA_ERROR_INVALID_VALUE);
	IS(cuMemRetainAllocationHandle(&h[0], (void *)(uintptr_t)p), CUDA_ERROR_INVALID_VALUE);
	OK(cuMemAddressFree(p, 4 * piece));
	OK(cuMemAddressReserve(&q, 64 * MB, 0, 0, 0));
	OK(cuMemAddressFree(q, 64 * MB));
	OK(cuMemGetInfo_v2(&free_after, &total));
	TRUE(free_after >= free_before);
}
