// SPDX-License-Identifier: GPL-2.0
/*
 * The life of a channel in the guest, over a device that answers admin
 * commands as it is told to, and the accounts of users.
 */
#include <kunit/test.h>
#include <linux/cred.h>
#include <linux/module.h>
#include <linux/slab.h>

/* The device: what the next command returns, and what was asked. */
static struct {
	int result;
	int destroy_result;	/* of DESTROY, if it is not `result` */
	u32 created, destroyed, mapped, unmapped;
	void *lose;	/* the state whose channel is lost while it is created */
} device;

static void lose_channel(void *state, u32 id);

#include "../channel.c"
#include "../account.c"

int vgpu_admin_create(struct vgpu_channel *ch, struct vgpu_mem *mem)
{
	device.created++;
	if (device.lose)
		lose_channel(device.lose, ch->id);
	return device.result;
}

int vgpu_admin_destroy(struct vgpu_channel *ch)
{
	device.destroyed++;
	return device.destroy_result ? device.destroy_result : device.result;
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

/*
 * Memory: real pages, without the bus.  Taking and giving it may last as long as
 * a page fault or the freeing of 1 GiB, so no lock is held meanwhile.
 */
static long mems;
static struct vgpu *the_vgpu;
static bool lock_held;

static void expect_no_lock(void)
{
	if (rwsem_is_locked(&the_vgpu->gone_lock) || mutex_is_locked(&the_vgpu->table_lock) ||
	    mutex_is_locked(&the_vgpu->admin_lock))
		lock_held = true;
}

struct vgpu_mem *vgpu_mem_alloc(unsigned long npages)
{
	struct vgpu_mem *mem = kzalloc(sizeof(*mem), GFP_KERNEL);

	expect_no_lock();
	mem->pages = kcalloc(1, sizeof(*mem->pages), GFP_KERNEL);
	mem->pages[0] = alloc_page(GFP_KERNEL);
	mem->npages = npages;
	mems++;
	return mem;
}

struct vgpu_mem *vgpu_mem_pin(unsigned long addr, unsigned long npages)
{
	return vgpu_mem_alloc(npages);
}

int vgpu_mem_dma_map(struct vgpu *vgpu, struct vgpu_mem *mem)
{
	mem->mapped = true;
	return 0;
}

void vgpu_mem_dma_unmap(struct vgpu *vgpu, struct vgpu_mem *mem)
{
	mem->mapped = false;
}

void vgpu_mem_free(struct vgpu_mem *mem)
{
	expect_no_lock();
	if (mem->mapped)
		lock_held = true;	/* the device has its addresses */
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
	INIT_LIST_HEAD(&vgpu->kept);
	for (i = 0; i < VGPU_VECTORS; i++)
		init_waitqueue_head(&vgpu->vector[i].wq);
	the_vgpu = vgpu;
	lock_held = false;
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
	KUNIT_EXPECT_FALSE(test, lock_held);
	KUNIT_EXPECT_EQ(test, s->vgpu.undestroyed, 0);
}

/* One more file on the device, beside s->ch. */
static struct vgpu_channel *open_another(struct state *s)
{
	refs++;
	return vgpu_channel_open(&s->vgpu);
}

static int setup_channel(struct vgpu_channel *ch)
{
	struct vgpu_setup setup = {
		.sq_bytes = VGPU_SQ_MIN, .slot_count = 4, .arena_bytes = PAGE_SIZE,
	};

	return vgpu_channel_setup(ch, &setup);
}

static int setup(struct state *s)
{
	return setup_channel(s->ch);
}

/* As the interrupt's thread does. */
static void tell(struct state *s, u32 kind, u32 channel)
{
	LIST_HEAD(out);

	down_read(&s->vgpu.gone_lock);
	vgpu_channels_event(&s->vgpu, VGPU_EVENT_VALID | kind << 16 | channel, &out);
	up_read(&s->vgpu.gone_lock);
	vgpu_channels_put(&out);
}

/* An event in the middle of CREATE; the thread has gone_lock already. */
static void lose_channel(void *state, u32 id)
{
	struct state *s = state;
	LIST_HEAD(out);

	vgpu_channels_event(&s->vgpu, VGPU_EVENT_VALID | VGPU_EVENT_LOST << 16 | id, &out);
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
	tell(s, VGPU_EVENT_LOST, id);
	tell(s, VGPU_EVENT_RELEASED, id + 1);
	tell(s, 77, id);
	KUNIT_EXPECT_EQ(test, mems, 1);
	tell(s, VGPU_EVENT_RELEASED, id);
	KUNIT_EXPECT_EQ(test, mems, 0);
	tell(s, VGPU_EVENT_RELEASED, id);
}

static void executor_lost(struct kunit *test)
{
	struct state *s = test->priv;
	struct vgpu_wait wait = {};

	KUNIT_ASSERT_EQ(test, setup(s), 0);
	/* A device that says RELEASED of a live channel is not believed. */
	tell(s, VGPU_EVENT_RELEASED, s->ch->id);
	KUNIT_EXPECT_EQ(test, vgpu_channel_usable(s->ch), 0);
	tell(s, VGPU_EVENT_LOST, s->ch->id);
	KUNIT_EXPECT_EQ(test, vgpu_channel_usable(s->ch), -EPIPE);
	KUNIT_EXPECT_EQ(test, vgpu_channel_wait(s->ch, &wait), -EPIPE);
	vgpu_channel_close(s->ch);
}

/* What the host says of why reaches the program, and what nobody has defined does not. */
static void refused_with_a_reason(struct kunit *test)
{
	static const struct { u32 why; int err; } said[] = {
		{ VGPU_WHY_DRAINED, -ESHUTDOWN }, { VGPU_WHY_QUARANTINED, -EKEYREVOKED },
		{ VGPU_WHY_LIMIT, -EUSERS }, { 4, -EPIPE }, { 0x7f, -EPIPE },
	};
	struct state *s = test->priv;
	struct vgpu_channel *first = s->ch, *ch;
	struct vgpu_wait wait = {};
	int i;

	for (i = 0; i < ARRAY_SIZE(said); i++) {
		ch = i ? open_another(s) : first;
		KUNIT_ASSERT_EQ(test, setup_channel(ch), 0);
		tell(s, said[i].why << 8 | VGPU_EVENT_LOST, ch->id);
		KUNIT_EXPECT_EQ(test, vgpu_channel_wait(ch, &wait), said[i].err);
		KUNIT_EXPECT_EQ(test, vgpu_channel_usable(ch), said[i].err);
		vgpu_channel_close(ch);
	}
}

static void wait_counts(struct kunit *test)
{
	struct state *s = test->priv;
	struct vgpu_wait wait = { .timeout_ns = 1 };

	KUNIT_ASSERT_EQ(test, setup(s), 0);
	KUNIT_EXPECT_EQ(test, vgpu_channel_wait(s->ch, &wait), -ETIMEDOUT);
	atomic_inc(&s->vgpu.vector[s->ch->vector].seen);
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
	vgpu_channels_drop(&s->vgpu, true);
	KUNIT_EXPECT_EQ(test, vgpu_channel_usable(s->ch), -ENODEV);
	KUNIT_EXPECT_EQ(test, mems, 1);	/* the file still maps it */
	vgpu_channel_close(s->ch);
	KUNIT_EXPECT_EQ(test, device.destroyed, 0);
}

/* A host that may still have a channel keeps its pages and its id. */
static void destroy_fails(struct kunit *test)
{
	static const int errors[] = { -ENOMEM, -EFAULT, -EINTR, -EIO, -ENODEV };
	struct state *s = test->priv;
	struct vgpu_channel *old;
	u32 id, i;

	KUNIT_ASSERT_EQ(test, setup(s), 0);
	old = s->ch;
	id = old->id;
	device.result = errors[0];
	vgpu_channel_close(old);
	KUNIT_EXPECT_EQ(test, mems, 1);
	KUNIT_EXPECT_PTR_EQ(test, xa_load(&s->vgpu.channels, id), old);

	/* The next SETUP asks again, whatever becomes of it. */
	s->ch = open_another(s);
	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		device.destroy_result = errors[i];
		device.result = -ENOSPC;
		KUNIT_EXPECT_EQ(test, setup(s), -ENOSPC);
		KUNIT_EXPECT_EQ(test, mems, 1);
	}
	KUNIT_EXPECT_EQ(test, device.destroyed, 1 + ARRAY_SIZE(errors));
	device.destroy_result = 0;
	device.result = 0;
	KUNIT_EXPECT_EQ(test, setup(s), 0);
	KUNIT_EXPECT_EQ(test, mems, 1);
	KUNIT_EXPECT_EQ(test, s->vgpu.undestroyed, 0);
	vgpu_channel_close(s->ch);
	KUNIT_EXPECT_EQ(test, mems, 0);
}

