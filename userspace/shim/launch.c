// SPDX-License-Identifier: Apache-2.0
/*
 * Launches get no answer: what CUDA checks at the call is checked here first.
 * A launch that looks wrong is sent with an answer, so that the driver itself
 * says what is wrong with it.
 */
#include <stdlib.h>

#include "client.h"
#include "launch.h"
#include "shim.h"
#include "shim_calls.h"

#define PARAMS_INLINE	8192u		/* of vgpu_launch */
#define PARAMS_MAX	65536u		/* of vgpu_launch_big */
#define ATTRS_MAX	32u

static bool dims_fit(const CUlaunchConfig *c, CUdevice dev)
{
	const unsigned int grid[3] = { c->gridDimX, c->gridDimY, c->gridDimZ };
	const unsigned int block[3] = { c->blockDimX, c->blockDimY, c->blockDimZ };

	for (int i = 0; i < 3; i++) {
		if (!grid[i] || grid[i] > (unsigned int)vg_attribute(
				dev, CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X + i))
			return false;
		if (!block[i] || block[i] > (unsigned int)vg_attribute(
				dev, CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X + i))
			return false;
	}
	return true;
}

static bool looks_right(const CUlaunchConfig *c, const struct vg_function *f, CUdevice dev)
{
	uint64_t threads = (uint64_t)c->blockDimX * c->blockDimY * c->blockDimZ;

	return dims_fit(c, dev) &&
	       threads <= (uint64_t)f->attribute[CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK] &&
	       c->sharedMemBytes <=
		       (unsigned int)f->attribute[CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES];
}

/* Sizes of clusters and of cooperative grids have rules that only the driver knows. */
static bool may_fail(const CUlaunchConfig *c, const struct vg_function *f)
{
	if (f->attribute[CU_FUNC_ATTRIBUTE_CLUSTER_SIZE_MUST_BE_SET])
		return true;
	for (unsigned int i = 0; i < c->numAttrs; i++)
		if (c->attrs[i].id != CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION &&
		    c->attrs[i].id != CU_LAUNCH_ATTRIBUTE_IGNORE)
			return true;
	return false;
}

/* Gather the parameters into one block, as `extra` would have them. */
CUresult vg_params_pack(struct vg_params *p, const struct vg_layout *l, void **params,
			void **extra)
{
	const void *block = NULL;
	size_t n = 0;

	p->block = p->small;
	p->bytes = 0;
	if (extra) {
		for (unsigned int i = 0; extra[i] != CU_LAUNCH_PARAM_END; i += 2) {
			if (extra[i] == CU_LAUNCH_PARAM_BUFFER_POINTER)
				block = extra[i + 1];
			else if (extra[i] == CU_LAUNCH_PARAM_BUFFER_SIZE)
				n = *(const size_t *)extra[i + 1];
			else
				return CUDA_ERROR_INVALID_VALUE;
		}
		if (params || n > PARAMS_MAX || (n && !block))
			return CUDA_ERROR_INVALID_VALUE;
	} else {
		if (!l->known)
			return CUDA_ERROR_NOT_SUPPORTED;
		n = l->bytes;
		if (l->params && !params)
			return CUDA_ERROR_INVALID_VALUE;
	}
	if (n > sizeof(p->small)) {
		p->block = malloc(n);
		if (!p->block)
			return CUDA_ERROR_OUT_OF_MEMORY;
	}
	p->bytes = n;
	if (extra) {
		if (n)
			memcpy(p->block, block, n);
		return CUDA_SUCCESS;
	}
	for (unsigned int i = 0, end = 0; i < l->params; i++) {
		/* Nothing of this process's stack crosses in the gaps. */
		if (l->offset[i] > end)
			memset(p->block + end, 0, l->offset[i] - end);
		memcpy(p->block + l->offset[i], params[i], l->size[i]);
		end = l->offset[i] + l->size[i];
	}
	return CUDA_SUCCESS;
}

