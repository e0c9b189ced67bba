/* SPDX-License-Identifier: Apache-2.0 */
/* Options of the just-in-time compiler, and its logs, by the number that the guest gave each. */
#ifndef VG_CALLS_JIT_H
#define VG_CALLS_JIT_H

#include "calls.h"

#define VG_X_JIT_OPTIONS 40u

struct vg_x_jit_log {
	uint32_t key;
	char *text[2];			/* errors, information */
	uint32_t bytes[2];
	float wall_time;
};

struct vg_x_jit {
	CUjit_option key[VG_X_JIT_OPTIONS];
	void *value[VG_X_JIT_OPTIONS];
	unsigned int count;
	struct vg_x_jit_log log;
	int size_at[2];			/* where the driver returns a log's length */
	int time_at;
};

/*
 * Options that are numbers pass.  No value is an address: a log is asked for by its size,
 * and only where the guest has given it a number, `log`.
 */
CUresult vg_x_jit_take(struct vg_x_jit *o, const unsigned int *keys, const uint64_t *values,
		       unsigned int count, uint32_t log);
/* Keep the logs for vgpu_jit_log, or free them. */
void vg_x_jit_keep(struct vg_x_jit *o);
/* Keep a copy of what the logs say so far. */
void vg_x_jit_show(const struct vg_x_jit *o);

#endif /* VG_CALLS_JIT_H */
