// SPDX-License-Identifier: Apache-2.0
/*
 * What NVIDIA's driver answers to what makes little sense: which of two errors, or none.  The
 * answers are those of 580.159 on an H200.
 */

#include "driver_test.h"

static void of_events(void)
{
	CUevent e, untimed;
	float ms;

	OK(cuEventCreate(&e, CU_EVENT_DEFAULT));
	OK(cuEventCreate(&untimed, CU_EVENT_DISABLE_TIMING));
	IS(cuEventElapsedTime_v2(&ms, e, e), CUDA_ERROR_INVALID_HANDLE);
	IS(cuEventElapsedTime_v2(NULL, NULL, NULL), CUDA_ERROR_INVALID_HANDLE);
	OK(cuEventRecord(e, NULL));
	OK(cuEventRecord(untimed, NULL));
	OK(cuCtxSynchronize());
	OK(cuEventElapsedTime_v2(&ms, e, e));
	IS(cuEventElapsedTime_v2(&ms, untimed, untimed), CUDA_ERROR_INVALID_HANDLE);
	IS(cuEventElapsedTime_v2(NULL, e, e), CUDA_ERROR_INVALID_HANDLE);
	IS(cuEventElapsedTime(NULL, e, e), CUDA_ERROR_INVALID_HANDLE);
	OK(cuEventDestroy_v2(e));
	OK(cuEventDestroy_v2(untimed));
}

static void of_functions(void)
{
	const char *name;
	CUlibrary l;
	CUfunction f;
	CUmodule m;
	size_t a, b;

	IS(cuFuncGetName(&name, NULL), CUDA_ERROR_INVALID_VALUE);
	IS(cuFuncGetName(NULL, NULL), CUDA_ERROR_INVALID_VALUE);
	IS(cuFuncGetModule(&m, NULL), CUDA_ERROR_INVALID_VALUE);
	IS(cuFuncGetParamInfo(NULL, 0, &a, &b), CUDA_ERROR_INVALID_VALUE);
	IS(cuKernelGetName(&name, NULL), CUDA_ERROR_INVALID_VALUE);
	IS(cuKernelGetParamInfo(NULL, 0, &a, &b), CUDA_ERROR_INVALID_VALUE);
	IS(cuKernelGetLibrary(&l, NULL), CUDA_ERROR_INVALID_HANDLE);
	IS(cuKernelGetFunction(&f, NULL), CUDA_ERROR_INVALID_HANDLE);
	IS(cuLibraryGetModule(&m, NULL), CUDA_ERROR_INVALID_HANDLE);
}

static void of_pools(void)
{
	/* Of each attribute: whether it can be read, set to 0, and set to 5. */
	static const unsigned char can[] = { 0, 7, 7, 7, 7, 1, 3, 1, 3, 0, 0 };
	cuuint64_t v, five = 5;
	CUmemoryPool pool;

	OK(cuDeviceGetDefaultMemPool(&pool, dev));
	for (unsigned int a = 0; a < sizeof(can); a++) {
		v = 0;
		IS(cuMemPoolGetAttribute(pool, a, &v), can[a] & 1 ? 0 : CUDA_ERROR_INVALID_VALUE);
		v = 0;
		IS(cuMemPoolSetAttribute(pool, a, &five),
		   can[a] & 4 ? 0 : CUDA_ERROR_INVALID_VALUE);
		IS(cuMemPoolSetAttribute(pool, a, &v), can[a] & 2 ? 0 : CUDA_ERROR_INVALID_VALUE);
	}
	v = 1;
	for (unsigned int a = 1; a <= 3; a++)
		OK(cuMemPoolSetAttribute(pool, a, &v));
	IS(cuMemPoolGetAttribute(pool, 99, &v), CUDA_ERROR_INVALID_VALUE);
	IS(cuMemPoolSetAttribute(pool, 99, &v), CUDA_ERROR_INVALID_VALUE);
	IS(cuMemPoolGetAttribute(NULL, 1, &v), CUDA_ERROR_INVALID_VALUE);
	IS(cuMemPoolSetAttribute(NULL, 1, &v), CUDA_ERROR_INVALID_VALUE);
}

static void of_names(void)
{
	static const CUuuid none;
	CUuuid odd = { "not a table's id" };
	const void *table;
	void *f = &f;

	IS(cuGetExportTable(&table, &none), CUDA_ERROR_INVALID_VALUE);
	IS(cuGetExportTable(&table, &odd), CUDA_ERROR_INVALID_VALUE);
	IS(cuGetExportTable(NULL, &none), CUDA_ERROR_INVALID_VALUE);
	/* Whoever does not ask why is not told. */
	OK(cuGetProcAddress_v2("cuNoSuchThing", &f, 12000, 0, NULL));
	TRUE(!f);
	f = &f;
	OK(cuGetProcAddress_v2("cuCtxGetId", &f, 11000, 0, NULL));
	TRUE(!f);
	f = &f;
	IS(cuGetProcAddress("cuNoSuchThing", &f, 12000, 0), CUDA_ERROR_NOT_FOUND);
	IS(cuGetProcAddress("cuCtxGetId", &f, 11000, 0), CUDA_ERROR_NOT_FOUND);
	TRUE(f == &f);
}

void answers(void)
{
	of_events();
	of_functions();
	of_pools();
	of_names();
}
