// SPDX-License-Identifier: Apache-2.0
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *log_who = "vgpu";
static enum vg_level log_level = VG_INFO;
static int log_journal;
static int log_fd = STDERR_FILENO;

void vg_log_init(const char *who, enum vg_level level)
{
	log_who = who;
	log_level = level;
	/* systemd sets this when standard error goes to the journal. */
	log_journal = getenv("JOURNAL_STREAM") != NULL;
}

void vg_log_to(int fd)
{
	log_fd = fd;
}

int vg_log_level_parse(const char *name)
{
	if (!strcmp(name, "error"))
		return VG_ERROR;
	if (!strcmp(name, "warning"))
		return VG_WARNING;
	if (!strcmp(name, "info"))
		return VG_INFO;
	if (!strcmp(name, "debug"))
		return VG_DEBUG;
	return -1;
}

void vg_log(enum vg_level level, const char *format, ...)
{
	char line[1024];
	size_t at = 0;
	int saved = errno;
	va_list args;
	int n;

	if (level > log_level)
		return;
	if (log_journal)
		at = snprintf(line, sizeof(line), "<%d>", level);
	at += snprintf(line + at, sizeof(line) - at, "%s: ", log_who);
	va_start(args, format);
	errno = saved;
	n = vsnprintf(line + at, sizeof(line) - at - 1, format, args);
	va_end(args);
	at += n < 0 ? 0 : (size_t)n;
	if (at > sizeof(line) - 2)
		at = sizeof(line) - 2;
	line[at++] = '\n';
	/* One write, so that lines of several processes do not mix. */
	if (write(log_fd, line, at) < 0)
		at = 0;
	errno = saved;
}
