// SPDX-License-Identifier: Apache-2.0
/*
 * A program of the guest against the shim, a real executor and a stand-in for
 * the driver (double.c): results, errors at the right call, deferred errors.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cuda_abi.h"

static _Atomic int failed, passed;

#define IS(call, want) do { \
	CUresult got_ = (call); \
	if (got_ == (want)) { \
		passed++; \
	} else { \
		failed++; \
		printf("%s:%d: %s: %d, not %d\n", __FILE__, __LINE__, #call, got_, (want)); \
	} \
} while (0)
#define OK(call) IS(call, CUDA_SUCCESS)
#define TRUE(x) do { \
	if (x) { \
		passed++; \
	} else { \
		failed++; \
		printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #x); \
	} \
} while (0)

static CUmodule module;
static CUfunction add, trap, big;

static void start(void)
{
	CUcontext c, d;
	unsigned int flags;
	int v, active;
	size_t n;

	IS(cuCtxGetCurrent(&c), CUDA_ERROR_NOT_INITIALIZED);
	OK(cuDriverGetVersion(&v));
	TRUE(v == 13000);
	IS(cuInit(1), CUDA_ERROR_INVALID_VALUE);
	OK(cuInit(0));
	OK(cuDeviceGetCount(&v));
	TRUE(v == 1);
	IS(cuDeviceGetCount(NULL), CUDA_ERROR_INVALID_VALUE);
	IS(cuDeviceGet(&v, 1), CUDA_ERROR_INVALID_DEVICE);
	OK(cuDeviceGetAttribute(&v, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 0));
	TRUE(v == 32);
	IS(cuDeviceGetAttribute(&v, 9999, 0), CUDA_ERROR_INVALID_VALUE);
	OK(cuDeviceTotalMem_v2(&n, 0));
	TRUE(n == 256 << 20);		/* what the mediator allows */
	OK(cuDevicePrimaryCtxGetState(0, &flags, &active));
	TRUE(!active);
	IS(cuMemAlloc_v2((CUdeviceptr *)&n, 16), CUDA_ERROR_INVALID_CONTEXT);
	OK(cuDevicePrimaryCtxRetain(&c, 0));
	OK(cuDevicePrimaryCtxRetain(&d, 0));
	TRUE(c == d);
	OK(cuCtxSetCurrent(c));
	OK(cuCtxGetCurrent(&d));
	TRUE(c == d);
	IS(cuCtxSetCurrent((CUcontext)0x1234), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	IS(cuCtxSetCurrent((CUcontext)((char *)c + 8)), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	OK(cuDevicePrimaryCtxGetState(0, &flags, &active));
	TRUE(active);
}

static void memory(void)
{
	size_t n = 40 << 20, left, total;
	char *a = malloc(n), *b = malloc(n);
	CUdeviceptr p, q, base;

	for (size_t i = 0; i < n; i++)
		a[i] = i * 2654435761u >> 13;
	OK(cuMemAlloc_v2(&p, n));
	OK(cuMemGetInfo_v2(&left, &total));
	TRUE(total == 256 << 20 && left == total - n);
	IS(cuMemAlloc_v2(&q, 250 << 20), CUDA_ERROR_OUT_OF_MEMORY);
	IS(cuMemAlloc_v2(&q, 0), CUDA_ERROR_INVALID_VALUE);
	OK(cuMemcpyHtoD_v2(p, a, n));
	memset(b, 0, n);
	OK(cuMemcpyDtoH_v2(b, p, n));
	TRUE(!memcmp(a, b, n));
	for (size_t k = 1; k < 70000; k = k * 3 + 1) {
		memset(b, 0, k);
		OK(cuMemcpyHtoD_v2(p + 1, a + k, k));
		OK(cuMemcpyDtoH_v2(b, p + 1, k));
		TRUE(!memcmp(a + k, b, k));
	}
	OK(cuMemAlloc_v2(&q, 1 << 20));
	OK(cuMemcpyDtoD_v2(q, p, 1 << 20));
	OK(cuMemcpy((CUdeviceptr)b, q, 1 << 20));
	OK(cuMemcpyDtoH_v2(a, p, 1 << 20));
	TRUE(!memcmp(a, b, 1 << 20));
	OK(cuMemsetD8_v2(q, 0x5a, 1000));
	OK(cuMemsetD32Async(q + 4000, 0x01020304, 250, NULL));
	OK(cuMemcpyDtoH_v2(b, q, 5000));
	TRUE(b[0] == 0x5a && b[999] == 0x5a && b[4000] == 4 && b[4999] == 1);
	IS(cuMemsetD8_v2(0x1000, 0, 16), CUDA_ERROR_INVALID_VALUE);
	IS(cuMemcpyHtoD_v2(q + (1 << 20) - 8, a, 16), CUDA_ERROR_INVALID_VALUE);
	OK(cuMemGetAddressRange_v2(&base, &left, q + 77));
	TRUE(base == q && left == 1 << 20);
	OK(cuMemFree_v2(q));
	IS(cuMemFree_v2(q), CUDA_ERROR_INVALID_VALUE);
	IS(cuMemFree_v2(p + 8), CUDA_ERROR_INVALID_VALUE);
	OK(cuMemFree_v2(p));
	OK(cuMemFree_v2(0));
	OK(cuMemGetInfo_v2(&left, &total));
	TRUE(left == total);
	free(a);
	free(b);
}

static void boxes(void)
{
	enum { W = 3000, H = 2000, PITCH = 4096 };
	char *a = malloc(PITCH * H), *b = malloc(PITCH * H);
	CUDA_MEMCPY2D c = { 0 };
	CUdeviceptr p;
	int wrong = 0;

	for (int i = 0; i < PITCH * H; i++)
		a[i] = i * 40503u >> 7;
	memset(b, 0x77, PITCH * H);
	OK(cuMemAlloc_v2(&p, 3500 * H));
	c.srcMemoryType = CU_MEMORYTYPE_HOST;
	c.srcHost = a;
	c.srcPitch = PITCH;
	c.srcXInBytes = 5;
	c.srcY = 1;
	c.dstMemoryType = CU_MEMORYTYPE_DEVICE;
	c.dstDevice = p;
	c.dstPitch = 3500;
	c.dstXInBytes = 2;
	c.WidthInBytes = W;
	c.Height = H - 1;
	OK(cuMemcpy2D_v2(&c));
	c = (CUDA_MEMCPY2D){
		.srcMemoryType = CU_MEMORYTYPE_UNIFIED, .srcDevice = p, .srcPitch = 3500,
		.srcXInBytes = 2, .dstMemoryType = CU_MEMORYTYPE_UNIFIED,
		.dstDevice = (CUdeviceptr)b, .dstPitch = PITCH, .dstXInBytes = 9,
		.WidthInBytes = W, .Height = H - 1,
	};
	OK(cuMemcpy2DAsync_v2(&c, NULL));
	for (int y = 0; y < H - 1; y++)
		wrong += memcmp(b + y * PITCH + 9, a + (y + 1) * PITCH + 5, W) != 0 ||
			 b[y * PITCH + 8] != 0x77 || b[y * PITCH + 9 + W] != 0x77;
	TRUE(!wrong);
	c.dstPitch = W - 1;
	IS(cuMemcpy2D_v2(&c), CUDA_ERROR_INVALID_VALUE);
	OK(cuMemFree_v2(p));
	free(a);
	free(b);
}

static void modules(void)
{
	char log[64] = "";
	CUjit_option options[] = { CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES };
	void *values[] = { log, (void *)sizeof(log) };
	CUfunction f;
	CUmodule m;

	IS(cuModuleLoadDataEx(&m, "a bad text", 2, options, values), CUDA_ERROR_INVALID_PTX);
	TRUE(!strcmp(log, "line 1: bad"));
	OK(cuModuleLoadData(&module, "text"));
	OK(cuModuleGetFunction(&add, module, "add"));
	OK(cuModuleGetFunction(&f, module, "add"));
	TRUE(add == f);
	IS(cuModuleGetFunction(&f, module, "none"), CUDA_ERROR_NOT_FOUND);
	OK(cuModuleGetFunction(&trap, module, "trap"));
	OK(cuModuleGetFunction(&big, module, "big"));
	OK(cuModuleLoadData(&m, "more text"));
	OK(cuModuleGetFunction(&f, m, "add"));
	TRUE(add != f);
	OK(cuModuleUnload(m));
	IS(cuModuleUnload(m), CUDA_ERROR_INVALID_HANDLE);
	IS(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL), CUDA_ERROR_INVALID_HANDLE);
}

