// SPDX-License-Identifier: Apache-2.0
/* Contexts of the program's own, in each way of making one; their settings; peers. */
#include <pthread.h>
#include <stdlib.h>

#include "driver_test.h"

void context(void)
{
	CUcontext c, d, popped;
	unsigned int flags, api;
	unsigned long long id, other;
	int active, least, greatest;
	size_t limit, was;
	CUdevice v;

	OK(cuCtxGetDevice(&v));
	TRUE(v == dev);
	OK(cuCtxGetDevice_v2(&v, ctx));
	OK(cuDevicePrimaryCtxGetState(dev, &flags, &active));
	TRUE(active);
	OK(cuCtxGetApiVersion(ctx, &api));
	TRUE(api >= 3020);
	OK(cuCtxGetId(ctx, &id));
	OK(cuCtxGetStreamPriorityRange(&least, &greatest));
	TRUE(least == 0 && greatest <= 0);
	OK(cuCtxGetLimit(&was, CU_LIMIT_STACK_SIZE));
	OK(cuCtxSetLimit(CU_LIMIT_STACK_SIZE, 4096));
	OK(cuCtxGetLimit(&limit, CU_LIMIT_STACK_SIZE));
	TRUE(limit >= 4096);
	OK(cuCtxSetLimit(CU_LIMIT_STACK_SIZE, was));
	IS(cuCtxGetLimit(&limit, 999), CUDA_ERROR_INVALID_VALUE);
	OK(cuCtxCreate_v2(&c, CU_CTX_SCHED_BLOCKING_SYNC, dev));
	OK(cuCtxGetCurrent(&d));
	TRUE(c == d);
	OK(cuCtxGetId(c, &other));
	TRUE(id != other);
	OK(cuCtxGetFlags(&flags));
	TRUE((flags & CU_CTX_SCHED_MASK) == CU_CTX_SCHED_BLOCKING_SYNC);
	OK(cuCtxPushCurrent_v2(ctx));
	OK(cuCtxPopCurrent_v2(&popped));
	TRUE(popped == ctx);
	OK(cuCtxSynchronize());
	OK(cuCtxDestroy_v2(c));
	OK(cuCtxGetCurrent(&d));
	TRUE(d == ctx);
}

static CUcontext current(void)
{
	CUcontext c = NULL;

	OK(cuCtxGetCurrent(&c));
	return c;
}

static unsigned int flags_now(void)
{
	unsigned int flags = 0xdead;

	OK(cuCtxGetFlags(&flags));
	return flags;
}

/* A new context is current, and has memory of its own that goes with it. */
static void serves(CUcontext c)
{
	CUdeviceptr p;
	unsigned int v = 3;

	TRUE(c && current() == c && c != ctx);
	OK(cuMemAlloc_v2(&p, 64));
	OK(cuMemcpyHtoD_v2(p, &v, 4));
	TRUE(value_at(p, 0) == 3);
}

static void made(void)
{
	CUcontext c, d, popped;
	CUctxCreateParams none = { 0 };
	unsigned int api;

	if (through_vgpu) {
		OK(cuCtxCreate(&c, CU_CTX_SCHED_YIELD, dev));
		serves(c);
		TRUE((flags_now() & CU_CTX_SCHED_MASK) == CU_CTX_SCHED_YIELD);
		OK(cuCtxPushCurrent(ctx));
		TRUE(current() == ctx);
		OK(cuCtxPopCurrent(&popped));
		TRUE(popped == ctx && current() == c);
		OK(cuCtxDestroy(c));
		TRUE(current() == ctx);
		TRUE(cuCtxPushCurrent(NULL) != CUDA_SUCCESS);
		IS(cuCtxCreate(&c, 0, 99), CUDA_ERROR_INVALID_DEVICE);
		IS(cuCtxCreate(NULL, 0, dev), CUDA_ERROR_INVALID_VALUE);
	}

	OK(cuCtxCreate_v3(&c, NULL, 0, CU_CTX_SCHED_SPIN, dev));
	serves(c);
	OK(cuCtxGetApiVersion(c, &api));
	TRUE(api >= 3020);
	OK(cuCtxCreate_v4(&d, &none, 0, dev));
	serves(d);
	TRUE(c != d);
	OK(cuCtxDestroy_v2(d));
	TRUE(current() == c);
	OK(cuCtxDestroy_v2(c));
	OK(cuCtxCreate_v4(&d, NULL, 0, dev));
	serves(d);
	OK(cuCtxDestroy_v2(d));
	TRUE(current() == ctx);
	IS(cuCtxCreate_v3(&c, NULL, 0, 0x80000000, dev), CUDA_ERROR_INVALID_VALUE);
	IS(cuCtxCreate_v4(&c, NULL, 0x80000000, dev), CUDA_ERROR_INVALID_VALUE);
}

