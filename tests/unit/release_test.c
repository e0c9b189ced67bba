// SPDX-License-Identifier: Apache-2.0
/*
 * When a channel of a VM is given up: after its executor has been reaped, whatever the
 * executor did with its own descriptor before.
 *
 * The mediator's half runs here against a host module made of a FIFO, a socket pair and
 * a pipe; the pipe's writing end is the channel, so its reading end hangs up when the
 * last copy of the channel is closed.  The executor is this program again: it closes the
 * channel at once and lives on, as one whose driver still has the device open.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/vgpu_host.h>

#include "common/fdpass.h"
#include "mediator/mediator.h"

static struct vg_source *sources[8];
static int vgpu[2], channel[2];

/* No vGPU here is without the host module. */
bool vg_vfiouser_reaped(pid_t pid, int status)
{
	(void)pid;
	(void)status;
	return false;
}

int vg_vfiouser_info(const struct vg_tenant *t, struct vgpu_host_vgpu_info *info)
{
	(void)t;
	(void)info;
	return -ENODEV;
}

int vg_source_add(struct vg_source *s, uint32_t events)
{
	(void)events;
	for (int i = 0; i < 8; i++)
		if (!sources[i]) {
			sources[i] = s;
			return 0;
		}
	return -ENOSPC;
}

void vg_source_remove(struct vg_source *s)
{
	if (s->fd < 0)
		return;
	close(s->fd);
	s->fd = -1;
	for (int i = 0; i < 8; i++)
		if (sources[i] == s)
			sources[i] = NULL;
}

void vg_source_pause(struct vg_source *s, int64_t ms)
{
	(void)s;
	(void)ms;
}

static int64_t now_ms = 1;
static bool in_use = true;	/* a VM has the vGPU open, as the module says */

int64_t vg_now_ms(void)
{
	return now_ms;
}

int __wrap_ioctl(int fd, unsigned long request, void *arg);

int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
	(void)fd;
	switch (request) {
	case VGPU_HOST_IOC_OPEN_VGPU:
		((struct vgpu_host_open_vgpu *)arg)->out_fd = vgpu[0];
		return 0;
	case VGPU_HOST_IOC_OPEN_CHANNEL:
		((struct vgpu_host_open_channel *)arg)->out_fd = channel[1];
		return 0;
	case VGPU_HOST_IOC_VGPU_INFO:
		((struct vgpu_host_vgpu_info *)arg)->out_in_use = in_use;
		return 0;
	case VGPU_HOST_IOC_CHANNEL_INFO:
		return 0;
	}
	errno = ENOTTY;
	return -1;
}

/* What others have sent, and whether whoever starts an executor has a copy of it to close. */
static int foreign = -1, starts, copies;

int __real_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
		       const posix_spawnattr_t *attr, char *const argv[], char *const envp[]);
int __wrap_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
		       const posix_spawnattr_t *attr, char *const argv[], char *const envp[]);

int __wrap_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
		       const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	starts++;
	for (int fd = 0; fd < 256; fd++)
		copies += fcntl(fd, F_GET_SEALS) == F_SEAL_GROW;
	return __real_posix_spawn(pid, path, actions, attr, argv, envp);
}

static bool given_up(void)
{
	struct pollfd p = { .fd = channel[0] };

	return poll(&p, 1, 200) == 1 && (p.revents & POLLHUP);
}

/* The log's events in their order, with spaces between: "add connect". */
static const char *events(int log)
{
	static char text[8192], found[256];
	ssize_t n = pread(log, text, sizeof(text) - 1, 0);

	*found = '\0';
	text[n > 0 ? n : 0] = '\0';
	for (char *at = text; (at = strstr(at, "event=")); at++) {
		size_t used = strlen(found);

		snprintf(found + used, sizeof(found) - used, "%s%.*s", used ? " " : "",
			 (int)strcspn(at + 6, " \n"), at + 6);
	}
	return found;
}

