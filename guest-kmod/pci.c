// SPDX-License-Identifier: GPL-2.0
/*
 * vgpu_guest: the PCI driver of a vGPU.
 *
 * Start reading at vgpu_guest.h (objects and locks), then channel.c.
 */
#include <linux/cc_platform.h>
#include <linux/idr.h>
#include <linux/module.h>
#include <linux/pm.h>
#include <linux/slab.h>
#include <linux/swiotlb.h>

#include "vgpu_guest.h"

static DEFINE_IDA(vgpu_ida);

static void vgpu_free(struct kref *ref)
{
	struct vgpu *vgpu = container_of(ref, struct vgpu, ref);

	ida_free(&vgpu_ida, vgpu->index);
	xa_destroy(&vgpu->channels);
	mutex_destroy(&vgpu->admin_lock);
	mutex_destroy(&vgpu->table_lock);
	pci_dev_put(vgpu->pdev);
	kfree(vgpu);
}

void vgpu_put(struct vgpu *vgpu)
{
	kref_put(&vgpu->ref, vgpu_free);
}

static struct vgpu *vgpu_new(struct pci_dev *pdev)
{
	struct vgpu *vgpu = kzalloc(sizeof(*vgpu), GFP_KERNEL);
	u32 i;

	if (!vgpu)
		return NULL;
	vgpu->index = ida_alloc(&vgpu_ida, GFP_KERNEL);
	if (vgpu->index < 0) {
		kfree(vgpu);
		return NULL;
	}
	kref_init(&vgpu->ref);
	vgpu->pdev = pci_dev_get(pdev);
	snprintf(vgpu->name, sizeof(vgpu->name), "vgpu%d", vgpu->index);
	init_rwsem(&vgpu->gone_lock);
	mutex_init(&vgpu->admin_lock);
	mutex_init(&vgpu->table_lock);
	xa_init_flags(&vgpu->channels, XA_FLAGS_ALLOC);
	INIT_LIST_HEAD(&vgpu->kept);
	for (i = 0; i < VGPU_VECTORS; i++)
		init_waitqueue_head(&vgpu->vector[i].wq);
	return vgpu;
}

/*
 * The host maps the very pages that a program uses.  Where DMA goes through
 * bounce buffers, because memory is encrypted or swiotlb=force says so, it would
 * map copies that nobody keeps up to date.
 */
static int vgpu_check_dma(struct device *dev)
{
	if (!is_swiotlb_force_bounce(dev) && !cc_platform_has(CC_ATTR_GUEST_MEM_ENCRYPT))
		return 0;
	dev_err(dev, "DMA is bounced here (encrypted memory or swiotlb=force): a vGPU cannot work\n");
	return -EOPNOTSUPP;
}

static int vgpu_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct device *dev = &pdev->dev;
	struct vgpu *vgpu;
	int ret;

	vgpu = vgpu_new(pdev);
	if (!vgpu)
		return -ENOMEM;
	pci_set_drvdata(pdev, vgpu);

	ret = pci_enable_device_mem(pdev);
	if (ret)
		goto put;
	ret = pci_request_regions(pdev, "vgpu_guest");
	if (ret)
		goto disable;
	ret = -ENXIO;
	if (pci_resource_len(pdev, 0) < VGPU_BAR0_BYTES)
		goto release;
	vgpu->bar = pci_iomap(pdev, 0, VGPU_BAR0_BYTES);
	if (!vgpu->bar)
		goto release;
	ret = vgpu_check(vgpu);
	if (ret)
		goto unmap;
	ret = vgpu_check_dma(dev);
	if (ret)
		goto unmap;
	dma_set_max_seg_size(dev, UINT_MAX);
	ret = dma_set_mask_and_coherent(dev, DMA_BIT_MASK(64));
	if (ret)
		goto unmap;
	pci_set_master(pdev);
	vgpu->cmd = dma_alloc_coherent(dev, VGPU_ADM_BYTES_MAX, &vgpu->cmd_dma, GFP_KERNEL);
	if (!vgpu->cmd) {
		ret = -ENOMEM;
		goto unmaster;
	}
	/* A driver before us (a crashed kernel's) may have left channels. */
	ret = vgpu_reset(vgpu);
	if (ret) {
		dev_err(dev, "the host has not let go of what a driver before this one gave it\n");
		goto free_cmd;
	}
	ret = vgpu_irq_init(vgpu);
	if (ret)
		goto free_cmd;

	vgpu->misc.minor = MISC_DYNAMIC_MINOR;
	vgpu->misc.name = vgpu->name;
	vgpu->misc.fops = &vgpu_fops;
	vgpu->misc.parent = dev;
	vgpu->misc.mode = 0666;	/* as the nodes of GPUs are */
	ret = misc_register(&vgpu->misc);
	if (ret)
		goto exit_irq;
	dev_info(dev, "%s: %u interrupt vectors\n", vgpu->name, vgpu->vectors);
	return 0;

