/* SPDX-License-Identifier: Apache-2.0 */
/* Profilers: what exported functions do around their work while hooks are attached. */
#ifndef VG_SHIM_PROFILE_H
#define VG_SHIM_PROFILE_H

#include <stdatomic.h>

#include "common/profile.h"

extern const struct vg_profile_hooks *_Atomic vg_profile_hooks;
extern const struct vg_profile_table vg_profile_table;

static inline bool vg_profiled(void)
{
	return __builtin_expect(!!atomic_load_explicit(&vg_profile_hooks, memory_order_relaxed), 0);
}

/* The hooks that are attached, or NULL; to be given to vg_api_exit(). */
const struct vg_profile_hooks *vg_api_enter(struct vg_api_call *call);
CUresult vg_api_exit(const struct vg_profile_hooks *hooks, struct vg_api_call *call, CUresult r);

void vg_profile_context(struct vg_object *context, bool made);

#endif /* VG_SHIM_PROFILE_H */
