/* SPDX-License-Identifier: Apache-2.0 */
/* Graphs: nodes and edges, and executable graphs, which are clones of them. */
#ifndef SG_GRAPH_H
#define SG_GRAPH_H

#include "api.h"
#include "exec.h"

struct sg_edge {
	CUgraphNode from;
	CUgraphEdgeData data;
};

/* Memory that a node allocates: its address is its own from the start. */
struct sg_graph_alloc {
	struct sg_graph_alloc *next;
	struct sg_device *dev;
	uint64_t at;
	size_t bytes;
	int refs;		/* nodes, in graphs and executable ones */
	bool live;		/* allocated, not yet freed */
	bool resident;		/* counted as taken from the device */
};

struct sg_condition {
	struct sg_condition *next;	/* of the graph that it was made for */
	struct sg_condition *next_of_all;
	unsigned int refs;		/* that graph, and nodes, in graphs and executable ones */
	unsigned int value, initial;
	bool assign;			/* each launch begins with the initial value */
};

struct sg_hold {
	struct sg_hold *next;
	CUuserObject object;
	unsigned int count;
};

struct CUuserObject_st {
	uint32_t magic;
	uint64_t refs;
	CUhostFn destroy;
	void *data;
};

struct CUgraph_st {
	uint32_t magic;
	CUgraphNode nodes, *tail;
	CUgraphNode holder;	/* the node that this is the child graph or a body of */
	struct sg_capture *capture;	/* that is under way to it */
	struct sg_condition *conditions;
	struct sg_hold *holds;
	CUgraphNode *sorted;	/* of executable graphs: the nodes in launching order, */
	size_t count;		/* which threads read, and nobody changes any more */
};

struct CUgraphNode_st {
	uint32_t magic;
	CUgraphNode next;
	CUgraph graph;
	CUgraphNodeType type;
	struct sg_edge *deps;
	size_t ndeps;
	CUgraphNode origin;	/* what it was cloned of */
	bool disabled;		/* of executable graphs */
	unsigned int order;	/* while sorting: 1 more than its place */
	union {
		struct {
			CUDA_KERNEL_NODE_PARAMS params;
			void *block;		/* what its arrays lead to */
			size_t bytes;
			void *extra[5];
			void **pointers;
			int npointers;
			CUkernelNodeAttrValue *attr;	/* CU_LAUNCH_ATTRIBUTE_MAX of them */
			uint32_t attrs;			/* those that are set */
		} kernel;
		CUDA_MEMCPY3D copy;
		CUDA_MEMSET_NODE_PARAMS set;
		CUDA_HOST_NODE_PARAMS host;
		CUDA_BATCH_MEM_OP_NODE_PARAMS ops;
		CUgraph child;
		CUevent event;
		struct sg_graph_alloc *alloc;
		CUdeviceptr freed;
		struct {
			CUDA_CONDITIONAL_NODE_PARAMS params;
			struct sg_condition *condition;
		} cond;
	};
};

struct CUgraphExec_st {
	uint32_t magic;
	CUgraph graph;
	unsigned long long flags;
	int refs;		/* the program's, launches under way, and their conditionals */
	struct sg_hold *old;	/* what updates have replaced while launches were under way */
};

/* api_graph.c */
CUgraph sg_graph_of(CUgraph g);
CUgraphNode sg_node_of(CUgraphNode n, int type);	/* of any type if < 0 */
CUgraph sg_graph_new(void);
void sg_graph_free(CUgraph g);
/*
 * Of a capture that has failed: as the driver does, free the graph also if a node still leads
 * to it.  Whoever then clones, sorts or frees what is around it ends the process.
 */
void sg_graph_free_captured(CUgraph g);
CUresult sg_graph_clone(CUgraph from, CUgraph *out);
/* A node with its edges; the caller fills it in, or takes it away again. */
CUresult sg_node_new(CUgraph g, const CUgraphNode *deps, size_t n, CUgraphNodeType type,
		     CUgraphNode *out);
void sg_node_remove(CUgraphNode n);
/* The nodes in launching order, or an error if there is a cycle.  Not by two threads at once. */
CUresult sg_graph_sort(CUgraph g, CUgraphNode **out, size_t *count);

/* api_graph_node.c */
CUresult sg_node_copy(CUgraphNode to, CUgraphNode from);	/* what it was given */
void sg_node_clear(CUgraphNode n);
CUresult sg_node_set_copy(CUgraphNode n, const CUDA_MEMCPY3D *p);
CUresult sg_node_set_memset(CUgraphNode n, const CUDA_MEMSET_NODE_PARAMS *p);
CUresult sg_node_set_host(CUgraphNode n, const CUDA_HOST_NODE_PARAMS *p);
CUresult sg_node_set_ops(CUgraphNode n, const CUDA_BATCH_MEM_OP_NODE_PARAMS *p);

/* api_graph_kernel.c */
CUresult sg_node_set_kernel(CUgraphNode n, const CUDA_KERNEL_NODE_PARAMS *p);
CUresult sg_node_copy_kernel(CUgraphNode to, CUgraphNode from);

/* api_graph_memory.c */
CUresult sg_graph_alloc_new(CUdevice dev, size_t bytes, struct sg_graph_alloc **out);
void sg_graph_alloc_get(struct sg_graph_alloc *a);
void sg_graph_alloc_put(struct sg_graph_alloc *a);
CUresult sg_graph_alloc_take(struct sg_graph_alloc *a);	/* as a launch comes to it */
struct sg_graph_alloc *sg_graph_alloc_at(CUdeviceptr at);

/* condition.c */
struct sg_condition *sg_condition_new(unsigned int initial, bool assign);
struct sg_condition *sg_condition_get(struct sg_condition *c);
void sg_condition_put(struct sg_condition *c);
unsigned int sg_condition_value(struct sg_condition *c);

/* api_graph_exec.c: references, and the nodes of g, as a part of a launch of x */
void sg_exec_get(CUgraphExec x);
void sg_exec_put(CUgraphExec x);
CUresult sg_graph_submit(CUgraphExec x, CUgraph g, CUstream stream);

/* api_graph_conditional.c */
CUresult sg_conditional_submit(CUgraphExec x, CUgraphNode n, CUstream stream);
CUresult sg_conditions_assign(CUgraph g, CUstream s);	/* s: of sg_stream_get() */

/* api_user_object.c */
void sg_hold_all(CUgraph to, CUgraph from);
void sg_hold_none(CUgraph g);
/* As sg_hold_all(), in place of what `to` has, which goes to *old. */
void sg_hold_instead(CUgraph to, CUgraph from, struct sg_hold **old);
void sg_holds_put(struct sg_hold *list);

#endif
