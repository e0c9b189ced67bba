// SPDX-License-Identifier: Apache-2.0
/*
 * CUDA_VISIBLE_DEVICES.  What one device answers was asked of NVIDIA's driver 580.159 on an
 * H200; lists of several follow its documentation.
 */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "shim/visible.h"

#define MAX 4

/* Devices 0 and 1 begin alike: ab00..., ab01...; 2 and 3 are c0... and d0... */
static CUuuid uuids[MAX];

static int setup(void **state)
{
	static const char *const starts[MAX] = { "\xab\x00", "\xab\x01", "\xc0\x00", "\xd0\x00" };

	(void)state;
	for (int i = 0; i < MAX; i++)
		memcpy(uuids[i].bytes, starts[i], 2);
	return 0;
}

/* What `count` devices are of it: "0,2" or "none" or "twice". */
static const char *seen(const char *value, int count)
{
	static char text[2 * MAX + 1];
	int list[MAX], n = -1;
	CUresult r = vg_visible(value, uuids, count, list, &n);

	if (r == CUDA_ERROR_NO_DEVICE)
		return n ? "none, and yet some" : "none";
	if (r == CUDA_ERROR_INVALID_DEVICE)
		return "twice";
	assert_int_equal(r, CUDA_SUCCESS);
	assert_in_range(n, 1, count);
	for (int i = 0, at = 0; i < n; i++)
		at += snprintf(text + at, sizeof(text) - at, "%s%d", i ? "," : "", list[i]);
	return text;
}

#define answers(value, count, what) assert_string_equal(seen(value, count), what)

static void one_device(void **state)
{
	static const char *const first[] = { "0", "00", "0,", " 0", "0 ", "0,1", "0,-1", "0x", "0x0" };
	static const char *const none[] = { "", " ", "-1", ",0", "1", "1,0", "99", "x", "NoDevFiles",
					    "none", "void", "all", "GPU-", "GPU-ffffffff",
					    "MIG-ffffffff-ffff-ffff-ffff-ffffffffffff" };

	(void)state;
	answers(NULL, 1, "0");
	for (size_t i = 0; i < sizeof(first) / sizeof(*first); i++)
		answers(first[i], 1, "0");
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
		answers(none[i], 1, "none");
	answers("0,0", 1, "twice");
	answers(NULL, 0, "none");
}

static void by_uuid(void **state)
{
	(void)state;
	answers("GPU-ab000000-0000-0000-0000-000000000000", 1, "0");
	answers("GPU-ab00", 1, "0");
	answers("gpu-AB00", 1, "0");
	answers("GPU-ab00,GPU-ffffffff", 1, "0");
	answers("GPU-ab000000-0000-0000-0000-0000000000001", 1, "none");
	/* Two begin with it. */
	answers("GPU-ab", 4, "none");
	answers("GPU-ab01", 4, "1");
	answers("GPU-c,0,GPU-d0", 4, "2,0,3");
	answers("2,GPU-c0", 4, "twice");
}

static void several(void **state)
{
	(void)state;
	answers(NULL, 4, "0,1,2,3");
	answers("3, 1", 4, "3,1");
	answers("1,0,3,2", 4, "1,0,3,2");
	/* What follows the first word that names none does not count, were it named twice. */
	answers("2,7,1", 4, "2");
	answers("2,,1", 4, "2");
	answers("1,-1,1", 4, "1");
	answers("1,2,1", 4, "twice");
	answers("99999999999999999999", 4, "none");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_device),
		cmocka_unit_test(by_uuid),
		cmocka_unit_test(several),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
