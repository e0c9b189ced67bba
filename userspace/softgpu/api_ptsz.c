// SPDX-License-Identifier: Apache-2.0
/*
 * The per-thread variants of the entry points that take a stream, or that use the default one: for
 * them NULL means the calling thread's own default stream.
 */
#include "api.h"

static CUstream own(CUstream s)
{
	return s ? s : CU_STREAM_PER_THREAD;
}

/* The synchronous ones run in that stream, too, and wait for it. */
static CUresult wait(CUresult rc)
{
	return rc ? rc : cuStreamSynchronize(CU_STREAM_PER_THREAD);
}

SG_API CUresult cuEventRecordWithFlags_ptsz(CUevent hEvent, CUstream hStream, unsigned int flags)
{
	return cuEventRecordWithFlags(hEvent, own(hStream), flags);
}

SG_API CUresult cuEventRecord_ptsz(CUevent hEvent, CUstream hStream)
{
	return cuEventRecord(hEvent, own(hStream));
}

SG_API CUresult cuLaunchCooperativeKernel_ptsz(CUfunction f, unsigned int gridDimX,
		unsigned int gridDimY, unsigned int gridDimZ, unsigned int blockDimX,
		unsigned int blockDimY, unsigned int blockDimZ, unsigned int sharedMemBytes,
		CUstream hStream, void **kernelParams)
{
	return cuLaunchCooperativeKernel(f, gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY,
		blockDimZ, sharedMemBytes, own(hStream), kernelParams);
}

SG_API CUresult cuLaunchHostFunc_ptsz(CUstream hStream, CUhostFn fn, void *userData)
{
	return cuLaunchHostFunc(own(hStream), fn, userData);
}

SG_API CUresult cuLaunchKernelEx_ptsz(const CUlaunchConfig *config, CUfunction f,
		void **kernelParams, void **extra)
{
	CUlaunchConfig own_config;

	if (!config)
		return CUDA_ERROR_INVALID_VALUE;
	own_config = *config;
	own_config.hStream = own(config->hStream);
	return cuLaunchKernelEx(&own_config, f, kernelParams, extra);
}

SG_API CUresult cuLaunchKernel_ptsz(CUfunction f, unsigned int gridDimX, unsigned int gridDimY,
		unsigned int gridDimZ, unsigned int blockDimX, unsigned int blockDimY,
		unsigned int blockDimZ, unsigned int sharedMemBytes, CUstream hStream,
		void **kernelParams, void **extra)
{
	return cuLaunchKernel(f, gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ,
		sharedMemBytes, own(hStream), kernelParams, extra);
}

SG_API CUresult cuMemAllocAsync_ptsz(CUdeviceptr *dptr, size_t bytesize, CUstream hStream)
{
	return cuMemAllocAsync(dptr, bytesize, own(hStream));
}

SG_API CUresult cuMemAllocFromPoolAsync_ptsz(CUdeviceptr *dptr, size_t bytesize,
		CUmemoryPool pool, CUstream hStream)
{
	return cuMemAllocFromPoolAsync(dptr, bytesize, pool, own(hStream));
}

SG_API CUresult cuMemFreeAsync_ptsz(CUdeviceptr dptr, CUstream hStream)
{
	return cuMemFreeAsync(dptr, own(hStream));
}

SG_API CUresult cuMemPrefetchAsync_ptsz(CUdeviceptr devPtr, size_t count, CUdevice dstDevice,
		CUstream hStream)
{
	return cuMemPrefetchAsync(devPtr, count, dstDevice, own(hStream));
}

SG_API CUresult cuMemPrefetchAsync_v2_ptsz(CUdeviceptr devPtr, size_t count,
		CUmemLocation location, unsigned int flags, CUstream hStream)
{
	return cuMemPrefetchAsync_v2(devPtr, count, location, flags, own(hStream));
}

SG_API CUresult cuMemcpy2DAsync_v2_ptsz(const CUDA_MEMCPY2D *pCopy, CUstream hStream)
{
	return cuMemcpy2DAsync_v2(pCopy, own(hStream));
}

SG_API CUresult cuMemcpy2DUnaligned_v2_ptds(const CUDA_MEMCPY2D *pCopy)
{
	return wait(cuMemcpy2DAsync_v2(pCopy, CU_STREAM_PER_THREAD));
}

SG_API CUresult cuMemcpy2D_v2_ptds(const CUDA_MEMCPY2D *pCopy)
{
	return wait(cuMemcpy2DAsync_v2(pCopy, CU_STREAM_PER_THREAD));
}

SG_API CUresult cuMemcpy3DAsync_v2_ptsz(const CUDA_MEMCPY3D *pCopy, CUstream hStream)
{
	return cuMemcpy3DAsync_v2(pCopy, own(hStream));
}

