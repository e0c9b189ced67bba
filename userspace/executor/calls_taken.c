// SPDX-License-Identifier: Apache-2.0
/*
 * Device memory that the driver takes at calls which name no size: for the variables and the code
 * of modules, and for what the threads of a kernel have on their stacks (CUDA's local memory).
 *
 * Only the driver's bookkeeping tells how much it was (held.c), and that takes it 20 to 500 us on
 * an H200. What is free on the device it tells in 5 us. So that is asked before and after such a
 * call, and the bookkeeping only if less is free afterwards. Another process can hide that, if it
 * gives memory back in between; so where the driver loads variables, of which there may be any
 * number of bytes, the bookkeeping is asked in any case.
 *
 * The driver loads libraries, and makes the stacks larger, at the first launch of a kernel in a
 * context. So the first launch of each is looked at in this way, and all launches of kernels with
 * more local memory than a context comes with stacks for, because the driver may make the stacks
 * small again in between. What these need is charged before they are launched. launched.c knows
 * which were. Graphs are launched as if each had the kernel with the most local memory of all graphs.
 */
#include <stdatomic.h>

#include "calls.h"
#include "vg_cuda.h"

bool vg_x_stream_captured(CUstream s)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;

	return s && cu.cuStreamIsCapturing && !cu.cuStreamIsCapturing(s, &status) &&
	       status != CU_STREAM_CAPTURE_STATUS_NONE;
}

void vg_x_taking(struct vg_x_taking *t)
{
	size_t total;

	t->surely = false;
	if (!cu.cuMemGetInfo_v2 || cu.cuMemGetInfo_v2(&t->free, &total))
		t->free = 0;
}

bool vg_x_taken(struct vg_exec *x, const struct vg_x_taking *before)
{
	struct vg_x_taking now;

	if (before->surely)
		return vg_exec_reconcile(x, true);
	vg_x_taking(&now);
	return vg_exec_reconcile(x, !before->free || !now.free ||
				 now.free + VG_X_PIECE <= before->free);
}

/* Bytes of local memory of each thread. */
static uint64_t local_of(struct vg_exec *x, uint32_t id, CUfunction f)
{
	const CUfunction_attribute what = CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES;
	uint64_t kernel;
	int bytes = 0;
	CUdevice dev;

	if (!vg_handle_get(vg_exec_handles(x), id, VG_KERNEL, &kernel)) {
		if (!cu.cuFuncGetAttribute || cu.cuFuncGetAttribute(&bytes, what, f))
			return 0;
	} else if (!cu.cuKernelGetAttribute || !cu.cuCtxGetDevice || cu.cuCtxGetDevice(&dev) ||
		   cu.cuKernelGetAttribute(&bytes, what, (CUkernel)(uintptr_t)kernel, dev)) {
		return 0;
	}
	return bytes > 0 ? bytes : 0;
}

/*
 * The most that a kernel of any graph needs, if that is more than contexts come with. A graph may be
 * launched long after its nodes were made, and which kernels are in it then is not kept.
 */
static _Atomic uint64_t graphs_local;

static void note_graphs(uint64_t local)
{
	uint64_t most = atomic_load(&graphs_local);

	if (!vg_x_set_aside(CU_LIMIT_STACK_SIZE, local))
		return;
	while (local > most && !atomic_compare_exchange_weak(&graphs_local, &most, local))
		;
}

bool vg_x_graphs_have_stacks(void)
{
	return atomic_load_explicit(&graphs_local, memory_order_relaxed);
}

/* What the driver may take from the device for a kernel's local memory, beyond what it has. */
static uint64_t stacks_for(struct vg_exec *x, uint64_t local)
{
	uint64_t bytes = vg_x_set_aside(CU_LIMIT_STACK_SIZE, local), has = vg_exec_beyond(x);

	return bytes > has ? bytes - has : 0;
}

bool vg_x_stacks_fit(struct vg_exec *x, uint32_t id, CUfunction f)
{
	uint64_t local = local_of(x, id, f), bytes = stacks_for(x, local);

	if (!vg_exec_charge(x, bytes))
		return false;
	note_graphs(local);
	if (bytes)
		vg_exec_uncharge(x, bytes);
	return true;
}

bool vg_x_launch_begin(struct vg_exec *x, uint32_t id, uint32_t ctx, CUfunction f,
		       struct vg_x_launch *l)
{
	uint64_t local = f ? local_of(x, id, f) : atomic_load(&graphs_local);

	l->local = local;
	l->large = vg_x_set_aside(CU_LIMIT_STACK_SIZE, local) > 0;
	l->charged = l->large ? stacks_for(x, local) : 0;
	if (!vg_exec_charge(x, l->charged))
		return false;
	vg_x_taking(&l->before);
	/* With the first kernel that is launched in a context the driver loads all of its library. */
	if (f && !vg_x_launched(vg_handle_root(vg_exec_handles(x), id), ctx))
		l->before.surely = true;
	return true;
}

void vg_x_launch_end(struct vg_exec *x, uint32_t id, uint32_t ctx, CUstream s, CUresult r,
		     const struct vg_x_launch *l)
{
	/* From now on it counts as what the driver's bookkeeping has. */
	if (l->charged)
		vg_exec_leave_to_driver(x, l->charged);
	else
		vg_x_taken(x, &l->before);
	if (vg_x_stream_captured(s))
		note_graphs(l->local);
	if (r || vg_x_stream_captured(s))
		return;
	if (!l->large)
		vg_x_launched_now(id, ctx);
	if (l->before.surely)
		vg_x_launched_now(vg_handle_root(vg_exec_handles(x), id), ctx);
}
