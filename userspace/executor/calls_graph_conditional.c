// SPDX-License-Identifier: Apache-2.0
/*
 * Conditional nodes.  A conditional handle is the driver's own number, for it
 * becomes a parameter of the kernels that set it; so those that were made are
 * remembered, each with its graph, and no other is ever given to the driver.
 */
#include <pthread.h>
#include <stdlib.h>

#include "budget.h"
#include "calls.h"
#include "vg_cuda.h"

#define CONDITIONS_MAX (1u << 20)
#define BODIES_MAX 256		/* of one node, by the specification */

struct condition {
	uint64_t handle;
	uint64_t serial;		/* of the graph's id, so that a reuse of it shows */
	uint32_t graph;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* all below */
static struct condition *conditions;
static size_t count, room;

static bool alive(struct vg_exec *x, const struct condition *c)
{
	uint64_t serial;

	return vg_handle_serial(vg_exec_handles(x), c->graph, VG_GRAPH, &serial) &&
	       serial == c->serial;
}

/* Those of graphs that are no more make room first. */
static bool grow(struct vg_exec *x)
{
	struct condition *p;
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (alive(x, &conditions[i]))
			conditions[kept++] = conditions[i];
	count = kept;
	if (count * 2 <= room && room)
		return true;
	if (room >= CONDITIONS_MAX)
		return false;
	p = realloc(conditions, (room ? room * 2 : 64) * sizeof(*p));
	if (!p)
		return false;
	conditions = p;
	room = room ? room * 2 : 64;
	return true;
}

static bool remember(struct vg_exec *x, uint64_t handle, uint32_t graph)
{
	struct condition c = { .handle = handle, .graph = graph };
	bool ok = vg_handle_serial(vg_exec_handles(x), graph, VG_GRAPH, &c.serial);

	pthread_mutex_lock(&lock);
	ok = ok && (count < room || grow(x));
	if (ok)
		conditions[count++] = c;
	pthread_mutex_unlock(&lock);
	return ok;
}

static bool is_known(struct vg_exec *x, uint64_t handle)
{
	bool found = false;

	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < count && !found; i++)
		found = conditions[i].handle == handle && alive(x, &conditions[i]);
	pthread_mutex_unlock(&lock);
	return found;
}

CUresult vge_cuGraphConditionalHandleCreate(struct vg_exec *x, const struct vg_req *rq,
					    CUgraphConditionalHandle *handle, CUgraph graph,
					    CUcontext ctx, unsigned int value, unsigned int flags)
{
	const struct vg_rq_cuGraphConditionalHandleCreate *q = rq->payload;
	CUresult r;

	if (!cu.cuGraphConditionalHandleCreate)
		return CUDA_ERROR_NOT_SUPPORTED;
	/* It stays until the graph goes; nothing destroys one alone. */
	if (!vg_handle_weigh(vg_exec_handles(x), q->hGraph, VG_GRAPH, VG_OBJECT_BYTES))
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = cu.cuGraphConditionalHandleCreate(handle, graph, ctx, value, flags);
	if (r) {
		vg_handle_lighten(vg_exec_handles(x), q->hGraph, VG_GRAPH, VG_OBJECT_BYTES);
		return r;
	}
	return remember(x, *handle, q->hGraph) ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult add(CUgraphNode *node, CUgraph graph, const CUgraphNode *deps, size_t n,
		    CUgraphNodeParams *p)
{
	if (cu.cuGraphAddNode_v2)
		return cu.cuGraphAddNode_v2(node, graph, deps, NULL, n, p);
	return cu.cuGraphAddNode ? cu.cuGraphAddNode(node, graph, deps, n, p) :
				   CUDA_ERROR_NOT_SUPPORTED;
}

CUresult vge_vgpu_graph_conditional(struct vg_exec *x, const struct vg_req *rq, CUgraphNode *node,
				    CUgraph graph, const CUgraphNode *deps, uint64_t n,
				    uint64_t handle, unsigned int type, CUcontext ctx,
				    unsigned int size, uint32_t *bodies)
{
	const struct vg_rq_vgpu_graph_conditional *q = rq->payload;
	CUgraphNodeParams p = { .type = CU_GRAPH_NODE_TYPE_CONDITIONAL };
	struct vg_handles *h = vg_exec_handles(x);
	uint64_t serial[BODIES_MAX];
	unsigned int minted;
	CUresult r;

	if (!size || size > BODIES_MAX || !is_known(x, handle))
		return CUDA_ERROR_INVALID_VALUE;
	/* The node's id is reserved already, and the bodies are parts of the node. */
	for (minted = 0; minted < size; minted++) {
		bodies[minted] = vg_x_mint_reserve(x, VG_GRAPH, q->node, &serial[minted]);
		if (!bodies[minted])
			break;
	}
	p.conditional.handle = handle;
	p.conditional.type = type;
	p.conditional.size = size;
	p.conditional.ctx = ctx;
	r = minted < size ? CUDA_ERROR_OUT_OF_MEMORY : add(node, graph, deps, n, &p);
	if (!r && !p.conditional.phGraph_out)
		r = CUDA_ERROR_UNKNOWN;
	for (unsigned int i = 0; i < minted; i++) {
		if (r)
			vg_handle_give_up(h, bodies[i], serial[i]);
		else
			vg_handle_bind(h, bodies[i], serial[i], VG_GRAPH,
				       (uintptr_t)p.conditional.phGraph_out[i]);
		bodies[i] = vg_x_told(x, VG_GRAPH, bodies[i]);
	}
	return r;
}
