// SPDX-License-Identifier: GPL-2.0
#include <linux/module.h>

#include "fake.h"

kunit_test_suites(&config_suite, &types_suite, &pages_suite, &admin_suite, &channel_suite,
		  &irq_suite, &failures_suite, &fuzz_suite);

MODULE_DESCRIPTION("KUnit suites of vgpu_host");
MODULE_LICENSE("GPL");
