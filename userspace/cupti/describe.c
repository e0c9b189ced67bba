// SPDX-License-Identifier: Apache-2.0
/*
 * Which of the driver's functions give the device work, and what their arguments say of it.  A
 * call's params are its arguments in their order, as libcuda's export has put them (profile.h).
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cupti_internal.h"

/* -- shapes of arguments */

struct copy_args { uint64_t dst, src; size_t bytes; CUstream stream; };
struct peer_args {
	CUdeviceptr dst;
	CUcontext dst_context;
	CUdeviceptr src;
	CUcontext src_context;
	size_t bytes;
	CUstream stream;
};
struct from_array_args { uint64_t dst; CUarray src; size_t offset, bytes; CUstream stream; };
struct to_array_args { CUarray dst; size_t offset; uint64_t src; size_t bytes; CUstream stream; };
struct arrays_args { CUarray dst; size_t offset; CUarray src; size_t src_offset, bytes; };
struct box_args { const void *box; CUstream stream; };
struct batch_args { CUdeviceptr *dsts, *srcs; size_t *sizes, count; CUmemcpyAttributes *attrs;
		    size_t *indexes, attr_count; };
struct batch_old_args { struct batch_args b; size_t *fail; CUstream stream; };
struct batch_new_args { struct batch_args b; CUstream stream; };
struct set8_args { CUdeviceptr dst; unsigned char v; size_t n; CUstream stream; };
struct set16_args { CUdeviceptr dst; unsigned short v; size_t n; CUstream stream; };
struct set32_args { CUdeviceptr dst; unsigned int v; size_t n; CUstream stream; };
struct box8_args { CUdeviceptr dst; size_t pitch; unsigned char v; size_t w, h; CUstream stream; };
struct box16_args { CUdeviceptr dst; size_t pitch; unsigned short v; size_t w, h; CUstream stream; };
struct box32_args { CUdeviceptr dst; size_t pitch; unsigned int v; size_t w, h; CUstream stream; };
struct launch_args {
	CUfunction f;
	unsigned int gx, gy, gz, bx, by, bz, shared;
	CUstream stream;
};
struct launch_ex_args { const CUlaunchConfig *config; CUfunction f; };
struct launch_grid_args { CUfunction f; int w, h; CUstream stream; };
struct launch_devices_args { CUDA_LAUNCH_PARAMS *list; unsigned int count, flags; };
struct graph_args { CUgraphExec exec; CUstream stream; };

/* -- names of kernels, which outlive their modules */

static const char *keep_name(const char *name)
{
	static struct name { struct name *next; char text[]; } *names[1024];
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	struct name *n;
	size_t length;
	unsigned int hash = 5381;

	for (const char *c = name; *c; c++)
		hash = hash * 33 + (unsigned char)*c;
	hash %= sizeof(names) / sizeof(names[0]);
	pthread_mutex_lock(&lock);
	for (n = names[hash]; n && strcmp(n->text, name); n = n->next)
		;
	length = strlen(name) + 1;
	if (!n && (n = malloc(sizeof(*n) + length))) {
		memcpy(n->text, name, length);
		n->next = names[hash];
		names[hash] = n;
	}
	pthread_mutex_unlock(&lock);
	return n ? n->text : "?";
}

/* -- where it happens */

struct place {
	uint32_t device, context, stream;
};

struct call {
	const struct vg_profile_table *t;
	const void *args;
	bool async;
	bool per_thread;	/* stream 0 is the thread's own */
};

static bool place(const struct call *c, CUstream s, struct place *p)
{
	int device;

	if (!c->t->context(NULL, NULL, &p->context, &device) ||
	    !c->t->stream(s, c->per_thread, &p->stream))
		return false;
	p->device = device;
	return true;
}

/* -- copies */

