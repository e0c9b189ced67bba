// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that the host may reach: allocated for a channel, or a program's own
 * pages under a long-term pin.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "vgpu_guest.h"

static int mem_dma_map(struct vgpu *vgpu, struct vgpu_mem *mem)
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

static struct vgpu_mem *mem_new(unsigned long npages)
{
	struct vgpu_mem *mem = kzalloc(sizeof(*mem), GFP_KERNEL_ACCOUNT);

	if (!mem)
		return NULL;
	mem->pages = kvcalloc(npages, sizeof(*mem->pages), GFP_KERNEL_ACCOUNT);
	if (!mem->pages) {
		kfree(mem);
		return NULL;
	}
	return mem;
}

struct vgpu_mem *vgpu_mem_alloc(struct vgpu *vgpu, unsigned long npages)
{
	struct vgpu_mem *mem = mem_new(npages);
	int ret = -ENOMEM;

	if (!mem)
		return ERR_PTR(-ENOMEM);
	while (mem->npages < npages) {
		struct page *page;

		/* Too large a wish is to fail, not to get others killed. */
		page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN |
				  __GFP_RETRY_MAYFAIL);

		if (!page)
			goto fail;
		mem->pages[mem->npages++] = page;
	}
	ret = mem_dma_map(vgpu, mem);
	if (ret)
		goto fail;
	return mem;

fail:
	vgpu_mem_free(vgpu, mem);
	return ERR_PTR(ret);
}

struct vgpu_mem *vgpu_mem_pin(struct vgpu *vgpu, unsigned long addr, unsigned long npages)
{
	struct vgpu_mem *mem;
	int ret = -ENOSPC;

	if (atomic_long_add_return(npages, &vgpu->pinned) > vgpu_pin_limit_pages)
		goto unaccount;
	mem = mem_new(npages);
	if (!mem) {
		ret = -ENOMEM;
		goto unaccount;
	}
	while (mem->npages < npages) {
		ret = pin_user_pages_fast(addr + (mem->npages << PAGE_SHIFT),
					  min(npages - mem->npages, 1ul << 16),
					  FOLL_WRITE | FOLL_LONGTERM, mem->pages + mem->npages);
		if (ret <= 0)
			goto unpin;
		mem->npages += ret;
	}
	ret = mem_dma_map(vgpu, mem);
	if (ret)
		goto unpin;

	mem->user = true;
	mem->mm = current->mm;
	mmgrab(mem->mm);
	atomic64_add(npages, &mem->mm->pinned_vm);
	return mem;

unpin:
	unpin_user_pages(mem->pages, mem->npages);
	kvfree(mem->pages);
	kfree(mem);
unaccount:
	atomic_long_sub(npages, &vgpu->pinned);
	return ERR_PTR(ret ? ret : -EFAULT);
}

void vgpu_mem_free(struct vgpu *vgpu, struct vgpu_mem *mem)
{
	unsigned long i;

	vgpu_mem_dma_unmap(vgpu, mem);
	if (mem->user) {
		/* The host may have written to any of them. */
		unpin_user_pages_dirty_lock(mem->pages, mem->npages, true);
		atomic64_sub(mem->npages, &mem->mm->pinned_vm);
		mmdrop(mem->mm);
		atomic_long_sub(mem->npages, &vgpu->pinned);
	} else {
		for (i = 0; i < mem->npages; i++)
			__free_page(mem->pages[i]);
	}
	kvfree(mem->pages);
	kfree(mem);
}
