// SPDX-License-Identifier: Apache-2.0
/*
 * Our declarations of CUPTI's interface against NVIDIA's headers of CUPTI 13.0.  It is only
 * compiled, where the headers are; each line below is a fact that has to be the same.
 */
#include <cupti.h>

/* Names of ours that the headers have as well. */
#define CUptiResult ours_CUptiResult
#define RESULT(number, name) _Static_assert(number == (int)name, #name);
#include "results.def"
#undef RESULT

#define CBID(number, name) _Static_assert(number == CUPTI_DRIVER_TRACE_CBID_##name, #name);
#include "driver_cbid.def"
#undef CBID

enum {
	THEIRS_MEMCPY = CUPTI_ACTIVITY_KIND_MEMCPY,
	THEIRS_MEMSET = CUPTI_ACTIVITY_KIND_MEMSET,
	THEIRS_KERNEL = CUPTI_ACTIVITY_KIND_KERNEL,
	THEIRS_DRIVER = CUPTI_ACTIVITY_KIND_DRIVER,
	THEIRS_CONCURRENT_KERNEL = CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL,
	THEIRS_MEMCPY2 = CUPTI_ACTIVITY_KIND_MEMCPY2,
	THEIRS_EXTERNAL_CORRELATION = CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION,
	THEIRS_GRAPH_TRACE = CUPTI_ACTIVITY_KIND_GRAPH_TRACE,
};

/* Ours, under other names where the headers define the same. */
#define VG_CUPTI_ABI_ONLY_RECORDS
#define CUPTI_ACTIVITY_KIND_MEMCPY OURS_MEMCPY
#define CUPTI_ACTIVITY_KIND_MEMSET OURS_MEMSET
#define CUPTI_ACTIVITY_KIND_KERNEL OURS_KERNEL
#define CUPTI_ACTIVITY_KIND_DRIVER OURS_DRIVER
#define CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL OURS_CONCURRENT_KERNEL
#define CUPTI_ACTIVITY_KIND_MEMCPY2 OURS_MEMCPY2
#define CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION OURS_EXTERNAL_CORRELATION
#define CUPTI_ACTIVITY_KIND_GRAPH_TRACE OURS_GRAPH_TRACE
#include "cupti_abi.h"

