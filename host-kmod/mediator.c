// SPDX-License-Identifier: GPL-2.0
/*
 * The mediator's side: /dev/vgpu-host, and its descriptor of each vGPU.
 *
 * Nothing here is remembered for a mediator that has died: closing a
 * descriptor marks what it knew as untold, and the next one hears it again.
 * Something counts as told once it has been copied out, so a read() with a bad
 * pointer loses nothing; two reads at a time may both return it.
 *
 * Nothing here takes a vGPU's admin_lock, so no VM can make the mediator wait.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/miscdevice.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>

#include "vgpu_host.h"

static struct file *host_file;		/* under vgpu_host_lock */
static DECLARE_WAIT_QUEUE_HEAD(host_wq);

void vgpu_mediator_wake(void)
{
	wake_up_all(&host_wq);
}

bool vgpu_mediator_serves(struct vgpu *vgpu)
{
	return READ_ONCE(vgpu->mediator);
}

/* The mediator's descriptor of a vGPU. */

static ssize_t vgpu_fd_read(struct file *file, char __user *buf, size_t count, loff_t *ppos)
{
	struct vgpu *vgpu = file->private_data;
	struct vgpu_host_event event;
	int ret;

	if (count < sizeof(event))
		return -EINVAL;
	while (!vgpu_channels_event(vgpu, &event)) {
		if (READ_ONCE(vgpu->removed))
			return -ENODEV;
		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		ret = wait_event_interruptible(vgpu->wq, vgpu_channels_untold(vgpu) ||
								 READ_ONCE(vgpu->removed));
		if (ret)
			return ret;
	}
	if (copy_to_user(buf, &event, sizeof(event)))
		return -EFAULT;
	vgpu_channels_told(vgpu, &event);
	return sizeof(event);
}

static __poll_t vgpu_fd_poll(struct file *file, poll_table *wait)
{
	struct vgpu *vgpu = file->private_data;
	__poll_t mask = 0;

	poll_wait(file, &vgpu->wq, wait);
	if (vgpu_channels_untold(vgpu))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (READ_ONCE(vgpu->removed))
		mask |= EPOLLHUP;
	return mask;
}

static int ioc_vgpu_info(struct file *file, void *arg)
{
	struct vgpu *vgpu = file->private_data;
	struct vgpu_host_vgpu_info *info = arg;
	struct vgpu_channel *ch;
	unsigned long i;

	if (info->flags)
		return -EINVAL;
	memcpy(info->out_uuid, &vgpu->uuid, sizeof(info->out_uuid));
	info->out_mem_bytes = vgpu->type->mem_bytes;
	strscpy_pad(info->out_pool, vgpu->type->pool, sizeof(info->out_pool));
	strscpy_pad(info->out_type, vgpu->type->name, sizeof(info->out_type));
	info->out_in_use = READ_ONCE(vgpu->in_use);
	info->out_channels = 0;
	xa_for_each(&vgpu->channels, i, ch)	/* by RCU: only counted */
		info->out_channels++;
	info->out_traps = atomic64_read(&vgpu->traps);
	info->out_doorbells = atomic64_read(&vgpu->doorbells);
	info->out_interrupts = atomic64_read(&vgpu->interrupts);
	info->out_pinned_bytes = (u64)atomic64_read(&vgpu->pinned_pages) << PAGE_SHIFT;
	info->out_read_bytes = atomic64_read(&vgpu->bytes_read);
	strscpy_pad(info->out_parent, vgpu->type->parent->name, sizeof(info->out_parent));
	return 0;
}

static int ioc_open_channel(struct file *file, void *arg, struct vgpu_opening *opening)
{
	struct vgpu *vgpu = file->private_data;
	struct vgpu_host_open_channel *open = arg;
	struct vgpu_channel *ch;
	int fd;

	if (open->flags)
		return -EINVAL;
	if (READ_ONCE(vgpu->removed))
		return -ENODEV;
	ch = vgpu_channel_get(vgpu, open->id, open->cookie);
	if (!ch)
		return -ENOENT;
	fd = vgpu_channel_fd(ch, opening);
	if (fd < 0)
		return fd;
	open->out_fd = fd;
	return 0;
}

