// SPDX-License-Identifier: GPL-2.0
/*
 * A channel's life.
 *
 *              CREATE            attach              DESTROY
 *   (nothing) -------> WAITING --------> ATTACHED ------------> CLOSING
 *                         |                 |                      |
 *                         | DESTROY         | detach: unpin,       | detach: unpin,
 *                         v                 v event LOST           v event RELEASED
 *                     (nothing) <--------- LOST                (nothing)
 *                                DESTROY
 *
 * After DESTROY the guest keeps the pages until RELEASED, so that a device
 * which still writes to them through the executor hurts no one.  A reset, or
 * the VM's end, takes every channel out of the table at once (DEAD); an
 * executor that holds such a channel finds its mappings gone.
 */
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <vgpu/layout.h>

#include "vgpu_host.h"

static void channel_free(struct kref *ref)
{
	struct vgpu_channel *ch = container_of(ref, struct vgpu_channel, ref);

	WARN_ON_ONCE(ch->bell);
	xa_destroy(&ch->regions);
	mutex_destroy(&ch->map_lock);
	vgpu_put(ch->vgpu);
	kfree_rcu(ch, rcu);
}

void vgpu_channel_put(struct vgpu_channel *ch)
{
	kref_put(&ch->ref, channel_free);
}

static void channel_set_state(struct vgpu_channel *ch, enum vgpu_channel_state state)
{
	lockdep_assert_held(&ch->vgpu->table_lock);

	WRITE_ONCE(ch->state, state);
	ch->announced = false;
	wake_up_all(&ch->wq);
	wake_up_all(&ch->vgpu->wq);
}

/* What poll() tells an executor: nothing more to come, let go. */
bool vgpu_channel_dead(const struct vgpu_channel *ch)
{
	return READ_ONCE(ch->state) != VGPU_CH_ATTACHED || !READ_ONCE(ch->mem);
}

/*
 * The memory behind an mmap offset: slot 0 is channel memory, slot r + 1 is
 * region r.
 */
struct vgpu_mem *vgpu_channel_mem(struct vgpu_channel *ch, u64 slot)
{
	lockdep_assert_held(&ch->map_lock);

	if (!slot)
		return ch->mem;
	return slot <= VGPU_REGIONS ? xa_load(&ch->regions, slot - 1) : NULL;
}

/* Take all of a channel's memory away from whoever maps it, and unpin it. */
static void channel_revoke(struct vgpu_channel *ch)
{
	struct vgpu_mem *mem, *region;
	unsigned long i;

	lockdep_assert_held(&ch->vgpu->admin_lock);

	mutex_lock(&ch->map_lock);
	mem = ch->mem;
	WRITE_ONCE(ch->mem, NULL);
	if (mem)
		mem->revoked = true;
	xa_for_each(&ch->regions, i, region)
		region->revoked = true;
	mutex_unlock(&ch->map_lock);

	unmap_mapping_range(&ch->mapping, 0, 0, 1);

	/* Only admin_lock holders store into regions, so the walk is stable. */
	xa_for_each(&ch->regions, i, region) {
		mutex_lock(&ch->map_lock);
		xa_erase(&ch->regions, i);
		mutex_unlock(&ch->map_lock);
		vgpu_mem_unpin(ch->vgpu, region);
	}
	if (mem)
		vgpu_mem_unpin(ch->vgpu, mem);
	wake_up_all(&ch->wq);
}

/* Out of the table; the caller has the table's reference now. */
static void channel_erase(struct vgpu_channel *ch)
{
	struct vgpu *vgpu = ch->vgpu;

	lockdep_assert_held(&vgpu->admin_lock);
	lockdep_assert_held(&vgpu->table_lock);

	if (ch->state == VGPU_CH_ATTACHED || ch->state == VGPU_CH_CLOSING)
		list_add_tail(&ch->dying, &vgpu->dying);
	xa_erase(&vgpu->channels, ch->id);
	channel_set_state(ch, VGPU_CH_DEAD);
}

