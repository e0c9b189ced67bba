// SPDX-License-Identifier: Apache-2.0
/* Whose an executor is. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "exec_internal.h"

int vg_sandbox_user(const char *name)
{
	struct passwd *user;

	errno = 0;
	user = getpwnam(name);
	if (!user)
		return errno ? -errno : -ENOENT;
	if (initgroups(name, user->pw_gid) ||
	    setresgid(user->pw_gid, user->pw_gid, user->pw_gid) ||
	    setresuid(user->pw_uid, user->pw_uid, user->pw_uid) ||
	    setenv("HOME", user->pw_dir, 1))
		return -errno;
	return 0;
}
