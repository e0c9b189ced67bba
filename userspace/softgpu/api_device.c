// SPDX-License-Identifier: Apache-2.0
/* Start-up, devices and their attributes. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api.h"
#include "log.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct sg_device devices[SG_MAX_DEVICES];
static int ndevices;
static bool pageable;
static unsigned int asking_us;	/* vgpu_process_memory() takes so long, for tests of whoever asks */
static uint64_t context_bytes;	/* of device memory */
static _Atomic bool ready;
static CUresult start_result;

/* "512M", "2G" or bytes */
static uint64_t parse_size(const char *s, uint64_t otherwise)
{
	char *end;
	uint64_t v;

	if (!s || !*s)
		return otherwise;
	v = strtoull(s, &end, 0);
	switch (*end | 32) {
	case 'k':
		v <<= 10;
		break;
	case 'm':
		v <<= 20;
		break;
	case 'g':
		v <<= 30;
		break;
	}
	return v ? v : otherwise;
}

/* CUDA_VISIBLE_DEVICES, of which a stand-in takes numbers alone. */
static void choose(void)
{
	const char *at = getenv("CUDA_VISIBLE_DEVICES");
	int all = ndevices;
	char *end;

	for (int i = 0; i < all; i++)
		devices[i].number = i;
	if (!at)
		return;
	for (ndevices = 0; ndevices < all; at = end + 1) {
		long number = strtol(at, &end, 10);

		if (end == at || number < 0 || number >= all)
			break;
		devices[ndevices++].number = number;
		if (*end != ',')
			break;
	}
}

static void start(void)
{
	const char *n = getenv("VGPU_SOFTGPU_DEVICES");
	uint64_t memory = parse_size(getenv("VGPU_SOFTGPU_MEM"), 1ull << 30);

	context_bytes = parse_size(getenv("VGPU_SOFTGPU_CONTEXT"), 0);
	asking_us = parse_size(getenv("VGPU_SOFTGPU_ASKING"), 0);
	/* For tests of whoever asks; kernels reach no more memory than without. */
	pageable = getenv("VGPU_SOFTGPU_PAGEABLE") != NULL;
	ndevices = n ? atoi(n) : 1;
	if (ndevices < 0 || ndevices > SG_MAX_DEVICES)
		ndevices = SG_MAX_DEVICES;
	choose();
	if (!ndevices) {
		start_result = CUDA_ERROR_NO_DEVICE;
		return;
	}
	if (!sg_address_space_init()) {
		start_result = CUDA_ERROR_OUT_OF_MEMORY;
		return;
	}
	for (int i = 0; i < ndevices; i++) {
		struct sg_device *d = &devices[i];

		d->index = i;
		pthread_mutex_init(&d->lock, NULL);
		if (!sg_heap_init(&d->heap, i, memory & ~(uint64_t)0xffff)) {
			sg_log("cannot reserve %llu bytes of address space",
			       (unsigned long long)memory);
			start_result = CUDA_ERROR_OUT_OF_MEMORY;
			return;
		}
		d->default_pool.magic = MAGIC_POOL;
		d->default_pool.dev = d;
		d->default_pool.is_default = true;
		d->default_pool.refs = 1;
		for (int k = 0; k < 3; k++)
			d->default_pool.reuse[k] = 1;
		d->pool = &d->default_pool;
	}
	ready = true;
}

uint64_t sg_context_bytes(void)
{
	return context_bytes;
}

