// SPDX-License-Identifier: Apache-2.0
/*
 * Sharing between processes of one guest.  The driver's handles go to the mediator and
 * come from it; the guest has tokens.  What this process has offered, and what memory
 * it has of others, is remembered here, so that each thing has one token, and so that
 * the mediator hears when it goes.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "calls.h"
#include "vg_cuda.h"

struct shared {
	enum vg_token_kind kind;
	bool taken;			/* from another process; else offered */
	uint32_t ctx;			/* id of the context that it goes with */
	uint64_t key;			/* its address, or the driver's handle */
	vgpu_token token;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* all below */
static struct shared *list;
static _Atomic size_t count;
static size_t room;

/* With the lock held.  The mediator bounds what is offered; what is taken, the driver. */
static bool add(struct shared s)
{
	if (count == room) {
		size_t more = room ? room * 2 : 16;
		struct shared *p = realloc(list, more * sizeof(*p));

		if (!p)
			return false;
		list = p;
		room = more;
	}
	list[count++] = s;
	return true;
}

static struct shared *find(enum vg_token_kind kind, bool taken, uint64_t key)
{
	for (size_t i = 0; i < count; i++)
		if (list[i].kind == kind && list[i].taken == taken && list[i].key == key)
			return &list[i];
	return NULL;
}

static void end(struct vg_exec *x, struct shared *s)
{
	if (s->taken)
		vg_exec_leave(x, &s->token);
	else
		vg_exec_withdraw(x, &s->token);
	*s = list[--count];
}

void vg_x_unshare(struct vg_exec *x, enum vg_token_kind kind, uint64_t key)
{
	struct shared *s;

	if (!count)
		return;
	pthread_mutex_lock(&lock);
	for (int taken = 0; taken < 2; taken++) {
		s = find(kind, taken, key);
		if (s)
			end(x, s);
	}
	pthread_mutex_unlock(&lock);
}

void vg_x_unshare_context(struct vg_exec *x, uint32_t ctx)
{
	pthread_mutex_lock(&lock);
	for (size_t i = count; i-- > 0;)
		if (list[i].ctx == ctx)
			end(x, &list[i]);
	pthread_mutex_unlock(&lock);
}

/* The token of what has been offered already. */
static bool offered(enum vg_token_kind kind, uint64_t key, vgpu_token *token)
{
	struct shared *s = find(kind, false, key);

	if (s)
		*token = s->token;
	return s;
}

/* With the lock held, and the driver's handle at hand. */
static CUresult offer(struct vg_exec *x, struct shared s, uint64_t bytes, const void *data,
		      size_t data_bytes, int fd, vgpu_token *token)
{
	CUresult r = vg_exec_offer(x, vg_soft_ipc_kind(s.kind), bytes, data, data_bytes, fd,
				   &s.token);

	if (r)
		return r;
	if (!add(s)) {
		vg_exec_withdraw(x, &s.token);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	*token = s.token;
	return CUDA_SUCCESS;
}

/* -- memory by cuIpc* */

CUresult vge_vgpu_memory_export(struct vg_exec *x, const struct vg_req *rq, CUdeviceptr ptr,
				vgpu_token *token)
{
	CUipcMemHandle handle;
	struct shared s = { .kind = VG_TOKEN_MEMORY, .key = ptr };
	CUresult r = CUDA_SUCCESS;
	uint64_t bytes;

	(void)rq;
	if (!cu.cuIpcGetMemHandle)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!vg_x_allocation(ptr, &bytes, &s.ctx))
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&lock);
	if (!offered(VG_TOKEN_MEMORY, ptr, token)) {
		r = cu.cuIpcGetMemHandle(&handle, ptr);
		if (!r)
			r = offer(x, s, bytes, &handle, sizeof(handle),
				  vg_soft_ipc_fd(&handle), token);
	}
	pthread_mutex_unlock(&lock);
	return r;
}

