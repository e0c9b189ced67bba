// SPDX-License-Identifier: Apache-2.0
/* The device of linux/vgpu_dev.h: configuration space, registers, admin commands, events. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vfiouser.h"

#define CAP_PM		0x40
#define CAP_MSIX	0x50

static void put(uint8_t *to, uint32_t value, unsigned int bytes)
{
	for (unsigned int i = 0; i < bytes; i++)
		to[i] = value >> (8 * i);
}

static void field(struct vfu *v, uint32_t off, unsigned int bytes, uint32_t value, uint32_t writable)
{
	put(v->config + off, value, bytes);
	put(v->writable + off, writable, bytes);
}

void vfu_config_init(struct vfu *v)
{
	memset(v->config, 0, sizeof(v->config));
	memset(v->writable, 0, sizeof(v->writable));
	field(v, PCI_VENDOR_ID, 2, VGPU_PCI_VENDOR, 0);
	field(v, PCI_DEVICE_ID, 2, VGPU_PCI_DEVICE, 0);
	field(v, PCI_COMMAND, 2, 0,
	      PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
	field(v, PCI_STATUS, 2, PCI_STATUS_CAP_LIST, 0);
	field(v, PCI_CLASS_REVISION, 4, VGPU_PCI_CLASS << 8 | VGPU_PCI_REVISION, 0);
	field(v, PCI_CACHE_LINE_SIZE, 1, 0, 0xff);
	field(v, PCI_BASE_ADDRESS_0, 4,
	      PCI_BASE_ADDRESS_SPACE_MEMORY | PCI_BASE_ADDRESS_MEM_TYPE_32, ~(VGPU_BAR0_BYTES - 1));
	field(v, PCI_SUBSYSTEM_VENDOR_ID, 2, VGPU_PCI_VENDOR, 0);
	field(v, PCI_SUBSYSTEM_ID, 2, VGPU_PCI_SUBSYSTEM, 0);
	field(v, PCI_CAPABILITY_LIST, 1, CAP_PM, 0);
	field(v, PCI_INTERRUPT_LINE, 1, 0, 0xff);

	field(v, CAP_PM + PCI_CAP_LIST_ID, 1, PCI_CAP_ID_PM, 0);
	field(v, CAP_PM + PCI_CAP_LIST_NEXT, 1, CAP_MSIX, 0);
	field(v, CAP_PM + PCI_PM_PMC, 2, 3, 0);
	field(v, CAP_PM + PCI_PM_CTRL, 2, PCI_PM_CTRL_NO_SOFT_RESET, PCI_PM_CTRL_STATE_MASK);

	field(v, CAP_MSIX + PCI_CAP_LIST_ID, 1, PCI_CAP_ID_MSIX, 0);
	field(v, CAP_MSIX + PCI_MSIX_FLAGS, 2, VGPU_VECTORS - 1,
	      PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	field(v, CAP_MSIX + PCI_MSIX_TABLE, 4, VGPU_BAR0_MSIX_TABLE, 0);
	field(v, CAP_MSIX + PCI_MSIX_PBA, 4, VGPU_BAR0_MSIX_PBA, 0);
}

void vfu_config_access(struct vfu *v, uint32_t off, uint8_t *buf, uint32_t len, bool write)
{
	for (uint32_t i = 0; i < len; i++) {
		uint8_t mask = v->writable[off + i];

		if (write)
			v->config[off + i] = (v->config[off + i] & ~mask) | (buf[i] & mask);
		else
			buf[i] = v->config[off + i];
	}
}

void vfu_init(struct vfu *v, const struct vfu_ops *ops)
{
	v->ops = ops;
	LIST_INIT(&v->dying);
	for (unsigned int i = 0; i < VGPU_VECTORS; i++)
		v->msix[i] = -1;
	for (unsigned int i = 0; i < VFU_FILES; i++)
		v->file[i].fd = -1;
	vfu_config_init(v);
}

/* Channels, events and registers; not what the client has set up. */
void vfu_reset(struct vfu *v)
{
	vfu_channels_drop(v);
	memset(v->lost, 0, sizeof(v->lost));
	memset(v->released, 0, sizeof(v->released));
	v->admin_addr = 0;
	v->admin_result = 0;
}

/* -- interrupts and events */

void vfu_irq_raise(struct vfu *v, uint32_t vector)
{
	const uint64_t one = 1;
	ssize_t n;

	atomic_fetch_add(&v->counters->interrupts, 1);
	if (v->msix[vector] < 0)
		return;
	/* Whatever the client has sent instead of an eventfd, it is the client's. */
	n = write(v->msix[vector], &one, sizeof(one));
	(void)n;
}

void vfu_event_post(struct vfu *v, uint32_t channel, uint32_t kind, uint32_t why)
{
	uint8_t *set = kind == VGPU_EVENT_LOST ? v->lost : v->released;

	if (kind == VGPU_EVENT_LOST)
		v->why[channel] = why;
	set[channel / 8] |= 1u << channel % 8;
	vfu_irq_raise(v, VGPU_VECTOR_EVENT);
}

static uint32_t take_one(uint8_t *set, uint32_t kind)
{
	for (uint32_t i = 0; i < VGPU_CHANNELS; i++) {
		if (!(set[i / 8] & 1u << i % 8))
			continue;
		set[i / 8] &= ~(1u << i % 8);
		return VGPU_EVENT_VALID | kind << 16 | i;
	}
	return 0;
}

static uint32_t event_take(struct vfu *v)
{
	uint32_t event = take_one(v->released, VGPU_EVENT_RELEASED);

	if (event)
		return event;
	event = take_one(v->lost, VGPU_EVENT_LOST);
	return event ? event | (uint32_t)v->why[VGPU_EVENT_CHANNEL(event)] << 24 : 0;
}

