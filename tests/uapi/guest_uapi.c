// SPDX-License-Identifier: Apache-2.0
/*
 * /dev/vgpuN as linux/vgpu.h promises it, and as a hostile program finds it.
 * Runs in a guest as root, with a mediator on the host.
 */
#include "uapi_test.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include <linux/vgpu.h>
#include <linux/vgpu_ring.h>

#include "common/fdpass.h"

#define DEV "/dev/vgpu0"

static const struct uapi_ioctl ioctls[] = {
	UAPI_IOCTL("INFO", VGPU_IOC_INFO, struct vgpu_info),
	UAPI_IOCTL("SETUP", VGPU_IOC_SETUP, struct vgpu_setup),
	UAPI_IOCTL("DOORBELL", VGPU_IOC_DOORBELL, struct vgpu_doorbell),
	UAPI_IOCTL("WAIT", VGPU_IOC_WAIT, struct vgpu_wait),
	UAPI_IOCTL("REGISTER", VGPU_IOC_REGISTER, struct vgpu_register),
	UAPI_IOCTL("UNREGISTER", VGPU_IOC_UNREGISTER, struct vgpu_unregister),
	UAPI_IOCTL("STATS", VGPU_IOC_STATS, struct vgpu_stats),
};

static int open_dev(void)
{
	int fd = open(DEV, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static struct vgpu_setup small_setup(void)
{
	return (struct vgpu_setup){
		.size = sizeof(struct vgpu_setup),
		.sq_bytes = VGPU_SQ_MIN,
		.slot_count = 4,
		.arena_bytes = 1 << 20,
	};
}

struct channel {
	int fd;
	struct vgpu_layout layout;
	struct vgpu_ring *ring;
	uint8_t *base;
};

static struct channel channel_open(void)
{
	struct vgpu_setup setup = small_setup();
	struct channel ch = { .fd = open_dev() };

	assert_int_equal(ioctl(ch.fd, VGPU_IOC_SETUP, &setup), 0);
	ch.layout = setup.out_layout;
	ch.base = mmap(NULL, ch.layout.total_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ch.fd, 0);
	assert_ptr_not_equal(ch.base, MAP_FAILED);
	ch.ring = (struct vgpu_ring *)ch.base;
	return ch;
}

static void channel_close(struct channel *ch)
{
	munmap(ch->base, ch->layout.total_bytes);
	close(ch->fd);
}

/* Until the executor is there; false if it does not come. */
static bool channel_ready(struct channel *ch)
{
	struct vgpu_wait wait = { .size = sizeof(wait), .timeout_ns = 1000000000 };
	int i;

	for (i = 0; i < 60; i++) {
		if (__atomic_load_n(&ch->ring->host_state, __ATOMIC_ACQUIRE) == VGPU_HOST_READY)
			return true;
		if (ioctl(ch->fd, VGPU_IOC_WAIT, &wait) == 0)
			wait.seen = wait.out_seen;
		else if (errno != ETIMEDOUT)
			return false;
	}
	return false;
}

/* Wait until the channel is dead: WAIT must say EPIPE in the end. */
static void expect_lost(struct channel *ch)
{
	struct vgpu_wait wait = { .size = sizeof(wait), .timeout_ns = 1000000000 };
	int i;

	for (i = 0; i < 60; i++) {
		if (ioctl(ch->fd, VGPU_IOC_WAIT, &wait) == 0)
			wait.seen = wait.out_seen;
		else if (errno != ETIMEDOUT)
			break;
	}
	assert_int_equal(errno, EPIPE);
}

static void sizes(void **state)
{
	int fd = open_dev();

	(void)state;
	uapi_check_sizes(fd, ioctls, sizeof(ioctls) / sizeof(ioctls[0]));
	assert_int_equal(ioctl(fd, _IO(VGPU_IOC_TYPE, 0x7f), NULL), -1);
	assert_int_equal(errno, ENOTTY);
	close(fd);
}

static void flags_are_refused(void **state)
{
	struct channel ch = channel_open();

	(void)state;
	uapi_check_flags(ch.fd, ioctls, sizeof(ioctls) / sizeof(ioctls[0]));
	channel_close(&ch);
}

static void info(void **state)
{
	struct vgpu_info i = { .size = sizeof(i) };
	int fd = open_dev();

	(void)state;
	assert_int_equal(ioctl(fd, VGPU_IOC_INFO, &i), 0);
	assert_int_equal(i.size, sizeof(i));
	assert_int_equal(i.out_abi, VGPU_DEV_ABI);
	assert_true(i.out_status & VGPU_STATUS_MEDIATOR);
	assert_true(i.out_mem_bytes >= 1 << 20);
	close(fd);
}

static void longer_struct_of_a_newer_program(void **state)
{
	struct {
		struct vgpu_info info;
		uint64_t newer;
	} i = { .info.size = sizeof(i) };
	int fd = open_dev();

	(void)state;
	assert_int_equal(ioctl(fd, VGPU_IOC_INFO, &i), 0);
	i.newer = 1;
	assert_fails(ioctl(fd, VGPU_IOC_INFO, &i), E2BIG);
	close(fd);
}

static void before_setup(void **state)
{
	struct vgpu_doorbell bell = { .size = sizeof(bell) };
	struct vgpu_wait wait = { .size = sizeof(wait), .timeout_ns = 1 };
	struct vgpu_register reg = { .size = sizeof(reg), .addr = 4096, .bytes = 4096 };
	struct vgpu_unregister unreg = { .size = sizeof(unreg) };
	struct vgpu_stats stats = { .size = sizeof(stats) };
	int fd = open_dev();

	(void)state;
	assert_fails(ioctl(fd, VGPU_IOC_DOORBELL, &bell), ENXIO);
	assert_fails(ioctl(fd, VGPU_IOC_WAIT, &wait), ENXIO);
	assert_fails(ioctl(fd, VGPU_IOC_REGISTER, &reg), ENXIO);
	assert_fails(ioctl(fd, VGPU_IOC_UNREGISTER, &unreg), ENXIO);
	assert_fails(ioctl(fd, VGPU_IOC_STATS, &stats), ENXIO);
	assert_ptr_equal(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0), MAP_FAILED);
	assert_int_equal(errno, ENXIO);
	close(fd);
}

static void setup_bounds(void **state)
{
	static const struct {
		uint32_t sq, slots, arena;
	} bad[] = {
		{ 0, 4, 4096 }, { VGPU_SQ_MIN / 2, 4, 4096 }, { VGPU_SQ_MIN + 4096, 4, 4096 },
		{ VGPU_SQ_MAX * 2, 4, 4096 }, { VGPU_SQ_MIN, 0, 4096 },
		{ VGPU_SQ_MIN, VGPU_SLOTS_MAX + 1, 4096 }, { VGPU_SQ_MIN, 4, 0 },
		{ VGPU_SQ_MIN, 4, 4095 }, { VGPU_SQ_MIN, 4, VGPU_ARENA_MAX + 4096u },
		{ ~0u, ~0u, ~0u },
	};
	struct vgpu_setup setup = small_setup();
	int fd = open_dev();
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct vgpu_setup s = { .size = sizeof(s), .sq_bytes = bad[i].sq,
					.slot_count = bad[i].slots, .arena_bytes = bad[i].arena };

		assert_fails(ioctl(fd, VGPU_IOC_SETUP, &s), EINVAL);
	}
	assert_int_equal(ioctl(fd, VGPU_IOC_SETUP, &setup), 0);
	assert_int_equal(setup.out_layout.sq_bytes, VGPU_SQ_MIN);
	assert_true(setup.out_channel < VGPU_CHANNELS);
	assert_fails(ioctl(fd, VGPU_IOC_SETUP, &setup), EBUSY);
	close(fd);
}

