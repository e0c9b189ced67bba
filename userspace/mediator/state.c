// SPDX-License-Identifier: Apache-2.0
/* What the operator has set, in a file (state.h). */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mediator.h"
#include "state.h"

#define FILE_MAX	(16u << 20)	/* bytes; some 500 a vGPU */
#define VERSION		1
#define USERS_MAX	256u		/* of [socket], in quarantine */

struct kept {
	LIST_ENTRY(kept) node;
	char name[VG_STATE_NAME];
	char *text[VG_QUOTAS];		/* NULL: not set */
	uint64_t value[VG_QUOTAS];
	struct vg_quarantine quarantine;	/* since_ms 0: it is not in quarantine */
};

static LIST_HEAD(, kept) all = LIST_HEAD_INITIALIZER(all);

bool vg_state_is_name(const char *name)
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	size_t i;

	/* Also "local". */
	if (vg_socket_name(name))
		return true;
	for (i = 0; form[i] && name[i]; i++)
		if (form[i] == '-' ? name[i] != '-' : !strchr("0123456789abcdef", name[i]))
			return false;
	return !form[i] && !name[i];
}

/*
 * What has a place in the file: also "local:UID", a user of [socket]. Older mediators kept "NAME:UID" for
 * a user of a section [socket NAME].
 */
static bool is_key(const char *name)
{
	const char *uid = strchr(name, ':');
	char of[VG_SOCKET_NAME_MAX + 1];

	if (!uid)
		return vg_state_is_name(name);
	if (uid - name > VG_SOCKET_NAME_MAX)
		return false;
	snprintf(of, sizeof(of), "%.*s", (int)(uid - name), name);
	uid++;
	return vg_socket_name(of) && *uid && strlen(uid) <= 10 &&
	       strspn(uid, "0123456789") == strlen(uid);
}

/* What it counts for. */
static void name_of(const char *key, char name[VG_STATE_NAME])
{
	size_t n = strncmp(key, "local:", 6) ? strcspn(key, ":") : strlen(key);

	snprintf(name, VG_STATE_NAME, "%.*s", (int)n, key);
}

static struct kept *find(const char *name)
{
	struct kept *k;

	LIST_FOREACH(k, &all, node)
		if (!strcmp(k->name, name))
			return k;
	return NULL;
}

static struct kept *get(const char *name)
{
	struct kept *k = find(name);

	if (k)
		return k;
	k = calloc(1, sizeof(*k));
	if (!k)
		return NULL;
	snprintf(k->name, sizeof(k->name), "%s", name);
	LIST_INSERT_HEAD(&all, k, node);
	return k;
}

static bool is_empty(const struct kept *k)
{
	for (unsigned int q = 0; q < VG_QUOTAS; q++)
		if (k->text[q])
			return false;
	return !k->quarantine.since_ms;
}

static void drop_empty(struct kept *k)
{
	if (!is_empty(k))
		return;
	LIST_REMOVE(k, node);
	free(k);
}

void vg_state_each(void (*each)(const char *name, const struct vg_quarantine *q, void *arg), void *arg)
{
	struct kept *k;

	LIST_FOREACH(k, &all, node)
		each(k->name, k->quarantine.since_ms ? &k->quarantine : NULL, arg);
}

bool vg_state_has(const char *name)
{
	return find(name);
}

bool vg_state_value(const char *name, enum vg_quota q, uint64_t *value)
{
	const struct kept *k = find(name);

	if (!k || !k->text[q])
		return false;
	*value = k->value[q];
	return true;
}

/* -- the file */

static bool complain(const char *what)
{
	vg_err("%s: %s; correct it, or remove it and all that was set with it", vg_config.state,
	       what);
	return false;
}

static bool read_set(struct kept *k, struct json_object *set)
{
	char what[200];

	if (!json_object_is_type(set, json_type_object)) {
		snprintf(what, sizeof(what), "vgpus.%s.set is no object", k->name);
		return complain(what);
	}
	json_object_object_foreach(set, key, value) {
		enum vg_quota q = vg_quota_find(key);
		const char *text = json_object_get_string(value);

		if (q == VG_QUOTAS || !text || k->text[q] || !vg_quota_parse(q, text, &k->value[q])) {
			snprintf(what, sizeof(what), "vgpus.%s.set.%.60s is not a setting, or has no "
				 "value for it", k->name, key);
			return complain(what);
		}
		k->text[q] = strdup(text);
		if (!k->text[q])
			return complain(strerror(ENOMEM));
	}
	return true;
}

