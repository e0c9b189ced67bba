// SPDX-License-Identifier: GPL-2.0
#include <linux/vfio.h>
const struct vfio_device_ops probe = {
	.bind_iommufd = vfio_iommufd_emulated_bind,
};
