/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest-minted handle ids to the driver's own handles.
 *
 * An id is chosen by the guest (a small integer, never 0), so that creating an
 * object needs no answer.  The table is private to the executor: an id is only
 * ever looked up, with the kind that the call expects, never followed.
 */
#ifndef VG_HANDLES_H
#define VG_HANDLES_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda_abi.h"

enum vg_kind {
	VG_NONE = 0,
	VG_CONTEXT,
	VG_MODULE,
	VG_FUNCTION,
	VG_STREAM,
	VG_EVENT,
	VG_LIBRARY,
	VG_KERNEL,
	VG_MEMPOOL,
	VG_GRAPH,
	VG_GRAPH_NODE,
	VG_GRAPH_EXEC,
	VG_ARRAY,
	VG_MIPMAP,
	VG_TEXREF,
	VG_SURFREF,
	VG_MEM_ALLOC,		/* CUmemGenericAllocationHandle */
	VG_LINK_STATE,
	VG_USER_OBJECT,
	VG_GREEN_CTX,
	VG_EXTERNAL_MEMORY,
	VG_EXTERNAL_SEMAPHORE,
	VG_TEXOBJECT,
	VG_SURFOBJECT,
	VG_RESERVED,		/* of what is being made: no call finds it */
	VG_KIND_COUNT,
};

/* What CUDA answers if none is given where one of this kind is asked for. */
static inline CUresult vg_no_handle(enum vg_kind kind)
{
	switch (kind) {
	case VG_CONTEXT:
	case VG_GREEN_CTX:
		return CUDA_ERROR_INVALID_CONTEXT;
	case VG_GRAPH:
	case VG_GRAPH_NODE:
	case VG_GRAPH_EXEC:
	case VG_USER_OBJECT:
	case VG_MEMPOOL:
		return CUDA_ERROR_INVALID_VALUE;
	default:
		return CUDA_ERROR_INVALID_HANDLE;
	}
}

/*
 * What CUDA answers if a handle, which is one, leads to nothing of this kind.  Some kinds it looks
 * up.  The others it follows, and of those that it knows by their context it finds none that lives.
 */
static inline CUresult vg_wrong_handle(enum vg_kind kind)
{
	switch (kind) {
	case VG_CONTEXT:
	case VG_GREEN_CTX:
	case VG_STREAM:
	case VG_EVENT:
		return CUDA_ERROR_CONTEXT_IS_DESTROYED;
	case VG_TEXREF:
		return CUDA_ERROR_INVALID_CONTEXT;
	case VG_GRAPH:
	case VG_GRAPH_NODE:
	case VG_GRAPH_EXEC:
	case VG_MEMPOOL:
	case VG_MEM_ALLOC:
	case VG_ARRAY:
	case VG_MIPMAP:
	case VG_SURFREF:
		return CUDA_ERROR_INVALID_VALUE;
	default:
		return CUDA_ERROR_INVALID_HANDLE;
	}
}

#define VG_HANDLE_BITS	22
#define VG_HANDLE_MAX	(1u << VG_HANDLE_BITS)	/* ids are below this */

/*
 * Ids of the upper half the executor chooses, when the guest asks for what it has not made by
 * name.  They are used again, so it tells them with the number of their life above the id's
 * bits, by which the guest knows that an object of an earlier life has gone.  It comes again
 * after 1024 lives; the executor itself never goes by it (vg_handle_serial()).
 */
#define VG_TOLD(id, life)	((id) | (life) << VG_HANDLE_BITS)
#define VG_TOLD_ID(told)	((told) & (VG_HANDLE_MAX - 1))
#define VG_TOLD_LIFE(told)	((told) >> VG_HANDLE_BITS)

struct vg_handles;

/*
 * An id is bound in two steps, so that nothing is made that then cannot be counted or found:
 * before the driver makes an object its id is reserved, with all that the object takes of the
 * budget (budget.h); afterwards the id leads to the object, or is given up.
 *
 * `owner` is the id of the object of which it is a part, `ctx` that of the context in which it
 * is made (the primary one, if that is a green context); 0: of none.  It goes with both, so
 * both have to be bound.  `more` is what it takes beyond what each of its kind does, in bytes.
 */
