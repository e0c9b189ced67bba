// SPDX-License-Identifier: Apache-2.0
/*
 * Handles.  A handle that the program holds is the address of an object in one
 * reserved region, so a bad one is told by arithmetic and never followed.  The
 * object's index in the region is its id on the wire.
 *
 * Each object heads a list of those that go with it, in a region of its own: an object is a
 * cache line, and only what makes and destroys objects needs the lists.
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "shim.h"

#define FIRST_ID	16u		/* the first ids name the special streams */
#define STEP		1024u		/* objects made usable at a time */
#define HOST_FIRST	(VG_HANDLE_MAX / 2)	/* from here on the host mints ids */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* all below but `usable` */
static struct vg_object *slab;

/* By id: lists of objects with one owner.  Ids, and 0 for none. */
static struct tie {
	uint32_t first;			/* of those that it owns */
	uint32_t next, before;		/* of those that its owner owns */
} *ties;
static _Atomic uint32_t usable;		/* objects that may be touched */
static _Atomic uint32_t host_usable = HOST_FIRST;	/* likewise, of the host's */
static uint32_t fresh = FIRST_ID;	/* never used from here on */
static uint32_t free_head, free_tail;	/* a queue, so that a stale handle stays one for long */

/* Kinds that hold others, which go with them. */
static bool owns(enum vg_kind kind)
{
	return kind == VG_CONTEXT || kind == VG_MODULE || kind == VG_LIBRARY || kind == VG_KERNEL ||
	       kind == VG_GRAPH || kind == VG_MIPMAP;
}

/* Kinds that belong to the context in which they were made. */
static bool owned_by_context(enum vg_kind kind)
{
	return kind == VG_STREAM || kind == VG_EVENT || kind == VG_MODULE || kind == VG_ARRAY ||
	       kind == VG_MIPMAP || kind == VG_TEXREF || kind == VG_LINK_STATE;
}

