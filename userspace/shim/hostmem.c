// SPDX-License-Identifier: Apache-2.0
/*
 * Host memory that the device reaches: page-locked and registered.
 *
 * The executor maps it at this process's own address and registers it with the
 * driver, so one pointer is good on both sides and nothing is copied on the way.
 *
 * Where a range cannot be shared (heap memory over the socket, a guest whose
 * memory the GPU's driver cannot pin) it is plain memory, from which copies are
 * staged; what needs a mapping then is refused, never answered with something
 * that does not work.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "client.h"
#include "crew.h"
#include "hostmem.h"
#include "shim.h"
#include "shim_calls.h"
#include "slab.h"

#define PAGE 4096u
#define ALLOC_FLAGS (CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP | \
		     CU_MEMHOSTALLOC_WRITECOMBINED)
#define REGISTER_FLAGS (CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP | \
			CU_MEMHOSTREGISTER_IOMEMORY | CU_MEMHOSTREGISTER_READ_ONLY)

/* What a kernel needs of it, in every context, as unified addressing has it. */
#define MAPPED (CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP)

void vg_hostmem_staged(CUresult why)
{
	static _Atomic bool told;

	if (!atomic_exchange(&told, true))
		fprintf(stderr, "vgpu: page-locked memory cannot be mapped for the device here "
			"(error %d); copies from it are staged\n", why);
}

/* Register what has been shared; the share is ended if the driver refuses. */
static CUresult adopt(struct vg_hostmem *m, uint64_t va, uint64_t bytes, unsigned int flags)
{
	CUdeviceptr dptr;
	CUresult r = vgw_vgpu_host_register(va, bytes, flags, &dptr);

	if (r)
		vg_share_end(&m->share);
	return r;
}

static CUresult release(struct vg_hostmem *m, uint64_t va)
{
	CUresult r = vgw_vgpu_host_unregister(va);

	vg_share_end(&m->share);
	return r;
}

/* Waits for the device to be done with it. */
static CUresult mapped_free(struct vg_hostmem *m, void *p, size_t bytes)
{
	CUresult r;

	if (m->slab) {
		r = vgw_vgpu_host_unregister((uintptr_t)p);
		/* What the driver has not let go of is nobody else's. */
		if (!r || r == CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED)
			vg_slab_give(m->slab, p, bytes);
	} else {
		r = release(m, (uintptr_t)p);
		munmap(m->share.p, m->share.bytes);
	}
	free(m);
	return r;
}

static CUresult piece_new(struct vg_hostmem *m, size_t bytes, void **p)
{
	CUdeviceptr dptr;
	CUresult r = vg_slab_take(bytes, &m->slab, p);

	if (r)
		return r;
	r = vgw_vgpu_host_register((uintptr_t)*p, (bytes + PAGE - 1) & ~(size_t)(PAGE - 1), MAPPED,
				   &dptr);
	if (r) {
		vg_slab_give(m->slab, *p, bytes);
		m->slab = NULL;
	}
	return r;
}

static CUresult whole_new(struct vg_hostmem *m, size_t bytes, void **p)
{
	CUresult r = vg_share_new(&m->share, bytes);

	if (r)
		return r;
	vg_crew_touch(m->share.p, m->share.bytes);
	r = adopt(m, (uintptr_t)m->share.p, m->share.bytes, MAPPED);
	if (r)
		munmap(m->share.p, m->share.bytes);
	*p = m->share.p;
	return r;
}

CUresult vg_hostmem_new(size_t bytes, enum vg_range_kind kind, unsigned int flags, void **p)
{
	struct vg_hostmem *m = calloc(1, sizeof(*m));
	CUresult r;

	if (!m)
		return CUDA_ERROR_OUT_OF_MEMORY;
	m->preferred = m->prefetched = CU_DEVICE_INVALID;
	r = bytes > VG_SLAB_MOST || piece_new(m, bytes, p) ? whole_new(m, bytes, p) : CUDA_SUCCESS;
	if (r) {
		free(m);
		return r;
	}
	r = vg_range_add_shared((uintptr_t)*p, bytes, kind, flags, m);
	if (r)
		mapped_free(m, *p, bytes);
	return r;
}

