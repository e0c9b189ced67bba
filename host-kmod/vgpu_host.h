/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vgpu_host: objects, their life and their locks.
 *
 *   struct vgpu_parent   a device that offers vGPUs, and its types; also when
 *                        the device has gone, until the module goes
 *   struct vgpu_type     an mdev type of one parent
 *   struct vgpu          an mdev and its VFIO device; freed by the last
 *                        reference to vfio.device (VFIO's, the mediator's
 *                        descriptor's, a channel's)
 *   struct vgpu_channel  from the guest's CREATE to the later of its DESTROY
 *                        (or reset) and its executor's last descriptor;
 *                        holds a reference to its vgpu
 *   struct vgpu_mem      guest memory, pinned until its channel revokes it; the
 *                        struct stays while a mapping refers to it
 *
 * Lock order, outermost first.  Right of the arrow, locks of the kernel that
 * are taken with ours held.
 *
 *   (device_lock)        of a PCI device, in the notifier of its bus
 *   parents_lock         the list of parents                -> VFIO's, until VMs
 *                                                            have let go
 *   vgpu_host_lock       the list of vGPUs, the mediator's place
 *   vgpu->admin_lock     one slow thing at a time: admin commands, reset, and
 *                        whatever else pins, zaps or unpins guest memory
 *                                                         -> VFIO's iommu lock,
 *                                                            mmap_lock of QEMU
 *   (mmap_lock)          of an executor, on a page fault
 *   channel->map_lock    what may be mapped: region table, vgpu_mem.revoked
 *   vgpu->table_lock     channel table and states, what the mediator has been
 *                        told, configuration space (spin)
 *   vgpu->irq_lock       eventfds of interrupts, pending guest events (spin)
 *   channel->bell_lock   the doorbell's eventfd (spin)
 *
 * admin_lock is never taken in a page fault nor in any call of the mediator's,
 * because a guest can hold it for as long as its page lists take to pin; the
 * release of a channel's descriptor leaves the unpin to a work item for that
 * reason.  map_lock is never held over a pin.  A channel leaves the table under
 * both admin_lock and table_lock, so either keeps it there.
 * VFIO calls dma_unmap() with its list of devices locked, and that call takes
 * admin_lock; nothing of ours adds or removes a device with admin_lock held.
 */
#ifndef VGPU_HOST_H
#define VGPU_HOST_H

#include <linux/bitmap.h>
#include <linux/eventfd.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/llist.h>
#include <linux/mdev.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/uuid.h>
#include <linux/vfio.h>
#include <linux/vgpu_dev.h>
#include <linux/vgpu_host.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <vgpu/ioctl_table.h>

#include "compat/compat.h"
#include "config.h"

#define VGPU_MAX 64	/* vGPUs on one host */

/* The name of the parent that is no GPU, in the module's parameters. */
#define VGPU_VIRTUAL "virtual"

/* A device that offers vGPUs. */
struct vgpu_parent {
	struct list_head node;
	struct mdev_parent mdev;
	struct device *dev;		/* referenced; NULL once the device has gone */
	char name[24];			/* a PCI address, or VGPU_VIRTUAL */
	unsigned int type_count;
	struct vgpu_type *types;
	struct mdev_type **type_ptrs;
	u64 mem_bytes;			/* of its vGPUs together; under vgpu_host_lock */
};

struct vgpu_type {
	struct mdev_type mdev;
	struct vgpu_parent *parent;
	u64 mem_bytes;
	char pool[16];
	char name[32];
	char pretty[64];
};

/* A run of pinned guest memory, in pages. */
struct vgpu_run {
	dma_addr_t iova;
	u32 pages;
};

#define VGPU_BACKINGS 4	/* files that one piece of memory may come from */

struct vgpu_mem {
	struct kref ref;	/* the channel's table, and each mapping */
	atomic_t maps;		/* mappings; raised under map_lock */
	u64 bytes;
	u64 va;			/* in the guest process, 0 for channel memory */
	bool gup;		/* mapped so that get_user_pages() works */
	bool revoked;		/* under map_lock; set before the unpin */
	u32 npages;
	u32 nruns;
	struct page **pages;
	struct vgpu_run *runs;
	struct file *backing[VGPU_BACKINGS];	/* if gup: the files of the pages */
};

enum vgpu_channel_state {
	VGPU_CH_WAITING,	/* no executor yet */
	VGPU_CH_ATTACHED,	/* an executor has its descriptor */
	VGPU_CH_CLOSING,	/* the guest is done, the executor not yet */
	VGPU_CH_LOST,		/* the executor is done, the guest not yet */
	VGPU_CH_DEAD,		/* out of the table: reset, or VM gone */
};

