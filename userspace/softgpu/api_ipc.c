// SPDX-License-Identifier: Apache-2.0
/* Memory and events of other processes: cuIpc*. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "api.h"
#include "event.h"
#include "ipc.h"

#define PAGE 4096ull

/* Memory that has been opened.  Its addresses are, as all devices', none of the host's. */
struct opened {
	struct opened *next;
	struct sg_ipc_name name;
	CUcontext ctx;
	uint64_t addr;
	unsigned int count;	/* how often it has been opened */
	char *reserved, *bytes;	/* both of `mapped` bytes */
	size_t mapped;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* all below */
static struct opened *list;

SG_API CUresult cuIpcGetMemHandle(CUipcMemHandle *handle, CUdeviceptr ptr)
{
	struct sg_ipc_name name = { .zero = 0 };
	struct sg_heap *h;
	struct sg_range r;

	SG_ENTER(ctx);
	(void)ctx;
	if (!handle || !sg_range_find(ptr, &r) || r.kind != RG_DEVICE)
		return CUDA_ERROR_INVALID_VALUE;
	h = &sg_device(r.device)->heap;
	if (h->fd < 0)
		return CUDA_ERROR_NOT_SUPPORTED;
	name.offset = r.addr - h->base;
	name.size = r.size;
	name.id = r.id;
	return sg_ipc_offer(&name, IPC_MEMORY, h->fd, handle);
}

static void drop(struct opened *o)
{
	if (o->reserved)
		munmap(o->reserved, o->mapped);
	if (o->bytes)
		munmap(o->bytes, o->mapped);
	free(o);
}

/*
 * Unmaps what is in the list no more.  Queued copies know its host address, in whichever context
 * they are: they complete before.  Those that were submitted while the first wait went on complete
 * in the second, and none is submitted any more because nobody finds the memory.
 */
static void take_away(struct opened *o)
{
	struct sg_range r;

	sg_contexts_wait();
	sg_range_remove(o->addr, &r);
	sg_contexts_wait();
	drop(o);
}

/* The pages that hold it, and as many addresses for the device. */
static struct opened *map(CUcontext ctx, const struct sg_ipc_name *name, int fd)
{
	struct sg_range r = { .size = name->size, .kind = RG_OPENED, .owner = ctx,
			      .device = ctx->dev->index };
	uint64_t lead = name->offset % PAGE;
	struct opened *o = calloc(1, sizeof(*o));
	void *p;

	if (!o)
		return NULL;
	*o = (struct opened){ .name = *name, .ctx = ctx, .count = 1 };
	o->mapped = (lead + name->size + PAGE - 1) & ~(PAGE - 1);
	p = mmap(NULL, o->mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	o->reserved = p == MAP_FAILED ? NULL : p;
	p = mmap(NULL, o->mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, name->offset - lead);
	o->bytes = p == MAP_FAILED ? NULL : p;
	r.addr = o->addr = (uint64_t)(uintptr_t)o->reserved + lead;
	r.delta = (int64_t)(uintptr_t)o->bytes - (int64_t)(uintptr_t)o->reserved;
	if (o->reserved && o->bytes && !sg_range_add(&r))
		return o;
	drop(o);
	return NULL;
}

SG_API CUresult cuIpcOpenMemHandle_v2(CUdeviceptr *ptr, CUipcMemHandle handle, unsigned int flags)
{
	struct sg_ipc_name name;
	struct opened *o;
	CUresult rc;
	int fd;

	SG_ENTER(ctx);
	if (!ptr || flags & ~CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS)
		return CUDA_ERROR_INVALID_VALUE;
	rc = sg_ipc_take(&handle, IPC_MEMORY, &name, &fd);
	if (rc)
		return rc;
	pthread_mutex_lock(&lock);
	for (o = list; o; o = o->next)
		if (o->ctx == ctx && !memcmp(&o->name, &name, sizeof(name)))
			break;
	if (o) {
		o->count++;
	} else {
		o = map(ctx, &name, fd);
		if (o) {
			o->next = list;
			list = o;
		}
	}
	if (o)
		*ptr = o->addr;
	pthread_mutex_unlock(&lock);
	close(fd);
	return o ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

SG_API CUresult cuIpcOpenMemHandle(CUdeviceptr *ptr, CUipcMemHandle handle, unsigned int flags)
{
	return cuIpcOpenMemHandle_v2(ptr, handle, flags);
}

SG_API CUresult cuIpcCloseMemHandle(CUdeviceptr ptr)
{
	struct opened **at, *o;
	bool last = false;

	SG_ENTER(ctx);
	sg_context_wait(ctx);
	pthread_mutex_lock(&lock);
	for (at = &list; *at && (*at)->addr != ptr; at = &(*at)->next)
		;
	o = *at;
	if (o && !--o->count) {
		*at = o->next;
		last = true;
	}
	pthread_mutex_unlock(&lock);
	if (last)
		take_away(o);
	return o ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

void sg_ipc_gone(CUcontext ctx)
{
	struct opened *gone = NULL;

	pthread_mutex_lock(&lock);
	for (struct opened **at = &list, *o; (o = *at);) {
		if (o->ctx != ctx) {
			at = &o->next;
			continue;
		}
		*at = o->next;
		o->next = gone;
		gone = o;
	}
	pthread_mutex_unlock(&lock);
	for (struct opened *o; (o = gone);) {
		gone = o->next;
		take_away(o);
	}
}

SG_API CUresult cuIpcGetEventHandle(CUipcEventHandle *handle, CUevent event)
{
	struct sg_ipc_name name = { .size = PAGE };

	SG_ENTER(ctx);
	(void)ctx;
	if (!handle || !event)
		return CUDA_ERROR_INVALID_VALUE;
	if (event->magic != MAGIC_EVENT || event->fd < 0)
		return CUDA_ERROR_INVALID_HANDLE;
	return sg_ipc_offer(&name, IPC_EVENT, event->fd, handle);
}

SG_API CUresult cuIpcOpenEventHandle(CUevent *event, CUipcEventHandle handle)
{
	struct sg_ipc_name name;
	CUresult rc;
	CUevent e;
	int fd;

	SG_ENTER(ctx);
	if (!event)
		return CUDA_ERROR_INVALID_VALUE;
	rc = sg_ipc_take(&handle, IPC_EVENT, &name, &fd);
	if (rc)
		return rc;
	e = sg_event_new(ctx, CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS, fd);
	close(fd);
	if (!e)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*event = e;
	return CUDA_SUCCESS;
}
