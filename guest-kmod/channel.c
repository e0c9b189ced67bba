// SPDX-License-Identifier: GPL-2.0
/*
 * A channel's life in the guest.
 *
 * Whatever the host may reach (the channel's pages, the pages that a program
 * registered) is given back only once the host has said RELEASED, or that it has
 * nothing of the channel, or that a reset is done: until then a device may still
 * write there.  A host that says nothing of the kind leaves them unused for ever.
 * Pages count as the host's from the command that names them (CREATE, MAP), unless
 * its answer is one of the errors with which the host keeps nothing.
 */
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <vgpu/layout.h>

#include "vgpu_guest.h"

struct vgpu_channel *vgpu_channel_open(struct vgpu *vgpu)
{
	struct vgpu_channel *ch = kzalloc(sizeof(*ch), GFP_KERNEL_ACCOUNT);

	if (!ch)
		return NULL;
	kref_init(&ch->ref);
	kref_get(&vgpu->ref);
	ch->vgpu = vgpu;
	mutex_init(&ch->lock);
	INIT_LIST_HEAD(&ch->node);
	xa_init_flags(&ch->regions, XA_FLAGS_ALLOC);
	return ch;
}

static void channel_free(struct kref *ref)
{
	struct vgpu_channel *ch = container_of(ref, struct vgpu_channel, ref);
	struct vgpu *vgpu = ch->vgpu;
	struct vgpu_mem *region;
	unsigned long i;

	xa_for_each(&ch->regions, i, region)
		vgpu_mem_free(region);
	xa_destroy(&ch->regions);
	if (ch->mem)
		vgpu_mem_free(ch->mem);
	if (ch->mm)
		mmdrop(ch->mm);
	mutex_destroy(&ch->lock);
	kfree(ch);
	vgpu_put(vgpu);
}

static void channel_put(struct vgpu_channel *ch)
{
	kref_put(&ch->ref, channel_free);
}

static void channel_set_state(struct vgpu_channel *ch, enum vgpu_channel_state state)
{
	lockdep_assert_held(&ch->vgpu->table_lock);

	/* Pairs with the load in vgpu_channel_usable(): mm, mem and why come first. */
	smp_store_release(&ch->state, state);
	wake_up_all(&ch->vgpu->vector[ch->vector].wq);
}

/*
 * Out of the table, into a list of those that the host has let go of or is about
 * to.  The table's reference goes with it.
 */
static void channel_erase(struct vgpu_channel *ch, struct list_head *out)
{
	struct vgpu *vgpu = ch->vgpu;

	lockdep_assert_held(&vgpu->table_lock);

	if (ch->undestroyed)
		vgpu->undestroyed--;
	xa_erase(&vgpu->channels, ch->id);
	list_add_tail(&ch->node, out);
}

/* The device is to know no addresses of it any more; gone_lock, or offline. */
static void channel_dma_unmap(struct vgpu_channel *ch)
{
	struct vgpu_mem *region;
	unsigned long i;

	xa_for_each(&ch->regions, i, region)
		vgpu_mem_dma_unmap(ch->vgpu, region);
	if (ch->mem)
		vgpu_mem_dma_unmap(ch->vgpu, ch->mem);
}

/* Those that the host has let go of.  No lock, as there may be much to free. */
void vgpu_channels_put(struct list_head *list)
{
	struct vgpu_channel *ch, *next;

	list_for_each_entry_safe(ch, next, list, node) {
		list_del_init(&ch->node);
		channel_put(ch);
	}
}

bool vgpu_away(const struct vgpu *vgpu)
{
	return READ_ONCE(vgpu->gone) || READ_ONCE(vgpu->offline);
}

/* The errors of vgpu.h for what the host may say. */
static int refusal(u32 why)
{
	switch (why) {
	case VGPU_WHY_DRAINED:
		return -ESHUTDOWN;
	case VGPU_WHY_QUARANTINED:
		return -EKEYREVOKED;
	case VGPU_WHY_LIMIT:
		return -EUSERS;
	default:
		return -EPIPE;
	}
}

