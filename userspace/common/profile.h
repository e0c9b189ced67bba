/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the guest's libcuda.so.1 and its libcupti: a table that cuGetExportTable() gives under
 * an id of ours, and hooks that libcupti attaches.  Both libraries are of one build, which
 * `version` says.  docs/profiling.md has the whole way.
 */
#ifndef VG_PROFILE_H
#define VG_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda_abi.h"
#include "ops_internal.h"
#include "vg_wire.h"

#define VG_PROFILE_VERSION 1u
/* b1c5e2d4-7a61-4c0e-9d55-76677075cc01 */
#define VG_PROFILE_ID { 0xb1, 0xc5, 0xe2, 0xd4, 0x7a, 0x61, 0x4c, 0x0e, 0x9d, 0x55, 0x76, 0x67, \
			0x70, 0x75, 0xcc, 0x01 }

/* A function that libcuda exports. */
struct vg_api {
	const char *name;	/* as exported: with _ptsz or _ptds for the per-thread variants */
	_Atomic int number;	/* libcupti's, 0 until it has looked it up */
};

/* One call of it by the program. */
struct vg_api_call {
	struct vg_api *api;
	const void *params;	/* a struct of the arguments, in their order; NULL: none */
	uint32_t tag;		/* set by enter(): time this call's records under it; 0: do not */
	uint32_t records;	/* for exit(): how many such records there were */
	/* enter()'s own, for exit(); zero before */
	uint32_t correlation;
	uint32_t what;
	uint32_t waited_after;
	uint64_t start;
	uint64_t user;
};

struct vg_profile_hooks {
	/* On the calling thread, around the call; a call that libcuda makes itself comes nested. */
	void (*enter)(struct vg_api_call *call);
	void (*exit)(struct vg_api_call *call, CUresult result);
};

/* A context has been made, or is about to go. */
typedef void (*vg_profile_context_hook)(CUcontext ctx, bool made);

struct vg_profile_kernel {
	const char *name;	/* the module's; copy it */
	int registers;
	int shared;		/* bytes of static shared memory */
	int local;		/* bytes for each thread */
};

enum vg_profile_memory { VG_MEMORY_PAGEABLE, VG_MEMORY_PINNED, VG_MEMORY_DEVICE,
			 VG_MEMORY_MANAGED };

struct vg_profile_table {
	uint32_t version;
	/* Whether cuInit() has succeeded. */
	bool (*ready)(void);
	/* Attach, or with NULL detach; hooks stay valid for ever, since calls may be in them. */
	void (*attach)(const struct vg_profile_hooks *hooks, vg_profile_context_hook context);
	/* These send records that are not timed themselves, and need no context. */
	CUresult (*timing)(bool on);
	CUresult (*clock)(uint64_t *executor_ns);
	CUresult (*take)(unsigned int fresh, unsigned int most, unsigned int *count, uint64_t *lost,
			 vgpu_span *spans);
	/* What things are called; ctx NULL: the calling thread's.  False: there is none such. */
	bool (*context)(CUcontext ctx, CUcontext *which, uint32_t *id, int *device);
	bool (*stream)(CUstream s, bool per_thread, uint32_t *id);
	bool (*kernel)(CUfunction f, struct vg_profile_kernel *k);
	enum vg_profile_memory (*memory)(uint64_t p);
};

#endif /* VG_PROFILE_H */
