/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vgpu_guest: objects, their life and their locks.
 *
 *   struct vgpu          a PCI device; freed when it has been removed and the
 *                        last open file and the last unreleased channel have
 *                        gone
 *   struct vgpu_channel  an open file; after close it stays until the host
 *                        says that no one can reach its memory any more, or
 *                        for ever if the host never does
 *   struct vgpu_mem      pages that the host may pin: a channel's own, or a
 *                        program's that it registered
 *
 * Lock order, outermost first:
 *
 *   channel->lock        set-up, regions
 *   vgpu->gone_lock      read: the device can be talked to; write: it leaves
 *   vgpu->table_lock     the channel table
 *   vgpu->admin_lock     one admin command at a time
 *
 * None of them is held while a program's pages are pinned, because a page fault
 * can take as long as a file system of its own wants, nor while memory is
 * allocated or freed.  vgpu->kept belongs to the device's lock (suspend, reset,
 * remove).
 */
#ifndef VGPU_GUEST_H
#define VGPU_GUEST_H

#include <linux/dma-mapping.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/mm_types.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/rwsem.h>
#include <linux/scatterlist.h>
#include <linux/spinlock.h>
#include <linux/vgpu.h>
#include <linux/vgpu_ring.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include "compat/compat.h"

/* Channels share vectors, so an interrupt counts for all of a vector's. */
struct vgpu_vector {
	atomic_t seen;			/* interrupts */
	wait_queue_head_t wq;
};

struct vgpu {
	struct kref ref;
	struct pci_dev *pdev;
	void __iomem *bar;
	int index;
	char name[16];
	struct miscdevice misc;

	struct rw_semaphore gone_lock;
	bool gone;			/* removed: for good */
	bool offline;			/* asleep, or about to be reset */

	struct mutex admin_lock;
	void *cmd;			/* one page, for admin commands */
	dma_addr_t cmd_dma;

	struct mutex table_lock;
	struct xarray channels;		/* by channel id */
	u32 undestroyed;		/* of these, closed and DESTROY failed */
	struct list_head kept;		/* dropped, but the host may reach them yet */

	u32 vectors;
	struct vgpu_vector vector[VGPU_VECTORS];
};

struct vgpu_account;			/* account.c: what a user has taken */

/* Pages, and their bus addresses as the host wants them. */
struct vgpu_mem {
	struct page **pages;
	unsigned long npages;
	bool user;			/* pinned from a program, else allocated */
	struct vgpu_account *account;	/* charged with npages */
	struct mm_struct *mm;		/* whose pinned_vm counts them, if user */
	struct sg_table sgt;
	bool mapped;
};

enum vgpu_channel_state {
	VGPU_CH_NONE,		/* open, not set up */
	VGPU_CH_STARTING,	/* the host is being told of it */
	VGPU_CH_LIVE,
	VGPU_CH_LOST,		/* the executor has gone */
	VGPU_CH_CLOSED,		/* closed, not yet released by the host */
};

struct vgpu_channel {
	struct kref ref;
	struct vgpu *vgpu;
	struct mutex lock;

	enum vgpu_channel_state state;	/* written under table_lock */
	u32 why;			/* VGPU_WHY_*, if it is LOST; written before state */
	struct mm_struct *mm;		/* whose channel it is */
	u32 id;
	u32 vector;
	u32 seen_before;		/* interrupts of the vector before set-up */
	bool undestroyed;		/* DESTROY failed; under table_lock */
	struct list_head node;		/* on its way out */
	struct vgpu_layout layout;
	u64 settings;			/* for the executor's driver */
	struct vgpu_mem *mem;
	struct xarray regions;		/* struct vgpu_mem by region id */

	atomic64_t doorbells;
	atomic64_t waits;
	atomic64_t pinned;		/* pages */
};

/* pci.c */
void vgpu_put(struct vgpu *vgpu);
bool vgpu_away(const struct vgpu *vgpu);	/* gone_lock held, or a hint */

/* account.c; lock: the pages are registered ones, not a channel's */
struct vgpu_account *vgpu_account_charge(unsigned long pages, bool lock);
void vgpu_account_uncharge(struct vgpu_account *account, unsigned long pages, bool lock);

/* reset.c; the device's lock held */
int vgpu_reset(struct vgpu *vgpu);
void vgpu_leave(struct vgpu *vgpu, bool for_good);
int vgpu_return(struct vgpu *vgpu);
int vgpu_check(struct vgpu *vgpu);

/* admin.c: registers and commands; gone_lock held for reading */
u32 vgpu_read(struct vgpu *vgpu, u32 reg);
void vgpu_write(struct vgpu *vgpu, u32 reg, u32 val);
int vgpu_admin_create(struct vgpu_channel *ch, struct vgpu_mem *mem);
int vgpu_admin_destroy(struct vgpu_channel *ch);
int vgpu_admin_map(struct vgpu_channel *ch, u32 region, u64 va, struct vgpu_mem *mem);
int vgpu_admin_unmap(struct vgpu_channel *ch, u32 region);

/* memory.c; the two with a vgpu need gone_lock, the others no lock */
struct vgpu_mem *vgpu_mem_alloc(unsigned long npages);
struct vgpu_mem *vgpu_mem_pin(unsigned long addr, unsigned long npages);
int vgpu_mem_dma_map(struct vgpu *vgpu, struct vgpu_mem *mem);
void vgpu_mem_dma_unmap(struct vgpu *vgpu, struct vgpu_mem *mem);
void vgpu_mem_free(struct vgpu_mem *mem);

/* channel.c */
struct vgpu_channel *vgpu_channel_open(struct vgpu *vgpu);
void vgpu_channel_close(struct vgpu_channel *ch);
int vgpu_channel_setup(struct vgpu_channel *ch, struct vgpu_setup *setup);
int vgpu_channel_wait(struct vgpu_channel *ch, struct vgpu_wait *wait);
int vgpu_channel_register(struct vgpu_channel *ch, struct vgpu_register *reg);
int vgpu_channel_unregister(struct vgpu_channel *ch, u32 region);
int vgpu_channel_usable(const struct vgpu_channel *ch);
void vgpu_channels_event(struct vgpu *vgpu, u32 event, struct list_head *out);
void vgpu_channels_put(struct list_head *out);	/* no lock */
void vgpu_channels_drop(struct vgpu *vgpu, bool let_go);
u32 vgpu_channel_seen(const struct vgpu_channel *ch);

/* irq.c */
int vgpu_irq_init(struct vgpu *vgpu);
void vgpu_irq_exit(struct vgpu *vgpu);

/* file.c: /dev/vgpuN */
extern const struct file_operations vgpu_fops;

#endif /* VGPU_GUEST_H */
