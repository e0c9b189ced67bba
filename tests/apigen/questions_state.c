// SPDX-License-Identifier: Apache-2.0
/* The objects that the questions name: a context and memory for a process, others for each one. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "questions.h"

#define PAGE 4096

const char code[] =
	".version 6.0\n.target sm_50\n.address_size 64\n"
	".visible .global .align 4 .u32 word = 5;\n"
	".visible .entry asked(.param .u64 a)\n{\nret;\n}\n";
const size_t code_bytes = sizeof(code);
char code_file[4096];

enum node_kind node_kind;
int bare, unmade;
const char *unmade_what;
unsigned char buffers[MAX_PARAMS][BUFFER];

static CUcontext primary;
static CUmodule process_module;
static CUlibrary process_library;
static CUfunction process_function;
static CUdeviceptr process_memory;
static unsigned char host_page[PAGE] __attribute__((aligned(PAGE)));

/* Of a question. */
static struct {
	CUstream streams[4];
	unsigned int stream_count;
	CUgraph graph;
	CUgraphNode first, second;
	CUgraphExec exec;
	void *pages;
	CUdeviceptr reserved;
} q;

static void run_nothing(void *p)
{
	(void)p;
}

/* A callback of any type, of which some return a size. */
static size_t none(void)
{
	return 0;
}
void *const callback = (void *)none;

static void need_(CUresult r, const char *what)
{
	if (r && !unmade) {
		unmade = r;
		unmade_what = what;
	}
}
#define NEED(call) need_(call, #call)

int state_start(void)
{
	if (cuInit(0) || cuDevicePrimaryCtxRetain(&primary, 0) || cuCtxSetCurrent(primary) ||
	    cuMemAlloc_v2(&process_memory, MEMORY) || cuMemsetD8_v2(process_memory, 0, MEMORY) ||
	    cuModuleLoadData(&process_module, code) ||
	    cuModuleGetFunction(&process_function, process_module, "asked"))
		return -1;
	return 0;
}

/* Nor one below it, of those that questions have pushed. */
void no_context(void)
{
	CUcontext c;

	/* None of these calls fails, for failures are in what cuLogsDumpToMemory() gives. */
	while (!cuCtxGetCurrent(&c) && c)
		cuCtxPopCurrent_v2(&c);
}

void context_back(void)
{
	CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;

	if (bare)
		return;
	no_context();
	cuCtxSetCurrent(primary);
	cuThreadExchangeStreamCaptureMode(&mode);
}

void question_start(void)
{
	memset(&q, 0, sizeof(q));
	unmade = 0;
	for (unsigned int i = 0; i < MAX_PARAMS; i++)
		memset(buffers[i], 0xa5, BUFFER);
}

/* Graphs in the making would hold up what others do; the rest goes with the process. */
void question_end(void)
{
	CUgraph captured;

	for (unsigned int i = 0; i < q.stream_count; i++)
		if (q.streams[i])
			cuStreamDestroy_v2(q.streams[i]);
	cuStreamEndCapture(CU_STREAM_PER_THREAD, &captured);
}

void *out(unsigned int i)
{
	return buffers[i];
}

void *zeros(unsigned int i)
{
	return memset(buffers[i], 0, BUFFER);
}

void *number(unsigned int i, uint64_t n)
{
	zeros(i);
	memcpy(buffers[i], &n, sizeof(n));
	return buffers[i];
}

void *ones(unsigned int i)
{
	for (unsigned int k = 0; k < BUFFER / 4; k++)
		((uint32_t *)(void *)buffers[i])[k] = 1;
	return buffers[i];
}

void *box(unsigned int i)
{
	uint32_t *p = ones(i);

	p[0] = 16;
	return p;
}

void *pointers(unsigned int i)
{
	void **p = zeros(i);

	p[0] = host_page;
	return p;
}

void *dims(unsigned int i)
{
	uint64_t *p = zeros(i);

	p[0] = p[1] = p[2] = 16;
	return p;
}

void *strides(unsigned int i)
{
	uint64_t *p = zeros(i);

	p[0] = 256;
	p[1] = 4096;
	return p;
}

