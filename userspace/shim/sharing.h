/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens on their way between processes of this guest. */
#ifndef VG_SHARING_H
#define VG_SHARING_H

#include "vg_wire.h"

enum vg_parcel {
	VG_PARCEL_MEMORY = 1, VG_PARCEL_EVENT, VG_PARCEL_ALLOCATION, VG_PARCEL_POOL,
	VG_PARCEL_POINTER,
};

/* CUDA_SUCCESS if memory can be shared by handles of this type: by file descriptors. */
CUresult vg_parcel_type(CUmemAllocationHandleType type);
/* A descriptor that carries a token, and the token that one carries. */
CUresult vg_parcel_to_fd(enum vg_parcel kind, const vgpu_token *token, int *out);
CUresult vg_parcel_from_fd(enum vg_parcel kind, int fd, vgpu_token *token);

#endif /* VG_SHARING_H */