CUresult vge_vgpu_memory_import(struct vg_exec *x, const struct vg_req *rq, const vgpu_token *token,
				unsigned int flags, CUdeviceptr *ptr, uint64_t *bytes)
{
	CUipcMemHandle handle;
	CUresult r;
	int fd;

	if (!cu.cuIpcOpenMemHandle_v2 || !cu.cuIpcCloseMemHandle)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (flags & ~CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS)
		return CUDA_ERROR_INVALID_VALUE;
	r = vg_exec_take(x, vg_soft_ipc_kind(VG_TOKEN_MEMORY), token, bytes, &handle,
			 sizeof(handle), &fd);
	if (r)
		return r;
	vg_soft_ipc_begin(fd);
	r = cu.cuIpcOpenMemHandle_v2(ptr, handle, flags);
	vg_soft_ipc_end(fd);
	pthread_mutex_lock(&lock);
	if (!r && !add((struct shared){ VG_TOKEN_MEMORY, true, rq->ctx, *ptr, *token })) {
		cu.cuIpcCloseMemHandle(*ptr);
		r = CUDA_ERROR_OUT_OF_MEMORY;
	}
	pthread_mutex_unlock(&lock);
	if (r)
		vg_exec_leave(x, token);
	return r;
}

CUresult vge_vgpu_memory_close(struct vg_exec *x, const struct vg_req *rq, CUdeviceptr ptr,
			       unsigned int *others)
{
	struct shared *s;
	CUresult r;

	(void)rq;
	if (!cu.cuIpcCloseMemHandle)
		return CUDA_ERROR_NOT_SUPPORTED;
	pthread_mutex_lock(&lock);
	s = find(VG_TOKEN_MEMORY, true, ptr);
	r = s ? cu.cuIpcCloseMemHandle(ptr) : CUDA_ERROR_INVALID_VALUE;
	if (!r)
		end(x, s);
	/* Opened again, it is there until it has been closed as often. */
	*others = find(VG_TOKEN_MEMORY, true, ptr) != NULL;
	pthread_mutex_unlock(&lock);
	return r;
}

/* -- events */

CUresult vge_vgpu_event_export(struct vg_exec *x, const struct vg_req *rq, CUevent event,
			       vgpu_token *token)
{
	const struct vg_rq_vgpu_event_export *q = rq->payload;
	struct shared s = { .kind = VG_TOKEN_EVENT, .key = (uintptr_t)event };
	CUipcEventHandle handle;
	CUresult r = CUDA_SUCCESS;

	if (!cu.cuIpcGetEventHandle)
		return CUDA_ERROR_NOT_SUPPORTED;
	vg_handle_get_context(vg_exec_handles(x), q->event, VG_EVENT, &s.ctx);
	pthread_mutex_lock(&lock);
	if (!offered(VG_TOKEN_EVENT, s.key, token)) {
		r = cu.cuIpcGetEventHandle(&handle, event);
		if (!r)
			r = offer(x, s, 0, &handle, sizeof(handle), vg_soft_ipc_fd(&handle), token);
	}
	pthread_mutex_unlock(&lock);
	return r;
}

CUresult vge_vgpu_event_import(struct vg_exec *x, const struct vg_req *rq, CUevent *event,
			       const vgpu_token *token)
{
	CUipcEventHandle handle;
	uint64_t none;
	CUresult r;
	int fd;

	(void)rq;
	if (!cu.cuIpcOpenEventHandle)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = vg_exec_take(x, vg_soft_ipc_kind(VG_TOKEN_EVENT), token, &none, &handle,
			 sizeof(handle), &fd);
	if (r)
		return r;
	vg_soft_ipc_begin(fd);
	r = cu.cuIpcOpenEventHandle(event, handle);
	vg_soft_ipc_end(fd);
	return r;
}

