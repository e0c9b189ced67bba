// SPDX-License-Identifier: Apache-2.0
/* Modules and libraries: loading with the compiler's options and logs. */
#include "calls_jit.h"
#include "vg_cuda.h"

CUresult vge_vgpu_module_load(struct vg_exec *x, const struct vg_req *rq, CUmodule *module,
			      unsigned int log, const unsigned int *keys, const uint64_t *values,
			      unsigned int count, const void *image, size_t bytes)
{
	struct vg_x_taking before;
	struct vg_x_image i;
	struct vg_x_jit o;
	CUresult r;

	(void)rq;
	if (!cu.cuModuleLoadDataEx || !cu.cuModuleUnload)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = vg_x_image_take(&i, image, bytes);
	if (r)
		return r;
	r = vg_x_jit_take(&o, keys, values, count, log);
	vg_x_taking(&before);
	before.surely = true;
	if (!r)
		r = cu.cuModuleLoadDataEx(module, i.start, o.count, o.key, o.value);
	if (!r && !vg_x_taken(x, &before)) {
		cu.cuModuleUnload(*module);
		vg_exec_unsettled(x);
		vg_exec_settle_memory(x, true);
		r = CUDA_ERROR_OUT_OF_MEMORY;
	}
	vg_x_jit_keep(&o);
	vg_x_image_drop(&i);
	return r;
}

CUresult vge_vgpu_library_load(struct vg_exec *x, const struct vg_req *rq, CUlibrary *library,
			       unsigned int log, const unsigned int *keys, const uint64_t *values,
			       unsigned int count, const void *image, size_t bytes)
{
	struct vg_x_taking before;
	struct vg_x_image i;
	struct vg_x_jit o;
	CUresult r;

	(void)rq;
	if (!cu.cuLibraryLoadData || !cu.cuLibraryUnload)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = vg_x_image_take(&i, image, bytes);
	if (r)
		return r;
	r = vg_x_jit_take(&o, keys, values, count, log);
	vg_x_taking(&before);
	if (!r)
		r = cu.cuLibraryLoadData(library, i.start, o.key, o.value, o.count, NULL, NULL, 0);
	if (!r && !vg_x_taken(x, &before)) {
		cu.cuLibraryUnload(*library);
		vg_exec_unsettled(x);
		vg_exec_settle_memory(x, true);
		r = CUDA_ERROR_OUT_OF_MEMORY;
	}
	vg_x_jit_keep(&o);
	vg_x_image_drop(&i);
	return r;
}

/*
 * The driver loads a library into a context when the context first needs something of it.  If its
 * variables do not fit, the library goes, for nothing less takes them from the device.
 */
CUresult vge_cuLibraryGetGlobal(struct vg_exec *x, const struct vg_req *rq, CUdeviceptr *dptr,
				size_t *bytes, CUlibrary library, const char *name)
{
	const struct vg_rq_cuLibraryGetGlobal *q = rq->payload;
	uint64_t beyond = vg_exec_beyond(x);
	struct vg_x_taking before;
	CUresult r;

	if (!cu.cuLibraryGetGlobal || !cu.cuLibraryUnload)
		return CUDA_ERROR_NOT_SUPPORTED;
	vg_x_taking(&before);
	before.surely = true;
	r = cu.cuLibraryGetGlobal(dptr, bytes, library, name);
	if (r || vg_x_taken(x, &before) || vg_exec_beyond(x) <= beyond)
		return r;
	vg_exec_settle(x, q->library);
	vg_x_destroyed(x, cu.cuLibraryUnload(library), q->library, VG_LIBRARY);
	vg_exec_unsettled(x);
	vg_exec_settle_memory(x, true);
	return CUDA_ERROR_OUT_OF_MEMORY;
}
