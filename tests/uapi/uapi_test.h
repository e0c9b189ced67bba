/* SPDX-License-Identifier: Apache-2.0 */
/* The checks that every size-first ioctl has to pass, for both modules. */
#ifndef UAPI_TEST_H
#define UAPI_TEST_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

struct uapi_ioctl {
	const char *name;
	unsigned long cmd;
	uint32_t size;
	uint32_t least;		/* of callers from before it grew */
};

#define UAPI_IOCTL(name, cmd, type) { name, cmd, sizeof(type), sizeof(type) }
/* `first` is the first member that it did not have from the beginning. */
#define UAPI_GREW(name, cmd, type, first) { name, cmd, sizeof(type), offsetof(type, first) }

#define assert_fails(call, error)                       \
	do {                                            \
		errno = 0;                              \
		assert_int_equal((call), -1);           \
		assert_int_equal(errno, (error));       \
	} while (0)

/* Short, long with a tail that is not zero, absurd, and no struct at all. */
void uapi_check_sizes(int fd, const struct uapi_ioctl *ioctls, size_t count);

/* `flags`, the second member of each, has no bit defined. */
void uapi_check_flags(int fd, const struct uapi_ioctl *ioctls, size_t count);

#endif /* UAPI_TEST_H */
