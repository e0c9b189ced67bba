// SPDX-License-Identifier: GPL-2.0
/*
 * The descriptor of a channel, which the mediator hands to an executor: guest
 * memory by mmap, the doorbell's eventfd, the guest's interrupt.
 *
 * Its file has an address_space of its own, so that taking this channel's
 * memory away looks at this channel's mappings alone.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/poll.h>

#include "vgpu_host.h"

#define SLOT_PAGES (1ul << (VGPU_MMAP_SLOT_SHIFT - PAGE_SHIFT))

static vm_fault_t channel_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct vgpu_channel *ch = vma->vm_file->private_data;
	struct vgpu_mem *mem = vma->vm_private_data;
	unsigned long index = vmf->pgoff % SLOT_PAGES;
	vm_fault_t ret = VM_FAULT_SIGBUS;

	/* Held until the page is in, so that a revocation either comes first
	 * and is seen here, or comes later and finds the page to zap.
	 */
	mutex_lock(&ch->map_lock);
	if (mem->revoked || index >= mem->npages)
		goto out;
	if (mem->gup) {
		int err = vm_insert_page(vma, vmf->address & PAGE_MASK, mem->pages[index]);

		if (!err || err == -EBUSY)	/* busy: another thread was first */
			ret = VM_FAULT_NOPAGE;
		else if (err == -ENOMEM)
			ret = VM_FAULT_OOM;
	} else {
		ret = vmf_insert_pfn(vma, vmf->address & PAGE_MASK,
				     page_to_pfn(mem->pages[index]));
	}
out:
	mutex_unlock(&ch->map_lock);
	return ret;
}

static void channel_vm_open(struct vm_area_struct *vma)
{
	struct vgpu_mem *mem = vma->vm_private_data;

	kref_get(&mem->ref);
	atomic_inc(&mem->maps);
}

static void channel_vm_close(struct vm_area_struct *vma)
{
	struct vgpu_mem *mem = vma->vm_private_data;

	atomic_dec(&mem->maps);
	vgpu_mem_put(mem);
}

static const struct vm_operations_struct channel_vm_ops = {
	.open = channel_vm_open,
	.close = channel_vm_close,
	.fault = channel_fault,
};

static int channel_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct vgpu_channel *ch = file->private_data;
	unsigned long index = vma->vm_pgoff % SLOT_PAGES;
	struct vgpu_mem *mem;
	int ret = 0;

	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	/* What a guest writes never becomes code of the executor's. */
	if (vma->vm_flags & VM_EXEC)
		return -EPERM;

	mutex_lock(&ch->map_lock);
	mem = vgpu_channel_mem(ch, vma->vm_pgoff / SLOT_PAGES);
	if (!mem || mem->revoked) {
		ret = -EPIPE;
	} else if (index > mem->npages || vma_pages(vma) > mem->npages - index) {
		ret = -EINVAL;
	} else {
		vm_flags_set(vma, VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP |
				  (mem->gup ? VM_MIXEDMAP : VM_PFNMAP));
		vm_flags_clear(vma, VM_MAYEXEC);
		vma->vm_private_data = mem;
		vma->vm_ops = &channel_vm_ops;
		channel_vm_open(vma);
	}
	mutex_unlock(&ch->map_lock);
	return ret;
}

static __poll_t channel_poll(struct file *file, poll_table *wait)
{
	struct vgpu_channel *ch = file->private_data;

	poll_wait(file, &ch->wq, wait);
	return vgpu_channel_dead(ch) ? EPOLLHUP : 0;
}

static int ioc_info(struct file *file, void *arg)
{
	struct vgpu_channel *ch = file->private_data;
	struct vgpu_host_channel_info *info = arg;

	if (info->flags)
		return -EINVAL;
	info->out_layout = ch->layout;
	info->out_pid = ch->pid;
	info->out_settings = ch->settings;
	memcpy(info->out_comm, ch->comm, sizeof(info->out_comm));
	return 0;
}

static int ioc_doorbell(struct file *file, void *arg)
{
	struct vgpu_channel *ch = file->private_data;
	struct vgpu_host_doorbell *set = arg;
	struct eventfd_ctx *bell = NULL;

	if (set->flags || set->reserved || set->fd < -1)
		return -EINVAL;
	if (set->fd >= 0) {
		bell = eventfd_ctx_fdget(set->fd);
		if (IS_ERR(bell))
			return PTR_ERR(bell);
	}

	spin_lock(&ch->bell_lock);
	swap(ch->bell, bell);
	if (ch->bell && ch->bell_pending) {
		ch->bell_pending = false;
		compat_eventfd_signal(ch->bell);
	}
	spin_unlock(&ch->bell_lock);

	if (bell)
		eventfd_ctx_put(bell);
	return 0;
}

