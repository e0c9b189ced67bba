// SPDX-License-Identifier: Apache-2.0
/* What a server may do: nothing but serve the descriptors that it has and is sent. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vfiouser.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* A VM with all of its channels takes some 6,200 descriptors. */
#define FILES	8192u
#define DATA	(256ull << 20)

int vfu_sandbox_become(uint32_t uid, uint32_t gid)
{
	if (!uid)
		return 0;
	if (setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
		return -errno;
	return 0;
}

static const int allowed[] = {
	SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(pread64), SCMP_SYS(pwrite64), SCMP_SYS(close),
	SCMP_SYS(recvmsg), SCMP_SYS(sendmsg), SCMP_SYS(pipe2), SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_ctl), SCMP_SYS(eventfd2), SCMP_SYS(memfd_create),
	SCMP_SYS(fstat), SCMP_SYS(fstatfs), SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap),
	SCMP_SYS(madvise), SCMP_SYS(futex), SCMP_SYS(clock_gettime), SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(exit), SCMP_SYS(exit_group),
};

static const struct {
	int call;
	unsigned int count;
	struct scmp_arg_cmp arg[2];
} allowed_with[] = {
#define IS(n, v) { .arg = (n), .op = SCMP_CMP_MASKED_EQ, .datum_a = 0xffffffff, .datum_b = (v) }
#define BITS(n, mask, v) { .arg = (n), .op = SCMP_CMP_MASKED_EQ, .datum_a = (mask), .datum_b = (v) }
	{ SCMP_SYS(mmap), 1, { BITS(2, PROT_EXEC, 0) } },
	{ SCMP_SYS(mprotect), 1, { BITS(2, PROT_EXEC, 0) } },
	{ SCMP_SYS(fcntl), 1, { IS(1, F_GET_SEALS) } },
	{ SCMP_SYS(fcntl), 1, { IS(1, F_GETFL) } },
	{ SCMP_SYS(fcntl), 1, { IS(1, F_DUPFD_CLOEXEC) } },
	{ SCMP_SYS(socketpair), 2, { IS(0, AF_UNIX), BITS(1, 0xf, SOCK_SEQPACKET) } },
	/* To who is at the other end, and to no address. */
	{ SCMP_SYS(sendto), 1, { { .arg = 4, .op = SCMP_CMP_EQ, .datum_a = 0 } } },
#undef BITS
#undef IS
};

static void limits(void)
{
	const struct {
		int which;
		rlim_t max;
	} limit[] = { { RLIMIT_CORE, 0 }, { RLIMIT_NOFILE, FILES }, { RLIMIT_DATA, DATA } };
	struct rlimit now;

	for (size_t i = 0; i < COUNT(limit); i++) {
		if (getrlimit(limit[i].which, &now))
			continue;
		if (now.rlim_max > limit[i].max)
			now.rlim_max = limit[i].max;
		now.rlim_cur = now.rlim_max;
		setrlimit(limit[i].which, &now);
	}
}

int vfu_sandbox_enter(void)
{
	scmp_filter_ctx f;
	int ret = 0;

	limits();
	if (prctl(PR_SET_DUMPABLE, 0) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!f)
		return -ENOMEM;
	for (size_t i = 0; i < COUNT(allowed) && !ret; i++)
		ret = seccomp_rule_add(f, SCMP_ACT_ALLOW, allowed[i], 0);
	for (size_t i = 0; i < COUNT(allowed_with) && !ret; i++)
		ret = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, allowed_with[i].call,
					     allowed_with[i].count, allowed_with[i].arg);
	/* The C library's fstat(), which names a descriptor and an empty path. */
	if (!ret)
		ret = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1,
				       SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH));
	if (!ret)
		ret = seccomp_load(f);
	seccomp_release(f);
	return ret;
}
