/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What other processes may open: memory and events.  Both lie in memfds.  A handle of CUDA's
 * 64 bytes names the process, its descriptor and the place in that file.  Who opens it takes the
 * file from /proc/PID/fd, so it has to be of the same user; or, where a process sees no other's
 * /proc, from whoever has carried the descriptor across (common/softgpu_ipc.h).
 */
#ifndef SG_IPC_H
#define SG_IPC_H

#include <stdint.h>

#include "cuda_abi.h"

enum sg_ipc_kind { IPC_MEMORY = 1, IPC_EVENT };

struct sg_ipc_name {
	char magic[8];
	uint32_t kind;		/* enum sg_ipc_kind */
	int32_t pid, fd;	/* the descriptor, in that process */
	uint32_t zero;
	uint64_t inode;		/* of the file, in case the process has ended or closed it */
	uint64_t offset, size;	/* bytes in it */
	uint64_t id;		/* of the allocation: another one may get the same place later */
};

_Static_assert(sizeof(struct sg_ipc_name) <= sizeof(CUipcMemHandle), "CUDA's size");
_Static_assert(sizeof(struct sg_ipc_name) <= sizeof(CUipcEventHandle), "CUDA's size");

/* A file of so many bytes, all zero, that nobody can shrink; -1 if there can be none. */
int sg_ipc_file(uint64_t bytes);
/* Fills in what `name` lacks of file `fd`. */
CUresult sg_ipc_offer(struct sg_ipc_name *name, enum sg_ipc_kind kind, int fd, void *handle);
/* The name in a handle, and a descriptor of the file, which is the caller's to close. */
CUresult sg_ipc_take(const void *handle, enum sg_ipc_kind kind, struct sg_ipc_name *name, int *fd);

/* Closes what a context has opened. */
void sg_ipc_gone(CUcontext ctx);

#endif
