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

static void eventfds_put(struct eventfd_ctx **ctx, u32 count)
{
	while (count--)
		if (ctx[count])
			eventfd_ctx_put(ctx[count]);
}

/* The eventfds of descriptors, -1 being none: all of them, or an error. */
static int eventfds_get(const s32 *fd, struct eventfd_ctx **ctx, u32 count)
{
	u32 i;

	for (i = 0; i < count; i++) {
		struct eventfd_ctx *one = NULL;

		if (fd[i] < -1)
			one = ERR_PTR(-EINVAL);
		else if (fd[i] >= 0)
			one = eventfd_ctx_fdget(fd[i]);
		if (IS_ERR(one)) {
			eventfds_put(ctx, i);
			return PTR_ERR(one);
		}
		ctx[i] = one;
	}
	return 0;
}

/* Puts ctx[] in place at once, and drops what was there. */
static void eventfds_swap(struct vgpu *vgpu, struct eventfd_ctx **where,
			  struct eventfd_ctx **ctx, u32 count)
{
	u32 i;

	spin_lock(&vgpu->irq_lock);
	for (i = 0; i < count; i++)
		swap(where[i], ctx[i]);
	spin_unlock(&vgpu->irq_lock);
	eventfds_put(ctx, count);
}

static void irq_signal(struct vgpu *vgpu, struct eventfd_ctx **where)
{
	spin_lock(&vgpu->irq_lock);
	if (*where)
		compat_eventfd_signal(*where);
	spin_unlock(&vgpu->irq_lock);
}

/*
 * VFIO_DEVICE_SET_IRQS; set and data have been checked against vgpu_irq_info().
 * It is done as a whole or not at all.
 */
int vgpu_irq_set(struct vgpu *vgpu, const struct vfio_irq_set *set, const void *data)
{
	struct eventfd_ctx *ctx[VGPU_VECTORS] = {};
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
		eventfds_swap(vgpu, where, ctx, count);
		return 0;
	}
	if (set->start > count || set->count > count - set->start)
		return -EINVAL;

	if (set->flags & VFIO_IRQ_SET_DATA_EVENTFD) {
		ret = eventfds_get(data, ctx, set->count);
		if (ret)
			return ret;
		eventfds_swap(vgpu, &where[set->start], ctx, set->count);
		return 0;
	}
	for (i = 0; i < set->count; i++)
		if (set->flags & VFIO_IRQ_SET_DATA_NONE || ((const u8 *)data)[i])
			irq_signal(vgpu, &where[set->start + i]);
	return 0;
}

void vgpu_irq_release(struct vgpu *vgpu)
{
	struct eventfd_ctx *ctx[VGPU_VECTORS] = {}, *req = NULL;

	eventfds_swap(vgpu, vgpu->msix, ctx, VGPU_VECTORS);
	eventfds_swap(vgpu, &vgpu->req, &req, 1);
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

void vgpu_event_post(struct vgpu *vgpu, u32 channel, u32 kind, u32 why)
{
	spin_lock(&vgpu->irq_lock);
	__set_bit(channel, kind == VGPU_EVENT_LOST ? vgpu->lost : vgpu->released);
	if (kind == VGPU_EVENT_LOST)
		vgpu->why[channel] = why;
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
	if (VGPU_EVENT_KIND(event) == VGPU_EVENT_LOST)
		event |= vgpu->why[VGPU_EVENT_CHANNEL(event)] << 24;
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