static bool read_quarantine(struct kept *k, struct json_object *o)
{
	struct json_object *since, *why;
	char what[120];

	if (!json_object_is_type(o, json_type_object) ||
	    !json_object_object_get_ex(o, "since_ms", &since) ||
	    !json_object_object_get_ex(o, "why", &why) || !why || json_object_get_int64(since) <= 0) {
		snprintf(what, sizeof(what), "vgpus.%s.quarantine has no since_ms or no why", k->name);
		return complain(what);
	}
	k->quarantine.since_ms = json_object_get_int64(since);
	snprintf(k->quarantine.why, sizeof(k->quarantine.why), "%s", json_object_get_string(why));
	return true;
}

static bool read_vgpus(struct json_object *vgpus)
{
	char what[120], name[VG_STATE_NAME];

	json_object_object_foreach(vgpus, key, of) {
		struct json_object *set = NULL;
		struct kept *k;

		if (!is_key(key) || !json_object_is_type(of, json_type_object)) {
			snprintf(what, sizeof(what), "vgpus.%.60s is not what is kept of a vGPU", key);
			return complain(what);
		}
		name_of(key, name);
		k = get(name);
		if (!k)
			return complain(strerror(ENOMEM));
		if (json_object_object_get_ex(of, "set", &set) && !read_set(k, set))
			return false;
		if (json_object_object_get_ex(of, "quarantine", &set) && !read_quarantine(k, set))
			return false;
	}
	return true;
}

static bool read_all(const char *text)
{
	struct json_object *o = json_tokener_parse(text), *version = NULL, *vgpus = NULL;
	bool fine;

	if (!json_object_is_type(o, json_type_object) ||
	    !json_object_object_get_ex(o, "version", &version) ||
	    !json_object_object_get_ex(o, "vgpus", &vgpus) ||
	    !json_object_is_type(vgpus, json_type_object))
		fine = complain("not a file of vgpu-mediatord's state");
	else if (json_object_get_int(version) != VERSION)
		fine = complain("written by another version of vgpu-mediatord");
	else
		fine = read_vgpus(vgpus);
	json_object_put(o);
	return fine;
}

int vg_state_open(void)
{
	struct stat st;
	char *text;
	ssize_t n;
	int fd;

	if (!*vg_config.state)
		return 0;
	fd = open(vg_config.state, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0 || fstat(fd, &st)) {
		complain(strerror(errno));
		if (fd >= 0)
			close(fd);
		return -EINVAL;
	}
	text = S_ISREG(st.st_mode) && st.st_size < FILE_MAX ? malloc(st.st_size + 1) : NULL;
	n = text ? read(fd, text, st.st_size) : -1;
	close(fd);
	if (n != st.st_size) {
		free(text);
		complain("it cannot be read, or is no file, or too long for one");
		return -EINVAL;
	}
	text[n] = '\0';
	n = read_all(text) ? 0 : -EINVAL;
	free(text);
	return n;
}

static struct json_object *quarantine(const struct vg_quarantine *q)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "since_ms", json_object_new_uint64(q->since_ms));
	json_object_object_add(o, "why", json_object_new_string(q->why));
	return o;
}

static struct json_object *as_json(void)
{
	struct json_object *o = json_object_new_object(), *vgpus = json_object_new_object();
	struct kept *k;

	LIST_FOREACH(k, &all, node) {
		struct json_object *of, *set;

		if (is_empty(k))
			continue;
		of = json_object_new_object();
		set = json_object_new_object();
		for (unsigned int q = 0; q < VG_QUOTAS; q++)
			if (k->text[q])
				json_object_object_add(set, vg_quota_name(q),
						       json_object_new_string(k->text[q]));
		json_object_object_add(of, "set", set);
		if (k->quarantine.since_ms)
			json_object_object_add(of, "quarantine", quarantine(&k->quarantine));
		json_object_object_add(vgpus, k->name, of);
	}
	json_object_object_add(o, "version", json_object_new_int(VERSION));
	json_object_object_add(o, "vgpus", vgpus);
	return o;
}

static int write_all(int fd, const char *text)
{
	size_t left = strlen(text);
	ssize_t n;

	for (; left; text += n, left -= n) {
		n = write(fd, text, left);
		if (n < 0)
			return -errno;
	}
	return 0;
}

/* What stands in a new name after a power cut stands there because its folder was synced. */
static int sync_folder(const char *path)
{
	char folder[4096], *slash;
	int fd, ret;

	snprintf(folder, sizeof(folder), "%s", path);
	slash = strrchr(folder, '/');
	if (slash)
		slash[slash == folder] = '\0';
	fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = fsync(fd) ? -errno : 0;
	close(fd);
	return ret;
}