void *log_iterator(unsigned int i)
{
	CUlogIterator *p = zeros(i);

	if (!bare)
		NEED(cuLogsCurrent(p, 0));
	return p;
}

/* A maker, and one of something that is no more. */
#define MAKER(name, type, make) \
uint64_t name(void) \
{ \
	type h = 0; \
	if (bare) \
		return 0; \
	make; \
	return (uint64_t)h; \
}
#define STALE(name, type, unmake) \
uint64_t stale_##name(void) \
{ \
	type h = (type)name(); \
	NEED(unmake); \
	return (uint64_t)h; \
}

MAKER(context, CUcontext, h = primary)
MAKER(other_context, CUcontext, NEED(cuCtxCreate_v2(&h, 0, 0)); cuCtxSetCurrent(primary))
MAKER(module, CUmodule, NEED(cuModuleLoadData(&h, code)))
MAKER(function, CUfunction, h = process_function)
MAKER(shaped_function, CUfunction, h = process_function;
      NEED(cuFuncSetBlockShape(h, 1, 1, 1)); NEED(cuParamSetSize(h, 8)))
MAKER(library, CUlibrary, NEED(cuLibraryLoadData(&h, code, 0, 0, 0, 0, 0, 0)))
MAKER(kernel, CUkernel,
      if (!process_library)
		NEED(cuLibraryLoadData(&process_library, code, 0, 0, 0, 0, 0, 0));
      if (process_library)
		NEED(cuLibraryGetKernel(&h, process_library, "asked")))
MAKER(array, CUarray, NEED(cuArrayCreate_v2(&h, array_desc())))
MAKER(mipmap, CUmipmappedArray, NEED(cuMipmappedArrayCreate(&h, array3d_desc(), 1)))
MAKER(texref, CUtexref, NEED(cuTexRefCreate(&h)))
static const char surface_code[] =
	".version 6.0\n.target sm_50\n.address_size 64\n.global .surfref surface;\n"
	".visible .entry asked(.param .u64 a)\n{\nret;\n}\n";
static CUmodule surface_module;
MAKER(surfref, CUsurfref,
      NEED(cuModuleLoadData(&surface_module, surface_code));
      if (!unmade)
		NEED(cuModuleGetSurfRef(&h, surface_module, "surface")))
MAKER(event, CUevent, NEED(cuEventCreate(&h, 0)))
MAKER(recorded, CUevent, NEED(cuEventCreate(&h, 0)); if (h) NEED(cuEventRecord(h, NULL));
      NEED(cuCtxSynchronize()))
MAKER(interprocess_event, CUevent,
      NEED(cuEventCreate(&h, CU_EVENT_INTERPROCESS | CU_EVENT_DISABLE_TIMING)))
MAKER(second_stream, CUstream,
      NEED(cuStreamCreate(&h, CU_STREAM_NON_BLOCKING));
      if (q.stream_count < 4)
		q.streams[q.stream_count++] = h)
MAKER(stream, CUstream, h = q.streams[0] ? q.streams[0] : (CUstream)second_stream())
MAKER(capturing, CUstream, h = (CUstream)second_stream();
      NEED(cuStreamBeginCapture_v2(h, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)))
MAKER(graph, CUgraph, if (!q.graph) NEED(cuGraphCreate(&q.graph, 0)); h = q.graph)
MAKER(child_graph, CUgraph, NEED(cuGraphCreate(&h, 0)))
MAKER(cloned_graph, CUgraph, node(); NEED(cuGraphClone(&h, (CUgraph)graph())))
MAKER(pool, CUmemoryPool, NEED(cuMemPoolCreate(&h, pool_props())))
MAKER(user_object, CUuserObject,
      NEED(cuUserObjectCreate(&h, host_page, run_nothing, 1, CU_USER_OBJECT_NO_DESTRUCTOR_SYNC)))
