// SPDX-License-Identifier: Apache-2.0
/*
 * A cgroup (v2) for the executors of each vGPU, with limits on memory and on threads.
 *
 * This needs a cgroup that the mediator may divide.  systemd delegates one, and marks it
 * with two extended attributes, if the unit has `Delegate=memory pids`: to read trusted.delegate
 * takes CAP_SYS_ADMIN; user.delegate is written from systemd 251 and Linux 5.7 on.  A cgroup that has children with
 * controllers must hold no processes itself, so the mediator moves into a child first.
 * Spares stay with the mediator until they serve.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "mediator.h"

#define MOUNT "/sys/fs/cgroup"

static int base = -1;		/* the folder of the mediator's cgroup */

static int put(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

static int enter(int dir, const char *name, pid_t pid)
{
	char path[64], text[16];

	snprintf(path, sizeof(path), "%s/cgroup.procs", name);
	snprintf(text, sizeof(text), "%d", pid);
	return put(dir, path, text);
}

static int limit(int dir, const char *group, const char *what, uint64_t max)
{
	char path[80], text[24];

	snprintf(path, sizeof(path), "%s/%s", group, what);
	if (max && max != VG_QUOTA_NONE)
		snprintf(text, sizeof(text), "%" PRIu64, max);
	else
		strcpy(text, "max");
	return put(dir, path, text);
}

int vg_cgroup_use(const char *path)
{
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), ret;

	if (dir < 0)
		return -errno;
	ret = mkdirat(dir, "mediator", 0755) && errno != EEXIST ? -errno : 0;
	if (!ret)
		ret = enter(dir, "mediator", getpid());
	if (!ret)
		ret = put(dir, "cgroup.subtree_control", "+memory +pids");
	if (ret)
		close(dir);
	else
		base = dir;
	return ret;
}

static bool delegated(const char *path)
{
	static const char *const marks[] = { "user.delegate", "trusted.delegate" };
	char value[4] = "";

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		if (getxattr(path, marks[i], value, sizeof(value)) == 1 && *value == '1')
			return true;
	return false;
}

void vg_cgroup_open(void)
{
	char line[512], path[600] = "";
	FILE *f;
	int ret;

	f = fopen("/proc/self/cgroup", "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "0::/", 4))
			snprintf(path, sizeof(path), "%s%.*s", MOUNT,
				 (int)strcspn(line + 3, "\n"), line + 3);
	if (f)
		fclose(f);
	ret = *path && delegated(path) ? vg_cgroup_use(path) : -ENOENT;
	if (ret == -ENOENT)
		vg_info("no limits for each vGPU on memory and threads: this cgroup is not "
			"delegated to the mediator (its unit needs Delegate=memory pids)");
	else if (ret)
		vg_warn("no limits for each vGPU on memory and threads: %s: %s", path,
			strerror(-ret));
}

int vg_cgroup_limits(const struct vg_tenant *t)
{
	int ret;

	if (base < 0 || faccessat(base, t->uuid, F_OK, 0))
		return 0;
	ret = limit(base, t->uuid, "memory.max", vg_quota(t, VG_QUOTA_HOST_MEMORY));
	return ret ? ret : limit(base, t->uuid, "pids.max", vg_quota(t, VG_QUOTA_THREADS));
}

int vg_cgroup_enter(const struct vg_tenant *t, pid_t pid)
{
	int ret;

	if (base < 0)
		return 0;
	ret = mkdirat(base, t->uuid, 0755) && errno != EEXIST ? -errno : 0;
	if (!ret)
		ret = vg_cgroup_limits(t);
	return ret ? ret : enter(base, t->uuid, pid);
}

static bool wanted(const char *name)
{
	struct vg_tenant *t;

	if (!strcmp(name, "mediator"))
		return true;
	LIST_FOREACH(t, &vg_tenants, node)
		if (!strcmp(t->uuid, name))
			return true;
	return false;
}

void vg_cgroup_sweep(void)
{
	struct dirent *e;
	DIR *d;

	if (base < 0)
		return;
	d = fdopendir(openat(base, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	while (d && (e = readdir(d)))
		/* The kernel keeps one in which processes are left. */
		if (e->d_type == DT_DIR && e->d_name[0] != '.' && !wanted(e->d_name))
			unlinkat(base, e->d_name, AT_REMOVEDIR);
	if (d)
		closedir(d);
}