/* As a GPU's management library tells it of each process; CUDA has no such call. */
SG_API CUresult vgpu_process_memory(CUdevice dev, uint64_t *bytes)
{
	SG_NEED_INIT();
	if (!sg_device(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	if (!bytes)
		return CUDA_ERROR_INVALID_VALUE;
	if (asking_us)
		usleep(asking_us);
	*bytes = sg_heap_used(&sg_device(dev)->heap);
	return CUDA_SUCCESS;
}

bool sg_ready(void)
{
	return ready;
}

struct sg_device *sg_device(CUdevice dev)
{
	return dev >= 0 && dev < ndevices ? &devices[dev] : NULL;
}

int sg_device_count(void)
{
	return ndevices;
}

/* As many as run blocks at a time, at least two so that programs see some parallelism. */
int sg_sm_count(void)
{
	cpu_set_t cpus;
	int n = 2;

	if (!sched_getaffinity(0, sizeof(cpus), &cpus) && CPU_COUNT(&cpus) > n)
		n = CPU_COUNT(&cpus);
	return n;
}

SG_API CUresult cuInit(unsigned int flags)
{
	if (flags)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_once(&once, start);
	return start_result;
}

SG_API CUresult cuDriverGetVersion(int *version)
{
	if (!version)
		return CUDA_ERROR_INVALID_VALUE;
	*version = SG_DRIVER_VERSION;
	return CUDA_SUCCESS;
}

SG_API CUresult cuDeviceGetCount(int *count)
{
	SG_NEED_INIT();
	if (!count)
		return CUDA_ERROR_INVALID_VALUE;
	*count = ndevices;
	return CUDA_SUCCESS;
}

SG_API CUresult cuDeviceGet(CUdevice *device, int ordinal)
{
	SG_NEED_INIT();
	if (!device)
		return CUDA_ERROR_INVALID_VALUE;
	if (!sg_device(ordinal))
		return CUDA_ERROR_INVALID_DEVICE;
	*device = ordinal;
	return CUDA_SUCCESS;
}

SG_API CUresult cuDeviceGetName(char *name, int len, CUdevice dev)
{
	SG_NEED_INIT();
	if (!name || len <= 0)
		return CUDA_ERROR_INVALID_VALUE;
	if (!sg_device(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	snprintf(name, len, "vgpu softgpu");
	return CUDA_SUCCESS;
}

/* The same on every machine: there is nothing that tells one from another. */
static CUresult uuid(CUuuid *out, CUdevice dev)
{
	static const unsigned char base[16] = "vgpu-softgpu-000";

	SG_NEED_INIT();
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	if (!sg_device(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	memcpy(out->bytes, base, 16);
	out->bytes[15] = '0' + sg_device(dev)->number;
	return CUDA_SUCCESS;
}

SG_API CUresult cuDeviceGetUuid(CUuuid *out, CUdevice dev)
{
	return uuid(out, dev);
}

SG_API CUresult cuDeviceGetUuid_v2(CUuuid *out, CUdevice dev)
{
	return uuid(out, dev);
}

/* LUIDs exist on Windows only.  The runtime wants the function to be there, to ask properties. */
SG_API CUresult cuDeviceGetLuid(char *luid, unsigned int *mask, CUdevice dev)
{
	(void)luid;
	(void)mask;
	(void)dev;
	SG_NEED_INIT();
	return CUDA_ERROR_NOT_SUPPORTED;
}

SG_API CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice dev)
{
	SG_NEED_INIT();
	if (!bytes)
		return CUDA_ERROR_INVALID_VALUE;
	if (!sg_device(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	*bytes = sg_device(dev)->heap.total;
	return CUDA_SUCCESS;
}

SG_API CUresult cuDeviceComputeCapability(int *major, int *minor, CUdevice dev)
{
	SG_NEED_INIT();
	if (!major || !minor)
		return CUDA_ERROR_INVALID_VALUE;
	if (!sg_device(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	*major = 9;
	*minor = 0;
	return CUDA_SUCCESS;
}

/* One number per attribute. Those missing here are 0: no such feature. */
static const struct {
	int attr, value;
} attributes[] = {
	{ CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 1024 },
	{ CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X, 1024 },
	{ CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y, 1024 },
	{ CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z, 64 },
	{ CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X, 2147483647 },
	{ CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y, 65535 },
	{ CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z, 65535 },
	{ CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, 49152 },
	{ CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY, 65536 },
	{ CU_DEVICE_ATTRIBUTE_WARP_SIZE, 32 },
	{ CU_DEVICE_ATTRIBUTE_MAX_PITCH, 2147483647 },
	{ CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK, 65536 },
	{ CU_DEVICE_ATTRIBUTE_CLOCK_RATE, 1000000 },
	{ CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT, 512 },
	{ CU_DEVICE_ATTRIBUTE_GPU_OVERLAP, 1 },
	{ CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY, 1 },
	{ CU_DEVICE_ATTRIBUTE_SURFACE_ALIGNMENT, 512 },
	{ CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS, 1 },
	{ CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE, 1000000 },
	{ CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH, 64 },
	{ CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, 4 << 20 },
	{ CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR, 2048 },
	{ CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT, 2 },
	{ CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, 1 },
	{ CU_DEVICE_ATTRIBUTE_TEXTURE_PITCH_ALIGNMENT, 32 },
	/* textures and surfaces: an H200's */
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE1D_WIDTH, 131072 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_WIDTH, 131072 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_HEIGHT, 65536 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE3D_WIDTH, 16384 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE3D_HEIGHT, 16384 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE3D_DEPTH, 16384 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_LAYERED_WIDTH, 32768 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_LAYERED_HEIGHT, 32768 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_LAYERED_LAYERS, 2048 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE1D_LAYERED_WIDTH, 32768 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE1D_LAYERED_LAYERS, 2048 },
	{ CU_DEVICE_ATTRIBUTE_CAN_TEX2D_GATHER, 1 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_GATHER_WIDTH, 32768 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_GATHER_HEIGHT, 32768 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE3D_WIDTH_ALTERNATE, 8192 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE3D_HEIGHT_ALTERNATE, 8192 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE3D_DEPTH_ALTERNATE, 32768 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURECUBEMAP_WIDTH, 32768 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURECUBEMAP_LAYERED_WIDTH, 32768 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURECUBEMAP_LAYERED_LAYERS, 2046 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACE1D_WIDTH, 32768 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACE2D_WIDTH, 131072 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACE2D_HEIGHT, 65536 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACE3D_WIDTH, 16384 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACE3D_HEIGHT, 16384 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACE3D_DEPTH, 16384 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACE1D_LAYERED_WIDTH, 32768 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACE1D_LAYERED_LAYERS, 2048 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACE2D_LAYERED_WIDTH, 32768 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACE2D_LAYERED_HEIGHT, 32768 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACE2D_LAYERED_LAYERS, 2048 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACECUBEMAP_WIDTH, 32768 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACECUBEMAP_LAYERED_WIDTH, 32768 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACECUBEMAP_LAYERED_LAYERS, 2046 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE1D_LINEAR_WIDTH, 268435456 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_LINEAR_WIDTH, 131072 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_LINEAR_HEIGHT, 65000 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_LINEAR_PITCH, 2097120 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_MIPMAPPED_WIDTH, 32768 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_MIPMAPPED_HEIGHT, 32768 },
	{ CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE1D_MIPMAPPED_WIDTH, 32768 },
	{ CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 9 },
	{ CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 0 },
	{ CU_DEVICE_ATTRIBUTE_STREAM_PRIORITIES_SUPPORTED, 0 },
	{ CU_DEVICE_ATTRIBUTE_GLOBAL_L1_CACHE_SUPPORTED, 1 },
	{ CU_DEVICE_ATTRIBUTE_LOCAL_L1_CACHE_SUPPORTED, 1 },
	{ CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR, 233472 },
	{ CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR, 65536 },
	{ CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY, 1 },
	{ CU_DEVICE_ATTRIBUTE_HOST_NATIVE_ATOMIC_SUPPORTED, 1 },
	{ CU_DEVICE_ATTRIBUTE_SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO, 2 },
	{ CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS, 1 },
	{ CU_DEVICE_ATTRIBUTE_COMPUTE_PREEMPTION_SUPPORTED, 1 },
	{ CU_DEVICE_ATTRIBUTE_CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM, 1 },
	{ CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH, 1 },
	{ CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 232448 },
	{ CU_DEVICE_ATTRIBUTE_CAN_FLUSH_REMOTE_WRITES, 1 },
	{ CU_DEVICE_ATTRIBUTE_HOST_REGISTER_SUPPORTED, 1 },
	{ CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR, 32 },
	{ CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK, 1024 },
	{ CU_DEVICE_ATTRIBUTE_READ_ONLY_HOST_REGISTER_SUPPORTED, 1 },
	{ CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED, 1 },
	{ CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, 1 },
	{ CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED, 1 },
	{ CU_DEVICE_ATTRIBUTE_IPC_EVENT_SUPPORTED, 1 },
	{ CU_DEVICE_ATTRIBUTE_UNIFIED_FUNCTION_POINTERS, 0 },
	{ CU_DEVICE_ATTRIBUTE_NUMA_ID, -1 },
};

SG_API CUresult cuDeviceGetAttribute(int *pi, CUdevice_attribute attrib, CUdevice dev)
{
	SG_NEED_INIT();
	if (!pi || (int)attrib <= 0)
		return CUDA_ERROR_INVALID_VALUE;
	if (!sg_device(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	switch (attrib) {
	case CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS:
		*pi = pageable;
		return CUDA_SUCCESS;
	case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
		*pi = sg_sm_count();
		return CUDA_SUCCESS;
	case CU_DEVICE_ATTRIBUTE_PCI_BUS_ID:
		*pi = dev + 1;
		return CUDA_SUCCESS;
	case CU_DEVICE_ATTRIBUTE_MULTI_GPU_BOARD_GROUP_ID:
		*pi = dev;
		return CUDA_SUCCESS;
	default:
		break;
	}
	if ((int)attrib > CU_DEVICE_ATTRIBUTE_ONLY_PARTIAL_HOST_NATIVE_ATOMIC_SUPPORTED)
		return CUDA_ERROR_INVALID_VALUE;
	*pi = 0;
	for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++)
		if (attributes[i].attr == (int)attrib)
			*pi = attributes[i].value;
	return CUDA_SUCCESS;
}

SG_API CUresult cuDeviceGetProperties(CUdevprop *prop, CUdevice dev)
{
	SG_NEED_INIT();
	if (!prop)
		return CUDA_ERROR_INVALID_VALUE;
	if (!sg_device(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	*prop = (CUdevprop){
		.maxThreadsPerBlock = 1024, .maxThreadsDim = { 1024, 1024, 64 },
		.maxGridSize = { 2147483647, 65535, 65535 }, .sharedMemPerBlock = 49152,
		.totalConstantMemory = 65536, .SIMDWidth = 32, .memPitch = 2147483647,
		.regsPerBlock = 65536, .clockRate = 1000000, .textureAlign = 512,
	};
	return CUDA_SUCCESS;
}

SG_API CUresult cuDeviceGetPCIBusId(char *id, int len, CUdevice dev)
{
	SG_NEED_INIT();
	if (!id || len < 13)
		return CUDA_ERROR_INVALID_VALUE;
	if (!sg_device(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	snprintf(id, len, "0000:%02X:00.0", dev + 1);
	return CUDA_SUCCESS;
}

SG_API CUresult cuDeviceGetByPCIBusId(CUdevice *dev, const char *id)
{
	unsigned int domain = 0, bus, slot;

	SG_NEED_INIT();
	if (!dev || !id)
		return CUDA_ERROR_INVALID_VALUE;
	if (sscanf(id, "%x:%x:%x", &domain, &bus, &slot) != 3) {
		domain = 0;
		if (sscanf(id, "%x:%x", &bus, &slot) != 2)
			return CUDA_ERROR_INVALID_VALUE;
	}
	if (domain || slot || !bus || !sg_device(bus - 1))
		return CUDA_ERROR_INVALID_DEVICE;
	*dev = bus - 1;
	return CUDA_SUCCESS;
}

SG_API CUresult cuDeviceCanAccessPeer(int *can, CUdevice dev, CUdevice peer)
{
	SG_NEED_INIT();
	if (!can)
		return CUDA_ERROR_INVALID_VALUE;
	if (!sg_device(dev) || !sg_device(peer))
		return CUDA_ERROR_INVALID_DEVICE;
	*can = dev != peer;
	return CUDA_SUCCESS;
}

SG_API CUresult cuDeviceGetP2PAttribute(int *value, CUdevice_P2PAttribute attrib, CUdevice src,
					CUdevice dst)
{
	SG_NEED_INIT();
	if (!value)
		return CUDA_ERROR_INVALID_VALUE;
	if (!sg_device(src) || !sg_device(dst) || src == dst)
		return CUDA_ERROR_INVALID_DEVICE;
	switch (attrib) {
	case CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED:
	case CU_DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED:
		*value = 1;
		return CUDA_SUCCESS;
	case CU_DEVICE_P2P_ATTRIBUTE_PERFORMANCE_RANK:
	case CU_DEVICE_P2P_ATTRIBUTE_CUDA_ARRAY_ACCESS_SUPPORTED:
		*value = 0;
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

SG_API CUresult cuDeviceGetExecAffinitySupport(int *pi, CUexecAffinityType type, CUdevice dev)
{
	SG_NEED_INIT();
	if (!pi || type != CU_EXEC_AFFINITY_TYPE_SM_COUNT)
		return CUDA_ERROR_INVALID_VALUE;
	if (!sg_device(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	*pi = 0;
	return CUDA_SUCCESS;
}

/* What exec_atom.c does, on any memory alike. */
static CUresult atomics(unsigned int *caps, const CUatomicOperation *ops, unsigned int count)
{
	const unsigned int any = CU_ATOMIC_CAPABILITY_REDUCTION | CU_ATOMIC_CAPABILITY_SCALAR_32;
	const unsigned int whole = any | CU_ATOMIC_CAPABILITY_SCALAR_64 |
				   CU_ATOMIC_CAPABILITY_UNSIGNED;

	if (!caps || !ops || !count)
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned int i = 0; i < count; i++) {
		switch (ops[i]) {
		case CU_ATOMIC_OPERATION_INTEGER_ADD:
		case CU_ATOMIC_OPERATION_INTEGER_MIN:
		case CU_ATOMIC_OPERATION_INTEGER_MAX:
			caps[i] = whole | CU_ATOMIC_CAPABILITY_SIGNED;
			break;
		case CU_ATOMIC_OPERATION_INTEGER_INCREMENT:
		case CU_ATOMIC_OPERATION_INTEGER_DECREMENT:
			caps[i] = any | CU_ATOMIC_CAPABILITY_UNSIGNED;
			break;
		case CU_ATOMIC_OPERATION_AND:
		case CU_ATOMIC_OPERATION_OR:
		case CU_ATOMIC_OPERATION_XOR:
			caps[i] = whole;
			break;
		case CU_ATOMIC_OPERATION_EXCHANGE:
		case CU_ATOMIC_OPERATION_CAS:
			caps[i] = whole & ~CU_ATOMIC_CAPABILITY_REDUCTION;
			break;
		case CU_ATOMIC_OPERATION_FLOAT_ADD:
			caps[i] = any | CU_ATOMIC_CAPABILITY_SCALAR_64;
			break;
		case CU_ATOMIC_OPERATION_FLOAT_MIN:
		case CU_ATOMIC_OPERATION_FLOAT_MAX:
			caps[i] = any;
			break;
		default:
			return CUDA_ERROR_INVALID_VALUE;
		}
	}
	return CUDA_SUCCESS;
}

SG_API CUresult cuDeviceGetHostAtomicCapabilities(unsigned int *caps, const CUatomicOperation *ops,
						  unsigned int count, CUdevice dev)
{
	SG_NEED_INIT();
	return sg_device(dev) ? atomics(caps, ops, count) : CUDA_ERROR_INVALID_DEVICE;
}

SG_API CUresult cuDeviceGetP2PAtomicCapabilities(unsigned int *caps, const CUatomicOperation *ops,
						 unsigned int count, CUdevice src, CUdevice dst)
{
	SG_NEED_INIT();
	if (!sg_device(src) || !sg_device(dst) || src == dst)
		return CUDA_ERROR_INVALID_DEVICE;
	return atomics(caps, ops, count);
}

/* No profiler can be attached to it. */
SG_API CUresult cuProfilerStart(void)
{
	SG_ENTER(ctx);
	(void)ctx;
	return CUDA_SUCCESS;
}

SG_API CUresult cuProfilerStop(void)
{
	SG_ENTER(ctx);
	(void)ctx;
	return CUDA_SUCCESS;
}
