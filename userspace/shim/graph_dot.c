// SPDX-License-Identifier: Apache-2.0
/*
 * A graph as a DOT file.  It is the program's file, so it is written here, from
 * what can be asked of any graph.
 */
#include <stdio.h>
#include <stdlib.h>

#include "client.h"
#include "shim.h"
#include "shim_calls.h"

#define DEPTH_MAX 16			/* of graphs within graphs */

struct dot {
	FILE *f;
	unsigned int flags;
	unsigned int graphs;		/* written so far, which numbers them */
};

struct list {
	CUgraphNode *nodes;
	size_t count;
	unsigned int number;		/* of the graph */
};

static bool wants(const struct dot *d, unsigned int flag)
{
	return d->flags & (flag | CU_GRAPH_DEBUG_DOT_FLAGS_VERBOSE);
}

static const char *type_name(CUgraphNodeType type)
{
	static const char *const names[] = {
		[CU_GRAPH_NODE_TYPE_KERNEL] = "KERNEL",
		[CU_GRAPH_NODE_TYPE_MEMCPY] = "MEMCPY",
		[CU_GRAPH_NODE_TYPE_MEMSET] = "MEMSET",
		[CU_GRAPH_NODE_TYPE_HOST] = "HOST",
		[CU_GRAPH_NODE_TYPE_GRAPH] = "GRAPH",
		[CU_GRAPH_NODE_TYPE_EMPTY] = "EMPTY",
		[CU_GRAPH_NODE_TYPE_WAIT_EVENT] = "EVENT_WAIT",
		[CU_GRAPH_NODE_TYPE_EVENT_RECORD] = "EVENT_RECORD",
		[CU_GRAPH_NODE_TYPE_EXT_SEMAS_SIGNAL] = "EXT_SEMAS_SIGNAL",
		[CU_GRAPH_NODE_TYPE_EXT_SEMAS_WAIT] = "EXT_SEMAS_WAIT",
		[CU_GRAPH_NODE_TYPE_MEM_ALLOC] = "MEM_ALLOC",
		[CU_GRAPH_NODE_TYPE_MEM_FREE] = "MEM_FREE",
		[CU_GRAPH_NODE_TYPE_BATCH_MEM_OP] = "BATCH_MEM_OP",
		[CU_GRAPH_NODE_TYPE_CONDITIONAL] = "CONDITIONAL",
	};

	return (size_t)type < sizeof(names) / sizeof(names[0]) ? names[type] : "UNKNOWN";
}

static void kernel(struct dot *d, CUgraphNode node)
{
	CUDA_KERNEL_NODE_PARAMS p;
	const char *name = NULL;

	if (vgh_cuGraphKernelNodeGetParams_v2(node, &p))
		return;
	if (p.func ? !vgh_cuFuncGetName(&name, p.func) : !vgh_cuKernelGetName(&name, p.kern))
		fprintf(d->f, "\\n%s", name);
	if (wants(d, CU_GRAPH_DEBUG_DOT_FLAGS_KERNEL_NODE_PARAMS))
		fprintf(d->f, "\\n<<<(%u,%u,%u),(%u,%u,%u),%u>>>", p.gridDimX, p.gridDimY,
			p.gridDimZ, p.blockDimX, p.blockDimY, p.blockDimZ, p.sharedMemBytes);
	if (wants(d, CU_GRAPH_DEBUG_DOT_FLAGS_HANDLES))
		fprintf(d->f, "\\nfunc: %p", p.func ? (void *)p.func : (void *)p.kern);
}

static char letter(CUmemorytype type)
{
	return type == CU_MEMORYTYPE_HOST ? 'H' : type == CU_MEMORYTYPE_ARRAY ? 'A' : 'D';
}

static void details(struct dot *d, CUgraphNode node, CUgraphNodeType type)
{
	CUDA_MEM_ALLOC_NODE_PARAMS alloc;
	CUDA_MEMSET_NODE_PARAMS set;
	CUDA_HOST_NODE_PARAMS host;
	CUdeviceptr dptr;
	CUDA_MEMCPY3D copy;

	switch (type) {
	case CU_GRAPH_NODE_TYPE_KERNEL:
		kernel(d, node);
		break;
	case CU_GRAPH_NODE_TYPE_MEMCPY:
		if (vgh_cuGraphMemcpyNodeGetParams(node, &copy))
			break;
		fprintf(d->f, "\\n(%cto%c)", letter(copy.srcMemoryType),
			letter(copy.dstMemoryType));
		if (wants(d, CU_GRAPH_DEBUG_DOT_FLAGS_MEMCPY_NODE_PARAMS))
			fprintf(d->f, "\\n%zu x %zu x %zu", copy.WidthInBytes, copy.Height,
				copy.Depth);
		break;
	case CU_GRAPH_NODE_TYPE_MEMSET:
		if (wants(d, CU_GRAPH_DEBUG_DOT_FLAGS_MEMSET_NODE_PARAMS) &&
		    !vgh_cuGraphMemsetNodeGetParams(node, &set))
			fprintf(d->f, "\\n0x%llx = %u, %zu x %zu of %u",
				(unsigned long long)set.dst, set.value, set.width, set.height,
				set.elementSize);
		break;
	case CU_GRAPH_NODE_TYPE_HOST:
		if (wants(d, CU_GRAPH_DEBUG_DOT_FLAGS_HOST_NODE_PARAMS) &&
		    !vgh_cuGraphHostNodeGetParams(node, &host))
			fprintf(d->f, "\\n%p(%p)", (void *)(uintptr_t)host.fn, host.userData);
		break;
	case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
		if (wants(d, CU_GRAPH_DEBUG_DOT_FLAGS_MEM_ALLOC_NODE_PARAMS) &&
		    !vgh_cuGraphMemAllocNodeGetParams(node, &alloc))
			fprintf(d->f, "\\n0x%llx, %zu bytes", (unsigned long long)alloc.dptr,
				alloc.bytesize);
		break;
	case CU_GRAPH_NODE_TYPE_MEM_FREE:
		if (wants(d, CU_GRAPH_DEBUG_DOT_FLAGS_MEM_FREE_NODE_PARAMS) &&
		    !vgw_cuGraphMemFreeNodeGetParams(node, &dptr))
			fprintf(d->f, "\\n0x%llx", (unsigned long long)dptr);
		break;
	default:
		break;
	}
}

