/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Size-first ioctls by table, for both modules.
 *
 * A handler gets a kernel copy of the caller's struct, filled up with zeros
 * if the caller's was shorter; what it returns is copied back as far as the
 * caller's struct goes.
 */
#ifndef VGPU_IOCTL_TABLE_H
#define VGPU_IOCTL_TABLE_H

#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/uaccess.h>

#define VGPU_IOCTL_ARG_MAX 128

struct vgpu_ioctl {
	unsigned int cmd;
	u32 size;	/* of the struct as known here */
	u32 min_size;	/* end of its last member in the first version */
	int (*run)(struct file *file, void *arg);
};

#define VGPU_IOCTL(_cmd, _struct, _last, _run)                                        \
	{                                                                             \
		.cmd = (_cmd), .size = sizeof(struct _struct) +                       \
			BUILD_BUG_ON_ZERO(sizeof(struct _struct) > VGPU_IOCTL_ARG_MAX), \
		.min_size = offsetofend(struct _struct, _last), .run = (_run),        \
	}

static inline long vgpu_ioctl_dispatch(const struct vgpu_ioctl *table, size_t count,
				       struct file *file, unsigned int cmd, unsigned long arg)
{
	u8 buf[VGPU_IOCTL_ARG_MAX] __aligned(8);
	void __user *uptr = (void __user *)arg;
	const struct vgpu_ioctl *op = NULL;
	u32 usize;
	size_t i;
	int ret;

	for (i = 0; i < count; i++)
		if (table[i].cmd == cmd)
			op = &table[i];
	if (!op)
		return -ENOTTY;

	if (get_user(usize, (u32 __user *)uptr))
		return -EFAULT;
	if (usize < op->min_size || usize > PAGE_SIZE)
		return usize < op->min_size ? -EINVAL : -E2BIG;
	ret = copy_struct_from_user(buf, op->size, uptr, usize);
	if (ret)
		return ret;

	ret = op->run(file, buf);
	if (ret < 0)
		return ret;

	/* The size is the caller's to say, also where it changed meanwhile. */
	*(u32 *)buf = usize;
	if (copy_to_user(uptr, buf, min(usize, op->size)))
		return -EFAULT;
	return ret;
}

#endif /* VGPU_IOCTL_TABLE_H */
