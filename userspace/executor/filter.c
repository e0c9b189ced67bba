// SPDX-License-Identifier: Apache-2.0
/*
 * The system calls of an executor that serves: a list of what is allowed.
 *
 * The list is what the C library, the CUDA driver and this program need to compute.
 * A call that is not on it is refused with EPERM, and the mediator writes the name of
 * the call into its log, because drivers differ and an operator can add names to the
 * list (vgpu.conf(5), [sandbox]).  The mediator learns of a refused call by seccomp's
 * user notification, and not by a signal: the driver's threads may block all signals,
 * and a blocked SIGSYS ends the process.
 *
 * A thread whose call was refused waits for the mediator's answer.  If the mediator
 * dies, the kernel answers with ENOSYS, and this process ends anyway (PR_SET_PDEATHSIG).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vgpu.h>
#include <linux/vgpu_host.h>

#include "exec_internal.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* With any arguments. */
static const int allowed[] = {
	/* memory */
	SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(mprotect),
	SCMP_SYS(madvise), SCMP_SYS(mincore), SCMP_SYS(msync), SCMP_SYS(mlock), SCMP_SYS(mlock2),
	SCMP_SYS(munlock), SCMP_SYS(mbind), SCMP_SYS(get_mempolicy), SCMP_SYS(set_mempolicy),
	SCMP_SYS(membarrier),
	/* this process and its threads */
	SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(futex), SCMP_SYS(futex_waitv),
	SCMP_SYS(set_robust_list), SCMP_SYS(get_robust_list), SCMP_SYS(rseq),
	SCMP_SYS(set_tid_address), SCMP_SYS(gettid), SCMP_SYS(getpid), SCMP_SYS(getppid),
	SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid),
	SCMP_SYS(getresuid), SCMP_SYS(getresgid), SCMP_SYS(getgroups), SCMP_SYS(getpgrp),
	SCMP_SYS(getpgid), SCMP_SYS(getsid), SCMP_SYS(capget), SCMP_SYS(getrlimit),
	SCMP_SYS(getrusage), SCMP_SYS(getpriority), SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_getparam), SCMP_SYS(sched_getscheduler),
	SCMP_SYS(sched_get_priority_min), SCMP_SYS(sched_get_priority_max), SCMP_SYS(getcpu),
	SCMP_SYS(arch_prctl), SCMP_SYS(uname), SCMP_SYS(sysinfo), SCMP_SYS(getrandom),
	/* signals to this process, and time */
	SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigpending), SCMP_SYS(rt_sigsuspend), SCMP_SYS(rt_sigtimedwait),
	SCMP_SYS(sigaltstack), SCMP_SYS(restart_syscall), SCMP_SYS(pause),
	SCMP_SYS(nanosleep), SCMP_SYS(clock_nanosleep), SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_getres), SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(times),
	SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime), SCMP_SYS(timerfd_gettime),
	/* files: which of them may be opened is Landlock's to say (files.c) */
	SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(close), SCMP_SYS(close_range),
	SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(preadv), SCMP_SYS(preadv2),
	SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(pwrite64), SCMP_SYS(pwritev),
	SCMP_SYS(pwritev2), SCMP_SYS(lseek), SCMP_SYS(ftruncate), SCMP_SYS(fallocate),
	SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(flock), SCMP_SYS(fadvise64),
	SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(statx),
	SCMP_SYS(statfs), SCMP_SYS(fstatfs), SCMP_SYS(access), SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getcwd),
	SCMP_SYS(getdents), SCMP_SYS(getdents64), SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3),
	SCMP_SYS(pipe), SCMP_SYS(pipe2), SCMP_SYS(eventfd), SCMP_SYS(eventfd2),
	SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select), SCMP_SYS(pselect6),
	SCMP_SYS(epoll_create), SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait),
	/* sockets that are open already */
	SCMP_SYS(sendmsg), SCMP_SYS(recvmsg), SCMP_SYS(recvfrom), SCMP_SYS(shutdown),
	SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(getsockname), SCMP_SYS(getpeername),
};

/*
 * The driver makes folders for the code that it has compiled, and removes the files by
 * which it shares events; Landlock says where.
 */
static const int allowed_in_folders[] = { SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(unlink) };

/*
 * With these arguments.  What is missing of fcntl() is what sends signals to other
 * processes (F_SETOWN, F_SETOWN_EX, F_SETSIG, O_ASYNC) and leases.
 */
