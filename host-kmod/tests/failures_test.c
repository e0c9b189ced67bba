// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation of an admin command fails once, by current->fail_nth.
 * The command then says ENOMEM and leaves nothing behind, or succeeds in spite of it.
 */
#include <linux/fault-inject.h>
#include <linux/sched.h>
#include <vgpu/layout.h>

#include "fake.h"

#define CMD (200 * PAGE_SIZE)
#define POINTS_MAX 100

static u32 run_failing(struct fake *f, u32 bytes, int nth, bool *injected)
{
	u32 ret;

	WRITE_ONCE(current->fail_nth, nth);
	ret = vgpu_admin_run(&f->vgpu, CMD, bytes);
	*injected = !READ_ONCE(current->fail_nth);
	WRITE_ONCE(current->fail_nth, 0);
	return ret;
}

/* `undo` takes back what the command at CMD has done, if it has. */
static int sweep(struct kunit *test, const char *name, const void *cmd, u32 bytes,
		 void (*undo)(struct fake *f))
{
	struct fake *f = test->priv;
	int nth, pinned = fake_pinned(f);
	s64 counted = atomic64_read(&f->vgpu.pinned_pages);
	bool injected;
	u32 ret;

	memcpy(fake_mem(f, CMD), cmd, bytes);
	for (nth = 1; nth < POINTS_MAX; nth++) {
		ret = run_failing(f, bytes, nth, &injected);
		if (ret)
			KUNIT_EXPECT_EQ(test, ret, ENOMEM);
		else
			undo(f);
		KUNIT_EXPECT_EQ(test, fake_pinned(f), pinned);
		KUNIT_EXPECT_EQ(test, atomic64_read(&f->vgpu.pinned_pages), counted);
		if (!injected)
			break;
	}
	KUNIT_EXPECT_EQ(test, ret, 0);
	KUNIT_EXPECT_LT(test, nth, POINTS_MAX);
	kunit_info(test, "%s: %d points swept\n", name, nth - 1);
	return nth - 1;
}

static void undo_create(struct fake *f)
{
	vgpu_channel_destroy(&f->vgpu, 3);
}

static void undo_map(struct fake *f)
{
	vgpu_channel_unmap(&f->vgpu, 7, 9);
}

static void create(struct kunit *test)
{
	struct fake *f = fake_lock(test);
	struct vgpu_adm_create cmd = {
		.head = { .size = sizeof(cmd), .op = VGPU_ADM_CREATE, .channel = 3 },
		.vector = 1, .list = FAKE_LIST,
	};

	KUNIT_ASSERT_EQ(test, vgpu_layout_make(VGPU_SQ_MIN, 4, PAGE_SIZE, &cmd.layout), 0);
	fake_list(f, FAKE_LIST, 2 * PAGE_SIZE, cmd.layout.total_bytes >> PAGE_SHIFT);
	KUNIT_EXPECT_GE(test, sweep(test, "CREATE", &cmd, sizeof(cmd), undo_create), 6);
	fake_unlock(test);
}

static void map_and_unmap(struct kunit *test)
{
	struct fake *f = fake_lock(test);
	struct vgpu_adm_map map = {
		.head = { .size = sizeof(map), .op = VGPU_ADM_MAP, .channel = 7 },
		.region = 9, .va = 0x7000, .bytes = 2 * PAGE_SIZE, .list = 100 * PAGE_SIZE,
	};
	struct vgpu_adm_head destroy = {
		.size = sizeof(destroy), .op = VGPU_ADM_DESTROY, .channel = 7,
	};
	bool injected;

	KUNIT_ASSERT_EQ(test, fake_channel(test), 0);
	fake_list(f, 100 * PAGE_SIZE, 101 * PAGE_SIZE, 2);
	KUNIT_EXPECT_GE(test, sweep(test, "MAP", &map, sizeof(map), undo_map), 5);

	/* DESTROY without memory for the command leaves the channel as it is. */
	memcpy(fake_mem(f, CMD), &destroy, sizeof(destroy));
	KUNIT_EXPECT_EQ(test, run_failing(f, sizeof(destroy), 1, &injected), ENOMEM);
	KUNIT_EXPECT_TRUE(test, injected);
	KUNIT_EXPECT_NOT_NULL(test, xa_load(&f->vgpu.channels, 7));
	KUNIT_EXPECT_EQ(test, vgpu_channel_destroy(&f->vgpu, 7), 0);
	fake_unlock(test);
}

static struct kunit_case cases[] = { KUNIT_CASE(create), KUNIT_CASE(map_and_unmap), {} };

struct kunit_suite failures_suite = {
	.name = "vgpu_host_failures", .init = fake_init, .exit = fake_exit, .test_cases = cases,
};
