/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of CUPTI's interface that is offered here: facts of CUPTI 13.0, whose records begin
 * like those of 12.  tests/cupti/conform.c compares it with NVIDIA's headers, where there are
 * some; the build needs none.
 */
#ifndef VG_CUPTI_ABI_H
#define VG_CUPTI_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifndef VG_CUPTI_ABI_ONLY_RECORDS	/* tests/cupti/conform.c has NVIDIA's */
#include "cuda_abi.h"

#define RESULT(number, name) name = number,
typedef enum {
#include "results.def"
} CUptiResult;
#undef RESULT
#endif

/* Kinds of records; those that are not named are refused. */
enum {
	CUPTI_ACTIVITY_KIND_MEMCPY = 1,
	CUPTI_ACTIVITY_KIND_MEMSET = 2,
	CUPTI_ACTIVITY_KIND_KERNEL = 3,
	CUPTI_ACTIVITY_KIND_DRIVER = 4,
	CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL = 10,
	CUPTI_ACTIVITY_KIND_MEMCPY2 = 22,
	CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION = 39,
	CUPTI_ACTIVITY_KIND_GRAPH_TRACE = 51,
	VG_ACTIVITY_KINDS = 55,		/* of 13.0 */
};

/* CUpti_ActivityMemcpyKind */
enum { VG_CUPTI_HTOD = 1, VG_CUPTI_DTOH, VG_CUPTI_HTOA, VG_CUPTI_ATOH, VG_CUPTI_ATOA, VG_CUPTI_ATOD,
       VG_CUPTI_DTOA, VG_CUPTI_DTOD, VG_CUPTI_HTOH, VG_CUPTI_PTOP };

/* CUpti_ActivityMemoryKind */
enum { VG_CUPTI_PAGEABLE = 1, VG_CUPTI_PINNED, VG_CUPTI_DEVICE, VG_CUPTI_ARRAY, VG_CUPTI_MANAGED };

#define VG_CUPTI_FLAG_ASYNC	1u	/* of memcpys and memsets */
#define VG_CUPTI_FLUSH_FORCED	1u

enum { VG_CUPTI_EXTERNAL_KINDS = 6 };	/* of external correlation: 1 to 5 are valid */

/* All records are packed, and start on 8 bytes. */
#define VG_RECORD __attribute__((packed, aligned(8)))

struct VG_RECORD cupti_kernel {		/* CUpti_ActivityKernel10 */
	uint32_t kind;
	uint8_t cacheConfig;
	uint8_t sharedMemoryConfig;
	uint16_t registersPerThread;
	uint32_t partitionedGlobalCacheRequested;
	uint32_t partitionedGlobalCacheExecuted;
	uint64_t start, end, completed;
	uint32_t deviceId, contextId, streamId;
	int32_t gridX, gridY, gridZ, blockX, blockY, blockZ;
	int32_t staticSharedMemory, dynamicSharedMemory;
	uint32_t localMemoryPerThread, localMemoryTotal;
	uint32_t correlationId;
	int64_t gridId;
	const char *name;
	void *reserved0;
	uint64_t queued, submitted;
	uint8_t launchType;
	uint8_t isSharedMemoryCarveoutRequested;
	uint8_t sharedMemoryCarveoutRequested;
	uint8_t padding;
	uint32_t sharedMemoryExecuted;
	uint64_t graphNodeId;
	uint32_t shmemLimitConfig;
	uint32_t graphId;
	void *pAccessPolicyWindow;
	uint32_t channelID;
	uint32_t channelType;
	uint32_t clusterX, clusterY, clusterZ;
	uint32_t clusterSchedulingPolicy;
	uint64_t localMemoryTotal_v2;
	uint32_t maxPotentialClusterSize;
	uint32_t maxActiveClusters;
	uint8_t isDeviceLaunched;
	uint8_t padding3[7];
};