/*
 * May the caller use this channel now?  lock held, or the answer is a hint
 * (the device checks for itself).
 */
int vgpu_channel_usable(const struct vgpu_channel *ch)
{
	if (READ_ONCE(ch->vgpu->gone))
		return -ENODEV;
	switch (smp_load_acquire(&ch->state)) {
	case VGPU_CH_NONE:
	case VGPU_CH_STARTING:
		return -ENXIO;
	case VGPU_CH_LIVE:
		return current->mm == ch->mm ? 0 : -EPERM;
	case VGPU_CH_LOST:
		return refusal(ch->why);
	default:
		return -EPIPE;
	}
}

/*
 * Did a CREATE or MAP leave nothing with the host?  It did not if the host refused
 * it with one of the errors of vgpu_dev.h, or if the driver never sent it (ENOMEM).
 * Any other answer (a register that reads as ones, a number that no command has)
 * says nothing about the pages.
 */
static bool host_has_nothing(int ret)
{
	switch (ret) {
	case -EINVAL:
	case -E2BIG:
	case -EOPNOTSUPP:
	case -EEXIST:
	case -ENOENT:
	case -EFAULT:
	case -ENOSPC:
	case -ENOMEM:
	case -EINTR:
		return true;
	default:
		return false;
	}
}

/* The error of a program whose command got such an answer. */
static int unclear(const struct vgpu_channel *ch, const char *op, int ret)
{
	if (ch->vgpu->pdev)
		dev_warn_ratelimited(&ch->vgpu->pdev->dev,
				     "%s of channel %u got no clear answer (%d): its pages stay until the host lets go of the channel\n",
				     op, ch->id, ret);
	return ret == -ENODEV ? ret : -EIO;
}

static void ring_init(struct page *page)
{
	struct vgpu_ring *ring = kmap_local_page(page);

	ring->magic = VGPU_RING_MAGIC;
	kunmap_local(ring);
}

/*
 * Tell the host that a closed channel is done with.  Without a clear answer the
 * pages and the id stay as they are, because the host may still have them, and
 * it is asked again later.
 */
static void channel_destroy(struct vgpu_channel *ch, struct list_head *out)
{
	struct vgpu *vgpu = ch->vgpu;
	int ret;

	lockdep_assert_held(&vgpu->table_lock);

	ret = vgpu_admin_destroy(ch);
	if (!ret || ret == -ENOENT) {
		channel_erase(ch, out);
		return;
	}
	if (ret == -EINPROGRESS) {	/* RELEASED will come, and erases it then */
		if (ch->undestroyed)
			vgpu->undestroyed--;
		ch->undestroyed = false;
		return;
	}
	if (!ch->undestroyed) {
		vgpu->undestroyed++;
		if (vgpu->pdev)
			dev_warn_ratelimited(&vgpu->pdev->dev,
					     "DESTROY of channel %u failed (%d): its pages stay until it succeeds\n",
					     ch->id, ret);
	}
	ch->undestroyed = true;
}

static void channels_destroy_again(struct vgpu *vgpu, struct list_head *out)
{
	struct vgpu_channel *ch;
	unsigned long i;

	lockdep_assert_held(&vgpu->table_lock);

	if (!vgpu->undestroyed)
		return;
	xa_for_each(&vgpu->channels, i, ch)
		if (ch->undestroyed)
			channel_destroy(ch, out);
}

/* What is on the list has been let go of; gone_lock held until it is unmapped. */
static void channels_dma_unmap(struct list_head *list)
{
	struct vgpu_channel *ch;

	list_for_each_entry(ch, list, node)
		channel_dma_unmap(ch);
}

/*
 * The channel gets an id and a vector, and the host learns of it.  If the host may
 * have its pages in spite of an error, it stays in the table as LOST, and the close
 * of its file says DESTROY.
 */
