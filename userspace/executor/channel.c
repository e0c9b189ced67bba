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

/* Its memory at `base`, where as much is reserved as the mediator has said. */
static int open_vfio_user(struct vg_channel *ch, int fd, uint8_t *base)
{
	struct vg_pages pages;
	int ret;

	fd = vg_channel_keep(fd);
	if (fd < 0)
		return fd;
	ch->fd = fd;
	/* The server's end alone must not wait. */
	fcntl(fd, F_SETFL, 0);
	ret = vg_pages_ask(ch, VG_VFU_ASK_MEMORY, 0, &pages);
	if (ret)
		return ret;
	ch->doorbell = pages.doorbell;
	ch->raise = pages.raise;
	ret = pages.bytes == ch->layout.total_bytes ? vg_pages_map(&pages, base) : -EPROTO;
	vg_pages_close(&pages);
	return ret;
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
	} else if (assign->kind == VG_ASSIGN_VFIO_USER) {
		memory = -1;
	} else {
		ch->fd = -1;
		ch->doorbell = fds[1];
		ch->shares = fds[2];
		/* A token whose memfd was never sent must not hold up the ring. */
		fcntl(ch->shares, F_SETFL, O_NONBLOCK);
	}
	base = mmap(NULL, ch->layout.total_bytes, memory < 0 ? PROT_NONE : PROT_READ | PROT_WRITE,
		    memory < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE : MAP_SHARED, memory, 0);
	if (base == MAP_FAILED)
		return -errno;
	if (assign->kind == VG_ASSIGN_VFIO_USER) {
		ret = open_vfio_user(ch, fds[0], base);
		if (ret)
			return ret;
	}
	ch->ring = (struct vgpu_ring *)base;
	ch->sq = base + ch->layout.sq_off;
	ch->slots = (struct vgpu_slot *)(base + ch->layout.slot_off);
	ch->arena = base + ch->layout.arena_off;
	return 0;
}

void vg_channel_wake(struct vg_channel *ch, const uint32_t *word)
{
	struct vgpu_host_raise raise = { .size = sizeof(raise) };
	const uint64_t one = 1;
	ssize_t n;

	if (ch->kind == VG_ASSIGN_VM) {
		ioctl(ch->fd, VGPU_HOST_IOC_RAISE, &raise);
	} else if (ch->kind == VG_ASSIGN_VFIO_USER) {
		n = write(ch->raise, &one, sizeof(one));
		(void)n;	/* it is raised already */
	} else {
		syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	}
}
