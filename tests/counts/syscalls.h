/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system calls that the calling thread makes, counted by number: libc's own
 * too, and no tracer is needed (PR_SET_SYSCALL_USER_DISPATCH, Linux 5.11, x86-64).
 * No thread may be started between begin and end.
 */
#ifndef SYSCALLS_H
#define SYSCALLS_H

#include <stdbool.h>

/* False: this kernel cannot. */
bool syscalls_begin(void);
void syscalls_end(void);
/* Since the last begin: all, or those of one number. */
unsigned long syscalls_all(void);
unsigned long syscalls_of(unsigned int number);

#endif
