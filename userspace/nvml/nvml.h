/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of NVML's interface that is implemented, as programs have compiled it in.  Names
 * are those of NVIDIA's header, with which tests/apigen/test_nvml_header.py compares all of
 * this: sizes, offsets, values, and the prototypes of what is defined with FN().
 */
#ifndef VG_NVML_H
#define VG_NVML_H

#include <stdint.h>

#define NVML_API __attribute__((visibility("default")))

/* Declared as they are defined; programs have NVIDIA's header. */
#define FN(name, ...) \
	NVML_API nvmlReturn_t name(__VA_ARGS__); \
	NVML_API nvmlReturn_t name(__VA_ARGS__)
#define SAME(other, name, ...) \
	NVML_API nvmlReturn_t other(__VA_ARGS__) __attribute__((alias(#name)));

typedef enum {
	NVML_SUCCESS = 0,
	NVML_ERROR_UNINITIALIZED = 1,
	NVML_ERROR_INVALID_ARGUMENT = 2,
	NVML_ERROR_NOT_SUPPORTED = 3,
	NVML_ERROR_NO_PERMISSION = 4,
	NVML_ERROR_NOT_FOUND = 6,
	NVML_ERROR_INSUFFICIENT_SIZE = 7,
	NVML_ERROR_DRIVER_NOT_LOADED = 9,
	NVML_ERROR_TIMEOUT = 10,
	NVML_ERROR_FUNCTION_NOT_FOUND = 13,
	NVML_ERROR_GPU_IS_LOST = 15,
	NVML_ERROR_MEMORY = 20,
	NVML_ERROR_ARGUMENT_VERSION_MISMATCH = 25,
	NVML_ERROR_UNKNOWN = 999,
} nvmlReturn_t;

/* What the header has as enumerations; each is an unsigned int. */
typedef unsigned int nvmlAffinityScope_t, nvmlBrandType_t, nvmlComputeMode_t,
	nvmlDeviceArchitecture_t, nvmlEnableState_t, nvmlGpuP2PCapsIndex_t, nvmlGpuP2PStatus_t,
	nvmlGpuTopologyLevel_t, nvmlGpuVirtualizationMode_t, nvmlPstates_t,
	nvmlTemperatureSensors_t, nvmlValueType_t;

enum { NVML_FEATURE_DISABLED = 0, NVML_FEATURE_ENABLED = 1 };
enum { NVML_BRAND_UNKNOWN = 0 };
enum { NVML_COMPUTEMODE_DEFAULT = 0 };
enum { NVML_GPU_VIRTUALIZATION_MODE_VGPU = 2 };
enum { NVML_TOPOLOGY_INTERNAL = 0 };
enum {
	NVML_P2P_CAPS_INDEX_READ = 0,
	NVML_P2P_CAPS_INDEX_WRITE = 1,
	NVML_P2P_CAPS_INDEX_NVLINK = 2,
	NVML_P2P_CAPS_INDEX_ATOMICS = 3,
	NVML_P2P_CAPS_INDEX_PCI = 4,
	NVML_P2P_CAPS_INDEX_UNKNOWN = 5,
};
enum { NVML_P2P_STATUS_OK = 0, NVML_P2P_STATUS_NOT_SUPPORTED = 5 };
enum { NVML_UUID_TYPE_ASCII = 1, NVML_UUID_TYPE_BINARY = 2 };
enum { NVML_TEMPERATURE_GPU = 0 };

#define NVML_AFFINITY_SCOPE_NODE	0
#define NVML_AFFINITY_SCOPE_SOCKET	1

#define NVML_DEVICE_ARCH_KEPLER		2
#define NVML_DEVICE_ARCH_MAXWELL	3
#define NVML_DEVICE_ARCH_PASCAL		4
#define NVML_DEVICE_ARCH_VOLTA		5
#define NVML_DEVICE_ARCH_TURING		6
#define NVML_DEVICE_ARCH_AMPERE		7
#define NVML_DEVICE_ARCH_ADA		8
#define NVML_DEVICE_ARCH_HOPPER		9
#define NVML_DEVICE_ARCH_BLACKWELL	10
#define NVML_DEVICE_ARCH_UNKNOWN	0xffffffff

typedef struct nvmlDevice_st *nvmlDevice_t;
typedef struct nvmlEventSet_st *nvmlEventSet_t;

typedef struct {
	char busIdLegacy[16];
	unsigned int domain, bus, device;
	unsigned int pciDeviceId, pciSubSystemId;
	char busId[32];
} nvmlPciInfo_t;

typedef struct {
	unsigned int version;
	unsigned int domain, bus, device;
	unsigned int pciDeviceId, pciSubSystemId;
	unsigned int baseClass, subClass;
	char busId[32];
} nvmlPciInfoExt_v1_t;

typedef struct {
	unsigned long long total, free, used;
} nvmlMemory_t;

typedef struct {
	unsigned int version;
	unsigned long long total, reserved, free, used;
} nvmlMemory_v2_t;

typedef struct {
	unsigned int gpu, memory;
} nvmlUtilization_t;

typedef struct {
	unsigned int version;
	nvmlTemperatureSensors_t sensorType;
	int temperature;
} nvmlTemperature_v1_t;

typedef struct {
	unsigned int pid;
	unsigned long long usedGpuMemory;
} nvmlProcessInfo_v1_t;

typedef struct {
	unsigned int pid;
	unsigned long long usedGpuMemory;
	unsigned int gpuInstanceId, computeInstanceId;
} nvmlProcessInfo_v2_t;
typedef nvmlProcessInfo_v2_t nvmlProcessInfo_t;

typedef struct {
	unsigned int pid;
	unsigned long long usedGpuMemory;
	unsigned int gpuInstanceId, computeInstanceId;
	unsigned long long usedGpuCcProtectedMemory;
} nvmlProcessDetail_v1_t;

typedef struct {
	unsigned int version;
	unsigned int mode;
	unsigned int numProcArrayEntries;
	nvmlProcessDetail_v1_t *procArray;
} nvmlProcessDetailList_v1_t;

typedef union {
	double dVal;
	int siVal;
	unsigned int uiVal;
	unsigned long ulVal;
	unsigned long long ullVal;
} nvmlValue_t;

typedef struct {
	unsigned int fieldId;
	unsigned int scopeId;
	long long timestamp;
	long long latencyUsec;
	nvmlValueType_t valueType;
	nvmlReturn_t nvmlReturn;
	nvmlValue_t value;
} nvmlFieldValue_t;

typedef union {
	char str[41];
	unsigned char bytes[16];
} nvmlUUIDValue_t;

typedef struct {
	unsigned int version;
	unsigned int type;
	nvmlUUIDValue_t value;
} nvmlUUID_v1_t;

typedef struct {
	unsigned int environment, ccFeature, devToolsMode;
} nvmlConfComputeSystemState_t;

typedef struct {
	unsigned int version;
	unsigned int environment, ccFeature, devToolsMode, multiGpuMode;
} nvmlSystemConfComputeSettings_v1_t;

typedef struct {
	nvmlDevice_t device;
	unsigned long long eventType, eventData;
	unsigned int gpuInstanceId, computeInstanceId;
} nvmlEventData_t;

typedef nvmlPciInfoExt_v1_t nvmlPciInfoExt_t;
typedef nvmlTemperature_v1_t nvmlTemperature_t;
typedef nvmlProcessDetailList_v1_t nvmlProcessDetailList_t;
typedef nvmlUUID_v1_t nvmlUUID_t;
typedef nvmlSystemConfComputeSettings_v1_t nvmlSystemConfComputeSettings_t;

/* What a caller writes into `version`, which tells the size that it knows. */
#define NVML_STRUCT_VERSION(data, ver) \
	(unsigned int)(sizeof(nvml##data##_v##ver##_t) | (ver) << 24u)

#define nvmlMemory_v2			NVML_STRUCT_VERSION(Memory, 2)
#define nvmlPciInfoExt_v1		NVML_STRUCT_VERSION(PciInfoExt, 1)
#define nvmlTemperature_v1		NVML_STRUCT_VERSION(Temperature, 1)
#define nvmlProcessDetailList_v1	NVML_STRUCT_VERSION(ProcessDetailList, 1)
#define nvmlUUID_v1			NVML_STRUCT_VERSION(UUID, 1)
#define nvmlSystemConfComputeSettings_v1 NVML_STRUCT_VERSION(SystemConfComputeSettings, 1)

#define NVML_VALUE_NOT_AVAILABLE	(-1)

#endif /* VG_NVML_H */
