// SPDX-License-Identifier: Apache-2.0
/*
 * System calls that executors' filters do not allow (executor/filter.c).
 *
 * A thread of the executor waits in such a call until it is answered here: EPERM, or,
 * where the configuration says so, the kernel runs the call after all.  Each name is
 * logged once for each executor.  An executor that a guest has taken over may make such
 * calls all the time, so each has a number of them; after that the listener is closed,
 * and the kernel answers with ENOSYS and without the mediator.
 */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "mediator.h"

#define ANSWERS_MAX 1000u	/* of one executor */

static struct vg_proc *of_listener(struct vg_source *s)
{
	return (struct vg_proc *)((char *)s - offsetof(struct vg_proc, listener));
}

static bool first_time(struct vg_proc *p, unsigned int call)
{
	unsigned int word = call / 64 % VG_CALL_WORDS;
	uint64_t bit = UINT64_C(1) << call % 64;

	if (p->calls_told[word] & bit)
		return false;
	p->calls_told[word] |= bit;
	return true;
}

static void tell(struct vg_proc *p, const struct seccomp_data *call)
{
	char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, call->nr);
	char number[16], why[96];

	snprintf(number, sizeof(number), "%d", call->nr);
	vg_warn("executor %d: system call %s(0x%llx, 0x%llx, 0x%llx) is not on the list: %s",
		p->pid, name ? name : number, (unsigned long long)call->args[0],
		(unsigned long long)call->args[1], (unsigned long long)call->args[2],
		vg_config.learn ? "let through" : "refused");
	if (!vg_config.learn && p->tenant) {
		snprintf(why, sizeof(why), "system call %s is not on the list",
			 name ? name : number);
		vg_event_refuse(p->tenant, p->guest_pid, p->guest_uid, p->comm, why);
	}
	free(name);
}

static int answer_one(struct vg_proc *p, int fd, struct seccomp_notif *call,
		      struct seccomp_notif_resp *answer)
{
	int ret = seccomp_notify_receive(fd, call);

	/* Whoever waited was killed meanwhile, or a signal came. */
	if (ret)
		return errno == ENOENT || errno == EINTR ? 0 : ret;
	if (first_time(p, call->data.nr))
		tell(p, &call->data);
	answer->id = call->id;
	answer->error = vg_config.learn ? 0 : -EPERM;
	answer->flags = vg_config.learn ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0;
	seccomp_notify_respond(fd, answer);
	p->calls_refused += !vg_config.learn;
	return 0;
}

static void listener_ready(struct vg_source *s, uint32_t events)
{
	struct seccomp_notif_resp *answer = NULL;
	struct vg_proc *p = of_listener(s);
	struct seccomp_notif *call = NULL;

	/* The kernel wants zeros in them each time.  Without EPOLLIN all threads are gone. */
	if (!(events & EPOLLIN) || seccomp_notify_alloc(&call, &answer) ||
	    answer_one(p, s->fd, call, answer)) {
		vg_source_remove(s);
	} else if (p->calls_refused == ANSWERS_MAX) {
		vg_warn("executor %d: %u system calls were refused; no more of them are logged",
			p->pid, ANSWERS_MAX);
		vg_source_remove(s);
	}
	seccomp_notify_free(call, answer);
}

/* Another kind of descriptor could block in the call that reads from a listener. */
static bool is_listener(int fd)
{
	static const char is[] = "anon_inode:seccomp notify";
	char path[32], target[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target));
	return n == sizeof(is) - 1 && !memcmp(target, is, n);
}

int vg_refused_listen(struct vg_proc *p, const struct vg_token_request *rq, int fd)
{
	int ret;

	if (rq->size != sizeof(*rq) || rq->reserved || rq->kind || fd < 0 ||
	    p->state != VG_PROC_SERVING || p->listener.ready || !is_listener(fd))
		return -EPROTO;
	p->listener = (struct vg_source){ .fd = fd, .ready = listener_ready };
	ret = vg_source_add(&p->listener, EPOLLIN);
	if (ret)
		p->listener = (struct vg_source){ .fd = -1 };	/* it stays the caller's */
	return ret;
}
