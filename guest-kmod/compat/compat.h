/* SPDX-License-Identifier: GPL-2.0 */
/* What differs between kernels 6.1 and 7.x, by compat/probes, and nothing else. */
#ifndef VGPU_GUEST_COMPAT_H
#define VGPU_GUEST_COMPAT_H

#include <linux/mm.h>

#ifndef HAVE_VM_FLAGS_SET
static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags |= flags;
}

static inline void vm_flags_clear(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags &= ~flags;
}
#endif

#endif /* VGPU_GUEST_COMPAT_H */