/* A reset: old files get an error and have no say in the channels of new ones. */
static void reset_under_a_program(struct kunit *test)
{
	struct state *s = test->priv;
	struct vgpu_register reg = { .addr = PAGE_SIZE, .bytes = PAGE_SIZE };
	struct vgpu_channel *new;
	u32 id;

	KUNIT_ASSERT_EQ(test, setup(s), 0);
	KUNIT_EXPECT_EQ(test, vgpu_channel_register(s->ch, &reg), 0);
	id = s->ch->id;
	s->vgpu.offline = true;
	vgpu_channels_drop(&s->vgpu, true);
	KUNIT_EXPECT_EQ(test, vgpu_channel_usable(s->ch), -EPIPE);
	KUNIT_EXPECT_EQ(test, vgpu_channel_register(s->ch, &reg), -EPIPE);
	KUNIT_EXPECT_EQ(test, vgpu_channel_unregister(s->ch, reg.out_region), -EPIPE);
	KUNIT_EXPECT_EQ(test, mems, 2);	/* the file still maps them */
	new = open_another(s);
	KUNIT_EXPECT_EQ(test, setup_channel(new), -ENODEV);
	s->vgpu.offline = false;
	KUNIT_EXPECT_EQ(test, setup_channel(new), 0);
	KUNIT_EXPECT_EQ(test, new->id, id);
	vgpu_channel_close(s->ch);
	KUNIT_EXPECT_EQ(test, device.destroyed, 0);
	KUNIT_EXPECT_EQ(test, mems, 1);
	KUNIT_EXPECT_EQ(test, vgpu_channel_usable(new), 0);
	vgpu_channel_close(new);
	KUNIT_EXPECT_EQ(test, device.destroyed, 1);
}

