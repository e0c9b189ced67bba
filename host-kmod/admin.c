// SPDX-License-Identifier: GPL-2.0
/*
 * Admin commands of the guest driver: one copy out of guest memory, the
 * checks that all commands share, then the handler.
 */
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "vgpu_host.h"

static int run_create(struct vgpu *vgpu, const void *cmd)
{
	return vgpu_channel_create(vgpu, cmd);
}

static int run_destroy(struct vgpu *vgpu, const void *cmd)
{
	const struct vgpu_adm_head *head = cmd;

	return vgpu_channel_destroy(vgpu, head->channel);
}

static int run_map(struct vgpu *vgpu, const void *cmd)
{
	return vgpu_channel_map(vgpu, cmd);
}

static int run_unmap(struct vgpu *vgpu, const void *cmd)
{
	const struct vgpu_adm_unmap *unmap = cmd;

	if (unmap->reserved)
		return -EINVAL;
	return vgpu_channel_unmap(vgpu, unmap->head.channel, unmap->region);
}

static const struct {
	u32 size;
	int (*run)(struct vgpu *vgpu, const void *cmd);
} admin_ops[] = {
	[VGPU_ADM_CREATE] = { sizeof(struct vgpu_adm_create), run_create },
	[VGPU_ADM_DESTROY] = { sizeof(struct vgpu_adm_head), run_destroy },
	[VGPU_ADM_MAP] = { sizeof(struct vgpu_adm_map), run_map },
	[VGPU_ADM_UNMAP] = { sizeof(struct vgpu_adm_unmap), run_unmap },
};

static int admin_run_copy(struct vgpu *vgpu, const u8 *buf, u32 bytes)
{
	const struct vgpu_adm_head *head = (const void *)buf;

	u32 op = head->op;

	if (head->size != bytes || head->flags)
		return -EINVAL;
	if (op >= ARRAY_SIZE(admin_ops))
		return -EOPNOTSUPP;
	op = array_index_nospec(op, ARRAY_SIZE(admin_ops));
	if (!admin_ops[op].run)
		return -EOPNOTSUPP;
	if (bytes < admin_ops[op].size)
		return -EINVAL;
	if (memchr_inv(buf + admin_ops[op].size, 0, bytes - admin_ops[op].size))
		return -E2BIG;
	return admin_ops[op].run(vgpu, buf);
}

u32 vgpu_admin_run(struct vgpu *vgpu, u64 addr, u32 bytes)
{
	int ret = -EFAULT;
	u8 *buf;

	lockdep_assert_held(&vgpu->admin_lock);

	if (bytes < sizeof(struct vgpu_adm_head) || bytes > VGPU_ADM_BYTES_MAX)
		return EINVAL;
	buf = kmalloc(bytes, GFP_KERNEL_ACCOUNT);
	if (!buf)
		return ENOMEM;
	if (!vgpu_guest_read(vgpu, addr, buf, bytes))
		ret = admin_run_copy(vgpu, buf, bytes);
	kfree(buf);
	return -ret;
}
