// SPDX-License-Identifier: Apache-2.0
/* What is asked of a device; of the process: entry points, the profiler, the log. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "driver_test.h"

void device(void)
{
	char name[64], bus[32];
	CUuuid a, b;
	CUdevprop p;
	int major, minor, v;
	size_t bytes;

	OK(cuDeviceGetName(name, sizeof(name), dev));
	TRUE(name[0]);
	OK(cuDeviceGetUuid(&a, dev));
	OK(cuDeviceGetUuid_v2(&b, dev));
	TRUE(!memcmp(&a, &b, sizeof(a)));
	OK(cuDeviceTotalMem_v2(&bytes, dev));
	TRUE(bytes > 1 << 20);
	OK(cuDeviceComputeCapability(&major, &minor, dev));
	OK(cuDeviceGetAttribute(&v, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, dev));
	TRUE(v == major);
	OK(cuDeviceGetProperties(&p, dev));
	TRUE(p.SIMDWidth == 32 && p.maxThreadsPerBlock >= 1024);
	OK(cuDeviceGetPCIBusId(bus, sizeof(bus), dev));
	OK(cuDeviceGetByPCIBusId(&v, bus));
	TRUE(v == dev);
	IS(cuDeviceGetByPCIBusId(&v, "nonsense"), CUDA_ERROR_INVALID_VALUE);
	IS(cuDeviceGetName(name, sizeof(name), 99), CUDA_ERROR_INVALID_DEVICE);
	IS(cuDeviceGetAttribute(&v, 0, dev), CUDA_ERROR_INVALID_VALUE);
}

void device_limits(void)
{
	static const CUatomicOperation ops[] = { CU_ATOMIC_OPERATION_INTEGER_ADD,
						 CU_ATOMIC_OPERATION_CAS };
	unsigned int caps[2] = { 0xdead, 0xdead }, old;
	int can;
	size_t total;

	/* What the link does by itself: all of it, where the attribute says that it is all. */
	OK(cuDeviceGetHostAtomicCapabilities(caps, ops, 2, dev));
	TRUE(caps[0] != 0xdead && caps[1] != 0xdead);
	OK(cuDeviceGetAttribute(&can, CU_DEVICE_ATTRIBUTE_HOST_NATIVE_ATOMIC_SUPPORTED, dev));
	TRUE(!can || (caps[0] && caps[1]));
	IS(cuDeviceGetHostAtomicCapabilities(caps, ops, 0, dev), CUDA_ERROR_INVALID_VALUE);
	IS(cuDeviceGetHostAtomicCapabilities(caps, ops, 2, 99), CUDA_ERROR_INVALID_DEVICE);
	/* 32 bits of it: as much of it as fits. */
	OK(cuDeviceTotalMem_v2(&total, dev));
	OK(cuDeviceTotalMem(&old, dev));
	TRUE(total > UINT32_MAX ? old >= 1u << 31 : old == total);
	IS(cuDeviceTotalMem(&old, 99), CUDA_ERROR_INVALID_DEVICE);
}

void entry_points(void)
{
	CUresult (*alloc)(CUdeviceptr *, size_t), (*release)(CUdeviceptr);
	CUdriverProcAddressQueryResult status;
	CUdeviceptr p;
	void *f, *own;

	OK(cuGetProcAddress_v2("cuMemAlloc", (void **)&alloc, 12000, 0, &status));
	TRUE(status == CU_GET_PROC_ADDRESS_SUCCESS);
	OK(cuGetProcAddress("cuMemFree", (void **)&release, 12000, 0));
	OK(alloc(&p, 4096));
	OK(release(p));
	OK(cuGetProcAddress_v2("cuStreamQuery", &f, 12000, 0, NULL));
	OK(cuGetProcAddress_v2("cuStreamQuery", &own, 12000,
			       CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM, NULL));
	TRUE(f && own && f != own);
	OK(cuGetProcAddress_v2("cuNoSuchThing", &f, 12000, 0, &status));
	TRUE(!f && status == CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
	OK(cuGetProcAddress_v2("cuMemAllocAsync", &f, 9000, 0, &status));
	TRUE(!f && status == CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT);
	IS(cuGetProcAddress("cuNoSuchThing", &f, 12000, 0), CUDA_ERROR_NOT_FOUND);
	if (through_vgpu)
		IS(cuGetProcAddress_v2(NULL, &f, 12000, 0, &status), CUDA_ERROR_INVALID_VALUE);
	IS(cuGetProcAddress_v2("cuInit", &f, 12000, 1 << 20, &status), CUDA_ERROR_INVALID_VALUE);
}

/* With no profiler there is nothing to see of these, but that work goes on between them. */
void profiler(void)
{
	unsigned int n = 64, by = 6;
	CUdeviceptr p;
	void *params[] = { &p, &n, &by };

	OK(cuMemAlloc_v2(&p, 256));
	OK(cuMemsetD32_v2(p, 0, n));
	OK(cuProfilerStart());
	OK(cuLaunchKernel(add, 1, 1, 1, n, 1, 1, 0, NULL, params, NULL));
	OK(cuProfilerStart());
	OK(cuProfilerStop());
	OK(cuProfilerStop());
	TRUE(value_at(p, 0) == 6);
	OK(cuMemFree_v2(p));
}

/* Into a file comes the same as into memory. */
void log_files(void)
{
	char path[] = "/tmp/vgpu-log-XXXXXX", text[4096], read_back[4096];
	CUmemGenericAllocationHandle none;
	CUlogIterator at, same;
	size_t size = sizeof(text), got;
	FILE *f;

	OK(cuLogsCurrent(&at, 0));
	/* Windows' handles: no driver for Linux has them. */
	TRUE(cuMemImportFromShareableHandle(&none, NULL, CU_MEM_HANDLE_TYPE_WIN32) !=
	     CUDA_SUCCESS);
	same = at;
	OK(cuLogsDumpToMemory(&at, text, &size, 0));
	close(mkstemp(path));
	OK(cuLogsDumpToFile(&same, path, 0));
	TRUE(same == at);
	f = fopen(path, "r");
	TRUE(f);
	got = f ? fread(read_back, 1, sizeof(read_back), f) : 0;
	TRUE(got == size && !memcmp(text, read_back, size));
	if (f)
		fclose(f);
	unlink(path);
	TRUE(cuLogsDumpToFile(&same, "/nonexistent/log", 0) != CUDA_SUCCESS);
	IS(cuLogsDumpToFile(&same, NULL, 0), CUDA_ERROR_INVALID_VALUE);
}
