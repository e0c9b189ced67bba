/* SPDX-License-Identifier: Apache-2.0 */
/* What this process keeps of a node of a graph. */
#ifndef VG_GRAPH_H
#define VG_GRAPH_H

#include "shim.h"

struct vg_node {
	bool by_extra;		/* a kernel's parameters were last set as one block */
	bool holds;		/* graphs that have handles here */
	void *got;		/* what the pointers of the last answer lead to */
	size_t got_bytes;
	CUgraph *bodies;	/* of a conditional node */
	/* Whether it is a copy of pageable memory (graph_stage.h), and then what is within. */
	enum { VG_STAGED_UNASKED, VG_STAGED_NO, VG_STAGED_YES } staged;
	CUgraph within;
	CUgraphNode host, copy;
};

/* That of a living node, made when first asked for; NULL if there is no such node, or no memory. */
struct vg_node *vg_node(CUgraphNode node);
/* Keep a copy of what an answer points to; the old one stays if it is the same. */
void *vg_node_keep(CUgraphNode node, const void *data, size_t bytes);

/* As cuGraphAddNode() has them, for which there are no functions of their own. */
CUresult vg_node_add_child(CUgraphNode *node, CUgraph graph, const CUgraphNode *deps, size_t count,
			   const CUDA_CHILD_GRAPH_NODE_PARAMS *p);
CUresult vg_node_add_conditional(CUgraphNode *node, CUgraph graph, const CUgraphNode *deps,
				 size_t count, CUDA_CONDITIONAL_NODE_PARAMS *p);

#endif /* VG_GRAPH_H */
