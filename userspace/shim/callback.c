// SPDX-License-Identifier: Apache-2.0
/*
 * Host functions: a thread of ours runs them, in the order in which the executor
 * puts them in the mailbox.  That is memory of the arena, past the ring: the
 * executor's ring may be waiting for a function that has yet to run.
 */
#include <pthread.h>
#include <stdlib.h>

#include "callback.h"
#include "client_internal.h"
#include "ring_sync.h"
#include "shim.h"
#include "shim_calls.h"
#include "thread.h"

/* A function that is to run; its index is what crosses. */
struct record {
	CUhostFn function;
	CUstreamCallback callback;	/* in place of `function` */
	CUstream stream;
	void *data;
	bool kept;			/* in a graph: it may run any number of times */
	struct vg_object *ends;		/* a user object that is no more when it runs */
	uint32_t next;			/* free list */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* all below */
static struct record *records;
static uint32_t used, room, free_head;	/* 0 is no record */
static struct vg_block block;
static bool started;

static void run(uint32_t cookie, CUresult status)
{
	struct vg_object *o;
	struct record r;

	pthread_mutex_lock(&lock);
	if (!cookie || cookie >= used || !(records[cookie].function || records[cookie].callback)) {
		pthread_mutex_unlock(&lock);
		return;
	}
	r = records[cookie];
	if (!r.kept) {
		records[cookie] = (struct record){ .next = free_head };
		free_head = cookie;
	}
	pthread_mutex_unlock(&lock);
	if (r.ends && !vg_object_take(r.ends, VG_USER_OBJECT, &o))
		vg_object_drop(o);
	if (r.callback)
		r.callback(r.stream, status, r.data);
	else
		r.function(r.data);
}

static void *serve(void *unused)
{
	struct vgpu_mailbox *box = block.ptr;
	uint32_t seen = 0;

	(void)unused;
	vg_callback_thread();
	/* Fails when the executor has gone, and with it all that was to run. */
	while (!vg_client_sleep(&box->due, seen, &box->parked, vg_client.spin_us)) {
		seen = vg_load_acquire(&box->due);
		run(box->cookie, box->status);
		vg_store_release(&box->done, seen);
	}
	return NULL;
}

static CUresult start(void)
{
	CUresult r;

	if (started)
		return CUDA_SUCCESS;
	if (!block.ptr) {
		r = vg_arena_alloc(&block, sizeof(struct vgpu_mailbox));
		if (r)
			return r;
		memset(block.ptr, 0, sizeof(struct vgpu_mailbox));
		r = vgw_vgpu_callbacks(&block);
		if (r) {
			vg_arena_free(&block);
			block.ptr = NULL;
			return r;
		}
	}
	r = vg_thread_start(serve, 0) ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
	started = !r;
	return r;
}

static CUresult grow(void)
{
	uint32_t more = room ? room * 2 : 64;
	struct record *p = realloc(records, more * sizeof(*p));

	if (!p)
		return CUDA_ERROR_OUT_OF_MEMORY;
	records = p;
	room = more;
	if (!used)
		used = 1;
	return CUDA_SUCCESS;
}

static CUresult new_record(const struct record *r, uint32_t *cookie)
{
	CUresult e;

	pthread_mutex_lock(&lock);
	e = start();
	if (!e && !free_head && used >= room)
		e = grow();
	if (!e && free_head) {
		*cookie = free_head;
		free_head = records[free_head].next;
	} else if (!e) {
		*cookie = used++;
	}
	if (!e)
		records[*cookie] = *r;
	pthread_mutex_unlock(&lock);
	return e;
}

/* For one that has not crossed. */
static void drop_record(uint32_t cookie)
{
	pthread_mutex_lock(&lock);
	records[cookie] = (struct record){ .next = free_head };
	free_head = cookie;
	pthread_mutex_unlock(&lock);
}

static CUresult launch(CUstream s, struct record *r)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
	bool wait = vg_capturing();
	struct vg_object *o;
	uint32_t cookie;
	CUresult e = vg_context_ready();

