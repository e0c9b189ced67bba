// SPDX-License-Identifier: GPL-2.0
/*
 * A channel's life in the guest.
 *
 * Whatever the host may reach (the channel's pages, the pages that a program
 * registered) is given back only once the host has said RELEASED, or has been
 * reset, or has gone: until then a device may still write there.
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
	INIT_LIST_HEAD(&ch->vector_node);
	xa_init_flags(&ch->regions, XA_FLAGS_ALLOC);
	init_waitqueue_head(&ch->wq);
	return ch;
}

static void channel_free(struct kref *ref)
{
	struct vgpu_channel *ch = container_of(ref, struct vgpu_channel, ref);
	struct vgpu *vgpu = ch->vgpu;
	struct vgpu_mem *region;
	unsigned long i;

	xa_for_each(&ch->regions, i, region)
		vgpu_mem_free(vgpu, region);
	xa_destroy(&ch->regions);
	if (ch->mem)
		vgpu_mem_free(vgpu, ch->mem);
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

	/* Pairs with the load in vgpu_channel_usable(): mm and mem come first. */
	smp_store_release(&ch->state, state);
	wake_up_all(&ch->wq);
}

/* Out of the table, whose reference goes with it. */
static void channel_erase(struct vgpu_channel *ch)
{
	struct vgpu *vgpu = ch->vgpu;

	lockdep_assert_held(&vgpu->table_lock);

	spin_lock_irq(&vgpu->vector[ch->vector].lock);
	list_del_init(&ch->vector_node);
	spin_unlock_irq(&vgpu->vector[ch->vector].lock);
	xa_erase(&vgpu->channels, ch->id);
	channel_put(ch);
}

/*
 * May the caller use this channel now?  lock held, or the answer is a hint
 * (the device checks for itself).
 */
int vgpu_channel_usable(struct vgpu_channel *ch)
{
	if (READ_ONCE(ch->vgpu->gone))
		return -ENODEV;
	switch (smp_load_acquire(&ch->state)) {
	case VGPU_CH_NONE:
		return -ENXIO;
	case VGPU_CH_LIVE:
		return current->mm == ch->mm ? 0 : -EPERM;
	default:
		return -EPIPE;
	}
}

static void ring_init(struct page *page)
{
	struct vgpu_ring *ring = kmap_local_page(page);

	ring->magic = VGPU_RING_MAGIC;
	kunmap_local(ring);
}

/* The channel gets an id and a vector, and the host learns of it. */
static int channel_publish(struct vgpu_channel *ch)
{
	struct vgpu *vgpu = ch->vgpu;
	int ret;

	mutex_lock(&vgpu->table_lock);
	ret = xa_alloc(&vgpu->channels, &ch->id, ch, XA_LIMIT(0, VGPU_CHANNELS - 1), GFP_KERNEL);
	if (ret) {
		ret = ret == -EBUSY ? -ENOSPC : ret;
		goto unlock;
	}
	kref_get(&ch->ref);
	ch->vector = 1 + ch->id % (vgpu->vectors - 1);
	spin_lock_irq(&vgpu->vector[ch->vector].lock);
	list_add(&ch->vector_node, &vgpu->vector[ch->vector].channels);
	spin_unlock_irq(&vgpu->vector[ch->vector].lock);

	ret = vgpu_admin_create(ch, ch->mem);
	if (ret)
		channel_erase(ch);
	else
		channel_set_state(ch, VGPU_CH_LIVE);
unlock:
	mutex_unlock(&vgpu->table_lock);
	return ret;
}

int vgpu_channel_setup(struct vgpu_channel *ch, struct vgpu_setup *setup)
{
	struct vgpu *vgpu = ch->vgpu;
	int ret;

	ret = vgpu_layout_make(setup->sq_bytes, setup->slot_count, setup->arena_bytes,
			       &setup->out_layout);
	if (ret)
		return ret;

	mutex_lock(&ch->lock);
	down_read(&vgpu->gone_lock);
	if (vgpu->gone) {
		ret = -ENODEV;
		goto unlock;
	}
	if (ch->state != VGPU_CH_NONE) {
		ret = -EBUSY;
		goto unlock;
	}
	ch->layout = setup->out_layout;
	ch->mem = vgpu_mem_alloc(vgpu, ch->layout.total_bytes >> PAGE_SHIFT);
	if (IS_ERR(ch->mem)) {
		ret = PTR_ERR(ch->mem);
		ch->mem = NULL;
		goto unlock;
	}
	ring_init(ch->mem->pages[0]);
	ch->mm = current->mm;
	mmgrab(ch->mm);

	ret = channel_publish(ch);
	if (ret) {
		mmdrop(ch->mm);
		ch->mm = NULL;
		vgpu_mem_free(vgpu, ch->mem);
		ch->mem = NULL;
	}
	setup->out_channel = ch->id;
unlock:
	up_read(&vgpu->gone_lock);
	mutex_unlock(&ch->lock);
	return ret;
}

