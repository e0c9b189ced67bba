// SPDX-License-Identifier: GPL-2.0
#include <linux/completion.h>
#include <linux/kthread.h>

#include "fake.h"

static struct vgpu_channel *the_channel(struct fake *f)
{
	return xa_load(&f->vgpu.channels, 7);
}

/* As OPEN_CHANNEL does: the descriptor has a reference of its own. */
static int attach(struct vgpu_channel *ch)
{
	int ret;

	kref_get(&ch->ref);
	ret = vgpu_channel_attach(ch, NULL);
	if (ret)
		vgpu_channel_put(ch);
	return ret;
}

/* The mediator reads an event, which reaches it. */
static bool take(struct fake *f, struct vgpu_host_event *event)
{
	if (!vgpu_channels_event(&f->vgpu, event))
		return false;
	vgpu_channels_told(&f->vgpu, event);
	return true;
}

static bool is(struct fake *f, u32 id, u64 cookie, struct vgpu_channel *want)
{
	struct vgpu_channel *ch = vgpu_channel_get(&f->vgpu, id, cookie);

	if (ch)
		vgpu_channel_put(ch);
	return ch == want;
}

static void expect_event(struct kunit *test, u32 kind)
{
	struct fake *f = test->priv;
	u32 event = vgpu_event_take(&f->vgpu);

	KUNIT_EXPECT_TRUE(test, event & VGPU_EVENT_VALID);
	KUNIT_EXPECT_EQ(test, VGPU_EVENT_KIND(event), kind);
	KUNIT_EXPECT_EQ(test, VGPU_EVENT_CHANNEL(event), 7);
	KUNIT_EXPECT_EQ(test, vgpu_event_take(&f->vgpu), 0);
}

static void never_served(struct kunit *test)
{
	struct fake *f = fake_lock(test);

	KUNIT_ASSERT_EQ(test, fake_channel(test), 0);
	KUNIT_EXPECT_GT(test, fake_pinned(f), 0);
	KUNIT_EXPECT_EQ(test, vgpu_channel_destroy(&f->vgpu, 7), 0);
	KUNIT_EXPECT_EQ(test, fake_pinned(f), 0);
	KUNIT_EXPECT_EQ(test, vgpu_channel_destroy(&f->vgpu, 7), -ENOENT);
	KUNIT_EXPECT_EQ(test, vgpu_event_take(&f->vgpu), 0);
	fake_unlock(test);
}

/* The guest keeps its pages until the executor has gone. */
static void guest_goes_first(struct kunit *test)
{
	struct fake *f = fake_lock(test);
	struct vgpu_channel *ch;

	KUNIT_ASSERT_EQ(test, fake_channel(test), 0);
	ch = the_channel(f);
	KUNIT_EXPECT_EQ(test, attach(ch), 0);
	KUNIT_EXPECT_FALSE(test, vgpu_channel_dead(ch));
	KUNIT_EXPECT_EQ(test, vgpu_channel_destroy(&f->vgpu, 7), -EINPROGRESS);
	KUNIT_EXPECT_TRUE(test, vgpu_channel_dead(ch));
	KUNIT_EXPECT_EQ(test, vgpu_channel_destroy(&f->vgpu, 7), -EINPROGRESS);
	KUNIT_EXPECT_EQ(test, fake_channel(test), -EEXIST);
	KUNIT_EXPECT_GT(test, fake_pinned(f), 0);
	vgpu_channel_detach(ch);
	KUNIT_EXPECT_EQ(test, fake_pinned(f), 0);
	expect_event(test, VGPU_EVENT_RELEASED);
	KUNIT_EXPECT_NULL(test, the_channel(f));
	KUNIT_EXPECT_EQ(test, fake_channel(test), 0);
	fake_unlock(test);
}

static void executor_goes_first(struct kunit *test)
{
	struct fake *f = fake_lock(test);
	struct vgpu_channel *ch;

	KUNIT_ASSERT_EQ(test, fake_channel(test), 0);
	ch = the_channel(f);
	KUNIT_EXPECT_EQ(test, attach(ch), 0);
	KUNIT_EXPECT_EQ(test, attach(ch), -EBUSY);
	vgpu_channel_detach(ch);
	KUNIT_EXPECT_EQ(test, attach(ch), -EPIPE);
	expect_event(test, VGPU_EVENT_LOST);
	KUNIT_EXPECT_EQ(test, fake_pinned(f), 0);
	KUNIT_EXPECT_PTR_EQ(test, the_channel(f), ch);
	KUNIT_EXPECT_EQ(test, vgpu_channel_destroy(&f->vgpu, 7), 0);
	KUNIT_EXPECT_NULL(test, the_channel(f));
	fake_unlock(test);
}

