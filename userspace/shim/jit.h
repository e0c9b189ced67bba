/* SPDX-License-Identifier: Apache-2.0 */
/* Options of the just-in-time compiler: those that cross, and the logs that come back. */
#ifndef VG_JIT_H
#define VG_JIT_H

#include "shim.h"

#define VG_JIT_OPTIONS 32

struct vg_jit {
	uint32_t log;			/* names the executor's copy of the logs; 0: none wanted */
	unsigned int count;
	unsigned int options[VG_JIT_OPTIONS];
	uint64_t values[VG_JIT_OPTIONS];
	char *buffer[2];		/* the program's: errors, information */
	unsigned int room[2];
	void **size_out[2];		/* where the program's sizes are returned */
	void **wall_time;
};

/* Check the program's options and sort out those that are pointers. */
CUresult vg_jit_start(struct vg_jit *j, unsigned int count, const CUjit_option *options,
		      void **values);
/* After the compilation, failed or not: fetch the logs that were wanted. */
void vg_jit_finish(struct vg_jit *j);

#endif /* VG_JIT_H */