void vg_params_free(struct vg_params *p)
{
	if (p->block != p->small)
		free(p->block);
}

/* Attributes in the form in which they cross: events as ids. */
static CUresult convert(const CUlaunchConfig *c, struct vgpu_attribute *out)
{
	if (c->numAttrs > ATTRS_MAX || (c->numAttrs && !c->attrs))
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned int i = 0; i < c->numAttrs; i++) {
		const CUlaunchAttribute *a = &c->attrs[i];
		CUlaunchAttributeValue v = a->value;
		uint32_t id;
		CUresult r;

		switch (a->id) {
		case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT:
			r = vg_object_id(v.programmaticEvent.event, VG_EVENT, &id);
			if (r)
				return r;
			v.programmaticEvent.event = (CUevent)(uintptr_t)id;
			break;
		case CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT:
			r = vg_object_id(v.launchCompletionEvent.event, VG_EVENT, &id);
			if (r)
				return r;
			v.launchCompletionEvent.event = (CUevent)(uintptr_t)id;
			break;
		case CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE:
			return vg_refuse("cuLaunchKernelEx with a device-updatable node",
					 "not implemented");
		default:
			break;
		}
		out[i].id = a->id;
		out[i].zero = 0;
		memcpy(out[i].value, &v, sizeof(out[i].value));
	}
	return CUDA_SUCCESS;
}

/* CUDA_LAUNCH_BLOCKING: a launch returns when its kernel has ended, with how it ended. */
static bool blocking;

void vg_launch_environment(void)
{
	const char *value = getenv("CUDA_LAUNCH_BLOCKING");

	blocking = value && atoi(value);
}

static CUresult end_of(CUstream s)
{
	CUstreamCaptureStatus status;
	CUresult r = vgh_cuStreamIsCapturing(s, &status);

	/* Under capture nothing runs yet. */
	if (r || status != CU_STREAM_CAPTURE_STATUS_NONE)
		return r;
	return vgh_cuStreamSynchronize(s);
}

static CUresult launch(const CUlaunchConfig *c, CUfunction function, void **params, void **extra)
{
	struct vg_object *o = vg_function_get(function);
	struct vgpu_attribute attrs[ATTRS_MAX];
	struct vg_params p;
	struct vg_function *f;
	bool wait;
	CUresult r;

	r = vg_context_ready();
	if (unlikely(r))
		return r;
	if (unlikely(!o))
		return CUDA_ERROR_INVALID_HANDLE;
	r = vg_function_fetch(o, vg_current()->device, &f);
	if (!r && c->numAttrs)
		r = convert(c, attrs);
	if (!r)
		r = vg_params_pack(&p, &f->layout, params, extra);
	if (unlikely(r))
		return r;
	wait = !looks_right(c, f, vg_current()->device) || may_fail(c, f);
	if (p.bytes <= PARAMS_INLINE)
		r = vgw_vgpu_launch(wait, function, c->hStream, c->gridDimX, c->gridDimY,
				    c->gridDimZ, c->blockDimX, c->blockDimY, c->blockDimZ,
				    c->sharedMemBytes, c->numAttrs, p.bytes, attrs,
				    p.block);
	else
		r = vgw_vgpu_launch_big(wait, function, c->hStream, c->gridDimX, c->gridDimY,
					c->gridDimZ, c->blockDimX, c->blockDimY, c->blockDimZ,
					c->sharedMemBytes, c->numAttrs, attrs, p.block,
					p.bytes);
	vg_params_free(&p);
	if (unlikely(blocking) && !r)
		r = end_of(c->hStream);
	return r;
}

CUresult vgh_cuLaunchKernel(CUfunction f, unsigned int gx, unsigned int gy, unsigned int gz,
			    unsigned int bx, unsigned int by, unsigned int bz, unsigned int shared,
			    CUstream stream, void **params, void **extra)
{
	const CUlaunchConfig c = {
		.gridDimX = gx, .gridDimY = gy, .gridDimZ = gz, .blockDimX = bx, .blockDimY = by,
		.blockDimZ = bz, .sharedMemBytes = shared, .hStream = stream,
	};

	return launch(&c, f, params, extra);
}

