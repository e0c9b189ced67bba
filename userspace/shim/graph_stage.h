/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copy nodes of graphs with a side in pageable memory of the program; docs/graph-copies.md.
 * In these calls a copy has no unified side, and has all pitches and heights (vg_box_whole()).
 */
#ifndef VG_GRAPH_STAGE_H
#define VG_GRAPH_STAGE_H

#include "shim.h"

/* Make such a node; after what is in the stream, if it is under capture. */
CUresult vg_staged_add(CUgraphNode *node, CUgraph graph, const CUgraphNode *deps, size_t count,
		       const CUDA_MEMCPY3D *copy, CUcontext ctx);
CUresult vg_staged_capture(CUstream s, const CUDA_MEMCPY3D *copy);
/* Whether the stream is under capture, so that this is what a copy in it becomes. */
bool vg_staged_captures(CUstream s);

/* Whether a node is one.  The driver is asked once. */
bool vg_staged(CUgraphNode node);
/* The parameters of one, or change them: in the graph (NULL), or in an executable one. */
CUresult vg_staged_get(CUgraphNode node, CUDA_MEMCPY3D *copy);
CUresult vg_staged_set(CUgraphExec exec, CUgraphNode node, const CUDA_MEMCPY3D *copy,
		       CUcontext ctx);
/* A node of the graph, or of one in it, by its id; in place of what is within such a node, that. */
CUgraphNode vg_staged_around(CUgraph graph, CUgraphNode (*adopt)(uint32_t id, uint32_t graph),
			     uint32_t id);

#endif /* VG_GRAPH_STAGE_H */
