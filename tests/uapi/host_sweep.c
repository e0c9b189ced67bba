// SPDX-License-Identifier: Apache-2.0
/*
 * Every allocation and every user copy that a call to vgpu_host.ko comes by fails
 * once, by /proc/self/fail-nth: the mediator's, an executor's and a VMM's calls. The
 * call then fails with an error that says so, or succeeds in spite of it; what it
 * did not do can be done afterwards, and no pin is left. Runs on the host as root,
 * with one vGPU, no mediator and no VM; skipped where the kernel injects no failures.
 */
#include "uapi_test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include <linux/vfio.h>

#include "fail_nth.h"
#include "vmm.h"

#define REGION_BYTES (16 * VMM_PAGE)
#define REGION_ADDR (32u << 20)

static struct {
	struct vmm vmm;
	int host, vgpu, channel;
	int fd;				/* made by a call */
	void *map;
	struct vgpu_host_event event;
	struct vgpu_host_open_vgpu open_vgpu;
	struct vgpu_host_open_channel open_channel;
} s;

static uint64_t pinned(void)
{
	struct vgpu_host_vgpu_info info = { .size = sizeof(info) };

	assert_int_equal(ioctl(s.vgpu, VGPU_HOST_IOC_VGPU_INFO, &info), 0);
	return info.out_pinned_bytes;
}

/* An admin command's result as a system call's. */
static int of_admin(uint32_t result)
{
	errno = result;
	return result ? -1 : 0;
}

/* --- the mediator's ---------------------------------------------------------- */

