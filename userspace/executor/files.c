// SPDX-License-Identifier: Apache-2.0
/*
 * The files that an executor may open, by Landlock (kernel 5.13 and later).
 *
 * Once the rules are in force, this process can open only the files and folders in the
 * lists below, whoever owns the others.  Files that are open already stay open.  Landlock
 * applies the rules to the thread that sets them and to the threads that it starts later, so
 * they are set before the driver starts threads.
 *
 * vg_files_prepare() collects the rules while this process still runs as the mediator's user,
 * because the executor's user may not be allowed to look into all of these folders.
 * vg_files_confine() puts the rules in force after the change of the user.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <libgen.h>
#include <limits.h>
#include <link.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "exec_internal.h"

/* Rights that older kernel headers lack, each with the version of the Landlock ABI that has it. */
#define FS_REFER	(1ull << 13)	/* ABI 2 */
#define FS_TRUNCATE	(1ull << 14)	/* ABI 3 */
#define FS_IOCTL_DEV	(1ull << 15)	/* ABI 5 */
#define NET_TCP		3ull		/* ABI 4: bind and connect */
#define SCOPE_SIGNAL	(1ull << 1)	/* ABI 6: no signals to processes that have other rules */

/* struct landlock_ruleset_attr as of ABI 6; an older kernel gets the fields that it knows. */
struct ruleset {
	uint64_t fs, net, scoped;
};

#define FS_READ		(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_LIBRARY	(FS_READ | LANDLOCK_ACCESS_FS_EXECUTE)
#define FS_DEVICE	(FS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_IOCTL_DEV)
#define FS_STORE	(FS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE | \
			 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR | \
			 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | FS_REFER)
/*
 * The rights that a rule may grant if its path is a file.  Landlock refuses a rule for a file
 * that grants any other right, because the others are about the entries of a folder.
 */
#define FS_OF_FILE	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | \
			 LANDLOCK_ACCESS_FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)

/* Patterns of glob(7).  A pattern that matches nothing on this machine is skipped. */
static const char *const libraries[] = {
	"/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib",
	"/usr/local/cuda*/compat",
};
static const char *const readable[] = {
	"/etc/ld.so.cache", "/etc/localtime", "/etc/nvidia", "/usr/share/nvidia",
	"/proc/driver", "/proc/cpuinfo", "/proc/devices", "/proc/filesystems", "/proc/meminfo",
	"/proc/modules", "/proc/stat", "/proc/sys", "/proc/version", "/sys",
};
static const char *const devices[] = {
	"/dev/nvidia*", "/dev/vgpu[0-9]*", "/dev/full", "/dev/null", "/dev/random",
	"/dev/urandom", "/dev/zero",
};
/* For the driver's own sharing between processes, which creates files here. */
static const char *const stores[] = { "/dev/shm" };

static long ruleset_create(const struct ruleset *r, size_t size, uint32_t flags)
{
	return syscall(SYS_landlock_create_ruleset, r, size, flags);
}

static void allow(int rules, const char *path, uint64_t access, uint64_t handled)
{
	struct landlock_path_beneath_attr beneath = { .allowed_access = access & handled };
	struct stat st;

	beneath.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (beneath.parent_fd < 0)
		return;
	if (!fstat(beneath.parent_fd, &st) && !S_ISDIR(st.st_mode))
		beneath.allowed_access &= FS_OF_FILE;
	syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
	/*
	 * Landlock ties a rule to an inode.  When the kernel drops a name of /proc from its
	 * dentry cache, it drops the inode too; the next lookup makes another inode, for
	 * which there is no rule.  An open descriptor keeps the inode, so it stays open.
	 */
	if (strncmp(path, "/proc/", 6))
		close(beneath.parent_fd);
}

static void allow_all(int rules, const char *const *patterns, size_t count, uint64_t access,
		      uint64_t handled)
{
	glob_t found;

	for (size_t i = 0; i < count; i++) {
		if (glob(patterns[i], 0, NULL, &found))
			continue;
		for (size_t k = 0; k < found.gl_pathc; k++)
			allow(rules, found.gl_pathv[k], access, handled);
		globfree(&found);
	}
}

/* `list` has paths with colons between them, like PATH. */
static void allow_list(int rules, const char *list, uint64_t access, uint64_t handled)
{
	char *copy = list ? strdup(list) : NULL, *rest;

	for (char *path = copy ? strtok_r(copy, ":", &rest) : NULL; path;
	     path = strtok_r(NULL, ":", &rest))
		allow(rules, path, access, handled);
	free(copy);
}

/* Allow the folder of the driver's library, because the driver loads other libraries from there. */
static void allow_beside(int rules, void *library, uint64_t handled)
{
	struct link_map *map;
	char path[PATH_MAX];

	if (library && !dlinfo(library, RTLD_DI_LINKMAP, &map) && realpath(map->l_name, path))
		allow(rules, dirname(path), FS_LIBRARY, handled);
}

/* Allow the folder in which the driver keeps the code that it has compiled from PTX. */
static void allow_cache(int rules, uint64_t handled)
{
	const char *cache = getenv("CUDA_CACHE_PATH"), *off = getenv("CUDA_CACHE_DISABLE");
	const char *home = getenv("HOME");
	char path[PATH_MAX];

	if (off && *off == '1')
		return;
	if (!cache && home && *home) {
		snprintf(path, sizeof(path), "%s/.nv", home);
		cache = path;
	}
	if (cache)
		allow(rules, cache, FS_STORE, handled);
}

#define ALL(list) (list), sizeof(list) / sizeof((list)[0])

int vg_files_prepare(void *library, const char *read, const char *write)
{
	struct ruleset r = { .fs = (1ull << 13) - 1 };
	long abi = ruleset_create(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	int rules;

	if (abi < 1)
		return abi ? -errno : -ENOSYS;
	r.fs |= (abi >= 2 ? FS_REFER : 0) | (abi >= 3 ? FS_TRUNCATE : 0) |
		(abi >= 5 ? FS_IOCTL_DEV : 0);
	r.net = abi >= 4 ? NET_TCP : 0;
	/* Abstract Unix sockets stay allowed, because the driver's own sharing uses them. */
	r.scoped = abi >= 6 ? SCOPE_SIGNAL : 0;
	rules = ruleset_create(&r, abi >= 6 ? sizeof(r) :
				   abi >= 4 ? offsetof(struct ruleset, scoped) :
					      offsetof(struct ruleset, net), 0);
	if (rules < 0)
		return -errno;
	allow_all(rules, ALL(libraries), FS_LIBRARY, r.fs);
	allow_beside(rules, library, r.fs);
	allow_list(rules, getenv("LD_LIBRARY_PATH"), FS_LIBRARY, r.fs);
	allow_all(rules, ALL(readable), FS_READ, r.fs);
	allow(rules, "/proc/self", FS_READ, r.fs);
	/* The driver writes names of its threads here; it opens the file with O_TRUNC. */
	allow(rules, "/proc/self/task", FS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE,
	      r.fs);
	allow_all(rules, ALL(devices), FS_DEVICE, r.fs);
	allow_all(rules, ALL(stores), FS_STORE, r.fs);
	allow_cache(rules, r.fs);
	allow_list(rules, read, FS_LIBRARY, r.fs);
	allow_list(rules, write, FS_STORE | FS_DEVICE, r.fs);
	return rules;
}

int vg_files_confine(int rules)
{
	int ret = 0;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_landlock_restrict_self, rules, 0))
		ret = -errno;
	close(rules);
	return ret;
}
