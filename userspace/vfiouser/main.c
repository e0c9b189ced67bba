// SPDX-License-Identifier: Apache-2.0
/*
 * vgpu-vfio-user: the device of one VM, for a host without vgpu_host.ko.
 *
 * The mediator starts it with a socket as descriptor 3, over which it gets the connection of
 * the VM's client, and over which it says which channels want executors.  It ends when the
 * client or the mediator does.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "common/fdpass.h"
#include "common/log.h"
#include "vfiouser.h"
#include "vg_version.h"

#define CONTROL_FD	3
/*
 * How long an answer waits for executors to let go of memory.  QEMU gives up on an answer
 * after 5 s; the mediator kills an executor after 2.
 */
#define WAIT_MS		4000

#define LOOK_MS		50	/* before the next look, or the next try to tell something */

static struct vfu device;
static struct vfu_wire wire = { .fd = -1 };
static struct vfu_answer answer;
static int epoll_fd = -1;
static int64_t wait_until;	/* ms; 0: no answer waits */
static bool mediator_full;	/* it does not read now */

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void watch_events(int op, int fd, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.fd = fd };

	epoll_ctl(epoll_fd, op, fd, &e);
}

/* Channels by the descriptors that belong to them. */
static struct vfu_channel **owner;
static int owners;

static int watch(struct vfu *v, int fd, struct vfu_channel *ch)
{
	struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };

	(void)v;
	if (fd >= owners) {
		int more = 2 * fd + 64;
		struct vfu_channel **bigger = reallocarray(owner, more, sizeof(*owner));

		if (!bigger)
			return -ENOMEM;
		memset(bigger + owners, 0, (more - owners) * sizeof(*owner));
		owner = bigger;
		owners = more;
	}
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e))
		return -errno;
	owner[fd] = ch;
	return 0;
}

static void forget(struct vfu *v, int fd)
{
	(void)v;
	if (fd >= owners || !owner[fd])
		return;
	owner[fd] = NULL;
	epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

static int tell(struct vfu *v, const struct vg_vfu_event *event, int fd)
{
	int ret = vg_send_fds(CONTROL_FD, event, sizeof(*event), &fd, fd >= 0);

	(void)v;
	if (ret == -EAGAIN && !mediator_full) {
		mediator_full = true;
		watch_events(EPOLL_CTL_MOD, CONTROL_FD, EPOLLIN | EPOLLOUT);
	}
	return ret;
}

static void hear(struct vfu *v)
{
	struct vg_vfu_refusal r;

	while (!vg_recv_fds(CONTROL_FD, &r, sizeof(r), NULL, 0))
		vfu_channel_refused(v, &r);
}

static const struct vfu_ops ops = { .watch = watch, .forget = forget, .tell = tell, .hear = hear };

/* The answer that waited, if it has waited long enough. */
static int settle(void)
{
	int ret;

	if (!wait_until || (vfu_channels_dying(&device) && now_ms() < wait_until))
		return 0;
	wait_until = 0;
	watch_events(EPOLL_CTL_MOD, wire.fd, EPOLLIN);
	ret = vfu_wire_send(&wire, &answer);
	vfu_wire_next(&wire);
	return ret;
}

/* One message.  0, or a negative errno: the client has gone, or is to go. */
static int client(void)
{
	int ret = vfu_wire_receive(&wire);

	if (ret <= 0)
		return ret;
	switch (vfu_serve(&device, &wire.m, &answer)) {
	case VFU_END:
		return -EPROTO;
	case VFU_WAIT:
		if (vfu_channels_dying(&device)) {
			wait_until = now_ms() + WAIT_MS;
			watch_events(EPOLL_CTL_MOD, wire.fd, 0);
			return 0;
		}
		break;
	case VFU_NEXT:
		break;
	}
	ret = answer.head.size ? vfu_wire_send(&wire, &answer) : 0;
	vfu_wire_next(&wire);
	return ret;
}

static int loop(void)
{
	struct epoll_event e;
	int ret = 0, n;

	for (;;) {
		vfu_channels_tell(&device);
		ret = settle();
		if (ret)
			return ret;
		/* One at a time, because serving one may end what another is about. */
		n = epoll_wait(epoll_fd, &e, 1,
			       wait_until || (device.untold && !mediator_full) ? LOOK_MS : -1);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n <= 0)
			continue;
		if (e.data.fd == CONTROL_FD) {
			if (e.events & (EPOLLHUP | EPOLLERR))
				return 0;
			hear(&device);
			if (e.events & EPOLLOUT)
				mediator_full = false;
			if (!mediator_full)
				watch_events(EPOLL_CTL_MOD, CONTROL_FD, EPOLLIN);
		} else if (e.data.fd == wire.fd) {
			ret = wait_until ? -EPIPE : client();
			if (ret)
				return ret;
		} else if (e.data.fd < owners && owner[e.data.fd]) {
			vfu_channel_ready(&device, owner[e.data.fd], e.data.fd);
		}
	}
}

