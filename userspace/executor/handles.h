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
	VG_KIND_COUNT,
};

#define VG_HANDLE_MAX	(4u << 20)	/* ids are below this */

struct vg_handles;

/*
 * Bind id to a driver handle.  False if the id is out of range or in use, or the budget
 * for objects is used up (budget.h).
 */
bool vg_handle_put(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint64_t value);

/* The driver handle of id, into *value.  False if there is none of this kind. */
bool vg_handle_get(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint64_t *value);

/* As vg_handle_get(), and the id is free again. */
bool vg_handle_take(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint64_t *value);

/*
 * The ids with which it goes, both 0 until set: that of the object of which it is a part, and
 * that of the context in which it was made (the primary one, if that was a green context).
 */
bool vg_handle_set_owner(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint32_t owner);
bool vg_handle_get_owner(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint32_t *owner);
bool vg_handle_set_context(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint32_t ctx);
bool vg_handle_get_context(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint32_t *ctx);

/* Take more of the budget for it, until the id is free again; false: there is none left. */
bool vg_handle_weigh(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint64_t more);

/* How often the id has been bound: tells whether it still is what it was. */
bool vg_handle_serial(struct vg_handles *h, uint32_t id, enum vg_kind kind, uint32_t *serial);

#endif /* VG_HANDLES_H */
