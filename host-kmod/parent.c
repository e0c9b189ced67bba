// SPDX-License-Identifier: GPL-2.0
/*
 * The parents of vGPUs: the devices that have mdev_supported_types in sysfs.
 *
 * A parent is a GPU, that is a PCI device which NVIDIA's driver or another one serves, or
 * the virtual device /sys/class/vgpu/vgpu, for hosts that have no GPU. The module parameter
 * `parent` chooses; by default these are NVIDIA's GPUs, and the virtual device where there
 * are none.
 *
 * Nothing of a GPU is touched: the mdev core adds a folder to its sysfs node, and that is
 * all. The mdev core names types after the driver of their parent (nvidia-A-4096M), and
 * mdevctl and libvirt remember these names. So a GPU of NVIDIA's becomes a parent when its
 * driver is bound, not earlier, whichever of the two modules is loaded first. It stays a
 * parent when the driver is unbound, because vGPUs may exist; it ceases to be one when
 * the device itself goes.
 *
 * A parent that is gone is freed only when this module goes, because the mdev core and
 * user space may hold references to its types a little longer.
 */
#undef pr_fmt
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/device.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "vgpu_host.h"

static char *parents = "";
module_param_named(parent, parents, charp, 0444);
MODULE_PARM_DESC(parent,
		 "devices that offer vGPUs: PCI addresses, or \"virtual\"; empty = NVIDIA's GPUs, else virtual");

/*
 * Taken with the lock of a PCI device held. It is itself held while the mdev core registers
 * a parent, and while it unregisters one, which waits until VMs have let go of its vGPUs.
 */
static DEFINE_MUTEX(parents_lock);
static LIST_HEAD(parents_list);
static struct mdev_driver *parents_driver;

static char *pools = "";
module_param(pools, charp, 0444);
MODULE_PARM_DESC(pools, "POOL=DEVICE[+DEVICE...][,...]: devices of pools, e.g. A=0000:3b:00.0");

static bool is_named(const char *name)
{
	return vgpu_devices_have(parents, name) > 0;
}

static bool is_gpu_of_nvidia(const struct pci_dev *pdev)
{
	return pdev->vendor == PCI_VENDOR_ID_NVIDIA &&
	       pdev->class >> 16 == PCI_BASE_CLASS_DISPLAY;
}

static bool is_wanted(struct pci_dev *pdev)
{
	return *parents ? is_named(pci_name(pdev)) : is_gpu_of_nvidia(pdev);
}

/* Is the driver there after which the types are to be named? */
static bool has_its_driver(struct pci_dev *pdev)
{
	return !is_gpu_of_nvidia(pdev) ||
	       !strcmp(dev_driver_string(&pdev->dev), "nvidia");
}

static struct vgpu_parent *parent_find(struct device *dev)
{
	struct vgpu_parent *parent;

	lockdep_assert_held(&parents_lock);

	list_for_each_entry(parent, &parents_list, node)
		if (parent->dev == dev)
			return parent;
	return NULL;
}

static int parent_add(struct device *dev, const char *name)
{
	struct vgpu_parent *parent;
	int ret;

	lockdep_assert_held(&parents_lock);

	if (parent_find(dev))
		return 0;
	parent = kzalloc(sizeof(*parent), GFP_KERNEL);
	if (!parent)
		return -ENOMEM;
	strscpy(parent->name, name, sizeof(parent->name));
	ret = vgpu_types_for(parent, pools);
	if (ret || !parent->type_count)
		goto free_parent;
	parent->dev = get_device(dev);
	ret = mdev_register_parent(&parent->mdev, dev, parents_driver, parent->type_ptrs,
				   parent->type_count);
	if (ret)
		goto put_device;
	list_add_tail(&parent->node, &parents_list);
	dev_info(dev, "offers %u types of vGPUs\n", parent->type_count);
	return 0;

put_device:
	put_device(dev);
free_parent:
	vgpu_types_drop(parent);
	if (!ret)
		dev_info(dev, "no pool has this device, so it offers no vGPUs\n");
	kfree(parent);
	return ret;
}

/* Its vGPUs are removed; VMs that have one open are asked to let go, and waited for. */
static void parent_unregister(struct vgpu_parent *parent)
{
	mdev_unregister_parent(&parent->mdev);
	put_device(parent->dev);
	parent->dev = NULL;
}