SG_API CUresult cuMemcpy3DPeerAsync_ptsz(const CUDA_MEMCPY3D_PEER *pCopy, CUstream hStream)
{
	return cuMemcpy3DPeerAsync(pCopy, own(hStream));
}

SG_API CUresult cuMemcpy3DPeer_ptds(const CUDA_MEMCPY3D_PEER *pCopy)
{
	return wait(cuMemcpy3DPeerAsync(pCopy, CU_STREAM_PER_THREAD));
}

SG_API CUresult cuMemcpy3D_v2_ptds(const CUDA_MEMCPY3D *pCopy)
{
	return wait(cuMemcpy3DAsync_v2(pCopy, CU_STREAM_PER_THREAD));
}

SG_API CUresult cuMemcpyAsync_ptsz(CUdeviceptr dst, CUdeviceptr src, size_t ByteCount,
		CUstream hStream)
{
	return cuMemcpyAsync(dst, src, ByteCount, own(hStream));
}

SG_API CUresult cuMemcpyDtoDAsync_v2_ptsz(CUdeviceptr dstDevice, CUdeviceptr srcDevice,
		size_t ByteCount, CUstream hStream)
{
	return cuMemcpyDtoDAsync_v2(dstDevice, srcDevice, ByteCount, own(hStream));
}

SG_API CUresult cuMemcpyDtoD_v2_ptds(CUdeviceptr dstDevice, CUdeviceptr srcDevice,
		size_t ByteCount)
{
	return wait(cuMemcpyDtoDAsync_v2(dstDevice, srcDevice, ByteCount, CU_STREAM_PER_THREAD));
}

SG_API CUresult cuMemcpyDtoHAsync_v2_ptsz(void *dstHost, CUdeviceptr srcDevice, size_t ByteCount,
		CUstream hStream)
{
	return cuMemcpyDtoHAsync_v2(dstHost, srcDevice, ByteCount, own(hStream));
}

SG_API CUresult cuMemcpyDtoH_v2_ptds(void *dstHost, CUdeviceptr srcDevice, size_t ByteCount)
{
	return wait(cuMemcpyDtoHAsync_v2(dstHost, srcDevice, ByteCount, CU_STREAM_PER_THREAD));
}

SG_API CUresult cuMemcpyHtoDAsync_v2_ptsz(CUdeviceptr dstDevice, const void *srcHost,
		size_t ByteCount, CUstream hStream)
{
	return cuMemcpyHtoDAsync_v2(dstDevice, srcHost, ByteCount, own(hStream));
}

SG_API CUresult cuMemcpyHtoD_v2_ptds(CUdeviceptr dstDevice, const void *srcHost, size_t ByteCount)
{
	return wait(cuMemcpyHtoDAsync_v2(dstDevice, srcHost, ByteCount, CU_STREAM_PER_THREAD));
}

SG_API CUresult cuMemcpyPeerAsync_ptsz(CUdeviceptr dstDevice, CUcontext dstContext,
		CUdeviceptr srcDevice, CUcontext srcContext, size_t ByteCount, CUstream hStream)
{
	return cuMemcpyPeerAsync(dstDevice, dstContext, srcDevice, srcContext, ByteCount,
		own(hStream));
}

SG_API CUresult cuMemcpyPeer_ptds(CUdeviceptr dstDevice, CUcontext dstContext,
		CUdeviceptr srcDevice, CUcontext srcContext, size_t ByteCount)
{
	return wait(cuMemcpyPeerAsync(dstDevice, dstContext, srcDevice, srcContext, ByteCount,
		CU_STREAM_PER_THREAD));
}

SG_API CUresult cuMemcpy_ptds(CUdeviceptr dst, CUdeviceptr src, size_t ByteCount)
{
	return wait(cuMemcpyAsync(dst, src, ByteCount, CU_STREAM_PER_THREAD));
}

SG_API CUresult cuMemsetD16Async_ptsz(CUdeviceptr dstDevice, unsigned short us, size_t N,
		CUstream hStream)
{
	return cuMemsetD16Async(dstDevice, us, N, own(hStream));
}

SG_API CUresult cuMemsetD16_v2_ptds(CUdeviceptr dstDevice, unsigned short us, size_t N)
{
	return wait(cuMemsetD16Async(dstDevice, us, N, CU_STREAM_PER_THREAD));
}

SG_API CUresult cuMemsetD2D16Async_ptsz(CUdeviceptr dstDevice, size_t dstPitch, unsigned short us,
		size_t Width, size_t Height, CUstream hStream)
{
	return cuMemsetD2D16Async(dstDevice, dstPitch, us, Width, Height, own(hStream));
}

