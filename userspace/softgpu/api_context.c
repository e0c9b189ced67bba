// SPDX-License-Identifier: Apache-2.0
/* Contexts, primary contexts and the stack of current ones. */
#include <stdlib.h>

#include "api.h"
#include "common/storage.h"
#include "ipc.h"

#define STACK_DEPTH 128

/* The limits that a context comes with, bytes. */
#define STACK_FIRST	1024
#define PRINTF_FIRST	(1 << 20)
#define MALLOC_FIRST	(8 << 20)

static _Thread_local CUcontext stack[STACK_DEPTH];
static _Thread_local int depth;

/*
 * Guards the list of contexts, newest first: a handle is valid while it is in there and the
 * context is not going.
 */
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static CUcontext all;
static unsigned long long next_id = 1;

static bool listed(CUcontext ctx)
{
	bool yes = false;

	pthread_mutex_lock(&list_lock);
	for (CUcontext c = all; c && !yes; c = c->next)
		yes = c == ctx && !c->going;
	pthread_mutex_unlock(&list_lock);
	return yes;
}

CUcontext sg_context_check(CUcontext ctx)
{
	return ctx && listed(ctx) ? ctx : NULL;
}

/* A context that still has the library loaded, or NULL. */
CUcontext sg_context_with_library(CUlibrary l)
{
	CUcontext found = NULL;

	pthread_mutex_lock(&list_lock);
	for (CUcontext c = all; c && !found; c = c->next) {
		if (c->going)
			continue;
		pthread_mutex_lock(&c->lock);
		for (CUmodule m = c->modules; m; m = m->next)
			if (m->library == l)
				found = c;
		pthread_mutex_unlock(&c->lock);
	}
	pthread_mutex_unlock(&list_lock);
	return found;
}

CUcontext sg_current_or_null(void)
{
	return depth ? stack[depth - 1] : NULL;
}

CUresult sg_current(CUcontext *ctx)
{
	SG_NEED_INIT();
	*ctx = sg_current_or_null();
	if (!*ctx)
		return CUDA_ERROR_INVALID_CONTEXT;
	if ((*ctx)->magic != MAGIC_CTX)
		return CUDA_ERROR_CONTEXT_IS_DESTROYED;
	return atomic_load(&(*ctx)->dev->error);
}

/* After such an error the device's contents cannot be trusted; the process has to start anew. */
CUresult sg_device_fail(struct sg_device *dev, int code)
{
	int none = 0;

	switch (code) {
	case CUDA_ERROR_ILLEGAL_ADDRESS:
	case CUDA_ERROR_MISALIGNED_ADDRESS:
	case CUDA_ERROR_INVALID_PC:
	case CUDA_ERROR_ILLEGAL_INSTRUCTION:
	case CUDA_ERROR_HARDWARE_STACK_ERROR:
	case CUDA_ERROR_LAUNCH_FAILED:
	case CUDA_ERROR_LAUNCH_TIMEOUT:
	case CUDA_ERROR_ASSERT:
		atomic_compare_exchange_strong(&dev->error, &none, code);
		break;
	default:
		break;
	}
	return code;
}

/* Makes a context of what is none, or none any more: its lock and condition are there. */
static bool make(CUcontext ctx, struct sg_device *dev, unsigned int flags, unsigned int version)
{
	ctx->magic = MAGIC_CTX;
	ctx->dev = dev;
	ctx->flags = flags;
	ctx->api_version = version;
	ctx->stack_limit = STACK_FIRST;
	ctx->printf_limit = PRINTF_FIRST;
	ctx->malloc_limit = MALLOC_FIRST;
	ctx->going = false;
	ctx->cache_config = 0;
	ctx->peers = 0;
	ctx->taken = sg_context_bytes();
	if (!sg_heap_charge(&dev->heap, ctx->taken)) {
		ctx->magic = 0;
		return false;
	}
	ctx->legacy = sg_stream_new(ctx, CU_STREAM_DEFAULT, 0);
	if (!ctx->legacy) {
		sg_heap_uncharge(&dev->heap, ctx->taken);
		ctx->magic = 0;
		return false;
	}
	pthread_mutex_lock(&list_lock);
	ctx->id = next_id++;
	ctx->next = all;
	all = ctx;
	pthread_mutex_unlock(&list_lock);
	return true;
}

