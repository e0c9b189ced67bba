// SPDX-License-Identifier: Apache-2.0
/*
 * Sharing with other processes of this guest.  What goes from one to the other is a
 * token, in CUDA's 64 bytes or in a sealed memfd; the host has what it stands for.
 */
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client.h"
#include "common/old_glibc.h"
#include "sharing.h"
#include "shim.h"
#include "shim_calls.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

#define POSIX CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR

/* What another process gets. */
struct parcel {
	char magic[8];
	uint32_t kind;			/* enum vg_parcel */
	uint32_t zero;
	vgpu_token token;
	uint8_t rest[32];
};

_Static_assert(sizeof(struct parcel) == sizeof(CUipcMemHandle), "CUDA's size");
_Static_assert(sizeof(struct parcel) == sizeof(CUipcEventHandle), "CUDA's size");
_Static_assert(sizeof(struct parcel) == sizeof(CUmemPoolPtrExportData), "CUDA's size");

static const char magic[8] = "vgpu-tok";

static void pack(void *out, enum vg_parcel kind, const vgpu_token *token)
{
	struct parcel p = { .kind = kind, .token = *token };

	memcpy(p.magic, magic, sizeof(p.magic));
	memcpy(out, &p, sizeof(p));
}

/* CUDA_ERROR_INVALID_VALUE: nothing that a process of this driver has packed. */
static CUresult unpack(const void *in, enum vg_parcel kind, vgpu_token *token)
{
	struct parcel p;

	memcpy(&p, in, sizeof(p));
	if (memcmp(p.magic, magic, sizeof(p.magic)) || p.kind != kind)
		return CUDA_ERROR_INVALID_VALUE;
	*token = p.token;
	return CUDA_SUCCESS;
}

