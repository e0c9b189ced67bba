// SPDX-License-Identifier: Apache-2.0
/*
 * Copy nodes of graphs with a side in pageable memory of the program.  In the driver each is a
 * child graph of a host function and a memcpy node, which meet in page-locked memory;
 * docs/graph-copies.md draws it.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "callback.h"
#include "client.h"
#include "graph.h"
#include "graph_spare.h"
#include "graph_stage.h"
#include "hostmem.h"
#include "shim_calls.h"

/* What a node copies.  The user object stands for it: it ends when no graph has it. */
struct record {
	CUDA_MEMCPY3D copy;		/* a side of the type HOST is the program's memory */
	bool out;			/* the host function comes after the memcpy node */
	void *memory;			/* the rows of the box, one after the other */
	struct vg_spare *locked;	/* which has it; NULL: it is the C library's */
	size_t bytes;
	uint32_t cookie;
	CUuserObject object;
};

/* -- in the program's memory */

#define ROWS_MAX 64
#define PIECE_MAX ((size_t)1 << 30)	/* the kernel copies less than 2 GiB at a time */

/* One side of a box. */
struct rows {
	uint8_t *first;
	uint64_t pitch, slice;		/* bytes from one to the next */
	uint64_t width, height, depth;
};

static struct rows source(const CUDA_MEMCPY3D *p)
{
	uint64_t slice = p->srcPitch * p->srcHeight;

	return (struct rows){
		(uint8_t *)(uintptr_t)p->srcHost + p->srcZ * slice + p->srcY * p->srcPitch +
			p->srcXInBytes,
		p->srcPitch, slice, p->WidthInBytes, p->Height, p->Depth,
	};
}

static struct rows target(const CUDA_MEMCPY3D *p)
{
	uint64_t slice = p->dstPitch * p->dstHeight;

	return (struct rows){
		(uint8_t *)p->dstHost + p->dstZ * slice + p->dstY * p->dstPitch + p->dstXInBytes,
		p->dstPitch, slice, p->WidthInBytes, p->Height, p->Depth,
	};
}

/* A device's memory, which the kernel does not copy, and where it copies none. */
static bool by_cpu(const struct iovec *there, unsigned int n, uint8_t *here, bool in, bool fault)
{
	struct vg_mapped is;

	for (unsigned int i = 0; i < n; i++) {
		if (!vg_mapped((uintptr_t)there[i].iov_base, there[i].iov_len, &is) ||
		    !(in ? is.read : is.write) || (fault && !is.io))
			return false;
		memcpy(in ? here : there[i].iov_base, in ? there[i].iov_base : here,
		       there[i].iov_len);
		here += there[i].iov_len;
	}
	return true;
}

static bool move(const struct iovec *there, unsigned int n, uint8_t *here, size_t bytes, bool in)
{
	struct iovec local = { here, bytes };
	ssize_t moved;

	moved = in ? process_vm_readv(getpid(), &local, 1, there, n, 0) :
		     process_vm_writev(getpid(), &local, 1, there, n, 0);
	if (moved >= 0 && (size_t)moved == bytes)
		return true;
	/* A part that was copied ends where the memory does. */
	return by_cpu(there, n, here, in, moved >= 0 || errno == EFAULT);
}

/* Rows that follow one another without a gap are one. */
static void join(struct rows *r)
{
	if (r->height == 1) {
		r->pitch = r->slice;
		r->height = r->depth;
		r->depth = 1;
	}
	if (r->height > 1 && r->pitch == r->width) {
		r->width *= r->height;
		r->height = 1;
		if (r->depth > 1)
			join(r);
	}
}

/* All of the box, between the program's memory and `packed`; false: some of it is not there. */
static bool transfer(struct rows *r, uint8_t *packed, bool in)
{
	struct iovec there[ROWS_MAX];
	unsigned int n = 0;
	size_t bytes = 0;

	join(r);
	for (uint64_t z = 0; z < r->depth; z++) {
		for (uint64_t y = 0; y < r->height; y++) {
			for (uint64_t x = 0, piece; x < r->width; x += piece) {
				piece = r->width - x < PIECE_MAX ? r->width - x : PIECE_MAX;
				if (n && (n == ROWS_MAX || bytes + piece > PIECE_MAX)) {
					if (!move(there, n, packed, bytes, in))
						return false;
					packed += bytes;
					bytes = n = 0;
				}
				there[n].iov_base = r->first + z * r->slice + y * r->pitch + x;
				there[n++].iov_len = piece;
				bytes += piece;
			}
		}
	}
	return !n || move(there, n, packed, bytes, in);
}

