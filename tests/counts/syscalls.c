// SPDX-License-Identifier: Apache-2.0
#include "syscalls.h"

#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define NUMBERS 512

static volatile unsigned long total, of[NUMBERS];

unsigned long syscalls_all(void)
{
	return total;
}

unsigned long syscalls_of(unsigned int number)
{
	return number < NUMBERS ? of[number] : 0;
}

#ifdef __x86_64__

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_ON 1
#endif
#define ALLOW 0
#define BLOCK 1

/* What the kernel looks at when this thread makes a system call. */
static volatile char selector = ALLOW;

/*
 * From here system calls always go through: the one that is made in the place of one
 * that was counted, and the return from the handler, after which they are counted again.
 */
extern const char counted_begin[], counted_end[];
long counted_call(long number, long a, long b, long c, long d, long e, long f);
void counted_return(void);
__asm__(".text\n"
	"counted_begin:\n"
	"counted_call:\n"
	"	mov %rdi, %rax\n"
	"	mov %rsi, %rdi\n"
	"	mov %rdx, %rsi\n"
	"	mov %rcx, %rdx\n"
	"	mov %r8, %r10\n"
	"	mov %r9, %r8\n"
	"	mov 8(%rsp), %r9\n"
	"	syscall\n"
	"	ret\n"
	"counted_return:\n"
	"	mov $15, %eax\n"	/* rt_sigreturn */
	"	syscall\n"
	"	ud2\n"
	"counted_end:\n");

static void count(int signal, siginfo_t *info, void *context)
{
	greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)signal;
	selector = ALLOW;
	total++;
	if ((unsigned int)info->si_syscall < NUMBERS)
		of[info->si_syscall]++;
	r[REG_RAX] = counted_call(info->si_syscall, r[REG_RDI], r[REG_RSI], r[REG_RDX], r[REG_R10],
				  r[REG_R8], r[REG_R9]);
	selector = BLOCK;
}

/* libc's sigaction() would have its own way back, which is not in our range. */
static int handle(void)
{
	struct {
		void (*handler)(int, siginfo_t *, void *);
		unsigned long flags;
		void (*restorer)(void);
		uint64_t mask;
	} action = { count, SA_SIGINFO | 0x04000000 /* SA_RESTORER */, counted_return, 0 };

	return syscall(SYS_rt_sigaction, SIGSYS, &action, NULL, sizeof(action.mask));
}

bool syscalls_begin(void)
{
	total = 0;
	memset((void *)of, 0, sizeof(of));
	if (handle() || prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, counted_begin,
			      counted_end - counted_begin, &selector))
		return false;
	selector = BLOCK;
	return true;
}

void syscalls_end(void)
{
	selector = ALLOW;
	prctl(PR_SET_SYSCALL_USER_DISPATCH, 0, 0, 0, 0);
}

#else

bool syscalls_begin(void)
{
	return false;
}

void syscalls_end(void)
{
}

#endif
