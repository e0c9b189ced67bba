// SPDX-License-Identifier: Apache-2.0
/*
 * The mediator's socket to an executor, from an executor that a guest has taken over.
 * The mediator starts this program as its executor (VGPU_TEST_EXECUTOR); what it then
 * does is in VGPU_TEST_ABUSE.  As a program it sees the mediator end such an executor,
 * and go on.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/vgpu_ring.h>

#include "common/fdpass.h"
#include "common/socket_proto.h"

#define MEDIATOR 3

static struct vg_token_request request(uint32_t op, uint32_t kind)
{
	return (struct vg_token_request){ .size = sizeof(struct vg_token_request), .op = op,
					  .kind = kind };
}

/* The filter of a real one allows more; this one refuses truncate(). */
static bool hand_over_listener(void)
{
	struct vg_token_request rq = request(VG_TOKEN_LISTENER, 0);
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
	struct vg_token_answer a;
	int fd;

	if (!f || seccomp_rule_add(f, SCMP_ACT_NOTIFY, SCMP_SYS(truncate), 0) || seccomp_load(f))
		return false;
	fd = seccomp_notify_fd(f);
	return !vg_send_fds(MEDIATOR, &rq, sizeof(rq), &fd, 1) &&
	       !vg_recv_fds(MEDIATOR, &a, sizeof(a), NULL, 0) && !a.status && !close(fd);
}

/* However often it is refused: first by the mediator, then by the kernel alone. */
static bool refused_for_ever(void)
{
	int answered = 0;

	while (truncate("/nonexistent", 0) && errno == EPERM)
		answered++;
	return answered == 1000 && errno == ENOSYS && truncate("/nonexistent", 0) &&
	       errno == ENOSYS;
}

/* -- a file of a file system of its own (FUSE), which never answers that it is closed */

#define MOUNT "/tmp"			/* in its own namespace */

static void fuse_answer(int dev, const struct fuse_in_header *in, const void *what, size_t bytes)
{
	struct fuse_out_header out = { .len = sizeof(out) + bytes, .unique = in->unique };
	struct iovec iov[] = { { &out, sizeof(out) }, { (void *)what, bytes } };

	if (writev(dev, iov, 2) < 0)
		_exit(1);
}

/* A process of its own; it answers only this executor, which must be able to end. */
static void fuse_serve(int dev, pid_t executor)
{
	static _Alignas(8) char buf[FUSE_MIN_READ_BUFFER + (1 << 17)];
	const struct fuse_in_header *in = (const void *)buf;
	struct fuse_init_out init = { .major = FUSE_KERNEL_VERSION, .minor = 31,
				      .max_write = 4096 };
	struct fuse_entry_out entry = { .nodeid = 2, .entry_valid = 3600, .attr_valid = 3600,
					.attr = { .ino = 2, .mode = S_IFREG | 0666, .nlink = 1 } };
	struct fuse_open_out opened = { .fh = 1 };

	while (read(dev, buf, sizeof(buf)) > 0) {
		if (in->opcode == FUSE_INIT)
			fuse_answer(dev, in, &init, sizeof(init));
		else if (in->opcode == FUSE_LOOKUP)
			fuse_answer(dev, in, &entry, sizeof(entry));
		else if (in->opcode == FUSE_OPEN)
			fuse_answer(dev, in, &opened, sizeof(opened));
		else if (in->opcode == FUSE_FLUSH && in->pid == (uint32_t)executor)
			fuse_answer(dev, in, NULL, 0);
	}
}

static int unanswered_file(void)
{
	int dev = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	pid_t executor = getpid(), server;
	char options[128];

	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other",
		 dev);
	if (dev < 0 || unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("unanswered", MOUNT, "fuse", 0, options))
		return -1;
	server = fork();
	if (!server) {
		close(MEDIATOR);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == executor)
			fuse_serve(dev, executor);
		_exit(0);
	}
	close(dev);
	return server < 0 ? -1 : open(MOUNT "/file", O_RDWR | O_CLOEXEC);
}

