// SPDX-License-Identifier: Apache-2.0
/*
 * Preloaded into an executor: what the host module would answer about the channel of a VM,
 * which here is a memfd (pageable_test.c).
 */
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "exec_internal.h"

#include <linux/vgpu_host.h>

int ioctl(int fd, unsigned long request, ...);

int ioctl(int fd, unsigned long request, ...)
{
	struct vgpu_host_channel_info *info;
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (fd != VG_CHANNEL_FD)
		return syscall(SYS_ioctl, fd, request, arg);
	if (request == VGPU_HOST_IOC_CHANNEL_INFO) {
		info = arg;
		info->out_layout = (struct vgpu_layout){
			.sq_off = 4096, .sq_bytes = VGPU_SQ_MIN, .slot_off = 4096 + VGPU_SQ_MIN,
			.slot_count = 4, .arena_off = 128 << 10, .arena_bytes = 65536,
			.total_bytes = 192 << 10,
		};
	}
	return 0;
}
