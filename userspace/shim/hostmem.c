// SPDX-License-Identifier: Apache-2.0
/*
 * Page-locked host memory.  It is plain memory of this process for now: copies
 * from it are right, but no kernel can reach it, so asking for its device
 * address is refused and never answered with something that does not work.
 */
#include <sys/mman.h>

#include "client.h"
#include "shim.h"
#include "shim_calls.h"

#define PAGE 4096u
#define ALLOC_FLAGS (CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP | \
		     CU_MEMHOSTALLOC_WRITECOMBINED)
#define REGISTER_FLAGS (CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP | \
			CU_MEMHOSTREGISTER_IOMEMORY | CU_MEMHOSTREGISTER_READ_ONLY)

CUresult vgh_cuMemHostAlloc(void **pp, size_t bytes, unsigned int flags)
{
	size_t whole = (bytes + PAGE - 1) & ~(size_t)(PAGE - 1);
	CUresult r = vg_context_ready();
	void *p;

	if (r)
		return r;
	if (!pp || !bytes || flags & ~ALLOC_FLAGS)
		return CUDA_ERROR_INVALID_VALUE;
	if (flags & CU_MEMHOSTALLOC_DEVICEMAP)
		return vg_refuse("cuMemHostAlloc with CU_MEMHOSTALLOC_DEVICEMAP",
				 "guest memory is not mapped for kernels yet");
	p = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = vg_range_add((uintptr_t)p, bytes, VG_RANGE_HOST, flags);
	if (r) {
		munmap(p, whole);
		return r;
	}
	*pp = p;
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

CUresult vgh_cuMemFreeHost(void *p)
{
	struct vg_range range;
	CUresult r = vg_context_ready();

	if (r)
		return r;
	if (!vg_range_remove((uintptr_t)p, 1u << VG_RANGE_HOST, &range))
		return CUDA_ERROR_INVALID_VALUE;
	/* Every copy that names it has read or written it by the time it returned. */
	munmap(p, (range.bytes + PAGE - 1) & ~(size_t)(PAGE - 1));
	return CUDA_SUCCESS;
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

CUresult vgh_cuMemHostRegister_v2(void *p, size_t bytes, unsigned int flags)
{
	CUresult r = vg_context_ready();

	if (r)
		return r;
	if (!p || !bytes || flags & ~REGISTER_FLAGS)
		return CUDA_ERROR_INVALID_VALUE;
	if (flags & (CU_MEMHOSTREGISTER_DEVICEMAP | CU_MEMHOSTREGISTER_IOMEMORY))
		return vg_refuse("cuMemHostRegister with a mapping",
				 "guest memory is not mapped for kernels yet");
	return vg_range_add((uintptr_t)p, bytes, VG_RANGE_REGISTERED, flags);
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
	return CUDA_SUCCESS;
}
