// SPDX-License-Identifier: Apache-2.0
/* Which devices a pool has, and what an executor's environment says of them. */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/settings.h"
#include "mediator/mediator.h"

/* NVIDIA's folder in /proc, with one GPU. */
static bool has_driver;

struct vg_config vg_config = { .libcuda = "/usr/lib/libcuda.so.1" };

FILE *__wrap_fopen(const char *path, const char *mode);

FILE *__wrap_fopen(const char *path, const char *mode)
{
	static char text[] = "Model: \t\t NVIDIA H200\nIRQ:   \t\t 77\n"
			     "GPU UUID: \t GPU-11111111-2222-3333-4444-555555555555\n"
			     "Bus Type: \t PCIe\n";

	(void)mode;
	if (has_driver && !strcmp(path, "/proc/driver/nvidia/gpus/0000:3b:00.0/information"))
		return fmemopen(text, strlen(text), "r");
	errno = ENOENT;
	return NULL;
}

#define UUID "GPU-11111111-2222-3333-4444-555555555555"

static char why[96];

static bool set_pool(const char *name, const char *list)
{
	*why = '\0';
	return vg_pool_set(name, list, why, sizeof(why));
}

/* The devices of a vGPU; "all" and "none" are said so. */
static const char *devices(const char *pool, const char *parent)
{
	static char text[200];
	char *list;

	if (vg_pool_devices(pool, parent, &list))
		return "none";
	snprintf(text, sizeof(text), "%s", list ? list : "all");
	free(list);
	return text;
}

static void lists(void **state)
{
	(void)state;
	has_driver = true;
	assert_true(set_pool("A", "1, 0"));
	assert_true(set_pool("B", "0000:3b:00.0 GPU-other MIG-one"));
	assert_string_equal(devices("A", ""), "all");	/* until the file's end */
	vg_pools_end(true);
	assert_string_equal(devices("A", ""), "1,0");
	assert_string_equal(devices("A", "virtual"), "1,0");
	assert_string_equal(devices("B", ""), UUID ",GPU-other,MIG-one");
	assert_string_equal(devices("C", ""), "all");
	assert_false(set_pool("D", ""));
	assert_false(set_pool("D", "card0"));
	assert_string_equal(why, "card0 is not a device; ");
	assert_false(set_pool("D", "0,0000:3c:00.0"));
	assert_non_null(strstr(why, "no GPU at 0000:3c:00.0"));
	assert_false(set_pool("abcdefghijklmnop", "0"));
	assert_true(set_pool("A", "5"));
	assert_false(set_pool("A", "6"));
	/* A file with a fault changes nothing. */
	vg_pools_end(false);
	assert_string_equal(devices("A", ""), "1,0");
	vg_pools_end(true);
	assert_string_equal(devices("A", ""), "all");
}

/* A vGPU below a GPU has this one, whatever its pool has. */
static void below_a_gpu(void **state)
{
	(void)state;
	has_driver = true;
	assert_true(set_pool("A", "GPU-other"));
	vg_pools_end(true);
	assert_string_equal(devices("A", "0000:3b:00.0"), UUID);
	assert_string_equal(devices("A", "0000:3c:00.0"), "none");
	/* NVIDIA's driver is not loaded, or its folder is not to be seen. */
	has_driver = false;
	assert_string_equal(devices("A", "0000:3b:00.0"), "none");
	vg_config.libcuda = "/usr/lib/vgpu-host/libvgpu-softgpu.so";
	assert_string_equal(devices("A", "0000:3b:00.0"), "GPU-other");
	vg_config.libcuda = "/usr/lib/libcuda.so.1";
	vg_pools_end(true);
}

/*
 * CUDA_VISIBLE_DEVICES of an executor, or "unset", if the operator's is this or NULL, and the
 * program has chosen so many devices.
 */
static const char *visible(const char *operator, const char *list, const int *chosen, int count)
{
	static char text[200];
	char **env;

	if (operator)
		setenv("CUDA_VISIBLE_DEVICES", operator, 1);
	else
		unsetenv("CUDA_VISIBLE_DEVICES");
	env = vg_environ(count ? vg_settings_devices(chosen, count) : 0, list);
	assert_non_null(env);
	strcpy(text, "unset");
	for (char **v = env; *v; v++)
		if (!strncmp(*v, "CUDA_VISIBLE_DEVICES=", 21))
			strcpy(text, *v + 21);
	free(env);
	return text;
}

static void in_the_environment(void **state)
{
	static const int last_first[] = { 2, 0 }, beyond[] = { 1, 5 };

	(void)state;
	assert_string_equal(visible(NULL, NULL, NULL, 0), "unset");
	assert_string_equal(visible("3,4", NULL, NULL, 0), "3,4");
	assert_string_equal(visible("3,4", "7,8,9", NULL, 0), "7,8,9");
	/* What the program chooses counts within its pool. */
	assert_string_equal(visible("3,4", "7,8,9", last_first, 2), "9,7");
	assert_string_equal(visible(NULL, "7,8,9", beyond, 2), "8");
	assert_string_equal(visible("3,4", NULL, beyond, 2), "4");
	assert_string_equal(visible(NULL, NULL, last_first, 2), "2,0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists),
		cmocka_unit_test(below_a_gpu),
		cmocka_unit_test(in_the_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
