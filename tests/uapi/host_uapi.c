// SPDX-License-Identifier: Apache-2.0
/*
 * /dev/vgpu-host as linux/vgpu_host.h promises it.  Runs on the host as root,
 * with vgpu_host loaded, no mediator running, and one vGPU that no VM has
 * open.
 */
#include "uapi_test.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <linux/vgpu_host.h>

#define DEV "/dev/vgpu-host"

static const struct uapi_ioctl host_ioctls[] = {
	UAPI_IOCTL("INFO", VGPU_HOST_IOC_INFO, struct vgpu_host_info),
	UAPI_IOCTL("OPEN_VGPU", VGPU_HOST_IOC_OPEN_VGPU, struct vgpu_host_open_vgpu),
};

static const struct uapi_ioctl vgpu_ioctls[] = {
	UAPI_GREW("VGPU_INFO", VGPU_HOST_IOC_VGPU_INFO, struct vgpu_host_vgpu_info, out_read_bytes),
	UAPI_IOCTL("OPEN_CHANNEL", VGPU_HOST_IOC_OPEN_CHANNEL, struct vgpu_host_open_channel),
};

static int open_host(void)
{
	int fd = open(DEV, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	assert_true(fd >= 0);
	return fd;
}

static int open_vgpu(int host)
{
	struct vgpu_host_open_vgpu open_arg = { .size = sizeof(open_arg) };
	struct vgpu_host_event event;

	assert_int_equal(read(host, &event, sizeof(event)), sizeof(event));
	assert_int_equal(event.kind, VGPU_HOST_EV_ADDED);
	open_arg.id = event.id;
	assert_int_equal(ioctl(host, VGPU_HOST_IOC_OPEN_VGPU, &open_arg), 0);
	assert_true(open_arg.out_fd >= 0);
	fcntl(open_arg.out_fd, F_SETFL, O_NONBLOCK);
	return open_arg.out_fd;
}

static void one_mediator(void **state)
{
	int fd = open_host();

	(void)state;
	assert_fails(open(DEV, O_RDONLY), EBUSY);
	close(fd);
	fd = open_host();
	close(fd);
}

static void sizes_and_flags(void **state)
{
	int host = open_host(), vgpu = open_vgpu(host);

	(void)state;
	uapi_check_sizes(host, host_ioctls, 2);
	uapi_check_flags(host, host_ioctls, 2);
	uapi_check_sizes(vgpu, vgpu_ioctls, 2);
	uapi_check_flags(vgpu, vgpu_ioctls, 2);
	assert_fails(ioctl(host, VGPU_HOST_IOC_VGPU_INFO, NULL), ENOTTY);
	assert_fails(ioctl(vgpu, VGPU_HOST_IOC_INFO, NULL), ENOTTY);
	close(vgpu);
	close(host);
}

static void events_are_told_again(void **state)
{
	struct vgpu_host_event event;
	struct pollfd p = { .events = POLLIN };

	(void)state;
	for (int round = 0; round < 3; round++) {
		p.fd = open_host();
		assert_int_equal(poll(&p, 1, 0), 1);
		assert_fails(read(p.fd, &event, sizeof(event) - 1), EINVAL);
		assert_int_equal(read(p.fd, &event, sizeof(event)), sizeof(event));
		assert_fails(read(p.fd, &event, sizeof(event)), EAGAIN);
		assert_int_equal(poll(&p, 1, 0), 0);
		close(p.fd);
	}
}

/* A page that a call can read its argument from, and not write an answer to. */
static void *read_only(const void *from, size_t bytes)
{
	uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(page, MAP_FAILED);
	memcpy(page, from, bytes);
	assert_int_equal(mprotect(page, 4096, PROT_READ), 0);
	return page;
}

/* A bad pointer loses no event, uses up no descriptor and opens nothing. */
static void answers_that_do_not_arrive(void **state)
{
	struct vgpu_host_open_vgpu open_arg = { .size = sizeof(open_arg) };
	struct vgpu_host_event event;
	int host = open_host(), before, vgpu;
	void *ro;

	(void)state;
	ro = read_only("", 1);
	assert_fails(read(host, ro, sizeof(event)), EFAULT);
	munmap(ro, 4096);
	assert_int_equal(read(host, &event, sizeof(event)), sizeof(event));
	assert_int_equal(event.kind, VGPU_HOST_EV_ADDED);
	assert_fails(read(host, &event, sizeof(event)), EAGAIN);

	open_arg.id = event.id;
	ro = read_only(&open_arg, sizeof(open_arg));
	before = dup(0);
	assert_true(before >= 0);
	close(before);
	assert_fails(ioctl(host, VGPU_HOST_IOC_OPEN_VGPU, ro), EFAULT);
	vgpu = dup(0);
	assert_int_equal(vgpu, before);
	close(vgpu);
	assert_int_equal(ioctl(host, VGPU_HOST_IOC_OPEN_VGPU, &open_arg), 0);
	assert_int_equal(open_arg.out_fd, before);
	close(open_arg.out_fd);
	munmap(ro, 4096);
	close(host);
}

static void vgpu_of_one_holder(void **state)
{
	struct vgpu_host_open_vgpu again = { .size = sizeof(again) };
	struct vgpu_host_vgpu_info info = { .size = sizeof(info) };
	struct vgpu_host_open_channel ch = { .size = sizeof(ch), .id = 5, .cookie = 1 };
	struct vgpu_host_event event;
	int host = open_host(), vgpu = open_vgpu(host);

	(void)state;
	assert_fails(ioctl(host, VGPU_HOST_IOC_OPEN_VGPU, &again), EBUSY);
	again.id = 4711;
	assert_fails(ioctl(host, VGPU_HOST_IOC_OPEN_VGPU, &again), ENOENT);

	assert_int_equal(ioctl(vgpu, VGPU_HOST_IOC_VGPU_INFO, &info), 0);
	assert_true(info.out_mem_bytes >= 1 << 20);
	assert_true(info.out_pool[0] && info.out_type[0]);
	assert_string_equal(info.out_parent, "virtual");
	assert_int_equal(info.out_in_use, 0);
	assert_int_equal(info.out_channels, 0);
	assert_int_equal(info.out_pinned_bytes, 0);
	assert_int_equal(info.out_read_bytes, 0);
	/* A caller that was built before there was the last member. */
	info = (struct vgpu_host_vgpu_info){
		.size = offsetof(struct vgpu_host_vgpu_info, out_read_bytes), .out_read_bytes = ~0ull,
	};
	assert_int_equal(ioctl(vgpu, VGPU_HOST_IOC_VGPU_INFO, &info), 0);
	assert_true(info.out_mem_bytes >= 1 << 20);
	assert_true(info.out_read_bytes == ~0ull);

	assert_fails(ioctl(vgpu, VGPU_HOST_IOC_OPEN_CHANNEL, &ch), ENOENT);
	ch.id = ~0u;
	assert_fails(ioctl(vgpu, VGPU_HOST_IOC_OPEN_CHANNEL, &ch), ENOENT);
	assert_fails(read(vgpu, &event, sizeof(event)), EAGAIN);
	assert_ptr_equal(mmap(NULL, 4096, PROT_READ, MAP_SHARED, vgpu, 0), MAP_FAILED);
	assert_ptr_equal(mmap(NULL, 4096, PROT_READ, MAP_SHARED, host, 0), MAP_FAILED);
	close(vgpu);
	close(host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_mediator),
		cmocka_unit_test(sizes_and_flags),
		cmocka_unit_test(events_are_told_again),
		cmocka_unit_test(answers_that_do_not_arrive),
		cmocka_unit_test(vgpu_of_one_holder),
	};

	return cmocka_run_group_tests_name("host_uapi", tests, NULL, NULL);
}