/* More than the guest has: an error, and the guest goes on. */
static void setup_too_large(void **state)
{
	struct vgpu_setup setup = small_setup();
	int fd = open_dev();

	(void)state;
	setup.arena_bytes = VGPU_ARENA_MAX;
	assert_fails(ioctl(fd, VGPU_IOC_SETUP, &setup), ENOSPC);
	setup = small_setup();
	assert_int_equal(ioctl(fd, VGPU_IOC_SETUP, &setup), 0);
	close(fd);
}

static void mmap_bounds(void **state)
{
	struct channel ch = channel_open();
	size_t total = ch.layout.total_bytes;

	(void)state;
	assert_int_equal(ch.ring->magic, VGPU_RING_MAGIC);
	assert_ptr_equal(mmap(NULL, total + 4096, PROT_READ, MAP_SHARED, ch.fd, 0), MAP_FAILED);
	assert_ptr_equal(mmap(NULL, 4096, PROT_READ, MAP_SHARED, ch.fd, 4096), MAP_FAILED);
	assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, ch.fd, 0),
			 MAP_FAILED);
	assert_ptr_equal(mremap(ch.base, total, total + 4096, MREMAP_MAYMOVE), MAP_FAILED);
	/* What the executor writes is never code. */
	assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, ch.fd, 0), MAP_FAILED);
	assert_int_equal(errno, EPERM);
	assert_fails(mprotect(ch.base, 4096, PROT_READ | PROT_EXEC), EACCES);
	/* The last byte is there. */
	ch.base[total - 1] = 1;
	channel_close(&ch);
}