/* A usage count: it ends with the last of them. */
static void attached_and_detached(void)
{
	CUcontext c, same = NULL;
	CUdeviceptr p;

	OK(cuCtxCreate_v2(&c, 0, dev));
	OK(cuCtxAttach(&same, 0));
	TRUE(same == c);
	IS(cuCtxAttach(&same, 1), CUDA_ERROR_INVALID_VALUE);
	OK(cuCtxDetach(c));
	TRUE(current() == c);
	OK(cuMemAlloc_v2(&p, 64));
	OK(cuCtxDetach(c));
	TRUE(current() == ctx);
}

static void settings(void)
{
	unsigned int flags = 0, was;
	CUfunc_cache cache, first;
	CUsharedconfig banks;
	int active;

	OK(cuDevicePrimaryCtxGetState(dev, &was, &active));
	OK(cuDevicePrimaryCtxSetFlags_v2(dev, CU_CTX_SCHED_YIELD));
	OK(cuDevicePrimaryCtxGetState(dev, &flags, &active));
	TRUE(flags == CU_CTX_SCHED_YIELD && active);
	/* As it was before CUDA 11, not while the context is there. */
	IS(cuDevicePrimaryCtxSetFlags(dev, CU_CTX_SCHED_SPIN), CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE);
	OK(cuDevicePrimaryCtxGetState(dev, &flags, &active));
	TRUE(flags == CU_CTX_SCHED_YIELD);
	OK(cuDevicePrimaryCtxSetFlags_v2(dev, was));
	IS(cuDevicePrimaryCtxSetFlags_v2(dev, 0x80000000), CUDA_ERROR_INVALID_VALUE);
	IS(cuDevicePrimaryCtxSetFlags(99, 0), CUDA_ERROR_INVALID_DEVICE);

	was = flags_now();
	OK(cuCtxSetFlags(CU_CTX_SCHED_YIELD));
	TRUE((flags_now() & CU_CTX_SCHED_MASK) == CU_CTX_SCHED_YIELD);
	OK(cuCtxSetFlags(was & CU_CTX_SCHED_MASK));
	IS(cuCtxSetFlags(0x80000000), CUDA_ERROR_INVALID_VALUE);

	/* A preference; a device whose caches are fixed may have none. */
	OK(cuCtxGetCacheConfig(&first));
	OK(cuCtxSetCacheConfig(CU_FUNC_CACHE_PREFER_SHARED));
	OK(cuCtxGetCacheConfig(&cache));
	TRUE(cache == CU_FUNC_CACHE_PREFER_SHARED || cache == CU_FUNC_CACHE_PREFER_NONE);
	OK(cuCtxSetCacheConfig(first));
	IS(cuCtxSetCacheConfig(99), CUDA_ERROR_INVALID_VALUE);
	if (through_vgpu)
		IS(cuCtxGetCacheConfig(NULL), CUDA_ERROR_INVALID_VALUE);

	OK(cuCtxGetSharedMemConfig(&banks));
	TRUE(banks == CU_SHARED_MEM_CONFIG_FOUR_BYTE_BANK_SIZE ||
	     banks == CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE);
	OK(cuCtxSetSharedMemConfig(banks));
	OK(cuCtxGetSharedMemConfig(&banks));
	TRUE(cuCtxSetSharedMemConfig(99) != CUDA_SUCCESS);
	if (through_vgpu)
		IS(cuCtxGetSharedMemConfig(NULL), CUDA_ERROR_INVALID_VALUE);
}

static CUdeviceptr shown;

static void *without(void *arg)
{
	CUfunc_cache cache;

	(void)arg;
	IS(cuCtxResetPersistingL2Cache(), CUDA_ERROR_INVALID_CONTEXT);
	IS(cuCtxGetCacheConfig(&cache), CUDA_ERROR_INVALID_CONTEXT);
	IS(cuCtxSetFlags(0), CUDA_ERROR_INVALID_CONTEXT);
	if (through_vgpu)
		TRUE(cuCtxDetach(NULL) != CUDA_SUCCESS);
	return NULL;
}

