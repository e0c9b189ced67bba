// SPDX-License-Identifier: Apache-2.0
/* MD2 against the test suite of RFC 1319, A.5; the fixed answers. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "common/integrity.h"

static void rfc1319(void **state)
{
	static const struct {
		const char *text, *digest;
	} cases[] = {
		{ "", "8350e5a3e24c153df2275c9f80692773" },
		{ "a", "32ec01ec4a6dac72c0ab96fb34c0b5d1" },
		{ "abc", "da853b0d3f88d99b30283a69e6ded6bb" },
		{ "message digest", "ab4f496bfb2a530b219ff33031fe06b0" },
		{ "abcdefghijklmnopqrstuvwxyz", "4e8ddff3650292ab5a4108c3aa47940b" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t digest[16];
		char hex[33];

		vg_md2(cases[i].text, strlen(cases[i].text), digest);
		for (int j = 0; j < 16; j++)
			snprintf(hex + 2 * j, 3, "%02x", digest[j]);
		assert_string_equal(hex, cases[i].digest);
	}
}

static void every_input_counts(void **state)
{
	struct vg_integrity in = { .version = 13002 };
	struct vg_integrity_device device = { .pci_bus = 1 };
	uint64_t a[2], b[2];
	uint8_t *bytes = (uint8_t *)&in;

	(void)state;
	vg_integrity_answer(&in, &device, 1, a);
	for (size_t i = 0; i < sizeof(in); i++) {
		if (i >= offsetof(struct vg_integrity, version) &&
		    i < offsetof(struct vg_integrity, process))
			continue;	/* its last digit chooses the method */
		bytes[i] ^= 1;
		vg_integrity_answer(&in, &device, 1, b);
		assert_memory_not_equal(a, b, sizeof(a));
		bytes[i] ^= 1;
	}
	vg_integrity_answer(&in, &device, 0, b);
	assert_memory_not_equal(a, b, sizeof(a));
	in.version = 13000;
	vg_integrity_answer(&in, &device, 1, a);
	in.process = 5;
	vg_integrity_answer(&in, &device, 0, b);
	assert_memory_equal(a, b, sizeof(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc1319),
		cmocka_unit_test(every_input_counts),
	};

	return cmocka_run_group_tests_name("integrity", tests, NULL, NULL);
}
