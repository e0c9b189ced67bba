/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Size-first ioctls by table, for both modules.
 *
 * A handler gets a kernel copy of the caller's struct, filled up with zeros
 * if the caller's was shorter; what it returns is copied back as far as the
 * caller's struct goes.
 *
 * A handler that makes a descriptor only prepares it (struct vgpu_opening).  It
 * is committed and installed once its number has been copied out, so a caller
 * with a bad pointer gets EFAULT and neither leaks nor uses up anything.  For the
 * same reason a handler may have an undo, for when its answer does not arrive.
 */
#ifndef VGPU_IOCTL_TABLE_H
#define VGPU_IOCTL_TABLE_H

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/uaccess.h>

#define VGPU_IOCTL_ARG_MAX 152

struct vgpu_opening {
	int fd;
	struct file *file;	/* its release undoes what was prepared */
	int (*commit)(struct file *file);	/* the last step that can fail */
};

struct vgpu_ioctl {
	unsigned int cmd;
	u32 size;	/* of the struct as known here */
	u32 min_size;	/* end of its last member in the first version */
	int (*run)(struct file *file, void *arg);	/* one of the two */
	int (*open)(struct file *file, void *arg, struct vgpu_opening *opening);
	void (*undo)(struct file *file, void *arg);	/* of run; optional */
};

#define _VGPU_IOCTL(_cmd, _struct, _last)                                             \
	.cmd = (_cmd), .size = sizeof(struct _struct) +                               \
		BUILD_BUG_ON_ZERO(sizeof(struct _struct) > VGPU_IOCTL_ARG_MAX),       \
	.min_size = offsetofend(struct _struct, _last)

#define VGPU_IOCTL(_cmd, _struct, _last, _run)                                        \
	{ _VGPU_IOCTL(_cmd, _struct, _last), .run = (_run) }

#define VGPU_IOCTL_UNDO(_cmd, _struct, _last, _run, _undo)                            \
	{ _VGPU_IOCTL(_cmd, _struct, _last), .run = (_run), .undo = (_undo) }

#define VGPU_IOCTL_OPEN(_cmd, _struct, _last, _open)                                  \
	{ _VGPU_IOCTL(_cmd, _struct, _last), .open = (_open) }

static inline int vgpu_opening_end(struct vgpu_opening *opening, int ret)
{
	if (!ret)
		ret = opening->commit(opening->file);
	if (ret) {
		put_unused_fd(opening->fd);
		fput(opening->file);
	} else {
		fd_install(opening->fd, opening->file);
	}
	return ret;
}

static inline long vgpu_ioctl_dispatch(const struct vgpu_ioctl *table, size_t count,
				       struct file *file, unsigned int cmd, unsigned long arg)
{
	u8 buf[VGPU_IOCTL_ARG_MAX] __aligned(8);
	void __user *uptr = (void __user *)arg;
	const struct vgpu_ioctl *op = NULL;
	struct vgpu_opening opening;
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

	ret = op->open ? op->open(file, buf, &opening) : op->run(file, buf);
	if (ret < 0)
		return ret;

	/* The size is the caller's to say, also where it changed meanwhile. */
	*(u32 *)buf = usize;
	if (copy_to_user(uptr, buf, min(usize, op->size))) {
		ret = -EFAULT;
		if (op->undo)
			op->undo(file, buf);
	}
	return op->open ? vgpu_opening_end(&opening, ret) : ret;
}

#endif /* VGPU_IOCTL_TABLE_H */