static void launches(CUstream s)
{
	enum { N = 1000 };
	float a[N], b[N], c[N];
	unsigned int n = N, sum = 0, data[4096], want = 0;
	CUdeviceptr pa, pb, pc;
	void *params[] = { &pa, &pb, &pc, &n };
	void *more[] = { &pa, data };
	int wrong = 0;

	for (int i = 0; i < N; i++)
		a[i] = i, b[i] = 2 * i;
	OK(cuMemAlloc_v2(&pa, sizeof(a)));
	OK(cuMemAlloc_v2(&pb, sizeof(a)));
	OK(cuMemAlloc_v2(&pc, sizeof(a)));
	OK(cuMemcpyHtoDAsync_v2(pa, a, sizeof(a), s));
	OK(cuMemcpyHtoDAsync_v2(pb, b, sizeof(a), s));
	OK(cuLaunchKernel(add, 4, 1, 1, 256, 1, 1, 0, s, params, NULL));
	OK(cuMemcpyDtoHAsync_v2(c, pc, sizeof(c), s));
	OK(cuStreamSynchronize(s));
	for (int i = 0; i < N; i++)
		wrong += c[i] != 3 * i;
	TRUE(!wrong);
	for (int i = 0; i < 4096; i++)
		want += data[i] = i * 7;
	OK(cuLaunchKernel(big, 1, 1, 1, 1, 1, 1, 0, s, more, NULL));
	OK(cuMemcpyDtoH_v2(&sum, pa, 4));
	TRUE(sum == want);
	IS(cuLaunchKernel(add, 0, 1, 1, 1, 1, 1, 0, s, params, NULL), CUDA_ERROR_INVALID_VALUE);
	IS(cuLaunchKernel(add, 1, 1, 1, 2048, 1, 1, 0, s, params, NULL), CUDA_ERROR_INVALID_VALUE);
	IS(cuLaunchKernel(add, 1, 1, 1, 1, 1, 1, 0, (CUstream)8, params, NULL),
	   CUDA_ERROR_CONTEXT_IS_DESTROYED);
	OK(cuMemFree_v2(pa));
	OK(cuMemFree_v2(pb));
	OK(cuMemFree_v2(pc));
}