static void after_the_reaping(void **state)
{
	struct vgpu_host_event event = { .kind = VGPU_HOST_EV_ADDED, .id = 1 };
	char dir[] = "/tmp/vgpu-release-XXXXXX", host[64], said[64], byte;
	int fifo, from, log;
	struct vg_proc *p;
	siginfo_t info;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(host, sizeof(host), "%s/host", dir);
	snprintf(said, sizeof(said), "%s/said", dir);
	assert_int_equal(mkfifo(host, 0600), 0);
	assert_int_equal(mkfifo(said, 0600), 0);
	setenv("VGPU_TEST_SAID", said, 1);
	from = open(said, O_RDWR | O_CLOEXEC);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, vgpu), 0);
	assert_int_equal(pipe2(channel, O_CLOEXEC), 0);

	assert_int_equal(vg_config_load("/nonexistent/vgpu.conf", false), 0);
	vg_config.executor = realpath("/proc/self/exe", NULL);
	vg_config.host_device = host;
	vg_config.user = "";
	vg_config.spares = 0;
	log = memfd_create("log", MFD_CLOEXEC);
	vg_log_to(log);
	vg_host_poll();
	foreign = memfd_create("foreign", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(fcntl(foreign, F_ADD_SEALS, F_SEAL_GROW), 0);
	fifo = open(host, O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(fifo, &event, sizeof(event)), sizeof(event));
	sources[0]->ready(sources[0], POLLIN);
	assert_non_null(sources[1]);
	event = (struct vgpu_host_event){ .kind = VGPU_HOST_EV_CHANNEL, .id = 3 };
	assert_int_equal(write(vgpu[1], &event, sizeof(event)), sizeof(event));
	sources[1]->ready(sources[1], POLLIN);

	p = LIST_FIRST(&vg_procs);
	assert_non_null(p);
	assert_int_equal(starts, 1);
	assert_int_equal(copies, 0);
	assert_int_equal(p->state, VG_PROC_SERVING);
	/* The executor has closed its copy, and lives. */
	assert_int_equal(read(from, &byte, 1), 1);
	assert_int_equal(byte, 'c');	/* and had none that was not given to it */
	assert_false(given_up());
	/* The guest has closed the channel: the executor is told, and has not ended yet. */
	event = (struct vgpu_host_event){ .kind = VGPU_HOST_EV_CLOSED, .id = 3 };
	assert_int_equal(write(vgpu[1], &event, sizeof(event)), sizeof(event));
	sources[1]->ready(sources[1], POLLIN);
	assert_int_equal(p->state, VG_PROC_ENDING);
	assert_int_equal(read(from, &byte, 1), 1);
	assert_int_equal(byte, 'e');
	assert_false(given_up());
	/* It has ended, and is not reaped. */
	assert_int_equal(kill(p->pid, SIGKILL), 0);
	assert_int_equal(waitid(P_PID, p->pid, &info, WEXITED | WNOWAIT), 0);
	assert_false(given_up());
	vg_procs_reap();
	assert_true(LIST_EMPTY(&vg_procs));
	assert_true(given_up());
	/* What an operator reads of this; the module is asked again after a second. */
	assert_string_equal(events(log), "add connect begin end");
	in_use = false;
	vg_host_watch();
	assert_string_equal(events(log), "add connect begin end disconnect");
	vg_host_watch();
	in_use = true;
	vg_host_watch();
	assert_string_equal(events(log), "add connect begin end disconnect");
	now_ms += 1000;
	vg_host_watch();
	assert_string_equal(events(log), "add connect begin end disconnect connect");
	/* While it is drained, the only copy of a new channel is closed. */
	vg_drain(LIST_FIRST(&vg_tenants), true);
	assert_int_equal(pipe2(channel, O_CLOEXEC), 0);
	event = (struct vgpu_host_event){ .kind = VGPU_HOST_EV_CHANNEL, .id = 4 };
	assert_int_equal(write(vgpu[1], &event, sizeof(event)), sizeof(event));
	sources[1]->ready(sources[1], POLLIN);
	assert_true(LIST_EMPTY(&vg_procs));
	assert_true(given_up());
	assert_string_equal(events(log), "add connect begin end disconnect connect drain refuse");
	/* The vGPU goes, and with it the VM's connection. */
	sources[1]->ready(sources[1], POLLHUP);
	assert_string_equal(events(log),
			    "add connect begin end disconnect connect drain refuse disconnect remove");
	vg_log_to(STDERR_FILENO);
	close(log);
	unlink(host);
	unlink(said);
	rmdir(dir);
}

static int executor(void)
{
	struct vg_exec_ready ready = { .size = sizeof(ready), .version = 13000, .devices = 1 };
	struct vg_assign assign;
	int fds[VG_FDS_MAX], said;

	/* Nothing but the socket, whatever the mediator has open. */
	for (int fd = 4; fd < 256; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			return 1;
	vg_send_fds(3, &ready, sizeof(ready), NULL, 0);
	if (vg_recv_fds(3, &assign, sizeof(assign), fds, VG_FDS_MAX) != 3)
		return 1;
	said = open(getenv("VGPU_TEST_SAID"), O_WRONLY);
	close(fds[0]);
	(void)!write(said, "c", 1);
	vg_recv_fds(3, &assign, sizeof(assign), fds, VG_FDS_MAX);
	(void)!write(said, "e", 1);
	pause();
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(after_the_reaping),
	};

	if (argc > 1 && !strcmp(argv[1], "--libcuda"))
		return executor();
	/* As one that has been left open by whoever started the mediator. */
	if (dup2(STDERR_FILENO, 200) != 200 || vg_start_open())
		return 1;
	return cmocka_run_group_tests_name("release", tests, NULL, NULL);
}
