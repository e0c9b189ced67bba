// SPDX-License-Identifier: Apache-2.0
#include "uapi_test.h"

#include <string.h>

void uapi_check_sizes(int fd, const struct uapi_ioctl *ioctls, size_t count)
{
	uint32_t buf[2048];
	size_t i;

	for (i = 0; i < count; i++) {
		const struct uapi_ioctl *op = &ioctls[i];
		uint32_t size;

		print_message("%s\n", op->name);
		for (size = 0; size < op->least; size += size < 8 ? 1 : 4) {
			memset(buf, 0, sizeof(buf));
			buf[0] = size;
			assert_fails(ioctl(fd, op->cmd, buf), EINVAL);
		}
		memset(buf, 0, sizeof(buf));
		buf[0] = op->size + 8;
		buf[op->size / 4 + 1] = 1;
		assert_fails(ioctl(fd, op->cmd, buf), E2BIG);
		buf[0] = 4096 + 4;
		assert_fails(ioctl(fd, op->cmd, buf), E2BIG);
		buf[0] = ~0u;
		assert_fails(ioctl(fd, op->cmd, buf), E2BIG);
		assert_fails(ioctl(fd, op->cmd, NULL), EFAULT);
		assert_fails(ioctl(fd, op->cmd, (void *)8), EFAULT);
	}
}

void uapi_check_flags(int fd, const struct uapi_ioctl *ioctls, size_t count)
{
	uint32_t buf[64];
	size_t i;
	int bit;

	for (i = 0; i < count; i++) {
		print_message("%s\n", ioctls[i].name);
		for (bit = 0; bit < 32; bit++) {
			memset(buf, 0, sizeof(buf));
			buf[0] = ioctls[i].size;
			buf[1] = 1u << bit;
			assert_fails(ioctl(fd, ioctls[i].cmd, buf), EINVAL);
		}
	}
}