CUresult vgh_cuLaunchCooperativeKernel(CUfunction f, unsigned int gx, unsigned int gy,
				       unsigned int gz, unsigned int bx, unsigned int by,
				       unsigned int bz, unsigned int shared, CUstream stream,
				       void **params)
{
	CUlaunchAttribute cooperative = {
		.id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE, .value.cooperative = 1,
	};
	const CUlaunchConfig c = {
		.gridDimX = gx, .gridDimY = gy, .gridDimZ = gz, .blockDimX = bx, .blockDimY = by,
		.blockDimZ = bz, .sharedMemBytes = shared, .hStream = stream,
		.attrs = &cooperative, .numAttrs = 1,
	};

	return launch(&c, f, params, NULL);
}

/* On one device it is a cooperative launch, in the context of its stream. */
CUresult vgh_cuLaunchCooperativeKernelMultiDevice(CUDA_LAUNCH_PARAMS *p, unsigned int count,
						  unsigned int flags)
{
	const unsigned int known = CUDA_COOPERATIVE_LAUNCH_MULTI_DEVICE_NO_PRE_LAUNCH_SYNC |
				   CUDA_COOPERATIVE_LAUNCH_MULTI_DEVICE_NO_POST_LAUNCH_SYNC;
	struct vg_context *c;
	struct vg_object *popped;
	bool pushed;
	CUresult r;

	if (!p || !count || count > (unsigned int)vg_device_count || flags & ~known)
		return CUDA_ERROR_INVALID_VALUE;
	if (count > 1)
		return vg_refuse("cuLaunchCooperativeKernelMultiDevice", "on more than one device");
	if (!p->hStream || p->hStream == CU_STREAM_LEGACY || p->hStream == CU_STREAM_PER_THREAD)
		return CUDA_ERROR_INVALID_VALUE;
	c = vg_object_context(p->hStream, VG_STREAM);
	if (!c)
		return vg_object_wrong(p->hStream, VG_STREAM);
	pushed = c != vg_current();
	r = pushed ? vg_context_push(c->object) : CUDA_SUCCESS;
	if (r)
		return r;
	r = vgh_cuLaunchCooperativeKernel(p->function, p->gridDimX, p->gridDimY, p->gridDimZ,
					  p->blockDimX, p->blockDimY, p->blockDimZ,
					  p->sharedMemBytes, p->hStream, p->kernelParams);
	if (pushed)
		vg_context_pop(&popped);
	return r;
}

CUresult vgh_cuLaunchKernelEx(CUstream none, const CUlaunchConfig *config, CUfunction f,
			      void **params, void **extra)
{
	CUlaunchConfig c;

	if (!config)
		return CUDA_ERROR_INVALID_VALUE;
	c = *config;
	if (!c.hStream)
		c.hStream = none;
	return launch(&c, f, params, extra);
}

/* -- questions about clusters, which take a launch configuration too */

static CUresult cluster(unsigned int which, int *value, CUfunction f, const CUlaunchConfig *c)
{
	struct vgpu_attribute attrs[ATTRS_MAX];
	CUresult r;

	if (!value || !c)
		return CUDA_ERROR_INVALID_VALUE;
	r = convert(c, attrs);
	return r ? r : vgw_vgpu_cluster(which, f, c->hStream, c->gridDimX, c->gridDimY, c->gridDimZ,
					c->blockDimX, c->blockDimY, c->blockDimZ,
					c->sharedMemBytes, c->numAttrs, attrs, value);
}

CUresult vgh_cuOccupancyMaxPotentialClusterSize(int *size, CUfunction f, const CUlaunchConfig *c)
{
	return cluster(0, size, f, c);
}

CUresult vgh_cuOccupancyMaxActiveClusters(int *count, CUfunction f, const CUlaunchConfig *c)
{
	return cluster(1, count, f, c);
}