MAKER(resource_desc, CUdevResourceDesc, NEED(cuDevResourceGenerateDesc(&h, sm_resource(), 1)))
MAKER(green, CUgreenCtx, CUdevResourceDesc d = (CUdevResourceDesc)resource_desc();
      if (!unmade)
		NEED(cuGreenCtxCreate(&h, d, 0, CU_GREEN_CTX_DEFAULT_STREAM)))
MAKER(linker, CUlinkState, NEED(cuLinkCreate_v2(0, NULL, NULL, &h));
      if (h)
		NEED(cuLinkAddData_v2(h, CU_JIT_INPUT_PTX, (void *)code, code_bytes, "code", 0, NULL,
				      NULL)))
MAKER(allocation, CUmemGenericAllocationHandle,
      NEED(cuMemCreate(&h, GRAIN, allocation_prop(), 0)))
MAKER(texture, CUtexObject, CUDA_TEXTURE_DESC d = { 0 };
      NEED(cuTexObjectCreate(&h, resource(), &d, NULL)))
MAKER(surface, CUsurfObject, NEED(cuSurfObjectCreate(&h, resource())))
MAKER(memory, CUdeviceptr, h = process_memory)
MAKER(own_memory, CUdeviceptr, NEED(cuMemAlloc_v2(&h, 65536)))
MAKER(managed, CUdeviceptr, NEED(cuMemAllocManaged(&h, 65536, CU_MEM_ATTACH_GLOBAL)))
MAKER(reserved, CUdeviceptr, NEED(cuMemAddressReserve(&h, GRAIN, 0, 0, 0)))
MAKER(mapped, CUdeviceptr, h = reserved();
      NEED(cuMemMap(h, GRAIN, 0, allocation(), 0));
      NEED(cuMemSetAccess(h, GRAIN, device_access(), 1)))
MAKER(shared_pool, CUmemoryPool, CUmemPoolProps *p = pool_props();
      p->handleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
      NEED(cuMemPoolCreate(&h, p)))
MAKER(pool_memory, CUdeviceptr,
      NEED(cuMemAllocFromPoolAsync(&h, 65536, (CUmemoryPool)shared_pool(), (CUstream)stream())))
static void logged(void *data, CUlogLevel level, char *message, size_t length)
{
	(void)data, (void)level, (void)message, (void)length;
}
MAKER(logs_callback, CUlogsCallbackHandle, NEED(cuLogsRegisterCallback(logged, NULL, &h)))

STALE(module, CUmodule, cuModuleUnload(h))
STALE(library, CUlibrary, cuLibraryUnload(h))
STALE(array, CUarray, cuArrayDestroy(h))
STALE(mipmap, CUmipmappedArray, cuMipmappedArrayDestroy(h))
STALE(texref, CUtexref, cuTexRefDestroy(h))
STALE(surfref, CUsurfref, cuModuleUnload(surface_module))
STALE(event, CUevent, cuEventDestroy_v2(h))
STALE(exec, CUgraphExec, cuGraphExecDestroy(h))
STALE(pool, CUmemoryPool, cuMemPoolDestroy(h))
STALE(user_object, CUuserObject, cuUserObjectRelease(h, 1))
STALE(green, CUgreenCtx, cuGreenCtxDestroy(h))
STALE(linker, CUlinkState, cuLinkDestroy(h))
STALE(allocation, CUmemGenericAllocationHandle, cuMemRelease(h))
STALE(texture, CUtexObject, cuTexObjectDestroy(h))
STALE(surface, CUsurfObject, cuSurfObjectDestroy(h))
STALE(logs_callback, CUlogsCallbackHandle, cuLogsUnregisterCallback(h))

uint64_t stale_context(void)
{
	uint64_t h = other_context();

	NEED(cuCtxDestroy_v2((CUcontext)h));
	return h;
}

uint64_t stale_stream(void)
{
	CUstream h = NULL;

	NEED(cuStreamCreate(&h, CU_STREAM_NON_BLOCKING));
	NEED(cuStreamDestroy_v2(h));
	return (uint64_t)h;
}

uint64_t stale_graph(void)
{
	uint64_t h = child_graph();

	NEED(cuGraphDestroy((CUgraph)h));
	return h;
}