int vgpu_channel_create(struct vgpu *vgpu, const struct vgpu_adm_create *cmd)
{
	const struct vgpu_layout *want = &cmd->layout;
	struct vgpu_channel *ch;
	struct vgpu_layout layout;
	struct vgpu_mem *mem;
	int ret;

	lockdep_assert_held(&vgpu->admin_lock);

	if (cmd->head.channel >= VGPU_CHANNELS)
		return -EINVAL;
	if (!cmd->vector || cmd->vector >= VGPU_VECTORS)
		return -EINVAL;
	ret = vgpu_layout_make(want->sq_bytes, want->slot_count, want->arena_bytes, &layout);
	if (ret)
		return ret;
	if (memcmp(&layout, want, sizeof(layout)))
		return -EINVAL;
	if (xa_load(&vgpu->channels, cmd->head.channel))
		return -EEXIST;

	ch = kzalloc(sizeof(*ch), GFP_KERNEL_ACCOUNT);
	if (!ch)
		return -ENOMEM;
	mem = vgpu_mem_pin(vgpu, cmd->list, layout.total_bytes, 0);
	if (IS_ERR(mem)) {
		kfree(ch);
		return PTR_ERR(mem);
	}

	kref_init(&ch->ref);
	vgpu_get(vgpu);
	ch->vgpu = vgpu;
	ch->id = cmd->head.channel;
	ch->vector = array_index_nospec(cmd->vector, VGPU_VECTORS);
	ch->cookie = ++vgpu->next_cookie;
	ch->pid = cmd->pid;
	ch->settings = cmd->settings;
	memcpy(ch->comm, cmd->comm, sizeof(ch->comm));
	ch->comm[sizeof(ch->comm) - 1] = '\0';
	ch->layout = layout;
	ch->state = VGPU_CH_WAITING;
	ch->mem = mem;
	INIT_LIST_HEAD(&ch->dying);
	mutex_init(&ch->map_lock);
	xa_init(&ch->regions);
	spin_lock_init(&ch->bell_lock);
	init_waitqueue_head(&ch->wq);
	address_space_init_once(&ch->mapping);

	ret = xa_err(xa_store(&vgpu->channels, ch->id, ch, GFP_KERNEL_ACCOUNT));
	if (ret) {
		channel_revoke(ch);
		vgpu_channel_put(ch);
		return ret;
	}
	wake_up_all(&vgpu->wq);
	return 0;
}

int vgpu_channel_destroy(struct vgpu *vgpu, u32 id)
{
	struct vgpu_channel *ch;
	int ret = 0;

	lockdep_assert_held(&vgpu->admin_lock);

	spin_lock(&vgpu->table_lock);
	ch = xa_load(&vgpu->channels, id);
	if (!ch) {
		ret = -ENOENT;
	} else if (ch->state == VGPU_CH_ATTACHED || ch->state == VGPU_CH_CLOSING) {
		if (ch->state == VGPU_CH_ATTACHED)
			channel_set_state(ch, VGPU_CH_CLOSING);
		ret = -EINPROGRESS;
	} else {
		channel_erase(ch);
	}
	spin_unlock(&vgpu->table_lock);
	if (ret)
		return ret;

	channel_revoke(ch);
	vgpu_channel_put(ch);
	return 0;
}

int vgpu_channel_map(struct vgpu *vgpu, const struct vgpu_adm_map *cmd)
{
	struct vgpu_channel *ch;
	struct vgpu_mem *mem;
	int ret;

	lockdep_assert_held(&vgpu->admin_lock);

	if (cmd->reserved || cmd->region >= VGPU_REGIONS)
		return -EINVAL;
	if (!cmd->bytes || cmd->bytes > VGPU_REGION_BYTES_MAX || !PAGE_ALIGNED(cmd->va))
		return -EINVAL;
	ch = xa_load(&vgpu->channels, cmd->head.channel);
	if (!ch)
		return -ENOENT;
	if (xa_load(&ch->regions, cmd->region))
		return -EEXIST;

	mem = vgpu_mem_pin(vgpu, cmd->list, cmd->bytes, cmd->va);
	if (IS_ERR(mem))
		return PTR_ERR(mem);

	mutex_lock(&ch->map_lock);
	ret = xa_err(xa_store(&ch->regions, cmd->region, mem, GFP_KERNEL_ACCOUNT));
	mutex_unlock(&ch->map_lock);
	if (ret)
		vgpu_mem_unpin(vgpu, mem);
	return ret;
}