static size_t index_of(const struct list *l, CUgraphNode node)
{
	size_t i;

	for (i = 0; i < l->count && l->nodes[i] != node; i++)
		;
	return i;
}

static CUresult edges(struct dot *d, CUgraph graph, const struct list *l)
{
	CUgraphEdgeData *data;
	CUgraphNode *from, *to;
	size_t n = 0;
	CUresult r = vgh_cuGraphGetEdges_v2(graph, NULL, NULL, NULL, &n);

	if (r || !n)
		return r;
	from = calloc(n, sizeof(*from));
	to = calloc(n, sizeof(*to));
	data = calloc(n, sizeof(*data));
	r = from && to && data ? vgh_cuGraphGetEdges_v2(graph, from, to, data, &n) :
				 CUDA_ERROR_OUT_OF_MEMORY;
	for (size_t i = 0; !r && i < n; i++)
		fprintf(d->f, "\"graph_%u_node_%zu\" -> \"graph_%u_node_%zu\"%s;\n", l->number,
			index_of(l, from[i]), l->number, index_of(l, to[i]),
			data[i].type == CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC ?
				" [style=\"dashed\"]" : "");
	free(from);
	free(to);
	free(data);
	return r;
}

static CUresult print(struct dot *d, CUgraph graph, int depth)
{
	struct list l = { .number = d->graphs++ };
	CUresult r = vgh_cuGraphGetNodes(graph, NULL, &l.count);

	if (r)
		return r;
	if (depth > DEPTH_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	l.nodes = calloc(l.count + 1, sizeof(*l.nodes));
	if (!l.nodes)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = l.count ? vgh_cuGraphGetNodes(graph, l.nodes, &l.count) : CUDA_SUCCESS;
	fprintf(d->f, "subgraph cluster_%u {\nlabel=\"graph_%u\" graph[style=\"dashed\"];\n",
		l.number, l.number);
	for (size_t i = 0; !r && i < l.count; i++) {
		CUgraphNodeType type;
		CUgraph child;

		r = vgh_cuGraphNodeGetType(l.nodes[i], &type);
		if (r)
			break;
		fprintf(d->f, "\"graph_%u_node_%zu\"[style=\"solid\" shape=\"%s\" label=\"%zu\\n%s",
			l.number, i, type == CU_GRAPH_NODE_TYPE_KERNEL ? "octagon" : "rectangle", i,
			type_name(type));
		details(d, l.nodes[i], type);
		if (wants(d, CU_GRAPH_DEBUG_DOT_FLAGS_HANDLES))
			fprintf(d->f, "\\nnode: %p", (void *)l.nodes[i]);
		fputs("\"];\n", d->f);
		if (type == CU_GRAPH_NODE_TYPE_GRAPH) {
			r = vgh_cuGraphChildGraphNodeGetGraph(l.nodes[i], &child);
			if (!r)
				r = print(d, child, depth + 1);
		}
	}
	if (!r)
		r = edges(d, graph, &l);
	fputs("}\n", d->f);
	free(l.nodes);
	return r;
}

CUresult vgh_cuGraphDebugDotPrint(CUgraph graph, const char *path, unsigned int flags)
{
	struct dot d = { .flags = flags };
	CUresult r;

	if (!path || !vg_object_get(graph, VG_GRAPH))
		return CUDA_ERROR_INVALID_VALUE;
	d.f = fopen(path, "we");
	if (!d.f)
		return CUDA_ERROR_OPERATING_SYSTEM;
	fputs("digraph dot {\n", d.f);
	r = print(&d, graph, 0);
	fputs("}\n", d.f);
	if (ferror(d.f) && !r)
		r = CUDA_ERROR_OPERATING_SYSTEM;
	if (fclose(d.f) && !r)
		r = CUDA_ERROR_OPERATING_SYSTEM;
	return r;
}
