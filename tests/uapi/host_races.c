// SPDX-License-Identifier: Apache-2.0
/*
 * Races in vgpu_host.ko, each for some seconds (the argument, 2 by default): two
 * parties do over and over what must not meet in the wrong place. What fails is
 * told by the kernel's log (KASAN, lockdep, "Bad page"), by a hang, or by pins
 * that stay. Runs on the host as root, with one vGPU, no mediator and no VM.
 */
#include "uapi_test.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>

#include "vmm.h"

#define REGION_BYTES (64 * VMM_PAGE)
#define REGION_ADDR (32u << 20)

static int seconds = 2;

struct race {
	struct vmm vmm;
	int host, vgpu;
	int channel;		/* the executor's descriptor, of some races */
	bool stop;
	unsigned long rounds, met;
};

static int begin(void **state)
{
	struct race *r = calloc(1, sizeof(*r));

	*state = r;
	if (!r || !vmm_open(&r->vmm))
		return -1;
	r->channel = -1;
	r->vgpu = vmm_mediate(&r->host);
	return r->vgpu < 0 ? -1 : 0;
}

static int end(void **state)
{
	struct vgpu_host_vgpu_info info = { .size = sizeof(info), .out_pinned_bytes = 1 };
	struct race *r = *state;

	if (r->channel >= 0)
		close(r->channel);
	vmm_close(&r->vmm);
	for (int i = 0; i < 500 && info.out_pinned_bytes; i++) {
		if (ioctl(r->vgpu, VGPU_HOST_IOC_VGPU_INFO, &info))
			return -1;
		usleep(info.out_pinned_bytes ? 10000 : 0);
	}
	close(r->vgpu);
	close(r->host);
	free(r);
	return info.out_pinned_bytes ? -1 : 0;
}

static bool stopped(struct race *r)
{
	return __atomic_load_n(&r->stop, __ATOMIC_RELAXED);
}

/* `side` in a thread against `main_side` here, until the time is up. */
static void run(struct race *r, void *(*side)(void *), void (*main_side)(struct race *))
{
	time_t until = time(NULL) + seconds;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, side, r), 0);
	while (time(NULL) < until) {
		main_side(r);
		r->rounds++;
	}
	__atomic_store_n(&r->stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	print_message("%lu rounds, %lu of the other side\n", r->rounds, r->met);
	assert_true(r->rounds > 3);
	assert_true(r->met > 3);
}

/* --- the doorbell of a channel against the release of its descriptor --------- */

static void *ring(void *arg)
{
	struct race *r = arg;

	for (; !stopped(r); r->met++)
		vmm_write(&r->vmm, VGPU_REG_DOORBELL + 4 * 6, 1);
	return NULL;
}

static void serve_and_leave(struct race *r)
{
	struct vgpu_host_doorbell bell = { .size = sizeof(bell) };
	int fd;

	assert_int_equal(vmm_create(&r->vmm, 6), 0);
	fd = vmm_attach(r->vgpu);
	assert_true(fd >= 0);
	bell.fd = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(ioctl(fd, VGPU_HOST_IOC_DOORBELL, &bell), 0);
	close(bell.fd);		/* the channel has the last reference */
	assert_int_equal(vmm_destroy(&r->vmm, 6), EINPROGRESS);
	close(fd);
	while (!vmm_read(&r->vmm, VGPU_REG_EVENT))
		;
}

static void doorbell_against_release(void **state)
{
	run(*state, ring, serve_and_leave);
}

/* --- touching a mapping, whatever becomes of it ------------------------------ */

/*
 * The kernel touches it for us, so what has been taken away is EFAULT and not
 * SIGBUS.
 */
static bool touch(int pipe_in, int pipe_out, void *at)
{
	char byte = 1;

	return write(pipe_in, &byte, 1) == 1 && read(pipe_out, at, 1) == 1;
}