enum vg_reserved {
	VG_RESERVED_OK,
	VG_RESERVED_NOT,	/* the id is out of range or in use */
	VG_RESERVED_ALONE,	/* there is no such owner, or no such context */
	VG_RESERVED_FULL,	/* the budget is used up */
};

/*
 * *serial, never 0, tells this reservation from all others: if what owns it goes meanwhile, so
 * does the id, and another may have reserved it again.
 */
enum vg_reserved vg_handle_reserve(struct vg_handles *h, uint32_t id, enum vg_kind kind,
				   uint32_t owner, uint32_t ctx, uint64_t more, uint64_t *serial);
/* Both of this reservation only.  False: it has gone. */
bool vg_handle_bind(struct vg_handles *h, uint32_t id, uint64_t serial, enum vg_kind kind,
		    uint64_t value);
void vg_handle_give_up(struct vg_handles *h, uint32_t id, uint64_t serial);

/* Both steps at once, for what has neither owner nor context; false as vg_handle_reserve(). */
bool vg_handle_put(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint64_t value);

/* The driver handle of id, into *value.  False if there is none of this kind. */
bool vg_handle_get(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint64_t *value);

/*
 * As vg_handle_get(), and the id is free again, once nothing is left that goes with it: see
 * vg_handle_orphan().
 */
bool vg_handle_take(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint64_t *value);

/*
 * What the driver may have destroyed or not, so that nobody may use it again: the id leads
 * nowhere, as one that is reserved, and goes on to count, with its parts, until what it goes with
 * goes.  Its parts' ids are taken by vg_handle_orphan(), as after vg_handle_take().
 */
bool vg_handle_lose(struct vg_handles *h, uint32_t id, enum vg_kind kind);

/* What goes when another goes. */
struct vg_orphan {
	uint32_t id;
	enum vg_kind kind;
	uint64_t value;
};

/*
 * Take one of the ids that go with `gone`, or with one of these, and so on; false if there is
 * none left.  All calls together take as long as there are such ids.
 */
bool vg_handle_orphan(struct vg_handles *h, uint32_t gone, struct vg_orphan *out);

/* The lowest id that leads to this driver handle; false if none does. */
bool vg_handle_id_of(struct vg_handles *h, enum vg_kind kind, uint64_t value, uint32_t *id);

/* False also if there is no such owner, or if the id owns that itself. */
bool vg_handle_set_owner(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint32_t owner);
/* Whether `id` is `of` or owns it, by however many steps; `of` 0: no. */
bool vg_handle_owns(struct vg_handles *h, uint32_t id, uint32_t of);
/* What owns it and has no owner, by however many steps; the id itself if that has none. */
uint32_t vg_handle_root(struct vg_handles *h, uint32_t id);
bool vg_handle_get_owner(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint32_t *owner);
bool vg_handle_get_context(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint32_t *ctx);

/*
 * What it takes beyond what each of its kind does, until the id is free again, in bytes:
 * take more of the budget, or as much as there is `at_least`; false: there is none left.
 * _held(): that much of VG_BUDGET_OBJECTS has been taken already.  _lighten(): give back.
 */
bool vg_handle_weigh(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint64_t more);
bool vg_handle_weigh_at_least(struct vg_handles *h, uint32_t id, enum vg_kind kind,
			      uint64_t at_least);
bool vg_handle_weigh_held(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint64_t more);
void vg_handle_lighten(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint64_t less);

/*
 * What a copy of the object would take: what it takes beyond others of its kind, and what its
 * parts take, and theirs.  0 if nothing is bound to the id.
 */
uint64_t vg_handle_weight(struct vg_handles *h, uint32_t id);

/* Which reservation the id is bound by: tells whether it still is what it was. */
bool vg_handle_serial(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint64_t *serial);

#endif /* VG_HANDLES_H */
