// SPDX-License-Identifier: Apache-2.0
/* Kernel launches and occupancy. */
#include <stdlib.h>
#include <string.h>

#include "api.h"

#define MAX_THREADS 1024
#define SM_THREADS 2048
#define SM_BLOCKS 32
#define SM_REGISTERS 65536
#define SM_SHARED 233472
#define BLOCK_RESERVED SG_RESERVED_SMEM

struct launch_work {
	struct sg_work w;
	struct sg_launch launch;
	_Alignas(16) char params[];
};

static _Atomic uint64_t next_grid = 1;

static int run_launch(struct sg_work *w)
{
	struct launch_work *lw = (struct launch_work *)w;

	return sg_device_fail(w->stream->ctx->dev, sg_grid_run(&lw->launch));
}

static void release_launch(struct sg_work *w)
{
	struct launch_work *lw = (struct launch_work *)w;

	if (lw->launch.coop_workspace)
		sg_heap_free(lw->launch.heap, lw->launch.coop_workspace);
}

/* Parameters come as an array of pointers, or as one buffer laid out by the caller. */
CUresult sg_gather(struct sg_func *fn, char *to, void **params, void **extra)
{
	const void *buffer = NULL;
	size_t size = 0;

	if (params && extra)
		return CUDA_ERROR_INVALID_VALUE;
	if (extra) {
		for (; extra[0] != CU_LAUNCH_PARAM_END; extra += 2) {
			if (extra[0] == CU_LAUNCH_PARAM_BUFFER_POINTER)
				buffer = extra[1];
			else if (extra[0] == CU_LAUNCH_PARAM_BUFFER_SIZE)
				size = *(size_t *)extra[1];
			else
				return CUDA_ERROR_INVALID_VALUE;
		}
		if (!buffer || size < fn->param_bytes)
			return CUDA_ERROR_INVALID_VALUE;
		memcpy(to, buffer, fn->param_bytes);
		return CUDA_SUCCESS;
	}
	if (!params)
		return fn->nparams ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
	for (int i = 0; i < fn->nparams; i++) {
		if (!params[i])
			return CUDA_ERROR_INVALID_VALUE;
		memcpy(to + fn->params[i].offset, params[i], fn->params[i].size);
	}
	return CUDA_SUCCESS;
}

static int active_blocks(CUfunction f, int threads, size_t dynamic)
{
	int warps = (threads + 31) / 32, n = SM_BLOCKS;
	size_t shared = f->fn->shared_bytes + dynamic + BLOCK_RESERVED;

	if (threads < 1 || threads > MAX_THREADS)
		return 0;
	if (n > SM_THREADS / (warps * 32))
		n = SM_THREADS / (warps * 32);
	if (n > SM_REGISTERS / (warps * 32 * f->fn->nregs))
		n = SM_REGISTERS / (warps * 32 * f->fn->nregs);
	if ((size_t)n > SM_SHARED / shared)
		n = SM_SHARED / shared;
	return n;
}

CUresult sg_check_shape(CUfunction f, const unsigned int grid[3], const unsigned int block[3],
			unsigned int dynamic)
{
	uint64_t threads = (uint64_t)block[0] * block[1] * block[2];
	int most;

	if (!sg_func_runs(f->fn))
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!grid[0] || !grid[1] || !grid[2] || grid[0] > 2147483647 || grid[1] > 65535 ||
	    grid[2] > 65535)
		return CUDA_ERROR_INVALID_VALUE;
	if (!threads || block[0] > 1024 || block[1] > 1024 || block[2] > 64)
		return CUDA_ERROR_INVALID_VALUE;
	sg_func_attribute(f, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, &most);
	if (threads > (unsigned int)most)
		return CUDA_ERROR_INVALID_VALUE;
	for (int i = 0; f->fn->reqntid[0] && i < 3; i++)
		if (block[i] != f->fn->reqntid[i])
			return CUDA_ERROR_INVALID_VALUE;
	if (dynamic > (unsigned int)f->max_dynamic)
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

static uint32_t local_bytes(const struct sg_func *fn, size_t stack_limit)
{
	uint64_t n = fn->local_total;

	if (fn->calls_unbounded)
		n += stack_limit < 16384 ? 16384 : stack_limit;
	return n;
}

