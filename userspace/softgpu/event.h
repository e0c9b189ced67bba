/* SPDX-License-Identifier: Apache-2.0 */
/* How far an event is, which may be known in several processes. */
#ifndef SG_EVENT_H
#define SG_EVENT_H

#include "api.h"

/* `fd`: the file of an event of another process; -1 for a new one.  NULL: no memory. */
CUevent sg_event_new(CUcontext ctx, unsigned int flags, int fd);
void sg_event_put(CUevent e);

/* Counts of records.  All with e->ctx->lock held. */
uint64_t sg_event_record(CUevent e);		/* one more: its number */
uint64_t sg_event_recorded(CUevent e);
bool sg_event_done(CUevent e, uint64_t count);
void sg_event_complete(CUevent e, uint64_t count);
void sg_event_await(CUevent e, uint64_t count);	/* lets the lock go meanwhile */

#endif
