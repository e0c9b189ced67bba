// SPDX-License-Identifier: Apache-2.0
/*
 * Whom an executor serves where the GPU's kernels reach pageable memory.  The executor is the
 * real one, and its driver is softgpu.  A library is preloaded into it that answers for the
 * host module (pageable_channel.c).
 */
#include "unit.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/account.h"
#include "common/fdpass.h"
#include "common/ring_sync.h"
#include "common/socket_proto.h"

#include <linux/vgpu_ring.h>

#define BYTES	(192u << 10)

static char folder[PATH_MAX];		/* that of the build */

struct executor {
	pid_t pid;
	int control;
	struct vg_exec_ready ready;
};

/* FILE below the folder of the build. */
static const char *built(char *out, const char *file)
{
	snprintf(out, PATH_MAX + 64, "%s/%s", folder, file);
	return out;
}

static struct executor start(bool pageable, const char *option)
{
	char program[PATH_MAX + 64], driver[PATH_MAX + 64], channel[PATH_MAX + 64];
	struct executor e;
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	built(program, "bin/vgpu-executor");
	built(driver, "lib/libvgpu-softgpu.so");
	built(channel, "tests/unit/libpageable_channel.so");
	e.pid = fork();
	assert_true(e.pid >= 0);
	if (!e.pid) {
		if (pageable)
			setenv("VGPU_SOFTGPU_PAGEABLE", "1", 1);
		setenv("LD_PRELOAD", channel, 1);
		dup2(sv[1], 3);
		execl(program, program, "--libcuda", driver, option, NULL);
		_exit(127);
	}
	close(sv[1]);
	e.control = sv[0];
	assert_int_equal(vg_recv_fds(e.control, &e.ready, sizeof(e.ready), NULL, 0), 0);
	assert_int_equal(e.ready.size, sizeof(e.ready));
	assert_int_equal(e.ready.result, 0);
	assert_int_equal(e.ready.pageable, pageable);
	return e;
}

/* Give it a channel of this kind; what it makes of that, an enum of vgpu_ring.h. */
static uint32_t assigned(struct executor *e, enum vg_assign_kind kind)
{
	struct vg_assign assign = { .size = sizeof(assign), .kind = kind, .layout = {
		.sq_off = 4096, .sq_bytes = VGPU_SQ_MIN, .slot_off = 4096 + VGPU_SQ_MIN,
		.slot_count = 4, .arena_off = 128 << 10, .arena_bytes = 65536,
		.total_bytes = BYTES,
	} };
	int account = memfd_create("account", MFD_CLOEXEC);
	int memory = memfd_create("channel", MFD_CLOEXEC);
	struct vg_token_answer answer = { .size = sizeof(answer) };
	struct vg_token_request rq;
	int bell = eventfd(0, EFD_CLOEXEC), n = kind == VG_ASSIGN_VM ? 3 : 5;
	int shares[2], vm[] = { memory, account, bell }, fd;
	int other[] = { memory, -1, -1, account, bell };
	struct vgpu_ring *ring;
	uint32_t state;

	assert_int_equal(ftruncate(memory, BYTES), 0);
	assert_int_equal(ftruncate(account, sizeof(struct vg_account)), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, shares), 0);
	other[1] = shares[0];		/* in place of the doorbell: nothing rings it */
	other[2] = shares[1];
	ring = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	assert_ptr_not_equal(ring, MAP_FAILED);
	assert_int_equal(vg_send_fds(e->control, &assign, sizeof(assign), n == 3 ? vm : other, n),
			 0);
	/* One that is to serve asks for somebody who answers its refused system calls. */
	if (vg_recv_fds(e->control, &rq, sizeof(rq), &fd, 1) == 1) {
		close(fd);
		vg_send_fds(e->control, &answer, sizeof(answer), NULL, 0);
	}
	for (int i = 0; i < 2000 && !vg_load_acquire(&ring->host_state); i++)
		usleep(10000);
	state = vg_load_acquire(&ring->host_state);
	munmap(ring, BYTES);
	close(memory);
	close(account);
	close(shares[0]);
	close(shares[1]);
	/* It ends with its mediator, or has ended already. */
	close(e->control);
	assert_int_equal(waitpid(e->pid, NULL, 0), e->pid);
	return state;
}

static void vm_is_refused(void **state)
{
	struct executor e = start(true, NULL);

	(void)state;
	assert_int_equal(assigned(&e, VG_ASSIGN_VM), VGPU_HOST_REFUSED);
}

/* Without such access; if the operator allows it; and a program of this machine. */
static void vm_is_served(void **state)
{
	struct executor e = start(false, NULL);

	(void)state;
	assert_int_equal(assigned(&e, VG_ASSIGN_VM), VGPU_HOST_READY);
	e = start(true, "--pageable-access");
	assert_int_equal(assigned(&e, VG_ASSIGN_VM), VGPU_HOST_READY);
	e = start(true, NULL);
	assert_int_equal(assigned(&e, VG_ASSIGN_SOCKET), VGPU_HOST_READY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vm_is_refused),
		cmocka_unit_test(vm_is_served),
	};

	if (!realpath("/proc/self/exe", folder))
		return 2;
	for (int i = 0; i < 3; i++)	/* tests/unit/pageable */
		*strrchr(folder, '/') = 0;
	return cmocka_run_group_tests_name("pageable", tests, NULL, NULL);
}