static int channel_publish(struct vgpu_channel *ch, struct list_head *out)
{
	struct vgpu *vgpu = ch->vgpu;
	int ret;

	mutex_lock(&vgpu->table_lock);
	channels_destroy_again(vgpu, out);
	ret = xa_alloc(&vgpu->channels, &ch->id, ch, XA_LIMIT(0, VGPU_CHANNELS - 1), GFP_KERNEL);
	if (ret) {
		mutex_unlock(&vgpu->table_lock);
		return ret == -EBUSY ? -ENOSPC : ret;
	}
	kref_get(&ch->ref);
	ch->vector = 1 + ch->id % (vgpu->vectors - 1);
	ch->seen_before = atomic_read(&vgpu->vector[ch->vector].seen);
	channel_set_state(ch, VGPU_CH_STARTING);
	mutex_unlock(&vgpu->table_lock);

	/* The host pins meanwhile, which others need not wait for. */
	ret = vgpu_admin_create(ch, ch->mem);

	mutex_lock(&vgpu->table_lock);
	if (ret && host_has_nothing(ret)) {
		xa_erase(&vgpu->channels, ch->id);
		channel_set_state(ch, VGPU_CH_NONE);
	} else if (ret) {
		channel_set_state(ch, VGPU_CH_LOST);
	} else if (ch->state == VGPU_CH_STARTING) {	/* or lost already */
		channel_set_state(ch, VGPU_CH_LIVE);
	}
	mutex_unlock(&vgpu->table_lock);
	if (ret && !host_has_nothing(ret))
		return unclear(ch, "CREATE", ret);
	if (ret)
		channel_put(ch);	/* the caller has another */
	return ret;
}

/* gone_lock and the channel's lock held.  ch->mem says whether the channel took `mem`. */
static int channel_start(struct vgpu_channel *ch, const struct vgpu_setup *setup,
			 struct vgpu_mem *mem, struct list_head *out)
{
	struct vgpu *vgpu = ch->vgpu;
	int ret;

	if (vgpu_away(vgpu))
		return -ENODEV;
	if (ch->state != VGPU_CH_NONE)
		return -EBUSY;
	ret = vgpu_mem_dma_map(vgpu, mem);
	if (ret)
		return ret;
	ch->layout = setup->out_layout;
	ch->settings = setup->settings;
	ch->mem = mem;
	ch->mm = current->mm;
	mmgrab(ch->mm);
	ret = channel_publish(ch, out);
	if (ret && ch->state == VGPU_CH_NONE) {
		mmdrop(ch->mm);
		ch->mm = NULL;
		ch->mem = NULL;
		vgpu_mem_dma_unmap(vgpu, mem);
	}
	return ret;
}

int vgpu_channel_setup(struct vgpu_channel *ch, struct vgpu_setup *setup)
{
	struct vgpu *vgpu = ch->vgpu;
	struct vgpu_mem *mem;
	LIST_HEAD(out);
	int ret;

	ret = vgpu_layout_make(setup->sq_bytes, setup->slot_count, setup->arena_bytes,
			       &setup->out_layout);
	if (ret)
		return ret;
	if (smp_load_acquire(&ch->state) != VGPU_CH_NONE)
		return -EBUSY;
	mem = vgpu_mem_alloc(setup->out_layout.total_bytes >> PAGE_SHIFT);
	if (IS_ERR(mem))
		return PTR_ERR(mem);
	ring_init(mem->pages[0]);

	ret = -EINTR;
	if (mutex_lock_killable(&ch->lock))
		goto free;
	down_read(&vgpu->gone_lock);
	ret = channel_start(ch, setup, mem, &out);
	if (ch->mem == mem)
		mem = NULL;
	setup->out_channel = ch->id;
	channels_dma_unmap(&out);
	up_read(&vgpu->gone_lock);
	mutex_unlock(&ch->lock);
	vgpu_channels_put(&out);
free:
	if (mem)
		vgpu_mem_free(mem);
	return ret;
}