SG_API CUresult cuMemsetD2D16_v2_ptds(CUdeviceptr dstDevice, size_t dstPitch, unsigned short us,
		size_t Width, size_t Height)
{
	return wait(cuMemsetD2D16Async(dstDevice, dstPitch, us, Width, Height,
		CU_STREAM_PER_THREAD));
}

SG_API CUresult cuMemsetD2D32Async_ptsz(CUdeviceptr dstDevice, size_t dstPitch, unsigned int ui,
		size_t Width, size_t Height, CUstream hStream)
{
	return cuMemsetD2D32Async(dstDevice, dstPitch, ui, Width, Height, own(hStream));
}

SG_API CUresult cuMemsetD2D32_v2_ptds(CUdeviceptr dstDevice, size_t dstPitch, unsigned int ui,
		size_t Width, size_t Height)
{
	return wait(cuMemsetD2D32Async(dstDevice, dstPitch, ui, Width, Height,
		CU_STREAM_PER_THREAD));
}

SG_API CUresult cuMemsetD2D8Async_ptsz(CUdeviceptr dstDevice, size_t dstPitch, unsigned char uc,
		size_t Width, size_t Height, CUstream hStream)
{
	return cuMemsetD2D8Async(dstDevice, dstPitch, uc, Width, Height, own(hStream));
}

SG_API CUresult cuMemsetD2D8_v2_ptds(CUdeviceptr dstDevice, size_t dstPitch, unsigned char uc,
		size_t Width, size_t Height)
{
	return wait(cuMemsetD2D8Async(dstDevice, dstPitch, uc, Width, Height,
		CU_STREAM_PER_THREAD));
}

SG_API CUresult cuMemsetD32Async_ptsz(CUdeviceptr dstDevice, unsigned int ui, size_t N,
		CUstream hStream)
{
	return cuMemsetD32Async(dstDevice, ui, N, own(hStream));
}

SG_API CUresult cuMemsetD32_v2_ptds(CUdeviceptr dstDevice, unsigned int ui, size_t N)
{
	return wait(cuMemsetD32Async(dstDevice, ui, N, CU_STREAM_PER_THREAD));
}

SG_API CUresult cuMemsetD8Async_ptsz(CUdeviceptr dstDevice, unsigned char uc, size_t N,
		CUstream hStream)
{
	return cuMemsetD8Async(dstDevice, uc, N, own(hStream));
}

SG_API CUresult cuMemsetD8_v2_ptds(CUdeviceptr dstDevice, unsigned char uc, size_t N)
{
	return wait(cuMemsetD8Async(dstDevice, uc, N, CU_STREAM_PER_THREAD));
}

SG_API CUresult cuStreamAddCallback_ptsz(CUstream hStream, CUstreamCallback callback,
		void *userData, unsigned int flags)
{
	return cuStreamAddCallback(own(hStream), callback, userData, flags);
}

SG_API CUresult cuStreamAttachMemAsync_ptsz(CUstream hStream, CUdeviceptr dptr, size_t length,
		unsigned int flags)
{
	return cuStreamAttachMemAsync(own(hStream), dptr, length, flags);
}

SG_API CUresult cuStreamGetCaptureInfo_ptsz(CUstream hStream,
		CUstreamCaptureStatus *captureStatus_out, cuuint64_t *id_out)
{
	return cuStreamGetCaptureInfo(own(hStream), captureStatus_out, id_out);
}

SG_API CUresult cuStreamGetCaptureInfo_v2_ptsz(CUstream hStream,
		CUstreamCaptureStatus *captureStatus_out, cuuint64_t *id_out, CUgraph *graph_out,
		const CUgraphNode **dependencies_out, size_t *numDependencies_out)
{
	return cuStreamGetCaptureInfo_v2(own(hStream), captureStatus_out, id_out, graph_out,
		dependencies_out, numDependencies_out);
}

SG_API CUresult cuStreamGetCaptureInfo_v3_ptsz(CUstream hStream,
		CUstreamCaptureStatus *captureStatus_out, cuuint64_t *id_out, CUgraph *graph_out,
		const CUgraphNode **dependencies_out, const CUgraphEdgeData **edgeData_out,
		size_t *numDependencies_out)
{
	return cuStreamGetCaptureInfo_v3(own(hStream), captureStatus_out, id_out, graph_out,
		dependencies_out, edgeData_out, numDependencies_out);
}

SG_API CUresult cuStreamGetCtx_ptsz(CUstream hStream, CUcontext *pctx)
{
	return cuStreamGetCtx(own(hStream), pctx);
}

SG_API CUresult cuStreamGetCtx_v2_ptsz(CUstream hStream, CUcontext *pCtx, CUgreenCtx *pGreenCtx)
{
	return cuStreamGetCtx_v2(own(hStream), pCtx, pGreenCtx);
}

SG_API CUresult cuStreamGetDevice_ptsz(CUstream hStream, CUdevice *device)
{
	return cuStreamGetDevice(own(hStream), device);
}

