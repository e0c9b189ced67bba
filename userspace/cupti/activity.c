// SPDX-License-Identifier: Apache-2.0
/* Which kinds of records are wanted, and their delivery. */
#include <pthread.h>
#include <string.h>

#include "cupti_internal.h"

_Atomic uint64_t vg_kinds;

#define CBIDS_MAX 1024
static _Atomic uint64_t unwanted[CBIDS_MAX / 64];	/* of the driver's functions */

static const uint64_t offered = VG_TIMED_KINDS | 1ull << CUPTI_ACTIVITY_KIND_DRIVER |
				1ull << CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION;

static CUptiResult change(uint32_t kind, bool on)
{
	CUptiResult r;

	if (!kind || kind >= VG_ACTIVITY_KINDS)
		return vg_cupti_said(CUPTI_ERROR_INVALID_KIND);
	if (!(offered >> kind & 1))
		return vg_cupti_said(CUPTI_ERROR_NOT_SUPPORTED);
	if (!vg_driver(&r))
		return vg_cupti_said(r);
	if (on)
		atomic_fetch_or(&vg_kinds, 1ull << kind);
	else
		atomic_fetch_and(&vg_kinds, ~(1ull << kind));
	return vg_cupti_said(vg_reattach());
}

VG_EXPORT CUptiResult cuptiActivityEnable(uint32_t kind)
{
	return change(kind, true);
}

VG_EXPORT CUptiResult cuptiActivityDisable(uint32_t kind)
{
	return change(kind, false);
}

/* There are no records of what exists already, such as devices, so there is nothing to dump. */
VG_EXPORT CUptiResult cuptiActivityEnableAndDump(uint32_t kind)
{
	return change(kind, true);
}

VG_EXPORT CUptiResult cuptiActivityEnableContext(CUcontext ctx, uint32_t kind)
{
	(void)ctx;
	(void)kind;
	return vg_cupti_said(CUPTI_ERROR_NOT_SUPPORTED);
}

VG_EXPORT CUptiResult cuptiActivityDisableContext(CUcontext ctx, uint32_t kind)
{
	(void)ctx;
	(void)kind;
	return vg_cupti_said(CUPTI_ERROR_NOT_SUPPORTED);
}

bool vg_driver_api_wanted(unsigned int cbid)
{
	return !(atomic_load_explicit(&unwanted[cbid % CBIDS_MAX / 64], memory_order_relaxed) >>
		 cbid % 64 & 1);
}

/* Asked for by itself, a function is recorded also if the kind DRIVER is not enabled. */
VG_EXPORT CUptiResult cuptiActivityEnableDriverApi(uint32_t cbid, uint8_t enable)
{
	if (!cbid || cbid >= vg_cbid_end())
		return vg_cupti_said(CUPTI_ERROR_INVALID_PARAMETER);
	if (enable && !vg_kind_on(CUPTI_ACTIVITY_KIND_DRIVER)) {
		for (unsigned int i = 0; i < CBIDS_MAX / 64; i++)
			atomic_store(&unwanted[i], UINT64_MAX);
	}
	if (enable)
		atomic_fetch_and(&unwanted[cbid / 64], ~(1ull << cbid % 64));
	else
		atomic_fetch_or(&unwanted[cbid / 64], 1ull << cbid % 64);
	return enable ? change(CUPTI_ACTIVITY_KIND_DRIVER, true) : CUPTI_SUCCESS;
}

VG_EXPORT CUptiResult cuptiActivityFlushAll(uint32_t flag)
{
	CUptiResult r;

	if (!vg_driver(&r))
		return vg_cupti_said(r);
	r = vg_work_drain(true);
	vg_buffer_flush(flag & VG_CUPTI_FLUSH_FORCED);
	vg_work_rest();
	return vg_cupti_said(r);
}

VG_EXPORT CUptiResult cuptiActivityFlush(CUcontext ctx, uint32_t stream, uint32_t flag)
{
	(void)ctx;
	(void)stream;
	return cuptiActivityFlushAll(flag);
}

/* -- attributes: sizes of pools that we do not have are kept, and mean nothing */

enum { DEVICE_BUFFER_SIZE, DEVICE_BUFFER_SIZE_CDP, DEVICE_BUFFER_POOL_LIMIT, SEMAPHORE_POOL_SIZE,
       SEMAPHORE_POOL_LIMIT, ZEROED_OUT_BUFFER, DEVICE_BUFFER_PRE_ALLOCATE,
       SEMAPHORE_PRE_ALLOCATE, HOST_PINNED, PER_THREAD_BUFFER, BUFFER_SIZE_DEVICE_GRAPHS,
       ATTRIBUTES };

static pthread_mutex_t attribute_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t attributes[ATTRIBUTES] = {
	[DEVICE_BUFFER_SIZE] = 3200000, [DEVICE_BUFFER_SIZE_CDP] = 8388608,
	[DEVICE_BUFFER_POOL_LIMIT] = 250, [SEMAPHORE_POOL_SIZE] = 25000,
	[SEMAPHORE_POOL_LIMIT] = 250, [DEVICE_BUFFER_PRE_ALLOCATE] = 3,
	[SEMAPHORE_PRE_ALLOCATE] = 3, [HOST_PINNED] = 1,
};

static size_t attribute_bytes(uint32_t a)
{
	return a == ZEROED_OUT_BUFFER || a == HOST_PINNED || a == PER_THREAD_BUFFER ?
		       sizeof(uint8_t) : sizeof(size_t);
}

VG_EXPORT CUptiResult cuptiActivityGetAttribute(uint32_t a, size_t *size, void *value)
{
	if (!size || !value || a >= ATTRIBUTES)
		return vg_cupti_said(CUPTI_ERROR_INVALID_PARAMETER);
	if (*size < attribute_bytes(a))
		return vg_cupti_said(CUPTI_ERROR_PARAMETER_SIZE_NOT_SUFFICIENT);
	*size = attribute_bytes(a);
	pthread_mutex_lock(&attribute_lock);
	memcpy(value, &attributes[a], *size);
	pthread_mutex_unlock(&attribute_lock);
	return CUPTI_SUCCESS;
}

VG_EXPORT CUptiResult cuptiActivitySetAttribute(uint32_t a, size_t *size, void *value)
{
	if (!size || !value || a >= ATTRIBUTES)
		return vg_cupti_said(CUPTI_ERROR_INVALID_PARAMETER);
	if (*size < attribute_bytes(a))
		return vg_cupti_said(CUPTI_ERROR_PARAMETER_SIZE_NOT_SUFFICIENT);
	/* All threads' records go into one buffer. */
	if (a == PER_THREAD_BUFFER && *(uint8_t *)value)
		return vg_cupti_said(CUPTI_ERROR_NOT_SUPPORTED);
	pthread_mutex_lock(&attribute_lock);
	memcpy(&attributes[a], value, attribute_bytes(a));
	pthread_mutex_unlock(&attribute_lock);
	return CUPTI_SUCCESS;
}

/* -- the end */

VG_EXPORT CUptiResult cuptiFinalize(void)
{
	CUptiResult r;

	if (!vg_driver(&r))
		return vg_cupti_said(r);
	atomic_store(&vg_kinds, 0);
	vg_callback_forget();
	vg_reattach();
	vg_work_forget();
	vg_buffer_flush(true);
	return CUPTI_SUCCESS;
}
