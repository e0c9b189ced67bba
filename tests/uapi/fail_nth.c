// SPDX-License-Identifier: Apache-2.0
#include "fail_nth.h"

#include "uapi_test.h"

#include <stdlib.h>
#include <string.h>

#define DEBUG "/sys/kernel/debug/"
#define POINTS_MAX 4000		/* more mean that something does not end */

static int proc = -1;

static void set(const char *file, const char *value)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		(void)!write(fd, value, strlen(value));
		close(fd);
	}
}

bool fail_nth_begin(void)
{
	proc = open("/proc/self/fail-nth", O_RDWR | O_CLOEXEC);
	if (proc < 0 || access(DEBUG "failslab/ignore-gfp-wait", W_OK))
		return false;
	/* Allocations that may sleep are to fail too, and none with a stack trace. */
	set(DEBUG "failslab/ignore-gfp-wait", "N");
	set(DEBUG "fail_page_alloc/ignore-gfp-wait", "N");
	set(DEBUG "fail_page_alloc/ignore-gfp-highmem", "N");
	set(DEBUG "fail_page_alloc/min-order", "0");
	set(DEBUG "failslab/verbose", "0");
	set(DEBUG "fail_page_alloc/verbose", "0");
	set(DEBUG "fail_usercopy/verbose", "0");
	return true;
}

void fail_nth_end(void)
{
	close(proc);
}

static void arm(unsigned int nth)
{
	char text[16];
	int bytes = snprintf(text, sizeof(text), "%u", nth);

	assert_int_equal(pwrite(proc, text, bytes, 0), bytes);
}

/* True if the failure has been injected since arm(). */
static bool disarm(void)
{
	char text[16] = "";
	bool injected;

	/* The read copies to the user as well, and so may be what fails. */
	if (pread(proc, text, sizeof(text) - 1, 0) < 0)
		injected = false;
	else
		injected = strtoul(text, NULL, 0) == 0;
	/* So may the write that disarms it, and the next one does not. */
	if (pwrite(proc, "0", 1, 0) != 1)
		assert_int_equal(pwrite(proc, "0", 1, 0), 1);
	return injected;
}

/* ENOSPC: VFIO says the same for memory that it lacks and for its limit on pins. */
static bool expected(int error)
{
	return error == ENOMEM || error == EFAULT || error == ENOSPC;
}

unsigned int fail_nth_sweep(const struct fail_nth_call *call)
{
	unsigned int nth;
	bool injected;
	int result, error;

	for (nth = 1; nth < POINTS_MAX; nth++) {
		if (call->before)
			call->before();
		arm(nth);
		errno = 0;
		result = call->call();
		error = errno;
		injected = disarm();
		if (result && !expected(error))
			print_message("%s, point %u: %s\n", call->name, nth, strerror(error));
		assert_true(!result || expected(error));
		errno = error;
		if (call->after)
			call->after(result);
		if (!injected)
			break;
	}
	assert_true(nth < POINTS_MAX);
	assert_int_equal(result, 0);	/* with no failure at all */
	print_message("%s: %u points\n", call->name, nth - 1);
	return nth - 1;
}
