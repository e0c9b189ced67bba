// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupts.  Vector 0 says that VGPU_REG_EVENT has news; the others wake
 * those who wait on a channel that named them.
 */
#include <linux/interrupt.h>

#include "vgpu_guest.h"

static irqreturn_t event_irq(int irq, void *data)
{
	return IRQ_WAKE_THREAD;
}

static irqreturn_t event_thread(int irq, void *data)
{
	struct vgpu *vgpu = data;
	LIST_HEAD(out);
	u32 event;
	int n;

	down_read(&vgpu->gone_lock);
	/* Each channel has two kinds at most: more events mean that the device misbehaves. */
	for (n = 0; n < 2 * VGPU_CHANNELS && !vgpu_away(vgpu); n++) {
		event = vgpu_read(vgpu, VGPU_REG_EVENT);
		if (!(event & VGPU_EVENT_VALID) || event == ~0u)
			break;
		vgpu_channels_event(vgpu, event, &out);
	}
	up_read(&vgpu->gone_lock);
	vgpu_channels_put(&out);
	return IRQ_HANDLED;
}

/* Costs what the vector's sleepers cost, however many channels it has. */
static irqreturn_t channel_irq(int irq, void *data)
{
	struct vgpu_vector *vector = data;

	atomic_inc(&vector->seen);
	wake_up_all(&vector->wq);
	return IRQ_HANDLED;
}

int vgpu_irq_init(struct vgpu *vgpu)
{
	struct pci_dev *pdev = vgpu->pdev;
	u32 i;
	int ret;

	/* One for events, and up to one for each CPU that may wait. */
	ret = pci_alloc_irq_vectors(pdev, 2, min(VGPU_VECTORS, 1 + num_possible_cpus()),
				    PCI_IRQ_MSIX);
	if (ret < 0)
		return ret;
	vgpu->vectors = ret;

	ret = request_threaded_irq(pci_irq_vector(pdev, VGPU_VECTOR_EVENT), event_irq,
				   event_thread, 0, vgpu->name, vgpu);
	if (ret)
		goto free_vectors;
	for (i = 1; i < vgpu->vectors; i++) {
		ret = request_irq(pci_irq_vector(pdev, i), channel_irq, 0, vgpu->name,
				  &vgpu->vector[i]);
		if (ret)
			goto free_irqs;
	}
	return 0;

free_irqs:
	while (--i)
		free_irq(pci_irq_vector(pdev, i), &vgpu->vector[i]);
	free_irq(pci_irq_vector(pdev, VGPU_VECTOR_EVENT), vgpu);
free_vectors:
	pci_free_irq_vectors(pdev);
	return ret;
}

void vgpu_irq_exit(struct vgpu *vgpu)
{
	u32 i;

	for (i = 1; i < vgpu->vectors; i++)
		free_irq(pci_irq_vector(vgpu->pdev, i), &vgpu->vector[i]);
	free_irq(pci_irq_vector(vgpu->pdev, VGPU_VECTOR_EVENT), vgpu);
	pci_free_irq_vectors(vgpu->pdev);
}
