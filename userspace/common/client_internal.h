/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the client share; see client.h for the interface. */
#ifndef VG_CLIENT_INTERNAL_H
#define VG_CLIENT_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "client.h"
#include "transport.h"

enum vg_client_state {
	VG_CLIENT_NEW,
	VG_CLIENT_UP,
	VG_CLIENT_FAILED,	/* never came up: error says why */
	VG_CLIENT_LOST,		/* the executor has gone */
	VG_CLIENT_FORKED,	/* this is a child: it has no channel */
};

struct vg_client {
	_Atomic int state;
	CUresult error;
	struct vg_transport t;
	struct vgpu_ring *ring;
	uint8_t *sq;
	struct vgpu_slot *slots;
	uint8_t *arena;

	/* The submission lock: tail, head, and the free slots. */
	pthread_mutex_t lock;
	pthread_cond_t slot_freed;
	uint64_t tail;			/* published */
	_Atomic uint64_t last_begin;	/* of the last record before that, and its padding */
	uint64_t head;			/* as last read */
	uint32_t free_slots[VGPU_SLOTS_MAX];
	uint32_t free_count;
	uint32_t waits;			/* places of calls that do nothing but wait */
	uint32_t waiters;		/* threads that wait for a place */
	uint32_t slot_done[VGPU_SLOTS_MAX];	/* answers taken from each slot */

	unsigned int spin_us;
	unsigned int long_spin_us;	/* of a call that blocks */
	_Atomic bool no_long_spin;
};

extern struct vg_client vg_client;

/* Sleep, within the transport, until *word differs from value; spin first. */
CUresult vg_client_sleep(const uint32_t *word, uint32_t value, uint32_t *parked,
			 unsigned int spin_us);

/* Where the executor has got to, in bytes of the submission ring. */
uint64_t vg_client_head(void);

/* Sleep until the executor has got to `head`. */
CUresult vg_client_wait_head(uint64_t head);

/* Whether there is so much in the ring that its end is worth sleeping for; the lock is held. */
bool vg_client_far_behind(struct vg_client *c);
/* Sleep while the executor has much to do before it gets to `end`. */
void vg_client_doze(uint64_t end);

CUresult vg_client_lost(int err);

void vg_arena_init(uint32_t bytes);

#endif /* VG_CLIENT_INTERNAL_H */