CUresult vge_cuEventDestroy_v2(struct vg_exec *x, const struct vg_req *rq, CUevent event)
{
	CUresult r;

	(void)rq;
	if (!cu.cuEventDestroy_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = cu.cuEventDestroy_v2(event);
	if (!vg_x_refused(r))
		vg_x_unshare(x, VG_TOKEN_EVENT, (uintptr_t)event);
	return r;
}

/* -- pools and what is in them */

CUresult vge_vgpu_pool_export(struct vg_exec *x, const struct vg_req *rq, CUmemoryPool pool,
			      vgpu_token *token)
{
	struct shared s = { .kind = VG_TOKEN_POOL, .key = (uintptr_t)pool };
	CUresult r = CUDA_SUCCESS;
	int fd = -1;

	(void)rq;
	if (!cu.cuMemPoolExportToShareableHandle)
		return CUDA_ERROR_NOT_SUPPORTED;
	pthread_mutex_lock(&lock);
	if (!offered(VG_TOKEN_POOL, s.key, token)) {
		r = cu.cuMemPoolExportToShareableHandle(
			&fd, pool, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0);
		if (!r) {
			r = offer(x, s, 0, NULL, 0, fd, token);
			close(fd);
		}
	}
	pthread_mutex_unlock(&lock);
	return r;
}

CUresult vge_vgpu_pool_import(struct vg_exec *x, const struct vg_req *rq, CUmemoryPool *pool,
			      const vgpu_token *token)
{
	uint64_t none;
	CUresult r;
	int fd;

	(void)rq;
	if (!cu.cuMemPoolImportFromShareableHandle)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = vg_exec_take(x, VG_TOKEN_POOL, token, &none, NULL, 0, &fd);
	if (r)
		return r;
	r = cu.cuMemPoolImportFromShareableHandle(pool, (void *)(uintptr_t)fd,
						  CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0);
	close(fd);
	return r;
}

CUresult vge_cuMemPoolDestroy(struct vg_exec *x, const struct vg_req *rq, CUmemoryPool pool)
{
	CUresult r;

	(void)rq;
	if (!cu.cuMemPoolDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	vg_x_settle(x);
	r = cu.cuMemPoolDestroy(pool);
	if (!vg_x_refused(r)) {
		vg_x_unshare(x, VG_TOKEN_POOL, (uintptr_t)pool);
		vg_x_pool_gone(x, pool);
	}
	return r;
}

CUresult vge_vgpu_pointer_export(struct vg_exec *x, const struct vg_req *rq, CUdeviceptr ptr,
				 vgpu_token *token)
{
	struct shared s = { .kind = VG_TOKEN_POINTER, .key = ptr };
	CUmemPoolPtrExportData data;
	CUresult r = CUDA_SUCCESS;
	uint64_t bytes;

	(void)rq;
	if (!cu.cuMemPoolExportPointer)
		return CUDA_ERROR_NOT_SUPPORTED;
	/* What came from another process is that one's to export. */
	if (!vg_x_allocation(ptr, &bytes, &s.ctx) || !bytes)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&lock);
	if (!offered(VG_TOKEN_POINTER, ptr, token)) {
		r = cu.cuMemPoolExportPointer(&data, ptr);
		if (!r)
			r = offer(x, s, bytes, &data, sizeof(data), -1, token);
	}
	pthread_mutex_unlock(&lock);
	return r;
}

CUresult vge_vgpu_pointer_import(struct vg_exec *x, const struct vg_req *rq, CUmemoryPool pool,
				 const vgpu_token *token, CUdeviceptr *ptr, uint64_t *bytes)
{
	CUmemPoolPtrExportData data;
	bool known, added;
	CUresult r;

	if (!cu.cuMemPoolImportPointer || !cu.cuMemFree_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = vg_exec_take(x, VG_TOKEN_POINTER, token, bytes, &data, sizeof(data), NULL);
	if (r)
		return r;
	r = cu.cuMemPoolImportPointer(ptr, pool, &data);
	if (r) {
		vg_exec_leave(x, token);
		return r;
	}
	pthread_mutex_lock(&lock);
	known = find(VG_TOKEN_POINTER, true, *ptr);
	added = !known && add((struct shared){ VG_TOKEN_POINTER, true, rq->ctx, *ptr, *token });
	pthread_mutex_unlock(&lock);
	if (!added)
		vg_exec_leave(x, token);
	/* It is freed as if it were ours, but has been charged where it was allocated. */
	if (known || (added && vg_x_allocated(*ptr, 0, 0, rq->ctx)))
		return CUDA_SUCCESS;
	vg_x_unshare(x, VG_TOKEN_POINTER, *ptr);
	cu.cuMemFree_v2(*ptr);
	return CUDA_ERROR_OUT_OF_MEMORY;
}
