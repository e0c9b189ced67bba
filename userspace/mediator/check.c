// SPDX-License-Identifier: Apache-2.0
/* What can be known of a configuration only on the machine that it is for. */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "mediator.h"

static unsigned int faults;

static void executor(void)
{
	unsigned int line = vg_config_line("executor.path");
	const char *path = vg_config.executor;
	struct stat st;

	if (stat(path, &st) || access(path, X_OK))
		vg_config_say(VG_ERROR, line, "[executor] path = %s: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		vg_config_say(VG_ERROR, line, "[executor] path = %s: it is no program", path);
	else
		return;
	faults++;
}

static void users(void)
{
	const char *user = vg_config.user;

	if (vg_config.uid_first && (geteuid() || !*user)) {
		vg_config_say(VG_ERROR, vg_config_line("executor.uids"),
			      "[executor] uids = %u-%u: this needs %s", vg_config.uid_first,
			      vg_config.uid_last, geteuid() ? "a mediator that runs as root" :
			      "a user in [executor] user");
		faults++;
	}
	if (!geteuid() && *user && !getpwnam(user)) {
		vg_config_say(VG_ERROR, vg_config_line("executor.user"),
			      "[executor] user = %s: there is no such user", user);
		faults++;
	}
}

/* The sockets that have been looked at; the names are those of their sections. */
struct seen {
	const char *section, *path;
};

static void one_socket(struct seen *seen, size_t *count, const char *section, const char *path,
		       unsigned int line)
{
	char folder[sizeof(((struct sockaddr_un *)0)->sun_path)], why[200] = "";
	struct stat st;
	int ret;

	for (size_t i = 0; i < *count; i++)
		if (!strcmp(seen[i].path, path))
			snprintf(why, sizeof(why), "[%s] has this path already", seen[i].section);
	seen[(*count)++] = (struct seen){ section, path };
	if (!*why && strlen(path) >= sizeof(folder)) {
		snprintf(why, sizeof(why), "longer than the %zu bytes that a socket's path may have",
			 sizeof(folder) - 1);
	} else if (!*why) {
		ret = vg_listen_folder(path, folder, sizeof(folder));
		if (ret)
			snprintf(why, sizeof(why), "cannot make its folder %s: %s", folder,
				 strerror(-ret));
		else if (!lstat(path, &st) && !S_ISSOCK(st.st_mode))
			snprintf(why, sizeof(why), "this file is there, and is no socket");
	}
	if (!*why)
		return;
	vg_config_say(VG_ERROR, line, "[%s] path = %s: %s", section, path, why);
	faults++;
}

static int sockets(void)
{
	char (*names)[VG_SOCKET_NAME_MAX + 8];
	struct vg_named_socket *s;
	size_t count = 0, room = 2;
	struct seen *seen;

	LIST_FOREACH(s, vg_sockets(), node)
		room++;
	seen = calloc(room, sizeof(*seen));
	names = calloc(room, sizeof(*names));
	if (!seen || !names) {
		free(seen);
		free(names);
		return -ENOMEM;
	}
	one_socket(seen, &count, "control", vg_config.control, vg_config_line("control.path"));
	if (*vg_config.socket)
		one_socket(seen, &count, "socket", vg_config.socket, vg_config_line("socket.path"));
	LIST_FOREACH(s, vg_sockets(), node) {
		snprintf(names[count], sizeof(*names), "socket %s", s->name);
		one_socket(seen, &count, names[count], s->path, s->line);
	}
	free(seen);
	free(names);
	return 0;
}

/* "a:b", of the sandbox: an executor leaves out what is not there. */
static void paths(const char *name, const char *list)
{
	char *copy = strdup(list), *rest;

	for (char *path = copy ? strtok_r(copy, ":", &rest) : NULL; path;
	     path = strtok_r(NULL, ":", &rest))
		if (access(path, F_OK))
			vg_config_say(VG_WARNING, vg_config_line(name),
				      "[sandbox] %s = %s: %s; executors go on without it",
				      strchr(name, '.') + 1, path, strerror(errno));
	free(copy);
}

static bool folder_missing(const char *path, char *folder, size_t size)
{
	char *slash;

	snprintf(folder, size, "%s", path);
	slash = strrchr(folder, '/');
	if (!slash || slash == folder)
		return false;
	*slash = '\0';
	return access(folder, F_OK);
}

/* What may come later: a driver that is installed, a file system that is mounted. */
static void later(void)
{
	unsigned int line = vg_config_line("history.path");
	char folder[4096];

	if (strchr(vg_config.libcuda, '/') && access(vg_config.libcuda, F_OK))
		vg_config_say(VG_WARNING, vg_config_line("executor.libcuda"),
			      "[executor] libcuda = %s: %s; no executor starts until it is there",
			      vg_config.libcuda, strerror(errno));
	paths("sandbox.read", vg_config.read);
	paths("sandbox.write", vg_config.write);
	if (folder_missing(vg_config.state, folder, sizeof(folder)))
		vg_config_say(VG_WARNING, vg_config_line("state.path"),
			      "[state] path = %s: its folder %s is missing; \"vgpuctl set\" changes "
			      "nothing until it is there", vg_config.state, folder);
	/* Of the default the thread of the history says it. */
	if (line && folder_missing(vg_config.history, folder, sizeof(folder)))
		vg_config_say(VG_WARNING, line, "[history] path = %s: its folder %s is missing; "
			      "no history is kept", vg_config.history, folder);
}

int vg_config_check(void)
{
	faults = 0;
	executor();
	users();
	if (sockets())
		return -ENOMEM;
	if (faults)
		return -EINVAL;
	later();
	return 0;
}
