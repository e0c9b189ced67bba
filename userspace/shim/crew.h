/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A few threads that share work on large pieces of memory; crew.c.  Work is cut into
 * chunks, which are taken in order by whoever is awake.  Its owner says how many may be
 * done so far, and does some itself:
 *
 *	vg_crew_begin(&job, bytes);
 *	vg_crew_allow(&job, n);			as often as it likes
 *	while (vg_crew_help(&job))
 *		;
 *	vg_crew_end(&job);			all that were allowed have been done
 *
 * There is one crew.  While it works for another, or where the work is too little to be
 * shared, the owner is alone and help() does it all: nobody waits for another's job, which
 * may itself wait for the device.
 */
#ifndef VG_CREW_H
#define VG_CREW_H

#include <stdbool.h>
#include <stddef.h>

struct vg_crew_job {
	void (*run)(struct vg_crew_job *job, unsigned int chunk);
	/* crew.c's */
	bool alone;
	unsigned int allowed, taken;	/* the latter if alone */
};

/* Of one job; a piece of memory of 8 GiB in chunks of VG_CREW_CHUNK. */
#define VG_CREW_CHUNKS_MAX 65535u
#define VG_CREW_CHUNK ((size_t)128 << 10)

/* `bytes` is how much work it is in all; run is set. */
void vg_crew_begin(struct vg_crew_job *job, size_t bytes);
void vg_crew_allow(struct vg_crew_job *job, unsigned int chunks);
/* Do one chunk; false if all that are allowed have been taken. */
bool vg_crew_help(struct vg_crew_job *job);
void vg_crew_end(struct vg_crew_job *job);

/* Past the caches: for memory that is not looked at soon. */
void vg_copy_past_caches(void *to, const void *from, size_t bytes);

/* Have pages allocated for fresh memory, whole pages of it, before something pins them. */
void vg_crew_touch(void *p, size_t bytes);

#endif /* VG_CREW_H */
