/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The account page of a vGPU: a memfd that the mediator and the vGPU's
 * executors map.  Each executor writes its own entry only; the mediator reads
 * all, says whose an entry is, and clears it when its executor has gone.  What an executor holds
 * of the vGPU's memory is thus never lost track of, however it dies.
 *
 * An executor that a guest has taken over can lie about its own vGPU's use
 * and no other's: pages are not shared between vGPUs.
 */
#ifndef VG_ACCOUNT_H
#define VG_ACCOUNT_H

#include <stdatomic.h>
#include <stdint.h>

#define VG_DEVICE_PIECE	(2ull << 20)	/* in such pieces a driver takes memory from the device */
#define VG_ACCOUNT_ENTRIES 256	/* guest processes of one vGPU at a time */

struct vg_account_entry {
	_Atomic uint64_t memory;	/* device memory that counts against the limit, bytes */
	_Atomic uint64_t calls;		/* records processed */
	_Atomic uint64_t bytes_in;	/* to the device */
	_Atomic uint64_t bytes_out;	/* from the device */
	_Atomic uint64_t faults;	/* malformed records, sticky CUDA errors */
	_Atomic uint64_t parks;		/* times the executor went to sleep */
	_Atomic uint64_t pid;		/* as the guest says; by the mediator */
	_Atomic uint64_t devices;	/* a bit for each on which it has a context */
	/* Of the bytes above, those between the device and the program's own memory. */
	_Atomic uint64_t direct_in, direct_out;
	/* When its program went, by CLOCK_MONOTONIC, us; 0: it is there. By the mediator. */
	_Atomic uint64_t gone_us;
	_Atomic uint64_t contexts;	/* device memory of its contexts themselves, bytes */
	_Atomic uint64_t memory_peak;	/* the most that `memory` has been, bytes */
	_Atomic uint64_t memory_refused;	/* times that device memory was refused */
	_Atomic uint64_t turn;		/* VG_TURN_…, what it does on the GPU now */
	_Atomic uint64_t device_ns;	/* of device time, as far as it was told apart */
};

/* A program is stopped because its vGPU has no turn; the device has work of it. */
#define VG_TURN_WANTS	1u
#define VG_TURN_BUSY	2u

/* A rate, and what of it is used up (executor/bucket.c). */
enum vg_bucket { VG_BUCKET_CALLS, VG_BUCKET_BYTES, VG_BUCKETS };

struct vg_account_bucket {
	_Atomic uint64_t rate;		/* in a second; 0: no limit; by the mediator */
	_Atomic uint64_t burst;		/* that may come at once; by the mediator */
	_Atomic uint32_t change;	/* counts changes of the two; by the mediator */
	uint32_t reserved0;
	uint64_t reserved[5];
	_Alignas(64) _Atomic uint64_t earned_ns;	/* CLOCK_MONOTONIC; by executors */
	uint64_t reserved1[7];
};

/* What a process has waited for its vGPU's buckets: how often, and how long. */
struct vg_account_waits {
	_Atomic uint64_t waits[VG_BUCKETS];
	_Atomic uint64_t waited_us[VG_BUCKETS];
};

#define VG_ENDS_LAUNCH_TIMEOUT	702u	/* CUDA_ERROR_LAUNCH_TIMEOUT */

/* The launch that the device is at (executor/progress.c). */
struct vg_account_launch {
	_Atomic uint64_t since_us;	/* the longest; CLOCK_MONOTONIC; 0: none, or no limit */
	/* What its program is to be told when the executor ends, a CUresult; by the mediator. */
	_Atomic uint32_t ends_with;
	uint32_t reserved;
};

struct vg_account {
	_Atomic uint64_t limit;		/* device memory of the vGPU; by the mediator */
	/* Of processes that have freed it or ended while others hold it; by the mediator. */
	_Atomic uint64_t orphaned;
	_Atomic uint64_t context_limit;	/* device memory of all contexts; by the mediator */
	_Atomic uint64_t kernel_ms;	/* that one launch may take; 0: no limit; by the mediator */
	char name[40];			/* of the vGPU, for logs; by the mediator */
	/* Turns on the GPU (executor/turn.c, mediator/turns.c); by the mediator. */
	_Atomic uint64_t turn_until;	/* CLOCK_MONOTONIC, ns */
	_Atomic uint32_t turns;		/* 0: nobody needs one */
	_Atomic uint32_t turn_seq;	/* a futex: the vGPU has been given a turn */
	_Atomic uint32_t turn_others;	/* other vGPUs want the GPU, too */
	_Atomic uint32_t entries;	/* behind these none was ever used; by the mediator */
	uint64_t reserved[4];
	struct vg_account_entry entry[VG_ACCOUNT_ENTRIES];
	_Alignas(64) struct vg_account_bucket bucket[VG_BUCKETS];
	struct vg_account_waits waits[VG_ACCOUNT_ENTRIES];
	struct vg_account_launch launch[VG_ACCOUNT_ENTRIES];
};

/* How many entries there are to look at. */
static inline unsigned int vg_account_entries(const struct vg_account *a)
{
	uint32_t n = atomic_load_explicit(&a->entries, memory_order_relaxed);

	return n < VG_ACCOUNT_ENTRIES ? n : VG_ACCOUNT_ENTRIES;
}

_Static_assert(sizeof(struct vg_account_entry) == 128, "one entry, two cache lines");
_Static_assert(sizeof(struct vg_account_bucket) == 128,
	       "what all executors read is in another cache line than what they write");

#endif /* VG_ACCOUNT_H */