static void wait_times_out(void **state)
{
	struct vgpu_wait wait = { .size = sizeof(wait) };
	struct channel ch = channel_open();

	(void)state;
	assert_true(channel_ready(&ch));
	/* The interrupt that said so may still be on its way. */
	do
		wait.seen = wait.out_seen, wait.timeout_ns = 200000000;
	while (ioctl(ch.fd, VGPU_IOC_WAIT, &wait) == 0);
	assert_int_equal(errno, ETIMEDOUT);
	channel_close(&ch);
}

static void on_alarm(int sig)
{
	(void)sig;
}

static void wait_is_interrupted(void **state)
{
	struct sigaction action = { .sa_handler = on_alarm };
	struct vgpu_wait wait = { .size = sizeof(wait) };
	struct channel ch = channel_open();

	(void)state;
	assert_true(channel_ready(&ch));
	sigaction(SIGALRM, &action, NULL);
	alarm(1);
	while (ioctl(ch.fd, VGPU_IOC_WAIT, &wait) == 0)
		wait.seen = wait.out_seen;
	assert_int_equal(errno, EINTR);
	channel_close(&ch);
}

static unsigned long status_kb(const char *field)
{
	char line[128];
	unsigned long kb = ~0ul;
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, field, strlen(field)))
			kb = strtoul(line + strlen(field) + 1, NULL, 10);
	if (f)
		fclose(f);
	return kb;
}

static void register_bounds(void **state)
{
	struct channel ch = channel_open();
	uint8_t *mem = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *ro = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const struct {
		uint64_t addr, bytes;
		int error;
	} bad[] = {
		{ (uintptr_t)mem, 0, EINVAL },
		{ (uintptr_t)mem + 1, 4096, EINVAL },
		{ (uintptr_t)mem, 4095, EINVAL },
		{ (uintptr_t)mem, VGPU_REGION_BYTES_MAX + 4096, EINVAL },
		{ ~0ull << 12, 8192, EINVAL },
		{ 0xffff888000000000ull, 4096, EINVAL },
		{ 4096, 4096, EFAULT },
		{ (uintptr_t)ro, 4096, EFAULT },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct vgpu_register reg = { .size = sizeof(reg), .addr = bad[i].addr,
					     .bytes = bad[i].bytes };

		assert_fails(ioctl(ch.fd, VGPU_IOC_REGISTER, &reg), bad[i].error);
	}
	assert_int_equal(status_kb("VmPin:"), 0);
	munmap(mem, 16384);
	munmap(ro, 4096);
	channel_close(&ch);
}

