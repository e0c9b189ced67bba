// SPDX-License-Identifier: Apache-2.0
/* Launches as they were before CUDA 4. */
#include "driver_test.h"

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
