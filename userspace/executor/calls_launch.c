// SPDX-License-Identifier: Apache-2.0
/* Launches, and what a launch has to know of its function. */
#include <string.h>

#include "calls.h"
#include "vg_cuda.h"

#define ATTRS_MAX 32u

bool vg_x_attribute_plain(unsigned int id)
{
	switch (id) {
	case CU_LAUNCH_ATTRIBUTE_IGNORE:
	case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
	case CU_LAUNCH_ATTRIBUTE_COOPERATIVE:
	case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
	case CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION:
	case CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
	case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION:
	case CU_LAUNCH_ATTRIBUTE_PRIORITY:
	case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
	case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
	case CU_LAUNCH_ATTRIBUTE_PREFERRED_CLUSTER_DIMENSION:
	case CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
		return true;
	default:
		return false;
	}
}

/* Attributes as the driver wants them; only those whose meaning is known here pass. */
static CUresult convert(struct vg_exec *x, const vgpu_attribute *in, unsigned int n,
			CUlaunchAttribute *out)
{
	uint64_t event;

	for (unsigned int i = 0; i < n; i++) {
		memset(&out[i], 0, sizeof(out[i]));
		out[i].id = in[i].id;
		memcpy(&out[i].value, in[i].value, sizeof(out[i].value));
		switch (out[i].id) {
		case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT:
			if (!vg_handle_get(vg_exec_handles(x), (uint32_t)in[i].value[0], VG_EVENT,
					   &event))
				return vg_wrong_handle(VG_EVENT);
			out[i].value.programmaticEvent.event = (CUevent)(uintptr_t)event;
			break;
		case CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT:
			if (!vg_handle_get(vg_exec_handles(x), (uint32_t)in[i].value[0], VG_EVENT,
					   &event))
				return vg_wrong_handle(VG_EVENT);
			out[i].value.launchCompletionEvent.event = (CUevent)(uintptr_t)event;
			break;
		default:
			if (!vg_x_attribute_plain(in[i].id))
				return CUDA_ERROR_NOT_SUPPORTED;
		}
	}
	return CUDA_SUCCESS;
}

/* Apart, so that a launch without attributes need not set all this up. */
static __attribute__((noinline)) CUresult launch_with(struct vg_exec *x, CUfunction f,
						      CUlaunchConfig *c, const vgpu_attribute *attrs,
						      void **how)
{
	CUlaunchAttribute converted[ATTRS_MAX];
	CUresult r;

	if (!cu.cuLaunchKernelEx)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = convert(x, attrs, c->numAttrs, converted);
	if (r)
		return r;
	c->attrs = converted;
	return cu.cuLaunchKernelEx(c, f, NULL, how);
}

/* Apart, because the driver may load the kernel now, or give its threads larger stacks. */
static __attribute__((noinline)) CUresult launch_first(struct vg_exec *x, const struct vg_req *rq,
						       uint32_t id, CUfunction f, CUlaunchConfig *c,
						       const vgpu_attribute *attrs, void **how)
{
	struct vg_x_launch l;
	CUresult r;

	if (!cu.cuLaunchKernel)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!vg_x_launch_begin(x, id, rq->ctx, f, &l))
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (c->numAttrs)
		r = launch_with(x, f, c, attrs, how);
	else
		r = cu.cuLaunchKernel(f, c->gridDimX, c->gridDimY, c->gridDimZ, c->blockDimX,
				      c->blockDimY, c->blockDimZ, c->sharedMemBytes, c->hStream,
				      NULL, how);
	vg_x_launch_end(x, id, rq->ctx, c->hStream, r, &l);
	return r;
}

static inline CUresult launch(struct vg_exec *x, const struct vg_req *rq, uint32_t id, CUfunction f,
			      CUstream stream, unsigned int gx, unsigned int gy, unsigned int gz,
			      unsigned int bx, unsigned int by, unsigned int bz,
			      unsigned int shared, unsigned int nattrs,
			      const vgpu_attribute *attrs, const void *params, size_t bytes)
{
	void *extra[] = {
		CU_LAUNCH_PARAM_BUFFER_POINTER, (void *)params,
		CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes, CU_LAUNCH_PARAM_END,
	};
	void **how = bytes ? extra : NULL;
	bool before = vg_x_launched(id, rq->ctx);

	if (nattrs || !before) {
		CUlaunchConfig c = { gx, gy, gz, bx, by, bz, shared, stream, NULL, nattrs };

		return before ? launch_with(x, f, &c, attrs, how) :
				launch_first(x, rq, id, f, &c, attrs, how);
	}
	if (!cu.cuLaunchKernel)
		return CUDA_ERROR_NOT_SUPPORTED;
	return cu.cuLaunchKernel(f, gx, gy, gz, bx, by, bz, shared, stream, NULL, how);
}

