// SPDX-License-Identifier: Apache-2.0
/*
 * Calls under way.  A call that may block runs on a thread of its own while the ring goes
 * on, so a later record could destroy what it works with.  Before such a call leaves the
 * ring's thread it says here which ids it names; a record that destroys one of them waits.
 * What an id does not lead to yet cannot be named with all that it goes with, so a call that
 * names such an id is refused: a later record may bind it before the call looks it up.
 *
 * CUDA does not guard a graph against use by two threads, so a call under way that works
 * with graphs has all of them for itself.
 *
 * A read looks whether its stream is under capture and then gives the driver the address of
 * a buffer.  If a capture began in between, the graph would keep that address.  So a record
 * that brings a stream under capture waits until no read works in that stream.
 *
 * Calls begin, and records wait, only on the thread that has the role (role.c): both see
 * all that was begun before.  So beginning is a few stores into a place of the thread's own,
 * and no lock.  Launches and copies do not look here at all.
 */
#include <string.h>
#include <time.h>

#include "calls.h"
#include "exec_internal.h"

/* The caller's context and its home; for each of three ids at most three owners and contexts. */
#define NAMES_MAX	24u
#define NAP_MIN_NS	20000L
#define NAP_MAX_NS	500000L

/* One for each thread, for as long as the process lives. */
struct underway {
	struct underway *next;
	bool known;			/* it is in the list */
	_Atomic bool active;
	bool graphs, reads;
	unsigned int count;
	uint32_t id[NAMES_MAX];
};

static _Atomic(struct underway *) all;
static __thread struct underway mine;

static void name(struct underway *u, uint32_t id)
{
	if (id && u->count < NAMES_MAX)
		u->id[u->count++] = id;
}

/* None, or one of the streams that every context has: nobody destroys these. */
static bool is_special(uint32_t id, enum vg_kind kind)
{
	return !id || (kind == VG_STREAM && id == 1);
}

/* The kind that an id leads to where the call wants `kind`; VG_NONE: it leads to no such one. */
static enum vg_kind kind_of(struct vg_exec *x, uint32_t id, enum vg_kind kind)
{
	uint64_t v;

	if (vg_handle_get(x->handles, id, kind, &v))
		return kind;
	if (kind == VG_FUNCTION && vg_handle_get(x->handles, id, VG_KERNEL, &v))
		return VG_KERNEL;
	return VG_NONE;
}

/* What an id stands for goes with its context, with its owner, and with the owner's owner. */
static void name_object(struct vg_exec *x, struct underway *u, uint32_t id, enum vg_kind kind)
{
	uint32_t ctx, owner;

	while (u->count < NAMES_MAX && kind < VG_KIND_COUNT &&
	       vg_handle_get_context(x->handles, id, kind, &ctx) &&
	       vg_handle_get_owner(x->handles, id, kind, &owner)) {
		name(u, id);
		name(u, ctx);
		if (!owner)
			break;
		id = owner;
		for (kind = VG_NONE + 1; kind < VG_KIND_COUNT; kind++)
			if (vg_handle_get_owner(x->handles, id, kind, &owner))
				break;
	}
}

static void name_context(struct underway *u, uint32_t ctx)
{
	uint32_t home = ctx ? vg_x_home(ctx) : 0;

	name(u, ctx);
	if (home != ctx)
		name(u, home);
}

CUresult vg_underway_begin(struct vg_exec *x, const struct vg_op *op, struct vg_req *rq)
{
	struct underway *u = &mine;

	/* A call that needs no context has none then, and not one that comes later. */
	if (rq->ctx && kind_of(x, rq->ctx, VG_CONTEXT) == VG_NONE) {
		if (op->needs_ctx)
			return vg_wrong_handle(VG_CONTEXT);
		rq->ctx = 0;
	}
	if (op->graphs)
		vg_exec_settle_graphs(x);
	u->count = 0;
	u->graphs = op->graphs;
	u->reads = op->reads;
	name_context(u, rq->ctx);
	for (const struct vg_name *n = op->names; n && n->kind; n++) {
		enum vg_kind kind;
		uint32_t id;

		memcpy(&id, (const uint8_t *)rq->payload + n->at, sizeof(id));
		if (is_special(id, n->kind))
			continue;
		kind = kind_of(x, id, n->kind);
		if (kind == VG_NONE)
			return vg_wrong_handle(n->kind);
		if (kind == VG_CONTEXT)
			name_context(u, id);
		else
			name_object(x, u, id, kind);
	}
	if (!u->known) {
		u->known = true;
		u->next = atomic_load(&all);
		atomic_store(&all, u);
	}
	atomic_store_explicit(&u->active, true, memory_order_release);
	return CUDA_SUCCESS;
}

void vg_underway_end(void)
{
	atomic_store_explicit(&mine.active, false, memory_order_release);
}

static bool is_active(const struct underway *u)
{
	return atomic_load_explicit(&u->active, memory_order_acquire);
}

static bool names(const struct underway *u, uint32_t id)
{
	for (unsigned int i = 0; i < u->count; i++)
		if (u->id[i] == id)
			return true;
	return false;
}

static bool uses(const struct underway *u, uint32_t id)
{
	return is_active(u) && names(u, id);
}

static bool uses_graphs(const struct underway *u, uint32_t id)
{
	(void)id;
	return is_active(u) && u->graphs;
}

static bool reads_in(const struct underway *u, uint32_t stream)
{
	return is_active(u) && u->reads && names(u, stream);
}

static void settle(bool (*busy)(const struct underway *u, uint32_t id), uint32_t id)
{
	for (const struct underway *u = atomic_load(&all); u; u = u->next) {
		struct timespec nap = { .tv_nsec = NAP_MIN_NS };

		while (u != &mine && busy(u, id)) {
			nanosleep(&nap, NULL);
			if (nap.tv_nsec < NAP_MAX_NS)
				nap.tv_nsec *= 2;
		}
	}
}

void vg_exec_settle(struct vg_exec *x, uint32_t id)
{
	if (!id)
		return;
	settle(uses, id);
	vg_turn_before_end(x, id);
}

void vg_exec_settle_graphs(struct vg_exec *x)
{
	(void)x;
	settle(uses_graphs, 0);
}

void vg_exec_settle_reads(struct vg_exec *x, uint32_t stream)
{
	(void)x;
	settle(reads_in, stream);
	/* What is recorded later would be a part of the capture. */
	vg_turn_before_capture();
}
