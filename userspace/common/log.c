// SPDX-License-Identifier: Apache-2.0
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "old_glibc.h"

#define SOME_LINES	5u
#define SOME_SECONDS	10

static const char *log_who = "vgpu";
static enum vg_level log_level = VG_INFO;
static int log_journal, log_times;
static int log_fd = STDERR_FILENO;

/* systemd names the journal's socket, "DEVICE:INODE"; a child's output may go elsewhere. */
static int is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       !vg_fstat(STDERR_FILENO, &st) && st.st_dev == device && st.st_ino == inode;
}

void vg_log_init(const char *who, enum vg_level level)
{
	log_who = who;
	log_level = level;
	log_journal = is_journal();
	log_times = 1;
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

/* "2026-11-30T19:05:09.123Z " */
static size_t put_time(char *line, size_t size)
{
	struct timespec now;
	struct tm tm;
	size_t at;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	at = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &tm);
	return at + snprintf(line + at, size - at, ".%03ldZ ", now.tv_nsec / 1000000);
}

static void log_line(enum vg_level level, const char *format, va_list args)
{
	char line[1024];
	size_t at = 0;
	int saved = errno;
	int n;

	if (log_journal && log_fd == STDERR_FILENO)
		at = snprintf(line, sizeof(line), "<%d>", level);
	else if (log_times)
		at = put_time(line, sizeof(line));
	at += snprintf(line + at, sizeof(line) - at, "%s: ", log_who);
	errno = saved;
	n = vsnprintf(line + at, sizeof(line) - at - 1, format, args);
	at += n < 0 ? 0 : (size_t)n;
	if (at > sizeof(line) - 2)
		at = sizeof(line) - 2;
	/* One message is one line, whoever has given the words. */
	for (size_t i = 0; i < at; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[at++] = '\n';
	/* One write, so that lines of several processes do not mix. */
	if (write(log_fd, line, at) < 0)
		at = 0;
	errno = saved;
}

void vg_log(enum vg_level level, const char *format, ...)
{
	va_list args;

	if (level > log_level)
		return;
	va_start(args, format);
	log_line(level, format, args);
	va_end(args);
}

void vg_log_some(struct vg_log_rate *r, enum vg_level level, const char *format, ...)
{
	struct timespec now;
	int saved = errno;
	va_list args;

	if (level > log_level)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (!r->since || now.tv_sec - r->since >= SOME_SECONDS) {
		if (r->kept_back)
			vg_log(level, "%u more lines like the last were not written", r->kept_back);
		*r = (struct vg_log_rate){ .since = now.tv_sec + !now.tv_sec };
	}
	if (r->lines++ >= SOME_LINES) {
		r->kept_back++;
		return;
	}
	errno = saved;
	va_start(args, format);
	log_line(level, format, args);
	va_end(args);
}