/* With the lock of the device held, so that its driver stays. */
static void pci_look(struct pci_dev *pdev)
{
	int ret;

	device_lock_assert(&pdev->dev);

	if (!is_wanted(pdev) || !has_its_driver(pdev))
		return;
	mutex_lock(&parents_lock);
	ret = parent_add(&pdev->dev, pci_name(pdev));
	mutex_unlock(&parents_lock);
	/* The device itself serves its users as before. */
	if (ret)
		dev_err(&pdev->dev, "cannot offer vGPUs: error %d\n", ret);
}

static int pci_changed(struct notifier_block *nb, unsigned long action, void *data)
{
	struct device *dev = data;
	struct vgpu_parent *parent;

	switch (action) {
	case BUS_NOTIFY_BOUND_DRIVER:
		pci_look(to_pci_dev(dev));
		break;
	case BUS_NOTIFY_DEL_DEVICE:
		mutex_lock(&parents_lock);
		parent = parent_find(dev);
		if (parent)
			parent_unregister(parent);
		mutex_unlock(&parents_lock);
		break;
	}
	return NOTIFY_OK;
}

static struct notifier_block pci_notifier = { .notifier_call = pci_changed };

/*
 * The virtual parent, /sys/class/vgpu/vgpu. It is a variable of this module, so its release
 * has nothing to free.
 */
static void virtual_release(struct device *dev)
{
}

/* Types are named after the class; Nova takes no underscore in such a name. */
static struct class virtual_class = {
	.name = "vgpu",
};

static struct device virtual_dev = {
	.class = &virtual_class,
	.release = virtual_release,
};

static int virtual_add(void)
{
	int ret = class_register(&virtual_class);

	if (ret)
		return ret;
	device_initialize(&virtual_dev);
	ret = dev_set_name(&virtual_dev, "vgpu");
	if (!ret)
		ret = device_add(&virtual_dev);
	if (ret)
		goto put;
	mutex_lock(&parents_lock);
	ret = parent_add(&virtual_dev, VGPU_VIRTUAL);
	mutex_unlock(&parents_lock);
	if (!ret)
		return 0;
	device_del(&virtual_dev);
put:
	put_device(&virtual_dev);
	class_unregister(&virtual_class);
	return ret;
}

static void virtual_remove(void)
{
	if (!device_is_registered(&virtual_dev))
		return;
	device_del(&virtual_dev);
	put_device(&virtual_dev);
	class_unregister(&virtual_class);
}

static bool wants_virtual(void)
{
	struct pci_dev *pdev = NULL;

	if (*parents)
		return is_named(VGPU_VIRTUAL);
	for_each_pci_dev(pdev) {
		if (is_gpu_of_nvidia(pdev)) {
			pci_dev_put(pdev);
			return false;
		}
	}
	return true;
}

int vgpu_parents_start(struct mdev_driver *driver)
{
	struct pci_dev *pdev = NULL;
	int ret;

	ret = vgpu_devices_have(parents, "");
	if (ret < 0) {
		pr_err("parent: \"%s\" is not a list of PCI addresses (as 0000:3b:00.0) and \"virtual\"\n",
		       parents);
		return ret;
	}
	ret = vgpu_pools_check(pools);
	if (ret)
		return ret;
	parents_driver = driver;
	/* First the notifier, so that no device is missed; one that is met twice is added once. */
	ret = bus_register_notifier(&pci_bus_type, &pci_notifier);
	if (ret)
		return ret;
	if (wants_virtual()) {
		ret = virtual_add();
		if (ret) {
			vgpu_parents_stop();
			return ret;
		}
	}
	for_each_pci_dev(pdev) {
		device_lock(&pdev->dev);
		pci_look(pdev);
		device_unlock(&pdev->dev);
	}
	if (list_empty(&parents_list))
		pr_info("no device offers vGPUs yet; %s\n",
			*parents ? "those of the parameter parent are not here" :
				   "NVIDIA's GPUs will when the driver nvidia serves them");
	return 0;
}

/* No vGPU is left afterwards; vgpu_parents_free() follows when nothing refers to one. */
void vgpu_parents_stop(void)
{
	struct vgpu_parent *parent;

	bus_unregister_notifier(&pci_bus_type, &pci_notifier);
	mutex_lock(&parents_lock);
	list_for_each_entry(parent, &parents_list, node)
		if (parent->dev)
			parent_unregister(parent);
	mutex_unlock(&parents_lock);
	virtual_remove();
}

void vgpu_parents_free(void)
{
	struct vgpu_parent *parent, *next;

	list_for_each_entry_safe(parent, next, &parents_list, node) {
		vgpu_types_drop(parent);
		kfree(parent);
	}
	INIT_LIST_HEAD(&parents_list);
}
