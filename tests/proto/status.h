/* SPDX-License-Identifier: Apache-2.0 */
/* What the mediator tells operators, asked by a test at VGPU_TEST_CONTROL; cmocka comes first. */
#ifndef PROTO_STATUS_H
#define PROTO_STATUS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* All of it, as JSON with one key a line; the text is overwritten by the next call. */
static inline const char *status_text(void)
{
	static const char request[] = "{\"request\":\"status\"}\n";
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const char *path = getenv("VGPU_TEST_CONTROL");
	static char text[65536];
	size_t have = 0;
	ssize_t n;

	if (!path)
		fail_msg("VGPU_TEST_CONTROL is to name the mediator's control socket");
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(write(fd, request, strlen(request)), strlen(request));
	while ((n = read(fd, text + have, sizeof(text) - 1 - have)) > 0)
		have += n;
	text[have] = '\0';
	close(fd);
	return text;
}

/* A number of the first vGPU's; its own keys are indented by six. */
static inline uint64_t status_number(const char *text, const char *key)
{
	char line[64];
	const char *at;

	snprintf(line, sizeof(line), "\n      \"%s\":", key);
	at = strstr(text, line);
	if (!at)
		fail_msg("the mediator's status has no %s", key);
	return strtoull(at + strlen(line), NULL, 10);
}

/* Whether an executor of that process has not been reaped yet. */
static inline bool status_has(const char *text, pid_t pid)
{
	char line[64];

	snprintf(line, sizeof(line), "\n          \"pid\":%d,", (int)pid);
	return strstr(text, line);
}

#endif
