// SPDX-License-Identifier: GPL-2.0
#include "fake.h"

static void good(struct kunit *test)
{
	struct mdev_type **types;
	const struct vgpu_type *t;
	unsigned int n;

	KUNIT_ASSERT_EQ(test, vgpu_types_parse("A:1G, gold_2:512M,B:4096M"), 0);
	types = vgpu_types(&n);
	KUNIT_EXPECT_EQ(test, n, 3);
	t = vgpu_type_of(types[1]);
	KUNIT_EXPECT_STREQ(test, t->name, "gold_2-512M");
	KUNIT_EXPECT_STREQ(test, t->pool, "gold_2");
	KUNIT_EXPECT_EQ(test, t->mem_bytes, 512ull << 20);
	KUNIT_EXPECT_STREQ(test, types[0]->sysfs_name, "A-1024M");
	vgpu_types_free();
}

static void bad(struct kunit *test)
{
	static const char *const specs[] = {
		"", "A", "A:", ":1G", "A:1", "A:0M", "A:1G,", "A:1G,A:1024M", "A:-1G", "A:1Gx",
		"A/b:1G", "abcdefghijklmnop:1G", "A:1G B:1G", "A:1048577",
	};
	unsigned int i, n;

	for (i = 0; i < ARRAY_SIZE(specs); i++) {
		KUNIT_EXPECT_NE_MSG(test, vgpu_types_parse(specs[i]), 0, "\"%s\"", specs[i]);
		vgpu_types(&n);
		KUNIT_EXPECT_EQ(test, n, 0);
	}
}

static struct kunit_case cases[] = { KUNIT_CASE(good), KUNIT_CASE(bad), {} };

struct kunit_suite types_suite = { .name = "vgpu_host_types", .test_cases = cases };