static void *map_and_touch(struct race *r, uint64_t offset, size_t bytes)
{
	int ends[2];

	if (pipe(ends))
		return NULL;
	for (; !stopped(r); r->met++) {
		uint8_t *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
				   __atomic_load_n(&r->channel, __ATOMIC_ACQUIRE), offset);

		if (at == MAP_FAILED)
			continue;
		for (size_t i = 0; i < bytes; i += VMM_PAGE)
			if (!touch(ends[1], ends[0], at + i)) {
				char byte;

				/* what touch() left in the pipe */
				(void)!read(ends[0], &byte, 1);
				break;
			}
		munmap(at, bytes);
	}
	close(ends[0]);
	close(ends[1]);
	return NULL;
}

static void *map_region(void *arg)
{
	return map_and_touch(arg, 2ull << 32, REGION_BYTES);	/* region 1 */
}

static void *map_channel(void *arg)
{
	return map_and_touch(arg, 0, vmm_channel_bytes());
}

/* --- UNMAP of a region against mmap() of it ---------------------------------- */

static void map_and_unmap(struct race *r)
{
	uint32_t result = vmm_map(&r->vmm, 6, 1, REGION_ADDR, REGION_BYTES);

	assert_true(!result || result == EEXIST);
	result = vmm_unmap(&r->vmm, 6, 1);
	assert_true(!result || result == EBUSY);
}

static void unmap_against_mmap(void **state)
{
	struct race *r = *state;

	assert_int_equal(vmm_create(&r->vmm, 6), 0);
	r->channel = vmm_attach(r->vgpu);
	assert_true(r->channel >= 0);
	run(r, map_region, map_and_unmap);
}

/* --- page faults against the VM's giving up memory --------------------------- */

static void new_channel(struct race *r)
{
	int old = r->channel, fd;

	vmm_destroy(&r->vmm, 6);
	if (old >= 0)
		close(old);
	/* The thread may map the old one still, which is then in the way. */
	while (vmm_create(&r->vmm, 6)) {
		vmm_destroy(&r->vmm, 6);
		vmm_read(&r->vmm, VGPU_REG_EVENT);
	}
	fd = vmm_attach(r->vgpu);
	assert_true(fd >= 0);
	__atomic_store_n(&r->channel, fd, __ATOMIC_RELEASE);
}

static void give_up_memory(struct race *r)
{
	usleep(rand() % 2000);
	assert_int_equal(vmm_dma_unmap(&r->vmm), 0);
	assert_int_equal(vmm_dma_map(&r->vmm), 0);
	new_channel(r);
}

static void fault_against_dma_unmap(void **state)
{
	struct race *r = *state;

	new_channel(r);
	run(r, map_channel, give_up_memory);
}

/* --- reset against the mediator's opening of channels ------------------------ */

static void *open_channels(void *arg)
{
	struct race *r = arg;

	while (!stopped(r)) {
		int fd = vmm_attach(r->vgpu);

		if (fd < 0)
			continue;
		r->met++;
		munmap(mmap(NULL, VMM_PAGE, PROT_READ, MAP_SHARED, fd, 0), VMM_PAGE);
		close(fd);
	}
	return NULL;
}

static void create_and_reset(struct race *r)
{
	for (uint32_t i = 0; i < 4; i++)
		vmm_create(&r->vmm, i);
	usleep(rand() % 3000);
	vmm_write(&r->vmm, VGPU_REG_CTRL, VGPU_CTRL_RESET);
	for (int i = 0; vmm_read(&r->vmm, VGPU_REG_CTRL); i++) {
		assert_true(i < 10000);
		usleep(1000);
	}
}

static void reset_against_attach(void **state)
{
	run(*state, open_channels, create_and_reset);
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(doorbell_against_release),
		TEST(unmap_against_mmap),
		TEST(fault_against_dma_unmap),
		TEST(reset_against_attach),
	};

	if (argc > 1)
		seconds = atoi(argv[1]);
	return cmocka_run_group_tests_name("host_races", tests, NULL, NULL);
}