struct VG_RECORD cupti_memcpy {		/* CUpti_ActivityMemcpy6 */
	uint32_t kind;
	uint8_t copyKind, srcKind, dstKind, flags;
	uint64_t bytes;
	uint64_t start, end;
	uint32_t deviceId, contextId, streamId, correlationId, runtimeCorrelationId;
	uint32_t pad;
	void *reserved0;
	uint64_t graphNodeId;
	uint32_t graphId;
	uint32_t channelID;
	uint32_t channelType;
	uint8_t isDeviceLaunched;
	uint8_t pad2[3];
	uint64_t copyCount;
};

struct VG_RECORD cupti_memcpy2 {	/* CUpti_ActivityMemcpyPtoP4 */
	uint32_t kind;
	uint8_t copyKind, srcKind, dstKind, flags;
	uint64_t bytes;
	uint64_t start, end;
	uint32_t deviceId, contextId, streamId;
	uint32_t srcDeviceId, srcContextId, dstDeviceId, dstContextId;
	uint32_t correlationId;
	void *reserved0;
	uint64_t graphNodeId;
	uint32_t graphId;
	uint32_t channelID;
	uint32_t channelType;
	uint8_t rest[4];
};

struct VG_RECORD cupti_memset {		/* CUpti_ActivityMemset4 */
	uint32_t kind;
	uint32_t value;
	uint64_t bytes;
	uint64_t start, end;
	uint32_t deviceId, contextId, streamId, correlationId;
	uint16_t flags, memoryKind;
	uint32_t pad;
	void *reserved0;
	uint64_t graphNodeId;
	uint32_t graphId;
	uint32_t channelID;
	uint32_t channelType;
	uint8_t isDeviceLaunched;
	uint8_t pad2[3];
};

struct VG_RECORD cupti_api {		/* CUpti_ActivityAPI */
	uint32_t kind;
	uint32_t cbid;
	uint64_t start, end;
	uint32_t processId, threadId, correlationId, returnValue;
};

struct VG_RECORD cupti_external {	/* CUpti_ActivityExternalCorrelation */
	uint32_t kind;
	uint32_t externalKind;
	uint64_t externalId;
	uint32_t correlationId;
	uint32_t reserved;
};

struct VG_RECORD cupti_graph {		/* CUpti_ActivityGraphTrace2 */
	uint32_t kind;
	uint32_t correlationId;
	uint64_t start, end;
	uint32_t deviceId, graphId, contextId, streamId;
	void *reserved;
	uint32_t endDeviceId, endContextId;
};

/* -- callbacks */

enum { VG_DOMAIN_DRIVER = 1, VG_DOMAIN_RUNTIME, VG_DOMAIN_RESOURCE, VG_DOMAIN_SYNCHRONIZE,
       VG_DOMAIN_NVTX, VG_DOMAIN_STATE, VG_DOMAINS };
enum { VG_CONTEXT_CREATED = 1, VG_CONTEXT_DESTROY_STARTING = 2, VG_RESOURCE_CBIDS = 24 };
enum { VG_CUPTI_ENTER, VG_CUPTI_EXIT };

struct cupti_callback {			/* CUpti_CallbackData */
	uint32_t callbackSite;
	const char *functionName;
	const void *functionParams;
	void *functionReturnValue;
	const char *symbolName;
	CUcontext context;
	uint32_t contextUid;
	uint64_t *correlationData;
	uint32_t correlationId;
};

struct cupti_resource {			/* CUpti_ResourceData */
	CUcontext context;
	void *resourceHandle;
	void *resourceDescriptor;
};

typedef void (*vg_cupti_callback)(void *user, uint32_t domain, uint32_t cbid, const void *data);
typedef void (*vg_buffer_requested)(uint8_t **buffer, size_t *size, size_t *max_records);
typedef void (*vg_buffer_completed)(CUcontext ctx, uint32_t stream, uint8_t *buffer, size_t size,
				    size_t valid);
typedef uint64_t (*vg_timestamp)(void);