static CUresult plain_new(void **pp, size_t bytes, unsigned int flags)
{
	size_t whole = (bytes + PAGE - 1) & ~(size_t)(PAGE - 1);
	CUresult r;
	void *p;

	/* mmap() itself may promise what there is not. */
	if (whole < bytes || whole > vg_memory_here())
		return CUDA_ERROR_OUT_OF_MEMORY;
	p = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = vg_range_add((uintptr_t)p, bytes, VG_RANGE_HOST, flags);
	if (r)
		munmap(p, whole);
	else
		*pp = p;
	return r;
}

CUresult vgh_cuMemHostAlloc(void **pp, size_t bytes, unsigned int flags)
{
	CUresult r = vg_context_ready();
	void *p;

	if (r)
		return r;
	if (!pp || flags & ~ALLOC_FLAGS)
		return CUDA_ERROR_INVALID_VALUE;
	if (!bytes) {
		*pp = NULL;
		return CUDA_SUCCESS;
	}
	/* With unified addressing all of it is mapped, asked for or not. */
	r = vg_hostmem_new(bytes, VG_RANGE_HOST, flags | CU_MEMHOSTALLOC_DEVICEMAP, &p);
	if (!r) {
		*pp = p;
		return CUDA_SUCCESS;
	}
	if (flags & CU_MEMHOSTALLOC_DEVICEMAP) {
		vg_hostmem_staged(r);
		return r;
	}
	if (plain_new(pp, bytes, flags))
		return CUDA_ERROR_OUT_OF_MEMORY;
	vg_hostmem_staged(r);
	return CUDA_SUCCESS;
}

CUresult vgh_cuMemAllocHost_v2(void **pp, size_t bytes)
{
	return vgh_cuMemHostAlloc(pp, bytes, 0);
}

CUresult vgh_cuMemAllocHost(void **pp, unsigned int bytes)
{
	return vgh_cuMemHostAlloc(pp, bytes, 0);
}

CUresult vg_hostmem_free(uint64_t p, enum vg_range_kind kind)
{
	struct vg_range range;

	if (!vg_range_remove(p, 1u << kind, &range))
		return CUDA_ERROR_INVALID_VALUE;
	if (range.shared)
		return mapped_free(range.shared, (void *)(uintptr_t)p, range.bytes);
	/* Every copy that names it has read or written it by the time it returned. */
	munmap((void *)(uintptr_t)p, (range.bytes + PAGE - 1) & ~(size_t)(PAGE - 1));
	return CUDA_SUCCESS;
}

CUresult vgh_cuMemFreeHost(void *p)
{
	bool lent;
	CUresult r;

	if (!p)
		return vg_context_ready();
	r = vg_range_lend((uintptr_t)p, &lent);
	if (!r)
		r = vg_hostmem_free((uintptr_t)p, VG_RANGE_HOST);
	if (lent)
		vg_lend_end();
	return r;
}

CUresult vgh_cuMemHostGetFlags(unsigned int *flags, void *p)
{
	struct vg_range range;
	CUresult r = vg_context_ready();

	if (r)
		return r;
	if (!flags || !vg_range_find((uintptr_t)p, &range) || vg_range_on_device(&range))
		return CUDA_ERROR_INVALID_VALUE;
	/* With unified addressing the driver says of all that it is mapped, and no more. */
	*flags = range.kind == VG_RANGE_REGISTERED ?
			 (range.flags & CU_MEMHOSTREGISTER_PORTABLE) | CU_MEMHOSTREGISTER_DEVICEMAP :
			 range.flags;
	return CUDA_SUCCESS;
}

CUresult vgh_cuMemHostGetDevicePointer_v2(CUdeviceptr *dptr, void *p, unsigned int flags)
{
	struct vg_range range;
	CUresult r = vg_context_ready();

	if (r)
		return r;
	if (!dptr || flags || !vg_range_find((uintptr_t)p, &range) || vg_range_on_device(&range))
		return CUDA_ERROR_INVALID_VALUE;
	if (!range.shared)
		return vg_refuse("cuMemHostGetDevicePointer", "this memory cannot be mapped here");
	*dptr = (uintptr_t)p;
	return CUDA_SUCCESS;
}

