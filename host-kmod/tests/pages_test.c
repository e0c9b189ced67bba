// SPDX-License-Identifier: GPL-2.0
#include "fake.h"

static struct vgpu_adm_list *one_run(struct kunit *test, u64 addr, u64 bytes)
{
	struct vgpu_adm_list *l = kunit_kzalloc(test, sizeof(*l), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, l);
	l->count = 1;
	l->run[0].addr = addr;
	l->run[0].bytes = bytes;
	return l;
}

static int check(struct vgpu_adm_list *l, u64 left)
{
	return vgpu_list_check(l, &left);
}

static void list_bounds(struct kunit *test)
{
	struct vgpu_adm_list *l = one_run(test, PAGE_SIZE, PAGE_SIZE);

	KUNIT_EXPECT_EQ(test, check(l, PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, check(l, 2 * PAGE_SIZE), -EINVAL);	/* ends early */
	l->next = PAGE_SIZE;
	KUNIT_EXPECT_EQ(test, check(l, PAGE_SIZE), -EINVAL);		/* goes on */
	KUNIT_EXPECT_EQ(test, check(l, 2 * PAGE_SIZE), -EINVAL);	/* is not full */
	l->next = 0;
	l->reserved = 1;
	KUNIT_EXPECT_EQ(test, check(l, PAGE_SIZE), -EINVAL);
	l->reserved = 0;
	l->count = 0;
	KUNIT_EXPECT_EQ(test, check(l, PAGE_SIZE), -EINVAL);
	l->count = VGPU_ADM_RUNS + 1;
	KUNIT_EXPECT_EQ(test, check(l, PAGE_SIZE), -EINVAL);
	l->count = ~0u;
	KUNIT_EXPECT_EQ(test, check(l, PAGE_SIZE), -EINVAL);
}

/* Only the last page of a list may have fewer than VGPU_ADM_RUNS runs. */
static void full_pages(struct kunit *test)
{
	struct vgpu_adm_list *l = one_run(test, PAGE_SIZE, PAGE_SIZE);
	u64 left = (VGPU_ADM_RUNS + 1) * PAGE_SIZE;
	u32 i;

	for (i = 0; i < VGPU_ADM_RUNS; i++)
		l->run[i] = l->run[0];
	l->next = PAGE_SIZE;
	l->count = VGPU_ADM_RUNS;
	/* More than the command named, also where the list goes on. */
	KUNIT_EXPECT_EQ(test, check(l, (VGPU_ADM_RUNS - 1) * PAGE_SIZE), -EINVAL);
	KUNIT_EXPECT_EQ(test, check(l, PAGE_SIZE), -EINVAL);
	l->count = VGPU_ADM_RUNS - 1;
	KUNIT_EXPECT_EQ(test, check(l, left), -EINVAL);
	l->count = VGPU_ADM_RUNS;
	KUNIT_EXPECT_EQ(test, vgpu_list_check(l, &left), 0);
	KUNIT_EXPECT_EQ(test, left, PAGE_SIZE);
	l->count = 1;
	l->next = 0;
	KUNIT_EXPECT_EQ(test, check(l, left), 0);
}

static void run_bounds(struct kunit *test)
{
	u64 top = ~0ull << PAGE_SHIFT;

	KUNIT_EXPECT_EQ(test, check(one_run(test, 1, PAGE_SIZE), PAGE_SIZE), -EINVAL);
	KUNIT_EXPECT_EQ(test, check(one_run(test, 0, 1), PAGE_SIZE), -EINVAL);
	KUNIT_EXPECT_EQ(test, check(one_run(test, 0, 0), PAGE_SIZE), -EINVAL);
	KUNIT_EXPECT_EQ(test, check(one_run(test, 0, 2 * PAGE_SIZE), PAGE_SIZE), -EINVAL);
	KUNIT_EXPECT_EQ(test, check(one_run(test, top, 2 * PAGE_SIZE), 2 * PAGE_SIZE), -EINVAL);
}

static void pins_and_unpins(struct kunit *test)
{
	struct fake *f = fake_lock(test);
	struct vgpu_mem *mem;

	fake_list(f, FAKE_LIST, 2 * PAGE_SIZE, 10);
	mem = vgpu_mem_pin(&f->vgpu, FAKE_LIST, 10 * PAGE_SIZE, 0x1000);
	KUNIT_ASSERT_FALSE(test, IS_ERR(mem));
	KUNIT_EXPECT_EQ(test, fake_pinned(f), 10);
	KUNIT_EXPECT_PTR_EQ(test, mem->pages[1], f->pages[4]);
	KUNIT_EXPECT_TRUE(test, vgpu_mem_overlaps(mem, 4 * PAGE_SIZE, 1));
	KUNIT_EXPECT_FALSE(test, vgpu_mem_overlaps(mem, 3 * PAGE_SIZE, PAGE_SIZE));
	KUNIT_EXPECT_TRUE(test, vgpu_mem_overlaps(mem, 0, ~0ull));
	vgpu_mem_unpin(&f->vgpu, mem);
	KUNIT_EXPECT_EQ(test, fake_pinned(f), 0);
	fake_unlock(test);
}

/* Whichever pin fails, none is left. */
static void failure_sweep(struct kunit *test)
{
	struct fake *f = fake_lock(test);
	int nth;

	fake_list(f, FAKE_LIST, 2 * PAGE_SIZE, 10);
	for (nth = 1; nth <= 10; nth++) {
		f->fail_in = nth;
		KUNIT_EXPECT_EQ(test, PTR_ERR(vgpu_mem_pin(&f->vgpu, FAKE_LIST, 10 * PAGE_SIZE, 0)),
				-ENOSPC);
		KUNIT_EXPECT_EQ(test, fake_pinned(f), 0);
	}
	f->fail_in = 0;
	fake_unlock(test);
}

static void bad_lists(struct kunit *test)
{
	struct fake *f = fake_lock(test);
	struct vgpu_adm_list *l = fake_mem(f, FAKE_LIST);

	fake_list(f, FAKE_LIST, 2 * PAGE_SIZE, 2);
	l->next = 12345;	/* nowhere aligned, though all is listed */
	KUNIT_EXPECT_EQ(test, PTR_ERR(vgpu_mem_pin(&f->vgpu, FAKE_LIST, 2 * PAGE_SIZE, 0)), -EINVAL);
	l->next = 12345;
	KUNIT_EXPECT_EQ(test, PTR_ERR(vgpu_mem_pin(&f->vgpu, FAKE_LIST, 4 * PAGE_SIZE, 0)), -EINVAL);
	KUNIT_EXPECT_EQ(test, PTR_ERR(vgpu_mem_pin(&f->vgpu, 1ull << 40, PAGE_SIZE, 0)), -EFAULT);
	l->next = 0;
	l->run[1].addr = 1ull << 40;
	KUNIT_EXPECT_EQ(test, PTR_ERR(vgpu_mem_pin(&f->vgpu, FAKE_LIST, 2 * PAGE_SIZE, 0)), -EFAULT);
	KUNIT_EXPECT_EQ(test, fake_pinned(f), 0);
	fake_unlock(test);
}

/* A list that names itself is read as often as an honest one of that length. */
static void loop(struct kunit *test)
{
	struct fake *f = fake_lock(test);
	struct vgpu_adm_list *l = fake_mem(f, FAKE_LIST);
	u64 bytes = 8 * VGPU_ADM_RUNS * PAGE_SIZE;
	u32 i;

	vgpu_pin_limit_pages = ~0ul >> 1;
	l->next = FAKE_LIST;
	l->count = VGPU_ADM_RUNS;
	for (i = 0; i < VGPU_ADM_RUNS; i++)
		l->run[i] = (struct vgpu_adm_run){ .addr = 2 * PAGE_SIZE, .bytes = PAGE_SIZE };
	KUNIT_EXPECT_EQ(test, PTR_ERR(vgpu_mem_pin(&f->vgpu, FAKE_LIST, bytes, 0)), -EINVAL);
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->vgpu.bytes_read), 8 * sizeof(*l));
	l->count = 1;
	KUNIT_EXPECT_EQ(test, PTR_ERR(vgpu_mem_pin(&f->vgpu, FAKE_LIST, bytes, 0)), -EINVAL);
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->vgpu.bytes_read), 9 * sizeof(*l));
	KUNIT_EXPECT_EQ(test, fake_pinned(f), 0);
	fake_unlock(test);
}

