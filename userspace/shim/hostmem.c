// SPDX-License-Identifier: Apache-2.0
/*
 * Host memory that the device reaches: page-locked, registered, managed.
 *
 * The executor maps it at this process's own address and registers it with the
 * driver, so one pointer is good on both sides and nothing is copied on the way.
 * Managed memory is such memory too: it stays in the host's RAM, and advice
 * about where it should be is kept, answered and not acted upon.
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

struct vg_hostmem {
	struct vg_slab *slab;		/* NULL: it is a share of its own */
	struct vg_share share;
	/* Of managed memory: what cuMemAdvise() and prefetches said last. */
	_Atomic int read_mostly, preferred, prefetched;
};

static void say_staged(CUresult why)
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
	if (r)
		vg_slab_give(m->slab, *p, bytes);
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

/* New memory that the device reaches at the same address. */
static CUresult mapped_new(size_t bytes, enum vg_range_kind kind, unsigned int flags, void **p)
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
	if (!pp || !bytes || flags & ~ALLOC_FLAGS)
		return CUDA_ERROR_INVALID_VALUE;
	/* With unified addressing all of it is mapped, asked for or not. */
	r = mapped_new(bytes, VG_RANGE_HOST, flags | CU_MEMHOSTALLOC_DEVICEMAP, &p);
	if (!r) {
		*pp = p;
		return CUDA_SUCCESS;
	}
	say_staged(r);
	return flags & CU_MEMHOSTALLOC_DEVICEMAP ? r : plain_new(pp, bytes, flags);
}

CUresult vgh_cuMemAllocHost_v2(void **pp, size_t bytes)
{
	return vgh_cuMemHostAlloc(pp, bytes, 0);
}

CUresult vgh_cuMemAllocHost(void **pp, unsigned int bytes)
{
	return vgh_cuMemHostAlloc(pp, bytes, 0);
}

static CUresult host_free(uint64_t p, enum vg_range_kind kind)
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
	CUresult r = vg_range_lend((uintptr_t)p, &lent);

	if (!r)
		r = host_free((uintptr_t)p, VG_RANGE_HOST);
	if (lent)
		vg_lend_end();
	return r;
}

CUresult vg_managed_free(CUdeviceptr p)
{
	return host_free(p, VG_RANGE_MANAGED);
}

