// SPDX-License-Identifier: Apache-2.0
/*
 * Memory that the driver's interface knows, by address: what tells a device
 * pointer from a host pointer, and a second free from a first.
 *
 * A balanced tree of ranges that do not overlap.  Two ranges are "equal" if they overlap, so
 * that a search for one byte finds the range around it.
 */
#include <pthread.h>
#include <search.h>
#include <stdlib.h>

#include "client.h"
#include "shim.h"
#include "shim_calls.h"

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;	/* all below */
static void *tree;
static uint64_t serial = 1;

static int compare(const void *left, const void *right)
{
	const struct vg_range *a = left, *b = right;

	if (a->base < b->base)
		return b->base - a->base >= a->bytes ? -1 : 0;
	return a->base - b->base >= b->bytes && a->base != b->base ? 1 : 0;
}

/* With the lock held: one that overlaps [base, base + bytes), or NULL. */
static struct vg_range *over(uint64_t base, uint64_t bytes)
{
	const struct vg_range key = { .base = base, .bytes = bytes };
	struct vg_range **at = tfind(&key, &tree, compare);

	return at ? *at : NULL;
}

static void drop(struct vg_range *r)
{
	tdelete(r, &tree, compare);
	free(r);
}

static CUresult add(uint64_t base, uint64_t bytes, enum vg_range_kind kind, unsigned int flags,
		    uint32_t owner, int device, struct vg_hostmem *shared)
{
	struct vg_range *r = malloc(sizeof(*r)), *old;
	CUresult result = CUDA_SUCCESS;

	if (!r)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*r = (struct vg_range){
		.base = base, .bytes = bytes, .kind = kind, .flags = flags,
		.owner = owner, .device = device, .shared = shared,
	};
	pthread_rwlock_wrlock(&lock);
	r->serial = serial++;
	/* The addresses of a graph that is no more come again. */
	while ((old = over(base, bytes)) && old->kind == VG_RANGE_GRAPH)
		drop(old);
	if (old)
		result = CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
	else if (!tsearch(r, &tree, compare))
		result = CUDA_ERROR_OUT_OF_MEMORY;
	pthread_rwlock_unlock(&lock);
	if (result)
		free(r);
	return result;
}

CUresult vg_range_add(uint64_t base, uint64_t bytes, enum vg_range_kind kind, unsigned int flags)
{
	return vg_range_add_shared(base, bytes, kind, flags, NULL);
}

CUresult vg_range_add_shared(uint64_t base, uint64_t bytes, enum vg_range_kind kind,
			     unsigned int flags, struct vg_hostmem *shared)
{
	struct vg_context *c = vg_current();

	return add(base, bytes, kind, flags, c ? c->home->id : 0, c ? c->device : 0, shared);
}

CUresult vg_range_add_global(uint64_t base, uint64_t bytes, uint32_t holder)
{
	struct vg_context *c = vg_current();

	return add(base, bytes, VG_RANGE_GLOBAL, 0, holder, c ? c->device : 0, NULL);
}

CUresult vg_range_add_mapped(uint64_t base, uint64_t bytes, uint32_t holder, int device,
			     unsigned int flags)
{
	return add(base, bytes, VG_RANGE_MAPPED, flags, holder, device, NULL);
}

CUresult vg_range_add_graph(uint64_t base, uint64_t bytes, int device)
{
	struct vg_context *c = vg_current();

	return add(base, bytes, VG_RANGE_GRAPH, 0, c ? c->object->id : 0, device, NULL);
}

bool vg_range_find(uint64_t p, struct vg_range *out)
{
	struct vg_range *r;

	pthread_rwlock_rdlock(&lock);
	r = over(p, 1);
	if (r)
		*out = *r;
	pthread_rwlock_unlock(&lock);
	return r;
}

bool vg_range_remove(uint64_t p, unsigned int kinds, struct vg_range *out)
{
	struct vg_range *r;

	pthread_rwlock_wrlock(&lock);
	r = over(p, 1);
	if (r && (r->base != p || !(kinds & (1u << r->kind))))
		r = NULL;
	if (r) {
		*out = *r;
		drop(r);
	}
	pthread_rwlock_unlock(&lock);
	return r;
}

/* For the walk through the tree, under the lock: those that go, with their owner. */
static struct vg_range **going;
static size_t going_count, going_room;
static uint32_t going_owner;

static void collect(const void *node, VISIT visit, int depth)
{
	struct vg_range *r = *(struct vg_range *const *)node;

	(void)depth;
	if ((visit != postorder && visit != leaf) || r->owner != going_owner ||
	    !vg_range_on_device(r))
		return;
	if (going_count == going_room) {
		size_t n = going_room ? going_room * 2 : 256;
		struct vg_range **p = realloc(going, n * sizeof(*p));

		if (!p)
			return;		/* the next round has it */
		going = p;
		going_room = n;
	}
	going[going_count++] = r;
}

void vg_range_forget(uint32_t owner)
{
	pthread_rwlock_wrlock(&lock);
	going_owner = owner;
	do {
		going_count = 0;
		twalk(tree, collect);
		for (size_t i = 0; i < going_count; i++)
			drop(going[i]);
	} while (going_count);
	pthread_rwlock_unlock(&lock);
}

bool vg_range_known(uint64_t p, uint64_t bytes)
{
	struct vg_range r;

	/* Mappings lie side by side, and what is in them crosses from one to the next. */
	while (vg_range_find(p, &r) && vg_range_on_device(&r)) {
		uint64_t here = r.base + r.bytes - p;

		if (bytes <= here)
			return true;
		if (r.kind != VG_RANGE_MAPPED)
			return false;
		p += here;
		bytes -= here;
	}
	return false;
}

static _Atomic bool any_sync;	/* has been asked for, of some range */

bool vg_range_set_sync(uint64_t p, bool on)
{
	struct vg_range *r;

	pthread_rwlock_wrlock(&lock);
	r = over(p, 1);
	if (r)
		r->sync = on;
	pthread_rwlock_unlock(&lock);
	if (on)
		atomic_store(&any_sync, true);
	return r;
}

CUresult vg_memop_done(CUresult r, CUstream none, uint64_t dst, uint64_t src)
{
	struct vg_range range;

	if (likely(r || !atomic_load_explicit(&any_sync, memory_order_relaxed)))
		return r;
	if ((dst && vg_range_find(dst, &range) && range.sync) ||
	    (src && vg_range_find(src, &range) && range.sync))
		return vgw_cuStreamSynchronize(none);
	return r;
}

bool vg_range_shared(uint64_t p, uint64_t bytes)
{
	struct vg_range r;

	return vg_range_find(p, &r) && r.shared && bytes <= r.base + r.bytes - p;
}
