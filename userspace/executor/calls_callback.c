// SPDX-License-Identifier: Apache-2.0
/*
 * Host functions.  What the driver calls here is run in the guest: it is put in
 * the mailbox, the guest is woken, and the stream goes on when the guest has
 * said that it is done.  None of that passes through the ring, for the ring's
 * thread may be in a call that waits for this very stream.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "budget.h"
#include "calls.h"
#include "common/clock.h"
#include "common/ring_sync.h"
#include "exec_internal.h"
#include "vg_cuda.h"

#define NAP_MIN_NS 20000L
#define NAP_MAX_NS 500000L

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* one function at a time */
static struct vgpu_mailbox *mailbox;
static struct vg_exec *executor;
static _Atomic bool ready;		/* both are set, for good */
static uint32_t due;

CUresult vge_vgpu_callbacks(struct vg_exec *x, const struct vg_req *rq, void *block,
			    uint32_t bytes)
{
	CUresult r = CUDA_ERROR_INVALID_VALUE;

	(void)rq;
	if (bytes < sizeof(*mailbox) || (uintptr_t)block % 64)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&lock);
	if (!mailbox) {
		mailbox = block;
		executor = x;
		atomic_store(&ready, true);
		r = CUDA_SUCCESS;
	}
	pthread_mutex_unlock(&lock);
	return r;
}

static void wait_done(void)
{
	struct timespec nap = { .tv_nsec = NAP_MIN_NS };
	uint64_t end = vg_now_us() + executor->spin_us;

	while (vg_load_acquire(&mailbox->done) != due && vg_now_us() < end)
		for (int i = 0; i < 32; i++)
			vg_cpu_relax();
	while (vg_load_acquire(&mailbox->done) != due) {
		nanosleep(&nap, NULL);
		if (nap.tv_nsec < NAP_MAX_NS)
			nap.tv_nsec *= 2;
	}
}

void vg_x_run_in_guest(uint32_t cookie, CUresult status)
{
	pthread_mutex_lock(&lock);
	mailbox->cookie = cookie;
	mailbox->status = status;
	vg_store_release(&mailbox->due, ++due);
	vg_full_fence();	/* due before the look; pairs with the guest's */
	if (vg_load(&mailbox->parked))
		vg_channel_wake(&executor->ch, &mailbox->due);
	wait_done();
	pthread_mutex_unlock(&lock);
}

/* Of a node: it runs with each launch of its graph. */
static void host_function(void *cookie)
{
	vg_x_run_in_guest((uint32_t)(uintptr_t)cookie, CUDA_SUCCESS);
}

/* A function in a stream runs once.  How many may wait to run is bounded by a budget. */
static void once(void *cookie)
{
	host_function(cookie);
	vg_budget_give(VG_BUDGET_CALLBACKS, VG_CALLBACK_BYTES);
}

static void stream_callback(CUstream s, CUresult status, void *cookie)
{
	(void)s;
	vg_x_run_in_guest((uint32_t)(uintptr_t)cookie, status);
	vg_budget_give(VG_BUDGET_CALLBACKS, VG_CALLBACK_BYTES);
}

/* Without the lock: a function that runs holds it, and the ring must not wait for that. */
bool vg_x_callbacks_ready(void)
{
	return atomic_load(&ready);
}

CUresult vge_vgpu_callback(struct vg_exec *x, const struct vg_req *rq, CUstream s,
			   unsigned int cookie, unsigned int with_status)
{
	void *data = (void *)(uintptr_t)cookie;
	CUresult r;

	(void)x;
	(void)rq;
	if (!cu.cuStreamAddCallback || !cu.cuLaunchHostFunc)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!vg_x_callbacks_ready())
		return CUDA_ERROR_INVALID_VALUE;
	/* In a capture it becomes a node. */
	if (!with_status && vg_x_may_copy_pageable(s))
		return cu.cuLaunchHostFunc(s, host_function, data);
	if (!vg_budget_take(VG_BUDGET_CALLBACKS, VG_CALLBACK_BYTES))
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = with_status ? cu.cuStreamAddCallback(s, stream_callback, data, 0) :
			  cu.cuLaunchHostFunc(s, once, data);
	if (r)
		vg_budget_give(VG_BUDGET_CALLBACKS, VG_CALLBACK_BYTES);
	return r;
}

static CUDA_HOST_NODE_PARAMS host_node(unsigned int cookie)
{
	return (CUDA_HOST_NODE_PARAMS){ host_function, (void *)(uintptr_t)cookie };
}

CUresult vge_vgpu_graph_host_node(struct vg_exec *x, const struct vg_req *rq, CUgraphNode *node,
				  CUgraph graph, const CUgraphNode *deps, uint64_t count,
				  unsigned int cookie)
{
	CUDA_HOST_NODE_PARAMS p = host_node(cookie);

	(void)x;
	(void)rq;
	if (!cu.cuGraphAddHostNode)
		return CUDA_ERROR_NOT_SUPPORTED;
	return vg_x_callbacks_ready() ? cu.cuGraphAddHostNode(node, graph, deps, count, &p) :
			 CUDA_ERROR_INVALID_VALUE;
}

CUresult vge_vgpu_graph_host_set(struct vg_exec *x, const struct vg_req *rq, unsigned int exec_id,
				 CUgraphNode node, unsigned int cookie)
{
	CUDA_HOST_NODE_PARAMS p = host_node(cookie);
	uint64_t exec = 0;

	(void)rq;
	if (!cu.cuGraphExecHostNodeSetParams || !cu.cuGraphHostNodeSetParams)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!vg_x_callbacks_ready())
		return CUDA_ERROR_INVALID_VALUE;
	if (!exec_id)
		return cu.cuGraphHostNodeSetParams(node, &p);
	if (!vg_handle_get(vg_exec_handles(x), exec_id, VG_GRAPH_EXEC, &exec))
		return vg_wrong_handle(VG_GRAPH_EXEC);
	return cu.cuGraphExecHostNodeSetParams((CUgraphExec)(uintptr_t)exec, node, &p);
}

CUresult vge_vgpu_graph_host_get(struct vg_exec *x, const struct vg_req *rq, CUgraphNode node,
				 unsigned int *cookie)
{
	CUDA_HOST_NODE_PARAMS p = { 0 };
	CUresult r;

	(void)x;
	(void)rq;
	if (!cu.cuGraphHostNodeGetParams)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = cu.cuGraphHostNodeGetParams(node, &p);
	if (!r && p.fn != host_function)
		r = CUDA_ERROR_INVALID_VALUE;
	*cookie = (uint32_t)(uintptr_t)p.userData;
	return r;
}
