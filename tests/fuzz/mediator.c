// SPDX-License-Identifier: Apache-2.0
/*
 * Fuzz target: what others say to the mediator over its sockets.  Each step of the input
 * is what somebody does: a program connects, says something or leaves; a vgpuctl asks;
 * an executor says something or ends; time passes.  What they say is either a right message
 * with odd words in it, or bytes of any length, and any descriptors come with it.
 *
 * The mediator's own sources run here, over real sockets.  Executors are stand-ins: the
 * target has their end of the socket.  Time is a number.  After each step, whoever was
 * served has asked in the right way, and answers are well-formed.  After each input, when
 * all have gone, the mediator has no process, no descriptor and no charge left.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <vgpu/layout.h>

#include "common/fdpass.h"
#include "common/settings.h"
#include "fuzz.h"
#include "mediator/mediator.h"

static int fuzz_clock(clockid_t clock, struct timespec *ts);
static pid_t fuzz_waitpid(pid_t pid, int *status, int options);
static int fuzz_kill(pid_t pid, int signal);

#define clock_gettime fuzz_clock
#define waitpid fuzz_waitpid
#define kill fuzz_kill
#include "mediator/source.c"
#include "mediator/proc.c"
#undef clock_gettime
#undef waitpid
#undef kill

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

#define PROGRAMS	6
#define ASKERS		3
#define EXECUTORS	12
#define FDS_MAX		10		/* more than a message may bring */
#define BYTES_MAX	4400		/* more than vgpuctl may say */
#define FDS_LOOKED_AT	256

