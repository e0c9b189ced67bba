// SPDX-License-Identifier: GPL-2.0
/*
 * Pinned guest memory: page lists in, struct page arrays out.
 *
 * A list page is copied from the guest once, checked as a copy, and used as
 * that copy.  A list's length is bounded by the bytes that the command named,
 * because every run has at least one page and every list page but the last is
 * full.  So a list that names itself costs no more than an honest one.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "vgpu_host.h"

/*
 * The only way in which this module looks at guest memory.  It writes none, and
 * programs' data is not among what it reads, which the count shows.
 */
int vgpu_guest_read(struct vgpu *vgpu, u64 addr, void *to, size_t bytes)
{
	int ret = vfio_dma_rw(&vgpu->vfio, addr, to, bytes, false);

	if (!ret)
		atomic64_add(bytes, &vgpu->bytes_read);
	return ret;
}

/* Check one page of a list against the bytes that are still to come. */
int vgpu_list_check(const struct vgpu_adm_list *list, u64 *bytes_left)
{
	u32 i;

	if (!list->count || list->count > VGPU_ADM_RUNS || list->reserved)
		return -EINVAL;
	for (i = 0; i < list->count; i++) {
		u64 addr = list->run[i].addr;
		u64 bytes = list->run[i].bytes;

		if (!bytes || !PAGE_ALIGNED(addr) || !PAGE_ALIGNED(bytes))
			return -EINVAL;
		if (bytes > *bytes_left || addr + bytes < addr)
			return -EINVAL;
		*bytes_left -= bytes;
	}
	/* The last page of the list is the one that completes it; the others are full. */
	if (!*bytes_left != !list->next)
		return -EINVAL;
	if (list->next && list->count != VGPU_ADM_RUNS)
		return -EINVAL;
	return 0;
}

/* What all vGPUs have pinned; admin_lock is one vGPU's, so this is atomic. */
static atomic64_t pinned_total;

static void pin_unaccount(struct vgpu *vgpu, u64 pages)
{
	atomic64_sub(pages, &pinned_total);
	atomic64_sub(pages, &vgpu->pinned_pages);
}

static bool pin_account(struct vgpu *vgpu, u64 pages)
{
	s64 own = atomic64_add_return(pages, &vgpu->pinned_pages);
	s64 all = atomic64_add_return(pages, &pinned_total);

	if (own <= vgpu_pin_limit_pages && all <= vgpu_pin_total_pages)
		return true;
	pin_unaccount(vgpu, pages);
	return false;
}

/* VFIO pins at most so many pages a call (VFIO_PIN_PAGES_MAX_ENTRIES). */
#define PIN_BATCH ((u32)(PAGE_SIZE / sizeof(unsigned long)))

static int run_pin(struct vgpu *vgpu, struct vgpu_mem *mem, u64 addr, u32 pages)
{
	while (pages) {
		u32 n = min(pages, PIN_BATCH);
		int got;

		/* A VM that is being killed must not pin to the end first. */
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		got = vfio_pin_pages(&vgpu->vfio, addr, n, IOMMU_READ | IOMMU_WRITE,
				     mem->pages + mem->npages);
		if (got <= 0)
			return got == -ENOMEM ? -ENOSPC : -EFAULT;
		/* VFIO pins all or nothing of what it was asked. */
		mem->runs[mem->nruns++] = (struct vgpu_run){ .iova = addr, .pages = got };
		mem->npages += got;
		if (got != n)
			return -EFAULT;
		addr += (u64)got << PAGE_SHIFT;
		pages -= got;
	}
	return 0;
}

/*
 * Room for the runs of a list page: a long run takes several batches.  The room
 * at least doubles, so that copying all runs costs no more than adding them.
 */
static int runs_reserve(struct vgpu_mem *mem, const struct vgpu_adm_list *list, u32 *room)
{
	u32 need = mem->nruns;
	struct vgpu_run *runs;
	u32 i;

	for (i = 0; i < list->count; i++)
		need += DIV_ROUND_UP(list->run[i].bytes >> PAGE_SHIFT, PIN_BATCH);
	if (need <= *room)
		return 0;
	need = max(need, 2 * *room);
	runs = kvmalloc_array(need, sizeof(*runs), GFP_KERNEL_ACCOUNT);
	if (!runs)
		return -ENOMEM;
	if (mem->nruns)
		memcpy(runs, mem->runs, mem->nruns * sizeof(*runs));
	kvfree(mem->runs);
	mem->runs = runs;
	*room = need;
	return 0;
}