CUresult vg_parcel_to_fd(enum vg_parcel kind, const vgpu_token *token, int *out)
{
	struct parcel p;
	int fd = memfd_create("vgpu-shared", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return CUDA_ERROR_OPERATING_SYSTEM;
	pack(&p, kind, token);
	if (write(fd, &p, sizeof(p)) != sizeof(p) || fcntl(fd, F_ADD_SEALS, SEALS)) {
		close(fd);
		return CUDA_ERROR_OPERATING_SYSTEM;
	}
	*out = fd;
	return CUDA_SUCCESS;
}

CUresult vg_parcel_from_fd(enum vg_parcel kind, int fd, vgpu_token *token)
{
	struct parcel p;
	struct stat st;

	if (fcntl(fd, F_GET_SEALS) != SEALS || vg_fstat(fd, &st) || st.st_size != sizeof(p) ||
	    pread(fd, &p, sizeof(p), 0) != sizeof(p))
		return CUDA_ERROR_INVALID_VALUE;
	return unpack(&p, kind, token);
}

/* -- memory by cuIpc* */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* opening and closing */

CUresult vgh_cuIpcGetMemHandle(CUipcMemHandle *handle, CUdeviceptr dptr)
{
	struct vg_range range;
	vgpu_token token;
	CUresult r = vg_context_ready();

	if (r)
		return r;
	/* The handle is of the allocation, wherever in it dptr points. */
	if (!handle || !vg_range_find(dptr, &range) || range.kind != VG_RANGE_DEVICE)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgw_vgpu_memory_export(range.base, &token);
	if (!r)
		pack(handle, VG_PARCEL_MEMORY, &token);
	return r;
}

/* An imported range that is known already: it has been imported twice. */
static bool known(CUdeviceptr p, enum vg_range_kind kind)
{
	struct vg_range range;

	return vg_range_find(p, &range) && range.base == p && range.kind == kind;
}

CUresult vgh_cuIpcOpenMemHandle_v2(CUdeviceptr *dptr, CUipcMemHandle handle, unsigned int flags)
{
	unsigned int others;
	vgpu_token token;
	uint64_t bytes;
	CUdeviceptr p;
	CUresult r = vg_context_ready();

	if (r)
		return r;
	r = dptr ? unpack(&handle, VG_PARCEL_MEMORY, &token) : CUDA_ERROR_INVALID_VALUE;
	if (r)
		return r;
	pthread_mutex_lock(&lock);
	r = vgw_vgpu_memory_import(&token, flags, &p, &bytes);
	if (!r && !known(p, VG_RANGE_IMPORTED) &&
	    vg_range_add(p, bytes, VG_RANGE_IMPORTED, 0)) {
		vgw_vgpu_memory_close(p, &others);
		r = CUDA_ERROR_OUT_OF_MEMORY;
	}
	pthread_mutex_unlock(&lock);
	if (!r)
		*dptr = p;
	return r;
}

CUresult vgh_cuIpcCloseMemHandle(CUdeviceptr dptr)
{
	struct vg_range range;
	unsigned int others;
	CUresult r = vg_context_ready();

	if (r)
		return r;
	pthread_mutex_lock(&lock);
	r = known(dptr, VG_RANGE_IMPORTED) ? vgw_vgpu_memory_close(dptr, &others) :
					     CUDA_ERROR_INVALID_VALUE;
	if (!r && !others)
		vg_range_remove(dptr, 1u << VG_RANGE_IMPORTED, &range);
	pthread_mutex_unlock(&lock);
	return r;
}

/* -- events */

CUresult vgh_cuIpcGetEventHandle(CUipcEventHandle *handle, CUevent event)
{
	vgpu_token token;
	CUresult r = vg_context_ready();

	if (r)
		return r;
	if (!handle || !event)
		return CUDA_ERROR_INVALID_VALUE;
	if (!vg_object_get(event, VG_EVENT)) {
		*handle = (CUipcEventHandle){ 0 };
		return CUDA_ERROR_INVALID_HANDLE;
	}
	r = vgw_vgpu_event_export(event, &token);
	if (!r)
		pack(handle, VG_PARCEL_EVENT, &token);
	return r;
}

CUresult vgh_cuIpcOpenEventHandle(CUevent *event, CUipcEventHandle handle)
{
	vgpu_token token;
	CUresult r = vg_context_ready();

	if (r)
		return r;
	r = event ? unpack(&handle, VG_PARCEL_EVENT, &token) : CUDA_ERROR_INVALID_VALUE;
	if (!r)
		r = vgw_vgpu_event_import(event, &token);
	if (!r)
		((struct vg_object *)*event)->flags =
			CU_EVENT_INTERPROCESS | CU_EVENT_DISABLE_TIMING;
	return r;
}

/* -- pools */

CUresult vg_parcel_type(CUmemAllocationHandleType type)
{
	if (type == POSIX)
		return CUDA_SUCCESS;
	if (type == CU_MEM_HANDLE_TYPE_WIN32 || type == CU_MEM_HANDLE_TYPE_WIN32_KMT ||
	    type == CU_MEM_HANDLE_TYPE_FABRIC)
		return vg_refuse("sharing memory by other than a file descriptor",
				 "not implemented");
	return CUDA_ERROR_INVALID_VALUE;
}

CUresult vgh_cuMemPoolExportToShareableHandle(void *out, CUmemoryPool pool,
					      CUmemAllocationHandleType type,
					      unsigned long long flags)
{
	vgpu_token token;
	CUresult r = out && !flags ? vg_parcel_type(type) : CUDA_ERROR_INVALID_VALUE;

	if (!r)
		r = vgw_vgpu_pool_export(pool, &token);
	return r ? r : vg_parcel_to_fd(VG_PARCEL_POOL, &token, out);
}

CUresult vgh_cuMemPoolImportFromShareableHandle(CUmemoryPool *pool, void *handle,
						CUmemAllocationHandleType type,
						unsigned long long flags)
{
	vgpu_token token;
	CUresult r = pool && !flags ? vg_parcel_type(type) : CUDA_ERROR_INVALID_VALUE;

	if (!r)
		r = vg_parcel_from_fd(VG_PARCEL_POOL, (int)(uintptr_t)handle, &token);
	return r ? r : vgw_vgpu_pool_import(pool, &token);
}

CUresult vgh_cuMemPoolExportPointer(CUmemPoolPtrExportData *data, CUdeviceptr ptr)
{
	vgpu_token token;
	CUresult r = data ? vgw_vgpu_pointer_export(ptr, &token) : CUDA_ERROR_INVALID_VALUE;

	if (!r)
		pack(data, VG_PARCEL_POINTER, &token);
	return r;
}

CUresult vgh_cuMemPoolImportPointer(CUdeviceptr *ptr, CUmemoryPool pool,
				    CUmemPoolPtrExportData *data)
{
	vgpu_token token;
	uint64_t bytes;
	CUdeviceptr p;
	CUresult r;

	if (!ptr || !data)
		return CUDA_ERROR_INVALID_VALUE;
	r = unpack(data, VG_PARCEL_POINTER, &token);
	if (!r)
		r = vgw_vgpu_pointer_import(pool, &token, &p, &bytes);
	if (r)
		return r;
	if (!known(p, VG_RANGE_POOL) && vg_range_add(p, bytes, VG_RANGE_POOL, POSIX)) {
		vgw_cuMemFree_v2(p);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	*ptr = p;
	return CUDA_SUCCESS;
}
