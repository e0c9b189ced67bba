/* SPDX-License-Identifier: Apache-2.0 */
/* Work on memory that is too much for one thread; crew.c. */
#ifndef VG_CREW_H
#define VG_CREW_H

#include <stddef.h>

/* Copy, past the caches where it is so much that they would hold little of it. */
void vg_crew_copy(void *to, const void *from, size_t bytes);

/* Have pages allocated for fresh memory, whole pages of it, before something pins them. */
void vg_crew_touch(void *p, size_t bytes);

#endif /* VG_CREW_H */