static void streams(void)
{
	CUstream s;
	CUevent a, b;
	CUcontext c, d;
	unsigned int flags;
	int priority;
	float ms;

	OK(cuStreamCreateWithPriority(&s, CU_STREAM_NON_BLOCKING, -99));
	OK(cuStreamGetPriority(s, &priority));
	TRUE(priority == -5);
	OK(cuStreamGetFlags(s, &flags));
	TRUE(flags == CU_STREAM_NON_BLOCKING);
	OK(cuStreamGetCtx(s, &c));
	OK(cuCtxGetCurrent(&d));
	TRUE(c == d);
	IS(cuStreamCreate(&s, 77), CUDA_ERROR_INVALID_VALUE);
	OK(cuEventCreate(&a, 0));
	OK(cuEventCreate(&b, 0));
	OK(cuEventRecord(a, s));
	launches(s);
	launches(CU_STREAM_PER_THREAD);
	launches(NULL);
	OK(cuEventRecord(b, s));
	OK(cuStreamWaitEvent(NULL, b, 0));
	OK(cuEventSynchronize(b));
	OK(cuEventElapsedTime_v2(&ms, a, b));
	TRUE(ms == 1.5f);
	OK(cuEventDestroy_v2(a));
	IS(cuEventDestroy_v2(a), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	IS(cuEventRecord(a, s), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	OK(cuEventDestroy_v2(b));
	OK(cuStreamQuery(s));
	OK(cuStreamDestroy_v2(s));
	IS(cuStreamSynchronize(s), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	IS(cuStreamDestroy_v2(NULL), CUDA_ERROR_INVALID_HANDLE);
}

static void *thread(void *ctx)
{
	OK(cuCtxSetCurrent(ctx));
	for (int i = 0; i < 20; i++)
		streams();
	return NULL;
}

static void threads(void)
{
	pthread_t t[4];
	CUcontext c;

	OK(cuCtxGetCurrent(&c));
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, thread, c);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

static void forks(void)
{
	pid_t child = fork();
	int status, n;

	if (!child)
		_exit(cuDeviceGetCount(&n) == CUDA_ERROR_NOT_INITIALIZED &&
		      cuInit(0) == CUDA_ERROR_NOT_INITIALIZED ? 0 : 1);
	waitpid(child, &status, 0);
	TRUE(!status);
	OK(cuDeviceGetCount(&n));
}

static void many(void)
{
	CUevent e[3000];

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 3000; i++)
			OK(cuEventCreate(&e[i], CU_EVENT_DISABLE_TIMING));
		for (int i = 0; i < 3000; i++)
			OK(cuEventRecord(e[i], NULL));
		OK(cuCtxSynchronize());
		for (int i = 0; i < 3000; i++)
			OK(cuEventDestroy_v2(e[i]));
	}
	OK(cuCtxSynchronize());
}

static void contexts(void)
{
	CUcontext primary, c, d;
	CUdeviceptr p;
	CUstream s;
	size_t left, total;

	OK(cuCtxGetCurrent(&primary));
	OK(cuCtxCreate_v2(&c, 0, 0));
	OK(cuCtxGetCurrent(&d));
	TRUE(c == d && c != primary);
	OK(cuStreamCreate(&s, 0));
	OK(cuMemAlloc_v2(&p, 1 << 20));
	OK(cuCtxDestroy_v2(c));
	OK(cuCtxGetCurrent(&d));
	TRUE(d == primary);
	IS(cuCtxDestroy_v2(c), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	IS(cuStreamSynchronize(s), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	OK(cuMemGetInfo_v2(&left, &total));
	TRUE(left == total);
}

static void poison(void)
{
	CUdeviceptr p;
	CUcontext c;

	OK(cuMemAlloc_v2(&p, 64));
	OK(cuLaunchKernel(trap, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL));
	IS(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
	IS(cuMemAlloc_v2(&p, 64), CUDA_ERROR_ILLEGAL_ADDRESS);
	IS(cuLaunchKernel(trap, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL), CUDA_ERROR_ILLEGAL_ADDRESS);
	OK(cuDevicePrimaryCtxReset_v2(0));
	IS(cuMemAlloc_v2(&p, 64), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	OK(cuDevicePrimaryCtxRetain(&c, 0));
	OK(cuCtxSetCurrent(c));
	OK(cuMemAlloc_v2(&p, 64));
	OK(cuDevicePrimaryCtxRelease_v2(0));
	IS(cuMemAlloc_v2(&p, 64), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	IS(cuDevicePrimaryCtxRelease_v2(0), CUDA_ERROR_INVALID_CONTEXT);
}

/* Tables of which nothing is known but the size: every slot can be called, and refuses. */
static void export_tables(void)
{
	static const struct {
		CUuuid id;
		uintptr_t words;
	} unknown[] = {
		{ { "\x17\x34\xdc\x26\x80\x0d\x47\x45\x87\x26\xc0\xf1\xe7\xdd\x8b\xca" }, 17 },
		{ { "\x69\xa2\x8e\x9f\x24\x49\x8b\x47\xb0\x30\xc5\xda\x33\x0e\xa4\xe9" }, 34 },
	};
	static const CUuuid none = { "\x01\x02" };
	const void *table;

	for (int i = 0; i < 2; i++) {
		CUresult (*const *slot)(void);

		OK(cuGetExportTable(&table, &unknown[i].id));
		slot = table;
		TRUE(*(const uintptr_t *)table == unknown[i].words * sizeof(void *));
		for (uintptr_t k = 1; k < unknown[i].words; k++) {
			IS(slot[k](), CUDA_ERROR_NOT_SUPPORTED);
			TRUE(k < 2 || slot[k] != slot[k - 1]);
		}
	}
	IS(cuGetExportTable(&table, &none), CUDA_ERROR_INVALID_VALUE);
}

/* What is refused is in the log, each time; of more than it keeps, the latest. */
static void logs(void)
{
	char text[25600];
	CUlogIterator at = 0;
	size_t size = sizeof(text);
	CUmemoryPool pool;
	CUmemLocation here = { .type = CU_MEM_LOCATION_TYPE_HOST };

	OK(cuLogsCurrent(&at, 0));
	IS(cuMemGetMemPool(&pool, &here, CU_MEM_ALLOCATION_TYPE_PINNED), CUDA_ERROR_NOT_SUPPORTED);
	OK(cuLogsDumpToMemory(&at, text, &size, 0));
	TRUE(size && strstr(text, "a memory pool of the host") && !strstr(text, "left out"));
	for (int i = 0; i < 200; i++)
		cuMemGetMemPool(&pool, &here, CU_MEM_ALLOCATION_TYPE_PINNED);
	size = sizeof(text);
	OK(cuLogsDumpToMemory(&at, text, &size, 0));
	TRUE(size && strstr(text, "left out") && strlen(text) == size);
	size = 300;
	OK(cuLogsDumpToMemory(NULL, text, &size, 0));
	TRUE(size && size < 300 && strstr(text, "left out") && strlen(text) == size);
}

int main(void)
{
	start();
	export_tables();
	logs();
	memory();
	boxes();
	modules();
	streams();
	threads();
	forks();
	many();
	contexts();
	poison();
	printf("shim: %d checks passed, %d failed\n", passed, failed);
	return failed != 0;
}