/* A reset that the host does not complete: nothing is freed before it does. */
static void reset_times_out(struct kunit *test)
{
	struct state *s = test->priv;
	struct vgpu_channel *closed = s->ch;

	KUNIT_ASSERT_EQ(test, setup(s), 0);
	device.result = -EINPROGRESS;
	vgpu_channel_close(closed);
	device.result = 0;
	s->ch = open_another(s);
	KUNIT_ASSERT_EQ(test, setup(s), 0);
	s->vgpu.offline = true;
	vgpu_channels_drop(&s->vgpu, false);
	KUNIT_EXPECT_TRUE(test, xa_empty(&s->vgpu.channels));
	KUNIT_EXPECT_EQ(test, mems, 2);
	vgpu_channel_close(s->ch);
	KUNIT_EXPECT_EQ(test, mems, 2);
	vgpu_channels_drop(&s->vgpu, false);
	KUNIT_EXPECT_EQ(test, mems, 2);
	vgpu_channels_drop(&s->vgpu, true);
	KUNIT_EXPECT_EQ(test, mems, 0);
}

/* The executor may be lost before SETUP returns, and that is not forgotten. */
static void lost_while_starting(struct kunit *test)
{
	struct state *s = test->priv;

	device.lose = s;
	KUNIT_EXPECT_EQ(test, setup(s), 0);
	device.lose = NULL;
	KUNIT_EXPECT_EQ(test, vgpu_channel_usable(s->ch), -EPIPE);
	vgpu_channel_close(s->ch);
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

/* Answers that do not say whether the host has the pages of a CREATE or MAP. */
static const int unclear_answers[] = { -EIO, -ENODEV, -EINPROGRESS, -EBUSY, -ETIMEDOUT, -4095 };

/* The pages of a CREATE without a clear answer stay until DESTROY gets one. */
static void create_is_unclear(struct kunit *test)
{
	struct state *s = test->priv;
	struct vgpu_channel *next;
	u32 i, id;

	for (i = 0; i < ARRAY_SIZE(unclear_answers); i++) {
		int ret = unclear_answers[i];

		device.result = ret;
		KUNIT_EXPECT_EQ(test, setup(s), ret == -ENODEV ? ret : -EIO);
		KUNIT_EXPECT_EQ(test, mems, 1);
		id = s->ch->id;
		KUNIT_EXPECT_PTR_EQ(test, xa_load(&s->vgpu.channels, id), s->ch);
		KUNIT_EXPECT_EQ(test, vgpu_channel_usable(s->ch), -EPIPE);
		/* Its file is of no use any more, and the id is not another's. */
		device.result = 0;
		KUNIT_EXPECT_EQ(test, setup(s), -EBUSY);
		next = open_another(s);
		KUNIT_EXPECT_EQ(test, setup_channel(next), 0);
		KUNIT_EXPECT_NE(test, next->id, id);
		vgpu_channel_close(next);
		/* DESTROY is not answered at first either. */
		device.result = -EIO;
		vgpu_channel_close(s->ch);
		KUNIT_EXPECT_EQ(test, mems, 1);
		KUNIT_EXPECT_EQ(test, s->vgpu.undestroyed, 1);
		device.result = -ENOENT;
		s->ch = open_another(s);
		KUNIT_EXPECT_EQ(test, setup(s), -ENOENT);	/* asks again */
		KUNIT_EXPECT_EQ(test, mems, 0);
	}
	vgpu_channel_close(s->ch);
}

/* The host may say later that it had the channel, or do a reset. */
static void create_was_done(struct kunit *test)
{
	struct state *s = test->priv;
	u32 id;

	device.result = -EIO;
	KUNIT_EXPECT_EQ(test, setup(s), -EIO);
	id = s->ch->id;
	tell(s, VGPU_EVENT_RELEASED, id);	/* not before DESTROY */
	KUNIT_EXPECT_EQ(test, mems, 1);
	device.result = -EINPROGRESS;
	vgpu_channel_close(s->ch);
	KUNIT_EXPECT_EQ(test, mems, 1);
	tell(s, VGPU_EVENT_RELEASED, id);
	KUNIT_EXPECT_EQ(test, mems, 0);

	s->ch = open_another(s);
	device.result = -EIO;
	KUNIT_EXPECT_EQ(test, setup(s), -EIO);
	vgpu_channel_close(s->ch);
	s->vgpu.offline = true;
	vgpu_channels_drop(&s->vgpu, false);
	KUNIT_EXPECT_EQ(test, mems, 1);
	vgpu_channels_drop(&s->vgpu, true);
	KUNIT_EXPECT_EQ(test, mems, 0);
}

/* The pages of a MAP without a clear answer stay as long as the channel does. */
static void map_is_unclear(struct kunit *test)
{
	struct state *s = test->priv;
	struct vgpu_register reg = { .addr = PAGE_SIZE, .bytes = PAGE_SIZE };
	u32 i, id;

	KUNIT_ASSERT_EQ(test, setup(s), 0);
	for (i = 0; i < ARRAY_SIZE(unclear_answers); i++) {
		int ret = unclear_answers[i];

		device.result = ret;
		KUNIT_EXPECT_EQ(test, vgpu_channel_register(s->ch, &reg),
				ret == -ENODEV ? ret : -EIO);
		KUNIT_EXPECT_EQ(test, mems, 2 + i);
		KUNIT_EXPECT_EQ(test, atomic64_read(&s->ch->pinned), 1 + i);
	}
	/* The channel can be used on, and the ids are not given out again. */
	device.result = 0;
	KUNIT_EXPECT_EQ(test, vgpu_channel_register(s->ch, &reg), 0);
	KUNIT_EXPECT_EQ(test, reg.out_region, ARRAY_SIZE(unclear_answers));
	KUNIT_EXPECT_EQ(test, vgpu_channel_unregister(s->ch, reg.out_region), 0);
	KUNIT_EXPECT_EQ(test, mems, 1 + ARRAY_SIZE(unclear_answers));
	id = s->ch->id;
	device.result = -EINPROGRESS;
	vgpu_channel_close(s->ch);
	KUNIT_EXPECT_EQ(test, mems, 1 + ARRAY_SIZE(unclear_answers));
	tell(s, VGPU_EVENT_RELEASED, id);
	KUNIT_EXPECT_EQ(test, mems, 0);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(not_set_up), KUNIT_CASE(set_up_once), KUNIT_CASE(refused_by_the_host),
	KUNIT_CASE(close_in_progress), KUNIT_CASE(executor_lost),
	KUNIT_CASE(refused_with_a_reason), KUNIT_CASE(wait_counts),
	KUNIT_CASE(device_leaves), KUNIT_CASE(destroy_fails),
	KUNIT_CASE(reset_under_a_program), KUNIT_CASE(reset_times_out),
	KUNIT_CASE(lost_while_starting), KUNIT_CASE(regions),
	KUNIT_CASE(create_is_unclear), KUNIT_CASE(create_was_done), KUNIT_CASE(map_is_unclear), {}
};

static struct kunit_suite channel_suite = {
	.name = "vgpu_guest_channel", .init = state_init, .exit = state_exit, .test_cases = cases,
};

/* Accounts, as somebody without capabilities finds them. */

static const struct cred *become(kuid_t uid)
{
	struct cred *cred = prepare_creds();

	if (!cred)
		return NULL;
	cred->uid = uid;
	cap_clear(cred->cap_effective);
	return override_creds(cred);
}

static void back(const struct cred *old)
{
	put_cred(revert_creds(old));
}

static int charge(struct kunit *test, unsigned long pages, bool lock)
{
	struct vgpu_account *account = vgpu_account_charge(pages, lock);

	if (IS_ERR(account))
		return PTR_ERR(account);
	test->priv = account;
	return 0;
}

static void limits_of_users(struct kunit *test)
{
	const unsigned long mib = SZ_1M >> PAGE_SHIFT;
	struct vgpu_account *first;
	const struct cred *old;

	pin_limit = 10;
	user_limit = 6;
	old = become(KUIDT_INIT(1000));
	KUNIT_ASSERT_NOT_NULL(test, old);
	KUNIT_EXPECT_EQ(test, charge(test, 7 * mib, false), -ENOSPC);
	KUNIT_EXPECT_EQ(test, charge(test, 6 * mib, false), 0);
	first = test->priv;
	KUNIT_EXPECT_EQ(test, charge(test, 1, false), -ENOSPC);
	back(old);

	/* Another user has limits of its own, and all have one together. */
	old = become(KUIDT_INIT(1001));
	KUNIT_EXPECT_EQ(test, charge(test, 5 * mib, false), -ENOSPC);
	KUNIT_EXPECT_EQ(test, charge(test, 4 * mib, false), 0);
	vgpu_account_uncharge(test->priv, 4 * mib, false);
	back(old);

	/* CAP_IPC_LOCK passes the user's limit and not the one of all. */
	KUNIT_EXPECT_EQ(test, charge(test, ~0ul, false), -ENOSPC);
	vgpu_account_uncharge(first, 6 * mib, false);
	KUNIT_EXPECT_EQ(test, charge(test, 10 * mib + 1, false), -ENOSPC);
	KUNIT_EXPECT_EQ(test, charge(test, 10 * mib, true), 0);
	vgpu_account_uncharge(test->priv, 10 * mib, true);
	KUNIT_EXPECT_TRUE(test, list_empty(&accounts));
	KUNIT_EXPECT_EQ(test, account_total, 0);
}

static void limit_of_locked_memory(struct kunit *test)
{
	unsigned long pages = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	struct vgpu_account *first;
	const struct cred *old;

	pin_limit = 1 << 10;
	user_limit = 0;
	KUNIT_ASSERT_GT(test, pages, 2);
	KUNIT_ASSERT_LT(test, pages, account_user_max());
	old = become(KUIDT_INIT(1000));
	KUNIT_ASSERT_NOT_NULL(test, old);
	KUNIT_EXPECT_EQ(test, charge(test, pages + 1, true), -ENOSPC);
	KUNIT_EXPECT_EQ(test, charge(test, pages - 1, true), 0);
	first = test->priv;
	KUNIT_EXPECT_EQ(test, charge(test, 2, true), -ENOSPC);
	KUNIT_EXPECT_EQ(test, charge(test, 2, false), 0);	/* a channel's */
	vgpu_account_uncharge(test->priv, 2, false);
	memlock = false;
	KUNIT_EXPECT_EQ(test, charge(test, 2, true), 0);
	vgpu_account_uncharge(test->priv, 2, true);
	memlock = true;
	vgpu_account_uncharge(first, pages - 1, true);
	back(old);
	KUNIT_EXPECT_TRUE(test, list_empty(&accounts));
}

static struct kunit_case account_cases[] = {
	KUNIT_CASE(limits_of_users), KUNIT_CASE(limit_of_locked_memory), {}
};

static struct kunit_suite account_suite = {
	.name = "vgpu_guest_account", .test_cases = account_cases,
};

kunit_test_suites(&channel_suite, &account_suite);

MODULE_DESCRIPTION("KUnit suites of vgpu_guest");
MODULE_LICENSE("GPL");
