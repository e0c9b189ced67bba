// SPDX-License-Identifier: Apache-2.0
/*
 * Channels of vgpu_host.ko from both ends: what linux/vgpu_host.h and
 * linux/vgpu_dev.h promise to the mediator, to an executor and to the guest.
 * Runs on the host as root, with one vGPU, no mediator and no VM.
 */
#include "uapi_test.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <linux/pci_regs.h>
#include <linux/vfio.h>

#include "vmm.h"

#define REGION_BYTES (16 * VMM_PAGE)
#define REGION_ADDR (32u << 20)

struct fixture {
	struct vmm vmm;
	int host, vgpu;
};

static int begin(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	if (!f || !vmm_open(&f->vmm))
		return -1;
	/* The module lets go of the last test's channels in work of its own. */
	for (int i = 0; i < 1000 && vmm_read(&f->vmm, VGPU_REG_CTRL); i++)
		usleep(10000);
	f->vgpu = vmm_mediate(&f->host);
	return f->vgpu < 0 ? -1 : 0;
}

static uint64_t pinned(const struct fixture *f)
{
	struct vgpu_host_vgpu_info info = { .size = sizeof(info) };

	assert_int_equal(ioctl(f->vgpu, VGPU_HOST_IOC_VGPU_INFO, &info), 0);
	return info.out_pinned_bytes;
}

static int end(void **state)
{
	struct fixture *f = *state;
	uint64_t left = 1;

	vmm_close(&f->vmm);
	for (int i = 0; i < 100 && left; i++) {
		left = pinned(f);
		usleep(left ? 10000 : 0);
	}
	close(f->vgpu);
	close(f->host);
	free(f);
	return left ? -1 : 0;
}

static uint8_t *map_at(int fd, uint64_t offset, size_t bytes)
{
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
}

static uint8_t *map_channel(int fd)
{
	uint8_t *base = map_at(fd, 0, vmm_channel_bytes());

	assert_ptr_not_equal(base, MAP_FAILED);
	return base;
}

static bool hung_up(int fd)
{
	struct pollfd p = { .fd = fd };

	return poll(&p, 1, 0) == 1 && p.revents & POLLHUP;
}

/* The next event within `ms`, 0 if none. */
static uint32_t next_event(struct fixture *f, int ms)
{
	uint32_t event;

	for (;; ms -= 10) {
		event = vmm_read(&f->vmm, VGPU_REG_EVENT);
		if (event || ms <= 0)
			return event;
		usleep(10000);
	}
}

static void expect_event(struct fixture *f, uint32_t kind, uint32_t channel)
{
	uint32_t event = next_event(f, 10000);

	assert_true(event & VGPU_EVENT_VALID);
	assert_int_equal(VGPU_EVENT_KIND(event), kind);
	assert_int_equal(VGPU_EVENT_CHANNEL(event), channel);
}

/* One memory, seen from both ends. */
static void shared(void **state)
{
	struct fixture *f = *state;
	uint64_t bytes = vmm_channel_bytes();
	uint8_t *base, *ram = f->vmm.ram + vmm_channel_addr(3);
	int fd;

	assert_int_equal(vmm_create(&f->vmm, 3), 0);
	fd = vmm_attach(f->vgpu);
	assert_true(fd >= 0);
	base = map_channel(fd);
	ram[7] = 77;
	base[bytes - 1] = 99;
	assert_int_equal(base[7], 77);
	assert_int_equal(ram[bytes - 1], 99);
	assert_ptr_equal(map_at(fd, 0, bytes + VMM_PAGE), MAP_FAILED);
	assert_ptr_equal(map_at(fd, VMM_PAGE, bytes), MAP_FAILED);
	assert_ptr_equal(map_at(fd, 1ull << 32, VMM_PAGE), MAP_FAILED);
	munmap(base, bytes);
	close(fd);
	expect_event(f, VGPU_EVENT_LOST, 3);
}

