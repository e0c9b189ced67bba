// SPDX-License-Identifier: Apache-2.0
/* Events and streams under older names; what is waited for in a stream; captures that move. */
#include <string.h>

#include "driver_test.h"

static CUstream s;
static CUdeviceptr p;

void old_events(void)
{
	unsigned int n = 1 << 16, by = 1;
	void *params[] = { &p, &n, &by };
	CUevent a, b, no_time;
	float ms = -1, same = -2;

	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	OK(cuMemAlloc_v2(&p, 4 * n));
	OK(cuEventCreate(&a, CU_EVENT_DEFAULT));
	OK(cuEventCreate(&b, CU_EVENT_DEFAULT));
	OK(cuEventCreate(&no_time, CU_EVENT_DISABLE_TIMING));
	OK(cuEventRecordWithFlags(a, s, CU_EVENT_RECORD_DEFAULT));
	for (int i = 0; i < 20; i++)
		OK(cuLaunchKernel(add, n / 256, 1, 1, 256, 1, 1, 0, s, params, NULL));
	OK(cuEventRecordWithFlags(b, s, 0));
	OK(cuEventRecordWithFlags(no_time, s, 0));
	OK(cuEventSynchronize(no_time));
	OK(cuEventElapsedTime(&ms, a, b));
	OK(cuEventElapsedTime_v2(&same, a, b));
	TRUE(ms > 0 && ms < 60000 && ms == same);
	IS(cuEventElapsedTime(&ms, a, no_time), CUDA_ERROR_INVALID_HANDLE);
	TRUE(cuEventElapsedTime(NULL, a, b) != CUDA_SUCCESS);
	IS(cuEventRecordWithFlags(a, s, 0x40), CUDA_ERROR_INVALID_VALUE);
	OK(cuEventDestroy(a));
	OK(cuEventDestroy(b));
	OK(cuEventDestroy(no_time));
	OK(cuStreamDestroy(s));
	IS(cuEventDestroy(NULL), CUDA_ERROR_INVALID_HANDLE);
	IS(cuStreamDestroy(CU_STREAM_LEGACY), CUDA_ERROR_INVALID_HANDLE);
	OK(cuMemFree_v2(p));
}

/*
 * Waiting holds a stream up until the word is right.  Those of before CUDA 12 may be
 * switched off in a driver, which then says so.
 */
void awaited(void)
{
	static CUresult (*const wait32[2])(CUstream, CUdeviceptr, cuuint32_t, unsigned int) = {
		cuStreamWaitValue32_v2, cuStreamWaitValue32,
	};
	static CUresult (*const wait64[2])(CUstream, CUdeviceptr, cuuint64_t, unsigned int) = {
		cuStreamWaitValue64_v2, cuStreamWaitValue64,
	};
	CUstreamBatchMemOpParams ops[2];
	unsigned int *host;
	CUdeviceptr word;
	CUresult r;

	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	OK(cuMemAlloc_v2(&p, 64));
	OK(cuMemHostAlloc((void **)&host, 64, 0));
	word = (uintptr_t)host;
	for (int i = 0; i < 4; i++) {
		memset(host, 0, 64);
		r = i < 2 ? wait32[i](s, word, 7, CU_STREAM_WAIT_VALUE_GEQ) :
			    wait64[i - 2](s, word, 7, CU_STREAM_WAIT_VALUE_GEQ);
		if ((i & 1) && r == CUDA_ERROR_NOT_SUPPORTED)
			continue;
		OK(r);
		OK(cuMemsetD32Async(p, 20 + i, 16, s));
		IS(cuStreamQuery(s), CUDA_ERROR_NOT_READY);
		__atomic_store_n(&host[0], 8, __ATOMIC_SEQ_CST);
		OK(cuStreamSynchronize(s));
		TRUE(value_at(p, 3) == 20u + i);
	}
	r = cuStreamWriteValue32(s, p + 4, 31, 0);
	if (r != CUDA_ERROR_NOT_SUPPORTED) {
		OK(r);
		OK(cuStreamWriteValue64(s, p + 8, 0x2100000020ull, 0));
		memset(ops, 0, sizeof(ops));
		ops[0].operation = ops[1].operation = CU_STREAM_MEM_OP_WRITE_VALUE_32;
		ops[0].writeValue.address = p + 16;
		ops[0].writeValue.value = 34;
		ops[1].writeValue.address = p + 20;
		ops[1].writeValue.value = 35;
		OK(cuStreamBatchMemOp(s, 2, ops, 0));
		OK(cuStreamSynchronize(s));
		TRUE(value_at(p, 1) == 31 && value_at(p, 2) == 32 && value_at(p, 3) == 33);
		TRUE(value_at(p, 4) == 34 && value_at(p, 5) == 35);
		TRUE(cuStreamBatchMemOp(s, 2, ops, 99) != CUDA_SUCCESS);
		TRUE(cuStreamWriteValue32(s, 0, 31, 0) != CUDA_SUCCESS);
	}
	TRUE(cuStreamWaitValue32_v2(s, p, 7, 0x80) != CUDA_SUCCESS);
	TRUE(cuStreamWaitValue64_v2(s, 0, 7, 0) != CUDA_SUCCESS);
	OK(cuStreamSynchronize(s));
	OK(cuMemFreeHost(host));
	OK(cuMemFree_v2(p));
	OK(cuStreamDestroy_v2(s));
}