static int do_open_host(void)
{
	s.fd = open("/dev/vgpu-host", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return s.fd < 0 ? -1 : 0;
}

static void after_fd(int result)
{
	if (!result)
		close(s.fd);
}

/* Each time anew, so that the vGPU is still to be told. */
static void before_host(void)
{
	s.host = open("/dev/vgpu-host", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	assert_true(s.host >= 0);
}

static int do_read_host(void)
{
	return read(s.host, &s.event, sizeof(s.event)) == sizeof(s.event) ? 0 : -1;
}

/* What could not be read is still there. */
static void after_read_host(int result)
{
	if (result)
		assert_int_equal(do_read_host(), 0);
	close(s.host);
}

static void before_open_vgpu(void)
{
	before_host();
	assert_int_equal(do_read_host(), 0);
	s.open_vgpu = (struct vgpu_host_open_vgpu){ .size = sizeof(s.open_vgpu), .id = s.event.id };
}

static int do_open_vgpu(void)
{
	return ioctl(s.host, VGPU_HOST_IOC_OPEN_VGPU, &s.open_vgpu);
}

static void after_open_vgpu(int result)
{
	if (result)
		assert_int_equal(do_open_vgpu(), 0);
	close(s.open_vgpu.out_fd);
	close(s.host);
}

static int do_vgpu_info(void)
{
	struct vgpu_host_vgpu_info info = { .size = sizeof(info) };

	return ioctl(s.vgpu, VGPU_HOST_IOC_VGPU_INFO, &info);
}

static void before_read(void)
{
	assert_int_equal(vmm_create(&s.vmm, 2), 0);
}

static int do_read(void)
{
	return read(s.vgpu, &s.event, sizeof(s.event)) == sizeof(s.event) ? 0 : -1;
}

static void after_read(int result)
{
	if (result)
		assert_int_equal(do_read(), 0);
	assert_int_equal(s.event.kind, VGPU_HOST_EV_CHANNEL);
	assert_int_equal(vmm_destroy(&s.vmm, 2), 0);
}

static void before_open_channel(void)
{
	before_read();
	assert_int_equal(do_read(), 0);
	s.open_channel = (struct vgpu_host_open_channel){
		.size = sizeof(s.open_channel), .id = s.event.id, .cookie = s.event.cookie,
	};
}

static int do_open_channel(void)
{
	return ioctl(s.vgpu, VGPU_HOST_IOC_OPEN_CHANNEL, &s.open_channel);
}

static void after_open_channel(int result)
{
	if (result)
		assert_int_equal(do_open_channel(), 0);
	close(s.open_channel.out_fd);
	while (!vmm_read(&s.vmm, VGPU_REG_EVENT))	/* LOST */
		usleep(1000);
	assert_int_equal(vmm_destroy(&s.vmm, 2), 0);
}

/* --- an executor's ----------------------------------------------------------- */

static int do_channel_info(void)
{
	struct vgpu_host_channel_info info = { .size = sizeof(info) };

	return ioctl(s.channel, VGPU_HOST_IOC_CHANNEL_INFO, &info);
}

static int do_doorbell(void)
{
	struct vgpu_host_doorbell bell = { .size = sizeof(bell), .fd = s.fd };

	return ioctl(s.channel, VGPU_HOST_IOC_DOORBELL, &bell);
}

static void before_doorbell(void)
{
	s.fd = eventfd(0, EFD_CLOEXEC);
}

static void after_doorbell(int result)
{
	(void)result;
	close(s.fd);
}

static int do_mmap(void)
{
	s.map = mmap(NULL, VMM_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, s.channel, 0);
	return s.map == MAP_FAILED ? -1 : 0;
}

static void after_mmap(int result)
{
	if (!result)
		munmap(s.map, VMM_PAGE);
}

/* --- a VMM's ----------------------------------------------------------------- */

static int do_create(void)
{
	return of_admin(vmm_create(&s.vmm, 3));
}

static void after_create(int result)
{
	struct vgpu_host_event event;

	if (result)
		assert_int_equal(vmm_create(&s.vmm, 3), 0);
	assert_int_equal(vmm_destroy(&s.vmm, 3), 0);
	while (read(s.vgpu, &event, sizeof(event)) == sizeof(event))
		;
	assert_int_equal(pinned(), vmm_channel_bytes());	/* of s.channel */
}

static int do_map(void)
{
	return of_admin(vmm_map(&s.vmm, 1, 1, REGION_ADDR, REGION_BYTES));
}

static void after_map(int result)
{
	if (result)
		assert_int_equal(do_map(), 0);
	assert_int_equal(vmm_unmap(&s.vmm, 1, 1), 0);
	assert_int_equal(pinned(), vmm_channel_bytes());
}

static void before_unmap(void)
{
	assert_int_equal(do_map(), 0);
}

static int do_unmap(void)
{
	return of_admin(vmm_unmap(&s.vmm, 1, 1));
}

static void after_unmap(int result)
{
	if (result)
		assert_int_equal(do_unmap(), 0);
	assert_int_equal(pinned(), vmm_channel_bytes());
}

static int do_set_irqs(void)
{
	struct {
		struct vfio_irq_set set;
		int32_t fd[4];
	} irqs = {
		.set = {
			.argsz = sizeof(irqs), .index = VFIO_PCI_MSIX_IRQ_INDEX, .count = 4,
			.flags = VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_EVENTFD,
		},
		.fd = { s.fd, s.fd, -1, s.fd },
	};

	return ioctl(s.vmm.device, VFIO_DEVICE_SET_IRQS, &irqs);
}

static int do_config(void)
{
	uint8_t config[256];

	return pread(s.vmm.device, config, sizeof(config), s.vmm.config) == sizeof(config) ? 0 : -1;
}

static const struct fail_nth_call before_vgpu[] = {
	{ "open /dev/vgpu-host", NULL, do_open_host, after_fd },
	{ "read /dev/vgpu-host", before_host, do_read_host, after_read_host },
	{ "OPEN_VGPU", before_open_vgpu, do_open_vgpu, after_open_vgpu },
};

static const struct fail_nth_call with_vgpu[] = {
	{ "VGPU_INFO", NULL, do_vgpu_info, NULL },
	{ "read", before_read, do_read, after_read },
	{ "OPEN_CHANNEL", before_open_channel, do_open_channel, after_open_channel },
};

static const struct fail_nth_call with_channel[] = {
	{ "CHANNEL_INFO", NULL, do_channel_info, NULL },
	{ "DOORBELL", before_doorbell, do_doorbell, after_doorbell },
	{ "mmap", NULL, do_mmap, after_mmap },
	{ "CREATE", NULL, do_create, after_create },
	{ "MAP", NULL, do_map, after_map },
	{ "UNMAP", before_unmap, do_unmap, after_unmap },
	{ "SET_IRQS", before_doorbell, do_set_irqs, after_doorbell },
	{ "configuration space", NULL, do_config, NULL },
};

#define SWEEP(calls) sweep_all(calls, sizeof(calls) / sizeof((calls)[0]))

static unsigned int sweep_all(const struct fail_nth_call *calls, size_t count)
{
	unsigned int points = 0;

	for (size_t i = 0; i < count; i++)
		points += fail_nth_sweep(&calls[i]);
	return points;
}

static void sweep(void **state)
{
	unsigned int points;

	(void)state;
	if (!fail_nth_begin())
		skip();
	assert_true(vmm_open(&s.vmm));
	points = SWEEP(before_vgpu);
	s.vgpu = vmm_mediate(&s.host);
	assert_true(s.vgpu >= 0);
	points += SWEEP(with_vgpu);
	assert_int_equal(vmm_create(&s.vmm, 1), 0);
	s.channel = vmm_attach(s.vgpu);
	assert_true(s.channel >= 0);
	points += SWEEP(with_channel);
	fail_nth_end();
	print_message("swept %u points of failure in all\n", points);
	assert_true(points > 60);
	close(s.channel);
	vmm_close(&s.vmm);
	for (int i = 0; i < 100 && pinned(); i++)
		usleep(10000);
	assert_int_equal(pinned(), 0);
	close(s.vgpu);
	close(s.host);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(sweep) };

	return cmocka_run_group_tests_name("host_sweep", tests, NULL, NULL);
}