/* The guest hears with LOST why nobody serves it, and each channel has a reason of its own. */
static void refused(void **state)
{
	static const struct uapi_ioctl ioctls[] = {
		UAPI_IOCTL("REFUSE", VGPU_HOST_IOC_REFUSE, struct vgpu_host_refuse),
	};
	struct vgpu_host_refuse refuse = { .size = sizeof(refuse), .why = VGPU_WHY_QUARANTINED };
	struct fixture *f = *state;
	uint32_t event;
	int fd, copy;

	assert_int_equal(vmm_create(&f->vmm, 3), 0);
	fd = vmm_attach(f->vgpu);
	assert_true(fd >= 0);
	uapi_check_sizes(fd, ioctls, 1);
	uapi_check_flags(fd, ioctls, 1);
	refuse.reserved = 1;
	assert_fails(ioctl(fd, VGPU_HOST_IOC_REFUSE, &refuse), EINVAL);
	refuse.reserved = 0;
	assert_int_equal(ioctl(fd, VGPU_HOST_IOC_REFUSE, &refuse), 0);
	copy = dup(fd);
	close(fd);
	assert_int_equal(next_event(f, 200), 0);
	assert_fails(ioctl(f->vgpu, VGPU_HOST_IOC_REFUSE, &refuse), ENOTTY);
	close(copy);
	event = next_event(f, 10000);
	assert_int_equal(VGPU_EVENT_KIND(event), VGPU_EVENT_LOST);
	assert_int_equal(VGPU_EVENT_CHANNEL(event), 3);
	assert_int_equal(VGPU_EVENT_WHY(event), VGPU_WHY_QUARANTINED);

	assert_int_equal(vmm_destroy(&f->vmm, 3), 0);
	assert_int_equal(vmm_create(&f->vmm, 3), 0);
	fd = vmm_attach(f->vgpu);
	assert_int_equal(vmm_destroy(&f->vmm, 3), EINPROGRESS);
	assert_fails(ioctl(fd, VGPU_HOST_IOC_REFUSE, &refuse), EPIPE);
	close(fd);
	event = next_event(f, 10000);
	assert_int_equal(VGPU_EVENT_KIND(event), VGPU_EVENT_RELEASED);
	assert_int_equal(VGPU_EVENT_WHY(event), VGPU_WHY_UNSAID);
}

/* What a guest writes never becomes code of an executor. */
static void never_executable(void **state)
{
	struct fixture *f = *state;
	uint8_t *base;
	int fd;

	assert_int_equal(vmm_create(&f->vmm, 3), 0);
	fd = vmm_attach(f->vgpu);
	assert_true(fd >= 0);
	assert_ptr_equal(mmap(NULL, VMM_PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0), MAP_FAILED);
	assert_int_equal(errno, EPERM);
	assert_ptr_equal(mmap(NULL, VMM_PAGE, PROT_READ, MAP_PRIVATE, fd, 0), MAP_FAILED);
	base = map_channel(fd);
	assert_fails(mprotect(base, VMM_PAGE, PROT_READ | PROT_EXEC), EACCES);
	munmap(base, vmm_channel_bytes());
	close(fd);
}

/*
 * The contract: the guest has its pages back when the last copy of the descriptor
 * and the last mapping have gone, in whatever order, and not before.
 */
static void released_at_the_last_copy(void **state)
{
	struct fixture *f = *state;
	uint8_t *base;
	int fd, copy;

	assert_int_equal(vmm_create(&f->vmm, 5), 0);
	fd = vmm_attach(f->vgpu);
	assert_true(fd >= 0);
	copy = dup(fd);
	base = map_channel(fd);
	assert_false(hung_up(fd));
	assert_int_equal(vmm_destroy(&f->vmm, 5), EINPROGRESS);
	assert_true(hung_up(fd));

	close(fd);
	assert_int_equal(next_event(f, 200), 0);
	munmap(base, vmm_channel_bytes());
	assert_int_equal(next_event(f, 200), 0);
	assert_true(pinned(f) > 0);
	assert_int_equal(vmm_create(&f->vmm, 5), EEXIST);
	close(copy);
	expect_event(f, VGPU_EVENT_RELEASED, 5);
	assert_int_equal(pinned(f), 0);
	assert_int_equal(vmm_create(&f->vmm, 5), 0);

	/* LOST likewise, with a mapping as the last. */
	fd = vmm_attach(f->vgpu);
	base = map_channel(fd);
	close(fd);
	assert_int_equal(next_event(f, 200), 0);
	munmap(base, vmm_channel_bytes());
	expect_event(f, VGPU_EVENT_LOST, 5);
}

