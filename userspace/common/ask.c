// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/ask.h"

/* The mediator answers at once, whatever its guests do. */
#define PATIENCE_S 10

static char *read_all(int fd)
{
	char *text = NULL;
	size_t len = 0;
	ssize_t n;

	do {
		char *more = realloc(text, len + 4097);

		if (!more) {
			free(text);
			errno = ENOMEM;
			return NULL;
		}
		text = more;
		n = recv(fd, text + len, 4096, 0);
		if (n > 0)
			len += n;
	} while (n > 0);
	if (n < 0) {
		free(text);
		return NULL;
	}
	text[len] = '\0';
	return text;
}

static char *exchange(const char *path, const char *line, char *why, size_t size)
{
	const struct timeval limit = { .tv_sec = PATIENCE_S };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	ssize_t len = strlen(line);
	char *text = NULL;
	int fd, error;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		snprintf(why, size, "%s: longer than a socket's path may be", path);
		errno = ENAMETOOLONG;
		return NULL;
	}
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr)) &&
		    send(fd, line, len, MSG_NOSIGNAL) == len)
			text = read_all(fd);
	}
	error = errno;
	if (!text)
		snprintf(why, size, "%s: %s%s", path,
			 error == EAGAIN ? "no answer in 10 s" : strerror(error),
			 error == ENOENT || error == ECONNREFUSED ?
				 " (is vgpu-mediatord running?)" : "");
	if (fd >= 0)
		close(fd);
	errno = error;
	return text;
}

struct json_object *vg_ask(const char *path, const char *name, char *why, size_t size)
{
	struct json_object *request = json_object_new_object(), *answer;

	json_object_object_add(request, "request", json_object_new_string(name));
	answer = vg_ask_for(path, request, why, size);
	json_object_put(request);
	return answer;
}

struct json_object *vg_ask_for(const char *path, struct json_object *request, char *why,
			       size_t size)
{
	char *text = exchange(path, json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN),
			      why, size);
	struct json_object *answer, *error;

	if (!text)
		return NULL;
	answer = json_tokener_parse(text);
	free(text);
	if (!answer) {
		snprintf(why, size, "%s: the mediator's answer is cut short", path);
	} else if (json_object_object_get_ex(answer, "error", &error)) {
		snprintf(why, size, "the mediator says: %s", json_object_get_string(error));
		json_object_put(answer);
		answer = NULL;
	}
	if (!answer)
		errno = EPROTO;
	return answer;
}