static int ioc_raise(struct file *file, void *arg)
{
	struct vgpu_channel *ch = file->private_data;
	struct vgpu_host_raise *raise = arg;

	if (raise->flags)
		return -EINVAL;
	if (vgpu_channel_dead(ch))
		return -EPIPE;
	vgpu_irq_raise(ch->vgpu, ch->vector);
	return 0;
}

static int ioc_refuse(struct file *file, void *arg)
{
	struct vgpu_host_refuse *refuse = arg;

	if (refuse->flags || refuse->reserved)
		return -EINVAL;
	return vgpu_channel_refuse(file->private_data, refuse->why);
}

static int ioc_region(struct file *file, void *arg)
{
	struct vgpu_channel *ch = file->private_data;
	struct vgpu_host_region *info = arg;
	struct vgpu_mem *mem;
	int ret = 0;

	if (info->flags || info->region >= VGPU_REGIONS)
		return -EINVAL;

	mutex_lock(&ch->map_lock);
	mem = vgpu_channel_mem(ch, (u64)info->region + 1);
	if (!mem || mem->revoked) {
		ret = -ENOENT;
	} else {
		info->out_flags = mem->gup ? VGPU_REGION_GUP : 0;
		info->out_va = mem->va;
		info->out_bytes = mem->bytes;
		info->out_offset = ((u64)info->region + 1) << VGPU_MMAP_SLOT_SHIFT;
	}
	mutex_unlock(&ch->map_lock);
	return ret;
}

static const struct vgpu_ioctl channel_ioctls[] = {
	VGPU_IOCTL(VGPU_HOST_IOC_CHANNEL_INFO, vgpu_host_channel_info, out_comm, ioc_info),
	VGPU_IOCTL(VGPU_HOST_IOC_DOORBELL, vgpu_host_doorbell, reserved, ioc_doorbell),
	VGPU_IOCTL(VGPU_HOST_IOC_RAISE, vgpu_host_raise, flags, ioc_raise),
	VGPU_IOCTL(VGPU_HOST_IOC_REGION, vgpu_host_region, out_offset, ioc_region),
	VGPU_IOCTL(VGPU_HOST_IOC_REFUSE, vgpu_host_refuse, reserved, ioc_refuse),
};

static long channel_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return vgpu_ioctl_dispatch(channel_ioctls, ARRAY_SIZE(channel_ioctls), file, cmd, arg);
}

static int channel_release(struct inode *inode, struct file *file)
{
	struct vgpu_channel *ch = file->private_data;

	if (ch->file == file)
		vgpu_channel_release(ch);
	else
		vgpu_channel_put(ch);	/* prepared, and never attached */
	return 0;
}

static const struct file_operations channel_fops = {
	.owner = THIS_MODULE,
	.mmap = channel_mmap,
	.poll = channel_poll,
	.unlocked_ioctl = channel_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.release = channel_release,
};

static const struct address_space_operations channel_aops = {};

static int channel_commit(struct file *file)
{
	struct vgpu_channel *ch = file->private_data;
	int ret;

	ret = vgpu_channel_attach(ch, file);
	if (ret)
		return ret;
	ch->mapping.host = file_inode(file);
	ch->mapping.a_ops = &channel_aops;
	file->f_mapping = &ch->mapping;
	return 0;
}

/* Prepare a descriptor, which takes over the caller's reference. */
int vgpu_channel_fd(struct vgpu_channel *ch, struct vgpu_opening *opening)
{
	int ret;

	opening->commit = channel_commit;
	opening->fd = get_unused_fd_flags(O_CLOEXEC);
	if (opening->fd < 0) {
		ret = opening->fd;
		goto put;
	}
	opening->file = anon_inode_getfile("[vgpu-channel]", &channel_fops, ch,
					   O_RDWR | O_CLOEXEC);
	if (IS_ERR(opening->file)) {
		ret = PTR_ERR(opening->file);
		put_unused_fd(opening->fd);
		goto put;
	}
	return opening->fd;

put:
	vgpu_channel_put(ch);
	return ret;
}
