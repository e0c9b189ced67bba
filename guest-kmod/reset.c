// SPDX-License-Identifier: GPL-2.0
/*
 * The device leaves, for good or for a while: unbind, unplug, shutdown, suspend,
 * a reset by somebody else.  Programs find their channels lost, and what the host
 * could reach is given back once the host says that nothing reaches it.
 */
#include <linux/delay.h>
#include <linux/jiffies.h>

#include "vgpu_guest.h"

/* An executor ends within a second or so; one that a driver holds takes longer. */
#define RESET_WAIT (10 * HZ)
#define RESET_POLL_MS 10

int vgpu_check(struct vgpu *vgpu)
{
	struct device *dev = &vgpu->pdev->dev;

	if (vgpu_read(vgpu, VGPU_REG_MAGIC) != VGPU_DEV_MAGIC) {
		dev_err(dev, "BAR0 does not answer as a vGPU\n");
		return -ENODEV;
	}
	if (vgpu_read(vgpu, VGPU_REG_ABI) != VGPU_DEV_ABI) {
		dev_err(dev, "the host speaks ABI %u, this driver %u: update the older one\n",
			vgpu_read(vgpu, VGPU_REG_ABI), VGPU_DEV_ABI);
		return -ENODEV;
	}
	return 0;
}

/* 0 if no device reaches guest memory any more on behalf of a channel. */
int vgpu_reset(struct vgpu *vgpu)
{
	unsigned long end = jiffies + RESET_WAIT;
	u32 features, ctrl;

	vgpu_write(vgpu, VGPU_REG_CTRL, VGPU_CTRL_RESET);
	features = vgpu_read(vgpu, VGPU_REG_FEATURES);
	if (features == ~0u)
		return -ENODEV;		/* unplugged without notice */
	if (!(features & VGPU_FEATURE_RESET_BUSY))
		return 0;		/* the write has waited, as well as it could */
	for (;;) {
		ctrl = vgpu_read(vgpu, VGPU_REG_CTRL);
		if (ctrl == ~0u)
			return -ENODEV;
		if (!(ctrl & VGPU_CTRL_RESET))
			return 0;
		if (time_after(jiffies, end))
			return -ETIMEDOUT;
		msleep(RESET_POLL_MS);
	}
}

/* Nobody else talks to the device from here on: gone_lock is not held for long. */
void vgpu_leave(struct vgpu *vgpu, bool for_good)
{
	down_write(&vgpu->gone_lock);
	if (for_good)
		WRITE_ONCE(vgpu->gone, true);
	else
		WRITE_ONCE(vgpu->offline, true);
	up_write(&vgpu->gone_lock);
	vgpu_channels_drop(vgpu, !vgpu_reset(vgpu));
}

/* Awake, or reset by somebody else: what the host had is not there any more. */
int vgpu_return(struct vgpu *vgpu)
{
	int ret;

	ret = vgpu_check(vgpu);
	if (ret) {
		vgpu_leave(vgpu, true);
		return ret;
	}
	vgpu_channels_drop(vgpu, !vgpu_reset(vgpu));
	down_write(&vgpu->gone_lock);
	WRITE_ONCE(vgpu->offline, false);
	up_write(&vgpu->gone_lock);
	return 0;
}
