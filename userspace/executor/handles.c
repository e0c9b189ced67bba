// SPDX-License-Identifier: Apache-2.0
/*
 * Two levels: a directory of pages of entries, so that a lookup is two loads.
 * The lock is only for changes.  A get on a thread of its own may read an
 * entry that the ring's thread is about to take: underway.c has that one wait.
 *
 * Each entry heads two lists of entries that go with it: its parts, and what was made in it if
 * it is a context.  When an id is taken these lists stay, and the id is not free before they
 * are empty (vg_handle_orphan()).
 */
#include <pthread.h>
#include <stdlib.h>

#include "budget.h"
#include "exec_internal.h"

#define PAGE_ENTRIES 4096u
#define PAGES (VG_HANDLE_MAX / PAGE_ENTRIES)
#define BUCKETS (1u << 16)

enum tie { PART, MADE_IN, TIES };

struct entry {
	_Atomic uint8_t kind;		/* enum vg_kind */
	/* under the lock, as all that is not atomic */
	uint8_t made;			/* enum vg_kind: what a reserved id is for */
	bool lost;			/* of one that is reserved: by vg_handle_lose() */
	uint32_t next_found;		/* in the same bucket: an id, as below; 0 is none */
	_Atomic uint64_t serial;	/* of its reservation; 64 bits do not come round */
	_Atomic uint64_t value;
	_Atomic uint32_t with[TIES];	/* owner and context */
	uint32_t first[TIES];		/* of those that go with this one */
	uint32_t next[TIES], before[TIES];	/* of those that go with the same as this one */
	uint64_t more;			/* of the budget, in bytes */
};

_Static_assert(sizeof(struct entry) == 64, "a cache line");

struct vg_handles {
	pthread_mutex_t lock;
	_Atomic(struct entry *) page[PAGES];
	uint32_t bucket[BUCKETS];	/* by kind and value: ids that lead to it */
};

struct vg_handles *vg_handles_new(void)
{
	struct vg_handles *h = calloc(1, sizeof(*h));

	if (h)
		pthread_mutex_init(&h->lock, NULL);
	return h;
}

static struct entry *entry_of(struct vg_handles *h, uint32_t id)
{
	struct entry *page;

	if (!id || id >= VG_HANDLE_MAX)
		return NULL;
	page = atomic_load_explicit(&h->page[id / PAGE_ENTRIES], memory_order_acquire);
	return page ? &page[id % PAGE_ENTRIES] : NULL;
}

static struct entry *lookup(struct vg_handles *h, uint32_t id, enum vg_kind kind)
{
	struct entry *e = entry_of(h, id);

	return e && atomic_load_explicit(&e->kind, memory_order_acquire) == kind ? e : NULL;
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

static bool take_bytes(enum vg_kind kind, uint64_t more)
{
	if (!vg_budget_take(VG_BUDGET_OBJECTS, bytes_of(kind)))
		return false;
	if (vg_budget_take(more_of(kind), more))
		return true;
	vg_budget_give(VG_BUDGET_OBJECTS, bytes_of(kind));
	return false;
}

/* -- with the lock held */

static void tie(struct vg_handles *h, uint32_t id, struct entry *e, enum tie t, uint32_t to)
{
	struct entry *head = entry_of(h, to), *next;

	atomic_store(&e->with[t], head ? to : 0);
	e->before[t] = e->next[t] = 0;
	if (!head)
		return;
	e->next[t] = head->first[t];
	next = entry_of(h, e->next[t]);
	if (next)
		next->before[t] = id;
	head->first[t] = id;
}

static void untie(struct vg_handles *h, struct entry *e, enum tie t)
{
	struct entry *head = entry_of(h, atomic_load(&e->with[t]));
	struct entry *before = entry_of(h, e->before[t]), *next = entry_of(h, e->next[t]);

	if (before)
		before->next[t] = e->next[t];
	else if (head)
		head->first[t] = e->next[t];
	if (next)
		next->before[t] = e->before[t];
	atomic_store(&e->with[t], 0);
	e->before[t] = e->next[t] = 0;
}

static uint32_t *bucket_of(struct vg_handles *h, enum vg_kind kind, uint64_t value)
{
	uint64_t mixed = (value ^ (uint64_t)kind << 56) * 0x9e3779b97f4a7c15ull;

	return &h->bucket[mixed >> 48];
}

static void lead_to(struct vg_handles *h, uint32_t id, struct entry *e, enum vg_kind kind,
		    uint64_t value)
{
	uint32_t *bucket = bucket_of(h, kind, value);

	atomic_store(&e->value, value);
	e->next_found = *bucket;
	*bucket = id;
}

static void lead_nowhere(struct vg_handles *h, uint32_t id, struct entry *e, enum vg_kind kind)
{
	uint32_t *at = bucket_of(h, kind, atomic_load(&e->value));

	while (*at != id)
		at = &entry_of(h, *at)->next_found;
	*at = e->next_found;
}

/* The page of an entry is there, and counted, from its first use on. */
static struct entry *make_entry(struct vg_handles *h, uint32_t id)
{
	struct entry *page;

