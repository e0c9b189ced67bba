// SPDX-License-Identifier: Apache-2.0
/*
 * The program's view of the driver's log.  The host driver's is another process's, and
 * holds what the executor has asked, too; here are the calls of this program that failed, and
 * why this side has refused what it does not support.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shim.h"
#include "shim_calls.h"

#define ENTRIES 64u
#define TEXT 256u

struct CUlogsCallbackEntry_st {
	struct CUlogsCallbackEntry_st *next;
	CUlogsCallback run;
	void *data;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* all below */
static char text[ENTRIES][TEXT];	/* number n is at n % ENTRIES, and ends with a newline */
static unsigned int next;		/* the number of the next; also what an iterator holds */
static struct CUlogsCallbackEntry_st *callbacks;

/* CUDA_LOG_FILE: where each line goes as well; -1: nowhere. */
static int file = -1;

void vg_log_environment(void)
{
	const char *path = getenv("CUDA_LOG_FILE");

	if (!path || !*path || file >= 0)
		return;
	if (!strcmp(path, "stdout"))
		file = STDOUT_FILENO;
	else if (!strcmp(path, "stderr"))
		file = STDERR_FILENO;
	else
		file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (file < 0)
		fprintf(stderr, "vgpu: CUDA_LOG_FILE=%s: %s\n", path, strerror(errno));
}

/* A line as NVIDIA's driver 580 writes it: [time][thread][CUDA][level] message. */
static __attribute__((format(printf, 1, 2))) void log_line(const char *format, ...)
{
	struct CUlogsCallbackEntry_st *c;
	char line[TEXT];
	struct timespec ts;
	struct tm tm;
	va_list args;
	int n;

	clock_gettime(CLOCK_REALTIME, &ts);
	localtime_r(&ts.tv_sec, &tm);
	n = snprintf(line, sizeof(line), "[%02d:%02d:%02d.%03ld][%lu][CUDA][E] ", tm.tm_hour,
		     tm.tm_min, tm.tm_sec, ts.tv_nsec / 1000000, (unsigned long)pthread_self());
	va_start(args, format);
	n += vsnprintf(line + n, sizeof(line) - n, format, args);
	va_end(args);
	if (n >= (int)sizeof(line) - 1)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	line[n] = '\0';
	pthread_mutex_lock(&lock);
	if (file >= 0)
		(void)!write(file, line, n);
	memcpy(text[next++ % ENTRIES], line, n + 1);
	c = callbacks;
	/* One may take itself away while it runs. */
	while (c) {
		struct CUlogsCallbackEntry_st one = *c;

		pthread_mutex_unlock(&lock);
		one.run(one.data, CU_LOG_LEVEL_ERROR, line, n);
		pthread_mutex_lock(&lock);
		for (c = callbacks; c && c != one.next; c = c->next)
			;
	}
	pthread_mutex_unlock(&lock);
}

void vg_log_refusal(const char *name, const char *why)
{
	log_line("%s is not supported: %s", name, why);
}

void vg_log_failure(const char *name, CUresult result)
{
	const char *word = "?";

	vgh_cuGetErrorName(result, &word);
	log_line("Returning %d (%s) from %s", result, word, name);
}

CUresult vgh_cuLogsRegisterCallback(CUlogsCallback run, void *data, CUlogsCallbackHandle *out)
{
	struct CUlogsCallbackEntry_st *c;

	if (!run)
		return CUDA_ERROR_INVALID_VALUE;
	c = calloc(1, sizeof(*c));
	if (!c)
		return CUDA_ERROR_OUT_OF_MEMORY;
	c->run = run;
	c->data = data;
	pthread_mutex_lock(&lock);
	c->next = callbacks;
	callbacks = c;
	pthread_mutex_unlock(&lock);
	if (out)
		*out = c;
	return CUDA_SUCCESS;
}

CUresult vgh_cuLogsUnregisterCallback(CUlogsCallbackHandle handle)
{
	struct CUlogsCallbackEntry_st **at, *c;

	pthread_mutex_lock(&lock);
	for (at = &callbacks; *at && *at != handle; at = &(*at)->next)
		;
	c = *at;
	if (c)
		*at = c->next;
	pthread_mutex_unlock(&lock);
	free(c);
	return c ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult vgh_cuLogsCurrent(CUlogIterator *iterator, unsigned int flags)
{
	(void)flags;	/* reserved; the driver does not look at them */
	if (!iterator)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&lock);
	*iterator = next;
	pthread_mutex_unlock(&lock);
	return CUDA_SUCCESS;
}

/*
 * What there is from the iterator on, at most `room` bytes of it with the end: the
 * latest, and a line before it if that is not all.  The bytes, or -1: not even one fits.
 */
static long dump(CUlogIterator *iterator, char *out, size_t room)
{
	static const char gap[] = "[CUDA] messages before these have been left out\n";
	unsigned int from = iterator ? *iterator : 0, first;
	size_t bytes = 0, lead;

	pthread_mutex_lock(&lock);
	if (from > next)
		from = next;
	first = next;
	while (first > from && next - first < ENTRIES) {
		size_t n = strlen(text[(first - 1) % ENTRIES]);

		lead = first - 1 > from ? sizeof(gap) - 1 : 0;
		if (bytes + n + lead + 1 > room)
			break;
		bytes += n;
		first--;
	}
	if (first == next && next > from) {
		pthread_mutex_unlock(&lock);
		return -1;
	}
	bytes = 0;
	if (first > from) {
		memcpy(out, gap, sizeof(gap) - 1);
		bytes = sizeof(gap) - 1;
	}
	for (; first < next; first++) {
		size_t n = strlen(text[first % ENTRIES]);

		memcpy(out + bytes, text[first % ENTRIES], n);
		bytes += n;
	}
	if (bytes)	/* the driver leaves the buffer alone if there is nothing */
		out[bytes] = '\0';
	if (iterator)
		*iterator = next;
	pthread_mutex_unlock(&lock);
	return bytes;
}

CUresult vgh_cuLogsDumpToMemory(CUlogIterator *iterator, char *buffer, size_t *size,
				unsigned int flags)
{
	long n;

	(void)flags;	/* reserved; the driver does not look at them */
	if (!buffer || !size || !*size)
		return CUDA_ERROR_INVALID_VALUE;
	n = dump(iterator, buffer, *size);
	*size = n < 0 ? 0 : n;
	return n < 0 ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult vgh_cuLogsDumpToFile(CUlogIterator *iterator, const char *path, unsigned int flags)
{
	static const size_t room = ENTRIES * TEXT + TEXT;
	char *buffer;
	FILE *f;
	long n;
	bool ok;

	(void)flags;	/* reserved; the driver does not look at them */
	if (!path)
		return CUDA_ERROR_INVALID_VALUE;
	buffer = malloc(room);
	if (!buffer)
		return CUDA_ERROR_OUT_OF_MEMORY;
	f = fopen(path, "w");
	n = f ? dump(iterator, buffer, room) : -1;
	ok = n >= 0 && fwrite(buffer, 1, n, f) == (size_t)n;
	if (f && fclose(f))
		ok = false;
	free(buffer);
	return ok ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
