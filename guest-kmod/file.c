// SPDX-License-Identifier: GPL-2.0
/* /dev/vgpuN: the file operations and the ioctl table of vgpu.h. */
#include <linux/fs.h>
#include <linux/mm.h>
#include <vgpu/ioctl_table.h>

#include "vgpu_guest.h"

static int ioc_info(struct file *file, void *arg)
{
	struct vgpu_channel *ch = file->private_data;
	struct vgpu *vgpu = ch->vgpu;
	struct vgpu_info *info = arg;
	int ret = 0;
	u32 i;

	if (info->flags)
		return -EINVAL;
	down_read(&vgpu->gone_lock);
	if (vgpu_away(vgpu)) {
		ret = -ENODEV;
		goto unlock;
	}
	info->out_abi = vgpu_read(vgpu, VGPU_REG_ABI);
	info->out_status = vgpu_read(vgpu, VGPU_REG_STATUS);
	info->out_features = vgpu_read(vgpu, VGPU_REG_FEATURES);
	info->out_mem_bytes = vgpu_read(vgpu, VGPU_REG_MEM_LO) |
			      (u64)vgpu_read(vgpu, VGPU_REG_MEM_HI) << 32;
	for (i = 0; i < sizeof(info->out_uuid); i += sizeof(u32)) {
		u32 word = vgpu_read(vgpu, VGPU_REG_UUID + i);

		memcpy(info->out_uuid + i, &word, sizeof(word));
	}
unlock:
	up_read(&vgpu->gone_lock);
	return ret;
}

static int ioc_setup(struct file *file, void *arg)
{
	struct vgpu_setup *setup = arg;

	if (setup->flags)
		return -EINVAL;
	return vgpu_channel_setup(file->private_data, setup);
}

static int ioc_doorbell(struct file *file, void *arg)
{
	struct vgpu_channel *ch = file->private_data;
	struct vgpu_doorbell *bell = arg;
	int ret;

	if (bell->flags)
		return -EINVAL;
	down_read(&ch->vgpu->gone_lock);
	ret = vgpu_channel_usable(ch);
	if (!ret) {
		atomic64_inc(&ch->doorbells);
		vgpu_write(ch->vgpu, VGPU_REG_DOORBELL + 4 * ch->id, 1);
	}
	up_read(&ch->vgpu->gone_lock);
	return ret;
}

static int ioc_wait(struct file *file, void *arg)
{
	struct vgpu_wait *wait = arg;

	if (wait->flags)
		return -EINVAL;
	return vgpu_channel_wait(file->private_data, wait);
}

static int ioc_register(struct file *file, void *arg)
{
	struct vgpu_register *reg = arg;

	if (reg->flags || reg->reserved)
		return -EINVAL;
	return vgpu_channel_register(file->private_data, reg);
}

/* The program does not know the region's number, so nobody could give it back. */
static void undo_register(struct file *file, void *arg)
{
	struct vgpu_register *reg = arg;

	vgpu_channel_unregister(file->private_data, reg->out_region);
}

static int ioc_unregister(struct file *file, void *arg)
{
	struct vgpu_unregister *reg = arg;

	if (reg->flags || reg->reserved)
		return -EINVAL;
	return vgpu_channel_unregister(file->private_data, reg->region);
}

static int ioc_stats(struct file *file, void *arg)
{
	struct vgpu_channel *ch = file->private_data;
	struct vgpu_stats *stats = arg;
	int ret;

	if (stats->flags)
		return -EINVAL;
	ret = vgpu_channel_usable(ch);
	if (ret)
		return ret;
	stats->out_doorbells = atomic64_read(&ch->doorbells);
	stats->out_interrupts = vgpu_channel_seen(ch);
	stats->out_waits = atomic64_read(&ch->waits);
	stats->out_pinned_bytes = (u64)atomic64_read(&ch->pinned) << PAGE_SHIFT;
	return 0;
}

static const struct vgpu_ioctl file_ioctls[] = {
	VGPU_IOCTL(VGPU_IOC_INFO, vgpu_info, out_uuid, ioc_info),
	VGPU_IOCTL(VGPU_IOC_SETUP, vgpu_setup, out_layout, ioc_setup),
	VGPU_IOCTL(VGPU_IOC_DOORBELL, vgpu_doorbell, flags, ioc_doorbell),
	VGPU_IOCTL(VGPU_IOC_WAIT, vgpu_wait, timeout_ns, ioc_wait),
	VGPU_IOCTL_UNDO(VGPU_IOC_REGISTER, vgpu_register, reserved, ioc_register, undo_register),
	VGPU_IOCTL(VGPU_IOC_UNREGISTER, vgpu_unregister, reserved, ioc_unregister),
	VGPU_IOCTL(VGPU_IOC_STATS, vgpu_stats, out_pinned_bytes, ioc_stats),
};

static long file_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return vgpu_ioctl_dispatch(file_ioctls, ARRAY_SIZE(file_ioctls), file, cmd, arg);
}

/*
 * No lock: the pages are there from before the state became LIVE until the
 * file is released, which cannot happen during mmap().
 */
static int file_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct vgpu_channel *ch = file->private_data;
	unsigned long pages = vma_pages(vma);
	int ret;

	ret = vgpu_channel_usable(ch);
	if (ret)
		return ret;
	if (!(vma->vm_flags & VM_SHARED) || vma->vm_pgoff)
		return -EINVAL;
	if (vma->vm_flags & VM_EXEC)
		return -EPERM;
	if (pages > ch->mem->npages)
		return -EINVAL;
	vm_flags_set(vma, VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP);
	vm_flags_clear(vma, VM_MAYEXEC);	/* the executor writes here */
	return vm_map_pages_zero(vma, ch->mem->pages, ch->mem->npages);
}

static int file_open(struct inode *inode, struct file *file)
{
	/* misc_open() left the miscdevice here. */
	struct vgpu *vgpu = container_of(file->private_data, struct vgpu, misc);
	struct vgpu_channel *ch;

	ch = vgpu_channel_open(vgpu);
	if (!ch)
		return -ENOMEM;
	file->private_data = ch;
	return nonseekable_open(inode, file);
}

static int file_release(struct inode *inode, struct file *file)
{
	vgpu_channel_close(file->private_data);
	return 0;
}

const struct file_operations vgpu_fops = {
	.owner = THIS_MODULE,
	.open = file_open,
	.release = file_release,
	.mmap = file_mmap,
	.unlocked_ioctl = file_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};