CUcontext sg_context_new(struct sg_device *dev, unsigned int flags, unsigned int version)
{
	CUcontext ctx = calloc(1, sizeof(*ctx));

	if (!ctx)
		return NULL;
	pthread_mutex_init(&ctx->lock, NULL);
	pthread_cond_init(&ctx->done, NULL);
	if (make(ctx, dev, flags, version))
		return ctx;
	free(ctx);
	return NULL;
}

/*
 * Waits also for contexts that are being destroyed, whose work still runs.  The structs of
 * contexts stay, so one may be gone when it is its turn: it has no streams then.
 */
void sg_contexts_wait(void)
{
	unsigned long long below = ~0ull;
	CUcontext ctx;

	do {
		ctx = NULL;
		pthread_mutex_lock(&list_lock);
		for (CUcontext c = all; c && !ctx; c = c->next)
			if (c->id < below)
				ctx = c;
		if (ctx)
			below = ctx->id;
		pthread_mutex_unlock(&list_lock);
		if (ctx)
			sg_context_wait(ctx);
	} while (ctx);
}

static void unlist(CUcontext ctx)
{
	pthread_mutex_lock(&list_lock);
	for (CUcontext *pp = &all; *pp; pp = &(*pp)->next) {
		if (*pp == ctx) {
			*pp = ctx->next;
			break;
		}
	}
	pthread_mutex_unlock(&list_lock);
}

/* The struct itself stays: threads may still hold it in their stacks. */
void sg_context_destroy(CUcontext ctx)
{
	struct sg_range r;
	uint64_t at = 0;

	vg_storage_end(ctx, ctx);
	pthread_mutex_lock(&list_lock);
	ctx->going = true;
	pthread_mutex_unlock(&list_lock);
	sg_context_wait(ctx);
	ctx->magic = 0;
	sg_streams_shutdown(ctx);
	unlist(ctx);
	while (ctx->modules)
		sg_module_free(ctx->modules);
	sg_textures_gone(ctx);
	sg_arrays_gone(ctx);
	sg_links_gone(ctx);
	sg_ipc_gone(ctx);
	while (sg_range_of_owner(at, ctx, &r)) {
		at = r.addr + 1;
		if (r.kind == RG_HOST || r.kind == RG_MANAGED) {
			if (sg_range_remove(r.addr, &r))
				sg_host_free(&r);
		} else if (r.kind == RG_REGISTERED) {
			sg_range_remove(r.addr, &r);
		} else {
			sg_heap_free(&ctx->dev->heap, r.addr);
		}
	}
	sg_heap_uncharge(&ctx->dev->heap, ctx->taken);
}

static CUresult push(CUcontext ctx)
{
	if (depth == STACK_DEPTH)
		return CUDA_ERROR_OUT_OF_MEMORY;
	stack[depth++] = ctx;
	return CUDA_SUCCESS;
}

static CUresult create(CUcontext *out, unsigned int flags, CUdevice dev, unsigned int version)
{
	struct sg_device *d;
	CUcontext ctx;
	CUresult rc;

	SG_NEED_INIT();
	d = sg_device(dev);
	if (!out || flags & ~CU_CTX_FLAGS_MASK)
		return CUDA_ERROR_INVALID_VALUE;
	if (!d)
		return CUDA_ERROR_INVALID_DEVICE;
	if (d->error)
		return atomic_load(&d->error);
	ctx = sg_context_new(d, flags, version);
	if (!ctx)
		return CUDA_ERROR_OUT_OF_MEMORY;
	rc = push(ctx);
	if (rc)
		sg_context_destroy(ctx);
	else
		*out = ctx;
	return rc;
}