/* mmap offset of a region's memory; the stride is more than any region has. */
static u64 region_offset(u32 region)
{
	return ((u64)region + 1) << VGPU_MMAP_SLOT_SHIFT;
}

/*
 * Claim a region for its unpin: out of the table and revoked, so that no mmap()
 * or fault comes in between.  With `unmapped`, only one that nobody maps.
 */
static struct vgpu_mem *region_claim(struct vgpu_channel *ch, u32 region, bool unmapped)
{
	struct vgpu_mem *mem;

	mutex_lock(&ch->map_lock);
	mem = xa_load(&ch->regions, region);
	if (!mem) {
		mem = ERR_PTR(-ENOENT);
	} else if (unmapped && atomic_read(&mem->maps)) {
		mem = ERR_PTR(-EBUSY);
	} else {
		xa_erase(&ch->regions, region);
		mem->revoked = true;
	}
	mutex_unlock(&ch->map_lock);
	return mem;
}

static int region_revoke(struct vgpu_channel *ch, u32 region, bool unmapped)
{
	struct vgpu_mem *mem;

	lockdep_assert_held(&ch->vgpu->admin_lock);

	mem = region_claim(ch, region, unmapped);
	if (IS_ERR(mem))
		return PTR_ERR(mem);
	if (!unmapped)
		unmap_mapping_range(&ch->mapping, region_offset(region), mem->bytes, 1);
	vgpu_mem_unpin(ch->vgpu, mem);
	return 0;
}

/*
 * An executor unregisters memory with the GPU driver before it unmaps it, and
 * the guest has the pages back after.  The number of mappings says that much of
 * an executor that follows its own rules.  One that a guest has taken over can
 * unmap what the device still writes: the GPU driver's pins then keep the pages
 * from everybody but this VM (docs/threat-model.md).
 */
int vgpu_channel_unmap(struct vgpu *vgpu, u32 id, u32 region)
{
	struct vgpu_channel *ch;

	lockdep_assert_held(&vgpu->admin_lock);

	ch = xa_load(&vgpu->channels, id);
	if (!ch || region >= VGPU_REGIONS)
		return -ENOENT;
	return region_revoke(ch, region, true);
}

/* Reset, the VM's end, removal: every channel, now. */
void vgpu_channels_drop(struct vgpu *vgpu)
{
	struct vgpu_channel *ch;
	unsigned long i;

	lockdep_assert_held(&vgpu->admin_lock);

	xa_for_each(&vgpu->channels, i, ch) {
		spin_lock(&vgpu->table_lock);
		channel_erase(ch);
		spin_unlock(&vgpu->table_lock);
		channel_revoke(ch);
		vgpu_channel_put(ch);
	}
}

/* The VM gives up memory: nothing of it may stay pinned. */
void vgpu_channels_dma_unmap(struct vgpu *vgpu, u64 iova, u64 bytes)
{
	struct vgpu_channel *ch;
	struct vgpu_mem *mem;
	unsigned long i, r;

	lockdep_assert_held(&vgpu->admin_lock);

	xa_for_each(&vgpu->channels, i, ch) {
		if (ch->mem && vgpu_mem_overlaps(ch->mem, iova, bytes)) {
			channel_revoke(ch);
			spin_lock(&vgpu->table_lock);
			if (ch->state == VGPU_CH_WAITING) {
				channel_set_state(ch, VGPU_CH_LOST);
				vgpu_event_post(vgpu, ch->id, VGPU_EVENT_LOST, VGPU_WHY_UNSAID);
			}
			spin_unlock(&vgpu->table_lock);
		}
		xa_for_each(&ch->regions, r, mem)
			if (vgpu_mem_overlaps(mem, iova, bytes))
				region_revoke(ch, r, false);
	}
}

/* A WAITING channel gets its descriptor. */
int vgpu_channel_attach(struct vgpu_channel *ch, struct file *file)
{
	struct vgpu *vgpu = ch->vgpu;
	int ret = 0;

	spin_lock(&vgpu->table_lock);
	if (ch->state == VGPU_CH_WAITING) {
		ch->file = file;
		channel_set_state(ch, VGPU_CH_ATTACHED);
	} else {
		ret = ch->state == VGPU_CH_ATTACHED ? -EBUSY : -EPIPE;
	}
	spin_unlock(&vgpu->table_lock);
	return ret;
}

