/* SPDX-License-Identifier: Apache-2.0 */
/* Page-locked memory for copies in graphs, which is kept for the next; graph_spare.c. */
#ifndef VG_GRAPH_SPARE_H
#define VG_GRAPH_SPARE_H

#include "shim.h"

struct vg_spare {
	void *p;
	size_t bytes;			/* at least those asked for */
	/* private to graph_spare.c */
	struct vg_spare *next;
	struct home *home;
};

/* In the current context. */
CUresult vg_spare_take(size_t bytes, struct vg_spare **s);
/* The device is done with it.  Makes no call, so a destructor may. */
void vg_spare_give(struct vg_spare *s);

#endif /* VG_GRAPH_SPARE_H */