static void register_counts(void **state)
{
	struct channel ch = channel_open();
	uint8_t *mem = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vgpu_register reg = { .size = sizeof(reg), .addr = (uintptr_t)mem, .bytes = 65536 };
	struct vgpu_unregister unreg = { .size = sizeof(unreg) };
	struct vgpu_stats stats = { .size = sizeof(stats) };
	uint32_t first;

	(void)state;
	assert_int_equal(ioctl(ch.fd, VGPU_IOC_REGISTER, &reg), 0);
	first = reg.out_region;
	assert_int_equal(ioctl(ch.fd, VGPU_IOC_REGISTER, &reg), 0);
	assert_int_not_equal(reg.out_region, first);
	assert_int_equal(ioctl(ch.fd, VGPU_IOC_STATS, &stats), 0);
	assert_int_equal(stats.out_pinned_bytes, 2 * 65536);
	assert_int_equal(status_kb("VmPin:"), 128);

	unreg.region = first;
	assert_int_equal(ioctl(ch.fd, VGPU_IOC_UNREGISTER, &unreg), 0);
	assert_fails(ioctl(ch.fd, VGPU_IOC_UNREGISTER, &unreg), EINVAL);
	unreg.region = ~0u;
	assert_fails(ioctl(ch.fd, VGPU_IOC_UNREGISTER, &unreg), EINVAL);
	assert_int_equal(status_kb("VmPin:"), 64);
	munmap(mem, 65536);
	channel_close(&ch);
	/* Closing gives the rest back, as soon as the host has let go. */
	for (int i = 0; i < 100 && status_kb("VmPin:"); i++)
		usleep(100000);
	assert_int_equal(status_kb("VmPin:"), 0);
}

