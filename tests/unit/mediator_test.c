// SPDX-License-Identifier: Apache-2.0
/* The mediator's configuration file, its tenants and their tokens. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/fdpass.h"
#include "mediator/mediator.h"
#include "mediator/state.h"

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

static struct vg_event event;

void vg_event(struct vg_event *e)
{
	event = *e;
}

static int64_t now = 1000;

int64_t vg_now_ms(void)
{
	return now;
}

/* Whoever closes `slow` waits in close(), as for a file whose pages are many. */
static int slow = -1, closed[2048];
static atomic_uint closings;
static bool loop_waited;
static pthread_t loop;
static sem_t may_close;

int __real_close(int fd);
int __wrap_close(int fd);

int __wrap_close(int fd)
{
	if (fd == slow && pthread_equal(pthread_self(), loop))
		loop_waited = true;
	else if (fd == slow)
		sem_wait(&may_close);
	if (slow >= 0)
		closed[atomic_fetch_add(&closings, 1) % 2048] = fd;
	return __real_close(fd);
}

static bool threads_fail;

int __real_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*f)(void *), void *arg);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*f)(void *), void *arg);

int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*f)(void *), void *arg)
{
	return threads_fail ? EAGAIN : __real_pthread_create(t, attr, f, arg);
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
	assert_int_not_equal(vg_config_load("/tmp", true), 0);
}

static void settings(void **state)
{
	(void)state;
	assert_int_equal(load("# a comment\n[executor]\nlibcuda = /opt/x.so\nspares = 3\nwarm = no\n"
			      "[socket]\nmemory = 8G\npool = B\nmode = 660\n[log]\nlevel = debug\n"),
			 0);
	assert_string_equal(vg_config.libcuda, "/opt/x.so");
	assert_int_equal(vg_config.spares, 3);
	assert_false(vg_config.warm);
	assert_int_equal(vg_config.local_memory, 8ull << 30);
	assert_int_equal(vg_config.socket_mode, 0660);
	assert_int_equal(vg_config.log_level, VG_DEBUG);
	assert_false(vg_config.learn);
	assert_int_equal(load("[sandbox]\nmode = log\nallow = rmdir, truncate,  kill\n"
			      "files = no\n"), 0);
	assert_string_equal(vg_config.allow, "rmdir,truncate,kill");
	assert_true(vg_config.learn && !vg_config.files);
}

#define VM "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"

static void vfio_user(void **state)
{
	const struct vg_vfiouser_conf *c;
	unsigned int count = 0;

	(void)state;
	assert_int_equal(load("[vfio-user " VM "]\npath = /run/a\nmemory = 2G\npages = memfd\n"
			      "[vfio-user 00b8f4f2-509f-382f-3c1e-e6bfe0fa1001]\nmemory = 1G\n"
			      "path = /run/b\npages = memfd\nmode = 660\npool = B\n"), 0);
	LIST_FOREACH(c, vg_vfiouser_confs(), node) {
		bool first = !strcmp(c->uuid, VM);

		count++;
		assert_string_equal(c->path, first ? "/run/a" : "/run/b");
		assert_string_equal(c->pool, first ? "A" : "B");
		assert_int_equal(c->mode, first ? 0600 : 0660);
		assert_int_equal(c->memory, (first ? 2ull : 1ull) << 30);
	}
	assert_int_equal(count, 2);
	/* What is wrong changes nothing. */
	assert_int_not_equal(load("[vfio-user " VM "]\npath = /run/a\n"), 0);
	assert_false(LIST_EMPTY(vg_vfiouser_confs()));
	assert_int_equal(load("[log]\nlevel = info\n"), 0);
	assert_true(LIST_EMPTY(vg_vfiouser_confs()));
}

