// SPDX-License-Identifier: Apache-2.0
/*
 * What one user may ask of the mediator over the socket, and what a program's name does
 * to an operator.  The mediator is to have the limits of LIMITS in tests/run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <linux/vgpu_ring.h>

#include "common/fdpass.h"
#include "common/socket_proto.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

#define CONNECTIONS	20	/* as in LIMITS */
#define USERS		16	/* times as many for all users together (listen.c) */
#define PROGRAMS	4
#define STARTS		10

static const char *path, *control;

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int dial(const char *to, int type)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = 20 };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", to);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

/* The status of a program's hello; with 0 the connection is the program's. */
static int hello(int fd, const char *comm)
{
	struct vg_sock_hello h = { .size = sizeof(h), .abi = VG_SOCK_ABI, .sq_bytes = VGPU_SQ_MIN,
				   .slot_count = 4, .arena_bytes = 65536 };
	struct vg_sock_welcome w = { 0 };
	int fds[3], n;

	for (size_t i = 0; i < sizeof(h.comm) && comm[i]; i++)
		h.comm[i] = comm[i];
	vg_send_fds(fd, &h, sizeof(h), NULL, 0);
	n = vg_recv_fds(fd, &w, sizeof(w), fds, 3);
	for (int i = 0; i < n; i++)
		close(fds[i]);
	return n < 0 ? -n : (int)w.status;
}

static int told(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct vg_sock_welcome w = { 0 };

	if (poll(&p, 1, ms) != 1 || vg_recv_fds(fd, &w, sizeof(w), NULL, 0))
		return 0;
	return w.status;
}

/* Start a program, as soon as the last ones of this user have been cleared away. */
static int program(void)
{
	int fd, status;

	for (int i = 0; i < 100; i++) {
		fd = dial(path, SOCK_SEQPACKET);
		status = hello(fd, "honest");
		if (!status)
			return fd;
		assert_int_equal(status, EUSERS);
		close(fd);
		usleep(100000);
	}
	fail_msg("no program is served any more");
	return -1;
}

static void silence_ends(void **state)
{
	int64_t began = now_ms();
	int fd = dial(path, SOCK_SEQPACKET);

	(void)state;
	assert_int_equal(told(fd, 20000), ETIMEDOUT);
	assert_in_range(now_ms() - began, 4000, 15000);
	close(fd);
}

static void silence_is_bounded(void **state)
{
	int fd[CONNECTIONS], more;

	(void)state;
	for (int i = 0; i < CONNECTIONS; i++)
		fd[i] = dial(path, SOCK_SEQPACKET);
	more = dial(path, SOCK_SEQPACKET);
	assert_int_equal(told(more, 900), EUSERS);
	close(more);
	/* One that has been silent for long makes room for one that speaks. */
	usleep(1200000);
	more = dial(path, SOCK_SEQPACKET);
	assert_int_equal(hello(more, "honest"), 0);
	assert_int_equal(told(fd[0], 1000), ETIMEDOUT);
	assert_int_equal(told(fd[1], 100), 0);
	close(more);
	for (int i = 0; i < CONNECTIONS; i++)
		close(fd[i]);
}

/* As another user, who needs no name. */
static int dial_as(uid_t uid)
{
	int fd;

	assert_int_equal(seteuid(uid), 0);
	fd = dial(path, SOCK_SEQPACKET);
	assert_int_equal(seteuid(0), 0);
	return fd;
}

/* A program can be as many users as its user namespace has. */
static void silence_of_all_is_bounded(void **state)
{
	int fd[USERS * CONNECTIONS], more;

	(void)state;
	if (getuid())
		skip();
	for (int i = 0; i < USERS * CONNECTIONS; i++)
		fd[i] = dial_as(4000 + i / (CONNECTIONS / 2));
	more = dial_as(3999);
	assert_int_equal(told(more, 900), EUSERS);
	close(more);
	usleep(1200000);
	more = dial_as(3999);
	assert_int_equal(hello(more, "honest"), 0);
	assert_int_equal(told(fd[0], 1000), ETIMEDOUT);
	close(more);
	for (int i = 0; i < USERS * CONNECTIONS; i++)
		close(fd[i]);
}