static CUresult add_node(CUgraphNode *node, CUgraph g, const CUgraphNode *deps, size_t ndeps,
			 const CUDA_KERNEL_NODE_PARAMS *p, bool cooperative)
{
	const CUkernelNodeAttrValue value = { .cooperative = 1 };
	CUresult rc = cuGraphAddKernelNode_v2(node, g, deps, ndeps, p);

	if (!rc && cooperative)
		rc = cuGraphKernelNodeSetAttribute(*node, CU_LAUNCH_ATTRIBUTE_COOPERATIVE, &value);
	return rc;
}

static CUresult capture(CUcontext ctx, CUfunction handle, const unsigned int grid[3],
			const unsigned int block[3], unsigned int dynamic, CUstream stream,
			bool cooperative, void **params, void **extra)
{
	const CUDA_KERNEL_NODE_PARAMS p = {
		.func = handle, .gridDimX = grid[0], .gridDimY = grid[1], .gridDimZ = grid[2],
		.blockDimX = block[0], .blockDimY = block[1], .blockDimZ = block[2],
		.sharedMemBytes = dynamic, .kernelParams = params, .extra = extra,
	};

	return SG_CAPTURE(ctx, stream, add_node, &p, cooperative);
}

static CUresult launch(CUfunction handle, const unsigned int grid[3], const unsigned int block[3],
		       unsigned int dynamic, CUstream stream, bool cooperative, void **params,
		       void **extra)
{
	struct launch_work *lw;
	struct sg_func *fn;
	CUfunction f;
	CUstream s;
	CUresult rc;

	SG_ENTER(ctx);
	rc = sg_function_get(ctx, handle, &f);
	if (!rc)
		rc = sg_check_shape(f, grid, block, dynamic);
	if (rc)
		return rc;
	if (f->module->ctx != ctx)
		return CUDA_ERROR_INVALID_HANDLE;
	fn = f->fn;
	if (cooperative) {
		uint64_t blocks = (uint64_t)grid[0] * grid[1] * grid[2];
		int per_sm = active_blocks(f, block[0] * block[1] * block[2], dynamic);

		if (blocks > (uint64_t)per_sm * sg_sm_count())
			return CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE;
	}
	if (sg_capturing(ctx, stream))
		return capture(ctx, handle, grid, block, dynamic, stream, cooperative, params, extra);
	rc = sg_stream_get(ctx, stream, &s);
	if (rc)
		return rc;
	lw = sg_work_new(sizeof(*lw) + fn->param_bytes + 16, run_launch);
	if (!lw) {
		sg_stream_put(s);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	lw->w.release = release_launch;
	lw->launch = (struct sg_launch){
		.fn = fn, .grid = { grid[0], grid[1], grid[2] },
		.block = { block[0], block[1], block[2] }, .dyn_shared = dynamic,
		.shared_total = fn->image->ptx->dyn_shared + dynamic,
		.local_cap = local_bytes(fn, ctx->stack_limit), .stack_limit = ctx->stack_limit,
		.malloc_limit = ctx->malloc_limit, .grid_id = next_grid++,
		.cooperative = cooperative, .params = lw->params, .heap = &ctx->dev->heap,
		.nsm = sg_sm_count(),
	};
	if (fn->image->reserved_smem) {
		/* a GPU has it below the program's shared memory, here it is above */
		lw->launch.reserved_smem = (lw->launch.shared_total + 127) & ~127u;
		lw->launch.shared_total = lw->launch.reserved_smem + SG_RESERVED_SMEM;
	}
	rc = sg_gather(fn, lw->params, params, extra);
	if (!rc && cooperative)
		rc = sg_heap_alloc(&ctx->dev->heap, 64, 64, RG_INTERNAL, ctx,
				   &lw->launch.coop_workspace);
	if (rc)
		free(lw);
	else
		rc = sg_submit(s, &lw->w);
	sg_stream_put(s);
	return rc;
}

SG_API CUresult cuLaunchKernel(CUfunction f, unsigned int gx, unsigned int gy, unsigned int gz,
			       unsigned int bx, unsigned int by, unsigned int bz,
			       unsigned int dynamic, CUstream stream, void **params, void **extra)
{
	const unsigned int grid[3] = { gx, gy, gz }, block[3] = { bx, by, bz };

	return launch(f, grid, block, dynamic, stream, false, params, extra);
}

SG_API CUresult cuLaunchCooperativeKernel(CUfunction f, unsigned int gx, unsigned int gy,
					  unsigned int gz, unsigned int bx, unsigned int by,
					  unsigned int bz, unsigned int dynamic, CUstream stream,
					  void **params)
{
	const unsigned int grid[3] = { gx, gy, gz }, block[3] = { bx, by, bz };

	return launch(f, grid, block, dynamic, stream, true, params, NULL);
}

SG_API CUresult cuLaunchKernelEx(const CUlaunchConfig *c, CUfunction f, void **params, void **extra)
{
	bool cooperative = false;

	if (!c || (c->numAttrs && !c->attrs))
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned int i = 0; i < c->numAttrs; i++) {
		const CUlaunchAttributeValue *v = &c->attrs[i].value;

		switch (c->attrs[i].id) {
		case CU_LAUNCH_ATTRIBUTE_COOPERATIVE:
			cooperative = v->cooperative;
			break;
		case CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION:
			if (v->clusterDim.x > 1 || v->clusterDim.y > 1 || v->clusterDim.z > 1)
				return CUDA_ERROR_NOT_SUPPORTED;
			break;
		/* hints, and permission to start early, which need not be used */
		case CU_LAUNCH_ATTRIBUTE_IGNORE:
		case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
		case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
		case CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
		case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION:
		case CU_LAUNCH_ATTRIBUTE_PRIORITY:
		case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
		case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
		case CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
			break;
		default:
			return CUDA_ERROR_NOT_SUPPORTED;
		}
	}
	return launch(f, (unsigned int[]){ c->gridDimX, c->gridDimY, c->gridDimZ },
		      (unsigned int[]){ c->blockDimX, c->blockDimY, c->blockDimZ },
		      c->sharedMemBytes, c->hStream, cooperative, params, extra);
}