/* -- admin commands */

static int run_create(struct vfu *v, const void *cmd)
{
	return vfu_channel_create(v, cmd);
}

static int run_destroy(struct vfu *v, const void *cmd)
{
	const struct vgpu_adm_head *head = cmd;

	return vfu_channel_destroy(v, head->channel);
}

static int run_map(struct vfu *v, const void *cmd)
{
	return vfu_channel_map(v, cmd);
}

static int run_unmap(struct vfu *v, const void *cmd)
{
	const struct vgpu_adm_unmap *unmap = cmd;

	return unmap->reserved ? -EINVAL : vfu_channel_unmap(v, unmap->head.channel, unmap->region);
}

static const struct {
	uint32_t size;
	int (*run)(struct vfu *v, const void *cmd);
} admin_ops[] = {
	[VGPU_ADM_CREATE] = { sizeof(struct vgpu_adm_create), run_create },
	[VGPU_ADM_DESTROY] = { sizeof(struct vgpu_adm_head), run_destroy },
	[VGPU_ADM_MAP] = { sizeof(struct vgpu_adm_map), run_map },
	[VGPU_ADM_UNMAP] = { sizeof(struct vgpu_adm_unmap), run_unmap },
};

static int admin_run(struct vfu *v, uint32_t bytes)
{
	_Alignas(8) uint8_t buf[VGPU_ADM_BYTES_MAX];
	struct vgpu_adm_head head;

	if (bytes < sizeof(head) || bytes > sizeof(buf))
		return -EINVAL;
	if (vfu_guest_read(v, v->admin_addr, buf, bytes))
		return -EFAULT;
	memcpy(&head, buf, sizeof(head));
	if (head.size != bytes || head.flags)
		return -EINVAL;
	if (head.op >= sizeof(admin_ops) / sizeof(admin_ops[0]) || !admin_ops[head.op].run)
		return -EOPNOTSUPP;
	if (bytes < admin_ops[head.op].size)
		return -EINVAL;
	for (uint32_t i = admin_ops[head.op].size; i < bytes; i++)
		if (buf[i])
			return -E2BIG;
	return admin_ops[head.op].run(v, buf);
}

/* -- registers */

static uint32_t bar_read(struct vfu *v, uint32_t off)
{
	uint32_t word;

	atomic_fetch_add(&v->counters->traps, 1);
	if (off >= VGPU_REG_UUID && off < VGPU_REG_UUID + sizeof(v->uuid)) {
		memcpy(&word, v->uuid + (off - VGPU_REG_UUID), sizeof(word));
		return word;
	}
	switch (off) {
	case VGPU_REG_MAGIC:
		return VGPU_DEV_MAGIC;
	case VGPU_REG_ABI:
		return VGPU_DEV_ABI;
	case VGPU_REG_FEATURES:
		return VGPU_FEATURE_RESET_BUSY;
	case VGPU_REG_CHANNELS:
		return VGPU_CHANNELS;
	case VGPU_REG_VECTORS:
		return VGPU_VECTORS;
	case VGPU_REG_STATUS:
		return VGPU_STATUS_MEDIATOR;	/* without one there is no server */
	case VGPU_REG_CTRL:
		return vfu_channels_dying(v) ? VGPU_CTRL_RESET : 0;
	case VGPU_REG_EVENT:
		return event_take(v);
	case VGPU_REG_ADMIN_LO:
		return (uint32_t)v->admin_addr;
	case VGPU_REG_ADMIN_HI:
		return v->admin_addr >> 32;
	case VGPU_REG_ADMIN_RESULT:
		return v->admin_result;
	case VGPU_REG_MEM_LO:
		return (uint32_t)v->mem_bytes;
	case VGPU_REG_MEM_HI:
		return v->mem_bytes >> 32;
	default:
		return ~0u;
	}
}

static void bar_write(struct vfu *v, uint32_t off, uint32_t val)
{
	atomic_fetch_add(&v->counters->traps, 1);
	if (off >= VGPU_REG_DOORBELL && off < VGPU_REG_DOORBELL + 4 * VGPU_CHANNELS) {
		atomic_fetch_add(&v->counters->doorbells, 1);
		vfu_channel_doorbell(v, (off - VGPU_REG_DOORBELL) / 4);
		return;
	}
	switch (off) {
	case VGPU_REG_CTRL:
		if (val == VGPU_CTRL_RESET)
			vfu_reset(v);
		return;
	case VGPU_REG_ADMIN_LO:
		v->admin_addr = (v->admin_addr & ~(uint64_t)UINT32_MAX) | val;
		return;
	case VGPU_REG_ADMIN_HI:
		v->admin_addr = (v->admin_addr & UINT32_MAX) | (uint64_t)val << 32;
		return;
	case VGPU_REG_ADMIN_KICK:
		v->admin_result = -admin_run(v, val);
		return;
	default:
		return;		/* read-only, or nothing there */
	}
}

void vfu_bar_access(struct vfu *v, uint32_t off, uint8_t *buf, uint32_t len, bool write)
{
	while (len) {
		uint32_t val = ~0u;

		if (off % sizeof(val) || len < sizeof(val)) {
			/* Not a register access: reads as ones, writes are lost. */
			if (!write)
				*buf = 0xff;
			off++;
			buf++;
			len--;
			continue;
		}
		if (write) {
			memcpy(&val, buf, sizeof(val));
			bar_write(v, off, val);
		} else {
			val = bar_read(v, off);
			memcpy(buf, &val, sizeof(val));
		}
		off += sizeof(val);
		buf += sizeof(val);
		len -= sizeof(val);
	}
}
