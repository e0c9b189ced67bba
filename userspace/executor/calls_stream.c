// SPDX-License-Identifier: Apache-2.0
/* Attributes of streams. */
#include <string.h>

#include "calls.h"
#include "vg_cuda.h"

CUresult vge_vgpu_stream_attribute_get(struct vg_exec *x, const struct vg_req *rq, CUstream s,
				       unsigned int id, vgpu_attribute *value)
{
	CUstreamAttrValue v = { 0 };
	CUresult r;

	(void)x;
	(void)rq;
	if (!cu.cuStreamGetAttribute || !vg_x_attribute_plain(id))
		return CUDA_ERROR_NOT_SUPPORTED;
	r = cu.cuStreamGetAttribute(s, id, &v);
	value->id = id;
	memcpy(value->value, &v, sizeof(value->value));
	return r;
}

CUresult vge_vgpu_stream_attribute_set(struct vg_exec *x, const struct vg_req *rq, CUstream s,
				       const vgpu_attribute *value)
{
	CUstreamAttrValue v;

	(void)x;
	(void)rq;
	if (!cu.cuStreamSetAttribute || !vg_x_attribute_plain(value->id))
		return CUDA_ERROR_NOT_SUPPORTED;
	memcpy(&v, value->value, sizeof(v));
	return cu.cuStreamSetAttribute(s, value->id, &v);
}
