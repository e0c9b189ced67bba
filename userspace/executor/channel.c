// SPDX-License-Identifier: Apache-2.0
/* The executor's end of a channel: mapped memory, a doorbell, a way to wake. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/vgpu_host.h>

#include "exec_internal.h"

int vg_channel_reserve(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (fd == VG_CHANNEL_FD)
		return 0;
	fd = vg_channel_keep(fd);
	return fd < 0 ? fd : 0;
}

int vg_channel_keep(int fd)
{
	int ret = dup3(fd, VG_CHANNEL_FD, O_CLOEXEC);

	ret = ret < 0 ? -errno : ret;
	close(fd);
	return ret;
}

static int open_vm(struct vg_channel *ch, int fd)
{
	struct vgpu_host_channel_info info = { .size = sizeof(info) };
	struct vgpu_host_doorbell bell = { .size = sizeof(bell) };

	fd = vg_channel_keep(fd);
	if (fd < 0)
		return fd;
	ch->fd = fd;
	ch->doorbell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ch->doorbell < 0)
		return -errno;
	bell.fd = ch->doorbell;
	if (ioctl(fd, VGPU_HOST_IOC_CHANNEL_INFO, &info) < 0 ||
	    ioctl(fd, VGPU_HOST_IOC_DOORBELL, &bell) < 0)
		return -errno;
	/* The kernel's word, not the message's. */
	ch->layout = info.out_layout;
	return 0;
}

int vg_channel_open(struct vg_channel *ch, const struct vg_assign *assign, const int *fds)
{
	uint8_t *base;
	int memory = fds[0], ret;

	ch->kind = assign->kind;
	ch->layout = assign->layout;
	if (assign->kind == VG_ASSIGN_VM) {
		ret = open_vm(ch, fds[0]);
		if (ret)
			return ret;
		memory = ch->fd;
	} else {
		ch->fd = -1;
		ch->doorbell = fds[1];
		ch->shares = fds[2];
		/* A token whose memfd was never sent must not hold up the ring. */
		fcntl(ch->shares, F_SETFL, O_NONBLOCK);
	}
	base = mmap(NULL, ch->layout.total_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	if (base == MAP_FAILED)
		return -errno;
	ch->ring = (struct vgpu_ring *)base;
	ch->sq = base + ch->layout.sq_off;
	ch->slots = (struct vgpu_slot *)(base + ch->layout.slot_off);
	ch->arena = base + ch->layout.arena_off;
	return 0;
}

void vg_channel_wake(struct vg_channel *ch, const uint32_t *word)
{
	struct vgpu_host_raise raise = { .size = sizeof(raise) };

	if (ch->kind == VG_ASSIGN_VM)
		ioctl(ch->fd, VGPU_HOST_IOC_RAISE, &raise);
	else
		syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}