#define REQUIRE(condition)                                                              \
	do {                                                                            \
		if (!(condition)) {                                                     \
			fprintf(stderr, "mediator.c:%d: %s\n", __LINE__, #condition);   \
			abort();                                                        \
		}                                                                       \
	} while (0)

struct input {
	const uint8_t *data;
	size_t bytes;
};

struct program {
	int fd;				/* -1: not connected */
	bool asked;			/* it has said something */
	bool right;			/* and that was a right hello */
};

struct executor {
	int fd;
	pid_t pid;			/* 0: none */
	bool ended;
	bool ready;			/* it has sent a struct vg_exec_ready */
};

static struct program programs[PROGRAMS];
static int askers[ASKERS];
static struct executor executors[EXECUTORS];
static char folder[] = "/tmp/vgpu-fuzz-XXXXXX";
static char socket_path[64], control_path[64];
static int some_fds[4];
static int64_t now_ms;
static pid_t next_pid;
static bool spawn_fails, ready_at_once;
static uint8_t last_token[VG_TOKEN_BYTES];	/* that was given out */
static struct vg_tenant *local;

int vg_host_info(const struct vg_tenant *t, void *info)
{
	(void)t;
	(void)info;
	return -ENODEV;
}

/* Stand-ins for the kernel's part. */

static int fuzz_clock(clockid_t clock, struct timespec *ts)
{
	(void)clock;
	ts->tv_sec = now_ms / 1000;
	ts->tv_nsec = now_ms % 1000 * 1000000;
	return 0;
}

uint32_t vg_host_why(const struct vg_tenant *t, int error)
{
	(void)t;
	(void)error;
	return 0;
}

void vg_host_look(struct vg_tenant *t)
{
	(void)t;
}

void vg_stop(int status)
{
	(void)status;
}

int vg_start(char *const *argv, char *const *env, int sock, pid_t *pid)
{
	struct vg_exec_ready ready = { .size = sizeof(ready), .version = 12000, .devices = 1 };
	struct executor *e;

	(void)argv;
	(void)env;
	for (e = executors; e < executors + EXECUTORS; e++)
		if (!e->pid)
			break;
	if (spawn_fails || e == executors + EXECUTORS)
		return EAGAIN;
	*e = (struct executor){ .fd = fcntl(sock, F_DUPFD_CLOEXEC, 0), .pid = ++next_pid };
	*pid = e->pid;
	e->ready = ready_at_once;
	if (e->ready)
		REQUIRE(send(e->fd, &ready, sizeof(ready), MSG_NOSIGNAL) == sizeof(ready));
	return 0;
}

static void executor_ends(struct executor *e)
{
	if (e->fd >= 0)
		close(e->fd);
	e->fd = -1;
	e->ended = true;
}

static pid_t fuzz_waitpid(pid_t pid, int *status, int options)
{
	(void)pid;
	(void)options;
	for (struct executor *e = executors; e < executors + EXECUTORS; e++) {
		if (!e->pid || !e->ended)
			continue;
		pid = e->pid;
		e->pid = 0;
		*status = pid % 3 ? 0 : SIGSEGV;
		return pid;
	}
	return 0;
}

static int fuzz_kill(pid_t pid, int signal)
{
	(void)signal;
	for (struct executor *e = executors; e < executors + EXECUTORS; e++)
		if (e->pid == pid)
			executor_ends(e);
	return 0;
}

/* The input. */

static uint64_t take(struct input *in, size_t n)
{
	uint64_t v = 0;

	if (n > in->bytes)
		n = in->bytes;
	memcpy(&v, in->data, n);
	in->data += n;
	in->bytes -= n;
	return v;
}

/* Overwrite words of a message with the input's, as often as it says. */
static void spoil(struct input *in, void *message, size_t bytes)
{
	for (unsigned int n = take(in, 1) & 3; n; n--) {
		size_t at = take(in, 1) % (bytes / 4) * 4;
		uint32_t word = take(in, 4);

		memcpy((uint8_t *)message + at, &word, sizeof(word));
	}
}

/* What somebody sends: `message`, or bytes of the input in its place.  The length. */
static size_t compose(struct input *in, void *buf, const void *message, size_t bytes, uint8_t how)
{
	size_t n = bytes;

	if (how & 1) {
		size_t have;

		n = take(in, 2) % (BYTES_MAX + 1);
		memset(buf, take(in, 1), n);
		have = n < in->bytes ? n : in->bytes;
		memcpy(buf, in->data, have);
		in->data += have;
		in->bytes -= have;
		return n;
	}
	memcpy(buf, message, bytes);
	spoil(in, buf, bytes);
	if (how & 2) {
		n = take(in, 2) % (BYTES_MAX + 1);
		if (n > bytes)
			memset((uint8_t *)buf + bytes, 0, n - bytes);
	}
	return n;
}

/* Descriptors of several kinds come with it. */
static void say(int fd, const void *buf, size_t bytes, unsigned int fds)
{
	struct iovec iov = { .iov_base = (void *)buf, .iov_len = bytes };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	union {
		char buf[CMSG_SPACE(FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct cmsghdr *c;

	if (fds) {
		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(fds * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(fds * sizeof(int));
		for (unsigned int i = 0; i < fds; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &some_fds[i % 4], sizeof(int));
	}
	if (sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return;
}

static int connect_to(const char *path, int type)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(addr.sun_path, path, strlen(path) + 1);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* The mediator's loop. */
static void run(void)
{
	for (int i = 0; i < 3; i++) {
		vg_procs_tick();
		vg_listen_tick();
		vg_users_tick();
		vg_procs_refill();
		vg_sources_wait(0);
	}
	vg_procs_reap();
	while (vg_closers_open())
		sched_yield();
}

/* Programs. */

static bool is_right(const void *buf, size_t bytes)
{
	const struct vg_sock_hello *h = buf;
	struct vgpu_layout layout;

	return bytes == sizeof(*h) && h->size == sizeof(*h) && h->abi == VG_SOCK_ABI &&
	       !h->reserved && vg_settings_valid(h->settings) &&
	       !vgpu_layout_make(h->sq_bytes, h->slot_count, h->arena_bytes, &layout);
}

static void program_says(struct input *in, struct program *p, uint8_t how)
{
	static const char names[][16] = { "a.out", "\"}\n\x1b[2J", "\xff\xfe\x80", "aaaaaaaaaaaaaaa" };
	static _Alignas(8) uint8_t buf[BYTES_MAX];
	unsigned int fds = how & 4 ? take(in, 1) % (FDS_MAX + 1) : 0;
	struct vg_sock_hello hello = {
		.size = sizeof(hello), .abi = VG_SOCK_ABI,
		.sq_bytes = VGPU_SQ_MIN << (how >> 5 & 1), .slot_count = 4,
		.arena_bytes = VGPU_RING_PAGE,
	};
	size_t bytes;

	memcpy(hello.comm, names[how >> 3 & 3], sizeof(hello.comm));
	bytes = compose(in, buf, &hello, sizeof(hello), how);
	if (!p->asked)
		p->right = is_right(buf, bytes) && !fds;
	p->asked = true;
	say(p->fd, buf, bytes, fds);
}

/* Whoever is served has asked as the protocol says, and gets all of it. */
static void program_hears(struct program *p)
{
	struct vg_sock_welcome welcome;
	int fds[VG_FDS_MAX], n;

	n = vg_recv_fds(p->fd, &welcome, sizeof(welcome), fds, VG_FDS_MAX);
	if (n < 0) {
		REQUIRE(n == -EAGAIN || n == -EPIPE || n == -ECONNRESET);
		return;
	}
	REQUIRE(welcome.size == sizeof(welcome));
	REQUIRE(n == (welcome.status ? 0 : 3));
	REQUIRE(welcome.status || (p->asked && p->right));
	while (n)
		close(fds[--n]);
}

static void program_leaves(struct program *p)
{
	if (p->fd >= 0)
		close(p->fd);
	*p = (struct program){ .fd = -1 };
}

/* vgpuctl. */

static void asker_hears(int *fd)
{
	static char answer[1 << 16];
	struct json_tokener *parser;
	struct json_object *o;
	size_t at = 0;
	ssize_t n;

	while (at < sizeof(answer) - 1 && (n = recv(*fd, answer + at, sizeof(answer) - 1 - at, 0)) > 0)
		at += n;
	if (!at)
		return;
	answer[at] = '\0';
	for (size_t i = 0; i < at; i++)
		REQUIRE((unsigned char)answer[i] >= 0x20 || answer[i] == '\n');
	/* A control character in a name would be an escape here; a backslash in one is two. */
	for (size_t i = 0; i < at; i++)
		if (answer[i] == '\\')
			REQUIRE(strncmp(&answer[++i], "u00", 3));
	parser = json_tokener_new();
	json_tokener_set_flags(parser, JSON_TOKENER_VALIDATE_UTF8);
	o = json_tokener_parse_ex(parser, answer, at);
	REQUIRE(o && json_object_is_type(o, json_type_object));
	json_object_put(o);
	json_tokener_free(parser);
	close(*fd);
	*fd = -1;
}

static void asker_says(struct input *in, int *fd, uint8_t how)
{
	static const char *const requests[] = {
		"{\"request\": \"status\"}\n", "{\"request\": \"stop\"}\n", "{\"request\": {}}\n",
		"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
	};
	static uint8_t buf[BYTES_MAX];
	const char *text = requests[how >> 3 & 3];

	if (*fd < 0)
		*fd = connect_to(control_path, SOCK_STREAM);
	if (*fd < 0)
		return;
	say(*fd, buf, compose(in, buf, text, strlen(text), how),
	    how & 4 ? take(in, 1) % (FDS_MAX + 1) : 0);
	run();
	asker_hears(fd);
}

/* Executors. */

/* What the mediator tells it; true at the end of the socket. */
static bool executor_hears(struct executor *e)
{
	static _Alignas(8) uint8_t buf[256];
	const struct vg_token_answer *a = (const void *)buf;
	ssize_t n;

	while ((n = recv(e->fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		if (n == sizeof(*a) && !a->status && a->token[0])
			memcpy(last_token, a->token, sizeof(last_token));
	return !n || errno != EAGAIN;
}

static void executor_says(struct input *in, struct executor *e, uint8_t how)
{
	static _Alignas(8) uint8_t buf[BYTES_MAX];
	struct vg_exec_ready ready = { .size = sizeof(ready), .version = 12000, .devices = 1 };
	struct vg_token_request rq = { .size = sizeof(rq), .op = VG_TOKEN_OFFER };
	unsigned int fds = 0;
	size_t bytes;

	if (!e->ready) {
		ready.result = how & 16 ? 100 : 0;
		bytes = compose(in, buf, &ready, sizeof(ready), how);
		fds = how & 4 ? take(in, 1) % (FDS_MAX + 1) : 0;
		e->ready = true;
		say(e->fd, buf, bytes, fds);
		run();
		if (bytes != sizeof(ready) || fds)
			REQUIRE(executor_hears(e));
		return;
	}
	rq.op = 1 + (how >> 3) % 5;
	rq.kind = rq.op == VG_TOKEN_LISTENER ? 0 : 1 + (how >> 6) % (VG_TOKEN_KINDS - 1);
	rq.bytes = take(in, 1);
	memcpy(rq.token, last_token, sizeof(rq.token));
	bytes = compose(in, buf, &rq, sizeof(rq), how);
	if (how & 4)
		fds = take(in, 1) % (FDS_MAX + 1);
	else if (rq.op == VG_TOKEN_OFFER)
		fds = vg_token_has_fd(rq.kind);
	say(e->fd, buf, bytes, fds);
	run();
	if (bytes != sizeof(rq) || fds > 1)
		REQUIRE(executor_hears(e));
}

static void step(struct input *in)
{
	uint8_t who = take(in, 1), how = take(in, 1);
	struct program *p = &programs[who / 8 % PROGRAMS];
	struct executor *e = &executors[who / 8 % EXECUTORS];

	switch (who % 8) {
	case 0:
	case 1:
		if (p->fd < 0)
			p->fd = connect_to(socket_path, SOCK_SEQPACKET);
		if (p->fd >= 0 && who % 8)
			program_says(in, p, how);
		break;
	case 2:
		program_leaves(p);
		break;
	case 3:
		asker_says(in, &askers[who / 8 % ASKERS], how);
		break;
	case 4:
	case 5:
		if (e->fd >= 0)
			executor_says(in, e, how);
		break;
	case 6:
		if (e->pid && how & 1)
			executor_ends(e);
		else
			spawn_fails = how & 2;
		break;
	case 7:
		now_ms += 1 << how % 16;
		break;
	}
	run();
	for (p = programs; p < programs + PROGRAMS; p++)
		if (p->fd >= 0)
			program_hears(p);
	for (e = executors; e < executors + EXECUTORS; e++)
		if (e->fd >= 0 && executor_hears(e) && how & 8)
			executor_ends(e);
	REQUIRE(local->token_count <= 4096 && local->token_fds <= 512);
}

static unsigned int descriptors(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < FDS_LOOKED_AT; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void begin(struct input *in)
{
	uint8_t how = take(in, 1);

	vg_config.spares = how & 1;
	vg_config.warm = how & 2;
	vg_config.starts = how & 4 ? 100 : 1;
	vg_config.programs = 4;
	vg_config.connections = 3;
	atomic_store(&local->account->limit, how & 8 ? 100 : UINT64_MAX);
	spawn_fails = false;
	ready_at_once = how & 16;
	memset(last_token, 0, sizeof(last_token));
	next_pid = 1000;
	refill_at = 0;
	monitored = false;
	driver = (struct vg_exec_ready){ 0 };
}

/* All leave, and nothing of them is left. */
static void end(void)
{
	vg_config.spares = 0;
	for (struct program *p = programs; p < programs + PROGRAMS; p++)
		program_leaves(p);
	for (int i = 0; i < ASKERS; i++) {
		if (askers[i] >= 0)
			close(askers[i]);
		askers[i] = -1;
	}
	/* A mediator that serves what was asked before has a new executor for it. */
	for (int i = 0; i < 4; i++) {
		run();
		for (struct executor *e = executors; e < executors + EXECUTORS; e++)
			if (e->pid)
				executor_ends(e);
		now_ms += 10000;
	}
	run();
	REQUIRE(LIST_EMPTY(&vg_procs));
	REQUIRE(LIST_EMPTY(&paused));
	REQUIRE(!local->procs && !local->token_count && !local->token_fds);
	REQUIRE(!vg_tenant_memory(local));
	for (unsigned int i = 0; i < VG_ACCOUNT_ENTRIES; i++)
		REQUIRE(!local->entry_used[i]);
}

/* As on a kernel that does not refuse descriptors for the mediator (before Linux 6.16). */
static void let_descriptors_through(void)
{
	socklen_t len = sizeof(int);
	int on = 1, listens;

	for (int fd = 0; fd < FDS_LOOKED_AT; fd++)
		if (!getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) && listens)
			setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &on, sizeof(on));
}

static void remove_folder(void)
{
	unlink(socket_path);
	unlink(control_path);
	rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	REQUIRE(mkdtemp(folder));
	snprintf(socket_path, sizeof(socket_path), "%s/vgpu", folder);
	snprintf(control_path, sizeof(control_path), "%s/control", folder);
	atexit(remove_folder);
	some_fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	some_fds[1] = memfd_create("fuzz", MFD_CLOEXEC);
	some_fds[2] = eventfd(0, EFD_CLOEXEC);
	some_fds[3] = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < PROGRAMS; i++)
		programs[i].fd = -1;
	for (int i = 0; i < EXECUTORS; i++)
		executors[i].fd = -1;
	memset(askers, -1, sizeof(askers));
	now_ms = 1000000;

	REQUIRE(!vg_config_load("/nonexistent", false));
	vg_config.socket = socket_path;
	vg_config.control = control_path;
	vg_config.user = "";
	/* Each line is made, and none is shown. */
	vg_log_init("fuzz", VG_DEBUG);
	vg_log_to(open("/dev/null", O_WRONLY | O_CLOEXEC));
	REQUIRE(!vg_sources_open() && !vg_listen_open() && !vg_control_open());
	let_descriptors_through();
	local = LIST_FIRST(&vg_tenants);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct input in = { data, bytes };
	unsigned int before = descriptors();

	begin(&in);
	while (in.bytes)
		step(&in);
	end();
	REQUIRE(descriptors() == before);
	return 0;
}