/* Which nodes come before what is captured next, asked and changed in each version. */
void capture_moves(void)
{
	CUstreamCaptureStatus status;
	const CUgraphNode *deps = NULL;
	CUgraphNode first, none[1] = { NULL }, from[8], to[8];
	cuuint64_t id = 0, same = 0;
	CUgraph g, under = NULL;
	size_t count = 0;

	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	OK(cuMemAlloc_v2(&p, 64));
	OK(cuStreamBeginCapture(s));
	OK(cuStreamGetCaptureInfo(s, &status, &id));
	TRUE(status == CU_STREAM_CAPTURE_STATUS_ACTIVE && id);
	OK(cuMemsetD32Async(p, 1, 16, s));
	OK(cuStreamGetCaptureInfo_v2(s, &status, &same, &under, &deps, &count));
	TRUE(same == id && under && count == 1);
	first = deps[0];
	OK(cuMemsetD32Async(p, 2, 16, s));
	OK(cuStreamUpdateCaptureDependencies(s, &first, 1, CU_STREAM_SET_CAPTURE_DEPENDENCIES));
	OK(cuStreamGetCaptureInfo_v2(s, &status, NULL, NULL, &deps, &count));
	TRUE(count == 1 && deps[0] == first);
	OK(cuMemsetD32Async(p, 3, 16, s));
	OK(cuStreamUpdateCaptureDependencies_v2(s, &first, NULL, 1,
						CU_STREAM_ADD_CAPTURE_DEPENDENCIES));
	OK(cuStreamGetCaptureInfo_v2(s, &status, NULL, NULL, &deps, &count));
	TRUE(count == 2);
	OK(cuMemsetD32Async(p, 4, 16, s));
	TRUE(cuStreamUpdateCaptureDependencies(s, &first, 1, 99) != CUDA_SUCCESS);
	TRUE(cuStreamUpdateCaptureDependencies_v2(s, none, NULL, 1,
						  CU_STREAM_SET_CAPTURE_DEPENDENCIES) !=
	     CUDA_SUCCESS);
	OK(cuStreamEndCapture(s, &g));
	TRUE(g == under);
	/* 1 to 2, 1 to 3, then 3 and 1 to 4. */
	count = 8;
	OK(cuGraphGetEdges(g, from, to, &count));
	TRUE(count == 4);
	TRUE(cuStreamUpdateCaptureDependencies(s, &first, 1, 0) != CUDA_SUCCESS);
	OK(cuStreamGetCaptureInfo_v2(s, &status, NULL, NULL, NULL, NULL));
	TRUE(status == CU_STREAM_CAPTURE_STATUS_NONE);
	IS(cuStreamGetCaptureInfo(s, NULL, &id), CUDA_ERROR_INVALID_VALUE);
	OK(cuGraphDestroy(g));
	OK(cuMemFree_v2(p));
	OK(cuStreamDestroy_v2(s));
}
