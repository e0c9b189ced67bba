/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the stand-in for the driver share. */
#ifndef DOUBLE_H
#define DOUBLE_H

#include <stdbool.h>

#include "cuda_abi.h"

#define EXPORT __attribute__((visibility("default")))

struct double_object {
	unsigned int magic;		/* one of those below; freed objects have none */
	unsigned int flags;
	int priority;
	const struct kernel *kernel;
};

enum { CONTEXT = 0x63747820, MODULE = 0x6d6f6420, STREAM = 0x73747220, EVENT = 0x65767420,
       FUNCTION = 0x666e6320, LIBRARY = 0x6c696220, KERNEL = 0x6b6e6c20, ARRAY = 0x61727220,
       MIPMAP = 0x6d697020, LINK = 0x6c6e6b20 };

struct double_object *double_make(unsigned int magic);
bool double_is(const void *p, unsigned int magic);
CUresult double_destroy(void *p, unsigned int magic);
/* double_green.c: whether this thread's context is a green one. */
bool double_in_green(void);
CUcontext double_current(void);

#endif /* DOUBLE_H */
