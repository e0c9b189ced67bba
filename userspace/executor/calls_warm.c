// SPDX-License-Identifier: Apache-2.0
/*
 * What is done before a program asks for it: the first device's primary context,
 * which takes the driver 100 ms or more, and in each context an allocation and a few
 * pages of this process that are known to the driver.
 *
 * The allocation is never freed. It keeps the driver's pool of small blocks
 * (2 MiB at the least) from being given back to the device whenever the program
 * frees the last of its own, and fetched again with its next allocation: on an
 * H100 that makes an allocation and its free of up to 1 MiB 3 us, and 100 without.
 *
 * The pages are for small copies out of the device, which take 1 us less into memory
 * that the driver has pinned. When their context has gone they are ordinary memory.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "calls.h"
#include "common/log.h"
#include "exec_internal.h"
#include "vg_cuda.h"

#define ANCHOR_BYTES 512
#define SCRATCH_PAGES 16	/* threads that have one */

static uint8_t scratch[SCRATCH_PAGES][VG_X_SCRATCH] __attribute__((aligned(VG_X_SCRATCH)));

static _Atomic(CUcontext) warm;		/* of device 0, retained; NULL once it is taken */
static uint64_t warm_bytes;		/* that it has taken, if somebody tells */
static struct vg_exec *counted;		/* where it counts; NULL: not yet */
static pthread_t releaser;
static bool releasing;			/* by that thread, which has not been joined */

void vg_x_anchor(CUcontext ctx)
{
	CUcontext top;
	CUdeviceptr p;

	if (!cu.cuCtxPushCurrent_v2 || !cu.cuCtxPopCurrent_v2 || !cu.cuMemAlloc_v2 ||
	    cu.cuCtxPushCurrent_v2(ctx))
		return;
	cu.cuMemAlloc_v2(&p, ANCHOR_BYTES);
	if (cu.cuMemHostRegister_v2)
		cu.cuMemHostRegister_v2(scratch, sizeof(scratch), CU_MEMHOSTREGISTER_PORTABLE);
	cu.cuCtxPopCurrent_v2(&top);
}

void *vg_x_scratch(void)
{
	static _Atomic unsigned int next;
	static __thread unsigned int mine;	/* plus 1 */

	if (!mine)
		mine = atomic_fetch_add(&next, 1) + 1;
	return mine <= SCRATCH_PAGES ? scratch[mine - 1] : NULL;
}

void vg_warm_up(struct vg_exec *x)
{
	uint64_t before = vg_exec_held(x), now;
	CUcontext ctx;
	CUresult r;

	if (!cu.cuDevicePrimaryCtxRetain || !cu.cuDevicePrimaryCtxRelease_v2)
		return;
	r = cu.cuDevicePrimaryCtxRetain(&ctx, 0);
	if (r) {
		vg_warn("no context ahead of time: error %d", r);
		return;
	}
	vg_x_anchor(ctx);
	vg_x_pace_measure(ctx);
	vg_x_pool_measure(ctx);
	now = vg_exec_held(x);
	warm_bytes = now > before ? now - before : 0;
	atomic_store(&warm, ctx);
}

void vg_warm_count(struct vg_exec *x)
{
	if (!atomic_load(&warm))
		return;
	if (vg_exec_context_take(x, warm_bytes))
		counted = x;
	else
		vg_x_warm_drop();
}

static void count_no_more(void)
{
	struct vg_exec *x = counted;

	counted = NULL;
	if (x)
		vg_exec_context_give(x, warm_bytes);
}

CUcontext vg_x_warm_take(CUdevice dev, unsigned int flags, uint64_t *bytes)
{
	CUcontext ctx = dev == 0 && !flags ? atomic_exchange(&warm, NULL) : NULL;

	if (!ctx)
		vg_x_warm_drop();
	/* It counts as any other from now on. */
	else
		count_no_more();
	*bytes = warm_bytes;
	return ctx;
}

static void *release(void *arg)
{
	(void)arg;
	cu.cuDevicePrimaryCtxRelease_v2(0);
	count_no_more();
	return NULL;
}

void vg_x_warm_drop(void)
{
	if (!atomic_exchange(&warm, NULL))
		return;
	/* A program that makes no context need not wait for that. */
	releasing = !pthread_create(&releaser, NULL, release, NULL);
	if (!releasing)
		release(NULL);
}

void vg_x_warm_gone(void)
{
	if (releasing)
		pthread_join(releaser, NULL);
	releasing = false;
}