struct vgpu_channel {
	struct kref ref;
	struct rcu_head rcu;
	struct vgpu *vgpu;
	u32 id;
	u32 vector;
	u64 cookie;
	u32 pid;
	u64 settings;			/* for the mediator */
	char comm[16];
	struct vgpu_layout layout;

	enum vgpu_channel_state state;	/* written under table_lock, as the next four */
	bool announced;			/* the mediator knows this state */
	struct list_head dying;		/* in vgpu->dying */
	struct file *file;		/* the descriptor that was attached */
	u32 why;			/* VGPU_WHY_*, for the guest */
	struct llist_node released;	/* in vgpu->released_channels */

	struct mutex map_lock;
	struct vgpu_mem *mem;		/* NULL once unpinned */
	struct xarray regions;		/* struct vgpu_mem by region id */
	struct address_space mapping;	/* of the descriptor, for zapping */

	spinlock_t bell_lock;
	struct eventfd_ctx *bell;	/* taken away when the descriptor is released */
	bool bell_pending;

	wait_queue_head_t wq;		/* pollers of the descriptor */
};

struct vgpu {
	struct vfio_device vfio;
	struct list_head node;		/* in vgpu_host's list */
	u32 id;
	guid_t uuid;
	struct vgpu_type *type;

	struct mutex admin_lock;
	u64 admin_addr;
	u32 admin_result;
	u64 next_cookie;

	spinlock_t table_lock;
	struct vgpu_config config;
	bool in_use;			/* a VM has it open */
	bool removed;
	struct xarray channels;		/* by id; loads also under RCU alone */
	struct list_head dying;		/* DEAD channels that an executor still holds */
	wait_queue_head_t idle_wq;	/* dying became empty */

	/* Channels whose descriptor was released, for release_work to detach. */
	struct llist_head released_channels;
	struct work_struct release_work;

	spinlock_t irq_lock;
	struct eventfd_ctx *msix[VGPU_VECTORS];
	struct eventfd_ctx *req;
	DECLARE_BITMAP(lost, VGPU_CHANNELS);
	DECLARE_BITMAP(released, VGPU_CHANNELS);
	u8 why[VGPU_CHANNELS];		/* of lost */

	/* The mediator's side; under vgpu_host_lock. */
	bool announced;
	struct file *mediator;		/* its descriptor of this vGPU */
	wait_queue_head_t wq;		/* pollers of that */

	atomic64_t traps;
	atomic64_t doorbells;
	atomic64_t interrupts;
	atomic64_t pinned_pages;
	atomic64_t bytes_read;		/* of guest memory, by this module itself */
};

/* main.c */
extern unsigned long vgpu_pin_limit_pages;	/* for one vGPU */
extern unsigned long vgpu_pin_total_pages;	/* for all of them */
extern struct mutex vgpu_host_lock;
extern struct list_head vgpu_host_list;

/* parent.c: the devices that offer vGPUs */
int vgpu_parents_start(struct mdev_driver *driver);
void vgpu_parents_stop(void);
void vgpu_parents_free(void);

/*
 * pools.c: is a device in a list of devices, or in a pool? 1, 0, or a negative errno:
 * EINVAL for a list that names something else, ENOMEM.
 */
int vgpu_devices_have(const char *list, const char *device);
int vgpu_pool_has(const char *pools, const char *pool, const char *device);
int vgpu_pools_check(const char *pools);

/* types.c */
int vgpu_types_parse(const char *spec);
void vgpu_types_free(void);
bool vgpu_types_have_pool(const char *pool);
int vgpu_types_for(struct vgpu_parent *parent, const char *pools);
void vgpu_types_drop(struct vgpu_parent *parent);
struct vgpu_type *vgpu_type_of(struct mdev_type *mdev);
ssize_t vgpu_type_description(struct mdev_type *mdev, char *buf);

/* device.c: the VFIO device */
extern const struct vfio_device_ops vgpu_vfio_ops;
int vgpu_region_info(struct vfio_region_info *info);

static inline struct vgpu *to_vgpu(struct vfio_device *vfio)
{
	return container_of(vfio, struct vgpu, vfio);
}

static inline void vgpu_get(struct vgpu *vgpu)
{
	get_device(&vgpu->vfio.device);
}

static inline void vgpu_put(struct vgpu *vgpu)
{
	put_device(&vgpu->vfio.device);
}

