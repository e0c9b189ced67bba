// SPDX-License-Identifier: GPL-2.0
/*
 * Configuration space: a type 0 header, power management and MSI-X.
 *
 * QEMU (and user-mode Linux) size BARs and keep the guest's view of MSI-X
 * themselves; what is here makes that view true: BAR0 keeps its size bits,
 * and only the bits that PCI makes writable change.
 */
#include <linux/errno.h>
#include <linux/pci_ids.h>
#include <linux/pci_regs.h>
#include <linux/string.h>
#include <linux/vgpu_dev.h>

#include "compat/compat.h"
#include "config.h"

#define CAP_PM		0x40
#define CAP_MSIX	0x50

static void init16(struct vgpu_config *c, u32 off, u16 val, u16 writable)
{
	put_unaligned_le16(val, c->data + off);
	put_unaligned_le16(writable, c->writable + off);
}

static void init32(struct vgpu_config *c, u32 off, u32 val, u32 writable)
{
	put_unaligned_le32(val, c->data + off);
	put_unaligned_le32(writable, c->writable + off);
}

void vgpu_config_init(struct vgpu_config *c)
{
	memset(c, 0, sizeof(*c));

	init16(c, PCI_VENDOR_ID, VGPU_PCI_VENDOR, 0);
	init16(c, PCI_DEVICE_ID, VGPU_PCI_DEVICE, 0);
	init16(c, PCI_COMMAND, 0,
	       PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
	init16(c, PCI_STATUS, PCI_STATUS_CAP_LIST, 0);
	init32(c, PCI_CLASS_REVISION, VGPU_PCI_CLASS << 8 | VGPU_PCI_REVISION, 0);
	init32(c, PCI_BASE_ADDRESS_0,
	       PCI_BASE_ADDRESS_SPACE_MEMORY | PCI_BASE_ADDRESS_MEM_TYPE_32,
	       ~(VGPU_BAR0_BYTES - 1));
	init16(c, PCI_SUBSYSTEM_VENDOR_ID, VGPU_PCI_VENDOR, 0);
	init16(c, PCI_SUBSYSTEM_ID, VGPU_PCI_SUBSYSTEM, 0);
	c->data[PCI_CAPABILITY_LIST] = CAP_PM;
	c->writable[PCI_CACHE_LINE_SIZE] = 0xff;
	c->writable[PCI_INTERRUPT_LINE] = 0xff;

	c->data[CAP_PM + PCI_CAP_LIST_ID] = PCI_CAP_ID_PM;
	c->data[CAP_PM + PCI_CAP_LIST_NEXT] = CAP_MSIX;
	init16(c, CAP_PM + PCI_PM_PMC, 3, 0);
	init16(c, CAP_PM + PCI_PM_CTRL, PCI_PM_CTRL_NO_SOFT_RESET, PCI_PM_CTRL_STATE_MASK);

	c->data[CAP_MSIX + PCI_CAP_LIST_ID] = PCI_CAP_ID_MSIX;
	init16(c, CAP_MSIX + PCI_MSIX_FLAGS, VGPU_VECTORS - 1,
	       PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	init32(c, CAP_MSIX + PCI_MSIX_TABLE, VGPU_BAR0_MSIX_TABLE, 0);
	init32(c, CAP_MSIX + PCI_MSIX_PBA, VGPU_BAR0_MSIX_PBA, 0);
}

int vgpu_config_read(const struct vgpu_config *c, u32 off, void *buf, u32 len)
{
	if (off > VGPU_CONFIG_BYTES || len > VGPU_CONFIG_BYTES - off)
		return -EINVAL;
	memcpy(buf, c->data + off, len);
	return 0;
}

int vgpu_config_write(struct vgpu_config *c, u32 off, const void *buf, u32 len)
{
	const u8 *in = buf;
	u32 i;

	if (off > VGPU_CONFIG_BYTES || len > VGPU_CONFIG_BYTES - off)
		return -EINVAL;
	for (i = 0; i < len; i++) {
		u8 mask = c->writable[off + i];

		c->data[off + i] = (c->data[off + i] & ~mask) | (in[i] & mask);
	}
	return 0;
}