SG_API CUresult cuCtxCreate_v2(CUcontext *pctx, unsigned int flags, CUdevice dev)
{
	return create(pctx, flags, dev, 3020);
}

SG_API CUresult cuCtxCreate_v3(CUcontext *pctx, CUexecAffinityParam *params, int n,
			       unsigned int flags, CUdevice dev)
{
	if (params || n)
		return CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
	return create(pctx, flags, dev, 11040);
}

SG_API CUresult cuCtxCreate_v4(CUcontext *pctx, CUctxCreateParams *params, unsigned int flags,
			       CUdevice dev)
{
	if (params && (params->execAffinityParams || params->numExecAffinityParams))
		return CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
	if (params && params->cigParams)
		return CUDA_ERROR_NOT_SUPPORTED;
	return create(pctx, flags, dev, 12050);
}

SG_API CUresult cuCtxDestroy_v2(CUcontext ctx)
{
	if (!ctx)
		return CUDA_ERROR_INVALID_VALUE;
	SG_NEED_INIT();
	if (!sg_context_check(ctx) || ctx->primary)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (depth && stack[depth - 1] == ctx)
		depth--;
	sg_context_destroy(ctx);
	return CUDA_SUCCESS;
}

SG_API CUresult cuCtxPushCurrent_v2(CUcontext ctx)
{
	SG_NEED_INIT();
	if (!sg_context_check(ctx))
		return CUDA_ERROR_INVALID_CONTEXT;
	return push(ctx);
}

SG_API CUresult cuCtxPopCurrent_v2(CUcontext *pctx)
{
	SG_NEED_INIT();
	if (!depth)
		return CUDA_ERROR_INVALID_CONTEXT;
	depth--;
	if (pctx)
		*pctx = stack[depth];
	return CUDA_SUCCESS;
}

SG_API CUresult cuCtxSetCurrent(CUcontext ctx)
{
	SG_NEED_INIT();
	if (!ctx) {
		if (depth)
			depth--;
		return CUDA_SUCCESS;
	}
	if (!sg_context_check(ctx))
		return CUDA_ERROR_INVALID_CONTEXT;
	if (!depth)
		return push(ctx);
	stack[depth - 1] = ctx;
	return CUDA_SUCCESS;
}

SG_API CUresult cuCtxGetCurrent(CUcontext *pctx)
{
	SG_NEED_INIT();
	if (!pctx)
		return CUDA_ERROR_INVALID_VALUE;
	*pctx = sg_current_or_null();
	return CUDA_SUCCESS;
}