exit_irq:
	vgpu_irq_exit(vgpu);
free_cmd:
	dma_free_coherent(dev, VGPU_ADM_BYTES_MAX, vgpu->cmd, vgpu->cmd_dma);
unmaster:
	pci_clear_master(pdev);
unmap:
	pci_iounmap(pdev, vgpu->bar);
release:
	pci_release_regions(pdev);
disable:
	pci_disable_device(pdev);
put:
	vgpu_put(vgpu);
	return ret;
}

/*
 * Unplugged, unbound, or the module leaves.  Programs that have the device
 * open get ENODEV from here on and keep their own memory.
 */
static void vgpu_remove(struct pci_dev *pdev)
{
	struct vgpu *vgpu = pci_get_drvdata(pdev);

	misc_deregister(&vgpu->misc);

	vgpu_leave(vgpu, true);
	vgpu_irq_exit(vgpu);
	dma_free_coherent(&pdev->dev, VGPU_ADM_BYTES_MAX, vgpu->cmd, vgpu->cmd_dma);
	pci_clear_master(pdev);
	pci_iounmap(pdev, vgpu->bar);
	pci_release_regions(pdev);
	pci_disable_device(pdev);
	vgpu_put(vgpu);
}

/* The next kernel may use the memory at once: take it from the host. */
static void vgpu_shutdown(struct pci_dev *pdev)
{
	vgpu_leave(pci_get_drvdata(pdev), true);
}

/*
 * Asleep, a VM may be moved or its memory saved, and the host resets the device
 * when it wakes up.  So nothing of a channel survives, and programs get an error.
 */
static int vgpu_suspend(struct device *dev)
{
	vgpu_leave(dev_get_drvdata(dev), false);
	return 0;
}

static int vgpu_resume(struct device *dev)
{
	return vgpu_return(dev_get_drvdata(dev));
}

static DEFINE_SIMPLE_DEV_PM_OPS(vgpu_pm_ops, vgpu_suspend, vgpu_resume);

/* A reset of the function or of its bus, through sysfs or a driver of the bus. */
static void vgpu_reset_prepare(struct pci_dev *pdev)
{
	vgpu_leave(pci_get_drvdata(pdev), false);
}

static void vgpu_reset_done(struct pci_dev *pdev)
{
	vgpu_return(pci_get_drvdata(pdev));
}

static const struct pci_error_handlers vgpu_err_handler = {
	.reset_prepare = vgpu_reset_prepare,
	.reset_done = vgpu_reset_done,
};

static const struct pci_device_id vgpu_ids[] = {
	{ PCI_DEVICE_SUB(VGPU_PCI_VENDOR, VGPU_PCI_DEVICE, VGPU_PCI_VENDOR, VGPU_PCI_SUBSYSTEM) },
	{ }
};
MODULE_DEVICE_TABLE(pci, vgpu_ids);

static struct pci_driver vgpu_driver = {
	.name = "vgpu_guest",
	.id_table = vgpu_ids,
	.probe = vgpu_probe,
	.remove = vgpu_remove,
	.shutdown = vgpu_shutdown,
	.err_handler = &vgpu_err_handler,
	.driver.pm = pm_sleep_ptr(&vgpu_pm_ops),
};

static int __init vgpu_guest_init(void)
{
	return pci_register_driver(&vgpu_driver);
}

static void __exit vgpu_guest_exit(void)
{
	pci_unregister_driver(&vgpu_driver);
	ida_destroy(&vgpu_ida);
}

module_init(vgpu_guest_init);
module_exit(vgpu_guest_exit);

MODULE_DESCRIPTION("Driver of vGPUs inside a virtual machine");
MODULE_AUTHOR("The vgpu authors");
MODULE_LICENSE("GPL");
MODULE_VERSION("1");	/* VGPU_DEV_ABI */