static void mistakes(void **state)
{
	static const char *const bad[] = {
		"[executor]\nwarm = perhaps\n", "[executor]\nspares = -1\n", "[executor]\nspares = many\n",
		"[executor]\nspares = 1000\n", "[socket]\nmemory = lots\n",
		"[socket]\nmode = 999\n", "[log]\nlevel = loud\n", "[log]\nlvl = info\n",
		"[nowhere]\nx = 1\n", "[sandbox]\nallow = rmdir,no_such_call\n",
		"[sandbox]\nmode = off\n", "[history]\nrows = 5\n", "[history]\nrows = all\n",
		 "[executor]\ndata = 1M\n", "[executor]\ndata = much\n",
		"[executor]\nuids = 5\n", "[executor]\nuids = 0-5\n", "[executor]\nuids = 6-5\n",
		"[executor]\nuids = 1-4294967295\n", "[executor]\nuids = 1-2,4-5\n",
		"[limits]\nmemory = x\n", "[limits]\nthreads = -1\n", "[limits]\nstarts = 0\n",
		"[limits]\nprograms = 0\n", "[limits]\nconnections = 0\n", "[socket]\nmemory = 0\n",
		"[socket]\nmemory = 64M\npool = B\nmemory = 32M\n", "memory = 64M\n", "[socket]\npath\n",
		"[socket]\npool = abcdefghijklmnopqrstuvwxyz\n",
		"[pool ]\ndevices = 0\n", "[pool A]\ndevices = all\n", "[pool A]\ndevices =\n",
		"[pool A]\nmemory = 0\n", "[pool A]\ncolour = 1\n", "[type X]\nmemory = x\n",
		"[type ]\nmemory = 1G\n", "[vgpu X]\nmemory = 1G\n", "[type X]\ndevices = 0\n",
		"[pool abcdefghijklmnop]\ndevices = 0\n",
		"[socket local]\npath = /x\n", "[socket mediator]\npath = /x\n",
		"[socket a]\npath = /x\npath = /y\n",
		"[socket a]\npath = /x\nmode = 40000000000600\n",
		"[socket a]\npath = /x\nmemory = 1G\n[socket a]\nmemory = 2G\n",
		"[vfio-user " VM "]\npath = /x\nmemory = 1G\n",
		"[vfio-user " VM "]\npath = /x\npages = memfd\n",
		"[vfio-user " VM "]\nmemory = 1G\npages = memfd\n",
		"[vfio-user " VM "]\npath = x\nmemory = 1G\npages = memfd\n",
		"[vfio-user " VM "]\npath = /x\nmemory = 0\npages = memfd\n",
		"[vfio-user " VM "]\npath = /x\nmemory = 1G\npages = udmabuf\n",
		"[vfio-user " VM "]\npath = /x\nmemory = 1G\npages = memfd\nmode = 8\n",
		"[vfio-user " VM "]\npath = /x\nmemory = 1G\npages = memfd\npool =\n",
		"[vfio-user " VM "]\npath = /x\nmemory = 1G\npages = memfd\ncolour = 1\n",
		"[vfio-user " VM "]\npath = /x\nmemory = 1G\npages = memfd\npath = /y\n",
		"[vfio-user vm1]\npath = /x\nmemory = 1G\npages = memfd\n",
		"[vfio-user 83B8F4F2-509f-382f-3c1e-e6bfe0fa1001]\npath = /x\nmemory = 1G\npages = memfd\n",
		"[vfio-user " VM "0]\npath = /x\nmemory = 1G\npages = memfd\n",
		"[vfio-user " VM "]\npath = /x\nmemory = 1G\npages = memfd\n[vfio-user]\npath = /y\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!load(bad[i]))
			fail_msg("taken over: %s", bad[i]);
}

/* What the log says while `text` is read. */
static const char *said(const char *text)
{
	static char log[4096];
	int fd = memfd_create("log", MFD_CLOEXEC);
	ssize_t n;

	vg_log_to(fd);
	load(text);
	vg_log_to(STDERR_FILENO);
	n = pread(fd, log, sizeof(log) - 1, 0);
	log[n > 0 ? n : 0] = '\0';
	close(fd);
	return log;
}

/* A fault has its line, its section and key, and what is allowed. */
static void faults_are_located(void **state)
{
	static char line[1024] = "[sandbox]\nread = ";
	static const struct {
		const char *text, *words[3];
	} faults[] = {
		{ "[limits]\n\n# x\nprograms = 0\n", { ":4: [limits] programs = 0", "1 to 100000" } },
		{ "[limits]\nprogramms = 5\n", { ":2: ", "programms in [limits]", "programs, starts" } },
		{ "[limit]\nstarts = 5\n", { ":2: ", "[limit]", "[executor], [limits]" } },
		{ "[log]\nlevel = a\n[socket]\nmode = 8\n", { ":2: [log] level", ":4: [socket] mode" } },
		{ "[log]\nlevel = info\n level = debug\n", { ":3: [log] level is given twice", "line 2" } },
		{ "[log]\nlevel\n", { ":2: neither [section] nor key = value" } },
		{ "[sandbox]\nallow = kill,no_such\n", { ":2: ", "no system call no_such" } },
		{ line, { ":2: longer than " } },
	};

	(void)state;
	memset(line + strlen(line), 'x', sizeof(line) - strlen(line) - 1);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		for (size_t k = 0; k < 3 && faults[i].words[k]; k++)
			if (!strstr(said(faults[i].text), faults[i].words[k]))
				fail_msg("\"%s\" is not in: %s", faults[i].words[k], said(faults[i].text));
}

/* A line may be indented. */
static void indented(void **state)
{
	(void)state;
	assert_int_equal(load("[socket]\n  path = /tmp/x\n\tmemory = 64M\n"), 0);
	assert_string_equal(vg_config.socket, "/tmp/x");
	assert_int_equal(vg_config.local_memory, 64 << 20);
}

static int reload(const char *text)
{
	char path[] = "/tmp/vgpu-conf-XXXXXX";
	int fd = mkstemp(path), ret;

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	ret = vg_config_reload(path, true);
	unlink(path);
	return ret;
}

static void read_again(void **state)
{
	(void)state;
	assert_int_equal(load("[limits]\nprograms = 5\n[socket]\nmode = 600\n"), 0);
	assert_int_equal(reload("[limits]\nprograms = 7\nstarts = 3\n[socket]\nmode = 660\n"
				"[sandbox]\nallow = kill\n"), 3);
	assert_int_equal(vg_config.programs, 7);
	assert_int_equal(vg_config.starts, 3);
	assert_string_equal(vg_config.allow, "kill");
	assert_int_equal(vg_config.socket_mode, 0600);
	/* What is no longer there has its default again; a wrong file changes nothing. */
	assert_int_equal(reload("[limits]\nprograms = 7\nstarts = 3\n[socket]\nmode = 600\n"), 1);
	assert_string_equal(vg_config.allow, "");
	assert_true(reload("[limits]\nprograms = 9\nstarts = none\n") < 0);
	assert_int_equal(vg_config.programs, 7);
	assert_int_equal(load(""), 0);
}

/* Of the sections that say something, the one that is most about this vGPU. */
static void quotas(void **state)
{
	static const char uuid[] = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";
	struct vg_tenant *t, *other;
	char from[64], shown[24];

	(void)state;
	assert_int_equal(load("[limits]\nstarts = 3\nmemory = 8G\n[pool A]\nstarts = 4\nmemory = 3G\n"
			      "[type A-4096M]\nstarts = 5\nprograms = 6\n"
			      "[vgpu 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001]\nstarts = 7\n"), 0);
	t = vg_tenant_new(uuid, "A", "A-4096M", "", 4ull << 30);
	other = vg_tenant_new("other", "B", "B-4096M", "", 4ull << 30);
	assert_int_equal(vg_quota(t, VG_QUOTA_STARTS), 7);
	assert_int_equal(vg_quota(t, VG_QUOTA_PROGRAMS), 6);
	assert_int_equal(vg_quota(t, VG_QUOTA_MEMORY), 3ull << 30);
	assert_int_equal(vg_quota(t, VG_QUOTA_HOST_MEMORY), 8ull << 30);
	assert_int_equal(t->account->limit, 3ull << 30);
	vg_quota_origin(t, VG_QUOTA_PROGRAMS, from);
	assert_string_equal(from, "[type A-4096M]");
	vg_quota_origin(t, VG_QUOTA_HOST_MEMORY, from);
	assert_string_equal(from, "[limits] memory");
	/* What says nothing of it has what its type has, or all have. */
	assert_int_equal(vg_quota(other, VG_QUOTA_STARTS), 3);
	assert_int_equal(vg_quota(other, VG_QUOTA_MEMORY), 4ull << 30);
	assert_int_equal(vg_quota(other, VG_QUOTA_PROGRAMS), VG_ACCOUNT_ENTRIES);
	vg_quota_show(VG_QUOTA_MEMORY, 3ull << 30, shown);
	assert_string_equal(shown, "3G");
	vg_quota_show(VG_QUOTA_MEMORY, 1025, shown);
	assert_string_equal(shown, "1025");
	vg_quota_show(VG_QUOTA_MEMORY, VG_QUOTA_NONE, shown);
	assert_string_equal(shown, "none");
	/* One value has changed, one has come, and three have gone. */
	assert_int_equal(reload("[limits]\nstarts = 3\nmemory = 8G\n[pool A]\nstarts = 4\n"
				"[type A-4096M]\nstarts = 9\nthreads = 10\n"), 5);
	vg_quotas_apply_all();
	assert_int_equal(vg_quota(t, VG_QUOTA_STARTS), 9);
	assert_int_equal(vg_quota(t, VG_QUOTA_MEMORY), 4ull << 30);
	/* Of a wrong file nothing is taken over. */
	assert_true(reload("[type A-4096M]\nstarts = 8\n[vgpu X]\nstarts = 8\n") < 0);
	assert_true(reload("[type A-4096M]\nstarts = 8\nstarts = 8\n") < 0);
	assert_true(reload("[type A-4096M]\ndevices = 0\n") < 0);
	assert_true(reload("[pool a-name-that-is-too-long]\nstarts = 8\n") < 0);
	vg_quotas_apply_all();
	assert_int_equal(vg_quota(t, VG_QUOTA_STARTS), 9);
	vg_tenant_free(t);
	vg_tenant_free(other);
	assert_int_equal(load(""), 0);
}

/* So many faults in the time, and no others count: not older ones, not another vGPU's or user's. */
static void quarantine(void **state)
{
	struct vg_user *user, *another, *there;
	struct vg_tenant *t, *other;

	(void)state;
	assert_int_equal(load("[limits]\nfaults = 3\nfault_seconds = 10\n[state]\npath =\n"), 0);
	t = vg_tenant_new("83b8f4f2-509f-382f-3c1e-e6bfe0fa1001", "A", "t", "", 1000);
	other = vg_tenant_new("83b8f4f2-509f-382f-3c1e-e6bfe0fa1002", "A", "t", "", 1000);
	event = (struct vg_event){ 0 };
	vg_quarantine_fault(t, NULL, "one");
	vg_quarantine_fault(other, NULL, "one");
	now += 5000;
	vg_quarantine_fault(t, NULL, "two");
	now += 5000;
	vg_quarantine_fault(t, NULL, "three, but the first is too old");
	assert_false(vg_quarantined(t, NULL));
	assert_int_equal(event.time_ms | event.kind, 0);
	now += 4999;
	vg_quarantine_fault(t, NULL, "the last");
	assert_true(vg_quarantined(t, NULL));
	assert_false(vg_quarantined(other, NULL));
	assert_int_equal(event.kind, VG_EVENT_QUARANTINE);
	assert_string_equal(event.vgpu, t->uuid);
	assert_string_equal(event.why, "3 faults in 10 s; the last: the last");
	/* Those of programs that were there already are no more news. */
	event = (struct vg_event){ 0 };
	for (int i = 0; i < 5; i++)
		vg_quarantine_fault(t, NULL, "more");
	assert_int_equal(event.kind, 0);
	assert_int_equal(vg_state_quarantine_end(t->uuid), 0);
	assert_false(vg_quarantined(t, NULL));
	assert_int_equal(vg_state_quarantine_end(t->uuid), -ENOENT);
	/*
	 * Of a socket's programs each user answers for himself, also when he has been away; and for what
	 * he does over another one only there.
	 */
	t->local = other->local = true;
	strcpy(t->uuid, "local");
	strcpy(other->uuid, "team-a");
	user = vg_user_get(t, 1000);
	another = vg_user_get(t, 1001);
	vg_quarantine_fault(t, user, "one");
	vg_quarantine_fault(t, user, "two");
	vg_quarantine_fault(t, another, "one");
	vg_user_put(user);
	now += 4000;
	vg_users_tick();
	user = vg_user_get(t, 1000);
	vg_quarantine_fault(t, user, "three");
	assert_true(vg_quarantined(t, user));
	assert_false(vg_quarantined(t, another));
	assert_ptr_not_equal(there = vg_user_get(other, 1000), user);
	assert_false(vg_quarantined(other, there));
	vg_user_put(there);
	/* A section [socket NAME] is one tenant's, so it is one, whatever users its programs are. */
	other->named = true;
	there = vg_user_get(other, 1000);
	assert_ptr_equal(vg_user_get(other, 1001), there);
	assert_ptr_equal(vg_user_find(other, 1002), there);
	for (int i = 0; i < 3; i++)
		vg_quarantine_fault(other, there, "one");
	assert_true(vg_quarantined(other, there));
	assert_int_equal(vg_state_quarantine_end("team-a"), 0);
	vg_user_put(there);
	vg_user_put(there);
	assert_false(vg_quarantined(t, NULL));
	assert_int_equal(vg_state_quarantine_end("local:1000"), 0);
	vg_user_put(user);
	vg_user_put(another);
	now += 1000000;
	vg_users_tick();
	assert_null(vg_user_find(t, 1000));
	vg_tenant_free(t);
	vg_tenant_free(other);
	assert_int_equal(load(""), 0);
}

/* No file is written that is too long to be read at the next start; what was there stays. */
static void state_can_be_read_again(void **state)
{
	static const char name[] = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";
	const char *text[VG_QUOTAS] = { [VG_QUOTA_PROGRAMS] = "2" };
	const bool change[VG_QUOTAS] = { [VG_QUOTA_PROGRAMS] = true };
	char path[] = "/tmp/vgpu-state-XXXXXX", conf[80], why[400];
	size_t bytes = 17u << 20;
	uint64_t value = 0;
	struct stat st;
	char *much;
	bool kept;
	int fd;

	(void)state;
	fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	snprintf(conf, sizeof(conf), "[state]\npath = %s\n", path);
	assert_int_equal(load(conf), 0);
	assert_true(vg_state_set(name, text, change, &kept, why, sizeof(why)));
	much = malloc(bytes);
	assert_non_null(much);
	memset(much, '0', bytes);
	memcpy(much + bytes - 2, "3", 2);
	text[VG_QUOTA_PROGRAMS] = much;
	assert_false(vg_state_set(name, text, change, &kept, why, sizeof(why)));
	free(much);
	assert_non_null(strstr(why, "too large"));
	assert_int_equal(stat(path, &st), 0);
	assert_in_range(st.st_size, 1, 1000);
	assert_true(vg_state_value(name, VG_QUOTA_PROGRAMS, &value));
	assert_int_equal(value, 2);
	text[VG_QUOTA_PROGRAMS] = NULL;
	assert_true(vg_state_set(name, text, change, &kept, why, sizeof(why)));
	unlink(path);
	assert_int_equal(load(""), 0);
}

/* With the last one that has a share, the others need no turns any more. */
static void turns_end_with_shares(void **state)
{
	struct vg_tenant *t, *other;

	(void)state;
	assert_int_equal(load("[vgpu 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001]\nshare = 5\n"), 0);
	other = vg_tenant_new("83b8f4f2-509f-382f-3c1e-e6bfe0fa1002", "A", "t", "", 1000);
	assert_false(atomic_load(&other->account->turns));
	t = vg_tenant_new("83b8f4f2-509f-382f-3c1e-e6bfe0fa1001", "A", "t", "", 1000);
	assert_true(atomic_load(&other->account->turns));
	vg_tenant_free(t);
	assert_false(atomic_load(&other->account->turns));
	vg_tenant_free(other);
	assert_int_equal(load(""), 0);
}

static void tenant_settles(void **state)
{
	struct vg_tenant *t = vg_tenant_new("u", "A", "t", "", 1000);
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

/* An executor that a guest has taken over writes all over the page, and then ends. */
static void account_is_written_anew(void **state)
{
	struct vg_tenant *t = vg_tenant_new("u", "A", "t", "", 1000);
	struct vg_account was;
	int a, b;

	(void)state;
	a = vg_tenant_entry(t);
	b = vg_tenant_entry(t);
	memcpy(&was, t->account, sizeof(was));
	memset(t->account, 0x5a, sizeof(*t->account));
	vg_tenant_settle(t, a);
	/* What the other executor has is its own to say. */
	assert_int_not_equal(t->account->entry[b].memory, 0);
	assert_int_equal(vg_tenant_memory(t), t->account->entry[b].memory);
	vg_tenant_settle(t, b);
	assert_int_equal(t->account->limit, was.limit);
	assert_int_equal(t->account->context_limit, was.context_limit);
	assert_int_equal(t->account->kernel_ms, was.kernel_ms);
	assert_int_equal(t->account->turns, was.turns);
	assert_int_equal(t->account->entries, was.entries);
	assert_int_equal(t->account->orphaned, 0);
	assert_string_equal(t->account->name, "u");
	for (int i = 0; i < VG_BUCKETS; i++)
		assert_int_equal(t->account->bucket[i].rate, was.bucket[i].rate);
	assert_memory_equal(&t->account->entry[b], &was.entry[b], sizeof(was.entry[b]));
	assert_memory_equal(&t->account->waits[b], &was.waits[b], sizeof(was.waits[b]));
	assert_memory_equal(&t->account->launch[b], &was.launch[b], sizeof(was.launch[b]));
	assert_int_equal(vg_tenant_memory(t), 0);
	assert_int_equal(vg_tenant_contexts(t), 0);
	/* And before the next program begins, also in an entry that nobody has had. */
	memset(t->account, 0x5a, sizeof(*t->account));
	for (int i = 0; i < 3; i++)
		assert_int_equal(vg_tenant_entry(t), i);
	assert_int_equal(t->account->limit, was.limit);
	assert_int_equal(t->account->orphaned, 0);
	assert_int_equal(t->account->entries, 3);
	assert_int_equal(vg_tenant_memory(t), 0);
	vg_tenant_free(t);
}

/* Its size is nobody's to change, or whoever has mapped it would fault. */
static void account_is_sealed(void **state)
{
	struct vg_tenant *t = vg_tenant_new("u", "A", "t", "", 1000);

	(void)state;
	assert_int_equal(ftruncate(t->account_fd, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(t->account_fd, 1 << 20), -1);
	assert_int_equal(fcntl(t->account_fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	vg_tenant_free(t);
}

static void tenant_full(void **state)
{
	struct vg_tenant *t = vg_tenant_new("u", "A", "t", "", 1000);
	int i;

	(void)state;
	for (i = 0; i < VG_ACCOUNT_ENTRIES; i++)
		assert_true(vg_tenant_entry(t) >= 0);
	assert_true(vg_tenant_entry(t) < 0);
	vg_tenant_settle(t, 17);
	assert_int_equal(vg_tenant_entry(t), 17);
	vg_tenant_free(t);
}

/* -- what others may ask for, and what they call themselves */

static struct vg_tenant rated = { .quota = { [VG_QUOTA_STARTS] = 20 } };

/* Two seconds' worth at once, and then no more than so many a second. */
static void starts(void **state)
{
	struct vg_rate r = { 0 };
	unsigned int served = 0;
	int64_t wait;

	(void)state;
	for (; !vg_rate_wait(&r, &rated); served++)
		vg_rate_spend(&r);
	assert_int_equal(served, 40);
	assert_in_range(vg_rate_wait(&r, &rated), 50, 51);
	/* Whoever takes a place in the queue has the next after it. */
	for (int i = 1; i <= 10; i++) {
		wait = vg_rate_wait(&r, &rated);
		assert_in_range(wait, 50 * i, 50 * i + 1);
		vg_rate_spend(&r);
	}
	now += 551;
	assert_int_equal(vg_rate_wait(&r, &rated), 0);
	now += 1000000;
	for (served = 0; !vg_rate_wait(&r, &rated); served++)
		vg_rate_spend(&r);
	assert_int_equal(served, 40);
	/* Or as many as the vGPU's burst says. */
	rated.quota[VG_QUOTA_STARTS_BURST] = 3;
	now += 1000000;
	for (served = 0; !vg_rate_wait(&r, &rated); served++)
		vg_rate_spend(&r);
	assert_int_equal(served, 3);
	assert_in_range(vg_rate_wait(&r, &rated), 50, 51);
	rated.quota[VG_QUOTA_STARTS_BURST] = 0;
}

static void users(void **state)
{
	struct vg_user *one_user = vg_user_get(&rated, 1000), *another = vg_user_get(&rated, 1001);

	(void)state;
	assert_ptr_not_equal(one_user, another);
	assert_ptr_equal(vg_user_get(&rated, 1000), one_user);
	while (!vg_rate_wait(&one_user->starts, &rated))
		vg_rate_spend(&one_user->starts);
	vg_user_put(one_user);
	vg_user_put(one_user);
	/* Who comes again at once has used up what there was. */
	vg_users_tick();
	one_user = vg_user_get(&rated, 1000);
	assert_true(vg_rate_wait(&one_user->starts, &rated) > 0);
	vg_user_put(one_user);
	vg_user_put(another);
	now += 10000;
	vg_users_tick();
	one_user = vg_user_get(&rated, 1000);
	assert_int_equal(vg_rate_wait(&one_user->starts, &rated), 0);
	vg_user_put(one_user);
}

/* Each has its own while anybody needs it, and what was given back is not soon another's. */
static void uids(void **state)
{
	uid_t first, second, third;

	(void)state;
	assert_int_equal(load("[executor]\nuids = 200000-200002\n"), 0);
	first = vg_uid_new();
	second = vg_uid_new();
	assert_in_range(first, 200000, 200002);
	assert_in_range(second, 200000, 200002);
	assert_int_not_equal(first, second);
	assert_int_equal(vg_uid_get(first), first);	/* an executor of its own */
	vg_uid_put(first);
	third = vg_uid_new();
	assert_true(third && third != first && third != second);
	assert_int_equal(vg_uid_new(), 0);
	vg_uid_put(first);
	vg_uid_put(second);
	assert_int_equal(vg_uid_new(), first);
	assert_int_equal(vg_uid_new(), second);
	assert_int_equal(vg_uid_new(), 0);
	assert_int_equal(vg_uid_get(0), 0);
	vg_uid_put(0);
	vg_uid_put(first);
	vg_uid_put(second);
	vg_uid_put(third);
	assert_int_equal(load("[executor]\nuids =\n"), 0);
	assert_false(vg_uids_wanted());
}

/* What is kept of users has a bound, because a program can be any number of them. */
static void few_users_in_quarantine(void **state)
{
	char name[VG_STATE_NAME];

	(void)state;
	assert_int_equal(load("[state]\npath =\n"), 0);
	assert_int_equal(vg_state_quarantine_put("team-a", 1, "the oldest, of a tenant"), 0);
	for (unsigned int i = 0; i < 257; i++) {
		snprintf(name, sizeof(name), "local:%u", 4000 + i);
		assert_int_equal(vg_state_quarantine_put(name, 10 + i, "a user"), 0);
	}
	assert_true(vg_state_quarantine("team-a", NULL));
	assert_false(vg_state_quarantine("local:4000", NULL));
	for (unsigned int i = 1; i < 257; i++) {
		snprintf(name, sizeof(name), "local:%u", 4000 + i);
		assert_int_equal(vg_state_quarantine_end(name), 0);
	}
	assert_int_equal(vg_state_quarantine_end("team-a"), 0);
	assert_int_equal(load(""), 0);
}

/* Whoever is many users has no more ids than programs, also where their faults are remembered. */
static void kept_users_have_no_ids(void **state)
{
	struct vg_tenant *t = vg_tenant_new("local", "A", "socket", "", 1000);
	struct vg_user *user;

	(void)state;
	t->local = true;
	assert_int_equal(load("[executor]\nuids = 200000-200002\n[limits]\nfaults = 3\n"), 0);
	vg_quotas_apply(t);
	for (uid_t uid = 4000; uid < 4010; uid++) {
		user = vg_user_get(t, uid);
		user->executors = vg_uid_new();
		assert_int_not_equal(user->executors, 0);
		vg_users_tick();
		assert_int_not_equal(user->executors, 0);
		vg_quarantine_fault(t, user, "one");
		vg_user_put(user);
		vg_users_tick();
		assert_ptr_equal(vg_user_find(t, uid), user);
	}
	now += 1000000;
	vg_users_tick();
	assert_null(vg_user_find(t, 4000));
	vg_tenant_free(t);
	assert_int_equal(load(""), 0);
}

static void names(void **state)
{
	static const struct {
		const char *in, *out;
	} name[] = {
		{ "python3", "python3" },
		{ "", "" },
		{ "обра", "обра" },
		{ "\xd0\xbe\xd0", "\xd0\xbe\\xd0" },			/* cut in a letter */
		{ "a\nb\r\t", "a\\x0ab\\x0d\\x09" },
		{ "\x1b[31m\x07\x7f", "\\x1b[31m\\x07\\x7f" },
		{ "\xc2\x9b" "1m", "\\xc2\\x9b1m" },		/* a control character */
		{ "\xff\xfe\x80", "\\xff\\xfe\\x80" },
		{ "\xc0\xaf", "\\xc0\\xaf" },				/* overlong */
		{ "\xe0\x80\xaf", "\\xe0\\x80\\xaf" },
		{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },			/* a surrogate */
		{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" },		/* beyond Unicode */
		{ "\xe2\x80\xae" "x", "\\xe2\\x80\\xaex" },	/* turns the line around */
		{ "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80" },
	};
	char out[64], in[16];

	(void)state;
	for (size_t i = 0; i < sizeof(name) / sizeof(name[0]); i++) {
		vg_text_show(out, sizeof(out), name[i].in, 16);
		assert_string_equal(out, name[i].out);
	}
	/* Sixteen bytes without an end, and the longest that they can become. */
	memset(in, 0xff, sizeof(in));
	vg_text_show(out, sizeof(out), in, sizeof(in));
	assert_int_equal(strlen(out), 60);
	memset(in, 'x', sizeof(in));
	vg_text_show(out, sizeof(out), in, sizeof(in));
	assert_string_equal(out, "xxxxxxxxxxxxxxxx");
}

/* Whoever has given the words, one message is one line; and there are not too many. */
static void log_lines(void **state)
{
	char path[] = "/tmp/vgpu-log-XXXXXX", text[4096];
	struct vg_log_rate rate = { 0 };
	int fd = mkstemp(path), lines = 0;
	ssize_t n;

	(void)state;
	vg_log_to(fd);
	vg_log(VG_ERROR, "a %s", "\n<0>vgpu: \x1b[31m");
	for (int i = 0; i < 100; i++)
		vg_log_some(&rate, VG_ERROR, "flood %d", i);
	vg_log_to(STDERR_FILENO);
	n = pread(fd, text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	text[n] = '\0';
	assert_non_null(strstr(text, "a ?<0>vgpu: ?[31m\n"));
	for (ssize_t i = 0; i < n; i++)
		lines += text[i] == '\n';
	assert_int_equal(lines, 1 + 5);
	close(fd);
	unlink(path);
}

/* -- cgroups, in a folder that stands for one */

static char *content(const char *dir, const char *name)
{
	static char text[4096];
	char path[256];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	n = read(fd, text, sizeof(text) - 1);
	assert_true(n >= 0);
	text[n] = '\0';
	close(fd);
	return text;
}

static char *number(int n)
{
	static char text[16];

	snprintf(text, sizeof(text), "%d", n);
	return text;
}

static int put_text(const char *dir, const char *name, const char *text)
{
	char path[400];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	close(fd);
	return n < 0 ? -EIO : 0;
}

static void make(const char *dir, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	close(open(path, O_WRONLY | O_CREAT, 0600));
}

static void cgroups(void **state)
{
	struct vg_tenant *t = vg_tenant_new("one", "A", "t", "", 1000);
	char dir[] = "/tmp/vgpu-cgroup-XXXXXX", path[128], mine[16];
	static const char *const files[] = { "mediator/cgroup.procs", "cgroup.subtree_control",
		"one/cgroup.procs", "one/memory.max", "one/pids.max" };

	(void)state;
	assert_non_null(mkdtemp(dir));
	/* Without a cgroup of its own everything goes on. */
	assert_int_equal(vg_cgroup_enter(t, 77), 0);
	assert_int_not_equal(vg_cgroup_use("/nonexistent"), 0);
	assert_int_not_equal(vg_cgroup_use(dir), 0);
	assert_int_equal(vg_cgroup_enter(t, 77), 0);
	snprintf(path, sizeof(path), "%s/one", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		make(dir, files[i]);
	assert_int_equal(load("[limits]\nmemory = 8G\nthreads = 4096\n"), 0);
	vg_quotas_apply(t);
	assert_int_equal(vg_cgroup_use(dir), 0);
	snprintf(mine, sizeof(mine), "%d", getpid());
	assert_string_equal(content(dir, "mediator/cgroup.procs"), mine);
	assert_string_equal(content(dir, "cgroup.subtree_control"), "+memory +pids");
	assert_int_equal(vg_cgroup_enter(t, 77), 0);
	assert_string_equal(content(dir, "one/memory.max"), "8589934592");
	assert_string_equal(content(dir, "one/pids.max"), "4096");
	assert_string_equal(content(dir, "one/cgroup.procs"), "77");
	/* What should hold a limit and does not is an error, and no silence. */
	snprintf(path, sizeof(path), "%s/one/pids.max", dir);
	unlink(path);
	assert_int_equal(vg_cgroup_enter(t, 78), -ENOENT);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		unlink(path);
	}
	/* It goes with its vGPU. */
	vg_tenant_free(t);
	snprintf(path, sizeof(path), "%s/one", dir);
	assert_int_equal(access(path, F_OK), -1);
	snprintf(path, sizeof(path), "%s/mediator", dir);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

/* The line for the operator has the setting as the unit file has it. */
static void cgroup_not_delegated(void **state)
{
	static const char setting[] = "Delegate=memory pids";
	char *line, *unit;
	int log = memfd_create("log", MFD_CLOEXEC);

	(void)state;
	if (getxattr("/sys/fs/cgroup", "trusted.delegate", NULL, 0) > 0 ||
	    getxattr("/sys/fs/cgroup", "user.delegate", NULL, 0) > 0)
		skip();
	assert_int_equal(load("[limits]\nmemory = 8G\n"), 0);
	vg_log_init("test", VG_INFO);
	vg_log_to(log);
	vg_cgroup_open();
	vg_log_to(STDERR_FILENO);
	vg_log_init("test", VG_ERROR);
	line = strdup(content("/proc/self/fd", number(log)));
	assert_non_null(strstr(line, setting));
	unit = content("packaging/systemd", "vgpu-mediatord.service.in");
	assert_non_null(strstr(unit, setting));
	free(line);
	close(log);
}

/* A folder of the kernel's own for a test, or NULL and why there is none. */
static const char *cgroup_make(char *dir, size_t size, const char **why)
{
	static const char *const mounts[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	struct statfs fs;
	char *has;

	*why = "cgroup v2 is not mounted";
	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		if (statfs(mounts[i], &fs) || fs.f_type != CGROUP2_SUPER_MAGIC)
			continue;
		*why = "no cgroup can be made";
		snprintf(dir, size, "%s/vgpu-test-%d", mounts[i], getpid());
		if (mkdir(dir, 0755))
			continue;
		has = content(dir, "cgroup.controllers");
		if (strstr(has, "memory") && strstr(has, "pids"))
			return dir;
		*why = "a new cgroup has no controllers for memory and threads";
		rmdir(dir);
	}
	return NULL;
}

/* In a process of its own, from which cmocka's jump would lead into the next test. */
#define NEED(condition)                                                                 \
	do {                                                                            \
		if (!(condition)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			_exit(1);                                                       \
		}                                                                       \
	} while (0)
#define NEED_EQUAL(a, b) NEED((a) == (b))
#define NEED_TEXT(a, b) NEED(!strcmp(a, b))

/* A process of a vGPU that tries to start another when it is told to. */
static pid_t start_executor(int order, int answer)
{
	pid_t pid = fork(), one;
	char c;

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(order, &c, 1) == 1) {
		one = fork();
		if (!one)
			_exit(0);
		if (one > 0)
			waitpid(one, NULL, 0);
		c = one > 0 ? 'y' : errno == EAGAIN ? 'n' : '?';
		if (write(answer, &c, 1) != 1)
			break;
	}
	_exit(0);
}

static char forks(int order, int answer)
{
	char c = 0;

	NEED_EQUAL(write(order, "f", 1), 1);
	NEED_EQUAL(read(answer, &c, 1), 1);
	return c;
}

/* The process moves itself, so this is one of its own. */
static void in_a_real_cgroup(const char *dir)
{
	struct vg_tenant *t = vg_tenant_new("one", "A", "t", "", 1000);
	int order[2], answer[2], status;
	char path[200], line[300];
	pid_t pid;

	NEED_EQUAL(pipe(order) | pipe(answer), 0);
	pid = start_executor(order[0], answer[1]);
	NEED_EQUAL(load("[limits]\nmemory = 8G\nthreads = 4096\n"), 0);
	vg_quotas_apply(t);
	NEED_EQUAL(vg_cgroup_use(dir), 0);
	NEED_EQUAL(vg_cgroup_enter(t, pid), 0);
	NEED_TEXT(content(dir, "mediator/cgroup.procs"), strcat(number(getpid()), "\n"));
	NEED_TEXT(content(dir, "one/memory.max"), "8589934592\n");
	NEED_TEXT(content(dir, "one/pids.max"), "4096\n");
	NEED_TEXT(content(dir, "one/cgroup.procs"), strcat(number(pid), "\n"));
	NEED_EQUAL(forks(order[1], answer[0]), 'y');
	/* The limit is one for all that the kernel finds in there. */
	NEED_EQUAL(load("[limits]\nmemory = 8G\nthreads = 1\n"), 0);
	vg_quotas_apply(t);
	NEED_EQUAL(vg_cgroup_enter(t, pid), 0);
	NEED_EQUAL(forks(order[1], answer[0]), 'n');
	/* A cgroup with processes stays; without any it goes with its vGPU. */
	vg_tenant_free(t);
	snprintf(path, sizeof(path), "%s/one", dir);
	NEED_EQUAL(access(path, F_OK), 0);
	kill(pid, SIGKILL);
	NEED_EQUAL(waitpid(pid, &status, 0), pid);
	vg_cgroup_sweep();
	NEED_EQUAL(access(path, F_OK), -1);
	snprintf(line, sizeof(line), "%s/..", dir);
	snprintf(path, sizeof(path), "%d", getpid());
	NEED_EQUAL(put_text(line, "cgroup.procs", path), 0);
}

static void cgroups_of_the_kernel(void **state)
{
	char dir[128], path[160];
	const char *why;
	int status;
	pid_t pid;

	(void)state;
	if (!cgroup_make(dir, sizeof(dir), &why)) {
		print_message("skipped: %s\n", why);
		skip();
	}
	pid = fork();
	if (!pid) {
		in_a_real_cgroup(dir);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	snprintf(path, sizeof(path), "%s/mediator", dir);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(dir), 0);
	assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
}

/* -- tokens */

struct token {
	uint8_t name[VG_TOKEN_BYTES];
};

static struct vg_tenant *one, *other;
static struct vg_proc a, b, stranger;

static int tokens_setup(void **state)
{
	(void)state;
	one = vg_tenant_new("one", "A", "t", "", 1000);
	other = vg_tenant_new("other", "A", "t", "", 1000);
	a = (struct vg_proc){ .tenant = one };
	b = (struct vg_proc){ .tenant = one };
	stranger = (struct vg_proc){ .tenant = other };
	return one && other ? 0 : -1;
}

static int tokens_teardown(void **state)
{
	(void)state;
	vg_tokens_forget(&a);
	vg_tokens_forget(&b);
	vg_tokens_forget(&stranger);
	assert_int_equal(one->token_count, 0);
	assert_int_equal(one->token_fds, 0);
	assert_int_equal(vg_tenant_memory(one), 0);
	vg_tenant_free(one);
	vg_tenant_free(other);
	return 0;
}

static int ask(struct vg_proc *p, uint32_t op, uint32_t kind, const struct token *k,
	       struct vg_token_answer *out, int *fd)
{
	struct vg_token_request rq = { .size = sizeof(rq), .op = op, .kind = kind };

	memcpy(rq.token, k->name, sizeof(rq.token));
	assert_int_equal(vg_token_serve(p, &rq, -1, out, fd), 0);
	return -(int)out->status;
}

static int offers(struct vg_proc *p, uint32_t kind, uint64_t size, int fd, struct token *k)
{
	struct vg_token_request rq = { .size = sizeof(rq), .op = VG_TOKEN_OFFER, .kind = kind,
				       .bytes = size, .data = "the driver's" };
	struct vg_token_answer out;
	int none;

	assert_int_equal(vg_token_serve(p, &rq, fd, &out, &none), 0);
	assert_int_equal(none, -1);
	memcpy(k->name, out.token, sizeof(k->name));
	return -(int)out.status;
}

static int takes(struct vg_proc *p, uint32_t kind, const struct token *k)
{
	struct vg_token_answer out;
	int fd, ret = ask(p, VG_TOKEN_TAKE, kind, k, &out, &fd);

	if (!ret)
		assert_string_equal((char *)out.data, "the driver's");
	else
		assert_true(fd == -1 && !out.bytes && !out.data[0]);
	return ret;
}

static int says(struct vg_proc *p, uint32_t op, const struct token *k)
{
	struct vg_token_answer out;
	int fd = -1, ret = ask(p, op, VG_TOKEN_MEMORY, k, &out, &fd);

	/* It goes to the executor with the answer, and is closed here as soon as that is sent. */
	if (op == VG_TOKEN_WITHDRAW)
		vg_closer_close(p->closer, fd);
	return ret;
}

/* A token of one vGPU is none of another's, whatever it is asked for. */
static void token_reach(void **state)
{
	struct token k, wrong;

	(void)state;
	assert_int_equal(offers(&a, VG_TOKEN_MEMORY, 100, -1, &k), 0);
	assert_int_equal(takes(&stranger, VG_TOKEN_MEMORY, &k), -ENOENT);
	assert_int_equal(says(&stranger, VG_TOKEN_LEAVE, &k), -ENOENT);
	assert_int_equal(says(&stranger, VG_TOKEN_WITHDRAW, &k), -ENOENT);
	for (uint32_t kind = VG_TOKEN_EVENT; kind < VG_TOKEN_KINDS; kind++)
		assert_int_equal(takes(&b, kind, &k), -ENOENT);
	for (int bit = 0; bit < 8 * VG_TOKEN_BYTES; bit++) {
		wrong = k;
		wrong.name[bit / 8] ^= 1 << bit % 8;
		assert_int_equal(takes(&b, VG_TOKEN_MEMORY, &wrong), -ENOENT);
	}
	/* Nor may one of the same vGPU take back what it has not offered. */
	assert_int_equal(says(&b, VG_TOKEN_WITHDRAW, &k), -ENOENT);
	assert_int_equal(says(&b, VG_TOKEN_LEAVE, &k), -ENOENT);
	assert_int_equal(takes(&b, VG_TOKEN_MEMORY, &k), 0);
	assert_int_equal(says(&a, VG_TOKEN_WITHDRAW, &k), 0);
	assert_int_equal(takes(&b, VG_TOKEN_MEMORY, &k), -ENOENT);
	assert_int_equal(says(&a, VG_TOKEN_WITHDRAW, &k), -ENOENT);
}

/* Memory counts once, from its allocation until nobody has it. */
static void token_charge(void **state)
{
	struct token k;

	(void)state;
	assert_int_equal(offers(&a, VG_TOKEN_MEMORY, 700, -1, &k), 0);
	assert_int_equal(takes(&b, VG_TOKEN_MEMORY, &k), 0);
	assert_int_equal(takes(&b, VG_TOKEN_MEMORY, &k), 0);
	assert_int_equal(vg_tenant_memory(one), 0);	/* it is charged to its owner */
	assert_int_equal(says(&a, VG_TOKEN_WITHDRAW, &k), 0);
	/* Whoever has a block has all of the piece that it lies in. */
	assert_int_equal(vg_tenant_memory(one), VG_DEVICE_PIECE);
	assert_int_equal(says(&b, VG_TOKEN_LEAVE, &k), 0);
	assert_int_equal(vg_tenant_memory(one), VG_DEVICE_PIECE);
	assert_int_equal(says(&b, VG_TOKEN_LEAVE, &k), 0);
	assert_int_equal(vg_tenant_memory(one), 0);
	assert_int_equal(says(&b, VG_TOKEN_LEAVE, &k), -ENOENT);
	/* The same where processes end, in either order. */
	assert_int_equal(offers(&a, VG_TOKEN_ALLOCATION, 300, memfd_create("t", MFD_CLOEXEC), &k), 0);
	assert_int_equal(takes(&a, VG_TOKEN_ALLOCATION, &k), 0);
	assert_int_equal(takes(&b, VG_TOKEN_ALLOCATION, &k), 0);
	vg_tokens_forget(&a);
	assert_int_equal(vg_tenant_memory(one), 300);
	assert_int_equal(takes(&b, VG_TOKEN_ALLOCATION, &k), -ENOENT);
	vg_tokens_forget(&b);
	assert_int_equal(vg_tenant_memory(one), 0);
	assert_int_equal(offers(&a, VG_TOKEN_POINTER, 300, -1, &k), 0);
	assert_int_equal(takes(&b, VG_TOKEN_POINTER, &k), 0);
	vg_tokens_forget(&b);
	vg_tokens_forget(&a);
	assert_int_equal(vg_tenant_memory(one), 0);
	assert_int_equal(offers(&a, VG_TOKEN_MEMORY, 1001, -1, &k), -EINVAL);
}

static void token_descriptors(void **state)
{
	int fd = memfd_create("t", MFD_CLOEXEC), out;
	struct vg_token_answer answer;
	struct token k, keep;

	(void)state;
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(offers(&a, VG_TOKEN_POOL, 0, fd, &keep), 0);
	assert_int_equal(ask(&b, VG_TOKEN_TAKE, VG_TOKEN_POOL, &keep, &answer, &out), 0);
	assert_true(out >= 0 && out != fd);
	/* No executor that is started later may have it. */
	assert_int_equal(fcntl(out, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(lseek(out, 0, SEEK_END), 1);
	for (int i = 1; i < 512; i++)
		assert_int_equal(offers(&a, VG_TOKEN_POOL, 0, fd, &k), 0);
	assert_int_equal(offers(&b, VG_TOKEN_POOL, 0, fd, &k), -ENOSPC);
	assert_int_equal(says(&a, VG_TOKEN_WITHDRAW, &keep), 0);
	assert_int_equal(fcntl(out, F_GETFD), -1);
	assert_int_equal(offers(&b, VG_TOKEN_POOL, 0, fd, &k), 0);
	close(fd);
}

/* The mediator keeps, and closes, only what drivers export. */
static void token_descriptor_kinds(void **state)
{
	char ctl[] = "/tmp/vgpu-nvidiactl-XXXXXX";
	int odd[8], n = 0, fd;
	struct token k;

	(void)state;
	odd[n++] = open("/dev/null", O_RDWR);
	odd[n++] = open("/dev/zero", O_RDONLY);
	odd[n++] = open("/", O_RDONLY | O_DIRECTORY);
	odd[n++] = open("/proc/self/stat", O_RDONLY);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, odd + n), 0);
	n += 2;
	assert_int_equal(pipe(odd + n), 0);
	n += 2;
	while (n--) {
		assert_true(odd[n] >= 0);
		assert_int_equal(offers(&a, VG_TOKEN_ALLOCATION, 0, odd[n], &k), -EINVAL);
		assert_int_equal(offers(&a, VG_TOKEN_POOL, 0, odd[n], &k), -EINVAL);
		close(odd[n]);
	}
	assert_int_equal(one->token_count, 0);
	assert_int_equal(one->token_fds, 0);
	/* A node with the driver's number, which is enough to tell what it is. */
	close(mkstemp(ctl));
	unlink(ctl);
	if (mknod(ctl, S_IFCHR | 0600, makedev(195, 255))) {
		print_message("no device node can be made here: %s\n", strerror(errno));
		return;
	}
	fd = open(ctl, O_PATH);
	unlink(ctl);
	assert_true(fd >= 0);
	assert_int_equal(offers(&a, VG_TOKEN_ALLOCATION, 0, fd, &k), 0);
	close(fd);
}

static void token_bounds(void **state)
{
	struct token k, first = { 0 };

	(void)state;
	for (int i = 0; i < 4096; i++) {
		assert_int_equal(offers(i % 2 ? &a : &b, VG_TOKEN_EVENT, 0, -1, &k), 0);
		assert_memory_not_equal(k.name, first.name, sizeof(k.name));
		if (!i)
			first = k;
	}
	assert_int_equal(offers(&a, VG_TOKEN_EVENT, 0, -1, &k), -ENOSPC);
	/* Another vGPU has its own. */
	assert_int_equal(offers(&stranger, VG_TOKEN_EVENT, 0, -1, &k), 0);
}

static void closed_by_all(void)
{
	for (int i = 0; vg_closers_open(); i++) {
		assert_in_range(i, 0, 10000);
		usleep(1000);
	}
}

static int closers_setup(void **state)
{
	int ret = tokens_setup(state);

	a.closer = vg_closer_get(one->closer);
	b.closer = vg_closer_get(one->closer);
	stranger.closer = vg_closer_get(other->closer);
	loop = pthread_self();
	loop_waited = false;
	closings = 0;
	sem_init(&may_close, 0, 0);
	return ret;
}

static int closers_teardown(void **state)
{
	vg_tokens_forget(&a);
	vg_tokens_forget(&b);
	vg_tokens_forget(&stranger);
	closed_by_all();
	slow = -1;
	vg_closer_put(a.closer);
	vg_closer_put(b.closer);
	vg_closer_put(stranger.closer);
	return tokens_teardown(state);
}

/* The descriptor that a token has in the mediator. */
static int fd_of(const struct token *k)
{
	struct vg_token_answer answer;
	int fd;

	assert_int_equal(ask(&b, VG_TOKEN_TAKE, VG_TOKEN_POOL, k, &answer, &fd), 0);
	return fd;
}

/* Who withdraws has the last descriptor, and so frees what it stands for itself. */
static void withdrawn_comes_back(void **state)
{
	int fd = memfd_create("t", MFD_CLOEXEC), back = -1, held;
	struct vg_token_answer out;
	struct token k;

	(void)state;
	assert_int_equal(offers(&a, VG_TOKEN_POOL, 0, fd, &k), 0);
	held = fd_of(&k);
	assert_int_equal(ask(&a, VG_TOKEN_WITHDRAW, VG_TOKEN_MEMORY, &k, &out, &back), 0);
	assert_int_equal(back, held);
	assert_int_equal(one->token_fds, 0);
	assert_int_equal(vg_closer_open(a.closer), 0);
	assert_int_equal(close(back), 0);
	/* Only once, and what has none brings none. */
	assert_int_equal(ask(&a, VG_TOKEN_WITHDRAW, VG_TOKEN_MEMORY, &k, &out, &back), -ENOENT);
	assert_int_equal(back, -1);
	assert_int_equal(offers(&a, VG_TOKEN_EVENT, 0, -1, &k), 0);
	assert_int_equal(ask(&a, VG_TOKEN_WITHDRAW, VG_TOKEN_MEMORY, &k, &out, &back), 0);
	assert_int_equal(back, -1);
	close(fd);
}

/* The loop waits for no file of an executor's, and no vGPU for another's. */
static void slow_to_close(void **state)
{
	int fd = memfd_create("t", MFD_CLOEXEC), others = dup(fd), channel = dup(fd), held;
	struct token k, next;

	(void)state;
	assert_int_equal(offers(&a, VG_TOKEN_POOL, 0, fd, &k), 0);
	assert_int_equal(offers(&a, VG_TOKEN_POOL, 0, fd, &next), 0);
	held = fd_of(&next);
	slow = fd_of(&k);
	assert_int_equal(says(&a, VG_TOKEN_WITHDRAW, &k), 0);
	vg_tokens_forget(&a);
	vg_closer_close(a.closer, channel);
	assert_false(loop_waited);
	assert_int_equal(one->token_fds, 0);
	vg_closer_close(stranger.closer, others);
	for (int i = 0; vg_closer_open(stranger.closer); i++) {
		assert_in_range(i, 0, 10000);
		usleep(1000);
	}
	assert_int_equal(fcntl(others, F_GETFD), -1);
	assert_int_equal(vg_closer_open(a.closer), 3);
	assert_true(fcntl(slow, F_GETFD) >= 0 && fcntl(channel, F_GETFD) >= 0);
	/* A channel is given up after what its executor had shared. */
	sem_post(&may_close);
	closed_by_all();
	assert_int_equal(closings, 4);
	assert_int_equal(closed[0], others);
	assert_int_equal(closed[1], slow);
	assert_int_equal(closed[2], held);
	assert_int_equal(closed[3], channel);
	close(fd);
}

/* Descriptors that wait to be closed are the vGPU's all the same. */
static void closing_is_bounded(void **state)
{
	int fd = memfd_create("t", MFD_CLOEXEC);
	struct token k;

	(void)state;
	for (int i = 0; i < 512; i++) {
		assert_int_equal(offers(&a, VG_TOKEN_POOL, 0, fd, &k), 0);
		if (!i)
			slow = fd_of(&k);
		assert_int_equal(says(&a, VG_TOKEN_WITHDRAW, &k), 0);
	}
	assert_int_equal(offers(&a, VG_TOKEN_POOL, 0, fd, &k), -ENOSPC);
	assert_int_equal(offers(&a, VG_TOKEN_EVENT, 0, -1, &k), 0);
	assert_int_equal(offers(&stranger, VG_TOKEN_POOL, 0, fd, &k), 0);
	sem_post(&may_close);
	closed_by_all();
	slow = -1;
	assert_int_equal(offers(&a, VG_TOKEN_POOL, 0, fd, &k), 0);
	close(fd);
}

/* -- what comes with messages */

static int passed(int sock, int fd, int times, const char *text)
{
	int fds[VG_FDS_MAX];

	for (int i = 0; i < times; i++)
		fds[i] = fd;
	return vg_send_fds(sock, text, strlen(text), fds, times);
}

/* No descriptor that comes is the kernel's to close, because it would do so in the loop. */
static void one_comes_with_a_message(void **state)
{
	int file = memfd_create("t", MFD_CLOEXEC), pair[2], fd;
	struct rlimit few, was;
	char text[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
				    pair), 0);
	assert_int_equal(vg_closer_recv(a.closer, pair[0], text, 2, &fd), -EAGAIN);
	assert_int_equal(passed(pair[1], -1, 0, "no"), 0);
	assert_int_equal(vg_closer_recv(a.closer, pair[0], text, 2, &fd), 0);
	assert_true(fd == -1 && !memcmp(text, "no", 2));
	/* Without room for it, it waits. */
	assert_int_equal(passed(pair[1], file, 1, "go"), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	few = was;
	few.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(vg_closer_recv(a.closer, pair[0], text, 2, &fd), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	assert_int_equal(vg_closer_recv(a.closer, pair[0], text, 2, &fd), 0);
	assert_true(fd >= 0 && !memcmp(text, "go", 2));
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	close(fd);
	assert_int_equal(vg_closer_recv(a.closer, pair[0], text, 2, &fd), -EAGAIN);
	/* More, or one where none is wanted, stays there too. */
	assert_int_equal(passed(pair[1], file, 2, "go"), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(vg_closer_recv(a.closer, pair[0], text, 2, &fd), -EBADMSG);
		assert_int_equal(fd, -1);
		assert_int_equal(vg_closer_recv(a.closer, pair[0], text, 2, NULL), -EBADMSG);
	}
	closed_by_all();
	close(pair[1]);
	close(pair[0]);
	close(file);
}

/* A full closer gets no connection but those that hold what somebody has sent. */
static void connections_of_who_is_full(void **state)
{
	int file = memfd_create("t", MFD_CLOEXEC), pair[2];
	static const struct {
		int type, empty, with;
	} left[] = {
		{ SOCK_SEQPACKET, 0, 0 }, { SOCK_SEQPACKET, 3, 0 }, { SOCK_SEQPACKET, 3, 1 },
		{ SOCK_STREAM, 0, 0 }, { SOCK_STREAM, 0, 1 },
	};

	(void)state;
	slow = dup(file);
	vg_closer_close(a.closer, slow);
	while (!vg_closer_full(a.closer))
		vg_closer_close(a.closer, dup(file));
	for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++) {
		unsigned int before = vg_closer_open(a.closer);

		assert_int_equal(socketpair(AF_UNIX, left[i].type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
					    pair), 0);
		assert_int_equal(passed(pair[1], -1, 0, "words"), 0);
		for (int n = 0; n < left[i].empty; n++)
			assert_int_equal(passed(pair[1], -1, 0, ""), 0);
		if (left[i].with)
			assert_int_equal(passed(pair[1], file, 1, "x"), 0);
		/* One side may have gone, with something unread. */
		if (!left[i].with)
			close(pair[1]);
		vg_closer_hang_up(a.closer, pair[0], true);
		assert_int_equal(vg_closer_open(a.closer) - before, left[i].with);
		if (left[i].with) {
			assert_int_equal(send(pair[1], "x", 1, MSG_NOSIGNAL), -1);
			close(pair[1]);
		} else {
			assert_int_equal(fcntl(pair[0], F_GETFD), -1);
		}
	}
	sem_post(&may_close);
	closed_by_all();
	slow = -1;
	close(file);
}

/* Without a thread, descriptors wait; neither does the loop close them, nor are they lost. */
static void no_thread(void **state)
{
	char path[] = "/tmp/vgpu-log-XXXXXX", text[1024];
	int fd = memfd_create("t", MFD_CLOEXEC), first = dup(fd), second = dup(fd), third = dup(fd);
	int log = mkstemp(path), lines = 0;
	ssize_t n;

	(void)state;
	unlink(path);
	vg_log_to(log);
	threads_fail = true;
	slow = first;
	vg_closer_close(a.closer, first);
	vg_closer_close(a.closer, second);
	vg_closer_close(stranger.closer, third);
	for (int i = 0; i < 5; i++) {
		assert_in_range(vg_closers_tick(), 1, 1000);
		now += 1000;
	}
	vg_log_to(STDERR_FILENO);
	assert_false(loop_waited);
	assert_int_equal(closings, 0);
	assert_int_equal(vg_closer_open(a.closer), 2);
	assert_int_equal(vg_closers_open(), 3);
	n = pread(log, text, sizeof(text), 0);
	for (ssize_t i = 0; i < n; i++)
		lines += text[i] == '\n';
	assert_int_equal(lines, 1);
	threads_fail = false;
	now += 1000;
	assert_int_equal(vg_closers_tick(), -1);
	sem_post(&may_close);
	closed_by_all();
	assert_int_equal(closings, 3);
	assert_int_equal(fcntl(first, F_GETFD) + fcntl(second, F_GETFD) + fcntl(third, F_GETFD), -3);
	slow = -1;
	close(fd);
	close(log);
}

/* No user of the socket uses up another's, and all together have a bound. */
static void token_users(void **state)
{
	int fd = memfd_create("t", MFD_CLOEXEC);
	struct vg_proc p[5];
	struct token k;

	(void)state;
	for (int i = 0; i < 5; i++) {
		p[i] = (struct vg_proc){ .tenant = one, .user = vg_user_get(one, 4000 + i) };
		assert_non_null(p[i].user);
	}
	for (int i = 0; i < 4; i++) {
		for (int n = 0; n < 512; n++)
			assert_int_equal(offers(&p[i], VG_TOKEN_POOL, 0, fd, &k), 0);
		assert_int_equal(offers(&p[i], VG_TOKEN_POOL, 0, fd, &k), -ENOSPC);
	}
	assert_int_equal(offers(&p[4], VG_TOKEN_POOL, 0, fd, &k), -ENOSPC);
	assert_int_equal(says(&p[3], VG_TOKEN_WITHDRAW, &k), -ENOENT);
	vg_tokens_forget(&p[3]);
	assert_int_equal(offers(&p[4], VG_TOKEN_POOL, 0, fd, &k), 0);
	for (int i = 0; i < 5; i++)
		vg_tokens_forget(&p[i]);
	for (int i = 0; i < 4; i++) {
		for (int n = 0; n < 4096; n++)
			assert_int_equal(offers(&p[i], VG_TOKEN_EVENT, 0, -1, &k), 0);
		assert_int_equal(offers(&p[i], VG_TOKEN_EVENT, 0, -1, &k), -ENOSPC);
	}
	assert_int_equal(offers(&p[4], VG_TOKEN_EVENT, 0, -1, &k), -ENOSPC);
	for (int i = 0; i < 5; i++) {
		vg_tokens_forget(&p[i]);
		assert_true(!p[i].user->token_count && !p[i].user->token_fds);
		assert_int_equal(p[i].user->refs, 1);
		vg_user_put(p[i].user);
	}
	close(fd);
}

/* What is offered counts until nobody has it, also when its user has no program left. */
static void token_of_a_user_who_left(void **state)
{
	struct vg_proc p = { .tenant = one, .user = vg_user_get(one, 4000) };
	struct vg_user *u = p.user;
	struct token k;

	(void)state;
	assert_int_equal(offers(&p, VG_TOKEN_MEMORY, 100, -1, &k), 0);
	assert_int_equal(takes(&b, VG_TOKEN_MEMORY, &k), 0);
	vg_tokens_forget(&p);
	vg_user_put(u);
	now += 100000;
	vg_users_tick();
	assert_int_equal(u->token_count, 1);
	vg_tokens_forget(&b);
	assert_int_equal(u->token_count, 0);
	assert_int_equal(u->refs, 0);
	vg_users_tick();
}

/* What no executor of ours says. */
static void token_protocol(void **state)
{
	const struct vg_token_request good = { .size = sizeof(good), .op = VG_TOKEN_OFFER,
					       .kind = VG_TOKEN_MEMORY, .bytes = 1 };
	struct vg_proc spare = { 0 };
	struct vg_token_request rq;
	struct vg_token_answer out;
	int fd;

	(void)state;
#define BREAKS(proc, field, value, descriptor)                                        \
	do {                                                                          \
		rq = good;                                                            \
		rq.field = (value);                                                   \
		assert_int_equal(vg_token_serve(proc, &rq, descriptor, &out, &fd), -EPROTO); \
		assert_int_equal(fd, -1);                                             \
	} while (0)
	BREAKS(&a, size, 0, -1);
	BREAKS(&a, size, sizeof(rq) + 1, -1);
	BREAKS(&a, op, 0, -1);
	BREAKS(&a, op, VG_TOKEN_WITHDRAW + 1, -1);
	BREAKS(&a, kind, 0, -1);
	BREAKS(&a, kind, VG_TOKEN_KINDS, -1);
	BREAKS(&a, reserved, 1, -1);
	BREAKS(&a, kind, VG_TOKEN_MEMORY, 0);		/* a descriptor that it has none of */
	BREAKS(&a, kind, VG_TOKEN_ALLOCATION, -1);	/* and the lack of one */
	BREAKS(&a, kind, VG_TOKEN_SOFT_MEMORY, -1);
	BREAKS(&a, kind, VG_TOKEN_SOFT_EVENT, -1);
	BREAKS(&a, op, VG_TOKEN_TAKE, 0);
	BREAKS(&spare, bytes, 1, -1);
#undef BREAKS
}

int main(void)
{
#define TOKENS(test) cmocka_unit_test_setup_teardown(test, tokens_setup, tokens_teardown)
#define CLOSERS(test) cmocka_unit_test_setup_teardown(test, closers_setup, closers_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes),	   cmocka_unit_test(defaults),
		cmocka_unit_test(settings),	   cmocka_unit_test(mistakes),
		cmocka_unit_test(vfio_user),
		cmocka_unit_test(faults_are_located), cmocka_unit_test(indented),
		cmocka_unit_test(read_again),
		cmocka_unit_test(quotas),
		cmocka_unit_test(quarantine),
		cmocka_unit_test(state_can_be_read_again),
		cmocka_unit_test(turns_end_with_shares),
		cmocka_unit_test(tenant_settles), cmocka_unit_test(account_is_written_anew),
		cmocka_unit_test(tenant_full),
		cmocka_unit_test(account_is_sealed),
		cmocka_unit_test(starts), cmocka_unit_test(users),
		cmocka_unit_test(uids), cmocka_unit_test(kept_users_have_no_ids),
		cmocka_unit_test(few_users_in_quarantine),
		cmocka_unit_test(cgroups), cmocka_unit_test(cgroup_not_delegated),
		cmocka_unit_test(cgroups_of_the_kernel),
		cmocka_unit_test(names), cmocka_unit_test(log_lines),
		TOKENS(token_reach),		   TOKENS(token_charge),
		TOKENS(token_descriptors),	   TOKENS(token_descriptor_kinds),
		TOKENS(token_bounds),		   TOKENS(token_protocol),
		TOKENS(token_users),		   TOKENS(token_of_a_user_who_left),
		TOKENS(withdrawn_comes_back),
		CLOSERS(slow_to_close),		   CLOSERS(closing_is_bounded),
		CLOSERS(one_comes_with_a_message), CLOSERS(connections_of_who_is_full),
		CLOSERS(no_thread),
	};

	vg_log_init("test", VG_ERROR);
	return cmocka_run_group_tests_name("mediator", tests, NULL, NULL);
}