/* The host function.  It may call nothing of the driver's. */
static void run(void *data)
{
	const struct record *r = data;
	struct rows from = source(&r->copy), to = target(&r->copy);
	bool there = true;

	if (!r->bytes)
		return;
	if (r->copy.srcMemoryType == CU_MEMORYTYPE_HOST)
		there = transfer(&from, r->memory, true);
	if (there && r->copy.dstMemoryType == CU_MEMORYTYPE_HOST)
		there = transfer(&to, r->memory, false);
	if (!there)
		vg_on_deferred(CUDA_ERROR_ILLEGAL_ADDRESS);
}

/* -- records */

static void record_free(struct record *r)
{
	if (r->cookie)
		vg_callback_drop(r->cookie);
	if (r->locked)
		vg_spare_give(r->locked);
	else
		free(r->memory);
	free(r);
}

/* The destructor: no graph has it.  It may call nothing of the driver's either. */
static void end(void *data)
{
	record_free(data);
}

static bool has_memcpy(const struct record *r)
{
	return r->bytes && (r->copy.srcMemoryType != CU_MEMORYTYPE_HOST ||
			    r->copy.dstMemoryType != CU_MEMORYTYPE_HOST);
}

static bool pageable(const CUDA_MEMCPY3D *p)
{
	return p->srcMemoryType == CU_MEMORYTYPE_HOST || p->dstMemoryType == CU_MEMORYTYPE_HOST;
}

/* Between memory of the program's alone no device is needed, nor where nothing is copied. */
static CUresult memory_new(struct record *r)
{
	CUresult e;

	if (!r->bytes || !pageable(&r->copy))
		return CUDA_SUCCESS;
	if (!has_memcpy(r)) {
		r->memory = malloc(r->bytes);
		return r->memory ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
	}
	e = vg_spare_take(r->bytes, &r->locked);
	if (!e)
		r->memory = r->locked->p;
	if (e && e != CUDA_ERROR_OUT_OF_MEMORY)
		return vg_refuse("a copy of pageable memory in a graph",
				 "no page-locked memory can be shared here");
	return e;
}

/* The memory is the context's in which the copy is made. */
static CUresult record_new(const CUDA_MEMCPY3D *copy, bool out, CUcontext ctx, struct record **made)
{
	struct vg_object *o = vg_object_get(ctx, VG_CONTEXT);
	struct record *r;
	uint64_t bytes;
	bool pushed;
	CUresult e;

	if (!o)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (__builtin_mul_overflow(copy->WidthInBytes, copy->Height, &bytes) ||
	    __builtin_mul_overflow(bytes, copy->Depth, &bytes))
		return CUDA_ERROR_INVALID_VALUE;
	r = calloc(1, sizeof(*r));
	if (!r)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*r = (struct record){ .copy = *copy, .out = out, .bytes = bytes };
	pushed = !vg_current() || vg_current()->object != o;
	e = pushed ? vg_context_push(o) : CUDA_SUCCESS;
	if (!e) {
		e = memory_new(r);
		if (pushed)
			vg_context_pop(&o);
	}
	if (!e)
		e = vg_callback_keep(run, r, &r->cookie);
	if (!e)
		e = vgh_cuUserObjectCreate(&r->object, r, end, 1,
					   CU_USER_OBJECT_NO_DESTRUCTOR_SYNC);
	if (e)
		record_free(r);
	else
		*made = r;
	return e;
}

/* -- what is within */

struct within {
	CUgraph graph;
	CUgraphNode host, copy;		/* `copy` may be NULL */
};