	if (!entry_of(h, id)) {
		if (!vg_budget_take(VG_BUDGET_OBJECTS, PAGE_ENTRIES * sizeof(*page)))
			return NULL;
		page = calloc(PAGE_ENTRIES, sizeof(*page));
		if (!page) {
			vg_budget_give(VG_BUDGET_OBJECTS, PAGE_ENTRIES * sizeof(*page));
			return NULL;
		}
		atomic_store(&h->page[id / PAGE_ENTRIES], page);
	}
	return entry_of(h, id);
}

static bool is_bound(struct vg_handles *h, uint32_t id)
{
	struct entry *e = entry_of(h, id);

	return e && atomic_load(&e->kind) != VG_NONE;
}

/* Whether `id` is `of` or owns it, by however many steps. */
static bool owns(struct vg_handles *h, uint32_t id, uint32_t of)
{
	while (of && of != id)
		of = atomic_load(&entry_of(h, of)->with[PART]);
	return of;
}

static enum vg_reserved reserve(struct vg_handles *h, uint32_t id, enum vg_kind kind,
				uint32_t owner, uint32_t ctx, uint64_t more)
{
	struct entry *e;

	if ((owner && !is_bound(h, owner)) || (ctx && !lookup(h, ctx, VG_CONTEXT)) ||
	    owner == id || ctx == id)
		return VG_RESERVED_ALONE;
	e = make_entry(h, id);
	if (!e)
		return VG_RESERVED_FULL;
	if (atomic_load(&e->kind) != VG_NONE || e->first[PART] || e->first[MADE_IN])
		return VG_RESERVED_NOT;
	if (!take_bytes(kind, more))
		return VG_RESERVED_FULL;
	e->more = more;
	e->made = kind;
	e->lost = false;
	tie(h, id, e, PART, owner);
	tie(h, id, e, MADE_IN, ctx);
	atomic_store(&e->serial, atomic_load(&e->serial) + 1);
	atomic_store_explicit(&e->kind, VG_RESERVED, memory_order_release);
	return VG_RESERVED_OK;
}

/* An entry that is bound or reserved: what goes with it stays tied to it. */
static void release(struct vg_handles *h, uint32_t id, struct entry *e)
{
	enum vg_kind kind = atomic_load(&e->kind);

	if (kind == VG_RESERVED)
		kind = e->made;
	else
		lead_nowhere(h, id, e, kind);
	atomic_store(&e->kind, VG_NONE);
	vg_budget_give(VG_BUDGET_OBJECTS, bytes_of(kind));
	vg_budget_give(more_of(kind), e->more);
	untie(h, e, PART);
	untie(h, e, MADE_IN);
}

static uint64_t weight_locked(struct vg_handles *h, struct entry *root)
{
	struct entry *e = root;
	enum vg_kind kind;
	uint64_t sum = 0;

	while (e) {
		kind = atomic_load(&e->kind);
		sum += e->more;
		if (e != root)
			sum += bytes_of(kind == VG_RESERVED ? e->made : kind);
		if (e->first[PART]) {
			e = entry_of(h, e->first[PART]);
			continue;
		}
		while (e != root && !e->next[PART])
			e = entry_of(h, atomic_load(&e->with[PART]));
		e = e == root ? NULL : entry_of(h, e->next[PART]);
	}
	return sum;
}

/* -- the interface */

enum vg_reserved vg_handle_reserve(struct vg_handles *h, uint32_t id, enum vg_kind kind,
				   uint32_t owner, uint32_t ctx, uint64_t more, uint64_t *serial)
{
	enum vg_reserved got;

	*serial = 0;
	if (!id || id >= VG_HANDLE_MAX || kind == VG_NONE || kind >= VG_RESERVED)
		return VG_RESERVED_NOT;
	pthread_mutex_lock(&h->lock);
	got = reserve(h, id, kind, owner, ctx, more);
	if (got == VG_RESERVED_OK)
		*serial = atomic_load(&entry_of(h, id)->serial);
	pthread_mutex_unlock(&h->lock);
	return got;
}

/* With the lock held: the entry that this reservation holds, or NULL. */
static struct entry *reserved(struct vg_handles *h, uint32_t id, uint64_t serial)
{
	struct entry *e = lookup(h, id, VG_RESERVED);

