// SPDX-License-Identifier: Apache-2.0
/* Attributes of streams: what of them matters to nobody here is kept and given back. */
#include <string.h>

#include "api.h"

SG_API CUresult cuStreamSetAttribute(CUstream stream, CUstreamAttrID id,
				     const CUstreamAttrValue *value)
{
	CUstream s;
	CUresult rc;

	SG_ENTER(ctx);
	if (!value)
		return CUDA_ERROR_INVALID_VALUE;
	rc = sg_stream_get(ctx, stream, &s);
	if (rc)
		return rc;
	switch (id) {
	case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
		if (value->syncPolicy < CU_SYNC_POLICY_AUTO ||
		    value->syncPolicy > CU_SYNC_POLICY_BLOCKING_SYNC)
			rc = CUDA_ERROR_INVALID_VALUE;
		else
			s->policy = value->syncPolicy;
		break;
	case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
		s->window = value->accessPolicyWindow;
		break;
	case CU_LAUNCH_ATTRIBUTE_PRIORITY:
		break;		/* clamped to the range, which is the single value 0 */
	default:
		rc = CUDA_ERROR_INVALID_VALUE;
	}
	sg_stream_put(s);
	return rc;
}

SG_API CUresult cuStreamGetAttribute(CUstream stream, CUstreamAttrID id, CUstreamAttrValue *value)
{
	CUstream s;
	CUresult rc;

	SG_ENTER(ctx);
	if (!value)
		return CUDA_ERROR_INVALID_VALUE;
	rc = sg_stream_get(ctx, stream, &s);
	if (rc)
		return rc;
	memset(value, 0, sizeof(*value));
	switch (id) {
	case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
		value->syncPolicy = s->policy ? s->policy : CU_SYNC_POLICY_AUTO;
		break;
	case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
		value->accessPolicyWindow = s->window;
		break;
	case CU_LAUNCH_ATTRIBUTE_PRIORITY:
		value->priority = s->priority;
		break;
	default:
		rc = CUDA_ERROR_INVALID_VALUE;
	}
	sg_stream_put(s);
	return rc;
}

SG_API CUresult cuStreamCopyAttributes(CUstream to, CUstream from)
{
	static const CUstreamAttrID ids[] = {
		CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY,
		CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW,
	};
	CUstreamAttrValue v;
	CUresult rc = CUDA_SUCCESS;

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]) && !rc; i++) {
		rc = cuStreamGetAttribute(from, ids[i], &v);
		if (!rc)
			rc = cuStreamSetAttribute(to, ids[i], &v);
	}
	return rc;
}