/* The file has been closed, perhaps by the death of its process. */
void vgpu_channel_close(struct vgpu_channel *ch)
{
	struct vgpu *vgpu = ch->vgpu;
	LIST_HEAD(out);

	down_read(&vgpu->gone_lock);
	mutex_lock(&vgpu->table_lock);
	/* After a reset it is not in the table, and its id may be another's. */
	if (!vgpu_away(vgpu) && ch->state != VGPU_CH_NONE &&
	    xa_load(&vgpu->channels, ch->id) == ch) {
		channels_destroy_again(vgpu, &out);
		channel_set_state(ch, VGPU_CH_CLOSED);
		channel_destroy(ch, &out);
	}
	mutex_unlock(&vgpu->table_lock);
	channels_dma_unmap(&out);
	up_read(&vgpu->gone_lock);
	vgpu_channels_put(&out);
	channel_put(ch);
}

/* Interrupts since set-up.  The others of the vector's channels count as well. */
u32 vgpu_channel_seen(const struct vgpu_channel *ch)
{
	return atomic_read(&ch->vgpu->vector[ch->vector].seen) - ch->seen_before;
}

int vgpu_channel_wait(struct vgpu_channel *ch, struct vgpu_wait *wait)
{
	long timeout = MAX_SCHEDULE_TIMEOUT;
	bool done;
	int ret;

	if (wait->timeout_ns)
		timeout = min_t(u64, nsecs_to_jiffies64(wait->timeout_ns) + 1,
				MAX_SCHEDULE_TIMEOUT - 1);
	ret = vgpu_channel_usable(ch);
	if (ret)
		return ret;

	if (vgpu_channel_seen(ch) == wait->seen) {
		atomic64_inc(&ch->waits);
		timeout = wait_event_interruptible_timeout(ch->vgpu->vector[ch->vector].wq,
				(done = vgpu_channel_seen(ch) != wait->seen) ||
					vgpu_channel_usable(ch),
				timeout);
		if (timeout < 0)
			return -EINTR;
		if (!done) {
			ret = vgpu_channel_usable(ch);
			return ret ? ret : -ETIMEDOUT;
		}
	}
	wait->out_seen = vgpu_channel_seen(ch);
	return 0;
}

/* gone_lock and the channel's lock held.  `*mem` becomes NULL if the channel takes it. */
static int channel_map(struct vgpu_channel *ch, u64 va, struct vgpu_mem **mem, u32 *region)
{
	struct vgpu *vgpu = ch->vgpu;
	int ret;

	ret = vgpu_channel_usable(ch);
	if (ret)
		return ret;
	ret = vgpu_mem_dma_map(vgpu, *mem);
	if (ret)
		return ret;
	ret = xa_alloc(&ch->regions, region, *mem, XA_LIMIT(0, VGPU_REGIONS - 1), GFP_KERNEL);
	if (ret) {
		ret = ret == -EBUSY ? -ENOSPC : ret;
		goto unmap;
	}
	ret = vgpu_admin_map(ch, *region, va, *mem);
	if (ret && host_has_nothing(ret))
		goto erase;
	/* If the host may have the pages in spite of an error, they go with the channel. */
	atomic64_add((*mem)->npages, &ch->pinned);
	*mem = NULL;
	return ret ? unclear(ch, "MAP", ret) : 0;

erase:
	xa_erase(&ch->regions, *region);
unmap:
	vgpu_mem_dma_unmap(vgpu, *mem);
	return ret;
}

int vgpu_channel_register(struct vgpu_channel *ch, struct vgpu_register *reg)
{
	struct vgpu *vgpu = ch->vgpu;
	struct vgpu_mem *mem;
	int ret;

	if (!reg->bytes || reg->bytes > VGPU_REGION_BYTES_MAX || !PAGE_ALIGNED(reg->bytes) ||
	    !PAGE_ALIGNED(reg->addr) || reg->addr + reg->bytes < reg->addr ||
	    reg->addr + reg->bytes > TASK_SIZE)
		return -EINVAL;

	ret = vgpu_channel_usable(ch);
	if (ret)
		return ret;
	mem = vgpu_mem_pin(reg->addr, reg->bytes >> PAGE_SHIFT);
	if (IS_ERR(mem))
		return PTR_ERR(mem);

	ret = -EINTR;
	if (mutex_lock_killable(&ch->lock))
		goto free;
	down_read(&vgpu->gone_lock);
	ret = channel_map(ch, reg->addr, &mem, &reg->out_region);
	up_read(&vgpu->gone_lock);
	mutex_unlock(&ch->lock);
free:
	if (mem)
		vgpu_mem_free(mem);
	return ret;
}

