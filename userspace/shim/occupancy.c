// SPDX-License-Identifier: Apache-2.0
/* The block size that fills a multiprocessor best: a search over what occupancy is asked for. */
#include "client.h"
#include "shim.h"
#include "shim_calls.h"

CUresult vgh_cuOccupancyMaxPotentialBlockSizeWithFlags(int *grid, int *block, CUfunction function,
						       CUoccupancyB2DSize shared_for, size_t shared,
						       int limit, unsigned int flags)
{
	struct vg_object *o = vg_function_get(function);
	struct vg_function *f;
	int warp, top, per_sm, best_threads = 0, best_block = 0, best_blocks = 0;
	CUresult r = vg_context_ready();
	CUdevice dev;

	if (r)
		return r;
	if (!o)
		return CUDA_ERROR_INVALID_HANDLE;
	if (!grid || !block || limit < 0)
		return CUDA_ERROR_INVALID_VALUE;
	dev = vg_current()->device;
	r = vg_function_fetch(o, dev, &f);
	if (r)
		return r;
	warp = vg_attribute(dev, CU_DEVICE_ATTRIBUTE_WARP_SIZE);
	per_sm = vg_attribute(dev, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR);
	top = f->attribute[CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK];
	if (limit > 0 && limit < top)
		top = limit;
	/* From the largest down, in whole warps: of equals the largest block wins. */
	for (int size = (top + warp - 1) / warp * warp; size > 0; size -= warp) {
		int threads = size < top ? size : top, blocks;

		r = vgw_cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
			&blocks, function, threads, shared_for ? shared_for(threads) : shared, flags);
		if (r)
			return r;
		if (blocks * threads > best_threads) {
			best_threads = blocks * threads;
			best_block = threads;
			best_blocks = blocks;
		}
		if (best_threads == per_sm)
			break;
	}
	*block = best_block;
	*grid = best_blocks * vg_attribute(dev, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
	return CUDA_SUCCESS;
}

CUresult vgh_cuOccupancyMaxPotentialBlockSize(int *grid, int *block, CUfunction f,
					      CUoccupancyB2DSize shared_for, size_t shared,
					      int limit)
{
	return vgh_cuOccupancyMaxPotentialBlockSizeWithFlags(grid, block, f, shared_for, shared,
							     limit, 0);
}