/* Address space for so many bytes for each id. */
static void *reserve(size_t bytes, int prot)
{
	void *p = mmap(NULL, VG_HANDLE_MAX * bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		       -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static bool grow(_Atomic uint32_t *limit, uint32_t most)
{
	uint32_t n = atomic_load(limit);

	if (!ties)
		ties = reserve(sizeof(*ties), PROT_READ | PROT_WRITE);
	if (!slab && ties)
		slab = reserve(sizeof(*slab), PROT_NONE);
	if (!slab)
		return false;
	if (n >= most ||
	    mprotect(slab + n, STEP * sizeof(*slab), PROT_READ | PROT_WRITE))
		return false;
	atomic_store(limit, n + STEP);
	return true;
}

static void tie_locked(struct vg_object *o, uint32_t owner)
{
	struct tie *t = &ties[o->id];

	o->owner = owner;
	if (!owner)
		return;
	t->before = 0;
	t->next = ties[owner].first;
	if (t->next)
		ties[t->next].before = o->id;
	ties[owner].first = o->id;
}

static void untie_locked(struct vg_object *o)
{
	struct tie *t = &ties[o->id];

	if (!o->owner)
		return;
	if (t->before)
		ties[t->before].next = t->next;
	else
		ties[o->owner].first = t->next;
	if (t->next)
		ties[t->next].before = t->before;
	o->owner = 0;
}

void vg_object_own(struct vg_object *o, uint32_t owner)
{
	pthread_mutex_lock(&lock);
	untie_locked(o);
	tie_locked(o, owner);
	pthread_mutex_unlock(&lock);
}

static void init_locked(struct vg_object *o, uint32_t id, enum vg_kind kind, uint32_t owner)
{
	o->id = id;
	o->next = 0;
	tie_locked(o, owner);
	o->born = kind;
	o->flags = 0;
	o->data = NULL;
	o->release = NULL;
	o->value[0] = o->value[1] = 0;
	atomic_store(&o->kind, kind);
}

CUresult vg_object_new(enum vg_kind kind, struct vg_object **out)
{
	struct vg_context *c = vg_current();
	uint32_t id, owner = 0;

	if (c && owned_by_context(kind))
		owner = kind == VG_STREAM ? c->object->id : c->home->id;
	pthread_mutex_lock(&lock);
	if (free_head && fresh >= FIRST_ID + STEP / 2) {
		id = free_head;
		free_head = slab[id].next;
		if (!free_head)
			free_tail = 0;
	} else {
		if (fresh >= atomic_load(&usable) && !grow(&usable, HOST_FIRST)) {
			pthread_mutex_unlock(&lock);
			return CUDA_ERROR_OUT_OF_MEMORY;
		}
		id = fresh++;
	}
	*out = &slab[id];
	init_locked(*out, id, kind, owner);
	pthread_mutex_unlock(&lock);
	return CUDA_SUCCESS;
}

static struct vg_object *at(const void *handle)
{
	uintptr_t off = (uintptr_t)handle - (uintptr_t)slab;

	if (!slab || off % sizeof(*slab))
		return NULL;
	off /= sizeof(*slab);
	if (off >= atomic_load(&usable) && (off < HOST_FIRST || off >= atomic_load(&host_usable)))
		return NULL;
	return &slab[off];
}

struct vg_object *vg_object_get(const void *handle, enum vg_kind kind)
{
	struct vg_object *o = at(handle);
	uint32_t k;

	if (!o)
		return NULL;
	k = atomic_load(&o->kind);
	/* cudart passes a CUkernel where a CUfunction is asked for, as CUDA allows. */
	if (k == kind || (kind == VG_FUNCTION && k == VG_KERNEL))
		return o;
	return NULL;
}

struct vg_context *vg_object_context(const void *handle, enum vg_kind kind)
{
	struct vg_object *o = vg_object_get(handle, kind);

	while (o && atomic_load(&o->kind) != VG_CONTEXT)
		o = o->owner && o->owner < VG_HANDLE_MAX ? at(&slab[o->owner]) : NULL;
	return o ? vg_context_of(o) : NULL;
}

struct vg_object *vg_object_by_id(uint32_t id, enum vg_kind kind)
{
	if (id >= atomic_load(&usable))
		return NULL;
	return vg_object_get(&slab[id], kind);
}

struct vg_object *vg_object_any(uint32_t id, enum vg_kind kind)
{
	if (id < HOST_FIRST)
		return vg_object_by_id(id, kind);
	return id < atomic_load(&host_usable) ? vg_object_get(&slab[id], kind) : NULL;
}

/* With the lock held: the object of an id of the host's half, or NULL. */
static struct vg_object *of_the_host(uint32_t id)
{
	/* The host counts up; an id far beyond what it has used is none. */
	while (id >= atomic_load(&host_usable) && id - atomic_load(&host_usable) < 16 * STEP)
		if (!grow(&host_usable, VG_HANDLE_MAX))
			break;
	return id < atomic_load(&host_usable) ? &slab[id] : NULL;
}

/* An id of the host's half is bound when first seen in its life; one of ours is looked up. */
struct vg_object *vg_object_adopt(uint32_t told, enum vg_kind kind, uint32_t owner)
{
	uint32_t id = VG_TOLD_ID(told), life = VG_TOLD_LIFE(told), was;
	struct vg_object *o;

	if (id < HOST_FIRST)
		return vg_object_by_id(told, kind);
	for (;;) {
		pthread_mutex_lock(&lock);
		o = of_the_host(id);
		was = o ? atomic_load(&o->kind) : VG_NONE;
		if (o && was == VG_NONE) {
			init_locked(o, id, kind, owner);
			o->life = life;
			was = kind;
		}
		pthread_mutex_unlock(&lock);
		if (!o || o->life == life)
			return o && was == kind ? o : NULL;
		/* The host has given the id to another, so this object has gone. */
		if (was < VG_KIND_COUNT && atomic_compare_exchange_strong(&o->kind, &was,
									  VG_KIND_COUNT))
			vg_object_drop(o);
	}
}

CUresult vg_object_id(const void *handle, enum vg_kind kind, uint32_t *id)
{
	struct vg_object *o = vg_object_get(handle, kind);

	if (unlikely(!o))
		return vg_object_wrong(handle, kind);
	*id = o->id;
	return CUDA_SUCCESS;
}

CUresult vg_object_take(const void *handle, enum vg_kind kind, struct vg_object **out)
{
	struct vg_object *o = at(handle);
	uint32_t expected = kind;

	if (!o || !atomic_compare_exchange_strong(&o->kind, &expected, VG_KIND_COUNT))
		return vg_object_wrong(handle, kind);
	*out = o;
	return CUDA_SUCCESS;
}

void vg_object_untake(struct vg_object *o, enum vg_kind kind)
{
	atomic_store(&o->kind, kind);
}

/* What it owns then stays without an owner. */
static void release(struct vg_object *o)
{
	void (*fn)(struct vg_object *) = o->release;
	uint32_t id;

	if (fn)
		fn(o);
	atomic_fetch_add(&o->generation, 1);
	pthread_mutex_lock(&lock);
	untie_locked(o);
	while ((id = ties[o->id].first))
		untie_locked(&slab[id]);
	atomic_store(&o->kind, VG_NONE);
	if (o->id < HOST_FIRST) {	/* the others are the host's to use again */
		o->next = 0;
		if (free_tail)
			slab[free_tail].next = o->id;
		else
			free_head = o->id;
		free_tail = o->id;
	}
	pthread_mutex_unlock(&lock);
}

/* Untie one of those that it owns. */
static struct vg_object *orphan(struct vg_object *o)
{
	struct vg_object *child = NULL;

	pthread_mutex_lock(&lock);
	if (ties[o->id].first) {
		child = &slab[ties[o->id].first];
		untie_locked(child);
	}
	pthread_mutex_unlock(&lock);
	return child;
}

void vg_object_orphans(struct vg_object *o)
{
	struct vg_object *child;

	while ((child = orphan(o))) {
		uint32_t kind = atomic_load(&child->kind);

		/* One that a call destroys at this moment is that call's to drop. */
		if (kind != VG_NONE && kind < VG_KIND_COUNT &&
		    atomic_compare_exchange_strong(&child->kind, &kind, VG_KIND_COUNT))
			vg_object_drop(child);
	}
}

void vg_object_drop(struct vg_object *o)
{
	if (owns(o->born))
		vg_object_orphans(o);
	release(o);
}
