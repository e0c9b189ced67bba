// SPDX-License-Identifier: Apache-2.0
/* Attributes of streams, managed memory attached to them, launches as they were before CUDA 4. */
#include <string.h>

#include "driver_test.h"

void stream_attributes(void)
{
	CUstreamAttrValue v, back;
	CUdeviceptr p;
	CUstream s, t;

	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	OK(cuStreamCreate(&t, CU_STREAM_NON_BLOCKING));
	memset(&v, 0, sizeof(v));
	v.syncPolicy = CU_SYNC_POLICY_YIELD;
	OK(cuStreamSetAttribute(s, CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY, &v));
	memset(&back, 0, sizeof(back));
	OK(cuStreamGetAttribute(s, CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY, &back));
	TRUE(back.syncPolicy == CU_SYNC_POLICY_YIELD);
	OK(cuStreamCopyAttributes(t, s));
	memset(&back, 0, sizeof(back));
	OK(cuStreamGetAttribute(t, CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY, &back));
	TRUE(back.syncPolicy == CU_SYNC_POLICY_YIELD);
	OK(cuStreamGetAttribute(s, CU_LAUNCH_ATTRIBUTE_PRIORITY, &back));
	TRUE(back.priority == 0);
	OK(cuMemAlloc_v2(&p, 1 << 16));
	memset(&v, 0, sizeof(v));
	v.accessPolicyWindow.base_ptr = (void *)(uintptr_t)p;
	v.accessPolicyWindow.num_bytes = 1 << 16;
	v.accessPolicyWindow.hitRatio = 1.0f;
	v.accessPolicyWindow.hitProp = CU_ACCESS_PROPERTY_PERSISTING;
	v.accessPolicyWindow.missProp = CU_ACCESS_PROPERTY_STREAMING;
	OK(cuStreamSetAttribute(s, CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW, &v));
	OK(cuStreamGetAttribute(s, CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW, &back));
	TRUE(back.accessPolicyWindow.base_ptr == v.accessPolicyWindow.base_ptr &&
	     back.accessPolicyWindow.hitProp == CU_ACCESS_PROPERTY_PERSISTING);
	OK(cuMemFree_v2(p));
	OK(cuStreamDestroy_v2(s));
	OK(cuStreamDestroy_v2(t));
}

void attached(void)
{
	unsigned int n = 256, by = 3;
	CUdeviceptr p, q;
	void *params[] = { &p, &n, &by };
	CUstream s;

	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	OK(cuMemAllocManaged(&p, 1024, CU_MEM_ATTACH_GLOBAL));
	memset((void *)(uintptr_t)p, 0, 1024);
	OK(cuStreamAttachMemAsync(s, p, 0, CU_MEM_ATTACH_SINGLE));
	OK(cuStreamSynchronize(s));
	OK(cuLaunchKernel(add, 1, 1, 1, 256, 1, 1, 0, s, params, NULL));
	OK(cuStreamSynchronize(s));
	TRUE(((unsigned int *)(uintptr_t)p)[255] == 3);
	OK(cuStreamAttachMemAsync(s, p, 1024, CU_MEM_ATTACH_GLOBAL));
	OK(cuStreamAttachMemAsync(NULL, p, 0, CU_MEM_ATTACH_HOST));
	IS(cuStreamAttachMemAsync(s, p, 0, 99), CUDA_ERROR_INVALID_VALUE);
	OK(cuMemAlloc_v2(&q, 1024));
	IS(cuStreamAttachMemAsync(s, q, 0, CU_MEM_ATTACH_GLOBAL), CUDA_ERROR_INVALID_VALUE);
	OK(cuStreamSynchronize(s));
	OK(cuMemFree_v2(q));
	OK(cuMemFree_v2(p));
	OK(cuStreamDestroy_v2(s));
}

/* Of CUDA 9, on one device; a device may not have it. */
void multi_device_launches(void)
{
	unsigned int n = 64, by = 4;
	CUdeviceptr p;
	void *params[] = { &p, &n, &by };
	CUDA_LAUNCH_PARAMS one = { .function = add, .gridDimX = 1, .gridDimY = 1, .gridDimZ = 1,
				   .blockDimX = 64, .blockDimY = 1, .blockDimZ = 1,
				   .kernelParams = params };
	CUresult r;
	int can;

	OK(cuDeviceGetAttribute(&can, CU_DEVICE_ATTRIBUTE_COOPERATIVE_MULTI_DEVICE_LAUNCH, dev));
	OK(cuStreamCreate(&one.hStream, CU_STREAM_NON_BLOCKING));
	OK(cuMemAlloc_v2(&p, 256));
	OK(cuMemsetD32Async(p, 3, n, one.hStream));
	r = cuLaunchCooperativeKernelMultiDevice(&one, 1, 0);
	if (can || r != CUDA_ERROR_NOT_SUPPORTED) {
		OK(r);
		OK(cuStreamSynchronize(one.hStream));
		TRUE(value_at(p, n - 1) == 7);
	}
	TRUE(cuLaunchCooperativeKernelMultiDevice(&one, 1, 0x10) != CUDA_SUCCESS);
	TRUE(cuLaunchCooperativeKernelMultiDevice(&one, 0, 0) != CUDA_SUCCESS);
	TRUE(cuLaunchCooperativeKernelMultiDevice(NULL, 1, 0) != CUDA_SUCCESS);
	OK(cuStreamDestroy_v2(one.hStream));
	one.hStream = NULL;
	TRUE(cuLaunchCooperativeKernelMultiDevice(&one, 1, 0) != CUDA_SUCCESS);
	OK(cuMemFree_v2(p));
}

void old_launches(void)
{
	CUfunction f;
	CUdeviceptr p;
	CUmodule m;
	CUstream s;

	/* A function of its own, for the settings stay with it. */
	OK(cuModuleLoadData(&m, ptx));
	OK(cuModuleGetFunction(&f, m, "add"));
	OK(cuStreamCreate(&s, 0));
	OK(cuMemAlloc_v2(&p, 4096));
	OK(cuMemsetD32_v2(p, 0, 1024));
	OK(cuFuncSetBlockShape(f, 64, 1, 1));
	OK(cuFuncSetSharedSize(f, 0));
	OK(cuParamSetSize(f, 16));
	OK(cuParamSetv(f, 0, &p, sizeof(p)));
	OK(cuParamSeti(f, 8, 1024));
	OK(cuParamSeti(f, 12, 5));
	OK(cuLaunch(f));
	OK(cuCtxSynchronize());
	TRUE(value_at(p, 63) == 5 && value_at(p, 64) == 0);
	OK(cuLaunchGrid(f, 16, 1));
	OK(cuCtxSynchronize());
	TRUE(value_at(p, 63) == 10 && value_at(p, 1023) == 5);
	OK(cuParamSetf(f, 12, 1.0f));
	OK(cuLaunchGridAsync(f, 2, 1, s));
	OK(cuStreamSynchronize(s));
	TRUE(value_at(p, 127) == 5 + 0x3f800000u);
	IS(cuFuncSetBlockShape(f, 0, 1, 1), CUDA_ERROR_INVALID_VALUE);
	OK(cuStreamDestroy_v2(s));
	OK(cuMemFree_v2(p));
	OK(cuModuleUnload(m));
}