static uint8_t memory_kind(const struct call *c, uint64_t p)
{
	static const uint8_t kinds[] = {
		[VG_MEMORY_PAGEABLE] = VG_CUPTI_PAGEABLE, [VG_MEMORY_PINNED] = VG_CUPTI_PINNED,
		[VG_MEMORY_DEVICE] = VG_CUPTI_DEVICE, [VG_MEMORY_MANAGED] = VG_CUPTI_MANAGED,
	};

	return kinds[c->t->memory(p)];
}

static bool on_host(uint8_t kind)
{
	return kind == VG_CUPTI_PAGEABLE || kind == VG_CUPTI_PINNED;
}

static uint8_t copy_kind(uint8_t from, uint8_t to)
{
	if (from == VG_CUPTI_ARRAY)
		return to == VG_CUPTI_ARRAY ? VG_CUPTI_ATOA : on_host(to) ? VG_CUPTI_ATOH :
								      VG_CUPTI_ATOD;
	if (to == VG_CUPTI_ARRAY)
		return on_host(from) ? VG_CUPTI_HTOA : VG_CUPTI_DTOA;
	if (on_host(from))
		return on_host(to) ? VG_CUPTI_HTOH : VG_CUPTI_HTOD;
	return on_host(to) ? VG_CUPTI_DTOH : VG_CUPTI_DTOD;
}

static bool copy_of(const struct call *c, uint8_t from, uint8_t to, uint64_t bytes, uint64_t count,
		    CUstream s, union vg_record *r)
{
	struct place p;

	if (!vg_kind_on(CUPTI_ACTIVITY_KIND_MEMCPY) || !place(c, s, &p))
		return false;
	r->memcpy = (struct cupti_memcpy){
		.kind = CUPTI_ACTIVITY_KIND_MEMCPY, .copyKind = copy_kind(from, to),
		.srcKind = from, .dstKind = to, .flags = c->async ? VG_CUPTI_FLAG_ASYNC : 0,
		.bytes = bytes, .deviceId = p.device, .contextId = p.context,
		.streamId = p.stream, .copyCount = count,
	};
	return true;
}

static CUstream stream_of(const struct call *c, const CUstream *s)
{
	return c->async ? *s : NULL;
}

static bool copy(const struct call *c, union vg_record *r)
{
	const struct copy_args *a = c->args;

	return copy_of(c, memory_kind(c, a->src), memory_kind(c, a->dst), a->bytes, 1,
		       stream_of(c, &a->stream), r);
}

static bool copy_to_array(const struct call *c, union vg_record *r)
{
	const struct to_array_args *a = c->args;

	return copy_of(c, memory_kind(c, a->src), VG_CUPTI_ARRAY, a->bytes, 1,
		       stream_of(c, &a->stream), r);
}

static bool copy_from_array(const struct call *c, union vg_record *r)
{
	const struct from_array_args *a = c->args;

	return copy_of(c, VG_CUPTI_ARRAY, memory_kind(c, a->dst), a->bytes, 1,
		       stream_of(c, &a->stream), r);
}

static bool copy_arrays(const struct call *c, union vg_record *r)
{
	const struct arrays_args *a = c->args;

	return copy_of(c, VG_CUPTI_ARRAY, VG_CUPTI_ARRAY, a->bytes, 1, NULL, r);
}

static uint8_t box_side(const struct call *c, CUmemorytype type, const void *host, CUdeviceptr p)
{
	if (type == CU_MEMORYTYPE_ARRAY)
		return VG_CUPTI_ARRAY;
	return memory_kind(c, type == CU_MEMORYTYPE_HOST ? (uintptr_t)host : p);
}

static bool copy_2d(const struct call *c, union vg_record *r)
{
	const struct box_args *a = c->args;
	const CUDA_MEMCPY2D *b = a->box;

	return b && copy_of(c, box_side(c, b->srcMemoryType, b->srcHost, b->srcDevice),
			    box_side(c, b->dstMemoryType, b->dstHost, b->dstDevice),
			    b->WidthInBytes * b->Height, 1, stream_of(c, &a->stream), r);
}