/* The memcpy node's parameters: packed memory in place of the program's. */
static CUresult inner_copy(const struct record *r, vgpu_copy3d *c)
{
	CUDA_MEMCPY3D p = r->copy;
	bool host;

	if (p.srcMemoryType == CU_MEMORYTYPE_HOST) {
		p.srcMemoryType = CU_MEMORYTYPE_DEVICE;
		p.srcDevice = (uintptr_t)r->memory;
		p.srcXInBytes = p.srcY = p.srcZ = p.srcLOD = 0;
		p.srcPitch = p.WidthInBytes;
		p.srcHeight = p.Height;
	}
	if (p.dstMemoryType == CU_MEMORYTYPE_HOST) {
		p.dstMemoryType = CU_MEMORYTYPE_DEVICE;
		p.dstDevice = (uintptr_t)r->memory;
		p.dstXInBytes = p.dstY = p.dstZ = p.dstLOD = 0;
		p.dstPitch = p.WidthInBytes;
		p.dstHeight = p.Height;
	}
	return vg_box(&p, c, &host);
}

static void nodes_remove(struct within *w)
{
	if (w->host)
		vgw_cuGraphDestroyNode(w->host);
	if (w->copy)
		vgw_cuGraphDestroyNode(w->copy);
	w->host = w->copy = NULL;
}

/* Add the nodes of a record, and let the graph have it; after an error nobody has. */
static CUresult nodes_add(struct within *w, struct record *r, CUcontext ctx)
{
	CUgraph g = w->graph;
	vgpu_copy3d c;
	CUresult e = CUDA_SUCCESS;

	*w = (struct within){ .graph = g };
	if (has_memcpy(r))
		e = inner_copy(r, &c);
	if (!e && has_memcpy(r) && r->out)
		e = vgw_vgpu_graph_copy_node(&w->copy, g, NULL, 0, &c, ctx);
	if (!e)
		e = vgw_vgpu_graph_host_node(&w->host, g, &w->copy, w->copy != NULL, r->cookie);
	if (!e && has_memcpy(r) && !r->out)
		e = vgw_vgpu_graph_copy_node(&w->copy, g, &w->host, 1, &c, ctx);
	if (!e)
		e = vgw_cuGraphRetainUserObject(g, r->object, 1, CU_GRAPH_USER_OBJECT_MOVE);
	if (e) {
		nodes_remove(w);
		vgw_cuUserObjectRelease(r->object, 1);
	}
	return e;
}

/* What a child graph is a clone of before it is filled. */
static CUresult empty_graph(CUgraph *graph)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static CUgraph empty;
	CUresult e = CUDA_SUCCESS;

	pthread_mutex_lock(&lock);
	if (!empty)
		e = vgw_cuGraphCreate(&empty, 0);
	*graph = empty;
	pthread_mutex_unlock(&lock);
	return e;
}

/* -- nodes */

static CUgraph adopt_within(CUgraphNode node, uint32_t id)
{
	struct vg_node *n = vg_node(node);

	if (!n)
		return NULL;
	n->holds = true;
	return (CUgraph)vg_object_adopt(id, VG_GRAPH,
					vg_object_get(node, VG_GRAPH_NODE)->id);
}

static void now_is(CUgraphNode node, const struct within *w)
{
	struct vg_node *n = vg_node(node);

	if (!n)
		return;
	n->staged = VG_STAGED_YES;
	n->within = w->graph;
	n->host = w->host;
	n->copy = w->copy;
}

CUresult vg_staged_add(CUgraphNode *node, CUgraph graph, const CUgraphNode *deps, size_t count,
		       const CUDA_MEMCPY3D *copy, CUcontext ctx)
{
	struct within w = { 0 };
	CUgraph template;
	struct record *r;
	CUgraphNode made;
	unsigned int id;
	CUresult e = empty_graph(&template);

	if (!e)
		e = vgw_cuGraphAddChildGraphNode(&made, graph, deps, count, template);
	if (e)
		return e;
	e = vgw_vgpu_graph_child(made, &id);
	if (!e)
		w.graph = adopt_within(made, id);
	if (!e && !w.graph)
		e = CUDA_ERROR_UNKNOWN;
	if (!e)
		e = record_new(copy, copy->dstMemoryType == CU_MEMORYTYPE_HOST, ctx, &r);
	if (!e)
		e = nodes_add(&w, r, ctx);
	if (e) {
		vgw_cuGraphDestroyNode(made);
		return e;
	}
	now_is(made, &w);
	*node = made;
	return CUDA_SUCCESS;
}