uint64_t stale_node(void)
{
	CUgraphNode h = NULL;

	NEED(cuGraphAddEmptyNode(&h, (CUgraph)graph(), NULL, 0));
	NEED(cuGraphDestroyNode(h));
	return (uint64_t)h;
}

uint64_t stale_function(void)
{
	CUmodule m = (CUmodule)module();
	CUfunction f = NULL;

	NEED(cuModuleGetFunction(&f, m, "asked"));
	NEED(cuModuleUnload(m));
	return (uint64_t)f;
}

uint64_t stale_kernel(void)
{
	CUlibrary l = (CUlibrary)library();
	CUkernel k = NULL;

	NEED(cuLibraryGetKernel(&k, l, "asked"));
	NEED(cuLibraryUnload(l));
	return (uint64_t)k;
}

uint64_t stale_memory(void)
{
	uint64_t h = own_memory();

	NEED(cuMemFree_v2(h));
	return h;
}

uint64_t stale_resource_desc(void)
{
	return 0;
}

/* --- graphs --- */

static CUgraphNode add_node(void)
{
	CUgraph g = (CUgraph)graph();
	CUgraphNode n = NULL;

	switch (node_kind) {
	case NODE_KERNEL:
		NEED(cuGraphAddKernelNode_v2(&n, g, NULL, 0, kernel_params()));
		break;
	case NODE_COPY:
		NEED(cuGraphAddMemcpyNode(&n, g, NULL, 0, copy3d(), primary));
		break;
	case NODE_SET:
		NEED(cuGraphAddMemsetNode(&n, g, NULL, 0, memset_params(), primary));
		break;
	case NODE_HOST:
		NEED(cuGraphAddHostNode(&n, g, NULL, 0, host_params()));
		break;
	case NODE_CHILD:
		NEED(cuGraphAddChildGraphNode(&n, g, NULL, 0, (CUgraph)child_graph()));
		break;
	case NODE_RECORD:
		NEED(cuGraphAddEventRecordNode(&n, g, NULL, 0, (CUevent)event()));
		break;
	case NODE_WAIT:
		NEED(cuGraphAddEventWaitNode(&n, g, NULL, 0, (CUevent)event()));
		break;
	case NODE_MEM_OP:
		NEED(cuGraphAddBatchMemOpNode(&n, g, NULL, 0, mem_op_params()));
		break;
	case NODE_ALLOC:
	case NODE_FREE:
		NEED(cuGraphAddMemAllocNode(&n, g, NULL, 0, alloc_params()));
		break;
	case NODE_EMPTY:
		NEED(cuGraphAddEmptyNode(&n, g, NULL, 0));
		break;
	}
	return n;
}

uint64_t graph_memory(void)
{
	CUDA_MEM_ALLOC_NODE_PARAMS *p = alloc_params();
	CUgraphNode n;

	if (bare)
		return 0;
	NEED(cuGraphAddMemAllocNode(&n, (CUgraph)graph(), NULL, 0, p));
	q.first = n;
	return p->dptr;
}

uint64_t node(void)
{
	CUgraphNode n;

	if (bare)
		return 0;
	if (!q.first && node_kind == NODE_FREE) {
		uint64_t p = graph_memory();

		NEED(cuGraphAddMemFreeNode(&n, (CUgraph)graph(), &q.first, 1, p));
		q.first = n;
	}
	if (!q.first)
		q.first = add_node();
	return (uint64_t)q.first;
}

uint64_t second_node(void)
{
	if (!bare && !q.second)
		q.second = add_node();
	return (uint64_t)q.second;
}

uint64_t exec(void)
{
	if (!bare && !q.exec) {
		node();
		NEED(cuGraphInstantiateWithFlags(&q.exec, (CUgraph)graph(), 0));
	}
	return (uint64_t)q.exec;
}

void *nodes(void)
{
	static CUgraphNode n[2];

	n[0] = (CUgraphNode)node();
	return n;
}

void *second_nodes(void)
{
	static CUgraphNode n[2];

	n[0] = (CUgraphNode)second_node();
	return n;
}