static const struct vgpu_ioctl vgpu_fd_ioctls[] = {
	VGPU_IOCTL(VGPU_HOST_IOC_VGPU_INFO, vgpu_host_vgpu_info, out_pinned_bytes, ioc_vgpu_info),
	VGPU_IOCTL_OPEN(VGPU_HOST_IOC_OPEN_CHANNEL, vgpu_host_open_channel, cookie,
			ioc_open_channel),
};

static long vgpu_fd_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return vgpu_ioctl_dispatch(vgpu_fd_ioctls, ARRAY_SIZE(vgpu_fd_ioctls), file, cmd, arg);
}

static int vgpu_fd_release(struct inode *inode, struct file *file)
{
	struct vgpu *vgpu = file->private_data;

	mutex_lock(&vgpu_host_lock);
	if (vgpu->mediator == file) {	/* else prepared, and never committed */
		WRITE_ONCE(vgpu->mediator, NULL);
		vgpu->announced = false;
		vgpu_channels_unannounce(vgpu);
	}
	mutex_unlock(&vgpu_host_lock);
	vgpu_mediator_wake();
	vgpu_put(vgpu);
	return 0;
}

static const struct file_operations vgpu_fd_fops = {
	.owner = THIS_MODULE,
	.read = vgpu_fd_read,
	.poll = vgpu_fd_poll,
	.unlocked_ioctl = vgpu_fd_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.release = vgpu_fd_release,
};

/* /dev/vgpu-host. */

static struct vgpu *host_find_untold(void)
{
	struct vgpu *vgpu;

	lockdep_assert_held(&vgpu_host_lock);

	list_for_each_entry(vgpu, &vgpu_host_list, node)
		if (!vgpu->announced)
			return vgpu;
	return NULL;
}

static bool host_event(struct vgpu_host_event *event)
{
	struct vgpu *vgpu;

	mutex_lock(&vgpu_host_lock);
	vgpu = host_find_untold();
	if (vgpu)
		*event = (struct vgpu_host_event){ .kind = VGPU_HOST_EV_ADDED, .id = vgpu->id };
	mutex_unlock(&vgpu_host_lock);
	return vgpu;
}

static void host_told(const struct vgpu_host_event *event)
{
	struct vgpu *vgpu;

	mutex_lock(&vgpu_host_lock);
	list_for_each_entry(vgpu, &vgpu_host_list, node)
		if (vgpu->id == event->id)
			vgpu->announced = true;
	mutex_unlock(&vgpu_host_lock);
}

/* Looking takes a mutex, so this sleeps by wait_woken() and not in a condition. */
static int host_wait(struct file *file, struct vgpu_host_event *event)
{
	DEFINE_WAIT_FUNC(wait, woken_wake_function);
	int ret = 0;

	add_wait_queue(&host_wq, &wait);
	while (!host_event(event)) {
		if (file->f_flags & O_NONBLOCK)
			ret = -EAGAIN;
		else if (signal_pending(current))
			ret = -ERESTARTSYS;
		if (ret)
			break;
		wait_woken(&wait, TASK_INTERRUPTIBLE, MAX_SCHEDULE_TIMEOUT);
	}
	remove_wait_queue(&host_wq, &wait);
	return ret;
}

static ssize_t host_read(struct file *file, char __user *buf, size_t count, loff_t *ppos)
{
	struct vgpu_host_event event;
	int ret;

	if (count < sizeof(event))
		return -EINVAL;
	ret = host_wait(file, &event);
	if (ret)
		return ret;
	if (copy_to_user(buf, &event, sizeof(event)))
		return -EFAULT;
	host_told(&event);
	return sizeof(event);
}

static __poll_t host_poll(struct file *file, poll_table *wait)
{
	__poll_t mask;

	poll_wait(file, &host_wq, wait);
	mutex_lock(&vgpu_host_lock);
	mask = host_find_untold() ? EPOLLIN | EPOLLRDNORM : 0;
	mutex_unlock(&vgpu_host_lock);
	return mask;
}

