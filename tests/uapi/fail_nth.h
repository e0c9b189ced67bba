/* SPDX-License-Identifier: Apache-2.0 */
/* A call under /proc/self/fail-nth, with each of its points of failure in turn. */
#ifndef FAIL_NTH_H
#define FAIL_NTH_H

#include <stdbool.h>

struct fail_nth_call {
	const char *name;
	void (*before)(void);		/* nothing fails here */
	int (*call)(void);		/* 0, or -1 and errno */
	void (*after)(int result);	/* nor here; errno is the call's */
};

/* false if the kernel injects no failures. */
bool fail_nth_begin(void);
void fail_nth_end(void);

/* Returns how many points there were; the test fails on an odd error. */
unsigned int fail_nth_sweep(const struct fail_nth_call *call);

#endif /* FAIL_NTH_H */