/* --- memory --- */

void *pages(void)
{
	void *p = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		unmade = 1;
	return p;
}

void *pinned(void)
{
	void *p = NULL;

	if (!bare)
		NEED(cuMemHostAlloc(&p, 65536, CU_MEMHOSTALLOC_DEVICEMAP));
	return p;
}

void *registered(void)
{
	void *p = pages();

	if (!bare)
		NEED(cuMemHostRegister_v2(p, 4 * PAGE, 0));
	return p;
}

/* --- structs --- */

void *arguments(void)
{
	static uint64_t word;
	static void *list[] = { &word };

	return list;
}

void *kernel_params(void)
{
	static CUDA_KERNEL_NODE_PARAMS p;

	memset(&p, 0, sizeof(p));
	p.func = (CUfunction)function();
	p.gridDimX = p.gridDimY = p.gridDimZ = p.blockDimX = p.blockDimY = p.blockDimZ = 1;
	p.kernelParams = arguments();
	return &p;
}

void *copy3d(void)
{
	static CUDA_MEMCPY3D p;

	memset(&p, 0, sizeof(p));
	p.srcMemoryType = p.dstMemoryType = CU_MEMORYTYPE_DEVICE;
	p.srcDevice = process_memory;
	p.dstDevice = process_memory + 4096;
	p.WidthInBytes = p.srcPitch = p.dstPitch = 64;
	p.Height = p.Depth = p.srcHeight = p.dstHeight = 1;
	return &p;
}

void *copy3d_peer(void)
{
	static CUDA_MEMCPY3D_PEER p;

	memset(&p, 0, sizeof(p));
	p.srcMemoryType = p.dstMemoryType = CU_MEMORYTYPE_DEVICE;
	p.srcDevice = process_memory;
	p.dstDevice = process_memory + 4096;
	p.srcContext = p.dstContext = primary;
	p.WidthInBytes = p.srcPitch = p.dstPitch = 64;
	p.Height = p.Depth = p.srcHeight = p.dstHeight = 1;
	return &p;
}

void *copy2d(void)
{
	static CUDA_MEMCPY2D p;

	memset(&p, 0, sizeof(p));
	p.srcMemoryType = p.dstMemoryType = CU_MEMORYTYPE_DEVICE;
	p.srcDevice = process_memory;
	p.dstDevice = process_memory + 4096;
	p.WidthInBytes = p.srcPitch = p.dstPitch = 64;
	p.Height = 1;
	return &p;
}

void *batch_op(void)
{
	static CUDA_MEMCPY3D_BATCH_OP p;

	memset(&p, 0, sizeof(p));
	p.src.type = p.dst.type = CU_MEMCPY_OPERAND_TYPE_POINTER;
	p.src.op.ptr.ptr = process_memory;
	p.dst.op.ptr.ptr = process_memory + 4096;
	p.extent.width = 64;
	p.extent.height = p.extent.depth = 1;
	p.srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM;
	return &p;
}

void *copy_attributes(void)
{
	static CUmemcpyAttributes p;

	memset(&p, 0, sizeof(p));
	p.srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM;
	return &p;
}

void *memset_params(void)
{
	static CUDA_MEMSET_NODE_PARAMS p;

	memset(&p, 0, sizeof(p));
	p.dst = process_memory;
	p.elementSize = 1;
	p.width = 64;
	p.height = 1;
	return &p;
}

void *host_params(void)
{
	static CUDA_HOST_NODE_PARAMS p;

	p.fn = run_nothing;
	p.userData = host_page;
	return &p;
}

void *mem_op(void)
{
	static CUstreamBatchMemOpParams p;

	memset(&p, 0, sizeof(p));
	p.writeValue.operation = CU_STREAM_MEM_OP_WRITE_VALUE_32;
	p.writeValue.address = process_memory;
	return &p;
}

void *mem_op_params(void)
{
	static CUDA_BATCH_MEM_OP_NODE_PARAMS p;

	p.ctx = primary;
	p.count = 1;
	p.paramArray = mem_op();
	p.flags = 0;
	return &p;
}

