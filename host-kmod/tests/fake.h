/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest for the suites: FAKE_PAGES pages of memory at bus address 0, which
 * the module reads and pins through vfio_dma_rw() and friends by other names.
 */
#ifndef VGPU_FAKE_H
#define VGPU_FAKE_H

#include <kunit/test.h>
#include <linux/completion.h>

#include "vgpu_host.h"

#define FAKE_PAGES 256
#define FAKE_LIST PAGE_SIZE	/* where suites put a list */

struct fake {
	struct vgpu vgpu;
	struct vgpu_type type;
	struct page *pages[FAKE_PAGES];
	int pins[FAKE_PAGES];
	int fail_in;		/* pin calls until one fails; 0 = never */
	void (*pinning)(void);	/* called at each pin */
	int unmap_result;	/* of a thread of a case's own, with the next */
	struct completion done;
	int eventfd_gets;	/* references to eventfds taken, and dropped */
	int eventfd_puts;
};

int fake_init(struct kunit *test);
void fake_exit(struct kunit *test);

/* Guest memory at a bus address below FAKE_PAGES pages, within one page. */
void *fake_mem(struct fake *f, u64 addr);

/* Pins that are held now, over all pages. */
int fake_pinned(struct fake *f);

/* Pages that all vGPUs have pinned, as pages.c counts them. */
s64 fake_pinned_total(void);

/* A list at `list`, of one-page runs from `addr` on, with a gap between each. */
void fake_list(struct fake *f, u64 list, u64 addr, u32 pages);

/* A channel of id 7 in the table; its list lies at FAKE_LIST. */
int fake_channel(struct kunit *test);

/*
 * Stand in for eventfd_ctx_fdget() and eventfd_ctx_put(), since no suite has an
 * eventfd: descriptors below FAKE_EVENTFDS are some, others are EBADF.
 */
#define FAKE_EVENTFDS 100
struct eventfd_ctx *fake_eventfd_get(int fd);
void fake_eventfd_put(struct eventfd_ctx *ctx);

/* admin_lock, around a case (init and exit may run in other threads). */
struct fake *fake_lock(struct kunit *test);
void fake_unlock(struct kunit *test);

extern struct kunit_suite config_suite, types_suite, pages_suite, admin_suite, channel_suite,
	irq_suite, failures_suite, fuzz_suite;

#endif /* VGPU_FAKE_H */
