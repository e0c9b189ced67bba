// SPDX-License-Identifier: Apache-2.0
/* The way in through the guest driver, /dev/vgpuN. */
#include "transport.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/vgpu.h>

static int dev_open(struct vg_transport *t, const char *path, const struct vgpu_layout *want,
		    uint64_t settings)
{
	struct vgpu_setup setup = {
		.size = sizeof(setup),
		.sq_bytes = want->sq_bytes,
		.slot_count = want->slot_count,
		.arena_bytes = want->arena_bytes,
		.settings = settings,
	};
	int err;

	t->fd = open(path, O_RDWR | O_CLOEXEC);
	if (t->fd < 0)
		return -errno;
	if (ioctl(t->fd, VGPU_IOC_SETUP, &setup) < 0)
		goto fail;
	t->layout = setup.out_layout;
	t->base = mmap(NULL, t->layout.total_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd, 0);
	if (t->base == MAP_FAILED)
		goto fail;
	t->doorbell = -1;
	atomic_store(&t->seen, 0);
	return 0;

fail:
	err = -errno;
	close(t->fd);
	return err;
}

static int dev_doorbell(struct vg_transport *t)
{
	struct vgpu_doorbell bell = { .size = sizeof(bell) };

	return ioctl(t->fd, VGPU_IOC_DOORBELL, &bell) < 0 ? -errno : 0;
}

/*
 * The interrupt is the channel's, not the word's: the count that was last
 * seen is read before the word, so an interrupt in between ends the wait.
 */
static int dev_wait(struct vg_transport *t, const uint32_t *word, uint32_t value)
{
	struct vgpu_wait wait = { .size = sizeof(wait) };

	wait.seen = atomic_load(&t->seen);
	if (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value)
		return 0;
	if (ioctl(t->fd, VGPU_IOC_WAIT, &wait) < 0)
		return errno == EINTR || errno == ETIMEDOUT ? 0 : -errno;
	atomic_store(&t->seen, wait.out_seen);
	return 0;
}

static int dev_share(struct vg_transport *t, void *va, size_t bytes, int memfd, uint32_t *token)
{
	struct vgpu_register reg = {
		.size = sizeof(reg), .addr = (uintptr_t)va, .bytes = bytes,
	};

	static atomic_flag told = ATOMIC_FLAG_INIT;

	(void)memfd;
	if (ioctl(t->fd, VGPU_IOC_REGISTER, &reg) < 0) {
		int err = errno;

		if (err == ENOSPC && !atomic_flag_test_and_set(&told))
			fprintf(stderr, "vgpu: memory is not page-locked, because this user's limit "
				"on locked memory (ulimit -l) or vgpu_guest's (user_limit, pin_limit) "
				"is reached\n");
		return -err;
	}
	*token = reg.out_region;
	return 0;
}

static void dev_unshare(struct vg_transport *t, uint32_t token)
{
	struct vgpu_unregister reg = { .size = sizeof(reg), .region = token };

	ioctl(t->fd, VGPU_IOC_UNREGISTER, &reg);
}

static void dev_close(struct vg_transport *t)
{
	munmap(t->base, t->layout.total_bytes);
	close(t->fd);
}

const struct vg_transport_ops vg_transport_dev = {
	.name = "dev",
	.open = dev_open,
	.doorbell = dev_doorbell,
	.wait = dev_wait,
	.share = dev_share,
	.unshare = dev_unshare,
	.any_memory = true,
	.close = dev_close,
};