/* What the driver refuses whatever is mapped there (580.159). */
static CUresult out_of_place(uint64_t p, uint64_t bytes)
{
	struct vg_range range;
	uint64_t end;

	if (__builtin_add_overflow(p, bytes, &end))
		return CUDA_ERROR_INVALID_VALUE;
	if (end >> 48)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!vg_range_find(p, &range))
		return CUDA_SUCCESS;
	return range.kind == VG_RANGE_REGISTERED ? CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED :
						   CUDA_ERROR_INVALID_VALUE;
}

/* It would pin the pages, to write to them unless they are only to be read. */
static CUresult cannot_be_pinned(uint64_t p, uint64_t bytes, unsigned int flags)
{
	struct vg_mapped is;

	if (!vg_mapped(p, bytes, &is) || !is.read ||
	    (!is.write && !(flags & CU_MEMHOSTREGISTER_READ_ONLY)))
		return CUDA_ERROR_INVALID_VALUE;
	if (!(flags & CU_MEMHOSTREGISTER_IOMEMORY))
		return CUDA_SUCCESS;
	if (!is.io)
		return CUDA_ERROR_INVALID_VALUE;
	return vg_refuse("cuMemHostRegister of I/O memory", "the guest's is not the host's");
}

CUresult vgh_cuMemHostRegister_v2(void *p, size_t bytes, unsigned int flags)
{
	struct vg_hostmem *m;
	CUresult r = vg_context_ready();

	if (r)
		return r;
	if (!p || !bytes || flags & ~REGISTER_FLAGS)
		return CUDA_ERROR_INVALID_VALUE;
	r = out_of_place((uintptr_t)p, bytes);
	if (!r && flags & CU_MEMHOSTREGISTER_IOMEMORY)
		r = cannot_be_pinned((uintptr_t)p, bytes, flags);
	if (r)
		return r;
	m = calloc(1, sizeof(*m));
	if (!m)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = vg_share_range(&m->share, p, bytes);
	if (!r)
		r = adopt(m, (uintptr_t)p, bytes, flags | MAPPED);
	if (r) {
		CUresult worse = cannot_be_pinned((uintptr_t)p, bytes, flags);

		free(m);
		if (worse)
			return worse;
		vg_hostmem_staged(r);
		if (flags & CU_MEMHOSTREGISTER_DEVICEMAP)
			return r;
		return vg_range_add((uintptr_t)p, bytes, VG_RANGE_REGISTERED, flags);
	}
	r = vg_range_add_shared((uintptr_t)p, bytes, VG_RANGE_REGISTERED,
				flags | CU_MEMHOSTREGISTER_DEVICEMAP, m);
	if (r) {
		release(m, (uintptr_t)p);
		free(m);
	}
	return r;
}

CUresult vgh_cuMemHostRegister(void *p, size_t bytes, unsigned int flags)
{
	/* As it was, it takes no notice of flags that it does not know. */
	return vgh_cuMemHostRegister_v2(p, bytes, flags & (CU_MEMHOSTREGISTER_PORTABLE |
							   CU_MEMHOSTREGISTER_DEVICEMAP));
}

static CUresult unregister(void *p)
{
	struct vg_range range;
	CUresult r;

	if (!vg_range_remove((uintptr_t)p, 1u << VG_RANGE_REGISTERED, &range))
		return !p || vg_range_find((uintptr_t)p, &range) ?
			       CUDA_ERROR_INVALID_VALUE :
			       CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
	if (!range.shared)
		return CUDA_SUCCESS;
	r = release(range.shared, (uintptr_t)p);
	free(range.shared);
	return r;
}

CUresult vgh_cuMemHostUnregister(void *p)
{
	bool lent;
	CUresult r = vg_range_lend((uintptr_t)p, &lent);

	if (!r)
		r = unregister(p);
	if (lent)
		vg_lend_end();
	return r;
}