static void programs_are_bounded(void **state)
{
	int fd[PROGRAMS], more;

	(void)state;
	for (int i = 0; i < PROGRAMS; i++)
		fd[i] = program();
	more = dial(path, SOCK_SEQPACKET);
	assert_int_equal(hello(more, "one more"), EUSERS);
	close(more);
	close(fd[0]);
	fd[0] = program();
	for (int i = 0; i < PROGRAMS; i++)
		close(fd[i]);
}

/* Whoever starts too many waits; nobody is refused for it. */
static void starts_wait(void **state)
{
	const int extra = 10;
	int64_t began;
	char bad = 0;
	int fd;

	(void)state;
	close(program());
	began = now_ms();
	/* What is refused counts, too, and costs the mediator least. */
	for (int i = 0; i < 2 * STARTS + extra; i++) {
		fd = dial(path, SOCK_SEQPACKET);
		assert_int_equal(send(fd, &bad, 1, 0), 1);
		assert_int_equal(told(fd, 5000), EBADMSG);
		close(fd);
	}
	assert_true(now_ms() - began >= extra * 1000 / STARTS - 100);
}

static char *status(void)
{
	static const char question[] = "{\"request\":\"status\"}\n";
	static char text[1 << 16];
	int fd = dial(control, SOCK_STREAM);
	size_t len = 0;
	ssize_t n;

	assert_true(send(fd, question, strlen(question), 0) > 0);
	while ((n = recv(fd, text + len, sizeof(text) - 1 - len, 0)) > 0)
		len += n;
	assert_int_equal(n, 0);
	close(fd);
	text[len] = '\0';
	return text;
}

static void names_are_shown(void **state)
{
	int fd = dial(path, SOCK_SEQPACKET);
	const char *s;

	(void)state;
	assert_int_equal(hello(fd, "\x1b[31m\xff\n\"x"), 0);
	s = status();
	assert_non_null(strstr(s, "\\\\x1b[31m\\\\xff\\\\x0a\\\"x"));
	for (; *s; s++)
		assert_true(*s == '\n' || (*s >= 0x20 && *s < 0x7f));
	close(fd);
}

static long cpu_ticks(pid_t pid)
{
	unsigned long user, kernel;
	char name[64], text[1024];
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/stat", pid);
	f = fopen(name, "r");
	assert_non_null(f);
	assert_true(fread(text, 1, sizeof(text), f) > 0);
	fclose(f);
	assert_int_equal(sscanf(strrchr(text, ')') + 2,
				"%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
				&kernel), 2);
	return user + kernel;
}

/* Where the mediator has no descriptors left, it waits, and its operator is answered. */
static void descriptors_run_out(void **state)
{
	struct rlimit few, was;
	int fd[CONNECTIONS], first = program();
	socklen_t len = sizeof(struct ucred);
	struct ucred mediator;
	char *s, name[32], target[1];
	long ticks;

	(void)state;
	assert_int_equal(getsockopt(first, SOL_SOCKET, SO_PEERCRED, &mediator, &len), 0);
	close(first);
	usleep(1500000);
	/* The next two that it opens are the last. */
	for (int n = 0, left = 2; left; n++) {
		snprintf(name, sizeof(name), "/proc/%d/fd/%d", mediator.pid, n);
		left -= readlink(name, target, 1) != 1;
		few.rlim_cur = n + 1;
	}
	assert_int_equal(prlimit(mediator.pid, RLIMIT_NOFILE, NULL, &was), 0);
	few.rlim_max = was.rlim_max;
	assert_int_equal(prlimit(mediator.pid, RLIMIT_NOFILE, &few, NULL), 0);
	for (int i = 0; i < CONNECTIONS; i++)
		fd[i] = dial(path, SOCK_SEQPACKET);
	usleep(300000);
	ticks = cpu_ticks(mediator.pid);
	s = status();
	assert_non_null(strstr(s, "driver_version"));
	usleep(1500000);
	assert_true(cpu_ticks(mediator.pid) - ticks < sysconf(_SC_CLK_TCK) / 4);
	assert_int_equal(prlimit(mediator.pid, RLIMIT_NOFILE, &was, NULL), 0);
	for (int i = 0; i < CONNECTIONS; i++)
		close(fd[i]);
	close(program());
}

