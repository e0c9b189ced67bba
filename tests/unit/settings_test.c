// SPDX-License-Identifier: Apache-2.0
/* What of an environment travels to the executor's driver, and arrives there. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/settings.h"

/* What becomes of NAME=VALUE: the same text, or "" if the driver is as if it were unset. */
static const char *travelled(const char *name, const char *value)
{
	static char text[VG_SETTINGS_MAX][VG_SETTING_BYTES];
	uint64_t settings;
	unsigned int n;

	setenv(name, value, 1);
	settings = vg_settings_read();
	unsetenv(name);
	assert_true(vg_settings_valid(settings));
	n = vg_settings_write(settings, text);
	assert_in_range(n, 0, 1);
	return n ? text[0] : "";
}

static void each_alone(void **state)
{
	static const struct {
		const char *name, *value;
		bool goes;
	} cases[] = {
		{ "CUDA_DEVICE_MAX_CONNECTIONS", "1", true },
		{ "CUDA_DEVICE_MAX_CONNECTIONS", "32", true },
		{ "CUDA_DEVICE_MAX_CONNECTIONS", "33", false },
		{ "CUDA_DEVICE_MAX_CONNECTIONS", "0", false },
		{ "CUDA_DEVICE_MAX_CONNECTIONS", "-1", false },
		{ "CUDA_DEVICE_MAX_CONNECTIONS", "4294967297", false },
		{ "CUDA_DEVICE_MAX_CONNECTIONS", "1x", false },
		{ "CUDA_DEVICE_MAX_CONNECTIONS", "", false },
		{ "CUDA_DEVICE_MAX_COPY_CONNECTIONS", "32", true },
		{ "CUDA_FORCE_PTX_JIT", "1", true },
		{ "CUDA_FORCE_PTX_JIT", "0", false },
		{ "CUDA_DISABLE_PTX_JIT", "1", true },
		{ "CUDA_FORCE_JIT", "1", true },
		{ "CUDA_DISABLE_JIT", "1", true },
		{ "CUDA_MODULE_LOADING", "EAGER", true },
		{ "CUDA_MODULE_LOADING", "LAZY", false },	/* as it is anyway */
		{ "CUDA_MODULE_DATA_LOADING", "LAZY", true },
		{ "CUDA_MODULE_DATA_LOADING", "EAGER", true },
		{ "CUDA_GRAPHS_USE_NODE_PRIORITY", "1", true },
		/* The driver's log has the executor's own calls, too. */
		{ "CUDA_LOG_FILE", "stderr", false },
		{ "CUDA_SCALE_LAUNCH_QUEUES", "0.25x", true },
		{ "CUDA_SCALE_LAUNCH_QUEUES", "4x", true },
		{ "CUDA_SCALE_LAUNCH_QUEUES", "8x", false },
		{ "CUDA_DEVICE_DEFAULT_PERSISTING_L2_CACHE_PERCENTAGE_LIMIT", "100", true },
		{ "CUDA_DEVICE_DEFAULT_PERSISTING_L2_CACHE_PERCENTAGE_LIMIT", "101", false },
		/* For the devices that the mediator's operator has chosen, and not for others. */
		{ "CUDA_VISIBLE_DEVICES", "0", false },
		{ "LD_PRELOAD", "", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[128];

		snprintf(text, sizeof(text), "%s=%s", cases[i].name, cases[i].value);
		assert_string_equal(travelled(cases[i].name, cases[i].value),
				    cases[i].goes ? text : "");
	}
}

static void all_together(void **state)
{
	static const char *const all[][2] = {
		{ "CUDA_DEVICE_MAX_CONNECTIONS", "17" },
		{ "CUDA_DEVICE_MAX_COPY_CONNECTIONS", "9" },
		{ "CUDA_FORCE_PTX_JIT", "1" },
		{ "CUDA_DISABLE_PTX_JIT", "1" },
		{ "CUDA_FORCE_JIT", "1" },
		{ "CUDA_DISABLE_JIT", "1" },
		{ "CUDA_MODULE_LOADING", "EAGER" },
		{ "CUDA_MODULE_DATA_LOADING", "LAZY" },
		{ "CUDA_GRAPHS_USE_NODE_PRIORITY", "1" },
		{ "CUDA_SCALE_LAUNCH_QUEUES", "2x" },
		{ "CUDA_DEVICE_DEFAULT_PERSISTING_L2_CACHE_PERCENTAGE_LIMIT", "50" },
	};
	enum { COUNT = sizeof(all) / sizeof(all[0]) };
	char text[VG_SETTINGS_MAX][VG_SETTING_BYTES], want[128];
	uint64_t settings;

	(void)state;
	for (int i = 0; i < COUNT; i++)
		setenv(all[i][0], all[i][1], 1);
	settings = vg_settings_read();
	for (int i = 0; i < COUNT; i++)
		unsetenv(all[i][0]);
	assert_true(vg_settings_valid(settings));
	assert_int_equal(vg_settings_write(settings, text), COUNT);
	for (int i = 0; i < COUNT; i++) {
		snprintf(want, sizeof(want), "%s=%s", all[i][0], all[i][1]);
		assert_string_equal(text[i], want);
	}
}

/* A guest may send any word; what is valid fits into the places, and is what it says. */
static void any_word(void **state)
{
	char text[VG_SETTINGS_MAX][VG_SETTING_BYTES];
	unsigned int valid = 0;

	(void)state;
	assert_true(vg_settings_valid(0));
	assert_false(vg_settings_valid(63));		/* connections */
	assert_false(vg_settings_valid(~0u));
	for (uint32_t i = 0, word = 1; i < 1000000; i++) {
		uint64_t again = 0;

		word = word * 1664525u + 1013904223u;
		if (!vg_settings_valid(word))
			continue;
		valid++;
		for (unsigned int k = vg_settings_write(word, text); k--;) {
			char *value = strchr(text[k], '=');

			*value = '\0';
			setenv(text[k], value + 1, 1);
		}
		again = vg_settings_read();
		assert_int_equal(again, word);
		for (unsigned int k = vg_settings_write(word, text); k--;) {
			*strchr(text[k], '=') = '\0';
			unsetenv(text[k]);
		}
	}
	assert_true(valid > 1000);
}

static void lists_of_devices(void **state)
{
	static const int lists[][VG_SETTINGS_DEVICES] = {
		{ 1 }, { 0, 1 }, { 1, 0 }, { 14, 3, 7 }, { 7, 6, 5, 4, 3, 2, 1, 0 },
	};
	static const int counts[] = { 1, 2, 2, 3, 8 };
	static const int odd[] = { 0, 15 }, negative[] = { -1 }, many[9] = { 1, 2, 3 };
	int got[VG_SETTINGS_DEVICES];

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		uint64_t settings = vg_settings_devices(lists[i], counts[i]);

		assert_true(vg_settings_valid(settings));
		assert_true(vg_settings_valid(settings | 4));	/* with a variable */
		assert_int_equal(vg_settings_list(settings, got), counts[i]);
		assert_memory_equal(got, lists[i], counts[i] * sizeof(int));
	}
	assert_int_equal(vg_settings_devices(odd, 2), 0);
	assert_int_equal(vg_settings_devices(negative, 1), 0);
	assert_int_equal(vg_settings_devices(many, 9), 0);
	assert_int_equal(vg_settings_list(4, got), 0);
	/* Twice the same; a device after the end. */
	assert_false(vg_settings_valid(0x11ull << 32));
	assert_false(vg_settings_valid(0x10ull << 32));
	assert_false(vg_settings_valid(~0ull << 32));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_alone),
		cmocka_unit_test(all_together),
		cmocka_unit_test(any_word),
		cmocka_unit_test(lists_of_devices),
	};

	return cmocka_run_group_tests_name("settings", tests, NULL, NULL);
}
