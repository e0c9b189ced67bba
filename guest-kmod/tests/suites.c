// SPDX-License-Identifier: GPL-2.0
/*
 * The life of a channel in the guest, over a device that answers admin
 * commands as it is told to.
 */
#include <kunit/test.h>
#include <linux/module.h>
#include <linux/slab.h>

/* The device: what the next command returns, and what was asked. */
static struct {
	int result;
	u32 created, destroyed, mapped, unmapped;
} device;

#include "../channel.c"

int vgpu_admin_create(struct vgpu_channel *ch, struct vgpu_mem *mem)
{
	device.created++;
	return device.result;
}

int vgpu_admin_destroy(struct vgpu_channel *ch)
{
	device.destroyed++;
	return device.result;
}

int vgpu_admin_map(struct vgpu_channel *ch, u32 region, u64 va, struct vgpu_mem *mem)
{
	device.mapped++;
	return device.result;
}

int vgpu_admin_unmap(struct vgpu_channel *ch, u32 region)
{
	device.unmapped++;
	return device.result;
}

/* Memory: real pages, without the bus. */
static long mems;

struct vgpu_mem *vgpu_mem_alloc(struct vgpu *vgpu, unsigned long npages)
{
	struct vgpu_mem *mem = kzalloc(sizeof(*mem), GFP_KERNEL);

	mem->pages = kcalloc(1, sizeof(*mem->pages), GFP_KERNEL);
	mem->pages[0] = alloc_page(GFP_KERNEL);
	mem->npages = npages;
	mems++;
	return mem;
}

struct vgpu_mem *vgpu_mem_pin(struct vgpu *vgpu, unsigned long addr, unsigned long npages)
{
	return vgpu_mem_alloc(vgpu, npages);
}

void vgpu_mem_dma_unmap(struct vgpu *vgpu, struct vgpu_mem *mem)
{
	mem->mapped = false;
}

void vgpu_mem_free(struct vgpu *vgpu, struct vgpu_mem *mem)
{
	__free_page(mem->pages[0]);
	kfree(mem->pages);
	kfree(mem);
	mems--;
}

static int refs;

void vgpu_put(struct vgpu *vgpu)
{
	refs--;
}

struct state {
	struct vgpu vgpu;
	struct vgpu_channel *ch;
};

static int state_init(struct kunit *test)
{
	struct state *s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);
	struct vgpu *vgpu;
	u32 i;

	if (!s)
		return -ENOMEM;
	/* KUnit runs cases in a kernel thread, which has no address space. */
	if (kunit_attach_mm())
		return -ENOMEM;
	vgpu = &s->vgpu;
	kref_init(&vgpu->ref);
	init_rwsem(&vgpu->gone_lock);
	mutex_init(&vgpu->admin_lock);
	mutex_init(&vgpu->table_lock);
	xa_init_flags(&vgpu->channels, XA_FLAGS_ALLOC);
	vgpu->vectors = 3;
	for (i = 0; i < VGPU_VECTORS; i++) {
		spin_lock_init(&vgpu->vector[i].lock);
		INIT_LIST_HEAD(&vgpu->vector[i].channels);
	}
	memset(&device, 0, sizeof(device));
	mems = 0;
	refs = 1;
	s->ch = vgpu_channel_open(vgpu);
	test->priv = s;
	return s->ch ? 0 : -ENOMEM;
}

static void state_exit(struct kunit *test)
{
	struct state *s = test->priv;

	xa_destroy(&s->vgpu.channels);
	KUNIT_EXPECT_EQ(test, mems, 0);
	KUNIT_EXPECT_EQ(test, refs, 0);
}

static int setup(struct state *s)
{
	struct vgpu_setup setup = {
		.sq_bytes = VGPU_SQ_MIN, .slot_count = 4, .arena_bytes = PAGE_SIZE,
	};

	return vgpu_channel_setup(s->ch, &setup);
}

static u32 event(u32 kind, u32 channel)
{
	return VGPU_EVENT_VALID | kind << 16 | channel;
}

static void not_set_up(struct kunit *test)
{
	struct state *s = test->priv;

	KUNIT_EXPECT_EQ(test, vgpu_channel_usable(s->ch), -ENXIO);
	vgpu_channel_close(s->ch);
	KUNIT_EXPECT_EQ(test, device.created + device.destroyed, 0);
}

static void set_up_once(struct kunit *test)
{
	struct state *s = test->priv;
	struct vgpu_setup bad = { .sq_bytes = 1, .slot_count = 4, .arena_bytes = PAGE_SIZE };

	KUNIT_EXPECT_EQ(test, vgpu_channel_setup(s->ch, &bad), -EINVAL);
	KUNIT_EXPECT_EQ(test, setup(s), 0);
	KUNIT_EXPECT_EQ(test, vgpu_channel_usable(s->ch), 0);
	KUNIT_EXPECT_EQ(test, setup(s), -EBUSY);
	KUNIT_EXPECT_GE(test, s->ch->vector, 1);
	KUNIT_EXPECT_LT(test, s->ch->vector, s->vgpu.vectors);
	vgpu_channel_close(s->ch);
	KUNIT_EXPECT_EQ(test, device.destroyed, 1);
}

/* A host that refuses leaves nothing behind, and may say yes later. */
static void refused_by_the_host(struct kunit *test)
{
	struct state *s = test->priv;

	device.result = -ENOSPC;
	KUNIT_EXPECT_EQ(test, setup(s), -ENOSPC);
	KUNIT_EXPECT_EQ(test, mems, 0);
	KUNIT_EXPECT_TRUE(test, xa_empty(&s->vgpu.channels));
	KUNIT_EXPECT_EQ(test, vgpu_channel_usable(s->ch), -ENXIO);
	device.result = 0;
	KUNIT_EXPECT_EQ(test, setup(s), 0);
	vgpu_channel_close(s->ch);
}

