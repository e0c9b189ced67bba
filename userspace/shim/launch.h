/* SPDX-License-Identifier: Apache-2.0 */
/* Launches; a kernel's parameters as one block, in the layout that its function has. */
#ifndef VG_LAUNCH_H
#define VG_LAUNCH_H

#include "shim.h"

struct vg_params {
	uint8_t *block;
	size_t bytes;
	uint8_t small[1024] __attribute__((aligned(16)));
};

CUresult vg_params_pack(struct vg_params *p, const struct vg_layout *l, void **params,
			void **extra);
void vg_params_free(struct vg_params *p);

/* Reads what the environment says about launches; at cuInit(). */
void vg_launch_environment(void);

#endif /* VG_LAUNCH_H */