/* The guest hears why it was refused, and the next one of the same id does not. */
static void refused(struct kunit *test)
{
	struct fake *f = fake_lock(test);
	struct vgpu_channel *ch;
	u32 event, i;

	for (i = 0; i < 2; i++) {
		KUNIT_ASSERT_EQ(test, fake_channel(test), 0);
		ch = the_channel(f);
		KUNIT_EXPECT_EQ(test, vgpu_channel_refuse(ch, VGPU_WHY_DRAINED), -EPIPE);
		KUNIT_EXPECT_EQ(test, attach(ch), 0);
		KUNIT_EXPECT_EQ(test, vgpu_channel_refuse(ch, VGPU_WHY_UNSAID), -EINVAL);
		KUNIT_EXPECT_EQ(test, vgpu_channel_refuse(ch, VGPU_WHY_LIMIT + 1), -EINVAL);
		if (!i)
			KUNIT_EXPECT_EQ(test, vgpu_channel_refuse(ch, VGPU_WHY_DRAINED), 0);
		vgpu_channel_detach(ch);
		event = vgpu_event_take(&f->vgpu);
		KUNIT_EXPECT_EQ(test, VGPU_EVENT_KIND(event), VGPU_EVENT_LOST);
		KUNIT_EXPECT_EQ(test, VGPU_EVENT_CHANNEL(event), 7);
		KUNIT_EXPECT_EQ(test, VGPU_EVENT_WHY(event), i ? VGPU_WHY_UNSAID : VGPU_WHY_DRAINED);
		KUNIT_EXPECT_EQ(test, vgpu_channel_refuse(ch, VGPU_WHY_DRAINED), -EPIPE);
		KUNIT_EXPECT_EQ(test, vgpu_channel_destroy(&f->vgpu, 7), 0);
	}
	fake_unlock(test);
}

static void reset_under_an_executor(struct kunit *test)
{
	struct fake *f = fake_lock(test);
	struct vgpu_host_event event;
	struct vgpu_channel *ch;

	KUNIT_ASSERT_EQ(test, fake_channel(test), 0);
	ch = the_channel(f);
	KUNIT_EXPECT_TRUE(test, take(f, &event));
	KUNIT_EXPECT_EQ(test, event.kind, VGPU_HOST_EV_CHANNEL);
	KUNIT_EXPECT_TRUE(test, is(f, 7, event.cookie, ch));
	KUNIT_EXPECT_TRUE(test, is(f, 7, event.cookie + 1, NULL));
	KUNIT_EXPECT_FALSE(test, take(f, &event));
	KUNIT_EXPECT_EQ(test, attach(ch), 0);
	vgpu_channels_drop(&f->vgpu);
	KUNIT_EXPECT_EQ(test, fake_pinned(f), 0);
	KUNIT_EXPECT_TRUE(test, vgpu_channel_dead(ch));
	KUNIT_EXPECT_TRUE(test, take(f, &event));
	KUNIT_EXPECT_EQ(test, event.kind, VGPU_HOST_EV_CLOSED);
	KUNIT_EXPECT_FALSE(test, take(f, &event));
	/* The id is free at once, and the old executor's end does not touch it. */
	KUNIT_EXPECT_EQ(test, fake_channel(test), 0);
	vgpu_channel_detach(ch);
	KUNIT_EXPECT_NOT_NULL(test, the_channel(f));
	KUNIT_EXPECT_TRUE(test, list_empty(&f->vgpu.dying));
	fake_unlock(test);
}

static u32 ctrl(struct fake *f)
{
	return vgpu_bar_read(&f->vgpu, VGPU_REG_CTRL);
}

static int detach_thread(void *data)
{
	struct vgpu_channel *ch = data;
	struct fake *f = container_of(ch->vgpu, struct fake, vgpu);

	wait_for_completion(&f->done);
	mutex_lock(&f->vgpu.admin_lock);
	vgpu_channel_detach(ch);
	mutex_unlock(&f->vgpu.admin_lock);
	return 0;
}

