// SPDX-License-Identifier: Apache-2.0
/* The configuration file: INI, sections and keys as in vgpu.conf(5). */
#include <errno.h>
#include <ini.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mediator.h"

#define DATA_MIN (64ull << 20)	/* less, and no driver starts */

#define UIDS_MAX (1u << 20)

struct vg_config vg_config;

bool vg_parse_bytes(const char *text, uint64_t *out)
{
	static const char suffixes[] = "KMGT";
	const char *s;
	uint64_t value;
	char *end;

	*out = 0;
	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno)
		return false;
	if (*end) {
		unsigned int shift;

		s = strchr(suffixes, *end);
		if (!s || end[1])
			return false;
		shift = 10 * (s - suffixes + 1);
		if (value > UINT64_MAX >> shift)
			return false;
		value <<= shift;
	}
	*out = value;
	return true;
}

static bool set_string(char **where, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return false;
	free(*where);
	*where = copy;
	return true;
}

static bool set_number(unsigned int *where, const char *value, int base, unsigned int max)
{
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(value, &end, base);
	if (errno || end == value || *end || *value == '-' || number > max)
		return false;
	*where = number;
	return true;
}

static bool set_bool(bool *where, const char *value)
{
	*where = !strcmp(value, "yes");
	return *where || !strcmp(value, "no");
}

/* Names of system calls, separated by commas; kept without spaces. */
static bool set_calls(char **where, const char *value)
{
	char *copy = strdup(value), *list = calloc(1, strlen(value) + 1), *rest;
	bool ok = copy && list;

	for (char *name = ok ? strtok_r(copy, ", \t", &rest) : NULL; name && ok;
	     name = strtok_r(NULL, ", \t", &rest)) {
		ok = seccomp_syscall_resolve_name(name) != __NR_SCMP_ERROR;
		if (!ok)
			vg_err("configuration: there is no system call %s", name);
		if (*list)
			strcat(list, ",");
		strcat(list, name);
	}
	free(copy);
	if (ok) {
		free(*where);
		*where = list;
	} else {
		free(list);
	}
	return ok;
}

/* FIRST-LAST, or nothing. */
static bool set_uids(struct vg_config *c, const char *value)
{
	unsigned long long first, last;
	char end;

	c->uid_first = c->uid_last = 0;
	if (!*value)
		return true;
	if (strspn(value, "0123456789-") != strlen(value) ||
	    sscanf(value, "%llu-%llu%c", &first, &last, &end) != 2 || !first || last < first ||
	    last >= UINT32_MAX - 1 || last - first >= UIDS_MAX)
		return false;
	c->uid_first = first;
	c->uid_last = last;
	return true;
}

static bool set_mode(bool *learn, const char *value)
{
	*learn = !strcmp(value, "log");
	return *learn || !strcmp(value, "enforce");
}

/* NAME of a section [pool NAME]; NULL: it is another section. */
static const char *pool_name(const char *section)
{
	return strncmp(section, "pool ", 5) ? NULL : section + 5 + strspn(section + 5, " \t");
}

static char *last;	/* the setting before this one */

