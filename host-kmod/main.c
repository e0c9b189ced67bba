// SPDX-License-Identifier: GPL-2.0
/*
 * vgpu_host: vGPUs, which are mdevs below GPUs or below a virtual device.
 *
 * The module moves pages, doorbells and interrupts between a VM and the
 * mediator's executors; it knows nothing of CUDA.  Start reading at
 * vgpu_host.h (objects and locks), then channel.c (what a channel goes
 * through).
 */
#include <linux/idr.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "vgpu_host.h"

static char *types = "A:1G,A:4G,B:1G,B:4G";
module_param(types, charp, 0444);
MODULE_PARM_DESC(types, "mdev types: POOL:MEMORY[,...], e.g. A:4G,B:512M");

static unsigned int device_memory;
module_param(device_memory, uint, 0444);
MODULE_PARM_DESC(device_memory,
		 "MiB of GPU memory that each parent shares out among its vGPUs; 0 = do not count");

static unsigned int pin_limit;
module_param(pin_limit, uint, 0444);
MODULE_PARM_DESC(pin_limit, "MiB of guest memory that one vGPU may pin; 0 = an eighth of RAM");

static unsigned int pin_total;
module_param(pin_total, uint, 0444);
MODULE_PARM_DESC(pin_total, "MiB of guest memory that all vGPUs may pin; 0 = half of RAM");

unsigned long vgpu_pin_limit_pages;
unsigned long vgpu_pin_total_pages;
DEFINE_MUTEX(vgpu_host_lock);
LIST_HEAD(vgpu_host_list);

static unsigned int vgpu_count;		/* under vgpu_host_lock */
static DEFINE_IDA(vgpu_ida);

/* How many more vGPUs of a type there can be; vgpu_host_lock held. */
static unsigned int type_available(const struct vgpu_type *type)
{
	unsigned int room = VGPU_MAX - vgpu_count;
	u64 total = (u64)device_memory << 20;
	u64 left;

	if (!device_memory)
		return room;
	left = total > type->parent->mem_bytes ? total - type->parent->mem_bytes : 0;
	return min_t(u64, room, div64_u64(left, type->mem_bytes));
}

static int vgpu_reserve(struct vgpu_type *type)
{
	int ret = 0;

	mutex_lock(&vgpu_host_lock);
	if (type_available(type)) {
		vgpu_count++;
		type->parent->mem_bytes += type->mem_bytes;
	} else {
		ret = -ENOSPC;
	}
	mutex_unlock(&vgpu_host_lock);
	return ret;
}

static void vgpu_unreserve(struct vgpu_type *type)
{
	mutex_lock(&vgpu_host_lock);
	vgpu_count--;
	type->parent->mem_bytes -= type->mem_bytes;
	mutex_unlock(&vgpu_host_lock);
}

static int vgpu_probe(struct mdev_device *mdev)
{
	struct vgpu_type *type = vgpu_type_of(mdev->type);
	struct vgpu *vgpu;
	int id, ret;

	ret = vgpu_reserve(type);
	if (ret)
		return ret;
	id = ida_alloc(&vgpu_ida, GFP_KERNEL);
	if (id < 0) {
		ret = id;
		goto unreserve;
	}
	vgpu = vfio_alloc_device(vgpu, vfio, &mdev->dev, &vgpu_vfio_ops);
	if (IS_ERR(vgpu)) {
		ret = PTR_ERR(vgpu);
		goto free_id;
	}
	vgpu->id = id;
	ret = vfio_register_emulated_iommu_dev(&vgpu->vfio);
	if (ret)
		goto put;
	dev_set_drvdata(&mdev->dev, vgpu);

	mutex_lock(&vgpu_host_lock);
	list_add_tail(&vgpu->node, &vgpu_host_list);
	mutex_unlock(&vgpu_host_lock);
	vgpu_mediator_wake();
	dev_info(&mdev->dev, "vGPU %d: %s\n", id, type->pretty);
	return 0;

put:
	vgpu_put(vgpu);
free_id:
	ida_free(&vgpu_ida, id);
unreserve:
	vgpu_unreserve(type);
	return ret;
}

static void vgpu_remove(struct mdev_device *mdev)
{
	struct vgpu *vgpu = dev_get_drvdata(&mdev->dev);
	struct vgpu_type *type = vgpu->type;
	u32 id = vgpu->id;

	/* Waits until no VM has the device open any more. */
	vfio_unregister_group_dev(&vgpu->vfio);

	mutex_lock(&vgpu_host_lock);
	list_del(&vgpu->node);
	mutex_unlock(&vgpu_host_lock);

	WRITE_ONCE(vgpu->removed, true);
	wake_up_all(&vgpu->wq);

	vgpu_put(vgpu);
	ida_free(&vgpu_ida, id);
	vgpu_unreserve(type);
}

static unsigned int vgpu_available(struct mdev_type *mdev)
{
	unsigned int n;

	mutex_lock(&vgpu_host_lock);
	n = type_available(vgpu_type_of(mdev));
	mutex_unlock(&vgpu_host_lock);
	return n;
}

static struct mdev_driver vgpu_driver = {
	.device_api = VFIO_DEVICE_API_PCI_STRING,
	.driver = {
		.name = "vgpu_mdev",
		.owner = THIS_MODULE,
		.mod_name = KBUILD_MODNAME,
	},
	.probe = vgpu_probe,
	.remove = vgpu_remove,
	.get_available = vgpu_available,
	.show_description = vgpu_type_description,
};

static int __init vgpu_host_init(void)
{
	int ret;

	/*
	 * By default one vGPU may pin a quarter of what all vGPUs together may, so that
	 * a single VM cannot use up the limit of all.
	 */
	vgpu_pin_limit_pages = pin_limit ? (unsigned long)pin_limit << (20 - PAGE_SHIFT) :
					   totalram_pages() / 8;
	vgpu_pin_total_pages = pin_total ? (unsigned long)pin_total << (20 - PAGE_SHIFT) :
					   totalram_pages() / 2;
	ret = vgpu_types_parse(types);
	if (ret)
		return ret;
	ret = vgpu_channels_start();
	if (ret)
		goto free_types;
	ret = vgpu_mediator_init();
	if (ret)
		goto stop_channels;
	ret = mdev_register_driver(&vgpu_driver);
	if (ret)
		goto exit_mediator;
	ret = vgpu_parents_start(&vgpu_driver);
	if (ret)
		goto free_parents;
	return 0;

free_parents:
	vgpu_parents_free();
	mdev_unregister_driver(&vgpu_driver);
exit_mediator:
	vgpu_mediator_exit();
stop_channels:
	vgpu_channels_stop();
free_types:
	vgpu_types_free();
	return ret;
}

static void __exit vgpu_host_exit(void)
{
	vgpu_parents_stop();
	mdev_unregister_driver(&vgpu_driver);
	vgpu_mediator_exit();
	/* Runs what is left of released channels, with the last references to vGPUs. */
	vgpu_channels_stop();
	vgpu_parents_free();
	vgpu_types_free();
	ida_destroy(&vgpu_ida);
}

module_init(vgpu_host_init);
module_exit(vgpu_host_exit);

MODULE_DESCRIPTION("vGPUs for virtual machines, by VFIO-mdev");
MODULE_AUTHOR("The vgpu authors");
MODULE_LICENSE("GPL");
MODULE_VERSION("1");	/* VGPU_DEV_ABI */
MODULE_SOFTDEP("pre: vfio_iommu_type1");