static void limit(struct kunit *test)
{
	struct fake *f = fake_lock(test);
	struct vgpu_mem *mem;

	vgpu_pin_limit_pages = 15;
	fake_list(f, FAKE_LIST, 2 * PAGE_SIZE, 10);
	mem = vgpu_mem_pin(&f->vgpu, FAKE_LIST, 10 * PAGE_SIZE, 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR(mem));
	KUNIT_EXPECT_EQ(test, PTR_ERR(vgpu_mem_pin(&f->vgpu, FAKE_LIST, 10 * PAGE_SIZE, 0)), -ENOSPC);
	vgpu_mem_unpin(&f->vgpu, mem);
	KUNIT_EXPECT_EQ(test, PTR_ERR(vgpu_mem_pin(&f->vgpu, FAKE_LIST, ~0ull << PAGE_SHIFT, 0)), -EINVAL);
	KUNIT_EXPECT_EQ(test, PTR_ERR(vgpu_mem_pin(&f->vgpu, FAKE_LIST, 0, 0)), -EINVAL);
	KUNIT_EXPECT_EQ(test, PTR_ERR(vgpu_mem_pin(&f->vgpu, FAKE_LIST, 100, 0)), -EINVAL);
	fake_unlock(test);
}

/* What other vGPUs have pinned counts against the total, and is given back. */
static void limit_of_all(struct kunit *test)
{
	struct fake *f = fake_lock(test);
	struct vgpu *other = kunit_kzalloc(test, sizeof(*other), GFP_KERNEL);
	struct vgpu_mem *mem;

	KUNIT_ASSERT_NOT_NULL(test, other);
	mutex_init(&other->admin_lock);
	mutex_lock_nested(&other->admin_lock, SINGLE_DEPTH_NESTING);
	vgpu_pin_total_pages = 15;
	fake_list(f, FAKE_LIST, 2 * PAGE_SIZE, 10);
	mem = vgpu_mem_pin(other, FAKE_LIST, 10 * PAGE_SIZE, 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR(mem));
	KUNIT_EXPECT_EQ(test, PTR_ERR(vgpu_mem_pin(&f->vgpu, FAKE_LIST, 10 * PAGE_SIZE, 0)), -ENOSPC);
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->vgpu.pinned_pages), 0);
	vgpu_mem_unpin(other, mem);
	mem = vgpu_mem_pin(&f->vgpu, FAKE_LIST, 10 * PAGE_SIZE, 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR(mem));
	vgpu_mem_unpin(&f->vgpu, mem);
	mutex_unlock(&other->admin_lock);
	fake_unlock(test);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(list_bounds), KUNIT_CASE(full_pages), KUNIT_CASE(run_bounds),
	KUNIT_CASE(pins_and_unpins), KUNIT_CASE(failure_sweep), KUNIT_CASE(bad_lists),
	KUNIT_CASE(loop), KUNIT_CASE(limit),
	KUNIT_CASE(limit_of_all), {}
};

struct kunit_suite pages_suite = {
	.name = "vgpu_host_pages", .init = fake_init, .exit = fake_exit, .test_cases = cases,
};
