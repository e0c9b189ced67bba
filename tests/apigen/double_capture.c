// SPDX-License-Identifier: Apache-2.0
/* One capture at a time of the stand-in for the driver, which nothing is captured into. */
#include <stddef.h>

#include "double.h"

static CUstream in;
static char graph;

EXPORT CUresult cuStreamBeginCapture_v2(CUstream s, CUstreamCaptureMode mode)
{
	(void)mode;
	if (in || !double_is(s, STREAM))
		return CUDA_ERROR_ILLEGAL_STATE;
	in = s;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamGetCaptureInfo_v2(CUstream s, CUstreamCaptureStatus *status, cuuint64_t *id,
					  CUgraph *under, const CUgraphNode **nodes, size_t *count)
{
	*status = in && s == in ? CU_STREAM_CAPTURE_STATUS_ACTIVE : CU_STREAM_CAPTURE_STATUS_NONE;
	*id = 1;
	*under = (CUgraph)&graph;
	*nodes = NULL;
	*count = 0;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamEndCapture(CUstream s, CUgraph *made)
{
	if (!in || s != in)
		return CUDA_ERROR_ILLEGAL_STATE;
	in = NULL;
	*made = (CUgraph)&graph;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphDestroy(CUgraph g)
{
	return g == (CUgraph)&graph ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