/* These tell about the context itself and work although its device has failed. */
static CUresult current_even_failed(CUcontext given, CUcontext *ctx)
{
	SG_NEED_INIT();
	*ctx = given ? sg_context_check(given) : sg_current_or_null();
	if (!*ctx)
		return CUDA_ERROR_INVALID_CONTEXT;
	return (*ctx)->magic == MAGIC_CTX ? CUDA_SUCCESS : CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

SG_API CUresult cuCtxGetDevice_v2(CUdevice *device, CUcontext given)
{
	CUcontext ctx;
	CUresult rc = current_even_failed(given, &ctx);

	if (rc)
		return rc;
	if (!device)
		return CUDA_ERROR_INVALID_VALUE;
	*device = ctx->dev->index;
	return CUDA_SUCCESS;
}

SG_API CUresult cuCtxGetDevice(CUdevice *device)
{
	return cuCtxGetDevice_v2(device, NULL);
}

SG_API CUresult cuCtxGetFlags(unsigned int *flags)
{
	CUcontext ctx;
	CUresult rc = current_even_failed(NULL, &ctx);

	if (rc)
		return rc;
	if (!flags)
		return CUDA_ERROR_INVALID_VALUE;
	*flags = ctx->flags;
	return CUDA_SUCCESS;
}

SG_API CUresult cuCtxSetFlags(unsigned int flags)
{
	SG_ENTER(ctx);
	if (flags & ~CU_CTX_FLAGS_MASK)
		return CUDA_ERROR_INVALID_VALUE;
	ctx->flags = flags;
	return CUDA_SUCCESS;
}

SG_API CUresult cuCtxGetId(CUcontext given, unsigned long long *id)
{
	CUcontext ctx;
	CUresult rc = current_even_failed(given, &ctx);

	if (rc)
		return rc;
	if (!id)
		return CUDA_ERROR_INVALID_VALUE;
	*id = ctx->id;
	return CUDA_SUCCESS;
}

SG_API CUresult cuCtxGetApiVersion(CUcontext given, unsigned int *version)
{
	CUcontext ctx;
	CUresult rc = current_even_failed(given, &ctx);

	if (rc)
		return rc;
	if (!version)
		return CUDA_ERROR_INVALID_VALUE;
	*version = ctx->api_version;
	return CUDA_SUCCESS;
}

SG_API CUresult cuCtxSynchronize_v2(CUcontext given)
{
	CUcontext ctx;
	CUresult rc = current_even_failed(given, &ctx);

	if (rc)
		return rc;
	sg_context_wait(ctx);
	return atomic_load(&ctx->dev->error);
}

SG_API CUresult cuCtxSynchronize(void)
{
	return cuCtxSynchronize_v2(NULL);
}

static size_t *limit_of(CUcontext ctx, CUlimit limit)
{
	switch (limit) {
	case CU_LIMIT_STACK_SIZE:
		return &ctx->stack_limit;
	case CU_LIMIT_PRINTF_FIFO_SIZE:
		return &ctx->printf_limit;
	case CU_LIMIT_MALLOC_HEAP_SIZE:
		return &ctx->malloc_limit;
	default:
		return NULL;
	}
}

/*
 * What a limit has the device set aside beyond the first, which is in the context's own size: a
 * stack for each thread that the device can hold, or the buffer or the heap itself.  Bytes.
 */
static uint64_t set_aside(CUcontext ctx, CUlimit limit, uint64_t value)
{
	int threads = 1, processors = 1;
	uint64_t first = limit == CU_LIMIT_MALLOC_HEAP_SIZE ? MALLOC_FIRST : PRINTF_FIRST;

	if (limit == CU_LIMIT_STACK_SIZE) {
		first = STACK_FIRST;
		cuDeviceGetAttribute(&threads, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR,
				     ctx->dev->index);
		cuDeviceGetAttribute(&processors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT,
				     ctx->dev->index);
	}
	return value > first ? (value - first) * threads * processors : 0;
}

static CUresult resize(CUcontext ctx, CUlimit limit, size_t value)
{
	uint64_t before = set_aside(ctx, limit, *limit_of(ctx, limit));
	uint64_t now = set_aside(ctx, limit, value);

	if (!sg_heap_charge(&ctx->dev->heap, now))
		return CUDA_ERROR_OUT_OF_MEMORY;
	sg_heap_uncharge(&ctx->dev->heap, before);
	ctx->taken += now - before;
	return CUDA_SUCCESS;
}

SG_API CUresult cuCtxSetLimit(CUlimit limit, size_t value)
{
	CUresult rc;
	size_t *p;

	SG_ENTER(ctx);
	p = limit_of(ctx, limit);
	if ((unsigned int)limit >= CU_LIMIT_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	if (!p)
		return CUDA_ERROR_UNSUPPORTED_LIMIT;
	if (limit == CU_LIMIT_STACK_SIZE && value > 512 << 10)
		return CUDA_ERROR_INVALID_VALUE;
	if (limit == CU_LIMIT_MALLOC_HEAP_SIZE && value > ctx->dev->heap.total)
		return CUDA_ERROR_OUT_OF_MEMORY;
	rc = resize(ctx, limit, value);
	if (!rc)
		*p = value;
	return rc;
}

SG_API CUresult cuCtxGetLimit(size_t *value, CUlimit limit)
{
	size_t *p;

	SG_ENTER(ctx);
	p = limit_of(ctx, limit);
	if (!value || (unsigned int)limit >= CU_LIMIT_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	if (!p)
		return CUDA_ERROR_UNSUPPORTED_LIMIT;
	*value = *p;
	return CUDA_SUCCESS;
}

SG_API CUresult cuCtxGetCacheConfig(CUfunc_cache *config)
{
	SG_ENTER(ctx);
	if (!config)
		return CUDA_ERROR_INVALID_VALUE;
	*config = ctx->cache_config;
	return CUDA_SUCCESS;
}

/* A preference, as documented: the driver is free not to follow it. */
SG_API CUresult cuCtxSetCacheConfig(CUfunc_cache config)
{
	SG_ENTER(ctx);
	if ((unsigned int)config > CU_FUNC_CACHE_PREFER_EQUAL)
		return CUDA_ERROR_INVALID_VALUE;
	ctx->cache_config = config;
	return CUDA_SUCCESS;
}

/* Banks of four bytes, as on every device since compute capability 5. */
SG_API CUresult cuCtxGetSharedMemConfig(CUsharedconfig *config)
{
	SG_ENTER(ctx);
	(void)ctx;
	if (!config)
		return CUDA_ERROR_INVALID_VALUE;
	*config = CU_SHARED_MEM_CONFIG_FOUR_BYTE_BANK_SIZE;
	return CUDA_SUCCESS;
}

/* A preference, and documented to do nothing where the size is fixed. */
SG_API CUresult cuCtxSetSharedMemConfig(CUsharedconfig config)
{
	SG_ENTER(ctx);
	(void)ctx;
	return (unsigned int)config > CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE ?
	       CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

/* There is no cache that anything could persist in. */
SG_API CUresult cuCtxResetPersistingL2Cache(void)
{
	SG_ENTER(ctx);
	(void)ctx;
	return CUDA_SUCCESS;
}

SG_API CUresult cuCtxGetExecAffinity(CUexecAffinityParam *param, CUexecAffinityType type)
{
	SG_ENTER(ctx);
	(void)ctx;
	if (!param || type != CU_EXEC_AFFINITY_TYPE_SM_COUNT)
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
}

SG_API CUresult cuCtxGetStreamPriorityRange(int *least, int *greatest)
{
	SG_ENTER(ctx);
	(void)ctx;
	if (least)
		*least = 0;
	if (greatest)
		*greatest = 0;
	return CUDA_SUCCESS;
}

SG_API CUresult cuCtxEnablePeerAccess(CUcontext peer, unsigned int flags)
{
	SG_ENTER(ctx);
	if (flags)
		return CUDA_ERROR_INVALID_VALUE;
	if (!sg_context_check(peer) || peer == ctx)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (ctx->peers >> peer->dev->index & 1)
		return CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED;
	ctx->peers |= 1u << peer->dev->index;
	return CUDA_SUCCESS;
}

SG_API CUresult cuCtxDisablePeerAccess(CUcontext peer)
{
	SG_ENTER(ctx);
	if (!sg_context_check(peer))
		return CUDA_ERROR_INVALID_CONTEXT;
	if (!(ctx->peers >> peer->dev->index & 1))
		return CUDA_ERROR_PEER_ACCESS_NOT_ENABLED;
	ctx->peers &= ~(1u << peer->dev->index);
	return CUDA_SUCCESS;
}

/* Primary contexts */

/* The runtime wants the handle before the context is active, which it is while it is retained. */
static CUresult primary_locked(struct sg_device *d)
{
	/* the handle is always the same one, since the runtime keeps it over a reset */
	if (!d->primary && d->old_primary && make(d->old_primary, d, d->primary_flags, 3020))
		d->primary = d->old_primary;
	else if (!d->primary && !d->old_primary)
		d->primary = sg_context_new(d, d->primary_flags, 3020);
	if (!d->primary)
		return CUDA_ERROR_OUT_OF_MEMORY;
	d->primary->primary = true;
	return CUDA_SUCCESS;
}

CUresult sg_primary_handle(CUcontext *ctx, CUdevice dev)
{
	struct sg_device *d = sg_device(dev);
	CUresult rc;

	if (!d)
		return CUDA_ERROR_INVALID_DEVICE;
	pthread_mutex_lock(&d->lock);
	rc = primary_locked(d);
	*ctx = d->primary;
	pthread_mutex_unlock(&d->lock);
	return rc;
}

SG_API CUresult cuDevicePrimaryCtxRetain(CUcontext *pctx, CUdevice dev)
{
	struct sg_device *d;
	CUresult rc = CUDA_SUCCESS;

	SG_NEED_INIT();
	d = sg_device(dev);
	if (!pctx)
		return CUDA_ERROR_INVALID_VALUE;
	if (!d)
		return CUDA_ERROR_INVALID_DEVICE;
	if (d->error)
		return atomic_load(&d->error);
	pthread_mutex_lock(&d->lock);
	rc = primary_locked(d);
	if (!rc) {
		d->primary_refs++;
		*pctx = d->primary;
	}
	pthread_mutex_unlock(&d->lock);
	return rc;
}

static CUresult drop_primary(CUdevice dev, bool reset)
{
	struct sg_device *d;
	CUcontext gone = NULL;
	CUresult rc = CUDA_SUCCESS;

	SG_NEED_INIT();
	d = sg_device(dev);
	if (!d)
		return CUDA_ERROR_INVALID_DEVICE;
	pthread_mutex_lock(&d->lock);
	if (!reset && !d->primary_refs)
		rc = CUDA_ERROR_INVALID_CONTEXT;
	else if (reset || !--d->primary_refs) {
		gone = d->primary;
		d->primary = NULL;
		if (reset)
			d->primary_refs = 0;
	}
	pthread_mutex_unlock(&d->lock);
	if (!gone)
		return rc;
	sg_context_destroy(gone);
	pthread_mutex_lock(&d->lock);
	d->old_primary = gone;
	pthread_mutex_unlock(&d->lock);
	return rc;
}

SG_API CUresult cuDevicePrimaryCtxRelease_v2(CUdevice dev)
{
	return drop_primary(dev, false);
}

SG_API CUresult cuDevicePrimaryCtxRelease(CUdevice dev)
{
	return drop_primary(dev, false);
}

SG_API CUresult cuDevicePrimaryCtxReset_v2(CUdevice dev)
{
	return drop_primary(dev, true);
}

SG_API CUresult cuDevicePrimaryCtxReset(CUdevice dev)
{
	return drop_primary(dev, true);
}

SG_API CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice dev, unsigned int flags)
{
	struct sg_device *d;

	SG_NEED_INIT();
	d = sg_device(dev);
	if (!d)
		return CUDA_ERROR_INVALID_DEVICE;
	if (flags & ~CU_CTX_FLAGS_MASK)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&d->lock);
	d->primary_flags = flags;
	if (d->primary)
		d->primary->flags = flags;
	pthread_mutex_unlock(&d->lock);
	return CUDA_SUCCESS;
}

SG_API CUresult cuDevicePrimaryCtxSetFlags(CUdevice dev, unsigned int flags)
{
	return cuDevicePrimaryCtxSetFlags_v2(dev, flags);
}

SG_API CUresult cuDevicePrimaryCtxGetState(CUdevice dev, unsigned int *flags, int *active)
{
	struct sg_device *d;

	SG_NEED_INIT();
	d = sg_device(dev);
	if (!d)
		return CUDA_ERROR_INVALID_DEVICE;
	if (!flags || !active)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&d->lock);
	*flags = d->primary_flags;
	*active = d->primary_refs != 0;
	pthread_mutex_unlock(&d->lock);
	return CUDA_SUCCESS;
}