bool vg_staged_captures(CUstream s)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;

	return vg_capturing() && !vgw_cuStreamIsCapturing(s, &status) &&
	       status != CU_STREAM_CAPTURE_STATUS_NONE;
}

CUresult vg_staged_capture(CUstream s, const CUDA_MEMCPY3D *copy)
{
	struct vg_context *c = vg_current();
	CUcontext ctx = c ? (CUcontext)c->object : NULL;
	unsigned int graph_id, node_id, within_id;
	struct vg_object *g, *node = NULL;
	struct within w = { 0 };
	CUgraph template;
	struct record *r;
	CUresult e = empty_graph(&template);

	if (!e)
		e = record_new(copy, copy->dstMemoryType == CU_MEMORYTYPE_HOST, ctx, &r);
	if (e)
		return e;
	e = vgw_vgpu_capture_child(s, template, &graph_id, &node_id, &within_id);
	if (e) {
		vgw_cuUserObjectRelease(r->object, 1);
		return e;
	}
	g = vg_object_adopt(graph_id, VG_GRAPH, 0);
	if (g)
		node = vg_object_adopt(node_id, VG_GRAPH_NODE, g->id);
	if (node)
		w.graph = adopt_within((CUgraphNode)node, within_id);
	if (!w.graph) {
		vgw_cuUserObjectRelease(r->object, 1);
		return CUDA_ERROR_UNKNOWN;
	}
	e = nodes_add(&w, r, ctx);
	/* After an error an empty child graph stays, for no node leaves a capture. */
	if (!e)
		now_is((CUgraphNode)node, &w);
	return e;
}

static struct record *record_of(CUgraphNode host)
{
	unsigned int cookie;

	return vgw_vgpu_graph_host_get(host, &cookie) ? NULL : vg_callback_kept(cookie, run);
}

/* One that a clone or a capture has made is known by what is within. */
static bool look(CUgraphNode node)
{
	CUgraphNode list[3];
	struct within w = { 0 };
	CUgraphNodeType type;
	size_t count = 3;
	unsigned int id;

	if (vgw_cuGraphNodeGetType(node, &type) || type != CU_GRAPH_NODE_TYPE_GRAPH ||
	    vgw_vgpu_graph_child(node, &id))
		return false;
	w.graph = adopt_within(node, id);
	if (!w.graph || vgh_cuGraphGetNodes(w.graph, list, &count) || count > 2)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (vgw_cuGraphNodeGetType(list[i], &type))
			return false;
		if (type == CU_GRAPH_NODE_TYPE_HOST)
			w.host = list[i];
		else if (type == CU_GRAPH_NODE_TYPE_MEMCPY)
			w.copy = list[i];
	}
	if (!w.host || !record_of(w.host))
		return false;
	now_is(node, &w);
	return true;
}

bool vg_staged(CUgraphNode node)
{
	struct vg_node *n = vg_node(node);

	if (!n)
		return false;
	if (n->staged == VG_STAGED_UNASKED && !look(node))
		n->staged = VG_STAGED_NO;
	return n->staged == VG_STAGED_YES;
}

CUresult vg_staged_get(CUgraphNode node, CUDA_MEMCPY3D *copy)
{
	struct record *r = vg_staged(node) ? record_of(vg_node(node)->host) : NULL;

	if (!r)
		return CUDA_ERROR_INVALID_VALUE;
	*copy = r->copy;
	return CUDA_SUCCESS;
}

/* The nodes within stay what they are, for executable graphs were made of them. */
static CUresult set_nodes(const struct within *w, const struct record *old, struct record *r)
{
	vgpu_copy3d was, c;
	CUresult e = CUDA_SUCCESS;

	if (w->copy) {
		e = inner_copy(old, &was);
		if (!e)
			e = inner_copy(r, &c);
		if (!e)
			e = vgw_vgpu_graph_copy_set(0, w->copy, &c, NULL);
		if (e)
			return e;
	}
	e = vgw_vgpu_graph_host_set(0, w->host, r->cookie);
	if (!e) {
		e = vgw_cuGraphRetainUserObject(w->graph, r->object, 1, CU_GRAPH_USER_OBJECT_MOVE);
		if (e)
			vgw_vgpu_graph_host_set(0, w->host, old->cookie);
	}
	if (e && w->copy)
		vgw_vgpu_graph_copy_set(0, w->copy, &was, NULL);
	return e;
}