SG_API CUresult cuStreamGetFlags_ptsz(CUstream hStream, unsigned int *flags)
{
	return cuStreamGetFlags(own(hStream), flags);
}

SG_API CUresult cuStreamGetId_ptsz(CUstream hStream, unsigned long long *streamId)
{
	return cuStreamGetId(own(hStream), streamId);
}

SG_API CUresult cuStreamGetPriority_ptsz(CUstream hStream, int *priority)
{
	return cuStreamGetPriority(own(hStream), priority);
}

SG_API CUresult cuStreamIsCapturing_ptsz(CUstream hStream, CUstreamCaptureStatus *captureStatus)
{
	return cuStreamIsCapturing(own(hStream), captureStatus);
}

SG_API CUresult cuStreamQuery_ptsz(CUstream hStream)
{
	return cuStreamQuery(own(hStream));
}

SG_API CUresult cuStreamSynchronize_ptsz(CUstream hStream)
{
	return cuStreamSynchronize(own(hStream));
}

SG_API CUresult cuStreamWaitEvent_ptsz(CUstream hStream, CUevent hEvent, unsigned int Flags)
{
	return cuStreamWaitEvent(own(hStream), hEvent, Flags);
}

SG_API CUresult cuStreamWaitValue32_v2_ptsz(CUstream stream, CUdeviceptr addr, cuuint32_t value,
		unsigned int flags)
{
	return cuStreamWaitValue32_v2(own(stream), addr, value, flags);
}

SG_API CUresult cuStreamWaitValue64_v2_ptsz(CUstream stream, CUdeviceptr addr, cuuint64_t value,
		unsigned int flags)
{
	return cuStreamWaitValue64_v2(own(stream), addr, value, flags);
}

SG_API CUresult cuStreamWriteValue32_v2_ptsz(CUstream stream, CUdeviceptr addr, cuuint32_t value,
		unsigned int flags)
{
	return cuStreamWriteValue32_v2(own(stream), addr, value, flags);
}

SG_API CUresult cuStreamWriteValue64_v2_ptsz(CUstream stream, CUdeviceptr addr, cuuint64_t value,
		unsigned int flags)
{
	return cuStreamWriteValue64_v2(own(stream), addr, value, flags);
}

SG_API CUresult cuGraphLaunch_ptsz(CUgraphExec hGraphExec, CUstream hStream)
{
	return cuGraphLaunch(hGraphExec, own(hStream));
}

SG_API CUresult cuGraphUpload_ptsz(CUgraphExec hGraphExec, CUstream hStream)
{
	return cuGraphUpload(hGraphExec, own(hStream));
}

SG_API CUresult cuStreamBatchMemOp_v2_ptsz(CUstream stream, unsigned int count,
		CUstreamBatchMemOpParams *paramArray, unsigned int flags)
{
	return cuStreamBatchMemOp_v2(own(stream), count, paramArray, flags);
}

SG_API CUresult cuStreamBeginCaptureToGraph_ptsz(CUstream hStream, CUgraph hGraph,
		const CUgraphNode *dependencies, const CUgraphEdgeData *dependencyData,
		size_t numDependencies, CUstreamCaptureMode mode)
{
	return cuStreamBeginCaptureToGraph(own(hStream), hGraph, dependencies, dependencyData,
		numDependencies, mode);
}

SG_API CUresult cuStreamBeginCapture_v2_ptsz(CUstream hStream, CUstreamCaptureMode mode)
{
	return cuStreamBeginCapture_v2(own(hStream), mode);
}

SG_API CUresult cuStreamCopyAttributes_ptsz(CUstream dst, CUstream src)
{
	return cuStreamCopyAttributes(own(dst), own(src));
}

SG_API CUresult cuStreamEndCapture_ptsz(CUstream hStream, CUgraph *phGraph)
{
	return cuStreamEndCapture(own(hStream), phGraph);
}

SG_API CUresult cuStreamGetAttribute_ptsz(CUstream hStream, CUstreamAttrID attr,
		CUstreamAttrValue *value_out)
{
	return cuStreamGetAttribute(own(hStream), attr, value_out);
}

SG_API CUresult cuStreamSetAttribute_ptsz(CUstream hStream, CUstreamAttrID attr,
		const CUstreamAttrValue *value)
{
	return cuStreamSetAttribute(own(hStream), attr, value);
}

SG_API CUresult cuStreamUpdateCaptureDependencies_v2_ptsz(CUstream hStream,
		CUgraphNode *dependencies, const CUgraphEdgeData *dependencyData,
		size_t numDependencies, unsigned int flags)
{
	return cuStreamUpdateCaptureDependencies_v2(own(hStream), dependencies, dependencyData,
		numDependencies, flags);
}