	return e && !e->lost && atomic_load(&e->serial) == serial ? e : NULL;
}

bool vg_handle_bind(struct vg_handles *h, uint32_t id, uint64_t serial, enum vg_kind kind,
		    uint64_t value)
{
	struct entry *e;

	pthread_mutex_lock(&h->lock);
	e = reserved(h, id, serial);
	if (e && e->made != kind)
		e = NULL;
	if (e) {
		lead_to(h, id, e, kind, value);
		atomic_store_explicit(&e->kind, kind, memory_order_release);
	}
	pthread_mutex_unlock(&h->lock);
	return e;
}

void vg_handle_give_up(struct vg_handles *h, uint32_t id, uint64_t serial)
{
	struct entry *e;

	pthread_mutex_lock(&h->lock);
	e = reserved(h, id, serial);
	if (e)
		release(h, id, e);
	pthread_mutex_unlock(&h->lock);
}

bool vg_handle_put(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint64_t value)
{
	uint64_t serial;

	return vg_handle_reserve(h, id, kind, 0, 0, 0, &serial) == VG_RESERVED_OK &&
	       vg_handle_bind(h, id, serial, kind, value);
}

bool vg_handle_get(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint64_t *value)
{
	struct entry *e = lookup(h, id, kind);

	if (!e || kind == VG_NONE || kind == VG_RESERVED)
		return false;
	*value = atomic_load(&e->value);
	return true;
}

bool vg_handle_take(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint64_t *value)
{
	struct entry *e;

	pthread_mutex_lock(&h->lock);
	e = kind == VG_NONE || kind == VG_RESERVED ? NULL : lookup(h, id, kind);
	if (e) {
		*value = atomic_load(&e->value);
		release(h, id, e);
	}
	pthread_mutex_unlock(&h->lock);
	return e;
}

/* What was made in a context that is lost goes on to count, each in its own budget. */
static void owe_made_in(struct vg_handles *h, const struct entry *context)
{
	enum vg_kind kind;
	struct entry *e;

	for (e = entry_of(h, context->first[MADE_IN]); e; e = entry_of(h, e->next[MADE_IN])) {
		kind = atomic_load(&e->kind);
		if (kind == VG_RESERVED)
			kind = e->made;
		vg_budget_owe(VG_BUDGET_OBJECTS, bytes_of(kind));
		vg_budget_owe(more_of(kind), e->more);
	}
}

bool vg_handle_lose(struct vg_handles *h, uint32_t id, enum vg_kind kind)
{
	struct entry *e;
	uint64_t parts;

	pthread_mutex_lock(&h->lock);
	e = kind == VG_NONE || kind == VG_RESERVED ? NULL : lookup(h, id, kind);
	if (e) {
		lead_nowhere(h, id, e, kind);
		e->made = kind;
		e->lost = true;
		atomic_store(&e->kind, VG_RESERVED);
		/* The parts give back what they took. */
		parts = weight_locked(h, e) - e->more;
		vg_budget_owe(more_of(kind), parts);
		e->more += parts;
		owe_made_in(h, e);
	}
	pthread_mutex_unlock(&h->lock);
	return e;
}

/*
 * What goes with the one that is taken goes with `gone` from then on, so each entry is handed
 * on once, and the depth does not matter.
 */
bool vg_handle_orphan(struct vg_handles *h, uint32_t gone, struct vg_orphan *out)
{
	struct entry *head, *e;
	uint32_t child;

	pthread_mutex_lock(&h->lock);
	head = entry_of(h, gone);
	out->id = !head ? 0 : head->first[PART] ? head->first[PART] : head->first[MADE_IN];
	e = entry_of(h, out->id);
	if (e) {
		out->kind = atomic_load(&e->kind);
		out->value = atomic_load(&e->value);
		release(h, out->id, e);
		for (enum tie t = PART; t < TIES; t++) {
			while ((child = e->first[t])) {
				struct entry *c = entry_of(h, child);

				untie(h, c, t);
				tie(h, child, c, t, gone);
			}
		}
	}
	pthread_mutex_unlock(&h->lock);
	return e;
}

bool vg_handle_id_of(struct vg_handles *h, enum vg_kind kind, uint64_t value, uint32_t *id)
{
	struct entry *e;

	*id = 0;
	pthread_mutex_lock(&h->lock);
	for (uint32_t at = *bucket_of(h, kind, value); at; at = e->next_found) {
		e = entry_of(h, at);
		if (atomic_load(&e->kind) == kind && atomic_load(&e->value) == value &&
		    (!*id || at < *id))
			*id = at;
	}
	pthread_mutex_unlock(&h->lock);
	return *id;
}

bool vg_handle_set_owner(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint32_t owner)
{
	struct entry *e;
	bool ok;

	pthread_mutex_lock(&h->lock);
	e = lookup(h, id, kind);
	ok = e && (!owner || (is_bound(h, owner) && !owns(h, id, owner)));
	if (ok) {
		untie(h, e, PART);
		tie(h, id, e, PART, owner);
	}
	pthread_mutex_unlock(&h->lock);
	return ok;
}

bool vg_handle_owns(struct vg_handles *h, uint32_t id, uint32_t of)
{
	bool yes;

	pthread_mutex_lock(&h->lock);
	yes = id && is_bound(h, of) && owns(h, id, of);
	pthread_mutex_unlock(&h->lock);
	return yes;
}

uint32_t vg_handle_root(struct vg_handles *h, uint32_t id)
{
	uint32_t owner;

	pthread_mutex_lock(&h->lock);
	while (is_bound(h, id) && (owner = atomic_load(&entry_of(h, id)->with[PART])))
		id = owner;
	pthread_mutex_unlock(&h->lock);
	return id;
}

bool vg_handle_get_owner(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint32_t *owner)
{
	struct entry *e = lookup(h, id, kind);

	if (e)
		*owner = atomic_load(&e->with[PART]);
	return e;
}

bool vg_handle_get_context(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint32_t *ctx)
{
	struct entry *e = lookup(h, id, kind);

	if (e)
		*ctx = atomic_load(&e->with[MADE_IN]);
	return e;
}

bool vg_handle_serial(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint64_t *serial)
{
	struct entry *e = lookup(h, id, kind);

	if (e)
		*serial = atomic_load(&e->serial);
	return e;
}

/* -- what it weighs */

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

bool vg_handle_weigh_at_least(struct vg_handles *h, uint32_t id, enum vg_kind kind,
			      uint64_t at_least)
{
	struct entry *e;
	bool ok;

	pthread_mutex_lock(&h->lock);
	e = lookup(h, id, kind);
	ok = e && (e->more >= at_least || vg_budget_take(more_of(kind), at_least - e->more));
	if (ok && e->more < at_least)
		e->more = at_least;
	pthread_mutex_unlock(&h->lock);
	return ok;
}

bool vg_handle_weigh_held(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint64_t more)
{
	struct entry *e;

	pthread_mutex_lock(&h->lock);
	e = lookup(h, id, kind);
	if (e)
		e->more += more;
	pthread_mutex_unlock(&h->lock);
	return e;
}

void vg_handle_lighten(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint64_t less)
{
	struct entry *e;

	pthread_mutex_lock(&h->lock);
	e = lookup(h, id, kind);
	if (e && less <= e->more) {
		e->more -= less;
		vg_budget_give(more_of(kind), less);
	}
	pthread_mutex_unlock(&h->lock);
}

uint64_t vg_handle_weight(struct vg_handles *h, uint32_t id)
{
	uint64_t sum;

	pthread_mutex_lock(&h->lock);
	sum = is_bound(h, id) ? weight_locked(h, entry_of(h, id)) : 0;
	pthread_mutex_unlock(&h->lock);
	return sum;
}
