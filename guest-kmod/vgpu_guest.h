/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vgpu_guest: objects, their life and their locks.
 *
 *   struct vgpu          a PCI device; freed when it has been removed and the
 *                        last open file and the last unreleased channel have
 *                        gone
 *   struct vgpu_channel  an open file; after close it stays until the host
 *                        says that no one can reach its memory any more
 *   struct vgpu_mem      pages that the host may pin: a channel's own, or a
 *                        program's that it registered
 *
 * Lock order, outermost first:
 *
 *   channel->lock        set-up, regions
 *   vgpu->gone_lock      read: the device can be talked to; write: it leaves
 *   vgpu->table_lock     the channel table
 *   vgpu->admin_lock     one admin command at a time
 *   vgpu->vector[].lock  the channels of a vector (spin, irq)
 *
 * A program's mmap_lock is taken inside channel->lock (to pin its pages), so
 * mmap() takes no lock of ours.
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

struct vgpu_vector {
	spinlock_t lock;
	struct list_head channels;
};

struct vgpu {
	struct kref ref;
	struct pci_dev *pdev;
	void __iomem *bar;
	int index;
	char name[16];
	struct miscdevice misc;

	struct rw_semaphore gone_lock;
	bool gone;

	struct mutex admin_lock;
	void *cmd;			/* one page, for admin commands */
	dma_addr_t cmd_dma;

	struct mutex table_lock;
	struct xarray channels;		/* by channel id */

	u32 vectors;
	struct vgpu_vector vector[VGPU_VECTORS];

	atomic_long_t pinned;		/* pages registered by programs */
};

/* Pages, and their bus addresses as the host wants them. */
struct vgpu_mem {
	struct page **pages;
	unsigned long npages;
	bool user;			/* pinned from a program, else allocated */
	struct mm_struct *mm;		/* whose pinned_vm counts them, if user */
	struct sg_table sgt;
	bool mapped;
};

enum vgpu_channel_state {
	VGPU_CH_NONE,		/* open, not set up */
	VGPU_CH_LIVE,
	VGPU_CH_LOST,		/* the executor has gone */
	VGPU_CH_CLOSED,		/* closed, not yet released by the host */
};

struct vgpu_channel {
	struct kref ref;
	struct vgpu *vgpu;
	struct mutex lock;

	enum vgpu_channel_state state;	/* written under table_lock */
	struct mm_struct *mm;		/* whose channel it is */
	u32 id;
	u32 vector;
	struct list_head vector_node;
	struct vgpu_layout layout;
	struct vgpu_mem *mem;
	struct xarray regions;		/* struct vgpu_mem by region id */

	atomic_t seen;			/* interrupts since set-up */
	wait_queue_head_t wq;

	atomic64_t doorbells;
	atomic64_t waits;
	atomic64_t pinned;		/* pages */
};

/* pci.c */
void vgpu_put(struct vgpu *vgpu);
extern unsigned long vgpu_pin_limit_pages;

/* admin.c: registers and commands; gone_lock held for reading */
u32 vgpu_read(struct vgpu *vgpu, u32 reg);
void vgpu_write(struct vgpu *vgpu, u32 reg, u32 val);
int vgpu_admin_create(struct vgpu_channel *ch, struct vgpu_mem *mem);
int vgpu_admin_destroy(struct vgpu_channel *ch);
int vgpu_admin_map(struct vgpu_channel *ch, u32 region, u64 va, struct vgpu_mem *mem);
int vgpu_admin_unmap(struct vgpu_channel *ch, u32 region);

/* memory.c */
struct vgpu_mem *vgpu_mem_alloc(struct vgpu *vgpu, unsigned long npages);
struct vgpu_mem *vgpu_mem_pin(struct vgpu *vgpu, unsigned long addr, unsigned long npages);
void vgpu_mem_dma_unmap(struct vgpu *vgpu, struct vgpu_mem *mem);
void vgpu_mem_free(struct vgpu *vgpu, struct vgpu_mem *mem);

/* channel.c */
struct vgpu_channel *vgpu_channel_open(struct vgpu *vgpu);
void vgpu_channel_close(struct vgpu_channel *ch);
int vgpu_channel_setup(struct vgpu_channel *ch, struct vgpu_setup *setup);
int vgpu_channel_wait(struct vgpu_channel *ch, struct vgpu_wait *wait);
int vgpu_channel_register(struct vgpu_channel *ch, struct vgpu_register *reg);
int vgpu_channel_unregister(struct vgpu_channel *ch, u32 region);
int vgpu_channel_usable(struct vgpu_channel *ch);
void vgpu_channels_event(struct vgpu *vgpu, u32 event);
void vgpu_channels_gone(struct vgpu *vgpu);

/* irq.c */
int vgpu_irq_init(struct vgpu *vgpu);
void vgpu_irq_exit(struct vgpu *vgpu);

/* file.c: /dev/vgpuN */
extern const struct file_operations vgpu_fops;

#endif /* VGPU_GUEST_H */
