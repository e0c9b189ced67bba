// SPDX-License-Identifier: GPL-2.0
/*
 * The VFIO device: what stock QEMU sees as vfio-pci.
 *
 * Two regions exist, configuration space and BAR0.  Neither can be mapped:
 * every access traps, because all of it is control path.
 */
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "vgpu_host.h"

#define REGION_SHIFT	40
#define REGION_OF(pos)	((u32)((u64)(pos) >> REGION_SHIFT))
#define REGION_POS(pos)	((u64)(pos) & ((1ull << REGION_SHIFT) - 1))

/* How long VFIO_DEVICE_RESET waits for executors to let go of guest memory. */
#define RESET_WAIT (5 * HZ)

static u32 region_bytes(u32 index)
{
	switch (index) {
	case VFIO_PCI_CONFIG_REGION_INDEX:
		return VGPU_CONFIG_BYTES;
	case VFIO_PCI_BAR0_REGION_INDEX:
		return VGPU_BAR0_BYTES;
	default:
		return 0;
	}
}

int vgpu_region_info(struct vfio_region_info *info)
{
	if (info->index >= VFIO_PCI_NUM_REGIONS)
		return -EINVAL;
	info->offset = (u64)info->index << REGION_SHIFT;
	info->size = region_bytes(info->index);
	info->flags = info->size ? VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE : 0;
	info->cap_offset = 0;
	return 0;
}

/* VFIO_DEVICE_RESET: as after creation, configuration space included. */
static int device_reset(struct vgpu *vgpu)
{
	int ret = vgpu_reset(vgpu, RESET_WAIT);

	spin_lock(&vgpu->table_lock);
	vgpu_config_init(&vgpu->config);
	spin_unlock(&vgpu->table_lock);
	if (ret == -ETIMEDOUT)
		dev_warn_ratelimited(vgpu->vfio.dev,
				     "reset: an executor still holds guest memory\n");
	return ret;
}

static int device_open(struct vfio_device *vfio)
{
	struct vgpu *vgpu = to_vgpu(vfio);

	spin_lock(&vgpu->table_lock);
	vgpu_config_init(&vgpu->config);
	WRITE_ONCE(vgpu->in_use, true);
	spin_unlock(&vgpu->table_lock);
	return 0;
}

static void device_close(struct vfio_device *vfio)
{
	struct vgpu *vgpu = to_vgpu(vfio);

	mutex_lock(&vgpu->admin_lock);
	vgpu_channels_drop(vgpu);
	vgpu_events_clear(vgpu);
	vgpu->admin_addr = 0;	/* of a VM that has gone: not the next one's */
	WRITE_ONCE(vgpu->admin_result, 0);
	WRITE_ONCE(vgpu->in_use, false);
	mutex_unlock(&vgpu->admin_lock);
	vgpu_irq_release(vgpu);
}

static void bar_access(struct vgpu *vgpu, u32 off, u8 *buf, size_t len, bool write)
{
	while (len) {
		u32 val = ~0u;

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
			vgpu_bar_write(vgpu, off, le32_to_cpu((__force __le32)val));
		} else {
			val = (__force u32)cpu_to_le32(vgpu_bar_read(vgpu, off));
			memcpy(buf, &val, sizeof(val));
		}
		off += sizeof(val);
		buf += sizeof(val);
		len -= sizeof(val);
	}
}

static int region_access(struct vgpu *vgpu, loff_t pos, u8 *buf, size_t len, bool write)
{
	u32 index = REGION_OF(pos);
	u64 off = REGION_POS(pos);
	int ret = 0;

	if (pos < 0 || off > region_bytes(index) || len > region_bytes(index) - off)
		return -EINVAL;
	if (index == VFIO_PCI_BAR0_REGION_INDEX) {
		bar_access(vgpu, off, buf, len, write);
		return 0;
	}
	spin_lock(&vgpu->table_lock);
	if (write)
		ret = vgpu_config_write(&vgpu->config, off, buf, len);
	else
		ret = vgpu_config_read(&vgpu->config, off, buf, len);
	spin_unlock(&vgpu->table_lock);
	return ret;
}

#define ACCESS_CHUNK 64

static ssize_t device_read(struct vfio_device *vfio, char __user *ubuf, size_t count, loff_t *ppos)
{
	struct vgpu *vgpu = to_vgpu(vfio);
	u8 buf[ACCESS_CHUNK];
	size_t done = 0;

	while (done < count) {
		size_t n = min_t(size_t, count - done, sizeof(buf));
		int ret = region_access(vgpu, *ppos, buf, n, false);

		if (ret)
			return done ? done : ret;
		if (copy_to_user(ubuf + done, buf, n))
			return -EFAULT;
		done += n;
		*ppos += n;
	}
	return done;
}

static ssize_t device_write(struct vfio_device *vfio, const char __user *ubuf, size_t count,
			    loff_t *ppos)
{
	struct vgpu *vgpu = to_vgpu(vfio);
	u8 buf[ACCESS_CHUNK];
	size_t done = 0;

	while (done < count) {
		size_t n = min_t(size_t, count - done, sizeof(buf));
		int ret;

		if (copy_from_user(buf, ubuf + done, n))
			return -EFAULT;
		ret = region_access(vgpu, *ppos, buf, n, true);
		if (ret)
			return done ? done : ret;
		done += n;
		*ppos += n;
	}
	return done;
}

