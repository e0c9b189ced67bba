// SPDX-License-Identifier: GPL-2.0
/*
 * The files behind guest memory (docs/guest-pages.md).
 *
 * Pages that an executor maps with vm_insert_page() count as mapped, but mm does
 * not find such a mapping through the file that the pages belong to. If the file
 * were evicted meanwhile, because a VMM has ended and its memfd with it, mm would
 * delete pages that are still mapped and say so ("Bad page cache"). So memory that
 * is mapped in this way holds its files.
 */
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "vgpu_host.h"

/* The VMM's own mapping of the file names it; commands run in a thread of the VMM. */
static struct file *find_file(const struct address_space *mapping)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	struct file *file = NULL;

	if (!mm || mmap_read_lock_killable(mm))
		return NULL;
	for (vma = find_vma(mm, 0); vma && !file; vma = find_vma(mm, vma->vm_end))
		if (vma->vm_file && vma->vm_file->f_mapping == mapping)
			file = get_file(vma->vm_file);
	mmap_read_unlock(mm);
	return file;
}

static bool hold_file(struct vgpu_mem *mem, const struct address_space *mapping)
{
	u32 i;

	for (i = 0; i < VGPU_BACKINGS; i++) {
		if (mem->backing[i] && mem->backing[i]->f_mapping == mapping)
			return true;
		if (!mem->backing[i]) {
			mem->backing[i] = find_file(mapping);
			return mem->backing[i];
		}
	}
	return false;
}

/*
 * Can all of it be mapped with vm_insert_page(), which get_user_pages() wants?
 * Anonymous pages cannot, hugetlb pages have reference counts of their own, and
 * of other pages the file must be known.
 */
bool vgpu_backing_hold(struct vgpu_mem *mem)
{
	const struct address_space *mapping, *last = NULL;
	u32 i;

	for (i = 0; i < mem->npages; i++) {
		struct page *page = mem->pages[i];

		if (PageAnon(page) || PageHuge(page))
			goto release;
		mapping = folio_mapping(page_folio(page));
		if (mapping && mapping == last)
			continue;
		if (!mapping || !hold_file(mem, mapping))
			goto release;
		last = mapping;
	}
	return true;

release:
	vgpu_backing_release(mem);
	return false;
}

/* Nobody maps it any more, or never did. */
void vgpu_backing_release(struct vgpu_mem *mem)
{
	u32 i;

	for (i = 0; i < VGPU_BACKINGS; i++) {
		if (mem->backing[i])
			fput(mem->backing[i]);
		mem->backing[i] = NULL;
	}
}
