// SPDX-License-Identifier: Apache-2.0
/*
 * vgpu-mediatord: gives each guest process an executor, and watches over them.
 * Everything happens in response to a descriptor or a timer, on one thread; others only close
 * files, start executors and write the history.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "mediator.h"
#include "state.h"
#include "vg_version.h"

#define CONFIG_DEFAULT	"/etc/vgpu/vgpu.conf"
#define HOST_POLL_MS	1000	/* how often to look for /dev/vgpu-host */

static bool stopping;
static int exit_status = EXIT_SUCCESS;
static const char *config;	/* NULL: CONFIG_DEFAULT, which may be missing */
static int level = -2;		/* of the command line, which has precedence */

void vg_stop(int status)
{
	stopping = true;
	exit_status = status;
}

static void set_level(void)
{
	if (level >= 0)
		vg_config.log_level = level;
	vg_log_init("vgpu-mediatord", vg_config.log_level);
}

static void reload(void)
{
	vg_info("SIGHUP: reading the configuration again");
	if (vg_config_reload(config ? config : CONFIG_DEFAULT, config) <= 0)
		return;
	set_level();
	vg_quotas_apply_all();
	/* Those that wait were started with what was in force. */
	vg_procs_renew();
}

static void signal_ready(struct vg_source *s, uint32_t events)
{
	struct signalfd_siginfo info;

	(void)events;
	while (read(s->fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			vg_procs_reap();
		else if (info.ssi_signo == SIGHUP)
			reload();
		else
			stopping = true;
	}
}

static struct vg_source signals = { .fd = -1, .ready = signal_ready };

static int signals_open(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return signals.fd < 0 ? -errno : vg_source_add(&signals, EPOLLIN);
}

/* sd_notify(3)'s protocol: a datagram to the socket that systemd names. */
static void notify(const char *state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	int fd;

	if (!path || strlen(path) >= sizeof(addr.sun_path))
		return;
	strcpy(addr.sun_path, path);
	if (*path == '@')
		addr.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&addr,
	       offsetof(struct sockaddr_un, sun_path) + strlen(path));
	close(fd);
}

static void stop(void)
{
	struct vg_proc *p;
	int64_t end = vg_now_ms() + 3000;

	notify("STOPPING=1");
	vg_info("stopping");
	vg_config.spares = 0;
	vg_listen_close();
	vg_vfiouser_close();
	vg_control_close();
	LIST_FOREACH(p, &vg_procs, node)
		vg_proc_end_for(p, "the mediator stopped");
	while ((!LIST_EMPTY(&vg_procs) || vg_closers_open()) && vg_now_ms() < end) {
		usleep(10000);
		vg_procs_reap();
		vg_procs_tick();
		vg_closers_tick();
	}
	vg_event_of(VG_EVENT_STOP, NULL);
	vg_history_close();
}

static void run(void)
{
	bool ready = false;

	while (!stopping) {
		int timeout = vg_procs_tick(), listen = vg_listen_tick();
		int closing = vg_closers_tick();

		if (!ready && vg_procs_driver().size) {
			ready = true;
			vg_info("ready: the CUDA driver %s works", vg_config.libcuda);
			notify("READY=1\nSTATUS=The CUDA driver works");
		}
		vg_users_tick();
		vg_host_poll();
		vg_host_watch();
		vg_procs_watch();
		vg_procs_refill();
		vg_procs_try();
		if (listen >= 0 && (timeout < 0 || listen < timeout))
			timeout = listen;
		if (closing >= 0 && (timeout < 0 || closing < timeout))
			timeout = closing;
		if (timeout < 0 || timeout > HOST_POLL_MS)
			timeout = HOST_POLL_MS;
		vg_sources_wait(timeout);
	}
}

/* Each executor takes descriptors, and so does what one has exported: a vGPU has its bounds. */
static void raise_limit(void)
{
	struct rlimit files;

	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max < VG_OPEN_MAX ? files.rlim_max : VG_OPEN_MAX;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

static void usage(FILE *to)
{
	fprintf(to, "usage: vgpu-mediatord [--config FILE] [--log-level LEVEL]\n"
		    "       vgpu-mediatord --help | --version\n"
		    "Gives guest processes their executors. FILE defaults to " CONFIG_DEFAULT "\n"
		    "(and may be missing); LEVEL is error, warning, info or debug.\n");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "log-level", required_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	int option;

	/* Whoever reads the log may end before the mediator does. */
	signal(SIGPIPE, SIG_IGN);
	vg_log_init("vgpu-mediatord", VG_INFO);
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			config = optarg;
			break;
		case 'v':
			level = vg_log_level_parse(optarg);
			break;
		case 'h':
			usage(stdout);
			return EXIT_SUCCESS;
		case 'V':
			printf("vgpu-mediatord %s\n", VG_VERSION);
			return EXIT_SUCCESS;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (level == -1 || optind != argc) {
		usage(stderr);
		return 2;
	}
	if (vg_config_load(config ? config : CONFIG_DEFAULT, config))
		return 2;
	set_level();
	if (vg_config_check() || vg_state_open())
		return 2;

	raise_limit();
	/* Before anything comes from outside. */
	if (vg_start_open() || vg_sources_open() || signals_open() || vg_procs_init() || vg_listen_open() || vg_vfiouser_open() ||
	    vg_control_open())
		return EXIT_FAILURE;
	/* Without it all else works. */
	vg_history_open();
	vg_event_of(VG_EVENT_START, NULL);
	notify("STATUS=Waiting for the CUDA driver");
	run();
	stop();
	return exit_status;
}
