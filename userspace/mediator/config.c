// SPDX-License-Identifier: Apache-2.0
/* The configuration file: INI, sections and keys as in vgpu.conf(5). */
#include <errno.h>
#include <ini.h>
#include <seccomp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/history.h"
#include "mediator.h"
#include "state.h"

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

/* A setting: how its text is read, and where it goes. */
struct setting {
	const char *name;	/* section.key; "pool.key" in each [pool NAME] */
	bool (*set)(struct vg_config *c, const struct setting *s, const char *value);
	size_t at, size;	/* in struct vg_config */
	uint64_t min, max;	/* of a number, or the length of a string */
	bool reloads;		/* it can change while the mediator runs */
	const char *allowed;
};

/* Why a value is not valid, where that is more than what is allowed. */
static char wrong[96];

static void *place(struct vg_config *c, const struct setting *s)
{
	return (char *)c + s->at;
}

static bool set_string(struct vg_config *c, const struct setting *s, const char *value)
{
	char **where = place(c, s), *copy;

	if (s->max && strlen(value) > s->max)
		return false;
	copy = strdup(value);
	if (!copy)
		return false;
	free(*where);
	*where = copy;
	return true;
}

static bool number(unsigned int *where, const struct setting *s, const char *value, int base)
{
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(value, &end, base);
	if (errno || end == value || *end || *value == '-' || number < s->min || number > s->max)
		return false;
	*where = number;
	return true;
}

static bool set_number(struct vg_config *c, const struct setting *s, const char *value)
{
	return number(place(c, s), s, value, 10);
}

static bool set_octal(struct vg_config *c, const struct setting *s, const char *value)
{
	return number(place(c, s), s, value, 8);
}

static bool set_bytes(struct vg_config *c, const struct setting *s, const char *value)
{
	uint64_t bytes;

	if (!vg_parse_bytes(value, &bytes) || bytes < s->min)
		return false;
	*(uint64_t *)place(c, s) = bytes;
	return true;
}

static bool set_bool(struct vg_config *c, const struct setting *s, const char *value)
{
	bool *where = place(c, s);

	*where = !strcmp(value, "yes");
	return *where || !strcmp(value, "no");
}

/* One that each vGPU may have of its own, for all that have none. */
static bool set_quota_of_all(struct vg_config *c, const struct setting *s, const char *value)
{
	uint64_t *where = place(c, s);

	return vg_quota_parse(where - c->quota, value, where);
}