static int child_status(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* What a user without CAP_IPC_LOCK may register, over all of its processes. */
static int register_as_user(void)
{
	const size_t limit = 64 << 10;
	struct rlimit memlock = { limit, limit };
	struct vgpu_setup setup = small_setup();
	struct vgpu_register reg = { .size = sizeof(reg), .bytes = 2 * limit };
	struct vgpu_unregister unreg = { .size = sizeof(unreg) };
	int fd, second;

	reg.addr = (uintptr_t)mmap(NULL, 2 * limit, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (setrlimit(RLIMIT_MEMLOCK, &memlock) || setresuid(65534, 65534, 65534))
		return 1;
	fd = open(DEV, O_RDWR | O_CLOEXEC);
	second = open(DEV, O_RDWR | O_CLOEXEC);
	if (fd < 0 || second < 0 || ioctl(fd, VGPU_IOC_SETUP, &setup) ||
	    ioctl(second, VGPU_IOC_SETUP, &setup))
		return 2;
	if (!ioctl(fd, VGPU_IOC_REGISTER, &reg) || errno != ENOSPC)
		return 3;
	reg.bytes = limit;
	if (ioctl(fd, VGPU_IOC_REGISTER, &reg))
		return 4;
	unreg.region = reg.out_region;
	/* Not by another file of the user's either, before it is given back. */
	if (!ioctl(second, VGPU_IOC_REGISTER, &reg) || errno != ENOSPC)
		return 5;
	if (ioctl(fd, VGPU_IOC_UNREGISTER, &unreg) || ioctl(second, VGPU_IOC_REGISTER, &reg))
		return 6;
	return 0;
}

static void register_is_limited(void **state)
{
	pid_t pid = fork();

	(void)state;
	if (!pid)
		_exit(register_as_user());
	assert_int_equal(child_status(pid), 0);
}

static void child_has_no_channel(void **state)
{
	struct vgpu_doorbell bell = { .size = sizeof(bell) };
	struct channel ch = channel_open();
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	if (!pid)
		_exit(ioctl(ch.fd, VGPU_IOC_DOORBELL, &bell) == -1 && errno == EPERM ? 0 : 1);
	assert_int_equal(child_status(pid), 0);

	pid = fork();
	if (!pid) {
		prctl(PR_SET_DUMPABLE, 0);
		signal(SIGSEGV, SIG_DFL);
		_exit(ch.ring->magic & 1);
	}
	status = child_status(pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);

	/* The parent's is as it was, also after the child's copy was closed. */
	assert_int_equal(ioctl(ch.fd, VGPU_IOC_DOORBELL, &bell), 0);
	channel_close(&ch);
}

/* A channel that is passed to another process does not become its. */
static void passed_descriptor(void **state)
{
	struct vgpu_setup setup = small_setup();
	struct vgpu_info i = { .size = sizeof(i) };
	struct channel ch;
	int sv[2], fd, got = 0;
	char byte = 0;
	pid_t pid;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
	pid = fork();
	if (!pid) {
		if (vg_recv_fds(sv[1], &byte, 1, &got, 1) != 1)
			_exit(1);
		if (ioctl(got, VGPU_IOC_INFO, &i))
			_exit(2);
		if (ioctl(got, VGPU_IOC_SETUP, &setup) != -1 || errno != EBUSY)
			_exit(3);
		if (mmap(NULL, 4096, PROT_READ, MAP_SHARED, got, 0) != MAP_FAILED ||
		    errno != EPERM)
			_exit(4);
		_exit(0);
	}
	ch = channel_open();
	fd = ch.fd;
	assert_int_equal(vg_send_fds(sv[0], &byte, 1, &fd, 1), 0);
	assert_int_equal(child_status(pid), 0);
	close(sv[0]);
	close(sv[1]);
	channel_close(&ch);
}

static void *open_and_close(void *arg)
{
	long failures = 0;

	(void)arg;
	for (int i = 0; i < 4; i++) {
		struct vgpu_setup setup = small_setup();
		struct vgpu_doorbell bell = { .size = sizeof(bell) };
		int fd = open(DEV, O_RDWR | O_CLOEXEC);

		failures += fd < 0 || ioctl(fd, VGPU_IOC_SETUP, &setup) ||
			    ioctl(fd, VGPU_IOC_DOORBELL, &bell);
		close(fd);
	}
	return (void *)failures;
}

static void many_at_once(void **state)
{
	pthread_t thread[6];
	void *failures;

	(void)state;
	for (int i = 0; i < 6; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, open_and_close, NULL), 0);
	for (int i = 0; i < 6; i++) {
		pthread_join(thread[i], &failures);
		assert_null(failures);
	}
}

static void *setup_one_file(void *arg)
{
	struct vgpu_setup setup = small_setup();

	return (void *)(long)!ioctl(*(int *)arg, VGPU_IOC_SETUP, &setup);
}

static void setup_races_with_setup(void **state)
{
	pthread_t thread[4];
	void *won;
	long winners = 0;
	int fd = open_dev();

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, setup_one_file, &fd), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(thread[i], &won);
		winners += (long)won;
	}
	assert_int_equal(winners, 1);
	close(fd);
}

/* What a hostile program can do to the ring: its own channel dies of it. */
static void ring_abuse(void **state)
{
	struct vgpu_doorbell bell = { .size = sizeof(bell) };
	static const struct {
		struct vgpu_rec rec;
		uint64_t tail;
	} bad[] = {
		{ { .size = 0, .op = 3 }, 16 },			/* no size */
		{ { .size = 8, .op = 3 }, 16 },			/* less than a head */
		{ { .size = 24, .op = 3 }, 32 },		/* not aligned */
		{ { .size = 64, .op = 3 }, 16 },		/* beyond the tail */
		{ { .size = VGPU_REC_MAX + 16, .op = 3 }, VGPU_REC_MAX + 16 },
		{ { .size = ~15u, .op = 0 }, 16 },		/* padding beyond the ring */
		{ { .size = 16, .op = 3 }, 8 },			/* a crooked tail */
		{ { .size = 16, .op = 3 }, 1ull << 63 },	/* a tail from nowhere */
		{ { .size = 16, .op = 3, .flags = VGPU_REC_REPLY, .slot = 4 }, 16 },	/* no such slot */
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct channel ch = channel_open();

		assert_true(channel_ready(&ch));
		memcpy(ch.base + ch.layout.sq_off, &bad[i].rec, sizeof(bad[i].rec));
		__atomic_store_n(&ch.ring->sq_tail, bad[i].tail, __ATOMIC_RELEASE);
		ioctl(ch.fd, VGPU_IOC_DOORBELL, &bell);
		expect_lost(&ch);
		assert_fails(ioctl(ch.fd, VGPU_IOC_DOORBELL, &bell), EPIPE);
		channel_close(&ch);
	}
}

