/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings that each vGPU has of its own: what it may use, and how much of it in a second.
 *
 * A value comes from the first of these that has one: what the operator has set while the mediator
 * ran (state.c), the sections [vgpu UUID], [type NAME] and [pool NAME] of the file, and what counts
 * for all: [limits], or for device memory the vGPU's type, or [socket].
 */
#ifndef VG_QUOTA_H
#define VG_QUOTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vg_tenant;

enum vg_quota {
	VG_QUOTA_MEMORY,	/* bytes of device memory */
	VG_QUOTA_CONTEXTS,	/* bytes of device memory, of its contexts themselves */
	VG_QUOTA_HOST_MEMORY,	/* bytes of host memory, of its executors together */
	VG_QUOTA_THREADS,	/* of its executors together; 0: no limit */
	VG_QUOTA_PROGRAMS,	/* at a time; of the socket's programs: of one user */
	VG_QUOTA_STARTS,	/* of programs in a second; the same */
	VG_QUOTA_STARTS_BURST,	/* that may come at once; 0: those of two seconds */
	VG_QUOTA_CALLS,		/* of all programs in a second; 0: no limit */
	VG_QUOTA_CALLS_BURST,	/* 0: those of one second */
	VG_QUOTA_BYTES,		/* copied to and from the device in a second, by all programs */
	VG_QUOTA_BYTES_BURST,	/* none: those of one second */
	VG_QUOTA_SHARE,		/* of GPU time, of its pool beside other pools; 0: none is kept */
	VG_QUOTA_WEIGHT,	/* of the vGPU beside others of its pool */
	VG_QUOTA_LATENCY,	/* 1: it need not wait for the end of others' turns */
	VG_QUOTA_KERNEL_SECONDS,	/* that one launch may take; 0: no limit */
	VG_QUOTA_FAULTS,	/* in VG_QUOTA_FAULT_SECONDS, and it is in quarantine; 0: never */
	VG_QUOTA_FAULT_SECONDS,
	VG_QUOTAS
};

#define VG_SHARE_MAX	10000
#define VG_SHARE_USUAL	100

#define VG_QUOTA_NONE UINT64_MAX	/* bytes without a limit */

/* The name of a quota, as in the file; vg_quota_find() is the way back, VG_QUOTAS: there is none. */
const char *vg_quota_name(enum vg_quota q);
enum vg_quota vg_quota_find(const char *name);
/* What a value may be, in words. */
const char *vg_quota_allowed(enum vg_quota q);
bool vg_quota_parse(enum vg_quota q, const char *text, uint64_t *value);
/* As vg_quota_parse() would read it: "4G", "none", "20". */
void vg_quota_show(enum vg_quota q, uint64_t value, char out[24]);
void vg_quota_names(char *out, size_t size);	/* "memory, contexts, …" */

/* -- of the file: a section [KIND NAME], with KIND pool, type or vgpu */

enum vg_scope { VG_SCOPE_POOL, VG_SCOPE_TYPE, VG_SCOPE_VGPU, VG_SCOPES };

/* false, and `why` ends in "; ": the name cannot be one, the value is given twice, or is none. */
bool vg_quota_file(enum vg_scope kind, const char *name, enum vg_quota q, const char *value,
		   char *why, size_t size);
/* The end of the file: what it says is in force, or forgotten.  How many values have changed. */
unsigned int vg_quotas_end(bool keep);

/* -- of a vGPU */

/* What is in force for it, from now on: also in its executors, and in its cgroup. */
void vg_quotas_apply(struct vg_tenant *t);
/* Write it to its account page again. */
void vg_quotas_tell(struct vg_tenant *t);
void vg_quotas_apply_all(void);
uint64_t vg_quota(const struct vg_tenant *t, enum vg_quota q);
/* Where that comes from: "set", "[vgpu UUID]", "[type NAME]", "[pool NAME]", "[limits]", … */
void vg_quota_origin(const struct vg_tenant *t, enum vg_quota q, char out[64]);

#endif /* VG_QUOTA_H */
