// SPDX-License-Identifier: Apache-2.0
/* Graphs: what is in one, its edges, clones. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph.h"

CUgraph sg_graph_of(CUgraph g)
{
	return g && g->magic == MAGIC_GRAPH ? g : NULL;
}

CUgraphNode sg_node_of(CUgraphNode n, int type)
{
	return n && n->magic == MAGIC_NODE && (type < 0 || n->type == (CUgraphNodeType)type) ? n :
	       NULL;
}

CUgraph sg_graph_new(void)
{
	CUgraph g = calloc(1, sizeof(*g));

	if (g) {
		g->magic = MAGIC_GRAPH;
		g->tail = &g->nodes;
	}
	return g;
}

static void node_free(CUgraphNode n)
{
	sg_node_clear(n);
	n->magic = 0;
	free(n->deps);
	free(n);
}

/* NVIDIA's driver follows the pointer all the same, and crashes. */
static void must_be(CUgraph g)
{
	if (!sg_graph_of(g)) {
		fprintf(stderr, "softgpu: a graph that has been freed is used\n");
		abort();
	}
}

static void end(CUgraph g)
{
	CUgraphNode n, next;

	must_be(g);
	if (g->capture) {
		fprintf(stderr, "softgpu: a graph is freed while it is captured to\n");
		abort();
	}
	for (n = g->nodes; n; n = next) {
		next = n->next;
		node_free(n);
	}
	free(g->sorted);
	g->sorted = NULL;
	sg_hold_none(g);
	while (g->conditions) {
		struct sg_condition *c = g->conditions;

		g->conditions = c->next;
		sg_condition_put(c);
	}
	g->magic = 0;
}

void sg_graph_free(CUgraph g)
{
	end(g);
	free(g);
}

void sg_graph_free_captured(CUgraph g)
{
	bool part = g->holder;

	end(g);
	if (!part)
		free(g);
}

SG_API CUresult cuGraphCreate(CUgraph *out, unsigned int flags)
{
	SG_NEED_INIT();
	if (!out || flags)
		return CUDA_ERROR_INVALID_VALUE;
	*out = sg_graph_new();
	return *out ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

SG_API CUresult cuGraphDestroy(CUgraph g)
{
	SG_NEED_INIT();
	if (!sg_graph_of(g) || g->holder)
		return CUDA_ERROR_INVALID_VALUE;
	if (g->capture)
		return CUDA_ERROR_ILLEGAL_STATE;
	sg_graph_free(g);
	return CUDA_SUCCESS;
}

/* -- nodes */

static struct sg_edge *edge_of(CUgraphNode to, CUgraphNode from)
{
	for (size_t i = 0; i < to->ndeps; i++)
		if (to->deps[i].from == from)
			return &to->deps[i];
	return NULL;
}

static CUresult edge_add(CUgraphNode to, CUgraphNode from, const CUgraphEdgeData *data)
{
	struct sg_edge *d;

	if (!sg_node_of(from, -1) || from->graph != to->graph || from == to || edge_of(to, from))
		return CUDA_ERROR_INVALID_VALUE;
	d = realloc(to->deps, (to->ndeps + 1) * sizeof(*d));
	if (!d)
		return CUDA_ERROR_OUT_OF_MEMORY;
	to->deps = d;
	d[to->ndeps++] = (struct sg_edge){ from, data ? *data : (CUgraphEdgeData){ 0 } };
	return CUDA_SUCCESS;
}

static CUgraphNode node_append(CUgraph g, CUgraphNodeType type)
{
	CUgraphNode n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->magic = MAGIC_NODE;
	n->graph = g;
	n->type = type;
	*g->tail = n;
	g->tail = &n->next;
	return n;
}

void sg_node_remove(CUgraphNode n)
{
	CUgraph g = n->graph;

	for (CUgraphNode *at = &g->nodes, o; (o = *at);) {
		struct sg_edge *e = edge_of(o, n);

		if (e)
			*e = o->deps[--o->ndeps];
		if (o == n)
			*at = o->next;
		else
			at = &o->next;
	}
	g->tail = &g->nodes;
	while (*g->tail)
		g->tail = &(*g->tail)->next;
	node_free(n);
}

CUresult sg_node_new(CUgraph g, const CUgraphNode *deps, size_t n, CUgraphNodeType type,
		     CUgraphNode *out)
{
	CUresult rc = CUDA_SUCCESS;

	if (!sg_ready())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!out || !sg_graph_of(g) || (n && !deps))
		return CUDA_ERROR_INVALID_VALUE;
	*out = node_append(g, type);
	if (!*out)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (size_t i = 0; i < n && !rc; i++)
		rc = edge_add(*out, deps[i], NULL);
	if (rc)
		sg_node_remove(*out);
	return rc;
}