/* A reset reads as done when no executor holds a channel from before it. */
static void reset_completes(struct kunit *test)
{
	struct fake *f = fake_lock(test);
	struct vgpu_channel *old, *new;
	struct task_struct *thread;

	KUNIT_EXPECT_TRUE(test, vgpu_bar_read(&f->vgpu, VGPU_REG_FEATURES) & VGPU_FEATURE_RESET_BUSY);
	KUNIT_ASSERT_EQ(test, fake_channel(test), 0);
	fake_unlock(test);
	/* Nobody holds it: done at once. */
	vgpu_bar_write(&f->vgpu, VGPU_REG_CTRL, VGPU_CTRL_RESET);
	KUNIT_EXPECT_EQ(test, ctrl(f), 0);

	fake_lock(test);
	KUNIT_ASSERT_EQ(test, fake_channel(test), 0);
	old = the_channel(f);
	KUNIT_EXPECT_EQ(test, attach(old), 0);
	KUNIT_EXPECT_EQ(test, ctrl(f), 0);
	fake_unlock(test);
	KUNIT_EXPECT_EQ(test, vgpu_reset(&f->vgpu, 1), -ETIMEDOUT);
	KUNIT_EXPECT_EQ(test, ctrl(f), VGPU_CTRL_RESET);

	/* A channel that came after it does not count. */
	fake_lock(test);
	KUNIT_ASSERT_EQ(test, fake_channel(test), 0);
	new = the_channel(f);
	KUNIT_EXPECT_EQ(test, attach(new), 0);
	vgpu_channel_detach(old);
	KUNIT_EXPECT_EQ(test, ctrl(f), 0);
	fake_unlock(test);

	/* The wait ends with the last executor, long before its time is up. */
	init_completion(&f->done);
	thread = kthread_run(detach_thread, new, "detach");
	KUNIT_ASSERT_FALSE(test, IS_ERR(thread));
	complete(&f->done);
	KUNIT_EXPECT_EQ(test, vgpu_reset(&f->vgpu, 100 * HZ), 0);
	KUNIT_EXPECT_EQ(test, ctrl(f), 0);
	mutex_lock(&f->vgpu.admin_lock);	/* until the thread has let go of it */
	mutex_unlock(&f->vgpu.admin_lock);
}

static void told_anew(struct kunit *test)
{
	struct fake *f = fake_lock(test);
	struct vgpu_host_event event;

	KUNIT_ASSERT_EQ(test, fake_channel(test), 0);
	KUNIT_EXPECT_TRUE(test, take(f, &event));
	KUNIT_EXPECT_FALSE(test, take(f, &event));
	vgpu_channels_unannounce(&f->vgpu);
	KUNIT_EXPECT_TRUE(test, take(f, &event));
	fake_unlock(test);
}

/* What has not been copied out is not told, nor what has changed meanwhile. */
static void told_once_it_arrives(struct kunit *test)
{
	struct fake *f = fake_lock(test);
	struct vgpu_host_event event, again;
	struct vgpu_channel *ch;

	KUNIT_ASSERT_EQ(test, fake_channel(test), 0);
	ch = the_channel(f);
	KUNIT_EXPECT_TRUE(test, vgpu_channels_event(&f->vgpu, &event));
	KUNIT_EXPECT_TRUE(test, vgpu_channels_untold(&f->vgpu));
	KUNIT_EXPECT_TRUE(test, vgpu_channels_event(&f->vgpu, &again));
	KUNIT_EXPECT_EQ(test, again.kind, event.kind);
	KUNIT_EXPECT_EQ(test, again.cookie, event.cookie);
	vgpu_channels_told(&f->vgpu, &event);
	KUNIT_EXPECT_FALSE(test, vgpu_channels_untold(&f->vgpu));

	KUNIT_EXPECT_EQ(test, attach(ch), 0);
	KUNIT_EXPECT_EQ(test, vgpu_channel_destroy(&f->vgpu, 7), -EINPROGRESS);
	vgpu_channels_told(&f->vgpu, &event);	/* late: of the state before */
	KUNIT_EXPECT_TRUE(test, vgpu_channels_untold(&f->vgpu));
	KUNIT_EXPECT_TRUE(test, vgpu_channels_event(&f->vgpu, &event));
	KUNIT_EXPECT_EQ(test, event.kind, VGPU_HOST_EV_CLOSED);
	/* A reset moves it out of the table; the mediator is still to hear of it. */
	vgpu_channels_drop(&f->vgpu);
	KUNIT_EXPECT_TRUE(test, vgpu_channels_untold(&f->vgpu));
	KUNIT_EXPECT_TRUE(test, take(f, &event));
	KUNIT_EXPECT_FALSE(test, vgpu_channels_untold(&f->vgpu));
	vgpu_channel_detach(ch);
	fake_unlock(test);
}