/* Occupancy */

static CUresult occupancy_of(CUfunction handle, CUfunction *f)
{
	SG_ENTER(ctx);
	return sg_function_get(ctx, handle, f);
}

SG_API CUresult cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, CUfunction handle,
								      int threads, size_t dynamic,
								      unsigned int flags)
{
	CUfunction f;
	CUresult rc = occupancy_of(handle, &f);

	if (rc)
		return rc;
	if (!blocks || threads < 1 || flags & ~CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE)
		return CUDA_ERROR_INVALID_VALUE;
	*blocks = active_blocks(f, threads, dynamic);
	return CUDA_SUCCESS;
}

SG_API CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, CUfunction handle,
							     int threads, size_t dynamic)
{
	return cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, handle, threads,
								     dynamic, 0);
}

SG_API CUresult cuOccupancyMaxPotentialBlockSizeWithFlags(int *grid, int *block, CUfunction handle,
							   CUoccupancyB2DSize sizer, size_t dynamic,
							   int limit, unsigned int flags)
{
	CUfunction f;
	CUresult rc = occupancy_of(handle, &f);
	int most, best = 0, best_threads = 0;

	if (rc)
		return rc;
	if (!grid || !block || flags & ~CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE)
		return CUDA_ERROR_INVALID_VALUE;
	sg_func_attribute(f, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, &most);
	if (limit > 0 && limit < most)
		most = limit;
	for (int n = most; n > 0; n = (n - 1) / 32 * 32) {
		int threads = n * active_blocks(f, n, sizer ? sizer(n) : dynamic);

		if (threads > best) {
			best = threads;
			best_threads = n;
		}
	}
	if (!best)
		return CUDA_ERROR_INVALID_VALUE;
	*block = best_threads;
	*grid = best / best_threads * sg_sm_count();
	return CUDA_SUCCESS;
}

SG_API CUresult cuOccupancyMaxPotentialBlockSize(int *grid, int *block, CUfunction handle,
						  CUoccupancyB2DSize sizer, size_t dynamic,
						  int limit)
{
	return cuOccupancyMaxPotentialBlockSizeWithFlags(grid, block, handle, sizer, dynamic,
							 limit, 0);
}

SG_API CUresult cuOccupancyAvailableDynamicSMemPerBlock(size_t *dynamic, CUfunction handle,
							 int blocks, int threads)
{
	CUfunction f;
	CUresult rc = occupancy_of(handle, &f);
	size_t each;

	if (rc)
		return rc;
	if (!dynamic || blocks < 1 || active_blocks(f, threads, 0) < blocks)
		return CUDA_ERROR_INVALID_VALUE;
	each = SM_SHARED / blocks - BLOCK_RESERVED - f->fn->shared_bytes;
	*dynamic = each < (size_t)f->max_dynamic ? each : (size_t)f->max_dynamic;
	return CUDA_SUCCESS;
}
