// SPDX-License-Identifier: Apache-2.0
/*
 * Memory that graphs allocate, and how the vGPU's limit holds for it.
 *
 * A node has an address from the start, and memory only while its graph has been
 * launched; the driver keeps what it has taken from the device until it is
 * trimmed.  The driver's own count of that (CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT,
 * of this process, so of this guest process) is what is charged.  A launch that
 * could take more is charged before it for the most that it can take, and after
 * it the charge is set to the count, also if that does not fit; then no such graph is
 * launched until it does.
 */
#include <pthread.h>
#include <stdlib.h>

#include "calls.h"
#include "vg_cuda.h"

#define PIECE		(2ull << 20)	/* the device's pages */
#define NODES_MAX	(1u << 20)	/* of one graph */
#define DEPTH_MAX	16		/* of graphs within graphs */
#define DEVICES_MAX	64

/* An executable graph that allocates. */
struct user {
	struct user *next;
	CUgraphExec exec;
	uint64_t bytes[DEVICES_MAX];	/* the most that one launch needs */
};

/* All below.  To charge is to settle, if the limit is reached, so a thread may come twice. */
static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static _Atomic bool any;		/* a node that allocates has been made */
static struct user *users;
static uint64_t charged[DEVICES_MAX];

void vg_x_graph_memory(void)
{
	any = true;
}

static uint64_t whole(uint64_t bytes)
{
	return bytes > UINT64_MAX - PIECE ? UINT64_MAX : (bytes + PIECE - 1) & ~(PIECE - 1);
}

static void more(uint64_t *sum, uint64_t bytes)
{
	if (__builtin_add_overflow(*sum, whole(bytes), sum))
		*sum = UINT64_MAX;
}

/* What the allocating nodes of a graph, and of the graphs in it, ask for. */
static CUresult add_up(CUgraph graph, uint64_t *bytes, int depth)
{
	CUgraphNode *nodes;
	size_t n = 0;
	CUresult r = cu.cuGraphGetNodes(graph, NULL, &n);

	if (r || !n)
		return r;
	if (n > NODES_MAX || depth > DEPTH_MAX)
		return CUDA_ERROR_NOT_SUPPORTED;
	nodes = calloc(n, sizeof(*nodes));
	if (!nodes)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = cu.cuGraphGetNodes(graph, nodes, &n);
	for (size_t i = 0; i < n && !r; i++) {
		CUDA_MEM_ALLOC_NODE_PARAMS p = { 0 };
		CUgraphNodeType type;
		CUgraph child;

		r = cu.cuGraphNodeGetType(nodes[i], &type);
		if (!r && type == CU_GRAPH_NODE_TYPE_MEM_ALLOC) {
			r = cu.cuGraphMemAllocNodeGetParams(nodes[i], &p);
			if (!r && (unsigned int)p.poolProps.location.id < DEVICES_MAX)
				more(&bytes[p.poolProps.location.id], p.bytesize);
		} else if (!r && type == CU_GRAPH_NODE_TYPE_GRAPH) {
			r = cu.cuGraphChildGraphNodeGetGraph(nodes[i], &child);
			if (!r)
				r = add_up(child, bytes, depth + 1);
		}
	}
	free(nodes);
	return r;
}

static bool ask(CUdevice dev, CUgraphMem_attribute what, uint64_t *value)
{
	cuuint64_t v = 0;

	if (!cu.cuDeviceGetGraphMemAttribute || cu.cuDeviceGetGraphMemAttribute(dev, what, &v))
		return false;
	*value = v;
	return true;
}

/* Charge what the driver holds; false if that does not fit. */
static bool settle(struct vg_exec *x, CUdevice dev)
{
	uint64_t held;
	bool fits = true;

	if (!ask(dev, CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT, &held))
		return true;
	if (held < charged[dev])
		vg_exec_uncharge(x, charged[dev] - held);
	else if (held > charged[dev])
		fits = vg_exec_owe(x, held - charged[dev]);
	charged[dev] = held;
	return fits;
}

void vg_x_graph_memory_settle(struct vg_exec *x)
{
	if (!any)
		return;
	/* Whoever has the lock settles, too. */
	if (pthread_mutex_trylock(&lock)) {
		vg_exec_unsettled(x);
		return;
	}
	for (CUdevice d = 0; d < DEVICES_MAX; d++)
		if (charged[d])
			settle(x, d);
	pthread_mutex_unlock(&lock);
}

