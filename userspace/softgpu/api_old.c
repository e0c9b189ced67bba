// SPDX-License-Identifier: Apache-2.0
/*
 * Entry points of older versions of the interface. Programs compiled today do not call them, but
 * libraries look them up, and cuFFT makes no plan where one is missing.
 */
#include <string.h>

#include "api.h"

SG_API CUresult cuCtxDestroy(CUcontext ctx)
{
	return cuCtxDestroy_v2(ctx);
}

SG_API CUresult cuCtxPopCurrent(CUcontext *ctx)
{
	return cuCtxPopCurrent_v2(ctx);
}

SG_API CUresult cuCtxPushCurrent(CUcontext ctx)
{
	return cuCtxPushCurrent_v2(ctx);
}

SG_API CUresult cuEventDestroy(CUevent event)
{
	return cuEventDestroy_v2(event);
}

SG_API CUresult cuStreamDestroy(CUstream s)
{
	return cuStreamDestroy_v2(s);
}

/* Each with the variant in which NULL is the calling thread's own default stream. */
#define STREAM(name, suffix, params, ...) \
	SG_API CUresult name params \
	{ \
		return name ## suffix(__VA_ARGS__); \
	} \
	SG_API CUresult name ## _ptsz params \
	{ \
		return name ## suffix ## _ptsz(__VA_ARGS__); \
	}

STREAM(cuStreamWaitValue32, _v2,
       (CUstream s, CUdeviceptr at, cuuint32_t value, unsigned int flags), s, at, value, flags)
STREAM(cuStreamWaitValue64, _v2,
       (CUstream s, CUdeviceptr at, cuuint64_t value, unsigned int flags), s, at, value, flags)
STREAM(cuStreamWriteValue32, _v2,
       (CUstream s, CUdeviceptr at, cuuint32_t value, unsigned int flags), s, at, value, flags)
STREAM(cuStreamWriteValue64, _v2,
       (CUstream s, CUdeviceptr at, cuuint64_t value, unsigned int flags), s, at, value, flags)
STREAM(cuStreamBatchMemOp, _v2,
       (CUstream s, unsigned int n, CUstreamBatchMemOpParams *ops, unsigned int flags),
       s, n, ops, flags)
STREAM(cuStreamBeginCapture, _v2, (CUstream s), s, CU_STREAM_CAPTURE_MODE_GLOBAL)

/* What a kernel node had before kernels of libraries, which belong to no context. */
static const CUDA_KERNEL_NODE_PARAMS *widened(const CUDA_KERNEL_NODE_PARAMS_v1 *p,
					      CUDA_KERNEL_NODE_PARAMS *room)
{
	if (!p)
		return NULL;
	*room = (CUDA_KERNEL_NODE_PARAMS){ 0 };
	memcpy(room, p, sizeof(*p));
	return room;
}

SG_API CUresult cuGraphAddKernelNode(CUgraphNode *out, CUgraph g, const CUgraphNode *deps, size_t n,
				     const CUDA_KERNEL_NODE_PARAMS_v1 *p)
{
	CUDA_KERNEL_NODE_PARAMS room;

	return cuGraphAddKernelNode_v2(out, g, deps, n, widened(p, &room));
}

SG_API CUresult cuGraphKernelNodeSetParams(CUgraphNode n, const CUDA_KERNEL_NODE_PARAMS_v1 *p)
{
	CUDA_KERNEL_NODE_PARAMS room;

	return cuGraphKernelNodeSetParams_v2(n, widened(p, &room));
}

SG_API CUresult cuGraphExecKernelNodeSetParams(CUgraphExec x, CUgraphNode n,
					       const CUDA_KERNEL_NODE_PARAMS_v1 *p)
{
	CUDA_KERNEL_NODE_PARAMS room;

	return cuGraphExecKernelNodeSetParams_v2(x, n, widened(p, &room));
}

/* A kernel of a library has no function that the older structure could name. */
SG_API CUresult cuGraphKernelNodeGetParams(CUgraphNode n, CUDA_KERNEL_NODE_PARAMS_v1 *p)
{
	CUDA_KERNEL_NODE_PARAMS now;
	CUresult rc;

	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	rc = cuGraphKernelNodeGetParams_v2(n, &now);
	if (!rc && !now.func && now.kern)
		rc = cuKernelGetFunction(&now.func, now.kern);
	if (!rc)
		memcpy(p, &now, sizeof(*p));
	return rc;
}

SG_API CUresult cuGraphInstantiate_v2(CUgraphExec *exec, CUgraph g, CUgraphNode *error, char *log,
				      size_t bytes)
{
	if (error)
		*error = NULL;
	if (log && bytes)
		*log = '\0';
	return cuGraphInstantiateWithFlags(exec, g, 0);
}

SG_API CUresult cuGraphInstantiate(CUgraphExec *exec, CUgraph g, CUgraphNode *error, char *log,
				   size_t bytes)
{
	return cuGraphInstantiate_v2(exec, g, error, log, bytes);
}

/* An edge without data is what the older interface has. */
SG_API CUresult cuGraphAddDependencies(CUgraph g, const CUgraphNode *from, const CUgraphNode *to,
				       size_t n)
{
	return cuGraphAddDependencies_v2(g, from, to, NULL, n);
}

SG_API CUresult cuGraphRemoveDependencies(CUgraph g, const CUgraphNode *from, const CUgraphNode *to,
					  size_t n)
{
	return cuGraphRemoveDependencies_v2(g, from, to, NULL, n);
}

SG_API CUresult cuGraphGetEdges(CUgraph g, CUgraphNode *from, CUgraphNode *to, size_t *n)
{
	return cuGraphGetEdges_v2(g, from, to, NULL, n);
}

SG_API CUresult cuGraphNodeGetDependencies(CUgraphNode node, CUgraphNode *out, size_t *n)
{
	return cuGraphNodeGetDependencies_v2(node, out, NULL, n);
}

SG_API CUresult cuGraphNodeGetDependentNodes(CUgraphNode node, CUgraphNode *out, size_t *n)
{
	return cuGraphNodeGetDependentNodes_v2(node, out, NULL, n);
}

SG_API CUresult cuGraphExecUpdate(CUgraphExec x, CUgraph g, CUgraphNode *error,
				  CUgraphExecUpdateResult *result)
{
	CUgraphExecUpdateResultInfo info = { 0 };
	CUresult rc = cuGraphExecUpdate_v2(x, g, &info);

	if (error)
		*error = info.errorNode;
	if (result)
		*result = info.result;
	return rc;
}
