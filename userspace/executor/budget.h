/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host memory that a guest can make its executor and the driver in it hold: how much of
 * each kind, and of all together.  A call that would exceed a limit returns
 * CUDA_ERROR_OUT_OF_MEMORY.  docs/operations.md has the same numbers.
 */
#ifndef VG_BUDGET_H
#define VG_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

enum vg_budget {
	VG_BUDGET_BLOBS,	/* what is sent ahead of calls: images, above all */
	VG_BUDGET_OBJECTS,	/* what ids stand for, graphs' nodes, ranges of virtual memory */
	VG_BUDGET_IMAGES,	/* of modules, libraries and links; logs and results of links */
	VG_BUDGET_CALLBACKS,	/* host functions that wait in streams */
	VG_BUDGETS,
};

/*
 * One image may have 512 MiB, and threads load several at a time.  The images of a
 * framework with its libraries have some gigabytes together.
 */
#define VG_BLOBS_MAX		(2ull << 30)
#define VG_OBJECTS_MAX		(1ull << 30)
#define VG_IMAGES_MAX		(8ull << 30)
#define VG_CALLBACKS_MAX	(16ull << 20)
#define VG_HOST_MAX		(10ull << 30)	/* all of these together */

/*
 * What the driver holds for one object, as far as can be told from outside: rounded up from
 * what softgpu and NVIDIA's driver grow by.
 */
#define VG_CONTEXT_BYTES	(16u << 20)
#define VG_MODULE_BYTES		(64u << 10)	/* beside its image */
#define VG_STREAM_BYTES		(64u << 10)
#define VG_NODE_BYTES		1024u		/* in a graph, and again in each clone or execution */
#define VG_EDGE_BYTES		64u		/* between two nodes */
#define VG_OBJECT_BYTES		512u		/* any other, also a conditional handle */
#define VG_RANGE_BYTES		1024u		/* of virtual memory: reserved, or mapped */
#define VG_CALLBACK_BYTES	1024u

/* What kernels print and the guest does not fetch, of each output (output.c). */
#define VG_OUTPUT_MAX		(64ull << 20)

bool vg_budget_take(enum vg_budget kind, uint64_t bytes);
/* Beyond the limit if need be, for what is there already; nothing more can be had then. */
void vg_budget_owe(enum vg_budget kind, uint64_t bytes);
void vg_budget_give(enum vg_budget kind, uint64_t bytes);
uint64_t vg_budget_held(enum vg_budget kind);

#endif /* VG_BUDGET_H */