int vgpu_channel_unregister(struct vgpu_channel *ch, u32 region)
{
	struct vgpu *vgpu = ch->vgpu;
	struct vgpu_mem *mem = NULL;
	int ret;

	if (mutex_lock_killable(&ch->lock))
		return -EINTR;
	down_read(&vgpu->gone_lock);
	ret = vgpu_channel_usable(ch);
	if (ret)
		goto unlock;
	mem = region < VGPU_REGIONS ? xa_load(&ch->regions, region) : NULL;
	if (!mem) {
		ret = -EINVAL;
		goto unlock;
	}
	ret = vgpu_admin_unmap(ch, region);
	if (ret)
		goto unlock;
	xa_erase(&ch->regions, region);
	atomic64_sub(mem->npages, &ch->pinned);
	vgpu_mem_dma_unmap(vgpu, mem);
unlock:
	up_read(&vgpu->gone_lock);
	mutex_unlock(&ch->lock);
	if (!ret)
		vgpu_mem_free(mem);
	return ret;
}

/*
 * An event of VGPU_REG_EVENT; nothing in it is taken on trust.  Channels that the
 * host has let go of are added to `out`, to be put once gone_lock is released.
 */
void vgpu_channels_event(struct vgpu *vgpu, u32 event, struct list_head *out)
{
	struct vgpu_channel *ch;

	lockdep_assert_held(&vgpu->gone_lock);

	mutex_lock(&vgpu->table_lock);
	ch = xa_load(&vgpu->channels, VGPU_EVENT_CHANNEL(event));
	if (!ch)
		goto unlock;
	if (VGPU_EVENT_KIND(event) == VGPU_EVENT_LOST &&
	    (ch->state == VGPU_CH_LIVE || ch->state == VGPU_CH_STARTING)) {
		ch->why = VGPU_EVENT_WHY(event);
		channel_set_state(ch, VGPU_CH_LOST);
	} else if (VGPU_EVENT_KIND(event) == VGPU_EVENT_RELEASED && ch->state == VGPU_CH_CLOSED) {
		channel_erase(ch, out);
	}
unlock:
	mutex_unlock(&vgpu->table_lock);
	channels_dma_unmap(out);
}

/*
 * The device has been told to reset, and no one talks to it now (gone or
 * offline).  Programs find their channels lost.  let_go: no device reaches any
 * channel's memory, so what belongs to no open file is freed, also of earlier
 * resets; otherwise all of it is kept.
 */
void vgpu_channels_drop(struct vgpu *vgpu, bool let_go)
{
	struct vgpu_channel *ch;
	unsigned long i, pages = 0;
	u32 count = 0;

	mutex_lock(&vgpu->table_lock);
	xa_for_each(&vgpu->channels, i, ch) {
		if (ch->state != VGPU_CH_CLOSED)
			channel_set_state(ch, VGPU_CH_LOST);
		channel_erase(ch, &vgpu->kept);
	}
	mutex_unlock(&vgpu->table_lock);
	channels_dma_unmap(&vgpu->kept);
	if (let_go) {
		vgpu_channels_put(&vgpu->kept);
		return;
	}
	list_for_each_entry(ch, &vgpu->kept, node) {
		pages += ch->mem->npages + atomic64_read(&ch->pinned);
		count++;
	}
	if (count && vgpu->pdev)
		dev_err(&vgpu->pdev->dev,
			"the host has not let go of %u channels: their %lu MiB stay unused\n",
			count, pages >> (20 - PAGE_SHIFT));
}
