// SPDX-License-Identifier: Apache-2.0
/*
 * Programs over the Unix socket: the loop closes no socket that somebody else has had, because
 * messages that nobody has read go with it, and the files in them.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/vgpu_ring.h>

#include "common/fdpass.h"
#include "mediator/mediator.h"

static struct vg_source *last;		/* that was added */
static struct vg_proc proc;
static bool serves;
static int closed_here;
static pthread_t loop;

struct vg_procs vg_procs = LIST_HEAD_INITIALIZER(vg_procs);

int __real_close(int fd);
int __wrap_close(int fd);

int __wrap_close(int fd)
{
	socklen_t len = sizeof(int);
	int type;

	if (pthread_equal(pthread_self(), loop))
		closed_here += !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len);
	return __real_close(fd);
}

int vg_source_add(struct vg_source *s, uint32_t events)
{
	(void)events;
	last = s;
	return 0;
}

int vg_source_take(struct vg_source *s)
{
	int fd = s->fd;

	s->fd = -1;
	return fd;
}

void vg_source_remove(struct vg_source *s)
{
	if (s->fd >= 0 && s->closer)
		vg_closer_hang_up(s->closer, vg_source_take(s), false);
}

void vg_source_pause(struct vg_source *s, int64_t ms)
{
	(void)s;
	(void)ms;
}

int64_t vg_now_ms(void)
{
	return 1;
}

struct vg_proc *vg_proc_serve(struct vg_tenant *t, struct vg_user *user,
			      const struct vg_assign *assign, uint64_t settings,
			      const int *fds, int count)
{
	(void)assign;
	(void)settings;
	(void)fds;
	(void)count;
	if (!serves) {
		errno = EHOSTDOWN;
		return NULL;
	}
	proc = (struct vg_proc){ .tenant = t, .client = { .fd = -1, .closer = user->closer } };
	return &proc;
}

void vg_proc_name(struct vg_proc *p, uint32_t pid, int64_t uid, const char *comm)
{
	(void)p;
	(void)pid;
	(void)uid;
	(void)comm;
}

void vg_proc_end(struct vg_proc *p)
{
	vg_source_remove(&p->client);
}

struct vg_exec_ready vg_procs_driver(void)
{
	return (struct vg_exec_ready){ 0 };
}

void vg_stop(int status)
{
	(void)status;
}

static void no_socket_is_closed_in_the_loop(void **state)
{
	struct vg_sock_hello h = { .size = sizeof(h), .abi = VG_SOCK_ABI, .sq_bytes = VGPU_SQ_MIN,
				   .slot_count = 4, .arena_bytes = 65536 };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct vg_source *listener;

	(void)state;
	assert_int_equal(vg_config_load("/nonexistent/vgpu.conf", false), 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "/tmp/vgpu-listen-%d", getpid());
	vg_config.socket = addr.sun_path;
	assert_int_equal(vg_listen_open(), 0);
	listener = last;
	loop = pthread_self();
	closed_here = 0;
	/* Served; gone before its answer; refused by us; and for what it says. */
	for (int i = 0; i < 4; i++) {
		int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

		serves = i < 2;
		h.abi = i < 3 ? VG_SOCK_ABI : 0;
		assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
		assert_int_equal(vg_send_fds(fd, &h, sizeof(h), NULL, 0), 0);
		listener->ready(listener, EPOLLIN);
		assert_ptr_not_equal(last, listener);
		if (i == 1)
			__real_close(fd);
		last->ready(last, EPOLLIN);
		assert_int_equal(closed_here, 0);
		if (i == 0)
			vg_proc_end(&proc);
		if (i != 1)
			__real_close(fd);
	}
	while (vg_closers_open())
		usleep(1000);
	assert_int_equal(closed_here, 0);
	vg_listen_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_socket_is_closed_in_the_loop),
	};

	vg_log_init("test", VG_ERROR);
	return cmocka_run_group_tests_name("listen", tests, NULL, NULL);
}