static bool copy_3d(const struct call *c, union vg_record *r)
{
	const struct box_args *a = c->args;
	const CUDA_MEMCPY3D *b = a->box;

	return b && copy_of(c, box_side(c, b->srcMemoryType, b->srcHost, b->srcDevice),
			    box_side(c, b->dstMemoryType, b->dstHost, b->dstDevice),
			    b->WidthInBytes * b->Height * b->Depth, 1, stream_of(c, &a->stream), r);
}

static bool copy_batch(const struct call *c, const struct batch_args *b, CUstream s,
		       union vg_record *r)
{
	uint64_t bytes = 0;

	if (!b->dsts || !b->srcs || !b->sizes || !b->count)
		return false;
	for (size_t i = 0; i < b->count; i++)
		bytes += b->sizes[i];
	/* One record, whose kind is that of the first. */
	return copy_of(c, memory_kind(c, b->srcs[0]), memory_kind(c, b->dsts[0]), bytes, b->count, s,
		       r);
}

static bool copy_batch_old(const struct call *c, union vg_record *r)
{
	const struct batch_old_args *a = c->args;

	return copy_batch(c, &a->b, a->stream, r);
}

static bool copy_batch_new(const struct call *c, union vg_record *r)
{
	const struct batch_new_args *a = c->args;

	return copy_batch(c, &a->b, a->stream, r);
}

static bool copy_between(const struct call *c, CUcontext from, CUcontext to, uint64_t bytes,
			 CUstream s, union vg_record *r)
{
	uint32_t from_id, to_id;
	int from_device, to_device;
	struct place p;

	if (!vg_kind_on(CUPTI_ACTIVITY_KIND_MEMCPY2) || !place(c, s, &p) ||
	    !c->t->context(from, NULL, &from_id, &from_device) ||
	    !c->t->context(to, NULL, &to_id, &to_device))
		return false;
	r->memcpy2 = (struct cupti_memcpy2){
		.kind = CUPTI_ACTIVITY_KIND_MEMCPY2, .copyKind = VG_CUPTI_PTOP,
		.srcKind = VG_CUPTI_DEVICE, .dstKind = VG_CUPTI_DEVICE,
		.flags = c->async ? VG_CUPTI_FLAG_ASYNC : 0, .bytes = bytes, .deviceId = p.device,
		.contextId = p.context, .streamId = p.stream, .srcDeviceId = from_device,
		.srcContextId = from_id, .dstDeviceId = to_device, .dstContextId = to_id,
	};
	return true;
}

static bool copy_peer(const struct call *c, union vg_record *r)
{
	const struct peer_args *a = c->args;

	return copy_between(c, a->src_context, a->dst_context, a->bytes, stream_of(c, &a->stream), r);
}

static bool copy_3d_peer(const struct call *c, union vg_record *r)
{
	const struct box_args *a = c->args;
	const CUDA_MEMCPY3D_PEER *b = a->box;

	return b && copy_between(c, b->srcContext, b->dstContext,
				 b->WidthInBytes * b->Height * b->Depth, stream_of(c, &a->stream), r);
}

/* -- memsets */

static bool set_of(const struct call *c, CUdeviceptr dst, uint32_t value, uint64_t bytes, CUstream s,
		   union vg_record *r)
{
	struct place p;

	if (!vg_kind_on(CUPTI_ACTIVITY_KIND_MEMSET) || !place(c, s, &p))
		return false;
	r->memset = (struct cupti_memset){
		.kind = CUPTI_ACTIVITY_KIND_MEMSET, .value = value, .bytes = bytes,
		.deviceId = p.device, .contextId = p.context, .streamId = p.stream,
		.flags = c->async ? VG_CUPTI_FLAG_ASYNC : 0, .memoryKind = memory_kind(c, dst),
	};
	return true;
}

