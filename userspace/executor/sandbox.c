// SPDX-License-Identifier: Apache-2.0
/*
 * Whose an executor is.
 *
 * Before the driver starts it becomes the user that the configuration names.  Where each
 * vGPU has a user of its own, it becomes that later, since a spare does not know yet whom
 * it will serve.  Until then root is its saved user, with the two capabilities that
 * becoming another takes and no others; none is in effect while the driver works.  The
 * C library changes the user of all threads, and the kernel takes the capabilities from
 * a thread that has no root among its users any more.
 */
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "exec_internal.h"

static int keep_two_capabilities(void)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct caps[2] = {
		{ .permitted = 1u << CAP_SETUID | 1u << CAP_SETGID },
	};

	return syscall(SYS_capset, &head, caps) ? -errno : 0;
}

int vg_sandbox_user(const char *name, bool late)
{
	struct passwd *user;

	errno = 0;
	user = getpwnam(name);
	if (!user)
		return errno ? -errno : -ENOENT;
	if (initgroups(name, user->pw_gid) ||
	    setresgid(user->pw_gid, user->pw_gid, user->pw_gid) ||
	    setresuid(user->pw_uid, user->pw_uid, late ? 0 : user->pw_uid) ||
	    setenv("HOME", user->pw_dir, 1))
		return -errno;
	return late ? keep_two_capabilities() : 0;
}

int vg_sandbox_become(uint32_t uid)
{
	if (seteuid(0) || setgroups(0, NULL) || setresgid(uid, uid, uid) ||
	    setresuid(uid, uid, uid))
		return -errno;
	return 0;
}