/* Pages stay until the host has let go of them. */
static void close_in_progress(struct kunit *test)
{
	struct state *s = test->priv;
	u32 id;

	KUNIT_ASSERT_EQ(test, setup(s), 0);
	id = s->ch->id;
	device.result = -EINPROGRESS;
	vgpu_channel_close(s->ch);
	KUNIT_EXPECT_EQ(test, mems, 1);
	vgpu_channels_event(&s->vgpu, event(VGPU_EVENT_LOST, id));
	vgpu_channels_event(&s->vgpu, event(VGPU_EVENT_RELEASED, id + 1));
	vgpu_channels_event(&s->vgpu, event(77, id));
	KUNIT_EXPECT_EQ(test, mems, 1);
	vgpu_channels_event(&s->vgpu, event(VGPU_EVENT_RELEASED, id));
	KUNIT_EXPECT_EQ(test, mems, 0);
	vgpu_channels_event(&s->vgpu, event(VGPU_EVENT_RELEASED, id));
}

static void executor_lost(struct kunit *test)
{
	struct state *s = test->priv;
	struct vgpu_wait wait = {};

	KUNIT_ASSERT_EQ(test, setup(s), 0);
	/* A device that says RELEASED of a live channel is not believed. */
	vgpu_channels_event(&s->vgpu, event(VGPU_EVENT_RELEASED, s->ch->id));
	KUNIT_EXPECT_EQ(test, vgpu_channel_usable(s->ch), 0);
	vgpu_channels_event(&s->vgpu, event(VGPU_EVENT_LOST, s->ch->id));
	KUNIT_EXPECT_EQ(test, vgpu_channel_usable(s->ch), -EPIPE);
	KUNIT_EXPECT_EQ(test, vgpu_channel_wait(s->ch, &wait), -EPIPE);
	vgpu_channel_close(s->ch);
}

static void wait_counts(struct kunit *test)
{
	struct state *s = test->priv;
	struct vgpu_wait wait = { .timeout_ns = 1 };

	KUNIT_ASSERT_EQ(test, setup(s), 0);
	KUNIT_EXPECT_EQ(test, vgpu_channel_wait(s->ch, &wait), -ETIMEDOUT);
	atomic_inc(&s->ch->seen);
	KUNIT_EXPECT_EQ(test, vgpu_channel_wait(s->ch, &wait), 0);
	KUNIT_EXPECT_EQ(test, wait.out_seen, 1);
	wait.seen = wait.out_seen;
	KUNIT_EXPECT_EQ(test, vgpu_channel_wait(s->ch, &wait), -ETIMEDOUT);
	vgpu_channel_close(s->ch);
}

static void device_leaves(struct kunit *test)
{
	struct state *s = test->priv;

	KUNIT_ASSERT_EQ(test, setup(s), 0);
	s->vgpu.gone = true;
	vgpu_channels_gone(&s->vgpu);
	KUNIT_EXPECT_EQ(test, vgpu_channel_usable(s->ch), -ENODEV);
	KUNIT_EXPECT_EQ(test, mems, 1);	/* the file still maps it */
	vgpu_channel_close(s->ch);
	KUNIT_EXPECT_EQ(test, device.destroyed, 0);
}

static void regions(struct kunit *test)
{
	struct state *s = test->priv;
	struct vgpu_register reg = { .addr = PAGE_SIZE, .bytes = PAGE_SIZE };

	KUNIT_EXPECT_EQ(test, vgpu_channel_register(s->ch, &reg), -ENXIO);
	KUNIT_ASSERT_EQ(test, setup(s), 0);
	KUNIT_EXPECT_EQ(test, vgpu_channel_register(s->ch, &reg), 0);
	KUNIT_EXPECT_EQ(test, mems, 2);
	/* The executor still maps it: nothing is given back. */
	device.result = -EBUSY;
	KUNIT_EXPECT_EQ(test, vgpu_channel_unregister(s->ch, reg.out_region), -EBUSY);
	KUNIT_EXPECT_EQ(test, mems, 2);
	device.result = 0;
	KUNIT_EXPECT_EQ(test, vgpu_channel_unregister(s->ch, reg.out_region), 0);
	KUNIT_EXPECT_EQ(test, vgpu_channel_unregister(s->ch, reg.out_region), -EINVAL);
	device.result = -ENOSPC;
	KUNIT_EXPECT_EQ(test, vgpu_channel_register(s->ch, &reg), -ENOSPC);
	KUNIT_EXPECT_EQ(test, mems, 1);
	device.result = 0;
	KUNIT_EXPECT_EQ(test, vgpu_channel_register(s->ch, &reg), 0);
	vgpu_channel_close(s->ch);	/* with a region still registered */
}

static struct kunit_case cases[] = {
	KUNIT_CASE(not_set_up), KUNIT_CASE(set_up_once), KUNIT_CASE(refused_by_the_host),
	KUNIT_CASE(close_in_progress), KUNIT_CASE(executor_lost), KUNIT_CASE(wait_counts),
	KUNIT_CASE(device_leaves), KUNIT_CASE(regions), {}
};

static struct kunit_suite channel_suite = {
	.name = "vgpu_guest_channel", .init = state_init, .exit = state_exit, .test_cases = cases,
};

kunit_test_suite(channel_suite);

MODULE_DESCRIPTION("KUnit suites of vgpu_guest");
MODULE_LICENSE("GPL");
