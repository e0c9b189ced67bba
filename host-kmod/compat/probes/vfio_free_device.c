// SPDX-License-Identifier: GPL-2.0
#include <linux/vfio.h>
void probe(struct vfio_device *vfio);
void probe(struct vfio_device *vfio)
{
	vfio_free_device(vfio);
}