static void synchronised(void)
{
	unsigned int n = 1 << 16, by = 1, *host;
	void *params[] = { &shown, &n, &by };
	CUexecAffinityParam affinity;
	int sms, can;
	pthread_t thread;
	CUcontext c;
	CUresult r;

	OK(cuMemAlloc_v2(&shown, 4 * n));
	OK(cuMemHostAlloc((void **)&host, 4, 0));
	OK(cuMemsetD32_v2(shown, 0, n));
	for (int i = 0; i < 50; i++)
		OK(cuLaunchKernel(add, n / 256, 1, 1, 256, 1, 1, 0, NULL, params, NULL));
	*host = 0;
	OK(cuMemcpyDtoHAsync_v2(host, shown + 4 * (n - 1), 4, NULL));
	/* Of a context that is not the current one. */
	OK(cuCtxCreate_v2(&c, 0, dev));
	OK(cuCtxSynchronize_v2(ctx));
	TRUE(*host == 50);
	OK(cuCtxSynchronize_v2(NULL));
	OK(cuCtxDestroy_v2(c));
	/* Nothing shows of what stays in a cache, but that all goes on as before. */
	OK(cuCtxResetPersistingL2Cache());
	TRUE(value_at(shown, 0) == 50);
	TRUE(!pthread_create(&thread, NULL, without, NULL) && !pthread_join(thread, NULL));
	OK(cuMemFree_v2(shown));
	OK(cuMemFreeHost(host));

	OK(cuDeviceGetAttribute(&sms, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, dev));
	OK(cuDeviceGetExecAffinitySupport(&can, CU_EXEC_AFFINITY_TYPE_SM_COUNT, dev));
	r = cuCtxGetExecAffinity(&affinity, CU_EXEC_AFFINITY_TYPE_SM_COUNT);
	if (r)
		IS(r, CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY);
	else
		TRUE(affinity.param.smCount.val >= 1 && (int)affinity.param.smCount.val <= sms);
	TRUE(!can || !r);
	TRUE(cuCtxGetExecAffinity(&affinity, 99) != CUDA_SUCCESS);
	IS(cuDeviceGetExecAffinitySupport(&can, CU_EXEC_AFFINITY_TYPE_SM_COUNT, 99),
	   CUDA_ERROR_INVALID_DEVICE);
}

void contexts(void)
{
	made();
	attached_and_detached();
	settings();
	synchronised();
	TRUE(current() == ctx);
}

