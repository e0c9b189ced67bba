// SPDX-License-Identifier: Apache-2.0
/*
 * Virtual memory management. An allocation is a memfd, so another process can have it by
 * descriptor. A reservation is two ranges of addresses: the device's, which the host cannot
 * touch, and one where what is mapped has its bytes; all of it is the same distance away.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api.h"

#define PIECE (2ull << 20)	/* the granularity */
#define ALIGN_MAX (1ull << 40)
#define POSIX CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

struct allocation {
	struct allocation *next;
	int fd;
	uint64_t size, references, maps;
	bool imported;
	CUmemAllocationProp prop;
};

struct mapping {
	struct mapping *next;
	uint64_t addr, size;
	struct allocation *allocation;
	unsigned int access;	/* CUmemAccess_flags */
};

struct reservation {
	struct reservation *next;
	uint64_t addr, size;
	char *bytes;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* all below */
static struct allocation *allocations;
static struct mapping *mappings;
static struct reservation *reservations;

/* Memory of the host has a granularity, though none can be made here. */
static bool on_host(const CUmemAllocationProp *p)
{
	return p->location.type == CU_MEM_LOCATION_TYPE_HOST ||
	       p->location.type == CU_MEM_LOCATION_TYPE_HOST_NUMA ||
	       p->location.type == CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT;
}

static CUresult check_prop(const CUmemAllocationProp *p, bool host)
{
	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	if (p->type != CU_MEM_ALLOCATION_TYPE_PINNED || p->requestedHandleTypes & ~POSIX)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (on_host(p))
		return host ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
	if (p->location.type != CU_MEM_LOCATION_TYPE_DEVICE)
		return CUDA_ERROR_INVALID_VALUE;
	return sg_device(p->location.id) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

SG_API CUresult cuMemGetAllocationGranularity(size_t *granularity, const CUmemAllocationProp *p,
					      CUmemAllocationGranularity_flags option)
{
	CUresult rc;

	SG_NEED_INIT();
	rc = check_prop(p, true);
	if (rc)
		return rc;
	if (!granularity || (option != CU_MEM_ALLOC_GRANULARITY_MINIMUM &&
			     option != CU_MEM_ALLOC_GRANULARITY_RECOMMENDED))
		return CUDA_ERROR_INVALID_VALUE;
	*granularity = PIECE;
	return CUDA_SUCCESS;
}

/* -- addresses */

SG_API CUresult cuMemAddressReserve(CUdeviceptr *ptr, size_t size, size_t align, CUdeviceptr addr,
				    unsigned long long flags)
{
	const int how = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	struct reservation *r;
	uint64_t start;
	char *p;

	SG_NEED_INIT();
	/* `addr` is a wish only, but one that can be fulfilled. */
	if (!ptr || !size || size % PIECE || flags || (align & (align - 1)) ||
	    align > ALIGN_MAX || addr % PIECE)
		return CUDA_ERROR_INVALID_VALUE;
	if (align < PIECE)
		align = PIECE;
	if (size > (1ull << 46))
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = calloc(1, sizeof(*r));
	if (!r)
		return CUDA_ERROR_OUT_OF_MEMORY;
	p = mmap(NULL, size + align, PROT_NONE, how, -1, 0);
	r->bytes = mmap(NULL, size, PROT_NONE, how, -1, 0);
	if (p == MAP_FAILED || r->bytes == MAP_FAILED) {
		if (p != MAP_FAILED)
			munmap(p, size + align);
		free(r);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	/* What is before and behind the aligned part is given back. */
	start = ((uint64_t)(uintptr_t)p + align - 1) & ~(uint64_t)(align - 1);
	if (start > (uint64_t)(uintptr_t)p)
		munmap(p, start - (uint64_t)(uintptr_t)p);
	munmap((void *)(uintptr_t)(start + size), (uint64_t)(uintptr_t)p + align - start);
	r->addr = start;
	r->size = size;
	pthread_mutex_lock(&lock);
	r->next = reservations;
	reservations = r;
	pthread_mutex_unlock(&lock);
	*ptr = start;
	return CUDA_SUCCESS;
}

SG_API CUresult cuMemAddressFree(CUdeviceptr ptr, size_t size)
{
	struct reservation **at, *r;
	CUresult rc = CUDA_ERROR_INVALID_VALUE;

	SG_NEED_INIT();
	pthread_mutex_lock(&lock);
	for (at = &reservations; *at && (*at)->addr != ptr; at = &(*at)->next)
		;
	r = *at;
	for (struct mapping *m = mappings; m && r; m = m->next)
		if (m->addr - r->addr < r->size)
			r = NULL;	/* something is mapped there */
	if (r && r->size == size) {
		*at = r->next;
		munmap((void *)(uintptr_t)r->addr, r->size);
		munmap(r->bytes, r->size);
		free(r);
		rc = CUDA_SUCCESS;
	}
	pthread_mutex_unlock(&lock);
	return rc;
}

/* -- allocations */

static struct allocation *find(CUmemGenericAllocationHandle handle)
{
	struct allocation *a;

	for (a = allocations; a && (uintptr_t)a != handle; a = a->next)
		;
	return a && a->references ? a : NULL;
}

static void put(struct allocation *a)
{
	struct allocation **at;

	if (a->references || a->maps)
		return;
	for (at = &allocations; *at != a; at = &(*at)->next)
		;
	*at = a->next;
	if (!a->imported)
		sg_heap_uncharge(&sg_device(a->prop.location.id)->heap, a->size);
	close(a->fd);
	free(a);
}

static CUresult add(int fd, uint64_t size, bool imported, const CUmemAllocationProp *p,
		    CUmemGenericAllocationHandle *handle)
{
	struct allocation *a = calloc(1, sizeof(*a));

	if (!a)
		return CUDA_ERROR_OUT_OF_MEMORY;
	a->fd = fd;
	a->size = size;
	a->references = 1;
	a->imported = imported;
	a->prop = *p;
	pthread_mutex_lock(&lock);
	a->next = allocations;
	allocations = a;
	pthread_mutex_unlock(&lock);
	*handle = (uintptr_t)a;
	return CUDA_SUCCESS;
}

SG_API CUresult cuMemCreate(CUmemGenericAllocationHandle *handle, size_t size,
			    const CUmemAllocationProp *p, unsigned long long flags)
{
	struct sg_heap *h;
	CUresult rc;
	int fd;

	SG_NEED_INIT();
	rc = check_prop(p, false);
	if (rc)
		return rc;
	if (!handle || !size || size % PIECE || flags)
		return CUDA_ERROR_INVALID_VALUE;
	h = &sg_device(p->location.id)->heap;
	if (!sg_heap_charge(h, size))
		return CUDA_ERROR_OUT_OF_MEMORY;
	fd = memfd_create("softgpu", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	/* Another process that shrank it would make this one fault. */
	if (fd < 0 || ftruncate(fd, size) || fcntl(fd, F_ADD_SEALS, SEALS) ||
	    add(fd, size, false, p, handle)) {
		if (fd >= 0)
			close(fd);
		sg_heap_uncharge(h, size);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	return CUDA_SUCCESS;
}

SG_API CUresult cuMemRelease(CUmemGenericAllocationHandle handle)
{
	struct allocation *a;

	SG_NEED_INIT();
	pthread_mutex_lock(&lock);
	a = find(handle);
	if (a) {
		a->references--;
		put(a);
	}
	pthread_mutex_unlock(&lock);
	return a ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

SG_API CUresult cuMemGetAllocationPropertiesFromHandle(CUmemAllocationProp *p,
						       CUmemGenericAllocationHandle handle)
{
	struct allocation *a;

	SG_NEED_INIT();
	pthread_mutex_lock(&lock);
	a = find(handle);
	if (a && p)
		*p = a->prop;
	pthread_mutex_unlock(&lock);
	return a && p ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

SG_API CUresult cuMemExportToShareableHandle(void *out, CUmemGenericAllocationHandle handle,
					     CUmemAllocationHandleType type,
					     unsigned long long flags)
{
	CUresult rc = CUDA_ERROR_INVALID_VALUE;
	struct allocation *a;
	int fd;

	SG_NEED_INIT();
	if (!out || flags)
		return CUDA_ERROR_INVALID_VALUE;
	if (type != POSIX)
		return CUDA_ERROR_NOT_SUPPORTED;
	pthread_mutex_lock(&lock);
	a = find(handle);
	if (a && (a->prop.requestedHandleTypes & POSIX)) {
		fd = fcntl(a->fd, F_DUPFD_CLOEXEC, 0);
		rc = fd < 0 ? CUDA_ERROR_OPERATING_SYSTEM : CUDA_SUCCESS;
		if (!rc)
			*(int *)out = fd;
	}
	pthread_mutex_unlock(&lock);
	return rc;
}

SG_API CUresult cuMemImportFromShareableHandle(CUmemGenericAllocationHandle *handle, void *os,
					       CUmemAllocationHandleType type)
{
	/* There is one device's memory, whichever process has it. */
	CUmemAllocationProp p = { .type = CU_MEM_ALLOCATION_TYPE_PINNED,
				  .requestedHandleTypes = POSIX,
				  .location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 } };
	struct stat st;
	CUresult rc;
	int fd;

	SG_NEED_INIT();
	if (!handle)
		return CUDA_ERROR_INVALID_VALUE;
	if (type != POSIX)
		return CUDA_ERROR_NOT_SUPPORTED;
	fd = fcntl((int)(uintptr_t)os, F_DUPFD_CLOEXEC, 0);
	if (fd < 0 || fcntl(fd, F_GET_SEALS) != SEALS || fstat(fd, &st) || !st.st_size ||
	    st.st_size % PIECE) {
		if (fd >= 0)
			close(fd);
		return CUDA_ERROR_INVALID_VALUE;
	}
	rc = add(fd, st.st_size, true, &p, handle);
	if (rc)
		close(fd);
	return rc;
}

/* -- mappings */

static char *bytes_at(uint64_t addr, uint64_t size)
{
	for (struct reservation *r = reservations; r; r = r->next)
		if (addr - r->addr < r->size && size <= r->size - (addr - r->addr))
			return r->bytes + (addr - r->addr);
	return NULL;
}

static bool overlaps(uint64_t addr, uint64_t size)
{
	for (struct mapping *m = mappings; m; m = m->next)
		if (addr < m->addr + m->size && m->addr < addr + size)
			return true;
	return false;
}

SG_API CUresult cuMemMap(CUdeviceptr ptr, size_t size, size_t offset,
			 CUmemGenericAllocationHandle handle, unsigned long long flags)
{
	CUresult rc = CUDA_ERROR_INVALID_VALUE;
	struct allocation *a;
	struct mapping *m;
	char *p;

	SG_NEED_INIT();
	if (!size || ptr % PIECE || flags)
		return CUDA_ERROR_INVALID_VALUE;
	m = calloc(1, sizeof(*m));
	if (!m)
		return CUDA_ERROR_OUT_OF_MEMORY;
	pthread_mutex_lock(&lock);
	a = find(handle);
	if (a && (offset || size != a->size)) {	/* as NVIDIA's driver has it (580.159) */
		rc = CUDA_ERROR_NOT_SUPPORTED;
		goto out;
	}
	p = bytes_at(ptr, size);
	if (!a || !p || overlaps(ptr, size))
		goto out;
	rc = CUDA_ERROR_OUT_OF_MEMORY;
	if (mmap(p, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, a->fd, 0) == MAP_FAILED)
		goto out;
	*m = (struct mapping){ mappings, ptr, size, a, CU_MEM_ACCESS_FLAGS_PROT_NONE };
	mappings = m;
	a->maps++;
	rc = CUDA_SUCCESS;
out:
	pthread_mutex_unlock(&lock);
	if (rc)
		free(m);
	return rc;
}

/* Whether [ptr, ptr + size) is whole mappings, one after the other. */
static bool whole(uint64_t ptr, uint64_t size)
{
	uint64_t at = ptr;

	while (at - ptr < size) {
		struct mapping *m;

		for (m = mappings; m && m->addr != at; m = m->next)
			;
		if (!m)
			return false;
		at += m->size;
	}
	return at - ptr == size;
}

static CUresult set_access(struct mapping *m, unsigned int access)
{
	struct sg_range r = { .addr = m->addr, .size = m->size, .kind = RG_MAPPED,
			      .flags = m->allocation->prop.requestedHandleTypes,
			      .read_only = access == CU_MEM_ACCESS_FLAGS_PROT_READ,
			      .device = m->allocation->prop.location.id };
	CUresult rc = CUDA_SUCCESS;
	struct sg_range old;

	if (access == m->access)
		return CUDA_SUCCESS;
	if (m->access != CU_MEM_ACCESS_FLAGS_PROT_NONE)
		sg_range_remove(m->addr, &old);
	r.delta = (int64_t)((uint64_t)(uintptr_t)bytes_at(m->addr, m->size) - m->addr);
	if (access != CU_MEM_ACCESS_FLAGS_PROT_NONE)
		rc = sg_range_add(&r);
	m->access = rc ? CU_MEM_ACCESS_FLAGS_PROT_NONE : access;
	return rc;
}

SG_API CUresult cuMemUnmap(CUdeviceptr ptr, size_t size)
{
	CUcontext ctx = sg_current_or_null();
	CUresult rc = CUDA_ERROR_INVALID_VALUE;

	SG_NEED_INIT();
	/* Work in flight must not find its memory gone. */
	if (ctx)
		sg_context_wait(ctx);
	pthread_mutex_lock(&lock);
	if (size && whole(ptr, size)) {
		for (struct mapping **at = &mappings; *at;) {
			struct mapping *m = *at;

			if (m->addr - ptr >= size) {
				at = &m->next;
				continue;
			}
			set_access(m, CU_MEM_ACCESS_FLAGS_PROT_NONE);
			mmap(bytes_at(m->addr, m->size), m->size, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
			*at = m->next;
			m->allocation->maps--;
			put(m->allocation);
			free(m);
		}
		rc = CUDA_SUCCESS;
	}
	pthread_mutex_unlock(&lock);
	return rc;
}

SG_API CUresult cuMemSetAccess(CUdeviceptr ptr, size_t size, const CUmemAccessDesc *desc,
			       size_t count)
{
	CUresult rc = CUDA_ERROR_INVALID_VALUE;

	SG_NEED_INIT();
	if (!desc || !count || !size)
		return CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; i < count; i++) {
		if (desc[i].location.type != CU_MEM_LOCATION_TYPE_DEVICE)
			return CUDA_ERROR_NOT_SUPPORTED;
		if (!sg_device(desc[i].location.id))
			return CUDA_ERROR_INVALID_DEVICE;
		if (desc[i].flags != CU_MEM_ACCESS_FLAGS_PROT_NONE &&
		    desc[i].flags != CU_MEM_ACCESS_FLAGS_PROT_READ &&
		    desc[i].flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
			return CUDA_ERROR_INVALID_VALUE;
	}
	pthread_mutex_lock(&lock);
	if (whole(ptr, size)) {
		rc = CUDA_SUCCESS;
		/* Devices share their ranges, so the last word is for all. */
		for (struct mapping *m = mappings; m && !rc; m = m->next)
			if (m->addr - ptr < size)
				rc = set_access(m, desc[count - 1].flags);
	}
	pthread_mutex_unlock(&lock);
	return rc;
}

SG_API CUresult cuMemGetAccess(unsigned long long *flags, const CUmemLocation *location,
			       CUdeviceptr ptr)
{
	CUresult rc = CUDA_ERROR_INVALID_VALUE;

	SG_NEED_INIT();
	if (!flags || !location)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&lock);
	for (struct mapping *m = mappings; m && rc; m = m->next) {
		if (ptr - m->addr < m->size) {
			*flags = m->access;
			rc = CUDA_SUCCESS;
		}
	}
	pthread_mutex_unlock(&lock);
	return rc;
}

SG_API CUresult cuMemRetainAllocationHandle(CUmemGenericAllocationHandle *handle, void *addr)
{
	CUresult rc = CUDA_ERROR_INVALID_VALUE;

	SG_NEED_INIT();
	if (!handle)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&lock);
	for (struct mapping *m = mappings; m && rc; m = m->next) {
		if ((uint64_t)(uintptr_t)addr - m->addr < m->size) {
			m->allocation->references++;
			*handle = (uintptr_t)m->allocation;
			rc = CUDA_SUCCESS;
		}
	}
	pthread_mutex_unlock(&lock);
	return rc;
}