#define LINE(bits) \
static bool set##bits(const struct call *c, union vg_record *r) \
{ \
	const struct set##bits##_args *a = c->args; \
\
	return set_of(c, a->dst, a->v, a->n * ((bits) / 8), stream_of(c, &a->stream), r); \
} \
\
static bool set_box##bits(const struct call *c, union vg_record *r) \
{ \
	const struct box##bits##_args *a = c->args; \
\
	return set_of(c, a->dst, a->v, a->w * a->h * ((bits) / 8), stream_of(c, &a->stream), r); \
}

LINE(8)
LINE(16)
LINE(32)

/* -- launches */

/* CUpti_ActivityLaunchType */
enum { REGULAR, COOPERATIVE, COOPERATIVE_MULTI };

static bool launch_of(const struct call *c, const struct launch_args *a, unsigned int type,
		      const unsigned int cluster[3], union vg_record *r)
{
	struct vg_profile_kernel k;
	struct place p;
	bool concurrent = vg_kind_on(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL);

	if ((!concurrent && !vg_kind_on(CUPTI_ACTIVITY_KIND_KERNEL)) || !place(c, a->stream, &p) ||
	    !c->t->kernel(a->f, &k))
		return false;
	r->kernel = (struct cupti_kernel){
		.kind = concurrent ? CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL :
				     CUPTI_ACTIVITY_KIND_KERNEL,
		.registersPerThread = k.registers, .deviceId = p.device, .contextId = p.context,
		.streamId = p.stream, .gridX = a->gx, .gridY = a->gy, .gridZ = a->gz,
		.blockX = a->bx, .blockY = a->by, .blockZ = a->bz, .staticSharedMemory = k.shared,
		.dynamicSharedMemory = a->shared, .localMemoryPerThread = k.local,
		.name = keep_name(k.name), .launchType = type,
		.sharedMemoryExecuted = k.shared + a->shared,
		.clusterX = cluster[0], .clusterY = cluster[1], .clusterZ = cluster[2],
	};
	return true;
}

static const unsigned int no_cluster[3];

static bool launch(const struct call *c, union vg_record *r)
{
	return launch_of(c, c->args, REGULAR, no_cluster, r);
}

static bool launch_cooperative(const struct call *c, union vg_record *r)
{
	return launch_of(c, c->args, COOPERATIVE, no_cluster, r);
}

static bool launch_ex(const struct call *c, union vg_record *r)
{
	const struct launch_ex_args *a = c->args;
	const CUlaunchConfig *l = a->config;
	unsigned int cluster[3] = { 0 }, type = REGULAR;

	if (!l)
		return false;
	for (unsigned int i = 0; l->attrs && i < l->numAttrs; i++) {
		if (l->attrs[i].id == CU_LAUNCH_ATTRIBUTE_COOPERATIVE &&
		    l->attrs[i].value.cooperative)
			type = COOPERATIVE;
		if (l->attrs[i].id == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION) {
			cluster[0] = l->attrs[i].value.clusterDim.x;
			cluster[1] = l->attrs[i].value.clusterDim.y;
			cluster[2] = l->attrs[i].value.clusterDim.z;
		}
	}
	return launch_of(c, &(struct launch_args){ a->f, l->gridDimX, l->gridDimY, l->gridDimZ,
						   l->blockDimX, l->blockDimY, l->blockDimZ,
						   l->sharedMemBytes, l->hStream }, type, cluster, r);
}

static bool launch_devices(const struct call *c, union vg_record *r)
{
	const struct launch_devices_args *a = c->args;
	const CUDA_LAUNCH_PARAMS *l = a->list;

	return l && launch_of(c, &(struct launch_args){ l->function, l->gridDimX, l->gridDimY,
							l->gridDimZ, l->blockDimX, l->blockDimY,
							l->blockDimZ, l->sharedMemBytes, l->hStream },
			      COOPERATIVE_MULTI, no_cluster, r);
}

/* Of before CUDA 4: the block's shape has been told by an earlier call. */
static bool launch_old(const struct call *c, union vg_record *r)
{
	const struct launch_grid_args *a = c->args;

	return launch_of(c, &(struct launch_args){ .f = a->f, .gx = 1, .gy = 1, .gz = 1 }, REGULAR,
			 no_cluster, r);
}

