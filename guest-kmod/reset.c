// SPDX-License-Identifier: GPL-2.0
/*
 * The driver stops using the device, for good (unbind, unplug, shutdown) or for a
 * while (suspend, a reset through sysfs or by the bus).  It resets the device, which
 * drops all channels on the host.  Programs then get errors from their channels.  The
 * pages of the channels are freed only if the host has said that the reset is
 * complete, because until then a GPU may still write to them.
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

/*
 * Reset the device, and wait until the host says that the reset is complete: all
 * executors that had a channel have ended, so no GPU writes to the channels' pages.
 * 0, or a negative errno if the host does not say so.
 */
int vgpu_reset(struct vgpu *vgpu)
{
	unsigned long end = jiffies + RESET_WAIT;
	u32 features, ctrl;

	vgpu_write(vgpu, VGPU_REG_CTRL, VGPU_CTRL_RESET);
	features = vgpu_read(vgpu, VGPU_REG_FEATURES);
	if (features == ~0u)
		return -ENODEV;		/* unplugged without notice */
	if (!(features & VGPU_FEATURE_RESET_BUSY))
		return 0;		/* an older host: the write itself has waited */
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

/*
 * Stop using the device.  Whoever uses it holds gone_lock for reading and looks at
 * `gone` and `offline` first.  So once the lock has been taken for writing, nobody
 * uses the device, and the reset, which may take seconds, needs no lock.
 */
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

/*
 * Use the device again, after suspend or after somebody else's reset.  The host has
 * no channels then, but the pages of an earlier reset that did not complete may have
 * been kept: this reset frees them if it completes.
 */
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
