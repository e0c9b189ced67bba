// SPDX-License-Identifier: GPL-2.0
#include <vgpu/layout.h>

#include "fake.h"

#define CMD (200 * PAGE_SIZE)

static u32 run(struct fake *f, const void *cmd, u32 bytes)
{
	memcpy(fake_mem(f, CMD), cmd, bytes);
	return vgpu_admin_run(&f->vgpu, CMD, bytes);
}

static void heads(struct kunit *test)
{
	struct fake *f = fake_lock(test);
	struct vgpu_adm_head head = { .size = sizeof(head), .op = VGPU_ADM_DESTROY };

	s64 before = atomic64_read(&f->vgpu.bytes_read);

	KUNIT_EXPECT_EQ(test, run(f, &head, sizeof(head)), ENOENT);
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->vgpu.bytes_read), before + sizeof(head));
	KUNIT_EXPECT_EQ(test, run(f, &head, sizeof(head) - 4), EINVAL);
	KUNIT_EXPECT_EQ(test, run(f, &head, sizeof(head) + 4), EINVAL);
	KUNIT_EXPECT_EQ(test, vgpu_admin_run(&f->vgpu, CMD, 0), EINVAL);
	KUNIT_EXPECT_EQ(test, vgpu_admin_run(&f->vgpu, CMD, VGPU_ADM_BYTES_MAX + 1), EINVAL);
	KUNIT_EXPECT_EQ(test, vgpu_admin_run(&f->vgpu, 1ull << 40, sizeof(head)), EFAULT);
	head.flags = 1;
	KUNIT_EXPECT_EQ(test, run(f, &head, sizeof(head)), EINVAL);
	head.flags = 0;
	for (head.op = 0; head.op < 1000; head.op += head.op < 8 ? 1 : 97)
		if (head.op < VGPU_ADM_CREATE || head.op > VGPU_ADM_UNMAP)
			KUNIT_EXPECT_EQ(test, run(f, &head, sizeof(head)), EOPNOTSUPP);
	head.op = ~0u;
	KUNIT_EXPECT_EQ(test, run(f, &head, sizeof(head)), EOPNOTSUPP);
	fake_unlock(test);
}

static void lengths(struct kunit *test)
{
	struct fake *f = fake_lock(test);
	u8 buf[256] = {};
	struct vgpu_adm_unmap *cmd = (void *)buf;

	cmd->head.op = VGPU_ADM_UNMAP;
	cmd->head.size = sizeof(*cmd) - 4;
	KUNIT_EXPECT_EQ(test, run(f, buf, sizeof(*cmd) - 4), EINVAL);
	cmd->head.size = sizeof(buf);
	KUNIT_EXPECT_EQ(test, run(f, buf, sizeof(buf)), ENOENT);	/* long, zeros */
	buf[255] = 1;
	KUNIT_EXPECT_EQ(test, run(f, buf, sizeof(buf)), E2BIG);
	buf[255] = 0;
	cmd->reserved = 1;
	KUNIT_EXPECT_EQ(test, run(f, buf, sizeof(buf)), EINVAL);
	fake_unlock(test);
}

static void create_fields(struct kunit *test)
{
	struct fake *f = fake_lock(test);
	struct vgpu_adm_create good = {
		.head = { .size = sizeof(good), .op = VGPU_ADM_CREATE, .channel = 3 },
		.vector = 1,
		.list = FAKE_LIST,
	}, c;

	KUNIT_ASSERT_EQ(test, vgpu_layout_make(VGPU_SQ_MIN, 4, PAGE_SIZE, &good.layout), 0);
	fake_list(f, FAKE_LIST, 2 * PAGE_SIZE, good.layout.total_bytes >> PAGE_SHIFT);

#define EXPECT_REFUSED(field, value)                                    \
	do {                                                            \
		c = good;                                               \
		c.field = (value);                                      \
		KUNIT_EXPECT_EQ(test, run(f, &c, sizeof(c)), EINVAL);   \
	} while (0)
	EXPECT_REFUSED(head.channel, VGPU_CHANNELS);
	EXPECT_REFUSED(head.channel, ~0u);
	EXPECT_REFUSED(vector, 0);
	EXPECT_REFUSED(vector, VGPU_VECTORS);
	EXPECT_REFUSED(layout.sq_off, 0);
	EXPECT_REFUSED(layout.sq_bytes, 3 * VGPU_SQ_MIN);
	EXPECT_REFUSED(layout.slot_off, ~0u);
	EXPECT_REFUSED(layout.slot_count, 0);
	EXPECT_REFUSED(layout.slot_count, 5);
	EXPECT_REFUSED(layout.arena_off, 0);
	EXPECT_REFUSED(layout.arena_bytes, 2 * PAGE_SIZE);
	EXPECT_REFUSED(layout.total_bytes, PAGE_SIZE);
	EXPECT_REFUSED(layout.total_bytes, ~0ull);
	KUNIT_EXPECT_EQ(test, fake_pinned(f), 0);

	KUNIT_EXPECT_EQ(test, run(f, &good, sizeof(good)), 0);
	KUNIT_EXPECT_EQ(test, run(f, &good, sizeof(good)), EEXIST);
	fake_unlock(test);
}

