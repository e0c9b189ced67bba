// SPDX-License-Identifier: Apache-2.0
/* Outputs that a program may leave out, and frees of nothing: who asks too little gets no error. */
#include <stdint.h>
#include <string.h>

#include "driver_test.h"

static void left_out(CUstream s)
{
	CUgraphExecUpdateResultInfo info;
	CUstreamCaptureStatus status;
	unsigned int n = 1;
	CUdeviceptr p;
	int by = 1;
	void *params[] = { &p, &n, &by };
	CUgraphExec exec;
	CUgraph graph;
	size_t count;

	OK(cuMemAlloc_v2(&p, 4));
	/* The graph that nobody takes goes; the capture is over all the same. */
	OK(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
	OK(cuLaunchKernel(add, 1, 1, 1, 1, 1, 1, 0, s, params, NULL));
	OK(cuStreamEndCapture(s, NULL));
	OK(cuStreamIsCapturing(s, &status));
	IS(status, CU_STREAM_CAPTURE_STATUS_NONE);

	/* One that the program has given stays the program's. */
	OK(cuGraphCreate(&graph, 0));
	for (size_t i = 1; i <= 2; i++) {
		OK(cuStreamBeginCaptureToGraph(s, graph, NULL, NULL, 0,
					       CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
		OK(cuLaunchKernel(add, 1, 1, 1, 1, 1, 1, 0, s, params, NULL));
		OK(cuStreamEndCapture(s, NULL));
		count = 0;
		OK(cuGraphGetNodes(graph, NULL, &count));
		IS(count, i);
	}
	OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
	OK(cuGraphExecUpdate_v2(exec, graph, NULL));
	OK(cuGraphExecUpdate_v2(exec, graph, &info));
	IS(info.result, CU_GRAPH_EXEC_UPDATE_SUCCESS);
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphDestroy(graph));
	OK(cuMemFree_v2(p));
}

void outputs(void)
{
	size_t left = 0, all = 0;
	CUfunction function;
	CUcontext made;
	CUstream s;
	void *p = &s;
	char id[16];

	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	OK(cuMemGetInfo_v2(NULL, &all));
	OK(cuMemGetInfo_v2(&left, NULL));
	OK(cuMemGetInfo_v2(NULL, NULL));
	TRUE(left && left <= all);
	left_out(s);

	OK(cuMemFree_v2(0));
	OK(cuMemFreeAsync(0, s));
	OK(cuMemFreeHost(NULL));
	OK(cuMemHostAlloc(&p, 0, 0));
	TRUE(!p);
	IS(cuMemHostUnregister(NULL), CUDA_ERROR_INVALID_VALUE);
	OK(cuMemHostAlloc(&p, 4096, 0));
	IS(cuMemHostUnregister(p), CUDA_ERROR_INVALID_VALUE);
	OK(cuMemFreeHost(p));

	IS(cuModuleGetFunction(&function, module, ""), CUDA_ERROR_INVALID_VALUE);
	IS(cuModuleGetGlobal_v2(NULL, NULL, module, "add"), CUDA_ERROR_INVALID_VALUE);
	IS(cuDeviceGetPCIBusId(id, 12, dev), CUDA_ERROR_INVALID_VALUE);
	OK(cuDeviceGetPCIBusId(id, 13, dev));
	IS(strlen(id), 12);
	IS(cuCtxCreate_v2(&made, CU_CTX_SCHED_SPIN | CU_CTX_SCHED_YIELD, dev),
	   CUDA_ERROR_INVALID_VALUE);
	IS(cuCtxDestroy_v2(NULL), CUDA_ERROR_INVALID_VALUE);
	OK(cuStreamDestroy_v2(s));
}