/* Records that are well-formed but mean nothing are answered or dropped. */
static void odd_records(void **state)
{
	struct vgpu_doorbell bell = { .size = sizeof(bell) };
	struct vgpu_wait wait = { .size = sizeof(wait), .timeout_ns = 1000000000 };
	struct channel ch = channel_open();
	const struct vgpu_rec rec[] = {
		{ .size = 16, .op = 0xffff },				/* no such op */
		{ .size = 16, .op = 3, .flags = 0x8000 },		/* no such flag */
		{ .size = 16, .op = 2 },				/* payload missing */
		{ .size = 16, .op = 3, .flags = VGPU_REC_REPLY, .slot = 1, .tag = ~0u },
	};
	struct vgpu_slot *slot;

	(void)state;
	assert_true(channel_ready(&ch));
	slot = (struct vgpu_slot *)(ch.base + ch.layout.slot_off) + 1;
	slot->parked = 1;
	memcpy(ch.base + ch.layout.sq_off, rec, sizeof(rec));
	__atomic_store_n(&ch.ring->sq_tail, sizeof(rec), __ATOMIC_RELEASE);
	assert_int_equal(ioctl(ch.fd, VGPU_IOC_DOORBELL, &bell), 0);
	for (int i = 0; i < 60 && !__atomic_load_n(&slot->done, __ATOMIC_ACQUIRE); i++)
		if (!ioctl(ch.fd, VGPU_IOC_WAIT, &wait))
			wait.seen = wait.out_seen;
	assert_int_equal(slot->done, 1);
	assert_int_equal(slot->status, 0);
	/* The first of the refusals before it is told here. */
	assert_int_equal(slot->deferred_op, 0xffff);
	channel_close(&ch);
}

/* Killed while it waits, with memory registered: nothing is left behind. */
static void killed_while_waiting(void **state)
{
	int ready[2];
	char byte;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		struct vgpu_wait wait = { .size = sizeof(wait) };
		struct channel ch = channel_open();
		void *mem = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				 -1, 0);
		struct vgpu_register reg = { .size = sizeof(reg), .addr = (uintptr_t)mem,
					     .bytes = 65536 };

		if (ioctl(ch.fd, VGPU_IOC_REGISTER, &reg) || !channel_ready(&ch))
			_exit(1);
		(void)!write(ready[1], "r", 1);
		for (;;)
			if (!ioctl(ch.fd, VGPU_IOC_WAIT, &wait))
				wait.seen = wait.out_seen;
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	kill(pid, SIGKILL);
	assert_int_equal(child_status(pid), SIGKILL);
	close(ready[0]);
	close(ready[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),
		cmocka_unit_test(flags_are_refused),
		cmocka_unit_test(info),
		cmocka_unit_test(longer_struct_of_a_newer_program),
		cmocka_unit_test(before_setup),
		cmocka_unit_test(setup_bounds),
		cmocka_unit_test(setup_too_large),
		cmocka_unit_test(mmap_bounds),
		cmocka_unit_test(wait_times_out),
		cmocka_unit_test(wait_is_interrupted),
		cmocka_unit_test(register_bounds),
		cmocka_unit_test(register_counts),
		cmocka_unit_test(register_is_limited),
		cmocka_unit_test(child_has_no_channel),
		cmocka_unit_test(passed_descriptor),
		cmocka_unit_test(many_at_once),
		cmocka_unit_test(setup_races_with_setup),
		cmocka_unit_test(ring_abuse),
		cmocka_unit_test(odd_records),
		cmocka_unit_test(killed_while_waiting),
	};

	return cmocka_run_group_tests_name("guest_uapi", tests, NULL, NULL);
}
