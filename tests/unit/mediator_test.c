// SPDX-License-Identifier: Apache-2.0
/* The mediator's configuration file and its tenants. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mediator/mediator.h"

/* The loop, which these tests have none of. */
int vg_source_add(struct vg_source *s, uint32_t events)
{
	(void)s;
	(void)events;
	return 0;
}

void vg_source_remove(struct vg_source *s)
{
	(void)s;
}

static int load(const char *text)
{
	char path[] = "/tmp/vgpu-conf-XXXXXX";
	int fd = mkstemp(path), ret;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	ret = vg_config_load(path, true);
	unlink(path);
	return ret;
}

static void bytes(void **state)
{
	static const char *const bad[] = { "", "x", "-1", " 1", "1X", "1MM", "1.5G", "16777216T",
					   "99999999999999999999" };
	uint64_t v;

	(void)state;
	assert_true(vg_parse_bytes("0", &v) && v == 0);
	assert_true(vg_parse_bytes("4096", &v) && v == 4096);
	assert_true(vg_parse_bytes("3K", &v) && v == 3072);
	assert_true(vg_parse_bytes("80G", &v) && v == 80ull << 30);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(vg_parse_bytes(bad[i], &v));
}

static void defaults(void **state)
{
	(void)state;
	assert_int_equal(vg_config_load("/nonexistent/vgpu.conf", false), 0);
	assert_string_equal(vg_config.libcuda, "libcuda.so.1");
	assert_int_equal(vg_config.local_memory, UINT64_MAX);
	assert_int_not_equal(vg_config_load("/nonexistent/vgpu.conf", true), 0);
}

static void settings(void **state)
{
	(void)state;
	assert_int_equal(load("# a comment\n[executor]\nlibcuda = /opt/x.so\nspares = 3\n"
			      "[socket]\nmemory = 8G\npool = B\nmode = 660\n[log]\nlevel = debug\n"),
			 0);
	assert_string_equal(vg_config.libcuda, "/opt/x.so");
	assert_int_equal(vg_config.spares, 3);
	assert_int_equal(vg_config.local_memory, 8ull << 30);
	assert_int_equal(vg_config.socket_mode, 0660);
	assert_int_equal(vg_config.log_level, VG_DEBUG);
}

static void mistakes(void **state)
{
	static const char *const bad[] = {
		"[executor]\nspares = -1\n", "[executor]\nspares = many\n",
		"[executor]\nspares = 1000\n", "[socket]\nmemory = lots\n",
		"[socket]\nmode = 999\n", "[log]\nlevel = loud\n", "[log]\nlvl = info\n",
		"[nowhere]\nx = 1\n", "[socket]\npool = abcdefghijklmnopqrstuvwxyz\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_not_equal(load(bad[i]), 0);
}

static void tenant_settles(void **state)
{
	struct vg_tenant *t = vg_tenant_new("u", "A", "t", 1000);
	int a, b;

	(void)state;
	assert_non_null(t);
	a = vg_tenant_entry(t);
	b = vg_tenant_entry(t);
	assert_true(a >= 0 && b >= 0 && a != b);
	t->account->entry[a].memory = 700;
	t->account->entry[a].calls = 5;
	t->account->entry[a].pid = 77;
	t->account->entry[b].memory = 100;
	assert_int_equal(vg_tenant_memory(t), 800);
	vg_tenant_settle(t, a);
	assert_int_equal(vg_tenant_memory(t), 100);
	assert_int_equal(t->calls, 5);
	assert_int_equal(t->account->entry[a].pid, 0);
	assert_int_equal(vg_tenant_entry(t), a);
	vg_tenant_free(t);
}

static void tenant_full(void **state)
{
	struct vg_tenant *t = vg_tenant_new("u", "A", "t", 1000);
	int i;

	(void)state;
	for (i = 0; i < VG_ACCOUNT_ENTRIES; i++)
		assert_true(vg_tenant_entry(t) >= 0);
	assert_true(vg_tenant_entry(t) < 0);
	vg_tenant_settle(t, 17);
	assert_int_equal(vg_tenant_entry(t), 17);
	vg_tenant_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes),	   cmocka_unit_test(defaults),
		cmocka_unit_test(settings),	   cmocka_unit_test(mistakes),
		cmocka_unit_test(tenant_settles), cmocka_unit_test(tenant_full),
	};

	vg_log_init("test", VG_ERROR);
	return cmocka_run_group_tests_name("mediator", tests, NULL, NULL);
}