static int map(struct fake *f, u32 region)
{
	struct vgpu_adm_map cmd = {
		.head = { .channel = 7 }, .region = region, .va = 0x10000,
		.bytes = 4 * PAGE_SIZE, .list = 100 * PAGE_SIZE,
	};

	fake_list(f, 100 * PAGE_SIZE, 101 * PAGE_SIZE, 4);
	return vgpu_channel_map(&f->vgpu, &cmd);
}

static void vm_gives_up_memory(struct kunit *test)
{
	struct fake *f = fake_lock(test);
	struct vgpu_channel *ch;
	int pinned;

	KUNIT_ASSERT_EQ(test, fake_channel(test), 0);
	ch = the_channel(f);
	pinned = fake_pinned(f);
	KUNIT_ASSERT_EQ(test, map(f, 1), 0);
	KUNIT_ASSERT_EQ(test, map(f, 2), 0);
	vgpu_channels_dma_unmap(&f->vgpu, 250 * PAGE_SIZE, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, fake_pinned(f), pinned + 8);
	vgpu_channels_dma_unmap(&f->vgpu, 101 * PAGE_SIZE, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, fake_pinned(f), pinned);
	vgpu_channels_dma_unmap(&f->vgpu, 0, ~0ull);
	KUNIT_EXPECT_EQ(test, fake_pinned(f), 0);
	KUNIT_EXPECT_TRUE(test, vgpu_channel_dead(ch));
	expect_event(test, VGPU_EVENT_LOST);
	fake_unlock(test);
}

static void mapped_region_stays(struct kunit *test)
{
	struct fake *f = fake_lock(test);
	struct vgpu_channel *ch;
	struct vgpu_mem *mem;

	KUNIT_ASSERT_EQ(test, fake_channel(test), 0);
	ch = the_channel(f);
	KUNIT_ASSERT_EQ(test, map(f, 5), 0);
	mutex_lock(&ch->map_lock);
	mem = vgpu_channel_mem(ch, 6);
	KUNIT_EXPECT_NULL(test, vgpu_channel_mem(ch, 7));
	KUNIT_EXPECT_NULL(test, vgpu_channel_mem(ch, ~0ull));
	mutex_unlock(&ch->map_lock);
	KUNIT_ASSERT_NOT_NULL(test, mem);
	atomic_inc(&mem->maps);
	KUNIT_EXPECT_EQ(test, vgpu_channel_unmap(&f->vgpu, 7, 5), -EBUSY);
	KUNIT_EXPECT_FALSE(test, mem->revoked);
	atomic_dec(&mem->maps);
	/* A mapping that exists keeps the struct, to be told that it is revoked. */
	kref_get(&mem->ref);
	KUNIT_EXPECT_EQ(test, vgpu_channel_unmap(&f->vgpu, 7, 5), 0);
	KUNIT_EXPECT_TRUE(test, mem->revoked);
	vgpu_mem_put(mem);
	KUNIT_EXPECT_EQ(test, vgpu_channel_unmap(&f->vgpu, 7, 5), -ENOENT);
	KUNIT_EXPECT_EQ(test, vgpu_channel_unmap(&f->vgpu, 8, 5), -ENOENT);
	KUNIT_EXPECT_EQ(test, vgpu_channel_unmap(&f->vgpu, 7, ~0u), -ENOENT);
	fake_unlock(test);
}

/*
 * UNMAP against mmap(): a mapping is made under map_lock, and UNMAP looks and
 * revokes under it.  Here mmap() has the lock first, and UNMAP must wait for what
 * it does; then UNMAP refuses.
 */