static void regions(void **state)
{
	struct fixture *f = *state;
	struct vgpu_host_region info = { .size = sizeof(info), .region = 9 };
	uint8_t *base;
	int fd;

	assert_int_equal(vmm_create(&f->vmm, 1), 0);
	assert_int_equal(vmm_map(&f->vmm, 1, 9, REGION_ADDR, REGION_BYTES), 0);
	assert_int_equal(vmm_map(&f->vmm, 1, 9, REGION_ADDR, REGION_BYTES), EEXIST);
	fd = vmm_attach(f->vgpu);
	assert_int_equal(ioctl(fd, VGPU_HOST_IOC_REGION, &info), 0);
	assert_int_equal(info.out_bytes, REGION_BYTES);
	base = map_at(fd, info.out_offset, REGION_BYTES);
	assert_ptr_not_equal(base, MAP_FAILED);
	base[5] = 55;
	assert_int_equal(f->vmm.ram[REGION_ADDR + 5], 55);
	assert_int_equal(vmm_unmap(&f->vmm, 1, 9), EBUSY);
	munmap(base, VMM_PAGE);		/* a part of it is still mapped */
	assert_int_equal(vmm_unmap(&f->vmm, 1, 9), EBUSY);
	munmap(base + VMM_PAGE, REGION_BYTES - VMM_PAGE);
	assert_int_equal(vmm_unmap(&f->vmm, 1, 9), 0);
	assert_fails(ioctl(fd, VGPU_HOST_IOC_REGION, &info), ENOENT);
	assert_ptr_equal(map_at(fd, info.out_offset, REGION_BYTES), MAP_FAILED);
	assert_int_equal(errno, EPIPE);
	close(fd);
}

