/* SPDX-License-Identifier: Apache-2.0 */
/* The buffers that copies are staged through; stage.c has them, stage_flow.c uses them. */
#ifndef VG_STAGE_INTERNAL_H
#define VG_STAGE_INTERNAL_H

#include <pthread.h>

#include "shim.h"

#define VG_BUFFER_MAX (2u << 20)
#define VG_BUFFERS_IN 4
/*
 * On the way out the device writes where CPUs have just read.  With 8 MiB of buffers the
 * lines are still in the caches of several CPUs, and it comes to 21 GB/s; with 20 MiB, 50.
 */
#define VG_BUFFERS 10

struct vg_buffer {
	uint8_t *p;
	CUevent event;		/* recorded after the last copy that names it, if busy */
	bool busy;
	bool taken;		/* by a thread; it alone looks at the others */
};

/* Of one context, for events belong to one. */
struct vg_stage {
	pthread_mutex_t lock;	/* `taken` of all, and `count` */
	pthread_cond_t given;
	void *memory[2];	/* of the first buffers, and of the others */
	size_t bytes;		/* of each buffer */
	struct vg_buffer buffer[VG_BUFFERS];
	unsigned int count;	/* of those that there are */
	unsigned int next;
};

/* The current context's, or NULL where memory cannot be shared. */
struct vg_stage *vg_stage_get(void);

/*
 * Up to `most` buffers, as many as are free but at least one, for which it waits; those
 * first that were used longest ago.  Returns how many.
 */
unsigned int vg_stage_take(struct vg_stage *s, unsigned int most, struct vg_buffer **out);
void vg_stage_give(struct vg_stage *s, struct vg_buffer *const *buffer, unsigned int count);

/* The device has to read or write it still: whoever looks at it next waits for that. */
CUresult vg_buffer_mark(struct vg_buffer *b, CUstream stream);
/* Wait until the device has done with it. */
CUresult vg_buffer_settle(struct vg_buffer *b);
/* It has already. */
bool vg_buffer_settled(struct vg_buffer *b);

#endif /* VG_STAGE_INTERNAL_H */
