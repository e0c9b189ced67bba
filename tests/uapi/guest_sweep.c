// SPDX-License-Identifier: Apache-2.0
/*
 * Every allocation and every user copy that a call of /dev/vgpuN comes by fails
 * once, by /proc/self/fail-nth. The call then fails with an error that says so, or
 * succeeds in spite of it; nothing is leaked, and the next call works. Runs in a
 * guest as root, with a mediator on the host and a kernel with FAULT_INJECTION;
 * with another kernel it is skipped.
 */
#include "uapi_test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <linux/vgpu.h>
#include <linux/vgpu_ring.h>

#include "fail_nth.h"

#define DEV "/dev/vgpu0"
#define BYTES 65536

static struct {
	int fd;			/* with a channel */
	int other;		/* opened by the call */
	void *mem, *map;
	size_t total;
	struct vgpu_setup setup;
	struct vgpu_register reg;
	struct vgpu_unregister unreg;
} s;

static struct vgpu_setup small_setup(void)
{
	return (struct vgpu_setup){
		.size = sizeof(struct vgpu_setup), .sq_bytes = VGPU_SQ_MIN, .slot_count = 4,
		.arena_bytes = 4096,
	};
}

static uint64_t registered(void)
{
	struct vgpu_stats stats = { .size = sizeof(stats) };

	assert_int_equal(ioctl(s.fd, VGPU_IOC_STATS, &stats), 0);
	return stats.out_pinned_bytes;
}

static int do_open(void)
{
	s.other = open(DEV, O_RDWR | O_CLOEXEC);
	return s.other < 0 ? -1 : 0;
}

static void after_open(int result)
{
	if (!result)
		close(s.other);
}

static void before_setup(void)
{
	s.setup = small_setup();
	assert_int_equal(do_open(), 0);
}

static int do_setup(void)
{
	return ioctl(s.other, VGPU_IOC_SETUP, &s.setup);
}

/* After EFAULT there may be a channel, whose answer did not arrive. */
static void after_setup(int result)
{
	struct vgpu_setup again = small_setup();

	if (result && errno != EFAULT)
		assert_int_equal(ioctl(s.other, VGPU_IOC_SETUP, &again), 0);
	close(s.other);
}

static int do_mmap(void)
{
	s.map = mmap(NULL, s.total, PROT_READ | PROT_WRITE, MAP_SHARED, s.fd, 0);
	return s.map == MAP_FAILED ? -1 : 0;
}

static void after_mmap(int result)
{
	if (!result)
		munmap(s.map, s.total);
}

static int do_info(void)
{
	struct vgpu_info info = { .size = sizeof(info) };

	return ioctl(s.fd, VGPU_IOC_INFO, &info);
}

static int do_doorbell(void)
{
	struct vgpu_doorbell bell = { .size = sizeof(bell) };

	return ioctl(s.fd, VGPU_IOC_DOORBELL, &bell);
}

static int do_wait(void)
{
	struct vgpu_wait wait = { .size = sizeof(wait), .seen = ~0u, .timeout_ns = 1 };

	return ioctl(s.fd, VGPU_IOC_WAIT, &wait);
}

static int do_stats(void)
{
	struct vgpu_stats stats = { .size = sizeof(stats) };

	return ioctl(s.fd, VGPU_IOC_STATS, &stats);
}

static void before_register(void)
{
	s.reg = (struct vgpu_register){
		.size = sizeof(s.reg), .addr = (uintptr_t)s.mem, .bytes = BYTES,
	};
}

static int do_register(void)
{
	return ioctl(s.fd, VGPU_IOC_REGISTER, &s.reg);
}

static void after_register(int result)
{
	if (!result) {
		s.unreg = (struct vgpu_unregister){
			.size = sizeof(s.unreg), .region = s.reg.out_region,
		};
		assert_int_equal(ioctl(s.fd, VGPU_IOC_UNREGISTER, &s.unreg), 0);
	}
	assert_int_equal(registered(), 0);
}

static void before_unregister(void)
{
	before_register();
	assert_int_equal(do_register(), 0);
	s.unreg = (struct vgpu_unregister){ .size = sizeof(s.unreg), .region = s.reg.out_region };
}

static int do_unregister(void)
{
	return ioctl(s.fd, VGPU_IOC_UNREGISTER, &s.unreg);
}

/* Whether it had been done when the answer did not arrive, or not at all. */
static void after_unregister(int result)
{
	if (result && registered())
		assert_int_equal(do_unregister(), 0);
	assert_int_equal(registered(), 0);
}

static const struct fail_nth_call calls[] = {
	{ "open", NULL, do_open, after_open },
	{ "SETUP", before_setup, do_setup, after_setup },
	{ "mmap", NULL, do_mmap, after_mmap },
	{ "INFO", NULL, do_info, NULL },
	{ "DOORBELL", NULL, do_doorbell, NULL },
	{ "WAIT", NULL, do_wait, NULL },
	{ "STATS", NULL, do_stats, NULL },
	{ "REGISTER", before_register, do_register, after_register },
	{ "UNREGISTER", before_unregister, do_unregister, after_unregister },
};

static void sweep(void **state)
{
	unsigned int points = 0;

	(void)state;
	if (!fail_nth_begin())
		skip();
	s.fd = open(DEV, O_RDWR | O_CLOEXEC);
	assert_true(s.fd >= 0);
	s.setup = small_setup();
	assert_int_equal(ioctl(s.fd, VGPU_IOC_SETUP, &s.setup), 0);
	s.total = s.setup.out_layout.total_bytes;
	s.mem = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	assert_ptr_not_equal(s.mem, MAP_FAILED);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		points += fail_nth_sweep(&calls[i]);
	fail_nth_end();
	print_message("swept %u points of failure in all\n", points);
	assert_true(points > 40);
	munmap(s.mem, BYTES);
	close(s.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(sweep) };

	return cmocka_run_group_tests_name("guest_sweep", tests, NULL, NULL);
}