/* Names of system calls, separated by commas; kept without spaces. */
static bool set_calls(struct vg_config *c, const struct setting *s, const char *value)
{
	char *copy = strdup(value), *list = calloc(1, strlen(value) + 1), *rest;
	char **where = place(c, s);
	bool ok = copy && list;

	for (char *name = ok ? strtok_r(copy, ", \t", &rest) : NULL; name && ok;
	     name = strtok_r(NULL, ", \t", &rest)) {
		ok = seccomp_syscall_resolve_name(name) != __NR_SCMP_ERROR;
		if (!ok)
			snprintf(wrong, sizeof(wrong), "there is no system call %s; ", name);
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
static bool set_uids(struct vg_config *c, const struct setting *s, const char *value)
{
	unsigned long long first, last;
	char end;

	(void)s;
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

static bool set_mode(struct vg_config *c, const struct setting *s, const char *value)
{
	bool *learn = place(c, s);

	*learn = !strcmp(value, "log");
	return *learn || !strcmp(value, "enforce");
}

static bool set_level(struct vg_config *c, const struct setting *s, const char *value)
{
	int *level = place(c, s);

	*level = vg_log_level_parse(value);
	return *level >= 0;
}

/* Pools are no part of struct vg_config (pool.c). */
static bool set_pool(struct vg_config *c, const struct setting *s, const char *value)
{
	(void)c;
	(void)s;
	(void)value;
	return false;
}

#define AT(field) .at = offsetof(struct vg_config, field), .size = sizeof(vg_config.field)
#define PATHS "paths with colons between them"
#define BYTES "a number, or one with K, M, G or T"
#define YES_NO "yes or no"
#define NOW .reloads = true

/* What changes for executors changes for those that are started from then on. */
static const struct setting settings[] = {
	{ "executor.path", set_string, AT(executor), .allowed = "a path" },
	{ "executor.libcuda", set_string, AT(libcuda), .allowed = "a name or a path" },
	{ "executor.user", set_string, AT(user), .allowed = "the name of a user, or nothing" },
	{ "executor.uids", set_uids, AT(uid_first),
	  .allowed = "FIRST-LAST with at most 1048576 numbers, none of them 0, or nothing" },
	{ "executor.cache", set_string, AT(cache), .allowed = "a path, or nothing" },
	{ "executor.spares", set_number, AT(spares), .max = 64, NOW, .allowed = "0 to 64" },
	{ "executor.warm", set_bool, AT(warm), NOW, .allowed = YES_NO },
	{ "executor.pageable_access", set_bool, AT(pageable_access), NOW, .allowed = YES_NO },
	{ "executor.spin_us", set_number, AT(spin_us), .max = 1000000, NOW,
	  .allowed = "0 to 1000000" },
	{ "executor.data", set_bytes, AT(data), .min = DATA_MIN, NOW,
	  .allowed = BYTES ", at least 64M" },
	{ "limits.memory", set_bytes, AT(group_memory), NOW, .allowed = BYTES },
	{ "limits.contexts", set_bytes, AT(contexts), .min = 1, NOW, .allowed = BYTES ", more than 0" },
	{ "limits.threads", set_number, AT(group_threads), .max = 4194304, NOW,
	  .allowed = "0 to 4194304" },
	{ "limits.connections", set_number, AT(connections), .min = 1, .max = 100000, NOW,
	  .allowed = "1 to 100000" },
	{ "limits.programs", set_number, AT(programs), .min = 1, .max = 100000, NOW,
	  .allowed = "1 to 100000" },
	{ "limits.starts", set_number, AT(starts), .min = 1, .max = 100000, NOW,
	  .allowed = "1 to 100000" },
	{ "limits.starts_burst", set_quota_of_all, AT(quota[VG_QUOTA_STARTS_BURST]), NOW,
	  .allowed = "0 to 100000" },
	{ "limits.calls", set_quota_of_all, AT(quota[VG_QUOTA_CALLS]), NOW,
	  .allowed = "0 to 1000000000" },
	{ "limits.calls_burst", set_quota_of_all, AT(quota[VG_QUOTA_CALLS_BURST]), NOW,
	  .allowed = "0 to 1000000000" },
	{ "limits.bytes", set_quota_of_all, AT(quota[VG_QUOTA_BYTES]), NOW,
	  .allowed = BYTES " or none, more than 0" },
	{ "limits.bytes_burst", set_quota_of_all, AT(quota[VG_QUOTA_BYTES_BURST]), NOW,
	  .allowed = BYTES " or none, more than 0" },
	{ "limits.kernel_seconds", set_quota_of_all, AT(quota[VG_QUOTA_KERNEL_SECONDS]), NOW,
	  .allowed = "0 to 86400" },
	{ "limits.faults", set_quota_of_all, AT(quota[VG_QUOTA_FAULTS]), NOW,
	  .allowed = "0 to 1000" },
	{ "limits.fault_seconds", set_quota_of_all, AT(quota[VG_QUOTA_FAULT_SECONDS]), NOW,
	  .allowed = "1 to 86400" },
	{ "sandbox.mode", set_mode, AT(learn), NOW, .allowed = "enforce or log" },
	{ "sandbox.allow", set_calls, AT(allow), NOW,
	  .allowed = "names of system calls with commas between them" },
	{ "sandbox.files", set_bool, AT(files), NOW, .allowed = YES_NO },
	{ "sandbox.read", set_string, AT(read), NOW, .allowed = PATHS },
	{ "sandbox.write", set_string, AT(write), NOW, .allowed = PATHS },
	{ "pool.devices", set_pool, NOW,
	  .allowed = "PCI addresses (0000:3b:00.0), UUIDs (GPU-...) and numbers with commas between "
		     "them, in a section [pool NAME] for each pool" },
	{ "socket.path", set_string, AT(socket), .allowed = "a path, or nothing" },
	{ "socket.mode", set_octal, AT(socket_mode), .max = 0777, .allowed = "0 to 777, octal" },
	{ "socket.pool", set_string, AT(local_pool), .max = 15,
	  .allowed = "a name of at most 15 bytes" },
	{ "socket.memory", set_bytes, AT(local_memory), .min = 1,
	  .allowed = BYTES ", more than 0" },
	{ "control.path", set_string, AT(control), .allowed = "a path" },
	{ "host.device", set_string, AT(host_device), .allowed = "a path" },
	{ "history.path", set_string, AT(history), .allowed = "a path, or nothing" },
	{ "history.rows", set_number, AT(history_rows), .min = 100, .max = 100000000,
	  .allowed = "100 to 100000000" },
	{ "state.path", set_string, AT(state), .allowed = "a path, or nothing" },
	{ "log.level", set_level, AT(log_level), NOW,
	  .allowed = "error, warning, info or debug" },
};

#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

static bool is_string(const struct setting *s)
{
	return s->set == set_string || s->set == set_calls;
}

/* -- reading a file */

struct reading {
	const char *path;
	FILE *file;
	unsigned int line;
	unsigned int faults;
	struct vg_config config;
	char *text[SETTINGS];		/* of each setting, as given; NULL: not given */
	unsigned int at[SETTINGS];	/* and the line */
};

/* What the file in force says, and where; the lines are those of the start. */
static char *text[SETTINGS];
static unsigned int lines[SETTINGS];
static char *file_path;

static void fault(struct reading *r, unsigned int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void fault(struct reading *r, unsigned int line, const char *format, ...)
{
	char what[700];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	vg_err("configuration: %s:%u: %s", r->path, line, what);
	r->faults++;
}

/* "a, b, c": the keys of a section, or the sections. */
static void names(char *out, size_t size, const char *section)
{
	size_t at = 0, part, n = strlen(section);

	*out = '\0';
	for (size_t i = 0; i < SETTINGS; i++) {
		const char *name = settings[i].name, *key = strchr(name, '.') + 1;

		part = key - name - 1;
		if (!n && i && !strncmp(name, settings[i - 1].name, part + 1))
			continue;
		if (n && (part != n || strncmp(name, section, n)))
			continue;
		if (n)
			at += snprintf(out + at, size - at, "%s%s", at ? ", " : "", key);
		else
			at += snprintf(out + at, size - at, "%s[%.*s]", at ? ", " : "", (int)part, name);
		if (at >= size)
			return;
	}
}

/* NAME of a section [KIND NAME]; NULL: it is another section. */
static const char *name_in(const char *section, enum vg_scope *kind)
{
	static const char *const kinds[VG_SCOPES] = {
		[VG_SCOPE_POOL] = "pool ", [VG_SCOPE_TYPE] = "type ", [VG_SCOPE_VGPU] = "vgpu ",
	};

	for (*kind = 0; *kind < VG_SCOPES; (*kind)++) {
		size_t n = strlen(kinds[*kind]);

		if (!strncmp(section, kinds[*kind], n))
			return section + n + strspn(section + n, " \t");
	}
	return NULL;
}

/* A setting that a vGPU has of its own (quota.c). */
static int set_quota(struct reading *r, const char *section, enum vg_scope kind, const char *of,
		     const char *name, const char *value)
{
	enum vg_quota q = vg_quota_find(name);
	char list[300];

	*wrong = '\0';
	if (q == VG_QUOTAS) {
		vg_quota_names(list, sizeof(list));
		fault(r, r->line, "there is no setting %s in [%s]; allowed: %s%s", name, section,
		      kind == VG_SCOPE_POOL ? "devices, " : "", list);
		return 0;
	}
	if (vg_quota_file(kind, of, q, value, wrong, sizeof(wrong)))
		return 1;
	fault(r, r->line, "[%s] %s = %s: not a value for it; %sallowed: %s", section, name, value,
	      wrong, vg_quota_allowed(q));
	return 0;
}

/* The text of the setting is that of all pools. */
static bool add_pool(struct reading *r, size_t i, const char *pool, const char *value)
{
	char *all;

	if (!vg_pool_set(pool, value, wrong, sizeof(wrong)) ||
	    asprintf(&all, "%s%s%s: %s", r->text[i] ? r->text[i] : "", r->text[i] ? "; " : "", pool,
		     value) < 0)
		return false;
	free(r->text[i]);
	r->text[i] = all;
	return true;
}

static int set(void *user, const char *section, const char *name, const char *value)
{
	enum vg_scope kind;
	const char *of = name_in(section, &kind);
	bool devices = of && kind == VG_SCOPE_POOL && !strcmp(name, "devices");
	const char *pool = devices ? of : NULL;
	struct reading *r = user;
	const struct setting *s = NULL;
	char key[96], list[300];
	bool ok;
	size_t i;

	if (strstr(value, " #") || strstr(value, "\t#")) {
		fault(r, r->line, "[%s] %s: a comment must have a line of its own", section, name);
		return 0;
	}
	if (!strncmp(section, "socket ", 7)) {
		const char *allowed = vg_socket_set(section + 7 + strspn(section + 7, " \t"), name, value,
						    r->line);

		if (allowed)
			fault(r, r->line, "[%s] %s = %s: not a setting and value for it; allowed: %s",
			      section, name, value, allowed);
		return !allowed;
	}
	if (!strncmp(section, "vfio-user ", 10)) {
		const char *allowed = vg_vfiouser_set(section + 10 + strspn(section + 10, " \t"), name,
						      value);

		if (allowed)
			fault(r, r->line, "[%s] %s = %s: not a setting and value for it; allowed: %s",
			      section, name, value, allowed);
		return !allowed;
	}
	if (of && !devices)
		return set_quota(r, section, kind, of, name, value);
	snprintf(key, sizeof(key), "%s.%s", pool ? "pool" : section, name);
	for (i = 0; i < SETTINGS && !s; i++)
		if (!strcmp(key, settings[i].name))
			s = &settings[i];
	i--;
	if (!s) {
		names(list, sizeof(list), section);
		if (*list) {
			fault(r, r->line, "there is no setting %s in [%s]; allowed: %s", name, section,
			      list);
		} else {
			names(list, sizeof(list), "");
			fault(r, r->line,
			      "there is no section [%s], with %s; allowed: %s, [type NAME], [vgpu UUID], "
			      "[socket NAME], [vfio-user UUID]",
			      section, name, list);
		}
		return 0;
	}
	if (r->text[i] && !pool) {
		fault(r, r->line, "[%s] %s is given twice, first in line %u", section, name, r->at[i]);
		return 0;
	}
	r->at[i] = r->line;
	*wrong = '\0';
	if (pool) {
		ok = add_pool(r, i, pool, value);
	} else {
		r->text[i] = strdup(value);
		ok = r->text[i] && s->set(&r->config, s, value);
	}
	if (ok)
		return 1;
	fault(r, r->line, "[%s] %s = %s: not a value for it; %sallowed: %s", section, name, value,
	      wrong, s->allowed);
	return 0;
}

/*
 * One line for the parser, without the blanks that it begins with: the parser would take it for
 * more of the line before.
 */
static char *next_line(char *line, int size, void *stream)
{
	struct reading *r = stream;
	int c;

	if (!fgets(line, size, r->file))
		return NULL;
	r->line++;
	if (!strchr(line, '\n') && !feof(r->file)) {
		while ((c = fgetc(r->file)) != '\n' && c != EOF)
			;
		fault(r, r->line, "longer than the %d bytes that a line may have", size - 2);
		*line = '\0';
	}
	memmove(line, line + strspn(line, " \t"), strlen(line + strspn(line, " \t")) + 1);
	return line;
}

static int read_file(struct reading *r, const char *path, bool must_exist)
{
	const char *uuid, *lacks;
	unsigned int before;
	struct stat st;
	int line;

	r->path = path;
	if (!must_exist && access(path, F_OK))
		return 0;
	if (!stat(path, &st) && S_ISDIR(st.st_mode)) {
		vg_err("configuration: %s is a folder", path);
		return -EISDIR;
	}
	r->file = fopen(path, "re");
	if (!r->file) {
		vg_err("configuration: cannot read %s: %s", path, strerror(errno));
		return -ENOENT;
	}
	before = r->faults;
	line = ini_parse_stream(next_line, r, set, r);
	if (ferror(r->file))
		line = -1;
	fclose(r->file);
	if (line < 0) {
		vg_err("configuration: cannot read %s", path);
		return -EIO;
	}
	/* The parser's own complaint is about a line that it could not take apart. */
	if (line > 0 && r->faults == before)
		fault(r, line, "neither [section] nor key = value");
	if (vg_sockets_wrong())
		fault(r, r->line, "[socket %s] has no path", vg_sockets_wrong());
	uuid = vg_vfiouser_wrong(&lacks);
	if (uuid)
		fault(r, r->line, "[vfio-user %s] has no %s", uuid, lacks);
	return r->faults ? -EINVAL : 0;
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

static struct vg_config defaults(void)
{
	return (struct vg_config){
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
		.contexts = 32ull << 30,
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
		.history = strdup(VG_HISTORY_DEFAULT),
		.history_rows = 100000,
		.state = strdup(VG_STATE_DEFAULT),
		.quota = {
			[VG_QUOTA_BYTES] = VG_QUOTA_NONE,
			[VG_QUOTA_BYTES_BURST] = VG_QUOTA_NONE,
			[VG_QUOTA_WEIGHT] = VG_SHARE_USUAL,
			[VG_QUOTA_FAULTS] = 100,
			[VG_QUOTA_FAULT_SECONDS] = 60,
		},
		.log_level = VG_INFO,
	};
}

static void forget(struct reading *r)
{
	for (size_t i = 0; i < SETTINGS; i++) {
		if (is_string(&settings[i]))
			free(*(char **)place(&r->config, &settings[i]));
		free(r->text[i]);
	}
}

int vg_config_load(const char *path, bool must_exist)
{
	struct reading r = { .config = defaults() };
	int ret = read_file(&r, path, must_exist);

	vg_pools_end(!ret);
	vg_sockets_end(!ret);
	vg_vfiouser_end(!ret);
	vg_quotas_end(!ret);
	/* Whoever calls this twice is a test, and may still have strings of the first. */
	vg_config = r.config;
	for (size_t i = 0; i < SETTINGS; i++) {
		free(text[i]);
		text[i] = r.text[i];
		lines[i] = r.at[i];
	}
	free(file_path);
	file_path = strdup(path);
	return ret;
}

unsigned int vg_config_line(const char *name)
{
	for (size_t i = 0; i < SETTINGS; i++)
		if (!strcmp(settings[i].name, name))
			return lines[i];
	return 0;
}

void vg_config_say(enum vg_level level, unsigned int line, const char *format, ...)
{
	char what[700];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	if (line)
		vg_log(level, "configuration: %s:%u: %s", file_path ? file_path : "", line, what);
	else
		vg_log(level, "configuration: %s (the default)", what);
}

/* -- reading it again */

static bool same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static void take(struct reading *r, size_t i)
{
	const struct setting *s = &settings[i];
	void *from = place(&r->config, s), *to = place(&vg_config, s);
	char *old = text[i];

	if (is_string(s)) {
		free(*(char **)to);
		memcpy(to, from, s->size);
		*(char **)from = NULL;
	} else {
		memcpy(to, from, s->size);
	}
	text[i] = r->text[i];
	r->text[i] = old;
}

int vg_config_reload(const char *path, bool must_exist)
{
	struct reading r = { .config = defaults() };
	unsigned int changes = 0, waiting = 0;

	if (read_file(&r, path, must_exist)) {
		vg_pools_end(false);
		vg_sockets_end(false);
		vg_vfiouser_end(false);
		vg_quotas_end(false);
		vg_err("configuration: %s: nothing of it is taken over", path);
		forget(&r);
		return -EINVAL;
	}
	vg_pools_end(true);
	vg_sockets_end(true);
	vg_vfiouser_end(true);
	changes = vg_quotas_end(true);
	for (size_t i = 0; i < SETTINGS; i++) {
		const char *name = settings[i].name, *key = strchr(name, '.') + 1;
		const char *value = r.text[i] ? r.text[i] : "the default";

		if (same(text[i], r.text[i]))
			continue;
		if (settings[i].reloads) {
			vg_info("configuration: [%.*s] %s = %s: taken over", (int)(key - name - 1), name,
				key, value);
			take(&r, i);
			changes++;
		} else {
			vg_warn("configuration: [%.*s] %s = %s: needs a restart of vgpu-mediatord",
				(int)(key - name - 1), name, key, value);
			waiting++;
		}
	}
	vg_info("configuration: %s read again: %u settings taken over, %u need a restart", path,
		changes, waiting);
	forget(&r);
	return changes;
}