static int set(void *user, const char *section, const char *name, const char *value)
{
	struct vg_config *c = &vg_config;
	const char *pool = pool_name(section);
	char key[96], given[96];
	bool ok;

	(void)user;
	snprintf(key, sizeof(key), "%s.%s", pool ? "pool" : section, name);
	snprintf(given, sizeof(given), "%s.%s", section, name);
	/* The parser takes a line that starts with a blank for more of the one before. */
	if (last && !strcmp(last, given)) {
		vg_err("configuration: [%s] %s is given twice: \"%s\" (a setting starts at the "
		       "beginning of its line)", section, name, value);
		return 0;
	}
	set_string(&last, given);
	if (!strcmp(key, "executor.path"))
		ok = set_string(&c->executor, value);
	else if (!strcmp(key, "executor.libcuda"))
		ok = set_string(&c->libcuda, value);
	else if (!strcmp(key, "executor.user"))
		ok = set_string(&c->user, value);
	else if (!strcmp(key, "executor.uids"))
		ok = set_uids(c, value);
	else if (!strcmp(key, "executor.cache"))
		ok = set_string(&c->cache, value);
	else if (!strcmp(key, "executor.spares"))
		ok = set_number(&c->spares, value, 10, 64);
	else if (!strcmp(key, "executor.warm"))
		ok = set_bool(&c->warm, value);
	else if (!strcmp(key, "executor.pageable_access"))
		ok = set_bool(&c->pageable_access, value);
	else if (!strcmp(key, "executor.spin_us"))
		ok = set_number(&c->spin_us, value, 10, 1000000);
	else if (!strcmp(key, "limits.memory"))
		ok = vg_parse_bytes(value, &c->group_memory);
	else if (!strcmp(key, "limits.threads"))
		ok = set_number(&c->group_threads, value, 10, 4194304);
	else if (!strcmp(key, "limits.connections"))
		ok = set_number(&c->connections, value, 10, 100000) && c->connections;
	else if (!strcmp(key, "limits.programs"))
		ok = set_number(&c->programs, value, 10, 100000) && c->programs;
	else if (!strcmp(key, "limits.starts"))
		ok = set_number(&c->starts, value, 10, 100000) && c->starts;
	else if (!strcmp(key, "executor.data"))
		ok = vg_parse_bytes(value, &c->data) && c->data >= DATA_MIN;
	else if (!strcmp(key, "sandbox.mode"))
		ok = set_mode(&c->learn, value);
	else if (!strcmp(key, "sandbox.allow"))
		ok = set_calls(&c->allow, value);
	else if (!strcmp(key, "sandbox.files"))
		ok = set_bool(&c->files, value);
	else if (!strcmp(key, "sandbox.read"))
		ok = set_string(&c->read, value);
	else if (!strcmp(key, "sandbox.write"))
		ok = set_string(&c->write, value);
	else if (!strcmp(key, "pool.devices"))
		ok = pool && vg_pool_set(pool, value);
	else if (!strcmp(key, "socket.path"))
		ok = set_string(&c->socket, value);
	else if (!strcmp(key, "socket.mode"))
		ok = set_number(&c->socket_mode, value, 8, 0777);
	else if (!strcmp(key, "socket.pool"))
		ok = strlen(value) < 16 && set_string(&c->local_pool, value);
	else if (!strcmp(key, "socket.memory"))
		ok = vg_parse_bytes(value, &c->local_memory) && c->local_memory;
	else if (!strcmp(key, "control.path"))
		ok = set_string(&c->control, value);
	else if (!strcmp(key, "host.device"))
		ok = set_string(&c->host_device, value);
	else if (!strcmp(key, "log.level"))
		ok = (c->log_level = vg_log_level_parse(value)) >= 0;
	else {
		vg_err("configuration: no such setting: [%s] %s", section, name);
		return 0;
	}
	if (!ok)
		vg_err("configuration: [%s] %s = %s: not a value for it", section, name, value);
	return ok;
}

/* The executor is beside the mediator, or below libexec of the same prefix. */
static char *find_executor(void)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 64);
	char *name;

	if (n < 0)
		return strdup("vgpu-executor");
	path[n] = '\0';
	name = strrchr(path, '/');
	name = name ? name + 1 : path;
	strcpy(name, "vgpu-executor");
	if (access(path, F_OK))
		strcpy(name, "../libexec/vgpu/vgpu-executor");
	return strdup(path);
}

int vg_config_load(const char *path, bool must_exist)
{
	struct stat st;
	int line;

	vg_config = (struct vg_config){
		.executor = find_executor(),
		.libcuda = strdup("libcuda.so.1"),
		.user = strdup("nobody"),
		.cache = strdup("/var/cache/vgpu"),
		.socket = strdup(VG_SOCK_DEFAULT),
		.socket_mode = 0666,
		.control = strdup("/run/vgpu/control.sock"),
		.host_device = strdup("/dev/vgpu-host"),
		.local_pool = strdup("A"),
		.local_memory = UINT64_MAX,
		.spares = 1,
		.warm = true,
		.spin_us = 100,
		.group_threads = 32768,
		.connections = 64,
		.programs = 128,
		.starts = 20,
		.data = 16ull << 30,
		.allow = strdup(""),
		.files = true,
		.read = strdup(""),
		.write = strdup(""),
		.log_level = VG_INFO,
	};
	vg_pools_clear();
	if (!must_exist && access(path, F_OK))
		return 0;
	if (!stat(path, &st) && S_ISDIR(st.st_mode)) {
		vg_err("configuration: %s is a folder", path);
		return -EISDIR;
	}
	free(last);
	last = NULL;
	line = ini_parse(path, set, NULL);
	if (line < 0) {
		vg_err("configuration: cannot read %s", path);
		return -ENOENT;
	}
	if (line > 0) {
		vg_err("configuration: %s, line %d", path, line);
		return -EINVAL;
	}
	return 0;
}
