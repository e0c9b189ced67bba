/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between kernels 6.1 and 7.x, and nothing else.  The HAVE_*
 * macros come from the compile probes in compat/probes (include/vgpu/probes.mk).
 */
#ifndef VGPU_HOST_COMPAT_H
#define VGPU_HOST_COMPAT_H

#include <linux/eventfd.h>
#include <linux/mm.h>
#include <linux/vfio.h>

#ifdef HAVE_LINUX_UNALIGNED_H
#include <linux/unaligned.h>
#else
#include <asm/unaligned.h>
#endif

static inline void compat_eventfd_signal(struct eventfd_ctx *ctx)
{
#ifdef HAVE_EVENTFD_SIGNAL_VOID
	eventfd_signal(ctx);
#else
	eventfd_signal(ctx, 1);
#endif
}

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

/* Before it became VFIO's own business, release() had to free the device. */
static inline void compat_vfio_free_device(struct vfio_device *vfio)
{
#ifdef HAVE_VFIO_FREE_DEVICE
	vfio_free_device(vfio);
#endif
}

/* Region info moved from .ioctl to an operation of its own. */
#ifdef HAVE_VFIO_REGION_INFO_CAPS
int compat_region_info_caps(struct vfio_device *vfio, struct vfio_region_info *info,
			    struct vfio_info_cap *caps);
#define COMPAT_VFIO_REGION_INFO_OP .get_region_info_caps = compat_region_info_caps,
#else
#define COMPAT_VFIO_REGION_INFO_OP
#endif

/* With iommufd in the kernel, VFIO demands these of every device. */
#ifdef HAVE_VFIO_IOMMUFD_OPS
#define COMPAT_VFIO_IOMMUFD_OPS                            \
	.bind_iommufd = vfio_iommufd_emulated_bind,        \
	.unbind_iommufd = vfio_iommufd_emulated_unbind,    \
	.attach_ioas = vfio_iommufd_emulated_attach_ioas,  \
	.detach_ioas = vfio_iommufd_emulated_detach_ioas,
#else
#define COMPAT_VFIO_IOMMUFD_OPS
#endif

#endif /* VGPU_HOST_COMPAT_H */