SG_API CUresult cuGraphDestroyNode(CUgraphNode n)
{
	if (!sg_node_of(n, -1))
		return CUDA_ERROR_INVALID_VALUE;
	if (n->graph->capture)
		return CUDA_ERROR_ILLEGAL_STATE;
	for (CUgraphNode o = n->graph->nodes; o; o = o->next)
		if (o->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC || o->type == CU_GRAPH_NODE_TYPE_MEM_FREE)
			return CUDA_ERROR_NOT_SUPPORTED;
	sg_node_remove(n);
	return CUDA_SUCCESS;
}

SG_API CUresult cuGraphNodeGetType(CUgraphNode n, CUgraphNodeType *type)
{
	if (!sg_node_of(n, -1) || !type)
		return CUDA_ERROR_INVALID_VALUE;
	*type = n->type;
	return CUDA_SUCCESS;
}

/* How lists are given: the count alone, or as much as there is room for, the rest NULL. */
static void list_end(size_t *count, size_t total, CUgraphNode *a, CUgraphNode *b)
{
	for (size_t i = total; a && i < *count; i++) {
		a[i] = NULL;
		if (b)
			b[i] = NULL;
	}
	if (!a || *count > total)
		*count = total;
}

static CUresult nodes(CUgraph g, CUgraphNode *out, size_t *count, bool roots)
{
	size_t total = 0;

	if (!sg_graph_of(g) || !count)
		return CUDA_ERROR_INVALID_VALUE;
	for (CUgraphNode n = g->nodes; n; n = n->next) {
		if (roots && n->ndeps)
			continue;
		if (out && total < *count)
			out[total] = n;
		total++;
	}
	list_end(count, total, out, NULL);
	return CUDA_SUCCESS;
}

SG_API CUresult cuGraphGetNodes(CUgraph g, CUgraphNode *out, size_t *count)
{
	return nodes(g, out, count, false);
}

SG_API CUresult cuGraphGetRootNodes(CUgraph g, CUgraphNode *out, size_t *count)
{
	return nodes(g, out, count, true);
}

SG_API CUresult cuGraphGetEdges_v2(CUgraph g, CUgraphNode *from, CUgraphNode *to,
				   CUgraphEdgeData *data, size_t *count)
{
	static const CUgraphEdgeData plain;
	size_t total = 0;

	if (!sg_graph_of(g) || !count || !from != !to)
		return CUDA_ERROR_INVALID_VALUE;
	for (CUgraphNode n = g->nodes; n; n = n->next) {
		for (size_t i = 0; i < n->ndeps; i++, total++) {
			if (!from || total >= *count)
				continue;
			from[total] = n->deps[i].from;
			to[total] = n;
			if (data)
				data[total] = n->deps[i].data;
			else if (memcmp(&n->deps[i].data, &plain, sizeof(plain)))
				return CUDA_ERROR_LOSSY_QUERY;
		}
	}
	list_end(count, total, from, to);
	return CUDA_SUCCESS;
}

SG_API CUresult cuGraphNodeGetDependencies_v2(CUgraphNode n, CUgraphNode *out,
					      CUgraphEdgeData *data, size_t *count)
{
	if (!sg_node_of(n, -1) || !count)
		return CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; out && i < n->ndeps && i < *count; i++) {
		out[i] = n->deps[i].from;
		if (data)
			data[i] = n->deps[i].data;
	}
	list_end(count, n->ndeps, out, NULL);
	return CUDA_SUCCESS;
}

SG_API CUresult cuGraphNodeGetDependentNodes_v2(CUgraphNode n, CUgraphNode *out,
						CUgraphEdgeData *data, size_t *count)
{
	size_t total = 0;

	if (!sg_node_of(n, -1) || !count)
		return CUDA_ERROR_INVALID_VALUE;
	for (CUgraphNode o = n->graph->nodes; o; o = o->next) {
		struct sg_edge *e = edge_of(o, n);

		if (!e)
			continue;
		if (out && total < *count) {
			out[total] = o;
			if (data)
				data[total] = e->data;
		}
		total++;
	}
	list_end(count, total, out, NULL);
	return CUDA_SUCCESS;
}