static bool launch_grid(const struct call *c, union vg_record *r)
{
	const struct launch_grid_args *a = c->args;

	return launch_of(c, &(struct launch_args){ .f = a->f, .gx = a->w, .gy = a->h, .gz = 1,
						   .stream = stream_of(c, &a->stream) }, REGULAR,
			 no_cluster, r);
}

#define VG_GRAPH_NAME "CUDA graph"

/* Executable graphs have no ids of CUPTI's here: the handle tells them apart. */
static uint32_t vg_graph_id(CUgraphExec exec)
{
	return (uint32_t)((uintptr_t)exec >> 6);
}

/*
 * All of a launched graph is one record: a GRAPH_TRACE, or, for programs that know only kernels,
 * a kernel with a name of ours and no grid.
 */
static bool graph(const struct call *c, union vg_record *r)
{
	const struct graph_args *a = c->args;
	struct place p;

	if (!place(c, a->stream, &p))
		return false;
	if (vg_kind_on(CUPTI_ACTIVITY_KIND_GRAPH_TRACE)) {
		r->graph = (struct cupti_graph){
			.kind = CUPTI_ACTIVITY_KIND_GRAPH_TRACE, .deviceId = p.device,
			.graphId = vg_graph_id(a->exec), .contextId = p.context,
			.streamId = p.stream, .endDeviceId = p.device, .endContextId = p.context,
		};
		return true;
	}
	if (!vg_kind_on(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL))
		return false;
	r->kernel = (struct cupti_kernel){
		.kind = CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, .deviceId = p.device,
		.contextId = p.context, .streamId = p.stream, .name = VG_GRAPH_NAME,
		.graphId = vg_graph_id(a->exec),
	};
	return true;
}

/* -- which is which */

static const struct description {
	const char *name;
	bool (*fill)(const struct call *c, union vg_record *r);
	bool async;
} descriptions[] = {
	{ "cuLaunchKernel", launch, true },
	{ "cuLaunchKernelEx", launch_ex, true },
	{ "cuLaunchCooperativeKernel", launch_cooperative, true },
	{ "cuLaunchCooperativeKernelMultiDevice", launch_devices, true },
	{ "cuLaunch", launch_old, false },
	{ "cuLaunchGrid", launch_grid, false },
	{ "cuLaunchGridAsync", launch_grid, true },
	{ "cuGraphLaunch", graph, true },
	{ "cuMemcpy", copy, false },
	{ "cuMemcpyAsync", copy, true },
	{ "cuMemcpyHtoD_v2", copy, false },
	{ "cuMemcpyHtoDAsync_v2", copy, true },
	{ "cuMemcpyDtoH_v2", copy, false },
	{ "cuMemcpyDtoHAsync_v2", copy, true },
	{ "cuMemcpyDtoD_v2", copy, false },
	{ "cuMemcpyDtoDAsync_v2", copy, true },
	{ "cuMemcpyHtoA_v2", copy_to_array, false },
	{ "cuMemcpyHtoAAsync_v2", copy_to_array, true },
	{ "cuMemcpyDtoA_v2", copy_to_array, false },
	{ "cuMemcpyAtoH_v2", copy_from_array, false },
	{ "cuMemcpyAtoHAsync_v2", copy_from_array, true },
	{ "cuMemcpyAtoD_v2", copy_from_array, false },
	{ "cuMemcpyAtoA_v2", copy_arrays, false },
	{ "cuMemcpy2D_v2", copy_2d, false },
	{ "cuMemcpy2DUnaligned_v2", copy_2d, false },
	{ "cuMemcpy2DAsync_v2", copy_2d, true },
	{ "cuMemcpy3D_v2", copy_3d, false },
	{ "cuMemcpy3DAsync_v2", copy_3d, true },
	{ "cuMemcpyPeer", copy_peer, false },
	{ "cuMemcpyPeerAsync", copy_peer, true },
	{ "cuMemcpy3DPeer", copy_3d_peer, false },
	{ "cuMemcpy3DPeerAsync", copy_3d_peer, true },
	{ "cuMemcpyBatchAsync", copy_batch_old, true },
	{ "cuMemcpyBatchAsync_v2", copy_batch_new, true },
	{ "cuMemsetD8_v2", set8, false },
	{ "cuMemsetD16_v2", set16, false },
	{ "cuMemsetD32_v2", set32, false },
	{ "cuMemsetD2D8_v2", set_box8, false },
	{ "cuMemsetD2D16_v2", set_box16, false },
	{ "cuMemsetD2D32_v2", set_box32, false },
	{ "cuMemsetD8Async", set8, true },
	{ "cuMemsetD16Async", set16, true },
	{ "cuMemsetD32Async", set32, true },
	{ "cuMemsetD2D8Async", set_box8, true },
	{ "cuMemsetD2D16Async", set_box16, true },
	{ "cuMemsetD2D32Async", set_box32, true },
};