/* An answer that cannot be written is one that was not given. */
static void answers_that_do_not_arrive(void **state)
{
	struct fixture *f = *state;
	struct vgpu_host_open_channel *ro;
	struct vgpu_host_event event;
	int fd;

	assert_int_equal(vmm_create(&f->vmm, 2), 0);
	ro = mmap(NULL, VMM_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(ro, MAP_FAILED);
	mprotect(ro, VMM_PAGE, PROT_READ);
	assert_fails(read(f->vgpu, ro, sizeof(event)), EFAULT);
	assert_int_equal(read(f->vgpu, &event, sizeof(event)), sizeof(event));
	assert_int_equal(event.kind, VGPU_HOST_EV_CHANNEL);
	assert_fails(read(f->vgpu, &event, sizeof(event)), EAGAIN);

	mprotect(ro, VMM_PAGE, PROT_READ | PROT_WRITE);
	*ro = (struct vgpu_host_open_channel){
		.size = sizeof(*ro), .id = event.id, .cookie = event.cookie,
	};
	mprotect(ro, VMM_PAGE, PROT_READ);
	assert_fails(ioctl(f->vgpu, VGPU_HOST_IOC_OPEN_CHANNEL, ro), EFAULT);
	/* The guest was told nothing, and the channel is still to be had. */
	assert_int_equal(next_event(f, 100), 0);
	mprotect(ro, VMM_PAGE, PROT_READ | PROT_WRITE);
	assert_int_equal(ioctl(f->vgpu, VGPU_HOST_IOC_OPEN_CHANNEL, ro), 0);
	fd = ro->out_fd;
	assert_fails(ioctl(f->vgpu, VGPU_HOST_IOC_OPEN_CHANNEL, ro), EBUSY);
	close(fd);
	munmap(ro, VMM_PAGE);
}

static sigjmp_buf bus;

static void on_sigbus(int sig)
{
	siglongjmp(bus, sig);
}

/* Touch a byte; false if that is SIGBUS. */
static bool touch(volatile uint8_t *at)
{
	struct sigaction action = { .sa_handler = on_sigbus }, old;
	bool there = true;

	sigaction(SIGBUS, &action, &old);
	if (sigsetjmp(bus, 1))
		there = false;
	else
		*at = 1;
	sigaction(SIGBUS, &old, NULL);
	return there;
}

/* A reset takes mappings away at once, and reads as done when they have gone. */
static void reset(void **state)
{
	struct fixture *f = *state;
	uint8_t *base;
	int fd;

	assert_true(vmm_read(&f->vmm, VGPU_REG_FEATURES) & VGPU_FEATURE_RESET_BUSY);
	assert_int_equal(vmm_read(&f->vmm, VGPU_REG_CTRL), 0);
	assert_int_equal(vmm_create(&f->vmm, 4), 0);
	fd = vmm_attach(f->vgpu);
	base = map_channel(fd);
	assert_true(touch(base));
	vmm_write(&f->vmm, VGPU_REG_CTRL, VGPU_CTRL_RESET);
	assert_int_equal(vmm_read(&f->vmm, VGPU_REG_CTRL), VGPU_CTRL_RESET);
	assert_true(hung_up(fd));
	assert_false(touch(base));
	assert_int_equal(pinned(f), 0);

	/* The guest goes on meanwhile, and that does not complete the reset. */
	assert_int_equal(vmm_create(&f->vmm, 4), 0);
	assert_int_equal(vmm_destroy(&f->vmm, 4), 0);
	assert_int_equal(vmm_read(&f->vmm, VGPU_REG_CTRL), VGPU_CTRL_RESET);
	close(fd);
	munmap(base, vmm_channel_bytes());
	for (int i = 0; i < 500 && vmm_read(&f->vmm, VGPU_REG_CTRL); i++)
		usleep(10000);
	assert_int_equal(vmm_read(&f->vmm, VGPU_REG_CTRL), 0);
}

/*
 * The memfd goes before the device, as it may when a VMM is killed. The executor's
 * mapping stays what it was, and the kernel's log has no "Bad page".
 */
static void memory_goes_first(void **state)
{
	struct fixture *f = *state;
	struct vgpu_host_region info = { .size = sizeof(info), .region = 1 };
	uint8_t *base, *region;
	int fd;

	assert_int_equal(vmm_create(&f->vmm, 1), 0);
	assert_int_equal(vmm_map(&f->vmm, 1, 1, REGION_ADDR, REGION_BYTES), 0);
	fd = vmm_attach(f->vgpu);
	base = map_channel(fd);
	assert_int_equal(ioctl(fd, VGPU_HOST_IOC_REGION, &info), 0);
	assert_true(info.out_flags & VGPU_REGION_GUP);
	region = map_at(fd, info.out_offset, REGION_BYTES);
	assert_ptr_not_equal(region, MAP_FAILED);
	memset(base, 1, vmm_channel_bytes());
	memset(region, 2, REGION_BYTES);
	vmm_drop_memory(&f->vmm);
	assert_int_equal(base[vmm_channel_bytes() - 1], 1);
	assert_int_equal(region[REGION_BYTES - 1], 2);
	munmap(region, REGION_BYTES);
	munmap(base, vmm_channel_bytes());
	close(fd);
	expect_event(f, VGPU_EVENT_LOST, 1);
	assert_int_equal(pinned(f), 0);
}

static uint16_t command(struct fixture *f)
{
	uint16_t val = 0;

	assert_int_equal(pread(f->vmm.device, &val, 2, f->vmm.config + PCI_COMMAND), 2);
	return val;
}

static void what_a_reset_forgets(void **state)
{
	struct fixture *f = *state;
	uint16_t val = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	assert_int_equal(pwrite(f->vmm.device, &val, 2, f->vmm.config + PCI_COMMAND), 2);
	vmm_write(&f->vmm, VGPU_REG_ADMIN_LO, 0x1000);
	vmm_write(&f->vmm, VGPU_REG_CTRL, VGPU_CTRL_RESET);
	assert_int_equal(vmm_read(&f->vmm, VGPU_REG_ADMIN_LO), 0);
	assert_int_equal(command(f), val);	/* the register's reset keeps it */
	assert_int_equal(ioctl(f->vmm.device, VFIO_DEVICE_RESET), 0);
	assert_int_equal(command(f), 0);

	/* The next VM does not find the address of the last one's command. */
	vmm_write(&f->vmm, VGPU_REG_ADMIN_LO, 0x1000);
	vmm_write(&f->vmm, VGPU_REG_ADMIN_HI, 1);
	vmm_close(&f->vmm);
	assert_true(vmm_open(&f->vmm));
	assert_int_equal(vmm_read(&f->vmm, VGPU_REG_ADMIN_LO), 0);
	assert_int_equal(vmm_read(&f->vmm, VGPU_REG_ADMIN_HI), 0);
}

/*
 * A command with as many pins as there may be: all runs have one page.  Meanwhile
 * the mediator asks and polls, and waits for none of it.
 */
struct slow {
	struct fixture *f;
	volatile bool done;
	uint32_t result;
};

static void *slow_map(void *arg)
{
	struct slow *s = arg;
	struct vgpu_adm_map cmd = {
		.head = { .size = sizeof(cmd), .op = VGPU_ADM_MAP, .channel = 1 },
		.region = 1, .va = 0x10000000, .bytes = 255ull * 128 * VMM_PAGE, .list = VMM_LIST,
	};
	struct vgpu_adm_list *list = (void *)(s->f->vmm.ram + VMM_LIST);

	for (int i = 0; i < 128; i++) {
		list[i].next = i < 127 ? VMM_LIST + (i + 1) * VMM_PAGE : 0;
		list[i].count = VGPU_ADM_RUNS;
		for (unsigned int r = 0; r < VGPU_ADM_RUNS; r++)
			list[i].run[r] = (struct vgpu_adm_run){
				.addr = REGION_ADDR + r * 2 * VMM_PAGE, .bytes = VMM_PAGE,
			};
	}
	s->result = vmm_admin(&s->f->vmm, &cmd, sizeof(cmd));
	s->done = true;
	return NULL;
}

static void slow_pin_stalls_nobody(void **state)
{
	struct slow s = { .f = *state };
	struct pollfd p = { .fd = s.f->vgpu, .events = POLLIN };
	struct vgpu_host_event event;
	pthread_t thread;
	int fd, asked = 0;

	assert_int_equal(vmm_create(&s.f->vmm, 1), 0);
	fd = vmm_attach(s.f->vgpu);
	assert_true(fd >= 0);
	assert_int_equal(pthread_create(&thread, NULL, slow_map, &s), 0);
	while (!s.done) {
		pinned(s.f);
		poll(&p, 1, 0);
		assert_fails(read(s.f->vgpu, &event, sizeof(event)), EAGAIN);
		asked++;
	}
	pthread_join(thread, NULL);
	assert_int_equal(s.result, 0);
	print_message("asked %d times during one command\n", asked);
	assert_true(asked >= 50);
	close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(shared), TEST(refused),
		TEST(never_executable),
		TEST(released_at_the_last_copy),
		TEST(regions),
		TEST(answers_that_do_not_arrive),
		TEST(reset),
		TEST(memory_goes_first),
		TEST(what_a_reset_forgets),
		TEST(slow_pin_stalls_nobody),
	};

	return cmocka_run_group_tests_name("host_channel", tests, NULL, NULL);
}