	if (!e)
		e = vg_stream_object(s, &o);
	if (!e && wait)
		e = vgw_cuStreamIsCapturing(s, &status);
	if (e)
		return e;
	r->kept = status == CU_STREAM_CAPTURE_STATUS_ACTIVE;
	e = new_record(r, &cookie);
	if (e)
		return e;
	e = vgw_vgpu_callback(wait, s, cookie, r->callback != NULL);
	/* An answer may tell of an earlier call, and this one be on its way. */
	if (e && !wait)
		drop_record(cookie);
	return e;
}

CUresult vgh_cuLaunchHostFunc(CUstream s, CUhostFn fn, void *data)
{
	struct record r = { .function = fn, .data = data };

	return fn ? launch(s, &r) : CUDA_ERROR_INVALID_VALUE;
}

CUresult vgh_cuStreamAddCallback(CUstream s, CUstreamCallback callback, void *data,
				 unsigned int flags)
{
	struct record r = { .callback = callback, .stream = s, .data = data };

	return callback && !flags ? launch(s, &r) : CUDA_ERROR_INVALID_VALUE;
}

/* -- nodes of graphs: their records stay, for a clone or an executable graph may have them */

static CUresult node_record(const CUDA_HOST_NODE_PARAMS *p, uint32_t *cookie)
{
	struct record r = { .kept = true };

	if (!p || !p->fn)
		return CUDA_ERROR_INVALID_VALUE;
	r.function = p->fn;
	r.data = p->userData;
	return new_record(&r, cookie);
}

CUresult vgh_cuGraphAddHostNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *deps,
				size_t count, const CUDA_HOST_NODE_PARAMS *p)
{
	uint32_t cookie;
	CUresult r = node_record(p, &cookie);

	if (r)
		return r;
	r = vgw_vgpu_graph_host_node(node, graph, deps, count, cookie);
	if (r)
		drop_record(cookie);
	return r;
}

static CUresult set(uint32_t exec, CUgraphNode node, const CUDA_HOST_NODE_PARAMS *p)
{
	uint32_t cookie;
	CUresult r = node_record(p, &cookie);

	return r ? r : vgw_vgpu_graph_host_set(exec, node, cookie);
}

CUresult vgh_cuGraphHostNodeSetParams(CUgraphNode node, const CUDA_HOST_NODE_PARAMS *p)
{
	return set(0, node, p);
}

CUresult vgh_cuGraphExecHostNodeSetParams(CUgraphExec exec, CUgraphNode node,
					  const CUDA_HOST_NODE_PARAMS *p)
{
	uint32_t id;
	CUresult r = vg_object_id(exec, VG_GRAPH_EXEC, &id);

	return r ? r : set(id, node, p);
}

CUresult vgh_cuGraphHostNodeGetParams(CUgraphNode node, CUDA_HOST_NODE_PARAMS *p)
{
	uint32_t cookie;
	CUresult r;

	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgw_vgpu_graph_host_get(node, &cookie);
	if (r)
		return r;
	pthread_mutex_lock(&lock);
	if (cookie && cookie < used)
		*p = (CUDA_HOST_NODE_PARAMS){ records[cookie].function, records[cookie].data };
	else
		r = CUDA_ERROR_UNKNOWN;
	pthread_mutex_unlock(&lock);
	return r;
}

CUresult vg_callback_keep(CUhostFn function, void *data, uint32_t *cookie)
{
	struct record r = { .function = function, .data = data, .kept = true };

	return new_record(&r, cookie);
}

void *vg_callback_kept(uint32_t cookie, CUhostFn function)
{
	void *data = NULL;

	pthread_mutex_lock(&lock);
	if (cookie && cookie < used && records[cookie].kept &&
	    records[cookie].function == function)
		data = records[cookie].data;
	pthread_mutex_unlock(&lock);
	return data;
}

/* -- destructors of user objects */

CUresult vg_callback_new(CUhostFn function, void *data, uint32_t *cookie)
{
	struct record r = { .function = function, .data = data };

	return new_record(&r, cookie);
}

void vg_callback_drop(uint32_t cookie)
{
	drop_record(cookie);
}

void vg_callback_ends(uint32_t cookie, struct vg_object *o)
{
	pthread_mutex_lock(&lock);
	records[cookie].ends = o;
	pthread_mutex_unlock(&lock);
}