/* Others take their place, where a direction has changed; if they cannot be had, the old stay. */
static CUresult replace_nodes(struct within *w, struct record *r, CUcontext ctx)
{
	struct within made = { .graph = w->graph };
	CUresult e = nodes_add(&made, r, ctx);

	if (!e) {
		nodes_remove(w);
		*w = made;
	}
	return e;
}

static CUresult set_in_graph(CUgraphNode node, const struct record *old, struct record *r,
			     CUcontext ctx)
{
	struct vg_node *n = vg_node(node);
	struct within w = { n->within, n->host, n->copy };
	CUresult e;

	if (r->out == old->out && has_memcpy(r) == has_memcpy(old)) {
		e = set_nodes(&w, old, r);
		if (e)
			vgw_cuUserObjectRelease(r->object, 1);
	} else {
		e = replace_nodes(&w, r, ctx);
	}
	if (e)
		return e;
	now_is(node, &w);
	/* What a clone was made with it holds until it goes: only the driver knows of that. */
	vgw_cuGraphReleaseUserObject(w.graph, old->object, 1);
	return CUDA_SUCCESS;
}

static CUresult set_in_exec(CUgraphExec exec, CUgraphNode node, struct record *r, CUcontext ctx)
{
	struct within w = { 0 };
	CUresult e = vgw_cuGraphCreate(&w.graph, 0);

	if (e) {
		vgw_cuUserObjectRelease(r->object, 1);
		return e;
	}
	e = nodes_add(&w, r, ctx);
	if (!e)
		e = vgw_cuGraphExecChildGraphNodeSetParams(exec, node, w.graph);
	vgw_cuGraphDestroy(w.graph);
	return e == CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE ? CUDA_ERROR_INVALID_VALUE : e;
}

CUresult vg_staged_set(CUgraphExec exec, CUgraphNode node, const CUDA_MEMCPY3D *copy,
		       CUcontext ctx)
{
	struct vg_context *c = vg_current();
	struct record *old, *r;
	CUresult e;
	bool out;

	old = vg_staged(node) ? record_of(vg_node(node)->host) : NULL;
	if (!old)
		return CUDA_ERROR_INVALID_VALUE;
	/* Without pageable memory the host function does nothing, where it is. */
	out = pageable(copy) ? copy->dstMemoryType == CU_MEMORYTYPE_HOST : old->out;
	if (!ctx)
		ctx = c ? (CUcontext)c->object : NULL;
	e = record_new(copy, out, ctx, &r);
	if (e)
		return e;
	return exec ? set_in_exec(exec, node, r, ctx) : set_in_graph(node, old, r, ctx);
}

#define DEPTH_MAX 16			/* of graphs within graphs */

/* So that what is within such nodes is known by its owner. */
static void know(CUgraph graph, unsigned int depth)
{
	CUgraphNode *list;
	CUgraphNodeType type;
	CUgraph child;
	size_t count = 0;

	if (depth > DEPTH_MAX || vgh_cuGraphGetNodes(graph, NULL, &count) || !count)
		return;
	list = calloc(count, sizeof(*list));
	if (!list || vgh_cuGraphGetNodes(graph, list, &count))
		count = 0;
	for (size_t i = 0; i < count; i++)
		if (!vgh_cuGraphNodeGetType(list[i], &type) && type == CU_GRAPH_NODE_TYPE_GRAPH &&
		    !vgh_cuGraphChildGraphNodeGetGraph(list[i], &child))
			know(child, depth + 1);
	free(list);
}

CUgraphNode vg_staged_around(CUgraph graph, CUgraphNode (*adopt)(uint32_t id, uint32_t graph),
			     uint32_t id)
{
	struct vg_object *o, *g, *holder;
	CUgraphNode node;

	know(graph, 0);
	node = adopt(id, vg_object_get(graph, VG_GRAPH)->id);
	o = vg_object_get(node, VG_GRAPH_NODE);
	g = o && o->owner ? vg_object_any(o->owner, VG_GRAPH) : NULL;
	holder = g && g->owner ? vg_object_any(g->owner, VG_GRAPH_NODE) : NULL;
	return holder && vg_staged((CUgraphNode)holder) ? (CUgraphNode)holder : node;
}