CUresult vgh_cuMemHostGetFlags(unsigned int *flags, void *p)
{
	struct vg_range range;
	CUresult r = vg_context_ready();

	if (r)
		return r;
	if (!flags || !vg_range_find((uintptr_t)p, &range) || vg_range_on_device(&range))
		return CUDA_ERROR_INVALID_VALUE;
	*flags = range.flags;
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

CUresult vgh_cuMemHostRegister_v2(void *p, size_t bytes, unsigned int flags)
{
	struct vg_hostmem *m;
	CUresult r = vg_context_ready();

	if (r)
		return r;
	if (!p || !bytes || flags & ~REGISTER_FLAGS)
		return CUDA_ERROR_INVALID_VALUE;
	if (flags & CU_MEMHOSTREGISTER_IOMEMORY)
		return vg_refuse("cuMemHostRegister of I/O memory", "the guest's is not the host's");
	m = calloc(1, sizeof(*m));
	if (!m)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = vg_share_range(&m->share, p, bytes);
	if (!r)
		r = adopt(m, (uintptr_t)p, bytes, flags | MAPPED);
	if (r) {
		free(m);
		say_staged(r);
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
	return vgh_cuMemHostRegister_v2(p, bytes, flags);
}

CUresult vgh_cuMemHostUnregister(void *p)
{
	struct vg_range range;
	CUresult r = vg_context_ready();

	if (r)
		return r;
	if (!vg_range_remove((uintptr_t)p, 1u << VG_RANGE_REGISTERED, &range))
		return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
	if (!range.shared)
		return CUDA_SUCCESS;
	r = release(range.shared, (uintptr_t)p);
	free(range.shared);
	return r;
}

/* -- managed memory */

CUresult vgh_cuMemAllocManaged(CUdeviceptr *dptr, size_t bytes, unsigned int flags)
{
	CUresult r = vg_context_ready();
	void *p;

	if (r)
		return r;
	if (!dptr || !bytes || (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST))
		return CUDA_ERROR_INVALID_VALUE;
	r = mapped_new(bytes, VG_RANGE_MANAGED, flags, &p);
	if (r)
		say_staged(r);
	else
		*dptr = (uintptr_t)p;
	return r;
}

/* Managed memory that holds all of [p, p + bytes). */
static CUresult managed(CUdeviceptr p, size_t bytes, struct vg_hostmem **m)
{
	struct vg_range range;
	CUresult r = vg_context_ready();

	if (r)
		return r;
	if (!bytes || !vg_range_find(p, &range) || range.kind != VG_RANGE_MANAGED ||
	    bytes > range.base + range.bytes - p)
		return CUDA_ERROR_INVALID_VALUE;
	*m = range.shared;
	return CUDA_SUCCESS;
}

CUresult vgh_cuMemAdvise(CUdeviceptr p, size_t bytes, CUmem_advise advice, CUdevice device)
{
	struct vg_hostmem *m;
	CUresult r = managed(p, bytes, &m);

	if (r)
		return r;
	if (advice != CU_MEM_ADVISE_SET_READ_MOSTLY && advice != CU_MEM_ADVISE_UNSET_READ_MOSTLY &&
	    advice != CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION && device != CU_DEVICE_CPU &&
	    !vg_device(device))
		return CUDA_ERROR_INVALID_DEVICE;
	switch (advice) {
	case CU_MEM_ADVISE_SET_READ_MOSTLY:
		m->read_mostly = 1;
		return CUDA_SUCCESS;
	case CU_MEM_ADVISE_UNSET_READ_MOSTLY:
		m->read_mostly = 0;
		return CUDA_SUCCESS;
	case CU_MEM_ADVISE_SET_PREFERRED_LOCATION:
		m->preferred = device;
		return CUDA_SUCCESS;
	case CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION:
		m->preferred = CU_DEVICE_INVALID;
		return CUDA_SUCCESS;
	case CU_MEM_ADVISE_SET_ACCESSED_BY:
	case CU_MEM_ADVISE_UNSET_ACCESSED_BY:
		/* Every device has it mapped at all times. */
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

static CUresult device_of(CUmemLocation location, CUdevice *device)
{
	switch (location.type) {
	case CU_MEM_LOCATION_TYPE_DEVICE:
		*device = location.id;
		return CUDA_SUCCESS;
	case CU_MEM_LOCATION_TYPE_HOST:
	case CU_MEM_LOCATION_TYPE_HOST_NUMA:
	case CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT:
		*device = CU_DEVICE_CPU;
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

CUresult vgh_cuMemAdvise_v2(CUdeviceptr p, size_t bytes, CUmem_advise advice,
			    CUmemLocation location)
{
	CUdevice device = CU_DEVICE_CPU;
	CUresult r = CUDA_SUCCESS;

	/* The others do not look at it. */
	if (advice == CU_MEM_ADVISE_SET_PREFERRED_LOCATION ||
	    advice == CU_MEM_ADVISE_SET_ACCESSED_BY || advice == CU_MEM_ADVISE_UNSET_ACCESSED_BY)
		r = device_of(location, &device);
	return r ? r : vgh_cuMemAdvise(p, bytes, advice, device);
}

/* Whom it is attached to decides who may touch it when; here all may at all times. */
CUresult vgh_cuStreamAttachMemAsync(CUstream s, CUdeviceptr p, size_t bytes, unsigned int flags)
{
	struct vg_range range;
	uint32_t stream;
	CUresult r = vg_context_ready();

	if (!r)
		r = vg_stream_id(s, &stream);
	if (r)
		return r;
	if (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST &&
	    flags != CU_MEM_ATTACH_SINGLE)
		return CUDA_ERROR_INVALID_VALUE;
	if (flags == CU_MEM_ATTACH_SINGLE && stream <= 1)
		return CUDA_ERROR_INVALID_VALUE;
	/* All of one allocation, or none. */
	if (!vg_range_find(p, &range) || range.kind != VG_RANGE_MANAGED || range.base != p ||
	    (bytes && bytes != range.bytes))
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

CUresult vgh_cuMemPrefetchAsync(CUdeviceptr p, size_t bytes, CUdevice device, CUstream s)
{
	struct vg_hostmem *m;
	uint32_t stream;
	CUresult r = managed(p, bytes, &m);

	if (!r)
		r = vg_stream_id(s, &stream);
	if (r)
		return r;
	if (device != CU_DEVICE_CPU && !vg_device(device))
		return CUDA_ERROR_INVALID_DEVICE;
	m->prefetched = device;
	return CUDA_SUCCESS;
}

CUresult vgh_cuMemPrefetchAsync_v2(CUdeviceptr p, size_t bytes, CUmemLocation location,
				   unsigned int flags, CUstream s)
{
	CUdevice device;
	CUresult r = device_of(location, &device);

	if (r || flags)
		return r ? r : CUDA_ERROR_INVALID_VALUE;
	return vgh_cuMemPrefetchAsync(p, bytes, device, s);
}

CUresult vgh_cuMemRangeGetAttribute(void *data, size_t size, CUmem_range_attribute attribute,
				    CUdeviceptr p, size_t bytes)
{
	struct vg_hostmem *m;
	CUresult r = managed(p, bytes, &m);
	int *out = data;

	if (r)
		return r;
	if (!data || size < sizeof(int))
		return CUDA_ERROR_INVALID_VALUE;
	switch (attribute) {
	case CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY:
		*out = m->read_mostly;
		return size == sizeof(int) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
	case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION:
		*out = m->preferred;
		return size == sizeof(int) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
	case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION:
		*out = m->prefetched;
		return size == sizeof(int) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
	case CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY:
		if (size % sizeof(int))
			return CUDA_ERROR_INVALID_VALUE;
		for (size_t i = 0; i < size / sizeof(int); i++)
			out[i] = i < (size_t)vg_device_count ? (int)i : CU_DEVICE_INVALID;
		return CUDA_SUCCESS;
	default:
		return vg_refuse("cuMemRangeGetAttribute", "this attribute is not kept");
	}
}

CUresult vgh_cuMemRangeGetAttributes(void **data, size_t *sizes, CUmem_range_attribute *attributes,
				     size_t count, CUdeviceptr p, size_t bytes)
{
	CUresult r = count && data && sizes && attributes ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;

	for (size_t i = 0; i < count && !r; i++)
		r = vgh_cuMemRangeGetAttribute(data[i], sizes[i], attributes[i], p, bytes);
	return r;
}