struct cupti_subscriber;

#ifndef VG_CUPTI_ABI_ONLY_RECORDS
/* The functions that are offered; enumerations are uint32_t. */
CUptiResult cuptiActivityDisable(uint32_t kind);
CUptiResult cuptiActivityDisableContext(CUcontext ctx, uint32_t kind);
CUptiResult cuptiActivityEnable(uint32_t kind);
CUptiResult cuptiActivityEnableAndDump(uint32_t kind);
CUptiResult cuptiActivityEnableContext(CUcontext ctx, uint32_t kind);
CUptiResult cuptiActivityEnableDriverApi(uint32_t cbid, uint8_t enable);
CUptiResult cuptiActivityFlush(CUcontext ctx, uint32_t stream, uint32_t flag);
CUptiResult cuptiActivityFlushAll(uint32_t flag);
CUptiResult cuptiActivityGetAttribute(uint32_t attribute, size_t *size, void *value);
CUptiResult cuptiActivitySetAttribute(uint32_t attribute, size_t *size, void *value);
CUptiResult cuptiActivityGetNextRecord(uint8_t *buffer, size_t valid, void **record);
CUptiResult cuptiActivityGetNumDroppedRecords(CUcontext ctx, uint32_t stream, size_t *dropped);
CUptiResult cuptiActivityPopExternalCorrelationId(uint32_t kind, uint64_t *last);
CUptiResult cuptiActivityPushExternalCorrelationId(uint32_t kind, uint64_t id);
CUptiResult cuptiActivityRegisterCallbacks(vg_buffer_requested requested,
					   vg_buffer_completed completed);
CUptiResult cuptiActivityRegisterTimestampCallback(vg_timestamp f);
CUptiResult cuptiDeviceSupported(CUdevice dev, int *support);
CUptiResult cuptiDeviceVirtualizationMode(CUdevice dev, uint32_t *mode);
CUptiResult cuptiEnableAllDomains(uint32_t enable, struct cupti_subscriber *s);
CUptiResult cuptiEnableCallback(uint32_t enable, struct cupti_subscriber *s, uint32_t domain,
				uint32_t cbid);
CUptiResult cuptiEnableDomain(uint32_t enable, struct cupti_subscriber *s, uint32_t domain);
CUptiResult cuptiFinalize(void);
CUptiResult cuptiGetCallbackName(uint32_t domain, uint32_t cbid, const char **name);
CUptiResult cuptiGetCallbackState(uint32_t *enable, struct cupti_subscriber *s, uint32_t domain,
				  uint32_t cbid);
CUptiResult cuptiGetContextId(CUcontext ctx, uint32_t *id);
CUptiResult cuptiGetDeviceId(CUcontext ctx, uint32_t *id);
CUptiResult cuptiGetErrorMessage(CUptiResult r, const char **text);
CUptiResult cuptiGetLastError(void);
CUptiResult cuptiGetResultString(CUptiResult r, const char **text);
CUptiResult cuptiGetStreamId(CUcontext ctx, CUstream stream, uint32_t *id);
CUptiResult cuptiGetStreamIdEx(CUcontext ctx, CUstream stream, uint8_t per_thread, uint32_t *id);
CUptiResult cuptiGetThreadIdType(uint32_t *type);
CUptiResult cuptiSetThreadIdType(uint32_t type);
CUptiResult cuptiGetTimestamp(uint64_t *ns);
CUptiResult cuptiGetVersion(uint32_t *version);
CUptiResult cuptiSubscribe(struct cupti_subscriber **s, vg_cupti_callback callback, void *user);
CUptiResult cuptiSubscribe_v2(struct cupti_subscriber **s, vg_cupti_callback callback, void *user,
			      void *params);
CUptiResult cuptiSupportedDomains(size_t *count, const uint32_t **table);
CUptiResult cuptiUnsubscribe(struct cupti_subscriber *s);
#endif

#endif /* VG_CUPTI_ABI_H */
