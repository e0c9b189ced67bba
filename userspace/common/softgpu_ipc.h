/* SPDX-License-Identifier: Apache-2.0 */
/*
 * softgpu's IPC handles stand for a descriptor of the process that made them.  An executor sees
 * no other process's /proc, so the mediator carries the descriptor, and the executors use these
 * two functions of libvgpu-softgpu.so.  No other driver has them.
 */
#ifndef VG_SOFTGPU_IPC_H
#define VG_SOFTGPU_IPC_H

#define VG_SOFTGPU_IPC_FD	"vgpu_softgpu_ipc_fd"
#define VG_SOFTGPU_IPC_USE	"vgpu_softgpu_ipc_use"

/* The descriptor that a handle of this process stands for; it stays softgpu's.  -1: none. */
int vgpu_softgpu_ipc_fd(const void *handle);
/*
 * Until it is called with -1, cuIpcOpenMemHandle and cuIpcOpenEventHandle on this thread take
 * the file from `fd`, which stays the caller's.
 */
void vgpu_softgpu_ipc_use(int fd);

#endif