/* A connection that whoever closes it last waits for, until `other` is closed. */
static int lingering(int *other)
{
	struct linger wait = { .l_onoff = 1, .l_linger = 30 };
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int from = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), to;
	socklen_t len = sizeof(addr);
	static char bytes[65536];

	to = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(to, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(to, 1), 0);
	assert_int_equal(getsockname(to, (struct sockaddr *)&addr, &len), 0);
	assert_int_equal(connect(from, (struct sockaddr *)&addr, sizeof(addr)), 0);
	*other = accept(to, NULL, NULL);
	assert_true(*other >= 0);
	close(to);
	assert_int_equal(setsockopt(from, SOL_SOCKET, SO_LINGER, &wait, sizeof(wait)), 0);
	while (send(from, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	return from;
}

/* Whether the kernel lets it through, and the mediator has not hung up. */
static bool say_with(int fd, const void *bytes, size_t len, int passed, int times)
{
	struct iovec iov = { .iov_base = (void *)bytes, .iov_len = len };
	union {
		char buf[CMSG_SPACE(8 * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf,
			      .msg_controllen = CMSG_SPACE(times * sizeof(int)) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(times * sizeof(int));
	for (int i = 0; i < times; i++)
		memcpy(CMSG_DATA(c) + i * sizeof(int), &passed, sizeof(int));
	if (sendmsg(fd, &msg, MSG_NOSIGNAL) == (ssize_t)len)
		return true;
	assert_true(errno == EPERM || errno == EPIPE);
	return false;
}

static pid_t mediator(void)
{
	socklen_t len = sizeof(struct ucred);
	int fd = dial(path, SOCK_SEQPACKET);
	struct ucred cred;

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len), 0);
	close(fd);
	return cred.pid;
}

static bool stopped(pid_t pid)
{
	char name[64], text[512] = "", *state;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/stat", pid);
	f = fopen(name, "r");
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	state = strrchr(text, ')');
	return state && state[2] == 'T';
}

/*
 * Send a file along, and close it here before the mediator may look.  Otherwise the mediator might
 * have let go of it first, and this process would be the one that waits.
 */
static bool hand_over(pid_t to, int fd, const void *bytes, size_t len, int slow, int times)
{
	struct linger off = { 0 };
	bool sent;

	assert_int_equal(kill(to, SIGSTOP), 0);
	while (!stopped(to))
		usleep(1000);
	sent = say_with(fd, bytes, len, slow, times);
	if (!sent)
		setsockopt(slow, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
	close(slow);
	assert_int_equal(kill(to, SIGCONT), 0);
	return sent;
}

/* As on a kernel that does not refuse descriptors for the mediator (before Linux 6.16). */
static void as_before(void)
{
	int pidfd = syscall(SYS_pidfd_open, mediator(), 0), listens, on = 1;
	socklen_t len = sizeof(int);

	assert_true(pidfd >= 0);
	for (int n = 3; n < 64; n++) {
		int fd = syscall(SYS_pidfd_getfd, pidfd, n, 0);

		if (fd >= 0 && !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) && listens)
			setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &on, sizeof(on));
		close(fd);
	}
	close(pidfd);
}

/* Nobody has to send descriptors to the mediator, so the kernel refuses them, where it can. */
static void descriptors_are_refused(void **state)
{
	int fd = dial(path, SOCK_SEQPACKET), asker = dial(control, SOCK_STREAM), on = 1;
	bool can = !setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &on, sizeof(on));

	(void)state;
	assert_true(say_with(fd, "x", 1, STDOUT_FILENO, 1) != can);
	assert_true(say_with(asker, "x", 1, STDOUT_FILENO, 1) != can);
	close(fd);
	close(asker);
}

