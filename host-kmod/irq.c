// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupts: VFIO's IRQ interface on one side (eventfds that QEMU hands over
 * for each MSI-X vector), what the guest driver learns from VGPU_REG_EVENT on
 * the other.
 */
#include <linux/bitmap.h>

#include "vgpu_host.h"

int vgpu_irq_info(struct vfio_irq_info *info)
{
	info->flags = VFIO_IRQ_INFO_EVENTFD;
	switch (info->index) {
	case VFIO_PCI_MSIX_IRQ_INDEX:
		info->count = VGPU_VECTORS;
		return 0;
	case VFIO_PCI_REQ_IRQ_INDEX:
		info->count = 1;
		return 0;
	case VFIO_PCI_INTX_IRQ_INDEX:
	case VFIO_PCI_MSI_IRQ_INDEX:
	case VFIO_PCI_ERR_IRQ_INDEX:
		info->flags = 0;
		info->count = 0;
		return 0;
	default:
		return -EINVAL;
	}
}

static int irq_set_eventfd(struct vgpu *vgpu, struct eventfd_ctx **where, int fd)
{
	struct eventfd_ctx *ctx = NULL;

	if (fd >= 0) {
		ctx = eventfd_ctx_fdget(fd);
		if (IS_ERR(ctx))
			return PTR_ERR(ctx);
	}
	spin_lock(&vgpu->irq_lock);
	swap(*where, ctx);
	spin_unlock(&vgpu->irq_lock);
	if (ctx)
		eventfd_ctx_put(ctx);
	return 0;
}

static void irq_signal(struct vgpu *vgpu, struct eventfd_ctx **where)
{
	spin_lock(&vgpu->irq_lock);
	if (*where)
		compat_eventfd_signal(*where);
	spin_unlock(&vgpu->irq_lock);
}

/* VFIO_DEVICE_SET_IRQS; set and data have been checked against vgpu_irq_info(). */
int vgpu_irq_set(struct vgpu *vgpu, const struct vfio_irq_set *set, const void *data)
{
	struct eventfd_ctx **where;
	u32 i, count;
	int ret;

	switch (set->index) {
	case VFIO_PCI_MSIX_IRQ_INDEX:
		where = vgpu->msix;
		count = VGPU_VECTORS;
		break;
	case VFIO_PCI_REQ_IRQ_INDEX:
		where = &vgpu->req;
		count = 1;
		break;
	default:
		return -EINVAL;
	}
	if ((set->flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) != VFIO_IRQ_SET_ACTION_TRIGGER)
		return -ENOTTY;

	/* No data and no vectors: take all eventfds away. */
	if (!set->count && (set->flags & VFIO_IRQ_SET_DATA_NONE)) {
		for (i = 0; i < count; i++)
			irq_set_eventfd(vgpu, &where[i], -1);
		return 0;
	}

	for (i = 0; i < set->count; i++) {
		struct eventfd_ctx **vector = &where[set->start + i];

		if (set->flags & VFIO_IRQ_SET_DATA_EVENTFD) {
			ret = irq_set_eventfd(vgpu, vector, ((const s32 *)data)[i]);
			if (ret)
				return ret;
		} else if (set->flags & VFIO_IRQ_SET_DATA_NONE || ((const u8 *)data)[i]) {
			irq_signal(vgpu, vector);
		}
	}
	return 0;
}

void vgpu_irq_release(struct vgpu *vgpu)
{
	u32 i;

	for (i = 0; i < VGPU_VECTORS; i++)
		irq_set_eventfd(vgpu, &vgpu->msix[i], -1);
	irq_set_eventfd(vgpu, &vgpu->req, -1);
}

void vgpu_irq_raise(struct vgpu *vgpu, u32 vector)
{
	atomic64_inc(&vgpu->interrupts);
	irq_signal(vgpu, &vgpu->msix[vector]);
}

/* Ask whoever runs the VM to let go of the device. */
void vgpu_irq_request(struct vgpu *vgpu)
{
	irq_signal(vgpu, &vgpu->req);
}

void vgpu_event_post(struct vgpu *vgpu, u32 channel, u32 kind)
{
	spin_lock(&vgpu->irq_lock);
	__set_bit(channel, kind == VGPU_EVENT_LOST ? vgpu->lost : vgpu->released);
	spin_unlock(&vgpu->irq_lock);
	vgpu_irq_raise(vgpu, VGPU_VECTOR_EVENT);
}

static u32 event_take_one(unsigned long *pending, u32 kind)
{
	u32 channel = find_first_bit(pending, VGPU_CHANNELS);

	if (channel == VGPU_CHANNELS)
		return 0;
	__clear_bit(channel, pending);
	return VGPU_EVENT_VALID | kind << 16 | channel;
}

/* What a read of VGPU_REG_EVENT returns. */
u32 vgpu_event_take(struct vgpu *vgpu)
{
	u32 event;

	spin_lock(&vgpu->irq_lock);
	event = event_take_one(vgpu->released, VGPU_EVENT_RELEASED);
	if (!event)
		event = event_take_one(vgpu->lost, VGPU_EVENT_LOST);
	spin_unlock(&vgpu->irq_lock);
	return event;
}

void vgpu_events_clear(struct vgpu *vgpu)
{
	spin_lock(&vgpu->irq_lock);
	bitmap_zero(vgpu->lost, VGPU_CHANNELS);
	bitmap_zero(vgpu->released, VGPU_CHANNELS);
	spin_unlock(&vgpu->irq_lock);
}