/* Between two devices, where there are two that can; what is refused, in any case. */
void peer_devices(void)
{
	static const CUatomicOperation ops[] = { CU_ATOMIC_OPERATION_INTEGER_ADD,
						 CU_ATOMIC_OPERATION_CAS };
	CUmemAccessDesc grant = { .location = { .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 1 },
				  .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE };
	unsigned int caps[2];
	CUmemAccess_flags access;
	CUdeviceptr p, q;
	CUmemoryPool pool;
	CUcontext other;
	int count, can, back, v;
	CUdevice second;

	OK(cuDeviceCanAccessPeer(&can, dev, dev));
	IS(cuDeviceCanAccessPeer(&can, dev, 99), CUDA_ERROR_INVALID_DEVICE);
	TRUE(cuCtxEnablePeerAccess(ctx, 0) != CUDA_SUCCESS);
	TRUE(cuCtxDisablePeerAccess(ctx) != CUDA_SUCCESS);
	IS(cuDeviceGetP2PAttribute(&v, CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED, dev, 99),
	   CUDA_ERROR_INVALID_DEVICE);
	IS(cuDeviceGetP2PAtomicCapabilities(caps, ops, 2, dev, 99), CUDA_ERROR_INVALID_DEVICE);
	OK(cuDeviceGetCount(&count));
	if (count < 2)
		return;
	OK(cuDeviceGet(&second, 1));
	OK(cuDeviceCanAccessPeer(&can, dev, second));
	OK(cuDeviceCanAccessPeer(&back, second, dev));
	TRUE(can == back);
	OK(cuDeviceGetP2PAttribute(&v, CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED, dev, second));
	TRUE(v == can);
	IS(cuDeviceGetP2PAttribute(&v, 99, dev, second), CUDA_ERROR_INVALID_VALUE);
	OK(cuDeviceGetP2PAtomicCapabilities(caps, ops, 2, dev, second));
	IS(cuDeviceGetP2PAtomicCapabilities(caps, ops, 0, dev, second), CUDA_ERROR_INVALID_VALUE);
	OK(cuMemAlloc_v2(&p, 1024));
	OK(cuMemsetD32_v2(p, 31, 256));
	OK(cuCtxSynchronize());
	OK(cuDevicePrimaryCtxRetain(&other, second));
	OK(cuCtxPushCurrent_v2(other));
	OK(cuMemAlloc_v2(&q, 1024));
	OK(cuMemsetD32_v2(q, 32, 256));
	OK(cuMemcpyPeer(q, other, p, ctx, 512));
	TRUE(value_at(q, 127) == 31 && value_at(q, 128) == 32);
	if (can) {
		IS(cuCtxEnablePeerAccess(ctx, 1), CUDA_ERROR_INVALID_VALUE);
		OK(cuCtxEnablePeerAccess(ctx, 0));
		IS(cuCtxEnablePeerAccess(ctx, 0), CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED);
		OK(cuMemcpyDtoD_v2(q, p, 1024));
		TRUE(value_at(q, 255) == 31);
		OK(cuDeviceGetDefaultMemPool(&pool, dev));
		OK(cuMemPoolGetAccess(&access, pool, &grant.location));
		TRUE(access == CU_MEM_ACCESS_FLAGS_PROT_NONE);
		OK(cuMemPoolSetAccess(pool, &grant, 1));
		OK(cuMemPoolGetAccess(&access, pool, &grant.location));
		TRUE(access == CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
		grant.flags = CU_MEM_ACCESS_FLAGS_PROT_NONE;
		OK(cuMemPoolSetAccess(pool, &grant, 1));
		OK(cuMemPoolGetAccess(&access, pool, &grant.location));
		TRUE(access == CU_MEM_ACCESS_FLAGS_PROT_NONE);
		OK(cuCtxDisablePeerAccess(ctx));
		IS(cuCtxDisablePeerAccess(ctx), CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
	} else {
		IS(cuCtxEnablePeerAccess(ctx, 0), CUDA_ERROR_PEER_ACCESS_UNSUPPORTED);
	}
	OK(cuMemFree_v2(q));
	OK(cuCtxPopCurrent_v2(NULL));
	OK(cuDevicePrimaryCtxRelease_v2(second));
	OK(cuMemFree_v2(p));
}

/* Retained once more and released; then reset, which ends all that the context had. */
void primary_reset(void)
{
	unsigned int flags, n = 64, by = 2;
	CUdeviceptr p;
	void *params[] = { &p, &n, &by };
	CUcontext again;
	int active;

	OK(cuDevicePrimaryCtxRetain(&again, dev));
	TRUE(again == ctx);
	OK(cuDevicePrimaryCtxRelease(dev));
	OK(cuDevicePrimaryCtxGetState(dev, &flags, &active));
	TRUE(active);
	OK(cuMemAlloc_v2(&p, 256));
	IS(cuDevicePrimaryCtxRelease(99), CUDA_ERROR_INVALID_DEVICE);
	IS(cuDevicePrimaryCtxReset(99), CUDA_ERROR_INVALID_DEVICE);
	OK(cuDevicePrimaryCtxReset(dev));
	OK(cuDevicePrimaryCtxGetState(dev, &flags, &active));
	TRUE(!active);
	TRUE(cuMemFree_v2(p) != CUDA_SUCCESS);
	OK(cuDevicePrimaryCtxRetain(&ctx, dev));
	OK(cuCtxSetCurrent(ctx));
	OK(cuModuleLoadData(&module, ptx));
	OK(cuModuleGetFunction(&add, module, "add"));
	OK(cuMemAlloc_v2(&p, 256));
	OK(cuMemsetD32_v2(p, 1, n));
	OK(cuLaunchKernel(add, 1, 1, 1, n, 1, 1, 0, NULL, params, NULL));
	TRUE(value_at(p, n - 1) == 3);
	OK(cuMemFree_v2(p));
}