/* Without room for descriptors the kernel would close them where the message is read. */
static void no_room_for_files(void **state)
{
	struct vg_sock_hello h = { .size = sizeof(h) };
	int fd, asker, slow, other[2];
	struct rlimit few, was;
	pid_t pid = mediator();
	int64_t began;

	(void)state;
	as_before();
	usleep(2000000);	/* as many starts as a user may have at once */
	fd = dial(path, SOCK_SEQPACKET);
	asker = dial(control, SOCK_STREAM);
	usleep(200000);
	assert_int_equal(prlimit(pid, RLIMIT_NOFILE, NULL, &was), 0);
	few = was;
	few.rlim_cur = 3;
	assert_int_equal(prlimit(pid, RLIMIT_NOFILE, &few, NULL), 0);
	began = now_ms();
	slow = lingering(&other[0]);
	if (!hand_over(pid, fd, &h, sizeof(h), slow, 1))
		skip();
	slow = lingering(&other[1]);
	assert_true(hand_over(pid, asker, "x", 1, slow, 1));
	assert_int_equal(told(fd, 5000), EBADMSG);
	assert_int_equal(prlimit(pid, RLIMIT_NOFILE, &was, NULL), 0);
	assert_non_null(strstr(status(), "driver_version"));
	assert_in_range(now_ms() - began, 0, 10000);
	close(fd);
	close(asker);
	close(other[0]);
	close(other[1]);
}

/* Nobody waits for the files that a program sends along. */
static void files_that_close_slowly(void **state)
{
	struct vg_sock_hello h = { .size = sizeof(h) };
	int fd[4], other[4], slow;
	pid_t pid = mediator();
	int64_t began;

	(void)state;
	as_before();
	usleep(2000000);	/* as many starts as a user may have at once */
	for (int i = 0; i < 4; i++) {
		fd[i] = dial(path, SOCK_SEQPACKET);
		slow = lingering(&other[i]);
		/* With a message; more than it may bring; in one that nobody reads. */
		if (i == 2) {
			assert_int_equal(send(fd[i], "x", 1, 0), 1);
			/* The mediator may have refused it by then. */
			hand_over(pid, fd[i], &h, sizeof(h), slow, 1);
		} else if (i == 3) {
			assert_int_equal(hello(fd[i], "talks on"), 0);
			assert_true(hand_over(pid, fd[i], &h, sizeof(h), slow, 1));
		} else {
			assert_true(hand_over(pid, fd[i], &h, sizeof(h), slow, i ? 8 : 1));
		}
		began = now_ms();
		if (i < 3)
			assert_int_equal(told(fd[i], 5000), EBADMSG);
		assert_non_null(strstr(status(), "driver_version"));
		close(program());
		assert_in_range(now_ms() - began, 0, 5000);
	}
	for (int i = 0; i < 4; i++) {
		close(fd[i]);
		close(other[i]);
	}
	close(program());
}

int main(void)
{
	const char *transport = getenv("VGPU_TRANSPORT");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(silence_ends),		cmocka_unit_test(silence_is_bounded),
		cmocka_unit_test(silence_of_all_is_bounded),
		cmocka_unit_test(programs_are_bounded), cmocka_unit_test(starts_wait),
		cmocka_unit_test(names_are_shown),	cmocka_unit_test(descriptors_run_out),
		cmocka_unit_test(descriptors_are_refused),
		cmocka_unit_test(no_room_for_files),	cmocka_unit_test(files_that_close_slowly),
	};

	control = getenv("VGPU_TEST_CONTROL");
	if (!transport || strncmp(transport, "unix:", 5) || !control) {
		fprintf(stderr, "limits_test: VGPU_TRANSPORT=unix:PATH is not set\n");
		return 2;
	}
	path = transport + 5;
	return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
