// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that the host may reach: allocated for a channel, or a program's own
 * pages under a long-term pin.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "vgpu_guest.h"

int vgpu_mem_dma_map(struct vgpu *vgpu, struct vgpu_mem *mem)
{
	int ret;

	ret = sg_alloc_table_from_pages(&mem->sgt, mem->pages, mem->npages, 0,
					mem->npages << PAGE_SHIFT, GFP_KERNEL_ACCOUNT);
	if (ret)
		return ret;
	ret = dma_map_sgtable(&vgpu->pdev->dev, &mem->sgt, DMA_BIDIRECTIONAL, 0);
	if (ret) {
		sg_free_table(&mem->sgt);
		return ret;
	}
	mem->mapped = true;
	return 0;
}

void vgpu_mem_dma_unmap(struct vgpu *vgpu, struct vgpu_mem *mem)
{
	if (!mem->mapped)
		return;
	dma_unmap_sgtable(&vgpu->pdev->dev, &mem->sgt, DMA_BIDIRECTIONAL, 0);
	sg_free_table(&mem->sgt);
	mem->mapped = false;
}

static struct vgpu_mem *mem_new(unsigned long npages, bool user)
{
	struct vgpu_mem *mem = kzalloc(sizeof(*mem), GFP_KERNEL_ACCOUNT);
	int ret = -ENOMEM;

	if (!mem)
		return ERR_PTR(-ENOMEM);
	mem->account = vgpu_account_charge(npages, user);
	if (IS_ERR(mem->account)) {
		ret = PTR_ERR(mem->account);
		goto free;
	}
	mem->pages = kvcalloc(npages, sizeof(*mem->pages), GFP_KERNEL_ACCOUNT);
	if (!mem->pages)
		goto uncharge;
	mem->user = user;
	return mem;

uncharge:
	vgpu_account_uncharge(mem->account, npages, user);
free:
	kfree(mem);
	return ERR_PTR(ret);
}

static void mem_destroy(struct vgpu_mem *mem, unsigned long charged)
{
	vgpu_account_uncharge(mem->account, charged, mem->user);
	kvfree(mem->pages);
	kfree(mem);
}

static void mem_free_pages(struct vgpu_mem *mem)
{
	unsigned long i;

	for (i = 0; i < mem->npages; i++) {
		__free_page(mem->pages[i]);
		if (!(i % 1024))
			cond_resched();
	}
}

struct vgpu_mem *vgpu_mem_alloc(unsigned long npages)
{
	struct vgpu_mem *mem = mem_new(npages, false);

	if (IS_ERR(mem))
		return mem;
	while (mem->npages < npages) {
		/* Fail a too large allocation instead of invoking the OOM killer. */
		struct page *page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN |
					       __GFP_RETRY_MAYFAIL);

		if (!page || fatal_signal_pending(current)) {
			if (page)
				__free_page(page);
			mem_free_pages(mem);
			mem_destroy(mem, npages);
			return ERR_PTR(page ? -EINTR : -ENOMEM);
		}
		mem->pages[mem->npages++] = page;
	}
	return mem;
}

struct vgpu_mem *vgpu_mem_pin(unsigned long addr, unsigned long npages)
{
	struct vgpu_mem *mem = mem_new(npages, true);
	long got;

	if (IS_ERR(mem))
		return mem;
	while (mem->npages < npages) {
		got = pin_user_pages_fast(addr + (mem->npages << PAGE_SHIFT),
					  min(npages - mem->npages, 1ul << 16),
					  FOLL_WRITE | FOLL_LONGTERM, mem->pages + mem->npages);
		if (got <= 0) {
			unpin_user_pages(mem->pages, mem->npages);
			mem_destroy(mem, npages);
			return ERR_PTR(got ? got : -EFAULT);
		}
		mem->npages += got;
	}
	mem->mm = current->mm;
	mmgrab(mem->mm);
	atomic64_add(npages, &mem->mm->pinned_vm);
	return mem;
}

/* The host does not reach it any more, and it has no bus addresses. */
void vgpu_mem_free(struct vgpu_mem *mem)
{
	WARN_ON_ONCE(mem->mapped);
	if (mem->user) {
		/* The host may have written to any of them. */
		unpin_user_pages_dirty_lock(mem->pages, mem->npages, true);
		atomic64_sub(mem->npages, &mem->mm->pinned_vm);
		mmdrop(mem->mm);
	} else {
		mem_free_pages(mem);
	}
	mem_destroy(mem, mem->npages);
}
