// SPDX-License-Identifier: Apache-2.0
/* User objects: a count of references, the program's and the graphs', and a destructor. */
#include <limits.h>
#include <stdlib.h>

#include "graph.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* counts and holds */

static CUuserObject object_of(CUuserObject o)
{
	return o && o->magic == MAGIC_USER_OBJECT ? o : NULL;
}

static void put(CUuserObject o, uint64_t n)
{
	bool last;

	pthread_mutex_lock(&lock);
	o->refs -= n;
	last = !o->refs;
	pthread_mutex_unlock(&lock);
	if (!last)
		return;
	o->magic = 0;
	o->destroy(o->data);
	free(o);
}

SG_API CUresult cuUserObjectCreate(CUuserObject *out, void *data, CUhostFn destroy,
				   unsigned int count, unsigned int flags)
{
	CUuserObject o;

	SG_NEED_INIT();
	if (!out || !destroy || !count || count > INT_MAX ||
	    flags != CU_USER_OBJECT_NO_DESTRUCTOR_SYNC)
		return CUDA_ERROR_INVALID_VALUE;
	o = calloc(1, sizeof(*o));
	if (!o)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*o = (struct CUuserObject_st){ MAGIC_USER_OBJECT, count, destroy, data };
	*out = o;
	return CUDA_SUCCESS;
}

SG_API CUresult cuUserObjectRetain(CUuserObject o, unsigned int count)
{
	if (!object_of(o) || !count || count > INT_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&lock);
	o->refs += count;
	pthread_mutex_unlock(&lock);
	return CUDA_SUCCESS;
}

SG_API CUresult cuUserObjectRelease(CUuserObject o, unsigned int count)
{
	if (!object_of(o) || !count || count > o->refs)
		return CUDA_ERROR_INVALID_VALUE;
	put(o, count);
	return CUDA_SUCCESS;
}

static struct sg_hold *hold_of(CUgraph g, CUuserObject o)
{
	struct sg_hold *h;

	for (h = g->holds; h && h->object != o; h = h->next)
		;
	return h;
}

static CUresult hold(CUgraph g, CUuserObject o, unsigned int count, bool move)
{
	struct sg_hold *h;

	pthread_mutex_lock(&lock);
	h = hold_of(g, o);
	if (!h) {
		h = calloc(1, sizeof(*h));
		if (h) {
			h->object = o;
			h->next = g->holds;
			g->holds = h;
		}
	}
	if (h) {
		h->count += count;
		if (!move)
			o->refs += count;
	}
	pthread_mutex_unlock(&lock);
	return h ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

SG_API CUresult cuGraphRetainUserObject(CUgraph g, CUuserObject o, unsigned int count,
					unsigned int flags)
{
	if (!sg_graph_of(g) || !object_of(o) || !count || count > INT_MAX ||
	    flags & ~CU_GRAPH_USER_OBJECT_MOVE)
		return CUDA_ERROR_INVALID_VALUE;
	return hold(g, o, count, flags);
}

SG_API CUresult cuGraphReleaseUserObject(CUgraph g, CUuserObject o, unsigned int count)
{
	struct sg_hold *h;

	if (!sg_graph_of(g) || !object_of(o) || !count)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&lock);
	h = hold_of(g, o);
	if (h && h->count >= count)
		h->count -= count;
	else
		h = NULL;
	pthread_mutex_unlock(&lock);
	if (!h)
		return CUDA_ERROR_INVALID_VALUE;
	put(o, count);
	return CUDA_SUCCESS;
}

/* A clone has one reference to each. */
void sg_hold_all(CUgraph to, CUgraph from)
{
	for (struct sg_hold *h = from->holds; h; h = h->next)
		if (h->count)
			hold(to, h->object, 1, false);
}

void sg_holds_put(struct sg_hold *list)
{
	struct sg_hold *next;

	for (; list; list = next) {
		next = list->next;
		if (list->count)
			put(list->object, list->count);
		free(list);
	}
}

void sg_hold_none(CUgraph g)
{
	sg_holds_put(g->holds);
	g->holds = NULL;
}

void sg_hold_instead(CUgraph to, CUgraph from, struct sg_hold **old)
{
	struct sg_hold *was = to->holds, **end = old;

	to->holds = NULL;
	sg_hold_all(to, from);
	while (*end)
		end = &(*end)->next;
	*end = was;
}