static long device_info(void __user *arg)
{
	const size_t minsz = offsetofend(struct vfio_device_info, num_irqs);
	struct vfio_device_info info;

	if (copy_from_user(&info, arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz)
		return -EINVAL;
	info.flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
	info.num_regions = VFIO_PCI_NUM_REGIONS;
	info.num_irqs = VFIO_PCI_NUM_IRQS;
	return copy_to_user(arg, &info, minsz) ? -EFAULT : 0;
}

static long device_region_info(void __user *arg)
{
	const size_t minsz = offsetofend(struct vfio_region_info, offset);
	struct vfio_region_info info;
	int ret;

	if (copy_from_user(&info, arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz)
		return -EINVAL;
	ret = vgpu_region_info(&info);
	if (ret)
		return ret;
	return copy_to_user(arg, &info, minsz) ? -EFAULT : 0;
}

static long device_irq_info(void __user *arg)
{
	const size_t minsz = offsetofend(struct vfio_irq_info, count);
	struct vfio_irq_info info;
	int ret;

	if (copy_from_user(&info, arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz)
		return -EINVAL;
	ret = vgpu_irq_info(&info);
	if (ret)
		return ret;
	return copy_to_user(arg, &info, minsz) ? -EFAULT : 0;
}

static long device_set_irqs(struct vgpu *vgpu, void __user *arg)
{
	const size_t minsz = offsetofend(struct vfio_irq_set, count);
	struct vfio_irq_info info = {};
	struct vfio_irq_set set;
	size_t data_bytes = 0;
	void *data = NULL;
	int ret;

	if (copy_from_user(&set, arg, minsz))
		return -EFAULT;
	info.index = set.index;
	ret = vgpu_irq_info(&info);
	if (ret)
		return ret;
	ret = vfio_set_irqs_validate_and_prepare(&set, info.count, VFIO_PCI_NUM_IRQS, &data_bytes);
	if (ret)
		return ret;
	if (data_bytes) {
		data = memdup_user(arg + minsz, data_bytes);
		if (IS_ERR(data))
			return PTR_ERR(data);
	}
	ret = vgpu_irq_set(vgpu, &set, data);
	kfree(data);
	return ret;
}

static long device_ioctl(struct vfio_device *vfio, unsigned int cmd, unsigned long arg)
{
	struct vgpu *vgpu = to_vgpu(vfio);
	void __user *uarg = (void __user *)arg;

	switch (cmd) {
	case VFIO_DEVICE_GET_INFO:
		return device_info(uarg);
	case VFIO_DEVICE_GET_REGION_INFO:
		return device_region_info(uarg);
	case VFIO_DEVICE_GET_IRQ_INFO:
		return device_irq_info(uarg);
	case VFIO_DEVICE_SET_IRQS:
		return device_set_irqs(vgpu, uarg);
	case VFIO_DEVICE_RESET:
		return device_reset(vgpu);
	default:
		return -ENOTTY;
	}
}

static void device_request(struct vfio_device *vfio, unsigned int count)
{
	vgpu_irq_request(to_vgpu(vfio));
	if (!count)
		dev_info(vfio->dev, "removal asked for; waiting for the VM to let go\n");
}

static void device_dma_unmap(struct vfio_device *vfio, u64 iova, u64 bytes)
{
	struct vgpu *vgpu = to_vgpu(vfio);

	mutex_lock(&vgpu->admin_lock);
	vgpu_channels_dma_unmap(vgpu, iova, bytes);
	mutex_unlock(&vgpu->admin_lock);
}

static int device_init(struct vfio_device *vfio)
{
	struct vgpu *vgpu = to_vgpu(vfio);
	struct mdev_device *mdev = to_mdev_device(vfio->dev);

	INIT_LIST_HEAD(&vgpu->node);
	guid_copy(&vgpu->uuid, &mdev->uuid);
	vgpu->type = vgpu_type_of(mdev->type);
	vgpu_channels_init(vgpu);
	spin_lock_init(&vgpu->irq_lock);
	init_waitqueue_head(&vgpu->wq);
	vgpu_config_init(&vgpu->config);
	return 0;
}

static void device_release(struct vfio_device *vfio)
{
	struct vgpu *vgpu = to_vgpu(vfio);

	xa_destroy(&vgpu->channels);
	mutex_destroy(&vgpu->admin_lock);
	compat_vfio_free_device(vfio);
}

const struct vfio_device_ops vgpu_vfio_ops = {
	.name = "vgpu",
	.init = device_init,
	.release = device_release,
	.open_device = device_open,
	.close_device = device_close,
	.read = device_read,
	.write = device_write,
	.ioctl = device_ioctl,
	.request = device_request,
	.dma_unmap = device_dma_unmap,
	COMPAT_VFIO_REGION_INFO_OP
	COMPAT_VFIO_IOMMUFD_OPS
};