static const struct {
	int call;
	unsigned int count;
	struct scmp_arg_cmp arg[2];
} allowed_with[] = {
#define IS(n, v) { .arg = (n), .op = SCMP_CMP_MASKED_EQ, .datum_a = 0xffffffff, .datum_b = (v) }
#define BITS(n, mask, v) { .arg = (n), .op = SCMP_CMP_MASKED_EQ, .datum_a = (mask), .datum_b = (v) }
	/* No huge pages of the host's pool, which neither RLIMIT_DATA nor a cgroup counts. */
	{ SCMP_SYS(mmap), 1, { BITS(3, MAP_HUGETLB, 0) } },
	{ SCMP_SYS(memfd_create), 1, { BITS(1, MFD_HUGETLB, 0) } },
	{ SCMP_SYS(fcntl), 1, { IS(1, F_DUPFD) } },
	{ SCMP_SYS(fcntl), 1, { IS(1, F_DUPFD_CLOEXEC) } },
	{ SCMP_SYS(fcntl), 1, { IS(1, F_GETFD) } },
	{ SCMP_SYS(fcntl), 1, { IS(1, F_SETFD) } },
	{ SCMP_SYS(fcntl), 1, { IS(1, F_GETFL) } },
	{ SCMP_SYS(fcntl), 2, { IS(1, F_SETFL), BITS(2, O_ASYNC, 0) } },
	{ SCMP_SYS(fcntl), 1, { IS(1, F_GETLK) } },
	{ SCMP_SYS(fcntl), 1, { IS(1, F_SETLK) } },
	{ SCMP_SYS(fcntl), 1, { IS(1, F_SETLKW) } },
	{ SCMP_SYS(fcntl), 1, { IS(1, F_OFD_GETLK) } },
	{ SCMP_SYS(fcntl), 1, { IS(1, F_OFD_SETLK) } },
	{ SCMP_SYS(fcntl), 1, { IS(1, F_OFD_SETLKW) } },
	{ SCMP_SYS(fcntl), 1, { IS(1, F_ADD_SEALS) } },
	{ SCMP_SYS(fcntl), 1, { IS(1, F_GET_SEALS) } },
	/*
	 * By the kind of device, in bits 8 to 15: NVIDIA's (nv-ioctl-numbers.h), UVM's, which
	 * has plain numbers (uvm_ioctl.h, uvm_linux_ioctl.h), dma-buf, DRM, and vgpu's own.
	 * Not those of terminals (TIOCSTI types into one) and of sockets (FIOASYNC, FIOSETOWN
	 * and SIOCSPGRP send signals to other processes).  One filter has them all, because
	 * each filter that looks at arguments costs every ioctl() of the driver some 0.5 us.
	 */
	{ SCMP_SYS(ioctl), 1, { BITS(1, 0xff00, 'F' << 8) } },
	{ SCMP_SYS(ioctl), 1, { BITS(1, 0xffffff00, 0) } },
	{ SCMP_SYS(ioctl), 1, { BITS(1, 0xffffff00, 0x30000000) } },
	{ SCMP_SYS(ioctl), 1, { BITS(1, 0xff00, 'b' << 8) } },
	{ SCMP_SYS(ioctl), 1, { BITS(1, 0xff00, 'd' << 8) } },
	{ SCMP_SYS(ioctl), 1, { BITS(1, 0xff00, VGPU_IOC_TYPE << 8) } },
	{ SCMP_SYS(ioctl), 1, { BITS(1, 0xff00, VGPU_HOST_IOC_TYPE << 8) } },
	/* The C library asks whether a file is a terminal. */
	{ SCMP_SYS(ioctl), 1, { IS(1, TCGETS) } },
	{ SCMP_SYS(ioctl), 1, { IS(1, FIONREAD) } },
	{ SCMP_SYS(ioctl), 1, { IS(1, FIONBIO) } },
	{ SCMP_SYS(ioctl), 1, { IS(1, FIOCLEX) } },
	/* Not PR_SET_PDEATHSIG: an executor dies with its mediator. */
	{ SCMP_SYS(prctl), 1, { IS(0, PR_SET_NAME) } },
	{ SCMP_SYS(prctl), 1, { IS(0, PR_GET_NAME) } },
	{ SCMP_SYS(prctl), 1, { IS(0, PR_GET_DUMPABLE) } },
	{ SCMP_SYS(prctl), 1, { IS(0, PR_CAPBSET_READ) } },
	{ SCMP_SYS(prctl), 1, { IS(0, PR_SET_VMA) } },
	/* Threads of this process, in no new namespace. */
	{ SCMP_SYS(clone), 1, { BITS(0, CLONE_THREAD | CLONE_VM | CLONE_NEWNS | CLONE_NEWCGROUP |
		CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET,
		CLONE_THREAD | CLONE_VM) } },
	/* This process's own limits, and this thread's own processors. */
	{ SCMP_SYS(prlimit64), 1, { IS(0, 0) } },
	{ SCMP_SYS(sched_setaffinity), 1, { IS(0, 0) } },
	/*
	 * Unix sockets that cannot name another address in sendmsg(): a datagram socket
	 * would reach whatever service listens on one.
	 */
	{ SCMP_SYS(socket), 2, { IS(0, AF_UNIX), BITS(1, 0xf, SOCK_STREAM) } },
	{ SCMP_SYS(socket), 2, { IS(0, AF_UNIX), BITS(1, 0xf, SOCK_SEQPACKET) } },
	{ SCMP_SYS(socketpair), 2, { IS(0, AF_UNIX), BITS(1, 0xf, SOCK_STREAM) } },
	{ SCMP_SYS(socketpair), 2, { IS(0, AF_UNIX), BITS(1, 0xf, SOCK_SEQPACKET) } },
	{ SCMP_SYS(sendto), 1, { { .arg = 4, .op = SCMP_CMP_EQ, .datum_a = 0 } } },
#undef BITS
#undef IS
};