#define SAME(ours, theirs) _Static_assert((int)(ours) == (int)(theirs), #theirs)
#define SIZE(ours, theirs) _Static_assert(sizeof(struct ours) == sizeof(theirs), #theirs); \
	_Static_assert(_Alignof(struct ours) == _Alignof(theirs), #theirs)
#define FIELD(ours, theirs, field) \
	_Static_assert(offsetof(struct ours, field) == offsetof(theirs, field) && \
		       sizeof(((struct ours *)0)->field) == sizeof(((theirs *)0)->field), \
		       #theirs "." #field)

SAME(OURS_MEMCPY, THEIRS_MEMCPY);
SAME(OURS_MEMSET, THEIRS_MEMSET);
SAME(OURS_KERNEL, THEIRS_KERNEL);
SAME(OURS_DRIVER, THEIRS_DRIVER);
SAME(OURS_CONCURRENT_KERNEL, THEIRS_CONCURRENT_KERNEL);
SAME(OURS_MEMCPY2, THEIRS_MEMCPY2);
SAME(OURS_EXTERNAL_CORRELATION, THEIRS_EXTERNAL_CORRELATION);
SAME(OURS_GRAPH_TRACE, THEIRS_GRAPH_TRACE);
SAME(VG_ACTIVITY_KINDS, CUPTI_ACTIVITY_KIND_MEM_DECOMPRESS + 1);
SAME(VG_CUPTI_HTOD, CUPTI_ACTIVITY_MEMCPY_KIND_HTOD);
SAME(VG_CUPTI_DTOH, CUPTI_ACTIVITY_MEMCPY_KIND_DTOH);
SAME(VG_CUPTI_HTOA, CUPTI_ACTIVITY_MEMCPY_KIND_HTOA);
SAME(VG_CUPTI_ATOH, CUPTI_ACTIVITY_MEMCPY_KIND_ATOH);
SAME(VG_CUPTI_ATOA, CUPTI_ACTIVITY_MEMCPY_KIND_ATOA);
SAME(VG_CUPTI_ATOD, CUPTI_ACTIVITY_MEMCPY_KIND_ATOD);
SAME(VG_CUPTI_DTOA, CUPTI_ACTIVITY_MEMCPY_KIND_DTOA);
SAME(VG_CUPTI_DTOD, CUPTI_ACTIVITY_MEMCPY_KIND_DTOD);
SAME(VG_CUPTI_HTOH, CUPTI_ACTIVITY_MEMCPY_KIND_HTOH);
SAME(VG_CUPTI_PTOP, CUPTI_ACTIVITY_MEMCPY_KIND_PTOP);
SAME(VG_CUPTI_PAGEABLE, CUPTI_ACTIVITY_MEMORY_KIND_PAGEABLE);
SAME(VG_CUPTI_PINNED, CUPTI_ACTIVITY_MEMORY_KIND_PINNED);
SAME(VG_CUPTI_DEVICE, CUPTI_ACTIVITY_MEMORY_KIND_DEVICE);
SAME(VG_CUPTI_ARRAY, CUPTI_ACTIVITY_MEMORY_KIND_ARRAY);
SAME(VG_CUPTI_MANAGED, CUPTI_ACTIVITY_MEMORY_KIND_MANAGED);
SAME(VG_CUPTI_FLAG_ASYNC, CUPTI_ACTIVITY_FLAG_MEMCPY_ASYNC);
SAME(VG_CUPTI_FLAG_ASYNC, CUPTI_ACTIVITY_FLAG_MEMSET_ASYNC);
SAME(VG_CUPTI_FLUSH_FORCED, CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
SAME(VG_CUPTI_EXTERNAL_KINDS, CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM2 + 1);
SAME(VG_DOMAIN_DRIVER, CUPTI_CB_DOMAIN_DRIVER_API);
SAME(VG_DOMAIN_RUNTIME, CUPTI_CB_DOMAIN_RUNTIME_API);
SAME(VG_DOMAIN_RESOURCE, CUPTI_CB_DOMAIN_RESOURCE);
SAME(VG_DOMAINS, CUPTI_CB_DOMAIN_SIZE);
SAME(VG_CONTEXT_CREATED, CUPTI_CBID_RESOURCE_CONTEXT_CREATED);
SAME(VG_CONTEXT_DESTROY_STARTING, CUPTI_CBID_RESOURCE_CONTEXT_DESTROY_STARTING);
SAME(VG_RESOURCE_CBIDS, CUPTI_CBID_RESOURCE_SIZE);
SAME(VG_CUPTI_ENTER, CUPTI_API_ENTER);
SAME(VG_CUPTI_EXIT, CUPTI_API_EXIT);
SAME(2, CUPTI_DEVICE_VIRTUALIZATION_MODE_VIRTUAL_GPU);
SAME(5, CUPTI_ACTIVITY_ATTR_ZEROED_OUT_ACTIVITY_BUFFER);
SAME(8, CUPTI_ACTIVITY_ATTR_MEM_ALLOCATION_TYPE_HOST_PINNED);
SAME(9, CUPTI_ACTIVITY_ATTR_PER_THREAD_ACTIVITY_BUFFER);
SAME(10, CUPTI_ACTIVITY_ATTR_DEVICE_BUFFER_SIZE_DEVICE_GRAPHS);
SAME(130001, CUPTI_API_VERSION);

#define KERNEL(field) FIELD(cupti_kernel, CUpti_ActivityKernel10, field)
SIZE(cupti_kernel, CUpti_ActivityKernel10);
KERNEL(kind);
KERNEL(cacheConfig);
KERNEL(sharedMemoryConfig);
KERNEL(registersPerThread);
KERNEL(partitionedGlobalCacheRequested);
KERNEL(partitionedGlobalCacheExecuted);
KERNEL(start);
KERNEL(end);
KERNEL(completed);
KERNEL(deviceId);
KERNEL(contextId);
KERNEL(streamId);
KERNEL(gridX);
KERNEL(gridY);
KERNEL(gridZ);
KERNEL(blockX);
KERNEL(blockY);
KERNEL(blockZ);
KERNEL(staticSharedMemory);
KERNEL(dynamicSharedMemory);
KERNEL(localMemoryPerThread);
KERNEL(localMemoryTotal);
KERNEL(correlationId);
KERNEL(gridId);
KERNEL(name);
KERNEL(reserved0);
KERNEL(queued);
KERNEL(submitted);
KERNEL(launchType);
KERNEL(isSharedMemoryCarveoutRequested);
KERNEL(sharedMemoryCarveoutRequested);
KERNEL(padding);
KERNEL(sharedMemoryExecuted);
KERNEL(graphNodeId);
KERNEL(shmemLimitConfig);
KERNEL(graphId);
KERNEL(pAccessPolicyWindow);
KERNEL(channelID);
KERNEL(channelType);
KERNEL(clusterX);
KERNEL(clusterY);
KERNEL(clusterZ);
KERNEL(clusterSchedulingPolicy);
KERNEL(localMemoryTotal_v2);
KERNEL(maxPotentialClusterSize);
KERNEL(maxActiveClusters);
KERNEL(isDeviceLaunched);

#define MEMCPY(field) FIELD(cupti_memcpy, CUpti_ActivityMemcpy6, field)
SIZE(cupti_memcpy, CUpti_ActivityMemcpy6);
MEMCPY(kind);
MEMCPY(copyKind);
MEMCPY(srcKind);
MEMCPY(dstKind);
MEMCPY(flags);
MEMCPY(bytes);
MEMCPY(start);
MEMCPY(end);
MEMCPY(deviceId);
MEMCPY(contextId);
MEMCPY(streamId);
MEMCPY(correlationId);
MEMCPY(runtimeCorrelationId);
MEMCPY(reserved0);
MEMCPY(graphNodeId);
MEMCPY(graphId);
MEMCPY(channelID);
MEMCPY(channelType);
MEMCPY(isDeviceLaunched);
MEMCPY(copyCount);

#define MEMCPY2(field) FIELD(cupti_memcpy2, CUpti_ActivityMemcpyPtoP4, field)
SIZE(cupti_memcpy2, CUpti_ActivityMemcpyPtoP4);
MEMCPY2(kind);
MEMCPY2(copyKind);
MEMCPY2(flags);
MEMCPY2(bytes);
MEMCPY2(start);
MEMCPY2(end);
MEMCPY2(deviceId);
MEMCPY2(contextId);
MEMCPY2(streamId);
MEMCPY2(srcDeviceId);
MEMCPY2(srcContextId);
MEMCPY2(dstDeviceId);
MEMCPY2(dstContextId);
MEMCPY2(correlationId);
MEMCPY2(reserved0);
MEMCPY2(graphNodeId);
MEMCPY2(graphId);
MEMCPY2(channelID);
MEMCPY2(channelType);

#define MEMSET(field) FIELD(cupti_memset, CUpti_ActivityMemset4, field)
SIZE(cupti_memset, CUpti_ActivityMemset4);
MEMSET(kind);
MEMSET(value);
MEMSET(bytes);
MEMSET(start);
MEMSET(end);
MEMSET(deviceId);
MEMSET(contextId);
MEMSET(streamId);
MEMSET(correlationId);
MEMSET(flags);
MEMSET(memoryKind);
MEMSET(reserved0);
MEMSET(graphNodeId);
MEMSET(graphId);
MEMSET(channelID);
MEMSET(channelType);
MEMSET(isDeviceLaunched);

#define API(field) FIELD(cupti_api, CUpti_ActivityAPI, field)
SIZE(cupti_api, CUpti_ActivityAPI);
API(kind);
API(cbid);
API(start);
API(end);
API(processId);
API(threadId);
API(correlationId);
API(returnValue);

#define EXTERNAL(field) FIELD(cupti_external, CUpti_ActivityExternalCorrelation, field)
SIZE(cupti_external, CUpti_ActivityExternalCorrelation);
EXTERNAL(kind);
EXTERNAL(externalKind);
EXTERNAL(externalId);
EXTERNAL(correlationId);

#define GRAPH(field) FIELD(cupti_graph, CUpti_ActivityGraphTrace2, field)
SIZE(cupti_graph, CUpti_ActivityGraphTrace2);
GRAPH(kind);
GRAPH(correlationId);
GRAPH(start);
GRAPH(end);
GRAPH(deviceId);
GRAPH(graphId);
GRAPH(contextId);
GRAPH(streamId);
GRAPH(reserved);
GRAPH(endDeviceId);
GRAPH(endContextId);

/* Programs of CUDA 12 read the beginning of the same records. */
#define BEGINS(new, old, last) \
	_Static_assert(offsetof(new, last) == offsetof(old, last) && sizeof(old) <= sizeof(new), #old)
BEGINS(CUpti_ActivityKernel10, CUpti_ActivityKernel9, maxActiveClusters);
BEGINS(CUpti_ActivityKernel10, CUpti_ActivityKernel9, start);
BEGINS(CUpti_ActivityMemcpy6, CUpti_ActivityMemcpy5, channelType);

#define CALLBACK(field) FIELD(cupti_callback, CUpti_CallbackData, field)
SIZE(cupti_callback, CUpti_CallbackData);
CALLBACK(callbackSite);
CALLBACK(functionName);
CALLBACK(functionParams);
CALLBACK(functionReturnValue);
CALLBACK(symbolName);
CALLBACK(context);
CALLBACK(contextUid);
CALLBACK(correlationData);
CALLBACK(correlationId);

#define RESOURCE(field) FIELD(cupti_resource, CUpti_ResourceData, field)
SIZE(cupti_resource, CUpti_ResourceData);
RESOURCE(context);
RESOURCE(resourceHandle);
RESOURCE(resourceDescriptor);
