// SPDX-License-Identifier: Apache-2.0
/*
 * The starter: the thread that starts executors.
 *
 * A child closes its copies of its parent's descriptors before it runs its program, and
 * posix_spawn() waits for that.  A file that others have sent can make each close wait, not
 * the last one alone (FUSE), so the mediator would wait as long as its owner likes.  Hence the
 * starter has a table of descriptors of its own, which it takes before anything comes from
 * outside: it has standard input, output and error, its socket to the loop, and the socket of
 * the executor that it starts.
 *
 * It never ends, because executors die with the thread that started them (PR_SET_PDEATHSIG).
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/fdpass.h"
#include "mediator.h"

#define EXECUTOR_FD	3

struct request {
	char *const *argv, *const *env;
};

struct answer {
	int error;
	pid_t pid;
};

static int starter = -1;	/* the loop's end of the socket to it */

static struct answer start(char *const *argv, char *const *env, int sock)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	struct answer a = { 0 };
	sigset_t none;

	posix_spawn_file_actions_init(&actions);
	/* dup2() onto itself would leave close-on-exec set; so would nothing. */
	posix_spawn_file_actions_adddup2(&actions, sock, EXECUTOR_FD);
	posix_spawn_file_actions_addclosefrom_np(&actions, EXECUTOR_FD + 1);
	posix_spawnattr_init(&attr);
	sigemptyset(&none);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	a.error = posix_spawn(&a.pid, argv[0], &actions, &attr, argv, env);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	return a;
}

/* Whoever started the mediator may have left descriptors open, too. */
static int leave_table(int keep)
{
	if (unshare(CLONE_FILES))
		return errno;
	if (keep > STDERR_FILENO + 1 && close_range(STDERR_FILENO + 1, keep - 1, 0))
		return errno;
	if (keep < STDERR_FILENO)
		keep = STDERR_FILENO;
	return close_range(keep + 1, ~0U, 0) ? errno : 0;
}

static void *serve(void *arg)
{
	int loop = (int)(intptr_t)arg, sock;
	struct answer a = { .error = leave_table(loop) };
	struct request rq;

	while (!vg_send_fds(loop, &a, sizeof(a), NULL, 0) &&
	       vg_recv_fds(loop, &rq, sizeof(rq), &sock, 1) == 1) {
		a = start(rq.argv, rq.env, sock);
		close(sock);
	}
	/* The loop's end is never closed. */
	abort();
}

int vg_start_open(void)
{
	sigset_t all, was;
	pthread_t thread;
	struct answer a;
	int sv[2], ret;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv)) {
		ret = errno;
		goto fail;
	}
	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	ret = pthread_create(&thread, NULL, serve, (void *)(intptr_t)sv[1]);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	if (ret)
		goto fail;
	pthread_detach(thread);
	/* Its table is its own from its first answer on, in which it has a copy of sv[1]. */
	ret = -vg_recv_fds(sv[0], &a, sizeof(a), NULL, 0);
	if (!ret)
		ret = a.error;
	if (ret)
		goto fail;
	close(sv[1]);
	starter = sv[0];
	return 0;

fail:
	vg_err("cannot make the thread that starts executors: %s", strerror(ret));
	return -ret;
}

int vg_start(char *const *argv, char *const *env, int sock, pid_t *pid)
{
	struct request rq = { argv, env };
	struct answer a;
	int ret = vg_send_fds(starter, &rq, sizeof(rq), &sock, 1);

	if (!ret)
		ret = vg_recv_fds(starter, &a, sizeof(a), NULL, 0);
	if (ret)
		return -ret;
	*pid = a.pid;
	return a.error;
}
