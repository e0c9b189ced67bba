// SPDX-License-Identifier: GPL-2.0
#include <linux/vfio.h>
int probe(const struct vfio_device_ops *ops);
int probe(const struct vfio_device_ops *ops)
{
	return ops->get_region_info_caps != NULL;
}
