// SPDX-License-Identifier: Apache-2.0
/* Sharing by descriptor, as far as one process shows it; tests/programs/ipc.c has two. */
#include <unistd.h>

#include "driver_test.h"

#define POSIX CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR

static CUmemAllocationProp prop;
static size_t piece;

static CUdeviceptr map(CUmemGenericAllocationHandle h)
{
	CUmemAccessDesc access = { prop.location, CU_MEM_ACCESS_FLAGS_PROT_READWRITE };
	CUdeviceptr p = 0;

	OK(cuMemAddressReserve(&p, piece, 0, 0, 0));
	OK(cuMemMap(p, piece, 0, h, 0));
	OK(cuMemSetAccess(p, piece, &access, 1));
	return p;
}

static void unmap(CUdeviceptr p)
{
	OK(cuMemUnmap(p, piece));
	OK(cuMemAddressFree(p, piece));
}

static void refused(CUmemGenericAllocationHandle h)
{
	CUmemGenericAllocationHandle plain, none;
	CUmemAllocationProp without = prop;
	int fd, pair[2];

	without.requestedHandleTypes = CU_MEM_HANDLE_TYPE_NONE;
	OK(cuMemCreate(&plain, piece, &without, 0));
	TRUE(cuMemExportToShareableHandle(&fd, plain, POSIX, 0) != CUDA_SUCCESS);
	OK(cuMemRelease(plain));
	IS(cuMemExportToShareableHandle(NULL, h, POSIX, 0), CUDA_ERROR_INVALID_VALUE);
	IS(cuMemExportToShareableHandle(&fd, h, POSIX, 1), CUDA_ERROR_INVALID_VALUE);
	TRUE(!pipe(pair));
	TRUE(cuMemImportFromShareableHandle(&none, (void *)(long)pair[0], POSIX) != CUDA_SUCCESS);
	close(pair[0]);
	close(pair[1]);
	TRUE(cuMemImportFromShareableHandle(&none, (void *)(long)pair[0], POSIX) != CUDA_SUCCESS);
}

void sharing(void)
{
	CUmemGenericAllocationHandle h, again;
	size_t free_before, free_with, free_after, total;
	unsigned long long types = 0;
	CUmemAllocationProp back;
	CUdeviceptr p, q;
	int can, fd = -1, other = -1;

	OK(cuDeviceGetAttribute(&can,
				CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED,
				dev));
	TRUE(can);
	prop = (CUmemAllocationProp){
		.type = CU_MEM_ALLOCATION_TYPE_PINNED, .requestedHandleTypes = POSIX,
		.location = { .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = dev },
	};
	OK(cuMemGetAllocationGranularity(&piece, &prop, CU_MEM_ALLOC_GRANULARITY_RECOMMENDED));
	OK(cuMemGetInfo_v2(&free_before, &total));
	OK(cuMemCreate(&h, piece, &prop, 0));
	refused(h);
	OK(cuMemExportToShareableHandle(&fd, h, POSIX, 0));
	OK(cuMemExportToShareableHandle(&other, h, POSIX, 0));
	TRUE(fd >= 0 && other >= 0 && fd != other);
	OK(cuMemImportFromShareableHandle(&again, (void *)(long)fd, POSIX));
	close(fd);
	close(other);
	OK(cuMemGetAllocationPropertiesFromHandle(&back, again));
	IS(back.location.id, dev);
	IS(back.requestedHandleTypes, 0);
	p = map(h);
	q = map(again);
	OK(cuMemsetD32_v2(p, 1234, piece / 4));
	TRUE(value_at(q, 0) == 1234 && value_at(q, piece / 4 - 1) == 1234);
	OK(cuMemGetInfo_v2(&free_with, &total));
	TRUE(free_before - free_with < 2 * piece);	/* it counts once */
	OK(cuPointerGetAttribute(&types, CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES, p));
	TRUE(types == POSIX);
	/* Memory stays while anything has it. */
	OK(cuMemRelease(h));
	unmap(p);
	OK(cuMemsetD32_v2(q, 4321, 4));
	TRUE(value_at(q, 3) == 4321 && value_at(q, 4) == 1234);
	OK(cuMemRelease(again));
	unmap(q);
	OK(cuMemGetInfo_v2(&free_after, &total));
	TRUE(free_after >= free_before);
}

/* IPC handles of one's own. */
void handles(void)
{
	CUipcMemHandle h, same, none;
	CUipcEventHandle eh;
	CUdeviceptr p, q;
	CUevent e, plain;
	int host, legacy = 0;

	OK(cuMemAlloc_v2(&p, 1 << 20));
	OK(cuPointerGetAttribute(&legacy, CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE, p));
	TRUE(legacy == 1);
	OK(cuIpcGetMemHandle(&h, p));
	OK(cuIpcGetMemHandle(&same, p));
	IS(cuIpcGetMemHandle(NULL, p), CUDA_ERROR_INVALID_VALUE);
	TRUE(cuIpcGetMemHandle(&none, (CUdeviceptr)&host) != CUDA_SUCCESS);
	/* It is for other processes. */
	TRUE(cuIpcOpenMemHandle_v2(&q, h, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS) != CUDA_SUCCESS);
	TRUE(cuIpcCloseMemHandle(p) != CUDA_SUCCESS);
	OK(cuMemFree_v2(p));
	OK(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS));
	OK(cuIpcGetEventHandle(&eh, e));
	OK(cuEventRecord(e, NULL));
	OK(cuEventSynchronize(e));
	OK(cuEventQuery(e));
	OK(cuEventDestroy_v2(e));
	IS(cuEventCreate(&e, CU_EVENT_INTERPROCESS), CUDA_ERROR_INVALID_VALUE);
	OK(cuEventCreate(&plain, CU_EVENT_DISABLE_TIMING));
	TRUE(cuIpcGetEventHandle(&eh, plain) != CUDA_SUCCESS);
	OK(cuEventDestroy_v2(plain));
}