/* The file has been closed, perhaps by the death of its process. */
void vgpu_channel_close(struct vgpu_channel *ch)
{
	struct vgpu *vgpu = ch->vgpu;
	int ret;

	down_read(&vgpu->gone_lock);
	mutex_lock(&vgpu->table_lock);
	if (!vgpu->gone && ch->state != VGPU_CH_NONE) {
		channel_set_state(ch, VGPU_CH_CLOSED);
		ret = vgpu_admin_destroy(ch);
		/* In progress: RELEASED will come, and erases it then. */
		if (ret != -EINPROGRESS)
			channel_erase(ch);
	}
	mutex_unlock(&vgpu->table_lock);
	up_read(&vgpu->gone_lock);
	channel_put(ch);
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

	if (atomic_read(&ch->seen) == wait->seen) {
		atomic64_inc(&ch->waits);
		timeout = wait_event_interruptible_timeout(ch->wq,
				(done = atomic_read(&ch->seen) != wait->seen) ||
					vgpu_channel_usable(ch),
				timeout);
		if (timeout < 0)
			return -EINTR;
		if (!done) {
			ret = vgpu_channel_usable(ch);
			return ret ? ret : -ETIMEDOUT;
		}
	}
	wait->out_seen = atomic_read(&ch->seen);
	return 0;
}

int vgpu_channel_register(struct vgpu_channel *ch, struct vgpu_register *reg)
{
	struct vgpu *vgpu = ch->vgpu;
	struct vgpu_mem *mem;
	u32 id;
	int ret;

	if (!reg->bytes || reg->bytes > VGPU_REGION_BYTES_MAX || !PAGE_ALIGNED(reg->bytes) ||
	    !PAGE_ALIGNED(reg->addr) || reg->addr + reg->bytes < reg->addr ||
	    reg->addr + reg->bytes > TASK_SIZE)
		return -EINVAL;

	mutex_lock(&ch->lock);
	down_read(&vgpu->gone_lock);
	ret = vgpu_channel_usable(ch);
	if (ret)
		goto unlock;
	mem = vgpu_mem_pin(vgpu, reg->addr, reg->bytes >> PAGE_SHIFT);
	if (IS_ERR(mem)) {
		ret = PTR_ERR(mem);
		goto unlock;
	}
	ret = xa_alloc(&ch->regions, &id, mem, XA_LIMIT(0, VGPU_REGIONS - 1), GFP_KERNEL);
	if (ret) {
		ret = ret == -EBUSY ? -ENOSPC : ret;
		goto unpin;
	}
	ret = vgpu_admin_map(ch, id, reg->addr, mem);
	if (ret)
		goto erase;
	atomic64_add(mem->npages, &ch->pinned);
	reg->out_region = id;
	goto unlock;

erase:
	xa_erase(&ch->regions, id);
unpin:
	vgpu_mem_free(vgpu, mem);
unlock:
	up_read(&vgpu->gone_lock);
	mutex_unlock(&ch->lock);
	return ret;
}

int vgpu_channel_unregister(struct vgpu_channel *ch, u32 region)
{
	struct vgpu *vgpu = ch->vgpu;
	struct vgpu_mem *mem;
	int ret;

	mutex_lock(&ch->lock);
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
	vgpu_mem_free(vgpu, mem);
unlock:
	up_read(&vgpu->gone_lock);
	mutex_unlock(&ch->lock);
	return ret;
}

/* An event of VGPU_REG_EVENT; nothing in it is taken on trust. */
void vgpu_channels_event(struct vgpu *vgpu, u32 event)
{
	struct vgpu_channel *ch;

	mutex_lock(&vgpu->table_lock);
	ch = xa_load(&vgpu->channels, VGPU_EVENT_CHANNEL(event));
	if (!ch)
		goto unlock;
	if (VGPU_EVENT_KIND(event) == VGPU_EVENT_LOST && ch->state == VGPU_CH_LIVE)
		channel_set_state(ch, VGPU_CH_LOST);
	else if (VGPU_EVENT_KIND(event) == VGPU_EVENT_RELEASED && ch->state == VGPU_CH_CLOSED)
		channel_erase(ch);
unlock:
	mutex_unlock(&vgpu->table_lock);
}

/*
 * The device has been reset and is leaving: nothing on the host reaches any
 * channel's memory now.  Open files keep theirs until they are closed, but
 * not its bus addresses.
 */
void vgpu_channels_gone(struct vgpu *vgpu)
{
	struct vgpu_channel *ch;
	struct vgpu_mem *region;
	unsigned long i, r;

	mutex_lock(&vgpu->table_lock);
	xa_for_each(&vgpu->channels, i, ch) {
		xa_for_each(&ch->regions, r, region)
			vgpu_mem_dma_unmap(vgpu, region);
		vgpu_mem_dma_unmap(vgpu, ch->mem);
		wake_up_all(&ch->wq);
		channel_erase(ch);
	}
	mutex_unlock(&vgpu->table_lock);
}