static bool per_thread(const char *name, size_t *length)
{
	size_t n = strlen(name);

	*length = n;
	if (n < 5 || (strcmp(name + n - 5, "_ptsz") && strcmp(name + n - 5, "_ptds")))
		return false;
	*length = n - 5;
	return true;
}

unsigned int vg_described(const char *name)
{
	size_t length;

	per_thread(name, &length);
	for (unsigned int i = 0; i < sizeof(descriptions) / sizeof(descriptions[0]); i++)
		if (!strncmp(descriptions[i].name, name, length) && !descriptions[i].name[length])
			return i + 1;
	return 0;
}

static bool is(const char *name, const char *base)
{
	size_t length;

	per_thread(name, &length);
	return !strncmp(base, name, length) && !base[length];
}

bool vg_waits(const char *name)
{
	return is(name, "cuCtxSynchronize") || is(name, "cuCtxSynchronize_v2") ||
	       is(name, "cuStreamSynchronize");
}

bool vg_waited_for(const struct vg_api_call *call, uint32_t *context, uint32_t *stream)
{
	const char *name = call->api->name;
	const union { CUcontext context; CUstream stream; } *args = call->params;
	const struct vg_profile_table *t = vg_driver(NULL);
	size_t length;
	int device;

	*stream = 0;
	if (is(name, "cuCtxSynchronize_v2"))
		return t->context(args->context, NULL, context, &device);
	return t->context(NULL, NULL, context, &device) &&
	       (is(name, "cuCtxSynchronize") ||
		t->stream(args->stream, per_thread(name, &length), stream));
}

bool vg_describe(unsigned int which, const struct vg_api_call *call, union vg_record *r)
{
	const struct description *d = &descriptions[which - 1];
	size_t length;
	struct call c = {
		.t = vg_driver(NULL), .args = call->params, .async = d->async,
		.per_thread = per_thread(call->api->name, &length),
	};

	return d->fill(&c, r);
}

size_t vg_record_bytes(uint32_t kind)
{
	switch (kind) {
	case CUPTI_ACTIVITY_KIND_MEMCPY:
		return sizeof(struct cupti_memcpy);
	case CUPTI_ACTIVITY_KIND_MEMCPY2:
		return sizeof(struct cupti_memcpy2);
	case CUPTI_ACTIVITY_KIND_MEMSET:
		return sizeof(struct cupti_memset);
	case CUPTI_ACTIVITY_KIND_KERNEL:
	case CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL:
		return sizeof(struct cupti_kernel);
	case CUPTI_ACTIVITY_KIND_GRAPH_TRACE:
		return sizeof(struct cupti_graph);
	case CUPTI_ACTIVITY_KIND_DRIVER:
		return sizeof(struct cupti_api);
	case CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION:
		return sizeof(struct cupti_external);
	default:
		return 0;
	}
}
