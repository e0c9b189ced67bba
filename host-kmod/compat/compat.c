// SPDX-License-Identifier: GPL-2.0
#include "../vgpu_host.h"

#ifdef HAVE_VFIO_REGION_INFO_CAPS
int compat_region_info_caps(struct vfio_device *vfio, struct vfio_region_info *info,
			    struct vfio_info_cap *caps)
{
	return vgpu_region_info(info);
}
#endif