/* Charge for a launch that needs `bytes`, of which the driver may hold some already. */
static bool admit(struct vg_exec *x, CUdevice dev, uint64_t bytes)
{
	uint64_t held = 0, used = 0, left;

	if (!settle(x, dev))
		return false;
	if (!ask(dev, CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT, &held) ||
	    !ask(dev, CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT, &used))
		return false;
	left = held > used ? held - used : 0;
	if (bytes <= left)
		return true;
	bytes = vg_x_pool_grows_by(bytes - left);
	if (!vg_exec_charge(x, bytes))
		return false;
	charged[dev] += bytes;
	return true;
}

static bool admit_or_trim(struct vg_exec *x, CUdevice dev, uint64_t bytes)
{
	if (admit(x, dev, bytes))
		return true;
	if (!cu.cuDeviceGraphMemTrim || cu.cuDeviceGraphMemTrim(dev))
		return false;
	return admit(x, dev, bytes);
}

static struct user *user_of(CUgraphExec exec)
{
	struct user *u;

	for (u = users; u && u->exec != exec; u = u->next)
		;
	return u;
}

static CUresult launch_charged(struct vg_exec *x, CUgraphExec exec, CUstream s,
			       CUresult (*how)(CUgraphExec, CUstream))
{
	struct user *u;
	CUresult r = CUDA_SUCCESS;

	if (!any)
		return how(exec, s);
	pthread_mutex_lock(&lock);
	u = user_of(exec);
	for (CUdevice d = 0; u && !r && d < DEVICES_MAX; d++)
		if (u->bytes[d] && !admit_or_trim(x, d, u->bytes[d]))
			r = CUDA_ERROR_OUT_OF_MEMORY;
	if (!r)
		r = how(exec, s);
	for (CUdevice d = 0; u && d < DEVICES_MAX; d++)
		if (u->bytes[d])
			settle(x, d);
	pthread_mutex_unlock(&lock);
	return r;
}

static CUresult launch(struct vg_exec *x, uint32_t id, uint32_t ctx, CUgraphExec exec, CUstream s,
		       CUresult (*how)(CUgraphExec, CUstream))
{
	struct vg_x_launch l;
	CUresult r;

	if (!how)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (vg_x_launched(id, ctx) && !vg_x_graphs_have_stacks())
		return launch_charged(x, exec, s, how);
	if (!vg_x_launch_begin(x, id, ctx, NULL, &l))
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = launch_charged(x, exec, s, how);
	vg_x_launch_end(x, id, ctx, s, r, &l);
	return r;
}

CUresult vge_cuGraphLaunch(struct vg_exec *x, const struct vg_req *rq, CUgraphExec exec, CUstream s)
{
	const struct vg_rq_cuGraphLaunch *q = rq->payload;

	return launch(x, q->hGraph, rq->ctx, exec, s, cu.cuGraphLaunch);
}

CUresult vge_cuGraphUpload(struct vg_exec *x, const struct vg_req *rq, CUgraphExec exec, CUstream s)
{
	const struct vg_rq_cuGraphUpload *q = rq->payload;

	return launch(x, q->hGraph, rq->ctx, exec, s, cu.cuGraphUpload);
}

CUresult vge_cuGraphInstantiateWithFlags(struct vg_exec *x, const struct vg_req *rq,
					 CUgraphExec *exec, CUgraph graph, unsigned long long flags)
{
	const struct vg_rq_cuGraphInstantiateWithFlags *q = rq->payload;
	struct user *u = NULL;
	bool allocates = false;
	CUresult r = CUDA_SUCCESS;

	/* While this thread reads it, launches into the capture would change it. */
	if (!cu.cuGraphInstantiateWithFlags || !cu.cuGraphExecDestroy ||
	    vg_x_captures_within(x, q->hGraph))
		return CUDA_ERROR_NOT_SUPPORTED;
	if (any && cu.cuGraphGetNodes && cu.cuGraphNodeGetType && cu.cuGraphMemAllocNodeGetParams &&
	    cu.cuGraphChildGraphNodeGetGraph) {
		u = calloc(1, sizeof(*u));
		r = u ? add_up(graph, u->bytes, 0) : CUDA_ERROR_OUT_OF_MEMORY;
	}
	for (int d = 0; u && d < DEVICES_MAX; d++)
		allocates |= u->bytes[d] != 0;
	/* An upload takes memory, so it comes with a call of its own. */
	if (!r && allocates && flags & CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD)
		r = CUDA_ERROR_NOT_SUPPORTED;
	if (!r)
		r = cu.cuGraphInstantiateWithFlags(exec, graph, flags);
	if (r || !allocates) {
		free(u);
		return r;
	}
	u->exec = *exec;
	pthread_mutex_lock(&lock);
	u->next = users;
	users = u;
	pthread_mutex_unlock(&lock);
	return CUDA_SUCCESS;
}