static void abuse(const char *how)
{
	struct vg_token_request rq = request(VG_TOKEN_OFFER, VG_TOKEN_EVENT);
	struct vg_token_answer a;
	int fds[2] = { -1, -1 };

	if (!strcmp(how, "short")) {
		vg_send_fds(MEDIATOR, &rq, sizeof(rq) - 1, NULL, 0);
	} else if (!strcmp(how, "long")) {
		char more[sizeof(rq) + 1] = { 0 };

		memcpy(more, &rq, sizeof(rq));
		vg_send_fds(MEDIATOR, more, sizeof(more), NULL, 0);
	} else if (!strcmp(how, "noise")) {
		rq.op = 77;
		vg_send_fds(MEDIATOR, &rq, sizeof(rq), NULL, 0);
	} else if (!strcmp(how, "descriptor")) {
		fds[0] = memfd_create("t", MFD_CLOEXEC);
		vg_send_fds(MEDIATOR, &rq, sizeof(rq), fds, 1);
	} else if (!strcmp(how, "descriptors")) {
		fds[0] = fds[1] = memfd_create("t", MFD_CLOEXEC);
		rq.kind = VG_TOKEN_POOL;
		vg_send_fds(MEDIATOR, &rq, sizeof(rq), fds, 2);
	} else if (!strcmp(how, "none")) {
		rq.kind = VG_TOKEN_POOL;
		vg_send_fds(MEDIATOR, &rq, sizeof(rq), NULL, 0);
	} else if (!strcmp(how, "unread")) {
		/* Answers that nobody takes in fill the socket, and must not hold it up. */
		while (!vg_send_fds(MEDIATOR, &rq, sizeof(rq), NULL, 0))
			;
	} else if (!strcmp(how, "listener")) {
		/* What is no listener could block whoever reads from it. */
		rq = request(VG_TOKEN_LISTENER, 0);
		fds[0] = memfd_create("t", MFD_CLOEXEC);
		vg_send_fds(MEDIATOR, &rq, sizeof(rq), fds, 1);
	} else if (!strcmp(how, "no-listener")) {
		rq = request(VG_TOKEN_LISTENER, 0);
		vg_send_fds(MEDIATOR, &rq, sizeof(rq), NULL, 0);
	} else if (!strcmp(how, "listeners")) {
		if (!hand_over_listener())
			pause();
		rq = request(VG_TOKEN_LISTENER, 0);
		fds[0] = memfd_create("t", MFD_CLOEXEC);
		vg_send_fds(MEDIATOR, &rq, sizeof(rq), fds, 1);
	} else if (!strcmp(how, "refused")) {
		if (!hand_over_listener() || !refused_for_ever())
			_exit(1);
		pause();
	} else if (!strcmp(how, "learnt")) {
		/* Where the mediator only logs, the kernel runs the call. */
		for (int i = 0; i < 3; i++)
			if (!i && !hand_over_listener())
				_exit(1);
			else if (!truncate("/nonexistent", 0) || errno != ENOENT)
				_exit(1);
		pause();
	} else if (!strcmp(how, "unanswered")) {
		/* It is none that drivers export, so the mediator closes it; the second one waits. */
		fds[0] = unanswered_file();
		rq.kind = VG_TOKEN_POOL;
		for (int i = 0; i < 2; i++)
			if (fds[0] < 0 || vg_send_fds(MEDIATOR, &rq, sizeof(rq), fds, 1) ||
			    vg_recv_fds(MEDIATOR, &a, sizeof(a), NULL, 0) || a.status != EINVAL)
				_exit(1);
		pause();
	} else if (!strcmp(how, "hoard")) {
		/* It gets no answer any more, long before the mediator's descriptors are used up. */
		struct timeval limit = { .tv_sec = 1 };
		int answered = 0;

		fds[0] = unanswered_file();
		rq.kind = VG_TOKEN_POOL;
		setsockopt(MEDIATOR, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		while (answered < 1000 && fds[0] >= 0 &&
		       !vg_send_fds(MEDIATOR, &rq, sizeof(rq), fds, 1) &&
		       !vg_recv_fds(MEDIATOR, &a, sizeof(a), NULL, 0))
			answered++;
		if (answered < 1 || answered >= 1000)
			_exit(1);
		pause();
	} else if (!strcmp(how, "right")) {
		/* What is right is answered, so that the others are known to be wrong. */
		if (vg_send_fds(MEDIATOR, &rq, sizeof(rq), NULL, 0) ||
		    vg_recv_fds(MEDIATOR, &a, sizeof(a), NULL, 0) || a.status)
			_exit(1);
		pause();
	}
	/* Until it is ended. */
	vg_recv_fds(MEDIATOR, &a, sizeof(a), NULL, 0);
	while (vg_recv_fds(MEDIATOR, &a, sizeof(a), NULL, 0) >= 0)
		;
	_exit(0);
}

static int executor(void)
{
	struct vg_exec_ready ready = { .size = sizeof(ready), .version = 13000, .devices = 1 };
	struct vg_assign assign;
	const char *how = getenv("VGPU_TEST_ABUSE");
	int fds[VG_FDS_MAX];

	if (how && !strcmp(how, "early")) {
		/* It asks before it has anybody to ask for. */
		struct vg_token_request rq = request(VG_TOKEN_OFFER, VG_TOKEN_EVENT);

		vg_send_fds(MEDIATOR, &ready, sizeof(ready), NULL, 0);
		vg_send_fds(MEDIATOR, &rq, sizeof(rq), NULL, 0);
	} else {
		vg_send_fds(MEDIATOR, &ready, sizeof(ready), NULL, 0);
	}
	if (vg_recv_fds(MEDIATOR, &assign, sizeof(assign), fds, VG_FDS_MAX) < 0)
		return 0;
	abuse(how ? how : "right");
	return 0;
}

static int dial(const char *path)
{
	struct vg_sock_hello hello = { .size = sizeof(hello), .abi = VG_SOCK_ABI,
				       .sq_bytes = VGPU_SQ_MIN, .slot_count = 4,
				       .arena_bytes = 65536, .comm = "abuse" };
	struct timeval limit = { .tv_sec = 20 };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct vg_sock_welcome welcome = { 0 };
	int fds[3], fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    vg_send_fds(fd, &hello, sizeof(hello), NULL, 0) ||
	    vg_recv_fds(fd, &welcome, sizeof(welcome), fds, 3) != 3 || welcome.status) {
		printf("executor: the mediator does not serve\n");
		exit(1);
	}
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	return fd;
}