/* reset.c; waits at most so many jiffies */
int vgpu_reset(struct vgpu *vgpu, long wait);	/* takes admin_lock */
bool vgpu_resetting(struct vgpu *vgpu);

/* bar.c: the registers of BAR0 */
u32 vgpu_bar_read(struct vgpu *vgpu, u32 off);
void vgpu_bar_write(struct vgpu *vgpu, u32 off, u32 val);

/* admin.c: the guest's commands; admin_lock held; 0 or a positive errno */
u32 vgpu_admin_run(struct vgpu *vgpu, u64 addr, u32 bytes);

/* pages.c: pinned guest memory; admin_lock held */
int vgpu_guest_read(struct vgpu *vgpu, u64 addr, void *to, size_t bytes);
struct vgpu_mem *vgpu_mem_pin(struct vgpu *vgpu, u64 list, u64 bytes, u64 va);
void vgpu_mem_unpin(struct vgpu *vgpu, struct vgpu_mem *mem);	/* drops a reference */
void vgpu_mem_put(struct vgpu_mem *mem);	/* no lock */
bool vgpu_mem_overlaps(const struct vgpu_mem *mem, u64 iova, u64 bytes);
int vgpu_list_check(const struct vgpu_adm_list *list, u64 *bytes_left);

/* backing.c; in a thread of the VMM */
bool vgpu_backing_hold(struct vgpu_mem *mem);
void vgpu_backing_release(struct vgpu_mem *mem);	/* no lock */

/* channel.c: life of a channel; admin_lock held */
int vgpu_channel_create(struct vgpu *vgpu, const struct vgpu_adm_create *cmd);
int vgpu_channel_destroy(struct vgpu *vgpu, u32 id);
int vgpu_channel_map(struct vgpu *vgpu, const struct vgpu_adm_map *cmd);
int vgpu_channel_unmap(struct vgpu *vgpu, u32 id, u32 region);
void vgpu_channels_drop(struct vgpu *vgpu);
void vgpu_channels_dma_unmap(struct vgpu *vgpu, u64 iova, u64 bytes);
void vgpu_channel_detach(struct vgpu_channel *ch);	/* drops a reference */

/* channel.c: no lock of the vGPU held; these take table_lock at most */
void vgpu_channels_init(struct vgpu *vgpu);
int vgpu_channel_attach(struct vgpu_channel *ch, struct file *file);
int vgpu_channel_refuse(struct vgpu_channel *ch, u32 why);
void vgpu_channel_release(struct vgpu_channel *ch);	/* takes over a reference */
void vgpu_channel_doorbell(struct vgpu *vgpu, u32 id);
void vgpu_channel_put(struct vgpu_channel *ch);
bool vgpu_channel_dead(const struct vgpu_channel *ch);
struct vgpu_mem *vgpu_channel_mem(struct vgpu_channel *ch, u64 slot);	/* map_lock held */
struct vgpu_channel *vgpu_channel_get(struct vgpu *vgpu, u32 id, u64 cookie);
bool vgpu_channels_untold(struct vgpu *vgpu);
bool vgpu_channels_event(struct vgpu *vgpu, struct vgpu_host_event *event);
void vgpu_channels_told(struct vgpu *vgpu, const struct vgpu_host_event *event);
void vgpu_channels_unannounce(struct vgpu *vgpu);
int vgpu_channels_start(void);
void vgpu_channels_stop(void);

/* channel_fd.c: the executor's descriptor */
int vgpu_channel_fd(struct vgpu_channel *ch, struct vgpu_opening *opening);
#define VGPU_MMAP_SLOT_SHIFT 32	/* mmap offset: channel memory, then each region */

/* irq.c */
int vgpu_irq_info(struct vfio_irq_info *info);
int vgpu_irq_set(struct vgpu *vgpu, const struct vfio_irq_set *set, const void *data);
void vgpu_irq_release(struct vgpu *vgpu);
void vgpu_irq_raise(struct vgpu *vgpu, u32 vector);
void vgpu_irq_request(struct vgpu *vgpu);
void vgpu_event_post(struct vgpu *vgpu, u32 channel, u32 kind, u32 why);
u32 vgpu_event_take(struct vgpu *vgpu);
void vgpu_events_clear(struct vgpu *vgpu);

/* mediator.c: /dev/vgpu-host and the mediator's descriptor of a vGPU */
int vgpu_mediator_init(void);
void vgpu_mediator_exit(void);
void vgpu_mediator_wake(void);
bool vgpu_mediator_serves(struct vgpu *vgpu);

#endif /* VGPU_HOST_H */