static int ioc_host_info(struct file *file, void *arg)
{
	struct vgpu_host_info *info = arg;
	struct vgpu *vgpu;

	if (info->flags)
		return -EINVAL;
	info->out_abi = VGPU_HOST_ABI;
	info->out_vgpus = 0;
	mutex_lock(&vgpu_host_lock);
	list_for_each_entry(vgpu, &vgpu_host_list, node)
		info->out_vgpus++;
	mutex_unlock(&vgpu_host_lock);
	return 0;
}

static int vgpu_fd_commit(struct file *file)
{
	struct vgpu *vgpu = file->private_data;
	int ret = 0;

	mutex_lock(&vgpu_host_lock);
	if (vgpu->mediator) {
		ret = -EBUSY;
	} else {
		WRITE_ONCE(vgpu->mediator, file);
		vgpu->announced = true;
	}
	mutex_unlock(&vgpu_host_lock);
	return ret;
}

static struct vgpu *host_get(u32 id)
{
	struct vgpu *vgpu, *found = NULL;

	mutex_lock(&vgpu_host_lock);
	list_for_each_entry(vgpu, &vgpu_host_list, node)
		if (vgpu->id == id)
			found = vgpu;
	if (found)
		vgpu_get(found);
	mutex_unlock(&vgpu_host_lock);
	return found;
}

static int ioc_open_vgpu(struct file *file, void *arg, struct vgpu_opening *opening)
{
	struct vgpu_host_open_vgpu *open = arg;
	struct vgpu *vgpu;
	int ret;

	if (open->flags)
		return -EINVAL;
	vgpu = host_get(open->id);
	if (!vgpu)
		return -ENOENT;
	opening->commit = vgpu_fd_commit;
	opening->fd = get_unused_fd_flags(O_CLOEXEC);
	if (opening->fd < 0) {
		ret = opening->fd;
		goto put;
	}
	opening->file = anon_inode_getfile("[vgpu]", &vgpu_fd_fops, vgpu, O_RDONLY | O_CLOEXEC);
	if (IS_ERR(opening->file)) {
		ret = PTR_ERR(opening->file);
		put_unused_fd(opening->fd);
		goto put;
	}
	open->out_fd = opening->fd;
	return 0;

put:
	vgpu_put(vgpu);
	return ret;
}

static const struct vgpu_ioctl host_ioctls[] = {
	VGPU_IOCTL(VGPU_HOST_IOC_INFO, vgpu_host_info, out_vgpus, ioc_host_info),
	VGPU_IOCTL_OPEN(VGPU_HOST_IOC_OPEN_VGPU, vgpu_host_open_vgpu, out_fd, ioc_open_vgpu),
};

static long host_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return vgpu_ioctl_dispatch(host_ioctls, ARRAY_SIZE(host_ioctls), file, cmd, arg);
}

static int host_open(struct inode *inode, struct file *file)
{
	struct vgpu *vgpu;
	int ret = 0;

	mutex_lock(&vgpu_host_lock);
	if (host_file) {
		ret = -EBUSY;
	} else {
		host_file = file;
		list_for_each_entry(vgpu, &vgpu_host_list, node)
			vgpu->announced = false;
	}
	mutex_unlock(&vgpu_host_lock);
	return ret;
}

static int host_release(struct inode *inode, struct file *file)
{
	mutex_lock(&vgpu_host_lock);
	host_file = NULL;
	mutex_unlock(&vgpu_host_lock);
	return 0;
}

static const struct file_operations host_fops = {
	.owner = THIS_MODULE,
	.open = host_open,
	.read = host_read,
	.poll = host_poll,
	.unlocked_ioctl = host_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.release = host_release,
};

static struct miscdevice host_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "vgpu-host",
	.fops = &host_fops,
	.mode = 0600,
};

int vgpu_mediator_init(void)
{
	return misc_register(&host_misc);
}

void vgpu_mediator_exit(void)
{
	misc_deregister(&host_misc);
}