static int save(void)
{
	struct json_object *o = as_json();
	const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
							     JSON_C_TO_STRING_NOSLASHESCAPE);
	char temporary[4096];
	int fd, ret;

	/* The next start would refuse it. */
	if (!text || strlen(text) >= FILE_MAX) {
		json_object_put(o);
		return text ? -EFBIG : -ENOMEM;
	}
	snprintf(temporary, sizeof(temporary), "%s.new", vg_config.state);
	/* One that was left behind when the host lost its power is no use to anybody. */
	unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ret = fd < 0 ? -errno : 0;
	if (!ret)
		ret = write_all(fd, text);
	if (!ret && fsync(fd))
		ret = -errno;
	if (fd >= 0)
		close(fd);
	if (!ret && rename(temporary, vg_config.state))
		ret = -errno;
	if (!ret)
		ret = sync_folder(vg_config.state);
	else
		unlink(temporary);
	json_object_put(o);
	return ret;
}

/* -- changes */

static void swap(struct kept *k, char *text[VG_QUOTAS], uint64_t value[VG_QUOTAS],
		 const bool change[VG_QUOTAS])
{
	for (unsigned int q = 0; q < VG_QUOTAS; q++) {
		char *t = k->text[q];
		uint64_t v = k->value[q];

		if (!change[q])
			continue;
		k->text[q] = text[q];
		k->value[q] = value[q];
		text[q] = t;
		value[q] = v;
	}
}

bool vg_state_set(const char *name, const char *const text[VG_QUOTAS],
		  const bool change[VG_QUOTAS], bool *kept, char *why, size_t size)
{
	char *copy[VG_QUOTAS] = { NULL };
	uint64_t value[VG_QUOTAS] = { 0 };
	struct kept *k = NULL;
	bool fine = true;
	int ret;

	for (unsigned int q = 0; q < VG_QUOTAS && fine; q++) {
		if (!change[q] || !text[q])
			continue;
		fine = vg_quota_parse(q, text[q], &value[q]);
		if (!fine)
			snprintf(why, size, "%s=%.60s: not a value for it; allowed: %s",
				 vg_quota_name(q), text[q], vg_quota_allowed(q));
		copy[q] = fine ? strdup(text[q]) : NULL;
	}
	if (fine) {
		k = get(name);
		fine = k;
		if (!fine)
			snprintf(why, size, "%s", strerror(ENOMEM));
	}
	if (fine) {
		swap(k, copy, value, change);
		*kept = *vg_config.state;
		ret = *kept ? save() : 0;
		if (ret) {
			snprintf(why, size, "%s: %s; nothing is changed", vg_config.state,
				 strerror(-ret));
			swap(k, copy, value, change);
			fine = false;
		}
		drop_empty(k);
	}
	for (unsigned int q = 0; q < VG_QUOTAS; q++)
		free(copy[q]);
	return fine;
}

/* -- quarantine */

bool vg_state_quarantine(const char *name, struct vg_quarantine *q)
{
	const struct kept *k = find(name);

	if (!k || !k->quarantine.since_ms)
		return false;
	if (q)
		*q = k->quarantine;
	return true;
}

/*
 * A program can be as many users as its user namespace has, and each one in quarantine makes the file
 * longer, which the loop writes. So the one goes that has been there for longest.
 */
static void bound_users(void)
{
	struct kept *k, *oldest = NULL;
	static struct vg_log_rate rate;
	unsigned int n = 0;

	LIST_FOREACH(k, &all, node) {
		if (!strchr(k->name, ':') || !k->quarantine.since_ms)
			continue;
		n++;
		if (!oldest || k->quarantine.since_ms < oldest->quarantine.since_ms)
			oldest = k;
	}
	if (n <= USERS_MAX)
		return;
	vg_log_some(&rate, VG_WARNING, "%s: its quarantine is forgotten, because %u users are in quarantine "
		    "since then", oldest->name, USERS_MAX);
	oldest->quarantine = (struct vg_quarantine){ 0 };
	drop_empty(oldest);
}

int vg_state_quarantine_put(const char *name, uint64_t since_ms, const char *why)
{
	struct kept *k = get(name);

	if (!k)
		return -ENOMEM;
	k->quarantine.since_ms = since_ms;
	snprintf(k->quarantine.why, sizeof(k->quarantine.why), "%s", why);
	bound_users();
	return *vg_config.state ? save() : 0;
}

int vg_state_quarantine_end(const char *name)
{
	struct kept *k = find(name);
	struct vg_quarantine was;
	int ret;

	if (!k || !k->quarantine.since_ms)
		return -ENOENT;
	was = k->quarantine;
	k->quarantine = (struct vg_quarantine){ 0 };
	ret = *vg_config.state ? save() : 0;
	if (ret)
		k->quarantine = was;
	drop_empty(k);
	return ret;
}
