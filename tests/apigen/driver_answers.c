// SPDX-License-Identifier: Apache-2.0
/*
 * What NVIDIA's driver answers to what makes little sense: which of two errors, or none.  The
 * answers are those of 580.159 on an H200.
 */
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "driver_test.h"

#define PAGE 4096

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

/* Of a handle that is one of another kind, and of none.  A driver may follow the first. */
static void of_other_handles(void)
{
	unsigned long long id;
	CUdevResource resource;
	CUarray array;
	CUevent e;
	CUstream s;
	void *h;
	int n;

	OK(cuEventCreate(&e, CU_EVENT_DEFAULT));
	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	h = e;
	IS(cuStreamQuery(h), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	IS(cuEventRecord(e, h), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	IS(cuEventRecord((CUevent)s, s), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	IS(cuEventQuery((CUevent)s), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	IS(cuEventQuery(NULL), CUDA_ERROR_INVALID_HANDLE);
	IS(cuCtxGetId(h, &id), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	IS(cuCtxSynchronize_v2(h), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	IS(cuCtxDestroy_v2(h), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	IS(cuCtxDestroy_v2(NULL), CUDA_ERROR_INVALID_VALUE);
	IS(cuCtxPushCurrent_v2(NULL), CUDA_ERROR_INVALID_VALUE);
	IS(cuGreenCtxGetDevResource(h, &resource, CU_DEV_RESOURCE_TYPE_SM),
	   CUDA_ERROR_CONTEXT_IS_DESTROYED);
	IS(cuGreenCtxRecordEvent(h, e), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	IS(cuGreenCtxRecordEvent(NULL, e), CUDA_ERROR_INVALID_CONTEXT);
	IS(cuTexRefSetFlags(h, 0), CUDA_ERROR_INVALID_CONTEXT);
	IS(cuTexRefSetFlags(NULL, 0), CUDA_ERROR_INVALID_HANDLE);
	IS(cuTexRefGetArray(&array, h), CUDA_ERROR_INVALID_CONTEXT);
	IS(cuTexRefGetArray(&array, NULL), CUDA_ERROR_INVALID_HANDLE);
	IS(cuSurfRefGetArray(&array, h), CUDA_ERROR_INVALID_VALUE);
	IS(cuSurfRefGetArray(&array, NULL), CUDA_ERROR_INVALID_HANDLE);
	IS(cuMemcpyDtoA_v2(h, 0, 0, 1), CUDA_ERROR_INVALID_VALUE);
	IS(cuMemPoolDestroy(h), CUDA_ERROR_INVALID_VALUE);
	IS(cuMemPoolDestroy(NULL), CUDA_ERROR_INVALID_VALUE);
	IS(cuDeviceSetMemPool(dev, h), CUDA_ERROR_INVALID_VALUE);
	IS(cuGraphExecDestroy(h), CUDA_ERROR_INVALID_VALUE);
	IS(cuModuleUnload(h), CUDA_ERROR_INVALID_HANDLE);
	IS(cuFuncGetAttribute(&n, 0, h), CUDA_ERROR_INVALID_HANDLE);
	/* Numbers: the end of none is none. */
	OK(cuTexObjectDestroy((uintptr_t)h));
	OK(cuTexObjectDestroy(0));
	OK(cuSurfObjectDestroy((uintptr_t)h));
	OK(cuStreamDestroy_v2(s));
	OK(cuEventDestroy_v2(e));
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

/* What answers to a registration; where it is one, with which flags. */
static CUresult registered(void *p, size_t bytes, unsigned int flags)
{
	unsigned int has = 0;
	CUresult r = cuMemHostRegister_v2(p, bytes, flags);

	if (r)
		return r;
	OK(cuMemHostGetFlags(&has, p));
	IS(has, (flags & CU_MEMHOSTREGISTER_PORTABLE) | CU_MEMHOSTREGISTER_DEVICEMAP);
	OK(cuMemHostUnregister(p));
	return CUDA_SUCCESS;
}

static void of_registrations(void)
{
	const unsigned int ro = CU_MEMHOSTREGISTER_READ_ONLY, all = CU_MEMHOSTREGISTER_PORTABLE;
	CUdeviceptr device, managed;
	char *p, *host;

	/* Two pages to write, one to read, one of no access, one that is none. */
	p = mmap(NULL, 5 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TRUE(p != MAP_FAILED);
	memset(p, 1, 5 * PAGE);
	TRUE(!mprotect(p + 2 * PAGE, PAGE, PROT_READ) && !mprotect(p + 3 * PAGE, PAGE, PROT_NONE) &&
	     !munmap(p + 4 * PAGE, PAGE));
	OK(registered(p, 2 * PAGE, 0));
	OK(registered(p, 2 * PAGE, all));
	OK(registered(p + 100, PAGE, 0));
	IS(registered(p + 100, 2 * PAGE, 0), CUDA_ERROR_INVALID_VALUE);
	OK(registered(p + 100, 2 * PAGE, ro));
	OK(registered(p + 2 * PAGE, PAGE, ro | all));
	IS(registered(p + 2 * PAGE, PAGE, 0), CUDA_ERROR_INVALID_VALUE);
	IS(registered(p + 2 * PAGE, 2 * PAGE, ro), CUDA_ERROR_INVALID_VALUE);
	IS(registered(p + 3 * PAGE, PAGE, 0), CUDA_ERROR_INVALID_VALUE);
	IS(registered(p + 4 * PAGE, PAGE, 0), CUDA_ERROR_INVALID_VALUE);
	IS(registered(p, 5 * PAGE, ro), CUDA_ERROR_INVALID_VALUE);
	IS(registered(p, PAGE, CU_MEMHOSTREGISTER_IOMEMORY), CUDA_ERROR_INVALID_VALUE);
	IS(registered((void *)PAGE, PAGE, 0), CUDA_ERROR_INVALID_VALUE);
	IS(registered((void *)((1ul << 47) - PAGE), 2 * PAGE, 0), CUDA_ERROR_INVALID_VALUE);
	IS(registered(p, -(size_t)PAGE, 0), CUDA_ERROR_INVALID_VALUE);
	IS(registered((void *)0xffff800000000000, PAGE, 0), CUDA_ERROR_NOT_SUPPORTED);
	IS(registered(p, 1ul << 60, 0), CUDA_ERROR_NOT_SUPPORTED);

	OK(cuMemHostRegister_v2(p, 2 * PAGE, 0));
	IS(registered(p, 2 * PAGE, 0), CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
	IS(registered(p + PAGE, PAGE, 0), CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
	IS(registered(p + PAGE, 2 * PAGE, ro), CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
	IS(registered(p, PAGE, CU_MEMHOSTREGISTER_IOMEMORY),
	   CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
	OK(cuMemHostUnregister(p));
	munmap(p, 4 * PAGE);

	/* What is CUDA's own is not registered once more. */
	OK(cuMemHostAlloc((void **)&host, 2 * PAGE, 0));
	IS(registered(host, PAGE, 0), CUDA_ERROR_INVALID_VALUE);
	IS(registered(host + PAGE, 2 * PAGE, 0), CUDA_ERROR_INVALID_VALUE);
	OK(cuMemFreeHost(host));
	OK(cuMemAlloc_v2(&device, PAGE));
	IS(registered((void *)(uintptr_t)device, PAGE, 0), CUDA_ERROR_INVALID_VALUE);
	OK(cuMemFree_v2(device));
	OK(cuMemAllocManaged(&managed, PAGE, CU_MEM_ATTACH_GLOBAL));
	IS(registered((void *)(uintptr_t)managed, PAGE, 0), CUDA_ERROR_INVALID_VALUE);
	OK(cuMemFree_v2(managed));
}

static void of_links(void)
{
	static char text[] = ".version 6.0\n.target sm_50\n.address_size 64\n"
			     ".visible .entry k()\n{\nret;\n}\n";
	CUlinkState link;
	size_t bytes;
	void *cubin;

	OK(cuLinkCreate_v2(0, NULL, NULL, &link));
	OK(cuLinkAddData_v2(link, CU_JIT_INPUT_PTX, text, sizeof(text), NULL, 0, NULL, NULL));
	IS(cuLinkComplete(link, NULL, &bytes), CUDA_ERROR_INVALID_VALUE);
	OK(cuLinkComplete(link, &cubin, NULL));
	IS(cuLinkComplete(link, &cubin, &bytes), CUDA_ERROR_INVALID_HANDLE);
	OK(cuLinkDestroy(link));
}

void answers(void)
{
	of_links();
	of_events();
	if (through_vgpu)
		of_other_handles();
	of_functions();
	of_pools();
	of_names();
	of_registrations();
}