void *alloc_params(void)
{
	static CUDA_MEM_ALLOC_NODE_PARAMS p;

	memset(&p, 0, sizeof(p));
	p.poolProps.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
	p.poolProps.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
	p.bytesize = 65536;
	return &p;
}

void *node_params(void)
{
	static CUgraphNodeParams p;

	memset(&p, 0, sizeof(p));
	p.type = CU_GRAPH_NODE_TYPE_KERNEL;
	memcpy(&p.kernel, kernel_params(), sizeof(CUDA_KERNEL_NODE_PARAMS));
	return &p;
}

void *launch_params(void)
{
	static CUDA_LAUNCH_PARAMS p;

	memset(&p, 0, sizeof(p));
	p.function = (CUfunction)function();
	p.gridDimX = p.gridDimY = p.gridDimZ = p.blockDimX = p.blockDimY = p.blockDimZ = 1;
	p.hStream = (CUstream)stream();
	p.kernelParams = arguments();
	return &p;
}

void *launch_config(void)
{
	static CUlaunchConfig p;

	memset(&p, 0, sizeof(p));
	p.gridDimX = p.gridDimY = p.gridDimZ = p.blockDimX = p.blockDimY = p.blockDimZ = 1;
	return &p;
}

void *location(void)
{
	static CUmemLocation p;

	p.type = CU_MEM_LOCATION_TYPE_DEVICE;
	p.id = 0;
	return &p;
}

void *device_access(void)
{
	static CUmemAccessDesc p;

	p.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
	p.location.id = 0;
	p.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
	return &p;
}

void *array_desc(void)
{
	static CUDA_ARRAY_DESCRIPTOR p = { 64, 64, CU_AD_FORMAT_UNSIGNED_INT8, 1 };

	return &p;
}

void *array3d_desc(void)
{
	static CUDA_ARRAY3D_DESCRIPTOR p = { 64, 64, 0, CU_AD_FORMAT_UNSIGNED_INT8, 1, 0 };

	return &p;
}

void *resource(void)
{
	static CUDA_RESOURCE_DESC p;

	memset(&p, 0, sizeof(p));
	p.resType = CU_RESOURCE_TYPE_ARRAY;
	if (!bare) {
		CUDA_ARRAY3D_DESCRIPTOR d = { 64, 64, 0, CU_AD_FORMAT_UNSIGNED_INT8, 1,
					      CUDA_ARRAY3D_SURFACE_LDST };

		NEED(cuArray3DCreate_v2(&p.res.array.hArray, &d));
	}
	return &p;
}

void *allocation_prop(void)
{
	static CUmemAllocationProp p;

	memset(&p, 0, sizeof(p));
	p.type = CU_MEM_ALLOCATION_TYPE_PINNED;
	p.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
	p.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
	return &p;
}

void *pool_props(void)
{
	static CUmemPoolProps p;

	memset(&p, 0, sizeof(p));
	p.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
	p.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
	return &p;
}

void *sm_resource(void)
{
	static CUdevResource p;

	memset(&p, 0, sizeof(p));
	if (!bare)
		NEED(cuDeviceGetDevResource(0, &p, CU_DEV_RESOURCE_TYPE_SM));
	return &p;
}

void *bus_id(void)
{
	static char text[64];

	if (!bare)
		NEED(cuDeviceGetPCIBusId(text, sizeof(text), 0));
	return text;
}

void *tensor_map(void)
{
	static CUtensorMap map __attribute__((aligned(64)));
	static const cuuint64_t dim[] = { 16, 16, 16 }, stride[] = { 256, 4096 };
	static const cuuint32_t one[] = { 1, 1, 1 };

	if (!bare)
		NEED(cuTensorMapEncodeTiled(&map, CU_TENSOR_MAP_DATA_TYPE_UINT8, 3,
					    (void *)(uintptr_t)process_memory, dim, stride,
					    (const cuuint32_t []){ 16, 1, 1 }, one, 0, 0, 0, 0));
	return &map;
}