static int unmap_thread(void *data)
{
	struct fake *f = data;
	int ret;

	mutex_lock(&f->vgpu.admin_lock);
	ret = vgpu_channel_unmap(&f->vgpu, 7, 5);
	mutex_unlock(&f->vgpu.admin_lock);
	WRITE_ONCE(f->unmap_result, ret);
	complete(&f->done);
	return 0;
}

static void unmap_against_mmap(struct kunit *test)
{
	struct fake *f = fake_lock(test);
	struct task_struct *thread;
	struct vgpu_channel *ch;
	struct vgpu_mem *mem;

	KUNIT_ASSERT_EQ(test, fake_channel(test), 0);
	ch = the_channel(f);
	KUNIT_ASSERT_EQ(test, map(f, 5), 0);
	fake_unlock(test);

	init_completion(&f->done);
	mutex_lock(&ch->map_lock);
	thread = kthread_run(unmap_thread, f, "unmap");
	if (IS_ERR(thread)) {
		mutex_unlock(&ch->map_lock);
		KUNIT_FAIL(test, "no thread");
		return;
	}
	/* It stops at map_lock, wherever it has got to by now. */
	KUNIT_EXPECT_EQ(test, wait_for_completion_timeout(&f->done, HZ / 10), 0);
	mem = vgpu_channel_mem(ch, 6);
	KUNIT_EXPECT_NOT_NULL(test, mem);
	if (mem)
		atomic_inc(&mem->maps);
	mutex_unlock(&ch->map_lock);
	KUNIT_EXPECT_GT(test, wait_for_completion_timeout(&f->done, 10 * HZ), 0);
	KUNIT_EXPECT_EQ(test, READ_ONCE(f->unmap_result), -EBUSY);
	if (mem)
		atomic_dec(&mem->maps);
}

static void early_doorbell(struct kunit *test)
{
	struct fake *f = fake_lock(test);

	KUNIT_ASSERT_EQ(test, fake_channel(test), 0);
	vgpu_bar_write(&f->vgpu, VGPU_REG_DOORBELL + 4 * 7, 1);
	vgpu_bar_write(&f->vgpu, VGPU_REG_DOORBELL + 4 * 8, 1);	/* nobody's */
	KUNIT_EXPECT_TRUE(test, the_channel(f)->bell_pending);
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->vgpu.doorbells), 2);
	fake_unlock(test);
}

/*
 * A doorbell that has looked the channel up holds it by RCU alone.  Here a
 * reference stands for that reader: it must find no eventfd after the release.
 */
static void bell_is_taken_at_release(struct kunit *test)
{
	struct fake *f = fake_lock(test);
	struct vgpu_channel *ch;

	KUNIT_ASSERT_EQ(test, fake_channel(test), 0);
	ch = the_channel(f);
	kref_get(&ch->ref);
	KUNIT_EXPECT_EQ(test, attach(ch), 0);
	ch->bell = (struct eventfd_ctx *)test;	/* any address: it is only dropped */
	KUNIT_EXPECT_EQ(test, vgpu_channel_destroy(&f->vgpu, 7), -EINPROGRESS);
	KUNIT_EXPECT_EQ(test, f->eventfd_puts, 0);
	vgpu_channel_detach(ch);
	KUNIT_EXPECT_NULL(test, ch->bell);
	KUNIT_EXPECT_EQ(test, f->eventfd_puts, 1);
	vgpu_channel_put(ch);
	KUNIT_EXPECT_EQ(test, f->eventfd_puts, 1);
	fake_unlock(test);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(never_served), KUNIT_CASE(guest_goes_first), KUNIT_CASE(executor_goes_first),
	KUNIT_CASE(refused),
	KUNIT_CASE(reset_under_an_executor), KUNIT_CASE(reset_completes),
	KUNIT_CASE(told_anew),
	KUNIT_CASE(told_once_it_arrives),
	KUNIT_CASE(vm_gives_up_memory), KUNIT_CASE(mapped_region_stays),
	KUNIT_CASE(unmap_against_mmap),
	KUNIT_CASE(early_doorbell), KUNIT_CASE(bell_is_taken_at_release), {}
};

struct kunit_suite channel_suite = {
	.name = "vgpu_host_channel", .init = fake_init, .exit = fake_exit, .test_cases = cases,
};