/* Nobody is going to serve an ATTACHED channel; its guest hears why when the descriptor goes. */
int vgpu_channel_refuse(struct vgpu_channel *ch, u32 why)
{
	struct vgpu *vgpu = ch->vgpu;
	int ret = 0;

	if (why < VGPU_WHY_DRAINED || why > VGPU_WHY_LIMIT)
		return -EINVAL;
	spin_lock(&vgpu->table_lock);
	if (ch->state == VGPU_CH_ATTACHED)
		ch->why = why;
	else
		ret = -EPIPE;
	spin_unlock(&vgpu->table_lock);
	return ret;
}

/*
 * A doorbell that has found the channel by RCU may still be about to signal the
 * eventfd, so the reference is dropped only once bell_lock has taken it away.
 */
static void channel_take_bell(struct vgpu_channel *ch)
{
	struct eventfd_ctx *bell = NULL;

	spin_lock(&ch->bell_lock);
	swap(ch->bell, bell);
	spin_unlock(&ch->bell_lock);
	if (bell)
		eventfd_ctx_put(bell);
}

/*
 * The last descriptor and mapping of the channel have gone: nobody on the host
 * reaches its memory any more.
 */
void vgpu_channel_detach(struct vgpu_channel *ch)
{
	struct vgpu *vgpu = ch->vgpu;
	bool erased = false;

	lockdep_assert_held(&vgpu->admin_lock);

	channel_take_bell(ch);
	channel_revoke(ch);
	spin_lock(&vgpu->table_lock);
	switch (ch->state) {
	case VGPU_CH_ATTACHED:
		channel_set_state(ch, VGPU_CH_LOST);
		vgpu_event_post(vgpu, ch->id, VGPU_EVENT_LOST, ch->why);
		break;
	case VGPU_CH_CLOSING:
		channel_erase(ch);
		list_del_init(&ch->dying);
		vgpu_event_post(vgpu, ch->id, VGPU_EVENT_RELEASED, VGPU_WHY_UNSAID);
		erased = true;
		break;
	default:
		list_del_init(&ch->dying);
		break;
	}
	if (list_empty(&vgpu->dying))
		wake_up_all(&vgpu->idle_wq);
	spin_unlock(&vgpu->table_lock);
	if (erased)
		vgpu_channel_put(ch);
	vgpu_channel_put(ch);
}

static struct workqueue_struct *release_wq;

static void release_work(struct work_struct *work)
{
	struct vgpu *vgpu = container_of(work, struct vgpu, release_work);
	struct vgpu_channel *ch, *next;

	mutex_lock(&vgpu->admin_lock);
	llist_for_each_entry_safe(ch, next, llist_del_all(&vgpu->released_channels), released)
		vgpu_channel_detach(ch);
	mutex_unlock(&vgpu->admin_lock);
	vgpu_put(vgpu);
}

/*
 * The file of an attached channel is released.  Whoever closes it (a mediator
 * serves all VMs) must not wait for a pin of this VM, so the rest is a work item's,
 * which has a reference to the vGPU of its own.
 */
void vgpu_channel_release(struct vgpu_channel *ch)
{
	struct vgpu *vgpu = ch->vgpu;

	vgpu_get(vgpu);
	llist_add(&ch->released, &vgpu->released_channels);
	if (!queue_work(release_wq, &vgpu->release_work))
		vgpu_put(vgpu);
}

void vgpu_channels_init(struct vgpu *vgpu)
{
	mutex_init(&vgpu->admin_lock);
	spin_lock_init(&vgpu->table_lock);
	xa_init(&vgpu->channels);
	INIT_LIST_HEAD(&vgpu->dying);
	init_waitqueue_head(&vgpu->idle_wq);
	init_llist_head(&vgpu->released_channels);
	INIT_WORK(&vgpu->release_work, release_work);
}

