// SPDX-License-Identifier: Apache-2.0
/* Files that other processes may open, and the handles that name them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api.h"
#include "common/softgpu_ipc.h"
#include "ipc.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static const char magic[8] = "softgpu";
static _Thread_local int carried = -1;

int sg_ipc_file(uint64_t bytes)
{
	struct rlimit most;
	int fd;

	/* A longer file would end the process with SIGXFSZ. */
	if (getrlimit(RLIMIT_FSIZE, &most) || most.rlim_cur < bytes)
		return -1;
	fd = memfd_create("softgpu", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd >= 0 && (ftruncate(fd, bytes) || fcntl(fd, F_ADD_SEALS, SEALS))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

CUresult sg_ipc_offer(struct sg_ipc_name *name, enum sg_ipc_kind kind, int fd, void *handle)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return CUDA_ERROR_OPERATING_SYSTEM;
	memcpy(name->magic, magic, sizeof(magic));
	name->kind = kind;
	name->pid = getpid();
	name->fd = fd;
	name->inode = st.st_ino;
	memset(handle, 0, sizeof(CUipcMemHandle));
	memcpy(handle, name, sizeof(*name));
	return CUDA_SUCCESS;
}

static bool is_file(int fd, const struct sg_ipc_name *name)
{
	struct stat st;

	return !fstat(fd, &st) && (uint64_t)st.st_ino == name->inode;
}

static bool whole(int fd, const struct sg_ipc_name *name)
{
	struct stat st;
	uint64_t size;

	if (fcntl(fd, F_GET_SEALS) != SEALS || fstat(fd, &st))
		return false;
	size = st.st_size;
	return name->size && name->size <= size && name->offset <= size - name->size;
}

CUresult sg_ipc_take(const void *handle, enum sg_ipc_kind kind, struct sg_ipc_name *name, int *fd)
{
	char path[64];

	memcpy(name, handle, sizeof(*name));
	if (memcmp(name->magic, magic, sizeof(magic)) || name->kind != kind || name->pid <= 0)
		return CUDA_ERROR_INVALID_VALUE;
	if (name->pid == getpid() && is_file(name->fd, name))
		return CUDA_ERROR_INVALID_CONTEXT;	/* one's own, as NVIDIA's driver has it */
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", name->pid, name->fd);
	*fd = carried >= 0 ? fcntl(carried, F_DUPFD_CLOEXEC, 0) : open(path, O_RDWR | O_CLOEXEC);
	if (*fd < 0)
		return errno == ENOENT ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_OPERATING_SYSTEM;
	if (is_file(*fd, name) && whole(*fd, name))
		return CUDA_SUCCESS;
	close(*fd);
	return CUDA_ERROR_INVALID_VALUE;
}

SG_API int vgpu_softgpu_ipc_fd(const void *handle)
{
	struct sg_ipc_name name;

	memcpy(&name, handle, sizeof(name));
	return !memcmp(name.magic, magic, sizeof(magic)) && name.pid == getpid() &&
	       is_file(name.fd, &name) ? name.fd : -1;
}

SG_API void vgpu_softgpu_ipc_use(int fd)
{
	carried = fd;
}
