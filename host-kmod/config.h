/* SPDX-License-Identifier: GPL-2.0 */
/* The PCI configuration space of a vGPU: 256 bytes and what may be written. */
#ifndef VGPU_CONFIG_H
#define VGPU_CONFIG_H

#include <linux/types.h>

#define VGPU_CONFIG_BYTES 256

struct vgpu_config {
	u8 data[VGPU_CONFIG_BYTES];
	u8 writable[VGPU_CONFIG_BYTES];	/* mask of bits that a write changes */
};

void vgpu_config_init(struct vgpu_config *config);

/* Byte ranges that reach beyond the space are -EINVAL, and nothing happens. */
int vgpu_config_read(const struct vgpu_config *config, u32 off, void *buf, u32 len);
int vgpu_config_write(struct vgpu_config *config, u32 off, const void *buf, u32 len);

#endif /* VGPU_CONFIG_H */
