/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's libraries run with glibc 2.28 and newer (RHEL 8, Debian 10), wherever they were
 * built. These stand in for functions that are younger as symbols than their names. old_glibc.mk
 * does the same for threads and dlopen(), and tests/hardening looks at what is left.
 */
#ifndef VG_OLD_GLIBC_H
#define VG_OLD_GLIBC_H

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* glibc 2.33. On x86-64 the kernel fills the C library's struct stat. */
static inline int vg_fstat(int fd, struct stat *st)
{
	return syscall(SYS_fstat, fd, st);
}

static inline int vg_fstatat(int dir, const char *name, struct stat *st, int flags)
{
	return syscall(SYS_newfstatat, dir, name, st, flags);
}

/* glibc 2.30 */
static inline pid_t vg_gettid(void)
{
	return syscall(SYS_gettid);
}

#endif /* VG_OLD_GLIBC_H */