/* 0 or a negative errno. */
static int take_assignment(void)
{
	struct vg_vfu_assign a;
	int fds[2], ret;

	ret = vg_recv_fds(CONTROL_FD, &a, sizeof(a), fds, 2);
	if (ret < 0)
		return ret;
	if (ret != 2 || a.size != sizeof(a))
		return -EPROTO;
	device.counters = mmap(NULL, sizeof(*device.counters), PROT_READ | PROT_WRITE, MAP_SHARED,
			       fds[1], 0);
	if (device.counters == MAP_FAILED)
		return -errno;
	close(fds[1]);
	fcntl(CONTROL_FD, F_SETFL, O_NONBLOCK);
	wire.fd = fds[0];
	device.mem_bytes = a.mem_bytes;
	memcpy(device.uuid, a.uuid, sizeof(device.uuid));
	return vfu_sandbox_become(a.uid, a.gid);
}

static int start(void)
{
	struct epoll_event e = { 0 };
	int ret = take_assignment();

	if (ret)
		return ret;
	prctl(PR_SET_PDEATHSIG, SIGKILL);	/* after the change of user, which clears it */
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		return -errno;
	e.events = EPOLLIN;
	e.data.fd = CONTROL_FD;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, CONTROL_FD, &e))
		return -errno;
	e = (struct epoll_event){ .events = EPOLLIN, .data.fd = wire.fd };
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, wire.fd, &e))
		return -errno;
	vfu_init(&device, &ops);
	return vfu_sandbox_enter();
}

static void usage(FILE *to)
{
	fprintf(to, "usage: vgpu-vfio-user [--log-level LEVEL]\n"
		    "       vgpu-vfio-user --help | --version\n"
		    "Started by vgpu-mediatord, with a socket to it as descriptor 3.\n");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "log-level", required_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	int level = VG_INFO, option, ret;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'v':
			level = vg_log_level_parse(optarg);
			break;
		case 'h':
			usage(stdout);
			return EXIT_SUCCESS;
		case 'V':
			printf("vgpu-vfio-user %s\n", VG_VERSION);
			return EXIT_SUCCESS;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (level < 0 || optind != argc) {
		usage(stderr);
		return 2;
	}
	vg_log_init("vgpu-vfio-user", level);
	signal(SIGPIPE, SIG_IGN);
	ret = start();
	if (ret) {
		vg_err("cannot serve a VM: %s", strerror(-ret));
		return EXIT_FAILURE;
	}
	ret = loop();
	if (ret && ret != -EPIPE && ret != -ECONNRESET)
		vg_warn("the connection of the VM ends: %s", strerror(-ret));
	return ret && ret != -EPIPE && ret != -ECONNRESET ? EXIT_FAILURE : EXIT_SUCCESS;
}
