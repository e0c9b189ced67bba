// SPDX-License-Identifier: Apache-2.0
/* Carrying the descriptors of softgpu's IPC handles (common/softgpu_ipc.h). */
#include <dlfcn.h>
#include <unistd.h>

#include "calls.h"
#include "common/softgpu_ipc.h"
#include "exec_internal.h"

/* NULL with any other driver. */
static __typeof__(&vgpu_softgpu_ipc_fd) fd_of;
static __typeof__(&vgpu_softgpu_ipc_use) use;

void vg_soft_ipc_load(void *library)
{
	*(void **)&fd_of = dlsym(library, VG_SOFTGPU_IPC_FD);
	*(void **)&use = dlsym(library, VG_SOFTGPU_IPC_USE);
}

enum vg_token_kind vg_soft_ipc_kind(enum vg_token_kind kind)
{
	if (!fd_of || !use)
		return kind;
	return kind == VG_TOKEN_MEMORY ? VG_TOKEN_SOFT_MEMORY :
	       kind == VG_TOKEN_EVENT ? VG_TOKEN_SOFT_EVENT : kind;
}

int vg_soft_ipc_fd(const void *handle)
{
	return fd_of && use ? fd_of(handle) : -1;
}

void vg_soft_ipc_begin(int fd)
{
	if (fd >= 0 && use)
		use(fd);
}

void vg_soft_ipc_end(int fd)
{
	if (fd >= 0 && use)
		use(-1);
	if (fd >= 0)
		close(fd);
}
