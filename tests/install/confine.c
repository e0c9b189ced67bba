// SPDX-License-Identifier: Apache-2.0
/*
 * confine CALL,... PROGRAM...: run a program that may make these system calls alone, as systemd's
 * SystemCallFilter= does it: others fail with EPERM.
 */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	char *rest = NULL;
	int call;

	if (!f || argc < 3)
		return 2;
	for (char *name = strtok_r(argv[1], ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
		call = seccomp_syscall_resolve_name(name);
		/* systemd knows calls of other machines and of newer kernels. */
		if (call >= 0 && seccomp_rule_add(f, SCMP_ACT_ALLOW, call, 0))
			return 2;
	}
	if (seccomp_load(f)) {
		perror("confine: seccomp_load");
		return 2;
	}
	seccomp_release(f);
	execv(argv[2], argv + 2);
	perror(argv[2]);
	return 2;
}