CUresult vge_cuGraphExecDestroy(struct vg_exec *x, const struct vg_req *rq, CUgraphExec exec)
{
	struct user *u = NULL;
	CUresult r;

	(void)rq;
	if (!cu.cuGraphExecDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	pthread_mutex_lock(&lock);
	r = cu.cuGraphExecDestroy(exec);
	for (struct user **at = &users; *at && !vg_x_refused(r); at = &(*at)->next) {
		if ((*at)->exec != exec)
			continue;
		u = *at;
		*at = u->next;
		break;
	}
	for (CUdevice d = 0; u && d < DEVICES_MAX; d++)
		if (u->bytes[d])
			settle(x, d);
	pthread_mutex_unlock(&lock);
	free(u);
	return r;
}

CUresult vge_cuDeviceGraphMemTrim(struct vg_exec *x, const struct vg_req *rq, CUdevice dev)
{
	CUresult r;

	(void)rq;
	if (!cu.cuDeviceGraphMemTrim)
		return CUDA_ERROR_NOT_SUPPORTED;
	pthread_mutex_lock(&lock);
	r = cu.cuDeviceGraphMemTrim(dev);
	if (!r && any && (unsigned int)dev < DEVICES_MAX)
		settle(x, dev);
	pthread_mutex_unlock(&lock);
	return r;
}

CUresult vge_vgpu_graph_memory_get(struct vg_exec *x, const struct vg_req *rq, CUdevice dev,
				   CUgraphMem_attribute a, uint64_t *value)
{
	cuuint64_t wide = 0;
	CUresult r;

	(void)x;
	(void)rq;
	if (!cu.cuDeviceGetGraphMemAttribute || a > CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = cu.cuDeviceGetGraphMemAttribute(dev, a, &wide);
	*value = wide;
	return r;
}

CUresult vge_vgpu_graph_memory_set(struct vg_exec *x, const struct vg_req *rq, CUdevice dev,
				   CUgraphMem_attribute a, uint64_t value)
{
	cuuint64_t wide = value;

	(void)x;
	(void)rq;
	if (!cu.cuDeviceSetGraphMemAttribute || a > CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH)
		return CUDA_ERROR_NOT_SUPPORTED;
	return cu.cuDeviceSetGraphMemAttribute(dev, a, &wide);
}

/* -- nodes */

CUresult vge_vgpu_graph_alloc_node(struct vg_exec *x, const struct vg_req *rq, CUgraphNode *node,
				   CUgraph graph, const CUgraphNode *deps, uint64_t count,
				   CUdevice dev, uint64_t bytes, unsigned int n,
				   const CUmemAccessDesc *access, CUdeviceptr *dptr)
{
	CUDA_MEM_ALLOC_NODE_PARAMS p = {
		.poolProps = {
			.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
			.location = { .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = dev },
		},
		.accessDescs = n ? access : NULL, .accessDescCount = n, .bytesize = bytes,
	};
	CUresult r;

	(void)x;
	/* All that the limit needs to hold, or nothing. */
	if (!cu.cuGraphAddMemAllocNode || !cu.cuDeviceGetGraphMemAttribute || !cu.cuGraphGetNodes ||
	    !cu.cuGraphNodeGetType || !cu.cuGraphMemAllocNodeGetParams ||
	    !cu.cuGraphChildGraphNodeGetGraph)
		return CUDA_ERROR_NOT_SUPPORTED;
	if ((unsigned int)dev >= DEVICES_MAX)
		return CUDA_ERROR_INVALID_DEVICE;
	vg_x_graph_memory();
	r = cu.cuGraphAddMemAllocNode(node, graph, deps, count, &p);
	if (r)
		return r;
	*dptr = p.dptr;
	return vg_x_allocated_by_graph(p.dptr, rq->ctx) ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult vge_vgpu_graph_alloc_get(struct vg_exec *x, const struct vg_req *rq, CUgraphNode node,
				  CUdevice *dev, uint64_t *bytes, CUdeviceptr *dptr,
				  unsigned int *n, unsigned int room, CUmemAccessDesc *access)
{
	CUDA_MEM_ALLOC_NODE_PARAMS p = { 0 };
	CUresult r;

	(void)x;
	(void)rq;
	if (!cu.cuGraphMemAllocNodeGetParams)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = cu.cuGraphMemAllocNodeGetParams(node, &p);
	if (r)
		return r;
	*dev = p.poolProps.location.id;
	*bytes = p.bytesize;
	*dptr = p.dptr;
	*n = p.accessDescCount;
	for (unsigned int i = 0; i < room && i < p.accessDescCount; i++)
		access[i] = p.accessDescs[i];
	return CUDA_SUCCESS;
}