int vgpu_channels_start(void)
{
	/* One item for each vGPU, so one VM's takes no other's turn. */
	release_wq = alloc_workqueue("vgpu_host", WQ_UNBOUND, 0);
	return release_wq ? 0 : -ENOMEM;
}

void vgpu_channels_stop(void)
{
	destroy_workqueue(release_wq);
}

/*
 * The register write that wakes an executor.  Runs in the VM's vCPU thread,
 * so it takes no lock that another vCPU's admin command may hold for long.
 */
void vgpu_channel_doorbell(struct vgpu *vgpu, u32 id)
{
	struct vgpu_channel *ch;

	rcu_read_lock();
	ch = xa_load(&vgpu->channels, id);
	if (ch) {
		spin_lock(&ch->bell_lock);
		if (ch->bell)
			compat_eventfd_signal(ch->bell);
		else
			ch->bell_pending = true;
		spin_unlock(&ch->bell_lock);
	}
	rcu_read_unlock();
}

struct vgpu_channel *vgpu_channel_get(struct vgpu *vgpu, u32 id, u64 cookie)
{
	struct vgpu_channel *ch;

	spin_lock(&vgpu->table_lock);
	ch = xa_load(&vgpu->channels, id);
	if (ch && ch->cookie == cookie)
		kref_get(&ch->ref);
	else
		ch = NULL;
	spin_unlock(&vgpu->table_lock);
	return ch;
}

/* The event that the mediator is to hear about a channel; 0 is none. */
static u32 channel_untold(const struct vgpu_channel *ch)
{
	if (ch->announced)
		return 0;
	switch (ch->state) {
	case VGPU_CH_WAITING:
		return VGPU_HOST_EV_CHANNEL;
	case VGPU_CH_CLOSING:
	case VGPU_CH_DEAD:
		return VGPU_HOST_EV_CLOSED;
	default:
		return 0;
	}
}

static struct vgpu_channel *channels_find_untold(struct vgpu *vgpu)
{
	struct vgpu_channel *ch;
	unsigned long i;

	lockdep_assert_held(&vgpu->table_lock);

	list_for_each_entry(ch, &vgpu->dying, dying)
		if (channel_untold(ch))
			return ch;
	xa_for_each(&vgpu->channels, i, ch)
		if (channel_untold(ch))
			return ch;
	return NULL;
}

bool vgpu_channels_untold(struct vgpu *vgpu)
{
	bool found;

	spin_lock(&vgpu->table_lock);
	found = channels_find_untold(vgpu);
	spin_unlock(&vgpu->table_lock);
	return found;
}

/* The next thing that the mediator does not know yet; it stays so until told. */
bool vgpu_channels_event(struct vgpu *vgpu, struct vgpu_host_event *event)
{
	struct vgpu_channel *ch;

	spin_lock(&vgpu->table_lock);
	ch = channels_find_untold(vgpu);
	if (ch)
		*event = (struct vgpu_host_event){
			.kind = channel_untold(ch), .id = ch->id, .cookie = ch->cookie,
		};
	spin_unlock(&vgpu->table_lock);
	return ch;
}

/* The event has reached the mediator.  What has changed since is still untold. */
void vgpu_channels_told(struct vgpu *vgpu, const struct vgpu_host_event *event)
{
	struct vgpu_channel *ch, *told = NULL;

	spin_lock(&vgpu->table_lock);
	list_for_each_entry(ch, &vgpu->dying, dying)
		if (ch->cookie == event->cookie)
			told = ch;
	if (!told)
		told = xa_load(&vgpu->channels, event->id);
	if (told && told->cookie == event->cookie && channel_untold(told) == event->kind)
		told->announced = true;
	spin_unlock(&vgpu->table_lock);
}

/* A new mediator is to hear of everything again. */
void vgpu_channels_unannounce(struct vgpu *vgpu)
{
	struct vgpu_channel *ch;
	unsigned long i;

	spin_lock(&vgpu->table_lock);
	list_for_each_entry(ch, &vgpu->dying, dying)
		ch->announced = false;
	xa_for_each(&vgpu->channels, i, ch)
		ch->announced = false;
	spin_unlock(&vgpu->table_lock);
	wake_up_all(&vgpu->wq);
}
