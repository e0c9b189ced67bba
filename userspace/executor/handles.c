// SPDX-License-Identifier: Apache-2.0
/*
 * Two levels: a directory of pages of entries, so that a lookup is two loads.
 * The lock is only for putting and taking.  A get on a thread of its own may read an
 * entry that the ring's thread is about to take: underway.c has that one wait.
 */
#include <pthread.h>
#include <stdlib.h>

#include "budget.h"
#include "exec_internal.h"

#define PAGE_ENTRIES 4096u
#define PAGES (VG_HANDLE_MAX / PAGE_ENTRIES)

struct entry {
	_Atomic uint32_t kind;
	_Atomic uint32_t serial;
	_Atomic uint64_t value;
	_Atomic uint32_t owner, context;	/* ids */
	uint64_t more;			/* by vg_handle_weigh(); under the lock */
};

struct vg_handles {
	pthread_mutex_t lock;
	_Atomic(struct entry *) page[PAGES];
};

struct vg_handles *vg_handles_new(void)
{
	struct vg_handles *h = calloc(1, sizeof(*h));

	if (h)
		pthread_mutex_init(&h->lock, NULL);
	return h;
}

static struct entry *lookup(struct vg_handles *h, uint32_t id, enum vg_kind kind)
{
	struct entry *page, *e;

	if (!id || id >= VG_HANDLE_MAX)
		return NULL;
	page = atomic_load_explicit(&h->page[id / PAGE_ENTRIES], memory_order_acquire);
	if (!page)
		return NULL;
	e = &page[id % PAGE_ENTRIES];
	return atomic_load_explicit(&e->kind, memory_order_acquire) == kind ? e : NULL;
}

static uint64_t bytes_of(enum vg_kind kind)
{
	switch (kind) {
	case VG_CONTEXT:
		return VG_CONTEXT_BYTES;
	case VG_MODULE:
	case VG_LIBRARY:
		return VG_MODULE_BYTES;
	case VG_STREAM:
		return VG_STREAM_BYTES;
	case VG_GRAPH_NODE:
		return VG_NODE_BYTES;
	default:
		return VG_OBJECT_BYTES;
	}
}

/* What is taken beyond that: images of code, or nodes of graphs. */
static enum vg_budget more_of(enum vg_kind kind)
{
	return kind == VG_MODULE || kind == VG_LIBRARY ? VG_BUDGET_IMAGES : VG_BUDGET_OBJECTS;
}

bool vg_handle_put(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint64_t value)
{
	struct entry *page, *e;
	bool ok = false;

	if (!id || id >= VG_HANDLE_MAX || kind == VG_NONE)
		return false;
	pthread_mutex_lock(&h->lock);
	page = atomic_load(&h->page[id / PAGE_ENTRIES]);
	if (!page) {
		page = calloc(PAGE_ENTRIES, sizeof(*page));
		if (!page)
			goto out;
		atomic_store(&h->page[id / PAGE_ENTRIES], page);
	}
	e = &page[id % PAGE_ENTRIES];
	if (atomic_load(&e->kind) == VG_NONE && vg_budget_take(VG_BUDGET_OBJECTS, bytes_of(kind))) {
		e->more = 0;
		atomic_store(&e->value, value);
		atomic_store(&e->owner, 0);
		atomic_store(&e->context, 0);
		atomic_fetch_add(&e->serial, 1);
		atomic_store_explicit(&e->kind, kind, memory_order_release);
		ok = true;
	}
out:
	pthread_mutex_unlock(&h->lock);
	return ok;
}

bool vg_handle_get(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint64_t *value)
{
	struct entry *e = lookup(h, id, kind);

	if (!e)
		return false;
	*value = atomic_load(&e->value);
	return true;
}

bool vg_handle_take(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint64_t *value)
{
	struct entry *e;

	pthread_mutex_lock(&h->lock);
	e = lookup(h, id, kind);
	if (e) {
		*value = atomic_load(&e->value);
		atomic_store(&e->kind, VG_NONE);
		vg_budget_give(VG_BUDGET_OBJECTS, bytes_of(kind));
		vg_budget_give(more_of(kind), e->more);
	}
	pthread_mutex_unlock(&h->lock);
	return e;
}

bool vg_handle_set_owner(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint32_t owner)
{
	struct entry *e = lookup(h, id, kind);

	if (e)
		atomic_store(&e->owner, owner);
	return e;
}

bool vg_handle_get_owner(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint32_t *owner)
{
	struct entry *e = lookup(h, id, kind);

	if (e)
		*owner = atomic_load(&e->owner);
	return e;
}

bool vg_handle_set_context(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint32_t ctx)
{
	struct entry *e = lookup(h, id, kind);

	if (e)
		atomic_store(&e->context, ctx);
	return e;
}

bool vg_handle_get_context(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint32_t *ctx)
{
	struct entry *e = lookup(h, id, kind);

	if (e)
		*ctx = atomic_load(&e->context);
	return e;
}

bool vg_handle_serial(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint32_t *serial)
{
	struct entry *e = lookup(h, id, kind);

	if (e)
		*serial = atomic_load(&e->serial);
	return e;
}

bool vg_handle_weigh(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint64_t more)
{
	struct entry *e;
	bool ok;

	pthread_mutex_lock(&h->lock);
	e = lookup(h, id, kind);
	ok = e && vg_budget_take(more_of(kind), more);
	if (ok)
		e->more += more;
	pthread_mutex_unlock(&h->lock);
	return ok;
}