CUresult vge_vgpu_launch(struct vg_exec *x, const struct vg_req *rq, CUfunction f, CUstream stream,
			 unsigned int gx, unsigned int gy, unsigned int gz, unsigned int bx,
			 unsigned int by, unsigned int bz, unsigned int shared, unsigned int nattrs,
			 unsigned int nparams, const vgpu_attribute *attrs, const void *params)
{
	const struct vg_rq_vgpu_launch *q = rq->payload;

	return launch(x, rq, q->f, f, stream, gx, gy, gz, bx, by, bz, shared, nattrs, attrs,
		      params, nparams);
}

CUresult vge_vgpu_launch_big(struct vg_exec *x, const struct vg_req *rq, CUfunction f,
			     CUstream stream, unsigned int gx, unsigned int gy, unsigned int gz,
			     unsigned int bx, unsigned int by, unsigned int bz, unsigned int shared,
			     unsigned int nattrs, const vgpu_attribute *attrs, const void *params,
			     size_t bytes)
{
	const struct vg_rq_vgpu_launch_big *q = rq->payload;

	return launch(x, rq, q->f, f, stream, gx, gy, gz, bx, by, bz, shared, nattrs, attrs,
		      params, bytes);
}

CUresult vge_vgpu_cluster(struct vg_exec *x, const struct vg_req *rq, unsigned int which,
			  CUfunction f, CUstream stream, unsigned int gx, unsigned int gy,
			  unsigned int gz, unsigned int bx, unsigned int by, unsigned int bz,
			  unsigned int shared, unsigned int nattrs, const vgpu_attribute *attrs,
			  int *value)
{
	CUlaunchAttribute converted[ATTRS_MAX];
	CUlaunchConfig c = { gx, gy, gz, bx, by, bz, shared, stream, converted, nattrs };
	CUresult (*ask)(int *, CUfunction, const CUlaunchConfig *);
	CUresult r;

	(void)rq;
	ask = which ? cu.cuOccupancyMaxActiveClusters : cu.cuOccupancyMaxPotentialClusterSize;
	if (!ask)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = convert(x, attrs, nattrs, converted);
	return r ? r : ask(value, f, &c);
}

/* -- what is known of a function */

static CUresult layout(vgpu_function_info *info, unsigned int first, bool kernel, void *f)
{
	size_t offset, size;
	unsigned int n = 0;
	CUresult r;

	if (kernel ? !cu.cuKernelGetParamInfo : !cu.cuFuncGetParamInfo)
		return CUDA_SUCCESS;
	info->layout_known = 1;
	/* The driver's only way to say how many there are is INVALID_VALUE after the last. */
	while (!(r = kernel ? cu.cuKernelGetParamInfo(f, n, &offset, &size) :
			      cu.cuFuncGetParamInfo(f, n, &offset, &size))) {
		if (offset > UINT16_MAX || size > UINT16_MAX) {
			info->layout_known = 0;
			return CUDA_SUCCESS;
		}
		if (n >= first && n - first < VG_PARAMS_MAX) {
			info->offset[n - first] = offset;
			info->size[n - first] = size;
		}
		n++;
	}
	info->params = n;
	return r == CUDA_ERROR_INVALID_VALUE ? CUDA_SUCCESS : r;
}

CUresult vge_vgpu_function_info(struct vg_exec *x, const struct vg_req *rq, CUfunction f,
				unsigned int first, vgpu_function_info *info)
{
	(void)x;
	(void)rq;
	if (!cu.cuFuncGetAttribute)
		return CUDA_ERROR_NOT_SUPPORTED;
	for (int a = 0; a < CU_FUNC_ATTRIBUTE_MAX; a++)
		info->known[a] = !cu.cuFuncGetAttribute(&info->attribute[a], a, f);
	return layout(info, first, false, f);
}

CUresult vge_vgpu_kernel_info(struct vg_exec *x, const struct vg_req *rq, CUkernel k, CUdevice dev,
			      unsigned int first, vgpu_function_info *info)
{
	(void)x;
	(void)rq;
	if (!cu.cuKernelGetAttribute)
		return CUDA_ERROR_NOT_SUPPORTED;
	for (int a = 0; a < CU_FUNC_ATTRIBUTE_MAX; a++)
		info->known[a] = !cu.cuKernelGetAttribute(&info->attribute[a], a, k, dev);
	return layout(info, first, true, k);
}

CUresult vge_cuEventElapsedTime_v2(struct vg_exec *x, const struct vg_req *rq, float *ms,
				   CUevent start, CUevent end)
{
	(void)x;
	(void)rq;
	if (cu.cuEventElapsedTime_v2)
		return cu.cuEventElapsedTime_v2(ms, start, end);
	if (cu.cuEventElapsedTime)
		return cu.cuEventElapsedTime(ms, start, end);
	return CUDA_ERROR_NOT_SUPPORTED;
}
