// SPDX-License-Identifier: GPL-2.0
#include "fake.h"

static void good(struct kunit *test)
{
	struct vgpu_parent parent = { .name = VGPU_VIRTUAL };
	const struct vgpu_type *t;

	KUNIT_ASSERT_EQ(test, vgpu_types_parse("A:1G, gold_2:512M,B:4096M"), 0);
	KUNIT_ASSERT_EQ(test, vgpu_types_for(&parent, ""), 0);
	KUNIT_ASSERT_EQ(test, parent.type_count, 3);
	t = vgpu_type_of(parent.type_ptrs[1]);
	KUNIT_EXPECT_STREQ(test, t->name, "gold_2-512M");
	KUNIT_EXPECT_STREQ(test, t->pool, "gold_2");
	KUNIT_EXPECT_EQ(test, t->mem_bytes, 512ull << 20);
	KUNIT_EXPECT_PTR_EQ(test, t->parent, &parent);
	KUNIT_EXPECT_STREQ(test, parent.type_ptrs[0]->sysfs_name, "A-1024M");
	vgpu_types_drop(&parent);
	vgpu_types_free();
}

static void bad(struct kunit *test)
{
	static const char *const specs[] = {
		"", "A", "A:", ":1G", "A:1", "A:0M", "A:1G,", "A:1G,A:1024M", "A:-1G", "A:1Gx",
		"A/b:1G", "abcdefghijklmnop:1G", "A:1G B:1G", "A:1048577",
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(specs); i++) {
		KUNIT_EXPECT_NE_MSG(test, vgpu_types_parse(specs[i]), 0, "\"%s\"", specs[i]);
		KUNIT_EXPECT_FALSE(test, vgpu_types_have_pool("A"));
	}
}

/* How many types a device offers whose pools are these. */
static int offered(struct kunit *test, const char *pools, const char *device)
{
	struct vgpu_parent parent = {};
	int n;

	strscpy(parent.name, device, sizeof(parent.name));
	KUNIT_ASSERT_EQ(test, vgpu_types_parse("A:1G,A:2G,B:1G"), 0);
	n = vgpu_pools_check(pools);
	if (!n)
		n = vgpu_types_for(&parent, pools);
	if (!n)
		n = parent.type_count;
	vgpu_types_drop(&parent);
	vgpu_types_free();
	return n;
}

static void pools(struct kunit *test)
{
	static const char first[] = "0000:3b:00.0", second[] = "10000:af:1f.7";
	static const char *const wrong[] = {
		"A", "A=", "=0000:3b:00.0", "A=3b:00.0", "A=0000:3B:00.0", "A=0000:3b:00.0+",
		"A=0000:3b:00.0,", "C=0000:3b:00.0", "A=0000:3b:00.0x", "A=all",
		"A=0000:3b:00.0, A=virtual", "A=virtual,B=virtual,A =virtual",
	};
	unsigned int i;

	KUNIT_EXPECT_EQ(test, offered(test, "", first), 3);
	KUNIT_EXPECT_EQ(test, offered(test, "A=0000:3b:00.0", first), 3);
	KUNIT_EXPECT_EQ(test, offered(test, "A=0000:3b:00.0", second), 1);
	KUNIT_EXPECT_EQ(test, offered(test, "B=10000:af:1f.7, A=0000:3b:00.0", second), 1);
	KUNIT_EXPECT_EQ(test, offered(test, "A=0000:3b:00.0+10000:af:1f.7", second), 3);
	KUNIT_EXPECT_EQ(test, offered(test, "A=virtual,B=virtual", second), 0);
	KUNIT_EXPECT_EQ(test, offered(test, "A=virtual,B=virtual", VGPU_VIRTUAL), 3);
	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		KUNIT_EXPECT_EQ_MSG(test, offered(test, wrong[i], first), -EINVAL, "\"%s\"",
				    wrong[i]);
}

static void devices(struct kunit *test)
{
	static const char list[] = "0000:3b:00.0,virtual";

	KUNIT_EXPECT_EQ(test, vgpu_devices_have(list, "0000:3b:00.0"), 1);
	KUNIT_EXPECT_EQ(test, vgpu_devices_have(list, VGPU_VIRTUAL), 1);
	KUNIT_EXPECT_EQ(test, vgpu_devices_have(list, "0000:3b:00.1"), 0);
	KUNIT_EXPECT_EQ(test, vgpu_devices_have("", VGPU_VIRTUAL), 0);
	KUNIT_EXPECT_EQ(test, vgpu_devices_have("virtual,", VGPU_VIRTUAL), -EINVAL);
	KUNIT_EXPECT_EQ(test, vgpu_devices_have("nvidia", "nvidia"), -EINVAL);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(good), KUNIT_CASE(bad), KUNIT_CASE(pools), KUNIT_CASE(devices), {}
};

struct kunit_suite types_suite = { .name = "vgpu_host_types", .test_cases = cases };