SG_API CUresult cuGraphAddDependencies_v2(CUgraph g, const CUgraphNode *from, const CUgraphNode *to,
					  const CUgraphEdgeData *data, size_t n)
{
	CUresult rc = CUDA_SUCCESS;

	if (!sg_graph_of(g) || (n && (!from || !to)))
		return CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; i < n; i++)
		if (!sg_node_of(to[i], -1) || to[i]->graph != g)
			return CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; i < n && !rc; i++)
		rc = edge_add(to[i], from[i], data ? &data[i] : NULL);
	return rc;
}

SG_API CUresult cuGraphRemoveDependencies_v2(CUgraph g, const CUgraphNode *from,
					     const CUgraphNode *to, const CUgraphEdgeData *data,
					     size_t n)
{
	(void)data;
	if (!sg_graph_of(g) || (n && (!from || !to)))
		return CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; i < n; i++) {
		struct sg_edge *e;

		if (!sg_node_of(to[i], -1) || to[i]->graph != g)
			return CUDA_ERROR_INVALID_VALUE;
		e = edge_of(to[i], from[i]);
		if (!e)
			return CUDA_ERROR_INVALID_VALUE;
		*e = to[i]->deps[--to[i]->ndeps];
	}
	return CUDA_SUCCESS;
}

CUresult sg_graph_sort(CUgraph g, CUgraphNode **out, size_t *count)
{
	size_t total = 0, done = 0;
	bool progress = true;
	CUgraphNode *list;

	must_be(g);
	for (CUgraphNode n = g->nodes; n; n = n->next, total++)
		n->order = 0;
	list = calloc(total + 1, sizeof(*list));
	if (!list)
		return CUDA_ERROR_OUT_OF_MEMORY;
	while (progress) {
		progress = false;
		for (CUgraphNode n = g->nodes; n && done < total; n = n->next) {
			bool ready = !n->order;

			for (size_t i = 0; i < n->ndeps && ready; i++)
				ready = n->deps[i].from->order;
			if (!ready)
				continue;
			list[done++] = n;
			n->order = done;
			progress = true;
		}
	}
	if (done < total) {
		free(list);
		return CUDA_ERROR_INVALID_VALUE;
	}
	*out = list;
	*count = total;
	return CUDA_SUCCESS;
}

/* -- clones */

static CUgraphNode clone_of(CUgraph g, CUgraphNode origin)
{
	CUgraphNode n;

	for (n = g->nodes; n && n->origin != origin; n = n->next)
		;
	return n;
}

CUresult sg_graph_clone(CUgraph from, CUgraph *out)
{
	CUresult rc = CUDA_SUCCESS;
	CUgraph g = sg_graph_new();

	must_be(from);
	if (!g)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (CUgraphNode o = from->nodes; o && !rc; o = o->next) {
		CUgraphNode n = node_append(g, o->type);

		if (!n) {
			rc = CUDA_ERROR_OUT_OF_MEMORY;
			break;
		}
		n->origin = o;
		rc = sg_node_copy(n, o);
	}
	for (CUgraphNode n = g->nodes; n && !rc; n = n->next)
		for (size_t i = 0; i < n->origin->ndeps && !rc; i++)
			rc = edge_add(n, clone_of(g, n->origin->deps[i].from),
				      &n->origin->deps[i].data);
	if (rc) {
		sg_graph_free(g);
		return rc;
	}
	sg_hold_all(g, from);
	*out = g;
	return CUDA_SUCCESS;
}

SG_API CUresult cuGraphClone(CUgraph *out, CUgraph g)
{
	if (!out || !sg_graph_of(g))
		return CUDA_ERROR_INVALID_VALUE;
	for (CUgraphNode n = g->nodes; n; n = n->next)
		if (n->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC || n->type == CU_GRAPH_NODE_TYPE_MEM_FREE)
			return CUDA_ERROR_NOT_SUPPORTED;
	return sg_graph_clone(g, out);
}

SG_API CUresult cuGraphNodeFindInClone(CUgraphNode *out, CUgraphNode n, CUgraph clone)
{
	CUgraphNode found;

	if (!out || !sg_node_of(n, -1) || !sg_graph_of(clone))
		return CUDA_ERROR_INVALID_VALUE;
	found = clone_of(clone, n);
	if (!found)
		return CUDA_ERROR_INVALID_VALUE;
	*out = found;
	return CUDA_SUCCESS;
}