static int list_pin(struct vgpu *vgpu, struct vgpu_mem *mem, struct vgpu_adm_list *list, u64 addr)
{
	u64 left = mem->bytes;
	u32 room = 0;
	u32 i;
	int ret;

	while (addr) {
		if (!PAGE_ALIGNED(addr))
			return -EINVAL;
		ret = vgpu_guest_read(vgpu, addr, list, sizeof(*list));
		if (ret)
			return -EFAULT;
		ret = vgpu_list_check(list, &left);
		if (ret)
			return ret;
		ret = runs_reserve(mem, list, &room);
		if (ret)
			return ret;
		for (i = 0; i < list->count; i++) {
			ret = run_pin(vgpu, mem, list->run[i].addr,
				      list->run[i].bytes >> PAGE_SHIFT);
			if (ret)
				return ret;
		}
		addr = list->next;
	}
	return left ? -EINVAL : 0;
}

static void runs_unpin(struct vgpu *vgpu, const struct vgpu_mem *mem)
{
	u32 i;

	for (i = 0; i < mem->nruns; i++) {
		vfio_unpin_pages(&vgpu->vfio, mem->runs[i].iova, mem->runs[i].pages);
		cond_resched();
	}
}

struct vgpu_mem *vgpu_mem_pin(struct vgpu *vgpu, u64 list_addr, u64 bytes, u64 va)
{
	struct vgpu_adm_list *list;
	struct vgpu_mem *mem;
	u64 pages = bytes >> PAGE_SHIFT;
	int ret;

	lockdep_assert_held(&vgpu->admin_lock);

	if (!pages || !PAGE_ALIGNED(bytes) || pages > U32_MAX)
		return ERR_PTR(-EINVAL);
	if (!pin_account(vgpu, pages))
		return ERR_PTR(-ENOSPC);

	mem = kzalloc(sizeof(*mem), GFP_KERNEL_ACCOUNT);
	list = kmalloc(sizeof(*list), GFP_KERNEL_ACCOUNT);
	if (!mem || !list) {
		ret = -ENOMEM;
		goto fail;
	}
	kref_init(&mem->ref);
	mem->bytes = bytes;
	mem->va = va;
	mem->pages = kvmalloc_array(pages, sizeof(*mem->pages), GFP_KERNEL_ACCOUNT);
	if (!mem->pages) {
		ret = -ENOMEM;
		goto fail;
	}

	ret = list_pin(vgpu, mem, list, list_addr);
	if (ret)
		goto unpin;
	kfree(list);

	mem->gup = vgpu_backing_hold(mem);
	return mem;

unpin:
	runs_unpin(vgpu, mem);
fail:
	kfree(list);
	if (mem) {
		kvfree(mem->pages);
		kvfree(mem->runs);
	}
	kfree(mem);
	pin_unaccount(vgpu, pages);
	return ERR_PTR(ret);
}

static void mem_free(struct kref *ref)
{
	kfree(container_of(ref, struct vgpu_mem, ref));
}

void vgpu_mem_put(struct vgpu_mem *mem)
{
	kref_put(&mem->ref, mem_free);
}

/* For memory that can no longer be mapped: revoked, or never published. */
void vgpu_mem_unpin(struct vgpu *vgpu, struct vgpu_mem *mem)
{
	lockdep_assert_held(&vgpu->admin_lock);

	vgpu_backing_release(mem);
	runs_unpin(vgpu, mem);
	pin_unaccount(vgpu, mem->npages);
	kvfree(mem->pages);
	kvfree(mem->runs);
	vgpu_mem_put(mem);
}

bool vgpu_mem_overlaps(const struct vgpu_mem *mem, u64 iova, u64 bytes)
{
	u32 i;

	for (i = 0; i < mem->nruns; i++) {
		u64 start = mem->runs[i].iova;
		u64 end = start + ((u64)mem->runs[i].pages << PAGE_SHIFT) - 1;

		if (start <= iova + bytes - 1 && end >= iova)
			return true;
	}
	return false;
}