/* Whether the mediator hangs up within so many ms. */
static bool ended(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

/* Who has too many files that cannot be closed is not heard any more; others are served. */
static int hoard(const char *path)
{
	int fd = dial(path), status;
	pid_t pid;

	if (ended(fd, 4000)) {
		printf("executor: hoard: its files are taken without bound\n");
		return 1;
	}
	pid = fork();
	if (!pid)
		_exit(setuid(65534) || dial(path) < 0);
	if (waitpid(pid, &status, 0) != pid || status) {
		printf("executor: hoard: another user is not served\n");
		return 1;
	}
	pid = fork();
	if (!pid) {
		close(STDOUT_FILENO);	/* what dial() says of it */
		_exit(dial(path) < 0);
	}
	if (waitpid(pid, &status, 0) != pid || !status) {
		printf("executor: hoard: the same user is served\n");
		return 1;
	}
	printf("executor: hoard: not heard; others served\n");
	return 0;
}

int main(int argc, char **argv)
{
	const char *how = getenv("VGPU_TEST_ABUSE"), *transport = getenv("VGPU_TRANSPORT");
	bool right;

	if (argc > 1 && !strcmp(argv[1], "--libcuda"))
		return executor();
	if (!how || !transport || strncmp(transport, "unix:", 5)) {
		fprintf(stderr, "bad_executor: run by make check-tokens\n");
		return 2;
	}
	right = !strcmp(how, "right") || !strcmp(how, "early") || !strcmp(how, "refused") ||
		!strcmp(how, "learnt") || !strcmp(how, "unanswered");
	if ((!strcmp(how, "unanswered") || !strcmp(how, "hoard")) && (geteuid() || access("/dev/fuse", R_OK | W_OK))) {
		printf("executor: %s: not run, it needs root and /dev/fuse\n", how);
		return 0;
	}
	if (!strcmp(how, "hoard"))
		return hoard(transport + 5);
	/* Each has an executor that does the same; the mediator goes on, while they live, too. */
	for (int i = 0; i < 3; i++) {
		int fd = dial(transport + 5);

		if (ended(fd, right ? 500 : 15000) == right) {
			printf("executor: %s: %s\n", how, right ? "ended" : "not ended");
			return 1;
		}
		if (strcmp(how, "unanswered"))
			close(fd);
	}
	printf("executor: %s: %s\n", how, right ? "served" : "ended, and the next served");
	return 0;
}