/* The C library has another call for what these do, and takes it on ENOSYS. */
static const int unknown[] = {
	/* Its flags are in memory, where a filter cannot see them; clone() has a register. */
	SCMP_SYS(clone3),
	SCMP_SYS(openat2), SCMP_SYS(epoll_pwait2),
};

/*
 * NVIDIA's driver tries to make links for its devices in /dev/char each time it opens
 * one, and does without: that is no news for the log.
 */
static const int refused_in_silence[] = { SCMP_SYS(symlink), SCMP_SYS(unlink) };

/* What was said first of a call holds: the operator's word, then what is allowed. */
static bool added[1024];

static int add_one(scmp_filter_ctx f, int call, uint32_t action)
{
	if (call >= 0 && call < (int)COUNT(added)) {
		if (added[call])
			return 0;
		added[call] = true;
	}
	return seccomp_rule_add(f, action, call, 0);
}

static int add(scmp_filter_ctx f, const int *calls, size_t count, uint32_t action)
{
	int ret = 0;

	for (size_t i = 0; i < count && !ret; i++)
		ret = add_one(f, calls[i], action);
	return ret;
}

static int add_names(scmp_filter_ctx f, const char *names)
{
	char *copy = strdup(names), *rest, *name;
	int ret = copy ? 0 : -ENOMEM;

	for (name = copy ? strtok_r(copy, ",", &rest) : NULL; name && !ret;
	     name = strtok_r(NULL, ",", &rest)) {
		int call = seccomp_syscall_resolve_name(name);

		ret = call == __NR_SCMP_ERROR ? -EINVAL : add_one(f, call, SCMP_ACT_ALLOW);
	}
	free(copy);
	return ret;
}

static int load(scmp_filter_ctx f)
{
	/* The threads that the driver has started are to obey it too. */
	int ret = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);

	if (!ret)
		seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	return ret ? ret : seccomp_load(f);
}

int vg_filter_enter(const char *names, bool folders, int *listener)
{
	scmp_filter_ctx f;
	int ret;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	memset(added, 0, sizeof(added));
	f = seccomp_init(listener ? SCMP_ACT_NOTIFY : SCMP_ACT_ERRNO(EPERM));
	if (!f)
		return -ENOMEM;
	ret = add_names(f, names);
	if (!ret)
		ret = add(f, allowed, COUNT(allowed), SCMP_ACT_ALLOW);
	if (!ret && folders)
		ret = add(f, allowed_in_folders, COUNT(allowed_in_folders), SCMP_ACT_ALLOW);
	if (!ret && listener)
		ret = add(f, refused_in_silence, COUNT(refused_in_silence), SCMP_ACT_ERRNO(EPERM));
	/* With an operator's rule for any arguments these change nothing. */
	for (size_t i = 0; i < COUNT(allowed_with) && !ret; i++)
		ret = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, allowed_with[i].call,
					     allowed_with[i].count, allowed_with[i].arg);
	if (!ret)
		ret = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
				       SCMP_A0(SCMP_CMP_MASKED_EQ, 0xffffffff, getpid()));
	if (!ret)
		ret = add(f, unknown, COUNT(unknown), SCMP_ACT_ERRNO(ENOSYS));
	if (!ret)
		ret = load(f);
	if (!ret && listener)
		*listener = seccomp_notify_fd(f);
	seccomp_release(f);
	return ret;
}