static void map_fields(struct kunit *test)
{
	struct fake *f = fake_lock(test);
	struct vgpu_adm_map good = {
		.head = { .size = sizeof(good), .op = VGPU_ADM_MAP, .channel = 7 },
		.region = 9, .va = 0x7000, .bytes = 2 * PAGE_SIZE, .list = 100 * PAGE_SIZE,
	}, c;
	struct vgpu_adm_unmap unmap = {
		.head = { .size = sizeof(unmap), .op = VGPU_ADM_UNMAP, .channel = 7 }, .region = 9,
	};

	KUNIT_EXPECT_EQ(test, run(f, &good, sizeof(good)), ENOENT);
	KUNIT_ASSERT_EQ(test, fake_channel(test), 0);
	fake_list(f, 100 * PAGE_SIZE, 101 * PAGE_SIZE, 2);
	EXPECT_REFUSED(reserved, 1);
	EXPECT_REFUSED(region, VGPU_REGIONS);
	EXPECT_REFUSED(va, 1);
	EXPECT_REFUSED(bytes, 0);
	EXPECT_REFUSED(bytes, VGPU_REGION_BYTES_MAX + PAGE_SIZE);
	EXPECT_REFUSED(bytes, PAGE_SIZE);
#undef EXPECT_REFUSED
	KUNIT_EXPECT_EQ(test, run(f, &good, sizeof(good)), 0);
	KUNIT_EXPECT_EQ(test, run(f, &good, sizeof(good)), EEXIST);
	KUNIT_EXPECT_EQ(test, run(f, &unmap, sizeof(unmap)), 0);
	KUNIT_EXPECT_EQ(test, run(f, &unmap, sizeof(unmap)), ENOENT);
	fake_unlock(test);
}

static void by_register(struct kunit *test)
{
	struct fake *f = fake_lock(test);
	struct vgpu_adm_head head = { .size = sizeof(head), .op = VGPU_ADM_DESTROY, .channel = 7 };

	KUNIT_ASSERT_EQ(test, fake_channel(test), 0);
	memcpy(fake_mem(f, CMD), &head, sizeof(head));
	mutex_unlock(&f->vgpu.admin_lock);
	vgpu_bar_write(&f->vgpu, VGPU_REG_ADMIN_LO, lower_32_bits(CMD));
	vgpu_bar_write(&f->vgpu, VGPU_REG_ADMIN_HI, upper_32_bits(CMD));
	vgpu_bar_write(&f->vgpu, VGPU_REG_ADMIN_KICK, sizeof(head));
	KUNIT_EXPECT_EQ(test, vgpu_bar_read(&f->vgpu, VGPU_REG_ADMIN_RESULT), 0);
	vgpu_bar_write(&f->vgpu, VGPU_REG_ADMIN_KICK, sizeof(head));
	KUNIT_EXPECT_EQ(test, vgpu_bar_read(&f->vgpu, VGPU_REG_ADMIN_RESULT), ENOENT);
	KUNIT_EXPECT_EQ(test, vgpu_bar_read(&f->vgpu, VGPU_REG_MAGIC), VGPU_DEV_MAGIC);
	KUNIT_EXPECT_EQ(test, vgpu_bar_read(&f->vgpu, 0xffc), ~0u);
	mutex_lock(&f->vgpu.admin_lock);
	fake_unlock(test);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(heads), KUNIT_CASE(lengths), KUNIT_CASE(create_fields),
	KUNIT_CASE(map_fields), KUNIT_CASE(by_register), {}
};

struct kunit_suite admin_suite = {
	.name = "vgpu_host_admin", .init = fake_init, .exit = fake_exit, .test_cases = cases,
};
