// SPDX-License-Identifier: Apache-2.0
/* What is said of a pointer, and the log. */
#include <string.h>

#include "driver_test.h"

#define MB (1ull << 20)

/* A synchronous operation on such memory is over when it returns. */
void pointers(void)
{
	unsigned int on = 1, off = 0, got = 7, n = 8 * MB / 4;
	CUdeviceptr p, q;

	OK(cuMemAlloc_v2(&p, 8 * MB));
	OK(cuMemAlloc_v2(&q, 8 * MB));
	got = 0;
	OK(cuPointerSetAttribute(&on, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, p));
	OK(cuPointerGetAttribute(&got, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, p + 100));
	TRUE(got == 1);
	for (int i = 0; i < 20; i++) {
		OK(cuMemsetD32_v2(p, i, n));
		OK(cuStreamQuery(NULL));
		OK(cuMemcpyDtoD_v2(q, p, 8 * MB));
		OK(cuStreamQuery(NULL));
	}
	TRUE(value_at(q, n - 1) == 19);
	OK(cuPointerSetAttribute(&off, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, p));
	got = 7;
	OK(cuPointerGetAttribute(&got, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, p));
	TRUE((got & 0xff) == 0);
	IS(cuPointerSetAttribute(NULL, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, p),
	   CUDA_ERROR_INVALID_VALUE);
	TRUE(cuPointerSetAttribute(&on, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, p) != CUDA_SUCCESS);
	TRUE(cuPointerSetAttribute(&on, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, 0x1000) != CUDA_SUCCESS);
	OK(cuMemFree_v2(p));
	OK(cuMemFree_v2(q));
}

static unsigned int heard;

static void hear(void *data, CUlogLevel level, char *message, size_t length)
{
	if (data == &heard && level <= CU_LOG_LEVEL_WARNING && message && length)
		heard++;
}

/*
 * A call that fails is in it, by name. What else is there is the driver's own affair. It can
 * be had by each way, and once.
 */
void logs(void)
{
	CUlogsCallbackHandle h;
	CUlogIterator at, before;
	char text[4096], little[8];
	size_t size;
	CUmemGenericAllocationHandle none;
	CUdeviceptr memory;

	IS(cuLogsCurrent(NULL, 0), CUDA_ERROR_INVALID_VALUE);
	IS(cuLogsRegisterCallback(NULL, NULL, &h), CUDA_ERROR_INVALID_VALUE);
	OK(cuLogsRegisterCallback(hear, &heard, &h));
	OK(cuLogsCurrent(&at, 0));
	size = sizeof(text);
	OK(cuLogsDumpToMemory(&at, text, &size, 0));
	TRUE(size == 0);
	heard = 0;
	before = at;
	/* Windows' handles: no driver for Linux has them. */
	TRUE(cuMemImportFromShareableHandle(&none, NULL, CU_MEM_HANDLE_TYPE_WIN32) !=
	     CUDA_SUCCESS);
	size = sizeof(text);
	OK(cuLogsDumpToMemory(&at, text, &size, 0));
	TRUE(!size == !heard);
	if (size) {
		TRUE(text[size] == '\0' && strlen(text) == size && text[size - 1] == '\n');
		size = sizeof(text);
		OK(cuLogsDumpToMemory(&at, text, &size, 0));
		TRUE(size == 0);		/* the iterator has moved on */
		size = sizeof(little);
		IS(cuLogsDumpToMemory(&before, little, &size, 0), CUDA_ERROR_INVALID_VALUE);
		TRUE(size == 0);
	}
	OK(cuLogsCurrent(&at, 0));
	IS(cuMemAlloc_v2(&memory, 0), CUDA_ERROR_INVALID_VALUE);
	size = sizeof(text);
	OK(cuLogsDumpToMemory(&at, text, &size, 0));
	TRUE(strstr(text, "] Returning 1 (CUDA_ERROR_INVALID_VALUE) from cuMemAlloc"));
	size = sizeof(text);
	IS(cuLogsDumpToMemory(&at, NULL, &size, 0), CUDA_ERROR_INVALID_VALUE);
	OK(cuLogsUnregisterCallback(h));
}
