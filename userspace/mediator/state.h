/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the operator has set while the mediator ran, kept in a file over a restart of it and of the
 * host, by the vGPU's UUID ("local" for the programs of the socket).  It stays when the vGPU goes,
 * because a vGPU that is made again at the next start of the host has the same UUID.
 *
 * Each change writes a new file beside the old one, syncs it and puts it in its place.  The loop
 * waits for that, because the operator is to be told when it is kept.
 */
#ifndef VG_STATE_H
#define VG_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "quota.h"

#define VG_STATE_DEFAULT "/var/lib/vgpu/state.json"

/* Read the file.  0 (also where there is none), or a negative errno: it is not valid. */
int vg_state_open(void);
/* "local", or a UUID in small letters. */
bool vg_state_is_name(const char *name);
bool vg_state_value(const char *name, enum vg_quota q, uint64_t *value);	/* false: not set */
/*
 * Set some values, NULL for those that are to be as if they had not been.  False, and `why` says
 * it: nothing has changed.  `kept` is whether it will be there after a restart.
 */
bool vg_state_set(const char *name, const char *const text[VG_QUOTAS],
		  const bool change[VG_QUOTAS], bool *kept, char *why, size_t size);
bool vg_state_has(const char *name);	/* whether anything is kept of it */
/*
 * Who is in quarantine (quarantine.c): a vGPU, or a user of a socket, as
 * "local:UID" or "NAME:UID".  _put() returns 0, or a negative errno:
 * it counts, and is not kept.  _end(): 0, -ENOENT, or another negative errno: nothing has changed.
 */
struct vg_quarantine {
	uint64_t since_ms;		/* UTC */
	char why[96];
};

bool vg_state_quarantine(const char *name, struct vg_quarantine *q);	/* q may be NULL */
int vg_state_quarantine_put(const char *name, uint64_t since_ms, const char *why);
int vg_state_quarantine_end(const char *name);
/* Call for each of which something is kept; `q` is NULL if it is not in quarantine. */
void vg_state_each(void (*each)(const char *name, const struct vg_quarantine *q, void *arg), void *arg);

#endif /* VG_STATE_H */
